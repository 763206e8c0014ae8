"""Whether a mean over examples is above a bound, how surely, and how large an excess would have been seen.

A mean is above a bound if its lower confidence limit is. The limit is that of Student's t, lowered twice: for
skewness, by Hall's transformation, since log-likelihoods have a long lower tail, which makes t too bold; and for what
was too rare to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from bounds.errors import InputError
from bounds.quantity import Quantity
from bounds.rare_events import unseen_allowance
from bounds.reported_terms import Mean

Verdict = Literal["consistent", "violated", "undecided"]
#: What a check is about: the whole objective, one subset's, what a subset says of itself, of an unseen column, the sign
#: of a KL, probabilities above one, a decoder family's ceiling, a certified optimum, a density model.
Kind = Literal["objective", "subset", "seen", "unseen", "kl", "probability", "likelihood", "optimum", "density"]

#: Rounding of terms in float32, relative to their size: an excess within it is none.
ROUNDING = 1e-6
#: Probability with which an excess of the stated size would have been seen, or the check is undecided.
POWER = 0.9


@dataclass(frozen=True)
class Check:
    """One bound against one mean, in nats: ``value <= ceiling`` is claimed.

    Attributes:
        name: the inequality in words.
        theorem: its number in THEORY.
        kind: what it is about.
        subset: bitmask of the encoded modalities, or None for the whole scheme.
        column: of the log-likelihoods, for an unseen one.
        value: the mean over examples.
        ceiling: the upper end of the ceiling, or None where there is none.
        margin: ``value - ceiling``: positive above the ceiling.
        standard_error: of the value.
        allowance: how far the value must be above the ceiling to be a violation.
        detectable: the least excess that would have been seen with probability :data:`POWER`.
        false_alarms: probability that this check of a right model is violated, its share of the audit's.
        verdict: ``violated`` above the ceiling by more than the allowance, ``undecided`` where ``detectable`` is larger
            than what was asked for or there is no ceiling, else ``consistent``.
        reason: why.
    """

    name: str
    theorem: str
    kind: Kind
    subset: int | None
    column: str | None
    value: float
    ceiling: float | None
    margin: float | None
    standard_error: float
    allowance: float
    detectable: float
    false_alarms: float
    verdict: Verdict
    reason: str

    def __str__(self) -> str:
        above = "" if self.margin is None else f", margin {self.margin:+.4f}"
        ceiling = "none" if self.ceiling is None else f"{self.ceiling:.4f}"
        return (
            f"{self.verdict:10} {self.name} ({self.theorem}): {self.value:.4f} +- {self.standard_error:.4f}, ceiling "
            f"{ceiling}{above}: {self.reason}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def quantile(level: float, n: int, skewness: float = 0.0) -> float:
    """Standard errors from a mean down to its lower confidence limit: Student's, or Hall's for a long lower tail.

    >>> round(quantile(1e-4, 1000), 3), round(quantile(1e-4, 1000, -3.0), 3)
    (3.733, 4.309)
    """
    plain = float(stdtrit(n - 1, 1 - level))
    if skewness >= 0:
        return plain
    a = skewness / math.sqrt(n)
    return max(plain, 3 / a * float(np.cbrt(1 + a * (plain - a / 6)) - 1))


def power(
    margin: float,
    n: int,
    deviation: float,
    level: float = 1e-4,
    skewness: float = 0.0,
    unseen: Callable[[float, int], float] = unseen_allowance,
) -> float:
    """The probability that a check detects an excess.

    Args:
        margin: by how much the true mean is above the ceiling, in nats.
        n: examples.
        deviation: standard deviation of an example's value.
        level: of the check, after the correction for how many there are.
        skewness: of an example's value; a long lower tail costs power.
        unseen: what the check allows for rare events, at a level and a number of examples.

    >>> round(power(0.1, 5000, 1.0), 3)
    0.992
    """
    if not 0 < level < 1 or n < 2 or not deviation >= 0:
        raise InputError(f"level {level}, n={n}, deviation {deviation}: give a level in (0, 1), n >= 2, deviation >= 0")
    room = margin - unseen(level, n)
    if deviation == 0:
        return float(room > 0)
    return float(ndtr(room * math.sqrt(n) / deviation - quantile(level, n, skewness)))


def examples_needed(
    margin: float,
    deviation: float,
    level: float = 1e-4,
    probability: float = POWER,
    unseen: Callable[[float, int], float] = unseen_allowance,
) -> int:
    """The fewest examples with which an excess is detected with a probability.

    >>> examples_needed(0.1, 1.0)
    3680
    """
    if not margin > 0:
        raise InputError(f"margin {margin}: only an excess above zero can be detected")
    low, high = 1, 2
    while power(margin, high, deviation, level, unseen=unseen) < probability:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(margin, middle, deviation, level, unseen=unseen) >= probability
        low, high = (low, middle) if enough else (middle, high)
    return high


def judged(
    found: Mean,
    ceiling: Quantity,
    *,
    name: str,
    kind: Kind,
    n: int,
    level: float,
    size: float,
    subset: int | None = None,
    column: str | None = None,
    unseen: Callable[[float, int], float] = unseen_allowance,
) -> Check:
    """The verdict on ``found <= ceiling`` at a one-sided level.

    Args:
        found: the mean.
        ceiling: with the interval whose upper end counts.
        name, kind, subset, column: of the check.
        n: examples.
        level: false alarms of this one check.
        size: the excess that must be detectable, or the check is undecided.
        unseen: what is allowed for rare events, at a level and a number of examples.
    """
    top = ceiling.high
    scale = max(1.0, abs(found.value), abs(top) if top is not None and math.isfinite(top) else 0.0)
    allowance = quantile(level, n, found.skewness) * found.standard_error + unseen(level, n) + ROUNDING * scale

    def check(verdict: Verdict, reason: str, end: float | None, detectable: float) -> Check:
        margin = None if end is None else found.value - end
        return Check(
            name=name,
            theorem=ceiling.theorem,
            kind=kind,
            subset=subset,
            column=column,
            value=found.value,
            ceiling=end,
            margin=margin,
            standard_error=found.standard_error,
            allowance=allowance,
            detectable=detectable,
            false_alarms=level,
            verdict=verdict,
            reason=reason,
        )

    if ceiling.value is None or top is None or not math.isfinite(top):
        why = "; ".join(ceiling.notes) if ceiling.value is None else "the ceiling has no finite upper end"
        return check("undecided", f"no ceiling: {why}", None, math.inf)
    # an estimated ceiling hides what lies between it and its upper end
    hidden = top - ceiling.value
    detectable = allowance + float(ndtri(POWER)) * found.standard_error + hidden
    excess = found.value - top
    if excess > allowance:
        return check("violated", f"above by {excess:.4f} nats, {allowance:.4f} would be chance", top, detectable)
    if detectable > size:
        return check(
            "undecided",
            f"an excess of {size:g} nats could not be told from chance, one of {detectable:.3g} could: evaluate more "
            "examples, or state that size",
            top,
            detectable,
        )
    return check("consistent", "not above", top, detectable)
