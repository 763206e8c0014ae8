"""Delta and the total-correlation term of exchangeable laws, as formulas in the number of modalities.

An *exchangeable family* has ``H(X_A) = h(|A|)``: the entropy of a subset depends on its size alone. A scheme then
matters only through the law of the size of the encoded subset, and the functionals of ``bounds.ceilings`` become
formulas in the number ``M`` of modalities, which may be a symbol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import sympy as sp

from bounds.errors import InputError
from bounds.schemes import SubsetScheme

#: The number of modalities and the size of an encoded subset.
M, K = sp.symbols("M k", integer=True, positive=True)
#: Correlation and standard deviation of the equicorrelated Gaussian.
RHO, SIGMA = sp.Symbol("rho", real=True), sp.Symbol("sigma", positive=True)
#: Entropies of the common-cause law: of the label ``Y``, of a private part given ``Y``, and the total correlation
#: of the units of a private part given ``Y``.
H_Y, H_U, TC_U = sp.symbols("H_Y H_U TC_U", real=True)

Profile = Callable[[sp.Expr], sp.Expr]
#: A number of modalities, known or a symbol.
SizeLike: TypeAlias = int | sp.Expr


@dataclass(frozen=True)
class ExchangeableFamily:
    """A family of laws, one for each number of modalities, with ``H(X_A) = h(|A|)``.

    Args:
        label: what it is called.
        profile: ``h(k)`` for ``k >= 1``.
        unit_profile: the sum of ``H(X_u | X_A)`` over the units ``u`` of one unseen modality, for ``|A| = k >= 1``.
            By default a modality is one unit.
    """

    label: str
    profile: Profile
    unit_profile: Profile | None = None

    def entropy(self, size: SizeLike) -> sp.Expr:
        """``H(X_A)`` for ``|A| = size``."""
        return self.profile(sp.sympify(size)) if size != 0 else sp.Integer(0)

    def unseen(self, size: SizeLike) -> sp.Expr:
        """``sum_u H(X_u | X_A)`` over the units of one modality outside ``A``, for ``|A| = size``."""
        size = sp.sympify(size)
        if self.unit_profile is None:
            return self.entropy(size + 1) - self.entropy(size)
        if size == 0:
            raise InputError(f"{self.label}: the entropies of its units are known only where some modality is encoded")
        return self.unit_profile(size)

    def discrepancy(self, size: SizeLike, count: SizeLike) -> sp.Expr:
        """``H(X_rest | X_A)`` for ``|A| = size`` of ``count`` modalities."""
        return self.entropy(count) - self.entropy(size)

    def total_correlation(self, size: SizeLike, count: SizeLike) -> sp.Expr:
        """``TC(X_rest | X_A) = sum_{m not in A} H(X_m|X_A) - H(X_rest|X_A)`` for ``|A| = size`` of ``count``,
        expanded so that a common scale cancels."""
        return sp.expand((count - size) * self.unseen(size) - self.discrepancy(size, count))


def exchangeable() -> ExchangeableFamily:
    """The family with an unspecified profile ``h(k)``.

    >>> generative_discrepancy(exchangeable(), "mmvae", M)
    -h(1) + h(M)
    """
    return ExchangeableFamily("exchangeable", sp.Function("h", real=True))


def equicorrelated_gaussian(rho: sp.Expr = RHO, sigma: sp.Expr = SIGMA) -> ExchangeableFamily:
    """Scalar Gaussian modalities of variance ``sigma^2`` and correlation ``rho``, ``-1/(M-1) < rho < 1`` (THEORY T8).

    ``h(k) = (k/2) ln(2 pi e sigma^2) + (1/2) ln det R_k`` with ``det R_k = (1-rho)^(k-1) (1 + (k-1) rho)``, which
    the identities ``T8.gaussian.determinant`` derive.

    >>> total_correlation_term(equicorrelated_gaussian(sp.Rational(1, 2)), "mmvae", 3).equals(sp.log("9/8") / 2)
    True
    """
    rho, sigma = sp.sympify(rho), sp.sympify(sigma)

    def profile(k: sp.Expr) -> sp.Expr:
        log_determinant = (k - 1) * sp.log(1 - rho) + sp.log(1 + (k - 1) * rho)
        return k * sp.log(2 * sp.pi * sp.E * sigma**2) / 2 + log_determinant / 2

    return ExchangeableFamily("equicorrelated Gaussian", profile)


def common_cause(level: Literal["modality", "pixel"] = "modality") -> ExchangeableFamily:
    """``X_m = (Y, U_m)`` with private parts that are independent given the label ``Y`` (THEORY T8).

    At the level of the modality one unit is ``X_m``. At that of the pixel the units are ``Y`` and the pixels of
    ``U_m``, whose total correlation given ``Y`` is ``TC_U``.

    >>> total_correlation_term(common_cause(), "mmvae", M)
    0
    """
    if level not in ("modality", "pixel"):
        raise InputError(f"level {level!r}: use 'modality' or 'pixel'")
    # Given any encoded modality Y is known: the unit Y of the others costs 0, their pixels sum_u H(U_u|Y).
    pixels = (lambda k: H_U + TC_U) if level == "pixel" else None
    return ExchangeableFamily(f"common cause, {level} level", lambda k: H_Y + k * H_U, pixels)


def size_weights(scheme: SubsetScheme) -> dict[int, Fraction]:
    """The law of the size of the encoded subset.

    >>> from bounds import mopoe
    >>> size_weights(mopoe(2))
    {1: Fraction(2, 3), 2: Fraction(1, 3)}
    """
    if scheme.objective == "sub-sampled":
        raise InputError(f"scheme {scheme.label} is a sum of ELBOs, not a mixture over subsets")
    weights: dict[int, Fraction] = {}
    for subset, weight in scheme:
        weights[subset.bit_count()] = weights.get(subset.bit_count(), Fraction(0)) + weight
    return dict(sorted(weights.items()))


def average(scheme: str | SubsetScheme, count: SizeLike, f: Callable[[sp.Expr], sp.Expr]) -> sp.Expr:
    """``E f(|A|)`` over the encoded subset of a scheme.

    Args:
        scheme: ``"full"``, ``"mmvae"`` or ``"mopoe"``, or any scheme of ``count`` modalities.
        count: the number of modalities; with a symbol MoPoE's average stays a ``sympy.Sum``.
        f: of the size.

    >>> average("mopoe", 2, lambda k: k)
    4/3
    """
    count = sp.sympify(count)
    if isinstance(scheme, SubsetScheme):
        if scheme.n_modalities != count:
            raise InputError(f"scheme {scheme.label} is over {scheme.n_modalities} modalities, not {count}")
        return sp.Add(*(sp.Rational(w) * f(sp.Integer(k)) for k, w in size_weights(scheme).items()))
    if scheme == "mmvae":
        return f(sp.Integer(1))
    if scheme in ("full", "mvae"):
        return f(count)
    if scheme != "mopoe":
        raise InputError(f"unknown family of schemes {scheme!r}: use full, mmvae or mopoe")
    if count.is_Integer:
        total = sp.Add(*(sp.binomial(count, k) * f(sp.Integer(k)) for k in range(1, int(count) + 1)))
    else:
        total = sp.Sum(sp.binomial(count, K) * f(K), (K, 1, count))
    return total / (2**count - 1)


def generative_discrepancy(family: ExchangeableFamily, scheme: str | SubsetScheme, count: SizeLike) -> sp.Expr:
    """``Delta = sum_A w_A [H(X) - H(X_A)]`` as a formula (THEORY T8).

    >>> sp.simplify(generative_discrepancy(common_cause(), "mopoe", 2))
    2*H_U/3
    """
    return average(scheme, count, lambda k: family.discrepancy(k, sp.sympify(count)))


def total_correlation_term(family: ExchangeableFamily, scheme: str | SubsetScheme, count: SizeLike) -> sp.Expr:
    """``TCw = sum_A w_A TC(X_rest | X_A)`` as a formula: the ELBO loss that cannot be avoided (THEORY T2, T8)."""
    return average(scheme, count, lambda k: family.total_correlation(k, sp.sympify(count)))


Quantity = Callable[[ExchangeableFamily, str, SizeLike], sp.Expr]


def increment(quantity: Quantity, family: ExchangeableFamily, scheme: str, count: SizeLike = M) -> sp.Expr:
    """What one more modality adds to ``generative_discrepancy`` or ``total_correlation_term`` of ``count``.

    >>> increment(generative_discrepancy, exchangeable(), "mmvae")
    -h(M) + h(M + 1)
    """
    return quantity(family, scheme, sp.sympify(count) + 1) - quantity(family, scheme, count)


def increment_limit(quantity: Quantity, family: ExchangeableFamily, scheme: str) -> sp.Expr:
    """The limit of the increment as ``M`` grows, where the increment is a closed form (full, MMVAE).

    >>> increment_limit(total_correlation_term, equicorrelated_gaussian(), "mmvae")
    log(rho + 1)/2
    """
    if scheme == "mopoe":
        raise InputError("MoPoE's average is not a closed form in M: see limit_at_share for its limit")
    return sp.limit(increment(quantity, family, scheme), M, sp.oo)


def limit_at_share(family: ExchangeableFamily, share: sp.Expr) -> sp.Expr:
    """The limit of ``TC(X_rest | X_A)`` for ``|A| = share * M`` as ``M`` grows.

    At ``share = 1/2``, where the size of MoPoE's subset concentrates, it is the limit of MoPoE's ``TCw`` if the
    conditions of the identities ``T8.mopoe-limit`` are met.

    >>> limit_at_share(equicorrelated_gaussian(), sp.Rational(1, 2)).equals((1 - sp.log(2)) / 2)
    True
    """
    return sp.simplify(sp.limit(family.total_correlation(share * M, M), M, sp.oo))
