"""Laws and datasets in ``.npz`` archives. Nothing is unpickled, and headers are read before data."""

from __future__ import annotations

import io
import lzma
import math
import struct
import sys
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bounds.column_mapping import assign, check_unique
from bounds.damage import damage
from bounds.errors import InputError
from bounds.joints import Discrete, Gaussian
from bounds.memory import check_fits
from bounds.samples import columns_of

#: The longest header of an array, in bytes.
MAX_ARRAY_HEADER = 1 << 16

#: What zipfile and the decompressors raise for a damaged archive.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted; NotImplementedError, for a compression that is not supported, is one
    ValueError,
    OverflowError,
)
#: What numpy raises for a damaged array header.
_HEADER_ERRORS = (ValueError, TypeError, SyntaxError, KeyError, tokenize.TokenError, RecursionError, MemoryError)


@dataclass(frozen=True)
class _Member:
    """An array in an archive, by its header alone."""

    info: zipfile.ZipInfo
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


def read_npz(
    path: str, modalities: Sequence[str], types: Mapping[str, str] | None
) -> dict[str, dict[str, np.ndarray]] | Discrete | Gaussian:
    """A law from ``pmf`` or ``cov``, otherwise the columns of a dataset by modality: :func:`bounds.readers.read`."""
    with damage("is not a complete .npz archive", *ZIP_ERRORS):
        archive = zipfile.ZipFile(path)
    with archive:
        infos = archive.infolist()
        names = [array_name(info) for info in infos]
        check_unique(names, "array")
        laws = [key for key in ("pmf", "cov") if key in names]
        if laws and (modalities or types):
            raise InputError(f"holds a law ({laws[0]!r}): modalities and types are chosen for arrays of samples only")
        if laws:
            return _law(archive, laws[0], names)
        groups = assign(modalities, names, "array")
        members = {m: [read_header(archive, infos[i], names[i]) for i in chosen] for m, chosen in groups.items()}
        cells = sum(math.prod(member.shape) for chosen in members.values() for member in chosen)
        check_fits("all arrays together", (cells,), "choose fewer with --modalities, or fewer rows", 16)
        return {m: columns_of(m, [(one.name, read_array(archive, one)) for one in many]) for m, many in members.items()}


def array_name(info: zipfile.ZipInfo) -> str:
    """The name of an array in an archive."""
    if not info.filename.endswith(".npy"):
        raise InputError(f"{info.filename!r} in the archive is no .npy array: write the file with numpy.savez")
    return info.filename.removesuffix(".npy")


def read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> _Member:
    """The declared shape and type of an array, checked against the memory and the archive before it is loaded."""
    with damage(f"array {name!r} is damaged", *ZIP_ERRORS), archive.open(info) as stream:
        start = io.BytesIO(stream.read(MAX_ARRAY_HEADER))
    try:
        shape, dtype = _shape_and_type(start)
    except _HEADER_ERRORS:
        raise InputError(f"array {name!r} has a damaged header: write the file again with numpy.savez") from None
    if dtype.hasobject:
        raise InputError(
            f"array {name!r} holds pickled Python objects, which are never loaded: save it as numbers or text"
        )
    if dtype.itemsize == 0 or len(shape) > 64 or any(k < 0 for k in shape):
        raise InputError(f"array {name!r} has a damaged header (shape {shape}, type {dtype})")
    check_fits(f"array {name!r}", shape, "give fewer rows or modalities", max(8, dtype.itemsize))
    if info.file_size != start.tell() + math.prod(shape) * dtype.itemsize:
        raise InputError(
            f"array {name!r} is damaged: its header declares the shape {shape} of {dtype}, "
            f"the archive {info.file_size} bytes"
        )
    return _Member(info, name, shape, dtype)


def _shape_and_type(start: io.BytesIO) -> tuple[tuple[int, ...], np.dtype]:
    """What the header of an array says. Files written by Python 2 make numpy warn, to no purpose here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = readers[np.lib.format.read_magic(start)](start)
    return shape, dtype


def read_array(archive: zipfile.ZipFile, member: _Member) -> np.ndarray:
    """The array itself; nothing is ever unpickled."""
    with damage(f"array {member.name!r} is damaged", *ZIP_ERRORS), archive.open(member.info) as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    if array.dtype.kind == "U" and array.size:
        points = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(-1).view(np.uint32)
        if points.max() > sys.maxunicode:
            raise InputError(f"array {member.name!r} is damaged: it holds text with characters that do not exist")
    return array


def _law(archive: zipfile.ZipFile, key: str, names: Sequence[str]) -> Discrete | Gaussian:
    fields = (key, "sizes", "units", "names")
    extra = [name for name in names if name not in fields]
    if extra:
        raise InputError(f"array {extra[0]!r} beside {key!r}: a law has {', '.join(fields)}")
    infos = dict(zip(names, archive.infolist(), strict=True))
    arrays = {name: read_array(archive, read_header(archive, infos[name], name)) for name in names}
    for name, array in arrays.items():
        expected = {key: "biuf", "names": "U", "sizes": "iu", "units": "iu"}[name]
        scalar = name == "units" and array.ndim == 0 and array.dtype.kind == "U"
        if not scalar and (array.dtype.kind not in expected or (name != key and array.ndim != 1)):
            kind = "numbers" if name == key else "a list of text" if name == "names" else "a list of whole numbers"
            raise InputError(f"array {name!r} has shape {array.shape} of type {array.dtype}: give {kind}")
    table = arrays.pop(key)
    options: dict[str, Any] = {name: array.tolist() for name, array in arrays.items()}
    return Discrete(table, **options) if key == "pmf" else Gaussian(table, **options)
