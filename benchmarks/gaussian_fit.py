"""The best linear-Gaussian VAE by 64 starts: EM, L-BFGS with the loading eliminated, and the same without a gradient.

    python benchmarks/gaussian_fit.py [--quick]

All learn diagonal noise for a law of a few shared factors, with fewer latents than factors, so that there may be local
optima. SciPy's L-BFGS without a gradient takes differences of the same objective, the loading being eliminated
there too; torch's L-BFGS, if installed, runs over loading and noise with gradients by reverse mode. These two are timed
on a few of the starts and scaled up. A start reaches the best if it comes within 1e-6 nats of the best of all methods.
Products of experts are fitted beside them, which is another problem: their share is of their own best.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import harness
import numpy as np
from scipy.optimize import minimize

from bounds import Gaussian, SubsetScheme, full, mopoe
from toy_models.gaussian_expert_fit import fit_experts
from toy_models.gaussian_fit import fit
from toy_models.gaussian_profile import Moments, optimal_loading, profile_elbo, scheme_moments

OURS = "L-BFGS"
STARTS = 64
#: Starts on which the slower methods are timed.
FEW = 4
#: A start that ends within this of the best, in nats, has reached it.
REACHED = 1e-6


def cases(quick: bool) -> dict[str, tuple[Gaussian, SubsetScheme, int]]:
    """Law, scheme and number of latents by name."""
    found = {
        "6 variables of two equal factors, full, 1 latent": (two_factors(), full(6), 1),
        "3 modalities of 4 variables, MoPoE, 2 latents": (factors([4] * 3, 4), mopoe(3), 2),
        "5 modalities of 4 variables, MoPoE, 3 latents": (factors([4] * 5, 6), mopoe(5), 3),
    }
    return dict(list(found.items())[:1]) if quick else found


def factors(sizes: list[int], count: int) -> Gaussian:
    """Variables that load on a few factors at random, each with noise of its own."""
    rng = np.random.default_rng(0)
    loading = rng.normal(size=(sum(sizes), count))
    return Gaussian(loading @ loading.T + np.diag(rng.uniform(0.3, 1.5, sum(sizes))), sizes, units="scalar")


def two_factors() -> Gaussian:
    """Two factors of nearly equal strength, three variables each: with one latent the start decides which is coded."""
    return Gaussian(np.kron(np.eye(2), 0.7 * np.ones((3, 3)) + 0.3 * np.eye(3)) + 0.02 * np.diag([0, 0, 0, 1, 1, 1]))


def first_noise(law: Gaussian, rng: np.random.Generator) -> np.ndarray:
    """Variances as :func:`toy_models.gaussian_fit.fit` draws them."""
    return np.exp(rng.uniform(np.log(0.01), 0.0, len(law.cov))) * np.diagonal(law.cov)


def without_gradient(law: Gaussian, moments: Moments, latents: int, starts: int) -> list[float]:
    """SciPy's L-BFGS over the logarithms of the variances, by differences."""
    rng = np.random.default_rng(0)

    def loss(theta: np.ndarray) -> float:
        return -profile_elbo(moments, optimal_loading(moments, np.exp(theta), latents), np.exp(theta))

    least = np.log(np.diagonal(law.cov)) - 24  # the same box
    box = [(low, None) for low in least.tolist()]
    options = {"maxiter": 5000, "maxfun": 10**6}
    runs = [np.log(first_noise(law, rng)) for _ in range(starts)]
    return [-float(minimize(loss, run, method="L-BFGS-B", bounds=box, options=options).fun) for run in runs]


def in_torch(law: Gaussian, moments: Moments, latents: int, starts: int) -> list[float]:
    """``torch.optim.LBFGS`` over the loading and the logarithms of the variances."""
    import torch

    torch.set_num_threads(1)
    spread, unexplained = torch.tensor(moments.spread), torch.tensor(np.diagonal(moments.unexplained).copy())
    rng, d = np.random.default_rng(0), len(law.cov)
    found = []
    for _ in range(starts):
        logs = torch.tensor(np.log(first_noise(law, rng)), requires_grad=True)
        scale = np.sqrt(np.diagonal(law.cov) / latents)[:, None]
        loading = torch.tensor(rng.normal(size=(d, latents)) * scale, requires_grad=True)

        def loss(loading: torch.Tensor = loading, logs: torch.Tensor = logs) -> torch.Tensor:
            root = torch.linalg.cholesky(loading @ loading.T + torch.diag(logs.exp()))
            trace = torch.cholesky_solve(spread, root).trace() + (unexplained / logs.exp()).sum()
            return 0.5 * (d * math.log(2 * math.pi) + trace) + root.diagonal().log().sum()

        search = torch.optim.LBFGS(
            [loading, logs],
            max_iter=5000,
            max_eval=20_000,
            history_size=30,
            tolerance_grad=1e-9,
            tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        )

        def closure(search: torch.optim.LBFGS = search, loss: Callable[[], torch.Tensor] = loss) -> torch.Tensor:
            search.zero_grad()
            value = loss()
            value.backward()
            return value

        search.step(closure)
        found.append(-float(loss().detach()))
    return found


def main() -> None:
    options = harness.arguments(__doc__, "gaussian_fit").parse_args()
    try:
        import torch  # noqa: F401

        with_torch = True
    except ImportError:
        with_torch = False
    starts, few = (8, 2) if options.quick else (STARTS, FEW)
    results = []
    rows = [["case", "method", f"seconds for {starts} starts", "times slower", "share of starts at the best"]]
    for name, (law, scheme, latents) in cases(options.quick).items():
        moments = scheme_moments(law, scheme)
        reached: dict[str, list[float]] = {}

        def ours(method: str, law=law, scheme=scheme, latents=latents, reached=reached) -> None:
            best = fit(law, scheme, "diagonal", latents, method=method, starts=starts, rng=np.random.default_rng(0))
            reached[{"l-bfgs": OURS, "em": "EM"}[method]] = list(best.starts)

        def experts(law=law, scheme=scheme, latents=latents, reached=reached) -> None:
            best = fit_experts(law, scheme, "diagonal", latents, starts=starts, rng=np.random.default_rng(0))
            reached["products of experts, L-BFGS"] = list(best.starts)

        def others(kind: str, law=law, moments=moments, latents=latents, reached=reached) -> None:
            search = {"L-BFGS without a gradient": without_gradient, "torch.optim.LBFGS": in_torch}[kind]
            reached[kind] = search(law, moments, latents, few)

        methods = {
            OURS: lambda ours=ours: ours("l-bfgs"),
            "EM": lambda ours=ours: ours("em"),
            "products of experts, L-BFGS": experts,
            "L-BFGS without a gradient": lambda others=others: others("L-BFGS without a gradient"),
        }
        share = {"L-BFGS without a gradient": few / starts}
        if with_torch:
            methods["torch.optim.LBFGS"] = lambda others=others: others("torch.optim.LBFGS")
            share["torch.optim.LBFGS"] = few / starts
        timed = harness.compared(harness.interleaved(methods, 1 if options.quick else 2), OURS, share)
        best = max(max(values) for method, values in reached.items() if not method.startswith("products"))
        for method, found in timed.items():
            values = np.array(reached[method])
            own = values.max() if method.startswith("products") else best
            found["elbo"] = float(values.max())
            found["starts"] = len(values)
            found["share_at_the_best"] = float((values >= own - REACHED).mean())
            slower = f"{found['times_slower']:.3g}" if "times_slower" in found else ""
            rows.append([name, method, f"{found['seconds']:.3g}", slower, f"{found['share_at_the_best']:.2f}"])
        results.append({"case": name, "starts": starts, "methods": timed})
    harness.table(rows)
    harness.save(
        {
            "machine": harness.machine(),
            "versions": harness.versions("numpy", "scipy", "torch"),
            "cases": results,
        },
        options.out,
        "gaussian_fit",
        options.quick,
    )


if __name__ == "__main__":
    main()
