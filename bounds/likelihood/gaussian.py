"""Floors of the loss for Gaussian decoders whose variance does not depend on the latent (THEORY T7(iv), (v)).

By the imputation identity such a model is trained, for each encoded subset, on ``xhat_A = E[X|X_A]`` and pays for the
rest. All that counts of Gaussian data is therefore the covariance of ``xhat_A`` and the unexplained variances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from bounds.lattice import correlation, half_logdet, singular_below

#: A gap between the two sides of the programme for a learned variance that is more than rounding, in nats.
GAP = 1e-9


@dataclass(frozen=True)
class Imputed:
    """Second moments of the data with their unseen part imputed, for one encoded subset.

    Attributes:
        weight: ``w_A``.
        spread: ``(d, d)``, the covariance of ``xhat_A = E[X|X_A]``.
        unexplained: ``(d,)``, ``E Var(X_i|X_A)``, zero where seen.
    """

    weight: float
    spread: np.ndarray
    unexplained: np.ndarray


def regression(cov: np.ndarray, seen: Sequence[int]) -> np.ndarray:
    """``(d, d)`` coefficients ``B`` of ``E[X|X_A] = B x``: rows of the identity where seen, zero columns where not.

    Directions of ``X_A`` without variance, up to rounding, get no coefficient.
    """
    known = list(seen)
    slopes = np.zeros_like(cov)
    if known:
        scale = np.sqrt(np.diagonal(cov))
        corr = correlation(cov)
        inverse = np.linalg.pinv(corr[np.ix_(known, known)], rcond=singular_below(len(cov)), hermitian=True)
        safe = np.where(scale > 0, scale, 1.0)
        slopes[:, known] = scale[:, None] * (corr[:, known] @ inverse) / safe[known]
        slopes[np.ix_(known, known)] = np.eye(len(known))
    return slopes


def imputed_moments(cov: np.ndarray, seen: Sequence[int], weight: float = 1.0) -> Imputed:
    """The moments of a Gaussian law, of covariance ``(d, d)``, given some of its variables.

    An unexplained variance that may be the rounding of zero (:func:`bounds.lattice.singular_below`) is zero.
    """
    slopes = regression(cov, seen)
    residual = np.eye(len(cov)) - slopes
    unexplained = ((residual @ cov) * residual).sum(axis=1)
    scale = np.sqrt(np.diagonal(cov))
    rounding = singular_below(len(cov)) * (np.abs(residual) @ scale) ** 2
    spread = slopes @ cov @ slopes.T
    return Imputed(weight, (spread + spread.T) / 2, np.where(unexplained > rounding, unexplained, 0.0))


def fixed_variance_floor(imputed: Imputed, variances: np.ndarray) -> float:
    """The least loss ``-L_A`` in nats for noise of given variances (THEORY T7(iv)).

    ``sum_i [ln(2 pi psi_i)/2 + E Var(X_i|X_A)/(2 psi_i)] + sum_j g(lambda_j)`` with ``lambda`` the eigenvalues of
    ``psi^(-1/2) Cov(xhat_A) psi^(-1/2)`` and ``g(lambda) = ln(lambda)/2 + 1/2`` for ``lambda > 1``, else ``lambda/2``.
    A linear VAE attains it, for this subset (:func:`bounds.likelihood.linear_vae.optimal_linear_vae`).

    >>> law = 0.5 * np.eye(3) + 0.5
    >>> round(fixed_variance_floor(imputed_moments(law, [0]), np.full(3, 0.1)), 6)
    8.656963
    """
    missing = 0.5 * (np.log(2 * math.pi * variances) + imputed.unexplained / variances).sum()
    return float(missing) + _coded(imputed.spread, variances)[0]


def model_covariance(spread: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """``C >= psi``, the covariance that the best linear VAE gives to data of covariance ``spread``."""
    return np.asarray(spread + _coded(spread, variances)[1])


def _coded(spread: np.ndarray, variances: np.ndarray) -> tuple[float, np.ndarray]:
    """``sum_j g(lambda_j)``, and the excess ``C - spread`` of the model's covariance over that of the data."""
    scale = np.sqrt(variances)
    eigenvalues, vectors = np.linalg.eigh(spread / scale / scale[:, None])
    large = eigenvalues > 1
    cost = np.where(large, 0.5 * np.log(np.where(large, eigenvalues, 1.0)) + 0.5, eigenvalues / 2).sum()
    directions = scale[:, None] * vectors
    return float(cost), (directions * np.where(large, 0.0, 1 - eigenvalues)) @ directions.T


@dataclass(frozen=True)
class LearnedVariance:
    """The best variances common to all subsets, and what they cost, in nats.

    Attributes:
        variances: ``(d,)``; zero is a limit, where every subset shows a variable or determines it.
        floor: a lower bound of the least loss over all variances, certified up to rounding; ``-inf`` without one.
        found: the loss at ``variances``, which is at least ``floor``.
        floors: the loss of each subset at ``variances``; their weighted sum is ``found``.
        models: for each subset the covariance ``C_A`` that the best linear VAE gives to ``xhat_A``.
    """

    variances: np.ndarray
    floor: float
    found: float
    floors: tuple[float, ...]
    models: tuple[np.ndarray, ...]


def learned_variance_floor(moments: Sequence[Imputed], groups: np.ndarray) -> LearnedVariance:
    """The least of ``sum_A w_A F_A(psi)`` over variances ``psi`` common to all subsets (THEORY T7(v)).

    Args:
        moments: of each encoded subset, with weights that sum to one.
        groups: ``(d,)``, numbers ``0, 1, ...``; variables of one group have the same variance.

    ``F_A`` is :func:`fixed_variance_floor`. *It is convex in the precision* ``P = 1/psi``, so a stationary point is
    the global minimum. Proof: with ``S_A = Cov(xhat_A)`` the sum of ``g`` is the least loss of a factor model,
    ``min over K <= P of [-ln det(K/(2 pi)) + tr(K S_A)]/2`` (``K`` is the precision ``C^-1`` of the model, at an
    eigenvalue ``lambda`` of ``P^(1/2) S_A P^(1/2)`` it is ``1/max(lambda, 1)`` in units of ``P``). The bracket is
    jointly convex in ``(K, P)`` and so is the constraint, hence so is the minimum in ``P``; the unexplained part is
    linear in ``P``.

    *The floor is certified by the dual.* Minimising the Lagrangian over ``K_A`` and ``P`` leaves

        max sum_A w_A ln det(2 pi e C_A)/2  over  C_A >= S_A  with  sum_A w_A tr_g(C_A - S_A) <= sum_A w_A v_A,g

    for each group ``g`` with unexplained variance ``v_A,g``: the largest mean entropy of Gaussians that spread at
    least as the imputed data and on average no more than the data. Every feasible ``C`` bounds the minimum from below.
    At the optimum ``C_A`` is the model's covariance and the constraint is stationarity in ``P``; near it the excess
    ``C_A - S_A`` is rescaled by group to meet the constraint exactly.

    A group without unexplained variance has no excess. Its variance goes to zero, and its determinant is split off.

    >>> law = 0.5 * np.eye(3) + 0.5
    >>> learned = learned_variance_floor([imputed_moments(law, [m], 1 / 3) for m in range(3)], np.arange(3))
    >>> round(learned.floor, 6), learned.variances.round(6).tolist()
    (4.171866, [0.75, 0.75, 0.75])
    """
    missing = np.bincount(groups, sum(part.weight * part.unexplained for part in moments))
    certain = (missing == 0)[groups]
    if not certain.any():
        return _solve(moments, groups)
    core, rest = np.flatnonzero(certain), np.flatnonzero(~certain)
    bases = [_entropy(part.spread[np.ix_(core, core)]) for part in moments]
    models = [part.spread.copy() for part in moments]
    variances = np.zeros(len(groups))
    if -math.inf in bases:
        return LearnedVariance(variances, -math.inf, -math.inf, tuple(bases), tuple(models))
    floors, base = bases, math.fsum(part.weight * value for part, value in zip(moments, bases, strict=True))
    lowest = found = base
    if len(rest):
        reduced = [Imputed(part.weight, _given(part.spread, core, rest), part.unexplained[rest]) for part in moments]
        inner = _solve(reduced, np.unique(groups[rest], return_inverse=True)[1])
        lowest, found = base + inner.floor, base + inner.found
        floors = [a + b for a, b in zip(bases, inner.floors, strict=True)]
        variances[rest] = inner.variances
        for model, part, of_rest in zip(models, reduced, inner.models, strict=True):
            model[np.ix_(rest, rest)] += of_rest - part.spread
    return LearnedVariance(variances, lowest, found, tuple(floors), tuple(models))


def _solve(moments: Sequence[Imputed], groups: np.ndarray) -> LearnedVariance:
    """For groups that all have unexplained variance: then the minimum exists, inside."""
    mean = sum(part.weight * part.unexplained for part in moments)
    missing = np.bincount(groups, mean)

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        variances = np.exp(logs)[groups]
        slope = -mean
        for part in moments:
            slope = slope + part.weight * np.diagonal(_coded(part.spread, variances)[1])
        value = math.fsum(part.weight * fixed_variance_floor(part, variances) for part in moments)
        return value, np.bincount(groups, slope / (2 * variances))

    start = np.log(missing / np.bincount(groups))
    options = {"maxiter": 2000, "maxfun": 10_000, "ftol": 0.0, "gtol": 1e-12, "maxcor": 30}
    variances = np.exp(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)[groups]
    floors = tuple(fixed_variance_floor(part, variances) for part in moments)
    excess = [_coded(part.spread, variances)[1] for part in moments]
    used = np.bincount(groups, sum(p.weight * np.diagonal(e) for p, e in zip(moments, excess, strict=True)))
    rescale = np.sqrt(missing / used)[groups]
    feasible = [part.spread + e * rescale * rescale[:, None] for part, e in zip(moments, excess, strict=True)]
    return LearnedVariance(
        variances,
        math.fsum(part.weight * _entropy(cov) for part, cov in zip(moments, feasible, strict=True)),
        math.fsum(part.weight * value for part, value in zip(moments, floors, strict=True)),
        floors,
        tuple(part.spread + e for part, e in zip(moments, excess, strict=True)),
    )


def _entropy(cov: np.ndarray) -> float:
    """Of a Gaussian; ``-inf`` where it is singular up to rounding."""
    variances = np.diagonal(cov)
    if not (variances > 0).all():
        return -math.inf
    return half_logdet(correlation(cov)) + 0.5 * float(np.log(2 * math.pi * math.e * variances).sum())


def _given(cov: np.ndarray, core: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The covariance of the rest given a regular core."""
    slopes = regression(cov, core.tolist())[np.ix_(rest, core)]
    return np.asarray(cov[np.ix_(rest, rest)] - slopes @ cov[np.ix_(core, rest)])
