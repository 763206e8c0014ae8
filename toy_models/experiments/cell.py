"""One cell of a study: models of one kind trained from several seeds on one dataset, and measured on held-out data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bounds.auditing import audit
from bounds.entropies import Kind
from bounds.errors import InputError
from bounds.joints import Discrete, Gaussian
from bounds.reported_terms import ExampleTerms
from bounds.schemes import SubsetScheme
from toy_models.datasets import Dataset
from toy_models.evaluate import evaluate
from toy_models.experiments.study import Setting
from toy_models.member import SoloModel
from toy_models.models import Architecture
from toy_models.train import Member, Trained, Training, train

#: Excess in nats that an audit of held-out examples must be able to see.
AUDIT_SIZE = 0.2


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
        sums = [float(np.abs(part).sum(dtype=np.float64)) for part in (*data.train, *data.held_out)]
        return (
            a.model, a.modalities, [str(one) for one in a.likelihoods], a.latents, a.private, a.hidden, a.network,
            [(subset, str(weight)) for subset, weight in a.encoded], data.name, data.n_train, data.n_held_out, sums,
            asdict(self.training), self.beta, self.draws, setting.seeds,
        )  # fmt: skip


def trained(cell: Cell, setting: Setting, folder: Path) -> Trained:
    """The members of a cell, one for each seed."""
    members = [Member(seed, cell.beta) for seed in setting.seeds]
    return train(cell.architecture, members, cell.dataset, cell.training, device=setting.device, folder=folder)


def measured(cell: Cell, setting: Setting) -> dict[str, Any]:
    """The own-density K=1 terms of every seed's model on held-out data, and its audit where the law is known.

    Returns:
        Lists over seeds, in nats: ``elbo``, ``standard_error``, ``kl``, ``distortion`` by modality; with a law also
        ``loss``, which is ``-H(X) - L`` from the paired differences ``L(x) - ln p(x)``, ``loss_error`` and ``verdict``.
        For objectives that are sums over subsets these are of that sum.
    """
    return setting.kept(
        f"{cell.dataset.name}-{cell.architecture.model}",
        cell.identity(setting),
        lambda folder: _measure(cell, trained(cell, setting, folder)),
    )


def _measure(cell: Cell, models: Trained) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for seed in range(len(models.members)):
        if seed in models.failed:
            raise InputError(f"member {seed} of {cell.architecture.model} met a NaN: lower its learning rate")
        for name, value in terms_of(models.solo(seed), cell, seed).items():
            found.setdefault(name, []).append(value)
    return found


def terms_of(model: SoloModel, cell: Cell, seed: int) -> dict[str, Any]:
    """The measurements of one model."""
    data, scheme = cell.dataset, cell.architecture.encoded
    x = {name: torch.tensor(rows) for name, rows in zip(data.names, data.held_out, strict=True)}
    kind: Kind = "discrete" if data.modalities[0].symbols else "differential"
    evaluation = evaluate(
        Named(model),
        x,
        scheme,
        torch.Generator().manual_seed(seed),
        kind=kind,
        draws=cell.draws,
    )
    terms = evaluation.terms
    assert isinstance(terms, ExampleTerms)
    assert terms.log_likelihood is not None
    assert terms.kl is not None
    weights = np.array([float(weight) for _, weight in scheme])
    counted = _counted(scheme)
    each = np.einsum("s,snm,sm->n", weights, terms.log_likelihood, counted) - weights @ terms.kl
    found: dict[str, Any] = {
        "elbo": float(each.mean()),
        "standard_error": float(each.std(ddof=1) / math.sqrt(len(each))),
        "kl": float((weights @ terms.kl).mean()),
        "distortion": [float(v) for v in -np.einsum("s,snm,sm->m", weights, terms.log_likelihood, counted) / len(each)],
        "subset_elbo": [float(v) for v in (terms.log_likelihood.sum(-1) - terms.kl).mean(axis=1)],
    }
    if data.law is not None:
        if scheme.objective != "sub-sampled":
            difference = log_density(data.law, data.held_out) - each
            found["loss"] = float(difference.mean())
            found["loss_error"] = float(difference.std(ddof=1) / math.sqrt(len(each)))
        found["verdict"] = audit(evaluation, data.law, size=AUDIT_SIZE).verdict
    return found


class Named:
    """A model whose data come as a mapping of named modalities."""

    def __init__(self, model: SoloModel) -> None:
        self.model = model

    @property
    def prior(self) -> torch.distributions.Distribution:
        """``p(z)``."""
        return self.model.prior

    def posterior(self, x: dict[str, torch.Tensor], subset: int) -> torch.distributions.Distribution:
        """``q_A(z|x_A)``."""
        return self.model.posterior(list(x.values()), subset)

    def log_likelihood(self, x: dict[str, torch.Tensor], z: torch.Tensor) -> torch.Tensor:
        """``ln p(x_m|z)`` by modality."""
        return self.model.log_likelihood(list(x.values()), z)


def log_density(law: Discrete | Gaussian, rows: tuple[np.ndarray, ...]) -> np.ndarray:
    """``(N,)``: ``ln p(x)`` of rows of a known law."""
    flat = np.concatenate([part.reshape(len(part), -1) for part in rows], axis=1)
    if isinstance(law, Discrete):
        return np.asarray(np.log(law.pmf[tuple(flat.T)]))
    root = np.linalg.cholesky(law.cov)
    white = np.linalg.solve(root, flat.T)
    return -0.5 * (white**2).sum(axis=0) - np.log(np.diag(root)).sum() - 0.5 * len(root) * math.log(2 * math.pi)


def _counted(scheme: SubsetScheme) -> np.ndarray:
    """``(S, M)``: whether a subset's objective has the log-likelihood of a modality in it."""
    every = scheme.objective != "sub-sampled"
    return np.array([[float(every or subset >> m & 1) for m in range(scheme.n_modalities)] for subset, _ in scheme])
