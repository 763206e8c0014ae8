"""Whether ranks can be those of a Gaussian copula: false alarms, power, and the estimator that follows."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from bounds import Samples, copula_check, irreducible_error
from bounds.copula_check import FALSE_ALARMS, unlike_gaussian


def equicorrelated(n, d, rho, rng):
    return math.sqrt(rho) * rng.normal(size=(n, 1)) + math.sqrt(1 - rho) * rng.normal(size=(n, d))


def student(n, freedom, rng):
    return rng.normal(size=(n, 2)) / np.sqrt(rng.chisquare(freedom, (n, 1)) / freedom)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(("n", "d"), [(200, 2), (200, 6), (2000, 3)])
def test_gaussian_copulas_raise_no_more_alarms_than_stated(n, d, rho):
    """400 draws, margins of any kind: a rate of 1e-3 gives more alarms than allowed in less than 1e-6 of seeds."""
    rng = np.random.default_rng([n, d, int(10 * rho)])
    alarms = sum(unlike_gaussian(np.exp(equicorrelated(n, d, rho, rng))) is not None for _ in range(400))
    assert alarms <= binom.isf(1e-6, 400, FALSE_ALARMS)


@pytest.mark.parametrize(
    ("draw", "n"),
    [
        (lambda n, rng: student(n, 2, rng), 2000),
        (lambda n, rng: np.column_stack([np.sin(t := 2 * math.pi * rng.random(n)), np.cos(t)]), 500),
        (lambda n, rng: np.column_stack([x := rng.normal(size=n), x**2 + rng.normal(size=n)]), 500),
        (lambda n, rng: np.column_stack([x := rng.normal(size=n), x * rng.normal(size=n)]), 1000),
    ],
    ids=["common scale", "circle", "parabola", "scale"],
)
def test_others_are_told(draw, n):
    rng = np.random.default_rng(0)
    found = [unlike_gaussian(np.column_stack([draw(n, rng), rng.normal(size=n)])) for _ in range(20)]
    assert found == [(0, 1)] * 20


def test_the_expected_product_is_that_of_a_large_draw():
    """``E w_i w_j`` by its series against a million rows: six standard errors of about 1e-3."""
    rng = np.random.default_rng(1)
    for rho in (0.3, 0.7, 0.95):
        rows = equicorrelated(1_000_000, 2, rho, rng)
        places = (rows.argsort(axis=0).argsort(axis=0) + 0.5) / len(rows)
        far = np.abs(places - 0.5)
        w = copula_check._scores((far.argsort(axis=0).argsort(axis=0) + 0.5) / len(rows))
        series = float(np.polyval(copula_check._squares()[::-1], rho))
        assert float(w[:, 0] @ w[:, 1]) / len(rows) == pytest.approx(series, abs=6e-3)


def test_a_wrong_expectation_is_caught(monkeypatch):
    """The planted fault: half the coefficients. At a correlation of 0.8 normal columns would be called others."""
    squares = copula_check._squares() / 2
    monkeypatch.setattr(copula_check, "_squares", lambda: squares)
    assert unlike_gaussian(equicorrelated(2000, 2, 0.8, np.random.default_rng(2))) == (0, 1)


def test_few_rows_and_columns_that_repeat_each_other_say_nothing():
    rng = np.random.default_rng(3)
    assert unlike_gaussian(student(199, 1, rng)) is None
    x = rng.normal(size=1000)
    assert unlike_gaussian(np.column_stack([x, x + 0.01 * rng.standard_cauchy(1000)])) is None
    assert unlike_gaussian(x[:, None]) is None


def test_up_to_three_columns_get_neighbours_and_more_a_warning():
    rng = np.random.default_rng(4)
    angle = 2 * math.pi * rng.random(1000)
    pair = {"sin": np.sin(angle), "cos": np.cos(angle)}
    few = irreducible_error(Samples.from_arrays(pair), "mmvae")
    assert few.choice.startswith(
        "neighbours: continuous data, and the ranks of sin and cos are not those of a Gaussian copula"
    )
    many = irreducible_error(Samples.from_arrays(pair | {"noise": rng.normal(size=(1000, 2))}), "mmvae")
    assert many.choice.startswith("gaussian-copula")
    assert any("the ranks of sin and cos are not those of a Gaussian copula" in said for said in many.warnings)


def test_neighbours_may_contradict_what_ranks_do_not_tell():
    """A uniform column and the same with noise: the copula's number was 0.1 too small. Normal columns keep theirs."""
    rng = np.random.default_rng(5)
    x = rng.random(2000)
    pair = {"x": x, "y": x + 0.05 * rng.normal(size=2000)}
    found = irreducible_error(Samples.from_arrays(pair), "x:1/2,y:1/2")
    assert "contradict the total correlation of a Gaussian copula" in found.choice
    for seed in range(20):
        rows = equicorrelated(1000, 3, 0.8, np.random.default_rng(seed))
        normal = irreducible_error(Samples.from_arrays({name: rows[:, i] for i, name in enumerate("abc")}), "mmvae")
        assert normal.choice.startswith("gaussian-copula")
