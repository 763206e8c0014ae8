"""THEORY T3: the exact loss of an encoder."""

import math

import numpy as np
import pytest
from pins_common import IDENTITY, LN2, assert_closed, dsbs, h2, joint_tables, random_case, random_law

from bounds import SubsetScheme, mmvae
from bounds.lattice import marginal_entropy
from toy_models import TabularVAE, elbo_terms, optimal_decoders, random_model

SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_aggregated_decoders_attain_the_loss(seed):
    """T3: sup over decoder and prior of L_S = -[H(X) + TC(X|Z) + I(A;Z|X)], at the aggregated p(z), p(x_m|z)."""
    law, scheme, model = random_case(seed)
    terms = elbo_terms(optimal_decoders(law, scheme, model.encoders), law, scheme)
    assert abs(terms.elbo - terms.best_elbo) < IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_no_other_decoder_and_prior_do_better(seed):
    """T3: it is a supremum: twenty random decoders and priors for the same encoders, and small changes of the best."""
    law, scheme, model = random_case(seed)
    rng = np.random.default_rng(seed)
    best = optimal_decoders(law, scheme, model.encoders)
    for i in range(20):
        other = random_model(law, scheme, model.n_latents, rng)
        mix = 1.0 if i < 10 else 0.01
        decoders = [(1 - mix) * a + mix * b for a, b in zip(best.decoders, other.decoders, strict=True)]
        changed = TabularVAE((1 - mix) * best.prior + mix * other.prior, decoders, model.encoders)
        terms = elbo_terms(changed, law, scheme)
        assert terms.elbo <= terms.best_elbo + IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_equivalent_loss(seed):
    """T3: loss = TC(X) - [sum_m I(X_m;Z) - I(A,X;Z)], from entropies of the joint law alone."""
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    truth, _ = joint_tables(model, law, scheme)
    alphabet = [table.shape[1] for table in model.decoders]
    joint = truth.reshape(*alphabet, -1)
    n = len(alphabet)
    h_z = marginal_entropy(joint, [n])
    total_correlation = math.fsum(marginal_entropy(joint, [u]) for u in range(n)) - marginal_entropy(joint, range(n))
    shared = math.fsum(marginal_entropy(joint, [u]) + h_z - marginal_entropy(joint, [u, n]) for u in range(n))
    encoder_noise = 0.0  # H(Z|A,X)
    for subset, weight in scheme:
        alone, _ = joint_tables(model, law, SubsetScheme({subset: 1}, scheme.n_modalities, allow_empty=True))
        encoder_noise += float(weight) * (marginal_entropy(alone, [0, 1]) - terms.entropy)
    loss = total_correlation - (shared - (h_z - encoder_noise))
    assert abs(loss - (terms.latent_total_correlation + terms.label_information)) < IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_label_information_lies_between_zero_and_the_entropy_of_the_weights(seed):
    """T3, used in T5: 0 <= I(A;Z|X) <= H(w); TC(X|Z) >= 0."""
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    assert -IDENTITY <= terms.label_information <= scheme.entropy + IDENTITY
    assert terms.latent_total_correlation >= -IDENTITY


@pytest.mark.parametrize("crossover", [0.0, 0.1, 0.3, 0.5])
def test_hard_copies_of_a_noisy_pair_in_closed_form(crossover):
    """Each encoder copies its own bit: I(A;Z|X) = e ln2 (T4 (iii)), TC(X|Z) in closed form."""
    law, copy = dsbs(crossover), np.eye(2)
    terms = elbo_terms(optimal_decoders(law, mmvae(2), {1: copy, 2: copy}), law, mmvae(2))
    assert_closed(terms.label_information, crossover * LN2)
    # Given Z, each X_m differs from it with probability e/2, both never.
    left = 1 - crossover
    joint = -sum(q * math.log(q) for q in (left, crossover / 2, crossover / 2) if q > 0)
    assert_closed(terms.latent_total_correlation, 2 * h2(crossover / 2) - joint)


def test_an_encoder_that_emits_its_subset_pays_the_entropy_of_the_weights():
    """Disjoint codes: I(A;Z|X) = H(w)."""
    law = random_law(np.random.default_rng(0), (2, 2))
    encoders = {1: np.eye(4)[:2], 2: np.eye(4)[2:]}
    assert_closed(elbo_terms(optimal_decoders(law, mmvae(2), encoders), law, mmvae(2)).label_information, LN2)
