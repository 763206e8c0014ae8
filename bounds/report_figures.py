"""The figures of a page: what each shows, in words below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bounds import plots
from bounds.information_atoms import information_atoms
from bounds.irreducible import IrreducibleError
from bounds.ladder import Ladder
from bounds.pictures import Picture, picture
from bounds.report_words import estimate_of, is_singular, promise


class Figure(NamedTuple):
    """A figure as a page shows it."""

    caption: str
    picture: Picture


def figures(result: IrreducibleError, unit: plots.Unit) -> dict[str, Figure]:
    """The figures of a result by name; ``information_diagram`` is left out where it cannot be drawn."""
    estimate = estimate_of(result)
    intervals = f" Vertical lines are intervals ({promise(estimate)})." if estimate else ""
    measured = "" if result.kind == "discrete" else " Delta changes with the units of measurement, the loss does not."
    what = "entropies" if result.kind == "discrete" else "differential entropies"

    def figure(draw: Callable[..., Any], alt: str, caption: str, subject: Any = result, height: float = 2.8) -> Figure:
        words = f"{alt}, in {unit} per example"
        drawn = picture(draw, subject, unit=unit, alt=words, size=(plots.COLUMN, height))
        return Figure(f"{caption} In {unit} per example.", drawn)

    found = {
        "losses": figure(
            plots.losses,
            "Delta and irreducible ELBO loss of each scheme",
            f"Delta, hatched, and the loss by which T2 keeps the ELBO below -H(X).{intervals}{measured}",
        ),
        "ceilings": figure(
            plots.ceilings,
            "ELBO ceilings of each scheme",
            f"The ceilings that hold, and as a line -H(X){' with its interval' if estimate else ''}.{intervals} The "
            "quoted bound is dashed because it is no ceiling: models of some laws exceed it, though not of every law. "
            "Where it is far from the ceilings, an arrow at the edge gives its number.",
            height=3.1,
        ),
        "growth": figure(
            plots.growth,
            "Delta and irreducible ELBO loss against the number of modalities",
            f"The same of the first 1, 2, ... modalities: Delta hollow, ELBO loss filled.{intervals}{measured}",
        ),
        "entropy_profile": figure(
            plots.entropy_profile,
            f"The {what} of all subsets of modalities against their size",
            f"The {what} of all subsets{', estimated, without their intervals' if estimate else ''}. "
            f"{_profile_meaning(result)}",
        ),
    }
    if 1 < len(result.names) <= plots.MOST and not is_singular(result):
        mixtures = [b.scheme for b in result.schemes if b.generative_discrepancy]
        confidence = (estimate and estimate.confidence) or 0.95
        shown = max(mixtures, key=lambda scheme: len(scheme.weights), default=None)  # of the full posterior Delta is 0
        atoms = information_atoms(result.entropies, [shown] if shown else [], confidence=confidence)
        mark = f", and hatched what of it the Delta of {shown.label} counts" if shown else ""
        found["information_diagram"] = figure(
            plots.information_diagram,
            "What each group of modalities shares that the others do not tell",
            f"What the modalities of the filled dots share and the others do not tell{mark}. All bars together are "
            f"H(X); shared by three or more, a bar may be negative.{intervals}{measured}",
            atoms,
            2.4 + 0.17 * len(result.names),
        )
    return found


def ladder_figure(ladder: Ladder, unit: plots.Unit) -> Figure:
    """The ladder of one scheme."""
    bracket = next((f", the thick bracket the {r.name}" for r in ladder.rungs if r.name.startswith("optimum")), "")
    words = f"Numbers on the axis of the ELBO of {ladder.scheme}, in {unit} per example"
    height = 0.7 + 0.36 * max(len(ladder.rungs), 1)
    return Figure(
        f"{ladder.scheme}, in {unit} per example, the highest number first: lines are values with their intervals"
        f"{bracket}. The quoted bound comes last and is dashed because it is refuted as a ceiling; an arrow at the "
        "edge is a number too far away to draw.",
        picture(plots.ladder, ladder, unit=unit, alt=words, size=(plots.COLUMN, height)),
    )


def _profile_meaning(result: IrreducibleError) -> str:
    if result.entropy.value is None or is_singular(result):
        return "The mean is drawn where every subset of a size has a finite value."
    gap = (
        "At the right the dotted line lies above by the total correlation of all modalities: the wider the gap, the "
        "more they share."
    )
    if result.kind == "discrete":
        return gap
    return f"Sign, height and slope change with the units of measurement and mean nothing by themselves. {gap}"
