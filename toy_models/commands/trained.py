"""Trained models as two commands show them."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from bounds.output import print_rich, standard_output

if TYPE_CHECKING:
    from toy_models.runs import RunResult


def show_run(result: RunResult, options: argparse.Namespace) -> int:
    """Prints the run; 1 if a model is above a ceiling."""
    from toy_models.trained_report import to_dict, to_terminal, violated

    with standard_output():
        if options.json:
            print(json.dumps(to_dict(result), indent=2, allow_nan=False))
        else:
            title = f"{result.run.model} on {result.dataset!r}; held-out examples, nats"
            print_rich(title, to_terminal(result))
    return 1 if violated(result) else 0
