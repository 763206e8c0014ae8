"""Which estimator, what it needs, and when it refuses."""

import math

import numpy as np
import pytest

from bounds import (
    CommonCause,
    Discrete,
    Gaussian,
    InputError,
    Samples,
    distortion_floor,
    elbo_ceiling,
    generative_discrepancy,
    mmvae,
    mopoe,
    total_correlation_term,
)
from bounds.discrete_entropy import plug_in
from bounds.estimators import ESTIMATORS, estimate


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
        (smooth, "gaussian-copula", "no assumption on the margins"),
        (few, "gaussian-shrinkage", "fewer than 5 rows a column"),
        (tied, "gaussian-shrinkage", "ties"),
    ):
        found = estimate(samples)
        assert found.estimator == name
        assert word in found.choice


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


def test_collinear_columns_are_refused_by_name_of_the_cause():
    x = continuous(100)
    with pytest.raises(InputError, match="linear function of others"):
        estimate(Samples.from_arrays({"a": np.column_stack([x, x[:, 0] + x[:, 1]])}), "gaussian")


def test_near_collinear_columns_warn_that_shrinking_matters():
    x = continuous(100)
    nearly = x[:, :1] + 1e-4 * continuous(100, 7)[:, :1]
    found = estimate(Samples.from_arrays({"a": x, "b": nearly}), "gaussian-shrinkage")
    assert any("near-collinear" in warning for warning in found.warnings)
    assert not estimate(Samples.from_arrays({"a": x}), "gaussian-shrinkage").warnings


def test_common_cause_samples_are_mixed_only_with_a_gaussian_part():
    law = CommonCause([0.5, 0.5], [np.full((2, 3), 1 / 3), Gaussian([[1.0]])])
    samples = Samples.from_arrays(law.sample(200, np.random.default_rng(6)))
    assert samples.types == ("discrete", "mixed")
    with pytest.raises(InputError, match="mix discrete and continuous"):
        estimate(samples)


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
        "auto", "plug-in", "chao-wang-jost", "nsb", "gaussian", "gaussian-shrinkage", "gaussian-copula",
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
    assert found.warnings == ("column a has 1 symbols that occur once: the interval assumes that it has no others",)
    assert generative_discrepancy(found.entropies, mmvae(2)).value is not None
