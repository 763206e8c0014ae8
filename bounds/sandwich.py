"""Cheap bounds of the irreducible loss of a probability table from both sides (THEORY T4).

The irreducible loss ``delta* = -H(X) - sup L_S`` is what the best of all models with decoders that factorise over units
loses. Its lower bound and two of its upper bounds are functionals of the entropies, up to ``H(w)``. The other two are
*not* linear in the entropies: one is the minimum of a convex program, and one depends on which cells of the table are
empty. Every upper bound is what a model loses whose latent says a subset ``B`` and ``X_B``, or a group of subsets and
what its members have in common.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations
from operator import or_
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bounds.ceilings import total_correlation_term
from bounds.counts import joint_code
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.formulas import total_correlation
from bounds.joints import Discrete
from bounds.lattice import minus_xlogx
from bounds.schemes import SubsetScheme
from bounds.subsets import format_subset, members, submasks, union

#: The lattice bound is followed until it is proved to be within this of its minimum, in nats ...
LATTICE_GAP = 1e-8
#: ... or for so many steps. Where subsets are nearly as good as others the gap falls like one over their number.
LATTICE_STEPS = 20_000
#: A weight of the lattice below this counts nothing: subnormal numbers are slow and inexact.
_VANISHED = 1e-200
#: Up to so many encoded subsets every partition into groups is tried.
MAX_PARTITIONED = 8
#: Up to so many groups are merged greedily; above, only all together and all apart are tried.
MAX_MERGED = 64

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class LossBounds:
    """``lower <= delta* <= upper``, in nats, with every upper bound that ``upper`` is the least of (THEORY T4).

    Attributes:
        names: the modalities.
        scheme: the encoded subsets.
        lower: ``sum_A w_A TC_A`` (T2), ``TC_A = TC(X_R|X_A)`` over units. It can be very loose.
        total_correlation: ``TC(X)`` over units, which a constant latent loses.
        labelled: ``lower + H(w)``, which the latent ``(A, X_A)`` loses.
        lattice: ``-sum_A w_A ln sum_{B in A} nu_B e^(-TC_B)`` at ``lattice_weights``: an encoder of ``A`` may say
            ``(B, X_B)`` for any ``B`` within ``A``. Up to ``lattice_gap`` it is at most the two before. Not linear in
            the entropies.
        lattice_gap: how far ``lattice`` may be above the least value over all ``nu``, by duality: for any ``c_A > 0``
            that value is at least ``-sum_A w_A ln c_A - ln max_B sum_{A over B} w_A e^(-TC_B) / c_A``.
        lattice_weights: ``nu``, for each subset of modalities that is within an encoded one.
        shared_codes: ``H(w_pi) + sum_G w_G TC(X|V_G)`` for the groups ``partition`` of the encoded subsets, ``V_G``
            being the common part (Gacs and Koerner 1973) of the ``X_A``, ``A`` in ``G``: the finest variable that is a
            function of each of them. At most ``labelled``. Not linear in the entropies: a common part depends on which
            cells of the table are zero, and one of tiny probability can join all of its values.
        partition: the groups of ``shared_codes``: the best of all for up to :data:`MAX_PARTITIONED` encoded subsets;
            else the best of all together, all apart and, for up to :data:`MAX_MERGED`, what greedy merging finds.
    """

    names: tuple[str, ...]
    scheme: SubsetScheme
    lower: float
    total_correlation: float
    labelled: float
    lattice: float
    lattice_gap: float
    lattice_weights: Mapping[int, float]
    shared_codes: float
    partition: Groups

    def __post_init__(self) -> None:
        object.__setattr__(self, "lattice_weights", MappingProxyType(dict(self.lattice_weights)))

    @property
    def upper_bounds(self) -> dict[str, float]:
        """Each upper bound by its name."""
        return {
            "total correlation": self.total_correlation,
            "labelled": self.labelled,
            "lattice": self.lattice,
            "shared codes": self.shared_codes,
        }

    @property
    def upper(self) -> float:
        """The least of the upper bounds."""
        return min(self.upper_bounds.values())

    @property
    def upper_name(self) -> str:
        """Which upper bound is the least; of several that agree to 1e-12 the first in :attr:`upper_bounds`."""
        return next(name for name, value in self.upper_bounds.items() if value <= self.upper + 1e-12)

    def __str__(self) -> str:
        bounds = ", ".join(f"{name} {value:.6f}" for name, value in self.upper_bounds.items())
        return (
            f"{self.scheme.label}: {self.lower:.6f} <= irreducible ELBO loss <= {self.upper:.6f} nats "
            f"({self.upper_name})\n  upper bounds: {bounds}\n  lattice: within {self.lattice_gap:.1g} of its minimum; "
            f"shared codes: {len(self.scheme.weights)} encoded subsets in {len(self.partition)} groups"
        )

    def _repr_html_(self) -> str:
        rows = {"T2 (lower bound)": self.lower, **self.upper_bounds}
        cells = "".join(f"<tr><th>{name}</th><td>{value:.6f}</td></tr>" for name, value in rows.items())
        return (
            f"<table><caption>{html.escape(self.scheme.label)}: bounds of the irreducible ELBO loss (nats)</caption>"
            f"{cells}</table>"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; subsets are comma-separated names."""
        return {
            "scheme": self.scheme.label,
            "unit": "nats",
            "theorem": "T4",
            "lower": self.lower,
            "upper": self.upper,
            "upper_name": self.upper_name,
            "total_correlation": self.total_correlation,
            "labelled": self.labelled,
            "lattice": self.lattice,
            "lattice_gap": self.lattice_gap,
            "lattice_weights": {self._name(subset): nu for subset, nu in self.lattice_weights.items()},
            "shared_codes": self.shared_codes,
            "partition": [[self._name(subset) for subset in group] for group in self.partition],
        }

    def _name(self, subset: int) -> str:
        return format_subset(subset, self.names) or "(empty)"


def loss_bounds(law: Discrete, scheme: SubsetScheme) -> LossBounds:
    """Bounds of the irreducible loss of a probability table, without searching for the best model (THEORY T4).

    Args:
        law: the table; decoders factorise over its units.
        scheme: the encoded subsets, the empty and the full one allowed.

    Raises:
        InputError: another kind of law, or a scheme over other modalities.
        ObjectiveError: a sub-sampled scheme, which is a sum of ELBOs.

    >>> from bounds import mmvae
    >>> copy = Discrete([[0.5, 0.0], [0.0, 0.5]])  # what both modalities show needs no label
    >>> found = loss_bounds(copy, mmvae(2))
    >>> found.lower, found.upper, found.upper_name
    (0.0, 0.0, 'shared codes')
    """
    if not isinstance(law, Discrete):
        raise InputError(
            f"{type(law).__name__} is no probability table, and only for these are upper bounds of the loss known: "
            "give a Discrete law (a CommonCause has .to_discrete())"
        )
    finer = len(law.layout.unit_names) > len(law.names)
    h = law.unit_entropies() if finer else law.entropy_vector()
    lower = float(total_correlation_term(h, scheme))
    conditional = _total_correlations(h, scheme)
    lattice, gap, nu = _lattice_bound(conditional, scheme)
    shared, partition = _shared_codes(law, scheme, lower + scheme.entropy)
    return LossBounds(
        names=law.names,
        scheme=scheme,
        lower=lower,
        total_correlation=conditional[0],
        labelled=lower + scheme.entropy,
        lattice=lattice,
        lattice_gap=gap,
        lattice_weights=nu,
        shared_codes=shared,
        partition=partition,
    )


def _total_correlations(h: EntropyVector, scheme: SubsetScheme) -> dict[int, float]:
    """``TC_B`` of every subset ``B`` of an encoded subset."""
    count = scheme.n_modalities
    inside = np.zeros(1 << count)
    inside[list(scheme.weights)] = 1.0
    below = np.flatnonzero(_over_supersets(inside))
    return {
        int(subset): float(h.evaluate(total_correlation(h, SubsetScheme({int(subset): 1}, count, allow_empty=True))))
        for subset in below
    }


# --- the subset lattice ---------------------------------------------------------------------------------------------


def _over_subsets(values: np.ndarray) -> np.ndarray:
    """``(2**M,)``: for each subset the sum over its own subsets, one pass for each modality."""
    total = values.copy()
    for m in range(len(total).bit_length() - 1):
        halves = total.reshape(-1, 2, 1 << m)
        halves[:, 1] += halves[:, 0]
    return total


def _over_supersets(values: np.ndarray) -> np.ndarray:
    """``(2**M,)``: for each subset the sum over all that contain it."""
    total = values.copy()
    for m in range(len(total).bit_length() - 1):
        halves = total.reshape(-1, 2, 1 << m)
        halves[:, 0] += halves[:, 1]
    return total


def _lattice_bound(tc: Mapping[int, float], scheme: SubsetScheme) -> tuple[float, float, dict[int, float]]:
    """The bound, how far it may be from the minimum, and ``nu``, by the iteration of Blahut and Arimoto.

    A step multiplies ``nu_B`` by ``g_B = sum_{A over B} w_A e^(-TC_B) / c_A``, ``c_A = sum_{B in A} nu_B e^(-TC_B)``.
    It never raises the bound, and by duality at these ``c`` the bound is within ``ln max_B g_B`` of the least one.
    """
    subsets = list(tc)
    encoded, weight = list(scheme.weights), np.array([float(w) for w in scheme.weights.values()])
    kernel, nu, ratio = (np.zeros(1 << scheme.n_modalities) for _ in range(3))
    kernel[subsets] = np.exp([-value for value in tc.values()])
    nu[subsets] = 1 / len(subsets)
    for step in range(LATTICE_STEPS):
        mixed = _over_subsets(nu * kernel)[encoded]
        ratio[encoded] = weight / mixed
        gain = kernel * _over_supersets(ratio)
        gap = math.log(gain.max())
        if gap <= LATTICE_GAP or step == LATTICE_STEPS - 1:
            break
        nu = nu * gain
        nu[nu < _VANISHED] = 0.0
    return -float(weight @ np.log(mixed)), gap, {subset: float(nu[subset]) for subset in subsets}


# --- shared codes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Support:
    """The cells of positive probability.

    Attributes:
        p: ``(S,)``, their probabilities.
        units: for each unit ``(S,)``, its symbol.
    """

    p: np.ndarray
    units: np.ndarray

    @classmethod
    def of(cls, law: Discrete) -> _Support:
        table = law.pmf.reshape(law.unit_alphabets)
        cells = np.nonzero(table)
        return cls(table[cells], np.array(cells))

    @cached_property
    def entropy(self) -> float:
        """``H(X)``."""
        return float(minus_xlogx(self.p).sum())

    def code(self, units: Iterable[int]) -> np.ndarray:
        """``(S,)``: the values of some units together, numbered."""
        chosen = [self.units[u] for u in units]
        if not chosen:
            return np.zeros(len(self.p), dtype=np.int64)
        together, _ = joint_code(chosen, [int(unit.max()) + 1 for unit in chosen])
        return np.asarray(np.unique(together, return_inverse=True)[1])

    def total_correlation(self, code: np.ndarray) -> float:
        """``TC(X|V)`` over units, of a code ``V = v(X)``."""
        h_code = self._entropy(code)
        alone = (self._entropy(code * (int(unit.max()) + 1) + unit) - h_code for unit in self.units)
        return math.fsum([*alone, h_code, -self.entropy])

    def _entropy(self, code: np.ndarray) -> float:
        return float(minus_xlogx(np.bincount(code, self.p)).sum())


def _common_part(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``(S,)``: the finest code that is a function of either, numbered.

    Its values are the connected components of the graph that joins a value of one code to a value of the other wherever
    some cell has both. The common part of more codes is that of one with the common part of the others.
    """
    left, right = int(first.max()) + 1, int(second.max()) + 1
    edges = coo_array((np.ones(len(first)), (first, left + second)), shape=(left + right, left + right))
    return np.asarray(connected_components(edges, directed=False)[1][first], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Group:
    """Encoded subsets that send one code, a function of each of them; ``cost`` is ``w_G (TC(X|V_G) - ln w_G)``."""

    support: _Support
    subsets: tuple[int, ...]
    weight: float
    code: np.ndarray

    @cached_property
    def cost(self) -> float:
        return self.weight * (self.support.total_correlation(self.code) - math.log(self.weight))

    def __or__(self, other: _Group) -> _Group:
        weight = math.fsum((self.weight, other.weight))
        return _Group(self.support, self.subsets + other.subsets, weight, _common_part(self.code, other.code))


def _shared_codes(law: Discrete, scheme: SubsetScheme, labelled: float) -> tuple[float, Groups]:
    """The least ``H(w_pi) + sum_G w_G TC(X|V_G)`` and its partition; ``labelled`` is that of all apart."""
    support = _Support.of(law)
    alone = (
        _Group(support, (subset,), float(w), support.code(members(union(law.layout.modality_units, subset))))
        for subset, w in scheme
    )
    if len(scheme.weights) <= MAX_PARTITIONED:
        groups = _best_partition(list(alone))
    elif len(scheme.weights) <= MAX_MERGED:
        each = list(alone)
        groups = min([_merged(each), [reduce(or_, each)]], key=_total)
    else:
        # One code at a time: all of them may not fit in memory.
        groups = [reduce(or_, alone)]
        if labelled < _total(groups):
            return labelled, tuple((subset,) for subset in scheme.weights)
    return _total(groups), tuple(sorted(tuple(sorted(group.subsets)) for group in groups))


def _total(groups: Iterable[_Group]) -> float:
    return math.fsum(group.cost for group in groups)


def _best_partition(alone: Sequence[_Group]) -> list[_Group]:
    """The partition of least total cost: the best way to group any of the subsets, from fewer to more of them."""
    union_of: dict[int, _Group] = {}
    best: dict[int, list[_Group]] = {0: []}
    for chosen in range(1, 1 << len(alone)):
        first = chosen & -chosen
        own, others = alone[first.bit_length() - 1], chosen ^ first
        union_of[chosen] = own | union_of[others] if others else own
        # the group of the first subset, and the best way to group the rest
        ways = ([union_of[first | with_it], *best[others ^ with_it]] for with_it in submasks(others))
        best[chosen] = min(ways, key=_total)
    return best[(1 << len(alone)) - 1]


def _merged(alone: Sequence[_Group]) -> list[_Group]:
    """Merges, again and again, the two groups whose union saves most, until none saves anything."""
    groups = dict(enumerate(alone))
    unions = {(i, j): groups[i] | groups[j] for i, j in combinations(groups, 2)}

    def saving(pair: tuple[int, int]) -> float:
        return groups[pair[0]].cost + groups[pair[1]].cost - unions[pair].cost

    while unions and saving(best := max(unions, key=saving)) > 0:
        new = max(groups) + 1
        groups[new] = unions[best]
        for gone in best:
            del groups[gone]
        unions = {pair: both for pair, both in unions.items() if not set(pair) & set(best)}
        unions |= {(i, new): groups[i] | groups[new] for i in groups if i != new}
    return list(groups.values())
