"""Toy multimodal VAEs to hold against the bounds. What is imported here needs NumPy alone."""

from bounds.reference import ReferenceModel, reference_models
from toy_models.coordinate_ascent import TabularFit, fit_tabular
from toy_models.gaussian_encoder_fit import GaussianEncoderFit, fit_gaussian_encoders
from toy_models.gaussian_expert_fit import ExpertFit, fit_experts
from toy_models.gaussian_fit import Fit
from toy_models.gaussian_fit import fit as fit_gaussian
from toy_models.linear_gaussian import (
    GaussianEncoder,
    GaussianExpert,
    LinearGaussianVAE,
    best_encoders,
    exact_encoders,
    gaussian_terms,
    product_of_experts,
)
from toy_models.tabular import (
    ElboTerms,
    Inequality,
    MixtureTerms,
    SubsetTerms,
    TabularVAE,
    elbo_terms,
    objective,
    optimal_decoders,
    optimal_encoders,
    random_model,
)

__all__ = [
    "ElboTerms",
    "ExpertFit",
    "Fit",
    "GaussianEncoder",
    "GaussianEncoderFit",
    "GaussianExpert",
    "Inequality",
    "LinearGaussianVAE",
    "MixtureTerms",
    "ReferenceModel",
    "SubsetTerms",
    "TabularFit",
    "TabularVAE",
    "best_encoders",
    "elbo_terms",
    "exact_encoders",
    "fit_experts",
    "fit_gaussian",
    "fit_gaussian_encoders",
    "fit_tabular",
    "gaussian_terms",
    "objective",
    "optimal_decoders",
    "optimal_encoders",
    "product_of_experts",
    "random_model",
    "reference_models",
]
