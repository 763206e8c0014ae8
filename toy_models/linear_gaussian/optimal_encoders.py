"""The encoders that a decoder has by itself, and those with the highest ELBO (THEORY T6)."""

from __future__ import annotations

import numpy as np

from bounds.joints import Gaussian
from bounds.likelihood.gaussian import regression
from bounds.schemes import SubsetScheme
from toy_models.linear_gaussian.covariances import filled
from toy_models.linear_gaussian.encoders import GaussianEncoder, GaussianExpert
from toy_models.linear_gaussian.model import LinearGaussianVAE, check_fits


def exact_encoders(model: LinearGaussianVAE, law: Gaussian, scheme: SubsetScheme) -> dict[int, GaussianEncoder]:
    """For each encoded subset the model's own posterior ``p_theta(z|x_A)``. Best only where the data agree with it."""
    check_fits(model, law)
    return {subset: model.posterior(law.layout.variables_of_modalities(subset)) for subset, _ in scheme}


def exact_experts(model: LinearGaussianVAE, law: Gaussian) -> tuple[GaussianExpert, ...]:
    """The likelihood ``p_theta(x_m|z)`` of each modality as a factor over ``z``.

    With the prior their products are :func:`exact_encoders`, for every subset: the noise is block-diagonal over the
    modalities. So they are the best experts of a scheme that encodes all modalities at once.

    >>> experts = exact_experts(LinearGaussianVAE([[1.0], [2.0]], 0.5, {}), Gaussian(np.eye(2)))
    >>> [float(expert.precision[0, 0]) for expert in experts]
    [2.0, 8.0]
    """
    check_fits(model, law)
    experts = []
    for modality in range(len(law.names)):
        seen = law.layout.variables_of_modalities(1 << modality)
        loading = model.loading[seen]
        slope = np.linalg.solve(model.noise[np.ix_(seen, seen)], loading).T
        experts.append(GaussianExpert(slope @ loading, slope, -slope @ filled(model.mean)[seen]))
    return tuple(experts)


def best_encoder(model: LinearGaussianVAE, law: Gaussian, subset: int) -> GaussianEncoder:
    """The encoder with the highest ``L_A`` of a fixed decoder (THEORY T6).

    ``q_A`` is proportional to ``exp E[ln p_theta(z|x) | x_A]``: the covariance of the posterior given *everything*,
    ``(I + W' Psi^-1 W)^-1``, and the mean of the posterior at the imputed ``E[x|x_A]``, by regression under the data.
    No other encoder is better, Gaussian or not.
    """
    check_fits(model, law)
    seen = law.layout.variables_of_modalities(subset)
    full = model.posterior()
    return GaussianEncoder(full.gain @ regression(law.cov, seen)[:, seen], full.cov, full.offset)


def best_encoders(model: LinearGaussianVAE, law: Gaussian, scheme: SubsetScheme) -> dict[int, GaussianEncoder]:
    """:func:`best_encoder` for each encoded subset."""
    return {subset: best_encoder(model, law, subset) for subset, _ in scheme}
