"""One scheme, every number that stands above or below its ELBO, on one axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bounds.common_cause import CommonCause
from bounds.empirical import empirical_law
from bounds.errors import InputError
from bounds.irreducible import Data, IrreducibleError, SchemeBounds
from bounds.joints import Discrete, Gaussian
from bounds.likelihoods import likelihood_ceiling
from bounds.optimum import Progress, optimal_elbo
from bounds.quantity import Quantity
from bounds.samples import Samples

#: Time for the exact optimum of one scheme.
SECONDS = 10.0
#: The likelihood that is shown for continuous data unless another is asked for.
DEFAULT_LIKELIHOOD = "gaussian:learned"


@dataclass(frozen=True)
class Rung:
    """A number on the axis of the ELBO, in nats.

    Attributes:
        name: what it is.
        quantity: the number.
        holds: whether no ELBO of the scheme is above it; the quoted bound is refuted.
        meaning: one sentence.
    """

    name: str
    quantity: Quantity
    holds: bool
    meaning: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "holds": self.holds, "meaning": self.meaning, **self.quantity.to_dict()}


@dataclass(frozen=True)
class Ladder:
    """The rungs of one scheme, and why some are missing."""

    scheme: str
    rungs: tuple[Rung, ...]
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Rung:
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise KeyError(f"no rung {name!r}: there are {', '.join(rung.name for rung in self.rungs)}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"rungs": [rung.to_dict() for rung in self.rungs], "notes": list(self.notes)}


def ladders(
    data: Data,
    result: IrreducibleError,
    *,
    likelihood: str | None = None,
    seconds: float = SECONDS,
    progress: Callable[[str], Progress | None] = lambda scheme: None,
) -> tuple[Ladder, ...]:
    """A ladder for each scheme of a result that is a mixture over subsets.

    Args:
        data: what the result is about.
        result: of :func:`bounds.irreducible_error`.
        likelihood: as for :func:`bounds.likelihood_ceiling`; by default :data:`DEFAULT_LIKELIHOOD` for continuous data.
        seconds: for the exact optimum of each scheme.
        progress: given the scheme's label, what is told how its optimum goes.

    Raises:
        InputError: a likelihood that was asked for and does not fit the data.
    """
    return tuple(
        _ladder(data, result, bounds, likelihood, seconds, progress)
        for bounds in result.schemes
        if bounds.finest.elbo_ceiling is not None
    )


def _ladder(
    data: Data,
    result: IrreducibleError,
    bounds: SchemeBounds,
    likelihood: str | None,
    seconds: float,
    progress: Callable[[str], Progress | None],
) -> Ladder:
    notes: list[str] = []
    found = [Rung("-H(X)", _minus(result.entropy, "-H(X)"), True, "no ELBO is above the negative entropy")]
    ceiling = bounds.finest.elbo_ceiling
    if ceiling is not None:
        found.append(Rung("ELBO ceiling", ceiling, True, "-H(X) less the irreducible loss (T2)"))
    try:
        found.append(_optimum(data, bounds, seconds, progress, notes))
    except InputError as error:
        notes.append(f"no exact optimum: {error}")
    asked = likelihood or (DEFAULT_LIKELIHOOD if isinstance(data, Gaussian) or result.kind != "discrete" else None)
    if asked:
        try:
            floor = likelihood_ceiling(data, bounds.scheme, asked)  # type: ignore[arg-type]
            found.append(Rung("likelihood ceiling", floor.ceiling, True, f"for decoders with {asked} (T7)"))
        except InputError as error:
            if likelihood:
                raise
            notes.append(f"no ceiling of a {asked} likelihood: {error}")
    distortion = bounds.finest.distortion_floor
    if distortion is not None:
        found.append(
            Rung(
                "-distortion floor",
                _minus(distortion, "-distortion floor"),
                True,
                "no expected reconstruction log-likelihood is above it (T1); the ELBO is less still, by the KL",
            )
        )
    if bounds.quoted_bound is not None:
        found.append(Rung("quoted bound", bounds.quoted_bound, False, "Theorem 1 as usually quoted: refuted (T0)"))
    return Ladder(bounds.scheme.label, tuple(found), tuple(dict.fromkeys(notes)))


def _optimum(
    data: Data,
    bounds: SchemeBounds,
    seconds: float,
    progress: Callable[[str], Progress | None],
    notes: list[str],
) -> Rung:
    law = data
    meaning = "the best that any model of the scheme can do, with certificate (T4)"
    if isinstance(data, Samples):
        law = empirical_law(data)
        meaning = "the best that any model can do on these very rows, as in training (T4); not a bound for held-out data"
    elif isinstance(data, CommonCause):
        law = data.to_discrete()
    if not isinstance(law, Discrete):
        raise InputError("it is known for discrete laws only")
    found = optimal_elbo(law, bounds.scheme, seconds=seconds, progress=progress(bounds.scheme.label))
    if not found.certified:
        notes.append(f"the optimum is certified to {found.high - found.low:.2g} nats in the {seconds:g} s it was given")
    middle = (found.low + found.high) / 2
    quantity = Quantity(
        "optimum",
        middle,
        found.low,
        found.high,
        1.0,
        "bracket with a dual certificate",
        "guaranteed",
        theorem="T4",
    )
    return Rung("optimum on these rows" if isinstance(data, Samples) else "optimum", quantity, True, meaning)


def _minus(quantity: Quantity, name: str) -> Quantity:
    def negative(number: float | None) -> float | None:
        return None if number is None else -number

    return Quantity(
        name,
        negative(quantity.value),
        negative(quantity.high),
        negative(quantity.low),
        quantity.confidence,
        quantity.method,
        quantity.guarantee,
        quantity.theorem,
        quantity.notes,
    )
