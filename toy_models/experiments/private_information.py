"""Does the gap follow the generative discrepancy, or what of it a decoder cannot express?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bounds.ceilings import generative_discrepancy
from bounds.joints import Gaussian
from bounds.likelihoods import likelihood_ceiling
from bounds.plots import COLOURS
from bounds.plots.style import marker
from bounds.schemes import mmvae
from toy_models.datasets import Dataset, shared_private_gaussian
from toy_models.experiments.cell import Cell, measured
from toy_models.experiments.study import Experiment, Finding, Setting, mean_and_error
from toy_models.gaussian_fit import fit
from toy_models.models import Architecture
from toy_models.train import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODALITIES = 3
MODELS = ("mmvae", "mvae")
#: What makes modalities more private, and how it is shown: one factor in two or in four units, noise in each unit.
CASES = {"one factor in two units": 2, "one factor in four units": 4, "noise of each unit": 2}
#: Nats by which the slope of trained models may differ from that of the best linear model, for each nat of Delta.
SLOPE = 0.1


def run(setting: Setting) -> Finding:
    """MMVAE and MVAE on Gaussian factors, as the variance of what is private grows."""
    variances = setting.choose((0.1, 0.5, 2.0), (0.1, 0.25, 0.5, 1.0, 2.0, 4.0))
    rows: list[dict[str, Any]] = []
    for case in setting.track(tuple(CASES), "private information", len(CASES)):
        for variance in variances:
            rows += [_measure(case, variance, name, setting) for name in MODELS]
    slopes = {(name, case): _slopes(rows, name, case) for name in MODELS for case in CASES}
    checks = {
        f"{name}, {case}: slope within {SLOPE} of the theory": abs(slope - theory) < SLOPE
        for (name, case), (slope, theory) in slopes.items()
    } | {"no loss below the least possible": all(row["below_floor"] < 4 for row in rows)}
    parts = []
    for case in CASES:
        (mixture, theory), (product, _) = slopes["mmvae", case], slopes["mvae", case]
        parts.append(f"{case}: MMVAE {mixture:+.2f} (theory {theory:+.2f}), MVAE {product:+.2f}")
    sentence = (
        f"for each nat that Delta gains the loss changes by, {'; '.join(parts)}: what costs is the total correlation "
        "of unseen units, and not Delta"
    )
    numbers = {
        "rows": rows,
        "slopes": {f"{name}, {case}": {"trained": s, "theory": t} for (name, case), (s, t) in slopes.items()},
    }
    return Finding(EXPERIMENT.name, EXPERIMENT.question, sentence, checks, numbers, partial(_figure, rows))


def _dataset(case: str, variance: float, setting: Setting) -> Dataset:
    private, noise = (0.5, variance) if case.startswith("noise") else (variance, 0.1)
    return shared_private_gaussian(
        MODALITIES, 1.0, private, size=CASES[case], noise_variance=noise,
        n_train=setting.choose(20_000, 50_000), n_held_out=setting.choose(4_000, 20_000), rng=np.random.default_rng(1),
    )  # fmt: skip


def _measure(case: str, variance: float, name: str, setting: Setting) -> dict[str, Any]:
    dataset = _dataset(case, variance, setting)
    law = dataset.law
    assert isinstance(law, Gaussian)
    architecture = Architecture.of(dataset, name, "gaussian:learned", latents=1 + MODALITIES, hidden=())
    training = Training(setting.choose(1500, 6000), batch=256, learning_rate=1e-2)
    found = measured(Cell(dataset, architecture, training, draws=setting.choose(16, 64)), setting)
    h = law.unit_entropies()
    entropy = float(h.values[-1])
    floor = -entropy - float(likelihood_ceiling(law, architecture.encoded, "gaussian:learned"))
    linear = fit(law, architecture.encoded, "diagonal", architecture.latents)
    pairs = zip(found["loss"], found["loss_error"], strict=True)
    return {
        "model": name,
        "case": case,
        "variance": variance,
        "delta": float(generative_discrepancy(h, mmvae(MODALITIES))),
        "floor": floor,
        "best_linear": -entropy - linear.elbo,
        "loss": found["loss"],
        "below_floor": max((floor - loss) / (error + 1e-9) for loss, error in pairs),
    }


def _slopes(rows: list[dict[str, Any]], name: str, case: str) -> tuple[float, float]:
    """Of the trained models' mean loss and of the best linear model's against Delta, by least squares."""
    own = [row for row in rows if row["model"] == name and row["case"] == case]
    delta = [row["delta"] for row in own]
    means = [mean_and_error(row["loss"])[0] for row in own]
    return float(np.polyfit(delta, means, 1)[0]), float(np.polyfit(delta, [row["best_linear"] for row in own], 1)[0])


def _figure(rows: list[dict[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2, sharey=True), MODELS, strict=True):
        for i, case in enumerate(CASES):
            own = [row for row in rows if row["model"] == name and row["case"] == case]
            x = [row["delta"] for row in own]
            means, errors = zip(*(mean_and_error(row["loss"]) for row in own), strict=True)
            axes.errorbar(x, means, errors, fmt=marker(case, i), color=COLOURS[i], capsize=3, label=case)
            axes.plot(x, [row["best_linear"] for row in own], "-", color=COLOURS[i], lw=1)
            axes.plot(x, [row["floor"] for row in own], ":", color=COLOURS[i], lw=1)
        axes.set(
            title=f"{name} (lines: best linear model; dotted: bound)",
            xlabel="Delta of MMVAE, nats",
            ylabel="loss: -h(X) - ELBO, nats",
        )
    axes.legend()
    return figure


EXPERIMENT = Experiment(
    "private-information",
    "Does the gap follow the generative discrepancy, or what of it a decoder cannot express?",
    run,
)
