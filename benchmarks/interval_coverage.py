"""How often intervals of Delta, the distortion floor and the irreducible loss hold the truth.

    python benchmarks/interval_coverage.py [--repetitions N] [--processes P] [--laws NAME ...] [--sizes N ...]

Each law is drawn again and again at each sample size, estimated as `bounds irreducible` would by default, and every
interval is held against the exact value, counted by what the report promises of it (guaranteed, asymptotic,
model-based, or none) and all together. Where the tool refuses, the interval that it withholds is computed all the
same, to see whether refusing was right. Laws of discrete columns are drawn as tables of counts, which is the same law
and quicker. Rows with gaps are read by the rule per-subset, time series with blocks of ten times their correlation
time. One-sided limits are those of linear predictors, and hold if the truth is below them.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import harness
import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

from bounds import (
    Discrete,
    Gaussian,
    conditional_bounds,
    distortion_floor,
    generative_discrepancy,
    intervals,
    mmvae,
    mopoe,
    total_correlation_term,
)
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.estimators import estimate, estimate_per_subset
from bounds.layout import Layout
from bounds.missing import PartlyObserved, by_rule
from bounds.quantity import Quantity
from bounds.samples import Samples
from bounds.statistics import JointCounts

_RANGES: dict[tuple[Any, ...], tuple[float, float]] = {}
_range = intervals._range


def _kept_range(coefficients: np.ndarray, masks: Any, caps: np.ndarray, increasing: bool) -> tuple[float, float]:
    """The linear programs of guaranteed intervals are the same for every draw."""
    key = (coefficients.tobytes(), tuple(masks), caps.tobytes(), increasing)
    if key not in _RANGES:
        _RANGES[key] = _range(coefficients, masks, caps, increasing)
    return _RANGES[key]


intervals._range = _kept_range

SIZES = (50, 200, 1_000, 10_000, 100_000)
#: One-sided limits fit predictors for each draw, and more rows or laws take too long a thousand times.
ONE_SIDED, ONE_SIDED_SIZES = "one-sided", (200,)
#: Where rows have gaps each subset is counted by itself.
MOST_WITH_GAPS = 10_000
ONE_SIDED_LAWS = (
    "mixed: 3 classes, a normal column",
    "mixed: normal column independent of the label",
)
CONFIDENCE = 0.95
#: Whatever the promise: what a reader of reports experiences.
ANY = "any"
#: Which interval is given depends on the draw. Where one is given for a smaller share of draws, these are a selection.
LEAST_SHARE = 0.1
QUANTITIES = {
    "Delta": generative_discrepancy,
    "floor": distortion_floor,
    "irreducible loss": total_correlation_term,
}
SCHEMES = {"mmvae": mmvae, "mopoe": mopoe}


@dataclass(frozen=True)
class Case:
    """A law, its exact entropies, and how to draw from it."""

    truth: EntropyVector
    draw: Callable[[int, np.random.Generator], Any]
    block: int = 1


def of_series(pmf: np.ndarray, stay: float) -> Case:
    """Rows that are the one before with probability ``stay`` and else drawn anew."""
    law = Discrete(pmf)
    symbols = np.array(list(np.ndindex(*law.pmf.shape)))
    cells = law.pmf.ravel()

    def draw(n: int, rng: np.random.Generator) -> Samples:
        anew = rng.random(n) >= stay
        anew[0] = True
        rows = symbols[rng.choice(len(cells), int(anew.sum()), p=cells)][np.cumsum(anew) - 1]
        return Samples.from_arrays({name: rows[:, i] for i, name in enumerate(law.names)})

    return Case(law.entropy_vector(), draw, round(10 / (1 - stay)))


def of_gaps(pmf: np.ndarray, gone: float) -> Case:
    """Rows that lack each modality with a probability, whatever it is."""
    case = of_table(pmf)
    names = case.truth.names

    def draw(n: int, rng: np.random.Generator) -> PartlyObserved:
        table: JointCounts = case.draw(n, rng)
        each = np.repeat(np.arange(len(table.counts)), table.counts)
        rows = {
            name: np.where(rng.random(n) < gone, np.nan, column[each])
            for name, column in zip(names, table.columns, strict=True)
        }
        types = dict.fromkeys(names, "discrete")
        found = by_rule({name: {name: rows[name]} for name in names}, types, rule="per-subset")
        assert isinstance(found, PartlyObserved)
        return found

    return Case(case.truth, draw)


def of_table(pmf: np.ndarray) -> Case:
    """One modality for each axis."""
    law = Discrete(pmf)
    layout = Layout.of(len(law.names), units="scalar", names=law.names)
    symbols = np.array(list(np.ndindex(*law.pmf.shape)))
    cells = law.pmf.ravel()

    def draw(n: int, rng: np.random.Generator) -> JointCounts:
        counts = rng.multinomial(n, cells)
        seen = counts > 0
        columns, alphabets = [], []
        for column in symbols[seen].T:
            distinct, codes = np.unique(column, return_inverse=True)  # only what is seen is known of an alphabet
            columns.append(codes.astype(np.int64))
            alphabets.append(len(distinct))
        return JointCounts(layout, tuple(columns), tuple(alphabets), counts[seen].astype(np.int64), "draws")

    return Case(law.entropy_vector(), draw)


def of_gaussian(cov: np.ndarray) -> Case:
    law = Gaussian(cov)
    root = np.linalg.cholesky(cov)

    def draw(n: int, rng: np.random.Generator) -> Samples:
        rows = rng.normal(size=(n, len(cov))) @ root.T
        return Samples.from_arrays({name: rows[:, i] for i, name in enumerate(law.names)})

    return Case(law.entropy_vector(), draw)


def of_classes(weights: np.ndarray, means: np.ndarray, flip: float | None = None) -> Case:
    """A label, one normal column with a mean for each class, and perhaps a binary column that shows ``label > 0``
    with errors."""
    names = ("label", "x") if flip is None else ("label", "x", "sign")
    shows = np.ones((len(weights), 1))
    if flip is not None:
        right = np.arange(len(weights)) > 0
        shows = np.stack([np.where(right, flip, 1 - flip), np.where(right, 1 - flip, flip)], axis=1)
    normal = 0.5 * math.log(2 * math.pi * math.e)

    def entropy(kept: tuple[str, ...]) -> float:
        by = np.diag(weights) if "label" in kept else weights[:, None]  # (class, symbol of the label)
        seen = shows if "sign" in kept else np.ones((len(weights), 1))
        mass = np.einsum("kl,ks->lsk", by, seen).reshape(-1, len(weights))  # (discrete symbol, class)
        if "x" not in kept:
            p = mass.sum(axis=1)
            return float(-(p[p > 0] * np.log(p[p > 0])).sum())
        if "label" in kept:
            p = mass[mass > 0]
            return float(-(p * np.log(p)).sum()) + normal
        return sum(_minus_integral(row, means) for row in mass)

    values = np.array(
        [entropy(tuple(n for i, n in enumerate(names) if mask >> i & 1)) for mask in range(1 << len(names))]
    )
    values[0] = 0.0

    def draw(n: int, rng: np.random.Generator) -> Samples:
        label = rng.choice(len(weights), n, p=weights)
        arrays = {"label": label, "x": means[label] + rng.normal(size=n)}
        if flip is not None:
            arrays["sign"] = (rng.random(n) > shows[label, 0]).astype(int)
        return Samples.from_arrays(arrays, {name: "continuous" if name == "x" else "discrete" for name in names})

    return Case(EntropyVector(names, values, "differential"), draw)


def _minus_integral(mass: np.ndarray, means: np.ndarray) -> float:
    """``-int f ln f`` of the weighted sum of unit normals ``f``."""

    def integrand(x: float) -> float:
        f = float(mass @ norm.pdf(x - means))
        return -f * math.log(f) if f else 0.0

    return float(quad(integrand, means.min() - 10, means.max() + 10, limit=500, points=sorted(means), epsabs=1e-10)[0])


def _channel(first: np.ndarray, noise: float, modalities: int) -> np.ndarray:
    """Copies of one symbol, each replaced by a uniform one with probability ``noise``."""
    k = len(first)
    shows = (1 - noise) * np.eye(k) + noise / k
    table = first.reshape(-1, *[1] * modalities)
    for m in range(modalities):
        table = table * shows.reshape(k, *[k if i == m else 1 for i in range(modalities)])
    return table.sum(axis=0)


def laws() -> dict[str, Case]:
    """The laws by name."""
    zipf = 1 / np.arange(1, 21)
    rng = np.random.default_rng(2022)
    return {
        "uniform, 3 independent symbols of 4": of_table(np.full((4, 4, 4), 1 / 64)),
        "uniform, 3 independent bits": of_table(np.full((2, 2, 2), 1 / 8)),
        "uniform label of 8, two noisy copies": of_table(_channel(np.full(8, 1 / 8), 0.3, 2)),
        "Zipf over 20 symbols, three noisy copies": of_table(_channel(zipf / zipf.sum(), 0.2, 3)),
        "Dirichlet(.5) over 4x4x4": of_table(rng.dirichlet(np.full(64, 0.5)).reshape(4, 4, 4)),
        "Dirichlet(.1) over 6x6x6": of_table(rng.dirichlet(np.full(216, 0.1)).reshape(6, 6, 6)),
        "common cause, 4 noisy bits": of_table(_channel(np.full(2, 0.5), 0.2, 4)),
        "common cause, 3 of 10 labels": of_table(_channel(np.full(10, 0.1), 0.4, 3)),
        "noisy exclusive or": of_table(_noisy_xor(0.1)),
        "copies, almost": of_table(_channel(np.full(4, 0.25), 0.001, 3)),
        "Gaussian, independent": of_gaussian(np.eye(3)),
        "Gaussian, correlation .5": of_gaussian(0.5 * np.eye(3) + 0.5),
        "Gaussian, correlation .9": of_gaussian(0.1 * np.eye(3) + 0.9),
        "mixed: 3 classes, a normal column": of_classes(np.array([0.5, 0.3, 0.2]), np.array([0.0, 2.0, 4.0])),
        "mixed: 3 classes, a normal column, a noisy sign": of_classes(
            np.array([0.5, 0.3, 0.2]), np.array([0.0, 2.0, 4.0]), 0.1
        ),
        "mixed: normal column independent of the label": of_classes(np.array([0.5, 0.5]), np.zeros(2)),
        "gaps: one in five, 4 noisy bits": of_gaps(_channel(np.full(2, 0.5), 0.2, 4), 0.2),
        "gaps: one in two, 3 independent bits": of_gaps(np.full((2, 2, 2), 1 / 8), 0.5),
        "gaps: one in ten, Dirichlet(.5) over 4x4x4": of_gaps(rng.dirichlet(np.full(64, 0.5)).reshape(4, 4, 4), 0.1),
        "series: noisy copies of a bit, rows stay 4 of 5 times": of_series(_channel(np.full(2, 0.5), 0.3, 3), 0.8),
        "series: a noisy exclusive or, rows stay 9 of 10 times": of_series(_noisy_xor(0.1), 0.9),
        "damaged: 4 columns of 10 symbols, 3 of 1,000 rows at random": of_table(_damaged((10, 10, 10, 10), 20, 0.003)),
        "mixed: damaged labels, 7 of 1,000 one of 1,000 others": of_classes(
            np.concatenate([0.993 * np.array([0.4, 0.3, 0.2, 0.1]), np.full(1000, 7e-6)]), np.zeros(1004)
        ),
        "series: a rare symbol and a bit, rows stay 4 of 5 times": of_series(np.outer([0.99, 0.01], [0.5, 0.5]), 0.8),
    }


def _damaged(shape: tuple[int, ...], cells: int, damage: float) -> np.ndarray:
    """A few joint symbols, and rarely any other, all with the same probability."""
    rng = np.random.default_rng(5)
    table = np.full(shape, damage / math.prod(shape))
    table[tuple(rng.integers(0, size, cells) for size in shape)] += (1 - damage) * rng.dirichlet(np.ones(cells))
    return table / table.sum()


def _noisy_xor(noise: float) -> np.ndarray:
    table = np.zeros((2, 2, 2))
    for a, b in np.ndindex(2, 2):
        table[a, b, a ^ b], table[a, b, 1 - (a ^ b)] = (1 - noise) / 4, noise / 4
    return table


def cell(law: str, n: int, repetitions: int, interval: str) -> list[dict[str, Any]]:
    """One law at one sample size: a row for each scheme, quantity and promise."""
    case = laws()[law]
    count = len(case.truth.names)
    truths = {
        (scheme, quantity): float(of(case.truth, SCHEMES[scheme](count)))
        for scheme in SCHEMES
        for quantity, of in QUANTITIES.items()
        if not (count == 2 and quantity == "irreducible loss")  # zero for every law
    }
    seen: dict[tuple[str, str, str], list[tuple[bool, float, float]]] = {}
    reasons: Counter[str] = Counter()
    rng = np.random.default_rng([2022, n, list(laws()).index(law)])
    start = time.perf_counter()
    for _ in range(repetitions):
        try:
            data = case.draw(n, rng)
        except InputError as error:  # few rows with gaps may have a column that is constant
            reasons[_reason(str(error))] += 1
            continue
        if interval == ONE_SIDED:
            limits = conditional_bounds(data, list(SCHEMES), confidence=CONFIDENCE, rng=rng)
            for scheme in SCHEMES:
                of = limits[scheme]
                for quantity, number in (
                    ("Delta", of.generative_discrepancy),
                    ("floor", of.modalities.distortion_floor),
                ):
                    held = _held(replace(number, low=None), truths[scheme, quantity])
                    seen.setdefault((scheme, quantity, number.guarantee), []).append(held)
            continue
        try:
            if isinstance(data, PartlyObserved):
                found = estimate_per_subset(data)
            else:
                found = estimate(data, "auto", interval=interval, block=min(case.block, n // 2))
        except InputError as error:
            reasons[_reason(str(error))] += 1
            continue
        h = found.entropies.at_modality_level()
        for (scheme, quantity), truth in truths.items():
            number = QUANTITIES[quantity](h, SCHEMES[scheme](count), confidence=CONFIDENCE)
            promise = number.guarantee
            if number.value is None:
                reasons[_reason(number.notes[0])] += 1
                promise = "refused"
                number = QUANTITIES[quantity](replace(h, refusals={}), SCHEMES[scheme](count), confidence=CONFIDENCE)
            elif number.low is None and number.high is None:
                reasons[_reason(number.method)] += 1
                continue
            held = _held(number, truth)
            seen.setdefault((scheme, quantity, promise), []).append(held)
            if promise != "refused":
                seen.setdefault((scheme, quantity, ANY), []).append(held)
    rows = []
    for (scheme, quantity, promise), held in seen.items():
        covered, error, width = (np.array(column, dtype=float) for column in zip(*held, strict=True))
        rows.append(
            {
                "law": law, "n": n, "interval": interval, "scheme": scheme, "quantity": quantity, "promise": promise,
                "truth": _rounded(truths[scheme, quantity]), "repetitions": len(held),
                "coverage": _rounded(np.nanmean(covered)), "bias": _rounded(np.nanmean(error)),
                "rmse": _rounded(np.sqrt(np.nanmean(error**2))),
                "width": _rounded(np.median(width)) if np.isfinite(width).any() else None,
            }
        )  # fmt: skip
    for reason, times in reasons.items():
        rows.append({"law": law, "n": n, "interval": interval, "refused": reason, "times": times})
    print(f"{law}, N={n}, {interval}: {time.perf_counter() - start:.0f} s", flush=True)
    return rows


def _held(number: Quantity, truth: float) -> tuple[bool, float, float]:
    """Whether the interval has the truth (rounding aside), the error of the value, and the width."""
    low = -math.inf if number.low is None else number.low
    high = math.inf if number.high is None else number.high
    value = math.nan if number.value is None else number.value
    return low - 1e-9 <= truth <= high + 1e-9, value - truth, high - low


def _reason(text: str) -> str:
    """A refusal without its numbers."""
    return "".join("#" if c.isdigit() else c for c in text)[:160]


def main() -> None:
    parser = harness.arguments(__doc__, "interval_coverage")
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--laws", nargs="*", help="names or parts of them (default all); others keep their rows in the file"
    )
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--intervals", nargs="*", default=("auto", "guaranteed"))
    options = parser.parse_args()
    chosen = [name for name in laws() if not options.laws or any(_named(name, part) for part in options.laws)]
    sizes = options.sizes[:2] if options.quick else options.sizes
    repetitions = 50 if options.quick else options.repetitions
    work = [
        (name, n, repetitions, interval)
        for interval in options.intervals
        for n in sorted(sizes, reverse=True)
        for name in chosen
        if _is_table(name) or (interval == "auto" and not (name.startswith("gaps") and n > MOST_WITH_GAPS))
    ]
    work += [(name, n, repetitions, ONE_SIDED) for n in ONE_SIDED_SIZES for name in chosen if name in ONE_SIDED_LAWS]
    with ProcessPoolExecutor(options.processes) as pool:
        rows = [row for rows in pool.map(cell, *zip(*work, strict=True)) for row in rows]
    kept = options.out or harness.RESULTS / "interval_coverage.json"
    if options.laws and kept.exists():
        before = json.loads(kept.read_text())["rows"]
        made = {(law, n, interval) for law, n, _, interval in work}
        rows += [row for row in before if (row["law"], row["n"], row["interval"]) not in made]
    summary = list(_summary(rows, repetitions))
    harness.table([["interval", "promise", "numbers", "least coverage", "where"], *map(_shown, summary)])
    results = {
        "machine": harness.machine(),
        "versions": harness.versions("numpy", "scipy", "scikit-learn"),
        "confidence": CONFIDENCE,
        "repetitions": repetitions,
        "summary": summary,
        "rows": rows,
    }
    harness.save(results, options.out, "interval_coverage", options.quick)


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")


def _named(law: str, part: str) -> bool:
    """A whole name means that law alone."""
    return part == law if part in laws() else part in law


def _is_table(law: str) -> bool:
    return not law.startswith(("Gaussian", "mixed", "gaps", "series"))


def _summary(rows: list[dict[str, Any]], repetitions: int) -> Iterator[dict[str, Any]]:
    """For each promise the least coverage among numbers for which it is given in :data:`LEAST_SHARE` of the draws."""
    measured = [row for row in rows if row.get("repetitions", 0) >= LEAST_SHARE * repetitions]
    for interval, promise in sorted({(row["interval"], row["promise"]) for row in measured}):
        own = [row for row in measured if (row["interval"], row["promise"]) == (interval, promise)]
        worst = min(own, key=lambda row: row["coverage"])
        yield {
            "interval": interval,
            "promise": promise,
            "numbers": len(own),
            "least_coverage": worst["coverage"],
            "where": f"{worst['law']}, N={worst['n']}, {worst['scheme']}, {worst['quantity']}",
            "below_93_percent": sum(row["coverage"] < 0.93 for row in own),
        }


def _shown(one: dict[str, Any]) -> list[str]:
    return [one["interval"], one["promise"], str(one["numbers"]), f"{one['least_coverage']:.3f}", one["where"]]


if __name__ == "__main__":
    main()
