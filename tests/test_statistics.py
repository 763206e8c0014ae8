"""Joint counts and moments: what they are of samples, and that merging parts gives those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bounds.errors import InputError
from bounds.layout import Layout
from bounds.samples import Samples
from bounds.statistics import JointCounts, Moments

PAIR = Layout.of(2, names=["a", "b"])


def counts_of(rows: np.ndarray) -> JointCounts:
    return JointCounts(PAIR, tuple(rows.T.astype(np.int64)), (3, 4), np.ones(len(rows), dtype=np.int64))


def cut(rows: np.ndarray, at: list[int]) -> list[np.ndarray]:
    return np.split(rows, sorted(i % (len(rows) + 1) for i in at))


codes = st.integers(0, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(0, 2)), arrays(np.int64, n, elements=st.integers(0, 3))
    )
)
numbers = st.integers(3, 40).flatmap(lambda n: arrays(np.float64, (n, 2), elements=st.floats(-1e6, 1e6, width=32)))
cuts = st.lists(st.integers(0, 100), max_size=5)


@given(codes, cuts, st.randoms(use_true_random=False))
def test_counts_of_parts_in_any_order_are_those_of_the_whole(columns, at, random) -> None:
    rows = np.column_stack(columns)
    distinct, expected = np.unique(rows, axis=0, return_counts=True)
    parts = [counts_of(part) for part in cut(rows, at)]
    random.shuffle(parts)
    total = parts[0].grouped()
    for part in parts[1:]:
        total = total.merge(part)
    assert total.n == len(rows)
    assert np.column_stack(total.columns).tolist() == distinct.tolist()
    assert total.counts.tolist() == expected.tolist()


@given(numbers, cuts, st.randoms(use_true_random=False))
def test_moments_of_parts_in_any_order_are_those_of_the_whole(rows, at, random) -> None:
    parts = [Moments.of_rows(PAIR, part) for part in cut(rows, at)]
    random.shuffle(parts)
    while len(parts) > 1:  # any tree
        one, two = parts.pop(random.randrange(len(parts))), parts.pop(random.randrange(len(parts)))
        parts.append(one.merge(two))
    assert disagreement(parts[0], rows) < 1


def disagreement(total: Moments, rows: np.ndarray) -> float:
    """In units of rounding: squares of the largest number, summed, to 1e-12."""
    n, scale = len(rows), np.abs(rows).max() + 1e-30
    mean = rows.mean(axis=0)
    scatter = np.cov(rows.T, bias=True) * n
    return max(
        abs(total.n - n),
        np.abs(total.mean - mean).max() / (1e-12 * scale),
        np.abs(total.scatter - scatter).max() / (1e-12 * n * scale**2),
    )


def test_a_merge_that_forgets_the_shift_of_the_means_is_caught() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 2)) + np.arange(50)[:, None]
    one, two = Moments.of_rows(PAIR, rows[:20]), Moments.of_rows(PAIR, rows[20:])
    mean = (20 * one.mean + 30 * two.mean) / 50
    assert disagreement(Moments(PAIR, 50, mean, one.scatter + two.scatter), rows) > 1e6
    assert disagreement(one.merge(two), rows) < 1


def test_moments_keep_their_digits_far_from_zero() -> None:
    # Sums of squares would lose all digits: the mean squared is 1e18, the variance 1.
    rows = np.random.default_rng(1).standard_normal((1000, 2)) + 1e9
    total = Moments.of_rows(PAIR, rows[:300]).merge(Moments.of_rows(PAIR, rows[300:]))
    expected = np.cov((rows - 1e9).T)
    # The data themselves are rounded to 1e-7.
    assert np.abs(total.cov - expected).max() < 1e-5


def test_statistics_of_samples() -> None:
    discrete = Samples.from_arrays({"a": np.array([0, 1, 1, 0]), "b": np.array(["x", "y", "y", "y"])})
    counts = JointCounts.of(discrete)
    assert (counts.n, counts.names, counts.kind, counts.alphabets) == (4, ("a", "b"), "discrete", (2, 2))
    assert counts.columns[0] is discrete.columns[0]  # nothing is copied
    assert counts.grouped().counts.tolist() == [1, 1, 2]
    rows = np.random.default_rng(0).standard_normal((20, 3))
    continuous = Samples.from_arrays({"x": rows[:, :2], "y": rows[:, 2]})
    moments = Moments.of(continuous)
    assert (moments.n, moments.names, moments.kind) == (20, ("x", "y"), "continuous")
    np.testing.assert_allclose(moments.cov, np.cov(rows.T), rtol=1e-12)
    with pytest.raises(InputError, match="only discrete columns have joint counts"):
        JointCounts.of(continuous)
    with pytest.raises(InputError, match="only continuous columns have means"):
        Moments.of(discrete)


def test_an_empty_part_changes_nothing() -> None:
    rows = np.array([[0.5, 1.0], [2.0, -1.0]])
    some, none = Moments.of_rows(PAIR, rows), Moments.of_rows(PAIR, np.empty((0, 2)))
    for total in (some.merge(none), none.merge(some)):
        assert total.n == 2
        assert total.scatter.tolist() == some.scatter.tolist()
    with pytest.raises(InputError, match="0 rows have no covariance"):
        _ = none.cov
    nothing = counts_of(np.empty((0, 2)))
    assert nothing.merge(nothing).n == 0
    assert nothing.merge(counts_of(np.array([[1, 2]]))).counts.tolist() == [1]


def test_many_wide_columns_are_grouped_in_order() -> None:
    # Codes of all columns together do not fit 64 bits, so they are ranked on the way.
    rows = np.random.default_rng(2).integers(0, 1 << 30, (50, 4))
    rows = np.concatenate([rows, rows[:10]])
    layout = Layout.of(4)
    counts = JointCounts(layout, tuple(rows.T), (1 << 30,) * 4, np.full(60, 3)).grouped()
    distinct, times = np.unique(rows, axis=0, return_counts=True)
    assert np.column_stack(counts.columns).tolist() == distinct.tolist()
    assert counts.counts.tolist() == (3 * times).tolist()


ONE = np.ones(2, dtype=np.int64)
REFUSED = {
    "columns": (lambda: JointCounts(PAIR, (ONE,), (2, 2), ONE), "1 columns, 2 alphabets"),
    "codes": (lambda: JointCounts(PAIR, (ONE, ONE), (2, 1), ONE), "codes outside 0 .. 0"),
    "types": (lambda: JointCounts(PAIR, (ONE, ONE.astype(float)), (2, 2), ONE), "use int64 codes"),
    "counts": (lambda: JointCounts(PAIR, (ONE, ONE), (2, 2), 0 * ONE), "positive"),
    "units": (lambda: JointCounts(Layout.of(2, sizes=[2]), (ONE, ONE), (2, 2), ONE), "scalar"),
    "alphabets": (
        lambda: counts_of(np.zeros((1, 2))).merge(JointCounts(PAIR, (ONE, ONE), (2, 2), ONE)),
        "different alphabets",
    ),
    "other columns": (
        lambda: Moments.of_rows(PAIR, np.eye(2)).merge(Moments.of_rows(Layout.of(2), np.eye(2))),
        "different columns: a, b in a, b, and",
    ),
    "shapes": (lambda: Moments(PAIR, 2, np.zeros(2), np.zeros((3, 3))), "mean"),
    "negative squares": (lambda: Moments(PAIR, 2, np.zeros(2), -np.eye(2)), "negative"),
    "rows without rows": (lambda: Moments(PAIR, 0, np.ones(2), np.eye(2)), "0 rows"),
    "asymmetric": (lambda: Moments(PAIR, 2, np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]])), "not symmetric"),
    "overflow": (lambda: Moments.of_rows(PAIR, np.array([[1e200, 0], [-1e200, 0]])), "overflow"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_statistic_is_refused(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()
