"""How variables (pmf axes, coordinates, columns) group into decoder units, and units into modalities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal

from bounds.errors import InputError
from bounds.subsets import check_names, members, union

#: Sizes of the units in variables, or "scalar" for one unit per variable.
UnitSizes = Sequence[int] | Literal["scalar"]


@dataclass(frozen=True)
class Layout:
    """Consecutive blocks: variables into units, units into modalities.

    A *unit* is a block over which a decoder factorises given the latent; a modality has one or more.

    Args:
        names: of the modalities.
        sizes: variables in each modality.
        unit_sizes: variables in each unit, refining ``sizes``.
        unit_names: one for each unit.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    unit_sizes: tuple[int, ...]
    unit_names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        n_variables: int,
        sizes: Sequence[int] | None = None,
        units: UnitSizes | None = None,
        names: Sequence[str] | None = None,
    ) -> Layout:
        """A validated layout; by default one variable per modality and one unit per modality.

        >>> Layout.of(4, sizes=[3, 1], units=[1, 2, 1]).unit_names
        ('X1[0]', 'X1[1]', 'X2')

        Raises:
            InputError: sizes that do not add up, or units that straddle modalities.
        """
        per_modality = _positive("sizes", [1] * n_variables if sizes is None else sizes, n_variables)
        if units is None:
            per_unit = per_modality
        elif isinstance(units, str):
            if units != "scalar":
                raise InputError(f"units={units!r}: give a list of sizes, or 'scalar' for one unit per variable")
            per_unit = (1,) * n_variables
        else:
            per_unit = _positive("units", units, n_variables)
        checked = check_names(names, len(per_modality))
        unit_ends = set(accumulate(per_unit))
        unit_names: list[str] = []
        position = 0
        for name, end in zip(checked, accumulate(per_modality), strict=True):
            if end not in unit_ends:
                raise InputError(
                    f"units {list(per_unit)} straddle the end of modality {name!r}: units refine modalities"
                )
            inside = [e for e in unit_ends if position < e <= end]
            unit_names += [name] if len(inside) == 1 else [f"{name}[{i}]" for i in range(len(inside))]
            position = end
        return cls(checked, per_modality, per_unit, tuple(unit_names))

    @property
    def n_variables(self) -> int:
        """Variables of all modalities together."""
        return sum(self.sizes)

    @cached_property
    def modality_units(self) -> tuple[int, ...]:
        """For each modality the bitmask of its units."""
        return _block_masks(self.sizes, self.unit_sizes)

    @cached_property
    def unit_variables(self) -> tuple[int, ...]:
        """For each unit the bitmask of its variables."""
        return _block_masks(self.unit_sizes, (1,) * self.n_variables)

    @cached_property
    def modality_variables(self) -> tuple[int, ...]:
        """For each modality the bitmask of its variables."""
        return tuple(union(self.unit_variables, units) for units in self.modality_units)

    @cached_property
    def unit_masks(self) -> tuple[int, ...]:
        """The subsets of units that a bound at unit level needs: each ``X_A``, alone and with one unit more."""
        masks = set()
        for subset in range(1 << len(self.names)):
            known = union(self.modality_units, subset)
            masks.add(known)
            masks.update(known | 1 << unit for unit in range(len(self.unit_names)))
        return tuple(sorted(masks))

    def variables_of_units(self, units: int) -> list[int]:
        """The variable indices of a bitmask of units."""
        return list(members(union(self.unit_variables, units)))

    def variables_of_modalities(self, modalities: int) -> list[int]:
        """The variable indices of a bitmask of modalities."""
        return list(members(union(self.modality_variables, modalities)))

    def marginal(self, modalities: int) -> Layout:
        """The layout of a subset of the modalities, in their order."""
        kept = members(modalities)
        units = members(union(self.modality_units, modalities))
        return Layout(
            tuple(self.names[m] for m in kept),
            tuple(self.sizes[m] for m in kept),
            tuple(self.unit_sizes[u] for u in units),
            tuple(self.unit_names[u] for u in units),
        )


def _positive(what: str, sizes: Sequence[int], total: int) -> tuple[int, ...]:
    if not isinstance(sizes, Iterable):
        raise InputError(f"{what}={sizes}: give a list of sizes")
    sizes = list(sizes)
    checked = tuple(int(size) for size in sizes)
    if not checked or any(size < 1 for size in checked) or any(s != c for s, c in zip(sizes, checked, strict=True)):
        raise InputError(f"{what}={list(sizes)}: give positive whole numbers")
    if sum(checked) != total:
        raise InputError(f"{what}={list(checked)} add up to {sum(checked)}, but there are {total} variables")
    return checked


def _block_masks(outer: Sequence[int], inner: Sequence[int]) -> tuple[int, ...]:
    """For each outer block the bitmask of the inner blocks it contains."""
    ends = list(accumulate(inner))
    masks, start = [], 0
    for end in accumulate(outer):
        stop = ends.index(end) + 1
        masks.append((1 << stop) - (1 << start))
        start = stop
    return tuple(masks)
