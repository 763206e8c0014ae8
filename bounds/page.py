"""Results as pages: one file each, readable in dark and light, on paper and by keyboard, that loads nothing."""

from __future__ import annotations

from typing import Any


def render(template: str, **values: Any) -> str:
    """A template of ``bounds/templates`` with these values; text in them is escaped.

    >>> render("conditional.html.j2", title="a < b")[:15]
    '<!doctype html>'
    """
    from jinja2 import Environment, PackageLoader

    import bounds

    environment = Environment(autoescape=True, trim_blocks=True, loader=PackageLoader("bounds"))
    environment.filters["sentence"] = sentence
    environment.filters["minus"] = minus_sign
    page: str = environment.get_template(template).render(version=bounds.__version__, **values)
    return page


def sentence(text: str) -> str:
    """The text with a capital and a full stop.

    >>> sentence("it holds")
    'It holds.'
    """
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def minus_sign(text: str) -> str:
    """Lines may break at a hyphen, and not at a minus."""
    return text.replace("-H(", "\N{MINUS SIGN}H(").replace("-distortion", "\N{MINUS SIGN}distortion")
