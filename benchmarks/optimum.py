"""The exact optimum against a generic convex solver on a grid of decoders, and against plain EM restarts.

    python benchmarks/optimum.py [--quick]

On a grid the problem is finite and concave: maximise ``sum_r b_r ln (E pi)_r`` over weights of the grid's decoders.
SciPy's SLSQP solves it with gradients, and so does an interior-point method where cvxpy is installed. The grid's value
is a lower bound; how far below the optimum it stays is reported beside the time, and so is EM's. Neither certifies.
"""

from __future__ import annotations

import math
from itertools import product

import harness
import numpy as np
from optimum_study import plain_em
from scipy.optimize import minimize

from bounds import Discrete, mmvae, mopoe, optimal_elbo
from bounds.dual.program import DecoderProgram

OURS = "multimodal-bounds, certified to 1e-6"
#: Decoders on the grid at most; SLSQP is cubic in them.
MOST = 400


def cases(quick: bool) -> dict[str, tuple[Discrete, object]]:
    """Laws and schemes by name."""
    copy = Discrete([[0.375, 0.125], [0.125, 0.375]])
    xor = np.zeros((2, 2, 2))
    for i, j in product(range(2), repeat=2):
        xor[i, j, i ^ j] = 0.25
    rng = np.random.default_rng(0)
    found = {
        "a bit and a copy wrong in 1 of 4, MMVAE": (copy, mmvae(2)),
        "XOR of two bits, MoPoE": (Discrete(xor), mopoe(3)),
        "3 x 3 symbols, MMVAE": (Discrete(rng.dirichlet(np.ones(9)).reshape(3, 3)), mmvae(2)),
        "2 x 2 x 2 symbols, MoPoE": (Discrete(rng.dirichlet(np.ones(8)).reshape(2, 2, 2)), mopoe(3)),
        "3 x 3 x 3 symbols, MMVAE": (Discrete(rng.dirichlet(np.full(27, 0.3)).reshape(3, 3, 3)), mmvae(3)),
    }
    return dict(list(found.items())[:2]) if quick else found


def grid(program: DecoderProgram) -> np.ndarray:
    """All products of laws on the finest regular grid with at most :data:`MOST` decoders."""
    best = None
    for parts in range(1, 200):
        blocks = [np.array(list(_compositions(parts, c.shape[1]))) / parts for c in program.targets]
        if math.prod(len(block) for block in blocks) > MOST:
            break
        best = np.array([np.concatenate(rows) for rows in product(*blocks)])
    marginals = (program.mass @ program.stacked)[None]  # or a coarse grid may make some row impossible
    return np.concatenate([best, marginals])


def _compositions(total: int, parts: int):
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)


def slsqp(program: DecoderProgram) -> float:
    """The best weights on the grid."""
    likelihoods = program.likelihoods(grid(program))
    mass, count = program.mass, likelihoods.shape[1]

    def loss(weights):
        mixed = likelihoods @ weights + 1e-300
        return -mass @ np.log(mixed), -likelihoods.T @ (mass / mixed)

    found = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(count)},
        options={"maxiter": 300, "ftol": 1e-10},
    )
    return -float(found.fun)


def interior_point(program: DecoderProgram) -> float:
    """The same with cvxpy's default solver for the exponential cone."""
    import cvxpy

    likelihoods = program.likelihoods(grid(program))
    weights = cvxpy.Variable(likelihoods.shape[1], nonneg=True)
    gain = program.mass @ cvxpy.log(likelihoods @ weights)
    cvxpy.Problem(cvxpy.Maximize(gain), [cvxpy.sum(weights) == 1]).solve()
    return float(program.mass @ np.log(likelihoods @ np.maximum(weights.value, 0)))


def main() -> None:
    options = harness.arguments(__doc__, "optimum").parse_args()
    try:
        import cvxpy  # noqa: F401

        with_cvxpy = True
    except ImportError:
        with_cvxpy = False
    results = []
    rows = [["case", "method", "seconds", "times slower", "below the optimum by"]]
    for name, (law, scheme) in cases(options.quick).items():
        program = DecoderProgram.of(law, scheme)
        exact = optimal_elbo(law, scheme)
        methods = {OURS: lambda law=law, scheme=scheme: optimal_elbo(law, scheme).low}
        methods["SLSQP on a grid"] = lambda program=program: slsqp(program)
        if with_cvxpy:
            methods["cvxpy on a grid"] = lambda program=program: interior_point(program)
        methods["200 restarts of EM"] = lambda program=program: plain_em(program, np.random.default_rng(0))
        short = {method: exact.high - work() for method, work in methods.items()}
        timed = harness.compared(harness.interleaved(methods, 1 if options.quick else 5), OURS)
        for method, found in timed.items():
            found["below_the_optimum_by_at_most"] = short[method]
            slower = f"{found['times_slower']:.3g}" if "times_slower" in found else ""
            rows.append([name, method, f"{found['seconds']:.3f}", slower, f"{short[method]:.1e}"])
        results.append({"case": name, "decoders_on_the_grid": len(grid(program)), "methods": timed})
    harness.table(rows)
    harness.save(
        {
            "machine": harness.machine(),
            "versions": harness.versions("numpy", "scipy", "cvxpy"),
            "cases": results,
        },
        options.out,
        "optimum",
        options.quick,
    )


if __name__ == "__main__":
    main()
