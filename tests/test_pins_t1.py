"""THEORY T1: the distortion floor, its chain of inequalities, where it is tight, and where it needs discreteness."""

import math

import numpy as np
import pytest
from pins_common import IDENTITY, LinearGaussianVAE, dsbs, random_case, random_law

from bounds import Gaussian, SubsetScheme, distortion_floor, full, total_correlation_term
from bounds.lattice import marginal_entropy
from bounds.subsets import members, union
from toy_models import TabularVAE, elbo_terms, optimal_decoders


@pytest.mark.parametrize("seed", range(60))
def test_chain_of_each_subset(seed):
    """T1: D_A >= H(X_A|Z_A) + sum_{m not in A} H(X_m|X_A) >= sum_{m not in A} H(X_m|X_A) >= H(X_R|X_A)."""
    law, scheme, model = random_case(seed)
    h = law.unit_entropies()
    for one in elbo_terms(model, law, scheme).subsets:
        known = union(law.layout.modality_units, one.subset)
        unseen = math.fsum(h[known | 1 << u] - h[known] for u in range(h.n_units) if not known >> u & 1)
        alphabet = [table.shape[1] for table in model.decoders]
        away = tuple(u for u in range(len(alphabet)) if u not in one.seen)
        seen_law = law.pmf.reshape(alphabet).sum(axis=away)
        joint = seen_law[..., None] * model.encoders[one.subset]
        axes = range(joint.ndim)
        ambiguity = marginal_entropy(joint, axes) - marginal_entropy(joint, axes[-1:])
        assert one.distortion >= ambiguity + unseen - IDENTITY
        assert ambiguity >= -IDENTITY
        top = (1 << h.n_units) - 1
        assert unseen >= h[top] - h[known] - IDENTITY


@pytest.mark.parametrize("seed", range(60))
def test_floor_holds_and_is_delta_plus_the_total_correlation_term(seed):
    """T1: D_S >= sum_A w_A sum_{m not in A} H(X_m|X_A) = Delta + TCw >= Delta."""
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    h = law.unit_entropies()
    floor = float(distortion_floor(h, scheme))
    assert terms.distortion >= floor - IDENTITY
    assert abs(floor - terms.discrepancy - float(total_correlation_term(h, scheme))) < IDENTITY
    assert floor >= terms.discrepancy - IDENTITY


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("subset", [0b001, 0b011, 0b101, 0b111])
def test_equality_with_unit_decoders_of_a_latent_that_determines_what_is_seen(seed, subset):
    """T1: 'Equality: unit decoders p(x_m|x_A), X_A a function of Z', here Z = X_A."""
    law = random_law(np.random.default_rng(seed), (2, 3, 2))
    shape = [law.pmf.shape[m] for m in members(subset)]
    copy = np.eye(math.prod(shape)).reshape(*shape, -1)
    scheme = SubsetScheme({subset: 1}, 3)
    terms = elbo_terms(optimal_decoders(law, scheme, {subset: copy}), law, scheme)
    assert abs(terms.distortion - terms.floor) < IDENTITY


def test_planted_fault_a_floor_that_is_too_high_is_violated():
    """A floor raised by a thousandth of a nat is caught by the model that attains the true one."""
    law, alone = dsbs(0.1), SubsetScheme({1: 1}, 2)
    terms = elbo_terms(optimal_decoders(law, alone, {1: np.eye(2)}), law, alone)
    assert terms.distortion < float(distortion_floor(law.entropy_vector(), alone)) + 1e-3


@pytest.mark.parametrize("spread", [1e-2, 1e-4, 1e-8])
def test_dropping_what_is_seen_needs_discrete_data(spread):
    """T1: 'The step dropping H(X_A|Z_A) needs discrete X': h(X_A|Z_A) -> -inf for a sharp latent."""
    cov = np.array([[1.0]])
    B, S = np.array([[1.0]]), np.array([[spread]])
    kept = 1 / (1 + spread)  # the best decoder is N(z/(1+s), s/(1+s))
    model = LinearGaussianVAE(np.array([[kept]]), np.array([spread * kept]))
    distortion = model.distortion(cov, [0], B, S)
    conditional = 0.5 * math.log(2 * math.pi * math.e * spread * kept)
    assert distortion == pytest.approx(conditional, rel=1e-9)  # D_A = h(X_A|Z_A): the first inequality is tight
    assert distortion < float(distortion_floor(Gaussian(cov).entropy_vector(), full(1)))  # the second is false


def test_the_first_inequality_holds_for_densities():
    """T1: 'the rest holds for densities': D_A >= h(X_A|Z_A) + sum h(X_m|X_A) >= h(X_A|Z_A) + h(X_R|X_A)."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        root = rng.normal(size=(3, 3))
        cov = root @ root.T
        h = Gaussian(cov).entropy_vector()
        model = LinearGaussianVAE(rng.normal(size=(3, 2)), np.exp(rng.normal(size=3)))
        B, S = model.posterior([0])
        noisy = B @ cov[:1, :1] @ B.T + S
        left_over = cov[0, 0] - cov[:1, :1] @ B.T @ np.linalg.solve(noisy, B @ cov[:1, :1])
        ambiguity = 0.5 * math.log(2 * math.pi * math.e * float(left_over[0, 0]))
        unseen = h[0b011] + h[0b101] - 2 * h[0b001]
        assert model.distortion(cov, [0], B, S) >= ambiguity + unseen - IDENTITY
        assert unseen >= h[0b111] - h[0b001] - IDENTITY


def test_a_model_with_a_lossless_code_meets_the_floor_of_zero():
    """T1 for the full set: floor 0, attained by a copy."""
    law = dsbs(0.25)
    copy = np.eye(4).reshape(2, 2, 4)
    model = TabularVAE(law.pmf.reshape(-1), [np.repeat(np.eye(2), 2, axis=0), np.tile(np.eye(2), (2, 1))], {3: copy})
    terms = elbo_terms(model, law, full(2))
    assert terms.distortion == terms.floor == 0
