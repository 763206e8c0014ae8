"""THEORY T0: the inequality as usually quoted fails, its repair holds, and when the quoted one is true."""

import math

import numpy as np
import pytest
from pins_common import (
    IDENTITY,
    LN2,
    Enumerated,
    assert_closed,
    assert_printed,
    common_cause,
    random_case,
    random_covariance,
    random_linear_gaussian,
    random_scheme,
)

from bounds import Discrete, Gaussian, SubsetScheme, distortion_floor, elbo_ceiling, generative_discrepancy, mmvae
from bounds.subsets import members
from toy_models import ElboTerms, TabularVAE, elbo_terms, reference_models

SEEDS = range(60)


def reference_terms(name: str) -> ElboTerms:
    reference = reference_models()[name]
    return elbo_terms(reference.model, reference.law, reference.scheme)


def test_a_constant_latent_has_elbo_and_evidence_minus_2_ln2_and_delta_ln2():
    """T0(a): X_1, X_2 independent fair bits, Z constant: L_S = E log p = -H(X) = -1.386294, Delta = ln2."""
    terms = reference_terms("constant-latent")
    for value in (terms.elbo, terms.evidence, -terms.entropy):
        assert_closed(value, -2 * LN2)
        assert_printed(value, "-1.386294")
    assert_closed(terms.discrepancy, LN2)


def test_a_planted_fault_the_quoted_bound_is_violated_by_a_constant_latent():
    """T0(a): it would need -1.386 >= -0.693; the check that reports so can fail."""
    quoted = reference_terms("constant-latent").quoted
    assert_printed(quoted.left, "-1.386")
    assert_printed(quoted.right, "-0.693")
    assert not quoted.holds


def test_b_private_noise_reaches_minus_3_ln2_with_gap_0_although_delta_is_ln2():
    """T0(b): X_m = (Y, U_m), Z = Y: L_S = -H(X) = -3 ln2 = -2.079442, gap 0, Delta = ln2."""
    terms = reference_terms("private-noise")
    assert_closed(terms.elbo, -3 * LN2)
    assert_printed(terms.elbo, "-2.079442")
    assert_closed(terms.entropy, 3 * LN2)
    assert_closed(terms.gap, 0.0)
    assert_closed(terms.discrepancy, LN2)
    assert not terms.quoted.holds


def test_b_is_an_equality_of_the_repair():
    """T0: 'Equality in (b)', of the first inequality; there the second is one too."""
    terms = reference_terms("private-noise")
    assert_closed(terms.repaired.margin, 0.0)
    assert_closed(terms.floor, terms.discrepancy)


@pytest.mark.parametrize("seed", range(20))
def test_b_holds_for_any_common_cause_whose_decoders_express_the_private_part(seed):
    """T0(b): 'True for any common-cause X with decoders that can express p(u_m)': no gap, no loss."""
    rng = np.random.default_rng(seed)
    law = common_cause(rng, n_modalities=2, pixels=1, depends_on_label=bool(seed % 2))
    label = np.repeat(np.eye(3)[:, None, :], 2, axis=1)
    decoders = []
    for part in law.parts:
        decoders += [np.eye(3), part]
    model = TabularVAE(law.label, decoders, {0b01: label, 0b10: label})
    terms = elbo_terms(model, law.to_discrete(), mmvae(2))
    assert abs(terms.gap) < IDENTITY
    assert abs(terms.elbo + terms.entropy) < IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_repair_holds_for_every_model(seed):
    """T0: sum_A w_A E log p_theta(x_A) >= L_S + sum_A w_A sum_{m not in A} H(X_m|X_A) >= L_S + Delta."""
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    assert terms.repaired.holds
    assert terms.repaired.right >= terms.quoted.right - IDENTITY


@pytest.mark.parametrize("seed", range(40))
def test_repair_needs_no_discreteness(seed):
    """T0: 'any data for which each H(X_m|X_A) < +inf': linear-Gaussian models of Gaussian data, closed forms."""
    rng = np.random.default_rng(seed)
    n, latents = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    cov, model, scheme = random_covariance(rng, n), random_linear_gaussian(rng, n, latents), random_scheme(rng, n)
    h = Gaussian(cov).entropy_vector()
    evidence = elbo = 0.0
    for subset, weight in scheme:
        seen = list(members(subset))
        B, S = model.posterior(seen)
        B = B + (seed % 3) * 0.3 * rng.normal(size=B.shape)
        evidence += float(weight) * model.evidence(cov, seen)
        elbo += float(weight) * model.elbo(cov, seen, B, S)
    right = elbo + float(distortion_floor(h, scheme))
    assert evidence >= right - IDENTITY * max(1, abs(right))
    assert right >= elbo + float(generative_discrepancy(h, scheme)) - IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_other_true_readings(seed):
    """T0: -sum_A w_A H(X_A) >= L_S + Delta, D_S >= Delta and 0 >= L_S + Delta (discrete)."""
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    h = law.entropy_vector()
    encoded = math.fsum(float(weight) * h[subset] for subset, weight in scheme)
    assert -encoded >= terms.elbo + terms.discrepancy - IDENTITY
    assert terms.distortion >= terms.discrepancy - IDENTITY
    assert terms.elbo + terms.discrepancy <= IDENTITY
    assert abs(terms.discrepancy - (terms.entropy - encoded)) < IDENTITY  # the cause: Delta = H(X) - sum w_A H(X_A)


def gap_parts(case: Enumerated) -> tuple[float, float, float]:
    """The divergences of the gap identity: of the encoder, of the unseen given ``z``, of the unseen given ``x_A``."""
    model = np.einsum("z,za,zr->arz", case.prior, case.seen, case.unseen)
    truth = given(case.p)[:, :, None]
    mass = case.p_seen[:, None, None] * truth * case.q[:, None, :]
    encoder = log_ratio(mass, case.q[:, None, :], given(model.sum(axis=1))[:, None, :])
    unseen = log_ratio(mass, truth, case.unseen.T[None])
    return encoder, unseen, log_ratio(mass, truth, given(model.sum(axis=2))[:, :, None])


def given(joint: np.ndarray) -> np.ndarray:
    """Rows divided by their sums; a row without mass is left at zero."""
    totals = joint.sum(axis=1, keepdims=True)
    return np.divide(joint, totals, out=np.zeros_like(joint), where=totals > 0)


def log_ratio(mass: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """``E ln p/q`` under ``mass``."""
    mass, p, q = np.broadcast_arrays(mass, p, q)
    live = mass > 0
    return float((mass[live] * np.log(p[live] / q[live])).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_gap_identity(seed):
    """T0: gap_A = KL(q_A||p_theta(z|x_A)) + E_q KL(p(x_R|x_A)||p_theta(x_R|z)) - KL(p(x_R|x_A)||p_theta(x_R|x_A)).

    The first divergence is to the posterior given ``x_A`` alone.
    """
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    for subset in terms.subsets:
        encoder, unseen, marginal = gap_parts(Enumerated.of(model, law, subset.subset))
        gap = terms.evidence - subset.elbo
        assert abs(gap - (encoder + unseen - marginal)) < IDENTITY * max(1, abs(gap))


@pytest.mark.parametrize("seed", SEEDS)
def test_quoted_bound_holds_exactly_when_the_distortion_says_so(seed):
    """T0: for one A it holds iff KL(q_A||p_theta(z|x_A)) + D_{R|A} + E log p_theta(x_R|x_A) >= H(X_R|X_A)."""
    law, scheme, model = random_case(seed)
    for subset, _ in scheme:
        terms = elbo_terms(model, law, SubsetScheme({subset: 1}, scheme.n_modalities, allow_empty=True))
        (one,) = terms.subsets
        encoder, _, _ = gap_parts(Enumerated.of(model, law, subset))
        unseen = math.fsum(d for u, d in enumerate(one.distortions) if u not in one.seen)
        evidence_of_unseen = terms.evidence - one.evidence
        margin = encoder + unseen + evidence_of_unseen - terms.discrepancy
        assert abs(margin - terms.quoted.margin) < IDENTITY * max(1, abs(unseen))
        if unseen >= terms.discrepancy - evidence_of_unseen + IDENTITY:  # the sufficient condition
            assert terms.quoted.holds


@pytest.mark.parametrize("seed", range(20))
def test_with_the_true_model_the_quoted_bound_is_a_distortion_of_twice_the_conditional_entropy(seed):
    """T0: if p_theta = p, q_A = p_theta(z|x_A): gap_A = D_{R|A} - H(X_R|X_A), and T0_A iff D_{R|A} >= 2 H(X_R|X_A)."""
    rng = np.random.default_rng(seed)
    prior = rng.dirichlet(np.ones(3))
    decoders = [rng.dirichlet(np.full(k, 0.3), 3) for k in (2, 3, 2)]
    law = Discrete(np.einsum("z,za,zb,zc->abc", prior, *decoders))
    joint = np.einsum("z,za,zb->abz", prior, *decoders[:2])
    model = TabularVAE(prior, decoders, {0b011: joint / joint.sum(axis=2, keepdims=True)})
    terms = elbo_terms(model, law, SubsetScheme({0b011: 1}, 3))
    unseen = terms.subsets[0].distortions[2]
    assert abs(terms.gap - (unseen - terms.discrepancy)) < IDENTITY
    assert terms.quoted.holds == (unseen >= 2 * terms.discrepancy)


def test_a_lossless_decoder_of_an_uncertain_modality_has_an_infinite_gap():
    """T0: 'a lossless decoder with H(X_R|X_A) > 0 has gap inf': Z = X_2 is a noisy copy of X_1, p_theta = p."""
    channel = np.array([[0.9, 0.1], [0.1, 0.9]])
    law = Discrete(channel / 2)
    model = TabularVAE([0.5, 0.5], [channel.T, np.eye(2)], {0b01: channel})  # q(z|x_1) = p(x_2 = z|x_1), exact
    terms = elbo_terms(model, law, SubsetScheme({0b01: 1}, 2))
    assert_closed(terms.evidence, -terms.entropy)
    assert terms.elbo == -math.inf
    assert terms.gap == math.inf
    assert terms.quoted.holds


def test_pin_noisy_pair_b_10_percent_fails():
    """T0 pin: z fair bit, x_1 = z+Bern(.1), x_2 = z+Bern(.1), A={1}: gap .170090 < H = .471393."""
    terms = reference_terms("noisy-pair-0.1")
    assert_printed(terms.gap, ".170090")
    assert_printed(terms.discrepancy, ".471393")
    assert not terms.quoted.holds


def test_pin_noisy_pair_b_1_percent_holds():
    """T0 pin: b=.01, A={1}: gap .524267 >= .342313."""
    terms = reference_terms("noisy-pair-0.01")
    assert_printed(terms.gap, ".524267")
    assert_printed(terms.discrepancy, ".342313")
    assert terms.quoted.holds


def test_pin_noisy_pair_b_1_percent_fails_the_other_way_round():
    """T0 pin: b=.01, 'while A={2} there has gap .017574 (fails)'."""
    reference = reference_models()["noisy-pair-0.01"]
    terms = elbo_terms(reference.model, reference.law, SubsetScheme({0b10: 1}, 2))
    assert_printed(terms.gap, ".017574")
    assert not terms.quoted.holds


def test_the_elbo_ceiling_is_the_truth_that_the_quoted_bound_is_not():
    """T0(a) against T2: the same model is within its ceiling."""
    reference = reference_models()["constant-latent"]
    terms = reference_terms("constant-latent")
    assert terms.elbo <= float(elbo_ceiling(reference.law.unit_entropies(), reference.scheme)) + 1e-12
