"""A thousand random laws: how often the optimum is certified, how fast, and does plain EM ever leave the bracket?

    python benchmarks/optimum_study.py [--laws N] [--seconds S] [--processes P]

Law ``i`` is drawn from its own generator, so any law can be looked at alone. It has 1 to 3 modalities of one unit, each
with 2 to 4 symbols, Dirichlet cells (concentration .1, .3, 1 or 5), and MMVAE, MoPoE or random weights on random
subsets, the empty and the full one among them.
"""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from typing import Any

import harness
import numpy as np

from bounds import Discrete, SubsetScheme, mmvae, mopoe, optimal_elbo
from bounds.dual.program import DecoderProgram

RESTARTS, LATENTS, STEPS = 200, 6, 200
TOL = 1e-6


def draw(index: int) -> tuple[Discrete, SubsetScheme, float]:
    """Law, scheme and concentration number ``index``."""
    rng = np.random.default_rng([2022, index])
    modalities = int(rng.integers(1, 4))
    shape = tuple(int(k) for k in rng.integers(2, 5, modalities))
    concentration = float(rng.choice([0.1, 0.3, 1.0, 5.0]))
    cells = rng.dirichlet(np.full(int(np.prod(shape)), concentration))
    cells[cells < 1e-12] = 0.0
    law = Discrete((cells / cells.sum()).reshape(shape))
    kind = int(rng.integers(3))
    if kind < 2:
        return law, (mmvae, mopoe)[kind](modalities), concentration
    subsets = [s for size in range(modalities + 1) for s in combinations(range(modalities), size)]
    chosen = rng.choice(len(subsets), int(rng.integers(1, len(subsets) + 1)), replace=False)
    weights = rng.dirichlet(np.ones(len(chosen)))
    pairs = {subsets[c]: float(w) for c, w in zip(chosen, weights / weights.sum(), strict=True)}
    return law, SubsetScheme(pairs, n_modalities=modalities, allow_empty=True), concentration


def plain_em(program: DecoderProgram, rng: np.random.Generator) -> float:
    """The best of many restarts of alternating minimisation, all at once."""
    targets, mass = program.stacked, program.mass
    v = np.concatenate([rng.dirichlet(np.ones(c.shape[1]), (RESTARTS, LATENTS)) for c in program.targets], axis=2)
    weights = rng.dirichlet(np.ones(LATENTS), RESTARTS)
    for _ in range(STEPS):
        logs = np.einsum("rc,skc->srk", targets, np.log(np.maximum(v, 1e-200)), optimize=True)
        joint = np.exp(logs) * weights[:, None, :]
        mixed = joint.sum(axis=2, keepdims=True)
        joint *= mass[:, None] / mixed
        weights = joint.sum(axis=1)
        v = np.einsum("srk,rc->skc", joint, targets, optimize=True) / np.maximum(weights, 1e-300)[:, :, None]
    return float((np.log(mixed[:, :, 0]) @ mass).max())


def study(task: tuple[int, float]) -> dict[str, Any]:
    """One law."""
    index, seconds = task
    law, scheme, concentration = draw(index)
    start = time.perf_counter()
    found = optimal_elbo(law, scheme, TOL, seconds=seconds)
    elapsed = time.perf_counter() - start
    start = time.perf_counter()
    em = plain_em(DecoderProgram.of(law, scheme), np.random.default_rng([7, index]))
    return {
        "law": index,
        "alphabets": list(law.pmf.shape),
        "subsets": len(list(scheme)),
        "concentration": concentration,
        "width": found.high - found.low,
        "seconds": elapsed,
        "cells": found.cells,
        "latents": found.model.n_latents,
        "em_seconds": time.perf_counter() - start,
        "em_short_of_low": found.low - em,
        "em_above_high": em - found.high,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares, times and the worst cases."""
    widths = np.array([row["width"] for row in rows])
    seconds = sorted(row["seconds"] for row in rows)
    return {
        "laws": len(rows),
        "share_closed_to_1e-6": float((widths <= TOL).mean()),
        "share_closed_to_1e-4": float((widths <= 1e-4).mean()),
        "smallest_width": float(widths.min()),
        "worst": max(rows, key=lambda row: row["width"]),
        "seconds_median": statistics.median(seconds),
        "seconds_mean": statistics.fmean(seconds),
        "seconds_95_percent": seconds[int(0.95 * len(seconds))],
        "seconds_worst": seconds[-1],
        "low_above_high": int((widths < 0).sum()),
        "em_above_high": sum(row["em_above_high"] > 0 for row in rows),
        "em_better_than_low_by_1e-9": sum(row["em_short_of_low"] < -1e-9 for row in rows),
        "em_short_of_low_by_1e-6": sum(row["em_short_of_low"] > 1e-6 for row in rows),
        "em_short_of_low_worst": max(row["em_short_of_low"] for row in rows),
        "em_seconds_median": statistics.median(row["em_seconds"] for row in rows),
        "not_closed_to_1e-6": [row for row in rows if row["width"] > TOL],
    }


def main() -> None:
    parser = harness.arguments(__doc__, "optimum_study")
    parser.add_argument("--laws", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each certificate")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    count = 10 if options.quick else options.laws
    tasks = [(index, options.seconds) for index in range(options.first, options.first + count)]
    rows = []
    with ProcessPoolExecutor(options.processes) as pool:
        for row in pool.map(study, tasks):
            rows.append(row)
            if row["width"] > TOL or len(rows) % 50 == 0:
                print(row["law"], row["alphabets"], f"width {row['width']:.3g}, {row['seconds']:.1f} s", flush=True)
    found = summary(rows)
    print({key: value for key, value in found.items() if key not in ("worst", "not_closed_to_1e-6")})
    results = {
        "machine": harness.machine(),
        "versions": harness.versions("numpy", "scipy"),
        "tol": TOL,
        "seconds_allowed": options.seconds,
        "processes": options.processes,
        "em": {"restarts": RESTARTS, "latents": LATENTS, "steps": STEPS},
        **found,
    }
    harness.save(results, options.out, "optimum_study", options.quick)


if __name__ == "__main__":
    main()
