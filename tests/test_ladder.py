"""The rungs of a ladder: in the order that the theory proves, with a reason for each that is missing."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bounds import CommonCause, Discrete, Gaussian, InputError, Samples, irreducible_error, ladder
from bounds.ladder import ladders

LN2 = math.log(2)
XOR = Discrete(np.array([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]]), ["left", "right", "parity"])
#: A sum of a few entropies, with the rounding that optimal_elbo allows itself.
ROUNDING = 1e-9


def climb(data, schemes="mmvae", **options):
    return ladders(data, irreducible_error(data, schemes), **options)


def entropy(p):
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def floor_of_mmvae(pmf):
    """T1 for one encoded modality at a time, straight from its definition."""
    total, count = 0.0, pmf.ndim
    for a in range(count):
        alone = pmf.sum(axis=tuple(i for i in range(count) if i != a))
        for m in set(range(count)) - {a}:
            pair = pmf.sum(axis=tuple(i for i in range(count) if i not in (a, m)))
            total += (entropy(pair) - entropy(alone)) / count
    return total


def three(rows=1000, seed=0):
    """Three noisy copies of a fair bit."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    return {name: label ^ (rng.random(rows) < 0.2) for name in "abc"}


def assert_in_order(found, pmf):
    """What T1, T2 and T4 promise of a discrete law, with -H(X) and the floor computed independently."""
    high = {rung.name: rung.quantity.high for rung in found.rungs}
    assert high["-H(X)"] == pytest.approx(-entropy(pmf), abs=ROUNDING)
    assert high["-distortion floor"] == pytest.approx(-floor_of_mmvae(pmf), abs=ROUNDING)
    assert high["ELBO ceiling"] <= high["-H(X)"] + ROUNDING
    assert high["ELBO ceiling"] <= high["-distortion floor"] + ROUNDING
    assert high["optimum"] <= high["ELBO ceiling"] + ROUNDING


def assert_ends_in_order(found):
    for rung in found.rungs:
        assert rung.quantity.low <= rung.quantity.value <= rung.quantity.high
        if rung.kind == "refuted":
            assert not rung.holds


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_rungs_of_a_discrete_law_are_in_order(seed):
    pmf = np.random.default_rng(seed).dirichlet(np.full(8, 0.5)).reshape(2, 2, 2)
    (found,) = climb(Discrete(pmf), seconds=1.0)
    assert_in_order(found, pmf)
    assert_ends_in_order(found)


def test_the_ladder_of_xor_is_known():
    mmvae, mopoe = climb(XOR, ["mmvae", "mopoe"])
    wanted = {"-H(X)": -2, "ELBO ceiling": -3, "optimum": -3, "-distortion floor": -2, "quoted bound": -3}
    # the bracket's width; all others are exact
    assert {r.name: r.quantity.value / LN2 for r in mmvae.rungs} == pytest.approx(wanted, abs=1e-6)
    assert [rung.kind for rung in mmvae.rungs] == ["ceiling"] * 4 + ["refuted"]
    assert mmvae["optimum"].quantity.guarantee == "guaranteed"
    assert mmvae["optimum"].quantity.confidence is None
    assert "at 100%" not in str(mmvae["optimum"].quantity)
    assert mopoe["optimum"].quantity.high < mopoe["ELBO ceiling"].quantity.value - 0.1  # T2 is loose here
    assert mmvae.notes == ()
    with pytest.raises(KeyError, match="there are -H\\(X\\), ELBO ceiling"):
        mmvae["loss"]


def test_an_order_that_is_wrong_is_caught(monkeypatch):
    """Planted: the floor and the entropy with the wrong sign; the ends of a negated interval in their old order."""
    minus = ladder._minus

    monkeypatch.setattr(ladder, "_minus", lambda quantity, name: replace(quantity, name=name))
    with pytest.raises(AssertionError):
        assert_in_order(climb(XOR)[0], XOR.pmf)

    def flipped(quantity, name):
        found = minus(quantity, name)
        return replace(found, low=found.high, high=found.low)

    samples = Samples.from_arrays(three())
    monkeypatch.setattr(ladder, "_minus", minus)
    assert_ends_in_order(climb(samples)[0])
    monkeypatch.setattr(ladder, "_minus", flipped)
    with pytest.raises(AssertionError):
        assert_ends_in_order(climb(samples)[0])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_likelihood_ceiling_of_a_gaussian_law_is_below_that_of_t2(seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(3, 4))
    for found in climb(Gaussian(root @ root.T + 0.1 * np.eye(3)), ["mvae", "mmvae", "mopoe"]):
        value = {rung.name: rung.quantity.value for rung in found.rungs}
        assert value["likelihood ceiling"] <= value["ELBO ceiling"] + ROUNDING
        assert value["ELBO ceiling"] <= value["-H(X)"] + ROUNDING


def test_a_gaussian_law_has_no_optimum_and_no_floor_and_says_why():
    (found,) = climb(Gaussian(np.full((3, 3), 0.5) + 0.5 * np.eye(3)))
    assert [rung.name for rung in found.rungs] == ["-H(X)", "ELBO ceiling", "likelihood ceiling", "quoted bound"]
    assert any("known for discrete laws only" in note for note in found.notes)
    assert any(note.startswith("no distortion floor: for continuous data") for note in found.notes)


def test_minus_the_floor_is_no_ceiling_of_continuous_data():
    """In small units -H(X) is large and positive: a good model is far above minus the floor of an mvae, which is 0."""
    (found,) = climb(Gaussian(1e-4 * np.eye(3)), "mvae")
    assert found["-H(X)"].quantity.value > 5
    assert found["likelihood ceiling"].quantity.value > 5
    assert "-distortion floor" not in [rung.name for rung in found.rungs]


def test_a_singular_law_has_a_reason_only():
    for data in (Gaussian([[1.0, 1.0], [1.0, 1.0]]), CommonCause([0.5, 0.5], [None, Gaussian([[0.0]])])):
        (found,) = climb(data)
        assert found.rungs == ()
        assert "h(X) is -inf" in found.notes[0]


def test_samples_have_an_optimum_on_their_own_rows():
    for data in (three(), Samples.from_arrays(three())):
        (found,) = climb(data)
        rung = found["optimum on these rows"]
        assert (rung.kind, rung.holds) == ("on these rows", False)
        assert "no bound for held-out data" in rung.meaning
        assert any("these 1000 rows themselves" in note for note in found.notes)
    columns = [np.asarray(column) for column in three().values()]
    table = np.zeros((2, 2, 2))
    np.add.at(table, tuple(columns[i].astype(int) for i in range(3)), 1 / 1000)
    (law,) = climb(Discrete(table))
    # both brackets are 1e-6 wide
    assert rung.quantity.value == pytest.approx(law["optimum"].quantity.value, abs=2e-6)


def test_a_table_too_large_is_refused_at_once():
    rng = np.random.default_rng(1)
    (found,) = climb(Samples.from_arrays({name: rng.integers(0, 40, 500) for name in "abc"}))
    assert "optimum on these rows" not in [rung.name for rung in found.rungs]
    assert any("too many to search" in note for note in found.notes)
    (found,) = climb(Samples.from_arrays({name: rng.integers(0, 2, (500, 6)) for name in "abc"}))
    assert any("cells, more than" in note for note in found.notes)


def test_private_noise_does_not_count_towards_the_size():
    noise = np.full(30, 1 / 30)
    (found,) = climb(Discrete(np.einsum("ij,k,l->ikjl", [[0.45, 0.05], [0.05, 0.45]], noise, noise).reshape(60, 60)))
    # the bracket of optimal_elbo's own example, with the private noise of both modalities
    least = -0.06648 - 2 * math.log(30) + entropy(np.array([[0.45, 0.05], [0.05, 0.45]])) * -1
    assert found["optimum"].quantity.value == pytest.approx(least, abs=1e-5)


def test_an_optimum_that_is_not_closed_says_so():
    pmf = np.random.default_rng(0).dirichlet(np.full(64, 0.5)).reshape(4, 4, 4)
    (found,) = climb(Discrete(pmf), "mopoe", seconds=0.2)
    assert any(note.startswith("the optimum is certified to") for note in found.notes)
    quantity = found["optimum"].quantity
    assert quantity.high - quantity.low > 1e-4


def test_a_likelihood_that_was_asked_for_must_fit():
    with pytest.raises(InputError, match="categorical"):
        climb(Gaussian(np.eye(2)), likelihood="categorical")
    (found,) = climb(Gaussian(np.eye(2)), likelihood="gaussian:0.75")
    assert found["likelihood ceiling"].meaning == "for decoders with gaussian:0.75 (T7)"


def test_a_ceiling_known_from_below_refutes_nothing():
    rng = np.random.default_rng(0)
    data = Samples.from_arrays({name: rng.normal(size=300) for name in "ab"})
    (found,) = climb(data, likelihood="laplace:0.75")
    rung = found["likelihood ceiling"]
    assert (rung.kind, rung.holds) == ("one-sided", False)
    assert "at least this high" in rung.meaning
    assert any("one-sided" in note for note in found.notes)


def test_entropies_alone_have_no_optimum():
    (found,) = climb(XOR.entropy_vector())
    assert [rung.name for rung in found.rungs] == ["-H(X)", "ELBO ceiling", "-distortion floor", "quoted bound"]
    assert any("entropies alone do not tell it" in note for note in found.notes)


def test_a_sum_of_elbos_has_no_ladder():
    assert [found.scheme for found in climb(XOR, ["mvae-subsampled", "mvae"])] == ["mvae"]
