"""``bounds demo``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from bounds.commands.options import add_scheme_and_output, unit_of
from bounds.commands.work import Certifying, bound, show_results
from bounds.demo import DATASETS
from bounds.errors import InputError
from bounds.ladder import ladders
from bounds.output import check_writable, progress, say, write
from bounds.report import to_html

#: For the optimum of each scheme of a demo: a page must not keep anybody waiting.
_DEMO_SECONDS = 1.0


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    demo = commands.add_parser(
        "demo",
        help="the same on data sets that come with scikit-learn and statsmodels",
        description=f"The irreducible error of {', '.join(DATASETS)}; writes a page for each.",
    )
    demo.add_argument("datasets", nargs="*", metavar="NAME", help=f"of {', '.join(DATASETS)} (default all)")
    add_scheme_and_output(demo)
    demo.add_argument(
        "--html", type=Path, default=Path("demo"), metavar="FOLDER", help="where pages go (default demo/)"
    )
    demo.add_argument("--open", action="store_true", help="open the pages in a browser")
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    chosen = options.datasets or list(DATASETS)
    for name in chosen:
        if name not in DATASETS:
            raise InputError(f"unknown data set {name!r}: use {', '.join(DATASETS)}")
    pages = {name: options.html / f"{name}.html" for name in chosen}
    for page in pages.values():
        check_writable(page, new_folder=True)
    results = []
    for name in chosen:
        try:
            data = DATASETS[name]()
        except InputError as error:
            if options.datasets:
                raise
            say(f"bounds: left out {name}: {error}")
            continue
        results.append((data, bound(data, options, source=name)))
    show_results([result for _, result in results], options)
    for data, result in results:
        page = pages[result.source]
        with progress() as bar:
            watch = partial(Certifying, bar)
            rungs = ladders(data, result, seconds=_DEMO_SECONDS, progress=watch)
        write(page, to_html(result, unit_of(options), rungs))
        if options.open:
            import webbrowser

            webbrowser.open(page.resolve().as_uri())
    return 0
