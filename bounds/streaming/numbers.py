"""Means, covariances and what the type rule asks of columns of numbers, in one pass over batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bounds.columns import COMPLETE_OFFERED, MAX_SYMBOLS
from bounds.errors import InputError
from bounds.layout import Layout
from bounds.statistics import Moments

#: Values are hashed to this many buckets. One that fills some share of the rows fills that share of its bucket, so
#: where no bucket is that full no value is.
BUCKETS = 256
# An even multiplier drops the sign bit, so that 0.0 and -0.0, which are equal, share a bucket.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C16)
_SHIFT = np.uint64(56)


@dataclass(frozen=True, eq=False)
class Profile:
    """Of each column: its distinct values while these are few, how full the fullest bucket of values can be.

    Args:
        values: for each column its distinct values, sorted, or ``None`` if they are more than ``MAX_SYMBOLS``.
        counts: of these values, or ``None``.
        buckets: ``(d, BUCKETS)`` int64, rows by the hash of their value; all 0 for columns of declared type.
        largest: ``(d,)`` uint64, the largest magnitude of a column of whole numbers, otherwise 0.
    """

    values: tuple[np.ndarray | None, ...]
    counts: tuple[np.ndarray | None, ...]
    buckets: np.ndarray
    largest: np.ndarray

    def merge(self, other: Profile) -> Profile:
        """That of both parts."""
        pairs = [_union(*both) for both in zip(self.values, self.counts, other.values, other.counts, strict=True)]
        return Profile(
            tuple(values for values, _ in pairs),
            tuple(counts for _, counts in pairs),
            self.buckets + other.buckets,
            np.maximum(self.largest, other.largest),
        )


@dataclass(frozen=True, eq=False)
class Numbers:
    """Moments of some columns of numbers, and their profile."""

    moments: Moments
    profile: Profile

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.moments.n

    def merge(self, other: Numbers) -> Numbers:
        """Those of both parts, to rounding."""
        return Numbers(self.moments.merge(other.moments), self.profile.merge(other.profile))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays that an .npz archive can hold without pickling."""
        moments, profile = self.moments, self.profile
        found = {"n": np.array(moments.n), "mean": moments.mean, "scatter": moments.scatter}
        found |= {"buckets": profile.buckets, "largest": profile.largest}
        for i, (values, counts) in enumerate(zip(profile.values, profile.counts, strict=True)):
            if values is not None and counts is not None:
                found |= {f"values{i}": values, f"counts{i}": counts}
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Numbers:
        """What :meth:`to_arrays` wrote."""
        width = len(arrays["mean"])
        profile = Profile(
            tuple(arrays.get(f"values{i}") for i in range(width)),
            tuple(arrays.get(f"counts{i}") for i in range(width)),
            arrays["buckets"],
            arrays["largest"],
        )
        return cls(Moments(plain_layout(width), int(arrays["n"]), arrays["mean"], arrays["scatter"]), profile)


class Accumulator:
    """Takes batches, gives :class:`Numbers`.

    Args:
        labels: of the columns, for errors.
        profiled: for each column whether its type is to be detected.
    """

    def __init__(self, labels: tuple[str, ...], profiled: tuple[bool, ...]) -> None:
        width = len(labels)
        self._labels, self._profiled = labels, profiled
        self._layout = plain_layout(width)
        self._moments = Moments.of_rows(self._layout, np.empty((0, width)))
        empty = np.empty(0), np.empty(0, dtype=np.int64)
        self._few: list[tuple[np.ndarray | None, np.ndarray | None]] = [empty] * width
        self._buckets = np.zeros((width, BUCKETS), dtype=np.int64)
        self._largest = np.zeros(width, dtype=np.uint64)

    def add(self, columns: list[np.ndarray]) -> None:
        """A batch: one array of numbers for each column, none missing.

        Raises:
            InputError: NaN or infinite values.
        """
        rows = len(columns[0])
        if not rows:
            return
        # Columns as rows, so that every pass over one is over contiguous memory.
        block = np.empty((len(columns), rows))
        for i, column in enumerate(columns):
            block[i] = column
            if column.dtype.kind in "iu":
                self._largest[i] = max(int(self._largest[i]), abs(int(column.min())), abs(int(column.max())))
        with np.errstate(over="ignore", invalid="ignore"):
            mean = block.mean(axis=1)
        if not np.isfinite(mean).all():
            self._refuse(block)
        for i, column in enumerate(block):
            self._look_at(i, column)
        block -= mean[:, None]
        with np.errstate(over="ignore"):
            batch = Moments(self._layout, rows, mean, block @ block.T)
        self._moments = self._moments.merge(batch)

    def total(self) -> Numbers:
        """What all batches so far amount to."""
        values, counts = zip(*self._few, strict=True)
        return Numbers(self._moments, Profile(values, counts, self._buckets.copy(), self._largest.copy()))

    def _look_at(self, i: int, column: np.ndarray) -> None:
        if self._few[i][0] is not None:
            # The first rows show of most columns that they have many values, without the rest being sorted.
            start = np.unique(column[: 4 * MAX_SYMBOLS])
            new = (None, None) if len(start) > MAX_SYMBOLS else np.unique(column, return_counts=True)
            self._few[i] = _union(*self._few[i], *new)
        if self._profiled[i]:
            hashed = column.view(np.uint64) * _MULTIPLIER
            hashed >>= _SHIFT
            self._buckets[i] += np.bincount(hashed.view(np.int64), minlength=BUCKETS)

    def _refuse(self, block: np.ndarray) -> None:
        for label, column in zip(self._labels, block, strict=True):
            if not np.isfinite(column).all():
                offered = f", {COMPLETE_OFFERED}" if np.isnan(column).any() else ""
                raise InputError(
                    f"{label} has values that are NaN or infinite: drop these rows in all modalities or fill "
                    f"them{offered}"
                )
        raise InputError("numbers overflow when they are added up: rescale the columns")


def plain_layout(width: int) -> Layout:
    """A layout of so many columns without names of their own."""
    return Layout.of(width)


def _union(
    values: np.ndarray | None, counts: np.ndarray | None, others: np.ndarray | None, more: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Distinct values of two parts with their counts; ``None`` once they are too many."""
    if values is None or others is None or counts is None or more is None:
        return None, None
    union, inverse = np.unique(np.concatenate([values, others]), return_inverse=True)
    if len(union) > MAX_SYMBOLS:
        return None, None
    totals = np.zeros(len(union), dtype=np.int64)
    np.add.at(totals, inverse, np.concatenate([counts, more]))
    return union, totals
