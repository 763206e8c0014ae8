"""A floor of the irreducible loss from pairs of unseen units (Chow and Liu 1968; THEORY T10.6).

``TC_A >= sum over the edges of a forest of I(X_i;X_j|X_A)`` for every forest on the unseen units, so the entropies of
``X_A`` with up to two more units bound the total-correlation term, which has that of all units together. For a fixed
forest the floor is a linear functional of the entropies and has an interval as such.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, compress
from typing import Any

import numpy as np
from scipy.special import digamma, ndtri

from bounds.collinearity import standardised
from bounds.counts import joint_code
from bounds.discrete_entropy import chao_wang_jost, plug_in
from bounds.entropies import EntropyVector, Kind
from bounds.errors import InputError, ObjectiveError
from bounds.estimators import MAX_UNSEEN, MIN_COVERAGE, MIN_DISTINCT
from bounds.formulas import Ground, HasUnits, Terms
from bounds.functional import Functional, I
from bounds.gaussian_interval import InfluenceInterval
from bounds.intervals import GuaranteedInterval
from bounds.joints import Discrete, Gaussian, Law
from bounds.lattice import correlation, half_logdet, marginal_entropy
from bounds.layout import Layout
from bounds.quantity import Quantity
from bounds.samples import Samples
from bounds.schemes import SubsetScheme
from bounds.subsets import SubsetLike, format_subset, members, parse_subset

#: Pairs of units.
Edges = tuple[tuple[int, int], ...]

_NAME = "Chow-Liu floor of the irreducible ELBO loss"
_READ_LOW = "the loss is at least the lower end; the upper end bounds the floor, not the loss"
_FORMULAS = {"plug-in": plug_in, "chao-wang-jost": chao_wang_jost}
#: Entropy of a standard normal variable.
_NORMAL = 0.5 * math.log(2 * math.pi * math.e)


def heaviest_forest(weights: Mapping[tuple[int, int], float]) -> Edges:
    """The forest of largest total weight, by Kruskal's algorithm; edges without positive weight are left out.

    >>> heaviest_forest({(0, 1): 0.3, (1, 2): 0.2, (0, 2): 0.1, (2, 3): -0.1})
    ((0, 1), (1, 2))
    """
    positive = sorted((edge for edge, weight in weights.items() if weight > 0), key=lambda edge: -weights[edge])
    return tuple(compress(positive, _joins(positive)))


def chow_liu_floor(
    data: Law | Samples | EntropyVector,
    scheme: SubsetScheme,
    *,
    forest: Iterable[tuple[int | str, int | str]] | None = None,
    estimator: str = "auto",
    confidence: float = 0.95,
) -> Quantity:
    """``sum_A w_A sum_{(i,j)} I(X_i;X_j|X_A) <= sum_A w_A TC_A``: a floor of the irreducible loss (THEORY T10.6).

    For each encoded subset ``A`` the heaviest forest is taken. For samples it is chosen on every other row and
    evaluated on the rows between, so that the interval is right as if it had been fixed before; rows must be
    independent. Entropies that were estimated elsewhere cannot be split: the confidence is then nominal, and ``method``
    says so.

    Args:
        data: a law or samples, at the level of their decoder units, or entropies, among them those of each ``X_A`` with
            up to two more units.
        scheme: the encoded subsets.
        forest: pairs of units, by name or index and without a cycle, that were chosen without looking at the data, such
            as neighbouring pixels. For each ``A`` those pairs count that it leaves out. Samples are then not split.
        estimator: for samples. Discrete ones: ``chao-wang-jost`` (what ``auto`` takes) or ``plug-in``. Continuous ones:
            ``gaussian-copula`` (``auto``), or ``gaussian`` (``auto`` where columns have many ties).
        confidence: of the interval, where entropies are estimated.

    Raises:
        InputError: entropies that are not there, mixed data, an estimator for other data, a forest with a cycle, or a
            scheme over other modalities.
        ObjectiveError: a sub-sampled scheme, which is a sum of ELBOs.

    >>> from bounds import mmvae
    >>> xor = Discrete(np.array([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]]))
    >>> print(chow_liu_floor(xor, mmvae(3)))  # given one bit the other two are one
    Chow-Liu floor of the irreducible ELBO loss = 0.693147 nats (exact)
    """
    ground = data if isinstance(data, EntropyVector) else _ground(data.layout)
    fixed = None if forest is None else _checked(forest, ground.names)
    branches = _branches(ground, scheme, fixed)
    if isinstance(data, Samples):
        estimator = _resolved(data, estimator)
        if fixed is not None:
            return _floor(_entropies_of_samples(data, _masks(branches), estimator), branches, confidence)
        first, second = (_every_other(data, start) for start in (0, 1))
        branches, notes = _chosen(_entropies_of_samples(first, _masks(branches), estimator), branches)
        judged = _entropies_of_samples(second, _masks(branches), estimator)
        judged = replace(judged, method=f"{judged.method}; forest chosen on the other {first.n} rows")
        return _floor(judged, branches, confidence, notes)
    h = data if isinstance(data, EntropyVector) else _entropies_of_law(data, _masks(branches))
    if fixed is not None:
        return _floor(h, branches, confidence)
    branches, notes = _chosen(h, branches)
    found = _floor(h, branches, confidence, notes)
    if found.guarantee in ("exact", "none"):
        return found
    return replace(
        found,
        # With more and more rows the best of the forests is the one chosen, and its interval holds.
        guarantee="asymptotic" if found.guarantee == "guaranteed" else found.guarantee,
        method=f"{found.method}; forest chosen on the same data, so the confidence is nominal",
    )


def pairwise_floor(
    h: EntropyVector, first: SubsetLike, second: SubsetLike, given: SubsetLike, *, confidence: float = 0.95
) -> Quantity:
    """``I(X_i;X_j) - min{I(X_i;X_A), I(X_j;X_A)} <= I(X_i;X_j|X_A)``, from pairs alone (THEORY T10.6).

    The entropy of all three together is not needed. Where the floor is below zero it says nothing.

    Args:
        h: entropies of which the three are variables, or sets of them.
        first: ``i``.
        second: ``j``.
        given: ``A``.
        confidence: where ``h`` is estimated, that with which the intervals of both differences hold.

    Raises:
        InputError: sets that are empty or not disjoint, or entropies that are not there.

    >>> triple = np.zeros((2, 2, 2))
    >>> triple[0, 0, :] = triple[1, 1, :] = 0.25  # X1 = X2, and X3 apart
    >>> print(pairwise_floor(Discrete(triple).entropy_vector(), "X1", "X2", "X3"))
    I(X1;X2|X3) from pairs = 0.693147 nats (exact)
    """
    i, j, a = masks = [parse_subset(one, h.names) for one in (first, second, given)]
    if not all(masks) or sum(masks) != i | j | a:
        raise InputError("give three sets of variables that are not empty and have none in common")
    shown = [format_subset(mask, h.names) for mask in masks]
    each = confidence if h.interval is None else 1 - (1 - confidence) / 2
    found = [
        h.evaluate(
            I(h.names, i, j) - I(h.names, side, a),
            name=f"I({shown[0]};{shown[1]}|{shown[2]}) from pairs",
            theorem="T10.6",
            confidence=each,
        )
        for side in (i, j)
    ]
    known = [quantity for quantity in found if quantity.value is not None]
    if not known:
        return found[0]
    best = max(known, key=float)
    if h.interval is None:
        return best
    # While both intervals hold, the larger floor is between the largest of their lower and of their upper ends.
    lows = [quantity.low for quantity in known if quantity.low is not None]
    highs = [quantity.high for quantity in known if quantity.high is not None]
    return replace(
        best,
        low=max(lows, default=None),
        high=max(highs) if len(highs) == len(found) else None,
        confidence=confidence,
        method=f"{best.method}; the larger of two floors, their intervals at {each:.6g} each",
    )


# --- forests and their functional -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Branch:
    """An encoded subset: its weight, its units as a bitmask, and pairs of units outside it."""

    weight: Fraction
    seen: int
    pairs: Edges

    def information(self, names: Sequence[str], pair: tuple[int, int]) -> Functional:
        """``I(X_i;X_j|X_A)``."""
        return I(names, 1 << pair[0], 1 << pair[1], self.seen)


def _ground(layout: Layout) -> Ground:
    return Ground.of(layout.unit_names, layout.modality_units)


def _branches(ground: HasUnits, scheme: SubsetScheme, forest: Edges | None) -> list[_Branch]:
    """For each encoded subset all pairs of unseen units, or those of a forest."""
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(f"scheme {scheme.label} is a sum of ELBOs, not a mixture over subsets: T2 is not about it")
    terms, found = Terms(ground, scheme), []
    for subset, weight in scheme:
        unseen = terms.unseen(subset)
        pairs = combinations(unseen, 2) if forest is None else (e for e in forest if set(e) <= set(unseen))
        found.append(_Branch(weight, terms.seen(subset), tuple(pairs)))
    return found


def _masks(branches: Iterable[_Branch]) -> list[int]:
    """The subsets of units whose entropies the pairs need."""
    found = set()
    for branch in branches:
        for i, j in branch.pairs:
            found |= {branch.seen | extra for extra in (0, 1 << i, 1 << j, 1 << i | 1 << j)}
    return sorted(found)


def _joins(edges: Sequence[tuple[int, int]]) -> Iterator[bool]:
    """For each edge whether it joins two trees of those before it; if not it closes a cycle."""
    tree: dict[int, int] = {}
    for edge in edges:
        kept, gone = (tree.setdefault(unit, unit) for unit in edge)
        yield kept != gone
        tree.update({unit: kept for unit, root in tree.items() if root == gone})


def _checked(forest: Iterable[tuple[int | str, int | str]], names: Sequence[str]) -> Edges:
    edges: list[tuple[int, int]] = []
    for pair in forest:
        ends = members(parse_subset(pair, names))
        if len(ends) != 2:
            raise InputError(f"forest: {pair!r} is no pair of two units, by name or index")
        edges.append((ends[0], ends[1]))
    for edge, joins in zip(edges, _joins(edges), strict=True):
        if not joins:
            raise InputError(
                f"forest: the pair {names[edge[0]]}, {names[edge[1]]} closes a cycle, and a sum over a cycle is no "
                "floor: leave one of its pairs out"
            )
    return tuple(edges)


def _chosen(h: EntropyVector, branches: Sequence[_Branch]) -> tuple[list[_Branch], tuple[str, ...]]:
    """The heaviest forest for each subset, and a note on pairs that have no number."""
    kept, reasons, count = [], [], 0
    for branch in branches:
        values = {pair: h.value(branch.information(h.names, pair)) for pair in branch.pairs}
        reasons += [value for value in values.values() if isinstance(value, str)]
        count += len(values)
        forest = heaviest_forest({pair: value for pair, value in values.items() if not isinstance(value, str)})
        kept.append(replace(branch, pairs=forest))
    if not reasons:
        return kept, ()
    return kept, (f"{len(reasons)} of {count} pairs have no number and are left out, such as {reasons[0]}",)


def _floor(h: EntropyVector, branches: Iterable[_Branch], confidence: float, notes: tuple[str, ...] = ()) -> Quantity:
    """The functional of the chosen pairs, evaluated; nothing if no pair has a number."""
    total = Functional(h.names, {})
    for branch in branches:
        for pair in branch.pairs:
            total += branch.weight * branch.information(h.names, pair)
    if notes and not total.masks:
        return Quantity(_NAME, None, method=h.method, guarantee="none", theorem="T10.6", notes=(*notes, *h.caveats))
    estimated = () if h.interval is None else (_READ_LOW,)
    return h.evaluate(total, name=_NAME, theorem="T10.6", confidence=confidence, notes=estimated + notes)


# --- the entropies that pairs need, and no others -------------------------------------------------------------------


def _vector(layout: Layout, values: Mapping[int, float], kind: Kind, **details: Any) -> EntropyVector:
    return EntropyVector(
        layout.unit_names,
        np.array(list(values.values())),
        kind,
        masks=tuple(values),
        modality_names=layout.names,
        modality_units=layout.modality_units,
        **details,
    )


def _entropies_of_law(law: Law, masks: Sequence[int]) -> EntropyVector:
    layout = law.layout
    if isinstance(law, Discrete):
        values = {mask: marginal_entropy(law.pmf, layout.variables_of_units(mask)) for mask in masks}
        return _vector(layout, values, "discrete")
    if isinstance(law, Gaussian):
        with np.errstate(divide="ignore"):
            own = _NORMAL + 0.5 * np.log(np.diagonal(law.cov))
        blocks = {mask: layout.variables_of_units(mask) for mask in masks}
        corr = correlation(law.cov)
        values = {mask: math.fsum([*own[block], _half_logdet(corr, block)]) for mask, block in blocks.items()}
        return _vector(layout, values, "differential")
    if len(layout.unit_names) > len(layout.names):
        raise InputError(
            f"the entropies of pairs of units of a {type(law).__name__} are not known: give a Discrete law (a "
            "CommonCause has .to_discrete()), a Gaussian, or the entropy vector of the modalities"
        )
    return law.entropy_vector()


def _half_logdet(corr: np.ndarray, block: Sequence[int]) -> float:
    return half_logdet(corr[np.ix_(block, block)]) if block else 0.0


def _resolved(samples: Samples, estimator: str) -> str:
    """The estimator's name.

    Raises:
        InputError: mixed data, or an estimator that is not for these.
    """
    if samples.kind == "mixed":
        raise InputError("the data mix discrete and continuous columns, and no estimator here supports that")
    known = tuple(_FORMULAS) if samples.kind == "discrete" else ("gaussian", "gaussian-copula")
    if estimator != "auto" and estimator not in known:
        raise InputError(f"pairs of {samples.kind} columns with estimator {estimator!r}: use {' or '.join(known)}")
    if estimator != "auto":
        return estimator
    if samples.kind == "discrete":
        return "chao-wang-jost"
    tied = any(len(np.unique(column)) < MIN_DISTINCT * samples.n for column in samples.columns)
    return "gaussian" if tied else "gaussian-copula"


def _every_other(samples: Samples, start: int) -> Samples:
    return replace(samples, columns=tuple(column[start::2] for column in samples.columns))


def _entropies_of_samples(samples: Samples, masks: Sequence[int], estimator: str) -> EntropyVector:
    estimate = _discrete_entropies if estimator in _FORMULAS else _gaussian_entropies
    return estimate(samples, masks, estimator)


def _discrete_entropies(samples: Samples, masks: Sequence[int], estimator: str) -> EntropyVector:
    """As :func:`bounds.estimators.estimate` has them, with its refusals, for these subsets alone."""
    n, once = samples.n, [int((np.bincount(column) == 1).sum()) for column in samples.columns]
    values, plain, log_alphabet, refusals = {0: 0.0}, {0: 0.0}, {0: 0.0}, {}
    for mask in filter(None, masks):
        columns = members(mask)
        code, _ = joint_code([samples.columns[v] for v in columns], [samples.alphabets[v] for v in columns])
        counts = np.unique(code, return_counts=True)[1]
        values[mask], plain[mask] = _FORMULAS[estimator](counts), plug_in(counts)
        log_alphabet[mask] = math.fsum(math.log(samples.alphabets[v]) for v in columns)
        if any(once[v] > MAX_UNSEEN * n for v in columns):
            refusals[mask] = "a column has many symbols that occur once, so others exist that were not observed"
        elif (counts == 1).sum() > (1 - MIN_COVERAGE) * n:
            refusals[mask] = (
                f"{n} rows are too few: {(counts == 1).sum() / n:.0%} of them hold a value that occurs once"
            )
    return _vector(
        samples.layout,
        values,
        "discrete",
        method=f"{estimator}, N={n}",
        interval=GuaranteedInterval(n, plain, log_alphabet),
        refusals=refusals,
        caveats=("columns are quantised: the dependence is that of their bins (T9)",)
        if any(samples.bin_widths)
        else (),
    )


def _gaussian_entropies(samples: Samples, masks: Sequence[int], estimator: str) -> EntropyVector:
    """Of the standardised columns, or of their normal scores: informations between units are the same (T9)."""
    from scipy.stats import rankdata

    n, names = samples.n, samples.layout.unit_names
    for name, column in zip(names, samples.columns, strict=True):
        if np.ptp(column) == 0:
            raise InputError(f"column {name!r} is constant in {n} rows, so it has no density: leave it out")
    data = np.column_stack(samples.columns)
    copula = estimator == "gaussian-copula"
    rows = standardised(ndtri((rankdata(data, axis=0) - 0.5) / n) if copula else data)
    cov = rows.T @ rows / n
    blocks = {mask: list(members(mask)) for mask in {0, *masks}}
    values, refusals = {}, {}
    for mask, block in blocks.items():
        found = _half_logdet(cov, block) if n > len(block) + 1 else -math.inf
        if found == -math.inf:
            refusals[mask] = f"in these {n} rows a column is a linear function of the others"
        # The expectation of (1/2) ln det of a sample covariance of normal rows is that of a Wishart matrix.
        bias = 0.5 * float((digamma((n - np.arange(1, len(block) + 1)) / 2) + math.log(2 / n)).sum()) if block else 0.0
        values[mask] = 0.0 if mask in refusals else found - bias + len(block) * _NORMAL
    what, margins = ("Gaussian copula", np.zeros(rows.shape)) if copula else ("Gaussian law", None)
    interval = InfluenceInterval(n, cov, blocks, values, what, rows=rows, marginal=margins)
    return _vector(
        samples.layout, values, "differential", method=f"{estimator}, N={n}", interval=interval, refusals=refusals
    )
