"""One-sided bounds from held-out losses, where no estimator of entropies supports the data (THEORY T10.7).

A loss bounds a conditional entropy from above, so it bounds Delta and the distortion floor from above and the ELBO
ceiling, which is minus a sum of conditional entropies, from below. The irreducible loss is a difference of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.special import stdtrit

from bounds.errors import InputError
from bounds.estimators.conditional_losses import Block, CrossFitted, Losses
from bounds.estimators.one_sided import ConditionalBounds, OneSidedLevel, OneSidedScheme
from bounds.layout import Layout
from bounds.likelihood.predictive import Fitting
from bounds.progress import Track, no_progress
from bounds.quantity import Quantity, check_confidence
from bounds.relative import MIN_EXAMPLES, long_tail
from bounds.samples import Samples
from bounds.schemes import SubsetScheme, parse_schemes

#: What is seen, and the blocks of what is not that a density keeps apart.
Request = tuple[Block, tuple[Block, ...]]

_THEOREM = "T10.7"
_COVERS = (
    "the limit is for the mean loss of the densities that were fitted, which is at least the entropy whatever the "
    "data, if rows are independent; a better density would bring value and limit down"
)
_UNITS = "a density's loss changes with the units of measurement, and it may be below zero (T9)"
_NOT_A_CEILING = (
    "a lower bound of a ceiling is no ceiling: models may exceed it, and no ELBO below it is refuted by T2; a ceiling "
    "needs entropies from both sides"
)
#: The plain statement where neither side can be had.
NEITHER = (
    "the irreducible loss is a difference, and held-out losses bound both its terms from above, so they bound it from "
    "neither side; where what is seen is continuous, nothing free of assumptions bounds it from below, beyond zero "
    "(T10.7). What can be had: a floor from pairs of units, under a model (chow_liu_floor, T10.6), data whose law is "
    "known, and what one model loses at least, by another density (relative_certificate, T10.7)"
)
_NO_LOWER = (
    "at least zero, as for every law; from above because an entropy of symbols is not negative, which is loose. For a "
    "floor other than zero see chow_liu_floor (T10.6)"
)
_SYMBOLS = "from below because an entropy of symbols is not negative"


class HeldOutDensities(Protocol):
    """Conditional densities, as far as bounds ask for them; :class:`CrossFitted` is one."""

    @property
    def method(self) -> str:
        """How they were fitted, in words."""
        ...

    def __call__(self, given: Block, blocks: Sequence[Block]) -> Losses:
        """``-sum_b ln q(x_b|x_given)`` of rows that fitted nothing."""
        ...


def conditional_bounds(
    samples: Samples,
    scheme: SubsetScheme | str | Sequence[SubsetScheme | str] = ("mvae", "mmvae", "mopoe"),
    *,
    predictor: str = "linear",
    folds: int = 5,
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
    track: Track = no_progress,
) -> ConditionalBounds:
    """Delta and the distortion floor from above, and the ELBO ceiling from below, for data of any kind.

    Nothing is assumed about the law of the data, and columns may be discrete, continuous, or both, more than there are
    rows. Each row is judged by densities fitted on other folds (:class:`CrossFitted`), so the limits are for the
    average of their losses in expectation, which is at least the entropy. For discrete data they are guaranteed
    (Maurer and Pontil 2009, on each fold), for rows that are independent and columns that show all their symbols; else
    asymptotic.

    Args:
        samples: the rows.
        scheme: schemes or their names.
        predictor: ``linear`` (ridge and logistic regression) or ``boosting`` (trees, slower; not linear).
        folds: at least 2.
        confidence: of each limit, in (0, 1).
        rng: draws the folds, and serves the trees; by default a generator with seed 0.
        track: shows progress.

    Raises:
        InputError: an unknown predictor, too few rows, a column of numbers that is constant outside a fold, or schemes
            that do not fit the data.

    >>> from bounds import Gaussian, mmvae
    >>> law = Gaussian([[1, 0.8], [0.8, 1]])
    >>> data = Samples.from_arrays(law.sample(2000, np.random.default_rng(0)))
    >>> delta = conditional_bounds(data, mmvae(2))["mmvae"].generative_discrepancy
    >>> round(law.entropy_vector()["X1", "X2"] - law.entropy_vector()["X1"], 3), round(delta.value, 3)
    (0.908, 0.914)
    """
    schemes = parse_schemes(scheme, samples.names)
    fitting = Fitting(predictor, folds, np.random.default_rng(0) if rng is None else rng)
    return bounds_of_densities(
        CrossFitted(samples, fitting),
        samples.layout,
        schemes,
        confidence,
        alphabets=samples.alphabets,
        source=samples.source,
        track=track,
    )


def bounds_of_densities(
    densities: HeldOutDensities,
    layout: Layout,
    schemes: Sequence[SubsetScheme],
    confidence: float = 0.95,
    *,
    alphabets: Sequence[int],
    source: str,
    track: Track = no_progress,
) -> ConditionalBounds:
    """The bounds that any conditional densities give, fitted on other rows than those that they are judged by.

    Args:
        densities: for each set of columns that is seen, of blocks of others.
        layout: of the columns, each of them a unit.
        schemes: the encoded subsets.
        confidence: of each limit, in (0, 1).
        alphabets: of each column the number of its symbols, 0 for numbers.
        source: what to call the data.
        track: shows progress.

    Raises:
        InputError: a confidence that is not in (0, 1), or a scheme over other modalities.
    """
    check_confidence(confidence)
    for one in schemes:
        if one.n_modalities != len(layout.names):
            raise InputError(
                f"scheme {one.label} is over {one.n_modalities} modalities, the data have {len(layout.names)}"
            )
    judge = _Judge(densities, layout, confidence, tuple(alphabets))
    asked = wanted(layout, schemes)
    for given, blocks in track(asked, "fitting densities", len(asked)):
        judge.losses(given, blocks)
    everything = judge.losses(*asked[0])
    return ConditionalBounds(
        source,
        "mixed" if any(alphabets) and not all(alphabets) else "discrete" if any(alphabets) else "continuous",
        len(everything.rows),
        layout.names,
        layout.unit_names,
        densities.method,
        judge.above("H(X)", everything),
        tuple(judge.bounds(one) for one in schemes),
    )


def wanted(layout: Layout, schemes: Sequence[SubsetScheme]) -> list[Request]:
    """What densities the bounds of schemes ask for, each once: what is seen, and blocks of what is not.

    >>> from bounds import mmvae
    >>> wanted(Layout.of(2), [mmvae(2)])
    [((), ((0, 1),)), ((), ((0,),)), ((0,), ((1,),)), ((), ((1,),)), ((1,), ((0,),))]
    """
    found: list[Request] = [((), _blocks(layout, 0, None))]
    for scheme in schemes:
        for subset, _ in scheme:
            seen = _inside(layout, subset)
            found.append(((), (seen,)))
            levels = () if scheme.objective == "sub-sampled" else (None, False, True)
            found += [(seen, _blocks(layout, subset, level)) for level in levels]
    return [(given, blocks) for given, blocks in dict.fromkeys(found) if any(blocks)]


def upper_limit(losses: Losses, confidence: float) -> tuple[float, str]:
    """Above the expected loss with this confidence: ``(limit, "guaranteed" or "asymptotic")``.

    Bounded losses: Maurer and Pontil's empirical Bernstein bound in each fold, whose rows are independent once its
    density is fixed, with an equal share of what may go wrong. Others: Student's quantile of the pooled rows, or of
    what they have in common.

    >>> rows = np.tile([0.0, 1.0], 500)
    >>> limit, guarantee = upper_limit(Losses(rows, (np.arange(1000),), 1.0), 0.95)
    >>> round(limit, 4), guarantee
    (0.5516, 'guaranteed')
    """
    count = len(losses.rows)
    if not math.isfinite(losses.largest):
        error, freedom = losses.standard_error()
        if not freedom:
            raise InputError("all held-out examples show the same, so nothing tells how far their mean may be off")
        return float(losses.rows.mean()) + float(stdtrit(freedom, confidence)) * error, "asymptotic"
    log_share = math.log(2 * len(losses.folds) / (1 - confidence))
    limit = 0.0
    for fold in losses.folds:
        rows = losses.rows[fold]
        spread = math.sqrt(2 * float(rows.var(ddof=1)) * log_share / len(rows))
        rest = 7 * losses.largest * log_share / (3 * (len(rows) - 1))
        limit += len(rows) / count * (float(rows.mean()) + spread + rest)
    return limit, "guaranteed"


class _Judge:
    """Losses to quantities; each loss is asked for once."""

    def __init__(
        self, densities: HeldOutDensities, layout: Layout, confidence: float, alphabets: tuple[int, ...]
    ) -> None:
        self._densities, self._confidence, self._alphabets = densities, confidence, alphabets
        self._kept: dict[tuple[Block, tuple[Block, ...]], Losses] = {}
        self._layout = layout
        self._finer = layout.n_variables > len(layout.names)

    def losses(self, given: Block, blocks: tuple[Block, ...]) -> Losses:
        if (given, blocks) not in self._kept:
            self._kept[given, blocks] = self._densities(given, blocks)
        return self._kept[given, blocks]

    def bounds(self, scheme: SubsetScheme) -> OneSidedScheme:
        mixture = scheme.objective != "sub-sampled"
        delta = self._sum([(float(w), *self._request(a, None)) for a, w in scheme]) if mixture else None
        return OneSidedScheme(
            scheme,
            None if delta is None else self.above("Delta", delta) if delta.folds else _nothing("Delta"),
            self._level(scheme, fine=False),
            self._level(scheme, fine=True) if self._finer else None,
        )

    def above(self, name: str, losses: Losses) -> Quantity:
        """A quantity that an expected loss bounds from above."""
        symbols = math.isfinite(losses.largest)
        notes = (_COVERS, _SYMBOLS if symbols else _UNITS)
        return self._limited(f"upper bound of {name}", losses, notes, low=0.0 if symbols else None)

    def _level(self, scheme: SubsetScheme, fine: bool) -> OneSidedLevel:
        seen = [(float(w), (), (_inside(self._layout, a),)) for a, w in scheme if a]
        if scheme.objective == "sub-sampled":
            return OneSidedLevel(None, None, self._below("ELBO ceiling", self._sum(seen)))
        unseen = [(float(w), *self._request(a, fine)) for a, w in scheme]
        floor = self._sum(unseen)
        return OneSidedLevel(
            self.above("distortion floor", floor) if floor.folds else _nothing("distortion floor"),
            self._loss(scheme, fine),
            self._below("ELBO ceiling", self._sum([*seen, *unseen])),
        )

    def _loss(self, scheme: SubsetScheme, fine: bool) -> Quantity:
        """``TC <= sum H(X_m|X_A)`` without one of its terms, because the entropy of the rest is at least that term."""
        name = "irreducible ELBO loss"
        blocks = {subset: _blocks(self._layout, subset, fine) for subset, _ in scheme}
        if all(len(unseen) <= 1 for unseen in blocks.values()):
            return _nothing(name, "at most one block is unseen at a time")
        if not all(self._alphabets[v] for unseen in blocks.values() for block in unseen for v in block):
            return Quantity(
                name, None, method=self._densities.method, guarantee="none", theorem=_THEOREM, notes=(NEITHER,)
            )
        parts = []
        for subset, weight in scheme:
            # Which one is left out is settled by the alphabets, before any row is judged.
            largest = max(blocks[subset], key=self._log_alphabet, default=())
            parts.append(
                (float(weight), _inside(self._layout, subset), tuple(b for b in blocks[subset] if b != largest))
            )
        return self._limited(f"upper bound of {name}", self._sum(parts), (_NO_LOWER, _COVERS), low=0.0)

    def _below(self, name: str, losses: Losses) -> Quantity:
        """Minus an expected loss, of a quantity that is at least that."""
        found = self._limited(f"lower bound of {name}", losses, (_NOT_A_CEILING, _COVERS), low=None)
        if found.value is None or found.high is None:
            return found
        return Quantity(
            found.name,
            -found.value,
            -found.high,
            None,
            found.confidence,
            found.method,
            found.guarantee,
            _THEOREM,
            found.notes,
        )

    def _limited(self, name: str, losses: Losses, notes: tuple[str, ...], low: float | None) -> Quantity:
        method, count = self._densities.method, len(losses.rows)
        bounded = math.isfinite(losses.largest)
        if not bounded and count < MIN_EXAMPLES:
            why = f"{count} rows are too few for the central limit theorem: give at least {MIN_EXAMPLES}"
            return Quantity(name, None, method=method, guarantee="none", theorem=_THEOREM, notes=(why,))
        limit, guarantee = upper_limit(losses, self._confidence)
        if not bounded:
            notes += long_tail(
                -losses.rows, float(stdtrit(count - 1, self._confidence)), self._confidence, "log-densities"
            )
        mean = float(losses.rows.mean())
        return Quantity(name, mean, low, limit, self._confidence, method, guarantee, _THEOREM, notes)  # type: ignore[arg-type]

    def _sum(self, parts: Sequence[tuple[float, Block, tuple[Block, ...]]]) -> Losses:
        """The weighted sum of losses, row by row; of no blocks it has no folds and is zero."""
        found = [self.losses(given, blocks) * weight for weight, given, blocks in parts if blocks]
        return sum(found[1:], found[0]) if found else Losses(np.zeros(0), (), 0.0)

    def _request(self, subset: int, fine: bool | None) -> Request:
        return _inside(self._layout, subset), _blocks(self._layout, subset, fine)

    def _log_alphabet(self, block: Block) -> float:
        return math.fsum(math.log(self._alphabets[v]) for v in block)


def _inside(layout: Layout, subset: int) -> Block:
    return tuple(layout.variables_of_modalities(subset))


def _blocks(layout: Layout, subset: int, fine: bool | None) -> tuple[Block, ...]:
    """What the decoder keeps apart of the unseen: modalities, units if ``fine``, or for ``None`` nothing."""
    unseen = [_inside(layout, 1 << m) for m in range(len(layout.names)) if not subset >> m & 1]
    together = tuple(v for block in unseen for v in block)
    if fine is None:
        return (together,) if together else ()
    return tuple((v,) for v in together) if fine else tuple(unseen)


def _nothing(name: str, why: str = "nothing is unseen") -> Quantity:
    return Quantity(name, 0.0, method=f"exact: {why}", theorem="T2", notes=())
