"""Pinned values of THEORY T7: restricted likelihoods."""

import math

import numpy as np
import pytest
from pins_common import LN2, assert_closed, assert_printed, equicorrelated, h2
from scipy.optimize import minimize

from bounds import Discrete, Gaussian, SubsetScheme, elbo_ceiling, entropy, mmvae
from bounds.likelihood.linear_vae import LinearEncoder, LinearVAE
from bounds.likelihood.mixture_loss import finite_mixture_loss, mixture_loss
from bounds.likelihood.noise import BernoulliNoise
from bounds.likelihoods import likelihood_ceiling
from bounds.symbolic.likelihoods import learned_variance_floor, likelihood_floor, split_floor

LAW = equicorrelated(3, 0.5)
FIRST = SubsetScheme({0b001: 1}, 3)
SD = math.sqrt(0.1)


def test_fixed_variance():
    result = likelihood_ceiling(LAW, FIRST, f"gaussian:{SD!r}")
    assert_printed(-float(result), "8.656963")
    assert (result.form, result.ceiling.guarantee) == ("attained", "exact")
    # By symmetry MMVAE has the same floor for each of its subsets.
    assert_closed(float(likelihood_ceiling(LAW, mmvae(3), f"gaussian:{SD!r}")), float(result))


def test_split_form():
    result = likelihood_ceiling(LAW, FIRST, f"gaussian:{SD!r}", form="split")
    assert_printed(-float(result), "8.454231")
    assert result.form == "split"
    (floor,) = result.floors
    assert_closed(floor.seen, 0.5 * math.log(2 * math.pi * math.e))
    assert_closed(floor.unseen, math.log(2 * math.pi * 0.1) + 0.75 / 0.1)


def test_learned_variance_lies_between_t2_and_collapse():
    h, collapse = LAW.entropy_vector(), 1.5 * math.log(2 * math.pi * math.e)
    learned = likelihood_ceiling(LAW, mmvae(3), "gaussian:learned")
    assert_printed(float(entropy(h)), "3.910242")
    assert_printed(-float(elbo_ceiling(h, mmvae(3))), "3.969134")
    assert_printed(-float(learned), "4.171866")
    assert_printed(collapse, "4.256816")
    assert learned.deviations == pytest.approx({name: math.sqrt(0.75) for name in LAW.names}, rel=1e-6)
    assert_closed(float(likelihood_ceiling(LAW, mmvae(3), "gaussian:learned-common")), float(learned))


def test_a_variance_that_depends_on_the_latent_returns_to_t2():
    result = likelihood_ceiling(LAW, mmvae(3), "gaussian:conditional")
    assert result.form == "T2"
    assert float(result) == float(elbo_ceiling(LAW.unit_entropies(), mmvae(3)))
    assert_printed(-float(result), "3.969134")


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("rho", [-0.2, 0.3, 0.9])
@pytest.mark.parametrize("variance", [0.05, 0.9])
def test_the_closed_forms_for_exchangeable_laws(count, rho, variance):
    law, likelihood = equicorrelated(count, rho), f"gaussian:{math.sqrt(variance)!r}"
    attained = likelihood_ceiling(law, mmvae(count), likelihood)
    split = likelihood_ceiling(law, mmvae(count), likelihood, form="split")
    assert_closed(-float(attained), float(likelihood_floor(count, rho, variance)))
    assert_closed(-float(split), float(split_floor(count, rho, variance)))
    # Certified by duality, so the value is as exact as the sums that it comes from.
    learned = likelihood_ceiling(law, mmvae(count), "gaussian:learned")
    assert_closed(-float(learned), float(learned_variance_floor(count, rho)))


def numerical_linear_vae(law: Gaussian, subset: int, variances: np.ndarray, latents: int, seed: int) -> float:
    """The best ELBO that a general-purpose optimiser finds over loadings, gains and encoder covariances."""
    d, seen = len(law.cov), len(law.layout.variables_of_modalities(subset))
    shapes = [(d, latents), (latents, seen), (latents, latents)]
    ends = np.cumsum([0, *(math.prod(shape) for shape in shapes)])

    def loss(theta: np.ndarray) -> float:
        loading, gain, root = (
            theta[a:b].reshape(shape) for a, b, shape in zip(ends[:-1], ends[1:], shapes, strict=True)
        )
        lower = np.tril(root, -1) + np.diag(np.exp(np.diagonal(root)))
        return -LinearVAE(loading, variances, {subset: LinearEncoder(gain, lower @ lower.T)}).elbo(law, subset)

    start = 0.3 * np.random.default_rng(seed).normal(size=ends[-1])
    return -float(minimize(loss, start, method="BFGS", options={"gtol": 1e-7}).fun)


@pytest.mark.parametrize(
    ("law", "subset", "variances"),
    [
        (LAW, 0b001, np.full(3, 0.1)),
        (LAW, 0b011, np.full(3, 0.4)),
        (LAW, 0b111, np.full(3, 0.1)),
        (LAW, 0b001, np.full(3, 2.0)),
        (Gaussian([[2.0, 0.9, -0.4], [0.9, 1.0, 0.3], [-0.4, 0.3, 0.5]]), 0b101, np.array([0.2, 0.1, 0.6])),
    ],
)
def test_a_numerical_linear_vae_attains_the_ceiling_of_one_subset(law, subset, variances):
    """1e-6: the optimiser stops at a gradient of 1e-7, estimated by differences of relative size 1e-8."""
    scales = ",".join(f"{n}={math.sqrt(v)!r}" for n, v in zip(law.names, variances.tolist(), strict=True))
    ceiling = float(likelihood_ceiling(law, SubsetScheme({subset: 1}, 3), f"gaussian:{scales}"))
    best = max(numerical_linear_vae(law, subset, variances, latents=3, seed=seed) for seed in range(2))
    assert best == pytest.approx(ceiling, abs=1e-6)
    assert best <= ceiling + 1e-12 * abs(ceiling)


def test_a_mixture_of_two_coins_loses_more_than_the_entropy():
    coin = np.array([0.95, 0.05])
    found = finite_mixture_loss(coin, np.array([[0.9, 0.1], [0.1, 0.9]]))
    assert_printed(found.high, "0.215222")
    assert_closed(found.high, -(0.95 * math.log(0.9) + 0.05 * math.log(0.1)))
    assert found.high - found.low <= 1e-8  # certified by the dual
    assert_printed(h2(0.05), "0.198515")
    assert found.low > h2(0.05)


def test_bernoulli_on_grey_values_loses_less_than_the_entropy():
    grey = np.full(3, 1 / 3)
    found = mixture_loss(grey, np.array([0.0, 0.5, 1.0]), BernoulliNoise())
    assert found.high <= LN2 * (1 + 1e-12) < math.log(3)
    assert found.high - found.low <= 1e-8
    result = likelihood_ceiling(Discrete(grey, ["grey"]), "mvae", bernoulli_with({"grey": [0, 0.5, 1]}))
    assert float(result) == pytest.approx(-LN2, abs=1e-8)
    assert any("no densities" in note for note in result.ceiling.notes)


def bernoulli_with(values):
    from bounds.likelihoods import Likelihood

    return Likelihood("bernoulli", values=values)


def test_fixed_laplace():
    """``H_V = ln 2b + E|X_m - med(X_m|X_A)|/b``, for a Gaussian ``ln 2b + sd sqrt(2/pi)/b``."""
    (floor,) = likelihood_ceiling(LAW, FIRST, "laplace:0.5").floors
    assert_closed(floor.unseen, 2 * (math.log(1.0) + math.sqrt(0.75) * math.sqrt(2 / math.pi) / 0.5))
    table = np.array([[0.1, 0.2, 0.1], [0.3, 0.0, 0.3]])  # conditional medians 1, and any of 0 to 2
    (floor,) = likelihood_ceiling(Discrete(table), SubsetScheme({0b01: 1}, 2), "laplace:0.5").floors
    assert_closed(floor.unseen, (0.1 + 0.1 + 0.6) / 0.5)
