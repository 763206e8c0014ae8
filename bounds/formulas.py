"""The quantities of a scheme as exact functionals of the entropies: each formula of the theory stands here once.

Everything is over bitmasks of decoder units; a :class:`Ground` says which units make up which modality.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import wraps
from typing import Protocol
from weakref import WeakKeyDictionary

from bounds.errors import InputError, ObjectiveError
from bounds.functional import Functional
from bounds.schemes import SubsetScheme
from bounds.subsets import members, union


class HasUnits(Protocol):
    """Units by name, and the bitmask of units of each modality: an entropy vector, or a :class:`Ground`."""

    @property
    def names(self) -> tuple[str, ...]:
        """The units."""
        ...

    @property
    def modality_units(self) -> tuple[int, ...]:
        """For each modality the bitmask of its units."""
        ...


@dataclass(frozen=True)
class Ground:
    """Units and modalities without any entropies, to state a formula about them."""

    names: tuple[str, ...]
    modality_units: tuple[int, ...]

    @classmethod
    def of(cls, names: Sequence[str], modality_units: Sequence[int] | None = None) -> Ground:
        """By default one unit per modality."""
        units = [1 << m for m in range(len(names))] if modality_units is None else modality_units
        return cls(tuple(names), tuple(units))


class Terms:
    """Collects ``coefficient * H(units)`` over one scheme, exactly: whole numbers over one denominator."""

    def __init__(self, ground: HasUnits, scheme: SubsetScheme) -> None:
        count = len(ground.modality_units)
        if scheme.n_modalities != count:
            raise InputError(
                f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the entropies over {count}"
            )
        self.ground = ground
        self.top = union(ground.modality_units, (1 << count) - 1)
        self.denominator = math.lcm(*{weight.denominator for weight in scheme.weights.values()})
        self.numerators: defaultdict[int, int] = defaultdict(int)

    def seen(self, subset: int) -> int:
        """The units of a subset of modalities, as a bitmask."""
        return union(self.ground.modality_units, subset)

    def unseen(self, subset: int) -> tuple[int, ...]:
        """The units outside a subset of modalities."""
        return members(self.top & ~self.seen(subset))

    def add(self, units: int, coefficient: Fraction) -> None:
        """``coefficient * H(units)``."""
        numerator = self._numerator(coefficient)
        self.numerators[units] += numerator

    def _numerator(self, coefficient: Fraction) -> int:
        """That of the coefficient over the common denominator, which grows if it must."""
        if self.denominator % coefficient.denominator:
            larger = math.lcm(self.denominator, coefficient.denominator)
            for units in self.numerators:
                self.numerators[units] *= larger // self.denominator
            self.denominator = larger
        return coefficient.numerator * (self.denominator // coefficient.denominator)

    def add_unseen(self, subset: int, weight: Fraction) -> None:
        """``weight * sum_{m not in A} H(X_m | X_A)``."""
        known = self.seen(subset)
        unseen = self.unseen(subset)
        numerator = self._numerator(weight)
        for unit in unseen:
            self.numerators[known | 1 << unit] += numerator
        self.add(known, -len(unseen) * weight)

    def functional(self) -> Functional:
        """What has been collected."""
        # many subsets share a coefficient, and a fraction takes longer to make than to look up
        exact = {number: Fraction(number, self.denominator) for number in set(self.numerators.values())}
        return Functional(self.ground.names, {units: exact[number] for units, number in self.numerators.items()})


_Formula = Callable[[HasUnits, SubsetScheme], Functional]


def _remembered(formula: _Formula) -> _Formula:
    """The formula, which keeps its last result for each ground: several bounds need it, and it may have 2^M terms."""
    last: WeakKeyDictionary[HasUnits, tuple[SubsetScheme, Functional]] = WeakKeyDictionary()

    @wraps(formula)
    def remembering(ground: HasUnits, scheme: SubsetScheme) -> Functional:
        known = last.get(ground)
        # the same object: comparing 2^M weights takes as long as the formula
        if known is None or known[0] is not scheme:
            known = last[ground] = scheme, formula(ground, scheme)
        return known[1]

    return remembering


@_remembered
def discrepancy(ground: HasUnits, scheme: SubsetScheme) -> Functional:
    """``Delta = sum_A w_A H(X_rest | X_A)``.

    >>> from bounds import mmvae
    >>> print(discrepancy(Ground.of(["X", "Y"]), mmvae(2)))
    -1/2 H(X) - 1/2 H(Y) + H(X,Y)
    """
    terms = Terms(ground, scheme)
    for subset, weight in _mixture(scheme):
        terms.add(terms.top, weight)
        terms.add(terms.seen(subset), -weight)
    return terms.functional()


@_remembered
def unseen_entropies(ground: HasUnits, scheme: SubsetScheme) -> Functional:
    """``sum_A w_A sum_{m not in A} H(X_m | X_A)`` over units (T1)."""
    terms = Terms(ground, scheme)
    for subset, weight in _mixture(scheme):
        terms.add_unseen(subset, weight)
    return terms.functional()


def total_correlation(ground: HasUnits, scheme: SubsetScheme) -> Functional:
    """``sum_A w_A TC(X_rest | X_A)`` over units (T2)."""
    return unseen_entropies(ground, scheme) - discrepancy(ground, scheme)


def seen_entropies(ground: HasUnits, scheme: SubsetScheme) -> Functional:
    """``sum_A c_A H(X_A)``, for a mixture or a sum of ELBOs (T10.2)."""
    terms = Terms(ground, scheme)
    for subset, weight in scheme:
        terms.add(terms.seen(subset), weight)
    return terms.functional()


def joint_entropy(ground: HasUnits) -> Functional:
    """``H(X)``."""
    return Functional(ground.names, {union(ground.modality_units, (1 << len(ground.modality_units)) - 1): 1})


def _mixture(scheme: SubsetScheme) -> SubsetScheme:
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(
            f"scheme {scheme.label} is a sum of ELBOs, not a mixture over subsets: its only bound is "
            "elbo_ceiling(h, scheme, 'sub-sampled')"
        )
    return scheme
