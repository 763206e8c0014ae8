"""A multimodal linear-Gaussian VAE: under Gaussian data every term of its ELBO is exact (THEORY T0, T2, T6).

Latent, data and encoder are jointly Gaussian, so each term is a log-determinant and the trace of a second moment.
Laws are centred. Data of another mean are centred first, and the model with them: :meth:`LinearGaussianVAE.centred`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bounds.ceilings import distortion_floor, generative_discrepancy
from bounds.elbo import ElboTerms, SubsetTerms
from bounds.errors import InputError, ObjectiveError
from bounds.joints import Gaussian, real_array
from bounds.lattice import correlation, half_logdet
from bounds.layout import Layout
from bounds.likelihood.gaussian import regression
from bounds.schemes import SubsetScheme
from bounds.subsets import format_subset, members, union

#: Asymmetry of a covariance, relative to its largest entry, that may be rounding.
SYMMETRY = 1e-9


@dataclass(frozen=True, eq=False)
class GaussianEncoder:
    """``q(z|x_A) = N(gain x_A + offset, cov)``. Also an expert, and an exact posterior.

    Args:
        gain: ``(k, d_A)``; ``(k, 0)`` for the empty subset.
        cov: ``(k, k)``, symmetric positive definite.
        offset: ``(k,)``; default zero.

    Raises:
        InputError: shapes that do not fit, NaN or inf, a covariance that is not positive definite.

    >>> GaussianEncoder([[0.5, 0.0]], [[1.0]]).offset
    array([0.])
    """

    gain: np.ndarray
    cov: np.ndarray
    offset: np.ndarray | None = None

    def __post_init__(self) -> None:
        gain = _matrix("the gain of an encoder", self.gain)
        cov = positive_definite("the covariance of an encoder", self.cov)
        latents = len(cov)
        offset = _vector("the offset of an encoder", self.offset, latents)
        if len(gain) != latents:
            raise InputError(f"a gain of shape {gain.shape} with a covariance of {latents} latents: give one row each")
        _freeze(self, gain=gain, cov=cov, offset=offset)


@dataclass(frozen=True, eq=False)
class LinearGaussianVAE:
    """Prior ``N(0, I)``, decoder ``N(loading z + mean, noise)``, and an encoder for each encoded subset.

    Args:
        loading: ``(d, k)``, for the variables of all modalities in their order.
        noise: a number (isotropic), ``(d,)`` variances (diagonal), or ``(d, d)``, block-diagonal over the decoder
            units of the data. It does not depend on the latent. Kept as ``(d, d)``.
        encoders: bitmask of encoded modalities to encoder; see :func:`product_of_experts` and :func:`best_encoder`.
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
        loading = _matrix("the loading", self.loading)
        if 0 in loading.shape:
            raise InputError(f"a loading of shape {loading.shape}: give at least one variable and one latent")
        mean = _vector("the mean of the decoder", self.mean, len(loading))
        _freeze(self, loading=loading, noise=noise_covariance(self.noise, len(loading)), mean=mean)
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
        cov = _inverse(np.eye(self.n_latents) + loading.T @ scaled)
        gain = cov @ scaled.T
        return GaussianEncoder(gain, cov, -gain @ _of(self.mean)[seen])

    def with_encoders(self, encoders: Mapping[int, GaussianEncoder]) -> LinearGaussianVAE:
        """The same decoder with other encoders."""
        return LinearGaussianVAE(self.loading, self.noise, encoders, self.mean)

    def centred(self, mean: np.ndarray, layout: Layout) -> LinearGaussianVAE:
        """The same model of ``x - mean``: it has on centred data the terms that this one has on data of that mean."""
        shift = _vector("the mean of the data", mean, len(self.loading))
        moved = {
            subset: GaussianEncoder(
                encoder.gain,
                encoder.cov,
                _of(encoder.offset) + encoder.gain @ shift[layout.variables_of_modalities(subset)],
            )
            for subset, encoder in self.encoders.items()
        }
        return LinearGaussianVAE(self.loading, self.noise, moved, _of(self.mean) - shift)

    def sample(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """``size`` draws of the latent ``(size, k)`` and the data ``(size, d)``."""
        latent = rng.normal(size=(size, self.n_latents))
        noise = rng.normal(size=(size, len(self.loading))) @ np.linalg.cholesky(self.noise).T
        return latent, latent @ self.loading.T + self.mean + noise


def product_of_experts(
    experts: Sequence[GaussianEncoder], subsets: Iterable[int], prior: bool = True
) -> dict[int, GaussianEncoder]:
    """The encoders ``q_A(z|x_A)``, proportional to the product of ``N(z; gain_m x_m + offset_m, cov_m)`` over ``A``.

    Precisions add up, and so do precision times mean.

    Args:
        experts: one for each modality, in their order.
        subsets: bitmasks of the modalities to encode, such as the keys of ``scheme.weights``.
        prior: whether ``N(0, I)`` is one more expert, as in MVAE.

    Raises:
        InputError: experts of different latents, a subset of other modalities, no expert at all.

    >>> one = GaussianEncoder([[1.0]], [[1.0]])
    >>> product_of_experts([one, one], [0b11])[0b11].cov.round(6)
    array([[0.333333]])
    """
    if len({len(expert.cov) for expert in experts}) != 1:
        raise InputError("the experts have different latents, or there are none: give one expert for each modality")
    latents = len(experts[0].cov)
    precisions = [_inverse(expert.cov) for expert in experts]
    encoders = {}
    for subset in subsets:
        if subset < 0 or subset >> len(experts):
            raise InputError(f"subset {subset} for {len(experts)} experts: give one expert for each modality")
        if not subset and not prior:
            raise InputError("the empty subset has no expert: use prior=True, or leave it out of the scheme")
        seen = members(subset)
        total = sum((precisions[m] for m in seen), np.eye(latents) if prior else np.zeros((latents, latents)))
        cov = _inverse(total)
        gains = [precisions[m] @ experts[m].gain for m in seen]
        offset = sum((precisions[m] @ experts[m].offset for m in seen), np.zeros(latents))
        encoders[subset] = GaussianEncoder(cov @ np.hstack([np.zeros((latents, 0)), *gains]), cov, cov @ offset)
    return encoders


def exact_encoders(model: LinearGaussianVAE, law: Gaussian, scheme: SubsetScheme) -> dict[int, GaussianEncoder]:
    """For each encoded subset the model's own posterior ``p_theta(z|x_A)``. Best only where the data agree with it."""
    check_fits(model, law)
    return {subset: model.posterior(law.layout.variables_of_modalities(subset)) for subset, _ in scheme}


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


def gaussian_terms(model: LinearGaussianVAE, law: Gaussian, scheme: SubsetScheme) -> ElboTerms:
    """Every term of a model, in closed form.

    The mixture of several Gaussian encoders has no closed-form density: for schemes of several subsets
    ``mixture_kl``, ``label_information`` and ``latent_total_correlation`` are NaN, and so is what rests on them,
    ``mixture_elbo`` and ``best_elbo``. Everything else is exact.

    Raises:
        InputError: a model, law and scheme that do not fit each other; a singular law, which has no entropy.
        ObjectiveError: a sub-sampled scheme, which is not a mixture: sum ``own_elbo`` of :func:`subset_terms`.

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
    alone = len(subsets) == 1
    return ElboTerms(
        subsets=subsets,
        evidence=_evidence(model, law, range(len(law.cov))),
        mixture_kl=subsets[0].kl if alone else math.nan,
        label_information=0.0 if alone else math.nan,
        latent_total_correlation=_latent_tc(model, law, subsets[0].subset) if alone else math.nan,
        entropy=_entropy(law.cov),
        discrepancy=float(generative_discrepancy(h, scheme)),
        floor=float(distortion_floor(h, scheme)),
    )


def subset_terms(model: LinearGaussianVAE, law: Gaussian, subset: int, weight: float = 1.0) -> SubsetTerms:
    """The terms of one encoded subset, from the second moments of ``x`` and ``z``.

    The slack is infinite where the law is singular; the other terms need no entropy.

    Raises:
        InputError: no encoder of the subset, or one that does not fit the law.
    """
    encoder = _encoder(model, law, subset)
    layout = law.layout
    gain, spread = _embedded(encoder, law, subset), model.loading @ encoder.cov @ model.loading.T
    shift = model.loading @ encoder.offset + model.mean
    residual = _second_moment(np.eye(len(law.cov)) - model.loading @ gain, law.cov, shift) + spread
    distortions = []
    for unit in range(len(layout.unit_names)):
        block = np.ix_(*[layout.variables_of_units(1 << unit)] * 2)
        distortions.append(_cross_entropy(residual[block], model.noise[block]))
    units = union(layout.modality_units, subset)
    return SubsetTerms(
        subset=subset,
        weight=weight,
        seen=members(units),
        distortions=tuple(distortions),
        kl=_kl(encoder.cov, np.eye(model.n_latents), _second_moment(gain, law.cov, _of(encoder.offset))),
        evidence=_evidence(model, law, layout.variables_of_modalities(subset)),
        slack=_slack(model, law, subset),
    )


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
    encoder, own = _encoder(model, law, subset), model.posterior(law.layout.variables_of_modalities(subset))
    difference = _embedded(encoder, law, subset) - _embedded(own, law, subset)
    mismatch = _second_moment(difference, law.cov, _of(encoder.offset) - _of(own.offset))
    rest = law.layout.variables_of_modalities((1 << len(law.names)) - 1 & ~subset)
    return GapIdentity(
        gap=_evidence(model, law, range(len(law.cov))) - subset_terms(model, law, subset).elbo,
        encoder=_kl(encoder.cov, own.cov, mismatch),
        decoder=_prediction_kl(model, law, subset, encoder, rest, marginal=False),
        prediction=_prediction_kl(model, law, subset, own, rest, marginal=True),
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

    >>> law, model = Gaussian([[2.0, 1.0], [1.0, 2.0]]), LinearGaussianVAE([[1.0], [1.0]], 1.0, {})
    >>> found = encoder_gap(model.with_encoders({0b01: best_encoder(model, law, 0b01)}), law, 0b01)
    >>> round(found.best, 6), round(found.information, 6)
    (0.25, 0.202733)
    """
    encoder, full = _encoder(model, law, subset), model.posterior()
    seen = law.layout.variables_of_modalities(subset)
    mismatch = _second_moment(
        _embedded(encoder, law, subset) - full.gain, law.cov, _of(encoder.offset) - _of(full.offset)
    )
    unexplained = _second_moment(full.gain @ (np.eye(len(law.cov)) - regression(law.cov, seen)), law.cov)
    return EncoderGap(
        gap=_evidence(model, law, range(len(law.cov))) - subset_terms(model, law, subset).elbo,
        divergence=_kl(encoder.cov, full.cov, mismatch),
        best=0.5 * float(np.trace(np.linalg.solve(full.cov, unexplained))),
        information=0.5 * (_logdet(model.posterior(seen).cov) - _logdet(full.cov)),
    )


def noise_covariance(noise: float | np.ndarray, n_variables: int) -> np.ndarray:
    """``(d, d)``, of isotropic, diagonal or full noise.

    Raises:
        InputError: another shape, NaN or inf, not positive definite.

    >>> noise_covariance(2.0, 2)
    array([[2., 0.],
           [0., 2.]])
    """
    given = real_array("the noise", noise)  # type: ignore[arg-type]
    if given.ndim == 0:
        given = np.full(n_variables, float(given))
    shapes = {(n_variables,), (n_variables, n_variables)}
    if given.shape not in shapes:
        raise InputError(
            f"noise of shape {given.shape} for {n_variables} variables: give a variance, one for each variable, or a "
            "covariance"
        )
    return positive_definite("the noise", np.diag(given) if given.ndim == 1 else given)


def positive_definite(what: str, matrix: np.ndarray) -> np.ndarray:
    """A symmetric positive definite float64 copy.

    Raises:
        InputError: not square, NaN or inf, asymmetric, not positive definite; ``what`` names it.
    """
    given = _matrix(what, matrix)
    if given.shape[0] != given.shape[1]:
        raise InputError(f"{what} has shape {given.shape}: give a square matrix")
    if given.size and np.abs(given - given.T).max() > SYMMETRY * np.abs(given).max():
        raise InputError(f"{what} is not symmetric: use (S + S.T) / 2")
    symmetric = (given + given.T) / 2
    try:
        np.linalg.cholesky(symmetric)
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(symmetric)[0])
        raise InputError(f"{what} is not positive definite: its smallest eigenvalue is {smallest:.3g}") from None
    return np.asarray(symmetric)


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


def check_regular(law: Gaussian) -> None:
    """Refuses a law without a density.

    Raises:
        InputError: the covariance is singular, up to rounding.
    """
    if _entropy(law.cov) == -math.inf:
        raise InputError("the law is singular, its entropy is -inf: drop variables that others determine, or add noise")


def _encoder(model: LinearGaussianVAE, law: Gaussian, subset: int) -> GaussianEncoder:
    """The encoder of a subset, checked against the law."""
    check_fits(model, law)
    shown = format_subset(subset, law.names) or "the empty subset"
    if subset not in model.encoders:
        raise InputError(f"the model has no encoder of {shown} (key {subset})")
    encoder, seen = model.encoders[subset], law.layout.variables_of_modalities(subset)
    if encoder.gain.shape[1] != len(seen):
        raise InputError(f"the encoder of {shown} takes {encoder.gain.shape[1]} variables, not {len(seen)}")
    return encoder


def _embedded(encoder: GaussianEncoder, law: Gaussian, subset: int) -> np.ndarray:
    """``(k, d)``: the gain as a function of all variables, zero where unseen."""
    gain = np.zeros((len(encoder.cov), len(law.cov)))
    gain[:, law.layout.variables_of_modalities(subset)] = encoder.gain
    return gain


def _evidence(model: LinearGaussianVAE, law: Gaussian, variables: Iterable[int]) -> float:
    """``E ln p_theta(x_A)``."""
    seen = list(variables)
    mean = _of(model.mean)[seen]
    block = np.ix_(seen, seen)
    return -_cross_entropy(law.cov[block] + np.outer(mean, mean), model.covariance[block])


def _slack(model: LinearGaussianVAE, law: Gaussian, subset: int) -> float:
    """``epsilon_A`` of THEORY T2, from Gaussian divergences and not from ``L_A``."""
    if _entropy(law.cov) == -math.inf:
        return math.inf
    encoder, seen = model.encoders[subset], law.layout.variables_of_modalities(subset)
    given, loading, latents = law.cov[np.ix_(seen, seen)], model.loading[seen], model.n_latents
    cross = encoder.gain @ given
    truth = np.block([[cross @ encoder.gain.T + encoder.cov, cross], [cross.T, given]])
    joint = np.block([[np.eye(latents), loading.T], [loading, model.covariance[np.ix_(seen, seen)]]])
    shift = np.concatenate([_of(encoder.offset), -_of(model.mean)[seen]])
    parts = [_kl(truth, joint, np.outer(shift, shift))]
    for unit in members((1 << len(law.layout.unit_names)) - 1 & ~union(law.layout.modality_units, subset)):
        block = law.layout.variables_of_units(1 << unit)
        parts.append(_prediction_kl(model, law, subset, encoder, block, marginal=False))
    return math.fsum(parts)


def _prediction_kl(
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
    difference = slopes[rest] - loading @ _embedded(encoder, law, subset)
    mismatch = _second_moment(difference, law.cov, loading @ encoder.offset + _of(model.mean)[rest])
    truth = _second_moment(np.eye(len(law.cov))[rest] - slopes[rest], law.cov)
    spread, noise = loading @ encoder.cov @ loading.T, model.noise[np.ix_(rest, rest)]
    return _kl(truth, noise + spread, mismatch) if marginal else _kl(truth, noise, mismatch + spread)


def _latent_tc(model: LinearGaussianVAE, law: Gaussian, subset: int) -> float:
    """``TC(X|Z)`` over units, under ``p(x) q_A(z|x_A)`` (THEORY T3)."""
    encoder = model.encoders[subset]
    gain = _embedded(encoder, law, subset)
    cross = law.cov @ gain.T
    cov = law.cov - cross @ np.linalg.solve(gain @ cross + encoder.cov, cross.T)
    blocks = [law.layout.variables_of_units(1 << unit) for unit in range(len(law.layout.unit_names))]
    return 0.5 * (math.fsum(_logdet(cov[np.ix_(block, block)]) for block in blocks) - _logdet(cov))


def _second_moment(gain: np.ndarray, cov: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
    """``E v v'`` for ``v = gain x + shift`` and centred ``x``."""
    moment = gain @ cov @ gain.T
    return np.asarray(moment if shift is None else moment + np.outer(shift, shift))


def _cross_entropy(moment: np.ndarray, cov: np.ndarray) -> float:
    """``-E ln N(v; 0, cov)`` for ``v`` of that second moment."""
    trace = float(np.trace(np.linalg.solve(cov, moment)))
    return 0.5 * (len(cov) * math.log(2 * math.pi) + _logdet(cov) + trace)


def _kl(cov: np.ndarray, other: np.ndarray, mismatch: np.ndarray) -> float:
    """``E KL(N(a, cov) || N(b, other))`` with ``mismatch = E (a - b)(a - b)'``."""
    trace = float(np.trace(np.linalg.solve(other, cov + mismatch)))
    return 0.5 * (trace - len(cov) + _logdet(other) - _logdet(cov))


def _entropy(cov: np.ndarray) -> float:
    """Of a Gaussian law; ``-inf`` where it is singular up to rounding."""
    variances = np.diagonal(cov)
    if not (variances > 0).all():
        return -math.inf
    return half_logdet(correlation(cov)) + 0.5 * float(np.log(2 * math.pi * math.e * variances).sum())


def _logdet(cov: np.ndarray) -> float:
    return float(np.linalg.slogdet(cov)[1])


def _inverse(precision: np.ndarray) -> np.ndarray:
    """Of a symmetric positive definite matrix, symmetric to the last digit."""
    inverse = np.linalg.inv(precision)
    return np.asarray((inverse + inverse.T) / 2)


def _matrix(what: str, values: np.ndarray) -> np.ndarray:
    matrix = real_array(what, values)
    if matrix.ndim != 2:
        raise InputError(f"{what} has shape {matrix.shape}: give a matrix")
    if not np.isfinite(matrix).all():
        raise InputError(f"{what} has NaN or infinite entries")
    return matrix


def _vector(what: str, values: np.ndarray | None, length: int) -> np.ndarray:
    vector = np.zeros(length) if values is None else real_array(what, values)
    if vector.shape != (length,):
        raise InputError(f"{what} has shape {vector.shape}, not ({length},)")
    if not np.isfinite(vector).all():
        raise InputError(f"{what} has NaN or infinite entries")
    return vector


def _of(vector: np.ndarray | None) -> np.ndarray:
    """A vector that construction has filled in."""
    assert vector is not None
    return vector


def _freeze(instance: object, **arrays: np.ndarray) -> None:
    for name, array in arrays.items():
        array.setflags(write=False)
        object.__setattr__(instance, name, array)
