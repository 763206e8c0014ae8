"""The ELBO ceiling and its exact slack (THEORY T2)."""

from __future__ import annotations

import math

from bounds.theorems.base import Case, Theorem, at_least, equal
from bounds.theorems.cases import model_cases
from bounds.theorems.proofs import information_theoretic_core
from bounds.theorems.t0 import reference_case


def _margin(case: Case) -> float:
    return at_least(case.ceiling(), case.terms.elbo)


def _slack(case: Case) -> float:
    if not math.isfinite(case.terms.elbo):
        return 0.0
    return equal(case.ceiling() - case.terms.elbo, case.terms.slack)


CEILING = Theorem(
    "T2",
    "ELBO ceiling",
    "The mixture ELBO stays below minus the entropy by at least the weighted total correlation of the unseen units given "
    "the encoded modalities.",
    r"\mathcal{L}_S\le-H(X)-\sum_A w_A\,\mathrm{TC}(X_R|X_A)",
    ("K=1 ELBO with each encoder's own density", "a decoder that factorises over units"),
    "this project",
    _margin,
    model_cases(),
    witness=lambda: reference_case("twin-bit"),
    proof=information_theoretic_core,
    note="For the best decoders of given encoders the loss is at least the core's left side (cross-entropies exceed "
    "entropies), so its certificate is the whole of the theorem for finite alphabets.",
)

SLACK = Theorem(
    "T2.slack",
    "The exact slack of the ELBO ceiling",
    "What a model misses of the ceiling is the divergence of its joint law of latent and encoded modalities from the "
    "model's, plus that of every unseen unit.",
    r"-H(X)-\mathrm{TC}_A-\mathcal{L}_A=\mathrm{KL}(P_A(z,x_A)\|Q(z,x_A))+\sum_{m\in R}\mathbb{E}_q\mathrm{KL}"
    r"(p(x_m|x_A)\|p_\theta(x_m|z))",
    ("discrete data", "finite ELBO"),
    "this project",
    _slack,
    model_cases(),
    witness=lambda: reference_case("private-noise"),
)

THEOREMS = (CEILING, SLACK)
