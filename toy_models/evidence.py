"""Estimates of ln p(x): by importance sampling, and whether somebody's estimate can be what it says.

On average over the law of the examples no model has more evidence than ``-H(X)``, and none has more than the law's own
density: ``E[ln p_theta(x) - ln p(x)] = -KL(p || p_theta)``. An estimate above either has a wrong constant, another
scale, other examples or a mistake.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from bounds.checks import Check, Verdict, judged
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.evaluation import MIN_EXAMPLES
from bounds.formulas import joint_entropy
from bounds.joints import Discrete, Law, real_array
from bounds.progress import Track, no_progress
from bounds.quantity import Quantity
from bounds.rare_events import RareEvents
from bounds.reported_terms import Combination, ExampleTerms
from bounds.schemes import SubsetScheme
from toy_models.auditable import Auditable, AuditableModel, Data, Examples, check_honest, device_of, evaluation_copy
from toy_models.evaluate import BATCH
from toy_models.latent_points import random_points

#: Probability that :func:`check_log_evidence` finds fault with a right estimate.
FALSE_ALARMS = 1e-4


@dataclass(frozen=True, eq=False)
class LogEvidence:
    """Importance-sampled ``ln p(x)`` of each example, in nats.

    The mean of the weights has the expectation ``p(x)``, so its logarithm is below ``ln p(x)`` in expectation, by about
    half its squared standard error. Where ``standard_error`` is not far below one, both are too optimistic: weights
    that matter may not have been drawn.

    Attributes:
        value: ``(N,)``, log-mean-exp of the weights.
        standard_error: ``(N,)``, of the value by the draws.
        draws: for each example.
    """

    value: np.ndarray
    standard_error: np.ndarray
    draws: int

    @property
    def bias(self) -> np.ndarray:
        """``(N,)``: minus half the squared standard error, to first order in ``1/draws``."""
        return np.asarray(-0.5 * self.standard_error**2)

    @property
    def mean(self) -> float:
        """Over examples."""
        return float(self.value.mean())

    @property
    def mean_standard_error(self) -> float:
        """Of the mean over examples, the noise of the draws in it."""
        return float(self.value.std(ddof=1) / math.sqrt(len(self.value)))

    def __str__(self) -> str:
        return (
            f"E ln p(x) = {self.mean:.4f} +- {self.mean_standard_error:.4f} nats ({len(self.value)} examples, "
            f"{self.draws} draws, biased by about {float(self.bias.mean()):.2g})"
        )


def log_evidence(
    model: AuditableModel,
    x: Data,
    proposal: int | SubsetScheme,
    generator: torch.Generator,
    *,
    draws: int = 1000,
    batch_size: int = BATCH,
    modalities: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    track: Track = no_progress,
) -> LogEvidence:
    """``ln p(x)`` of each example by importance sampling, in float64 on a copy of the model.

    Args:
        model, x, generator, batch_size, modalities, columns, track: as for :func:`toy_models.evaluate.evaluate`.
        proposal: what the latents are drawn from: the posterior of a subset (bitmask), or the mixture of a scheme's
            posteriors. Each takes a fixed number of draws near its share, and the weights have the density of the
            mixture with these shares, so that their mean is unbiased.
        draws: at least, for each example.

    Raises:
        InputError: as for ``evaluate``.
    """
    if draws < 2:
        raise InputError(f"draws={draws}: give at least 2, a standard error needs them")
    n_modalities = proposal.n_modalities if isinstance(proposal, SubsetScheme) else len(x)
    shares = {proposal: 1.0} if isinstance(proposal, int) else {s: float(w) for s, w in proposal}
    total = math.fsum(shares.values())
    counts = {subset: max(2, math.ceil(draws * share / total)) for subset, share in shares.items()}
    drawn = sum(counts.values())
    with torch.no_grad():
        examples = Examples.of(x, n_modalities)
        names = examples.names(modalities)
        copied = evaluation_copy(model)
        device = device_of(copied, examples)
        asked = Auditable(copied, names, names if columns is None else tuple(columns))
        check_honest(asked, examples.probe().to(device), list(counts), generator)
        size = max(1, batch_size // drawn)
        starts = range(0, examples.n, size)
        parts = [
            _log_mean_weight(asked, examples.rows(start, start + size).to(device), counts, batch_size, generator)
            for start in track(starts, "evidence", len(starts))
        ]
    value, error = (torch.cat(side).cpu().numpy() for side in zip(*parts, strict=True))
    return LogEvidence(value, error, drawn)


def _log_mean_weight(
    asked: Auditable, x: Examples, counts: dict[int, int], batch_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """``(N,)`` log of the mean weight, and its standard error to first order."""
    laws = {subset: asked.posterior(x, subset) for subset in counts}
    drawn = sum(counts.values())
    logs = []
    for subset, count in counts.items():
        z = random_points(laws[subset], count, "draws", generator).z
        found = [
            _log_joint(asked, x, part, subset) - _log_mixture(laws, counts, part)
            for part in z.split(max(1, batch_size // x.n))
        ]
        logs.append(torch.cat(found))
    top = reduce(torch.maximum, [log.amax(0) for log in logs])
    weights = [torch.exp(log - top) for log in logs]
    mean = torch.stack([weight.sum(0) for weight in weights]).sum(0) / drawn
    variance = torch.stack([len(weight) * weight.var(0) for weight in weights]).sum(0) / drawn**2
    return top + torch.log(mean), torch.sqrt(variance) / mean


def _log_joint(asked: Auditable, x: Examples, z: Tensor, subset: int) -> Tensor:
    return asked.log_likelihood(x, z, subset).double().sum(-1) + asked.prior().log_prob(z)


def _log_mixture(laws: dict[int, Distribution], counts: dict[int, int], z: Tensor) -> Tensor:
    drawn = sum(counts.values())
    each = [laws[subset].log_prob(z) + math.log(count / drawn) for subset, count in counts.items()]
    return torch.logsumexp(torch.stack(each), dim=0)


@dataclass(frozen=True, eq=False)
class EvidenceCheck:
    """What is wrong with somebody's ``ln p(x)``, if anything.

    Attributes:
        verdict: ``violated`` if a check is, else that of the last, which is about the same mean with the least noise.
        checks: the mean against ``-H(X)``, and against the law's own density on the same examples.
        mean_difference: mean of the estimates minus the law's log-density, where that was given.
        false_alarms: probability that a right estimate is found at fault, over both checks.
    """

    verdict: Verdict
    checks: tuple[Check, ...]
    mean_difference: float | None
    false_alarms: float

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.verdict}: false alarms at most {self.false_alarms:g}", *(f"  {c}" for c in self.checks)]
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, in nats."""
        return {
            "verdict": self.verdict,
            "unit": "nats",
            "false_alarms": self.false_alarms,
            "mean_difference": self.mean_difference,
            "checks": [check.to_dict() for check in self.checks],
        }


def check_log_evidence(
    estimates: np.ndarray | Sequence[float],
    reference: Law | EntropyVector,
    *,
    log_density: np.ndarray | Sequence[float] | None = None,
    false_alarms: float = FALSE_ALARMS,
    size: float = 0.1,
) -> EvidenceCheck:
    """Whether estimates of a model's ``ln p(x)`` on held-out examples can be honest.

    Args:
        estimates: ``(N,)``, of each example, in nats, of all modalities and with all constants. An honest estimate is
            at most ``ln p(x)`` on average.
        reference: the law of the examples, or entropies with intervals.
        log_density: ``(N,)``, the law's own ``ln p(x)`` of the same examples, where it is known. The difference varies
            much less than the estimates, so a fault shows with fewer examples.
        false_alarms: probability that a right estimate is found at fault.
        size: excess in nats that must be detectable, or the verdict is ``undecided``.

    Raises:
        InputError: other shapes, NaN, fewer than :data:`bounds.evaluation.MIN_EXAMPLES` examples, no ``H(X)``.

    >>> from bounds import Gaussian
    >>> x = np.random.default_rng(0).normal(size=4000)
    >>> right = -0.5 * (math.log(2 * math.pi) + x**2)
    >>> law = Gaussian([[1.0]])
    >>> check_log_evidence(right, law, log_density=right).verdict
    'consistent'
    >>> check_log_evidence(-0.5 * x**2, law, log_density=right).verdict  # without (1/2) ln 2 pi
    'violated'
    """
    if not 0 < false_alarms < 0.5:
        raise InputError(f"false_alarms={false_alarms}: give a probability below 0.5, such as 1e-4")
    found = _numbers("estimates", estimates)
    h = reference if isinstance(reference, EntropyVector) else reference.entropy_vector()
    level = false_alarms if log_density is None else false_alarms / 2
    known = h.interval is None
    top = h.evaluate(-joint_entropy(h), name="-H(X)", theorem="T2", confidence=1 - level / 2)
    values = math.log(reference.modality_pmf.size) if isinstance(reference, Discrete) else -math.inf
    rare = RareEvents(reach=values)
    checks = [_check("E ln p(x) <= -H(X)", found, top, level if known else level / 2, size, rare)]
    difference = None
    if log_density is not None:
        own = _numbers("log_density", log_density)
        if own.shape != found.shape:
            raise InputError(
                f"log_density has {len(own)} examples, estimates {len(found)}: give both for the same ones"
            )
        zero = Quantity("0", 0.0, theorem="T2")
        # without an event of probability e the mean is at most -ln(1 - e), which is less than what is allowed for
        checks.append(_check("E [ln p(x) - ln p_law(x)] <= 0", found - own, zero, level, size, RareEvents()))
        difference = float((found - own).mean())
    verdicts = {check.verdict for check in checks}
    verdict: Verdict = "violated" if "violated" in verdicts else checks[-1].verdict
    return EvidenceCheck(verdict, tuple(checks), difference, false_alarms)


def _numbers(what: str, given: Any) -> np.ndarray:
    found = real_array(what, given)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InputError(f"{what} has shape {found.shape}: give one finite number of nats for each example")
    if len(found) < MIN_EXAMPLES:
        raise InputError(f"{what} has {len(found)} examples: give at least {MIN_EXAMPLES}")
    return found


def _check(name: str, each: np.ndarray, ceiling: Quantity, level: float, size: float, rare: RareEvents) -> Check:
    mean = ExampleTerms(None, None, each[None]).mean(Combination(np.zeros(0), np.zeros(0), np.ones(1)))

    def unseen(at: float, n: int) -> float:
        return rare.allowance(at, n, -math.inf if ceiling.value is None else ceiling.value)

    return judged(mean, ceiling, name=name, kind="objective", n=len(each), level=level, size=size, unseen=unseen)
