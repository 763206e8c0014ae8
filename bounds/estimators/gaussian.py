"""Entropies of continuous columns from a covariance: as it is, shrunk, or that of normal scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import digamma, ndtri, polygamma

from bounds.collinearity import dependent, moved_by_shrinking, named, near_collinearity, standardised
from bounds.columns import smallest_step
from bounds.copula_check import unlike_gaussian
from bounds.entropies import EntropyVector, Interval
from bounds.errors import InputError
from bounds.estimators.base import Estimate, tied
from bounds.gaussian_interval import InfluenceInterval
from bounds.intervals import NoInterval
from bounds.joints import Gaussian
from bounds.lattice import correlation, half_logdet
from bounds.layout import Layout
from bounds.progress import Track, no_progress
from bounds.samples import Samples
from bounds.statistics import Moments

GAUSSIAN = ("gaussian", "gaussian-shrinkage", "gaussian-copula")

#: In simulations of independent columns delta-method intervals of shrunk covariances held the truth in 3 to 16 %.
_UNKNOWN_BIAS = NoInterval("no interval: shrinking the covariance moves every number by an amount that is not known")


def estimate_gaussian(
    data: Samples | Moments, estimator: str, reason: str, block: int = 1, track: Track = no_progress
) -> Estimate:
    """Entropies by one of ``GAUSSIAN``, with the delta-method interval.

    ``gaussian`` alone needs no rows but means and covariances, and has the same numbers from them. ``block`` is the
    number of consecutive rows that depend on each other.

    Raises:
        InputError: too few rows, or columns that are linear functions of others.
    """
    dimension = data.layout.n_variables
    if data.n < dimension + 2:
        raise InputError(
            f"{data.n} rows for {dimension} continuous columns: the covariance is singular, so a Gaussian entropy "
            "would show nothing but the shrinkage; give more rows or fewer columns"
        )
    if isinstance(data, Samples) and not (estimator == "gaussian" and block == 1):
        return _of_rows(data, estimator, reason, block, track)
    found = _of_moments(Moments.of(data) if isinstance(data, Samples) else data, reason, track)
    return found if isinstance(data, Moments) else replace(found, warnings=(*_tie_warnings(data), *found.warnings))


def _of_moments(moments: Moments, reason: str, track: Track) -> Estimate:
    """The sample covariance, with the interval of normal rows."""
    layout, n = moments.layout, moments.n
    for name, square in zip(layout.unit_names, moments.scatter.diagonal(), strict=True):
        if not square > 0:
            raise InputError(f"column {name!r} is constant in {n} rows, so it has no density: leave it out")
    cov = moments.cov
    corr = correlation(cov)
    _check_regular(corr, layout.unit_names, "the columns ")
    variables = _variables(layout)
    values = _unbiased_values(cov, n, layout, variables, track)
    interval = InfluenceInterval(n, cov, variables, values, "Gaussian law")
    return _estimate("gaussian", reason, layout, n, values, interval, near_collinearity(corr, n, layout.unit_names))


def _of_rows(samples: Samples, estimator: str, reason: str, block: int, track: Track) -> Estimate:
    layout, n = samples.layout, samples.n
    data = np.column_stack(samples.columns).astype(np.float64)
    warnings = list(_tie_warnings(samples))
    if warnings and estimator == "gaussian-copula":
        raise InputError(f"column {tied(samples)[0]!r} has many ties, a copula needs ranks: use gaussian-shrinkage")
    rows = standardised(data)
    _check_regular(rows.T @ rows / n, layout.unit_names, "the columns ")
    if estimator == "gaussian-shrinkage":
        values, cov, share = _shrunk(data, layout, track)
        warnings += _shrinkage_warning(rows, cov, share, layout.unit_names)
        return _estimate(estimator, reason, layout, n, values, _UNKNOWN_BIAS, warnings)
    fit = _copula if estimator == "gaussian-copula" else _plain
    values, interval = fit(data, layout, _variables(layout), block, track)
    corr = correlation(interval.cov)
    _check_regular(corr, layout.unit_names, "the ranks of ")
    warnings += near_collinearity(corr, n, layout.unit_names, ranks=estimator == "gaussian-copula")
    if estimator == "gaussian-copula":
        warnings += _unlike(data, layout.unit_names)
    return _estimate(estimator, reason, layout, n, values, interval, warnings)


def _estimate(
    estimator: str,
    reason: str,
    layout: Layout,
    n: int,
    values: Mapping[int, float],
    interval: Interval,
    warnings: Sequence[str],
) -> Estimate:
    vector = EntropyVector.over_units(layout, values, "differential", method=f"{estimator}, N={n}", interval=interval)
    intervals = "none" if isinstance(interval, NoInterval) else "model-based"
    return Estimate(vector, estimator, reason, intervals, tuple(warnings))


def _unlike(data: np.ndarray, names: Sequence[str]) -> list[str]:
    """A warning where the model is refuted."""
    pair = unlike_gaussian(data)
    if pair is None:
        return []
    return [
        f"the ranks of {named([names[v] for v in pair])} are not those of a Gaussian copula, so every number here is "
        "the model's, and no interval covers how far the data are from it: compare with --conditional, or for up to 3 "
        "continuous columns use neighbours"
    ]


def _variables(layout: Layout) -> dict[int, list[int]]:
    return {mask: layout.variables_of_units(mask) for mask in layout.unit_masks}


def _tie_warnings(samples: Samples) -> tuple[str, ...]:
    """Says that columns repeat most of their values."""
    ties = tied(samples)
    if not ties:
        return ()
    columns = dict(zip(samples.layout.unit_names, samples.columns, strict=True))
    shown = [f"{name} (smallest step {smallest_step(columns[name]):.6g})" for name in ties]
    return (
        f"{len(ties)} of {len(columns)} columns repeat most of their values, such as {', '.join(shown[:3])}: a "
        "density is a model of quantised data, not a property of it. For Delta and the floor declare them "
        "discrete, each value a bin, and state its width (T9)",
    )


def _check_regular(corr: np.ndarray, names: Sequence[str], what: str) -> None:
    columns = dependent(corr, names)
    if columns:
        raise InputError(
            f"the covariance is singular: of {what}{named(columns)} each is a linear function of others, so together "
            "they have no density and no bound is finite; leave one out"
        )


_Fit = tuple[dict[int, float], InfluenceInterval]


def _plain(data: np.ndarray, layout: Layout, variables: Mapping[int, list[int]], block: int, track: Track) -> _Fit:
    """The sample covariance, with the interval of the rows' own influences."""
    n = len(data)
    centred = data - data.mean(axis=0)
    cov = centred.T @ centred / (n - 1)
    values = _unbiased_values(cov, n, layout, variables, track)
    return values, InfluenceInterval(n, cov, variables, values, "Gaussian law", rows=centred, block=block)


def _unbiased_values(
    cov: np.ndarray, n: int, layout: Layout, variables: Mapping[int, list[int]], track: Track
) -> dict[int, float]:
    """Log-determinants of a sample covariance, corrected by their exact expectation under normality."""
    values = _gaussian_values(cov, layout, track)
    for mask, own in variables.items():
        values[mask] -= _logdet_bias(n, len(own))
    return values


def _shrunk(data: np.ndarray, layout: Layout, track: Track) -> tuple[dict[int, float], np.ndarray, float]:
    """The Ledoit-Wolf covariance of the standardised columns, so that it does not depend on their scales.

    Returns:
        Entropies, that covariance, and the share of it that does not depend on the data.
    """
    from sklearn.covariance import LedoitWolf

    centred = data - data.mean(axis=0)
    scale = centred.std(axis=0)
    fitted = LedoitWolf(assume_centered=True).fit(centred / scale)
    values = _gaussian_values(fitted.covariance_, layout, track)
    for mask, own in _variables(layout).items():
        values[mask] += float(np.log(scale[own]).sum())
    return values, fitted.covariance_, float(fitted.shrinkage_)


def _copula(data: np.ndarray, layout: Layout, variables: Mapping[int, list[int]], block: int, track: Track) -> _Fit:
    """Correlation of normal scores, with the margins' entropies by spacings."""
    from scipy.stats import rankdata

    n, dimension = data.shape
    rows = ndtri((rankdata(data, axis=0) - 0.5) / n)
    rows /= rows.std(axis=0)
    cov = rows.T @ rows / n
    values = _gaussian_values(cov, layout, track)
    marginal = np.column_stack([_minus_log_density(data[:, v]) for v in range(dimension)])
    margins = marginal.mean(axis=0)
    normal = 0.5 * math.log(2 * math.pi * math.e)
    single = _logdet_bias(n, 1)
    for mask, own in variables.items():
        values[mask] += float((margins[own] - normal).sum()) - _logdet_bias(n, len(own)) + len(own) * single
    return values, InfluenceInterval(
        n, cov, variables, values, "Gaussian copula", rows=rows, marginal=marginal, block=block
    )


def _gaussian_values(cov: np.ndarray, layout: Layout, track: Track) -> dict[int, float]:
    law = Gaussian(cov, layout.sizes, units="scalar")
    vector = law.unit_entropies(track)
    return {mask: vector[mask] for mask in layout.unit_masks}


def _logdet_bias(n: int, dimension: int) -> float:
    """``E[(1/2) ln det S] - (1/2) ln det Sigma`` of the sample covariance of ``n`` normal rows (exact)."""
    degrees = n - np.arange(1, dimension + 1)
    return float(0.5 * (digamma(degrees / 2).sum() + dimension * math.log(2 / (n - 1))))


def _minus_log_density(column: np.ndarray) -> np.ndarray:
    """Minus the log density of each row, from the spacing of its neighbours on either side.

    They are three, or as many as the most frequent value has rows, so that no spacing is zero. More would vary less
    between rows, and smooth the density more: with ``cbrt(N)`` the bias was a third of the standard error at N=10,000.

    The share of a law between two order statistics has a beta law, whose mean log is exact: only the change of the
    density between them is a bias.
    """
    n = len(column)
    repeated = int(np.unique(column, return_counts=True)[1].max())
    window = max(3, repeated)
    order = np.argsort(column)
    ranks = np.arange(n)
    upper, lower = np.minimum(ranks + window, n - 1), np.maximum(ranks - window, 0)
    spacing = column[order][upper] - column[order][lower]
    found = np.empty(n)
    found[order] = np.log(spacing) + digamma(n + 1) - digamma(upper - lower)
    return found


def _shrinkage_warning(rows: np.ndarray, cov: np.ndarray, share: float, names: Sequence[str]) -> list[str]:
    """Compares the shrunk log-determinant with the unbiased one, whose law is known for normal rows."""
    n, dimension = rows.shape
    corr = rows.T @ rows / n
    unbiased = half_logdet(corr) + dimension / 2 * math.log(n / (n - 1)) - _logdet_bias(n, dimension)
    moved = 0.5 * float(np.linalg.slogdet(cov)[1]) - unbiased
    error = 0.5 * math.sqrt(float(polygamma(1, (n - np.arange(1, dimension + 1)) / 2).sum()))
    return moved_by_shrinking(corr, moved, error, share, names)
