"""The concave programme behind the best ELBO: over which mixture of decoders is it attained? (THEORY T4)"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from bounds.errors import InputError
from bounds.joints import Discrete
from bounds.schemes import SubsetScheme
from bounds.subsets import members, union

#: Rows and symbols that agree to this are one; it is some units in the last place of a conditional probability.
SAME = 1e-14
#: Least probability of a decoder; one plus this is one.
LEAST = 1e-17


def geometric_means(targets: np.ndarray, v: np.ndarray, power: float = 1.0) -> np.ndarray:
    """``prod_x v_k(x)^(s C_r(x))`` as ``(R, K)``; a factor ``0^0`` is 1, and 0 to any other power is 0."""
    if (v > 0).all():
        return np.asarray(np.exp(power * (targets @ np.log(v).T)))
    means = np.exp(power * (targets @ np.log(np.where(v > 0, v, 1.0)).T))
    impossible = (targets > 0).astype(np.float64) @ (v <= 0).astype(np.float64).T > 0
    return np.where(impossible, 0.0, means)


@dataclass(frozen=True, eq=False)
class DecoderProgram:
    """``sup over pi of sum_r b_r ln int pi(dv) prod_m prod_x v_m(x)^(s C_rm(x))``.

    A latent value is its decoder ``v = (v_1, ..., v_n)``, one law for each unit, and ``pi`` is a law on all of them.
    A row ``r`` is an encoded subset with what it sees, ``(A, x_A)``; its mass ``b_r`` is ``w_A p(x_A)`` and its target
    ``C_rm`` the law ``p(x_m|x_A)``, which is a point where ``A`` contains unit ``m``. With the power ``s = 1`` the
    value of the programme is ``sup L_S`` (THEORY T4), and with ``s = 1/beta`` it is ``sup L_beta / beta``.

    Args:
        mass: ``(R,)``, positive.
        targets: for each unit ``(R, k_m)``, rows that sum to one.
        power: ``s``, positive.
    """

    mass: np.ndarray
    targets: tuple[np.ndarray, ...]
    power: float = 1.0
    #: Where each unit's columns begin in the concatenated tables.
    starts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        ends = np.cumsum([0, *(c.shape[1] for c in self.targets)])
        object.__setattr__(self, "starts", tuple(int(end) for end in ends))

    @classmethod
    def of(cls, law: Discrete, scheme: SubsetScheme, beta: float = 1.0) -> DecoderProgram:
        """The programme of a law and a scheme.

        Raises:
            InputError: a scheme over other modalities, ``beta`` not positive, or so small, for a law with so rare
                values, that likelihoods to the power ``1 / beta`` leave the range of float64.

        >>> from bounds import mmvae
        >>> DecoderProgram.of(Discrete([[0.5, 0.0], [0.0, 0.5]]), mmvae(2)).n_rows  # both modalities say the same
        2
        """
        if not (beta > 0 and math.isfinite(beta)):
            raise InputError(f"beta is {beta}: give a positive number")
        if scheme.n_modalities != len(law.names):
            raise InputError(
                f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the law over {len(law.names)}"
            )
        mass: list[np.ndarray] = []
        targets: list[list[np.ndarray]] = [[] for _ in law.unit_alphabets]
        for subset, weight in scheme:
            known, conditionals = conditional_laws(law, subset)
            cells = np.flatnonzero(known)
            mass.append(float(weight) * known.reshape(-1)[cells])
            for unit, conditional in enumerate(conditionals):
                targets[unit].append(conditional[cells])
        program = cls(np.concatenate(mass), tuple(np.concatenate(t) for t in targets), 1.0 / beta).merged()
        constant = normalise(program.blocks((program.mass @ program.stacked)[None]))
        if not (program.likelihoods(constant) > np.finfo(np.float64).tiny).all():
            raise InputError(
                f"likelihoods of the rarest values to the power 1 / beta = {1 / beta:g} are below the range of "
                "float64: take a larger beta, or merge rare values"
            )
        return program

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.mass)

    @cached_property
    def stacked(self) -> np.ndarray:
        """``(R, sum k_m)``: all targets side by side."""
        return np.concatenate([np.zeros((self.n_rows, 0)), *self.targets], axis=1)

    def blocks(self, v: np.ndarray) -> list[np.ndarray]:
        """The columns of each unit."""
        return [v[..., a:b] for a, b in pairwise(self.starts)]

    def merged(self) -> DecoderProgram:
        """The same value with fewer rows: rows with one target are one row, with their mass together.

        Targets that differ by rounding (:data:`SAME`) count as one; :mod:`bounds.dual.inner` says what that moves.
        """
        _, first, which = np.unique(np.round(self.stacked / SAME), axis=0, return_index=True, return_inverse=True)
        mass = np.bincount(which.reshape(-1), self.mass)
        return DecoderProgram(mass, tuple(c[first] for c in self.targets), self.power)

    def likelihoods(self, v: np.ndarray) -> np.ndarray:
        """``exp(-d_r(v_k))``, ``(R, K)``, for decoders ``v`` of shape ``(K, sum k_m)``."""
        return geometric_means(self.stacked, v, self.power)

    def value(self, weights: np.ndarray, v: np.ndarray) -> float:
        """What a mixture of decoders attains: ``sum_r b_r ln sum_k pi_k exp(-d_r(v_k))``."""
        with np.errstate(divide="ignore"):
            return float(self.mass @ np.log(self.likelihoods(v) @ weights))


def conditional_laws(law: Discrete, subset: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """``p(x_A)`` with one axis for each unit, of length 1 outside ``A``, and for each unit ``p(x_m|x_A)``.

    The second has a row for each cell of the first, in its order; where ``p(x_A)`` is zero the row means nothing.
    """
    p = law.pmf.reshape(law.unit_alphabets)
    seen = members(union(law.layout.modality_units, subset))
    known = _marginal(p, seen)
    conditionals = []
    for unit, size in enumerate(p.shape):
        if unit in seen:
            conditionals.append(np.eye(size)[np.indices(known.shape)[unit].reshape(-1)])
        else:
            pair = np.moveaxis(_marginal(p, {*seen, unit}), unit, -1).reshape(-1, size)
            total = pair.sum(axis=1, keepdims=True)
            conditionals.append(np.divide(pair, total, out=np.zeros_like(pair), where=total > 0))
    return known, conditionals


def _marginal(p: np.ndarray, units: Collection[int]) -> np.ndarray:
    return np.asarray(p.sum(axis=tuple(u for u in range(p.ndim) if u not in units), keepdims=True))


def normalise(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Laws side by side from nonnegative blocks, without zeros: what is impossible for one latent is not for the data.

    A decoder that gives zero to a symbol of probability 1e-300 would make the objective minus infinity, and entries
    near 1e-300 break the monotonicity of the search; :data:`LEAST` changes no sum.
    """
    found = []
    for block in blocks:
        kept = np.maximum(block / block.sum(axis=-1, keepdims=True), LEAST)
        found.append(kept / kept.sum(axis=-1, keepdims=True))
    return np.concatenate(found, axis=-1)
