"""Is training a mixture VAE the same as training a VAE on data imputed by conditional means? (THEORY T7(iii))"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from bounds.errors import InputError
from bounds.joints import Gaussian
from bounds.likelihood.gaussian import regression
from bounds.plots import COLOURS
from bounds.plots.style import dash
from bounds.schemes import SubsetScheme
from bounds.subsets import members
from toy_models.datasets import Dataset, digest, equicorrelated
from toy_models.devices import full_precision
from toy_models.experiments.study import Experiment, Finding, Setting, mean_and_error
from toy_models.models import Architecture, MultimodalVAE
from toy_models.objectives import own_density
from toy_models.train import FORMAT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODALITIES, RHO, SIGMA = 3, 0.5, 0.5
BATCH, RATE = 256, 3e-3
#: Quick and full.
STEPS = 1500, 5000
#: Draws of the latent for each held-out example; both sides of the identity use the same ones.
DRAWS = 16
#: Held-out examples at once.
CHUNK = 2000


def run(setting: Setting) -> Finding:
    """MMVAE and MoPoE with Gaussian noise of a fixed scale, trained on data and on imputed data from the same seeds."""
    dataset = equicorrelated(
        MODALITIES, RHO, n_train=50_000, n_held_out=setting.choose(10_000, 40_000), rng=np.random.default_rng(0)
    )
    rows: list[dict[str, Any]] = []
    for name in setting.track(("mmvae", "mopoe"), "imputation", 2):
        architecture = Architecture.of(dataset, name, f"gaussian:{SIGMA}", latents=2, hidden=(32,))
        rows.append(
            setting.kept(
                f"imputation-{name}",
                (
                    FORMAT,
                    name,
                    architecture.latents,
                    architecture.hidden,
                    setting.seeds,
                    setting.device,
                    setting.choose(*STEPS),
                    BATCH,
                    RATE,
                    DRAWS,
                    SIGMA,
                    digest(*dataset.train, *dataset.held_out),
                ),
                lambda _, a=architecture: {"model": a.model} | _measure(dataset, a, setting),  # type: ignore[misc]
            )
        )
    checks: dict[str, bool] = {}
    parts = []
    for row in rows:
        pairs = zip(row["identity_gap"], row["identity_error"], strict=True)
        checks[f"{row['model']}: the identity holds within four standard errors"] = all(
            abs(gap) < 4 * error for gap, error in pairs
        )
        mean, error = mean_and_error([a - b for a, b in zip(row["on_data"], row["on_imputed"], strict=True)])
        checks[f"{row['model']}: both trainings end within 0.01 nats"] = abs(mean) < 0.01
        parts.append(
            f"{row['model']} trained on imputed data ends {mean:+.4f} ± {error:.4f} nats from where data take it"
        )
    return Finding(
        EXPERIMENT.name, EXPERIMENT.question, "; ".join(parts), checks, {"rows": rows}, partial(_figure, rows)
    )


@dataclass(frozen=True, eq=False)
class Imputation:
    """Data with what a subset does not see replaced by its conditional mean, for every encoded subset.

    Args:
        projections: ``(S, M, M)``, ``E[X|X_A] = B_A x`` of scalar modalities.
        unexplained: ``sum_A w_A sum_m E Var(X_m|X_A)``.
    """

    projections: Tensor
    unexplained: float

    @classmethod
    def of(cls, law: Gaussian, scheme: SubsetScheme) -> Imputation:
        """Of a law and a scheme."""
        maps = [regression(law.cov, members(subset)) for subset, _ in scheme]
        left = [np.eye(len(one)) - one for one in maps]
        weights = [float(weight) for _, weight in scheme]
        total = sum(w * float(np.trace(one @ law.cov @ one.T)) for w, one in zip(weights, left, strict=True))
        return cls(torch.tensor(np.array(maps)), total)

    def __call__(self, x: Tensor) -> Tensor:
        """``(N, M) -> (S, N, M)``."""
        return torch.einsum("smk,nk->snm", self.projections, x)

    def like(self, x: Tensor) -> Imputation:
        """The same where ``x`` is, and in its precision."""
        return replace(self, projections=self.projections.to(x))


def _measure(dataset: Dataset, architecture: Architecture, setting: Setting) -> dict[str, Any]:
    assert isinstance(dataset.law, Gaussian)
    imputation = Imputation.of(dataset.law, architecture.encoded)
    found: dict[str, list[Any]] = {key: [] for key in ("on_data", "on_imputed", "identity_gap", "identity_error")}
    found["curve_on_data"], found["curve_on_imputed"] = [], []
    for seed in setting.seeds:
        plain, curve = _trained(dataset, architecture, seed, None, setting)
        other, imputed_curve = _trained(dataset, architecture, seed, imputation, setting)
        gap, on_data = _both_sides(plain, dataset, imputation, seed)
        _, on_imputed = _both_sides(other, dataset, imputation, seed)
        found["on_data"].append(float(on_data.mean()))
        found["on_imputed"].append(float(on_imputed.mean()))
        found["identity_gap"].append(float(gap.mean()))
        found["identity_error"].append(float(gap.std()) / math.sqrt(len(gap)))
        if not all(math.isfinite(found[key][-1]) for key in ("on_data", "on_imputed", "identity_gap")):
            raise InputError(f"member {seed} of {architecture.model} met a NaN: lower RATE")
        found["curve_on_data"].append(curve)
        found["curve_on_imputed"].append(imputed_curve)
    return found


def _objective(model: MultimodalVAE, x: Tensor, noise: Tensor, imputation: Imputation | None) -> Tensor:
    """``(N,)``: the objective on the data, or with ``E[X|X_A]`` in the place of what ``A`` does not see.

    The second has the constant ``sum_A w_A sum_m E Var(X_m|X_A) / (2 sigma^2)`` taken off.
    """
    beta = torch.ones(1, 1, dtype=x.dtype, device=x.device)
    rows = [x[None, :, m : m + 1] for m in range(MODALITIES)]
    if imputation is None:
        return own_density(model(rows, noise), beta)[0]
    targets = imputation(x)
    parts = [targets[None, ..., m : m + 1] for m in range(MODALITIES)]
    return own_density(model(rows, noise, parts), beta)[0] - imputation.unexplained / (2 * SIGMA**2)


def _trained(
    dataset: Dataset, architecture: Architecture, seed: int, imputation: Imputation | None, setting: Setting
) -> tuple[MultimodalVAE, list[float]]:
    """A model and its training curve; the same seed draws the same parameters, rows and noise for both objectives."""
    generator = torch.Generator(setting.device).manual_seed(seed)
    model = MultimodalVAE(architecture, [generator]).float().to(setting.device)
    x = torch.tensor(np.concatenate(dataset.train, axis=1), dtype=torch.float32, device=setting.device)
    imputation = imputation and imputation.like(x)
    steps = setting.choose(*STEPS)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
    subsets, draws, latents = model.architecture.noise_shape
    curve = []
    for step in range(steps):
        rows = torch.randint(len(x), (BATCH,), generator=generator, device=x.device)
        noise = torch.randn(1, subsets, draws, BATCH, latents, generator=generator, device=x.device)
        optimizer.zero_grad()
        with full_precision(x.device):
            value = _objective(model, x[rows], noise, imputation).mean()
            (-value).backward()
        optimizer.step()
        schedule.step()
        if step % 25 == 0:
            curve.append(float(value.detach()))
    return model.double().eval(), curve


@torch.no_grad()
def _both_sides(
    model: MultimodalVAE, dataset: Dataset, imputation: Imputation, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """On held-out examples: the objective on the data less that on imputed data, and the first."""
    x = torch.tensor(np.concatenate(dataset.held_out, axis=1)).to(model.weights)
    subsets, _, latents = model.architecture.noise_shape
    noise = torch.randn(
        1, subsets, DRAWS, len(x), latents, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    ).to(x)
    imputation, sides = imputation.like(x), []
    for rows, normals in zip(x.split(CHUNK), noise.split(CHUNK, dim=3), strict=True):
        sides.append([_objective(model, rows, normals, one) for one in (None, imputation)])
    left, right = (torch.cat(side).cpu().numpy() for side in zip(*sides, strict=True))
    return left - right, left


def _figure(rows: list[dict[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, row in zip(figure.subplots(1, 2, sharey=True), rows, strict=True):
        for i, (key, label) in enumerate((("curve_on_data", "data"), ("curve_on_imputed", "imputed data"))):
            curve = np.mean(row[key], axis=0)
            axes.plot(
                25 * np.arange(len(curve)),
                curve,
                color=COLOURS[i],
                ls=dash("", i),
                lw=1,
                alpha=0.8,
                label=f"trained on {label}",
            )
        axes.set(title=row["model"], xlabel="step", ylabel="training objective, nats")
        axes.set_ylim(bottom=float(np.quantile(np.mean(row["curve_on_data"], axis=0), 0.05)) - 0.2)
    axes.legend()
    return figure


EXPERIMENT = Experiment(
    "imputation", "Is training a mixture VAE the same as training a VAE on data imputed by conditional means?", run
)
