"""PolyMNIST and CUB with captions, read from the folders in which they are distributed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bounds.damage import damage
from bounds.errors import InputError
from bounds.images import FORMATS, check_folder, names_in, read_images, shown
from bounds.memory import check_fits
from bounds.progress import Track, no_progress
from toy_models.datasets.captions import Vocabulary
from toy_models.datasets.dataset import Dataset, Modality, frozen

#: Side of PolyMNIST's images.
POLYMNIST_SIZE = 28
POLYMNIST_MODALITIES = 5
CAPTIONS_PER_IMAGE = 10
#: A caption file is read as a whole; that of CUB's training classes has a few MiB.
MAX_CAPTION_BYTES = 1 << 28

_POLYMNIST_NAME = re.compile(r"(\d{1,15})\.(\d)\.png")
_CAPTION_FILES = {"train": "text_trainvalclasses.txt", "test": "text_testclasses.txt"}


def read_polymnist(
    folder: str | os.PathLike[str],
    *,
    n_modalities: int = POLYMNIST_MODALITIES,
    size: int = POLYMNIST_SIZE,
    n_train: int | None = None,
    n_held_out: int | None = None,
    track: Track = no_progress,
) -> Dataset:
    """PolyMNIST, as distributed with MoPoE-VAE: ``train/m0/<index>.<label>.png`` and so on.

    Nothing is downloaded. Five modalities of 60,000 + 10,000 images of 28 x 28 take 3.1 GiB as float32; what does not
    fit into half of the free memory is refused before a file is decoded.

    Args:
        folder: holds ``train`` and ``test``, each with ``m0`` to ``m4``.
        n_modalities: the first so many.
        size: side of the images; other than 28 they are resampled.
        n_train, n_held_out: the first so many examples by index; all by default.
        track: shows progress.

    Returns:
        float32 images ``(3, size, size)`` between 0 and 1, with labels; ``test`` is the held-out part.

    Raises:
        InputError: a missing folder, with what is there and where the data belongs; files of another name, an index
            that a modality lacks or that has two labels, images of the wrong size or colours or damaged, too few
            examples, too much for memory.
    """
    root = Path(folder)
    if not 1 <= n_modalities <= POLYMNIST_MODALITIES:
        raise InputError(f"n_modalities={n_modalities}: PolyMNIST has 1 .. {POLYMNIST_MODALITIES}")
    _check_size(size)
    names = [f"m{m}" for m in range(n_modalities)]
    layout = (
        f"PolyMNIST belongs in {root}{os.sep}: unpack it so that train{os.sep}m0 .. m4 and test{os.sep}m0 .. m4 "
        "hold files such as 0.5.png (index.label.png)"
    )
    listed = []
    for part, count in (("train", n_train), ("test", n_held_out)):
        for name in names:
            check_folder(root / part / name, f"modality {name} of {part}", layout)
        listed.append(_polymnist_part(root / part, names, count, layout))
    shape = (3, size, size)
    total = sum(len(labels) for _, labels in listed)
    check_fits(
        "PolyMNIST at this size",
        (total, n_modalities, *shape),
        "read fewer examples (n_train, n_held_out) or modalities, or smaller images (size)",
        itemsize=4,
    )
    train, held_out = (
        tuple(
            read_images(paths, size, stored=POLYMNIST_SIZE, track=track, what=f"{part}/{name}")
            for name, paths in zip(names, files, strict=True)
        )
        for part, (files, _) in zip(("train", "test"), listed, strict=True)
    )
    (_, train_labels), (_, held_out_labels) = listed
    modalities = tuple(Modality(name, shape) for name in names)
    return Dataset("polymnist", modalities, train, held_out, train_labels, held_out_labels, n_classes=10)


def _polymnist_part(
    part: Path, names: Sequence[str], count: int | None, layout: str
) -> tuple[list[list[Path]], np.ndarray]:
    """For each modality its files in the order of the index, and the labels they agree on."""
    labels = [_polymnist_labels(part / name, layout) for name in names]
    first = labels[0]
    for name, other in zip(names[1:], labels[1:], strict=True):
        missing = sorted(first.keys() ^ other.keys())
        if missing:
            lacking = name if missing[0] in first else names[0]
            raise InputError(
                f"{part / names[0]} has {len(first)} images and {part / name} {len(other)}: {lacking} has no index "
                f"{missing[0]}. Each index is one example in every modality; unpack the dataset again"
            )
        for index, label in first.items():
            if other[index] != label:
                raise InputError(
                    f"example {index} of {part} has label {label} in {names[0]} and {other[index]} in {name}: all "
                    "modalities of an example show the same digit"
                )
    order = sorted(first)
    kept = _first(order, count, part)
    files = [[part / name / f"{index}.{first[index]}.png" for index in kept] for name in names]
    return files, frozen(np.array([first[index] for index in kept], dtype=np.int64))


def _polymnist_labels(folder: Path, layout: str) -> dict[int, int]:
    """Index to label, from the names of the files."""
    found: dict[int, int] = {}
    for name in names_in(folder):
        match = _POLYMNIST_NAME.fullmatch(name)
        if not match or name != f"{int(match[1])}.{match[2]}.png":
            raise InputError(f"{folder / name} is not named as an example. {layout}")
        index = int(match[1])
        if index in found:
            raise InputError(f"{folder} has index {index} twice, as label {found[index]} and {match[2]}: remove one")
        found[index] = int(match[2])
    if not found:
        raise InputError(f"{folder} is empty. {layout}")
    return found


def read_cub(
    folder: str | os.PathLike[str],
    *,
    size: int = 64,
    length: int = 32,
    at_least: int = 4,
    captions: int = 1,
    vocabulary: Vocabulary | None = None,
    n_train: int | None = None,
    n_held_out: int | None = None,
    track: Track = no_progress,
) -> Dataset:
    """Caltech-UCSD Birds with captions, laid out as in the literature on multimodal VAEs (from MMVAE on).

    - ``train/<class>/*.jpg`` and ``test/<class>/*.jpg``: images; the classes of the two parts differ.
    - ``text_trainvalclasses.txt`` and ``text_testclasses.txt``: ten captions for each image, one a line, with the
      images in alphabetical order of class and file.

    Nothing is downloaded. Images have all sizes and are resampled to a square. The 8855 + 2933 images of 64 x 64 take
    0.54 GiB as float32, and each takes that again for every caption more; what does not fit into half of the free
    memory is refused before an image is decoded. Modalities are ``image`` and ``caption``; a caption is ``length``
    token ids (lower-case words and punctuation marks, then the end, then padding).

    Args:
        folder: holds these folders and files.
        size: side of the images.
        length: tokens of a caption, the end included; longer ones are cut off.
        at_least: a word is known if training captions have it so many times.
        captions: how many captions of each image are used; each makes an example, with the image repeated.
        vocabulary: the words to use, if not those of :func:`cub_vocabulary`.
        n_train, n_held_out: so many images, the first of a fixed shuffle (so of all classes); all by default.
        track: shows progress.

    Returns:
        a dataset whose labels number the classes of both parts, in alphabetical order.

    Raises:
        InputError: a missing folder or file, with what is there and where the data belongs; captions that do not match
            the images in number, or are empty or no UTF-8 text; an unknown kind of image file, one that is damaged or
            has other colours; too few images, too much for memory.
    """
    root = Path(folder)
    _check_size(size)
    if not 1 <= captions <= CAPTIONS_PER_IMAGE:
        raise InputError(f"captions={captions}: CUB has 1 .. {CAPTIONS_PER_IMAGE} for each image")
    layout = _cub_layout(root)
    for part in _CAPTION_FILES:
        check_folder(root / part, f"images of {part}", layout)
    texts = {part: _captions(root / file, layout) for part, file in _CAPTION_FILES.items()}
    files = {part: _cub_images(root / part, layout) for part in _CAPTION_FILES}
    for part, file in _CAPTION_FILES.items():
        if len(texts[part]) != CAPTIONS_PER_IMAGE * len(files[part]):
            raise InputError(
                f"{root / file} has {len(texts[part])} captions and {root / part} {len(files[part])} images: there "
                f"are {CAPTIONS_PER_IMAGE} for each image, one a line. Unpack the dataset again"
            )
    words = Vocabulary.of(texts["train"], at_least) if vocabulary is None else vocabulary
    kept = {
        part: _first(_shuffled(len(files[part])), count, root / part)
        for part, count in (("train", n_train), ("test", n_held_out))
    }
    shape = (3, size, size)
    check_fits(
        "CUB at this size",
        (sum(map(len, kept.values())) * (captions + (captions > 1)), *shape),
        "read fewer images (n_train, n_held_out), smaller ones (size) or fewer captions of each",
        itemsize=4,
    )
    classes = {name: label for label, name in enumerate(sorted({p.parent.name for f in files.values() for p in f}))}
    parts, labels = [], []
    for part in _CAPTION_FILES:
        chosen = [files[part][i] for i in kept[part]]
        images = read_images(chosen, size, grey=True, track=track, what=part)
        if captions > 1:
            images = frozen(np.repeat(images, captions, axis=0))
        lines = [texts[part][CAPTIONS_PER_IMAGE * i + c] for i in kept[part] for c in range(captions)]
        parts.append((images, frozen(words.encode(lines, length))))
        labels.append(frozen(np.repeat([classes[path.parent.name] for path in chosen], captions)))
    modalities = (Modality("image", shape), Modality("caption", (length,), len(words)))
    return Dataset("cub", modalities, parts[0], parts[1], labels[0], labels[1], n_classes=len(classes))


def cub_vocabulary(folder: str | os.PathLike[str], at_least: int = 4) -> Vocabulary:
    """The words of CUB's training captions, to turn token ids into text again.

    Raises:
        InputError: a missing file, with where the data belongs, or no UTF-8 text.
    """
    root = Path(folder)
    return Vocabulary.of(_captions(root / _CAPTION_FILES["train"], _cub_layout(root)), at_least)


def _cub_layout(root: Path) -> str:
    return (
        f"CUB with captions belongs in {root}{os.sep}: folders train and test with a folder of images for each class, "
        f"and {' and '.join(_CAPTION_FILES.values())} with {CAPTIONS_PER_IMAGE} lines for each image"
    )


def _captions(path: Path, layout: str) -> list[str]:
    """The lines of a caption file."""
    check_folder(path.parent, "the dataset", layout)
    if not path.is_file():
        raise InputError(f"there is no file {path}; {path.parent} has {shown(names_in(path.parent))}. {layout}")
    with damage(f"{path} cannot be read as UTF-8 text", OSError, UnicodeError):
        if path.stat().st_size > MAX_CAPTION_BYTES:
            raise InputError(f"{path} has more than {MAX_CAPTION_BYTES >> 20} MiB: it is not a file of captions")
        # Not splitlines(), which also ends a line at characters that may stand inside a caption.
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    empty = next((i for i, line in enumerate(lines) if not line.strip()), None)
    if empty is not None:
        raise InputError(f"{path} has no caption in line {empty + 1}: every line is one. {layout}")
    return lines


def _cub_images(folder: Path, layout: str) -> list[Path]:
    """The images of all classes, in alphabetical order of class and file, which is the order of the captions."""
    found = []
    for name in names_in(folder):
        check_folder(folder / name, "a class of images", layout)
        for file in names_in(folder / name):
            path = folder / name / file
            if path.suffix.lower() not in FORMATS:
                raise InputError(f"{path} is not an image ({', '.join(FORMATS)}): remove it. {layout}")
            found.append(path)
    if not found:
        raise InputError(f"{folder} has no images. {layout}")
    return found


def _shuffled(count: int) -> list[int]:
    """The same order every time: the first images of a part are otherwise all of one class."""
    return [int(i) for i in np.random.default_rng(0).permutation(count)]


def _first(order: Sequence[int], count: int | None, where: Path) -> list[int]:
    if count is None:
        return list(order)
    if not 1 <= count <= len(order):
        raise InputError(
            f"{count} examples of {where}, which has {len(order)}: give 1 .. {len(order)}, or None for all"
        )
    return list(order[:count])


def _check_size(size: int) -> None:
    if size < 1:
        raise InputError(f"size={size}: give the side of the images in pixels")
