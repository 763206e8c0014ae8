"""What a model reports of itself on held-out data: the terms of its objective, for each encoded subset and example.

Terms are asked for and never a loss: a loss may lack constants, carry multipliers, or be another objective's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from bounds.entropies import Kind
from bounds.errors import InputError
from bounds.joints import real_array
from bounds.objectives import OBJECTIVES
from bounds.schemes import SubsetScheme
from bounds.subsets import check_names, format_subset, parse_subset

#: Examples below which the mean of their terms is not taken for normal.
MIN_EXAMPLES = 100
#: How far below zero a KL in closed form may be by rounding in float32, relative to the largest of them.
KL_ROUNDING = 1e-5
#: How far reported weights may be from the scheme's: rounding to float32, and not to two decimals.
WEIGHT_ROUNDING = 1e-6

#: Subset to an array of terms.
BySubset = Mapping[Any, Any]


@dataclass(frozen=True)
class Mean:
    """The mean of one linear combination of terms over examples, with its standard error.

    ``skewness`` is that of the examples, 0 where only their means are known.
    """

    value: float
    standard_error: float
    skewness: float = 0.0


@dataclass(frozen=True, eq=False)
class Combination:
    """Coefficients of terms: ``(S, C)`` of log-likelihoods, ``(S,)`` of KLs, ``(S,)`` of whole objectives."""

    log_likelihood: np.ndarray
    kl: np.ndarray
    value: np.ndarray


class Terms(Protocol):
    """Terms of ``S`` subsets and ``C`` columns, for each of ``n`` examples or as means."""

    @property
    def n(self) -> int:
        """Number of examples."""
        ...

    @property
    def has_parts(self) -> bool:
        """Whether log-likelihoods and KLs are apart, and not only the objective's value known."""
        ...

    def mean(self, of: Combination) -> Mean:
        """Mean and standard error of a combination."""
        ...


@dataclass(frozen=True, eq=False)
class ExampleTerms:
    """Terms of each example: ``log_likelihood`` ``(S, N, C)`` and ``kl`` ``(S, N)``, or ``value`` ``(S, N)``."""

    log_likelihood: np.ndarray | None
    kl: np.ndarray | None
    value: np.ndarray | None

    @property
    def n(self) -> int:
        """Number of examples."""
        rows = self.kl if self.value is None else self.value
        assert rows is not None
        return int(rows.shape[1])

    @property
    def has_parts(self) -> bool:
        """Whether log-likelihoods and KLs are apart."""
        return self.value is None

    def each(self, of: Combination) -> np.ndarray:
        """``(N,)``: a combination of the terms of each example."""
        if self.value is not None:
            return np.asarray(of.value @ self.value)
        assert self.log_likelihood is not None
        assert self.kl is not None
        rows, columns = (np.flatnonzero(of.log_likelihood.any(axis=axis)) for axis in (1, 0))
        if len(rows) * len(columns) < of.log_likelihood.size:  # most bounds are about a few columns of many
            fit = np.zeros(self.n)
            for s in rows:
                fit += self.log_likelihood[s][:, columns] @ of.log_likelihood[s, columns]
        else:
            fit = np.einsum("sc,snc->n", of.log_likelihood, self.log_likelihood)
        return np.asarray(fit + of.kl @ self.kl)

    def mean(self, of: Combination) -> Mean:
        """Mean over examples; the standard error has the noise of the draws of the latent in it."""
        each = self.each(of)
        value = float(each.mean())
        deviations = each - value
        variance = float(deviations @ deviations) / (len(each) - 1)
        # deviations that are rounding of the mean have no skewness
        third = float((deviations**3).mean()) / variance**1.5 if variance > 1e-24 * (1 + value**2) else 0.0
        return Mean(value, math.sqrt(variance / len(each)), third)


@dataclass(frozen=True, eq=False)
class MeanTerms:
    """Means over ``n`` examples and their standard errors, in pairs along the last axis.

    ``log_likelihood`` is ``(S, C, 2)`` and ``kl`` ``(S, 2)``, or ``value`` is ``(S, 2)``. How terms move together is
    not known, so the standard error of a combination is its largest: the sum of the terms' own.
    """

    n: int
    log_likelihood: np.ndarray | None
    kl: np.ndarray | None
    value: np.ndarray | None

    @property
    def has_parts(self) -> bool:
        """Whether log-likelihoods and KLs are apart."""
        return self.value is None

    def mean(self, of: Combination) -> Mean:
        """The combination of the means, with the largest standard error that theirs allow."""
        if self.value is not None:
            pairs = [(of.value, self.value)]
        else:
            assert self.log_likelihood is not None
            assert self.kl is not None
            pairs = [(of.log_likelihood, self.log_likelihood), (of.kl, self.kl)]
        return Mean(
            math.fsum(float((c * terms[..., 0]).sum()) for c, terms in pairs),
            math.fsum(float((abs(c) * terms[..., 1]).sum()) for c, terms in pairs),
        )


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
        if self.kind not in ("discrete", "differential"):
            raise InputError(f"kind {self.kind!r}: 'discrete' for probabilities, 'differential' for densities")
        if self.objective not in OBJECTIVES:
            raise InputError(f"unknown objective {self.objective!r}: use one of {', '.join(OBJECTIVES)}")
        if isinstance(self.draws, bool) or not isinstance(self.draws, int) or self.draws < 1:
            raise InputError(f"draws={self.draws}: give the number of draws of the latent, at least 1")
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

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
        if isinstance(n, bool) or not isinstance(n, int | np.integer):
            raise InputError(f"n={n!r}: give the number of examples")
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
    names = check_names(modalities, scheme.n_modalities)
    return names, names if columns is None else check_names(columns, len(columns), "column")


def _check_count(n: int) -> None:
    if n < MIN_EXAMPLES:
        raise InputError(
            f"{n} examples are too few to tell a mean from a ceiling: evaluate at least {MIN_EXAMPLES} held-out ones"
        )


def _check_kl(made: Evaluation, kl: np.ndarray) -> None:
    """Refuses a negative KL where none can be."""
    if made.sampled_kl or made.objective in ("mixture-density", "private-auxiliary"):
        return
    worst = np.unravel_index(int(kl.argmin()), kl.shape)
    if kl[worst] < -KL_ROUNDING * max(1.0, float(np.abs(kl).max())):
        raise InputError(
            f"the KL of {made.shown(made.subsets[worst[0]])} is {kl[worst]:.6g} at example {worst[1]}: a KL is not "
            "negative; give KL(q || p), not minus it, and sampled_kl=True if it is an estimate from draws"
        )


def _check_weights(scheme: SubsetScheme, weights: BySubset | None, names: Sequence[str]) -> None:
    if weights is None:
        return
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
        arrays: dict[int, np.ndarray] = {}
        for subset, array in given.items():
            mask = parse_subset(subset, self.names)
            label = f"{what} of {format_subset(mask, self.names) or '(empty)'}"
            if mask not in self.scheme.weights:
                raise InputError(f"{label}: scheme {self.scheme.label} does not encode that subset")
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
        bad = np.argwhere(~np.isfinite(found))
        if len(bad):
            where = tuple(int(i) for i in bad[0])
            hint = "the objective is -inf and below every ceiling" if found[where] == -np.inf else "find out why"
            raise InputError(f"{label} is {found[where]} at {where}: {hint}; do not leave such examples out")
        return found


class Distribution(Protocol):
    """A law of the latents of a batch of ``N`` examples; the prior is the same law for each."""

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        """One latent for each of ``n`` examples."""
        ...

    def log_density(self, z: Any) -> np.ndarray:
        """``(N,)``, in nats."""
        ...


class AuditableModel(Protocol):
    """What an audit asks of a model; ``x`` are the held-out data in the model's own form."""

    @property
    def prior(self) -> Distribution:
        """``p(z)``, as it is in the model's objective."""
        ...

    def posterior(self, x: Any, subset: int) -> Distribution:
        """``q_A(z|x_A)``, which must not look at anything outside the bitmask ``subset`` of modalities."""
        ...

    def log_likelihood(self, x: Any, z: Any) -> np.ndarray:
        """``(N, C)``: ``ln p(x_c|z)`` of each modality or unit, with all normalising constants."""
        ...


def evaluate(
    model: AuditableModel,
    x: Any,
    n: int,
    scheme: SubsetScheme,
    rng: np.random.Generator,
    *,
    draws: int = 1,
    progress: Callable[[str], None] | None = None,
    **about: Any,
) -> Evaluation:
    """The own-density K=1 terms of a model, from its parts and never from its loss.

    Args:
        model: the model.
        x: held-out data in the model's form, ``n`` examples.
        n: their number.
        scheme: the encoded subsets.
        rng: draws the latents.
        draws: of the latent for each example and subset.
        progress: told which subset is done.
        about: ``kind``, ``modalities``, ``columns``, ``likelihood`` of :meth:`Evaluation.from_examples`.

    Returns:
        An evaluation with sampled KLs: ``ln q_A(z|x_A) - ln p(z)``.
    """
    if draws < 1:
        raise InputError(f"draws={draws}: give at least 1")
    fits: dict[int, np.ndarray] = {}
    costs: dict[int, np.ndarray] = {}
    for subset, _ in scheme:
        posterior = model.posterior(x, subset)
        fit, cost = [], []
        for _ in range(draws):
            z = posterior.sample(n, rng)
            fit.append(model.log_likelihood(x, z))
            cost.append(posterior.log_density(z) - model.prior.log_density(z))
        fits[subset], costs[subset] = np.mean(fit, axis=0), np.mean(cost, axis=0)
        if progress:
            progress(f"subset {subset}")
    return Evaluation.from_examples(scheme, fits, costs, sampled_kl=True, draws=draws, **about)
