"""Missing values and missing modalities, by a rule that is declared: refuse, complete rows, or rows per subset.

Both rules assume that values are missing completely at random: that whether one is missing depends on nothing, neither
on other values nor on itself. No data can confirm that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bounds.columns import is_categorical
from bounds.errors import InputError
from bounds.layout import Layout
from bounds.samples import Samples, code_columns
from bounds.subsets import SubsetLike, format_subset, members, parse_subset

#: What can be done about missing values.
RULES = ("refuse", "complete", "per-subset")
#: The assumption under which either rule estimates the entropies of the population.
ASSUMED = "values are assumed to be missing completely at random"

#: Columns ``(N,)`` by modality and name, masked or NaN where a value is missing.
Table = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class PartlyObserved:
    """Rows of which not every one has all modalities. A modality is observed in a row if all its columns are.

    Attributes:
        filled: the rows, with zeros where nothing was observed: for :meth:`cases` alone.
        observed: ``(N, modalities)`` bool.
    """

    filled: Samples
    observed: np.ndarray

    def __post_init__(self) -> None:
        shape = (self.filled.n, len(self.names))
        if self.observed.shape != shape or self.observed.dtype != bool:
            raise InputError(f"observed is {self.observed.dtype} {self.observed.shape}: give booleans {shape}")

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities."""
        return self.filled.names

    @property
    def layout(self) -> Layout:
        """The modalities and their columns."""
        return self.filled.layout

    @property
    def n(self) -> int:
        """Number of rows, complete or not."""
        return self.filled.n

    @property
    def source(self) -> str:
        """Where the data came from, in words."""
        return self.filled.source

    def rows(self, modalities: SubsetLike) -> np.ndarray:
        """The positions of the rows in which all of a nonempty subset of the modalities are observed."""
        chosen = members(parse_subset(modalities, self.names))
        return np.flatnonzero(self.observed[:, chosen].all(axis=1))

    def cases(self, modalities: SubsetLike) -> Samples:
        """These rows of these modalities.

        Raises:
            InputError: fewer than two rows.
        """
        chosen, rows = self.filled.select(modalities), self.rows(modalities)
        return replace(chosen, columns=tuple(column[rows] for column in chosen.columns))

    def counts(self) -> dict[str, int]:
        """For each nonempty subset of the modalities the number of rows in which all of it is observed.

        >>> table = {"a": {"a": np.array([0.0, np.nan, 1.0])}, "b": {"b": np.array([1, 0, 1])}}
        >>> by_rule(table, {"a": "discrete"}, rule="per-subset").counts()
        {'a': 2, 'b': 3, 'a,b': 2}
        """
        subsets = range(1, 1 << len(self.names))
        return {format_subset(mask, self.names): len(self.rows(mask)) for mask in subsets}


def by_rule(
    table: Table, types: Mapping[str, str] | None = None, source: str = "arrays", rule: str = "refuse"
) -> Samples | PartlyObserved:
    """A dataset from named columns grouped into modalities, of which some values may be missing.

    Missing are NaN, what a masked array masks, and the codes -1 of a categorical; infinite values are never allowed.

    Args:
        table: columns by modality and name.
        types: modality or column to ``"discrete"`` or ``"continuous"``, as for :meth:`Samples.from_columns`.
        source: where the data came from, in words.
        rule: ``refuse``; ``complete`` keeps the rows in which everything is observed, and counts them in the notes of
            the samples; ``per-subset`` keeps all, so that each entropy can be got from the rows that it has.

    Raises:
        InputError: an unknown rule; missing values, for ``refuse``; fewer than two rows that are complete, or in which
            some modality is observed; and what :meth:`Samples.from_columns` refuses.
    """
    if rule not in RULES:
        raise InputError(f"unknown rule {rule!r} for missing values: use one of {', '.join(RULES)}")
    if rule == "refuse" or not table or not all(table.values()) or len({*_lengths(table)}) != 1:
        return Samples.from_columns(table, types, source)
    observed = np.column_stack([_observed(columns) for columns in table.values()])
    if observed.all():
        return Samples.from_columns(table, types, source)
    if rule == "complete":
        return _complete(table, types, source, observed)
    rows = {m: np.flatnonzero(seen) for m, seen in zip(table, observed.T, strict=True)}
    for m, seen in rows.items():
        if len(seen) < 2:
            raise InputError(f"modality {m!r} is observed in {len(seen)} of {len(observed)} rows: leave it out")
    layout, coded = code_columns(_plain(table), types, rows)
    of_columns = [m for m, columns in table.items() for _ in columns]
    filled = []
    for m, column in zip(of_columns, coded, strict=True):
        filled.append(np.zeros(len(observed), dtype=column.values.dtype))
        filled[-1][rows[m]] = column.values
    alphabets, widths = tuple(one.alphabet for one in coded), tuple(one.bin_width for one in coded)
    return PartlyObserved(Samples(layout, tuple(filled), alphabets, source, widths), observed)


def _complete(table: Table, types: Mapping[str, str] | None, source: str, observed: np.ndarray) -> Samples:
    rows, before = np.flatnonzero(observed.all(axis=1)), len(observed)
    if len(rows) < 2:
        raise InputError(
            f"{len(rows)} of {before} rows are complete: leave out the modality that is most often missing, or use "
            "--missing per-subset"
        )
    kept = {m: {name: values[rows] for name, values in columns.items()} for m, columns in _plain(table).items()}
    missing = dict(zip(table, (~observed).sum(axis=0).tolist(), strict=True))
    note = note_of_complete(len(rows), before, missing)
    return replace(Samples.from_columns(kept, types, source), notes=(note,))


def note_of_complete(complete: int, rows: int, missing: Mapping[str, int]) -> str:
    """What to know of results from complete rows alone, with the number of rows that each modality is missing in.

    >>> note_of_complete(6, 9, {"a": 0, "b": 3}).partition(";")[0]
    '6 of 9 rows are complete, and only these are used (b in 3 rows missing)'
    """
    gaps = ", ".join(f"{m} in {k}" for m, k in missing.items() if k)
    return (
        f"{complete} of {rows} rows are complete, and only these are used ({gaps} rows missing); {ASSUMED}, and "
        "if they are not, every number here is of another population"
    )


def _lengths(table: Table) -> list[int]:
    return [len(values) for columns in table.values() for values in columns.values()]


def _observed(columns: Mapping[str, Any]) -> np.ndarray:
    """``(N,)``: the rows in which all columns of a modality have a value."""
    return ~np.asarray(np.column_stack([_missing(values) for values in columns.values()]).any(axis=1))


def _missing(values: Any) -> np.ndarray:
    if is_categorical(values):
        absent: np.ndarray = np.asarray(getattr(values, "cat", values).codes) < 0
        return absent
    missing: np.ndarray = (
        np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else np.zeros(len(values), dtype=bool)
    )
    data = np.ma.getdata(values)
    if data.dtype.kind == "f":
        missing = missing | np.isnan(data)
    return missing


def _plain(table: Table) -> dict[str, dict[str, Any]]:
    """The columns without their masks, whose values are only looked at where they are observed."""
    return {m: {name: _unmasked(values) for name, values in columns.items()} for m, columns in table.items()}


def _unmasked(values: Any) -> Any:
    if not isinstance(values, np.ma.MaskedArray):
        return values
    data = np.ma.getdata(values)
    if data.dtype.kind != "O":
        return data
    # Text with gaps, as DuckDB gives it: a gap holds None.
    return np.where(np.ma.getmaskarray(values), "", data).astype(np.dtypes.StringDType())
