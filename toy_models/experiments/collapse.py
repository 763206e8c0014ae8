"""Where does a trained MMVAE's latent switch on as two modalities become more alike?"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bounds.optimum import optimal_elbo
from bounds.plots import COLOURS
from bounds.plots.style import marker
from toy_models.datasets import Dataset, common_cause
from toy_models.experiments.cell import Cell, measured
from toy_models.experiments.study import Experiment, Finding, Setting, mean_and_error
from toy_models.models import Architecture
from toy_models.train import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Nats of the latent below which it is off.
OFF = 0.01
#: Correlations this near the threshold may go either way: there the best latent is worth less than training sees.
NEAR = 0.1
#: Width of the certified bracket, in nats.
TOL = 1e-6


def run(setting: Setting) -> Finding:
    """MMVAE on ``M`` noisy copies of a fair bit, of every correlation; two modalities, or two and three."""
    counts = setting.choose((2,), (2, 3))
    correlations = setting.choose((0.2, 0.3, 0.5, 0.6, 0.8), tuple(np.round(np.arange(0.1, 0.96, 0.05), 2).tolist()))
    rows: list[dict[str, Any]] = []
    for count in counts:
        for rho in setting.track(correlations, f"collapse, {count} modalities", len(correlations)):
            rows.append(_measure(count, rho, setting))
    checks, parts = {}, []
    for count in counts:
        threshold = 1 / (1 + math.sqrt(count))
        own = [row for row in rows if row["modalities"] == count]
        below = [row for row in own if row["rho"] < threshold - NEAR]
        above = [row for row in own if row["rho"] > threshold + NEAR]
        checks[f"M={count}: off below the threshold"] = all(max(row["kl"]) < OFF for row in below)
        checks[f"M={count}: on above the threshold"] = all(max(row["kl"]) > OFF for row in above)
        checks[f"M={count}: no loss below the certified optimum"] = all(row["below_optimum"] < 4 for row in own)
        on = [row["rho"] for row in own if max(row["kl"]) > OFF]
        off = [row["rho"] for row in own if max(row["kl"]) <= OFF]
        parts.append(
            f"with {count} modalities the latent is off up to a correlation of {max(off, default=math.nan):g} and on "
            f"from {min(on, default=math.nan):g} (theory: {threshold:.3f})"
        )
    return Finding(
        EXPERIMENT.name, EXPERIMENT.question, "; ".join(parts), checks, {"rows": rows}, partial(_figure, rows)
    )


def _measure(count: int, rho: float, setting: Setting) -> dict[str, Any]:
    dataset = _dataset(count, rho, setting)
    assert dataset.law is not None
    architecture = Architecture.of(dataset, "mmvae", "categorical", latents=1, hidden=(32,))
    training = Training(setting.choose(2000, 6000), batch=256, learning_rate=5e-3, warmup=0.25)
    found = measured(Cell(dataset, architecture, training, draws=64), setting)
    seconds = setting.choose(20.0, 60.0)
    best = setting.kept("loss", ("mmvae", count, rho, seconds, TOL), lambda _: _bracket(dataset, architecture, seconds))
    h = dataset.law.entropy_vector()
    pairs = zip(found["loss"], found["loss_error"], strict=True)
    return {
        "modalities": count,
        "rho": rho,
        "kl": found["kl"],
        "loss": found["loss"],
        "total_correlation": float(sum(h[1 << m] for m in range(count)) - h[(1 << count) - 1]),
        "below_optimum": max((best["loss_low"] - loss) / math.hypot(error, 1e-9) for loss, error in pairs),
        **best,
    }


def _dataset(count: int, rho: float, setting: Setting) -> Dataset:
    """Two modalities have the correlation ``(1 - noise)^2``."""
    return common_cause(
        count, units=0, noise=1 - math.sqrt(rho),
        n_train=setting.choose(20_000, 100_000), n_held_out=10_000, rng=np.random.default_rng(round(1000 * rho)),
    )  # fmt: skip


def _bracket(dataset: Dataset, architecture: Architecture, seconds: float) -> dict[str, float]:
    assert dataset.law is not None
    found = optimal_elbo(dataset.law, architecture.encoded, tol=TOL, seconds=seconds)
    return {"loss_low": -found.entropy - found.high, "loss_high": -found.entropy - found.low}


def _figure(rows: list[dict[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for i, count in enumerate(sorted({row["modalities"] for row in rows})):
        own = [row for row in rows if row["modalities"] == count]
        x = [row["rho"] for row in own]
        means, errors = zip(*(mean_and_error(row["kl"]) for row in own), strict=True)
        left.errorbar(
            x, means, errors, fmt=f"{marker('', i)}-", color=COLOURS[i], capsize=3, label=f"{count} modalities"
        )
        left.axvline(1 / (1 + math.sqrt(count)), color=COLOURS[i], lw=1, ls=":")
        means, errors = zip(*(mean_and_error(row["loss"]) for row in own), strict=True)
        right.errorbar(
            x, means, errors, fmt=marker("", i), color=COLOURS[i], capsize=3, label=f"{count} modalities, trained"
        )
        right.plot(x, [row["loss_high"] for row in own], "-", color=COLOURS[i], label="certified optimum")
        right.plot(x, [row["total_correlation"] for row in own], ":", color=COLOURS[i], label="latent off")
    left.set(xlabel="correlation", ylabel="KL of the encoders, nats", title="dotted: threshold 1 / (1 + sqrt M)")
    right.set(xlabel="correlation", ylabel="loss: -H(X) - ELBO, nats")
    left.legend()
    right.legend()
    return figure


EXPERIMENT = Experiment(
    "collapse", "Where does a trained MMVAE's latent switch on as two modalities become more alike?", run
)
