"""The terms of a mixture ELBO, and the inequalities between them that THEORY T0 is about."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

#: Relative rounding of a sum of a few thousand float64 terms; an inequality that fails by less is an equality.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Inequality:
    """``left >= right``, both in nats."""

    left: float
    right: float

    @property
    def margin(self) -> float:
        """``left - right``; NaN where both are the same infinity."""
        return _difference(self.left, self.right)

    @property
    def holds(self) -> bool:
        """Whether ``left >= right``, up to rounding (relative :data:`ROUNDING`).

        >>> Inequality(-1.0, -0.5).holds, Inequality(-math.inf, -0.5).holds, Inequality(-math.inf, -math.inf).holds
        (False, False, True)
        """
        if self.left >= self.right:
            return True
        scale = max(1.0, abs(self.left), abs(self.right))
        return math.isfinite(scale) and self.margin >= -ROUNDING * scale


@dataclass(frozen=True)
class SubsetTerms:
    """The terms of one encoded subset ``A``, in nats per example.

    Attributes:
        subset: bitmask of the encoded modalities.
        weight: ``w_A``, or the coefficient ``c_A`` of a sub-sampled scheme.
        seen: the units of ``A``.
        distortions: for each unit ``u`` of the data ``-E_p E_{q_A} ln p_theta(x_u|z)``.
        kl: ``E KL(q_A(z|x_A) || p_theta(z))``, the encoder's own density.
        evidence: ``E ln p_theta(x_A)``, of the encoded modalities alone.
        slack: ``epsilon_A = KL(P_A(z,x_A) || Q(z,x_A)) + sum_{m not in A} E_q KL(p(x_m|x_A) || p_theta(x_m|z))``,
            the exact distance of ``L_A`` from its ceiling ``-H(X) - TC_A`` (THEORY T2).
    """

    subset: int
    weight: float
    seen: tuple[int, ...]
    distortions: tuple[float, ...]
    kl: float
    evidence: float
    slack: float

    @property
    def distortion(self) -> float:
        """``D_A``, over all units."""
        return math.fsum(self.distortions)

    @property
    def elbo(self) -> float:
        """``L_A = -D_A - KL``, the K=1 ELBO on all units."""
        return -self.distortion - self.kl

    @property
    def own_elbo(self) -> float:
        """``ELBO_A(x_A)``: the ELBO on the encoded modalities alone, MVAE's sub-sampled term (THEORY T10.2)."""
        return -math.fsum(self.distortions[u] for u in self.seen) - self.kl


@dataclass(frozen=True)
class ElboTerms:
    """Exact terms of a model under a law and a scheme, in nats per example. Infinite values are kept.

    Attributes:
        subsets: the terms of each encoded subset.
        evidence: ``E ln p_theta(x)``.
        entropy: ``H(X)``.
        discrepancy: ``Delta(X,S)``.
        floor: ``sum_A w_A sum_{m not in A} H(X_m|X_A)`` over units (THEORY T1).
    """

    subsets: tuple[SubsetTerms, ...]
    evidence: float
    entropy: float
    discrepancy: float
    floor: float

    def _mean(self, term: Callable[[SubsetTerms], float]) -> float:
        return math.fsum(terms.weight * term(terms) for terms in self.subsets)

    @property
    def elbo(self) -> float:
        """``L_S = sum_A w_A L_A``."""
        return self._mean(lambda terms: terms.elbo)

    @property
    def distortion(self) -> float:
        """``D_S = sum_A w_A D_A``."""
        return self._mean(lambda terms: terms.distortion)

    @property
    def kl(self) -> float:
        """``sum_A w_A E KL(q_A || p_theta(z))``."""
        return self._mean(lambda terms: terms.kl)

    @property
    def slack(self) -> float:
        """``sum_A w_A epsilon_A = -H(X) - TCw - L_S`` (THEORY T2)."""
        return self._mean(lambda terms: terms.slack)

    @property
    def subset_evidence(self) -> float:
        """``sum_A w_A E ln p_theta(x_A)``, the evidence of the encoded subset."""
        return self._mean(lambda terms: terms.evidence)

    @property
    def gap(self) -> float:
        """``E ln p_theta(x) - L_S``; NaN where both are ``-inf``."""
        return _difference(self.evidence, self.elbo)

    @property
    def quoted(self) -> Inequality:
        """``E ln p_theta(x) >= L_S + Delta``: Theorem 1 as usually quoted, which need not hold (THEORY T0)."""
        return Inequality(self.evidence, self.elbo + self.discrepancy)

    @property
    def repaired(self) -> Inequality:
        """``sum_A w_A E ln p_theta(x_A) >= L_S + sum_A w_A sum_{m not in A} H(X_m|X_A)``, always true (THEORY T0)."""
        return Inequality(self.subset_evidence, self.elbo + self.floor)


@dataclass(frozen=True)
class MixtureTerms(ElboTerms):
    """The terms with those of the mixture ``qbar = sum_A w_A q_A``, for models whose mixture has a known density.

    Attributes:
        mixture_kl: ``E KL(qbar(z|x) || p_theta(z))``.
        label_information: ``I(A;Z|X)``, what the latent tells about the choice of the subset (THEORY T3).
        latent_total_correlation: ``TC(X|Z)`` over units, under ``p(x) qbar(z|x)`` (THEORY T3).
    """

    mixture_kl: float
    label_information: float
    latent_total_correlation: float

    @property
    def mixture_elbo(self) -> float:
        """``L_mix``: the ELBO with the mixture's density in the KL, ``L_S + I(A;Z|X)`` (THEORY T5)."""
        return -self.distortion - self.mixture_kl

    @property
    def best_elbo(self) -> float:
        """``-[H(X) + TC(X|Z) + I(A;Z|X)]``: the highest ``L_S`` of these encoders (THEORY T3)."""
        return -math.fsum([self.entropy, self.latent_total_correlation, self.label_information])


def _difference(left: float, right: float) -> float:
    return math.nan if math.isinf(left) and left == right else left - right
