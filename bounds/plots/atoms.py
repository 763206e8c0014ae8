"""What is shared by which modalities, and which of it Delta counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bounds.errors import InputError
from bounds.information_atoms import InformationAtoms
from bounds.plots.style import HOLDS, REFUTED, Unit, axes, drawable, finish, folded, in_unit, ink, say, small, whisker
from bounds.subsets import members

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: More modalities have more bars than a column has room for.
MOST = 4
#: Inches of a row of the chart's lower part.
_ROW = 0.17


def information_diagram(
    atoms: InformationAtoms, ax: Axes | None = None, unit: Unit = "nats", *, scheme: str | None = None
) -> Axes:
    """A bar for each atom of the information diagram; below it, who shares the atom: filled dots.

    An atom is what the modalities of the filled dots share and the others do not tell. It may be negative where three
    or more share it. ``H(X)`` is the sum of all bars. The hatched part of a bar is counted by Delta.

    Args:
        atoms: of :func:`bounds.information_atoms.information_atoms`.
        ax: what is drawn on; by default a new figure. The dots stand below it, in axes of their own.
        unit: nats or bits.
        scheme: whose Delta is marked; by default the first of the atoms.

    Raises:
        InputError: more modalities than :data:`MOST`, or a scheme that the atoms do not know.
    """
    if len(atoms.names) > MOST:
        raise InputError(f"{len(atoms.names)} modalities have {2 ** len(atoms.names) - 1} atoms: draw at most {MOST}")
    if scheme is not None and scheme not in atoms.shares:
        raise InputError(f"no scheme {scheme!r} among the atoms: there are {', '.join(atoms.shares) or 'none'}")
    chosen = scheme or next(iter(atoms.shares), None)
    count = len(atoms.names)
    ax = axes(ax, 2.3 + _ROW * count)
    order = sorted(atoms.values, key=lambda mask: (mask.bit_count(), members(mask)))
    names: dict[str, str | None] = {"atom": "atom", "part": f"counted by \N{GREEK CAPITAL LETTER DELTA} of {chosen}"}
    for x, mask in enumerate(order):
        quantity = atoms.values[mask]
        if not drawable(quantity):
            text = "no value" if quantity.value is None else f"{quantity.value}"
            ax.text(x, 0, text, rotation=90, ha="center", va="bottom", fontsize=small(ax), color=ink(ax))
            continue
        height = in_unit(float(quantity), unit)
        ax.bar(x, height, 0.7, facecolor=f"{HOLDS}40", edgecolor=HOLDS, label=names.pop("atom", None))
        if chosen is not None:
            part = float(atoms.shares[chosen][mask]) * height
            ax.bar(
                x,
                part,
                0.7,
                facecolor="none",
                edgecolor=REFUTED,
                hatch="/////",
                linewidth=0.8,
                label=names.pop("part", None),
            )
        whisker(ax, x, quantity, unit, ink(ax))
    ax.axhline(0, color=ink(ax), linewidth=0.8)
    ax.set_xticks([])
    ax.set_xlim(-0.7, len(order) - 0.3)
    ax.margins(y=0.1)
    ax.set_ylabel(f"{unit} per example")
    _dots(ax, order, [folded(name, 14, 1) for name in atoms.names])
    return finish(ax, columns=2) if "atom" not in names else say(ax, "no atom has a value")


def _dots(ax: Axes, order: list[int], names: list[str]) -> None:
    """A column of dots for each atom, filled for those who share it; as high as its rows, however high the bars."""
    from matplotlib.transforms import Bbox

    points = 72 * _ROW * len(names)
    below = ax.inset_axes((0.0, -0.5, 1.0, 0.5), sharex=ax)

    def place(_: object, __: object) -> Bbox:
        box = ax.get_position()
        height = points / 72 * ax.figure.dpi / ax.figure.bbox.height
        return Bbox([[box.x0, box.y0 - height], [box.x1, box.y0]])

    below.set_axes_locator(place)
    for x, mask in enumerate(order):
        shared = members(mask)
        below.plot([x, x], [shared[0], shared[-1]], "-", color=ink(ax), linewidth=1)
        for m in range(len(names)):
            full = mask >> m & 1
            style = {"mfc": ink(ax)} if full else {"mfc": "none", "alpha": 0.4}
            below.plot(x, m, "o", ms=4.5, mew=0.7, mec=ink(ax), **style)
    below.set_ylim(len(names) - 0.4, -0.8)
    below.set_yticks(range(len(names)), names)
    below.tick_params(length=0, labelsize=small(ax), labelcolor=ink(ax))
    below.set_xticks([])
    below.patch.set_visible(False)
    for side in below.spines.values():
        side.set_visible(False)
    ax.set_xlabel("shared by the filled, not told by the others", labelpad=points + 2)
