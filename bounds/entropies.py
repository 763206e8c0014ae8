"""Entropies of subsets, how they were got, and the value of a functional of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from bounds.errors import InputError
from bounds.functional import Functional
from bounds.layout import Layout
from bounds.quantity import Guarantee, Quantity, check_confidence
from bounds.subsets import SubsetLike, check_names, format_subset, mask_of, members, parse_subset, union

#: ``discrete``: counting measure. ``differential``: some coordinate has a density, so values may be negative
#: and change with the units of measurement.
Kind = Literal["discrete", "differential"]

#: A discrete entropy below minus this is not the rounding of a zero.
ROUNDING = 1e-9

#: How a functional without terms is known where the entropies are estimates: not by them.
_ZERO = "exact: zero for every law, whatever the data"
_WHATEVER = "exact: the same for every law, whatever the data"


class Interval(Protocol):
    """Where a whole functional lies, given the estimates of one data set."""

    @property
    def guarantee(self) -> Guarantee:
        """What the interval promises."""
        ...

    @property
    def method(self) -> str:
        """How it is got, and under which assumptions."""
        ...

    def __call__(self, functional: Functional, confidence: float) -> tuple[float | None, float | None]:
        """Lower and upper end, ``None`` where that side cannot be had."""
        ...


@runtime_checkable
class IntervalChoice(Protocol):
    """An interval that is a different one for different functionals."""

    def choose(self, functional: Functional) -> Interval:
        """The interval that the data justify for a functional."""
        ...


@dataclass(frozen=True, eq=False)
class EntropyVector:
    """Joint entropies of subsets of named variables, in nats.

    Args:
        names: the variables: modalities, or decoder units where these are finer.
        values: ``(2**n,)`` with the bitmask as index, or aligned with ``masks``.
        kind: ``discrete`` or ``differential``.
        masks: the subsets that are present; ``None`` means all of them.
        modality_names, modality_units: for units finer than modalities, the modalities and the bitmask of
            units of each; by default every variable is a modality.
        method: how the values were got.
        interval: for estimates, the interval of a functional.
        refusals: subset to the reason why the data cannot support its entropy.
        caveats: what a reader of any number computed from this must know.

    Raises:
        InputError: wrong shape, NaN or +inf, a nonzero entropy of the empty set, or a negative discrete entropy.

    >>> h = EntropyVector(["X", "Y"], [0.0, 0.7, 0.7, 1.2])
    >>> h["X"], h["X", "Y"], h[0b11]
    (0.7, 1.2, 1.2)
    """

    names: tuple[str, ...]
    values: np.ndarray
    kind: Kind = "discrete"
    masks: tuple[int, ...] | None = None
    modality_names: tuple[str, ...] = ()
    modality_units: tuple[int, ...] = ()
    method: str = "exact"
    interval: Interval | None = None
    refusals: Mapping[int, str] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = check_names(self.names, len(self.names), "variable")
        values = np.array(self.values, dtype=np.float64)
        masks: Sequence[int] = range(1 << len(names)) if self.masks is None else tuple(self.masks)
        if values.shape != (len(masks),):
            raise InputError(f"{values.shape} entropies for {len(masks)} subsets of {len(names)} variables")
        if self.kind not in ("discrete", "differential"):
            raise InputError(f"kind {self.kind!r}: use 'discrete' or 'differential'")
        bad = np.flatnonzero(np.isnan(values) | (values == np.inf))
        if bad.size:
            raise InputError(f"H({format_subset(masks[bad[0]], names)}) is {values[bad[0]]}: it must be a number")
        negative = np.flatnonzero(values < -ROUNDING)
        if self.kind == "discrete" and negative.size:
            shown = format_subset(masks[negative[0]], names)
            raise InputError(f"H({shown}) is {values[negative[0]]}: a discrete entropy is not negative")
        if self.masks is not None and (
            len(set(masks)) < len(masks) or not all(0 <= mask < 1 << len(names) for mask in masks)
        ):
            raise InputError(f"masks must be different bitmasks of {len(names)} variables")
        if 0 in masks and values[masks.index(0)] != 0:
            raise InputError(f"the entropy of the empty set is {values[masks.index(0)]}: it must be 0")
        values.setflags(write=False)
        modality_names = check_names(self.modality_names or names, len(self.modality_names or names))
        units = tuple(self.modality_units) or tuple(1 << i for i in range(len(names)))
        together = union(units, (1 << len(units)) - 1)
        if len(units) != len(modality_names) or together != (1 << len(names)) - 1 or sum(units) != together:
            raise InputError("modality_units must split the variables into one nonempty group for each modality name")
        for name, value in {
            "names": names,
            "values": values,
            "masks": None if self.masks is None else masks,
            "modality_names": modality_names,
            "modality_units": units,
            "refusals": MappingProxyType(dict(self.refusals)),
        }.items():
            object.__setattr__(self, name, value)

    @classmethod
    def over_units(cls, layout: Layout, values: Mapping[int, float], kind: Kind, **details: Any) -> EntropyVector:
        """The vector over the units of a layout, with just the subsets that bounds need (``layout.unit_masks``)."""
        return cls(
            layout.unit_names,
            np.array([values[mask] for mask in layout.unit_masks]),
            kind,
            masks=layout.unit_masks,
            modality_names=layout.names,
            modality_units=layout.modality_units,
            **details,
        )

    @cached_property
    def _position(self) -> Callable[[int], int]:
        if self.masks is None:
            return lambda mask: mask
        index = {mask: i for i, mask in enumerate(self.masks)}
        return index.__getitem__

    def __getitem__(self, subset: SubsetLike) -> float:
        mask = parse_subset(subset, self.names)
        return float(self._at([mask])[0])

    def _at(self, masks: Iterable[int]) -> np.ndarray:
        """The entropies of several subsets, as bitmasks."""
        try:
            positions = np.fromiter(map(self._position, masks), dtype=np.intp)
        except KeyError as absent:
            shown = format_subset(absent.args[0], self.names)
            raise InputError(f"H({shown}) is not among the entropies computed here") from None
        found: np.ndarray = self.values[positions]
        return found

    @property
    def n_modalities(self) -> int:
        """Number of modalities."""
        return len(self.modality_units)

    @property
    def n_units(self) -> int:
        """Number of variables: decoder units, or modalities where none is finer."""
        return len(self.names)

    def units_of(self, modalities: int) -> int:
        """The bitmask of variables of a bitmask of modalities."""
        return union(self.modality_units, modalities)

    def at_modality_level(self) -> EntropyVector:
        """The vector over modalities: itself where no unit is finer than a modality."""
        if self.n_units == self.n_modalities:
            return self
        return self._renamed(self.modality_names, self.modality_units, range(1 << self.n_modalities))

    def marginal(self, modalities: SubsetLike) -> EntropyVector:
        """The vector of a nonempty subset of the modalities, in their order."""
        kept = members(parse_subset(modalities, self.modality_names))
        if not kept:
            raise InputError("a marginal needs at least one modality")
        if len(kept) == self.n_modalities:
            return self
        units = members(self.units_of(mask_of(kept)))
        place = {unit: i for i, unit in enumerate(units)}
        outside = ~mask_of(units)
        inside: Sequence[int] = range(1 << len(units))
        if self.masks is not None:
            inside = [mask_of(place[u] for u in members(mask)) for mask in self.masks if not mask & outside]
        groups = [mask_of(place[u] for u in members(self.modality_units[m])) for m in kept]
        return self._renamed(
            tuple(self.names[u] for u in units),
            tuple(1 << u for u in units),
            inside,
            modality_names=tuple(self.modality_names[m] for m in kept),
            modality_units=tuple(groups),
        )

    def _renamed(
        self, names: tuple[str, ...], meaning: tuple[int, ...], masks: Sequence[int], **modalities: Any
    ) -> EntropyVector:
        """The vector over new variables, of which number ``i`` stands for the old subset ``meaning[i]``."""
        old = {mask: union(meaning, mask) for mask in masks}
        return replace(
            self,
            names=names,
            values=self._at(old.values()),
            masks=None if len(old) == 1 << len(names) else tuple(old),
            refusals={new: self.refusals[mask] for new, mask in old.items() if mask in self.refusals},
            interval=None if self.interval is None else _Renamed(self.interval, self.names, meaning),
            **{"modality_names": (), "modality_units": (), **modalities},
        )

    def value(self, functional: Functional) -> float | str:
        """The functional of the entropies, or the reason why it has no value.

        Raises:
            InputError: a functional of other variables.
        """
        if functional.names != self.names:
            raise InputError(f"a functional of {functional.names} cannot be evaluated on entropies of {self.names}")
        refused = [mask for mask in functional.masks if mask in self.refusals]
        if refused:
            return f"H({format_subset(refused[0], self.names)}): {self.refusals[refused[0]]}"
        entropies = self._at(functional.masks).tolist()
        terms = [float(c) * h for c, h in zip(functional.coefficients.values(), entropies, strict=True)]
        infinite = {t for t in terms if math.isinf(t)}
        if len(infinite) == 2:
            return "undefined: entropies of -inf (a singular law) enter with both signs"
        return infinite.pop() if infinite else math.fsum(terms)

    def evaluate(
        self,
        functional: Functional,
        constant: float = 0.0,
        *,
        name: str | None = None,
        theorem: str = "",
        confidence: float = 0.95,
        notes: tuple[str, ...] = (),
    ) -> Quantity:
        """The functional plus a constant, with one interval for the whole combination.

        The value is ``None``, with the reason, where a subset is refused or infinities of both signs meet.
        """
        check_confidence(confidence)
        label = name or str(functional)
        notes = (*notes, *self.caveats)
        plain = self.value(functional)
        if isinstance(plain, str):
            return Quantity(label, None, method=self.method, guarantee="none", theorem=theorem, notes=(plain, *notes))
        value = plain + constant
        if not functional.masks and self.method != "exact":
            return Quantity(label, value, method=_WHATEVER if value else _ZERO, theorem=theorem, notes=notes)
        if self.interval is None:
            return Quantity(label, value, method=self.method, guarantee="exact", theorem=theorem, notes=notes)
        interval = chosen(self.interval, functional)
        low, high = interval(functional, confidence)
        return Quantity(
            label,
            value,
            None if low is None else low + constant,
            None if high is None else high + constant,
            confidence,
            f"{self.method}; {interval.method}",
            interval.guarantee,
            theorem,
            notes,
        )

    def __str__(self) -> str:
        rows = [
            f"  H({format_subset(m, self.names)}) = {v:.6f}"
            for m, v in zip(self._masks(), self.values, strict=True)
            if m
        ]
        shown = rows if len(rows) <= 31 else [*rows[:15], f"  ... {len(rows) - 16} more ...", rows[-1]]
        return "\n".join([f"{self.kind} entropies of {len(self.names)} variables in nats ({self.method})", *shown])

    def _masks(self) -> Sequence[int]:
        return range(len(self.values)) if self.masks is None else self.masks

    def to_dict(self) -> dict[str, float | str]:
        """Subset, written as comma-separated names, to entropy in nats."""
        return {
            format_subset(mask, self.names): float(value) if math.isfinite(value) else str(value)
            for mask, value in zip(self._masks(), self.values, strict=True)
            if mask
        }


def chosen(interval: Interval, functional: Functional) -> Interval:
    """The interval that the data justify for a functional: the only one, unless there is a choice."""
    return interval.choose(functional) if isinstance(interval, IntervalChoice) else interval


@dataclass(frozen=True)
class _Renamed:
    """An interval over old variables, asked about functionals of new ones that stand for subsets of them."""

    inner: Interval
    names: Sequence[str]
    meaning: Sequence[int]

    @property
    def guarantee(self) -> Guarantee:
        return self.inner.guarantee

    @property
    def method(self) -> str:
        return self.inner.method

    def __call__(self, functional: Functional, confidence: float) -> tuple[float | None, float | None]:
        return self.inner(self._old(functional), confidence)

    def choose(self, functional: Functional) -> Interval:
        return _Renamed(chosen(self.inner, self._old(functional)), self.names, self.meaning)

    def _old(self, functional: Functional) -> Functional:
        return Functional(self.names, {union(self.meaning, mask): c for mask, c in functional.coefficients.items()})
