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

from functools import cache
from itertools import chain

from bounds.errors import InputError
from bounds.symbolic import closed_forms, likelihoods, linear_gaussian, structure
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


@cache
def _by_name() -> dict[str, Identity]:
    sources = (structure, closed_forms, linear_gaussian, likelihoods)
    found: dict[str, Identity] = {}
    for one in chain.from_iterable(source.identities() for source in sources):
        if one.name in found:
            raise AssertionError(f"two identities are named {one.name}")
        found[one.name] = one
    return found


def identities(name: str = "") -> tuple[Identity, ...]:
    """All identities, or those of one name: the name itself, and all that continue it after a dot.

    >>> [one.name for one in identities("T8.mopoe-limit.value")]
    ['T8.mopoe-limit.value.above', 'T8.mopoe-limit.value.below']
    >>> all(one.holds for one in identities("T8.increment"))
    True

    Raises:
        InputError: no identity has that name.
    """
    found = tuple(one for key, one in _by_name().items() if not name or key == name or key.startswith(f"{name}."))
    if not found:
        raise InputError(f"no identity is named {name!r}: known are {', '.join(sorted(_by_name()))}")
    return found


def identity(name: str) -> Identity:
    """One identity by its full name.

    >>> print(identity("T8.gaussian.delta.mmvae"))
    T8.gaussian.delta.mmvae: Delta of mmvae: reduces to zero

    Raises:
        InputError: no identity has that name.
    """
    if name not in _by_name():
        raise InputError(f"no identity is named {name!r}: see identities({name.rpartition('.')[0]!r})")
    return _by_name()[name]
