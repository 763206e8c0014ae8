"""An upper bound of ``ln G`` on each of many cells: a small convex programme, solved for all of them at once.

Let ``G(v) = sum_r a_r prod_m prod_x v_m(x)^(s C_rm(x))`` on products of laws. By Gibbs' variational formula, and
because the best ``v_m`` for given ``rho`` is ``y_m = sum_r rho_r C_rm``,

    ln sup_v G = sup over laws rho on rows of  -KL(rho||a) - s sum_m H(y_m).

The first term is concave and each ``-s H(y_m)`` convex. On a cell, a product of simplices ``T_m``, put a linear
function ``<lambda_m, y>`` that is at the vertices of ``T_m``, hence on ``T_m``, at least ``-s H(y)``. Applying the
formula backwards, for every such choice

    ln G <= ln max_{v_f} sum_r a_r exp(sum_{m != f} <lambda_m, C_rm>) prod_x v_f(x)^(s C_rf(x))    on the cell.

One unit ``f`` is *free*: it needs no cells. The maximum on the right is of a function ``F`` that is concave in ``v_f``
(``s <= 1``) and homogeneous of degree ``s``, so for any vector ``u``, with ``v = e^u``,

    max F <= F(v) (1 - s) + max_x dF/dv_x = max_x sum_r a_r e^(<lambda,C_r> + s<C_rf,u>) (1 - s + s C_rf(x) e^(-u_x)).

The logarithm is convex in ``(lambda, u)`` together: a geometric programme. It is minimised by an interior-point
method, but *every* point that it visits is a valid bound, so nothing rests on its convergence. With ``s > 1`` there is
no free unit, and ``ln G <= ln sum_r a_r exp(sum_m <lambda_m, C_rm>)``.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bounds.dual.cells import Cells, inverse, negative_entropy
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

    above: np.ndarray  # (N, n): the linear functions less the negative entropies at the vertices, positive
    levels: np.ndarray  # (N, j): u
    t: np.ndarray  # (N,)
    phi: np.ndarray  # (N, pieces)
    shares: np.ndarray  # (N, P): of each term in its piece
    duals: np.ndarray  # (N, n): of above
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
        n, count = self.table.shape[1], len(cells)
        at_vertices = np.concatenate(
            [np.zeros((count, 0)), *(self.power * negative_entropy(v) for v in cells.vertices)], axis=1
        )
        heights = [self.power * h for h in cells.heights.T]
        height = np.maximum(sum(heights, np.zeros(count)), FLAT)
        forward = np.zeros((count, n, n))
        for v, (a, b) in zip(cells.vertices, pairwise(cells.ends), strict=True):
            forward[:, a:b, a:b] = v
        back = inverse(forward)
        # from values at vertices to slopes; levels stay as they are
        lift = np.zeros((count, self.features.shape[1], self.features.shape[1]))
        lift[:, :n, :n] = back
        rest = np.arange(n, self.features.shape[1])
        lift[:, rest, rest] = 1.0

        least = np.concatenate(
            [
                np.zeros((count, 0)),
                *(np.repeat(0.1 * h[:, None], k, axis=1) for h, k in zip(heights, self.sizes, strict=True)),
            ],
            axis=1,
        )
        least = np.maximum(least, 1e-18)
        above, levels, phi, shares = self._start(cells, forward, back, at_vertices, least)
        slopes = (back @ (at_vertices + above)[..., None])[..., 0]
        t = phi.max(axis=1) + 0.1 * np.maximum(np.ptp(phi, axis=1), height)
        weights = 1 / (t[:, None] - phi)
        weights /= weights.sum(axis=1, keepdims=True)
        means = self._means(shares, weights)
        duals = np.maximum((means[:, None, :] @ back)[:, 0], 0.1)
        state = _State(above, levels, t, phi, shares, duals, weights, np.full(count, 1e-6))

        best = replace(
            cells,
            slopes=slopes,
            levels=levels.copy(),
            bound=phi.max(axis=1) + _shortfall(forward, slopes, at_vertices, cells.ends),
            means=means,
            free=self._law(weights),
        )
        running = np.ones(count, dtype=bool)
        for _ in range(STEPS):
            running &= best.bound > target
            at = np.flatnonzero(running)
            if not len(at):
                break
            old = state.at(at)
            new, accepted = self._step(old, at_vertices[at], back[at], lift[at])
            state.put(at, new)
            slopes = (back[at] @ (at_vertices[at] + new.above)[..., None])[..., 0]
            bound = new.phi.max(axis=1) + _shortfall(forward[at], slopes, at_vertices[at], cells.ends)
            wins = accepted & (bound < best.bound[at])
            won = at[wins]
            best.slopes[won], best.levels[won], best.bound[won] = slopes[wins], new.levels[wins], bound[wins]
            normal = new.weights[wins] / new.weights[wins].sum(axis=1, keepdims=True)
            best.means[won], best.free[won] = self._means(new.shares[wins], normal), self._law(normal)
            gap = (new.above * new.duals).sum(axis=1) + ((new.t[:, None] - new.phi) * new.weights).sum(axis=1)
            running[at[accepted & (gap < ENOUGH * height[at])]] = False
        return replace(best, bound=np.minimum(best.bound, cells.bound))

    def _start(
        self, cells: Cells, forward: np.ndarray, back: np.ndarray, at_vertices: np.ndarray, least: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """The better of the parent's slopes and the chords; far from the first, interior points lose their way."""
        inherited = np.maximum((forward @ cells.slopes[..., None])[..., 0] - at_vertices, least)
        found = []
        for above, levels in ((inherited, cells.levels), (least, np.log(np.maximum(cells.free, 1e-9)))):
            phi, shares = self._pieces((back @ (at_vertices + above)[..., None])[..., 0], levels)
            found.append((above, levels, phi, shares))
        chords = np.flatnonzero(found[1][2].max(axis=1) < found[0][2].max(axis=1))
        chosen = tuple(field.copy() for field in found[0])
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

    def _step(
        self, old: _State, at_vertices: np.ndarray, back: np.ndarray, lift: np.ndarray
    ) -> tuple[_State, np.ndarray]:
        """One primal-dual step, damped in the change of the logarithms and taken only where the barrier falls."""
        count, n = old.above.shape
        width = self.features.shape[1]
        slack = old.t[:, None] - old.phi
        barrier = 0.1 * ((old.above * old.duals).sum(axis=1) + (slack * old.weights).sum(axis=1)) / (n + slack.shape[1])
        slopes_of = np.stack(
            [old.shares[:, a:b] @ self.features[a:b] for a, b in pairwise([*self.starts.tolist(), len(self.piece)])],
            axis=1,
        )
        mass = old.shares * old.weights[:, self.piece]
        hessian = (mass @ self.squares).reshape(count, width, width)
        hessian -= np.swapaxes(slopes_of * old.weights[:, :, None], 1, 2) @ slopes_of
        hessian += old.damping[:, None, None] * self.metric
        jacobian = slopes_of @ lift
        ratio = old.weights / slack

        system = np.zeros((count, width + 1, width + 1))
        system[:, :width, :width] = np.swapaxes(lift, 1, 2) @ hessian @ lift
        system[:, :width, :width] += np.swapaxes(jacobian * ratio[:, :, None], 1, 2) @ jacobian
        own, rest = np.arange(n), np.arange(n, width)
        system[:, own, own] += old.duals / old.above
        system[:, n:width, n:width] += 1.0  # a common shift of all levels changes nothing (s = 1): hold it
        system[:, rest, rest] += 1e-12
        edge = -(jacobian * ratio[:, :, None]).sum(axis=1)
        system[:, :width, width] = edge
        system[:, width, :width] = edge
        system[:, width, width] = ratio.sum(axis=1)
        right = np.zeros((count, width + 1))
        right[:, :width] = -(jacobian * (barrier[:, None] / slack)[:, :, None]).sum(axis=1)
        right[:, :n] += barrier[:, None] / old.above
        right[:, width] = (barrier[:, None] / slack).sum(axis=1) - 1
        move, solved = _solve(system, right)

        d_above, d_levels, d_t = move[:, :n], move[:, n:width], move[:, width]
        d_slack = d_t[:, None] - (jacobian @ move[:, :width, None])[..., 0]
        d_weights = barrier[:, None] / slack - old.weights - ratio * d_slack
        d_duals = barrier[:, None] / old.above - old.duals - old.duals / old.above * d_above
        change = np.ptp((lift @ move[:, :width, None])[..., 0] @ self.features.T, axis=1)
        length = np.minimum(1.0, REACH / np.maximum(change, 1e-300))
        length = np.minimum(length, _room(old.above, d_above))
        dual_length = np.minimum(_room(old.weights, d_weights), _room(old.duals, d_duals))

        above = old.above + length[:, None] * d_above
        levels = old.levels + length[:, None] * d_levels
        phi, shares = self._pieces((back @ (at_vertices + above)[..., None])[..., 0], levels)
        t = _centre(old.t + length * d_t, phi, barrier)
        before = old.t - barrier * (np.log(slack).sum(axis=1) + np.log(old.above).sum(axis=1))
        after = t - barrier * (np.log(t[:, None] - phi).sum(axis=1) + np.log(above).sum(axis=1))
        accepted = solved & (after <= before + 1e-15 * (1 + np.abs(before)))
        damping = np.where(accepted, 0.1 * old.damping, np.maximum(10 * old.damping, 1e-4))
        moved = _State(
            above,
            levels,
            t,
            phi,
            shares,
            old.duals + dual_length[:, None] * d_duals,
            old.weights + dual_length[:, None] * d_weights,
            damping,
        )
        rejected = np.flatnonzero(~accepted)
        moved.put(rejected, old.at(rejected)._replace(damping=damping[rejected]))
        return moved, accepted


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


def _shortfall(forward: np.ndarray, slopes: np.ndarray, at_vertices: np.ndarray, ends: list[int]) -> np.ndarray:
    """By how much rounding has put the linear functions below the entropies at a vertex; raising them costs that."""
    above = (forward @ slopes[..., None])[..., 0] - at_vertices
    found = np.zeros(len(slopes))
    for a, b in pairwise(ends):
        found += np.maximum(-above[:, a:b].min(axis=1), 0.0)
    return found


def _room(values: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The longest step, at most one, that keeps positive values positive."""
    if not values.shape[1]:
        return np.ones(len(values))
    return np.asarray(np.minimum(1.0, 0.95 / np.maximum((-change / values).max(axis=1), 1e-300)))


def _centre(t: np.ndarray, phi: np.ndarray, barrier: np.ndarray) -> np.ndarray:
    """The ``t`` above all pieces that is best for the barrier, by Newton's method."""
    top = phi.max(axis=1)
    t = np.maximum(t, top + 0.5 * barrier)
    for _ in range(4):
        inverse = 1 / (t[:, None] - phi)
        step = (1 - barrier * inverse.sum(axis=1)) / (barrier * (inverse * inverse).sum(axis=1))
        t = np.maximum(t - step, top + 0.1 * (t - top))
    return np.asarray(t)
