"""What events of the data too rare to be seen may hide from a mean that is held against its ceiling.

An event of probability ``e = ln(1/level)/n`` is missing from ``n`` examples with probability at most ``level``. Minus a
ceiling is a sum of conditional entropies, ``sum_i a_i H(Y_i|Z_i)``. Without the event, even a model that attains it
scores higher, and by no more than ``sum_i a_i I(Y_i; event|Z_i) + e (F_event - F)`` for the sums ``F`` of the law and
of the event. Each information is at most ``h(e)``, the binary entropy; together those of the unseen units exceed it by
no more than their total correlation; and ``F_event`` is at most the logarithm of the number of values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


def unseen_allowance(level: float, n: int) -> float:
    """``h(e)`` nats with ``e = ln(1/level)/n``: what one value of the data too rare to be seen may hide.

    >>> round(unseen_allowance(1e-4, 10_000), 4)
    0.0074
    """
    rare = _probability(level, n)
    return -rare * math.log(rare) - (1 - rare) * math.log1p(-rare)


@dataclass(frozen=True)
class RareEvents:
    """What they may hide from one check.

    Attributes:
        times: how often ``h(e)`` counts: the weights of what is seen.
        more_times: how often more it counts at most, for further unseen units.
        correlation: the total correlation of those units, which bounds all of that together.
        reach: the logarithm of the number of values, weighted like the log-likelihoods; -inf where there is none, as
            for densities, of which an event that is rare and much wider than the rest is not covered.

    >>> flag = RareEvents(more_times=9, correlation=math.inf)  # of ten units that all show it
    >>> round(flag.allowance(1e-4, 10_000, 0.0) / unseen_allowance(1e-4, 10_000), 6)
    10.0
    """

    times: float = 1.0
    more_times: float = 0.0
    correlation: float = math.inf
    reach: float = -math.inf

    def allowance(self, level: float, n: int, ceiling: float) -> float:
        """In nats, for a ceiling at a level and ``n`` examples."""
        h, rare = unseen_allowance(level, n), _probability(level, n)
        return self.times * h + min(self.more_times * h, self.correlation) + rare * max(0.0, self.reach + ceiling)


def _probability(level: float, n: int) -> float:
    return min(0.5, -math.log(level) / n)
