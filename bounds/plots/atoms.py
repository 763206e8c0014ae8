"""What is shared by which modalities, and which of it Delta counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

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
        ax: what is drawn on; by default a new figure. The dots stand below it.
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
    found = {x: atoms.values[mask] for x, mask in enumerate(order) if drawable(atoms.values[mask])}
    for x in sorted(set(range(len(order))) - set(found)):
        value = atoms.values[order[x]].value
        text = "no value" if value is None else f"{value}"
        ax.text(x, 0, text, rotation=90, ha="center", va="bottom", fontsize=small(ax), color=ink(ax))
    heights = [in_unit(float(quantity), unit) for quantity in found.values()]
    ax.bar(list(found), heights, 0.7, facecolor=f"{HOLDS}40", edgecolor=HOLDS, label="atom")
    if chosen is not None:
        parts = {x: float(atoms.shares[chosen][order[x]]) * height for x, height in zip(found, heights, strict=True)}
        style: dict[str, Any] = {"facecolor": "none", "edgecolor": REFUTED, "hatch": "/////", "linewidth": 0.8}
        counted = f"counted by \N{GREEK CAPITAL LETTER DELTA} of {chosen}"
        ax.bar(list(parts), list(parts.values()), 0.7, label=counted, **style)
    for x, quantity in found.items():
        whisker(ax, x, quantity, unit, ink(ax))
    ax.axhline(0, color=ink(ax), linewidth=0.8)
    ax.set_xticks([])
    ax.set_xlim(-0.7, len(order) - 0.3)
    ax.margins(y=0.1)
    ax.set_ylabel(f"{unit} per example")
    _dots(ax, order, [folded(name, 14, 1) for name in atoms.names])
    return finish(ax, columns=2) if found else say(ax, "no atom has a value")


def _dots(ax: Axes, order: list[int], names: list[str]) -> None:
    """A column of dots for each atom, filled for those who share it; as high as its rows, however high the bars."""
    from matplotlib.transforms import Affine2D, ScaledTranslation, blended_transform_factory

    inches = ax.figure.dpi_scale_trans
    row = Affine2D().translate(0, 0.6).scale(1, -_ROW) + inches + ScaledTranslation(0, 0, ax.transAxes)  # type: ignore[arg-type]
    below = blended_transform_factory(ax.transData, row)
    shared = [members(mask) for mask in order]
    lines = [(x, m) for x, ms in enumerate(shared) for m in (ms[0], ms[-1], math.nan)]
    ax.plot([x for x, _ in lines], [m for _, m in lines], color=ink(ax), linewidth=1, transform=below, clip_on=False)
    full = [(x, m) for x, ms in enumerate(shared) for m in ms]
    hollow = [(x, m) for x, ms in enumerate(shared) for m in range(len(names)) if m not in ms]
    style: dict[str, Any] = {"ms": 4.5, "mew": 0.7, "mec": ink(ax), "transform": below, "clip_on": False}
    for dots, fill, alpha in ((full, ink(ax), 1.0), (hollow, "none", 0.4)):
        ax.plot([x for x, _ in dots], [m for _, m in dots], "o", mfc=fill, alpha=alpha, **style)
    left = blended_transform_factory(ax.transAxes, row)
    for m, name in enumerate(names):
        ax.text(-0.01, m, name, transform=left, ha="right", va="center", fontsize=small(ax), color=ink(ax))
    ax.set_xlabel("shared by the filled, not told by the others", labelpad=72 * _ROW * len(names) + 2)
