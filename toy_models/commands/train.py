"""``toy-models train``."""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

from bounds.output import progress, say, tracker
from toy_models.commands.options import (
    add_data,
    add_device,
    data_help,
    data_of,
    numbers,
    torch_needed,
    wholes,
    widths,
    wrapped,
)
from toy_models.commands.trained import show_run

#: Options that make a run, besides its data and model.
_CHOICES = (
    "likelihood", "latents", "private", "hidden", "network", "seeds", "betas", "steps", "batch", "learning_rate",
    "warmup", "draws",
)  # fmt: skip
_FOLDER_HELP = """
FOLDER gets, for each member, member-0.npz (`bounds audit` reads it) and member-0.pt (parameters in float64);
law.npz where the law is known, config.json, report.json, curves.png, and checkpoints, by which a run that was
stopped goes on. Needs torch: pip install 'multimodal-bounds[toy]'.
"""


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    command = commands.add_parser(
        "train",
        help="train models from several seeds, evaluate them on held-out data and audit them",
        description=wrapped(
            "Trains models of one kind side by side, evaluates each on held-out data by the K=1 ELBO with each "
            "encoder's own density, and holds it against the law of the data where that is known. Exit code 1 if any "
            "is above a ceiling. What is not given is chosen for the data."
        ),
        epilog=f"{data_help()}\n{_FOLDER_HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("model", metavar="MODEL", help="a kind of model that `toy-models list` shows")
    add_data(command)
    command.add_argument(
        "--likelihood",
        metavar="KIND",
        help="gaussian:0.75, gaussian:learned, laplace:0.5, bernoulli, categorical; or one for each modality, with "
        "commas",
    )
    command.add_argument("--latents", type=int, metavar="K", help="dimension of the shared latent")
    command.add_argument(
        "--private", type=int, metavar="K", help="dimension of each private latent (mmvae-plus; default a quarter)"
    )
    command.add_argument(
        "--hidden", type=widths, metavar="N,N", help="widths of the hidden layers, 'none' for affine networks"
    )
    command.add_argument(
        "--network", choices=("mlp", "conv"), default="mlp", help="conv for images: --hidden is then its channels"
    )
    command.add_argument(
        "--seeds", type=wholes, default=(0, 1, 2), metavar="S,S", help="one member each (default 0,1,2)"
    )
    command.add_argument(
        "--beta",
        type=numbers,
        default=(1.0,),
        metavar="B,B",
        dest="betas",
        help="multipliers of the KL in training, a member for each and each seed (default 1); evaluated with 1",
    )
    command.add_argument("--steps", type=int, metavar="N", help="of Adam")
    command.add_argument("--batch", type=int, metavar="N", help="rows of a minibatch")
    command.add_argument("--learning-rate", type=float, metavar="R", help="at the start; falls to zero")
    command.add_argument("--warmup", type=float, metavar="SHARE", help="of the steps, over which beta rises from 0")
    command.add_argument(
        "--draws", type=int, metavar="N", help="points of the latent for each held-out example and subset"
    )
    add_device(command)
    command.add_argument(
        "--folder", type=Path, metavar="FOLDER", help="where all of it goes (default trained/MODEL-DATA)"
    )
    command.add_argument("--json", action="store_true", help="the report as JSON on standard output, and nothing else")
    command.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    with torch_needed():
        from toy_models.runs import Run, train_run
        from toy_models.trained_report import write_report
    data = data_of(options)
    asked = Run.of(data, options.model, **{name: getattr(options, name) for name in _CHOICES})
    folder = options.folder or Path("trained", f"{asked.model}-{data.name}")
    start = time.perf_counter()
    with progress() as bar:
        count = len(asked.members)
        task = bar.add_task(f"training {count} model{'' if count == 1 else 's'}", total=None)

        def watch(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        result = train_run(asked, folder, device=options.device, watch=watch, track=tracker(bar))
    write_report(result, folder, {**_versions(), "seconds": round(time.perf_counter() - start, 1)})
    say(f"wrote {folder}")
    return show_run(result, options)


def _versions() -> dict[str, str]:
    import numpy as np
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
