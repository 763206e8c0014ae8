"""Which likelihood a model's decoders have: as it is written, and for each variable of some data (THEORY T7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from bounds.errors import InputError
from bounds.layout import Layout
from bounds.likelihood.noise import BernoulliNoise, GaussianNoise, LaplaceNoise, Noise
from bounds.samples import did_you_mean
from bounds.subsets import members

Family = Literal["gaussian", "laplace", "bernoulli", "categorical"]
FAMILIES: tuple[str, ...] = get_args(Family)
#: A Gaussian variance that is learned, does not depend on the latent and is common to all subsets: which variables
#: share one.
LEARNED = ("learned", "learned-modality", "learned-common")
#: A Gaussian variance that is a function of the latent.
CONDITIONAL = "conditional"

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of a decoder.

    Args:
        family: ``gaussian``, ``laplace``, ``bernoulli`` or ``categorical``.
        scale: the standard deviation of a Gaussian or the scale ``b`` of a Laplace density, one for all or by
            modality, unit or variable. For a Gaussian also ``"learned"``, one variance for each unit, the same inside
            it and for every latent; ``"learned-modality"``, ``"learned-common"``, one for each modality or for all;
            ``"conditional"``, any function of the latent.
        values: for discrete data the value of each symbol, by modality, unit or variable; the default is
            ``0, 1, ..., k - 1``.

    Raises:
        InputError: an unknown family, a scale that is not positive, or one that the family does not have.

    >>> print(Likelihood("gaussian", {"image": 0.75, "text": 0.1}))
    gaussian:image=0.75,text=0.1
    """

    family: str
    scale: float | Mapping[str, float] | str | None = None
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"unknown likelihood {self.family!r}: {did_you_mean(str(self.family), FAMILIES)}")
        if self.family in ("bernoulli", "categorical"):
            if self.scale is not None:
                raise InputError(f"a {self.family} likelihood has no scale: write {self.family!r} alone")
        elif isinstance(self.scale, str):
            _check_word(self.family, self.scale)
        elif isinstance(self.scale, Mapping):
            if not self.scale:
                raise InputError(f"the {self.family} likelihood has no scales: give one for each modality")
            scales = {name: _check_scale(value, f"{name}=") for name, value in self.scale.items()}
            object.__setattr__(self, "scale", MappingProxyType(scales))
        else:
            object.__setattr__(self, "scale", _check_scale(self.scale, f"{self.family}:"))
        values = {name: _numbers(name, given) for name, given in self.values.items()}
        object.__setattr__(self, "values", MappingProxyType(values))

    def __str__(self) -> str:
        if isinstance(self.scale, Mapping):
            return f"{self.family}:" + ",".join(f"{name}={value}" for name, value in self.scale.items())
        return self.family + ("" if self.scale is None else f":{self.scale}")

    @property
    def is_fixed(self) -> bool:
        """Whether nothing but the location depends on training: no learned and no conditional variance."""
        return not isinstance(self.scale, str)

    def at(self, layout: Layout, variable: int) -> Noise | None:
        """The family of one variable, ``None`` for a categorical one, which is any law of its unit.

        Raises:
            InputError: no scale is given for it.
        """
        if self.family == "categorical":
            return None
        if self.family == "bernoulli":
            return BernoulliNoise()
        scale = lookup(self.scale, layout, variable) if isinstance(self.scale, Mapping) else self.scale
        if not isinstance(scale, float):
            name = layout.names[modality_of(layout, variable)]
            raise InputError(f"the likelihood {self} has no scale for {name!r}: give one for each modality")
        return GaussianNoise(scale**2) if self.family == "gaussian" else LaplaceNoise(scale)


#: One likelihood for everything, or one for each modality.
Decoders = Likelihood | Mapping[str, Likelihood]


def parse_likelihood(text: str) -> Decoders:
    """A likelihood as it is written on a command line.

    One for all modalities, such as ``gaussian:0.75``, ``gaussian:image=0.75,text=0.1``, ``gaussian:learned``,
    ``laplace:0.5``, ``bernoulli``; or one for each, separated by semicolons: ``image=laplace:0.75;text=categorical``.

    Raises:
        InputError: anything else.

    >>> parse_likelihood("gaussian:0.75").scale
    0.75
    """
    if "=" in text.partition(":")[0]:
        found: dict[str, Likelihood] = {}
        for part in text.split(";"):
            name, equals, rest = part.partition("=")
            if not equals or not name.strip():
                raise InputError(f"likelihood {text!r}: write {part.strip()!r} as MODALITY=LIKELIHOOD")
            if name.strip() in found:
                raise InputError(f"likelihood {text!r}: modality {name.strip()!r} is given twice")
            found[name.strip()] = _parse_one(rest)
        return found
    return _parse_one(text)


def _parse_one(text: str) -> Likelihood:
    family, colon, scale = (part.strip() for part in text.partition(":"))
    family = family.lower()
    if not colon:
        return Likelihood(family)
    if "=" not in scale:
        return Likelihood(family, _number(scale))
    scales: dict[str, Any] = {}
    for part in scale.split(","):
        name, _, value = (piece.strip() for piece in part.rpartition("="))
        if not name:
            raise InputError(f"likelihood {text!r}: write {part.strip()!r} as MODALITY=SCALE")
        if name in scales:
            raise InputError(f"likelihood {text!r}: the scale of {name!r} is given twice")
        scales[name] = _number(value)
    return Likelihood(family, scales)


def as_decoders(likelihood: str | Likelihood | Mapping[str, str | Likelihood]) -> Decoders:
    """The likelihood in any of the ways a caller may write it.

    Raises:
        InputError: something else.
    """
    if isinstance(likelihood, str):
        return parse_likelihood(likelihood)
    if isinstance(likelihood, Likelihood):
        return likelihood
    if isinstance(likelihood, Mapping):
        found = {name: as_decoders(one) for name, one in likelihood.items()}
        flat = {name: one for name, one in found.items() if isinstance(one, Likelihood)}
        if flat and len(flat) == len(found):
            return flat
    raise InputError(f"{likelihood!r} is no likelihood: write it as 'gaussian:0.75', or one for each modality by name")


def describe(decoders: Decoders) -> str:
    """As :func:`parse_likelihood` reads it."""
    if isinstance(decoders, Likelihood):
        return str(decoders)
    return ";".join(f"{name}={one}" for name, one in decoders.items())


def by_modality(decoders: Decoders, layout: Layout) -> tuple[Likelihood, ...]:
    """The likelihood of each modality.

    Raises:
        InputError: an unknown modality, one without a likelihood, or an unknown name among the scales or values.
    """
    if isinstance(decoders, Likelihood):
        found = (decoders,) * len(layout.names)
    else:
        for name in decoders:
            if name not in layout.names:
                raise InputError(f"a likelihood is given for {name!r}, no modality: {did_you_mean(name, layout.names)}")
        missing = [name for name in layout.names if name not in decoders]
        if missing:
            raise InputError(f"modality {missing[0]!r} has no likelihood: give one for each modality")
        found = tuple(decoders[name] for name in layout.names)
    known = list(dict.fromkeys([*layout.names, *layout.unit_names, *variable_names(layout)]))
    for likelihood in found:
        scales = likelihood.scale if isinstance(likelihood.scale, Mapping) else {}
        for what, table in (("scale", scales), ("value", likelihood.values)):
            for name in table:
                if name not in known:
                    raise InputError(
                        f"{likelihood.family}: {what}s are given for {name!r}, no modality, unit or variable: "
                        f"{did_you_mean(name, known)}"
                    )
    return found


@dataclass(frozen=True)
class Part:
    """A block of variables over which decoders factorise: a unit with any law, or one variable with a noise family."""

    name: str
    modality: int
    variables: tuple[int, ...]
    noise: Noise | None


def parts_of(likelihoods: Sequence[Likelihood], layout: Layout) -> tuple[Part, ...]:
    """The blocks of some data: variables, and whole units where the likelihood is categorical.

    Raises:
        InputError: a variable without a scale.
    """
    names, found = variable_names(layout), []
    for unit, mask in enumerate(layout.unit_variables):
        variables = members(mask)
        modality = modality_of(layout, variables[0])
        likelihood = likelihoods[modality]
        if likelihood.family == "categorical":
            found.append(Part(layout.unit_names[unit], modality, variables, None))
        else:
            found += [Part(names[v], modality, (v,), likelihood.at(layout, v)) for v in variables]
    return tuple(found)


def symbol_values(likelihood: Likelihood, layout: Layout, variable: int, alphabet: int) -> np.ndarray | None:
    """The values of a discrete variable's symbols as given, ``None`` if they are not.

    Raises:
        InputError: not one for each symbol.
    """
    given = lookup(likelihood.values, layout, variable)
    if given is not None and len(given) != alphabet:
        raise InputError(
            f"{len(given)} values are given for {variable_names(layout)[variable]!r}, which has {alphabet} symbols: "
            "give one for each"
        )
    return None if given is None else np.asarray(given)


def variable_names(layout: Layout) -> tuple[str, ...]:
    """A name for each variable; that of its unit where it is alone in it."""
    if len(layout.unit_names) == layout.n_variables:
        return layout.unit_names
    return Layout.of(layout.n_variables, layout.sizes, "scalar", layout.names).unit_names


def modality_of(layout: Layout, variable: int) -> int:
    """The modality that has a variable."""
    return next(m for m, mask in enumerate(layout.modality_variables) if mask >> variable & 1)


def lookup(table: Mapping[str, _Found], layout: Layout, variable: int) -> _Found | None:
    """What a table says about a variable: under its own name, or its unit's, or its modality's."""
    unit = next(u for u, mask in enumerate(layout.unit_variables) if mask >> variable & 1)
    names = (variable_names(layout)[variable], layout.unit_names[unit], layout.names[modality_of(layout, variable)])
    return next((table[name] for name in names if name in table), None)


def _check_word(family: str, word: str) -> None:
    if family == "gaussian":
        allowed = (*LEARNED, CONDITIONAL)
        if word not in allowed:
            raise InputError(f"gaussian:{word} is neither a number nor a known word: {did_you_mean(word, allowed)}")
    else:
        raise InputError(f"{family}:{word}: a fixed scale is needed here, such as '{family}:0.5'")


def _check_scale(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        shown = "" if value is None else value
        raise InputError(f"{where}{shown} needs a scale: give a positive number, such as {where}0.75")
    # A variance is the square, which must not leave the range of float64.
    if not (math.isfinite(value) and value > 0 and 1e-150 < value < 1e150):
        raise InputError(f"{where}{value}: a scale is a positive finite number")
    return float(value)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _numbers(name: str, values: Sequence[float]) -> tuple[float, ...]:
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise InputError(f"the values of {name!r} are not numbers: give one number for each symbol") from None
    if not all(math.isfinite(value) for value in found):
        raise InputError(f"the values of {name!r} are not finite: give one number for each symbol")
    return found
