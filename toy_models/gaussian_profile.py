"""The ELBO of linear-Gaussian VAEs with their best encoders, and the decoders for which it has a closed-form maximum.

*The encoders drop out.* With the best encoder of each subset (T6) the imputation identity (T7(iii)) gives, for
``K = W W' + Psi`` and ``C_S = sum_A w_A C_.A C_AA^-1 C_A.``,

    L_S = -[d ln(2 pi) + ln det K + tr(K^-1 C_S) + tr(Psi^-1 (C - C_S))] / 2.

Proof: ``E ELBO(xhat_A)`` with the exact posterior at ``xhat_A`` is ``E ln N(xhat_A; 0, K)``, whose covariance is
``C_.A C_AA^-1 C_A.``; the unexplained part does not depend on ``W``; both are linear in the covariance, so the average
over ``A`` is that of ``C_S``. A mean of the decoder adds ``-mu' K^-1 mu / 2`` and is zero at the optimum. []

*One common loading has a closed form for every scheme and any fixed noise.* With ``Psi = R R'`` the eigenvalues
``lambda`` of ``R^-1 C_S R^-T`` decide: the ``k`` largest, as far as they exceed one, are coded with squared loading
``lambda - 1``. Proof: ``R^-1 K R^-T = I + V V'`` has eigenvalues ``kappa >= 1``, all but ``k`` of them one. By von
Neumann ``tr(K^-1 C_S) >= sum_i lambda_i / kappa_i`` with both in the same order, and equality for common eigenvectors.
``ln kappa + lambda / kappa`` is least over ``kappa >= 1`` at ``max(lambda, 1)``, which saves ``lambda - 1 - ln lambda``
against ``kappa = 1``: it grows with ``lambda > 1``, so the largest are coded. []

For one subset and ``k = d`` this is the ceiling T7(iv). For several it is less than the mean of their ceilings, each
of which needs a loading of its own, by the Jensen gap of ``T -> min_K [ln det K + tr(K^-1 T)]``, which is concave as a
minimum of linear functions.

*Learned isotropic noise has a closed form too*, see :func:`isotropic_noise`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from bounds.errors import InputError, ObjectiveError
from bounds.joints import Gaussian
from bounds.likelihood.gaussian import regression
from bounds.schemes import SubsetScheme
from toy_models.linear_gaussian.covariances import noise_covariance


@dataclass(frozen=True)
class Moments:
    """All that the data and the scheme contribute to the objective of linear models.

    Attributes:
        spread: ``(d, d)``, ``C_S``: the covariance of the data with their unseen part imputed.
        unexplained: ``(d, d)``, ``C - C_S = sum_A w_A Cov(X|X_A)``.
    """

    spread: np.ndarray
    unexplained: np.ndarray


def scheme_moments(law: Gaussian, scheme: SubsetScheme) -> Moments:
    """``C_S`` and ``C - C_S``, each as a sum of squares.

    Raises:
        InputError: a scheme over other modalities.
        ObjectiveError: a sub-sampled scheme.

    >>> from bounds import mmvae
    >>> scheme_moments(Gaussian([[1.0, 0.5], [0.5, 1.0]]), mmvae(2)).spread
    array([[0.625, 0.5  ],
           [0.5  , 0.625]])
    """
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(f"scheme {scheme.label} is a sum of ELBOs, not a mixture over subsets")
    if scheme.n_modalities != len(law.names):
        count = len(law.names)
        raise InputError(f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the law over {count}")
    spread = np.zeros_like(law.cov)
    unexplained = np.zeros_like(law.cov)
    for subset, weight in scheme:
        slopes = regression(law.cov, law.layout.variables_of_modalities(subset))
        rest = np.eye(len(slopes)) - slopes
        spread += float(weight) * slopes @ law.cov @ slopes.T
        unexplained += float(weight) * rest @ law.cov @ rest.T
    return Moments((spread + spread.T) / 2, (unexplained + unexplained.T) / 2)


def profile_elbo(moments: Moments, loading: np.ndarray, noise: float | np.ndarray) -> float:
    """``L_S`` in nats of a centred decoder with the best encoder of each subset.

    >>> law = Gaussian([[2.0, 1.0], [1.0, 2.0]])
    >>> moments = scheme_moments(law, SubsetScheme({0b11: 1}, 2))
    >>> round(profile_elbo(moments, np.ones((2, 1)), 1.0) + float(law.entropy_vector()[0b11]), 6) + 0.0
    0.0
    """
    d = len(moments.spread)
    psi = noise_covariance(noise, d)
    model = loading @ loading.T + psi
    trace = np.trace(np.linalg.solve(model, moments.spread)) + np.trace(np.linalg.solve(psi, moments.unexplained))
    return -0.5 * (d * math.log(2 * math.pi) + float(np.linalg.slogdet(model)[1]) + float(trace))


def optimal_loading(moments: Moments, noise: float | np.ndarray, n_latents: int | None = None) -> np.ndarray:
    """``(d, k)``, the best loading common to all subsets for fixed noise: proved above.

    Args:
        moments: of the law and the scheme.
        noise: as for :class:`toy_models.linear_gaussian.LinearGaussianVAE`.
        n_latents: ``k``; default ``d``, with which no further latent helps. Latents of no use have loading zero.
    """
    d = len(moments.spread)
    count = latent_count(n_latents, d)
    root = np.linalg.cholesky(noise_covariance(noise, d))
    coded = Coded.of(moments, root, count)
    loading = np.zeros((d, count))
    loading[:, : len(coded.kept)] = root @ coded.vectors[:, coded.kept] * np.sqrt(coded.values[coded.kept] - 1)
    return loading


def isotropic_noise(moments: Moments, n_latents: int | None = None) -> float:
    """The best variance common to all variables and subsets, the loading being the best for it.

    ``(tr C - lambda_1 - .. - lambda_q) / (d - q)`` with the ``q <= k`` eigenvalues of ``C_S`` that exceed it. Proof:
    in the precision ``p`` twice the loss is ``-d ln p + p (tr C - lambda_1 - .. - lambda_k) + sum_{i <= k}
    h(lambda_i p)`` with ``h(u) = 1 + ln u`` for ``u > 1``, else ``u``. Its curvature is ``(d - q)/p^2 >= 0``: it is
    convex, and where the slope vanishes is its minimum. For the full set alone this is probabilistic PCA.

    Raises:
        InputError: no minimum: the latents explain everything, so that the noise goes to zero.
    """
    d = len(moments.spread)
    values = np.linalg.eigvalsh(moments.spread)[::-1]
    total = float(np.trace(moments.spread) + np.trace(moments.unexplained))
    candidates = [
        (total - float(values[:q].sum())) / (d - q) for q in range(min(latent_count(n_latents, d), d - 1) + 1)
    ]
    if candidates[-1] <= d * np.finfo(float).eps * total:
        raise InputError("the latents explain the data without noise, so the ELBO is unbounded: use fewer latents")
    return max(candidates, key=lambda s: profile_elbo(moments, optimal_loading(moments, s, n_latents), s))


@dataclass(frozen=True)
class Coded:
    """Eigenvalues and eigenvectors of ``R^-1 C_S R^-T``, ascending, and the indices of those that are coded."""

    values: np.ndarray
    vectors: np.ndarray
    kept: np.ndarray

    @classmethod
    def of(cls, moments: Moments, root: np.ndarray, count: int) -> Coded:
        """For noise ``root root'`` and ``count`` latents."""
        values, vectors = np.linalg.eigh(whitened(moments.spread, root))
        index = np.arange(len(values))
        return cls(values, vectors, np.flatnonzero((values > 1) & (index >= len(values) - count))[::-1])

    @property
    def shortfall(self) -> np.ndarray:
        """``R^-1 (K - C_S) R^-T``: what the noise adds in the directions that are not coded."""
        rest = 1 - self.values
        rest[self.kept] = 0.0
        return np.asarray((self.vectors * rest) @ self.vectors.T)


def whitened(cov: np.ndarray, root: np.ndarray) -> np.ndarray:
    """``R^-1 cov R^-T``."""
    half = solve_triangular(root, cov, lower=True)
    white = solve_triangular(root, half.T, lower=True)
    return np.asarray((white + white.T) / 2)


def latent_count(n_latents: int | None, n_variables: int) -> int:
    """``n_latents``, by default one for each variable.

    Raises:
        InputError: less than one.
    """
    if n_latents is not None and n_latents < 1:
        raise InputError(f"{n_latents} latents: give at least one")
    return n_variables if n_latents is None else n_latents
