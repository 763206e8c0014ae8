"""What symbols that are rare, or were never seen, can do to an interval of a functional of entropies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import vstack
from scipy.special import ndtri

from bounds.intervals import MAX_PROGRAM, inclusion_steps, inclusions

#: How often a symbol is seen a few times, see :func:`rarity`.
FEW = 5
#: How far the variance of a value may rest on rare symbols.
MAX_RARITY = 0.5
#: An event of probability ``RARE / N`` is missed by ``N`` rows with probability 5 %.
RARE = 3.0
#: What intervals assume of symbols that were not seen, see :func:`log_alphabet`.
ASSUMED = "that a column has only the symbols observed, or, where some occur once, at most as many as there are rows"
#: Standard deviations to the upper limit of how many symbols are seen once.
_SURE = 1.96


def times_seen(symbols: np.ndarray, block: int = 1) -> np.ndarray:
    """``(K,)``, in how many blocks of consecutive rows each symbol occurs; of one row, how often.

    >>> times_seen(np.array([0, 0, 1, 0])).tolist(), times_seen(np.array([0, 0, 1, 0]), 2).tolist()
    ([3, 1], [2, 1])
    """
    if block == 1:
        return np.bincount(symbols)
    size = int(symbols.max()) + 1
    pairs = np.unique(np.arange(len(symbols)) // block * size + symbols)
    return np.bincount(pairs % size, minlength=size)


def rarity(parts: np.ndarray, times: np.ndarray) -> float:
    """How far a variance rests on symbols seen a few times, from 0, not at all, to 1, on nothing else.

    Args:
        parts: ``(R,)``, what each adds to the variance.
        times: ``(R,)``, how often its symbol was seen; a part counts by ``min(1, FEW / times)``.

    >>> rarity(np.array([1.0, 3.0]), np.array([2, 50]))
    0.325
    """
    total = float(parts.sum())
    return float(parts @ np.minimum(1.0, FEW / times)) / total if total else 0.0


@dataclass(frozen=True)
class Seen:
    """What was seen of the joint symbols of some columns.

    Args:
        n: rows, or blocks of them.
        symbols: how many different ones occur.
        once: how many of them occur once.
        log_alphabet: ``ln`` of how many there may be, see :func:`log_alphabet`.
    """

    n: int
    symbols: int
    once: int
    log_alphabet: float

    @classmethod
    def of(cls, times: np.ndarray, n: int, log_alphabet: float) -> Seen:
        """From how often each symbol occurs in ``n`` rows or blocks."""
        return cls(n, len(times), int((times == 1).sum()), log_alphabet)

    @property
    def log_unseen(self) -> float:
        """``ln`` of how many symbols may exist and were not seen."""
        share = math.log(self.symbols) - self.log_alphabet
        return self.log_alphabet + math.log(-math.expm1(share)) if share < -1e-12 else -math.inf  # rounding

    @property
    def missed(self) -> float:
        """By how many nats the entropy may be larger for an event that these rows miss with probability 5 %.

        Mass ``q = 3 / N`` on ``u`` symbols of equal probability that were not seen adds ``q ln(u / q) + q`` at most.
        """
        if self.log_unseen == -math.inf:
            return 0.0
        return RARE / self.n * (1 + math.log(self.n) + max(0.0, self.log_unseen - math.log(RARE)))

    @property
    def event(self) -> float:
        """The entropy of such an event itself, ``q ln(1 / q) + q`` at most."""
        return RARE / self.n * (1 + math.log(self.n / RARE))

    @property
    def spread(self) -> float:
        """By how many nats the entropy is larger if symbols seen once stand for all those that were not seen.

        ``s`` rows of ``N`` whose symbols occur once add about ``s ln N / N``. If they are a sample of ``u`` symbols of
        equal probability they are ``s ln(N u / s) / N``, and of ``s`` the upper limit counts.
        """
        if not self.once:
            return 0.0
        return self.once_at_most / self.n * max(0.0, self.log_unseen - math.log(self.once))

    @property
    def once_at_most(self) -> float:
        """The upper limit of how many symbols occur once."""
        return self.once + _SURE * math.sqrt(self.once)


def log_alphabet(times: np.ndarray, alphabet: int) -> float:
    """``ln`` of how many symbols a column may have: those that are known, or as many as rows where some occur once.

    An alphabet larger than what was seen was declared, and is known.

    >>> round(math.exp(log_alphabet(np.array([5, 5]), 2))), round(math.exp(log_alphabet(np.array([9, 1]), 2)))
    (2, 10)
    """
    declared = np.count_nonzero(times) < alphabet
    return math.log(max(alphabet, int(times.sum())) if (times == 1).any() and not declared else alphabet)


@dataclass(frozen=True)
class Room:
    """What an interval has besides its half-width, because of rare symbols.

    A row that is the only one with its symbol in ``A`` may have ``p(x_A)`` below ``1/N`` by a factor ``exp(d_A)``. More
    columns make ``d_A`` larger, unless they have no symbols, and over all rows its mean is at most :attr:`Seen.spread`.
    An event that was not seen is treated alike, with :attr:`Seen.missed`. Their extreme effects on a functional are
    linear programs.

    Args:
        rarity: how far the variance rests on rare symbols; the half-width is larger by this share. Draws in which they
            came up often enough for an interval are a selection, and the value is off in the same direction.
        below, above: how far symbols seen once may move the value, at the usual confidence.
        objection: why there is no interval, or nothing.
    """

    rarity: float = 0.0
    below: float = 0.0
    above: float = 0.0
    objection: str = ""

    @classmethod
    def of(
        cls,
        half: float,
        parts: np.ndarray,
        times: np.ndarray,
        coefficients: Mapping[int, float],
        seen: Mapping[int, Seen],
    ) -> Room:
        """That of a functional.

        Args:
            half: half the width of its interval.
            parts, times: ``(R,)``, of the variance, as for :func:`rarity`.
            coefficients: subset bitmask to ``c_A``.
            seen: subset bitmask to what was seen of its symbols.
        """
        rare = rarity(parts, times)
        if rare > MAX_RARITY:
            return cls(rare, objection="symbols that occur a few times make up too much of the variance")
        each = [seen[mask] for mask in coefficients]
        below, above = _extremes(coefficients, each, [one.spread for one in each])
        unseen = _extremes(coefficients, each, [one.missed for one in each], [one.event for one in each], half)
        matter = max(below, above, *unseen) > half
        return cls(rare, below, above, "symbols too rare to be seen could matter" if matter else "")

    def around(self, value: float, half: float, confidence: float) -> tuple[float, float]:
        """The ends of the interval at a confidence in (0, 1)."""
        half *= 1 + self.rarity
        more = max(1.0, float(ndtri(0.5 + confidence / 2)) / _SURE)
        return value - half - more * self.below, value + half + more * self.above


#: Where no symbol is rare.
NO_ROOM = Room()


def _extremes(
    coefficients: Mapping[int, float],
    seen: Sequence[Seen],
    caps: Sequence[float],
    events: Sequence[float] | None = None,
    enough: float = 0.0,
) -> tuple[float, float]:
    """The largest ``-sum_A c_A d_A`` and ``sum_A c_A d_A`` where ``d_A`` grows with the columns, up to ``caps``.

    Columns without symbols leave it as it is. Of an event that was not seen they add its own entropy, ``events``, and
    for each ``1/N`` of its probability ``ln`` of how many symbols they have, at most. These are linear programs. Where
    sums of the extremes of each term, which are larger, are at most ``enough``, and for more than
    :data:`bounds.intervals.MAX_PROGRAM` subsets, it is those.
    """
    masks = list(coefficients)
    c = np.array([coefficients[mask] for mask in masks])
    sums = -float(np.minimum(c, 0) @ caps), float(np.maximum(c, 0) @ caps)
    if max(sums) <= enough or len(masks) > MAX_PROGRAM:
        return sums
    small, large = inclusions(masks)
    order = inclusion_steps(small, large, len(masks))
    logs = np.array([one.log_alphabet for one in seen])
    more = logs[large] - logs[small]
    limits = np.full(len(small), np.inf)
    if events is not None:
        limits = np.array(events)[large] + more * np.array([RARE / one.n for one in seen])[large]
    limits[more == 0] = 0.0
    limited = np.isfinite(limits)
    rows, right = vstack([-order, order[limited]]), np.concatenate([np.zeros(len(small)), limits[limited]])
    ranges = np.column_stack([np.zeros(len(caps)), caps])

    def largest(c: np.ndarray) -> float:
        found = linprog(-c, A_ub=rows, b_ub=right, bounds=ranges, method="highs")
        if not found.success:
            raise RuntimeError(f"the linear program of an interval failed: {found.message}")
        return -float(found.fun)

    return largest(-c), largest(c)
