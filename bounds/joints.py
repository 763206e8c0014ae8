"""Laws of several modalities whose subset entropies are known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
from bounds.memory import check_fits
from bounds.subsets import SubsetLike, members, parse_subset, union

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

    def entropy_vector(self) -> EntropyVector:
        """Exact entropies of all subsets of the modalities."""
        ...

    def unit_entropies(self) -> EntropyVector:
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
        table = _floats("the pmf", pmf)
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

    def entropy_vector(self) -> EntropyVector:
        """Exact entropies of all subsets of the modalities, in nats.

        Raises:
            InputError: so many modalities that all marginals together have more than :data:`MAX_MARGINAL_CELLS` cells.
        """
        cells = math.prod(k + 1 for k in self.modality_pmf.shape)
        if cells > MAX_MARGINAL_CELLS or len(self.names) > MAX_MODALITIES:
            raise InputError(
                f"all marginals of these {len(self.names)} modalities together have {cells:.2g} cells, which would "
                "take hours: take the marginal of fewer modalities"
            )
        return EntropyVector(self.names, pmf_entropies(self.modality_pmf))

    def unit_entropies(self) -> EntropyVector:
        """Exact entropies of each ``X_A`` alone and with one more decoder unit."""
        return _unit_vector(self, lambda units: marginal_entropy(self.pmf, self.layout.variables_of_units(units)))

    def marginal(self, modalities: SubsetLike) -> Discrete:
        """The law of a nonempty subset of the modalities."""
        mask = _nonempty(modalities, self.names)
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
        matrix = _floats("the covariance", cov)
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

    def entropy_vector(self) -> EntropyVector:
        """Exact differential entropies of all subsets of the modalities, in nats."""
        return EntropyVector(self.names, gaussian_entropies(self.cov, self.layout.sizes), "differential")

    def unit_entropies(self) -> EntropyVector:
        """Exact entropies of each ``X_A`` alone and with one more decoder unit."""
        corr, layout = correlation(self.cov), self.layout
        with np.errstate(divide="ignore"):
            own = 0.5 * np.log(2 * math.pi * math.e * np.diagonal(self.cov))
        blocks = [layout.variables_of_units(1 << unit) for unit in range(len(layout.unit_names))]
        values: dict[int, float] = {}
        for subset in range(1 << len(self.names)):
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
        mask = _nonempty(modalities, self.names)
        kept = self.layout.variables_of_modalities(mask)
        layout = self.layout.marginal(mask)
        return Gaussian(self.cov[np.ix_(kept, kept)], layout.sizes, layout.names, layout.unit_sizes)

    def sample(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``size`` draws: for each modality a float array ``(size, variables)``."""
        draws = rng.multivariate_normal(
            np.zeros(len(self.cov)), self.cov, size=size, method="eigh", check_valid="ignore"
        )
        return _split(draws, self.layout)


@dataclass(frozen=True, init=False, eq=False)
class CommonCause:
    """``X_m = (Y, U_m)``: every modality shows the label ``Y`` and a private part, independent given ``Y``.

    The label is a decoder unit of its own in each modality. THEORY T8 has the closed forms.

    Args:
        label: ``(k,)``, the law of ``Y``.
        parts: for each modality its private part: a table ``(k, j_1, ..., j_r)`` whose slice ``y`` is the law of
            ``U_m`` given ``Y = y`` with one unit per axis, or ``None`` for no private part, or a
            :class:`Gaussian`, independent of ``Y``, whose layout gives the units.
        names: of the modalities.

    Raises:
        InputError: a part that does not fit the label, or is not a law.

    >>> bit = [0.5, 0.5]
    >>> law = CommonCause(bit, [np.full((2, 2), 0.5), np.full((2, 2), 0.5)])  # X_m = (Y, U_m), fair bits
    >>> round(law.entropy_vector()["X1", "X2"] / math.log(2), 6)
    3.0
    """

    label: np.ndarray
    parts: tuple[np.ndarray | Gaussian | None, ...]
    layout: Layout

    def __init__(
        self,
        label: np.ndarray | Sequence[float],
        parts: Sequence[np.ndarray | Gaussian | None],
        names: Sequence[str] | None = None,
    ) -> None:
        law = Discrete(label)
        if law.pmf.ndim != 1:
            raise InputError(f"the label's law is one vector, not of shape {law.pmf.shape}")
        if not parts:
            raise InputError("a common-cause law needs at least one modality: give its private part, or None")
        checked: list[np.ndarray | Gaussian | None] = []
        sizes: list[int] = []
        units: list[int] = []
        for m, part in enumerate(parts):
            units.append(1)
            if part is None:
                checked.append(None)
                sizes.append(1)
            elif isinstance(part, Gaussian):
                checked.append(part)
                sizes.append(1 + part.layout.n_variables)
                units += part.layout.unit_sizes
            else:
                table = _floats(f"private part {m}", part)
                if table.ndim < 2 or len(table) != len(law.pmf):
                    raise InputError(
                        f"private part {m} has shape {table.shape}: its first axis is the label "
                        f"({len(law.pmf)} values), then comes one axis per unit"
                    )
                for y, conditional in enumerate(table):
                    try:
                        table[y] = Discrete(conditional).pmf
                    except InputError as error:
                        raise InputError(f"private part {m} given label {y}: {error}") from None
                table.setflags(write=False)
                checked.append(table)
                sizes.append(table.ndim)
                units += [1] * (table.ndim - 1)
        object.__setattr__(self, "label", law.pmf)
        object.__setattr__(self, "parts", tuple(checked))
        object.__setattr__(self, "layout", Layout.of(sum(sizes), sizes, units, names))

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities."""
        return self.layout.names

    @property
    def kind(self) -> Kind:
        """``differential`` where some private part is Gaussian."""
        return "differential" if any(isinstance(part, Gaussian) for part in self.parts) else "discrete"

    def _private(self, m: int, axes: Sequence[int]) -> tuple[float, float]:
        """``H(U|Y)`` and ``H(U)`` of some variables (axes) of private part ``m``."""
        part = self.parts[m]
        if not axes or part is None:
            return 0.0, 0.0
        if isinstance(part, Gaussian):
            block = Gaussian(part.cov[np.ix_(axes, axes)], [len(axes)]).entropy_vector().values[1]
            return float(block), float(block)
        given = math.fsum(p * marginal_entropy(table, axes) for p, table in zip(self.label, part, strict=True))
        return given, marginal_entropy(np.tensordot(self.label, part, axes=1), axes)

    def _entropy(self, units: int) -> float:
        """``H`` of a bitmask of units: given the label where some unit shows it, a mixture over it otherwise."""
        shows_label, given, mixed, touched = False, 0.0, 0.0, 0
        for m, own in enumerate(self.layout.modality_units):
            first = (own & -own).bit_length() - 1
            shows_label |= bool(units >> first & 1)
            variables = self.layout.variables_of_units(units & own & ~(1 << first))
            start = self.layout.variables_of_units(1 << first)[0] + 1
            private, alone = self._private(m, [v - start for v in variables])
            given, mixed, touched = given + private, mixed + alone, touched + bool(variables)
        if shows_label:
            return marginal_entropy(self.label, [0]) + given
        if touched > 1:
            raise InputError(
                "private units of several modalities without the label have no closed form: use to_discrete()"
            )
        return mixed

    def entropy_vector(self) -> EntropyVector:
        """Exact entropies of all subsets of the modalities, in nats (THEORY T8)."""
        top = range(1 << len(self.names))
        values = [self._entropy(sum(self.layout.modality_units[m] for m in members(subset))) for subset in top]
        return EntropyVector(self.names, np.array(values), self.kind)

    def unit_entropies(self) -> EntropyVector:
        """Exact entropies of each ``X_A`` alone and with one more decoder unit."""
        return _unit_vector(self, self._entropy)

    def marginal(self, modalities: SubsetLike) -> CommonCause:
        """The law of a nonempty subset of the modalities."""
        kept = members(_nonempty(modalities, self.names))
        return CommonCause(self.label, [self.parts[m] for m in kept], [self.names[m] for m in kept])

    def to_discrete(self) -> Discrete:
        """The same law as a table with one axis per unit, label copies included.

        Raises:
            InputError: a Gaussian part, or a table too large for memory (said before it is allocated).
        """
        shape: list[int] = []
        tables: list[np.ndarray] = []
        for part in self.parts:
            if isinstance(part, Gaussian):
                raise InputError("a common-cause law with a Gaussian part has no probability table")
            tables.append(np.ones(len(self.label)) if part is None else part)
            shape += [len(self.label), *tables[-1].shape[1:]]
        check_fits("the table of this common-cause law", shape, "use its entropies directly, they need no table")
        pmf = np.zeros(shape)
        for y, p in enumerate(self.label):
            cell: np.ndarray = np.array(p)
            index: list[int | slice] = []
            for table in tables:
                cell = np.multiply.outer(cell, table[y])
                index += [y, *[slice(None)] * (table.ndim - 1)]
            pmf[tuple(index)] += cell
        return Discrete(pmf, self.names, self.layout.sizes, "scalar")

    def sample(self, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """``size`` draws: for each modality ``(size, variables)``, the label first."""
        labels = rng.choice(len(self.label), size=size, p=self.label)
        draws = {}
        for name, part in zip(self.names, self.parts, strict=True):
            if part is None:
                draws[name] = labels[:, None]
            elif isinstance(part, Gaussian):
                draws[name] = np.column_stack([labels, *part.sample(size, rng).values()])
            else:
                private = np.empty((size, part.ndim - 1), dtype=np.int64)
                for y in np.unique(labels):
                    rows = np.flatnonzero(labels == y)
                    private[rows] = np.column_stack(list(Discrete(part[y]).sample(len(rows), rng).values()))
                draws[name] = np.column_stack([labels, private])
        return draws


def _unit_vector(law: Discrete | CommonCause, entropy: Callable[[int], float]) -> EntropyVector:
    return EntropyVector.over_units(law.layout, {mask: entropy(mask) for mask in law.layout.unit_masks}, law.kind)


def _floats(what: str, values: np.ndarray | Sequence) -> np.ndarray:
    """A float64 copy."""
    try:
        given = np.array(values)
        if given.dtype.kind in "fiub":
            return given.astype(np.float64)
    except ValueError:
        raise InputError(f"{what} is ragged: give a rectangular table of numbers") from None
    raise InputError(f"{what} holds {given.dtype}: give real numbers")


def _nonempty(modalities: SubsetLike, names: Sequence[str]) -> int:
    mask = parse_subset(modalities, names)
    if not mask:
        raise InputError("a marginal needs at least one modality")
    return mask


def _split(draws: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    ends = np.cumsum(layout.sizes)[:-1]
    return dict(zip(layout.names, np.split(draws, ends, axis=1), strict=True))
