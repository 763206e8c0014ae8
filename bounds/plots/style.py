"""What all figures share: units, colours, marks, sizes of text, and how a number with an interval is drawn."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Literal

from bounds.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What a reader may ask for. Everything before plots and reports is in nats.
Unit = Literal["nats", "bits"]

#: Okabe and Ito's palette, told apart by most colour-blind readers. The first four are seen on white and on black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: A colour is a kind of number, in every figure: what T2 says, what was refuted, what a best model does, and what T2
#: says of decoders that factorise over units. All else has the colour of the text.
HOLDS, REFUTED, BEST, UNITS = COLOURS[:4]
#: A mark and a dash is a scheme, in every figure, so that print in grey can be read.
MARKERS = {"mvae": "o", "mmvae": "s", "mopoe": "^", "mvae-subsampled": "D"}
DASHES = {"mvae": "-", "mmvae": "--", "mopoe": "-.", "mvae-subsampled": ":"}
_OTHER_MARKERS = "vP*X<>"
_OTHER_DASHES = ("-", "--", "-.", ":")

#: Width of a column of a paper, in inches, and the text of a figure that is as wide, in points.
COLUMN = 3.3
TEXT = 8.0
#: Ticks, legends and numbers are this much smaller than the names of the axes.
SMALLER = 0.875


def in_unit(nats: float, unit: Unit) -> float:
    """A number of nats in nats or bits.

    >>> in_unit(math.log(8), "bits")
    3.0
    """
    return nats / math.log(2) if unit == "bits" else nats


def axes(ax: Axes | None, height: float = 2.6) -> Axes:
    """The axes given, or those of a new figure as wide as a column, with ticks in the small size of text."""
    if ax is None:
        from matplotlib import pyplot, rc_context

        with rc_context({"font.size": TEXT}):
            _, ax = pyplot.subplots(figsize=(COLUMN, height), layout="constrained")
    ax.tick_params(labelsize=small(ax))
    return ax


def small(ax: Axes) -> float:
    """The size of ticks, legends and numbers, in points; that of the axes' names is the caller's."""
    return SMALLER * float(ax.xaxis.label.get_fontsize())


def ink(ax: Axes) -> str:
    """The colour of text, which is the caller's: dark on light, or light on dark."""
    colour: str = ax.xaxis.label.get_color()  # type: ignore[assignment]
    return colour


def marker(label: str, place: int) -> str:
    """The mark of a scheme; of one that is no known family, by its place."""
    return MARKERS.get(label, _OTHER_MARKERS[place % len(_OTHER_MARKERS)])


def dash(label: str, place: int) -> str:
    """The dash of a scheme or a curve; of one that is no known family, by its place."""
    return DASHES.get(label, _OTHER_DASHES[place % len(_OTHER_DASHES)])


def per_example(what: str, unit: Unit) -> str:
    """The name of an axis on two lines, which a low figure has room for."""
    return f"{what}\n({unit} per example)"


def minus(text: str) -> str:
    """A number as it is typeset.

    >>> minus("-1.5") == "\N{MINUS SIGN}1.5"
    True
    """
    return text.replace("-", "\N{MINUS SIGN}")


def typeset(text: str) -> str:
    """A name that may begin with a minus, as in ``-H(X)``; a hyphen inside stays one."""
    return minus(text[:1]) + text[1:]


def folded(text: str, width: int, lines: int = 3) -> str:
    """A name on several lines; what does not fit ends in dots.

    >>> folded("a rather long name of something", 12)
    'a rather\\nlong name of\\nsomething'
    """
    soft = text.replace(",", ", ").replace("+", "+ ").replace("_", "_ ")
    rows = textwrap.wrap(soft, max(width, 4)) or [text]
    rows = [row.replace("+ ", "+").replace("_ ", "_") for row in rows]
    if len(rows) > lines:
        rows = [*rows[: lines - 1], rows[lines - 1][: max(width, 4) - 1] + "\N{HORIZONTAL ELLIPSIS}"]
    return "\n".join(rows)


def points(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes before they are laid out, in points."""
    page, box = ax.figure.bbox, ax.get_position()
    return box.width * page.width * 72 / ax.figure.dpi, box.height * page.height * 72 / ax.figure.dpi


def letters(ax: Axes, share: float = 1.0) -> int:
    """About how many small letters fit into a share of the axes' width."""
    return int(share * points(ax)[0] / (0.56 * small(ax)))


def span(quantity: Quantity, unit: Unit) -> tuple[float, float, float]:
    """Lower end, value and upper end; all the value where there is no interval."""
    value = float(quantity)
    low = value if quantity.low is None else quantity.low
    high = value if quantity.high is None else quantity.high
    return in_unit(low, unit), in_unit(value, unit), in_unit(high, unit)


def drawable(quantity: Quantity | None) -> bool:
    """Whether there is a finite number."""
    return quantity is not None and quantity.value is not None and math.isfinite(quantity.value)


def whisker(ax: Axes, place: float, quantity: Quantity, unit: Unit, colour: str) -> None:
    """The interval of a number that is not exact. A guaranteed one need not contain the point estimate."""
    low, _, high = span(quantity, unit)
    if low < high:
        ax.vlines(place, low, high, color=colour, linewidth=1.2)


def name_schemes(ax: Axes, labels: list[str]) -> None:
    """A tick for each scheme, its label on several lines where it is long."""
    room = letters(ax, 1 / (len(labels) or 1))
    ax.set_xticks(range(len(labels)), [folded(label, room) for label in labels])
    ax.set_xlim(-0.6, len(labels) - 0.4)


def finish(ax: Axes, columns: int = 1) -> Axes:
    """The legend above the axes, where it covers nothing, and tick labels that need no sum."""
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        frameon=False,
        fontsize=small(ax),
        ncols=columns,
        labelcolor=ink(ax),
        columnspacing=1.2,
        borderaxespad=0.2,
    )
    ax.ticklabel_format(axis="y", useOffset=False)
    return ax


def say(ax: Axes, text: str) -> Axes:
    """Words where there is nothing to draw."""
    ax.set_yticks([])
    shown = folded(text, letters(ax, 0.9))
    ax.text(0.5, 0.5, shown, transform=ax.transAxes, ha="center", va="center", color=ink(ax), fontsize=small(ax))
    return ax
