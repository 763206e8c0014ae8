"""THEORY T10: other objectives, and what follows from T2."""

import math
from itertools import combinations

import numpy as np
import pytest
from pins_common import (
    IDENTITY,
    LN2,
    Enumerated,
    assert_closed,
    cross,
    independent_and_copies,
    joint_tables,
    random_case,
    random_law,
    xor_triple,
)

from bounds import (
    Discrete,
    Gaussian,
    I,
    InputError,
    ObjectiveError,
    SubsetScheme,
    elbo_ceiling,
    full,
    mmvae,
    mvae_subsampled,
    total_correlation_term,
)
from bounds.lattice import marginal_entropy
from bounds.subsets import members
from toy_models import TabularVAE, elbo_terms, objective, optimal_decoders, random_model

SEEDS = range(40)


def copy_of(law: Discrete, subset: int) -> np.ndarray:
    """The encoder ``Z = X_A``."""
    shape = [law.pmf.shape[v] for v in law.layout.variables_of_modalities(subset)]
    return np.eye(math.prod(shape)).reshape(*shape, -1)


# 10.1: beta and per-unit rescaling


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 1.7, 6.0])
def test_beta_ceiling_holds(seed, beta):
    """T10.1: beta >= 1 keeps T2; beta < 1 has -beta H(X_A) - sum_{m not in A} H(X_m|X_A)."""
    law, scheme, model = random_case(seed)
    ceiling = float(elbo_ceiling(law.unit_entropies(), scheme, "beta", beta=beta))
    for candidate in (model, optimal_decoders(law, scheme, model.encoders)):
        assert objective(candidate, law, scheme, "beta", beta=beta) <= ceiling + IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_rescaled_ceiling_holds_and_is_the_formula(seed):
    """T10.1: sum lambda_m E ln p(x_m|z) - beta KL <= -min(beta, min_{m in A} lambda_m) H(X_A)
    - sum_{m not in A} lambda_m H(X_m|X_A), discrete."""
    law, scheme, model = random_case(seed)
    rng = np.random.default_rng(seed)
    h = law.unit_entropies()
    scales = {name: round(float(rng.exponential()) + 0.01, 3) for name in h.names}
    beta = round(float(rng.exponential()) + 0.01, 3)
    ceiling = float(elbo_ceiling(h, scheme, "rescaled", beta=beta, scales=scales))
    value = 0.0
    for subset, weight in scheme:
        known = h.units_of(subset)
        seen = min([beta, *(scales[h.names[u]] for u in members(known))])
        unseen = [u for u in range(h.n_units) if not known >> u & 1]
        value += float(weight) * seen * h[known]
        value += float(weight) * math.fsum(scales[h.names[u]] * (h[known | 1 << u] - h[known]) for u in unseen)
    assert abs(ceiling + value) < IDENTITY
    for candidate in (model, optimal_decoders(law, scheme, model.encoders)):
        assert objective(candidate, law, scheme, "rescaled", beta=beta, scales=scales) <= ceiling + IDENTITY


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("beta", [0.2, 0.9, 1.0])
def test_beta_ceiling_is_attained_by_a_copy(seed, beta):
    """T10.1 is tight for beta <= 1 (and scales of at least beta on A): Z = X_A."""
    law = random_law(np.random.default_rng(seed), (2, 3, 2))
    scheme = SubsetScheme({0b011: 1}, 3)
    model = optimal_decoders(law, scheme, {0b011: copy_of(law, 0b011)})
    h = law.unit_entropies()
    assert (
        abs(objective(model, law, scheme, "beta", beta=beta) - float(elbo_ceiling(h, scheme, "beta", beta=beta)))
        < IDENTITY
    )
    scales = {"X1": 1.5, "X3": 0.1}
    ceiling = float(elbo_ceiling(h, scheme, "rescaled", beta=beta, scales=scales))
    assert abs(objective(model, law, scheme, "rescaled", beta=beta, scales=scales) - ceiling) < IDENTITY


def test_planted_fault_t2_is_violated_by_a_small_beta():
    """T10.1: 'beta < 1 only the beta H(X_A) form': the copy at beta = 1/2 exceeds T2's ceiling by half of H(X_A)."""
    law, scheme = xor_triple(), SubsetScheme({0b001: 1}, 3)
    model = optimal_decoders(law, scheme, {0b001: copy_of(law, 0b001)})
    excess = objective(model, law, scheme, "beta", beta=0.5) - float(elbo_ceiling(law.unit_entropies(), scheme))
    assert_closed(excess, 0.5 * LN2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("beta", [0.4, 1.0, 2.5])
def test_loss_identity_of_beta(seed, beta):
    """T10.1: lambda=1, one A, best decoders: D + beta I(X_A;Z) = H(X) + TC(X|Z) + (beta-1) I(X_A;Z)."""
    law, scheme, model = random_case(seed)
    for subset, _ in scheme:
        alone = SubsetScheme({subset: 1}, scheme.n_modalities, allow_empty=True)
        best = optimal_decoders(law, alone, model.encoders)
        terms = elbo_terms(best, law, alone)
        case = Enumerated.of(best, law, subset)
        joint = case.p_seen[:, None] * case.q
        information = marginal_entropy(joint, [0]) + marginal_entropy(joint, [1]) - marginal_entropy(joint, [0, 1])
        loss = terms.entropy + terms.latent_total_correlation + (beta - 1) * information
        assert abs(terms.kl - information) < IDENTITY
        assert abs(-objective(best, law, alone, "beta", beta=beta) - loss) < IDENTITY


@pytest.mark.parametrize("seed", SEEDS)
def test_collapse_is_optimal_for_beta_of_at_least_the_number_of_units(seed):
    """T10.1: 'beta >= #units => collapse optimal': no model exceeds -sum_m H(X_m), which a constant latent reaches."""
    law, scheme, model = random_case(seed)
    alphabet = [table.shape[1] for table in model.decoders]
    p = law.pmf.reshape(alphabet)
    n = len(alphabet)
    collapsed = -math.fsum(marginal_entropy(p, [u]) for u in range(n))
    constant = {a: np.ones((*q.shape[:-1], 1)) for a, q in model.encoders.items()}
    reached = objective(optimal_decoders(law, scheme, constant), law, scheme, "beta", beta=n)
    assert abs(reached - collapsed) < IDENTITY
    cells = {a: math.prod(q.shape[:-1]) for a, q in model.encoders.items()}
    most = max(cells.values())
    copies = {a: np.eye(most)[: cells[a]].reshape(*q.shape[:-1], most) for a, q in model.encoders.items()}
    for encoders in (model.encoders, copies):
        best = optimal_decoders(law, scheme, encoders)
        for candidate in (best, model):
            assert objective(candidate, law, scheme, "beta", beta=n) <= collapsed + IDENTITY


@pytest.mark.parametrize(("scale", "beta"), [(1.0, 0.5), (2.0, 1.0)])
def test_continuous_data_with_learned_variances_are_unbounded(scale, beta):
    """T10.1: scalar Gaussian, Z=X+N(0,s^2): objective = const - ((lambda-beta)/2) ln(s^2/(1+s^2)) -> +inf as s -> 0;
    the toolkit refuses such a ceiling."""
    values, predicted = [], []
    for s in (1.0, 1e-2, 1e-4, 1e-8):
        left_over = s * s / (1 + s * s)  # Var(X|Z), the best decoder's variance
        distortion = 0.5 * math.log(2 * math.pi * math.e * left_over)
        rate = -0.5 * math.log(left_over)  # I(X;Z), with the aggregated prior N(0, 1+s^2)
        values.append(-scale * distortion - beta * rate)
        predicted.append(-(scale - beta) / 2 * math.log(left_over))
    assert np.ptp(np.array(values) - predicted) < 1e-12 * max(values)
    assert values[-1] > values[-2] > values[-3] > values[-4]
    assert values[-1] > 7
    with pytest.raises(ObjectiveError, match="continuous"):
        elbo_ceiling(Gaussian([[1.0]]).entropy_vector(), full(1), "rescaled", beta=beta, scales={"X1": scale})


# 10.2: MVAE's sub-sampling


@pytest.mark.parametrize("seed", SEEDS)
def test_sub_sampled_ceiling_holds(seed):
    """T10.2: sum_A c_A ELBO_A(x_A) <= -sum_A c_A H(X_A)."""
    rng = np.random.default_rng(seed)
    law = random_law(rng, (2, 2, 3, 2), [1, 2, 1], "scalar")
    scheme = mvae_subsampled(3, int(rng.integers(0, 4)))
    model = random_model(law, scheme, 4, rng)
    assert (
        objective(model, law, scheme, "sub-sampled")
        <= float(elbo_ceiling(law.unit_entropies(), scheme, "sub-sampled")) + IDENTITY
    )


@pytest.mark.parametrize("seed", range(10))
def test_sub_sampled_ceiling_is_attained(seed):
    """T10.2: 'attained with unrestricted encoders', 'No TC term': Z = X, q_A(z|x_A) = p(x|x_A)."""
    law = random_law(np.random.default_rng(seed), (2, 3, 2), [1, 2], "scalar")
    scheme = mvae_subsampled(2)
    cells = law.pmf.size
    decoders = []
    for axis, k in enumerate(law.pmf.shape):
        index = np.moveaxis(np.broadcast_to(np.arange(k), np.moveaxis(law.pmf, axis, -1).shape), -1, axis)
        decoders.append(np.eye(k)[index.reshape(-1)])
    encoders = {}
    for subset, _ in scheme:
        seen = law.layout.variables_of_modalities(subset)
        joint = np.zeros([*(law.pmf.shape[v] for v in seen), cells])
        for z, cell in enumerate(np.ndindex(*law.pmf.shape)):
            joint[(*(cell[v] for v in seen), z)] = law.pmf[cell]
        totals = joint.sum(axis=-1, keepdims=True)
        encoders[subset] = np.where(totals > 0, joint / np.where(totals > 0, totals, 1), 1 / cells)
    model = TabularVAE(law.pmf.reshape(-1), decoders, encoders)
    ceiling = float(elbo_ceiling(law.unit_entropies(), scheme, "sub-sampled"))
    assert abs(objective(model, law, scheme, "sub-sampled") - ceiling) < IDENTITY


@pytest.mark.parametrize("seed", range(10))
def test_product_of_experts_is_exact_for_conditionally_independent_modalities(seed):
    """T10.2: experts p(z|x_m)/p(z): prior times their product is p(z|x_A) when the x_m are independent given z."""
    rng = np.random.default_rng(seed)
    prior, likelihoods = rng.dirichlet(np.ones(3)), [rng.dirichlet(np.ones(k), 3) for k in (2, 3, 2)]
    experts = [(prior[:, None] * p / (prior @ p)).T / prior for p in likelihoods]
    for cell in np.ndindex(2, 3, 2):
        product = prior * np.prod([expert[x] for expert, x in zip(experts, cell, strict=True)], axis=0)
        posterior = prior * np.prod([p[:, x] for p, x in zip(likelihoods, cell, strict=True)], axis=0)
        assert np.allclose(product / product.sum(), posterior / posterior.sum(), rtol=1e-12, atol=0)


def test_the_own_density_ceiling_of_a_sub_sampled_sum_is_refused():
    """T10.2: a sum of ELBOs is no mixture, T2 says nothing about it."""
    with pytest.raises(ObjectiveError, match="sub-sampled"):
        elbo_ceiling(xor_triple().entropy_vector(), mvae_subsampled(3))


# 10.3: private latents


class PrivateLatents:
    """Shared latent ``z``, private latents ``u_n``, decoders ``p(x_unit|z,u_n)``; objectives by full enumeration."""

    def __init__(self, law: Discrete, rng: np.random.Generator, n_shared: int, n_private: int) -> None:
        self.law = law
        self.owner = [m for m, units in enumerate(law.layout.modality_units) for _ in members(units)]
        count = len(law.names)
        self.p_shared = rng.dirichlet(np.ones(n_shared))
        self.p_private = rng.dirichlet(np.ones(n_private), count)
        self.auxiliary = rng.dirichlet(np.ones(n_private), count)
        self.decoders = [rng.dirichlet(np.full(k, 0.5), (n_shared, n_private)) for k in law.pmf.shape]
        shapes = [[law.pmf.shape[u] for u in members(units)] for units in law.layout.modality_units]
        self.q_shared = [rng.dirichlet(np.full(n_shared, 0.5), shape) for shape in shapes]
        self.q_private = [rng.dirichlet(np.full(n_private, 0.5), shape) for shape in shapes]

    def objective(self, auxiliary: bool, mixture: bool = False) -> float:
        """The mean over the encoded modality; with auxiliary priors, or own private encoders everywhere."""
        total, count = 0.0, len(self.law.names)
        for cell in np.ndindex(*self.law.pmf.shape):
            if self.law.pmf[cell] == 0:
                continue
            parts = [tuple(cell[u] for u in range(len(cell)) if self.owner[u] == m) for m in range(count)]
            shared = [q[part] for q, part in zip(self.q_shared, parts, strict=True)]
            private = [q[part] for q, part in zip(self.q_private, parts, strict=True)]
            density = np.mean(shared, axis=0) if mixture else None
            for m in range(count):
                below = shared[m] if density is None else density
                value = -_weighted_log(shared[m], below / self.p_shared)
                for n in range(count):
                    drawn = self.auxiliary[n] if auxiliary and n != m else private[n]
                    if not (auxiliary and n != m):
                        value -= _weighted_log(drawn, drawn / self.p_private[n])
                    for u in range(len(cell)):
                        if self.owner[u] == n:
                            value += _weighted_log(np.outer(shared[m], drawn), self.decoders[u][:, :, cell[u]])
                total += self.law.pmf[cell] * value / count
        return total


def _weighted_log(weight: np.ndarray, ratio: np.ndarray) -> float:
    live = weight > 0
    return float((weight[live] * np.log(ratio[live])).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_private_latents_ceilings_hold(seed):
    """T10.3: own private encoders: T2 at modality level; auxiliary priors: T2 at unit level, plus ln M with the
    mixture's density in the shared KL."""
    rng = np.random.default_rng(seed)
    law = random_law(rng, (2, 2, 2), [1, 2], "scalar")
    model, h = PrivateLatents(law, rng, 3, 2), law.unit_entropies()
    assert model.objective(auxiliary=False) <= float(elbo_ceiling(h, mmvae(2), "private-own")) + IDENTITY
    assert model.objective(auxiliary=True) <= float(elbo_ceiling(h, mmvae(2), "private-auxiliary")) + IDENTITY
    ceiling = float(elbo_ceiling(h, mmvae(2), "private-auxiliary", shared_kl="mixture"))
    assert model.objective(auxiliary=True, mixture=True) <= ceiling + IDENTITY
    assert_closed(ceiling, float(elbo_ceiling(h, mmvae(2))) + LN2)


def test_planted_fault_the_pixel_level_ceiling_is_not_for_own_private_encoders():
    """T10.3: 'TC at modality level only': the private latent carries the copied pixel, and T2 at pixel level fails."""
    law = independent_and_copies(2)
    model = PrivateLatents(law, np.random.default_rng(0), 1, 2)
    model.p_private = np.full((2, 2), 0.5)
    model.q_private = [np.eye(2), np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5], [0.0, 1.0]]])]
    model.decoders = [np.eye(2)[None]] * 3
    h = law.unit_entropies()
    assert_closed(model.objective(auxiliary=False), -2 * LN2)
    assert_closed(float(elbo_ceiling(h, mmvae(2), "private-own")), -2 * LN2)
    assert model.objective(auxiliary=False) > float(elbo_ceiling(h, mmvae(2))) + 0.3


@pytest.mark.parametrize("seed", range(10))
def test_private_auxiliary_ceiling_is_attained_for_one_encoded_modality(seed):
    """T10.3 is tight: encoder m copies X_m into z, private latents are ignored, decoders are p(x_unit|x_m)."""
    law = random_law(np.random.default_rng(seed), (2, 2, 2), [1, 2], "scalar")
    scheme = SubsetScheme({0b01: 1}, 2)
    terms = elbo_terms(optimal_decoders(law, scheme, {0b01: np.eye(2)}), law, scheme)
    assert abs(terms.elbo - float(elbo_ceiling(law.unit_entropies(), scheme, "private-auxiliary"))) < IDENTITY


# 10.4: MVTCAE


def mvtcae(p: np.ndarray, q: np.ndarray, alpha: float) -> float:
    """The objective with the best decoders, ``r`` and ``r_v`` for an encoder ``q`` ``(*k, z)`` of the full ``x``."""
    joint = p[..., None] * q
    v = p.ndim

    def h(*axes: int) -> float:
        return marginal_entropy(joint, axes)

    fit = -math.fsum(h(i, v) - h(v) for i in range(v))
    rate = h(*range(v)) + h(v) - h(*range(v + 1))
    # KL(q || p(z|x_i)) averages to I(X;Z|X_i)
    each = math.fsum(h(i, v) + h(*range(v)) - h(*range(v + 1)) - h(i) for i in range(v))
    return (v - alpha) / v * fit - (1 - alpha) * rate - alpha / v * each


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_mvtcae_ceiling(seed, alpha):
    """T10.4: sup = TC(X) - ((V-alpha)/V) sum_v H(X_v), attained at Z = X; random encoders stay below."""
    rng = np.random.default_rng(seed)
    law = random_law(rng, (2, 3, 2)[: int(rng.integers(2, 4))])
    p, v = law.pmf, law.pmf.ndim
    ceiling = float(elbo_ceiling(law.entropy_vector(), full(v), "mvtcae", alpha=alpha))
    singles = math.fsum(marginal_entropy(p, [i]) for i in range(v))
    tc = singles - marginal_entropy(p, range(v))
    assert abs(ceiling - (tc - (v - alpha) / v * singles)) < IDENTITY
    assert abs(mvtcae(p, np.eye(p.size).reshape(*p.shape, -1), alpha) - ceiling) < IDENTITY
    for _ in range(10):
        assert mvtcae(p, rng.dirichlet(np.full(4, 0.3), p.shape), alpha) <= ceiling + IDENTITY


def test_mvtcae_is_refused_where_it_is_not_proved():
    """T10.4: discrete X, alpha in [0,1]."""
    with pytest.raises(ObjectiveError, match="discrete"):
        elbo_ceiling(Gaussian(np.eye(2)).entropy_vector(), full(2), "mvtcae")
    with pytest.raises(InputError, match="alpha"):
        elbo_ceiling(xor_triple().entropy_vector(), full(3), "mvtcae", alpha=1.5)


# 10.5: coherence


@pytest.mark.parametrize("seed", range(80))
def test_coherence_consequence(seed):
    """T10.5: E_{x_A} KL(prod_{m not in A} p(x_m|x_A) || p_gen(x_R|x_A)) <= epsilon_A, and every event of the unseen
    units has, averaged over x_A, a probability within sqrt(epsilon_A/2) of its product-of-conditionals value."""
    rng = np.random.default_rng(seed)
    law = random_law(rng, (2, 3, 2))
    subset = int(rng.integers(1, 7))
    scheme = SubsetScheme({subset: 1}, 3)
    n = law.pmf[tuple(slice(None) if subset >> m & 1 else 0 for m in range(3))].size
    encoder = copy_of(law, subset) * 0.8 + 0.2 / n
    model = optimal_decoders(law, scheme, {subset: encoder}) if seed % 2 else random_model(law, scheme, 3, rng)
    one = elbo_terms(model, law, scheme).subsets[0]
    case = Enumerated.of(model, law, subset)
    generated = case.q @ case.unseen
    unseen = [m for m in range(3) if not subset >> m & 1]
    divergence = distance = 0.0
    for a, p_a in enumerate(case.p_seen):
        if p_a == 0:
            continue
        conditional = (case.p[a] / p_a).reshape([law.pmf.shape[m] for m in unseen])
        product = np.ones(1)
        for i in range(len(unseen)):
            product = np.kron(product, conditional.sum(axis=tuple(j for j in range(len(unseen)) if j != i)))
        divergence += p_a * (cross(product, generated[a]) - cross(product, product))
        distance += p_a * 0.5 * float(np.abs(product - generated[a]).sum())  # the largest gap of any event
        if len(unseen) == 1:
            assert np.allclose(product, conditional.reshape(-1), rtol=1e-12)  # 'Single targets: no floor'
    assert divergence <= one.slack + IDENTITY
    assert distance <= math.sqrt(one.slack / 2) + IDENTITY


def test_coherence_at_the_ceiling_is_conditional_independence():
    """T10.5 for the XOR triple at its ceiling: x_2 and x_3 generated from x_1 agree with it half of the time only."""
    law, scheme = xor_triple(), SubsetScheme({0b001: 1}, 3)
    model = optimal_decoders(law, scheme, {0b001: np.eye(2)})
    assert abs(elbo_terms(model, law, scheme).slack) < IDENTITY
    case = Enumerated.of(model, law, 0b001)
    coherent = sum(case.p_seen[a] * (case.q @ case.unseen)[a, 2 * b + (a ^ b)] for a in (0, 1) for b in (0, 1))
    assert_closed(float(coherent), 0.5)


# 10.6: Chow-Liu


@pytest.mark.parametrize("seed", range(80))
def test_chow_liu_floor(seed):
    """T10.6: TC_A >= the max-weight spanning forest of I(X_i;X_j|X_A); every forest is tried."""
    rng = np.random.default_rng(seed)
    law = Gaussian(_covariance(rng)) if seed % 2 else random_law(rng, (2, 2, 3, 2))
    h = law.entropy_vector()
    for subset in (0b0000, 0b0001, 0b0011, 0b0100):
        unseen = [m for m in range(4) if not subset >> m & 1]
        weight = {
            pair: float(h.evaluate(I(h.names, 1 << pair[0], 1 << pair[1], subset))) for pair in combinations(unseen, 2)
        }
        tc = float(total_correlation_term(h, SubsetScheme({subset: 1}, 4, allow_empty=True)))
        for edges in (c for k in range(len(unseen)) for c in combinations(weight, k)):
            if _is_forest(edges):
                assert tc >= math.fsum(weight[edge] for edge in edges) - IDENTITY


def _covariance(rng: np.random.Generator) -> np.ndarray:
    root = rng.normal(size=(4, 5))
    return root @ root.T


def _is_forest(edges) -> bool:
    parent = list(range(8))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for a, b in edges:
        if root(a) == root(b):
            return False
        parent[root(a)] = root(b)
    return True


def test_chow_liu_floor_is_attained_by_a_tree_and_not_by_xor():
    """T10.6: a Markov chain has TC equal to its tree; the XOR triple has ln2 with no pair."""
    channel = np.array([[0.9, 0.1], [0.2, 0.8]])
    h = Discrete(np.einsum("a,ab,bc->abc", [0.3, 0.7], channel, channel)).entropy_vector()
    tc = float(total_correlation_term(h, SubsetScheme({0: 1}, 3, allow_empty=True)))
    assert abs(tc - float(h.evaluate(I(h.names, 1, 2))) - float(h.evaluate(I(h.names, 2, 4)))) < IDENTITY
    xor = xor_triple().entropy_vector()
    assert_closed(float(xor.evaluate(I(xor.names, 1, 2))), 0.0)
    assert_closed(float(total_correlation_term(xor, SubsetScheme({0: 1}, 3, allow_empty=True))), LN2)


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_given_what_is_seen(seed):
    """T10.6: I(X_i;X_j|X_A) >= I(X_i;X_j) - min{I(X_i;X_A), I(X_j;X_A)}."""
    rng = np.random.default_rng(seed)
    h = random_law(rng, (2, 3, 2, 2)).entropy_vector()
    for i, j in combinations(range(3), 2):
        for seen in (0b1000, 0b1000 | (0b111 & ~(1 << i | 1 << j))):
            given, plain, with_i, with_j = (
                float(h.evaluate(I(h.names, *arguments)))
                for arguments in ((1 << i, 1 << j, seen), (1 << i, 1 << j), (1 << i, seen), (1 << j, seen))
            )
            assert given >= plain - min(with_i, with_j) - IDENTITY


# 10.7: the relative certificate


@pytest.mark.parametrize("seed", SEEDS)
def test_relative_certificate(seed):
    """T10.7: for any density model r, E ln r(x) - L_S lower-bounds the loss -H(X) - L_S, with equality at r = p."""
    law, scheme, model = random_case(seed)
    terms = elbo_terms(model, law, scheme)
    rng = np.random.default_rng(seed)
    loss = -terms.entropy - terms.elbo
    _, joint = joint_tables(model, law, scheme)
    for r in (rng.dirichlet(np.ones(law.pmf.size)), joint.sum(axis=1)):
        assert -cross(law.pmf.reshape(-1), r) - terms.elbo <= loss + IDENTITY
    assert abs(-cross(law.pmf, law.pmf) - terms.elbo - loss) < IDENTITY * max(1, loss)
