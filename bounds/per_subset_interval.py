"""The asymptotic interval of a functional of discrete entropies, each from the rows that have all it needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, reduce
from operator import or_

import numpy as np

from bounds.delta_method import MAX_SHIFT, MIN_ROWS_PER_SYMBOL, AsymptoticInterval
from bounds.discrete_entropy import chao_wang_jost, miller_madow, richness
from bounds.functional import Functional
from bounds.intervals import NoInterval
from bounds.joint_table import JointTable, symbols_of
from bounds.missing import PartlyObserved
from bounds.quantity import Guarantee
from bounds.rare_symbols import ASSUMED, Room, Seen, log_alphabet
from bounds.statistics import JointCounts
from bounds.subsets import members

_USUAL = 0.95


@dataclass(frozen=True, eq=False)
class PerSubsetInterval:
    """The delta-method interval, to second order, where rows lack modalities completely at random.

    As :class:`bounds.delta_method.DiscreteInterval`, but ``H(A)`` is from the ``n_A`` rows that have all of ``A``. A
    row adds ``-sum_A c_A (ln p(x_A) + H(A)) / n_A`` over the ``A`` that it has, so the first-order variance is the sum
    of these squares over all rows. Errors of the laws of ``A`` and ``B`` have ``n_AB / (n_A n_B)`` times the covariance
    of a row, with ``n_AB`` the rows that have both, so the quadratic term has the variance
    ``(1/2) sum_AB c_A c_B (n_AB / (n_A n_B))^2 (sum p(x_A, x_B)^2 / (p(x_A) p(x_B)) - 1)``. The sums of probabilities
    are those of the complete rows.

    Args:
        data: the rows, and which modalities each has; all columns discrete.
        values: subset bitmask of units to the entropies that are reported.
    """

    data: PartlyObserved
    values: Mapping[int, float]

    guarantee: Guarantee = "asymptotic"
    method: str = "asymptotic interval where it is justified, otherwise none"

    def __call__(self, functional: Functional, confidence: float) -> tuple[float | None, float | None]:
        """Lower and upper end at a confidence in (0, 1)."""
        return self.choose(functional)(functional, confidence)

    def choose(self, functional: Functional) -> AsymptoticInterval | NoInterval:
        """The interval, or none where the data do not justify it."""
        masks = functional.masks
        if not masks:
            return NoInterval("nothing to estimate")
        everything = reduce(or_, masks)
        if self._complete is None:
            return NoInterval("no interval: hardly any row is complete")
        coefficients = {mask: float(c) for mask, c in functional.coefficients.items()}
        centre, other, influence = 0.0, 0.0, np.zeros(self.data.n)
        for mask, c in coefficients.items():
            rows, symbols = self._rows(mask)
            counts = np.bincount(symbols)
            fewest = min(len(rows), self._complete.n)
            if richness(counts) * MIN_ROWS_PER_SYMBOL > fewest:
                return NoInterval(f"no interval: fewer than {MIN_ROWS_PER_SYMBOL} rows for each joint symbol")
            centre += c * miller_madow(counts)
            other += c * chao_wang_jost(counts)
            logs = np.log(counts / len(rows))[symbols]
            influence[rows] -= c * (logs - logs.mean()) / len(rows)
        parts = influence**2
        found = AsymptoticInterval(
            centre,
            math.sqrt(math.fsum(parts)),
            self._second_order(coefficients),
            method="interval by the delta method to second order, for large N; assumes independent rows of which "
            f"values are missing completely at random, and {ASSUMED}",
        )
        half = found.half_width(_USUAL)
        reported = math.fsum(c * self.values[mask] for mask, c in coefficients.items())
        if max(abs(centre - other), abs(centre - reported)) > MAX_SHIFT * half:
            return NoInterval("no interval: two corrections of the bias differ by much")
        rows, symbols = self._rows(everything)
        seen = {mask: self._seen(mask) for mask in masks}
        room = Room.of(half, parts[rows], np.bincount(symbols)[symbols], coefficients, seen)
        if room.objection:
            return NoInterval(f"no interval: {room.objection}")
        return replace(found, room=room)

    def _rows(self, mask: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows that have all of some units, and their joint symbols there."""
        rows = self.data.rows(self._modalities(mask))
        return rows, symbols_of(self._cases(rows), mask)

    @cached_property
    def _seen(self) -> Callable[[int], Seen]:
        """What was seen of the joint symbols of some units; each looked up once."""
        return cache(self._look)

    def _look(self, mask: int) -> Seen:
        logs = [log_alphabet(np.bincount(self._rows(1 << v)[1]), self.data.filled.alphabets[v]) for v in members(mask)]
        rows, symbols = self._rows(mask)
        return Seen.of(np.bincount(symbols), len(rows), math.fsum(logs))

    def _cases(self, rows: np.ndarray) -> JointCounts:
        """Some rows, with all columns; of those in which a row has nothing no use is made."""
        filled = self.data.filled
        return JointCounts.of(replace(filled, columns=tuple(column[rows] for column in filled.columns)))

    def _modalities(self, mask: int) -> int:
        """The modalities of some units."""
        return sum(1 << m for m, own in enumerate(self.data.layout.modality_units) if own & mask)

    @cached_property
    def _complete(self) -> JointTable | None:
        """The law of the complete rows, if there are two."""
        rows = self.data.rows((1 << len(self.data.names)) - 1)
        return JointTable(self._cases(rows)) if len(rows) > 1 else None

    def _second_order(self, coefficients: Mapping[int, float]) -> float:
        """Standard deviation of the quadratic term."""
        assert self._complete is not None
        seen = {mask: self._modalities(mask) for mask in coefficients}
        count = {m: len(self.data.rows(m)) for m in {a | b for a in seen.values() for b in seen.values()}}
        variance = 0.0
        for a, c in coefficients.items():
            for b, d in coefficients.items():
                shared = count[seen[a] | seen[b]] / (count[seen[a]] * count[seen[b]])
                variance += c * d * shared**2 * self._complete.chi_square(a, b) / 2
        return math.sqrt(abs(variance))  # a variance, so it is below zero by rounding at most
