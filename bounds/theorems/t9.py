"""What keeps its value under changes of the units of measurement (THEORY T9)."""

from __future__ import annotations

import numpy as np

from bounds.ceilings import entropy, generative_discrepancy, total_correlation_term
from bounds.choices import Choices
from bounds.joints import Gaussian
from bounds.schemes import mmvae
from bounds.theorems.base import Case, Theorem, equal
from bounds.theorems.cases import gaussian_cases


def _factors(choices: Choices) -> np.ndarray:
    """A power of two for each of up to six coordinates, so that rescaling adds no rounding."""
    return np.array([choices.pick((2.0, 1.0, 0.5, 16.0, -4.0)) for _ in range(6)])


_CASES = gaussian_cases(settings={"factors": _factors})


def _rescaled(case: Case) -> Case:
    """The case after every coordinate has been multiplied by its factor."""
    assert isinstance(case.law, Gaussian)
    factors = np.asarray(case.settings["factors"])[: len(case.law.cov)]
    law = Gaussian(case.law.cov * np.outer(factors, factors), case.law.layout.sizes, units="scalar")
    return Case(law, case.scheme)


def _term(case: Case) -> float:
    after = _rescaled(case)
    return equal(
        float(total_correlation_term(case.h, case.mixture)), float(total_correlation_term(after.h, case.mixture))
    )


def _slack(case: Case) -> float:
    """``-H(X)`` less the ceiling moves with neither."""
    before, after = (one.ceiling() + float(entropy(one.h)) for one in (case, _rescaled(case)))
    return equal(before, after)


def _delta(case: Case) -> float:
    """``Delta`` needs no entropies of units within a modality."""
    return float(generative_discrepancy(case.law.entropy_vector(), case.mixture))


def _discrepancy(case: Case) -> float:
    return equal(_delta(case), _delta(_rescaled(case)))


def _shift(case: Case) -> float:
    """``Delta`` shifts by ``sum_m P(m not in A) sum over its coordinates of ln |c|``."""
    factors = np.asarray(case.settings["factors"])
    moved = 0.0
    for m in range(len(case.law.names)):
        coordinates = case.law.layout.variables_of_modalities(1 << m)
        moved += float(case.mixture.probability_unseen(m)) * float(np.log(np.abs(factors[coordinates])).sum())
    return equal(_delta(case) + moved, _delta(_rescaled(case)))


def equicorrelated(sd: float) -> Case:
    """Three Gaussians of correlation .5 under MMVAE: Delta is 2.4913 at sd 1 and -6.7190 at sd .01."""
    return Case(
        Gaussian(sd**2 * (0.5 * np.eye(3) + 0.5), units="scalar"), mmvae(3), None, {"factors": np.full(6, 0.01)}
    )


INVARIANT = Theorem(
    "T9.term",
    "The irreducible loss does not depend on units of measurement",
    "The total-correlation term is the same after any invertible map of each unit.",
    r"\mathrm{TC}_w(X)=\mathrm{TC}_w(f_1(X_1),\dots,f_n(X_n))",
    ("invertible maps of each unit",),
    "this project",
    _term,
    _CASES,
    witness=lambda: equicorrelated(1.0),
)

CEILING_MOVES = Theorem(
    "T9.ceiling",
    "The distance of the ceiling from minus the entropy does not depend on units of measurement",
    "Ceiling and entropy shift together.",
    r"-H(X)-\text{ceiling}\ \text{is invariant}",
    ("invertible maps of each unit",),
    "this project",
    _slack,
    _CASES,
    depends=("T9.term",),
    witness=lambda: equicorrelated(0.01),
)

DISCREPANCY = Theorem(
    "T9.Delta",
    "Delta depends on units of measurement",
    "The claim checked is that Delta is the same after rescaling; for continuous data it is not.",
    r"\Delta(X)=\Delta(c_1X_1,\dots,c_nX_n)",
    ("continuous data",),
    "this project, as a mistake to be made",
    _discrepancy,
    _CASES,
    holds=False,
    known={"correlation .5, rescaled by .01 (2.4913 to -6.7190)": lambda: equicorrelated(1.0)},
)

SHIFT = Theorem(
    "T9.shift",
    "By how much Delta shifts",
    "Rescaling a coordinate by c shifts Delta by the probability that its modality is unseen times ln |c|.",
    r"\Delta\to\Delta+\sum_m P(m\notin A)\,d_m\ln|c_m|",
    ("continuous data",),
    "this project",
    _shift,
    _CASES,
    witness=lambda: equicorrelated(1.0),
)

THEOREMS = (INVARIANT, CEILING_MOVES, DISCREPANCY, SHIFT)
