"""Every term of a linear-Gaussian VAE in closed form: distortions, KL, evidence, slack (THEORY T0, T2, T3)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from bounds.ceilings import distortion_floor, generative_discrepancy
from bounds.elbo import ElboTerms, MixtureTerms, SubsetTerms
from bounds.errors import InputError, ObjectiveError
from bounds.joints import Gaussian
from bounds.likelihood.gaussian import regression
from bounds.schemes import SubsetScheme
from bounds.subsets import members, union
from toy_models.linear_gaussian.covariances import filled
from toy_models.linear_gaussian.divergences import (
    check_regular,
    cross_entropy,
    gaussian_entropy,
    logdet,
    mean_kl,
    second_moment,
)
from toy_models.linear_gaussian.encoders import GaussianEncoder
from toy_models.linear_gaussian.model import LinearGaussianVAE, embedded_gain, encoder_of


def gaussian_terms(model: LinearGaussianVAE, law: Gaussian, scheme: SubsetScheme) -> ElboTerms:
    """Every term of a model, in closed form.

    A scheme of one subset gives :class:`~bounds.elbo.MixtureTerms`. The mixture of several Gaussian encoders has no
    closed-form density, so a scheme of several gives all terms but those of the mixture.

    Raises:
        InputError: a model, law and scheme that do not fit each other; a singular law, which has no entropy.
        ObjectiveError: a sub-sampled scheme, which is not a mixture: sum ``own_elbo`` of :func:`subset_terms`.

    >>> from toy_models.linear_gaussian import best_encoders
    >>> law = Gaussian([[2.0, 1.0], [1.0, 2.0]])
    >>> model = LinearGaussianVAE([[1.0], [1.0]], 1.0, {})
    >>> scheme = SubsetScheme({0b01: 1}, 2)
    >>> terms = gaussian_terms(model.with_encoders(best_encoders(model, law, scheme)), law, scheme)
    >>> round(terms.gap, 6)
    0.25
    """
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(f"scheme {scheme.label} is a sum of ELBOs, not a mixture over subsets: use subset_terms()")
    if scheme.n_modalities != len(law.names):
        count = len(law.names)
        raise InputError(f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the law over {count}")
    check_regular(law)
    h = law.unit_entropies()
    subsets = tuple(subset_terms(model, law, subset, float(weight)) for subset, weight in scheme)
    terms = ElboTerms(
        subsets=subsets,
        evidence=mean_evidence(model, law, range(len(law.cov))),
        entropy=gaussian_entropy(law.cov),
        discrepancy=float(generative_discrepancy(h, scheme)),
        floor=float(distortion_floor(h, scheme)),
    )
    if len(subsets) > 1:
        return terms
    return MixtureTerms(
        **vars(terms),
        mixture_kl=subsets[0].kl,
        label_information=0.0,
        latent_total_correlation=_latent_total_correlation(model, law, subsets[0].subset),
    )


def subset_terms(model: LinearGaussianVAE, law: Gaussian, subset: int, weight: float = 1.0) -> SubsetTerms:
    """The terms of one encoded subset, from the second moments of ``x`` and ``z``.

    The slack is infinite where the law is singular; the other terms need no entropy.

    Raises:
        InputError: no encoder of the subset, or one that does not fit the law.
    """
    encoder = encoder_of(model, law, subset)
    layout = law.layout
    gain, spread = embedded_gain(encoder, law, subset), model.loading @ encoder.cov @ model.loading.T
    shift = model.loading @ encoder.offset + model.mean
    residual = second_moment(np.eye(len(law.cov)) - model.loading @ gain, law.cov, shift) + spread
    distortions = []
    for unit in range(len(layout.unit_names)):
        block = np.ix_(*[layout.variables_of_units(1 << unit)] * 2)
        distortions.append(cross_entropy(residual[block], model.noise[block]))
    units = union(layout.modality_units, subset)
    return SubsetTerms(
        subset=subset,
        weight=weight,
        seen=members(units),
        distortions=tuple(distortions),
        kl=mean_kl(encoder.cov, np.eye(model.n_latents), second_moment(gain, law.cov, filled(encoder.offset))),
        evidence=mean_evidence(model, law, layout.variables_of_modalities(subset)),
        slack=_slack(model, law, subset),
    )


def mean_evidence(model: LinearGaussianVAE, law: Gaussian, variables: Iterable[int]) -> float:
    """``E ln p_theta(x_A)``."""
    seen = list(variables)
    mean = filled(model.mean)[seen]
    block = np.ix_(seen, seen)
    return -cross_entropy(law.cov[block] + np.outer(mean, mean), model.covariance[block])


def prediction_kl(
    model: LinearGaussianVAE,
    law: Gaussian,
    subset: int,
    encoder: GaussianEncoder,
    unseen: Sequence[int],
    *,
    marginal: bool,
) -> float:
    """``E KL(p(x_R|x_A) || p_theta(x_R|z))`` for ``z`` from the encoder, or against the mixture over its ``z``."""
    rest = list(unseen)
    slopes, loading = regression(law.cov, law.layout.variables_of_modalities(subset)), model.loading[rest]
    difference = slopes[rest] - loading @ embedded_gain(encoder, law, subset)
    mismatch = second_moment(difference, law.cov, loading @ encoder.offset + filled(model.mean)[rest])
    truth = second_moment(np.eye(len(law.cov))[rest] - slopes[rest], law.cov)
    spread, noise = loading @ encoder.cov @ loading.T, model.noise[np.ix_(rest, rest)]
    return mean_kl(truth, noise + spread, mismatch) if marginal else mean_kl(truth, noise, mismatch + spread)


def _slack(model: LinearGaussianVAE, law: Gaussian, subset: int) -> float:
    """``epsilon_A`` of THEORY T2, from Gaussian divergences and not from ``L_A``."""
    if gaussian_entropy(law.cov) == -math.inf:
        return math.inf
    encoder, seen = model.encoders[subset], law.layout.variables_of_modalities(subset)
    given, loading, latents = law.cov[np.ix_(seen, seen)], model.loading[seen], model.n_latents
    cross = encoder.gain @ given
    truth = np.block([[cross @ encoder.gain.T + encoder.cov, cross], [cross.T, given]])
    joint = np.block([[np.eye(latents), loading.T], [loading, model.covariance[np.ix_(seen, seen)]]])
    shift = np.concatenate([filled(encoder.offset), -filled(model.mean)[seen]])
    parts = [mean_kl(truth, joint, np.outer(shift, shift))]
    for unit in members((1 << len(law.layout.unit_names)) - 1 & ~union(law.layout.modality_units, subset)):
        block = law.layout.variables_of_units(1 << unit)
        parts.append(prediction_kl(model, law, subset, encoder, block, marginal=False))
    return math.fsum(parts)


def _latent_total_correlation(model: LinearGaussianVAE, law: Gaussian, subset: int) -> float:
    """``TC(X|Z)`` over units, under ``p(x) q_A(z|x_A)`` (THEORY T3)."""
    encoder = model.encoders[subset]
    gain = embedded_gain(encoder, law, subset)
    cross = law.cov @ gain.T
    cov = law.cov - cross @ np.linalg.solve(gain @ cross + encoder.cov, cross.T)
    blocks = [law.layout.variables_of_units(1 << unit) for unit in range(len(law.layout.unit_names))]
    return 0.5 * (math.fsum(logdet(cov[np.ix_(block, block)]) for block in blocks) - logdet(cov))
