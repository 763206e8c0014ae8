"""Counts of all subsets against counting each subset from the rows."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounds import counts as module
from bounds.counts import joint_code, lattice_counts


def from_rows(columns, mask):
    chosen = [column.tolist() for i, column in enumerate(columns) if mask >> i & 1]
    return sorted(Counter(zip(*chosen, strict=True)).values())


@given(st.data())
def test_every_subset_comes_once_and_is_counted_right(data):
    n = data.draw(st.integers(2, 40))
    alphabets = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    columns = [np.array(data.draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n))) for k in alphabets]
    found = {}
    for mask, counts in lattice_counts(columns, alphabets):
        assert mask not in found
        found[mask] = sorted(counts.tolist())
    assert found == {mask: from_rows(columns, mask) for mask in range(1, 1 << len(columns))}


@given(st.data())
def test_weights_count_rows_as_if_they_were_repeated(data):
    n = data.draw(st.integers(1, 15))
    alphabets = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    columns = [np.array(data.draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n))) for k in alphabets]
    weights = np.array(data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n)))
    found = {mask: sorted(counts.tolist()) for mask, counts in lattice_counts(columns, alphabets, weights)}
    repeated = [np.repeat(column, weights) for column in columns]
    assert found == {mask: from_rows(repeated, mask) for mask in range(1, 1 << len(columns))}


def test_weights_are_exact_where_floats_are():
    heavy = np.array([2**52, 1, 2**52 - 2])
    (_, counts), *_ = lattice_counts([np.array([0, 1, 0])], [2], heavy)
    assert counts.tolist() == [2**53 - 2, 1]


@pytest.mark.parametrize("cells", [0, 10**9])
def test_counting_by_sorting_and_by_table_agree(monkeypatch, cells):
    monkeypatch.setattr(module, "DENSE_CELLS_PER_ROW", cells)
    rng = np.random.default_rng(2)
    columns = [rng.integers(0, k, 300) for k in (7, 2, 5)]
    for mask, counts in lattice_counts(columns, [7, 2, 5]):
        assert sorted(counts.tolist()) == from_rows(columns, mask)


def test_codes_that_would_overflow_are_ranked_and_stay_one_to_one():
    rng = np.random.default_rng(3)
    columns = [rng.integers(0, 2**40, 500) for _ in range(4)] + [rng.integers(0, 2, 500)]
    code, size = joint_code(columns, [2**40] * 4 + [2])
    assert size < 2**63
    assert len(set(code.tolist())) == len(set(zip(*(c.tolist() for c in columns), strict=True)))
    for mask, counts in lattice_counts(columns, [2**40] * 4 + [2]):
        assert sorted(counts.tolist()) == from_rows(columns, mask)
