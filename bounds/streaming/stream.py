"""Statistics of a dataset of any size, from its parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from bounds.columns import (
    ATOM_ROWS,
    ATOM_SHARE,
    EXACT_INTEGERS,
    ColumnType,
    constant_column,
    detect,
    is_whole,
    smallest_step,
)
from bounds.errors import InputError
from bounds.layout import Layout
from bounds.missing import note_of_complete
from bounds.progress import Track, no_progress
from bounds.statistics import JointCounts, Moments, Statistics
from bounds.streaming.csv_types import CsvCounts
from bounds.streaming.dask_engine import OnDask, client
from bounds.streaming.engines import Engine, OneByOne
from bounds.streaming.keep import Kept
from bounds.streaming.numbers import Numbers
from bounds.streaming.parts import DamagedPartError, find_parts
from bounds.streaming.plan import Plan, PlannedColumn, StorageError, draft, guess
from bounds.streaming.rows import RowCounts
from bounds.streaming.symbols import SymbolCounts
from bounds.streaming.tasks import Outcome, Statistic, Task, Wanted

_T = TypeVar("_T")

_FEW_ROWS = "the data have {}: entropies are estimated from many"
#: What of rows in memory is looked at, and of counts or of means and covariances cannot be.
UNSEEN_OF_COUNTS = (
    "a stream does not look at the order of the rows: if neighbouring rows depend on each other, as in a time series, "
    "intervals are too narrow"
)
UNSEEN_OF_NUMBERS = (
    "a stream does not look at the order of the rows, at ties, or at whether a Gaussian law fits: if neighbouring rows "
    "depend on each other, as in a time series, intervals are too narrow, and if many values are equal or the law is "
    "another, the numbers are wrong"
)
_CHANGED = "{}: the parts changed while they were read"
_DOING: dict[Wanted, str] = {"symbols": "counting", "numbers": "averaging"}


@dataclass(frozen=True)
class Streamed:
    """Statistics of a dataset, and what to know about them: what was left out, and what was not looked at."""

    statistics: Statistics
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """What one pass got of which columns; ``None`` where there was nothing to get."""

    columns: tuple[PlannedColumn, ...]
    statistic: Statistic | None


def stream(
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    modalities: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    *,
    engine: Literal["stream", "dask"] = "stream",
    scheduler: str | None = None,
    keep: str | os.PathLike[str] | None = None,
    skip_damaged: bool = False,
    missing: str = "refuse",
    check: Callable[[Layout], None] = lambda _: None,
    track: Track = no_progress,
) -> Streamed:
    """Joint counts of discrete columns, or means and covariances of continuous ones, from parts of any number and size.

    The result is that of all rows in memory: exactly for counts, to rounding for moments. Types are declared, or
    detected by the same rule; if the first rows mislead about them, the parts are read once more.

    Args:
        data: a file, a folder, a pattern such as ``"parts/*.parquet"``, or a list of files; .parquet or .csv.
        modalities, types: as for :func:`bounds.readers.read`.
        engine: ``"stream"`` for one part after the other on this machine, ``"dask"`` for the workers of a cluster.
        scheduler: address of the cluster's scheduler; by default a cluster of this machine's cores.
        keep: a folder for the statistics of each part, so that a repeated run does only what is missing.
        skip_damaged: leave out parts that cannot be read, with a warning that names them.
        missing: ``"refuse"`` missing values, or use the ``"complete"`` rows only, with a warning that counts them, as
            :func:`bounds.readers.read` does.
        check: called with the layout of the data before anything else is read of them, to refuse what does not suit it.
        track: shows progress.

    Raises:
        InputError: no parts, damaged ones (named, each with its cause), columns or types that differ between parts,
            missing values, or fewer than two rows that are complete, columns of both kinds, too many distinct rows,
            Dask that is not there or does not answer.
    """
    if missing not in ("refuse", "complete"):
        raise InputError(
            f"--missing {missing} needs rows, and a stream keeps statistics alone: use --missing complete, or "
            "--engine memory for one file that fits into memory"
        )
    parts = find_parts(data)
    kept = Kept(keep) if keep else None
    with ExitStack() as stack:
        runs: Engine = OneByOne(track, kept)
        if engine == "dask":
            runs = OnDask(stack.enter_context(client(scheduler)), track, kept)
        elif scheduler:
            raise InputError("a scheduler is for engine 'dask'")
        passes = _Stream(runs, parts, skip_damaged, kept is not None)
        plan = passes.draft(modalities, types, missing == "complete")
        check(plan.layout)
        return passes.run(plan, _source(data))


def _source(data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> str:
    if isinstance(data, str | os.PathLike):
        return os.path.basename(os.fspath(data).rstrip("/")) or os.fspath(data)
    return f"{len(data)} parts"


class _Stream:
    """The passes over the parts, and which parts are still in."""

    def __init__(self, engine: Engine, parts: Sequence[str], skip_damaged: bool, kept: bool) -> None:
        self._engine, self._parts, self._skip, self._kept = engine, list(parts), skip_damaged, kept
        self._left_out: dict[str, str] = {}

    def draft(self, modalities: Sequence[str], types: Mapping[str, str] | None, complete: bool) -> Plan:
        """The plan but for the storages, from the first part that suits the arguments."""
        plan = self._first(lambda part: draft(part, modalities, types, complete))
        assert plan is not None
        return plan

    def run(self, plan: Plan, source: str) -> Streamed:
        """What a draft leads to, with other storages if parts turn out to need them."""
        plan, kinds = self._plan(plan)
        while True:
            try:
                return self._follow(plan, kinds, source)
            except StorageError as error:
                plan = plan.widened(error.wider)

    def _follow(self, plan: Plan, kinds: dict[str, ColumnType], source: str) -> Streamed:
        """One pass if the guess of the types is right, otherwise one more with the right ones."""
        if not kinds:
            raise self._few(plan, 0)
        found = self._pass(plan, kinds)
        decided = self._decide(plan, found)
        if decided != kinds or _mixed(kinds):
            kinds = decided
            if _mixed(kinds):
                listed = ", ".join(f"{name} is {kind}" for name, kind in kinds.items())
                raise InputError(
                    f"streams need columns of one kind, and {listed}: choose columns with --modalities, declare types, "
                    "or read data that fit into memory with --engine memory"
                )
            found = self._pass(plan, kinds)
            if self._decide(plan, found) != kinds:
                raise InputError(_CHANGED.format(source))
        statistics = _built(plan, found, source)
        notes = self._notes(plan, statistics) if plan.complete else ()
        left_out = tuple(f"left out, as it cannot be read: {cause}" for cause in self._left_out.values())
        unseen = UNSEEN_OF_NUMBERS if isinstance(statistics, Moments) else UNSEEN_OF_COUNTS
        return Streamed(statistics, (*left_out, *notes, unseen))

    def _notes(self, plan: Plan, statistics: Statistics) -> tuple[str, ...]:
        """How many rows are complete, if not all are. Last, because only now is it known which parts are in."""
        counts = self._rows(plan)
        if counts.complete != statistics.n:
            raise InputError(_CHANGED.format(statistics.source))
        if counts.complete == counts.rows:
            return ()
        return (note_of_complete(counts.complete, counts.rows, _missing(plan, counts)),)

    def _rows(self, plan: Plan) -> RowCounts:
        counts = self._total(Task("rows", plan), "counting complete rows")
        assert isinstance(counts, RowCounts)
        return counts

    def _few(self, plan: Plan, n: int) -> InputError:
        """What to say of fewer than two rows that count."""
        if plan.complete and (counts := self._rows(plan)).complete < counts.rows:
            worst, gaps = max(_missing(plan, counts).items(), key=lambda found: found[1])
            return InputError(
                f"{counts.complete} of {counts.rows} rows are complete: leave out {worst}, which is missing in {gaps}, "
                "with --modalities"
            )
        return InputError(_FEW_ROWS.format("one row" if n else "no rows"))

    def _plan(self, plan: Plan) -> tuple[Plan, dict[str, ColumnType]]:
        """The storages and the guessed types, from the first part that has rows that count; no types if none has."""
        if self._parts[0].lower().endswith(".csv"):
            counted = self._total(Task("csv"), "reading types")
            assert isinstance(counted, CsvCounts)
            plan = plan.widened({one.name: counted.storage(one.name, one.declared) for one in plan.columns})
        return self._first(lambda part: guess(part, plan)) or (plan, {})

    def _first(self, work: Callable[[str], _T | None]) -> _T | None:
        """What comes of the first part of which something does. Wrong ones before it are named by the passes."""
        wrong: list[InputError] = []
        damaged: dict[str, str] = {}
        for part in self._parts:
            try:
                if found := work(part):
                    return found
            except DamagedPartError as error:
                damaged[part] = str(error)
            except InputError as error:
                wrong.append(error)
        if wrong:
            raise wrong[0]
        if damaged:
            self._check(Outcome(None, damaged, damaged=frozenset(damaged)))
        return None

    def _pass(self, plan: Plan, kinds: Mapping[str, ColumnType]) -> _Found:
        """The statistic that suits the types; for those of both kinds that which decides the doubtful ones."""
        if not _mixed(kinds):
            wanted: Wanted = "symbols" if "discrete" in kinds.values() else "numbers"
            columns = plan.columns
        else:
            wanted, columns = "numbers", tuple(column for column in plan.columns if not column.settled)
            if not columns:
                return _Found(columns, None)
        return _Found(columns, self._total(Task(wanted, plan, columns), _DOING[wanted]))

    def _total(self, task: Task, description: str) -> Statistic:
        outcome = self._engine.total(task, self._parts, description)
        self._check(outcome)
        if outcome.statistic is None:
            raise InputError("no part is left")
        return outcome.statistic

    def _check(self, outcome: Outcome) -> None:
        """Leaves out damaged parts if that was asked for, and otherwise refuses, naming all of them."""
        if outcome.wider:
            raise StorageError(outcome.wider)
        if outcome.failures and not (self._skip and set(outcome.failures) <= outcome.damaged):
            causes = list(outcome.failures.values())
            if len(self._parts) == 1:
                raise InputError(causes[0])
            shown = "; ".join(causes[:5]) + (f"; and {len(causes) - 5} more" if len(causes) > 5 else "")
            advice = "repair them" if set(outcome.failures) - outcome.damaged else "repair them, or add --skip-damaged"
            rest = "" if self._kept else " (--keep FOLDER keeps what was got of the others)"
            raise InputError(f"{len(causes)} of {len(self._parts)} parts cannot be used: {shown}. {advice}{rest}")
        self._left_out.update(outcome.failures)
        self._parts = [part for part in self._parts if part not in outcome.failures]
        if not self._parts:
            raise InputError(f"no part is left: {next(iter(self._left_out.values()))}")

    def _decide(self, plan: Plan, found: _Found) -> dict[str, ColumnType]:
        """The type of every column by the rule of :meth:`bounds.samples.Samples.from_arrays`."""
        kinds: dict[str, ColumnType] = {column.name: column.settled for column in plan.columns if column.settled}
        statistic = found.statistic
        if statistic is None:
            return kinds
        assert isinstance(statistic, SymbolCounts | Numbers)
        if statistic.n < 2:
            raise self._few(plan, statistic.n)
        for i, column in enumerate(found.columns):
            if isinstance(statistic, SymbolCounts):
                kinds[column.name] = _kind(column, statistic.symbols[i], statistic.margin(i))
            else:
                kinds[column.name] = self._kind_of_numbers(plan, column, statistic, i)
        return kinds

    def _kind_of_numbers(self, plan: Plan, column: PlannedColumn, found: Numbers, i: int) -> ColumnType:
        values, counts = found.profile.values[i], found.profile.counts[i]
        if values is not None and counts is not None:
            return _kind(column, values, counts)
        if column.declared:
            return column.declared
        # There are more than MAX_SYMBOLS values, so the column is continuous, unless one of them is an atom.
        if found.profile.buckets[i].max() > max(ATOM_ROWS, ATOM_SHARE * found.n):
            exact = self._total(Task("symbols", plan, (column,)), f"looking for atoms in {column.name}")
            assert isinstance(exact, SymbolCounts)
            return _kind(column, exact.symbols[0], exact.margin(0))
        if found.profile.largest[i] > EXACT_INTEGERS:
            raise InputError(
                f"{column.label} holds whole numbers beyond 2^53, which lose digits as continuous values: "
                "declare it discrete (codes, identifiers), or subtract an offset"
            )
        return "continuous"


def _missing(plan: Plan, counts: RowCounts) -> dict[str, int]:
    return dict(zip(plan.layout.names, counts.missing.tolist(), strict=True))


def _mixed(kinds: Mapping[str, ColumnType]) -> bool:
    return len(set(kinds.values())) > 1


def _kind(column: PlannedColumn, distinct: np.ndarray, counts: np.ndarray) -> ColumnType:
    """The type of a column from its values and their counts, as :func:`bounds.columns.code` decides."""
    if len(distinct) == 1 and (column.declared != "discrete" if column.numeric else not column.declared):
        raise constant_column(column.label, column.declared)
    return column.settled or detect(column.label, distinct, counts)


def _built(plan: Plan, found: _Found, source: str) -> Statistics:
    statistic = found.statistic
    if isinstance(statistic, Numbers):
        moments = statistic.moments
        return Moments(plan.layout, moments.n, moments.mean, moments.scatter, source)
    assert isinstance(statistic, SymbolCounts)
    widths = tuple(
        smallest_step(symbols) if column.numeric and not is_whole(symbols) else 0.0
        for column, symbols in zip(plan.columns, statistic.symbols, strict=True)
    )
    alphabets = tuple(len(symbols) for symbols in statistic.symbols)
    return JointCounts(plan.layout, statistic.columns, alphabets, statistic.counts, source, widths)
