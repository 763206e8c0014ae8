"""Named finite models, each with one lesson: the counterexamples and the tight cases of the theory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np

from bounds.common_cause import CommonCause
from bounds.finite import TabularVAE, optimal_decoders
from bounds.joints import Discrete
from bounds.schemes import SubsetScheme, mmvae


@dataclass(frozen=True, eq=False)
class ReferenceModel:
    """A law, a scheme and a model, and what they show.

    Attributes:
        name: how a command line calls it.
        story: one sentence.
        source: where the theory has it.
    """

    name: str
    story: str
    source: str
    law: Discrete
    scheme: SubsetScheme
    model: TabularVAE


@cache
def reference_models() -> Mapping[str, ReferenceModel]:
    """The reference models by name.

    >>> sorted(reference_models())[:2]
    ['constant-latent', 'noisy-pair-0.01']
    """
    found = [
        _constant_latent(),
        _private_noise(),
        _noisy_pair(0.1, "A model that is the truth, with blurred decoders: the quoted theorem fails."),
        _noisy_pair(0.01, "The same with a sharp decoder of the unseen modality: the quoted theorem happens to hold."),
        _xor_mixture(),
        _twin_bit(),
    ]
    return MappingProxyType({reference.name: reference for reference in found})


def _constant_latent() -> ReferenceModel:
    bit, nothing = np.full((1, 2), 0.5), np.ones((2, 1))
    return ReferenceModel(
        "constant-latent",
        "Two independent fair bits and a latent that says nothing: the ELBO is -H(X), Delta above the quoted bound.",
        "THEORY T0(a)",
        Discrete(np.full((2, 2), 0.25)),
        mmvae(2),
        TabularVAE(np.ones(1), [bit, bit], {0b01: nothing, 0b10: nothing}),
    )


def _private_noise() -> ReferenceModel:
    law = CommonCause([0.5, 0.5], [np.full((2, 2), 0.5)] * 2).to_discrete()
    label, noise = np.eye(2), np.full((2, 2), 0.5)
    read_label = np.repeat(np.eye(2)[:, None, :], 2, axis=1)  # (y, u, z): z = y
    return ReferenceModel(
        "private-noise",
        "X_m = (Y, U_m) with Z = Y: private information modelled as decoder noise costs nothing, the gap is 0.",
        "THEORY T0(b)",
        law,
        mmvae(2),
        TabularVAE(np.full(2, 0.5), [label, noise, label, noise], {0b01: read_label, 0b10: read_label}),
    )


def _noisy_pair(flip: float, story: str) -> ReferenceModel:
    """``z`` a fair bit, ``x_1 = z + Bern(.1)``, ``x_2 = z + Bern(flip)``; the encoder of ``x_1`` alone is used."""
    channels = [np.array([[1 - e, e], [e, 1 - e]]) for e in (0.1, flip)]
    return ReferenceModel(
        f"noisy-pair-{flip}",
        story,
        "THEORY T0",
        Discrete(0.5 * np.einsum("zi,zj->ij", *channels)),
        SubsetScheme({0b01: 1.0}, 2, label="first modality only"),
        TabularVAE(np.full(2, 0.5), channels, {0b01: channels[0].T, 0b10: channels[1].T}),
    )


def _xor_mixture() -> ReferenceModel:
    codewords = np.array([(a, b, a ^ b) for a in (0, 1) for b in (0, 1)])
    pmf = np.zeros((2, 2, 2))
    pmf[tuple(codewords.T)] = 0.25
    encoders = {1 << m: 0.5 * (codewords[:, m] == np.arange(2)[:, None]) for m in range(3)}
    law, scheme = Discrete(pmf), mmvae(3)
    return ReferenceModel(
        "xor-mixture",
        "X_3 = X_1 xor X_2 and an encoder that guesses the codeword: with the mixture's density in the KL it beats T2.",
        "THEORY T5",
        law,
        scheme,
        optimal_decoders(law, scheme, encoders),
    )


def _twin_bit() -> ReferenceModel:
    fair = np.full((2, 2), 0.5)
    pmf = np.zeros((1, 2, 2))
    pmf[0] = np.eye(2) / 2
    return ReferenceModel(
        "twin-bit",
        "X_2 = X_3 and an encoder that sees neither: no decoder can copy, and the ELBO is exactly T2's ceiling.",
        "THEORY T2, T5",
        Discrete(pmf),
        SubsetScheme({0b001: 1.0}, 3, label="first modality only"),
        TabularVAE(np.full(2, 0.5), [np.ones((2, 1)), fair, fair], {0b001: np.full((1, 2), 0.5)}),
    )
