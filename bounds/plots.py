"""Results to matplotlib axes. Nothing is computed here but positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from bounds.irreducible import IrreducibleError, SchemeBounds
from bounds.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Okabe and Ito's palette, told apart by most colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def entropy_profile(result: IrreducibleError, ax: Axes) -> Axes:
    """Entropy of every subset against its size, and the mean for each size."""
    h = result.entropies
    sizes: dict[int, list[float]] = {}
    for mask in range(1, 1 << len(result.names)):
        if mask not in h.refusals and math.isfinite(h[mask]):
            sizes.setdefault(mask.bit_count(), []).append(h[mask])
    for size, values in sizes.items():
        ax.scatter([size] * len(values), values, s=18, color=COLOURS[0], alpha=0.6, zorder=3)
    ax.plot(list(sizes), [sum(v) / len(v) for v in sizes.values()], color=COLOURS[1], label="mean over subsets")
    ax.set_xticks(range(1, len(result.names) + 1))
    ax.set_xlabel("modalities in the subset")
    ax.set_ylabel("entropy (nats)" if result.kind == "discrete" else "differential entropy (nats)")
    if sizes:
        ax.legend(frameon=False)
    else:
        _say(ax, "no entropy to draw")
    return ax


def losses(result: IrreducibleError, ax: Axes) -> Axes:
    """Delta and the irreducible ELBO loss of each scheme, with their intervals."""
    bounds = [b for b in result.schemes if b.generative_discrepancy]
    series: list[tuple[str, list[Quantity | None]]] = [
        ("ELBO loss, any decoder inside a modality", [b.modalities.total_correlation_term for b in bounds]),
    ]
    if any(b.units for b in bounds):
        series.append(("ELBO loss, decoder factorised over units", [b.finest.total_correlation_term for b in bounds]))
    series.append((r"$\Delta$ (paper)", [b.generative_discrepancy for b in bounds]))
    width = 0.8 / len(series)
    for i, (label, quantities) in enumerate(series):
        for x, quantity in enumerate(quantities):
            place = x + (i - (len(series) - 1) / 2) * width
            _bar(ax, place, quantity, width, COLOURS[i], label if x == 0 else None)
    ax.axhline(0, color="0.4", linewidth=0.8)
    ax.set_xticks(range(len(bounds)), [b.scheme.label for b in bounds])
    ax.set_ylabel("nats per example")
    ax.legend(frameon=False, fontsize="small")
    return ax


def ceilings(result: IrreducibleError, ax: Axes) -> Axes:
    """-H(X), the ceilings that hold, and the quoted bound, which does not (dashed).

    A sum of ELBOs is on another scale than their mean and is left out.
    """
    schemes = [b for b in result.schemes if b.finest.elbo_ceiling]
    if _drawable(result.entropy):
        ax.axhline(-float(result.entropy), color="0.3", linewidth=1, label="$-H(X)$: no ELBO is above")
    holding: list[tuple[str, str, str, Callable[[SchemeBounds], Quantity | None]]] = [
        ("T2 ceiling, any decoder inside a modality", "_", COLOURS[0], lambda b: b.modalities.elbo_ceiling),
        (
            "T2 ceiling, decoder factorised over units",
            "_",
            COLOURS[2],
            lambda b: b.units.elbo_ceiling if b.units else None,
        ),
        ("ceiling of the published objective", "x", COLOURS[4], lambda b: b.finest.published_ceiling),
    ]
    for label, marker, colour, pick in holding:
        points = [(x, q) for x, b in enumerate(schemes) if (q := pick(b)) and _drawable(q)]
        if points:
            size = 16 if marker == "_" else 7
            at = [x for x, _ in points]
            ax.plot(at, [float(q) for _, q in points], marker, ms=size, mew=2, color=colour, label=label)
            for x, q in points:
                _whisker(ax, x, q)
    quoted = [(x, float(q)) for x, b in enumerate(schemes) if (q := b.quoted_bound) and _drawable(q)]
    if quoted:
        label = "quoted bound: refuted, models may exceed it"
        ax.hlines(
            [y for _, y in quoted],
            [x - 0.25 for x, _ in quoted],
            [x + 0.25 for x, _ in quoted],
            colors=COLOURS[1],
            linestyles="dashed",
            label=label,
        )
    ax.set_xticks(range(len(schemes)), [b.scheme.label for b in schemes])
    ax.set_xlim(-0.6, len(schemes) - 0.4)
    ax.set_ylabel("ELBO (nats per example)")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="small")
    return ax


def growth(result: IrreducibleError, ax: Axes) -> Axes:
    """Delta (dashed) and the irreducible ELBO loss (solid) of the first 1, 2, ... modalities."""
    labels = list(dict.fromkeys(step.scheme for step in result.growth))
    for colour, label in zip(COLOURS, labels, strict=False):
        steps = [step for step in result.growth if step.scheme == label]
        for style, name in (("--", "generative_discrepancy"), ("-", "total_correlation_term")):
            points = [(step.n_modalities, getattr(step, name)) for step in steps]
            known = [(m, float(quantity)) for m, quantity in points if _drawable(quantity)]
            meaning = r"$\Delta$" if style == "--" else "ELBO loss"
            x, y = [m for m, _ in known], [value for _, value in known]
            ax.plot(x, y, style, marker="o", markersize=4, color=colour, label=f"{label}: {meaning}")
    ax.set_xticks(range(1, len(result.names) + 1))
    ax.set_xlabel("modalities, in the order given")
    ax.set_ylabel("nats per example")
    if labels:
        ax.legend(frameon=False, fontsize="small")
    else:
        _say(ax, "only schemes of a known family grow")
    return ax


def _bar(ax: Axes, place: float, quantity: Quantity | None, width: float, colour: str, label: str | None) -> None:
    if quantity is None or not _drawable(quantity):
        ax.bar(place, 0, width, color=colour, label=label)
        text = "no value" if quantity is None or quantity.value is None else f"{quantity.value}"
        ax.text(place, 0, text, rotation=90, ha="center", va="bottom", fontsize="small")
        return
    ax.bar(place, float(quantity), width, color=colour, label=label)
    _whisker(ax, place, quantity)


def _whisker(ax: Axes, place: float, quantity: Quantity) -> None:
    """The interval of a number that is not exact. A guaranteed one need not contain the point estimate."""
    if quantity.guarantee != "exact" and quantity.low is not None and quantity.high is not None:
        ax.vlines(place, quantity.low, quantity.high, color="0.2", linewidth=1.2)


def _drawable(quantity: Quantity) -> bool:
    return quantity.value is not None and math.isfinite(quantity.value)


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center")
