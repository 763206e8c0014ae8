"""Results as terminal text, JSON or one self-contained HTML page. Bits exist only here."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bounds import plots
from bounds.irreducible import IrreducibleError, LevelBounds, SchemeBounds
from bounds.objectives import OBJECTIVES
from bounds.quantity import Quantity

if TYPE_CHECKING:
    from rich.console import RenderableType

Unit = Literal["nats", "bits"]

#: What each number means, in two sentences.
GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "Delta, the generative discrepancy",
        "The weighted mean of H(unseen modalities | encoded modalities): what the encoded subset leaves unknown about "
        "the rest. It is a floor of the reconstruction error; as a bound on the ELBO it is refuted (quoted bound).",
    ),
    (
        "distortion floor",
        "The least expected negative log-likelihood given the latent, for any encoder and decoder of this scheme: of "
        "all modalities for discrete data, of the unseen ones for continuous data. It is Delta plus the irreducible "
        "ELBO loss, because a decoder that factorises pays for the dependence between unseen parts too.",
    ),
    (
        "irreducible ELBO loss",
        "The weighted total correlation of the unseen parts given the encoded ones: by how much every model of this "
        "scheme stays below -H(X). It does not depend on units of measurement, so for continuous data it is the number "
        "to read; zero does not mean that the loss is zero.",
    ),
    (
        "ELBO ceiling",
        "The highest held-out value that the K=1 ELBO with each encoder's own density can reach, -H(X) minus the loss "
        "above. It holds for every latent space, prior, encoder and decoder that factorises as stated.",
    ),
    (
        "ceiling of the published objective",
        "The same for the objective that the model's released code trains, which may be another one. Never hold one "
        "objective's value against another's ceiling.",
    ),
    (
        "quoted bound",
        "-H(X) - Delta is what Theorem 1 of the paper, as usually quoted, would imply. It is not a ceiling: private "
        "information modelled as decoder noise costs nothing, and simple models exceed it.",
    ),
)

#: What an interval promises.
GUARANTEES: tuple[tuple[str, str], ...] = (
    ("exact", "The law is known, so the number is exact up to rounding. There is no interval."),
    (
        "guaranteed",
        "The interval holds for every law with at least the stated probability and any number of rows, if rows are "
        "independent and no column has symbols that were not observed. It is wide where rows are few.",
    ),
    (
        "model-based",
        "Right if the named model of the data is, for example a Gaussian copula; the interval covers sampling only. "
        "The true entropy of data that do not follow the model may lie elsewhere.",
    ),
    ("none", "The data cannot support the number, so none is printed. The reason stands in its place."),
)


class Cell(NamedTuple):
    """One number as text."""

    value: str
    interval: str = ""
    why: str = ""


class Row(NamedTuple):
    """One quantity for all schemes."""

    name: str
    cells: list[Cell]


def to_json(result: IrreducibleError) -> str:
    """The result as JSON, in nats. Infinities are strings, refused numbers ``null``."""
    return json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


def headline(result: IrreducibleError, unit: Unit = "nats") -> list[str]:
    """The answer in a sentence for each scheme."""
    return list(_headlines(result, unit))


def to_terminal(result: IrreducibleError, unit: Unit = "nats") -> RenderableType:
    """The result as a table for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{result.source}: {result.describe()}", caption=_caption(result, unit), title_justify="left")
    table.add_column(f"{unit} per example")
    for bounds in result.schemes:
        table.add_column(bounds.scheme.label, justify="right")
    for row in table_rows(result, unit):
        table.add_row(row.name, *("\n".join(filter(None, [c.value, c.interval])) for c in row.cells))
    sentences = [Text(f"{result.choice}."), *(Text(sentence) for sentence in headline(result, unit))]
    return Group(table, *sentences, *(Text(f"warning: {warning}", style="yellow") for warning in all_warnings(result)))


def to_html(result: IrreducibleError, unit: Unit = "nats") -> str:
    """The result as one HTML page that needs no network."""
    from jinja2 import Environment

    import bounds

    source = files("bounds").joinpath("templates/irreducible.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, trim_blocks=True).from_string(source)
    page: str = template.render(
        result=result,
        unit=unit,
        headline=headline(result, unit),
        warnings=all_warnings(result),
        caption=_caption(result, unit),
        rows=table_rows(result, unit),
        figures=_figures(result),
        glossary=GLOSSARY,
        objectives={name: objective.meaning for name, objective in OBJECTIVES.items()},
        guarantees=[(name, text) for name, text in GUARANTEES if name in _guarantees(result)],
        version=bounds.__version__,
    )
    return page


def table_rows(result: IrreducibleError, unit: Unit = "nats") -> list[Row]:
    """The numbers of the table, quantity by quantity."""

    def row(name: str, pick: Callable[[SchemeBounds], Quantity | None]) -> Row:
        return Row(name, [_cell(pick(bounds), unit) for bounds in result.schemes])

    entropy = _cell(result.entropy, unit)
    rows = [Row("entropy H(X)", [entropy for _ in result.schemes])]
    paper = row("Delta (paper)", lambda b: b.generative_discrepancy)
    # Numbers that change with the units of measurement do not lead.
    if result.kind == "discrete":
        rows.append(paper)
    levels: list[tuple[str, Callable[[SchemeBounds], LevelBounds | None]]] = [
        ("any decoder inside a modality", lambda b: b.modalities)
    ]
    if any(b.units for b in result.schemes):
        levels.append(("decoder factorised over units", lambda b: b.units))
    for level, at in levels:
        for field, name in (
            ("total_correlation_term", "irreducible ELBO loss"),
            ("elbo_ceiling", "ELBO ceiling"),
            ("published_ceiling", "ceiling of the published objective"),
            ("distortion_floor", "distortion floor"),
        ):
            title = f"{name}, {level}" if len(levels) > 1 else name
            rows.append(row(title, lambda b, at=at, field=field: getattr(at(b), field)))  # type: ignore[misc]
    if result.kind != "discrete":
        rows.append(paper)
    rows.append(row("quoted bound (refuted)", lambda b: b.quoted_bound))
    return rows


def all_warnings(result: IrreducibleError) -> list[str]:
    """The result's warnings and the notes of its numbers, each once."""
    found = dict.fromkeys(result.warnings)
    for bounds in result.schemes:
        for quantity in (bounds.finest.distortion_floor, bounds.finest.elbo_ceiling):
            if quantity is not None:
                found.update(dict.fromkeys(quantity.notes))
    return list(found)


def _headlines(result: IrreducibleError, unit: Unit) -> Iterator[str]:
    for bounds in result.schemes:
        loss = bounds.finest.total_correlation_term
        label = bounds.scheme.label
        if loss is None:
            ceiling = _cell(bounds.finest.published_ceiling, unit).value
            yield f"{label}: a sum of ELBOs; its ceiling is {ceiling} {unit}."
        elif loss.value is None:
            yield f"{label}: no number, {loss.notes[0]}."
        elif loss.value == 0 and loss.guarantee == "exact":
            yield f"{label}: T2 puts no loss on this scheme; the exact optimum may still lie below -H(X)."
        elif loss.guarantee != "exact" and loss.low is not None and loss.low <= 0:
            cell = _cell(loss, unit)
            found = f"estimate {cell.value} {unit}, interval {cell.interval}"
            yield f"{label}: no loss can be shown from these rows ({found})."
        else:
            cell = _cell(loss, unit)
            how = "factorises over units" if bounds.units else "factorises over modalities"
            size = f"{cell.value} {unit}" if loss.guarantee == "exact" else f"an estimated {cell.value} {unit}"
            span = f", interval {cell.interval}" if cell.interval else ""
            yield (
                f"{label}: if the decoder {how}, the K=1 own-density ELBO of every model stays below -H(X) by at least "
                f"{size} per example{span}."
            )


def _cell(quantity: Quantity | None, unit: Unit) -> Cell:
    if quantity is None:
        return Cell("-")
    if quantity.value is None:
        return Cell("none", why=quantity.notes[0] if quantity.notes else "")
    value = _number(quantity.value, unit, 6 if quantity.guarantee == "exact" else 4)
    if quantity.guarantee == "exact" or quantity.low is None or quantity.high is None:
        return Cell(value)
    return Cell(value, f"[{_number(quantity.low, unit, 4)}, {_number(quantity.high, unit, 4)}]")


def _number(nats: float, unit: Unit, digits: int) -> str:
    value = nats / math.log(2) if unit == "bits" else nats
    # rounding may leave a zero with a sign, which means nothing here
    return f"{value:.{digits}f}".replace("-0." + "0" * digits, "0." + "0" * digits)


def _guarantees(result: IrreducibleError) -> set[str]:
    quantities = [result.entropy, *(b.generative_discrepancy for b in result.schemes)]
    quantities += [b.finest.published_ceiling for b in result.schemes]
    return {q.guarantee for q in quantities if q is not None}


def _caption(result: IrreducibleError, unit: Unit) -> str:
    methods = {q.method for b in result.schemes for q in [b.finest.published_ceiling] if q.guarantee != "exact"}
    confidence = result.entropy.confidence
    if not methods or confidence is None:
        return f"Exact, in {unit}." if not methods else f"In {unit}."
    return f"In {unit}, with {confidence:.0%} intervals for each whole combination ({'; '.join(sorted(methods))})."


def _figures(result: IrreducibleError) -> list[dict[str, Any]]:
    drawings: list[tuple[Callable[..., Any], str, str]] = [
        (plots.losses, "Delta and irreducible ELBO loss by scheme", "What each scheme loses. Whiskers are intervals."),
        (
            plots.ceilings,
            "ELBO ceilings by scheme",
            "The ceilings that hold. The quoted bound is dashed because models may exceed it.",
        ),
        (
            plots.growth,
            "Delta and irreducible ELBO loss against the number of modalities",
            "How the loss changes as modalities are added in the order given: Delta dashed, ELBO loss solid.",
        ),
        (
            plots.entropy_profile,
            "Entropy of every subset of modalities against its size",
            "Entropies of all subsets. The flatter at the right, the more the modalities share.",
        ),
    ]
    return [{"alt": alt, "caption": caption, "svg": _svg(draw, result)} for draw, alt, caption in drawings]


def _svg(draw: Callable[..., Any], result: IrreducibleError) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "multimodal-bounds", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        draw(result, figure.subplots())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return base64.b64encode(buffer.getvalue()).decode()
