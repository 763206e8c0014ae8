"""What is got from one part, on this machine or on another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from bounds.columns import COMPLETE_OFFERED
from bounds.damage import first_line, interrupted
from bounds.errors import InputError
from bounds.memory import check_fits
from bounds.streaming.csv_types import CsvCounts
from bounds.streaming.numbers import Accumulator, Numbers
from bounds.streaming.parts import DamagedPartError, OpenPart, open_part
from bounds.streaming.plan import Plan, PlannedColumn, Storage, StorageError
from bounds.streaming.rows import RowCounts
from bounds.streaming.symbols import SymbolCounts, without_missing

#: What can be got.
Wanted = Literal["csv", "rows", "symbols", "numbers"]
#: What comes of it; each kind merges with itself.
Statistic = CsvCounts | RowCounts | SymbolCounts | Numbers

#: Bytes of a batch of numbers.
BATCH_BYTES = 32 << 20
#: Bytes that a distinct row of symbols takes for each column while it is coded and merged.
_BYTES_PER_SYMBOL = 64
_STATISTICS: dict[Wanted, type[Statistic]] = {
    "csv": CsvCounts,
    "rows": RowCounts,
    "symbols": SymbolCounts,
    "numbers": Numbers,
}


@dataclass(frozen=True)
class Outcome:
    """What came of a part, or of several: a statistic, and which parts failed with which cause.

    Attributes:
        statistic: of the parts that did not fail, ``None`` if all did.
        failures: parts and causes; ``damaged`` are those that may be left out, as nothing was read from them.
        damaged: parts among the failures that could not be read.
        wider: columns to be planned in another storage, because parts hold different types of numbers.
    """

    statistic: Statistic | None
    failures: Mapping[str, str] = field(default_factory=dict)
    damaged: frozenset[str] = frozenset()
    wider: Mapping[str, Storage] = field(default_factory=dict)

    def merge(self, other: Outcome) -> Outcome:
        """What came of the parts of both."""
        pair = [one.statistic for one in (self, other) if one.statistic is not None]
        # Both come from the same task, so they are of one kind.
        merged = pair[0].merge(pair[1]) if len(pair) == 2 else pair[0] if pair else None  # type: ignore[arg-type]
        failures = {**self.failures, **other.failures}
        return Outcome(merged, failures, self.damaged | other.damaged, {**self.wider, **other.wider})


@dataclass(frozen=True)
class Task:
    """What is wanted of every part, and of which columns of the plan.

    ``repr`` says all that the result depends on besides the part.
    """

    wanted: Wanted
    plan: Plan | None = None
    columns: tuple[PlannedColumn, ...] = ()
    threads: int | None = field(default=None, repr=False)

    def __call__(self, part: str) -> Outcome:
        """The statistic of a part, or why there is none; nothing that a part can cause is raised."""
        try:
            return Outcome(self._of(part))
        except DamagedPartError as error:
            return Outcome(None, {part: str(error)}, damaged=frozenset([part]))
        except StorageError as error:
            return Outcome(None, {part: str(error)}, wider=error.wider)
        except InputError as error:
            return Outcome(None, {part: str(error)})

    def on_one_thread(self) -> Task:
        """The same, for a worker among others on its machine."""
        return replace(self, threads=1)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> Statistic:
        """A statistic from the arrays that its ``to_arrays`` gave."""
        return _STATISTICS[self.wanted].from_arrays(arrays)

    def _of(self, part: str) -> Statistic:
        with open_part(part, self.threads) as opened:
            if self.plan is None:
                return CsvCounts.of_part(opened)
            if self.wanted == "rows":
                return RowCounts.of_part(opened, self.plan)
            select = self.plan.select(opened, self.columns)
            return (_symbols if self.wanted == "symbols" else _numbers)(opened, select, self.columns)


def _symbols(part: OpenPart, select: str, columns: tuple[PlannedColumn, ...]) -> SymbolCounts:
    """The distinct rows are found by DuckDB, which takes to disk what exceeds its memory."""
    names = [f"v{i}" for i in range(len(columns))]
    grouped = f"SELECT {', '.join(names)}, count(*) AS n FROM ({select}) GROUP BY ALL"
    part.connection.execute(f"CREATE TEMP TABLE counted AS {grouped}", part.given)
    ((rows,),) = part.connection.execute("SELECT count(*) FROM counted").fetchall()
    remedy = "this many distinct rows support no joint entropy; use fewer columns or coarser values"
    check_fits("the table of distinct rows", (rows, len(columns)), remedy, _BYTES_PER_SYMBOL)
    found = part.connection.execute("SELECT * FROM counted").fetchnumpy()
    counts = found["n"].astype(np.int64)
    values = [without_missing(column.label, found[name], counts) for name, column in zip(names, columns, strict=True)]
    return SymbolCounts.of_rows(values, counts)


def _numbers(part: OpenPart, select: str, columns: tuple[PlannedColumn, ...]) -> Numbers:
    total = Accumulator(tuple(column.label for column in columns), tuple(column.declared is None for column in columns))
    relation = part.connection.sql(select, params=list(part.given))
    # Before its version 2 DuckDB had another name for this.
    batches = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    rows = max(1024, min(1 << 17, BATCH_BYTES // (8 * len(columns))))
    try:
        reader = batches(rows)
    except ImportError as error:
        raise InputError(
            f"streams of numbers need pyarrow ({first_line(error)}): pip install 'multimodal-bounds[distributed]'"
        ) from None
    for batch in _batches(reader):
        for column, values in zip(columns, batch.columns, strict=True):
            if values.null_count:
                raise InputError(
                    f"{column.label} is missing in some rows ({values.null_count} of the {len(values)} read last): "
                    f"drop these rows in all modalities or fill them, {COMPLETE_OFFERED}"
                )
        total.add([values.to_numpy(zero_copy_only=False) for values in batch.columns])
    return total.total()


def _batches(reader: Any) -> Iterator[Any]:
    """Batches; what DuckDB finds damaged while it reads reaches us as an error of Arrow."""
    import pyarrow

    try:
        yield from reader
    except (pyarrow.ArrowException, OSError) as error:
        if interrupted(error):
            raise KeyboardInterrupt from None
        raise DamagedPartError(f"cannot be read to its end ({first_line(error)})") from None
