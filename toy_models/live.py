"""Small models trained while a reader waits, beside the ceilings of what they train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from bounds.ceilings import elbo_ceiling, entropy
from bounds.errors import InputError
from bounds.finite import elbo_terms
from bounds.likelihoods import likelihood_ceiling
from bounds.optimum import optimal_elbo
from bounds.schemes import mmvae
from toy_models.coordinate_ascent import fit_tabular
from toy_models.gaussian_fit import fit
from toy_models.linear_gaussian import gaussian_terms
from toy_models.playground import alike_bits, alike_gaussians, collapse_threshold, constant_latent_elbo

#: A finite VAE of bits, or a linear-Gaussian VAE of numbers.
Toy = Literal["tabular", "linear-Gaussian"]
#: Seconds at most for the certificate of the optimum; most take a twentieth of one.
SECONDS = 0.3
#: Width of the optimum's bracket that is asked for, in nats.
TOL = 1e-4


@dataclass(frozen=True)
class Training:
    """What training reached, in nats per example.

    Attributes:
        curves: start to the ELBO before training and after each step.
        ceilings: name to a number that no model of this kind exceeds, and what a constant latent reaches.
        elbo: the best at the end.
        kl: of the best model at the end: how much its latent says. Near zero the latent has collapsed.
        threshold: the correlation above which a constant latent is surely not the best (THEORY T4).
        above: whether the data's correlation is above it.
        collapsed: whether a constant latent is proved to be the best to within 2e-4 nats, ``None`` if that is open.
    """

    curves: Mapping[str, tuple[float, ...]]
    ceilings: Mapping[str, float]
    elbo: float
    kl: float
    threshold: float
    above: bool
    collapsed: bool | None


def train_live(
    toy: Toy, n_modalities: int, correlation: float, *, steps: int = 100, starts: int = 3, seed: int = 0
) -> Training:
    """Trains an MMVAE of modalities that are all alike, from several random starts.

    Args:
        toy: the kind of model: coordinate ascent with three latent values, or EM with one latent number.
        n_modalities, correlation: of :func:`toy_models.playground.alike_bits` or ``alike_gaussians``.
        steps: of training at most; a start that no longer gains ends earlier.
        starts: how many.
        seed: of the first start; the others follow.

    Raises:
        InputError: another kind of model, or a number out of its range.

    >>> found = train_live("tabular", 2, 0.8)
    >>> round(found.elbo, 4), round(found.ceilings["optimum (T4)"], 4)
    (-1.0847, -1.0846)
    """
    if toy not in get_args(Toy):
        raise InputError(f"toy {toy!r}: use one of {', '.join(get_args(Toy))}")
    if steps < 1 or starts < 1:
        raise InputError(f"{steps} steps from {starts} starts: give at least one of each")
    found = (_tabular if toy == "tabular" else _linear)(n_modalities, correlation, steps, range(seed, seed + starts))
    curves, ceilings, elbo, kl, collapsed = found
    threshold = collapse_threshold(n_modalities)
    return Training(
        MappingProxyType(curves), MappingProxyType(ceilings), elbo, kl, threshold, correlation > threshold, collapsed
    )


_Found = tuple[dict[str, tuple[float, ...]], dict[str, float], float, float, bool | None]


def _tabular(count: int, correlation: float, steps: int, seeds: range) -> _Found:
    law, scheme = alike_bits(count, correlation), mmvae(count)
    fits = [
        fit_tabular(law, scheme, 3, np.random.default_rng(seed), restarts=1, iterations=steps, tol=1e-9)
        for seed in seeds
    ]
    best = max(fits, key=lambda one: one.value)
    h = law.entropy_vector()
    constant = constant_latent_elbo(law)
    optimum = optimal_elbo(law, scheme, tol=TOL, seconds=SECONDS)
    ceilings = {
        "-H(X)": -float(entropy(h)),
        "ceiling (T2)": float(elbo_ceiling(h, scheme)),
        "optimum (T4)": optimum.high,
        "constant latent": constant,
    }
    collapsed = True if optimum.high <= constant + 2 * TOL else False if optimum.low > constant + TOL else None
    return (
        {f"start {i}": one.history for i, one in enumerate(fits, 1)},
        ceilings,
        best.value,
        elbo_terms(best.model, law, scheme).kl,
        collapsed,
    )


def _linear(count: int, correlation: float, steps: int, seeds: range) -> _Found:
    law, scheme = alike_gaussians(count, correlation), mmvae(count)
    fits = [
        fit(
            law,
            scheme,
            "diagonal",
            1,
            method="em",
            starts=1,
            iterations=steps,
            tolerance=1e-12,
            rng=np.random.default_rng(seed),
        )
        for seed in seeds
    ]
    best = max(fits, key=lambda one: one.elbo)
    h = law.entropy_vector()
    constant = constant_latent_elbo(law)
    ceilings = {
        "-h(X)": -float(entropy(h)),
        "ceiling (T2)": float(elbo_ceiling(h, scheme)),
        "noise without z (T7)": float(likelihood_ceiling(law, scheme, "gaussian:learned")),
        "best linear model": best.ceiling,
        "constant latent": constant,
    }
    return (
        {f"start {i}": one.path for i, one in enumerate(fits, 1)},
        ceilings,
        best.elbo,
        gaussian_terms(best.model, law, scheme).kl,
        best.ceiling <= constant + TOL,
    )
