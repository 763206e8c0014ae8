"""The finite VAE: exact terms against loops, infinities, and what it refuses."""

import math

import numpy as np
import pytest
from pins_common import IDENTITY, Enumerated, cross, dsbs, joint_tables, kl, random_case

from bounds import Discrete, InputError, ObjectiveError, SubsetScheme, mmvae, mvae_subsampled
from toy_models import Inequality, TabularVAE, elbo_terms, objective, optimal_decoders, random_model, reference_models

BIT = np.full((1, 2), 0.5)
NOTHING = np.ones((2, 1))
COPY = np.eye(2)


@pytest.mark.parametrize("seed", range(60))
def test_terms_agree_with_loops(seed):
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    for subset in terms.subsets:
        case = Enumerated.of(model, law, subset.subset)
        assert abs(subset.elbo - case.elbo) < IDENTITY * max(1, abs(case.elbo))
        assert abs(terms.evidence - case.evidence) < IDENTITY * max(1, abs(case.evidence))
        assert abs(subset.evidence + cross(case.p_seen, case.prior @ case.seen)) < IDENTITY
    assert abs(terms.elbo - math.fsum(float(w) * Enumerated.of(model, law, a).elbo for a, w in scheme)) < 1e-9


@pytest.mark.parametrize("seed", range(60))
def test_mixture_elbo_agrees_with_its_definition(seed):
    law, scheme, model = random_case(seed)
    truth, joint = joint_tables(model, law, scheme)
    direct = -cross(law.pmf, law.pmf) - kl(truth, joint)
    assert abs(elbo_terms(model, law, scheme).mixture_elbo - direct) < IDENTITY * max(1, abs(direct))


def test_a_decoder_that_rules_out_what_happens_gives_minus_infinity():
    law = Discrete(np.full((2, 2), 0.25))
    terms = elbo_terms(TabularVAE([0.5, 0.5], [COPY, COPY], {1: COPY, 2: COPY}), law, mmvae(2))
    assert terms.elbo == terms.mixture_elbo == terms.evidence == -math.inf
    assert terms.distortion == terms.slack == math.inf
    assert math.isnan(terms.gap)  # both sides are -inf
    assert terms.repaired.holds
    assert terms.best_elbo > -math.inf  # these encoders are not to blame


def test_an_encoder_outside_the_prior_gives_minus_infinity_but_only_there():
    law = dsbs(0.1)
    model = TabularVAE([1.0, 0.0], [np.full((2, 2), 0.5)] * 2, {1: COPY, 2: np.array([[1.0, 0.0]] * 2)})
    terms = elbo_terms(model, law, mmvae(2))
    assert [one.elbo for one in terms.subsets] == [-math.inf, pytest.approx(-2 * math.log(2), rel=1e-12)]
    assert terms.kl == terms.gap == math.inf
    assert terms.evidence == pytest.approx(-2 * math.log(2), rel=1e-12)


def test_impossible_cells_count_nothing():
    law = Discrete([[0.5, 0.0], [0.0, 0.5]])
    terms = elbo_terms(TabularVAE([0.5, 0.5], [COPY, COPY], {1: COPY, 2: COPY}), law, mmvae(2))
    assert terms.elbo == pytest.approx(-math.log(2), rel=1e-12)
    assert terms.slack == pytest.approx(0, abs=1e-12)


def test_a_latent_that_is_never_emitted_gets_the_marginals():
    law = dsbs(0.1)
    dead = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    model = optimal_decoders(law, mmvae(2), {1: dead, 2: dead})
    assert model.prior.tolist() == [0.5, 0.5, 0.0]
    assert [table[2].tolist() for table in model.decoders] == [[0.5, 0.5], [0.5, 0.5]]


def test_a_unit_of_several_variables_is_one_alphabet():
    pmf = np.arange(1.0, 13.0).reshape(2, 3, 2) / 78
    joint, split = Discrete(pmf, sizes=[2, 1]), Discrete(pmf.reshape(6, 2))
    model = random_model(split, mmvae(2), 3, np.random.default_rng(0))
    assert elbo_terms(model, joint, mmvae(2)) == elbo_terms(model, split, mmvae(2))


def test_an_inequality_is_up_to_rounding_and_no_further():
    assert Inequality(1.0, 1.0 + 1e-13).holds
    assert not Inequality(1.0, 1.0 + 1e-11).holds
    assert not Inequality(-math.inf, 0.0).holds
    assert Inequality(0.0, -math.inf).holds
    assert math.isnan(Inequality(-math.inf, -math.inf).margin)


def test_beta_zero_ignores_an_infinite_kl():
    model = TabularVAE([1.0, 0.0], [COPY, COPY], {1: COPY, 2: COPY})
    law = Discrete(COPY / 2)
    assert objective(model, law, mmvae(2), "beta", beta=0.0) == 0.0
    assert objective(model, law, mmvae(2), "beta", beta=0.5) == -math.inf


@pytest.mark.parametrize("seed", range(20))
def test_objectives_reduce_to_the_own_density_elbo(seed):
    law, scheme, model = random_case(seed)
    plain = objective(model, law, scheme)
    assert plain == pytest.approx(elbo_terms(model, law, scheme).elbo, rel=1e-12)
    assert objective(model, law, scheme, "beta", beta=1.0) == plain
    scales = dict.fromkeys(law.layout.unit_names, 1.0)
    assert objective(model, law, scheme, "rescaled", scales=scales) == plain
    doubled = {**dict.fromkeys(law.layout.names, 3.0), **dict.fromkeys(law.layout.unit_names, 2.0)}  # units win
    assert objective(model, law, scheme, "rescaled", scales=doubled, beta=2.0) == pytest.approx(2 * plain, rel=1e-12)


def test_reference_models_are_tied_to_their_laws():
    for name, reference in reference_models().items():
        assert reference.name == name
        assert math.isfinite(elbo_terms(reference.model, reference.law, reference.scheme).elbo)
        assert "\n" not in reference.story


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.6], [COPY, COPY], {1: COPY}), "the prior sums to 1.1"),
        (([0.5, math.nan], [COPY, COPY], {1: COPY}), "the prior has cells that are NaN"),
        (([1.5, -0.5], [COPY, COPY], {1: COPY}), "negative: give probabilities"),
        ((COPY, [COPY, COPY], {1: COPY}), "the prior has shape"),
        (([], [COPY, COPY], {1: COPY}), "at least one probability"),
        (([1.0], [], {1: NOTHING}), "at least one decoder"),
        (([1.0], [COPY], {1: NOTHING}), "decoder 0 has shape"),
        (([1.0], [BIT, 2 * BIT], {1: NOTHING}), "decoder 1 sums to 2"),
        (([1.0], [BIT, BIT], {}), "at least one encoder"),
        (([1.0], [BIT, BIT], {2: COPY}), "the encoder of subset 2 has 2 latents"),
        (([0.5, 0.5], [COPY, COPY], {1: COPY, 2: COPY / 2}), "the encoder of subset 2 sums to 0.5"),
    ],
)
def test_a_bad_model_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        TabularVAE(*arguments)


@pytest.mark.parametrize(
    ("law", "scheme", "message"),
    [
        (Discrete(np.full((2, 2, 2), 1 / 8)), mmvae(3), "give one decoder for each unit"),
        (Discrete(np.full((2, 3), 1 / 6)), mmvae(2), "give one decoder for each unit"),
        (dsbs(0.1), mmvae(3), "over 3 modalities"),
        (dsbs(0.1), SubsetScheme({3: 1}, 2), r"encodes X1,X2, for which .* \(key 3\)"),
        (dsbs(0.1), SubsetScheme({0: 1}, 2, allow_empty=True), "encodes the empty subset"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(law, scheme, message):
    model = TabularVAE([1.0], [BIT, BIT], {1: NOTHING, 2: NOTHING})
    with pytest.raises(InputError, match=message):
        elbo_terms(model, law, scheme)


def test_an_encoder_of_another_alphabet_is_refused():
    model = TabularVAE([1.0], [BIT, BIT], {1: np.ones((3, 1)), 2: NOTHING})
    with pytest.raises(InputError, match=r"the encoder of X1 has shape \(3, 1\): it must be \(2, 1\)"):
        elbo_terms(model, dsbs(0.1), mmvae(2))


def test_objectives_and_schemes_must_agree():
    model = TabularVAE([1.0], [BIT, BIT], {1: NOTHING, 2: NOTHING, 3: np.ones((2, 2, 1))})
    with pytest.raises(ObjectiveError, match="not a mixture"):
        elbo_terms(model, dsbs(0.1), mvae_subsampled(2))
    for scheme, name in [(mvae_subsampled(2), "own-density"), (mmvae(2), "sub-sampled")]:
        with pytest.raises(ObjectiveError, match="does not have the objective"):
            objective(model, dsbs(0.1), scheme, name)
    with pytest.raises(InputError, match="no exact value of objective 'iwae'"):
        objective(model, dsbs(0.1), mmvae(2), "iwae")
    with pytest.raises(InputError, match="unknown modality or unit 'X9'"):
        objective(model, dsbs(0.1), mmvae(2), "rescaled", scales={"X9": 2.0})


def test_a_joint_law_that_does_not_fit_in_memory_is_refused(monkeypatch):
    monkeypatch.setattr("bounds.memory.available_bytes", lambda: 100)
    reference = reference_models()["private-noise"]
    with pytest.raises(InputError, match="the joint law of subset, data and latent"):
        elbo_terms(reference.model, reference.law, reference.scheme)


def test_tables_are_read_only():
    model = reference_models()["twin-bit"].model
    for table in (model.prior, *model.decoders, *model.encoders.values()):
        with pytest.raises(ValueError, match="read-only"):
            table[...] = 0
