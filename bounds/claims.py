"""Which bounds hold for the terms of an evaluation: each a combination of terms and its ceiling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from bounds.ceilings import elbo_ceiling
from bounds.checks import Kind
from bounds.entropies import EntropyVector
from bounds.errors import InputError, ObjectiveError
from bounds.evaluation import Combination, Evaluation
from bounds.formulas import seen_entropies
from bounds.functional import Functional
from bounds.optimum import OptimalElbo
from bounds.quantity import Quantity
from bounds.schemes import SubsetScheme
from bounds.subsets import members

#: Objectives whose KL terms are those of each encoder's own density on all latents, so that T2 holds of their parts.
_OWN = ("own-density", "beta", "rescaled", "sub-sampled")
#: Objectives with a ceiling for each subset.
_SUBSETWISE = (*_OWN, "iwae", "private-own", "private-auxiliary")
#: Objectives whose unseen columns are decoded from what the encoded subset alone tells.
_BLIND = ("own-density", "beta", "rescaled", "mixture-density", "private-auxiliary")


@dataclass(frozen=True, eq=False)
class Claim:
    """A bound to be checked: a combination of the terms, and its ceiling at a confidence."""

    name: str
    kind: Kind
    of: Combination
    ceiling: Callable[[float], Quantity]
    subset: int | None = None
    column: str | None = None


def claims_of(
    evaluation: Evaluation, h: EntropyVector, *, theorem: str | None = None, optimum: OptimalElbo | None = None
) -> list[Claim]:
    """Every bound that entropies at the level of the decoder give for the terms that are there.

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
        Claim(f"{name} of {scheme.label}", "objective", objective_of(evaluation, weights_of(evaluation)), whole(scheme))
    ]
    if optimum is not None:
        claims.append(_optimum_claim(evaluation, optimum))
    parts = evaluation.terms.has_parts
    private_mixture = name == "private-auxiliary" and evaluation.parameters.get("shared_kl") == "mixture"
    for s, subset in enumerate(evaluation.subsets):
        alone = _alone(scheme, subset)
        shown = evaluation.shown(subset)
        if len(evaluation.subsets) > 1 and name in _SUBSETWISE and not private_mixture:
            of = objective_of(evaluation, np.eye(len(evaluation.subsets))[s])
            claims.append(Claim(f"{name} of {shown}", "subset", of, whole(alone), subset))
        if parts and name in _OWN:
            claims += _seen_claims(evaluation, h, s, subset, alone)
        if parts and name in _BLIND:
            claims += _unseen_claims(evaluation, h, s, subset)
    return claims


def _seen_claims(evaluation: Evaluation, h: EntropyVector, s: int, subset: int, alone: SubsetScheme) -> list[Claim]:
    """What a subset says of itself, and the sign of its KL where that is estimated."""
    shown = evaluation.shown(subset)
    zero = _nothing(evaluation)
    claims = []
    if evaluation.sampled_kl:
        kl = zero.kl.copy()
        kl[s] = -1
        nothing = Functional(h.names, {})
        claims.append(
            Claim(
                f"-KL of {shown} <= 0",
                "kl",
                replace(zero, kl=kl),
                lambda p: h.evaluate(nothing, name="0", theorem="T2", confidence=p),
                subset,
            )
        )
    if subset and evaluation.objective != "sub-sampled":  # which has these already
        seen = sees(evaluation, h, subset)
        likelihood, kl = zero.log_likelihood.copy(), zero.kl.copy()
        likelihood[s, seen], kl[s] = 1, -1
        own = -seen_entropies(h, alone)
        claims.append(
            Claim(
                f"ELBO of {shown} on itself <= -H({shown})",
                "seen",
                replace(zero, log_likelihood=likelihood, kl=kl),
                lambda p: h.evaluate(own, name=f"-H({shown})", theorem="T10.2", confidence=p),
                subset,
            )
        )
    return claims


def _unseen_claims(evaluation: Evaluation, h: EntropyVector, s: int, subset: int) -> list[Claim]:
    """Each unseen column by itself."""
    claims = []
    known = h.units_of(subset)
    for c in np.flatnonzero(~sees(evaluation, h, subset)):
        column = evaluation.columns[c]
        likelihood = np.zeros_like(_nothing(evaluation).log_likelihood)
        likelihood[s, c] = 1
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
                replace(_nothing(evaluation), log_likelihood=likelihood),
                ceiling,
                subset,
                column,
            )
        )
    return claims


def _optimum_claim(evaluation: Evaluation, optimum: OptimalElbo) -> Claim:
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
    top = Quantity("certified optimum", optimum.high, theorem="T4")
    of = objective_of(evaluation, weights_of(evaluation))
    return Claim(f"{evaluation.objective} <= the certified optimum", "optimum", of, lambda p: top)


def _alone(scheme: SubsetScheme, subset: int) -> SubsetScheme:
    return SubsetScheme({subset: 1}, scheme.n_modalities, objective=scheme.objective, allow_empty=True)


def weights_of(evaluation: Evaluation) -> np.ndarray:
    """``(S,)``: the weights of the subsets, in the order of the terms."""
    return np.array([float(weight) for _, weight in evaluation.scheme])


def _nothing(evaluation: Evaluation) -> Combination:
    subsets, columns = len(evaluation.subsets), len(evaluation.columns)
    return Combination(np.zeros((subsets, columns)), np.zeros(subsets), np.zeros(subsets))


def _units(evaluation: Evaluation, h: EntropyVector) -> list[int]:
    """For each column the bitmask of the variables of ``h`` in it."""
    if set(evaluation.columns) == set(h.names):
        return [1 << h.names.index(column) for column in evaluation.columns]
    return [h.modality_units[h.modality_names.index(column)] for column in evaluation.columns]


def sees(evaluation: Evaluation, h: EntropyVector, subset: int) -> np.ndarray:
    """Which columns a subset sees."""
    known = h.units_of(subset)
    return np.array([not units & ~known for units in _units(evaluation, h)])


def objective_of(evaluation: Evaluation, weights: np.ndarray) -> Combination:
    """The objective of the evaluation as a combination of its terms.

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
    of = _modality_of(evaluation)
    factors = np.array([float(scales.get(c, scales.get(of.get(c, c), 1.0))) for c in evaluation.columns])
    likelihood = np.outer(weights, factors)
    if name == "sub-sampled":
        for s, subset in enumerate(evaluation.subsets):
            seen = {evaluation.modalities[m] for m in members(subset)}
            likelihood[s] *= [of.get(column, column) in seen for column in evaluation.columns]
    beta = float(given.get("beta", 1.0)) if name in ("beta", "rescaled") else 1.0
    return replace(nothing, log_likelihood=likelihood, kl=-beta * weights)


def _modality_of(evaluation: Evaluation) -> dict[str, str]:
    """Column to the modality it is of, where its name says so: ``image[3]`` is of ``image``."""
    return {
        column: next((m for m in evaluation.modalities if column == m or column.startswith(f"{m}[")), column)
        for column in evaluation.columns
    }
