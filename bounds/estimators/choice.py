"""Which estimator a dataset gets, and why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from bounds.collinearity import named
from bounds.copula_check import FALSE_ALARMS, unlike_gaussian
from bounds.errors import InputError, NoEstimateError
from bounds.estimators.base import Estimate, tied
from bounds.estimators.discrete import DISCRETE, estimate_discrete
from bounds.estimators.gaussian import GAUSSIAN, estimate_gaussian
from bounds.estimators.neighbours import MAX_COUNTS, MAX_DIMENSION, MIN_ROWS, NEIGHBOURS, estimate_neighbours
from bounds.functional import Functional
from bounds.neighbour_interval import NeighbourInterval
from bounds.progress import Track, no_progress
from bounds.row_order import alike_neighbours
from bounds.samples import Samples
from bounds.statistics import JointCounts, Moments

ESTIMATORS: tuple[str, ...] = ("auto", *DISCRETE, *GAUSSIAN, NEIGHBOURS)
INTERVALS = ("auto", "guaranteed")

#: Estimators that need no rows.
_OF_STATISTICS = ("auto", *DISCRETE, "gaussian")
_NEIGHBOURS_FOR = ("continuous", "mixed")
#: Rows up to which neighbours are asked whether they contradict a copula: a second or two.
_MOST_COMPARED = 100_000
#: Numbers of which squares, or distances, are floating-point numbers vary more than this.
_LEAST_SQUARE, _LEAST_DISTANCE = 1e-152, 1e-305
#: Rows for each dimension below which ``auto`` shrinks the covariance.
ROWS_PER_DIMENSION = 5


def estimate(
    data: Samples | JointCounts | Moments,
    estimator: str = "auto",
    *,
    interval: str = "auto",
    block: int = 1,
    track: Track = no_progress,
) -> Estimate:
    """Entropies of all subsets of the modalities of a data set.

    ``auto`` takes Chao-Wang-Jost for discrete data, and for continuous data a Gaussian copula, or a Gaussian with
    Ledoit-Wolf shrinkage where columns have many ties or there are fewer than 5 rows a column. Data with columns of
    both kinds get nearest neighbours, and so do up to 3 continuous columns whose ranks are not those of a Gaussian
    copula, or whose total correlation from neighbours contradicts it.

    Args:
        data: rows, or statistics that stand for them: joint counts for the estimators of discrete data, moments for
            ``gaussian``.
        estimator: one of ``ESTIMATORS``.
        interval: ``auto``, the narrowest that the data justify, or ``guaranteed``, which only discrete data have.
        block: rows of a time series that depend on each other; 1 for independent rows.
        track: shows progress.

    Raises:
        InputError: an unknown estimator or interval, blocks that do not fit the rows, or of statistics, which have lost
            the order of rows.
        NoEstimateError: an estimator for the other kind of data, too few rows, or continuous columns that are linear
            functions of others. The source of the data is named, unless it is arrays.
    """
    check_request(estimator, interval, block, of_rows=isinstance(data, Samples))
    if block > data.n // 2:
        raise InputError(f"block={block}: give the rows that depend on each other, at most half of the {data.n} rows")
    try:
        found = _estimate(data, estimator, interval, block, track)
    except InputError as error:
        raise NoEstimateError(f"{data.source}: {error}" if data.source != "arrays" else str(error)) from None
    alike = alike_neighbours(data) if isinstance(data, Samples) and block == 1 else ()
    if not alike:
        return found
    warning = (
        f"neighbouring rows are alike ({named(alike)}), and intervals assume independent rows: for a time series "
        "say how many rows depend on each other (--block); if the file is only sorted, nothing is wrong"
    )
    return replace(found, warnings=(*found.warnings, warning))


def check_request(estimator: str, interval: str, block: int, *, of_rows: bool) -> None:
    """Refuses, before data are read, what :func:`estimate` does for none, or for no statistics.

    Args:
        estimator, interval, block: as there.
        of_rows: whether the data will be rows, and not statistics that stand for them.

    Raises:
        InputError: an unknown estimator or interval, no block, or what needs rows where there are none.
    """
    if estimator not in ESTIMATORS:
        raise InputError(f"unknown estimator {estimator!r}: use one of {', '.join(ESTIMATORS)}")
    if interval not in INTERVALS:
        raise InputError(f"unknown interval {interval!r}: use one of {', '.join(INTERVALS)}")
    if isinstance(block, bool) or not isinstance(block, int | np.integer):
        raise InputError(f"block={block!r}: give a whole number of rows")
    if block < 1:
        raise InputError(f"block={block}: give the rows that depend on each other, 1 if none do")
    if of_rows:
        return
    if block > 1:
        raise InputError("block needs rows in their order, and a stream keeps statistics alone: read them into memory")
    if estimator not in _OF_STATISTICS:
        raise InputError(
            f"{estimator} needs rows, and a stream keeps statistics alone: use one of {', '.join(_OF_STATISTICS)}"
        )


def _check_scales(data: Samples | Moments, least: float) -> None:
    """Refuses columns of numbers that vary by less than this, or by more than its inverse."""
    layout = data.layout
    if isinstance(data, Moments):
        spreads = {v: math.sqrt(data.cov[v, v]) for v in range(layout.n_variables)}
    else:
        spreads = {v: float(np.ptp(data.columns[v])) for v, alphabet in enumerate(data.alphabets) if not alphabet}
    for v, spread in spreads.items():
        if not least < spread < 1 / least and spread != 0:
            much = "little" if spread < 1 else "much"
            raise InputError(
                f"column {layout.unit_names[v]!r} varies by {spread:.1e}, too {much} to compute with: rescale it"
            )


def _estimate(
    data: Samples | JointCounts | Moments, estimator: str, interval: str, block: int, track: Track
) -> Estimate:
    chosen, reason = (estimator, "as asked for") if estimator != "auto" else _choose(data)
    for_kinds = ("discrete",) if chosen in DISCRETE else ("continuous",) if chosen in GAUSSIAN else _NEIGHBOURS_FOR
    if data.kind not in for_kinds:
        raise InputError(
            f"estimator {chosen!r} is for {' and '.join(for_kinds)} data, these are {data.kind}: use another, or "
            "declare the types of the columns"
        )
    if isinstance(data, JointCounts) or (isinstance(data, Samples) and data.kind == "discrete"):
        table = data if isinstance(data, JointCounts) else JointCounts.of(data)
        return estimate_discrete(table, chosen, reason, interval, block, track)
    _check_scales(data, _LEAST_DISTANCE if chosen == NEIGHBOURS else _LEAST_SQUARE)
    if interval == "guaranteed":
        raise InputError("no interval of continuous data is guaranteed without assumptions: use interval='auto'")
    if chosen == NEIGHBOURS:
        assert isinstance(data, Samples)
        return estimate_neighbours(data, reason, block, track)
    return estimate_gaussian(data, chosen, reason, block, track)


def _choose(samples: Samples | JointCounts | Moments) -> tuple[str, str]:
    if isinstance(samples, Moments):
        return "gaussian", "means and covariances are all that is left of the rows"
    if isinstance(samples, JointCounts) or samples.kind == "discrete":
        return "chao-wang-jost", "discrete data: corrects for values not seen, needs no alphabet size"
    if samples.kind == "mixed":
        return NEIGHBOURS, "discrete and continuous columns together, whatever their law"
    dimension = len(samples.columns)
    if samples.n < ROWS_PER_DIMENSION * dimension:
        return "gaussian-shrinkage", f"fewer than {ROWS_PER_DIMENSION} rows a column ({samples.n} for {dimension})"
    if tied(samples):
        return "gaussian-shrinkage", "columns with many ties have no ranks for a copula"
    _check_scales(samples, _LEAST_SQUARE)
    if why := _no_copula(samples):
        return NEIGHBOURS, f"continuous data, and {why}"
    return "gaussian-copula", "continuous data without many ties: assumes a Gaussian copula, nothing about the margins"


def _no_copula(samples: Samples) -> str:
    """Why few columns have no Gaussian copula, where neighbours can serve them; nothing if they may have one."""
    dimension, n = len(samples.columns), samples.n
    if not (2 <= dimension <= MAX_DIMENSION and n >= MIN_ROWS and n * len(samples.layout.unit_masks) <= MAX_COUNTS):
        return ""
    pair = unlike_gaussian(np.column_stack(samples.columns))
    if pair is not None:
        return f"the ranks of {named([samples.layout.unit_names[v] for v in pair])} are not those of a Gaussian copula"
    if n > _MOST_COMPARED:
        return ""
    alone = Samples.from_arrays({f"X{i}": column for i, column in enumerate(samples.columns)}, source=samples.source)
    correlation = Functional(alone.names, {**{1 << i: 1 for i in range(dimension)}, (1 << dimension) - 1: -1})
    try:
        near = estimate_neighbours(alone, "").entropies
        model = estimate_gaussian(alone, "gaussian-copula", "").entropies.evaluate(correlation)
    except InputError:  # which cannot be compared
        return ""
    # neighbours are biased towards less dependence, so more of it is no bias
    assert isinstance(near.interval, NeighbourInterval)
    found = near.evaluate(correlation, confidence=1 - FALSE_ALARMS)
    more = float(found if found.value is not None else model) - float(model)
    outside = found.low is not None and found.high is not None and not found.low <= float(model) <= found.high
    if not outside and more <= float(ndtri(1 - FALSE_ALARMS)) * near.interval.standard_error(correlation):
        return ""
    return "neighbours, which need no model, contradict the total correlation of a Gaussian copula"
