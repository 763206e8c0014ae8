"""Symbolic derivations: closed forms for families of laws, and identities that sympy reduces to zero.

``generative_discrepancy`` and ``total_correlation_term`` here take a family of laws and give a formula in the number
of modalities; those of ``bounds`` take entropies and give a number. ``identities`` are the derivations behind the
closed forms, the signs and the limits of THEORY T6 to T9. What a derivation leaves to an argument is said in the
docstring of the function that yields it.

>>> from bounds.symbolic import M, equicorrelated_gaussian, increment_limit, total_correlation_term
>>> increment_limit(total_correlation_term, equicorrelated_gaussian(), "mmvae")
log(rho + 1)/2
"""

from __future__ import annotations

from bounds.symbolic.catalogue import identities, identity
from bounds.symbolic.families import (
    H_U,
    H_Y,
    RHO,
    SIGMA,
    TC_U,
    ExchangeableFamily,
    K,
    M,
    average,
    common_cause,
    equicorrelated_gaussian,
    exchangeable,
    generative_discrepancy,
    increment,
    increment_limit,
    limit_at_share,
    size_weights,
    total_correlation_term,
)
from bounds.symbolic.identity import Identity
from bounds.symbolic.likelihoods import PSI, learned_variance_floor, likelihood_floor, split_floor
from bounds.symbolic.linear_gaussian import encoder_gap, posterior_covariance
from bounds.symbolic.structure import discrepancy_functional, total_correlation_functional

__all__ = [
    "H_U",
    "H_Y",
    "PSI",
    "RHO",
    "SIGMA",
    "TC_U",
    "ExchangeableFamily",
    "Identity",
    "K",
    "M",
    "average",
    "common_cause",
    "discrepancy_functional",
    "encoder_gap",
    "equicorrelated_gaussian",
    "exchangeable",
    "generative_discrepancy",
    "identities",
    "identity",
    "increment",
    "increment_limit",
    "learned_variance_floor",
    "likelihood_floor",
    "limit_at_share",
    "posterior_covariance",
    "size_weights",
    "split_floor",
    "total_correlation_functional",
    "total_correlation_term",
]
