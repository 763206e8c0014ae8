"""The best mixture of decoders, from below: what a model attains. The proof that none is better is elsewhere.

Plain alternating minimisation has local minima (THEORY T4). Here the weights are refitted over all atoms at once, new
atoms are added where the dual function ``G`` exceeds one, and a damped Newton step on everything finishes.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import nnls

from bounds.dual.program import DecoderProgram, normalise

#: Atoms that differ by less than this in every coordinate are tried as one.
CLOSE = 1e-5
#: A step of the ascent that moves no coordinate by more is the last: ``G`` is stationary there, to rounding.
SETTLED = 1e-9
#: Random starts for new atoms, beside the rows and the atoms at hand.
RANDOM_STARTS = 64
#: New atoms in one round.
NEW_ATOMS = 12
#: Rows whose targets are starts, those of the largest mass.
ROW_STARTS = 500
#: Variables of a Newton step; with more, alternating steps have to do.
MOST_VARIABLES = 2000


@dataclass(frozen=True, eq=False)
class Mixture:
    """Decoders ``v`` of shape ``(K, sum k_m)`` with weights ``(K,)``."""

    weights: np.ndarray
    v: np.ndarray


@np.errstate(divide="ignore")  # ln 0 = -inf is meant: a trial that makes a row impossible is no better
def best_mixture(
    program: DecoderProgram,
    start: np.ndarray | None = None,
    *,
    gap: float = 1e-9,
    rounds: int = 12,
    seed: int = 0,
    seconds: float = math.inf,
) -> Mixture:
    """A mixture that is at least as good as a constant latent, and stationary as far as the search sees.

    Args:
        program: what to maximise.
        start: decoders to begin with, ``(K, sum k_m)``.
        gap: stop when no atom is found at which ``G`` exceeds one by more than this.
        rounds: of adding atoms at most.
        seed: of the random starts. The result is the same on every call that time does not cut short.
        seconds: then the mixture so far is returned.
    """
    deadline = time.monotonic() + seconds
    starts = _starts(program, np.random.default_rng(seed))
    collapsed = normalise(program.blocks((program.mass @ program.stacked)[None]))
    v = collapsed if start is None else np.concatenate([collapsed, start])
    mixture = _refit(program, Mixture(np.full(len(v), 1 / len(v)), v))
    for _ in range(rounds):
        if time.monotonic() > deadline:
            break
        scores = program.mass / (program.likelihoods(mixture.v) @ mixture.weights)
        found, value = ascend(program, scores, np.concatenate([starts, mixture.v]), deadline=deadline)
        new = _distinct(found, value, 1 + gap)
        if not len(new):
            break
        share = np.full(len(new), 1e-3 / len(new))
        wider = Mixture(np.append(mixture.weights * (1 - 1e-3), share), np.concatenate([mixture.v, new]))
        polished = _newton(program, _alternate(program, _refit(program, wider), 20), deadline)
        mixture = _merge(program, polished)
    return mixture


def ascend(
    program: DecoderProgram, scores: np.ndarray, v: np.ndarray, steps: int = 60, deadline: float = math.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima of ``G(v) = sum_r a_r exp(-d_r(v))`` from many starts at once, and their values.

    Each step sets ``v_m`` to the mean of the targets under ``a_r exp(-d_r(v))``, all units at once, which never
    decreases ``G`` (Jensen).
    """
    for _ in range(steps):
        if time.monotonic() > deadline:
            break
        joint = program.likelihoods(v) * scores[:, None]
        alive = joint.sum(axis=0) > 0
        v, joint = v[alive], joint[:, alive]
        before, v = v, normalise(program.blocks(joint.T @ program.stacked))
        if np.abs(v - before).max(initial=0.0) < SETTLED:
            break
    return v, np.asarray((program.likelihoods(v) * scores[:, None]).sum(axis=0))


def _starts(program: DecoderProgram, rng: np.random.Generator) -> np.ndarray:
    """Targets of rows, which are what codes of the encoded subset would decode to, and random laws."""
    random = [rng.dirichlet(np.ones(c.shape[1]), RANDOM_STARTS) for c in program.targets]
    return np.concatenate([row_decoders(program), normalise(random)])


def row_decoders(program: DecoderProgram) -> np.ndarray:
    """The targets of the :data:`ROW_STARTS` rows of largest mass, as decoders."""
    heaviest = np.sort(np.argsort(-program.mass, kind="stable")[:ROW_STARTS])
    return normalise([target[heaviest] for target in program.targets])


def _distinct(v: np.ndarray, value: np.ndarray, least: float) -> np.ndarray:
    chosen: list[np.ndarray] = []
    for k in np.argsort(-value):
        if value[k] <= least or len(chosen) == NEW_ATOMS:
            break
        if all(np.abs(v[k] - other).max() > 1e-3 for other in chosen):
            chosen.append(v[k])
    return np.array(chosen).reshape(-1, v.shape[1])


def _refit(program: DecoderProgram, mixture: Mixture, steps: int = 30) -> Mixture:
    """The best weights for given atoms: Newton steps on the simplex, each a non-negative least-squares problem."""
    likelihoods, mass, weights = program.likelihoods(mixture.v), program.mass, mixture.weights
    root, anchor = np.sqrt(mass), 1e3
    for _ in range(steps):
        mixed = likelihoods @ weights
        # The heavy last row holds the sum at one; without it, twice the weights would solve the rest exactly.
        rows = np.vstack([root[:, None] * likelihoods / mixed[:, None], np.full(len(weights), anchor)])
        target, _ = nnls(rows, np.append(2 * root, anchor), maxiter=50 * len(weights) + 500)
        # a rare row's weight that falls too far takes a step for each doubling on its way back
        target = np.maximum(target / target.sum(), 0.01 * weights)
        target /= target.sum()
        gain = float(mass @ ((likelihoods @ target) / mixed)) - 1
        if gain < 1e-14:
            break
        value, step = float(mass @ np.log(mixed)), 1.0
        while step > 1e-6:
            trial = weights + step * (target - weights)
            if float(mass @ np.log(likelihoods @ trial)) >= value + 1e-4 * step * gain:
                break
            step /= 2
        else:
            break
        weights = trial
    kept = weights > 1e-12
    return Mixture(weights[kept] / weights[kept].sum(), mixture.v[kept])


def _alternate(program: DecoderProgram, mixture: Mixture, steps: int) -> Mixture:
    """Alternating minimisation: encoders, then prior and decoders. It also drives what vanishes to zero."""
    for _ in range(steps):
        joint = program.likelihoods(mixture.v) * mixture.weights
        joint *= (program.mass / joint.sum(axis=1))[:, None]
        weights = joint.sum(axis=0)
        kept = weights > 0
        v = normalise(program.blocks(joint[:, kept].T @ program.stacked))
        mixture = Mixture(weights[kept] / weights[kept].sum(), v)
    return mixture


def _merge(program: DecoderProgram, mixture: Mixture) -> Mixture:
    """Atoms that have met are one, where that loses nothing."""
    weights: list[float] = []
    atoms: list[np.ndarray] = []
    for k in np.argsort(-mixture.weights):
        if mixture.weights[k] <= 1e-12:
            break
        near = [j for j, atom in enumerate(atoms) if np.abs(atom - mixture.v[k]).max() < CLOSE]
        if near:
            j = near[0]
            total = weights[j] + mixture.weights[k]
            atoms[j] = (weights[j] * atoms[j] + mixture.weights[k] * mixture.v[k]) / total
            weights[j] = total
        else:
            weights.append(mixture.weights[k])
            atoms.append(mixture.v[k])
    found = Mixture(np.array(weights) / sum(weights), normalise(program.blocks(np.array(atoms))))
    better = program.value(found.weights, found.v) >= program.value(mixture.weights, mixture.v) - 1e-13
    return found if better else mixture


def _newton(program: DecoderProgram, mixture: Mixture, deadline: float, steps: int = 40) -> Mixture:
    """Damped Newton steps on the logarithms of weights and decoders together; none makes the value worse."""
    if len(mixture.weights) * (1 + program.starts[-1]) > MOST_VARIABLES:
        return _alternate(program, mixture, steps)
    value, damping = program.value(mixture.weights, mixture.v), 1e-3
    for _ in range(steps):
        if time.monotonic() > deadline:
            break
        gradient, hessian, scale = _derivatives(program, mixture)
        alive = scale > 1e-30
        root = 1 / np.sqrt(scale[alive])
        curvature = -hessian[np.ix_(alive, alive)] * root[:, None] * root
        slope = gradient[alive] * root
        if np.abs(slope).max() < 1e-13:
            break
        for _ in range(12):
            try:
                move = cho_solve(cho_factor(curvature + damping * np.eye(len(root))), slope) * root
            except LinAlgError:
                damping = max(10 * damping, 1e-8)
                continue
            step = np.zeros(len(scale))
            step[alive] = move * min(1.0, 4 / max(np.abs(move).max(), 4e-300))
            trial = _moved(program, mixture, step.reshape(len(mixture.weights), -1))
            reached = program.value(trial.weights, trial.v)
            if reached >= value - 1e-16:
                break
            damping = max(10 * damping, 1e-8)
        else:
            break
        gain, mixture, value = reached - value, trial, reached
        damping /= 10
        if gain < 1e-15:
            break
    return mixture


def _moved(program: DecoderProgram, mixture: Mixture, step: np.ndarray) -> Mixture:
    weights = mixture.weights * np.exp(step[:, 0])
    return Mixture(weights / weights.sum(), normalise(program.blocks(mixture.v * np.exp(step[:, 1:]))))


def _derivatives(program: DecoderProgram, mixture: Mixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient and Hessian of the value in unnormalised log weights and log decoders, and the scale of each variable.

    Variables are ordered atom by atom: its log weight, then its log decoders, ``P = 1 + sum k_m`` for each.
    """
    mass, power, weights, v = program.mass, program.power, mixture.weights, mixture.v
    joint = program.likelihoods(v) * weights
    share = joint / joint.sum(axis=1, keepdims=True)
    used = mass @ share
    features = np.concatenate([np.ones((len(mass), 1)), power * program.stacked], axis=1)
    count, width = len(weights), features.shape[1]
    spread = (share[:, :, None] * features[:, None, :]).reshape(len(mass), -1)
    hessian = -(spread * mass[:, None]).T @ spread
    own = np.swapaxes(features * (mass[:, None] * share).T[:, :, None], 1, 2) @ features
    for a, b in pairwise(program.starts):
        law = v[:, a:b]
        spreads = law[:, :, None] * np.eye(b - a) - law[:, :, None] * law[:, None, :]
        own[:, 1 + a : 1 + b, 1 + a : 1 + b] -= (power * used)[:, None, None] * spreads
    every = np.arange(count)
    hessian.reshape(count, width, count, width)[every, :, every] += own
    # a common shift of a unit's log decoders changes nothing
    sizes = np.tile([1, *np.diff(program.starts)], count)
    firsts = np.cumsum(sizes) - sizes
    laws = np.concatenate([np.zeros((count, 1)), v], axis=1).reshape(-1)
    hessian -= np.repeat(np.add.reduceat(hessian, firsts, axis=1), sizes, axis=1) * laws
    hessian -= np.repeat(np.add.reduceat(hessian, firsts, axis=0), sizes, axis=0) * laws[:, None]
    logits = np.arange(0, count * width, width)
    hessian[np.ix_(logits, logits)] -= np.diag(weights) - np.outer(weights, weights)
    scale = np.concatenate([used[:, None], power * used[:, None] * v], axis=1)
    mean = np.concatenate([weights[:, None], power * used[:, None] * v], axis=1)
    return mass @ spread - mean.reshape(-1), hessian, scale.reshape(-1)
