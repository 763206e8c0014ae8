"""Whether the ranks of columns can be those of a Gaussian copula."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri

#: Chance, for many rows, that columns of a Gaussian copula are found unlike one.
FALSE_ALARMS = 1e-3
#: Rows below which nothing is found, and correlations above which nothing is said: the noise of ranks is too large.
MIN_ROWS, MAX_CORRELATION = 200, 0.99
#: Scores were up to this many times as spread as standard normal ones, from 200 normal rows on.
_SPREAD = 1.5
_TERMS = 400


def unlike_gaussian(data: np.ndarray) -> tuple[int, int] | None:
    """The pair of columns whose ranks are most unlike those of a Gaussian copula; nothing if they may be of one.

    With ``z`` the normal scores of a column and ``w`` those of how far its ranks are from the middle, a Gaussian copula
    of correlation ``rho`` has ``E w_i w_j = sum_k c_k^2 rho^k`` with the Hermite coefficients of ``w`` as a function of
    ``z``, and ``E w_i z_j = 0``. Common scales, as in Student's laws, break the first, and curved relations either.
    Both are held against their standard errors, for all pairs at once.

    Args:
        data: ``(N, d)``, without many ties.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(2, 1000))
    >>> unlike_gaussian(np.column_stack([np.exp(x), x + y])), unlike_gaussian(np.column_stack([x, x**2 + y]))
    (None, (0, 1))
    """
    from scipy.stats import rankdata

    n, d = data.shape
    if n < MIN_ROWS or d < 2:
        return None
    places = (rankdata(data, axis=0) - 0.5) / n
    z, w = _scores(places), _scores((rankdata(np.abs(places - 0.5), axis=0) - 0.5) / n)
    corr = z.T @ z / n
    above = np.abs(corr) > MAX_CORRELATION
    inner = np.where(above, 0.0, corr)
    expected, slope = np.polyval(_squares()[::-1], inner), np.polyval(np.polyder(_squares()[::-1]), inner)
    # of w_i w_j, less what the error of the correlation explains
    variance = (w**2).T @ w**2 - 2 * slope * ((w * z).T @ (w * z)) + slope**2 * ((z**2).T @ z**2)
    alike = w.T @ w / n - expected
    variance = variance / n - (w.T @ w / n - slope * corr) ** 2
    bent = w.T @ z / n
    scores = np.maximum(
        np.abs(alike) / np.sqrt(np.where(variance > 0, variance, np.inf)),
        np.abs(bent) / np.sqrt((w**2).T @ z**2 / n),
    ) * math.sqrt(n)
    scores[above | np.eye(d, dtype=bool)] = 0.0
    limit = _SPREAD * float(ndtri(1 - FALSE_ALARMS / (3 * d * (d - 1))))
    i, j = divmod(int(scores.argmax()), d)
    return (min(i, j), max(i, j)) if scores[i, j] > limit else None


def _scores(places: np.ndarray) -> np.ndarray:
    found: np.ndarray = ndtri(places)
    found /= found.std(axis=0)
    return found


@cache
def _squares() -> np.ndarray:
    """``c_k^2`` of ``w = ndtri(2 ndtr|z| - 1)`` for ``k = 0 .. 399``; they sum to 0.99, and the rest is beyond."""
    z = np.linspace(-9, 9, 40_001)
    share = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    w = -ndtri(np.clip(2 * ndtr(-np.abs(z)), 1e-300, 1 - 1e-16))
    before, now, found = np.zeros_like(z), np.ones_like(z), []
    for k in range(_TERMS):
        found.append(float((w * now * share).sum()) ** 2)
        before, now = now, (z * now - math.sqrt(k) * before) / math.sqrt(k + 1)
    return np.array(found)
