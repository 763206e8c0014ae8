"""Decoder families of one variable: the best loss, the highest likelihood, and bounds of the best mixture.

A family ``V`` is a set of likelihoods ``v_t(x)`` with a location ``t``. THEORY T7 needs from it, in nats:

- ``H_V``, the least expected loss ``-ln v_t(x)`` under a law;
- the *peak loss* ``-ln sup_t v_t(x)`` of a value, the least that any decoder, or mixture of decoders, can lose on it;
- what bounds ``R_V``, the least expected loss of a mixture: for a density in closed form, and for values with
  probabilities the supremum that :mod:`bounds.likelihood.mixture_loss` asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import xlog1py, xlogy

from bounds.errors import InputError
from bounds.lattice import minus_xlogx

#: The largest value of a weighted sum of likelihoods is bounded to this relative accuracy ...
SUPREMUM_TOLERANCE = 1e-9
#: ... unless more intervals than this are open; the bound is then wider, and still a bound.
MAX_INTERVALS = 1 << 15


class Noise(Protocol):
    """What every family of one numeric variable offers. ``values`` are the ``(k,)`` values of its symbols."""

    def check(self, name: str, values: np.ndarray) -> None:
        """Raises InputError where the family gives no likelihood to a value."""
        ...

    def log_likelihood(self, x: np.ndarray, location: np.ndarray) -> np.ndarray:
        """``ln v_t(x)``, elementwise."""
        ...

    def best_loss(self, tables: np.ndarray, values: np.ndarray) -> np.ndarray:
        """``(r,)``: ``H_V`` of each of ``r`` laws ``(r, k)`` on the values."""
        ...

    def peak_loss(self, x: np.ndarray) -> np.ndarray:
        """``-ln sup_t v_t(x)``, elementwise."""
        ...

    def supremum(self, weights: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """An upper bound of ``sup_t sum_i weights_i v_t(values_i)/sup_s v_s(values_i)``, and where it is reached."""
        ...


@dataclass(frozen=True)
class GaussianNoise:
    """``N(t, variance)``."""

    variance: float

    def check(self, name: str, values: np.ndarray) -> None:
        """Every real number has a density."""

    def log_likelihood(self, x: np.ndarray, location: np.ndarray) -> np.ndarray:
        """``ln N(x; t, variance)``."""
        return np.asarray(-self._peak - (x - location) ** 2 / (2 * self.variance))

    @property
    def _peak(self) -> float:
        return 0.5 * math.log(2 * math.pi * self.variance)

    def best_loss(self, tables: np.ndarray, values: np.ndarray) -> np.ndarray:
        """``ln(2 pi variance)/2 + Var/(2 variance)``, at the mean."""
        return self.loss_of_gaussian(variances(tables, values))

    def loss_of_gaussian(self, variance: np.ndarray) -> np.ndarray:
        """``H_V`` of Gaussians of these variances, and of any law with them."""
        return np.asarray(self._peak + variance / (2 * self.variance))

    def mixture_floor(self, entropy: float) -> float:
        """A lower bound of ``R_V`` for a density of this differential entropy ``h``, exact for Gaussian data.

        ``R_V = min_D R(D) + D/(2 variance) + const`` with the rate-distortion function, which is at least 0 and at
        least ``h - ln(2 pi e D)/2`` (Shannon). The two meet at the entropy power; below it the least is at
        ``D = variance``.
        """
        power = math.exp(2 * entropy) / (2 * math.pi * math.e)
        return entropy if self.variance <= power else self._peak + power / (2 * self.variance)

    def peak_loss(self, x: np.ndarray) -> np.ndarray:
        """``ln(2 pi variance)/2``."""
        return np.full(np.shape(x), self._peak)

    def supremum(self, weights: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """By branch and bound between the smallest and the largest value, where the supremum is.

        On an interval each term is at most its value at the nearest point; and the sum is at most its second-order
        expansion at the middle with ``|u^2 - 1| exp(-u^2/2) <= 1`` for the second derivatives.
        """
        sd = math.sqrt(self.variance)
        points = np.unique(values)
        at_points = np.exp(-0.5 * ((values[:, None] - points) / sd) ** 2).T @ weights
        best, where = float(at_points.max()), float(points[at_points.argmax()])
        left, right = points[:-1], points[1:]
        closed = best
        while len(left):
            middle, half = (left + right) / 2, (right - left) / 2
            u = (values - middle[:, None]) / sd
            terms = weights * np.exp(-0.5 * u**2)
            height, slope = terms.sum(axis=1), (terms * u).sum(axis=1) / sd
            near = np.maximum(np.abs(u) - half[:, None] / sd, 0.0)
            kernel = np.exp(-0.5 * near**2)
            bend = np.where(near < math.sqrt(3), 1.0, (near**2 - 1) * kernel) @ weights / self.variance
            upper = np.minimum(kernel @ weights, height + np.abs(slope) * half + bend * half**2 / 2)
            if height.max() > best:
                best, where = float(height.max()), float(middle[height.argmax()])
            open_ = upper > best * (1 + SUPREMUM_TOLERANCE)
            closed = max(closed, float(upper[~open_].max(initial=best)))
            if open_.sum() > MAX_INTERVALS or not (half > np.spacing(np.abs(middle))).all():
                return max(closed, float(upper.max())), where
            left, right, middle = left[open_], right[open_], middle[open_]
            left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        return closed, where


@dataclass(frozen=True)
class LaplaceNoise:
    """Density ``exp(-|x - t|/scale)/(2 scale)``."""

    scale: float

    def check(self, name: str, values: np.ndarray) -> None:
        """Every real number has a density."""

    def log_likelihood(self, x: np.ndarray, location: np.ndarray) -> np.ndarray:
        """``-ln(2 scale) - |x - t|/scale``."""
        return np.asarray(-self._peak - np.abs(x - location) / self.scale)

    @property
    def _peak(self) -> float:
        return math.log(2 * self.scale)

    def best_loss(self, tables: np.ndarray, values: np.ndarray) -> np.ndarray:
        """``ln(2 scale) + E|x - med|/scale``; a median is among the values."""
        distances = np.abs(values[:, None] - values)
        return np.asarray(self._peak + (tables @ distances).min(axis=1) / self.scale)

    def loss_of_gaussian(self, variance: np.ndarray) -> np.ndarray:
        """``H_V`` of Gaussians of these variances: ``E|x - med| = sd sqrt(2/pi)``."""
        return np.asarray(self._peak + np.sqrt(2 * variance / math.pi) / self.scale)

    def mixture_floor(self, entropy: float) -> float:
        """A lower bound of ``R_V`` for a density of this differential entropy, as :class:`GaussianNoise` has it.

        Shannon's bound of the rate for absolute errors is ``h - ln(2 e D)``. Loose for Gaussian data.
        """
        power = math.exp(entropy) / (2 * math.e)
        return entropy if self.scale <= power else self._peak + power / self.scale

    def peak_loss(self, x: np.ndarray) -> np.ndarray:
        """``ln(2 scale)``."""
        return np.full(np.shape(x), self._peak)

    def supremum(self, weights: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """At one of the values, since between two of them every term is convex."""
        sums = np.exp(-np.abs(values[:, None] - values) / self.scale) @ weights
        return float(sums.max()), float(values[sums.argmax()])


@dataclass(frozen=True)
class BernoulliNoise:
    """The loss ``-x ln t - (1 - x) ln(1 - t)``, for grey values ``x`` in [0, 1] too.

    On {0, 1} these are all laws. On grey values they are no densities: they do not add up to one, and a mixture of
    them may lose less than the entropy.
    """

    def check(self, name: str, values: np.ndarray) -> None:
        """Values must lie in [0, 1]."""
        outside = np.flatnonzero(~((values >= 0) & (values <= 1)))
        if outside.size:
            raise InputError(
                f"a Bernoulli likelihood needs values in [0, 1], {name!r} has {values[outside[0]]:g}: rescale it, give "
                "the values of its symbols, or use another likelihood"
            )

    def log_likelihood(self, x: np.ndarray, location: np.ndarray) -> np.ndarray:
        """``x ln t + (1 - x) ln(1 - t)``, with ``0 ln 0 = 0``."""
        return np.asarray(xlogy(x, location) + xlog1py(1 - x, -location))

    def best_loss(self, tables: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The binary entropy of the mean."""
        return self.peak_loss(tables @ values)

    def peak_loss(self, x: np.ndarray) -> np.ndarray:
        """The binary entropy of the value: 0 at 0 and 1, ``ln 2`` at one half."""
        return np.asarray(minus_xlogx(np.asarray(x, dtype=float)) + minus_xlogx(1 - np.asarray(x, dtype=float)))

    def supremum(self, weights: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """The sum is concave in ``t`` (weighted geometric means): bisection of its slope, and a tangent above it."""
        scaled = weights * np.exp(self.peak_loss(values))

        def height(t: float) -> float:
            return float(scaled @ np.exp(self.log_likelihood(values, np.asarray(t))))

        def slope(t: float) -> float:
            terms = scaled * np.exp(self.log_likelihood(values, np.asarray(t)))
            return float(terms @ (values / t - (1 - values) / (1 - t)))

        low, high = 0.0, 1.0
        while low < (middle := (low + high) / 2) < high and high - low > 1e-15:
            low, high = (middle, high) if slope(middle) >= 0 else (low, middle)
        ends = [(height(t), t) for t in (low, high)]
        tangents = [height(t) + abs(slope(t)) * (high - low) for t in (low, high) if 0 < t < 1]
        best, where = max(ends)
        return max(best, min(tangents)), where


def variances(tables: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The variance of each law, as the mean square of deviations: 0 for a certain value, never below it."""
    deviations = values - (tables @ values)[:, None]
    return np.asarray((tables * deviations**2).sum(axis=1))
