"""Files to a dataset or a law. Nothing is ever unpickled, and a table is read without network or extensions."""

from __future__ import annotations

import csv
import fnmatch
import io
import lzma
import math
import os
import re
import struct
import sys
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bounds.errors import InputError
from bounds.joints import Discrete, Gaussian
from bounds.memory import check_fits
from bounds.samples import DeclaredTypes, Samples, did_you_mean, flatten
from bounds.subsets import check_names

if TYPE_CHECKING:
    import duckdb

#: The longest header of an array, and the longest line of a table, in bytes.
MAX_ARRAY_HEADER = 1 << 16
MAX_LINE = 1 << 21

#: Columns for which one query counts what they hold.
CHUNK = 256

_CSV_DELIMITERS = ",;\t|"
_NUMBER = "TRY_CAST(c{i} AS DOUBLE)"
# A cast to BIGINT rounds.
_WHOLE = (
    "CASE WHEN NOT (contains(c{i}, '.') OR contains(c{i}, 'e') OR contains(c{i}, 'E')) "
    "THEN TRY_CAST(c{i} AS BIGINT) END"
)
_NUMERIC = re.compile(r"U?(TINY|SMALL|BIG)INT|U?INTEGER|BOOLEAN|FLOAT|DOUBLE")
_WIDE = re.compile(r"U?HUGEINT|DECIMAL\(\d+,\s*\d+\)")
_TEXT = re.compile(r"VARCHAR|ENUM\(.*\)|UUID", re.DOTALL)
_DATE = re.compile(r"DATE|TIME.*|INTERVAL")

#: What zipfile and the decompressors raise for a damaged archive.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted; NotImplementedError, for a compression that is not supported, is one
    ValueError,
    OverflowError,
)
#: What numpy raises for a damaged array header.
_HEADER_ERRORS = (ValueError, TypeError, SyntaxError, KeyError, tokenize.TokenError, RecursionError, MemoryError)


def read(
    path: str | os.PathLike[str], modalities: Sequence[str] = (), types: Mapping[str, str] | None = None
) -> Samples | Discrete | Gaussian:
    """A dataset, or a law, from a file.

    - ``.npz`` with ``pmf``, or with ``cov``, and optionally ``sizes``, ``units`` and ``names``: a law.
    - ``.npz`` otherwise: a dataset with one array ``(N, ...)`` per modality.
    - ``.csv`` (UTF-8, names in the first line; commas, semicolons, tabs or bars between the fields) and ``.parquet``:
      a dataset with one column per modality. A column of a .csv is numbers if every value reads as one.

    Args:
        path: the file.
        modalities: for a dataset, ``name=columns`` for each modality, in order: names, patterns and inclusive ranges in
            the order of the file, separated by commas: ``"image=px_*"``, ``"text=w0:w9"``, ``"a=x,y,z*"``. What none
            names is left out. For an .npz the arrays take the place of columns.
        types: modality or column to ``"discrete"`` or ``"continuous"``, as in :meth:`Samples.from_arrays`.

    Raises:
        InputError: a file that is missing, damaged, empty or of an unknown suffix, or holds what
            :meth:`Samples.from_arrays`, :class:`Discrete` or :class:`Gaussian` refuse; a column that is unknown, named
            twice or in two modalities; a file too large for memory, said before it is loaded.
    """
    name = os.fspath(path)
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in _READERS:
        raise InputError(f"{name}: unknown suffix {suffix!r}: supported are {', '.join(_READERS)}")
    if isinstance(modalities, str):
        raise InputError(f"modalities={modalities!r}: give a list of 'name=columns'")
    try:
        _check_readable(name)
        return _READERS[suffix](name, tuple(modalities), types)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _check_readable(path: str) -> None:
    try:
        path.encode()
        if os.path.isdir(path):
            raise InputError("is a directory: give a file")
        if not os.path.exists(path):
            raise InputError("there is no such file")
        if not os.path.isfile(path):
            raise InputError("is not a regular file")
        if os.path.getsize(path) == 0:
            raise InputError("the file is empty")
        with open(path, "rb"):
            pass
    except UnicodeEncodeError:
        raise InputError("the name of the file is not valid text: rename it") from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})") from None


# Columns to modalities


def assign(specs: Sequence[str], known: Sequence[str], what: str = "column") -> dict[str, list[int]]:
    """Which columns each modality takes, as positions in ``known``.

    >>> assign(["image=px_*", "text=w0:w1"], ["id", "px_0", "px_1", "w0", "w1"])
    {'image': [1, 2], 'text': [3, 4]}

    Raises:
        InputError: no ``name=columns``, a modality twice, an unknown column, a pattern without match, a reversed range,
            a column twice, or without ``specs`` a column whose name cannot be a modality's.
    """
    if not known:
        raise InputError(f"there are no {what}s")
    if not specs:
        return {_own_modality(name, i, what): [i] for i, name in enumerate(known)}
    taken: dict[int, str] = {}
    chosen: dict[str, list[int]] = {}
    for spec in specs:
        modality, equals, columns = (part.strip() for part in spec.partition("="))
        if not equals or not modality or not columns:
            raise InputError(f"modality {spec!r}: write name={what}s, such as 'image=px_*' or 'text=w0:w9'")
        check_names([modality], 1)
        if modality in chosen:
            raise InputError(f"modality {modality!r} is given twice: list its {what}s in one, separated by commas")
        chosen[modality] = []
        for position in _positions(columns, known, what):
            if position in taken:
                where = "twice in" if taken[position] == modality else f"in {taken[position]!r} and in"
                raise InputError(f"{what} {known[position]!r} is {where} modality {modality!r}: name it once")
            taken[position] = modality
            chosen[modality].append(position)
    return chosen


def _own_modality(name: str, position: int, what: str) -> str:
    if not name:
        raise InputError(
            f"{what} {position + 1} has no name (a saved index?): remove it, or choose others with --modalities"
        )
    try:
        return check_names([name], 1)[0]
    except InputError:
        raise InputError(
            f"{what} {name!r} cannot give its name to a modality, as it has one of the characters , ; | ( ) + = : "
            f"rename it with --modalities 'name={name}'"
        ) from None


def _positions(text: str, known: Sequence[str], what: str) -> Iterator[int]:
    """The columns named on the right side of a specification. A name as it is comes before any other reading."""
    if text in known:
        yield known.index(text)
        return
    for item in (part.strip() for part in text.split(",")):
        if item in known:
            yield known.index(item)
        elif ":" in item:
            yield from _range(item, known, what)
        elif any(c in item for c in "*?["):
            matches = [i for i, name in enumerate(known) if fnmatch.fnmatchcase(name, item)]
            if not matches:
                raise InputError(f"no {what} matches {item!r}: {did_you_mean(item, known)}")
            yield from matches
        else:
            raise InputError(f"there is no {what} {item!r}: {did_you_mean(item, known)}")


def _range(item: str, known: Sequence[str], what: str) -> range:
    """``first:last``, in the order of the file, at whichever colon both sides are known."""
    cuts = [(item[:i].strip(), item[i + 1 :].strip()) for i, c in enumerate(item) if c == ":"]
    first, last = next((cut for cut in cuts if cut[0] in known and cut[1] in known), cuts[0])
    for end in (first, last):
        if end not in known:
            raise InputError(f"there is no {what} {end!r} for the range {item!r}: {did_you_mean(end, known)}")
    start, stop = known.index(first), known.index(last)
    if start > stop:
        raise InputError(f"the range {item!r} is reversed: in the file {last!r} comes first, write {last}:{first}")
    return range(start, stop + 1)


# .npz


@dataclass(frozen=True)
class _Member:
    """An array in an archive, by its header alone."""

    info: zipfile.ZipInfo
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


def _read_npz(path: str, modalities: Sequence[str], types: Mapping[str, str] | None) -> Samples | Discrete | Gaussian:
    with _damage("is not a complete .npz archive", *_ZIP_ERRORS):
        archive = zipfile.ZipFile(path)
    with archive:
        infos = archive.infolist()
        names = [_array_name(info) for info in infos]
        _check_unique(names, "array")
        laws = [key for key in ("pmf", "cov") if key in names]
        if laws and (modalities or types):
            raise InputError(f"holds a law ({laws[0]!r}): modalities and types are chosen for arrays of samples only")
        if laws:
            return _law(archive, laws[0], names)
        groups = assign(modalities, names, "array")
        members = {m: [_header(archive, infos[i], names[i]) for i in chosen] for m, chosen in groups.items()}
        cells = sum(math.prod(member.shape) for chosen in members.values() for member in chosen)
        check_fits("all arrays together", (cells,), "choose fewer with --modalities, or fewer rows", 16)
        columns = {m: _columns(m, [(one.name, _array(archive, one)) for one in many]) for m, many in members.items()}
    return Samples.from_columns(columns, types, os.path.basename(path))


def _array_name(info: zipfile.ZipInfo) -> str:
    if not info.filename.endswith(".npy"):
        raise InputError(f"{info.filename!r} in the archive is no .npy array: write the file with numpy.savez")
    return info.filename.removesuffix(".npy")


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> _Member:
    """The declared shape and type of an array, checked against the memory and the archive before it is loaded."""
    with _damage(f"array {name!r} is damaged", *_ZIP_ERRORS), archive.open(info) as stream:
        start = io.BytesIO(stream.read(MAX_ARRAY_HEADER))
    try:
        shape, dtype = _shape_and_type(start)
    except _HEADER_ERRORS:
        raise InputError(f"array {name!r} has a damaged header: write the file again with numpy.savez") from None
    if dtype.hasobject:
        raise InputError(
            f"array {name!r} holds pickled Python objects, which are never loaded: save it as numbers or text"
        )
    if dtype.itemsize == 0 or len(shape) > 64 or any(k < 0 for k in shape):
        raise InputError(f"array {name!r} has a damaged header (shape {shape}, type {dtype})")
    check_fits(f"array {name!r}", shape, "give fewer rows or modalities", max(8, dtype.itemsize))
    if info.file_size != start.tell() + math.prod(shape) * dtype.itemsize:
        raise InputError(
            f"array {name!r} is damaged: its header declares the shape {shape} of {dtype}, "
            f"the archive {info.file_size} bytes"
        )
    return _Member(info, name, shape, dtype)


def _shape_and_type(start: io.BytesIO) -> tuple[tuple[int, ...], np.dtype]:
    """What the header of an array says. Files written by Python 2 make numpy warn, to no purpose here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = readers[np.lib.format.read_magic(start)](start)
    return shape, dtype


def _array(archive: zipfile.ZipFile, member: _Member) -> np.ndarray:
    with _damage(f"array {member.name!r} is damaged", *_ZIP_ERRORS), archive.open(member.info) as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    if array.dtype.kind == "U" and array.size:
        points = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(-1).view(np.uint32)
        if points.max() > sys.maxunicode:
            raise InputError(f"array {member.name!r} is damaged: it holds text with characters that do not exist")
    return array


def _columns(modality: str, arrays: Sequence[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The columns of a modality: of its only array under its own name, or of several under theirs."""
    named = [(modality, arrays[0][1])] if len(arrays) == 1 else arrays
    return {column: values for name, array in named for column, values in flatten(name, array).items()}


def _law(archive: zipfile.ZipFile, key: str, names: Sequence[str]) -> Discrete | Gaussian:
    fields = (key, "sizes", "units", "names")
    extra = [name for name in names if name not in fields]
    if extra:
        raise InputError(f"array {extra[0]!r} beside {key!r}: a law has {', '.join(fields)}")
    infos = dict(zip(names, archive.infolist(), strict=True))
    arrays = {name: _array(archive, _header(archive, infos[name], name)) for name in names}
    for name, array in arrays.items():
        expected = {key: "biuf", "names": "U", "sizes": "iu", "units": "iu"}[name]
        scalar = name == "units" and array.ndim == 0 and array.dtype.kind == "U"
        if not scalar and (array.dtype.kind not in expected or (name != key and array.ndim != 1)):
            kind = "numbers" if name == key else "a list of text" if name == "names" else "a list of whole numbers"
            raise InputError(f"array {name!r} has shape {array.shape} of type {array.dtype}: give {kind}")
    table = arrays.pop(key)
    options: dict[str, Any] = {name: array.tolist() for name, array in arrays.items()}
    return Discrete(table, **options) if key == "pmf" else Gaussian(table, **options)


# .csv and .parquet


def _read_csv(path: str, modalities: Sequence[str], types: Mapping[str, str] | None) -> Samples:
    delimiter, names = _csv_header(path)
    groups = assign(modalities, names)
    declared = _declared(groups, names, types)
    fields = {f"c{i}": "VARCHAR" for i in range(len(names))}
    # No sniffing: rows are checked against the header, and errors name their line.
    table = (
        "read_csv($1, delim=$2, columns=$3, header=true, auto_detect=false, strict_mode=true, null_padding=false, "
        "ignore_errors=false, quote='\"', escape='\"', compression='none', hive_partitioning=false, "
        f"max_line_size={MAX_LINE})"
    )
    with closing(_connect(path)) as connection, _csv_damage():
        given = [_as_pattern(path), delimiter, fields]
        rows = _count(connection, table, given)
        _check_table(rows, declared, itemsize=32)
        chosen = ", ".join(f"c{i}" for i in declared)
        connection.execute(f"CREATE TEMP TABLE data AS SELECT {chosen} FROM {table}", given)
        casts = _csv_casts(connection, declared, names, rows)
        arrays = _fetch(connection, casts, "data", [])
    return _to_samples(groups, names, arrays, types, path)


def _csv_header(path: str) -> tuple[str, list[str]]:
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
    _check_unique([name for name in names if name], "column")
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
    connection: duckdb.DuckDBPyConnection, declared: Mapping[int, str | None], names: Sequence[str], rows: int
) -> dict[int, str]:
    """For each column of text the SQL of what it is: whole numbers, numbers, or text."""
    casts = {}
    columns = list(declared)
    for chunk in (columns[start : start + CHUNK] for start in range(0, len(columns), CHUNK)):
        present = _counts(connection, "c{i}", chunk)
        numbers = _counts(connection, _NUMBER, chunk)
        whole = _counts(connection, _WHOLE, chunk)
        for i in chunk:
            if present[i] < rows:
                casts[i] = f"c{i}"  # refused when the dataset is built
            elif numbers[i] < rows:
                _check_text(connection, i, names[i], rows, numbers[i], declared[i])
                casts[i] = f"c{i}"
            else:
                casts[i] = f"CAST(c{i} AS {'BIGINT' if whole[i] == rows else 'DOUBLE'})"
    return casts


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


def _read_parquet(path: str, modalities: Sequence[str], types: Mapping[str, str] | None) -> Samples:
    import duckdb

    table, given = "read_parquet($1, hive_partitioning=false)", [_as_pattern(path)]
    with closing(_connect(path)) as connection, _damage("is not a complete .parquet file", duckdb.Error):
        described = connection.execute(f"DESCRIBE FROM {table}", given).fetchall()
        names = _parquet_names(connection, given)
        if len(names) != len(described):
            raise InputError("is not a complete .parquet file (its schema does not add up)")
        _check_unique(names, "column")
        groups = assign(modalities, names)
        declared = _declared(groups, names, types)
        rows = _count(connection, table, given)
        _check_table(rows, declared, itemsize=16)
        casts = {i: _parquet_cast(i, names[i], described[i][1], kind) for i, kind in declared.items()}
        aliases = ", ".join(f"c{i}" for i in range(len(names)))
        arrays = _fetch(connection, casts, f"{table} AS data({aliases})", given)
    return _to_samples(groups, names, arrays, types, path)


def _parquet_names(connection: duckdb.DuckDBPyConnection, given: Sequence[object]) -> list[str]:
    """The names of the columns as they are in the file; in SQL, names that differ in case alone are changed."""
    nodes = connection.execute("SELECT name, num_children FROM parquet_schema($1)", given).fetchall()
    names, below = [], 0  # how many nodes of the current column are still to come
    for name, children in nodes[1:]:
        if not below:
            names.append(name)
        below += (children or 0) - (1 if below else 0)
    return names


def _parquet_cast(position: int, name: str, kind: str, declared: str | None) -> str:
    c = f"c{position}"
    if _NUMERIC.fullmatch(kind):
        return c
    if _WIDE.fullmatch(kind):
        return f"CAST({c} AS DOUBLE)"
    if _TEXT.fullmatch(kind) or (_DATE.fullmatch(kind) and declared == "discrete"):
        return f"CAST({c} AS VARCHAR)"
    if _DATE.fullmatch(kind):
        raise _date(name)
    if kind == '"NULL"':
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
    connection.execute("SET allowed_paths = $1", [[os.path.abspath(path), _as_pattern(path)]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _as_pattern(path: str) -> str:
    """The path as a pattern that matches it alone, for DuckDB expands patterns."""
    return re.sub(r"([*?\[])", r"[\1]", os.path.abspath(path))


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


def _to_samples(
    groups: Mapping[str, Sequence[int]],
    names: Sequence[str],
    arrays: Mapping[int, np.ndarray],
    types: Mapping[str, str] | None,
    path: str,
) -> Samples:
    columns = {m: {names[i]: arrays[i] for i in chosen} for m, chosen in groups.items()}
    return Samples.from_columns(columns, types, os.path.basename(path))


# Shared


def _check_unique(names: Sequence[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{what} {name!r} is in the file twice: {what} names must differ")
        seen.add(name)


def _first_line(error: BaseException) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "".join(c for c in line if c.isprintable()).strip(" :")


@contextmanager
def _damage(what: str, *errors: type[BaseException]) -> Iterator[None]:
    """Turns the errors a library raises for a damaged file into one line that starts with ``what``."""
    try:
        yield
    except InputError:
        raise
    except errors as error:
        raise InputError(f"{what} ({_first_line(error)})") from None


@contextmanager
def _csv_damage() -> Iterator[None]:
    """Turns DuckDB's account of a malformed line, which is long, into the line and what is wrong with it."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        text = str(error).strip()
        line = re.search(r"CSV Error on Line: (\d+)", text)
        problem = re.search(r"^(Expected Number of Columns.*|Invalid unicode.*|.*unterminated quote.*)$", text, re.M)
        detail = problem[1].strip() if problem else _first_line(error)
        where = f"line {line[1]}: " if line else ""
        raise InputError(f"is not a well-formed .csv in UTF-8 ({where}{detail})") from None


_Reader = Callable[[str, Sequence[str], Mapping[str, str] | None], Samples | Discrete | Gaussian]
_READERS: dict[str, _Reader] = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}
