"""Intervals: their programs against brute force, their coverage, and planted faults."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from bounds import Discrete, Functional, Gaussian, generative_discrepancy, mmvae, mopoe, total_correlation_term
from bounds.discrete_entropy import plug_in
from bounds.estimators import estimate
from bounds.intervals import GuaranteedInterval, _range
from bounds.samples import Samples

NAMES = ("X", "Y", "Z")
coefficients = st.dictionaries(st.integers(1, 7), st.integers(-4, 4).filter(bool), min_size=1)


def lower_sets():
    """All families of nonempty subsets of three variables that contain every nonempty subset of their members."""
    masks = range(1, 8)
    for family in itertools.chain.from_iterable(itertools.combinations(masks, r) for r in range(8)):
        if all(small in family for large in family for small in masks if small & large == small):
            yield set(family)


@given(coefficients)
def test_the_range_over_decreasing_functions_is_attained_at_lower_sets(c):
    masks, values = tuple(sorted(c)), np.array([float(c[m]) for m in sorted(c)])
    sums = [sum(c[m] for m in masks if m in family) for family in lower_sets()]
    low, high = _range(values, masks, np.ones(len(masks)), increasing=False)
    # HiGHS solves to 1e-7.
    assert (low, high) == (pytest.approx(min(sums), abs=1e-6), pytest.approx(max(sums), abs=1e-6))


@given(coefficients, st.integers(3, 12), st.integers(0, 2**32 - 1))
def test_no_replaced_row_moves_the_plug_in_value_by_more_than_the_bounded_difference(c, n, seed):
    """The step that McDiarmid's inequality needs, by brute force over all single replacements."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 2, (n, 3))
    functional = Functional(NAMES, c)
    masks = functional.masks
    low, high = _range(np.array([float(functional.coefficients[m]) for m in masks]), masks, np.ones(len(masks)), False)
    allowed = (high - low) * (n * math.log(n) - (n - 1) * math.log(n - 1)) / n
    before = plug_in_value(functional, rows)
    for i in range(n):
        for new in itertools.product((0, 1), repeat=3):
            changed = rows.copy()
            changed[i] = new
            assert abs(plug_in_value(functional, changed) - before) <= allowed + 1e-6  # the linear program's accuracy


def plug_in_value(functional, rows):
    total = 0.0
    for mask, c in functional.coefficients.items():
        columns = rows[:, [i for i in range(3) if mask >> i & 1]]
        total += float(c) * plug_in(np.unique(columns, axis=0, return_counts=True)[1])
    return total


@given(st.integers(0, 2**32 - 1))
def test_the_bias_program_contains_the_true_bias(seed):
    """Expectation of plug-in entropies by enumerating all samples of three rows of a random law of two bits."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(4, 0.5))
    law = Discrete(p.reshape(2, 2))
    names, n = ("X1", "X2"), 3
    functional = Functional(
        names, dict(zip((1, 2, 3), (Fraction(int(k)) for k in rng.integers(-3, 4, 3)), strict=True))
    )
    expected = 0.0
    for cells in itertools.product(range(4), repeat=n):
        rows = np.array([divmod(cell, 2) for cell in cells])
        value = sum(
            float(c) * plug_in(np.unique(rows[:, [i for i in range(2) if m >> i & 1]], axis=0, return_counts=True)[1])
            for m, c in functional.coefficients.items()
        )
        expected += math.prod(p[cell] for cell in cells) * value
    true = float(law.entropy_vector().value(functional))
    # With the plug-in value at its expectation and no deviation, what is left of the interval is the bias.
    interval = GuaranteedInterval(n, dict.fromkeys(range(4), 0.0), {1: math.log(2), 2: math.log(2), 3: math.log(4)})
    low, high = interval(functional, 0.95)
    spread = (high - low) / 2
    wide = GuaranteedInterval(n, dict.fromkeys(range(4), 0.0), dict.fromkeys(range(4), 0.0))
    no_bias = wide(functional, 0.95)
    assert low - no_bias[0] - 1e-6 <= true - expected <= high - no_bias[1] + 1e-6
    assert spread >= 0


@pytest.mark.parametrize("scheme", [mmvae(3), mopoe(3)], ids=["mmvae", "mopoe"])
@pytest.mark.parametrize("n", [30, 300])
def test_guaranteed_intervals_cover(scheme, n):
    """A nominal 90 % guaranteed interval misses in at most 10 % of repetitions.

    With 150 repetitions more than 33 misses have probability below 1e-5 even if the rate were exactly 10 %.
    """
    law = Discrete(np.random.default_rng(4).dirichlet(np.full(12, 0.6)).reshape(2, 3, 2))
    rng = np.random.default_rng(5)
    truth = generative_discrepancy(law.entropy_vector(), scheme).value
    assert binom.sf(33, 150, 0.1) < 1e-5
    misses = 0
    for _ in range(150):
        samples = Samples.from_arrays(law.sample(n, rng), dict.fromkeys(law.names, "discrete"))
        quantity = generative_discrepancy(estimate(samples, "plug-in").entropies, scheme, confidence=0.9)
        misses += not (quantity.low is None or quantity.low <= truth <= quantity.high)
    assert misses <= 33


@pytest.mark.parametrize("estimator", ["gaussian", "gaussian-copula"])
def test_model_based_intervals_cover_when_the_model_is_right(estimator):
    """Nominal 95 % intervals of the total-correlation term over 400 repetitions.

    A true rate of 93 % or more gives fewer than 345 hits with probability below 1e-6.
    """
    law = Gaussian([[1.0, 0.5, 0.3], [0.5, 2.0, 0.4], [0.3, 0.4, 1.0]])
    truth = total_correlation_term(law.entropy_vector(), mmvae(3)).value
    assert binom.cdf(344, 400, 0.93) < 1e-6
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(400):
        samples = Samples.from_arrays(law.sample(300, rng), dict.fromkeys(law.names, "continuous"))
        quantity = total_correlation_term(estimate(samples, estimator).entropies, mmvae(3))
        hits += quantity.low <= truth <= quantity.high
    assert hits >= 345


def test_a_planted_wrong_influence_is_caught(monkeypatch):
    """Half the standard error covers about 67 %: the coverage test above would see at most 320 of 400."""
    law = Gaussian([[1.0, 0.5, 0.3], [0.5, 2.0, 0.4], [0.3, 0.4, 1.0]])
    truth = total_correlation_term(law.entropy_vector(), mmvae(3)).value
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(400):
        samples = Samples.from_arrays(law.sample(300, rng), dict.fromkeys(law.names, "continuous"))
        q = total_correlation_term(estimate(samples, "gaussian").entropies, mmvae(3))
        hits += abs(q.value - truth) <= (q.high - q.low) / 4
    assert hits < 345


def test_an_interval_of_the_whole_is_narrower_than_a_sum_of_intervals():
    rng = np.random.default_rng(7)
    samples = Samples.from_arrays({"a": rng.integers(0, 4, 500), "b": rng.integers(0, 4, 500)})
    h = estimate(samples, "plug-in").entropies
    whole = h.evaluate(Functional(h.names, {3: 1, 1: -1}))
    parts = [h.evaluate(Functional(h.names, {m: 1})) for m in (3, 1)]
    assert whole.high - whole.low < 0.75 * sum(p.high - p.low for p in parts)
