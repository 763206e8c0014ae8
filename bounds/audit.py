"""A model's reported terms against every bound that applies to them.

An audit can only find that a model is above what is possible: then the terms are not what they are said to be, or the
examples are not from the reference. A fault in a model far below its ceiling goes unseen, and ``consistent`` does not
mean right.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bounds.checks import ROUNDING, Check, Verdict, judged
from bounds.claims import Claim, claims_of, objective_of, sees, weights_of
from bounds.diagnosis import Cause, Facts, likely_causes
from bounds.entropies import EntropyVector
from bounds.errors import InputError, ObjectiveError
from bounds.estimators import estimate
from bounds.evaluation import Combination, Evaluation, ExampleTerms, Mean
from bounds.formulas import joint_entropy
from bounds.irreducible import IrreducibleError
from bounds.joints import Law, real_array
from bounds.likelihoods import LikelihoodCeiling, likelihood_ceiling
from bounds.objectives import OBJECTIVES
from bounds.optimum import OptimalElbo
from bounds.quantity import Quantity
from bounds.relative import relative_certificate
from bounds.samples import Samples
from bounds.schemes import SubsetScheme

#: Probability of any violation in the audit of a right model.
FALSE_ALARMS = 1e-4
#: Excess in nats that an audit must be able to see, or it is undecided.
SIZE = 0.1


@dataclass(frozen=True, eq=False)
class DensityModel:
    """Another model of the same examples, where no entropy is known (THEORY T10.7).

    It gives no ceiling. It certifies how much the audited model loses at least, and refutes a claim to lose less.

    Args:
        log_density: ``(N,)``, ``ln r(x)`` in nats of the evaluated examples in their order, on which ``r`` was not
            trained.
        kind: ``"discrete"`` or ``"differential"``.
        claimed_loss: the loss ``-H(X) - L`` that the audited model is said to have at most.
    """

    log_density: np.ndarray | Sequence[float]
    kind: Literal["discrete", "differential"]
    claimed_loss: float | None = None

    def __post_init__(self) -> None:
        density = real_array("log_density", self.log_density)
        if density.ndim != 1 or not np.isfinite(density).all():
            raise InputError(f"log_density has shape {density.shape}: give one finite number for each example")
        if self.claimed_loss is not None and not math.isfinite(self.claimed_loss):
            raise InputError(f"claimed_loss={self.claimed_loss}: give a number of nats")
        object.__setattr__(self, "log_density", density)


#: What a model can be audited against.
Reference = Law | Samples | EntropyVector | IrreducibleError | DensityModel | Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Attributes:
        verdict: ``violated`` if any check is, else ``undecided`` if any is, else ``consistent``.
        checks: each bound, the objective's first.
        causes: of a violation, the likeliest first.
        false_alarms: probability that the audit of a right model finds any violation.
        size: the excess in nats that had to be detectable.
        n: examples.
        objective: as in the evaluation.
        certificate: for a density model, the loss that is certified.
        notes: what the reader must know.
    """

    verdict: Verdict
    checks: tuple[Check, ...]
    causes: tuple[Cause, ...]
    false_alarms: float
    size: float
    n: int
    objective: str
    scheme: SubsetScheme
    certificate: Quantity | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = (
            f"{self.verdict}: {self.objective} of {self.scheme.label}, {len(self.checks)} "
            f"check{'' if len(self.checks) == 1 else 's'} on {self.n} examples, false alarms at most "
            f"{self.false_alarms:g}"
        )
        lines = [head, *(f"  {check}" for check in self.checks)]
        if self.certificate is not None:
            lines.append(f"  {self.certificate}")
        if self.causes:
            lines += ["  likeliest causes:", *(f"    {i}. {cause}" for i, cause in enumerate(self.causes, 1))]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        cells = [
            (c.verdict, c.name, c.theorem, f"{c.value:.4f}", f"{c.standard_error:.4f}", _shown(c.ceiling), c.reason)
            for c in self.checks
        ]
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
        titles = ("verdict", "check", "theorem", "value", "standard error", "ceiling", "reason")
        head = "".join(f"<th>{title}</th>" for title in titles)
        causes = "".join(f"<li>{html.escape(str(cause))}</li>" for cause in self.causes)
        return (
            f"<table><caption>{self.verdict}: {html.escape(self.objective)} of {html.escape(self.scheme.label)}, "
            f"{self.n} examples</caption><tr>{head}</tr>{rows}</table>" + (f"<ol>{causes}</ol>" if causes else "")
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, in nats."""
        return {
            "verdict": self.verdict,
            "unit": "nats",
            "objective": self.objective,
            "scheme": self.scheme.label,
            "n": self.n,
            "false_alarms": self.false_alarms,
            "size": self.size,
            "checks": [check.to_dict() for check in self.checks],
            "causes": [cause.to_dict() for cause in self.causes],
            "certificate": None if self.certificate is None else self.certificate.to_dict(),
            "notes": list(self.notes),
        }


def _shown(ceiling: float | None) -> str:
    return "none" if ceiling is None else f"{ceiling:.4f}"


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
    if not 0 < false_alarms < 0.5:
        raise InputError(f"false_alarms={false_alarms}: give a probability below 0.5, such as 1e-4")
    if not (size > 0 and math.isfinite(size)):
        raise InputError(f"size={size}: give a positive number of nats")
    if objective not in (None, evaluation.objective):
        raise ObjectiveError(_other_objective(evaluation, str(objective)))
    if isinstance(reference, DensityModel):
        return _against_density(evaluation, reference, false_alarms, size)
    h, family, sizes = _understood(evaluation, reference, level)
    claims = claims_of(evaluation, h, theorem=theorem, optimum=optimum) if _comparable(evaluation, h, family) else []
    if family is not None:
        claims.append(_family_claim(evaluation, family))
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
    for claim in claims:
        ceiling = claim.ceiling(1 - each / 2)
        known = ceiling.guarantee in ("exact", "none")
        if not known:
            notes[f"estimated ceilings: {ceiling.guarantee} ({ceiling.method})"] = None
        checks.append(
            judged(
                evaluation.terms.mean(claim.of),
                ceiling,
                name=claim.name,
                kind=claim.kind,
                n=evaluation.n,
                level=each if known else each / 2,
                size=size,
                subset=claim.subset,
                column=claim.column,
            )
        )
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
) -> tuple[EntropyVector, Callable[[float], LikelihoodCeiling] | None, Mapping[str, int]]:
    """Entropies at the level of the decoder, the family's ceiling if one is asked for, and variables of each column."""
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
    return _at_level(evaluation, h, level), family, sizes


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


def _family_claim(evaluation: Evaluation, family: Callable[[float], LikelihoodCeiling]) -> Claim:
    return Claim(
        f"L <= the ceiling of {evaluation.likelihood}",
        "likelihood",
        objective_of(evaluation, weights_of(evaluation)),
        lambda confidence: family(confidence).ceiling,
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
    name = "ln p(x|z) <= 0 for each example"
    verdict: Verdict = "violated" if above else "consistent"
    return [
        Check(name, "T1", "probability", None, None, highest, 0.0, highest, 0.0, scale, scale, verdict, reason),
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
    objective = terms.mean(objective_of(evaluation, weights_of(evaluation))).value
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
    )


def _against_density(evaluation: Evaluation, reference: DensityModel, false_alarms: float, size: float) -> Audit:
    """The relative certificate, and a claimed loss against it."""
    if reference.kind != evaluation.kind:
        raise InputError(
            f"the evaluation is {evaluation.kind}, the density model {reference.kind}: give both of one kind, with "
            "respect to the same units of measurement"
        )
    if not isinstance(evaluation.terms, ExampleTerms):
        raise InputError("a density model is compared example by example: give the terms of each, not their means")
    if evaluation.objective == "mvtcae":
        raise ObjectiveError("mvtcae is no bound on log p(x), so a density model says nothing about it")
    each = evaluation.terms.each(objective_of(evaluation, weights_of(evaluation)))
    density = np.asarray(reference.log_density)
    certificate = relative_certificate(density, each, 1 - false_alarms)
    found = ExampleTerms(None, None, (density - each)[None]).mean(Combination(np.zeros(0), np.zeros(0), np.ones(1)))
    claimed = reference.claimed_loss
    if claimed is None:
        why = f"a density model is no ceiling: it certifies a loss of at least {certificate.low:.4f} nats and no fault"
        top = Quantity("loss", None, guarantee="none", theorem="T10.7", notes=(why,))
    else:
        top = Quantity("claimed loss", claimed, theorem="T10.7")
    check = judged(
        Mean(found.value, found.standard_error, found.skewness),
        top,
        name="loss certified by the density model <= the claimed loss",
        kind="density",
        n=evaluation.n,
        level=false_alarms,
        size=size,
    )
    causes: tuple[Cause, ...] = ()
    if check.verdict == "violated":
        why = "the density model scores higher than the claimed loss allows"
        causes = (Cause("claimed loss too small", 1.0, why, "claim no less than the certificate"),)
    return Audit(
        check.verdict,
        (check,),
        causes,
        false_alarms,
        size,
        evaluation.n,
        evaluation.objective,
        evaluation.scheme,
        certificate,
        certificate.notes,
    )
