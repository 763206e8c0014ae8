"""Linear-Gaussian VAEs at random, and their ELBO written out again in torch: an oracle to be differentiated."""

import math

import numpy as np
import pytest

from toy_models.linear_gaussian import GaussianEncoder, LinearGaussianVAE
from toy_models.linear_gaussian.model import unit_blocks

WITHOUT_TORCH = "torch, whose gradients are the oracle, is not installed"


def random_noise(law, kind, rng):
    d = len(law.cov)
    if kind == "isotropic":
        return float(rng.uniform(0.3, 2))
    if kind == "diagonal":
        return rng.uniform(0.3, 2, d)
    root = rng.normal(size=(d, d))
    return np.where(unit_blocks(law), root @ root.T / d + 0.5 * np.eye(d), 0.0)


def random_encoder(law, subset, latents, rng):
    seen = law.layout.variables_of_modalities(subset)
    root = rng.normal(size=(latents, latents))
    cov = root @ root.T / latents + 0.2 * np.eye(latents)
    return GaussianEncoder(rng.normal(size=(latents, len(seen))) / 2, cov, rng.normal(size=latents))


def random_vae(law, scheme, rng):
    latents = int(rng.integers(1, 4))
    noise = random_noise(law, rng.choice(["isotropic", "diagonal", "full"]), rng)
    encoders = {subset: random_encoder(law, subset, latents, rng) for subset, _ in scheme}
    d = len(law.cov)
    return LinearGaussianVAE(rng.normal(size=(d, latents)), noise, encoders, rng.normal(size=d))


def elbo_in_torch(law, scheme, loading, root, encoders, mean=None):
    """``L_S`` from the joint second moment of ``(x, z)`` of each subset; ``noise = root root'``.

    ``encoders`` has for each subset the gain, a root of the covariance, and maybe the offset.
    """
    torch = pytest.importorskip("torch", reason=WITHOUT_TORCH)
    cov, d, k = torch.tensor(law.cov), len(law.cov), loading.shape[1]
    psi, total = root @ root.T, 0.0
    mean = torch.zeros(d, dtype=torch.float64) if mean is None else mean
    for subset, weight in scheme:
        gain, spread, *offset = encoders[subset]
        seen = torch.zeros(gain.shape[1], d, dtype=torch.float64)
        for row, variable in enumerate(law.layout.variables_of_modalities(subset)):
            seen[row, variable] = 1.0
        full_gain, noise = gain @ seen, spread @ spread.T
        shift = offset[0] if offset else torch.zeros(k, dtype=torch.float64)
        push = torch.cat([torch.eye(d, dtype=torch.float64), full_gain])
        centre = torch.cat([torch.zeros(d, dtype=torch.float64), shift])
        joint = push @ cov @ push.T + torch.outer(centre, centre)
        joint = joint + torch.block_diag(torch.zeros(d, d, dtype=torch.float64), noise)
        decode = torch.cat([torch.eye(d, dtype=torch.float64), -loading], dim=1)
        pull = decode @ centre
        error = decode @ joint @ decode.T - torch.outer(pull, mean) - torch.outer(mean, pull) + torch.outer(mean, mean)
        fits = d * math.log(2 * math.pi) + torch.logdet(psi) + torch.trace(torch.linalg.inv(psi) @ error)
        kl = torch.trace(joint[d:, d:]) - k - torch.logdet(noise)
        total = total - float(weight) * (fits + kl) / 2
    return total
