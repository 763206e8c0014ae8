"""What a model reports of itself on held-out data: the terms of its objective, for each encoded subset and example.

Terms are asked for and never a loss: a loss may lack constants, carry multipliers, or be another objective's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from bounds.entropies import Kind
from bounds.errors import InputError
from bounds.joints import real_array
from bounds.likelihood.decoders import parse_likelihood
from bounds.objectives import OBJECTIVES
from bounds.reported_terms import ExampleTerms, MeanTerms
from bounds.schemes import SubsetScheme
from bounds.subsets import check_names, format_subset, parse_subset

#: Examples below which the mean of their terms is not taken for normal.
MIN_EXAMPLES = 100
#: How far below zero a KL in closed form may be by rounding in float32, relative to the largest of them.
KL_ROUNDING = 1e-5
#: How far reported weights may be from the scheme's: rounding to float32, and not to two decimals.
WEIGHT_ROUNDING = 1e-6

#: No log-likelihood is larger; the third powers of such terms can still be added up.
LARGEST = 1e50

#: Subset to an array of terms.
BySubset = Mapping[Any, Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The terms of a model's objective on held-out examples; made by :meth:`from_examples` or :meth:`from_means`.

    Attributes:
        scheme: the encoded subsets, in whose order the terms are.
        modalities: their names.
        columns: what the log-likelihoods are of: modalities, or decoder units.
        terms: the numbers.
        kind: ``discrete`` for probabilities, ``differential`` for densities.
        objective: a name of :data:`bounds.OBJECTIVES`.
        parameters: of the objective.
        likelihood: the decoder's family as :func:`bounds.likelihood_ceiling` takes it, if it is to be used.
        draws: of the latent for each example, over which the terms are averaged.
        sampled_kl: whether KLs are estimates from those draws, which may be negative.
    """

    scheme: SubsetScheme
    modalities: tuple[str, ...]
    columns: tuple[str, ...]
    terms: ExampleTerms | MeanTerms
    kind: Kind
    objective: str = "own-density"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    likelihood: str | None = None
    draws: int = 1
    sampled_kl: bool = False

    def __post_init__(self) -> None:
        objective, draws, sampled_kl, likelihood = self._given
        if self.kind not in ("discrete", "differential"):
            raise InputError(f"kind {self.kind!r}: 'discrete' for probabilities, 'differential' for densities")
        if not isinstance(objective, str) or objective not in OBJECTIVES:
            raise InputError(f"unknown objective {objective!r}: use one of {', '.join(OBJECTIVES)}")
        if not _is_whole(draws) or draws < 1:
            raise InputError(f"draws={draws!r}: give the number of draws of the latent, at least 1")
        if not isinstance(sampled_kl, bool | np.bool_):
            raise InputError(f"sampled_kl={sampled_kl!r}: use true or false")
        if likelihood is not None:
            _check_likelihood(likelihood, self.kind)
        object.__setattr__(self, "draws", int(draws))
        object.__setattr__(self, "sampled_kl", bool(sampled_kl))
        object.__setattr__(self, "parameters", MappingProxyType(_plain(self.parameters)))

    @property
    def _given(self) -> tuple[Any, Any, Any, Any]:
        """What may come from a file and be of any type."""
        return self.objective, self.draws, self.sampled_kl, self.likelihood

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.terms.n

    @property
    def subsets(self) -> tuple[int, ...]:
        """Bitmasks of the encoded modalities, in the order of the terms."""
        return tuple(self.scheme.weights)

    def shown(self, subset: int) -> str:
        """The names of a subset."""
        return format_subset(subset, self.modalities) or "(empty)"

    @classmethod
    def from_examples(
        cls,
        scheme: SubsetScheme,
        log_likelihood: BySubset | None = None,
        kl: BySubset | None = None,
        *,
        kind: Kind,
        value: BySubset | None = None,
        modalities: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        weights: BySubset | None = None,
        **about: Any,
    ) -> Evaluation:
        """An evaluation with the terms of each held-out example.

        Args:
            scheme: the encoded subsets.
            log_likelihood: subset ``A`` to ``(N, C)``, ``ln p(x_c|z)`` in nats with all constants, of **all** columns,
                seen or not, with ``z ~ q_A(z|x_A)``.
            kl: subset to ``(N,)``, ``KL(q_A(z|x_A) || p(z))``, or the mixture's for ``mixture-density``.
            kind: ``"discrete"`` if the log-likelihoods are of probabilities, ``"differential"`` if of densities.
            value: in place of the two: subset to ``(N,)``, the objective itself, for ``iwae`` and others that are no
                sum of terms.
            modalities: names; by default X1, X2, ...
            columns: names of the units, where log-likelihoods are of units and not of modalities.
            weights: subset to weight as the model's code has them, to be compared with the scheme's.
            about: ``objective``, ``parameters``, ``likelihood``, ``draws``, ``sampled_kl``.

        Raises:
            InputError: shapes that do not match, other subsets or weights than the scheme's, NaN or infinite terms, a
                negative KL in closed form, fewer than :data:`MIN_EXAMPLES` examples.

        >>> from bounds import full
        >>> Evaluation.from_examples(full(1), {1: np.full((200, 1), -1.0)}, {1: np.zeros(200)}, kind="discrete").n
        200
        """
        names, cols = _names(scheme, modalities, columns)
        _check_weights(scheme, weights, names)
        found = _Reader(scheme, names, "examples").parts(log_likelihood, kl, value, ("N", len(cols)), ("N",))
        made = cls(scheme, names, cols, ExampleTerms(*found), kind, **about)
        _check_count(made.n)
        if made.terms.kl is not None:
            _check_kl(made, made.terms.kl)
        return made

    @classmethod
    def from_means(
        cls,
        scheme: SubsetScheme,
        n: int,
        log_likelihood: BySubset | None = None,
        kl: BySubset | None = None,
        *,
        kind: Kind,
        value: BySubset | None = None,
        modalities: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        weights: BySubset | None = None,
        **about: Any,
    ) -> Evaluation:
        """An evaluation with means over ``n`` held-out examples and their standard errors.

        Args:
            scheme, kind, modalities, columns, weights, about: as for :meth:`from_examples`.
            n: number of examples.
            log_likelihood: subset to ``(C, 2)``: mean and standard error of each column.
            kl: subset to ``(2,)``.
            value: in place of the two: subset to ``(2,)``.

        Raises:
            InputError: as :meth:`from_examples`, and negative standard errors.
        """
        names, cols = _names(scheme, modalities, columns)
        _check_weights(scheme, weights, names)
        if not _is_whole(n) or n >= 1 << 63:
            raise InputError(f"n={n!r:.40}: give the number of examples")
        _check_count(int(n))
        found = _Reader(scheme, names, "pairs").parts(log_likelihood, kl, value, (len(cols), 2), (2,))
        for what, pairs in zip(("log_likelihood", "kl", "value"), found, strict=True):
            if pairs is not None and (pairs[..., 1] < 0).any():
                raise InputError(f"a standard error of {what} is negative: give (mean, standard error) in this order")
        made = cls(scheme, names, cols, MeanTerms(int(n), *found), kind, **about)
        if made.terms.kl is not None:
            _check_kl(made, made.terms.kl[:, :1])
        return made


def _names(
    scheme: SubsetScheme, modalities: Sequence[str] | None, columns: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not isinstance(scheme, SubsetScheme):
        raise InputError(f"scheme is {type(scheme).__name__}: give a SubsetScheme, such as bounds.mmvae(2)")
    for what, given in (("modalities", modalities), ("columns", columns)):
        if given is not None and not isinstance(given, Sequence | np.ndarray):
            raise InputError(f"{what}={given!r}: give a list of names")
    names = check_names(modalities, scheme.n_modalities)
    return names, names if columns is None else check_names(columns, len(columns), "column")


def _check_likelihood(likelihood: Any, kind: str) -> None:
    if not isinstance(likelihood, str):
        raise InputError(f"likelihood={likelihood!r}: write it as text, such as 'gaussian:0.75'")
    found = parse_likelihood(likelihood)
    densities = [
        one.family
        for one in (found.values() if isinstance(found, Mapping) else [found])
        if one.family in ("gaussian", "laplace")
    ]
    if densities and kind == "discrete":
        raise InputError(f"kind 'discrete' with a {densities[0]} likelihood, which is a density: use 'differential'")


def _plain(parameters: Any) -> dict[str, Any]:
    """Parameters of an objective as plain numbers and text, whatever numbers they came as."""
    if not isinstance(parameters, Mapping):
        raise InputError(f"parameters={parameters!r}: give a mapping, such as {{'beta': 4}}")
    found = dict(parameters)
    for name in ("beta", "alpha"):
        if name in found:
            found[name] = _number(name, found[name])
    if "k" in found:
        if not _is_whole(found["k"]):
            raise InputError(f"k={found['k']!r}: give a whole number of at least 1")
        found["k"] = int(found["k"])
    if found.get("scales") is not None:
        if not isinstance(found["scales"], Mapping):
            raise InputError(f"scales={found['scales']!r}: give a mapping from modalities or units to multipliers")
        found["scales"] = {name: _number(f"scale of {name!r}", value) for name, value in found["scales"].items()}
    if not isinstance(found.get("shared_kl", ""), str):
        raise InputError(f"shared_kl={found['shared_kl']!r}: use 'own' or 'mixture'")
    return found


def _number(what: str, given: Any) -> float:
    given = given.item() if isinstance(given, np.generic) else given
    real = isinstance(given, int | float | Fraction) and not isinstance(given, bool)
    if not (real and -LARGEST <= given <= LARGEST):
        raise InputError(f"{what}={given!r:.40}: give a finite number")
    return float(given)


def _is_whole(given: Any) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool)


def _check_count(n: int) -> None:
    if n < MIN_EXAMPLES:
        raise InputError(
            f"{n} examples are too few to tell a mean from a ceiling: evaluate at least {MIN_EXAMPLES} held-out ones"
        )


def _check_kl(made: Evaluation, kl: np.ndarray) -> None:
    """Refuses a negative KL where none can be."""
    if made.sampled_kl:
        return
    shown = [made.shown(subset) for subset in made.subsets]
    if made.objective in ("mixture-density", "iwae-mixture") or made.parameters.get("shared_kl") == "mixture":
        # the mixture's is the mean of what its components have, which need not be positive each
        shown, kl = ["the mixture"], np.array([[float(w) for w in made.scheme.weights.values()]]) @ kl
    worst = np.unravel_index(int(kl.argmin()), kl.shape)
    if kl[worst] < -KL_ROUNDING * max(1.0, float(np.abs(kl).max())):
        where = f" at example {worst[1]}" if isinstance(made.terms, ExampleTerms) else ""
        raise InputError(
            f"the KL of {shown[worst[0]]} is {kl[worst]:.6g}{where}: a KL is not negative; give KL(q || p), not minus "
            "it, and sampled_kl=True if it is an estimate from draws"
        )


def check_terms(label: str, found: np.ndarray) -> None:
    """Refuses NaN, infinite terms, and what overflows when it is added up.

    Raises:
        InputError: naming the first.
    """
    bad = np.argwhere(~(np.abs(found) <= LARGEST))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        hint = "the objective is -inf and below every ceiling" if found[where] == -np.inf else "find out why"
        raise InputError(f"{label} is {found[where]:g} at {where}: {hint}; do not leave such examples out")


def _check_weights(scheme: SubsetScheme, weights: BySubset | None, names: Sequence[str]) -> None:
    if weights is None:
        return
    if not isinstance(weights, Mapping):
        raise InputError(f"weights is {type(weights).__name__}: give a mapping from each subset to its weight")
    given = {parse_subset(subset, names): float(weight) for subset, weight in weights.items()}
    for mask in sorted(set(given) | set(scheme.weights)):
        expected = float(scheme.weights.get(mask, 0))
        if not abs(given.get(mask, 0.0) - expected) <= WEIGHT_ROUNDING:
            raise InputError(
                f"the weight of {format_subset(mask, names) or '(empty)'} is {given.get(mask, 0.0):.6g}, scheme "
                f"{scheme.label} has {expected:.6g}: audit with the scheme that the model was evaluated with"
            )


@dataclass(frozen=True)
class _Reader:
    """Arrays by subset, checked and stacked in the order of the scheme."""

    scheme: SubsetScheme
    names: Sequence[str]
    form: str

    def parts(
        self,
        log_likelihood: BySubset | None,
        kl: BySubset | None,
        value: BySubset | None,
        wide: tuple[Any, ...],
        narrow: tuple[Any, ...],
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """Log-likelihoods and KLs, or values."""
        if value is not None:
            if log_likelihood is not None or kl is not None:
                raise InputError("value beside log_likelihood or kl: give the terms, or the whole objective, not both")
            return None, None, self.stacked("value", value, narrow)
        if log_likelihood is None or kl is None:
            raise InputError(
                "give log_likelihood and kl of each subset, or value where the objective is no sum of them"
            )
        both = self.stacked("log_likelihood", log_likelihood, wide), self.stacked("kl", kl, narrow)
        if both[0].shape[:2] != both[1].shape[:2] and self.form == "examples":
            raise InputError(
                f"log_likelihood has {both[0].shape[1]} examples, kl {both[1].shape[1]}: give both for the same ones"
            )
        return *both, None

    def stacked(self, what: str, given: BySubset, shape: tuple[Any, ...]) -> np.ndarray:
        if not isinstance(given, Mapping):
            raise InputError(f"{what} is {type(given).__name__}: give a mapping from each subset to its array")
        arrays: dict[int, np.ndarray] = {}
        for subset, array in given.items():
            mask = parse_subset(subset, self.names)
            label = f"{what} of {format_subset(mask, self.names) or '(empty)'}"
            if mask not in self.scheme.weights:
                raise InputError(f"{label}: scheme {self.scheme.label} does not encode that subset: leave it out")
            arrays[mask] = self._checked(label, array, shape)
        for mask in self.scheme.weights:
            shown = format_subset(mask, self.names) or "(empty)"
            if mask not in arrays:
                raise InputError(f"there is no {what} of {shown}, which scheme {self.scheme.label} encodes")
        first = arrays[next(iter(self.scheme.weights))]
        for mask, array in arrays.items():
            if array.shape != first.shape:
                raise InputError(
                    f"{what} of {format_subset(mask, self.names)} has shape {array.shape}, another subset's "
                    f"{first.shape}: evaluate all subsets on the same examples"
                )
        return np.stack([arrays[mask] for mask in self.scheme.weights])

    def _checked(self, label: str, array: Any, shape: tuple[Any, ...]) -> np.ndarray:
        found = real_array(label, array)
        fits = found.ndim == len(shape) and all(k in ("N", s) for k, s in zip(shape, found.shape, strict=True))
        if not fits:
            expected = ", ".join(str(k) for k in shape)
            raise InputError(f"{label} has shape {found.shape}: it must be ({expected}{',' * (len(shape) == 1)})")
        check_terms(label, found)
        return found
