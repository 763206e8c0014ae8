"""Datasets in memory: types, codes, names, and every input they refuse."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bounds.errors import InputError
from bounds.layout import Layout
from bounds.samples import Samples, did_you_mean

N = 100
RNG = np.random.default_rng(0)
FLOATS = RNG.normal(size=N)
CODES = np.arange(N) % 4


def one(values: Any, **types: str) -> Samples:
    return Samples.from_arrays({"x": values}, types)


@pytest.mark.parametrize(
    ("values", "kind", "alphabet"),
    [
        (CODES, "discrete", 4),
        (CODES.astype(np.uint8), "discrete", 4),
        (CODES.astype(np.float32), "discrete", 4),
        (CODES - 2, "discrete", 4),
        (CODES == 0, "discrete", 2),
        (np.array(["b", "ä", "c", "a"])[CODES], "discrete", 4),
        (np.array([b"b", b"a", b"c", b"d"])[CODES], "discrete", 4),
        (np.array(["b", "ä", "c", "a"], dtype=np.dtypes.StringDType())[CODES], "discrete", 4),
        (np.arange(N) % 10, "discrete", 10),
        (np.arange(N) % 11, "continuous", 0),  # more than N / 10
        (np.arange(N), "continuous", 0),
        (np.arange(N).astype(np.float16), "continuous", 0),
        (np.repeat(np.arange(64), 10), "discrete", 64),
        (np.repeat(np.arange(65), 10), "continuous", 0),  # more than 64
        (np.array([3, 7]), "discrete", 2),
        (np.array([3, 7, 8]), "continuous", 0),
        (FLOATS, "continuous", 0),
        (np.array([0.5, 1.5]), "continuous", 0),
        (np.round(FLOATS, 1), "continuous", 0),
        (np.r_[np.zeros(5), FLOATS[:95]], "continuous", 0),  # 5 % of the rows: no atom
        (np.r_[np.zeros(10), FLOATS[:40]], "continuous", 0),  # 10 rows: no atom
        (np.r_[np.zeros(50), np.round(FLOATS[:50], 1)], "continuous", 0),  # the rest is rounded, it has no density
    ],
)
def test_detected_type(values: np.ndarray, kind: str, alphabet: int) -> None:
    data = one(values)
    assert data.types == (kind,)
    assert data.kind == kind
    assert data.alphabets == (alphabet,)
    assert data.columns[0].dtype == (np.int64 if alphabet else np.float64)
    if alphabet:
        np.testing.assert_array_equal(data.columns[0], np.unique(values, return_inverse=True)[1])
    else:
        np.testing.assert_array_equal(data.columns[0], values.astype(np.float64))


@pytest.mark.parametrize(
    ("values", "declared", "alphabet"),
    [
        (CODES, "continuous", 0),
        (FLOATS, "discrete", N),
        (np.zeros(N), "discrete", 1),
        (np.full(N, "a"), "discrete", 1),
        (np.zeros(N, dtype=bool), "discrete", 1),
        (np.r_[np.zeros(50), FLOATS[:50]], "continuous", 0),
        (np.r_[np.zeros(50), FLOATS[:50]], "discrete", 51),
        (CODES / 2, "continuous", 0),
        (CODES / 2, "discrete", 4),
        (2**60 + np.arange(N), "discrete", N),
    ],
)
def test_declared_type(values: np.ndarray, declared: str, alphabet: int) -> None:
    data = one(values, x=declared)
    assert data.types == (declared,)
    assert data.alphabets == (alphabet,)


def test_whole_numbers_keep_all_digits() -> None:
    values = 2**62 + np.array([3, 1, 2, 1])
    assert one(values, x="discrete").columns[0].tolist() == [2, 0, 1, 0]
    unsigned = np.array([2**64 - 1, 2**64 - 2, 2**64 - 1, 0], dtype=np.uint64)
    assert one(unsigned, x="discrete").columns[0].tolist() == [2, 1, 2, 0]
    extremes = np.array([-(2**63), 2**63 - 1] * 20)
    assert one(extremes).columns[0].tolist() == [0, 1] * 20


@given(
    hnp.arrays(
        st.sampled_from([np.int8, np.uint8, np.int64, np.uint64, np.float64]),
        st.integers(2, 30),
        elements=st.integers(0, 100),
    )
)
def test_codes_are_ranks(values: np.ndarray) -> None:
    data = one(values, x="discrete")
    distinct, codes = np.unique(values, return_inverse=True)
    assert data.alphabets == (len(distinct),)
    np.testing.assert_array_equal(data.columns[0], codes)


@pytest.mark.parametrize("wrap", [pd.Categorical, lambda v, categories: pd.Series(pd.Categorical(v, categories))])
def test_categories_are_a_declared_alphabet_in_their_own_order(wrap: Any) -> None:
    data = one(wrap(["lo", "hi", "lo"], categories=["lo", "mid", "hi"]))
    assert data.alphabets == (3,)
    assert data.columns[0].tolist() == [0, 2, 0]


def test_a_modality_with_columns_of_both_types_is_mixed() -> None:
    data = Samples.from_columns(
        {"a": {"label": CODES, "height": FLOATS}, "b": {"b": CODES}, "c": {"p q": FLOATS, "r": FLOATS}}
    )
    assert data.types == ("mixed", "discrete", "continuous")
    assert data.kind == "mixed"
    assert data.layout.unit_names == ("label", "height", "b", "p q", "r")
    assert data.n == N


def test_arrays_are_flattened_to_columns() -> None:
    data = Samples.from_arrays({"image": np.arange(600.0).reshape(N, 2, 3), "text": CODES, "thin": FLOATS[:, None]})
    assert data.layout.sizes == (6, 1, 1)
    assert data.layout.unit_names == (*(f"image[{i}]" for i in range(6)), "text", "thin")
    assert data.columns[4].tolist() == [6.0 * i + 4 for i in range(N)]
    assert "image: continuous (6 columns), text: discrete, thin: continuous" in repr(data)


def test_a_columns_own_type_comes_before_its_modalitys() -> None:
    arrays = {"a": np.column_stack([CODES, CODES]), "b": CODES}
    data = Samples.from_arrays(arrays, {"a": "continuous", "a[1]": "discrete"})
    assert data.alphabets == (0, 4, 4)


def test_column_names_that_collide_or_cannot_be_parsed_are_numbered() -> None:
    odd = {"a": {"x,y": CODES, "z": CODES}, "b": {"a": CODES, "w": CODES}}
    assert Samples.from_columns(odd).layout.unit_names == ("a[0]", "a[1]", "b[0]", "b[1]")


def test_select() -> None:
    data = Samples.from_arrays({"a": np.column_stack([CODES, FLOATS]), "b": CODES, "c": FLOATS}, source="a test")
    part = data.select(["c", "a"])
    assert part.names == ("a", "c")
    assert part.layout.unit_names == ("a[0]", "a[1]", "c")
    assert part.source == "a test"
    assert all(x is y for x, y in zip(part.columns, [data.columns[i] for i in (0, 1, 3)], strict=True))
    assert data.select(0b010).names == data.select("b").names == data.select([1]).names == ("b",)
    with pytest.raises(InputError, match="unknown name 'd'"):
        data.select("d")
    with pytest.raises(InputError, match="at least one modality: known are a, b, c"):
        data.select([])


def test_it_cannot_be_changed() -> None:
    source = FLOATS.copy()
    data = one(source)
    with pytest.raises(ValueError, match="read-only"):
        data.columns[0][0] = 1.0
    with pytest.raises(FrozenInstanceError):
        data.source = "other"  # type: ignore[misc]
    source[0] = 17.0
    assert data.columns[0][0] == FLOATS[0]


nan, inf = float("nan"), float("inf")

BAD = {
    "nan": ({"x": np.r_[FLOATS, nan, nan]}, {}, r"column 'x' is NaN or infinite in 2 of 102 rows: drop"),
    "inf": ({"x": np.r_[FLOATS, -inf]}, {}, r"column 'x' is NaN or infinite in 1 of 101 rows"),
    "nan though discrete": ({"x": np.r_[FLOATS, nan]}, {"x": "discrete"}, r"is NaN or infinite in 1 of 101"),
    "nan in a large modality": (
        {"x": np.array([[1.0, 2.0], [3.0, nan]])},
        {},
        r"column 'x\[1\]' of modality 'x' is NaN or infinite in 1 of 2 rows",
    ),
    "beyond doubles": ({"x": np.array([1, 2, 3], np.longdouble) * np.longdouble("1e4000")}, {}, "infinite in 3 of 3"),
    "masked": ({"x": np.ma.masked_equal(CODES, 3)}, {}, r"column 'x' is missing in 25 of 100 rows: drop"),
    "category missing": ({"x": pd.Categorical(["a", None, "b"])}, {}, r"column 'x' is missing in 1 of 3 rows"),
    "lengths": ({"x": CODES, "y": CODES[1:]}, {}, r"modality 'x' has 100 rows and 'y' has 99: row i of every"),
    "no rows": ({"x": np.empty(0)}, {}, r"modality 'x' has no rows"),
    "no rows, many columns": ({"x": np.empty((0, 3))}, {}, r"modality 'x' has no columns"),
    "one row": ({"x": np.ones(1)}, {}, r"modality 'x' has one row: entropies are estimated from many"),
    "constant": ({"x": np.ones(9)}, {}, r"column 'x' is constant: leave it out, or declare it discrete if that is"),
    "constant text": ({"x": np.full(9, "a")}, {}, r"column 'x' is constant: leave it out"),
    "constant bool": ({"x": np.ones(9, dtype=bool)}, {}, r"column 'x' is constant: leave it out"),
    "constant category": ({"x": pd.Categorical(["a", "a"], ["a", "b"])}, {}, r"column 'x' is constant: leave it"),
    "constant continuous": ({"x": np.ones(9)}, {"x": "continuous"}, r"'x' is constant, so it has no density: leave"),
    "continuous text": ({"x": np.array(["a", "b"])}, {"x": "continuous"}, r"'x' is declared continuous but holds text"),
    "objects": ({"x": np.array(["a", 1], dtype=object)}, {}, r"column 'x' holds Python objects: convert them to text"),
    "complex": ({"x": np.array([1j, 2j])}, {}, r"column 'x' holds complex numbers: give real and imaginary"),
    "dates": ({"x": np.array(["2020-01-01", "2020-01-02"], "M8[D]")}, {}, r"column 'x' holds dates: convert them"),
    "durations": ({"x": np.array([1, 2], "m8[D]")}, {}, r"column 'x' holds durations: convert them"),
    "records": ({"x": np.zeros(2, dtype=[("a", "f8")])}, {}, r"column 'x' holds records: give each field"),
    "text and none": (
        {"x": np.array(["a", None], dtype=np.dtypes.StringDType(na_object=None))},
        {},
        r"column 'x' holds text that cannot be read",
    ),
    "single value": ({"x": np.float64(3)}, {}, r"modality 'x' is a single value: give an array with one row"),
    "ragged": ({"x": [[1, 2], [3]]}, {}, r"modality 'x' is ragged"),
    "none": ({}, {}, r"a dataset needs at least one modality"),
    "no columns": ({"x": np.empty((3, 0))}, {}, r"modality 'x' has no columns"),
    "bad name": ({"x|y": CODES}, {}, r"modality name 'x\|y': use a nonempty string"),
    "name is no text": ({3: CODES}, {}, r"modality name 3: use a nonempty string"),
    "columns collide": (
        {"x": np.column_stack([CODES, CODES]), "x[1]": CODES},
        {},
        r"column name 'x\[1\]' is used twice",
    ),
    "unknown name in types": (
        {"image": CODES},
        {"imgae": "discrete"},
        r"type is declared for 'imgae', which is no modality or column: did you mean 'image'\? Known are image",
    ),
    "unknown type": ({"x": CODES}, {"x": "mixed"}, r"the type of 'x' is declared as 'mixed': use 'discrete' or 'cont"),
    "atom": (
        {"x": np.r_[np.zeros(20), FLOATS]},
        {},
        r"column 'x' mixes atoms with a density: the value 0.0 fills 20 of 120 rows, .* split it into an indicator",
    ),
    "two atoms": ({"x": np.r_[np.zeros(20), np.ones(30), FLOATS]}, {}, r"the value 1.0 fills 30 of 150 rows"),
    "atom of whole numbers": ({"x": np.r_[np.zeros(20, int), 7 + np.arange(80)]}, {}, r"the value 0 fills 20 of 100"),
    "grid": (
        {"x": CODES / 2},
        {},
        r"column 'x' has only 4 distinct values in 100 rows, but they are not whole numbers: declare it discrete or "
        r"continuous \(as discrete, results are those of bins as wide as its smallest step, 0\.5\)",
    ),
    "large whole numbers": ({"x": 2**53 + np.arange(N)}, {}, r"column 'x' holds whole numbers beyond 2\^53"),
}


@pytest.mark.parametrize(("arrays", "types", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_named_in_one_line(arrays: Any, types: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Samples.from_arrays(arrays, types)
    assert "\n" not in str(caught.value)


BAD_FIELDS = {
    "rows": ([CODES, CODES[1:]], (4, 4), "has shape"),
    "no vector": ([CODES, CODES[:, None]], (4, 4), "has shape"),
    "floats as codes": ([CODES, FLOATS], (4, 4), "use int64 codes"),
    "codes as floats": ([CODES, CODES], (4, 0), "use int64 codes"),
    "beyond the alphabet": ([CODES, CODES], (4, 3), r"codes outside 0 \.\. 2"),
    "negative": ([CODES, CODES - 1], (4, 4), r"codes outside 0 \.\. 3"),
    "nan": ([CODES, np.full(N, nan)], (4, 0), "NaN or infinite"),
    "too few": ([CODES], (4,), "1 columns and 1 alphabets for 2 units"),
    "one row": ([CODES[:1], CODES[:1]], (4, 4), "one row"),
}


@pytest.mark.parametrize(("columns", "alphabets", "message"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_bad_fields(columns: list[np.ndarray], alphabets: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Samples(Layout.of(2, units="scalar"), tuple(columns), alphabets)


def test_bin_widths_are_those_of_numbers_that_are_not_whole() -> None:
    arrays = {
        "a": np.column_stack([CODES / 4, CODES, FLOATS]),
        "b": np.array(list("wxyz"))[CODES],
        "c": np.full(N, 0.5),
    }
    data = Samples.from_arrays(arrays, {"a[0]": "discrete", "c": "discrete"})
    assert data.bin_widths == (0.25, 0, 0, 0, 0)
    assert data.select(["b", "a"]).bin_widths == (0.25, 0, 0, 0)
    assert Samples(data.layout, data.columns, data.alphabets).bin_widths == (0,) * 5
    with pytest.raises(InputError, match="1 bin widths for 5 units"):
        Samples(data.layout, data.columns, data.alphabets, bin_widths=(1.0,))


def test_units_are_columns() -> None:
    with pytest.raises(InputError, match="unit of its own"):
        Samples(Layout.of(2, sizes=[2]), (CODES, CODES), (4, 4))


def test_many_known_names_are_cut_short() -> None:
    shown = did_you_mean("px_7", [f"px_{i}" for i in range(100)])
    assert re.match(r"did you mean 'px_7' or .* Known are px_7, .* and 90 more$", shown)
    assert did_you_mean("x", []) == "there are none"
