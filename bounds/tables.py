"""Datasets in ``.csv`` and ``.parquet`` tables, through DuckDB without network or extensions."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

from bounds.column_mapping import assign, check_unique
from bounds.damage import damage, first_line, interruptible
from bounds.errors import InputError
from bounds.memory import check_fits
from bounds.samples import DeclaredTypes

if TYPE_CHECKING:
    import duckdb

#: The longest line of a table, in bytes.
MAX_LINE = 1 << 21
#: Columns for which one query counts what they hold.
CHUNK = 256

_CSV_DELIMITERS = ",;\t|"
NUMBER = "TRY_CAST(c{i} AS DOUBLE)"
# A cast to BIGINT rounds.
WHOLE = (
    "CASE WHEN NOT (contains(c{i}, '.') OR contains(c{i}, 'e') OR contains(c{i}, 'E')) "
    "THEN TRY_CAST(c{i} AS BIGINT) END"
)
# Whole numbers as they are written, however long: what does not fit 64 bits has no exact number here.
DIGITS = "CASE WHEN regexp_full_match(trim(c{i}), '[+-]?[0-9]+') THEN 1 END"
_NUMERIC = re.compile(r"U?(TINY|SMALL|BIG)INT|U?INTEGER|BOOLEAN|FLOAT|DOUBLE")
#: Types of whole numbers that need not fit 64 bits.
WIDE_WHOLE = re.compile(r"U?HUGEINT|DECIMAL\(\d+,\s*0\)")
_DECIMAL = re.compile(r"DECIMAL\(\d+,\s*\d+\)")
_TEXT = re.compile(r"VARCHAR|ENUM\(.*\)|UUID", re.DOTALL)
_DATE = re.compile(r"DATE|TIME.*|INTERVAL")
#: The type of a column that has no values at all.
NO_VALUES = '"NULL"'


@interruptible()
def read_csv(path: str, modalities: Sequence[str], types: Mapping[str, str] | None) -> dict[str, dict[str, np.ndarray]]:
    """The columns of a ``.csv`` table by modality, masked where cells are empty: :func:`bounds.readers.read`."""
    delimiter, names = csv_header(path)
    groups = assign(modalities, names)
    declared = _declared(groups, names, types)
    fields = {f"c{i}": "VARCHAR" for i in range(len(names))}
    # No sniffing: rows are checked against the header, and errors name their line.
    table = (
        "read_csv($1, delim=$2, columns=$3, header=true, auto_detect=false, strict_mode=true, null_padding=false, "
        "ignore_errors=false, quote='\"', escape='\"', compression='none', hive_partitioning=false, "
        f"max_line_size={MAX_LINE})"
    )
    with closing(_connect(path)) as connection, csv_damage():
        given = [path_pattern(path), delimiter, fields]
        rows = _count(connection, table, given)
        _check_table(rows, declared, itemsize=32)
        chosen = ", ".join(f"c{i}" for i in declared)
        connection.execute(f"CREATE TEMP TABLE data AS SELECT {chosen} FROM {table}", given)
        casts = _csv_casts(connection, declared, names)
        arrays = _fetch(connection, casts, "data", [])
    return {m: {names[i]: arrays[i] for i in chosen} for m, chosen in groups.items()}


def csv_header(path: str) -> tuple[str, list[str]]:
    """The delimiter, which is the candidate that gives most names, and the names."""
    text = ""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            while line := file.readline(MAX_LINE - len(text)):
                text += line
                if text.count('"') % 2 == 0:
                    break
        if len(text) >= MAX_LINE:
            raise InputError(f"the first line is longer than {MAX_LINE} characters: is this a .csv?")
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text: save it with that encoding") from None
    if text.count('"') % 2:
        raise InputError("a quote in the first line is not closed")
    headers = {}
    for delimiter in _CSV_DELIMITERS:
        fields = csv.reader(io.StringIO(text, ""), delimiter=delimiter, skipinitialspace=True, strict=True)
        with suppress(csv.Error):
            headers[delimiter] = next(fields, [])
    if not headers:
        raise InputError(
            "the column names in the first line cannot be read: put quotes around whole names, and double them inside"
        )
    delimiter = max(headers, key=lambda d: len(headers[d]))
    names = [name.strip() for name in headers[delimiter]]
    if not any(names):
        raise InputError("the first line is blank: it must hold the column names")
    if _look_like_data(names):
        raise InputError(f"the first line ({names[0]}, ...) looks like data: it must hold the column names")
    check_unique([name for name in names if name], "column")
    return delimiter, names


def _look_like_data(names: Sequence[str]) -> bool:
    """Numbers that are not counted through, as in ``0,1,2`` or ``2019,2020``."""
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return False
    counted = all(name.isdigit() for name in names) and numbers == sorted(set(numbers))
    return not counted


def _csv_casts(
    connection: duckdb.DuckDBPyConnection, declared: Mapping[int, str | None], names: Sequence[str]
) -> dict[int, str]:
    """For each column of text the SQL of what it is by its cells that are not empty: whole numbers, numbers, text."""
    casts = {}
    columns = list(declared)
    for chunk in (columns[start : start + CHUNK] for start in range(0, len(columns), CHUNK)):
        present = _counts(connection, "c{i}", chunk)
        numbers = _counts(connection, NUMBER, chunk)
        whole = _counts(connection, WHOLE, chunk)
        for i in chunk:
            if numbers[i] < present[i]:
                _check_text(connection, i, names[i], present[i], numbers[i], declared[i])
                casts[i] = f"c{i}"
            elif whole[i] == present[i]:
                casts[i] = f"CAST(c{i} AS BIGINT)"
            elif _counts(connection, DIGITS, [i])[i] == present[i]:
                casts[i] = _of_long(i, names[i], declared[i])
            else:
                casts[i] = f"CAST(c{i} AS DOUBLE)"
    return casts


def _of_long(position: int, name: str, declared: str | None) -> str:
    """Whole numbers that no exact number here holds: symbols as they are written, or rounded if so declared."""
    if declared == "discrete":
        return f"CAST(c{position} AS VARCHAR)"
    if declared == "continuous":
        return f"CAST(c{position} AS DOUBLE)"
    raise InputError(
        f"column {name!r} holds whole numbers beyond 64 bits, which lose digits as continuous values: declare it "
        "discrete (codes, identifiers; each is then a symbol as it is written), or continuous if digits may be lost"
    )


def _counts(connection: duckdb.DuckDBPyConnection, expression: str, columns: Sequence[int]) -> dict[int, int]:
    """In how many rows an expression of a column ``c{i}`` is not NULL, for each column."""
    sql = ", ".join(f"count({expression.format(i=i)})" for i in columns)
    return dict(zip(columns, connection.execute(f"SELECT {sql} FROM data").fetchall()[0], strict=True))


def _check_text(
    connection: duckdb.DuckDBPyConnection, position: int, name: str, rows: int, numbers: int, declared: str | None
) -> None:
    """Refuses text that was hardly meant as symbols: damaged or foreign numbers, and dates."""

    def in_all(expression: str) -> bool:
        return _counts(connection, expression, [position])[position] == rows

    if declared == "discrete":
        return
    if declared or 2 * numbers >= rows or in_all("TRY_CAST(replace(c{i}, ',', '') AS DOUBLE)"):
        c = f"c{position}"
        query = f"SELECT {c} FROM data WHERE TRY_CAST({c} AS DOUBLE) IS NULL LIMIT 1"
        example = (connection.execute(query).fetchone() or [""])[0]
        raise InputError(
            f"column {name!r} has {rows - numbers} of {rows} values that are no plain numbers, such as {example!r}: "
            "correct or drop these rows, or declare it discrete if the values are symbols"
        )
    if in_all("TRY_CAST(c{i} AS TIMESTAMP)") or in_all("TRY_CAST(c{i} AS TIME)"):
        raise _date(name)


@interruptible()
def read_parquet(
    path: str, modalities: Sequence[str], types: Mapping[str, str] | None
) -> dict[str, dict[str, np.ndarray]]:
    """The columns of a ``.parquet`` table by modality, masked where cells are empty: :func:`bounds.readers.read`."""
    import duckdb

    table, given = "read_parquet($1, hive_partitioning=false)", [path_pattern(path)]
    with closing(_connect(path)) as connection, damage("is not a complete .parquet file", duckdb.Error):
        described = connection.execute(f"DESCRIBE FROM {table}", given).fetchall()
        names = parquet_names(connection, given)
        if len(names) != len(described):
            raise InputError("is not a complete .parquet file (its schema does not add up)")
        check_unique(names, "column")
        groups = assign(modalities, names)
        declared = _declared(groups, names, types)
        rows = _count(connection, table, given)
        _check_table(rows, declared, itemsize=16)
        data = f"{table} AS data({', '.join(f'c{i}' for i in range(len(names)))})"

        def is_long(i: int) -> bool:
            return bool((connection.execute(f"SELECT {beyond_64_bits(i)} FROM {data}", given).fetchone() or [False])[0])

        casts = {i: parquet_cast(i, names[i], described[i][1], kind, is_long) for i, kind in declared.items()}
        arrays = _fetch(connection, casts, data, given)
    return {m: {names[i]: arrays[i] for i in chosen} for m, chosen in groups.items()}


def parquet_names(connection: duckdb.DuckDBPyConnection, given: Sequence[object]) -> list[str]:
    """The names of the columns as they are in the file; in SQL, names that differ in case alone are changed."""
    nodes = connection.execute("SELECT name, num_children FROM parquet_schema($1)", given).fetchall()
    names, below = [], 0  # how many nodes of the current column are still to come
    for name, children in nodes[1:]:
        if not below:
            names.append(name)
        below += (children or 0) - (1 if below else 0)
    return names


def beyond_64_bits(position: int) -> str:
    """SQL of whether a column of whole numbers has one that does not fit 64 bits."""
    return f"count(c{position}) > count(TRY_CAST(c{position} AS BIGINT))"


def parquet_cast(position: int, name: str, kind: str, declared: str | None, is_long: Callable[[int], bool]) -> str:
    """How SQL reads a column of a Parquet file, as numbers or text.

    Args:
        position, name, kind, declared: of the column; ``kind`` is its SQL type.
        is_long: whether the column at a position is :func:`beyond_64_bits`, asked only where its type allows that.

    Raises:
        InputError: a type that has no such reading, or numbers that are too long for one and not declared.
    """
    c = f"c{position}"
    if _NUMERIC.fullmatch(kind):
        return c
    if WIDE_WHOLE.fullmatch(kind):
        return _of_long(position, name, declared) if is_long(position) else f"CAST({c} AS BIGINT)"
    if _DECIMAL.fullmatch(kind):
        return f"CAST({c} AS DOUBLE)"
    if _TEXT.fullmatch(kind) or (_DATE.fullmatch(kind) and declared == "discrete"):
        return f"CAST({c} AS VARCHAR)"
    if _DATE.fullmatch(kind):
        raise _date(name)
    if kind == NO_VALUES:
        raise InputError(f"column {name!r} is missing in all rows: leave it out")
    raise InputError(f"column {name!r} has the type {kind}: give a column of numbers or text for each value in it")


def _date(name: str) -> InputError:
    return InputError(
        f"column {name!r} holds dates or times: convert it to numbers, such as days since a start, "
        "or declare it discrete to take each as a symbol"
    )


def _connect(path: str) -> duckdb.DuckDBPyConnection:
    """An empty database in memory that may read this one file and nothing else."""
    import duckdb

    off = ("autoinstall_known_extensions", "autoload_known_extensions", "python_enable_replacements")
    connection = duckdb.connect(":memory:", config={**dict.fromkeys(off, "false"), "temp_directory": ""})
    connection.execute("SET allowed_paths = $1", [[os.path.abspath(path), path_pattern(path)]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def path_pattern(path: str) -> str:
    """The path as a pattern that matches it alone, for DuckDB expands patterns."""
    return escaped(os.path.abspath(path))


def escaped(path: str) -> str:
    """A path or URL whose characters mean themselves in a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _count(connection: duckdb.DuckDBPyConnection, table: str, given: Sequence[object]) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}", given).fetchone()
    return int(row[0]) if row else 0


def _fetch(
    connection: duckdb.DuckDBPyConnection, casts: Mapping[int, str], table: str, given: Sequence[object]
) -> dict[int, np.ndarray]:
    chosen = ", ".join(f"{sql} AS c{i}" for i, sql in casts.items())
    fetched = connection.execute(f"SELECT {chosen} FROM {table}", given).fetchnumpy()
    arrays = {i: fetched[f"c{i}"] for i in casts}
    return {
        i: a.astype(np.dtypes.StringDType()) if a.dtype.kind == "O" and not np.ma.is_masked(a) else a
        for i, a in arrays.items()
    }


def _declared(
    groups: Mapping[str, Sequence[int]], names: Sequence[str], types: Mapping[str, str] | None
) -> dict[int, str | None]:
    """The columns to read, each with its declared type."""
    declared = DeclaredTypes(types or {}, {m: tuple(names[i] for i in chosen) for m, chosen in groups.items()})
    return {i: declared.of(m, names[i]) for m, chosen in groups.items() for i in chosen}


def _check_table(rows: int, columns: Mapping[int, object], itemsize: int) -> None:
    if not rows:
        raise InputError("has column names but no rows")
    check_fits("the table", (rows, len(columns)), "choose fewer columns with --modalities, or fewer rows", itemsize)


@contextmanager
def csv_damage() -> Iterator[None]:
    """Turns DuckDB's account of a malformed line, which is long, into the line and what is wrong with it."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        text = str(error).strip()
        line = re.search(r"CSV Error on Line: (\d+)", text)
        problem = re.search(r"^(Expected Number of Columns.*|Invalid unicode.*|.*unterminated quote.*)$", text, re.M)
        detail = problem[1].strip() if problem else first_line(error)
        where = f"line {line[1]}: " if line else ""
        raise InputError(f"is not a well-formed .csv in UTF-8 ({where}{detail})") from None
