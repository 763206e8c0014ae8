"""``toy-models evaluate``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bounds.errors import InputError
from bounds.output import print_rich, progress, say, standard_output, tracker
from bounds.reference import reference_models
from toy_models.claims import Evaluation, evaluate
from toy_models.commands.options import torch_needed
from toy_models.commands.trained import show_run


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    command = commands.add_parser(
        "evaluate",
        help="a reference model's exact terms beside the ceilings that apply, or trained models from their folder",
        description="Holds a reference model's exact terms against every ceiling, or evaluates the models that "
        "`toy-models train` left in a folder again, from their saved parameters. Exit code 1 on a violation.",
    )
    command.add_argument(
        "name", metavar="NAME", help="a model that `toy-models list` shows, or a folder that `toy-models train` wrote"
    )
    command.add_argument("--json", action="store_true", help="JSON on standard output, and nothing else there")
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    name, known = options.name, reference_models()
    if name not in known:
        if Path(name).is_dir():
            return _evaluate_folder(options)
        raise InputError(
            f"unknown model {name!r}: use one of {', '.join(known)}, or a folder that `toy-models train` wrote"
        )
    evaluation = evaluate(known[name])
    with standard_output():
        if options.json:
            print(json.dumps(evaluation.to_dict(), indent=2, allow_nan=False))
        else:
            _print(evaluation)
    for claim in evaluation.violated:
        sides = f"{claim.inequality.left:.12g} < {claim.inequality.right:.12g}"
        say(f"toy-models: violated although proved: {claim.statement} ({claim.source}): {sides}")
    return 1 if evaluation.violated else 0


def _evaluate_folder(options: argparse.Namespace) -> int:
    with torch_needed():
        from toy_models.runs import evaluate_run
    with progress() as bar:
        result = evaluate_run(Path(options.name), tracker(bar))
    return show_run(result, options)


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
