"""Entropies from nearest neighbours: laws with known answers, how often intervals cover, and what is refused."""

import math

import numpy as np
import pytest
from progress_common import recorded
from scipy.integrate import quad
from scipy.special import digamma, gammaln
from scipy.stats import binom

import bounds.estimators.neighbours as neighbours
from bounds import InputError, Samples, irreducible_error
from bounds.discrete_entropy import chao_wang_jost
from bounds.entropies import chosen
from bounds.estimators import estimate
from bounds.functional import Functional

TYPES = {"a": "continuous", "b": "continuous", "c": "continuous", "label": "discrete"}
#: I(X;Y) of two modalities, as coefficients of the entropies of their subsets.
INFORMATION = {0b01: 1, 0b10: 1, 0b11: -1}


def samples_of(arrays):
    return Samples.from_arrays(arrays, {name: TYPES[name] for name in arrays})


def normal_pair(rho, bend=lambda z: z):
    def draw(n, rng):
        x, noise = rng.normal(size=(2, n))
        return {"a": bend(x), "b": bend(rho * x + math.sqrt(1 - rho**2) * noise)}

    return draw, INFORMATION, -0.5 * math.log1p(-(rho**2))


def student_pair(freedom, rho):
    """Closed form: that of normal columns, and what the common scale adds."""

    def entropy(d):  # of d uncorrelated columns
        half = (freedom + d) / 2
        tail = half * (digamma(half) - digamma(freedom / 2))
        return gammaln(freedom / 2) - gammaln(half) + d / 2 * math.log(freedom * math.pi) + tail

    def draw(n, rng):
        pair, _, _ = normal_pair(rho)
        scale = np.sqrt(rng.chisquare(freedom, n) / freedom)
        return {name: column / scale for name, column in pair(n, rng).items()}

    return draw, INFORMATION, 2 * entropy(1) - entropy(2) - 0.5 * math.log1p(-(rho**2))


def symbol_and_interval(m, functional=INFORMATION, extra=0.0):
    """X uniform on m symbols and Y uniform on [X, X + 2] (Gao et al. 2017)."""

    def draw(n, rng):
        x = rng.integers(0, m, n)
        return {"label": x, "a": x + 2 * rng.random(n)}

    return draw, functional, math.log(m) - (m - 1) * math.log(2) / m if functional is INFORMATION else extra


def label_and_column(functional=INFORMATION):
    """A label, and a normal column around its mean: one integral."""
    shares = (0.3, 0.7)

    def density(y):
        return sum(p * math.exp(-((y - 1.5 * i) ** 2) / 2) for i, p in enumerate(shares)) / math.sqrt(2 * math.pi)

    def draw(n, rng):
        label = (rng.random(n) < shares[1]).astype(int)
        return {"label": label, "a": 1.5 * label + rng.normal(size=n)}

    whole = quad(lambda y: -density(y) * math.log(density(y)), -9, 11)[0]
    given = 0.5 * math.log(2 * math.pi * math.e)
    return draw, functional, whole - given if functional is INFORMATION else given


def uniform_triple():
    return (lambda n, rng: dict(zip("abc", rng.random((3, n)), strict=True))), {1: 1, 2: 1, 4: 1, 7: -1}, 0.0


def normal_triple(functional, sign):
    """Correlations of 0.5: det 0.5, and 0.75 of pairs."""
    root = np.linalg.cholesky(0.5 * np.eye(3) + 0.5)

    def draw(n, rng):
        return dict(zip("abc", root @ rng.normal(size=(3, n)), strict=True))

    pair, triple = 0.5 * math.log(0.75), 0.5 * math.log(0.5)
    one = 0.5 * math.log(2 * math.pi * math.e)
    return draw, functional, -triple if sign == "tc" else triple + 2 * one if sign == "given" else pair + 2 * one


CASES = {
    "independent": normal_pair(0.0),
    "normal, 0.5": normal_pair(0.5),
    "normal, 0.9": normal_pair(0.9),
    "normal, 0.99": normal_pair(0.99),
    "half-cube": normal_pair(0.7, lambda z: np.sign(z) * np.abs(z) ** 1.5),
    "lognormal": normal_pair(0.7, lambda z: np.exp(2 * z)),
    "student": student_pair(3, 0.5),
    "cube": uniform_triple(),
    "three columns": normal_triple({1: 1, 2: 1, 4: 1, 7: -1}, "tc"),
    "two columns given one": normal_triple({7: 1, 1: -1}, "given"),
    "symbol and interval": symbol_and_interval(5),
    "joint entropy": symbol_and_interval(5, {3: 1}, math.log(10)),
    "label and column": label_and_column(),
    "column given label": label_and_column({3: 1, 1: -1}),
}


def estimates(case, rows, draws, seed=0):
    draw, coefficients, truth = CASES[case]
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        h = estimate(samples_of(draw(rows, rng)), "neighbours").entropies
        yield h, Functional(h.names, coefficients), truth


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("rows", "draws"), [(200, 150), (1000, 60)])
def test_intervals_cover_where_they_are_given(case, rows, draws):
    """At least 93 %: a right interval fails with a probability below 1e-4 for each case. One draw in two has one."""
    given = covered = 0
    for h, functional, truth in estimates(case, rows, draws):
        found = h.evaluate(functional)
        assert found.guarantee in ("asymptotic", "none")
        if found.guarantee == "asymptotic":
            given += 1
            covered += found.low <= truth <= found.high
    assert given >= draws / 2
    assert covered >= binom.ppf(1e-4, given, 0.93)


def test_without_the_noise_of_overlapping_cubes_intervals_do_not_cover():
    """The planted fault: the variance of the terms alone. 300 draws, so 95 % would give at least 268 (1e-4)."""
    covered = 0
    for h, functional, truth in estimates("normal, 0.5", 200, 300):
        half = 1.96 * np.std(sum(c * h.interval.local[mask] for mask, c in INFORMATION.items())) / math.sqrt(200)
        covered += abs(h.value(functional) - truth) <= half
    assert covered < binom.ppf(1e-4, 300, 0.95)


def test_whether_the_edge_of_a_cube_counts(monkeypatch):
    """The planted fault: the neighbour on the edge counted as inside. Mean of 100 draws, five standard errors."""

    def error():
        found = [float(h.value(f)) - truth for h, f, truth in estimates("normal, 0.5", 500, 100)]
        return np.mean(found) / (np.std(found) / 10)

    assert abs(error()) < 5
    monkeypatch.setattr(neighbours, "_ROUNDING", -1e-14)
    assert error() < -5


def test_the_formula_by_brute_force():
    """All distances in a table, for two labels and two columns."""
    rng = np.random.default_rng(1)
    arrays = {"label": rng.integers(0, 2, 300), "a": rng.normal(size=300), "b": rng.normal(size=300)}
    h = estimate(samples_of(arrays), "neighbours").entropies
    bent = [neighbours._bent(arrays[name]) for name in "ab"]
    apart = [np.where(arrays["label"][:, None] == arrays["label"], 0.0, np.inf)]
    apart += [np.abs(column[:, None] - column) for column, _ in bent]
    rho = np.sort(np.max(apart, axis=0), axis=1)[:, 3]
    for mask in range(1, 8):
        own = [v for v in range(3) if mask >> v & 1]
        inside = np.max([apart[v] for v in own], axis=0) < rho[:, None]
        terms = digamma(300) - digamma(inside.sum(axis=1))
        for v in own:
            terms = terms + (np.log(2 * rho) - bent[v - 1][1] if v else 0)
        assert h[mask] == pytest.approx(terms.mean(), rel=1e-12)


def test_the_formula_by_brute_force_where_rows_are_few_or_alone_with_their_symbols():
    """A row with two others of its symbols has a cube to the second; one alone has none, but is in those of others."""
    rng = np.random.default_rng(1)
    label = np.concatenate([rng.integers(0, 2, 290), [2, 2, 2, 3, 3, 4, 5, 6, 7, 8]])
    arrays = {"label": label, "a": rng.normal(size=300), "b": rng.standard_cauchy(300)}
    h = estimate(samples_of(arrays), "neighbours").entropies
    bent = [neighbours._bent(arrays[name]) for name in "ab"]
    apart = [np.where(label[:, None] == label, 0.0, np.inf)]
    apart += [np.abs(column[:, None] - column) for column, _ in bent]
    around = np.sort(np.max(apart, axis=0), axis=1)
    others = np.minimum(np.isfinite(around).sum(axis=1) - 1, 3)
    assert np.bincount(others).tolist() == [5, 2, 3, 290]
    rho = around[np.arange(300), others]
    for mask in range(1, 8):
        own = [v for v in range(3) if mask >> v & 1]
        inside = (np.max([apart[v] for v in own], axis=0) < rho[:, None]).sum(axis=1)
        found = others > 0
        sizes = np.bincount(label)[label] if mask & 1 else np.full(300, 300)
        terms = digamma(sizes[found]) - digamma(inside[found])
        for v in own:
            terms = terms + (np.log(2 * rho[found]) - bent[v - 1][1][found] if v else 0)
        of_symbols = chao_wang_jost(np.bincount(label)) if mask & 1 else 0.0
        assert h[mask] == pytest.approx(of_symbols + terms.mean(), rel=1e-12)


@pytest.mark.parametrize("smooth", [0, 1, 2, 3])
@pytest.mark.parametrize("symbols", [0, 1, 2])
def test_counts_are_those_of_all_pairs(symbols, smooth):
    """Symbol by symbol, against every pair of rows; with ties, and rows alone with their symbols."""
    rng = np.random.default_rng([symbols, smooth])
    labels = rng.geometric(0.4, (300, symbols))
    labels[:2] = [[100], [101]]
    points = rng.normal(size=(300, smooth))
    points[::3] = points[::3].round(1)
    same = (labels[:, None] == labels).all(axis=2)
    apart = np.abs(points[:, None] - points).max(axis=2, initial=0.0)
    # some other row is on the edge, so that counting it or not makes a difference
    radius = apart[np.arange(300), rng.permutation(300)]
    found = (same.sum(axis=1) > 1) & (rng.random(300) < 0.9) & ((radius > 0) | (smooth == 0))
    groups = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1) if symbols else np.zeros(300, dtype=int)
    counts = neighbours._counts(groups, points, found, radius[found] - neighbours._ROUNDING)
    # differences of ties are the same up to rounding
    inside = apart < radius[:, None] - neighbours._ROUNDING / 2 if smooth else np.ones((300, 300), dtype=bool)
    np.testing.assert_array_equal(counts, (same & inside).sum(axis=1)[found])


def test_a_bend_is_monotone_and_its_slope_is_its_derivative():
    column = np.sort(np.random.default_rng(2).lognormal(size=500))
    bent, log_slope = neighbours._bent(column)
    steps = np.diff(bent) / np.diff(column)
    assert (steps > 0).all()
    same = np.flatnonzero(np.diff(log_slope) == 0)[:-1]
    assert len(same) > 400
    # between two values close together the quotient loses digits
    assert steps[same] == pytest.approx(np.exp(log_slope[same]), rel=1e-6)


def test_what_does_not_depend_on_units_of_measurement_names_or_order():
    rng = np.random.default_rng(3)
    label, a = rng.integers(0, 3, 400), rng.normal(size=400)
    plain = estimate(samples_of({"label": label, "a": a + label})).entropies
    order = rng.permutation(400)
    moved = estimate(samples_of({"label": (5 - label)[order], "a": (1e3 * (a + label) - 7)[order]})).entropies
    information = Functional(plain.names, INFORMATION)
    # moving by 7 of 1e3 leaves roundings of 1e-13 of neighbours' distances, 1e-3
    assert moved.value(information) == pytest.approx(plain.value(information), rel=1e-9)
    assert moved["a"] == pytest.approx(plain["a"] + math.log(1e3), rel=1e-9)


def test_symbols_alone_are_counted():
    rng = np.random.default_rng(4)
    label = rng.integers(0, 4, 500)
    h = estimate(samples_of({"label": label, "a": rng.normal(size=500)})).entropies
    counts = np.bincount(label)
    assert h["label"] == pytest.approx(digamma(500) - (counts * digamma(counts)).sum() / 500, rel=1e-12)


def test_no_interval_where_cubes_of_two_sizes_disagree():
    """A correlation of 0.9999 in 300 rows: cubes are longer than the law is thick, and the value is far too low."""
    draw, _, truth = normal_pair(0.9999)
    h = estimate(samples_of(draw(300, np.random.default_rng(5))), "neighbours").entropies
    found = h.evaluate(Functional(h.names, INFORMATION))
    assert found.guarantee == "none"
    assert (found.low, found.high) == (None, None)
    assert found.value < truth - 0.2
    assert "cubes to neighbour 3 and to 6 differ by" in found.method


def test_rows_that_depend_on_each_other_widen_the_interval():
    """Every row repeated four times, up to noise: the errors are those of a quarter of the rows, twice as large."""
    rng = np.random.default_rng(6)
    label = np.repeat(rng.integers(0, 2, 300), 4)
    data = samples_of({"label": label, "a": label + np.repeat(rng.normal(size=300), 4) + 0.5 * rng.normal(size=1200)})
    errors = []
    for block in (1, 4):
        h = estimate(data, block=block).entropies
        errors.append(h.interval.standard_error(Functional(h.names, {0b10: 1})))
    assert 1.5 < errors[1] / errors[0] < 2.2


def test_mixed_data_are_called_mixed():
    rng = np.random.default_rng(7)
    label = rng.integers(0, 2, 300)
    found = irreducible_error(samples_of({"label": label, "a": label + rng.normal(size=300)}), "mmvae")
    assert found.describe() == "300 rows, 2 modalities (label, a), mixed"
    assert found.kind == "mixed"
    assert "discrete and continuous columns together, whatever their law" in found.choice
    loss = found["mmvae"].modalities.total_correlation_term
    assert loss.guarantee == "asymptotic" or loss.value == 0  # of two modalities nothing is lost beyond one


def test_it_tells_how_far_it_has_come():
    log = []
    rng = np.random.default_rng(8)
    estimate(samples_of({"a": rng.normal(size=200), "b": rng.normal(size=200)}), "neighbours", track=recorded(log))
    assert log == [("entropies", 4, 4)]


def wide(rows, columns):
    return np.random.default_rng(9).normal(size=(rows, columns))


#: A quarter of the rows four times, the others once: more than half of the values are distinct.
FOURFOLD = np.concatenate([np.repeat(wide(25, 1)[:, 0], 4), wide(300, 1)[:, 0] + 5])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"label": np.arange(150) % 2, "a": wide(150, 1)[:, 0]}, "150 rows are too few for neighbours: they need 200"),
        ({"label": np.arange(300) % 2, "a": wide(300, 4)}, "neighbours of 4 continuous columns are far away"),
        ({"label": np.arange(300) % 2, "a": wide(300, 1)[:, 0].round(1)}, "column 'a' has many ties, so no density"),
        ({"label": np.arange(300) % 120, "a": wide(300, 1)[:, 0]}, "share their symbols with fewer than 3 others"),
        ({"label": np.zeros(400, int), "a": FOURFOLD, "b": FOURFOLD**2}, "4 rows or more are the same"),
    ],
)
def test_what_neighbours_cannot_support_is_refused(arrays, message):
    with pytest.raises(InputError, match=message):
        estimate(samples_of(arrays))


def test_a_given_interval_is_the_one_for_the_functional():
    h, functional, _ = next(estimates("normal, 0.5", 300, 1))
    assert chosen(h.interval, functional) is h.interval


# --- what is finer than the cubes of all columns ----------------------------------------------------------------------


def daily_cycle(n, rng):
    """Time over thirty days, whether it is night, and a column that has nothing to do with either."""
    t = 30 * rng.random(n)
    return {"a": t, "label": ((t % 1) < 0.33).astype(int), "b": rng.normal(size=n)}


@pytest.mark.parametrize("rows", [1000, 3000])
def test_dependence_finer_than_the_cubes_of_all_columns_has_no_interval(rows, monkeypatch):
    """Cubes of two sizes agree that time and night are independent; those of time and night alone do not.

    The planted fault, no such comparison, gives intervals near 0 where the total correlation is 0.63.
    """
    found = [estimate(samples_of(daily_cycle(rows, np.random.default_rng(seed)))).entropies for seed in range(5)]
    total = Functional(found[0].names, {1: 1, 2: 1, 4: 1, 7: -1})
    given = [h.evaluate(total) for h in found]
    assert {one.guarantee for one in given} == {"none"}
    assert all("something is finer than the cubes of all columns" in one.method for one in given)
    monkeypatch.setattr("bounds.neighbour_interval.MAX_APART", math.inf)
    found = [estimate(samples_of(daily_cycle(rows, np.random.default_rng(seed)))).entropies for seed in range(5)]
    wrong = [h.evaluate(total) for h in found]
    assert any(one.high is not None and one.high < 0.5 for one in wrong)


def test_smooth_laws_are_not_said_to_be_finer():
    """Four standard errors: a false alarm in fewer than 1e-4 of draws, and none of these 60."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        label = rng.integers(0, 3, 500)
        h = estimate(samples_of({"label": label, "a": 2 * label + rng.normal(size=500), "b": rng.normal(size=500)}))
        for c in ({1: 1, 2: 1, 4: 1, 7: -1}, {7: 1, 1: -1}, {6: 1}):
            assert "finer" not in h.entropies.evaluate(Functional(h.entropies.names, c)).method
