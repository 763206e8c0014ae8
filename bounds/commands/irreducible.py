"""``bounds irreducible``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bounds.commands.options import (
    DATA_HELP,
    PARTS_HELP,
    add_data,
    add_scheme_and_output,
    schemes_of,
    types_of,
    unit_of,
)
from bounds.commands.work import Certifying, bound, check_page, read_data, say_notes, show_results
from bounds.conditional_report import one_sided_to_html, one_sided_to_json, one_sided_to_terminal
from bounds.declared_alphabets import check_known, with_alphabets
from bounds.errors import InputError, NoEstimateError
from bounds.estimators import ESTIMATORS, INTERVALS, check_request
from bounds.estimators.conditional import conditional_bounds
from bounds.estimators.one_sided import ConditionalBounds
from bounds.irreducible import checked_schemes
from bounds.ladder import Ladder, ladders
from bounds.layout import Layout
from bounds.likelihood.predictive import PREDICTORS
from bounds.missing import PartlyObserved
from bounds.output import print_rich, progress, say, standard_output, tracker, write
from bounds.report import to_html, to_json, to_terminal
from bounds.samples import Samples
from bounds.statistics import JointCounts
from bounds.streaming import Streamed, stream, suits_memory

_OFFER = "--conditional linear (or boosting)"


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    irreducible = commands.add_parser(
        "irreducible",
        help="irreducible error, ELBO ceilings and the paper's Delta of a data set or a known law",
        description="The irreducible error of a data set or a known law, for several schemes at once.",
        epilog=DATA_HELP + PARTS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data(irreducible, partly=True)
    irreducible.add_argument(
        "--estimator", choices=ESTIMATORS, default="auto", help="how entropies of samples are estimated (default auto)"
    )
    irreducible.add_argument(
        "--interval",
        choices=INTERVALS,
        default="auto",
        help="auto: the narrowest that the rows justify (default); guaranteed: for every number of discrete rows",
    )
    irreducible.add_argument(
        "--block",
        type=int,
        default=1,
        metavar="ROWS",
        help="of a time series: within how many rows they depend on each other (default 1, independent rows)",
    )
    irreducible.add_argument(
        "--alphabet",
        action="append",
        default=[],
        metavar="NAME=K",
        help="how many symbols a modality or a column can have, where the rows do not show them all",
    )
    add_scheme_and_output(irreducible)
    irreducible.add_argument(
        "--likelihood",
        metavar="KIND",
        help="also the ceiling for decoders with a likelihood: gaussian:0.75, gaussian:learned, laplace:0.5, bernoulli",
    )
    irreducible.add_argument(
        "--conditional",
        choices=PREDICTORS,
        help="also one-sided bounds from the held-out losses of such predictors, for samples of any kind",
    )
    irreducible.add_argument("--seed", type=int, default=0, metavar="S", help="of --conditional's folds (default 0)")
    _add_streaming(irreducible)
    irreducible.add_argument(
        "--html", type=Path, metavar="FILE", help="also write one self-contained page with figures"
    )
    irreducible.set_defaults(run=_irreducible)


def _add_streaming(parser: argparse.ArgumentParser) -> None:
    streaming = parser.add_argument_group("data larger than memory")
    streaming.add_argument(
        "--engine",
        choices=("auto", "memory", "stream", "dask"),
        default="auto",
        help="memory reads all rows; stream merges statistics of parts of any size; dask does so on many machines; "
        "auto streams parts, and a file that does not fit",
    )
    streaming.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster (default: one on this machine, a worker a core)"
    )
    streaming.add_argument(
        "--keep", metavar="FOLDER", help="keep the statistics of each part there, and do not get them again"
    )
    streaming.add_argument(
        "--skip-damaged", action="store_true", help="leave out parts that cannot be read, with a warning for each"
    )


def _irreducible(options: argparse.Namespace) -> int:
    if options.html:
        check_page(options.html, options.data)
    if _streams(options):
        return _irreducible_of_stream(options)
    data = _with_alphabets(read_data(options), options)
    if isinstance(data, PartlyObserved) and (options.conditional or options.likelihood):
        raise InputError("--conditional and --likelihood need rows that have everything: use --missing complete")
    if options.conditional and not isinstance(data, Samples):
        raise InputError(f"--conditional is about rows, and {options.data} is a law: its entropies are known")
    try:
        result = bound(data, options, source=Path(options.data).name)
    except NoEstimateError as error:
        if not options.conditional:
            raise InputError(f"{error}. For one-sided bounds, which need no such estimator, add {_OFFER}") from None
        return _one_sided(data, options, str(error))
    conditional = _predicted(data, options) if options.conditional else None
    if isinstance(data, Samples) and result.entropy.value is None and not conditional:
        say(f"bounds: for one-sided bounds of what has no number add {_OFFER}")
    rungs: tuple[Ladder, ...] = ()
    if options.html or options.likelihood:
        with progress() as bar:
            rungs = ladders(data, result, likelihood=options.likelihood, progress=lambda label: Certifying(bar, label))
    with standard_output():
        if options.json:
            print(to_json(result, rungs, conditional))
        else:
            shown = [one_sided_to_terminal(conditional, unit_of(options))] if conditional else []
            print_rich(to_terminal(result, unit_of(options), rungs), *shown, "")
    if options.html:
        write(options.html, to_html(result, unit_of(options), rungs, conditional))
    return 0


def _streams(options: argparse.Namespace) -> bool:
    """Whether DATA is streamed; options that are about streams or rows alone are refused where they do not belong."""
    streams = options.engine in ("stream", "dask") or (options.engine == "auto" and not suits_memory(options.data))
    wrong = {
        "--likelihood": streams and options.likelihood,
        "--conditional": streams and options.conditional,
        "--scheduler": options.engine != "dask" and options.scheduler,
        "--keep": not streams and options.keep,
        "--skip-damaged": not streams and options.skip_damaged,
    }
    for option in (name for name, given in wrong.items() if given):
        if option == "--scheduler":
            raise InputError("--scheduler is for --engine dask: add that")
        if streams:
            raise InputError(f"{option} needs rows, and a stream keeps statistics alone: leave it out")
        raise InputError(f"{option} is for data in parts: add --engine stream or dask")
    return streams


def _irreducible_of_stream(options: argparse.Namespace) -> int:
    def check(layout: Layout) -> None:  # before hours are spent on reading
        check_request(options.estimator, options.interval, options.block, of_rows=False)
        checked_schemes(schemes_of(options), layout.names, options.confidence)
        check_known(_alphabets(options), layout)

    with progress() as bar:
        found: Streamed = stream(
            options.data,
            options.modalities,
            types_of(options.type),
            engine="dask" if options.engine == "dask" else "stream",
            scheduler=options.scheduler,
            keep=options.keep,
            skip_damaged=options.skip_damaged,
            missing=options.missing,
            check=check,
            track=tracker(bar),
        )
    result = bound(_with_alphabets(found.statistics, options), options, source=found.statistics.source)
    result = replace(result, warnings=(*found.warnings, *result.warnings))
    show_results([result], options)
    if options.html:
        write(options.html, to_html(result, unit_of(options)))
    return 0


def _one_sided(data: Any, options: argparse.Namespace, refused: str) -> int:
    """What held-out losses show, where that is all that can be had."""
    say_notes(data)
    found = _predicted(data, options)
    with standard_output():
        if options.json:
            print(one_sided_to_json(found, refused))
        else:
            print_rich(one_sided_to_terminal(found, unit_of(options), refused), "")
    if options.html:
        write(options.html, one_sided_to_html(found, unit_of(options), refused))
    return 0


def _predicted(data: Any, options: argparse.Namespace) -> ConditionalBounds:
    with progress() as bar:
        return conditional_bounds(
            data,
            schemes_of(options),
            predictor=options.conditional,
            confidence=options.confidence,
            rng=np.random.default_rng(options.seed),
            track=tracker(bar),
        )


def _with_alphabets(data: Any, options: argparse.Namespace) -> Any:
    """The data with what ``--alphabet`` says of its columns."""
    if not options.alphabet:
        return data
    if not isinstance(data, Samples | JointCounts):
        raise InputError("--alphabet is about the columns of complete rows of symbols, and these data are none")
    return with_alphabets(data, _alphabets(options))


def _alphabets(options: argparse.Namespace) -> dict[str, int]:
    """Column or modality to the number of its symbols, of ``NAME=K``."""
    sizes = {}
    for item in options.alphabet:
        name, _, size = item.partition("=")
        if not name or not size.isdecimal():
            raise InputError(f"--alphabet {item!r}: write NAME=K, with K symbols")
        sizes[name] = int(size)
    return sizes
