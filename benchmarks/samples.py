"""Plug-in entropies of all subsets of discrete columns, from rows.

Against one ``GROUP BY CUBE`` of DuckDB over a table in memory (one thread, and all cores) and a ``groupby`` of pandas
for each subset. Where a loop would take minutes it is timed on a share of the subsets and scaled up; the share is in
the result. Ratios are taken within a round of interleaved runs. Inputs are built outside the clock.

    python benchmarks/samples.py [--quick] [--out FILE]
"""

from __future__ import annotations

import os

import duckdb
import harness  # before NumPy: sets the number of threads
import numpy as np
import pandas as pd

from bounds.counts import lattice_counts
from bounds.discrete_entropy import plug_in

MODALITIES, ALPHABET = 8, 8
SHARE = 15  # of the subsets, one in this many goes through pandas


def columns(rows):
    rng = np.random.default_rng(0)
    return [rng.choice(ALPHABET, rows, p=rng.dirichlet(np.ones(ALPHABET))) for _ in range(MODALITIES)]


def ours(data):
    found = np.zeros(1 << MODALITIES)
    for mask, counts in lattice_counts(data, [ALPHABET] * MODALITIES):
        found[mask] = plug_in(counts)
    return found


def cube(connection):
    names = ", ".join(f"c{i}" for i in range(MODALITIES))
    query = (
        f"SELECT g, ln(sum(n)) - sum(n * ln(n)) / sum(n) FROM (SELECT grouping({names}) AS g, count(*) AS n "
        f"FROM data GROUP BY CUBE ({names})) GROUP BY g"
    )
    found = np.zeros(1 << MODALITIES)
    for grouping, value in connection.execute(query).fetchall():
        # a set bit of grouping() says that a column is summed out, the first column being the highest bit
        kept = [i for i in range(MODALITIES) if not grouping >> (MODALITIES - 1 - i) & 1]
        found[sum(1 << i for i in kept)] = value
    return found


def grouped(frame, masks):
    found = {}
    for mask in masks:
        names = [f"c{i}" for i in range(MODALITIES) if mask >> i & 1]
        found[mask] = plug_in(frame.groupby(names, sort=False).size().to_numpy())
    return found


def database(data, threads):
    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}")
    connection.register("view", {f"c{i}": column for i, column in enumerate(data)})
    connection.execute("CREATE TABLE data AS SELECT * FROM view")
    connection.unregister("view")
    return connection


def build(rows):
    data = columns(rows)
    frame = pd.DataFrame({f"c{i}": column for i, column in enumerate(data)})
    masks = range(1, 1 << MODALITIES, SHARE)
    single, every = database(data, 1), database(data, os.cpu_count())
    candidates = {
        "ours": lambda: ours(data),
        "DuckDB CUBE, one thread": lambda: cube(single),
        "DuckDB CUBE, all cores": lambda: cube(every),
        "pandas groupby": lambda: grouped(frame, masks),
    }
    return candidates, {"pandas groupby": len(masks) / ((1 << MODALITIES) - 1)}


def check(candidates):
    values = candidates["ours"]()
    np.testing.assert_allclose(candidates["DuckDB CUBE, one thread"](), values, rtol=1e-9, atol=1e-12)
    for mask, value in candidates["pandas groupby"]().items():
        assert abs(values[mask] - value) < 1e-9


def main():
    options = harness.arguments(__doc__, "samples").parse_args()
    if options.peak:
        rows, name = options.peak
        candidates, _ = build(int(rows))
        harness.report_peak(candidates[name])
        return
    rows = 100_000 if options.quick else 1_000_000
    candidates, shares = build(rows)
    check(candidates)
    timed = harness.compared(harness.interleaved(candidates, 3 if options.quick else 7), "ours", shares)
    shown = [("candidate", "seconds", "times slower", "peak MiB")]
    for name, result in timed.items():
        result["peak_mib"] = harness.peak_mib(__file__, str(rows), name)
        slower = f"{result['times_slower']:.3g}" if "times_slower" in result else ""
        shown.append((name, f"{result['seconds']:.3g}", slower, f"{result['peak_mib']}"))
    harness.table(shown)
    results = {
        "what": __doc__.split("\n\n    python")[0],
        "peak_mib": "peak resident memory of a fresh process during the first call, less that before",
        "machine": harness.machine(),
        "versions": harness.versions("numpy", "duckdb", "pandas"),
        "cases": [{"rows": rows, "modalities": MODALITIES, "alphabet": ALPHABET, "candidates": timed}],
    }
    harness.save(results, options.out, "samples", options.quick)


if __name__ == "__main__":
    main()
