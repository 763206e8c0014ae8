"""Datasets drawn from laws whose entropies are known, with dials for what is shared and what is private."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bounds.errors import InputError
from bounds.joints import Gaussian
from toy_models.datasets.dataset import Dataset, Modality, of_rows
from toy_models.datasets.noisy_label import TABLE_CELLS, NoisyLabel


def common_cause(
    n_modalities: int,
    shared_symbols: int = 2,
    private_symbols: int = 2,
    *,
    units: int = 1,
    copies: int = 1,
    noise: float = 0.0,
    n_train: int = 10_000,
    n_held_out: int = 2_000,
    rng: np.random.Generator,
) -> Dataset:
    """Draws of a :class:`NoisyLabel` law: each modality shows the label, perhaps through noise, and private units.

    The dials in nats, of the law ``NoisyLabel(...)`` of the same arguments: shared information, private information
    and pixel-level total correlation; ``noise_for`` gives the noise at which two modalities share so many nats. The
    dataset's law is a :class:`bounds.Discrete` with one unit per coordinate where its table has at most ``TABLE_CELLS``
    cells, else ``None``; the entropies of ``NoisyLabel`` need no table. The labels are the common cause, before noise.

    Args:
        n_modalities, shared_symbols, private_symbols, units, copies, noise: as in :class:`NoisyLabel`.
        n_train, n_held_out: rows, drawn independently; neither part depends on the size of the other.
        rng: what is drawn from.

    Raises:
        InputError: a number out of its range.

    >>> data = common_cause(3, units=2, copies=2, n_train=100, n_held_out=10, rng=np.random.default_rng(0))
    >>> data
    Dataset(common-cause: 3 modalities of 3 of 2; 100 train + 10 held out)
    >>> data.law.pmf.shape
    (2, 2, 2, 2, 2, 2, 2, 2, 2)
    """
    law = NoisyLabel(n_modalities, shared_symbols, private_symbols, units, copies, noise)
    train_rng, held_out_rng = _two(rng, n_train, n_held_out)
    train, train_labels = law.sample(n_train, train_rng)
    held_out, held_out_labels = law.sample(n_held_out, held_out_rng)
    modalities = [Modality(name, (1 + units,), law.symbols) for name in law.layout.names]
    table = law.to_discrete() if math.prod(law.table_shape) <= TABLE_CELLS else None
    labels = (train_labels, held_out_labels)
    return of_rows("common-cause", modalities, train, held_out, labels, table, shared_symbols)


def gaussian(
    cov: np.ndarray | Sequence,
    sizes: Sequence[int] | None = None,
    *,
    names: Sequence[str] | None = None,
    name: str = "gaussian",
    n_train: int = 10_000,
    n_held_out: int = 2_000,
    rng: np.random.Generator,
) -> Dataset:
    """Draws of a centred Gaussian; every coordinate is a decoder unit.

    Args:
        cov: ``(d, d)`` covariance.
        sizes: coordinates of each modality, default one each.
        names: of the modalities.
        name: of the dataset.
        n_train, n_held_out: rows, drawn independently; neither part depends on the size of the other.
        rng: what is drawn from.

    Raises:
        InputError: what :class:`bounds.Gaussian` refuses, or a part without rows.
    """
    law = Gaussian(cov, sizes, names, "scalar")
    train_rng, held_out_rng = _two(rng, n_train, n_held_out)
    modalities = [Modality(m, (size,)) for m, size in zip(law.names, law.layout.sizes, strict=True)]
    return of_rows(name, modalities, law.sample(n_train, train_rng), law.sample(n_held_out, held_out_rng), law=law)


def equicorrelated(
    n_modalities: int, rho: float, *, n_train: int = 10_000, n_held_out: int = 2_000, rng: np.random.Generator
) -> Dataset:
    """Scalar modalities of unit variance, each pair with correlation ``rho`` (closed forms in THEORY T8).

    Raises:
        InputError: a correlation that so many variables cannot have: it is above ``-1 / (M - 1)`` and below 1.
    """
    if n_modalities < 1:
        raise InputError(f"n_modalities={n_modalities}: give at least 1")
    least = -1 / (n_modalities - 1) if n_modalities > 1 else -math.inf
    if not least < rho < 1:
        raise InputError(f"{n_modalities} variables cannot all have correlation {rho}: give {least:.6g} < rho < 1")
    cov = np.full((n_modalities, n_modalities), float(rho))
    np.fill_diagonal(cov, 1.0)
    return gaussian(cov, name="equicorrelated", n_train=n_train, n_held_out=n_held_out, rng=rng)


def shared_private_gaussian(
    n_modalities: int,
    shared_variance: float = 1.0,
    private_variance: float = 1.0,
    *,
    size: int = 4,
    shared_dims: int = 1,
    private_dims: int = 1,
    noise_variance: float = 0.1,
    n_train: int = 10_000,
    n_held_out: int = 2_000,
    rng: np.random.Generator,
) -> Dataset:
    """``X_m = A_m s + B_m p_m + e_m``: shared factors, private factors and white noise, all Gaussian.

    The columns of ``(A_m, B_m)`` are random and orthonormal, so the variances are those of the signal along each
    factor: without the other modalities, ``X_m`` knows a shared factor to ``ln(1 + shared/noise) / 2`` nats. Several
    coordinates show the same factor, so the total correlation of units is nonzero inside a modality.

    Args:
        n_modalities: how many modalities.
        shared_variance, private_variance: of each factor; 0 switches it off.
        size: coordinates of each modality, at least ``shared_dims + private_dims``.
        shared_dims, private_dims: how many factors of each kind.
        noise_variance: positive, or the law would be singular and its entropies infinite.
        n_train, n_held_out: rows, drawn independently; neither part depends on the size of the other.
        rng: what is drawn from; loadings first.

    Raises:
        InputError: a number out of its range.
    """
    if n_modalities < 1:
        raise InputError(f"n_modalities={n_modalities}: give at least 1")
    if min(shared_dims, private_dims) < 0 or size < max(shared_dims + private_dims, 1):
        raise InputError(
            f"{shared_dims} shared and {private_dims} private factors in {size} coordinates: give size >= shared_dims "
            "+ private_dims >= 0, and size at least 1"
        )
    if not (min(shared_variance, private_variance) >= 0 and noise_variance > 0):
        raise InputError(
            f"variances {shared_variance} shared, {private_variance} private and {noise_variance} noise: the first two "
            "are at least 0 and the noise is positive"
        )
    total = n_modalities * size
    shared = np.zeros((total, shared_dims))
    cov = noise_variance * np.eye(total)
    for m in range(n_modalities):
        rows = slice(m * size, (m + 1) * size)
        loadings, _ = np.linalg.qr(rng.standard_normal((size, shared_dims + private_dims)))
        shared[rows], own = loadings[:, :shared_dims], loadings[:, shared_dims:]
        cov[rows, rows] += private_variance * (own @ own.T)
    cov += shared_variance * (shared @ shared.T)
    return gaussian(cov, [size] * n_modalities, name="shared-private", n_train=n_train, n_held_out=n_held_out, rng=rng)


def _two(rng: np.random.Generator, n_train: int, n_held_out: int) -> list[np.random.Generator]:
    """Generators of their own for the two parts."""
    for part, rows in (("n_train", n_train), ("n_held_out", n_held_out)):
        if rows < 1:
            raise InputError(f"{part}={rows}: give at least one row")
    return rng.spawn(2)
