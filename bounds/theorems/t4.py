"""The sandwich of the irreducible loss (THEORY T4), by the models that attain its ends."""

from __future__ import annotations

import math

import numpy as np

from bounds.ceilings import total_correlation_term
from bounds.finite import optimal_decoders
from bounds.joints import Discrete
from bounds.subsets import members, union
from bounds.theorems.base import Case, Theorem, equal
from bounds.theorems.cases import law_cases
from bounds.theorems.t0 import reference_case


def _encoders(case: Case, labelled: bool) -> dict[int, np.ndarray]:
    """A constant latent, or the latent ``Z = (A, X_A)``, which says what was encoded and all of it."""
    assert isinstance(case.law, Discrete)
    alphabets = case.law.unit_alphabets
    shapes = {
        subset: [alphabets[u] for u in members(union(case.law.layout.modality_units, subset))]
        for subset, _ in case.mixture
    }
    if not labelled:
        return {subset: np.ones([*shape, 1]) for subset, shape in shapes.items()}
    total = sum(math.prod(shape) for shape in shapes.values())
    encoders, start = {}, 0
    for subset, shape in shapes.items():
        cells = math.prod(shape)
        encoders[subset] = np.eye(total)[start : start + cells].reshape([*shape, total])
        start += cells
    return encoders


def _loss(case: Case, labelled: bool) -> float:
    assert isinstance(case.law, Discrete)
    model = optimal_decoders(case.law, case.mixture, _encoders(case, labelled))
    terms = Case(case.law, case.mixture, model).terms
    return -terms.entropy - terms.elbo


def _sandwich(case: Case) -> float:
    """TCw <= TC(X); a constant latent loses TC(X); the labelled one at most TCw + H(w), exactly that by T3."""
    lower = float(total_correlation_term(case.h, case.mixture))
    top = math.fsum(case.h[1 << u] for u in range(case.h.n_units)) - case.h[(1 << case.h.n_units) - 1]
    return min(top - lower, equal(_loss(case, False), top), equal(_loss(case, True), lower + case.mixture.entropy))


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
