"""The objectives that published models train, and the ceiling that holds for each (T2, T5, T10)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from numbers import Integral
from types import MappingProxyType
from typing import Any

from bounds.entropies import EntropyVector
from bounds.errors import InputError, ObjectiveError
from bounds.formulas import Terms, joint_entropy, seen_entropies, total_correlation, unseen_entropies
from bounds.functional import Functional
from bounds.schemes import SubsetScheme
from bounds.subsets import members


@dataclass(frozen=True)
class Ceiling:
    """A ceiling that holds: a functional, a constant, and the theorem that says so.

    Args:
        functional: in nats; the lowest at the values of the entropies, where several ceilings hold.
        theorem: the number in THEORY.
        constant: added to the functional.
        also: other theorems that give the same ceiling here, such as T2 for one importance sample.
        choices: where several ceilings hold, what the functional was chosen from: the ceiling is their sum.
    """

    functional: Functional
    theorem: str
    constant: float = 0.0
    also: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A weight times the lowest of several ceilings that all hold."""

    weight: Fraction
    among: tuple[Ceiling, ...]


@dataclass(frozen=True)
class Objective:
    """An objective, its parameters with their defaults, and its ceiling."""

    meaning: str
    ceiling: Callable[[EntropyVector, SubsetScheme, Mapping[str, Any]], Ceiling]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def ceiling_of(h: EntropyVector, scheme: SubsetScheme, objective: str, given: Mapping[str, Any]) -> Ceiling:
    """The ceiling of one objective with the given parameters, the others at their defaults.

    Raises:
        ObjectiveError: an objective that is not one of this scheme, or without a ceiling on such data.
        InputError: an unknown objective, a parameter that is not the objective's, or one out of range.
    """
    if objective not in OBJECTIVES:
        raise InputError(f"unknown objective {objective!r}: use one of {', '.join(OBJECTIVES)}")
    chosen = OBJECTIVES[objective]
    for name in given:
        if name not in chosen.parameters:
            owners = ", ".join(key for key, one in OBJECTIVES.items() if name in one.parameters)
            raise InputError(f"{name} is no parameter of the {objective} objective but of {owners}: name that one")
    if scheme.n_modalities != h.n_modalities:
        raise InputError(
            f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the entropies over {h.n_modalities}"
        )
    _check_scheme(scheme, objective)
    return chosen.ceiling(h, scheme, {**chosen.parameters, **given})


def _check_scheme(scheme: SubsetScheme, objective: str) -> None:
    if objective == "sub-sampled" and scheme.objective != "sub-sampled":
        raise ObjectiveError(
            f"scheme {scheme.label} is a mixture over subsets: its objective is 'own-density' or another mixture "
            "objective; for MVAE's sum of ELBOs use bounds.mvae_subsampled(M, k)"
        )
    if scheme.objective == "sub-sampled" and objective != "sub-sampled":
        raise ObjectiveError(
            f"scheme {scheme.label} is a sum of ELBOs on the subsets' own modalities, so T2 does not bound it: "
            "ask for objective='sub-sampled' (T10.2)"
        )


def _own_density(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T2: ``-sum_A w_A [H(X_A) + sum_{m not in A} H(X_m|X_A)]``, which is ``-H(X) - TCw`` without ``H(X)`` itself."""
    return Ceiling(-seen_entropies(h, scheme) - unseen_entropies(h, scheme), "T2")


def _mixture_density(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T5: ``-H(X) - [TCw - H(w)]_+``, the lower of two ceilings. A single subset's mixture is its own density (T2)."""
    raised = Ceiling(_own_density(h, scheme, {}).functional, "T5", scheme.entropy)
    choice = Choice(Fraction(1), (Ceiling(-joint_entropy(h), "T5"), raised))
    return _sum_of_lowest(h, [choice]) if len(scheme.weights) > 1 else _own_or_lowest(h, raised, [choice])


def _iwae(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T5: for each subset the lower of ``-H(X)`` and ``-H(X) - TC_A + (|R| - 1) ln K``. One sample makes it T2."""
    k = _samples(given)
    top = Ceiling(-joint_entropy(h), "T5")
    choices = []
    for subset, weight in scheme:
        alone = SubsetScheme({subset: 1}, scheme.n_modalities, allow_empty=True)
        unseen = Terms(h, alone).unseen(subset)
        credit = (len(unseen) - 1) * math.log(k) if unseen else 0.0
        lowered = Ceiling(top.functional - total_correlation(h, alone), "T5", credit)
        choices.append(Choice(weight, (top, lowered)))
    return _sum_of_lowest(h, choices) if k > 1 else _own_or_lowest(h, _own_density(h, scheme, {}), choices)


def _iwae_mixture(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T5: ``-H(X)`` and nothing more, except for one sample."""
    return _mixture_density(h, scheme, {}) if _samples(given) == 1 else Ceiling(-joint_entropy(h), "T5")


def _beta(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T10.1: the T2 ceiling for ``beta >= 1``, since a KL is not negative."""
    if _multiplier(given) >= 1:
        return Ceiling(_own_density(h, scheme, {}).functional, "T10.1", also=("T2",))
    return _rescaled(h, scheme, {**given, "scales": {}})


def _rescaled(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T10.1: ``-sum_A w_A [min(beta, min_{m in A} s_m) H(X_A) + sum_{m not in A} s_m H(X_m|X_A)]`` for discrete data.

    On continuous data there is one scale ``s <= beta`` for all units: then it is ``s`` times ``beta`` of at least 1.
    """
    beta, scale = _multiplier(given), _unit_scales(h, given["scales"] or {})
    also = ("T2",) if beta >= 1 and set(scale) == {1} else ()
    if h.kind != "discrete":
        if beta < min(scale) or len(set(scale)) > 1:
            raise ObjectiveError(
                "on continuous data no ceiling holds for beta < 1 or likelihoods rescaled by different factors, or by "
                "more than beta (T10.1: with learned variances there is none): evaluate the model with beta=1 and "
                "unscaled likelihoods and use 'own-density' (T2)"
            )
        return Ceiling(scale[0] * _own_density(h, scheme, {}).functional, "T10.1", also=also)
    terms = Terms(h, scheme)
    for subset, weight in scheme:
        known = terms.seen(subset)
        seen = min([beta, *(scale[unit] for unit in members(known))])
        terms.add(known, -weight * seen)
        for unit in terms.unseen(subset):
            terms.add(known | 1 << unit, -weight * scale[unit])
            terms.add(known, weight * scale[unit])
    return Ceiling(terms.functional(), "T10.1", also=also)


def _sub_sampled(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T10.2: ``-sum_A c_A H(X_A)``."""
    return Ceiling(-seen_entropies(h, scheme), "T10.2")


def _private_own(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T10.3: T2 with the total correlation between modalities, whatever the level of ``h``."""
    coarse = _own_density(h.at_modality_level(), scheme, {}).functional
    lifted = {h.units_of(mask): c for mask, c in coarse.coefficients.items()}
    return Ceiling(Functional(h.names, lifted), "T10.3")


def _private_auxiliary(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T10.3: T2 at the level of the units, plus ``H(w)`` if the shared KL has the mixture's density."""
    if given["shared_kl"] not in ("own", "mixture"):
        raise InputError(f"shared_kl={given['shared_kl']!r}: use 'own' or 'mixture'")
    if any(subset.bit_count() != 1 for subset in scheme.weights):
        raise ObjectiveError("the MMVAE+ ceiling is known for single encoded modalities: use bounds.mmvae(M)")
    constant = scheme.entropy if given["shared_kl"] == "mixture" else 0.0
    return Ceiling(_own_density(h, scheme, {}).functional, "T10.3", constant)


def _mvtcae(h: EntropyVector, scheme: SubsetScheme, given: Mapping[str, Any]) -> Ceiling:
    """T10.4: ``TC(X) - (V - alpha)/V sum_v H(X_v)``, over modalities, discrete only."""
    if h.kind != "discrete":
        raise ObjectiveError("MVTCAE's ceiling is proved for discrete data only (T10.4)")
    alpha = given["alpha"]
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha}: give a number in [0, 1]")
    count = h.n_modalities
    if set(scheme.weights) != {(1 << count) - 1}:
        raise ObjectiveError("MVTCAE encodes all modalities: use bounds.full(M)")
    marginals = sum((Functional(h.names, {h.units_of(1 << m): 1}) for m in range(count)), Functional(h.names, {}))
    return Ceiling(Fraction(str(alpha)) / count * marginals - joint_entropy(h), "T10.4")


def _samples(given: Mapping[str, Any]) -> int:
    k = given["k"]
    if not isinstance(k, Integral) or k < 1:
        raise InputError(f"k={k}: give a whole number of at least 1")
    return int(k)


def _multiplier(given: Mapping[str, Any]) -> Fraction:
    beta = given["beta"]
    if not math.isfinite(beta) or beta < 0:
        raise InputError(f"beta={beta}: give a finite number of at least 0")
    return Fraction(str(beta))


def _unit_scales(h: EntropyVector, scales: Mapping[str, float]) -> list[Fraction]:
    """For each unit the multiplier of its log-likelihood: by its own name, or by its modality's, or 1."""
    for name, value in scales.items():
        if name not in h.names and name not in h.modality_names:
            raise InputError(f"scales: unknown modality or unit {name!r}")
        if not math.isfinite(value) or value <= 0:
            raise InputError(f"scale {value} of {name!r}: give a positive finite number")
    found = [Fraction(1)] * h.n_units
    for m, name in enumerate(h.modality_names):
        for unit in members(h.modality_units[m]):
            found[unit] = Fraction(str(scales.get(h.names[unit], scales.get(name, 1))))
    return found


def _sum_of_lowest(h: EntropyVector, choices: Sequence[Choice]) -> Ceiling:
    """The sum of the lowest ceilings at the values of ``h``, which remembers the others."""
    chosen = [(choice.weight, _lowest(h, *choice.among)) for choice in choices]
    total: dict[int, Fraction] = {}
    for weight, one in chosen:
        for mask, c in one.functional.coefficients.items():
            total[mask] = total.get(mask, Fraction(0)) + weight * c
    constant = math.fsum(float(weight) * one.constant for weight, one in chosen)
    return Ceiling(Functional(h.names, total), "T5", constant, choices=tuple(choices))


def _own_or_lowest(h: EntropyVector, own: Ceiling, choices: Sequence[Choice]) -> Ceiling:
    """The own-density ceiling, which is never above the others, or where it has no value what has one."""
    if isinstance(h.value(own.functional), str):
        return replace(_sum_of_lowest(h, choices), also=("T2",))
    return Ceiling(own.functional, "T5", also=("T2",))


def _lowest(h: EntropyVector, *ceilings: Ceiling) -> Ceiling:
    """The lowest of several ceilings that all hold, at the values of ``h``; one without a value loses."""

    def height(ceiling: Ceiling) -> float:
        value = h.value(ceiling.functional)
        return math.inf if isinstance(value, str) else value + ceiling.constant

    return min(ceilings, key=height)


#: By the name that ``elbo_ceiling`` takes.
OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "own-density": Objective("K=1 ELBO, each subset's encoder with its own density in the KL", _own_density),
        "mixture-density": Objective(
            "K=1 ELBO with the density of the mixture of encoders in the KL", _mixture_density
        ),
        "iwae": Objective(
            "importance-weighted bound with k samples, each encoder's own density in the denominator", _iwae, {"k": 1}
        ),
        "iwae-mixture": Objective(
            "importance-weighted bound with k samples, the mixture's density in the denominator (MMVAE's DReG)",
            _iwae_mixture,
            {"k": 1},
        ),
        "beta": Objective("K=1 own-density ELBO with the KL multiplied by beta", _beta, {"beta": 1.0}),
        "rescaled": Objective(
            "K=1 own-density objective with each unit's log-likelihood multiplied by a scale, and the KL by beta",
            _rescaled,
            {"beta": 1.0, "scales": None},
        ),
        "sub-sampled": Objective(
            "a sum of ELBOs, each of a subset's own modalities (MVAE's training objective)", _sub_sampled
        ),
        "private-own": Objective(
            "own-density ELBO, private latents encoded from their own modality everywhere (DMVAE-like)", _private_own
        ),
        "private-auxiliary": Objective(
            "own-density ELBO, private latents of unseen modalities drawn from auxiliary priors (MMVAE+)",
            _private_auxiliary,
            {"shared_kl": "own"},
        ),
        "mvtcae": Objective(
            "MVTCAE's total-correlation objective, which is not a bound on log p(x)",
            _mvtcae,
            {"alpha": 0.5},
            ("not a bound on log p(x)",),
        ),
    }
)
