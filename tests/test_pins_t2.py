"""THEORY T2: the ELBO ceiling, its exact slack, its pins and its traps."""

import math

import numpy as np
import pytest
from pins_common import (
    IDENTITY,
    LN2,
    assert_closed,
    assert_printed,
    equicorrelated,
    from_functions,
    independent_and_copies,
    pixel_copies,
    random_case,
    random_covariance,
    random_law,
    random_linear_gaussian,
    random_scheme,
    xor_triple,
)

from bounds import (
    Discrete,
    Gaussian,
    SubsetScheme,
    elbo_ceiling,
    entropy,
    generative_discrepancy,
    mmvae,
    total_correlation_term,
)
from bounds.subsets import members
from toy_models import TabularVAE, elbo_terms, optimal_decoders, random_model, reference_models

SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_ceiling_holds(seed):
    """T2: L_S <= -H(X) - TCw, at the level of the decoder's units."""
    law, scheme, model = random_case(seed)
    assert elbo_terms(model, law, scheme).elbo <= float(elbo_ceiling(law.unit_entropies(), scheme)) + IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_ceiling_of_each_subset_holds(seed):
    """T2: L_A <= -H(X) - TC_A."""
    law, scheme, model = random_case(seed)
    for subset, _ in scheme:
        alone = SubsetScheme({subset: 1}, scheme.n_modalities, allow_empty=True)
        ceiling = float(elbo_ceiling(law.unit_entropies(), alone))
        assert elbo_terms(model, law, alone).elbo <= ceiling + IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_exact_slack(seed):
    """T2: -H(X) - TC_A - L_A = KL(P_A(z,x_A)||Q(z,x_A)) + sum_{m in R} E_q KL(p(x_m|x_A)||p_theta(x_m|z)) >= 0."""
    law, scheme, model = random_case(seed)
    h = law.unit_entropies()
    for one in elbo_terms(model, law, scheme).subsets:
        ceiling = elbo_ceiling(h, SubsetScheme({one.subset: 1}, scheme.n_modalities, allow_empty=True))
        assert abs(float(ceiling) - one.elbo - one.slack) < IDENTITY * max(1, one.slack)
        assert one.slack >= -IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_ceiling_is_minus_entropy_minus_the_total_correlation_term(seed):
    """T2: -H(X) - TCw is -sum_A w_A [H(X_A) + sum_{m not in A} H(X_m|X_A)]."""
    law, scheme, _ = random_case(seed)
    h = law.unit_entropies()
    split = -float(entropy(h)) - float(total_correlation_term(h, scheme))
    assert abs(float(elbo_ceiling(h, scheme)) - split) < IDENTITY


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("subset", [0b00, 0b01, 0b11])
def test_equality_when_the_model_is_exact_on_what_is_seen_and_conditional_on_what_is_not(seed, subset):
    """T2: equality iff q_A = p_theta(z|x_A), p_theta(x_A) = p(x_A) and p_theta(x_m|z) = p(x_m|x_A): Z = X_A."""
    law = random_law(np.random.default_rng(seed), (2, 3, 2), [1, 2], "scalar")
    scheme = SubsetScheme({subset: 1}, 2, allow_empty=True)
    shape = [law.pmf.shape[v] for v in law.layout.variables_of_modalities(subset)]
    copy = np.eye(math.prod(shape)).reshape(*shape, -1)
    terms = elbo_terms(optimal_decoders(law, scheme, {subset: copy}), law, scheme)
    assert abs(terms.slack) < IDENTITY
    assert abs(terms.elbo - float(elbo_ceiling(law.unit_entropies(), scheme))) < IDENTITY


@pytest.mark.parametrize("fault", ["encoder", "prior", "decoder"])
def test_equality_is_lost_when_one_of_the_three_conditions_is(fault):
    """T2: 'iff': perturbing the encoder, p_theta(x_A) or one unseen decoder opens the slack."""
    reference = reference_models()["twin-bit"]
    prior, decoders = [0.5, 0.5], [np.ones((2, 1)), np.full((2, 2), 0.5), np.full((2, 2), 0.5)]
    encoder = np.full((1, 2), 0.5)
    if fault == "encoder":
        encoder = np.array([[0.6, 0.4]])
    elif fault == "prior":
        prior = [0.6, 0.4]
    else:
        decoders[1] = np.array([[0.5, 0.5], [0.6, 0.4]])
    terms = elbo_terms(TabularVAE(prior, decoders, {1: encoder}), reference.law, reference.scheme)
    assert terms.slack > 1e-3


@pytest.mark.parametrize("seed", range(30))
def test_decoders_may_be_arbitrary_inside_a(seed):
    """T2: 'factorisation is used only on R': joint decoders of what is seen stay under the unit-level ceiling."""
    rng = np.random.default_rng(seed)
    split = random_law(rng, (2, 2, 2, 3), [2, 2], "scalar")
    merged = Discrete(split.pmf, sizes=[2, 2], units=[2, 1, 1])  # the decoder of X_1 is joint, that of X_2 is not
    scheme = SubsetScheme({0b01: 1}, 2)
    model = random_model(merged, scheme, 4, rng)
    assert elbo_terms(model, merged, scheme).elbo <= float(elbo_ceiling(split.unit_entropies(), scheme)) + IDENTITY
    best = optimal_decoders(merged, scheme, {1: np.eye(4)})
    assert abs(elbo_terms(best, merged, scheme).elbo - float(elbo_ceiling(split.unit_entropies(), scheme))) < IDENTITY


def test_planted_fault_a_joint_decoder_outside_a_exceeds_the_unit_level_ceiling():
    """T2: the level matters: one joint decoder for two copies reaches -H(X), the ceiling of its own level."""
    pixels = independent_and_copies(2)
    merged = Discrete(pixels.pmf, sizes=[1, 2])
    scheme = SubsetScheme({0b01: 1}, 2)
    terms = elbo_terms(optimal_decoders(merged, scheme, {1: np.eye(2)}), merged, scheme)
    assert_closed(terms.elbo, -2 * LN2)
    assert_closed(float(elbo_ceiling(merged.unit_entropies(), scheme)), -2 * LN2)
    assert terms.elbo > float(elbo_ceiling(pixels.unit_entropies(), scheme)) + 0.5


@pytest.mark.parametrize("seed", range(40))
def test_ceiling_holds_for_densities(seed):
    """T2: 'Any measurable X; only h(X) finite is needed': linear-Gaussian models, closed forms, at the pixel level."""
    rng = np.random.default_rng(seed)
    n, latents = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    cov, model, scheme = random_covariance(rng, n), random_linear_gaussian(rng, n, latents), random_scheme(rng, n)
    elbo = 0.0
    for subset, weight in scheme:
        seen = list(members(subset))
        B, S = model.posterior(seen)
        elbo += float(weight) * model.elbo(cov, seen, B + (seed % 3) * 0.3 * rng.normal(size=B.shape), S)
    ceiling = float(elbo_ceiling(Gaussian(cov).entropy_vector(), scheme))
    assert elbo <= ceiling + IDENTITY * max(1, abs(ceiling))


def test_pin_pixel_copies_have_ln2_at_pixel_level_and_0_at_modality_level():
    """T2 pin: X_m = (Y,V_m,V_m) pixels (6 fair-bit units, H=3 ln2), w=(1/2,1/2): TCw = ln2 pixels, 0 modalities."""
    law = pixel_copies()
    assert law.unit_entropies().n_units == 6
    assert_closed(float(entropy(law.entropy_vector())), 3 * LN2)
    assert_closed(float(total_correlation_term(law.unit_entropies(), mmvae(2))), LN2)
    assert_closed(float(total_correlation_term(law.entropy_vector(), mmvae(2))), 0.0)


def test_pin_xor_triple_has_ln2_which_a_constant_latent_attains():
    """T2 pin: XOR triple MMVAE: TCw = ln2 = delta* (the floor is attained, by decoders that ignore the latent)."""
    law, constant = xor_triple(), np.ones((2, 1))
    assert_closed(float(total_correlation_term(law.entropy_vector(), mmvae(3))), LN2)
    terms = elbo_terms(optimal_decoders(law, mmvae(3), {1: constant, 2: constant, 4: constant}), law, mmvae(3))
    assert_closed(-terms.entropy - terms.elbo, LN2)


def test_pin_gaussian():
    """T2 pin: Gaussian M=3, unit var, rho=.5: TCw = ln(9/8)/2 = .0588915, -ceiling = 3.969134, h(X) = 3.910242."""
    h = equicorrelated(3, 0.5).entropy_vector()
    assert_closed(float(total_correlation_term(h, mmvae(3))), 0.5 * math.log(9 / 8))
    assert_printed(float(total_correlation_term(h, mmvae(3))), ".0588915")
    assert_printed(-float(elbo_ceiling(h, mmvae(3))), "3.969134")
    assert_printed(float(entropy(h)), "3.910242")


@pytest.mark.parametrize("n", [5, 64])
def test_trap_a_training_set_with_distinct_parts_has_the_ceiling_minus_ln_n(n):
    """T2 trap (i): on a training set whose x_A are distinct the ceiling is -ln n."""
    law = Discrete(np.eye(n)[:, np.random.default_rng(n).permutation(n)] / n)
    assert_closed(float(elbo_ceiling(law.entropy_vector(), mmvae(2))), -math.log(n))
    assert_closed(float(generative_discrepancy(law.entropy_vector(), mmvae(2))), 0.0)


def test_trap_tc_can_exceed_delta_with_four_single_units():
    """T2 trap (vi): X_2=X_3=X_4 fair bit, X_1 independent, A={1}: TC = 2 ln2 > ln2 = Delta."""
    law = from_functions(2, [lambda a, b: a, *[lambda a, b: b] * 3])
    scheme = SubsetScheme({0b0001: 1}, 4)
    assert_closed(float(total_correlation_term(law.entropy_vector(), scheme)), 2 * LN2)
    assert_closed(float(generative_discrepancy(law.entropy_vector(), scheme)), LN2)


def test_trap_tc_can_exceed_delta_with_two_modalities_of_pixels():
    """T2 trap (vi): X_1 independent, X_2 = three pixel copies of one bit, A={1}."""
    h, scheme = independent_and_copies(3).unit_entropies(), SubsetScheme({0b01: 1}, 2)
    assert_closed(float(total_correlation_term(h, scheme)), 2 * LN2)
    assert_closed(float(generative_discrepancy(h, scheme)), LN2)


@pytest.mark.parametrize("seed", range(60))
def test_trap_tc_cannot_exceed_delta_with_up_to_three_single_units(seed):
    """T2 trap (vi): 'with single-unit modalities only if M >= 4', for nonempty A: it takes three unseen units."""
    rng = np.random.default_rng(seed)
    m = int(rng.integers(2, 4))
    h = random_law(rng, rng.integers(2, 4, m).tolist()).entropy_vector()
    for subset in range(1, 1 << m):
        scheme = SubsetScheme({subset: 1}, m)
        assert float(total_correlation_term(h, scheme)) <= float(generative_discrepancy(h, scheme)) + IDENTITY


def test_trap_tc_exceeds_delta_with_three_single_units_and_an_encoder_that_sees_nothing():
    """The empty subset is the exception to 'only if M >= 4': three copies of one bit, TC = 2 ln2 > ln2 = Delta."""
    h = from_functions(1, [lambda a: a] * 3).entropy_vector()
    scheme = SubsetScheme({0: 1}, 3, allow_empty=True)
    assert_closed(float(total_correlation_term(h, scheme)), 2 * LN2)
    assert_closed(float(generative_discrepancy(h, scheme)), LN2)
