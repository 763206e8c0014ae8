"""The objectives that published multimodal VAEs maximise, each a composition of the terms of one pass.

``w_A`` are the scheme's weights, ``z ~ q_A(z|x_A)``, ``log p(x_m|z)`` is summed over the units of modality ``m``, and
every objective is maximised. The name of each is its name in :data:`bounds.OBJECTIVES`, which says what bounds it.
Multipliers ``beta`` are one for each member of an ensemble, so ``beta`` has shape ``(E, 1)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from toy_models.fusion import Posterior


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass of a batch through an ensemble gives, for ``E`` members, ``S`` subsets, ``K`` draws, ``N`` rows.

    Attributes:
        weights: ``(S,)``, ``w_A`` or the coefficient of a sub-sampled scheme; ``(E, S)`` where members have their own.
        members: ``(S, M)``, which modalities each subset contains.
        prior: ``p(z)``, ``(E, 1, 1, k)``.
        experts: ``q(z|x_m)``, ``(E, M, N, k)``.
        posterior: ``q_A(z|x_A)``, ``(E, S, N, k)``.
        z: ``(E, S, K, N, k)``.
        log_likelihood: ``(E, S, K, N, M)``, ``ln p(x_m|z)``.
        private_kl: ``(E, M, N)``, ``KL(q(u_m|x_m) || p(u_m))`` of private latents, if there are any.
    """

    weights: Tensor
    members: Tensor
    prior: Posterior
    experts: Posterior
    posterior: Posterior
    z: Tensor
    log_likelihood: Tensor
    private_kl: Tensor | None

    def kl(self) -> Tensor:
        """``(E, S, N)``: ``KL(q_A || p)``, with those of the private latents that ``A`` encodes."""
        shared = self.posterior.kl(self.prior)
        if self.private_kl is None:
            return shared
        return shared + torch.einsum("sm,emn->esn", self.members, self.private_kl)

    def mean(self, of_subsets: Tensor) -> Tensor:
        """``sum_A w_A v_A``: ``(E, S, N) -> (E, N)``."""
        return (self.weights[..., None] * of_subsets).sum(dim=1)


Objective = Callable[[Pass, Tensor], Tensor]


def own_density(terms: Pass, beta: Tensor) -> Tensor:
    """``sum_A w_A [E sum_m ln p(x_m|z) - beta KL(q_A || p)]``: MVAE, the ELBO of MMVAE, MoPoE, MMVAE+.

    With ``beta = 1`` this is ``L_S`` of T2. MoPoE's paper states it with the density of the mixture in the KL and its
    code trains this one. For private latents (MMVAE+) the KL has ``KL(q(u_m|x_m) || p(u_m))`` of the encoded
    modality, and unseen modalities are decoded from draws of auxiliary priors, whose KL is not counted (T10.3).
    """
    fit = terms.log_likelihood.mean(dim=2).sum(-1)
    return terms.mean(fit - beta.unsqueeze(1) * terms.kl())


def sub_sampled(terms: Pass, beta: Tensor) -> Tensor:
    """``sum_A c_A [E sum_{m in A} ln p(x_m|z) - beta KL(q_A || p)]``: MVAE's training, and unimodal VAEs (T10.2).

    Each term is the ELBO of the modalities it encodes and of no other, so it bounds ``ln p(x_A)``. The coefficients
    are the expected numbers of times that MVAE draws a subset; its random choice is averaged out here.
    """
    own = torch.einsum("esknm,sm->eskn", terms.log_likelihood, terms.members)
    return terms.mean(own.mean(dim=2) - beta.unsqueeze(1) * terms.kl())


def iwae(terms: Pass, beta: Tensor) -> Tensor:
    """``sum_A w_A E ln (1/K) sum_k p(x, z_k) / q_A(z_k|x_A)`` (T5). ``beta`` multiplies ``ln q_A / p``."""
    own = terms.posterior.log_density(terms.z.movedim(2, 0)).movedim(0, 2)
    return terms.mean(_importance_weighted(terms, own, beta))


def iwae_mixture(terms: Pass, beta: Tensor) -> Tensor:
    """``sum_A w_A E ln (1/K) sum_k p(x, z_k) / sum_B w_B q_B(z_k|x_B)``: what MMVAE's released code trains (T5).

    Its bound on ``ln p(x)`` is the looser of two in that code; the gradient here is the plain one and not DReG's.
    """
    each = Posterior(
        terms.posterior.location[:, None, None], terms.posterior.scale[:, None, None], terms.posterior.family
    )
    densities = each.log_density(terms.z.unsqueeze(3))  # (E, S, K, B, N): each draw under each subset's encoder
    log_weights = torch.log(terms.weights).unflatten(-1, (1, 1, -1, 1))  # (..., 1, 1, B, 1)
    mixture = torch.logsumexp(densities + log_weights, dim=3)
    return terms.mean(_importance_weighted(terms, mixture, beta))


def mvtcae(terms: Pass, beta: Tensor, alpha: float = 0.5) -> Tensor:
    """``(M - a)/M E sum_m ln p(x_m|z) - beta [(1 - a) KL(q || p) + a/M sum_m KL(q || q_m)]``, ``q`` of all modalities.

    A bound on the total correlation and not on ``ln p(x)`` (T10.4): the second KL asks the joint encoder to be near
    what each single modality says, in place of cross-modal reconstruction.
    """
    n_modalities = terms.members.shape[1]
    fit = terms.log_likelihood.mean(dim=2).sum(-1) * (1 - alpha / n_modalities)
    near = Posterior(terms.posterior.location, terms.posterior.scale, terms.posterior.family).kl(terms.experts)
    cost = (1 - alpha) * terms.kl() + alpha * near.mean(dim=1, keepdim=True)
    return terms.mean(fit - beta.unsqueeze(1) * cost)


def _importance_weighted(terms: Pass, log_encoder: Tensor, beta: Tensor) -> Tensor:
    """``ln (1/K) sum_k exp(ln p(x|z) + beta (ln p(z) - ln q(z)))``, ``(E, S, N)``."""
    log_prior = terms.prior.log_density(terms.z.movedim(2, 0)).movedim(0, 2)
    log_weights = terms.log_likelihood.sum(-1) + beta[:, None, None] * (log_prior - log_encoder)
    return torch.logsumexp(log_weights, dim=2) - math.log(terms.z.shape[2])


#: By the name that :func:`bounds.elbo_ceiling` has for it.
OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "own-density": own_density,
        "beta": own_density,
        "private-auxiliary": own_density,
        "sub-sampled": sub_sampled,
        "iwae": iwae,
        "iwae-mixture": iwae_mixture,
        "mvtcae": mvtcae,
    }
)
