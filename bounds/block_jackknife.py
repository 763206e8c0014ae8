"""The interval of a functional of discrete entropies where rows depend on each other, as in a time series."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from bounds.counts import joint_code
from bounds.discrete_entropy import richness
from bounds.functional import Functional
from bounds.intervals import NoInterval
from bounds.quantity import Guarantee
from bounds.statistics import JointCounts
from bounds.subsets import members

#: Groups of consecutive rows that are left out in turn: fewer are not trusted, more are not needed.
LEAST_GROUPS, MOST_GROUPS = 20, 50
#: Blocks for each joint symbol, seen or by Chao's estimate not seen, below which no interval is claimed.
BLOCKS_PER_SYMBOL = 2


@dataclass(frozen=True, eq=False)
class BlockJackknife:
    """The jackknife over groups of consecutive rows (Kuensch 1989).

    Rows fall into groups of at least ``block`` rows. With ``F_g`` the plug-in value without group ``g`` of ``G``, the
    value ``G F - (G - 1) mean F_g`` has no bias of order ``1 / N``, which dependence makes larger than for independent
    rows, and ``(G - 1) mean (F_g - mean F_g)^2`` estimates its variance. The interval has Student's quantile with
    ``G - 1`` degrees of freedom.

    Args:
        table: the joint rows in their order, each counted once.
        block: rows within which rows depend on each other; beyond it they are taken for independent.
    """

    table: JointCounts
    block: int

    guarantee: Guarantee = "asymptotic"

    @property
    def method(self) -> str:
        """How the interval is got, and under which assumptions."""
        return (
            f"interval by the jackknife over {self._groups} groups of consecutive rows, for large N; assumes that rows "
            f"more than {self.block} apart are independent, and that the law does not change"
        )

    def __call__(self, functional: Functional, confidence: float) -> tuple[float | None, float | None]:
        """Lower and upper end at a confidence in (0, 1)."""
        interval = self.choose(functional)
        if isinstance(interval, NoInterval):
            return None, None
        groups = self._groups
        index = np.arange(self.table.n) * groups // self.table.n
        whole, without = 0.0, np.zeros(groups)
        for mask, c in functional.coefficients.items():
            each = _plug_in_without(self._symbol(mask), index, groups)
            whole += float(c) * each[0]
            without += float(c) * each[1:]
        centre = groups * whole - (groups - 1) * float(without.mean())
        error = math.sqrt((groups - 1) * float(without.var()))
        half = float(stdtrit(groups - 1, 0.5 + confidence / 2)) * error
        return centre - half, centre + half

    def choose(self, functional: Functional) -> BlockJackknife | NoInterval:
        """This, or no interval where the data do not justify it."""
        if self._groups < LEAST_GROUPS:
            return NoInterval(f"no interval: {self.table.n} rows are fewer than {LEAST_GROUPS} blocks of {self.block}")
        for mask in functional.masks:
            symbols = richness(np.bincount(self._symbol(mask)))
            if symbols * BLOCKS_PER_SYMBOL * self.block > self.table.n:
                return NoInterval(
                    f"no interval: fewer than {BLOCKS_PER_SYMBOL} blocks of {self.block} rows for each joint symbol"
                )
        return self

    @property
    def _groups(self) -> int:
        return min(MOST_GROUPS, self.table.n // self.block)

    def _symbol(self, mask: int) -> np.ndarray:
        """``(N,)``, which value each row has in some columns, as whole numbers from 0."""
        chosen = members(mask)
        code, _ = joint_code([self.table.columns[v] for v in chosen], [self.table.alphabets[v] for v in chosen])
        return np.unique(code, return_inverse=True)[1]


def _plug_in_without(symbols: np.ndarray, index: np.ndarray, groups: int) -> np.ndarray:
    """``(1 + groups,)``, the plug-in entropy of all rows, and without each group.

    >>> _plug_in_without(np.array([0, 1, 0, 0]), np.array([0, 0, 1, 1]), 2).round(6).tolist()
    [0.562335, 0.0, 0.693147]
    """
    size = int(symbols.max()) + 1
    inside = np.bincount(index * size + symbols, minlength=groups * size).reshape(groups, size)
    counts = np.vstack([np.zeros(size, dtype=np.int64), -inside]) + inside.sum(axis=0)
    total = counts.sum(axis=1)
    logs = np.log(counts, out=np.zeros(counts.shape), where=counts > 0)
    found: np.ndarray = np.log(total) - (counts * logs).sum(axis=1) / total
    return found
