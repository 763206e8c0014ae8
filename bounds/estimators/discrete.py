"""Entropies of discrete columns, by counting the values of every subset."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from bounds.collinearity import named
from bounds.counts import joint_code, lattice_counts
from bounds.discrete_entropy import chao_wang_jost, nsb, plug_in
from bounds.entropies import EntropyVector
from bounds.estimators.base import MAX_UNSEEN, MIN_COVERAGE, Estimate
from bounds.intervals import GuaranteedInterval
from bounds.progress import Track
from bounds.samples import Samples
from bounds.subsets import members

DISCRETE = ("plug-in", "chao-wang-jost", "nsb")


def estimate_discrete(samples: Samples, estimator: str, reason: str, track: Track) -> Estimate:
    """Entropies by one of ``DISCRETE``, with the guaranteed interval."""
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
