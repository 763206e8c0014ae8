"""Rows that depend on each other: when they are noticed, and what intervals over blocks of them hold."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from bounds import Functional, Samples
from bounds.discrete_entropy import plug_in
from bounds.estimators import estimate
from bounds.row_order import FALSE_ALARMS, _ranks, _symbols, alike_neighbours
from bounds.statistics import JointCounts

STATIONARY = np.array([0.5, 0.3, 0.2])
ENTROPY = float(-(STATIONARY * np.log(STATIONARY)).sum())
#: Chance of leaving a symbol: correlations are ``(1 - LEAVE)^lag``, so their time is about ``1 / LEAVE`` rows.
LEAVE = 0.05
H = Functional(("x",), {1: 1})


def chain(n, rng, leave=LEAVE):
    """A symbol stays, or with a small chance is drawn anew from the stationary law."""
    drawn = rng.choice(3, n, p=STATIONARY)
    anew = np.where(rng.random(n) < leave, np.arange(n), 0)
    return drawn[np.maximum.accumulate(anew)]


def samples_of(column):
    return Samples.from_arrays({"x": column})


# --- whether neighbours are alike ---------------------------------------------------------------------------------


def test_the_score_of_symbols_is_standardised_over_all_orders():
    """Mean 0 over all orders of eight symbols; the variance is that of many rows, here right to a share of 3 / n."""
    column = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    scores = np.array([_symbols(np.array(order)) for order in itertools.permutations(column)])
    assert scores.mean() == pytest.approx(0, abs=1e-12)  # rounding
    assert scores.var() == pytest.approx(1, rel=3 / len(column))


def test_the_score_of_ranks_is_standardised_over_all_orders():
    column = np.array([0.1, 0.2, 0.5, 0.9, 2.0, 3.0, 9.0])
    scores = np.array([_ranks(np.array(order)) for order in itertools.permutations(column)])
    assert scores.mean() == pytest.approx(0, abs=1e-12)  # rounding
    assert scores.var() == pytest.approx(1, rel=3 / len(column))


@pytest.mark.parametrize("kind", ["symbols", "numbers"])
def test_independent_rows_raise_few_alarms(kind):
    """2000 data sets of two columns: a rate of 1e-3 gives more alarms than allowed in less than 1e-4 of seeds."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(2000):
        if kind == "symbols":
            arrays = {"a": rng.choice(3, 300, p=STATIONARY), "b": rng.integers(0, 5, 300)}
        else:
            arrays = {"a": rng.normal(size=300), "b": rng.exponential(size=300)}
        alarms += bool(alike_neighbours(Samples.from_arrays(arrays)))
    assert alarms <= binom.ppf(1 - 1e-4, 2000, FALSE_ALARMS)


def test_dependent_rows_are_named():
    """A chain that stays in 19 rows of 20 is 50 standard deviations away."""
    rng = np.random.default_rng(1)
    walk = rng.normal(size=500).cumsum()
    samples = Samples.from_arrays(
        {"walk": walk, "noise": rng.normal(size=500), "state": chain(500, rng), "coin": rng.integers(0, 2, 500)}
    )
    assert alike_neighbours(samples) == ("walk", "state")
    # an order that alternates is none in which rows are alike
    assert alike_neighbours(samples_of(np.arange(500) % 2)) == ()


def test_a_column_with_one_symbol_or_one_number_says_nothing():
    constant = {"a": np.zeros(50, dtype=int), "b": np.arange(50) % 2}
    assert alike_neighbours(Samples.from_arrays(constant, dict.fromkeys("ab", "discrete"))) == ()
    assert _ranks(np.ones(50)) == 0


def test_the_warning_says_what_to_do_and_goes_with_block_or_order():
    rng = np.random.default_rng(2)
    series = chain(2000, rng)
    (warning,) = estimate(samples_of(series)).warnings
    assert warning.startswith("neighbouring rows are alike (x), and intervals assume independent rows")
    assert "(--block)" in warning
    assert estimate(samples_of(series), block=50).warnings == ()
    assert estimate(samples_of(rng.permutation(series))).warnings == ()
    assert estimate(JointCounts.of(samples_of(series))).warnings == ()  # whose order nobody knows


# --- blocks -------------------------------------------------------------------------------------------------------


def test_leaving_out_groups_is_done_by_hand():
    """The jackknife's definition, with groups cut out of the rows."""
    rng = np.random.default_rng(3)
    rows = chain(4003, rng)
    cuts = np.arange(4003) * 50 // 4003
    without = np.array([plug_in(np.bincount(rows[cuts != g])) for g in range(50)])
    centre = 50 * plug_in(np.bincount(rows)) - 49 * without.mean()
    found = estimate(samples_of(rows), block=40).entropies.interval.choose(H)
    assert found.groups == 50
    assert found.centre == pytest.approx(centre, rel=1e-12)  # rounding
    assert found.error == pytest.approx(math.sqrt(49 / 50 * ((without - without.mean()) ** 2).sum()), rel=1e-9)


def hits_of_chains(block, draws, seed=4, n=20_000):
    """Draws of the chain whose 95 % interval of ``H(X)`` holds the truth; every draw has to get one."""
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(draws):
        found = estimate(samples_of(chain(n, rng)), block=block).entropies.evaluate(H)
        assert found.guarantee == "asymptotic"
        hits += found.low <= ENTROPY <= found.high
    return hits


def test_blocks_cover_a_time_series():
    """20000 rows, blocks of ten correlation times, 400 draws: a coverage of 92 % fails in less than 1e-4 of seeds."""
    assert hits_of_chains(200, 400) >= binom.ppf(1e-4, 400, 0.92)


def test_taking_the_rows_for_independent_misses_by_far():
    """The planted fault. Correlations make the standard error ``sqrt(39)`` times as large: one interval in four holds
    the truth. 200 draws tell that from half at 1e-10.
    """
    assert hits_of_chains(1, 200) < 100


def test_blocks_of_a_constant_column_have_an_interval_of_width_zero():
    constant = Samples.from_arrays(
        {"x": np.zeros(400, dtype=int), "y": np.ones(400, dtype=int)}, {"x": "discrete", "y": "discrete"}
    )
    found = estimate(constant, block=10).entropies.evaluate(Functional(("x", "y"), {3: 1}))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_blocks_of_independent_rows_cover_too():
    """400 draws. 93 % of a conditional entropy, and nearly all of an information of zero, whose influence vanishes:
    92 % and 98 % fail in less than 1e-4 of seeds. Without room for the quadratic term it were 90 % of these.
    """
    rng = np.random.default_rng(5)
    claimed, hits = [0, 0], [0, 0]
    for _ in range(400):
        samples = Samples.from_arrays({"x": rng.choice(3, 2000, p=STATIONARY), "y": rng.integers(0, 2, 2000)})
        h = estimate(samples, block=10).entropies
        for i, (c, truth) in enumerate((({3: 1, 2: -1}, ENTROPY), ({1: 1, 2: 1, 3: -1}, 0.0))):
            found = h.evaluate(Functional(("x", "y"), c))
            if found.guarantee == "asymptotic":
                claimed[i] += 1
                hits[i] += found.low <= truth <= found.high
    assert min(claimed) > 380
    assert hits[0] >= binom.ppf(1e-4, claimed[0], 0.92)
    assert hits[1] >= binom.ppf(1e-4, claimed[1], 0.98)


@pytest.mark.parametrize(
    ("column", "block", "why"),
    [
        (np.arange(1000) % 3, 51, "1000 rows are fewer than 20 blocks of 51"),
        (np.arange(1000) % 30, 20, "fewer than 2 blocks of 20 rows for each joint symbol"),
    ],
)
def test_blocks_that_are_too_few_give_no_interval_and_say_so(column, block, why):
    found = estimate(samples_of(column), block=block).entropies.evaluate(H)
    assert (found.low, found.high, found.guarantee) == (None, None, "none")
    assert found.value is not None
    assert f"no interval: {why}" in found.method
