"""Means of Gaussian log-densities: entropy, cross-entropy and KL from second moments."""

from __future__ import annotations

import math

import numpy as np

from bounds.errors import InputError
from bounds.joints import Gaussian
from bounds.lattice import correlation, half_logdet


def second_moment(gain: np.ndarray, cov: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
    """``E v v'`` for ``v = gain x + shift`` and centred ``x``."""
    moment = gain @ cov @ gain.T
    return np.asarray(moment if shift is None else moment + np.outer(shift, shift))


def cross_entropy(moment: np.ndarray, cov: np.ndarray) -> float:
    """``-E ln N(v; 0, cov)`` for ``v`` of that second moment."""
    trace = float(np.trace(np.linalg.solve(cov, moment)))
    return 0.5 * (len(cov) * math.log(2 * math.pi) + logdet(cov) + trace)


def mean_kl(cov: np.ndarray, other: np.ndarray, mismatch: np.ndarray) -> float:
    """``E KL(N(a, cov) || N(b, other))`` with ``mismatch = E (a - b)(a - b)'``."""
    trace = float(np.trace(np.linalg.solve(other, cov + mismatch)))
    return 0.5 * (trace - len(cov) + logdet(other) - logdet(cov))


def gaussian_entropy(cov: np.ndarray) -> float:
    """Of a Gaussian law; ``-inf`` where it is singular up to rounding."""
    variances = np.diagonal(cov)
    if not (variances > 0).all():
        return -math.inf
    return half_logdet(correlation(cov)) + 0.5 * float(np.log(2 * math.pi * math.e * variances).sum())


def check_regular(law: Gaussian) -> None:
    """Refuses a law without a density.

    Raises:
        InputError: the covariance is singular, up to rounding.
    """
    if gaussian_entropy(law.cov) == -math.inf:
        raise InputError("the law is singular, its entropy is -inf: drop variables that others determine, or add noise")


def logdet(cov: np.ndarray) -> float:
    """Of a positive definite matrix; zero for one without rows."""
    return float(np.linalg.slogdet(cov)[1])
