"""The largest value of ``G``, with proof: branch and bound over decoders (THEORY T4).

``ln sup G`` is a supremum over laws on rows (:mod:`bounds.dual.relaxation`). The means of every such law lie in some
cell, and the cell's bound is above all laws with means in it. Cells whose bound is above the target are split until
none is left, or a decoder above the target is found, or time is up; the largest bound of a cell is then still a bound
for all decoders.

Reductions that leave the maximum as it is:

- rows with one target are one row;
- a symbol that no target contains is dropped, and a unit with one symbol left;
- a unit whose targets are all points (it is a function of every encoded subset) splits the rows: where it has symbol
  ``x`` only the rows of ``x`` count, ``-H`` is convex in the other units, so the maximum is that of one symbol alone
  (for ``s >= 1``).

**Rounding.** Everything is computed in float64 from targets that carry rounding errors of their own, at most
``SAME = 1e-14`` in an entry, which is also how far merged rows may differ. In the variational form
(:mod:`bounds.dual.relaxation`) a change of unit ``m``'s targets by ``e`` in total variation moves ``H(y_m)`` by at most
``e ln k_m + h(e)``, ``h`` the binary entropy (Fannes' inequality), and ``e <= k_m SAME``; sums, products and ``exp``
add relative errors of some hundred units in the last place, :data:`ARITHMETIC`. :func:`rounding` is the sum: 5e-12 for
three units of 4 symbols, 7e-11 for two of 100. It is added to every bound: certified is the law as given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, pairwise

import numpy as np

from bounds.dual.cells import Cells
from bounds.dual.program import SAME, DecoderProgram
from bounds.dual.relaxation import Relaxation

#: What the arithmetic of a bound can have moved it by.
ARITHMETIC = 1e-12
#: Terms, times the squares of their features, that one bound may need; beyond, it is not tried.
LARGEST = 100_000_000
#: A cell is not split where its chords are lower than this part of what it lacks: the relaxation has failed on it.
FUTILE = 0.01
#: Cells with which each choice of the free unit is tried.
TRIAL = 128
#: Cells that are bounded at once at least, where arrays are small: so few take as long as one.
TOGETHER = 16


@dataclass(frozen=True, eq=False)
class InnerBound:
    """``ln sup_v G(v) <= high``.

    Attributes:
        high: the bound.
        cells: how many were bounded.
        open_cells: how many are above the target; zero when it is reached.
        violation: a decoder ``(sum k_m,)`` above the target, if one was met; then ``high`` is infinite.
    """

    high: float
    cells: int
    open_cells: int
    violation: np.ndarray | None = None


def rounding(program: DecoderProgram) -> float:
    """What rounding can have moved ``ln sup_v G`` by.

    >>> tiny = DecoderProgram(np.ones(1), (np.full((1, 4), 0.25),) * 3)
    >>> 4e-12 < rounding(tiny) < 6e-12
    True
    """
    found = ARITHMETIC
    for target in program.targets:
        size = target.shape[1]
        change = size * SAME
        found += program.power * (change * math.log(size) - change * math.log(change) + change)
    return found


def bound_inner(
    program: DecoderProgram,
    scores: np.ndarray,
    target: float,
    *,
    seconds: float = math.inf,
    progress: Callable[[int, int, float], None] | None = None,
) -> InnerBound:
    """Bounds ``ln sup_v sum_r a_r prod_m prod_x v_m(x)^(s C_rm(x))``.

    Args:
        program: its targets and power.
        scores: ``(R,)``, positive ``a_r``.
        target: stop where this is proved.
        seconds: stop then in any case, with what has been proved. A problem larger than :data:`LARGEST` is not tried.
        progress: told the number of cells so far, of those open, and the bound.
    """
    clock = time.monotonic()
    high, cells, open_cells, slack = target, 0, 0, rounding(program)
    for part in _parts(_Part(scores, program.targets, tuple(range(len(program.targets))), {}), program.power):
        part = _tidy(part)
        left = seconds - (time.monotonic() - clock)
        found = _search(part, program.power, target - slack, slack, left, progress)
        cells += found.cells
        open_cells += found.open_cells
        if found.violation is not None:
            return InnerBound(math.inf, cells, open_cells, _restore(part, found.violation, program))
        high = max(high, found.high + slack)
    return InnerBound(high, cells, open_cells)


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows of a sub-problem: their scores and targets, which unit each target is, and what is fixed elsewhere."""

    scores: np.ndarray
    targets: tuple[np.ndarray, ...]
    units: tuple[int, ...]
    fixed: dict[int, int]
    kept: tuple[np.ndarray, ...] = field(default=())


def _parts(part: _Part, power: float) -> list[_Part]:
    """The sub-problems of the symbols of units whose targets are all points."""
    if power >= 1:
        for m, target in enumerate(part.targets):
            if target.shape[1] > 1 and (target.max(axis=1) == 1).all():
                found = []
                for x in range(target.shape[1]):
                    rows = target[:, x] == 1
                    if rows.any():
                        rest = tuple(c[rows] for j, c in enumerate(part.targets) if j != m)
                        units = tuple(u for j, u in enumerate(part.units) if j != m)
                        one = _Part(part.scores[rows], rest, units, {**part.fixed, part.units[m]: x})
                        found += _parts(one, power)
                return found
    return [part]


def _tidy(part: _Part) -> _Part:
    """Merges equal rows and drops symbols that no target contains, and units that then have one symbol."""
    merged = DecoderProgram(part.scores, part.targets).merged()
    used = [np.flatnonzero(c.max(axis=0) > 0) for c in merged.targets]
    several = [m for m, symbols in enumerate(used) if len(symbols) > 1]
    fixed = {part.units[m]: int(used[m][0]) for m in range(len(used)) if m not in several}
    return _Part(
        merged.mass,
        tuple(merged.targets[m][:, used[m]] for m in several),
        tuple(part.units[m] for m in several),
        {**part.fixed, **fixed},
        tuple(used[m] for m in several),
    )


def _restore(part: _Part, blocks: list[np.ndarray], program: DecoderProgram) -> np.ndarray:
    """Decoders of all units from those of a part."""
    v = np.zeros(program.starts[-1])
    for unit, x in part.fixed.items():
        v[program.starts[unit] + x] = 1.0
    for unit, symbols, block in zip(part.units, part.kept, blocks, strict=True):
        v[program.starts[unit] + symbols] = block
    return v


@dataclass(frozen=True, eq=False)
class _Found:
    high: float
    cells: int
    open_cells: int
    violation: list[np.ndarray] | None = None


def _search(
    part: _Part,
    power: float,
    target: float,
    slack: float,
    seconds: float,
    progress: Callable[[int, int, float], None] | None,
) -> _Found:
    clock = time.monotonic()
    if not part.targets:
        value = math.log(math.fsum(part.scores))
        return _Found(value, 1, int(value > target), [] if value > target + 2 * slack else None)
    width = sum(c.shape[1] for c in part.targets)
    if width**2 * sum(np.count_nonzero(c) for c in part.targets) > LARGEST:
        return _Found(math.inf, 0, 1)
    choices: list[int | None] = list(range(len(part.targets))) if power <= 1 else [None]
    trials: list[tuple[float, int, _Branching]] = []
    looks = [_looks(part, free) for free in choices]
    tried = [free for place, free in enumerate(choices) if looks[place] not in looks[:place]]
    for place, free in enumerate(tried):
        trial = _Branching(part, power, free, target, slack)
        trial.run(TRIAL if len(choices) > 1 else 0, seconds - (time.monotonic() - clock))
        if trial.violation is not None or not trial.open_cells:
            trials = [(-math.inf, place, trial)]
            break
        trials.append((trial.high, place, trial))
    # the best choice first; another only where it has failed
    trials.sort(key=lambda item: item[:2])
    cells, least = 0, trials[0][2]
    others = (_Branching(part, power, free, target, slack) for free in choices if free not in tried)
    for trial in chain([trial for _, _, trial in trials], others):
        if trial.violation is None:
            trial.run(math.inf, seconds - (time.monotonic() - clock), progress)
        cells += trial.count
        if trial.violation is not None or trial.high < least.high:
            least = trial
        if trial.violation is not None or not trial.open_cells or time.monotonic() - clock > seconds:
            break
    return _Found(least.high, cells, least.open_cells, least.violation)


def _looks(part: _Part, unit: int | None) -> bytes:
    """Scores and targets of a unit in any order of rows. Of those that look alike one is tried."""
    columns = [part.scores] if unit is None else [part.scores, part.targets[unit]]
    rows = np.round(np.column_stack(columns), 6)
    return rows[np.lexsort(rows.T)].tobytes()


class _Branching:
    """Branch and bound with one choice of the free unit; it can be stopped and go on."""

    def __init__(self, part: _Part, power: float, free: int | None, target: float, slack: float) -> None:
        self.free = free
        self.slack = slack
        self.target = target
        divided = tuple(c for m, c in enumerate(part.targets) if m != free)
        self.relaxation = Relaxation(part.scores, divided, None if free is None else part.targets[free], power)
        self.cells = self.relaxation.whole()
        self.count = 1
        self.violation: list[np.ndarray] | None = None
        self._look(self.cells)
        self._prune()

    @property
    def open_cells(self) -> int:
        return len(self.cells)

    @property
    def high(self) -> float:
        # a NaN proves nothing
        return float(np.where(np.isnan(self.cells.bound), np.inf, self.cells.bound).max(initial=self.target))

    def run(self, most: float, seconds: float, progress: Callable[[int, int, float], None] | None = None) -> None:
        """Splits cells until ``most`` have been bounded or time is up: those with the largest bounds first, few of them
        more than once.
        """
        clock = time.monotonic()
        while self.open_cells and self.violation is None and self.count < most:
            height = self.relaxation.power * self.cells.heights.sum(axis=1)
            divisible = np.flatnonzero(height > FUTILE * (self.cells.bound - self.target))
            if time.monotonic() - clock > seconds or not len(divisible):
                return
            size = min(self.relaxation.batch, len(divisible))
            chosen = divisible[np.argpartition(-self.cells.bound[divisible], size - 1)[:size]]
            parts = self.cells.take(chosen).split()
            while len(parts) < min(TOGETHER, self.relaxation.batch):
                parts = parts.split()
            parts = self.relaxation.tighten(parts, self.target)
            self.count += len(parts)
            self._look(parts)
            self.cells = self.cells.take(np.setdiff1d(np.arange(self.open_cells), chosen)).join(parts)
            self._prune()
            if progress is not None:
                progress(self.count, self.open_cells, self.high)

    def _prune(self) -> None:
        # a NaN is not below the target and stays
        self.cells = self.cells.take(np.flatnonzero(~(self.cells.bound <= self.target)))

    def _look(self, cells: Cells) -> None:
        """Is a relaxed maximum a decoder above the target?"""
        values = self.relaxation.log_value(cells.means, cells.free)
        best = int(values.argmax())
        # above by more than rounding, or the outer problem would be asked to improve on noise
        if values[best] > self.target + 2 * self.slack:
            ends = [0, *np.cumsum(cells.sizes, dtype=int).tolist()]
            blocks = [cells.means[best, a:b] for a, b in pairwise(ends)]
            if self.free is not None:
                blocks.insert(self.free, cells.free[best])
            self.violation = [block / block.sum() for block in blocks]
