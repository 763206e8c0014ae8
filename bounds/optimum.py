"""How good can any multimodal VAE of this kind be? The supremum of the ELBO over all models, with a certificate.

THEORY T4: over every latent space, prior, decoder that factorises over units, and encoder, ``sup L_S`` is a concave
problem in one law ``pi`` on decoders, with a dual: for any positive numbers ``c_A(x_A)``

    L_S <= sum_A w_A E ln c_A(X_A) + ln sup_v G_c(v),    G_c(v) = sum_A w_A E[exp(-d_A(X_A, v)) / c_A(X_A)].

A mixture of decoders gives the lower end and, with ``c_A(x_A) = int pi(dv) exp(-d_A(x_A, v))``, the upper one. The
supremum over ``v`` is bounded by branch and bound (:mod:`bounds.dual.inner`), never by search alone.

This is not linear in the entropies, hence not a functional.
"""

from __future__ import annotations

import html
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from bounds.ceilings import elbo_ceiling
from bounds.common_cause import CommonCause
from bounds.dual.inner import InnerBound, bound_inner
from bounds.dual.mixing import Mixture, best_mixture, row_decoders
from bounds.dual.private_noise import without_private_noise
from bounds.dual.program import DecoderProgram, conditional_laws, geometric_means
from bounds.empirical import empirical_law
from bounds.errors import InputError, ObjectiveError
from bounds.finite import TabularVAE, optimal_encoders
from bounds.joints import Discrete, Law
from bounds.lattice import marginal_entropy
from bounds.samples import Samples
from bounds.sandwich import LossBounds, loss_bounds
from bounds.schemes import SubsetScheme
from bounds.subsets import format_subset, members, union

#: Time for the certificate unless another is given.
SECONDS = 60.0
#: Decoders above the target that the certificate may send back to the search.
RETURNS = 12
#: Weight of the decoders that only the dual point has, as a part of the width that is asked for.
WIDER = 0.02
#: What rounding can have moved a linear ceiling by; sums of entropies of discrete tables are exact to 1e-12 of them.
ENTROPY_ROUNDING = 1e-11


class Progress(Protocol):
    """Told how the certificate goes."""

    def __call__(self, cells: int, open_cells: int, gap: float) -> None:
        """Cells bounded, cells still open, and the bracket's width so far."""
        ...


@dataclass(frozen=True, eq=False)
class OptimalElbo:
    """``low <= sup L <= high``, in nats per example.

    Attributes:
        low: what ``model`` attains.
        high: proved for every model.
        tol: the width that was asked for.
        beta: multiplier of the KL; 1 is the ELBO.
        entropy: ``H(X)``.
        ceiling: T2's, where it holds (``beta >= 1``).
        model: prior, decoders and encoders that attain ``low``.
        dual: bitmask of the encoded modalities to ``c_A(x_A)``, the point that proves ``high`` where the linear ceiling
            is not lower still: one axis for each unit of ``A``, zero where ``p(x_A)`` is.
        law: what it is the optimum of.
        cells, open_cells: of the branch and bound.
        notes: what the reader must know.
    """

    low: float
    high: float
    tol: float
    beta: float
    entropy: float
    ceiling: float
    scheme: SubsetScheme
    names: tuple[str, ...]
    model: TabularVAE
    dual: Mapping[int, np.ndarray]
    law: Discrete = field(repr=False)
    cells: int
    open_cells: int
    seconds: float
    notes: tuple[str, ...] = ()

    @cached_property
    def bounds(self) -> LossBounds:
        """The sandwich of T4, from entropies alone. It takes longer than the optimum where subsets are many."""
        return loss_bounds(self.law, self.scheme)

    @property
    def certified(self) -> bool:
        """Whether the bracket is as narrow as was asked."""
        return self.high - self.low <= self.tol

    @property
    def loss(self) -> tuple[float, float]:
        """``-H(X) - sup L`` lies between these two: the loss that no model avoids."""
        return -self.entropy - self.high, -self.entropy - self.low

    def __str__(self) -> str:
        name = "sup ELBO" if self.beta == 1 else f"sup of the beta={self.beta:g} objective"
        least, most = self.loss
        state = "certified" if self.certified else f"not closed to {self.tol:g}: {self.open_cells} open cells"
        lines = [
            f"{self.scheme.label}: {self.low:.8f} <= {name} <= {self.high:.8f} nats ({state})",
            f"  loss -H(X) - sup in [{least:.8f}, {most:.8f}]; from entropies alone at least "
            f"{-self.entropy - self.ceiling:.8f}",
            f"  attained with {self.model.n_latents} latent values",
        ]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; tables as nested lists."""
        least, most = self.loss
        return {
            "scheme": self.scheme.label,
            "unit": "nats",
            "beta": self.beta,
            "low": self.low,
            "high": self.high,
            "tol": self.tol,
            "certified": self.certified,
            "entropy": self.entropy,
            "elbo_ceiling": self.ceiling,
            "loss": {"low": least, "high": most},
            "loss_bounds": self.bounds.to_dict(),
            "cells": self.cells,
            "open_cells": self.open_cells,
            "seconds": self.seconds,
            "model": {
                "prior": self.model.prior.tolist(),
                "decoders": [table.tolist() for table in self.model.decoders],
                "encoders": {self._shown(mask): table.tolist() for mask, table in self.model.encoders.items()},
            },
            "dual": {self._shown(mask): table.tolist() for mask, table in self.dual.items()},
            "notes": list(self.notes),
        }

    def _shown(self, mask: int) -> str:
        return format_subset(mask, self.names) or "(empty)"


def optimal_elbo(
    joint: Law | Samples,
    scheme: SubsetScheme,
    tol: float = 1e-6,
    *,
    beta: float = 1.0,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> OptimalElbo:
    """The best own-density K=1 ELBO of any model of a scheme, between certified bounds (THEORY T4).

    Args:
        joint: a discrete law, or discrete samples: then the empirical law of the rows.
        scheme: the encoded subsets and their weights.
        tol: width of the bracket to aim at, in nats.
        beta: multiplier of the KL. At 1 the value is ``sup L_S``.
        seconds: time for the search and the certificate; then the bracket so far is returned and says so. One step of
            a large problem can take longer than what is left.
        progress: told how it goes.

    Raises:
        InputError: a law that is not discrete, a ``tol`` or ``beta`` that is not positive, negative ``seconds``,
            a scheme over other modalities.
        ObjectiveError: a sub-sampled scheme, whose supremum is in closed form (T10.2).

    >>> from bounds import mmvae
    >>> pair = Discrete([[0.45, 0.05], [0.05, 0.45]])  # a fair bit and a copy that is wrong one time in ten
    >>> found = optimal_elbo(pair, mmvae(2))
    >>> found.certified, round(-found.entropy - found.low, 5)  # T2 alone says 0
    (True, 0.06648)
    """
    clock = time.monotonic()
    notes = []
    if isinstance(joint, Samples):
        notes.append(
            f"the law of these {joint.n} rows themselves: a training objective stays below this, a held-out one "
            "need not"
        )
        joint = empirical_law(joint)
    if isinstance(joint, CommonCause):
        joint = joint.to_discrete()
    if not isinstance(joint, Discrete):
        raise InputError(f"the exact optimum is known for discrete laws; this one is a {type(joint).__name__}")
    if not (tol > 0 and math.isfinite(tol)):
        raise InputError(f"tol is {tol}: give a positive number of nats, such as 1e-6")
    if not seconds >= 0:
        raise InputError(f"seconds is {seconds}: give the time for the certificate, 0 or more")
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(
            f"scheme {scheme.label} is a sum of ELBOs, each of its own modalities: its supremum is "
            "elbo_ceiling(h, scheme, 'sub-sampled'), attained (T10.2)"
        )
    reduced = without_private_noise(joint, beta)
    program = DecoderProgram.of(reduced.law, scheme, beta)
    own = DecoderProgram.of(joint, scheme, beta)
    ceiling = _ceiling(joint, scheme, beta)

    def lift(mixture: Mixture) -> Mixture:
        return Mixture(mixture.weights, np.concatenate(reduced.lift(program.blocks(mixture.v)), axis=1))

    mixture, dual, inner = _solve(program, tol / beta, seconds, progress)
    attained, proving = lift(mixture), lift(dual)
    low = beta * own.value(attained.weights, attained.v)
    # the ceiling is a sum of entropies, with their rounding
    high = min(beta * (own.value(proving.weights, proving.v) + inner.high), ceiling + ENTROPY_ROUNDING)
    if high - low > tol:
        notes.append(f"certified to {high - low:.3g} only: {_reason(inner, time.monotonic() - clock > seconds)}")
    return OptimalElbo(
        low=low,
        high=high,
        tol=tol,
        beta=beta,
        entropy=marginal_entropy(joint.pmf, range(joint.pmf.ndim)),
        ceiling=ceiling,
        scheme=scheme,
        names=joint.names,
        model=optimal_encoders(joint, scheme, attained.weights, own.blocks(attained.v), beta),
        dual=_dual(joint, scheme, own, proving),
        law=joint,
        cells=inner.cells,
        open_cells=inner.open_cells,
        seconds=time.monotonic() - clock,
        notes=tuple(notes),
    )


def _reason(inner: InnerBound, late: bool) -> str:
    if not inner.cells:
        return "the problem is too large for branch and bound, and the upper end is the linear ceiling"
    cells = f"{inner.open_cells} of {inner.cells} cells are open"
    return f"{cells}; allow more seconds" if late else f"{cells}, and float64 does not tell them apart"


def _solve(
    program: DecoderProgram, tol: float, seconds: float, progress: Progress | None
) -> tuple[Mixture, Mixture, InnerBound]:
    """The best mixture, the mixture whose ``c`` is the dual point, and the bound of its ``G``.

    Search and certificate in turn: a decoder with ``G`` above the target is a better mixture's next atom.
    """
    deadline = time.monotonic() + seconds
    mixture = best_mixture(program, seconds=seconds)
    for _ in range(RETURNS):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        dual, inner = _certificate(program, mixture, tol, left, progress)
        if inner.violation is None:
            return mixture, dual, inner
        start = np.concatenate([mixture.v, inner.violation[None]])
        mixture = best_mixture(program, start, seconds=deadline - time.monotonic())
    # A target that the search cannot meet, by rounding, flatness or want of time: certify what it did reach.
    for looser in (10.0, 100.0, 1e3, 1e4, 1e5, 1e6):
        left = max(deadline - time.monotonic(), seconds / 10)  # something even where the search took it all
        dual, inner = _certificate(program, mixture, tol * looser, left, progress)
        if inner.violation is None:
            break
    return mixture, dual, inner


def _certificate(
    program: DecoderProgram, mixture: Mixture, tol: float, seconds: float, progress: Progress | None
) -> tuple[Mixture, InnerBound]:
    """The dual point and the bound of its ``G``.

    The point is ``c`` of a slightly wider mixture, in which every heavy row has a decoder of its own: a row that the
    best mixture almost gives up would have ``1 / c`` beyond all bounds.
    """
    rows = row_decoders(program)
    share = WIDER * min(tol, 1.0)
    weights = np.concatenate([(1 - share) * mixture.weights, np.full(len(rows), share / len(rows))])
    dual = Mixture(weights, np.concatenate([mixture.v, rows]))
    lost = program.value(mixture.weights, mixture.v) - program.value(dual.weights, dual.v)
    scores = program.mass / (program.likelihoods(dual.v) @ dual.weights)
    # two percent of the width stay for the rounding of the rest
    return dual, bound_inner(program, scores, 0.98 * tol + lost, seconds=max(seconds, 0.0), progress=progress)


def _ceiling(joint: Discrete, scheme: SubsetScheme, beta: float) -> float:
    """The linear ceiling at unit level: T2 for ``beta >= 1``, else that of T10.1."""
    h = joint.unit_entropies()
    return float(elbo_ceiling(h, scheme)) if beta >= 1 else float(elbo_ceiling(h, scheme, "beta", beta=beta))


def _dual(joint: Discrete, scheme: SubsetScheme, program: DecoderProgram, mixture: Mixture) -> Mapping[int, np.ndarray]:
    """``c_A(x_A) = sum_z pi_z exp(-d_A(x_A, z))``, zero where ``p(x_A)`` is."""
    found = {}
    for subset, _ in scheme:
        known, conditionals = conditional_laws(joint, subset)
        c = geometric_means(np.concatenate(conditionals, axis=1), mixture.v, program.power) @ mixture.weights
        shape = [joint.unit_alphabets[u] for u in members(union(joint.layout.modality_units, subset))]
        found[subset] = np.where(known > 0, c.reshape(known.shape), 0.0).reshape(shape)
    return MappingProxyType(found)
