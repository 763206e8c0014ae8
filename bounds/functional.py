"""Exact linear functionals of the entropy vector: the one form in which formulas are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from numbers import Rational
from types import MappingProxyType
from typing import NamedTuple

from bounds.errors import InputError, ParseError
from bounds.subsets import check_names, format_subset, mask_of, union


@dataclass(frozen=True, init=False, eq=True)
class Functional:
    """A rational combination of subset entropies, ``sum_A c_A H(A)``.

    Args:
        names: the variables; bit ``m`` of a mask stands for ``names[m]``.
        coefficients: subset bitmask to coefficient. Zero coefficients and the
            empty set, whose entropy is 0, are dropped.

    >>> f = Functional.parse("H(X,Y) - 1/2*H(X) - 1/2*H(Y)", ["X", "Y"])
    >>> print(f)
    -1/2 H(X) - 1/2 H(Y) + H(X,Y)
    >>> print(2 * f == Functional.parse("H(Y|X) + H(X|Y)", ["X", "Y"]))
    True
    """

    names: tuple[str, ...]
    coefficients: Mapping[int, Fraction]

    def __init__(self, names: Sequence[str], coefficients: Mapping[int, Rational | int]) -> None:
        checked = check_names(names, len(names), "variable")
        kept = {}
        for mask, coefficient in sorted(coefficients.items()):
            if not 0 <= mask < 1 << len(checked):
                raise InputError(f"subset mask {mask} is out of range for {len(checked)} variables")
            if mask and coefficient:
                kept[mask] = _exact(coefficient)
        object.__setattr__(self, "names", checked)
        object.__setattr__(self, "coefficients", MappingProxyType(kept))

    def _with(self, coefficients: Mapping[int, Fraction]) -> Functional:
        """Other coefficients over the same names, which need no second check."""
        kept = {mask: coefficients[mask] for mask in sorted(coefficients) if coefficients[mask]}
        found = object.__new__(Functional)
        object.__setattr__(found, "names", self.names)
        object.__setattr__(found, "coefficients", MappingProxyType(kept))
        return found

    @classmethod
    def parse(cls, text: str, names: Sequence[str] | None = None) -> Functional:
        """Reads ``H(A|B)``, ``I(A;B|C)``, ``TC(A;B|C)``, sums, rational multiples and brackets.

        Without ``names`` the variables are those of the text, in order of appearance.

        Raises:
            ParseError: pointing at the offending token.
        """
        return Parser(text, names).functional()

    def __hash__(self) -> int:
        return hash((self.names, tuple(self.coefficients.items())))

    def _combined(self, other: Functional, sign: int) -> Functional:
        if not isinstance(other, Functional):
            return NotImplemented
        if other.names != self.names:
            raise InputError(f"functionals of different variables: {self.names} and {other.names}")
        merged = dict(self.coefficients)
        for mask, coefficient in other.coefficients.items():
            signed = coefficient if sign > 0 else -coefficient
            merged[mask] = merged[mask] + signed if mask in merged else signed
        return self._with(merged)

    def __add__(self, other: Functional) -> Functional:
        return self._combined(other, 1)

    def __sub__(self, other: Functional) -> Functional:
        return self._combined(other, -1)

    def __mul__(self, factor: Rational | int) -> Functional:
        if not isinstance(factor, Rational):
            return NotImplemented
        exact = _exact(factor)
        return self._with({mask: coefficient * exact for mask, coefficient in self.coefficients.items()})

    __rmul__ = __mul__

    def __truediv__(self, divisor: Rational | int) -> Functional:
        if not isinstance(divisor, Rational):
            return NotImplemented
        return self * (1 / Fraction(divisor))

    def __neg__(self) -> Functional:
        return self._with({mask: -coefficient for mask, coefficient in self.coefficients.items()})

    @cached_property
    def masks(self) -> tuple[int, ...]:
        """The subsets with a nonzero coefficient, ascending."""
        return tuple(self.coefficients)

    def _terms(self, entropy: Callable[[int], str], number: Callable[[Fraction], str]) -> str:
        text = ""
        for mask, coefficient in sorted(self.coefficients.items(), key=lambda item: (item[0].bit_count(), item[0])):
            size = abs(coefficient)
            sign = "-" if coefficient < 0 else "+"
            lead = ("-" if sign == "-" else "") if not text else f" {sign} "
            text += lead + (f"{number(size)} " if size != 1 else "") + entropy(mask)
        return text or "0"

    def __str__(self) -> str:
        return self._terms(lambda mask: f"H({format_subset(mask, self.names)})", str)

    def to_latex(self) -> str:
        r"""The functional in LaTeX.

        >>> Functional.parse("1/2 H(X1|image)").to_latex()
        '-\\tfrac{1}{2} H(\\mathrm{image}) + \\tfrac{1}{2} H(X_{1},\\mathrm{image})'
        """

        def name(text: str) -> str:
            numbered = re.fullmatch(r"([A-Za-z])_?(\d+)", text)
            if numbered:
                return f"{numbered[1]}_{{{numbered[2]}}}"
            return text if len(text) == 1 else rf"\mathrm{{{text.replace('_', chr(92) + '_')}}}"

        symbols = [name(text) for text in self.names]
        return self._terms(
            lambda mask: f"H({format_subset(mask, symbols)})",
            lambda c: str(c) if c.denominator == 1 else rf"\tfrac{{{c.numerator}}}{{{c.denominator}}}",
        )


def _exact(number: Rational | int) -> Fraction:
    """A fraction of Python's integers: NumPy's would overflow inside it."""
    if type(number) is Fraction and type(number.numerator) is int and type(number.denominator) is int:
        return number
    return Fraction(int(number.numerator), int(number.denominator))


def H(names: Sequence[str], a: int, given: int = 0) -> Functional:
    """``H(A|B) = H(A,B) - H(B)`` of bitmasks."""
    return _sum(names, [(a | given, 1), (given, -1)])


def I(names: Sequence[str], a: int, b: int, given: int = 0) -> Functional:
    """``I(A;B|C) = H(A|C) + H(B|C) - H(A,B|C)`` of bitmasks."""
    return _sum(names, [(a | given, 1), (b | given, 1), (a | b | given, -1), (given, -1)])


def TC(names: Sequence[str], blocks: Iterable[int], given: int = 0) -> Functional:
    """Total correlation ``sum_i H(B_i|C) - H(B_1,...,B_k|C)`` of disjoint blocks (bitmasks)."""
    blocks = list(blocks)
    together = union(blocks, (1 << len(blocks)) - 1)
    return _sum(names, [*((block | given, 1) for block in blocks), (together | given, -1), (given, 1 - len(blocks))])


def _sum(names: Sequence[str], terms: Iterable[tuple[int, int]]) -> Functional:
    """The functional with these coefficients, those of one subset added up."""
    total: dict[int, int] = {}
    for mask, coefficient in terms:
        total[mask] = total.get(mask, 0) + coefficient
    return Functional(names, total)


class Token(NamedTuple):
    """A piece of a formula and where it stands."""

    kind: str
    text: str
    position: int


_TOKENS = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w.\[\]]*)|(?P<relation><=|>=|==?|≤|≥)|(?P<mark>->|[-→+*/(),;|])"
    r"|(?P<bad>\S))"
)


def tokenize(text: str, names: Sequence[str] = ()) -> list[Token]:
    """Splits a formula into tokens; the last one has kind ``end``.

    Names that do not look like one, such as ``mean radius`` or ``0``, are read where a variable may stand if they are
    among ``names``.
    """
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or "(?!)"
    variable = re.compile(rf"\s*({longest_first})(?=\s*[,;|)])")
    tokens: list[Token] = []
    position = 0
    while match := _TOKENS.match(text, position):
        known = variable.match(text, position) if tokens and tokens[-1].text in ("(", ",", ";", "|") else None
        if known:
            tokens.append(Token("name", known[1], known.start(1)))
            position = known.end()
            continue
        kind = match.lastgroup or ""
        if kind == "bad":
            raise ParseError(f"unexpected character {match['bad']!r}", text, match.start("bad"))
        tokens.append(Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return [*tokens, Token("end", "", len(text.rstrip()))]


class Parser:
    """Recursive descent over one formula. ``position`` is the next token; unknown names are collected
    when no list of names was given."""

    def __init__(self, text: str, names: Sequence[str] | None = None) -> None:
        self.text = text
        self.tokens = tokenize(text, names or ())
        self.position = 0
        self.fixed = names is not None
        self.names = list(check_names(names, len(names), "variable")) if names is not None else []

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.position]

    def fail(self, problem: str, token: Token | None = None) -> ParseError:
        """An error that points at a token, by default the next one."""
        return ParseError(problem, self.text, (token or self.token).position)

    def take(self, *texts: str) -> bool:
        """Steps over the next token if it is one of ``texts``."""
        if self.token.kind in ("mark", "relation") and self.token.text in texts:
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Steps over ``text`` or fails."""
        if not self.take(text):
            raise self.fail(f"expected {text!r}")

    def functional(self) -> Functional:
        """The whole text as one functional."""
        found = self.sum()
        if self.token.kind != "end":
            raise self.fail(f"unexpected {self.token.text!r}")
        return Functional(self.names, found)

    def sum(self) -> dict[int, Fraction]:
        """``[+-] term {(+|-) term}`` as mask to coefficient."""
        total: dict[int, Fraction] = {}
        sign = -1 if self.take("-") else 1
        if sign == 1:
            self.take("+")
        while True:
            for mask, coefficient in self.term().items():
                total[mask] = total.get(mask, Fraction(0)) + sign * coefficient
            if self.take("+"):
                sign = 1
            elif self.take("-"):
                sign = -1
            else:
                return total

    def term(self) -> dict[int, Fraction]:
        """``[number [*]] (atom | ( sum )) [/ number]``, or the number 0."""
        factor = Fraction(1)
        if self.token.kind == "number":
            start = self.token
            factor = self.number()
            if self.take("/"):
                factor /= self.number(nonzero=True)
            starred = self.take("*")
            if self.token.kind != "name" and not (self.token.kind == "mark" and self.token.text == "("):
                if starred or factor != 0:
                    raise self.fail("a number must multiply an information quantity; only 0 stands alone", start)
                return {}
        inner = self.atom_or_bracket()
        if self.take("/"):
            factor /= self.number(nonzero=True)
        return {mask: factor * coefficient for mask, coefficient in inner.items()}

    def number(self, nonzero: bool = False) -> Fraction:
        """An integer or a decimal, read exactly."""
        token = self.token
        if token.kind != "number":
            raise self.fail("expected a number")
        self.position += 1
        value = Fraction(token.text)
        if nonzero and value == 0:
            raise self.fail("division by zero", token)
        return value

    def atom_or_bracket(self) -> dict[int, Fraction]:
        """``( sum )`` or one information quantity."""
        if self.take("("):
            inner = self.sum()
            self.expect(")")
            return inner
        head = self.token
        if head.kind != "name":
            raise self.fail("expected H(...), I(...;...) or TC(...)")
        if head.text not in ("H", "h", "I", "TC"):
            raise self.fail(f"unknown quantity {head.text!r}: use H(...), I(...;...) or TC(...)")
        self.position += 1
        self.expect("(")
        groups = [self.group()]
        while self.take(";"):
            groups.append(self.group())
        given = mask_of(self.group()) if self.take("|") else 0
        self.expect(")")
        masks = [mask_of(group) for group in groups]
        if head.text == "TC":
            blocks = masks if len(groups) > 1 else [1 << index for index in groups[0]]
            if sum(block.bit_count() for block in blocks) != mask_of(i for g in groups for i in g).bit_count():
                raise self.fail("the blocks of TC must be disjoint", head)
            found = TC(self.names, blocks, given)
        elif head.text == "I":
            if len(groups) != 2:
                raise self.fail("I takes two groups, I(A;B|C); for more use TC(A;B;C)", head)
            found = I(self.names, masks[0], masks[1], given)
        else:
            if len(groups) != 1:
                raise self.fail("H takes one group, H(A,B|C)", head)
            found = H(self.names, masks[0], given)
        return dict(found.coefficients)

    def group(self) -> list[int]:
        """Comma-separated variables, as indices."""
        indices = [self.variable()]
        while self.take(","):
            indices.append(self.variable())
        return indices

    def variable(self) -> int:
        """One variable, as its index."""
        token = self.token
        if token.kind != "name":
            raise self.fail("expected a variable")
        if token.text not in self.names:
            if self.fixed:
                raise self.fail(f"unknown variable {token.text!r}: known are {', '.join(self.names)}")
            self.names.append(token.text)
        self.position += 1
        return self.names.index(token.text)
