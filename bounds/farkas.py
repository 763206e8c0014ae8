"""Farkas' lemma over the rationals: a vector is a combination of given ones, or a point tells it apart from them.

HiGHS works in floating point and only says where to look. What is returned was solved for, or rounded and then
checked, in fractions.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array

#: A sparse exact vector.
Vector = Mapping[int, Fraction]

#: Each round repeats the linear program on what the one before left over, magnified: some seven digits more.
_ROUNDS = 5
#: A weight that is so many times the current residual is not near its bound.
_FAR = 1e4
#: Points are first sought among the multiples of 1/d of their largest entry, for d up to this.
_DENOMINATORS = 1000


@dataclass(frozen=True)
class Combination:
    """``target = sum_j weights[j] vectors[j]``, with weights that may be negative only where that was allowed."""

    weights: dict[int, Fraction]


@dataclass(frozen=True)
class Separation:
    """A point where every vector is at least 0 (or is 0, where it may have any sign) and the target is negative."""

    point: dict[int, Fraction]


def decide(vectors: Sequence[Vector], free: int, target: Vector) -> Combination | Separation | None:
    """Which of the two it is. ``None`` if floating point could not tell, for coefficients far apart in size.

    Args:
        vectors: they must have no common zero but the origin among the points where none is negative.
        free: how many of them, at the end, may have negative weights.
        target: the vector in question.

    >>> one, two = {0: Fraction(1)}, {0: Fraction(-1), 1: Fraction(1)}
    >>> decide([one, two], 0, {1: Fraction(1)})
    Combination(weights={0: Fraction(1, 1), 1: Fraction(1, 1)})
    >>> decide([one, two], 0, {0: Fraction(3), 1: Fraction(-1)})
    Separation(point={0: Fraction(0, 1), 1: Fraction(1, 1)})
    """
    problem = _Problem(vectors, free, target)
    return problem.combination() or problem.separation()


class _Problem:
    """One question, in fractions and in floating point, where each vector is scaled to a largest entry of 1."""

    def __init__(self, vectors: Sequence[Vector], free: int, target: Vector) -> None:
        self.vectors, self.target = vectors, target
        self.signed = len(vectors) - free
        self.keys = sorted({key for vector in [*vectors, target] for key in vector})
        self.scales = [1 / max(abs(x) for x in vector.values()) for vector in vectors]
        row = {key: i for i, key in enumerate(self.keys)}
        entries = [
            (row[key], j, float(x * scale))
            for j, (vector, scale) in enumerate(zip(vectors, self.scales, strict=True))
            for key, x in vector.items()
        ]
        rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
        self.matrix = csr_array(coo_array((values, (rows, columns)), shape=(len(self.keys), len(vectors))))

    def dense(self, vector: Vector, scale: Fraction) -> np.ndarray:
        return np.array([float(vector.get(key, Fraction(0)) * scale) for key in self.keys])

    # --- the target as a combination ------------------------------------------------------------------------------

    def combination(self) -> Combination | None:
        """Weights from the support of a linear program's solution, refined until the exact ones have the right sign."""
        weights: dict[int, Fraction] = {}
        for _ in range(_ROUNDS):
            residual = self.residual(weights)
            if not residual:
                return Combination(weights)
            scale = 1 / max(abs(x) for x in residual.values())
            lower = self.room_below(weights, scale)
            step = self.step(residual, scale, lower)
            if step is None:
                return None
            support = np.flatnonzero(np.isneginf(lower[: self.signed]) | (step[: self.signed] != 0)).tolist()
            support += [j for j in range(self.signed, len(self.vectors)) if step[j] != 0 or j in weights]
            exact = solve([self.vectors[j] for j in support], self.target)
            if exact is not None and all(x >= 0 for j, x in zip(support, exact, strict=True) if j < self.signed):
                return Combination({j: x for j, x in zip(support, exact, strict=True) if x})
            for j in support:
                moved = weights.get(j, Fraction(0)) + Fraction(float(step[j])) * self.scales[j] / scale
                weights[j] = moved if j >= self.signed else max(moved, Fraction(0))
        return None

    def residual(self, weights: Mapping[int, Fraction]) -> dict[int, Fraction]:
        left = dict(self.target)
        for j, weight in weights.items():
            for key, x in self.vectors[j].items():
                left[key] = left.get(key, Fraction(0)) - weight * x
        return {key: x for key, x in left.items() if x}

    def room_below(self, weights: Mapping[int, Fraction], scale: Fraction) -> np.ndarray:
        """How far each weight may fall, in units of the residual."""
        lower = np.zeros(len(self.vectors))
        lower[self.signed :] = -np.inf
        for j, weight in weights.items():
            if weight * scale > _FAR * self.scales[j]:
                lower[j] = -np.inf
        return lower

    def step(self, residual: Vector, scale: Fraction, lower: np.ndarray) -> np.ndarray | None:
        """Weights of a shortest combination that gives the residual, magnified; ``None`` if there is none."""
        cost = np.where(np.isneginf(lower), 0.0, 1.0)
        found = linprog(
            cost,
            A_eq=self.matrix,
            b_eq=self.dense(residual, scale),
            bounds=np.column_stack([lower, np.full(len(lower), np.inf)]),
            method="highs-ipm",
        )
        return np.asarray(found.x) if found.status == 0 else None
