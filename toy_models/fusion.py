"""From one expert for each modality to the posterior of every encoded subset, all subsets in one product.

Experts and posteriors are laws with independent coordinates, of one family: Gaussian, or Laplace as MMVAE has it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from bounds.errors import InputError

Family = Literal["normal", "laplace"]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Laws of latents with independent coordinates: ``location`` and ``scale`` ``(..., k)``.

    The scale is the standard deviation of a Gaussian, and ``b`` of a Laplace law.
    """

    location: Tensor
    scale: Tensor
    family: Family = "normal"

    def reparametrised(self, noise: Tensor) -> Tensor:
        """Draws, from noise of :func:`standard_noise`."""
        return self.location + self.scale * noise

    def log_density(self, z: Tensor) -> Tensor:
        """``ln q(z)`` in nats, summed over the latents."""
        residual = (z - self.location) / self.scale
        if self.family == "laplace":
            return (-residual.abs() - torch.log(2 * self.scale)).sum(-1)
        return (-0.5 * residual**2 - torch.log(self.scale) - 0.5 * math.log(2 * math.pi)).sum(-1)

    def kl(self, other: Posterior) -> Tensor:
        """``KL(self || other)`` in closed form, summed over the latents; both of one family."""
        shift, ratio = self.location - other.location, self.scale / other.scale
        if self.family == "laplace":
            apart = shift.abs() / other.scale
            each = ratio * torch.exp(-shift.abs() / self.scale) + apart - torch.log(ratio) - 1
        else:
            each = 0.5 * (ratio**2 + (shift / other.scale) ** 2 - 1) - torch.log(ratio)
        return each.sum(-1)


def standard_noise(family: Family, shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Draws of the family's standard law, on the generator's device."""
    if family == "laplace":
        on = {"generator": generator, "device": generator.device, "dtype": dtype}
        side = torch.randint(2, shape, **on)  # type: ignore[call-overload]
        return (1 - 2 * side) * torch.log1p(-torch.rand(shape, **on))  # type: ignore[call-overload]
    return torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)


def membership(subsets: Iterable[int], n_modalities: int) -> Tensor:
    """``(S, M)``: 1 where a subset contains a modality.

    >>> membership([0b01, 0b11], 2)
    tensor([[1., 0.],
            [1., 1.]], dtype=torch.float64)
    """
    rows = [[float(subset >> m & 1) for m in range(n_modalities)] for subset in subsets]
    return torch.tensor(rows, dtype=torch.float64)


class Fusion(nn.Module):
    """From experts to ``q_A(z|x_A)`` of every encoded subset: the product of its experts, precisions added.

    Nothing here looks at a value, so that a GPU need not wait for one.

    Args:
        subsets: the encoded ones; one modality each is MMVAE, all of them MVAE, any others MoPoE.
        n_modalities: of the data.
        family: of the experts.
        prior_expert: whether the standard prior is one more expert in every product, as in MVAE.

    Raises:
        InputError: Laplace experts in a product, which is no Laplace law; an empty subset without a prior expert.
    """

    members: Tensor
    chosen: Tensor

    def __init__(self, subsets: Collection[int], n_modalities: int, family: Family, prior_expert: bool) -> None:
        super().__init__()
        sizes = {subset.bit_count() for subset in subsets}
        self.products, self.prior_expert = prior_expert or sizes != {1}, prior_expert
        if family == "laplace" and self.products:
            raise InputError("a product of Laplace experts is no Laplace law: encode single modalities, as MMVAE does")
        if not prior_expert and 0 in sizes:
            raise InputError("the empty subset has no expert: encode it with prior_expert=True")
        self.register_buffer("members", membership(subsets, n_modalities))
        self.register_buffer("chosen", self.members.argmax(dim=1), persistent=False)

    def forward(self, experts: Posterior) -> Posterior:
        """``(..., M, N, k) -> (..., S, N, k)``."""
        if not self.products:
            location, scale = (side.index_select(-3, self.chosen) for side in (experts.location, experts.scale))
            return Posterior(location, scale, experts.family)
        precision = experts.scale**-2
        total = torch.einsum("sm,...mnk->...snk", self.members, precision) + float(self.prior_expert)
        weighted = torch.einsum("sm,...mnk->...snk", self.members, precision * experts.location)
        return Posterior(weighted / total, total**-0.5)
