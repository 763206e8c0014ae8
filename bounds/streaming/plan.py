"""Which columns of the parts make up the dataset, and how each is stored: the same for all parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bounds.column_mapping import assign
from bounds.columns import EXACT_INTEGERS, MAX_SYMBOLS, ColumnType
from bounds.errors import InputError
from bounds.layout import Layout
from bounds.samples import DeclaredTypes, Samples
from bounds.streaming.parts import OpenPart, open_part
from bounds.tables import NO_VALUES, WIDE_WHOLE, beyond_64_bits, parquet_cast

#: SQL types in which the values of a column are compared: what one part holds another must hold too. The digits of a
#: ``HUGEINT`` are text, as no number here holds them. ``NULL`` is the type of no values, and suits others.
Storage = Literal["NULL", "BIGINT", "UBIGINT", "HUGEINT", "DOUBLE", "BOOLEAN", "VARCHAR"]
_WHOLE_NUMBERS = frozenset({"BIGINT", "UBIGINT", "HUGEINT"})
_NUMBERS = frozenset({"BIGINT", "UBIGINT", "DOUBLE"})

#: Rows of the first part from which the kind of data is guessed; a wrong guess costs a second pass, no more.
_FIRST_ROWS = 50_000
_WHOLE = re.compile(r"U?(TINY|SMALL)INT|U?INTEGER|BIGINT")
_MEANING = {
    "BIGINT": "whole numbers",
    "UBIGINT": "unsigned whole numbers of 64 bits",
    "HUGEINT": "whole numbers beyond 64 bits",
    "DOUBLE": "numbers",
    "BOOLEAN": "truth values",
    "VARCHAR": "text",
}


class StorageError(Exception):
    """A part needs another storage than planned, as where a gap made whole numbers fractions.

    Attributes:
        wider: names of columns, each with the storage in which it has to be planned.
    """

    def __init__(self, wider: Mapping[str, Storage]) -> None:
        super().__init__(f"{', '.join(sorted(wider))}: parts hold different types")
        self.wider = wider


@dataclass(frozen=True)
class PlannedColumn:
    """A column by name, the modality that it belongs to, its storage, and its type if that is declared."""

    name: str
    modality: str
    storage: Storage
    declared: ColumnType | None

    @property
    def label(self) -> str:
        """What error messages call it."""
        return f"column {self.name!r}" + (f" of modality {self.modality!r}" if self.name != self.modality else "")

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers."""
        return self.storage in _NUMBERS

    @property
    def settled(self) -> ColumnType | None:
        """Its type, where that does not depend on the values."""
        return self.declared or (None if self.numeric else "discrete")


@dataclass(frozen=True)
class Plan:
    """The columns of a dataset in the order of its modalities.

    Args:
        columns: those that are used.
        names: of all columns of the part from which the plan was made.
        strict: whether every part must have just these names; otherwise it may have others that are not used.
        complete: whether only the rows count in which all these columns are observed.
    """

    columns: tuple[PlannedColumn, ...]
    names: tuple[str, ...]
    strict: bool
    complete: bool = False

    def widened(self, wider: Mapping[str, Storage]) -> Plan:
        """The same with some columns in another storage."""
        columns = tuple(replace(one, storage=wider.get(one.name, one.storage)) for one in self.columns)
        return replace(self, columns=columns)

    def stored_as(self, part: OpenPart) -> Plan:
        """The same with the storages that a part needs.

        Raises:
            InputError: as for :meth:`select`, or text that is declared continuous.
        """
        try:
            self._expressions(part)
        except StorageError as error:
            plan = self.widened(error.wider)
        else:
            return self
        for column in plan.columns:
            if column.declared == "continuous" and column.storage in ("VARCHAR", "BOOLEAN"):
                raise InputError(
                    f"{column.label} is declared continuous but holds text or categories: convert it to numbers"
                )
        return plan

    @property
    def layout(self) -> Layout:
        """The layout that the same columns have in memory."""
        any_values = np.array([0, 1])
        modalities: dict[str, dict[str, np.ndarray]] = {}
        for column in self.columns:
            modalities.setdefault(column.modality, {})[column.name] = any_values
        return Samples.from_columns(modalities, dict.fromkeys(modalities, "discrete")).layout

    def select(self, part: OpenPart, columns: Sequence[PlannedColumn]) -> str:
        """SQL of some columns of a part as ``v0, v1, ...`` in their storage, in all rows that count.

        Raises:
            InputError: a part that lacks a column, has others, or stores one in another way.
            StorageError: the plan has to be widened.
        """
        sql = self._expressions(part)
        chosen = ", ".join(f"{sql[column]} AS v{i}" for i, column in enumerate(columns))
        where = f" WHERE {' AND '.join(_observed(sql).values())}" if self.complete else ""
        return f"SELECT {chosen} FROM {part.table}{where}"

    def observed(self, part: OpenPart) -> dict[str, str]:
        """For each modality the SQL of whether all its columns are observed: neither NULL nor NaN.

        Raises:
            InputError: as for :meth:`select`.
        """
        return _observed(self._expressions(part))

    def _expressions(self, part: OpenPart) -> dict[PlannedColumn, str]:
        for column in self.columns:
            if column.name not in part.names:
                raise InputError(f"there is no column {column.name!r}, which other parts have")
        if self.strict and set(part.names) != set(self.names):
            extra = next(name for name in part.names if name not in self.names)
            raise InputError(f"column {extra!r} is not in the other parts: leave it out with --modalities")
        positions = [part.names.index(column.name) for column in self.columns]
        if part.is_csv:
            return {column: _cast(f"c{i}", column) for i, column in zip(positions, self.columns, strict=True)}
        found = parquet_columns(
            part,
            [(i, column.name, column.declared) for i, column in zip(positions, self.columns, strict=True)],
            self.complete,
        )
        expressions: dict[PlannedColumn, str] = {}
        wider: dict[str, Storage] = {}
        for column, (sql, storage) in zip(self.columns, found, strict=True):
            both = _common(storage, column.storage)
            if both and both != column.storage:
                wider[column.name] = both
            if both == "DOUBLE" and storage in _WHOLE_NUMBERS and column.declared != "continuous":
                _check_exact(part, column, sql)
            if not both and part.row(f"count(*) FILTER ({_is_there(sql, storage)})")[0]:
                raise InputError(
                    f"{column.label} holds {_MEANING[storage]} here and {_MEANING[column.storage]} in other parts: "
                    "write all parts with the same type"
                )
            expressions[column] = _cast(sql if both else "NULL", column)
        if wider:
            raise StorageError(wider)
        return expressions


def _check_exact(part: OpenPart, column: PlannedColumn, sql: str) -> None:
    if part.row(f"count(*) FILTER ({sql} NOT BETWEEN -{EXACT_INTEGERS} AND {EXACT_INTEGERS})")[0]:
        raise InputError(
            f"{column.label} holds whole numbers beyond 2^53, and another type of numbers in other parts, "
            "in which they lose digits: write all parts with the same type"
        )


def _common(one: Storage, other: Storage) -> Storage | None:
    """The storage in which the values of both can be compared, if there is one."""
    if one == other or other == "NULL":
        return one
    if one == "NULL":
        return other
    if {one, other} <= _NUMBERS:
        return "DOUBLE"
    return "HUGEINT" if {one, other} <= _WHOLE_NUMBERS else None


def _cast(sql: str, column: PlannedColumn) -> str:
    kind = {"NULL": NO_VALUES, "HUGEINT": "VARCHAR"}.get(column.storage, column.storage)
    return f"CAST({sql} AS {kind})"


def _is_there(sql: str, storage: Storage) -> str:
    """SQL of whether a value is neither NULL nor NaN."""
    return f"{sql} IS NOT NULL" + (f" AND NOT isnan({sql})" if storage == "DOUBLE" else "")


def _observed(sql: Mapping[PlannedColumn, str]) -> dict[str, str]:
    conditions: dict[str, list[str]] = {}
    for column, value in sql.items():
        conditions.setdefault(column.modality, []).append(_is_there(value, column.storage))
    return {modality: " AND ".join(found) for modality, found in conditions.items()}


def draft(part: str, modalities: Sequence[str], types: Mapping[str, str] | None, complete: bool = False) -> Plan:
    """The plan but for the storages, from the names of the columns of a part.

    Args:
        part: that part.
        modalities: which columns belong to which, as for :func:`bounds.readers.read`.
        types: as there.
        complete: whether only complete rows count.

    Raises:
        InputError: unknown columns or types.
    """
    with open_part(part) as opened:
        names = opened.names
        groups = assign(modalities, names)
        declared = DeclaredTypes(types or {}, {m: tuple(names[i] for i in at) for m, at in groups.items()})
        columns = [PlannedColumn(names[i], m, "NULL", declared.of(m, names[i])) for m, at in groups.items() for i in at]
        return Plan(tuple(columns), names, not modalities, complete)


def guess(part: str, plan: Plan) -> tuple[Plan, dict[str, ColumnType]] | None:
    """The plan with the storages of a part, and the type of every column as far as its first rows that count show.

    ``None`` if it has no such rows: then it says nothing of either.

    Raises:
        InputError: as for :meth:`Plan.stored_as`.
    """
    with open_part(part) as opened:
        plan = plan.stored_as(opened)
        kinds: dict[str, ColumnType] = {column.name: column.settled for column in plan.columns if column.settled}
        unsettled = [column for column in plan.columns if not column.settled]
        query = f"{plan.select(opened, unsettled or plan.columns[:1])} LIMIT {_FIRST_ROWS if unsettled else 1}"
        values = opened.connection.execute(query, opened.given).fetchnumpy()
    if not len(values["v0"]):
        return None
    for i, column in enumerate(unsettled):
        distinct = np.unique(np.ma.getdata(values[f"v{i}"]))
        few = len(distinct) <= MAX_SYMBOLS and bool((distinct == np.round(distinct)).all())
        kinds[column.name] = "discrete" if few else "continuous"
    return plan, kinds


def parquet_columns(
    part: OpenPart, columns: Sequence[tuple[int, str, ColumnType | None]], complete: bool
) -> list[tuple[str, Storage]]:
    """SQL and storage of columns of a .parquet, each given by position, name and declared type.

    Where only complete rows count, a column may have no type because it has no values.

    Raises:
        InputError: a column of something else than numbers or text, in a part that has rows.
    """
    if not part.row("count(*)")[0]:
        return [("NULL", "NULL")] * len(columns)

    def is_long(i: int) -> bool:
        return bool(part.row(beyond_64_bits(i))[0])

    stored = part.types([f"c{i}" for i, _, _ in columns])
    casts = [
        "NULL" if complete and kind == NO_VALUES else parquet_cast(i, name, kind, declared, is_long)
        for (i, name, declared), kind in zip(columns, stored, strict=True)
    ]
    return [
        (sql, "NULL" if sql == "NULL" else _storage(kind, before))
        for sql, kind, before in zip(casts, part.types(casts), stored, strict=True)
    ]


def _storage(kind: str, before: str) -> Storage:
    if kind == "VARCHAR" and WIDE_WHOLE.fullmatch(before):
        return "HUGEINT"
    if _WHOLE.fullmatch(kind):
        return "BIGINT"
    if kind == "UBIGINT":
        return "UBIGINT"
    if kind == "BOOLEAN":
        return "BOOLEAN"
    return "VARCHAR" if kind == "VARCHAR" else "DOUBLE"
