"""Intervals for whole linear functionals of estimated entropies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array
from scipy.stats import norm

from bounds.functional import Functional
from bounds.quantity import Guarantee
from bounds.subsets import members

#: Above this many subsets the two linear programs are replaced by sums of absolute values, which are wider.
MAX_PROGRAM = 512


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

    Args:
        n: rows.
        plug_in: subset bitmask to plug-in entropy.
        log_alphabet: subset bitmask to ``ln K_A``, the log of the number of values that are possible.
    """

    n: int
    plug_in: Mapping[int, float]
    log_alphabet: Mapping[int, float]

    guarantee: Guarantee = "guaranteed"
    method: str = (
        "interval by McDiarmid and Paninski, finite-sample; assumes independent rows and that each column has only "
        "the symbols observed"
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


def _range(coefficients: np.ndarray, masks: tuple[int, ...], caps: np.ndarray, increasing: bool) -> tuple[float, float]:
    """Smallest and largest ``c . d`` over ``0 <= d <= caps`` that increase (or decrease) along inclusion."""
    if len(masks) > MAX_PROGRAM:
        return float(np.minimum(coefficients, 0) @ caps), float(np.maximum(coefficients, 0) @ caps)
    pairs = _inclusions(masks)
    order = None
    if pairs:
        small, large = np.array(pairs).T
        rows = np.arange(len(pairs))
        signs = np.ones(len(pairs)) if increasing else -np.ones(len(pairs))
        order = coo_array(
            (np.concatenate([signs, -signs]), (np.concatenate([rows, rows]), np.concatenate([small, large]))),
            shape=(len(pairs), len(masks)),
        ).tocsr()
    zeros = None if order is None else np.zeros(len(pairs))
    ends = []
    for sign in (1, -1):
        found = linprog(sign * coefficients, A_ub=order, b_ub=zeros, bounds=np.column_stack([0 * caps, caps]))
        if not found.success:
            raise RuntimeError(f"the linear program of an interval failed: {found.message}")
        ends.append(sign * float(found.fun))
    return ends[0], ends[1]


def _inclusions(masks: tuple[int, ...]) -> list[tuple[int, int]]:
    """Pairs of positions ``(i, j)`` with ``masks[i]`` inside ``masks[j]``, less those that follow from others."""
    present = set(masks)
    pairs = []
    for i, small in enumerate(masks):
        for j, large in enumerate(masks):
            between = large & ~small
            if i == j or small & ~large:
                continue
            if between.bit_count() > 1 and any(small | 1 << u in present for u in members(between)):
                continue
            pairs.append((i, j))
    return pairs


@dataclass(frozen=True)
class InfluenceInterval:
    """The delta-method interval of a functional of the entropies of a fitted Gaussian or Gaussian copula.

    ``F`` is smooth in the covariance, ``dF = tr(G dSigma)`` with ``G = (1/2) sum_A c_A [Sigma_AA^-1]``, so each row
    has the influence ``z'Gz`` (less its mean), and the variance of ``F`` is that of the influence over ``N``. It is
    right for large ``N`` if the model is: the entropies themselves are the model's.

    Args:
        rows: ``(N, d)``, centred and scaled as ``cov``.
        cov: ``(d, d)``, the fitted covariance.
        variables: subset bitmask to the variables in it.
        shrinkage: the share of the fitted covariance that does not depend on the data.
        marginal: for a copula ``(N, d)``, minus the log density of each row in each margin; the rows are then
            normal scores, whose ranks remove the influence of each variable's scale.
        values: subset bitmask to the entropies estimated.
        what: the model's name.
    """

    rows: np.ndarray
    cov: np.ndarray
    variables: Mapping[int, list[int]]
    values: Mapping[int, float]
    what: str
    shrinkage: float = 0.0
    marginal: np.ndarray | None = None

    guarantee: Guarantee = "model-based"

    @property
    def method(self) -> str:
        """How the interval is got, and under which assumptions."""
        bias = ""
        if self.shrinkage:
            bias = ", does not cover the bias of shrinking"
        elif self.marginal is not None:
            bias = ", for entropies does not cover the bias of spacings in the margins"
        return f"delta-method interval; assumes independent rows and a {self.what}{bias}"

    def __call__(self, functional: Functional, confidence: float) -> tuple[float, float]:
        """Lower and upper end at a confidence in (0, 1)."""
        dimension = len(self.cov)
        gradient = np.zeros((dimension, dimension))
        share = np.zeros(dimension)
        for mask, c in functional.coefficients.items():
            block = self.variables[mask]
            gradient[np.ix_(block, block)] += 0.5 * float(c) * np.linalg.inv(self.cov[np.ix_(block, block)])
            share[block] += float(c)
        influence = np.einsum("ni,ij,nj->n", self.rows, gradient, self.rows, optimize=True)
        if self.marginal is not None:
            influence -= self.rows**2 @ np.diagonal(gradient @ self.cov)
            influence += self.marginal @ share
        error = (1 - self.shrinkage) * float(influence.std(ddof=1)) / math.sqrt(len(influence))
        half = float(norm.ppf(0.5 + confidence / 2)) * error
        value = math.fsum(float(c) * self.values[mask] for mask, c in functional.coefficients.items())
        return value - half, value + half
