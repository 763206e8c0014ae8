"""``bounds optimum``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bounds.commands.options import DATA_HELP, add_data, add_scheme, schemes_of
from bounds.commands.work import Certifying, read_data, say_notes
from bounds.optimum import SECONDS, optimal_elbo
from bounds.output import progress, standard_output
from bounds.schemes import parse_scheme


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    optimum = commands.add_parser(
        "optimum",
        help="the best ELBO of any model of a scheme, between certified bounds",
        description="How good can any model of a scheme be? The supremum of the K=1 own-density ELBO over all latent "
        "spaces, priors, decoders and encoders, for a discrete law or the empirical law of discrete rows.",
        epilog=DATA_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data(optimum)
    add_scheme(optimum)
    optimum.add_argument("--tol", type=float, default=1e-6, metavar="NATS", help="width of the bracket (default 1e-6)")
    optimum.add_argument("--beta", type=float, default=1.0, metavar="B", help="multiplier of the KL (default 1)")
    optimum.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S", help=f"for each scheme (default {SECONDS:g})"
    )
    optimum.add_argument("--json", action="store_true", help="JSON to standard output and nothing else there, in nats")
    optimum.set_defaults(run=_optimum)


def _optimum(options: argparse.Namespace) -> int:
    data = read_data(options)
    say_notes(data)
    schemes = [parse_scheme(name, data.names) for name in schemes_of(options)]
    found = []
    with progress() as bar:
        for scheme in schemes:
            watch = Certifying(bar, scheme.label)
            found.append(
                optimal_elbo(data, scheme, options.tol, beta=options.beta, seconds=options.seconds, progress=watch)
            )
    with standard_output():
        if options.json:
            print(json.dumps({one.scheme.label: one.to_dict() for one in found}, indent=2, allow_nan=False))
        else:
            print("\n".join(str(one) for one in found))
    return 0
