"""The best linear-Gaussian VAE for a Gaussian law and a scheme: in closed form where there is one (THEORY T6, T7).

The encoders drop out, and for fixed and for isotropic noise so does the search: see ``toy_models.gaussian_profile``.

*Learned diagonal and full noise* is a factor analysis of ``C_S``: with ``k >= d`` latents convex in the precision, so
that a stationary point is the best; with fewer there are local optima, hence several starts.

*A ceiling over any number of latents.* For every ``Q >= 0`` that is on the blocks of the noise at most ``C - C_S``

    L_S <= -ln det(2 pi e (C_S + Q)) / 2.

Proof: ``tr(Psi^-1 (C - C_S)) >= tr(Psi^-1 Q) >= tr(K^-1 Q)``, as ``Psi^-1`` lives on the blocks and ``K >= Psi``; and
``ln det K + tr(K^-1 T) >= ln det T + d``. []
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from bounds.errors import InputError
from bounds.joints import Gaussian
from bounds.lattice import correlation, half_logdet
from bounds.likelihood.gaussian import Imputed, learned_variance_floor
from bounds.schemes import SubsetScheme
from toy_models.gaussian_profile import (
    Coded,
    Moments,
    isotropic_noise,
    latent_count,
    optimal_loading,
    profile_elbo,
    scheme_moments,
    whitened,
)
from toy_models.linear_gaussian import LinearGaussianVAE, best_encoders
from toy_models.linear_gaussian.covariances import noise_covariance
from toy_models.linear_gaussian.divergences import check_regular
from toy_models.linear_gaussian.model import unit_blocks

#: Noise to be learned: one variance, one for each variable, one covariance for each decoder unit.
LearnedNoise: TypeAlias = Literal["isotropic", "diagonal", "full"]

#: Standard deviations of the noise below this share of a variable's own are not tried (ln). The best noise of a
#: variable that every subset shows may be zero, which no model attains.
LEAST_NOISE = -12.0


@dataclass(frozen=True)
class Fit:
    """A linear-Gaussian VAE with its best encoders, and how good it is, in nats.

    Attributes:
        model: with an encoder for each subset of the scheme.
        elbo: its ``L_S``.
        ceiling: no linear-Gaussian VAE with such noise has a higher ``L_S``, however many latents it has.
        method: ``closed form``, which is the best for this number of latents, ``l-bfgs`` or ``em``.
        starts: ``L_S`` reached from each start; their spread shows local optima.
        path: for EM, ``L_S`` after each step of the best start: it never falls.
    """

    model: LinearGaussianVAE
    elbo: float
    ceiling: float
    method: str
    starts: tuple[float, ...] = ()
    path: tuple[float, ...] = ()


def fit(
    law: Gaussian,
    scheme: SubsetScheme,
    noise: LearnedNoise | float | np.ndarray,
    n_latents: int | None = None,
    *,
    method: Literal["l-bfgs", "em"] = "l-bfgs",
    starts: int = 8,
    rng: np.random.Generator | None = None,
    iterations: int = 5000,
    tolerance: float = 1e-13,
    near: np.ndarray | None = None,
) -> Fit:
    """The best linear-Gaussian VAE that is found, with a ceiling for all of them.

    Args:
        law: the data.
        scheme: the encoded subsets and their weights.
        noise: fixed, or what kind is learned. Fixed and isotropic noise have closed forms.
        n_latents: default as many as variables, with which no further latent helps.
        method: for learned diagonal and full noise. L-BFGS runs over the noise alone, the loading being eliminated.
        starts: how many; the first starts at half the data's variance, the others at random.
        rng: draws the other starts; by default a generator with seed 0.
        iterations: at most, for each start.
        tolerance: EM stops at a relative gain below this.
        near: ``(d, d)``, learned noise with which the first start begins instead.

    Raises:
        InputError: a scheme, law or noise that do not fit; learned noise for a singular law, whose ELBO is unbounded.
        ObjectiveError: a sub-sampled scheme.

    >>> best = fit(Gaussian(0.5 * np.eye(3) + 0.5), SubsetScheme({0b001: 1}, 3), 0.1)
    >>> round(-best.elbo, 6), best.method
    (8.656963, 'closed form')
    """
    moments = scheme_moments(law, scheme)
    d = len(law.cov)
    count = latent_count(n_latents, d)
    if not isinstance(noise, str):
        psi = noise_covariance(noise, d)
        highest = profile_elbo(moments, optimal_loading(moments, psi), psi)
        return _fitted(law, scheme, moments, optimal_loading(moments, psi, count), psi, highest, "closed form")
    if noise not in get_args(LearnedNoise):
        raise InputError(f"noise {noise!r}: use one of {', '.join(get_args(LearnedNoise))}, or fixed variances")
    check_regular(law)
    if noise == "isotropic":
        variance, least = isotropic_noise(moments, count), isotropic_noise(moments)
        highest = profile_elbo(moments, optimal_loading(moments, least), least)
        psi = noise_covariance(variance, d)
        return _fitted(law, scheme, moments, optimal_loading(moments, psi, count), psi, highest, "closed form")
    if starts < 1:
        raise InputError(f"{starts} starts: give at least one")
    rng = np.random.default_rng(0) if rng is None else rng
    blocks = np.eye(d, dtype=bool) if noise == "diagonal" else unit_blocks(law)
    found: list[_Run] = []
    for start in range(starts):
        share = np.full(d, 0.5) if start == 0 else np.exp(rng.uniform(np.log(0.01), 0.0, d))
        first = np.where(blocks, law.cov, 0.0) * np.sqrt(np.outer(share, share))
        if near is not None and start == 0:
            first = np.where(blocks, noise_covariance(near, d), 0.0)
        if method == "em":
            loading = rng.normal(size=(d, count)) * np.sqrt(np.diagonal(law.cov) / count)[:, None]
            found.append(_climb(moments, loading, first, blocks, iterations, tolerance))
        elif method == "l-bfgs":
            found.append(_descend(moments, first, blocks, count, iterations))
        else:
            raise InputError(f"method {method!r}: use 'l-bfgs' or 'em'")
    best = max(found, key=lambda run: run.elbo)
    highest = linear_ceiling(law, scheme, noise, best.noise if count >= d and method == "l-bfgs" else None)
    reached = tuple(run.elbo for run in found)
    return _fitted(law, scheme, moments, best.loading, best.noise, highest, method, reached, best.path)


def linear_ceiling(
    law: Gaussian, scheme: SubsetScheme, noise: Literal["diagonal", "full"], near: np.ndarray | None = None
) -> float:
    """No linear-Gaussian VAE with learned noise of this kind has a higher ``L_S``, whatever its number of latents.

    Args:
        law: the data, regular.
        scheme: the encoded subsets and their weights.
        noise: ``diagonal``, or ``full``: one covariance for each decoder unit.
        near: for ``full`` noise ``(d, d)``, near which the ceiling is tight; by default what :func:`fit` finds. Any
            noise gives a ceiling that holds.

    For diagonal noise it is the dual of T7(v) for one subset of covariance ``C_S``.

    >>> from bounds import mmvae
    >>> round(-linear_ceiling(Gaussian(0.5 * np.eye(3) + 0.5), mmvae(3), "diagonal"), 6)
    4.218335
    """
    moments = scheme_moments(law, scheme)
    check_regular(law)
    if noise == "diagonal":
        merged = Imputed(1.0, moments.spread, np.diagonal(moments.unexplained).copy())
        return -learned_variance_floor([merged], np.arange(len(law.cov))).floor
    if near is None:
        near = fit(law, scheme, "full", starts=1).model.noise  # convex: one start is enough
    root = np.linalg.cholesky(noise_covariance(near, len(law.cov)))
    coded = Coded.of(moments, root, len(law.cov))
    excess = root @ coded.shortfall @ root.T
    # Rescaled block by block to the largest that stays within what is unexplained. That may be nothing.
    scale = np.ones(len(excess))
    for unit in range(len(law.layout.unit_names)):
        inside = law.layout.variables_of_units(1 << unit)
        block = np.ix_(inside, inside)
        scale[inside] = math.sqrt(_multiple(moments.unexplained[block], excess[block]))
    model = moments.spread + excess * np.outer(scale, scale)
    with np.errstate(divide="ignore"):
        own = 0.5 * float(np.log(2 * math.pi * math.e * np.diagonal(model)).sum())
    return math.inf if own == -math.inf else -own - half_logdet(correlation(model))


def em_step(
    moments: Moments, loading: np.ndarray, noise: np.ndarray, blocks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best encoders for a decoder, then the best decoder for them; ``L_S`` cannot fall.

    Args:
        moments: of the law and the scheme.
        loading: ``(d, k)``.
        noise: ``(d, d)``, positive definite.
        blocks: ``(d, d)``, true where the noise may have entries.

    The encoders come in through ``E x z'`` and ``E z z'`` under ``sum_A w_A p(x) q_A(z|x_A)`` alone, which with the
    gain ``G`` of the posterior given everything and its covariance ``P`` are ``C_S G'`` and ``P + G C_S G'``.
    """
    scaled = np.linalg.solve(noise, loading)
    posterior = np.linalg.inv(np.eye(loading.shape[1]) + loading.T @ scaled)
    gain = posterior @ scaled.T
    cross = moments.spread @ gain.T
    better = np.linalg.solve(posterior + gain @ cross, cross.T).T
    miss = np.eye(len(noise)) - better @ gain
    residual = moments.unexplained + miss @ moments.spread @ miss.T + better @ posterior @ better.T
    return better, np.where(blocks, (residual + residual.T) / 2, 0.0)


@dataclass(frozen=True)
class _Run:
    loading: np.ndarray
    noise: np.ndarray
    elbo: float
    path: tuple[float, ...] = ()


def _climb(
    moments: Moments, loading: np.ndarray, noise: np.ndarray, blocks: np.ndarray, iterations: int, tolerance: float
) -> _Run:
    path = [profile_elbo(moments, loading, noise)]
    for _ in range(iterations):
        loading, noise = em_step(moments, loading, noise, blocks)
        path.append(profile_elbo(moments, loading, noise))
        if path[-1] - path[-2] <= tolerance * max(1.0, abs(path[-1])):
            break
    return _Run(loading, noise, path[-1], tuple(path))


def _descend(moments: Moments, first: np.ndarray, blocks: np.ndarray, count: int, iterations: int) -> _Run:
    """L-BFGS over a Cholesky factor ``R`` of the noise, with logarithms on its diagonal.

    The loading is the best for each noise. By the envelope theorem it does not enter the gradient, which with the
    shortfall ``Q`` and ``U = R^-1 (C - C_S) R^-T`` is ``R^-T (Q - U)`` on the blocks.
    """
    d = len(first)
    rows, columns = np.nonzero(np.tril(blocks))
    diagonal = rows == columns

    def factor(theta: np.ndarray) -> np.ndarray:
        root = np.zeros((d, d))
        root[rows, columns] = np.where(diagonal, np.exp(np.where(diagonal, theta, 0.0)), theta)
        return root

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        root = factor(theta)
        coded = Coded.of(moments, root, count)
        missing = whitened(moments.unexplained, root)
        cost = coded.values.copy()
        cost[coded.kept] = 1 + np.log(coded.values[coded.kept])
        value = 2 * float(np.log(np.diagonal(root)).sum()) + float(cost.sum()) + float(np.trace(missing))
        slope = solve_triangular(root, coded.shortfall - missing, lower=True, trans="T")[rows, columns]
        return 0.5 * value, np.where(diagonal, slope * root[rows, columns], slope)

    start = np.linalg.cholesky(first)[rows, columns]
    start = np.where(diagonal, np.log(np.where(diagonal, start, 1.0)), start)
    # A start with less noise than the least makes room for itself.
    # The best noise is a residual second moment, so it has no more variance than the data; steps beyond may overflow.
    most = 0.5 * np.log(np.diagonal(moments.spread + moments.unexplained))[rows]
    ends = zip(np.minimum(most + LEAST_NOISE, start).tolist(), np.maximum(most, start).tolist(), diagonal, strict=True)
    box = [(low, high) if on else (None, None) for low, high, on in ends]
    options = {"maxiter": iterations, "maxfun": 4 * iterations, "ftol": 0.0, "gtol": 1e-11, "maxcor": 30}
    root = factor(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=box, options=options).x)
    noise = root @ root.T
    loading = optimal_loading(moments, noise, count)
    return _Run(loading, noise, profile_elbo(moments, loading, noise))


def _fitted(
    law: Gaussian,
    scheme: SubsetScheme,
    moments: Moments,
    loading: np.ndarray,
    noise: np.ndarray,
    ceiling: float,
    method: str,
    starts: tuple[float, ...] = (),
    path: tuple[float, ...] = (),
) -> Fit:
    bare = LinearGaussianVAE(loading, noise, {})
    model = bare.with_encoders(best_encoders(bare, law, scheme))
    return Fit(model, profile_elbo(moments, loading, noise), ceiling, method, starts, path)


def _multiple(limit: np.ndarray, excess: np.ndarray) -> float:
    """The largest ``t`` with ``t excess <= limit``; one without an excess, zero for a limit that may be singular."""
    values, vectors = np.linalg.eigh(limit)
    if values[0] <= len(limit) * np.finfo(float).eps * values[-1]:
        return 0.0
    scaled = vectors.T @ excess @ vectors / np.sqrt(np.outer(values, values))
    largest = float(np.linalg.eigvalsh(scaled)[-1])
    return 1 / largest if largest > 0 else 1.0
