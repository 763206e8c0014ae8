"""Linear-Gaussian VAEs at random and at their best, below every ceiling that the registry says holds."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_gaussian_common import random_vae
from strategies_for_tests import block_sizes, covariances, schemes

from bounds import Gaussian, SubsetScheme, elbo_ceiling, full, mmvae, mopoe
from bounds.dependence_trees import chow_liu_floor
from bounds.likelihood.decoders import variable_names
from bounds.likelihood.gaussian import regression
from bounds.likelihoods import likelihood_ceiling
from bounds.subsets import members
from toy_models.gaussian_fit import fit, linear_ceiling
from toy_models.linear_gaussian import (
    LinearGaussianVAE,
    best_encoders,
    exact_encoders,
    exact_experts,
    gaussian_terms,
    product_of_experts,
)

#: Rounding of a few hundred terms and of solves with matrices of condition below 1e3, relative to the largest term.
ROUNDING = 1e-11
#: A convex programme stops within this of its optimum, relative.
STOPPED = 1e-9

KINDS = {
    "at random": lambda model, law, scheme: model.encoders,
    "best encoders": best_encoders,
    "exact posteriors": exact_encoders,
    "experts with prior": lambda model, law, scheme: product_of_experts(exact_experts(model, law), scheme.weights),
    "experts are the posteriors of single modalities": lambda model, law, scheme: product_of_experts(
        list(exact_encoders(model, law, mmvae(len(law.names))).values()), scheme.weights
    ),
}


@st.composite
def cases(draw):
    """A law with modalities and units of any size, a scheme, noise of any kind, encoders of any kind."""
    cov = draw(covariances(max_size=4))
    sizes = draw(block_sizes(len(cov)))
    law = Gaussian(cov / np.diagonal(cov).max(), sizes, units=draw(st.sampled_from([None, "scalar"])))
    scheme = draw(schemes(len(sizes)))
    model = random_vae(law, scheme, np.random.default_rng(draw(st.integers(0, 10**6))))
    return law, scheme, model.with_encoders(KINDS[draw(st.sampled_from(sorted(KINDS)))](model, law, scheme))


def generated_kl(model, law, subset):
    """``E KL(prod_u p(x_u|x_A) || p_gen(x_R|x_A))`` over the unseen units: the left side of T10.5."""
    seen = law.layout.variables_of_modalities(subset)
    rest = [v for v in range(len(law.cov)) if v not in seen]
    if not rest:
        return 0.0
    unit = np.repeat(np.arange(len(law.layout.unit_sizes)), law.layout.unit_sizes)[rest]
    slopes = regression(law.cov, seen)
    truth = ((np.eye(len(law.cov)) - slopes) @ law.cov)[np.ix_(rest, rest)] * (unit[:, None] == unit)
    encoder, loading = model.encoders[subset], model.loading[rest]
    made = model.noise[np.ix_(rest, rest)] + loading @ encoder.cov @ loading.T
    mean = loading @ encoder.offset + model.mean[rest]
    off = slopes[np.ix_(rest, seen)] - loading @ encoder.gain
    spread = truth + off @ law.cov[np.ix_(seen, seen)] @ off.T + np.outer(mean, mean)
    logdets = np.linalg.slogdet(made)[1] - np.linalg.slogdet(truth)[1]
    return 0.5 * (np.trace(np.linalg.solve(made, spread)) - len(rest) + logdets)


def ceilings(law, scheme, model):
    """``(name, left, right, slack)`` with ``left <= right`` up to ``slack`` times the scale."""
    terms = gaussian_terms(model, law, scheme)
    h = law.unit_entropies()
    yield "T2", terms.elbo, float(elbo_ceiling(h, scheme)), ROUNDING
    yield "T2 over modalities", terms.elbo, float(elbo_ceiling(law.entropy_vector(), scheme)), ROUNDING
    yield "T10.3, no private latents", terms.elbo, float(elbo_ceiling(h, scheme, "private-own")), ROUNDING
    yield "the entropy", terms.elbo, -terms.entropy, ROUNDING
    yield "the entropy, of the evidence", terms.evidence, -terms.entropy, ROUNDING
    yield "T10.6", terms.elbo, -terms.entropy - float(chow_liu_floor(law, scheme)), ROUNDING
    yield "T0, repaired", terms.repaired.right, terms.repaired.left, ROUNDING
    for beta in (1.0, 2.5):
        reached = -terms.distortion - beta * terms.kl
        yield f"T10.1, beta {beta}", reached, float(elbo_ceiling(h, scheme, "beta", beta=beta)), ROUNDING
    scaled = {"beta": 1.0, "scales": dict.fromkeys(law.names, 0.5)}
    yield "T10.1", -terms.distortion / 2 - terms.kl, float(elbo_ceiling(h, scheme, "rescaled", **scaled)), ROUNDING
    for found in terms.subsets:
        alone = SubsetScheme({found.subset: 1}, len(law.names), allow_empty=True)
        yield "T2 of a subset", found.elbo, float(elbo_ceiling(h, alone)), ROUNDING
        seen = law.entropy_vector()[found.subset] if found.subset else 0.0
        yield "T10.2", found.own_elbo, -float(seen), ROUNDING
        yield "T10.5", generated_kl(model, law, found.subset), found.slack, ROUNDING
        for unit in set(range(len(found.distortions))) - set(found.seen):
            variables = law.layout.variables_of_units(1 << unit)
            slopes = regression(law.cov, law.layout.variables_of_modalities(found.subset))
            left = ((np.eye(len(law.cov)) - slopes) @ law.cov)[np.ix_(variables, variables)]
            floor = 0.5 * np.linalg.slogdet(2 * math.pi * math.e * left)[1]
            yield "T1 of an unseen unit", -found.distortions[unit], -floor, ROUNDING
    yield from of_the_likelihood(law, scheme, model, terms.elbo)


def of_the_likelihood(law, scheme, model, elbo):
    """T7, as far as the noise of the model is of the kind."""
    variances = np.diagonal(model.noise)
    if np.count_nonzero(model.noise) > len(variances):
        yield "linear, full noise", elbo, linear_ceiling(law, scheme, "full"), STOPPED
        return
    scalar = Gaussian(law.cov, law.layout.sizes, units="scalar")
    names = variable_names(law.layout)
    if len(law.names) == len(names):
        deviations = ",".join(f"{n}={math.sqrt(v)!r}" for n, v in zip(names, variances.tolist(), strict=True))
        yield "T7(iv)", elbo, float(likelihood_ceiling(scalar, scheme, f"gaussian:{deviations}")), ROUNDING
    yield "best linear, this noise", elbo, fit(law, scheme, variances).ceiling, ROUNDING
    yield "T7(v)", elbo, float(likelihood_ceiling(scalar, scheme, "gaussian:learned")), STOPPED
    yield "conditional", elbo, float(likelihood_ceiling(scalar, scheme, "gaussian:conditional")), ROUNDING
    yield "linear, diagonal noise", elbo, linear_ceiling(law, scheme, "diagonal"), STOPPED
    if len(set(variances.tolist())) == 1:
        deviation = math.sqrt(variances[0])
        yield "T7(iv), isotropic", elbo, float(likelihood_ceiling(scalar, scheme, f"gaussian:{deviation!r}")), ROUNDING
        yield "T7, common", elbo, float(likelihood_ceiling(scalar, scheme, "gaussian:learned-common")), STOPPED
        yield "best linear, isotropic", elbo, fit(law, scheme, "isotropic").ceiling, ROUNDING


def check(law, scheme, model, shift=0.0):
    names, scale = [], max(1.0, abs(gaussian_terms(model, law, scheme).distortion))
    for name, left, right, slack in ceilings(law, scheme, model):
        assert left <= right - shift + slack * max(scale, abs(left), abs(right)), (name, left, right)
        names.append(name)
    return names


@settings(max_examples=60)
@given(cases())
def test_no_model_is_above_a_ceiling(case):
    check(*case)


def test_no_ceiling_is_left_out():
    """The three kinds of noise together meet them all."""
    law, scheme = Gaussian([[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]]), mopoe(3)
    blocks = Gaussian(law.cov, [2, 1])
    met = set()
    correlated = np.array([[0.5, 0.1, 0.0], [0.1, 0.4, 0.0], [0.0, 0.0, 0.3]])
    for data, over, noise in [(law, scheme, 0.5), (law, scheme, [0.5, 0.4, 0.3]), (blocks, mopoe(2), correlated)]:
        bare = LinearGaussianVAE(np.ones((3, 1)), np.array(noise), {})
        met |= set(check(data, over, bare.with_encoders(best_encoders(bare, data, over))))
    assert len(met) == 23, sorted(met)


def test_the_check_can_fail():
    """A model that attains T2 is above any lower ceiling; correlated noise is above the ceiling of single variables;
    and half of a total correlation too much is caught for data from a model.
    """
    model = LinearGaussianVAE([[1.0], [0.5], [0.8]], [0.3, 0.6, 0.4], {})
    law = Gaussian(model.covariance)
    exact = model.with_encoders(exact_encoders(model, law, full(3)))
    check(law, full(3), exact)
    with pytest.raises(AssertionError, match="T2"):
        check(law, full(3), exact, shift=1e-9)
    together = Gaussian([[1.0, 0.8, 0.1], [0.8, 1.0, 0.1], [0.1, 0.1, 1.0]], [2, 1])
    best = fit(together, SubsetScheme({0b10: 1}, 2), "full")
    scalar = Gaussian(together.cov, together.layout.sizes, units="scalar")
    assert best.elbo > float(elbo_ceiling(scalar.unit_entropies(), SubsetScheme({0b10: 1}, 2))) + 0.1


def test_the_ceiling_of_sub_sampled_sums():
    """T10.2 for coefficients that are no weights."""
    law = Gaussian([[1.0, 0.5], [0.5, 1.0]])
    scheme = SubsetScheme({0b01: Fraction(1), 0b10: Fraction(1), 0b11: Fraction(1)}, 2, objective="sub-sampled")
    ceiling = float(elbo_ceiling(law.unit_entropies(), scheme, "sub-sampled"))
    model = LinearGaussianVAE([[1.0], [1.0]], 0.5, {})
    model = LinearGaussianVAE(math.sqrt(0.5) * model.loading, 0.5, {})  # whose covariance is that of the law
    subsets = SubsetScheme({subset: Fraction(1, 3) for subset in scheme.weights}, 2)
    terms = gaussian_terms(model.with_encoders(exact_encoders(model, law, subsets)), law, subsets)
    total = math.fsum(found.own_elbo for found in terms.subsets)
    assert abs(total - ceiling) <= ROUNDING * abs(ceiling)  # attained by the exact posteriors
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = random_vae(law, subsets, rng)
        reached = math.fsum(found.own_elbo for found in gaussian_terms(other, law, subsets).subsets)
        assert reached <= ceiling
    assert [members(found.subset) for found in terms.subsets] == [(0,), (1,), (0, 1)]
