"""Room for rare symbols: its parts by hand, its linear programs in closed form, and what happens without it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from scipy.special import ndtri
from scipy.stats import binom

from bounds import Discrete, Functional, Samples, rare_symbols
from bounds.delta_method import AsymptoticInterval
from bounds.estimators import estimate, estimate_per_subset
from bounds.missing import by_rule
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
    sure = ndtri(0.995) / 1.96  # at a higher confidence the room for symbols seen once is larger, never smaller
    assert Room(above=0.1).around(0.0, 0.0, 0.99) == pytest.approx((0, 0.1 * sure))
    assert Room(above=0.1).around(0.0, 0.0, 0.5) == pytest.approx((0, 0.1))


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


def test_a_declared_alphabet_is_known():
    times = np.array([5, 4, 1])
    assert math.exp(rare_symbols.log_alphabet(times, 3)) == pytest.approx(10)  # some occur once, so others may exist
    assert math.exp(rare_symbols.log_alphabet(times, 4)) == pytest.approx(4)
    assert math.exp(rare_symbols.log_alphabet(np.array([5, 4, 1, 0]), 4)) == pytest.approx(4)


def test_symbols_that_occur_in_few_blocks_are_rare():
    """One symbol in forty rows side by side: rare in a time series, and common where rows are independent."""
    rare = np.zeros(4000, dtype=int)
    rare[1000:1040] = 1
    data = Samples.from_arrays({"X1": rare, "X2": np.random.default_rng(0).integers(0, 2, 4000)})
    entropy = Functional(("X1", "X2"), {1: 1})
    assert estimate(data).entropies.interval.choose(entropy).guarantee == "asymptotic"
    found = estimate(data, block=50).entropies.interval.choose(entropy)
    assert found.guarantee == "none"
    assert "as often as the blocks in which they occur" in found.method
    common = Functional(("X1", "X2"), {2: 1})
    given = estimate(data, block=50).entropies.interval.choose(common)
    low, high = given(common, 0.95)
    assert given.room.rarity == pytest.approx(5 / 80)  # both symbols occur in each of 80 blocks
    assert high - low == pytest.approx(2 * (1 + 5 / 80) * given.half_width(0.95))


def test_rows_with_gaps_have_the_room_of_those_without():
    """Two columns without gaps beside one with some: what is asked of the two has the same interval."""
    rng = np.random.default_rng(0)
    skewed = [0.7, 0.1, 0.1, 0.1]
    pair = np.concatenate([rng.choice(4, 20_000, p=skewed), [4, 4, 5]]), rng.choice(4, 20_003, p=skewed)
    gaps = np.where(rng.random(20_003) < 0.1, math.nan, rng.integers(0, 2, 20_003))
    columns = dict(zip(NAMES, (*pair, gaps), strict=False))
    rows = by_rule(
        {name: {name: one} for name, one in columns.items()}, dict.fromkeys(columns, "discrete"), rule="per-subset"
    )
    functional = Functional(NAMES[:3], {3: 1, 1: -Fraction(1, 2)})
    partly = estimate_per_subset(rows).entropies.interval.choose(functional)
    whole = estimate(Samples.from_arrays({**columns, NAMES[2]: gaps > 0})).entropies.interval.choose(functional)
    assert isinstance(whole, AsymptoticInterval)
    assert isinstance(partly, AsymptoticInterval)
    assert whole.room.rarity > 0
    assert whole.room.above > 0
    assert partly.room.above == pytest.approx(whole.room.above, rel=1e-9)  # of the solver
    assert partly.room.rarity == pytest.approx(whole.room.rarity, rel=1e-9)  # rounding


def test_labels_beside_numbers_have_room():
    """Three of 3,000 labels are symbols of their own, so there may be as many as rows, of which few were seen."""
    rng = np.random.default_rng(0)
    label = np.concatenate([rng.choice(4, 2997, p=[0.7, 0.1, 0.1, 0.1]), [4, 5, 6]])
    mixed = Samples.from_arrays({"X1": label, "X2": rng.normal(size=3000)}, {"X1": "discrete", "X2": "continuous"})
    found = estimate(mixed)
    assert "column X1 has 3 symbols that occur once" in found.warnings[0]
    functional = Functional(("X1", "X2"), {1: 1})
    interval = found.entropies.interval
    low, high = interval(functional, 0.95)
    above = (3 + 1.96 * math.sqrt(3)) / 3000 * math.log(2993 / 3)  # all 3,000 symbols but the 7 that were seen
    room = interval._room(functional)
    assert room.above == pytest.approx(above, rel=1e-6)  # of the solver
    assert high - found.entropies[1] - (found.entropies[1] - low) == pytest.approx(above, rel=1e-6)
    assert interval.choose(functional).guarantee == "asymptotic"


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
