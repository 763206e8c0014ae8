"""The joint table of data and latent of a finite model, for checks straight from the definitions.

It shares nothing with :mod:`bounds.finite`, so an identity between the two is a check of both.
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

    def model(self, units: tuple[int, ...] | None = None) -> np.ndarray:
        """``(*k or 1, Z)``: ``p_theta(z) prod p_theta(x_u|z)`` over some units, by default all."""
        table = self._model.prior
        for u, decoder in enumerate(self._model.decoders):
            if units is None or u in units:
                shape = [1] * self.n_units + [len(decoder)]
                shape[u] = decoder.shape[1]
                table = table * decoder.T.reshape(shape)
        return table

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


def mean_log(mass: np.ndarray, values: np.ndarray) -> float:
    """``sum mass * ln values`` over cells with mass, ``-inf`` where a value there is zero."""
    mass, values = np.broadcast_arrays(mass, values)
    with np.errstate(divide="ignore"):
        return float(mass[mass > 0] @ np.log(values[mass > 0]))


def kl(joint: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """``sum joint * ln(left / right)`` over cells with mass in ``joint``."""
    joint, left, right = np.broadcast_arrays(joint, left, right)
    here = joint > 0
    with np.errstate(divide="ignore"):
        return float(joint[here] @ (np.log(left[here]) - np.log(right[here])))
