"""The distortion floor (THEORY T1)."""

from __future__ import annotations

from bounds.ceilings import distortion_floor
from bounds.theorems.base import Case, Theorem, at_least
from bounds.theorems.cases import model_cases
from bounds.theorems.proofs import information_theoretic_core
from bounds.theorems.t0 import reference_case


def _margin(case: Case) -> float:
    return at_least(case.terms.distortion, float(distortion_floor(case.h, case.mixture)))


DISTORTION_FLOOR = Theorem(
    "T1",
    "Distortion floor",
    "The expected distortion of a mixture model is at least the weighted sum of the conditional entropies of the unseen "
    "units given the encoded modalities, which is Delta plus the total-correlation term.",
    r"D_S\ge\sum_A w_A\sum_{m\notin A}H(X_m|X_A)=\Delta+\sum_A w_A\mathrm{TC}(X_R|X_A)\ge\Delta",
    ("discrete data", "a decoder that factorises over units"),
    "this project",
    _margin,
    model_cases(),
    witness=lambda: reference_case("twin-bit"),
    proof=information_theoretic_core,
    note="For densities the floor is that of the unseen units alone.",
)

THEOREMS = (DISTORTION_FLOOR,)
