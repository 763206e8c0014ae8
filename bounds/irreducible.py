"""From data or a law to its irreducible error: every bound that holds, for several schemes at once."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from bounds.ceilings import (
    distortion_floor,
    elbo_ceiling,
    entropy,
    generative_discrepancy,
    quoted_bound,
    total_correlation_term,
)
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.estimators import estimate, estimate_per_subset
from bounds.joints import Law, check_countable
from bounds.missing import ASSUMED, PartlyObserved
from bounds.objectives import OBJECTIVES
from bounds.progress import Track, no_progress
from bounds.quantity import Quantity, check_confidence
from bounds.samples import Samples
from bounds.schemes import FAMILIES, SubsetScheme, parse_schemes
from bounds.statistics import JointCounts, Moments
from bounds.subsets import format_subset, mask_of, members

#: What entropies are estimated from: rows, or statistics that stand for them.
Estimated = Samples | PartlyObserved | JointCounts | Moments
#: What bounds can be computed for.
Data = Law | Samples | PartlyObserved | JointCounts | Moments | EntropyVector | Mapping[str, np.ndarray]

#: Importance samples of the published MMVAE objective (its code's default).
PUBLISHED_K = 30


@dataclass(frozen=True)
class LevelBounds:
    """The bounds at one level of the decoder: arbitrary inside a modality, or factorised over units.

    ``None`` where the scheme's objective has no such quantity (MVAE's sum of ELBOs).
    """

    distortion_floor: Quantity | None
    total_correlation_term: Quantity | None
    elbo_ceiling: Quantity | None
    published_ceiling: Quantity

    def to_dict(self) -> dict[str, Any]:
        """Field name to the quantity's dictionary."""
        return _quantities(self)


@dataclass(frozen=True)
class SchemeBounds:
    """What a scheme loses: at modality level, and at unit level where units are finer."""

    scheme: SubsetScheme
    generative_discrepancy: Quantity | None
    quoted_bound: Quantity | None
    modalities: LevelBounds
    units: LevelBounds | None

    @property
    def finest(self) -> LevelBounds:
        """The level of the decoder's units."""
        return self.units or self.modalities

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """JSON-ready; the modality level's bounds stand beside Delta, the finer ones under ``units``."""
        return {
            "weights": {format_subset(mask, names) or "(empty)": str(weight) for mask, weight in self.scheme},
            "objective": self.scheme.objective,
            "objective_is": OBJECTIVES[self.scheme.objective].meaning,
            "note": self.scheme.note,
            "generative_discrepancy": _dict(self.generative_discrepancy),
            **self.modalities.to_dict(),
            "quoted_bound": _dict(self.quoted_bound),
            "units": self.units.to_dict() if self.units else None,
        }


@dataclass(frozen=True)
class GrowthStep:
    """Delta and the irreducible loss of a scheme's family on the first ``n_modalities`` modalities."""

    scheme: str
    n_modalities: int
    generative_discrepancy: Quantity
    total_correlation_term: Quantity

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"scheme": self.scheme, "n_modalities": self.n_modalities, **_quantities(self)}


@dataclass(frozen=True, eq=False)
class IrreducibleError:
    """Everything the data support about what encoding subsets must cost. Numbers are in nats per example."""

    source: str
    kind: str
    n: int | None
    names: tuple[str, ...]
    unit_names: tuple[str, ...]
    choice: str
    entropies: EntropyVector
    entropy: Quantity
    schemes: tuple[SchemeBounds, ...]
    growth: tuple[GrowthStep, ...]
    warnings: tuple[str, ...]
    #: Rows in which all of a subset is observed, where rows lack modalities and each entropy has its own.
    rows_of_subsets: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, label: str) -> SchemeBounds:
        for bounds in self.schemes:
            if bounds.scheme.label == label:
                return bounds
        raise KeyError(f"no scheme {label!r}: there are {', '.join(b.scheme.label for b in self.schemes)}")

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.describe()}", f"  {self.choice}", f"  {self.entropy}"]
        for bounds in self.schemes:
            lines.append(f"{bounds.scheme.label}:")
            shown = [bounds.generative_discrepancy, bounds.finest.total_correlation_term, bounds.finest.elbo_ceiling]
            shown += [] if bounds.finest.elbo_ceiling else [bounds.finest.published_ceiling]
            lines += [f"  {quantity}" for quantity in shown if quantity]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(b.scheme.label)}</th>"
            + "".join(f"<td>{html.escape(_short(q))}</td>" for q in (b.generative_discrepancy, *_cells(b.finest)))
            + "</tr>"
            for b in self.schemes
        )
        head = "<tr><th>nats</th><th>Delta</th><th>floor</th><th>irreducible ELBO loss</th><th>ELBO ceiling</th></tr>"
        return (
            f"<table><caption>{html.escape(self.source)}: {html.escape(self.describe())}</caption>{head}{rows}</table>"
        )

    def describe(self) -> str:
        """The data in one phrase."""
        rows = "known law" if self.n is None else _counted(self.n, "row", "rows")
        modalities = _counted(len(self.names), "modality", "modalities")
        finer = f", {len(self.unit_names)} decoder units" if len(self.unit_names) > len(self.names) else ""
        kind = "continuous" if self.kind == "differential" else self.kind
        return f"{rows}, {modalities} ({', '.join(self.names)}){finer}, {kind}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; keys are the names of the functions of ``bounds``."""
        return {
            "source": self.source,
            "unit": "nats",
            "kind": self.kind,
            "n": self.n,
            "modalities": list(self.names),
            "units": list(self.unit_names),
            "estimator": self.choice,
            "entropy": self.entropy.to_dict(),
            "entropies": self.entropies.to_dict(),
            "schemes": {bounds.scheme.label: bounds.to_dict(self.names) for bounds in self.schemes},
            "growth": [step.to_dict() for step in self.growth],
            "warnings": list(self.warnings),
            **({"rows_of_subsets": dict(self.rows_of_subsets)} if self.rows_of_subsets else {}),
        }


def irreducible_error(
    data: Data,
    scheme: SubsetScheme | str | Sequence[SubsetScheme | str] = ("mvae", "mmvae", "mopoe"),
    *,
    estimator: str = "auto",
    interval: str = "auto",
    block: int = 1,
    confidence: float = 0.95,
    source: str | None = None,
    track: Track = no_progress,
) -> IrreducibleError:
    """Delta, the distortion floor, the irreducible ELBO loss and the ceilings, for data and one or more schemes.

    Args:
        data: a law, a data set, a mapping of modality names to arrays, statistics that stand for rows (of
            :func:`bounds.streaming.stream`), or entropies got elsewhere.
        scheme: schemes, or their names (``mvae``, ``mmvae``, ``mopoe``, ``mvae-subsampled``, or weights such as
            ``"image:1/2,image+text:1/2"``).
        estimator, interval, block: for samples, see :func:`bounds.estimators.estimate`.
        confidence: of the intervals, in (0, 1).
        source: what to call the data.
        track: shows progress, as ``rich.progress.track`` does.

    Raises:
        InputError: schemes that do not fit the data, or too many modalities.
        NoEstimateError: data that no estimator supports.

    >>> from bounds import Discrete
    >>> copy = Discrete([[0.5, 0.0], [0.0, 0.5]])
    >>> print(irreducible_error(copy, "mmvae")["mmvae"].generative_discrepancy)
    Delta = 0.000000 nats (exact)
    """
    data = _understood(data)
    names = data.modality_names if isinstance(data, EntropyVector) else data.names
    # What cannot be done is refused before any work.
    schemes = checked_schemes(scheme, names, confidence)
    h, choice, warnings = _entropies(data, estimator, interval, block, track)
    coarse = h.at_modality_level()
    return IrreducibleError(
        source=source or (data.source if isinstance(data, Estimated) else type(data).__name__),
        kind="mixed" if isinstance(data, Samples) and data.kind == "mixed" else h.kind,
        n=data.n if isinstance(data, Estimated) else None,
        names=names,
        unit_names=h.names,
        choice=choice,
        entropies=coarse,
        entropy=entropy(coarse, confidence=confidence),
        schemes=tuple(_bounds(h, one, confidence) for one in track(schemes, "bounding", len(schemes))),
        growth=_growth(h, schemes, confidence, track),
        warnings=(*warnings, *_singularities(h)),
        rows_of_subsets=data.counts() if isinstance(data, PartlyObserved) else {},
    )


def checked_schemes(
    scheme: SubsetScheme | str | Sequence[SubsetScheme | str], names: Sequence[str], confidence: float
) -> list[SubsetScheme]:
    """The schemes of :func:`irreducible_error`, and a refusal of what it can do for no data with these modalities.

    Raises:
        InputError: no confidence, too many modalities, or schemes that do not fit them.
    """
    check_confidence(confidence)
    check_countable(names)
    return parse_schemes(scheme, names)


def _understood(data: Data) -> Law | Estimated | EntropyVector:
    if isinstance(data, Mapping):
        return Samples.from_arrays(data)
    if isinstance(data, Law | Estimated | EntropyVector):
        return data
    raise InputError(f"{type(data).__name__} is neither a law, samples, entropies nor a mapping of arrays")


def _entropies(
    data: Law | Estimated | EntropyVector, estimator: str, interval: str, block: int, track: Track
) -> tuple[EntropyVector, str, tuple[str, ...]]:
    """Entropies at the level of the units, how they were got, and warnings."""
    if isinstance(data, EntropyVector):
        return data, f"entropies as given ({data.method})", ()
    if isinstance(data, PartlyObserved):
        if interval != "auto" or block != 1:
            raise InputError(
                "guaranteed intervals and blocks are for rows that have everything: leave them out, or use complete"
            )
        found = estimate_per_subset(data, estimator, track=track)
        return found.entropies, found.choice, (_rows_said(data), *found.warnings)
    if isinstance(data, Estimated):
        found = estimate(data, estimator, interval=interval, block=block, track=track)
        notes = data.notes if isinstance(data, Samples) else ()
        return found.entropies, found.choice, (*notes, *found.warnings)
    finer = len(data.layout.unit_names) > len(data.names)
    h = data.unit_entropies(track) if finer else data.entropy_vector(track)
    return h, "exact entropies of a known law", ()


def _rows_said(data: PartlyObserved) -> str:
    """How many rows each entropy has, for the report; with many modalities the fewest and the most."""
    counts = data.counts()
    few = ", ".join(f"H({name}) {rows}" for name, rows in counts.items())
    said = few if len(counts) <= 15 else f"from {min(counts.values())} to {max(counts.values())}"
    return (
        f"rows lack modalities, and each entropy is from the rows that have all it needs ({said}, of {data.n} rows); "
        f"{ASSUMED}, and what cannot be below zero may be so by chance"
    )


def _singularities(h: EntropyVector) -> list[str]:
    """Says that no bound holds where ``h(X) = -inf``, and names a smallest set of variables with no joint density."""
    singular = np.flatnonzero(np.isneginf(h.values))
    if not singular.size:
        return []
    smallest = min((int(i) if h.masks is None else h.masks[i] for i in singular), key=int.bit_count)
    whole = mask_of(m for m, units in enumerate(h.modality_units) if not units & ~smallest)
    in_modalities = h.units_of(whole) == smallest
    names = [h.modality_names[m] for m in members(whole)] if in_modalities else [h.names[u] for u in members(smallest)]
    are = "is constant or its parts are" if len(names) == 1 else "are"
    return [
        f"h(X) = -inf: {' and '.join(names)} {are} linearly dependent, so X has no density. T2 and the other bounds "
        "need a finite h(X), so there is no ceiling and no irreducible loss here. Leave out what is a function of the "
        "rest, or add the noise of its measurement"
    ]


def _bounds(h: EntropyVector, scheme: SubsetScheme, confidence: float) -> SchemeBounds:
    coarse = h.at_modality_level()
    mixture = scheme.objective != "sub-sampled"
    return SchemeBounds(
        scheme,
        generative_discrepancy(coarse, scheme, confidence=confidence) if mixture else None,
        quoted_bound(coarse, scheme, confidence=confidence) if mixture else None,
        _level(coarse, scheme, confidence),
        _level(h, scheme, confidence) if h.n_units > h.n_modalities else None,
    )


def _level(h: EntropyVector, scheme: SubsetScheme, confidence: float) -> LevelBounds:
    samples: dict[str, Any] = {"k": PUBLISHED_K} if "k" in OBJECTIVES[scheme.objective].parameters else {}
    published = elbo_ceiling(h, scheme, scheme.objective, confidence=confidence, **samples)
    if scheme.objective == "sub-sampled":
        return LevelBounds(None, None, None, published)
    return LevelBounds(
        distortion_floor(h, scheme, confidence=confidence),
        total_correlation_term(h, scheme, confidence=confidence),
        elbo_ceiling(h, scheme, confidence=confidence),
        published,
    )


def _growth(
    h: EntropyVector, schemes: Sequence[SubsetScheme], confidence: float, track: Track
) -> tuple[GrowthStep, ...]:
    """Every named family of mixtures among the schemes, on the first modality, the first two, and so on."""
    named = [one.label for one in schemes if one.label in FAMILIES]
    families = [label for label in named if FAMILIES[label](1).objective != "sub-sampled"]
    counts = range(1, h.n_modalities + 1) if families else ()
    steps = []
    for count in track(counts, "growing", len(counts)):
        part = h.marginal((1 << count) - 1)
        coarse = part.at_modality_level()
        for label in families:
            family = FAMILIES[label](count)
            steps.append(
                GrowthStep(
                    label,
                    count,
                    generative_discrepancy(coarse, family, confidence=confidence),
                    total_correlation_term(part, family, confidence=confidence),
                )
            )
    return tuple(steps)


def _quantities(holder: Any) -> dict[str, Any]:
    return {
        field.name: _dict(value)
        for field in fields(holder)
        if (value := getattr(holder, field.name)) is None or isinstance(value, Quantity)
    }


def _dict(quantity: Quantity | None) -> dict[str, Any] | None:
    return None if quantity is None else quantity.to_dict()


def _cells(level: LevelBounds) -> tuple[Quantity | None, ...]:
    return level.distortion_floor, level.total_correlation_term, level.elbo_ceiling or level.published_ceiling


def _short(quantity: Quantity | None) -> str:
    return "" if quantity is None else "none" if quantity.value is None else f"{quantity.value:.4f}"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
