"""Entropy estimators against direct sums in high precision and published values."""

import itertools
import math

import mpmath
import numpy as np
import pytest

from bounds.discrete_entropy import chao_wang_jost, nsb, plug_in
from bounds.errors import InputError

NDD_COUNTS = [4, 12, 4, 5, 3, 1, 5, 1, 2, 2, 2, 2, 11, 3, 4, 12, 12, 1, 2]


def chao_wang_jost_by_sums(counts):
    """The formula of Chao, Wang and Jost (2013) term by term, with enough digits for its cancellation."""
    with mpmath.workdps(80):
        n, once, twice = sum(counts), counts.count(1), counts.count(2)
        total = sum(mpmath.mpf(c) / n * sum(mpmath.mpf(1) / k for k in range(c, n)) for c in counts)
        if not once:
            return float(total)
        a = (
            mpmath.mpf(2 * twice) / ((n - 1) * once + 2 * twice)
            if twice
            else mpmath.mpf(2) / ((n - 1) * (once - 1) + 2)
        )
        if a == 1:
            return float(total)
        tail = -mpmath.log(a) - sum((1 - a) ** r / mpmath.mpf(r) for r in range(1, n))
        return float(total + mpmath.mpf(once) / n * (1 - a) ** (1 - n) * tail)


@pytest.mark.parametrize(
    "counts", [[1, 1, 1, 2, 3], [1, 2, 2, 7], [1, 1, 1, 1], [1, 5], [5, 5], [7], [10] * 50 + [1] * 30 + [2] * 7]
)
def test_chao_wang_jost_equals_its_definition(counts):
    # quad promises 1e-13 absolute; the rest is rounding.
    assert chao_wang_jost(np.array(counts)) == pytest.approx(chao_wang_jost_by_sums(counts), rel=1e-12, abs=1e-12)


def test_nsb_equals_the_published_examples_of_ndd():
    """The README of ndd 1.6.1 gives 2.840012048914245, that of 1.7 2.8400090835681375 for the same counts.

    So later releases integrate to about 3e-6, and the current README's 2.8060922529931225 is held to 1e-5.
    """
    assert nsb(np.array([12, *NDD_COUNTS]), 100) == pytest.approx(2.840012048914245, abs=1e-10)
    assert nsb(np.array(NDD_COUNTS), 100) == pytest.approx(2.8060922529931225, abs=1e-5)


def nsb_by_quadrature(counts, alphabet):
    """The posterior mean by high-precision quadrature over beta."""
    with mpmath.workdps(30):
        n = sum(counts)

        def weight(b):
            prior = alphabet * mpmath.psi(1, alphabet * b + 1) - mpmath.psi(1, b + 1)
            log = mpmath.loggamma(alphabet * b) - mpmath.loggamma(n + alphabet * b)
            return prior * mpmath.exp(log + sum(mpmath.loggamma(c + b) - mpmath.loggamma(b) for c in counts))

        def mean(b):
            mass = n + alphabet * b
            padded = list(counts) + [0] * (alphabet - len(counts))
            return mpmath.psi(0, mass + 1) - sum((c + b) / mass * mpmath.psi(0, c + b + 1) for c in padded)

        cuts = [mpmath.mpf(10) ** k for k in range(-9, 10)]
        total = sum(
            mpmath.quad(lambda t: weight(mpmath.e**t) * mpmath.e**t, [mpmath.log(a), mpmath.log(b)])
            for a, b in itertools.pairwise(cuts)
        )
        moment = sum(
            mpmath.quad(lambda t: weight(mpmath.e**t) * mean(mpmath.e**t) * mpmath.e**t, [mpmath.log(a), mpmath.log(b)])
            for a, b in itertools.pairwise(cuts)
        )
        return float(moment / total)


@pytest.mark.parametrize(("counts", "alphabet"), [([3, 1], 2), ([2, 1, 1], 6), ([9, 4, 2], 3)])
def test_nsb_equals_quadrature(counts, alphabet):
    # The oracle leaves out beta outside [1e-9, 1e9]; its weight there is below 1e-8.
    assert nsb(np.array(counts), alphabet) == pytest.approx(nsb_by_quadrature(counts, alphabet), abs=1e-7)


def test_nsb_refuses_more_symbols_than_the_alphabet_has():
    with pytest.raises(InputError, match="3 symbols were seen, but the alphabet is said to have 2"):
        nsb(np.array([1, 1, 1]), 2)


def test_estimators_tend_to_the_truth():
    """Uniform on 1000 symbols, a million rows: each within six of its standard errors (false-failure rate 2e-9)."""
    rng = np.random.default_rng(0)
    counts = np.unique(rng.integers(0, 1000, 10**6), return_counts=True)[1]
    # For a uniform law the plug-in deviation is second order: bias and spread near K / 2N = 5e-4.
    for value in (plug_in(counts), chao_wang_jost(counts), nsb(counts, 1000)):
        assert value == pytest.approx(math.log(1000), abs=1e-3)


def test_corrections_beat_the_plug_in_where_rows_are_few():
    """K = N = 1000 uniform: errors near .57, .04 and .02 nats have been measured, far from the limits here."""
    rng = np.random.default_rng(1)
    counts = np.unique(rng.integers(0, 1000, 1000), return_counts=True)[1]
    errors = [abs(v - math.log(1000)) for v in (plug_in(counts), chao_wang_jost(counts), nsb(counts, 1000))]
    assert errors[0] > 0.4
    assert max(errors[1:]) < 0.2
