"""One trained member as an audit asks for it: prior, posterior of any subset, log-likelihood, all in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace, Normal

from bounds.errors import InputError
from toy_models.fusion import Fusion, Posterior
from toy_models.likelihoods import Density
from toy_models.models import MultimodalVAE


class SoloModel(torch.nn.Module):
    """A member by itself, see :meth:`toy_models.train.Trained.solo`.

    Its latent is ``(z, u_1, ..., u_M)``, shared and private parts side by side. A subset that does not see modality
    ``m`` has the auxiliary prior as its law of ``u_m``, so the K=1 ELBO from these parts counts
    ``KL(r_m(u_m) || p(u_m))`` as well, which MMVAE+'s own objective does not: an honest bound on ``ln p(x)``, and never
    above that objective.

    Args:
        model: of one member.

    Raises:
        InputError: a module of several members.
    """

    def __init__(self, model: MultimodalVAE) -> None:
        super().__init__()
        if model.n_members != 1:
            raise InputError(f"a module of {model.n_members} members: take one with Trained.solo(index)")
        self.model = model
        self._latents = model.architecture.latents
        self._private = len(model.architecture.modalities), model.architecture.private

    @property
    def prior(self) -> Distribution:
        """``p(z) prod_m p(u_m)``, with event shape ``(latents + M * private,)``."""
        prior = self.model.prior()
        n_private = self._private[0] * self._private[1]
        location = torch.cat([prior.location[0, 0, 0], prior.location.new_zeros(n_private)])
        scale = torch.cat([prior.scale[0, 0, 0], prior.scale.new_ones(n_private)])
        return _law(Posterior(location, scale, prior.family))

    def posterior(self, x: Sequence[Tensor], subset: int) -> Distribution:
        """``q_A(z, u|x_A)`` for a bitmask of modalities, ``(N,)`` laws on ``(latents + M * private,)``.

        Args:
            x: for each modality ``(N, *shape)``; those outside the subset are not looked at.
            subset: encoded or not in training.

        Raises:
            InputError: a subset that the model's experts cannot encode.
        """
        model, (n_modalities, private) = self.model, self._private
        if not 0 <= subset < 1 << n_modalities:
            raise InputError(f"subset {subset}: a bitmask of {n_modalities} modalities is below {1 << n_modalities}")
        model_class = model.architecture.model_class
        fusion = Fusion([subset], n_modalities, model_class.family, model_class.prior_expert).to(model.weights)
        seen = [part if subset >> m & 1 else torch.zeros_like(part) for m, part in enumerate(x)]
        experts, own = model.experts(self._rows(seen))
        shared: Posterior = fusion(experts)
        parts = [(shared.location[0, 0], shared.scale[0, 0])]
        for m in range(n_modalities if private else 0):
            if subset >> m & 1:
                parts.append((own.location[0, m], own.scale[0, m]))
            else:
                scale = torch.exp(model.auxiliary[0, m]).expand_as(own.scale[0, m])
                parts.append((torch.zeros_like(scale), scale))
        locations, scales = (torch.cat(side, dim=-1) for side in zip(*parts, strict=True))
        return _law(Posterior(locations, scales, shared.family))

    def log_likelihood(self, x: Sequence[Tensor], z: Tensor) -> Tensor:
        """``ln p(x_m|z, u_m)`` of each modality, its units summed: ``(..., N, M)``.

        Args:
            x: for each modality ``(N, *shape)``.
            z: ``(..., N, latents + M * private)``.
        """
        flat = z.reshape(1, -1, *z.shape[-2:])
        private = flat[..., self._latents :].unflatten(-1, self._private)
        fits = self.model.log_likelihood([part[:, None] for part in self._rows(x)], flat[..., : self._latents], private)
        return fits.reshape(*z.shape[:-1], len(x))

    def reconstruction(self, z: Tensor) -> list[Tensor]:
        """``E[x_m|z, u_m]`` of each modality, the likeliest symbols of categorical ones: ``(N, *shape)``."""
        return self.decoded(z, lambda density, outputs: density.mean(outputs))

    def decoded(self, z: Tensor, rows: Callable[[Density, Tensor], Tensor]) -> list[Tensor]:
        """What is made of the decoders' outputs, for each modality ``(N, *shape)``.

        Args:
            z: ``(N, latents + M * private)``.
            rows: a density and its outputs ``(1, G, 1, N, units * k)`` to ``(1, G, 1, N, units)``.
        """
        private = z[None, None, :, self._latents :].unflatten(-1, self._private)
        parts = [rows(*one) for one in self.model.decode(z[None, None, :, : self._latents], private)]
        shapes = [modality.shape for modality in self.model.architecture.modalities]
        found = zip(self.model.by_modality(parts), shapes, strict=True)
        return [part[0, 0].unflatten(-1, shape) for part, shape in found]

    def _rows(self, x: Sequence[Tensor]) -> list[Tensor]:
        """Rows of one member, ``(1, N, units)``; real values in the model's precision."""
        dtype = self.model.weights.dtype
        rows = [part.flatten(1)[None] for part in x]
        return [part.to(dtype) if part.is_floating_point() else part for part in rows]


def _law(posterior: Posterior) -> Distribution:
    family = Laplace if posterior.family == "laplace" else Normal
    return Independent(family(posterior.location, posterior.scale), 1)
