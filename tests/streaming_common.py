"""What tests of streams share: tables in parts, and what they are compared with."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bounds.cli import main
from bounds.errors import InputError
from bounds.samples import Samples
from bounds.statistics import JointCounts, Moments
from bounds.streaming import Streamed
from bounds.streaming.stream import UNSEEN_OF_COUNTS, UNSEEN_OF_NUMBERS

Columns = Mapping[str, Sequence]


def write_part(path: Path, columns: Columns, types: Mapping[str, pa.DataType] | None = None) -> Path:
    table = pa.table({name: pa.array(values, (types or {}).get(name)) for name, values in columns.items()})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with contextlib.closing(duckdb.connect()) as connection:
            connection.register("data", table)
            connection.execute(f"COPY data TO '{path}' (HEADER)")
    return path


def split(
    folder: Path,
    columns: Columns,
    at: Sequence[int],
    suffix: str = ".parquet",
    types: Mapping[str, pa.DataType] | None = None,
) -> tuple[Path, list[Path]]:
    """The whole table in one file, and in parts cut at these rows."""
    rows = len(next(iter(columns.values())))
    types = types or {name: pa.array(values).type for name, values in columns.items()}
    whole = write_part(folder / f"whole{suffix}", columns, types)
    cuts = [0, *sorted(at), rows]
    parts = [
        write_part(folder / f"part{i}{suffix}", {k: v[start:end] for k, v in columns.items()}, types)
        for i, (start, end) in enumerate(itertools.pairwise(cuts))
    ]
    return whole, parts


def assert_same(found: JointCounts | Moments, samples: Samples) -> None:
    """Exactly the joint counts of samples, or their moments to rounding."""
    assert found.layout == samples.layout
    if isinstance(found, JointCounts):
        expected = JointCounts.of(samples).grouped()
        assert found.alphabets == expected.alphabets
        assert found.bin_widths == expected.bin_widths
        assert [c.tolist() for c in found.columns] == [c.tolist() for c in expected.columns]
        assert found.counts.tolist() == expected.counts.tolist()
    else:
        rows = np.column_stack(samples.columns)
        scale = np.abs(rows).max(axis=0)
        scatter = np.cov(rows.T, bias=True).reshape(rows.shape[1], -1) * samples.n
        assert found.n == samples.n
        # rounding of sums of squares, 1e-12 of their scale
        assert (np.abs(found.mean - rows.mean(axis=0)) <= 1e-12 * scale).all()
        assert (np.abs(found.scatter - scatter) <= 1e-12 * samples.n * np.outer(scale, scale)).all()


def notes_of(found: Streamed) -> tuple[str, ...]:
    """What is said of a stream, but for the last, which is what no stream looks at."""
    *notes, unseen = found.warnings
    assert unseen == (UNSEEN_OF_NUMBERS if isinstance(found.statistics, Moments) else UNSEEN_OF_COUNTS)
    return tuple(notes)


def truncate(path: Path) -> bytes:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return content


def random(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def outcome(work) -> str:
    """What the rule says, or the error, without the name of the file."""
    try:
        found = work()
    except InputError as error:
        return str(error).partition(": ")[2] if "parquet: " in str(error) else str(error)
    return f"{found.kind} {getattr(found, 'alphabets', '')}" if found.kind == "discrete" else found.kind


def run(capsys, *arguments: str) -> tuple[int, dict, str]:
    code = main(["irreducible", *arguments, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else {}, err


@contextlib.contextmanager
def two_workers() -> Iterator:
    """A client of two workers on this machine."""
    pytest.importorskip("distributed", reason="Dask is not installed (extra: distributed)")
    import dask
    from distributed import Client, LocalCluster

    # Dask gives a part up when one worker dies of it, so that fewer have to be started anew, which takes seconds.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as local,
        Client(local) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def cluster() -> Iterator:
    with two_workers() as found:
        yield found
