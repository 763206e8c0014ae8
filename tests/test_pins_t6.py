"""THEORY T6: the best encoder of a fixed decoder, as far as no optimiser is needed."""

import math

import numpy as np
import pytest
from pins_common import (
    IDENTITY,
    Enumerated,
    LinearGaussianVAE,
    assert_closed,
    assert_printed,
    h2,
    random_case,
    random_covariance,
    random_linear_gaussian,
)

from bounds import Discrete, SubsetScheme
from toy_models import TabularVAE, elbo_terms

SEEDS = range(40)


def posteriors(case: Enumerated) -> np.ndarray:
    """``p_theta(z|x)`` as ``(a, r, z)``."""
    joint = np.einsum("z,za,zr->arz", case.prior, case.seen, case.unseen)
    return joint / joint.sum(axis=2, keepdims=True)


def best_unnormalised(case: Enumerated) -> np.ndarray:
    """``exp E_{x_R|x_A} ln p_theta(z|x)`` as ``(a, z)``; cells without mass are uniform."""
    seen = case.p_seen
    expected = np.einsum("ar,arz->az", case.p, np.log(posteriors(case)))
    return np.exp(expected / np.where(seen > 0, seen, 1)[:, None])


@pytest.mark.parametrize("seed", SEEDS)
def test_gap_is_the_reverse_divergence_to_the_posterior(seed):
    """T6: E log p_theta(x) - L_A = E KL(q_A || p_theta(z|x))."""
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    for one in terms.subsets:
        case = Enumerated.of(model, law, one.subset)
        reverse = np.einsum("ar,az,arz->", case.p, case.q, np.log(case.q)[:, None, :] - np.log(posteriors(case)))
        assert abs(terms.evidence - one.elbo - reverse) < IDENTITY * max(1, abs(one.elbo))


@pytest.mark.parametrize("seed", SEEDS)
def test_best_encoder_and_its_gap(seed):
    """T6: min over q_A is E[-ln sum_z exp(E_{x_R|x_A} ln p_theta(z|x))], equivalently L_A = E ln sum_z p(z) e^{-d_A};
    attained by q_A proportional to the exponential, and no random encoder does better."""
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    best = {}
    for one in terms.subsets:
        case = Enumerated.of(model, law, one.subset)
        tilted = best_unnormalised(case)
        gap = -float(case.p_seen @ np.log(tilted.sum(axis=1)))
        assert terms.evidence - one.elbo >= gap - IDENTITY
        best[one.subset] = (tilted / tilted.sum(axis=1, keepdims=True)).reshape(model.encoders[one.subset].shape)
        safe = np.where(case.p_seen > 0, case.p_seen, 1)[:, None]
        d = -np.log(case.seen.T) - (case.p / safe) @ np.log(case.unseen.T)
        elbo = float(case.p_seen @ np.log((case.prior * np.exp(-d)).sum(axis=1)))
        assert abs(terms.evidence - gap - elbo) < IDENTITY * max(1, abs(elbo))
    found = elbo_terms(TabularVAE(model.prior, model.decoders, best), law, scheme)
    for one in found.subsets:
        gap = -float(Enumerated.of(model, law, one.subset).p_seen @ np.log(_totals(model, law, one.subset)))
        assert abs(found.evidence - one.elbo - gap) < IDENTITY * max(1, abs(one.elbo))


def _totals(model, law, subset):
    return best_unnormalised(Enumerated.of(model, law, subset)).sum(axis=1)


def test_pin_linear_gaussian_pair():
    """T6 pin: z~N(0,1), x_i = z + N(0,1), A={1}: tr(P^-1 Cov(z|x_A))/2 - d/2 = .25 against ln(1.5)/2 = .202733."""
    model = LinearGaussianVAE(np.ones((2, 1)), np.ones(2))
    cov = np.ones((2, 2)) + np.eye(2)
    P, left_over = model.posterior([0, 1])[1], model.posterior([0])[1]
    assert_closed(0.5 * (left_over[0, 0] / P[0, 0]) - 0.5, 0.25)
    information = 0.5 * math.log(left_over[0, 0] / P[0, 0])
    assert_closed(information, 0.5 * math.log(1.5))
    assert_printed(information, ".202733")
    # The best encoder is Gaussian with the posterior's covariance and the expected posterior mean, z/2 x_1 here.
    assert_closed(model.evidence(cov, [0, 1]) - model.elbo(cov, [0], np.array([[0.5]]), P), 0.25)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("specified", [True, False])
def test_linear_gaussian_gap(seed, specified):
    """T6: data from the model: tr(P^-1 Cov(z|x_A))/2 - d/2 >= ln det(P^-1 Cov(z|x_A))/2 = I(Z;X_R|X_A); for
    mis-specified data the gap is tr(P^-1 E Cov_p(E_theta[z|x] | x_A))/2. Perturbed encoders are worse."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    model = random_linear_gaussian(rng, n, d)
    fitted = model.loadings @ model.loadings.T + np.diag(model.noise)
    cov = fitted if specified else random_covariance(rng, n)
    seen, unseen = list(range(n - 1)), [n - 1]
    full_gain, P = model.posterior(range(n))
    regression = np.linalg.solve(cov[np.ix_(seen, seen)], cov[np.ix_(seen, range(n))])  # E[x|x_A] = regression' x_A
    B = full_gain @ regression.T
    left_over = cov - cov[:, seen] @ regression
    gap = 0.5 * float(np.trace(np.linalg.solve(P, full_gain @ left_over @ full_gain.T)))
    scale = max(1.0, abs(model.evidence(cov, range(n))))
    assert abs(model.evidence(cov, range(n)) - model.elbo(cov, seen, B, P) - gap) < 1e-9 * scale
    for _ in range(5):
        root = np.eye(d) + 0.1 * rng.normal(size=(d, d))
        worse = model.elbo(cov, seen, B + 0.1 * rng.normal(size=B.shape), root @ P @ root.T)
        assert model.evidence(cov, range(n)) - worse >= gap - 1e-9 * scale
    if specified:
        ratio = np.linalg.solve(P, model.posterior(seen)[1])
        assert abs(gap - 0.5 * (np.trace(ratio) - d)) < 1e-9 * scale
        C = fitted[np.ix_(unseen, unseen)] - fitted[np.ix_(unseen, seen)] @ regression[:, unseen]
        information = 0.5 * (np.log(C[0, 0]) - np.log(model.noise[-1]))  # h(X_R|X_A) - h(X_R|Z)
        assert abs(0.5 * np.linalg.slogdet(ratio)[1] - information) < 1e-9 * scale
        assert gap >= information - 1e-9 * scale


def gap_and_information(weights: np.ndarray, posterior: np.ndarray) -> tuple[float, float]:
    """The least ``E KL(q || P_i)``, and ``E KL(P_i || mean)``, for a trivial ``x_A``."""
    gap = -math.log(np.exp(weights @ np.log(posterior)).sum())
    return gap, float(weights @ (posterior * np.log(posterior / (weights @ posterior))).sum(axis=1))


def test_pin_gap_below_the_information():
    """T6: '>= I(Z;X_R|X_A) in general: FALSE': x_R=0 w.p. .9; p(z=1|x_R)=.01, .5: min gap .062494 < I = .104491."""
    gap, information = gap_and_information(np.array([0.9, 0.1]), np.array([[0.99, 0.01], [0.5, 0.5]]))
    assert_printed(gap, ".062494")
    assert_printed(information, ".104491")
    assert_closed(information, h2(0.9 * 0.01 + 0.05) - 0.9 * h2(0.01) - 0.1 * h2(0.5))


def test_pin_gap_below_the_information_as_a_tabular_model():
    """T6: the same counterexample with data from the model and its best encoder, by exact terms."""
    weights, posterior = np.array([0.9, 0.1]), np.array([[0.99, 0.01], [0.5, 0.5]])
    joint = weights[:, None] * posterior
    prior = joint.sum(axis=0)
    decoders = [np.ones((2, 1)), (joint / prior).T]
    tilted = np.exp(weights @ np.log(posterior))
    model = TabularVAE(prior, decoders, {1: (tilted / tilted.sum())[None]})
    terms = elbo_terms(model, Discrete(weights[None]), SubsetScheme({1: 1}, 2))
    assert_printed(terms.gap, ".062494")


def test_false_with_three_equiprobable_values_too():
    """T6: 'Also false with k >= 3 equiprobable x_R [N]': an instance."""
    posterior = np.array([[0.991, 0.009], [0.991, 0.009], [0.69, 0.31]])
    gap, information = gap_and_information(np.full(3, 1 / 3), posterior)
    assert gap < information - 0.007


@pytest.mark.parametrize("seed", SEEDS)
def test_two_equiprobable_values_are_bhattacharyya_against_jensen_shannon(seed):
    """T6: for two equiprobable values the gap is Bhattacharyya's, I is JSD, and the first is not less [N]."""
    rng = np.random.default_rng(seed)
    posterior = rng.dirichlet(np.full(int(rng.integers(2, 6)), rng.choice([0.3, 1.0, 3.0])), 2)
    gap, information = gap_and_information(np.full(2, 0.5), posterior)
    assert_closed(gap, -math.log(np.sqrt(posterior[0] * posterior[1]).sum()))
    assert gap >= information - IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_information_is_the_least_forward_divergence(seed):
    """T6: I(Z;X_R|X_A) is the minimum over q_A of the forward E KL(p_theta(z|x) || q_A)."""
    rng = np.random.default_rng(seed)
    weights, posterior = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(4), 3)
    _, information = gap_and_information(weights, posterior)

    def forward(q: np.ndarray) -> float:
        return float(weights @ (posterior * np.log(posterior / q)).sum(axis=1))

    assert abs(forward(weights @ posterior) - information) < IDENTITY
    assert all(forward(q) >= information - IDENTITY for q in rng.dirichlet(np.ones(4), 20))
