"""What a model loses, from both sides of an identity: T0 by conditional laws, T6 by the exact posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bounds.joints import Gaussian
from bounds.likelihood.gaussian import regression
from toy_models.linear_gaussian.covariances import filled
from toy_models.linear_gaussian.divergences import check_regular, logdet, mean_kl, second_moment
from toy_models.linear_gaussian.model import LinearGaussianVAE, embedded_gain, encoder_of
from toy_models.linear_gaussian.terms import mean_evidence, prediction_kl, subset_terms


@dataclass(frozen=True)
class GapIdentity:
    """The two sides of THEORY T0's identity for one subset, in nats; each KL is averaged over the data and ``q_A``.

    Attributes:
        gap: ``E ln p_theta(x) - L_A``.
        encoder: ``KL(q_A || p_theta(z|x_A))``.
        decoder: ``KL(p(x_R|x_A) || p_theta(x_R|z))``.
        prediction: ``KL(p(x_R|x_A) || p_theta(x_R|x_A))``.
    """

    gap: float
    encoder: float
    decoder: float
    prediction: float

    @property
    def right(self) -> float:
        """``encoder + decoder - prediction``, which is the gap."""
        return math.fsum([self.encoder, self.decoder, -self.prediction])

    @property
    def residual(self) -> float:
        """``gap - right``: zero up to rounding."""
        return self.gap - self.right


def gap_identity(model: LinearGaussianVAE, law: Gaussian, subset: int) -> GapIdentity:
    """The gap of one subset, directly and from conditional laws (THEORY T0).

    Raises:
        InputError: a singular law, for which the terms on the right are infinite; a model that does not fit.
    """
    check_regular(law)
    encoder, own = encoder_of(model, law, subset), model.posterior(law.layout.variables_of_modalities(subset))
    difference = embedded_gain(encoder, law, subset) - embedded_gain(own, law, subset)
    mismatch = second_moment(difference, law.cov, filled(encoder.offset) - filled(own.offset))
    rest = law.layout.variables_of_modalities((1 << len(law.names)) - 1 & ~subset)
    return GapIdentity(
        gap=mean_evidence(model, law, range(len(law.cov))) - subset_terms(model, law, subset).elbo,
        encoder=mean_kl(encoder.cov, own.cov, mismatch),
        decoder=prediction_kl(model, law, subset, encoder, rest, marginal=False),
        prediction=prediction_kl(model, law, subset, own, rest, marginal=True),
    )


@dataclass(frozen=True)
class EncoderGap:
    """The two sides of THEORY T6 for one subset, in nats, and what the best encoder leaves.

    Attributes:
        gap: ``E ln p_theta(x) - L_A``.
        divergence: ``E KL(q_A || p_theta(z|x))``, which is the gap.
        best: the gap of the best encoder, ``tr(P^-1 E Cov(E_theta[z|x] | x_A))/2`` with ``P = Cov_theta(z|x)``.
        information: ``I(Z;X_R|X_A)`` of the model; at most ``best`` if the data come from the model.
    """

    gap: float
    divergence: float
    best: float
    information: float

    @property
    def residual(self) -> float:
        """``gap - divergence``: zero up to rounding."""
        return self.gap - self.divergence


def encoder_gap(model: LinearGaussianVAE, law: Gaussian, subset: int) -> EncoderGap:
    """What one encoder loses at a fixed decoder, and what the best one must lose (THEORY T6).

    >>> from toy_models.linear_gaussian import best_encoder
    >>> law, model = Gaussian([[2.0, 1.0], [1.0, 2.0]]), LinearGaussianVAE([[1.0], [1.0]], 1.0, {})
    >>> found = encoder_gap(model.with_encoders({0b01: best_encoder(model, law, 0b01)}), law, 0b01)
    >>> round(found.best, 6), round(found.information, 6)
    (0.25, 0.202733)
    """
    encoder, full = encoder_of(model, law, subset), model.posterior()
    seen = law.layout.variables_of_modalities(subset)
    mismatch = second_moment(
        embedded_gain(encoder, law, subset) - full.gain, law.cov, filled(encoder.offset) - filled(full.offset)
    )
    unexplained = second_moment(full.gain @ (np.eye(len(law.cov)) - regression(law.cov, seen)), law.cov)
    return EncoderGap(
        gap=mean_evidence(model, law, range(len(law.cov))) - subset_terms(model, law, subset).elbo,
        divergence=mean_kl(encoder.cov, full.cov, mismatch),
        best=0.5 * float(np.trace(np.linalg.solve(full.cov, unexplained))),
        information=0.5 * (logdet(model.posterior(seen).cov) - logdet(full.cov)),
    )
