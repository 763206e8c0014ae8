"""Modalities that are alike, side by side: one encoder, decoder and density of all of them in place of one for each.

Many small models spend their time on starting operations, so three modalities in one take little longer than one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from toy_models.datasets import Modality
from toy_models.likelihoods import Density, Likelihood
from toy_models.networks import MLP, ConvolutionalDecoder, ConvolutionalEncoder, Generators


def alike(modalities: Sequence[Modality], likelihoods: Sequence[Likelihood]) -> list[tuple[int, ...]]:
    """Modalities by what their networks depend on: shape, symbols and likelihood.

    >>> pixels, word = Modality("pixels", (2,)), Modality("word", (1,), 5)
    >>> alike([pixels, word, pixels], [Likelihood("gaussian", 1), Likelihood("categorical"), Likelihood("gaussian", 1)])
    [(0, 2), (1,)]
    """
    found: dict[object, list[int]] = {}
    for m, (modality, likelihood) in enumerate(zip(modalities, likelihoods, strict=True)):
        found.setdefault((modality.shape, modality.symbols, likelihood), []).append(m)
    return [tuple(one) for one in found.values()]


class Stack(nn.Module):
    """The networks of ``G`` modalities that are alike, for ``E`` members.

    Args:
        which: the modalities.
        modality: one of them.
        likelihood: of each.
        coded: dimension of what is encoded and decoded.
        hidden: as in :class:`toy_models.models.Architecture`.
        network: likewise.
        generators: one for each member.
    """

    def __init__(
        self,
        which: tuple[int, ...],
        modality: Modality,
        likelihood: Likelihood,
        coded: int,
        hidden: tuple[int, ...],
        network: str,
        generators: Generators,
    ) -> None:
        super().__init__()
        self.which, self.symbols = which, modality.symbols
        copies = len(which)
        self.density = Density(likelihood, modality.n_units, modality.symbols, len(generators), copies)
        inputs = modality.n_units * (modality.symbols or 1)
        #: Numbers of the widest layer of the decoders for one latent.
        self.widest = copies * max([self.density.outputs, *hidden])
        if network == "conv":
            shape = (modality.shape[0], modality.shape[1], modality.shape[2])
            self.widest = copies * max(hidden[0] * shape[1] * shape[2] // 4, self.density.outputs)
            outputs = self.density.outputs // math.prod(shape)
            self.encoder: nn.Module = ConvolutionalEncoder(generators, copies, shape, hidden[0], 2 * coded)
            self.decoder: nn.Module = ConvolutionalDecoder(generators, copies, coded, hidden[0], shape, outputs)
        else:
            self.encoder = MLP(generators, copies, [inputs, *hidden, 2 * coded])
            self.decoder = MLP(generators, copies, [coded, *reversed(hidden), self.density.outputs])

    def of(self, parts: Sequence[Tensor]) -> Tensor:
        """Its modalities of ``M`` tensors ``(E, ...)`` as one, ``(E, G, ...)``."""
        return torch.stack([parts[m] for m in self.which], dim=1)

    def encode(self, x: Tensor) -> Tensor:
        """``(E, G, N, units) -> (E, G, N, 2 coded)``: real values as they are, symbols one-hot."""
        if self.symbols is not None:  # not one_hot, which looks at the values on a CPU
            dtype = next(self.encoder.parameters()).dtype
            x = (x.long().unsqueeze(-1) == torch.arange(self.symbols, device=x.device)).flatten(-2).to(dtype)
        found: Tensor = self.encoder(x.flatten(0, 1))
        return found.unflatten(0, x.shape[:2])

    def decode(self, z: Tensor) -> Tensor:
        """``(E, G, S, N, coded) -> (E, G, S, N, outputs)``."""
        found: Tensor = self.decoder(z.flatten(2, 3).flatten(0, 1))
        return found.unflatten(0, z.shape[:2]).unflatten(2, z.shape[2:4])
