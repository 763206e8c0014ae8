"""Theorem 1 as usually quoted, exactly when it holds, and its repair (THEORY T0)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bounds.reference import reference_models
from bounds.theorems.base import Case, Theorem, at_least, equal
from bounds.theorems.cases import model_cases
from bounds.theorems.tables import Tables, kl, mean_log, ratio


def reference_case(name: str, settings: Mapping[str, Any] | None = None) -> Case:
    """A named finite model as a case."""
    reference = reference_models()[name]
    return Case(reference.law, reference.scheme, reference.model, settings or {})


def _quoted(case: Case) -> float:
    return at_least(case.terms.quoted.left, case.terms.quoted.right)


def _repaired(case: Case) -> float:
    return at_least(case.terms.repaired.left, case.terms.repaired.right)


def _condition(case: Case) -> float:
    """Both sides of the gap identity, from the definitions on one side and the terms on the other."""
    tables = Tables(case)
    worst = 0.0
    for subset in case.terms.subsets:
        if not math.isfinite(subset.elbo):
            continue
        seen = subset.seen
        joint = tables.data * tables.encoder(subset.subset)
        known = tables.model(seen)
        posterior = ratio(known, known.sum(axis=-1, keepdims=True))
        given_latent = ratio(tables.model(), known)
        data_given = ratio(tables.data, tables.marginal(tables.data, seen))
        evidence, own = tables.model().sum(axis=-1, keepdims=True), known.sum(axis=-1, keepdims=True)
        gap = (
            kl(joint, tables.encoder(subset.subset), posterior)
            + kl(joint, data_given, given_latent)
            - kl(tables.data, data_given, ratio(evidence, own))
        )
        worst = min(worst, equal(gap, mean_log(tables.data, evidence) - subset.elbo))
    return worst


QUOTED = Theorem(
    "T0",
    "Theorem 1 as usually quoted",
    "The expected log-evidence exceeds the mixture ELBO by at least the generative discrepancy, for every model.",
    r"\mathbb{E}\log p_\theta(x) \ge \mathcal{L}_S(\theta,\phi) + \Delta(X,S) \quad \forall\,\theta,\phi",
    ("discrete data", "K=1 ELBO with each encoder's own density"),
    "Daunhawer et al. 2022, Theorem 1, as usually quoted; the paper's own text may carry assumptions",
    _quoted,
    model_cases(),
    holds=False,
    known={
        "two independent fair bits, constant latent": lambda: reference_case("constant-latent"),
        "private information as decoder noise": lambda: reference_case("private-noise"),
        "noisy pair, b = 0.1": lambda: reference_case("noisy-pair-0.1"),
    },
    note="It holds for a subset A exactly when the condition T0.condition does, for example with sharp decoders.",
)

CONDITION = Theorem(
    "T0.condition",
    "When the quoted theorem holds: the gap identity",
    "For each encoded subset the gap is the posterior's mismatch, plus what the decoder of the unseen part loses, minus "
    "what the model's own conditional loses; the quoted theorem holds for the subset if and only if this is at least "
    "the conditional entropy of the unseen part.",
    r"\mathbb{E}\log p_\theta(x)-\mathcal{L}_A=\mathrm{KL}(q_A\|p_\theta(z|x_A))+\mathbb{E}_q\mathrm{KL}(p(x_R|x_A)\|"
    r"p_\theta(x_R|z))-\mathrm{KL}(p(x_R|x_A)\|p_\theta(x_R|x_A))",
    ("discrete data", "finite ELBO"),
    "this project",
    _condition,
    model_cases(modalities=(2, 1), units=1),
    witness=lambda: reference_case("noisy-pair-0.1"),
)

REPAIR = Theorem(
    "T0.repair",
    "The repaired Theorem 1",
    "With the evidence of the encoded subset on the left, the inequality holds for every model, and with the finer unit "
    "terms in place of Delta.",
    r"\sum_A w_A\,\mathbb{E}\log p_\theta(x_A)\ge\mathcal{L}_S+\sum_A w_A\sum_{m\notin A}H(X_m|X_A)\ge\mathcal{L}_S+\Delta",
    ("finite conditional entropies H(X_m|X_A)", "K=1 ELBO with each encoder's own density"),
    "this project",
    _repaired,
    model_cases(),
    depends=("T1",),
    witness=lambda: reference_case("private-noise"),
    known={
        "two independent fair bits, constant latent": lambda: reference_case("constant-latent"),
        "noisy pair, b = 0.01": lambda: reference_case("noisy-pair-0.01"),
    },
)

THEOREMS = (QUOTED, CONDITION, REPAIR)
