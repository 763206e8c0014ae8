"""The linear-Gaussian VAE: its terms against quadrature, its identities, its ceilings, and faults that must show."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_gaussian_common import WITHOUT_TORCH, elbo_in_torch, random_encoder, random_vae
from pins_common import assert_closed, assert_printed
from scipy.stats import multivariate_normal
from strategies_for_tests import block_sizes, covariances, schemes

from bounds import Gaussian, InputError, ObjectiveError, SubsetScheme, elbo_ceiling, mmvae, mopoe, mvae_subsampled
from bounds.elbo import ElboTerms, MixtureTerms
from bounds.likelihood.linear_vae import LinearEncoder, LinearVAE, imputation_identity
from bounds.likelihoods import likelihood_ceiling
from bounds.subsets import members
from toy_models.linear_gaussian import (
    GaussianEncoder,
    GaussianExpert,
    LinearGaussianVAE,
    best_encoders,
    divergences,
    encoder_gap,
    exact_encoders,
    exact_experts,
    gap_identity,
    gaps,
    gaussian_terms,
    product_of_experts,
    subset_terms,
    terms,
)
from toy_models.linear_gaussian.model import unit_blocks

#: Rounding of a few hundred terms, and of solves with matrices of condition below 1e3, relative to the largest term.
ROUNDING = 1e-11

TWO_READINGS = Gaussian([[2.0, 1.0], [1.0, 2.0]])
READER = LinearGaussianVAE([[1.0], [1.0]], 1.0, {})


def assert_same(left, right, *terms):
    scale = max(1.0, *map(abs, (left, right, *terms)))
    assert math.isfinite(scale), (left, right, *terms)
    assert abs(left - right) <= ROUNDING * scale, (left, right)


@st.composite
def cases(draw):
    """A law with modalities and units of any size, a scheme, and a model at random."""
    cov = draw(covariances(max_size=4))
    sizes = draw(block_sizes(len(cov)))
    law = Gaussian(cov / np.diagonal(cov).max(), sizes, units=draw(st.sampled_from([None, "scalar"])))
    scheme = draw(schemes(len(sizes)))
    return law, scheme, random_vae(law, scheme, np.random.default_rng(draw(st.integers(0, 10**6))))


# The oracle: every logarithm of a density is quadratic in (x, z), and the mean of a quadratic function of n standard
# normals is its mean over the 2n points at distance sqrt(n) along the axes. No moment is taken.


class Points:
    """Points that stand for ``p(x) q_A(z|x_A)``, and the log-densities there."""

    def __init__(self, model, law, subset, encoder=None):
        d, k = len(law.cov), model.n_latents
        self.model, self.law, self.seen = model, law, law.layout.variables_of_modalities(subset)
        self.everything = list(range(d))
        encoder = model.encoders[subset] if encoder is None else encoder
        points = math.sqrt(d + k) * np.vstack([np.eye(d + k), -np.eye(d + k)])
        self.x = points[:, :d] @ np.linalg.cholesky(law.cov).T
        centre = self.x[:, self.seen] @ encoder.gain.T + encoder.offset
        self.z = centre + points[:, d:] @ np.linalg.cholesky(encoder.cov).T
        self.encoder = self.density(self.z, centre, encoder.cov)
        self.prior = self.density(self.z, np.zeros_like(self.z), np.eye(k))

    def density(self, values, mean, cov):
        return np.array([multivariate_normal(m, cov).logpdf(v) for v, m in zip(values, mean, strict=True)])

    def of_data(self, variables, mean, cov):
        if not variables:
            return np.zeros(len(self.x))
        mean = np.broadcast_to(mean, self.x.shape)[:, variables]
        return self.density(self.x[:, variables], mean, cov[np.ix_(variables, variables)])

    def data(self, variables):
        return self.of_data(variables, 0.0, self.law.cov)

    def decoder(self, variables):
        return self.of_data(variables, self.z @ self.model.loading.T + self.model.mean, self.model.noise)

    def evidence(self, variables):
        cov = self.model.loading @ self.model.loading.T + self.model.noise
        return self.of_data(variables, self.model.mean, cov)

    def posterior(self, variables):
        return self.prior + self.decoder(variables) - self.evidence(variables)


def oracle(model, law, subset):
    """Distortions of the units, KL, evidence of the subset and of all, slack; from log-densities at points."""
    at, layout = Points(model, law, subset), law.layout
    units = [layout.variables_of_units(1 << unit) for unit in range(len(layout.unit_names))]
    kl = at.encoder - at.prior
    slack = at.data(at.seen) + kl - at.decoder(at.seen)
    for unit in units:
        if not set(unit) <= set(at.seen):
            slack = slack + at.data(sorted([*at.seen, *unit])) - at.data(at.seen) - at.decoder(unit)
    return {
        "distortions": [-at.decoder(unit).mean() for unit in units],
        "kl": kl.mean(),
        "evidence": at.evidence(at.seen).mean(),
        "all": at.evidence(at.everything).mean(),
        "slack": slack.mean(),
    }


def gap_oracle(model, law, subset):
    """The parts of T0 and T6. ``mismatch`` is what another encoder loses to the best one, ``E KL(q_A || best)``."""
    at = Points(model, law, subset)
    rest = [v for v in at.everything if v not in at.seen]
    truth = at.data(at.everything) - at.data(at.seen)
    best = best_encoders(model, law, SubsetScheme({subset: 1}, len(law.names), allow_empty=True))[subset]
    centre = at.x[:, at.seen] @ best.gain.T + best.offset
    return {
        "gap": (at.evidence(at.everything) - at.decoder(at.everything) + at.encoder - at.prior).mean(),
        "encoder": (at.encoder - at.posterior(at.seen)).mean(),
        "decoder": (truth - at.decoder(rest)).mean(),
        "prediction": (truth - at.evidence(at.everything) + at.evidence(at.seen)).mean(),
        "divergence": (at.encoder - at.posterior(at.everything)).mean(),
        "mismatch": (at.encoder - at.density(at.z, centre, best.cov)).mean(),
    }


def check_against_the_oracle(model, law, scheme):
    terms = gaussian_terms(model, law, scheme)
    for found in terms.subsets:
        true = oracle(model, law, found.subset)
        scale = [*true["distortions"], true["kl"]]
        for distortion, expected in zip(found.distortions, true["distortions"], strict=True):
            assert_same(distortion, expected, *scale)
        assert_same(found.kl, true["kl"], *scale)
        assert_same(found.evidence, true["evidence"], *scale)
        assert_same(found.slack, true["slack"], *scale)
        assert_same(terms.evidence, true["all"], *scale)


@settings(max_examples=40)
@given(cases())
def test_terms_agree_with_log_densities_at_points(case):
    law, scheme, model = case
    check_against_the_oracle(model, law, scheme)


def fixed_case(seed=3):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(5, 5))
    law = Gaussian(root @ root.T / 5 + 0.3 * np.eye(5), [2, 1, 2])
    scheme = SubsetScheme({0: 0.1, 0b001: 0.3, 0b101: 0.4, 0b111: 0.2}, 3, allow_empty=True)
    return law, scheme, random_vae(law, scheme, rng)


FAULTS = {
    "no log-determinant": (divergences, "logdet", lambda _: lambda cov: 0.0),
    "the KL with the other sign": (terms, "mean_kl", lambda kl: lambda *given: -kl(*given)),
    "KL arguments swapped": (terms, "mean_kl", lambda kl: lambda cov, other, mismatch: kl(other, cov, mismatch)),
    "conditioned on the other variables": (
        terms,
        "regression",
        lambda regression: lambda cov, seen: regression(cov, [v for v in range(len(cov)) if v not in seen]),
    ),
    "noise halved": (terms, "cross_entropy", lambda cost: lambda moment, cov: cost(moment, cov / 2)),
    "no 2 pi": (
        terms,
        "cross_entropy",
        lambda cost: lambda m, cov: cost(m, cov) - len(cov) / 2 * math.log(2 * math.pi),
    ),
    "the encoder's mean left out": (
        terms,
        "second_moment",
        lambda moment: lambda gain, cov, shift=None: moment(gain, cov),
    ),
    "gain of the first modality for every subset": (
        terms,
        "embedded_gain",
        lambda embedded: lambda encoder, law, subset: np.roll(embedded(encoder, law, subset), 1, axis=1),
    ),
}


@pytest.mark.parametrize(("module", "name", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_caught(monkeypatch, module, name, fault):
    law, scheme, model = fixed_case()
    check_against_the_oracle(model, law, scheme)
    monkeypatch.setattr(module, name, fault(getattr(module, name)))
    with pytest.raises(AssertionError):
        check_against_the_oracle(model, law, scheme)


def check_gaps_against_the_oracle(model, law, scheme):
    """Each part of the identities of T0 and T6 by itself: the posteriors are Bayes' rule on densities."""
    for subset, _ in scheme:
        true = gap_oracle(model, law, subset)
        scale = [abs(value) for value in true.values()]
        found, gap = gap_identity(model, law, subset), encoder_gap(model, law, subset)
        for name in ("gap", "encoder", "decoder", "prediction"):
            assert_same(getattr(found, name), true[name], *scale)
        assert_same(gap.gap, true["gap"], *scale)
        assert_same(gap.divergence, true["divergence"], *scale)
        assert_same(gap.best, true["gap"] - true["mismatch"], *scale)


GAP_FAULTS = {
    "KL arguments swapped": ("mean_kl", lambda kl: lambda cov, other, mismatch: kl(other, cov, mismatch)),
    "no prediction": (
        "prediction_kl",
        lambda kl: lambda *given, marginal: 0.0 if marginal else kl(*given, marginal=False),
    ),
    "the mixture for the decoder": ("prediction_kl", lambda kl: lambda *given, marginal: kl(*given, marginal=True)),
    "the decoder for the mixture": ("prediction_kl", lambda kl: lambda *given, marginal: kl(*given, marginal=False)),
    "offsets left out": ("second_moment", lambda moment: lambda gain, cov, shift=None: moment(gain, cov)),
    "nothing explained": ("regression", lambda regression: lambda cov, seen: 0 * regression(cov, seen)),
    "the evidence of the first variable": ("mean_evidence", lambda e: lambda model, law, variables: e(model, law, [0])),
}


@pytest.mark.parametrize(("name", "fault"), GAP_FAULTS.values(), ids=GAP_FAULTS.keys())
def test_a_planted_fault_of_a_gap_is_caught(monkeypatch, name, fault):
    law, scheme, model = fixed_case()
    check_gaps_against_the_oracle(model, law, scheme)
    monkeypatch.setattr(gaps, name, fault(getattr(gaps, name)))
    with pytest.raises(AssertionError):
        check_gaps_against_the_oracle(model, law, scheme)


@settings(max_examples=25)
@given(cases())
def test_gaps_agree_with_log_densities_at_points(case):
    law, scheme, model = case
    check_gaps_against_the_oracle(model, law, scheme)


@pytest.mark.parametrize("seed", range(6))
def test_the_closed_form_agrees_with_autograd(seed):
    """Value and slopes at random models: torch's by reverse mode, those of the closed form by central differences.

    A step of 1e-5 leaves 1e-10 of the third derivative and 1e-11 of the rounding of the value.
    """
    torch = pytest.importorskip("torch", reason=WITHOUT_TORCH)
    law, scheme, _ = fixed_case()
    rng = np.random.default_rng(seed)
    model = random_vae(law, scheme, rng)
    roots = {subset: np.linalg.cholesky(encoder.cov) for subset, encoder in model.encoders.items()}
    arrays = {"loading": model.loading, "root": np.linalg.cholesky(model.noise), "mean": model.mean}
    for subset, encoder in model.encoders.items():
        arrays |= {f"{subset} gain": encoder.gain, f"{subset} root": roots[subset], f"{subset} offset": encoder.offset}

    def closed_form(given):
        encoders = {
            a: GaussianEncoder(given[f"{a} gain"], given[f"{a} root"] @ given[f"{a} root"].T, given[f"{a} offset"])
            for a in model.encoders
        }
        noise = given["root"] @ given["root"].T
        return gaussian_terms(LinearGaussianVAE(given["loading"], noise, encoders, given["mean"]), law, scheme).elbo

    leaves = {name: torch.tensor(array.copy(), requires_grad=True) for name, array in arrays.items()}
    encoders = {a: tuple(leaves[f"{a} {part}"] for part in ("gain", "root", "offset")) for a in model.encoders}
    elbo = elbo_in_torch(law, scheme, leaves["loading"], leaves["root"], encoders, leaves["mean"])
    assert_same(closed_form(arrays), float(elbo.detach()), gaussian_terms(model, law, scheme).distortion)
    elbo.backward()
    step, blocks = 1e-5, unit_blocks(law)
    for name, array in arrays.items():
        if not array.size:
            continue
        direction = rng.normal(size=array.shape)
        if name == "root":
            direction = np.where(blocks, np.tril(direction), 0.0)  # noise stays within the units
        ahead, behind = (closed_form({**arrays, name: array + sign * step * direction}) for sign in (1, -1))
        slope = float((leaves[name].grad.numpy() * direction).sum())
        scale = max(1.0, abs(slope), abs(closed_form(arrays)))
        assert abs((ahead - behind) / (2 * step) - slope) <= 1e-7 * scale, name


def normal(value, mean, variance):
    return -0.5 * (np.log(2 * math.pi * variance) + (value - mean) ** 2 / variance)


def test_the_best_encoder_is_the_best_of_all():
    """``L_A = E ln int p(z) exp(-d_A(x_A, z)) dz`` (T6) on a grid of ``z``, with Gauss-Hermite nodes for the data.

    A decoder and a law of two variables that disagree. The trapezoidal rule on a Gaussian is exact to rounding once
    the step is below its standard deviation; five nodes are exact for polynomials up to degree nine.
    """
    law, loading, psi, mean = Gaussian([[1.5, -0.6], [-0.6, 0.8]]), [0.9, 1.4], [0.3, 0.5], [0.2, -0.7]
    bare = LinearGaussianVAE(np.array(loading)[:, None], psi, {}, mean)
    scheme = SubsetScheme({0: 0.2, 0b01: 0.3, 0b10: 0.1, 0b11: 0.4}, 2, allow_empty=True)
    model = bare.with_encoders(best_encoders(bare, law, scheme))
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    z = np.linspace(-12, 12, 1201)
    prior = normal(z, 0.0, 1.0)

    def given(unit, variables, values):
        """``E[ln p_theta(x_unit|z) | x_A]`` on the grid."""
        if unit in variables:
            return normal(values[variables.index(unit)], loading[unit] * z + mean[unit], psi[unit])
        cov = law.cov
        centre, variance = 0.0, cov[unit, unit]
        if variables:
            (other,) = variables
            centre = cov[unit, other] / cov[other, other] * values[0]
            variance = variance - cov[unit, other] ** 2 / cov[other, other]
        return sum(
            w * normal(centre + math.sqrt(variance) * n, loading[unit] * z + mean[unit], psi[unit])
            for n, w in zip(nodes, weights, strict=True)
        )

    root = np.linalg.cholesky(law.cov)
    for subset, _ in scheme:
        variables, best, own = list(members(subset)), 0.0, 0.0
        for a, wa in zip(nodes, weights, strict=True):
            for b, wb in zip(nodes, weights, strict=True):
                values = (root @ [a, b])[variables]
                inside = np.exp(prior + given(0, variables, values) + given(1, variables, values))
                best += wa * wb * math.log(np.trapezoid(inside, z))
                seen = sum(
                    (normal(values[i], loading[v] * z + mean[v], psi[v]) for i, v in enumerate(variables)), prior
                )
                own += wa * wb * math.log(np.trapezoid(np.exp(seen), z))
        terms = subset_terms(model, law, subset)
        assert_same(terms.elbo, best)
        assert_same(terms.evidence, own)


@settings(max_examples=40)
@given(cases())
def test_proved_inequalities_and_identities(case):
    law, scheme, model = case
    terms = gaussian_terms(model, law, scheme)
    ceiling = float(elbo_ceiling(law.unit_entropies(), scheme))
    scale = [terms.distortion, terms.kl, terms.evidence]
    assert terms.elbo <= ceiling + ROUNDING * max(1.0, *map(abs, scale))
    assert_same(ceiling - terms.elbo, terms.slack, *scale)
    assert terms.repaired.holds
    assert terms.evidence >= terms.elbo
    for found in terms.subsets:
        identity = gap_identity(model, law, found.subset)
        assert_same(identity.gap, identity.right, identity.encoder, identity.decoder, identity.prediction, *scale)
        gap = encoder_gap(model, law, found.subset)
        assert_same(gap.gap, gap.divergence, *scale)
        assert gap.best <= gap.gap + ROUNDING * max(1.0, *map(abs, scale))


@settings(max_examples=40)
@given(cases())
def test_the_best_encoders(case):
    """They attain the gap of T6, beat the exact posteriors of the subsets, and are below T7's ceiling."""
    law, scheme, model = case
    best = model.with_encoders(best_encoders(model, law, scheme))
    terms, exact = gaussian_terms(best, law, scheme), model.with_encoders(exact_encoders(model, law, scheme))
    scale = [terms.distortion, terms.kl, terms.evidence]
    room = ROUNDING * max(1.0, *map(abs, scale))
    assert terms.elbo >= gaussian_terms(exact, law, scheme).elbo - room
    assert terms.elbo >= gaussian_terms(model, law, scheme).elbo - room
    for subset, _ in scheme:
        gap = encoder_gap(best, law, subset)
        assert_same(gap.gap, gap.best, *scale)
        assert_same(encoder_gap(model, law, subset).best, gap.best, *scale)
        assert_same(gap_identity(exact, law, subset).encoder, 0.0)


@settings(max_examples=30)
@given(cases())
def test_data_from_the_model(case):
    """There the evidence is minus the entropy, and T6's gap is at least the information."""
    law, scheme, model = case
    model = LinearGaussianVAE(model.loading, model.noise, {})  # of mean zero, as laws are
    law = Gaussian(model.covariance, law.layout.sizes, units=law.layout.unit_sizes)
    model = model.with_encoders(best_encoders(model, law, scheme))
    terms = gaussian_terms(model, law, scheme)
    assert_same(terms.evidence, -terms.entropy)
    h = law.entropy_vector()
    everything = (1 << len(law.names)) - 1
    for found in terms.subsets:
        assert_same(found.evidence, -h[found.subset], terms.entropy)
        gap = encoder_gap(model, law, found.subset)
        assert_same(gap.gap, gap.best, *found.distortions)
        assert gap.best >= gap.information - ROUNDING * max(1.0, gap.best)
        # I(Z;X_R|X_A) = h(X_R|X_A) - h(X|Z), and what the noise of A leaves cancels.
        rest = law.layout.variables_of_modalities(everything & ~found.subset)
        noise = 0.5 * np.linalg.slogdet(2 * math.pi * math.e * model.noise[np.ix_(rest, rest)])[1]
        assert_same(gap.information, h[everything] - h[found.subset] - noise, terms.entropy, noise)


@settings(max_examples=30)
@given(cases())
def test_agrees_with_the_imputation_identity(case):
    """An older implementation, for diagonal noise and without offsets."""
    law, scheme, model = case
    variances = np.diagonal(model.noise).copy()
    encoders = {subset: GaussianEncoder(e.gain, e.cov) for subset, e in model.encoders.items()}
    mine = gaussian_terms(LinearGaussianVAE(model.loading, variances, encoders), law, scheme)
    theirs = LinearVAE(
        model.loading, variances, {subset: LinearEncoder(e.gain, e.cov) for subset, e in encoders.items()}
    )
    assert_same(mine.elbo, imputation_identity(law, scheme, theirs).elbo, mine.distortion, mine.kl)


def test_below_the_ceiling_of_its_likelihood():
    law, scheme = Gaussian(0.5 * np.eye(3) + 0.5), mopoe(3)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        variances = rng.uniform(0.05, 1.5, 3)
        model = LinearGaussianVAE(rng.normal(size=(3, 2)), variances, {})
        elbo = gaussian_terms(model.with_encoders(best_encoders(model, law, scheme)), law, scheme).elbo
        fixed = ",".join(f"{n}={math.sqrt(v)!r}" for n, v in zip(law.names, variances.tolist(), strict=True))
        assert elbo <= float(likelihood_ceiling(law, scheme, f"gaussian:{fixed}"))
        assert elbo <= float(likelihood_ceiling(law, scheme, "gaussian:learned"))


def test_two_readings_of_one_latent():
    """T6: the gap of the best encoder is .25, the information .202733."""
    scheme = SubsetScheme({0b01: 1}, 2)
    model = READER.with_encoders(best_encoders(READER, TWO_READINGS, scheme))
    gap = encoder_gap(model, TWO_READINGS, 0b01)
    assert_closed(gap.gap, 0.25)
    assert_closed(gap.best, 0.25)
    assert_printed(gap.information, "0.202733")
    assert_closed(gap.information, 0.5 * math.log(1.5))


def test_the_quoted_bound_can_fail_here_and_the_repaired_one_holds():
    """T0: exact posteriors and data from the model, with noise that hides what the subsets share."""
    model = LinearGaussianVAE([[0.5], [0.5]], 1.0, {})
    law = Gaussian(model.covariance)
    terms = gaussian_terms(model.with_encoders(exact_encoders(model, law, mmvae(2))), law, mmvae(2))
    assert not terms.quoted.holds
    assert terms.repaired.holds


def test_a_single_subset_has_mixture_terms_and_several_have_none():
    law, _, model = fixed_case()
    one = SubsetScheme({0b101: 1}, 3)
    terms = gaussian_terms(model, law, one)
    assert isinstance(terms, MixtureTerms)
    assert terms.mixture_elbo == terms.elbo
    # T3: the best decoder for these encoders attains -[H(X) + TC(X|Z)]. It has full noise in each unit.
    encoder, seen = model.encoders[0b101], law.layout.variables_of_modalities(0b101)
    second = encoder.gain @ law.cov[np.ix_(seen, seen)] @ encoder.gain.T + encoder.cov
    whiten = np.linalg.inv(np.linalg.cholesky(second))  # the aggregated posterior as the prior N(0, I)
    moved = GaussianEncoder(whiten @ encoder.gain, whiten @ encoder.cov @ whiten.T)
    loading = law.cov[:, seen] @ moved.gain.T
    noise = np.where(unit_blocks(law), law.cov - loading @ loading.T, 0.0)
    best = LinearGaussianVAE(loading, noise, {0b101: moved})
    assert_same(gaussian_terms(best, law, one).elbo, terms.best_elbo)
    several = gaussian_terms(model, law, SubsetScheme({0b101: 0.5, 0b111: 0.5}, 3))
    assert isinstance(several, ElboTerms)
    assert not isinstance(several, MixtureTerms)
    assert all(math.isfinite(value) for name, value in vars(several).items() if name != "subsets")


def test_experts_multiply():
    """Densities of the product against the product of densities, up to one factor that does not depend on z."""
    rng = np.random.default_rng(0)
    law = Gaussian(np.eye(5), [2, 1, 2])
    experts = [random_encoder(law, 1 << m, 2, rng) for m in range(3)]
    x, z = rng.normal(size=5), rng.normal(size=(40, 2))
    for prior in (True, False):
        made = product_of_experts(experts, mopoe(3).weights, prior)
        for subset, encoder in made.items():
            q = multivariate_normal(
                encoder.gain @ x[law.layout.variables_of_modalities(subset)] + encoder.offset, encoder.cov
            ).logpdf(z)
            product = multivariate_normal(np.zeros(2), np.eye(2)).logpdf(z) if prior else np.zeros(40)
            for m in members(subset):
                centre = experts[m].gain @ x[law.layout.variables_of_modalities(1 << m)] + experts[m].offset
                product = product + multivariate_normal(centre, experts[m].cov).logpdf(z)
            difference = q - product
            assert np.ptp(difference) < 1e-10 * np.abs(product).max()
            as_factors = product_of_experts([expert.expert for expert in experts], [subset], prior)[subset]
            np.testing.assert_allclose(as_factors.gain, encoder.gain, rtol=1e-12, atol=1e-13)
    empty = product_of_experts(experts, [0])[0]
    assert empty.gain.shape == (2, 0)
    assert empty.cov.tolist() == np.eye(2).tolist()


@settings(max_examples=30)
@given(cases())
def test_the_exact_posteriors_are_a_product_of_experts(case):
    """The likelihood of each modality as a function of z is its expert, whether or not it determines z."""
    law, scheme, model = case
    made = product_of_experts(exact_experts(model, law), scheme.weights)
    for subset, encoder in exact_encoders(model, law, scheme).items():
        for name in ("gain", "cov", "offset"):
            np.testing.assert_allclose(getattr(made[subset], name), getattr(encoder, name), rtol=1e-10, atol=1e-11)


def test_data_of_another_mean():
    """Centring the data and the model changes no term: against the log-densities at points, moved by hand."""
    law, scheme, model = fixed_case()
    shift = np.array([1.0, -2.0, 0.5, 3.0, -1.0])
    centred = model.centred(shift, law.layout)
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=5) + shift, rng.normal(size=model.n_latents)
    for subset, _ in scheme:
        seen = law.layout.variables_of_modalities(subset)
        one, other = model.encoders[subset], centred.encoders[subset]
        np.testing.assert_allclose(one.gain @ x[seen] + one.offset, other.gain @ (x - shift)[seen] + other.offset)
    np.testing.assert_allclose(
        x - model.loading @ z - model.mean, (x - shift) - centred.loading @ z - centred.mean, atol=1e-14
    )
    back = gaussian_terms(centred.centred(-shift, law.layout), law, scheme)
    assert_same(back.elbo, gaussian_terms(model, law, scheme).elbo, back.distortion)


def test_samples_have_the_moments_of_the_model():
    """Each of 25 means and 25 second moments within 5.5 standard errors: false failure below 2e-6."""
    _, _, model = fixed_case()
    size = 40_000
    z, x = model.sample(size, np.random.default_rng(0))
    assert z.shape == (size, model.n_latents)
    error = np.sqrt(np.diagonal(model.covariance) / size)
    assert (np.abs(x.mean(axis=0) - model.mean) < 5.5 * error).all()
    centred = x - model.mean
    products = centred[:, :, None] * centred[:, None, :]
    spread = products.std(axis=0) / math.sqrt(size)
    assert (np.abs(products.mean(axis=0) - model.covariance) < 5.5 * spread).all()
    residual = centred - z @ model.loading.T
    products = residual[:, :, None] * residual[:, None, :]
    assert (np.abs(products.mean(axis=0) - model.noise) < 5.5 * products.std(axis=0) / math.sqrt(size)).all()


def test_a_singular_law():
    law = Gaussian([[1.0, 1.0], [1.0, 1.0]])
    model = READER.with_encoders(best_encoders(READER, law, mmvae(2)))
    terms = subset_terms(model, law, 0b01)
    assert terms.slack == math.inf
    assert math.isfinite(terms.elbo)
    assert_closed(encoder_gap(model, law, 0b01).gap, 0.0)  # one variable tells the other
    with pytest.raises(InputError, match="singular"):
        gaussian_terms(model, law, mmvae(2))
    with pytest.raises(InputError, match="singular"):
        gap_identity(model, law, 0b01)


ENCODER = GaussianEncoder([[0.5]], [[1.0]])
NOTHING = GaussianExpert([[0.0]], [[0.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianEncoder([0.5], [[1.0]]), r"gain of an encoder has shape \(1,\): give a matrix"),
        (lambda: GaussianEncoder([[math.nan]], [[1.0]]), "gain of an encoder has NaN"),
        (lambda: GaussianEncoder([["a"]], [[1.0]]), "give real numbers"),
        (lambda: GaussianEncoder([[0.5]], [[0.0]]), "covariance of an encoder is not positive definite.* 0"),
        (lambda: GaussianEncoder([[0.5], [1.0]], [[1.0, 0.5], [0.0, 1.0]]), "not symmetric"),
        (lambda: GaussianEncoder([[0.5]], [[1.0, 0.0]]), "give a square matrix"),
        (lambda: GaussianEncoder([[0.5]], np.eye(2)), "2 latents: give one row each"),
        (lambda: GaussianEncoder([[0.5]], [[1.0]], [1.0, 2.0]), r"offset of an encoder has shape \(2,\)"),
        (lambda: GaussianEncoder([[0.5]], [[1.0]], [math.inf]), "offset of an encoder has NaN or infinite"),
        (lambda: LinearGaussianVAE(np.ones(2), 1.0, {}), "the loading has shape"),
        (lambda: LinearGaussianVAE(np.ones((2, 0)), 1.0, {}), "at least one variable and one latent"),
        (lambda: LinearGaussianVAE(np.ones((2, 1)), 0.0, {}), "the noise is not positive definite"),
        (lambda: LinearGaussianVAE(np.ones((2, 1)), [1.0, -1.0], {}), "smallest eigenvalue is -1"),
        (lambda: LinearGaussianVAE(np.ones((2, 1)), math.nan, {}), "the noise has NaN"),
        (lambda: LinearGaussianVAE(np.ones((2, 1)), np.ones(3), {}), r"noise of shape \(3,\) for 2 variables"),
        (lambda: LinearGaussianVAE(np.ones((2, 1)), 1.0, {}, np.ones(3)), "the mean of the decoder has shape"),
        (lambda: LinearGaussianVAE(np.ones((2, 2)), 1.0, {1: ENCODER}), "subset 1 has 1 latents, the decoder 2"),
        (lambda: product_of_experts([], [1]), "or there are none"),
        (lambda: product_of_experts([ENCODER, GaussianEncoder(np.ones((2, 1)), np.eye(2))], [1]), "different latents"),
        (lambda: product_of_experts([ENCODER], [0b10]), "subset 2 for 1 experts"),
        (lambda: product_of_experts([ENCODER], [0], prior=False), "the empty subset has no expert"),
        (
            lambda: product_of_experts([NOTHING], [1], prior=False),
            "product of subset 1 is not positive",
        ),
        (lambda: GaussianExpert([[-1.0]], [[1.0]]), "precision of an expert has a negative eigenvalue, -1"),
        (lambda: GaussianExpert([[1.0, 0.5], [0.0, 1.0]], np.ones((2, 1))), "precision of an expert is not symmetric"),
        (lambda: GaussianExpert(np.eye(2), [[1.0]]), "precision of 2 latents: one row each"),
        (lambda: GaussianExpert([[1.0]], [[math.nan]]), "slope of an expert has NaN"),
        (lambda: GaussianExpert([[1.0]], [[1.0]], [1.0, 2.0]), r"shift of an expert has shape \(2,\)"),
    ],
)
def test_what_is_no_model_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


CORRELATED = LinearGaussianVAE([[1.0], [1.0]], [[1.0, 0.3], [0.3, 1.0]], {1: ENCODER, 2: ENCODER})


@pytest.mark.parametrize(
    ("model", "law", "scheme", "message"),
    [
        (READER, Gaussian(np.eye(3)), mmvae(3), "a decoder of 2 variables for a law of 3"),
        (READER, TWO_READINGS, mmvae(3), "over 3 modalities, the law over 2"),
        (READER, TWO_READINGS, mmvae(2), r"no encoder of X1 \(key 1\)"),
        (READER, TWO_READINGS, SubsetScheme({0: 1}, 2, allow_empty=True), "no encoder of the empty subset"),
        (READER.with_encoders({3: ENCODER}), TWO_READINGS, SubsetScheme({3: 1}, 2), "takes 1 variables, not 2"),
        (CORRELATED, TWO_READINGS, mmvae(2), "correlated between decoder units: .* over X1, X2"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(model, law, scheme, message):
    with pytest.raises(InputError, match=message):
        gaussian_terms(model, law, scheme)


def test_a_sum_of_elbos_is_no_mixture():
    model = READER.with_encoders(best_encoders(READER, TWO_READINGS, mopoe(2)))
    scheme = mvae_subsampled(2)
    with pytest.raises(ObjectiveError, match="use subset_terms"):
        gaussian_terms(model, TWO_READINGS, scheme)
    total = sum(float(c) * subset_terms(model, TWO_READINGS, subset).own_elbo for subset, c in scheme)
    assert total <= float(elbo_ceiling(TWO_READINGS.unit_entropies(), scheme, "sub-sampled"))


def test_models_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        READER.loading[0, 0] = 2.0
