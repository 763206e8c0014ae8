"""Toy multimodal VAEs to hold against the bounds. What is imported here needs NumPy alone."""

from toy_models.reference import ReferenceModel, reference_models
from toy_models.tabular import TabularVAE, elbo_terms, objective, optimal_decoders, random_model
from toy_models.terms import ElboTerms, Inequality, SubsetTerms

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
