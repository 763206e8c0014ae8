"""The gap at a fixed decoder (THEORY T6)."""

from __future__ import annotations

import numpy as np

from bounds.choices import Choices
from bounds.finite import TabularVAE
from bounds.functional import I
from bounds.joints import Discrete
from bounds.lattice import marginal_entropy
from bounds.schemes import SubsetScheme
from bounds.subsets import default_names, members
from bounds.theorems.base import Case, Theorem, equal
from bounds.theorems.cases import model_cases
from bounds.theorems.tables import Tables, log, log_sum, mean_difference, ratio


def own_data_cases(choices: Choices) -> Case:
    """A finite model, data drawn from it, and the first modality encoded."""
    latents = choices.integer(2, 3)
    prior, decoders = choices.laws([latents]), [choices.laws([latents, choices.integer(1, 3)])]
    decoders.append(choices.laws([latents, choices.integer(2, 3)]))
    encoder = choices.laws([decoders[0].shape[1], latents])
    return _own_data(prior, decoders, encoder)


def _own_data(prior: np.ndarray, decoders: list[np.ndarray], encoder: np.ndarray) -> Case:
    pmf = np.einsum("z,zi,zj->ij", prior, *decoders)
    model = TabularVAE(prior, decoders, {0b01: encoder})
    return Case(Discrete(pmf), SubsetScheme({0b01: 1}, 2, label="first modality only"), model)


def rare_event() -> Case:
    """``x_A`` trivial, ``x_R = 0`` with probability .9, ``p(z=1|x_R)`` .01 and .5: the gap is below the information."""
    joint = np.array([[0.9 * 0.99, 0.1 * 0.5], [0.9 * 0.01, 0.1 * 0.5]])  # (z, x_R)
    prior = joint.sum(axis=1)
    return _own_data(prior, [np.ones((2, 1)), joint / prior[:, None]], prior[None])


def _smallest_gap(case: Case) -> float:
    """``min_{q_A} E KL(q_A || p_theta(z|x))``, in closed form."""
    tables = Tables(case)
    joint, known = tables.log_model(), tables.marginal(tables.data, (0,))
    given = ratio(tables.data, known)
    with np.errstate(invalid="ignore"):  # where x has no probability
        exponents = np.where(given > 0, given * (joint - log_sum(joint)), 0.0).sum(axis=1, keepdims=True)
    return -mean_difference(known, log_sum(exponents), np.zeros(1))


def _information(case: Case) -> float:
    """``I(Z;X_R|X_A)`` under the model."""
    joint, names = Tables(case).model(), default_names(3)
    functional = I(names, 0b100, 0b010, 0b001)
    return sum(float(c) * marginal_entropy(joint, members(mask)) for mask, c in functional.coefficients.items())


def _reverse(case: Case) -> float:
    return _smallest_gap(case) - _information(case)


def _forward(case: Case) -> float:
    """The forward divergence of any encoder against the information, and of the exact posterior equal to it."""
    tables = Tables(case)
    joint, mass = tables.log_model(), tables.model()
    evidence, information = log_sum(joint), _information(case)
    seen, seen_evidence = log_sum(joint, axis=1), log_sum(joint, axis=(1, 2))
    of_any = mean_difference(mass, joint, evidence + log(tables.encoder(0b01)))
    of_best = mean_difference(mass, joint + seen_evidence, evidence + seen)
    return float(np.min([of_any - information, equal(of_best, information)]))


def _gap(case: Case) -> float:
    """``E log p(x) - L_A = E KL(q_A || p_theta(z|x))`` for any data."""
    tables = Tables(case)
    joint = tables.log_model()
    evidence = log_sum(joint)
    margins = [0.0]
    for subset in case.terms.subsets:
        if np.isfinite(subset.elbo):
            q = tables.encoder(subset.subset)
            mismatch = mean_difference(tables.data * q, log(q) + evidence, joint)
            margins.append(equal(mismatch, case.terms.evidence - subset.elbo))
    return float(np.min(margins))  # NaN, if one is: a violation


GAP = Theorem(
    "T6",
    "The gap is a posterior mismatch",
    "At a fixed decoder the gap of a subset is the divergence of its encoder from the posterior of the whole.",
    r"\mathbb{E}\log p_\theta(x)-\mathcal{L}_A=\mathbb{E}\,\mathrm{KL}(q_A\|p_\theta(z|x))",
    ("finite ELBO",),
    "this project",
    _gap,
    model_cases(modalities=(2, 1, 3), units=1),
    witness=rare_event,
)

INFORMATION = Theorem(
    "T6.information",
    "The smallest gap is at least the information of the unseen part",
    "No encoder of a subset has a gap below what the unseen part tells about the latent given the seen one.",
    r"\min_{q_A}\mathbb{E}\,\mathrm{KL}(q_A\|p_\theta(z|x))\ge I(Z;X_R|X_A)",
    ("data from the model",),
    "this project, as a plausible generalisation of the linear-Gaussian case",
    _reverse,
    own_data_cases,
    holds=False,
    known={"rare event (gap .062494, information .104491)": rare_event},
    note="It holds for linear-Gaussian models, see T6.gaussian.",
)

FORWARD = Theorem(
    "T6.forward",
    "The forward divergence is at least the information of the unseen part",
    "With the divergence the other way round the bound holds, and the posterior given the seen part attains it.",
    r"\min_{q_A}\mathbb{E}\,\mathrm{KL}(p_\theta(z|x)\|q_A)=I(Z;X_R|X_A)",
    ("data from the model",),
    "this project",
    _forward,
    own_data_cases,
    witness=lambda: rare_event(),
)

THEOREMS = (GAP, INFORMATION, FORWARD)
