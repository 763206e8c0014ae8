"""How much a model loses at least, told by any other model of the density (THEORY T10.7)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from bounds.errors import InputError
from bounds.joints import real_array
from bounds.quantity import Quantity, check_confidence

#: Examples below which the mean of their differences is not taken for normal.
MIN_EXAMPLES = 100
#: By how much skewness may raise the share of false certificates before a note says so.
MAX_SKEWED = 0.01

_HELD_OUT = (
    "both must be of examples that neither model was trained or selected on: on its own training data a density model "
    "exceeds -H(X), and the certificate is void"
)
_SAME_MEASURE = (
    "the density must be normalised, over the same variables in the same units of measurement as the decoder's"
)
_TAILS = "differences of finite variance are assumed: a rare example on which the density is tiny, if unseen, voids it"


def relative_certificate(
    log_density: np.ndarray | Sequence[float], elbo: np.ndarray | Sequence[float], confidence: float = 0.95
) -> Quantity:
    """A lower confidence bound of the loss ``-H(X) - L_S`` of a model, from held-out examples (THEORY T10.7).

    Since ``E ln r(X) <= -H(X)`` for every density ``r``, the mean of ``ln r(x) - L_S(x)`` is below the loss on average;
    a better ``r`` certifies more. The entropy of the data need not be known, and no distribution-free bound of the
    irreducible loss itself can be had on continuous data.

    Args:
        log_density: ``(N,)``, ``ln r(x)`` in nats for each held-out example.
        elbo: ``(N,)``, ``L_S(x) = sum_A w_A L_A(x)`` of the same examples in the same order, exact or an unbiased
            estimate with its own draws of the latent. Any other objective may stand here; the bound is then of what
            that one loses.
        confidence: with which the lower end is below the loss, asymptotically.

    Returns:
        The mean difference; ``low`` by the central limit theorem with Student's quantile, ``high`` infinite. No value
        for fewer than :data:`MIN_EXAMPLES` examples.

    Raises:
        InputError: arrays that are not one-dimensional, of different lengths or with NaN or infinite values, or a
            confidence that is not in (0, 1).

    >>> found = relative_certificate(np.linspace(-1, 0, 101), np.linspace(-1.5, -0.7, 101))
    >>> round(found.value, 6), round(found.low, 6)
    (0.6, 0.590319)
    """
    check_confidence(confidence)
    density, terms = _checked("log_density", log_density), _checked("elbo", elbo)
    if len(density) != len(terms):
        raise InputError(
            f"{len(density)} log densities for {len(terms)} ELBO terms: give both for the same examples, in one order"
        )
    n = len(density)
    name, theorem = "ELBO loss, certified by another density", "T10.7"
    method = f"one-sided central limit theorem, N={n} paired examples"
    if n < MIN_EXAMPLES:
        why = f"{n} examples are too few for the central limit theorem: give at least {MIN_EXAMPLES}"
        return Quantity(name, None, method=method, guarantee="none", theorem=theorem, notes=(why,))
    differences = density - terms
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    quantile = float(stdtrit(n - 1, confidence))
    low = mean - quantile * error
    notes = (_HELD_OUT, _SAME_MEASURE, _TAILS, *long_tail(differences, quantile, confidence, "differences"))
    return Quantity(name, mean, low, math.inf, confidence, method, "asymptotic", theorem, notes)


def long_tail(rows: np.ndarray, quantile: float, confidence: float, what: str) -> tuple[str, ...]:
    """A note where a long lower tail makes lower limits of a mean fail more often, by Edgeworth's first term.

    Args:
        rows: ``(N,)``, of which the mean is bounded.
        quantile: of the limit, in standard errors.
        confidence: of the limit.
        what: the rows are, in the plural.
    """
    deviations = rows - rows.mean()
    spread = float(np.mean(deviations**2)) ** 1.5
    skewness = float(np.mean(deviations**3)) / spread if spread > 0 else 0.0
    density = math.exp(-(quantile**2) / 2) / math.sqrt(2 * math.pi)
    more = -skewness * (2 * quantile**2 + 1) * density / (6 * math.sqrt(len(rows)))
    if more <= MAX_SKEWED:
        return ()
    return (
        f"the {what} have a long lower tail (skewness {skewness:.1f}): expect about {1 - confidence + more:.1%} "
        f"of such limits to be false instead of {1 - confidence:.1%}; more examples bring it down",
    )


def _checked(what: str, values: np.ndarray | Sequence[float]) -> np.ndarray:
    array = real_array(what, values)
    if array.ndim != 1:
        raise InputError(f"{what} has shape {array.shape}: give one number for each example")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(
            f"{what} is {array[bad[0]]} at example {bad[0]}: a mean with it certifies nothing; find out why, and do "
            "not leave such examples out"
        )
    return array
