"""The exact loss of given encoders (THEORY T3)."""

from __future__ import annotations

from bounds.finite import optimal_decoders
from bounds.theorems.base import Case, Theorem, at_least, equal
from bounds.theorems.cases import model_cases
from bounds.theorems.t0 import reference_case


def _optimum(case: Case) -> float:
    return at_least(case.terms.best_elbo, case.terms.elbo)


def _attained(case: Case) -> float:
    best = Case(case.law, case.mixture, optimal_decoders(case.table, case.mixture, case.vae.encoders))
    return equal(best.objective(), case.terms.best_elbo)


OPTIMUM = Theorem(
    "T3",
    "The best ELBO of given encoders",
    "No decoder and prior exceed minus the sum of the data's entropy, the total correlation of the units given the "
    "latent, and what the latent tells about the subset that was encoded.",
    r"\sup_{\theta}\mathcal{L}_S=-[H(X)+\mathrm{TC}(X|Z)+I(A;Z|X)]",
    ("discrete data", "finite latent"),
    "this project",
    _optimum,
    model_cases(),
    witness=lambda: reference_case("xor-mixture"),
)

ATTAINED = Theorem(
    "T3.attained",
    "The aggregated decoders attain it",
    "The aggregated prior and unit decoders reach the supremum.",
    r"p_\theta(z)=\bar p(z),\ p_\theta(x_m|z)=\bar p(x_m|z)\ \Rightarrow\ \mathcal{L}_S=-[H(X)+\mathrm{TC}(X|Z)+I(A;Z|X)]",
    ("discrete data", "finite latent"),
    "this project",
    _attained,
    model_cases(),
    depends=("T3",),
    witness=lambda: reference_case("private-noise"),
)

THEOREMS = (OPTIMUM, ATTAINED)
