"""The best finite VAE that coordinate ascent finds: exact best encoders, exact best decoders, from many starts at once.

What a subset ``A`` with data ``x_A`` contributes to the objective depends on the data only through ``p(x_u|x_A)``, one
law for each unit. With a row ``r`` for each ``(A, x_A)`` of positive probability, its mass ``b_r = w_A p(x_A)`` and its
target ``C_r``, these laws side by side, a step for all starts and all rows is two products of matrices:

    logits[z, r] = ln p(z) + sum_x ln P[z, x] C[r, x] / beta       the best encoders are their softmax (THEORY T6)
    p(z) P[z, x] = sum_r q[z, r] b_r C[r, x]                        the best prior and decoders (THEORY T3)

Both half-steps are exact maxima, so the objective never falls. It may stop below the best of all models, at a local
maximum or near a saddle (THEORY T4); :func:`bounds.optimal_elbo` says how far. Nothing is clamped: a decoder may give a
symbol probability zero, and then ``0 ln 0`` is zero and anything else times ``ln 0`` is minus infinity.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bounds.dual.program import conditional_laws
from bounds.errors import InputError, ObjectiveError
from bounds.finite import TabularVAE, optimal_encoders
from bounds.joints import Discrete
from bounds.memory import check_fits
from bounds.progress import Track, no_progress
from bounds.schemes import SubsetScheme
from bounds.subsets import format_subset, members, union
from toy_models.tabular import random_model

#: Of the Dirichlet laws of random starts: sparse decoders find the best maximum more often than even ones do.
CONCENTRATION = 0.3
#: Starts that end within this of the best, in nats, have found the same as far as the summary says.
SAME_END = 1e-6


@dataclass(frozen=True, eq=False)
class TabularFit:
    """The best model that coordinate ascent found, in nats per example.

    Attributes:
        model: with the best encoders for its prior and decoders.
        value: its exact K=1 objective ``-(D_S + beta KL)`` with own densities; the ELBO where ``beta`` is 1.
        beta: multiplier of the KL.
        values: what each start reached, in the order of the starts.
        history: the values on the way from the best start, before the first step and after each. They never fall by
            more than rounding.
        converged: whether the best start's last step gained no more than ``tol``.
        scheme: the encoded subsets and their weights.
        names: of the modalities.
    """

    model: TabularVAE
    value: float
    beta: float
    values: tuple[float, ...]
    history: tuple[float, ...]
    converged: bool
    scheme: SubsetScheme
    names: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Steps from the best start."""
        return len(self.history) - 1

    def __str__(self) -> str:
        name = "ELBO" if self.beta == 1 else f"beta={self.beta:g} objective"
        state = "converged" if self.converged else "still rising"
        together = sum(value >= self.value - SAME_END for value in self.values)
        return (
            f"{self.scheme.label}: {name} {self.value:.8f} nats\n"
            f"  attained with {self.model.n_latents} latent values, {state} after {self.steps} steps\n"
            f"  reached to {SAME_END:g} from {together} of {len(self.values)} starts; the lowest ends at "
            f"{min(self.values):.8f}"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; tables as nested lists."""
        encoders = {format_subset(mask, self.names) or "(empty)": q.tolist() for mask, q in self.model.encoders.items()}
        return {
            "scheme": self.scheme.label,
            "unit": "nats",
            "beta": self.beta,
            "value": self.value,
            "converged": self.converged,
            "steps": self.steps,
            "values": list(self.values),
            "history": list(self.history),
            "model": {
                "prior": self.model.prior.tolist(),
                "decoders": [table.tolist() for table in self.model.decoders],
                "encoders": encoders,
            },
        }


def fit_tabular(
    law: Discrete,
    scheme: SubsetScheme,
    n_latents: int,
    rng: np.random.Generator,
    *,
    restarts: int = 16,
    starts: Sequence[TabularVAE] = (),
    iterations: int = 10_000,
    tol: float = 1e-12,
    beta: float = 1.0,
    track: Track = no_progress,
) -> TabularFit:
    """The best of several runs of exact coordinate ascent, all at once.

    Args:
        law: the data.
        scheme: the encoded subsets and their weights.
        n_latents: number of latent values ``Z``.
        rng: draws the random starts one after the other, so that more of them include the fewer.
        restarts: number of random starts.
        starts: models to start from as well, before the random ones. Their prior and decoders count, their encoders
            are replaced at once. To go on from a fit: ``starts=[found.model], restarts=0``.
        iterations: steps at most.
        tol: a run ends when a step gains no more than this, in nats. Ascent can be slow: what is left to gain may be
            many times as much.
        beta: multiplier of the KL, positive.
        track: shown the steps; it sees fewer than ``iterations`` where all runs end earlier.

    Raises:
        InputError: a law that is not discrete or has cells below the range of float64, a scheme over other modalities,
            numbers out of range, a start that does not fit or gives data no probability, tables too large for memory.
        ObjectiveError: a sub-sampled scheme, whose supremum is in closed form (THEORY T10.2).

    >>> from bounds import mmvae
    >>> pair = Discrete([[0.45, 0.05], [0.05, 0.45]])  # a fair bit and a copy that is wrong one time in ten
    >>> found = fit_tabular(pair, mmvae(2), 2, np.random.default_rng(0))
    >>> round(found.value + float(pair.entropy_vector()[0b11]), 5), found.converged  # optimal_elbo: no model has more
    (-0.06648, True)
    """
    _check_problem(law, scheme, beta)
    _check_numbers(n_latents, restarts, len(starts), iterations, tol)
    cells = sum(math.prod(_seen_alphabets(law, subset)) for subset, _ in scheme)
    width = max(4 * n_latents * (restarts + len(starts)), 2 * sum(law.unit_alphabets))  # tables at the same time
    check_fits("the encoders of all starts", [cells, width], "use fewer restarts, latents, modalities or subsets")
    rows = _Rows.of(law, scheme, beta)
    for i, start in enumerate(starts):
        _check_fit(f"start {i}", [start.prior, *start.decoders], law, n_latents)
    models = [*starts, *(random_model(law, scheme, n_latents, rng, CONCENTRATION) for _ in range(restarts))]
    theta = _Theta(
        np.stack([model.prior for model in models], axis=1),
        np.stack([np.concatenate(model.decoders, axis=1) for model in models], axis=1),
    )
    runs = _climb(rows, theta, iterations, tol, track)
    best = int(runs.values.argmax())
    history = tuple(float(values[best]) for values in runs.path[: runs.steps[best] + 1])
    decoders = np.split(theta.decoders[:, best], rows.starts[1:], axis=1)
    return TabularFit(
        model=optimal_encoders(law, scheme, theta.prior[:, best], decoders, beta),
        value=history[-1],
        beta=float(beta),
        values=tuple(float(value) for value in runs.values),
        history=history,
        converged=bool(runs.gains[best] <= tol),
        scheme=scheme,
        names=law.names,
    )


@dataclass(frozen=True, eq=False)
class _Theta:
    """Priors ``(Z, S)`` and the decoders of all units side by side ``(Z, S, sum k_u)`` of ``S`` runs."""

    prior: np.ndarray
    decoders: np.ndarray

    def __getitem__(self, runs: np.ndarray) -> _Theta:
        return _Theta(self.prior.take(runs, axis=1), self.decoders.take(runs, axis=1))

    def __setitem__(self, runs: np.ndarray, better: _Theta) -> None:
        self.prior[:, runs], self.decoders[:, runs] = better.prior, better.decoders


class _Rows:
    """What is encoded: a row for each ``(A, x_A)``.

    Unlike the rows of :class:`bounds.dual.program.DecoderProgram` they are not merged where they agree to rounding:
    the program may neglect a symbol of probability 1e-20, and a decoder that gives it zero has the objective ``-inf``.

    Attributes:
        mass: ``(R,)``, ``w_A p(x_A)``.
        targets: ``(R, sum k_u)``, ``p(x_u|x_A)`` of all units side by side.
        sizes, starts: of the units' columns.
    """

    def __init__(self, mass: np.ndarray, targets: Sequence[np.ndarray], beta: float) -> None:
        self.mass = mass
        self.targets = np.concatenate(targets, axis=1)
        self.occurs = (self.targets > 0).astype(np.float32)  # to count with: half the time, and exact
        self.sizes = np.array([target.shape[1] for target in targets])
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.beta = beta

    @classmethod
    def of(cls, law: Discrete, scheme: SubsetScheme, beta: float) -> _Rows:
        """All rows of positive probability."""
        mass, targets = [], []
        for subset, weight in scheme:
            known, conditionals = conditional_laws(law, subset)
            cells = np.flatnonzero(known)
            mass.append(float(weight) * known.reshape(-1)[cells])
            targets.append([conditional[cells] for conditional in conditionals])
        return cls(np.concatenate(mass), [np.concatenate(unit) for unit in zip(*targets, strict=True)], beta)

    def encode(self, theta: _Theta) -> tuple[np.ndarray, np.ndarray]:
        """The objective with the best encoders ``(S,)``, and the law ``b_r q(z|r)`` that they make, ``(Z, S, R)``."""
        shape = *theta.prior.shape, len(self.mass)
        decoders = theta.decoders.reshape(-1, self.targets.shape[1])
        zero = decoders == 0
        joint: np.ndarray = np.log(np.where(zero, 1.0, decoders)) @ self.targets.T
        joint /= self.beta
        sparse = np.flatnonzero(zero.any(axis=1))
        if sparse.size:
            joint[sparse] = np.where(zero[sparse].astype(np.float32) @ self.occurs.T > 0, -np.inf, joint[sparse])
        joint = joint.reshape(shape)
        with np.errstate(divide="ignore"):
            joint += np.log(theta.prior)[:, :, None]
        top = joint.max(axis=0)
        top[np.isneginf(top)] = 0.0  # a row that no latent explains
        joint -= top
        np.exp(joint, out=joint)
        total = joint.sum(axis=0)
        with np.errstate(divide="ignore"):
            evidence = np.log(total) + top
        joint *= np.divide(self.mass, total, out=np.zeros_like(total), where=total > 0)
        return self.beta * (evidence @ self.mass), joint

    def decode(self, joint: np.ndarray, last: _Theta) -> _Theta:
        """The best prior and decoders for encoders; a latent that none emits keeps its decoders."""
        prior = joint.sum(axis=2)
        decoders = (joint.reshape(-1, len(self.mass)) @ self.targets).reshape(last.decoders.shape)
        totals = np.repeat(np.add.reduceat(decoders, self.starts, axis=2), self.sizes, axis=2)
        decoders = np.divide(decoders, totals, out=last.decoders.copy(), where=totals > 0)
        return _Theta(prior / prior.sum(axis=0), decoders)


@dataclass(frozen=True, eq=False)
class _Runs:
    """Where all runs have come: values ``(S,)``, also after each step, the last gains and the numbers of steps."""

    values: np.ndarray
    path: list[np.ndarray]
    gains: np.ndarray
    steps: np.ndarray


def _climb(rows: _Rows, theta: _Theta, iterations: int, tol: float, track: Track) -> _Runs:
    """Coordinate ascent of all runs until each gains no more than ``tol``; ``theta`` is replaced by what they reach."""
    values, joint = rows.encode(theta)
    if np.isneginf(values).any():
        raise InputError(
            f"start {int(values.argmin())} gives some data no probability: begin with a positive prior and positive "
            "decoders, or with optimal_decoders of its encoders"
        )
    path = [values.copy()]
    running = np.arange(len(values))
    gains = np.full(len(values), math.inf)
    steps = np.zeros(len(values), dtype=int)
    for _ in track(range(iterations), "coordinate ascent", iterations):
        going = gains[running] > tol
        if not going.all():
            running, joint = running[going], joint.compress(going, axis=1)
        if not running.size:
            break
        better = rows.decode(joint, theta[running])
        reached, joint = rows.encode(better)
        theta[running] = better
        gains[running] = reached - values[running]
        values[running] = reached
        steps[running] += 1
        path.append(values.copy())
    return _Runs(values, path, gains, steps)


def _seen_alphabets(law: Discrete, subset: int) -> list[int]:
    return [law.unit_alphabets[u] for u in members(union(law.layout.modality_units, subset))]


def _check_problem(law: Discrete, scheme: SubsetScheme, beta: float) -> None:
    if not isinstance(law, Discrete):
        raise InputError(f"a finite VAE models discrete laws; this one is a {type(law).__name__}")
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(
            f"scheme {scheme.label} is a sum of ELBOs, each of its own modalities: its supremum is "
            "elbo_ceiling(h, scheme, 'sub-sampled'), attained (T10.2)"
        )
    if scheme.n_modalities != len(law.names):
        raise InputError(
            f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the law over {len(law.names)}"
        )
    if not (beta > 0 and math.isfinite(beta)):
        raise InputError(f"beta is {beta}: give a positive number")
    least = float(law.pmf[law.pmf > 0].min())
    if least * float(min(scheme.weights.values())) < np.finfo(np.float64).tiny:
        raise InputError(
            f"the law has a cell of probability {least:.3g}, which weighted is below the range of float64: make it "
            "zero, or merge rare values"
        )


def _check_numbers(n_latents: int, restarts: int, starts: int, iterations: int, tol: float) -> None:
    if n_latents < 1:
        raise InputError(f"n_latents is {n_latents}: give at least one latent value")
    if restarts < 0 or restarts + starts < 1:
        raise InputError(f"{restarts} restarts and {starts} starts: give at least one of either")
    if iterations < 0:
        raise InputError(f"iterations is {iterations}: give a number of steps, 0 or more")
    if not (tol >= 0 and math.isfinite(tol)):
        raise InputError(f"tol is {tol}: give the gain in nats at which to stop, 0 or more")


def _check_fit(what: str, tables: Sequence[np.ndarray], law: Discrete, n_latents: int) -> None:
    """That a prior and decoders have the shapes that the law and the other starts ask for."""
    shapes = [np.shape(table) for table in tables]
    expected = [(n_latents,), *((n_latents, k) for k in law.unit_alphabets)]
    if shapes != expected:
        raise InputError(f"{what} has a prior and decoders of shapes {shapes}: they must be {expected}")
