"""A number with what is known about it."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from bounds.errors import InputError

#: What an interval promises: ``exact`` (a known law), ``guaranteed`` (finite-sample, assumptions named in
#: ``method``), ``asymptotic``, ``model-based`` (right if the named model is), ``none`` (a refusal: no value).
Guarantee = Literal["exact", "guaranteed", "asymptotic", "model-based", "none"]


def check_confidence(confidence: object) -> None:
    """Refuses what is no confidence.

    Raises:
        InputError: no number in (0, 1).
    """
    if not isinstance(confidence, Real) or not 0 < float(confidence) < 1:
        raise InputError(f"confidence {confidence}: give a number between 0 and 1, such as 0.95")


def percent(share: float) -> str:
    """A confidence with the digits that it has.

    >>> percent(0.95), percent(0.999), percent(1 - 1e-6)
    ('95%', '99.9%', '99.9999%')
    """
    return f"{100 * share:.10g}%"


@dataclass(frozen=True)
class Quantity:
    """A value in nats with its interval, how it was got and what the interval promises.

    ``value`` is ``None`` where the data cannot support a number or the number is undefined; ``notes`` says why.

    >>> print(Quantity("Delta", 0.5))
    Delta = 0.500000 nats (exact)
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    method: str = "exact"
    guarantee: Guarantee = "exact"
    theorem: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.guarantee == "exact" and self.value is not None:
            object.__setattr__(self, "low", self.value)
            object.__setattr__(self, "high", self.value)

    def __float__(self) -> float:
        if self.value is None:
            raise ValueError(f"{self.name} has no value: {'; '.join(self.notes)}")
        return self.value

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: no value ({'; '.join(self.notes)})"
        if self.guarantee == "exact":
            how = self.method if self.method.startswith("exact") else f"exact: {self.method}"
            return f"{self.name} = {self.value:.6f} nats ({how})"
        level = f" at {percent(self.confidence)}" if self.confidence is not None else ""
        match self.low, self.high:
            case None, None:
                span = ""
            case None, high:
                span = f" (at most {high:.4f}{level})"
            case low, None:
                span = f" (at least {low:.4f}{level})"
            case low, high:
                span = f" [{low:.4f}, {high:.4f}]{level}"
        promise = "" if self.guarantee == "none" else f"{self.guarantee}: "
        return f"{self.name} = {self.value:.4f}{span} nats ({promise}{self.method})"

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(str(self))}</code>"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; infinities become the strings ``"inf"`` and ``"-inf"``, which JSON has no number for."""
        found: dict[str, Any] = {
            "value": _json_number(self.value),
            "low": _json_number(self.low),
            "high": _json_number(self.high),
            "confidence": self.confidence,
            "method": self.method,
            "guarantee": self.guarantee,
        }
        if self.theorem:
            found["theorem"] = self.theorem
        if self.notes:
            found["notes"] = list(self.notes)
        return found


def _json_number(number: float | None) -> float | str | None:
    return str(float(number)) if number is not None and not math.isfinite(number) else number
