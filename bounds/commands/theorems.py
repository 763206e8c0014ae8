"""``bounds theorems``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from bounds.errors import InputError
from bounds.output import check_writable, print_rich, progress, say, standard_output, write
from bounds.theorem_report import show, verdicts_to_html, verdicts_to_json, verdicts_to_markdown, verdicts_to_terminal
from bounds.theorems import DEFAULT_EXAMPLES, find
from bounds.theorems.registry import verify_all


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    theorems = commands.add_parser(
        "theorems",
        help="check the claims of the theory: proved, tested, refuted or conditional",
        description="Replays proofs, searches for counterexamples, and prints a status that is computed. "
        "'bounds theorems show ID' prints one claim in full, to be verified by hand.",
    )
    theorems.add_argument(
        "ids", nargs="*", metavar="ID", help="such as T2 or T8 (default all); 'show ID' for one in full"
    )
    theorems.add_argument(
        "--examples", type=int, default=DEFAULT_EXAMPLES, metavar="N", help="random cases for each claim"
    )
    theorems.add_argument("--seed", type=int, default=0, metavar="S", help="of the search (default 0)")
    theorems.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="P", help="claims at a time")
    theorems.add_argument("--json", action="store_true", help="JSON to standard output and nothing else there")
    theorems.add_argument("--html", type=Path, metavar="FILE", help="also write one self-contained page")
    theorems.add_argument("--markdown", type=Path, metavar="FILE", help="also write the list for the documentation")
    theorems.set_defaults(run=_theorems)


def _theorems(options: argparse.Namespace) -> int:
    showing = options.ids[:1] == ["show"]
    ids = options.ids[1:] if showing else options.ids
    if showing and not ids:
        raise InputError("show which theorem? Give its id, such as T2")
    if options.processes < 1:
        raise InputError(f"--processes {options.processes}: give at least 1")
    if options.examples < 1:
        raise InputError(f"{options.examples} examples: give at least 1")
    theorems = find(*ids)
    for path in filter(None, (options.html, options.markdown)):
        check_writable(path)
    if showing:
        # an id with continuations means the claim itself
        theorems = tuple(one for one in theorems if one.id in ids) or theorems
    verdicts = []
    processes = min(options.processes, len(theorems))
    with progress() as bar:
        running = verify_all(theorems, options.examples, options.seed, processes)
        for verdict in bar.track(running, total=len(theorems), description="checking"):
            verdicts.append(verdict)
    with standard_output():
        if options.json:
            print(verdicts_to_json(verdicts))
        elif showing:
            print("\n\n".join(show(theorem, verdict) for theorem, verdict in zip(theorems, verdicts, strict=True)))
        else:
            print_rich(verdicts_to_terminal(verdicts))
    for path, text in ((options.html, verdicts_to_html), (options.markdown, verdicts_to_markdown)):
        if path:
            write(path, text(theorems, verdicts))
    wrong = [verdict.id for verdict in verdicts if not verdict.as_claimed]
    if wrong:
        say(f"bounds: not as claimed: {', '.join(wrong)}")
    return 1 if wrong else 0
