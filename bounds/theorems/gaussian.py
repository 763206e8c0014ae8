"""What is known in closed form for Gaussians: the gap, equicorrelated laws, and imputation (THEORY T6 to T8)."""

from __future__ import annotations

import math

import numpy as np

from bounds.ceilings import generative_discrepancy, total_correlation_term
from bounds.choices import Choices, gaussian_law
from bounds.joints import Gaussian
from bounds.schemes import mmvae
from bounds.theorems import proofs
from bounds.theorems.base import Case, Theorem, equal
from bounds.theorems.cases import alone


def latent_cases(choices: Choices) -> Case:
    """A joint Gaussian of a latent, an encoded and an unseen modality, in this order.

    Unit noise on every coordinate keeps it away from singular ones, where rounding would drown the margin.
    """
    law = gaussian_law(choices, (3,), max_size=2)
    return Case(Gaussian(law.cov / np.diagonal(law.cov).max() + np.eye(len(law.cov)), law.layout.sizes))


def _conditional(cov: np.ndarray, of: list[int], given: list[int]) -> np.ndarray:
    if not given:
        return cov[np.ix_(of, of)]
    cross = cov[np.ix_(of, given)]
    return np.asarray(cov[np.ix_(of, of)] - cross @ np.linalg.solve(cov[np.ix_(given, given)], cross.T))


def _gap(case: Case) -> float:
    """The best Gaussian encoder's gap, against the information, which is half a log-determinant."""
    assert isinstance(case.law, Gaussian)
    z, seen, unseen = (case.law.layout.variables_of_modalities(1 << m) for m in range(3))
    ratio = np.linalg.solve(_conditional(case.law.cov, z, seen + unseen), _conditional(case.law.cov, z, seen))
    gap = 0.5 * float(np.trace(ratio)) - len(z) / 2
    information = 0.5 * float(np.linalg.slogdet(ratio)[1])
    h = case.law.entropy_vector()
    exact = h[0b011] + h[0b110] - h[0b010] - h[0b111]
    scale = max(1.0, abs(exact), gap)
    return min((gap - information) / scale, equal(information / scale, exact / scale))


def two_readings() -> Case:
    """``z ~ N(0,1)``, ``x_i = z + N(0,1)``: gap .25, information (1/2) ln 1.5 = .202733."""
    return Case(Gaussian([[1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]))


def equicorrelated_cases(choices: Choices) -> Case:
    """``M`` Gaussians of one correlation ``rho >= 0``, and a subset."""
    count = choices.integer(1, 6)
    rho = choices.integer(0, 19) / 20
    law = Gaussian((1 - rho) * np.eye(count) + rho)
    return Case(law, alone(choices.integer(0, (1 << count) - 1), count), None, {"rho": rho})


def _closed_forms(case: Case) -> float:
    """``TC_A`` with ``rho_k = rho / (1 + k rho)``, and MMVAE's Delta."""
    count, rho = len(case.law.names), float(case.settings["rho"])
    (subset,) = case.mixture.weights
    k, n = subset.bit_count(), count - subset.bit_count()
    conditional = rho / (1 + k * rho)
    term = -0.5 * ((n - 1) * math.log(1 - conditional) + math.log(1 + (n - 1) * conditional)) if n else 0.0
    delta = (count - 1) / 2 * math.log(2 * math.pi * math.e)
    delta += 0.5 * ((count - 1) * math.log(1 - rho) + math.log(1 + (count - 1) * rho))
    h = case.law.entropy_vector()
    return min(
        equal(float(total_correlation_term(h, case.mixture)), term),
        equal(float(generative_discrepancy(h, mmvae(count))), delta),
    )


def slope_cases(choices: Choices) -> Case:
    """A correlation in (0, 1)."""
    return Case(Gaussian([[1.0]]), None, None, {"rho": choices.integer(1, 19) / 20})


def _term(k: float, total: int, rho: float) -> float:
    n, conditional = total - k, rho / (1 + k * rho)
    return -0.5 * ((n - 1) * math.log(1 - conditional) + math.log(1 + (n - 1) * conditional))


def _limits(case: Case) -> float:
    """At M = 10^6 MMVAE's increment is near (1/2) ln(1 + rho), and a random half of the modalities leaves near
    (1 - ln 2)/2: both within 10/M."""
    rho, m = float(case.settings["rho"]), 10**6
    increment = _term(1, m + 1, rho) * 1.0 - _term(1, m, rho)
    room = 10 / (m * rho)
    return min(
        room - abs(increment - 0.5 * math.log(1 + rho)), room - abs(_term(m / 2, m, rho) - (1 - math.log(2)) / 2)
    )


def imputation_cases(choices: Choices) -> Case:
    """Two Gaussian coordinates, a linear decoder of the second and a linear-Gaussian encoder of the first."""
    settings = {name: choices.integer(-4, 4) / 2 for name in ("slope", "gain")}
    law = gaussian_law(choices, (2,), max_size=1)
    return Case(law, None, None, {**settings, "noise": choices.integer(0, 3) / 2})


def _imputation(case: Case) -> float:
    """``E (x_2 - a z)^2 = E (E[x_2|x_1] - a z)^2 + Var(x_2|x_1)`` for ``z = c x_1 + noise``, from second moments."""
    assert isinstance(case.law, Gaussian)
    (s11, s12), (_, s22) = case.law.cov
    a, c, noise = (float(case.settings[name]) for name in ("slope", "gain", "noise"))
    left = s22 - 2 * a * c * s12 + a * a * (c * c * s11 + noise)
    beta = s12 / s11
    imputed = (beta - a * c) ** 2 * s11 + a * a * noise
    scale = max(1.0, abs(left))
    return equal(left / scale, (imputed + s22 - beta * s12) / scale)


GAP = Theorem(
    "T6.gaussian",
    "The linear-Gaussian gap is at least the information of the unseen part",
    "For a linear-Gaussian model the best encoder's gap exceeds the information, which is half a log-determinant.",
    r"\tfrac12\mathrm{tr}(P^{-1}\mathrm{Cov}(z|x_A))-\tfrac d2\ge\tfrac12\ln\det(P^{-1}\mathrm{Cov}(z|x_A))=I(Z;X_R|X_A)",
    ("data from a linear-Gaussian model",),
    "this project",
    _gap,
    latent_cases,
    known={"two readings of one latent (.25 against .202733)": two_readings},
    proof=proofs.gaussian_gap,
)

EQUICORRELATED = Theorem(
    "T8.gaussian",
    "Closed forms for equicorrelated Gaussians",
    "Delta of MMVAE and every total correlation as functions of M and the correlation.",
    r"\mathrm{TC}_A=-\tfrac12[(n-1)\ln(1-\rho_k)+\ln(1+(n-1)\rho_k)],\quad\rho_k=\tfrac{\rho}{1+k\rho}",
    ("equicorrelated Gaussian, rho >= 0, unit variance",),
    "this project",
    _closed_forms,
    equicorrelated_cases,
    proof=proofs.gaussian_forms,
)

LIMITS = Theorem(
    "T8.limits",
    "How the irreducible loss grows with M",
    "For equicorrelated Gaussians MMVAE's loss grows by (1/2) ln(1 + rho) a modality, MoPoE's tends to (1 - ln 2)/2.",
    r"\mathrm{TC}_w^{MMVAE}(M+1)-\mathrm{TC}_w^{MMVAE}(M)\to\tfrac12\ln(1+\rho),\quad\mathrm{TC}_w^{MoPoE}\to\tfrac{1-\ln2}{2}",
    ("equicorrelated Gaussian, rho in (0, 1)",),
    "this project",
    _limits,
    slope_cases,
    depends=("T8.gaussian",),
    proof=proofs.gaussian_limits,
    note="MoPoE's sizes concentrate at M/2 (Hoeffding), where the term is checked; the limit is not a bound.",
)

IMPUTATION = Theorem(
    "T7.imputation",
    "Imputation identity",
    "Training a K=1 mixture VAE with Gaussian noise is training a VAE on data imputed by conditional means, up to a "
    "constant.",
    r"\mathcal{L}_S=\sum_A w_A\mathbb{E}\,\mathrm{ELBO}(\hat x_A)-\sum_A w_A\sum_{m\notin A}\mathbb{E}\mathrm{Var}(X_m|X_A)/2\sigma_m^2",
    ("Gaussian decoder with fixed variance",),
    "this project",
    _imputation,
    imputation_cases,
    proof=proofs.imputation,
)

THEOREMS = (GAP, EQUICORRELATED, LIMITS, IMPUTATION)
