"""Does the gap to unimodal VAEs grow with the number of modalities, and for which models?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bounds.joints import Gaussian
from bounds.plots import COLOURS
from bounds.plots.style import marker
from bounds.schemes import full
from toy_models.datasets import Dataset, polydigits, shared_private_gaussian
from toy_models.experiments.cell import Cell, measured
from toy_models.experiments.study import Experiment, Finding, Setting, mean_and_error
from toy_models.gaussian_expert_fit import fit_experts
from toy_models.gaussian_fit import fit
from toy_models.models import MODELS, Architecture
from toy_models.train import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JOINT = ("mvae", "mmvae", "mopoe")
#: Latents of a unimodal VAE; joint models have as many for each modality, so that size does not tell them apart.
LATENTS = {"mostly private": 3, "mostly shared": 2, "PolyDigits": 8}
#: Nats for each modality by which a trained mixture's gap may differ from that of the best linear models. MVAE's is
#: reported and not held to it: training may leave it in an optimum where one latent is not used.
NEAR = 0.05
#: Of the search for the best products of experts.
STARTS = 2


def run(setting: Setting) -> Finding:
    """Joint and unimodal VAEs on Gaussian factors, mostly private or mostly shared, and on PolyDigits."""
    rows = []
    for title, widest in _datasets(setting).items():
        few = (1, 3) if title == "PolyDigits" else (1, 3, 5)
        counts = setting.choose(few, (1, 2, 3, 4, 5))
        for count in setting.track(counts, f"modalities: {title}", len(counts)):
            rows += _gaps(title, widest.first(count), setting)
    checks, parts = {}, []
    for title in LATENTS:
        own = [row for row in rows if row["data"] == title]
        growth = {name: _growth(own, name) for name in JOINT}
        mean, error = growth["mvae"]
        if title != "PolyDigits":
            mixed = [row for row in own if row["model"] != "mvae"]
            apart = max(abs(mean_and_error(row["gap"])[0] - row["best_linear"]) for row in mixed)
            checks[f"{title}: gaps of mixtures within {NEAR} nats of the best linear models'"] = apart < NEAR
            checks[f"{title}: the gap of mvae does not grow"] = mean <= 3 * error
        if title != "mostly shared":
            for name in ("mmvae", "mopoe"):
                checks[f"{title}: the gap of {name} grows"] = growth[name][0] > 3 * growth[name][1]
            checks[f"{title}: that of mvae by less than a tenth of mmvae's"] = mean < growth["mmvae"][0] / 10
        shown = ", ".join(f"{name} {mean:+.2f} ± {error:.2f}" for name, (mean, error) in growth.items())
        parts.append(f"{title}, to {max(row['modalities'] for row in own)} modalities: {shown}")
    sentence = "from one modality the gap to unimodal VAEs changes, in nats for each modality, by " + "; ".join(parts)
    return Finding(EXPERIMENT.name, EXPERIMENT.question, sentence, checks, {"rows": rows}, partial(_figure, rows))


def _datasets(setting: Setting) -> dict[str, Dataset]:
    most, sizes = 5, {"n_train": setting.choose(20_000, 50_000), "n_held_out": 4_000}
    private = shared_private_gaussian(most, 0.2, 2.0, size=4, private_dims=2, **sizes, rng=np.random.default_rng(0))
    shared = shared_private_gaussian(most, 2.0, 0.2, size=4, **sizes, rng=np.random.default_rng(0))
    images = polydigits(
        most, n_train=setting.choose(5_000, 20_000), n_held_out=setting.choose(600, 4_000), rng=np.random.default_rng(0)
    )
    return {"mostly private": private, "mostly shared": shared, "PolyDigits": images}


def _gaps(title: str, dataset: Dataset, setting: Setting) -> list[dict[str, Any]]:
    """``(sum_m ELBO_m - L) / M`` by seed for each joint model."""
    found = {name: measured(_cell(title, dataset, name, setting), setting) for name in ("unimodal", *JOINT)}
    count = dataset.n_modalities
    best = _best_linear(title, dataset, setting) if isinstance(dataset.law, Gaussian) else {}
    rows = []
    for name in JOINT:
        pairs = zip(found["unimodal"]["elbo"], found[name]["elbo"], strict=True)
        gaps = [(alone - joint) / count for alone, joint in pairs]
        row = {"data": title, "modalities": count, "model": name, "gap": gaps, "elbo": found[name]["elbo"]}
        rows.append(row | ({"best_linear": best[name]} if best else {}))
    return rows


def _best_linear(title: str, dataset: Dataset, setting: Setting) -> dict[str, float]:
    """The gap that the best linear models with as many latents have."""
    law, count = dataset.law, dataset.n_modalities
    assert isinstance(law, Gaussian)

    def work(_: Path) -> dict[str, float]:
        alone = sum(fit(law.marginal([m]), full(1), "diagonal", LATENTS[title]).elbo for m in range(count))
        found = {}
        for name in JOINT:
            model, latents = MODELS[name], LATENTS[title] * count
            best = fit_experts(law, model.scheme(count), "diagonal", latents, prior=model.prior_expert, starts=STARTS)
            found[name] = (alone - best.elbo) / count
        return found

    return setting.kept("best-linear", (law.cov.tolist(), count, LATENTS[title], JOINT, STARTS), work)


def _cell(title: str, dataset: Dataset, name: str, setting: Setting) -> Cell:
    images = title == "PolyDigits"
    architecture = Architecture.of(
        dataset,
        name,
        "gaussian:0.2" if images else "gaussian:learned",
        latents=LATENTS[title] * (1 if name == "unimodal" else dataset.n_modalities),
        hidden=setting.choose((64,), (256,)) if images else (),
    )
    training = Training(setting.choose(2500, 6000), batch=128, learning_rate=1e-2)
    if images:
        training = Training(setting.choose(3000, 10_000), setting.choose(64, 128), learning_rate=2e-3, warmup=0.25)
    return Cell(dataset, architecture, training, draws=setting.choose(4, 32) if images else 16)


def _growth(rows: list[dict[str, Any]], name: str) -> tuple[float, float]:
    """Change of the gap from the fewest to the most modalities, with its standard error over seeds."""
    own = [row for row in rows if row["model"] == name]
    return mean_and_error([last - first for first, last in zip(own[0]["gap"], own[-1]["gap"], strict=True)])


def _figure(rows: list[dict[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    for axes, title in zip(figure.subplots(1, 3), LATENTS, strict=True):
        for i, name in enumerate(JOINT):
            own = [row for row in rows if row["data"] == title and row["model"] == name]
            means, errors = zip(*(mean_and_error(row["gap"]) for row in own), strict=True)
            axes.errorbar(
                [r["modalities"] for r in own],
                means,
                errors,
                fmt=f"{marker(name, i)}-",
                color=COLOURS[i],
                capsize=3,
                label=name,
            )
            if "best_linear" in own[0]:
                axes.plot([r["modalities"] for r in own], [r["best_linear"] for r in own], ":", color=COLOURS[i])
        axes.axhline(0, color="black", lw=0.6)
        dotted = "" if title == "PolyDigits" else " (dotted: best linear)"
        axes.set(title=title + dotted, xlabel="modalities", ylabel="gap to unimodal VAEs, nats per modality")
        axes.set_xticks(sorted({row["modalities"] for row in rows if row["data"] == title}))
    axes.legend()
    return figure


EXPERIMENT = Experiment(
    "modalities", "Does the gap to unimodal VAEs grow with the number of modalities, and for which models?", run
)
