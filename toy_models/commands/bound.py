"""``toy-models bound``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from bounds.conditional_report import one_sided_to_html, one_sided_to_json, one_sided_to_terminal
from bounds.output import check_writable, print_rich, progress, standard_output, tracker, write
from bounds.report import Unit
from bounds.schemes import parse_schemes
from toy_models.commands.options import add_data, data_help, data_of, torch_needed, wrapped


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    command = commands.add_parser(
        "bound",
        help="one-sided bounds of a dataset of numbers, images for instance, by a neural conditional density",
        description=wrapped(
            "Delta and the distortion floor from above and the ELBO ceiling from below, by one masked autoregressive "
            "network: fitted on the training examples, judged on the held-out ones. For tables see `bounds "
            "irreducible --conditional`."
        ),
        epilog=f"{data_help()}\n\nNeeds torch: pip install 'multimodal-bounds[toy]'.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data(command)
    command.add_argument(
        "--scheme",
        action="append",
        metavar="SCHEME",
        help="mvae, mmvae, mopoe, or weights such as 'image:1/2,image+text:1/2'; repeat for several (default mvae, "
        "mmvae and mopoe)",
    )
    command.add_argument("--hidden", type=int, metavar="N", help="width of each layer of the network (default 256)")
    command.add_argument("--epochs", type=int, metavar="N", help="passes over the training examples, at most (60)")
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of the network and its batches (default 0)")
    command.add_argument("--confidence", type=float, default=0.95, metavar="P", help="of each limit (default 0.95)")
    command.add_argument("--bits", action="store_true", help="show bits instead of nats in the table and the page")
    command.add_argument("--json", action="store_true", help="JSON on standard output, and nothing else there, in nats")
    command.add_argument("--html", type=Path, metavar="FILE", help="also write one self-contained page")
    command.set_defaults(run=_bound)


def _bound(options: argparse.Namespace) -> int:
    with torch_needed():
        from toy_models.conditional_density import Fitting, neural_bounds
    if options.html:
        check_writable(options.html)
    sizes = {name: getattr(options, name) for name in ("hidden", "epochs") if getattr(options, name) is not None}
    fitting = Fitting(**sizes)
    with progress() as bar:
        data = data_of(options).make(tracker(bar))
        schemes = parse_schemes(options.scheme or ("mvae", "mmvae", "mopoe"), data.names)
        rng = np.random.default_rng(options.seed)
        found = neural_bounds(data, schemes, fitting, options.confidence, rng=rng, track=tracker(bar))
    unit: Unit = "bits" if options.bits else "nats"
    with standard_output():
        if options.json:
            print(one_sided_to_json(found))
        else:
            print_rich(one_sided_to_terminal(found, unit), "")
    if options.html:
        write(options.html, one_sided_to_html(found, unit))
    return 0
