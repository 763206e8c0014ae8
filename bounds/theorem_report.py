"""Theorems and verdicts as terminal text, JSON, HTML and Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bounds.page import render
from bounds.theorems import Theorem, Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

#: What each computed status means.
STATUSES = {
    "proved": "a certificate replays or an identity reduces to zero, and no random case contradicts it",
    "tested": "no random case contradicts it",
    "refuted": "a counterexample was found by search",
    "conditional": "no random case contradicts it under its assumptions, and one was found that does without them",
}


def verdicts_to_terminal(verdicts: Sequence[Verdict]) -> RenderableType:
    """A table of verdicts."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="theorems, each with a status that was computed", title_justify="left")
    for column in ("id", "claim", "status", "examples", "smallest margin", "counterexample"):
        table.add_column(column, justify="right" if column in ("examples", "smallest margin") else "left")
    colours = {"proved": "green", "tested": "green", "refuted": "red", "conditional": "yellow"}
    for verdict in verdicts:
        status = f"[{colours[verdict.status]}]{verdict.status}[/]" + ("" if verdict.as_claimed else " [bold](!)[/]")
        table.add_row(
            verdict.id, escape(verdict.title), status, str(verdict.examples), _margin(verdict), _failure(verdict)
        )
    return table


def verdicts_to_json(verdicts: Sequence[Verdict]) -> str:
    """JSON, in nats."""
    return json.dumps({"unit": "nats", "theorems": [v.to_dict() for v in verdicts]}, indent=2, allow_nan=False)


def verdicts_to_html(theorems: Sequence[Theorem], verdicts: Sequence[Verdict]) -> str:
    """One page that needs no network: every claim with its verdict, proof and counterexample."""
    entries = [(theorem, verdict, show(theorem, verdict)) for theorem, verdict in zip(theorems, verdicts, strict=True)]
    return render("theorems.html.j2", entries=entries, statuses=STATUSES)


def show(theorem: Theorem, verdict: Verdict) -> str:
    """A claim in full: statement, assumptions, what the check found, and the numbers to redo it by hand."""
    lines = [f"{theorem.id}: {theorem.title}", "", theorem.statement, "", f"  {theorem.latex}", ""]
    lines += [f"assumptions: {'; '.join(theorem.assumptions) or 'none'}", f"source: {theorem.source}"]
    if theorem.depends:
        lines.append(f"rests on: {', '.join(theorem.depends)}")
    if theorem.note:
        lines.append(f"note: {theorem.note}")
    lines += ["", f"status: {verdict.status}: {STATUSES[verdict.status]}"]
    lines.append(
        f"checked on {verdict.examples} cases"
        + (f", smallest margin {_margin(verdict)} nats" if _margin(verdict) else "")
    )
    if verdict.tight is not None:
        lines.append(f"margin of the witness of tightness: {verdict.tight:.3g}")
    lines += [f"known case: {note}" for note in verdict.notes]
    if verdict.counterexample is not None:
        dropped = f" without the assumption '{verdict.dropped}'" if verdict.dropped else ""
        lines += ["", f"counterexample{dropped}, margin {verdict.counterexample.margin:.9g} nats:"]
        lines += [f"  {line}" for line in str(verdict.counterexample).splitlines()]
    if verdict.proof is not None:
        lines += ["", f"proof by {verdict.proof.kind}: {verdict.proof.statement}"]
        lines += [f"  {line}" for detail in verdict.proof.details for line in detail.splitlines()]
    return "\n".join(lines)


def verdicts_to_markdown(theorems: Sequence[Theorem], verdicts: Sequence[Verdict]) -> str:
    """The theorem list of the documentation. It holds no number that depends on the machine."""
    lines = [
        "# Theorems",
        "",
        "Generated from the registry by `bounds theorems --markdown docs/theorems.md`; a test fails when it is stale.",
        "The status of each claim is computed, not written down:",
        "",
        *(f"- **{status}**: {meaning}." for status, meaning in STATUSES.items()),
        "",
        "| id | claim | status | proof or counterexample |",
        "|---|---|---|---|",
    ]
    for theorem, verdict in zip(theorems, verdicts, strict=True):
        why = verdict.proof.statement if verdict.proof else ""
        if verdict.counterexample is not None:
            why = f"fails without: {verdict.dropped}" if verdict.dropped else "counterexample by search"
        lines.append(f"| {theorem.id} | {theorem.title} | {verdict.status} | {why.replace('|', chr(92) + '|')} |")
    for theorem, verdict in zip(theorems, verdicts, strict=True):
        lines += ["", f"## {theorem.id}: {theorem.title}", "", theorem.statement, "", f"$${theorem.latex}$$", ""]
        lines.append(f"Status: **{verdict.status}**. Assumptions: {'; '.join(theorem.assumptions) or 'none'}.")
        lines.append(
            f"Source: {theorem.source}." + (f" Rests on {', '.join(theorem.depends)}." if theorem.depends else "")
        )
        if theorem.note:
            lines.append(theorem.note)
    return "\n".join(lines) + "\n"


def _margin(verdict: Verdict) -> str:
    return "" if verdict.smallest_margin is None else f"{verdict.smallest_margin:.2g}"


def _failure(verdict: Verdict) -> str:
    if verdict.counterexample is None:
        return ""
    dropped = f" without: {verdict.dropped}" if verdict.dropped else ""
    return f"fails by {-verdict.counterexample.margin:.6g} nats{dropped}"
