"""A multimodal linear-Gaussian VAE: under Gaussian data every term of its ELBO is exact (THEORY T0, T2, T6).

Latent, data and encoder are jointly Gaussian, so each term is a log-determinant and the trace of a second moment.
Laws are centred. Data of another mean are centred first, and the model with them: :meth:`LinearGaussianVAE.centred`.
"""

from toy_models.linear_gaussian.encoders import GaussianEncoder, GaussianExpert, product_of_experts
from toy_models.linear_gaussian.gaps import EncoderGap, GapIdentity, encoder_gap, gap_identity
from toy_models.linear_gaussian.model import LinearGaussianVAE
from toy_models.linear_gaussian.optimal_encoders import best_encoder, best_encoders, exact_encoders, exact_experts
from toy_models.linear_gaussian.terms import gaussian_terms, subset_terms

__all__ = [
    "EncoderGap",
    "GapIdentity",
    "GaussianEncoder",
    "GaussianExpert",
    "LinearGaussianVAE",
    "best_encoder",
    "best_encoders",
    "encoder_gap",
    "exact_encoders",
    "exact_experts",
    "gap_identity",
    "gaussian_terms",
    "product_of_experts",
    "subset_terms",
]
