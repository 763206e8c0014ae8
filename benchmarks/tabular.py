"""Coordinate ascent of finite VAEs: all restarts and rows in one product of matrices, against loops over either.

    python benchmarks/tabular.py [--quick] [--out FILE]

The loop over restarts takes the same steps with one start at a time. The loop over rows goes through the encoded
subsets and what they see, ``(A, x_A)``, one vector of latents at a time, as the update is usually written; it is timed
on one start and scaled up. All take ten steps from the same starts, and their values are compared first. Rows and
starts are built outside the clock.
"""

from __future__ import annotations

import harness  # before NumPy: sets the number of threads
import numpy as np

from bounds import Discrete, SubsetScheme, mmvae, mopoe
from toy_models import TabularVAE, random_model
from toy_models.coordinate_ascent import _Rows, _Theta

OURS = "one product for all restarts and rows"
RESTARTS, ROWS = "loop over restarts", "loop over restarts and rows"
STEPS = 10


def cases(quick: bool) -> dict[str, tuple[Discrete, SubsetScheme, int, int]]:
    """Law, scheme, number of latents and of starts by name."""
    rng = np.random.default_rng(0)

    def law(*alphabet: int) -> Discrete:
        return Discrete(rng.dirichlet(np.full(int(np.prod(alphabet)), 0.3)).reshape(alphabet))

    found = {
        "2 x 2 x 2 symbols, MoPoE": (law(2, 2, 2), mopoe(3), 8, 64),
        "3 x 3 x 3 symbols, MMVAE": (law(3, 3, 3), mmvae(3), 8, 64),
        "4 x 4 x 4 x 4 symbols, MoPoE": (law(4, 4, 4, 4), mopoe(4), 16, 64),
        "8 bits, MoPoE": (law(*[2] * 8), mopoe(8), 16, 16),
    }
    return dict(list(found.items())[:2]) if quick else found


def together(rows: _Rows, theta: _Theta) -> np.ndarray:
    """Values of all starts after :data:`STEPS` steps."""
    values, joint = rows.encode(theta)
    for _ in range(STEPS):
        theta = rows.decode(joint, theta)
        values, joint = rows.encode(theta)
    return values


def one_by_one(rows: _Rows, theta: _Theta) -> list[float]:
    """The same, one start at a time."""
    return [float(together(rows, theta[np.array([i])])[0]) for i in range(theta.prior.shape[1])]


def row_by_row(rows: _Rows, start: TabularVAE) -> float:
    """The same for one start, one row at a time."""
    prior, decoders = start.prior, np.concatenate(start.decoders, axis=1)
    for step in range(STEPS + 1):
        value, better, used = 0.0, np.zeros_like(decoders), np.zeros_like(prior)
        logs, log_prior = np.log(decoders), np.log(prior)
        for mass, target in zip(rows.mass, rows.targets, strict=True):
            logits = log_prior + logs @ target
            top = logits.max()
            q = np.exp(logits - top)
            total = q.sum()
            value += mass * (np.log(total) + top)
            q *= mass / total
            used += q
            better += q[:, None] * target
        if step < STEPS:
            prior = used / used.sum()
            units = np.split(better, rows.starts[1:], axis=1)
            decoders = np.concatenate([unit / unit.sum(axis=1, keepdims=True) for unit in units], axis=1)
    return value


def main() -> None:
    options = harness.arguments(__doc__, "tabular").parse_args()
    results, shown = [], [["case", "rows", "latents", "starts", "method", "ms a step", "times slower"]]
    for name, (law, scheme, latents, count) in cases(options.quick).items():
        rng = np.random.default_rng(1)
        starts = [random_model(law, scheme, latents, rng) for _ in range(count)]
        rows = _Rows.of(law, scheme, 1.0)
        theta = _Theta(
            np.stack([model.prior for model in starts], axis=1),
            np.stack([np.concatenate(model.decoders, axis=1) for model in starts], axis=1),
        )
        expected = together(rows, theta)
        np.testing.assert_allclose(one_by_one(rows, theta), expected, rtol=1e-10)
        np.testing.assert_allclose(row_by_row(rows, starts[0]), expected[0], rtol=1e-10)
        methods = {
            OURS: lambda rows=rows, theta=theta: together(rows, theta),
            RESTARTS: lambda rows=rows, theta=theta: one_by_one(rows, theta),
            ROWS: lambda rows=rows, start=starts[0]: row_by_row(rows, start),
        }
        rounds = 2 if options.quick else 7
        timed = harness.compared(harness.interleaved(methods, rounds), OURS, {ROWS: 1 / count})
        for method, found in timed.items():
            slower = f"{found['times_slower']:.3g}" if "times_slower" in found else ""
            step = f"{1e3 * found['seconds'] / STEPS:.3g}"
            shown.append([name, str(len(rows.mass)), str(latents), str(count), method, step, slower])
        results.append({"case": name, "rows": len(rows.mass), "latents": latents, "starts": count, "methods": timed})
    harness.table(shown)
    harness.save(
        {
            "what": __doc__.split("\n\n    python")[0],
            "steps": STEPS,
            "machine": harness.machine(),
            "versions": harness.versions("numpy"),
            "cases": results,
        },
        options.out,
        "tabular",
        options.quick,
    )


if __name__ == "__main__":
    main()
