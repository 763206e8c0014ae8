"""THEORY T8: how the discrepancy and the total-correlation term behave as modalities and subsets are added."""

import math

import numpy as np
import pytest
from pins_common import (
    IDENTITY,
    LN2,
    assert_closed,
    assert_printed,
    common_cause,
    equicorrelated,
    from_functions,
    random_covariance,
    random_law,
    xor_triple,
)
from scipy.special import gammaln

from bounds import (
    TC,
    CommonCause,
    Discrete,
    EntropyVector,
    Functional,
    Gaussian,
    I,
    SubsetScheme,
    generative_discrepancy,
    mmvae,
    mopoe,
    total_correlation_term,
)
from bounds.subsets import members
from toy_models import TabularVAE, elbo_terms

SEEDS = range(40)
LOG_2PIE = math.log(2 * math.pi * math.e)


def delta(h: EntropyVector, scheme: SubsetScheme) -> float:
    return float(generative_discrepancy(h, scheme))


def tcw(h: EntropyVector, scheme: SubsetScheme) -> float:
    return float(total_correlation_term(h, scheme))


def tc_of(h: EntropyVector, subset: int) -> float:
    return tcw(h, SubsetScheme({subset: 1}, h.n_modalities, allow_empty=True))


def law_or_gaussian(seed: int, m: int) -> Discrete | Gaussian:
    """Single-unit modalities, discrete for even seeds."""
    rng = np.random.default_rng(seed)
    return Gaussian(random_covariance(rng, m)) if seed % 2 else random_law(rng, rng.integers(1, 4, m).tolist())


# Delta


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_delta_of_mopoe_is_at_most_that_of_mmvae_on_discrete_data(seed, m):
    """T8: Delta_MoPoE <= Delta_MMVAE, which needs only monotonicity of H."""
    rng = np.random.default_rng(seed)
    h = random_law(rng, rng.integers(1, 4, m).tolist()).entropy_vector()
    assert delta(h, mopoe(m)) <= delta(h, mmvae(m)) + IDENTITY


@pytest.mark.parametrize("m", [2, 3, 4])
def test_delta_order_needs_only_monotonicity(m):
    """T8: 'needs only monotonicity of H, not Han': random monotone set functions, most of them not submodular."""
    rng = np.random.default_rng(m)
    submodular = 0
    for _ in range(200):
        values = rng.exponential(size=1 << m) ** 3
        values[0] = 0
        for mask in range(1 << m):
            values[mask] += max((values[mask & ~(1 << i)] for i in members(mask)), default=0)
        h = EntropyVector([f"X{i}" for i in range(m)], values)
        assert delta(h, mopoe(m)) <= delta(h, mmvae(m)) + IDENTITY * values[-1]
        submodular += h[0b01] + h[0b10] >= h[0b11]
    assert submodular < 150


def test_pin_delta_order_is_false_for_differential_entropies():
    """T8 pin: sigma=.01 independent, M=3: MMVAE -6.3725, MoPoE -4.0966."""
    h = equicorrelated(3, 0.0, sd=0.01).entropy_vector()
    assert_printed(delta(h, mmvae(3)), "-6.3725")
    assert_printed(delta(h, mopoe(3)), "-4.0966")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_han_caps(seed, m):
    """T8: Delta_MMVAE <= (1 - 1/M) H(X) and Delta_MoPoE <= (2^(M-1) - 1)/(2^M - 1) H(X), discrete."""
    rng = np.random.default_rng(seed)
    h = random_law(rng, rng.integers(1, 4, m).tolist()).entropy_vector()
    top = h[(1 << m) - 1]
    assert delta(h, mmvae(m)) <= (1 - 1 / m) * top + IDENTITY
    assert delta(h, mopoe(m)) <= (2 ** (m - 1) - 1) / (2**m - 1) * top + IDENTITY


@pytest.mark.parametrize("m", [2, 3, 5])
def test_han_caps_are_attained_by_independent_modalities(m):
    """The caps of T8 are tight."""
    h = Discrete(np.full((2,) * m, 0.5**m)).entropy_vector()
    assert_closed(delta(h, mmvae(m)), (1 - 1 / m) * m * LN2)
    assert_closed(delta(h, mopoe(m)), (2 ** (m - 1) - 1) / (2**m - 1) * m * LN2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("m", [2, 3, 4])
def test_caps_need_only_subadditivity(seed, m):
    """T8 states the caps for discrete data; H(A) + H(rest) >= H is all they use, so densities have them too."""
    h = Gaussian(random_covariance(np.random.default_rng(seed), m)).entropy_vector()
    top = h[(1 << m) - 1]
    assert delta(h, mmvae(m)) <= (1 - 1 / m) * top + IDENTITY
    assert delta(h, mopoe(m)) <= (2 ** (m - 1) - 1) / (2**m - 1) * top + IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("m", [1, 2, 3])
def test_increment_of_delta_mmvae(seed, m):
    """T8: adding X_{M+1}: Delta' - Delta = c - (H(X_{M+1}) - mean H(X_m))/(M+1), c = H(X_{M+1}|X_1..M)."""
    h = law_or_gaussian(seed, m + 1).entropy_vector()
    before = law_or_gaussian(seed, m + 1).marginal((1 << m) - 1).entropy_vector()
    c = h[(1 << m + 1) - 1] - h[(1 << m) - 1]
    mean = math.fsum(h[1 << i] for i in range(m)) / m
    increment = delta(h, mmvae(m + 1)) - delta(before, mmvae(m))
    assert abs(increment - (c - (h[1 << m] - mean) / (m + 1))) < IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("m", [1, 2, 3])
def test_increment_of_delta_mopoe(seed, m):
    """T8: Delta' - Delta = c - (2^M abar - Hbar)/(2^(M+1) - 1), abar = mean over all A of H(X_{M+1}|X_A), Hbar = mean
    of H(X_A) over nonempty A."""
    law = law_or_gaussian(seed, m + 1)
    h, before = law.entropy_vector(), law.marginal((1 << m) - 1).entropy_vector()
    c = h[(1 << m + 1) - 1] - h[(1 << m) - 1]
    a_mean = math.fsum(h[a | 1 << m] - h[a] for a in range(1 << m)) / 2**m
    h_mean = math.fsum(h[a] for a in range(1, 1 << m)) / (2**m - 1)
    increment = delta(h, mopoe(m + 1)) - delta(before, mopoe(m))
    assert abs(increment - (c - (2**m * a_mean - h_mean) / (2 ** (m + 1) - 1))) < IDENTITY


def test_pin_a_constant_modality_increases_delta():
    """T8 pin: 2 fair independent bits and a constant: MMVAE ln2 -> 4/3 ln2; MoPoE 2/3 ln2 -> 6/7 ln2."""
    two, three = Discrete(np.full((2, 2), 0.25)), Discrete(np.full((2, 2, 1), 0.25))
    assert_closed(delta(two.entropy_vector(), mmvae(2)), LN2)
    assert_closed(delta(three.entropy_vector(), mmvae(3)), 4 / 3 * LN2)
    assert_closed(delta(two.entropy_vector(), mopoe(2)), 2 / 3 * LN2)
    assert_closed(delta(three.entropy_vector(), mopoe(3)), 6 / 7 * LN2)


# Total correlation


@pytest.mark.parametrize("seed", SEEDS)
def test_tc_is_monotone_in_the_seen_subset_with_an_exact_difference(seed):
    """T8: TC_A - TC_{A+j} = TC(X_j|X_A) + sum_{units m not in A+j} I(X_m;X_j|X_A) >= 0, discrete and differential,
    with modalities of one and of several units."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 3, 3).tolist()
    n = sum(sizes)
    if seed % 2:
        h = Gaussian(random_covariance(rng, n), sizes, units="scalar").unit_entropies()
    else:
        h = random_law(rng, rng.integers(2, 4, n).tolist(), sizes, "scalar").unit_entropies()
    for subset in range(8):
        for j in range(3):
            if subset >> j & 1:
                continue
            known, added = h.units_of(subset), h.units_of(1 << j)
            expected: Functional = TC(h.names, [1 << u for u in members(added)], known)
            for u in range(h.n_units):
                if not (known | added) >> u & 1:
                    expected += I(h.names, 1 << u, added, known)
            difference = tc_of(h, subset) - tc_of(h, subset | 1 << j)
            assert abs(difference - float(h.evaluate(expected))) < IDENTITY
            assert difference >= -IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_tcw_of_mopoe_is_at_most_that_of_mmvae_at_most_tc(seed, m):
    """T8: TCw_MoPoE <= TCw_MMVAE <= TC(X) always: discrete, differential, pixels."""
    rng = np.random.default_rng(seed)
    if seed % 4 == 2:
        sizes = rng.integers(1, 3, min(m, 3)).tolist()
        h = random_law(rng, [2] * sum(sizes), sizes, "scalar").unit_entropies()
    else:
        h = law_or_gaussian(seed, m).entropy_vector()
    m = h.n_modalities
    assert tcw(h, mopoe(m)) <= tcw(h, mmvae(m)) + IDENTITY
    assert tcw(h, mmvae(m)) <= tc_of(h, 0) + IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_tcw_of_mmvae_never_decreases_with_single_unit_modalities(seed, m):
    """T8: 'For single-unit modalities, TCw_MMVAE (uniform) never decreases when a modality is added'; differential too.

    A third of the laws are functions of few bits, where the inequality comes close to equality."""
    rng = np.random.default_rng(seed)
    if seed % 3 == 0:
        tables = rng.integers(0, 2, (m + 1, 2, 2, 2))
        law = from_functions(3, [lambda a, b, c, t=t: t[a, b, c] for t in tables])
    else:
        law = law_or_gaussian(seed, m + 1)
    h, before = law.entropy_vector(), law.marginal((1 << m) - 1).entropy_vector()
    assert tcw(h, mmvae(m + 1)) >= tcw(before, mmvae(m)) - IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_inequality_behind_it(seed, m):
    """T8: D_{M+1} - D_M is proportional to sum_a I(X_{M+1};X_rest|X_a) + TC(X_1..M|X_{M+1}) - D_M, and
    TC(X_rest|X_a) <= TC(X_1..M|X_{M+1}) + (M-2) I(X_{M+1};X_rest|X_a)."""
    law = law_or_gaussian(seed, m + 1)
    h, before = law.entropy_vector(), law.marginal((1 << m) - 1).entropy_vector()
    top, new = (1 << m) - 1, 1 << m
    tc_given_new = float(h.evaluate(TC(h.names, [1 << i for i in range(m)], new)))
    shared = [float(h.evaluate(I(h.names, new, top & ~(1 << a), 1 << a))) for a in range(m)]
    old = tcw(before, mmvae(m))
    increment = (math.fsum(shared) + tc_given_new - old) / (m + 1)
    assert abs(tcw(h, mmvae(m + 1)) - old - increment) < IDENTITY
    for a in range(m):
        assert tc_of(before, 1 << a) <= tc_given_new + (m - 2) * shared[a] + IDENTITY


def test_pin_tcw_of_mmvae_can_decrease_at_the_pixel_level():
    """T8 pin: X_m = 4 pixel copies of bit B_m, m=1,2 independent: TCw = 3 ln2; adding the one-unit summary
    X_3 = (B_1,B_2) gives 8/3 ln2."""
    columns = [*[lambda a, b: a] * 4, *[lambda a, b: b] * 4]
    two = from_functions(2, columns, [4, 4], "scalar")
    three = from_functions(2, [*columns, lambda a, b: 2 * a + b], [4, 4, 1], "scalar")
    assert_closed(tcw(two.unit_entropies(), mmvae(2)), 3 * LN2)
    assert_closed(tcw(three.unit_entropies(), mmvae(3)), 8 / 3 * LN2)


def test_pin_tcw_of_mopoe_can_decrease():
    """T8 pin: XOR triple 3/7 bit -> add X_4 = (X_1,X_2): 6/15 bit (MMVAE 1 -> 1.5 bit)."""
    three = xor_triple().entropy_vector()
    four = from_functions(
        2, [lambda a, b: a, lambda a, b: b, lambda a, b: a ^ b, lambda a, b: 2 * a + b]
    ).entropy_vector()
    assert_closed(tcw(three, mopoe(3)), 3 / 7 * LN2)
    assert_closed(tcw(four, mopoe(4)), 6 / 15 * LN2)
    assert_closed(tcw(three, mmvae(3)), LN2)
    assert_closed(tcw(four, mmvae(4)), 1.5 * LN2)


@pytest.mark.parametrize("seed", range(80))
def test_tcw_of_mopoe_is_monotone_from_two_to_three_single_units(seed):
    """T8: '2 -> 3 is always monotone for single-unit modalities': with two it is 0."""
    law = law_or_gaussian(seed, 3)
    assert tcw(law.entropy_vector(), mopoe(3)) >= tcw(law.marginal(0b011).entropy_vector(), mopoe(2)) - IDENTITY


# Closed forms


def equicorrelated_tc(k: np.ndarray, n: np.ndarray, rho: float) -> np.ndarray:
    """T8: ``rho_k = rho/(1+k rho)``, ``TC_A = -[(n-1) ln(1-rho_k) + ln(1+(n-1)rho_k)]/2``, ``|A|=k``, ``n`` unseen."""
    rho_k = rho / (1 + k * rho)
    return np.where(n > 0, -0.5 * ((n - 1) * np.log1p(-rho_k) + np.log1p((n - 1) * rho_k)), 0.0)


def equicorrelated_mopoe(m: int, rho: float) -> float:
    """``TCw_MoPoE`` of ``m`` modalities: subsets of each size counted instead of listed."""
    k = np.arange(1, m + 1)
    log_count = gammaln(m + 1) - gammaln(k + 1) - gammaln(m - k + 1)
    weight = np.exp(log_count - m * LN2 - math.log1p(-(0.5**m)))
    return float(weight @ equicorrelated_tc(k, m - k, rho))


@pytest.mark.parametrize("m", [2, 3, 5, 8])
@pytest.mark.parametrize("rho", [-0.1, 0.0, 0.3, 0.9])
def test_equicorrelated_total_correlation(m, rho):
    """T8: the closed form of each size, of MMVAE and of MoPoE against the toolkit."""
    h = equicorrelated(m, rho).entropy_vector()
    for k in range(m + 1):
        assert_closed(tc_of(h, (1 << k) - 1), float(equicorrelated_tc(np.array(k), np.array(m - k), rho)))
    assert_closed(tcw(h, mmvae(m)), float(equicorrelated_tc(np.array(1), np.array(m - 1), rho)))
    assert_closed(tcw(h, mopoe(m)), equicorrelated_mopoe(m, rho))


@pytest.mark.parametrize("m", [2, 3, 5, 8])
@pytest.mark.parametrize("rho", [-0.1, 0.3, 0.9])
@pytest.mark.parametrize("sd", [0.01, 1.0, 3.0])
def test_equicorrelated_delta(m, rho, sd):
    """T8: Delta_MMVAE = ((M-1)/2) ln 2 pi e sigma^2 + [(M-1) ln(1-rho) + ln(1+(M-1)rho)]/2."""
    closed = (m - 1) / 2 * (LOG_2PIE + 2 * math.log(sd))
    closed += 0.5 * ((m - 1) * math.log1p(-rho) + math.log1p((m - 1) * rho))
    assert_closed(delta(equicorrelated(m, rho, sd).entropy_vector(), mmvae(m)), closed)


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9])
def test_mmvae_increments_tend_to_half_ln_one_plus_rho(rho):
    """T8: 'As M -> inf: MMVAE TCw increments tend to ln(1+rho)/2': the rest is 1/(2M) to leading order."""
    m = np.array([10_000.0, 10_001.0])
    increment = float(np.diff(equicorrelated_tc(np.ones(2), m - 1, rho))[0])
    assert abs(increment - 0.5 * math.log1p(rho)) < 1 / m[0]


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.95])
def test_mopoe_tends_to_the_same_limit_for_every_correlation(rho):
    """T8: 'MoPoE TCw tends to (1-ln2)/2 = .153426 for each fixed rho in (0,1)'; the error is of order 1/M."""
    limit = (1 - LN2) / 2
    assert_printed(limit, ".153426")
    errors = [abs(equicorrelated_mopoe(m, rho) - limit) for m in (10_000, 100_000)]
    assert errors[1] < 1e-4
    assert errors[1] < 0.2 * errors[0]


def test_pin_mopoe_limit_is_not_a_bound():
    """T8 pin: M=50, rho=.95 gives .15820, above the limit."""
    assert_printed(equicorrelated_mopoe(50, 0.95), ".15820")
    assert equicorrelated_mopoe(50, 0.95) > (1 - LN2) / 2


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("m", [2, 3, 4])
def test_common_cause_discrepancies(seed, m):
    """T8: Delta_MMVAE = (M-1) mean H(U), Delta_MoPoE = (2^(M-1)-1)/(2^M-1) sum H(U_m), for U_m independent of Y;
    with H(U_m|Y) in their place when U_m depends on Y. Modality-level TCw = 0 either way."""
    law = common_cause(np.random.default_rng(seed), m, 1, depends_on_label=bool(seed % 2))
    h = law.entropy_vector()
    h_label = -math.fsum(p * math.log(p) for p in law.label)
    private = math.fsum(h[1 << i] - h_label for i in range(m))  # sum_m H(U_m|Y)
    assert abs(delta(h, mmvae(m)) - (m - 1) * private / m) < IDENTITY
    assert abs(delta(h, mopoe(m)) - (2 ** (m - 1) - 1) / (2**m - 1) * private) < IDENTITY
    assert abs(tcw(h, mmvae(m))) < IDENTITY
    assert abs(tcw(h, mopoe(m))) < IDENTITY


@pytest.mark.parametrize("seed", range(5))
def test_common_cause_loses_nothing_at_the_modality_level(seed):
    """T8: 'modality-level TCw = 0 = delta*': Z = Y with decoders p(x_m|y) reaches -H(X)."""
    law = common_cause(np.random.default_rng(seed), 3, 1, depends_on_label=True)
    joint = law.to_discrete()
    merged = Discrete(joint.pmf, sizes=[2, 2, 2])
    decoders = [np.einsum("zy,yu->zyu", np.eye(3), part).reshape(3, 6) for part in law.parts]
    read_label = np.repeat(np.eye(3), 2, axis=0)
    terms = elbo_terms(TabularVAE(law.label, decoders, {1: read_label, 2: read_label, 4: read_label}), merged, mmvae(3))
    assert abs(terms.elbo + terms.entropy) < IDENTITY


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("scheme", [mmvae(2), mopoe(2), SubsetScheme({1: 0.25, 3: 0.75}, 2)])
def test_common_cause_at_the_pixel_level(seed, scheme):
    """T8: pixel level, Y readable from every X_m: TCw = sum_m P(m not in A) TC(units of X_m | Y), whether computed by
    the closed forms of the law or from its table; equal to TC_pix(U_m) when U_m is independent of Y."""
    law = common_cause(np.random.default_rng(seed), 2, 2, depends_on_label=bool(seed % 2))
    expected = 0.0
    for m, part in enumerate(law.parts):
        given = math.fsum(p * tc_of(Discrete(t).entropy_vector(), 0) for p, t in zip(law.label, part, strict=True))
        expected += float(scheme.probability_unseen(m)) * given
        if seed % 2 == 0:
            assert abs(given - tc_of(Discrete(part[0]).entropy_vector(), 0)) < IDENTITY
    assert abs(tcw(law.unit_entropies(), scheme) - expected) < IDENTITY
    assert abs(tcw(law.to_discrete().unit_entropies(), scheme) - expected) < IDENTITY


def test_common_cause_pixels_that_mix_label_and_private_part():
    """T8: 'equal to TC_pix(U_m) only when each unit is a function of Y alone or of U_m alone': pixels (U_m, U_m+Y)
    have TC(units|Y) = ln2 although U_m is one bit, whose TC_pix is 0."""
    law = from_functions(
        3, [lambda y, a, b: a, lambda y, a, b: a ^ y, lambda y, a, b: b, lambda y, a, b: b ^ y], [2, 2], "scalar"
    )
    assert_closed(tcw(law.unit_entropies(), mmvae(2)), 0.5 * LN2 + 0.5 * LN2)
    assert_closed(tcw(law.entropy_vector(), mmvae(2)), 0.0)


def test_common_cause_with_gaussian_parts():
    """T8, continuous private parts: TCw at the pixel level is that of the parts, modality level 0."""
    part = equicorrelated(3, 0.5)
    law = CommonCause([0.5, 0.5], [Gaussian(part.cov, sizes=[3], units="scalar")] * 2)
    assert_closed(tcw(law.unit_entropies(), mmvae(2)), tc_of(part.entropy_vector(), 0))
    assert_closed(tcw(law.entropy_vector(), mmvae(2)), 0.0)
