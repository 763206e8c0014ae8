"""A share of examples, with its binomial error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bounds.errors import InputError


@dataclass(frozen=True)
class Share:
    """So many of so many examples.

    Errors are those of independent examples drawn anew. Examples that show the same scan are not: the errors are then
    those of draws from these scans.

    Args:
        hits: examples that count.
        total: all of them.

    Raises:
        InputError: no examples, or hits that are not among them.

    >>> print(Share(90, 100))
    0.900 +- 0.030
    """

    hits: int
    total: int

    def __post_init__(self) -> None:
        if self.total < 1 or not 0 <= self.hits <= self.total:
            raise InputError(f"{self.hits} hits among {self.total} examples: give at least one example, 0 .. all hits")

    @property
    def value(self) -> float:
        """The share itself."""
        return self.hits / self.total

    @property
    def standard_error(self) -> float:
        """``sqrt(s (1 - s) / n)``: 0 where all or none count, so ask :meth:`interval` there."""
        return math.sqrt(self.value * (1 - self.value) / self.total)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Clopper and Pearson's: covers with at least this probability, for every ``n``.

        Raises:
            InputError: a confidence that is not between 0 and 1.

        >>> low, high = Share(100, 100).interval()
        >>> round(low, 4), high
        (0.9638, 1.0)
        """
        from scipy.stats import beta

        if not 0 < confidence < 1:
            raise InputError(f"confidence={confidence}: give a probability between 0 and 1")
        tail, missed = (1 - confidence) / 2, self.total - self.hits
        low = float(beta.ppf(tail, self.hits, missed + 1)) if self.hits else 0.0
        high = float(beta.isf(tail, self.hits + 1, missed)) if missed else 1.0
        return low, high

    def __str__(self) -> str:
        return f"{self.value:.3f} +- {self.standard_error:.3f}"
