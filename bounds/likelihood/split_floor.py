"""The floor of the loss that treats seen and unseen blocks apart, for a known law (THEORY T7(i)).

For one encoded subset it is ``R_V(X_A) + sum_{m not in A} H_V(X_m|X_A)`` with a lower bound of ``R_V``. It is valid for
every family and loose: one latent cannot serve the seen and the unseen part at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bounds.errors import InputError
from bounds.joints import Discrete, Gaussian
from bounds.lattice import correlation, half_logdet, marginal_entropy, minus_xlogx
from bounds.likelihood.decoders import Part
from bounds.likelihood.gaussian import imputed_moments
from bounds.likelihood.mixture_loss import mixture_loss
from bounds.likelihood.noise import BernoulliNoise, GaussianNoise, LaplaceNoise
from bounds.schemes import SubsetScheme


@dataclass(frozen=True)
class SubsetFloor:
    """The least loss of one encoded subset, in nats: ``seen + unseen``.

    Attributes:
        subset: bitmask of the encoded modalities.
        weight: ``w_A``.
        seen: what coding the subset costs at least; where the two are bounded together, all that is not ``unseen``.
        unseen: ``sum_{m not in A} H_V(X_m|X_A)``.
    """

    subset: int
    weight: float
    seen: float
    unseen: float

    @property
    def floor(self) -> float:
        """``seen + unseen``."""
        return self.seen + self.unseen


def mean_floor(floors: Sequence[SubsetFloor]) -> float:
    """``sum_A w_A floor_A``."""
    infinite = {f.floor for f in floors if math.isinf(f.floor)}
    return infinite.pop() if infinite else math.fsum(f.weight * f.floor for f in floors)


def gaussian_split(law: Gaussian, scheme: SubsetScheme, parts: Sequence[Part]) -> tuple[SubsetFloor, ...]:
    """For a Gaussian law and location families of fixed scale.

    ``H_V`` is exact. The seen part costs at least the highest density, ``sum_i ln(1/sup v_i)``, and at least
    ``sum_i R_V(X_i) - TC(X_A)`` (:func:`discrete_split` says why), whichever is more.

    Raises:
        InputError: a family that is not for real numbers.
    """
    noises = [_location_family(part) for part in parts]
    corr, found = correlation(law.cov), []
    variances = np.diagonal(law.cov)
    with np.errstate(divide="ignore"):
        entropies = 0.5 * np.log(2 * math.pi * math.e * variances)
    alone = [noise.mixture_floor(float(h)) for noise, h in zip(noises, entropies, strict=True)]
    peaks = [float(noise.peak_loss(np.zeros(()))) for noise in noises]
    for subset, weight in scheme:
        known = law.layout.variables_of_modalities(subset)
        spread = imputed_moments(law.cov, known).unexplained
        unseen = [float(noises[v].loss_of_gaussian(spread[v])) for v in range(len(noises)) if v not in set(known)]
        minus_tc = half_logdet(corr[np.ix_(known, known)]) if known else 0.0
        seen = max(math.fsum(peaks[v] for v in known), math.fsum(alone[v] for v in known) + minus_tc)
        found.append(SubsetFloor(subset, float(weight), seen, math.fsum(unseen)))
    return tuple(found)


def _location_family(part: Part) -> GaussianNoise | LaplaceNoise:
    if isinstance(part.noise, GaussianNoise | LaplaceNoise):
        return part.noise
    family = "Bernoulli" if isinstance(part.noise, BernoulliNoise) else "categorical"
    raise InputError(f"{part.name!r} is Gaussian, so a {family} likelihood cannot produce it: use a density")


def discrete_split(
    law: Discrete, scheme: SubsetScheme, parts: Sequence[Part], values: Mapping[int, np.ndarray]
) -> tuple[SubsetFloor, ...]:
    """For a probability table and any families of fixed scale.

    Args:
        law: the table.
        scheme: the encoded subsets.
        parts: the blocks of the decoder, in any order.
        values: for each variable that has a noise family the values of its symbols.

    ``H_V`` is exact. The seen part costs at least ``E sum_m -ln sup v_m(X_m)`` and at least
    ``sum_m R_V(X_m) - TC(X_A)``, over its blocks, whichever is more. Proof of the second: with ``f_m`` the best mixture
    for block ``m`` alone, and ``c(x_A) = p(x_A) prod_m f_m(x_m)/p_m(x_m)``, every mixture ``g`` of products has
    ``-E ln g >= -E ln c - ln E[g/c]``, where ``E[g/c] <= sup_v prod_m sum_x p_m(x) v_m(x)/f_m(x) <= 1`` since each
    ``f_m`` is the best, and ``-E ln c`` is the claim.
    """
    alone = [_alone(law, part, values) for part in parts]
    found = []
    for subset, weight in scheme:
        known = law.layout.variables_of_modalities(subset)
        seen = [i for i, part in enumerate(parts) if subset >> part.modality & 1]
        unseen = math.fsum(
            _expected_loss(law, part, known, values) for part in parts if not subset >> part.modality & 1
        )
        joint = marginal_entropy(law.pmf, known) - math.fsum(alone[i].entropy for i in seen)
        peak, coded = math.fsum(alone[i].peak for i in seen), math.fsum(alone[i].mixture for i in seen) + joint
        found.append(SubsetFloor(subset, float(weight), max(peak, coded), unseen))
    return tuple(found)


@dataclass(frozen=True)
class _Alone:
    entropy: float
    peak: float
    mixture: float


def _alone(law: Discrete, part: Part, values: Mapping[int, np.ndarray]) -> _Alone:
    """``H``, the expected peak loss, and ``R_V`` from below, of one block."""
    entropy = marginal_entropy(law.pmf, part.variables)
    if part.noise is None:
        return _Alone(entropy, 0.0, entropy)
    (variable,) = part.variables
    pmf, numbers = _table(law, (), part.variables)[0], values[variable]
    return _Alone(entropy, float(pmf @ part.noise.peak_loss(numbers)), mixture_loss(pmf, numbers, part.noise).low)


def _expected_loss(law: Discrete, part: Part, known: Sequence[int], values: Mapping[int, np.ndarray]) -> float:
    """``H_V(X_m|X_A)``: the best decoder for each value of ``X_A``, on average."""
    table = _table(law, known, part.variables)
    if part.noise is None:
        return float(minus_xlogx(table).sum() - minus_xlogx(table.sum(axis=1)).sum())
    weights = table.sum(axis=1)
    table, weights = table[weights > 0], weights[weights > 0]
    return float(weights @ part.noise.best_loss(table / weights[:, None], values[part.variables[0]]))


def _table(law: Discrete, known: Sequence[int], block: Sequence[int]) -> np.ndarray:
    """``(a, k)``: the joint law of some variables and a block."""
    kept = [*known, *block]
    table = law.pmf.sum(axis=tuple(v for v in range(law.pmf.ndim) if v not in set(kept)))
    order = np.argsort(np.argsort(kept))
    return np.asarray(table.transpose(order).reshape(math.prod(law.pmf.shape[v] for v in known), -1))


def expected_variances(law: Discrete, known: Sequence[int], values: Mapping[int, np.ndarray]) -> np.ndarray:
    """``(d,)``: ``E Var(X_i|X_A)`` of every variable, zero where known."""
    found = np.zeros(law.pmf.ndim)
    for v in range(law.pmf.ndim):
        if v not in set(known):
            table = _table(law, known, [v])
            weights = table.sum(axis=1)
            safe = np.where(weights > 0, weights, 1.0)
            deviations = values[v] - (table @ values[v] / safe)[:, None]
            found[v] = float((table * deviations**2).sum())
    return found
