"""One trained model on held-out data: the terms of its own-density K=1 ELBO, and an audit where the law is known."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.stats import multivariate_normal

from bounds.audit_result import Audit
from bounds.auditing import audit
from bounds.entropies import Kind
from bounds.evaluation import Evaluation
from bounds.joints import Discrete, Gaussian
from bounds.progress import Track, no_progress
from bounds.reported_terms import ExampleTerms
from bounds.schemes import SubsetScheme
from toy_models.datasets import Dataset
from toy_models.evaluate import BATCH, DRAWS, evaluate
from toy_models.likelihoods import Likelihood
from toy_models.member import SoloModel

#: Numbers that the widest layer has at once while the terms are computed.
LAYER = 1 << 24
#: Excess in nats that the audit of a trained model must be able to see.
AUDIT_SIZE = 0.2


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What held-out data say of a model, in nats per example.

    For an objective that is a sum over subsets' own modalities everything here is of that sum (THEORY T10.2).

    Attributes:
        evaluation: the terms.
        each: ``(N,)``, the objective of each example.
        kl: weighted over the encoded subsets.
        distortion: by modality, weighted over the subsets whose objective has it.
        subset_elbo: of each encoded subset, of all modalities.
        difference: ``(N,)``, ``ln p(x) - L(x)``, where the law is known and the objective bounds ``ln p(x)``.
        audit: against the law, where it is known.
    """

    evaluation: Evaluation
    each: np.ndarray
    kl: float
    distortion: tuple[float, ...]
    subset_elbo: tuple[float, ...]
    difference: np.ndarray | None = None
    audit: Audit | None = None

    @property
    def elbo(self) -> float:
        """The mean objective."""
        return float(self.each.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean objective, over examples."""
        return _standard_error(self.each)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready. With a law also ``loss``, ``-H(X) - L`` from paired differences, ``loss_error``, ``verdict``."""
        found: dict[str, Any] = {
            "elbo": self.elbo,
            "standard_error": self.standard_error,
            "kl": self.kl,
            "distortion": list(self.distortion),
            "subset_elbo": list(self.subset_elbo),
        }
        if self.difference is not None:
            found |= {"loss": float(self.difference.mean()), "loss_error": _standard_error(self.difference)}
        if self.audit is not None:
            found["verdict"] = self.audit.verdict
        return found


def held_out(
    model: SoloModel,
    dataset: Dataset,
    scheme: SubsetScheme,
    seed: int,
    *,
    draws: int = DRAWS,
    size: float = AUDIT_SIZE,
    likelihood: str | None = None,
    level: Literal["modalities", "units"] | None = None,
    device: str = "cpu",
    track: Track = no_progress,
) -> HeldOut:
    """Evaluates a model on the held-out part of a dataset.

    Args:
        model: in float64.
        dataset: whose law, if known, the model is audited against.
        scheme: the encoded subsets.
        seed: of the points of the latent.
        draws: of these, for each example and subset.
        size: excess in nats that the audit must be able to see, or it is undecided.
        likelihood: the decoder's family, whose own ceiling (T7) is then checked too.
        level: ``"units"`` holds the model to the ceiling of decoders that factorise over coordinates.
        device: on which the terms are computed, ``cpu`` or ``cuda``; the model stays where it is.
        track: shows progress.

    Raises:
        InputError: infinite terms, too few examples.
    """
    evaluation = evaluate(
        copy.deepcopy(model).to(device),
        [torch.tensor(rows) for rows in dataset.held_out],
        scheme,
        torch.Generator().manual_seed(seed),
        modalities=dataset.names,
        kind=kind_of(model.model.architecture.likelihoods),
        draws=draws,
        batch_size=max(1, min(BATCH, LAYER // model.model.widest)),
        likelihood=likelihood,
        track=track,
    )
    terms = evaluation.terms
    assert isinstance(terms, ExampleTerms)
    assert terms.log_likelihood is not None
    assert terms.kl is not None
    weights = np.array([float(weight) for _, weight in scheme])
    counted = _counted(scheme)
    each = np.einsum("s,snm,sm->n", weights, terms.log_likelihood, counted) - weights @ terms.kl
    law, bounds_evidence = dataset.law, scheme.objective != "sub-sampled"
    return HeldOut(
        evaluation,
        each,
        float((weights @ terms.kl).mean()),
        tuple((-np.einsum("s,snm,sm->m", weights, terms.log_likelihood, counted) / len(each)).tolist()),
        tuple((terms.log_likelihood.sum(-1) - terms.kl).mean(axis=1).tolist()),
        log_density(law, dataset.held_out) - each if law is not None and bounds_evidence else None,
        None if law is None else audit(evaluation, law, size=size, level=level),
    )


def kind_of(likelihoods: Sequence[Likelihood]) -> Kind:
    """Whether log-likelihoods are of probabilities, or of densities in some modality at least."""
    return "discrete" if all(one.family in ("bernoulli", "categorical") for one in likelihoods) else "differential"


def log_density(law: Discrete | Gaussian, rows: tuple[np.ndarray, ...]) -> np.ndarray:
    """``(N,)``: ``ln p(x)`` of rows of a known law."""
    flat = np.concatenate([part.reshape(len(part), -1) for part in rows], axis=1)
    if isinstance(law, Discrete):
        return np.asarray(np.log(law.pmf[tuple(flat.T)]))
    return np.atleast_1d(multivariate_normal(cov=law.cov).logpdf(flat))


def _counted(scheme: SubsetScheme) -> np.ndarray:
    """``(S, M)``: whether a subset's objective has the log-likelihood of a modality in it."""
    every = scheme.objective != "sub-sampled"
    return np.array([[float(every or subset >> m & 1) for m in range(scheme.n_modalities)] for subset, _ in scheme])


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))
