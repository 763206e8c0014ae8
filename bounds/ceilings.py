"""The paper's discrepancy, the distortion floor and the ELBO ceilings, each a functional of the entropies.

Every function takes entropies ``h`` and a scheme. The *level* of ``h`` decides what counts as a unit: with
``law.entropy_vector()`` a decoder may be arbitrary inside a modality, with ``law.unit_entropies()`` it
factorises over the finer units. Formulas are written once, over bitmasks of units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from bounds.entropies import EntropyVector
from bounds.errors import InputError, ObjectiveError
from bounds.functional import Functional
from bounds.quantity import Quantity
from bounds.schemes import SubsetScheme
from bounds.subsets import members

#: What each objective is, in one sentence, by the name that ``elbo_ceiling`` takes.
OBJECTIVES: Mapping[str, str] = {
    "own-density": "K=1 ELBO, each subset's encoder with its own density in the KL",
    "mixture-density": "K=1 ELBO with the density of the mixture of encoders in the KL",
    "iwae": "importance-weighted bound with K samples, each encoder's own density in the denominator",
    "iwae-mixture": "importance-weighted bound with K samples, the mixture's density in the denominator (MMVAE's DReG)",
    "beta": "K=1 own-density ELBO with the KL multiplied by beta",
    "rescaled": "K=1 own-density objective with each unit's log-likelihood multiplied by a scale, and the KL by beta",
    "sub-sampled": "a sum of ELBOs, each of a subset's own modalities (MVAE's training objective)",
    "private-own": "own-density ELBO, private latents encoded from their own modality everywhere (DMVAE-like)",
    "private-auxiliary": "own-density ELBO, private latents of unseen modalities drawn from auxiliary priors (MMVAE+)",
    "mvtcae": "MVTCAE's total-correlation objective, which is not a bound on log p(x)",
}

_MEASUREMENT_UNITS = (
    "continuous data: entropies, Delta, floor and ceiling shift with the units of measurement (THEORY T9); read the "
    "irreducible ELBO loss, which does not"
)
_UNSEEN_ONLY = (
    "continuous data: the distortion floor is that of the unseen modalities; seen ones may cost any negative number"
)


@dataclass(frozen=True)
class _Ceiling:
    """A ceiling that holds, as a functional and a constant."""

    functional: Functional
    constant: float = 0.0


def generative_discrepancy(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """The paper's ``Delta(X,S) = sum_A w_A H(X_rest | X_A)`` in nats (Daunhawer et al. 2022).

    >>> from bounds import Discrete, mmvae
    >>> print(generative_discrepancy(Discrete([[0.25, 0.25], [0.25, 0.25]]).entropy_vector(), mmvae(2)))
    Delta = 0.693147 nats (exact)
    """
    terms = _Terms(h, scheme)
    for subset, weight in terms.mixture():
        terms.add(terms.top, weight)
        terms.add(h.units_of(subset), -weight)
    return terms.evaluate("Delta", "Delta", confidence, _measured_in_units(h))


def distortion_floor(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """The floor of the expected distortion ``D_S`` over all decoders that factorise over units (THEORY T1).

    ``sum_A w_A sum_{m not in A} H(X_m | X_A)``, which is ``Delta`` plus the total-correlation term at the level
    of ``h``. It is the floor of the *unseen* part of the distortion; for discrete data the seen part costs at
    least zero, so it is that of the whole. For continuous data the seen part has no floor.
    """
    terms = _Terms(h, scheme)
    for subset, weight in terms.mixture():
        terms.add_unseen(subset, weight)
    notes = _measured_in_units(h) + ((_UNSEEN_ONLY,) if h.kind == "differential" else ())
    return terms.evaluate("distortion floor", "T1", confidence, notes)


def total_correlation_term(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """``sum_A w_A TC(X_rest | X_A)``: the loss ``-H(X) - L_S`` that no model of the class can avoid (THEORY T2).

    It does not change under invertible maps of a unit, so it is the number to read for continuous data.
    """
    terms = _Terms(h, scheme)
    for subset, weight in terms.mixture():
        terms.add_total_correlation(subset, weight)
    return terms.evaluate("irreducible ELBO loss", "T2", confidence)


def entropy(h: EntropyVector, *, confidence: float = 0.95) -> Quantity:
    """``H(X)``, or the differential entropy, of all modalities together."""
    top = (1 << h.n_units) - 1
    return h.evaluate(Functional(h.names, {top: 1}), name="H(X)", confidence=confidence)


def quoted_bound(h: EntropyVector, scheme: SubsetScheme, *, confidence: float = 0.95) -> Quantity:
    """``-H(X) - Delta``: what Theorem 1, as usually quoted, would make of the best possible ELBO.

    It is *not* a ceiling: two independent fair bits and a constant latent exceed it (THEORY T0). It is here to
    be shown beside the ceilings that hold.
    """
    terms = _Terms(h, scheme)
    for subset, weight in terms.mixture():
        terms.add(terms.top, -2 * weight)
        terms.add(h.units_of(subset), weight)
    return terms.evaluate(
        "-H(X) - Delta (quoted, not a bound)",
        "Theorem 1 as usually quoted",
        confidence,
        ("refuted as a bound: THEORY T0",),
    )


def elbo_ceiling(
    h: EntropyVector,
    scheme: SubsetScheme,
    objective: str = "own-density",
    *,
    theorem: str | None = None,
    beta: float = 1.0,
    k: int = 1,
    scales: Mapping[str, float] | None = None,
    shared_kl: str = "own",
    alpha: float = 0.5,
    confidence: float = 0.95,
) -> Quantity:
    """The highest value, in nats per example, that an objective can reach on held-out data of this law.

    Args:
        h: entropies at the level of the decoder's units.
        scheme: the encoded subsets.
        objective: one of :data:`OBJECTIVES`.
        theorem: insist on one theorem (``"T2"``); an error says which one holds if it does not.
        beta: multiplier of the KL, for ``beta`` and ``rescaled``.
        k: number of importance samples, for ``iwae`` and ``iwae-mixture``.
        scales: modality or unit name to log-likelihood multiplier, for ``rescaled``; others are 1.
        shared_kl: ``"own"`` or ``"mixture"``, the density in the shared KL, for ``private-auxiliary``.
        alpha: MVTCAE's mixing parameter in [0, 1].
        confidence: of the interval, where ``h`` is estimated.

    Raises:
        ObjectiveError: no ceiling is known for this objective on such data, or ``theorem`` is not the one.
        InputError: an unknown objective or a parameter out of range.

    >>> import numpy as np
    >>> from bounds import Discrete, mmvae
    >>> xor = np.array([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]])
    >>> print(elbo_ceiling(Discrete(xor).entropy_vector(), mmvae(3)))
    ELBO ceiling (own-density) = -2.079442 nats (exact)
    """
    if objective not in OBJECTIVES:
        raise InputError(f"unknown objective {objective!r}: use one of {', '.join(OBJECTIVES)}")
    _check_objective_fits_scheme(scheme, objective)
    if not math.isfinite(beta) or beta < 0:
        raise InputError(f"beta={beta}: give a finite number of at least 0")
    if not isinstance(k, int) or k < 1:
        raise InputError(f"k={k}: give a whole number of at least 1")
    if objective == "private-own":
        h = h.at_modality_level()
    notes: tuple[str, ...] = ()
    if objective == "own-density" or (objective == "beta" and beta >= 1) or objective == "private-own":
        holds = "T10.1" if objective == "beta" else "T10.3" if objective == "private-own" else "T2"
        ceiling = _own_density(h, scheme)
    elif objective == "beta":
        holds, ceiling = "T10.1", _rescaled(h, scheme, beta, {}, "beta < 1")
    elif objective == "rescaled":
        holds, ceiling = "T10.1", _rescaled(h, scheme, beta, scales or {}, "rescaled likelihoods")
    elif objective == "mixture-density" or (objective == "iwae-mixture" and k == 1):
        holds, ceiling = "T5", _mixture_density(h, scheme)
    elif objective == "iwae":
        holds, ceiling = "T5", _iwae_own(h, scheme, k)
    elif objective == "iwae-mixture":
        holds, ceiling = "T5", _Ceiling(_minus_entropy(h))
    elif objective == "sub-sampled":
        holds, ceiling = "T10.2", _sub_sampled(h, scheme)
    elif objective == "private-auxiliary":
        holds, ceiling = "T10.3", _private_auxiliary(h, scheme, shared_kl)
    else:
        holds, ceiling = "T10.4", _mvtcae(h, alpha)
        notes = ("not a bound on log p(x)",)
    if theorem is not None and theorem != holds:
        raise ObjectiveError(
            f"{theorem} does not bound the {objective} objective ({OBJECTIVES[objective]}): {holds} does"
            + (", T2 is for each encoder's own density and K=1" if theorem == "T2" else "")
        )
    return h.evaluate(
        ceiling.functional,
        ceiling.constant,
        name=f"ELBO ceiling ({objective})",
        theorem=holds,
        confidence=confidence,
        notes=notes + _measured_in_units(h),
    )


def _check_objective_fits_scheme(scheme: SubsetScheme, objective: str) -> None:
    if (scheme.objective == "sub-sampled") != (objective == "sub-sampled"):
        if objective == "sub-sampled":
            raise ObjectiveError(
                f"scheme {scheme.label} is a mixture over subsets: its objective is 'own-density' or another mixture "
                "objective; for MVAE's sum of ELBOs use bounds.mvae_subsampled(M, k)"
            )
        raise ObjectiveError(
            f"scheme {scheme.label} is a sum of ELBOs on the subsets' own modalities, so T2 does not bound it: "
            "ask for objective='sub-sampled' (T10.2)"
        )
    top = (1 << scheme.n_modalities) - 1
    if objective == "mvtcae" and set(scheme.weights) != {top}:
        raise ObjectiveError("MVTCAE encodes all modalities: use bounds.full(M)")
    if objective == "private-auxiliary" and any(subset.bit_count() != 1 for subset in scheme.weights):
        raise ObjectiveError("the MMVAE+ ceiling is known for single encoded modalities: use bounds.mmvae(M)")


class _Terms:
    """Collects ``coefficient * H(units)`` over one scheme, exactly."""

    def __init__(self, h: EntropyVector, scheme: SubsetScheme) -> None:
        if scheme.n_modalities != h.n_modalities:
            raise InputError(
                f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the entropies over {h.n_modalities}"
            )
        self.h = h
        self.scheme = scheme
        self.top = (1 << h.n_units) - 1
        self.coefficients: dict[int, Fraction] = {}

    def mixture(self) -> SubsetScheme:
        """The scheme, if its weights are those of a mixture."""
        if self.scheme.objective == "sub-sampled":
            raise ObjectiveError(
                f"scheme {self.scheme.label} is a sum of ELBOs, not a mixture over subsets: its only bound is "
                "elbo_ceiling(h, scheme, 'sub-sampled')"
            )
        return self.scheme

    def unseen(self, subset: int) -> tuple[int, ...]:
        """The units outside a subset of modalities."""
        return members(self.top & ~self.h.units_of(subset))

    def add(self, units: int, coefficient: Fraction) -> None:
        self.coefficients[units] = self.coefficients.get(units, Fraction(0)) + coefficient

    def add_unseen(self, subset: int, weight: Fraction) -> None:
        """``weight * sum_{m not in A} H(X_m | X_A)``."""
        known = self.h.units_of(subset)
        unseen = self.unseen(subset)
        for unit in unseen:
            self.add(known | 1 << unit, weight)
        self.add(known, -len(unseen) * weight)

    def add_total_correlation(self, subset: int, weight: Fraction) -> None:
        """``weight * TC(X_rest | X_A)``."""
        self.add_unseen(subset, weight)
        self.add(self.top, -weight)
        self.add(self.h.units_of(subset), weight)

    def functional(self) -> Functional:
        return Functional(self.h.names, self.coefficients)

    def evaluate(self, name: str, theorem: str, confidence: float, notes: tuple[str, ...] = ()) -> Quantity:
        return self.h.evaluate(self.functional(), name=name, theorem=theorem, confidence=confidence, notes=notes)


def _own_density(h: EntropyVector, scheme: SubsetScheme) -> _Ceiling:
    """T2: ``-sum_A w_A [H(X_A) + sum_{m not in A} H(X_m|X_A)]``, which is ``-H(X) - TCw``."""
    terms = _Terms(h, scheme)
    for subset, weight in scheme:
        terms.add(h.units_of(subset), -weight)
        terms.add_unseen(subset, -weight)
    return _Ceiling(terms.functional())


def _mixture_density(h: EntropyVector, scheme: SubsetScheme) -> _Ceiling:
    """T5: ``-H(X) - [TCw - H(w)]_+``, the smaller of two ceilings."""
    return _lowest(h, _Ceiling(_minus_entropy(h)), _Ceiling(_own_density(h, scheme).functional, scheme.entropy))


def _iwae_own(h: EntropyVector, scheme: SubsetScheme, k: int) -> _Ceiling:
    """T5: each subset has two ceilings, ``-H(X)`` and ``-H(X) - TC_A + (|R| - 1) ln K``; any choice of one for
    each is a ceiling of the mixture, and the lowest choice is taken."""
    terms = _Terms(h, scheme)
    constant = 0.0
    for subset, weight in scheme:
        one = _Terms(h, scheme)
        one.add(one.top, Fraction(-1))
        one.add_total_correlation(subset, Fraction(-1))
        credit = (len(one.unseen(subset)) - 1) * math.log(k) if one.unseen(subset) else 0.0
        chosen = _lowest(h, _Ceiling(_minus_entropy(h)), _Ceiling(one.functional(), credit))
        for units, coefficient in chosen.functional.coefficients.items():
            terms.add(units, weight * coefficient)
        constant += float(weight) * chosen.constant
    return _Ceiling(terms.functional(), constant)


def _rescaled(h: EntropyVector, scheme: SubsetScheme, beta: float, scales: Mapping[str, float], what: str) -> _Ceiling:
    """T10.1: ``-sum_A w_A [min(beta, min_{m in A} s_m) H(X_A) + sum_{m not in A} s_m H(X_m|X_A)]``, discrete only."""
    if h.kind != "discrete":
        raise ObjectiveError(
            f"no ceiling holds for {what} on continuous data (T10.1: with learned variances there is none): "
            "evaluate the model with beta=1 and unscaled likelihoods and use objective='own-density' (T2)"
        )
    unknown = [name for name in scales if name not in h.names and name not in h.modality_names]
    if unknown:
        raise InputError(f"scales: unknown modality or unit {unknown[0]!r}")
    scale = [Fraction(1)] * h.n_units
    for m, name in enumerate(h.modality_names):
        for unit in members(h.modality_units[m]):
            scale[unit] = _scale(scales, h.names[unit], _scale(scales, name, Fraction(1)))
    terms = _Terms(h, scheme)
    for subset, weight in scheme:
        known = h.units_of(subset)
        seen = min([Fraction(str(beta)), *(scale[unit] for unit in members(known))])
        terms.add(known, -weight * seen)
        for unit in terms.unseen(subset):
            terms.add(known | 1 << unit, -weight * scale[unit])
            terms.add(known, weight * scale[unit])
    return _Ceiling(terms.functional())


def _scale(scales: Mapping[str, float], name: str, default: Fraction) -> Fraction:
    if name not in scales:
        return default
    value = scales[name]
    if not math.isfinite(value) or value <= 0:
        raise InputError(f"scale {value} of {name!r}: give a positive finite number")
    return Fraction(str(value))


def _sub_sampled(h: EntropyVector, scheme: SubsetScheme) -> _Ceiling:
    """T10.2: ``-sum_A c_A H(X_A)``."""
    terms = _Terms(h, scheme)
    for subset, coefficient in scheme:
        terms.add(h.units_of(subset), -coefficient)
    return _Ceiling(terms.functional())


def _private_auxiliary(h: EntropyVector, scheme: SubsetScheme, shared_kl: str) -> _Ceiling:
    """T10.3: T2 at the level of the units, plus ``H(w)`` if the shared KL has the mixture's density."""
    if shared_kl not in ("own", "mixture"):
        raise InputError(f"shared_kl={shared_kl!r}: use 'own' or 'mixture'")
    return _Ceiling(_own_density(h, scheme).functional, scheme.entropy if shared_kl == "mixture" else 0.0)


def _mvtcae(h: EntropyVector, alpha: float) -> _Ceiling:
    """T10.4: ``TC(X) - (V - alpha)/V sum_v H(X_v)``, over modalities, discrete only."""
    if h.kind != "discrete":
        raise ObjectiveError("MVTCAE's ceiling is proved for discrete data only (T10.4)")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha}: give a number in [0, 1]")
    count = h.n_modalities
    share = Fraction(str(alpha)) / count
    coefficients = {h.units_of(1 << m): share for m in range(count)}
    top = (1 << h.n_units) - 1
    coefficients[top] = coefficients.get(top, Fraction(0)) - 1
    return _Ceiling(Functional(h.names, coefficients))


def _minus_entropy(h: EntropyVector) -> Functional:
    return Functional(h.names, {(1 << h.n_units) - 1: -1})


def _lowest(h: EntropyVector, *ceilings: _Ceiling) -> _Ceiling:
    """The lowest of several ceilings that all hold, at the values of ``h``; one without a value loses."""

    def height(ceiling: _Ceiling) -> float:
        value = h.value(ceiling.functional)
        return math.inf if isinstance(value, str) else value + ceiling.constant

    return min(ceilings, key=height)


def _measured_in_units(h: EntropyVector) -> tuple[str, ...]:
    return (_MEASUREMENT_UNITS,) if h.kind == "differential" else ()
