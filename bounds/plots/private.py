"""What models lose against what is private in their data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bounds.errors import InputError
from bounds.plots.style import COLOURS, Unit, axes, dash, finish, in_unit, ink, marker, per_example

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Measured(NamedTuple):
    """A gap at an amount of private information, in nats, with its standard error."""

    private: float
    gap: float
    error: float = 0.0


def private_gap(
    measured: Mapping[str, Sequence[Measured]],
    ax: Axes | None = None,
    unit: Unit = "nats",
    *,
    theory: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    errors: float = 2.0,
) -> Axes:
    """Gaps of models against private information, as points with error bars, and what theory says as lines.

    Args:
        measured: label to points. Of the same label as in ``theory``, they have its colour.
        ax: what is drawn on; by default a new figure.
        unit: nats or bits.
        theory: label to private information and gap, in nats, in any order.
        errors: half the length of an error bar, in standard errors.

    Raises:
        InputError: nothing to draw.
    """
    labels = list(dict.fromkeys([*measured, *(theory or {})]))
    if not labels:
        raise InputError("nothing to draw: give measured gaps, or those of theory")
    ax = axes(ax)
    for place, label in enumerate(labels):
        colour = COLOURS[place % len(COLOURS)]
        line = sorted((theory or {}).get(label, ()))
        if line:
            x, y = ([in_unit(point[i], unit) for point in line] for i in (0, 1))
            ax.plot(x, y, dash("", place), color=colour, linewidth=1.2, label=f"{label}: theory")
        points = measured.get(label, ())
        if points:
            x, y, half = (
                [in_unit(number, unit) for number in column] for column in zip(*map(_full, points), strict=True)
            )
            ax.errorbar(
                x,
                y,
                [errors * size for size in half],
                fmt=marker(label, place),
                ms=4.5,
                capsize=2.5,
                linewidth=1.2,
                color=colour,
                label=label,
            )
    ax.axhline(0, color=ink(ax), linewidth=0.8)
    ax.set_xlabel(f"private information ({unit} per example)")
    ax.set_ylabel(per_example("gap", unit))
    return finish(ax)


def _full(point: Sequence[float]) -> Measured:
    return Measured(*point)
