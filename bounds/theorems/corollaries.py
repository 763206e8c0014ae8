"""The paper's corollaries on Delta, as usually quoted, with the exact increments behind them (THEORY T8)."""

from __future__ import annotations

import math

import numpy as np

from bounds.ceilings import generative_discrepancy
from bounds.choices import Choices
from bounds.joints import Discrete
from bounds.schemes import FAMILIES, full
from bounds.theorems import proofs
from bounds.theorems.base import Case, Theorem, equal
from bounds.theorems.cases import law, law_cases


def growth_cases(choices: Choices) -> Case:
    """Two to four modalities, the last of which is the one that is added, and a family of schemes."""
    family = choices.pick(("mmvae", "mopoe"))
    return Case(law(choices, (2, 3, 4), 1), None, None, {"family": family})


def constant_growth_cases(choices: Choices) -> Case:
    """The same with a last modality that is constant."""
    family = choices.pick(("mmvae", "mopoe"))
    data = law(choices, (1, 2, 3), 1)
    return Case(Discrete(data.pmf[..., None]), None, None, {"family": family})


def discrepancies(case: Case) -> tuple[float, float]:
    """Delta without and with the last modality."""
    count = len(case.law.names)
    family = FAMILIES[str(case.settings["family"])]
    before = case.law.marginal((1 << count - 1) - 1)
    return (
        float(generative_discrepancy(before.entropy_vector(), family(count - 1))),
        float(generative_discrepancy(case.law.entropy_vector(), family(count))),
    )


def _no_subsampling(case: Case) -> float:
    return equal(float(generative_discrepancy(case.h, full(len(case.law.names)))), 0.0)


def _increment(case: Case) -> float:
    """``Delta' - Delta`` against the closed form, which needs only how the new modality relates to the old ones."""
    before, after = discrepancies(case)
    h = case.law.entropy_vector()
    count = len(case.law.names) - 1
    old, new = (1 << count) - 1, 1 << count
    given_all = h[old | new] - h[old]
    if case.settings["family"] == "mmvae":
        mean = math.fsum(h[1 << m] for m in range(count)) / count
        closed = given_all - (h[new] - mean) / (count + 1)
    else:
        given_mean = math.fsum(h[a | new] - h[a] for a in range(1 << count)) / (1 << count)
        mean = math.fsum(h[a] for a in range(1, 1 << count)) / old
        closed = given_all - ((1 << count) * given_mean - mean) / ((1 << count + 1) - 1)
    return equal(after - before, closed)


def _grows(case: Case) -> float:
    before, after = discrepancies(case)
    return after - before


def two_bits_and_a_constant(family: str) -> Case:
    """Two independent fair bits, and a third modality that never changes."""
    return Case(Discrete(np.full((2, 2, 1), 0.25)), None, None, {"family": family})


COROLLARY_1 = Theorem(
    "COR1",
    "Corollary 1: no sub-sampling, no discrepancy",
    "A scheme that encodes all modalities only has Delta = 0.",
    r"S=\{(\{1,\dots,M\},1)\}\ \Rightarrow\ \Delta(X,S)=0",
    (),
    "Daunhawer et al. 2022, Corollary 1, as usually quoted",
    _no_subsampling,
    law_cases(units=2),
)

INCREMENT = Theorem(
    "COR2",
    "Corollary 2: by how much another modality changes Delta",
    "Adding a modality changes Delta by what it has of its own, less how much more it tells than the others on average.",
    r"\Delta'-\Delta=H(X_{M+1}|X_{1..M})-\tfrac{1}{M+1}\bigl(H(X_{M+1})-\bar H_M\bigr)\ \text{(MMVAE)}",
    ("uniform MMVAE or MoPoE weights before and after",),
    "Daunhawer et al. 2022, Corollary 2, as usually quoted; the exact increments are this project's",
    _increment,
    growth_cases,
    witness=lambda: two_bits_and_a_constant("mopoe"),
    proof=proofs.increments,
    note="Delta grows if the new modality is diverse enough: exactly if this is positive.",
)

ALWAYS_GROWS = Theorem(
    "COR2.always",
    "Delta grows with every modality",
    "Adding any modality does not lower Delta.",
    r"\Delta(X_{1..M+1},S')\ge\Delta(X_{1..M},S)",
    ("uniform MMVAE or MoPoE weights before and after", "discrete data"),
    "this project, as an overreading of Corollary 2",
    _grows,
    growth_cases,
    holds=False,
    depends=("COR2",),
)

CONSTANT = Theorem(
    "COR2.constant",
    "A constant modality increases Delta",
    "Adding a modality that never changes does not lower Delta, and raises it unless the old modalities are constant: "
    "Delta is not a measure of information alone.",
    r"H(X_{M+1})=0\ \Rightarrow\ \Delta(X_{1..M+1},S')\ge\Delta(X_{1..M},S)",
    ("uniform MMVAE or MoPoE weights before and after", "discrete data"),
    "this project",
    _grows,
    constant_growth_cases,
    depends=("COR2",),
    proof=proofs.constant,
    witness=lambda: Case(Discrete(np.ones((1, 1))), None, None, {"family": "mmvae"}),
    known={
        "two fair bits, MMVAE (ln 2 to 4/3 ln 2)": lambda: two_bits_and_a_constant("mmvae"),
        "two fair bits, MoPoE (2/3 ln 2 to 6/7 ln 2)": lambda: two_bits_and_a_constant("mopoe"),
    },
)

THEOREMS = (COROLLARY_1, INCREMENT, ALWAYS_GROWS, CONSTANT)
