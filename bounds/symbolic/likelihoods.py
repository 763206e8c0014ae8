"""Gaussian likelihoods whose variance does not depend on the latent: what they cost (THEORY T7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import sympy as sp

from bounds.symbolic.families import RHO, K, M, SizeLike, equicorrelated_gaussian, total_correlation_term
from bounds.symbolic.identity import Definitions, Identity

#: The variance of the decoder's noise.
PSI = sp.Symbol("psi", positive=True)

_LAMBDA, _B, _D, _T, _R = sp.symbols("lambda b D t r", positive=True)
_N = sp.Symbol("n", integer=True, nonnegative=True)
_DOMAIN: Definitions = ((RHO, _R / (1 + _R)), (M, 1 + _N))
_ASSUMED = "exchangeable Gaussian of unit variance, mmvae, rho > 0 (only rho^2 enters)"


def direction_cost(eigenvalue: sp.Expr, variance: sp.Expr = PSI) -> sp.Expr:
    """``g(lambda)``: what one principal direction of the imputed data costs beyond ``ln(2 pi psi)/2`` (T7(iv)).

    >>> direction_cost(sp.Integer(1), sp.Integer(2))
    1/4
    """
    return sp.Piecewise(
        (_coded(eigenvalue, variance), eigenvalue > variance),
        (_dropped(eigenvalue, variance), True),
    )


def _coded(eigenvalue: sp.Expr, variance: sp.Expr) -> sp.Expr:
    return sp.log(eigenvalue / variance) / 2 + sp.Rational(1, 2)


def _dropped(eigenvalue: sp.Expr, variance: sp.Expr) -> sp.Expr:
    return eigenvalue / (2 * variance)


def leading_eigenvalue(count: SizeLike = M, rho: sp.Expr = RHO) -> sp.Expr:
    """The one nonzero eigenvalue of ``Cov(E[X|X_1])`` for the equicorrelated Gaussian of unit variance."""
    return 1 + (count - 1) * rho**2


def likelihood_floor(count: SizeLike = M, rho: sp.Expr = RHO, variance: sp.Expr = PSI) -> sp.Expr:
    """The least loss ``-L_S`` of MMVAE with decoders ``N(mu_m(z), variance)`` (THEORY T7(iv)).

    Data: the equicorrelated Gaussian of unit variance. Attained by a linear VAE for each encoded subset.

    >>> round(float(likelihood_floor(3, sp.Rational(1, 2), sp.Rational(1, 10))), 6)
    8.656963
    """
    return _floor(count, rho, variance, direction_cost)


def _floor(count: SizeLike, rho: sp.Expr, variance: sp.Expr, cost: Callable[[sp.Expr, sp.Expr], sp.Expr]) -> sp.Expr:
    eigenvalue = leading_eigenvalue(count, rho)
    return _constant(count, variance) + (count - eigenvalue) / (2 * variance) + cost(eigenvalue, variance)


def split_floor(count: SizeLike = M, rho: sp.Expr = RHO, variance: sp.Expr = PSI) -> sp.Expr:
    """The looser floor that treats seen and unseen units apart (THEORY T7(i)), for ``variance <= 1``.

    The seen unit costs at least its entropy, attained by a Gaussian mixture of decoders; each unseen one its expected
    squared error.

    >>> round(float(split_floor(3, sp.Rational(1, 2), sp.Rational(1, 10))), 6)
    8.454231
    """
    unseen = _constant(1, variance) + (1 - rho**2) / (2 * variance)
    return sp.log(2 * sp.pi * sp.E) / 2 + (count - 1) * unseen


def learned_variance_floor(count: SizeLike = M, rho: sp.Expr = RHO) -> sp.Expr:
    """The least ``likelihood_floor`` over the variance, at ``1 - rho^2`` (THEORY T7(v)).

    >>> round(float(learned_variance_floor(3, sp.Rational(1, 2))), 6)
    4.171866
    """
    return _floor(count, rho, 1 - rho**2, _coded)


def _constant(count: SizeLike, variance: sp.Expr) -> sp.Expr:
    return count * sp.log(2 * sp.pi * variance) / 2


def mean_of_quadratic(
    quadratic: sp.Expr, variables: Sequence[sp.Symbol], means: Sequence[sp.Expr], covariance: sp.Matrix
) -> sp.Expr:
    """``E q(v) = q(E v) + tr(q'' Cov v)/2``, exact for polynomials of degree two.

    >>> x, m, s = sp.symbols("x m s")
    >>> mean_of_quadratic(x**2, [x], [m], sp.Matrix([[s]]))
    m**2 + s
    """
    at_means = quadratic.subs(list(zip(variables, means, strict=True)), simultaneous=True)
    return at_means + (sp.hessian(quadratic, variables) * covariance).trace() / 2


def imputation_identities() -> Iterator[Identity]:
    """Training on unseen modalities is training on their conditional means (THEORY T7(iii)).

    Given ``(x_A, z)`` an unseen ``X_m`` has mean ``xhat_m`` and variance ``v`` whatever ``z`` is, as Z - X_A - X_R.
    Computed: the expected log-likelihood of one scalar unit, and all of ``L_A`` for a linear VAE of two modalities.
    Argument: the KL term does not involve the unseen modalities, and units add.
    """
    x, mu, xhat = sp.symbols("x_m mu_m xhat_m", real=True)
    v = sp.Symbol("v", positive=True)
    p = sp.Symbol("p", positive=True)
    gaussian = -_constant(1, PSI) - (x - mu) ** 2 / (2 * PSI)
    bernoulli = x * sp.log(p) + (1 - x) * sp.log(1 - p)
    for name, log_likelihood, cost in (("gaussian", gaussian, v / (2 * PSI)), ("bernoulli", bernoulli, sp.Integer(0))):
        yield Identity(
            f"T7.imputation.{name}",
            f"a {name} unit has on average the log-likelihood of its conditional mean, less {cost}",
            mean_of_quadratic(log_likelihood, [x], [xhat], sp.Matrix([[v]])),
            log_likelihood.subs(x, xhat) - cost,
            "conditional mean xhat_m and variance v; the noise does not depend on z",
        )
    x1, x2, e, a, b1, b2 = sp.symbols("x_1 x_2 e a b_1 b_2", real=True)
    s, psi1, psi2 = sp.symbols("s psi_1 psi_2", positive=True)
    z = a * x1 + s * e  # the encoder is N(a x_1, s^2)
    likelihood = (
        -_constant(1, psi1) - (x1 - b1 * z) ** 2 / (2 * psi1) - _constant(1, psi2) - (x2 - b2 * z) ** 2 / (2 * psi2)
    )
    elbo = likelihood - _constant(1, sp.Integer(1)) - z**2 / 2 + sp.log(2 * sp.pi * sp.E * s**2) / 2
    both, alone = sp.Matrix([[1, RHO, 0], [RHO, 1, 0], [0, 0, 1]]), sp.eye(2)
    yield Identity(
        "T7.imputation.linear-vae",
        "L_A on (x_1, x_2) is the ELBO on (x_1, E[x_2|x_1]) less Var(x_2|x_1)/(2 psi_2)",
        mean_of_quadratic(elbo, [x1, x2, e], [0, 0, 0], both),
        mean_of_quadratic(elbo.subs(x2, RHO * x1), [x1, e], [0, 0], alone) - (1 - RHO**2) / (2 * psi2),
        "A = {1}; unit variances and correlation rho; decoders N(b_m z, psi_m), encoder N(a x_1, s^2)",
    )


def fixed_variance_identities() -> Iterator[Identity]:
    """The floor for a fixed variance, direction by direction (THEORY T7(iv)).

    By imputation the loss of ``A`` is that of a VAE on ``xhat_A`` plus the unexplained variance over ``2 psi``.
    Computed: the best distortion ``D`` of a direction of variance ``lambda`` at rate ``ln(lambda/D)/2`` and price
    ``D/(2 psi)``; that probabilistic PCA attains it; the eigenvalue of the exchangeable law. Argument: the Gaussian
    rate-distortion function and that directions add (reverse water-filling), both Shannon's.
    """
    cost = sp.log(_LAMBDA / _D) / 2 + _D / (2 * PSI)
    yield Identity(
        "T7.direction.slope",
        "the cost falls in the distortion D up to psi and rises after it; D is at most lambda",
        sp.Derivative(cost, _D),
        (_D - PSI) / (2 * PSI * _D),
    )
    for name, at, value in (("coded", PSI, _coded), ("dropped", _LAMBDA, _dropped)):
        yield Identity(
            f"T7.direction.{name}",
            f"the cost of a direction at D = {at} is a branch of g",
            cost.subs(_D, at),
            value(_LAMBDA, PSI),
        )
    evidence = _constant(1, _B + PSI) + _LAMBDA / (2 * (_B + PSI))
    yield Identity(
        "T7.direction.loading",
        "the loss of probabilistic PCA with squared loading b falls up to b = lambda - psi and rises after it",
        sp.Derivative(evidence, _B),
        (_B - (_LAMBDA - PSI)) / (2 * (_B + PSI) ** 2),
    )
    yield Identity(
        "T7.direction.attained",
        "at b = lambda - psi the loss of probabilistic PCA is ln(2 pi psi)/2 + g(lambda)",
        evidence.subs(_B, _LAMBDA - PSI),
        _constant(1, PSI) + _coded(_LAMBDA, PSI),
        "lambda > psi",
    )
    column = RHO + (1 - RHO) * sp.KroneckerDelta(1, K)
    yield Identity(
        "T7.eigenvalue",
        "E[X|X_1] = X_1 (1, rho, ..., rho) has the one eigenvalue 1 + (M-1) rho^2",
        sp.Sum(sp.expand(column**2), (K, 1, M)),
        leading_eigenvalue(),
    )
    yield Identity(
        "T7.split",
        "the floor exceeds that of seen and unseen units apart by ln(1 + (M-1) rho^2)/2, for psi < 1",
        _floor(M, RHO, PSI, _coded) - split_floor(),
        sp.log(leading_eigenvalue()) / 2,
        _ASSUMED,
        _DOMAIN,
        nonnegative=True,
    )


def learned_variance_identities() -> Iterator[Identity]:
    """The best variance common to all subsets is ``1 - rho^2``, and its price (THEORY T7(v)).

    The floor as a function of ``psi`` has one branch below the eigenvalue ``lambda = 1 + (M-1) rho^2 >= 1`` and one
    above. Computed: the branches meet; the lower one has its one minimum at ``1 - rho^2 < lambda``; the upper one
    never falls; the least value exceeds the ceiling of T2 by ``ln(lambda)/2``, and stays below that of a constant
    latent.
    """
    eigenvalue = leading_eigenvalue()
    below, above = (_floor(M, RHO, PSI, cost) for cost in (_coded, _dropped))
    yield Identity(
        "T7.learned.branches",
        "the branches meet",
        below.subs(PSI, eigenvalue),
        above.subs(PSI, eigenvalue),
        where=_DOMAIN,
    )
    yield Identity(
        "T7.learned.slope",
        "below the eigenvalue the floor falls up to 1 - rho^2 and rises after it",
        sp.Derivative(below, PSI),
        (M - 1) * (PSI - (1 - RHO**2)) / (2 * PSI**2),
        _ASSUMED,
    )
    yield Identity(
        "T7.learned.above",
        "above the eigenvalue the floor never falls",
        sp.Derivative(above, PSI),
        M * (PSI - 1) / (2 * PSI**2),
        _ASSUMED,
        ((PSI, eigenvalue + _T), *_DOMAIN),
        nonnegative=True,
    )
    least = learned_variance_floor()
    yield Identity(
        "T7.learned.value",
        "the least value in closed form",
        least,
        sp.log(2 * sp.pi * sp.E) / 2
        + (M - 1) * sp.log(2 * sp.pi * sp.E * (1 - RHO**2)) / 2
        + sp.log(1 + (M - 1) * RHO**2) / 2,
        _ASSUMED,
        _DOMAIN,
    )
    family = equicorrelated_gaussian(sigma=sp.Integer(1))
    ceiling = -family.entropy(M) - total_correlation_term(family, "mmvae", M)
    yield Identity(
        "T7.learned.price",
        "noise that does not depend on z costs ln(1 + (M-1) rho^2)/2 beyond the ceiling of T2",
        least + ceiling,
        sp.log(eigenvalue) / 2,
        _ASSUMED,
        _DOMAIN,
        nonnegative=True,
    )
    yield Identity(
        "T7.learned.collapse",
        "a constant latent loses at least as much",
        M * sp.log(2 * sp.pi * sp.E) / 2 - least,
        sp.Integral(M * (M - 1) * _T / ((1 + _T) * (1 + M * _T)), (_T, 0, RHO**2 / (1 - RHO**2))) / 2,
        _ASSUMED,
        _DOMAIN,
        nonnegative=True,
    )


def identities() -> Iterator[Identity]:
    """All identities of this module."""
    yield from imputation_identities()
    yield from fixed_variance_identities()
    yield from learned_variance_identities()
