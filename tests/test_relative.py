"""The relative certificate: against an independent t interval, its false-certificate rate, and what voids it."""

import math

import numpy as np
import pytest
from scipy.stats import binom, norm, ttest_1samp

from bounds import InputError
from bounds.relative import MIN_EXAMPLES, relative_certificate

#: x is standard normal.
ENTROPY = 0.5 * math.log(2 * math.pi * math.e)
#: A linear VAE of one unit, which is not its own best encoder: decoder N(0.8 z, 0.5), encoder N(0.7 x, 0.4).
W, PSI, B, S = 0.8, 0.5, 0.7, 0.4


def elbo(square):
    """``L(x)`` as a function of ``x^2``, of which it is an affine one."""
    fit = -0.5 * math.log(2 * math.pi * PSI) - ((1 - W * B) ** 2 * square + W**2 * S) / (2 * PSI)
    return fit - 0.5 * (S + B**2 * square - 1 - math.log(S))


#: ``-H(X) - L_S``, exactly: ``E x^2 = 1``.
LOSS = -ENTROPY - elbo(1.0)


def test_the_elbo_of_the_model_is_that_of_quadrature():
    """The closed form against a sum over a grid of latents, at some ``x``."""
    z = np.linspace(-12, 12, 200_001)
    for x in (-2.0, 0.0, 0.7):
        q = norm.pdf(z, B * x, math.sqrt(S))
        terms = norm.logpdf(x, W * z, math.sqrt(PSI)) + norm.logpdf(z) - norm.logpdf(z, B * x, math.sqrt(S))
        # the trapezoid rule on a smooth integrand that vanishes at the ends is exact to rounding
        assert elbo(x**2) == pytest.approx(float((q * terms).sum() * (z[1] - z[0])), abs=1e-9)
    assert LOSS > 0.005


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_the_lower_end_is_that_of_a_one_sided_t_interval(confidence):
    rng = np.random.default_rng(0)
    density, terms = rng.normal(size=180), rng.exponential(size=180)
    found = relative_certificate(density, terms, confidence)
    oracle = ttest_1samp(density - terms, 0, alternative="greater").confidence_interval(confidence)
    assert found.low == pytest.approx(oracle.low, rel=1e-9)  # the quantile's own accuracy
    assert found.value == pytest.approx(float(np.mean(density - terms)), rel=1e-12)
    assert (found.high, found.confidence, found.guarantee) == (math.inf, confidence, "asymptotic")


def false_certificates(log_density, repetitions, n, seed, confidence=0.95):
    """How often the lower end is above the loss."""
    rng = np.random.default_rng(seed)
    wrong = 0
    for _ in range(repetitions):
        x = rng.normal(size=n)
        wrong += relative_certificate(log_density(x), elbo(x**2), confidence).low > LOSS
    return wrong


def test_false_certificates_are_as_rare_as_stated():
    """With the true density, for which nothing is lost: 2000 repetitions of 200 examples at nominal 5 %.

    The differences are minus a chi-square variable, up to an affine map: skewed to the side that errs more often, to
    about 7.2 % by Edgeworth's series. A rate of 8.5 % or less gives more than 233 false certificates with probability
    below 1e-6; one of 5 % or more fewer than 57 likewise.
    """
    assert binom.sf(233, 2000, 0.085) < 1e-6
    assert binom.cdf(56, 2000, 0.05) < 1e-6
    assert 57 <= false_certificates(norm.logpdf, 2000, 200, 1) <= 233


def test_skewed_differences_are_noted_with_the_rate_to_expect():
    x = np.random.default_rng(9).normal(size=100_000)
    assert "skewness" not in " ".join(relative_certificate(norm.logpdf(x), elbo(x**2)).notes)
    few = np.tile(norm.ppf((np.arange(100) + 0.5) / 100), 2)  # 200 examples in the shape of a normal sample
    (note,) = relative_certificate(norm.logpdf(few), elbo(few**2)).notes[3:]
    assert "expect about 6." in note or "expect about 7." in note
    assert "instead of 5.0%" in note
    # the long tail on the other side errs less often
    assert len(relative_certificate(-norm.logpdf(few), -elbo(few**2)).notes) == 3


def test_a_worse_density_certifies_less_and_errs_less():
    """``r = N(0.3, 1.5^2)`` is 0.17 nats off, many standard errors: no false certificate at all is expected."""
    off = math.log(1.5) + (1 + 0.3**2) / (2 * 1.5**2) - 0.5  # KL(p || r)
    assert off > 0.1
    assert false_certificates(lambda x: norm.logpdf(x, 0.3, 1.5), 500, 200, 2) == 0
    x = np.random.default_rng(3).normal(size=100_000)
    found = relative_certificate(norm.logpdf(x, 0.3, 1.5), elbo(x**2))
    # six standard deviations of a mean of 1e5 differences, whose standard deviation is below 1
    assert found.value == pytest.approx(LOSS - off, abs=6 / math.sqrt(len(x)))
    assert found.low < LOSS


def test_a_good_density_certifies_a_positive_loss():
    x = np.random.default_rng(4).normal(size=5000)
    found = relative_certificate(norm.logpdf(x), elbo(x**2))
    assert 0 < found.low < LOSS


def test_estimates_of_the_elbo_with_draws_of_their_own_serve_as_well():
    """One latent for each example: unbiased, so that the certificate holds at its level.

    A true rate of 6 % or less gives more than 58 false certificates of 500 with probability below 1e-6.
    """
    assert binom.sf(58, 500, 0.06) < 1e-6
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(500):
        x = rng.normal(size=200)
        z = B * x + math.sqrt(S) * rng.normal(size=200)
        terms = norm.logpdf(x, W * z, math.sqrt(PSI)) + norm.logpdf(z) - norm.logpdf(z, B * x, math.sqrt(S))
        wrong += relative_certificate(norm.logpdf(x), terms).low > LOSS
    assert wrong <= 58


# --- planted faults -------------------------------------------------------------------------------------------------


def kernel_density(at, centres, width):
    return np.log(norm.pdf(at[:, None], centres[None, :], width).mean(axis=1))


def test_a_density_on_its_own_training_data_certifies_falsely():
    """A kernel density that has seen the examples beats -H(X) on them; on new ones it does not. Hence the note."""
    rng = np.random.default_rng(6)
    seen = held_out = 0
    for _ in range(50):
        train, test = rng.normal(size=(2, 200))
        seen += relative_certificate(kernel_density(train, train, 0.01), elbo(train**2)).low > LOSS
        held_out += relative_certificate(kernel_density(test, train, 0.2), elbo(test**2)).low > LOSS
    assert seen == 50
    # at a rate of 5 % more than 15 of 50 have probability below 1e-6
    assert binom.sf(15, 50, 0.05) < 1e-6
    assert held_out <= 15
    x = rng.normal(size=MIN_EXAMPLES)
    assert "trained or selected on" in " ".join(relative_certificate(norm.logpdf(x), elbo(x**2)).notes)


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("no normalising constant", lambda r: r + 0.5 * math.log(2 * math.pi)),
        ("another unit of measurement", lambda r: r + math.log(100)),
    ],
)
def test_what_is_no_density_is_caught_by_the_rate(fault, change):
    """The same check fails for functions that are no densities of the same variables."""
    assert false_certificates(lambda x: change(norm.logpdf(x)), 200, 200, 7) > 190, fault


def test_unpaired_examples_are_wider():
    """The order matters: the certificate is of differences."""
    rng = np.random.default_rng(8)
    x = 3 * rng.normal(size=500)
    paired = relative_certificate(norm.logpdf(x, 0, 3), elbo(x**2))
    shuffled = relative_certificate(norm.logpdf(x, 0, 3), elbo(rng.permutation(x) ** 2))
    assert shuffled.value == pytest.approx(paired.value, rel=1e-9)
    assert shuffled.low < paired.low


# --- refusals -------------------------------------------------------------------------------------------------------

FINE = np.zeros(150)
HOLED = np.where(np.arange(150) == 7, math.nan, 0.0)
ENDLESS = np.where(np.arange(150) == 7, -math.inf, 0.0)


@pytest.mark.parametrize(
    ("density", "terms", "confidence", "message"),
    [
        (FINE, FINE[1:], 0.95, "150 log densities for 149 ELBO terms"),
        (HOLED, FINE, 0.95, "log_density is nan at example 7"),
        (FINE, HOLED, 0.95, "elbo is nan at example 7"),
        (FINE, ENDLESS, 0.95, "elbo is -inf at example 7"),
        (ENDLESS, FINE, 0.95, "log_density is -inf at example 7"),
        (FINE[:, None], FINE, 0.95, r"log_density has shape \(150, 1\)"),
        (FINE, 0.5, 0.95, r"elbo has shape \(\)"),
        (["a"] * 150, FINE, 0.95, "log_density holds"),
        (FINE, FINE, 1.0, "confidence 1.0"),
        (FINE, FINE, math.nan, "confidence nan"),
    ],
)
def test_what_certifies_nothing_is_an_error(density, terms, confidence, message):
    with pytest.raises(InputError, match=message):
        relative_certificate(density, terms, confidence)


@pytest.mark.parametrize("n", [0, 1, 2, MIN_EXAMPLES - 1])
def test_few_examples_have_no_number(n):
    found = relative_certificate(np.zeros(n), np.zeros(n))
    assert (found.value, found.low, found.guarantee) == (None, None, "none")
    assert f"{n} examples are too few" in str(found)


def test_it_prints_and_is_json():
    x = np.linspace(-2, 2, MIN_EXAMPLES)
    found = relative_certificate(norm.logpdf(x), elbo(x**2))
    assert "inf] at 95% nats (asymptotic: one-sided central limit theorem, N=100 paired examples)" in str(found)
    assert found.to_dict()["high"] == "inf"
    assert found.to_dict()["theorem"] == "T10.7"
