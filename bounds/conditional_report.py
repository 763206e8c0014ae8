"""One-sided bounds as terminal text, JSON and HTML: every number says which side it bounds, and what that means."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from bounds import plots
from bounds.estimators.one_sided import ConditionalBounds, OneSidedLevel, OneSidedScheme
from bounds.page import render
from bounds.quantity import Quantity, percent
from bounds.report_words import GUARANTEES, LEVELS, ONE_SIDED

if TYPE_CHECKING:
    from rich.console import RenderableType

#: ``"nats"`` or ``"bits"``.
Unit = plots.Unit


class OneSidedRow(NamedTuple):
    """One quantity for all schemes, at a level of the decoder where there are two: pairs of a value and its limit."""

    name: str
    cells: list[tuple[str, str]]
    level: str = ""

    @property
    def title(self) -> str:
        """The name with its level."""
        return f"{self.name}, {self.level}" if self.level else self.name


def one_sided_rows(bounds: ConditionalBounds, unit: Unit = "nats") -> list[OneSidedRow]:
    """The numbers of the table, quantity by quantity."""

    def row(name: str, pick: Callable[[OneSidedScheme], Quantity | None], level: str = "") -> OneSidedRow:
        return OneSidedRow(name, [_cell(pick(one), unit) for one in bounds.schemes], level)

    rows = [
        row("entropy H(X), upper bound", lambda one: bounds.entropy),
        row("Delta, upper bound", lambda one: one.generative_discrepancy),
    ]
    finer = len(bounds.unit_names) > len(bounds.names)
    levels: list[tuple[str, Callable[[OneSidedScheme], OneSidedLevel]]] = [
        (LEVELS[0][0] if finer else "", lambda one: one.modalities)
    ]
    if finer:
        levels.append((LEVELS[1][0], lambda one: one.units or one.modalities))
    for level, at in levels:
        rows += [
            row("distortion floor, upper bound", lambda one, at=at: at(one).distortion_floor, level),  # type: ignore[misc]
            row("irreducible ELBO loss, upper bound", lambda one, at=at: at(one).total_correlation_term, level),  # type: ignore[misc]
            row("ELBO ceiling, lower bound", lambda one, at=at: at(one).elbo_ceiling, level),  # type: ignore[misc]
        ]
    return rows


def one_sided_to_json(bounds: ConditionalBounds, refused: str = "") -> str:
    """The bounds as JSON, in nats, and why there are no others where no estimator supports the data."""
    why = {"estimator_refused": refused} if refused else {}
    document = {"source": bounds.source, "unit": "nats", **why, "conditional": bounds.to_dict()}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def one_sided_to_terminal(bounds: ConditionalBounds, unit: Unit = "nats", refused: str = "") -> RenderableType:
    """The bounds as a table for a terminal, with what they mean, and if so why there are no others."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=_title(bounds), caption=_caption(bounds, unit), title_justify="left")
    table.add_column(f"{unit} per example")
    for one in bounds.schemes:
        table.add_column(one.scheme.label, justify="right")
    for row in one_sided_rows(bounds, unit):
        table.add_row(row.title, *("\n".join(filter(None, cell)) for cell in row.cells))
    sentences = [*([_refusal(refused)] if refused else []), *ONE_SIDED, *bounds.notes]
    return Group(table, *(Text(_sentence(sentence)) for sentence in sentences))


def one_sided_to_html(bounds: ConditionalBounds, unit: Unit = "nats", refused: str = "", *, page: bool = True) -> str:
    """The bounds as one HTML page that needs no network, or as a section of another page."""
    promised = {quantity.guarantee for quantity in bounds.quantities()}
    return render(
        "conditional.html.j2" if page else "one_sided.html.j2",
        title=_title(bounds),
        caption=_caption(bounds, unit),
        refused=_refusal(refused) if refused else "",
        unit=unit,
        schemes=[one.scheme.label for one in bounds.schemes],
        rows=one_sided_rows(bounds, unit),
        meanings=ONE_SIDED,
        notes=bounds.notes,
        guarantees=[(name, text) for name, text in GUARANTEES if name in promised],
    )


def _title(bounds: ConditionalBounds) -> str:
    return f"{bounds.source}: one-sided bounds from held-out losses, {bounds.n} rows, {bounds.kind} data"


def _caption(bounds: ConditionalBounds, unit: Unit) -> str:
    confidence = bounds.entropy.confidence
    level = "" if confidence is None else f", and below them {percent(confidence)} limits ({bounds.entropy.guarantee})"
    means = f"In {unit} per example: mean losses of {bounds.method}{level}."
    return f"{means} A number without a limit holds for every law."


def _refusal(why: str) -> str:
    return f"no entropies are estimated: {why}"


def _cell(quantity: Quantity | None, unit: Unit) -> tuple[str, str]:
    if quantity is None:
        return "-", ""
    if quantity.value is None:
        return "none", ""
    value = f"{plots.in_unit(quantity.value, unit):.4f}"
    if quantity.guarantee == "exact":
        return "0", ""
    if quantity.high is not None:
        return value, f"at most {plots.in_unit(quantity.high, unit):.4f}"
    return value, "" if quantity.low is None else f"at least {plots.in_unit(quantity.low, unit):.4f}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")
