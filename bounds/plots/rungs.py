"""One scheme, every number above or below its ELBO."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bounds.ladder import Ladder, Rung
from bounds.plots.style import (
    BEST,
    HOLDS,
    REFUTED,
    Unit,
    axes,
    drawable,
    folded,
    in_unit,
    ink,
    minus,
    say,
    small,
    span,
    typeset,
)
from bounds.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: How many times as wide as the numbers that matter most an axis becomes for the sake of the others.
_WIDEST = 10.0
#: Numbers that spread over less than this share of their size are one number, and leave the axis to the others.
_ONE = 1e-3
#: Letters of a rung's name on one line.
_NAME = 20


def ladder(ladder: Ladder, ax: Axes | None = None, unit: Unit = "nats") -> Axes:
    """A row for each rung, from the highest to the lowest, the refuted one last and dashed.

    The axis is that of -H(X), the ELBO ceiling and the optimum. A number far from them is an arrow at the edge.

    Args:
        ladder: of :func:`bounds.ladder.ladders`.
        ax: what is drawn on; by default a new figure.
        unit: nats or bits.
    """
    rungs = [rung for rung in ladder.rungs if drawable(rung.quantity)]
    ax = axes(ax, 0.7 + 0.36 * max(len(rungs), 1))
    ax.set_xlabel(f"ELBO ({unit} per example)")
    if not rungs:
        return say(ax, "no number to draw")
    size = max(abs(float(rung.quantity)) for rung in rungs)
    # rounding must not order equal numbers; the sort keeps the order of the ladder
    rungs.sort(key=lambda rung: (rung.kind == "refuted", -round(float(rung.quantity) / size, 5) if size else 0.0))
    low, high = _reach(rungs, unit)
    room = 0.1 * ((high - low) or abs(high) or 1.0)
    ax.set_xlim(low - room, high + room)
    ax.set_yticks(range(len(rungs)), [_rung_name(rung) for rung in rungs])
    ax.set_ylim(len(rungs) - 0.5, -0.8)
    ax.grid(axis="y", color=ink(ax), alpha=0.12)
    ax.set_axisbelow(True)
    for place, rung in enumerate(rungs):
        (_far_rung if _outside(rung, low, high, unit) else _near_rung)(ax, place, rung, unit)
    ax.ticklabel_format(axis="x", useOffset=False)
    ax.locator_params(axis="x", nbins=4)
    return ax


def _reach(rungs: Sequence[Rung], unit: Unit) -> tuple[float, float]:
    """The ends of the axis: what matters most, and as many of the others as do not squeeze it."""
    spans = {rung.name: span(rung.quantity, unit) for rung in rungs}
    core = [rung for rung in rungs if rung.name == "-H(X)" or rung.name.startswith(("ELBO", "optimum"))] or rungs
    low, high = min(min(spans[r.name]) for r in core), max(max(spans[r.name]) for r in core)
    alone = high - low <= _ONE * max(abs(low), abs(high))
    widest = math.inf if alone else _WIDEST * (high - low)
    others = [rung for rung in rungs if rung not in core]
    for rung in sorted(others, key=lambda r: max(low - min(spans[r.name]), max(spans[r.name]) - high)):
        lower, upper = min(low, *spans[rung.name]), max(high, *spans[rung.name])
        if upper - lower <= widest:
            low, high = lower, upper
    return low, high


def _outside(rung: Rung, low: float, high: float, unit: Unit) -> bool:
    return not low <= in_unit(float(rung.quantity), unit) <= high


def _rung_name(rung: Rung) -> str:
    claim = {"refuted": "(refuted)", "one-sided": "(at least)"}.get(rung.kind, "")
    name = rung.name.replace(" on these", "\non these")
    return "\n".join(filter(None, [*(folded(typeset(line), _NAME, 2) for line in name.splitlines()), claim]))


def _rung_colour(ax: Axes, rung: Rung) -> str:
    if rung.kind == "refuted":
        return REFUTED
    return HOLDS if rung.name == "ELBO ceiling" else BEST if "optimum" in rung.name else ink(ax)


def _near_rung(ax: Axes, place: int, rung: Rung, unit: Unit) -> None:
    low, value, high = span(rung.quantity, unit)
    colour = _rung_colour(ax, rung)
    if rung.name.startswith("optimum"):
        ax.hlines(place, low, high, color=colour, linewidth=6)
        ax.plot([low, high], [place, place], "|", color=colour, ms=10, mew=3)  # seen where the bracket is narrow
    else:
        dashed = "dashed" if rung.kind == "refuted" else "solid"
        ax.vlines(value, place - 0.22, place + 0.22, color=colour, linewidth=2, linestyle=dashed)
        if low < high:
            ax.hlines(place, low, high, color=colour, linewidth=1.5, linestyle=dashed)
    # towards the middle of the axis, so that it does not leave it
    left, right = ax.get_xlim()
    share = (value - left) / (right - left)
    side = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    text = _shown(rung.quantity, unit)
    ax.text(value, place - 0.27, text, ha=side, va="bottom", color=ink(ax), fontsize=small(ax))


def _far_rung(ax: Axes, place: int, rung: Rung, unit: Unit) -> None:
    """An arrow at the edge towards the number."""
    value, colour = in_unit(float(rung.quantity), unit), _rung_colour(ax, rung)
    edge, tail, side = (0.0, 0.14, "left") if value < ax.get_xlim()[0] else (1.0, 0.86, "right")
    across = ax.get_yaxis_transform()
    style = {"arrowstyle": "->", "color": colour, "linestyle": "dashed" if rung.kind == "refuted" else "solid"}
    ax.annotate("", xy=(edge, place), xytext=(tail, place), xycoords=across, textcoords=across, arrowprops=style)
    shift = 0.02 if side == "left" else -0.02
    text = _shown(rung.quantity, unit)
    ax.text(edge + shift, place - 0.27, text, transform=across, ha=side, va="bottom", color=ink(ax), fontsize=small(ax))


def _shown(quantity: Quantity, unit: Unit) -> str:
    """A number as a figure shows it: four decimals, and both ends of a bracket that is wider."""
    # rounding may leave a zero with a sign
    low, value, high = (f"{number:.4f}".replace("-0.0000", "0.0000") for number in span(quantity, unit))
    bracket = quantity.guarantee == "guaranteed" and quantity.confidence is None and low != high
    return minus(f"{low} to {high}" if bracket else value)
