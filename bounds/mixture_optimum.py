"""The best mixture-density ELBO, as far as it can be bounded (THEORY T5).

``L_mix`` has the density of the encoders' mixture in its KL term. Its supremum over decoders and priors is
``-H(X) - TC(X|Z)``, and ``inf TC(X|Z)`` over encoders has no dual here. What holds, with the own-density optimum
``sup L_S``:

    sup L_S <= sup L_mix <= min(sup L_S + H(w), -H(X) - [TCw - H(w)]_+)    and    sup L_mix >= -H(X) - TCw.

The lower end is then improved by a monotone update of encoders, ``q_A <- q_A exp E[ln Q - ln qbar | x_A]`` up to
normalisation, from several starts. The bracket is proved; it need not be narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bounds.ceilings import elbo_ceiling
from bounds.dual.program import conditional_laws
from bounds.finite import TabularVAE, elbo_terms, optimal_decoders
from bounds.joints import Discrete
from bounds.memory import check_fits
from bounds.optimum import ENTROPY_ROUNDING, optimal_elbo
from bounds.schemes import SubsetScheme
from bounds.subsets import members, union

#: Updates of the encoders from each start.
STEPS = 300


@dataclass(frozen=True, eq=False)
class MixtureOptimum:
    """``low <= sup L_mix <= high`` in nats; ``model`` attains ``low``."""

    low: float
    high: float
    entropy: float
    model: TabularVAE

    def __str__(self) -> str:
        return (
            f"{self.low:.8f} <= sup of the mixture-density ELBO <= {self.high:.8f} nats; "
            f"loss in [{-self.entropy - self.high:.8f}, {-self.entropy - self.low:.8f}]"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "low": self.low,
            "high": self.high,
            "loss": {"low": -self.entropy - self.high, "high": -self.entropy - self.low},
            "latents": self.model.n_latents,
        }


def optimal_mixture_elbo(law: Discrete, scheme: SubsetScheme, *, seconds: float = 60.0) -> MixtureOptimum:
    """The supremum of the K=1 ELBO with the density of the mixture of encoders, between proved bounds.

    Raises:
        InputError: as :func:`bounds.optimal_elbo`, or a table of data and latent too large for memory.

    >>> from bounds import mmvae
    >>> pair = Discrete([[0.45, 0.05], [0.05, 0.45]])
    >>> found = optimal_mixture_elbo(pair, mmvae(2))  # a single modality says all: no loss
    >>> abs(-found.entropy - found.low) < 1e-9
    True
    """
    own = optimal_elbo(law, scheme, seconds=seconds)
    label = -math.fsum(float(w) * math.log(w) for _, w in scheme)
    ceiling = float(elbo_ceiling(law.unit_entropies(), scheme, "mixture-density"))
    high = min(own.high + label, ceiling + ENTROPY_ROUNDING)
    best, value = own.model, -math.inf
    for start in (own.model.encoders, _guess(law, scheme), _quote(law, scheme)):
        model = _improved(law, scheme, start)
        reached = elbo_terms(model, law, scheme).mixture_elbo
        if reached > value:
            best, value = model, reached
    return MixtureOptimum(value, high, own.entropy, best)


def _guess(law: Discrete, scheme: SubsetScheme) -> dict[int, np.ndarray]:
    """``Z`` is a guess of all of ``X`` from ``x_A``, drawn from ``p(x|x_A)``."""
    p = law.pmf.reshape(law.unit_alphabets)
    cells = np.flatnonzero(p)
    found = {}
    for subset, _ in scheme:
        known, _conditionals = conditional_laws(law, subset)
        check_fits("the encoder that guesses all of X", (known.size, len(cells)), "use fewer modalities or symbols")
        index = np.arange(known.size).reshape(known.shape)
        row = np.broadcast_to(index, p.shape).reshape(-1)[cells]
        q = np.zeros((known.size, len(cells)))
        q[row, np.arange(len(cells))] = p.reshape(-1)[cells]
        found[subset] = _normalised(q, p.reshape(-1)[cells]).reshape(*_seen(law, subset), -1)
    return found


def _quote(law: Discrete, scheme: SubsetScheme) -> dict[int, np.ndarray]:
    """``Z = (A, x_A)``: attains ``-H(X) - TCw``."""
    sizes = [int(np.prod(_seen(law, subset), dtype=int)) for subset, _ in scheme]
    found = {}
    for place, (subset, _) in enumerate(scheme):
        q = np.zeros((sizes[place], sum(sizes)))
        q[:, sum(sizes[:place]) : sum(sizes[: place + 1])] = np.eye(sizes[place])
        found[subset] = q.reshape(*_seen(law, subset), -1)
    return found


@np.errstate(divide="ignore", invalid="ignore")  # ln 0 = -inf is meant; cells without mass are masked
def _improved(law: Discrete, scheme: SubsetScheme, encoders: Mapping[int, np.ndarray]) -> TabularVAE:
    """Encoders and decoders in turn; no step lowers the objective."""
    p = law.pmf.reshape(law.unit_alphabets)[..., None]
    units = p.ndim - 1
    unseen = {s: tuple(u for u in range(units) if u not in _members(law, s)) for s, _ in scheme}
    for _ in range(STEPS):
        model = optimal_decoders(law, scheme, encoders)
        q = {s: np.expand_dims(encoders[s], unseen[s]) for s, _ in scheme}
        mixed = sum(float(w) * q[s] for s, w in scheme)
        logs = np.log(model.prior)
        for unit, table in enumerate(model.decoders):
            logs = logs + np.log(np.expand_dims(table.T, tuple(u for u in range(units) if u != unit)))
        advantage = np.where((p > 0) & (mixed > 0), p * (logs - np.log(mixed)), 0.0)
        new = {}
        for subset, axes in unseen.items():
            mean = advantage.sum(axis=axes) / p.sum(axis=axes)
            mean = np.where(np.isnan(mean), 0.0, mean)  # what cannot be seen keeps its encoder
            mean -= np.where(encoders[subset] > 0, mean, -np.inf).max(axis=-1, keepdims=True)
            table = encoders[subset] * np.exp(np.minimum(mean, 0.0))
            new[subset] = table / table.sum(axis=-1, keepdims=True)
        encoders = new
    return optimal_decoders(law, scheme, encoders)


def _normalised(q: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    total = q.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(q, total, out=np.tile(otherwise, (len(q), 1)), where=total > 0))


def _members(law: Discrete, subset: int) -> tuple[int, ...]:
    return tuple(members(union(law.layout.modality_units, subset)))


def _seen(law: Discrete, subset: int) -> list[int]:
    return [law.unit_alphabets[u] for u in _members(law, subset)]
