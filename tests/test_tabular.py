"""The finite VAE: exact terms against loops, infinities, and what it refuses."""

import math

import numpy as np
import pytest
from optimum_common import all_seen, likelihood
from pins_common import IDENTITY, Enumerated, cross, dsbs, joint_tables, kl, random_case

from bounds import Discrete, InputError, ObjectiveError, SubsetScheme, mmvae, mvae_subsampled
from toy_models import (
    Inequality,
    TabularVAE,
    elbo_terms,
    objective,
    optimal_decoders,
    optimal_encoders,
    random_model,
    reference_models,
)

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


def with_zeros(model, rng):
    """The same prior and decoders with some cells zero, but in the first row."""
    tables = [model.prior[None].T, *model.decoders]
    kept = [np.where((rng.random(t.shape) < 0.3) & (np.arange(len(t)) > 0)[:, None], 0.0, t) for t in tables]
    prior, decoders = kept[0][:, 0], [t + (t.sum(axis=1, keepdims=True) == 0) for t in kept[1:]]
    return prior / prior.sum(), [t / t.sum(axis=1, keepdims=True) for t in decoders]


def check_encoders(found, law, scheme, prior, decoders, beta):
    """T6 cell by cell: ``q_A(z|x_A)`` is proportional to ``p(z) exp(-d_A(x_A,z)/beta)``."""
    rows = [[table[z] for table in decoders] for z in range(len(prior))]
    for seen in all_seen(law, scheme):
        weights = np.array([p * likelihood(seen, row, 1 / beta) for p, row in zip(prior, rows, strict=True)])
        # exponents of a few hundred, each rounded by 1e-13
        assert np.allclose(found.encoders[seen.subset][seen.values], weights / weights.sum(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("seed", range(20))
def test_optimal_encoders_agree_with_loops(seed, beta):
    law, scheme, model = random_case(seed)
    prior, decoders = with_zeros(model, np.random.default_rng(seed))
    check_encoders(optimal_encoders(law, scheme, prior, decoders, beta), law, scheme, prior, decoders, beta)


def test_other_encoders_are_not_optimal():
    """Planted faults: another beta, another prior, decoders of two latents changed over, another law."""
    law, scheme = Discrete(np.arange(1, 13).reshape(2, 3, 2) / 78), mmvae(3)
    model = random_model(law, scheme, 3, np.random.default_rng(0))
    given = law, scheme, model.prior, model.decoders, 2.0
    check_encoders(optimal_encoders(*given), *given)
    reversed_law = Discrete(law.pmf[::-1, ::-1, ::-1])
    for fault in (
        (law, scheme, model.prior, model.decoders, 2.1),
        (law, scheme, np.full(3, 1 / 3), model.decoders, 2.0),
        (law, scheme, model.prior, [table[[1, 0, 2]] for table in model.decoders], 2.0),
        (reversed_law, scheme, model.prior, model.decoders, 2.0),
    ):
        with pytest.raises(AssertionError):
            check_encoders(optimal_encoders(*fault), *given)


@pytest.mark.parametrize("beta", [1e-9, 1e9])
def test_optimal_encoders_are_laws_whatever_beta(beta):
    """Exponents of a billion: the likeliest latent alone, or the prior."""
    sharp, soft = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.8, 0.2], [0.2, 0.8]])
    model = optimal_encoders(dsbs(0.1), mmvae(2), np.array([0.3, 0.7]), [sharp, soft], beta)
    expected = np.eye(2) if beta < 1 else [[0.3, 0.7]] * 2
    assert np.allclose(model.encoders[1], expected, rtol=1e-8, atol=1e-300)  # exp(2e-9) at the large beta


@pytest.mark.parametrize("beta", [0.0, -1.0, math.inf, math.nan])
def test_optimal_encoders_need_a_positive_beta(beta):
    with pytest.raises(InputError, match="give a positive number"):
        optimal_encoders(dsbs(0.1), mmvae(2), np.ones(1), [BIT, BIT], beta)


def test_optimal_encoders_refuse_a_scheme_over_other_modalities():
    with pytest.raises(InputError, match="over 3 modalities, the law over 2"):
        optimal_encoders(dsbs(0.1), mmvae(3), np.ones(1), [BIT, BIT])


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
