"""The command ``bounds``: arguments and exit codes only.

Exit codes: 0 fine, 1 a violated bound or a refuted claim that was expected to hold, 2 bad input or usage.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bounds.audit_report import audit_to_html
from bounds.auditing import FALSE_ALARMS, SIZE, audit
from bounds.conditional_report import one_sided_to_html, one_sided_to_json, one_sided_to_terminal
from bounds.declared_alphabets import with_alphabets
from bounds.demo import DATASETS
from bounds.errors import InputError, NoEstimateError
from bounds.estimators import ESTIMATORS, INTERVALS
from bounds.estimators.conditional import conditional_bounds
from bounds.estimators.one_sided import ConditionalBounds
from bounds.evaluation_files import FIELDS, read_evaluation
from bounds.irreducible import Data, IrreducibleError, irreducible_error
from bounds.ladder import Ladder, ladders
from bounds.likelihood.predictive import PREDICTORS
from bounds.missing import RULES, PartlyObserved
from bounds.optimum import SECONDS, optimal_elbo
from bounds.output import check_writable, print_rich, progress, run, say, standard_output, tracker, write
from bounds.readers import read
from bounds.report import Unit, to_html, to_json, to_terminal
from bounds.samples import Samples
from bounds.schemes import parse_scheme
from bounds.shannon import prove
from bounds.statistics import JointCounts
from bounds.streaming import Streamed, stream, suits_memory
from bounds.theorem_report import show, verdicts_to_html, verdicts_to_json, verdicts_to_markdown, verdicts_to_terminal
from bounds.theorems import DEFAULT_EXAMPLES, find
from bounds.theorems.registry import verify_all

if TYPE_CHECKING:
    from rich.progress import Progress

#: For the optimum of each scheme of a demo: a page must not keep anybody waiting.
_DEMO_SECONDS = 1.0

_OFFER = "--conditional linear (or boosting)"

_DATA_HELP = """\
DATA is one of
  law.npz      array 'pmf' (one axis per variable) or 'cov'; optional 'names' of modalities, their 'sizes' and 'units'
  samples.npz  one array per modality, rows first
  table.csv, table.parquet  one row per example; --modalities maps columns, default one modality per column
  samples.pt   a dictionary of tensors, one per modality, rows first (needs PyTorch)
  cells.h5mu   a MuData file of annotated matrices (needs h5py); --modalities chooses variables as 'rna=rna/CD*'
  images/      a folder with a subfolder of .png or .jpg files for each modality, named alike for the same example
"""
_PARTS_HELP = """\
  'parts/*.parquet', or a folder of .parquet or .csv files: parts of one table, read one after the other
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""

    def work() -> int:
        with standard_output():  # of --help and --version
            options = _parser().parse_args(arguments)
        code: int = options.run(options)
        return code

    return run("bounds", work)


def _parser() -> argparse.ArgumentParser:
    from bounds import __version__

    parser = argparse.ArgumentParser(
        prog="bounds",
        description="What multimodal VAEs that encode subsets of the modalities must lose on your data.",
    )
    parser.add_argument("--version", action="version", version=f"multimodal-bounds {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    irreducible = commands.add_parser(
        "irreducible",
        help="irreducible error, ELBO ceilings and the paper's Delta of a data set or a known law",
        description="The irreducible error of a data set or a known law, for several schemes at once.",
        epilog=_DATA_HELP + _PARTS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(irreducible, partly=True)
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
    _add_scheme_and_output(irreducible)
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
    _add_optimum(commands)

    demo = commands.add_parser(
        "demo",
        help="the same on data sets that come with scikit-learn and statsmodels",
        description=f"The irreducible error of {', '.join(DATASETS)}; writes a page for each.",
    )
    demo.add_argument("datasets", nargs="*", metavar="NAME", help=f"of {', '.join(DATASETS)} (default all)")
    _add_scheme_and_output(demo)
    demo.add_argument(
        "--html", type=Path, default=Path("demo"), metavar="FOLDER", help="where pages go (default demo/)"
    )
    demo.add_argument("--open", action="store_true", help="open the pages in a browser")
    demo.set_defaults(run=_demo)
    _add_audit(commands)
    _add_theorems(commands)
    return parser


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


def _add_optimum(commands: Any) -> None:
    optimum = commands.add_parser(
        "optimum",
        help="the best ELBO of any model of a scheme, between certified bounds",
        description="How good can any model of a scheme be? The supremum of the K=1 own-density ELBO over all latent "
        "spaces, priors, decoders and encoders, for a discrete law or the empirical law of discrete rows.",
        epilog=_DATA_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(optimum)
    _add_scheme(optimum)
    optimum.add_argument("--tol", type=float, default=1e-6, metavar="NATS", help="width of the bracket (default 1e-6)")
    optimum.add_argument("--beta", type=float, default=1.0, metavar="B", help="multiplier of the KL (default 1)")
    optimum.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S", help=f"for each scheme (default {SECONDS:g})"
    )
    optimum.add_argument("--json", action="store_true", help="JSON to standard output and nothing else there, in nats")
    optimum.set_defaults(run=_optimum)


def _add_audit(commands: Any) -> None:
    fields = "\n".join(f"  {name:18}{meaning}" for name, meaning in FIELDS.items())
    parser = commands.add_parser(
        "audit",
        help="hold the terms that a model reports against every bound that applies",
        description="Are a model's reported terms possible, and if not, what is likely wrong with them? Exit code 1 on "
        "a violation. FILE is an .npz or .json with the fields below; without DATA it must have a log_density.",
        epilog=f"fields of FILE:\n{fields}\n\n{_DATA_HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the evaluation")
    _add_data(parser, nargs="?")
    parser.add_argument("--objective", metavar="NAME", help="what FILE must be of; an error if it is of another one")
    parser.add_argument("--level", choices=("modalities", "units"), help="over what the decoder factorises")
    parser.add_argument(
        "--false-alarms",
        type=float,
        default=FALSE_ALARMS,
        metavar="P",
        help=f"probability that a right model is called violated (default {FALSE_ALARMS:g})",
    )
    parser.add_argument(
        "--size", type=float, default=SIZE, metavar="NATS", help=f"excess that must be detectable (default {SIZE:g})"
    )
    parser.add_argument("--json", action="store_true", help="JSON to standard output and nothing else there, in nats")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write one self-contained page")
    parser.set_defaults(run=_audit)


def _add_theorems(commands: Any) -> None:
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

    prove = commands.add_parser(
        "prove",
        help="prove an inequality between entropies, or find a polymatroid that violates it",
        description="Shannon-type inequalities with an exact certificate, for example "
        "bounds prove 'I(X;Z) <= I(X;Y)' --given 'X - Y - Z'",
    )
    prove.add_argument("statement", metavar="STATEMENT", help="H(A|B), I(A;B|C), TC(A;B|C), sums, one of <= >= =")
    prove.add_argument(
        "--given", action="append", default=[], metavar="STATEMENT", help="an assumption; repeat for more"
    )
    prove.add_argument("--json", action="store_true", help="JSON to standard output and nothing else there")
    prove.set_defaults(run=_prove)


def _add_data(parser: argparse.ArgumentParser, nargs: str | None = None, partly: bool = False) -> None:
    parser.add_argument("data", nargs=nargs, metavar="DATA", help="a file or a folder, see below")
    parser.add_argument(
        "--missing",
        choices=RULES if partly else RULES[:2],
        default=RULES[0],
        help="refuse missing values (default); complete: use the rows that have everything"
        + ("; per-subset: each entropy from the rows that have all it needs" if partly else ""),
    )
    parser.add_argument(
        "--modalities",
        action="append",
        default=[],
        metavar="NAME=COLUMNS",
        help="columns of a modality: 'image=px_*', 'text=w0:w9', 'tags=a,b'; repeat for each modality",
    )
    parser.add_argument(
        "--type",
        action="append",
        default=[],
        metavar="NAME=TYPE",
        help="declare a modality or a column 'discrete' or 'continuous' instead of detecting it",
    )


def _add_scheme(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scheme",
        action="append",
        metavar="SCHEME",
        help="mvae, mmvae, mopoe, mvae-subsampled, or weights such as 'image:1/2,image+text:1/2'; "
        "repeat for several (default mvae, mmvae and mopoe)",
    )


def _add_scheme_and_output(parser: argparse.ArgumentParser) -> None:
    _add_scheme(parser)
    parser.add_argument("--confidence", type=float, default=0.95, metavar="P", help="of the intervals (default 0.95)")
    parser.add_argument("--json", action="store_true", help="JSON to standard output and nothing else there, in nats")
    parser.add_argument("--bits", action="store_true", help="show bits instead of nats in the table and the page")


def _irreducible(options: argparse.Namespace) -> int:
    if options.html:
        _check_page(options.html, options.data)
    if _streams(options):
        return _irreducible_of_stream(options)
    data = _with_alphabets(_read(options), options)
    if isinstance(data, PartlyObserved) and (options.conditional or options.likelihood):
        raise InputError("--conditional and --likelihood need rows that have everything: use --missing complete")
    if options.conditional and not isinstance(data, Samples):
        raise InputError(f"--conditional is about rows, and {options.data} is a law: its entropies are known")
    try:
        result = _bound(data, options, source=Path(options.data).name)
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
            rungs = ladders(data, result, likelihood=options.likelihood, progress=lambda label: _Certifying(bar, label))
    with standard_output():
        if options.json:
            print(to_json(result, rungs, conditional))
        else:
            shown = [one_sided_to_terminal(conditional, _unit(options))] if conditional else []
            print_rich(to_terminal(result, _unit(options), rungs), *shown, "")
    if options.html:
        write(options.html, to_html(result, _unit(options), rungs, conditional))
    return 0


def _streams(options: argparse.Namespace) -> bool:
    """Whether DATA is streamed; options that are about streams or rows alone are refused where they do not belong."""
    streams = options.engine in ("stream", "dask") or (options.engine == "auto" and not suits_memory(options.data))
    wrong = {
        "--likelihood": streams and options.likelihood,
        "--conditional": streams and options.conditional,
        "--missing": streams and options.missing != RULES[0],
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
    with progress() as bar:
        found: Streamed = stream(
            options.data,
            options.modalities,
            _types(options.type),
            engine="dask" if options.engine == "dask" else "stream",
            scheduler=options.scheduler,
            keep=options.keep,
            skip_damaged=options.skip_damaged,
            track=tracker(bar),
        )
    result = _bound(_with_alphabets(found.statistics, options), options, source=found.statistics.source)
    result = replace(result, warnings=(*found.warnings, *result.warnings))
    _show([result], options)
    if options.html:
        write(options.html, to_html(result, _unit(options)))
    return 0


def _one_sided(data: Any, options: argparse.Namespace, refused: str) -> int:
    """What held-out losses show, where that is all that can be had."""
    _say_notes(data)
    found = _predicted(data, options)
    with standard_output():
        if options.json:
            print(one_sided_to_json(found, refused))
        else:
            print_rich(one_sided_to_terminal(found, _unit(options), refused), "")
    if options.html:
        write(options.html, one_sided_to_html(found, _unit(options), refused))
    return 0


def _predicted(data: Any, options: argparse.Namespace) -> ConditionalBounds:
    with progress() as bar:
        return conditional_bounds(
            data,
            options.scheme or ("mvae", "mmvae", "mopoe"),
            predictor=options.conditional,
            confidence=options.confidence,
            rng=np.random.default_rng(options.seed),
            track=tracker(bar),
        )


def _optimum(options: argparse.Namespace) -> int:
    data = _read(options)
    _say_notes(data)
    schemes = [parse_scheme(name, data.names) for name in options.scheme or ("mvae", "mmvae", "mopoe")]
    found = []
    with progress() as bar:
        for scheme in schemes:
            watch = _Certifying(bar, scheme.label)
            found.append(
                optimal_elbo(data, scheme, options.tol, beta=options.beta, seconds=options.seconds, progress=watch)
            )
    with standard_output():
        if options.json:
            print(json.dumps({one.scheme.label: one.to_dict() for one in found}, indent=2, allow_nan=False))
        else:
            print("\n".join(str(one) for one in found))
    return 0


def _audit(options: argparse.Namespace) -> int:
    if options.html:
        _check_page(options.html, options.file, options.data)
    evaluation, density = read_evaluation(options.file)
    if options.data is not None:
        reference: Any = _read(options)
        _say_notes(reference)
        if density is not None:
            say(f"bounds: the reference is {options.data}; log_density of {options.file} is used without DATA only")
    elif density is None:
        raise InputError(f"{options.file} has no log_density: give DATA, a law or a dataset, to audit against")
    elif options.modalities or options.type or options.level:
        raise InputError("--modalities, --type and --level are about DATA: give it, or leave them out")
    else:
        reference = density
    found = audit(
        evaluation,
        reference,
        objective=options.objective,
        level=options.level,
        false_alarms=options.false_alarms,
        size=options.size,
    )
    with standard_output():
        print(json.dumps(found.to_dict(), indent=2, allow_nan=False) if options.json else found)
    if options.html:
        write(options.html, audit_to_html(found))
    return 1 if found.verdict == "violated" else 0


class _Certifying:
    """Shows how a certificate goes: the bracket's width so far, and how many cells are open."""

    def __init__(self, bar: Progress, label: str) -> None:
        self._bar, self._label = bar, label
        self._task = bar.add_task(f"{label}: certifying", total=None)

    def __call__(self, cells: int, open_cells: int, gap: float) -> None:
        self._bar.update(
            self._task, description=f"{self._label}: {open_cells} of {cells} cells open, bracket {gap:.1e}"
        )


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
        results.append((data, _bound(data, options, source=name)))
    _show([result for _, result in results], options)
    for data, result in results:
        page = pages[result.source]
        with progress() as bar:
            watch = partial(_Certifying, bar)
            rungs = ladders(data, result, seconds=_DEMO_SECONDS, progress=watch)
        write(page, to_html(result, _unit(options), rungs))
        if options.open:
            import webbrowser

            webbrowser.open(page.resolve().as_uri())
    return 0


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


def _prove(options: argparse.Namespace) -> int:
    proof = prove(options.statement, options.given)
    with standard_output():
        print(json.dumps(proof.to_dict(), indent=2) if options.json else proof)
    return 0 if proof.proved else 1


def _bound(data: Data, options: argparse.Namespace, source: str) -> IrreducibleError:
    with progress() as bar:
        return irreducible_error(
            data,
            options.scheme or ("mvae", "mmvae", "mopoe"),
            estimator=getattr(options, "estimator", "auto"),
            interval=getattr(options, "interval", "auto"),
            block=getattr(options, "block", 1),
            confidence=options.confidence,
            source=source,
            track=tracker(bar),
        )


def _show(results: Sequence[IrreducibleError], options: argparse.Namespace) -> None:
    with standard_output():
        if options.json:
            pages = [to_json(result) for result in results]
            print(pages[0] if len(pages) == 1 else "[" + ",\n".join(pages) + "]")
            return
        for result in results:
            print_rich(to_terminal(result, _unit(options)), "")


def _check_page(page: Path, *inputs: str | None) -> None:
    """A page can be written, and not over what is read."""
    if page.resolve() in {Path(one).resolve() for one in inputs if one is not None}:
        raise InputError(f"--html {page} is the data file: choose another name")
    check_writable(page)


def _unit(options: argparse.Namespace) -> Unit:
    return "bits" if options.bits else "nats"


def _read(options: argparse.Namespace) -> Any:
    """DATA, by the rule for missing values."""
    return read(options.data, options.modalities, _types(options.type), missing=options.missing)


def _say_notes(data: Any) -> None:
    """What was done to the rows, where the result itself has no room for it."""
    for note in data.notes if isinstance(data, Samples) else ():
        say(f"bounds: {note}")


def _with_alphabets(data: Any, options: argparse.Namespace) -> Any:
    """The data with what ``--alphabet`` says of its columns."""
    if not options.alphabet:
        return data
    if not isinstance(data, Samples | JointCounts):
        raise InputError("--alphabet is about the columns of complete rows of symbols, and these data are none")
    sizes = {}
    for item in options.alphabet:
        name, _, size = item.partition("=")
        if not name or not size.isdecimal():
            raise InputError(f"--alphabet {item!r}: write NAME=K, with K symbols")
        sizes[name] = int(size)
    return with_alphabets(data, sizes)


def _types(declared: Sequence[str]) -> dict[str, str]:
    types = {}
    for item in declared:
        name, found, kind = item.partition("=")
        if not found or not name or not kind:
            raise InputError(f"--type {item!r}: write NAME=discrete or NAME=continuous")
        types[name] = kind
    return types


if __name__ == "__main__":
    raise SystemExit(main())
