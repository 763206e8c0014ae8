"""Datasets in ``.h5mu`` files (MuData): annotated matrices of several modalities, for observations that may lack some.

Only what makes up the matrices is read: ``/mod/NAME/X``, the names in ``obs`` and ``var``, and which observation is
which row of a modality (``/obsmap``, ``/obsm``). Links to elsewhere, and data kept in other files, are refused.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from bounds.column_mapping import assign, check_unique
from bounds.contained import contained
from bounds.damage import damage
from bounds.errors import InputError
from bounds.memory import check_fits

if TYPE_CHECKING:
    import h5py

#: Most names of observations or variables that are read.
MAX_NAMES = 1 << 26
_NAMES, _PARTS = "names.json", ("values", "missing")
_SPARSE = {"csr_matrix": sparse.csr_matrix, "csc_matrix": sparse.csc_matrix}


def read_h5mu(path: str, modalities: Sequence[str], types: Mapping[str, str] | None) -> dict[str, dict[str, Any]]:
    """The columns of a ``.h5mu`` dataset by modality, masked where it was not observed: :func:`bounds.readers.read`.

    HDF5 is read in a process of its own, which a damaged file may stop.
    """
    if find_spec("h5py") is None:
        raise InputError("needs h5py to be read: install multimodal-bounds[omics]")
    with tempfile.TemporaryDirectory(prefix="bounds-") as folder:
        contained("bounds.multi_omics:extract", path, modalities, folder, "the HDF5 library")
        names = json.loads(Path(folder, _NAMES).read_text(encoding="utf-8"))
        found: dict[str, dict[str, Any]] = {}
        for i, (modality, columns) in enumerate(names):
            values, missing = (np.load(Path(folder, f"{what}{i}.npy"), allow_pickle=False) for what in _PARTS)
            found[modality] = {
                column: np.ma.array(values[:, k], mask=missing[:, k]) if missing[:, k].any() else values[:, k]
                for k, column in enumerate(columns)
            }
    return found


def extract(path: str, folder: str, modalities: Sequence[str]) -> None:
    """Leaves what :func:`read_h5mu` returns in a folder, as arrays and names.

    Raises:
        InputError: a file that is damaged, in another layout, or does not fit in memory.
    """
    import h5py

    # h5py turns what the library says into nearly any exception.
    with damage("is not a complete .h5mu file", Exception), h5py.File(path, "r") as file:
        axis = int(file.attrs.get("axis", 0))
        if axis != 0:
            raise InputError(f"shares axis {axis}: modalities must share observations (axis 0)")
        mod = _group(file, "mod")
        names = [str(name) for name in mod]
        # The order in which MuData keeps them; HDF5 sorts.
        order = [str(name) for name in np.asarray(mod.attrs.get("mod-order", names)).tolist()]
        names = order if sorted(order) == sorted(names) else names
        observations = _index(_group(file, "obs"), "obs")
        variables = {m: _index(_group(_group(mod, m), "var"), f"mod/{m}/var") for m in names}
        known = [f"{m}/{name}" for m in names for name in variables[m]]
        check_unique(known, "variable")
        place = [(m, i) for m in names for i in range(len(variables[m]))]
        chosen = assign(modalities, known, "variable") if modalities else _whole(place, names)
        total = sum(len(columns) for columns in chosen.values())
        check_fits("the matrix", (len(observations), total), "choose fewer variables with --modalities", 32)
        rows = {m: _rows(file, mod, m, observations) for m in {place[i][0] for many in chosen.values() for i in many}}
        matrices = {m: _matrix(_group(mod, m), m, len(variables[m])) for m in rows}
        for m, where in rows.items():
            if where.size and where.max() >= matrices[m].shape[0]:
                raise InputError(f"obsmap of {m!r} names row {where.max()}, and X has {matrices[m].shape[0]}")
        for i, many in enumerate(chosen.values()):
            columns = [_column(matrices[place[k][0]], place[k][1], rows[place[k][0]]) for k in many]
            missing = [rows[place[k][0]] < 0 for k in many]
            for what, arrays in zip(_PARTS, (columns, missing), strict=True):
                stacked = np.column_stack(arrays) if arrays else np.empty((len(observations), 0))
                np.save(Path(folder, f"{what}{i}.npy"), stacked, allow_pickle=False)
        named = [(name, [known[k] for k in many]) for name, many in chosen.items()]
        Path(folder, _NAMES).write_text(json.dumps(named), encoding="utf-8")


def _whole(place: Sequence[tuple[str, int]], names: Sequence[str]) -> dict[str, list[int]]:
    """Without a choice, each modality has all its variables."""
    chosen: dict[str, list[int]] = {m: [] for m in names}
    for position, (m, _) in enumerate(place):
        chosen[m].append(position)
    return chosen


def _member(group: h5py.Group, name: str) -> Any:
    """What a group holds under a name, if the file holds it itself."""
    import h5py

    link = group.get(name, getlink=True)
    if link is None:
        raise InputError(f"has no {group.name.rstrip('/')}/{name}: write the file with mudata")
    if not isinstance(link, h5py.HardLink):
        raise InputError(f"{group.name.rstrip('/')}/{name} links to elsewhere, which is not followed: copy it in")
    return group[name]


def _group(group: h5py.Group, name: str) -> h5py.Group:
    import h5py

    found = _member(group, name)
    if not isinstance(found, h5py.Group):
        raise InputError(f"{found.name} is no group: write the file with mudata 0.2 or newer")
    return found


def _array(group: h5py.Group, name: str, kinds: str, *axes: int) -> np.ndarray:
    """A dataset of some kinds of numbers, which fits in memory and is in this file."""
    import h5py

    found = _member(group, name)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in kinds or len(found.shape) not in axes:
        what = f"{found.dtype} {found.shape}" if isinstance(found, h5py.Dataset) else "a group"
        raise InputError(f"{found.name} is {what}: expected numbers with {axes[0]} axes")
    _check_own(found)
    check_fits(str(found.name), found.shape, "give fewer rows or variables", max(8, found.dtype.itemsize))
    array: np.ndarray = found[...]
    return array


def _check_own(dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        raise InputError(f"{dataset.name} keeps its data in other files, which are not opened: copy it in")


def _index(frame: h5py.Group, what: str) -> list[str]:
    """The names of the rows of a table."""
    import h5py

    key = frame.attrs.get("_index", "_index")
    found = _member(frame, key if isinstance(key, str) else "_index")
    if not isinstance(found, h5py.Dataset) or h5py.check_string_dtype(found.dtype) is None or len(found.shape) != 1:
        raise InputError(f"the index of {what} is no list of text: write the file with mudata 0.2 or newer")
    _check_own(found)
    if found.shape[0] > MAX_NAMES:
        raise InputError(f"the index of {what} declares {found.shape[0]} names: is the file damaged?")
    check_fits(f"the index of {what}", found.shape, "give fewer rows or variables", 64)
    return [str(name) for name in found.asstr()[...].tolist()]


def _rows(file: h5py.File, mod: h5py.Group, name: str, observations: Sequence[str]) -> np.ndarray:
    """``(N,)``: the row of a modality for each observation, -1 where there is none."""
    if "obsmap" in file and name in _group(file, "obsmap"):
        # From 1 on; 0 where the observation has no such row.
        rows = _array(_group(file, "obsmap"), name, "iu", 1).astype(np.int64) - 1
        if len(rows) != len(observations) or rows.min(initial=0) < -1:
            raise InputError(f"obsmap of {name!r} does not fit the {len(observations)} observations")
    else:
        own = _index(_group(_group(mod, name), "obs"), f"mod/{name}/obs")
        check_unique(own, f"observation of {name!r}")
        position = {one: i for i, one in enumerate(own)}
        rows = np.array([position.get(one, -1) for one in observations], dtype=np.int64)
    if "obsm" in file and name in _group(file, "obsm"):
        # MuData writes a column of a matrix.
        mask = _array(_group(file, "obsm"), name, "b", 1, 2).reshape(-1)
        if not np.array_equal(mask, rows >= 0):
            raise InputError(f"obsm of {name!r} says otherwise than its rows which observations it has")
    if not (rows >= 0).any():
        raise InputError(f"modality {name!r} has none of the observations")
    return rows


def _matrix(modality: h5py.Group, name: str, n_variables: int) -> Any:
    """``X`` as an array, or sparse by columns."""
    import h5py

    if isinstance(_member(modality, "X"), h5py.Dataset):
        dense = _array(modality, "X", "biuf", 2)
        if dense.shape[1] != n_variables:
            raise InputError(f"X of {name!r} has {dense.shape[1]} columns for {n_variables} variables")
        return dense
    stored = _group(modality, "X")
    kind, shape = stored.attrs.get("encoding-type"), np.asarray(stored.attrs.get("shape", ()))
    if kind not in _SPARSE or shape.shape != (2,) or shape.dtype.kind not in "iu" or shape[1] != n_variables:
        raise InputError(f"X of {name!r} is encoded as {kind!r} {shape.tolist()}: write it dense, CSR or CSC")
    parts = tuple(_array(stored, part, "biuf" if part == "data" else "iu", 1) for part in ("data", "indices", "indptr"))
    with damage(f"X of {name!r} is damaged", ValueError, TypeError, OverflowError):
        check_fits(f"X of {name!r}", (int(shape[0]),), "give fewer rows")
        matrix = _SPARSE[kind](parts, shape=(int(shape[0]), int(shape[1])))
        matrix.check_format(full_check=True)
        return matrix.tocsc()


def _column(matrix: Any, position: int, rows: np.ndarray) -> np.ndarray:
    """``(N,)``: a variable for each observation; where its modality has no such row, what its first row has."""
    values = matrix[:, [position]].toarray()[:, 0] if sparse.issparse(matrix) else matrix[:, position]
    found: np.ndarray = values[np.where(rows < 0, 0, rows)]
    return found
