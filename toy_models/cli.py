"""The program ``toy-models``: arguments and exit codes only."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import NoReturn

from bounds.errors import InputError
from bounds.output import print_rich, run, say, standard_output
from bounds.reference import reference_models
from toy_models.claims import Evaluation, evaluate

FINE, VIOLATED, BAD_INPUT = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program.

    Returns:
        0 fine, 1 a proved bound is violated, 2 bad usage or input, or nowhere to write (one line on standard error).
    """

    def work() -> int:
        with standard_output():  # of --help too
            arguments = _parser().parse_args(argv)
            return _list() if arguments.command == "list" else _evaluate(arguments.name, arguments.json)

    return run("toy-models", work)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="toy-models", description="Toy multimodal VAEs, held against the bounds.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    commands.add_parser("list", help="the reference models, each with its lesson")
    command = commands.add_parser("evaluate", help="a reference model's exact terms beside the ceilings that apply")
    command.add_argument("name", metavar="NAME", help="a model that `toy-models list` shows")
    command.add_argument("--json", action="store_true", help="JSON on standard output, and nothing else there")
    return parser


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def _list() -> int:
    from rich.table import Table

    table = Table("name", "lesson", "source", box=None, pad_edge=False)
    for reference in reference_models().values():
        table.add_row(reference.name, reference.story, reference.source)
    print_rich(table)
    return FINE


def _evaluate(name: str, as_json: bool) -> int:
    known = reference_models()
    if name not in known:
        raise InputError(f"unknown model {name!r}: use one of {', '.join(known)}")
    evaluation = evaluate(known[name])
    if as_json:
        print(json.dumps(evaluation.to_dict(), indent=2, allow_nan=False))
    else:
        _print(evaluation)
    for claim in evaluation.violated:
        sides = f"{claim.inequality.left:.12g} < {claim.inequality.right:.12g}"
        say(f"toy-models: violated although proved: {claim.statement} ({claim.source}): {sides}")
    return VIOLATED if evaluation.violated else FINE


def _print(evaluation: Evaluation) -> None:
    from rich.table import Table

    numbers = Table("nats per example", title="exact terms and ceilings", title_justify="left")
    numbers.add_column("value", justify="right")
    for name, value in evaluation.values().items():
        numbers.add_row(_LABELS[name], f"{value:.6f}")
    numbers.add_section()
    for ceiling in evaluation.ceilings:
        numbers.add_row(ceiling.name, f"{float(ceiling):.6f}")
    claims = Table("inequality", title="inequalities", title_justify="left")
    for heading in ("left", "right"):
        claims.add_column(heading, justify="right")
    claims.add_column("holds")
    claims.add_column("status")
    for claim in evaluation.claims:
        left, right = (f"{side:.6f}" for side in (claim.inequality.left, claim.inequality.right))
        status = f"{'proved' if claim.proved else 'not a theorem'} ({claim.source})"
        claims.add_row(claim.statement, left, right, "yes" if claim.inequality.holds else "NO", status)
    reference = evaluation.reference
    print_rich(f"{reference.name} ({reference.source}): {reference.story}", numbers, claims)


_LABELS = {
    "elbo": "L_S",
    "mixture_elbo": "L_mix",
    "evidence": "E log p(x)",
    "gap": "E log p(x) - L_S",
    "subset_evidence": "sum_A w_A E log p(x_A)",
    "distortion": "D_S",
    "kl": "KL, each encoder's own",
    "slack": "T2 ceiling - L_S",
    "latent_total_correlation": "TC(X|Z)",
    "label_information": "I(A;Z|X)",
    "best_elbo": "best L_S of these encoders (T3)",
}
