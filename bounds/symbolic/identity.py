"""An identity that sympy reduces to zero, and with it the sign of a quantity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

#: What symbols stand for, substituted in this order before anything is reduced.
Definitions = tuple[tuple[sp.Symbol, sp.Expr], ...]


@dataclass(frozen=True)
class Identity:
    """``left = right``, to be reduced to zero symbolically, never by numbers.

    Args:
        name: unique; begins with the number in THEORY, such as ``T8.gaussian.tcw-increment``.
        statement: the claim in words.
        left, right: sympy expressions, found in different ways. Limits, sums and integrals may stand unevaluated.
        assumptions: what the claim needs beyond the assumptions on the symbols, in words.
        where: what symbols stand for. A range is written as a parametrisation by positive symbols
            (``rho = s/(1+s)`` is the interval (0, 1)), so that logarithms may be split; an information quantity
            is a nonnegative symbol that stands for its entropies.
        nonnegative: claim as well that both sides are >= 0, because every part of ``right`` visibly is.

    >>> x = sp.Symbol("x", positive=True)
    >>> Identity("square", "a binomial", (x + 1) ** 2, x**2 + 2 * x + 1).holds
    True
    >>> Identity("square", "a wrong binomial", (x + 1) ** 2, x**2 + x + 1).residual
    x
    """

    name: str
    statement: str
    left: sp.Expr
    right: sp.Expr
    assumptions: str = ""
    where: Definitions = ()
    nonnegative: bool = False

    @cached_property
    def residual(self) -> sp.Expr:
        """``left - right``, reduced."""
        return reduced(self.left - self.right, self.where)

    @cached_property
    def holds(self) -> bool:
        """Whether the residual is exactly zero and, where that is claimed, ``right`` is visibly nonnegative."""
        if self.residual != 0:
            return False
        substituted = self.right.subs(self.where)
        return not self.nonnegative or visibly_nonnegative(self.right) or visibly_nonnegative(substituted)

    @property
    def latex(self) -> str:
        """The two sides in LaTeX, and what their symbols stand for."""
        claim = f"{sp.latex(self.left)} = {sp.latex(self.right)}" + (r" \ge 0" if self.nonnegative else "")
        meanings = [f"{sp.latex(symbol)} = {sp.latex(meaning)}" for symbol, meaning in self.where]
        return claim + (r", \quad " + r",\ ".join(meanings) if meanings else "")

    def __str__(self) -> str:
        return f"{self.name}: {self.statement}: " + ("reduces to zero" if self.holds else f"residual {self.residual}")


def reduced(expression: sp.Expr, where: Definitions = ()) -> sp.Expr:
    """An expression with everything evaluated, logarithms of products split, and like terms cancelled.

    Only factors that sympy knows to be positive are split off a logarithm, so that no branch is lost.

    >>> a, b = sp.symbols("a b", positive=True)
    >>> reduced(sp.log(a**2 + a * b) - sp.log(a) - sp.log(a + b))
    0
    """
    evaluated = sp.sympify(expression).doit().subs(where).doit()
    split = evaluated.replace(sp.log, lambda argument: sp.expand_log(sp.log(sp.factor(argument)), factor=True))
    result = sp.cancel(split)
    return result if result == 0 else sp.simplify(result)


def visibly_nonnegative(expression: sp.Expr) -> bool:
    """Whether sympy finds ``expression >= 0`` from the assumptions on its symbols, with sums, products,
    logarithms and integrals from zero taken apart.

    >>> x, t = sp.symbols("x t", positive=True)
    >>> visibly_nonnegative(x + sp.Integral(t / (1 + t), (t, 0, x))), visibly_nonnegative(x - 1)
    (True, False)
    """
    if expression.is_nonnegative:
        return True
    if isinstance(expression, sp.Add | sp.Mul):
        return all(visibly_nonnegative(part) for part in expression.args)
    if isinstance(expression, sp.log):
        return visibly_nonnegative(sp.factor(expression.args[0] - 1))
    if isinstance(expression, sp.Integral):
        return all(lower == 0 and visibly_nonnegative(sp.factor(upper)) for _, lower, upper in expression.limits) and (
            visibly_nonnegative(expression.function)
        )
    return False
