"""What the theory claims about an exactly evaluated model, claim by claim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from bounds.ceilings import distortion_floor, elbo_ceiling, entropy, generative_discrepancy
from bounds.elbo import Inequality, MixtureTerms
from bounds.finite import elbo_terms
from bounds.quantity import Quantity
from bounds.reference import ReferenceModel


@dataclass(frozen=True)
class Claim:
    """An inequality about one model, and whether the theory says that it holds."""

    name: str
    statement: str
    inequality: Inequality
    proved: bool
    source: str


@dataclass(frozen=True)
class Evaluation:
    """A reference model's exact terms beside the ceilings that apply to it."""

    reference: ReferenceModel
    terms: MixtureTerms
    ceilings: tuple[Quantity, ...]
    claims: tuple[Claim, ...]

    @property
    def violated(self) -> tuple[Claim, ...]:
        """Proved inequalities that do not hold: a bug."""
        return tuple(claim for claim in self.claims if claim.proved and not claim.inequality.holds)

    def values(self) -> dict[str, float]:
        """The terms by name, in nats."""
        terms = self.terms
        return {
            "elbo": terms.elbo,
            "mixture_elbo": terms.mixture_elbo,
            "evidence": terms.evidence,
            "gap": terms.gap,
            "subset_evidence": terms.subset_evidence,
            "distortion": terms.distortion,
            "kl": terms.kl,
            "slack": terms.slack,
            "latent_total_correlation": terms.latent_total_correlation,
            "label_information": terms.label_information,
            "best_elbo": terms.best_elbo,
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, in nats; infinities and NaN are strings."""
        return {
            "name": self.reference.name,
            "story": self.reference.story,
            "source": self.reference.source,
            "scheme": self.reference.scheme.label,
            "terms": {name: _json_number(value) for name, value in self.values().items()},
            "ceilings": {ceiling.name: ceiling.to_dict() for ceiling in self.ceilings},
            "inequalities": {
                claim.name: {
                    "statement": claim.statement,
                    "left": _json_number(claim.inequality.left),
                    "right": _json_number(claim.inequality.right),
                    "holds": claim.inequality.holds,
                    "proved": claim.proved,
                    "source": claim.source,
                }
                for claim in self.claims
            },
        }


def evaluate(reference: ReferenceModel) -> Evaluation:
    """The exact terms of a reference model and every inequality that is claimed of them."""
    terms = elbo_terms(reference.model, reference.law, reference.scheme)
    h, scheme = reference.law.unit_entropies(), reference.scheme
    own, mixture = elbo_ceiling(h, scheme), elbo_ceiling(h, scheme, "mixture-density")
    floor = distortion_floor(h, scheme)
    claims = (
        Claim("quoted", "E log p(x) >= L_S + Delta", terms.quoted, False, "T0, as usually quoted"),
        Claim("repaired", "sum_A w_A E log p(x_A) >= L_S + distortion floor", terms.repaired, True, "T0, the repair"),
        Claim("evidence", "E log p(x) >= L_S", Inequality(terms.evidence, terms.elbo), True, "Jensen"),
        Claim("distortion", "D_S >= distortion floor", Inequality(terms.distortion, float(floor)), True, "T1"),
        Claim("own-density", "T2 ceiling >= L_S", Inequality(float(own), terms.elbo), True, "T2"),
        Claim("mixture-density", "T5 ceiling >= L_mix", Inequality(float(mixture), terms.mixture_elbo), True, "T5"),
        Claim(
            "wrong-objective", "T2 ceiling >= L_mix", Inequality(float(own), terms.mixture_elbo), False, "T5, not T2"
        ),
    )
    ceilings = (entropy(h), generative_discrepancy(h, scheme), floor, own, mixture)
    return Evaluation(reference, terms, ceilings, claims)


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
