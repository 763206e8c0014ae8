"""V-entropies from samples, by predictors that were fitted on other rows (THEORY T7).

A predictor is one decoder among all, so its loss on rows that it has not seen is an upper bound of the least loss, in
expectation. It never shows that the least loss is high: what comes from it bounds a ceiling from below.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from bounds.errors import InputError
from bounds.likelihood.noise import BernoulliNoise, LaplaceNoise, Noise
from bounds.likelihood.split_floor import SubsetFloor
from bounds.schemes import SubsetScheme

#: Both of scikit-learn: ``linear`` is ridge regression, logistic regression for classes; ``boosting`` is trees.
Predictor = Literal["linear", "boosting"]
PREDICTORS: tuple[str, ...] = get_args(Predictor)


@dataclass(frozen=True, eq=False)
class Column:
    """A column of samples.

    Args:
        modality: the number of its modality.
        data: ``(N,)`` numbers, or codes where the decoder is categorical.
        noise: the decoder's family of fixed scale, if that is its likelihood.
        alphabet: how many codes; 0 for numbers.
    """

    modality: int
    data: np.ndarray
    noise: Noise | None = None
    alphabet: int = 0

    @property
    def features(self) -> np.ndarray:
        """``(N, 1)``, or ``(N, k)`` with an indicator of each code."""
        return np.eye(self.alphabet)[self.data] if self.alphabet else self.data[:, None]


@dataclass(frozen=True)
class Fitting:
    """How predictors are fitted: which ones, on how many folds, and the generator for folds and trees."""

    predictor: str
    folds: int
    rng: np.random.Generator

    def check(self, rows: int) -> None:
        """Raises InputError for an unknown predictor, or folds that leave too few rows."""
        if self.predictor not in PREDICTORS:
            raise InputError(f"unknown predictor {self.predictor!r}: use {' or '.join(PREDICTORS)}")
        if not 2 <= self.folds <= rows // 4:
            raise InputError(f"{self.folds} folds of {rows} rows: use at least 2 folds, of at least 4 rows each")

    def splits(self, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The rows outside each fold, in random order, and those in it."""
        order = self.rng.permutation(rows)
        for fold in np.array_split(np.arange(rows), self.folds):
            yield np.delete(order, fold), order[fold]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Losses of rows that were not used for fitting, in nats.

    Attributes:
        rows: ``(N,)``, averaged over the encoded subsets.
        floors: the mean loss of each subset.
    """

    rows: np.ndarray
    floors: tuple[SubsetFloor, ...]


def mean_and_error(rows: np.ndarray) -> tuple[float, float]:
    """The mean, and its standard error for independent rows."""
    return float(rows.mean()), float(rows.std(ddof=1)) / math.sqrt(len(rows))


def held_out_split(columns: Sequence[Column], scheme: SubsetScheme, fitting: Fitting) -> HeldOut:
    """The split form (THEORY T7(i)): the peak loss of what is seen, and the held-out loss of what is predicted.

    The first is known on each row and is a loose bound of ``R_V(X_A)``; the second bounds ``H_V(X_m|X_A)`` from above,
    in expectation.
    """
    n = len(columns[0].data)
    seen = {subset: sum((_peak(column) for column in shown(columns, subset)), np.zeros(n)) for subset, _ in scheme}
    unseen = {subset: np.zeros(n) for subset, _ in scheme}
    for fit, new in fitting.splits(n):
        for subset, _ in scheme:
            for column, predicted in predictions(columns, subset, fit, new, fitting):
                unseen[subset][new] += _loss(column, column.data[new], predicted)
    floors = tuple(SubsetFloor(a, float(w), float(seen[a].mean()), float(unseen[a].mean())) for a, w in scheme)
    return HeldOut(np.sum([float(w) * (seen[a] + unseen[a]) for a, w in scheme], axis=0), floors)


def shown(columns: Sequence[Column], subset: int) -> list[Column]:
    """The columns of a subset of the modalities."""
    return [column for column in columns if subset >> column.modality & 1]


def predictions(
    columns: Sequence[Column], subset: int, fit: np.ndarray, new: np.ndarray, fitting: Fitting
) -> Iterator[tuple[Column, np.ndarray]]:
    """Each column outside a subset of the modalities, and its decoder at new rows as predicted from the subset.

    That is ``(n,)`` locations, or ``(n, k)`` probabilities, all positive, where it is categorical.
    """
    known = [column.features for column in shown(columns, subset)]
    features = np.hstack(known) if known else None
    for column in columns:
        if subset >> column.modality & 1:
            continue
        predict = _classes if column.alphabet else _numbers
        yield column, predict(features, column, fit, new, fitting)


def _peak(column: Column) -> np.ndarray:
    return np.zeros(len(column.data)) if column.noise is None else column.noise.peak_loss(column.data)


def _loss(column: Column, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    if column.noise is None:
        return np.asarray(-np.log(predicted[np.arange(len(truth)), truth]))
    return -column.noise.log_likelihood(truth, predicted)


def _numbers(
    features: np.ndarray | None, column: Column, fit: np.ndarray, new: np.ndarray, fitting: Fitting
) -> np.ndarray:
    """Locations; inside (0, 1), by half an observation, for Bernoulli decoders."""
    absolute = isinstance(column.noise, LaplaceNoise)
    target = column.data[fit]
    if features is None:
        centre = float(np.median(target)) if absolute else float(target.mean())
        found = np.full(len(new), centre)
    else:
        found = fitted(regressor(fitting, absolute), features[fit], target).predict(features[new])
    if isinstance(column.noise, BernoulliNoise):
        margin = 0.5 / (len(fit) + 1)
        found = np.clip(found, margin, 1 - margin)
    return np.asarray(found, dtype=np.float64)


def _classes(
    features: np.ndarray | None, column: Column, fit: np.ndarray, new: np.ndarray, fitting: Fitting
) -> np.ndarray:
    """Probabilities; one observation more, spread over all symbols, keeps those of unseen ones positive."""
    target = column.data[fit]
    found = np.zeros((len(new), column.alphabet))
    present = np.unique(target)
    if features is None or len(present) == 1:
        found += np.bincount(target, minlength=column.alphabet) / len(fit)
    else:
        found[:, present] = fitted(_classifier(fitting), features[fit], target).predict_proba(features[new])
    return np.asarray((len(fit) * found + 1 / column.alphabet) / (len(fit) + 1))


def regressor(fitting: Fitting, absolute: bool) -> Any:
    """One of scikit-learn's that has not been fitted, for medians or means; a linear one takes several targets too."""
    if fitting.predictor == "boosting":
        from sklearn.ensemble import HistGradientBoostingRegressor

        loss = "absolute_error" if absolute else "squared_error"
        return HistGradientBoostingRegressor(loss=loss, random_state=_seed(fitting))
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-6, 6, 13)))


def _classifier(fitting: Fitting) -> Any:
    if fitting.predictor == "boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(random_state=_seed(fitting))
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def _seed(fitting: Fitting) -> int:
    return int(fitting.rng.integers(2**31))


def fitted(model: Any, features: np.ndarray, target: np.ndarray) -> Any:
    """The model. If it has not converged, or is ill-conditioned, it predicts too: its held-out loss says how well."""
    from scipy.linalg import LinAlgWarning
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        return model.fit(features, target)
