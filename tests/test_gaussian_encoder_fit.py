"""Gaussian encoders of symbols: exact evaluation, closed forms, a search without a grid, and planted faults."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import check_grad, minimize
from strategies_for_tests import pmfs, schemes

from bounds import (
    Discrete,
    Gaussian,
    InputError,
    ObjectiveError,
    SubsetScheme,
    full,
    mmvae,
    mopoe,
    mvae_subsampled,
    optimal_elbo,
)
from toy_models import gaussian_encoder_fit
from toy_models.datasets.noisy_label import NoisyLabel
from toy_models.gaussian_encoder_fit import fit_gaussian_encoders
from toy_models.tabular import elbo_terms

#: Rounding of sums of some hundred terms, relative to entropies of a few nats.
ROUNDING = 1e-11
#: L-BFGS stops where a step gains 2e-9 of the value.
STOPPED = 1e-6


def copies(count):
    """Copies of a fair bit, each wrong with probability .15: those of the experiment ``ceilings``."""
    return NoisyLabel(count, 2, 2, 0, 1, 0.3).to_discrete()


def entropy(law):
    return float(law.unit_entropies().values[-1])


def loss(law, *arguments, **options):
    return -entropy(law) - fit_gaussian_encoders(law, *arguments, **options).elbo


def bits(*shape):
    return Discrete(np.full(shape, 1 / math.prod(shape)))


# --- the value and its slope -------------------------------------------------

#: Two modalities, the first of two units, and symbols that do not occur.
UNITS = Discrete(np.array([[[3, 1, 0], [0, 2, 0]], [[1, 1, 0], [4, 0, 0]]]) / 12, sizes=[2, 1], units="scalar")
#: Law, scheme, latents, whether the prior is an expert, whether subsets share experts, step.
CASES = {
    "products": (copies(3), mopoe(3), 1, False, True, 0.1),
    "products with the prior": (copies(3), mopoe(3), 1, True, True, 0.1),
    "any Gaussians": (copies(2), mopoe(2), 1, False, False, 0.1),
    "two latents": (copies(2), mopoe(2), 2, False, True, 0.5),
    "units, and the empty subset": (
        UNITS,
        SubsetScheme({(): 0.2, (0,): 0.3, (0, 1): 0.5}, 2, allow_empty=True),
        1,
        True,
        True,
        0.1,
    ),
}


def differs(case):
    """The slope against differences, for steps of 1e-8: relative to its scale."""
    search = gaussian_encoder_fit._Search.of(*CASES[case])
    worst = 0.0
    for seed in range(3):
        at = np.random.default_rng(seed).normal(size=2 * search.shares.shape[1] * CASES[case][2])
        value, slope = search(at)
        error = check_grad(lambda t: search(t)[0], lambda t: search(t)[1], at)
        worst = max(worst, error / max(1.0, abs(value), *abs(slope)))
    return worst


@pytest.mark.parametrize("case", CASES)
def test_the_slope_of_the_search(case):
    assert differs(case) < 1e-5


def test_the_slope_notices_decoders_that_are_not_the_best(monkeypatch):
    """The envelope theorem holds for the best decoders alone."""
    right = gaussian_encoder_fit._Search._model

    def planted(self, natural):
        log_q, joint, decoders = right(self, natural)
        return log_q, joint, 0.9 * decoders + 0.05

    monkeypatch.setattr(gaussian_encoder_fit._Search, "_model", planted)
    assert differs("products") > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_the_value_is_that_of_a_finite_model(case):
    """Evaluated by another kernel, which enumerates all data; its prior is the standard normal law on the grid."""
    law, scheme, latents, prior, shared, step = CASES[case]
    found = fit_gaussian_encoders(law, scheme, latents, prior=prior, shared=shared, step=step, starts=2)
    assert abs(elbo_terms(found.model, law, scheme).elbo - found.elbo) < ROUNDING
    assert found.elbo == max(found.starts)
    axis = np.exp(-((np.arange(-round(8 / step), round(8 / step) + 1) * step) ** 2) / 2)
    wanted = axis if latents == 1 else np.outer(axis, axis).reshape(-1)
    np.testing.assert_allclose(found.model.prior, wanted / wanted.sum(), rtol=1e-12)


def test_a_value_without_the_weights_of_subsets_is_noticed(monkeypatch):
    law, scheme = copies(2), SubsetScheme({(0,): 0.8, (0, 1): 0.2}, 2)
    right = gaussian_encoder_fit._Search.of

    def planted(*arguments):
        search = right(*arguments)
        return replace(search, mass=search.mass / np.repeat([0.8, 0.2], [2, 4]) / 2)

    monkeypatch.setattr(gaussian_encoder_fit._Search, "of", planted)
    found = fit_gaussian_encoders(law, scheme, starts=2)
    assert abs(elbo_terms(found.model, law, scheme).elbo - found.elbo) > 1e-3


@settings(max_examples=20)
@given(st.data())
def test_no_value_is_above_the_certified_optimum(data):
    law = Discrete(data.draw(pmfs(max_axes=3, max_side=3)))
    prior = data.draw(st.booleans())
    scheme = data.draw(schemes(len(law.names), allow_empty=prior))
    found = fit_gaussian_encoders(law, scheme, prior=prior, starts=2)
    assert found.elbo <= optimal_elbo(law, scheme, tol=1e-3, seconds=5).high + ROUNDING


def test_a_finer_grid_changes_nothing():
    """The rectangle rule's error is far below that of the search."""
    coarse, fine = (loss(copies(3), mopoe(3), step=step, starts=2) for step in (0.1, 0.05))
    assert abs(coarse - fine) < STOPPED


# --- products ----------------------------------------------------------------


def moments(table):
    """Mean and standard deviation of laws on the grid, ``(..., Z)``."""
    z = 0.1 * np.arange(-80, 81)
    mean = table @ z
    return mean, np.sqrt(table @ z**2 - mean**2)


@pytest.mark.parametrize("prior", [False, True])
def test_the_encoders_are_those_that_models_fuse(prior):
    """Experts from the encoders of single modalities, products of them by the models' own code."""
    torch = pytest.importorskip("torch", reason="torch is not installed: no model fuses")
    from toy_models.fusion import Fusion, Posterior

    scheme = mopoe(2)
    model = fit_gaussian_encoders(copies(2), scheme, prior=prior).model
    mean, scale = (np.stack(part) for part in zip(*(moments(model.encoders[1 << m]) for m in range(2)), strict=True))
    precision = scale**-2 - prior  # of the expert alone
    location = scale**-2 * mean / precision
    cells = np.indices((2, 2)).reshape(2, -1)
    location, scale = (
        torch.tensor(np.stack([part[m][cells[m]] for m in range(2)]))[..., None] for part in (location, precision**-0.5)
    )
    fused = Fusion(scheme.weights, 2, "normal", prior)(Posterior(location, scale))
    mean, scale = moments(model.encoders[0b11].reshape(4, -1))
    # tails beyond the grid, and 1 / precision where an expert is nearly without opinion
    np.testing.assert_allclose(fused.location[2, :, 0], mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(fused.scale[2, :, 0], scale, rtol=1e-6)


@pytest.mark.parametrize("count", [2, 3])
def test_products_cost_nothing_where_subsets_share_no_modality(count):
    law = copies(count)
    assert abs(loss(law, mmvae(count)) - loss(law, mmvae(count), shared=False)) < STOPPED


def test_products_cost_where_subsets_overlap():
    law, scheme = copies(3), mopoe(3)
    assert (
        loss(law, scheme, starts=8)
        > loss(law, scheme, starts=8, prior=True) + 0.02
        > loss(law, scheme, starts=4, shared=False) + 0.03
    )


@pytest.mark.parametrize("latents", [1, 2])
@pytest.mark.parametrize("count", [2, 3])
def test_an_unused_latent_costs_what_the_closed_form_says(count, latents):
    """Independent bits have nothing to encode. Without the prior as an expert subsets of two sizes cannot all have its
    precision: by the mean of ``(t/|A| - 1 - ln(t/|A|)) / 2`` over subsets, least at ``1/t = E[1/|A|]``.
    """
    scheme, law, step = mopoe(count), bits(*[2] * count), 0.1 if latents == 1 else 0.25
    sizes = np.array([subset.bit_count() for subset, _ in scheme])
    weights = np.array([float(weight) for _, weight in scheme])
    price = (weights @ np.log(sizes) + math.log(weights @ (1 / sizes))) / 2
    assert abs(loss(law, scheme, latents, starts=2, step=step) - latents * price) < STOPPED
    assert abs(loss(law, scheme, latents, starts=2, step=step, shared=False)) < STOPPED
    if count == 3:
        assert round(price, 3) == 0.042
    if latents == 1:
        assert abs(loss(law, scheme, starts=4, prior=True)) < 10 * STOPPED  # experts of precision zero, nearly


# --- known optima ------------------------------------------------------------


def pair_loss(mean, scale):
    """The loss of MoPoE on two copies whose experts are ``N(-mean, scale^2)`` and ``N(mean, scale^2)``.

    From ``sum_A w_A KL(q_A || prior) + sum_u H(X_u|Z) - H(X)`` with adaptive quadrature on the line.
    """
    pmf, parts = copies(2).pmf, []  # bits, their mass, location and scale of an encoder
    for x, y in itertools.product((0, 1), repeat=2):
        single, pair = (2 * x - 1, 2 * y - 1), x + y - 1
        parts += [((x, y), pmf[x, y] / 3, mean * sign, scale) for sign in single]
        parts += [((x, y), pmf[x, y] / 3, mean * pair, scale / math.sqrt(2))]
    rate = sum(mass * ((sd**2 + at**2 - 1) / 2 - math.log(sd)) for _, mass, at, sd in parts)

    def uncertainty(z):
        joint = [[0.0, 0.0], [0.0, 0.0]]
        for (x, y), mass, at, sd in parts:
            joint[x][y] += mass * math.exp(-(((z - at) / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))
        (a, b), (c, d) = joint
        return sum(side * math.log((a + b + c + d) / side) for side in (a + b, c + d, a + c, b + d))

    return rate + quad(uncertainty, -10, 10, epsabs=1e-9, limit=200)[0] - entropy(copies(2))


def test_two_copies_of_a_bit_by_a_search_that_knows_the_symmetry():
    """Nelder-Mead over one mean and one scale."""
    options = {"xatol": 1e-4, "fatol": 1e-9}
    found = minimize(lambda t: pair_loss(t[0], math.exp(t[1])), [0.7, 0.1], method="Nelder-Mead", options=options)
    assert abs(loss(copies(2), mopoe(2)) - found.fun) < STOPPED


#: Losses by Adam on another parametrisation (location and log-scale, differentiated by torch), to 5 digits.
PINS = [
    (mmvae(3), {}, 0.26105),
    (mopoe(3), {}, 0.21644),
    (mopoe(3), {"prior": True}, 0.19500),
    (mopoe(3), {"shared": False, "starts": 4}, 0.18280),
    (mopoe(3), {"n_latents": 2, "step": 0.25, "starts": 2}, 0.25665),
]


@pytest.mark.parametrize(("scheme", "options", "pin"), PINS, ids=[f"{s.label}-{o}" for s, o, _ in PINS])
def test_three_copies_of_a_bit(scheme, options, pin):
    assert abs(loss(copies(3), scheme, **options) - pin) < 1.5e-5


def test_steep_starts_find_a_place_for_each_value():
    """Of MVAE: the starts with steep slopes end lower than .02384, where those near the origin end."""
    assert loss(copies(3), full(3), prior=True) < 0.0221


def test_what_is_not_worth_a_latent():
    """Copies of which MMVAE best encodes nothing: certified, and attained by encoders that are the prior."""
    law = Discrete([[0.3, 0.2], [0.2, 0.3]])
    product = 2 * math.log(2) - entropy(law)
    assert optimal_elbo(law, mmvae(2), tol=1e-6).loss[1] == pytest.approx(product, abs=1e-6)
    assert abs(loss(law, mmvae(2)) - product) < STOPPED


# --- what is refused ---------------------------------------------------------

REFUSED = {
    "a law of numbers": ((Gaussian(np.eye(2)), mmvae(2)), {}, "symbols have a discrete law; this one is a Gaussian"),
    "another number of modalities": ((bits(2, 2), mmvae(3)), {}, "is over 3 modalities, the law over 2"),
    "no latent": ((bits(2, 2), mmvae(2), 0), {}, "0 latents, 32 starts, a step of 0.1: at least 1"),
    "no start": ((bits(2, 2), mmvae(2)), {"starts": 0}, "1 latents, 0 starts"),
    "a step of nothing": ((bits(2, 2), mmvae(2)), {"step": 0.0}, "a step of 0.0"),
    "nothing seen": (
        (bits(2, 2), SubsetScheme({(): 1}, 2, allow_empty=True)),
        {},
        "the empty subset has no expert: use prior=True",
    ),
    "a grid too large": ((bits(2, 2), mmvae(2), 6), {}, "the encoders on the grid .* use fewer latents"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    arguments, options, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        fit_gaussian_encoders(*arguments, **options)


def test_a_sum_of_elbos_is_refused():
    with pytest.raises(ObjectiveError, match="is a sum of ELBOs"):
        fit_gaussian_encoders(bits(2, 2), mvae_subsampled(2))
