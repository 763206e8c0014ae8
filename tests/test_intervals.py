"""Intervals: their programs against brute force, their coverage, and planted faults."""

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from bounds import (
    Discrete,
    Functional,
    Gaussian,
    elbo_ceiling,
    generative_discrepancy,
    mmvae,
    mopoe,
    total_correlation_term,
)
from bounds import intervals as intervals_module
from bounds.discrete_entropy import plug_in
from bounds.estimators import estimate
from bounds.formulas import Ground, discrepancy, total_correlation, unseen_entropies
from bounds.intervals import GuaranteedInterval, _range, inclusions
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


# --- large lattices -----------------------------------------------------------------------------------------------


def symmetric_range(by_size, cap, increasing):
    """The range over a whole lattice if coefficients and caps depend on the size of the subset alone.

    A mean over all orders of the modalities is as good as any solution, so the solution is a function of the size: on a
    chain, where extreme functions are 0 up to some size and the caps' minimum of a level from there on. By the layers
    of the caps: between two consecutive ones the best upper (lower) set of sizes among those that reach it.
    """
    counts = np.array([math.comb(len(by_size), k) for k in range(1, len(by_size) + 1)])
    c, caps = counts * by_size, np.array(cap)
    ends = []
    for sign in (-1, 1):
        total, below = 0.0, 0.0
        for level in np.unique(caps):
            reach = sign * c[caps >= level]
            sums = np.cumsum(reach[::-1] if increasing else reach)
            total += (level - below) * max(0.0, sums.max())
            below = level
        ends.append(sign * total)
    return tuple(ends)


SYMMETRIC = {"Delta": discrepancy, "floor": unseen_entropies, "loss": total_correlation}


@pytest.mark.parametrize("increasing", [True, False], ids=["bias", "deviation"])
@pytest.mark.parametrize("count", [3, 10, 12])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_the_whole_lattice_of_mopoe_is_one_program(name, count, increasing):
    """Against the chain that symmetry leaves; the sum of single ranges, as for too large lattices, is wider."""
    functional = SYMMETRIC[name](Ground.of([f"X{i}" for i in range(count)]), mopoe(count))
    by_size = np.array([float(functional.coefficients.get((1 << k) - 1, 0)) for k in range(1, count + 1)])
    cap = np.array([math.log1p((2.0**k - 1) / 500) if increasing else 1.0 for k in range(1, count + 1)])
    masks = functional.masks
    values = np.array([float(c) for c in functional.coefficients.values()])
    caps = np.array([cap[mask.bit_count() - 1] for mask in masks])
    low, high = _range(values, masks, caps, increasing)
    expected = symmetric_range(by_size, cap, increasing)
    # HiGHS solves to 1e-7.
    assert (low, high) == (pytest.approx(expected[0], abs=1e-6), pytest.approx(expected[1], abs=1e-6))
    assert high - low < float(np.abs(values) @ caps) - 1e-3


def test_the_interval_of_mopoe_over_ten_modalities_is_half_a_sum_of_ranges(monkeypatch):
    law = np.random.default_rng(8).integers(0, 2, (2000, 1)) ^ (np.random.default_rng(9).random((2000, 10)) < 0.02)
    samples = Samples.from_arrays({f"x{i}": column for i, column in enumerate(law.T)})
    h = estimate(samples, "plug-in", interval="guaranteed").entropies
    whole = total_correlation_term(h, mopoe(10))
    assert "sum of ranges" not in whole.method
    monkeypatch.setattr(intervals_module, "MAX_PROGRAM", 512)
    summed = total_correlation_term(h, mopoe(10))
    assert "for more than 512 entropies a sum of ranges, which holds but is wider" in summed.method
    assert summed.low < whole.low < whole.value < whole.high < summed.high
    assert whole.high - whole.low < 0.6 * (summed.high - summed.low)


@given(st.integers(3, 7), st.booleans(), st.integers(0, 2**32 - 1))
def test_no_function_exceeds_the_range(count, increasing, seed):
    """The dual bound holds whatever the solver's accuracy: only rounding is allowed for."""
    rng = np.random.default_rng(seed)
    masks = sorted(rng.choice(np.arange(1, 1 << count), min(20, (1 << count) - 1), replace=False).tolist())
    values = rng.normal(size=len(masks))
    caps = np.array([math.log1p(2.0 ** mask.bit_count() / 50) if increasing else 1.0 for mask in masks])
    low, high = _range(values, masks, caps, increasing)
    for _ in range(20):
        drawn = rng.random(len(masks)) * caps * rng.integers(0, 2, len(masks))
        related = (lambda a, b: a & ~b == 0) if increasing else (lambda a, b: b & ~a == 0)
        # the largest of what lies below is increasing, and within the caps, which increase too
        d = np.array([max(drawn[i] for i, a in enumerate(masks) if related(a, b)) for b in masks])
        assert low - 1e-12 <= values @ d <= high + 1e-12


@given(st.sets(st.integers(1, 63), min_size=1))
def test_the_inclusions_that_are_kept_imply_all_others(family):
    masks = sorted(family)
    reached = np.eye(len(masks), dtype=bool)
    small, large = inclusions(masks)
    reached[small, large] = True
    for _ in masks:
        reached = reached @ reached
    everything = np.array([[a & ~b == 0 for b in masks] for a in masks])
    assert (reached == everything).all()


def test_a_whole_lattice_keeps_only_its_covers():
    small, _ = inclusions(range(1, 1 << 8))
    assert len(small) == 8 * 2**7 - 8  # the edges of the cube, less those of the empty set
    # units far beyond the bits of a machine word
    assert [a.tolist() for a in inclusions([1, 1 << 900, 1 | 1 << 900])] == [[0, 1], [2, 2]]


# --- several at once ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fixed:
    """An interval around zero, or none."""

    guarantee: str
    ends: tuple = (-9.0, 9.0)
    method: str = "fixed"

    def __call__(self, functional, confidence):
        return self.ends


@dataclass(frozen=True)
class Mixed(Fixed):
    """Another interval for the functionals without some subset."""

    others: Fixed = None
    subset: int = 0

    def choose(self, functional):
        return self.others if self.subset and self.subset not in functional.masks else Fixed(self.guarantee, self.ends)


@pytest.mark.parametrize("weak", ["guaranteed", "asymptotic", "model-based", "none"])
def test_the_lowest_of_several_ceilings_promises_what_the_weakest_interval_does(weak):
    law = Discrete(np.random.default_rng(10).dirichlet(np.ones(8)).reshape(2, 2, 2))
    exact = law.entropy_vector()
    found = set()
    for subset in range(1, 8):
        interval = Mixed("guaranteed", others=Fixed(weak, (None, None) if weak == "none" else (-8, 8)), subset=subset)
        quantity = elbo_ceiling(replace(exact, method="estimated", interval=interval), mmvae(3), "iwae", k=2)
        assert "lowest of" in quantity.method
        found.add(quantity.guarantee)
        if quantity.guarantee == "none":
            assert quantity.low is None
    assert weak in found  # where a subset is in some ceilings only
    assert found <= {"guaranteed", weak}


# --- coverage -----------------------------------------------------------------------------------------------------


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
        quantity = generative_discrepancy(
            estimate(samples, "plug-in", interval="guaranteed").entropies, scheme, confidence=0.9
        )
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
    h = estimate(samples, "plug-in", interval="guaranteed").entropies
    whole = h.evaluate(Functional(h.names, {3: 1, 1: -1}))
    parts = [h.evaluate(Functional(h.names, {m: 1})) for m in (3, 1)]
    assert whole.high - whole.low < 0.75 * sum(p.high - p.low for p in parts)
