"""Entropies of discrete columns, by counting the values of every subset."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from bounds.block_jackknife import BlockJackknife
from bounds.collinearity import named
from bounds.counts import joint_code, lattice_counts
from bounds.delta_method import DiscreteInterval
from bounds.discrete_entropy import chao_shen, chao_wang_jost, miller_madow, nsb, nsb_unknown, plug_in
from bounds.entropies import EntropyVector, Interval
from bounds.errors import InputError
from bounds.estimators.base import MAX_UNSEEN, MIN_COVERAGE, Estimate, once_said
from bounds.intervals import GuaranteedInterval
from bounds.joint_table import JointTable
from bounds.progress import Track, no_progress
from bounds.statistics import JointCounts
from bounds.subsets import members

#: What the asymptotic intervals are, and what there is elsewhere.
WHERE_ENOUGH = "asymptotic where there are rows enough, else {}"
#: Above this a number of symbols is no floating-point number.
_MOST_LOG_SYMBOLS = 700.0
DISCRETE = ("plug-in", "miller-madow", "chao-shen", "chao-wang-jost", "nsb", "nsb-unknown")

_FORMULAS: Mapping[str, Callable[[np.ndarray], float]] = {
    "plug-in": plug_in,
    "miller-madow": miller_madow,
    "chao-shen": chao_shen,
    "chao-wang-jost": chao_wang_jost,
    "nsb-unknown": nsb_unknown,
}


def estimate_discrete(
    table: JointCounts, estimator: str, reason: str, interval: str = "auto", block: int = 1, track: Track = no_progress
) -> Estimate:
    """Entropies by one of ``DISCRETE``.

    Args:
        table: the joint rows; for ``block`` above 1 in their order.
        estimator: ``nsb`` takes the alphabet of a joint column as the product of those of its columns.
        reason: why it was chosen.
        interval: ``auto`` is asymptotic where the data justify that, otherwise guaranteed; or ``guaranteed``.
        block: rows in a block of dependent ones.
        track: shows progress.

    Raises:
        InputError: a guaranteed interval of dependent rows.
    """
    layout, alphabets, n = table.layout, table.alphabets, table.n
    if interval == "guaranteed" and block > 1:
        raise InputError("guaranteed intervals are for independent rows: use interval='auto' with block above 1")
    log_alphabet = {mask: math.fsum(math.log(alphabets[v]) for v in members(mask)) for mask in layout.unit_masks}
    values, plain, refusals = {0: 0.0}, {0: 0.0}, {}
    open_ended, warnings = _open_ended(table)
    total = len(layout.unit_masks) - 1
    for mask, counts in track(_unit_counts(table), "counting", total):
        plain[mask] = plug_in(counts)
        once = int((counts == 1).sum())
        coverage = 1 - once / n
        if estimator == "nsb":
            if log_alphabet[mask] > _MOST_LOG_SYMBOLS:
                raise InputError(
                    f"the columns can have e^{log_alphabet[mask]:.0f} joint symbols together, too many for nsb: use "
                    "nsb-unknown or fewer columns"
                )
            values[mask] = nsb(counts, math.prod(alphabets[v] for v in members(mask)))
        elif estimator == "nsb-unknown" and once == n:  # nothing tells how many symbols there are
            values[mask] = plain[mask]
        else:
            values[mask] = _FORMULAS[estimator](counts)
        if mask & open_ended:
            refusals[mask] = (
                "a column has many symbols that occur once, so others exist that were not observed, and no interval "
                "here holds then; use coarser values or leave it out"
            )
        elif coverage < MIN_COVERAGE:
            refusals[mask] = (
                f"{n} rows are too few: {1 - coverage:.0%} of them hold a value that occurs once, so about "
                "that much probability is on values never seen; use more rows, coarser values or fewer columns"
            )
    guaranteed = GuaranteedInterval(n, plain, log_alphabet)
    vector = EntropyVector.over_units(
        layout,
        values,
        "discrete",
        method=f"{estimator}, N={n}",
        interval=_interval(table, guaranteed, values, interval, block),
        refusals=refusals,
        caveats=_binned(table),
    )
    intervals = WHERE_ENOUGH.format("none" if block > 1 else "guaranteed")
    intervals = "guaranteed" if interval == "guaranteed" else intervals
    return Estimate(vector, estimator, reason, intervals, tuple(warnings))


def _interval(
    table: JointCounts, guaranteed: GuaranteedInterval, values: Mapping[int, float], interval: str, block: int
) -> Interval:
    if interval == "guaranteed":
        return guaranteed
    return (
        BlockJackknife(table, block, values) if block > 1 else DiscreteInterval(JointTable(table), guaranteed, values)
    )


def _binned(table: JointCounts) -> tuple[str, ...]:
    """What bins the entropies are those of, where symbols are numbers that are not whole."""
    widths = [
        f"{name} {width:.6g}" for name, width in zip(table.layout.unit_names, table.bin_widths, strict=True) if width
    ]
    if not widths:
        return ()
    return (
        f"quantised columns, of smallest step {named(widths)}: every number is that of these bins, and Delta, floor "
        "and entropies grow as bins get narrower (T9)",
    )


def _open_ended(table: JointCounts) -> tuple[int, list[str]]:
    """The columns, as a bitmask, whose alphabet is clearly not all observed, and warnings about doubtful ones.

    The guaranteed interval assumes that every column shows all its symbols. The share of rows whose symbol occurs once
    estimates the probability of symbols never seen (Good and Turing).
    """
    mask, warnings = 0, []
    for i, (name, column) in enumerate(zip(table.layout.unit_names, table.columns, strict=True)):
        counts = np.bincount(column, table.counts)
        if np.count_nonzero(counts) < table.alphabets[i]:  # declared: it is known that others exist, and how many
            continue
        once = int((counts == 1).sum())
        if once > MAX_UNSEEN * table.n:
            mask |= 1 << i
        elif once:
            warnings.append(once_said(name, once))
    return mask, warnings


def _unit_counts(table: JointCounts) -> Iterable[tuple[int, np.ndarray]]:
    """Counts of each nonempty subset of ``layout.unit_masks``, each once."""
    layout = table.layout
    weights = None if bool((table.counts == 1).all()) else table.counts
    blocks, sizes = [], []
    for m in range(len(layout.names)):
        own = layout.variables_of_modalities(1 << m)
        code, size = joint_code([table.columns[v] for v in own], [table.alphabets[v] for v in own])
        if len(own) > 1:
            distinct, code = np.unique(code, return_inverse=True)
            size = len(distinct)
        blocks.append(code)
        sizes.append(size)
    for subset, counts in lattice_counts(blocks, sizes, weights):
        yield sum(layout.modality_units[m] for m in members(subset)), counts
    for m, units in enumerate(layout.modality_units):
        if units.bit_count() == 1:
            continue
        others = [i for i in range(len(blocks)) if i != m]
        for unit in members(units):
            columns = [table.columns[unit], *(blocks[i] for i in others)]
            alphabets = [table.alphabets[unit], *(sizes[i] for i in others)]
            for subset, counts in lattice_counts(columns, alphabets, weights):
                if subset & 1:
                    known = sum(layout.modality_units[others[i - 1]] for i in members(subset) if i)
                    yield known | 1 << unit, counts
