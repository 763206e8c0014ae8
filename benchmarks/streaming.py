"""Statistics of data in files: counts against DuckDB's CUBE, covariances against NumPy, Dask, and 20 GB in a stream.

Everything runs on one core, ours and theirs, except Dask with its two workers. Files are in the system's cache.

- counts: all 63 marginal tables of 6 discrete columns; DuckDB computes GROUP BY CUBE and nothing else.
- numbers: mean and covariance of 32 columns; bare NumPy adds up sums and products of Arrow batches, without a check of
  types, missing values or cancellation, from pyarrow's reader and from DuckDB's.
- stream: batches that are generated, not read, so that the size is not that of a disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import harness  # before NumPy: sets the number of threads
import numpy as np

from bounds.statistics import JointCounts, Moments, group
from bounds.streaming import stream
from bounds.streaming.numbers import Accumulator

COLUMNS = 32
SYMBOLS = 6
ALPHABET = 5
BATCH = 1 << 17


def counts_file(path: Path, rows: int) -> None:
    """Columns that share a label, so that the joint table is neither a product nor full of zeros."""
    label = f"(hash(range) % {ALPHABET})::TINYINT"
    noise = [f"(hash(range * 7 + {i}) % 3 < 2)" for i in range(SYMBOLS)]
    other = [f"(hash(range * 11 + {i}) % {ALPHABET})::TINYINT" for i in range(SYMBOLS)]
    columns = ", ".join(f"CASE WHEN {noise[i]} THEN {label} ELSE {other[i]} END AS c{i}" for i in range(SYMBOLS))
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {columns} FROM range({rows})) TO '{path}'")


def numbers_file(path: Path, rows: int) -> None:
    columns = ", ".join(f"random() + {i} AS x{i}" for i in range(COLUMNS))
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {columns} FROM range({rows})) TO '{path}'")


def ours_counts(path: Path) -> list[np.ndarray]:
    found = stream(path).statistics
    assert isinstance(found, JointCounts)
    tables = []
    for mask in range(1, 1 << SYMBOLS):
        kept = [i for i in range(SYMBOLS) if mask >> i & 1]
        tables.append(group([found.columns[i] for i in kept], [found.alphabets[i] for i in kept], found.counts)[1])
    return tables


def cube(path: Path) -> int:
    names = ", ".join(f"c{i}" for i in range(SYMBOLS))
    with duckdb.connect(config={"threads": "1"}) as connection:
        query = f"SELECT count(*) FROM (SELECT {names}, count(*) AS n FROM '{path}' GROUP BY CUBE ({names}))"
        return int(connection.execute(query).fetchall()[0][0])


def ours_numbers(path: Path) -> np.ndarray:
    found = stream(path).statistics
    assert isinstance(found, Moments)
    return found.cov


def bare(batches) -> np.ndarray:
    n, total, products = 0, 0.0, 0.0
    for batch in batches:
        rows = np.column_stack([column.to_numpy() for column in batch.columns])
        n, total, products = n + len(rows), total + rows.sum(axis=0), products + rows.T @ rows
    return (products - np.outer(total, total) / n) / (n - 1)


def bare_pyarrow(path: Path) -> np.ndarray:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        return bare(file.iter_batches(BATCH, use_threads=False))


def bare_duckdb(path: Path) -> np.ndarray:
    with duckdb.connect(config={"threads": "1"}) as connection:
        return bare(connection.sql(f"SELECT * FROM '{path}'").to_arrow_reader(BATCH))


def generated(gigabytes: float) -> dict[str, float]:
    """A stream of so many GB of float64 through the accumulator, and the peak memory as it goes."""
    rng = np.random.default_rng(0)
    total = Accumulator(tuple(f"x{i}" for i in range(COLUMNS)), (True,) * COLUMNS)
    batches = max(2, round(gigabytes * 1e9 / (8 * COLUMNS * BATCH)))
    peaks = []
    start = time.perf_counter()
    for i in range(batches):
        total.add(list(rng.random((COLUMNS, BATCH))))
        if i in (batches // 10, batches - 1):
            peaks.append(resident_peak())
    seconds = time.perf_counter() - start
    moments = total.total().moments
    return {
        "gigabytes": round(batches * 8 * COLUMNS * BATCH / 1e9, 2),
        "seconds": round(seconds, 1),
        "peak_mib_at_a_tenth": peaks[0],
        "peak_mib_at_the_end": peaks[1],
        # variance of a uniform number; an error of so many standard errors of its estimate
        "largest_z_of_variances": float(
            np.abs(moments.cov.diagonal() - 1 / 12).max() / np.sqrt((1 / 80 - 1 / 144) / moments.n)
        ),
    }


def resident_peak() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return round(int(line.split()[1]) / 1024, 1)


def dask_case(folder: Path, parts: int) -> dict[str, object]:
    """Ours on one core and on two workers, over the same parts."""
    start = time.perf_counter()
    alone = stream(folder).statistics
    between = time.perf_counter()
    both = stream(folder, engine="dask").statistics
    end = time.perf_counter()
    assert isinstance(alone, Moments)
    assert isinstance(both, Moments)
    return {
        "parts": parts,
        "rows": alone.n,
        "seconds_stream": round(between - start, 2),
        "seconds_dask_with_start_of_workers": round(end - between, 2),
        "largest_difference_of_covariances": float(np.abs(alone.cov - both.cov).max()),
    }


PEAKS = {"counts": ours_counts, "cube": cube, "numbers": ours_numbers, "bare": bare_pyarrow}


def main() -> None:
    parser = harness.arguments(__doc__, "streaming")
    options = parser.parse_args()
    if options.peak:
        name, path = options.peak
        if name == "generated":
            print(json.dumps(generated(float(path))))
            return
        harness.report_peak(lambda: PEAKS[name](Path(path)))
        return
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_cores)})
    rows = {"counts": 200_000, "numbers": 100_000} if options.quick else {"counts": 10_000_000, "numbers": 5_000_000}
    rounds = 1 if options.quick else 3
    script = __file__
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        counts, numbers = folder / "counts.parquet", folder / "numbers.parquet"
        counts_file(counts, rows["counts"])
        numbers_file(numbers, rows["numbers"])
        assert sum(len(one) for one in ours_counts(counts)) + 1 == cube(counts)
        difference = float(np.abs(ours_numbers(numbers) - bare_pyarrow(numbers)).max())
        assert difference < 1e-8, difference  # bare sums of squares lose digits: 32^2 against 1/12
        timed = {
            "counts": harness.compared(
                harness.interleaved({"ours": lambda: ours_counts(counts), "duckdb cube": lambda: cube(counts)}, rounds),
                "ours",
            ),
            "numbers": harness.compared(
                harness.interleaved(
                    {
                        "ours": lambda: ours_numbers(numbers),
                        "numpy over pyarrow": lambda: bare_pyarrow(numbers),
                        "numpy over duckdb": lambda: bare_duckdb(numbers),
                    },
                    rounds,
                ),
                "ours",
            ),
        }
        timed["counts"]["ours"]["peak_mib"] = harness.peak_mib(script, "counts", str(counts))
        timed["counts"]["duckdb cube"]["peak_mib"] = harness.peak_mib(script, "cube", str(counts))
        timed["numbers"]["ours"]["peak_mib"] = harness.peak_mib(script, "numbers", str(numbers))
        timed["numbers"]["numpy over pyarrow"]["peak_mib"] = harness.peak_mib(script, "bare", str(numbers))
        print("seconds, others' time over ours, and peak memory in MiB")
        harness.table(
            [["case", "who", "seconds", "times ours", "MiB"]]
            + [
                [case, who, str(n["seconds"]), str(n.get("times_slower", "")), str(n.get("peak_mib", ""))]
                for case, found in timed.items()
                for who, n in found.items()
            ]
        )
        numbers.unlink()
        counts.unlink()
        os.sched_setaffinity(0, all_cores)
        parts = 4
        for i in range(parts):
            numbers_file(folder / f"part{i}.parquet", rows["numbers"] // 5)
        workers = dask_case(folder, parts)
    os.sched_setaffinity(0, {min(all_cores)})
    # In a process of its own, or the peak would be that of what came before.
    child = [sys.executable, script, "--peak", "generated", "0.2" if options.quick else "20"]
    endless = json.loads(subprocess.run(child, capture_output=True, text=True, check=True).stdout)
    print(workers, endless, sep="\n")
    results = {
        "machine": harness.machine(),
        "versions": harness.versions("numpy", "duckdb", "pyarrow", "dask", "distributed"),
        "rows": rows,
        "columns": {"counts": SYMBOLS, "numbers": COLUMNS},
        "files": timed,
        "dask": workers,
        "stream": endless,
    }
    harness.save(results, options.out, "streaming", options.quick)


if __name__ == "__main__":
    main()
