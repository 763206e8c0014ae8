"""The paper's discrepancy, the distortion floor and the ELBO ceilings, each a functional of the entropies.

Every function takes entropies ``h`` and a scheme. The *level* of ``h`` decides what counts as a unit: with
``law.entropy_vector()`` a decoder may be arbitrary inside a modality, with ``law.unit_entropies()`` it
factorises over the finer units. Formulas are written once, over bitmasks of units.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bounds.entropies import EntropyVector, chosen
from bounds.errors import ObjectiveError
from bounds.formulas import discrepancy, joint_entropy, total_correlation, unseen_entropies
from bounds.objectives import OBJECTIVES, Ceiling, ceiling_of
from bounds.quantity import Guarantee, Quantity
from bounds.schemes import SubsetScheme

_MEASUREMENT_UNITS = (
    "continuous data: entropies, Delta, floor and ceiling shift with the units of measurement (T9); read the "
    "irreducible ELBO loss, which does not, or quantise the data and state the width of the bins"
)
_UNSEEN_ONLY = (
    "continuous data: the distortion floor is that of the unseen modalities; seen ones may cost any negative number"
)
_SINGULAR = "h(X) is -inf (a singular law), and T2 and the other ceilings need a finite one"


def generative_discrepancy(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """The paper's ``Delta(X,S) = sum_A w_A H(X_rest | X_A)`` in nats (Daunhawer et al. 2022).

    >>> from bounds import Discrete, mmvae
    >>> print(generative_discrepancy(Discrete([[0.25, 0.25], [0.25, 0.25]]).entropy_vector(), mmvae(2)))
    Delta = 0.693147 nats (exact)
    """
    notes = _measured_in_units(h)
    return h.evaluate(discrepancy(h, scheme), name="Delta", theorem="Delta", confidence=confidence, notes=notes)


def distortion_floor(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """The floor of the expected distortion ``D_S`` over all decoders that factorise over units (THEORY T1).

    ``sum_A w_A sum_{m not in A} H(X_m | X_A)``, which is ``Delta`` plus the total-correlation term at the level
    of ``h``. It is the floor of the *unseen* part of the distortion; for discrete data the seen part costs at
    least zero, so it is that of the whole. For continuous data the seen part has no floor.
    """
    notes = _measured_in_units(h) + ((_UNSEEN_ONLY,) if h.kind == "differential" else ())
    floor = unseen_entropies(h, scheme)
    return h.evaluate(floor, name="distortion floor", theorem="T1", confidence=confidence, notes=notes)


def total_correlation_term(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """``sum_A w_A TC(X_rest | X_A)``: the loss ``-H(X) - L_S`` that no model of the class can avoid (THEORY T2).

    It does not change under invertible maps of a unit, so it is the number to read for continuous data. A singular law,
    with ``h(X) = -inf``, has none.
    """
    loss = total_correlation(h, scheme)
    return _unless_singular(h, h.evaluate(loss, name="irreducible ELBO loss", theorem="T2", confidence=confidence))


def entropy(h: EntropyVector, *, confidence: float = 0.95) -> Quantity:
    """``H(X)``, or the differential entropy, of all modalities together."""
    return h.evaluate(joint_entropy(h), name="H(X)", confidence=confidence)


def quoted_bound(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """``-H(X) - Delta``: what Theorem 1, as usually quoted, would make of the best possible ELBO.

    It is *not* a ceiling: two independent fair bits and a constant latent exceed it (THEORY T0). It is here to
    be shown beside the ceilings that hold.
    """
    found = h.evaluate(
        -joint_entropy(h) - discrepancy(h, scheme),
        name="-H(X) - Delta (quoted, not a bound)",
        theorem="Theorem 1 as usually quoted",
        confidence=confidence,
        notes=("refuted as a bound: T0",),
    )
    return _unless_singular(h, found)


def elbo_ceiling(
    h: EntropyVector,
    scheme: SubsetScheme,
    objective: str = "own-density",
    *,
    theorem: str | None = None,
    confidence: float = 0.95,
    **parameters: Any,
) -> Quantity:
    """The highest value, in nats per example, that an objective can reach on held-out data of this law.

    A singular law, with ``h(X) = -inf``, has none: then there is no value, and a note says so.

    Args:
        h: entropies at the level of the decoder's units.
        scheme: the encoded subsets.
        objective: one of :data:`bounds.OBJECTIVES`.
        theorem: insist on one theorem (``"T2"``, which also holds for ``beta`` of at least 1 and for one importance
            sample); an error says which one holds if it does not.
        confidence: of the interval, where ``h`` is estimated. Where the lowest of several ceilings is taken (T5), it is
            that of all their intervals together.
        parameters: of the objective: ``beta``, the multiplier of the KL, for ``beta`` and ``rescaled``; ``scales``,
            modality or unit name to log-likelihood multiplier (others are 1), for ``rescaled``; ``k``, the number of
            importance samples, for ``iwae`` and ``iwae-mixture``; ``shared_kl``, ``"own"`` or ``"mixture"``, for
            ``private-auxiliary``; ``alpha`` in [0, 1] for ``mvtcae``.

    Raises:
        ObjectiveError: no ceiling is known for this objective on such data, or ``theorem`` is not the one.
        InputError: an unknown objective, a parameter out of range, or one of another objective.

    >>> import numpy as np
    >>> from bounds import Discrete, mmvae
    >>> xor = np.array([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]])
    >>> print(elbo_ceiling(Discrete(xor).entropy_vector(), mmvae(3)))
    ELBO ceiling (own-density) = -2.079442 nats (exact)
    """
    ceiling = ceiling_of(h, scheme, objective, parameters)
    chosen = OBJECTIVES[objective]
    if theorem not in (None, ceiling.theorem, *ceiling.also):
        raise ObjectiveError(
            f"{theorem} does not bound the {objective} objective ({chosen.meaning}): {ceiling.theorem} does"
            + (", T2 is for each encoder's own density and K=1" if theorem == "T2" else "")
        )
    found = h.evaluate(
        ceiling.functional,
        ceiling.constant,
        name=f"ELBO ceiling ({objective})",
        theorem=theorem or ceiling.theorem,
        confidence=confidence,
        notes=chosen.notes + _measured_in_units(h),
    )
    if objective == "sub-sampled" and found.value is not None and math.isfinite(found.value):
        return found  # it is about the entropies of the scheme's subsets, and H(X) need not be among them
    return _simultaneous(h, ceiling, _unless_singular(h, found), confidence)


def _simultaneous(h: EntropyVector, ceiling: Ceiling, found: Quantity, confidence: float) -> Quantity:
    """The interval of the lowest of several ceilings, whichever is the lowest at the estimates.

    Each of the ``k`` different ones gets an interval with an error of ``(1 - confidence) / k``, so all hold together
    with the confidence asked for. Then so do the lowest of their lower ends and the lowest of their upper ends for the
    lowest ceiling, and sums of these with positive weights for the sum.
    """
    functionals = {one.functional for choice in ceiling.choices for one in choice.among}
    if found.value is None or h.interval is None or len(functionals) < 2:
        return found
    each = 1 - (1 - confidence) / len(functionals)
    intervals = {one: chosen(h.interval, one) for one in functionals if not isinstance(h.value(one), str)}
    known = {one: interval(one, each) for one, interval in intervals.items()}
    low, high = 0.0, 0.0
    for choice in ceiling.choices:
        among = [one for one in choice.among if one.functional in known]
        low += float(choice.weight) * min(_end(known[one.functional][0], -1) + one.constant for one in among)
        high += float(choice.weight) * min(_end(known[one.functional][1], 1) + one.constant for one in among)
    return replace(
        found,
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        guarantee=_weakest([interval.guarantee for interval in intervals.values()]),
        method=f"{found.method}; lowest of {len(functionals)} ceilings that hold, their intervals at {each:.6g} each "
        f"and so at {confidence:.6g} together",
    )


def _weakest(guarantees: Iterable[Guarantee]) -> Guarantee:
    """What several intervals together promise."""
    order: tuple[Guarantee, ...] = ("none", "model-based", "asymptotic", "guaranteed")
    return min(guarantees, key=order.index)


def _end(end: float | None, sign: int) -> float:
    """The end of an interval, infinite where that side cannot be had."""
    return sign * math.inf if end is None else end


def _unless_singular(h: EntropyVector, found: Quantity) -> Quantity:
    """A number relative to ``-H(X)``: none where ``h(X) = -inf``, though zero or infinity may come out of the sum."""
    if h.value(joint_entropy(h)) != -math.inf:
        return found
    return replace(found, value=None, low=None, high=None, guarantee="none", notes=(_SINGULAR, *h.caveats))


def _measured_in_units(h: EntropyVector) -> tuple[str, ...]:
    return (_MEASUREMENT_UNITS,) if h.kind == "differential" else ()
