"""The public strategies: valid objects, corners included, that shrink to readable cases; and their documentation."""

import doctest
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from bounds import CommonCause, Discrete, Gaussian, SubsetScheme, mmvae, mopoe
from bounds import choices as decode
from bounds.choices import MAX_CELLS, RARE, Choices
from bounds.finite import TabularVAE, elbo_terms
from bounds.strategies import (
    common_cause_laws,
    decoded,
    discrete_laws,
    gaussian_laws,
    linear_codes,
    schemes,
    tabular_models,
)

GUIDE = Path(__file__).parents[1] / "docs" / "property-testing.md"
#: A search for one case: the corners must be common enough for it.
SEARCH = settings(max_examples=500, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


def smallest(strategy, condition):
    return find(strategy, condition, settings=SEARCH)


def distinct(table):
    """The distinct probabilities of a table, which must be simple fractions."""
    values = {Fraction(float(p)).limit_denominator(1000) for p in np.ravel(table)}
    assert all(min(abs(float(v) - np.ravel(table))) < 1e-12 for v in values)
    return values


# --- what is generated is valid -------------------------------------------------------------------------------------


@given(discrete_laws(units=2))
def test_discrete_laws(law):
    assert isinstance(law, Discrete)
    assert 1 <= len(law.names) <= 3
    assert law.pmf.size <= MAX_CELLS
    assert law.pmf.min() >= 0
    assert law.pmf.sum() == pytest.approx(1)


@given(st.sampled_from([1, 2, 3, 4]).flatmap(lambda m: st.tuples(st.just(m), discrete_laws(m, max_alphabet=4))))
def test_the_number_of_modalities_and_the_alphabet_are_kept(drawn):
    count, law = drawn
    assert len(law.names) == count
    assert max(law.pmf.shape) <= 4


@given(linear_codes((2, 3, 4), bits=2, units=3))
def test_entropies_of_linear_codes_are_whole_numbers_of_bits(law):
    assert law.pmf.size <= MAX_CELLS
    h = law.entropy_vector()
    bits = [h[mask] / np.log(2) for mask in range(1 << len(law.names))]
    np.testing.assert_allclose(bits, np.round(bits), atol=1e-12)


@given(gaussian_laws(max_size=3))
def test_gaussian_laws_are_regular(law):
    assert isinstance(law, Gaussian)
    np.testing.assert_allclose(law.cov, law.cov.T, rtol=0, atol=1e-12 * abs(law.cov).max())
    assert np.isfinite(float(np.linalg.slogdet(law.cov)[1]))
    assert np.isfinite(law.entropy_vector()[(1 << len(law.names)) - 1])


@given(common_cause_laws())
def test_common_cause_laws(law):
    assert isinstance(law, CommonCause)
    h = law.entropy_vector()
    assert h[(1 << len(law.names)) - 1] >= -1e-12


@given(st.integers(1, 4).flatmap(lambda m: st.tuples(st.just(m), st.booleans().flatmap(lambda e: schemes(m, e)))))
def test_schemes(drawn):
    count, scheme = drawn
    assert isinstance(scheme, SubsetScheme)
    assert scheme.n_modalities == count
    assert sum(weight for _, weight in scheme) == 1
    assert all(isinstance(weight, Fraction) and weight > 0 for _, weight in scheme)


def with_models(laws, scheme):
    return laws.flatmap(lambda law: st.tuples(st.just(law), tabular_models(law, scheme)))


@given(with_models(discrete_laws(2, units=2), mopoe(2)))
def test_tabular_models_fit_their_law(pair):
    law, model = pair
    assert isinstance(model, TabularVAE)
    assert elbo_terms(model, law, mopoe(2)).slack >= -1e-9


# --- corners --------------------------------------------------------------------------------------------------------


def correlation(law):
    scale = np.sqrt(np.diagonal(law.cov))
    return float(np.abs(law.cov / np.outer(scale, scale) - np.eye(len(scale))).max())


def constant_variables(law):
    """How many variables always have the same value."""
    axes = range(law.pmf.ndim)
    return sum(np.count_nonzero(law.pmf.sum(axis=tuple(a for a in axes if a != kept))) == 1 for kept in axes)


def copies(encoder):
    """Whether every value of the data gives one value of the latent, and not all the same one."""
    return (encoder.max(axis=-1) == 1).all() and len(np.unique(encoder.argmax(axis=-1))) > 1


@pytest.mark.parametrize(
    ("strategy", "corner"),
    [
        (discrete_laws(2), lambda law: (law.pmf == 0).any()),
        (discrete_laws(1), lambda law: np.count_nonzero(law.pmf) == 1),
        (discrete_laws(2), lambda law: np.count_nonzero(law.pmf) == 1),
        (discrete_laws(3), lambda law: np.count_nonzero(law.pmf) == 1),
        (discrete_laws(2), lambda law: constant_variables(law) == 1),
        (discrete_laws(3), lambda law: 1 < np.count_nonzero(law.pmf) <= law.pmf.size / 3),
        (discrete_laws(2), lambda law: len(np.unique(law.pmf[law.pmf > 0])) < np.count_nonzero(law.pmf)),
        (discrete_laws(2), lambda law: (law.pmf.sum(axis=1) == 0).any()),
        (discrete_laws(units=2), lambda law: any(size > 1 for size in law.layout.unit_sizes) or law.pmf.ndim > 3),
        (discrete_laws(3), lambda law: law.pmf.shape == (3, 3, 3)),
        (linear_codes(3), lambda law: law.entropy_vector()[0b111] == pytest.approx(law.entropy_vector()[0b001])),
        (gaussian_laws(2), lambda law: correlation(law) > 0.99),
        (gaussian_laws(2, max_size=1), lambda law: correlation(law) > 0.99),
        (gaussian_laws(2), lambda law: correlation(law) == 0),
        (gaussian_laws(2), lambda law: np.linalg.cond(law.cov) > 1e4),
        (gaussian_laws(2), lambda law: np.diagonal(law.cov).max() > 1e4),
        (common_cause_laws(2), lambda law: len(law.label) == 1),
        (common_cause_laws(2), lambda law: len(law.label) > 1 and law.label.max() == 1),
        (common_cause_laws(2), lambda law: any(part is None for part in law.parts)),
        (common_cause_laws(2), lambda law: len(law.label) == 3 and all(part is not None for part in law.parts)),
        (schemes(2), lambda scheme: set(scheme.weights) == {0b11}),
        (schemes(3), lambda scheme: len({weight for _, weight in scheme}) > 2),
        (schemes(2, allow_empty=True), lambda scheme: 0 in scheme.weights),
        (with_models(discrete_laws(2), mmvae(2)), lambda pair: pair[1].n_latents == 1),
        (with_models(discrete_laws(2), mmvae(2)), lambda pair: (pair[1].prior == 0).any()),
        (with_models(discrete_laws(2), mmvae(2)), lambda pair: any((d == 1).any() for d in pair[1].decoders)),
        (with_models(discrete_laws(2), mmvae(2)), lambda pair: pair[1].n_latents > 1 and copies(pair[1].encoders[1])),
    ],
    ids=[
        *(
            "zeros",
            "one point",
            "one point of two modalities",
            "one point of three",
            "one constant modality",
            "few cells",
            "ties",
            "a value that never occurs",
            "units",
            "three ternary",
            "a copy",
        ),
        *("correlation above .99", "the same for scalars", "uncorrelated", "ill-conditioned", "odd scales"),
        *(
            "constant label",
            "label of one point",
            "no private part",
            "three labels",
            "full",
            "odd weights",
            "empty subset",
        ),
        *("constant latent", "latent never used", "sharp decoder", "encoder without noise"),
    ],
)
def test_corners_occur(strategy, corner):
    smallest(strategy, corner)


FAIR = Discrete(np.full((2, 2), 0.25))


def share(build, corner, cases=4000):
    """How often a corner occurs among random cases, less what an honest share misses once in a million times."""
    rng = np.random.default_rng(0)
    found = np.mean([corner(build(Choices(rng.bytes(256)))) for _ in range(cases)])
    return found + 4.8 * np.sqrt(found * (1 - found) / cases)


@pytest.mark.parametrize(
    ("build", "corner", "least"),
    [
        (lambda c: decode.discrete_law(c, (1, 2, 3)), lambda law: np.count_nonzero(law.pmf) == 1, 1 / RARE),
        (lambda c: decode.discrete_law(c, (2,)), lambda law: np.count_nonzero(law.pmf) == 1, 1 / RARE),
        (lambda c: decode.discrete_law(c, (3,)), lambda law: np.count_nonzero(law.pmf) == 1, 1 / RARE),
        # the other corners of a table have their say too, so a little less than one in RARE
        (lambda c: decode.discrete_law(c, (3,)), lambda law: constant_variables(law) == 1, 0.09),
        (lambda c: decode.discrete_law(c, (3,)), lambda law: (law.pmf == 0).mean() > 0.4, 1 / RARE),
        (lambda c: decode.discrete_law(c, (2,)), lambda law: (law.pmf == 0).any(), 0.5),
        (lambda c: decode.discrete_law(c, (2,)), lambda law: len(distinct(law.pmf)) < law.pmf.size, 0.8),
        (lambda c: decode.common_cause_law(c, (2,)), lambda law: law.label.max() == 1, 0.4),
        (lambda c: c.laws([3, 4]), lambda table: (table.max(axis=-1) == 1).all(), 1 / RARE),
        (lambda c: decode.tabular_model(c, FAIR, mmvae(2)), lambda model: model.n_latents == 1, 1 / 3),
        (lambda c: decode.gaussian_law(c, (1,)), lambda law: not 0.001 < law.cov.max() < 1000, 0.5),
        (lambda c: decode.gaussian_law(c, (2,)), lambda law: smallest_eigenvalue(law) < 1e-3, 0.2),
        (lambda c: decode.gaussian_law(c, (3,)), lambda law: smallest_eigenvalue(law) < 1e-3, 0.5),
        (lambda c: decode.gaussian_law(c, (2, 3)), lambda law: smallest_eigenvalue(law) < 1e-5, 0.05),
    ],
    ids=[
        *(
            "one point",
            "one point of two modalities",
            "one point of three",
            "constant modality",
            "sparse",
            "zeros",
            "ties",
        ),
        *("constant label", "laws of one point", "constant latent", "odd scales"),
        *("nearly singular", "nearly singular of three", "closer to singular"),
    ],
)
def test_corners_are_as_common_as_documented(build, corner, least):
    assert share(build, corner) >= least


def smallest_eigenvalue(law):
    scale = np.sqrt(np.diagonal(law.cov))
    return np.linalg.eigvalsh(law.cov / np.outer(scale, scale))[0]


@pytest.mark.parametrize("units", [1, 2, 4])
@pytest.mark.parametrize("build", [decode.discrete_law, decode.linear_code])
def test_laws_of_up_to_six_modalities_fit(build, units):
    rng = np.random.default_rng(1)
    for _ in range(1000):
        count = int(rng.integers(1, 7))
        law = build(Choices(rng.bytes(300)), (count,), units=units if build is decode.linear_code else 1)
        assert law.pmf.size <= MAX_CELLS
        assert len(law.names) == count


# --- shrinking ------------------------------------------------------------------------------------------------------


def test_no_choices_are_the_simplest_case():
    nothing = Choices(b"")
    law = decode.discrete_law(nothing, (2, 3))
    np.testing.assert_array_equal(law.pmf, np.full((2, 2), 0.25))
    np.testing.assert_array_equal(decode.gaussian_law(Choices(b""), (2,)).cov, np.eye(2))
    assert dict(decode.subset_scheme(Choices(b""), 2)) == dict(mmvae(2))
    assert decode.tabular_model(Choices(b""), law, mmvae(2)).n_latents == 1


def test_anything_shrinks_to_the_simplest_case():
    law = smallest(discrete_laws(), lambda law: True)
    assert (law.pmf.shape, distinct(law.pmf)) == ((2,), {Fraction(1, 2)})
    np.testing.assert_array_equal(smallest(gaussian_laws(), lambda law: True).cov, [[1.0]])
    assert set(smallest(schemes(3), lambda scheme: True).weights) == {0b001, 0b010, 0b100}


def dependence(law):
    h = law.entropy_vector()
    return h[0b01] + h[0b10] - h[0b11]


def test_dependence_shrinks_to_few_simple_fractions():
    law = smallest(discrete_laws(2), lambda law: dependence(law) > 0.05)
    assert law.pmf.size <= 6
    assert len(distinct(law.pmf)) <= 3
    assert max(value.denominator for value in distinct(law.pmf)) <= 12


def test_more_than_pairwise_dependence_shrinks_to_parity():
    def parity(law):
        h = law.entropy_vector()
        pairs = all(abs(h[a] + h[b] - h[a | b]) < 1e-9 for a, b in ((1, 2), (1, 4), (2, 4)))
        return pairs and h[1] + h[2] + h[4] - h[7] > 0.1

    law = smallest(linear_codes(3), parity)
    assert law.pmf.shape == (2, 2, 2)
    assert distinct(law.pmf) == {Fraction(0), Fraction(1, 4)}


def test_correlation_shrinks_to_round_numbers():
    law = smallest(gaussian_laws(2), lambda law: correlation(law) > 0.3)
    assert law.cov.shape == (2, 2)
    assert all(float(entry * 4).is_integer() for entry in law.cov.flat)


def test_models_shrink_to_few_latents():
    model = smallest(tabular_models(FAIR, mmvae(2)), lambda model: model.n_latents > 1)
    assert model.n_latents == 2
    tables = [model.prior, *model.decoders, *model.encoders.values()]
    assert set().union(*map(distinct, tables)) == {Fraction(1, 2)}


def test_one_point_shrinks_to_two_bits():
    law = smallest(discrete_laws(2), lambda law: np.count_nonzero(law.pmf) == 1)
    assert law.pmf.shape == (2, 2)


def test_a_constant_modality_shrinks_to_two_fair_values_of_the_other():
    law = smallest(discrete_laws(2), lambda law: constant_variables(law) == 1)
    assert law.pmf.size <= 6
    assert distinct(law.pmf) == {Fraction(0), Fraction(1, 2)}


def test_a_case_may_be_as_long_as_it_likes():
    def build(choices):
        return [choices.integer(0, 255) for _ in range(1000)]

    made = smallest(decoded(build), lambda made: made[999] > 9)
    assert made == [0] * 999 + [10]


def test_a_strategy_of_ones_own():
    def build(choices):
        return choices.integer(0, 9), choices.pick("abc")

    assert smallest(decoded(build), lambda made: made[0] > 4) == (5, "a")


# --- the documented example -----------------------------------------------------------------------------------------


def test_the_documented_example_runs():
    found = doctest.testfile(str(GUIDE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 8
    assert found.failed == 0
