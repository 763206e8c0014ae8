"""The sandwich of the irreducible loss (THEORY T4), by the models that attain its ends."""

from __future__ import annotations

import math

import numpy as np

from bounds.ceilings import total_correlation_term
from bounds.finite import optimal_decoders
from bounds.subsets import members, union
from bounds.theorems.base import Case, Theorem, equal
from bounds.theorems.cases import law_cases
from bounds.theorems.t0 import reference_case


def _best(case: Case, encoders: dict[int, np.ndarray]) -> Case:
    """The case with the best decoders for some encoders."""
    return Case(case.law, case.mixture, optimal_decoders(case.table, case.mixture, encoders))


def _shapes(case: Case) -> dict[int, list[int]]:
    """The alphabets of the units of each encoded subset."""
    alphabets, units = case.table.unit_alphabets, case.law.layout.modality_units
    return {subset: [alphabets[u] for u in members(union(units, subset))] for subset, _ in case.mixture}


def constant(case: Case) -> Case:
    """The case with the best model of a constant latent."""
    return _best(case, {subset: np.ones([*shape, 1]) for subset, shape in _shapes(case).items()})


def labelled(case: Case) -> Case:
    """The case with the best model of the latent ``Z = (A, X_A)``, which says what was encoded and all of it."""
    shapes = _shapes(case)
    total = sum(math.prod(shape) for shape in shapes.values())
    encoders, start = {}, 0
    for subset, shape in shapes.items():
        cells = math.prod(shape)
        encoders[subset] = np.eye(total)[start : start + cells].reshape([*shape, total])
        start += cells
    return _best(case, encoders)


def _sandwich(case: Case) -> float:
    """TCw <= TC(X); a constant latent loses TC(X); the labelled one at most TCw + H(w), exactly that by T3."""
    lower = float(total_correlation_term(case.h, case.mixture))
    entropy = case.h[(1 << case.h.n_units) - 1]
    top = math.fsum(case.h[1 << u] for u in range(case.h.n_units)) - entropy
    losses = [-entropy - best.objective() for best in (constant(case), labelled(case))]
    return min(top - lower, equal(losses[0], top), equal(losses[1], lower + case.mixture.entropy))


SANDWICH = Theorem(
    "T4",
    "Sandwich of the irreducible loss",
    "The loss of the best model lies between the total-correlation term and the smaller of TC(X), which a constant latent "
    "loses, and the term plus the entropy of the weights, which a latent that names the subset and its value loses.",
    r"\sum_A w_A\mathrm{TC}_A\le\delta^*\le\min\{\mathrm{TC}(X),\ \sum_A w_A\mathrm{TC}_A+H(w)\}",
    ("finite alphabets",),
    "this project",
    _sandwich,
    law_cases(units=2),
    depends=("T2", "T3"),
    witness=lambda: reference_case("xor-mixture"),
    note="The lower end is T2. The upper ends are checked by building the models that lose exactly that much.",
)

THEOREMS = (SANDWICH,)
