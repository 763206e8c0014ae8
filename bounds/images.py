"""Folders of image files: what is in them, and the pictures as arrays."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bounds.damage import damage
from bounds.errors import InputError
from bounds.memory import check_fits
from bounds.progress import Track, no_progress

if TYPE_CHECKING:
    from PIL import Image

#: Suffixes of pictures, and the formats that they may hold; no other decoder is ever started.
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
#: The largest picture that is decoded, in pixels.
MAX_PIXELS = 1 << 26


def check_folder(path: Path, what: str, layout: str) -> None:
    """Refuses a folder that is not there, and says what is there instead and where the data belongs.

    Raises:
        InputError: ending with ``layout``.
    """
    if path.is_dir():
        return
    if path.exists():
        raise InputError(f"{path} is a file, where {what} should be. {layout}")
    parent = path.parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    raise InputError(f"there is no folder {path} ({what}); {parent} has {shown(names_in(parent))}. {layout}")


def names_in(folder: Path) -> list[str]:
    """Names of files and folders in a folder, sorted, without hidden ones.

    Raises:
        InputError: a folder that cannot be read.
    """
    with damage(f"{folder} cannot be read", OSError):
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def shown(names: Sequence[str]) -> str:
    """A few of many names.

    >>> shown(["a", "b"]), shown([]), shown(list("abcdefg"))
    ('a, b', 'nothing', 'a, b, c, d, e and 2 more')
    """
    if not names:
        return "nothing"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def read_images(
    paths: Sequence[Path],
    size: int,
    *,
    stored: int | None = None,
    grey: bool = False,
    track: Track = no_progress,
    what: str = "images",
) -> np.ndarray:
    """``(N, 3, size, size)`` float32 between 0 and 1, read-only. The files are decoded one after the other.

    Args:
        paths: the files.
        size: side of the result; pictures of another size are resampled (bilinear, smoothed when made smaller), and
            lose their proportions if they are not square.
        stored: the side that every file must have.
        grey: whether grey pictures are taken too; otherwise all must be red, green and blue.
        track: shows progress.
        what: the pictures in words, for progress.

    Raises:
        InputError: naming the file: damaged, of another format, colours or size.
    """
    images = np.empty((len(paths), 3, size, size), dtype=np.float32)
    for image, path in zip(images, track(paths, what, len(paths)), strict=True):
        image[...] = _decoded(path, size, stored, grey)
    images.setflags(write=False)
    return images


def decode(path: Path, stored: int | None = None, grey: bool = False) -> Image.Image:
    """A picture in memory, of mode RGB, or L if ``grey`` allows that.

    Args:
        path: the file; its suffix says which decoder is started.
        stored: the side that it must have.
        grey: whether a grey picture is taken too.

    Raises:
        InputError: naming the file: damaged, of another format, colours or size.
    """
    from PIL import Image

    broken = (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        MemoryError,  # what a damaged header declares
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
        Warning,
    )
    with damage(f"{path} cannot be read as an image", *broken), warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that decoding might exhaust the memory
        with Image.open(path, formats=[FORMATS[path.suffix.lower()]]) as picture:
            shown_size = f"{picture.width} x {picture.height}"
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(f"{path} has {shown_size} pixels, more than {MAX_PIXELS}: make it smaller")
            check_fits(f"{path} in memory", (picture.width, picture.height, 3), "make it smaller", 4)
            if stored is not None and picture.size != (stored, stored):
                raise InputError(
                    f"{path} has {shown_size} pixels: images of this dataset have {stored} x {stored}; unpack the "
                    "original again"
                )
            if picture.mode != "RGB" and not (grey and picture.mode == "L"):
                accepted = "RGB or grey (L)" if grey else "RGB"
                raise InputError(f"{path} has mode {picture.mode}: images of this dataset are {accepted}; convert it")
            return picture.copy()


def _decoded(path: Path, size: int, stored: int | None, grey: bool) -> np.ndarray:
    from PIL import Image

    colours = decode(path, stored, grey).convert("RGB")
    if colours.size != (size, size):
        colours = colours.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(colours, dtype=np.float32).transpose(2, 0, 1) / 255
