"""A figure as SVG inside a page: its text and axes have the colour of the page's text, dark or light."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import Any

from bounds.plots.style import COLUMN, TEXT

#: Stands for the colour of the page's text until the figure is drawn; no figure has this colour of its own.
_INK = "#010203"


def svg_of(draw: Callable[..., Any], *subject: Any, alt: str, height: float, prefix: str, **options: Any) -> str:
    """An ``svg`` element without background, as wide as a column.

    Args:
        draw: of :mod:`bounds.plots`, called as ``draw(*subject, ax=ax, **options)``.
        subject: what is drawn.
        alt: says in words what is shown.
        height: in inches.
        prefix: of the ids in it, different for each figure of a page.
        options: of ``draw``.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    coloured = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    style: Any = {"svg.hashsalt": prefix, "svg.fonttype": "none", "font.size": TEXT, **dict.fromkeys(coloured, _INK)}
    with rc_context({**style, "axes.facecolor": "none"}):
        drawing = Figure(figsize=(COLUMN, height), layout="constrained", facecolor="none")
        draw(*subject, ax=drawing.subplots(), **options)
        buffer = io.StringIO()
        drawing.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", text)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would be of the whole page
    label = html.escape(alt)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}" stroke-linejoin="round"', 1).strip()
