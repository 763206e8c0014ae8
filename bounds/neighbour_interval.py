"""Where a functional of entropies from nearest neighbours lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import polygamma, stdtrit

from bounds.functional import Functional
from bounds.intervals import NoInterval
from bounds.quantity import Guarantee

#: Standard errors between the values with the k-th and the 2k-th neighbour beyond which the bias is taken to be large.
MAX_SHIFT = 1.0


@dataclass(frozen=True)
class NeighbourInterval:
    """The interval of a functional from the terms that each row adds to it, where no bias is seen.

    A row's term is its minus log density, combined as the functional asks, plus the noise of counting ``k`` neighbours.
    Neighbourhoods overlap, so that noise is not independent between rows: it is counted twice, once in the variance of
    the terms and once by its expectation, ``psi'(n_A)`` for each count.

    Cubes are not small where rows are few, columns many or dependence strong. Cubes to the ``2k``-th neighbour are
    larger, so the bias shows as a difference of the two values. With ``D`` continuous columns it grows as
    ``(k/N)^(2/D)`` inside smooth densities and as ``(k/N)^(1/D)`` at their edges, so it is at most about the difference
    over ``2^(1/D) - 1``: both ends are moved out by that. Where the difference is more than ``MAX_SHIFT`` standard
    errors there is no interval.

    Args:
        n: number of rows.
        local: subset bitmask to ``(N,)``, the terms of each row.
        noise: subset bitmask to the mean of ``psi'(n_A)``.
        wider: subset bitmask to the entropy from the ``2k``-th neighbours.
        continuous: subset bitmask to its continuous columns.
        neighbour: ``k``.
        block: consecutive rows that depend on each other.
    """

    n: int
    local: Mapping[int, np.ndarray]
    noise: Mapping[int, float]
    wider: Mapping[int, float]
    continuous: Mapping[int, tuple[int, ...]]
    neighbour: int
    block: int = 1

    guarantee: Guarantee = "asymptotic"

    @property
    def method(self) -> str:
        """How the interval is got, and under which assumptions."""
        rows = "independent rows" if self.block == 1 else f"rows independent beyond blocks of {self.block}"
        return (
            f"delta-method interval; assumes {rows}, densities that are smooth at the scale of the neighbourhoods, and "
            "that symbols not observed are rare"
        )

    def choose(self, functional: Functional) -> NeighbourInterval | NoInterval:
        """This interval, or none where neighbourhoods of two sizes disagree."""
        shift, error = self._shift(functional), self._error(functional)
        if shift <= MAX_SHIFT * error:
            return self
        return NoInterval(
            f"no interval: cubes to neighbour {self.neighbour} and to {2 * self.neighbour} differ by {shift:.2g} nats, "
            f"more than the standard error of {error:.2g}, so the bias may be larger than any interval; use more rows "
            "or fewer columns"
        )

    def __call__(self, functional: Functional, confidence: float) -> tuple[float, float]:
        """Lower and upper end at a confidence in (0, 1)."""
        degrees = math.ceil(self.n / self.block) - 1
        half = float(stdtrit(degrees, 0.5 + confidence / 2)) * self._error(functional)
        dimension = max(map(len, self.continuous.values()))
        half += self._shift(functional) / (2 ** (1 / dimension) - 1)
        value = self._value(functional)
        return value - half, value + half

    def _value(self, functional: Functional) -> float:
        return math.fsum(c * float(self.local[mask].mean()) for mask, c in _terms(functional))

    def _shift(self, functional: Functional) -> float:
        """How far the value with the ``2k``-th neighbours is away."""
        return abs(self._value(functional) - math.fsum(c * self.wider[mask] for mask, c in _terms(functional)))

    def _error(self, functional: Functional) -> float:
        rows = np.zeros(self.n)
        noise = 0.0
        share: dict[int, float] = {}
        for mask, c in _terms(functional):
            rows += c * self.local[mask]
            noise += c**2 * self.noise[mask]
            for column in self.continuous[mask]:
                share[column] = share.get(column, 0.0) + c
        noise += math.fsum(c**2 for c in share.values()) * float(polygamma(1, self.neighbour))
        sums = np.add.reduceat(rows - rows.mean(), np.arange(0, self.n, self.block))
        return math.sqrt(float(sums @ sums) * len(sums) / (len(sums) - 1) / self.n**2 + noise * self.block / self.n)


def _terms(functional: Functional) -> list[tuple[int, float]]:
    return [(mask, float(c)) for mask, c in functional.coefficients.items() if mask]
