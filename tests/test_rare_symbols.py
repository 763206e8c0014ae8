"""Room for rare symbols: its parts by hand, its linear programs in closed form, and what happens without it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from scipy.stats import binom

from bounds import Discrete, Functional, Samples, rare_symbols
from bounds.delta_method import AsymptoticInterval
from bounds.estimators import estimate
from bounds.rare_symbols import Room, Seen, rarity, times_seen

symbols = stn.arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 5))


@given(symbols, st.integers(1, 10))
def test_symbols_are_counted_by_blocks(rows, block):
    found = times_seen(rows, block)
    for symbol in range(int(rows.max()) + 1):
        at = np.flatnonzero(rows == symbol)
        assert found[symbol] == len({i // block for i in at.tolist()})


def test_what_symbols_seen_once_may_stand_for(monkeypatch):
    """Mass ``s/N`` on ``u`` symbols of equal probability, less the same mass on ``s`` symbols."""
    monkeypatch.setattr(rare_symbols, "_SURE", 0.0)
    n, once, alphabet = 1000, 4, 50_000
    seen = Seen(n, 10, once, math.log(alphabet))
    mass, unseen = once / n, alphabet - 10
    spread, alone = mass / unseen, mass / once
    assert seen.spread == pytest.approx(-mass * math.log(spread) + mass * math.log(alone), rel=1e-12)  # rounding
    assert Seen(n, 10, 0, math.log(alphabet)).spread == 0
    assert Seen(n, 10, once, math.log(10)).spread == Seen(n, 10, once, math.log(10)).missed == 0  # all were seen
    assert Seen(n, 10, once, math.log(11)).spread == 0  # one more symbol is no more than what was seen


def test_what_was_not_seen():
    seen = Seen(1000, 10, 0, math.log(110))
    assert seen.missed == pytest.approx(-0.003 * math.log(0.003 / 100) + 0.003, rel=1e-12)  # mass 3/N on 100 symbols


ONE_MORE = {1: Seen(500, 4, 2, math.log(50)), 3: Seen(500, 9, 6, math.log(2000))}


def room(coefficients, seen=None, half=math.inf):
    return Room.of(half, np.ones(1), np.full(1, 10**9), coefficients, seen or ONE_MORE)


def test_the_programs_are_those_of_two_subsets():
    first, both = ONE_MORE[1], ONE_MORE[3]
    assert 0 < first.spread < both.spread
    alone = room({3: 1.0})
    assert (alone.below, alone.above) == pytest.approx((0, both.spread))
    conditional = room({3: 1.0, 1: -1.0})  # grows with the columns, so it is never lower
    assert (conditional.below, conditional.above) == pytest.approx((0, both.spread))
    less = room({3: -0.5, 1: 1.0})  # lower by what the second column adds, higher by what the first has alone
    assert less.below == pytest.approx(0.5 * both.spread)
    assert less.above == pytest.approx(0.5 * first.spread)


def test_a_column_adds_the_event_and_its_own_symbols_to_what_was_not_seen():
    """H(B|A) of an event of mass ``q``: at most ``h(q)`` and ``q ln`` of how many symbols the new column has."""
    first, both = Seen(500, 40, 0, math.log(50)), Seen(500, 90, 0, math.log(2000))
    limit = both.event + 3 / 500 * math.log(40)
    assert limit < both.missed
    conditional = {3: 1.0, 1: -1.0}
    assert room(conditional, {3: both, 1: first}, 1.01 * limit).objection == ""
    assert "too rare" in room(conditional, {3: both, 1: first}, 0.99 * limit).objection


def test_columns_that_add_no_symbols_cancel():
    numbers = {1: ONE_MORE[1], 3: ONE_MORE[1]}
    found = room({3: 1.0, 1: -1.0}, numbers)
    assert (found.below, found.above) == pytest.approx((0, 0), abs=1e-12)  # of the solver
    assert room({3: 1.0, 1: -1.0}, numbers, half=1e-12).objection == ""


def test_sums_of_ranges_are_wider(monkeypatch):
    exact = room({3: 1.0, 1: -1.0})
    monkeypatch.setattr(rare_symbols, "MAX_PROGRAM", 1)
    wider = room({3: 1.0, 1: -1.0})
    assert (wider.below, wider.above) == pytest.approx((ONE_MORE[1].spread, ONE_MORE[3].spread))
    assert wider.above >= exact.above
    assert wider.below >= exact.below


def test_rare_symbols_widen_by_their_share_of_the_variance():
    found = Room(rarity(np.array([1.0, 1.0]), np.array([5, 10])))
    assert found.rarity == 0.75
    low, high = Room(rarity=0.25).around(1.0, 0.4, 0.95)
    assert (low, high) == pytest.approx((0.5, 1.5))


def test_objections():
    often = np.full(1, 10**9)
    assert "few times" in Room.of(math.inf, np.ones(1), np.full(1, 9), {3: 1.0}, ONE_MORE).objection
    found = room({3: 1.0})
    assert found.objection == ""
    assert "too rare to be seen" in Room.of(0.9 * found.above, np.ones(1), often, {3: 1.0}, ONE_MORE).objection
    unseen = {3: Seen(500, 9, 0, math.log(2000))}  # no symbol is rare, but some may exist
    missed = unseen[3].missed
    assert room({3: 1.0}, unseen, 1.1 * missed).objection == ""
    assert "too rare to be seen" in room({3: 1.0}, unseen, 0.9 * missed).objection


# --- coverage -----------------------------------------------------------------------------------------------------

NAMES = ("X1", "X2", "X3", "X4")
ROWS, DRAWS = 5000, 400


def covered(functional, damage):
    """How many draws get an asymptotic interval, and how many of these hold the truth.

    Four columns of 20 symbols have up to 30 joint symbols, but for a small share of rows, which are random.
    """
    rng = np.random.default_rng(1)
    pmf = np.full((20,) * 4, damage / 20**4)
    pmf[tuple(rng.integers(0, 20, (4, 30)))] += (1 - damage) * rng.dirichlet(np.full(30, 0.7))
    law = Discrete(pmf / pmf.sum())
    truth = law.entropy_vector().value(functional)
    cells = law.pmf.ravel()
    claimed = hits = 0
    for _ in range(DRAWS):
        rows = np.unravel_index(rng.choice(len(cells), ROWS, p=cells), pmf.shape)
        found = estimate(Samples.from_arrays(dict(zip(NAMES, rows, strict=True)))).entropies.interval.choose(functional)
        if isinstance(found, AsymptoticInterval):
            low, high = found(functional, 0.95)
            claimed += 1
            hits += low <= truth <= high
    return claimed, hits


def test_damaged_rows_are_covered():
    """H(X) of 400 draws. A coverage of 94 % fails in less than 1e-4 of seeds."""
    claimed, hits = covered(Functional(NAMES, {15: 1}), 5e-4)
    assert claimed >= 100
    assert hits >= binom.ppf(1e-4, claimed, 0.94)


def test_more_damage_is_no_matter_of_an_interval_and_without_room_it_is_missed(monkeypatch):
    """Delta of 400 draws, of which rows that occur once make up too much; the planted fault is an interval there."""
    delta = Functional(NAMES, {15: 1, **{1 << m: -Fraction(1, 4) for m in range(4)}})
    claimed, _ = covered(delta, 1e-3)
    assert claimed <= 0.05 * DRAWS  # those in which hardly a damaged row came up
    monkeypatch.setattr(Seen, "spread", 0.0)
    monkeypatch.setattr(Seen, "missed", 0.0)
    claimed, hits = covered(delta, 1e-3)
    assert claimed >= 100
    assert hits < 0.8 * claimed
