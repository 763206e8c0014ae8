"""The empirical law of joint rows, and what the errors of its entropies are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bounds.counts import joint_code
from bounds.rare_symbols import Seen, log_alphabet
from bounds.statistics import JointCounts
from bounds.subsets import members

#: Exact second-order variances are computed up to this many pairs of subsets times joint symbols.
_MAX_WORK = 2e8
#: Numbers for each joint row that are kept for the next functional.
_MOST_KEPT = 2**25


class JointTable:
    """Joint rows by subsets of their columns, as bitmasks; what was computed is kept.

    Args:
        rows: how often each joint row occurs.
    """

    def __init__(self, rows: JointCounts) -> None:
        self._rows = rows.grouped()
        self.n = self._rows.n
        #: ``(R,)``, the probability of each distinct row.
        self.share: np.ndarray = self._rows.counts / self.n
        self._logs: dict[int, np.ndarray] = {}
        self._symbols: dict[int, np.ndarray] = {}

    def symbol(self, mask: int) -> np.ndarray:
        """``(R,)``, which value each distinct row has in some columns, as whole numbers from 0."""
        if mask not in self._symbols:
            self._forget_if_full(self._symbols)
            self._symbols[mask] = symbols_of(self._rows, mask)
        return self._symbols[mask]

    def counts(self, mask: int) -> np.ndarray:
        """How often each value of some columns occurs."""
        return np.bincount(self.symbol(mask), self._rows.counts).astype(np.int64)

    def seen(self, mask: int) -> Seen:
        """What was seen of the joint symbols of some columns."""
        logs = [log_alphabet(self.counts(1 << v), self._rows.alphabets[v]) for v in members(mask)]
        return Seen.of(self.counts(mask), self.n, math.fsum(logs))

    def influence(self, coefficients: Mapping[int, float]) -> np.ndarray:
        """``(R,)``: ``-sum_A c_A ln p(x_A)`` of each distinct row, less its mean."""
        found = np.zeros(len(self.share))
        for mask, c in coefficients.items():
            found -= c * self._log(mask)
        return found - float(self.share @ found)

    def second_order(self, coefficients: Mapping[int, float], n: float) -> float:
        """Standard deviation from ``n`` rows of the quadratic term of ``sum_A c_A H(A)``.

        It is ``sqrt(tr((Q S)^2) / 2) / n``, where ``Q = sum_A c_A P_A' diag(1/p_A) P_A`` and ``S`` is the covariance of
        a row. Where there are too many pairs of subsets it is a bound, as ``|tr(A B)| <= sqrt(tr(A A) tr(B B))``.
        """
        masks = list(coefficients)
        if len(masks) ** 2 / 2 * len(self.share) > _MAX_WORK:
            bound = math.fsum(abs(c) * math.sqrt(len(self.counts(mask)) - 1) for mask, c in coefficients.items())
            return bound / (math.sqrt(2) * n)
        trace = 0.0
        for i, first in enumerate(masks):
            for second in masks[: i + 1]:
                chi_square = self.chi_square(first, second)
                trace += coefficients[first] * coefficients[second] * chi_square * (1 if first == second else 2)
        # a sum of squares of eigenvalues, so it is below zero by rounding at most
        return math.sqrt(abs(trace) / 2) / n

    def chi_square(self, first: int, second: int) -> float:
        """``sum p(x_A, x_B)^2 / (p(x_A) p(x_B)) - 1`` of two subsets."""
        if first | second in (first, second):
            return len(self.counts(first & second)) - 1.0
        logs = self._log(first | second) - self._log(first) - self._log(second)
        return float(self.share @ np.exp(logs)) - 1.0

    def _log(self, mask: int) -> np.ndarray:
        if mask not in self._logs:
            self._forget_if_full(self._logs)
            self._logs[mask] = np.log(self.counts(mask) / self.n)[self.symbol(mask)]
        return self._logs[mask]

    def _forget_if_full(self, known: dict[int, np.ndarray]) -> None:
        if len(known) * len(self.share) > _MOST_KEPT:
            known.clear()


def symbols_of(rows: JointCounts, mask: int) -> np.ndarray:
    """``(R,)``, which value each row has in some columns, as whole numbers from 0 without gaps."""
    chosen = members(mask)
    code, _ = joint_code([rows.columns[v] for v in chosen], [rows.alphabets[v] for v in chosen])
    return np.unique(code, return_inverse=True)[1]
