"""What an audit found, as a table."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from bounds.audit_result import Audit
from bounds.checks import Check
from bounds.plots.style import BEST, REFUTED, Unit, axes, folded, in_unit, ink, letters, minus, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Mark and colour of a verdict; the word stands beside it.
_MARKS = {"consistent": ("o", BEST), "violated": ("X", REFUTED), "undecided": ("D", "none")}
#: Where columns end or begin, as shares of the width.
_VERDICT, _CHECK, _VALUE, _CEILING = 0.035, 0.25, 0.82, 1.0
#: Letters of a check's name on a line at column width.
_LETTERS = 18
#: Inches of a line of text at column width.
_LINE = 0.128


def verdict_table(audit: Audit, ax: Axes | None = None, unit: Unit = "nats") -> Axes:
    """A row for each check: its verdict, what it is, the mean with its standard error, and the ceiling.

    Args:
        audit: of :func:`bounds.audit`.
        ax: what is drawn on; by default a new figure as high as the table.
        unit: nats or bits.
    """
    ax = axes(ax, verdict_height(audit))
    names = [_name(check, letters(ax, 0.38)) for check in audit.checks]
    heights = [name.count("\n") + 1.6 for name in names]
    ax.set_xlim(0, 1)
    ax.set_ylim(sum(heights) + 0.2, -1.7)
    ax.axis("off")
    style: dict[str, Any] = {"fontsize": small(ax), "color": ink(ax)}
    ax.set_title(
        f"{audit.objective} of {folded(audit.scheme.label, 24, 1)}: {audit.verdict}\n"
        f"{audit.n} examples, {unit} per example",
        loc="left",
        **style,
    )
    heads = ((0.0, "verdict", "left"), (_CHECK, "check", "left"), (_VALUE, "mean \N{PLUS-MINUS SIGN} s.e.", "right"))
    for x, text, side in (*heads, (_CEILING, "ceiling", "right")):
        ax.text(x, -0.5, text, ha=side, va="bottom", weight="bold", **style)
    ax.axhline(-0.3, color=ink(ax), linewidth=0.8)
    tops = [0.0, *accumulate(heights)]
    for verdict in dict.fromkeys(check.verdict for check in audit.checks):
        mark, colour = _MARKS[verdict]
        rows = [top + 0.65 for top, check in zip(tops, audit.checks, strict=False) if check.verdict == verdict]
        edge = ink(ax) if colour == "none" else colour
        ax.plot([0.012] * len(rows), rows, mark, ms=4.5, mew=1, mfc=colour, mec=edge, clip_on=False)
    for check, name, top in zip(audit.checks, names, tops, strict=False):
        value = f"{_number(check.value, unit)} \N{PLUS-MINUS SIGN} {in_unit(check.standard_error, unit):.2g}"
        ceiling = "none" if check.ceiling is None else _number(check.ceiling, unit)
        for x, text, side in (
            (_VERDICT, check.verdict, "left"),
            (_CHECK, name, "left"),
            (_VALUE, value, "right"),
            (_CEILING, ceiling, "right"),
        ):
            ax.text(x, top + 0.1, text, ha=side, va="top", **style)
    ax.hlines([top - 0.2 for top in tops[1:]], 0, 1, color=ink(ax), linewidth=0.4, alpha=0.4)
    return ax


def verdict_height(audit: Audit) -> float:
    """Inches that the table of an audit needs in a figure as wide as a column."""
    return _LINE * (sum(_name(check, _LETTERS).count("\n") + 1.6 for check in audit.checks) + 4.5)


def _name(check: Check, width: int) -> str:
    return folded(f"{check.name} ({check.theorem})", width, 4)


def _number(nats: float, unit: Unit) -> str:
    return minus(f"{in_unit(nats, unit):.4g}")
