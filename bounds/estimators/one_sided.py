"""What held-out losses say about a dataset: numbers of which one side can be had (THEORY T10.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bounds.quantity import Quantity
from bounds.schemes import SubsetScheme


@dataclass(frozen=True)
class OneSidedLevel:
    """What losses say at one level of the decoder: arbitrary inside a modality, or factorised over units.

    ``distortion_floor`` is bounded from above and ``elbo_ceiling`` from below; ``total_correlation_term``, the
    irreducible loss, has a value only where one side can be had.
    """

    distortion_floor: Quantity | None
    total_correlation_term: Quantity | None
    elbo_ceiling: Quantity

    def quantities(self) -> tuple[Quantity, ...]:
        """Those that there are."""
        return tuple(filter(None, (self.distortion_floor, self.total_correlation_term, self.elbo_ceiling)))

    def to_dict(self) -> dict[str, Any]:
        """Field name to the quantity's dictionary."""
        names = ("distortion_floor", "total_correlation_term", "elbo_ceiling")
        return {name: _dict(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class OneSidedScheme:
    """What losses say about a scheme; for a sum of ELBOs (MVAE's sub-sampling) about its ceiling alone (T10.2)."""

    scheme: SubsetScheme
    generative_discrepancy: Quantity | None
    modalities: OneSidedLevel
    units: OneSidedLevel | None

    def quantities(self) -> tuple[Quantity, ...]:
        """All of them, the levels one after the other."""
        first = (self.generative_discrepancy,) if self.generative_discrepancy else ()
        return (*first, *self.modalities.quantities(), *(self.units.quantities() if self.units else ()))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the modality level's bounds stand beside Delta, the finer ones under ``units``."""
        return {
            "generative_discrepancy": _dict(self.generative_discrepancy),
            **self.modalities.to_dict(),
            "units": self.units.to_dict() if self.units else None,
        }


@dataclass(frozen=True)
class ConditionalBounds:
    """One-sided bounds of a dataset for several schemes, in nats per example.

    Of each quantity ``value`` is a mean held-out loss, or minus one, and the end that can be had is a confidence limit.
    """

    source: str
    kind: str
    n: int
    names: tuple[str, ...]
    unit_names: tuple[str, ...]
    method: str
    entropy: Quantity
    schemes: tuple[OneSidedScheme, ...]

    def __getitem__(self, label: str) -> OneSidedScheme:
        for bounds in self.schemes:
            if bounds.scheme.label == label:
                return bounds
        raise KeyError(f"no scheme {label!r}: there are {', '.join(b.scheme.label for b in self.schemes)}")

    def __str__(self) -> str:
        lines = [f"{self.source}: one-sided bounds by {self.method}", f"  {self.entropy}"]
        for bounds in self.schemes:
            lines += [f"{bounds.scheme.label}:", *(f"  {quantity}" for quantity in bounds.quantities())]
        return "\n".join(lines)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all quantities, each once."""
        return tuple(dict.fromkeys(note for quantity in self.quantities() for note in quantity.notes))

    def quantities(self) -> tuple[Quantity, ...]:
        """The entropy, and those of all schemes."""
        return (self.entropy, *(quantity for bounds in self.schemes for quantity in bounds.quantities()))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; keys are the names of the functions of ``bounds``."""
        return {
            "source": self.source,
            "unit": "nats",
            "kind": self.kind,
            "n": self.n,
            "modalities": list(self.names),
            "units": list(self.unit_names),
            "method": self.method,
            "entropy": self.entropy.to_dict(),
            "schemes": {bounds.scheme.label: bounds.to_dict() for bounds in self.schemes},
        }


def _dict(quantity: Quantity | None) -> dict[str, Any] | None:
    return None if quantity is None else quantity.to_dict()
