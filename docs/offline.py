"""Built pages load nothing from elsewhere: no script, style sheet, font, image or frame. Links may lead anywhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

#: Attributes from which a browser loads by itself.
_LOADING = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
}
#: Links of a page's head that only say where something is.
_SAYING = {"canonical", "next", "prev", "index", "search", "author", "license", "help", "copyright"}


def external_resources(page: str) -> list[str]:
    """What a browser would fetch from elsewhere to show some HTML.

    >>> external_resources('<img src="a.png"><script src="https://cdn.example/x.js"></script>')
    ['https://cdn.example/x.js']
    """
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            given = {name: value or "" for name, value in attributes}
            names = _LOADING.get(tag, ())
            if tag == "link" and not set(given.get("rel", "").split()) <= _SAYING:
                names = ("href",)
            found.extend(given[name] for name in names if _elsewhere(given.get(name, "")))
            found.extend(_in_style(given.get("style", "")))

    Reader(convert_charrefs=True).feed(page)
    for style in re.findall(r"<style[^>]*>(.*?)</style>", page, re.DOTALL):
        found.extend(_in_style(style))
    return found


def _in_style(style: str) -> list[str]:
    return [url for url in re.findall(r"(?:url\(|@import\s+)['\"]?([^'\")\s]+)", style) if _elsewhere(url)]


def _elsewhere(url: str) -> bool:
    return bool(re.match(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", url, re.IGNORECASE))


def check_pages(app: Sphinx, error: Exception | None) -> None:
    """A warning, which ``make docs`` makes an error, for each thing that a page would fetch."""
    folder = Path(app.outdir)
    for page in sorted([*folder.rglob("*.html"), *folder.rglob("*.css")]):
        text = page.read_text(encoding="utf-8")
        for url in _in_style(text) if page.suffix == ".css" else external_resources(text):
            logging.getLogger(__name__).warning("%s loads %s", page.relative_to(folder), url)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", check_pages)
    return {"parallel_read_safe": True}
