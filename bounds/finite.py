"""A finite multimodal VAE whose every term is exact, by enumeration of all data cells and latents."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bounds.ceilings import distortion_floor, generative_discrepancy
from bounds.elbo import MixtureTerms, SubsetTerms
from bounds.errors import InputError, ObjectiveError
from bounds.functional import TC, Functional, I
from bounds.joints import PMF_TOLERANCE, Discrete
from bounds.lattice import marginal_entropy
from bounds.memory import check_fits
from bounds.schemes import SubsetScheme
from bounds.subsets import default_names, format_subset, members, union

#: ln 0 = -inf is meant; the NaN of ``-inf - (-inf)`` stands only in cells without mass, see :func:`_expectation`.
_SILENT = np.errstate(divide="ignore", invalid="ignore")


@dataclass(frozen=True, eq=False)
class TabularVAE:
    """A VAE with a finite latent ``Z``, one decoder for each unit and one encoder for each encoded subset.

    Args:
        prior: ``(Z,)``, the law ``p_theta(z)``.
        decoders: for each decoder unit ``u`` of the data ``(Z, k_u)``, whose row ``z`` is ``p_theta(x_u|z)``. A
            unit of several variables has the product of their alphabets, the last variable running fastest.
        encoders: bitmask of the encoded modalities to ``(*k_u for the units u of A, Z)``, whose last axis is
            ``q_A(z|x_A)``; ``(Z,)`` for the empty subset. Cells ``x_A`` of probability zero need a law as well.

    Raises:
        InputError: NaN, inf or negative cells, a law that does not sum to one, different numbers of latents.

    >>> bit = np.full((1, 2), 0.5)  # a constant latent: one value, two fair bits whatever it is
    >>> TabularVAE(np.ones(1), [bit, bit], {0b01: np.ones((2, 1)), 0b10: np.ones((2, 1))}).n_latents
    1
    """

    prior: np.ndarray
    decoders: Sequence[np.ndarray]
    encoders: Mapping[int, np.ndarray]

    def __post_init__(self) -> None:
        prior = _prior_law(self.prior)
        decoders = _decoder_laws(self.decoders, len(prior))
        object.__setattr__(self, "prior", prior)
        object.__setattr__(self, "decoders", decoders)
        object.__setattr__(self, "encoders", _encoder_laws(self.encoders, len(prior)))

    @property
    def n_latents(self) -> int:
        """Number of values of ``z``."""
        return len(self.prior)


@_SILENT
def elbo_terms(model: TabularVAE, law: Discrete, scheme: SubsetScheme) -> MixtureTerms:
    """Every term of a model, exactly, in nats.

    Raises:
        InputError: a model, law and scheme that do not fit each other, or tables too large for memory.
        ObjectiveError: a sub-sampled scheme, which is not a mixture; see :func:`objective`.

    >>> from bounds import mmvae
    >>> bit, one = np.full((1, 2), 0.5), np.ones((2, 1))
    >>> model = TabularVAE(np.ones(1), [bit, bit], {0b01: one, 0b10: one})
    >>> terms = elbo_terms(model, Discrete(np.full((2, 2), 0.25)), mmvae(2))
    >>> round(terms.elbo, 6), round(terms.evidence, 6), terms.quoted.holds, terms.repaired.holds
    (-1.386294, -1.386294, False, True)
    """
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(f"scheme {scheme.label} is a sum of ELBOs, not a mixture over subsets: use objective()")
    subsets = _subset_terms(model, law, scheme)
    joint = _joint(law, scheme, model.encoders)
    p = _unit_table(law)
    everything = range(p.ndim - 1)
    mixture = joint.sum(axis=0)
    names, latent = default_names(joint.ndim), 1 << joint.ndim - 1
    units = [1 << 1 + u for u in everything]
    h = law.unit_entropies()
    return MixtureTerms(
        subsets=subsets,
        evidence=_expectation(p[..., 0], np.logaddexp.reduce(_log_joint(model, everything), axis=-1)),
        entropy=marginal_entropy(law.pmf, range(law.pmf.ndim)),
        discrepancy=float(generative_discrepancy(h, scheme)),
        floor=float(distortion_floor(h, scheme)),
        mixture_kl=_expectation(mixture, np.log(mixture) - np.log(p) - np.log(model.prior)),
        label_information=_evaluate(I(names, 1, latent, sum(units)), joint),
        latent_total_correlation=_evaluate(TC(names, units, latent), joint),
    )


def objective(
    model: TabularVAE,
    law: Discrete,
    scheme: SubsetScheme,
    name: str = "own-density",
    *,
    beta: float = 1.0,
    scales: Mapping[str, float] | None = None,
) -> float:
    """The exact K=1 value of an objective, by the name and parameters that :func:`bounds.elbo_ceiling` takes.

    Args:
        name: ``own-density``, ``mixture-density``, ``beta``, ``rescaled`` or ``sub-sampled``.
        beta: multiplier of the KL, for ``beta`` and ``rescaled``.
        scales: modality or unit name to log-likelihood multiplier, for ``rescaled``; others are 1.

    Raises:
        InputError: an objective without an exact value here, or a model that does not fit.
        ObjectiveError: a mixture objective of a sub-sampled scheme, or the other way round.
    """
    if (scheme.objective == "sub-sampled") != (name == "sub-sampled"):
        raise ObjectiveError(f"scheme {scheme.label} does not have the objective {name!r}: see bounds.elbo_ceiling")
    if name == "mixture-density":
        return elbo_terms(model, law, scheme).mixture_elbo
    subsets = _subset_terms(model, law, scheme)
    if name == "sub-sampled":
        return math.fsum(terms.weight * terms.own_elbo for terms in subsets)
    if name not in ("own-density", "beta", "rescaled"):
        raise InputError(
            f"no exact value of objective {name!r}: use own-density, mixture-density, beta, rescaled or sub-sampled"
        )
    multiplier = 1.0 if name == "own-density" else beta
    scale = _unit_scales(law, (scales or {}) if name == "rescaled" else {})

    def cost(terms: SubsetTerms) -> float:
        rate = multiplier * terms.kl if multiplier else 0.0
        return math.fsum(s * d for s, d in zip(scale, terms.distortions, strict=True)) + rate

    return -math.fsum(terms.weight * cost(terms) for terms in subsets)


def optimal_decoders(law: Discrete, scheme: SubsetScheme, encoders: Mapping[int, np.ndarray]) -> TabularVAE:
    """The prior and decoders that are best for given encoders: the aggregated ``p(z)``, ``p(x_m|z)`` (THEORY T3).

    They attain ``L_S = -[H(X) + TC(X|Z) + I(A;Z|X)]``. A latent that no encoder emits gets the data's marginals.

    Args:
        law: the data.
        scheme: the encoded subsets and their weights.
        encoders: as for :class:`TabularVAE`.
    """
    laws = _encoder_laws(encoders, None)
    mixture = _joint(law, scheme, laws).sum(axis=0)
    units = range(mixture.ndim - 1)
    prior = mixture.sum(axis=tuple(units))
    decoders = []
    for u in units:
        pair = mixture.sum(axis=tuple(v for v in units if v != u)).T
        marginal = np.broadcast_to(pair.sum(axis=0), pair.shape)
        decoders.append(np.where(prior[:, None] > 0, pair, marginal))
        decoders[-1] /= decoders[-1].sum(axis=1, keepdims=True)
    return TabularVAE(prior, decoders, laws)


@_SILENT
def optimal_encoders(
    law: Discrete, scheme: SubsetScheme, prior: np.ndarray, decoders: Sequence[np.ndarray], beta: float = 1.0
) -> TabularVAE:
    """The encoders that are best for a prior and decoders, as a model: ``q_A(z|x_A) ~ p(z) exp(-d_A(x_A,z)/beta)``.

    Here ``d_A(x_A,z) = -E[ln p_theta(X|z) | x_A]`` over all units (THEORY T6). Where ``p(x_A)`` is zero, and where no
    latent gives the data any probability, all encoders are as good and the prior is taken.

    Args:
        law: the data.
        scheme: the encoded subsets and their weights.
        prior: ``(Z,)``.
        decoders: for each unit ``(Z, k_u)``.
        beta: multiplier of the KL, positive.

    Raises:
        InputError: tables that are no laws or do not fit the data, a scheme over other modalities, a ``beta`` that is
            not positive.
        ObjectiveError: a sub-sampled scheme, whose encoders are not asked for what they do not see.

    >>> from bounds import mmvae
    >>> pair = Discrete([[0.45, 0.05], [0.05, 0.45]])
    >>> sharp = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> soft = np.array([[0.8, 0.2], [0.2, 0.8]])
    >>> optimal_encoders(pair, mmvae(2), np.array([0.5, 0.5]), [sharp, soft]).encoders[0b01]  # it sees what z decides
    array([[1., 0.],
           [0., 1.]])
    """
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(f"scheme {scheme.label} is a sum of ELBOs, each of its own modalities, not a mixture")
    if not (beta > 0 and math.isfinite(beta)):
        raise InputError(f"beta is {beta}: give a positive number")
    _check_modalities(law, scheme)
    prior = _prior_law(prior)
    decoders = _decoder_laws(decoders, len(prior))
    p = _unit_table(law)
    alphabet = p.shape[:-1]
    _check_alphabets(decoders, alphabet)
    log_decoders = _log_decoders(decoders)
    encoders = {}
    for subset, _ in scheme:
        seen = members(union(law.layout.modality_units, subset))
        known = _marginal(p, seen)
        logits = np.log(prior)
        for u, table in enumerate(decoders):
            expected = log_decoders[u]
            if u not in seen:
                given = np.moveaxis((_marginal(p, {*seen, u}) / known)[..., 0], u, -1)
                expected = np.expand_dims(_mean_log(given, table), u)
            logits = logits + expected / beta
        top = logits.max(axis=-1, keepdims=True)
        likelihoods = np.exp(logits - top)
        best = likelihoods / likelihoods.sum(axis=-1, keepdims=True)
        q = np.where((known > 0) & (top > -np.inf), best, prior)
        encoders[subset] = q.reshape([*(alphabet[u] for u in seen), len(prior)])
    return TabularVAE(prior, decoders, encoders)


@_SILENT
def _subset_terms(model: TabularVAE, law: Discrete, scheme: SubsetScheme) -> tuple[SubsetTerms, ...]:
    p = _unit_table(law)
    alphabet = p.shape[:-1]
    _check_alphabets(model.decoders, alphabet)
    log_decoders = _log_decoders(model.decoders)
    found = []
    for subset, weight in scheme:
        seen, q = _encoder(law, scheme, model.encoders, subset)
        known = _marginal(p, seen)
        pairs = [_marginal(p, {*seen, u}) for u in range(len(alphabet))]
        log_seen = _log_joint(model, seen)
        slack = [_expectation(known * q, np.log(known) + np.log(q) - log_seen)]
        for u in [u for u in range(len(alphabet)) if u not in seen]:
            slack.append(_expectation(pairs[u] * q, np.log(pairs[u]) - np.log(known) - log_decoders[u]))
        found.append(
            SubsetTerms(
                subset=subset,
                weight=float(weight),
                seen=seen,
                distortions=tuple(_expectation(pair * q, -log) for pair, log in zip(pairs, log_decoders, strict=True)),
                kl=_expectation(known * q, np.log(q) - np.log(model.prior)),
                evidence=_expectation(known[..., 0], np.logaddexp.reduce(log_seen, axis=-1)),
                slack=math.fsum(slack),
            )
        )
    return tuple(found)


# Below, tables have one axis for each unit of the data, of length 1 where it is summed out, and the latent's last.


def _unit_table(law: Discrete) -> np.ndarray:
    """``(*k_u, 1)``: the law with one axis for each unit."""
    return law.pmf.reshape([*law.unit_alphabets, 1])


def _marginal(p: np.ndarray, units: Collection[int]) -> np.ndarray:
    summed = tuple(u for u in range(p.ndim - 1) if u not in units)
    return np.asarray(p.sum(axis=summed, keepdims=True))


def _encoder(
    law: Discrete, scheme: SubsetScheme, encoders: Mapping[int, np.ndarray], subset: int
) -> tuple[tuple[int, ...], np.ndarray]:
    """The units that a subset's encoder sees, and ``q_A(z|x_A)``."""
    layout = law.layout
    _check_modalities(law, scheme)
    shown = format_subset(subset, layout.names) or "the empty subset"
    if subset not in encoders:
        raise InputError(f"scheme {scheme.label} encodes {shown}, for which the model has no encoder (key {subset})")
    seen = members(union(layout.modality_units, subset))
    alphabet = _unit_table(law).shape[:-1]
    table = encoders[subset]
    expected = tuple(alphabet[u] for u in seen)
    if table.shape[:-1] != expected:
        raise InputError(f"the encoder of {shown} has shape {table.shape}: it must be {(*expected, table.shape[-1])}")
    spread = [k if u in seen else 1 for u, k in enumerate(alphabet)]
    return seen, table.reshape([*spread, table.shape[-1]])


def _check_modalities(law: Discrete, scheme: SubsetScheme) -> None:
    if scheme.n_modalities != len(law.names):
        raise InputError(
            f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the law over {len(law.names)}"
        )


def _joint(law: Discrete, scheme: SubsetScheme, encoders: Mapping[int, np.ndarray]) -> np.ndarray:
    """``(subsets, *k_u, Z)``: the law ``w_A p(x) q_A(z|x_A)`` of subset, data and latent."""
    p = _unit_table(law)
    each = [(float(weight), _encoder(law, scheme, encoders, subset)[1]) for subset, weight in scheme]
    shape = [len(each), *p.shape[:-1], each[0][1].shape[-1]]
    check_fits("the joint law of subset, data and latent", shape, "use fewer modalities, units or latents")
    joint: np.ndarray = np.stack([weight * p * q for weight, q in each])
    return joint


def _check_alphabets(decoders: Sequence[np.ndarray], alphabet: tuple[int, ...]) -> None:
    shapes = tuple(table.shape[1] for table in decoders)
    if shapes != alphabet:
        raise InputError(f"decoders have the alphabets {shapes}, the units {alphabet}: give one decoder for each unit")


def _log_decoders(decoders: Sequence[np.ndarray]) -> list[np.ndarray]:
    units = len(decoders)
    return [
        np.log(table.T).reshape([*(-1 if v == u else 1 for v in range(units)), len(table)])
        for u, table in enumerate(decoders)
    ]


def _log_joint(model: TabularVAE, units: Collection[int]) -> np.ndarray:
    """``ln p_theta(z) prod_u p_theta(x_u|z)`` over some of the units."""
    log_decoders = _log_decoders(model.decoders)
    total = np.log(model.prior)
    for u in units:
        total = total + log_decoders[u]
    return np.asarray(total)


def _mean_log(given: np.ndarray, decoder: np.ndarray) -> np.ndarray:
    """``(..., Z)``: ``sum_x given(x) ln p_theta(x|z)`` of laws ``(..., k)``, where ``0 ln 0`` is 0.

    A product of matrices: a table with an axis for ``x`` and one for ``z`` may be far larger than what is wanted.
    """
    zero = decoder == 0
    impossible = (given > 0).astype(np.float64) @ zero.T.astype(np.float64) > 0
    return np.where(impossible, -np.inf, given @ np.log(np.where(zero, 1.0, decoder)).T)


def _evaluate(functional: Functional, table: np.ndarray) -> float:
    """A functional of the entropies of a probability table, one variable for each axis."""
    entropies = ((float(c), marginal_entropy(table, members(mask))) for mask, c in functional.coefficients.items())
    return math.fsum(c * entropy for c, entropy in entropies)


def _expectation(mass: np.ndarray, values: np.ndarray) -> float:
    """The sum of ``mass * values``, where cells without mass count nothing whatever their value."""
    return float(np.where(mass > 0, mass * values, 0.0).sum())


def _laws(table: np.ndarray, what: str) -> np.ndarray:
    """Laws along the last axis, validated and normalised."""
    laws = np.array(table, dtype=np.float64)
    if laws.ndim == 0 or laws.size == 0:
        raise InputError(f"{what} has shape {laws.shape}: give at least one probability")
    if not np.isfinite(laws).all() or (laws < 0).any():
        raise InputError(f"{what} has cells that are NaN, infinite or negative: give probabilities")
    totals = laws.sum(axis=-1, keepdims=True)
    worst = float(totals.flat[np.abs(totals - 1).argmax()])
    if abs(worst - 1) > PMF_TOLERANCE:
        raise InputError(f"{what} sums to {worst:.9g} along its last axis, not to 1: divide it by its sums")
    laws /= totals
    laws.setflags(write=False)
    return laws


def _prior_law(prior: np.ndarray) -> np.ndarray:
    law = _laws(prior, "the prior")
    if law.ndim != 1:
        raise InputError(f"the prior has shape {law.shape}: give one vector, the law of z")
    return law


def _decoder_laws(decoders: Sequence[np.ndarray], n_latents: int) -> tuple[np.ndarray, ...]:
    laws = tuple(_laws(table, f"decoder {u}") for u, table in enumerate(decoders))
    if not laws:
        raise InputError("a tabular VAE needs at least one decoder: give one table (Z, k_u) for each unit")
    for u, table in enumerate(laws):
        if table.ndim != 2 or len(table) != n_latents:
            raise InputError(f"decoder {u} has shape {table.shape}: it must be ({n_latents}, k_{u}), a row for each z")
    return laws


def _encoder_laws(encoders: Mapping[int, np.ndarray], n_latents: int | None) -> Mapping[int, np.ndarray]:
    laws = {subset: _laws(table, f"the encoder of subset {subset}") for subset, table in encoders.items()}
    if not laws:
        raise InputError("a tabular VAE needs at least one encoder: give one table for each encoded subset")
    expected = n_latents or next(iter(laws.values())).shape[-1]
    for subset, table in laws.items():
        if table.shape[-1] != expected:
            raise InputError(
                f"the encoder of subset {subset} has {table.shape[-1]} latents on its last axis, not {expected}"
            )
    return MappingProxyType(laws)


def _unit_scales(law: Discrete, scales: Mapping[str, float]) -> list[float]:
    """For each unit the multiplier of its log-likelihood: by its own name, or by its modality's, or 1."""
    layout = law.layout
    unknown = set(scales).difference(layout.names, layout.unit_names)
    if unknown:
        raise InputError(f"scales: unknown modality or unit {sorted(unknown)[0]!r}")
    return [
        scales.get(layout.unit_names[unit], scales.get(name, 1.0))
        for name, units in zip(layout.names, layout.modality_units, strict=True)
        for unit in members(units)
    ]
