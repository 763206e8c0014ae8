"""Which bounds hold for the terms of an evaluation: each a combination of terms and its ceiling."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from types import MappingProxyType

import numpy as np

from bounds.ceilings import elbo_ceiling
from bounds.checks import Kind
from bounds.entropies import EntropyVector
from bounds.errors import InputError, ObjectiveError
from bounds.evaluation import Evaluation
from bounds.formulas import joint_entropy, seen_entropies, total_correlation
from bounds.functional import Functional
from bounds.optimum import OptimalElbo
from bounds.quantity import Quantity
from bounds.rare_events import RareEvents
from bounds.reported_terms import Combination
from bounds.schemes import SubsetScheme
from bounds.subsets import mask_of, members

#: By how much the entropies of one law may differ, relative to them, by rounding.
SAME_LAW = 1e-9
#: Objectives whose KL terms are those of each encoder's own density on all latents, so that T2 holds of their parts.
_OWN = ("own-density", "beta", "rescaled", "sub-sampled")
#: Objectives with a ceiling for each subset.
_SUBSETWISE = (*_OWN, "iwae", "private-own", "private-auxiliary")
#: Objectives whose unseen columns are decoded from what the encoded subset alone tells.
_BLIND = ("own-density", "beta", "rescaled", "mixture-density", "private-auxiliary")


@dataclass(frozen=True, eq=False)
class Claim:
    """A bound to be checked: a combination of the terms, and its ceiling at a confidence.

    Both are made when they are asked for: of many units there are many claims, and each combination has a coefficient
    for every one of them.
    """

    name: str
    kind: Kind
    combined: Callable[[], Combination]
    ceiling: Callable[[float], Quantity]
    subset: int | None = None
    column: str | None = None
    rare: RareEvents = field(default_factory=RareEvents)

    @property
    def of(self) -> Combination:
        """The combination of the terms."""
        return self.combined()


def claims_of(
    evaluation: Evaluation,
    h: EntropyVector,
    *,
    theorem: str | None = None,
    optimum: OptimalElbo | None = None,
    alphabets: Mapping[str, int] = MappingProxyType({}),
) -> list[Claim]:
    """Every bound that entropies at the level of the decoder give for the terms that are there.

    ``alphabets`` are the numbers of values of the variables of ``h``, where they are known.

    Raises:
        ObjectiveError: no ceiling is known for this objective, or ``theorem`` is not the one.
        InputError: an objective that is no sum of terms, of which terms are given; an optimum of another problem.
    """
    scheme, name = evaluation.scheme, evaluation.objective

    def whole(of: SubsetScheme) -> Callable[[float], Quantity]:
        insisted = theorem if of is scheme else None
        given = dict(evaluation.parameters)
        return lambda p: elbo_ceiling(h, of, name, theorem=insisted, confidence=p, **given)

    whole(scheme)(0.95)  # an objective without a ceiling is refused before any other question
    claims = [
        Claim(
            f"{name} of {scheme.label}",
            "objective",
            lambda: objective_of(evaluation, weights_of(evaluation), h),
            whole(scheme),
            rare=rare_events(evaluation, h, scheme, alphabets),
        )
    ]
    objective_of(evaluation, weights_of(evaluation), h)  # refused now where it is no sum of the terms
    if optimum is not None:
        claims.append(replace(_optimum_claim(evaluation, h, optimum), rare=claims[0].rare))
    parts = evaluation.terms.has_parts
    private_mixture = name == "private-auxiliary" and evaluation.parameters.get("shared_kl") == "mixture"
    for s, subset in enumerate(evaluation.subsets):
        alone = _alone(scheme, subset)
        shown = evaluation.shown(subset)
        if len(evaluation.subsets) > 1 and name in _SUBSETWISE and not private_mixture:
            one = np.eye(len(evaluation.subsets))[s]
            of = partial(objective_of, evaluation, one, h)
            # MVAE's ELBO of a subset is what that says of itself
            kind: Kind = "seen" if name == "sub-sampled" else "subset"
            rare = rare_events(evaluation, h, alone, alphabets)
            claims.append(Claim(f"{name} of {shown}", kind, of, whole(alone), subset, rare=rare))
        if parts and name in _OWN:
            claims += _seen_claims(evaluation, h, s, subset, alone, alphabets)
        if parts and name in _BLIND:
            claims += _unseen_claims(evaluation, h, s, subset, alphabets)
    return claims


def rare_events(
    evaluation: Evaluation, h: EntropyVector, scheme: SubsetScheme, alphabets: Mapping[str, int]
) -> RareEvents:
    """Of the objective: each subset's own units together, and every unseen one."""
    if evaluation.objective == "sub-sampled":
        reach = sum(float(c) * _reach(h, h.units_of(subset), alphabets) for subset, c in scheme)
        return RareEvents(times=float(sum(scheme.weights.values())), reach=reach)
    scales = (evaluation.parameters.get("scales") or {}).values() if evaluation.objective == "rescaled" else ()
    largest = max([1.0, *(float(scale) for scale in scales)])
    further = sum(float(w) * max(0, h.n_units - h.units_of(subset).bit_count() - 1) for subset, w in scheme)
    loss = h.value(total_correlation(h, scheme)) if h.interval is None else ""
    return RareEvents(
        times=largest,
        more_times=largest * further,
        correlation=math.inf if isinstance(loss, str) or not math.isfinite(loss) else largest * loss,
        reach=largest * _reach(h, (1 << h.n_units) - 1, alphabets),
    )


def _reach(h: EntropyVector, units: int, alphabets: Mapping[str, int]) -> float:
    """The logarithm of the number of values of some units, -inf where it is not known."""
    sizes = [alphabets.get(h.names[unit], 0) for unit in members(units)]
    return math.fsum(math.log(size) for size in sizes) if all(sizes) else -math.inf


def _seen_claims(
    evaluation: Evaluation,
    h: EntropyVector,
    s: int,
    subset: int,
    alone: SubsetScheme,
    alphabets: Mapping[str, int],
) -> list[Claim]:
    """What a subset says of itself, and the sign of its KL where that is estimated."""
    shown = evaluation.shown(subset)
    claims = []
    if evaluation.sampled_kl:
        nothing = Functional(h.names, {})
        claims.append(
            Claim(
                f"-KL of {shown} <= 0",
                "kl",
                lambda: _single(evaluation, s, kl=-1),
                lambda p: h.evaluate(nothing, name="0", theorem="T2", confidence=p),
                subset,
            )
        )
    if subset and evaluation.objective != "sub-sampled":  # which has these already
        seen = sees(evaluation, h, subset)
        own = -seen_entropies(h, alone)
        claims.append(
            Claim(
                f"ELBO of {shown} on itself <= -H({shown})",
                "seen",
                lambda: _single(evaluation, s, seen, kl=-1),
                lambda p: h.evaluate(own, name=f"-H({shown})", theorem="T10.2", confidence=p),
                subset,
                rare=RareEvents(reach=_reach(h, h.units_of(subset), alphabets)),
            )
        )
    return claims


def _unseen_claims(
    evaluation: Evaluation, h: EntropyVector, s: int, subset: int, alphabets: Mapping[str, int]
) -> list[Claim]:
    """Each unseen column by itself."""
    claims = []
    known = h.units_of(subset)
    for c in np.flatnonzero(~sees(evaluation, h, subset)):
        column = evaluation.columns[c]
        units = members(_units(evaluation, h)[c])
        terms: dict[int, Fraction] = {known: Fraction(len(units))}
        for unit in units:
            terms[known | 1 << unit] = Fraction(-1)
        floor = Functional(h.names, terms)

        def ceiling(p: float, floor: Functional = floor, column: str = column) -> Quantity:
            label = f"-H({column}|{evaluation.shown(subset)})"
            return h.evaluate(floor, name=label, theorem="T1", confidence=p)

        claims.append(
            Claim(
                f"ln p({column}|z) from {evaluation.shown(subset)} <= -H({column}|{evaluation.shown(subset)})",
                "unseen",
                partial(_single, evaluation, s, int(c)),
                ceiling,
                subset,
                column,
                RareEvents(more_times=len(units) - 1, reach=_reach(h, mask_of(units), alphabets)),
            )
        )
    return claims


def _optimum_claim(evaluation: Evaluation, h: EntropyVector, optimum: OptimalElbo) -> Claim:
    beta = {"own-density": 1.0, "beta": float(evaluation.parameters.get("beta", 1.0))}.get(evaluation.objective)
    if beta is None:
        raise ObjectiveError(
            f"the certified optimum (T4) bounds the own-density objective, not {evaluation.objective}: leave it out"
        )
    if beta != optimum.beta or dict(optimum.scheme.weights) != dict(evaluation.scheme.weights):
        raise InputError(
            f"the optimum is of {optimum.scheme.label} with beta={optimum.beta:g}, the evaluation of "
            f"{evaluation.scheme.label} with beta={beta:g}: certify the evaluation's own"
        )
    entropy = h.value(joint_entropy(h))
    same = not isinstance(entropy, str) and abs(entropy - optimum.entropy) <= SAME_LAW * max(1.0, abs(entropy))
    if h.interval is not None or not same or optimum.names != h.modality_names:
        raise InputError("the optimum is of another law than the reference: certify the law that the examples are from")
    if len(optimum.model.decoders) != h.n_units:
        raise InputError(
            f"the optimum is of decoders that factorise over {len(optimum.model.decoders)} units, the evaluation of "
            f"{h.n_units}: give log-likelihoods of those units, or level='units' if the decoder factorises over them"
        )
    top = Quantity("certified optimum", optimum.high, theorem="T4")
    of = partial(objective_of, evaluation, weights_of(evaluation), h)
    return Claim(f"{evaluation.objective} <= the certified optimum", "optimum", of, lambda p: top)


def _alone(scheme: SubsetScheme, subset: int) -> SubsetScheme:
    return SubsetScheme({subset: 1}, scheme.n_modalities, objective=scheme.objective, allow_empty=True)


def weights_of(evaluation: Evaluation) -> np.ndarray:
    """``(S,)``: the weights of the subsets, in the order of the terms."""
    return np.array([float(weight) for _, weight in evaluation.scheme])


def _nothing(evaluation: Evaluation) -> Combination:
    subsets, columns = len(evaluation.subsets), len(evaluation.columns)
    return Combination(np.zeros((subsets, columns)), np.zeros(subsets), np.zeros(subsets))


def _single(evaluation: Evaluation, s: int, columns: np.ndarray | int | None = None, kl: float = 0.0) -> Combination:
    """Some log-likelihoods of one subset, and a multiple of its KL."""
    found = _nothing(evaluation)
    if columns is not None:
        found.log_likelihood[s, columns] = 1
    found.kl[s] = kl
    return found


def _units(evaluation: Evaluation, h: EntropyVector) -> list[int]:
    """For each column the bitmask of the variables of ``h`` in it."""
    if set(evaluation.columns) == set(h.names):
        return [1 << h.names.index(column) for column in evaluation.columns]
    return [h.modality_units[h.modality_names.index(column)] for column in evaluation.columns]


def sees(evaluation: Evaluation, h: EntropyVector, subset: int) -> np.ndarray:
    """Which columns a subset sees."""
    known = h.units_of(subset)
    return np.array([not units & ~known for units in _units(evaluation, h)])


def objective_of(evaluation: Evaluation, weights: np.ndarray, h: EntropyVector | None = None) -> Combination:
    """The objective of the evaluation as a combination of its terms.

    Without ``h``, which tells units from modalities, log-likelihoods must be of modalities where that matters.

    Raises:
        InputError: terms of an objective that is no sum of them, a whole objective of unknown scale.
    """
    nothing = _nothing(evaluation)
    if not evaluation.terms.has_parts:
        return replace(nothing, value=weights)
    name, given = evaluation.objective, evaluation.parameters
    if name == "mvtcae" or (name in ("iwae", "iwae-mixture") and given.get("k", 1) != 1):
        raise InputError(f"the {name} objective is no sum of log-likelihoods and KLs: give its value for each subset")
    scales = (given.get("scales") or {}) if name == "rescaled" else {}
    factors = np.ones(len(evaluation.columns))
    if scales:
        of = _modality_of(evaluation, h)
        factors = np.array([float(scales.get(c, scales.get(of[c], 1.0))) for c in evaluation.columns])
    likelihood = np.outer(weights, factors)
    if name == "sub-sampled":
        of = _modality_of(evaluation, h)
        for s, subset in enumerate(evaluation.subsets):
            seen = {evaluation.modalities[m] for m in members(subset)}
            likelihood[s] *= [of[column] in seen for column in evaluation.columns]
    beta = float(given.get("beta", 1.0)) if name in ("beta", "rescaled") else 1.0
    return replace(nothing, log_likelihood=likelihood, kl=-beta * weights)


def _modality_of(evaluation: Evaluation, h: EntropyVector | None) -> dict[str, str]:
    """Column to the modality it is of."""
    if set(evaluation.columns) <= set(evaluation.modalities):
        return {column: column for column in evaluation.columns}
    if h is None:
        raise InputError("log-likelihoods of units do not say of which modality they are: give those of modalities")
    modalities = list(zip(h.modality_names, h.modality_units, strict=True))
    return {
        column: next(name for name, theirs in modalities if units & theirs)
        for column, units in zip(evaluation.columns, _units(evaluation, h), strict=True)
    }
