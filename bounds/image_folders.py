"""Datasets of image files: a folder with one subfolder for each modality, and files of equal names in each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bounds.column_mapping import assign
from bounds.errors import InputError
from bounds.images import FORMATS, decode, names_in
from bounds.memory import check_fits
from bounds.samples import columns_of

_LAYOUT = "one subfolder for each modality, and in each the image of an example under the same name"


def is_image_folder(path: str) -> bool:
    """Whether a folder has subfolders and no tables; one with .csv or .parquet files is a table in parts."""
    if not os.path.isdir(path):
        return False
    names = names_in(Path(path))
    tables = any(name.lower().endswith((".csv", ".parquet")) for name in names)
    return not tables and any(os.path.isdir(os.path.join(path, name)) for name in names)


def read_image_folder(
    path: str, modalities: Sequence[str], types: Mapping[str, str] | None
) -> dict[str, dict[str, Any]]:
    """The pixels of a folder of images by modality, masked where a file is missing: :func:`bounds.readers.read`.

    The columns of a modality are its pixels as bytes, by rows, and colours last.
    """
    root = Path(path)
    groups = assign(modalities, names_in(root), "folder")
    folders = {name: _files(root / name) for name in names_in(root)}
    chosen = {m: [list(folders)[i] for i in positions] for m, positions in groups.items()}
    read = [name for names in chosen.values() for name in names]
    examples = sorted({stem for name in read for stem in folders[name]})
    if not examples:
        raise InputError(f"has no images in {', '.join(read)}: give {_LAYOUT}")
    arrays = {name: _pixels(folders[name], examples, len(read)) for name in read}
    return {m: columns_of(m, [(name, arrays[name]) for name in names]) for m, names in chosen.items()}


def _files(folder: Path) -> dict[str, Path]:
    """The images of a modality by name, without suffix."""
    if not folder.is_dir():
        raise InputError(f"{folder.name} is a file beside folders of images: give {_LAYOUT}")
    found: dict[str, Path] = {}
    for name in names_in(folder):
        file = folder / name
        if file.suffix.lower() not in FORMATS or not file.is_file():
            raise InputError(f"{folder.name}/{name} is no image ({', '.join(FORMATS)}): remove it")
        if file.stem in found:
            raise InputError(f"{folder.name} has {found[file.stem].name} and {name}: an example has one image in it")
        found[file.stem] = file
    return found


def _pixels(files: Mapping[str, Path], examples: Sequence[str], modalities: int) -> np.ndarray:
    """``(N, height, width)`` bytes, or ``(N, height, width, 3)``, masked where an example has no file."""
    where = [i for i, name in enumerate(examples) if name in files]
    if not where:
        raise InputError("a modality has no images: leave it out")
    pixels = np.empty(0)
    first = files[examples[where[0]]]
    for i in where:
        picture = np.asarray(decode(files[examples[i]], grey=True))
        if i == where[0]:
            shape = (len(examples), *picture.shape)
            check_fits("images as columns", (modalities, *shape), "make them smaller, or give fewer", 24)
            pixels = np.zeros(shape, dtype=np.uint8)
        if picture.shape != pixels.shape[1:]:
            raise InputError(
                f"{files[examples[i]]} has the shape {picture.shape} and {first.name} {pixels.shape[1:]}: images of a "
                "modality must have one size, and all be grey or all RGB"
            )
        pixels[i] = picture
    missing = np.ones(len(examples), dtype=bool)
    missing[where] = False
    if not missing.any():
        return pixels
    return np.ma.array(pixels, mask=np.broadcast_to(missing.reshape(-1, *[1] * (pixels.ndim - 1)), pixels.shape))
