"""From one expert for each modality to the posterior of every encoded subset, all subsets in one product.

Experts and posteriors are laws with independent coordinates, of one family: Gaussian, or Laplace as MMVAE has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bounds.errors import InputError
from bounds.schemes import SubsetScheme

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


def membership(scheme: SubsetScheme) -> Tensor:
    """``(S, M)``: 1 where a subset contains a modality, in the order of the scheme.

    >>> from bounds import mmvae
    >>> membership(mmvae(2))
    tensor([[1., 0.],
            [0., 1.]], dtype=torch.float64)
    """
    rows = [[float(subset >> m & 1) for m in range(scheme.n_modalities)] for subset, _ in scheme]
    return torch.tensor(rows, dtype=torch.float64)


def check_fusion(subsets: Iterable[int], family: Family, prior_expert: bool) -> None:
    """Whether experts of a family can be fused for these subsets.

    Raises:
        InputError: Laplace experts in a product, which is no Laplace law; an empty subset without a prior expert.
    """
    sizes = [subset.bit_count() for subset in subsets]
    if family == "laplace" and (prior_expert or any(size != 1 for size in sizes)):
        raise InputError("a product of Laplace experts is no Laplace law: encode single modalities, as MMVAE does")
    if not prior_expert and 0 in sizes:
        raise InputError("the empty subset has no expert: encode it with prior_expert=True")


def fuse(experts: Posterior, members: Tensor, prior_expert: bool) -> Posterior:
    """``q_A(z|x_A)`` of every encoded subset: the product of its experts, precisions added.

    Nothing here looks at a value, so that a GPU need not wait for one: :func:`check_fusion` is for the subsets.

    Args:
        experts: ``(..., M, N, k)``.
        members: ``(S, M)`` of :func:`membership`; one modality each is MMVAE, all of them MVAE, any others MoPoE.
        prior_expert: whether the standard prior is one more expert in every product, as in MVAE.

    Returns:
        ``(..., S, N, k)``.
    """
    if experts.family == "laplace":  # of single modalities, see check_fusion
        chosen = members.argmax(dim=1)
        return Posterior(experts.location[..., chosen, :, :], experts.scale[..., chosen, :, :], "laplace")
    precision = experts.scale**-2
    total = torch.einsum("sm,...mnk->...snk", members, precision) + float(prior_expert)
    weighted = torch.einsum("sm,...mnk->...snk", members, precision * experts.location)
    return Posterior(weighted / total, total**-0.5)
