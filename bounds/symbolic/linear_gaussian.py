"""Linear-Gaussian models with fixed parameters: what the best encoder of a subset must cost (THEORY T6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy as sp

from bounds.symbolic.identity import Identity

#: Variance of the latent given the encoded subset and given all modalities, that of the encoder, and how far the
#: encoder's mean is from the posterior's.
_C, _P, _S, _V = sp.symbols("C P S V", positive=True)
_T, _U = sp.symbols("t u", positive=True)


def encoder_gap(variance: sp.Expr = _S, mismatch: sp.Expr = _V, posterior: sp.Expr = _P) -> sp.Expr:
    """``E KL(q_A || p(z|x))`` of a Gaussian encoder of ``variance`` for the true posterior variance ``posterior``.

    ``mismatch`` is ``E (E_q[z] - E[z|x])^2``. It is the expected log-density of ``q`` minus that of ``p(z|x)``,
    each by second moments.
    """
    own = -sp.log(2 * sp.pi * sp.E * variance) / 2
    true = -sp.log(2 * sp.pi * posterior) / 2 - (variance + mismatch) / (2 * posterior)
    return own - true


def posterior_covariance(loadings: sp.Matrix, noise: Sequence[sp.Expr], seen: Sequence[int]) -> sp.Matrix:
    """``Cov(z | x_seen)`` for ``z ~ N(0, I)`` and ``x = W z + N(0, diag(noise))``, by Schur complement.

    >>> posterior_covariance(sp.Matrix([1, 1]), [1, 1], [0, 1])
    Matrix([[1/3]])
    """
    latent = sp.eye(loadings.shape[1])
    if not seen:
        return latent
    cross = loadings[list(seen), :]
    return latent - cross.T * _data_covariance(loadings, noise).extract(list(seen), list(seen)).inv() * cross


def _data_covariance(loadings: sp.Matrix, noise: Sequence[sp.Expr]) -> sp.Matrix:
    return loadings * loadings.T + sp.diag(*noise)


def _variance_of_the_posterior_mean(loadings: sp.Matrix, noise: Sequence[sp.Expr], seen: Sequence[int]) -> sp.Matrix:
    """``Cov(E[z|x] | x_seen)`` for ``E[z|x] = B x``: ``B_R Cov(x_R|x_A) B_R^T``."""
    cov = _data_covariance(loadings, noise)
    rest = [m for m in range(len(noise)) if m not in seen]
    regression = (loadings.T * cov.inv()).extract(list(range(loadings.shape[1])), rest)
    return regression * _conditional(cov, seen, rest) * regression.T


def _conditional(cov: sp.Matrix, seen: Sequence[int], rest: Sequence[int]) -> sp.Matrix:
    within, cross = cov.extract(list(rest), list(rest)), cov.extract(list(rest), list(seen))
    return within - cross * cov.extract(list(seen), list(seen)).inv() * cross.T


def encoder_identities() -> Iterator[Identity]:
    """The best Gaussian encoder of a fixed model with scalar latent, and its gap against ``I(Z;X_R|X_A)`` (T6).

    Computed: the gap falls in the encoder's variance up to the posterior's, ``P``, and rises after it; there it is
    ``V/(2P)``, for data from the model ``(C/P - 1)/2`` with ``C = Var(z|x_A)``; and it exceeds ``ln(C/P)/2`` by a
    nonnegative integral. Argument: the best mean is ``E[E[z|x]|x_A]``, so ``V = E Var(E[z|x]|x_A)``; the best
    encoder is Gaussian because ``exp E[ln p(z|x)|x_A]`` is; and for a latent of ``d`` dimensions the excess is the
    sum over the eigenvalues ``1 + u_i`` of ``P^{-1/2} C P^{-1/2} >= 1`` of the same integral.
    """
    yield Identity(
        "T6.best-variance",
        "the gap has its one minimum over the encoder's variance S at S = P",
        sp.Derivative(encoder_gap(), _S),
        (_S - _P) / (2 * _S * _P),
    )
    yield Identity("T6.gap.misspecified", "the gap at S = P is V/(2P)", encoder_gap(_P), _V / (2 * _P))
    yield Identity(
        "T6.gap",
        "for data from the model, V = C - P and the gap is C/(2P) - 1/2",
        encoder_gap(_P, _C - _P),
        _C / _P / 2 - sp.Rational(1, 2),
    )
    yield Identity(
        "T6.excess",
        "the gap is at least ln(C/P)/2, with u = C/P - 1",
        (_C / _P - 1) / 2 - sp.log(_C / _P) / 2,
        sp.Integral(_T * _U**2 / (1 + _T * _U), (_T, 0, 1)) / 2,
        "C > P, which T6.information-gain shows",
        ((_C, _P * (1 + _U)),),
        nonnegative=True,
    )


def linear_gaussian_identities() -> Iterator[Identity]:
    """What T6 uses of a linear-Gaussian model, for symbolic loadings: ``d`` latents, modality 1 seen, 2 unseen.

    In matrices: ``Cov(E[z|x]|x_A) = C - P``; ``I(Z;X_R|X_A)``, from entropies of the data, is ``ln det(P^{-1}C)/2``;
    and ``P^{-1} - C^{-1}`` is the information that the unseen modalities add, which is nonnegative definite.
    """
    noise = sp.symbols("psi_1 psi_2", positive=True)
    for d in (1, 2):
        loadings = sp.Matrix(2, d, sp.symbols(f"W_1:3_1:{d + 1}", real=True))
        before, after = (posterior_covariance(loadings, noise, seen) for seen in ([0], [0, 1]))
        precision = after.inv()
        yield Identity(
            f"T6.explained.{d}",
            f"tr(P^-1 Cov(E[z|x]|x_A)) = tr(P^-1 C) - d for d = {d}",
            (precision * _variance_of_the_posterior_mean(loadings, noise, [0])).trace(),
            (precision * before).trace() - d,
            "z ~ N(0, I), data from the model",
        )
        unseen = _conditional(_data_covariance(loadings, noise), [0], [1])[0]
        yield Identity(
            f"T6.information.{d}",
            f"exp 2 I(Z;X_R|X_A) = Var(x_R|x_A)/Var(x_R|z) is det(P^-1 C) for d = {d}",
            unseen / noise[1],
            precision.det() * before.det(),
            "z ~ N(0, I), data from the model",
        )
        direction = sp.Matrix(sp.symbols(f"a_1:{d + 1}", real=True))
        yield Identity(
            f"T6.information-gain.{d}",
            f"a^T (P^-1 - C^-1) a is a square for every a, so C >= P, for d = {d}",
            (direction.T * (precision - before.inv()) * direction)[0],
            (loadings[1, :] * direction)[0] ** 2 / noise[1],
            nonnegative=True,
        )
    pair = sp.Matrix([1, 1])
    before, after = (posterior_covariance(pair, [1, 1], seen)[0] for seen in ([0], [0, 1]))
    yield Identity(
        "T6.pin.gap",
        "z ~ N(0,1), x_i = z + N(0,1), A = {1}: the gap is 1/4",
        encoder_gap(after, before - after, after),
        sp.Rational(1, 4),
    )
    yield Identity(
        "T6.pin.information",
        "z ~ N(0,1), x_i = z + N(0,1), A = {1}: I(Z;X_R|X_A) = ln(3/2)/2",
        sp.log(before / after) / 2,
        sp.log(sp.Rational(3, 2)) / 2,
    )


def identities() -> Iterator[Identity]:
    """All identities of this module."""
    yield from encoder_identities()
    yield from linear_gaussian_identities()
