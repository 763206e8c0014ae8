"""Each objective against a slow re-implementation of its formula, exact values, and its ceiling; planted faults."""

import itertools
import math

import numpy as np
import pytest
import torch
from neural_common import NAMES, changed, gaussian_data, one_pass
from torch.distributions import Laplace, Normal, kl_divergence

from bounds import Discrete, Gaussian, elbo_ceiling
from bounds import objectives as ceilings
from toy_models.datasets import Dataset, Modality
from toy_models.fusion import standard_noise
from toy_models.linear_gaussian import GaussianEncoder, LinearGaussianVAE, gaussian_terms
from toy_models.models import MODELS, Architecture, MultimodalVAE
from toy_models.objectives import OBJECTIVES
from toy_models.train import Member, Training, train

BETA = torch.tensor([[0.5], [2.0]], dtype=torch.float64)


def law(posterior, *index):
    family = Laplace if posterior.family == "laplace" else Normal
    return family(posterior.location[index], posterior.scale[index])


def slow(terms, module, beta, formula):
    """The formula in scalar loops: for each member and example, each subset, each draw, densities of torch."""
    scheme = module.architecture.encoded
    members, subsets, draws, count, n_modalities = terms.log_likelihood.shape
    found = torch.zeros(members, count, dtype=torch.float64)
    for e, n in itertools.product(range(members), range(count)):
        prior = law(terms.prior, e, 0, 0)
        q = [law(terms.posterior, e, s, n) for s in range(subsets)]
        for s, (subset, weight) in enumerate(scheme):
            seen = [m for m in range(n_modalities) if subset >> m & 1]
            private = 0 if terms.private_kl is None else sum(terms.private_kl[e, m, n].item() for m in seen)
            kl = kl_divergence(q[s], prior).sum().item() + private
            fits = [[terms.log_likelihood[e, s, k, n, m].item() for m in range(n_modalities)] for k in range(draws)]
            b = beta[e, 0].item()
            match formula:
                case "own-density" | "private-auxiliary" | "beta":
                    value = sum(map(sum, fits)) / draws - b * kl
                case "sub-sampled":
                    value = sum(fit[m] for fit in fits for m in seen) / draws - b * kl
                case "mvtcae":
                    near = sum(
                        kl_divergence(q[s], law(terms.experts, e, m, n)).sum().item() for m in range(n_modalities)
                    )
                    part = 0.5 / n_modalities
                    value = (1 - part) * sum(map(sum, fits)) / draws - b * (0.5 * kl + part * near)
                case "iwae" | "iwae-mixture":
                    logs = []
                    for k in range(draws):
                        z = terms.z[e, s, k, n]
                        own = q[s].log_prob(z).sum().item()
                        mixed = sum(
                            float(w) * math.exp(q[t].log_prob(z).sum().item()) for t, (_, w) in enumerate(scheme)
                        )
                        below = own if formula == "iwae" else math.log(mixed)
                        logs.append(sum(fits[k]) + b * (prior.log_prob(z).sum().item() - below))
                    value = math.log(math.fsum(map(math.exp, logs)) / draws)
            found[e, n] += float(weight) * value
    return found


CASES = [(name, MODELS[name].objective, {}) for name in NAMES] + [
    ("mmvae", "iwae", {"draws": 3}),
    ("mmvae", "iwae-mixture", {"draws": 3}),
    ("mopoe", "iwae", {"draws": 2}),
    ("mopoe", "own-density", {"draws": 3}),
]


@pytest.mark.parametrize(("name", "objective", "more"), CASES)
def test_objectives_are_their_formulas(name, objective, more):
    terms, module = one_pass(name, **more)
    found = OBJECTIVES[objective](terms, BETA)
    assert found.shape == (2, 5)
    torch.testing.assert_close(found, slow(terms, module, BETA, objective), rtol=1e-10, atol=1e-10)  # rounding


def mutants(terms):
    """Passes in which one thing is wrong, by what it is."""
    faults = {
        "no likelihood": changed(terms, log_likelihood=0 * terms.log_likelihood),
        "a missing constant": changed(terms, log_likelihood=terms.log_likelihood + 0.5 * math.log(2 * math.pi)),
        "weights of a sum": changed(terms, weights=torch.ones_like(terms.weights) * 1.1),
        "another prior": changed(
            terms, prior=type(terms.prior)(terms.prior.location + 0.1, terms.prior.scale, terms.prior.family)
        ),
        "another encoder": changed(
            terms,
            posterior=type(terms.prior)(terms.posterior.location, 1.1 * terms.posterior.scale, terms.prior.family),
        ),
    }
    if terms.private_kl is not None:
        faults["no private KL"] = changed(terms, private_kl=None)
    if len(terms.members) > 1:
        order = torch.arange(len(terms.members)).roll(1)
        faults["subsets in another order"] = changed(
            terms, log_likelihood=terms.log_likelihood[:, order], members=terms.members[order]
        )
    return faults


@pytest.mark.parametrize(("name", "objective", "more"), CASES)
def test_planted_faults_differ_from_the_formulas(name, objective, more):
    terms, module = one_pass(name, **more)
    right = slow(terms, module, BETA, objective)
    for fault, wrong in mutants(terms).items():
        if (
            fault == "subsets in another order"
            and objective in ("own-density", "iwae", "private-auxiliary", "sub-sampled")
            and len(set(terms.weights.tolist())) == 1
        ):
            continue  # a mean over subsets of equal weight does not know their order
        gap = (OBJECTIVES[objective](wrong, BETA) - right).abs().max()
        assert gap > 1e-4, fault


def test_one_multiplier_for_each_member():
    terms, _ = one_pass("mopoe")
    values = OBJECTIVES["beta"](terms, BETA)
    alone = [OBJECTIVES["beta"](terms, torch.full((2, 1), b, dtype=torch.float64))[e] for e, b in enumerate((0.5, 2.0))]
    torch.testing.assert_close(values, torch.stack(alone), rtol=1e-12, atol=1e-12)


def test_names_are_those_of_the_ceilings():
    assert set(OBJECTIVES) <= set(ceilings.OBJECTIVES)
    assert {model.objective for model in MODELS.values()} <= set(OBJECTIVES)


def test_one_draw_makes_iwae_of_one_subset_the_elbo_in_the_mean():
    # K=1: E ln p(x, z)/q(z) is the ELBO, from the density in place of the closed KL
    terms, _ = one_pass("mvae", members=1, count=1, draws=200_000)
    one = torch.ones(1, 1, dtype=torch.float64)
    singles = changed(
        terms,
        z=terms.z.transpose(2, 3),
        log_likelihood=terms.log_likelihood.transpose(2, 3),
        posterior=type(terms.prior)(terms.posterior.location, terms.posterior.scale),
    )
    values = OBJECTIVES["iwae"](singles, one)
    exact = OBJECTIVES["own-density"](terms, one)
    # 5 standard errors of the difference: exceeded with probability 6e-7
    fits = terms.log_likelihood.sum(-1).flatten()
    spread = (values.flatten() - fits).std() / math.sqrt(values.numel())
    assert (values.mean() - exact.mean()).abs() < 5 * spread


# --- exact values: affine encoders and decoders are a linear-Gaussian VAE ---

LAW = Gaussian([[2.0, 0.8, 0.3], [0.8, 1.5, -0.4], [0.3, -0.4, 1.0]], names=["X1", "X2", "X3"])


def as_linear_gaussian(module, sigma):
    """The same model in NumPy: decoders and experts read off the weights of a module of one member."""
    (stack,) = module.stacks
    encoder, decoder = stack.encoder.layers[0], stack.decoder.layers[0]
    loading = np.concatenate([weight.detach().numpy().T for weight in decoder.weight[0]])
    mean = np.concatenate([bias[0].detach().numpy() for bias in decoder.bias[0]])
    k = module.architecture.latents
    gains, offsets, scales = [], [], []
    for weight, bias in zip(encoder.weight[0], encoder.bias[0], strict=True):
        assert not weight[:, k:].any()  # the scale does not depend on the data
        gains.append(weight[:, :k].detach().numpy().T)
        offsets.append(bias[0, :k].detach().numpy())
        scales.append(np.exp(bias[0, k:].detach().numpy()))
    encoders = {}
    for subset, _ in module.architecture.encoded:
        seen = [m for m in range(3) if subset >> m & 1]
        precision = sum(scales[m] ** -2 for m in seen) + float(module.architecture.model_class.prior_expert)
        gain = np.hstack([gains[m] / (scales[m] ** 2 * precision)[:, None] for m in seen])
        offset = sum(offsets[m] / (scales[m] ** 2 * precision) for m in seen)
        encoders[subset] = GaussianEncoder(gain, np.diag(1 / precision), offset)
    return LinearGaussianVAE(loading, sigma**2, encoders, mean)


@pytest.mark.parametrize("name", ["mvae", "mmvae", "mopoe"])
@pytest.mark.parametrize("fault", [None, "no constant", "wrong scale"])
def test_the_elbo_of_an_affine_model_is_its_closed_form(name, fault):
    data = gaussian_data(LAW, 100_000, seed=5)
    a = Architecture.of(data, name, "gaussian:0.9", 2, hidden=())
    module = MultimodalVAE(a, [torch.Generator().manual_seed(3)])
    with torch.no_grad():
        module.stacks[0].encoder.layers[0].weight[..., 2:] = 0
    exact = gaussian_terms(as_linear_gaussian(module, 0.9 if fault != "wrong scale" else 1.0), LAW, a.encoded).elbo
    x = [torch.tensor(part)[None] for part in data.train]
    subsets, draws, latents = a.noise_shape
    noise = torch.randn(
        1, subsets, draws, len(data.train[0]), latents, generator=torch.Generator().manual_seed(4), dtype=torch.float64
    )
    with torch.no_grad():
        values = module.objective(x, noise, torch.ones(1, 1, dtype=torch.float64))[0]
    if fault == "no constant":
        values = values + 0.5 * math.log(2 * math.pi)
    # 5 standard errors of the mean over examples and noise: exceeded with probability 6e-7
    within = abs(values.mean().item() - exact) < 5 * values.std().item() / math.sqrt(len(values))
    assert within == (fault is None)


# --- ceilings ------------------------------------------


def discrete_data():
    """Three fair bits that agree with probability 0.9: rows in the proportions of the law, so the law is theirs."""
    cells, counts = [], []
    for bits in itertools.product((0, 1), repeat=3):
        cells.append(bits)
        counts.append(sum(round(1000 * math.prod(0.9 if b == c else 0.1 for b in bits)) for c in (0, 1)))
    rows = np.repeat(np.array(cells), counts, axis=0)
    pmf = np.array(counts).reshape(2, 2, 2) / sum(counts)
    parts = tuple(rows[:, m : m + 1] for m in range(3))
    data = Dataset("bits", tuple(Modality(f"X{m + 1}", (1,), 2) for m in range(3)), parts, parts)
    return data, Discrete(pmf)


@pytest.mark.parametrize("name", NAMES)
def test_trained_models_stay_under_their_ceilings(name):
    data, law = discrete_data()
    a = Architecture.of(data, name, "categorical", 2, private=1 if MODELS[name].private else 0, hidden=(8,))
    trained = train(a, [Member(0)], data, Training(steps=150, batch=32, learning_rate=2e-2))
    module = trained.solo(0).model
    objective = MODELS[name].objective
    more = {"k": MODELS[name].draws} if objective == "iwae-mixture" else {}
    ceiling = elbo_ceiling(law.entropy_vector(), a.encoded, objective=objective, **more)
    x = [torch.tensor(part)[None] for part in data.train]
    shape = (1, *a.noise_shape[:2], len(data.train[0]), a.noise_shape[2])
    values = []
    with torch.no_grad():
        for seed in range(20):
            noise = standard_noise(a.model_class.family, shape, torch.Generator().manual_seed(seed), torch.float64)
            values.append(module.objective(x, noise, torch.ones(1, 1, dtype=torch.float64)).mean().item())
    # rows have the law's own proportions, so noise alone is random: 6 standard errors of 20 means
    top = float(ceiling) + 6 * np.std(values, ddof=1) / math.sqrt(len(values))
    assert np.mean(values) <= top
    # it has learnt something, so that the ceiling is not far away
    assert np.mean(values) > float(ceiling) - 1.5
