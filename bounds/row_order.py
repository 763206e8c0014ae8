"""Whether neighbouring rows are more alike than chance allows, as in a time series."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from bounds.samples import Samples

#: Probability that rows in random order are said to depend on each other, all columns together (for many rows).
FALSE_ALARMS = 1e-3


def alike_neighbours(samples: Samples) -> tuple[str, ...]:
    """The columns whose neighbouring rows are more alike than in random order.

    Of symbols the number of neighbours that agree is compared with its mean and variance over random orders of the same
    symbols; of numbers the correlation of neighbouring ranks with ``1/sqrt(N)``. Both are normal for many rows. Each
    column has an equal share of :data:`FALSE_ALARMS`.

    >>> rows = np.repeat([0, 1, 0, 1], 25)
    >>> alike_neighbours(Samples.from_arrays({"a": rows, "b": np.tile([0, 1], 50)}))
    ('a',)
    """
    names = samples.layout.unit_names
    limit = -float(ndtri(FALSE_ALARMS / len(names)))
    scores = [
        _symbols(column) if alphabet else _ranks(column)
        for column, alphabet in zip(samples.columns, samples.alphabets, strict=True)
    ]
    return tuple(name for name, score in zip(names, scores, strict=True) if score > limit)


def _symbols(column: np.ndarray) -> float:
    """How many standard deviations more neighbours agree than in a random order."""
    n = len(column)
    p = np.bincount(column) / n
    second, third = float(p @ p), float(p @ p**2)
    variance = n * (second + second**2 - 2 * third)
    if variance <= 0:  # one symbol
        return 0.0
    expected = n * second - 1  # of n - 1 pairs, each agrees with probability (n second - 1) / (n - 1)
    return (float((column[1:] == column[:-1]).sum()) - expected) / math.sqrt(variance)


def _ranks(column: np.ndarray) -> float:
    """The correlation of neighbouring ranks, in standard deviations of a random order."""
    from scipy.stats import rankdata

    n = len(column)
    centred = rankdata(column) - (n + 1) / 2
    square = float(centred @ centred)
    if not square:
        return 0.0
    return (float(centred[1:] @ centred[:-1]) / square + 1 / n) * math.sqrt(n)
