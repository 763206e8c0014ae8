"""Finite multimodal VAEs, exact by enumeration. The model and its terms live in :mod:`bounds.finite`.

The theorems need them, so they stand in the lower package; what only toy models need is here.
"""

from __future__ import annotations

import numpy as np

from bounds.elbo import ElboTerms, Inequality, MixtureTerms, SubsetTerms
from bounds.finite import TabularVAE, elbo_terms, objective, optimal_decoders, optimal_encoders
from bounds.joints import Discrete
from bounds.schemes import SubsetScheme
from bounds.subsets import members, union

__all__ = [
    "ElboTerms",
    "Inequality",
    "MixtureTerms",
    "SubsetTerms",
    "TabularVAE",
    "elbo_terms",
    "objective",
    "optimal_decoders",
    "optimal_encoders",
    "random_model",
]


def random_model(
    law: Discrete, scheme: SubsetScheme, n_latents: int, rng: np.random.Generator, concentration: float = 1.0
) -> TabularVAE:
    """A model for a law and a scheme with independent Dirichlet laws everywhere."""
    alphabets = law.unit_alphabets
    spread = np.full(n_latents, concentration)
    encoders = {
        subset: rng.dirichlet(spread, [alphabets[u] for u in members(union(law.layout.modality_units, subset))])
        for subset, _ in scheme
    }
    decoders = [rng.dirichlet(np.full(k, concentration), n_latents) for k in alphabets]
    return TabularVAE(rng.dirichlet(spread), decoders, encoders)
