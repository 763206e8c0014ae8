"""Columns that are linear functions of others, exactly or nearly: what a log-determinant then rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bounds.lattice import half_logdet

#: Columns that a message names at most.
_NAMED = 6
#: What the noise of ranks adds to a small eigenvalue of the correlation of normal scores is 1.2 to 1.9 over the number
#: of rows (measured for exactly dependent Gaussian columns, 200 to 3000 rows). Below this many over the number of rows
#: it is a third of the eigenvalue or more.
RANK_NOISE = 4


def standardised(data: np.ndarray) -> np.ndarray:
    """``(N, d)`` columns less their means, over their standard deviations (of ``N`` rows)."""
    centred = data - data.mean(axis=0)
    return np.asarray(centred / centred.std(axis=0))


def dependent(corr: np.ndarray, names: Sequence[str]) -> tuple[str, ...]:
    """The first column that is a linear function of those before it, and these, up to rounding; or nothing.

    >>> dependent(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), ["a", "b", "c"])
    ('a', 'c')
    """
    if math.isfinite(half_logdet(corr)):
        return ()
    regular, singular = 0, len(corr)
    while singular - regular > 1:
        middle = (regular + singular) // 2
        if math.isfinite(half_logdet(corr[:middle, :middle])):
            regular = middle
        else:
            singular = middle
    slopes = np.abs(np.linalg.solve(corr[:regular, :regular], corr[:regular, regular]))
    # What is no part of the relation has a slope of rounding.
    return (*(name for name, slope in zip(names, slopes, strict=False) if slope > 1e-6 * slopes.max()), names[regular])


def named(names: Sequence[str]) -> str:
    """Names for a message, cut where they are many.

    >>> named(["a", "b", "c"]), named([f"x{i}" for i in range(9)])
    ('a, b and c', 'x0, x1, x2, x3, x4, x5 and 3 more')
    """
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def involved(corr: np.ndarray, below: float, names: Sequence[str]) -> list[str]:
    """The columns in the directions whose eigenvalue is less than ``below``, those with the largest part first."""
    eigenvalues, vectors = np.linalg.eigh(corr)
    part = (vectors[:, eigenvalues < below] ** 2).sum(axis=1)
    order = np.argsort(-part, kind="stable").tolist()
    return [names[i] for i in order if part[i] > 0 and part[i] >= 0.1 * part.max()]


def near_collinearity(corr: np.ndarray, n: int, names: Sequence[str], ranks: bool = False) -> list[str]:
    """A warning if a direction of the columns holds so little variance that the rows cannot tell how little.

    The total correlation of a Gaussian law is ``-1/2 sum ln lambda`` over the eigenvalues of its correlation, and the
    ``n`` rows estimate it as ``(1/n) sum z z'``. So one more row that lies one standard deviation off the relation
    raises a small eigenvalue by about ``1/n``: below that, it counts for more than the ``n`` rows together. Sampling is
    no reason to worry, for under a Gaussian law the relative error of every eigenvalue is the same; but rounding, a
    relation that is not quite linear and single wrong rows act in just these directions, and no interval of the model
    covers them. Normal scores have noise of that size in any case, see :data:`RANK_NOISE`.

    Args:
        corr: ``(d, d)``, the correlation of the columns or of their normal scores.
        n: rows.
        names: the columns.
        ranks: whether these are normal scores.
    """
    eigenvalues = np.linalg.eigvalsh(corr)
    times = RANK_NOISE if ranks else 1
    if eigenvalues[0] >= times / n:
        return []
    moved = 0.5 * float(np.log1p(1 / (n * eigenvalues)).sum() - len(corr) * math.log1p(1 / n))
    smallest = (
        f"the smallest eigenvalue of their correlation is {eigenvalues[0]:.2g}, below {times}/N = {times / n:.2g}"
    )
    why = (
        "a third of it or more may be the noise of ranks" if ranks else "one row off the relation outweighs all others"
    )
    which = named(involved(corr, times / n, names))
    return [
        f"near-collinear columns ({which}): {smallest}, so {why}. Noise of 1/N of each column's variance would "
        f"lower the total correlation of all columns by {moved:.2g} nats, which no interval covers: leave out columns "
        "that repeat others, or compare the estimators"
    ]


def moved_by_shrinking(
    corr: np.ndarray, moved: float, error: float, shrinkage: float, names: Sequence[str]
) -> list[str]:
    """A warning if shrinking moves the joint entropy by more than sampling explains.

    Args:
        corr: the correlation before.
        moved: by how much shrinking raises ``1/2 ln det``, over an unbiased estimate without it.
        error: the standard error of that estimate for normal rows, which does not depend on their covariance.
        shrinkage: the share of the target in the shrunk one.
        names: the columns.
    """
    if abs(moved) <= 3 * error:
        return []
    # where shrinking at least doubles an eigenvalue
    which = involved(corr, shrinkage / (1 + shrinkage), names)
    near = f"near-collinear columns ({named(which)}): " if which else ""
    return [
        f"{near}shrinking the correlation by {shrinkage:.2g} moves the entropy of all columns together by {moved:+.2g} "
        f"nats, against a standard error of {error:.2g} without it, and total correlations as much: they depend on "
        "the shrinkage, which no interval covers"
    ]
