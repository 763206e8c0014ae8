"""Analytic bounds for multimodal VAEs: what encoding subsets of the modalities must cost on given data."""

from bounds.ceilings import (
    distortion_floor,
    elbo_ceiling,
    entropy,
    generative_discrepancy,
    quoted_bound,
    total_correlation_term,
)
from bounds.entropies import EntropyVector
from bounds.errors import InputError, ObjectiveError, ParseError
from bounds.functional import TC, Functional, H, I
from bounds.irreducible import IrreducibleError, irreducible_error
from bounds.joints import CommonCause, Discrete, Gaussian
from bounds.objectives import OBJECTIVES
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
    "ObjectiveError",
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
    "mmvae",
    "mopoe",
    "mvae_subsampled",
    "prove",
    "quoted_bound",
    "total_correlation_term",
]

__version__ = "0.1.0"
