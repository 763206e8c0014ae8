"""One scheme, every number that stands above or below its ELBO, on one axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bounds.common_cause import CommonCause
from bounds.dual.private_noise import without_private_noise
from bounds.empirical import empirical_law
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.irreducible import Data, IrreducibleError, SchemeBounds
from bounds.joints import Discrete
from bounds.likelihoods import likelihood_ceiling
from bounds.optimum import Progress, optimal_elbo
from bounds.quantity import Quantity
from bounds.samples import Samples
from bounds.schemes import SubsetScheme
from bounds.subsets import members, union

#: Time for the exact optimum of one scheme.
SECONDS = 10.0
#: Parameters of a decoder, and these times the values of all encoded subsets, at most: beyond, the search alone takes
#: longer than :data:`SECONDS`, and the bracket is too wide to say anything.
MAX_PARAMETERS = 32
MAX_SIZE = 7000
#: The likelihood that is shown for continuous data unless another is asked for.
DEFAULT_LIKELIHOOD = "gaussian:learned"
#: What is claimed of a rung: no expected held-out ELBO of the scheme is above it; no mean ELBO of these very rows is;
#: it bounds a ceiling from below, so a model above it may be right; nothing, because models exceed it.
Kind = Literal["ceiling", "on these rows", "one-sided", "refuted"]

_SINGULAR = "h(X) is -inf (a singular law): -H(X) is no ceiling, and nothing stands relative to it"
_NO_FLOOR = (
    "no distortion floor: for continuous data it is that of the unseen modalities alone, and seen ones may cost any "
    "negative number, so minus the floor is no ceiling of the ELBO"
)


@dataclass(frozen=True)
class Rung:
    """A number on the axis of the ELBO, in nats.

    Attributes:
        name: what it is.
        quantity: the number.
        kind: what is claimed of it.
        meaning: one sentence.
    """

    name: str
    quantity: Quantity
    kind: Kind
    meaning: str

    @property
    def holds(self) -> bool:
        """Whether no expected ELBO of the scheme on held-out data is above it."""
        return self.kind == "ceiling"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        claimed = {"name": self.name, "kind": self.kind, "holds": self.holds, "meaning": self.meaning}
        return {**claimed, **self.quantity.to_dict()}


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
    known = Samples.from_arrays(data) if isinstance(data, Mapping) else data
    return tuple(
        _ladder(known, result, bounds, likelihood, seconds, progress)
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
    if result.entropy.value is not None and math.isinf(result.entropy.value):
        return Ladder(bounds.scheme.label, (), (_SINGULAR,))
    discrete = result.kind == "discrete"
    asked = likelihood or (None if discrete else DEFAULT_LIKELIHOOD)
    found = [Rung("-H(X)", _minus(result.entropy, "-H(X)"), "ceiling", "no ELBO is above the negative entropy")]
    notes: list[str] = []
    if bounds.finest.elbo_ceiling is not None:
        found.append(
            Rung("ELBO ceiling", bounds.finest.elbo_ceiling, "ceiling", "-H(X) less the irreducible loss (T2)")
        )
    try:
        found.append(_optimum(data, bounds.scheme, seconds, progress, notes))
    except InputError as error:
        notes.append(f"no exact optimum: {error}")
    try:
        found += [_of_likelihood(data, bounds.scheme, asked, notes)] if asked else []
    except InputError as error:
        if likelihood:
            raise
        notes.append(f"no ceiling of a {asked} likelihood: {error}")
    distortion = bounds.finest.distortion_floor
    if discrete and distortion is not None:
        meaning = "no expected reconstruction log-likelihood is above it (T1); the ELBO is less still, by the KL"
        found.append(Rung("-distortion floor", _minus(distortion, "-distortion floor"), "ceiling", meaning))
    elif not discrete:
        notes.append(_NO_FLOOR)
    if bounds.quoted_bound is not None:
        meaning = "Theorem 1 as usually quoted; no ceiling, as models of some laws exceed it (T0)"
        found.append(Rung("quoted bound", bounds.quoted_bound, "refuted", meaning))
    return Ladder(bounds.scheme.label, tuple(found), tuple(dict.fromkeys(notes)))


def _optimum(
    data: Data,
    scheme: SubsetScheme,
    seconds: float,
    progress: Callable[[str], Progress | None],
    notes: list[str],
) -> Rung:
    """The bracket of the exact optimum.

    Raises:
        InputError: a law that is not discrete, or a table too large.
    """
    law = data
    if isinstance(data, Samples):
        law = empirical_law(data)
    elif isinstance(data, CommonCause):
        law = data.to_discrete()
    if isinstance(law, EntropyVector):
        raise InputError("entropies alone do not tell it, the table of the law does")
    if not isinstance(law, Discrete):
        raise InputError("it is known for discrete laws only")
    _check_size(law, scheme)
    found = optimal_elbo(law, scheme, seconds=seconds, progress=progress(scheme.label))
    if not found.certified:
        notes.append(
            f"the optimum is certified to {found.high - found.low:.2g} nats only, in the {seconds:g} s it was given"
        )
    quantity = Quantity(
        "optimum",
        (found.low + found.high) / 2,
        found.low,
        found.high,
        method="bracket with a dual certificate, the value is its middle",
        guarantee="guaranteed",
        theorem="T4",
    )
    if not isinstance(data, Samples):
        return Rung("optimum", quantity, "ceiling", "the best that any model of the scheme can do (T4)")
    notes.append(
        f"the optimum is that of the law of these {data.n} rows themselves: a training objective stays below it, the "
        "ELBO on held-out data need not"
    )
    meaning = "the best that any model can do on these very rows, as in training (T4); no bound for held-out data"
    return Rung("optimum on these rows", replace(quantity, name="optimum on these rows"), "on these rows", meaning)


def _check_size(law: Discrete, scheme: SubsetScheme) -> None:
    """Refuses what the search for the best model cannot finish in the time of a report.

    Raises:
        InputError: too many parameters of a decoder, or too many values of the encoded subsets.
    """
    law = without_private_noise(law).law
    alphabets = law.unit_alphabets
    values = sum(
        math.prod(alphabets[u] for u in members(union(law.layout.modality_units, subset))) for subset, _ in scheme
    )
    parameters = sum(alphabets)
    if parameters > MAX_PARAMETERS or values * parameters > MAX_SIZE:
        raise InputError(
            f"decoders of {parameters} probabilities and {values} values of the encoded subsets are too many to search "
            "in a report: choose fewer modalities, coarser columns, or bounds.optimal_elbo with much more time"
        )


def _of_likelihood(data: Data, scheme: SubsetScheme, likelihood: str, notes: list[str]) -> Rung:
    """The ceiling of a likelihood.

    Raises:
        InputError: it does not fit the data.
    """
    quantity = likelihood_ceiling(data, scheme, likelihood).ceiling  # type: ignore[arg-type]
    notes += [f"likelihood ceiling: {note}" for note in quantity.notes]
    meaning = f"for decoders with {likelihood} (T7)"
    if quantity.value is None or quantity.high is not None or math.isinf(quantity.value):
        return Rung("likelihood ceiling", quantity, "ceiling", meaning)
    meaning += "; the ceiling is at least this high, a model above it may be right"
    return Rung("likelihood ceiling", quantity, "one-sided", meaning)


def _minus(quantity: Quantity, name: str) -> Quantity:
    """The number on the other side of zero: its interval's ends change places."""

    def negative(number: float | None) -> float | None:
        return None if number is None else 0.0 - number  # not -number: zero has no sign here

    return replace(
        quantity,
        name=name,
        value=negative(quantity.value),
        low=negative(quantity.high),
        high=negative(quantity.low),
    )
