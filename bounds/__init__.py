"""Analytic bounds for multimodal VAEs: what encoding subsets of the modalities must cost on given data."""

from bounds.ceilings import (
    distortion_floor,
    elbo_ceiling,
    entropy,
    generative_discrepancy,
    quoted_bound,
    total_correlation_term,
)
from bounds.common_cause import CommonCause
from bounds.entropies import EntropyVector
from bounds.errors import InputError, ObjectiveError, ParseError
from bounds.functional import TC, Functional, H, I
from bounds.irreducible import IrreducibleError, irreducible_error
from bounds.joints import Discrete, Gaussian
from bounds.likelihoods import Likelihood, LikelihoodCeiling, likelihood_ceiling
from bounds.loss_bounds import LossBounds, loss_bounds
from bounds.objectives import OBJECTIVES
from bounds.optimum import OptimalElbo, optimal_elbo
from bounds.quantity import Quantity
from bounds.samples import Samples
from bounds.schemes import FAMILIES, SubsetScheme, full, mmvae, mopoe, mvae_subsampled
from bounds.shannon import Proof, prove

__all__ = [
    "FAMILIES",
    "OBJECTIVES",
    "TC",
    "CommonCause",
    "Discrete",
    "EntropyVector",
    "Functional",
    "Gaussian",
    "H",
    "I",
    "InputError",
    "IrreducibleError",
    "Likelihood",
    "LikelihoodCeiling",
    "LossBounds",
    "ObjectiveError",
    "OptimalElbo",
    "ParseError",
    "Proof",
    "Quantity",
    "Samples",
    "SubsetScheme",
    "distortion_floor",
    "elbo_ceiling",
    "entropy",
    "full",
    "generative_discrepancy",
    "irreducible_error",
    "likelihood_ceiling",
    "loss_bounds",
    "mmvae",
    "mopoe",
    "mvae_subsampled",
    "optimal_elbo",
    "prove",
    "quoted_bound",
    "total_correlation_term",
]

__version__ = "0.1.0"
