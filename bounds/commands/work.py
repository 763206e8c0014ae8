"""What several commands do: read, bound, show, write."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bounds.commands.options import schemes_of, types_of, unit_of
from bounds.errors import InputError
from bounds.irreducible import Data, IrreducibleError, irreducible_error
from bounds.output import check_writable, print_rich, progress, say, standard_output, tracker
from bounds.readers import read
from bounds.report import to_json, to_terminal
from bounds.samples import Samples

if TYPE_CHECKING:
    from rich.progress import Progress


def read_data(options: argparse.Namespace) -> Any:
    """DATA, by the rule for missing values."""
    return read(options.data, options.modalities, types_of(options.type), missing=options.missing)


def say_notes(data: Any) -> None:
    """What was done to the rows, where the result itself has no room for it."""
    for note in data.notes if isinstance(data, Samples) else ():
        say(f"bounds: {note}")


def check_page(page: Path, *inputs: str | None) -> None:
    """A page can be written, and not over what is read."""
    if page.resolve() in {Path(one).resolve() for one in inputs if one is not None}:
        raise InputError(f"--html {page} is the data file: choose another name")
    check_writable(page)


def bound(data: Data, options: argparse.Namespace, source: str) -> IrreducibleError:
    """The bounds of data as the options ask, with a bar."""
    with progress() as bar:
        return irreducible_error(
            data,
            schemes_of(options),
            estimator=getattr(options, "estimator", "auto"),
            interval=getattr(options, "interval", "auto"),
            block=getattr(options, "block", 1),
            confidence=options.confidence,
            source=source,
            track=tracker(bar),
        )


def show_results(results: Sequence[IrreducibleError], options: argparse.Namespace) -> None:
    """Tables, or JSON, on standard output."""
    with standard_output():
        if options.json:
            pages = [to_json(result) for result in results]
            print(pages[0] if len(pages) == 1 else "[" + ",\n".join(pages) + "]")
            return
        for result in results:
            print_rich(to_terminal(result, unit_of(options)), "")


class Certifying:
    """Shows how a certificate goes: the bracket's width so far, and how many cells are open."""

    def __init__(self, bar: Progress, label: str) -> None:
        self._bar, self._label = bar, label
        self._task = bar.add_task(f"{label}: certifying", total=None)

    def __call__(self, cells: int, open_cells: int, gap: float) -> None:
        """Shows how many cells there are, how many are open, and how wide the bracket is."""
        self._bar.update(
            self._task, description=f"{self._label}: {open_cells} of {cells} cells open, bracket {gap:.1e}"
        )
