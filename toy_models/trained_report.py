"""What a run found: as a table, as JSON, and as training curves below their ceilings."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bounds.audit_result import Audit
from bounds.ceilings import elbo_ceiling
from bounds.errors import ObjectiveError
from bounds.likelihoods import likelihood_ceiling
from bounds.output import write
from toy_models.figures import training_curve
from toy_models.held_out import HeldOut
from toy_models.models import Architecture
from toy_models.runs import RunResult, audited_likelihood
from toy_models.train import BLOCK

if TYPE_CHECKING:
    from rich.table import Table

REPORT, CURVES = "report.json", "curves.png"


def violated(result: RunResult) -> bool:
    """Whether the audit of any member found a violation."""
    return any(one is not None and one.audit is not None and one.audit.verdict == "violated" for one in result.members)


def ceiling_of(audit: Audit) -> float | None:
    """The lowest ceiling of the whole objective, in nats."""
    found = [check.ceiling for check in audit.checks if check.kind in ("objective", "likelihood")]
    return min((one for one in found if one is not None), default=None)


def to_dict(result: RunResult) -> dict[str, Any]:
    """JSON-ready, in nats."""
    run, data, law = result.run, result.dataset, result.dataset.law
    entropy = None if law is None else float(law.unit_entropies().values[-1])
    return {
        **run.to_dict(),
        "unit": "nats",
        "scheme": result.architecture.encoded.label,
        "objective": result.architecture.encoded.objective,
        "examples": {"train": data.n_train, "held_out": data.n_held_out},
        "modalities": list(data.names),
        "entropy": entropy,
        "members": [_row(result, i) for i in range(len(result.members))],
    }


def _row(result: RunResult, index: int) -> dict[str, Any]:
    member, found = result.run.members[index], result.members[index]
    row: dict[str, Any] = {"member": index, "seed": member.seed, "beta": member.beta}
    if found is None:
        return row | {"failed": True}
    row |= found.to_dict() | {"distortion": dict(zip(result.dataset.names, found.distortion, strict=True))}
    if found.audit is not None:
        broken = [check.to_dict() for check in found.audit.checks if check.verdict == "violated"]
        row |= {"ceiling": ceiling_of(found.audit), "violated": broken}
    return row


def to_terminal(result: RunResult) -> Table:
    """One row for each member."""
    from rich.table import Table

    table = Table()
    rows = [
        {"seed": str(member.seed), "beta": f"{member.beta:g}"} | _cells(found, result.dataset.names)
        for member, found in zip(result.run.members, result.members, strict=True)
    ]
    summed = result.architecture.encoded.objective == "sub-sampled"
    for heading in max(rows, key=len):
        shown = "sum of ELBOs" if summed and heading == "ELBO" else heading
        table.add_column(shown, justify="left" if heading == "verdict" else "right")
    for row in rows:
        table.add_row(*(row.get(heading, "") for heading in max(rows, key=len)))
    return table


def _cells(found: HeldOut | None, names: Sequence[str]) -> dict[str, str]:
    """By heading. ``loss`` is ``-H(X) - ELBO`` from paired differences, whose error is far smaller than the ELBO's."""
    if found is None:
        return {"verdict": "failed: NaN in training"}
    cells = {"ELBO": f"{found.elbo:.4f} ± {found.standard_error:.4f}", "KL": f"{found.kl:.4f}"}
    cells |= {f"distortion {name}": f"{nats:.4f}" for name, nats in zip(names, found.distortion, strict=True)}
    if found.audit is None:
        return cells | {"verdict": "no law to audit against"}
    ceiling = ceiling_of(found.audit)
    cells["ceiling"] = "none" if ceiling is None else f"{ceiling:.4f}"
    if found.difference is not None:
        cells["loss"] = f"{found.difference.mean():.4f}"
    return cells | {"verdict": found.audit.verdict}


def write_report(result: RunResult, folder: Path, about: dict[str, Any]) -> None:
    """``report.json``, and where the training is known ``curves.png``.

    Args:
        result: of a run.
        folder: of the run.
        about: versions and the like, added to the report.

    Raises:
        InputError: what cannot be written.
    """
    page = json.dumps(to_dict(result) | {"run": about}, indent=1, allow_nan=False)
    write(folder / REPORT, page + "\n", announced=False)
    if result.trained is not None:
        write(folder / CURVES, _curves(result), announced=False)


def training_ceilings(result: RunResult) -> dict[str, float]:
    """What bounds the expectation of the training objective, by label, for each multiplier that has a ceiling."""
    architecture, law, betas = result.architecture, result.dataset.law, result.run.betas
    if law is None:
        return {}
    h, objective = law.unit_entropies(), architecture.model_class.objective
    likelihood = audited_likelihood(architecture, result.dataset) if objective == "own-density" else None
    found = {}
    for beta in betas:
        shown = f", beta {beta:g}" if len(betas) > 1 else ""
        name, parameters = _bounded(architecture, beta)
        try:
            ceiling = elbo_ceiling(h, architecture.encoded, name, **parameters) if name else None
        except ObjectiveError:  # such as a multiplier below 1 on continuous data
            ceiling = None
        if ceiling is not None:
            found[f"{ceiling.theorem}{shown}"] = float(ceiling)
        if likelihood is not None and beta >= 1:
            found[f"T7, {likelihood}{shown}"] = float(likelihood_ceiling(law, architecture.encoded, likelihood))
    return {label: nats for label, nats in found.items() if math.isfinite(nats)}


def _bounded(architecture: Architecture, beta: float) -> tuple[str, dict[str, Any]]:
    """The objective whose ceiling holds in training with a multiplier, as :func:`bounds.elbo_ceiling` takes it."""
    objective = architecture.model_class.objective
    if objective == "own-density":
        return ("own-density", {}) if beta == 1 else ("beta", {"beta": beta})
    if objective == "iwae-mixture":
        return ("iwae-mixture", {"k": architecture.noise_shape[1]}) if beta == 1 else ("", {})
    # a larger multiplier of the KL only lowers what is maximised
    return (objective, {}) if beta >= 1 else ("", {})


def _curves(result: RunResult) -> bytes:
    """Training objectives after the warm-up, during which they may well be above the ceiling, as a PNG."""
    from matplotlib.figure import Figure

    assert result.trained is not None
    run, history = result.run, np.array(result.trained.history)
    history[: math.ceil(run.training.warmup * run.training.steps / BLOCK)] = math.nan
    several = len(run.betas) > 1
    labels = [f"seed {one.seed}" + (f", beta {one.beta:g}" if several else "") for one in run.members]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    curves = dict(zip(labels, history.T, strict=True))
    training_curve(curves, figure.subplots(), steps=BLOCK, ceilings=training_ceilings(result))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
