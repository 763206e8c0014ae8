"""All ``2^M`` subset entropies at once: augmented tensors for discrete laws, Schur complements for Gaussians.

Both work through the lattice of subsets with one pass over the modalities, so that every subset
shares the marginalisation or elimination of its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import lapack, solve_triangular

from bounds.progress import Track, no_progress

#: Axes are summed out one by one until the marginals of the remaining ones fit in this many cells. The result does not
#: depend on it; 3^9 was the fastest of the powers tried for binary modalities (benchmarks/lattice.py).
LEAF_CELLS = 3**9

_TINY = np.finfo(np.float64).tiny


def minus_xlogx(p: np.ndarray) -> np.ndarray:
    """``-p ln p`` elementwise, 0 at 0. Subnormal ``p`` count as ``p ln(tiny)``."""
    logs = np.maximum(p, _TINY)
    np.log(logs, out=logs)
    logs *= p
    np.negative(logs, out=logs)
    return np.asarray(logs)


def pmf_entropies(pmf: np.ndarray, track: Track = no_progress) -> np.ndarray:
    """Entropies of all marginals of a pmf.

    Args:
        pmf: ``(k_1, ..., k_M)``, nonnegative. It need not sum to one: the result is the sum of ``-p ln p``
            over the cells of each marginal.
        track: shows progress, an item for each block of subsets.

    Returns:
        ``(2**M,)`` in nats, index = bitmask, bit ``m`` for axis ``m``.

    Time is proportional to ``prod(k_m + 1)``, the number of cells of all marginals together, memory to
    ``prod(k_m)``.

    >>> pmf_entropies(np.array([[0.5, 0.0], [0.0, 0.5]])).round(6).tolist()
    [0.0, 0.693147, 0.693147, 0.693147]
    """
    # The first axis in memory becomes the highest bit, so the axes are reversed.
    sizes = pmf.shape[::-1]
    split = 0
    while split < len(sizes) - 1 and math.prod(k + 1 for k in sizes[split:]) > LEAF_CELLS:
        split += 1
    leaves = _leaves(np.ascontiguousarray(pmf.transpose()).reshape(-1), sizes, split)
    blocks = [_all_marginals_at_once(p, sizes[split:]) for p in track(leaves, "entropies", 1 << split)]
    values = np.concatenate(blocks)
    values[0] = 0.0
    return values


def _leaves(p: np.ndarray, sizes: Sequence[int], split: int) -> Iterator[np.ndarray]:
    """For each choice of the first ``split`` axes to keep (bit 1) or to sum out (bit 0) the table of what is left, flat
    with axes ``(*sizes[split:], kept)``. The first axis is the highest bit.
    """
    if not split:
        yield p
        return
    first, rest = sizes[0], sizes[1:]
    yield from _leaves(p.reshape(first, -1).sum(axis=0), rest, split - 1)
    kept = p.reshape(first, math.prod(rest), -1).transpose(1, 0, 2).reshape(-1)
    yield from _leaves(kept, rest, split - 1)


def _all_marginals_at_once(p: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """``(2**r,)`` for a flat ``p`` with axes ``(*sizes, kept)``: for each choice of axes to keep (bit 1) or to sum out
    (bit 0) the sum of ``-p ln p`` over what is left, by one table that holds the cells of every marginal.

    Half of the axes are worked on while the other half is the contiguous inner one, then the table is transposed:
    axes of two or three cells alone would leave nothing to loop over.
    """
    half = len(sizes) // 2
    front, back = sizes[:half], sizes[half:]
    cells_front, cells_back = (math.prod(k + 1 for k in part) for part in (front, back))
    table = np.ascontiguousarray(_with_sums(p, front).reshape(cells_front, -1).T)
    table = _with_sums(table, back).reshape(cells_back, -1, cells_front)
    terms = minus_xlogx(table).sum(axis=1)
    terms = np.ascontiguousarray(_kept_or_dropped(terms, back).reshape(1 << len(back), cells_front).T)
    return _kept_or_dropped(terms, front).reshape(-1)


def _with_sums(table: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Each leading axis of size ``k`` gets one more slice, which holds the sum of the others."""
    done = 1
    for k in sizes:
        cells = table.reshape(done, k, -1)
        table = np.empty((done, k + 1, cells.shape[2]))
        table[:, :k] = cells
        np.add.reduce(cells, axis=1, out=table[:, k])
        done *= k + 1
    return table


def _kept_or_dropped(terms: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Each leading axis becomes two entries: the slice that holds the sum, and the total of the others."""
    done = 1
    for k in sizes:
        cells = terms.reshape(done, k + 1, -1)
        terms = np.empty((done, 2, cells.shape[2]))
        terms[:, 0] = cells[:, k]
        np.add.reduce(cells[:, :k], axis=1, out=terms[:, 1])
        done *= 2
    return terms


def marginal_entropy(pmf: np.ndarray, axes: Sequence[int]) -> float:
    """The entropy in nats of one marginal of a pmf."""
    rest = tuple(axis for axis in range(pmf.ndim) if axis not in set(axes))
    return float(minus_xlogx(pmf.sum(axis=rest)).sum()) if len(rest) < pmf.ndim else 0.0


def gaussian_entropies(cov: np.ndarray, sizes: Sequence[int], track: Track = no_progress) -> np.ndarray:
    """Differential entropies of all subsets of the blocks of a Gaussian.

    Args:
        cov: ``(d, d)``, symmetric positive semidefinite.
        sizes: variables in each of the ``M`` consecutive blocks, summing to ``d``.
        track: shows progress, an item for each block.

    Returns:
        ``(2**M,)`` in nats, index = bitmask. A singular subset, and every superset of it, has ``-inf``.

    >>> gaussian_entropies(np.array([[1.0, 1.0], [1.0, 1.0]]), [1, 1]).round(4).tolist()
    [0.0, 1.4189, 1.4189, -inf]
    """
    with np.errstate(divide="ignore"):
        own = 0.5 * np.log(2 * math.pi * math.e * np.diagonal(cov))
    starts = np.cumsum([0, *sizes[:-1]])
    return half_logdets(correlation(cov), sizes, np.add.reduceat(own, starts), track=track)


def correlation(cov: np.ndarray) -> np.ndarray:
    """The correlation matrix; a variable of zero variance is left with a zero row."""
    scale = np.sqrt(np.diagonal(cov))
    safe = np.where(scale > 0, scale, 1.0)
    return np.asarray(cov / safe[:, None] / safe[None, :])


def singular_below(n_variables: int) -> float:
    """What counts as zero for a conditional variance, for a residual whose coefficients sum to one.

    A correlation matrix is known, and eliminated, to about ``n`` ulps in each entry: ``max |E| <= n eps``. To first
    order the variance of the residual ``x_j - b'x_A`` is then off by ``(1,-b)' E (1,-b) <= n eps (1 + sum |b|)^2``, so
    a variance below twice that may be zero.
    """
    return 2 * n_variables * float(np.finfo(np.float64).eps)


def half_logdet(corr: np.ndarray) -> float:
    """``(1/2) ln det`` of a correlation matrix by Cholesky, ``-inf`` where it is singular up to rounding."""
    factor, failed = lapack.dpotrf(corr, lower=1, clean=1)
    if failed:
        return -math.inf
    inverse, _ = lapack.dtrtri(factor, lower=1)
    # Row j of the inverse holds the coefficients of residual j over its standard deviation.
    spread = np.abs(inverse).sum(axis=1)
    if (singular_below(len(corr)) * spread**2 >= 1).any():
        return -math.inf
    return float(np.log(np.diagonal(factor)).sum())


def residuals(corr: np.ndarray, given: Sequence[int], rest: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """``Cov(X_rest | X_given)`` for a regular ``given`` block, and the spread of each residual.

    The spread is the sum of its absolute coefficients, see :func:`singular_below`.
    """
    if not len(given):
        return corr[np.ix_(rest, rest)], np.ones(len(rest))
    factor, _ = lapack.dpotrf(corr[np.ix_(given, given)], lower=1, clean=1)
    half = solve_triangular(factor, corr[np.ix_(given, rest)], lower=True)
    slopes = solve_triangular(factor, half, lower=True, trans="T")
    return corr[np.ix_(rest, rest)] - half.T @ half, 1 + np.abs(slopes).sum(axis=0)


def half_logdets(
    corr: np.ndarray,
    sizes: Sequence[int],
    offsets: np.ndarray | None = None,
    spread: np.ndarray | None = None,
    track: Track = no_progress,
) -> np.ndarray:
    """``(2**M,)`` of ``(1/2) ln det corr_AA`` by one elimination a variable, for all subsets at once.

    After ``j`` blocks ``batch[:, :, s]`` is the covariance of the remaining variables given subset ``s`` of the
    first ``j``. The batch is the last axis, so that the inner loops stay long as the matrices shrink.

    Args:
        corr: ``(d, d)``, a correlation matrix, or the covariance of residuals of one.
        sizes: variables in each block.
        offsets: ``(M,)``, added for each block in a subset.
        spread: ``(d,)``, of the residuals, see :func:`singular_below`; by default the variables are themselves.
        track: shows progress, an item for each block.
    """
    unit = singular_below(len(corr))
    batch = np.ascontiguousarray(corr[:, :, None])
    spreads = np.ones((len(corr), 1)) if spread is None else spread[:, None]
    totals = np.zeros(1)
    for block, size in track(enumerate(sizes), "entropies", len(sizes)):
        conditioned, grown = batch, spreads
        gained = np.full(batch.shape[2], 0.0 if offsets is None else offsets[block])
        for _ in range(size):
            pivot = conditioned[0, 0]
            regular = pivot > unit * grown[0] ** 2
            # A subset that contains a singular one is -inf whatever its later pivots are.
            safe = np.where(regular, pivot, 1.0)
            gained += np.where(regular, 0.5 * np.log(safe), -np.inf)
            row = conditioned[0, 1:]
            slope = row / safe
            conditioned = conditioned[1:, 1:] - row[:, None, :] * slope[None, :, :]
            grown = grown[1:] + np.abs(slope) * grown[0]
        batch = np.concatenate([batch[size:, size:], conditioned], axis=2)
        spreads = np.concatenate([spreads[size:], grown], axis=1)
        totals = np.concatenate([totals, totals + gained])
    return totals
