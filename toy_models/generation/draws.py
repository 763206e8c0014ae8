"""What a trained model generates, as arrays: from its prior, from encoded subsets, and between two examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bounds.errors import InputError
from toy_models.fusion import standard_noise
from toy_models.latent_points import random_points
from toy_models.likelihoods import Density
from toy_models.member import SoloModel

#: ``mean`` is ``E[x|z]``, or the likeliest symbols; ``sample`` has the decoder's noise as well.
Decode = Literal["mean", "sample"]

#: Examples encoded and decoded at once.
CHUNK = 512


class Generative(Protocol):
    """What is asked of a model: :class:`toy_models.member.SoloModel` has it."""

    @property
    def prior(self) -> Distribution:
        """``p(z)``, event shape ``(k,)``."""
        ...

    def posterior(self, x: Sequence[Tensor], subset: int) -> Distribution:
        """``q_A(z|x_A)``, ``(N,)`` laws on ``(k,)``."""
        ...

    def reconstruction(self, z: Tensor) -> list[Tensor]:
        """``E[x_m|z]`` of each modality, ``(N, *shape)``, for ``z`` ``(N, k)``."""
        ...


def from_prior(model: Generative, n: int, generator: torch.Generator, decode: Decode = "mean") -> list[np.ndarray]:
    """For each modality ``(n, *shape)``, decoded from draws of the prior.

    Args:
        model: as trained.
        n: examples.
        generator: of all randomness.
        decode: means or samples of the decoder; only a :class:`SoloModel` has samples.

    Raises:
        InputError: no examples, or an unknown way to decode.
    """
    if n < 1:
        raise InputError(f"n={n}: generate at least one example")
    sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)]
    return _generated(model, (model.prior.expand(torch.Size([size])) for size in sizes), generator, decode)


def from_subset(
    model: Generative, x: Sequence[np.ndarray], subset: int, generator: torch.Generator, decode: Decode = "mean"
) -> list[np.ndarray]:
    """For each modality ``(N, *shape)``, seen or not, decoded from one draw of ``q_A(z|x_A)`` for each example.

    Args:
        model: as trained.
        x: for each modality ``(N, *shape)``; only those in the subset matter.
        subset: bitmask of the encoded modalities.
        generator: of all randomness.
        decode: as in :func:`from_prior`.

    Raises:
        InputError: no examples, a subset that the model cannot encode, or an unknown way to decode.
    """
    if not len(x) or not len(x[0]):
        raise InputError("there are no examples to encode: give at least one")
    parts = ([_tensor(part[start : start + CHUNK]) for part in x] for start in range(0, len(x[0]), CHUNK))
    return _generated(model, (model.posterior(part, subset) for part in parts), generator, decode)


def between(model: Generative, x: Sequence[np.ndarray], subset: int, steps: int) -> list[np.ndarray]:
    """For each modality ``(steps, *shape)``: means decoded on the line between the posterior means of two examples.

    Args:
        model: as trained.
        x: for each modality the two examples, ``(2, *shape)``.
        subset: bitmask of the encoded modalities.
        steps: points of the line, both ends among them.

    Raises:
        InputError: not two examples, or fewer than two steps.
    """
    if any(len(part) != 2 for part in x) or steps < 2:
        raise InputError(f"{steps} steps between {len(x[0])} examples: give two examples and at least 2 steps")
    with torch.no_grad():
        start, end = model.posterior([_tensor(part) for part in x], subset).mean
        z = torch.lerp(start, end, torch.linspace(0, 1, steps, dtype=start.dtype)[:, None])
        return [part.numpy() for part in model.reconstruction(z)]


@torch.no_grad()
def _generated(
    model: Generative, laws: Iterator[Distribution], generator: torch.Generator, decode: Decode
) -> list[np.ndarray]:
    """One draw of each law, decoded, chunk by chunk."""
    if decode not in ("mean", "sample"):
        raise InputError(f"decode={decode!r}: use 'mean' or 'sample'")
    chunks = []
    for law in laws:
        z = random_points(law, 1, "draws", generator).z[0]
        chunks.append(model.reconstruction(z) if decode == "mean" else _samples(model, z, generator))
    return [torch.cat(parts).numpy() for parts in zip(*chunks, strict=True)]


def _samples(model: Generative, z: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Draws of ``p(x_m|z, u_m)`` of each modality, ``(N, *shape)``."""
    if not isinstance(model, SoloModel):
        raise InputError(f"a {type(model).__name__} has no samples of its decoders: use decode='mean'")
    return model.decoded(z, lambda density, outputs: _draw(density, outputs, generator))


def _draw(density: Density, outputs: Tensor, generator: torch.Generator) -> Tensor:
    """``(..., N, units)`` draws of every unit, from the outputs ``(..., N, units * k)`` of decoders."""
    match density.likelihood.family:
        case "categorical":
            assert density.symbols is not None
            logits = outputs.unflatten(-1, (density.units, density.symbols))
            # the largest of log-odds with Gumbel noise is a draw
            waits = -torch.log1p(-torch.rand(logits.shape, generator=generator, dtype=outputs.dtype))
            return (logits - torch.log(waits)).argmax(dim=-1)
        case "bernoulli":
            u = torch.rand(outputs.shape, generator=generator, dtype=outputs.dtype)
            return (u < torch.sigmoid(outputs)).to(outputs.dtype)
        case "gaussian":
            return outputs + _scale(density, outputs) * standard_noise(
                "normal", outputs.shape, generator, outputs.dtype
            )
        case "laplace":
            return outputs + _scale(density, outputs) * standard_noise(
                "laplace", outputs.shape, generator, outputs.dtype
            )


def _scale(density: Density, outputs: Tensor) -> Tensor:
    if density.log_scale is not None:
        return density.log_scale.unsqueeze(2).exp()
    assert isinstance(density.likelihood.scale, float | int)
    return outputs.new_tensor(density.likelihood.scale)


def _tensor(part: np.ndarray) -> Tensor:
    return torch.tensor(part)  # a copy: rows of a dataset are read-only
