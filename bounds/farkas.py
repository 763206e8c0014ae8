"""Farkas' lemma over the rationals: a vector is a combination of given ones, or a point tells it apart from them.

HiGHS, in floating point, says where to look. What is returned is exact: a simplex in fractions starts from the support
that HiGHS found, where as a rule nothing is left to do, and points are rounded and then checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

#: A sparse exact vector.
Vector = Mapping[int, Fraction]

#: A point is sought among the multiples of 1/d of its largest entry, for d up to this, before it is solved for.
_DENOMINATORS = 1000
#: What HiGHS returns for zero, or for a fraction, is this close to it.
_NEAR = 1e-7


@dataclass(frozen=True)
class Combination:
    """``target = sum_j weights[j] vectors[j]``, with weights that are negative only where that was allowed."""

    weights: dict[int, Fraction]


@dataclass(frozen=True)
class Separation:
    """A point where no vector is negative (and those are 0 that may have any weight), but the target is."""

    point: dict[int, Fraction]


def decide(vectors: Sequence[Vector], costs: Sequence[float], target: Vector) -> Combination | Separation:
    """Which of the two it is: never both, never neither.

    Args:
        vectors: none of them zero.
        costs: what a unit of weight costs, for those whose weights must not be negative; they come first. Of several
            combinations a cheap one is found.
        target: the vector in question.

    >>> up, right = {0: Fraction(1)}, {0: Fraction(-1), 1: Fraction(1)}
    >>> decide([up, right], [1, 1], {1: Fraction(1)})
    Combination(weights={0: Fraction(1, 1), 1: Fraction(1, 1)})
    >>> decide([up, right], [1, 1], {0: Fraction(3), 1: Fraction(-1)})
    Separation(point={0: Fraction(0, 1), 1: Fraction(1, 1)})
    """
    if not target:
        return Combination({})
    problem = _Problem(vectors, costs, target)
    support = problem.likely_support()
    found = problem.separation() if support is None else None
    return found or problem.simplex(support or [])


class _Problem:
    """One question, exactly and as a matrix of floats, in which every vector has largest entry 1."""

    def __init__(self, vectors: Sequence[Vector], costs: Sequence[float], target: Vector) -> None:
        self.vectors, self.target = vectors, target
        self.signed = len(costs)
        self.costs = np.concatenate([costs, np.zeros(len(vectors) - len(costs))])
        self.keys = sorted({key for vector in [*vectors, target] for key in vector})
        row = {key: i for i, key in enumerate(self.keys)}
        rows, columns, values = [], [], []
        for j, vector in enumerate(vectors):
            size = max(abs(x) for x in vector.values())
            rows += [row[key] for key in vector]
            columns += [j] * len(vector)
            values += [float(x / size) for x in vector.values()]
        self.matrix = coo_array((values, (rows, columns)), shape=(len(self.keys), len(vectors))).tocsc()
        largest = max(abs(x) for x in target.values())
        self.dense_target = np.array([float(target.get(key, 0) / largest) for key in self.keys])

    # --- where HiGHS says to look ---------------------------------------------------------------------------------

    def likely_support(self) -> list[int] | None:
        """The vectors of the cheapest combination, or ``None`` if there seems to be no combination."""
        lower = np.where(np.arange(len(self.vectors)) < self.signed, 0.0, -np.inf)
        found = linprog(
            self.costs,
            A_eq=self.matrix,
            b_eq=self.dense_target,
            bounds=np.column_stack([lower, np.full(len(lower), np.inf)]),
            method="highs-ipm",  # with crossover to a vertex; from nine variables on much faster than the simplex
        )
        return np.flatnonzero(found.x).tolist() if found.status == 0 else None

    def separation(self) -> Separation | None:
        """A point where the vectors add up to little: on an extreme ray, whose entries are in simple ratios."""
        inside, flat = self.matrix[:, : self.signed].T, self.matrix[:, self.signed :].T.toarray()
        found = linprog(
            inside.sum(axis=0),
            A_ub=-inside,
            b_ub=np.zeros(self.signed),
            A_eq=np.vstack([self.dense_target, flat]),
            b_eq=np.concatenate([[-1.0], np.zeros(len(flat))]),
            bounds=(None, None),
            method="highs-ds",
        )
        if found.status != 0:
            return None
        for exact in (self.rounded, self.solved):
            point = exact(found.x)
            if point is not None and self.separates(point):
                return Separation(point)
        return None

    def rounded(self, point: np.ndarray) -> dict[int, Fraction] | None:
        """The smallest integers in the ratios of the entries."""
        multiples = np.outer(np.arange(1, _DENOMINATORS + 1), point / np.abs(point).max())
        near = np.abs(multiples - np.rint(multiples)).max(axis=1) < _NEAR
        if not near.any():
            return None
        return {key: Fraction(int(x)) for key, x in zip(self.keys, np.rint(multiples[near.argmax()]), strict=True)}

    def solved(self, point: np.ndarray) -> dict[int, Fraction] | None:
        """The point at which the same vectors vanish exactly and the target is -1."""
        slack = self.matrix.T @ point
        vanishing = (slack <= _NEAR * np.abs(point).max()) | (np.arange(len(slack)) >= self.signed)
        equations = [self.target, *(self.vectors[j] for j in np.flatnonzero(vanishing).tolist())]
        exact = solve(transposed(equations, self.keys), {0: Fraction(-1)})
        return None if exact is None else dict(zip(self.keys, exact, strict=True))

    def separates(self, point: Vector) -> bool:
        """Whether a point does, exactly."""
        values = [dot(vector, point) for vector in self.vectors]
        return min(values) >= 0 and not any(values[self.signed :]) and dot(self.target, point) < 0

    # --- without HiGHS --------------------------------------------------------------------------------------------

    def simplex(self, support: Sequence[int]) -> Combination | Separation:
        """Phase one of the simplex method in fractions, from any support, with Bland's rule, so that it ends.

        A basis is a list of vectors by number and of unit vectors by the complement of their key's position;
        the weight of a unit vector has to become 0.
        """
        basis = self.completed(support)
        while True:
            columns = [self.column(j) for j in basis]
            weights = dict(zip(basis, _solution(columns, self.target), strict=True))
            wrong = {i: Fraction(1 if w > 0 else -1) for i, (j, w) in enumerate(weights.items()) if self.is_wrong(j, w)}
            if not wrong:
                return Combination({j: weights[j] for j in sorted(weights) if weights[j]})
            # The slope of the sum of |wrong weights| as the target moves.
            slope = dict(zip(self.keys, _solution(transposed(columns, self.keys), wrong), strict=True))
            gains = ((j, dot(vector, slope)) for j, vector in enumerate(self.vectors) if j not in weights)
            entering, gain = next(((j, g) for j, g in gains if g > 0 or (g and j >= self.signed)), (None, Fraction(0)))
            if entering is None:
                return Separation({key: -x for key, x in slope.items()})
            sign = 1 if gain > 0 else -1
            change = _solution(columns, {key: sign * x for key, x in self.vectors[entering].items()})
            moving = [(w, d, j) for (j, w), d in zip(weights.items(), change, strict=True) if d and j < self.signed]
            _, leaving = min((w / d, j) for w, d, j in moving if w / d > 0 or (not w and (d > 0 or j < 0)))
            basis[basis.index(leaving)] = entering

    def is_wrong(self, j: int, weight: Fraction) -> bool:
        """Whether a vector, or unit vector, must not have this weight."""
        return weight != 0 if j < 0 else weight < 0 and j < self.signed

    def column(self, j: int) -> Vector:
        """A vector, or a unit vector, of a basis."""
        return self.vectors[j] if j >= 0 else {self.keys[~j]: Fraction(1)}

    def completed(self, support: Sequence[int]) -> list[int]:
        """A basis of independent vectors of the support and of unit vectors."""
        pivots = eliminate([self.vectors[j] for j in support], {})
        used = {key for key, _, _ in pivots}
        return [support[j] for _, j, _ in pivots] + [~i for i, key in enumerate(self.keys) if key not in used]


def dot(vector: Vector, point: Vector) -> Fraction:
    """The sum of products, over the entries of ``vector``."""
    return sum((x * point[key] for key, x in vector.items()), Fraction(0))


def transposed(rows: Sequence[Vector], keys: Sequence[int]) -> list[Vector]:
    """For each key its entries, by the number of the row."""
    columns: dict[int, dict[int, Fraction]] = {key: {} for key in keys}
    for i, row in enumerate(rows):
        for key, x in row.items():
            columns[key][i] = x
    return list(columns.values())


def solve(columns: Sequence[Vector], target: Vector) -> list[Fraction] | None:
    """``x`` with ``sum_j x[j] columns[j] = target``, or ``None``; unknowns that nothing determines are 0.

    >>> solve([{0: Fraction(2)}, {0: Fraction(1), 1: Fraction(3)}], {0: Fraction(1), 1: Fraction(1)})
    [Fraction(1, 3), Fraction(1, 3)]
    """
    right = len(columns)
    solution = [Fraction(0)] * right
    for _, pivot, row in reversed(eliminate(columns, target)):
        if pivot == right:
            return None
        known = sum((x * solution[j] for j, x in row.items() if j not in (pivot, right)), Fraction(0))
        solution[pivot] = row.get(right, Fraction(0)) - known
    return solution


def _solution(columns: Sequence[Vector], target: Vector) -> list[Fraction]:
    """As :func:`solve`, of a basis."""
    found = solve(columns, target)
    assert found is not None
    return found


def eliminate(columns: Sequence[Vector], target: Vector) -> list[tuple[int, int, dict[int, Fraction]]]:
    """Gaussian elimination: in order the key of each pivot, its column, and its row with entry 1 there.

    The target is the last column, and a pivot only in a row that has nothing else. Short rows go first, and pivots
    stand in the column with the fewest entries, so that the rows stay short.
    """
    right = len(columns)
    waiting: dict[int, dict[int, Fraction]] = {}
    for j, vector in enumerate([*columns, target]):
        for key, x in vector.items():
            if x:
                waiting.setdefault(key, {})[j] = x
    done = []
    while waiting:
        key = min(waiting, key=lambda key: len(waiting[key]))
        row = waiting.pop(key)
        unknowns = [j for j in row if j != right] or [right]
        pivot = min(unknowns, key=lambda j: sum(j in other for other in waiting.values()))
        row = {j: x / row[pivot] for j, x in row.items()}
        for other in waiting.values():
            _subtract(other, row, pivot)
        waiting = {key: other for key, other in waiting.items() if other}
        done.append((key, pivot, row))
    return done


def _subtract(row: dict[int, Fraction], by: Vector, pivot: int) -> None:
    """Clears the entry of ``row`` at ``pivot``, where ``by`` has a 1."""
    factor = row.get(pivot)
    if factor is None:
        return
    for j, x in by.items():
        entry = row.get(j, Fraction(0)) - factor * x
        if entry:
            row[j] = entry
        else:
            del row[j]
