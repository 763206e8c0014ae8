"""Which columns of the parts make up the dataset, and how each is stored: the same for all parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bounds.column_mapping import assign
from bounds.columns import MAX_SYMBOLS, ColumnType
from bounds.errors import InputError
from bounds.layout import Layout
from bounds.samples import DeclaredTypes, Samples
from bounds.streaming.csv_types import CsvCounts
from bounds.streaming.parts import OpenPart, open_part
from bounds.tables import parquet_cast

#: SQL types in which the values of a column are compared: what one part holds another must hold too.
Storage = Literal["BIGINT", "UBIGINT", "DOUBLE", "BOOLEAN", "VARCHAR"]

#: Rows of the first part from which the kind of data is guessed; a wrong guess costs a second pass, no more.
_FIRST_ROWS = 50_000
_WHOLE = re.compile(r"U?(TINY|SMALL)INT|U?INTEGER|BIGINT")
_MEANING = {
    "BIGINT": "whole numbers",
    "UBIGINT": "unsigned whole numbers of 64 bits",
    "DOUBLE": "numbers",
    "BOOLEAN": "truth values",
    "VARCHAR": "text",
}


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
        return self.storage in ("BIGINT", "UBIGINT", "DOUBLE")

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
    """

    columns: tuple[PlannedColumn, ...]
    names: tuple[str, ...]
    strict: bool

    @property
    def layout(self) -> Layout:
        """The layout that the same columns have in memory."""
        any_values = np.array([0, 1])
        modalities: dict[str, dict[str, np.ndarray]] = {}
        for column in self.columns:
            modalities.setdefault(column.modality, {})[column.name] = any_values
        return Samples.from_columns(modalities, dict.fromkeys(modalities, "discrete")).layout

    def expressions(self, part: OpenPart, columns: Sequence[PlannedColumn]) -> tuple[str, ...]:
        """SQL of some columns of a part, in their storage.

        Raises:
            InputError: a part that lacks a column, has others, or stores one in another way.
        """
        for column in columns:
            if column.name not in part.names:
                raise InputError(f"there is no column {column.name!r}, which other parts have")
        if self.strict and set(part.names) != set(self.names):
            extra = next(name for name in part.names if name not in self.names)
            raise InputError(f"column {extra!r} is not in the other parts: leave it out with --modalities")
        positions = [part.names.index(column.name) for column in columns]
        if part.is_csv:
            return tuple(f"CAST(c{i} AS {column.storage})" for i, column in zip(positions, columns, strict=True))
        found = parquet_columns(
            part, [(i, column.name, column.declared) for i, column in zip(positions, columns, strict=True)]
        )
        for column, (_, storage) in zip(columns, found, strict=True):
            if storage != column.storage:
                raise InputError(
                    f"{column.label} holds {_MEANING[storage]} here and {_MEANING[column.storage]} in other parts: "
                    "write all parts with the same type"
                )
        return tuple(sql for sql, _ in found)


def make_plan(part: str, modalities: Sequence[str], types: Mapping[str, str] | None, counted: CsvCounts | None) -> Plan:
    """The plan that the first readable part leads to.

    Args:
        part: that part.
        modalities: which columns belong to which, as for :func:`bounds.readers.read`.
        types: as there.
        counted: for .csv what all parts hold.

    Raises:
        InputError: unknown columns or types, columns that hold neither numbers nor text.
    """
    with open_part(part) as opened:
        groups = assign(modalities, opened.names)
        declared = DeclaredTypes(types or {}, {m: tuple(opened.names[i] for i in at) for m, at in groups.items()})
        names = opened.names
        chosen = [(i, names[i], declared.of(m, names[i])) for m, at in groups.items() for i in at]
        storages = None if counted else [storage for _, storage in parquet_columns(opened, chosen)]
    if counted:  # of all parts, so an error here is not about this one
        storages = [counted.storage(name, kind) for _, name, kind in chosen]
    belongs = [m for m, at in groups.items() for _ in at]
    columns = tuple(
        PlannedColumn(name, modality, storage, kind)
        for (_, name, kind), modality, storage in zip(chosen, belongs, storages or (), strict=True)
    )
    for column in columns:
        if column.declared == "continuous" and not column.numeric:
            raise InputError(
                f"{column.label} is declared continuous but holds text or categories: convert it to numbers"
            )
    return Plan(columns, names, strict=not modalities)


def guess(part: str, plan: Plan) -> dict[str, ColumnType]:
    """The type of every column as far as the first rows of a part show; nothing if it has none."""
    kinds: dict[str, ColumnType] = {column.name: column.settled for column in plan.columns if column.settled}
    unsettled = [column for column in plan.columns if not column.settled]
    with open_part(part) as opened:
        if not opened.row("count(*)")[0]:
            return {}
        if not unsettled:
            return kinds
        sql = ", ".join(f"{e} AS c{i}" for i, e in enumerate(plan.expressions(opened, unsettled)))
        query = f"SELECT {sql} FROM {opened.table} LIMIT {_FIRST_ROWS}"
        values = opened.connection.execute(query, opened.given).fetchnumpy()
    for i, column in enumerate(unsettled):
        distinct = np.unique(np.ma.getdata(values[f"c{i}"]))
        few = len(distinct) <= MAX_SYMBOLS and bool((distinct == np.round(distinct)).all())
        kinds[column.name] = "discrete" if few else "continuous"
    return kinds


def parquet_columns(part: OpenPart, columns: Sequence[tuple[int, str, ColumnType | None]]) -> list[tuple[str, Storage]]:
    """SQL and storage of columns of a .parquet, each given by position, name and declared type.

    Raises:
        InputError: a column of something else than numbers or text.
    """
    stored = part.types([f"c{i}" for i, _, _ in columns])
    casts = [parquet_cast(i, name, kind, declared) for (i, name, declared), kind in zip(columns, stored, strict=True)]
    storages: list[Storage] = [_storage(kind) for kind in part.types(casts)]
    return [(f"CAST({sql} AS {storage})", storage) for sql, storage in zip(casts, storages, strict=True)]


def _storage(kind: str) -> Storage:
    if _WHOLE.fullmatch(kind):
        return "BIGINT"
    if kind == "UBIGINT":
        return "UBIGINT"
    if kind == "BOOLEAN":
        return "BOOLEAN"
    return "VARCHAR" if kind == "VARCHAR" else "DOUBLE"
