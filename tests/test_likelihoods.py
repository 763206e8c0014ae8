"""Ceilings of restricted likelihoods (THEORY T7): models stay below them, some reach them, and planted faults show."""

import __future__

import dataclasses
import inspect
import json
import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pins_common import random_law, random_scheme

from bounds import (
    CommonCause,
    Discrete,
    Gaussian,
    InputError,
    ObjectiveError,
    SubsetScheme,
    elbo_ceiling,
    full,
    mmvae,
    mopoe,
    mvae_subsampled,
)
from bounds.choices import Choices, gaussian_law, subset_scheme
from bounds.likelihood import gaussian as gaussian_likelihood
from bounds.likelihood import mixture_loss, split_floor
from bounds.likelihood.decoders import parse_likelihood
from bounds.likelihood.gaussian import fixed_variance_floor, imputed_moments, learned_variance_floor
from bounds.likelihood.linear_vae import LinearEncoder, LinearVAE, imputation_identity, optimal_linear_vae
from bounds.likelihood.noise import BernoulliNoise, GaussianNoise, LaplaceNoise
from bounds.likelihoods import Likelihood, likelihood_ceiling
from bounds.strategies import decoded
from bounds.subsets import format_subset

# Sums of at most a few hundred terms; an ELBO with small noise cancels terms of size Var/psi, which set the scale.
ROUNDING = 1e-10


def scales(names, deviations, family="gaussian"):
    return f"{family}:" + ",".join(f"{n}={float(s)!r}" for n, s in zip(names, deviations, strict=True))


def scalar_law(choices: Choices) -> Gaussian:
    """Modalities of one or two scalar units, at least two variables, away from singular by unit noise."""
    law = gaussian_law(choices, (2, 3), max_size=2, scalar_units=True)
    cov = law.cov / np.diagonal(law.cov).max() + choices.pick((1.0, 0.1, 0.01)) * np.eye(len(law.cov))
    return Gaussian(cov, law.layout.sizes, units="scalar")


def linear_case(choices: Choices) -> tuple[Gaussian, SubsetScheme, LinearVAE]:
    """A law, a scheme, and a linear VAE that encodes its subsets: any, or the best one for some subset."""
    law = scalar_law(choices)
    scheme = subset_scheme(choices, len(law.names), allow_empty=True)
    d = len(law.cov)
    variances = np.array([choices.pick((1.0, 0.5, 0.1, 2.0, 0.01)) for _ in range(d)])
    best = [optimal_linear_vae(law, subset, variances) for subset, _ in scheme]
    chosen = best[choices.integer(0, len(best) - 1)]
    loading = chosen.loading if choices.integer(0, 1) else (choices.take(2 * d).reshape(d, 2) % 9 - 4) / 4
    k = loading.shape[1]
    encoders = {}
    for subset, _ in scheme:
        seen = law.layout.variables_of_modalities(subset)
        if choices.integer(0, 1):  # the posterior of the model given the imputed data
            cov = np.linalg.inv(np.eye(k) + loading.T @ (loading / variances[:, None]))
            slopes = gaussian_likelihood.regression(law.cov, seen)[:, seen]
            gain = cov @ (loading / variances[:, None]).T @ slopes
        else:
            gain = (choices.take(k * len(seen)).reshape(k, len(seen)) % 9 - 4) / 8
            root = np.tril((choices.take(k * k).reshape(k, k) % 9 - 4) / 8, -1) + choices.pick((1.0, 0.3)) * np.eye(k)
            cov = root @ root.T
        encoders[subset] = LinearEncoder(gain, cov)
    return law, scheme, LinearVAE(loading, variances, encoders)


def mixture_elbo(law, scheme, vae):
    return math.fsum(float(w) * vae.elbo(law, subset) for subset, w in scheme)


# What is checked of the code, and of the faults planted in it below.


def check_linear_vaes_stay_below(case):
    law, scheme, vae = case
    elbo = mixture_elbo(law, scheme, vae)
    room = ROUNDING * max(1.0, abs(elbo))
    names = law.layout.unit_names
    fixed = float(likelihood_ceiling(law, scheme, scales(names, np.sqrt(vae.variances))))
    learned = float(likelihood_ceiling(law, scheme, "gaussian:learned"))
    free = float(likelihood_ceiling(law, scheme, "gaussian:conditional"))
    assert elbo <= fixed + room
    assert fixed <= learned + room
    assert learned <= free + room


def check_attained(case):
    law, scheme, vae = case
    for subset, _ in scheme:
        alone = SubsetScheme({subset: 1}, scheme.n_modalities, allow_empty=True)
        ceiling = likelihood_ceiling(law, alone, scales(law.layout.unit_names, np.sqrt(vae.variances)))
        best = optimal_linear_vae(law, subset, vae.variances).elbo(law, subset)
        assert float(ceiling) == pytest.approx(best, abs=ROUNDING * max(1.0, abs(best)))
        assert ceiling.form == "attained"


def check_learned_is_the_least(case):
    """Against the loss at other variances, and the equations of a minimum that lies inside."""
    law, scheme, vae = case
    moments = [imputed_moments(law.cov, law.layout.variables_of_modalities(a), float(w)) for a, w in scheme]
    learned = gaussian_likelihood.learned_variance_floor(moments, np.arange(len(law.cov)))
    assert abs(learned.found - learned.floor) <= ROUNDING * max(1.0, abs(learned.found))
    step = np.linspace(-1, 1, len(law.cov))
    inside = learned.variances > 0
    near = [np.where(inside, learned.variances, 1e-3) * np.exp(t * step) for t in (-1.0, -0.01, 0.0, 0.01, 1.0)]
    for variances in (vae.variances, *near):
        at = math.fsum(part.weight * naive_floor(law.cov, part, variances) for part in moments)
        assert at >= learned.floor - ROUNDING * max(1.0, abs(at))
    at = learned.variances
    if inside.all():
        found = math.fsum(part.weight * naive_floor(law.cov, part, at) for part in moments)
        assert found == pytest.approx(learned.found, abs=ROUNDING * max(1.0, abs(found)))


def naive_floor(cov, part, variances):
    """T7(iv) as rate plus distortion: the least over distortions of each direction, without the form of ``g``."""
    root = np.diag(variances**-0.5)
    constant = 0.5 * np.log(2 * math.pi * variances).sum() + 0.5 * (part.unexplained / variances).sum()
    total = float(constant)
    for eigenvalue in np.linalg.eigvalsh(root @ part.spread @ root):
        if eigenvalue > 1e-12:
            grid = np.append(eigenvalue * np.linspace(0, 1, 2001)[1:], min(1.0, eigenvalue))
            total += float((0.5 * np.log(eigenvalue / grid) + 0.5 * grid).min())
    return total


@given(decoded(linear_case))
def test_linear_vaes_stay_below_the_ceilings_of_their_likelihood(case):
    check_linear_vaes_stay_below(case)


@given(decoded(linear_case))
def test_each_subset_s_ceiling_is_attained(case):
    check_attained(case)


@given(decoded(linear_case))
def test_the_learned_variance_is_the_global_minimum(case):
    check_learned_is_the_least(case)


@given(decoded(linear_case))
def test_the_imputation_identity_holds_for_every_linear_vae(case):
    law, scheme, vae = case
    sides = imputation_identity(law, scheme, vae)
    assert abs(sides.residual) <= ROUNDING * max(1.0, abs(sides.elbo), abs(sides.unexplained))


@given(decoded(linear_case))
def test_the_imputation_identity_from_its_definition(case):
    """``E Var(X_m|X_A)`` by Schur complements, and the identity fails without it."""
    law, scheme, vae = case
    unexplained = 0.0
    for subset, weight in scheme:
        seen = law.layout.variables_of_modalities(subset)
        rest = [v for v in range(len(law.cov)) if v not in seen]
        given_seen = law.cov[np.ix_(rest, rest)]
        if seen:
            cross = law.cov[np.ix_(rest, seen)]
            given_seen = given_seen - cross @ np.linalg.solve(law.cov[np.ix_(seen, seen)], cross.T)
        unexplained += float(weight) * float((np.diagonal(given_seen) / (2 * vae.variances[rest])).sum())
    sides = imputation_identity(law, scheme, vae)
    assert sides.unexplained == pytest.approx(unexplained, rel=1e-9, abs=1e-12)
    assert sides.elbo == pytest.approx(mixture_elbo(law, scheme, vae), rel=1e-12)


@given(decoded(linear_case))
def test_sharing_variances_costs_more_and_splitting_bounds_less(case):
    law, scheme, vae = case
    chain = [float(likelihood_ceiling(law, scheme, f"gaussian:{word}")) for word in WORDS]
    room = ROUNDING * max(1.0, *map(abs, chain))
    assert chain[0] <= chain[1] + room
    assert chain[1] <= chain[2] + room
    fixed = scales(law.layout.unit_names, np.sqrt(vae.variances))
    attained, split = (float(likelihood_ceiling(law, scheme, fixed, form=form)) for form in ("best", "split"))
    assert attained <= split + ROUNDING * max(1.0, abs(attained))


WORDS = ("learned-common", "learned-modality", "learned")


@given(decoded(linear_case))
def test_linear_vaes_with_laplace_decoders_stay_below_the_split_form(case):
    """``x - W z`` is Gaussian, so its mean absolute value is ``sd sqrt(2/pi)``."""
    law, scheme, vae = case
    b = np.sqrt(vae.variances)
    elbo = 0.0
    for subset, weight in scheme:
        gaussian = vae.elbo(law, subset)
        encoder, seen = vae.encoders[subset], law.layout.variables_of_modalities(subset)
        latent = encoder.gain @ law.cov[np.ix_(seen, seen)] @ encoder.gain.T + encoder.cov
        cross = law.cov[:, seen] @ encoder.gain.T
        error = np.diagonal(law.cov - 2 * cross @ vae.loading.T + vae.loading @ latent @ vae.loading.T)
        gaussian += float((0.5 * np.log(2 * math.pi * vae.variances) + error / (2 * vae.variances)).sum())  # minus KL
        elbo += float(weight) * (gaussian - float((np.log(2 * b) + np.sqrt(2 * error / math.pi) / b).sum()))
    ceiling = likelihood_ceiling(law, scheme, scales(law.layout.unit_names, b, "laplace"))
    assert ceiling.form == "split"
    assert elbo <= float(ceiling) + ROUNDING * max(1.0, abs(elbo))


@pytest.mark.parametrize("seed", range(5))
def test_the_learned_variance_against_a_dense_grid(seed):
    """Two variables, one of them always seen or not: the programme's value is the least on the grid, to its spacing."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(2, 3))
    law = Gaussian(root @ root.T)
    scheme = SubsetScheme({0b01: Fraction(1, 3), 0b10: Fraction(2, 3)}, 2)
    moments = [imputed_moments(law.cov, law.layout.variables_of_modalities(a), float(w)) for a, w in scheme]
    learned = learned_variance_floor(moments, np.arange(2))
    logs = np.linspace(-4, 4, 161)
    grid = [
        math.fsum(part.weight * fixed_variance_floor(part, np.exp([a, b])) for part in moments)
        for a in logs
        for b in logs
    ]
    # In log-variance the second derivative is at most the number of variables here, and the grid's step is .05.
    assert learned.floor <= min(grid) + 1e-12
    assert min(grid) - learned.floor <= 2 * 0.05**2


def test_a_variable_that_every_subset_shows_has_a_vanishing_variance():
    law = Gaussian([[1.0, 0.5, 0.4], [0.5, 1.0, 0.3], [0.4, 0.3, 1.0]])
    scheme = SubsetScheme({0b011: 0.5, 0b101: 0.5}, 3)
    result = likelihood_ceiling(law, scheme, "gaussian:learned")
    assert result.deviations["X1"] == 0
    assert "goes to zero" in result.ceiling.notes[0]
    # The limit of fixed variances that vanish for X1 and are the learned ones elsewhere.
    near = {**result.deviations, "X1": 1e-5}
    close = float(likelihood_ceiling(law, scheme, scales(law.names, near.values())))
    assert close <= float(result)
    assert close == pytest.approx(float(result), abs=1e-8)
    # Everything seen: nothing but the entropy is lost.
    assert float(likelihood_ceiling(law, full(3), "gaussian:learned")) == pytest.approx(
        -law.entropy_vector()[0b111], rel=1e-12
    )


def test_learned_variances_of_singular_laws_have_no_ceiling_only_where_they_may_vanish():
    copies = Gaussian(np.ones((2, 2)))
    result = likelihood_ceiling(copies, mmvae(2), "gaussian:learned")
    assert float(result) == math.inf
    assert "no ceiling" in str(result)
    assert result.to_dict()["elbo_ceiling"]["value"] == "inf"
    # X2 = X1 + X3 is determined by {1, 3}, but from X2 alone the others are not: the floor is finite.
    summed = Gaussian([[1.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 1.0]])
    scheme = SubsetScheme({(0, 2): 0.5, (1,): 0.5}, 3)
    result = likelihood_ceiling(summed, scheme, "gaussian:learned")
    assert math.isfinite(float(result))
    near = {**result.deviations, "X2": 1e-4}
    assert float(likelihood_ceiling(summed, scheme, scales(summed.names, near.values()))) == pytest.approx(
        float(result), abs=1e-6
    )


def test_large_noise_is_attained_by_a_constant_latent():
    law = Gaussian(0.5 * np.eye(3) + 0.5)
    result = likelihood_ceiling(law, mopoe(3), "gaussian:3")
    assert float(result) == pytest.approx(-1.5 * math.log(2 * math.pi * 9) - 3 / 18, rel=1e-12)
    assert "constant latent" in result.ceiling.notes[0]


# Probability tables


def best_finite_elbo(law, scheme, log_v, locations, iterations=100):
    """``J(pi) = sum_A w_A E ln sum_z pi_z exp(-d_A(x_A, z))``: exact for the best encoders, by EM in the prior.

    ``locations`` is ``(z, d)`` and ``log_v(v, location)`` gives ``(k, z)`` log-likelihoods of variable ``v``.
    """
    pmf = law.pmf
    rows, losses = [], []
    for subset, weight in scheme:
        seen = law.layout.variables_of_modalities(subset)
        rest = tuple(v for v in range(pmf.ndim) if v not in seen)
        known = pmf.sum(axis=rest)
        total = 0.0
        for v in range(pmf.ndim):
            others = tuple(u for u in rest if u != v)
            table = pmf.sum(axis=others)  # over seen and v
            if v in seen:
                shape = [1] * len(seen)
                shape[seen.index(v)] = pmf.shape[v]
                scores = log_v(v, locations[:, v]).reshape(*shape, -1) * np.ones((*known.shape, 1))
                total = total + known[..., None] * scores
            else:
                axis = sorted([*seen, v]).index(v)
                total = total + np.tensordot(np.moveaxis(table, axis, -1), log_v(v, locations[:, v]), axes=1)
        flat, p = total.reshape(-1, len(locations)), known.reshape(-1)
        rows.append(float(weight) * p[p > 0])
        losses.append(flat[p > 0] / p[p > 0, None])
    weights, scores = np.concatenate(rows), np.vstack(losses)
    prior = np.full(len(locations), 1 / len(locations))
    for _ in range(iterations):
        joint = np.log(prior) + scores
        top = joint.max(axis=1, keepdims=True)
        responsibility = np.exp(joint - top)
        elbo = float(weights @ (np.log(responsibility.sum(axis=1)) + top[:, 0]))
        prior = weights @ (responsibility / responsibility.sum(axis=1, keepdims=True)) + 1e-300
    return elbo


def table_case(seed, alphabet=(2, 3)):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 3, rng.integers(1, 4)).tolist()
    shape = rng.choice(alphabet, sum(sizes)).tolist()
    law = random_law(rng, shape, sizes, "scalar" if seed % 2 else None)
    return law, random_scheme(rng, len(sizes)), rng


def check_finite_models_stay_below(seed, family):
    law, scheme, rng = table_case(seed)
    scale = float(rng.choice([0.2, 0.5, 1.0, 3.0]))
    locations = np.stack([rng.choice(np.arange(k), 40) for k in law.pmf.shape], axis=1) + rng.choice([0, 0.3], (40, 1))
    noise = GaussianNoise(scale**2) if family == "gaussian" else LaplaceNoise(scale)

    def log_v(v, location):
        return noise.log_likelihood(np.arange(law.pmf.shape[v], dtype=float)[:, None], location)

    elbo = best_finite_elbo(law, scheme, log_v, locations)
    result = likelihood_ceiling(law, scheme, f"{family}:{scale}")
    assert result.form == "split"
    assert elbo <= float(result) + ROUNDING * max(1.0, abs(elbo))
    if family == "gaussian":
        assert elbo <= float(likelihood_ceiling(law, scheme, "gaussian:learned-common")) + ROUNDING * max(1, abs(elbo))
    return float(result) - elbo


@pytest.mark.parametrize("family", ["gaussian", "laplace"])
@pytest.mark.parametrize("seed", range(20))
def test_finite_models_of_tables_stay_below(seed, family):
    check_finite_models_stay_below(seed, family)


@pytest.mark.parametrize("seed", range(20))
def test_finite_models_of_grey_values_stay_below(seed):
    law, scheme, rng = table_case(seed)
    values = [np.sort(rng.choice(np.linspace(0, 1, 5), k, replace=False)) for k in law.pmf.shape]
    by_name = {f"V{v}": numbers for v, numbers in enumerate(values)}
    flat = Discrete(law.pmf, [f"V{v}" for v in range(law.pmf.ndim)])
    subsets = {law_mask(law, subset): w for subset, w in scheme}
    over_variables = SubsetScheme(subsets, law.pmf.ndim, allow_empty=True)
    noise = BernoulliNoise()
    elbo = best_finite_elbo(
        flat,
        over_variables,
        lambda v, t: noise.log_likelihood(values[v][:, None], t),
        np.vstack([rng.random((30, law.pmf.ndim)), rng.choice([1e-6, 0.5, 1 - 1e-6], (30, law.pmf.ndim))]),
    )
    result = likelihood_ceiling(flat, over_variables, Likelihood("bernoulli", values=by_name))
    assert elbo <= float(result) + ROUNDING * max(1.0, abs(elbo))


def law_mask(law, subset):
    return sum(1 << v for v in law.layout.variables_of_modalities(subset))


def test_a_single_full_subset_reaches_the_split_form():
    """With everything seen by one unit, ``L_S`` is ``-R_V``, and the models of the oracle come close to it."""
    law = Discrete([0.2, 0.5, 0.3], ["digit"])
    locations = np.linspace(-0.5, 2.5, 301)[:, None]
    noise = GaussianNoise(0.25)
    elbo = best_finite_elbo(
        law, full(1), lambda v, t: noise.log_likelihood(np.arange(3.0)[:, None], t), locations, iterations=20_000
    )
    ceiling = float(likelihood_ceiling(law, full(1), "gaussian:0.5"))
    assert 0 <= ceiling - elbo <= 1e-4  # the oracle's locations are .01 apart, and EM is slow


@pytest.mark.parametrize("seed", range(20))
def test_families_with_every_law_are_t2(seed):
    law, scheme, _ = table_case(seed, alphabet=(2,))
    scalar = Discrete(law.pmf, law.names, law.layout.sizes, "scalar")
    categorical = likelihood_ceiling(law, scheme, "categorical")
    bernoulli = likelihood_ceiling(law, scheme, "bernoulli")
    assert (categorical.form, bernoulli.form) == ("T2", "T2")
    assert float(categorical) == float(elbo_ceiling(law.unit_entropies(), scheme))
    assert float(bernoulli) == float(elbo_ceiling(scalar.unit_entropies(), scheme))
    # The split form has the same number by another way: R_V(X_A) = H(X_A) and H_V = H for every family with all laws.
    asked = likelihood_ceiling(law, scheme, {**dict.fromkeys(law.names, "bernoulli")})
    check_split_of_all_laws_is_t2(scalar, scheme, float(asked))


def check_split_of_all_laws_is_t2(law, scheme, expected):
    parts = [
        split_floor.Part(f"V{v}", m, (v,), BernoulliNoise())
        for m in range(len(law.names))
        for v in law.layout.variables_of_modalities(1 << m)
    ]
    floors = split_floor.discrete_split(law, scheme, parts, {v: np.array([0.0, 1.0]) for v in range(law.pmf.ndim)})
    assert -split_floor.mean_floor(floors) == pytest.approx(expected, abs=1e-6)  # R_V is certified to 1e-8 a variable


def test_mixed_likelihoods_of_a_table():
    """A grey digit beside a label: the label's part is its entropy, the digit's a Gaussian loss."""
    table = np.array([[0.2, 0.1], [0.1, 0.2], [0.1, 0.3]])
    law = Discrete(table, ["digit", "label"])
    result = likelihood_ceiling(law, SubsetScheme({0b10: 1}, 2), "digit=gaussian:0.5;label=categorical")
    (floor,) = result.floors
    means = np.arange(3) @ table / table.sum(axis=0)
    variance = float((table * (np.arange(3)[:, None] - means) ** 2).sum())
    assert floor.unseen == pytest.approx(0.5 * math.log(2 * math.pi * 0.25) + variance / 0.5, rel=1e-12)
    assert floor.seen == pytest.approx(-(0.4 * math.log(0.4) + 0.6 * math.log(0.6)), rel=1e-12)
    assert result.likelihood == "digit=gaussian:0.5;label=categorical"
    assert any("symbols count as" in note for note in result.ceiling.notes)


def test_learned_variances_of_tables():
    law = Discrete(np.full((2, 2), 0.25))
    result = likelihood_ceiling(law, mmvae(2), "gaussian:learned")
    assert result.form == "distortion"
    assert float(result) == pytest.approx(-math.log(2 * math.pi * math.e * 0.125), rel=1e-12)
    assert float(likelihood_ceiling(law, full(2), "gaussian:learned")) == math.inf
    assert float(likelihood_ceiling(law, mmvae(2), "gaussian:conditional")) == math.inf
    assert likelihood_ceiling(law, mmvae(2), "gaussian:conditional").floors == ()


def test_a_common_cause_law_counts_as_a_table():
    law = CommonCause([0.5, 0.5], [np.full((2, 2), 0.5), None])
    result = likelihood_ceiling(law, mmvae(2), "categorical")
    assert float(result) == pytest.approx(float(elbo_ceiling(law.unit_entropies(), mmvae(2))), rel=1e-12)


# One variable


@given(st.integers(0, 10**6))
def test_mixture_losses_are_bracketed(seed):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 6))
    pmf = rng.dirichlet(np.full(k, rng.choice([0.3, 1.0])))
    noise = [GaussianNoise(float(rng.choice([0.01, 0.3, 4.0]))), LaplaceNoise(0.5), BernoulliNoise()][seed % 3]
    values = rng.random(k) if seed % 3 == 2 else np.round(rng.normal(size=k), 1)
    found = mixture_loss.mixture_loss(pmf, values, noise)
    assert found.low <= found.high + 1e-12 * max(1, abs(found.high))
    assert found.high - found.low <= 1e-6
    assert found.low >= float(pmf @ noise.peak_loss(values)) - 1e-9
    for _ in range(20):  # no mixture does better
        locations = rng.random(4) if seed % 3 == 2 else rng.normal(size=4)
        weights = rng.dirichlet(np.ones(5))
        table = np.exp(noise.log_likelihood(values, np.append(locations, values[0])[:, None]))
        with np.errstate(divide="ignore"):
            assert -float(pmf @ np.log(weights @ table)) >= found.low - 1e-9
    assert found.low <= float(noise.best_loss(pmf[None], values)[0]) + 1e-9


@given(st.integers(0, 10**6))
def test_suprema_are_upper_bounds(seed):
    rng = np.random.default_rng(seed)
    weights, values = rng.random(5) * 10, rng.random(5)
    for noise in (GaussianNoise(0.01), GaussianNoise(1.0), LaplaceNoise(0.2), BernoulliNoise()):
        upper, where = noise.supremum(weights, values)

        def height(t, noise=noise):
            return np.exp(noise.log_likelihood(values, np.asarray(t)[..., None]) + noise.peak_loss(values)) @ weights

        assert height(np.linspace(1e-9, 1 - 1e-9, 2001)).max() <= upper * (1 + 1e-12)
        assert float(height(where)) == pytest.approx(upper, rel=1e-8)


# Planted faults: the source of a function with one fragment replaced, everywhere it is used.


def plant(monkeypatch, module, function, old, new):
    original = getattr(module, function)
    source = inspect.getsource(original)
    assert source.count(old) >= 1, f"{old!r} is not in {function}"
    space = dict(vars(module))
    flags = __future__.annotations.compiler_flag
    exec(compile(source.replace(old, new), "<planted>", "exec", flags), space)
    for other in list(sys.modules.values()):
        name = getattr(other, "__name__", "")
        if name.startswith("bounds") and vars(other).get(function) is original:
            monkeypatch.setattr(other, function, space[function])


def some_cases(count=40):
    rng = np.random.default_rng(7)
    return [linear_case(Choices(rng.bytes(256))) for _ in range(count)]


def caught(check, cases):
    for case in cases:
        try:
            check(case)
        except AssertionError:
            return True
    return False


GAUSSIAN_FAULTS = {
    "g of a dropped direction as if it were coded": (
        check_attained,
        "_coded",
        "0.5, eigenvalues / 2)",
        "0.5, 0.5 * np.log(np.abs(eigenvalues) + 1e-9) + 0.5)",
    ),
    "every direction dropped": (
        check_linear_vaes_stay_below,
        "_coded",
        "large = eigenvalues > 1",
        "large = eigenvalues > 1e9",
    ),
    "g without the half": (check_attained, "_coded", "1.0)) + 0.5, eig", "1.0)), eig"),
    "no unexplained variance": (check_attained, "fixed_variance_floor", "+ imputed.unexplained / variances", ""),
    "the unexplained variance twice": (
        check_linear_vaes_stay_below,
        "fixed_variance_floor",
        "+ imputed.unexplained / variances",
        "+ 2 * imputed.unexplained / variances",
    ),
    "the covariance of the data for that of the imputed data": (
        check_linear_vaes_stay_below,
        "imputed_moments",
        "spread = slopes @ cov @ slopes.T",
        "spread = cov",
    ),
    "a stationary point of another scheme": (
        check_learned_is_the_least,
        "_solve",
        "slope = slope + part.weight * np",
        "slope = slope + np",
    ),
    "dual matrices that are not feasible": (
        check_learned_is_the_least,
        "_solve",
        "rescale = np.sqrt(missing / used)[groups]",
        "rescale = 1.1 * np.sqrt(missing / used)[groups]",
    ),
}


@pytest.mark.parametrize("fault", GAUSSIAN_FAULTS)
def test_planted_faults_of_gaussian_floors_are_caught(monkeypatch, fault):
    check, function, old, new = GAUSSIAN_FAULTS[fault]
    cases = some_cases()
    assert not caught(check, cases)
    plant(monkeypatch, gaussian_likelihood, function, old, new)
    assert caught(check, cases)


def test_variances_optimised_for_each_subset_are_caught(monkeypatch):
    """Averaging the least losses of the subsets, each at its own variances, is below the least average."""
    common = gaussian_likelihood.learned_variance_floor

    def own(moments, groups):
        each = [common([dataclasses.replace(part, weight=1.0)], groups).floor for part in moments]
        value = math.fsum(part.weight * floor for part, floor in zip(moments, each, strict=True))
        return dataclasses.replace(common(moments, groups), floor=value, found=value)

    cases = some_cases()
    monkeypatch.setattr(gaussian_likelihood, "learned_variance_floor", own)
    assert caught(check_learned_is_the_least, cases)


SPLIT_FAULTS = {
    "the parts of a subset as if independent": (
        "discrete_split",
        "alone[i].mixture for i in seen) + joint",
        "alone[i].mixture for i in seen)",
    ),
    "the seen part twice": ("discrete_split", "max(peak, coded), unseen", "2 * max(peak, coded), unseen"),
    "the unseen part given nothing": (
        "_expected_loss",
        "_table(law, known, part.variables)",
        "_table(law, [], part.variables)",
    ),
    "a bound of R_V that is too high": ("_alone", "part.noise).low", "part.noise).high + 0.3"),
}


@pytest.mark.parametrize("fault", SPLIT_FAULTS)
def test_planted_faults_of_the_split_form_are_caught(monkeypatch, fault):
    function, old, new = SPLIT_FAULTS[fault]

    def check(seed):
        law, scheme, _ = table_case(seed, alphabet=(2,))
        scalar = Discrete(law.pmf, law.names, law.layout.sizes, "scalar")
        check_split_of_all_laws_is_t2(scalar, scheme, float(elbo_ceiling(scalar.unit_entropies(), scheme)))

    assert not caught(check, range(10))
    plant(monkeypatch, split_floor, function, old, new)
    assert caught(check, range(10))


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [
        (LaplaceNoise, "best_loss", lambda self, tables, values: self.peak_loss(tables @ values) + 1),
        (GaussianNoise, "best_loss", lambda self, tables, values: self.peak_loss(tables @ values) + 4 / self.variance),
        (GaussianNoise, "peak_loss", lambda self, x: np.full(np.shape(x), 0.5 * math.log(2 * math.pi * math.e) + 1)),
    ],
)
def test_planted_faults_of_a_family_are_caught(monkeypatch, owner, name, wrong):
    """A loss that is too high somewhere is a ceiling that some model exceeds."""
    family = "laplace" if owner is LaplaceNoise else "gaussian"
    cases = range(20)
    monkeypatch.setattr(owner, name, wrong)
    assert caught(lambda seed: check_finite_models_stay_below(seed, family), cases)


# What can be written, and what is refused


LAW = Gaussian([[1.0, 0.5], [0.5, 1.0]], names=["image", "text"])
TABLE = Discrete([[0.4, 0.1], [0.1, 0.4]], ["image", "text"])
ROWS = {"image": np.linspace(0, 1, 40).reshape(20, 2) ** 2, "text": np.array(["a", "b"] * 10)}


@pytest.mark.parametrize(
    ("data", "likelihood", "message"),
    [
        (LAW, "gausian:1", "did you mean 'gaussian'"),
        (LAW, "gaussian", "needs a scale"),
        (LAW, "gaussian:0", "positive finite"),
        (LAW, "gaussian:-1", "positive finite"),
        (LAW, "gaussian:nan", "positive finite"),
        (LAW, "gaussian:inf", "positive finite"),
        (LAW, "gaussian:1e-200", "positive finite"),
        (LAW, "gaussian:lerned", "did you mean 'learned'"),
        (LAW, "laplace:learned", "a fixed scale is needed"),
        (LAW, "laplace:x=learned", "needs a scale"),
        (LAW, "gaussian:image=1,txt=1", "did you mean 'text'"),
        (LAW, "gaussian:image=1", "no scale for 'text'"),
        (LAW, "gaussian:image=1,image=2", "given twice"),
        (LAW, "gaussian:image=1,2", "MODALITY=SCALE"),
        (LAW, "image=gaussian:1", "'text' has no likelihood"),
        (LAW, "image=gaussian:1;txt=gaussian:1", "no modality: did you mean 'text'"),
        (LAW, "image=gaussian:1;image=gaussian:1", "given twice"),
        (LAW, "image=gaussian:1;text", "MODALITY=LIKELIHOOD"),
        (LAW, "image=gaussian:learned;text=gaussian:1", "for all modalities alike"),
        (LAW, "bernoulli", "a Bernoulli likelihood cannot produce"),
        (LAW, "categorical", "a categorical likelihood cannot produce"),
        (LAW, "bernoulli:0.5", "has no scale"),
        (LAW, {}, "is no likelihood"),
        (LAW, 0.75, "is no likelihood"),
        (LAW, {"image": {"text": "bernoulli"}, "text": "bernoulli"}, "is no likelihood"),
        (Discrete(np.full((3, 2), 1 / 6)), "bernoulli", r"values in \[0, 1\], 'X1' has 2"),
        (ROWS, "gaussian:1", "'text' is discrete"),
        (ROWS, "gaussian:learned", "'text' is discrete"),
        (ROWS, "categorical", r"'image\[0\]' is continuous"),
        ({"image": 2 * ROWS["image"], "text": ROWS["text"]}, "bernoulli", r"values in \[0, 1\]"),
        ({"text": np.array(["a", "b", "c", "d"] * 5)}, "bernoulli", "'text' is discrete"),
        (3, "gaussian:1", "neither a law"),
    ],
)
def test_likelihoods_that_do_not_fit_are_refused(data, likelihood, message):
    scheme = SubsetScheme({0b01: 1}, 1 if isinstance(data, dict) and len(data) == 1 else 2)
    with pytest.raises(InputError, match=message):
        likelihood_ceiling(data, scheme, likelihood)


def test_values_that_do_not_fit_are_refused():
    for values, message in (
        ({"image": [0, 0.5, 1]}, "3 values are given for 'image', which has 2 symbols"),
        ({"imgae": [0, 1]}, "did you mean 'image'"),
        ({"image": ["a", "b"]}, "not numbers"),
        ({"image": [0, math.nan]}, "not finite"),
        ({"image": 3}, "not numbers"),
    ):
        with pytest.raises(InputError, match=message):
            likelihood_ceiling(TABLE, mmvae(2), Likelihood("gaussian", 1.0, values))
    with pytest.raises(InputError, match="has no scales"):
        Likelihood("gaussian", {})
    with pytest.raises(InputError, match="needs a scale"):
        Likelihood("gaussian", True)


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="over 3 modalities, the data over 2"):
        likelihood_ceiling(LAW, mmvae(3), "gaussian:1")
    with pytest.raises(ObjectiveError, match="sub-sampled"):
        likelihood_ceiling(LAW, mvae_subsampled(2), "gaussian:1")
    with pytest.raises(InputError, match="use 'best' or 'split'"):
        likelihood_ceiling(LAW, mmvae(2), "gaussian:1", form="worst")
    with pytest.raises(InputError, match="for known laws and fixed scales"):
        likelihood_ceiling(LAW, mmvae(2), "gaussian:learned", form="split")
    with pytest.raises(InputError, match="between 0 and 1"):
        likelihood_ceiling(LAW, mmvae(2), "gaussian:1", confidence=1.0)
    with pytest.raises(InputError, match="unknown predictor"):
        likelihood_ceiling({"x": ROWS["image"]}, "mvae", "gaussian:1", predictor="forest")
    with pytest.raises(InputError, match="folds of 20 rows"):
        likelihood_ceiling({"x": ROWS["image"]}, "mvae", "gaussian:1", folds=6)


def test_linear_vaes_that_do_not_fit_are_refused():
    encoder = LinearEncoder(np.array([[0.5]]), np.array([[0.5]]))
    vae = LinearVAE(np.ones((2, 1)), np.ones(2), {0b01: encoder})
    with pytest.raises(InputError, match="no encoder of text"):
        vae.elbo(LAW, 0b10)
    with pytest.raises(InputError, match="a decoder of 2 variables for a law of 3"):
        vae.elbo(Gaussian(np.eye(3)), 0b01)
    with pytest.raises(InputError, match="takes 1 variables, not 2"):
        LinearVAE(np.ones((2, 1)), np.ones(2), {0b11: encoder}).elbo(LAW, 0b11)
    with pytest.raises(InputError, match="over 3 modalities"):
        imputation_identity(LAW, mmvae(3), vae)
    for loading, variances, cov, message in (
        (np.ones((2, 1)), np.ones(3), 0.5, "a loading of shape"),
        (np.ones((2, 1)), np.array([1.0, 0.0]), 0.5, "positive and finite"),
        (np.ones((2, 2)), np.ones(2), 0.5, "does not fit 2 latent"),
        (np.ones((2, 1)), np.ones(2), -0.5, "not positive definite"),
    ):
        with pytest.raises(InputError, match=message):
            LinearVAE(loading, variances, {0b01: LinearEncoder(np.array([[0.5]]), np.array([[cov]]))})


def test_decoders_that_do_not_fit_a_coin_are_refused():
    with pytest.raises(InputError, match="one row of likelihoods each"):
        mixture_loss.finite_mixture_loss(np.array([0.5, 0.5]), np.ones((1, 3)))
    with pytest.raises(InputError, match="finite and not negative"):
        mixture_loss.finite_mixture_loss(np.array([0.5, 0.5]), np.array([[0.5, -0.5]]))
    with pytest.raises(InputError, match="its loss is infinite"):
        mixture_loss.finite_mixture_loss(np.array([0.5, 0.5]), np.array([[1.0, 0.0]]))


def test_scales_by_modality_unit_and_variable():
    law = Gaussian(np.eye(3), sizes=[2, 1], names=["image", "text"], units="scalar")
    by_modality = likelihood_ceiling(law, mmvae(2), "gaussian:image=0.5,text=0.1")
    assert by_modality.deviations == {"image[0]": 0.5, "image[1]": 0.5, "text": 0.1}
    own = likelihood_ceiling(law, mmvae(2), "gaussian:image=0.5,image[1]=0.2,text=0.1")
    assert own.deviations == {"image[0]": 0.5, "image[1]": 0.2, "text": 0.1}
    apart = likelihood_ceiling(law, mmvae(2), {"image": "gaussian:0.5", "text": Likelihood("gaussian", 0.1)})
    assert (apart.form, float(apart)) == ("attained", float(by_modality))
    wide = likelihood_ceiling(Gaussian(np.diag([1.0, 4.0, 9.0]), [2, 1]), mmvae(2), "gaussian:learned")
    shared = wide.deviations
    assert shared["X1[0]"] == shared["X1[1]"] != shared["X2"]
    assert any("share one variance" in note for note in wide.ceiling.notes)
    for text in ("gaussian:0.5", "gaussian:image=0.5,text=0.1", "gaussian:learned-common", "bernoulli"):
        assert str(parse_likelihood(text)) == text


def test_results_print_and_serialise():
    result = likelihood_ceiling(LAW, mmvae(2), "gaussian:0.5")
    text = str(result)
    assert text.startswith("ELBO ceiling (gaussian:0.5) = ")
    assert "image (weight 0.5) loses" in text
    assert "one decoder for all need not reach the mean" in text
    page = result._repr_html_()
    assert page.startswith("<table>")
    assert "<th>image</th>" in page
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["elbo_ceiling"]["theorem"] == "T7"
    assert found["elbo_ceiling"]["value"] == float(result)
    assert found["form"] == "attained"
    total = sum(part["weight"] * (part["seen"] + part["unseen"]) for part in found["subsets"].values())
    assert -total == pytest.approx(float(result), rel=1e-12)
    empty = likelihood_ceiling(TABLE, SubsetScheme({0: 1}, 2, allow_empty=True), "laplace:1")
    assert "(empty)" in empty.to_dict()["subsets"]
    assert empty.floors[0].seen == 0
    assert format_subset(0b01, result.names) == "image"
