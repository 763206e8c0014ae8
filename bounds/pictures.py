"""A figure as SVG for pages and notebooks: in the colour of the text around it, dark or light, and told in words."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bounds.plots.style import COLUMN, TEXT

#: Stands for the colour of the text around it until the figure is drawn; no figure has this colour of its own.
_INK = "#010203"
#: What figures draw in the colour of the text.
_INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")


@dataclass(frozen=True)
class Picture:
    """A picture with its description; marimo and Jupyter show it.

    Attributes:
        svg: an ``svg`` element without background, as wide as what it is put into; its text is text.
        alt: says in words what it shows, and is part of the element.
        width: in pixels, at most, in a notebook; a narrower column shrinks it.
    """

    svg: str
    alt: str
    width: int

    def _repr_html_(self) -> str:
        return f'<div style="max-width:{self.width}px">{self.svg}</div>'


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
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # text stays text, which is small and sharp, and the same numbers give the same element
    style: Any = dict.fromkeys(_INKED, _INK) | {"axes.facecolor": "none", "font.size": TEXT}
    with rc_context({**style, "svg.hashsalt": "multimodal-bounds", "svg.fonttype": "none"}):
        drawing = Figure(figsize=size, layout="constrained", facecolor="none")
        canvas = FigureCanvasSVG(drawing)  # before the layout, which would make one each time that it measures text
        draw(*subject, ax=drawing.subplots(), **options)
        buffer = io.StringIO()
        canvas.print_figure(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return Picture(_element(buffer.getvalue(), alt), alt, round(125 * size[0]))


def _element(document: str, alt: str) -> str:
    """What of an SVG document may stand among other elements: ids are its own, and it styles nothing but itself."""
    text = document[document.index("<svg") :].strip().replace(_INK, "currentColor")
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'^<svg([^>]*?) width="[^"]*" height="[^"]*"', r"<svg\1", text)  # the view box keeps its shape
    own = "f" + hashlib.sha256(f"{alt}{text}".encode()).hexdigest()[:8]
    text = re.sub(r'\bid="', f'id="{own}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{own}-", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}" stroke-linejoin="round"', 1)
