"""The best linear-Gaussian VAE: closed forms against search, EM that never falls, ceilings, and faults that show."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_gaussian_common import WITHOUT_TORCH, elbo_in_torch
from pins_common import assert_closed, assert_printed, equicorrelated
from scipy.optimize import check_grad, minimize
from strategies_for_tests import block_sizes, covariances, schemes

from bounds import Gaussian, InputError, ObjectiveError, SubsetScheme, elbo_ceiling, full, mmvae, mopoe, mvae_subsampled
from bounds.likelihood.linear_vae import optimal_linear_vae
from bounds.likelihoods import likelihood_ceiling
from toy_models import gaussian_fit
from toy_models.datasets import shared_private_gaussian
from toy_models.gaussian_fit import em_step, fit, linear_ceiling
from toy_models.gaussian_profile import Moments, isotropic_noise, optimal_loading, profile_elbo, scheme_moments
from toy_models.linear_gaussian import (
    GaussianEncoder,
    LinearGaussianVAE,
    best_encoders,
    gaussian_terms,
    subset_terms,
)
from toy_models.linear_gaussian.model import unit_blocks

#: Rounding of a few hundred terms and of solves with matrices of condition below 1e3, relative.
ROUNDING = 1e-11
#: L-BFGS stops where rounding of the value hides the descent: half the digits of the noise, all but two of the value.
STOPPED = 1e-9

EQUAL = equicorrelated(3, 0.5)
FIRST = SubsetScheme({0b001: 1}, 3)
#: Three modalities of 2, 1 and 2 variables that share two factors, with private parts.
FACTORS = np.array([[1.0, 0.2], [0.5, -0.6], [0.8, 0.5], [-0.3, 0.9], [0.4, 0.4]])
PRIVATE = np.diag([0.3, 0.6, 0.4, 0.5, 0.8])
PRIVATE[0, 1] = PRIVATE[1, 0] = 0.2
BLOCKS = Gaussian(FACTORS @ FACTORS.T + PRIVATE, [2, 1, 2])
SOME = SubsetScheme({0: 0.05, 0b001: 0.35, 0b110: 0.4, 0b111: 0.2}, 3, allow_empty=True)


@st.composite
def laws_and_schemes(draw):
    cov = draw(covariances(min_size=2, max_size=4))
    sizes = draw(block_sizes(len(cov)))
    law = Gaussian(cov / np.diagonal(cov).max(), sizes)
    return law, draw(schemes(len(sizes))), np.random.default_rng(draw(st.integers(0, 10**6)))


def random_noise(law, rng):
    root = rng.normal(size=law.cov.shape)
    return np.where(unit_blocks(law), 0.3 * root @ root.T / len(root) + 0.1 * np.eye(len(root)), 0.0)


@settings(max_examples=40)
@given(laws_and_schemes())
def test_the_profile_objective_is_the_elbo_of_the_best_encoders(case):
    law, scheme, rng = case
    noise = random_noise(law, rng)
    model = LinearGaussianVAE(rng.normal(size=(len(law.cov), 2)), noise, {})
    terms = gaussian_terms(model.with_encoders(best_encoders(model, law, scheme)), law, scheme)
    found = profile_elbo(scheme_moments(law, scheme), model.loading, noise)
    assert abs(found - terms.elbo) <= ROUNDING * max(1.0, abs(terms.distortion))


def test_the_ceiling_of_one_subset_is_attained():
    """T7(iv): M=3, rho=.5, sigma^2=.1, A={1}."""
    best = fit(EQUAL, FIRST, 0.1)
    assert_printed(-best.elbo, "8.656963")
    assert abs(best.elbo - float(likelihood_ceiling(EQUAL, FIRST, f"gaussian:{math.sqrt(0.1)!r}"))) < 1e-9
    assert_closed(gaussian_terms(best.model, EQUAL, FIRST).elbo, best.elbo)
    assert best.elbo == best.ceiling
    older = optimal_linear_vae(EQUAL, 0b001, np.full(3, 0.1))
    assert_closed(older.elbo(EQUAL, 0b001), best.elbo)


def searched(law, scheme, noise, latents, seed):
    """The best ``L_S`` of a search over loadings, gains and encoder covariances, which knows no closed form."""
    d, subsets = len(law.cov), [subset for subset, _ in scheme]
    widths = [len(law.layout.variables_of_modalities(subset)) for subset in subsets]
    shapes = [(d, latents), *[(latents, width) for width in widths], *[(latents, latents)] * len(subsets)]
    ends = np.cumsum([0, *(math.prod(shape) for shape in shapes)])

    def loss(theta):
        parts = [theta[a:b].reshape(s) for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True)]
        encoders = {}
        for i, subset in enumerate(subsets):
            root = np.tril(parts[1 + len(subsets) + i], -1)
            root = root + np.diag(np.exp(np.diagonal(parts[1 + len(subsets) + i])))
            encoders[subset] = GaussianEncoder(parts[1 + i], root @ root.T)
        model = LinearGaussianVAE(parts[0], noise, encoders)
        return -sum(float(w) * subset_terms(model, law, subset).elbo for subset, w in scheme)

    start = 0.3 * np.random.default_rng(seed).normal(size=ends[-1])
    return -float(minimize(loss, start, method="BFGS", options={"gtol": 1e-6, "maxiter": 150}).fun)


@pytest.mark.parametrize("kind", ["isotropic", "diagonal", "full"])
def test_one_loading_for_several_subsets_has_a_closed_form(kind):
    """The search reaches it, within 1e-6 (gradients by differences), and does not pass it."""
    law = Gaussian([[1.0, 0.6, 0.2], [0.6, 1.5, -0.5], [0.2, -0.5, 0.8]], [2, 1])
    scheme = SubsetScheme({0b01: 0.6, 0b10: 0.4}, 2)
    noise = {
        "isotropic": 0.2,
        "diagonal": np.array([0.1, 0.5, 0.2]),
        "full": np.array([[0.2, 0.1, 0], [0.1, 0.3, 0], [0, 0, 0.1]]),
    }[kind]
    best = fit(law, scheme, noise, 1)
    reached = searched(law, scheme, noise, 1, seed=0)
    assert reached <= best.elbo + ROUNDING * abs(best.elbo)
    assert reached == pytest.approx(best.elbo, abs=1e-6)


@settings(max_examples=40)
@given(laws_and_schemes(), st.integers(1, 5))
def test_fixed_noise(case, latents):
    """No loading nearby or at random is better; more latents than variables help nothing; T7(iv) and T2 hold."""
    law, scheme, rng = case
    moments, noise, d = scheme_moments(law, scheme), rng.uniform(0.05, 1.5, len(law.cov)), len(law.cov)
    best = fit(law, scheme, noise, latents)
    terms = gaussian_terms(best.model, law, scheme)
    room = ROUNDING * max(1.0, abs(terms.distortion), terms.kl)
    assert abs(terms.elbo - best.elbo) <= room
    assert best.elbo <= best.ceiling + room
    assert latents < d or best.elbo == pytest.approx(best.ceiling, rel=ROUNDING)
    for scale in (1e-3, 0.1, 1.0):
        other = best.model.loading + scale * rng.normal(size=best.model.loading.shape)
        assert profile_elbo(moments, other, noise) <= best.elbo + room
    scalar = Gaussian(law.cov, law.layout.sizes, units="scalar")
    assert best.elbo <= float(elbo_ceiling(scalar.unit_entropies(), scheme)) + room
    # Each subset's own ceiling T7(iv), whose mean needs a loading for each subset: the Jensen gap.
    own = math.fsum(
        float(w) * fit(law, SubsetScheme({a: 1}, len(law.names), allow_empty=True), noise).elbo for a, w in scheme
    )
    assert best.ceiling <= own + room
    if len(terms.subsets) == 1:
        assert abs(best.ceiling - own) <= room


def test_the_mean_of_the_ceilings_is_missed_by_several_subsets():
    own = fit(EQUAL, FIRST, 0.1).elbo  # the same for each, by symmetry
    common = fit(EQUAL, mmvae(3), 0.1)
    assert_closed(float(likelihood_ceiling(EQUAL, mmvae(3), f"gaussian:{math.sqrt(0.1)!r}")), own)
    assert common.elbo < own - 0.1


def pca(values, q):
    """The evidence of probabilistic PCA with ``q`` latents, as Tipping and Bishop have it."""
    d = len(values)
    rest = values[q:].mean()
    return -0.5 * (d * math.log(2 * math.pi) + np.log(values[:q]).sum() + (d - q) * math.log(rest) + d)


@pytest.mark.parametrize("latents", [1, 2, 4])
def test_probabilistic_pca_is_the_case_of_the_full_set(latents):
    best = fit(BLOCKS, full(3), "isotropic", latents)
    assert_closed(best.elbo, pca(np.linalg.eigvalsh(BLOCKS.cov)[::-1], latents))
    assert best.method == "closed form"
    terms = gaussian_terms(best.model, Gaussian(BLOCKS.cov, [2, 1, 2], units="scalar"), full(3))
    assert_closed(terms.gap, 0.0)


@settings(max_examples=40)
@given(laws_and_schemes(), st.integers(1, 5))
def test_learned_isotropic_noise(case, latents):
    """Against a search over the variance: on a grid, and near the closed form."""
    law, scheme, _ = case
    moments = scheme_moments(law, scheme)
    variance, best = isotropic_noise(moments, latents), fit(law, scheme, "isotropic", latents)
    room = ROUNDING * max(1.0, abs(best.elbo))
    for factor in [*np.geomspace(0.01, 100, 41), 0.999, 1.001]:
        noise = float(variance * factor)
        assert profile_elbo(moments, optimal_loading(moments, noise, latents), noise) <= best.elbo + room
    values = np.linalg.eigvalsh(moments.spread)[::-1]
    coded = int((values[:latents] > variance).sum())
    total = np.trace(law.cov) - values[:coded].sum()
    assert variance == pytest.approx(total / (len(values) - coded), rel=1e-10)
    assert best.elbo <= best.ceiling + room
    assert best.elbo <= float(likelihood_ceiling(law, scheme, "gaussian:learned-common")) + 1e-9


def test_the_best_linear_model_with_learned_variances():
    """T7(v): M=3, rho=.5: reached from every start, and no linear model is better, by the dual."""
    best = fit(EQUAL, mmvae(3), "diagonal", rng=np.random.default_rng(1))
    assert_printed(-best.elbo, "4.218335")
    assert_printed(-best.ceiling, "4.218335")
    assert 0 <= best.ceiling - best.elbo + ROUNDING <= STOPPED
    assert max(best.starts) - min(best.starts) <= STOPPED
    assert_closed(gaussian_terms(best.model, EQUAL, mmvae(3)).elbo, best.elbo)
    # Above the T7(v) floor, which needs no linearity, and below collapse.
    assert 4.171866 < -best.elbo < 1.5 * math.log(2 * math.pi * math.e)
    isotropic = fit(EQUAL, mmvae(3), "isotropic")  # the best variances are equal, by symmetry and convexity
    assert isotropic.elbo == pytest.approx(best.elbo, abs=STOPPED)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("rho", [0.1, 0.3, 0.5, 0.9])
def test_the_closed_form_of_exchangeable_laws(count, rho):
    """MMVAE has ``C_S = C^2 / M``. One direction, of variance ``lambda = (1 + (M-1) rho)^2 / M``, is coded if that
    exceeds one, as T4 has it for collapse; the noise is the rest. The best diagonal noise is isotropic, by convexity.
    """
    law, scheme = equicorrelated(count, rho), mmvae(count)
    value = (1 + (count - 1) * rho) ** 2 / count
    loss = count / 2 * math.log(2 * math.pi * math.e)
    if value > 1:
        loss += 0.5 * (math.log(value) + (count - 1) * math.log((count - value) / (count - 1)))
    np.testing.assert_allclose(scheme_moments(law, scheme).spread, law.cov @ law.cov / count, rtol=1e-12)
    assert_closed(-fit(law, scheme, "isotropic").elbo, loss)
    assert -linear_ceiling(law, scheme, "diagonal") == pytest.approx(loss, abs=STOPPED)
    if (count, rho) == (3, 0.5):
        assert_closed(loss, 1.5 * math.log(2 * math.pi * math.e) + 0.5 * math.log(25 / 27))


@pytest.mark.parametrize("scheme", [mmvae(3), mopoe(3), SOME], ids=lambda scheme: scheme.label)
@pytest.mark.parametrize("noise", ["diagonal", "full"])
def test_with_enough_latents_every_start_reaches_the_ceiling(scheme, noise):
    best = fit(BLOCKS, scheme, noise, starts=3, rng=np.random.default_rng(2))
    assert -ROUNDING <= best.ceiling - best.elbo <= 1e-7  # the ceiling is tight to first order in the stationarity
    assert max(best.starts) - min(best.starts) <= STOPPED
    units = None if noise == "full" else "scalar"
    law = Gaussian(BLOCKS.cov, BLOCKS.layout.sizes, units=units)
    terms = gaussian_terms(best.model, law, scheme)
    assert_closed(terms.elbo, best.elbo)
    assert terms.elbo <= float(elbo_ceiling(law.unit_entropies(), scheme))
    if noise == "diagonal":
        assert best.elbo <= float(likelihood_ceiling(law, scheme, "gaussian:learned"))
        assert fit(law, scheme, "isotropic").elbo <= best.elbo
        assert best.elbo <= fit(BLOCKS, scheme, "full").elbo + STOPPED
    # Fewer latents or another method have the same ceiling. Any other noise gives a weaker one that holds as well.
    assert fit(BLOCKS, scheme, noise, 1, starts=1).ceiling == pytest.approx(best.ceiling, abs=1e-6)
    assert fit(BLOCKS, scheme, noise, method="em", starts=1, iterations=5).ceiling == pytest.approx(
        best.ceiling, abs=1e-6
    )
    if noise == "full":
        assert linear_ceiling(BLOCKS, scheme, "full", 0.5 * BLOCKS.cov * unit_blocks(BLOCKS)) >= best.elbo


@settings(max_examples=25)
@given(laws_and_schemes(), st.sampled_from(["diagonal", "full"]), st.integers(1, 4))
def test_em_never_falls_and_never_passes_the_ceiling(case, noise, latents):
    law, scheme, rng = case
    best = fit(law, scheme, noise, latents, method="em", starts=2, rng=rng, iterations=60)
    check_monotone(best.path)
    assert best.path[-1] == max(best.starts)
    assert best.elbo <= best.ceiling + STOPPED * max(1.0, abs(best.elbo))
    assert len(best.starts) == 2


def check_monotone(path):
    """Up to the rounding of one value."""
    values = np.array(path)
    assert (np.diff(values) >= -1e-13 * len(values) * np.maximum(1.0, np.abs(values[1:]))).all()


@pytest.mark.parametrize("noise", ["diagonal", "full"])
@pytest.mark.parametrize("latents", [1, 2, 5])
def test_em_and_l_bfgs_agree(noise, latents):
    """EM gains less than 1e-13 a step where it stops, at a rate that leaves 1e-8."""
    climbed = fit(BLOCKS, SOME, noise, latents, method="em", starts=4, rng=np.random.default_rng(0), iterations=3000)
    descended = fit(BLOCKS, SOME, noise, latents, starts=4, rng=np.random.default_rng(0))
    assert climbed.elbo == pytest.approx(descended.elbo, abs=1e-8)
    assert climbed.elbo <= descended.elbo + STOPPED
    check_monotone(climbed.path)


def test_em_steps_with_a_fault_fall():
    """The check can fail: a decoder that forgets the variance of the encoders, or their imputation error."""
    moments, blocks = scheme_moments(BLOCKS, SOME), np.eye(5, dtype=bool)
    best = fit(BLOCKS, SOME, "diagonal", 2)
    loading, noise = best.model.loading, best.model.noise
    right = profile_elbo(moments, *em_step(moments, loading, noise, blocks))
    assert right == pytest.approx(best.elbo, abs=STOPPED)
    forgets_imputation = Moments(moments.spread, np.zeros_like(moments.unexplained))
    counts_it_as_seen = Moments(BLOCKS.cov, np.zeros_like(moments.unexplained))
    for wrong in (forgets_imputation, counts_it_as_seen):
        path = [best.elbo, profile_elbo(moments, *em_step(wrong, loading, noise, blocks))]
        with pytest.raises(AssertionError):
            check_monotone(path)
    halved = profile_elbo(moments, loading, noise / 2)
    with pytest.raises(AssertionError):
        check_monotone([best.elbo, halved])


def test_the_starts_are_reproducible():
    one, two = (fit(BLOCKS, mmvae(3), "diagonal", 1, starts=3, rng=np.random.default_rng(7)) for _ in range(2))
    assert one.starts == two.starts
    assert one.model.noise.tolist() == two.model.noise.tolist()


def test_too_few_latents_have_local_optima():
    """Two factors of equal strength, room for one, noise for each variable: which factor depends on the start."""
    law = Gaussian(np.kron(np.eye(2), [[1.0, 0.8], [0.8, 1.0]]) + 0.02 * np.diag([0.0, 0.0, 1.0, 1.0]))
    best = fit(law, full(4), "diagonal", 1, starts=12, rng=np.random.default_rng(0))
    assert max(best.starts) - min(best.starts) > 1e-3
    assert best.elbo == max(best.starts)


def test_noise_may_go_to_zero_where_everything_is_seen():
    """A Heywood case: the supremum is at zero noise, and what is found is near it and below the ceiling."""
    law = Gaussian([[1.0, 0.9, 0.9], [0.9, 1.0, 0.65], [0.9, 0.65, 1.0]])
    best = fit(law, full(3), "diagonal", 1)
    assert np.diagonal(best.model.noise).min() < 1e-8
    assert best.elbo <= best.ceiling
    assert_closed(best.ceiling, -float(law.entropy_vector()[0b111]))


@pytest.mark.parametrize("noise", ["fixed", "isotropic", "diagonal", "full"])
@pytest.mark.parametrize("latents", [1, 2, 5])
def test_gradients_vanish_at_the_optimum(noise, latents):
    torch = pytest.importorskip("torch", reason=WITHOUT_TORCH)
    given = np.array([0.3, 0.5, 0.2, 0.4, 0.6]) if noise == "fixed" else noise
    best = fit(BLOCKS, SOME, given, latents)
    loading = torch.tensor(best.model.loading.copy(), requires_grad=True)
    root = torch.tensor(np.linalg.cholesky(best.model.noise), requires_grad=True)
    encoders = {
        subset: (
            torch.tensor(encoder.gain.copy(), requires_grad=True),
            torch.tensor(np.linalg.cholesky(encoder.cov), requires_grad=True),
        )
        for subset, encoder in best.model.encoders.items()
    }
    elbo = elbo_in_torch(BLOCKS, SOME, loading, root, encoders)
    assert_closed(float(elbo.detach()), best.elbo)
    elbo.backward()
    # 1e-6: at a value within 1e-12 of the optimum the gradient is of the order of 1e-6 at most.
    assert loading.grad.abs().max() < 1e-6
    for gain, spread in encoders.values():
        assert gain.numel() == 0 or gain.grad.abs().max() < 1e-6
        assert torch.tril(spread.grad).abs().max() < 1e-6
    slope = root.grad.numpy()
    if noise == "isotropic":
        assert abs(np.trace(slope)) < 1e-6
    elif noise != "fixed":
        free = np.tril(unit_blocks(BLOCKS)) if noise == "full" else np.eye(5, dtype=bool)
        assert np.abs(slope[free]).max() < 1e-6
    else:
        assert np.abs(np.diagonal(slope)).max() > 1e-3  # these noises are not the best


@pytest.mark.parametrize("latents", [1, 3, 5])
def test_the_gradient_of_the_search(monkeypatch, latents):
    """The envelope theorem, against differences (step 1e-8, so 1e-5 of the gradient's scale)."""
    seen = {}

    def stop(loss, start, **_):
        seen.setdefault("loss", loss)  # the first call; with few latents the ceiling makes another
        seen.setdefault("start", start)
        return type("Result", (), {"x": start})

    monkeypatch.setattr(gaussian_fit, "minimize", stop)
    run = fit(BLOCKS, SOME, "full", latents, starts=1)
    loss, start = seen["loss"], seen["start"]
    constant = 2.5 * math.log(2 * math.pi)
    assert_closed(-loss(start)[0] - constant, run.starts[0])
    for seed in range(5):
        at = start + 0.3 * np.random.default_rng(seed).normal(size=len(start))
        value, slope = loss(at)
        assert check_grad(lambda t: loss(t)[0], lambda t: loss(t)[1], at) < 1e-5 * max(1.0, abs(value), *abs(slope))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((EQUAL, mmvae(2), 0.1), {}, "over 2 modalities, the law over 3"),
        ((EQUAL, mmvae(3), "laplace"), {}, "use one of isotropic, diagonal, full"),
        ((EQUAL, mmvae(3), -0.1), {}, "the noise is not positive definite"),
        ((EQUAL, mmvae(3), np.ones(2)), {}, r"noise of shape \(2,\) for 3 variables"),
        ((EQUAL, mmvae(3), EQUAL.cov), {}, "correlated between decoder units"),
        ((EQUAL, mmvae(3), 0.1, 0), {}, "0 latents"),
        ((EQUAL, mmvae(3), "diagonal"), {"starts": 0}, "0 starts"),
        ((EQUAL, mmvae(3), "diagonal"), {"method": "adam"}, "use 'l-bfgs' or 'em'"),
        ((Gaussian(np.ones((2, 2))), mmvae(2), "diagonal"), {}, "the law is singular"),
        ((Gaussian(np.ones((2, 2))), mmvae(2), "isotropic"), {}, "the law is singular"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments, options, message):
    with pytest.raises(InputError, match=message):
        fit(*arguments, **options)


def test_a_sum_of_elbos_is_refused():
    with pytest.raises(ObjectiveError, match="sum of ELBOs"):
        fit(EQUAL, mvae_subsampled(3), 0.1)


def test_latents_that_explain_everything():
    moments = scheme_moments(Gaussian(np.ones((2, 2))), full(2))
    with pytest.raises(InputError, match="unbounded: use fewer latents"):
        isotropic_noise(moments)


def test_steps_of_the_search_do_not_overflow() -> None:
    """The search once tried a noise whose exponential overflowed, on this law from its first start."""
    rng = np.random.default_rng(1)
    law = shared_private_gaussian(3, 1.0, 0.1, size=4, n_train=1, n_held_out=1, rng=rng).law
    assert isinstance(law, Gaussian)
    found = fit(law, full(3), "diagonal", 4)
    assert found.elbo == pytest.approx(found.ceiling, rel=1e-9)  # as many latents as factors
