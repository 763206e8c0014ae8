"""A model's reported terms against every bound that applies to them.

An audit can only find that a model is above what is possible: then the terms are not what they are said to be, or the
examples are not from the reference. A fault in a model far below its ceiling goes unseen, and ``consistent`` does not
mean right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from bounds.audit_result import Audit
from bounds.checks import ROUNDING, Check, Verdict, judged
from bounds.claims import Claim, claims_of, objective_of, rare_events, sees, weights_of
from bounds.density_audit import DensityModel, against_density
from bounds.diagnosis import Facts, likely_causes
from bounds.entropies import EntropyVector
from bounds.errors import InputError, ObjectiveError
from bounds.estimators import estimate
from bounds.evaluation import Evaluation
from bounds.formulas import joint_entropy
from bounds.irreducible import IrreducibleError
from bounds.joints import Discrete, Law
from bounds.likelihoods import LikelihoodCeiling, likelihood_ceiling
from bounds.objectives import OBJECTIVES
from bounds.optimum import OptimalElbo
from bounds.reported_terms import ExampleTerms, MeanTerms
from bounds.samples import Samples
from bounds.subsets import members

#: Probability of any violation in the audit of a right model.
FALSE_ALARMS = 1e-4
#: One minus a check's share of less could not be told from one.
LEAST_FALSE_ALARMS = 1e-9
#: Excess in nats that an audit must be able to see, or it is undecided.
SIZE = 0.1
_MEANS = (
    "only means are known: their standard errors add up as if all terms moved together, and no correction for a long "
    "lower tail can be made, without which false alarms may be more frequent; give the terms of each example"
)


#: What a model can be audited against.
Reference = Law | Samples | EntropyVector | IrreducibleError | DensityModel | Mapping[str, np.ndarray]


def audit(
    evaluation: Evaluation,
    reference: Reference,
    *,
    objective: str | None = None,
    theorem: str | None = None,
    level: Literal["modalities", "units"] | None = None,
    optimum: OptimalElbo | None = None,
    false_alarms: float = FALSE_ALARMS,
    size: float = SIZE,
) -> Audit:
    """Whether a model's reported terms are possible, and if not, what is likely wrong with them.

    Checks, each an inequality that every model satisfies: the objective against its ceiling (T2, T5, T10), the same for
    each subset, what a subset says of itself against ``-H(X_A)`` (T10.2), each unseen column against ``-H(X_m|X_A)``
    (T1), sampled KLs against zero, probabilities against one, the decoder family's ceiling (T7), a certified optimum
    (T4).

    Args:
        evaluation: the model's terms on held-out examples.
        reference: the law of the examples, a dataset from it, entropies with intervals, or a :class:`DensityModel`.
        objective: what the caller takes the evaluation for; an error if it is another one.
        theorem: insist on a theorem for the objective's ceiling.
        level: ``"units"`` if the decoder factorises over the reference's units although the log-likelihoods are of
            modalities. By default what the log-likelihoods are of.
        optimum: the certified optimum of the reference, a lower ceiling.
        false_alarms: probability that the audit of a right model finds a violation, over all checks together. Half of
            each check's share goes to an estimated ceiling.
        size: excess in nats that must be detectable with probability 0.9; otherwise a check is ``undecided``.

    Raises:
        ObjectiveError: another objective or theorem than the one that bounds the evaluation; the message names it.
        InputError: modalities, columns or kinds that do not match, or options out of range.

    >>> from bounds import Discrete, full
    >>> coin = Discrete([0.5, 0.5])
    >>> right = Evaluation.from_examples(full(1), {1: np.full((9000, 1), -0.7)}, {1: np.zeros(9000)}, kind="discrete")
    >>> audit(right, coin).verdict
    'consistent'
    >>> wrong = Evaluation.from_examples(full(1), {1: np.full((9000, 1), -0.5)}, {1: np.zeros(9000)}, kind="discrete")
    >>> audit(wrong, coin).verdict
    'violated'
    """
    if not LEAST_FALSE_ALARMS <= false_alarms < 0.5:
        raise InputError(
            f"false_alarms={false_alarms}: give a probability from {LEAST_FALSE_ALARMS:g} to 0.5, such as 1e-4"
        )
    if not (size > 0 and math.isfinite(size)):
        raise InputError(f"size={size}: give a positive number of nats")
    if objective not in (None, evaluation.objective):
        raise ObjectiveError(_other_objective(evaluation, str(objective)))
    if isinstance(reference, DensityModel):
        for name, given in (("theorem", theorem), ("level", level), ("optimum", optimum)):
            if given is not None:
                raise InputError(f"{name} is for a reference with entropies: leave it out beside a density model")
        return against_density(evaluation, reference, false_alarms, size)
    h, family, sizes, alphabets = _understood(evaluation, reference, level)
    claims: list[Claim] = []
    if _comparable(evaluation, h, family):
        claims = claims_of(evaluation, h, theorem=theorem, optimum=optimum, alphabets=alphabets)
    elif theorem is not None or optimum is not None:
        raise ObjectiveError(
            "the likelihoods are no probabilities or densities of the reference, so that only their own ceiling (T7) "
            "holds: leave theorem and optimum out"
        )
    if family is not None:
        claims.append(_family_claim(evaluation, h, family, alphabets))
    return judge(evaluation, claims, h, false_alarms, size, sizes)


def _other_objective(evaluation: Evaluation, asked: str) -> str:
    if asked not in OBJECTIVES:
        return f"unknown objective {asked!r}: use one of {', '.join(OBJECTIVES)}"
    meaning = OBJECTIVES[evaluation.objective].meaning
    return (
        f"the evaluation is of the {evaluation.objective} objective ({meaning}), which the ceiling of {asked} does not "
        f"bound: audit with objective={evaluation.objective!r}"
        + ("" if asked != "own-density" else ", or evaluate with K=1 and each encoder's own density for T2")
    )


def judge(
    evaluation: Evaluation,
    claims: Sequence[Claim],
    h: EntropyVector,
    false_alarms: float = FALSE_ALARMS,
    size: float = SIZE,
    sizes: Mapping[str, int] | None = None,
) -> Audit:
    """The verdicts on claims, with the false alarms shared among them; ``sizes``: columns of several variables."""
    checks = _impossible_probabilities(evaluation)
    each = false_alarms / max(1, len(claims))
    notes: dict[str, None] = {}
    if isinstance(evaluation.terms, MeanTerms):
        notes[_MEANS] = None
    for claim in claims:
        ceiling = claim.ceiling(1 - each / 2)
        known = ceiling.guarantee in ("exact", "none")
        if not known:
            notes[f"estimated ceilings: {ceiling.guarantee} ({ceiling.method})"] = None
        check = judged(
            evaluation.terms.mean(claim.of),
            ceiling,
            name=claim.name,
            kind=claim.kind,
            n=evaluation.n,
            level=each if known else each / 2,
            size=size,
            subset=claim.subset,
            column=claim.column,
            unseen=partial(claim.rare.allowance, ceiling=ceiling.high if ceiling.high is not None else 0.0),
        )
        checks.append(replace(check, false_alarms=each))  # the ceiling's share with the mean's
    causes = likely_causes(_facts(evaluation, h, checks, sizes or {})) if _overall(checks) == "violated" else ()
    return Audit(
        _overall(checks),
        tuple(checks),
        causes,
        false_alarms,
        size,
        evaluation.n,
        evaluation.objective,
        evaluation.scheme,
        notes=tuple(notes),
    )


def _overall(checks: Sequence[Check]) -> Verdict:
    found = {check.verdict for check in checks}
    return "violated" if "violated" in found else "undecided" if "undecided" in found else "consistent"


# What is compared with what.


def _understood(
    evaluation: Evaluation, reference: Any, level: str | None
) -> tuple[EntropyVector, Callable[[float], LikelihoodCeiling] | None, Mapping[str, int], Mapping[str, int]]:
    """Entropies at the level of the decoder, the family's ceiling if one is asked for, and of each column the number of
    its variables and, where it is finite and known, that of its values.
    """
    if isinstance(reference, Mapping):
        reference = Samples.from_arrays(reference)
    if isinstance(reference, IrreducibleError):
        reference = reference.entropies
    if isinstance(reference, EntropyVector):
        h = reference
    elif isinstance(reference, Samples):
        h = estimate(reference).entropies
    elif isinstance(reference, Law):
        finer = len(reference.layout.unit_names) > len(reference.names)
        h = reference.unit_entropies() if finer else reference.entropy_vector()
    else:
        raise InputError(
            f"{type(reference).__name__} is no reference: give a law, a dataset, entropies or DensityModel"
        )
    family = None
    likelihood = evaluation.likelihood
    if likelihood is not None:
        if isinstance(reference, EntropyVector):
            raise InputError("a likelihood's ceiling (T7) needs a law or a dataset, and not entropies alone")
        if evaluation.objective != "own-density":
            raise ObjectiveError(
                f"the ceiling of a likelihood (T7) is for the own-density objective, not for {evaluation.objective}: "
                "leave the likelihood out, or evaluate with K=1 and each encoder's own density"
            )

        def family(confidence: float) -> LikelihoodCeiling:
            return likelihood_ceiling(reference, evaluation.scheme, likelihood, confidence=confidence)

    if evaluation.modalities != h.modality_names:
        raise InputError(
            f"the evaluation is of the modalities {', '.join(evaluation.modalities)}, the reference of "
            f"{', '.join(h.modality_names)}: name them alike, in one order"
        )
    sizes: dict[str, int] = {}
    if not isinstance(reference, EntropyVector):
        layout = reference.layout
        sizes = dict(zip(layout.unit_names, layout.unit_sizes, strict=True)) | dict(
            zip(layout.names, layout.sizes, strict=True)
        )
    return _at_level(evaluation, h, level), family, sizes, alphabets_of(reference)


def alphabets_of(reference: Any) -> dict[str, int]:
    """Numbers of values by unit and modality; none for densities, or where only entropies are known."""
    if isinstance(reference, Discrete):
        of_units: Sequence[int] = reference.unit_alphabets
    elif isinstance(reference, Samples) and all(reference.alphabets):
        of_units = reference.alphabets
    else:
        return {}
    layout = reference.layout
    of_modalities = [math.prod(of_units[u] for u in members(units)) for units in layout.modality_units]
    return dict(zip(layout.unit_names, of_units, strict=True)) | dict(zip(layout.names, of_modalities, strict=True))


def _at_level(evaluation: Evaluation, h: EntropyVector, level: str | None) -> EntropyVector:
    if level not in (None, "modalities", "units"):
        raise InputError(f"level={level!r}: use 'modalities' or 'units'")
    columns = set(evaluation.columns)
    if not columns <= set(h.names) | set(h.modality_names) or not (
        columns == set(h.names) or columns == set(h.modality_names)
    ):
        raise InputError(
            f"log-likelihoods are of {', '.join(evaluation.columns)}, the reference has the units "
            f"{', '.join(h.names)} in the modalities {', '.join(h.modality_names)}: give those of all units or of all "
            "modalities"
        )
    if columns == set(h.names):
        return h
    return h if level == "units" else h.at_modality_level()


def _comparable(evaluation: Evaluation, h: EntropyVector, family: Callable[[float], LikelihoodCeiling] | None) -> bool:
    """Whether the likelihoods are probabilities or densities of the reference's kind, so that entropies bound them."""
    if family is not None and "bernoulli" in str(evaluation.likelihood).lower():
        return bool(family(0.95).form == "T2")  # on grey values it is no density, and T7 alone holds
    if evaluation.kind == h.kind:
        return True
    if family is not None:
        return False
    mine = "densities" if evaluation.kind == "differential" else "probabilities"
    theirs = "densities" if h.kind == "differential" else "probabilities"
    raise InputError(
        f"the evaluation's likelihoods are {mine}, the reference is of {theirs}: quantise the data and state the width "
        "of the bins, take a reference of the same kind, or name the likelihood (T7)"
    )


def _family_claim(
    evaluation: Evaluation, h: EntropyVector, family: Callable[[float], LikelihoodCeiling], alphabets: Mapping[str, int]
) -> Claim:
    return Claim(
        f"L <= the ceiling of {evaluation.likelihood}",
        "likelihood",
        lambda: objective_of(evaluation, weights_of(evaluation), h),
        lambda confidence: family(confidence).ceiling,
        rare=rare_events(evaluation, h, evaluation.scheme, alphabets),
    )


def _impossible_probabilities(evaluation: Evaluation) -> list[Check]:
    """Probabilities above one, which no number of examples makes likelier."""
    terms = evaluation.terms
    if evaluation.kind != "discrete" or terms.log_likelihood is None:
        return []
    table = terms.log_likelihood if isinstance(terms, ExampleTerms) else terms.log_likelihood[..., 0]
    highest = float(table.max())
    scale = ROUNDING * max(1.0, float(np.abs(table).max()))
    above = highest > scale
    reason = f"a probability is exp({highest:.4g})" if above else "no probability is above one"
    return [
        Check(
            name="ln p(x|z) <= 0 for each example",
            theorem="T1",
            kind="probability",
            subset=None,
            column=None,
            value=highest,
            ceiling=0.0,
            margin=highest,
            standard_error=0.0,
            allowance=scale,
            detectable=scale,
            false_alarms=0.0,
            verdict="violated" if above else "consistent",
            reason=reason,
        )
    ]


def _facts(evaluation: Evaluation, h: EntropyVector, checks: Sequence[Check], sizes: Mapping[str, int]) -> Facts:
    """What a diagnosis looks at."""
    terms = evaluation.terms
    kls: dict[int, float] = {}
    unseen: dict[tuple[int, str], float] = {}
    seen: dict[str, float] = {}
    if terms.has_parts:
        likelihood = terms.log_likelihood
        kl = terms.kl
        assert likelihood is not None
        assert kl is not None
        examples = isinstance(terms, ExampleTerms)
        fits = likelihood.mean(axis=1) if examples else likelihood[..., 0]
        costs = kl.mean(axis=1) if examples else kl[:, 0]
        for s, subset in enumerate(evaluation.subsets):
            kls[subset] = float(costs[s])
            for c, known in enumerate(sees(evaluation, h, subset)):
                column, value = evaluation.columns[c], float(fits[s, c])
                if known:
                    seen[column] = max(seen.get(column, -math.inf), value)
                else:
                    unseen[subset, column] = value
    whole = h.value(joint_entropy(h))
    objective = terms.mean(objective_of(evaluation, weights_of(evaluation), h)).value
    return Facts(
        checks=checks,
        kind=evaluation.kind,
        weights={subset: float(weight) for subset, weight in evaluation.scheme},
        kls=kls,
        sizes={column: sizes.get(column, 1) for column in evaluation.columns},
        unseen=unseen,
        seen=seen,
        entropy=None if isinstance(whole, str) else whole,
        objective=objective,
        name=evaluation.objective,
    )
