"""``bounds audit``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bounds.audit_report import audit_to_html
from bounds.auditing import FALSE_ALARMS, SIZE, audit
from bounds.commands.options import DATA_HELP, add_data
from bounds.commands.work import check_page, read_data, say_notes
from bounds.errors import InputError
from bounds.evaluation_files import FIELDS, read_evaluation
from bounds.output import say, standard_output, write


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    fields = "\n".join(f"  {name:18}{meaning}" for name, meaning in FIELDS.items())
    parser = commands.add_parser(
        "audit",
        help="hold the terms that a model reports against every bound that applies",
        description="Are a model's reported terms possible, and if not, what is likely wrong with them? Exit code 1 on "
        "a violation. FILE is an .npz or .json with the fields below; without DATA it must have a log_density.",
        epilog=f"fields of FILE:\n{fields}\n\n{DATA_HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the evaluation")
    add_data(parser, nargs="?")
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


def _audit(options: argparse.Namespace) -> int:
    if options.html:
        check_page(options.html, options.file, options.data)
    evaluation, density = read_evaluation(options.file)
    if options.data is not None:
        reference: Any = read_data(options)
        say_notes(reference)
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
