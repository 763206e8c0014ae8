"""The ceiling of a likelihood for a known law (THEORY T7)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bounds.ceilings import elbo_ceiling
from bounds.entropies import EntropyVector
from bounds.formulas import seen_entropies, unseen_entropies
from bounds.joints import Discrete, Gaussian
from bounds.likelihood.decoders import CONDITIONAL, Part, lookup, modality_of, symbol_values, variable_names
from bounds.likelihood.gaussian import GAP, Imputed, fixed_variance_floor, imputed_moments, learned_variance_floor
from bounds.likelihood.noise import BernoulliNoise
from bounds.likelihood.result import ATOMS, GREY, LOOSE, TOGETHER, UNITS, LikelihoodCeiling, Question
from bounds.likelihood.split_floor import SubsetFloor, discrete_split, expected_variances, gaussian_split
from bounds.quantity import Quantity
from bounds.schemes import SubsetScheme

_ALONE = "attained: a linear VAE (probabilistic PCA of the imputed data) reaches it"
_COLLAPSED = "attained: at this noise no direction is worth coding, and a constant latent reaches it for all subsets"
_LIMIT = "a supremum that no model reaches: the variance of {} goes to zero"
_SINGULAR = (
    "no ceiling: a variable that every subset shows, or determines, is a linear function of others or constant, so its "
    "learned variance may go to zero"
)
_NO_RATE = "valid and loose: the rate is left out, so a seen unit costs nothing beyond the peak of its density"
_SHARED = (
    "the variables of a unit share one variance: a model that learns one for each variable may exceed this; give the "
    "law units='scalar' for it"
)
_SYMBOLS = "symbols count as the values 0, 1, ..., k-1: give Likelihood(values=...) if they are others"


def ceiling_of_gaussian(law: Gaussian, asked: Question, split: bool = False) -> LikelihoodCeiling:
    """For a Gaussian law: T7(iv) for Gaussian noise of fixed variance, T7(v) for a learned one, T7(i) for other noise,
    and T2 where the variance is a function of the latent.
    """
    if asked.free == CONDITIONAL:
        return ceiling_of_entropies(law.unit_entropies(), asked)
    moments = [
        imputed_moments(law.cov, law.layout.variables_of_modalities(subset), float(weight))
        for subset, weight in asked.scheme
    ]
    if asked.free:
        return _learned(law, asked, moments)
    variances = asked.variances
    if variances is None or split:
        return asked.exact("split", gaussian_split(law, asked.scheme, asked.parts), (LOOSE, UNITS))
    losses = [fixed_variance_floor(part, variances) for part in moments]
    scale = np.sqrt(variances)
    leading = max(float(np.linalg.eigvalsh(part.spread / scale / scale[:, None])[-1]) for part in moments)
    attained = _COLLAPSED if leading <= 1 else _ALONE if len(losses) == 1 else TOGETHER
    return asked.exact("attained", _floors(law, asked, moments, losses, variances), (attained, UNITS), variances)


def _learned(law: Gaussian, asked: Question, moments: list[Imputed]) -> LikelihoodCeiling:
    learned = learned_variance_floor(moments, asked.groups)
    if learned.floor == -math.inf:
        return asked.unbounded("attained", _SINGULAR)
    attained = _ALONE if len(moments) == 1 else TOGETHER
    zero = [name for name, v in zip(variable_names(law.layout), learned.variances, strict=True) if v == 0]
    gap = learned.found - learned.floor
    ceiling = Quantity(
        asked.name,
        -learned.floor,
        -learned.found,
        -learned.floor,
        method=f"convex programme over the variances common to all subsets, duality gap {gap:.1e} nats",
        guarantee="exact" if gap <= GAP * max(1.0, abs(learned.found)) else "guaranteed",
        theorem="T7",
        notes=(_LIMIT.format(", ".join(zero)) if zero else attained, *_shared(asked), UNITS),
    )
    floors = _floors(law, asked, moments, learned.floors, learned.variances)
    return asked.answer("attained", ceiling, floors, learned.variances)


def _shared(asked: Question) -> tuple[str, ...]:
    return (_SHARED,) if asked.free == "learned" and max(asked.layout.unit_sizes) > 1 else ()


def _floors(
    law: Gaussian,
    asked: Question,
    moments: list[Imputed],
    losses: list[float] | tuple[float, ...],
    variances: np.ndarray,
) -> list[SubsetFloor]:
    """The least loss of each subset, and how much of it is the unseen part's noise and unexplained variance."""
    found = []
    for part, loss, (subset, weight) in zip(moments, losses, asked.scheme, strict=True):
        known = set(law.layout.variables_of_modalities(subset))
        hidden = [v for v in range(len(variances)) if v not in known]
        psi, missing = variances[hidden], part.unexplained[hidden]
        # A variance of zero is that of a variable which the subset determines: it is counted as seen.
        inside = psi > 0
        unseen = 0.5 * float((np.log(2 * math.pi * psi[inside]) + missing[inside] / psi[inside]).sum())
        found.append(SubsetFloor(subset, float(weight), loss - unseen, unseen))
    return found


def ceiling_of_table(law: Discrete, asked: Question) -> LikelihoodCeiling:
    """For a probability table: T2 where the family has every law, else T7(i); see :func:`_free_on_table` for learned
    variances.
    """
    if asked.free:
        return _free_on_table(law, asked)
    parts, values = asked.parts, _values(law, asked)
    for part in parts:
        if part.noise is not None:
            part.noise.check(part.name, values[part.variables[0]])
    if all(part.noise is None or _has_every_law(part, values) for part in parts):
        same = Discrete(law.pmf, law.names, law.layout.sizes, [len(part.variables) for part in parts])
        return ceiling_of_entropies(same.unit_entropies(), asked)
    bernoulli = [part for part in parts if isinstance(part.noise, BernoulliNoise)]
    notes = [LOOSE]
    if not all(_has_every_law(part, values) for part in bernoulli):
        notes.append(GREY)
    if any(part.noise is not None and part not in bernoulli and not _given(asked, part) for part in parts):
        notes.append(_SYMBOLS)
    return asked.exact("split", discrete_split(law, asked.scheme, parts, values), notes, asked.variances)


def _values(law: Discrete, asked: Question) -> dict[int, np.ndarray]:
    """For each variable the values of its symbols, by default ``0, 1, ..., k - 1``."""
    found = {}
    for v, alphabet in enumerate(law.pmf.shape):
        given = symbol_values(asked.likelihoods[modality_of(law.layout, v)], law.layout, v, alphabet)
        found[v] = np.arange(alphabet, dtype=np.float64) if given is None else given
    return found


def _given(asked: Question, part: Part) -> bool:
    return lookup(asked.likelihoods[part.modality].values, asked.layout, part.variables[0]) is not None


def _has_every_law(part: Part, values: Mapping[int, np.ndarray]) -> bool:
    """Whether the decoders of a Bernoulli block are all laws on its values."""
    distinct = values[part.variables[0]].tolist()
    return isinstance(part.noise, BernoulliNoise) and sorted(distinct) in ([0.0], [1.0], [0.0, 1.0])


def _free_on_table(law: Discrete, asked: Question) -> LikelihoodCeiling:
    """A variance common to all subsets is held up by what they leave unexplained; one that is not, by nothing.

    ``-L_S >= sum_i [ln(2 pi psi_i)/2 + v_i/(2 psi_i)]`` with ``v_i = sum_A w_A E Var(X_i|X_A)``, for any data: the KL
    is not negative, and a seen variable costs at least the peak of its density. The minimum over ``psi`` is at
    ``psi = v``, averaged over the variables that share one.
    """
    if asked.free == CONDITIONAL:
        return asked.unbounded("T2", ATOMS)
    values = _values(law, asked)
    known = [law.layout.variables_of_modalities(subset) for subset, _ in asked.scheme]
    spreads = [expected_variances(law, seen, values) for seen in known]
    mean = np.sum([float(w) * spread for (_, w), spread in zip(asked.scheme, spreads, strict=True)], axis=0)
    groups = asked.groups
    variances = (np.bincount(groups, mean) / np.bincount(groups))[groups]
    if not (variances > 0).all():
        return asked.unbounded("distortion", ATOMS)
    floors = []
    for (subset, weight), seen, spread in zip(asked.scheme, known, spreads, strict=True):
        losses = 0.5 * (np.log(2 * math.pi * variances) + spread / variances)
        inside = np.isin(np.arange(len(losses)), seen)
        floors.append(SubsetFloor(subset, float(weight), float(losses[inside].sum()), float(losses[~inside].sum())))
    notes = [_NO_RATE, *_shared(asked), *([] if asked.likelihoods[0].values else [_SYMBOLS])]
    return asked.exact("distortion", floors, notes, variances)


def ceiling_of_entropies(h: EntropyVector, asked: Question, confidence: float = 0.95) -> LikelihoodCeiling:
    """T2, with ``H(X_A)`` and ``sum_m H(X_m|X_A)`` of each subset."""
    ceiling = replace(elbo_ceiling(h, asked.scheme, confidence=confidence), name=asked.name)
    floors = []
    for subset, weight in asked.scheme:
        alone = SubsetScheme({subset: 1}, asked.scheme.n_modalities, allow_empty=True)
        seen, unseen = h.value(seen_entropies(h, alone)), h.value(unseen_entropies(h, alone))
        if isinstance(seen, str) or isinstance(unseen, str):
            return asked.answer("T2", ceiling)
        floors.append(SubsetFloor(subset, float(weight), seen, unseen))
    return asked.answer("T2", ceiling, floors)
