"""The program ``toy-models``: arguments and exit codes only."""

from __future__ import annotations

import argparse
import json
import os
import platform
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from bounds.errors import InputError
from bounds.output import print_rich, progress, run, say, standard_output, tracker
from bounds.reference import reference_models
from toy_models.claims import Evaluation, evaluate
from toy_models.datasets.named import DATASETS, DataChoice, NamedDataset

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from toy_models.experiments import Experiment, Finding, Setting
    from toy_models.runs import RunResult

FINE, VIOLATED, BAD_INPUT = 0, 1, 2
#: Options of `train` that make a run, besides its data and model.
_CHOICES = (
    "likelihood", "latents", "private", "hidden", "network", "seeds", "betas", "steps", "batch", "learning_rate",
    "warmup", "draws",
)  # fmt: skip
_Item = TypeVar("_Item")


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
    command = commands.add_parser("list", help="the reference models, and what can be trained, on what data")
    command.set_defaults(run=_list)
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
    _add_train(commands)
    _add_experiment(commands)
    return parser


_DATA_HELP = "DATA is one of the following; --set turns its dials."
_FOLDER_HELP = """
FOLDER gets, for each member, member-0.npz (`bounds audit` reads it) and member-0.pt (parameters in float64);
law.npz where the law is known, config.json, report.json, curves.png, and checkpoints, by which a run that was
stopped goes on. Needs torch: pip install 'multimodal-bounds[toy]'.
"""


def _add_train(commands: Any) -> None:
    command = commands.add_parser(
        "train",
        help="train models from several seeds, evaluate them on held-out data and audit them",
        description="Trains models of one kind side by side, evaluates each on held-out data by the K=1 ELBO with each "
        "encoder's own density, and holds it against the law of the data where that is known. Exit code 1 if any is "
        "above a ceiling. What is not given is chosen for the data.",
        epilog="\n".join([_DATA_HELP, *map(_described, DATASETS.values()), _FOLDER_HELP]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("model", metavar="MODEL", help="a kind of model that `toy-models list` shows")
    command.add_argument("--data", required=True, metavar="DATA", help="see below")
    command.add_argument("--modalities", type=int, metavar="M", help="how many (2 to 5 by default, of the data)")
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="dials", help="a dial of the data; repeat"
    )
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
        "--hidden", type=_widths, metavar="N,N", help="widths of the hidden layers, 'none' for affine networks"
    )
    command.add_argument(
        "--network", choices=("mlp", "conv"), default="mlp", help="conv for images: --hidden is then its channels"
    )
    command.add_argument(
        "--seeds", type=_wholes, default=(0, 1, 2), metavar="S,S", help="one member each (default 0,1,2)"
    )
    command.add_argument(
        "--beta",
        type=_numbers,
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
    _add_device(command)
    command.add_argument(
        "--folder", type=Path, metavar="FOLDER", help="where all of it goes (default trained/MODEL-DATA)"
    )
    command.add_argument("--json", action="store_true", help="the report as JSON on standard output, and nothing else")
    command.set_defaults(run=_train)


def _described(data: NamedDataset) -> str:
    """A dataset, and its dials with their defaults."""
    name = f"{data.name}=FOLDER" if data.from_folder else data.name
    dials = (f"{dial}={'all' if value is None else value}" for dial, value in data.dials.items())
    listed = textwrap.wrap(", ".join(dials), 76)
    return "\n".join([f"  {name:23}{data.meaning}", *(f"  {'':23}{line}" for line in listed)])


def _add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="cpu", metavar="DEVICE", help="of training: cpu (default) or cuda")


def _wholes(text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas."""
    return _listed(text, int, "whole numbers")


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    return _listed(text, float, "numbers")


def _widths(text: str) -> tuple[int, ...]:
    """Widths of hidden layers; ``none`` is an affine network."""
    return () if text == "none" else _wholes(text)


def _listed(text: str, kind: Callable[[str], _Item], what: str) -> tuple[_Item, ...]:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give {what} separated by commas") from None


def _add_experiment(commands: Any) -> None:
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
    _add_device(command)
    command.add_argument(
        "--seeds", type=_wholes, default=(), metavar="S,S", help="of the models (default 0 to 4, with --quick 0 to 2)"
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


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help\n")


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
        experiments = _experiments()
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
    return FINE


def _experiments() -> Mapping[str, Experiment]:
    """The experiments by name.

    Raises:
        InputError: torch is not there.
    """
    with _torch_needed():
        from toy_models.experiments import EXPERIMENTS
    return EXPERIMENTS


@contextmanager
def _torch_needed() -> Iterator[None]:
    """Says how to get torch where an import inside lacks it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError("training needs torch: pip install 'multimodal-bounds[toy]'") from None


def _train(options: argparse.Namespace) -> int:
    with _torch_needed():
        from toy_models.runs import Run, train_run
        from toy_models.trained_report import write_report
    data = DataChoice.parse(options.data, options.modalities, options.dials)
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
    return _show_run(result, options)


def _versions() -> dict[str, str]:
    import numpy as np
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def _show_run(result: RunResult, options: argparse.Namespace) -> int:
    from toy_models.trained_report import to_dict, to_terminal, violated

    with standard_output():
        if options.json:
            print(json.dumps(to_dict(result), indent=2, allow_nan=False))
        else:
            title = f"{result.run.model} on {result.dataset!r}; held-out examples, nats"
            print_rich(title, to_terminal(result))
    return VIOLATED if violated(result) else FINE


def _experiment(options: argparse.Namespace) -> int:
    known = _experiments()
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
    return FINE if all(finding.agrees for finding in findings) else VIOLATED


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
    return VIOLATED if evaluation.violated else FINE


def _evaluate_folder(options: argparse.Namespace) -> int:
    with _torch_needed():
        from toy_models.runs import evaluate_run
    with progress() as bar:
        result = evaluate_run(Path(options.name), tracker(bar))
    return _show_run(result, options)


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
