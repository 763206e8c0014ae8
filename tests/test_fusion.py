"""Posteriors against torch.distributions and against products of densities on a grid, for all subsets."""

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Laplace, Normal, kl_divergence

from bounds import InputError, full, mmvae, mopoe
from toy_models.fusion import Fusion, Posterior, standard_noise

LAWS = {"normal": Normal, "laplace": Laplace}


def random_posterior(shape, family="normal", seed=0):
    rng = np.random.default_rng(seed)
    return Posterior(torch.tensor(rng.normal(size=shape)), torch.tensor(np.exp(rng.normal(size=shape) / 2)), family)


def law(posterior):
    return Independent(LAWS[posterior.family](posterior.location, posterior.scale), 1)


@pytest.mark.parametrize("family", LAWS)
def test_density_and_divergence_are_those_of_torch(family):
    one, other = random_posterior((4, 3), family), random_posterior((4, 3), family, 1)
    z = torch.tensor(np.random.default_rng(2).normal(size=(5, 4, 3)))
    torch.testing.assert_close(one.log_density(z), law(one).log_prob(z), rtol=1e-12, atol=1e-12)  # rounding
    torch.testing.assert_close(one.kl(other), kl_divergence(law(one), law(other)), rtol=1e-12, atol=1e-12)
    assert (one.kl(one).abs() < 1e-12).all()


def naive_product(experts, subset, prior, grid):
    """Mean and standard deviation of the product of the experts' densities on a grid, one coordinate."""
    logs = torch.zeros_like(grid)
    for m in range(len(experts.location)):
        if subset >> m & 1:
            logs += Normal(experts.location[m], experts.scale[m]).log_prob(grid)
    if prior:
        logs += Normal(0.0, 1.0).log_prob(grid)
    weights = torch.softmax(logs, dim=0)
    mean = (weights * grid).sum()
    return mean, ((weights * (grid - mean) ** 2).sum()).sqrt()


@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_all_subsets_are_products_of_densities(n, prior):
    scheme = mopoe(n)
    experts = random_posterior((n, 1, 1))
    found = Fusion(scheme.weights, n, "normal", prior)(experts)
    grid = torch.linspace(-20, 20, 40_001, dtype=torch.float64)  # sums of smooth densities: exact to rounding
    for s, (subset, _) in enumerate(scheme):
        mean, spread = naive_product(
            Posterior(experts.location.flatten(), experts.scale.flatten()), subset, prior, grid
        )
        torch.testing.assert_close(found.location[s, 0, 0], mean, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found.scale[s, 0, 0], spread, rtol=1e-9, atol=1e-9)


def test_batches_and_members_are_fused_apart():
    experts = random_posterior((2, 3, 5, 4))
    found = Fusion(mopoe(3).weights, 3, "normal", True)(experts)
    assert found.location.shape == (2, 7, 5, 4)
    for e in range(2):
        for n in range(5):
            row = Posterior(experts.location[e, :, n : n + 1], experts.scale[e, :, n : n + 1])
            alone = Fusion(mopoe(3).weights, 3, "normal", True)(row)
            torch.testing.assert_close(found.location[e, :, n], alone.location[:, 0], rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(found.scale[e, :, n], alone.scale[:, 0], rtol=1e-12, atol=1e-12)


def test_single_modalities_are_their_experts_and_the_empty_subset_is_the_prior():
    experts = random_posterior((3, 5, 2))
    found = Fusion(mmvae(3).weights, 3, "normal", False)(experts)
    torch.testing.assert_close(found.location, experts.location, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.scale, experts.scale, rtol=1e-12, atol=0)
    empty = Fusion([0], 3, "normal", True)(experts)
    assert (empty.location == 0).all()
    assert (empty.scale == 1).all()
    chosen = Fusion(mmvae(3).weights, 3, "laplace", False)(random_posterior((3, 5, 2), "laplace"))
    assert chosen.family == "laplace"
    assert torch.equal(chosen.location, random_posterior((3, 5, 2), "laplace").location)


def test_what_cannot_be_fused():
    for scheme, prior in ((full(3), False), (mopoe(3), False), (mmvae(3), True)):
        with pytest.raises(InputError, match="product of Laplace experts"):
            Fusion(scheme.weights, 3, "laplace", prior)
    with pytest.raises(InputError, match="the empty subset has no expert"):
        Fusion([0], 3, "normal", False)
    with pytest.raises(InputError, match="the empty subset has no expert"):
        Fusion([0, 1], 3, "normal", False)


@pytest.mark.parametrize("family", LAWS)
def test_noise_is_standard(family):
    noise = standard_noise(family, (200_000,), torch.Generator().manual_seed(1), torch.float64)
    again = standard_noise(family, (200_000,), torch.Generator().manual_seed(1), torch.float64)
    assert torch.equal(noise, again)
    standard = LAWS[family](torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
    uniform = np.sort(standard.cdf(noise).numpy())
    # Dvoretzky, Kiefer, Wolfowitz: exceeded with probability 2 exp(-2 n d^2) = 1e-6
    allowed = np.sqrt(np.log(2e6) / (2 * len(uniform)))
    assert np.abs(uniform - (np.arange(len(uniform)) + 0.5) / len(uniform)).max() < allowed


def test_draws_are_location_plus_scale_times_noise():
    one = random_posterior((4, 3))
    noise = torch.ones(4, 3, dtype=torch.float64)
    assert torch.equal(one.reparametrised(noise), one.location + one.scale)
