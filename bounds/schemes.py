"""Which subsets of the modalities a model encodes, how often, and what its published objective is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from numbers import Rational
from types import MappingProxyType
from typing import Any

import numpy as np

from bounds.errors import InputError
from bounds.subsets import format_subset, mask_of, members, parse_subset

#: How far given weights may be from summing to one: decimal fractions such as 0.333 are not accepted,
#: the rounding of 1/3 in float64 is. The weights are then normalised exactly.
SUM_TOLERANCE = 1e-9


@dataclass(frozen=True, init=False)
class SubsetScheme:
    """Weights over encoded subsets of ``n_modalities`` modalities.

    The mixture objective is ``L_S = sum_A w_A L_A`` with positive weights that sum to one.
    For ``objective="sub-sampled"`` (THEORY T10.2) the weights are coefficients ``c_A >= 0`` of
    per-subset ELBOs and their sum is free.

    Args:
        weights: subset (bitmask, or a tuple of names or indices) to weight; a float is the decimal it prints as.
        n_modalities: default is one more than the largest index.
        names: modality names, when subsets are written by name.
        label: how reports call the scheme.
        objective: what the published model of this name optimises, see :func:`bounds.elbo_ceiling`.
        note: where the published objective is stated and how it differs from the K=1 own-density ELBO.
        allow_empty: accept the empty subset, an encoder that sees nothing.

    Raises:
        InputError: no subset, a negative or non-finite weight, a sum other than one, the empty subset.

    >>> scheme = SubsetScheme({(0,): 0.5, (0, 1): 0.5})
    >>> scheme.weights[0b01], scheme.n_modalities
    (Fraction(1, 2), 2)
    """

    weights: Mapping[int, Fraction]
    n_modalities: int
    label: str
    objective: str
    note: str

    def __init__(
        self,
        weights: Mapping[Any, float | Fraction],
        n_modalities: int | None = None,
        *,
        names: Sequence[str] | None = None,
        label: str = "custom",
        objective: str = "own-density",
        note: str = "",
        allow_empty: bool = False,
    ) -> None:
        if not weights:
            raise InputError("a scheme needs at least one subset with a positive weight")
        if n_modalities is None:
            n_modalities = len(names) if names is not None else _largest_index(weights) + 1
        if n_modalities < 1:
            raise InputError(f"a scheme needs at least one modality, not {n_modalities}")
        if names is not None and len(names) != n_modalities:
            raise InputError(f"{len(names)} names for {n_modalities} modalities: give one name each")
        known = tuple(names) if names is not None else tuple(f"X{i + 1}" for i in range(n_modalities))
        exact: dict[int, Fraction] = {}
        for subset, weight in weights.items():
            mask = parse_subset(subset, known)
            shown = format_subset(mask, known) or "the empty subset"
            if not isinstance(subset, str | int | np.integer) and mask.bit_count() < len(subset):
                raise InputError(f"subset {subset} has a modality twice: name each once")
            if mask in exact:
                raise InputError(f"subset {shown} is given twice")
            if not math.isfinite(weight) or weight < 0:
                raise InputError(f"weight {weight} of {shown}: weights must be finite and not negative")
            if mask == 0 and weight > 0 and not allow_empty:
                raise InputError(
                    f"the empty subset has weight {weight}: an encoder that sees nothing; leave it out, "
                    "or pass allow_empty=True if that is meant"
                )
            exact[mask] = Fraction(weight) if isinstance(weight, Rational) else Fraction(str(float(weight)))
        total = sum(exact.values(), Fraction(0))
        if total == 0:
            raise InputError("all weights are zero: give at least one subset a positive weight")
        if objective != "sub-sampled":
            if abs(float(total) - 1) > SUM_TOLERANCE:
                raise InputError(f"weights sum to {float(total):.12g}, not to 1: divide them by their sum")
            exact = {mask: weight / total for mask, weight in exact.items()}
        kept = {mask: weight for mask, weight in sorted(exact.items()) if weight > 0}
        object.__setattr__(self, "weights", MappingProxyType(kept))
        object.__setattr__(self, "n_modalities", n_modalities)
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "objective", objective)
        object.__setattr__(self, "note", note)

    def __hash__(self) -> int:
        return hash((tuple(self.weights.items()), self.n_modalities, self.label, self.objective))

    def __iter__(self) -> Iterator[tuple[int, Fraction]]:
        """Pairs of subset bitmask and weight, by mask."""
        return iter(self.weights.items())

    @cached_property
    def entropy(self) -> float:
        """``H(w)`` in nats: how much the choice of the subset can tell."""
        return -math.fsum(float(w) * math.log(w) for w in self.weights.values())

    def probability_unseen(self, modality: int) -> Fraction:
        """``P(m not in A)`` of one modality."""
        return sum((w for mask, w in self if not mask >> modality & 1), Fraction(0))

    def relabelled(self, order: Sequence[int]) -> SubsetScheme:
        """The scheme after modality ``order[i]`` has become modality ``i``.

        Raises:
            InputError: ``order`` is not a permutation of the modalities.
        """
        if sorted(order) != list(range(self.n_modalities)):
            raise InputError(f"order={list(order)}: give each of the {self.n_modalities} modalities once")
        position = {old: new for new, old in enumerate(order)}
        moved = {mask_of(position[m] for m in members(mask)): w for mask, w in self}
        return SubsetScheme(
            moved,
            self.n_modalities,
            label=self.label,
            objective=self.objective,
            note=self.note,
            allow_empty=0 in self.weights,
        )


def _largest_index(weights: Mapping[Any, float | Fraction]) -> int:
    largest = 0
    for subset in weights:
        if isinstance(subset, str) or (not isinstance(subset, int) and any(isinstance(i, str) for i in subset)):
            raise InputError(f"subset {subset!r} is written by name: pass names=[...]")
        mask = subset if isinstance(subset, int) else mask_of(int(i) for i in subset)
        largest = max(largest, mask.bit_length() - 1)
    return largest


def full(n_modalities: int) -> SubsetScheme:
    """MVAE without sub-sampling: the full set only, so nothing is ever unseen (Wu and Goodman 2018).

    >>> dict(full(2).weights)
    {3: Fraction(1, 1)}
    """
    _check_count(n_modalities)
    return SubsetScheme(
        {(1 << n_modalities) - 1: Fraction(1)},
        n_modalities,
        label="mvae",
        note="MVAE without sub-sampling optimises the K=1 ELBO of its product-of-experts posterior.",
    )


def mmvae(n_modalities: int) -> SubsetScheme:
    """MMVAE: the ``M`` singletons, uniformly (Shi et al. 2019)."""
    _check_count(n_modalities)
    return SubsetScheme(
        {1 << m: Fraction(1, n_modalities) for m in range(n_modalities)},
        n_modalities,
        label="mmvae",
        objective="iwae-mixture",
        note="MMVAE's released code trains the 'looser' IWAE-K/DReG objective with the mixture density in the "
        "denominator (K=30 by default, likelihoods rescaled for images against text); T2 holds for its K=1 "
        "objective with each encoder's own density.",
    )


def mopoe(n_modalities: int) -> SubsetScheme:
    """MoPoE-VAE: all ``2^M - 1`` nonempty subsets, uniformly (Sutter et al. 2021)."""
    _check_count(n_modalities)
    count = (1 << n_modalities) - 1
    return SubsetScheme(
        {mask: Fraction(1, count) for mask in range(1, count + 1)},
        n_modalities,
        label="mopoe",
        note="MoPoE's released code uses the weighted sum of each subset's own KL (own density); its paper also "
        "states the KL of the mixture, for which the mixture-density ceiling is the one that holds.",
    )


def mvae_subsampled(n_modalities: int, k: int = 1) -> SubsetScheme:
    """MVAE's sub-sampled objective: joint + unimodal + ``k`` random subsets (THEORY T10.2).

    Every term is an ELBO on the subset's *own* modalities. The ``k`` random subsets are uniform over the
    subsets with at least two and fewer than ``M`` modalities, so each of them has coefficient
    ``k / (2^M - M - 2)``; for ``M <= 2`` there are none and ``k`` has no effect.
    """
    _check_count(n_modalities)
    if k < 0:
        raise InputError(f"the number of random subsets is {k}: give 0 or more")
    top = (1 << n_modalities) - 1
    coefficients = {1 << m: Fraction(1) for m in range(n_modalities)}
    coefficients[top] = coefficients.get(top, Fraction(0)) + 1
    between = [mask for mask in range(1, top) if mask.bit_count() >= 2]
    if k:
        coefficients.update({mask: Fraction(k, len(between)) for mask in between})
    return SubsetScheme(
        coefficients,
        n_modalities,
        label="mvae-subsampled",
        objective="sub-sampled",
        note=f"MVAE's training objective with k={k} random subsets a step: a sum of ELBOs, not a mixture.",
    )


#: Schemes by the name a command line uses.
FAMILIES: Mapping[str, Callable[[int], SubsetScheme]] = MappingProxyType(
    {"mvae": full, "mmvae": mmvae, "mopoe": mopoe, "mvae-subsampled": mvae_subsampled}
)


def parse_scheme(text: str, names: Sequence[str]) -> SubsetScheme:
    """A scheme by family name (``mopoe``) or as weights (``image:0.5,image+text:1/2``).

    Raises:
        InputError: neither a known family nor a list of ``SUBSET:WEIGHT``.
    """
    family = text.strip().lower()
    if family == "full":
        family = "mvae"
    if family in FAMILIES:
        return FAMILIES[family](len(names))
    if ":" not in text:
        raise InputError(
            f"unknown scheme {text!r}: use {', '.join(FAMILIES)}, or weights such as "
            f"'{names[0]}:0.5,{'+'.join(names[:2])}:0.5'"
        )
    weights: dict[int, Fraction] = {}
    for part in text.split(","):
        subset, _, weight = part.rpartition(":")
        try:
            value = Fraction(weight.strip())
        except (ValueError, ZeroDivisionError):
            raise InputError(f"scheme {text!r}: {weight.strip()!r} is not a weight; write 0.25 or 1/4") from None
        given = [name.strip() for name in subset.split("+")] if subset.strip() else []
        if "" in given:
            raise InputError(f"scheme {text!r}: subset {subset.strip()!r} has a '+' without a modality beside it")
        mask = parse_subset(given, names)
        if mask.bit_count() < len(given):
            twice = next(name for name in given if given.count(name) > 1)
            raise InputError(f"scheme {text!r}: subset {subset.strip()!r} has {twice!r} twice: name it once")
        if mask in weights:
            raise InputError(f"scheme {text!r}: subset {subset.strip()!r} is given twice")
        weights[mask] = value
    return SubsetScheme(weights, len(names), names=names, label=text.strip())


def parse_schemes(
    scheme: SubsetScheme | str | Sequence[SubsetScheme | str], names: Sequence[str]
) -> list[SubsetScheme]:
    """One or more schemes, given themselves or as :func:`parse_scheme` reads them.

    Raises:
        InputError: none, two of one label, or what cannot be read.

    >>> [one.label for one in parse_schemes(["mvae", mmvae(2)], ["image", "text"])]
    ['mvae', 'mmvae']
    """
    listed = [scheme] if isinstance(scheme, str | SubsetScheme) else list(scheme)
    if not listed:
        raise InputError(f"no scheme: give at least one of {', '.join(FAMILIES)}")
    schemes = [parse_scheme(item, names) if isinstance(item, str) else item for item in listed]
    labels = [one.label for one in schemes]
    if len(set(labels)) < len(labels):
        raise InputError(
            f"scheme {max(labels, key=labels.count)!r} is given twice: give each one once, or other labels"
        )
    return schemes


def _check_count(n_modalities: int) -> None:
    if not isinstance(n_modalities, int | np.integer) or n_modalities < 1:
        raise InputError(f"the number of modalities is {n_modalities}: give an integer of at least 1")
