"""Models of MultiVae (version 1.0.3) as an audit asks for them: MVAE, MMVAE, MoPoE, MMVAE+ and MVTCAE.

Only the networks, the prior and the configuration of a model are used, never its loss: no multiplier of a likelihood or
a KL, no importance weights and no sub-sampling is in the terms. MultiVae itself is not imported.

What the library's models encode, by subset:

- MVAE: the product of the experts of the subset and the prior.
- MoPoE: the product of the experts of the subset, and of the prior if the subset has all modalities.
- MVTCAE: the product of the experts of the subset.
- MMVAE, MMVAE+: one modality's expert; for several modalities the mixture of theirs, as the library's ``encode`` draws.

Private latents stand behind the shared ones, ``(z, u_1, ..., u_M)``. The law of those of modalities outside the subset
is what the library draws to reconstruct them in training: the prior in MoPoE, the auxiliary prior in MMVAE+. So the
terms are those of an honest bound on ``ln p(x)``, which for MMVAE+ is not above its own objective.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, Laplace, MixtureSameFamily, Normal
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, softmax, softplus

from bounds.errors import InputError
from bounds.subsets import members

#: Added to the variances of experts before they are multiplied, in MoPoE and MVTCAE.
VARIANCE_EPS = 1e-8
#: Added to standard deviations and scales that come from softmax or softplus, in MMVAE and MMVAE+.
SCALE_EPS = 1e-6

#: Location and scale of a factorised law, ``(N, k)`` each.
Expert = tuple[Tensor, Tensor]


class MultiVaeModel(torch.nn.Module):
    """A trained MultiVae model, for :func:`toy_models.evaluate.evaluate` and :func:`toy_models.evidence.log_evidence`.

    Data are a mapping of the library's modality names to tensors, or a sequence in the order of ``names``. Binary data
    must be 0 or 1, categorical data one-hot along the last axis.

    Args:
        model: an instance of MVAE, MMVAE, MoPoE, MMVAEPlus or MVTCAE, of these very classes.

    Raises:
        InputError: another model. Joint encoders (JMVAE, TELBO, JNF), conditional models (CVAE), several layers of
            latents (MHVAE, Nexus) and models that learn how to cluster or to select (CMVAE, CRMVAE, DMVAE) have
            encoders that this module does not know.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        name = type(model).__name__
        if name not in _FUSED and name not in _MIXED:
            raise InputError(
                f"{name} has no adapter: give one of {', '.join([*_FUSED, *_MIXED])} of MultiVae 1.0.3, or write "
                "posterior(), log_likelihood() and prior for it"
            )
        self.model = model
        self.names = tuple(model.encoders)
        config = model.model_config
        sizes = config.modalities_specific_dim if hasattr(config, "modalities_specific_dim") else None
        #: Private latents of each modality.
        self.private = tuple(int(sizes[m]) if isinstance(sizes, Mapping) else int(sizes or 0) for m in self.names)
        self._kind = name
        self._latents = int(config.latent_dim)

    @property
    def prior(self) -> Distribution:
        """``p(z) prod_m p(u_m)`` with event shape ``(k,)``, learned or not, normal or Laplace."""
        if self._kind in _FUSED:
            like = next(self.model.parameters())
            zeros = like.new_zeros(self._latents + sum(self.private))
            return _law((zeros, torch.ones_like(zeros)), laplace=False)
        location, scale = (part[0] for part in self.model.pz_params)
        if self._kind == "MMVAEPlus":  # the private part of the prior is the same for each modality
            location, scale = (
                torch.cat([part[: self._latents], *[part[self._latents :]] * len(self.names)])
                for part in (location, scale)
            )
        return _law((location, scale), self._laplace)

    def posterior(self, x: Mapping[str, Tensor] | Sequence[Tensor], subset: int) -> Distribution:
        """``q_A(z, u|x_A)`` from the encoders of the subset alone.

        Raises:
            InputError: a subset that the model does not encode.
        """
        seen = members(subset)
        if not seen and self._kind != "MVAE":
            raise InputError(f"{self._kind} has no encoder of the empty subset: leave it out of the scheme")
        if self._kind == "MoPoE":
            known = [set(subset) for subset in self.model.subsets.values()]
            if {self.names[m] for m in seen} not in known:
                shown = ", ".join(self.names[m] for m in seen)
                raise InputError(f"this MoPoE was not set up to encode {shown}: leave that subset out of the scheme")
        parts = self._parts(x)
        outputs = {m: self.model.encoders[self.names[m]](parts[m]) for m in seen}
        private = [self._private(outputs, m, len(parts[0])) for m in range(len(self.names))]
        if self._kind in _FUSED:
            experts = [(outputs[m].embedding, outputs[m].log_covariance) for m in seen]
            shared = [self._product(experts, len(parts[0]))]
        else:
            shared = [(outputs[m].embedding, self._scale(outputs[m].log_covariance)) for m in seen]
        whole = [_side_by_side([one, *private]) for one in shared]
        if len(whole) == 1:
            return _law(whole[0], self._laplace)
        stacked = torch.stack([location for location, _ in whole], 1), torch.stack([scale for _, scale in whole], 1)
        even = Categorical(logits=torch.zeros_like(stacked[0][..., 0]))
        return MixtureSameFamily(even, _law(stacked, self._laplace))

    def log_likelihood(self, x: Mapping[str, Tensor] | Sequence[Tensor], z: Tensor) -> Tensor:
        """``(..., N, M)``, ``ln p(x_m|z, u_m)`` with all constants and no multiplier, summed over the modality.

        Raises:
            InputError: binary data other than 0 or 1, categorical data that are not one-hot.
        """
        parts = self._parts(x)
        shared, private = z[..., : self._latents], z[..., self._latents :].split(self.private, dim=-1)
        found = []
        for name, target, own in zip(self.names, parts, private, strict=True):
            latent = torch.cat([shared, own], dim=-1)
            flat = self.model.decoders[name](latent.reshape(-1, latent.shape[-1])).reconstruction
            decoded = flat.reshape(*z.shape[:-1], *target.shape[1:])
            each = self._density(name)(decoded, target.to(decoded.dtype).expand_as(decoded), name)
            found.append(each.reshape(*z.shape[:-1], -1).sum(-1))
        return torch.stack(found, dim=-1)

    @property
    def _laplace(self) -> bool:
        return self._kind in _MIXED and self.model.model_config.prior_and_posterior_dist == "laplace_with_softmax"

    def _parts(self, x: Mapping[str, Tensor] | Sequence[Tensor]) -> list[Tensor]:
        if isinstance(x, Mapping):
            if tuple(x) != self.names:
                raise InputError(
                    f"the modalities are {', '.join(x)}, the model's {', '.join(self.names)}: give them in this order, "
                    "which is also that of the bits of a subset"
                )
            return list(x.values())
        return list(x)

    def _scale(self, raw: Tensor) -> Tensor:
        """Scales as MMVAE and MMVAE+ read them off a network."""
        family = self.model.model_config.prior_and_posterior_dist
        if family == "laplace_with_softmax":
            return softmax(raw, dim=-1) * raw.shape[-1] + SCALE_EPS
        return softplus(raw) + SCALE_EPS if family == "normal_with_softplus" else torch.exp(0.5 * raw)

    def _product(self, experts: list[tuple[Tensor, Tensor]], n: int) -> Expert:
        """The product of experts given by location and log-variance, and of the prior where the model has it there."""
        eps = 0.0 if self._kind == "MVAE" else VARIANCE_EPS
        if self._kind == "MVAE" or (self._kind == "MoPoE" and len(experts) == len(self.names)):
            zeros = next(self.model.parameters()).new_zeros(n, self._latents)
            experts = [*experts, (zeros, zeros)]
        precision = torch.stack([1 / (torch.exp(log_variance) + eps) for _, log_variance in experts])
        location = (precision * torch.stack([where for where, _ in experts])).sum(0) / precision.sum(0)
        return location, precision.sum(0) ** -0.5

    def _private(self, outputs: Mapping[int, Any], m: int, n: int) -> Expert:
        """The law of one modality's private latents: its encoder's, or what stands in for it."""
        if m in outputs and self.private[m]:
            location, raw = outputs[m].style_embedding, outputs[m].style_log_covariance
            return location, torch.exp(0.5 * raw) if self._kind in _FUSED else self._scale(raw)
        zeros = next(self.model.parameters()).new_zeros(n, self.private[m])
        if self._kind != "MMVAEPlus" or not self.private[m]:
            return zeros, torch.ones_like(zeros)
        name = self.names[m]
        return self.model.mean_priors[name] + zeros, self._scale(self.model.logvars_priors[name]) + zeros

    def _density(self, name: str) -> Callable[[Tensor, Tensor, str], Tensor]:
        family = self.model.model_config.decoders_dist[name]
        scale = float((self.model.model_config.decoder_dist_params.get(name) or {}).get("scale", 1.0))
        if family == "normal":
            return lambda mean, x, _: Normal(mean, scale).log_prob(x)
        if family == "laplace":
            return lambda mean, x, _: Laplace(mean, scale).log_prob(x)
        return _bernoulli if family == "bernoulli" else _categorical


#: Models whose subsets are encoded by products of experts, and by mixtures.
_FUSED = ("MVAE", "MoPoE", "MVTCAE")
_MIXED = ("MMVAE", "MMVAEPlus")


def _law(expert: Expert, laplace: bool) -> Distribution:
    family = Laplace if laplace else Normal
    return Independent(family(*expert), 1)


def _side_by_side(parts: Sequence[Expert]) -> Expert:
    locations, scales = zip(*parts, strict=True)
    return torch.cat(locations, dim=-1), torch.cat(scales, dim=-1)


def _bernoulli(logits: Tensor, x: Tensor, name: str) -> Tensor:
    if not ((x == 0) | (x == 1)).all():
        raise InputError(
            f"{name} has a Bernoulli decoder and values other than 0 and 1, of which that is no density (THEORY T7): "
            "binarise it"
        )
    return -binary_cross_entropy_with_logits(logits, x, reduction="none")


def _categorical(logits: Tensor, x: Tensor, name: str) -> Tensor:
    if not (((x == 0) | (x == 1)).all() and (x.sum(-1) == 1).all()):
        raise InputError(f"{name} has a categorical decoder: give it one-hot along the last axis")
    return x * log_softmax(logits, dim=-1)
