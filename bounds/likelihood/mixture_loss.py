"""``R_V``: the least loss of a mixture of decoders on one discrete variable, between certified bounds (THEORY T7).

``R_V = inf_pi -E ln sum_t pi_t v_t(X)``. Any one mixture ``f`` bounds it from both sides: its own loss is an upper
bound, and for every other mixture ``g`` Jensen has ``-E ln g = -E ln f - E ln(g/f) >= -E ln f - ln E[g/f]``, where
``E[g/f]`` is at most ``sup_t sum_x p(x) v_t(x)/f(x)`` (the dual of THEORY T4, for one variable). At the best mixture
the supremum is one and the bounds meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from bounds.errors import InputError
from bounds.likelihood.noise import Noise

#: The bounds are brought this close together, where rounding lets them, in nats ...
GAP = 1e-8
#: ... within this many new decoders.
MAX_DECODERS = 60


@dataclass(frozen=True)
class MixtureLoss:
    """``low <= R_V <= high`` in nats, where ``high`` is the loss of a mixture that was found."""

    low: float
    high: float


def mixture_loss(pmf: np.ndarray, values: np.ndarray, noise: Noise) -> MixtureLoss:
    """The least loss of a mixture of one-variable decoders.

    Args:
        pmf: ``(k,)``, the law of the variable.
        values: ``(k,)``, the values of its symbols.
        noise: the family.

    >>> from bounds.likelihood.noise import BernoulliNoise
    >>> grey = mixture_loss(np.full(3, 1 / 3), np.array([0.0, 0.5, 1.0]), BernoulliNoise())
    >>> round(grey.low, 6), round(math.log(3), 6)  # below the entropy: no density on grey values
    (0.693147, 1.098612)
    """
    values, inverse = np.unique(values[pmf > 0], return_inverse=True)
    pmf = np.bincount(inverse, pmf[pmf > 0])
    peaks = noise.peak_loss(values)
    if not np.isfinite(peaks).all():
        return MixtureLoss(-math.inf, -math.inf)

    def relative(locations: np.ndarray) -> np.ndarray:
        """Likelihoods over the highest one of each value, so that they are at most one."""
        return np.asarray(np.exp(noise.log_likelihood(values, locations[:, None]) + peaks))

    found = _minimise(pmf, relative(values), lambda a: noise.supremum(a, values), relative)
    base = float(pmf @ peaks)
    return MixtureLoss(base + found.low, base + found.high)


def finite_mixture_loss(pmf: np.ndarray, decoders: np.ndarray) -> MixtureLoss:
    """The same for finitely many decoders: ``(n, k)`` likelihoods of ``k`` symbols.

    Raises:
        InputError: a symbol of positive probability that no decoder can produce, or negative likelihoods.

    >>> coin = finite_mixture_loss(np.array([0.95, 0.05]), np.array([[0.9, 0.1], [0.1, 0.9]]))
    >>> round(coin.low, 6), round(coin.high, 6)
    (0.215222, 0.215222)
    """
    pmf, table = np.asarray(pmf, dtype=np.float64), np.asarray(decoders, dtype=np.float64)
    if table.ndim != 2 or table.shape[1:] != pmf.shape:
        raise InputError(f"decoders of shape {table.shape} for {pmf.shape} symbols: give one row of likelihoods each")
    if not (np.isfinite(table).all() and (table >= 0).all()):
        raise InputError("the likelihoods of a decoder must be finite and not negative")
    table, pmf = table[:, pmf > 0], pmf[pmf > 0]
    if not (table.max(axis=0) > 0).all():
        raise InputError("no decoder gives a likelihood to some symbol that occurs: its loss is infinite")

    def largest(a: np.ndarray) -> tuple[float, float]:
        sums = table @ a
        return float(sums.max()), float(sums.argmax())

    return _minimise(pmf, table, largest, lambda index: table[index.astype(int)])


def _minimise(
    pmf: np.ndarray,
    table: np.ndarray,
    supremum: Callable[[np.ndarray], tuple[float, float]],
    decoder: Callable[[np.ndarray], np.ndarray],
) -> MixtureLoss:
    """Refits the weights, adds the decoder that violates optimality most, until none does by more than ``GAP``."""
    weights = np.full(len(table), 1 / len(table))
    low = -math.inf
    for _ in range(MAX_DECODERS):
        weights = _refit(pmf, table, weights)
        mix = weights @ table
        high = -float(pmf @ np.log(mix))
        top, where = supremum(pmf / mix)
        low = max(low, high - math.log(top))
        if math.log(top) <= GAP:
            break
        table = np.vstack([table[weights > 0], decoder(np.array([where]))])
        weights = np.append(weights[weights > 0] * (1 - 1 / len(table)), 1 / len(table))
    return MixtureLoss(low, high)


def _refit(pmf: np.ndarray, table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights of least loss for given decoders, by Newton steps.

    ``-sum p ln f`` is to second order ``sum p (f/f0 - 2)^2 / 2``, whose minimum over weights is a non-negative least
    squares problem. A heavy row holds their sum at one; without it twice the weights solve it exactly.
    """

    def loss(mix: np.ndarray) -> float:
        return -float(pmf @ np.log(mix)) if (mix > 0).all() else math.inf

    heavy = 1e3
    for _ in range(100):
        mix = weights @ table
        if (table @ (pmf / mix)).max() <= 1 + GAP / 10:
            break
        rows = np.vstack([(table * np.sqrt(pmf) / mix).T, np.full(len(table), heavy)])
        target, _ = nnls(rows, np.append(2 * np.sqrt(pmf), heavy))
        target /= target.sum()
        step, before = 1.0, loss(mix)
        while step > 1e-6 and not loss(mix + step * (target @ table - mix)) < before:
            step /= 2
        if step <= 1e-6:
            break
        weights = weights + step * (target - weights)
    return weights
