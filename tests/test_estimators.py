"""Which estimator, what it needs, and when it refuses."""

import math
import re

import numpy as np
import pytest
from progress_common import recorded
from scipy.special import ndtri
from scipy.stats import binom, rankdata

from bounds import (
    CommonCause,
    Discrete,
    Gaussian,
    InputError,
    Samples,
    SubsetScheme,
    distortion_floor,
    elbo_ceiling,
    generative_discrepancy,
    mmvae,
    mopoe,
    total_correlation_term,
)
from bounds.collinearity import RANK_NOISE, dependent, near_collinearity, standardised
from bounds.demo import breast_cancer
from bounds.discrete_entropy import plug_in
from bounds.estimators import ESTIMATORS, estimate, estimate_per_subset
from bounds.estimators.discrete import DISCRETE
from bounds.missing import by_rule


def continuous(rows, seed=0, columns=3):
    mixing = np.random.default_rng(99).normal(size=(columns, columns)) + 2 * np.eye(columns)
    return np.random.default_rng(seed).normal(size=(rows, columns)) @ mixing.T


def test_auto_explains_its_choice():
    rng = np.random.default_rng(0)
    discrete = Samples.from_arrays({"a": rng.integers(0, 3, 500), "b": rng.integers(0, 3, 500)})
    smooth = Samples.from_arrays({"a": continuous(200), "b": continuous(200, 1)})
    few = Samples.from_arrays({"a": continuous(20), "b": continuous(20, 1)})
    tied = Samples.from_arrays({"a": continuous(200).round(0)}, {"a": "continuous"})
    for samples, name, word in (
        (discrete, "chao-wang-jost", "not seen"),
        (smooth, "gaussian-copula", "assumes a Gaussian copula, nothing about the margins"),
        (few, "gaussian-shrinkage", "fewer than 5 rows a column"),
        (tied, "gaussian-shrinkage", "ties"),
    ):
        found = estimate(samples)
        assert found.estimator == name
        assert word in found.choice


def test_the_choice_says_what_intervals_there_are():
    rng = np.random.default_rng(0)
    smooth = {name: rng.normal(size=300) for name in "ab"}
    symbols = {name: rng.integers(0, 3, 300) for name in "ab"}
    few, whole = {name: column[:8] for name, column in smooth.items()}, Samples.from_arrays(symbols)
    gaps = {name: {name: np.where(rng.random(300) < 0.1, np.nan, column)} for name, column in symbols.items()}
    partly = by_rule(gaps, dict.fromkeys("ab", "discrete"), rule="per-subset")
    for found, intervals in (
        (estimate(Samples.from_arrays(smooth)), "model-based"),
        (estimate(Samples.from_arrays(few)), "none"),
        (estimate(whole), "asymptotic where there are rows enough, else guaranteed"),
        (estimate(whole, interval="guaranteed"), "guaranteed"),
        (estimate(whole, block=5), "asymptotic where there are rows enough, else none"),
        (estimate_per_subset(partly), "asymptotic where there are rows enough, else none"),
    ):
        assert found.choice.endswith(f"; intervals {intervals}")


def test_plug_in_equals_the_entropies_of_the_empirical_law():
    rng = np.random.default_rng(1)
    arrays = {"a": rng.integers(0, 3, (400, 2)), "b": rng.integers(0, 2, 400), "c": rng.integers(0, 4, 400)}
    table = np.zeros((3, 3, 2, 4))
    np.add.at(table, (*arrays["a"].T, arrays["b"], arrays["c"]), 1 / 400)
    law = Discrete(table, ["a", "b", "c"], sizes=[2, 1, 1], units="scalar")
    h = estimate(Samples.from_arrays(arrays), "plug-in").entropies
    exact = law.unit_entropies()
    assert h.names == exact.names
    assert h.masks == exact.masks
    np.testing.assert_allclose(h.values, exact.values, rtol=1e-12)  # rounding
    for quantity in (generative_discrepancy, distortion_floor, total_correlation_term):
        estimated = quantity(h.at_modality_level(), mopoe(3)).value
        assert estimated == pytest.approx(quantity(law.entropy_vector(), mopoe(3)).value, rel=1e-12)


def test_discrete_estimators_agree_where_rows_are_many():
    """Errors of order K/N = 3e-4: ten times that never fails in practice."""
    rng = np.random.default_rng(2)
    law = Discrete(rng.dirichlet(np.ones(27)).reshape(3, 3, 3))
    samples = Samples.from_arrays(law.sample(100_000, rng))
    truth = total_correlation_term(law.entropy_vector(), mmvae(3)).value
    for name in ("plug-in", "chao-wang-jost", "nsb"):
        assert total_correlation_term(estimate(samples, name).entropies, mmvae(3)).value == pytest.approx(
            truth, abs=0.02
        )


def test_the_gaussian_estimate_is_the_log_determinant_less_its_expected_bias():
    """The correction makes each entropy unbiased under normality: checked by the mean of 2000 draws.

    Its standard error is .02 at N = 12, so .1 is five of them: false-failure rate below 1e-6.
    """
    law = Gaussian([[1.0, 0.6], [0.6, 2.0]])
    rng = np.random.default_rng(3)
    truth = law.entropy_vector()["X1", "X2"]
    found = [
        estimate(Samples.from_arrays(law.sample(12, rng), dict.fromkeys(law.names, "continuous")), "gaussian").entropies
        for _ in range(2000)
    ]
    values = np.array([h["X1", "X2"] for h in found])
    assert abs(values.mean() - truth) < 5 * values.std() / math.sqrt(2000)
    assert values.std() / math.sqrt(2000) < 0.02


@pytest.mark.parametrize("estimator", ["gaussian", "gaussian-shrinkage", "gaussian-copula"])
def test_the_total_correlation_term_does_not_depend_on_units_of_measurement(estimator):
    data = {"a": continuous(300), "b": continuous(300, 1) + 0.5 * continuous(300)}
    scaled = {"a": data["a"] * np.array([1e-6, 1.0, 1e6]), "b": data["b"] - 1e3}
    values = [
        total_correlation_term(estimate(Samples.from_arrays(d), estimator).entropies, mmvae(2)).value
        for d in (data, scaled)
    ]
    # Standardising numbers of size 1e3 leaves 1e-13 of rounding in each row.
    assert values[0] == pytest.approx(values[1], rel=1e-8)


def test_the_copula_ignores_monotone_maps_of_a_column():
    data = {"a": continuous(300), "b": continuous(300, 1) + 0.5 * continuous(300)}
    bent = {name: np.exp(values / 4) for name, values in data.items()}
    values = [
        total_correlation_term(estimate(Samples.from_arrays(d), "gaussian-copula").entropies, mmvae(2)).value
        for d in (data, bent)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-10)  # the margins' entropies cancel up to rounding


def test_the_copula_tends_to_the_truth_under_a_gaussian():
    """N = 20000: standard error near .005, the bound is six of them."""
    law = Gaussian(0.5 * np.eye(4) + 0.5, sizes=[2, 2], units="scalar")
    samples = Samples.from_arrays(law.sample(20_000, np.random.default_rng(4)))
    h = estimate(samples, "gaussian-copula").entropies
    assert total_correlation_term(h, mmvae(2)).value == pytest.approx(
        total_correlation_term(law.unit_entropies(), mmvae(2)).value, abs=0.03
    )
    assert h["X1[0]"] == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=0.05)


def test_refuses_what_the_rows_cannot_support_and_keeps_what_they_can():
    """Pairs of 20 x 20 values are seen often enough in 4000 rows, triples of 8000 are not."""
    rng = np.random.default_rng(5)
    samples = Samples.from_arrays({name: rng.integers(0, 20, 4000) for name in "abc"})
    h = estimate(samples).entropies
    refused = generative_discrepancy(h, mmvae(3))
    assert refused.value is None
    assert refused.guarantee == "none"
    assert "4000 rows are too few" in refused.notes[0]
    # T2's ceiling for single encoded modalities needs pairs only.
    assert elbo_ceiling(h, mmvae(3)).value == pytest.approx(-3 * math.log(20), abs=0.2)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_tells_how_far_it_has_come(estimator):
    """One step for each subset of the modalities; the discrete ones count each subset of columns but the empty one."""
    rng = np.random.default_rng(0)
    discrete = Samples.from_arrays({name: rng.integers(0, 3, 500) for name in "abc"})
    smooth = Samples.from_arrays({"a": continuous(200), "b": continuous(200, 1), "c": continuous(200, 2)})
    x = continuous(200)
    log = []
    if estimator in DISCRETE:
        estimate(discrete, estimator, track=recorded(log))
        assert log == [("counting", 7, 7)]
    else:
        if estimator == "neighbours":
            smooth = Samples.from_arrays({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]})
        estimate(smooth, "gaussian-copula" if estimator == "auto" else estimator, track=recorded(log))
        assert log == [("entropies", 8, 8)]


# --- columns that are linear functions of others ------------------------------------------------------------------

GAUSSIAN = ["gaussian", "gaussian-shrinkage", "gaussian-copula"]


@pytest.mark.parametrize("estimator", GAUSSIAN)
def test_collinear_columns_are_refused_by_name(estimator):
    """The shrunk law is regular, and the ranks are: the data have no density all the same."""
    x = continuous(100)
    arrays = {"a": np.column_stack([x, x[:, 0] + x[:, 1]]), "b": continuous(100, 1)[:, 0]}
    with pytest.raises(
        InputError, match=r"^the covariance is singular: of the columns a\[0\], a\[1\] and a\[3\] each is"
    ):
        estimate(Samples.from_arrays(arrays), estimator)
    with pytest.raises(InputError, match=r"^rows\.csv: the covariance is singular: of the columns a\[0\], a\[1\] and"):
        estimate(Samples.from_arrays(arrays, source="rows.csv"), estimator)


def test_a_monotone_copy_is_refused_where_only_ranks_count():
    x = continuous(100)
    bent = Samples.from_arrays({"a": x, "b": np.exp(x[:, 2])})
    with pytest.raises(InputError, match=r"singular: of the ranks of a\[2\] and b each is a linear function of others"):
        estimate(bent, "gaussian-copula")
    assert math.isfinite(estimate(bent, "gaussian").entropies.values[-1])


@pytest.mark.parametrize("first", range(5))
def test_the_first_dependent_column_is_found_with_its_partners(first):
    """Whichever column comes first, the relation of three among five is named, and no bystander."""
    x = continuous(60, columns=5)
    x[:, 4] = x[:, 1] - 2 * x[:, 3]
    order = np.roll(np.arange(5), first)
    rows = standardised(x[:, order])
    names = [f"x{k}" for k in order]
    assert set(dependent(rows.T @ rows / 60, names)) == {"x1", "x3", "x4"}
    assert dependent(np.eye(5), names) == ()


def relation(noise, rows=400, seed=0):
    """Six columns of which the first is a sum of two others, with noise of this standard deviation."""
    x = np.random.default_rng(seed).normal(size=(rows, 6))
    x[:, 0] = (x[:, 1] + x[:, 2]) / math.sqrt(2) + noise * x[:, 0]
    return Samples.from_arrays({"a": x[:, :2], "b": x[:, 2:]})


@pytest.mark.parametrize("estimator", GAUSSIAN)
def test_near_collinear_columns_warn_and_are_named(estimator):
    """The relation's eigenvalue is half the noise's variance: 1e-4 / 2, far below 1 / 400, and 0.3 / 2 far above."""
    (warning,) = estimate(relation(0.01), estimator).warnings
    assert re.match(r"near-collinear columns \((a\[0\]|a\[1\]|b\[0\])", warning)
    assert all(name in warning for name in ("a[0]", "a[1]", "b[0]"))
    assert not any(name in warning for name in ("b[1]", "b[2]", "b[3]"))
    assert not estimate(relation(0.55), estimator).warnings


def test_ranks_warn_earlier_than_rows():
    """An eigenvalue of 2 / N: a row off the relation counts for half of the others, but ranks add 1.2 to 1.9 / N."""
    samples = relation(math.sqrt(4 / 400))
    assert not estimate(samples, "gaussian").warnings
    (warning,) = estimate(samples, "gaussian-copula").warnings
    assert "below 4/N = 0.01, so a third of it or more may be the noise of ranks" in warning


def test_the_noise_of_ranks_is_what_the_threshold_says():
    """Three Gaussian columns in an exact relation, 300 rows: the smallest eigenvalue of the scores times N.

    Mean 1.3 and standard deviation 0.4 over draws, so the mean of 50 has an error of 0.06: the bounds are five away.
    """
    rng = np.random.default_rng(1)
    found = []
    for _ in range(50):
        x = rng.normal(size=(300, 2))
        scores = ndtri((rankdata(np.column_stack([x, x.sum(axis=1)]), axis=0) - 0.5) / 300)
        found.append(300 * np.linalg.eigvalsh(np.corrcoef(scores.T))[0])
    assert 1.0 < np.mean(found) < 1.9
    assert np.mean(found) > RANK_NOISE / 4


def test_the_effect_of_noise_is_that_of_adding_it():
    """The number in the warning, against the total correlation of the columns with independent noise added."""
    rows = standardised(np.column_stack(relation(0.01).columns))
    corr = rows.T @ rows / 400
    noisy = corr + np.eye(6) / 400
    lower = 0.5 * (np.linalg.slogdet(noisy)[1] - np.log(np.diagonal(noisy)).sum() - np.linalg.slogdet(corr)[1])
    (warning,) = near_collinearity(corr, 400, [f"x{i}" for i in range(6)])
    assert f"by {lower:.2g} nats" in warning


def test_breast_cancer_warns_with_every_estimator():
    """Radius, perimeter and area of the same cells: 15.6 nats by ranks and 9.2 by shrinking, MMVAE."""
    losses = {}
    for estimator in GAUSSIAN:
        found = estimate(breast_cancer(), estimator)
        losses[estimator] = total_correlation_term(found.entropies, mmvae(3)).value
        (warning,) = (one for one in found.warnings if "near-collinear" in one)
        assert "mean[0]" in warning  # radius
        assert "mean[2]" in warning  # perimeter
    assert losses["gaussian-copula"] - losses["gaussian-shrinkage"] > 6


def test_shrinking_of_independent_columns_is_no_collinearity():
    """All is shrunk away, rightly: below three standard errors in all but 0.3 % of draws, so 3 of 60 have 1e-3."""
    warned = 0
    for seed in range(60):
        rows = np.random.default_rng(seed).normal(size=(60, 12))
        warned += bool(
            estimate(Samples.from_arrays({"a": rows[:, :6], "b": rows[:, 6:]}), "gaussian-shrinkage").warnings
        )
    assert binom.sf(2, 60, 0.0027) < 1e-3
    assert warned <= 2


def test_shrinking_that_moves_a_regular_covariance_warns_too():
    """Correlations of 0.95 among 30 columns: no eigenvalue is doubled, but the entropy moves by three errors."""
    cov = 0.05 * np.eye(30) + 0.95
    law = Gaussian(cov, sizes=[15, 15])
    samples = Samples.from_arrays(law.sample(600, np.random.default_rng(2)))
    (warning,) = estimate(samples, "gaussian-shrinkage").warnings
    assert warning.startswith("shrinking the correlation by 0.0")
    assert not estimate(samples, "gaussian").warnings


# --- quantised columns --------------------------------------------------------------------------------------------


def test_bins_are_stated_where_symbols_are_numbers():
    rng = np.random.default_rng(3)
    halves, whole = rng.integers(0, 5, 500) / 2, rng.integers(0, 3, 500)
    samples = Samples.from_arrays({"a": halves, "b": whole, "c": halves[::-1] / 5}, {"a": "discrete", "c": "discrete"})
    assert samples.bin_widths == (0.5, 0.0, pytest.approx(0.1))
    found = generative_discrepancy(estimate(samples).entropies, mmvae(3))
    assert found.notes == (
        "quantised columns, of smallest step a 0.5 and c 0.1: every number is that of these bins, and Delta, floor and "
        "entropies grow as bins get narrower (T9)",
    )
    assert not generative_discrepancy(estimate(samples.select("b")).entropies, mmvae(1)).notes


def test_narrower_bins_raise_delta():
    """What the note says: a uniform column in bins of half the width has ln 2 more entropy."""
    rng = np.random.default_rng(4)
    x, y = rng.random(20_000), rng.integers(0, 2, 20_000)
    values = []
    for width in (0.25, 0.125):
        samples = Samples.from_arrays({"x": np.floor(x / width) * width, "y": y}, {"x": "discrete"})
        values.append(generative_discrepancy(estimate(samples).entropies, SubsetScheme({(1,): 1}, 2)).value)
    # errors of a plug-in entropy are of order 1 / sqrt(N) = .007
    assert values[1] - values[0] == pytest.approx(math.log(2), abs=0.02)


def test_ties_of_continuous_columns_state_their_step():
    tied = Samples.from_arrays({"a": continuous(200).round(1)[:, 0], "b": continuous(200, 1)}, {"a": "continuous"})
    (warning,) = estimate(tied, "gaussian-shrinkage").warnings
    assert warning.startswith("1 of 4 columns repeat most of their values, such as a (smallest step 0.1): a density")
    assert "declare them discrete, each value a bin, and state its width (T9)" in warning


def test_common_cause_samples_are_mixed_only_with_a_gaussian_part():
    law = CommonCause([0.5, 0.5], [np.full((2, 3), 1 / 3), Gaussian([[1.0]])])
    samples = Samples.from_arrays(law.sample(200, np.random.default_rng(6)))
    assert samples.types == ("discrete", "mixed")
    found = estimate(samples)
    assert found.reason == "discrete and continuous columns together, whatever their law"
    for estimator, kinds in (("plug-in", "discrete"), ("gaussian", "continuous")):
        with pytest.raises(InputError, match=f"{estimator}' is for {kinds} data, these are mixed"):
            estimate(samples, estimator)


@pytest.mark.parametrize(
    ("arrays", "estimator", "message"),
    [
        ({"a": continuous(50)}, "knn", "unknown estimator 'knn': use one of auto, plug-in"),
        ({"a": continuous(50)}, "nsb", "is for discrete data, these are continuous"),
        ({"a": np.arange(60) % 3}, "gaussian", "is for continuous data, these are discrete"),
        ({"a": continuous(4)}, "gaussian-shrinkage", "4 rows for 3 continuous columns"),
        ({"a": continuous(100).round(0)}, "gaussian-copula", "has many ties"),
    ],
)
def test_wrong_requests_are_one_clear_line(arrays, estimator, message):
    types = {name: "discrete" if values.dtype.kind == "i" else "continuous" for name, values in arrays.items()}
    with pytest.raises(InputError, match=message) as caught:
        estimate(Samples.from_arrays(arrays, types), estimator)
    assert "\n" not in str(caught.value)


def test_every_estimator_is_reachable():
    assert set(ESTIMATORS) == {
        "auto", "plug-in", "miller-madow", "chao-shen", "chao-wang-jost", "nsb", "nsb-unknown",
        "gaussian", "gaussian-shrinkage", "gaussian-copula", "neighbours",
    }  # fmt: skip


def test_plug_in_of_counts_is_that_of_the_law():
    assert plug_in(np.array([1, 3])) == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)), rel=1e-14)


def test_a_column_whose_alphabet_is_not_all_observed_is_refused():
    """One row in ten has a symbol of its own: the interval, which assumes no others, missed the truth every time."""
    rng = np.random.default_rng(0)
    rare = np.where(rng.random(2000) < 0.1, rng.integers(2, 10**7, 2000), rng.integers(0, 2, 2000))
    samples = Samples.from_arrays({"a": rare, "b": rng.integers(0, 2, 2000)}, {"a": "discrete", "b": "discrete"})
    refused = generative_discrepancy(estimate(samples).entropies, mmvae(2))
    assert refused.value is None
    assert "symbols that occur once" in refused.notes[0]


def test_a_single_rare_symbol_is_a_warning():
    column = np.append(np.arange(300) % 3, 3)
    found = estimate(Samples.from_arrays({"a": column, "b": np.arange(301) % 2}))
    assert [said.partition(":")[0] for said in found.warnings] == [
        "column a has 1 symbols that occur once, so others may exist"
    ]
    assert generative_discrepancy(found.entropies, mmvae(2)).value is not None
