"""Delta and the loss against the number of modalities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bounds.irreducible import IrreducibleError
from bounds.plots.style import (
    HOLDS,
    REFUTED,
    Unit,
    axes,
    dash,
    drawable,
    finish,
    in_unit,
    marker,
    say,
    whisker,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def growth(result: IrreducibleError, ax: Axes | None = None, unit: Unit = "nats") -> Axes:
    """Delta (hollow) and the irreducible ELBO loss (filled) of the first 1, 2, ... modalities, a mark for each scheme.

    Args:
        result: of :func:`bounds.irreducible_error`.
        ax: what is drawn on; by default a new figure.
        unit: nats or bits.
    """
    ax = axes(ax)
    h, labels = result.entropies, list(dict.fromkeys(step.scheme for step in result.growth))
    ax.set_xticks(range(1, len(result.names) + 1))
    ax.set_xlim(0.8, len(result.names) + 0.2)
    ax.set_xlabel("number of modalities, in the order given")
    ax.set_ylabel(f"{unit} per example")
    if not labels:
        return say(ax, "only schemes of a known family grow")
    for hollow, colour, name, meaning in (
        (True, REFUTED, "generative_discrepancy", "\N{GREEK CAPITAL LETTER DELTA}"),
        (False, HOLDS, "total_correlation_term", "ELBO loss"),
    ):
        for i, label in enumerate(labels):
            beside = (i - (len(labels) - 1) / 2) * 0.06  # so that whiskers stay apart
            found = [(step.n_modalities, getattr(step, name)) for step in result.growth if step.scheme == label]
            known = [(m + beside, q) for m, q in found if drawable(q) and not math.isinf(h[(1 << m) - 1])]
            values = [in_unit(float(q), unit) for _, q in known]
            ax.plot(
                [x for x, _ in known],
                values,
                dash(label, i),
                marker=marker(label, i),
                ms=5,
                mew=1.2,
                linewidth=1.2,
                fillstyle="none" if hollow else "full",
                color=colour,
                label=f"{label}: {meaning}",
            )
            for x, quantity in known:
                whisker(ax, x, quantity, unit, colour)
    return finish(ax, columns=2)
