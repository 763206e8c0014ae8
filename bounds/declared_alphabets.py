"""Alphabets that are known from elsewhere, where the rows do not show all symbols."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from bounds.errors import InputError
from bounds.layout import Layout
from bounds.samples import Samples, did_you_mean
from bounds.statistics import JointCounts

_Data = TypeVar("_Data", bound=Samples | JointCounts)


def with_alphabets(data: _Data, sizes: Mapping[str, int]) -> _Data:
    """The same data with the number of symbols that columns can have.

    By default an alphabet is what was observed. Guaranteed intervals assume that this is all of it, and so does the
    estimator ``nsb``; a column with many symbols that occur once is refused, unless its alphabet is declared.

    Args:
        data: rows or joint counts.
        sizes: column, or modality for each of its columns, to the number of symbols; a column's own comes first.

    Raises:
        InputError: an unknown name, a column of numbers, fewer symbols than were observed.

    >>> import numpy as np
    >>> with_alphabets(Samples.from_arrays({"die": np.array([1, 6, 3, 6])}, {"die": "discrete"}), {"die": 6}).alphabets
    (6,)
    """
    layout = data.layout
    check_known(sizes, layout)
    found = list(data.alphabets)
    for modality, name in enumerate(layout.names):
        for unit in layout.variables_of_modalities(1 << modality):
            column = layout.unit_names[unit]
            size = sizes.get(column, sizes.get(name))
            if size is None:
                continue
            if not found[unit]:
                raise InputError(f"column {column!r} holds numbers, which have no alphabet: declare it discrete")
            if isinstance(size, bool) or not isinstance(size, int | np.integer):
                raise InputError(f"an alphabet of {size!r} for {column!r}: give a whole number of symbols")
            if size < found[unit]:
                raise InputError(f"column {column!r} shows {found[unit]} symbols: an alphabet of {size} is too small")
            found[unit] = int(size)
    return replace(data, alphabets=tuple(found))


def check_known(names: Iterable[str], layout: Layout) -> None:
    """Refuses alphabets of what is no modality or column of a layout.

    Raises:
        InputError: the name, and those that are known.
    """
    known = list(dict.fromkeys([*layout.names, *layout.unit_names]))
    for name in names:
        if name not in known:
            raise InputError(f"an alphabet is declared for {name!r}, which is no column: {did_you_mean(name, known)}")
