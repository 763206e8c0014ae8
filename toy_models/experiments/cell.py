"""One cell of a study: models of one kind trained from several seeds on one dataset, and measured on held-out data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bounds.errors import InputError
from bounds.joints import Discrete
from toy_models.datasets import Dataset, digest
from toy_models.experiments.study import Setting
from toy_models.held_out import AUDIT_SIZE, held_out
from toy_models.member import SoloModel
from toy_models.models import Architecture
from toy_models.train import FORMAT, Member, Trained, Training, train


@dataclass(frozen=True, eq=False)
class Cell:
    """What is trained and how it is measured.

    Args:
        dataset: whose law, if known, is what the models are audited against.
        architecture: of all members.
        training: steps, batch and learning rate.
        beta: multiplier of the KL in training. Models are measured with 1.
        draws: points of the latent for each example and subset.
    """

    dataset: Dataset
    architecture: Architecture
    training: Training
    beta: float = 1.0
    draws: int = 64

    def identity(self, setting: Setting) -> tuple[object, ...]:
        """Everything that the measurement depends on."""
        a, data = self.architecture, self.dataset
        rows = [*data.train, *data.held_out]
        if data.train_labels is not None and data.held_out_labels is not None:
            rows += [data.train_labels, data.held_out_labels]
        if data.law is not None:
            rows.append(data.law.pmf if isinstance(data.law, Discrete) else data.law.cov)
        return (
            FORMAT, a.model, a.modalities, [str(one) for one in a.likelihoods], a.latents, a.private, a.hidden,
            a.network, [(subset, str(weight)) for subset, weight in a.encoded], data.name, data.n_train, digest(*rows),
            asdict(self.training), self.beta, self.draws, setting.seeds, setting.device,
            AUDIT_SIZE,
        )  # fmt: skip


def trained(cell: Cell, setting: Setting, folder: Path) -> Trained:
    """The members of a cell, one for each seed."""
    members = [Member(seed, cell.beta) for seed in setting.seeds]
    return train(cell.architecture, members, cell.dataset, cell.training, device=setting.device, folder=folder)


def measured(cell: Cell, setting: Setting) -> dict[str, Any]:
    """The own-density K=1 terms of every seed's model on held-out data, and its audit where the law is known.

    Returns:
        Lists over seeds in nats, which are ``elbo``, ``standard_error``, ``kl``, ``distortion`` by modality; with a law
        also ``loss``, which is ``-H(X) - L`` from the paired differences ``L(x) - ln p(x)``, ``loss_error`` and
        ``verdict``. For objectives that are sums over subsets these are of that sum.
    """
    return setting.kept(
        f"{cell.dataset.name}-{cell.architecture.model}",
        cell.identity(setting),
        lambda folder: _measure(cell, trained(cell, setting, folder), setting),
    )


def _measure(cell: Cell, models: Trained, setting: Setting) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for seed in range(len(models.members)):
        if seed in models.failed:
            rate = cell.training.learning_rate
            raise InputError(
                f"member {seed} of {cell.architecture.model} on {cell.dataset.name} met a NaN at a learning rate of "
                f"{rate:g}: lower it where the experiment's module makes this cell"
            )
        for name, value in terms_of(models.solo(seed), cell, seed, setting).items():
            found.setdefault(name, []).append(value)
    return found


def terms_of(model: SoloModel, cell: Cell, seed: int, setting: Setting) -> dict[str, Any]:
    """The measurements of one model."""
    dataset, scheme = cell.dataset, cell.architecture.encoded
    return held_out(model, dataset, scheme, seed, draws=cell.draws, size=AUDIT_SIZE, device=setting.device).to_dict()
