"""``toy-models list``."""

from __future__ import annotations

import argparse
from typing import Any

from bounds.errors import InputError
from bounds.output import print_rich, say, standard_output
from bounds.reference import reference_models
from toy_models.commands.experiment import known_experiments
from toy_models.datasets.named import DATASETS


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    command = commands.add_parser("list", help="the reference models, and what can be trained, on what data")
    command.set_defaults(run=_list)


def _list(options: argparse.Namespace) -> int:
    from rich.table import Table

    references = Table("reference model", "lesson", "source", box=None, pad_edge=False)
    for reference in reference_models().values():
        references.add_row(reference.name, reference.story, reference.source)
    data = Table("data to train on", "what it is", "dials", box=None, pad_edge=False)
    for one in DATASETS.values():
        data.add_row(f"{one.name}{'=FOLDER' if one.from_folder else ''}", one.meaning, ", ".join(one.dials))
    tables, lacking = [references, data], None
    try:
        experiments = known_experiments()
    except InputError as error:
        lacking = error
    else:
        from toy_models.models import MODELS

        models = Table("model to train", "what it is", "objective in training", box=None, pad_edge=False)
        for kind in MODELS.values():
            models.add_row(kind.name, kind.meaning, kind.objective)
        studies = Table("experiment", "question", box=None, pad_edge=False)
        for experiment in experiments.values():
            studies.add_row(experiment.name, experiment.question)
        tables = [references, models, data, studies]
    with standard_output():
        print_rich(*(part for table in tables for part in (table, "")))
    if lacking:
        say(f"toy-models: neither models to train nor experiments are listed: {lacking}")
    return 0
