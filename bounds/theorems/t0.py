"""Theorem 1 as usually quoted, exactly when it holds, and its repair (THEORY T0)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bounds.reference import reference_models
from bounds.theorems.base import Case, Theorem, at_least, equal
from bounds.theorems.cases import model_cases
from bounds.theorems.tables import Tables, log, log_sum, mean_difference


def reference_case(name: str, settings: Mapping[str, Any] | None = None) -> Case:
    """A named finite model as a case."""
    reference = reference_models()[name]
    return Case(reference.law, reference.scheme, reference.model, settings or {})


def _quoted(case: Case) -> float:
    return at_least(case.terms.quoted.left, case.terms.quoted.right)


def _repaired(case: Case) -> float:
    return at_least(case.terms.repaired.left, case.terms.repaired.right)


def _condition(case: Case) -> float:
    """Both sides of the gap identity, from the definitions on one side and the terms on the other.

    In logs and without quotients: ``ln q - ln p(z|x_A)`` is ``(ln q + ln p(x_A)) - ln p(z,x_A)``.
    """
    tables = Tables(case)
    data, log_data, evidence = tables.data, log(tables.data), log_sum(tables.log_model())
    margins = [0.0]
    for subset in case.terms.subsets:
        if not math.isfinite(subset.elbo):
            continue
        q, known = tables.encoder(subset.subset), tables.log_model(subset.seen)
        own, log_seen = log_sum(known), log(tables.marginal(data, subset.seen))
        unseen = tables.log_decoder(tuple(u for u in range(tables.n_units) if u not in subset.seen))
        gap = (
            mean_difference(data * q, log(q) + own, known)
            + mean_difference(data * q, log_data, log_seen + unseen)
            - mean_difference(data, log_data + own, log_seen + evidence)
        )
        margins.append(equal(gap, mean_difference(data, evidence, np.zeros(1)) - subset.elbo))
    return float(np.min(margins))  # NaN, if one is: a violation


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
