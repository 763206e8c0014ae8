"""A run of ``toy-models train``: what it is asked for, the folder that it leaves, and its models read from there."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bounds.damage import damage
from bounds.errors import InputError
from bounds.evaluation_files import write_evaluation
from bounds.joints import Discrete, Gaussian
from bounds.likelihood.decoders import parse_likelihood
from bounds.likelihoods import likelihood_ceiling
from bounds.output import check_writable, write
from bounds.progress import Track, no_progress
from toy_models.datasets import Dataset
from toy_models.datasets.named import DataChoice
from toy_models.held_out import HeldOut, held_out
from toy_models.member import SoloModel
from toy_models.models import MODELS, Architecture, MultimodalVAE
from toy_models.train import Member, Trained, Training, check_data, train

CONFIG, LAW, CHECKPOINTS = "config.json", "law.npz", "checkpoints"


@dataclass(frozen=True)
class Run:
    """Everything that the numbers of a run depend on; equal runs have equal numbers.

    Args:
        data: what the models are trained and evaluated on.
        model: a name of :data:`toy_models.models.MODELS`.
        likelihood: one for all modalities, or one for each, separated by commas.
        latents, private, hidden, network: see :class:`toy_models.models.Architecture`.
        seeds, betas: one member for each pair; betas multiply the KL in training, and never in evaluation.
        training: steps, batch, learning rate, warm-up.
        draws: points of the latent for each held-out example and subset.

    Raises:
        InputError: an unknown model, a seed or a beta that is missing, twice there or out of range.
    """

    data: DataChoice
    model: str
    likelihood: str
    latents: int
    private: int
    hidden: tuple[int, ...]
    network: str
    seeds: tuple[int, ...]
    betas: tuple[float, ...]
    training: Training
    draws: int

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise InputError(f"unknown model {self.model!r}: use one of {', '.join(MODELS)}")
        for what, values in (("seed", self.seeds), ("beta", self.betas)):
            if not values or len(set(values)) < len(values):
                raise InputError(f"{what}s {', '.join(map(str, values))}: give at least one {what}, and each once")
        if self.draws < 1:
            raise InputError(f"draws={self.draws}: give at least 1")
        self.members  # noqa: B018 - refuses what no member takes

    @classmethod
    def of(
        cls,
        data: DataChoice,
        model: str,
        *,
        likelihood: str | None = None,
        latents: int | None = None,
        private: int | None = None,
        hidden: tuple[int, ...] | None = None,
        network: str = "mlp",
        seeds: tuple[int, ...] = (0, 1, 2),
        betas: tuple[float, ...] = (1.0,),
        steps: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        warmup: float | None = None,
        draws: int | None = None,
    ) -> Run:
        """With the data's own recipe for what is ``None``; convolutions have 16 channels by default.

        Private latents are by default a quarter of the shared ones, and at least one, for the models that have them.
        """
        recipe = data.known.recipe
        size = data.latents if latents is None else latents
        if private is None:
            private = size // 4 or 1 if model in MODELS and MODELS[model].private else 0
        if hidden is None:
            hidden = (16,) if network == "conv" else recipe.hidden
        training = Training(
            recipe.steps if steps is None else steps,
            recipe.batch if batch is None else batch,
            recipe.learning_rate if learning_rate is None else learning_rate,
            recipe.warmup if warmup is None else warmup,
        )
        chosen = ",".join(recipe.likelihood.split(",")[: data.modalities]) if likelihood is None else likelihood
        points = recipe.draws if draws is None else draws
        return cls(data, model, chosen, size, private, hidden, network, seeds, betas, training, points)

    @property
    def members(self) -> tuple[Member, ...]:
        """All seeds with the first beta, then all with the next."""
        return tuple(Member(seed, beta) for beta in self.betas for seed in self.seeds)

    def architecture(self, dataset: Dataset) -> Architecture:
        """Of all members.

        Raises:
            InputError: numbers that do not fit each other, a likelihood that is not of such data.
        """
        likelihoods = self.likelihood.split(",")
        found = Architecture.of(
            dataset,
            self.model,
            likelihoods[0] if len(likelihoods) == 1 else likelihoods,
            self.latents,
            private=self.private,
            hidden=self.hidden,
            network=self.network,
        )
        check_data(found, dataset)
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; :meth:`from_dict` takes it back."""
        return {
            "data": self.data.to_dict(),
            "model": self.model,
            "likelihood": self.likelihood,
            "latents": self.latents,
            "private": self.private,
            "hidden": list(self.hidden),
            "network": self.network,
            "seeds": list(self.seeds),
            "betas": list(self.betas),
            "training": asdict(self.training),
            "draws": self.draws,
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Run:
        """The run that :meth:`to_dict` wrote."""
        listed = {name: tuple(found[name]) for name in ("hidden", "seeds", "betas")}
        whole = {"data": DataChoice(**found["data"]), "training": Training(**found["training"])}
        return cls(**{**found, **listed, **whole})


@dataclass(frozen=True, eq=False)
class RunResult:
    """A run's models, measured.

    Attributes:
        run: what was asked for.
        architecture: of all members.
        dataset: what they were evaluated on.
        members: for each its measurement, or ``None`` if its training met a NaN.
        trained: how training went, unless the models were read from a folder.
    """

    run: Run
    architecture: Architecture
    dataset: Dataset
    members: tuple[HeldOut | None, ...]
    trained: Trained | None = None


def train_run(
    run: Run,
    folder: Path,
    *,
    device: str = "cpu",
    watch: Callable[[int, int], None] | None = None,
    track: Track = no_progress,
) -> RunResult:
    """Trains and evaluates a run, and leaves its models in a folder. A run that was stopped there goes on.

    The folder has ``config.json``, what the run was asked for; for each member ``member-0.pt``, its parameters in
    float64, and ``member-0.npz``, an evaluation that ``bounds audit`` reads; ``law.npz``, where the law is known; and
    ``checkpoints``, by which a stopped run goes on.

    Args:
        run: what is asked for.
        folder: of this run and no other.
        device: of training and evaluation, ``cpu`` or ``cuda``.
        watch: called with the member steps done and those in all.
        track: shows the progress of reading and evaluating.

    Raises:
        InputError: a folder that cannot be written or holds another run, data that cannot be had or do not fit the
            model, a device that is not there, no member that was trained to its end.
    """
    check_writable(folder / CONFIG, new_folder=True)
    if (folder / CONFIG).exists() and read_run(folder) != run:
        raise InputError(f"{folder} holds another run, see its {CONFIG}: use another folder, or remove it")
    dataset = run.data.make(track)
    architecture = run.architecture(dataset)
    trained = train(
        architecture, run.members, dataset, run.training, device=device, folder=folder / CHECKPOINTS, watch=watch
    )
    if len(trained.failed) == len(run.members):
        raise InputError(f"every member met a NaN: use a lower learning rate than {run.training.learning_rate:g}")
    models = [None if i in trained.failed else trained.solo(i) for i in range(len(run.members))]
    measured = _measured(run, architecture, dataset, models, device, track)
    for i, (model, found) in enumerate(zip(models, measured, strict=True)):
        if model is not None and found is not None:
            _save(folder, i, model, found)
    if dataset.law is not None:
        write(folder / LAW, _law_archive(dataset.law), announced=False)
    # last, so that a folder with it is complete
    write(folder / CONFIG, json.dumps(run.to_dict(), indent=1) + "\n", announced=False)
    return RunResult(run, architecture, dataset, tuple(measured), trained)


def read_run(folder: Path) -> Run:
    """What the run in a folder was asked for.

    Raises:
        InputError: a folder without a finished run, or a damaged one.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} has no {CONFIG}: give a folder that `toy-models train` has finished")
    with damage(f"{path} is damaged", OSError, ValueError, KeyError, TypeError, AttributeError):
        return Run.from_dict(json.loads(path.read_text(encoding="utf-8")))


def evaluate_run(folder: Path, track: Track = no_progress) -> RunResult:
    """The models of a folder evaluated again, from their saved parameters.

    Raises:
        InputError: a folder without a finished run, or a damaged one; data that are not there any more.
    """
    run = read_run(folder)
    dataset = run.data.make(track)
    architecture = run.architecture(dataset)
    paths = [folder / f"member-{i}.pt" for i in range(len(run.members))]
    models = [read_model(path, architecture) if path.exists() else None for path in paths]
    if all(model is None for model in models):
        raise InputError(f"{folder} has no {paths[0].name}: train the run again")
    return RunResult(run, architecture, dataset, tuple(_measured(run, architecture, dataset, models, "cpu", track)))


def read_model(path: Path, architecture: Architecture) -> SoloModel:
    """A member from its parameters.

    Raises:
        InputError: a file that is damaged, or of another architecture.
    """
    model = MultimodalVAE(architecture, [torch.Generator()]).double()
    try:
        model.load_state_dict(torch.load(path, weights_only=True))
    except Exception as error:  # torch raises what its archive reader and its unpickler raise
        raise InputError(f"{path} has no parameters of this {architecture.model} ({type(error).__name__})") from None
    return SoloModel(model.eval())


def audited_likelihood(architecture: Architecture, dataset: Dataset) -> str | None:
    """The decoders' family as :func:`bounds.likelihood_ceiling` takes it, where T7 has a ceiling for it."""
    if architecture.encoded.objective == "sub-sampled":
        return None
    texts = [str(one) for one in architecture.likelihoods]
    named = zip(dataset.names, texts, strict=True)
    text = texts[0] if len(set(texts)) == 1 else ";".join(f"{name}={one}" for name, one in named)
    try:
        parse_likelihood(text)
        if dataset.law is not None:
            likelihood_ceiling(dataset.law, architecture.encoded, text)
    except InputError:  # learned scales of a Laplace density, for which T7 has none; T2 holds all the same
        return None
    return text


def _measured(
    run: Run,
    architecture: Architecture,
    dataset: Dataset,
    models: Sequence[SoloModel | None],
    device: str,
    track: Track,
) -> list[HeldOut | None]:
    likelihood = audited_likelihood(architecture, dataset)
    found: list[HeldOut | None] = []
    for member, model in track(list(zip(run.members, models, strict=True)), "evaluating", len(models)):
        if model is None:
            found.append(None)
            continue
        one = held_out(
            model,
            dataset,
            architecture.encoded,
            member.seed,
            draws=run.draws,
            likelihood=likelihood,
            level=None if dataset.law is None else "units",
            device=device,
        )
        found.append(one)
    return found


def _save(folder: Path, index: int, model: SoloModel, found: HeldOut) -> None:
    parameters = io.BytesIO()
    torch.save(model.model.state_dict(), parameters)
    write(folder / f"member-{index}.pt", parameters.getvalue(), announced=False)
    write_evaluation(folder / f"member-{index}.npz", found.evaluation)


def _law_archive(law: Discrete | Gaussian) -> bytes:
    """An archive that :func:`bounds.read` takes for the law."""
    archive = io.BytesIO()
    arrays: dict[str, Any] = {"pmf": law.pmf} if isinstance(law, Discrete) else {"cov": law.cov}
    np.savez(archive, names=np.array(law.names), sizes=np.array(law.layout.sizes), units=np.array("scalar"), **arrays)
    return archive.getvalue()
