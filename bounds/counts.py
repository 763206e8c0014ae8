"""How often each value occurs, for all subsets of discrete columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

#: Values are counted in a table of all possible ones where that has at most this many cells for each row;
#: otherwise by sorting.
DENSE_CELLS_PER_ROW = 4
_MAX_CODE = 2**62


def lattice_counts(
    columns: Sequence[np.ndarray], alphabets: Sequence[int], weights: np.ndarray | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Counts of the joint values of every nonempty subset of columns.

    Args:
        columns: one ``(N,)`` integer array for each variable, with values ``0 .. alphabet - 1``.
        alphabets: the number of symbols of each column.
        weights: ``(N,)``, how often each row occurs; by default once. Exact up to 2^53 rows in all.

    Yields:
        ``(subset bitmask, counts)``, the counts positive and in no particular order. Each subset comes once.

    A subset is counted from the distinct values of a subset with one variable more, never again from the rows.

    >>> [(mask, counts.tolist()) for mask, counts in lattice_counts([np.array([0, 1, 1])], [2])]
    [(1, [1, 2])]
    """
    # Wide columns are dropped first, so that most subsets descend from small tables.
    order = sorted(range(len(columns)), key=lambda i: -alphabets[i])
    rows = [np.asarray(columns[i]) for i in order]
    for kept, counts in _descend(rows, [alphabets[i] for i in order], weights, list(range(len(order))), 0):
        yield sum(1 << order[i] for i in kept), counts


def joint_code(columns: Sequence[np.ndarray], alphabets: Sequence[int]) -> tuple[np.ndarray, int]:
    """One integer code for each row of several columns, and how many codes are possible.

    Codes are mixed-radix numbers; where these would overflow they are ranked first.
    """
    code, size = np.asarray(columns[0], dtype=np.int64), alphabets[0]
    for column, alphabet in zip(columns[1:], alphabets[1:], strict=True):
        if size * alphabet > _MAX_CODE:
            distinct, code = np.unique(code, return_inverse=True)
            size = len(distinct)
        code = code * alphabet + column
        size *= alphabet
    return code, size


def _descend(
    columns: list[np.ndarray], alphabets: list[int], weights: np.ndarray | None, kept: list[int], start: int
) -> Iterator[tuple[list[int], np.ndarray]]:
    """All subsets that keep the columns before ``start``, each reached by dropping columns in order."""
    code, size = joint_code(columns, alphabets)
    dense = size <= DENSE_CELLS_PER_ROW * len(code)
    if dense:
        table = np.bincount(code, weights)
        values = np.flatnonzero(table)
        counts = table[values].astype(np.int64)
    else:
        _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        counts = np.bincount(inverse, weights).astype(np.int64)
    yield kept, counts
    if len(columns) == 1 or start == len(columns):
        return
    if dense:
        row_of = np.empty(len(table), dtype=np.int64)
        row_of[code] = np.arange(len(code))
        first = row_of[values]
    distinct = [column[first] for column in columns]
    for i in range(start, len(columns)):
        yield from _descend(
            distinct[:i] + distinct[i + 1 :], alphabets[:i] + alphabets[i + 1 :], counts, kept[:i] + kept[i + 1 :], i
        )
