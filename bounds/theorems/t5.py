"""Other objectives: which ceilings hold for them, and where T2 fails (THEORY T5)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from bounds.ceilings import total_correlation_term
from bounds.finite import TabularVAE
from bounds.joints import Discrete
from bounds.schemes import SubsetScheme, mmvae
from bounds.theorems.base import Case, Theorem, at_least, equal
from bounds.theorems.cases import code_cases, law_cases, model_cases
from bounds.theorems.t0 import reference_case
from bounds.theorems.t4 import labelled
from bounds.theorems.tables import Tables, mean_log, ratio

_SAMPLES = {"k": lambda choices: choices.pick((2, 1, 3))}


def _mixture(case: Case) -> float:
    return at_least(case.ceiling("mixture-density"), case.terms.mixture_elbo)


def _mixture_identity(case: Case) -> float:
    terms = case.terms
    if not math.isfinite(terms.elbo):
        return 0.0
    return equal(terms.mixture_elbo, terms.elbo + terms.label_information)


def _mixture_sandwich(case: Case) -> float:
    """How far the ceiling lies above the latent ``(A, X_A)``, which loses ``TCw``: by ``min(TCw, H(w))``."""
    term = float(total_correlation_term(case.h, case.mixture))
    reached = labelled(case).terms
    return min(
        equal(-reached.entropy - reached.mixture_elbo, term),
        equal(case.ceiling("mixture-density") - reached.mixture_elbo, min(term, case.mixture.entropy)),
    )


def _t2_for_mixture(case: Case) -> float:
    return at_least(case.ceiling(), case.terms.mixture_elbo)


def _importances(case: Case, own: bool) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """For each subset its weight, ``q_A(z|x_A)`` and ``p_theta(x,z)`` over a density of ``z``; ``(*k, Z)`` both."""
    tables = Tables(case)
    joint = tables.model() * np.ones_like(tables.data)
    for subset, weight in case.mixture:
        q = np.broadcast_to(tables.encoder(subset), joint.shape)
        yield float(weight), q, ratio(joint, q if own else tables.mixture())


def importance_weighted(case: Case, k: int, own: bool) -> float:
    """The bound of K independent samples by enumeration of all K-tuples of latents.

    ``sum_A w_A E_{p, q_A^K} ln (1/K) sum_k p_theta(x, z_k) / q(z_k|x_A)`` with each encoder's own density ``q_A`` or the
    mixture's ``qbar`` in the denominator.
    """
    data = Tables(case).data
    total = 0.0
    for weight, q, weights in _importances(case, own):
        mass, mean = data[..., 0], np.zeros(data.shape[:-1])
        for _ in range(k):
            mass = mass[..., None] * q.reshape([*q.shape[:-1], *[1] * (mass.ndim - q.ndim + 1), q.shape[-1]])
            shape = [*q.shape[:-1], *[1] * (mean.ndim - q.ndim + 1), q.shape[-1]]
            mean = mean[..., None] + weights.reshape(shape) / k
        total += weight * mean_log(mass, mean)
    return total


def systematic(case: Case, k: int) -> float:
    """The own-density bound of K samples that one uniform number ``u`` in [0, 1/K) gives together.

    The samples are the quantiles of ``q_A`` at ``u, u + 1/K, ...``, so each by itself, in random order, has the law
    ``q_A``, and they spread as far as they can. Between two steps of the quantiles the samples stay the same.
    """
    data = Tables(case).data
    total = 0.0
    for weight, q, weights in _importances(case, own=True):
        reached = q.cumsum(axis=-1)
        ends = np.broadcast_to([0.0, 1 / k], [*q.shape[:-1], 2])
        steps = np.sort(np.concatenate([ends, reached % (1 / k)], axis=-1))
        middles = (steps[..., 1:] + steps[..., :-1]) / 2
        mean = np.zeros_like(middles)
        for j in range(k):
            latents = (reached[..., None, :-1] <= (middles + j / k)[..., None]).sum(axis=-1)
            mean += np.take_along_axis(weights, latents, axis=-1) / k
        total += weight * mean_log(data * np.diff(steps) * k, mean)
    return total


def _iwae(case: Case) -> float:
    k = int(case.settings["k"])
    return at_least(case.ceiling("iwae", k=k), max(importance_weighted(case, k, own=True), systematic(case, k)))


def _iwae_mixture(case: Case) -> float:
    k = int(case.settings["k"])
    return at_least(case.ceiling("iwae-mixture", k=k), importance_weighted(case, k, own=False))


def _t2_for_iwae(case: Case) -> float:
    return at_least(case.ceiling(), importance_weighted(case, int(case.settings["k"]), own=True))


def twin_bit_with_eight_samples() -> Case:
    """Two unseen equal bits and a latent that guesses them: with K samples the guess may be right."""
    case = reference_case("twin-bit")
    eps = 0.1
    copier = np.array([[1 - eps, eps], [eps, 1 - eps]])
    model = TabularVAE(case.vae.prior, [case.vae.decoders[0], copier, copier], case.vae.encoders)
    return Case(case.law, case.scheme, model, {"k": 8})


def twin_quarter_with_two_samples() -> Case:
    """Two unseen equal values out of four, of which each value of the latent covers a half.

    Of two systematic samples one covers the value, so of ``TC = ln 4`` only ``ln 2`` is lost.
    """
    halves = np.kron(np.eye(2), np.full((1, 2), 0.5))
    model = TabularVAE(np.full(2, 0.5), [np.ones((2, 1)), halves, halves], {0b001: np.full((1, 2), 0.5)})
    scheme = SubsetScheme({0b001: 1}, 3, label="first modality only")
    return Case(Discrete(np.eye(4)[None] / 4), scheme, model, {"k": 2})


def bits_in_three_pixels() -> Case:
    """Two fair bits, each the three pixels of one modality: ``TCw = 2 ln 2`` is above ``H(w) = ln 2``."""
    pmf = np.zeros((2,) * 6)
    for a in (0, 1):
        for b in (0, 1):
            pmf[a, a, a, b, b, b] = 0.25
    return Case(Discrete(pmf, sizes=[3, 3], units="scalar"), mmvae(2))


MIXTURE = Theorem(
    "T5.mixture",
    "Ceiling of the mixture-density ELBO",
    "With the density of the mixture of encoders in the KL, the ceiling is the T2 one raised by the entropy of the "
    "weights, and at most minus the entropy.",
    r"\mathcal{L}_{mix}\le-H(X)-[\sum_A w_A\mathrm{TC}_A-H(w)]_+",
    ("K=1", "a decoder that factorises over units"),
    "this project",
    _mixture,
    model_cases(),
    depends=("T2", "T5.identity"),
    known={"XOR of two fair bits, four codewords": lambda: reference_case("xor-mixture")},
    witness=lambda: reference_case("private-noise"),
    note="Loose where H(w) counts: no model with two subsets attains it there. T5.sandwich has the other side.",
)

SANDWICH = Theorem(
    "T5.sandwich",
    "Sandwich of the mixture-density loss",
    "The loss of the best model lies between what the ceiling leaves and the total-correlation term, which a latent that "
    "names the subset and its value loses: the ceiling is too high by at most the entropy of the weights.",
    r"[\sum_A w_A\mathrm{TC}_A-H(w)]_+\le\delta^*_{mix}\le\sum_A w_A\mathrm{TC}_A",
    ("finite alphabets",),
    "this project",
    _mixture_sandwich,
    law_cases(units=2),
    depends=("T5.mixture", "T3"),
    witness=bits_in_three_pixels,
    note="The lower end is T5.mixture. The upper end is checked by building the model.",
)

IDENTITY = Theorem(
    "T5.identity",
    "What the mixture's density adds",
    "The mixture-density ELBO exceeds the own-density one by what the latent tells about the subset, given the data.",
    r"\mathcal{L}_{mix}=\mathcal{L}_S+I(A;Z|X)",
    ("discrete data", "finite ELBO"),
    "this project",
    _mixture_identity,
    model_cases(),
    witness=lambda: reference_case("xor-mixture"),
)

T2_FOR_MIXTURE = Theorem(
    "T5.T2",
    "T2 for the mixture-density ELBO",
    "The T2 ceiling bounds the mixture-density ELBO as well.",
    r"\mathcal{L}_{mix}\le-H(X)-\sum_A w_A\mathrm{TC}_A",
    ("K=1", "a decoder that factorises over units"),
    "this project, as a mistake to be made",
    _t2_for_mixture,
    code_cases(modalities=(3,)),
    holds=False,
    known={"XOR of two fair bits, four codewords": lambda: reference_case("xor-mixture")},
    note="Never audit one objective with another's ceiling.",
)

IWAE = Theorem(
    "T5.iwae",
    "Ceiling of the importance-weighted bound, own density",
    "K samples, drawn independently or together, may hide up to (|R| - 1) ln K of the total correlation of the unseen "
    "units, and never lift the bound above minus the entropy.",
    r"\mathcal{L}_{A,K}\le-H(X)-[\mathrm{TC}_A-\max(|R|-1,0)\ln K]_+",
    ("each encoder's own density in the denominator, and each sample from it", "a decoder that factorises over units"),
    "this project",
    _iwae,
    model_cases(modalities=(2, 1), units=2, settings=_SAMPLES),
    depends=("T2",),
    known={"twin bit with eight samples": twin_bit_with_eight_samples},
    witness=twin_quarter_with_two_samples,
    note="Systematic samples attain it; loose for independent ones, of which some coincide, where the credit counts.",
)

IWAE_MIXTURE = Theorem(
    "T5.iwae-mixture",
    "Ceiling of MMVAE's objective",
    "With the mixture's density in the denominator and K > 1 samples all that holds is minus the entropy.",
    r"\mathcal{L}_{mix,K}\le-H(X)",
    ("the mixture's density in the denominator",),
    "this project",
    _iwae_mixture,
    model_cases(modalities=(2, 1), units=1, settings=_SAMPLES),
    known={"twin bit with eight samples": twin_bit_with_eight_samples},
    witness=lambda: reference_case("private-noise", {"k": 2}),
)

T2_FOR_IWAE = Theorem(
    "T5.T2-iwae",
    "T2 for the importance-weighted bound",
    "The T2 ceiling bounds the importance-weighted bound as well.",
    r"\mathcal{L}_{K}\le-H(X)-\sum_A w_A\mathrm{TC}_A",
    ("K=1",),
    "this project, as a mistake to be made",
    _t2_for_iwae,
    model_cases(modalities=(2, 1), units=2, settings={"k": lambda choices: 1}),
    without=("K = 1", code_cases((2,), units=4, best=False, settings={"k": lambda choices: choices.integer(2, 4)})),
    known={"twin bit with eight samples": twin_bit_with_eight_samples},
    witness=lambda: reference_case("twin-bit", {"k": 1}),
)


THEOREMS = (MIXTURE, SANDWICH, IDENTITY, T2_FOR_MIXTURE, IWAE, IWAE_MIXTURE, T2_FOR_IWAE)
