"""Finite VAEs with a shared and one private latent per modality, exact by enumeration (THEORY T10.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bounds.choices import Choices, code_model, linear_code, normalised
from bounds.joints import Discrete
from bounds.schemes import mmvae
from bounds.subsets import members
from bounds.theorems.base import Case
from bounds.theorems.cases import law
from bounds.theorems.tables import kl

#: Values of each private latent of a random model.
PRIVATE = 4


@dataclass(frozen=True, eq=False)
class PrivateModel:
    """Prior ``p(z) prod_n p(u_n)``, decoders ``p(x_n|z,u_n) = prod over units``, encoders of single modalities.

    Args:
        prior: ``(Z,)``.
        private_priors: for each modality ``(U,)``.
        decoders: for each decoder unit ``(Z, U, k)``.
        shared: for each modality ``(cells of x_n, Z)``, ``q(z|x_n)``.
        own: for each modality ``(cells of x_n, U)``, ``q(u_n|x_n)``.
        auxiliary: for each modality ``(U,)``, the prior ``r(u_n)`` of cross-reconstruction.
    """

    prior: np.ndarray
    private_priors: Sequence[np.ndarray]
    decoders: Sequence[np.ndarray]
    shared: Sequence[np.ndarray]
    own: Sequence[np.ndarray]
    auxiliary: Sequence[np.ndarray]


def private_cases(choices: Choices) -> Case:
    """Two or three modalities of one or two units under MMVAE, and a model with private latents.

    Anything, or a shared latent that guesses a code of the data, or private latents that copy their modalities.
    """
    data = law(choices, (2, 3), 2)
    kind = choices.pick((_any, _code, _copies))
    return Case(data, mmvae(len(data.names)), None, {"private": kind(choices, data)})


def copying_cases(choices: Choices) -> Case:
    """Linear functions of fair bits in one or two equal pixels, copied by private latents: where units share most."""
    data = linear_code(choices, (2, 3), units=2)
    return Case(data, mmvae(len(data.names)), None, {"private": _copies(choices, data)})


def _any(choices: Choices, data: Discrete) -> PrivateModel:
    latents = choices.integer(1, 2)
    return PrivateModel(
        choices.laws([latents]),
        _privately(choices, data),
        [choices.laws([latents, PRIVATE, k]) for k in data.unit_alphabets],
        [choices.laws([cells, latents]) for cells in data.modality_pmf.shape],
        [choices.laws([cells, PRIVATE]) for cells in data.modality_pmf.shape],
        _privately(choices, data),
    )


def _code(choices: Choices, data: Discrete) -> PrivateModel:
    """Private latents that nobody reads."""
    model = code_model(choices, data, mmvae(len(data.names)))
    unread = [np.ones(1) for _ in data.names]
    return PrivateModel(
        model.prior,
        unread,
        [decoder[:, None, :] for decoder in model.decoders],
        [model.encoders[1 << m].reshape(cells, -1) for m, cells in enumerate(data.modality_pmf.shape)],
        [np.ones((cells, 1)) for cells in data.modality_pmf.shape],
        unread,
    )


def _copies(choices: Choices, data: Discrete) -> PrivateModel:
    """The private latents copy their modalities, up to :data:`PRIVATE` cells, with the best decoders, blurred."""
    blur = choices.pick((0.01, 0.3, 0.1))
    table = data.pmf.reshape(data.unit_alphabets)
    own, priors, decoders = [], [], []
    for m, units in enumerate(map(members, data.layout.modality_units)):
        modality = table.sum(axis=tuple(u for u in range(table.ndim) if u not in units))
        own.append(np.eye(PRIVATE)[np.arange(modality.size) % PRIVATE])
        joint = modality[..., None] * own[m].reshape([*modality.shape, PRIVATE])
        priors.append(joint.sum(axis=tuple(range(len(units)))))
        for i, k in enumerate(modality.shape):
            pair = joint.sum(axis=tuple(j for j in range(len(units)) if j != i)).T
            decoders.append((blur / k + (1 - blur) * normalised(pair))[None])
    unread = [np.ones((cells, 1)) for cells in data.modality_pmf.shape]
    return PrivateModel(np.ones(1), priors, decoders, unread, own, _privately(choices, data))


def _privately(choices: Choices, data: Discrete) -> list[np.ndarray]:
    return [choices.laws([PRIVATE]) for _ in data.names]


def label_and_parity() -> Case:
    """Three modalities that show one fair label and a bit each, the bits of even parity; ``Z`` is the label.

    The label is paid for once and every bit by itself: both ceilings are ``-4 ln 2``.
    """
    label, bit, one = np.eye(2)[:, None, :], np.full((2, 1, 2), 0.5), np.ones(1)
    cells = np.indices((2,) * 6)
    labels, bits = cells[::2], cells[1::2]
    possible = (labels == labels[0]).all(axis=0) & (bits.sum(axis=0) % 2 == 0)
    data = Discrete(possible / possible.sum(), sizes=[2, 2, 2], units="scalar")
    read, unread = np.repeat(np.eye(2), 2, axis=0), np.ones((4, 1))
    model = PrivateModel(np.full(2, 0.5), [one] * 3, [label, bit] * 3, [read] * 3, [unread] * 3, [one] * 3)
    return Case(data, mmvae(3), None, {"private": model})


def private_elbo(model: PrivateModel, data: Discrete, auxiliary: bool) -> float:
    """The MMVAE-weighted K=1 ELBO, with own density in every KL.

    Every ``u_n`` comes from ``q(u_n|x_n)``; with ``auxiliary`` those of modalities that are not encoded come from
    ``r(u_n)`` and have no KL.
    """
    count = len(data.names)
    likelihoods = [_log_likelihood(model, data, n) for n in range(count)]
    total = 0.0
    for m in range(count):
        known = _pair(data, m, m).sum(axis=1)
        total -= kl(known[:, None] * model.shared[m], model.shared[m], model.prior)
        for n in range(count):
            pair = _pair(data, n, m)
            drawn = auxiliary and n != m
            private = np.broadcast_to(model.auxiliary[n], model.own[n].shape) if drawn else model.own[n]
            # the joint law of the target, the shared latent that x_m gives, and the private one
            weights = (pair @ model.shared[m])[:, :, None] * private[:, None, :]
            here = weights > 0
            total += float(weights[here] @ likelihoods[n][here])
            if not drawn:
                total -= kl(pair.sum(axis=1)[:, None] * model.own[n], model.own[n], model.private_priors[n])
    return total / count


def _pair(data: Discrete, n: int, m: int) -> np.ndarray:
    """``(cells of x_n, cells of x_m)``: their joint law."""
    pmf = data.modality_pmf
    kept = pmf.sum(axis=tuple(axis for axis in range(pmf.ndim) if axis not in (n, m)))
    return np.asarray(np.diag(kept) if n == m else kept if n < m else kept.T)


def _log_likelihood(model: PrivateModel, data: Discrete, n: int) -> np.ndarray:
    """``(cells of x_n, Z, U)``: ``ln p(x_n|z,u_n)``."""
    units = members(data.layout.modality_units[n])
    values = np.unravel_index(np.arange(data.modality_pmf.shape[n]), _alphabets(data, n))
    with np.errstate(divide="ignore"):
        logs = [np.log(model.decoders[u])[:, :, value] for u, value in zip(units, values, strict=True)]
    return np.moveaxis(np.sum(logs, axis=0), -1, 0)


def _alphabets(data: Discrete, m: int) -> tuple[int, ...]:
    """Of the units of one modality."""
    return tuple(data.unit_alphabets[u] for u in members(data.layout.modality_units[m]))
