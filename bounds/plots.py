"""Results to matplotlib axes, in nats or bits. Nothing is computed here but positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from bounds.irreducible import IrreducibleError, SchemeBounds
from bounds.ladder import Ladder, Rung
from bounds.quantity import Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What a reader may ask for. Everything before plots and reports is in nats.
Unit = Literal["nats", "bits"]

#: Okabe and Ito's palette, told apart by most colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

#: How many times as wide as the numbers that matter most an axis becomes for the sake of the others.
_WIDEST = 10.0
#: Numbers that spread over less than this share of their size are one number, and leave the axis to the others.
_ONE = 1e-3

_Pick = Callable[[SchemeBounds], Quantity | None]


class _Ceilings(NamedTuple):
    """One kind of ceiling, a mark for each scheme."""

    label: str
    marker: str
    colour: str
    pick: _Pick


def in_unit(nats: float, unit: Unit) -> float:
    """A number of nats in nats or bits.

    >>> in_unit(math.log(8), "bits")
    3.0
    """
    return nats / math.log(2) if unit == "bits" else nats


def entropy_profile(result: IrreducibleError, ax: Axes, unit: Unit = "nats") -> Axes:
    """Entropy of every subset against its size, their mean, and the line it would follow without dependence.

    The line has slope ``mean_m H(X_m)``, so its distance from ``H(X)`` at the right is the total correlation.
    """
    h, count = result.entropies, len(result.names)
    known: dict[int, list[float]] = {0: [0.0]}
    for mask in range(1, 1 << count):
        if mask not in h.refusals and math.isfinite(h[mask]):
            known.setdefault(mask.bit_count(), []).append(in_unit(h[mask], unit))
    for size, values in known.items():
        if size:
            ax.scatter([size] * len(values), values, s=18, color=COLOURS[0], alpha=0.6, zorder=3)
    # a mean over some subsets only would bend the line
    means = [
        sum(values) / len(values) if len(values := known.get(size, [])) == math.comb(count, size) else math.nan
        for size in range(count + 1)
    ]
    ax.plot(range(count + 1), means, color=COLOURS[1], label="mean over subsets of a size")
    if math.isfinite(means[1]):
        ax.plot([0, count], [0, count * means[1]], ":", color="0.4", label="the same if modalities were independent")
    ax.set_xticks(range(count + 1))
    ax.set_xlabel("modalities in the subset")
    ax.set_ylabel(f"{'entropy' if result.kind == 'discrete' else 'differential entropy'} ({unit} per example)")
    if len(known) == 1:
        return _say(ax, "no entropy to draw")
    return _finish(ax)


def losses(result: IrreducibleError, ax: Axes, unit: Unit = "nats") -> Axes:
    """Delta and the irreducible ELBO loss of each scheme, with their intervals."""
    bounds = [b for b in result.schemes if b.generative_discrepancy]
    series: list[tuple[str, list[Quantity | None]]] = [
        (_at_level(result, "ELBO loss"), [_defined(result, b.modalities.total_correlation_term) for b in bounds]),
    ]
    if any(b.units for b in bounds):
        finest = [_defined(result, b.finest.total_correlation_term) for b in bounds]
        series.append(("ELBO loss, decoder factorised over units", finest))
    series.append((r"$\Delta$ (paper)", [b.generative_discrepancy for b in bounds]))
    width = 0.8 / len(series)
    for i, (label, quantities) in enumerate(series):
        for x, quantity in enumerate(quantities):
            place = x + (i - (len(series) - 1) / 2) * width
            _bar(ax, place, quantity, width, COLOURS[i], label if x == 0 else None, unit)
    ax.axhline(0, color="0.4", linewidth=0.8)
    _name_schemes(ax, bounds)
    ax.set_ylabel(f"{unit} per example")
    return _finish(ax) if bounds else _say(ax, "no scheme is a mixture over subsets")


def ceilings(result: IrreducibleError, ax: Axes, unit: Unit = "nats") -> Axes:
    """-H(X), the ceilings that hold, and the quoted bound, which does not (dashed).

    The axis is that of the numbers that hold. A quoted bound far from them is an arrow at the edge with its number. A
    sum of ELBOs is on another scale than their mean and is left out.
    """
    schemes = [b for b in result.schemes if b.finest.elbo_ceiling]
    kinds = [
        _Ceilings(_at_level(result, "ELBO ceiling"), "o", COLOURS[0], lambda b: b.modalities.elbo_ceiling),
        _Ceilings(
            "ELBO ceiling, decoder factorised over units",
            "s",
            COLOURS[2],
            lambda b: b.units.elbo_ceiling if b.units else None,
        ),
        _Ceilings("ceiling of the published objective", "x", COLOURS[6], lambda b: b.finest.published_ceiling),
    ]
    drawn = [kind for kind in kinds if any(_drawable(kind.pick(b)) for b in schemes)]
    ax.set_ylabel(f"ELBO ({unit} per example)")
    _name_schemes(ax, schemes)
    if not drawn or not _drawable(result.entropy):
        return _say(ax, "no ceiling to draw")
    low, value, high = (-number for number in _span(result.entropy, unit)[::-1])
    ax.axhline(value, color="0.3", linewidth=1, label="$-H(X)$: no expected ELBO is above")
    if low < high:
        ax.axhspan(low, high, color="0.3", alpha=0.1, linewidth=0)  # its interval
    holding = [low, value, high]
    for i, kind in enumerate(drawn):
        found = [(x, q) for x, b in enumerate(schemes) if (q := kind.pick(b)) is not None and _drawable(q)]
        at = [x + (i - (len(drawn) - 1) / 2) * 0.2 for x, _ in found]
        values = [in_unit(float(q), unit) for _, q in found]
        ax.plot(at, values, kind.marker, ms=6, mew=1.6, color=kind.colour, label=kind.label, zorder=3)
        for place, (_, quantity) in zip(at, found, strict=True):
            _whisker(ax, place, quantity, unit, kind.colour)
            holding += _span(quantity, unit)
    quoted = [(x, q) for x, b in enumerate(schemes) if (q := b.quoted_bound) is not None and _drawable(q)]
    _quote(ax, [(x, in_unit(float(q), unit)) for x, q in quoted], holding)
    return _finish(ax)


def _quote(ax: Axes, quoted: Sequence[tuple[int, float]], holding: Sequence[float]) -> None:
    """Sets the axis by the numbers that hold; draws the quoted bounds that fit as dashes and the others as arrows."""
    bottom, top = min(holding), max(holding)
    span = top - bottom
    if span <= 1e-9 * max(abs(bottom), abs(top)):  # one number up to rounding: nothing to keep apart
        near = list(quoted)
    else:
        near = [(x, y) for x, y in quoted if bottom - span <= y <= top + span]
    bottom, top = min([bottom, *(y for _, y in near)]), max([top, *(y for _, y in near)])
    room = (top - bottom) or 0.1 * abs(top) or 1.0
    below = [(x, y) for x, y in quoted if (x, y) not in near and y < bottom]
    above = [(x, y) for x, y in quoted if (x, y) not in near and y > top]
    ax.set_ylim(bottom - room * (0.35 if below else 0.1), top + room * (0.35 if above else 0.1))
    style = {"colors": COLOURS[1], "linestyles": "dashed"}
    label = "quoted bound: refuted, models may exceed it"
    xs = [x for x, _ in near]
    ax.hlines([y for _, y in near], [x - 0.35 for x in xs], [x + 0.35 for x in xs], label=label, **style)  # type: ignore[arg-type]
    for far, edge, tail in ((below, 0.0, 0.09), (above, 1.0, 0.91)):
        for x, y in far:
            ax.annotate(
                "",
                xy=(x, edge),
                xytext=(x, tail),
                xycoords=("data", "axes fraction"),
                textcoords=("data", "axes fraction"),
                arrowprops={"arrowstyle": "->", "color": COLOURS[1], "linestyle": "dashed"},
            )
            number = f"{y:.4g}".replace("-", "\N{MINUS SIGN}")
            side = "bottom" if edge == 0 else "top"
            ax.text(x, tail, number, transform=ax.get_xaxis_transform(), ha="center", va=side, color=COLOURS[1])


def growth(result: IrreducibleError, ax: Axes, unit: Unit = "nats") -> Axes:
    """Delta (dashed) and the irreducible ELBO loss (solid) of the first 1, 2, ... modalities."""
    h, labels = result.entropies, list(dict.fromkeys(step.scheme for step in result.growth))
    ax.set_xticks(range(1, len(result.names) + 1))
    ax.set_xlim(0.8, len(result.names) + 0.2)
    ax.set_xlabel("number of modalities, in the order given")
    ax.set_ylabel(f"{unit} per example")
    if not labels:
        return _say(ax, "only schemes of a known family grow")
    drawn = list(zip(COLOURS, labels, strict=False))
    for style, name, meaning in (
        ("--", "generative_discrepancy", r"$\Delta$"),
        ("-", "total_correlation_term", "ELBO loss"),
    ):
        for i, (colour, label) in enumerate(drawn):
            beside = (i - (len(drawn) - 1) / 2) * 0.06  # so that whiskers stay apart
            found = [(step.n_modalities, getattr(step, name)) for step in result.growth if step.scheme == label]
            known = [(m + beside, q) for m, q in found if _drawable(q) and not math.isinf(h[(1 << m) - 1])]
            values = [in_unit(float(q), unit) for _, q in known]
            ax.plot([x for x, _ in known], values, style, marker="o", ms=4, color=colour, label=f"{label}: {meaning}")
            for x, quantity in known:
                _whisker(ax, x, quantity, unit, colour)
    return _finish(ax, columns=2)


def ladder(ladder: Ladder, ax: Axes, unit: Unit = "nats") -> Axes:
    """A row for each rung, from the highest to the lowest, the refuted one last and dashed.

    The axis is that of -H(X), the ELBO ceiling and the optimum. A number far from them is an arrow at the edge.
    """
    rungs = [rung for rung in ladder.rungs if _drawable(rung.quantity)]
    ax.set_xlabel(f"ELBO ({unit} per example)")
    if not rungs:
        return _say(ax, "no number to draw")
    size = max(abs(float(rung.quantity)) for rung in rungs)
    # rounding must not order equal numbers; the sort keeps the order of the ladder
    rungs.sort(key=lambda rung: (rung.kind == "refuted", -round(float(rung.quantity) / size, 5) if size else 0.0))
    low, high = _reach(rungs, unit)
    room = 0.1 * ((high - low) or abs(high) or 1.0)
    ax.set_xlim(low - room, high + room)
    ax.set_yticks(range(len(rungs)), [_rung_name(rung) for rung in rungs])
    ax.set_ylim(len(rungs) - 0.5, -0.7)
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)
    for place, rung in enumerate(rungs):
        (_far_rung if _outside(rung, low, high, unit) else _near_rung)(ax, place, rung, unit)
    ax.ticklabel_format(axis="x", useOffset=False)
    ax.locator_params(axis="x", nbins=5)
    return ax


def _reach(rungs: Sequence[Rung], unit: Unit) -> tuple[float, float]:
    """The ends of the axis: what matters most, and as many of the others as do not squeeze it."""
    spans = {rung.name: _span(rung.quantity, unit) for rung in rungs}
    core = [rung for rung in rungs if rung.name == "-H(X)" or rung.name.startswith(("ELBO", "optimum"))] or rungs
    low, high = min(min(spans[r.name]) for r in core), max(max(spans[r.name]) for r in core)
    alone = high - low <= _ONE * max(abs(low), abs(high))
    widest = math.inf if alone else _WIDEST * (high - low)
    others = [rung for rung in rungs if rung not in core]
    for rung in sorted(others, key=lambda r: max(low - min(spans[r.name]), max(spans[r.name]) - high)):
        lower, upper = min(low, *spans[rung.name]), max(high, *spans[rung.name])
        if upper - lower <= widest:
            low, high = lower, upper
    return low, high


def _outside(rung: Rung, low: float, high: float, unit: Unit) -> bool:
    return not low <= in_unit(float(rung.quantity), unit) <= high


def _rung_name(rung: Rung) -> str:
    name = rung.name.replace("-", "\N{MINUS SIGN}", 1) if rung.name.startswith("-") else rung.name
    claim = {"refuted": "(refuted)", "one-sided": "(at least)"}.get(rung.kind, "")
    return "\n".join(filter(None, [name.replace(" on these", "\non these"), claim]))


def _rung_colour(rung: Rung) -> str:
    if rung.kind == "refuted":
        return COLOURS[1]
    return {"-H(X)": "0.3", "ELBO ceiling": COLOURS[0]}.get(rung.name, COLOURS[2 if "optimum" in rung.name else 6])


def _near_rung(ax: Axes, place: int, rung: Rung, unit: Unit) -> None:
    low, value, high = _span(rung.quantity, unit)
    colour = _rung_colour(rung)
    if rung.name.startswith("optimum"):
        ax.hlines(place, low, high, color=colour, linewidth=6)
        ax.plot([low, high], [place, place], "|", color=colour, ms=15, mew=4)  # seen where the bracket is narrow
    else:
        dashed = "dashed" if rung.kind == "refuted" else "solid"
        ax.vlines(value, place - 0.22, place + 0.22, color=colour, linewidth=2, linestyle=dashed)
        if low < high:
            ax.hlines(place, low, high, color=colour, linewidth=1.5, linestyle=dashed)
    # towards the middle of the axis, so that it does not leave it
    left, right = ax.get_xlim()
    share = (value - left) / (right - left)
    side = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    ax.text(value, place - 0.27, _shown(rung.quantity, unit), ha=side, va="bottom", color=colour, fontsize="small")


def _far_rung(ax: Axes, place: int, rung: Rung, unit: Unit) -> None:
    """An arrow at the edge towards the number."""
    value, colour = in_unit(float(rung.quantity), unit), _rung_colour(rung)
    edge, tail, side = (0.0, 0.14, "left") if value < ax.get_xlim()[0] else (1.0, 0.86, "right")
    across = ax.get_yaxis_transform()
    style = {"arrowstyle": "->", "color": colour, "linestyle": "dashed" if rung.kind == "refuted" else "solid"}
    ax.annotate("", xy=(edge, place), xytext=(tail, place), xycoords=across, textcoords=across, arrowprops=style)
    shift = 0.02 if side == "left" else -0.02
    text = _shown(rung.quantity, unit)
    ax.text(edge + shift, place - 0.27, text, transform=across, ha=side, va="bottom", color=colour, fontsize="small")


def _shown(quantity: Quantity, unit: Unit) -> str:
    """A number as a figure shows it: four decimals, and both ends of a bracket that is wider."""
    # rounding may leave a zero with a sign
    low, value, high = (f"{number:.4f}".replace("-0.0000", "0.0000") for number in _span(quantity, unit))
    bracket = quantity.guarantee == "guaranteed" and quantity.confidence is None and low != high
    text = f"{low} to {high}" if bracket else value
    return text.replace("-", "\N{MINUS SIGN}")


def _bar(
    ax: Axes, place: float, quantity: Quantity | None, width: float, colour: str, label: str | None, unit: Unit
) -> None:
    if quantity is None or not _drawable(quantity):
        ax.bar(place, 0, width, color=colour, label=label)
        text = "no value" if quantity is None or quantity.value is None else f"{quantity.value}"
        ax.text(place, 0, text, rotation=90, ha="center", va="bottom", fontsize="small")
        return
    ax.bar(place, in_unit(float(quantity), unit), width, color=colour, label=label)
    _whisker(ax, place, quantity, unit, "0.2")


def _whisker(ax: Axes, place: float, quantity: Quantity, unit: Unit, colour: str) -> None:
    """The interval of a number that is not exact. A guaranteed one need not contain the point estimate."""
    low, _, high = _span(quantity, unit)
    if low < high:
        ax.vlines(place, low, high, color=colour, linewidth=1.2)


def _span(quantity: Quantity, unit: Unit) -> tuple[float, float, float]:
    """Lower end, value and upper end; all the value where there is no interval."""
    value = float(quantity)
    low = value if quantity.low is None else quantity.low
    high = value if quantity.high is None else quantity.high
    return in_unit(low, unit), in_unit(value, unit), in_unit(high, unit)


def _drawable(quantity: Quantity | None) -> bool:
    return quantity is not None and quantity.value is not None and math.isfinite(quantity.value)


def _defined(result: IrreducibleError, loss: Quantity | None) -> Quantity | None:
    """T2 speaks of a distance from ``-H(X)``, which a singular law has not."""
    return None if result.entropy.value is not None and math.isinf(result.entropy.value) else loss


def _at_level(result: IrreducibleError, name: str) -> str:
    finer = any(b.units for b in result.schemes)
    return f"{name}, any decoder inside a modality" if finer else name


def _name_schemes(ax: Axes, schemes: Sequence[SchemeBounds]) -> None:
    labels = [b.scheme.label for b in schemes]
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    if sum(map(len, labels)) > 30:
        for text in ax.get_xticklabels():
            text.set(rotation=20, ha="right", rotation_mode="anchor")


def _finish(ax: Axes, columns: int = 1) -> Axes:
    """The legend above the axes, where it covers nothing, and tick labels that need no sum."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small", ncols=columns)
    ax.ticklabel_format(axis="y", useOffset=False)
    return ax


def _say(ax: Axes, text: str) -> Axes:
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center")
    return ax
