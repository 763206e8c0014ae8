"""The paper's discrepancy, the distortion floor and the ELBO ceilings, each a functional of the entropies.

Every function takes entropies ``h`` and a scheme. The *level* of ``h`` decides what counts as a unit: with
``law.entropy_vector()`` a decoder may be arbitrary inside a modality, with ``law.unit_entropies()`` it
factorises over the finer units. Formulas are written once, over bitmasks of units.
"""

from __future__ import annotations

from typing import Any

from bounds.entropies import EntropyVector
from bounds.errors import ObjectiveError
from bounds.formulas import discrepancy, joint_entropy, total_correlation, unseen_entropies
from bounds.functional import Functional
from bounds.objectives import OBJECTIVES, ceiling_of
from bounds.quantity import Quantity
from bounds.schemes import SubsetScheme

_MEASUREMENT_UNITS = (
    "continuous data: entropies, Delta, floor and ceiling shift with the units of measurement (T9); read the "
    "irreducible ELBO loss, which does not"
)
_UNSEEN_ONLY = (
    "continuous data: the distortion floor is that of the unseen modalities; seen ones may cost any negative number"
)


def generative_discrepancy(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """The paper's ``Delta(X,S) = sum_A w_A H(X_rest | X_A)`` in nats (Daunhawer et al. 2022).

    >>> from bounds import Discrete, mmvae
    >>> print(generative_discrepancy(Discrete([[0.25, 0.25], [0.25, 0.25]]).entropy_vector(), mmvae(2)))
    Delta = 0.693147 nats (exact)
    """
    return _value(h, discrepancy(h, scheme), "Delta", "Delta", confidence, _measured_in_units(h))


def distortion_floor(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """The floor of the expected distortion ``D_S`` over all decoders that factorise over units (THEORY T1).

    ``sum_A w_A sum_{m not in A} H(X_m | X_A)``, which is ``Delta`` plus the total-correlation term at the level
    of ``h``. It is the floor of the *unseen* part of the distortion; for discrete data the seen part costs at
    least zero, so it is that of the whole. For continuous data the seen part has no floor.
    """
    notes = _measured_in_units(h) + ((_UNSEEN_ONLY,) if h.kind == "differential" else ())
    return _value(h, unseen_entropies(h, scheme), "distortion floor", "T1", confidence, notes)


def total_correlation_term(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """``sum_A w_A TC(X_rest | X_A)``: the loss ``-H(X) - L_S`` that no model of the class can avoid (THEORY T2).

    It does not change under invertible maps of a unit, so it is the number to read for continuous data.
    """
    return _value(h, total_correlation(h, scheme), "irreducible ELBO loss", "T2", confidence)


def entropy(h: EntropyVector, *, confidence: float = 0.95) -> Quantity:
    """``H(X)``, or the differential entropy, of all modalities together."""
    return _value(h, joint_entropy(h), "H(X)", "", confidence)


def quoted_bound(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """``-H(X) - Delta``: what Theorem 1, as usually quoted, would make of the best possible ELBO.

    It is *not* a ceiling: two independent fair bits and a constant latent exceed it (THEORY T0). It is here to
    be shown beside the ceilings that hold.
    """
    return _value(
        h,
        -joint_entropy(h) - discrepancy(h, scheme),
        "-H(X) - Delta (quoted, not a bound)",
        "Theorem 1 as usually quoted",
        confidence,
        ("refuted as a bound: T0",),
    )


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

    Args:
        h: entropies at the level of the decoder's units.
        scheme: the encoded subsets.
        objective: one of :data:`bounds.OBJECTIVES`.
        theorem: insist on one theorem (``"T2"``); an error says which one holds if it does not.
        confidence: of the interval, where ``h`` is estimated.
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
    if theorem is not None and theorem != ceiling.theorem:
        raise ObjectiveError(
            f"{theorem} does not bound the {objective} objective ({chosen.meaning}): {ceiling.theorem} does"
            + (", T2 is for each encoder's own density and K=1" if theorem == "T2" else "")
        )
    return h.evaluate(
        ceiling.functional,
        ceiling.constant,
        name=f"ELBO ceiling ({objective})",
        theorem=ceiling.theorem,
        confidence=confidence,
        notes=chosen.notes + _measured_in_units(h),
    )


def _value(
    h: EntropyVector, functional: Functional, name: str, theorem: str, confidence: float, notes: tuple[str, ...] = ()
) -> Quantity:
    return h.evaluate(functional, name=name, theorem=theorem, confidence=confidence, notes=notes)


def _measured_in_units(h: EntropyVector) -> tuple[str, ...]:
    return (_MEASUREMENT_UNITS,) if h.kind == "differential" else ()
