"""Laws: what is refused and why, marginals, samples, and the two levels of a common cause.

Statistical tests compare a mean of ``n`` draws with its exact value at ``Z`` standard errors.
"""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from progress_common import recorded
from strategies_for_tests import block_sizes, covariances, pmfs, random_pmf

from bounds import (
    CommonCause,
    Discrete,
    EntropyVector,
    Gaussian,
    InputError,
    distortion_floor,
    irreducible_error,
    mmvae,
)
from bounds import total_correlation_term as tc_term
from bounds.joints import Law

#: Two-sided normal quantile of 1e-8: a test that compares up to 100 means fails by chance about once in a million.
Z = 5.7

LN2 = math.log(2)
NAN, INF = math.nan, math.inf


# --- refusals -----------------------------------------------------------------------------------------------------

WRONG_PMFS = [
    (0.5, {}, "at least one axis"),
    ([], {}, "at least one axis"),
    ([[0.5, NAN]], {}, "NaN or infinite"),
    ([[0.5, INF]], {}, "NaN or infinite"),
    ([[0.5, 0.75], [-0.25, 0.0]], {}, r"negative at \(1, 0\): -0.25"),
    ([0.5, 0.4], {}, "sums to 0.9, not to 1"),
    ([0.0, 0.0], {}, "sums to 0, not to 1"),
    ([0.5, 0.5 + 3e-6], {}, "not to 1"),
    ([[0.5, 0.5]], {"names": ["a"]}, "1 modality names for 2"),
    ([[0.5, 0.5]], {"names": ["a", "a"]}, "'a' is used twice"),
    ([[0.5, 0.5]], {"names": ["a", "b|c"]}, "without"),
    ([[0.5, 0.5]], {"names": ["a", ""]}, "nonempty"),
    ([[0.5, 0.5]], {"names": "ab"}, "not the one string 'ab'"),
    ([[0.5, 0.5]], {"sizes": [1]}, "add up to 1, but there are 2"),
    ([[0.5, 0.5]], {"sizes": [2, 1]}, "add up to 3, but there are 2"),
    ([[0.5, 0.5]], {"sizes": [2, 0]}, "positive whole numbers"),
    ([[0.5, 0.5]], {"sizes": [0.5, 1.5]}, "positive whole numbers"),
    ([[0.5, 0.5]], {"sizes": []}, "positive whole numbers"),
    ([[0.5, 0.5]], {"units": "pixel"}, "'pixel'.*'scalar'"),
    ([[[0.5, 0.5]]], {"sizes": [2, 1], "units": [1, 2]}, "straddle the end of modality 'X1'"),
    ([[0.5, 0.5]], {"sizes": [2], "names": ["a", "b"]}, "2 modality names for 1"),
]


@pytest.mark.parametrize(("pmf", "options", "problem"), WRONG_PMFS)
def test_pmfs_are_checked(pmf, options, problem):
    with pytest.raises(InputError, match=problem):
        Discrete(pmf, **options)


EYE = [[1.0, 0.0], [0.0, 1.0]]
WRONG_COVARIANCES = [
    ([1.0, 2.0], {}, "square matrix, not of shape"),
    ([[1.0, 0.0]], {}, "square matrix"),
    (np.zeros((0, 0)), {}, "square matrix"),
    ([[1.0, NAN], [NAN, 1.0]], {}, "NaN or infinite"),
    ([[INF, 0.0], [0.0, 1.0]], {}, "NaN or infinite"),
    ([[1.0, 0.0], [0.0, -1e-9]], {}, "variance of variable 1 is negative: -1e-09"),
    ([[1.0, 0.5], [0.4, 1.0]], {}, r"not symmetric \(by 0.1 in correlation\)"),
    ([[1.0, 1.5], [1.5, 1.0]], {}, "indefinite: .* eigenvalue -0.5"),
    ([[1.0, 0.9, 0.9], [0.9, 1.0, -0.9], [0.9, -0.9, 1.0]], {}, "indefinite"),
    ([[0.0, 0.1], [0.1, 1.0]], {}, "indefinite"),
    (EYE, {"sizes": [1]}, "add up to 1, but there are 2"),
    (EYE, {"names": ["a"]}, "1 modality names for 2"),
    (EYE, {"sizes": [2], "units": [1]}, "units=.*add up to 1"),
]


@pytest.mark.parametrize(("cov", "options", "problem"), WRONG_COVARIANCES)
def test_covariances_are_checked(cov, options, problem):
    with pytest.raises(InputError, match=problem):
        Gaussian(cov, **options)


def test_asymmetry_is_judged_in_correlations():
    """A difference of 1 is nothing between variables of sd 1e6, and everything between those of sd 1."""
    big = np.array([[1e12, 2.0], [1.0, 1e12]])
    assert Gaussian(big).cov[0, 1] == 1.5
    with pytest.raises(InputError, match="not symmetric"):
        Gaussian([[1.0, 0.5], [-0.5, 1.0]])


FLIP = np.array([[0.9, 0.1], [0.2, 0.8]])
WRONG_CAUSES = [
    ([[0.5, 0.5]], [None], "one vector, not of shape"),
    ([0.5, 0.6], [None], "sums to 1.1"),
    ([0.5, 0.5], [], "at least one modality"),
    ([0.5, 0.5], [FLIP[:1]], r"private part 0 has shape \(1, 2\): its first axis is the label \(2 values\)"),
    ([0.5, 0.5], [None, np.array([0.5, 0.5])], r"private part 1 has shape \(2,\)"),
    ([0.5, 0.5], [[[0.5, 0.5], [0.5, 0.6]]], "private part 0 given label 1: .*sums to 1.1"),
    ([0.5, 0.5], [FLIP, [[1.5, -0.5], [0.5, 0.5]]], "private part 1 given label 0: .*negative"),
    ([0.5, 0.5], [[[NAN, 1.0], [0.5, 0.5]]], "private part 0 given label 0: .*NaN"),
]


@pytest.mark.parametrize(("label", "parts", "problem"), WRONG_CAUSES)
def test_common_causes_are_checked(label, parts, problem):
    with pytest.raises(InputError, match=problem):
        CommonCause(label, parts)


def test_a_float32_table_is_normalised():
    pmf = random_pmf(np.random.default_rng(0), (5, 7)).astype(np.float32)
    law = Discrete(pmf)
    assert law.pmf.dtype == np.float64
    assert law.pmf.sum() == pytest.approx(1, abs=1e-15)


def test_laws_are_read_only_and_keep_their_own_copy():
    table, cov = np.array([0.25, 0.75]), np.array(EYE)
    discrete, gaussian = Discrete(table), Gaussian(cov)
    table[0], cov[0, 0] = 9, 9
    assert discrete.pmf[0] == 0.25
    assert gaussian.cov[0, 0] == 1
    for array in (discrete.pmf, gaussian.cov, CommonCause([0.5, 0.5], [FLIP]).parts[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        discrete.pmf = table


@pytest.mark.parametrize(
    ("values", "options", "problem"),
    [
        ([0.0, 1.0, 1.0], {}, r"\(3,\) entropies for 4 subsets"),
        ([0.0, NAN, 1.0, 1.0], {}, r"H\(X\) is nan"),
        ([0.0, 1.0, 1.0, INF], {}, r"H\(X,Y\) is inf"),
        ([0.1, 1.0, 1.0, 1.0], {}, "empty set is 0.1"),
        ([0.0, 1.0, 1.0, -1.0], {}, "X,Y"),
        ([0.0, 1.0, 1.0, -INF], {}, "X,Y"),
        ([0.0, 1.0, 1.0, 1.0], {"kind": "other"}, "kind 'other'"),
        ([0.0, 1.0, 1.0, 1.0], {"modality_units": (0b01, 0b01)}, "must split"),
        ([0.0, 1.0, 1.0, 1.0], {"modality_units": (0b11,)}, "must split"),
    ],
)
def test_entropy_vectors_are_checked(values, options, problem):
    with pytest.raises(InputError, match=problem):
        EntropyVector(["X", "Y"], values, **options)


def test_negative_values_are_fine_for_differential_entropies():
    h = EntropyVector(["X"], [0.0, -3.0], "differential")
    assert h["X"] == -3


def test_a_subset_that_was_not_computed_is_named():
    h = Discrete(np.full((2, 2, 2, 2), 1 / 16), sizes=[2, 2], units="scalar").unit_entropies()
    assert h[0b0011] == pytest.approx(2 * LN2)
    with pytest.raises(InputError, match=r"H\(X1\[0\],X2\[0\]\) is not among"):
        h["X1[0]", "X2[0]"]


# --- marginals ----------------------------------------------------------------------------------------------------


@given(st.data())
def test_marginals_of_a_table_keep_its_entropies(data):
    pmf = data.draw(pmfs(min_axes=2, max_axes=4))
    sizes = data.draw(block_sizes(pmf.ndim))
    law = Discrete(pmf, sizes=sizes, units="scalar")
    check_marginal(law, data.draw(st.integers(1, (1 << len(sizes)) - 1)))


@given(st.data())
def test_marginals_of_a_gaussian_keep_its_entropies(data):
    cov = data.draw(covariances(min_size=2))
    sizes = data.draw(block_sizes(len(cov)))
    check_marginal(Gaussian(cov, sizes, units="scalar"), data.draw(st.integers(1, (1 << len(sizes)) - 1)))


def check_marginal(law, mask):
    marginal = law.marginal(mask)
    kept = [m for m in range(len(law.names)) if mask >> m & 1]
    assert marginal.names == tuple(law.names[m] for m in kept)
    whole, part = law.entropy_vector(), marginal.entropy_vector()
    for subset in range(1 << len(kept)):
        original = sum(1 << m for i, m in enumerate(kept) if subset >> i & 1)
        # float64 tables are normalised again
        assert part[subset] == pytest.approx(whole[original], rel=1e-12, abs=1e-12)
    check_same_vector(whole.marginal(mask), part)
    check_same_vector(law.unit_entropies().marginal(mask), marginal.unit_entropies())


def check_same_vector(one, other):
    """Values, and the names and grouping of the units."""
    assert one.names == other.names
    assert one.modality_names == other.modality_names
    assert one.modality_units == other.modality_units
    assert one.kind == other.kind
    assert len(one.values) == len(other.values)
    for mask in range(1 << other.n_units) if other.masks is None else other.masks:
        assert one[mask] == pytest.approx(other[mask], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("mask", [0b001, 0b110, 0b111])
def test_marginals_of_a_common_cause(mask):
    law = CommonCause([0.3, 0.7], [FLIP, None, np.full((2, 2, 2), 0.25)], ["a", "b", "c"])
    check_marginal(law, mask)


def test_marginals_by_name_and_of_nothing():
    law = Discrete(np.full((2, 3, 4), 1 / 24), names=["a", "b", "c"])
    assert law.marginal(["c", "a"]).pmf.shape == (2, 4)
    assert law.marginal("b").pmf.shape == (3,)
    for any_law in (law, Gaussian(np.eye(2)), CommonCause([1.0], [None])):
        with pytest.raises(InputError, match="at least one modality"):
            any_law.marginal(0)


# --- levels -------------------------------------------------------------------------------------------------------


def test_levels_of_a_table():
    """Six fair bits X_m = (Y, V_m, V_m): THEORY T2's pin, ln 2 at pixel level and 0 for whole modalities."""
    pmf = np.zeros((2,) * 6)
    for y, v, w in np.ndindex(2, 2, 2):
        pmf[y, v, v, y, w, w] = 1 / 8
    law = Discrete(pmf, sizes=[3, 3], units="scalar")
    assert law.entropy_vector()["X1", "X2"] == pytest.approx(3 * LN2)
    assert tc_term(law.entropy_vector(), mmvae(2)).value == pytest.approx(0, abs=1e-14)
    assert tc_term(law.unit_entropies(), mmvae(2)).value == pytest.approx(LN2)


def check_levels(law):
    """The finer level holds the coarser one, and its floor and TC term are not smaller."""
    fine, coarse = law.unit_entropies(), law.entropy_vector()
    lifted = fine.at_modality_level()
    assert lifted.names == coarse.names
    assert lifted.kind == coarse.kind
    np.testing.assert_allclose(lifted.values, coarse.values, rtol=1e-12, atol=1e-12)
    scheme = mmvae(len(law.names))
    for bound in (tc_term, distortion_floor):
        assert bound(fine, scheme).value >= bound(coarse, scheme).value - 1e-11
        assert bound(lifted, scheme).value == pytest.approx(bound(coarse, scheme).value, abs=1e-11)


@given(st.data())
def test_levels_of_any_table(data):
    pmf = data.draw(pmfs(min_axes=2, max_axes=5))
    check_levels(Discrete(pmf, sizes=data.draw(block_sizes(pmf.ndim)), units="scalar"))


@given(st.data())
def test_levels_of_any_gaussian(data):
    cov = data.draw(covariances(min_size=2))
    check_levels(Gaussian(cov, data.draw(block_sizes(len(cov))), units="scalar"))


def test_one_unit_per_modality_is_one_level():
    law = Discrete(random_pmf(np.random.default_rng(0), (2, 3, 2)))
    fine, coarse = law.unit_entropies(), law.entropy_vector()
    assert fine.n_units == fine.n_modalities == 3
    for mask in fine.masks:
        assert fine[mask] == pytest.approx(coarse[mask], rel=1e-14)
    assert coarse.at_modality_level() is coarse


# --- common cause -------------------------------------------------------------------------------------------------


@st.composite
def common_causes(draw):
    """Discrete common causes, labels that never occur and bare labels among them."""
    label = np.array(draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)), dtype=float)
    label[0] += 1
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        shape = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
        parts.append(np.array([draw(pmfs(shape=shape)) for _ in label]) if shape else None)
    return CommonCause(label / label.sum(), parts)


@given(common_causes())
def test_a_common_cause_is_its_table(law):
    table = law.to_discrete()
    np.testing.assert_allclose(
        law.entropy_vector().values, table.entropy_vector().values, rtol=1e-12, atol=1e-12, strict=True
    )
    ours, theirs = law.unit_entropies(), table.unit_entropies()
    assert (ours.names, ours.masks, ours.modality_units) == (theirs.names, theirs.masks, theirs.modality_units)
    np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-12, atol=1e-12)
    assert ours.kind == "discrete"
    check_levels(law)


def test_a_gaussian_private_part():
    """H(Y) + h(U): the label is counted, the private part measured."""
    cov = np.array([[2.0, 1.0], [1.0, 3.0]])
    law = CommonCause([0.25, 0.75], [Gaussian(cov), FLIP, None], ["a", "b", "c"])
    h = law.entropy_vector()
    label = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    density = math.log(2 * math.pi * math.e) + 0.5 * math.log(5)
    noise = -0.25 * (0.9 * math.log(0.9) + 0.1 * math.log(0.1)) - 0.75 * (0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert h.kind == "differential"
    assert h["a"] == pytest.approx(label + density)
    assert h["a", "b", "c"] == pytest.approx(label + density + noise)
    units = law.unit_entropies()
    assert units.names == ("a[0]", "a[1]", "a[2]", "b[0]", "b[1]", "c")
    assert units["a[1]"] == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 2))
    assert units["c", "a[2]"] == pytest.approx(label + 0.5 * math.log(2 * math.pi * math.e * 3))
    with pytest.raises(InputError, match="no probability table"):
        law.to_discrete()
    check_levels(law)


def test_gaussian_parts_with_several_units():
    part = Gaussian(np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]), sizes=[2, 1])
    law = CommonCause([0.5, 0.5], [part, None])
    assert law.layout.unit_sizes == (1, 2, 1, 1)
    assert law.unit_entropies()["X1[1]"] == pytest.approx(part.entropy_vector()["X1"])


def test_a_singular_gaussian_part_is_minus_infinity():
    law = CommonCause([0.5, 0.5], [Gaussian(np.ones((2, 2))), None])
    h = law.entropy_vector()
    assert h["X1"] == -INF
    assert h["X2"] == pytest.approx(LN2)


def test_large_common_causes_need_no_table():
    law = CommonCause([0.5, 0.5], [np.full((2, 2, 2, 2), 1 / 8)] * 10)
    assert law.entropy_vector().values[-1] == pytest.approx(31 * LN2)
    with pytest.raises(InputError, match=r"needs .* GiB .* use its entropies directly"):
        law.to_discrete()


# --- samples ------------------------------------------------------------------------------------------------------


def check_mean(draws, exact, spread):
    """The mean of draws against its exact value, ``Z`` standard errors apart at most."""
    error = np.abs(draws.mean(axis=0) - exact)
    assert (error <= Z * spread / math.sqrt(len(draws)) + 1e-15).all(), error


def check_cells(draws, pmf):
    """Each cell's frequency against its probability; cells of probability zero never occur."""
    for cell, p in np.ndenumerate(pmf):
        check_mean((draws == cell).all(axis=1).astype(float), p, math.sqrt(p * (1 - p)))


def test_samples_of_a_table():
    pmf = random_pmf(np.random.default_rng(1), (2, 3, 2), zeros=0.3)
    law = Discrete(pmf, names=["a", "b"], sizes=[2, 1])
    draws = law.sample(40_000, np.random.default_rng(2))
    assert {name: values.shape for name, values in draws.items()} == {"a": (40_000, 2), "b": (40_000, 1)}
    check_cells(np.hstack([draws["a"], draws["b"]]), pmf)
    with pytest.raises(AssertionError):
        check_cells(np.hstack([draws["b"], draws["a"]]), pmf.transpose(2, 1, 0))


def test_samples_of_a_gaussian():
    cov = np.array([[2.0, 1.0, 0.0], [1.0, 1.0, -0.5], [0.0, -0.5, 3.0]])
    draws = Gaussian(cov, [1, 2], ["a", "b"]).sample(40_000, np.random.default_rng(3))
    x = np.hstack([draws["a"], draws["b"]])
    assert draws["b"].shape == (40_000, 2)
    check_mean(x, 0, np.sqrt(np.diagonal(cov)))
    for i in range(3):
        for j in range(3):
            spread = math.sqrt(cov[i, i] * cov[j, j] + cov[i, j] ** 2)
            check_mean(x[:, i] * x[:, j], cov[i, j], spread)


def test_samples_of_a_singular_gaussian_stay_in_its_support():
    draws = Gaussian([[1.0, 2.0], [2.0, 4.0]]).sample(100, np.random.default_rng(4))
    np.testing.assert_allclose(draws["X2"], 2 * draws["X1"], atol=1e-6)  # eigenvalue rounding, its square root


def test_samples_of_a_common_cause():
    law = CommonCause([0.3, 0.0, 0.7], [np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]), None])
    draws = law.sample(40_000, np.random.default_rng(5))
    assert draws["X1"].shape == (40_000, 2)
    assert np.array_equal(draws["X1"][:, :1], draws["X2"])
    check_cells(np.hstack([draws["X1"], draws["X2"]]), law.to_discrete().pmf)


def test_samples_of_a_common_cause_with_a_gaussian_part():
    law = CommonCause([0.3, 0.7], [Gaussian(np.array([[2.0, -1.0], [-1.0, 1.0]])), None])
    x = law.sample(40_000, np.random.default_rng(6))["X1"]
    check_mean(x[:, 1] * x[:, 2], -1, math.sqrt(3))
    check_mean(x[:, 0], 0.7, math.sqrt(0.21))
    check_mean(x[:, 0] * x[:, 1], 0, math.sqrt(0.7 * 2))


@pytest.mark.parametrize(
    "law",
    [
        Discrete(np.full((2, 3), 1 / 6)),
        Gaussian(np.eye(2)),
        CommonCause([0.5, 0.5], [FLIP, None]),
        CommonCause([0.5, 0.5], [Gaussian(np.eye(1))]),
    ],
    ids=["discrete", "gaussian", "common cause", "mixed"],
)
def test_every_law_keeps_the_promises_of_a_law(law):
    assert isinstance(law, Law)
    first, again = (law.sample(50, np.random.default_rng(7)) for _ in range(2))
    assert list(first) == list(law.names)
    for name in first:
        assert np.array_equal(first[name], again[name])
    empty = law.sample(0, np.random.default_rng(7))
    sizes = dict(zip(law.names, law.layout.sizes, strict=True))
    assert {name: x.shape for name, x in empty.items()} == {name: (0, size) for name, size in sizes.items()}


# --- long work ----------------------------------------------------------------------------------------------------

FINER = [
    Discrete(np.full((2, 3, 2, 2), 1 / 24), sizes=[1, 2, 1], units="scalar"),
    Gaussian(np.eye(5) + 0.5, sizes=[2, 1, 2], units="scalar"),
    CommonCause([0.5, 0.5], [FLIP, None, Gaussian(np.eye(2), sizes=[1, 1])]),
]


@pytest.mark.parametrize("law", FINER, ids=["discrete", "gaussian", "common cause"])
def test_progress_has_as_many_steps_as_it_says_and_changes_nothing(law):
    for entropies in (law.entropy_vector, law.unit_entropies):
        log = []
        assert np.array_equal(entropies(recorded(log)).values, entropies().values)
        ((what, announced, done),) = log
        assert what == "entropies"
        assert announced == done > 0


@pytest.mark.parametrize("law", FINER, ids=["discrete", "gaussian", "common cause"])
def test_progress_covers_a_law_from_its_entropies_to_its_growth(law):
    log = []
    irreducible_error(law, ["mmvae", "mopoe"], track=recorded(log))
    assert [what for what, _, _ in log] == ["entropies", "bounding", "growing"]
    assert all(announced == done for _, announced, done in log)
    assert log[1:] == [("bounding", 2, 2), ("growing", 3, 3)]


def test_too_many_modalities_are_refused_at_once():
    law = Discrete(np.full((2,) * 24, 2.0**-24))
    with pytest.raises(InputError, match=r"24 modalities together have 2.8e[+]11 cells, which would take hours"):
        law.entropy_vector()


@pytest.mark.parametrize(
    "law",
    [
        Discrete(np.ones((1,) * 22)),
        Gaussian(np.eye(22)),
        CommonCause([0.5, 0.5], [None] * 22),
    ],
    ids=["discrete", "gaussian", "common cause"],
)
def test_more_modalities_than_can_be_listed_are_refused_at_once(law):
    few = law.marginal(range(4))
    assert len(few.entropy_vector().values) == 16
    for work in (law.entropy_vector, law.unit_entropies, lambda: irreducible_error(law, "mopoe")):
        with pytest.raises(InputError, match=r"22 modalities have 2\^22 subsets, and those of 21 can be listed"):
            work()


def test_more_columns_than_modalities_can_be_listed_are_refused_at_once():
    columns = {f"c{i}": np.random.default_rng(i).normal(size=30) for i in range(26)}
    with pytest.raises(InputError, match="26 modalities have"):
        irreducible_error(columns, "mopoe")


# --- singular laws ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "named"),
    [
        (Gaussian([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [2.0, 0.0, 4.0]], names=["a", "b", "c"]), "a and c are linearly"),
        (Gaussian(np.diag([1.0, 0.0]), names=["a", "b"]), "b is constant or its parts are linearly"),
        (Gaussian(np.ones((3, 3)) + np.diag([0.0, 0, 1]), [2, 1], ["a", "b"]), "a is constant or its parts are"),
        (CommonCause([0.5, 0.5], [None, Gaussian(np.ones((2, 2)))], ["a", "b"]), "b is constant or its parts are"),
        (Gaussian(np.ones((3, 3)) + np.diag([0.0, 1, 0]), [2, 1], ["a", "b"], "scalar"), r"a\[0\] and b are linearly"),
        (
            Gaussian(np.kron(np.ones((2, 2)), np.eye(2)), [2, 2], ["a", "b"], "scalar"),
            r"a\[0\] and a\[1\] and b\[0\] are",
        ),
    ],
)
def test_a_singular_law_is_named_and_said_to_have_no_bound(law, named):
    (warning,) = irreducible_error(law, "mmvae").warnings
    assert re.match(rf"h\(X\) = -inf: {named}.* need a finite h\(X\)", warning)
    h = law.unit_entropies()
    assert irreducible_error(h, "mmvae").warnings == (warning,)


def test_a_regular_law_is_not_said_to_be_singular():
    for law in (*FINER, Gaussian(np.diag([1e-300, 1.0])), Discrete([[1.0]])):
        assert irreducible_error(law, "mmvae").warnings == ()
