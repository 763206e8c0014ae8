"""Gaussian encoders and experts, and the encoders that are products of experts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bounds.errors import InputError
from bounds.subsets import members
from toy_models.linear_gaussian.covariances import (
    filled,
    freeze,
    positive_definite,
    positive_semidefinite,
    real_matrix,
    real_vector,
    symmetric_inverse,
)


@dataclass(frozen=True, eq=False)
class GaussianEncoder:
    """``q(z|x_A) = N(gain x_A + offset, cov)``. Also an exact posterior, and an expert that is a density.

    Args:
        gain: ``(k, d_A)``; ``(k, 0)`` for the empty subset.
        cov: ``(k, k)``, symmetric positive definite.
        offset: ``(k,)``; default zero.

    Raises:
        InputError: shapes that do not fit, NaN or inf, a covariance that is not positive definite.

    >>> GaussianEncoder([[0.5, 0.0]], [[1.0]]).offset
    array([0.])
    """

    gain: np.ndarray
    cov: np.ndarray
    offset: np.ndarray | None = None

    def __post_init__(self) -> None:
        gain = real_matrix("the gain of an encoder", self.gain)
        cov = positive_definite("the covariance of an encoder", self.cov)
        latents = len(cov)
        offset = real_vector("the offset of an encoder", self.offset, latents)
        if len(gain) != latents:
            raise InputError(f"a gain of shape {gain.shape} with a covariance of {latents} latents: give one row each")
        freeze(self, gain=gain, cov=cov, offset=offset)

    @property
    def expert(self) -> GaussianExpert:
        """The same as a factor of a product."""
        precision = symmetric_inverse(self.cov)
        return GaussianExpert(precision, precision @ self.gain, precision @ filled(self.offset))


@dataclass(frozen=True, eq=False)
class GaussianExpert:
    """A factor ``exp(-z' precision z / 2 + z' (slope x_m + shift))`` of encoders, by canonical parameters.

    Its precision may be singular: a modality that tells nothing about some latents, such as one with fewer variables
    than latents. Then it is no density by itself; the prior or other experts make the product one.

    Args:
        precision: ``(k, k)``, symmetric, without negative eigenvalues.
        slope: ``(k, d_m)``.
        shift: ``(k,)``; default zero.

    Raises:
        InputError: shapes that do not fit, NaN or inf, a negative eigenvalue.

    >>> GaussianExpert([[0.0]], [[0.0]]).shift
    array([0.])
    """

    precision: np.ndarray
    slope: np.ndarray
    shift: np.ndarray | None = None

    def __post_init__(self) -> None:
        slope = real_matrix("the slope of an expert", self.slope)
        precision = positive_semidefinite("the precision of an expert", self.precision)
        latents = len(precision)
        shift = real_vector("the shift of an expert", self.shift, latents)
        if len(slope) != latents:
            raise InputError(f"a slope of shape {slope.shape} with a precision of {latents} latents: one row each")
        freeze(self, precision=precision, slope=slope, shift=shift)

    @property
    def expert(self) -> GaussianExpert:
        """Itself."""
        return self


def product_of_experts(
    experts: Sequence[GaussianEncoder | GaussianExpert], subsets: Iterable[int], prior: bool = True
) -> dict[int, GaussianEncoder]:
    """The encoders ``q_A(z|x_A)``, proportional to the product of the experts of ``A``.

    Precisions add up, and so do precision times mean.

    Args:
        experts: one for each modality, in their order.
        subsets: bitmasks of the modalities to encode, such as the keys of ``scheme.weights``.
        prior: whether ``N(0, I)`` is one more expert, as in MVAE.

    Raises:
        InputError: experts of different latents, a subset of other modalities, no expert at all, experts that leave
            some latent undetermined.

    >>> one = GaussianEncoder([[1.0]], [[1.0]])
    >>> product_of_experts([one, one], [0b11])[0b11].cov.round(6)
    array([[0.333333]])
    """
    factors = [given.expert for given in experts]
    if len({len(factor.precision) for factor in factors}) != 1:
        raise InputError("the experts have different latents, or there are none: give one expert for each modality")
    latents = len(factors[0].precision)
    encoders = {}
    for subset in subsets:
        if subset < 0 or subset >> len(factors):
            raise InputError(f"subset {subset} for {len(factors)} experts: give one expert for each modality")
        if not subset and not prior:
            raise InputError("the empty subset has no expert: use prior=True, or leave it out of the scheme")
        seen = [factors[m] for m in members(subset)]
        total = sum((factor.precision for factor in seen), np.eye(latents) if prior else np.zeros((latents, latents)))
        cov = symmetric_inverse(positive_definite(f"the precision of the product of subset {subset}", total))
        slope = np.hstack([np.zeros((latents, 0)), *(factor.slope for factor in seen)])
        shift = sum((filled(factor.shift) for factor in seen), np.zeros(latents))
        encoders[subset] = GaussianEncoder(cov @ slope, cov, cov @ shift)
    return encoders
