"""Whether a statement about entropies follows from Shannon's inequalities, with a proof or a counterexample.

A statement that holds for every polymatroid, that is, for every function of subsets with the properties of entropy
that Shannon's inequalities express, holds for all discrete variables. The converse fails from four variables on
(Zhang and Yeung 1998), so a statement that is not provable here need not be false. For differential entropies, which
are not monotone, only proofs without terms ``H(...) >= 0`` count.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bounds.certificates import Certificate, Polymatroid, refutes, verify
from bounds.errors import InputError
from bounds.farkas import Separation, decide
from bounds.functional import Functional
from bounds.shannon_cone import ShannonCone
from bounds.statements import Statement, StatementLike, read_statements
from bounds.subsets import default_names, format_subset, members

#: Up to three variables every polymatroid of rationals has a multiple that is the entropy vector of sums of fair bits.
_ENTROPIC = 3


@dataclass(frozen=True)
class Proof:
    """A statement with its certificate, or with a polymatroid that violates it.

    Attributes:
        statement: what was to be proved.
        given: the assumptions.
        names: the variables that these depend on.
        certificate: the proof, if there is one.
        counterexample: a polymatroid that satisfies the assumptions and violates the statement, if there is none.
        notes: what a reader must know: assumptions that make a variable constant, or that the statement is false.
    """

    statement: Statement
    given: tuple[Statement, ...]
    names: tuple[str, ...]
    certificate: Certificate | None
    counterexample: Polymatroid | None
    notes: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether the statement follows from Shannon's inequalities and the assumptions."""
        return self.certificate is not None

    def __str__(self) -> str:
        lines = [f"{'proved' if self.proved else 'not provable'}: {self.statement}"]
        lines += [f"given: {one}" for one in self.given]
        if self.certificate is not None:
            lines.append(str(self.certificate))
        if self.counterexample is not None:
            value = self.counterexample.value(self.statement.functional)
            lines += [str(self.counterexample), f"there {self.statement.functional} = {value}"]
            lines.append(self.counterexample.note)
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        rows: list[tuple[str, str]] = []
        if self.certificate is not None:
            for derivation in self.certificate.derivations:
                rows += [("", f"{derivation.functional} is the sum of"), *derivation.rows()]
        if self.counterexample is not None:
            rows += [*self.counterexample.rows(), ("", self.counterexample.note)]
        rows += [("", f"note: {note}") for note in self.notes]
        left = ' style="text-align: left"'  # marimo and Jupyter would set what is no number to the right
        cells = "".join(f"<tr><td>{html.escape(a)}</td><td{left}>{html.escape(b)}</td></tr>" for a, b in rows)
        given = f", given {'; '.join(map(str, self.given))}" if self.given else ""
        title = f"{'proved' if self.proved else 'not provable'}: {self.statement}{given}"
        return f"<table><caption>{html.escape(title)}</caption>{cells}</table>"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; exact numbers are strings."""
        return {
            "statement": str(self.statement),
            "given": [str(one) for one in self.given],
            "names": list(self.names),
            "proved": self.proved,
            "certificate": None if self.certificate is None else self.certificate.to_dict(),
            "counterexample": None if self.counterexample is None else self.counterexample.to_dict(),
            "notes": list(self.notes),
        }


def prove(
    statement: StatementLike,
    given: StatementLike | Iterable[StatementLike] = (),
    *,
    names: Sequence[str] | None = None,
) -> Proof:
    """Derives a statement from Shannon's inequalities, exactly, or finds a polymatroid that violates it.

    Args:
        statement: two sums of ``H(A|B)``, ``I(A;B|C)`` and ``TC(A;B|C)`` with rational coefficients and ``<=``, ``>=``
            or ``=`` between them; a functional stands for ``functional >= 0``. An equation is proved both ways.
        given: assumptions of the same form, and Markov chains ``X - Y - Z`` or ``X -> Y -> Z``, whose links may be
            groups (``X,W -> Y -> Z``).
        names: the variables, to have any other refused.

    Raises:
        ParseError: pointing at the token that cannot be read.
        InputError: too many variables, or an inequality among the assumptions that no variables satisfy but constants.

    >>> print(prove("I(X;Z) <= I(X;Y)", given=["I(X;Z|Y) = 0"]))
    proved: I(X;Z) <= I(X;Y)
    given: I(X;Z|Y) = 0
    -H(Z) + H(Y) + H(X,Z) - H(X,Y) is the sum of these, each times its weight:
       1  I(X;Y|Z) >= 0
      -1  I(X;Z|Y) = 0  (given)
    no H(...) >= 0 is used: it holds for finite differential entropies too
    >>> print(prove("H(X|Y) <= I(X;Y)"))
    not provable: H(X|Y) <= I(X;Y)
      H(X) = 1, H(Y) = 0, H(X,Y) = 1
    there H(X) + 2 H(Y) - 2 H(X,Y) = -1
    not Shannon-provable; this polymatroid may not be entropic
    note: up to three variables a multiple of every such polymatroid is entropic: the statement is false
    """
    several = [given] if isinstance(given, str | Functional | Statement) else list(given)
    claim, *assumptions = read_statements([statement, *several], names)
    for one in assumptions:
        _check_satisfiable(one)
    cone = ShannonCone(claim.functional.names, assumptions)
    found = _settled(cone, claim)
    certificate = found if isinstance(found, Certificate) else None
    counterexample = found if isinstance(found, Polymatroid) else None
    if not (verify(found) if isinstance(found, Certificate) else refutes(found, claim, cone.given)):
        raise AssertionError(f"what was found for {claim} failed its verification: this is a bug")
    notes = _notes(cone, claim.functional, certificate is not None)
    return Proof(claim, cone.given, cone.names, certificate, counterexample, notes)


def _settled(cone: ShannonCone, claim: Statement) -> Certificate | Polymatroid:
    """The proof, or the counterexample, of a statement."""
    derivations = []
    for side in [claim.functional] if claim.relation == ">=" else [claim.functional, -claim.functional]:
        found = decide(cone.vectors, cone.costs, cone.reduced(side))
        if isinstance(found, Separation):
            return cone.polymatroid(found.point)
        derivations.append(cone.derivation(side, found.weights))
    return Certificate(claim, cone.given, tuple(derivations))


def _check_satisfiable(assumption: Statement) -> None:
    """Refuses an inequality that, by itself, makes a variable constant."""
    if assumption.relation == "=":
        return
    (alone,) = read_statements([assumption])
    cone = ShannonCone(alone.functional.names, [alone])
    constant = _constants(cone, range(len(cone.names)))
    if constant:
        found = ",".join(cone.names[i] for i in constant)
        raise InputError(f"the assumption {assumption} leaves only constants for {found}: write H({found}) = 0 if so")


def _constants(cone: ShannonCone, variables: Iterable[int]) -> list[int]:
    """Those variables whose entropy is 0 wherever the assumptions hold."""
    if any(all(_holds(one, h) for one in cone.given) for h in (_equal, _independent)):
        return []
    left = list(variables)
    while left:
        total = Functional(cone.names, {1 << i: -1 for i in left})
        found = decide(cone.vectors, cone.costs, cone.reduced(total))
        if not isinstance(found, Separation):
            return left
        left = [i for i in left if found.point.get(cone.closure[1 << i], 0) == 0]
    return []


def _equal(mask: int) -> int:
    """The entropies, in bits, of variables that are all the same fair bit."""
    return min(mask, 1)


def _independent(mask: int) -> int:
    """The entropies, in bits, of independent fair bits."""
    return mask.bit_count()


def _holds(one: Statement, h: Callable[[int], int]) -> bool:
    """Whether entropies satisfy a statement."""
    value = sum((c * h(mask) for mask, c in one.functional.coefficients.items()), Fraction(0))
    return value == 0 if one.relation == "=" else value >= 0


def _notes(cone: ShannonCone, functional: Functional, proved: bool) -> tuple[str, ...]:
    """What a verdict means beyond itself."""
    notes = []
    constant = _constants(cone, [i for i in range(len(cone.names)) if any(m >> i & 1 for m in functional.masks)])
    if constant:
        notes.append(f"the assumptions leave only constants for {', '.join(cone.names[i] for i in constant)}")
    if not proved and len(cone.names) <= _ENTROPIC:
        notes.append("up to three variables a multiple of every such polymatroid is entropic: the statement is false")
    return tuple(notes)


def t2_core(n_modalities: int, subset: int) -> tuple[str, tuple[str, ...]]:
    """The inequality behind T1 and T2 for one encoded subset ``A`` (a bitmask), and the Markov chain that it needs.

    ``sum_m H(X_m|Z) + I(X_A;Z) >= H(X_A) + sum_{m not in A} H(X_m|X_A)`` if ``Z - X_A - X_rest``: distortion and rate
    of an encoder that sees ``X_A``, with the best decoder, against the ceiling.

    >>> t2_core(3, 0b001)
    ('H(X1|Z) + H(X2|Z) + H(X3|Z) + I(X1;Z) >= H(X1) + H(X2|X1) + H(X3|X1)', ('I(Z;X2,X3|X1) = 0',))
    >>> prove(*t2_core(3, 0b001)).proved, prove(t2_core(3, 0b001)[0]).proved
    (True, False)
    """
    top = (1 << n_modalities) - 1
    if not 0 <= subset <= top:
        raise InputError(f"subset mask {subset} is out of range for {n_modalities} modalities")
    names = default_names(n_modalities)
    seen, rest = format_subset(subset, names), format_subset(top & ~subset, names)
    bar = f"|{seen}" if seen else ""
    left = [f"H({name}|Z)" for name in names] + ([f"I({seen};Z)"] if seen else [])
    right = ([f"H({seen})"] if seen else []) + [f"H({names[m]}{bar})" for m in members(top & ~subset)]
    return f"{' + '.join(left)} >= {' + '.join(right)}", ((f"I(Z;{rest}{bar}) = 0",) if rest else ())
