"""Results as terminal text, JSON or one self-contained HTML page. Bits exist only here and in the figures."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from bounds import plots
from bounds.irreducible import IrreducibleError, LevelBounds, SchemeBounds
from bounds.objectives import OBJECTIVES
from bounds.quantity import Quantity
from bounds.subsets import members

if TYPE_CHECKING:
    from rich.console import RenderableType

#: ``"nats"`` or ``"bits"``: what the reader asked for.
Unit = plots.Unit

#: Exact numbers below this share of the largest entropy are zero: the rounding of a sum of float64 entropies.
ROUNDING = 1e-12

#: A scheme's own subsets are listed up to this many.
_LISTED = 7

#: The levels of the table, and what each asks of a decoder.
LEVELS: tuple[tuple[str, str], ...] = (
    (
        "any decoder inside a modality",
        "given the latent, the modalities are decoded independently of each other, and nothing is assumed about the "
        "parts of one modality: its decoder may be autoregressive, for example.",
    ),
    (
        "decoder factorised over units",
        "given the latent, every unit is decoded independently of all others, as with one likelihood for each pixel; a "
        "unit is a column or coordinate of a modality. Fewer decoders are of this kind, so the loss is at least as "
        "large.",
    ),
)

#: What each number means, in a few sentences.
GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "Delta, the generative discrepancy",
        "The weighted mean of H(unseen modalities | encoded modalities): what the encoded subset leaves unknown about "
        "the rest. For discrete data it is a floor of the expected reconstruction error, which is minus the "
        "log-likelihood given the latent. For continuous data it is a floor of that of the unseen modalities only, it "
        "changes with the units of measurement, and it may be negative. -H(X) minus it is no ceiling: see "
        "quoted bound.",
    ),
    (
        "distortion floor",
        "No encoder and decoder of this scheme have a lower expected reconstruction error: of all modalities for "
        "discrete data, of the unseen ones for continuous data, where it changes with the units of measurement (T1). "
        "It is Delta plus the irreducible ELBO loss, because a decoder that factorises pays for the dependence between "
        "unseen parts too.",
    ),
    (
        "irreducible ELBO loss",
        "The weighted total correlation of the unseen parts given the encoded ones. On held-out data the expected K=1 "
        "own-density ELBO of every model of this scheme is at least this far below -H(X), if H(X) is finite (T2). It "
        "does not depend on units of measurement, so for continuous data it is the number to read. Zero means that T2 "
        "says no more than -H(X), not that nothing is lost.",
    ),
    (
        "ELBO ceiling",
        "-H(X) minus the loss above. No model of this scheme can exceed it, on held-out data and in expectation, with "
        "its K=1 own-density ELBO: one sample of the latent, each encoder's own density in the KL (T2). It holds for "
        "every latent space, prior and encoder, and every decoder that factorises as stated. It does not say that a "
        "model comes near.",
    ),
    (
        "ceiling of the published objective",
        "The same for the objective that the model's released code trains, if likelihoods are not rescaled: no model "
        "can exceed it, on held-out data and in expectation. It may be another objective than the ELBO above. Never "
        "hold one objective's value against another's ceiling.",
    ),
    (
        "quoted bound",
        "-H(X) minus Delta is what Theorem 1 of the paper, as usually quoted, would imply for the ELBO (T0). It is not "
        "a ceiling: private information modelled as decoder noise costs nothing, and simple models exceed it.",
    ),
)

#: What an interval promises.
GUARANTEES: tuple[tuple[str, str], ...] = (
    (
        "exact",
        "The law is known, or the number is the same for every law. It is right up to rounding and has no interval.",
    ),
    (
        "guaranteed",
        "The interval holds for every law with at least the stated probability and any number of rows, if rows are "
        "independent and no column has symbols that were not observed. It is wide where rows are few.",
    ),
    (
        "asymptotic",
        "The interval holds with about the stated probability where rows are many and independent.",
    ),
    (
        "model-based",
        "Right if the data follow the named model, for example a Gaussian copula; the interval covers sampling only. "
        "The true number of data that do not follow the model may lie elsewhere.",
    ),
    ("none", "The data cannot support the number, so none is printed. The reason stands in its place."),
)

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


class Figure(NamedTuple):
    """A figure as the page shows it; ``svg`` is in base64."""

    alt: str
    caption: str
    svg: str


def to_json(result: IrreducibleError) -> str:
    """The result as JSON, in nats. Infinities are strings, refused numbers ``null``."""
    return json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


def headline(result: IrreducibleError, unit: Unit = "nats") -> list[str]:
    """The answer in a sentence for each scheme."""
    return [f"{bounds.scheme.label}: {_answer(result, bounds, unit)}" for bounds in result.schemes]


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
        # a reason for a missing number is a sentence: it stands below the table
        cells = [[c.value, c.interval, "" if c.value == "none" else c.why] for c in row.cells]
        table.add_row(row.title, *("\n".join(filter(None, lines)) for lines in cells))
    sentences = [Text(f"{result.choice}."), *(Text(sentence) for sentence in headline(result, unit))]
    return Group(table, *sentences, *(Text(f"warning: {warning}", style="yellow") for warning in all_warnings(result)))


def to_html(result: IrreducibleError, unit: Unit = "nats") -> str:
    """The result as one HTML page that needs no network."""
    from jinja2 import Environment

    import bounds

    rows = table_rows(result, unit)
    reasons = list(dict.fromkeys(cell.why for row in rows for cell in row.cells if cell.value == "none"))
    source = files("bounds").joinpath("templates/irreducible.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True)
    environment.filters["sentence"] = _sentence
    environment.filters["minus"] = lambda text: text.replace("-H(X)", "\N{MINUS SIGN}H(X)")  # a hyphen breaks lines
    page: str = environment.from_string(source).render(
        result=result,
        unit=unit,
        headline=headline(result, unit),
        warnings=[warning for warning in all_warnings(result) if warning not in reasons],
        levels=LEVELS if _has_units(result) else (),
        caption=_caption(result, unit),
        groups=[(level, list(group)) for level, group in groupby(rows, key=lambda row: row.level)],
        reasons=reasons,
        figures=_figures(result, unit),
        glossary=GLOSSARY,
        schemes=[(b.scheme.label, _trained(b, result.names)) for b in result.schemes],
        guarantees=[(name, text) for name, text in GUARANTEES if name in _guarantees(result)],
        version=bounds.__version__,
    )
    return page


def table_rows(result: IrreducibleError, unit: Unit = "nats") -> list[Row]:
    """The numbers of the table, quantity by quantity."""

    def row(name: str, pick: Callable[[SchemeBounds], Quantity | None], level: str = "") -> Row:
        return Row(name, [_cell(result, pick(bounds), unit) for bounds in result.schemes], level)

    def relative(name: str, pick: Callable[[SchemeBounds], Quantity | None], level: str = "") -> Row:
        """A row of numbers relative to ``-H(X)``, which a singular law has not."""
        if not _singular(result):
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


def all_warnings(result: IrreducibleError) -> list[str]:
    """The result's warnings and the notes of its numbers, each once."""
    found = dict.fromkeys(result.warnings)
    for bounds in () if _singular(result) else result.schemes:
        for quantity in (bounds.finest.distortion_floor, bounds.finest.elbo_ceiling):
            if quantity is not None:
                found.update(dict.fromkeys(quantity.notes))
    return list(found)


def _answer(result: IrreducibleError, bounds: SchemeBounds, unit: Unit) -> str:
    loss, published = bounds.finest.total_correlation_term, bounds.finest.published_ceiling
    part = "unit" if bounds.units else "modality"
    if _singular(result):
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
    if loss.guarantee != "exact" and loss.low is not None and loss.low <= 0:
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
        return f"{text} ({quantity.confidence:.0%} interval {cell.interval}, {_promise(quantity)})"
    return f"{text} ({cell.interval}, {_promise(quantity)})"


def _promise(quantity: Quantity) -> str:
    """The guarantee, with the model that a model-based number assumes."""
    for word, model in (("copula", "a Gaussian copula"), ("aussian", "a Gaussian law")):
        if quantity.guarantee == "model-based" and word in quantity.method:
            return f"assuming {model}"
    return quantity.guarantee


def _cell(result: IrreducibleError, quantity: Quantity | None, unit: Unit) -> Cell:
    if quantity is None:
        return Cell("-")
    if quantity.value is None:
        return Cell("none", why=quantity.notes[0] if quantity.notes else "")
    if quantity.guarantee != "exact":
        span = _NO_INTERVAL
        if quantity.low is not None and quantity.high is not None:
            span = f"[{_number(quantity.low, unit, 4)}, {_number(quantity.high, unit, 4)}]"
        return Cell(_number(quantity.value, unit, 4), span)
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


def _singular(result: IrreducibleError) -> bool:
    return result.entropy.value is not None and math.isinf(result.entropy.value)


def _has_units(result: IrreducibleError) -> bool:
    return len(result.unit_names) > len(result.names)


def _guarantees(result: IrreducibleError) -> set[str]:
    quantities = [result.entropy, *(b.generative_discrepancy for b in result.schemes)]
    quantities += [b.finest.published_ceiling for b in result.schemes]
    return {q.guarantee for q in quantities if q is not None}


def _estimate(result: IrreducibleError) -> Quantity | None:
    """The first of the numbers that is an estimate: its method, confidence and guarantee are those of all."""
    quantities = [result.entropy]
    for bounds in result.schemes:
        quantities += [q for q in (bounds.generative_discrepancy, bounds.finest.published_ceiling) if q is not None]
    return next((q for q in quantities if q.guarantee not in ("exact", "none")), None)


def _caption(result: IrreducibleError, unit: Unit) -> str:
    estimate = _estimate(result)
    if _known(result):
        return f"In {unit} per example; the entropies are known, so every number is exact up to rounding."
    if estimate is None or estimate.confidence is None:
        return f"In {unit} per example. Every number is exact, and the same for every law."
    return (
        f"In {unit} per example. In brackets {estimate.confidence:.0%} intervals, {_promise(estimate)}, each for the "
        f"whole combination of entropies ({estimate.method}). A number without brackets is exact, and the same for "
        "every law."
    )


def _trained(bounds: SchemeBounds, names: tuple[str, ...]) -> str:
    """A scheme's subsets with their weights, and what its model trains."""
    scheme = bounds.scheme
    listed = [f"{'+'.join(names[m] for m in members(mask)) or 'nothing'} ({weight})" for mask, weight in scheme]
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    meaning = OBJECTIVES[scheme.objective].meaning
    kind = "coefficients" if scheme.objective == "sub-sampled" else "weights"
    subsets = f"Encoded subsets and their {kind}: {'; '.join(listed[:_LISTED])}{more}."
    return " ".join(filter(None, [_sentence(meaning), scheme.note, subsets]))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _figures(result: IrreducibleError, unit: Unit) -> dict[str, Figure]:
    estimate = _estimate(result)
    intervals = f" Vertical lines are intervals ({_promise(estimate)})." if estimate else ""
    measured = "" if result.kind == "discrete" else " Delta changes with the units of measurement, the loss does not."
    what = "entropies" if result.kind == "discrete" else "differential entropies"

    def figure(draw: Callable[..., Any], alt: str, caption: str) -> Figure:
        return Figure(f"{alt}, in {unit} per example", f"{caption} In {unit} per example.", _svg(draw, result, unit))

    return {
        "losses": figure(
            plots.losses,
            "Delta and irreducible ELBO loss of each scheme",
            f"Delta, and the loss by which T2 keeps the ELBO below -H(X).{intervals}{measured}",
        ),
        "ceilings": figure(
            plots.ceilings,
            "ELBO ceilings of each scheme",
            f"The ceilings that hold, and in grey -H(X){' with its interval' if estimate else ''}.{intervals} The "
            "quoted bound is dashed because models may exceed it; where it is far from the ceilings, an arrow at the "
            "edge gives its number.",
        ),
        "growth": figure(
            plots.growth,
            "Delta and irreducible ELBO loss against the number of modalities",
            f"The same of the first 1, 2, ... modalities: Delta dashed, ELBO loss solid.{intervals}{measured}",
        ),
        "entropy_profile": figure(
            plots.entropy_profile,
            f"The {what} of all subsets of modalities against their size",
            f"The {what} of all subsets{', estimated, without their intervals' if estimate else ''}. "
            f"{_profile_meaning(result)}",
        ),
    }


def _profile_meaning(result: IrreducibleError) -> str:
    if result.entropy.value is None or _singular(result):
        return "The mean is drawn where every subset of a size has a finite value."
    gap = (
        "At the right the dotted line lies above by the total correlation of all modalities: the wider the gap, the "
        "more they share."
    )
    if result.kind == "discrete":
        return gap
    return f"Sign, height and slope change with the units of measurement and mean nothing by themselves. {gap}"


def _svg(draw: Callable[..., Any], result: IrreducibleError, unit: Unit) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Drawing

    with rc_context({"svg.hashsalt": "multimodal-bounds", "svg.fonttype": "none", "font.size": 10}):
        # as wide as a column of the page, so that its text is as large as the page's
        drawing = Drawing(figsize=(4.8, 4.2), layout="constrained")
        draw(result, drawing.subplots(), unit)
        buffer = io.BytesIO()
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    return base64.b64encode(buffer.getvalue()).decode()
