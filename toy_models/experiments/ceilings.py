"""Is any trained model above a ceiling, and are the optima reached where they are known?"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bounds.ceilings import elbo_ceiling, quoted_bound
from bounds.joints import Discrete, Gaussian
from bounds.likelihoods import likelihood_ceiling
from bounds.optimum import optimal_elbo
from bounds.plots import COLOURS
from bounds.plots.style import marker
from bounds.schemes import SubsetScheme
from toy_models.datasets import Dataset, common_cause, equicorrelated
from toy_models.experiments.cell import Cell, measured
from toy_models.experiments.study import Experiment, Finding, Setting
from toy_models.gaussian_encoder_fit import fit_gaussian_encoders
from toy_models.gaussian_expert_fit import fit_experts
from toy_models.models import MODELS, Architecture
from toy_models.train import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: How near a model must come to a known optimum, in nats: affine networks to the best linear model, networks of two
#: layers on symbols to the best Gaussian encoders, and to the certified optimum, which is over any encoders.
LINEAR, GAUSSIAN, CERTIFIED = 0.01, 0.02, 0.05
#: Models whose training objective is the one that the optimum is of.
OWN_DENSITY = ("mvae", "mmvae", "mopoe")
#: Those of them for which Gaussian encoders come that near to the certified optimum, up to so many modalities. MoPoE's
#: subsets share experts, which costs more than that.
CHEAP, MOST = ("mvae", "mmvae"), 3


def run(setting: Setting) -> Finding:
    """Every model on correlated Gaussians and on noisy copies of a bit, for one to five modalities."""
    counts = setting.choose((1, 3), (1, 2, 3, 4, 5))
    rows: list[dict[str, Any]] = []
    for family in ("affine", "gaussian", "categorical"):
        for count in setting.track(counts, f"ceilings: {family}", len(counts)):
            dataset = _dataset(family, count, setting)
            for name in OWN_DENSITY if family == "affine" else tuple(MODELS):
                rows.append(
                    {"data": family, "modalities": count, "model": name} | _measure(family, name, dataset, setting)
                )
    verdicts = [verdict for row in rows for verdict in row["verdict"]]
    near = [row for row in rows if "short_of_optimum" in row]
    linear = max(row["short_of_optimum"] for row in near if row["data"] == "affine")
    symbols = [row for row in near if row["data"] == "categorical"]
    gaussian = max(abs(row["short_of_gaussian"]) for row in symbols)
    few = [row for row in symbols if row["modalities"] <= MOST]
    cheap = max(row["short_of_optimum"] for row in few if row["model"] in CHEAP)
    products = max(row["short_of_optimum"] for row in few if row["model"] not in CHEAP)
    above = [row["above_ceiling"] for row in rows]
    checks = {
        "no audit finds a violation": "violated" not in verdicts,
        "no model is above its ceiling by more than four standard errors": all(score < 4 for score in above),
        f"affine models come within {LINEAR} nats of the best linear model": linear < LINEAR,
        f"models of symbols come within {GAUSSIAN} nats of the best Gaussian encoders": gaussian < GAUSSIAN,
        f"mvae and mmvae of at most {MOST} symbols come within {CERTIFIED} nats of the certified optimum": (
            cheap < CERTIFIED
        ),
    }
    consistent = sum(verdict == "consistent" for verdict in verdicts)
    sentence = (
        f"of {len(verdicts)} trained models {verdicts.count('violated')} are above a ceiling and {consistent} are "
        f"consistent with all of them; the best of the seeds comes within {linear:.4f} nats of the best linear model "
        f"and on symbols within {gaussian:.4f} of the best Gaussian encoders; from the certified optimum of at most "
        f"{MOST} modalities MVAE and MMVAE stay up to {cheap:.4f} away, and MoPoE, whose subsets share experts, "
        f"{products:.4f}"
    )
    return Finding(EXPERIMENT.name, EXPERIMENT.question, sentence, checks, {"rows": rows}, partial(_figure, rows))


def _dataset(family: str, count: int, setting: Setting) -> Dataset:
    rng = np.random.default_rng(count)
    sizes = {"n_train": setting.choose(20_000, 50_000), "n_held_out": setting.choose(10_000, 20_000), "rng": rng}
    if family == "categorical":
        return common_cause(count, units=0, noise=0.3, **sizes)
    return equicorrelated(count, 0.5, **sizes)


def _measure(family: str, name: str, dataset: Dataset, setting: Setting) -> dict[str, Any]:
    gaussian = family != "categorical"
    architecture = Architecture.of(
        dataset,
        name,
        "gaussian:learned" if gaussian else "categorical",
        latents=dataset.n_modalities if gaussian else 1,  # symbols gain nothing by a second, and MoPoE loses
        private=1 if MODELS[name].private else 0,
        hidden=() if family == "affine" else (32,),
    )
    steps = setting.choose(1500, 4000)
    training = Training(
        steps, batch=256, learning_rate=1e-2 if family == "affine" else 5e-3, warmup=0.0 if gaussian else 0.25
    )
    found = measured(Cell(dataset, architecture, training, draws=32), setting)
    law, scheme = dataset.law, architecture.encoded
    assert law is not None
    h = law.unit_entropies()
    entropy = float(h.values[-1])
    row: dict[str, Any] = {"scheme": scheme.label, "entropy": entropy, **found}
    if scheme.objective == "sub-sampled":
        ceiling = float(elbo_ceiling(h, scheme, "sub-sampled"))
        row |= {"ceiling": ceiling, "above_ceiling": _score(found, ceiling)}
        return row
    row["t2"] = float(elbo_ceiling(h, scheme))
    row["quoted"] = float(quoted_bound(h, scheme))
    lowest = row["t2"]
    if isinstance(law, Gaussian):
        row["likelihood_ceiling"] = lowest = float(likelihood_ceiling(law, scheme, "gaussian:learned"))
    if isinstance(law, Discrete):
        best = _optimum(law, scheme, setting)
        row |= best
        lowest = best["optimum_high"]
        if name in OWN_DENSITY:
            fit = fit_gaussian_encoders(law, scheme, architecture.latents, prior=MODELS[name].prior_expert)
            row["gaussian_optimum"] = fit.elbo
            row["short_of_gaussian"] = _short(found, entropy, fit.elbo)
            row["short_of_optimum"] = _short(found, entropy, best["optimum_high"])
    if family == "affine":
        assert isinstance(law, Gaussian)
        fitted = fit_experts(law, scheme, "diagonal", dataset.n_modalities, prior=MODELS[name].prior_expert)
        row["linear_optimum"] = lowest = fitted.elbo
        row["short_of_optimum"] = _short(found, entropy, fitted.elbo)
    row |= {"ceiling": lowest, "above_ceiling": _loss_score(found, entropy, lowest)}
    return row


def _optimum(law: Discrete, scheme: SubsetScheme, setting: Setting) -> dict[str, float]:
    seconds, tol = setting.choose(20.0, 60.0), 1e-5

    def work(_: object) -> dict[str, float]:
        found = optimal_elbo(law, scheme, tol, seconds=seconds)
        return {"optimum_low": found.low, "optimum_high": found.high}

    return setting.kept("optimum", (law.pmf.tolist(), [(a, str(w)) for a, w in scheme], seconds, tol), work)


def _short(found: dict[str, Any], entropy: float, optimum: float) -> float:
    """How far the best seed stays below an optimum, in nats; negative only by chance."""
    return float(min(found["loss"]) - (-entropy - optimum))


def _score(found: dict[str, Any], ceiling: float) -> float:
    """The highest seed above a ceiling, in standard errors."""
    return max((value - ceiling) / e for value, e in zip(found["elbo"], found["standard_error"], strict=True))


def _loss_score(found: dict[str, Any], entropy: float, ceiling: float) -> float:
    """The same by the paired loss, whose error is smaller; an error of rounding is taken for 1e-9 nats."""
    least = -entropy - ceiling
    pairs = zip(found["loss"], found["loss_error"], strict=True)
    return max((least - loss) / math.hypot(error, 1e-9) for loss, error in pairs)


def _figure(rows: list[dict[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    shown = [("gaussian", "correlated Gaussians, learned variances"), ("categorical", "noisy copies of a bit")]
    for axes, (family, title) in zip(figure.subplots(1, 2), shown, strict=True):
        for i, model in enumerate(OWN_DENSITY):
            own = [row for row in rows if row["data"] == family and row["model"] == model]
            x = [row["modalities"] for row in own]
            for row in own:
                at = np.full(len(row["loss"]), row["modalities"] + 0.12 * (i - 1))
                axes.plot(at, row["loss"], marker(model, i), color=COLOURS[i], ms=4, alpha=0.7)
            axes.plot([], [], marker(model, i), color=COLOURS[i], label=model)
            axes.plot(
                x, [-r["entropy"] - r["ceiling"] for r in own], "-", color=COLOURS[i], lw=1.5, label=f"{model}: ceiling"
            )
            if family == "categorical":
                gaussian = [-r["entropy"] - r["gaussian_optimum"] for r in own]
                axes.plot(x, gaussian, "-.", color=COLOURS[i], lw=1, label=f"{model}: best Gaussian encoders")
            axes.plot(x, [-r["entropy"] - r["t2"] for r in own], ":", color=COLOURS[i], lw=1, label=f"{model}: T2")
            quoted = [-r["entropy"] - r["quoted"] for r in own]
            axes.plot(x, quoted, "--", color=COLOURS[i], lw=0.8, alpha=0.6, label=f"{model}: as quoted, no bound")
        axes.set(
            title=title,
            xlabel="modalities",
            ylabel="loss: -H(X) - ELBO, nats",
            xticks=sorted({r["modalities"] for r in rows}),
        )
    axes.legend(fontsize=7)
    return figure


EXPERIMENT = Experiment(
    "ceilings", "Is any trained model above a ceiling, and are the optima reached where they are known?", run
)
