"""What the benchmarks share: interleaved timings, peak memory in a fresh process, the machine, one JSON file.

Import this before NumPy: it holds linear algebra to one thread, unless the environment says otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

RESULTS = Path(__file__).with_name("results")


def interleaved(candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each candidate in each round, the order rotating, after one round that is thrown away.

    A disturbance of the machine then hits all candidates, and ratios within a round stay fair.
    """
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            candidates[name]()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def compared(
    seconds: dict[str, list[float]], ours: str, share: dict[str, float] | None = None
) -> dict[str, dict[str, float]]:
    """Median seconds of each candidate, and the median, lowest and highest ratio to ours within a round.

    ``share`` says which part of the whole task a candidate was timed on; its time is scaled up by it.
    """
    found = {}
    for name, runs in seconds.items():
        part = (share or {}).get(name, 1.0)
        whole = [run / part for run in runs]
        found[name] = {"seconds": _rounded(statistics.median(whole)), "rounds": len(whole)}
        if part != 1:
            found[name]["timed_share"] = _rounded(part)
        if name != ours:
            ratios = [theirs / mine for theirs, mine in zip(whole, seconds[ours], strict=True)]
            found[name] |= {
                "times_slower": _rounded(statistics.median(ratios)),
                "times_slower_lowest": _rounded(min(ratios)),
                "times_slower_highest": _rounded(max(ratios)),
            }
    return found


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")


def peak_mib(script: str, *case: str) -> float | None:
    """By how many MiB a case raises the resident memory of a fresh process at its peak, see :func:`report_peak`."""
    run = subprocess.run([sys.executable, script, "--peak", *case], capture_output=True, text=True, check=True)
    answer = run.stdout.split()[-1]
    return None if answer == "unknown" else float(answer)


def report_peak(work: Callable[[], object]) -> None:
    """Runs ``work`` and prints its peak resident memory less what was resident before, in MiB.

    Linux alone can forget the peak of what came before (the imports); elsewhere it prints ``unknown``.
    """
    if not Path("/proc/self/clear_refs").exists():
        print("unknown")
        return
    before = _status_kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    work()
    print(round((_status_kib("VmHWM") - before) / 1024, 1))


def _status_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def machine() -> dict[str, Any]:
    """Processor, cores, load, system and Python."""
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return {
        "cpu": model or platform.machine(),
        "cores": os.cpu_count(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "system": platform.system(),
        "python": platform.python_version(),
        "threads": os.environ["OMP_NUM_THREADS"],
    }


def versions(*packages: str) -> dict[str, str]:
    """Installed versions; a package that is not there is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def arguments(description: str | None, name: str) -> argparse.ArgumentParser:
    """``--quick``, ``--out`` and the ``--peak`` of a child process."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small cases and few rounds")
    parser.add_argument("--out", type=Path, help=f"default: benchmarks/results/{name}.json, nothing with --quick")
    parser.add_argument("--peak", nargs="+", help=argparse.SUPPRESS)
    return parser


def save(results: dict[str, Any], out: Path | None, name: str, quick: bool) -> None:
    """Writes the JSON, by default under ``benchmarks/results``; a quick run writes only where it is told to."""
    path = out or (None if quick else RESULTS / f"{name}.json")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=2) + "\n")
        print(f"written to {path}")


def table(rows: Sequence[Sequence[str]]) -> None:
    """Columns, aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
