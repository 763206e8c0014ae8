"""Analytic bounds for multimodal VAEs: what encoding subsets of the modalities must cost on given data."""

from bounds.audit_result import Audit
from bounds.auditing import audit
from bounds.ceilings import (
    distortion_floor,
    elbo_ceiling,
    entropy,
    generative_discrepancy,
    quoted_bound,
    total_correlation_term,
)
from bounds.common_cause import CommonCause
from bounds.constant_latent import Collapse, collapse
from bounds.declared_alphabets import with_alphabets
from bounds.density_audit import DensityModel
from bounds.dependence_trees import chow_liu_floor
from bounds.entropies import EntropyVector
from bounds.errors import InputError, ObjectiveError, ParseError
from bounds.estimators.conditional import conditional_bounds
from bounds.estimators.one_sided import ConditionalBounds
from bounds.evaluation import Evaluation
from bounds.functional import TC, Functional, H, I
from bounds.irreducible import IrreducibleError, irreducible_error
from bounds.joints import Discrete, Gaussian
from bounds.likelihoods import Likelihood, LikelihoodCeiling, likelihood_ceiling
from bounds.mixture_optimum import MixtureOptimum, optimal_mixture_elbo
from bounds.objectives import OBJECTIVES
from bounds.optimum import OptimalElbo, optimal_elbo
from bounds.quantity import Quantity
from bounds.relative import relative_certificate
from bounds.samples import Samples
from bounds.sandwich import LossBounds, loss_bounds
from bounds.schemes import FAMILIES, SubsetScheme, full, mmvae, mopoe, mvae_subsampled
from bounds.shannon import Proof, prove

__all__ = [
    "FAMILIES",
    "OBJECTIVES",
    "TC",
    "Audit",
    "Collapse",
    "CommonCause",
    "ConditionalBounds",
    "DensityModel",
    "Discrete",
    "EntropyVector",
    "Evaluation",
    "Functional",
    "Gaussian",
    "H",
    "I",
    "InputError",
    "IrreducibleError",
    "Likelihood",
    "LikelihoodCeiling",
    "LossBounds",
    "MixtureOptimum",
    "ObjectiveError",
    "OptimalElbo",
    "ParseError",
    "Proof",
    "Quantity",
    "Samples",
    "SubsetScheme",
    "audit",
    "chow_liu_floor",
    "collapse",
    "conditional_bounds",
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
    "optimal_mixture_elbo",
    "prove",
    "quoted_bound",
    "relative_certificate",
    "total_correlation_term",
    "with_alphabets",
]

__version__ = "0.1.0"
