"""The ceilings of each scheme, and beside them the quoted bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bounds.irreducible import IrreducibleError, SchemeBounds
from bounds.plots.style import (
    HOLDS,
    REFUTED,
    UNITS,
    Unit,
    axes,
    drawable,
    finish,
    in_unit,
    ink,
    minus,
    name_schemes,
    per_example,
    say,
    small,
    span,
    whisker,
)
from bounds.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Pick = Callable[[SchemeBounds], Quantity | None]


class _Ceilings(NamedTuple):
    """One kind of ceiling, a mark for each scheme."""

    label: str
    marker: str
    colour: str
    pick: _Pick


def ceilings(result: IrreducibleError, ax: Axes | None = None, unit: Unit = "nats") -> Axes:
    """-H(X), the ceilings that hold, and the quoted bound, which is none (dashed).

    The axis is that of the numbers that hold. A quoted bound far from them is an arrow at the edge with its number. A
    sum of ELBOs is on another scale than their mean and is left out.

    Args:
        result: of :func:`bounds.irreducible_error`.
        ax: what is drawn on; by default a new figure.
        unit: nats or bits.
    """
    ax = axes(ax)
    schemes = [b for b in result.schemes if b.finest.elbo_ceiling]
    where = ", any decoder inside a modality" if any(b.units for b in result.schemes) else ""
    kinds = [
        _Ceilings(f"ELBO ceiling{where}", "o", HOLDS, lambda b: b.modalities.elbo_ceiling),
        _Ceilings(
            "ELBO ceiling, decoder factorised over units",
            "s",
            UNITS,
            lambda b: b.units.elbo_ceiling if b.units else None,
        ),
        _Ceilings("ceiling of the published objective", "x", ink(ax), lambda b: b.finest.published_ceiling),
    ]
    drawn = [kind for kind in kinds if any(drawable(kind.pick(b)) for b in schemes)]
    ax.set_ylabel(per_example("ELBO", unit))
    name_schemes(ax, [b.scheme.label for b in schemes])
    if not drawn or not drawable(result.entropy):
        return say(ax, "no ceiling to draw")
    low, value, high = (-number for number in span(result.entropy, unit)[::-1])
    ax.axhline(value, color=ink(ax), linewidth=1, label="$-H(X)$: no expected ELBO is above")
    if low < high:
        ax.axhspan(low, high, color=ink(ax), alpha=0.1, linewidth=0)  # its interval
    holding = [low, value, high]
    for i, kind in enumerate(drawn):
        found = [(x, q) for x, b in enumerate(schemes) if (q := kind.pick(b)) is not None and drawable(q)]
        at = [x + (i - (len(drawn) - 1) / 2) * 0.2 for x, _ in found]
        values = [in_unit(float(q), unit) for _, q in found]
        ax.plot(at, values, kind.marker, ms=6, mew=1.6, color=kind.colour, label=kind.label, zorder=3)
        for place, (_, quantity) in zip(at, found, strict=True):
            whisker(ax, place, quantity, unit, kind.colour)
            holding += span(quantity, unit)
    quoted = [(x, q) for x, b in enumerate(schemes) if (q := b.quoted_bound) is not None and drawable(q)]
    _quote(ax, [(x, in_unit(float(q), unit)) for x, q in quoted], holding)
    return finish(ax)


def _quote(ax: Axes, quoted: Sequence[tuple[int, float]], holding: Sequence[float]) -> None:
    """Sets the axis by the numbers that hold; draws the quoted bounds that fit as dashes and the others as arrows."""
    bottom, top = min(holding), max(holding)
    reach = top - bottom
    if reach <= 1e-9 * max(abs(bottom), abs(top)):  # one number up to rounding: nothing to keep apart
        near = list(quoted)
    else:
        near = [(x, y) for x, y in quoted if bottom - reach <= y <= top + reach]
    bottom, top = min([bottom, *(y for _, y in near)]), max([top, *(y for _, y in near)])
    room = (top - bottom) or 0.1 * abs(top) or 1.0
    below = [(x, y) for x, y in quoted if (x, y) not in near and y < bottom]
    above = [(x, y) for x, y in quoted if (x, y) not in near and y > top]
    ax.set_ylim(bottom - room * (0.45 if below else 0.1), top + room * (0.45 if above else 0.1))
    style = {"colors": REFUTED, "linestyles": "dashed"}
    label = "quoted bound: refuted, no ceiling"
    xs = [x for x, _ in near]
    ax.hlines([y for _, y in near], [x - 0.35 for x in xs], [x + 0.35 for x in xs], label=label, **style)  # type: ignore[arg-type]
    for far, edge, tail in ((below, 0.0, 0.12), (above, 1.0, 0.88)):
        for x, y in far:
            ax.annotate(
                "",
                xy=(x, edge),
                xytext=(x, tail),
                xycoords=("data", "axes fraction"),
                textcoords=("data", "axes fraction"),
                arrowprops={"arrowstyle": "->", "color": REFUTED, "linestyle": "dashed"},
            )
            side = "bottom" if edge == 0 else "top"
            text, across = minus(f"{y:.4g}"), ax.get_xaxis_transform()
            ax.text(x, tail, text, transform=across, ha="center", va=side, color=ink(ax), fontsize=small(ax))
