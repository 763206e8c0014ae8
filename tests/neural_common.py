"""Small data and models that the tests of the neural models share."""

import dataclasses

import numpy as np
import pytest
import torch

from bounds import Gaussian
from toy_models.datasets import Dataset, Modality
from toy_models.models import MODELS, Architecture, MultimodalVAE
from toy_models.objectives import Pass

#: Where a test runs: on the GPU too where there is one.
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")),
]


def gaussian_data(law: Gaussian, rows: int, seed: int = 0, dtype: type = np.float64) -> Dataset:
    """As many rows for training as held out, one coordinate for each variable."""
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(np.zeros(len(law.cov)), law.cov, size=2 * rows).astype(dtype)
    cuts = np.cumsum(law.layout.sizes)[:-1]
    train, held_out = (tuple(np.split(part, cuts, axis=1)) for part in (x[:rows], x[rows:]))
    sizes = zip(law.names, law.layout.sizes, strict=True)
    return Dataset("gaussian", tuple(Modality(name, (size,)) for name, size in sizes), train, held_out)


def mixed_data(rows: int = 60, seed: int = 0) -> Dataset:
    """Real, binary and symbolic modalities of unequal sizes, real ones in two precisions."""
    rng = np.random.default_rng(seed)
    modalities = (Modality("real", (2,)), Modality("binary", (1, 4, 4)), Modality("word", (2,), 3))
    parts = [
        (
            rng.normal(size=(rows, 2)),
            rng.integers(2, size=(rows, 1, 4, 4)).astype(np.float32),
            rng.integers(3, size=(rows, 2)),
        )
        for _ in range(2)
    ]
    return Dataset("mixed", modalities, *parts)


MIXED = ["gaussian:learned", "bernoulli", "categorical"]
#: Models that take the mixed data, by name.
NAMES = list(MODELS)


def mixed_architecture(model: str, data: Dataset, **more: object) -> Architecture:
    private = 2 if MODELS[model].private else 0
    return Architecture.of(data, model, MIXED, 3, **{"private": private, "hidden": (5,), **more})


def generators(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + number) for number in range(count)]


def random_module(architecture: Architecture, members: int, seed: int = 0) -> MultimodalVAE:
    """In float64, with parameters that start at zero moved away from it."""
    module = MultimodalVAE(architecture, generators(members, seed))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if any(word in name for word in ("log_scale", "prior_logits", "auxiliary")):
                noise = torch.rand(parameter.shape, generator=generators(1, seed + 99)[0], dtype=torch.float64)
                parameter.copy_(noise - 0.5)
    return module


def rows_of(data: Dataset, count: int, members: int) -> list[torch.Tensor]:
    """The first rows, the same for every member: ``(E, N, units)``."""
    return [torch.tensor(part[:count]).flatten(1).expand(members, count, -1) for part in data.train]


def one_pass(model: str, members: int = 2, count: int = 5, **more: object) -> tuple[Pass, MultimodalVAE]:
    """A pass of the mixed data through random models, everything in float64."""
    data = mixed_data()
    module = random_module(mixed_architecture(model, data, **more), members)
    subsets, draws, latents = module.architecture.noise_shape
    noise = torch.randn(members, subsets, draws, count, latents, generator=generators(1, 7)[0], dtype=torch.float64)
    x = [part.double() if part.is_floating_point() else part for part in rows_of(data, count, members)]
    with torch.no_grad():
        return module(x, noise), module


def changed(terms: Pass, **changes: object) -> Pass:
    return dataclasses.replace(terms, **changes)
