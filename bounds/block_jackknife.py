"""The interval of a functional of discrete entropies where rows depend on each other, as in a time series."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, reduce
from operator import or_

import numpy as np
from scipy.special import stdtrit

from bounds.delta_method import second_order_quantile
from bounds.discrete_entropy import richness
from bounds.functional import Functional
from bounds.intervals import NoInterval
from bounds.joint_table import JointTable, symbols_of
from bounds.quantity import Guarantee
from bounds.rare_symbols import ASSUMED, NO_ROOM, Room, Seen, log_alphabet, times_seen
from bounds.statistics import JointCounts
from bounds.subsets import members

#: Groups of consecutive rows that are left out in turn: fewer are not trusted, more are not needed.
LEAST_GROUPS, MOST_GROUPS = 20, 50
#: Blocks for each joint symbol, seen or by Chao's estimate not seen, below which no interval is claimed.
BLOCKS_PER_SYMBOL = 2
#: Share of the half-width by which the value that is reported may differ from the jackknife's.
MAX_DISTANCE = 0.5
_USUAL = 0.95


@dataclass(frozen=True, eq=False)
class BlockJackknife:
    """The jackknife over groups of consecutive rows (Kuensch 1989).

    Rows fall into groups of at least ``block`` rows. With ``F_g`` the plug-in value without group ``g`` of ``G``, the
    value ``G F - (G - 1) mean F_g`` has no bias of order ``1 / N``, which dependence makes larger than for independent
    rows, and ``(G - 1) mean (F_g - mean F_g)^2`` estimates its variance. The interval has Student's quantile with
    ``G - 1`` degrees of freedom, and room for the quadratic term, as for independent rows but as many times as large as
    the counts of groups vary more than theirs (Rao and Scott 1981). Without it an interval of an information that is
    zero, where the influence of all rows vanishes, held the truth in 90 % of draws.

    It is claimed where there are groups and blocks enough, and the value that is reported is nearer than
    :data:`MAX_DISTANCE` of the half-width to the centre. Rare symbols are treated as by
    :class:`bounds.delta_method.DiscreteInterval`, as often as the blocks in which they occur.

    Args:
        table: the joint rows in their order, each counted once.
        block: rows within which rows depend on each other; beyond it they are taken for independent.
        values: subset bitmask to the entropies that are reported.
    """

    table: JointCounts
    block: int
    values: Mapping[int, float]

    guarantee: Guarantee = "asymptotic"
    method: str = "asymptotic interval where it is justified, otherwise none"

    def __call__(self, functional: Functional, confidence: float) -> tuple[float | None, float | None]:
        """Lower and upper end at a confidence in (0, 1)."""
        return self.choose(functional)(functional, confidence)

    def choose(self, functional: Functional) -> JackknifeInterval | NoInterval:
        """The interval, or none where the data do not justify it."""
        n, block, groups = self.table.n, self.block, self._groups
        if not functional.masks:
            return NoInterval("nothing to estimate")
        if groups < LEAST_GROUPS:
            return NoInterval(f"no interval: {n} rows are fewer than {LEAST_GROUPS} blocks of {block}")
        index = np.arange(n) * groups // n
        whole, without, reported = 0.0, np.zeros(groups), 0.0
        for mask, c in functional.coefficients.items():
            symbols = symbols_of(self.table, mask)
            if richness(np.bincount(symbols)) * BLOCKS_PER_SYMBOL * block > n:
                return NoInterval(
                    f"no interval: fewer than {BLOCKS_PER_SYMBOL} blocks of {block} rows for each joint symbol"
                )
            each = _plug_in_without(_inside(symbols, index, groups))
            whole += float(c) * float(each[0])
            without += float(c) * each[1:]
            reported += float(c) * self.values[mask]
        centre = groups * whole - (groups - 1) * float(without.mean())
        law, coefficients = self._law, {mask: float(c) for mask, c in functional.coefficients.items()}
        everything = reduce(or_, functional.masks)
        # counts of groups that vary less than those of independent rows, as of a period, are no reason for less room
        effective = n / max(_dispersion(_inside(symbols_of(self.table, everything), index, groups)), 1.0)
        error, second = math.sqrt((groups - 1) * float(without.var())), law.second_order(coefficients, effective)
        found = JackknifeInterval(centre, error, second, groups, block)
        half = found.half_width(_USUAL)
        if abs(centre - reported) > MAX_DISTANCE * half:
            return NoInterval("no interval: the estimate and the jackknife differ by much")
        room = Room.of(
            half,
            law.share * law.influence(coefficients) ** 2,
            times_seen(symbols_of(self.table, everything), block)[law.symbol(everything)],
            coefficients,
            {mask: self._seen(mask) for mask in coefficients},
        )
        if room.objection:
            return NoInterval(f"no interval: {room.objection}, which count as often as the blocks in which they occur")
        return replace(found, room=room)

    @cached_property
    def _seen(self) -> Callable[[int], Seen]:
        """What was seen of the joint symbols of some columns, by blocks; each looked up once."""
        return cache(self._look)

    def _look(self, mask: int) -> Seen:
        columns = [(self.table.columns[v], self.table.alphabets[v]) for v in members(mask)]
        logs = [log_alphabet(times_seen(column, self.block), alphabet) for column, alphabet in columns]
        times = times_seen(symbols_of(self.table, mask), self.block)
        return Seen.of(times, math.ceil(self.table.n / self.block), math.fsum(logs))

    @cached_property
    def _law(self) -> JointTable:
        return JointTable(self.table)

    @property
    def _groups(self) -> int:
        return min(MOST_GROUPS, self.table.n // self.block)


@dataclass(frozen=True)
class JackknifeInterval:
    """A value and its standard error from leaving out each of some groups of rows, see :class:`BlockJackknife`.

    Args:
        centre: the value, its bias corrected.
        error: its standard error.
        second: standard deviation of the quadratic term, see :class:`bounds.delta_method.DiscreteInterval`.
        groups: how many groups there are.
        block: rows within which rows depend on each other.
        room: for rare symbols.
    """

    centre: float
    error: float
    second: float
    groups: int
    block: int
    room: Room = NO_ROOM

    guarantee: Guarantee = "asymptotic"

    @property
    def method(self) -> str:
        """How the interval is got, and under which assumptions."""
        return (
            f"interval by the jackknife over {self.groups} groups of consecutive rows, for large N; assumes that rows "
            f"more than {self.block} apart are independent, that the law does not change, and {ASSUMED}"
        )

    def __call__(self, functional: Functional, confidence: float) -> tuple[float, float]:
        """Lower and upper end at a confidence in (0, 1)."""
        return self.room.around(self.centre, self.half_width(confidence), confidence)

    def half_width(self, confidence: float) -> float:
        """Half the width at a confidence in (0, 1), without the room for rare symbols."""
        student = float(stdtrit(self.groups - 1, 0.5 + confidence / 2))
        return math.hypot(student * self.error, second_order_quantile(confidence) * self.second)


def _inside(symbols: np.ndarray, index: np.ndarray, groups: int) -> np.ndarray:
    """``(groups, K)``, how often each symbol occurs in each group."""
    size = int(symbols.max()) + 1
    return np.bincount(index * size + symbols, minlength=groups * size).reshape(groups, size)


def _plug_in_without(inside: np.ndarray) -> np.ndarray:
    """``(1 + groups,)``, the plug-in entropy of all rows, and without each group.

    >>> _plug_in_without(np.array([[1, 1], [2, 0]])).round(6).tolist()
    [0.562335, 0.0, 0.693147]
    """
    counts = np.vstack([np.zeros(inside.shape[1], dtype=np.int64), -inside]) + inside.sum(axis=0)
    total = counts.sum(axis=1)
    logs = np.log(counts, out=np.zeros(counts.shape), where=counts > 0)
    found: np.ndarray = np.log(total) - (counts * logs).sum(axis=1) / total
    return found


def _dispersion(inside: np.ndarray) -> float:
    """How many times as much the counts of groups vary as of independent rows (Rao and Scott's design effect, pooled).

    >>> _dispersion(np.array([[50, 50], [60, 40], [40, 60]]))  # a variance of 100 where 25 is that of a binomial
    4.0
    """
    size = inside.sum(axis=1, keepdims=True)
    p = inside.sum(axis=0) / inside.sum()
    if p.max() == 1:
        return 1.0
    squares = float(((inside - size * p) ** 2).sum()) / (len(inside) - 1)
    return squares / (float(size.mean()) * float(p @ (1 - p)))
