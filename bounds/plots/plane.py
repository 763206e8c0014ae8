"""Models by their distortion and rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bounds.elbo import ElboTerms
from bounds.errors import InputError
from bounds.plots.style import BEST, HOLDS, Unit, axes, dash, finish, in_unit, ink, marker, per_example, span, typeset
from bounds.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Terms of a model, or its distortion and rate in nats.
Point = ElboTerms | tuple[float, float]


def rate_distortion(
    models: Mapping[str, Point | Sequence[Point]],
    ax: Axes | None = None,
    unit: Unit = "nats",
    *,
    floor: Quantity | None = None,
    levels: Mapping[str, float | Quantity] | None = None,
) -> Axes:
    """Rate against distortion; models of one ELBO are on a line, as ``D + R = -ELBO``.

    No model is left of the floor of the distortion (T1), and none below the line of an ELBO ceiling (T2).

    Args:
        models: label to a model's terms, or to those of several, which are joined.
        ax: what is drawn on; by default a new figure.
        unit: nats or bits.
        floor: of the distortion, with its interval.
        levels: label to an ELBO in nats, such as a ceiling; its line is drawn.

    Raises:
        InputError: no models, or a number that is not finite.
    """
    series = {label: [_pair(one, unit) for one in _several(given)] for label, given in models.items()}
    lines = {label: in_unit(-float(level), unit) for label, level in (levels or {}).items()}
    numbers = [number for points in series.values() for point in points for number in point] + list(lines.values())
    if not any(series.values()) or not all(map(math.isfinite, numbers)):
        raise InputError("the plane needs models with a finite distortion and rate, and levels that are finite")
    ax = axes(ax, 3.0)
    edge = None if floor is None else span(floor, unit)
    distortions = [d for points in series.values() for d, _ in points] + list(edge or ())
    rates = [r for points in series.values() for _, r in points] + [0.0]
    low, high = min(distortions), max(distortions)
    # where the lines of the levels meet rate 0 is on the axis too
    low, high = min([low, *lines.values()]), max([high, *lines.values()])
    room = 0.08 * ((high - low) or abs(high) or 1.0)
    ax.set_xlim(low - room, high + room)
    top = max(max(rates), 0.25 * (high - low)) or 1.0
    ax.set_ylim(-0.06 * top, 1.15 * top)
    if edge is not None:
        ax.axvline(edge[1], color=HOLDS, linewidth=1.5, label="distortion floor (T1)")
        if edge[0] < edge[2]:
            ax.axvspan(edge[0], edge[2], color=HOLDS, alpha=0.15, linewidth=0)
    for place, (label, level) in enumerate(lines.items()):
        ends = ax.get_xlim()
        name = f"ELBO = {typeset(label)}"
        ax.plot(ends, [level - x for x in ends], dash("", place + 1), color=ink(ax), linewidth=1, label=name)
    for place, (label, points) in enumerate(series.items()):
        style: dict[str, Any] = {
            "marker": marker(label, place),
            "ms": 5,
            "linewidth": 0.8,
            "color": BEST,
            "clip_on": False,
            "zorder": 3,
        }
        ax.plot([d for d, _ in points], [r for _, r in points], dash(label, place), label=label, **style)
    ax.set_xlabel(f"distortion $D$ ({unit} per example)")
    ax.set_ylabel(per_example("rate $R$: mean KL", unit))
    ax.locator_params(axis="x", nbins=5)
    ax.ticklabel_format(axis="x", useOffset=False)
    return finish(ax)


def _several(given: Point | Sequence[Point]) -> Sequence[Point]:
    if isinstance(given, ElboTerms) or (isinstance(given, tuple) and isinstance(given[0], float | int)):
        return [given]
    return given  # type: ignore[return-value]


def _pair(point: Point, unit: Unit) -> tuple[float, float]:
    distortion, rate = (point.distortion, point.kl) if isinstance(point, ElboTerms) else point
    return in_unit(distortion, unit), in_unit(rate, unit)
