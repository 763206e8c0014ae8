"""Intervals for whole linear functionals of estimated entropies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from bounds.functional import Functional
from bounds.quantity import Guarantee
from bounds.subsets import members

#: Above this many subsets in a functional its linear programs, which take some seconds there, are replaced by the sum
#: of the ranges of its terms.
MAX_PROGRAM = 2**13

#: Rows of the table of inclusions that are held at a time.
_ROWS = 512


@dataclass(frozen=True)
class NoInterval:
    """No interval, and why."""

    method: str
    guarantee: Guarantee = "none"

    def __call__(self, functional: Functional, confidence: float) -> tuple[None, None]:
        """Neither end."""
        return None, None


@dataclass(frozen=True)
class GuaranteedInterval:
    """A finite-sample interval of a functional ``F = sum_A c_A H(A)`` of discrete entropies.

    With ``F^`` the plug-in value from ``N`` independent rows, ``F = F^ - (F^ - E F^) + sum_A c_A b_A`` where
    ``b_A = H(A) - E H^(A)`` is the bias of each plug-in entropy. Both terms are bounded for the functional as a
    whole:

    *Deviation* (McDiarmid). Write ``N H^(A) = N ln N - sum g(n)`` with ``g(n) = n ln n`` and
    ``D(n) = g(n) - g(n-1)``, which increases from 0 to ``D(N) <= 1 + ln N``. Replacing one row moves one count of
    each marginal down and one up, so ``N F^`` changes by ``phi(u) - phi(v)`` with ``phi(u) = sum_A c_A D(u_A)``,
    where ``u_A``, ``v_A`` are the counts, between 1 and ``N``, of one value in each marginal. More columns make
    counts smaller, so ``A -> D(u_A)`` is ``D(N)`` times a decreasing function into [0, 1], and the change of ``F^``
    is at most ``R D(N) / N``, ``R`` being the range of ``sum_A c_A d_A`` over such functions ``d``: a linear
    program. Hence ``|F^ - E F^| <= R D(N) sqrt(ln(2/delta) / 2N)`` with probability ``1 - delta``.

    *Bias* (Paninski 2003). ``0 <= b_A <= ln(1 + (K_A - 1)/N)``, and ``b_A <= b_B`` for ``A`` in ``B`` since the
    plug-in conditional entropy is low on average too: another linear program.

    Both programs are over functions on a family of subsets with one constraint for each inclusion that does not follow
    from others: sparse, and solved for all subsets of a dozen modalities in about a second. The ends of the
    interval come from their duals, where any multipliers give a bound that holds, so it does not rest on the accuracy
    of the solver. The sum of the ranges of single terms, which replaces them above ``MAX_PROGRAM`` subsets, is the
    bound of zero multipliers.

    Args:
        n: rows.
        plug_in: subset bitmask to plug-in entropy.
        log_alphabet: subset bitmask to ``ln K_A``, the log of the number of values that are possible.
    """

    n: int
    plug_in: Mapping[int, float]
    log_alphabet: Mapping[int, float]

    guarantee: Guarantee = "guaranteed"

    @property
    def method(self) -> str:
        """How the interval is got, and under which assumptions."""
        wider = ""
        if len(self.plug_in) > MAX_PROGRAM:
            wider = f"; for more than {MAX_PROGRAM} entropies a sum of ranges, which holds but is wider"
        return (
            "interval by McDiarmid and Paninski, finite-sample; assumes independent rows and that each column has only "
            f"the symbols observed{wider}"
        )

    def __call__(self, functional: Functional, confidence: float) -> tuple[float, float]:
        """Lower and upper end at a confidence in (0, 1)."""
        masks = functional.masks
        if not masks:
            return 0.0, 0.0
        coefficients = np.array([float(c) for c in functional.coefficients.values()])
        value = math.fsum(float(c) * self.plug_in[mask] for mask, c in functional.coefficients.items())
        step = self.n * math.log(self.n) - (self.n - 1) * math.log(self.n - 1)
        down, up = _range(coefficients, masks, np.ones(len(masks)), increasing=False)
        deviation = (up - down) * step * math.sqrt(math.log(2 / (1 - confidence)) / (2 * self.n))
        # ln(1 + (K-1)/N) with K as a logarithm, since K may exceed any float
        caps = np.array([np.logaddexp(math.log1p(-1 / self.n), self.log_alphabet[m] - math.log(self.n)) for m in masks])
        low_bias, high_bias = _range(coefficients, masks, caps, increasing=True)
        return value - deviation + low_bias, value + deviation + high_bias


def _range(coefficients: np.ndarray, masks: Sequence[int], caps: np.ndarray, increasing: bool) -> tuple[float, float]:
    """Bounds of ``c . d`` over ``0 <= d <= caps`` that increase (or decrease) along inclusion.

    For at most ``MAX_PROGRAM`` masks they are attained, up to the accuracy of the solver.
    """
    order = csr_array((0, len(masks)))
    if len(masks) <= MAX_PROGRAM:
        order = inclusion_steps(*inclusions(masks), len(masks)) * (-1.0 if increasing else 1.0)
    return -_largest(-coefficients, caps, order), _largest(coefficients, caps, order)


def _largest(coefficients: np.ndarray, caps: np.ndarray, order: csr_array) -> float:
    """An upper bound of ``c . d`` over ``0 <= d <= caps`` with ``order @ d <= 0``, by the dual.

    For multipliers ``f >= 0`` of the order, ``c . d <= (c - f order) . d <= sum caps (c - f order)_+``. The best ones,
    for which this is the maximum, are those of the linear program.
    """
    reduced = coefficients
    if order.shape[0]:
        limits = np.column_stack([np.zeros(len(caps)), caps])
        found = linprog(-coefficients, A_ub=order, b_ub=np.zeros(order.shape[0]), bounds=limits, method="highs-ipm")
        if not found.success:
            raise RuntimeError(f"the linear program of an interval failed: {found.message}")
        reduced = coefficients - order.T @ np.maximum(-found.ineqlin.marginals, 0)
    return float(np.maximum(reduced, 0) @ caps)


def inclusion_steps(small: np.ndarray, large: np.ndarray, size: int) -> csr_array:
    """``(pairs, size)``, a row ``d_large - d_small`` for each pair of positions."""
    rows = np.arange(len(small))
    values = np.repeat([-1.0, 1.0], len(rows))
    return csr_array((values, (np.tile(rows, 2), np.concatenate([small, large]))), shape=(len(rows), size))


def inclusions(masks: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of pairs of masks, the first inside the second, from which all other inclusions follow.

    These are the pairs with one element between them, and those of which no subset with one element more than the first
    lies between.
    """
    position = {mask: i for i, mask in enumerate(masks)}
    width = max(masks).bit_length()
    has = np.zeros((len(masks), width), dtype=np.float32)
    steps = np.zeros((len(masks), width), dtype=np.float32)
    for i, mask in enumerate(masks):
        has[i, members(mask)] = 1
        steps[i, [u for u in range(width) if not mask >> u & 1 and mask | 1 << u in position]] = 1
    sizes = has.sum(axis=1)
    small, large = [], []
    for start in range(0, len(masks), _ROWS):
        own, step = has[start : start + _ROWS], steps[start : start + _ROWS]
        inside = own @ has.T == sizes[start : start + _ROWS, None]
        larger = sizes - sizes[start : start + _ROWS, None]
        kept = np.argwhere(inside & ((larger == 1) | ((larger > 1) & (step @ has.T == 0))))
        small.append(kept[:, 0] + start)
        large.append(kept[:, 1])
    return np.concatenate(small), np.concatenate(large)
