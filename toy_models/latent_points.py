"""Points of a latent over which a function of it is averaged: a grid, shifted Sobol points, or draws.

Uniform numbers are taken from a generator on the CPU, example after example, so neither the batches nor the device
change them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, kl_divergence
from torch.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal

from bounds.errors import InputError

Method = Literal["auto", "gauss-hermite", "sobol", "draws"]
METHODS = ("auto", "gauss-hermite", "sobol", "draws")

#: Latent dimensions up to which a tensor grid is of use.
GRID_DIMENSIONS = 2
#: Dimensions of torch's Sobol sequence.
SOBOL_DIMENSIONS = torch.quasirandom.SobolEngine.MAXDIM
#: Uniform numbers keep this far from 0 and 1, whose quantiles are infinite: 2^-53, the spacing of the numbers.
OPEN = 2.0**-53


def latent_law(found: object, lead: tuple[int, ...], what: str) -> Distribution:
    """A distribution with batch shape ``lead`` and event shape ``(k,)``.

    Raises:
        InputError: no distribution of torch, or other shapes.

    >>> latent_law(Normal(torch.zeros(5, 2), 1.0), (5,), "the posterior").event_shape
    torch.Size([2])
    """
    if not isinstance(found, Distribution):
        raise InputError(f"{what} is a {type(found).__name__}: return a torch.distributions.Distribution")
    batch, event = tuple(found.batch_shape), tuple(found.event_shape)
    if len(event) == 1 and batch == lead:
        return found
    if not event and len(batch) == len(lead) + 1 and batch[:-1] == lead:
        return Independent(found, 1)
    raise InputError(
        f"{what} has batch shape {batch} and event shape {event}: they must be {lead} and (k,), or {(*lead, 'k')} "
        "and ()"
    )


def as_normal(law: Distribution) -> MultivariateNormal | None:
    """A Gaussian law with its Cholesky factor, or None for any other law."""
    if isinstance(law, MultivariateNormal):
        return law
    if isinstance(law, LowRankMultivariateNormal):
        return MultivariateNormal(law.loc, scale_tril=law.scale_tril)
    if isinstance(law, Independent) and type(law.base_dist) is Normal:
        base = law.base_dist
        return MultivariateNormal(base.loc, scale_tril=torch.diag_embed(base.scale))
    return None


def exact_kl(posterior: Distribution, prior: Distribution) -> Tensor | None:
    """``(N,)``, ``KL(q || p)`` in nats in closed form, or None where torch has none.

    >>> exact_kl(latent_law(Normal(torch.ones(2, 1), 1.0), (2,), "q"), latent_law(Normal(torch.zeros(1), 1.0), (), "p"))
    tensor([0.5000, 0.5000])
    """
    try:
        return kl_divergence(posterior, prior)
    except NotImplementedError:
        q, p = as_normal(posterior), as_normal(prior)
        return None if q is None or p is None else kl_divergence(q, p)


def standardised(law: Distribution) -> Callable[[Tensor], Tensor] | None:
    """Standard normals ``(S, N, k)`` to a Gaussian law, or None for any other law."""
    if isinstance(law, Independent) and type(law.base_dist) is Normal:
        base = law.base_dist
        return lambda e: base.loc + base.scale * e
    normal = as_normal(law)
    return None if normal is None else lambda e: normal.loc + (normal.scale_tril @ e[..., None])[..., 0]


def from_uniforms(law: Distribution) -> Callable[[Tensor], Tensor] | None:
    """Uniform numbers ``(S, N, k)`` to a law, or None for one whose coordinates have no quantile function."""
    normal = standardised(law)
    if normal is not None:
        return lambda u: normal(torch.special.ndtri(u))
    if not isinstance(law, Independent) or law.base_dist.event_shape:
        return None
    try:
        law.base_dist.icdf(torch.full_like(law.mean, 0.5))
    except NotImplementedError:
        return None
    return law.base_dist.icdf


@dataclass(frozen=True, eq=False)
class Points:
    """``z`` is ``(S, N, k)``, and the mean of a function over them has the weights ``(S,)``."""

    z: Tensor
    weights: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """Over the first axis of ``(S, ...)``."""
        return torch.tensordot(self.weights, values, dims=1)


def grid_points(law: Distribution, most: int) -> Points:
    """A Gauss-Hermite tensor grid of at most so many points for a Gaussian law.

    Exact for polynomials of degree below twice the points of an axis, and fast for smooth functions.

    Raises:
        InputError: another law, or more than :data:`GRID_DIMENSIONS` latent dimensions.
    """
    moved, k = standardised(law), law.event_shape[0]
    if moved is None or k > GRID_DIMENSIONS:
        raise InputError(
            f"a Gauss-Hermite grid needs a normal posterior with at most {GRID_DIMENSIONS} latent dimensions, not "
            f"{type(law).__name__} with {k}: use method='sobol' or 'draws'"
        )
    side = round(most ** (1 / k) - 0.5 + 1e-9)
    nodes, weights = np.polynomial.hermite_e.hermegauss(max(side, 1))
    axes = np.meshgrid(*[nodes] * k, indexing="ij")
    products = np.prod(np.meshgrid(*[weights / weights.sum()] * k, indexing="ij"), axis=0)
    like = law.mean
    grid = torch.as_tensor(np.stack([axis.ravel() for axis in axes], axis=-1)).to(like)
    return Points(
        moved(grid[:, None, :].expand(-1, law.batch_shape[0], -1)), torch.as_tensor(products.ravel()).to(like)
    )


def random_points(law: Distribution, draws: int, method: str, generator: torch.Generator) -> Points:
    """Sobol points moved by an independent uniform shift for each example, or independent draws.

    Means over either have the right expectation, and their errors are independent between examples. Draws of a law
    without quantile function are torch's own, seeded from the generator.

    Raises:
        InputError: Sobol points for a law without quantile function, or of too many dimensions.
    """
    moved, n, k = from_uniforms(law), law.batch_shape[0], law.event_shape[0]
    if method == "sobol" and (moved is None or k > SOBOL_DIMENSIONS):
        raise InputError(
            f"Sobol points need a posterior with a quantile function and at most {SOBOL_DIMENSIONS} dimensions, not "
            f"{law} with {k}: use method='draws'"
        )
    if moved is None:
        z = seeded_draws(law, draws, generator)
    else:
        u = uniforms(draws, n, k, method, generator)
        z = moved(u.to(law.mean.device))
    return Points(z, z.new_full((draws,), 1 / draws))


def uniforms(draws: int, n: int, k: int, method: str, generator: torch.Generator) -> Tensor:
    """``(S, N, k)`` in the open unit interval, float64 on the CPU."""
    if method == "sobol":
        points = torch.quasirandom.SobolEngine(k).draw(draws, dtype=torch.float64)
        shifts = torch.rand((n, k), generator=generator, dtype=torch.float64)
        u = (points[:, None, :] + shifts) % 1.0
    else:
        u = torch.rand((n, draws, k), generator=generator, dtype=torch.float64).transpose(0, 1)
    return u.clamp(OPEN, 1 - OPEN)


def seeded_draws(law: Distribution, draws: int, generator: torch.Generator) -> Tensor:
    """``law.sample((draws,))`` with a seed from the generator; torch's global generators stay as they were."""
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return law.sample(torch.Size((draws,)))
