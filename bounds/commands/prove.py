"""``bounds prove``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bounds.output import standard_output
from bounds.shannon import prove


def add(commands: Any) -> None:
    """Adds the command to a parser."""
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


def _prove(options: argparse.Namespace) -> int:
    proof = prove(options.statement, options.given)
    with standard_output():
        print(json.dumps(proof.to_dict(), indent=2) if options.json else proof)
    return 0 if proof.proved else 1
