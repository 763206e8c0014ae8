"""Fitted products of experts: gradients against torch, searches that know nothing, and what experts cost."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_gaussian_common import WITHOUT_TORCH, elbo_in_torch, random_noise
from pins_common import assert_closed, assert_printed
from scipy.optimize import check_grad, minimize
from strategies_for_tests import block_sizes, covariances, schemes

from bounds import Gaussian, InputError, ObjectiveError, SubsetScheme, elbo_ceiling, full, mmvae, mopoe, mvae_subsampled
from toy_models import gaussian_expert_fit, gaussian_fit
from toy_models.gaussian_expert_fit import fit_experts
from toy_models.gaussian_fit import fit
from toy_models.linear_gaussian import (
    GaussianEncoder,
    LinearGaussianVAE,
    exact_experts,
    gaussian_terms,
    product_of_experts,
    subset_terms,
)

#: Rounding of a few hundred terms and of solves with matrices of condition below 1e3, relative.
ROUNDING = 1e-11
#: L-BFGS stops where rounding of the value hides the descent. A precision that should be singular goes to zero as the
#: square of its root, so its last digits come slowly.
STOPPED = 1e-9

#: Three modalities of 2, 1 and 2 variables that share two factors, with private parts.
FACTORS = np.array([[1.0, 0.2], [0.5, -0.6], [0.8, 0.5], [-0.3, 0.9], [0.4, 0.4]])
PRIVATE = np.diag([0.3, 0.6, 0.4, 0.5, 0.8])
PRIVATE[0, 1] = PRIVATE[1, 0] = 0.2
BLOCKS = Gaussian(FACTORS @ FACTORS.T + PRIVATE, [2, 1, 2])
PAIR = Gaussian([[1.0, 0.5], [0.5, 1.0]])
NESTED = SubsetScheme({0b001: 0.35, 0b110: 0.4, 0b111: 0.25}, 3)


@st.composite
def cases(draw):
    cov = draw(covariances(min_size=2, max_size=4))
    sizes = draw(block_sizes(len(cov)))
    law = Gaussian(cov / np.diagonal(cov).max(), sizes)
    prior = draw(st.booleans())
    scheme = draw(schemes(len(sizes), allow_empty=prior))
    return law, scheme, prior, np.random.default_rng(draw(st.integers(0, 10**6)))


def searched(monkeypatch, law, scheme, noise, latents, prior):
    """The loss with its gradient, and the first point, of the search for experts."""
    found = {}

    def stop(loss, start, **_):
        found.update(loss=loss, start=start)
        return type("Result", (), {"x": start})

    monkeypatch.setattr(gaussian_expert_fit, "minimize", stop)
    fit_experts(law, scheme, noise, latents, prior=prior, starts=1)
    return found["loss"], found["start"]


NOISES = {"fixed": 0.3, "isotropic": "isotropic", "diagonal": "diagonal", "full": "full"}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())
@pytest.mark.parametrize("prior", [True, False])
@pytest.mark.parametrize("latents", [1, 3])
def test_the_gradient_of_the_search(monkeypatch, noise, prior, latents):
    """The envelope theorem, against differences (step 1e-8, so 1e-5 of the gradient's scale)."""
    loss, start = searched(monkeypatch, BLOCKS, NESTED, noise, latents, prior)
    for seed in range(3):
        at = start + 0.3 * np.random.default_rng(seed).normal(size=len(start))
        value, slope = loss(at)
        assert check_grad(lambda t: loss(t)[0], lambda t: loss(t)[1], at) < 1e-5 * max(1.0, abs(value), *abs(slope))


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())
@pytest.mark.parametrize("prior", [True, False])
def test_the_gradient_agrees_with_autograd(monkeypatch, noise, prior):
    """Torch differentiates by the experts and the decoder. At the best decoder its slopes by the decoder vanish, and
    those by the experts are ours.
    """
    torch = pytest.importorskip("torch", reason=WITHOUT_TORCH)
    latents, d = 2, 5
    loss, start = searched(monkeypatch, BLOCKS, NESTED, noise, latents, prior)
    theta = start + 0.3 * np.random.default_rng(1).normal(size=len(start))
    value, slope = loss(theta)
    leaf = torch.tensor(theta, requires_grad=True)
    slopes = leaf[: latents * d].reshape(latents, d) / torch.tensor(np.sqrt(np.diagonal(BLOCKS.cov)))
    rows, columns = np.tril_indices(latents)
    experts = []
    for m, part in enumerate(leaf[latents * d :].reshape(3, -1)):
        root = torch.zeros(latents, latents, dtype=torch.float64).index_put(
            (torch.tensor(rows), torch.tensor(columns)), part
        )
        experts.append((root @ root.T, slopes[:, BLOCKS.layout.variables_of_modalities(1 << m)]))
    encoders = {}
    for subset, _ in NESTED:
        inside = [experts[m] for m in range(3) if subset >> m & 1]
        cov = torch.linalg.inv(sum((t for t, _ in inside), float(prior) * torch.eye(latents, dtype=torch.float64)))
        encoders[subset] = (cov @ torch.cat([b for _, b in inside], dim=1), torch.linalg.cholesky(cov))
    loading, psi = loss.decoder(theta)
    decoder = [torch.tensor(given.copy(), requires_grad=True) for given in (loading, np.linalg.cholesky(psi))]
    elbo = elbo_in_torch(BLOCKS, NESTED, *decoder, encoders)
    assert_closed(float(elbo.detach()), -value)
    elbo.backward()
    # 1e-12 of the slopes, times the condition of the second moments and the noise, below 1e2.
    np.testing.assert_allclose(-leaf.grad.numpy(), slope, rtol=1e-10, atol=1e-10 * np.abs(slope).max())
    assert np.abs(decoder[0].grad.numpy()).max() < 1e-10
    by_root = decoder[1].grad.numpy()
    if noise == "isotropic":
        assert abs(np.trace(by_root)) < 1e-10
    elif isinstance(noise, str):
        free = np.tril(gaussian_fit.unit_blocks(BLOCKS)) if noise == "full" else np.eye(d, dtype=bool)
        assert np.abs(by_root[free]).max() < 1e-10


@settings(max_examples=25)
@given(cases(), st.sampled_from(["fixed", *NOISES]), st.integers(1, 3))
def test_experts_are_below_free_encoders_and_every_ceiling(case, kind, latents):
    law, scheme, prior, rng = case
    noise = random_noise(law, "full", rng) if kind == "fixed" else NOISES[kind]
    best = fit_experts(law, scheme, noise, latents, prior=prior, starts=2, rng=rng, iterations=100)
    units = "scalar" if kind in ("isotropic", "diagonal") else None
    terms = gaussian_terms(best.model, Gaussian(law.cov, law.layout.sizes, units=units), scheme)
    # Noise that goes to zero has a large condition, and that much rounding in every quadratic form.
    condition = np.linalg.cond(best.model.noise) + np.linalg.cond(best.free.model.noise)
    room = max(ROUNDING, 1e-15 * condition) * max(1.0, abs(terms.distortion), terms.kl)
    assert abs(terms.elbo - best.elbo) <= room
    assert best.elbo == max(best.starts)
    assert best.cost >= -room
    assert best.elbo <= best.ceiling + max(room, STOPPED * max(1.0, abs(best.elbo)))
    assert best.elbo <= float(elbo_ceiling(law.unit_entropies(), scheme)) + room
    made = product_of_experts(best.experts, scheme.weights, prior)
    for subset, encoder in best.model.encoders.items():
        np.testing.assert_array_equal(made[subset].gain, encoder.gain)


FREE_OF_COST = {
    "one modality": (Gaussian(BLOCKS.cov, [5]), full(1)),
    "all modalities at once": (BLOCKS, full(3)),
    "single modalities": (BLOCKS, mmvae(3)),
    "one subset": (BLOCKS, SubsetScheme({0b101: 1}, 3)),
    "subsets that do not overlap": (BLOCKS, SubsetScheme({0b101: 0.5, 0b010: 0.5}, 3)),
}


#: One subset with learned noise is left out: a Heywood case, where the noise goes to zero, and how near each of the two
#: searches comes to a supremum that no model attains says nothing of experts.
ATTAINED = [
    pytest.param(*where, noise, id=f"{name}, {kind}")
    for name, where in FREE_OF_COST.items()
    for kind, noise in NOISES.items()
    if name != "one subset" or kind in ("fixed", "isotropic")
]


@pytest.mark.parametrize(("law", "scheme", "noise"), ATTAINED)
@pytest.mark.parametrize("prior", [True, False])
def test_where_experts_cost_nothing(law, scheme, noise, prior):
    """Two latents: with the prior the experts of the modality of one variable have a singular precision."""
    best = fit_experts(law, scheme, noise, 2, prior=prior, starts=3, rng=np.random.default_rng(0))
    assert abs(best.cost) <= STOPPED * abs(best.elbo)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())
def test_the_likelihoods_are_the_best_experts_of_the_full_set(noise):
    """MVAE with noise that is block-diagonal over modalities: the posterior is their product with the prior."""
    best = fit(BLOCKS, full(3), noise, 2)
    made = best.model.with_encoders(product_of_experts(exact_experts(best.model, BLOCKS), [0b111]))
    assert_closed(gaussian_terms(made, BLOCKS, full(3)).elbo, best.elbo)
    for name in ("gain", "cov"):
        np.testing.assert_allclose(
            getattr(made.encoders[0b111], name), getattr(best.model.encoders[0b111], name), rtol=1e-9, atol=1e-11
        )


def searched_without_gradient(law, scheme, noise, prior, seed):
    """The best of one latent by differences, over densities as experts and the decoder: no elimination, no T."""
    d, count = len(law.cov), len(law.names)

    def loss(theta):
        loading, gains, logs = theta[:d], theta[d : 2 * d], theta[2 * d :]
        ends = np.cumsum([0, *law.layout.sizes])
        experts = [GaussianEncoder(gains[None, ends[m] : ends[m + 1]], [[math.exp(logs[m])]]) for m in range(count)]
        model = LinearGaussianVAE(loading[:, None], noise, product_of_experts(experts, scheme.weights, prior))
        return -sum(float(w) * subset_terms(model, law, subset).elbo for subset, w in scheme)

    start = 0.5 * np.random.default_rng(seed).normal(size=2 * d + count)
    return -float(minimize(loss, start, method="BFGS", options={"gtol": 1e-6}).fun)


@pytest.mark.parametrize(
    ("prior", "cost"), [(True, "0.092007"), (False, "0.128826")], ids=["with the prior", "without"]
)
def test_what_overlapping_subsets_cost(prior, cost):
    """MoPoE of a pair, rho=.5, sigma^2=.1, one latent. The searches agree within 1e-7 (gradients by differences)."""
    best = fit_experts(PAIR, mopoe(2), 0.1, 1, prior=prior)
    assert_printed(best.cost, cost)
    reached = max(searched_without_gradient(PAIR, mopoe(2), 0.1, prior, seed) for seed in range(4))
    assert reached <= best.elbo + ROUNDING * abs(best.elbo)
    assert reached == pytest.approx(best.elbo, abs=1e-7)


def test_what_experts_cost_on_three_modalities():
    """MoPoE of three modalities with two factors, diagonal noise, two latents: every start reaches the same."""
    found = {prior: fit_experts(BLOCKS, mopoe(3), "diagonal", 2, prior=prior) for prior in (True, False)}
    assert_printed(found[True].elbo, "-7.521792")
    assert_printed(found[False].elbo, "-7.614933")
    assert_printed(found[True].cost, "0.037403")
    for best in found.values():
        assert np.ptp(best.starts) <= STOPPED
        assert best.free.elbo == fit(BLOCKS, mopoe(3), "diagonal", 2).elbo


def test_without_the_prior_an_unused_latent_costs():
    """Two factors. More latents than that change nothing with the prior, and cost without it."""
    with_prior, without = (
        [fit_experts(BLOCKS, mopoe(3), "isotropic", k, prior=prior, starts=3).elbo for k in (2, 4)]
        for prior in (True, False)
    )
    assert with_prior[0] == pytest.approx(with_prior[1], abs=STOPPED)
    assert without[1] < without[0] - 0.05


def test_the_empty_subset_has_the_prior():
    scheme = SubsetScheme({0: 0.5, 0b11: 0.5}, 2, allow_empty=True)
    best = fit_experts(PAIR, scheme, 0.1, 1)
    assert best.model.encoders[0].cov.tolist() == [[1.0]]
    assert best.cost > 0.01  # the best encoder of nothing is narrower: its subset is disjoint from the other, but empty
    with pytest.raises(InputError, match="the empty subset has no expert"):
        fit_experts(PAIR, scheme, 0.1, 1, prior=False)


def test_units_of_measurement_change_nothing():
    """Full noise: the ELBO shifts by the logarithms, whatever the scales (they would slow an unscaled search)."""
    scales = np.array([1e-3, 1.0, 30.0, 1e-2, 5.0])
    scaled = Gaussian(BLOCKS.cov * np.outer(scales, scales), BLOCKS.layout.sizes)
    one, other = (fit_experts(law, mopoe(3), "full", 2, starts=3) for law in (BLOCKS, scaled))
    assert other.elbo == pytest.approx(one.elbo - np.log(scales).sum(), abs=1e-8)


def test_a_free_search_that_stopped_too_early_is_repeated(monkeypatch):
    """If the decoder found with experts beats the one found with free encoders, the free search starts there."""
    real = gaussian_fit.fit

    def hindered(law, scheme, noise, n_latents=None, **options):
        if options.get("near") is None:
            options["iterations"] = 0
        return real(law, scheme, noise, n_latents, **options)

    monkeypatch.setattr(gaussian_expert_fit, "fit", hindered)
    best = fit_experts(BLOCKS, mopoe(3), "diagonal", 1, starts=2)
    assert best.free.elbo == pytest.approx(real(BLOCKS, mopoe(3), "diagonal", 1).elbo, abs=STOPPED)
    assert best.cost > 0


def test_the_starts_are_reproducible():
    one, two = (fit_experts(PAIR, mopoe(2), "diagonal", 1, starts=3, rng=np.random.default_rng(7)) for _ in range(2))
    assert one.starts == two.starts
    assert len(one.starts) == 3


def test_fixed_noise_and_a_singular_law():
    law = Gaussian(np.ones((2, 2)))
    best = fit_experts(law, mopoe(2), 0.1, 1, starts=3)
    assert math.isfinite(best.elbo)
    assert best.cost > 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((PAIR, mmvae(3), 0.1), {}, "over 3 modalities, the law over 2"),
        ((PAIR, mmvae(2), 0.1), {"starts": 0}, "0 starts"),
        ((PAIR, mmvae(2), "laplace"), {}, "use one of isotropic, diagonal, full"),
        ((PAIR, mmvae(2), PAIR.cov), {}, "correlated between decoder units"),
        ((PAIR, mmvae(2), 0.1, 0), {}, "0 latents"),
        ((Gaussian(np.ones((2, 2))), mmvae(2), "diagonal"), {}, "the law is singular"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments, options, message):
    with pytest.raises(InputError, match=message):
        fit_experts(*arguments, **options)


def test_a_sum_of_elbos_is_refused():
    with pytest.raises(ObjectiveError, match="sum of ELBOs"):
        fit_experts(PAIR, mvae_subsampled(2), 0.1)


def test_a_search_with_a_wrong_gradient_shows(monkeypatch):
    """The check of the gradient can fail: without the envelope's second part, or with a subset's weight missing."""
    loss, start = searched(monkeypatch, BLOCKS, NESTED, "diagonal", 2, True)
    at = start + 0.3
    wrong = gaussian_expert_fit._Objective(
        loss.cov, np.full(3, 1 / 3), loss.shown, loss.modality, loss.latents, loss.prior, loss.noise
    )
    assert check_grad(lambda t: loss(t)[0], lambda t: loss(t)[1], at) < 1e-5
    assert check_grad(lambda t: loss(t)[0], lambda t: wrong(t)[1], at) > 1e-2
