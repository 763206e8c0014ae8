"""Samples to an entropy vector, with an interval or a refusal."""

from bounds.estimators.base import MAX_UNSEEN, MIN_COVERAGE, MIN_DISTINCT, Estimate
from bounds.estimators.choice import ESTIMATORS, INTERVALS, check_request, estimate
from bounds.estimators.per_subset import estimate_per_subset

__all__ = [
    "ESTIMATORS",
    "INTERVALS",
    "MAX_UNSEEN",
    "MIN_COVERAGE",
    "MIN_DISTINCT",
    "Estimate",
    "check_request",
    "estimate",
    "estimate_per_subset",
]
