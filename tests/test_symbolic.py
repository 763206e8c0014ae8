"""The symbolic derivations: that they hold, that a wrong one does not, and that they agree with the numbers."""

import dataclasses
import itertools
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from pins_common import LinearGaussianVAE, assert_printed, random_linear_gaussian
from strategies_for_tests import random_pmf

import bounds
from bounds import CommonCause, Discrete, EntropyVector, Gaussian, InputError, SubsetScheme, symbolic
from bounds.symbolic import (
    PSI,
    RHO,
    SIGMA,
    Identity,
    K,
    M,
    average,
    common_cause,
    equicorrelated_gaussian,
    exchangeable,
    generative_discrepancy,
    identities,
    identity,
    increment,
    increment_limit,
    likelihood_floor,
    limit_at_share,
    total_correlation_term,
)
from bounds.symbolic.identity import visibly_nonnegative
from bounds.symbolic.structure import expression

SCHEMES = {"full": bounds.full, "mmvae": bounds.mmvae, "mopoe": bounds.mopoe}
QUANTITIES = [
    (generative_discrepancy, bounds.generative_discrepancy),
    (total_correlation_term, bounds.total_correlation_term),
]
MOPOE_LIMIT = (1 - math.log(2)) / 2
HALF = sp.Rational(1, 2)


def equicorrelated(count, rho, sigma=1.0):
    return Gaussian(sigma**2 * ((1 - rho) * np.eye(count) + rho))


def assert_agree(formula, h, scheme, numeric):
    """Equal up to rounding: 1e-12 of the sum of the terms, which may cancel."""
    scale = 1.0 + h.n_units * float(np.abs(h.values).max())
    assert abs(float(formula) - float(numeric(h, scheme))) <= 1e-12 * scale


# --- the identities ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theorem", ["T6", "T7", "T8", "T9"])
def test_every_identity_reduces_to_zero(theorem):
    failed = [str(one) for one in identities(theorem) if not one.holds]
    assert not failed


def test_names_are_unique_and_every_theorem_has_its_statements():
    names = [one.name for one in identities()]
    assert len(set(names)) == len(names) > 100
    for group in ("T6.excess", "T6.information", "T7.imputation", "T7.learned.price", "T8.sizes", "T8.increment.mopoe"):
        assert identities(group)
    for group in ("T8.constant", "T8.tcw-grows", "T8.gaussian.determinant", "T8.mopoe-limit", "T8.common-cause"):
        assert identities(group)


def test_a_latex_statement_has_both_sides_the_sign_and_the_meaning_of_symbols():
    shown = identity("T8.exchangeable.tcw-increment.mmvae").latex
    assert r"= I(X_{M+1};X_{2..M}|X_{1}) \ge 0" in shown
    assert shown.count("h{") >= 5
    assert r"\lim_{M \to \infty}" in identity("T8.gaussian.tcw-increment.limit").latex


def test_names_of_entropies_reach_latex_unchanged():
    """Sympy takes the name of a symbol apart at an underscore unless it has braces."""
    for one in identities():
        for symbol in one.left.free_symbols | one.right.free_symbols:
            if "(" in symbol.name:
                assert sp.latex(symbol) == symbol.name


def spoiled(one):
    """The identity with every coefficient of its right side a thousandth too large."""
    factor = sp.Rational(1001, 1000)
    return dataclasses.replace(one, right=one.right * factor if one.right != 0 else sp.Rational(1, 1000))


@pytest.mark.parametrize("theorem", ["T6", "T7", "T8", "T9"])
def test_planted_fault_a_coefficient_that_is_off_by_a_thousandth_is_caught_everywhere(theorem):
    # T8.tcw-grows.1 says 0 = 0, as two single modalities have no total correlation; 1/1000 on the right breaks it too.
    missed = [one.name for one in identities(theorem) if spoiled(one).holds]
    assert not missed


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("T8.gaussian.tcw-increment.limit", lambda right: 2 * right),  # ln(1 + rho) for half of it
        ("T8.gaussian.tcw-increment.positive-rho", lambda right: right.subs(M, M + 1)),
        ("T8.gaussian.delta.mmvae", lambda right: right.subs(RHO, -RHO)),
        ("T8.gaussian.determinant.recursion", lambda right: right.subs(RHO, RHO**2)),
        ("T8.mopoe-limit.value.above", lambda right: -right),
        ("T7.learned.price", lambda right: right.subs(RHO**2, RHO)),
        ("T7.imputation.gaussian", lambda right: right.subs(sp.Symbol("v", positive=True), 0)),
        ("T6.gap", lambda right: right + HALF),  # without -d/2
    ],
)
def test_planted_fault_in_a_formula_is_caught(name, wrong):
    one = identity(name)
    right = wrong(one.right)
    assert right != one.right
    assert not dataclasses.replace(one, right=right).holds


@pytest.mark.parametrize("count", [1, 2, 3])
def test_planted_fault_in_an_increment_is_caught(count):
    """H(X_1) for the mean of H(X_m) in MMVAE's increment is wrong as soon as there are two modalities."""
    one = identity(f"T8.increment.mmvae.{count}")
    symbols = [sp.Symbol(f"H(X_{{{m + 1}}})", real=True) for m in range(count)]
    wrong = one.right + (symbols[0] - sp.Add(*symbols) / count) / (count + 1)
    assert dataclasses.replace(one, right=wrong).holds == (count == 1)


def test_planted_fault_a_sign_that_is_not_visible_is_not_claimed():
    x, t = sp.symbols("x t", positive=True)
    assert Identity("square", "", x**2 + 1, x**2 + 1, nonnegative=True).holds
    assert not Identity("difference", "", x**2 - x, x**2 - x, nonnegative=True).holds
    assert not visibly_nonnegative(sp.Integral(t - 1, (t, 0, x)))
    assert not visibly_nonnegative(sp.Integral(t, (t, 1, x)))
    assert not visibly_nonnegative(sp.log(x))
    assert not Identity(
        "delta", "", *[increment(generative_discrepancy, exchangeable(), "mmvae")] * 2, "", (), True
    ).holds


def test_a_logarithm_is_split_only_where_no_branch_is_lost():
    a, b = sp.symbols("a b", real=True)
    assert not Identity("split", "", sp.log(a * b), sp.log(a) + sp.log(b)).holds


def test_signs_do_not_rest_on_how_a_symbol_was_declared():
    """Where a symbol stands for something other than an information quantity, that is visibly nonnegative as well."""
    for one in identities():
        if one.nonnegative and not any(str(symbol).startswith("I(") for symbol, _ in one.where):
            assert visibly_nonnegative(one.right.subs(one.where)), one.name


# --- against the numeric toolkit ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", SCHEMES)
@pytest.mark.parametrize("count", range(1, 8))
def test_gaussian_closed_forms_are_the_numbers(family, count):
    for rho, sigma in ((0.5, 1.0), (0.95, 0.01), (0.0, 2.0), (-0.9 / max(count - 1, 1), 3.0)):
        h = equicorrelated(count, rho, sigma).entropy_vector()
        for formula, numeric in QUANTITIES:
            value = formula(equicorrelated_gaussian(rho, sigma), family, count)
            assert_agree(sp.N(value, 30), h, SCHEMES[family](count), numeric)


@pytest.mark.parametrize("family", SCHEMES)
@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("level", ["modality", "pixel"])
def test_common_cause_closed_forms_are_the_numbers(family, count, level):
    """The private part has two pixels that depend on each other and on the label."""
    rng = np.random.default_rng(0)
    label, part = np.array([0.5, 0.3, 0.2]), rng.dirichlet(np.ones(6), 3).reshape(3, 2, 3)
    law = CommonCause(label, [part] * count)

    def given_label(axis):
        marginal = part.reshape(3, -1) if axis is None else part.sum(axis=3 - axis)
        return -math.fsum(np.einsum("y,yk->k", label, marginal * np.log(marginal)))

    private = given_label(None)
    values = {
        symbolic.H_Y: -math.fsum(label * np.log(label)),
        symbolic.H_U: private,
        symbolic.TC_U: given_label(1) + given_label(2) - private,
    }
    h = law.entropy_vector() if level == "modality" else law.unit_entropies()
    for formula, numeric in QUANTITIES:
        expanded = sp.expand(formula(common_cause(level), family, count))
        assert_agree(expanded.subs(values), h, SCHEMES[family](count), numeric)


@pytest.mark.parametrize("count", range(1, 8))
def test_any_profile_and_any_scheme(count):
    """An exchangeable law is any function of the size; the formulas do not ask whether it is entropic."""
    rng = np.random.default_rng(count)
    profile = [0.0, *rng.normal(size=count)]
    h = EntropyVector(
        bounds.subsets.default_names(count), [profile[mask.bit_count()] for mask in range(1 << count)], "differential"
    )
    chosen = rng.permutation(np.arange(1, 1 << count))[:5].tolist()
    custom = SubsetScheme({mask: Fraction(1, len(chosen)) for mask in chosen}, count)
    values = {exchangeable().entropy(k): profile[k] for k in range(1, count + 1)}
    for formula, numeric in QUANTITIES:
        for scheme, enumerated in [(custom, custom), *((name, SCHEMES[name](count)) for name in SCHEMES)]:
            assert_agree(formula(exchangeable(), scheme, count).subs(values), h, enumerated, numeric)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 2), (2, 2, 2, 2)])
def test_functionals_of_the_definitions_are_those_of_the_toolkit(shape):
    rng = np.random.default_rng(len(shape))
    law = Discrete(random_pmf(rng, shape, zeros=0.2))
    h = law.entropy_vector()
    for make in SCHEMES.values():
        scheme = make(len(shape))
        for functional, numeric in (
            (symbolic.discrepancy_functional, bounds.generative_discrepancy),
            (symbolic.total_correlation_functional, bounds.total_correlation_term),
        ):
            assert_agree(expression(functional(law.names, scheme), lambda mask: h[mask]), h, scheme, numeric)


def test_a_symbolic_number_of_modalities_gives_the_same_as_a_known_one():
    for family in SCHEMES:
        for formula, _ in QUANTITIES:
            for law in (exchangeable(), common_cause("pixel")):
                general = formula(law, family, M).subs(M, 5).doit()
                assert sp.expand(general - formula(law, family, 5)) == 0


# --- pins of THEORY and limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "digits"), [(1, "2.4913"), (sp.Rational(1, 100), "-6.7190")])
def test_pinned_delta_of_three_gaussians(sigma, digits):
    law = equicorrelated_gaussian(HALF, sigma)
    assert_printed(float(generative_discrepancy(law, "mmvae", 3)), digits)
    assert_printed(float(total_correlation_term(law, "mmvae", 3)), "0.0588915")


def test_mmvae_increments_tend_to_their_limit():
    law = equicorrelated_gaussian()
    assert increment_limit(total_correlation_term, law, "mmvae") == sp.log(1 + RHO) / 2
    assert increment_limit(total_correlation_term, law, "full") == 0
    added = sp.lambdify((RHO, M), increment(total_correlation_term, law, "mmvae"), "math")
    for rho in (0.1, 0.5, 0.95):
        gaps = [0.5 * math.log1p(rho) - added(rho, count) for count in (1, 10, 100, 1000)]
        assert gaps == sorted(gaps, reverse=True)
        assert 0 < gaps[-1] < 1e-3


def mopoe_tcw(rho, count):
    """The sum over all sizes with exact weights."""
    term = sp.lambdify(K, equicorrelated_gaussian(rho).total_correlation(K, count), "math")
    return math.fsum(math.comb(count, k) / (2**count - 1) * term(k) for k in range(1, count + 1))


def test_mopoe_tends_to_its_limit_which_is_not_a_bound():
    assert limit_at_share(equicorrelated_gaussian(), HALF).equals((1 - sp.log(2)) / 2)
    for rho in (0.2, 0.5, 0.95):
        gaps = [abs(mopoe_tcw(rho, count) - MOPOE_LIMIT) for count in (50, 100, 200, 400)]
        assert gaps == sorted(gaps, reverse=True)
        assert all(2 * later < 1.2 * earlier for earlier, later in itertools.pairwise(gaps))  # about 1/M
        assert gaps[-1] < 0.01
    assert_printed(mopoe_tcw(0.95, 50), "0.15820")
    assert_printed(float(total_correlation_term(equicorrelated_gaussian(sp.Rational(19, 20)), "mopoe", 50)), "0.15820")
    assert mopoe_tcw(0.95, 50) > MOPOE_LIMIT


def test_the_parts_of_the_mopoe_argument_hold_in_numbers():
    """TC_A decreases in the size, is largest for one modality, and the tails are below Hoeffding's bound."""
    for rho in (0.05, 0.5, 0.99):
        for count in (5, 60, 400):
            term = sp.lambdify(K, equicorrelated_gaussian(rho).total_correlation(K, count), "math")
            values = [term(k) for k in range(1, count + 1)]
            rounding = 1e-12 * count
            assert all(a >= b - rounding for a, b in itertools.pairwise(values))
            assert abs(values[-1]) < rounding
    for count, eps in ((60, 0.1), (400, 0.05)):
        tail = sum(math.comb(count, k) for k in range(count + 1) if k < (0.5 - eps) * count) / 2**count
        assert tail <= math.exp(-2 * eps**2 * count)


def test_pinned_prices_of_gaussian_noise():
    """T7(v), M = 3, rho = 1/2: h(X) < T2 < learned variance < collapse."""
    law = equicorrelated_gaussian(HALF, 1)
    entropy = law.entropy(3)
    chain = [
        (entropy, "3.910242"),
        (entropy + total_correlation_term(law, "mmvae", 3), "3.969134"),
        (symbolic.learned_variance_floor(3, HALF), "4.171866"),
        (3 * sp.log(2 * sp.pi * sp.E) / 2, "4.256816"),
    ]
    for value, digits in chain:
        assert_printed(float(value), digits)
    tenth = sp.Rational(1, 10)
    assert_printed(float(likelihood_floor(3, HALF, tenth)), "8.656963")
    assert_printed(float(symbolic.split_floor(3, HALF, tenth)), "8.454231")


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("variance", [0.1, 0.9, 3.0])
def test_the_floor_of_a_fixed_variance_is_attained_by_a_linear_vae(count, variance):
    """T7(iv) for A = {1}: the eigenvalues of the imputed covariance, and the model that attains their floor."""
    rho = 0.6
    cov = equicorrelated(count, rho).cov
    imputed = np.outer(cov[0], cov[0])
    eigenvalues = np.clip(np.linalg.eigvalsh(imputed), 0, None)  # of a matrix of rank one: zero up to rounding
    floor = float(likelihood_floor(count, sp.Float(rho, 30), sp.Float(variance, 30)))
    direction = cov[0] / np.linalg.norm(cov[0])
    loading = max(eigenvalues[-1] - variance, 0.0) ** 0.5  # no direction is coded above the eigenvalue
    model = LinearGaussianVAE(loading * direction[:, None], np.full(count, variance))
    spread = variance / (variance + loading**2)
    B = np.array([[loading / (variance + loading**2) * np.linalg.norm(cov[0])]])
    assert abs(-model.elbo(cov, [0], B, np.array([[spread]])) - floor) < 1e-12 * count * (1 + 1 / variance)


def test_the_learned_variance_is_the_minimiser():
    """T7(v): on a fine grid of variances no floor is below the closed form."""
    floor = sp.lambdify(PSI, likelihood_floor(4, sp.Rational(3, 5)), "math")
    least = float(symbolic.learned_variance_floor(4, sp.Rational(3, 5)))
    assert abs(floor(1 - 0.36) - least) < 1e-12
    assert min(floor(0.05 * 1.01**i) for i in range(600)) >= least - 1e-12


@pytest.mark.parametrize("latents", [1, 2, 3])
def test_the_encoder_gap_of_a_linear_gaussian_model(latents):
    """T6: E ln p(x) - L_A at the best encoder is tr(P^-1 C)/2 - d/2 >= ln det(P^-1 C)/2, with several latents."""
    rng = np.random.default_rng(latents)
    model = random_linear_gaussian(rng, 4, latents)
    cov = model.loadings @ model.loadings.T + np.diag(model.noise)
    seen, every = [0, 2], [0, 1, 2, 3]
    B, P = model.posterior(every)
    # The best encoder has the mean E[E[z|x] | x_A] and the variance P.
    mean = B @ cov[:, seen] @ np.linalg.inv(cov[np.ix_(seen, seen)])
    gap = model.evidence(cov, every) - model.elbo(cov, seen, mean, P)
    ratio = np.linalg.solve(P, model.posterior(seen)[1])
    assert abs(gap - (np.trace(ratio) - latents) / 2) < 1e-10  # as IDENTITY of the pinned values: inverses of 4 x 4
    assert gap >= np.linalg.slogdet(ratio)[1] / 2 > 0
    exact = symbolic.posterior_covariance(sp.Matrix(model.loadings), model.noise.tolist(), seen)
    assert np.allclose(np.array(exact.tolist(), dtype=float), model.posterior(seen)[1], rtol=0, atol=1e-12)


# --- input and cost ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average("moe", 3, lambda k: k), "unknown family of schemes 'moe'"),
        (lambda: average(bounds.mmvae(2), 3, lambda k: k), "over 2 modalities, not 3"),
        (lambda: average(bounds.mvae_subsampled(3), 3, lambda k: k), "sum of ELBOs"),
        (lambda: common_cause("patch"), "use 'modality' or 'pixel'"),
        (lambda: common_cause("pixel").unseen(0), "only where some modality is encoded"),
        (lambda: increment_limit(total_correlation_term, exchangeable(), "mopoe"), "limit_at_share"),
        (lambda: identities("T8.nothing"), "no identity is named 'T8.nothing'"),
        (lambda: identity("T8.gaussian"), r"see identities\('T8'\)"),
    ],
)
def test_errors_say_what_would_fix_them(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_delta_depends_on_the_measurement_units_and_the_loss_does_not():
    law = equicorrelated_gaussian(RHO, SIGMA)
    for family, unseen in (("mmvae", 2), ("mopoe", sp.Rational(9, 7)), ("full", 0)):
        slope = SIGMA * sp.diff(generative_discrepancy(law, family, 3), SIGMA)
        assert sp.simplify(slope) == unseen
        assert sp.simplify(sp.diff(total_correlation_term(law, family, 3), SIGMA)) == 0


def test_nothing_is_derived_on_import():
    code = (
        "import sys, bounds; assert 'bounds.symbolic' not in sys.modules; "
        "import bounds.symbolic as s; assert s.catalogue._by_name.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
