"""The program ``toy-models``: its parser and exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from bounds.output import run, standard_output
from toy_models.commands import bound, evaluate, experiment, listing, train


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program.

    Returns:
        0 fine, 1 a proved bound is violated or an experiment and the theory do not agree, 2 bad usage or input, or
        nowhere to write (one line on standard error).
    """

    def work() -> int:
        with standard_output():  # of --help too
            arguments = _parser().parse_args(argv)
        found: int = arguments.run(arguments)
        return found

    return run("toy-models", work)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="toy-models", description="Toy multimodal VAEs, held against the bounds.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for command in (listing, evaluate, train, experiment, bound):
        command.add(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")
