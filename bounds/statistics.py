"""What estimators need of a dataset when they do not need its rows: joint counts, or means and covariances.

Both can be got from parts of the data and merged, so data need not fit in memory, or on one machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bounds.counts import DENSE_CELLS_PER_ROW, joint_code
from bounds.errors import InputError
from bounds.layout import Layout
from bounds.samples import Samples

#: How far from symmetric a scatter matrix may be, relative to its largest entry: rounding only.
_SYMMETRY = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class JointCounts:
    """How often each joint row of discrete columns occurs.

    Args:
        layout: the modalities and their columns; every column is a decoder unit, as in :class:`bounds.samples.Samples`.
        columns: ``(R,)`` int64 each, codes ``0 .. k - 1`` of the rows. Rows may repeat: :meth:`grouped` joins them.
        alphabets: for each column the number of its symbols.
        counts: ``(R,)`` int64, how often each row occurs, positive.
        source: where the data came from, in words.
        bin_widths: for each column the smallest step between its numbers, as in ``Samples``. By default all 0.

    There may be no rows at all, which is what an empty part of a dataset has.

    Raises:
        InputError: columns or counts that do not fit the layout, each other, or the alphabets.
    """

    layout: Layout
    columns: tuple[np.ndarray, ...]
    alphabets: tuple[int, ...]
    counts: np.ndarray
    source: str = "arrays"
    bin_widths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        names = self.layout.unit_names
        widths = tuple(self.bin_widths) or (0.0,) * len(names)
        _check_scalar_units(self.layout)
        if not len(names) == len(self.columns) == len(self.alphabets) == len(widths):
            raise InputError(
                f"{len(self.columns)} columns, {len(self.alphabets)} alphabets and {len(widths)} bin widths for "
                f"{len(names)} units: give one each"
            )
        rows = len(self.counts)
        for name, column, alphabet in zip(names, self.columns, self.alphabets, strict=True):
            if column.shape != (rows,) or column.dtype != np.int64:
                raise InputError(f"column {name!r} is {column.dtype} {column.shape}: use int64 codes of {rows} rows")
            if rows and not 0 <= column.min() <= column.max() < alphabet:
                raise InputError(f"column {name!r} has codes outside 0 .. {alphabet - 1}")
        if self.counts.shape != (rows,) or self.counts.dtype != np.int64 or (rows and self.counts.min() < 1):
            raise InputError("counts of joint rows are one positive int64 each")
        object.__setattr__(self, "columns", tuple(_frozen(column) for column in self.columns))
        object.__setattr__(self, "counts", _frozen(self.counts))
        object.__setattr__(self, "alphabets", tuple(int(alphabet) for alphabet in self.alphabets))
        object.__setattr__(self, "bin_widths", widths)

    def __repr__(self) -> str:
        return f"JointCounts({self.n} rows of {', '.join(self.names)}, {len(self.counts)} kept; from {self.source})"

    @property
    def n(self) -> int:
        """Number of rows of the data."""
        return int(self.counts.sum())

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities."""
        return self.layout.names

    @property
    def kind(self) -> str:
        """``"discrete"``."""
        return "discrete"

    @classmethod
    def of(cls, samples: Samples) -> JointCounts:
        """Those of discrete samples, whose rows it keeps as they are, each counted once: nothing is sorted.

        >>> data = Samples.from_arrays({"a": np.array([0, 1, 1]), "b": np.array([1, 0, 0])})
        >>> JointCounts.of(data).grouped().counts.tolist()
        [1, 2]

        Raises:
            InputError: continuous or mixed samples.
        """
        if samples.kind != "discrete":
            raise InputError(f"only discrete columns have joint counts, these are {samples.kind}: declare their types")
        ones = np.ones(samples.n, dtype=np.int64)
        return cls(samples.layout, samples.columns, samples.alphabets, ones, samples.source, samples.bin_widths)

    def grouped(self) -> JointCounts:
        """The same counts, each distinct row once, in lexicographic order of the codes."""
        if not len(self.counts):
            return self
        columns, counts = group(self.columns, self.alphabets, self.counts)
        return JointCounts(self.layout, columns, self.alphabets, counts, self.source, self.bin_widths)

    def merge(self, other: JointCounts) -> JointCounts:
        """The counts of two parts of a dataset together, grouped. Exact, so the order of merging does not matter.

        Codes must mean the same symbols in both. Parts that do not know each other's symbols are merged before they
        are coded, see :class:`bounds.streaming.symbols.SymbolCounts`.

        Raises:
            InputError: other columns, alphabets or bin widths.
        """
        _check_same_columns(self.layout, other.layout)
        if (self.alphabets, self.bin_widths) != (other.alphabets, other.bin_widths):
            raise InputError("the parts have different alphabets or bin widths: code both with the same symbols")
        columns = tuple(np.concatenate(pair) for pair in zip(self.columns, other.columns, strict=True))
        counts = np.concatenate([self.counts, other.counts])
        return JointCounts(self.layout, columns, self.alphabets, counts, self.source, self.bin_widths).grouped()


@dataclass(frozen=True, eq=False, repr=False)
class Moments:
    """Number of rows, means, and sums of centred products of continuous columns.

    Args:
        layout: the modalities and their columns; every column is a decoder unit.
        n: number of rows, 0 for an empty part.
        mean: ``(d,)`` float64.
        scatter: ``(d, d)`` float64, the sum over rows of ``(x - mean) (x - mean)'``.
        source: where the data came from, in words.

    Raises:
        InputError: shapes that do not fit the layout, values that are not finite, a matrix that is no scatter.
    """

    layout: Layout
    n: int
    mean: np.ndarray
    scatter: np.ndarray
    source: str = "arrays"

    def __post_init__(self) -> None:
        _check_scalar_units(self.layout)
        d = self.layout.n_variables
        mean, scatter = np.asarray(self.mean, dtype=np.float64), np.asarray(self.scatter, dtype=np.float64)
        if mean.shape != (d,) or scatter.shape != (d, d):
            raise InputError(f"{d} columns have a mean ({d},) and a scatter ({d}, {d}): {mean.shape}, {scatter.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(scatter).all()):
            raise InputError("means or sums of products overflow, or are NaN: rescale the columns")
        if self.n < 0 or (scatter.diagonal() < 0).any() or (self.n == 0 and (mean.any() or scatter.any())):
            raise InputError(f"these are no moments of {self.n} rows: a sum of squares is negative, or of nothing")
        if np.abs(scatter - scatter.T).max() > _SYMMETRY * np.abs(scatter).max():
            raise InputError("the scatter matrix is not symmetric")
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "mean", _frozen(mean))
        object.__setattr__(self, "scatter", _frozen(scatter))

    def __repr__(self) -> str:
        return f"Moments({self.n} rows of {', '.join(self.names)}; from {self.source})"

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities."""
        return self.layout.names

    @property
    def kind(self) -> str:
        """``"continuous"``."""
        return "continuous"

    @property
    def cov(self) -> np.ndarray:
        """``(d, d)``, the unbiased covariance.

        >>> data = Samples.from_arrays({"x": np.array([0.5, 1.5, 4.0])})
        >>> round(float(Moments.of(data).cov[0, 0]), 6)
        3.25

        Raises:
            InputError: fewer than two rows.
        """
        if self.n < 2:
            raise InputError(f"{self.n} rows have no covariance: give at least two")
        return self.scatter / (self.n - 1)

    @classmethod
    def of(cls, samples: Samples) -> Moments:
        """Those of continuous samples.

        Raises:
            InputError: discrete or mixed samples.
        """
        if samples.kind != "continuous":
            raise InputError(
                f"only continuous columns have means and covariances, these are {samples.kind}: declare their types"
            )
        return cls.of_rows(samples.layout, np.column_stack(samples.columns), samples.source)

    @classmethod
    def of_rows(cls, layout: Layout, rows: np.ndarray, source: str = "arrays") -> Moments:
        """Those of an ``(N, d)`` array; ``N`` may be 0.

        Raises:
            InputError: values that are not finite, or too large for their squares.
        """
        rows = np.asarray(rows, dtype=np.float64)
        d = layout.n_variables
        if not len(rows):
            return cls(layout, 0, np.zeros(d), np.zeros((d, d)), source)
        with np.errstate(over="ignore", invalid="ignore"):  # said by the constructor
            mean = rows.mean(axis=0)
            centred = rows - mean
            return cls(layout, len(rows), mean, centred.T @ centred, source)

    def merge(self, other: Moments) -> Moments:
        """The moments of two parts of a dataset together.

        The formula of Chan, Golub and LeVeque (1983), in which no large numbers cancel.

        Raises:
            InputError: other columns.
        """
        _check_same_columns(self.layout, other.layout)
        if not (self.n and other.n):
            return self if self.n else other
        n = self.n + other.n
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.n / n)
        between = np.outer(shift, shift) * (self.n * (other.n / n))
        return Moments(self.layout, n, mean, self.scatter + other.scatter + between, self.source)


#: Statistics that stand for rows.
Statistics = JointCounts | Moments


def group(
    columns: Sequence[np.ndarray], alphabets: Sequence[int], counts: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The distinct rows of some columns of codes, in lexicographic order, and the sum of the counts of each.

    >>> columns, counts = group([np.array([1, 0, 1])], [2], np.array([1, 2, 3]))
    >>> columns[0].tolist(), counts.tolist()
    ([0, 1], [2, 4])
    """
    code, size = joint_code(columns, alphabets)
    if size <= DENSE_CELLS_PER_ROW * len(code):
        totals = np.zeros(size, dtype=np.int64)
        np.add.at(totals, code, counts)
        row_of = np.empty(size, dtype=np.int64)
        row_of[code] = np.arange(len(code))
        present = np.flatnonzero(totals)
        return tuple(column[row_of[present]] for column in columns), totals[present]
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    totals = np.zeros(len(first), dtype=np.int64)
    np.add.at(totals, inverse, counts)
    return tuple(column[first] for column in columns), totals


def _frozen(array: np.ndarray) -> np.ndarray:
    if array.flags.writeable:
        array = array.copy()
        array.setflags(write=False)
    return array


def _check_scalar_units(layout: Layout) -> None:
    if len(layout.unit_names) != layout.n_variables:
        raise InputError("every column of a dataset is a unit of its own: use Layout.of(..., units='scalar')")


def _check_same_columns(one: Layout, other: Layout) -> None:
    if one != other:
        raise InputError(
            f"the parts have different columns: {', '.join(one.unit_names)} in {', '.join(one.names)}, and "
            f"{', '.join(other.unit_names)} in {', '.join(other.names)}"
        )
