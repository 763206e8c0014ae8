"""The command ``bounds``: arguments and exit codes only.

Exit codes: 0 fine, 1 a violated bound or a refuted claim that was expected to hold, 2 bad input or usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from bounds.demo import DATASETS
from bounds.errors import InputError
from bounds.estimators import ESTIMATORS
from bounds.irreducible import Data, IrreducibleError, irreducible_error
from bounds.readers import read
from bounds.report import Unit, to_html, to_json, to_terminal
from bounds.shannon import prove
from bounds.theorem_report import show, verdicts_to_html, verdicts_to_json, verdicts_to_markdown, verdicts_to_terminal
from bounds.theorems import DEFAULT_EXAMPLES, find
from bounds.theorems.registry import verify_all

if TYPE_CHECKING:
    from rich.console import Console

_Item = TypeVar("_Item")

_DATA_HELP = """\
DATA is one of
  law.npz      array 'pmf' (one axis per modality), or 'cov' with optional 'sizes'; optional 'names'
  samples.npz  one array per modality, rows first
  table.csv, table.parquet  one row per example; --modalities maps columns, default one modality per column
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except InputError as error:
        print(f"bounds: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has gone, as in `bounds irreducible data.csv | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("bounds: interrupted", file=sys.stderr)
        return 130
    return code


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
        epilog=_DATA_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    irreducible.add_argument("data", metavar="DATA", help="a .npz, .csv or .parquet file, see below")
    irreducible.add_argument(
        "--modalities",
        action="append",
        default=[],
        metavar="NAME=COLUMNS",
        help="columns of a modality: 'image=px_*', 'text=w0:w9', 'tags=a,b'; repeat for each modality",
    )
    irreducible.add_argument(
        "--type",
        action="append",
        default=[],
        metavar="NAME=TYPE",
        help="declare a modality or a column 'discrete' or 'continuous' instead of detecting it",
    )
    irreducible.add_argument(
        "--estimator", choices=ESTIMATORS, default="auto", help="how entropies of samples are estimated (default auto)"
    )
    _add_scheme_and_output(irreducible)
    irreducible.add_argument(
        "--html", type=Path, metavar="FILE", help="also write one self-contained page with figures"
    )
    irreducible.set_defaults(run=_irreducible)

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
    _add_theorems(commands)
    return parser


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


def _add_scheme_and_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scheme",
        action="append",
        metavar="SCHEME",
        help="mvae, mmvae, mopoe, mvae-subsampled, or weights such as 'image:1/2,image+text:1/2'; "
        "repeat for several (default mvae, mmvae and mopoe)",
    )
    parser.add_argument("--confidence", type=float, default=0.95, metavar="P", help="of the intervals (default 0.95)")
    parser.add_argument("--json", action="store_true", help="JSON to standard output and nothing else there, in nats")
    parser.add_argument("--bits", action="store_true", help="show bits instead of nats in the table and the page")


def _irreducible(options: argparse.Namespace) -> int:
    if options.html and not options.html.parent.is_dir():
        raise InputError(f"--html {options.html}: the folder {options.html.parent} does not exist")
    if options.html and options.html.resolve() == Path(options.data).resolve():
        raise InputError(f"--html {options.html} is the data file: choose another name")
    data = read(options.data, options.modalities, _types(options.type))
    result = _bound(data, options, source=Path(options.data).name)
    _show([result], options)
    if options.html:
        _write(options.html, to_html(result, _unit(options)))
        print(f"wrote {options.html}", file=sys.stderr)
    return 0


def _demo(options: argparse.Namespace) -> int:
    chosen = options.datasets or list(DATASETS)
    for name in chosen:
        if name not in DATASETS:
            raise InputError(f"unknown data set {name!r}: use {', '.join(DATASETS)}")
    results = []
    for name in chosen:
        try:
            data = DATASETS[name]()
        except InputError as error:
            if options.datasets:
                raise
            print(f"bounds: left out {name}: {error}", file=sys.stderr)
            continue
        results.append(_bound(data, options, source=name))
    _show(results, options)
    options.html.mkdir(parents=True, exist_ok=True)
    for result in results:
        page = options.html / f"{result.source}.html"
        _write(page, to_html(result, _unit(options)))
        print(f"wrote {page}", file=sys.stderr)
        if options.open:
            import webbrowser

            webbrowser.open(page.resolve().as_uri())
    return 0


def _theorems(options: argparse.Namespace) -> int:
    from rich.progress import Progress

    showing = options.ids[:1] == ["show"]
    ids = options.ids[1:] if showing else options.ids
    if showing and not ids:
        raise InputError("show which theorem? Give its id, such as T2")
    if options.processes < 1:
        raise InputError(f"--processes {options.processes}: give at least 1")
    if options.examples < 1:
        raise InputError(f"{options.examples} examples: give at least 1")
    theorems = find(*ids)
    if showing:
        # an id with continuations means the claim itself
        theorems = tuple(one for one in theorems if one.id in ids) or theorems
    verdicts = []
    processes = min(options.processes, len(theorems))
    with Progress(console=_console(sys.stderr), transient=True, disable=not sys.stderr.isatty()) as progress:
        running = verify_all(theorems, options.examples, options.seed, processes)
        for verdict in progress.track(running, total=len(theorems), description="checking"):
            verdicts.append(verdict)
    if options.json:
        print(verdicts_to_json(verdicts))
    elif showing:
        print("\n\n".join(show(theorem, verdict) for theorem, verdict in zip(theorems, verdicts, strict=True)))
    else:
        _console(sys.stdout).print(verdicts_to_terminal(verdicts))
    for path, text in ((options.html, verdicts_to_html), (options.markdown, verdicts_to_markdown)):
        if path:
            _write(path, text(theorems, verdicts))
            print(f"wrote {path}", file=sys.stderr)
    wrong = [verdict.id for verdict in verdicts if not verdict.as_claimed]
    if wrong:
        print(f"bounds: not as claimed: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def _prove(options: argparse.Namespace) -> int:
    proof = prove(options.statement, options.given)
    print(json.dumps(proof.to_dict(), indent=2) if options.json else proof)
    return 0 if proof.proved else 1


def _bound(data: Data, options: argparse.Namespace, source: str) -> IrreducibleError:
    from rich.progress import Progress

    with Progress(console=_console(sys.stderr), transient=True, disable=not sys.stderr.isatty()) as progress:

        def track(items: Iterable[_Item], description: str, total: int) -> Iterable[_Item]:
            return progress.track(items, total=total, description=description)

        return irreducible_error(
            data,
            options.scheme or ("mvae", "mmvae", "mopoe"),
            estimator=getattr(options, "estimator", "auto"),
            confidence=options.confidence,
            source=source,
            track=track,
        )


def _show(results: Sequence[IrreducibleError], options: argparse.Namespace) -> None:
    if options.json:
        pages = [to_json(result) for result in results]
        print(pages[0] if len(pages) == 1 else "[" + ",\n".join(pages) + "]")
        return
    console = _console(sys.stdout)
    for result in results:
        console.print(to_terminal(result, _unit(options)))
        console.print()


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    # Piped output is not wrapped to an imagined terminal.
    return Console(file=stream, width=None if stream.isatty() else 160, highlight=False)


def _unit(options: argparse.Namespace) -> Unit:
    return "bits" if options.bits else "nats"


def _types(declared: Sequence[str]) -> dict[str, str]:
    types = {}
    for item in declared:
        name, found, kind = item.partition("=")
        if not found or not name or not kind:
            raise InputError(f"--type {item!r}: write NAME=discrete or NAME=continuous")
        types[name] = kind
    return types


def _write(path: Path, text: str) -> None:
    """Writes all or nothing: to a neighbour first, then renamed. Only regular files are replaced."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise InputError(f"cannot write {path}: it exists and is not a regular file")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
