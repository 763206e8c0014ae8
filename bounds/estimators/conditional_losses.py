"""Held-out losses of conditional densities that were fitted on other rows (THEORY T10.7).

The mean of ``-ln q(x_block|x_given)`` is in expectation at least ``H(X_block|X_given)``, for every density ``q`` that
did not see the rows. scikit-learn's predictors make the densities: probabilities of symbols, and normal residuals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bounds.errors import InputError
from bounds.likelihood.predictive import Column, Fitting, fitted, predictions, regressor
from bounds.samples import Samples

#: Columns, by number.
Block = tuple[int, ...]

#: Standard deviation of the noise that every density has, as a share of its column's: no density is infinite.
RESOLUTION = 1e-6
#: Shares of the probability that may go to the symbols' frequencies, whatever is seen.
_SHARES = np.linspace(0, 1, 21)


@dataclass(frozen=True, eq=False)
class Losses:
    """``-ln q`` of each row, in nats, by densities that were fitted on other rows.

    Args:
        rows: ``(N,)``.
        folds: the rows of each fold: those of one fold were judged by densities that saw none of them.
        largest: what no row can exceed, infinite for densities. For probabilities no row is below zero.
        shows: ``(N, k)`` whole numbers; rows that have one in common depend on each other. By default no rows do.
    """

    rows: np.ndarray
    folds: tuple[np.ndarray, ...]
    largest: float
    shows: np.ndarray | None = None

    def __add__(self, other: Losses) -> Losses:
        return replace(self, rows=self.rows + other.rows, largest=self.largest + other.largest)

    def __mul__(self, weight: float) -> Losses:
        return replace(self, rows=weight * self.rows, largest=weight * self.largest)

    def standard_error(self) -> tuple[float, int]:
        """The standard error of the mean and its degrees of freedom.

        Rows that show the same are counted with the covariances of all pairs of them (Fafchamps and Gubert 2007); that
        estimate is unbiased no more than the one for independent rows, so the larger of the two is given.
        """
        count = len(self.rows)
        alone = float(self.rows.std(ddof=1)) / math.sqrt(count)
        if self.shows is None:
            return alone, count - 1
        from scipy.sparse import csr_array

        kinds, columns = np.unique(self.shows, return_inverse=True)
        places = (np.repeat(np.arange(count), self.shows.shape[1]), columns.ravel())
        incidence = csr_array((np.ones(self.shows.size), places), shape=(count, len(kinds)))
        pairs = incidence @ incidence.T  # stored where two rows have something in common
        errors = self.rows - self.rows.mean()
        variance = float(errors @ (pairs.sign() @ errors)) / count**2
        return math.sqrt(max(variance, alone**2)), min(count, len(kinds)) - 1


class CrossFitted:
    """Losses of all rows of a dataset: each fold is judged by densities that were fitted on the other folds.

    Symbols are predicted one column after another, each given those before it. Numbers have a joint normal density
    about a prediction from what is given and from the symbols of their block. A quarter of the fitting rows does not
    fit predictors: it says how far to trust them, by a share of the symbols' plain frequencies, and by a slope and the
    covariance of the residuals (Ledoit and Wolf).

    Args:
        samples: the rows, independent of each other; of any kind.
        fitting: see :class:`bounds.likelihood.predictive.Fitting`.

    Raises:
        InputError: an unknown predictor, folds that leave too few rows.
    """

    def __init__(self, samples: Samples, fitting: Fitting) -> None:
        fitting.check(samples.n)
        self.method = f"{fitting.predictor} predictors, {fitting.folds} folds of N={samples.n} rows"
        self._folds = [_Fold(samples, fitting, others, new) for others, new in fitting.splits(samples.n)]
        self._n = samples.n

    def __call__(self, given: Block, blocks: Sequence[Block]) -> Losses:
        """``-sum_b ln q(x_b|x_given)`` of all rows: blocks are independent of each other given what is seen."""
        rows, largest = np.empty(self._n), 0.0
        for fold in self._folds:
            found = [fold.loss(given, block) for block in blocks]
            rows[fold.new] = sum((loss for loss, _ in found), np.zeros(len(fold.new)))
            largest = max(largest, math.fsum(most for _, most in found))
        return Losses(rows, tuple(fold.new for fold in self._folds), largest)


class _Fold:
    """Densities fitted on the rows outside a fold, and their losses in it. What is fitted once is kept."""

    def __init__(self, samples: Samples, fitting: Fitting, others: np.ndarray, new: np.ndarray) -> None:
        self._columns = [
            Column(0, data, alphabet=k) for data, k in zip(samples.columns, samples.alphabets, strict=True)
        ]
        self._fitting, self.new = fitting, new
        self._others, cut = others, 3 * len(others) // 4
        self._fit, self._tune = others[:cut], others[cut:]
        self._numbers = [v for v, k in enumerate(samples.alphabets) if not k]
        self._scales = {v: float(samples.columns[v][others].std()) for v in self._numbers}
        for v, scale in self._scales.items():
            if scale == 0:
                raise InputError(
                    f"column {samples.layout.unit_names[v]!r} is constant outside one fold, so it has no density "
                    "there: leave it out, declare it discrete, or use fewer folds"
                )
        self._known: dict[tuple[Block, int], tuple[np.ndarray, np.ndarray]] = {}

    def loss(self, given: Block, block: Block) -> tuple[np.ndarray, float]:
        """``-ln q(x_block|x_given)`` of the fold's rows, and what none can exceed."""
        numbers = [v for v in block if not self._columns[v].alphabet]
        seen, total, largest = given, np.zeros(len(self.new)), 0.0
        for v in block:
            if self._columns[v].alphabet:
                loss, most = self._loss_of_symbols(seen, v)
                total, largest, seen = total + loss, largest + most, (*seen, v)
        if not numbers:
            return total, largest
        residuals = [self._residuals(seen, v) for v in numbers]
        tune, new = (np.column_stack(part) for part in zip(*residuals, strict=True))
        return total + _normal_loss(tune, new, np.array([self._scales[v] for v in numbers])), math.inf

    def _loss_of_symbols(self, given: Block, v: int) -> tuple[np.ndarray, float]:
        if (given, v) not in self._known:
            column, count = self._columns[v], len(self._others)
            symbols = column.alphabet
            frequencies = (np.bincount(column.data[self._others], minlength=symbols) + 1 / symbols) / (count + 1)
            both = self._predicted(given, v)
            at_tune, at_new = (
                p[np.arange(len(rows)), column.data[rows]]
                for p, rows in ((both[: len(self._tune)], self._tune), (both[len(self._tune) :], self.new))
            )
            plain = frequencies[column.data]
            mixed = [-np.log((1 - s) * at_tune + s * plain[self._tune]).mean() for s in _SHARES]
            share = _SHARES[int(np.argmin(mixed))]
            # Of both probabilities at least one observation, spread over all symbols, is uniform.
            found = -np.log((1 - share) * at_new + share * plain[self.new])
            self._known[given, v] = found, np.array(math.log(symbols * (count + 1)))
        found, most = self._known[given, v]
        return found, float(most)

    def _residuals(self, given: Block, v: int) -> tuple[np.ndarray, np.ndarray]:
        """Of a column of numbers, in the rows kept back and in the fold's."""
        if (given, v) not in self._known:
            if self._fitting.predictor == "linear" and given:
                # One fit for all columns that may be asked for.
                targets = [w for w in self._numbers if w not in given]
                for w, located in zip(targets, self._located(given, targets).T, strict=True):
                    self._known[given, w] = self._calibrated(located, w)
            else:
                self._known[given, v] = self._calibrated(self._predicted(given, v), v)
        return self._known[given, v]

    def _located(self, given: Block, targets: Sequence[int]) -> np.ndarray:
        features = np.hstack([self._columns[w].features for w in given])
        scales = np.array([self._scales[w] for w in targets])
        data = np.column_stack([self._columns[w].data for w in targets]) / scales
        model = fitted(regressor(self._fitting, False), features[self._fit], data[self._fit])
        found = model.predict(features[np.concatenate([self._tune, self.new])])
        return np.asarray(found.reshape(-1, len(targets)) * scales, dtype=np.float64)

    def _predicted(self, given: Block, v: int) -> np.ndarray:
        """Probabilities or locations, first of the rows kept back and then of the fold's."""
        shown = [Column(0, self._columns[w].data, alphabet=self._columns[w].alphabet) for w in given]
        target = Column(1, self._columns[v].data, alphabet=self._columns[v].alphabet)
        rows = np.concatenate([self._tune, self.new])
        ((_, found),) = predictions([*shown, target], 1, self._fit, rows, self._fitting)
        return found

    def _calibrated(self, located: np.ndarray, v: int) -> tuple[np.ndarray, np.ndarray]:
        """Residuals of the best affine function of the prediction, by least squares in the rows kept back."""
        data, count = self._columns[v].data, len(self._tune)
        at_tune = located[:count] - located[:count].mean()
        target = data[self._tune] - data[self._tune].mean()
        square = float(at_tune @ at_tune)
        slope = float(at_tune @ target) / square if square > 0 else 0.0
        fit = data[self._tune].mean() + slope * (located - located[:count].mean())
        return data[self._tune] - fit[:count], data[self.new] - fit[count:]


def _normal_loss(tune: np.ndarray, new: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Minus the log-density of residuals ``(n, q)``, normal with the covariance of others, in nats."""
    from scipy.linalg import cholesky, solve_triangular
    from sklearn.covariance import ledoit_wolf

    deviations = np.sqrt((tune**2).mean(axis=0) + (RESOLUTION * scales) ** 2)
    count = len(deviations)
    correlation = np.eye(1) if count == 1 else ledoit_wolf(tune / deviations, assume_centered=True)[0]
    root = cholesky(correlation + RESOLUTION**2 * np.eye(count), lower=True)
    standard = solve_triangular(root, (new / deviations).T, lower=True)
    log_scale = float(np.log(deviations).sum() + np.log(np.diagonal(root)).sum())
    return np.asarray(0.5 * (standard**2).sum(axis=0) + log_scale + 0.5 * count * math.log(2 * math.pi))
