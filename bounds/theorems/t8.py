"""How Delta and the total-correlation term depend on the scheme and the number of modalities (THEORY T8)."""

from __future__ import annotations

import math

import numpy as np

from bounds.ceilings import generative_discrepancy, total_correlation_term
from bounds.choices import Choices, linear_code
from bounds.joints import Discrete, Gaussian
from bounds.schemes import FAMILIES, mmvae, mopoe
from bounds.theorems import proofs
from bounds.theorems.base import Case, Theorem
from bounds.theorems.cases import Builder, alone, gaussian_cases, law, law_cases


def _ordering(case: Case) -> float:
    h = case.law.entropy_vector()
    count = len(case.law.names)
    return float(generative_discrepancy(h, mmvae(count))) - float(generative_discrepancy(h, mopoe(count)))


def _caps(case: Case) -> float:
    """Han's caps on Delta: (1 - 1/M) H(X) for MMVAE, (2^(M-1) - 1)/(2^M - 1) H(X) for MoPoE."""
    h = case.law.entropy_vector()
    count = len(case.law.names)
    top = h[(1 << count) - 1]
    return min(
        (1 - 1 / count) * top - float(generative_discrepancy(h, mmvae(count))),
        ((1 << count - 1) - 1) / ((1 << count) - 1) * top - float(generative_discrepancy(h, mopoe(count))),
    )


def _monotone(case: Case) -> float:
    """``TC(X_R|X_A)`` for every subset and one more encoded modality."""
    count = len(case.law.names)
    terms = [float(total_correlation_term(case.h, alone(a, count))) for a in range(1 << count)]
    return min(terms[a] - terms[a | 1 << j] for a in range(1 << count) for j in range(count) if not a >> j & 1)


def _schemes(case: Case) -> float:
    count = len(case.law.names)
    h = case.h
    top = math.fsum(h[1 << u] for u in range(h.n_units)) - h[(1 << h.n_units) - 1]
    single, subsets = (float(total_correlation_term(h, family(count))) for family in (mmvae, mopoe))
    return min(single - subsets, top - single)


def _grows(case: Case) -> float:
    count = len(case.law.names)
    family = FAMILIES[str(case.settings["family"])]
    before = total_correlation_term(case.law.marginal((1 << count - 1) - 1).unit_entropies(), family(count - 1))
    return float(total_correlation_term(case.h, family(count))) - float(before)


def _growing(family: str, units: int = 1, modalities: tuple[int, ...] = (2, 3, 4), codes: bool = False) -> Builder:
    def build(choices: Choices) -> Case:
        data = linear_code(choices, modalities, units=units) if codes else law(choices, modalities, units)
        return Case(data, None, None, {"family": family})

    return build


def independent_gaussians() -> Case:
    """Three independent Gaussians of standard deviation .01: Delta is -6.3725 for MMVAE, -4.0966 for MoPoE."""
    return Case(Gaussian(1e-4 * np.eye(3)))


def xor_and_a_summary() -> Case:
    """``X_3 = X_1 xor X_2``, then ``X_4 = (X_1, X_2)``: MoPoE's term falls from 3/7 to 6/15 bit."""
    pmf = np.zeros((2, 2, 2, 4))
    for a in (0, 1):
        for b in (0, 1):
            pmf[a, b, a ^ b, 2 * a + b] = 0.25
    return Case(Discrete(pmf), None, None, {"family": "mopoe"})


def parity(*more: int) -> Case:
    """``X_3 = X_1 xor X_2``, and more modalities that are independent of these, uniform over so many values.

    Any two bits tell the third: ``TC`` is ``ln 2`` given nothing and given any one of them.
    """
    pmf = np.full((2, 2, 2, *more), 0.25 / math.prod(more))
    pmf[np.indices((2, 2, 2)).sum(axis=0) % 2 == 1] = 0
    return Case(Discrete(pmf), None, None, {"family": "mmvae"})


def pixels_and_a_summary() -> Case:
    """Two bits in four equal pixels each, then one unit that shows both: MMVAE's term falls from 3 ln 2 to 8/3 ln 2."""
    pmf = np.zeros((2,) * 8 + (4,))
    for a in (0, 1):
        for b in (0, 1):
            pmf[(a,) * 4 + (b,) * 4 + (2 * a + b,)] = 0.25
    return Case(Discrete(pmf, sizes=[4, 4, 1], units="scalar"), None, None, {"family": "mmvae"})


ORDERING = Theorem(
    "T8.ordering",
    "MoPoE's Delta is at most MMVAE's",
    "Encoding larger subsets leaves less unknown.",
    r"\Delta_{MoPoE}\le\Delta_{MMVAE}",
    ("discrete data",),
    "this project",
    _ordering,
    law_cases(),
    without=("discrete data", gaussian_cases()),
    known={"independent Gaussians of standard deviation .01": independent_gaussians},
    proof=proofs.ordering,
    witness=lambda: Case(Discrete(np.eye(2) / 2)),
)

CAPS = Theorem(
    "T8.han",
    "Caps on Delta",
    "Delta is at most a fixed share of the joint entropy.",
    r"\Delta_{MMVAE}\le(1-\tfrac1M)H(X),\quad\Delta_{MoPoE}\le\tfrac{2^{M-1}-1}{2^M-1}H(X)",
    (),
    "this project, from subadditivity of a subset and its complement",
    _caps,
    law_cases(),
    proof=proofs.caps,
    witness=lambda: Case(Discrete(np.full((2, 2), 0.25))),
)

MONOTONE = Theorem(
    "T8.monotone",
    "Encoding more never raises the irreducible loss",
    "The total correlation of the unseen units given the encoded modalities falls as modalities are encoded.",
    r"A\subseteq B\ \Rightarrow\ \mathrm{TC}(X_{\bar A}|X_A)\ge\mathrm{TC}(X_{\bar B}|X_B)",
    (),
    "this project",
    _monotone,
    law_cases(units=2),
    proof=proofs.monotone,
    witness=parity,
)

SCHEMES = Theorem(
    "T8.schemes",
    "MoPoE loses at most what MMVAE does",
    "The irreducible loss of MoPoE is at most that of MMVAE, which is at most that of a constant latent.",
    r"\mathrm{TC}_w^{MoPoE}\le\mathrm{TC}_w^{MMVAE}\le\mathrm{TC}(X)",
    (),
    "this project",
    _schemes,
    law_cases(units=2),
    depends=("T8.monotone",),
    proof=proofs.schemes,
    witness=parity,
)

MMVAE_GROWS = Theorem(
    "T8.mmvae-grows",
    "MMVAE's irreducible loss never falls when a modality is added",
    "With one unit per modality and uniform weights before and after.",
    r"\mathrm{TC}_w^{MMVAE}(X_{1..M+1})\ge\mathrm{TC}_w^{MMVAE}(X_{1..M})",
    ("one unit per modality", "uniform weights"),
    "this project",
    _grows,
    _growing("mmvae"),
    without=("one unit per modality", _growing("mmvae", units=4, modalities=(3,), codes=True)),
    known={"two bits in four pixels each, then a summary": pixels_and_a_summary},
    proof=proofs.mmvae_grows,
    witness=lambda: parity(2),
)

MOPOE_GROWS = Theorem(
    "T8.mopoe-grows",
    "MoPoE's irreducible loss never falls when a modality is added",
    "With one unit per modality and uniform weights before and after.",
    r"\mathrm{TC}_w^{MoPoE}(X_{1..M+1})\ge\mathrm{TC}_w^{MoPoE}(X_{1..M})",
    ("one unit per modality", "uniform weights"),
    "this project, as a plausible analogue of T8.mmvae-grows",
    _grows,
    _growing("mopoe", modalities=(4,), codes=True),
    holds=False,
    known={"XOR triple, then a summary": xor_and_a_summary},
)

THEOREMS = (ORDERING, CAPS, MONOTONE, SCHEMES, MMVAE_GROWS, MOPOE_GROWS)
