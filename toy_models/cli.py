"""The program ``toy-models``: arguments and exit codes only."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from bounds.errors import InputError
from bounds.output import print_rich, progress, run, say, standard_output
from bounds.reference import reference_models
from toy_models.claims import Evaluation, evaluate

if TYPE_CHECKING:
    from rich.table import Table

    from toy_models.experiments import Experiment, Finding

FINE, VIOLATED, BAD_INPUT = 0, 1, 2
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
    command = commands.add_parser("list", help="the reference models, each with its lesson, and the experiments")
    command.set_defaults(run=_list)
    command = commands.add_parser("evaluate", help="a reference model's exact terms beside the ceilings that apply")
    command.add_argument("name", metavar="NAME", help="a model that `toy-models list` shows")
    command.add_argument("--json", action="store_true", help="JSON on standard output, and nothing else there")
    command.set_defaults(run=_evaluate)
    _add_experiment(commands)
    return parser


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
    command.add_argument("--device", default="cpu", help="of training: cpu (default) or cuda")
    command.add_argument(
        "--folder", type=Path, help="where NAME.json, NAME.png and measurements go (default results, or results/quick)"
    )
    command.add_argument("--json", action="store_true", help="the findings as JSON on standard output alone")
    command.set_defaults(run=_experiment)


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def _list(options: argparse.Namespace) -> int:
    from rich.table import Table

    table = Table("reference model", "lesson", "source", box=None, pad_edge=False)
    for reference in reference_models().values():
        table.add_row(reference.name, reference.story, reference.source)
    studies = Table("experiment", "question", box=None, pad_edge=False)
    for experiment in _experiments().values():
        studies.add_row(experiment.name, experiment.question)
    with standard_output():
        print_rich(table, "", studies)
    return FINE


def _experiments() -> Mapping[str, Experiment]:
    """The experiments by name.

    Raises:
        InputError: torch is not there.
    """
    try:
        from toy_models.experiments import EXPERIMENTS
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError("experiments need torch: pip install 'multimodal-bounds[toy]'") from None
    return EXPERIMENTS


def _experiment(options: argparse.Namespace) -> int:
    known = _experiments()
    for name in options.names:
        if name not in (*known, "all"):
            raise InputError(f"unknown experiment {name!r}: use all, or some of {', '.join(known)}")
    from toy_models.experiments import Setting

    folder = options.folder or Path("results", "quick" if options.quick else "")
    chosen = [one for one in known.values() if one.name in options.names or "all" in options.names]
    findings = []
    with progress() as bar:

        def track(items: Iterable[_Item], description: str, total: int) -> Iterable[_Item]:
            return bar.track(items, total=total, description=description)

        setting = Setting(folder, options.quick, options.device, track)
        for experiment in bar.track(chosen, description="experiments"):
            findings.append(experiment(setting))
            say(str(findings[-1]))
    with standard_output():
        if options.json:
            print(json.dumps([finding.to_dict() for finding in findings], indent=2, allow_nan=False))
        else:
            print_rich(_table(findings))
    return FINE if all(finding.agrees for finding in findings) else VIOLATED


def _table(findings: list[Finding]) -> Table:
    from rich.table import Table

    table = Table("experiment", "finding", "theory and training")
    for finding in findings:
        table.add_row(finding.experiment, finding.sentence, "agree" if finding.agrees else "do NOT agree")
    return table


def _evaluate(options: argparse.Namespace) -> int:
    name, known = options.name, reference_models()
    if name not in known:
        raise InputError(f"unknown model {name!r}: use one of {', '.join(known)}")
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
