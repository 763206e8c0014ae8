"""What samples say about the ceiling of a likelihood: held-out losses, which side they bound, and how often."""

import math

import numpy as np
import pytest

from bounds import Discrete, Gaussian, InputError, Samples, SubsetScheme, elbo_ceiling, full, mmvae, mopoe
from bounds.estimators import estimate
from bounds.likelihood.gaussian import model_covariance
from bounds.likelihood.held_out import Noises, _losses, held_out_gaussian, plug_in_gaussian
from bounds.likelihood.noise import BernoulliNoise, LaplaceNoise
from bounds.likelihood.predictive import Column, Fitting, held_out_split, mean_and_error
from bounds.likelihoods import Likelihood, likelihood_ceiling

LAW = Gaussian([[1.0, 0.6, 0.3], [0.6, 1.0, 0.5], [0.3, 0.5, 2.0]], sizes=[1, 2], units="scalar")


def drawn(law, size, seed):
    return Samples.from_arrays({n: x.squeeze() for n, x in law.sample(size, np.random.default_rng(seed)).items()})


def test_the_loss_of_a_row_is_minus_the_elbo_of_an_actual_vae():
    """From the definition: prior N(0, I), decoder N(W z, psi), encoder the posterior given imputed data ``f(x_A)``."""
    rng = np.random.default_rng(0)
    root, psi = rng.normal(size=(4, 4)), np.array([0.5, 0.2, 1.0, 0.1])
    model = model_covariance(root @ root.T, psi)
    eigenvalues, vectors = np.linalg.eigh(model - np.diag(psi))
    kept = eigenvalues > 1e-9
    loading = vectors[:, kept] * np.sqrt(eigenvalues[kept])
    posterior = np.linalg.inv(np.eye(kept.sum()) + loading.T @ (loading / psi[:, None]))
    x, f = rng.normal(size=(50, 4)), rng.normal(size=(50, 4))
    means = f / psi @ loading @ posterior
    errors = (x - means @ loading.T) ** 2 + np.diagonal(loading @ posterior @ loading.T)
    nll = 0.5 * (np.log(2 * math.pi * psi) + errors / psi).sum(axis=1)
    kl = 0.5 * ((means**2).sum(axis=1) + np.trace(posterior) - kept.sum() - np.linalg.slogdet(posterior)[1])
    np.testing.assert_allclose(_losses(x, f, model, psi), nll + kl, rtol=1e-10)


@pytest.mark.parametrize("likelihood", ["gaussian:0.5", "gaussian:X1=0.2,X2=0.9", "gaussian:learned"])
def test_the_plug_in_loss_is_the_ceiling_of_the_sample_covariance(likelihood):
    samples, scheme = drawn(LAW, 300, 1), mopoe(2)
    data = np.column_stack(samples.columns)
    fitted = Gaussian(np.cov(data.T, bias=True), [1, 2], units="scalar")
    exact = likelihood_ceiling(fitted, scheme, likelihood)
    columns = [Column(m, column) for m, column in zip((0, 1, 1), samples.columns, strict=True)]
    fixed = None if likelihood.endswith("learned") else np.array(list(exact.deviations.values())) ** 2
    rows, variances = plug_in_gaussian(columns, scheme, Noises(fixed, np.arange(3)))
    assert -rows.mean() == pytest.approx(float(exact), rel=1e-9)
    # L-BFGS stops at a gradient near 1e-9, and the variances are that much less certain than the value.
    assert np.sqrt(variances) == pytest.approx(list(exact.deviations.values()), rel=1e-5)


@pytest.mark.parametrize("likelihood", ["gaussian:0.5", "gaussian:learned"])
def test_held_out_and_plug_in_losses_lie_on_both_sides_and_the_interval_covers(likelihood):
    """60 data sets: more than 13 misses at a nominal 5 % have a probability below 1e-6."""
    scheme, truth, missed = mmvae(2), -float(likelihood_ceiling(LAW, mmvae(2), likelihood)), 0
    held_out, plug_in = [], []
    for seed in range(60):
        samples = drawn(LAW, 200, seed)
        found = likelihood_ceiling(samples, scheme, likelihood).ceiling
        assert found.guarantee == "model-based"
        assert found.low < found.value < found.high
        missed += not found.low <= -truth <= found.high
        columns = [Column(m, column) for m, column in zip((0, 1, 1), samples.columns, strict=True)]
        fixed = None if likelihood.endswith("learned") else np.full(3, 0.25)
        plug_in.append(plug_in_gaussian(columns, scheme, Noises(fixed, np.arange(3)))[0].mean())
        held_out.append(-found.value)
    assert missed <= 13
    # One-sided, five standard errors of the mean over data sets.
    assert np.mean(held_out) >= truth - 5 * np.std(held_out) / math.sqrt(60)
    assert np.mean(plug_in) <= truth + 5 * np.std(plug_in) / math.sqrt(60)
    # On the same rows the fit is better where it was made, and that is not by chance.
    assert min(np.array(held_out) - plug_in) > 0


def test_the_error_shrinks_with_the_rows():
    wide, narrow = (likelihood_ceiling(drawn(LAW, n, 0), "mmvae", "gaussian:0.5").ceiling for n in (200, 20_000))
    assert narrow.high - narrow.low < (wide.high - wide.low) / 5
    exact = float(likelihood_ceiling(LAW, mmvae(2), "gaussian:0.5"))
    assert narrow.low <= exact <= narrow.high


def curved(n, seed):
    """``X_2 = X_1^2 + noise``: linear predictions leave variance 2.25 where the best leave .25."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=n)
    return {"first": first, "second": first**2 + 0.5 * rng.normal(size=n)}


def test_boosting_shows_that_the_upper_end_is_for_gaussian_data_only():
    alone = SubsetScheme({0b01: 1}, 2)
    linear = likelihood_ceiling(curved(2000, 0), alone, "gaussian:0.5")
    boosted = likelihood_ceiling(curved(2000, 0), alone, "gaussian:0.5", predictor="boosting")
    assert boosted.ceiling.low > linear.ceiling.high
    assert boosted.ceiling.high is None
    assert boosted.ceiling.guarantee == "asymptotic"
    assert "one-sided" in str(boosted)
    assert any("assumes Gaussian data" in note for note in linear.ceiling.notes)
    # The unseen part's best loss is ln(2 pi/4)/2 + 1/2; the held-out one is above it, up to five standard errors.
    best = 0.5 * math.log(2 * math.pi * 0.25) + 0.5
    assert boosted.floors[0].unseen >= best - 5 * math.sqrt(0.5 / 2000)
    assert linear.floors[0].unseen == pytest.approx(best + 2 / 0.5, rel=0.2)


def test_boosting_with_learned_variances():
    alone = SubsetScheme({0b01: 0.5, 0b10: 0.5}, 2)
    linear = likelihood_ceiling(curved(2000, 1), alone, "gaussian:learned")
    boosted = likelihood_ceiling(curved(2000, 1), alone, "gaussian:learned", predictor="boosting")
    assert boosted.ceiling.low > linear.ceiling.low
    assert boosted.deviations is None


def test_a_column_that_every_subset_shows():
    """Its learned variance vanishes, and the loss is finite: of its own density."""
    samples = drawn(LAW, 5000, 3)
    scheme = SubsetScheme({0b01: 0.5, 0b11: 0.5}, 2)
    found = likelihood_ceiling(samples, scheme, "gaussian:learned")
    assert found.deviations["X1"] == 0
    assert found.ceiling.low <= float(likelihood_ceiling(LAW, scheme, "gaussian:learned")) <= found.ceiling.high
    copies = {"a": samples.columns[0], "b": samples.columns[0]}
    with pytest.raises(InputError, match="a learned variance can go to zero"):
        likelihood_ceiling(copies, full(2), "gaussian:learned")


def split_of(law, samples, scheme, likelihood, predictor="linear"):
    exact = likelihood_ceiling(law, scheme, likelihood)
    found = likelihood_ceiling(samples, scheme, likelihood, predictor=predictor)
    assert found.form == "split"
    assert (found.ceiling.guarantee, found.ceiling.high) == ("asymptotic", None)
    assert found.ceiling.low < found.ceiling.value
    return exact, found


@pytest.mark.parametrize("predictor", ["linear", "boosting"])
def test_laplace_losses_are_above_the_v_entropy_and_near_it(predictor):
    exact, found = split_of(LAW, drawn(LAW, 4000, 0), mmvae(2), "laplace:0.5", predictor)
    for known, held_out in zip(exact.floors, found.floors, strict=True):
        # |error|/b has a standard deviation near one for each unit: five standard errors of two of them.
        room = 5 * 2 / math.sqrt(4000)
        assert known.unseen - room <= held_out.unseen <= known.unseen * (1.1 if predictor == "boosting" else 1) + room


def test_bernoulli_losses_are_above_the_entropy_and_near_it():
    law = Discrete([[0.4, 0.1], [0.05, 0.45]], ["left", "right"])
    rows = law.sample(5000, np.random.default_rng(0))
    exact = likelihood_ceiling(law, mmvae(2), "bernoulli")
    for predictor in ("linear", "boosting"):
        found = likelihood_ceiling(rows, mmvae(2), "bernoulli", predictor=predictor)
        assert found.form == "split"
        for known, held_out in zip(exact.floors, found.floors, strict=True):
            room = 5 * 1.5 / math.sqrt(5000)  # the log-loss of these laws has a standard deviation below 1.5
            assert known.unseen - room <= held_out.unseen <= known.unseen + room
            assert held_out.seen == 0


def test_grey_values_say_so():
    rng = np.random.default_rng(0)
    grey = rng.random((400, 2))
    found = likelihood_ceiling({"image": grey, "bit": rng.integers(0, 2, 400)}, "mmvae", "bernoulli")
    assert any("no densities" in note for note in found.ceiling.notes)
    # The peak loss of a grey value is its binary entropy, on average 1/2 for uniform ones.
    assert found.floors[0].seen == pytest.approx(1.0, abs=5 * 0.3 / math.sqrt(400))


@pytest.mark.parametrize("predictor", ["linear", "boosting"])
def test_a_label_beside_numbers(predictor):
    """The split form of mixed data, which needs no entropies."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 3000)
    data = Samples.from_arrays({"image": label[:, None] + 0.5 * rng.normal(size=(3000, 2)), "label": label})
    found = likelihood_ceiling(data, "mmvae", "image=gaussian:0.5;label=categorical", predictor=predictor)
    from_image, from_label = found.floors
    best = math.log(2 * math.pi * 0.25) + 1
    assert from_label.unseen == pytest.approx(best, abs=5 * 1.0 / math.sqrt(3000) + 0.05)
    assert from_label.seen == 0
    assert 0 < from_image.unseen < math.log(3) / 2
    empty = SubsetScheme({0: 0.5, 0b11: 0.5}, 2, allow_empty=True)
    nothing = likelihood_ceiling(data, empty, "image=laplace:0.5;label=categorical", predictor=predictor).floors[0]
    assert nothing.seen == 0
    assert nothing.unseen > math.log(3)


def test_symbols_that_a_fold_lacks_keep_a_probability():
    label = np.array([0] * 38 + [1, 2])
    columns = [Column(0, np.arange(40.0), LaplaceNoise(1.0)), Column(1, label, alphabet=3)]
    for predictor in ("linear", "boosting"):
        found = held_out_split(columns, mmvae(2), Fitting(predictor, 5, np.random.default_rng(0)))
        assert np.isfinite(found.rows).all()
    constant = [columns[0], Column(1, np.zeros(40, dtype=np.int64), alphabet=2)]
    assert np.isfinite(held_out_split(constant, mmvae(2), Fitting("linear", 5, np.random.default_rng(0))).rows).all()


def test_families_with_every_law_use_estimated_entropies():
    law = Discrete([[0.4, 0.1], [0.1, 0.4]], ["left", "right"])
    samples = Samples.from_arrays(law.sample(2000, np.random.default_rng(0)))
    found = likelihood_ceiling(samples, mmvae(2), "categorical", confidence=0.9).ceiling
    expected = elbo_ceiling(estimate(samples).entropies, mmvae(2), confidence=0.9)
    assert (found.value, found.low, found.high, found.guarantee) == (
        expected.value,
        expected.low,
        expected.high,
        "asymptotic",
    )
    rows = drawn(LAW, 2000, 0)
    found = likelihood_ceiling(rows, mmvae(2), "gaussian:conditional")
    assert found.form == "T2"
    assert float(found) == float(elbo_ceiling(estimate(rows).entropies, mmvae(2)))
    assert float(likelihood_ceiling(samples, mmvae(2), "gaussian:conditional")) == math.inf


def test_a_refused_entropy_leaves_no_number():
    many = {"a": np.arange(200) % 150, "b": np.arange(200) % 7}
    samples = Samples.from_arrays(many, types={"a": "discrete", "b": "discrete"})
    found = likelihood_ceiling(samples, mmvae(2), "categorical")
    assert found.ceiling.value is None
    assert found.floors == ()
    assert "no value" in str(found)


def test_values_turn_symbols_into_numbers():
    law = Discrete([[0.4, 0.1], [0.1, 0.4]], ["left", "right"])
    samples = Samples.from_arrays(law.sample(2000, np.random.default_rng(0)))
    likelihood = Likelihood("laplace", 0.5, {"left": [0, 1], "right": [-1, 3]})
    exact, found = split_of(law, samples, mmvae(2), likelihood)
    assert found.floors[0].unseen >= exact.floors[0].unseen - 5 * 4 / math.sqrt(2000)


def test_the_same_generator_gives_the_same_number_and_another_does_not():
    samples = drawn(LAW, 100, 0)
    numbers = [
        float(likelihood_ceiling(samples, "mmvae", "gaussian:0.5", rng=np.random.default_rng(seed)))
        for seed in (0, 0, 1)
    ]
    assert numbers[0] == numbers[1] != numbers[2]
    assert float(likelihood_ceiling(samples, "mmvae", "gaussian:0.5")) == numbers[0]


class Cheating(Fitting):
    """Fits on the rows that it predicts."""

    def splits(self, rows):
        yield np.arange(rows), np.arange(rows)


def loss_on_noise(how):
    """Independent columns, which could be learned by heart: the loss, less that of knowing nothing, in errors."""
    rng = np.random.default_rng(0)
    columns = [Column(m, rng.normal(size=300), LaplaceNoise(1.0)) for m in (0, 0, 0, 0, 1)]
    found = held_out_split(columns, SubsetScheme({0b01: 1}, 2), how("boosting", 3, np.random.default_rng(0)))
    loss, error = mean_and_error(found.rows)
    return (loss - 5 * math.log(2) - math.sqrt(2 / math.pi)) / error


def test_no_row_is_predicted_from_itself():
    """Five standard errors; the same check catches a fit on the very rows."""
    assert loss_on_noise(Fitting) >= -5
    assert loss_on_noise(Cheating) < -5
    seen = np.zeros(300, dtype=int)
    for fit, new in Fitting("linear", 3, np.random.default_rng(0)).splits(300):
        assert not set(fit) & set(new)
        seen[new] += 1
    assert (seen == 1).all()


def test_bernoulli_predictions_stay_inside():
    columns = [
        Column(0, np.linspace(0, 1, 40), BernoulliNoise()),
        Column(1, np.repeat([0.0, 1.0], 20), BernoulliNoise()),
    ]
    found = held_out_split(columns, mmvae(2), Fitting("linear", 5, np.random.default_rng(0)))
    assert np.isfinite(found.rows).all()


def test_gaussian_losses_of_a_fold_use_other_rows_only():
    """One wild row moves the models of the other folds, not of its own: its loss is the same for any value far out."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(100, 2))
    losses = []
    for wild in (50.0, 100.0):
        data[0] = wild, -wild
        columns = [Column(0, data[:, 0].copy()), Column(1, data[:, 1].copy())]
        noises = Noises(np.ones(2), np.arange(2))
        losses.append(
            held_out_gaussian(columns, mmvae(2), noises, Fitting("linear", 5, np.random.default_rng(0))).rows[0]
        )
    # A quadratic in the row: four times, up to the constant and the mean.
    assert losses[1] / losses[0] == pytest.approx(4, rel=0.05)
