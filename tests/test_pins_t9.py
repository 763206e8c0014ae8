"""THEORY T9: what changes with the units of measurement of continuous data, and what does not."""

import math

import numpy as np
import pytest
from pins_common import (
    IDENTITY,
    LinearGaussianVAE,
    assert_closed,
    assert_printed,
    equicorrelated,
    random_case,
    random_covariance,
    random_linear_gaussian,
    random_scheme,
)

from bounds import (
    TC,
    Discrete,
    Gaussian,
    I,
    SubsetScheme,
    distortion_floor,
    elbo_ceiling,
    generative_discrepancy,
    mmvae,
    mopoe,
    total_correlation_term,
)
from bounds.subsets import members
from toy_models import TabularVAE, elbo_terms

SEEDS = range(30)


def tcw(h, scheme) -> float:
    return float(total_correlation_term(h, scheme))


def block_map(rng: np.random.Generator, sizes: list[int]) -> np.ndarray:
    """An invertible linear map of each unit into itself."""
    total = np.zeros((sum(sizes), sum(sizes)))
    start = 0
    for size in sizes:
        total[start : start + size, start : start + size] = rng.normal(size=(size, size)) + 3 * np.eye(size)
        start += size
    return total


@pytest.mark.parametrize(("sd", "digits"), [(1.0, "2.4913"), (0.01, "-6.7190")])
def test_pin_delta_depends_on_the_units(sd, digits):
    """T9 pin: rho=.5, M=3: Delta = 2.4913 (sd 1), -6.7190 (sd .01)."""
    assert_printed(float(generative_discrepancy(equicorrelated(3, 0.5, sd).entropy_vector(), mmvae(3))), digits)


@pytest.mark.parametrize("sd", [1.0, 0.01])
def test_pin_total_correlation_does_not(sd):
    """T9 pin: TCw = .058892 for both."""
    h = equicorrelated(3, 0.5, sd).entropy_vector()
    assert_printed(tcw(h, mmvae(3)), ".058892")
    assert_closed(tcw(h, mmvae(3)), 0.5 * math.log(9 / 8))


@pytest.mark.parametrize("seed", SEEDS)
def test_maps_of_each_unit_leave_information_quantities_alone(seed):
    """T9: invariant under invertible maps of each unit: TC_A, TCw, the I's; linear maps of Gaussian units."""
    rng = np.random.default_rng(seed)
    sizes, units = [2, 3], [2, 1, 2]
    cov, moved = random_covariance(rng, 5), block_map(rng, units)
    before = Gaussian(cov, sizes, units=units).unit_entropies()
    after = Gaussian(moved @ cov @ moved.T, sizes, units=units).unit_entropies()
    scheme = random_scheme(rng, 2)
    assert abs(tcw(before, scheme) - tcw(after, scheme)) < IDENTITY
    for functional in (I(before.names, 1, 2), I(before.names, 4, 2, 1), TC(before.names, [2, 4], 1)):
        assert abs(float(before.evaluate(functional)) - float(after.evaluate(functional))) < IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_relabelling_the_symbols_of_each_unit_leaves_everything_alone(seed):
    """T9 for tables: every permutation of a unit's alphabet, applied to data and model, changes no term or slack."""
    law, scheme, model = random_case(seed)
    rng = np.random.default_rng(seed)
    alphabet = [table.shape[1] for table in model.decoders]
    orders = [rng.permutation(k) for k in alphabet]
    pmf = law.pmf.reshape(alphabet)[np.ix_(*orders)]
    sizes = [units.bit_count() for units in law.layout.modality_units]
    encoders = {
        a: q[
            np.ix_(*[orders[u] for m in members(a) for u in members(law.layout.modality_units[m])], range(q.shape[-1]))
        ]
        for a, q in model.encoders.items()
    }
    moved = TabularVAE(model.prior, [d[:, order] for d, order in zip(model.decoders, orders, strict=True)], encoders)
    before = elbo_terms(model, law, scheme)
    after = elbo_terms(moved, Discrete(pmf, sizes=sizes, units="scalar"), scheme)
    for name in ("elbo", "mixture_elbo", "evidence", "slack", "latent_total_correlation", "label_information"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-10, abs=IDENTITY)
    assert after.repaired.margin == pytest.approx(before.repaired.margin, rel=1e-10, abs=IDENTITY)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scheme", [mmvae(2), mopoe(2), SubsetScheme({0: 0.25, 2: 0.75}, 2, allow_empty=True)])
def test_delta_shifts_by_the_scales_of_what_is_unseen(seed, scheme):
    """T9: x_m -> c_m x_m shifts Delta by sum_m P(m not in A) d_m ln|c_m|, d_m = dim X_m, of any sign."""
    rng = np.random.default_rng(seed)
    sizes = [2, 3]
    cov, scale = random_covariance(rng, 5), rng.normal(size=2) * 3
    stretched = np.repeat(scale, sizes)
    before = Gaussian(cov, sizes).entropy_vector()
    after = Gaussian(cov * np.outer(stretched, stretched), sizes).entropy_vector()
    shift = math.fsum(float(scheme.probability_unseen(m)) * sizes[m] * math.log(abs(scale[m])) for m in range(2))
    difference = float(generative_discrepancy(after, scheme)) - float(generative_discrepancy(before, scheme))
    assert abs(difference - shift) < IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_margins_are_invariant_when_data_and_model_are_rescaled_together(seed):
    """T9: the T2 slack and the margin of the T0 repair are invariant; D_S is not."""
    rng = np.random.default_rng(seed)
    n = 3
    cov, model, scheme = random_covariance(rng, n), random_linear_gaussian(rng, n, 2), random_scheme(rng, n)
    scale = np.exp(rng.normal(size=n))
    scaled = LinearGaussianVAE(scale[:, None] * model.loadings, scale**2 * model.noise)
    found = []
    for one, data in ((model, cov), (scaled, cov * np.outer(scale, scale))):
        evidence = elbo = distortion = 0.0
        for subset, weight in scheme:
            seen = list(members(subset))
            B, S = one.posterior(seen)
            evidence += float(weight) * one.evidence(data, seen)
            elbo += float(weight) * one.elbo(data, seen, B, S)
            distortion += float(weight) * one.distortion(data, seen, B, S)
        h = Gaussian(data).entropy_vector()
        slack = float(elbo_ceiling(h, scheme)) - elbo
        found.append((slack, evidence - elbo - float(distortion_floor(h, scheme)), distortion))
    tolerance = 1e-9 * max(1.0, abs(found[0][2]))
    assert abs(found[0][0] - found[1][0]) < tolerance
    assert abs(found[0][1] - found[1][1]) < tolerance
    assert abs(found[1][2] - found[0][2] - np.log(scale).sum()) < tolerance  # D_S shifts by all scales


def test_small_units_of_measurement_break_the_last_step_of_the_distortion_floor():
    """T9: 'Not: ... D_S, T1's last steps': rescaled by .01 the same model has D_S below the floor, which holds at 1."""
    model = LinearGaussianVAE(np.array([[1.0], [1.0]]), np.array([0.01, 0.01]))
    cov = np.array([[1.01, 1.0], [1.0, 1.01]])
    scheme = SubsetScheme({0b11: 1}, 2)  # the floor of the full set is 0
    B, S = model.posterior([0, 1])
    assert float(distortion_floor(Gaussian(cov).entropy_vector(), scheme)) == 0
    assert model.distortion(cov, [0, 1], B, S) < 0
    wide = LinearGaussianVAE(100 * model.loadings, 100**2 * model.noise)
    assert wide.distortion(100**2 * cov, [0, 1], B / 100, S) > 0


def test_maps_that_mix_pixels_change_pixel_level_total_correlation_only():
    """T9: 'Maps mixing pixels change pixel-level TC; modality-level TC unaffected'."""
    cov = random_covariance(np.random.default_rng(0), 4)
    turn = np.kron(np.eye(2), np.array([[0.6, -0.8], [0.8, 0.6]]))
    before, after = (Gaussian(c, [2, 2], units="scalar") for c in (cov, turn @ cov @ turn.T))
    assert abs(tcw(before.unit_entropies(), mmvae(2)) - tcw(after.unit_entropies(), mmvae(2))) > 0.01
    assert abs(tcw(before.entropy_vector(), mmvae(2)) - tcw(after.entropy_vector(), mmvae(2))) < IDENTITY


def test_quantities_that_depend_on_units_say_so():
    """T9: Delta, the floor and the ceilings of continuous data carry the warning, the total correlation does not."""
    h = equicorrelated(3, 0.5).entropy_vector()
    for quantity in (generative_discrepancy, distortion_floor, elbo_ceiling):
        assert any("units of measurement" in note for note in quantity(h, mmvae(3)).notes)
    assert not total_correlation_term(h, mmvae(3)).notes
