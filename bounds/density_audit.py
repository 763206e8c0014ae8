"""A model audited against another model of the density, where no entropy is known (T10.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bounds.audit_result import Audit
from bounds.checks import judged
from bounds.claims import objective_of, weights_of
from bounds.diagnosis import Cause
from bounds.errors import InputError, ObjectiveError
from bounds.evaluation import LARGEST, Evaluation, check_terms
from bounds.joints import real_array
from bounds.quantity import Quantity
from bounds.relative import relative_certificate
from bounds.reported_terms import Combination, ExampleTerms


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
        if density.ndim != 1:
            raise InputError(f"log_density has shape {density.shape}: give one number for each example")
        check_terms("log_density", density)
        if self.kind not in ("discrete", "differential"):
            raise InputError(f"kind {self.kind!r}: 'discrete' for probabilities, 'differential' for densities")
        claim: Any = self.claimed_loss
        if claim is not None:
            number = isinstance(claim, int | float | np.floating) and not isinstance(claim, bool)
            if not number or not abs(claim) <= LARGEST:
                raise InputError(f"claimed_loss={claim!r:.40}: give a number of nats")
        object.__setattr__(self, "log_density", density)


def against_density(evaluation: Evaluation, reference: DensityModel, false_alarms: float, size: float) -> Audit:
    """The relative certificate, and a claimed loss against it.

    Raises:
        InputError: another kind or number of examples, or means.
        ObjectiveError: an objective that is not about ``log p(x)``.
    """
    if reference.kind != evaluation.kind:
        raise InputError(
            f"the evaluation is {evaluation.kind}, the density model {reference.kind}: give both of one kind, with "
            "respect to the same units of measurement"
        )
    if not isinstance(evaluation.terms, ExampleTerms):
        raise InputError("a density model is compared example by example: give the terms of each, not their means")
    if evaluation.objective in ("mvtcae", "sub-sampled"):
        raise ObjectiveError(
            f"the {evaluation.objective} objective is no bound on log p(x), so a density model says nothing about it: "
            "evaluate the own-density objective"
        )
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
        found,
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
