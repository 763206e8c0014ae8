"""What a model trains, step by step, below its ceilings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bounds.errors import InputError
from bounds.plots.style import COLOURS, Unit, axes, dash, finish, folded, in_unit, ink, points, small, span, typeset
from bounds.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: One part in so many of a training need not be on the axis.
EARLY = 10
#: Letters of a ceiling's name on one line.
_NAME = 16


def training_curve(
    curves: Mapping[str, Sequence[float] | np.ndarray],
    ax: Axes | None = None,
    unit: Unit = "nats",
    *,
    steps: int = 1,
    first: int = 1,
    ceilings: Mapping[str, float | Quantity] | None = None,
) -> Axes:
    """Objectives against steps of training, and ceilings as labelled horizontal lines with their intervals.

    A mean over a minibatch, with one draw of the latent, is noisy: a curve may be above its ceiling now and then. The
    ceiling is for the objective of its name and the law that the examples are from; on training examples a model that
    has learned them by heart is above it. The axis need not reach down to the first tenth of the training.

    Args:
        curves: label to values in nats, one for each block of steps; NaN is not drawn.
        ax: what is drawn on; by default a new figure.
        unit: nats or bits.
        steps: of a block.
        first: number of the block of the first value; 0 where that is the value before any training.
        ceilings: label to nats. The axis has room for them, so leave out what is far away.

    Raises:
        InputError: no curves, a block without steps, a ``first`` that is neither 0 nor 1, or a ceiling that is not
            finite.
    """
    known = {
        label: one if isinstance(one, Quantity) else Quantity(label, float(one))
        for label, one in (ceilings or {}).items()
    }
    for label, quantity in known.items():
        if quantity.value is None or not math.isfinite(quantity.value):
            raise InputError(f"the ceiling {label!r} is {quantity.value}: leave out what is not finite")
    if not curves or steps < 1:
        raise InputError(f"{len(curves)} curves of blocks of {steps} steps: give at least one curve and one step")
    if first not in (0, 1):
        raise InputError(f"first is {first}: give 0 where the first value is that before training, else 1")
    ax = axes(ax)
    drawn = {label: [in_unit(float(v), unit) for v in values] for label, values in curves.items()}
    for place, (label, values) in enumerate(drawn.items()):
        x = [steps * (block + first) for block in range(len(values))]
        ax.plot(x, values, dash("", place), color=COLOURS[place % len(COLOURS)], linewidth=1.2, label=label)
    heights = {label: span(quantity, unit) for label, quantity in known.items()}
    learned = [v for values in drawn.values() for v in values[len(values) // EARLY :]]
    matter = [v for v in (*learned, *(end for ends in heights.values() for end in ends)) if math.isfinite(v)]
    if matter:
        room = 0.05 * (max(matter) - min(matter) or 1.0)
        ax.set_ylim(min(matter) - room, max(matter) + room)
    ax.set_xlabel("steps of training")
    ax.set_ylabel(f"objective\n({unit} per example)")
    _name_heights(ax, heights)
    return finish(ax, columns=min(len(curves), 3))


def _name_heights(ax: Axes, heights: Mapping[str, tuple[float, float, float]]) -> None:
    """Dashed lines, named beside the axes, where names cross no curve; those that are close are moved apart."""
    low, high = ax.get_ylim()
    # a line of text as a share of the axes, which a legend makes lower than it is now
    line = 1.4 * small(ax) / (0.75 * points(ax)[1])
    beside = ax.get_yaxis_transform()
    named = [
        (folded(typeset(label), _NAME), ends) for label, ends in sorted(heights.items(), key=lambda item: item[1][1])
    ]
    halves = [0.5 * line * (high - low) * (name.count("\n") + 1) for name, _ in named]
    places: list[float] = []
    for (_, (_, height, _)), half, before in zip(named, halves, [0.0, *halves], strict=False):
        places.append(max([height, *(place + before + half for place in places[-1:])]))
    for i in reversed(range(len(places))):  # not above the axes, where the legend is
        places[i] = min(places[i], high if i == len(places) - 1 else places[i + 1] - halves[i + 1] - halves[i])
    for (name, (lower, height, upper)), place in zip(named, places, strict=True):
        ax.axhline(height, color=ink(ax), linewidth=1, linestyle="dashed")
        if lower < upper:
            ax.axhspan(lower, upper, color=ink(ax), alpha=0.1, linewidth=0)
        ax.plot([1.005, 1.035], [height, place], color=ink(ax), linewidth=0.8, transform=beside, clip_on=False)
        ax.text(1.04, place, name, transform=beside, va="center", color=ink(ax), fontsize=small(ax))
