"""Results as terminal text, JSON or one self-contained HTML page. Bits exist only here and in the figures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from bounds import plots
from bounds.conditional_report import one_sided_to_html
from bounds.estimators.one_sided import ConditionalBounds
from bounds.irreducible import IrreducibleError, LevelBounds, SchemeBounds
from bounds.ladder import Ladder, Rung
from bounds.objectives import OBJECTIVES
from bounds.page import render, sentence
from bounds.quantity import Quantity, percent
from bounds.report_figures import figures, ladder_figure
from bounds.report_words import (
    GLOSSARY,
    GUARANTEES,
    LEVELS,
    estimates_of,
    is_singular,
    promise,
    some_refused,
    why_no_interval,
)
from bounds.subsets import members

if TYPE_CHECKING:
    from rich.console import RenderableType

#: ``"nats"`` or ``"bits"``: what the reader asked for.
Unit = plots.Unit

#: Exact numbers below this share of the largest entropy are zero: the rounding of a sum of float64 entropies.
ROUNDING = 1e-12

#: A scheme's own subsets are listed up to this many.
_LISTED = 7

_NO_INTERVAL = "no interval"
_SINGULAR = "h(X) is -inf (a singular law), and T2 and the other ceilings need a finite one"


class Cell(NamedTuple):
    """One number as text, with its interval, and in words why there is none or what else to know."""

    value: str
    interval: str = ""
    why: str = ""


class Row(NamedTuple):
    """One quantity for all schemes, at a level of the decoder where there are two."""

    name: str
    cells: list[Cell]
    level: str = ""

    @property
    def title(self) -> str:
        """The name with its level."""
        return f"{self.name}, {self.level}" if self.level else self.name


class RungRow(NamedTuple):
    """A rung of a ladder as text."""

    name: str
    value: str
    interval: str
    guarantee: str
    meaning: str


def to_json(
    result: IrreducibleError, ladders: Sequence[Ladder] = (), conditional: ConditionalBounds | None = None
) -> str:
    """The result as JSON, in nats, with ladders and one-sided bounds if given.

    Infinities are strings, refused numbers ``null``.
    """
    document = result.to_dict()
    if ladders:
        document["ladders"] = {ladder.scheme: ladder.to_dict() for ladder in ladders}
    if conditional:
        document["conditional"] = conditional.to_dict()
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def headline(result: IrreducibleError, unit: Unit = "nats") -> list[str]:
    """The answer in a sentence for each scheme."""
    return [f"{bounds.scheme.label}: {_answer(result, bounds, unit)}" for bounds in result.schemes]


def to_terminal(result: IrreducibleError, unit: Unit = "nats", ladders: Sequence[Ladder] = ()) -> RenderableType:
    """The result as a table for a terminal, and one for each ladder."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{result.source}: {result.describe()}", caption=_caption(result, unit), title_justify="left")
    table.add_column(f"{unit} per example")
    for bounds in result.schemes:
        table.add_column(bounds.scheme.label, justify="right")
    for row in table_rows(result, unit):
        # a reason for a missing number is a sentence: it stands below the table
        cells = [[c.value, c.interval, "" if c.value == "none" else c.why] for c in row.cells]
        table.add_row(row.title, *("\n".join(filter(None, lines)) for lines in cells))
    sentences = [Text(f"{result.choice}."), *(Text(sentence) for sentence in headline(result, unit))]
    cautions = [Text(f"warning: {warning}", style="yellow") for warning in all_warnings(result)]
    return Group(table, *sentences, *_ladders_to_terminal(ladders, unit), *cautions)


def _ladders_to_terminal(ladders: Sequence[Ladder], unit: Unit) -> list[RenderableType]:
    """A table for each scheme, and below all of them each note once."""
    from rich.table import Table
    from rich.text import Text

    shown: list[RenderableType] = []
    for ladder in ladders:
        caption = "; ".join(
            f"{rung.name}: {rung.meaning}" for rung in ladder.rungs if rung.name.startswith("likelihood")
        )
        title = f"{ladder.scheme}: how low the best ELBO really is"
        table = Table(title=title, caption=caption or None, title_justify="left")
        table.add_column("rung")
        table.add_column(f"{unit} per example", justify="right")
        table.add_column("interval", justify="right")
        table.add_column("guarantee")
        for row in ladder_rows(ladder, unit):
            table.add_row(row.name, row.value, row.interval, row.guarantee)
        shown += [table] if ladder.rungs else []
    notes: dict[str, list[str]] = {}
    for ladder in ladders:
        for note in ladder.notes:
            notes.setdefault(note, []).append(ladder.scheme)
    return shown + [Text(f"{', '.join(schemes)}: {note}") for note, schemes in notes.items()]


def to_html(
    result: IrreducibleError,
    unit: Unit = "nats",
    ladders: Sequence[Ladder] = (),
    conditional: ConditionalBounds | None = None,
) -> str:
    """The result as one HTML page that needs no network, with sections on ladders and one-sided bounds if given."""
    rows = table_rows(result, unit)
    reasons = list(dict.fromkeys(cell.why for row in rows for cell in row.cells if cell.value == "none"))
    return render(
        "irreducible.html.j2",
        result=result,
        unit=unit,
        headline=headline(result, unit),
        warnings=[warning for warning in all_warnings(result) if warning not in reasons],
        levels=LEVELS if _has_units(result) else (),
        caption=_caption(result, unit),
        groups=[(level, list(group)) for level, group in groupby(rows, key=lambda row: row.level)],
        reasons=reasons,
        figures=figures(result, unit),
        ladders=[(one, ladder_figure(one, unit), ladder_rows(one, unit)) for one in ladders],
        finer=LEVELS[1][0] if _has_units(result) else "",
        one_sided=one_sided_to_html(conditional, unit, page=False) if conditional else "",
        glossary=GLOSSARY,
        schemes=[(b.scheme.label, _trained(b, result.names)) for b in result.schemes],
        guarantees=[(name, text) for name, text in GUARANTEES if name in _guarantees(result, ladders)],
    )


def table_rows(result: IrreducibleError, unit: Unit = "nats") -> list[Row]:
    """The numbers of the table, quantity by quantity."""

    def row(name: str, pick: Callable[[SchemeBounds], Quantity | None], level: str = "") -> Row:
        return Row(name, [_cell(result, pick(bounds), unit) for bounds in result.schemes], level)

    def relative(name: str, pick: Callable[[SchemeBounds], Quantity | None], level: str = "") -> Row:
        """A row of numbers relative to ``-H(X)``, which a singular law has not."""
        if not is_singular(result):
            return row(name, pick, level)
        return Row(name, [Cell("-") if pick(b) is None else Cell("none", why=_SINGULAR) for b in result.schemes], level)

    paper = row("Delta (paper)", lambda b: b.generative_discrepancy)
    rows = [row("entropy H(X)", lambda b: result.entropy)]
    # Numbers that change with the units of measurement do not lead.
    if result.kind == "discrete":
        rows.append(paper)
    finer = _has_units(result)
    levels: list[tuple[str, Callable[[SchemeBounds], LevelBounds]]] = [
        (LEVELS[0][0] if finer else "", lambda b: b.modalities)
    ]
    if finer:
        levels.append((LEVELS[1][0], lambda b: b.finest))
    for level, at in levels:
        rows += [
            relative("irreducible ELBO loss", lambda b, at=at: at(b).total_correlation_term, level),  # type: ignore[misc]
            relative("ELBO ceiling", lambda b, at=at: at(b).elbo_ceiling, level),  # type: ignore[misc]
            relative("ceiling of the published objective", lambda b, at=at: at(b).published_ceiling, level),  # type: ignore[misc]
            row("distortion floor", lambda b, at=at: at(b).distortion_floor, level),  # type: ignore[misc]
        ]
    if result.kind != "discrete":
        rows.append(paper)
    rows.append(relative("quoted bound (refuted)", lambda b: b.quoted_bound))
    return rows


def ladder_rows(ladder: Ladder, unit: Unit = "nats") -> list[RungRow]:
    """The rungs of one scheme as text, in the order of the ladder."""
    return [_rung_row(rung, unit) for rung in ladder.rungs]


def _rung_row(rung: Rung, unit: Unit) -> RungRow:
    quantity = rung.quantity
    name = rung.name + {"refuted": " (refuted)", "one-sided": " (at least)"}.get(rung.kind, "")
    if quantity.value is None or not math.isfinite(quantity.value):
        why = ": ".join([f"{rung.meaning}; no number", *quantity.notes[:1]])
        return RungRow(name, "none", "", "none", why)
    kind = _kind(quantity)
    digits = 6 if kind in ("exact", "certified") else 4
    interval, confidence = "", ""
    if kind != "exact":
        low, high = (None if end is None else _number(end, unit, digits) for end in (quantity.low, quantity.high))
        interval = _NO_INTERVAL if low is None else f"at least {low}" if high is None else f"[{low}, {high}]"
        confidence = "" if quantity.confidence is None else f", {percent(quantity.confidence)}"
    claim = "certified" if kind == "certified" else promise(quantity)
    value = _number(quantity.value, unit, digits)
    return RungRow(name, value, interval, claim + confidence, rung.meaning)


def _kind(quantity: Quantity) -> str:
    """The guarantee; an interval that is guaranteed with no probability stated is a proved bracket."""
    certified = quantity.guarantee == "guaranteed" and quantity.confidence is None
    return "certified" if certified else quantity.guarantee


def all_warnings(result: IrreducibleError) -> list[str]:
    """The result's warnings and the notes of its numbers, each once."""
    found = dict.fromkeys(result.warnings)
    for bounds in () if is_singular(result) else result.schemes:
        for quantity in (bounds.finest.distortion_floor, bounds.finest.elbo_ceiling):
            if quantity is not None:
                found.update(dict.fromkeys(quantity.notes))
    return list(found)


def _answer(result: IrreducibleError, bounds: SchemeBounds, unit: Unit) -> str:
    loss, published = bounds.finest.total_correlation_term, bounds.finest.published_ceiling
    part = "unit" if bounds.units else "modality"
    if is_singular(result):
        return f"no ceiling is defined: {_SINGULAR}."
    if loss is None:
        if published.value is None:
            return f"a sum of ELBOs; no number: {published.notes[0]}."
        return f"a sum of ELBOs, which in expectation cannot exceed {_in_words(result, published, unit)}."
    if loss.value is None:
        return f"no number: {loss.notes[0]}."
    if _is_zero(result, loss):
        where = "for this law" if _known(result) else f"for every law, as at most one {part} is unseen at a time"
        silent = "T2 does not say whether a model comes near it"
        return f"the loss by T2 is zero {where}: the ELBO ceiling is -H(X), and {silent}."
    if loss.guarantee == "none" or (loss.guarantee != "exact" and loss.low is not None and loss.low <= 0):
        return f"no loss can be shown from these rows: the estimate is {_in_words(result, loss, unit)}."
    how = "units" if bounds.units else "modalities"
    size = _in_words(result, loss, unit)
    amount = size if loss.guarantee == "exact" else f"the irreducible ELBO loss, estimated at {size}"
    return (
        f"if the decoder factorises over {how}, the expected K=1 own-density ELBO of every model of this scheme is, on "
        f"held-out data, below -H(X) by at least {amount}."
    )


def _in_words(result: IrreducibleError, quantity: Quantity, unit: Unit) -> str:
    """A number with its unit and, in parentheses, its interval and guarantee."""
    cell = _cell(result, quantity, unit)
    text = f"{cell.value} {unit} per example"
    if quantity.guarantee == "exact":
        return text
    if quantity.confidence is not None and cell.interval != _NO_INTERVAL:
        return f"{text} ({percent(quantity.confidence)} interval {cell.interval}, {promise(quantity)})"
    if quantity.guarantee == "none":
        return f"{text}, without an interval ({why_no_interval(quantity)})"
    return f"{text} ({cell.interval}, {promise(quantity)})"


def _cell(result: IrreducibleError, quantity: Quantity | None, unit: Unit) -> Cell:
    if quantity is None:
        return Cell("-")
    if quantity.value is None:
        return Cell("none", why=quantity.notes[0] if quantity.notes else "")
    if quantity.guarantee != "exact":
        span, kind = _NO_INTERVAL, ""
        if quantity.low is not None and quantity.high is not None:
            if len({promise(one) for one in estimates_of(result) if one.guarantee != "none"}) > 1:
                kind = promise(quantity)
            span = f"[{_number(quantity.low, unit, 4)}, {_number(quantity.high, unit, 4)}]"
        return Cell(_number(quantity.value, unit, 4), span, kind)
    value = "0.000000" if _is_zero(result, quantity) else _number(quantity.value, unit, 6)
    if float(value) == 0 and not _is_zero(result, quantity):
        value = f"{plots.in_unit(quantity.value, unit):.1e}"  # small, and not zero
    if not _known(result):
        return Cell("0" if _is_zero(result, quantity) else value, why="for every law")
    return Cell(value)


def _number(nats: float, unit: Unit, digits: int) -> str:
    text = f"{plots.in_unit(nats, unit):.{digits}f}"
    # rounding may leave a zero with a sign, which means nothing here
    return text.removeprefix("-") if float(text) == 0 else text


def _is_zero(result: IrreducibleError, quantity: Quantity) -> bool:
    """Whether an exact number is zero but for the rounding of the entropies that cancel in it."""
    if quantity.guarantee != "exact" or quantity.value is None:
        return False
    scale = max((abs(float(h)) for h in result.entropies.values if math.isfinite(h)), default=0.0)
    return abs(quantity.value) <= ROUNDING * scale


def _known(result: IrreducibleError) -> bool:
    """Whether the entropies are exact. Where they are not, an exact number is one for every law."""
    return result.entropy.guarantee == "exact"


def _has_units(result: IrreducibleError) -> bool:
    return len(result.unit_names) > len(result.names)


def _guarantees(result: IrreducibleError, ladders: Sequence[Ladder] = ()) -> set[str]:
    quantities = [result.entropy, *(b.generative_discrepancy for b in result.schemes)]
    quantities += [b.finest.published_ceiling for b in result.schemes]
    rungs = {_kind(rung.quantity) for ladder in ladders for rung in ladder.rungs}
    return {q.guarantee for q in (*quantities, *estimates_of(result)) if q is not None} | rungs


def _caption(result: IrreducibleError, unit: Unit) -> str:
    if _known(result):
        return f"In {unit} per example; the entropies are known, so every number is exact up to rounding."
    estimates = estimates_of(result)
    if not estimates:
        missing = "; of the others the data support none" if some_refused(result) else ""
        return f"In {unit} per example. Every number is exact, and the same for every law{missing}."
    methods: dict[str, str] = {}
    for one in estimates:
        if one.guarantee != "none":
            methods.setdefault(promise(one), one.method)
    said = [f"In {unit} per example."]
    if methods:
        kinds = f"{' or '.join(methods)}{', as each says' if len(methods) > 1 else ''}"
        confidence = "" if estimates[0].confidence is None else f"{percent(estimates[0].confidence)} "
        said.append(
            f"In brackets {confidence}intervals, {kinds}, each for the whole combination of entropies "
            f"({'; or '.join(methods.values())})."
        )
    reasons = dict.fromkeys(why_no_interval(one) for one in estimates if one.guarantee == "none")
    if reasons:
        said.append(f"Without an interval a number is an estimate that shows nothing by itself ({'; '.join(reasons)}).")
    bare = "Any other number" if reasons else "A number without brackets"
    return " ".join([*said, f"{bare} is exact, and the same for every law."])


def _trained(bounds: SchemeBounds, names: tuple[str, ...]) -> str:
    """A scheme's subsets with their weights, and what its model trains."""
    scheme = bounds.scheme
    listed = [f"{'+'.join(names[m] for m in members(mask)) or 'nothing'} ({weight})" for mask, weight in scheme]
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    meaning = OBJECTIVES[scheme.objective].meaning
    kind = "coefficients" if scheme.objective == "sub-sampled" else "weights"
    subsets = f"Encoded subsets and their {kind}: {'; '.join(listed[:_LISTED])}{more}."
    return " ".join(filter(None, [sentence(meaning), scheme.note, subsets]))
