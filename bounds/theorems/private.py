"""Finite VAEs with a shared and one private latent per modality, exact by enumeration (THEORY T10.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bounds.choices import Choices
from bounds.joints import Discrete
from bounds.theorems.base import Case
from bounds.theorems.cases import law
from bounds.theorems.tables import kl

#: Values of each private latent.
PRIVATE = 2


@dataclass(frozen=True, eq=False)
class PrivateModel:
    """Prior ``p(z) prod_n p(u_n)``, decoders ``p(x_n|z,u_n) = prod over units``, encoders of single modalities.

    Args:
        prior: ``(Z,)``.
        private_priors: for each modality ``(U,)``.
        decoders: for each modality and each of its units ``(Z, U, k)``.
        shared: for each modality ``(cells of x_n, Z)``, ``q(z|x_n)``.
        own: for each modality ``(cells of x_n, U)``, ``q(u_n|x_n)``.
        auxiliary: for each modality ``(U,)``, the prior ``r(u_n)`` of cross-reconstruction.
    """

    prior: np.ndarray
    private_priors: tuple[np.ndarray, ...]
    decoders: tuple[tuple[np.ndarray, ...], ...]
    shared: tuple[np.ndarray, ...]
    own: tuple[np.ndarray, ...]
    auxiliary: tuple[np.ndarray, ...]


def private_cases(choices: Choices) -> Case:
    """Two modalities of one or two units, and any private-latent model, or one whose own latents copy a unit."""
    data = law(choices, (2,), 2)
    latents = choices.integer(1, 2)
    sizes = _cells(data)
    copying = choices.integer(0, 1) == 1
    decoders, own = [], []
    for m in range(2):
        alphabets = _unit_alphabets(data, m)
        if copying:
            # u_m is the first unit (up to PRIVATE values), and every unit is read off it where they agree
            first = np.unravel_index(np.arange(sizes[m]), alphabets)[0] % PRIVATE
            own.append(np.eye(PRIVATE)[first])
            decoders.append(tuple(_copies(latents, k) for k in alphabets))
        else:
            own.append(choices.laws([sizes[m], PRIVATE]))
            decoders.append(tuple(choices.laws([latents, PRIVATE, k]) for k in alphabets))
    model = PrivateModel(
        choices.laws([latents]),
        tuple(choices.laws([PRIVATE]) for _ in range(2)),
        tuple(decoders),
        tuple(choices.laws([size, latents]) for size in sizes),
        tuple(own),
        tuple(choices.laws([PRIVATE]) for _ in range(2)),
    )
    return Case(data, None, None, {"private": model})


def _copies(latents: int, k: int) -> np.ndarray:
    """A unit that equals ``u`` but for one per cent."""
    row = np.full((PRIVATE, k), 0.01 / k)
    row[np.arange(PRIVATE), np.arange(PRIVATE) % k] += 0.99
    return np.broadcast_to(row, (latents, PRIVATE, k))


def private_elbo(model: PrivateModel, data: Discrete, auxiliary: bool) -> float:
    """The MMVAE-weighted K=1 ELBO, with own density in every KL.

    Every ``u_n`` comes from ``q(u_n|x_n)``; with ``auxiliary`` those of the modality that is not encoded come from
    ``r(u_n)`` and have no KL.
    """
    joint = data.modality_pmf
    total = 0.0
    for m in range(2):
        total += _shared_kl(model, data, m)
        for n in range(2):
            pair = _pair(joint, m, n)
            drawn = auxiliary and n != m
            private = np.broadcast_to(model.auxiliary[n], model.own[n].shape) if drawn else model.own[n]
            # the joint law of the target, the shared latent that x_m gives, and the private one
            weights = np.einsum("xz,xu->xzu", pair @ model.shared[m], private)
            total += _expected(weights, _log_likelihood(model, data, n))
            if not drawn:
                total -= kl(pair.sum(axis=1)[:, None] * model.own[n], model.own[n], model.private_priors[n])
    return total / 2


def _shared_kl(model: PrivateModel, data: Discrete, m: int) -> float:
    marginal = data.modality_pmf.sum(axis=1 - m)
    return -kl(marginal[:, None] * model.shared[m], model.shared[m], model.prior)


def _pair(joint: np.ndarray, m: int, n: int) -> np.ndarray:
    """``(cells of x_n, cells of x_m)``: their joint law."""
    if m == n:
        return np.diag(joint.sum(axis=1 - m))
    return joint if n == 0 else joint.T


def _log_likelihood(model: PrivateModel, data: Discrete, n: int) -> np.ndarray:
    """``(cells of x_n, Z, U)``: ``ln p(x_n|z,u_n)``."""
    cells = np.unravel_index(np.arange(_cells(data)[n]), _unit_alphabets(data, n))
    with np.errstate(divide="ignore"):
        return sum(
            (
                np.moveaxis(np.log(decoder), -1, 0)[values]
                for decoder, values in zip(model.decoders[n], cells, strict=True)
            ),
            np.zeros(()),
        )


def _expected(weights: np.ndarray, values: np.ndarray) -> float:
    here = weights > 0
    return float(weights[here] @ values[here])


def _unit_alphabets(data: Discrete, m: int) -> tuple[int, ...]:
    units = [u for u in range(len(data.unit_alphabets)) if data.layout.modality_units[m] >> u & 1]
    return tuple(data.unit_alphabets[u] for u in units)


def _cells(data: Discrete) -> tuple[int, ...]:
    return tuple(data.modality_pmf.shape)
