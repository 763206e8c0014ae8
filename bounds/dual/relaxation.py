"""An upper bound on each of many cells: a small convex programme, solved for all of them at once.

Let ``G(v) = sum_r a_r prod_m prod_x v_m(x)^(s C_rm(x))`` on products of laws. By Gibbs' variational formula, and
because the best ``v_m`` for given ``rho`` is ``y_m = sum_r rho_r C_rm``,

    ln sup_v G = sup over laws rho on rows of  -KL(rho||a) - s sum_m H(y_m).

The first term is concave and each ``-s H(y_m) = s sum_x y_m(x) ln y_m(x)`` convex and separable. A cell is a box,
an interval for each ``y_m(x)``. On it put a linear function ``lambda y + tau`` that is at both ends of the interval,
hence on it, at least ``s y ln y``. For any slopes ``lambda`` the least such offsets ``tau`` are known. Applying the
formula backwards, for every choice of slopes

    ln G <= ln max_{v_f} sum_r a_r exp(sum_{m != f} <lambda_m, C_rm>) prod_x v_f(x)^(s C_rf(x)) + sum tau   on the cell.

One unit ``f`` is *free*: it needs no cells. The maximum on the right is of a function ``F`` that is concave in ``v_f``
(``s <= 1``) and homogeneous of degree ``s``, so for any vector ``u``, with ``v = e^u``,

    max F <= F(v) (1 - s) + max_x dF/dv_x = max_x sum_r a_r e^(<lambda,C_r> + s<C_rf,u>) (1 - s + s C_rf(x) e^(-u_x)).

The logarithm is convex in ``(lambda, u)`` together: a geometric programme. It is minimised by an interior-point
method, but *every* point that it visits is a valid bound, so nothing rests on its convergence. With ``s > 1`` there is
no free unit, and ``ln G <= ln sum_r a_r exp(sum_m <lambda_m, C_rm>) + sum tau``.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bounds.dual.cells import Cells, minus_entropy
from bounds.dual.program import geometric_means

#: Interior-point steps for a cell at most.
STEPS = 80
#: A cell is solved when its duality gap is below this part of the chords' height over it.
ENOUGH = 0.05
#: Height of the chords below which a cell counts as a point.
FLAT = 1e-12
#: Numbers in the largest array of one batch.
BATCH_NUMBERS = 4_000_000
#: Largest change of a logarithm in one step.
REACH = 5.0


class _State(NamedTuple):
    """The interior-point iterates of ``N`` cells. ``t`` is above every piece ``phi``."""

    slopes: np.ndarray  # (N, n)
    offsets: np.ndarray  # (N, n)
    levels: np.ndarray  # (N, j): u
    t: np.ndarray  # (N,)
    phi: np.ndarray  # (N, pieces)
    shares: np.ndarray  # (N, P): of each term in its piece
    lower: np.ndarray  # (N, n): duals of the constraint at the lower end of each interval
    upper: np.ndarray  # (N, n)
    weights: np.ndarray  # (N, pieces): of t - phi
    damping: np.ndarray  # (N,)

    def at(self, which: np.ndarray) -> _State:
        return _State(*(field[which] for field in self))

    def put(self, which: np.ndarray, other: _State) -> None:
        for mine, theirs in zip(self, other, strict=True):
            mine[which] = theirs


class Relaxation:
    """``ln G`` for given scores, on cells of all units but the free one.

    Args:
        scores: ``(R,)``, the positive ``a_r``.
        divided: for each unit that is cut into cells its targets ``(R, k)``.
        free: targets ``(R, j)`` of the free unit, or ``None``.
        power: ``s``. There is a free unit only if it is at most one.
    """

    def __init__(
        self, scores: np.ndarray, divided: tuple[np.ndarray, ...], free: np.ndarray | None, power: float = 1.0
    ) -> None:
        self.scores = scores
        self.power = power
        self.sizes = [c.shape[1] for c in divided]
        self.free = np.zeros((len(scores), 0)) if free is None else free
        self.table = np.concatenate([np.zeros((len(scores), 0)), *divided], axis=1)
        if free is None:
            piece, base, features = np.zeros(len(scores), dtype=int), np.log(scores), self.table
        else:
            piece, base, features = _terms(np.log(scores), self.table, free, power)
        order = np.argsort(piece, kind="stable")
        self.piece, self.base, self.features = piece[order], base[order], features[order]
        self.starts = np.searchsorted(self.piece, np.arange(self.piece[-1] + 1))
        self.squares = (self.features[:, :, None] * self.features[:, None, :]).reshape(len(self.features), -1)
        self.metric = self.features.T @ self.features / len(self.features) + 1e-9 * np.eye(self.features.shape[1])

    def log_value(self, means: np.ndarray, free: np.ndarray) -> np.ndarray:
        """``ln G`` itself at decoders ``means`` of the divided units and ``free`` of the free one."""
        divided = geometric_means(self.table, means, self.power)
        with np.errstate(divide="ignore"):  # -inf where every row is impossible
            return np.asarray(np.log(self.scores @ (divided * geometric_means(self.free, free, self.power))))

    @property
    def batch(self) -> int:
        """Cells to bound at a time."""
        return int(np.clip(BATCH_NUMBERS // (self.features.size + 1), 1, 512))

    def whole(self) -> Cells:
        """The cell of all decoders, with its bound."""
        return self.tighten(Cells.whole(self.sizes, self.free.shape[1]), -np.inf)

    def tighten(self, cells: Cells, target: float) -> Cells:
        """The cells with better slopes and bounds; work on a cell ends where its bound falls to ``target``."""
        count = len(cells)
        ends = np.stack([cells.low, cells.high])
        values = self.power * minus_entropy(ends)
        heights = self.power * cells.heights
        height = np.maximum(heights.sum(axis=1), FLAT)
        least = np.maximum(0.1 * heights, 1e-14)  # above the rounding of the gaps
        slopes, offsets, levels, phi, shares = self._start(cells, ends, values, least)
        top = phi.max(axis=1)
        t = top + np.maximum(0.1 * np.maximum(np.ptp(phi, axis=1), height), 1e-15 * (1 + np.abs(top)))
        weights = 1 / (t[:, None] - phi)
        weights /= weights.sum(axis=1, keepdims=True)
        means = self._means(shares, weights)
        # duals of the two ends of each interval: where the mean lies between them
        width = np.maximum(cells.high - cells.low, 1e-300)
        upper = np.clip((means - cells.low) / width, 0.1, 0.9)
        state = _State(slopes, offsets, levels, t, phi, shares, 1 - upper, upper, weights, np.full(count, 1e-6))
        best = replace(
            cells,
            slopes=slopes.copy(),
            levels=levels.copy(),
            bound=phi.max(axis=1) + _least_offsets(slopes, ends, values),
            means=means,
            free=self._law(weights),
        )
        running = np.ones(count, dtype=bool)
        for _ in range(STEPS):
            running &= ~(best.bound <= target)
            at = np.flatnonzero(running)
            if not len(at):
                break
            new, accepted = self._step(state.at(at), ends[:, at], values[:, at])
            state.put(at, new)
            bound = new.phi.max(axis=1) + _least_offsets(new.slopes, ends[:, at], values[:, at])
            wins = accepted & (bound < best.bound[at])
            won = at[wins]
            best.slopes[won], best.levels[won], best.bound[won] = new.slopes[wins], new.levels[wins], bound[wins]
            normal = new.weights[wins] / new.weights[wins].sum(axis=1, keepdims=True)
            best.means[won], best.free[won] = self._means(new.shares[wins], normal), self._law(normal)
            slack = new.slopes * ends[:, at] + new.offsets - values[:, at]
            gap = (slack[0] * new.lower + slack[1] * new.upper).sum(axis=1)
            gap += ((new.t[:, None] - new.phi) * new.weights).sum(axis=1)
            running[at[accepted & (gap < ENOUGH * height[at])]] = False
        return replace(best, bound=np.minimum(best.bound, cells.bound))

    def _start(self, cells: Cells, ends: np.ndarray, values: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, ...]:
        """The better of the parent's slopes and the chords; far from the first, interior points lose their way."""
        width = cells.high - cells.low
        chord = np.divide(values[1] - values[0], width, out=cells.slopes.copy(), where=width > 1e-14)
        found = []
        for slopes, levels in ((cells.slopes, cells.levels), (chord, np.log(np.maximum(cells.free, 1e-9)))):
            offsets = (values - slopes * ends).max(axis=0) + least
            phi, shares = self._pieces(slopes, levels)
            found.append((slopes, offsets, levels, phi, shares))
        first, second = (one[3].max(axis=1) + one[1].sum(axis=1) for one in found)
        chosen = tuple(field.copy() for field in found[0])
        chords = np.flatnonzero(second < first)
        for field, other in zip(chosen, found[1], strict=True):
            field[chords] = other[chords]
        return chosen

    def _pieces(self, slopes: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(N, pieces)`` logarithms of the sums, and ``(N, P)`` the share of each term in its sum."""
        logs = self.base + np.concatenate([slopes, levels], axis=1) @ self.features.T
        top = np.maximum.reduceat(logs, self.starts, axis=1)
        shares = np.exp(logs - top[:, self.piece])
        sums = np.add.reduceat(shares, self.starts, axis=1)
        return top + np.log(sums), shares / sums[:, self.piece]

    def _means(self, shares: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.asarray((shares * weights[:, self.piece]) @ self.features[:, : self.table.shape[1]])

    def _law(self, weights: np.ndarray) -> np.ndarray:
        return weights.copy() if self.free.shape[1] else np.zeros((len(weights), 0))

    def _step(self, old: _State, ends: np.ndarray, values: np.ndarray) -> tuple[_State, np.ndarray]:
        """One primal-dual step, damped in the change of the logarithms and taken only where the barrier falls.

        The offset of an interval enters the objective linearly, and the two slacks at its ends; it is eliminated.
        """
        count, n = old.slopes.shape
        width = self.features.shape[1]
        slack = old.t[:, None] - old.phi
        gaps = np.maximum(old.slopes * ends + old.offsets - values, 1e-18)  # (2, N, n); rounding may have closed them
        duals = np.stack([old.lower, old.upper])
        barrier = (duals * gaps).sum(axis=(0, 2)) + (slack * old.weights).sum(axis=1)
        # a step that had to be damped was off centre: no less barrier before the next is not
        centring = np.where(old.damping > 1e-3, 1.0, np.where(old.damping > 1e-6, 0.3, 0.1))
        barrier *= centring / (2 * n + slack.shape[1])
        slopes_of = np.stack(
            [old.shares[:, a:b] @ self.features[a:b] for a, b in pairwise([*self.starts.tolist(), len(self.piece)])],
            axis=1,
        )
        mass = old.shares * old.weights[:, self.piece]
        hessian = (mass @ self.squares).reshape(count, width, width)
        hessian -= np.swapaxes(slopes_of * old.weights[:, :, None], 1, 2) @ slopes_of
        hessian += old.damping[:, None, None] * self.metric
        ratio = old.weights / slack
        pull = duals / gaps  # (2, N, n)
        push = barrier[:, None] / gaps
        # offsets: minimise their sum; (sum of pull) d_offset + (pull . ends) d_slope = push.sum - 1
        total = pull.sum(axis=0)
        cross = (pull * ends).sum(axis=0)

        system = np.zeros((count, width + 1, width + 1))
        system[:, :width, :width] = hessian + np.swapaxes(slopes_of * ratio[:, :, None], 1, 2) @ slopes_of
        own, rest = np.arange(n), np.arange(n, width)
        system[:, own, own] += pull[0] * pull[1] / total * (ends[1] - ends[0]) ** 2
        if self.power == 1:
            system[:, n:width, n:width] += 1.0  # a common shift of all levels changes nothing: hold it
        system[:, rest, rest] += 1e-12
        system[:, own, own] += 1e-14
        edge = -(slopes_of * ratio[:, :, None]).sum(axis=1)
        system[:, :width, width] = edge
        system[:, width, :width] = edge
        system[:, width, width] = ratio.sum(axis=1)
        right = np.zeros((count, width + 1))
        right[:, :width] = -(slopes_of * (barrier[:, None] / slack)[:, :, None]).sum(axis=1)
        excess = push.sum(axis=0) - 1
        right[:, :n] += (push * ends).sum(axis=0) - cross / total * excess
        right[:, width] = (barrier[:, None] / slack).sum(axis=1) - 1
        move, solved = _solve(system, right)

        d_slopes, d_levels, d_t = move[:, :n], move[:, n:width], move[:, width]
        d_offsets = (excess - cross * d_slopes) / total
        d_slack = d_t[:, None] - (slopes_of @ move[:, :width, None])[..., 0]
        d_weights = barrier[:, None] / slack - old.weights - ratio * d_slack
        d_gaps = d_slopes * ends + d_offsets
        d_duals = push - duals - pull * d_gaps
        change = np.ptp(move[:, :width] @ self.features.T, axis=1)
        length = np.minimum(1.0, REACH / np.maximum(change, 1e-300))
        for end in range(2):
            length = np.minimum(length, _room(gaps[end], d_gaps[end]))
        dual_length = _room(old.weights, d_weights)
        for end in range(2):
            dual_length = np.minimum(dual_length, _room(duals[end], d_duals[end]))

        slopes = old.slopes + length[:, None] * d_slopes
        offsets = old.offsets + length[:, None] * d_offsets
        levels = old.levels + length[:, None] * d_levels
        phi, shares = self._pieces(slopes, levels)
        t = _centre(old.t + length * d_t, phi, barrier)
        new_gaps = slopes * ends + offsets - values
        inside = (new_gaps > 0).all(axis=(0, 2))
        new_gaps = np.where(new_gaps > 0, new_gaps, 1.0)
        before = old.t + old.offsets.sum(axis=1) - barrier * (np.log(slack).sum(axis=1) + np.log(gaps).sum(axis=(0, 2)))
        after = (
            t
            + offsets.sum(axis=1)
            - barrier * (np.log(t[:, None] - phi).sum(axis=1) + np.log(new_gaps).sum(axis=(0, 2)))
        )
        accepted = solved & inside & (after <= before + 1e-15 * (1 + np.abs(before)))
        damping = np.where(accepted, 0.1 * old.damping, np.maximum(10 * old.damping, 1e-4))
        moved = _State(
            slopes,
            offsets,
            levels,
            t,
            phi,
            shares,
            old.lower + dual_length[:, None] * d_duals[0],
            old.upper + dual_length[:, None] * d_duals[1],
            old.weights + dual_length[:, None] * d_weights,
            damping,
        )
        rejected = np.flatnonzero(~accepted)
        moved.put(rejected, old.at(rejected)._replace(damping=damping[rejected]))
        return moved, accepted


def _least_offsets(slopes: np.ndarray, ends: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The least sum of offsets that puts the linear functions above the entropies at both ends, hence between.

    On narrow cells slopes may be of any size; the second term is the rounding of their sums with ends and targets.
    """
    rounding = np.finfo(np.float64).eps * slopes.shape[1] * np.abs(slopes).sum(axis=1)
    return np.asarray((values - slopes * ends).max(axis=0).sum(axis=1) + rounding)


def _terms(
    log_scores: np.ndarray, table: np.ndarray, free: np.ndarray, power: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each term its piece (a symbol of the free unit), the logarithm of its constant, and its features."""
    row, symbol = np.nonzero(free > 0)
    base = log_scores[row] + np.log(power * free[row, symbol])
    features = np.concatenate([table[row], power * free[row] - np.eye(free.shape[1])[symbol]], axis=1)
    if power == 1:
        return symbol, base, features
    every = np.arange(len(log_scores))
    for x in range(free.shape[1]):
        symbol = np.append(symbol, np.full(len(every), x))
        base = np.append(base, log_scores + np.log1p(-power))
        features = np.concatenate([features, np.concatenate([table, power * free], axis=1)])
    return symbol, base, features


def _solve(system: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solutions, and which are any: a singular system has none, and more damping will make it regular."""
    try:
        return np.linalg.solve(system, right[..., None])[..., 0], np.ones(len(right), dtype=bool)
    except np.linalg.LinAlgError:
        found, solved = np.zeros(right.shape), np.zeros(len(right), dtype=bool)
        for i in range(len(right)):
            try:
                found[i] = np.linalg.solve(system[i], right[i])
                solved[i] = True
            except np.linalg.LinAlgError:
                continue
        return found, solved


def _room(values: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The longest step, at most one, that keeps positive values positive."""
    if not values.shape[1]:
        return np.ones(len(values))
    return np.asarray(np.minimum(1.0, 0.95 / np.maximum((-change / values).max(axis=1), 1e-300)))


def _centre(t: np.ndarray, phi: np.ndarray, barrier: np.ndarray) -> np.ndarray:
    """The ``t`` above all pieces that is best for the barrier, by Newton's method."""
    top = phi.max(axis=1)
    least = top + 1e-15 * (1 + np.abs(top))  # the sum is above the top in float64 too
    t = np.maximum(np.maximum(t, top + 0.5 * barrier), least)
    for _ in range(4):
        inverse = 1 / (t[:, None] - phi)
        step = (1 - barrier * inverse.sum(axis=1)) / (barrier * (inverse * inverse).sum(axis=1))
        t = np.maximum(np.maximum(t - step, top + 0.1 * (t - top)), least)
    return np.asarray(t)
