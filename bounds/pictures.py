"""A figure as SVG for pages and notebooks: in the colour of the text around it, dark or light, and told in words."""

from __future__ import annotations

import gc
import hashlib
import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from bounds.plots.style import COLUMN, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.font_manager import FontProperties
    from matplotlib.transforms import Bbox

#: Stands for the colour of the text around it until the figure is drawn; no figure has this colour of its own.
_INK = "#010203"
#: What figures draw in the colour of the text.
_INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
#: The font that text is measured in, and one that is as wide, for computers without it.
_FONTS = ["DejaVu Sans", "Verdana"]
#: Points between what is drawn and the edge of the picture.
_PAD = 3


@dataclass(frozen=True)
class Picture:
    """A picture with its description; marimo and Jupyter show it.

    Attributes:
        svg: an ``svg`` element without background, as wide as what it is put into; its text is text.
        alt: says in words what it shows, and is part of the element.
        width: in pixels, at most, in a notebook; a narrower column shrinks it while its text can be read, then scrolls.
    """

    svg: str
    alt: str
    width: int

    def _repr_html_(self) -> str:
        narrowest = f'<div style="min-width:{0.66 * self.width:.0f}px">{self.svg}</div>'
        return f'<div style="max-width:{self.width}px;overflow-x:auto">{narrowest}</div>'


class _Layout(NamedTuple):
    """Where the axes of a picture are, and how far what stands around them reaches then."""

    place: Bbox
    reach: tuple[float, ...]


#: The last one of each kind of picture. It fits whatever of the kind reaches as far, to less than a point.
_LAYOUTS: dict[tuple[str, tuple[float, float]], _Layout] = {}


@cache
def settle() -> None:
    """Leaves all that is in memory now out of later searches for unused cycles; once in a process.

    For the last cell of a notebook with sliders. Figures are full of cycles, and to look for them among all that was
    imported takes as long as to draw two more.
    """
    gc.collect()
    gc.freeze()


def picture(
    draw: Callable[..., Any], *subject: Any, alt: str, size: tuple[float, float] = (COLUMN, 2.6), **options: Any
) -> Picture:
    """What a function of :mod:`bounds.plots` draws of a result, as a picture.

    Args:
        draw: called as ``draw(*subject, ax=ax, **options)``.
        subject: what is drawn.
        alt: says in words what the picture shows.
        size: in inches; text has 8 points.
        options: of ``draw``.

    >>> picture(lambda ax: ax.plot([0, 1]), alt="a line").svg[:38]
    '<svg role="img" aria-label="a line" st'
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # text stays text, which is small and sharp, and the same numbers give the same element
    style: Any = dict.fromkeys(_INKED, _INK) | {"axes.facecolor": "none", "font.size": TEXT, "font.sans-serif": _FONTS}
    with rc_context({**style, "svg.hashsalt": "multimodal-bounds", "svg.fonttype": "none"}):
        ax = Figure(figsize=size, dpi=72, facecolor="none").subplots()
        draw(*subject, ax=ax, **options)
        kind = getattr(draw, "__qualname__", ""), size
        kept, start = _LAYOUTS.get(kind), ax.get_position()
        if kept:
            ax.set_position(kept.place)
        document, reach = _drawn(ax)
        if not kept or reach != kept.reach:
            ax.set_position(start)
            _make_room(ax)
            document, reach = _drawn(ax)
            _LAYOUTS[kind] = _Layout(ax.get_position(), reach)
    return Picture(_element(document, alt), alt, round(125 * size[0]))


def _renderer(ax: Axes, document: io.StringIO) -> Any:
    """Of SVG, without groups, to which nothing refers."""
    from matplotlib.backends.backend_svg import RendererSVG

    unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    renderer: Any = RendererSVG(*ax.figure.bbox.size, document, metadata=unsaid)  # type: ignore[no-untyped-call]
    renderer.open_group = renderer.close_group = lambda *_, **__: None
    renderer.get_text_width_height_descent = _text_size
    return renderer


def _drawn(ax: Axes) -> tuple[str, tuple[float, ...]]:
    """An SVG document, and how far axes and text reach."""
    document = io.StringIO()
    renderer = _renderer(ax, document)
    height = ax.figure.bbox.height
    left, bottom, right, top = ax.bbox.extents
    boxes, draw_text = [(left, height - top, right, height - bottom)], renderer.draw_text

    def note(gc: Any, x: float, y: float, text: str, properties: Any, angle: float, ismath: Any, **rest: Any) -> None:
        wide, high, _ = _text_size(text, properties, ismath)
        boxes.append((x, y - high, x + wide, y) if angle == 0 else (x - high, y - wide, x, y))
        draw_text(gc, x, y, text, properties, angle, ismath, **rest)

    renderer.draw_text = note
    ax.figure.draw(renderer)
    renderer.finalize()
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return document.getvalue(), tuple(round(end, 6) for end in (min(x0), min(y0), max(x1), max(y1)))


@lru_cache(maxsize=1000)
def _text_size(text: str, properties: FontProperties, ismath: bool) -> tuple[float, float, float]:
    """Width, height and descent, which pictures of one page ask for again and again."""
    from matplotlib.textpath import text_to_path

    return text_to_path.get_text_width_height_descent(text, properties, ismath)


def _make_room(ax: Axes) -> None:
    """Axes as large as what stands around them allows: the constrained layout of one axes, in a third of its time.

    What is around them is measured again only where the new size has other ticks.
    """
    from matplotlib.transforms import Bbox

    renderer = _renderer(ax, io.StringIO())
    for side in ax.spines.values():
        side.set_in_layout(False)  # it is where the axes end
    width, height = ax.figure.bbox.size
    ticks = None
    for _ in range(3):
        if ticks == (ticks := _ticks(ax)):
            break
        outer: Any = ax.get_tightbbox(renderer, for_layout_only=True)
        left, bottom, right, top = abs(outer.extents - ax.bbox.extents) + _PAD
        ax.set_position(Bbox([[left / width, bottom / height], [1 - right / width, 1 - top / height]]))


def _ticks(ax: Axes) -> list[str]:
    axes = (ax.xaxis, ax.yaxis) if ax.axison else ()
    return [label.get_text() for axis in axes for label in axis.get_ticklabels()]


def _element(document: str, alt: str) -> str:
    """What of an SVG document may stand among other elements: ids are its own, and it styles nothing but itself."""
    text = document[document.index("<svg") :].strip().replace(_INK, "currentColor")
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'^<svg([^>]*?) width="[^"]*" height="[^"]*"', r"<svg\1", text)  # the view box keeps its shape
    own = "f" + hashlib.sha256(f"{alt}{text}".encode()).hexdigest()[:8]
    text = re.sub(r'\bid="', f'id="{own}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{own}-", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}" stroke-linejoin="round"', 1)
