"""The joint table of data and latent of a finite model, for checks straight from the definitions.

It shares nothing with :mod:`bounds.finite`, so an identity between the two is a check of both. The model is in logs: a
product of its probabilities may lie below the range of float64 where its logarithm is a plain number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bounds.errors import InputError
from bounds.finite import TabularVAE
from bounds.joints import Discrete
from bounds.subsets import members, union
from bounds.theorems.base import Case


@dataclass(frozen=True, eq=False)
class Tables:
    """Arrays with one axis for each decoder unit and the latent last."""

    case: Case

    @property
    def _model(self) -> TabularVAE:
        if self.case.model is None:
            raise InputError("this case has no model")
        return self.case.model

    @cached_property
    def data(self) -> np.ndarray:
        """``(*k, 1)``: ``p(x)``."""
        law = self.case.law
        if not isinstance(law, Discrete):
            raise InputError("a model's tables need a discrete law")
        return law.pmf.reshape([*law.unit_alphabets, 1])

    @cached_property
    def n_units(self) -> int:
        """Number of decoder units."""
        return self.data.ndim - 1

    def seen(self, subset: int) -> tuple[int, ...]:
        """The units of a subset of the modalities."""
        return members(union(self.case.law.layout.modality_units, subset))

    def log_decoder(self, units: tuple[int, ...]) -> np.ndarray:
        """``(*k or 1, Z)``: ``ln p_theta(x_u|z)`` summed over some units, ``-inf`` where one of them is impossible."""
        total = np.zeros([1] * self.n_units + [self._model.n_latents])
        for u in units:
            decoder = self._model.decoders[u]
            shape = [1] * self.n_units + [len(decoder)]
            shape[u] = decoder.shape[1]
            total = total + log(decoder.T.reshape(shape))
        return total

    def log_model(self, units: tuple[int, ...] | None = None) -> np.ndarray:
        """``(*k or 1, Z)``: ``ln p_theta(z, x_u for some units)``, by default all."""
        chosen = tuple(range(self.n_units)) if units is None else units
        return np.asarray(log(self._model.prior) + self.log_decoder(chosen))

    def model(self, units: tuple[int, ...] | None = None) -> np.ndarray:
        """``(*k or 1, Z)``: ``p_theta(z, x_u for some units)``, zero where it is below the range of float64."""
        return np.asarray(np.exp(self.log_model(units)))

    def encoder(self, subset: int) -> np.ndarray:
        """``(*k or 1, Z)``: ``q_A(z|x_A)``."""
        table = self._model.encoders[subset]
        seen = self.seen(subset)
        shape = [self.data.shape[u] if u in seen else 1 for u in range(self.n_units)]
        return table.reshape([*shape, table.shape[-1]])

    def mixture(self) -> np.ndarray:
        """``(*k, Z)``: ``qbar(z|x) = sum_A w_A q_A(z|x_A)``."""
        return sum((float(w) * self.encoder(a) for a, w in self.case.mixture), np.zeros_like(self.data))

    def marginal(self, table: np.ndarray, units: tuple[int, ...]) -> np.ndarray:
        """A table with the other units summed out, their axes kept with length 1."""
        return np.asarray(table.sum(axis=tuple(u for u in range(self.n_units) if u not in units), keepdims=True))


def ratio(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``left / right``, 0 where ``right`` is 0."""
    left, right = np.broadcast_arrays(left, right)
    return np.asarray(np.divide(left, right, out=np.zeros(left.shape), where=right > 0))


def log(table: np.ndarray) -> np.ndarray:
    """``ln``, ``-inf`` of zero."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(table))


def log_sum(logs: np.ndarray, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    """``ln sum exp`` over some axes, by default the latent's, which are kept with length 1."""
    return np.asarray(np.logaddexp.reduce(logs, axis=axis, keepdims=True))


def mean_difference(mass: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """``sum mass * (left - right)`` over cells with mass, of logarithms: what these are elsewhere does not count."""
    mass, left, right = np.broadcast_arrays(mass, left, right)
    here = mass > 0
    return float(mass[here] @ (left[here] - right[here]))


def mean_log(mass: np.ndarray, values: np.ndarray) -> float:
    """``sum mass * ln values`` over cells with mass, ``-inf`` where a value there is zero."""
    return mean_difference(mass, log(values), np.zeros(1))


def kl(joint: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """``sum joint * ln(left / right)`` over cells with mass in ``joint``."""
    return mean_difference(joint, log(left), log(right))
