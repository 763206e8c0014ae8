"""Schemes: exact weights, relabelling, and refusals that say what is wrong."""

import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_for_tests import schemes

from bounds import FAMILIES, InputError, SubsetScheme, full, mmvae, mopoe, mvae_subsampled
from bounds.schemes import parse_scheme

THIRD = Fraction(1, 3)


def check_law(scheme):
    """Positive rational weights that sum to exactly one."""
    assert all(isinstance(w, Fraction) and w > 0 for _, w in scheme)
    assert sum(w for _, w in scheme) == 1


# --- the families -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_families(count):
    top = (1 << count) - 1
    assert dict(full(count).weights) == {top: 1}
    assert dict(mmvae(count).weights) == {1 << m: Fraction(1, count) for m in range(count)}
    assert dict(mopoe(count).weights) == {mask: Fraction(1, top) for mask in range(1, top + 1)}
    for scheme in (full(count), mmvae(count), mopoe(count)):
        check_law(scheme)
        assert scheme.n_modalities == count


def test_families_say_what_the_published_model_optimises():
    assert {name: make(3).objective for name, make in FAMILIES.items()} == {
        "mvae": "own-density",
        "mmvae": "iwae-mixture",
        "mopoe": "own-density",
        "mvae-subsampled": "sub-sampled",
    }
    for name, make in FAMILIES.items():
        assert make(3).label == name
        assert make(3).note


@pytest.mark.parametrize("count", [0, -1, 2.0, "2"])
@pytest.mark.parametrize("family", FAMILIES.values())
def test_families_check_the_number_of_modalities(family, count):
    with pytest.raises(InputError, match="number of modalities"):
        family(count)


@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("k", [0, 1, 3])
def test_mvae_subsampled_coefficients(count, k):
    """Joint, each modality, and k subsets drawn uniformly from those between."""
    scheme = mvae_subsampled(count, k)
    expected = {1 << m: Fraction(1) for m in range(count)}
    expected[(1 << count) - 1] = expected.get((1 << count) - 1, Fraction(0)) + 1
    between = [mask for mask in range(1 << count) if 2 <= mask.bit_count() < count]
    if k and between:
        expected |= {mask: Fraction(k, 2**count - count - 2) for mask in between}
    assert dict(scheme.weights) == expected
    drawn = k if between else 0
    assert sum(w for _, w in scheme) == count + 1 + drawn
    assert scheme.objective == "sub-sampled"


def test_mvae_subsampled_refuses_a_negative_count():
    with pytest.raises(InputError, match="random subsets is -1"):
        mvae_subsampled(3, -1)


# --- weights ------------------------------------------------------------------------------------------------------


def test_floats_are_read_as_the_decimals_they_print_as():
    scheme = SubsetScheme({(0,): 0.1, (1,): 0.2, (0, 1): 0.7})
    assert dict(scheme.weights) == {1: Fraction(1, 10), 2: Fraction(1, 5), 3: Fraction(7, 10)}


def test_the_rounding_of_thirds_is_undone():
    scheme = SubsetScheme({1: 1 / 3, 2: 1 / 3, 4: 1 / 3})
    assert set(scheme.weights.values()) == {THIRD}


def test_numpy_scalars_are_weights():
    for kind in (np.float64, np.float32):
        assert SubsetScheme({1: kind(0.5), 2: kind(0.5)}) == SubsetScheme({1: 0.5, 2: 0.5})


def test_zero_weights_are_dropped():
    assert dict(SubsetScheme({1: 1, 2: 0, 0: 0}, 2).weights) == {1: 1}


def test_ways_to_write_a_subset():
    written = [{0b101: 1}, {(0, 2): 1}, {(2, 0): 1}, {frozenset({0, 2}): 1}, {(np.int64(0), np.int64(2)): 1}]
    for weights in written:
        assert SubsetScheme(weights).weights == {0b101: 1}
    names = ["a", "b", "c"]
    assert SubsetScheme({("a", "c"): 0.5, "b": 0.5}, names=names).weights == {0b101: 0.5, 0b010: 0.5}
    assert SubsetScheme({"a": 1}, names=names).n_modalities == 3


def test_the_number_of_modalities():
    assert SubsetScheme({(0,): 1}).n_modalities == 1
    assert SubsetScheme({(0,): 0.5, (3,): 0.5}).n_modalities == 4
    assert SubsetScheme({(0,): 1}, 5).n_modalities == 5


WRONG = [
    ({}, {}, "at least one subset"),
    ({1: 0.0}, {}, "all weights are zero"),
    ({1: -0.5, 2: 1.5}, {}, r"weight -0.5 of X1: .* not negative"),
    ({1: math.nan}, {}, "weight nan of X1"),
    ({1: math.inf}, {}, "weight inf of X1"),
    ({1: 0.5, 2: 0.4}, {}, "sum to 0.9, not to 1"),
    ({1: 0.333, 2: 0.333, 4: 0.333}, {}, "sum to 0.999"),
    ({0: 0.5, 1: 0.5}, {}, "empty subset has weight 0.5.*allow_empty"),
    ({1: 0.5, (0,): 0.5}, {}, "X1 is given twice"),
    ({8: 1}, {"n_modalities": 3}, "mask 8 is out of range for 3"),
    ({(3,): 1}, {"n_modalities": 3}, "index 3 is out of range"),
    ({(-1,): 1}, {"n_modalities": 3}, "index -1 is out of range"),
    ({"image": 1}, {}, "'image' is written by name"),
    ({"image": 1}, {"names": ["text"]}, "unknown name 'image': known are text"),
    ({1: 1}, {"n_modalities": 0}, "at least one modality"),
    ({(0, 0): 1}, {}, r"subset \(0, 0\) has a modality twice: name each once"),
    ({("a", "b", "a"): 1}, {"names": ["a", "b"]}, "has a modality twice"),
]


@pytest.mark.parametrize(("weights", "options", "problem"), WRONG)
def test_refusals(weights, options, problem):
    with pytest.raises(InputError, match=problem):
        SubsetScheme(weights, **options)


def test_names_must_fit_the_number_of_modalities():
    with pytest.raises(InputError):
        SubsetScheme({("a",): 1}, 3, names=["a"])


def test_an_encoder_that_sees_nothing_can_be_meant():
    scheme = SubsetScheme({0: 0.25, 3: 0.75}, allow_empty=True)
    check_law(scheme)
    assert scheme.weights[0] == Fraction(1, 4)


def test_a_sub_sampled_scheme_may_sum_to_anything():
    scheme = SubsetScheme({1: 2, 2: 0.5}, objective="sub-sampled")
    assert dict(scheme.weights) == {1: 2, 2: Fraction(1, 2)}


def test_schemes_are_values():
    assert SubsetScheme({1: 0.5, 2: 0.5}) == SubsetScheme({2: 0.5, 1: 0.5})
    assert hash(mopoe(3)) == hash(mopoe(3))
    assert mmvae(3) != mopoe(3)
    with pytest.raises(TypeError):
        mmvae(2).weights[1] = Fraction(1)
    with pytest.raises(AttributeError):
        mmvae(2).n_modalities = 3


# --- what is computed ---------------------------------------------------------------------------------------------


@given(st.integers(1, 5).flatmap(schemes))
def test_entropy_and_unseen_probabilities(scheme):
    check_law(scheme)
    weights = [float(w) for w in scheme.weights.values()]
    assert scheme.entropy == pytest.approx(-sum(w * math.log(w) for w in weights), rel=1e-14, abs=1e-15)
    assert 0 <= scheme.entropy <= math.log(len(weights)) + 1e-12
    for m in range(scheme.n_modalities):
        seen = sum(w for mask, w in scheme if mask >> m & 1)
        assert scheme.probability_unseen(m) == 1 - seen


def test_unseen_probabilities_of_the_families():
    assert mmvae(4).probability_unseen(2) == Fraction(3, 4)
    assert mopoe(4).probability_unseen(2) == Fraction(7, 15)
    assert full(4).probability_unseen(2) == 0


def test_relabelling_moves_each_modality():
    scheme = SubsetScheme({(0,): 0.5, (1, 2): 0.3, (0, 1, 2): 0.2})
    moved = scheme.relabelled([2, 0, 1])  # old 2 becomes 0, old 0 becomes 1, old 1 becomes 2
    expected = SubsetScheme({(1,): 0.5, (2, 0): 0.3, (0, 1, 2): 0.2})
    assert moved.weights == expected.weights
    assert moved.weights != scheme.relabelled([1, 2, 0]).weights  # the inverse would be another scheme


@given(st.data())
def test_relabelling_is_undone_by_the_inverse(data):
    scheme = data.draw(schemes(4))
    order = data.draw(st.permutations(range(4)))
    inverse = [order.index(i) for i in range(4)]
    moved = scheme.relabelled(order)
    assert moved.relabelled(inverse) == scheme
    assert moved.entropy == pytest.approx(scheme.entropy, abs=1e-15)
    for new, old in enumerate(order):
        assert moved.probability_unseen(new) == scheme.probability_unseen(old)


def test_exchangeable_families_do_not_change():
    for order in permutations(range(3)):
        for scheme in (full(3), mmvae(3), mopoe(3), mvae_subsampled(3)):
            assert scheme.relabelled(order) == scheme


@pytest.mark.parametrize("order", [[0, 0, 1], [0, 1], [0, 1, 3], [0, 1, 2, 3]])
def test_an_order_must_be_a_permutation(order):
    with pytest.raises(InputError):
        SubsetScheme({(0,): 0.5, (0, 1, 2): 0.5}).relabelled(order)


# --- reading ------------------------------------------------------------------------------------------------------

NAMES = ["image", "text", "sound"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mopoe", mopoe(3)),
        (" MoPoE ", mopoe(3)),
        ("mmvae", mmvae(3)),
        ("mvae", full(3)),
        ("full", full(3)),
        ("mvae-subsampled", mvae_subsampled(3)),
    ],
)
def test_families_by_name(text, expected):
    assert parse_scheme(text, NAMES) == expected


@pytest.mark.parametrize(
    "text",
    [
        "image:0.5,image+text:1/2",
        " image : 0.5 , text + image : 0.50 ",
        "image:1/2,image+text:5e-1",
    ],
)
def test_weights_by_name(text):
    scheme = parse_scheme(text, NAMES)
    assert dict(scheme.weights) == {0b001: Fraction(1, 2), 0b011: Fraction(1, 2)}
    assert scheme.n_modalities == 3


def test_decimals_are_read_exactly():
    scheme = parse_scheme("image:0.1,text:0.2,sound:0.7", NAMES)
    assert dict(scheme.weights) == {1: Fraction(1, 10), 2: Fraction(1, 5), 4: Fraction(7, 10)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mopo", "unknown scheme 'mopo': use mvae, mmvae, mopoe"),
        ("", "unknown scheme"),
        ("image:x", "'x' is not a weight"),
        ("image:1/0", "'1/0' is not a weight"),
        ("image:", "'' is not a weight"),
        ("image:0.5,text", "'text' is not a weight"),
        ("img:1", "unknown name 'img': known are image, text, sound"),
        ("image:0.5,image:0.5", "'image' is given twice"),
        ("image:0.5,text:0.25", "sum to 0.75"),
        ("image:-0.5,text:1.5", "not negative"),
        (":1", "empty subset"),
        ("image:nan", "is not a weight"),
        ("image+image:1", "subset 'image[+]image' has 'image' twice: name it once"),
        ("text+image+text:0.5,image:0.5", "has 'text' twice"),
        ("image+:1", "subset 'image[+]' has a '[+]' without a modality beside it"),
        ("image++text:1", "without a modality beside it"),
    ],
)
def test_unreadable_schemes(text, problem):
    with pytest.raises(InputError, match=problem):
        parse_scheme(text, NAMES)


@given(schemes(3, allow_empty=False))
def test_what_is_written_is_read_back(scheme):
    text = ",".join(f"{'+'.join(NAMES[m] for m in range(3) if mask >> m & 1)}:{w}" for mask, w in scheme)
    assert parse_scheme(text, NAMES).weights == scheme.weights
