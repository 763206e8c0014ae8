"""Gaussian decoders of z-independent variance, from samples: the held-out loss of VAEs in closed form (THEORY T7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bounds.errors import InputError
from bounds.likelihood.gaussian import Imputed, imputed_moments, learned_variance_floor, model_covariance, regression
from bounds.likelihood.predictive import Column, Fitting, HeldOut, predictions
from bounds.likelihood.split_floor import SubsetFloor
from bounds.schemes import SubsetScheme


@dataclass(frozen=True, eq=False)
class Noises:
    """Fixed variances ``(d,)``, or ``None`` for learned ones, which variables of one group ``(d,)`` share."""

    variances: np.ndarray | None
    groups: np.ndarray


@dataclass(frozen=True, eq=False)
class _Models:
    """The variances, and for each subset the covariance ``C_A`` that its VAE gives to the imputed data."""

    variances: np.ndarray
    covariances: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, moments: Sequence[Imputed], noises: Noises) -> _Models:
        if noises.variances is not None:
            return cls(noises.variances, tuple(model_covariance(part.spread, noises.variances) for part in moments))
        learned = learned_variance_floor(moments, noises.groups)
        if learned.floor == -math.inf:
            raise InputError(
                "a learned variance can go to zero on these rows, where a column that every subset shows is a linear "
                "function of others: leave it out, or fix the variance"
            )
        return cls(learned.variances, learned.models)


def held_out_gaussian(columns: Sequence[Column], scheme: SubsetScheme, noises: Noises, fitting: Fitting) -> HeldOut:
    """The held-out loss of an actual VAE for each subset, with variances common to all.

    It predicts the unseen part from the seen one, ``xhat_A = f(x_A)``, and codes the imputed data linearly. With
    ``C_A >= psi`` the covariance that it gives to ``xhat_A``, ``P = 1/psi`` and ``r = x - f``, minus its ELBO on one
    centred row is, for any ``f``,

        ln det(2 pi C_A)/2 + x'C_A^-1 x/2 + r'(P - C_A^-1) r/2

    so its mean bounds the least loss of each subset from above, whatever the law of the data. With a linear predictor
    it tends to the value of T7(iv) for the covariance of the data, which is the least loss if they are Gaussian.

    Predictor, second moments and variances come from the rows outside the fold; trees, which fit their own rows too
    well, leave a quarter of these for the moments.
    """
    data = np.column_stack([column.data for column in columns])
    losses = {subset: np.zeros(len(data)) for subset, _ in scheme}
    unseen = {subset: np.zeros(len(data)) for subset, _ in scheme}
    for others, new in fitting.splits(len(data)):
        cut = 3 * len(others) // 4
        fit, tune = (others, others) if fitting.predictor == "linear" else (others[:cut], others[cut:])
        mean = data[fit].mean(axis=0)
        at_tune, at_new = [], []
        for subset, _ in scheme:
            imputed = data.copy()
            both = np.concatenate([tune, new])
            for column, predicted in predictions(columns, subset, fit, both, fitting):
                imputed[both, columns.index(column)] = predicted
            at_tune.append(imputed[tune])
            at_new.append(imputed[new])
        moments = [
            Imputed(float(weight), _second_moments(f - mean), ((data[tune] - f) ** 2).mean(axis=0))
            for (_, weight), f in zip(scheme, at_tune, strict=True)
        ]
        models = _Models.of(moments, noises)
        for (subset, _), f, cov in zip(scheme, at_new, models.covariances, strict=True):
            losses[subset][new] = _losses(data[new] - mean, f - mean, cov, models.variances)
            unseen[subset][new] = _unseen(columns, subset, data[new] - f, models.variances)
    floors = tuple(
        SubsetFloor(a, float(w), float((losses[a] - unseen[a]).mean()), float(unseen[a].mean())) for a, w in scheme
    )
    return HeldOut(np.sum([float(w) * losses[a] for a, w in scheme], axis=0), floors)


def plug_in_gaussian(columns: Sequence[Column], scheme: SubsetScheme, noises: Noises) -> tuple[np.ndarray, np.ndarray]:
    """``(N,)`` losses of the linear VAEs that are best on the very same rows, and their variances ``(d,)``.

    Their mean is T7(iv), or (v), for the sample covariance. It is a minimum of means, so in expectation it is below
    the minimum of expectations, the value for the true covariance, where :func:`held_out_gaussian` is above it.
    """
    data = np.column_stack([column.data for column in columns])
    centred = data - data.mean(axis=0)
    cov = _second_moments(centred)
    seen = [[i for i, c in enumerate(columns) if subset >> c.modality & 1] for subset, _ in scheme]
    weights = [float(weight) for _, weight in scheme]
    models = _Models.of([imputed_moments(cov, s, w) for s, w in zip(seen, weights, strict=True)], noises)
    losses = [
        weight * _losses(centred, centred @ regression(cov, s).T, model, models.variances)
        for s, weight, model in zip(seen, weights, models.covariances, strict=True)
    ]
    return np.sum(losses, axis=0), models.variances


def _losses(x: np.ndarray, f: np.ndarray, model: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Minus the ELBO of each centred row; a variance of zero belongs to a variable that is always seen."""
    precision, residual = np.linalg.inv(model), x - f
    squares = np.divide(residual**2, variances, out=np.zeros_like(residual), where=variances > 0).sum(axis=1)
    coded = ((x @ precision) * x).sum(axis=1) - ((residual @ precision) * residual).sum(axis=1)
    return np.asarray(0.5 * (np.linalg.slogdet(2 * math.pi * model)[1] + coded + squares))


def _unseen(columns: Sequence[Column], subset: int, residual: np.ndarray, variances: np.ndarray) -> np.ndarray:
    hidden = [i for i, column in enumerate(columns) if not subset >> column.modality & 1]
    psi = variances[hidden]
    return np.asarray(0.5 * (np.log(2 * math.pi * psi) + residual[:, hidden] ** 2 / psi).sum(axis=1))


def _second_moments(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows.T @ rows / len(rows))
