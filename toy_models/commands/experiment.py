"""``toy-models experiment``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bounds.errors import InputError
from bounds.output import print_rich, progress, say, standard_output, tracker
from toy_models.commands.options import add_device, torch_needed, wholes

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from toy_models.experiments import Experiment, Finding, Setting


def add(commands: Any) -> None:
    """Adds the command to a parser."""
    command = commands.add_parser(
        "experiment",
        help="train models and hold them against the theory: the paper's studies by name",
        description="Trains models, measures them on held-out data and says in one sentence what was found and whether "
        "theory and training agree. What has been measured is kept: a run that was stopped goes on where it was.",
        epilog="`toy-models list` shows the experiments. Needs torch: pip install 'multimodal-bounds[toy]'.",
    )
    command.add_argument("names", nargs="+", metavar="NAME", help="an experiment, or all")
    command.add_argument(
        "--quick", action="store_true", help="fewer seeds, steps and points: all in 20 minutes on two cores"
    )
    add_device(command)
    command.add_argument(
        "--seeds", type=wholes, default=(), metavar="S,S", help="of the models (default 0 to 4, with --quick 0 to 2)"
    )
    command.add_argument(
        "--processes", type=int, metavar="P", help="experiments at a time (default: one for each core; 1 with cuda)"
    )
    command.add_argument(
        "--folder",
        type=Path,
        default=Path("results"),
        metavar="FOLDER",
        help="where NAME.json, NAME.png and measurements go (default results); --quick has its own, FOLDER/quick",
    )
    command.add_argument("--json", action="store_true", help="the findings as JSON on standard output alone")
    command.set_defaults(run=_experiment)


def known_experiments() -> Mapping[str, Experiment]:
    """The experiments by name.

    Raises:
        InputError: torch is not there.
    """
    with torch_needed():
        from toy_models.experiments import EXPERIMENTS
    return EXPERIMENTS


def _experiment(options: argparse.Namespace) -> int:
    known = known_experiments()
    for name in options.names:
        if name not in (*known, "all"):
            raise InputError(f"unknown experiment {name!r}: use all, or some of {', '.join(known)}")
    from toy_models.experiments import Setting

    folder = options.folder / "quick" if options.quick else options.folder
    chosen = [one for one in known.values() if one.name in options.names or "all" in options.names]
    findings = []
    with progress() as bar:
        setting = Setting(folder, options.quick, options.device, tracker(bar), options.seeds)
        for finding in bar.track(
            _found(chosen, setting, options.processes, bar), len(chosen), description="experiments"
        ):
            findings.append(finding)
            say(str(finding))
    findings.sort(key=lambda finding: list(known).index(finding.experiment))
    with standard_output():
        if options.json:
            print(json.dumps([finding.to_dict() for finding in findings], indent=2, allow_nan=False))
        else:
            print_rich(_table(findings))
    return 0 if all(finding.agrees for finding in findings) else 1


def _found(chosen: list[Experiment], setting: Setting, processes: int | None, bar: Progress) -> Iterator[Finding]:
    """The findings of experiments, one after another or several at a time."""
    if processes is not None and processes < 1:
        raise InputError(f"--processes {processes}: give 1 or more")
    cores = 1 if setting.device.startswith("cuda") else os.cpu_count() or 1
    processes = min(processes or cores, len(chosen))
    if processes == 1:
        yield from (experiment(setting) for experiment in chosen)
        return
    from toy_models.experiments.side_by_side import side_by_side

    tasks: dict[str, TaskID] = {}

    def watch(description: str, done: int, total: int) -> None:
        if description not in tasks:
            tasks[description] = bar.add_task(description, total=total)
        bar.update(tasks[description], completed=done)

    yield from side_by_side(chosen, setting, processes, watch)


def _table(findings: list[Finding]) -> Table:
    from rich.table import Table

    table = Table("experiment", "finding", "theory and training")
    for finding in findings:
        table.add_row(finding.experiment, finding.sentence, "agree" if finding.agrees else "do NOT agree")
    return table
