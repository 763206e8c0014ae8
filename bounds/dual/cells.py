"""Cells: boxes of decoders, and what a certificate keeps for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, eq=False)
class Cells:
    """``N`` boxes of laws: those with ``low <= y <= high`` in every coordinate of every divided unit.

    Attributes:
        sizes: symbols of each divided unit.
        low, high: ``(N, sum k)``.
        slopes: ``(N, sum k)``, of the linear functions that stand above ``y ln y`` on the intervals.
        levels: ``(N, j)``, the logarithm of the decoder of the free unit at which its bound is taken.
        bound: ``(N,)``, no law on rows whose means lie in the cell has a larger ``-KL(rho||a) - s sum_m H(y_m)``. The
            largest bound of all cells is therefore one of ``ln G``.
        means: ``(N, sum k)``, where the relaxed maximum lies.
        free: ``(N, j)``, the law of the free unit there.
    """

    sizes: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray
    slopes: np.ndarray
    levels: np.ndarray
    bound: np.ndarray
    means: np.ndarray
    free: np.ndarray

    @classmethod
    def whole(cls, sizes: Sequence[int], free: int) -> Cells:
        """The one cell that holds every decoder."""
        n = sum(sizes)
        means = np.concatenate([np.zeros((1, 0)), *(np.full((1, k), 1 / k) for k in sizes)], axis=1)
        return cls(
            tuple(sizes),
            np.zeros((1, n)),
            np.ones((1, n)),
            np.zeros((1, n)),
            np.zeros((1, free)),
            np.array([np.inf]),
            means,
            np.full((1, free), 1 / max(free, 1)),
        )

    def __len__(self) -> int:
        return len(self.bound)

    @property
    def heights(self) -> np.ndarray:
        """``(N, sum k)``: how far the chord of ``y ln y`` is above it in the middle of each interval."""
        middle = (self.low + self.high) / 2
        return np.asarray((minus_entropy(self.low) + minus_entropy(self.high)) / 2 - minus_entropy(middle))

    def take(self, which: np.ndarray) -> Cells:
        """Some of them."""
        return Cells(self.sizes, **{f.name: getattr(self, f.name)[which] for f in fields(self) if f.name != "sizes"})

    def join(self, other: Cells) -> Cells:
        """These and others."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.name != "sizes"}
        return Cells(self.sizes, **{name: np.concatenate(pair) for name, pair in pairs.items()})

    def split(self) -> Cells:
        """Two halves of each, cut where the chord is furthest above ``y ln y`` at the relaxed maximum."""
        width = self.high - self.low
        at = np.clip(self.means, self.low + 0.3 * width, self.high - 0.3 * width)
        share = np.divide(at - self.low, width, out=np.full_like(width, 0.5), where=width > 0)
        chord = (1 - share) * minus_entropy(self.low) + share * minus_entropy(self.high)
        rows, chosen = np.arange(len(self)), (chord - minus_entropy(at)).argmax(axis=1)
        upper, lower = self.high.copy(), self.low.copy()
        upper[rows, chosen] = lower[rows, chosen] = at[rows, chosen]
        halves = [self._within(self.low, upper), self._within(lower, self.high)]
        return halves[0].join(halves[1])

    def _within(self, low: np.ndarray, high: np.ndarray) -> Cells:
        """The smaller boxes that the sums to one allow; outward by more than their rounding."""
        low, high = low.copy(), high.copy()
        for a, b in pairwise([0, *np.cumsum(self.sizes, dtype=int).tolist()]):
            for _ in range(2):
                rest = 1 - (low[:, a:b].sum(axis=1, keepdims=True) - low[:, a:b])
                high[:, a:b] = np.minimum(high[:, a:b], rest + 1e-15)
                rest = 1 - (high[:, a:b].sum(axis=1, keepdims=True) - high[:, a:b])
                low[:, a:b] = np.maximum(low[:, a:b], rest - 1e-15)
        return replace(self, low=low, high=np.maximum(high, low))


def minus_entropy(y: np.ndarray) -> np.ndarray:
    """``y ln y``, convex; 0 at 0."""
    return np.asarray(y * np.log(np.where(y > 0, y, 1.0)))
