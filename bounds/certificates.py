"""What a proof or a refutation consists of, and its verification, which shares no code with the search for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any, NamedTuple

from bounds.functional import Functional
from bounds.statements import Statement
from bounds.subsets import SubsetLike, format_subset, parse_subset


class Elemental(NamedTuple):
    """``I(X_first; X_second | X_given) >= 0``, which is ``H(X_first | X_given) >= 0`` where the two are the same.

    Those with two different variables, and those that are given all the others, are the elemental inequalities
    of Yeung (1997), from which every Shannon-type inequality follows; the rest shortens proofs.
    """

    first: int
    second: int
    given: int

    def written(self, names: Sequence[str]) -> str:
        """In the usual notation.

        >>> Elemental(0, 1, 0b100).written("XYZ"), Elemental(0, 0, 0b110).written("XYZ")
        ('I(X;Y|Z)', 'H(X|Y,Z)')
        """
        bar = f"|{format_subset(self.given, names)}" if self.given else ""
        if self.first == self.second:
            return f"H({names[self.first]}{bar})"
        return f"I({names[self.first]};{names[self.second]}{bar})"


@dataclass(frozen=True)
class Derivation:
    """``functional = sum of elementals + sum of multiples of assumptions``, hence ``functional >= 0``.

    The elementals, and the assumptions that are inequalities, have weights above zero.
    """

    functional: Functional
    elementals: tuple[tuple[Fraction, Elemental], ...]
    assumptions: tuple[tuple[Fraction, Statement], ...]

    def rows(self) -> Iterator[tuple[str, str]]:
        """Weight and inequality or equation, as text."""
        for weight, elemental in self.elementals:
            yield str(weight), f"{elemental.written(self.functional.names)} >= 0"
        for weight, assumption in self.assumptions:
            source = "given" if assumption.normal == assumption.text else f"given: {assumption}"
            yield str(weight), f"{assumption.normal}  ({source})"

    def __str__(self) -> str:
        rows = list(self.rows())
        if not rows:
            return "both sides are the same combination of entropies"
        width = max(len(weight) for weight, _ in rows)
        lines = [f"  {weight:>{width}}  {line}" for weight, line in rows]
        return "\n".join([f"{self.functional} is the sum of these, each times its weight:", *lines])


@dataclass(frozen=True)
class Certificate:
    """A proof of a statement: one derivation, or two for an equation, of both directions."""

    statement: Statement
    given: tuple[Statement, ...]
    derivations: tuple[Derivation, ...]

    @property
    def discrete_only(self) -> bool:
        """Whether some ``H(...) >= 0`` is used, which differential entropies need not satisfy."""
        return any(one.first == one.second for derivation in self.derivations for _, one in derivation.elementals)

    def __str__(self) -> str:
        lines = dict.fromkeys(str(derivation) for derivation in self.derivations)
        scope = (
            () if self.discrete_only else ("no H(...) >= 0 is used: it holds for finite differential entropies too",)
        )
        return "\n".join([*lines, *scope])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: for each derivation the functional and the rows of weight and inequality."""
        return {
            "discrete_only": self.discrete_only,
            "derivations": [
                {
                    "functional": str(derivation.functional),
                    "sum_of": [{"weight": weight, "row": row} for weight, row in derivation.rows()],
                }
                for derivation in self.derivations
            ],
        }


@dataclass(frozen=True)
class Polymatroid:
    """A function of subsets with ``h(empty) = 0`` that satisfies every elemental inequality.

    >>> h = Polymatroid(("X", "Y"), (Fraction(0), Fraction(1), Fraction(1), Fraction(2)))
    >>> print(h["X", "Y"], h.value(Functional.parse("I(X;Y)", ["X", "Y"])))
    2 0
    """

    names: tuple[str, ...]
    values: tuple[Fraction, ...]
    note: str = "not Shannon-provable; this polymatroid may not be entropic"

    def __getitem__(self, subset: SubsetLike) -> Fraction:
        return self.values[parse_subset(subset, self.names)]

    def value(self, functional: Functional) -> Fraction:
        """A functional of it, exactly."""
        return sum((c * self.values[mask] for mask, c in functional.coefficients.items()), Fraction(0))

    def rows(self) -> Iterator[tuple[str, str]]:
        """Subset and value, as text, small subsets first."""
        for mask in sorted(range(1, len(self.values)), key=lambda mask: (mask.bit_count(), mask)):
            yield f"H({format_subset(mask, self.names)})", str(self.values[mask])

    def __str__(self) -> str:
        shown = [f"{subset} = {value}" for subset, value in self.rows()]
        return "\n".join([f"  {', '.join(shown[i : i + 8])}" for i in range(0, len(shown), 8)])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; values are exact, as strings."""
        values = {format_subset(mask, self.names): str(x) for mask, x in enumerate(self.values) if mask}
        return {"values": values, "note": self.note}


# --- verification -------------------------------------------------------------------------------------------------


def verify(certificate: Certificate) -> bool:
    """Whether a certificate proves its statement: every derivation adds up, term by term, in integers.

    >>> claim = Statement.parse("I(X;Y) <= H(X)")
    >>> (h_x_given_y,) = [Derivation(claim.functional, ((Fraction(1), Elemental(0, 0, 0b10)),), ())]
    >>> verify(Certificate(claim, (), (h_x_given_y,)))
    True
    """
    claim = certificate.statement
    targets = [claim.functional] if claim.relation == ">=" else [claim.functional, -claim.functional]
    return [derivation.functional for derivation in certificate.derivations] == targets and all(
        _adds_up(derivation, certificate.given) for derivation in certificate.derivations
    )


def _adds_up(derivation: Derivation, given: Sequence[Statement]) -> bool:
    """Whether the sum is the functional, and every row is allowed and has an allowed weight."""
    names = derivation.functional.names
    fractions = [*derivation.functional.coefficients.values(), *(w for w, _ in derivation.elementals)]
    fractions += [w * c for w, one in derivation.assumptions for c in one.functional.coefficients.values()]
    unit = math.lcm(*(x.denominator for x in fractions))
    left = _scaled(derivation.functional.coefficients, Fraction(unit))
    for weight, (i, j, k) in derivation.elementals:
        if weight < 0 or not (0 <= i < len(names) and 0 <= j < len(names) and 0 <= k < 1 << len(names)):
            return False
        whole = int(weight * unit)
        for mask, sign in ((k | 1 << i, 1), (k | 1 << j, 1), (k | 1 << i | 1 << j, -1), (k, -1)):
            left[mask] = left.get(mask, 0) - sign * whole
    for weight, one in derivation.assumptions:
        if one not in given or one.functional.names != names or (weight < 0 and one.relation != "="):
            return False
        for mask, whole in _scaled(one.functional.coefficients, weight * unit).items():
            left[mask] = left.get(mask, 0) - whole
    return not any(rest for mask, rest in left.items() if mask)


def _scaled(coefficients: Mapping[int, Fraction], factor: Fraction) -> dict[int, int]:
    """The multiples, which the caller has made whole."""
    return {mask: (c * factor).numerator for mask, c in coefficients.items()}


def refutes(polymatroid: Polymatroid, statement: Statement, given: Sequence[Statement] = ()) -> bool:
    """Whether a polymatroid is one, satisfies the assumptions and violates the statement, in integers.

    >>> h = Polymatroid(("X", "Y"), (Fraction(0), Fraction(1), Fraction(1), Fraction(2)))
    >>> refutes(h, Statement.parse("H(X) <= I(X;Y)")), refutes(h, Statement.parse("H(X) <= H(Y)"))
    (True, False)
    """
    unit = math.lcm(*(x.denominator for x in polymatroid.values))
    h = [int(x * unit) for x in polymatroid.values]
    count = len(polymatroid.names)
    if (
        len(h) != 1 << count
        or h[0] != 0
        or any(one.functional.names != polymatroid.names for one in (statement, *given))
    ):
        return False
    top = len(h) - 1
    monotone = all(h[top] >= h[top ^ 1 << i] for i in range(count))
    submodular = all(
        h[k | 1 << i] + h[k | 1 << j] >= h[k | 1 << i | 1 << j] + h[k]
        for i, j in combinations(range(count), 2)
        for k in range(len(h))
        if not k & (1 << i | 1 << j)
    )
    values = [polymatroid.value(one.functional) for one in given]
    assumed = all(x == 0 if one.relation == "=" else x >= 0 for x, one in zip(values, given, strict=True))
    value = polymatroid.value(statement.functional)
    return monotone and submodular and assumed and (value < 0 or (statement.relation == "=" and value != 0))
