"""Samples to entropies: which estimator, what it needs, and when the data cannot support a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.special import digamma, ndtri, polygamma

from bounds.collinearity import dependent, moved_by_shrinking, named, near_collinearity, standardised
from bounds.columns import smallest_step
from bounds.counts import joint_code, lattice_counts
from bounds.discrete_entropy import chao_wang_jost, nsb, plug_in
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.intervals import GuaranteedInterval, InfluenceInterval
from bounds.joints import Gaussian
from bounds.lattice import correlation, half_logdet
from bounds.layout import Layout
from bounds.progress import Track, no_progress
from bounds.samples import Samples
from bounds.subsets import members

Estimator = Literal["auto", "plug-in", "chao-wang-jost", "nsb", "gaussian", "gaussian-shrinkage", "gaussian-copula"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
_DISCRETE = ("plug-in", "chao-wang-jost", "nsb")

#: Good and Turing's estimate of the probability of the values already seen is ``1 - (values seen once) / N``.
#: Below this no entropy is printed: for a uniform law it means ``N < 1.6 K``.
MIN_COVERAGE = 0.8
#: Share of rows with a symbol that occurs once above which a column's alphabet is not taken as known.
MAX_UNSEEN = 0.05
#: Rows for each dimension below which ``auto`` shrinks the covariance.
ROWS_PER_DIMENSION = 5
#: Rank scores need a continuous column: at least this share of its values distinct.
MIN_DISTINCT = 0.5


@dataclass(frozen=True)
class Estimate:
    """Entropies from samples, and why they were got this way.

    ``entropies`` are those of every subset of modalities, alone and with one more column: with columns as
    decoder units. ``choice`` is one line for the report.
    """

    entropies: EntropyVector
    estimator: str
    choice: str
    warnings: tuple[str, ...] = ()


def estimate(samples: Samples, estimator: str = "auto", track: Track = no_progress) -> Estimate:
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


def _estimate(samples: Samples, estimator: str, track: Track) -> Estimate:
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
    if (chosen in _DISCRETE) != (samples.kind == "discrete"):
        raise InputError(
            f"estimator {chosen!r} is for {'discrete' if chosen in _DISCRETE else 'continuous'} data, these are "
            f"{samples.kind}: use another, or declare the types of the columns"
        )
    return (_discrete if chosen in _DISCRETE else _continuous)(samples, chosen, reason, track)


def _choose(samples: Samples) -> tuple[str, str]:
    if samples.kind == "discrete":
        return "chao-wang-jost", "discrete data: corrects for values not seen, needs no alphabet size"
    dimension = len(samples.columns)
    if samples.n < ROWS_PER_DIMENSION * dimension:
        return "gaussian-shrinkage", f"fewer than {ROWS_PER_DIMENSION} rows a column ({samples.n} for {dimension})"
    if _tied(samples):
        return "gaussian-shrinkage", "columns with many ties have no ranks for a copula"
    return "gaussian-copula", "continuous data without many ties: assumes a Gaussian copula, nothing about the margins"


def _tied(samples: Samples) -> list[str]:
    return [
        name
        for name, column in zip(samples.layout.unit_names, samples.columns, strict=True)
        if len(np.unique(column)) < MIN_DISTINCT * samples.n
    ]


def _discrete(samples: Samples, estimator: str, reason: str, track: Track) -> Estimate:
    layout = samples.layout
    log_alphabet = {
        mask: math.fsum(math.log(samples.alphabets[v]) for v in members(mask)) for mask in layout.unit_masks
    }
    entropy_of: Callable[[np.ndarray, int], float]
    if estimator == "nsb":

        def entropy_of(counts: np.ndarray, mask: int) -> float:
            return nsb(counts, math.prod(samples.alphabets[v] for v in members(mask)))
    else:
        formula = plug_in if estimator == "plug-in" else chao_wang_jost

        def entropy_of(counts: np.ndarray, mask: int) -> float:
            return formula(counts)

    values, plain, refusals = {0: 0.0}, {0: 0.0}, {}
    open_ended, warnings = _open_ended(samples)
    total = len(layout.unit_masks) - 1
    for mask, counts in track(_unit_counts(samples), "counting", total):
        plain[mask] = plug_in(counts)
        values[mask] = entropy_of(counts, mask)
        coverage = 1 - int((counts == 1).sum()) / samples.n
        if mask & open_ended:
            refusals[mask] = (
                "a column has many symbols that occur once, so others exist that were not observed, and no interval "
                "here holds then; use coarser values or leave it out"
            )
        elif coverage < MIN_COVERAGE:
            refusals[mask] = (
                f"{samples.n} rows are too few: {1 - coverage:.0%} of them hold a value that occurs once, so about "
                "that much probability is on values never seen; use more rows, coarser values or fewer columns"
            )
    vector = EntropyVector.over_units(
        layout,
        values,
        "discrete",
        method=f"{estimator}, N={samples.n}",
        interval=GuaranteedInterval(samples.n, plain, log_alphabet),
        refusals=refusals,
        caveats=_binned(samples),
    )
    return Estimate(vector, estimator, f"{estimator}: {reason}", tuple(warnings))


def _binned(samples: Samples) -> tuple[str, ...]:
    """What bins the entropies are those of, where symbols are numbers that are not whole."""
    widths = [
        f"{name} {width:.6g}"
        for name, width in zip(samples.layout.unit_names, samples.bin_widths, strict=True)
        if width
    ]
    if not widths:
        return ()
    return (
        f"quantised columns, of smallest step {named(widths)}: every number is that of these bins, and Delta, floor "
        "and entropies grow as bins get narrower (T9)",
    )


def _open_ended(samples: Samples) -> tuple[int, list[str]]:
    """The columns, as a bitmask, whose alphabet is clearly not all observed, and warnings about doubtful ones.

    The guaranteed interval assumes that every column shows all its symbols. The share of rows whose symbol occurs once
    estimates the probability of symbols never seen (Good and Turing).
    """
    mask, warnings = 0, []
    for i, (name, column) in enumerate(zip(samples.layout.unit_names, samples.columns, strict=True)):
        once = int((np.bincount(column) == 1).sum())
        if once > MAX_UNSEEN * samples.n:
            mask |= 1 << i
        elif once:
            warnings.append(
                f"column {name} has {once} symbols that occur once: the interval assumes that it has no others"
            )
    return mask, warnings


def _unit_counts(samples: Samples) -> Iterable[tuple[int, np.ndarray]]:
    """Counts of each nonempty subset of ``layout.unit_masks``, each once."""
    layout = samples.layout
    blocks, sizes = [], []
    for m in range(len(layout.names)):
        own = layout.variables_of_modalities(1 << m)
        code, size = joint_code([samples.columns[v] for v in own], [samples.alphabets[v] for v in own])
        if len(own) > 1:
            distinct, code = np.unique(code, return_inverse=True)
            size = len(distinct)
        blocks.append(code)
        sizes.append(size)
    for subset, counts in lattice_counts(blocks, sizes):
        yield sum(layout.modality_units[m] for m in members(subset)), counts
    for m, units in enumerate(layout.modality_units):
        if units.bit_count() == 1:
            continue
        others = [i for i in range(len(blocks)) if i != m]
        for unit in members(units):
            columns = [samples.columns[unit], *(blocks[i] for i in others)]
            alphabets = [samples.alphabets[unit], *(sizes[i] for i in others)]
            for subset, counts in lattice_counts(columns, alphabets):
                if subset & 1:
                    known = sum(layout.modality_units[others[i - 1]] for i in members(subset) if i)
                    yield known | 1 << unit, counts


def _continuous(samples: Samples, estimator: str, reason: str, track: Track) -> Estimate:
    layout, n = samples.layout, samples.n
    data = np.column_stack(samples.columns).astype(np.float64)
    dimension = data.shape[1]
    if n < dimension + 2:
        raise InputError(
            f"{n} rows for {dimension} continuous columns: the covariance is singular, so a Gaussian entropy would "
            "show nothing but the shrinkage; give more rows or fewer columns"
        )
    warnings = []
    tied = _tied(samples)
    if tied:
        steps = {name: smallest_step(data[:, i]) for i, name in enumerate(layout.unit_names) if name in tied}
        shown = [f"{name} (smallest step {step:.6g})" for name, step in steps.items()]
        warnings.append(
            f"{len(tied)} of {dimension} columns repeat most of their values, such as {', '.join(shown[:3])}: a "
            "density is a model of quantised data, not a property of it. For Delta and the floor declare them "
            "discrete, each value a bin, and state its width (T9)"
        )
        if estimator == "gaussian-copula":
            raise InputError(f"column {tied[0]!r} has many ties, a copula needs ranks: use gaussian-shrinkage")
    rows = standardised(data)
    _check_regular(rows.T @ rows / n, layout.unit_names, "the columns ")
    variables = {mask: layout.variables_of_units(mask) for mask in layout.unit_masks}
    fit = _copula if estimator == "gaussian-copula" else _shrunk if estimator == "gaussian-shrinkage" else _plain
    values, interval = fit(data, layout, variables, track)
    if estimator == "gaussian-shrinkage":
        warnings += _shrinkage_warning(rows, interval, layout.unit_names)
    else:
        corr = correlation(interval.cov)
        _check_regular(corr, layout.unit_names, "the ranks of ")
        warnings += near_collinearity(corr, n, layout.unit_names, ranks=estimator == "gaussian-copula")
    vector = EntropyVector.over_units(layout, values, "differential", method=f"{estimator}, N={n}", interval=interval)
    return Estimate(vector, estimator, f"{estimator}: {reason}", tuple(warnings))


def _check_regular(corr: np.ndarray, names: Sequence[str], what: str) -> None:
    columns = dependent(corr, names)
    if columns:
        raise InputError(
            f"the covariance is singular: of {what}{named(columns)} each is a linear function of others, so together "
            "they have no density and no bound is finite; leave one out"
        )


_Fit = tuple[dict[int, float], InfluenceInterval]


def _plain(data: np.ndarray, layout: Layout, variables: Mapping[int, list[int]], track: Track) -> _Fit:
    """The sample covariance; its log-determinants are corrected by their exact expectation under normality."""
    n = len(data)
    centred = data - data.mean(axis=0)
    cov = centred.T @ centred / (n - 1)
    values = _gaussian_values(cov, layout, track)
    for mask, block in variables.items():
        values[mask] -= _logdet_bias(n, len(block))
    return values, InfluenceInterval(centred, cov, variables, values, "Gaussian law")


def _shrunk(data: np.ndarray, layout: Layout, variables: Mapping[int, list[int]], track: Track) -> _Fit:
    """The Ledoit-Wolf covariance of the standardised columns, so that it does not depend on their scales."""
    from sklearn.covariance import LedoitWolf

    centred = data - data.mean(axis=0)
    scale = centred.std(axis=0)
    rows = centred / scale
    fitted = LedoitWolf(assume_centered=True).fit(rows)
    values = _gaussian_values(fitted.covariance_, layout, track)
    for mask, block in variables.items():
        values[mask] += float(np.log(scale[block]).sum())
    interval = InfluenceInterval(
        rows, fitted.covariance_, variables, values, "Gaussian law", shrinkage=float(fitted.shrinkage_)
    )
    return values, interval


def _copula(data: np.ndarray, layout: Layout, variables: Mapping[int, list[int]], track: Track) -> _Fit:
    """Correlation of normal scores, with the margins' entropies by spacings (SciPy)."""
    from scipy.stats import differential_entropy, rankdata

    n, dimension = data.shape
    rows = ndtri((rankdata(data, axis=0) - 0.5) / n)
    rows /= rows.std(axis=0)
    cov = rows.T @ rows / n
    values = _gaussian_values(cov, layout, track)
    margins = differential_entropy(data, axis=0)
    normal = 0.5 * math.log(2 * math.pi * math.e)
    single = _logdet_bias(n, 1)
    for mask, block in variables.items():
        values[mask] += float((margins[block] - normal).sum()) - _logdet_bias(n, len(block)) + len(block) * single
    marginal = np.column_stack([_minus_log_density(data[:, v]) for v in range(dimension)])
    return values, InfluenceInterval(rows, cov, variables, values, "Gaussian copula", marginal=marginal)


def _gaussian_values(cov: np.ndarray, layout: Layout, track: Track) -> dict[int, float]:
    law = Gaussian(cov, layout.sizes, units="scalar")
    vector = law.unit_entropies(track)
    return {mask: vector[mask] for mask in layout.unit_masks}


def _logdet_bias(n: int, dimension: int) -> float:
    """``E[(1/2) ln det S] - (1/2) ln det Sigma`` of the sample covariance of ``n`` normal rows (exact)."""
    degrees = n - np.arange(1, dimension + 1)
    return float(0.5 * (digamma(degrees / 2).sum() + dimension * math.log(2 / (n - 1))))


def _minus_log_density(column: np.ndarray) -> np.ndarray:
    """Minus the log density of each row, from the spacing of its ``2 m`` neighbours (Vasicek's window)."""
    n = len(column)
    window = math.floor(math.sqrt(n) + 0.5)
    order = np.argsort(column)
    ranks = np.arange(n)
    upper, lower = np.minimum(ranks + window, n - 1), np.maximum(ranks - window, 0)
    spacing = column[order][upper] - column[order][lower]
    found = np.empty(n)
    with np.errstate(divide="ignore"):
        found[order] = np.log(n * spacing / (upper - lower))
    return found


def _shrinkage_warning(rows: np.ndarray, interval: InfluenceInterval, names: Sequence[str]) -> list[str]:
    """Compares the shrunk log-determinant with the unbiased one, whose law is known for normal rows."""
    n, dimension = rows.shape
    corr = rows.T @ rows / n
    unbiased = half_logdet(corr) + dimension / 2 * math.log(n / (n - 1)) - _logdet_bias(n, dimension)
    moved = 0.5 * float(np.linalg.slogdet(interval.cov)[1]) - unbiased
    error = 0.5 * math.sqrt(float(polygamma(1, (n - np.arange(1, dimension + 1)) / 2).sum()))
    return moved_by_shrinking(corr, moved, error, interval.shrinkage, names)
