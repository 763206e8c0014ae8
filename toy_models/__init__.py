"""Toy multimodal VAEs to hold against the bounds. What is imported here needs NumPy alone."""

from bounds.reference import ReferenceModel, reference_models
from toy_models.tabular import (
    ElboTerms,
    Inequality,
    SubsetTerms,
    TabularVAE,
    elbo_terms,
    objective,
    optimal_decoders,
    random_model,
)

__all__ = [
    "ElboTerms",
    "Inequality",
    "ReferenceModel",
    "SubsetTerms",
    "TabularVAE",
    "elbo_terms",
    "objective",
    "optimal_decoders",
    "random_model",
    "reference_models",
]
