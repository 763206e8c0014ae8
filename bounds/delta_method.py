"""The asymptotic interval of a functional of discrete entropies, and when it may be claimed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_

from scipy.special import chdtri, ndtri

from bounds.discrete_entropy import chao_wang_jost, miller_madow, richness
from bounds.functional import Functional
from bounds.intervals import GuaranteedInterval
from bounds.joint_table import JointTable
from bounds.quantity import Guarantee
from bounds.rare_symbols import ASSUMED, NO_ROOM, Room

#: Rows for each joint symbol, seen or by Chao's estimate not seen, below which no asymptotic interval is claimed.
MIN_ROWS_PER_SYMBOL = 10
#: Share of the half-width by which two corrections of the bias may differ. It also picks draws, so it is strict.
MAX_SHIFT = 0.08
_USUAL = 0.95


@dataclass(frozen=True, eq=False)
class DiscreteInterval:
    """The asymptotic interval of a functional where the data support it, otherwise the guaranteed one.

    Of ``F = sum_A c_A H(A)`` the plug-in value ``F^`` is, with ``d`` the error of the empirical law,

        F^ - F = -sum_A c_A <d, ln p_A> - (1/2) d' Q d + ...,   Q = sum_A c_A P_A' diag(1/p_A) P_A.

    The first term is a mean over rows of the influence ``psi(x) = -sum_A c_A ln p(x_A)``. The second has the mean
    ``-sum_A c_A (K_A - 1) / 2N``, which Miller and Madow's correction takes off, and the variance
    ``tr((Q S)^2) / 2N^2`` where ``S`` is the covariance of a row. For a pair of subsets ``tr`` is
    ``sum p(x_A, x_B)^2 / (p(x_A) p(x_B)) - 1``. Where variables are independent, the influence of their mutual
    information is zero, so the second term is all there is; its law is that of a weighted sum of chi-squares. The
    half-width is ``sqrt((z s_1)^2 + (q s_2)^2)`` with ``z`` the normal quantile and ``q`` the larger of it and that of
    a standardised chi-square with one degree of freedom, whose tail is the longest. It is wide rather than narrow where
    the second term is all there is, for the estimate of ``s_1`` then contains part of it.

    It is claimed where each entropy of ``F`` has :data:`MIN_ROWS_PER_SYMBOL` rows for each symbol, the corrections of
    Miller and Madow and of Chao, Wang and Jost differ by at most :data:`MAX_SHIFT` of the half-width, and there is no
    objection because of rare symbols, for which it has room (:class:`bounds.rare_symbols.Room`). The limits are from
    the simulations of ``benchmarks/interval_coverage.py``.

    Args:
        table: the empirical law of the rows.
        guaranteed: what is given elsewhere.
        values: subset bitmask to the entropies that are reported. Where their functional is farther from the centre
            than the shift allowed, the asymptotic interval would not be about them, and is not claimed.
    """

    table: JointTable
    guaranteed: GuaranteedInterval
    values: Mapping[int, float]

    guarantee: Guarantee = "asymptotic"
    method: str = "asymptotic interval where it is justified, otherwise a guaranteed one"

    def __call__(self, functional: Functional, confidence: float) -> tuple[float | None, float | None]:
        """Lower and upper end at a confidence in (0, 1), of the interval that is chosen."""
        return self.choose(functional)(functional, confidence)

    def choose(self, functional: Functional) -> AsymptoticInterval | GuaranteedInterval:
        """The interval that the data justify for a functional."""
        return self._asymptotic(functional) or self.guaranteed

    def _asymptotic(self, functional: Functional) -> AsymptoticInterval | None:
        """The interval, if it is justified."""
        n, masks = self.table.n, functional.masks
        if not masks:
            return None
        everything = reduce(or_, masks)
        counts = {}
        for mask in sorted(masks, key=int.bit_count, reverse=True):
            counts[mask] = self.table.counts(mask)
            if richness(counts[mask]) * MIN_ROWS_PER_SYMBOL > n:
                return None
        coefficients = {mask: float(c) for mask, c in functional.coefficients.items()}
        centre = math.fsum(c * miller_madow(counts[mask]) for mask, c in coefficients.items())
        other = math.fsum(c * chao_wang_jost(counts[mask]) for mask, c in coefficients.items())
        influence = self.table.influence(coefficients)
        first = math.sqrt(float(self.table.share @ influence**2) / (n - 1))
        found = AsymptoticInterval(centre, first, self.table.second_order(coefficients, n))
        half = found.half_width(_USUAL)
        reported = math.fsum(c * self.values[mask] for mask, c in coefficients.items())
        if max(abs(centre - other), abs(centre - reported)) > MAX_SHIFT * half:
            return None
        room = Room.of(
            half,
            self.table.share * influence**2,
            self.table.counts(everything)[self.table.symbol(everything)],
            coefficients,
            {mask: self.table.seen(mask) for mask in coefficients},
        )
        return None if room.objection else replace(found, room=room)


@dataclass(frozen=True)
class AsymptoticInterval:
    """A value with the standard errors of its first- and second-order terms, see :class:`DiscreteInterval`.

    Args:
        centre: the value, its bias corrected.
        first: standard error of the mean influence.
        second: standard deviation of the quadratic term.
        room: for rare symbols.
    """

    centre: float
    first: float
    second: float
    room: Room = NO_ROOM

    guarantee: Guarantee = "asymptotic"
    method: str = f"interval by the delta method to second order, for large N; assumes independent rows, and {ASSUMED}"

    def __call__(self, functional: Functional, confidence: float) -> tuple[float, float]:
        """Lower and upper end at a confidence in (0, 1)."""
        return self.room.around(self.centre, self.half_width(confidence), confidence)

    def half_width(self, confidence: float) -> float:
        """Half the width at a confidence in (0, 1), without the room for rare symbols."""
        normal = float(ndtri(0.5 + confidence / 2))
        return math.hypot(normal * self.first, second_order_quantile(confidence) * self.second)


def second_order_quantile(confidence: float) -> float:
    """How many standard deviations of the quadratic term an interval has to each side.

    It is a weighted sum of chi-squares. The larger of the normal quantile and that of a standardised chi-square with
    one degree of freedom, whose tail is the longest.

    >>> round(second_order_quantile(0.95), 2), round(second_order_quantile(0.99), 2)
    (2.01, 3.98)
    """
    return max(float(ndtri(0.5 + confidence / 2)), (float(chdtri(1, 1 - confidence)) - 1) / math.sqrt(2))
