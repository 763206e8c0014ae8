"""Why an evaluation may be above its ceilings: faults ranked by how well they fit which checks fail, and by how much.

A fault raises some terms and leaves others alone, so the checks that fail tell faults apart: a KL that is too small
raises what a subset says of itself, never what it says of unseen columns. Two bounds on ``log p(x)`` that are not the
K=1 ELBO can exceed T2 but not ``-H(X)``. The ranking is a guide for where to look and proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bounds.checks import Check

#: Likelihood constant of one Gaussian variable, the one most often left out.
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
#: Objectives that ``-H(X)`` does not bound: sums of ELBOs, multiplied terms, no bound on ``log p(x)``.
_NO_EVIDENCE = ("beta", "rescaled", "sub-sampled", "mvtcae")
#: Objectives that already have the mixture's density in the KL.
_MIXTURE = ("mixture-density", "iwae-mixture")


@dataclass(frozen=True)
class Facts:
    """What the checks and the terms show.

    Attributes:
        checks: all of them.
        kind: of the log-likelihoods.
        weights: subset to weight, for subsets.
        kls: subset to mean KL, empty where only whole objectives are known.
        sizes: column to the number of variables in it, for those that have several.
        unseen: subset and column to mean log-likelihood, for columns outside the subset.
        seen: column to the highest mean log-likelihood of a subset that sees it.
        entropy: ``H(X)``, or None where it has no value.
        objective: mean of the objective.
        name: of the objective.
    """

    checks: Sequence[Check]
    kind: str
    weights: Mapping[int, float]
    kls: Mapping[int, float]
    sizes: Mapping[str, int]
    unseen: Mapping[tuple[int, str], float]
    seen: Mapping[str, float]
    entropy: float | None
    objective: float
    name: str = "own-density"

    def size(self, check: Check) -> int:
        """The number of variables in the column of a check."""
        return self.sizes.get(check.column or "", 1)

    def excess(self, kind: str) -> list[Check]:
        """Violated checks of a kind."""
        return [check for check in self.checks if check.kind == kind and check.verdict == "violated"]

    @property
    def failing(self) -> set[str]:
        """Which of the checks of terms fail."""
        return {kind for kind in ("seen", "unseen", "kl", "probability") if self.excess(kind)}

    @property
    def beyond_evidence(self) -> bool:
        """Whether the objective is above ``-H(X)``, which no bound on ``log p(x)`` is on average."""
        if self.entropy is None or self.name in _NO_EVIDENCE:
            return False
        tops = [check for check in self.checks if check.kind == "objective"]
        return any(self.objective + self.entropy > check.allowance for check in tops)


@dataclass(frozen=True)
class Cause:
    """A fault that would explain a violation. ``fit`` in [0, 1] orders causes; it is no probability."""

    name: str
    fit: float
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name} (fit {self.fit:.2f}): {self.why}; {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "fit": self.fit, "why": self.why, "remedy": self.remedy}


@dataclass(frozen=True)
class _Fault:
    """``raises``: the checks that it can make fail; ``evidence``: 0 to 1, how well the amounts fit, with the reason."""

    name: str
    raises: frozenset[str]
    evidence: Callable[[Facts], tuple[float, str]]
    remedy: str


def likely_causes(facts: Facts, most: int = 5) -> tuple[Cause, ...]:
    """The faults that fit, best first; none where nothing is violated."""
    if not any(check.verdict == "violated" for check in facts.checks):
        return ()
    found = []
    for fault in _FAULTS:
        amount, why = fault.evidence(facts)
        # a fault cannot explain a check that it does not raise; checks that it could raise need not fail
        failing = facts.failing
        explained = len(failing & fault.raises) / len(failing) if failing else 1.0
        touched = len(failing & fault.raises) / len(fault.raises) if failing else 0.5
        fit = amount * explained**2 * (0.5 + 0.5 * touched)
        if fit > 0:
            found.append(Cause(fault.name, round(fit, 4), why, fault.remedy))
    return tuple(sorted(found, key=lambda cause: -cause.fit)[:most])


def _missing_constant(facts: Facts) -> tuple[float, str]:
    if facts.kind != "differential":
        return 0.0, ""
    amounts = [(_above(c) - 4 * c.standard_error) / (HALF_LOG_2PI * facts.size(c)) for c in _columns(facts)]
    if not amounts:
        return 0.5, "likelihoods are densities"
    worst = max(amounts)
    why = f"unseen log-likelihoods are too high by up to {worst:.2f} of (1/2) ln 2 pi a variable"
    return (1.0 if worst <= 1.02 else 0.35), why


def _columns(facts: Facts) -> list[Check]:
    return [check for check in facts.excess("unseen") if check.column is not None]


def _above(check: Check) -> float:
    """By how much a violated check is above its ceiling, which it has."""
    assert check.margin is not None
    return check.margin


def _mean_over_units(facts: Facts) -> tuple[float, str]:
    checks = _columns(facts)
    # within four standard errors
    ratios = [c.ceiling / ((c.value - 4 * c.standard_error) * facts.size(c)) for c in checks if c.ceiling and c.value]
    several = any(size > 1 for size in facts.sizes.values())
    if not several:
        return 0.0, ""
    if not ratios:
        return 0.4, "modalities have several units"
    # multiplied by the number of units the log-likelihood must be at or below its ceiling, and near it
    worst = max(ratios)
    only = all(facts.size(c) > 1 for c in checks)
    why = f"times the number of units, log-likelihoods would be {'within' if worst <= 1.02 else 'above'} their ceilings"
    return (1.0 if worst <= 1.02 and only else 0.2), why


def _rescaled_likelihood(facts: Facts) -> tuple[float, str]:
    ratios = [c.ceiling / c.value for c in _columns(facts) if c.value and c.ceiling]
    if ratios and (min(ratios) <= 0 or max(ratios) / min(ratios) > 1.5):
        return 0.3, "columns would need different factors"
    if not ratios:
        return 0.3, "a likelihood multiplied by less than one"
    fit = 0.8 if "seen" in facts.failing else 0.55  # it raises seen log-likelihoods too
    return fit, f"a factor of at most {1 / max(ratios):.2f} on all log-likelihoods"


def _mixture_kl(facts: Facts) -> tuple[float, str]:
    if len(facts.weights) < 2 or facts.beyond_evidence or facts.name in (*_NO_EVIDENCE, *_MIXTURE):
        return 0.0, ""
    over = [_above(c) + math.log(facts.weights[c.subset or 0]) for c in facts.excess("seen")]
    if not facts.kls:
        return 0.6, "above T2 and not above -H(X), as the mixture's density in the KL would do"
    if over and max(over) > 0.02:
        return 0.0, ""
    return 0.9, "each subset's KL is too small by no more than ln(1/weight), and the objective is not above -H(X)"


def _beta_left_in(facts: Facts) -> tuple[float, str]:
    factors = [
        facts.kls[c.subset or 0] / (facts.kls[c.subset or 0] + _above(c))
        for c in facts.excess("seen")
        if facts.kls[c.subset or 0] > 0
    ]
    if not facts.kls or not factors:
        return (0.3, "a KL multiplied by less than one") if not facts.kls else (0.0, "")
    spread = max(factors) / min(factors)
    why = f"the KLs would be right after division by at most {max(factors):.2f}"
    return (0.85 if spread < 1.5 else 0.5), why


def _no_kl(facts: Facts) -> tuple[float, str]:
    gone = bool(facts.kls) and all(abs(kl) < 1e-9 for kl in facts.kls.values())
    return (1.0, "every KL is zero") if gone else (0.0, "")


def _iwae(facts: Facts) -> tuple[float, str]:
    if facts.beyond_evidence or facts.kls or facts.name in _NO_EVIDENCE:
        return 0.0, ""
    return 0.9, "above the K=1 ceiling and not above -H(X), where importance-weighted bounds may be"


def _training_data(facts: Facts) -> tuple[float, str]:
    both = {"seen", "unseen"} <= facts.failing
    if both:
        return 0.7, "seen and unseen parts are both too high, as for examples that the model has memorised"
    fit = 0.75 if "unseen" in facts.failing else 0.4  # seen symbols are fewer than their combinations
    return fit, "a model that has memorised its examples exceeds every ceiling of their law"


def _kl_sign(facts: Facts) -> tuple[float, str]:
    negative = [kl for kl in facts.kls.values() if kl < 0]
    if not negative:
        return 0.0, ""
    surely = 1.0 if facts.excess("kl") else 0.9
    return surely, f"a mean KL is {min(negative):.4f}"


def _full_encoder(facts: Facts) -> tuple[float, str]:
    checks = _columns(facts)
    if not checks:
        return 0.0, ""
    if all(abs(c.value) < 1e-9 for c in checks):
        return 0.2, "unseen columns are predicted as if they were seen"
    gaps = [abs(c.value - facts.seen[c.column or ""]) for c in checks if c.column in facts.seen]
    if not gaps:
        return 0.5, "unseen columns are predicted better than the seen ones allow"
    same = max(gaps) <= 4 * max(c.standard_error for c in checks) + 1e-6
    return (
        (1.0, "unseen columns have the log-likelihood of seen ones")
        if same
        else (0.7, "unseen columns are predicted better than the seen ones allow")
    )


def _left_out(facts: Facts) -> tuple[float, str]:
    checks = _columns(facts)
    gone = [c for c in checks if abs(c.value) < 1e-9]
    if checks and len(gone) == len(checks):
        return 1.0, "the log-likelihood of every offending unseen column is zero"
    if not facts.kls and facts.beyond_evidence:
        return 0.6, "the objective is above -H(X)"
    return 0.0, ""


def _not_sampled(facts: Facts) -> tuple[float, str]:
    if any(kl < 0 for kl in facts.kls.values()):
        return 0.2, "the seen part is higher than a latent with this KL can carry"
    if not facts.kls:
        return 0.35, "a latent that is not sampled costs what it does not pay for"
    return 0.75, "the seen part is higher than a latent with this KL can carry"


def _density(facts: Facts) -> tuple[float, str]:
    return (1.0, "a probability is above one") if facts.excess("probability") else (0.0, "")


_ANY = frozenset({"seen", "unseen"})
_SEEN = frozenset({"seen"})
_UNSEEN = frozenset({"unseen"})
_FAULTS = (
    _Fault(
        "KL sign",
        frozenset({"kl", "seen"}),
        _kl_sign,
        "report KL(q || p) = E[ln q(z|x) - ln p(z)], which is not negative on average",
    ),
    _Fault(
        "density reported as a probability",
        frozenset({"probability", "seen", "unseen"}),
        _density,
        "integrate the density over the width of a bin, or audit against a continuous law",
    ),
    _Fault(
        "missing normalising constant",
        _ANY,
        _missing_constant,
        "add the constant of the density, -(1/2) ln(2 pi s^2) for each Gaussian variable",
    ),
    _Fault("mean instead of sum over units", _ANY, _mean_over_units, "sum log-likelihoods over units"),
    _Fault("likelihood rescaling left in", _ANY, _rescaled_likelihood, "evaluate with all multipliers at 1"),
    _Fault(
        "unseen modalities left out",
        _UNSEEN,
        _left_out,
        "score all modalities with every subset's latent, or audit MVAE's sum of ELBOs as 'sub-sampled'",
    ),
    _Fault(
        "subset evaluated with the full set's encoder",
        _UNSEEN,
        _full_encoder,
        "encode with q_A(z|x_A), and hide the other modalities from it",
    ),
    _Fault("KL left out", _SEEN, _no_kl, "subtract KL(q_A || p)"),
    _Fault(
        "mixture density in the KL",
        _SEEN,
        _mixture_kl,
        "use each encoder's own density, or audit as 'mixture-density'",
    ),
    _Fault(
        "beta left in the KL", _SEEN, _beta_left_in, "evaluate with beta = 1, and sum the KL over latent dimensions"
    ),
    _Fault(
        "latent not sampled",
        _SEEN,
        _not_sampled,
        "draw z from q_A in evaluation mode too, and do not take its mean",
    ),
    _Fault("IWAE reported as ELBO", _SEEN, _iwae, "evaluate with one sample, or audit as 'iwae' with its k"),
    _Fault("training data", _ANY, _training_data, "evaluate on examples that the model was not trained or selected on"),
)
