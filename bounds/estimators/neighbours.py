"""Entropies of continuous and mixed columns from distances to nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, ndtri, polygamma

from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.estimators.base import MAX_UNSEEN, Estimate, tied
from bounds.layout import Layout
from bounds.neighbour_interval import NeighbourInterval
from bounds.progress import Track, no_progress
from bounds.samples import Samples

NEIGHBOURS = "neighbours"

#: Neighbours to which a distance is taken.
NEIGHBOUR = 3
#: Fewest rows, and most continuous columns, for which intervals were seen to cover (tests/test_neighbours.py).
MIN_ROWS, MAX_DIMENSION = 200, 3
#: Most counts of neighbours, one for each row and subset: some minutes.
MAX_COUNTS = 2**24

#: Between two symbols, far more than between bent columns, which are at most 8 from zero.
_SPACING = 1e3
#: Distances between scores are known up to their rounding.
_ROUNDING = 1e-14


def estimate_neighbours(samples: Samples, reason: str, block: int = 1, track: Track = no_progress) -> Estimate:
    """Entropies of data with at least one continuous column, with an asymptotic interval or none.

    Every row has one neighbourhood for all subsets: the cube that reaches its third neighbour in all columns together
    (Kozachenko and Leonenko 1987; Kraskov, Stoegbauer and Grassberger 2004), inside which symbols agree (Gao, Kannan,
    Oh and Viswanath 2017; Mesner and Shalizi 2020). With ``rho`` half its side and ``n_A`` the rows strictly inside in
    the columns of ``A``, the row itself among them, ``h(A)`` is the mean of ``psi(N) - psi(n_A) + d_A ln(2 rho)``,
    where ``d_A`` columns are continuous. So ``rho`` cancels in total correlations. Continuous columns are bent to be
    nearly normal first, and the slopes of the bend enter the entropies: heavy tails and skew of a column do no harm.

    Raises:
        InputError: fewer rows than ``MIN_ROWS``, more continuous columns than ``MAX_DIMENSION``, ties among continuous
            columns, symbols that hardly repeat, or too much to count.
    """
    _check(samples)
    layout, n = samples.layout, samples.n
    view = _View.of(samples)
    near, wide = view.cubes(NEIGHBOUR), view.cubes(2 * NEIGHBOUR)
    local: dict[int, np.ndarray] = {}
    noise: dict[int, float] = {}
    wider: dict[int, float] = {}
    for mask in track(layout.unit_masks, "entropies", len(layout.unit_masks)):
        own = layout.variables_of_units(mask)
        local[mask], counts = view.terms(own, near)
        noise[mask] = float(polygamma(1, counts).mean()) if own else 0.0
        wider[mask] = float(view.terms(own, wide)[0].mean())
    values = {mask: float(terms.mean()) for mask, terms in local.items()}
    interval = NeighbourInterval(n, local, noise, wider, _dimensions(layout, view.continuous), NEIGHBOUR, block)
    vector = EntropyVector.over_units(
        layout, values, "differential", method=f"{NEIGHBOURS} (third), N={n}", interval=interval
    )
    return Estimate(vector, NEIGHBOURS, f"{NEIGHBOURS}: {reason}")


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

    @classmethod
    def of(cls, samples: Samples) -> _View:
        from scipy.spatial import cKDTree

        continuous = [not alphabet for alphabet in samples.alphabets]
        bent = [
            _bent(column) if smooth else (_SPACING * column, np.zeros(samples.n))
            for column, smooth in zip(samples.columns, continuous, strict=True)
        ]
        rows = np.column_stack([column for column, _ in bent])
        reach = 2 * NEIGHBOUR
        distances = cKDTree(rows).query(rows, reach + 1, p=np.inf)[0][:, 1:]
        distances = np.where(distances < _SPACING / 2, distances, np.nan)
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

        A row that is alone with its symbols has no cube: it gets the mean of the others.
        """
        n, d = self.rows.shape
        if not own:
            return np.zeros(n), np.ones(n)
        found = cubes.inside > 0
        rho = cubes.rho[found]
        symbols = [v for v in own if not self.continuous[v]]
        smooth = [v for v in own if self.continuous[v]]
        counts = cubes.inside[found]
        if len(own) < d:
            counts = _counts(self.rows[:, symbols], self.rows[:, smooth], found, rho - _ROUNDING)
        terms = digamma(n) - digamma(counts) + len(smooth) * np.log(2 * rho)
        terms -= self.log_slopes[:, list(own)][found].sum(axis=1)
        every = np.full(n, terms.mean())
        every[found] = terms
        return every, counts


def _counts(symbols: np.ndarray, smooth: np.ndarray, found: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Rows with the symbols of each row that was found and within its radius in all smooth columns, itself among them.

    Symbol by symbol, since rows that are the same are many, and a tree would visit each pair of them.
    """
    n, d = smooth.shape
    within = np.full(n, -1.0)
    within[found] = radius
    counts = np.zeros(n, dtype=np.intp)
    groups = np.unique(symbols, axis=0, return_inverse=True)[1] if symbols.shape[1] else np.zeros(n, dtype=np.intp)
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


def _dimensions(layout: Layout, continuous: Sequence[bool]) -> dict[int, tuple[int, ...]]:
    """For each subset its continuous columns."""
    return {mask: tuple(v for v in layout.variables_of_units(mask) if continuous[v]) for mask in layout.unit_masks}


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
