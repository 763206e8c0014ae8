"""What a theorem is: a claim with a margin that is checked on cases, and a status that is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from bounds.ceilings import elbo_ceiling
from bounds.choices import Choices
from bounds.common_cause import CommonCause
from bounds.elbo import MixtureTerms
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.finite import TabularVAE, elbo_terms, objective
from bounds.joints import Discrete, Gaussian
from bounds.schemes import SubsetScheme
from bounds.subsets import format_subset

#: ``proved``: a certificate replays or an identity reduces to zero, and no case contradicts it. ``tested``: no case
#: contradicts it. ``refuted``: a case does. ``conditional``: none does under the assumptions, one does without.
Status = Literal["proved", "tested", "refuted", "conditional"]

#: A margin below minus this is a violation: the rounding of sums of up to 1e4 terms near 1, with room.
TOLERANCE = 1e-9

Law = Discrete | Gaussian | CommonCause


@dataclass(frozen=True, eq=False)
class Case:
    """Data, a scheme and a model for which a claim can be checked; what a claim does not use is ``None``."""

    law: Law
    scheme: SubsetScheme | None = None
    model: TabularVAE | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))

    @cached_property
    def h(self) -> EntropyVector:
        """The entropies of the law at the level of its decoder units."""
        return self.law.unit_entropies()

    @cached_property
    def terms(self) -> MixtureTerms:
        """The exact terms of the model.

        Raises:
            InputError: a case without a scheme, a model or a discrete law.
        """
        return elbo_terms(self.vae, self.table, self.mixture)

    @property
    def table(self) -> Discrete:
        """The law, where it is discrete.

        Raises:
            InputError: it is not.
        """
        if not isinstance(self.law, Discrete):
            raise InputError("this case has no discrete law")
        return self.law

    @property
    def vae(self) -> TabularVAE:
        """The model.

        Raises:
            InputError: a case without one.
        """
        if self.model is None:
            raise InputError("this case has no finite model")
        return self.model

    @property
    def mixture(self) -> SubsetScheme:
        """The scheme.

        Raises:
            InputError: a case without one.
        """
        if self.scheme is None:
            raise InputError("this case has no scheme")
        return self.scheme

    def ceiling(self, name: str = "own-density", **parameters: Any) -> float:
        """The ceiling of an objective, in nats."""
        return float(elbo_ceiling(self.h, self.mixture, name, **parameters))

    def objective(self, name: str = "own-density", **parameters: Any) -> float:
        """The model's value of an objective, in nats."""
        return objective(self.vae, self.table, self.mixture, name, **parameters)

    def to_dict(self) -> dict[str, Any]:
        """The exact numbers, so that a reader can redo the check."""
        found: dict[str, Any] = {"law": _law(self.law)}
        if self.scheme is not None:
            names = self.law.names
            found["scheme"] = {format_subset(mask, names) or "(empty)": str(w) for mask, w in self.scheme}
        if self.model is not None:
            found["prior"] = _table(self.model.prior)
            found["decoders"] = [_table(decoder) for decoder in self.model.decoders]
            found["encoders"] = {
                format_subset(mask, self.law.names) or "(empty)": _table(encoder)
                for mask, encoder in self.model.encoders.items()
            }
        if self.settings:
            found["settings"] = {name: _setting(value) for name, value in self.settings.items()}
        return found


@dataclass(frozen=True)
class Evidence:
    """Why a claim is proved: what was replayed, in one sentence, and the certificates or identities as text."""

    kind: str
    statement: str
    holds: bool
    details: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Theorem:
    """One claim of the theory.

    Args:
        id: how it is cited, ``T2`` or ``T8.constant``.
        title: a few words.
        statement: in words.
        latex: in LaTeX, without delimiters.
        assumptions: what the cases satisfy.
        source: the paper, as usually quoted, or this project.
        margin: of a case, in nats: at least 0 where the claim holds there. For an identity, minus the absolute
            residual.
        cases: builds a case that satisfies the assumptions from random choices.
        holds: what this project says of the claim; the status is computed and may disagree, which is a failure.
        depends: ids it rests on.
        without: cases with an assumption dropped, and its name, for claims that fail there.
        witness: a case in which the claim is tight (margin 0).
        known: named counterexamples, for claims that fail, or tight or telling cases.
        proof: replays a certificate or reduces an identity to zero.
        note: what a reader should know besides.
    """

    id: str
    title: str
    statement: str
    latex: str
    assumptions: tuple[str, ...]
    source: str
    margin: Callable[[Case], float]
    cases: Callable[[Choices], Case]
    holds: bool = True
    depends: tuple[str, ...] = ()
    without: tuple[str, Callable[[Choices], Case]] | None = None
    witness: Callable[[], Case] | None = None
    known: Mapping[str, Callable[[], Case]] = field(default_factory=dict)
    proof: Callable[[], Evidence] | None = None
    note: str = ""

    def violated_by(self, case: Case) -> bool:
        """Whether the claim fails in this case."""
        return violates(self.margin(case))


def violates(margin: float) -> bool:
    """Whether a margin is below zero by more than rounding, or not a number."""
    return math.isnan(margin) or margin < -TOLERANCE


def at_least(left: float, right: float) -> float:
    """The margin of ``left >= right``; infinite where ``right`` is ``-inf``, since the claim then says nothing."""
    return math.inf if right == -math.inf else left - right


def equal(left: float, right: float) -> float:
    """The margin of ``left == right``: minus the distance, 0 where both are the same infinity."""
    return 0.0 if left == right else -abs(left - right)


def _law(law: Law) -> Any:
    if isinstance(law, Discrete):
        return {
            "pmf": _table(law.pmf),
            "axes per modality": list(law.layout.sizes),
            "units": list(law.layout.unit_sizes),
        }
    if isinstance(law, Gaussian):
        return {"cov": law.cov.tolist(), "sizes": list(law.layout.sizes), "units": list(law.layout.unit_sizes)}
    parts = [
        _table(part) if isinstance(part, np.ndarray) else None if part is None else _law(part) for part in law.parts
    ]
    return {"label": _table(law.label), "private parts": parts}


def _table(table: np.ndarray) -> Any:
    """Nested lists of probabilities, as fractions where these are simple."""

    def simple(p: float) -> str | float:
        fraction = Fraction(p).limit_denominator(1000)
        return str(fraction) if abs(float(fraction) - p) < 1e-15 else p

    def walk(part: np.ndarray) -> Any:
        return simple(float(part)) if part.ndim == 0 else [walk(inner) for inner in part]

    return walk(np.asarray(table))


def _setting(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _table(value)
    if isinstance(value, tuple | list):
        return [_setting(item) for item in value]
    if is_dataclass(value):
        return {one.name: _setting(getattr(value, one.name)) for one in fields(value)}
    return value
