"""Claims about entropies as they are written: two sums with a relation between them, or a Markov chain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bounds.errors import InputError
from bounds.functional import Functional, I, Parser
from bounds.subsets import check_names, mask_of, members

_AT_MOST, _EQUAL = ("<=", "≤"), ("=", "==")
#: Between the groups of a Markov chain; a chain reads the same in both directions, so an arrow says no more.
_LINKS = ("-", "->", "→")


@dataclass(frozen=True)
class Statement:
    """``functional >= 0`` or ``functional = 0``, and how it was written.

    >>> Statement.parse("H(X|Y) <= H(X)").normal
    'H(X) + H(Y) - H(X,Y) >= 0'
    """

    functional: Functional
    relation: Literal[">=", "="]
    text: str

    @classmethod
    def parse(cls, text: str, names: Sequence[str] | None = None) -> Statement:
        """Reads two sums with ``<=``, ``>=`` or ``=`` between them, or a Markov chain (``X - Y - Z``, ``X -> Y -> Z``).

        Raises:
            ParseError: pointing at the offending token.
        """
        return read_statements([text], names)[0]

    @property
    def normal(self) -> str:
        """The statement as ``functional >= 0`` or ``functional = 0``; as it was written, if it was written so."""
        if re.fullmatch(r"[^<≤]*(>=|≥|=)\s*0", self.text):
            return self.text
        return f"{self.functional} {self.relation} 0"

    def __str__(self) -> str:
        return self.text


#: How a caller may write a statement; a functional stands for ``functional >= 0``.
StatementLike = str | Functional | Statement


def read_statements(several: Iterable[StatementLike], names: Sequence[str] | None = None) -> tuple[Statement, ...]:
    """Statements over the variables that any of them depends on, in the order of ``names`` or of appearance.

    >>> [one.normal for one in read_statements(["I(A;C) <= I(A;B)", "A - B - C"])][1]
    '-H(B) + H(A,B) + H(C,B) - H(A,C,B) = 0'
    >>> print(read_statements(["X,W -> Y -> Z"])[0].functional)
    -H(Y) + H(Y,Z) + H(X,W,Y) - H(X,W,Y,Z)

    Raises:
        ParseError: pointing at the offending token; a variable that is not in ``names`` is one.
        InputError: something that is no statement.
    """
    known = list(check_names(names, len(names), "variable")) if names is not None else []
    read = [_read(one, known, names is not None) for one in several]
    used = members(mask_of(i for one in read for mask in one.functional.masks for i in members(mask)))
    kept = [known[index] for index in used]
    return tuple(Statement(_renamed(one.functional, kept), one.relation, one.text) for one in read)


def _read(one: StatementLike, known: list[str], fixed: bool) -> Statement:
    """One statement; variables that are new are appended to ``known``."""
    if isinstance(one, str):
        return _StatementParser(one, known, fixed).statement()
    if isinstance(one, Functional):
        one = Statement(one, ">=", f"{one} >= 0")
    if not isinstance(one, Statement):
        raise InputError(f"{one!r} is no statement: write 'I(X;Y) <= H(X)', or pass a Functional that should be >= 0")
    for name in one.functional.names:
        if name not in known:
            if fixed:
                raise InputError(f"unknown variable {name!r} in {one}: known are {', '.join(known)}")
            known.append(name)
    return Statement(_renamed(one.functional, known), one.relation, one.text)


def _renamed(functional: Functional, names: Sequence[str]) -> Functional:
    """The same functional over other variables, all that it depends on among them."""
    place = {old: list(names).index(name) for old, name in enumerate(functional.names) if name in names}
    return Functional(names, {mask_of(place[i] for i in members(m)): c for m, c in functional.coefficients.items()})


class _StatementParser(Parser):
    """The parser of functionals, with a relation, over variables that several texts share."""

    def __init__(self, text: str, known: list[str], fixed: bool) -> None:
        super().__init__(text)
        self.names, self.fixed = known, fixed

    def statement(self) -> Statement:
        """The whole text as one statement."""
        if self.token.kind == "name" and self.tokens[1].text in (*_LINKS, ","):
            return self.markov_chain()
        left = self.sum()
        relation = self.token
        if relation.kind != "relation":
            raise self.fail("expected <=, >= or = between two sums")
        self.position += 1
        right = self.sum()
        if self.token.kind == "relation":
            raise self.fail("one relation is enough: write two statements")
        if self.token.kind != "end":
            raise self.fail(f"unexpected {self.token.text!r}")
        difference = Functional(self.names, left) - Functional(self.names, right)
        if relation.text in _AT_MOST:
            difference = -difference
        return Statement(difference, "=" if relation.text in _EQUAL else ">=", self.text.strip())

    def markov_chain(self) -> Statement:
        """``A - B - C - ...``: given its neighbour, each group is independent of those before."""
        groups = [mask_of(self.group())]
        while self.take(*_LINKS):
            groups.append(mask_of(self.group()))
        if self.token.kind != "end" or len(groups) < 3:
            raise self.fail(
                "expected '-' or '->': a Markov chain is written X - Y - Z, other statements as H(...), I(...)"
            )
        total, before = Functional(self.names, {}), 0
        for past, present, future in zip(groups, groups[1:], groups[2:], strict=False):
            before |= past
            total += I(self.names, before, future, present)
        return Statement(total, "=", self.text.strip())
