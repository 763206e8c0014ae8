"""The linear-Gaussian VAE: prior, decoder, an encoder for each subset; evidence, posterior and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bounds.errors import InputError
from bounds.joints import Gaussian
from bounds.layout import Layout
from bounds.subsets import format_subset
from toy_models.linear_gaussian.covariances import (
    filled,
    freeze,
    noise_covariance,
    real_matrix,
    real_vector,
    symmetric_inverse,
)
from toy_models.linear_gaussian.encoders import GaussianEncoder


@dataclass(frozen=True, eq=False)
class LinearGaussianVAE:
    """Prior ``N(0, I)``, decoder ``N(loading z + mean, noise)``, and an encoder for each encoded subset.

    Args:
        loading: ``(d, k)``, for the variables of all modalities in their order.
        noise: a number (isotropic), ``(d,)`` variances (diagonal), or ``(d, d)``, block-diagonal over the decoder
            units of the data. It does not depend on the latent. Kept as ``(d, d)``.
        encoders: bitmask of encoded modalities to encoder; see ``product_of_experts`` and ``best_encoders``.
        mean: ``(d,)``; default zero.

    Raises:
        InputError: shapes that do not fit, NaN or inf, noise that is not positive definite.

    >>> LinearGaussianVAE([[1.0], [1.0]], 1.0, {}).covariance
    array([[2., 1.],
           [1., 2.]])
    """

    loading: np.ndarray
    noise: np.ndarray
    encoders: Mapping[int, GaussianEncoder]
    mean: np.ndarray | None = None

    def __post_init__(self) -> None:
        loading = real_matrix("the loading", self.loading)
        if 0 in loading.shape:
            raise InputError(f"a loading of shape {loading.shape}: give at least one variable and one latent")
        mean = real_vector("the mean of the decoder", self.mean, len(loading))
        freeze(self, loading=loading, noise=noise_covariance(self.noise, len(loading)), mean=mean)
        for subset, encoder in self.encoders.items():
            if len(encoder.cov) != self.n_latents:
                raise InputError(
                    f"the encoder of subset {subset} has {len(encoder.cov)} latents, the decoder {self.n_latents}"
                )
        object.__setattr__(self, "encoders", MappingProxyType(dict(self.encoders)))

    @property
    def n_latents(self) -> int:
        """Dimension of ``z``."""
        return len(self.loading.T)

    @property
    def covariance(self) -> np.ndarray:
        """``(d, d)``, of ``p_theta(x)``."""
        return np.asarray(self.loading @ self.loading.T + self.noise)

    def posterior(self, variables: Sequence[int] | None = None) -> GaussianEncoder:
        """``p_theta(z|x_A)`` for some variables ``x_A``, by default all: precision ``I + W_A' Psi_AA^-1 W_A``.

        >>> LinearGaussianVAE([[1.0], [1.0]], 1.0, {}).posterior().cov.round(6)
        array([[0.333333]])
        """
        seen = list(range(len(self.loading)) if variables is None else variables)
        loading = self.loading[seen]
        scaled = np.linalg.solve(self.noise[np.ix_(seen, seen)], loading)
        cov = symmetric_inverse(np.eye(self.n_latents) + loading.T @ scaled)
        gain = cov @ scaled.T
        return GaussianEncoder(gain, cov, -gain @ filled(self.mean)[seen])

    def with_encoders(self, encoders: Mapping[int, GaussianEncoder]) -> LinearGaussianVAE:
        """The same decoder with other encoders."""
        return LinearGaussianVAE(self.loading, self.noise, encoders, self.mean)

    def centred(self, mean: np.ndarray, layout: Layout) -> LinearGaussianVAE:
        """The same model of ``x - mean``: it has on centred data the terms that this one has on data of that mean."""
        shift = real_vector("the mean of the data", mean, len(self.loading))
        moved = {
            subset: GaussianEncoder(
                encoder.gain,
                encoder.cov,
                filled(encoder.offset) + encoder.gain @ shift[layout.variables_of_modalities(subset)],
            )
            for subset, encoder in self.encoders.items()
        }
        return LinearGaussianVAE(self.loading, self.noise, moved, filled(self.mean) - shift)

    def sample(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """``size`` draws of the latent ``(size, k)`` and the data ``(size, d)``."""
        latent = rng.normal(size=(size, self.n_latents))
        noise = rng.normal(size=(size, len(self.loading))) @ np.linalg.cholesky(self.noise).T
        return latent, latent @ self.loading.T + self.mean + noise


def check_fits(model: LinearGaussianVAE, law: Gaussian) -> None:
    """Refuses a decoder of other variables, or one that does not factorise over the units of the law.

    Raises:
        InputError: either.
    """
    if len(law.cov) != len(model.loading):
        raise InputError(f"a decoder of {len(model.loading)} variables for a law of {len(law.cov)}")
    if model.noise[~unit_blocks(law)].any():
        raise InputError(
            "the noise is correlated between decoder units: give a covariance that is block-diagonal over "
            f"{', '.join(law.layout.unit_names)}, or a law with larger units"
        )


def unit_blocks(law: Gaussian) -> np.ndarray:
    """``(d, d)``, true where two variables are of the same decoder unit."""
    unit = np.repeat(np.arange(len(law.layout.unit_sizes)), law.layout.unit_sizes)
    return np.asarray(unit[:, None] == unit)


def encoder_of(model: LinearGaussianVAE, law: Gaussian, subset: int) -> GaussianEncoder:
    """The encoder of a subset, checked against the law.

    Raises:
        InputError: no encoder of the subset, or one that does not fit; a decoder that does not.
    """
    check_fits(model, law)
    shown = format_subset(subset, law.names) or "the empty subset"
    if subset not in model.encoders:
        raise InputError(f"the model has no encoder of {shown} (key {subset})")
    encoder, seen = model.encoders[subset], law.layout.variables_of_modalities(subset)
    if encoder.gain.shape[1] != len(seen):
        raise InputError(f"the encoder of {shown} takes {encoder.gain.shape[1]} variables, not {len(seen)}")
    return encoder


def embedded_gain(encoder: GaussianEncoder, law: Gaussian, subset: int) -> np.ndarray:
    """``(k, d)``: the gain as a function of all variables, zero where unseen."""
    gain = np.zeros((len(encoder.cov), len(law.cov)))
    gain[:, law.layout.variables_of_modalities(subset)] = encoder.gain
    return gain
