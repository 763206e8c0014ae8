"""Entropies of rows that do not all have all modalities: each from the rows in which its modalities are observed."""

from __future__ import annotations

from bounds.entropies import EntropyVector, Kind
from bounds.errors import InputError, NoEstimateError
from bounds.estimators.base import Estimate
from bounds.estimators.choice import estimate
from bounds.estimators.discrete import WHERE_ENOUGH
from bounds.intervals import NoInterval
from bounds.missing import ASSUMED, PartlyObserved
from bounds.per_subset_interval import PerSubsetInterval
from bounds.progress import Track, no_progress
from bounds.subsets import members, union

#: Every subset of the modalities is estimated by itself, with all its own subsets.
MAX_MODALITIES = 10
_UNKNOWN = NoInterval("no interval: the entropies are of different rows")


def estimate_per_subset(data: PartlyObserved, estimator: str = "auto", *, track: Track = no_progress) -> Estimate:
    """H(A) of every subset of the modalities, from the rows in which all of A is observed.

    All subsets get one estimator: ``auto`` chooses it on the rows in which most modalities are observed, and of those
    that have equally many the first that support any. A difference of entropies of different rows is no longer bound
    by Shannon's inequalities: it may be below zero where a true one may not. Of discrete columns a whole functional has
    an asymptotic interval where the rows justify it.

    Args:
        data: the rows, and which modalities each has.
        estimator: one of :data:`bounds.estimators.ESTIMATORS`.
        track: shows progress.

    Raises:
        InputError: more than :data:`MAX_MODALITIES` modalities.
        NoEstimateError: data of which no subset has an estimate, or that mix discrete and continuous columns.
    """
    count = len(data.names)
    if count > MAX_MODALITIES:
        raise InputError(f"{count} modalities: entropies per subset are estimated for at most {MAX_MODALITIES}")
    if data.filled.kind == "mixed":
        raise NoEstimateError(
            "the data mix discrete and continuous columns, which only rows that have everything support: use "
            "--missing complete, declare types so that "
            "all columns are of one kind, or leave the others out"
        )
    values: dict[int, float] = {0: 0.0}
    refusals: dict[int, str] = {}
    warnings: dict[str, None] = {}
    chosen: Estimate | None = None
    refused: InputError | None = None
    subsets = sorted(range(1, 1 << count), key=lambda mask: (-mask.bit_count(), mask))
    for subset in track(subsets, "estimating", len(subsets)):
        wanted = _entries(data, subset)
        try:
            found = estimate(data.cases(subset), chosen.estimator if chosen else estimator)
        except InputError as error:
            refused = refused or error
            rows = len(data.rows(subset))
            values |= dict.fromkeys(wanted, 0.0)
            refusals |= dict.fromkeys(wanted, f"{rows} rows have all of it, which are too few or support none: {error}")
            continue
        chosen = chosen or found
        warnings |= dict.fromkeys(found.warnings)
        for entry, own in wanted.items():
            values[entry] = found.entropies[own]
            if own in found.entropies.refusals:
                refusals[entry] = found.entropies.refusals[own]
    if chosen is None:
        raise refused or InputError("there are no modalities")
    counts = data.counts().values()
    caveat = (
        f"each entropy is from the rows in which its modalities are observed, {min(counts)} to {max(counts)} of "
        f"{data.n}; {ASSUMED}, and differences of entropies of different rows may be below zero where true ones are not"
    )
    kind: Kind = "discrete" if data.filled.kind == "discrete" else "differential"
    entropies = EntropyVector.over_units(
        data.layout,
        values,
        kind,
        method=f"{chosen.estimator}, N={min(counts)} to {max(counts)} by subset",
        interval=PerSubsetInterval(data, values) if kind == "discrete" else _UNKNOWN,
        refusals=refusals,
        caveats=(*chosen.entropies.caveats, caveat),
    )
    intervals = WHERE_ENOUGH.format("none") if kind == "discrete" else "none"
    reason = f"{chosen.reason}; each entropy from its own rows"
    return Estimate(entropies, chosen.estimator, reason, intervals, tuple(warnings))


def _entries(data: PartlyObserved, subset: int) -> dict[int, int]:
    """What is read off the rows that have a subset of the modalities.

    Each is a bitmask of all units, with the one that it has among the units of the subset: the whole subset, and the
    subset with a single unit of one of its modalities in place of all.
    """
    layout = data.layout
    units = list(members(union(layout.modality_units, subset)))
    place = {unit: i for i, unit in enumerate(units)}
    whole = sum(1 << unit for unit in units)
    found = {whole: (1 << len(units)) - 1}
    for m in members(subset):
        block = layout.modality_units[m]
        for unit in members(block):
            entry = whole & ~block | 1 << unit
            found[entry] = sum(1 << place[u] for u in members(entry))
    return found
