"""Files to a dataset or a law, by suffix."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, overload

from bounds.damage import shortened
from bounds.errors import InputError
from bounds.image_folders import is_image_folder, read_image_folder
from bounds.joints import Discrete, Gaussian
from bounds.missing import PartlyObserved, Table, by_rule
from bounds.multi_omics import read_h5mu
from bounds.npz import read_npz
from bounds.samples import Samples
from bounds.tables import read_csv, read_parquet
from bounds.tensors import read_pt


@overload
def read(
    path: str | os.PathLike[str],
    modalities: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    *,
    missing: Literal["refuse", "complete"] = "refuse",
) -> Samples | Discrete | Gaussian: ...


@overload
def read(
    path: str | os.PathLike[str],
    modalities: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    *,
    missing: str,
) -> Samples | PartlyObserved | Discrete | Gaussian: ...


def read(
    path: str | os.PathLike[str],
    modalities: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    *,
    missing: str = "refuse",
) -> Samples | PartlyObserved | Discrete | Gaussian:
    """A dataset, or a law, from a file.

    - ``.npz`` with ``pmf``, or with ``cov``, and optionally ``sizes``, ``units`` and ``names``: a law.
    - ``.npz`` otherwise: a dataset with one array ``(N, ...)`` per modality.
    - ``.csv`` (UTF-8, names in the first line; commas, semicolons, tabs or bars between the fields) and ``.parquet``:
      a dataset with one column per modality. A column of a .csv is numbers if every value reads as one. Whole numbers
      beyond 64 bits must be declared: discrete ones are symbols as they are written, continuous ones are rounded.
    - ``.pt``: a dataset with one tensor ``(N, ...)`` per modality, in a dictionary; needs PyTorch.
    - ``.h5mu``: the matrices of a MuData file, with observations that may lack modalities; needs h5py. ``modalities``
      choose variables as ``rna/GENE``.
    - a folder with one subfolder per modality and images (.png, .jpg) in each, of the same name for the same example:
      a dataset of pixels, which are symbols 0 .. 255 unless declared continuous.

    Args:
        path: the file.
        modalities: for a dataset, ``name=columns`` for each modality, in order: names, patterns and inclusive ranges in
            the order of the file, separated by commas: ``"image=px_*"``, ``"text=w0:w9"``, ``"a=x,y,z*"``. What none
            names is left out. For an .npz the arrays take the place of columns.
        types: modality or column to ``"discrete"`` or ``"continuous"``, as in :meth:`Samples.from_arrays`.
        missing: what is done about empty cells, NaN and modalities that some rows lack: ``refuse`` them, use the
            ``complete`` rows only, or let each entropy have its rows (``per-subset``, which gives
            :class:`bounds.missing.PartlyObserved`). Both assume that values are missing completely at random.

    Raises:
        InputError: a file that is missing, damaged, empty or of an unknown suffix, or holds what
            :meth:`Samples.from_arrays`, :class:`Discrete` or :class:`Gaussian` refuse; a column that is unknown, named
            twice or in two modalities; a file too large for memory, said before it is loaded.
    """
    name = os.fspath(path)
    if isinstance(modalities, str):
        raise InputError(f"modalities={modalities!r}: give a list of 'name=columns'")
    if not os.path.isdir(name):
        _check_suffix(name)
    try:
        if is_image_folder(name):
            pixels = read_image_folder(name, tuple(modalities), types)
            declared = {**dict.fromkeys(pixels, "discrete"), **(types or {})}
            return by_rule(pixels, declared, os.path.basename(os.path.normpath(name)), missing)
        check_readable(name)
        found = _READERS[os.path.splitext(name)[1].lower()](name, tuple(modalities), types)
        if isinstance(found, Discrete | Gaussian):
            return found
        return by_rule(found, types, os.path.basename(name), missing)
    except InputError as error:
        raise InputError(f"{name}: {shortened(str(error))}") from None


def _check_suffix(name: str) -> None:
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in _READERS:
        if not os.path.exists(name):
            raise InputError(f"{name}: there is no such file or folder")
        raise InputError(
            f"{name}: unknown suffix {suffix!r}: supported are {', '.join(_READERS)}, and folders of images"
        )


def check_readable(path: str) -> None:
    """Refuses what is missing, a folder or not readable.

    Raises:
        InputError: saying which.
    """
    try:
        path.encode()
        if os.path.isdir(path):
            raise InputError("is a directory: give a file, or a folder with a subfolder of images for each modality")
        if not os.path.exists(path):
            raise InputError("there is no such file")
        if not os.path.isfile(path):
            raise InputError("is not a regular file")
        if os.path.getsize(path) == 0:
            raise InputError("the file is empty")
        with open(path, "rb"):
            pass
    except UnicodeEncodeError:
        raise InputError("the name of the file is not valid text: rename it") from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})") from None


_Reader = Callable[[str, Sequence[str], Mapping[str, str] | None], Table | Discrete | Gaussian]
_READERS: dict[str, _Reader] = {
    ".npz": read_npz,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".pt": read_pt,
    ".h5mu": read_h5mu,
}
