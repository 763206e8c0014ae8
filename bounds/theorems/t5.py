"""Other objectives: which ceilings hold for them, and where T2 fails (THEORY T5)."""

from __future__ import annotations

import math

import numpy as np

from bounds.ceilings import elbo_ceiling
from bounds.theorems.base import Case, Theorem, at_least, equal
from bounds.theorems.cases import code_cases, model_cases
from bounds.theorems.t0 import reference_case
from bounds.theorems.tables import Tables, mean_log, ratio

_SAMPLES = {"k": lambda choices: choices.pick((2, 1, 3))}


def _mixture(case: Case) -> float:
    return at_least(float(elbo_ceiling(case.h, case.mixture, "mixture-density")), case.terms.mixture_elbo)


def _mixture_identity(case: Case) -> float:
    terms = case.terms
    if not math.isfinite(terms.elbo):
        return 0.0
    return equal(terms.mixture_elbo, terms.elbo + terms.label_information)


def _t2_for_mixture(case: Case) -> float:
    return at_least(float(elbo_ceiling(case.h, case.mixture)), case.terms.mixture_elbo)


def importance_weighted(case: Case, k: int, own: bool) -> float:
    """The K-sample bound by enumeration of all K-tuples of latents.

    ``sum_A w_A E_{p, q_A^K} ln (1/K) sum_k p_theta(x, z_k) / q(z_k|x)`` with each encoder's own density ``q_A`` or the
    mixture's ``qbar`` in the denominator.
    """
    tables = Tables(case)
    total = 0.0
    for subset, weight in case.mixture:
        q = np.broadcast_to(tables.encoder(subset), [*tables.data.shape[:-1], tables.model().shape[-1]])
        density = q if own else tables.mixture()
        weights = ratio(tables.model() * np.ones_like(q), density)
        mass, mean = tables.data[..., 0], np.zeros(tables.data.shape[:-1])
        for _ in range(k):
            mass = mass[..., None] * q.reshape([*q.shape[:-1], *[1] * (mass.ndim - q.ndim + 1), q.shape[-1]])
            shape = [*q.shape[:-1], *[1] * (mean.ndim - q.ndim + 1), q.shape[-1]]
            mean = mean[..., None] + weights.reshape(shape) / k
        total += float(weight) * mean_log(mass, mean)
    return total


def _iwae(case: Case, own: bool) -> float:
    k = int(case.settings["k"])
    name = "iwae" if own else "iwae-mixture"
    return at_least(float(elbo_ceiling(case.h, case.mixture, name, k=k)), importance_weighted(case, k, own))


def _t2_for_iwae(case: Case) -> float:
    k = int(case.settings["k"])
    return at_least(float(elbo_ceiling(case.h, case.mixture)), importance_weighted(case, k, own=True))


def twin_bit_with_eight_samples() -> Case:
    """Two unseen equal bits and a latent that guesses them: with K samples the guess may be right."""
    case = reference_case("twin-bit")
    assert case.model is not None
    eps = 0.1
    copier = np.array([[1 - eps, eps], [eps, 1 - eps]])
    model = type(case.model)(case.model.prior, [case.model.decoders[0], copier, copier], case.model.encoders)
    return Case(case.law, case.scheme, model, {"k": 8})


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
    "K samples may hide up to (|R| - 1) ln K of the total correlation of the unseen units, and never lift the bound above "
    "minus the entropy.",
    r"\mathcal{L}_{A,K}\le-H(X)-[\mathrm{TC}_A-\max(|R|-1,0)\ln K]_+",
    ("each encoder's own density in the denominator", "a decoder that factorises over units"),
    "this project",
    lambda case: _iwae(case, own=True),
    model_cases(modalities=(2, 1), units=2, settings=_SAMPLES),
    depends=("T2",),
    known={"twin bit with eight samples": twin_bit_with_eight_samples},
    witness=lambda: reference_case("private-noise", {"k": 2}),
)

IWAE_MIXTURE = Theorem(
    "T5.iwae-mixture",
    "Ceiling of MMVAE's objective",
    "With the mixture's density in the denominator and K > 1 samples all that holds is minus the entropy.",
    r"\mathcal{L}_{mix,K}\le-H(X)",
    ("the mixture's density in the denominator",),
    "this project",
    lambda case: _iwae(case, own=False),
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


THEOREMS = (MIXTURE, IDENTITY, T2_FOR_MIXTURE, IWAE, IWAE_MIXTURE, T2_FOR_IWAE)
