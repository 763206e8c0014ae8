"""Networks of many independent models at once.

Every parameter has the members of the ensemble as its first axis and the copies that each member has of the network,
one for each modality, as its second. Activations are ``(E G, N, features)``: every copy sees its own rows only, so
nothing that happens to one member reaches another. Each member draws its initial parameters from its own generator, so
it starts as it would alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

Generators = Sequence[torch.Generator]


def uniform(generators: Generators, shape: Sequence[int], bound: float) -> nn.Parameter:
    """``(E, *shape)`` in float64: uniform on ``[-bound, bound]``, each member from its own generator, on its device."""
    draws = [torch.rand(*shape, generator=g, device=g.device, dtype=torch.float64) for g in generators]
    return nn.Parameter((2 * torch.stack(draws) - 1) * bound)


class Linear(nn.Module):
    """``(E G, N, a) -> (E G, N, b)``, initialised as torch's own linear layer is."""

    def __init__(self, generators: Generators, copies: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(inputs, 1))
        self.weight = uniform(generators, (copies, inputs, outputs), bound)
        self.bias = uniform(generators, (copies, 1, outputs), bound)

    def forward(self, x: Tensor) -> Tensor:
        """One matrix product for each copy, all of them in one call."""
        return torch.baddbmm(self.bias.flatten(0, 1), x, self.weight.flatten(0, 1))


class Convolution(nn.Module):
    """``(E G, N, C, H, W) -> (E G, N, C', H/2, W/2)``, or twice the size with ``upward``; a group for each copy."""

    def __init__(self, generators: Generators, copies: int, inputs: int, outputs: int, *, upward: bool = False) -> None:
        super().__init__()
        bound = 1 / math.sqrt(16 * inputs)
        shape = (inputs, outputs, 4, 4) if upward else (outputs, inputs, 4, 4)
        self.weight = uniform(generators, (copies, *shape), bound)
        self.bias = uniform(generators, (copies, outputs), bound)
        self.upward = upward

    def forward(self, x: Tensor) -> Tensor:
        """Channels of all copies side by side, in as many groups."""
        copies = len(x)
        side_by_side = x.transpose(0, 1).flatten(1, 2)
        convolve = functional.conv_transpose2d if self.upward else functional.conv2d
        found = convolve(
            side_by_side, self.weight.flatten(0, 2), self.bias.flatten(), stride=2, padding=1, groups=copies
        )
        return found.unflatten(1, (copies, -1)).transpose(0, 1)


class MLP(nn.Module):
    """Linear layers with ReLU between them; without hidden layers an affine map."""

    def __init__(self, generators: Generators, copies: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(generators, copies, a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """``(E G, N, sizes[0]) -> (E G, N, sizes[-1])``."""
        for layer in self.layers[:-1]:
            x = layer(x).relu_()
        return self.layers[-1](x)


class ConvolutionalEncoder(nn.Module):
    """Images as flat rows ``(E G, N, C H W)`` to ``(E G, N, outputs)``: two halvings, then an affine map."""

    def __init__(
        self, generators: Generators, copies: int, shape: tuple[int, int, int], width: int, outputs: int
    ) -> None:
        super().__init__()
        self.shape = shape
        channels, height, across = shape
        self.first = Convolution(generators, copies, channels, width)
        self.second = Convolution(generators, copies, width, 2 * width)
        self.last = Linear(generators, copies, 2 * width * (height // 4) * (across // 4), outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``(E G, N, C H W) -> (E G, N, outputs)``."""
        x = torch.relu(self.first(x.unflatten(2, self.shape)))
        return self.last(torch.relu(self.second(x)).flatten(2))


class ConvolutionalDecoder(nn.Module):
    """Latents ``(E G, N, k)`` to numbers for each pixel ``(E G, N, C H W outputs)``, the encoder backwards."""

    def __init__(
        self, generators: Generators, copies: int, inputs: int, width: int, shape: tuple[int, int, int], outputs: int
    ) -> None:
        super().__init__()
        channels, height, across = shape
        self.outputs = outputs
        self.small = (2 * width, height // 4, across // 4)
        self.first = Linear(generators, copies, inputs, math.prod(self.small))
        self.second = Convolution(generators, copies, 2 * width, width, upward=True)
        self.last = Convolution(generators, copies, width, channels * outputs, upward=True)

    def forward(self, z: Tensor) -> Tensor:
        """The last axis runs over pixels, and inside a pixel over its outputs."""
        x = torch.relu(self.first(z)).unflatten(2, self.small)
        x = self.last(torch.relu(self.second(x)))  # channels are (C, outputs)
        return x.unflatten(2, (-1, self.outputs)).movedim(3, -1).flatten(2)
