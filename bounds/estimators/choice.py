"""Which estimator a dataset gets, and why."""

from __future__ import annotations

from bounds.errors import InputError
from bounds.estimators.base import Estimate, tied
from bounds.estimators.discrete import DISCRETE, estimate_discrete
from bounds.estimators.gaussian import GAUSSIAN, estimate_gaussian
from bounds.progress import Track, no_progress
from bounds.samples import Samples
from bounds.statistics import JointCounts, Moments

ESTIMATORS: tuple[str, ...] = ("auto", *DISCRETE, *GAUSSIAN)

#: Rows for each dimension below which ``auto`` shrinks the covariance.
ROWS_PER_DIMENSION = 5


def estimate(samples: Samples | JointCounts | Moments, estimator: str = "auto", track: Track = no_progress) -> Estimate:
    """Entropies of all subsets of the modalities of a data set.

    ``auto`` takes Chao-Wang-Jost for discrete data, and for continuous data a Gaussian copula, or a Gaussian with
    Ledoit-Wolf shrinkage where columns have many ties or there are fewer than 5 rows a column.

    Raises:
        InputError: an unknown estimator, one for the other kind of data, mixed data, too few rows, or continuous
            columns that are linear functions of others. The source of the data is named, unless it is arrays.
    """
    if estimator not in ESTIMATORS:
        raise InputError(f"unknown estimator {estimator!r}: use one of {', '.join(ESTIMATORS)}")
    try:
        return _estimate(samples, estimator, track)
    except InputError as error:
        raise InputError(f"{samples.source}: {error}" if samples.source != "arrays" else str(error)) from None


def _estimate(samples: Samples | JointCounts | Moments, estimator: str, track: Track) -> Estimate:
    if not isinstance(samples, Samples):  # a guard until the estimators take statistics: they would ignore counts
        raise InputError("no estimator takes joint counts or moments yet: read the rows into memory")
    if samples.kind == "mixed":
        kinds = ", ".join(f"{name} is {kind}" for name, kind in zip(samples.names, samples.types, strict=True))
        raise InputError(
            f"the data mix discrete and continuous columns ({kinds}) and no estimator here supports that: declare "
            "types so that all columns are of one kind, or leave the others out"
        )
    if estimator == "auto":
        chosen, reason = _choose(samples)
    else:
        chosen, reason = estimator, "as asked for"
    if (chosen in DISCRETE) != (samples.kind == "discrete"):
        raise InputError(
            f"estimator {chosen!r} is for {'discrete' if chosen in DISCRETE else 'continuous'} data, these are "
            f"{samples.kind}: use another, or declare the types of the columns"
        )
    return (estimate_discrete if chosen in DISCRETE else estimate_gaussian)(samples, chosen, reason, track)


def _choose(samples: Samples) -> tuple[str, str]:
    if samples.kind == "discrete":
        return "chao-wang-jost", "discrete data: corrects for values not seen, needs no alphabet size"
    dimension = len(samples.columns)
    if samples.n < ROWS_PER_DIMENSION * dimension:
        return "gaussian-shrinkage", f"fewer than {ROWS_PER_DIMENSION} rows a column ({samples.n} for {dimension})"
    if tied(samples):
        return "gaussian-shrinkage", "columns with many ties have no ranks for a copula"
    return "gaussian-copula", "continuous data without many ties: assumes a Gaussian copula, nothing about the margins"
