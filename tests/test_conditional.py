"""One-sided bounds from held-out losses: against known laws, how often they hold, and the faults that void them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_laws import XOR
from scipy.stats import binom, multivariate_normal

from bounds import (
    Discrete,
    Gaussian,
    InputError,
    Samples,
    conditional_bounds,
    distortion_floor,
    elbo_ceiling,
    entropy,
    full,
    generative_discrepancy,
    irreducible_error,
    mmvae,
    mopoe,
    mvae_subsampled,
    total_correlation_term,
)
from bounds.cli import main
from bounds.errors import NoEstimateError
from bounds.estimators import conditional_losses
from bounds.estimators.conditional import upper_limit
from bounds.estimators.conditional_losses import CrossFitted, Losses, _Fold
from bounds.likelihood.predictive import Fitting

LAW = Gaussian([[1, 0.8, 0.5], [0.8, 1, 0.3], [0.5, 0.3, 1]], [2, 1], units="scalar")


def of_law(law, rows, seed=0):
    return Samples.from_arrays(
        law.sample(rows, np.random.default_rng(seed)), {name: kind_of(law) for name in law.names}
    )


def kind_of(law):
    return "continuous" if isinstance(law, Gaussian) else "discrete"


def minus_log_density(cov, data, block, seen):
    """``-ln p(x_block|x_seen)`` of rows of a centred Gaussian, by SciPy."""

    def log_density(columns):
        return multivariate_normal(np.zeros(len(columns)), cov[np.ix_(columns, columns)]).logpdf(data[:, columns])

    return -log_density([*seen, *block]) + (log_density(seen) if seen else 0)


# --- values approach the truth, and stay above it --------------------------------------------------------------------


@pytest.mark.parametrize("predictor", ["linear", "boosting"])
def test_losses_of_a_gaussian_are_those_of_the_true_density_and_a_little_more(predictor):
    """Row by row against the true density, so that what all rows have in common does not count as error."""
    rows = 20_000 if predictor == "linear" else 4_000
    samples = of_law(LAW, rows)
    data = np.column_stack(samples.columns)
    losses = CrossFitted(samples, Fitting(predictor, 3, np.random.default_rng(1)))
    for seen, block in [((), (0, 1, 2)), ((2,), (0, 1)), ((0, 1), (2,))]:
        excess = losses(seen, (block,)).rows - minus_log_density(LAW.cov, data, list(block), list(seen))
        # The mean excess is a divergence, so not negative; six standard errors below zero has probability 1e-9.
        assert excess.mean() > -6 * excess.std() / math.sqrt(rows)
        # The excess of a right linear model is chi-squared of its parameters over 2 N, at most 9 of the residuals on
        # rows / 6 and 4 of the prediction on rows / 2: above 0.008 with probability 1e-6. That of trees is measured.
        assert excess.mean() < (0.008 if predictor == "linear" else 0.06)


def test_a_better_predictor_comes_nearer():
    """Given one bit of XOR the other two are one, which no additive model of logits knows."""
    samples = of_law(XOR, 4_000)
    linear, trees = (
        conditional_bounds(samples, mmvae(3), predictor=p, folds=3)["mmvae"] for p in ("linear", "boosting")
    )
    # N ln 2 is exact but for the sampling of fair bits, whose loss varies by less than 0.01 with probability 1 - 1e-6.
    assert linear.generative_discrepancy.value == pytest.approx(2 * math.log(2), abs=0.02)
    assert trees.generative_discrepancy.value == pytest.approx(math.log(2), abs=0.02)
    assert trees.modalities.distortion_floor.value == pytest.approx(2 * math.log(2), abs=0.02)


@pytest.mark.parametrize("scheme", [full(2), mmvae(2), mopoe(2), mvae_subsampled(2)], ids=lambda s: s.label)
def test_every_quantity_has_the_right_side_and_is_near(scheme):
    """3 standard errors of means of about 4 nats' spread over 10,000 rows, and a limit at 0.999."""
    samples = of_law(LAW, 10_000)
    found = conditional_bounds(samples, scheme, confidence=0.999)
    h = LAW.unit_entropies()
    coarse = h.at_modality_level()
    one = found[scheme.label]
    above = [(found.entropy, entropy(coarse))]
    below = []
    for level, entropies in ((one.modalities, coarse), (one.units, h)):
        objective = "sub-sampled" if scheme.objective == "sub-sampled" else "own-density"
        below.append((level.elbo_ceiling, elbo_ceiling(entropies, scheme, objective)))
        if level.distortion_floor:
            above.append((level.distortion_floor, distortion_floor(entropies, scheme)))
    if one.generative_discrepancy:
        above.append((one.generative_discrepancy, generative_discrepancy(coarse, scheme)))
    else:
        assert scheme.objective == "sub-sampled"
    for bound, truth in above:
        assert truth.value <= bound.high < truth.value + 0.1
        assert bound.value == pytest.approx(truth.value, abs=0.05)
        assert bound.guarantee == "exact" or (bound.low is None and bound.guarantee == "asymptotic")
    for bound, truth in below:
        assert truth.value - 0.1 < bound.low <= truth.value
        assert bound.high is None


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.integers(2, 3))
def test_for_random_tables_the_truth_is_inside(seed, symbols):
    """Guaranteed limits at 1 - 1e-6: over 8 laws and some ten numbers each, a failure has probability 1e-4."""
    rng = np.random.default_rng(seed)
    law = Discrete(rng.dirichlet(np.full(symbols * 4, 0.7)).reshape(symbols, 2, 2))
    found = conditional_bounds(of_law(law, 400, seed), mmvae(3), folds=2, confidence=1 - 1e-6)
    h, one = law.entropy_vector(), found["mmvae"]
    for bound, truth in (
        (found.entropy, entropy(h)),
        (one.generative_discrepancy, generative_discrepancy(h, mmvae(3))),
        (one.modalities.distortion_floor, distortion_floor(h, mmvae(3))),
        (one.modalities.total_correlation_term, total_correlation_term(h, mmvae(3))),
    ):
        assert bound.guarantee == "guaranteed"
        assert bound.low == 0 <= truth.value <= bound.high
    assert one.modalities.elbo_ceiling.low <= elbo_ceiling(h, mmvae(3)).value


# --- how often limits hold -------------------------------------------------------------------------------------------


def false_limits(repetitions, rows, confidence):
    wrong, slack = 0, []
    for seed in range(repetitions):
        found = conditional_bounds(of_law(LAW, rows, seed), mmvae(2), folds=2, confidence=confidence)
        truth = LAW.entropy_vector()["X1", "X2"]
        wrong += found.entropy.high < truth
        slack.append(found.entropy.high - truth)
    return wrong, float(np.mean(slack))


def test_false_limits_are_as_rare_as_stated():
    """At most a fifth are false; a right limit has more than this many with probability 1e-6."""
    wrong, slack = false_limits(40, 150, 0.8)
    assert wrong <= binom.isf(1e-6, 40, 0.2)
    assert slack < 0.5  # nats: a limit that says nothing would be right too


def test_an_empirical_bernstein_limit_holds_and_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    folds = (np.arange(100), np.arange(100, 250))
    wrong = 0
    for _ in range(1000):
        rows = 3.0 * (rng.random(250) < 0.1)
        limit, guarantee = upper_limit(Losses(rows, folds, 3.0), 0.9)
        wrong += limit < 0.3
        assert guarantee == "guaranteed"
    assert wrong <= 100  # a tenth may be false; the bound is conservative, so none is
    expected = sum(
        len(f)
        / 250
        * (
            rows[f].mean()
            + math.sqrt(2 * rows[f].var(ddof=1) * math.log(40) / len(f))
            + 7 * 3 * math.log(40) / 3 / (len(f) - 1)
        )
        for f in folds
    )
    assert limit == pytest.approx(expected, rel=1e-12)


# --- planted faults --------------------------------------------------------------------------------------------------


def losses(rows, shows=None):
    return Losses(rows, (np.arange(len(rows)),), math.inf, shows)


def test_rows_that_show_the_same_are_not_counted_twice():
    rows = np.random.default_rng(0).normal(size=60)
    alone, _ = losses(rows).standard_error()
    again, freedom = losses(np.repeat(rows, 4), np.repeat(np.arange(60), 4)[:, None]).standard_error()
    assert again == pytest.approx(alone * math.sqrt(59 / 60), rel=1e-12)  # it divides by N, not N - 1
    assert freedom == 59
    nothing_shared = np.arange(120).reshape(60, 2)
    assert losses(rows, nothing_shared).standard_error()[0] == pytest.approx(alone, rel=1e-12)


def test_the_standard_error_of_rows_with_common_parts_is_the_true_one():
    """Rows are sums of two of 200 independent parts and noise; means are drawn 400 times.

    The standard deviation of 400 means is known to 3.5 % (one sigma), so a right formula is outside 15 % once in
    50,000 runs; that for independent rows is 4 times too small, and is caught.
    """
    rng = np.random.default_rng(1)
    shows = np.stack([rng.integers(0, 100, 1500), rng.integers(100, 200, 1500)], axis=1)
    means, errors, naive = [], [], []
    for _ in range(400):
        rows = rng.normal(size=200)[shows].sum(axis=1) + rng.normal(size=1500)
        means.append(rows.mean())
        errors.append(losses(rows, shows).standard_error()[0])
        naive.append(losses(rows).standard_error()[0])
    true = np.std(means)
    assert np.mean(errors) == pytest.approx(true, rel=0.15)
    assert np.mean(naive) < 0.5 * true


def test_rows_that_all_show_the_same_have_no_limit():
    with pytest.raises(InputError, match="all held-out examples show the same"):
        upper_limit(losses(np.arange(50.0), np.zeros((50, 1), dtype=int)), 0.95)


class OnTrainingRows(Fitting):
    """A fault: all rows fit predictors, calibrate them, and are judged by them."""

    def splits(self, rows):
        for others, new in super().splits(rows):
            every = np.concatenate([others, new])
            yield np.concatenate([every, every]), new


@pytest.mark.parametrize("fault", [False, True])
def test_judging_by_training_rows_is_caught(fault):
    """The check of the first test: a mean excess of six standard errors below zero."""
    cov = np.eye(12)
    samples = Samples.from_arrays(
        {"A": np.random.default_rng(3).normal(size=(160, 6)), "B": np.random.default_rng(4).normal(size=(160, 6))}
    )
    fitting = (OnTrainingRows if fault else Fitting)("boosting", 2, np.random.default_rng(0))
    losses = CrossFitted(samples, fitting)(tuple(range(6)), (tuple(range(6, 12)),))
    data = np.column_stack(samples.columns)
    excess = losses.rows - minus_log_density(cov, data, list(range(6, 12)), [])
    below = excess.mean() < -6 * excess.std() / math.sqrt(160)
    assert below == fault


def total_probability(monkeypatch=None):
    """The sum over a label and the integral over two numbers of one fold's density, given one seen number."""
    rng, rows = np.random.default_rng(0), 600
    grid = np.linspace(-9, 9, 121)
    label, first, second = (part.ravel() for part in np.meshgrid([0, 1, 2], grid, grid, indexing="ij"))
    seen = rng.normal(size=rows)
    own = rng.integers(0, 3, rows)
    numbers = np.column_stack([seen + own, 0.5 * seen + own]) + 0.7 * rng.normal(size=(rows, 2))
    samples = Samples.from_arrays(
        {
            "seen": np.concatenate([seen, np.full(len(label), 0.4)]),
            "label": np.concatenate([own, label.astype(int)]),
            "numbers": np.concatenate([numbers, np.column_stack([first, second])]),
        },
        {"seen": "continuous", "label": "discrete", "numbers": "continuous"},
    )
    fold = _Fold(samples, Fitting("linear", 2, rng), np.arange(rows), np.arange(rows, samples.n))
    loss, _ = fold.loss((0,), (1, 2, 3))
    return float(np.exp(-loss).sum() * (grid[1] - grid[0]) ** 2)


def test_densities_are_normalised():
    # the trapezoid rule on a smooth density that vanishes at the ends; the grid has more than four points a deviation
    assert total_probability() == pytest.approx(1, abs=1e-6)


def test_a_density_that_is_not_normalised_is_caught(monkeypatch):
    right = conditional_losses._normal_loss

    def wrong(tune, new, scales):
        return right(tune, new, scales) - math.log(2 * math.pi)

    monkeypatch.setattr(conditional_losses, "_normal_loss", wrong)
    assert abs(total_probability() - 1) > 1


@pytest.mark.parametrize("predictor", ["linear", "boosting"])
def test_probabilities_sum_to_one_and_no_loss_exceeds_what_is_stated(predictor):
    rng, rows = np.random.default_rng(0), 300
    first = rng.integers(0, 3, rows)
    second = (first + (rng.random(rows) < 0.2)) % 4
    pairs = np.array([(a, b) for a in range(3) for b in range(4)])
    columns = [np.concatenate([c, pairs[:, i]]) for i, c in enumerate((first, second))]
    seen = np.concatenate([rng.normal(size=rows) + first, np.full(12, 0.3)])
    samples = Samples.from_arrays({"seen": seen, "a": columns[0], "b": columns[1]}, {"a": "discrete", "b": "discrete"})
    fold = _Fold(samples, Fitting(predictor, 2, rng), np.arange(rows), np.arange(rows, samples.n))
    loss, largest = fold.loss((0,), (1, 2))
    assert np.exp(-loss).sum() == pytest.approx(1, rel=1e-12)
    assert 0 < loss.min() <= loss.max() <= largest < math.inf


# --- what can and what cannot be said --------------------------------------------------------------------------------


def test_of_continuous_data_neither_side_of_the_loss_is_had():
    one = conditional_bounds(of_law(LAW, 200), mmvae(2))["mmvae"]
    loss = one.units.total_correlation_term
    assert (loss.value, loss.low, loss.high, loss.guarantee) == (None, None, None, "none")
    assert "neither side" in loss.notes[0]
    assert "T10.7" in loss.notes[0]
    # With one modality unseen at a time it is zero, whatever the law.
    assert (one.modalities.total_correlation_term.value, one.modalities.total_correlation_term.guarantee) == (
        0,
        "exact",
    )


def test_many_columns_few_rows_and_mixed_data_where_estimators_refuse():
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(120, 1))
    samples = Samples.from_arrays(
        {
            "a": cause + 0.3 * rng.normal(size=(120, 80)),
            "b": cause + 0.3 * rng.normal(size=(120, 80)),
            "sign": cause[:, 0] > 0,
        }
    )
    with pytest.raises(NoEstimateError, match="covariance is singular"):
        irreducible_error(samples.select(("a", "b")), mmvae(2))
    found = conditional_bounds(samples, mmvae(3))
    assert found.kind == "mixed"
    assert found["mmvae"].generative_discrepancy.guarantee == "asymptotic"
    # The standard law of 161 columns apart: what is shared brings it down by 80 nats and more.
    assert found.entropy.high < 160 * 0.5 * math.log(2 * math.pi * math.e) - 80
    assert str(found) == str(conditional_bounds(samples, mmvae(3)))


def test_of_symbols_alone_the_limit_is_guaranteed_also_beside_numbers():
    rng = np.random.default_rng(0)
    number = rng.normal(size=400)
    samples = Samples.from_arrays({"x": number, "y": number + rng.normal(size=400) > 0})
    given = conditional_bounds(samples, "x:1")["x:1"].generative_discrepancy
    assert (given.guarantee, given.low) == ("guaranteed", 0.0)
    assert given.value < math.log(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"predictor": "magic"}, "unknown predictor"),
        ({"folds": 1}, "folds"),
        ({"folds": 60}, "at least 4 rows each"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"scheme": mmvae(3)}, "over 3 modalities"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        conditional_bounds(of_law(LAW, 200), **{"scheme": mmvae(2), **arguments})


def test_a_column_that_is_constant_outside_a_fold_is_refused():
    values = np.zeros(100)
    values[0] = 1.5
    samples = Samples.from_arrays({"a": values, "b": np.arange(100.0)}, {"a": "continuous", "b": "continuous"})
    with pytest.raises(InputError, match="column 'a' is constant outside one fold"):
        conditional_bounds(samples, mmvae(2))


def test_too_few_rows_for_a_central_limit_have_no_number():
    found = conditional_bounds(of_law(LAW, 60), mmvae(2))
    assert found.entropy.value is None
    assert "100" in found.entropy.notes[0]


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def wide(tmp_path):
    """More columns than rows, so that a covariance is singular."""
    rng, path = np.random.default_rng(0), tmp_path / "wide.npz"
    cause = rng.normal(size=(110, 1))
    np.savez(path, **{name: cause + rng.normal(size=(110, 60)) for name in ("a", "b")})
    return path


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_the_error_offers_what_needs_no_estimator(capsys, wide):
    code, _, error = run(capsys, "irreducible", wide)
    assert code == 2
    assert "--conditional linear" in error


def test_one_sided_numbers_in_all_three_forms(capsys, wide, tmp_path):
    page = tmp_path / "page.html"
    code, text, _ = run(capsys, "irreducible", wide, "--conditional", "linear", "--scheme", "mmvae", "--html", page)
    assert code == 0
    for words in ("Delta, upper bound", "ELBO ceiling, lower bound", "at most", "neither side", "not a ceiling"):
        assert words in " ".join(text.split())
        assert words in page.read_text().replace("\n", " ")
    code, text, _ = run(capsys, "irreducible", wide, "--conditional", "linear", "--scheme", "mmvae", "--json")
    found = json.loads(text)
    assert "covariance is singular" in found["estimator_refused"]
    delta = found["conditional"]["schemes"]["mmvae"]["generative_discrepancy"]
    assert delta["low"] is None
    assert delta["value"] < delta["high"]
    shown = page.read_text()
    assert f"at most {delta['high']:.4f}" in shown
    assert "https://" not in shown


def test_beside_estimates_they_are_a_section_of_their_own(capsys, tmp_path):
    path, page = tmp_path / "data.npz", tmp_path / "page.html"
    np.savez(path, **LAW.sample(300, np.random.default_rng(0)))
    code, text, _ = run(
        capsys, "irreducible", path, "--conditional", "linear", "--scheme", "mmvae", "--json", "--html", page
    )
    found = json.loads(text)
    assert code == 0
    assert {"entropies", "conditional"} <= set(found)
    assert 'id="one-sided"' in page.read_text()


def test_of_a_law_nothing_is_predicted(capsys, tmp_path):
    path = tmp_path / "law.npz"
    np.savez(path, pmf=XOR.pmf)
    code, _, error = run(capsys, "irreducible", path, "--conditional", "linear")
    assert code == 2
    assert "its entropies are known" in error


def test_where_rows_are_too_few_for_a_number_it_is_offered(capsys, tmp_path):
    path = tmp_path / "few.npz"
    np.savez(
        path, a=np.random.default_rng(0).integers(0, 4, (40, 4)), b=np.random.default_rng(1).integers(0, 4, (40, 4))
    )
    code, _, error = run(capsys, "irreducible", path, "--scheme", "mmvae")
    assert code == 0
    assert "--conditional linear" in error
