"""All subset entropies at once against one subset at a time.

Discrete, binary modalities: a loop of ``p.sum`` over subsets, and two functions of dit, its fastest entropy and the
one that it documents for many variables. Gaussian, blocks of 1 and 8: a loop of ``numpy.linalg.slogdet`` over subsets,
and thoi, which computes total and dual total correlation, O- and S-information of every n-plet of 2 or more variables
from one Cholesky factor each: more than an entropy, by the diagonal of an inverse.

Where a loop would take minutes it is timed on a random share of the subsets and scaled up; the share is in the
result. Ratios are taken within a round of interleaved runs. Inputs are built outside the clock.

    python benchmarks/lattice.py [--quick] [--out FILE]
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from itertools import combinations

import harness  # before NumPy: sets the number of threads
import numpy as np

from bounds import Discrete, Gaussian
from bounds.lattice import gaussian_entropies, pmf_entropies
from bounds.subsets import members

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dit
except ImportError:
    dit = None
os.environ["TQDM_DISABLE"] = "1"  # thoi's progress bars
try:
    import torch
    from thoi.measures.gaussian_copula import nplets_measures

    torch.set_num_threads(1)
    logging.disable(logging.INFO)
except ImportError:
    nplets_measures = None

#: Which ratios this module is meant to reach: (kind, modalities, block, against) to times slower.
TARGETS = {
    ("discrete", 10, 1, "loop of p.sum"): 30,
    ("discrete", 14, 1, "loop of p.sum"): 30,
    ("discrete", 16, 1, "loop of p.sum"): 30,
    ("discrete", 10, 1, "dit.shannon.entropy"): 1000,
    ("discrete", 10, 1, "dit.multivariate.entropy"): 1000,
    ("gaussian", 14, 1, "loop of slogdet"): 300,
    ("gaussian", 14, 1, "thoi"): 60,
}


def binary_pmf(count):
    pmf = np.random.default_rng(count).exponential(size=(2,) * count)
    return pmf / pmf.sum()


def covariance(count, block):
    half = np.random.default_rng(count).standard_normal((count * block, 2 * count * block))
    return half @ half.T


def some_subsets(count, at_most):
    """All nonempty subsets, or that many of them at random, and the share that they are."""
    every = np.arange(1, 1 << count)
    if at_most < len(every):
        every = np.random.default_rng(0).choice(every, at_most, replace=False)
    return [int(mask) for mask in every], len(every) / ((1 << count) - 1)


# --- the loops ----------------------------------------------------------------------------------------------------


def sum_loop(pmf, masks):
    found = []
    for mask in masks:
        marginal = pmf.sum(axis=tuple(m for m in range(pmf.ndim) if not mask >> m & 1))
        occurs = marginal[marginal > 0]
        found.append(-(occurs * np.log(occurs)).sum())
    return np.array(found)


def dit_loop(entropy, law, masks):
    return np.array([entropy(law, list(members(mask))) for mask in masks]) * math.log(2)


def slogdet_loop(cov, block, masks):
    found = []
    for mask in masks:
        inside = np.concatenate([np.arange(m * block, (m + 1) * block) for m in members(mask)])
        logdet = np.linalg.slogdet(cov[np.ix_(inside, inside)])[1]
        found.append(0.5 * (len(inside) * math.log(2 * math.pi * math.e) + logdet))
    return np.array(found)


def plets(count):
    """Index tables of all n-plets of 2 or more, by size."""
    return [torch.tensor(list(combinations(range(count), size))) for size in range(2, count + 1)]


def thoi_all(cov, tables):
    return [nplets_measures(cov, table, covmat_precomputed=True, verbose=logging.WARNING) for table in tables]


# --- cases --------------------------------------------------------------------------------------------------------


def discrete_case(count, quick):
    """Candidates, the share of the subsets that some of them are timed on, and a check that they agree."""
    pmf = binary_pmf(count)
    law = Discrete(pmf)
    masks, share = some_subsets(count, 64 if quick else 1023 if count <= 10 else 256)
    candidates = {
        "ours": lambda: pmf_entropies(pmf),
        "ours, with its EntropyVector": law.entropy_vector,
        "loop of p.sum": lambda: sum_loop(pmf, masks),
    }
    shares = {"loop of p.sum": share}
    if dit is not None and count == 10:
        few, share = some_subsets(count, 16 if quick else 100)
        cells = [tuple(map(int, cell)) for cell in np.ndindex(pmf.shape)]
        theirs = dit.Distribution(cells, pmf.reshape(-1).tolist())
        candidates["dit.shannon.entropy"] = lambda: dit_loop(dit.shannon.entropy, theirs, few)
        candidates["dit.multivariate.entropy"] = lambda: dit_loop(dit.multivariate.entropy, theirs, few)
        shares |= dict.fromkeys(["dit.shannon.entropy", "dit.multivariate.entropy"], share)

    def check():
        values = pmf_entropies(pmf)
        np.testing.assert_allclose(candidates["loop of p.sum"](), values[masks], rtol=1e-10)
        for name in shares.keys() - {"loop of p.sum"}:
            np.testing.assert_allclose(candidates[name](), values[few], rtol=1e-10)

    return candidates, shares, check


def gaussian_case(count, block, quick):
    """As :func:`discrete_case`."""
    cov = covariance(count, block)
    sizes = [block] * count
    law = Gaussian(cov, sizes)
    masks, share = some_subsets(count, 64 if quick else 1 << 14 if block == 1 else 1024)
    candidates = {
        "ours": lambda: gaussian_entropies(cov, sizes),
        "ours, with its EntropyVector": law.entropy_vector,
        "loop of slogdet": lambda: slogdet_loop(cov, block, masks),
    }
    if nplets_measures is not None and block == 1 and count <= 14:
        theirs, tables = torch.tensor(cov), plets(count)
        candidates["thoi"] = lambda: thoi_all(theirs, tables)

    def check():
        values = gaussian_entropies(cov, sizes)
        np.testing.assert_allclose(candidates["loop of slogdet"](), values[masks], rtol=1e-9)
        if "thoi" in candidates:
            for table, measures in zip(tables, candidates["thoi"](), strict=True):
                for row, tc in zip(table.tolist(), measures[:, 0, 0].tolist(), strict=True):
                    assert abs(sum(values[1 << m] for m in row) - values[sum(1 << m for m in row)] - tc) < 1e-8

    return candidates, {"loop of slogdet": share}, check


def case(kind, count, block, quick):
    return discrete_case(count, quick) if kind == "discrete" else gaussian_case(count, block, quick)


def rounds_of(count, block, quick):
    if quick:
        return 3
    return 5 if count * block > 100 or count > 14 else 31


def main():
    parser = harness.arguments(__doc__, "lattice")
    options = parser.parse_args()
    if options.peak:
        kind, count, block, name = options.peak
        candidates, _, _ = case(kind, int(count), int(block), True)
        harness.report_peak(candidates[name])
        return
    counts = (10,) if options.quick else (10, 14, 16)
    cases = [("discrete", count, 1) for count in counts]
    cases += [("gaussian", count, block) for block in (1, 8) for count in counts]
    found, rows = [], [("case", "candidate", "seconds", "times slower", "target", "peak MiB")]
    for kind, count, block in cases:
        candidates, shares, check = case(kind, count, block, options.quick)
        check()
        timed = harness.compared(
            harness.interleaved(candidates, rounds_of(count, block, options.quick)), "ours", shares
        )
        for name, result in timed.items():
            result["peak_mib"] = harness.peak_mib(__file__, kind, str(count), str(block), name)
            target = TARGETS.get((kind, count, block, name))
            if target is not None:
                result |= {"target_times_slower": target, "reached": result["times_slower"] >= target}
            rows.append(
                (
                    f"{kind} M={count} block {block}",
                    name,
                    f"{result['seconds']:.3g}",
                    f"{result['times_slower']:.3g}" if "times_slower" in result else "",
                    str(target or ""),
                    "" if result["peak_mib"] is None else f"{result['peak_mib']:.1f}",
                )
            )
        found.append({"kind": kind, "modalities": count, "block": block, "candidates": timed})
    harness.table(rows)
    results = {
        "what": __doc__.split("\n\n    python")[0],
        "peak_mib": "first call in a fresh process: peak resident memory less that before; loops over a few subsets",
        "machine": harness.machine(),
        "versions": harness.versions("numpy", "scipy", "dit", "thoi", "torch"),
        "cases": found,
    }
    harness.save(results, options.out, "lattice", options.quick)


if __name__ == "__main__":
    main()
