"""The prover against psitip: one statement that is provable and one that is not, of 4 to 8 variables.

Provable: Delta of MoPoE is at most that of MMVAE. Not provable: the irreducible loss of MoPoE is at least that of
MMVAE. What is timed is the verdict; here it comes with an exact certificate or counterexample and its verification,
in psitip it is that of a linear program in floating point, by the solver that is named. Statements are built outside
the clock. From 9 variables on, and for the core of T1 and T2, there is nothing to compare with.

    python benchmarks/shannon.py [--quick] [--out FILE]

psitip needs ``pip install --no-deps psitip pulp``: without ``--no-deps`` it wants pycddlib, which has to be compiled.
"""

from __future__ import annotations

import operator
import warnings
from functools import reduce

import harness  # before NumPy: sets the number of threads

from bounds import mmvae, mopoe, prove
from bounds.formulas import Ground, discrepancy, total_correlation
from bounds.shannon import t2_core
from bounds.subsets import default_names, members

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import psitip
except ImportError:
    psitip = None

#: Solvers that psitip can use without anything else that has to be installed; its default is not among them.
SOLVERS = ("pulp.cbc", "scipy")
OURS = "bounds.prove"
#: The longest that any statement of eight variables may take, in seconds.
TARGET = 60


def statements(count):
    """Kind of statement to a functional that is, or is not, provably at least zero."""
    ground = Ground.of(default_names(count))
    return {
        "provable": discrepancy(ground, mmvae(count)) - discrepancy(ground, mopoe(count)),
        "not provable": total_correlation(ground, mopoe(count)) - total_correlation(ground, mmvae(count)),
    }


def in_psitip(functional):
    """The same statement, made anew, because psitip keeps what it has found out."""
    variables = [psitip.rv(name) for name in functional.names]

    def joint(mask):
        return reduce(operator.add, (variables[i] for i in members(mask)))

    return sum(float(c) * psitip.H(joint(mask)) for mask, c in functional.coefficients.items()) >= 0


def ask_psitip(statement, solver):
    psitip.PsiOpts.setting(solver=solver)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(statement)


def compare(count, kind, functional, rounds):
    """Seconds and verdicts of all provers on one statement."""
    verdicts = {}

    def ours():
        verdicts[OURS] = prove(functional).proved

    def theirs(solver):
        fresh = [in_psitip(functional) for _ in range(rounds + 1)]

        def ask():
            verdicts[f"psitip, {solver}"] = ask_psitip(fresh.pop(), solver)

        return ask

    candidates = {OURS: ours}
    if psitip is not None and count <= 8:
        candidates |= {f"psitip, {solver}": theirs(solver) for solver in SOLVERS}
    timed = harness.compared(harness.interleaved(candidates, rounds), OURS)
    proof = prove(functional)
    rows = 0 if proof.certificate is None else sum(len(list(one.rows())) for one in proof.certificate.derivations)
    right = {name: verdict == (kind == "provable") for name, verdict in verdicts.items()}
    return {
        "variables": count,
        "statement": kind,
        "rows_of_certificate": rows,
        "provers": {name: found | {"right": right[name]} for name, found in timed.items()},
    }


def core(rounds):
    """The inequality behind T1 and T2 for 2 to 5 modalities and every subset, one after the other."""
    cases = [t2_core(count, subset) for count in range(2, 6) for subset in range(1 << count)]

    def all_of_them():
        assert all(prove(*case).proved for case in cases)

    return {"statements": len(cases)} | harness.compared(harness.interleaved({OURS: all_of_them}, rounds), OURS)[OURS]


def main():
    options = harness.arguments(__doc__, "shannon").parse_args()
    counts, rounds = (range(4, 6), 1) if options.quick else (range(4, 12), 5)
    cases = []
    for count in counts:
        for kind, functional in statements(count).items():
            cases.append(compare(count, kind, functional, rounds if count <= 8 else min(rounds, 3)))
            print(count, kind, {name: round(found["seconds"], 4) for name, found in cases[-1]["provers"].items()})
    results = {
        "machine": harness.machine(),
        "versions": harness.versions("numpy", "scipy", "psitip", "pulp"),
        "psitip": "pip install --no-deps psitip pulp; with its dependencies pycddlib has to be compiled, which failed"
        if psitip is not None
        else "not installed",
        "cases": cases,
        "core of T1 and T2": core(1 if options.quick else 3),
    }
    slowest = max(one["provers"][OURS]["seconds"] for one in cases if one["variables"] <= 8)
    results["up to eight variables"] = {"slowest_seconds": slowest, "target_seconds": TARGET, "met": slowest <= TARGET}
    rows = [["variables", "statement", "prover", "ms", "times slower", "verdict"]]
    for one in cases:
        for name, found in one["provers"].items():
            slower = f"{found['times_slower']:.1f}" if "times_slower" in found else ""
            shown = [str(one["variables"]), one["statement"], name, f"{1000 * found['seconds']:.1f}", slower]
            rows.append(
                [*shown, "right" if found["right"] else "proof missed" if one["statement"] == "provable" else "wrong"]
            )
    harness.table(rows)
    harness.save(results, options.out, "shannon", options.quick)


if __name__ == "__main__":
    main()
