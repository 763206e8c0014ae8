"""Laws in which every modality shows the same label and a private part of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bounds.entropies import EntropyVector, Kind
from bounds.errors import InputError
from bounds.joints import Discrete, Gaussian, check_countable, real_array, some_modalities
from bounds.lattice import marginal_entropy
from bounds.layout import Layout
from bounds.memory import check_fits
from bounds.progress import Track, no_progress
from bounds.subsets import SubsetLike, members, union


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
                table = real_array(f"private part {m}", part)
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

    def entropy_vector(self, track: Track = no_progress) -> EntropyVector:
        """Exact entropies of all subsets of the modalities, in nats: ``H(Y) + sum_A H(U_m|Y)`` (THEORY T8)."""
        check_countable(self.names)
        values = np.zeros(1)
        for m, size in track(enumerate(self.layout.sizes), "entropies", len(self.names)):
            given, _ = self._private(m, range(size - 1))
            values = np.concatenate([values, values + given])
        values[1:] += marginal_entropy(self.label, [0])
        return EntropyVector(self.names, values, self.kind)

    def unit_entropies(self, track: Track = no_progress) -> EntropyVector:
        """Exact entropies of each ``X_A`` alone and with one more decoder unit."""
        layout, whole = self.layout, self.entropy_vector().values
        units = self._units()
        values: dict[int, float] = {}
        for subset in track(range(len(whole)), "entropies", len(whole)):
            known, base = union(layout.modality_units, subset), float(whole[subset])
            values[known] = base
            for unit, (given, alone) in enumerate(units):
                if not known >> unit & 1:
                    values[known | 1 << unit] = base + (given if subset else alone)
        return EntropyVector.over_units(layout, values, self.kind)

    def _units(self) -> list[tuple[float, float]]:
        """For each unit its entropy given the label, and alone."""
        found = []
        for m, units in enumerate(self.layout.modality_units):
            first, *rest = (self.layout.variables_of_units(1 << unit) for unit in members(units))
            found.append((0.0, marginal_entropy(self.label, [0])))
            found += [self._private(m, [v - first[0] - 1 for v in variables]) for variables in rest]
        return found

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

    def marginal(self, modalities: SubsetLike) -> CommonCause:
        """The law of a nonempty subset of the modalities."""
        kept = members(some_modalities(modalities, self.names))
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
