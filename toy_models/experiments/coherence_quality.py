"""What do mixtures buy with what they lose: coherence against the quality of what is generated."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bounds.errors import InputError
from bounds.plots import COLOURS
from bounds.plots.style import marker
from toy_models.datasets import Dataset, polydigits
from toy_models.experiments.cell import Cell, terms_of, trained
from toy_models.experiments.study import Experiment, Finding, Setting, mean_and_error
from toy_models.generation.classifiers import Classifier, joint_features, train_classifiers
from toy_models.generation.coherence import coherence
from toy_models.generation.draws import from_prior
from toy_models.generation.frechet import frechet_comparison
from toy_models.models import Architecture
from toy_models.train import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODALITIES, LATENTS = 3, 24
MODELS = ("mvae", "mmvae", "mopoe", "mmvae-plus", "mvtcae")
#: Those that are trained with convolutional networks too: what mixtures lose is not a matter of the networks.
CONVOLUTIONAL = ("mvae", "mmvae")
#: By what a row is called, the model and its network.
TRAINED = {name: (name, "mlp") for name in MODELS} | {f"{name} (conv)": (name, "conv") for name in CONVOLUTIONAL}


def run(setting: Setting) -> Finding:
    """Joint models on PolyDigits and on translated PolyDigits."""
    rows: list[dict[str, Any]] = []
    for translated in (False, True):
        dataset = polydigits(
            MODALITIES, translated=translated, n_train=setting.choose(5_000, 20_000),
            n_held_out=setting.choose(600, 4_000), rng=np.random.default_rng(0),
        )  # fmt: skip
        title = "translated" if translated else "original"
        judge = _Judge(dataset)
        for name in setting.track(tuple(TRAINED), f"coherence: {title}", len(TRAINED)):
            rows.append({"data": title, "model": name} | _measure(judge, title, name, setting))
    best = {
        (row["data"], row["model"]): {k: mean_and_error(row[k])[0] for k in ("conditional", "elbo")} for row in rows
    }
    mixtures = ("mmvae", "mopoe")
    checks = {
        "original: a mixture generates unseen modalities more coherently than mvae": max(
            best["original", name]["conditional"] for name in mixtures
        )
        > best["original", "mvae"]["conditional"],
        "original: every mixture has a lower ELBO than mvae": all(
            best["original", name]["elbo"] < best["original", "mvae"]["elbo"] for name in mixtures
        ),
        "with convolutions too mmvae has a lower ELBO than mvae": all(
            best[title, "mmvae (conv)"]["elbo"] < best[title, "mvae (conv)"]["elbo"]
            for title in ("original", "translated")
        ),
        "translated: coherence of the mixtures is lower than on the original": all(
            best["translated", name]["conditional"] < best["original", name]["conditional"] for name in mixtures
        ),
    }
    parts = [
        f"{title}: " + ", ".join(f"{name} {best[title, name]['conditional']:.2f}" for name in TRAINED)
        for title in ("original", "translated")
    ]
    sentence = (
        f"the right class in unseen modalities, from one seen, has the share {'; '.join(parts)}; the ELBO of MMVAE is "
        f"{best['original', 'mmvae']['elbo'] - best['original', 'mvae']['elbo']:+.0f} nats from MVAE's, with "
        f"convolutions {best['original', 'mmvae (conv)']['elbo'] - best['original', 'mvae (conv)']['elbo']:+.0f}"
    )
    return Finding(EXPERIMENT.name, EXPERIMENT.question, sentence, checks, {"rows": rows}, partial(_figure, rows))


class _Judge:
    """The classifiers of a dataset, trained when they are first needed."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @cached_property
    def classifiers(self) -> tuple[Classifier, ...]:
        """One for each modality."""
        return train_classifiers(self.dataset, np.random.default_rng(0))

    @cached_property
    def real(self) -> np.ndarray:
        """Features of the held-out images."""
        return joint_features(self.classifiers, self.dataset.held_out)


def _measure(judge: _Judge, title: str, name: str, setting: Setting) -> dict[str, Any]:
    dataset, (model, network) = judge.dataset, TRAINED[name]
    private = LATENTS // 4 if model == "mmvae-plus" else 0
    hidden = setting.choose((64,), (256,)) if network == "mlp" else setting.choose((8,), (32,))
    architecture = Architecture.of(
        dataset, model, "gaussian:0.2", LATENTS, private=private, hidden=hidden, network=network
    )
    training = Training(setting.choose(600, 10_000), setting.choose(64, 128), learning_rate=2e-3, warmup=0.25)
    cell = Cell(dataset, architecture, training, draws=setting.choose(4, 32))
    return setting.kept(
        f"coherence-{title}-{model}-{network}",
        cell.identity(setting),
        lambda folder: _generated(cell, judge, setting, folder),
    )


def _generated(cell: Cell, judge: _Judge, setting: Setting, folder: Path) -> dict[str, Any]:
    models, dataset = trained(cell, setting, folder), cell.dataset
    classifiers = judge.classifiers
    singles = [1 << m for m in range(MODALITIES)]
    found: dict[str, list[Any]] = {}
    for seed in range(len(models.members)):
        if seed in models.failed:
            raise InputError(f"member {seed} of {cell.architecture.model} met a NaN: lower its learning rate")
        model, generator = models.solo(seed), torch.Generator().manual_seed(seed)
        scores = coherence(model, dataset, classifiers, singles, generator)
        shares = [score.share.value for score in scores.scores if score.subset and score.targets.bit_count() == 1]
        joint = next(score for score in scores.scores if not score.subset)
        images = from_prior(model, dataset.n_held_out, generator)
        frechet = frechet_comparison(judge.real, joint_features(classifiers, images), np.random.default_rng(seed))
        values = {
            "conditional": float(np.mean(shares)),
            "joint": joint.share.value,
            "attainable": float(np.mean([s.attainable.value for s in scores.scores if s.targets.bit_count() == 1])),
            "frechet": frechet.value,
            "frechet_of_real": frechet.reference,
            "elbo": terms_of(model, cell, seed, setting)["elbo"],
        }
        for key, value in values.items():
            found.setdefault(key, []).append(value)
    return found


def _figure(rows: list[dict[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, title in zip(figure.subplots(1, 2, sharey=True), ("original", "translated"), strict=True):
        for row in rows:
            if row["data"] != title:
                continue
            model, network = TRAINED[row["model"]]
            i = MODELS.index(model)
            x, dx = mean_and_error(row["elbo"])
            y, dy = mean_and_error(row["conditional"])
            axes.errorbar(
                x,
                y,
                dy,
                dx,
                fmt=marker(model, i),
                mfc=COLOURS[i] if network == "mlp" else "none",
                color=COLOURS[i],
                capsize=3,
                label=row["model"],
            )
        axes.axhline(0.1, color="black", lw=0.6, ls=":")
        axes.set(title=f"{title} PolyDigits (dotted: chance)", xlabel="ELBO, nats")
    axes.legend()
    figure.axes[0].set_ylabel("share of the right class, unseen from one seen")
    return figure


EXPERIMENT = Experiment(
    "coherence", "What do mixtures buy with what they lose: coherence against the quality of what is generated?", run
)
