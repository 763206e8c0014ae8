"""Data as people have them: an answer that is right, or a refusal in one line that names what to do."""

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from bounds import Functional, InputError, Samples, SubsetScheme, conditional_bounds, irreducible_error, with_alphabets
from bounds.cli import main
from bounds.estimators import estimate

#: The irreducible loss of a decoder that sees nothing is ``I(x;y)``.
NOTHING_SEEN = SubsetScheme({(): 1}, 2, allow_empty=True, label="nothing seen")
RHO = 0.75
INFORMATION = -0.5 * math.log1p(-(RHO**2))
#: The chance that a right interval misses.
CONFIDENCE = 1 - 1e-6
CONTINUOUS = {"x": "continuous", "y": "continuous"}


def normal_pair(n=1000, seed=0):
    x, noise = np.random.default_rng(seed).normal(size=(2, n))
    return x, RHO * x + math.sqrt(1 - RHO**2) * noise


def bounds_of(arrays, types=None, **options):
    return irreducible_error(Samples.from_arrays(arrays, types), NOTHING_SEEN, **options)


def information(arrays, types=None, **options):
    return bounds_of(arrays, types, **options)["nothing seen"].modalities.total_correlation_term


def refusal(arrays, types=None, **options):
    with pytest.raises(InputError) as caught:
        bounds_of(arrays, types, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- numbers of all sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bend", "entropy"),
    [
        # of a Cauchy column ln 4 pi, of a lognormal one that of 3 Z plus its mean, which is 0
        (lambda z: np.tan(math.pi * (ndtr(z) - 0.5)), math.log(4 * math.pi)),
        (lambda z: np.exp(3 * z), 0.5 * math.log(2 * math.pi * math.e) + math.log(3)),
    ],
    ids=["Cauchy", "lognormal of deviation 3"],
)
def test_heavy_tails_of_margins_do_no_harm(bend, entropy):
    x, y = normal_pair(2000)
    found = bounds_of({"x": bend(x), "y": bend(y)}, confidence=CONFIDENCE)
    loss = found["nothing seen"].modalities.total_correlation_term
    assert loss.value == pytest.approx(information({"x": x, "y": y}).value, abs=1e-11)
    assert loss.low <= INFORMATION <= loss.high
    assert found.entropy.low <= 2 * entropy - INFORMATION <= found.entropy.high


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_the_scale_of_a_column_is_no_matter_for_neighbours(scale):
    x, y = normal_pair(500)
    plain, scaled = (bounds_of({"x": x, "y": c * y}, estimator="neighbours") for c in (1, scale))
    one, other = (found["nothing seen"].modalities.total_correlation_term for found in (plain, scaled))
    # roundings of 1e-16 of distances of 1e-3 may move a few neighbours on an edge: none is seen
    assert [other.value, other.low, other.high] == pytest.approx([one.value, one.low, one.high], rel=1e-9)
    assert scaled.entropy.value == pytest.approx(plain.entropy.value + math.log(scale), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_the_scale_of_a_column_is_no_matter_for_ranks(scale):
    x, y = normal_pair(500)
    plain, scaled = (bounds_of({"x": x, "y": c * y}) for c in (1, scale))
    one, other = (found["nothing seen"].modalities.total_correlation_term for found in (plain, scaled))
    # what cancels are entropies of margins of order 350
    assert [other.value, other.low, other.high] == pytest.approx([one.value, one.low, one.high], abs=1e-10)
    assert scaled.entropy.value == pytest.approx(plain.entropy.value + math.log(scale), rel=1e-11)


@pytest.mark.parametrize("estimator", ["gaussian-copula", "gaussian", "neighbours"])
def test_a_far_away_origin_is_no_matter(estimator):
    x, y = normal_pair(500)
    plain, moved = (information({"x": x + offset, "y": y}, estimator=estimator) for offset in (0.0, 1e9))
    assert moved.value == pytest.approx(plain.value, abs=1e-5)  # x keeps seven digits after the point


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.longdouble, ">f8"])
def test_floats_of_all_widths(dtype):
    x, y = normal_pair(500)
    found = information({"x": x.astype(dtype), "y": y.astype(dtype)}, CONTINUOUS)
    assert found.value == pytest.approx(information({"x": x, "y": y}).value, abs=0.01)  # float16 ties some


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-15])
@pytest.mark.parametrize("estimator", ["gaussian-copula", "gaussian", "gaussian-shrinkage"])
def test_a_column_that_is_another_is_refused_up_to_rounding(noise, estimator):
    x, y = normal_pair(500)
    said = refusal({"x": x, "y": x + noise * y}, estimator=estimator)
    assert said.startswith("the covariance is singular: of the columns x and y each is a linear function of others")
    assert said.endswith("leave one out")


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-3])
def test_neighbours_of_a_column_and_its_copy_have_no_interval(noise):
    """The information is infinite, or near 7 nats, and no neighbourhood of 500 rows is small enough to see it."""
    x, y = normal_pair(500)
    found = information({"x": x, "y": x + noise * y}, estimator="neighbours")
    assert (found.low, found.high, found.guarantee) == (None, None, "none")


# --- symbols ---------------------------------------------------------------------------------------------------------


def test_a_class_of_one_row_is_kept_and_said():
    label = np.concatenate([np.arange(299) % 2, [2]])
    x, _ = normal_pair(300)
    mixed = information({"x": label, "y": x}, {"x": "discrete"}, confidence=CONFIDENCE)
    assert mixed.low <= 0 <= mixed.high
    beside = bounds_of({"x": label, "y": x}, {"x": "discrete"})
    assert any("column x has 1 symbols that occur once" in warning for warning in beside.warnings)
    counted = bounds_of({"x": label, "y": np.arange(300) // 2 % 2}, {"x": "discrete"}, confidence=CONFIDENCE)
    loss = counted["nothing seen"].modalities.total_correlation_term
    assert loss.guarantee == "guaranteed"
    assert loss.low <= 0 <= loss.high
    assert any("column x has 1 symbols that occur once" in warning for warning in counted.warnings)
    one_sided = conditional_bounds(Samples.from_arrays({"x": label, "y": x}, {"x": "discrete"}), "mmvae")
    assert math.isfinite(one_sided["mmvae"].modalities.distortion_floor.high)


@pytest.mark.parametrize("rows", [2, 500])
def test_symbols_that_never_repeat_have_no_entropy(rows):
    names = np.array([f"row {i}" for i in range(rows)])
    found = information({"x": names, "y": np.arange(rows) % 2})
    assert found.value is None
    assert "many symbols that occur once" in found.notes[0]
    assert "use coarser values or leave it out" in found.notes[0]


def test_symbols_that_never_repeat_beside_numbers_are_refused():
    names = np.array([f"row {i}" for i in range(500)])
    said = refusal({"x": names, "y": normal_pair(500)[0]})
    assert said.endswith("use more rows, coarser symbols or fewer columns")


def test_thousands_of_symbols_are_estimated_where_rows_are_many():
    """2^13 symbols, each in 24 rows: a guaranteed interval; in 2 rows, none."""
    symbols, bits = np.arange(2**13), np.arange(2)
    many = {"x": np.tile(symbols, 24), "y": np.repeat(bits, 12 * 2**13)}
    found = information(many, {"x": "discrete"})
    assert found.guarantee == "guaranteed"
    assert found.low <= 0 <= found.high
    few = np.random.default_rng(0).integers(0, 2**13, 2**14)
    assert information({"x": few, "y": few % 2}, {"x": "discrete"}).value is None


def test_categories_that_do_not_occur_are_allowed_for():
    """The data are independent bits; if x has six categories, no narrow interval is claimed."""
    bits = np.tile([0, 1], 500)
    letters = np.array(["a", "b"])[np.repeat([0, 1], 500)]
    plain = information({"x": pd.Categorical(letters), "y": bits})
    more = information({"x": pd.Categorical(letters, categories=list("abcdef")), "y": bits})
    assert (plain.guarantee, more.guarantee) == ("asymptotic", "guaranteed")
    assert more.low < plain.low <= 0 <= plain.high < more.high


@pytest.mark.parametrize(
    "symbols",
    [
        np.array([False, True]),
        np.array(["a", "a\0b"]),
        np.array([b"a", b"a\0b"]),
        np.array(["a", "a\0"], dtype=np.dtypes.StringDType()),
        np.array(["", "a"]),
        np.array(["a", "a "]),
        np.array([-(2**63), 2**63 - 1]),
        np.array([2**53, 2**53 + 1]),
        np.array([0, 2**64 - 1], dtype=np.uint64),
    ],
    ids=["booleans", "NUL", "NUL in bytes", "NUL at the end", "empty", "space", "extremes", "odd 2^53", "unsigned"],
)
def test_any_two_symbols_are_two_symbols(symbols):
    codes = np.random.default_rng(0).integers(0, 2, 400)
    y = normal_pair(400)[0]
    assert information({"x": symbols[codes], "y": y}).value == information({"x": codes, "y": y}).value


def test_symbols_with_nul_in_a_table(tmp_path, capsys):
    codes = np.random.default_rng(0).integers(0, 2, 400)
    found = []
    for name, symbols in (("plain", ["u", "v"]), ("nul", ["u", "u\0v"])):
        path = tmp_path / f"{name}.csv"
        rows = [f"{symbols[c]},{i % 3}" for i, c in enumerate(codes)]
        path.write_text("x,y\n" + "\n".join(rows) + "\n")
        assert main(["irreducible", str(path), "--scheme", "mmvae", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["entropies"])
    assert found[0] == found[1]


# --- atoms -----------------------------------------------------------------------------------------------------------


def test_exact_zeros_among_numbers_are_pointed_out_or_refused():
    x, y = normal_pair(1000)
    zeros = np.where(np.arange(1000) % 16 == 0, 0.0, y)
    assert "mixes atoms with a density: the value 0.0 fills 63 of 1000 rows" in refusal({"x": x, "y": zeros})
    both = np.arange(1000) % 16 == 0
    said = refusal({"x": np.where(both, 0.0, x), "y": np.where(both, 0.0, y)}, CONTINUOUS, estimator="neighbours")
    assert said.startswith("4 rows or more are the same")
    assert said.endswith("declare them discrete, or add the noise of their measurement")


# --- few rows, many rows, rows in an order ---------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["auto", "gaussian", "gaussian-shrinkage", "gaussian-copula"])
@pytest.mark.parametrize("rows", [2, 3])
def test_two_or_three_rows_have_no_covariance(rows, estimator):
    x, y = normal_pair(rows)
    said = refusal({"x": x, "y": y}, CONTINUOUS, estimator=estimator)
    assert said.startswith(f"{rows} rows for 2 continuous columns")
    assert said.endswith("give more rows or fewer columns")


def test_half_of_the_rows_is_the_largest_block():
    x, y = normal_pair(400)
    narrow, wide = (information({"x": x, "y": y}, block=block) for block in (1, 200))
    assert wide.value == narrow.value
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)
    counted = information({"x": x > 0, "y": y > 0}, block=200)
    assert counted.guarantee == "none"
    assert counted.method.endswith("no interval: 400 rows are fewer than 20 blocks of 200")
    assert "at most half of the 400 rows" in refusal({"x": x, "y": y}, block=201)


@pytest.mark.parametrize("estimator", ["gaussian", "gaussian-copula", "neighbours"])
def test_periods_are_pointed_out_and_blocks_make_room_for_them(estimator):
    t = np.arange(2000)
    noise = np.random.default_rng(0).normal(size=(2, 2000))
    arrays = {"x": np.sin(t / 40) + 0.3 * noise[0], "y": np.sin(t / 29) + 0.3 * noise[1]}
    plain = bounds_of(arrays, estimator=estimator)
    assert any("neighbouring rows are alike (x and y)" in warning for warning in plain.warnings)
    narrow, wide = plain.entropy, bounds_of(arrays, estimator=estimator, block=251).entropy
    assert wide.value == narrow.value
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


# --- what was a traceback, or a number that is none -------------------------------------------------------------------


def test_a_period_that_divides_the_blocks_has_room_all_the_same():
    """The bias of the value is more than such rows can have as an error, so there is no interval, and no traceback."""
    x = np.arange(1000) % 2
    found = information({"x": x, "y": (x + 1) % 2}, block=2)
    assert found.value == pytest.approx(math.log(2), abs=1e-3)
    assert found.low is None or found.low <= math.log(2) <= found.high


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"y": 1e-160}, {"estimator": "gaussian"}, "column 'y' varies by .*, too little to compute with: rescale it"),
        ({"y": 1e160}, {}, "column 'y' varies by .*, too much to compute with: rescale it"),
        ({"y": 1e-320}, {"estimator": "neighbours"}, "column 'y' varies by .*: rescale it"),
        ({}, {"block": 2.5}, "block=2.5: give a whole number of rows"),
        ({}, {"block": "a"}, "block='a': give a whole number of rows"),
        ({}, {"confidence": "a"}, "confidence a: give a number between 0 and 1"),
        ({}, {"confidence": None}, "confidence None: give a number between 0 and 1"),
    ],
)
def test_what_cannot_be_computed_is_said_in_one_line(arrays, options, message):
    x, y = normal_pair(500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=message) as caught:
            bounds_of({"x": x, "y": arrays.get("y", 1.0) * y}, **options)
    assert "\n" not in str(caught.value)


def test_more_symbols_than_numbers_are_refused_by_nsb():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="too many for nsb: use nsb-unknown or fewer columns"):
        bounds_of({"x": rng.integers(0, 2, (50, 1100)), "y": rng.integers(0, 2, 50)}, estimator="nsb")
    die = Samples.from_arrays({"x": rng.integers(0, 6, 50)}, {"x": "discrete"})
    for size in (6.5, "6", math.inf, math.nan, True):
        with pytest.raises(InputError, match="give a whole number of symbols"):
            with_alphabets(die, {"x": size})


def test_text_as_pandas_has_it_is_text():
    words = np.array(["yes", "no", "yes", "no"] * 50, dtype=object)
    plain = information({"x": words.astype(str), "y": np.arange(200) % 2})
    assert information({"x": words, "y": np.arange(200) % 2}).value == plain.value
    with pytest.raises(InputError, match="Python objects"):
        bounds_of({"x": np.array(["yes", None] * 100, dtype=object), "y": np.arange(200) % 2})


def test_a_confidence_is_shown_with_its_digits():
    x, y = normal_pair(500)
    assert "at 99.9999%" in str(information({"x": x, "y": y}, confidence=1 - 1e-6))


def test_rare_symbols_beside_numbers_are_counted_and_have_no_interval():
    """A symbol of Zipf's law and a normal column: the entropy of the symbol was 0.09 too low, with narrow intervals."""
    rng = np.random.default_rng(1)
    law = 1 / np.arange(1, 10**6) ** 2.0
    law /= law.sum()
    truth = -float(law @ np.log(law))
    x = rng.choice(len(law), 5000, p=law)
    found = estimate(Samples.from_arrays({"x": x, "y": rng.normal(size=5000)}, {"x": "discrete"})).entropies
    of_symbol = found.evaluate(Functional(("x", "y"), {1: 1}))
    assert of_symbol.value == pytest.approx(truth, abs=0.08)  # three standard errors of 1.8 / sqrt(5000)
    assert of_symbol.guarantee == "none"
    assert "no interval: symbols" in of_symbol.method
    shared = found.evaluate(Functional(("x", "y"), {1: 1, 2: 1, 3: -1}))
    assert shared.low <= 0 <= shared.high


@pytest.mark.parametrize("places", [2, 3])
def test_rounded_numbers_beside_a_label_are_as_good_as_others(places):
    """200 rows rounded to hundredths, 2000 to thousandths: ties made the information up to 0.16 too large."""
    n = {2: 200, 3: 2000}[places]
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, n)
    numbers = rng.normal(size=n) + 1.3 * label
    values = [
        estimate(Samples.from_arrays({"x": label, "y": y}, {"y": "continuous"})).entropies
        for y in (numbers, numbers.round(places))
    ]
    f = Functional(("x", "y"), {1: 1, 2: 1, 3: -1})
    exact, rounded = (h.evaluate(f) for h in values)
    # neighbours are others, so the error is that of a new draw
    assert abs(rounded.value - exact.value) < (exact.high - exact.low) / 2
    assert any("uniform noise as wide as the step was added" in note for note in rounded.notes)
    assert not any("uniform noise" in note for note in exact.notes)
