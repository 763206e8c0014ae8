"""Where a functional of entropies from nearest neighbours lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import polygamma, stdtrit

from bounds.delta_method import MIN_ROWS_PER_SYMBOL
from bounds.discrete_entropy import richness
from bounds.functional import Functional
from bounds.intervals import NoInterval
from bounds.quantity import Guarantee
from bounds.rare_symbols import ASSUMED, NO_ROOM, Room, Seen, times_seen
from bounds.subsets import members

#: Standard errors between the values with the k-th and the 2k-th neighbour beyond which the bias is taken to be large.
MAX_SHIFT = 1.0
#: Standard errors between the value and that from smaller cubes beyond which something is finer than the cubes.
MAX_APART = 4.0
#: Standard errors to the upper limit of that difference, of 95 % confidence.
_SURE = 1.645
#: Standard errors of half an interval, for what could matter beside it.
_USUAL = 1.96


@dataclass(frozen=True)
class NeighbourInterval:
    """The interval of a functional from the terms that each row adds to it, where no bias is seen.

    A row's term is its minus log density, combined as the functional asks, plus the noise of counting ``k`` neighbours.
    Neighbourhoods overlap, so that noise is not independent between rows: it is counted twice, once in the variance of
    the terms and once by its expectation, ``psi'(n_A)`` for each count.

    Cubes are not small where rows are few, columns many or dependence strong. Cubes to the ``2k``-th neighbour are
    larger, so the bias shows as a difference of the two values. With ``D`` continuous columns it grows as
    ``(k/N)^(2/D)`` inside smooth densities and as ``(k/N)^(1/D)`` at their edges, so it is at most about the difference
    over ``2^(1/D) - 1``: both ends are moved out by its upper limit, since it may have been small by chance. Where the
    difference is more than ``MAX_SHIFT`` standard errors there is no interval.

    Dependence may be finer than the cubes of all columns, and then cubes of two sizes agree that there is none. Cubes
    in the columns of a subset alone are smaller. Where the total correlation of some subset is there more than
    ``MAX_APART`` standard errors away, what contains the subset has no interval.

    Rows whose symbols are rare have few in their cubes, and symbols never seen have none. So an interval also asks, as
    :class:`bounds.delta_method.DiscreteInterval`, for rows enough for each joint symbol, that the variance rests little
    on rare ones, and that symbols not seen cannot matter; and it has room for both as there.

    Args:
        n: number of rows.
        local: subset bitmask to ``(N,)``, the terms of each row.
        noise: subset bitmask to the mean of ``psi'(n_A)``.
        wider: subset bitmask to the terms from the ``2k``-th neighbours.
        alone: subset bitmask to the terms of its total correlation from cubes in its columns alone, which are smaller.
        continuous: subset bitmask to its continuous columns.
        symbols: subset bitmask to ``(N,)``, the joint symbol of each row, as whole numbers without gaps.
        log_alphabet: subset bitmask to ``ln`` of how many joint symbols there may be.
        neighbour: ``k``.
        block: consecutive rows that depend on each other.
    """

    n: int
    local: Mapping[int, np.ndarray]
    noise: Mapping[int, float]
    wider: Mapping[int, np.ndarray]
    alone: Mapping[int, np.ndarray]
    continuous: Mapping[int, tuple[int, ...]]
    symbols: Mapping[int, np.ndarray]
    log_alphabet: Mapping[int, float]
    neighbour: int
    block: int = 1

    guarantee: Guarantee = "asymptotic"

    @property
    def method(self) -> str:
        """How the interval is got, and under which assumptions."""
        rows = "independent rows" if self.block == 1 else f"rows independent beyond blocks of {self.block}"
        return (
            f"delta-method interval; assumes {rows}, densities that are smooth at the scale of the "
            f"neighbourhoods, and {ASSUMED}"
        )

    def choose(self, functional: Functional) -> NeighbourInterval | NoInterval:
        """This interval, or none where neighbourhoods of two sizes disagree or symbols are rare."""
        if rare := self._rare(functional):
            return NoInterval(f"no interval: {rare}; use more rows or coarser symbols")
        shift, error = abs(float(self._shifts(functional).mean())), self.standard_error(functional)
        for subset, apart in self._finer.items():
            if any(mask & subset == subset for mask in functional.masks):
                return NoInterval(
                    f"no interval: the smaller cubes of fewer columns give another dependence, {apart:.2g} standard "
                    "errors away, so something is finer than the cubes of all columns; use more rows or fewer columns"
                )
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
        half = float(stdtrit(degrees, 0.5 + confidence / 2)) * self.standard_error(functional)
        dimension = max(map(len, self.continuous.values()))
        shifts = self._shifts(functional)
        shift = abs(float(shifts.mean())) + _SURE * float(shifts.std(ddof=1)) * math.sqrt(self.block / self.n)
        half += shift / (2 ** (1 / dimension) - 1)
        return self._room(functional).around(self._value(functional), half, confidence)

    def _value(self, functional: Functional) -> float:
        return math.fsum(c * float(self.local[mask].mean()) for mask, c in _terms(functional))

    def _rows(self, functional: Functional) -> np.ndarray:
        """``(N,)``, what each row adds."""
        return _sum(functional, self.local, self.n)

    def _shifts(self, functional: Functional) -> np.ndarray:
        """``(N,)``, how much more each row adds with its ``2k``-th neighbours."""
        wide = _sum(functional, self.wider, self.n)
        wide -= self._rows(functional)
        return wide

    @cached_property
    def _finer(self) -> dict[int, float]:
        """Subsets whose total correlation is another in cubes of their own, and by how many standard errors."""
        found = {}
        for mask, rows in self.alone.items():
            units = [1 << unit for unit in members(mask)]
            if not all(one in self.local for one in units):
                continue
            names = tuple(f"u{unit}" for unit in range(mask.bit_length()))
            correlation = Functional(names, {**dict.fromkeys(units, 1), mask: -1})
            difference = abs(float(rows.mean()) - self._value(correlation))
            error = math.hypot(self.standard_error(correlation), float(rows.std()) / math.sqrt(self.n))
            if difference > MAX_APART * error:
                found[mask] = difference / error
        return found

    def _rare(self, functional: Functional) -> str:
        """Why symbols are too rare for an interval; nothing if they are not."""
        for mask, _ in _terms(functional):
            if richness(np.bincount(self.symbols[mask])) * MIN_ROWS_PER_SYMBOL > self.n:
                return f"fewer than {MIN_ROWS_PER_SYMBOL} rows for each joint symbol"
        return self._room(functional).objection

    def _room(self, functional: Functional) -> Room:
        """For rare symbols."""
        terms = dict(_terms(functional))
        finest = max((self.symbols[mask] for mask in terms), key=np.max)
        if not finest.any():  # numbers alone
            return NO_ROOM
        parts = (self._rows(functional) - self._value(functional)) ** 2
        seen = {mask: self._seen(mask) for mask in terms}
        half = _USUAL * self.standard_error(functional)
        return Room.of(half, parts, times_seen(finest, self.block)[finest], terms, seen)

    def _seen(self, mask: int) -> Seen:
        blocks = math.ceil(self.n / self.block)
        return Seen.of(times_seen(self.symbols[mask], self.block), blocks, self.log_alphabet[mask])

    def standard_error(self, functional: Functional) -> float:
        """Of the value, not counting its bias."""
        rows = self._rows(functional)
        noise = 0.0
        share: dict[int, float] = {}
        for mask, c in _terms(functional):
            noise += c**2 * self.noise[mask]
            for column in self.continuous[mask]:
                share[column] = share.get(column, 0.0) + c
        noise += math.fsum(c**2 for c in share.values()) * float(polygamma(1, self.neighbour))
        sums = np.add.reduceat(rows - rows.mean(), np.arange(0, self.n, self.block))
        return math.sqrt(float(sums @ sums) * len(sums) / (len(sums) - 1) / self.n**2 + noise * self.block / self.n)


def _terms(functional: Functional) -> list[tuple[int, float]]:
    return [(mask, float(c)) for mask, c in functional.coefficients.items() if mask]


def _sum(functional: Functional, terms: Mapping[int, np.ndarray], n: int) -> np.ndarray:
    total = np.zeros(n)
    for mask, c in _terms(functional):
        total += c * terms[mask]
    return total
