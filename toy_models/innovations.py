"""Columns less their linear prediction: what is seen, and the columns before, are taken off in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from bounds.errors import InputError
from bounds.estimators.conditional_losses import Block

#: Noise that the linear prediction may assume, as shares of the columns' variances.
_RIDGES = np.logspace(-8, 0, 33)
#: How much of the correlation between modalities may be kept: on few rows most of it is noise.
_SHARES = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)


class Task(NamedTuple):
    """A density to learn: of a block given what is seen, whose columns depend on each other unless ``apart``."""

    given: Block
    block: Block
    apart: bool


def tasks_of(given: Block, blocks: Sequence[Block]) -> list[Task]:
    """Columns that are kept apart are one task."""
    if all(len(block) == 1 for block in blocks):
        return [Task(given, tuple(v for (v,) in blocks), apart=True)]
    return [Task(given, block, apart=False) for block in blocks]


@dataclass(frozen=True, eq=False)
class Linear:
    """A normal law of the columns: standardised, and shrunk as suits rows that did not fit it.

    Args:
        mean, scale: ``(d,)`` of the columns.
        correlation: ``(d, d)``, with a ridge, and with a share of what it is between modalities.
    """

    mean: np.ndarray
    scale: np.ndarray
    correlation: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, validation: np.ndarray, modalities: np.ndarray) -> Linear:
        """From ``(n, d)`` rows; ridge and share have the highest likelihood of the validation rows.

        Args:
            rows: that fit.
            validation: that tell how far to shrink.
            modalities: ``(d,)``, that of each column.

        Raises:
            InputError: a column that is constant.
        """
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        constant = np.flatnonzero(scale == 0)
        if constant.size:
            raise InputError(f"column {constant[0]} is constant in the training examples, so it has no density")
        standard = (rows - mean) / scale
        values, vectors = np.linalg.eigh(standard.T @ standard / len(rows))
        squares = ((((validation - mean) / scale) @ vectors) ** 2).mean(axis=0)
        spectra = np.maximum(values, 0) + _RIDGES[:, None]  # rounding leaves eigenvalues below zero
        ridge = spectra[int(np.argmin((np.log(spectra) + squares / spectra).sum(axis=1)))]
        correlation = (vectors * ridge) @ vectors.T
        same = np.equal.outer(modalities, modalities)
        shrunk = [np.where(same, correlation, share * correlation) for share in _SHARES]
        standard = (validation - mean) / scale
        return cls(mean, scale, min(shrunk, key=lambda candidate: _loss(candidate, standard)))

    def innovations(self, task: Task, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """``(n, q)`` of a block, white if the rows follow this law, and the log of the map's determinant's inverse."""
        given, block = list(task.given), list(task.block)
        standard = (rows - self.mean) / self.scale
        centred, spread = standard[:, block], self.correlation[np.ix_(block, block)]
        if given:
            across = self.correlation[np.ix_(given, block)]
            root = cholesky(self.correlation[np.ix_(given, given)], lower=True)
            coefficients = cho_solve((root, True), across)
            centred = centred - standard[:, given] @ coefficients
            spread = spread - across.T @ coefficients
        root = np.diag(np.sqrt(np.diagonal(spread))) if task.apart else cholesky(spread, lower=True)
        white = solve_triangular(root, centred.T, lower=True).T
        return white, float(np.log(np.diagonal(root)).sum() + np.log(self.scale[block]).sum())


def _loss(correlation: np.ndarray, rows: np.ndarray) -> float:
    """The mean of minus the log-density of standardised rows, less a constant."""
    root = cholesky(correlation, lower=True)
    white = solve_triangular(root, rows.T, lower=True)
    return float(0.5 * (white**2).sum(axis=0).mean() + np.log(np.diagonal(root)).sum())
