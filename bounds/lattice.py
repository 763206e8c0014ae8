"""All ``2^M`` subset entropies at once: augmented tensors for discrete laws, Schur complements for Gaussians.

Both work through the lattice of subsets with one pass over the modalities, so that every subset
shares the marginalisation or elimination of its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import lapack, solve_triangular

#: The recursion over axes stops when the marginals of the remaining ones fit in this many cells. The result
#: does not depend on it; 3^8 was the fastest of the powers tried for binary modalities (benchmarks/lattice.py).
LEAF_CELLS = 3**8

_TINY = np.finfo(np.float64).tiny

#: A conditional variance below this many ulps of the variable's own variance, per variable, is rounding:
#: the covariance is singular there.
SINGULAR_ULPS = 8.0


def xlogx_sum(p: np.ndarray) -> np.ndarray:
    """The sum of ``-p ln p`` over the last axis, with ``0 ln 0 = 0``. Subnormal ``p`` count as ``p ln(tiny)``."""
    logs = np.maximum(p, _TINY)
    np.log(logs, out=logs)
    return np.asarray(-np.einsum("...i,...i->...", p, logs))


def pmf_entropies(pmf: np.ndarray) -> np.ndarray:
    """Entropies of all marginals of a pmf.

    Args:
        pmf: ``(k_1, ..., k_M)``, nonnegative. It need not sum to one: the result is the sum of ``-p ln p``
            over the cells of each marginal.

    Returns:
        ``(2**M,)`` in nats, index = bitmask, bit ``m`` for axis ``m``.

    Time is proportional to ``prod(k_m + 1)``, the number of cells of all marginals together, memory to
    ``prod(k_m)``.

    >>> pmf_entropies(np.array([[0.5, 0.0], [0.0, 0.5]])).round(6).tolist()
    [0.0, 0.693147, 0.693147, 0.693147]
    """
    # Axes are consumed from the front and each becomes the next higher bit, so the first modality comes last.
    values = _marginal_sums(np.ascontiguousarray(pmf.transpose())[..., None]).reshape(-1)
    values[0] = 0.0
    return values


def _marginal_sums(p: np.ndarray) -> np.ndarray:
    """``(2,) * r`` for ``p`` of shape ``(k_1, ..., k_r, kept)``: for each choice of axes to keep (index 1) or to
    sum out (index 0) the sum of ``-p ln p`` over what is left.

    A kept axis moves into the last one, so that inner loops stay long however short the axes are.
    """
    if math.prod(k + 1 for k in p.shape[:-1]) > LEAF_CELLS and p.ndim > 2:
        dropped = _marginal_sums(p.sum(axis=0))
        kept = np.moveaxis(p, 0, -2).reshape(*p.shape[1:-1], -1)
        return np.stack([dropped, _marginal_sums(kept)])
    terms = xlogx_sum(_with_sums(p))
    for axis in range(p.ndim - 1):
        cells = np.moveaxis(terms, axis, 0)
        terms = np.moveaxis(np.stack([cells[-1], cells[:-1].sum(axis=0)]), 0, axis)
    return terms


def _with_sums(p: np.ndarray) -> np.ndarray:
    """``(k_1 + 1, ..., k_r + 1, kept)``: one more slice along each axis but the last, holding its sum."""
    sizes = p.shape[:-1]
    augmented = np.empty([*(k + 1 for k in sizes), p.shape[-1]])
    augmented[tuple(slice(k) for k in sizes)] = p
    for axis, k in enumerate(sizes):
        before, after = (slice(None),) * axis, tuple(slice(j) for j in sizes[axis + 1 :])
        np.sum(augmented[(*before, slice(k), *after)], axis=axis, out=augmented[(*before, k, *after)])
    return augmented


def marginal_entropy(pmf: np.ndarray, axes: Sequence[int]) -> float:
    """The entropy in nats of one marginal of a pmf."""
    rest = tuple(axis for axis in range(pmf.ndim) if axis not in set(axes))
    return float(xlogx_sum(pmf.sum(axis=rest).reshape(-1))) if len(rest) < pmf.ndim else 0.0


def gaussian_entropies(cov: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Differential entropies of all subsets of the blocks of a Gaussian.

    Args:
        cov: ``(d, d)``, symmetric positive semidefinite.
        sizes: variables in each of the ``M`` consecutive blocks, summing to ``d``.

    Returns:
        ``(2**M,)`` in nats, index = bitmask. A singular subset, and every superset of it, has ``-inf``.

    >>> gaussian_entropies(np.array([[1.0, 1.0], [1.0, 1.0]]), [1, 1]).round(4).tolist()
    [0.0, 1.4189, 1.4189, -inf]
    """
    scale = np.sqrt(np.diagonal(cov))
    dimensions = _subset_totals(np.asarray(sizes, dtype=np.float64))
    with np.errstate(divide="ignore"):
        ends = np.cumsum(sizes)[:-1]
        log_scale = _subset_totals(np.array([np.log(part).sum() for part in np.split(scale, ends)]))
    half_logdets = _half_logdets(correlation(cov), sizes)
    return np.asarray(0.5 * dimensions * math.log(2 * math.pi * math.e) + log_scale + half_logdets)


def correlation(cov: np.ndarray) -> np.ndarray:
    """The correlation matrix; a variable of zero variance is left with a zero row."""
    scale = np.sqrt(np.diagonal(cov))
    safe = np.where(scale > 0, scale, 1.0)
    return np.asarray(cov / safe[:, None] / safe[None, :])


def singular_below(n_variables: int) -> float:
    """The conditional variance, in units of the variable's own, that counts as zero."""
    return SINGULAR_ULPS * n_variables * float(np.finfo(np.float64).eps)


def half_logdet(matrix: np.ndarray, singular: float) -> float:
    """``(1/2) ln det`` by Cholesky, ``-inf`` where a pivot is not above ``singular``."""
    if matrix.shape[0] == 0:
        return 0.0
    factor, info = lapack.dpotrf(matrix, lower=1)
    pivots = np.diagonal(factor)
    if info != 0 or np.min(pivots) ** 2 <= singular:
        return -math.inf
    return float(np.log(pivots).sum())


def conditional_covariance(cov: np.ndarray, given: Sequence[int], rest: Sequence[int]) -> np.ndarray:
    """``Cov(X_rest | X_given)`` of a Gaussian whose ``given`` block is regular."""
    if not len(given):
        return cov[np.ix_(rest, rest)]
    factor, _ = lapack.dpotrf(cov[np.ix_(given, given)], lower=1, clean=1)
    half = solve_triangular(factor, cov[np.ix_(given, rest)], lower=True)
    return np.asarray(cov[np.ix_(rest, rest)] - half.T @ half)


def _half_logdets(corr: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """``(2**M,)`` of ``(1/2) ln det corr_AA`` by one elimination a variable, for all subsets at once.

    After ``j`` blocks ``batch[:, :, s]`` is the covariance of the remaining variables given subset ``s`` of the
    first ``j``. The batch is the last axis, so that the inner loops stay long as the matrices shrink.
    """
    singular = singular_below(len(corr))
    batch = np.ascontiguousarray(corr[:, :, None])
    totals = np.zeros(1)
    for size in sizes:
        conditioned, gained = batch, np.zeros(batch.shape[2])
        for _ in range(size):
            pivot = conditioned[0, 0]
            regular = pivot > singular
            # A subset that contains a singular one is -inf whatever its later pivots are.
            safe = np.where(regular, pivot, 1.0)
            gained += np.where(regular, 0.5 * np.log(safe), -np.inf)
            row = conditioned[0, 1:]
            conditioned = conditioned[1:, 1:] - row[:, None, :] * (row / safe)[None, :, :]
        batch = np.concatenate([batch[size:, size:], conditioned], axis=2)
        totals = np.concatenate([totals, totals + gained])
    return totals


def _subset_totals(values: np.ndarray) -> np.ndarray:
    """``(2**M,)``: the sum of ``values`` over each subset."""
    totals = np.zeros(1)
    for value in values:
        totals = np.concatenate([totals, totals + value])
    return totals
