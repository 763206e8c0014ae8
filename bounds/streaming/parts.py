"""The parts of a dataset: files by name, pattern or folder, and one of them opened by DuckDB."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bounds.column_mapping import check_unique
from bounds.damage import first_line, interrupted
from bounds.errors import InputError
from bounds.image_folders import is_image_folder
from bounds.memory import available_bytes
from bounds.readers import check_readable
from bounds.tables import MAX_LINE, csv_damage, csv_header, escaped, parquet_names, path_pattern

if TYPE_CHECKING:
    import duckdb

#: Formats of parts.
SUFFIXES = (".parquet", ".csv")
#: Bytes in memory for each byte of a .csv, as text and as numbers, at most.
_CSV_GROWTH = 16
#: Bytes that DuckDB may take in any case.
_LEAST_MEMORY = 256 << 20


class DamagedPartError(InputError):
    """A part that cannot be read: truncated, corrupt, gone. Parts that hold the wrong data are plain ``InputError``."""


@dataclass(frozen=True, eq=False)
class OpenPart:
    """A part that can be queried.

    Attributes:
        connection: to a database that may read this part and nothing else.
        names: of its columns; in SQL they are ``c0, c1, ...``.
        table: SQL of a table of the columns, with the parameters ``given``.
        is_csv: whether all columns are text.
    """

    connection: duckdb.DuckDBPyConnection
    names: tuple[str, ...]
    table: str
    given: tuple[Any, ...]
    is_csv: bool

    def row(self, select: str) -> tuple[Any, ...]:
        """The single row of ``SELECT ... FROM`` the part."""
        return self.connection.execute(f"SELECT {select} FROM {self.table}", self.given).fetchall()[0]

    def types(self, expressions: Sequence[str]) -> tuple[str, ...]:
        """The SQL types of some expressions of its columns."""
        query = f"DESCRIBE SELECT {', '.join(f'{sql} AS e{i}' for i, sql in enumerate(expressions))} FROM {self.table}"
        return tuple(str(row[1]) for row in self.connection.execute(query, self.given).fetchall())


def find_parts(data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    """The parts that a file, a pattern, a folder or a list of files means, sorted unless listed.

    Patterns are those of :mod:`glob`, with ``**`` for any folders. A folder means all its .parquet files, or all its
    .csv files, but not both. What has ``://`` in its name is looked up by fsspec, and only then is it loaded.

    Raises:
        InputError: no part, parts of several formats or of an unknown one.
    """
    if isinstance(data, str | os.PathLike):
        name = os.fspath(data)
        parts = _remote(name) if is_remote(name) else _local(name)
        if not parts:
            raise InputError(f"{name}: no .parquet or .csv file is there")
    else:
        parts = [_as_listed(os.fspath(part)) for part in data]
        if not parts:
            raise InputError("no parts: give at least one file")
    suffixes = {os.path.splitext(part)[1].lower() for part in parts}
    if len(suffixes) > 1 or not suffixes <= set(SUFFIXES):
        raise InputError(
            f"the parts have the suffixes {', '.join(sorted(suffixes))}: give .parquet files or .csv files alone, by a "
            "pattern such as 'folder/*.parquet'"
        )
    return tuple(parts)


def is_remote(name: str) -> bool:
    """Whether a name is a URL, such as ``s3://bucket/*.parquet``."""
    return "://" in name


def suits_memory(data: str) -> bool:
    """Whether data are best read as a whole: one file that takes at most a quarter of the free memory.

    A file that is damaged or not there counts as one that does, because that reader says what is wrong with it.
    """
    if is_image_folder(data):
        return True
    if is_remote(data) or os.path.isdir(data) or (glob.has_magic(data) and not os.path.exists(data)):
        return False
    if os.path.splitext(data)[1].lower() not in SUFFIXES:
        return True
    try:
        return _fits(data)
    except (InputError, OSError):
        return True


def _fits(part: str) -> bool:
    if part.lower().endswith(".csv"):
        needed = os.path.getsize(part) * _CSV_GROWTH
    else:
        with open_part(part) as opened:
            needed = opened.row("count(*)")[0] * len(opened.names) * 16
    return bool(needed <= available_bytes() // 4)


def fingerprint(part: str) -> tuple[str, ...] | None:
    """What changes when a part does: its path, size and time of change. ``None`` if nothing tells."""
    if is_remote(part):
        try:
            told = _about(part)
        except InputError:
            return None
        change = told.get("ETag") or told.get("LastModified") or told.get("mtime") or told.get("created")
        return (part, str(told.get("size")), str(change)) if change else None
    try:
        about = os.stat(part)
    except OSError:
        return None
    return os.path.abspath(part), str(about.st_size), str(about.st_mtime_ns)


@contextmanager
def open_part(part: str, threads: int | None = None) -> Iterator[OpenPart]:
    """A part for queries. What does not fit in memory goes to a temporary folder.

    Args:
        part: its path or URL.
        threads: of DuckDB, by default one for each core.

    Raises:
        DamagedPartError: a part that is missing, damaged or not readable, also while it is being queried.
        InputError: what is raised inside, values that cannot be converted, or a query for which memory and disk do not
            suffice. All name the part.
    """
    import duckdb

    name = os.path.basename(part)
    try:
        delimiter, names = _header(part)
        with _connection(part, threads) as connection:
            if names:
                fields = {f"c{i}": "VARCHAR" for i in range(len(names))}
                yield OpenPart(connection, tuple(names), _CSV, (path_pattern(part), delimiter, fields), True)
            else:
                given = (_pattern(part),)
                names = parquet_names(connection, given)
                check_unique(names, "column")
                columns = ", ".join(f"c{i}" for i in range(len(names)))
                yield OpenPart(connection, tuple(names), f"{_PARQUET} AS data({columns})", given, False)
    except DamagedPartError as error:
        raise DamagedPartError(f"{name}: {error}") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except (RuntimeError, duckdb.Error) as error:
        if interrupted(error):
            raise KeyboardInterrupt from None
        if not isinstance(error, duckdb.Error):
            raise
        if isinstance(error, duckdb.OutOfMemoryException):
            raise InputError(f"{name}: memory and disk do not suffice ({first_line(error)})") from None
        if isinstance(error, duckdb.ConversionException):
            raise InputError(f"{name}: has values that cannot be converted ({first_line(error)})") from None
        raise DamagedPartError(f"{name}: {_cause(error, part)}") from None
    except OSError as error:
        raise DamagedPartError(f"{name}: {_cause(error, part)}") from None


def _header(part: str) -> tuple[str, list[str]]:
    """The delimiter and the column names of a .csv; nothing for a .parquet."""
    try:
        if not is_remote(part):
            check_readable(part)
        elif part.lower().endswith(".csv"):
            raise InputError("remote parts are read as .parquet only")
        elif not _about(part).get("size"):
            raise InputError("the file is empty")
        return csv_header(part) if part.lower().endswith(".csv") else ("", [])
    except InputError as error:
        raise DamagedPartError(str(error)) from None


def _cause(error: Exception, part: str) -> str:
    if str(error).startswith("Traceback"):  # of the filesystem, which DuckDB passes on as text
        return f"cannot be read ({first_line(error)})"
    if not part.lower().endswith(".csv"):
        return f"is not a complete .parquet file ({first_line(error)})"
    try:
        with csv_damage():
            raise error
    except (InputError, OSError) as said:
        return first_line(said)


@contextmanager
def _connection(part: str, threads: int | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database that may read this part, and write to a temporary folder what exceeds its memory."""
    import duckdb

    off = ("autoinstall_known_extensions", "autoload_known_extensions", "python_enable_replacements")
    config = dict.fromkeys(off, "false")
    config["memory_limit"] = f"{max(available_bytes() // 4, _LEAST_MEMORY)} B"
    if threads:
        config["threads"] = str(threads)
    with (
        tempfile.TemporaryDirectory(prefix="bounds-") as spill,
        closing(duckdb.connect(":memory:", config={**config, "temp_directory": spill})) as connection,
    ):
        allowed = [part if is_remote(part) else os.path.abspath(part), _pattern(part)]
        if is_remote(part):
            connection.register_filesystem(_filesystem(part)[0])
        connection.execute("SET enable_progress_bar = false")  # ours is enough
        # The smallest and largest value of a .parquet say nothing of NaN, and filters that rely on them let it through.
        connection.execute("SET disabled_optimizers = 'filter_pushdown,statistics_propagation'")
        connection.execute("SET allowed_paths = $1", [allowed])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def _pattern(part: str) -> str:
    """A pattern that matches the part alone, for DuckDB expands patterns."""
    return escaped(part) if is_remote(part) else path_pattern(part)


def _local(name: str) -> list[str]:
    if os.path.isdir(name):
        found = glob.glob(os.path.join(glob.escape(name), "*"))
        return sorted(path for path in found if path.lower().endswith(SUFFIXES))
    if os.path.exists(name):  # a file whose name has the characters of a pattern is meant itself
        return [name]
    if not glob.has_magic(name):
        raise InputError(f"{name}: there is no such file or folder")
    return sorted(glob.glob(name, recursive=True))


def _remote(name: str) -> list[str]:
    if not glob.has_magic(name):
        return [_as_listed(name)]
    files, path = _filesystem(name)
    with _answering(f"{name}: cannot be looked up"):
        files.invalidate_cache()  # what it found before may have changed
        return sorted(files.unstrip_protocol(one) for one in files.glob(path))


def _as_listed(name: str) -> str:
    """A name as its filesystem writes it, which is how DuckDB asks for it; a path stays as it is."""
    if not is_remote(name):
        return name
    files, path = _filesystem(name)
    files.invalidate_cache()
    return str(files.unstrip_protocol(path))


def _about(part: str) -> Mapping[str, Any]:
    """What a filesystem says of a remote part.

    Raises:
        InputError: it is not there, or the filesystem does not answer.
    """
    files, path = _filesystem(part)
    with _answering("there is no such file, or it cannot be looked up"):
        found: Mapping[str, Any] = files.info(path)
        return found


@contextmanager
def _answering(what: str) -> Iterator[None]:
    """Errors of a filesystem as ours. Each library has its own: wrong credentials need not be an ``OSError``."""
    try:
        yield
    except Exception as error:
        raise InputError(f"{what} ({first_line(error)})") from None


def _filesystem(name: str) -> tuple[Any, str]:
    """The filesystem that fsspec has for a URL, and its path there."""
    try:
        from fsspec.core import url_to_fs

        found: tuple[Any, str] = url_to_fs(name)
        return found
    except ImportError as error:
        raise InputError(
            f"{name}: remote parts need fsspec and what it uses for this protocol ({first_line(error)}): "
            "pip install 'multimodal-bounds[distributed]', for s3 'multimodal-bounds[s3]'"
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(f"{name}: {first_line(error)}") from None


_PARQUET = "read_parquet($1, hive_partitioning=false)"
# No sniffing, as for tables in memory: rows are checked against the header, and errors name their line.
_CSV = (
    "read_csv($1, delim=$2, columns=$3, header=true, auto_detect=false, strict_mode=true, null_padding=false, "
    "ignore_errors=false, quote='\"', escape='\"', compression='none', hive_partitioning=false, "
    f"max_line_size={MAX_LINE})"
)
