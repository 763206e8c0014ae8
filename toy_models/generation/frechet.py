"""The Frechet distance between features of real and generated images, beside that of real images among themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bounds.errors import InputError

#: Random halves of the real images that are compared.
SPLITS = 10


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    r"""Of the Gaussians with the means and covariances of two sets of features ``(N, d)``: 2-Wasserstein, squared.

    It is ``|mean_a - mean_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)``. With ``A = R^T R`` and ``B = Q^T Q`` from QR
    factorisations of the centred features, the trace is ``min_W |R - W Q|^2`` over rotations ``W``, which the singular
    vectors of ``R Q^T`` give. A sum of squares has no rounding to be clamped, and no covariance is squared or rooted.

    From samples it is too large: by about ``c / N``, where ``c`` grows with ``d``, even between two samples of one law.
    So values are comparable at the same ``N`` only: see :func:`frechet_comparison`.

    Raises:
        InputError: features of other shapes, NaN or infinite ones, no more rows than features: a covariance of ``N``
            rows has rank ``N - 1`` at most.

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> round(frechet_distance(x, x + [3.0, 4.0]), 9)
    25.0
    """
    parts = [_checked(part) for part in (a, b)]
    if parts[0].shape[1] != parts[1].shape[1]:
        raise InputError(f"{parts[0].shape[1]} and {parts[1].shape[1]} features: compare features of one classifier")
    means = [part.mean(axis=0) for part in parts]
    r, q = (_root(part - mean) for part, mean in zip(parts, means, strict=True))
    left, _, right = np.linalg.svd(r @ q.T)
    return float(np.sum((means[0] - means[1]) ** 2) + np.sum((r - left @ right @ q) ** 2))


@dataclass(frozen=True)
class FrechetComparison:
    """Frechet distances between sets of ``n`` rows of ``dimension`` features, means over random splits.

    Attributes:
        value: generated against a half of the real images.
        reference: the other half against the same half: what images of the very law of the data would get.
        spread, reference_spread: standard deviations over the splits. All splits have the same images, so these say how
            much the choice of halves matters, and not how much new images would.
    """

    value: float
    reference: float
    spread: float
    reference_spread: float
    n: int
    dimension: int

    @property
    def excess(self) -> float:
        """The value less the reference: nearly free of the bias at this ``n``, and below zero as chance has it."""
        return self.value - self.reference

    def __str__(self) -> str:
        return (
            f"Frechet distance {self.value:.3f}, real against real {self.reference:.3f} ({self.dimension} features, "
            f"both from sets of {self.n}: not comparable with other n)"
        )


def frechet_comparison(
    real: np.ndarray, generated: np.ndarray, rng: np.random.Generator, splits: int = SPLITS
) -> FrechetComparison:
    """Features of generated images against those of real ones, and of real ones against each other, all at one ``n``.

    The features are those of a small classifier of the same data: values have nothing to do with those of Inception
    features. Training images in the place of the generated ones tell what a model that copies them would get.

    Args:
        real: ``(N, d)`` features of held-out images, split into halves.
        generated: ``(N', d)`` of generated ones; ``n`` is ``N'`` or half of ``N``, whichever is less.
        rng: of the splits.
        splits: at least 2.

    Raises:
        InputError: what :func:`frechet_distance` refuses, at the ``n`` that is left.
    """
    real, generated = _checked(real), _checked(generated)
    if splits < 2:
        raise InputError(f"splits={splits}: give at least 2, for their spread")
    n = min(len(real) // 2, len(generated))
    values, references = [], []
    for _ in range(splits):
        halves = rng.permutation(len(real))
        half, other = real[halves[:n]], real[halves[n : 2 * n]]
        values.append(frechet_distance(generated[rng.permutation(len(generated))[:n]], half))
        references.append(frechet_distance(other, half))
    return FrechetComparison(
        float(np.mean(values)),
        float(np.mean(references)),
        float(np.std(values, ddof=1)),
        float(np.std(references, ddof=1)),
        n,
        real.shape[1],
    )


def _root(centred: np.ndarray) -> np.ndarray:
    """``R`` with ``R^T R`` the covariance, ``(d, d)``."""
    _, root = np.linalg.qr(centred / np.sqrt(len(centred) - 1))
    return root


def _checked(features: np.ndarray) -> np.ndarray:
    found = np.asarray(features, dtype=np.float64)
    if found.ndim != 2:
        raise InputError(f"features have shape {found.shape}: give (N, d)")
    if not np.isfinite(found).all():
        raise InputError("features have NaN or infinite values: look at the images that they are of")
    if len(found) <= found.shape[1]:
        raise InputError(
            f"{len(found)} rows of {found.shape[1]} features: their covariance has rank {len(found) - 1} at most; give "
            f"more than {found.shape[1]} rows of each set (a comparison halves the real ones)"
        )
    return found
