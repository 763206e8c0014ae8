"""The elemental inequalities on the subsets of variables that functional dependences leave apart."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

import numpy as np

from bounds.certificates import Derivation, Elemental, Polymatroid
from bounds.errors import InputError
from bounds.functional import Functional
from bounds.statements import Statement
from bounds.subsets import members

#: Subsets that the linear programs handle within a minute: those of eleven variables.
MAX_SUBSETS = 1 << 11
#: Variables whose subsets can be listed at all.
MAX_VARIABLES = 16


class Dependence(NamedTuple):
    """An assumption that says ``factor * H(X_target | X_source) = 0``."""

    source: int
    target: int
    factor: Fraction
    assumption: Statement

    @classmethod
    def of(cls, assumption: Statement) -> Dependence | None:
        """How to read an assumption as a functional dependence, if it is one.

        >>> Dependence.of(Statement.parse("I(X;Y) >= H(X)"))[:3]
        (2, 3, Fraction(-1, 1))
        """
        coefficients = dict(assumption.functional.coefficients)
        if not 1 <= len(coefficients) <= 2:
            return None
        target = max(coefficients, key=int.bit_count)
        factor = coefficients.pop(target)
        source, opposite = next(iter(coefficients.items()), (0, -factor))
        if opposite != -factor or source & ~target or (assumption.relation == ">=" and factor > 0):
            return None
        return cls(source, target, factor, assumption)


class ShannonCone:
    """Polymatroids that satisfy the assumptions, as functions on the closed subsets.

    A subset is closed if it contains every variable that is a function of it. A subset and its closure have the
    same entropy, so a polymatroid is a function on the closed ones, and the inequalities given closed subsets are
    all that there are.

    Args:
        names: of the variables.
        given: assumptions over these variables.

    Raises:
        InputError: too many subsets; the message has their number.

    >>> cone = ShannonCone(["X", "Y"], [Statement.parse("H(Y|X) = 0", ["X", "Y"])])
    >>> cone.closed, [one.written("XY") for one in cone.elementals]
    ([0, 2, 3], ['H(X)', 'H(Y)', 'H(X|Y)'])
    """

    def __init__(self, names: Sequence[str], given: Sequence[Statement]) -> None:
        if len(names) > MAX_VARIABLES:
            raise InputError(f"{len(names)} variables: at most {MAX_VARIABLES} can be handled")
        self.names, self.given = tuple(names), tuple(given)
        self.dependences = [found for one in given if (found := Dependence.of(one))]
        self.closure = self._closures()
        self.closed = sorted(set(self.closure))
        if len(self.closed) > MAX_SUBSETS:
            merged = " that the functional dependences leave apart" if self.dependences else ""
            raise InputError(
                f"{len(names)} variables have {len(self.closed)} subsets{merged}, and {MAX_SUBSETS} can be handled: "
                f"{MAX_SUBSETS.bit_length() - 1} variables, or more of which some are functions of others"
            )
        rows = self._rows()
        self.elementals = list(rows.values())
        reduced = {one: self.reduced(one.functional) for one in given}
        self.assumptions = sorted((one for one in given if reduced[one]), key=lambda one: one.relation == "=")
        #: The elemental inequalities and the assumptions as vectors, equations last.
        self.vectors = [dict(row) for row in rows] + [reduced[one] for one in self.assumptions]
        #: For those that are no equations. Proofs are much shorter if, among all equally good conditions, those on
        #: the first variables are preferred: nine variables are subadditive by 36 inequalities instead of 400.
        self.costs = [1 + one.given / (2 << len(names)) for one in self.elementals]
        self.costs += [1.0 for one in self.assumptions if one.relation == ">="]

    def _closures(self) -> list[int]:
        closure = np.arange(1 << len(self.names))
        while True:
            before = closure.copy()
            for one in self.dependences:
                closure[closure & one.source == one.source] |= one.target
            if (closure == before).all():
                return [int(mask) for mask in closure]

    def _rows(self) -> dict[tuple[tuple[int, Fraction], ...], Elemental]:
        """Each inequality once: its vector, and how it reads."""
        found: dict[tuple[tuple[int, Fraction], ...], Elemental] = {}
        for k in self.closed:
            outside = [i for i in range(len(self.names)) if not k >> i & 1]
            for i, j in [*((i, i) for i in outside), *combinations(outside, 2)]:
                found.setdefault(tuple(sorted(self._row(i, j, k).items())), Elemental(i, j, k))
        return found

    def _row(self, i: int, j: int, k: int) -> dict[int, Fraction]:
        """``I(X_i; X_j | X_k)`` on the closed subsets."""
        row: dict[int, Fraction] = defaultdict(Fraction)
        for mask, sign in ((k | 1 << i, 1), (k | 1 << j, 1), (k | 1 << i | 1 << j, -1), (k, -1)):
            row[self.closure[mask]] += sign
        return self._nonzero(row)

    def reduced(self, functional: Functional) -> dict[int, Fraction]:
        """A functional on the closed subsets."""
        row: dict[int, Fraction] = defaultdict(Fraction)
        for mask, coefficient in functional.coefficients.items():
            row[self.closure[mask]] += coefficient
        return self._nonzero(row)

    def _nonzero(self, row: Mapping[int, Fraction]) -> dict[int, Fraction]:
        return {mask: x for mask, x in row.items() if x and mask != self.closure[0]}

    # --- back to all subsets --------------------------------------------------------------------------------------

    def polymatroid(self, point: Mapping[int, Fraction]) -> Polymatroid:
        """The function on all subsets, in the smallest integers."""
        values = [point.get(mask, Fraction(0)) for mask in self.closure]
        unit = Fraction(math.lcm(*(x.denominator for x in values)))
        common = math.gcd(*(int(x * unit) for x in values))
        return Polymatroid(self.names, tuple(x * unit / (common or 1) for x in values))

    def derivation(self, functional: Functional, weights: Mapping[int, Fraction]) -> Derivation:
        """The proof, on all subsets, that a functional is this combination of ``vectors`` on the closed ones."""
        elementals: dict[Elemental, Fraction] = defaultdict(Fraction)
        assumptions: dict[Statement, Fraction] = defaultdict(Fraction)
        for index, weight in weights.items():
            if index < len(self.elementals):
                elementals[self.elementals[index]] += weight
            else:
                assumptions[self.assumptions[index - len(self.elementals)]] += weight
        left = _remainder(functional, elementals, assumptions)
        # What is left is a sum of x [H(A) - H(closure of A)] = -x H(closure of A | A).
        left[0] = -sum((x for mask, x in left.items() if self.closure[mask] == self.closure[0]), Fraction(0))
        for mask, x in left.items():
            if x < 0:
                for variable in members(self.closure[mask] & ~mask):
                    elementals[Elemental(variable, variable, mask)] -= x
                    mask |= 1 << variable
            elif x > 0:
                for one, elemental in self._steps(mask):
                    if elemental is None:
                        assumptions[one.assumption] -= x / one.factor
                    else:
                        elementals[elemental] += x
        return Derivation(
            functional,
            tuple((w, one) for one, w in elementals.items() if w),
            tuple((w, one) for one, w in assumptions.items() if w),
        )

    def _steps(self, mask: int) -> Iterator[tuple[Dependence, Elemental | None]]:
        """What adds up to ``-H(closure of A | A)``: dependences ``-H(T|S)`` and the terms of ``I(T; A | S)``."""
        while mask != self.closure[mask]:
            one = next(one for one in self.dependences if not one.source & ~mask and one.target & ~mask)
            yield one, None
            known = one.source
            for j in members(mask & ~known):
                if one.target >> j & 1:
                    yield one, Elemental(j, j, known)
                else:
                    beside = known
                    for i in members(one.target & ~known):
                        yield one, Elemental(i, j, beside)
                        beside |= 1 << i
                known |= 1 << j
            mask |= one.target


def _remainder(
    functional: Functional, elementals: Mapping[Elemental, Fraction], assumptions: Mapping[Statement, Fraction]
) -> dict[int, Fraction]:
    """The functional minus the combination, subset by subset."""
    left: dict[int, Fraction] = defaultdict(Fraction, functional.coefficients)
    for (i, j, k), weight in elementals.items():
        for mask, sign in ((k | 1 << i, 1), (k | 1 << j, 1), (k | 1 << i | 1 << j, -1), (k, -1)):
            left[mask] -= sign * weight
    for assumption, weight in assumptions.items():
        for mask, coefficient in assumption.functional.coefficients.items():
            left[mask] -= weight * coefficient
    left.pop(0, None)
    return {mask: x for mask, x in left.items() if x}
