"""A figure as a picture that notebooks show, with words for who cannot see it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Picture:
    """An SVG with its description; marimo and Jupyter show it as an image.

    Attributes:
        svg: the picture.
        alt: one sentence that says what it shows.
        width: at most, in pixels; a narrower column shrinks it.
    """

    svg: bytes
    alt: str
    width: int

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.svg).decode()
        source = f"data:image/svg+xml;base64,{data}"
        return f'<img src="{source}" alt="{html.escape(self.alt)}" style="width:100%;max-width:{self.width}px">'


def picture(
    draw: Callable[..., Any], *subject: Any, alt: str, size: tuple[float, float] = (5.2, 3.8), **options: Any
) -> Picture:
    """What a function of :mod:`bounds.plots` draws of a result, as a picture.

    Args:
        draw: called as ``draw(*subject, ax=ax, **options)``.
        subject: what is drawn.
        alt: says in words what the picture shows.
        size: in inches; text has 10 points.
        options: of ``draw``.

    >>> picture(lambda ax: ax.plot([0, 1]), alt="a line")._repr_html_()[:31]
    '<img src="data:image/svg+xml;ba'
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # text stays text, which is small and sharp, and the same numbers give the same bytes
    with rc_context({"svg.hashsalt": "multimodal-bounds", "svg.fonttype": "none", "font.size": 10}):
        drawing = Figure(figsize=size, layout="constrained")
        draw(*subject, ax=drawing.subplots(), **options)
        buffer = io.BytesIO()
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    return Picture(buffer.getvalue(), alt, round(100 * size[0]))
