"""How often each joint row of symbols occurs, mergeable between parts that do not know each other's symbols."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bounds.columns import COMPLETE_OFFERED
from bounds.errors import InputError
from bounds.statistics import group


@dataclass(frozen=True, eq=False)
class SymbolCounts:
    """Distinct rows of symbols with their counts.

    Args:
        symbols: for each column its distinct values in sorted order: numbers, booleans, or text as an object array.
        columns: ``(R,)`` int64 each, positions in ``symbols``; rows are distinct and in lexicographic order.
        counts: ``(R,)`` int64, positive.
    """

    symbols: tuple[np.ndarray, ...]
    columns: tuple[np.ndarray, ...]
    counts: np.ndarray

    @property
    def n(self) -> int:
        """Number of rows of the data."""
        return int(self.counts.sum())

    @classmethod
    def of_rows(cls, values: Sequence[np.ndarray], counts: np.ndarray) -> SymbolCounts:
        """Those of rows of values, one array for each column, which may repeat.

        >>> found = SymbolCounts.of_rows([np.array(["b", "a", "b"], dtype=object)], np.array([1, 2, 3]))
        >>> found.symbols[0].tolist(), found.counts.tolist()
        (['a', 'b'], [2, 4])
        """
        coded = [np.unique(column, return_inverse=True) for column in values]
        return _grouped([symbols for symbols, _ in coded], [codes for _, codes in coded], counts)

    def merge(self, other: SymbolCounts) -> SymbolCounts:
        """The counts of both parts. Exact: the order of merging does not matter."""
        symbols = [np.union1d(one, two) for one, two in zip(self.symbols, other.symbols, strict=True)]
        columns = [
            np.concatenate([np.searchsorted(union, part.symbols[i])[part.columns[i]] for part in (self, other)])
            for i, union in enumerate(symbols)
        ]
        return _grouped(symbols, columns, np.concatenate([self.counts, other.counts]))

    def margin(self, column: int) -> np.ndarray:
        """``(k,)`` int64, how often each symbol of a column occurs."""
        totals = np.zeros(len(self.symbols[column]), dtype=np.int64)
        np.add.at(totals, self.columns[column], self.counts)
        return totals

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays that an .npz archive can hold without pickling."""
        found = {"counts": self.counts}
        for i, (symbols, column) in enumerate(zip(self.symbols, self.columns, strict=True)):
            found[f"column{i}"] = column
            if symbols.dtype == object:
                found[f"text{i}"] = np.frombuffer(json.dumps(symbols.tolist()).encode(), dtype=np.uint8)
            else:
                found[f"symbols{i}"] = symbols
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> SymbolCounts:
        """What :meth:`to_arrays` wrote."""
        width = sum(name.startswith("column") for name in arrays)
        symbols = [
            np.array(json.loads(arrays[f"text{i}"].tobytes()), dtype=object)
            if f"text{i}" in arrays
            else arrays[f"symbols{i}"]
            for i in range(width)
        ]
        return cls(tuple(symbols), tuple(arrays[f"column{i}"] for i in range(width)), arrays["counts"])


def _grouped(symbols: Sequence[np.ndarray], columns: Sequence[np.ndarray], counts: np.ndarray) -> SymbolCounts:
    alphabets = [len(distinct) for distinct in symbols]
    codes = [column.astype(np.int64, copy=False) for column in columns]
    if not len(counts):
        return SymbolCounts(tuple(symbols), tuple(codes), counts)
    rows, totals = group(codes, alphabets, counts)
    return SymbolCounts(tuple(symbols), rows, totals)


def without_missing(label: str, values: Any, counts: np.ndarray) -> np.ndarray:
    """A column of distinct rows, none of it missing, NaN or infinite.

    Raises:
        InputError: in how many rows it is.
    """
    bad = np.ma.getmaskarray(values)
    plain = np.ma.getdata(values)
    what, offered = "missing", f", {COMPLETE_OFFERED}"
    if plain.dtype.kind == "f" and not bad.any():
        bad, what = ~np.isfinite(plain), "NaN or infinite"
        offered = offered if np.isnan(plain).any() else ""
    if bad.any():
        raise InputError(
            f"{label} is {what} in {int(counts[bad].sum())} of {int(counts.sum())} rows: "
            f"drop these rows in all modalities or fill them{offered}"
        )
    return plain
