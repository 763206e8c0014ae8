"""What each scheme loses, as bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bounds.irreducible import IrreducibleError
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
    name_schemes,
    say,
    small,
    whisker,
)
from bounds.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def losses(result: IrreducibleError, ax: Axes | None = None, unit: Unit = "nats") -> Axes:
    """Delta (hatched) and the irreducible ELBO loss of each scheme, with their intervals.

    Args:
        result: of :func:`bounds.irreducible_error`.
        ax: what is drawn on; by default a new figure.
        unit: nats or bits.
    """
    ax = axes(ax)
    bounds = [b for b in result.schemes if b.generative_discrepancy]
    finer = any(b.units for b in bounds)
    where = ", any decoder inside a modality" if finer else ""
    series: list[tuple[str, str, str, list[Quantity | None]]] = [
        (f"ELBO loss{where}", HOLDS, "", [_defined(result, b.modalities.total_correlation_term) for b in bounds]),
    ]
    if finer:
        finest = [_defined(result, b.finest.total_correlation_term) for b in bounds]
        series.append(("ELBO loss, decoder factorised over units", UNITS, "\\\\\\\\", finest))
    series.append(
        ("\N{GREEK CAPITAL LETTER DELTA} (paper)", REFUTED, "///", [b.generative_discrepancy for b in bounds])
    )
    width = 0.8 / len(series)
    for i, (label, colour, hatch, quantities) in enumerate(series):
        for x, quantity in enumerate(quantities):
            place = x + (i - (len(series) - 1) / 2) * width
            known = quantity is not None and drawable(quantity)
            height = in_unit(float(quantity), unit) if quantity is not None and known else 0.0
            name = label if x == 0 else None
            ax.bar(
                place,
                height,
                width,
                facecolor="none" if hatch else colour,
                edgecolor=colour,
                hatch=hatch,
                label=name,
            )
            if quantity is not None and known:
                whisker(ax, place, quantity, unit, ink(ax))
            else:
                text = "no value" if quantity is None or quantity.value is None else f"{quantity.value}"
                ax.text(place, 0, text, rotation=90, ha="center", va="bottom", fontsize=small(ax), color=ink(ax))
    ax.axhline(0, color=ink(ax), linewidth=0.8)
    name_schemes(ax, [b.scheme.label for b in bounds])
    ax.set_ylabel(f"{unit} per example")
    return finish(ax) if bounds else say(ax, "no scheme is a mixture over subsets")


def _defined(result: IrreducibleError, loss: Quantity | None) -> Quantity | None:
    """T2 speaks of a distance from ``-H(X)``, which a singular law has not."""
    return None if result.entropy.value is not None and math.isinf(result.entropy.value) else loss
