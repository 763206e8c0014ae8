"""A linear-Gaussian VAE with every ELBO in closed form, and the imputation identity on it (THEORY T7)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bounds.errors import InputError
from bounds.joints import Gaussian
from bounds.likelihood.gaussian import regression
from bounds.schemes import SubsetScheme
from bounds.subsets import format_subset


@dataclass(frozen=True)
class LinearEncoder:
    """``q(z|x_A) = N(gain x_A, cov)``: ``gain`` is ``(k, d_A)``, ``cov`` is ``(k, k)``, positive definite."""

    gain: np.ndarray
    cov: np.ndarray


@dataclass(frozen=True)
class LinearVAE:
    """Prior ``N(0, I)``, decoder ``N(loading z, diag(variances))``, and a linear encoder for each subset.

    Args:
        loading: ``(d, k)``.
        variances: ``(d,)``, positive; they do not depend on the latent.
        encoders: bitmask of encoded modalities to encoder.

    Raises:
        InputError: shapes that do not fit, variances that are not positive, encoder covariances that are not positive
            definite.
    """

    loading: np.ndarray
    variances: np.ndarray
    encoders: Mapping[int, LinearEncoder]

    def __post_init__(self) -> None:
        loading = np.array(self.loading, dtype=np.float64)
        variances = np.array(self.variances, dtype=np.float64)
        if loading.ndim != 2 or variances.shape != loading.shape[:1]:
            raise InputError(f"a loading of shape {loading.shape} with variances of shape {variances.shape}")
        if not (np.isfinite(variances) & (variances > 0)).all():
            raise InputError("the variances of a decoder must be positive and finite")
        latents = loading.shape[1]
        for subset, encoder in self.encoders.items():
            cov = np.asarray(encoder.cov)
            if cov.shape != (latents, latents) or np.shape(encoder.gain)[0] != latents:
                raise InputError(f"the encoder of subset {subset} does not fit {latents} latent dimensions")
            if not (np.linalg.eigvalsh(cov) > 0).all():
                raise InputError(f"the covariance of the encoder of subset {subset} is not positive definite")
        object.__setattr__(self, "loading", loading)
        object.__setattr__(self, "variances", variances)
        object.__setattr__(self, "encoders", MappingProxyType(dict(self.encoders)))

    def encoder(self, law: Gaussian, subset: int) -> LinearEncoder:
        """The encoder of a subset, checked against a law.

        Raises:
            InputError: there is none, or it is not for these variables.
        """
        shown = format_subset(subset, law.names) or "the empty subset"
        if subset not in self.encoders:
            raise InputError(f"the model has no encoder of {shown}")
        if len(law.cov) != len(self.variances):
            raise InputError(f"a decoder of {len(self.variances)} variables for a law of {len(law.cov)}")
        encoder, seen = self.encoders[subset], law.layout.variables_of_modalities(subset)
        if np.shape(encoder.gain)[1] != len(seen):
            raise InputError(f"the encoder of {shown} takes {np.shape(encoder.gain)[1]} variables, not {len(seen)}")
        return encoder

    def elbo(self, law: Gaussian, subset: int) -> float:
        """``L_A`` in nats on all of ``X``, from the joint second moments of ``x`` and ``z``."""
        encoder, seen = self.encoder(law, subset), law.layout.variables_of_modalities(subset)
        latent = encoder.gain @ law.cov[np.ix_(seen, seen)] @ encoder.gain.T + encoder.cov
        cross = law.cov[:, seen] @ encoder.gain.T
        error = np.diagonal(law.cov) - 2 * (cross * self.loading).sum(axis=1)
        error = error + ((self.loading @ latent) * self.loading).sum(axis=1)
        return self._log_likelihood(error) - _kl(encoder, latent)

    def imputed_elbo(self, law: Gaussian, subset: int) -> float:
        """``E ELBO(xhat_A)``: the ELBO on the data with what is unseen replaced by its conditional mean."""
        encoder, seen = self.encoder(law, subset), law.layout.variables_of_modalities(subset)
        given = law.cov[np.ix_(seen, seen)]
        miss = regression(law.cov, seen)[:, seen] - self.loading @ encoder.gain
        error = ((miss @ given) * miss).sum(axis=1) + ((self.loading @ encoder.cov) * self.loading).sum(axis=1)
        return self._log_likelihood(error) - _kl(encoder, encoder.gain @ given @ encoder.gain.T + encoder.cov)

    def _log_likelihood(self, squared_error: np.ndarray) -> float:
        return -0.5 * float((np.log(2 * math.pi * self.variances) + squared_error / self.variances).sum())


def _kl(encoder: LinearEncoder, latent: np.ndarray) -> float:
    """``E KL(q_A || N(0, I))`` with ``latent = E z z'``."""
    return 0.5 * float(np.trace(latent) - len(latent) - np.linalg.slogdet(encoder.cov)[1])


def optimal_linear_vae(law: Gaussian, subset: int, variances: np.ndarray) -> LinearVAE:
    """The linear VAE that attains the ceiling of one encoded subset (THEORY T7(iv)).

    Probabilistic PCA of the imputed data ``xhat_A``: in units of the noise, a direction of variance ``lambda > 1``
    is coded with squared loading ``lambda - 1``, and the others are dropped. The encoder is the posterior.

    >>> law = Gaussian(0.5 * np.eye(3) + 0.5)
    >>> round(-optimal_linear_vae(law, 0b001, np.full(3, 0.1)).elbo(law, 0b001), 6)
    8.656963
    """
    seen, scale = law.layout.variables_of_modalities(subset), np.sqrt(variances)
    slopes = regression(law.cov, seen)
    eigenvalues, vectors = np.linalg.eigh(slopes @ law.cov @ slopes.T / scale / scale[:, None])
    coded = eigenvalues > 1
    if not coded.any():
        coded[-1] = True  # one latent dimension that the decoder ignores
    squared = np.where(eigenvalues > 1, eigenvalues - 1, 0.0)[coded]
    loading = scale[:, None] * vectors[:, coded] * np.sqrt(squared)
    posterior = np.diag(1 / (1 + squared))
    gain = posterior @ (loading / variances[:, None]).T @ slopes[:, seen]
    return LinearVAE(loading, variances, {subset: LinearEncoder(gain, posterior)})


@dataclass(frozen=True)
class Imputation:
    """The two sides of the imputation identity, in nats: ``elbo = imputed_elbo - unexplained`` up to rounding.

    Attributes:
        elbo: ``L_S``.
        imputed_elbo: ``sum_A w_A E ELBO(xhat_A)``.
        unexplained: ``sum_A w_A sum_{m not in A} E Var(X_m|X_A)/(2 sigma_m^2)``.
    """

    elbo: float
    imputed_elbo: float
    unexplained: float

    @property
    def residual(self) -> float:
        """``elbo - (imputed_elbo - unexplained)``: zero up to rounding."""
        return self.elbo - (self.imputed_elbo - self.unexplained)


def imputation_identity(law: Gaussian, scheme: SubsetScheme, vae: LinearVAE) -> Imputation:
    """Training a K=1 mixture VAE is training a VAE on data imputed by conditional means (THEORY T7(iii)).

    ``L_S = sum_A w_A E ELBO(xhat_A) - sum_A w_A sum_{m not in A} E Var(X_m|X_A)/(2 sigma_m^2)``, ``xhat_A = E[X|X_A]``,
    for every decoder and encoder: a Gaussian decoder whose variance does not depend on ``z`` sees the unseen part only
    through its mean and variance given ``x_A``. The two ELBOs here come from different moments: of ``(x, z)``, and of
    ``x_A`` alone.

    Raises:
        InputError: a scheme, law and model that do not fit.

    >>> law = Gaussian([[1.0, 0.8], [0.8, 1.0]])
    >>> encoder = LinearEncoder(np.array([[0.7]]), np.array([[0.3]]))
    >>> vae = LinearVAE(np.array([[1.0], [0.5]]), np.array([0.1, 0.2]), {0b01: encoder})
    >>> sides = imputation_identity(law, SubsetScheme({0b01: 1}, 2), vae)
    >>> round(sides.unexplained, 6), abs(sides.residual) < 1e-12
    (0.9, True)
    """
    if scheme.n_modalities != len(law.names):
        count = len(law.names)
        raise InputError(f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the law over {count}")
    elbo, imputed, unexplained = 0.0, 0.0, 0.0
    for subset, weight in scheme:
        elbo += float(weight) * vae.elbo(law, subset)
        imputed += float(weight) * vae.imputed_elbo(law, subset)
        seen = law.layout.variables_of_modalities(subset)
        residual = np.eye(len(law.cov)) - regression(law.cov, seen)
        variance = ((residual @ law.cov) * residual).sum(axis=1)
        unexplained += float(weight) * float((variance / (2 * vae.variances)).sum())
    return Imputation(elbo, imputed, unexplained)
