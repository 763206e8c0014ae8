"""Laws of several modalities whose subset entropies are known exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from bounds.entropies import EntropyVector, Kind
from bounds.errors import InputError
from bounds.lattice import (
    correlation,
    gaussian_entropies,
    half_logdet,
    half_logdets,
    marginal_entropy,
    pmf_entropies,
    residuals,
)
from bounds.layout import Layout, UnitSizes
from bounds.progress import Track, no_progress
from bounds.subsets import SubsetLike, parse_subset, union

#: How far a pmf may be from summing to one; float32 tables are within this. It is then normalised.
PMF_TOLERANCE = 1e-6
#: Modalities for which all subsets are listed.
MAX_MODALITIES = 21
#: Cells of all marginals of a table together; a core does about 1e8 a second, so this is minutes.
MAX_MARGINAL_CELLS = 2 * 10**10
#: How far a covariance may be from symmetric, and its smallest eigenvalue below zero, relative to the scale.
COV_TOLERANCE = 1e-8


@runtime_checkable
class Law(Protocol):
    """What every law offers."""

    @property
    def layout(self) -> Layout:
        """How variables group into units and modalities."""
        ...

    @property
    def kind(self) -> Kind:
        """``discrete`` or ``differential``."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities."""
        ...

    def entropy_vector(self, track: Track = no_progress) -> EntropyVector:
        """Exact entropies of all subsets of the modalities."""
        ...

    def unit_entropies(self, track: Track = no_progress) -> EntropyVector:
        """Exact entropies of every subset ``A`` of the modalities, alone and with one more unit."""
        ...

    def marginal(self, modalities: SubsetLike) -> Law:
        """The law of a nonempty subset of the modalities."""
        ...

    def sample(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``size`` draws: for each modality an array ``(size, variables)``."""
        ...


@dataclass(frozen=True, init=False, eq=False)
class Discrete:
    """A probability table.

    Args:
        pmf: ``(k_1, ..., k_V)``, nonnegative, summing to one; one axis per variable. By default a variable is
            a modality, so ``pmf[i1, ..., iM]`` has axis ``m`` for modality ``m``.
        names: of the modalities.
        sizes: axes in each modality, where a modality has several.
        units: axes in each decoder unit, refining ``sizes``, or ``"scalar"``; default one unit per modality.

    Raises:
        InputError: NaN, inf or negative cells, a wrong sum, sizes that do not add up.

    >>> copy = Discrete([[0.5, 0.0], [0.0, 0.5]], names=["image", "text"])
    >>> round(copy.entropy_vector()["image", "text"], 6)
    0.693147
    """

    pmf: np.ndarray
    layout: Layout

    kind: Kind = field(default="discrete", init=False)

    def __init__(
        self,
        pmf: np.ndarray | Sequence,
        names: Sequence[str] | None = None,
        sizes: Sequence[int] | None = None,
        units: UnitSizes | None = None,
    ) -> None:
        table = real_array("the pmf", pmf)
        if table.ndim == 0 or table.size == 0:
            raise InputError(f"a pmf needs at least one axis and one cell, not shape {table.shape}")
        if not np.isfinite(table).all():
            raise InputError("the pmf has NaN or infinite cells: give probabilities")
        if (table < 0).any():
            where = tuple(int(i) for i in np.unravel_index(int(table.argmin()), table.shape))
            raise InputError(f"the pmf is negative at {where}: {table.min():.6g}")
        total = math.fsum(table.sum(axis=tuple(range(1, table.ndim))))
        if abs(total - 1) > PMF_TOLERANCE:
            raise InputError(f"the pmf sums to {total:.9g}, not to 1: divide it by its sum")
        table /= total
        table.setflags(write=False)
        object.__setattr__(self, "pmf", table)
        object.__setattr__(self, "layout", Layout.of(table.ndim, sizes, units, names))

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities."""
        return self.layout.names

    @property
    def modality_pmf(self) -> np.ndarray:
        """The table with one axis per modality."""
        return self.pmf.reshape(self._alphabets(self.layout.sizes))

    @property
    def unit_alphabets(self) -> tuple[int, ...]:
        """The number of values of each decoder unit."""
        return self._alphabets(self.layout.unit_sizes)

    def _alphabets(self, sizes: Sequence[int]) -> tuple[int, ...]:
        ends = np.cumsum([0, *sizes])
        return tuple(math.prod(self.pmf.shape[a:b]) for a, b in pairwise(ends))

    def entropy_vector(self, track: Track = no_progress) -> EntropyVector:
        """Exact entropies of all subsets of the modalities, in nats.

        Raises:
            InputError: more than :data:`MAX_MODALITIES`, or marginals that together have more than
                :data:`MAX_MARGINAL_CELLS` cells.
        """
        cells = math.prod(k + 1 for k in self.modality_pmf.shape)
        if cells > MAX_MARGINAL_CELLS:
            raise InputError(
                f"all marginals of these {len(self.names)} modalities together have {cells:.2g} cells, which would "
                "take hours: take the marginal of fewer modalities"
            )
        check_countable(self.names)
        return EntropyVector(self.names, pmf_entropies(self.modality_pmf, track))

    def unit_entropies(self, track: Track = no_progress) -> EntropyVector:
        """Exact entropies of each ``X_A`` alone and with one more decoder unit."""
        check_countable(self.names)
        masks = self.layout.unit_masks
        values = {
            units: marginal_entropy(self.pmf, self.layout.variables_of_units(units))
            for units in track(masks, "entropies", len(masks))
        }
        return EntropyVector.over_units(self.layout, values, self.kind)

    def marginal(self, modalities: SubsetLike) -> Discrete:
        """The law of a nonempty subset of the modalities."""
        mask = some_modalities(modalities, self.names)
        kept = self.layout.variables_of_modalities(mask)
        layout = self.layout.marginal(mask)
        table = self.pmf.sum(axis=tuple(a for a in range(self.pmf.ndim) if a not in kept))
        return Discrete(table, layout.names, layout.sizes, layout.unit_sizes)

    def sample(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``size`` draws: for each modality an integer array ``(size, variables)``."""
        cells = rng.choice(self.pmf.size, size=size, p=self.pmf.reshape(-1))
        return _split(np.stack(np.unravel_index(cells, self.pmf.shape), axis=1), self.layout)


@dataclass(frozen=True, init=False, eq=False)
class Gaussian:
    """A centred Gaussian.

    Args:
        cov: ``(d, d)``, symmetric positive semidefinite. Where it is singular, entropies are ``-inf``.
        sizes: dimensions of each modality; default one each.
        names: of the modalities.
        units: dimensions of each decoder unit, refining ``sizes``, or ``"scalar"``; default one unit per modality.

    Raises:
        InputError: NaN or inf, not square, asymmetric, indefinite, sizes that do not add up.

    >>> h = Gaussian([[1.0, 0.5], [0.5, 1.0]]).entropy_vector()
    >>> round(h["X1"] + h["X2"] - h["X1", "X2"], 6)  # -ln(1 - rho^2) / 2
    0.143841
    """

    cov: np.ndarray
    layout: Layout

    kind: Kind = field(default="differential", init=False)

    def __init__(
        self,
        cov: np.ndarray | Sequence,
        sizes: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
        units: UnitSizes | None = None,
    ) -> None:
        matrix = real_array("the covariance", cov)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
            raise InputError(f"a covariance is a square matrix, not of shape {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise InputError("the covariance has NaN or infinite entries")
        variances = np.diagonal(matrix)
        if (variances < 0).any():
            raise InputError(f"the variance of variable {int(variances.argmin())} is negative: {variances.min():.6g}")
        standard = correlation(matrix)
        gap = float(np.abs(standard - standard.T).max())
        if gap > COV_TOLERANCE:
            raise InputError(f"the covariance is not symmetric (by {gap:.3g} in correlation): use (C + C.T) / 2")
        smallest = float(np.linalg.eigvalsh((standard + standard.T) / 2)[0])
        if smallest < -COV_TOLERANCE * len(matrix):
            raise InputError(
                f"the covariance is indefinite: its correlation matrix has the eigenvalue {smallest:.3g}; "
                "estimate it from complete rows or project it to the nearest positive semidefinite matrix"
            )
        matrix = (matrix + matrix.T) / 2
        matrix.setflags(write=False)
        object.__setattr__(self, "cov", matrix)
        object.__setattr__(self, "layout", Layout.of(len(matrix), sizes, units, names))

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities."""
        return self.layout.names

    def entropy_vector(self, track: Track = no_progress) -> EntropyVector:
        """Exact differential entropies of all subsets of the modalities, in nats."""
        check_countable(self.names)
        return EntropyVector(self.names, gaussian_entropies(self.cov, self.layout.sizes, track), "differential")

    def unit_entropies(self, track: Track = no_progress) -> EntropyVector:
        """Exact entropies of each ``X_A`` alone and with one more decoder unit."""
        check_countable(self.names)
        corr, layout = correlation(self.cov), self.layout
        with np.errstate(divide="ignore"):
            own = 0.5 * np.log(2 * math.pi * math.e * np.diagonal(self.cov))
        blocks = [layout.variables_of_units(1 << unit) for unit in range(len(layout.unit_names))]
        values: dict[int, float] = {}
        for subset in track(range(1 << len(self.names)), "entropies", 1 << len(self.names)):
            given = layout.variables_of_modalities(subset)
            known = union(layout.modality_units, subset)
            base = float(own[given].sum()) + half_logdet(corr[np.ix_(given, given)]) if given else 0.0
            values[known] = base
            unseen = [unit for unit in range(len(blocks)) if not known >> unit & 1]
            if base == -math.inf:
                values.update((known | 1 << unit, base) for unit in unseen)
                continue
            rest = [v for unit in unseen for v in blocks[unit]]
            conditional, spread = residuals(corr, given, rest)
            place = {v: i for i, v in enumerate(rest)}
            for unit in unseen:
                inside = [place[v] for v in blocks[unit]]
                block = conditional[np.ix_(inside, inside)]
                gain = half_logdets(block, [len(inside)], spread=spread[inside])[1]
                values[known | 1 << unit] = base + float(gain) + float(own[blocks[unit]].sum())
        return EntropyVector.over_units(self.layout, values, "differential")

    def marginal(self, modalities: SubsetLike) -> Gaussian:
        """The law of a nonempty subset of the modalities."""
        mask = some_modalities(modalities, self.names)
        kept = self.layout.variables_of_modalities(mask)
        layout = self.layout.marginal(mask)
        return Gaussian(self.cov[np.ix_(kept, kept)], layout.sizes, layout.names, layout.unit_sizes)

    def sample(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``size`` draws: for each modality a float array ``(size, variables)``."""
        draws = rng.multivariate_normal(
            np.zeros(len(self.cov)), self.cov, size=size, method="eigh", check_valid="ignore"
        )
        return _split(draws, self.layout)


def real_array(what: str, values: np.ndarray | Sequence) -> np.ndarray:
    """A float64 copy.

    Raises:
        InputError: ragged, or not real numbers; ``what`` names it.
    """
    try:
        given = np.array(values)
        if given.dtype.kind in "fiub":
            return given.astype(np.float64)
    except ValueError:
        raise InputError(f"{what} is ragged: give a rectangular table of numbers") from None
    raise InputError(f"{what} holds {given.dtype}: give real numbers")


def check_countable(names: Sequence[str]) -> None:
    """Refuses to list all subsets of too many modalities.

    Raises:
        InputError: more than :data:`MAX_MODALITIES`.
    """
    if len(names) > MAX_MODALITIES:
        raise InputError(
            f"{len(names)} modalities have 2^{len(names)} subsets, and those of {MAX_MODALITIES} can be listed: join "
            "variables into fewer modalities, or leave some out"
        )


def some_modalities(modalities: SubsetLike, names: Sequence[str]) -> int:
    """The bitmask of a nonempty subset of the modalities."""
    mask = parse_subset(modalities, names)
    if not mask:
        raise InputError("a marginal needs at least one modality")
    return mask


def _split(draws: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    ends = np.cumsum(layout.sizes)[:-1]
    return dict(zip(layout.names, np.split(draws, ends, axis=1), strict=True))
