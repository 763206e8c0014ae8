"""The command ``bounds``: its parser and exit codes.

Exit codes: 0 fine, 1 a violated bound or a refuted claim that was expected to hold, 2 bad input or usage.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bounds.commands import audit, demo, irreducible, optimum, prove, theorems
from bounds.output import run, standard_output


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
    for command in (irreducible, optimum, demo, audit, theorems, prove):
        command.add(commands)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
