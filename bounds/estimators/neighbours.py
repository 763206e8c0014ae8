"""Entropies of continuous and mixed columns from distances to nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import digamma, ndtri, polygamma

from bounds.collinearity import named
from bounds.columns import smallest_step
from bounds.discrete_entropy import chao_wang_jost
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.estimators.base import MAX_UNSEEN, Estimate, once_said, tied
from bounds.layout import Layout
from bounds.neighbour_interval import NeighbourInterval
from bounds.progress import Track, no_progress
from bounds.rare_symbols import log_alphabet, times_seen
from bounds.samples import Samples

NEIGHBOURS = "neighbours"

#: Neighbours to which a distance is taken.
NEIGHBOUR = 3
#: Fewest rows, and most continuous columns, for which intervals were seen to cover (tests/test_neighbours.py).
MIN_ROWS, MAX_DIMENSION = 200, 3
#: Most counts of neighbours, one for each row and subset: some minutes.
MAX_COUNTS = 2**24

#: Steps by which numbers on a grid may be off it, by rounding.
_GRID = 1e-3
#: Between two symbols, far more than between bent columns, which are at most 8 from zero.
_SPACING = 1e3
#: Distances between scores are known up to their rounding.
_ROUNDING = 1e-14


def estimate_neighbours(samples: Samples, reason: str, block: int = 1, track: Track = no_progress) -> Estimate:
    """Entropies of data with at least one continuous column, with an asymptotic interval or none.

    Every row has one neighbourhood for all subsets: the cube that reaches its third neighbour in all columns together
    (Kozachenko and Leonenko 1987; Kraskov, Stoegbauer and Grassberger 2004), inside which symbols agree (Gao, Kannan,
    Oh and Viswanath 2017; Mesner and Shalizi 2020). With ``rho`` half its side, ``n_A`` the rows strictly inside in the
    columns of ``A``, the row itself among them, and ``n_S`` those with its symbols there, ``h(A)`` is the mean of
    ``psi(N) - psi(n_S)`` over all rows, and of ``psi(n_S) - psi(n_A) + d_A ln(2 rho)`` over those that have a cube,
    where ``d_A`` columns are continuous. So ``rho`` cancels in total correlations. The first mean is moved to Chao,
    Wang and Jost's entropy of the symbols, which counts those not seen. Continuous columns are bent to be nearly normal
    first, and the slopes of the bend enter the entropies: heavy tails and skew of a column do no harm. Rounded columns
    get uniform noise as wide as their steps.

    Raises:
        InputError: fewer rows than ``MIN_ROWS``, more continuous columns than ``MAX_DIMENSION``, ties among continuous
            columns, symbols that hardly repeat, or too much to count.
    """
    _check(samples)
    layout, n = samples.layout, samples.n
    steps = _steps(samples)
    view = _View.of(samples, steps)
    near, wide = view.cubes(NEIGHBOUR), view.cubes(2 * NEIGHBOUR)
    local: dict[int, np.ndarray] = {}
    noise: dict[int, float] = {}
    wider: dict[int, np.ndarray] = {}
    alone: dict[int, np.ndarray] = {}
    for mask in track(layout.unit_masks, "entropies", len(layout.unit_masks)):
        own = layout.variables_of_units(mask)
        local[mask], counts = view.terms(own, near)
        noise[mask] = float(polygamma(1, counts).mean()) if own else 0.0
        wider[mask] = view.terms(own, wide)[0]
        if 1 < len(own) < len(view.continuous) and view.kinds(own)[1]:
            alone[mask] = view.alone(own)
    values = {mask: float(terms.mean()) for mask, terms in local.items()}
    continuous = {mask: view.kinds(layout.variables_of_units(mask))[1] for mask in layout.unit_masks}
    symbols = {mask: view.groups(layout.variables_of_units(mask)) for mask in layout.unit_masks}
    discrete = [v for v, alphabet in enumerate(samples.alphabets) if alphabet]
    logs = {v: log_alphabet(times_seen(samples.columns[v], block), samples.alphabets[v]) for v in discrete}
    alphabets = {
        mask: math.fsum(logs.get(v, 0.0) for v in layout.variables_of_units(mask)) for mask in layout.unit_masks
    }
    interval = NeighbourInterval(n, local, noise, wider, alone, continuous, symbols, alphabets, NEIGHBOUR, block)
    vector = EntropyVector.over_units(
        layout,
        values,
        "differential",
        method=f"{NEIGHBOURS} (third), N={n}",
        interval=interval,
        caveats=_rounded(layout, steps),
    )
    intervals = "asymptotic where no neighbourhood is too large and no symbol too rare, else none"
    once = {layout.unit_names[v]: int((np.bincount(samples.columns[v]) == 1).sum()) for v in discrete}
    warnings = tuple(once_said(name, count) for name, count in once.items() if count)
    return Estimate(vector, NEIGHBOURS, reason, intervals, warnings)


@dataclass(frozen=True, eq=False)
class _Cubes:
    """One neighbourhood a row: half its side, less rounding, and the rows in it when all columns count."""

    rho: np.ndarray
    inside: np.ndarray


@dataclass(frozen=True, eq=False)
class _View:
    """Rows in coordinates whose maximum norm is the distance; of symbols that differ it is huge."""

    rows: np.ndarray
    log_slopes: np.ndarray
    continuous: Sequence[bool]
    distances: np.ndarray
    _groups: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Samples, steps: Sequence[float]) -> _View:
        continuous = [not alphabet for alphabet in samples.alphabets]
        rng = np.random.default_rng(0)  # the same data have the same estimate
        bent = [
            _bent(column + step * (rng.random(samples.n) - 0.5)) if smooth else (_SPACING * column, np.zeros(samples.n))
            for column, smooth, step in zip(samples.columns, continuous, steps, strict=True)
        ]
        rows = np.column_stack([column for column, _ in bent])
        distances = _distances(rows, 2 * NEIGHBOUR)
        few = np.isnan(distances[:, NEIGHBOUR - 1]).mean()
        if few > MAX_UNSEEN:
            raise InputError(
                f"{few:.0%} of {samples.n} rows share their symbols with fewer than {NEIGHBOUR} others, so the "
                "continuous columns given these symbols are unknown: use more rows, coarser symbols or fewer columns"
            )
        return cls(rows, np.column_stack([slope for _, slope in bent]), continuous, distances)

    def cubes(self, k: int) -> _Cubes:
        """To the ``k``-th neighbour, or to the last with the same symbols where there are fewer."""
        known = (~np.isnan(self.distances[:, :k])).sum(axis=1)
        rho = self.distances[np.arange(len(known)), np.maximum(known - 1, 0)]
        if not rho[known > 0].min() > 0:
            raise InputError(
                f"{NEIGHBOUR + 1} rows or more are the same, so the continuous columns have no joint density: declare "
                "them discrete, or add the noise of their measurement"
            )
        return _Cubes(rho, known)

    def terms(self, own: Sequence[int], cubes: _Cubes) -> tuple[np.ndarray, np.ndarray]:
        """What each row adds to an entropy of columns, and how many rows are in its cube there.

        A row that is alone with its symbols has no cube: its numbers get the mean of the others.
        """
        n, d = self.rows.shape
        if not own:
            return np.zeros(n), np.ones(n)
        found = cubes.inside > 0
        rho = cubes.rho[found]
        symbols, smooth = self.kinds(own)
        counts = cubes.inside[found]
        if len(own) < d:
            counts = _counts(self.groups(own), self.rows[:, smooth], found, rho - _ROUNDING)
        sizes = np.bincount(self.groups(own))
        alike = sizes[self.groups(own)]
        numbers = digamma(alike[found]) - digamma(counts) + len(smooth) * np.log(2 * rho)
        numbers -= self.log_slopes[:, list(own)][found].sum(axis=1)
        every = np.full(n, numbers.mean())
        every[found] = numbers
        if symbols:
            every += digamma(n) - digamma(alike)
            every += chao_wang_jost(sizes) - (digamma(n) - sizes @ digamma(sizes) / n)
        return every, counts

    def alone(self, own: Sequence[int]) -> np.ndarray:
        """``(N,)``, what each row adds to the total correlation of some columns, by cubes in these columns alone."""
        rows = self.rows[:, own]
        kinds = [self.continuous[v] for v in own]
        view = _View(rows, self.log_slopes[:, own], kinds, _distances(rows, NEIGHBOUR))
        cubes = view.cubes(NEIGHBOUR)
        total = -view.terms(range(len(own)), cubes)[0]
        for v in range(len(own)):
            total += view.terms([v], cubes)[0]
        return total

    def kinds(self, own: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Which of some columns have symbols, and which numbers."""
        return tuple(v for v in own if not self.continuous[v]), tuple(v for v in own if self.continuous[v])

    def groups(self, own: Sequence[int]) -> np.ndarray:
        """``(N,)``: which symbols each row has together in some columns, as whole numbers without gaps."""
        symbols, _ = self.kinds(own)
        if not symbols:
            return np.zeros(len(self.rows), dtype=np.intp)
        if symbols not in self._groups:
            self._groups[symbols] = np.unique(self.rows[:, symbols], axis=0, return_inverse=True)[1].reshape(-1)
        return self._groups[symbols]


def _distances(rows: np.ndarray, reach: int) -> np.ndarray:
    """``(N, reach)`` to the next neighbours with the same symbols, NaN where there are fewer."""
    from scipy.spatial import cKDTree

    found = cKDTree(rows).query(rows, reach + 1, p=np.inf)[0][:, 1:]
    return np.where(found < _SPACING / 2, found, np.nan)


def _counts(groups: np.ndarray, smooth: np.ndarray, found: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Rows in the group of each row that was found and within its radius in all smooth columns, itself among them.

    Symbol by symbol, since rows that are the same are many, and a tree would visit each pair of them.
    """
    n, d = smooth.shape
    within = np.full(n, -1.0)
    within[found] = radius
    counts = np.zeros(n, dtype=np.intp)
    order = np.argsort(groups, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if d == 0:
            counts[rows] = len(rows)
        elif d == 1:
            column = smooth[rows, 0]
            line = np.sort(column)
            upper = np.searchsorted(line, column + within[rows], "right")
            counts[rows] = upper - np.searchsorted(line, column - within[rows], "left")
        else:
            counts[rows] = _in_cubes(smooth[rows], within[rows])
    chosen: np.ndarray = counts[found]
    return chosen


def _in_cubes(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Points in the cube around each of them."""
    from scipy.spatial import cKDTree

    counts: np.ndarray = cKDTree(points).query_ball_point(points, radius, p=np.inf, return_length=True)
    return counts


def _bent(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A column bent to a nearly normal one, and for each row the log slope of the bend there.

    Straight between ``cbrt(N)`` normal scores. Scores of all rows would be no more than ranks, whose distances
    are whole numbers, and neighbours on a line would be too far away.
    """
    order = np.sort(column)
    knots = np.linspace(0, len(order) - 1, round(math.cbrt(len(order)))).round().astype(np.intp)
    places, first = np.unique(order[knots], return_index=True)
    scores = ndtri((knots[first] + 0.5) / len(order))
    slopes = np.diff(scores) / np.diff(places)
    between = np.clip(np.searchsorted(places, column, "right") - 1, 0, len(slopes) - 1)
    return scores[between] + slopes[between] * (column - places[between]), np.log(slopes[between])


def _steps(samples: Samples) -> list[float]:
    """For each column what its numbers are rounded to; 0 where they are not, or for symbols."""
    found = []
    for column, alphabet in zip(samples.columns, samples.alphabets, strict=True):
        step = 0.0 if alphabet or len(np.unique(column)) == samples.n else smallest_step(column)
        places = (column - column.min()) / step if step else column
        on_a_grid = np.abs(places - np.round(places)).max() < _GRID if step else False
        found.append(step if on_a_grid else 0.0)
    return found


def _rounded(layout: Layout, steps: Sequence[float]) -> tuple[str, ...]:
    """What was done to columns that are rounded."""
    widths = [f"{name} {step:.6g}" for name, step in zip(layout.unit_names, steps, strict=True) if step]
    if not widths:
        return ()
    return (
        f"rounded columns, of step {named(widths)}: neighbours need numbers without ties, so uniform noise as wide as "
        "the step was added, and entropies are those of the noisy columns",
    )


def _check(samples: Samples) -> None:
    smooth = sum(not alphabet for alphabet in samples.alphabets)
    ties = [name for name in tied(samples) if not samples.alphabets[samples.layout.unit_names.index(name)]]
    counts = samples.n * len(samples.layout.unit_masks)
    if samples.n < MIN_ROWS:
        raise InputError(f"{samples.n} rows are too few for neighbours: they need {MIN_ROWS}")
    if smooth > MAX_DIMENSION:
        raise InputError(
            f"neighbours of {smooth} continuous columns are far away, and the bias of their entropies is larger than "
            f"any interval: give at most {MAX_DIMENSION}, or use one-sided bounds (conditional_bounds)"
        )
    if ties:
        raise InputError(f"column {ties[0]!r} has many ties, so no density: declare it discrete, each value a bin")
    if counts > MAX_COUNTS:
        raise InputError(
            f"{len(samples.layout.unit_masks)} subsets of {samples.n} rows are too many to count neighbours in: use "
            f"fewer modalities or columns, or at most {MAX_COUNTS // len(samples.layout.unit_masks)} rows"
        )
