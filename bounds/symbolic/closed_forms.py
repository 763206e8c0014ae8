"""Closed forms, signs and limits of Delta and the total-correlation term in ``M`` and ``rho`` (THEORY T8, T9)."""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from bounds.symbolic.families import (
    H_U,
    RHO,
    SIGMA,
    TC_U,
    K,
    M,
    common_cause,
    equicorrelated_gaussian,
    generative_discrepancy,
    increment,
    total_correlation_term,
)
from bounds.symbolic.identity import Definitions, Identity

_S, _P, _T, _X, _EPS = sp.symbols("s p t x epsilon", positive=True)
_N, _J = sp.symbols("n j", integer=True, nonnegative=True)

#: Parametrisations of 0 < rho < 1, of M >= 1, and of -1/M < rho < 0.
POSITIVE_RHO: Definitions = ((RHO, _S / (1 + _S)),)
ANY_M: Definitions = ((M, 1 + _N),)
NEGATIVE_RHO: Definitions = ((RHO, -1 / (M + _P)),)

_FOR_RHO = "equicorrelated Gaussian, 0 < rho < 1; for -1/(M-1) < rho < 0 both sides continue analytically"


def determinant_identities() -> Iterator[Identity]:
    """``det R_k = (1-rho)^(k-1) (1 + (k-1) rho)`` for the equicorrelation matrix ``R_k``, by induction on ``k``.

    Computed: every row of ``R_k`` sums to ``1 + (k-1) rho``, hence ``R_k^{-1} (rho, ..., rho) = rho/(1 + (k-1) rho)
    (1, ..., 1)``, and ``v_k = 1 - k rho^2/(1 + (k-1) rho)`` is the Schur complement of ``R_k`` in ``R_{k+1}``; the
    claimed determinants have the ratio ``v_k``. Argument: ``det R_{k+1} = det R_k v_k``, and ``det R_1 = 1``.
    The determinants of ``R_1`` to ``R_6`` are computed directly as well.
    """
    entry = RHO + (1 - RHO) * sp.KroneckerDelta(1, K)
    yield Identity(
        "T8.gaussian.determinant.row-sum",
        "a row of the equicorrelation matrix sums to 1 + (M-1) rho",
        sp.Sum(entry, (K, 1, M)),
        1 + (M - 1) * RHO,
    )
    det = (1 - RHO) ** (K - 1) * (1 + (K - 1) * RHO)
    yield Identity(
        "T8.gaussian.determinant.recursion",
        "the ratio of successive determinants is the conditional variance of one more variable",
        det.subs(K, K + 1) / det,
        1 - RHO * sp.Sum(RHO / (1 + (K - 1) * RHO), (_J, 1, K)),
    )
    for size in range(1, 7):
        matrix = sp.Matrix(size, size, lambda i, j: 1 if i == j else RHO)
        yield Identity(
            f"T8.gaussian.determinant.{size}",
            f"the determinant of the equicorrelation matrix of size {size}",
            matrix.det(method="berkowitz"),
            det.subs(K, size),
        )
    yield Identity(
        "T8.gaussian.entropy",
        "the entropy of k variables is k/2 ln(2 pi e sigma^2) + 1/2 ln det R_k",
        equicorrelated_gaussian().entropy(K),
        sp.log((2 * sp.pi * sp.E * SIGMA**2) ** K * det) / 2,
        _FOR_RHO,
        (*POSITIVE_RHO, (K, 1 + _J)),
    )


def gaussian_identities() -> Iterator[Identity]:
    """The closed forms of THEORY T8, and that units of measurement move Delta but not ``TCw`` (THEORY T9)."""
    family = equicorrelated_gaussian()
    given = RHO / (1 + K * RHO)
    yield Identity(
        "T8.gaussian.tc",
        "TC of n unseen variables given k seen ones is that of correlation rho_k = rho/(1 + k rho)",
        family.total_correlation(K, K + _N),
        -((_N - 1) * sp.log(1 - given) + sp.log(1 + (_N - 1) * given)) / 2,
        _FOR_RHO,
        (*POSITIVE_RHO, (K, 1 + _J)),
    )
    delta, tcw = (q(family, "mmvae", M) for q in (generative_discrepancy, total_correlation_term))
    yield Identity(
        "T8.gaussian.delta.mmvae",
        "Delta of mmvae",
        delta,
        (M - 1) * sp.log(2 * sp.pi * sp.E * SIGMA**2) / 2 + ((M - 1) * sp.log(1 - RHO) + sp.log(1 + (M - 1) * RHO)) / 2,
        _FOR_RHO,
        (*POSITIVE_RHO, *ANY_M),
    )
    yield Identity(
        "T8.gaussian.tcw.mmvae",
        "TCw of mmvae",
        tcw,
        ((M - 1) * sp.log(1 + RHO) - sp.log(1 + (M - 1) * RHO)) / 2,
        _FOR_RHO,
        (*POSITIVE_RHO, *ANY_M),
    )
    yield Identity(
        "T8.gaussian.tcw.mmvae.pin",
        "TCw of mmvae is ln(9/8)/2 for M = 3 and rho = 1/2",
        total_correlation_term(equicorrelated_gaussian(sp.Rational(1, 2)), "mmvae", 3),
        sp.log(sp.Rational(9, 8)) / 2,
    )
    yield Identity(
        "T9.gaussian.delta.scale",
        "multiplying all units of measurement by t shifts Delta of mmvae by (M-1) ln t",
        delta.subs(SIGMA, _T * SIGMA) - delta,
        (M - 1) * sp.log(_T),
        where=ANY_M,
    )
    yield Identity(
        "T9.gaussian.tcw.scale", "TCw of mmvae does not depend on sigma", sp.Derivative(tcw, SIGMA), sp.Integer(0)
    )


def increment_identities() -> Iterator[Identity]:
    """MMVAE's increments for the Gaussian family: their sign and their limits (THEORY T8)."""
    family = equicorrelated_gaussian()
    tcw = increment(total_correlation_term, family, "mmvae")
    for sign, rho in (("positive", POSITIVE_RHO), ("negative", NEGATIVE_RHO)):
        yield Identity(
            f"T8.gaussian.tcw-increment.{sign}-rho",
            f"TCw of mmvae never decreases in M, for {sign} rho",
            tcw,
            sp.log(1 + (M - 1) * RHO**2 / (1 + M * RHO)) / 2,
            f"equicorrelated Gaussian, {'0 < rho < 1' if sign == 'positive' else '-1/M < rho < 0'}",
            (*rho, *ANY_M),
            nonnegative=True,
        )
    yield Identity(
        "T8.gaussian.tcw-increment.limit",
        "the increments of TCw of mmvae tend to ln(1 + rho)/2",
        sp.Limit(tcw, M, sp.oo),
        sp.log(1 + RHO) / 2,
        _FOR_RHO,
        POSITIVE_RHO,
    )
    yield Identity(
        "T8.gaussian.delta-increment.limit",
        "the increments of Delta of mmvae tend to the entropy rate ln(2 pi e sigma^2 (1 - rho))/2",
        sp.Limit(increment(generative_discrepancy, family, "mmvae"), M, sp.oo),
        sp.log(2 * sp.pi * sp.E * SIGMA**2 * (1 - RHO)) / 2,
        _FOR_RHO,
        POSITIVE_RHO,
    )


def mopoe_limit_identities() -> Iterator[Identity]:
    """MoPoE's ``TCw`` tends to ``(1 - ln 2)/2`` for each fixed ``rho`` in (0, 1) (THEORY T8).

    Write ``f(k, M)`` for ``TC_A`` with ``|A| = k``. MoPoE's size is Binomial(M, 1/2) given that it is not 0.

    Computed, one identity each:

    1. ``decreasing``: ``f`` decreases in real ``k`` on [1, M-1]: ``-2 df/dk`` is a sum of nonnegative terms.
    2. ``share``: ``f(x M, M)`` tends to ``g(x) = ((1 - x)/x + ln x)/2``.
    3. ``tail``: ``f(1, M) exp(-2 epsilon^2 M) 2^M/(2^M - 1)`` tends to 0, and ``conditioning``: so does ``P(k = 0)``.
    4. ``value``: ``g`` is continuous at 1/2 (``g(1/2 + epsilon)`` and ``g(1/2 - epsilon)`` meet), where it is
       ``(1 - ln 2)/2``.

    Argument: Hoeffding's inequality bounds the probability of ``k < (1/2 - epsilon) M``, and that of
    ``k > (1/2 + epsilon) M``, by ``exp(-2 epsilon^2 M)`` before conditioning. As ``f`` decreases in ``k`` and is
    at least ``f(M, M) = 0``, ``E f`` is at most ``f((1/2 - epsilon) M, M)`` plus the tail of step 3, and at least
    ``f((1/2 + epsilon) M, M)`` times a probability that tends to 1. By step 2 its limits lie between
    ``g(1/2 + epsilon)`` and ``g(1/2 - epsilon)`` for every ``epsilon``, and step 4 closes the gap.
    """
    family = equicorrelated_gaussian()
    real = sp.Symbol("kappa", positive=True)
    first, last = (real, 1 + _P), (M, 2 + _P + _T)  # 1 <= kappa <= M - 1 for real kappa and M
    ratio = sp.Symbol("u", positive=True)
    meaning = RHO / (1 + (real - 1) * RHO)
    g = ((1 - _X) / _X + sp.log(_X)) / 2
    half, target = sp.Rational(1, 2), (1 - sp.log(2)) / 2
    assumed = "equicorrelated Gaussian, 0 < rho < 1"
    yield Identity(
        "T8.mopoe-limit.decreasing",
        "TC_A decreases in the size of A, taken as a real number kappa in (1, M-1)",
        -2 * sp.Derivative(family.total_correlation(real, M), real),
        (M - 1 - real) * ratio**2 / (1 + ratio) + sp.Integral(_X / (1 + _X) ** 2, (_X, 0, ratio)),
        assumed,
        ((ratio, meaning), *POSITIVE_RHO, last, first),
        nonnegative=True,
    )
    yield Identity(
        "T8.mopoe-limit.share",
        "TC_A with |A| = x M tends to g(x)",
        sp.Limit(family.total_correlation(_X * M, M), M, sp.oo),
        g,
        assumed,
        POSITIVE_RHO,
    )
    tail = family.total_correlation(1, M) * sp.exp(-2 * _EPS**2 * M) / (1 - sp.Integer(2) ** -M)
    yield Identity(
        "T8.mopoe-limit.tail",
        "the largest TC_A times Hoeffding's bound tends to zero",
        sp.Limit(tail, M, sp.oo),
        sp.Integer(0),
        assumed,
    )
    yield Identity(
        "T8.mopoe-limit.conditioning",
        "the empty subset, which MoPoE leaves out, has a probability that tends to zero",
        sp.Limit(sp.Integer(2) ** -M, M, sp.oo),
        sp.Integer(0),
    )
    for side, sign in (("above", 1), ("below", -1)):
        yield Identity(
            f"T8.mopoe-limit.value.{side}",
            f"g tends to (1 - ln 2)/2 as x tends to 1/2 from {side}",
            sp.Limit(g.subs(_X, half + sign * _EPS), _EPS, 0),
            target,
        )


def common_cause_identities() -> Iterator[Identity]:
    """``X_m = (Y, U_m)`` for every ``M``: MoPoE's sums over subsets in closed form (THEORY T8)."""
    mopoe_unseen = M * (2 ** (M - 1) - 1) / (2**M - 1)
    for scheme, unseen in (("mmvae", M - 1), ("mopoe", mopoe_unseen)):
        for what, quantity, level, right in (
            ("delta", generative_discrepancy, "modality", unseen * H_U),
            ("tcw", total_correlation_term, "modality", sp.Integer(0)),
            ("pixel-tcw", total_correlation_term, "pixel", unseen * TC_U),
        ):
            yield Identity(
                f"T8.common-cause.{what}.{scheme}",
                f"{what} of {scheme}, which leaves {unseen} modalities unseen on average",
                quantity(common_cause(level), scheme, M),  # type: ignore[arg-type]
                right,
                "common-cause law, private parts alike and independent given the label",
            )


def identities() -> Iterator[Identity]:
    """All identities of this module."""
    yield from determinant_identities()
    yield from gaussian_identities()
    yield from increment_identities()
    yield from mopoe_limit_identities()
    yield from common_cause_identities()
