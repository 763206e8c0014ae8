"""How often an audit finds a planted fault, against the number of examples, and how often its power function says.

    python benchmarks/audit_power.py [--quick]

The faults are those of tests/planted_audits.py, each in a model that is otherwise right. ``predicted`` is the power of
the one check likeliest to fail, from margins and deviations of a separate large evaluation; several checks together
detect at least as often. For training data the margin depends on the number of examples, so the pilots have it too.
"""

from __future__ import annotations

import sys
import zlib
from functools import partial
from pathlib import Path

import harness
import numpy as np

from bounds.auditing import FALSE_ALARMS, alphabets_of, audit
from bounds.checks import power
from bounds.claims import claims_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from planted_audits import DIAGNOSED, FAULTS

SIZES = (100, 200, 500, 1000, 2000, 5000)
PILOT = 100_000


def predicted(name: str, n: int, rng: np.random.Generator) -> float:
    """The largest power of one check."""
    pilots = [FAULTS[name](n, rng) for _ in range(20)] if name == "training data" else [FAULTS[name](PILOT, rng)]
    claims = _claims(*pilots[0])
    margins, deviations, skews = [], [], []
    for evaluation, _ in pilots:
        if evaluation.kind == "discrete" and _highest(evaluation) > 1e-3:
            return 1.0  # a probability above one needs no statistics
        tops = [claim.ceiling(0.95).high for claim in claims]
        means = [evaluation.terms.mean(claim.of) for claim in claims]
        margins.append([m.value - top for m, top in zip(means, tops, strict=True)])
        deviations.append([m.standard_error * evaluation.n**0.5 for m in means])
        skews.append([m.skewness for m in means])
    rows = zip(np.mean(margins, axis=0), np.mean(deviations, axis=0), np.mean(skews, axis=0), strict=True)
    level = FALSE_ALARMS / len(claims)
    allowed = [partial(claim.rare.allowance, ceiling=top) for claim, top in zip(claims, tops, strict=True)]
    return max(
        power(float(margin), n, float(sd), level, float(skew), unseen)
        for (margin, sd, skew), unseen in zip(rows, allowed, strict=True)
    )


def _claims(evaluation, law):
    finer = len(law.layout.unit_names) > len(law.names)
    h = law.unit_entropies() if finer else law.entropy_vector()
    level = h if evaluation.columns == h.names else h.at_modality_level()
    return claims_of(evaluation, level, alphabets=alphabets_of(law))


def _highest(evaluation) -> float:
    table = evaluation.terms.log_likelihood
    return -np.inf if table is None else float(table.max())


def measured(name: str, n: int, repeats: int, rng: np.random.Generator) -> dict[str, float]:
    """Shares of verdicts, and how often the fault is named first or among the first three."""
    verdicts, first, among = [], 0, 0
    for _ in range(repeats):
        found = audit(*FAULTS[name](n, rng))
        verdicts.append(found.verdict)
        names = [cause.name for cause in found.causes]
        wanted = DIAGNOSED.get(name, name)
        first += names[:1] == [wanted]
        among += wanted in names[:3]
    shares = {verdict: verdicts.count(verdict) / repeats for verdict in ("violated", "undecided", "consistent")}
    violated = max(1, verdicts.count("violated"))
    return shares | {"named_first": first / violated, "named_in_three": among / violated}


def main() -> None:
    options = harness.arguments(__doc__, "audit_power").parse_args()
    repeats, sizes = (10, SIZES[::3]) if options.quick else (100, SIZES)
    rows = [["fault", "n", "detected", "predicted", "undecided", "consistent", "named in three"]]
    results = []
    for name in FAULTS:
        for n in sizes:
            rng = np.random.default_rng([zlib.crc32(name.encode()), n])
            expected = predicted(name, n, rng)
            found = measured(name, n, repeats, rng)
            results.append({"fault": name, "n": n, "predicted": round(expected, 4), **found})
            rows.append(
                [name, str(n), f"{found['violated']:.2f}", f"{expected:.2f}"]
                + [f"{found[key]:.2f}" for key in ("undecided", "consistent", "named_in_three")]
            )
    harness.table(rows)
    harness.save(
        {
            "machine": harness.machine(),
            "versions": harness.versions("numpy", "scipy"),
            "false_alarms": FALSE_ALARMS,
            "repeats": repeats,
            "faults": results,
        },
        options.out,
        "audit_power",
        options.quick,
    )


if __name__ == "__main__":
    main()
