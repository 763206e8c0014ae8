"""Entropy of one discrete variable from its counts."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad
from scipy.special import digamma, gammaln, polygamma

from bounds.errors import InputError

#: Points of the trapezoid rule over ln(beta) in the NSB average; doubling them changes no digit shown.
_GRID = 2001


def plug_in(counts: np.ndarray) -> float:
    """The entropy in nats of the empirical law: ``ln N - sum n ln n / N``. Too low on average.

    >>> round(plug_in(np.array([5, 5])), 6)
    0.693147
    """
    n = counts.astype(np.float64)
    total = n.sum()
    return float(math.log(total) - (n @ np.log(n)) / total)


def miller_madow(counts: np.ndarray) -> float:
    """The plug-in entropy in nats plus its bias for large samples, ``(K - 1) / 2N`` for ``K`` symbols seen (1955).

    >>> round(miller_madow(np.array([5, 5])), 6)
    0.743147
    """
    return plug_in(counts) + (len(counts) - 1) / (2 * int(counts.sum()))


def chao_shen(counts: np.ndarray) -> float:
    """Entropy in nats by sample coverage, each symbol weighed by its chance of being seen (Chao and Shen 2003).

    Probabilities are shrunk by Good and Turing's coverage ``1 - (symbols seen once) / N``; where every symbol was seen
    once, one of them is taken for seen twice, as the authors do.
    """
    n = counts.astype(np.float64)
    total = float(n.sum())
    once = int((counts == 1).sum())
    p = (1 - min(once, total - 1) / total) * n / total
    if p[0] == 1.0:
        return 0.0
    return float(-(p @ (np.log(p) / -np.expm1(total * np.log1p(-p)))))


def chao_wang_jost(counts: np.ndarray) -> float:
    """Entropy in nats, corrected for symbols not seen (Chao, Wang and Jost 2013, doi 10.1111/2041-210X.12108).

    The part that can be estimated without bias, plus an extrapolation from the numbers of symbols seen once
    and twice.
    """
    n = counts.astype(np.float64)
    total = n.sum()
    # sum_{k=n}^{N-1} 1/k, which vanishes at n = N
    seen = float(n @ (digamma(total) - digamma(n)) / total)
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    if not once:
        return seen
    a = 2 * twice / ((total - 1) * once + 2 * twice) if twice else 2 / ((total - 1) * (once - 1) + 2)
    if a >= 1:
        return seen
    # (1-a)^(1-N) [-ln a - sum_{r<N} (1-a)^r / r] = int_0^inf (1-a) e^(-N s) / (1 - (1-a) e^(-s)) ds, where
    # nothing cancels; s is measured in units of 1/N.
    unseen, _ = quad(
        lambda s: (1 - a) * math.exp(-s) / (total * (1 - (1 - a) * math.exp(-s / total))), 0, math.inf, epsabs=1e-13
    )
    return float(seen + once / total * unseen)


def nsb(counts: np.ndarray, alphabet: int) -> float:
    """The Nemenman-Shafee-Bialek posterior mean of the entropy in nats (2002), for a known alphabet.

    A mixture of symmetric Dirichlet priors, weighted so that the prior of the entropy is nearly flat.

    Raises:
        InputError: more symbols seen than the alphabet has.

    >>> round(nsb(np.array([4, 12, 4, 5, 3, 1, 5, 1, 2, 2, 2, 2, 11, 3, 4, 12, 12, 1, 2]), 100), 4)  # ndd's README
    2.8061
    """
    if len(counts) > alphabet:
        raise InputError(f"{len(counts)} symbols were seen, but the alphabet is said to have {alphabet}")
    if alphabet == 1:
        return 0.0
    seen, times = np.unique(counts, return_counts=True)
    seen, times = seen.astype(np.float64)[:, None], times.astype(np.float64)
    total = float(times @ seen[:, 0])
    missing = alphabet - float(times.sum())

    def log_weight(log_beta: np.ndarray) -> np.ndarray:
        """Log posterior density of ln(beta), up to a constant."""
        beta = np.exp(log_beta)
        prior = np.log(alphabet * polygamma(1, alphabet * beta + 1) - polygamma(1, beta + 1)) + log_beta
        evidence = gammaln(alphabet * beta) - gammaln(total + alphabet * beta)
        return np.asarray(prior + evidence + times @ (gammaln(seen + beta) - gammaln(beta)))

    def entropy(log_beta: np.ndarray) -> np.ndarray:
        """Posterior mean of the entropy given beta."""
        beta = np.exp(log_beta)
        mass = total + alphabet * beta
        counted = times @ ((seen + beta) * digamma(seen + beta + 1))
        return np.asarray(digamma(mass + 1) - (counted + missing * beta * digamma(beta + 1)) / mass)

    low, high = math.log(1e-12 / alphabet), math.log(1e12)
    while True:
        log_beta = np.linspace(low, high, _GRID)
        weight = log_weight(log_beta)
        weight = np.exp(weight - weight.max())
        present = np.flatnonzero(weight > 1e-17)
        first, last = max(present[0] - 1, 0), min(present[-1] + 1, _GRID - 1)
        if last - first > _GRID // 4:
            break
        low, high = log_beta[first], log_beta[last]
    return float(weight @ entropy(log_beta) / weight.sum())


def richness(counts: np.ndarray) -> int:
    """Chao's estimate of how many symbols there are (1984), seen or not; low on average.

    In the form without division by zero: symbols seen plus ``(N-1)/N f_1 (f_1 - 1) / (2 (f_2 + 1))``, with ``f_1``
    symbols seen once and ``f_2`` twice.

    >>> richness(np.array([9, 5, 1, 1, 1, 2]))
    8
    """
    once, twice, total = int((counts == 1).sum()), int((counts == 2).sum()), int(counts.sum())
    return len(counts) + math.ceil((total - 1) / total * once * (once - 1) / (2 * (twice + 1)))


def nsb_unknown(counts: np.ndarray) -> float:
    """The NSB estimate in nats for an alphabet that is not known and taken as :func:`richness`; low on average.

    Raises:
        InputError: no symbol was seen twice, so nothing tells how many there are.
    """
    total = int(counts.sum())
    if len(counts) == total > 1:
        raise InputError(f"all {total} rows are different: nothing tells how many symbols there are, use more rows")
    return nsb(counts, richness(counts))
