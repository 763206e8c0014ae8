"""What an estimator returns, and when data are too few for any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bounds.entropies import EntropyVector
from bounds.samples import Samples

#: Good and Turing's estimate of the probability of the values already seen is ``1 - (values seen once) / N``.
#: Below this no entropy is printed: for a uniform law it means ``N < 1.6 K``.
MIN_COVERAGE = 0.8
#: Share of rows with a symbol that occurs once above which a column's alphabet is not taken as known.
MAX_UNSEEN = 0.05
#: Rank scores need a continuous column: at least this share of its values distinct.
MIN_DISTINCT = 0.5


@dataclass(frozen=True)
class Estimate:
    """Entropies from samples, and why they were got this way.

    Attributes:
        entropies: those of every subset of modalities, alone and with one more column: with columns as decoder units.
        estimator: its name.
        reason: why it was chosen.
        intervals: of which kind they are, where that depends on the data.
        warnings: what to know about the numbers.
    """

    entropies: EntropyVector
    estimator: str
    reason: str
    intervals: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def choice(self) -> str:
        """One line for the report."""
        return f"{self.estimator}: {self.reason}" + (f"; intervals {self.intervals}" if self.intervals else "")


def once_said(name: str, once: int) -> str:
    """The warning about a column some symbols of which occur once."""
    return (
        f"column {name} has {once} symbols that occur once, so others may exist: a guaranteed interval assumes that "
        "there are none, and others that there are at most as many as rows"
    )


def tied(samples: Samples) -> list[str]:
    """The columns that repeat most of their values, so that they have no ranks."""
    return [
        name
        for name, column in zip(samples.layout.unit_names, samples.columns, strict=True)
        if len(np.unique(column)) < MIN_DISTINCT * samples.n
    ]
