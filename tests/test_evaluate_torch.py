"""Terms of PyTorch models against closed forms, every way of averaging, and dishonest models that must be refused."""

import doctest
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import (
    Categorical,
    Independent,
    Laplace,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from bounds import Discrete, Gaussian, InputError, SubsetScheme, audit, full, mmvae, mopoe, mvae_subsampled
from bounds.subsets import members
from toy_models import evaluate as evaluation
from toy_models.auditable import Examples
from toy_models.datasets.laws import common_cause, gaussian
from toy_models.evaluate import evaluate
from toy_models.evidence import check_log_evidence, log_evidence
from toy_models.latent_points import exact_kl, latent_law
from toy_models.linear_gaussian import (
    GaussianEncoder,
    LinearGaussianVAE,
    best_encoders,
    exact_encoders,
    subset_terms,
)
from toy_models.member import SoloModel
from toy_models.models import Architecture, MultimodalVAE

N = 400


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def tensor(array):
    return torch.as_tensor(np.array(array))


class LinearModel(nn.Module):
    """A linear-Gaussian VAE in torch, in float32 like most models."""

    def __init__(self, model, law):
        super().__init__()
        self.layout, self.sizes = law.layout, list(law.layout.sizes)
        self.loading, self.mean = nn.Parameter(tensor(model.loading)), nn.Parameter(tensor(model.mean))
        self.register_buffer("noise", tensor(model.noise))
        self.gains = nn.ParameterDict({str(s): nn.Parameter(tensor(e.gain)) for s, e in model.encoders.items()})
        self.covs = nn.ParameterDict({str(s): nn.Parameter(tensor(e.cov)) for s, e in model.encoders.items()})
        self.offsets = nn.ParameterDict({str(s): nn.Parameter(tensor(e.offset)) for s, e in model.encoders.items()})

    @property
    def prior(self):
        zeros = torch.zeros(self.loading.shape[1], dtype=self.loading.dtype)
        return Normal(zeros, torch.ones_like(zeros))

    def posterior(self, x, subset):
        given = torch.cat([x[0][:, :0], *(x[m] for m in members(subset))], dim=1)
        key = str(subset)
        return MultivariateNormal(given @ self.gains[key].T + self.offsets[key], self.covs[key])

    def log_likelihood(self, x, z):
        means = (z @ self.loading.T + self.mean).split(self.sizes, dim=-1)
        found = []
        for m, mean in enumerate(means):
            at = self.layout.variables_of_modalities(1 << m)
            found.append(MultivariateNormal(mean, self.noise[at][:, at]).log_prob(x[m]))
        return torch.stack(found, dim=-1)


def case(latents, scheme, seed=0):
    """A law, a linear-Gaussian model with full covariances, and examples whose moments are the law's to rounding."""
    rng = np.random.default_rng(seed)
    sizes = [2, 1, 1][: scheme.n_modalities]
    d = sum(sizes)
    root = rng.normal(size=(d, d))
    law = Gaussian(root @ root.T / d + 0.5 * np.eye(d), sizes)
    encoders = {}
    for subset, _ in scheme:
        spread = rng.normal(size=(latents, latents))
        gain = rng.normal(size=(latents, len(law.layout.variables_of_modalities(subset)))) / 2
        encoders[subset] = GaussianEncoder(
            gain, spread @ spread.T / latents + 0.2 * np.eye(latents), rng.normal(size=latents)
        )
    model = LinearGaussianVAE(rng.normal(size=(d, latents)), rng.uniform(0.3, 2, d), encoders, rng.normal(size=d))
    x = rng.normal(size=(N, d))
    x -= x.mean(axis=0)
    x = np.linalg.solve(np.linalg.cholesky(x.T @ x / N), x.T).T @ np.linalg.cholesky(law.cov).T
    return law, model, [tensor(part) for part in np.split(x, np.cumsum(sizes)[:-1], axis=1)]


def means(found, s):
    return found.terms.log_likelihood[s].mean(axis=0), found.terms.kl[s].mean()


@pytest.mark.parametrize("scheme", [full(2), mmvae(2), mopoe(3)], ids=["full", "mmvae", "mopoe"])
@pytest.mark.parametrize("latents", [1, 2])
def test_a_grid_gives_the_exact_terms_of_a_linear_gaussian_model(latents, scheme):
    law, model, x = case(latents, scheme)
    module = LinearModel(model, law)
    found = evaluate(module, x, scheme, generator(), kind="differential")
    assert not found.sampled_kl
    for s, subset in enumerate(found.subsets):
        fits, kl = means(found, s)
        exact = subset_terms(model, law, subset)
        # rounding: the terms are quadratic and the examples have the law's moments
        assert -fits == pytest.approx(np.array(exact.distortions), rel=1e-9)
        assert kl == pytest.approx(exact.kl, rel=1e-9)


class Symbols:
    """A bit and a symbol of three, which modality sees which decides the posterior; counts what it is asked for."""

    prior = Normal(torch.zeros(1, dtype=torch.float64), 1.0)

    def __init__(self):
        self.seen = 0

    def posterior(self, x, subset):
        location = sum((m + 1) * (x[m].reshape(len(x[m]), -1).sum(1)) for m in range(2) if subset >> m & 1)
        return Normal(location[:, None].double() / 3, 0.5)

    def log_likelihood(self, x, z):
        self.seen += z[..., 0].numel()
        bit = -torch.nn.functional.softplus((1 - 2 * x[0]) * z[..., 0])
        symbol = torch.log_softmax(torch.stack([z[..., 0], 0 * z[..., 0], -z[..., 0]], dim=-1), dim=-1)
        index = x[1].reshape(len(x[1]), 1).expand(*symbol.shape[:-1], 1)
        return torch.stack([bit, symbol.gather(-1, index)[..., 0]], dim=-1)


def test_examples_that_are_the_same_are_evaluated_once_on_a_grid(monkeypatch):
    rows = torch.randint(6, (500,), generator=generator(2))
    x = [rows % 2, (rows // 2)[:, None]]
    asked = {}

    def run(method="auto"):
        model = Symbols()
        monkeypatch.setattr(evaluation, "evaluation_copy", lambda _: model)
        found = evaluate(model, x, mmvae(2), generator(), kind="discrete", draws=32, method=method)
        asked[method] = model.seen
        return found.terms

    few = run()
    monkeypatch.setattr(Examples, "distinct", lambda self: (self, np.arange(self.n)))
    every = run("gauss-hermite")
    np.testing.assert_allclose(few.log_likelihood, every.log_likelihood, rtol=1e-13)
    np.testing.assert_allclose(few.kl, every.kl, rtol=1e-13)
    assert len(np.unique(few.log_likelihood[0], axis=0)) == 6
    assert asked["auto"] < asked["gauss-hermite"] / 5


def test_random_points_are_drawn_for_examples_that_are_the_same_too():
    x = [torch.ones(200, dtype=torch.long), torch.zeros(200, 1, dtype=torch.long)]
    found = evaluate(Symbols(), x, mmvae(2), generator(), kind="discrete", draws=4, method="sobol")
    assert len(np.unique(found.terms.log_likelihood[0, :, 0])) == 200


def test_what_is_distinct():
    bits, words = torch.tensor([1, 0, 1, 1]), torch.tensor([[2, 1], [0, 1], [2, 1], [2, 0]])
    few, which = Examples.of([bits, words], 2).distinct()
    assert few.n == 3
    assert torch.equal(few.parts[0][which], bits)
    assert torch.equal(few.parts[1][which], words)
    all_of_them, which = Examples.of([bits.double(), words], 2).distinct()
    assert (all_of_them.n, which.tolist()) == (4, [0, 1, 2, 3])


@pytest.mark.parametrize("method", ["sobol", "draws"])
def test_random_points_are_right_on_average_and_as_sure_as_they_scatter(method):
    scheme = mopoe(3)
    law, model, x = case(2, scheme, seed=1)
    module = LinearModel(model, law)
    exact = evaluate(module, x, scheme, generator(), kind="differential", method="gauss-hermite")
    found = evaluate(module, x, scheme, generator(), kind="differential", method=method, draws=32)
    errors = found.terms.log_likelihood - exact.terms.log_likelihood
    scatter = errors.std(axis=1, ddof=1)
    # 21 means of 400 independent errors within 5.5 standard errors: a failure of one in 10^6
    assert (abs(errors.mean(axis=1)) < 5.5 * scatter / math.sqrt(N)).all()
    assert (found.terms.kl == exact.terms.kl).all()
    assert scatter.max() > 1e-4  # the test would notice if the grid had been used


def test_shifted_sobol_points_scatter_less_than_draws():
    law, model, x = case(2, full(2), seed=2)
    module = LinearModel(model, law)
    spread = {}
    for method in ("gauss-hermite", "sobol", "draws"):
        found = evaluate(module, x, full(2), generator(), kind="differential", method=method, draws=64)
        spread[method] = found.terms.log_likelihood
    sobol, draws = (np.std(spread[m] - spread["gauss-hermite"]) for m in ("sobol", "draws"))
    assert sobol < 0.5 * draws


@pytest.mark.parametrize("latents", [1, 3])
@pytest.mark.parametrize("method", ["auto", "sobol", "draws"])
def test_batches_do_not_change_the_numbers_and_seeds_reproduce_them(method, latents):
    law, model, x = case(latents, mmvae(2), seed=3)
    module = LinearModel(model, law)

    def fits(seed, batch_size):
        found = evaluate(
            module, x, mmvae(2), generator(seed), kind="differential", method=method, draws=16, batch_size=batch_size
        )
        return found.terms.log_likelihood

    whole = fits(5, 1 << 16)
    assert fits(5, 1 << 16).tolist() == whole.tolist()
    # 7 examples at a time, then one example at a time with its points in parts; rounding of the matrix products
    assert fits(5, 7 * 16) == pytest.approx(whole, rel=1e-11)
    assert fits(5, 5) == pytest.approx(whole, rel=1e-11)
    same = fits(6, 1 << 16).tolist() == whole.tolist()
    assert same == (method == "auto" and latents == 1)  # a grid has no chance in it


def test_steps_are_reported():
    law, model, x = case(1, mmvae(2))
    seen = []

    def track(items, description, total):
        for item in items:
            seen.append((description, total))
            yield item

    evaluate(LinearModel(model, law), x, mmvae(2), generator(), kind="differential", batch_size=64 * 100, track=track)
    assert seen == [("evaluation", 8)] * 8


def test_the_model_is_evaluated_in_float64_and_stays_as_it_is():
    law, model, x = case(1, full(2))
    module = LinearModel(model, law).float().train()
    module.net = nn.Dropout(0.5)
    seen = []

    class Watched(LinearModel):
        def log_likelihood(self, x, z):
            seen.append((z.dtype, self.loading.dtype, self.training, torch.is_grad_enabled()))
            return super().log_likelihood(x, z)

    module.__class__ = Watched
    found = evaluate(module, [part.float() for part in x], full(2), generator(), kind="differential")
    assert set(seen) == {(torch.float64, torch.float64, False, False)}
    assert module.loading.dtype == torch.float32
    assert module.training
    assert module.net.training
    assert found.terms.kl.dtype == np.float64


class Plain:
    """x_m = z + noise, with exact posteriors: no module, and its tensors are attributes."""

    def __init__(self, **changes):
        self.one = torch.ones(1)
        self.prior = Normal(torch.zeros(1), torch.ones(1))
        vars(self).update(changes)

    def location_and_scale(self, x, subset):
        seen = list(members(subset))
        precision = 1 + len(seen)
        total = sum((x[m] for m in seen), torch.zeros_like(x[0]))
        return total / precision, self.one / math.sqrt(precision)

    def posterior(self, x, subset):
        location, scale = self.location_and_scale(x, subset)
        return Normal(location, scale)

    def log_likelihood(self, x, z):
        return torch.cat([Normal(z, self.one).log_prob(part) for part in x], dim=-1)


def readings(n=N, seed=0, modalities=2):
    z = torch.randn(n, 1, generator=generator(seed), dtype=torch.float64)
    noise = torch.randn(modalities, n, 1, generator=generator(seed + 1), dtype=torch.float64)
    return [z + noise[m] for m in range(modalities)]


def test_a_plain_object_and_a_mapping_will_do():
    class ByName(Plain):
        def posterior(self, x, subset):
            return super().posterior(list(x.values()), subset)

        def log_likelihood(self, x, z):
            return super().log_likelihood(list(x.values()), z)

    x = readings()
    found = evaluate(ByName(), {"left": x[0], "right": x[1]}, mmvae(2), generator(), kind="differential")
    assert found.modalities == found.columns == ("left", "right")
    same = evaluate(Plain(), x, mmvae(2), generator(), kind="differential", modalities=["left", "right"])
    assert same.terms.kl.tolist() == found.terms.kl.tolist()
    law = Gaussian([[2.0, 1.0], [1.0, 2.0]], names=["left", "right"])
    assert (
        audit(
            evaluate(Plain(), readings(20000), mmvae(2), generator(), kind="differential", modalities=law.names), law
        ).verdict
        == "consistent"
    )


def test_a_sum_of_elbos_is_evaluated_as_one():
    found = evaluate(Plain(), readings(), mvae_subsampled(2), generator(), kind="differential")
    assert found.objective == "sub-sampled"


def elbo(found, s=0):
    return found.terms.log_likelihood[s].sum(axis=-1) - found.terms.kl[s]


@pytest.mark.parametrize("method", ["auto", "sobol", "draws"])
def test_laplace_posteriors_have_quantiles_and_exact_kls(method):
    """E|x - z| and the KL of Laplace laws by quadrature over a fine grid."""

    class Heavy(Plain):
        prior = Independent(Laplace(torch.zeros(1), torch.full((1,), 2.0)), 1)

        def __init__(self):
            self.one = torch.ones(1)

        def posterior(self, x, subset):
            location, scale = self.location_and_scale(x, subset)
            return Laplace(location, scale)

    x = readings()
    found = evaluate(Heavy(), x, full(2), generator(), kind="differential", method=method, draws=256)
    assert not found.sampled_kl
    z = torch.linspace(-60, 60, 60001, dtype=torch.float64)
    location = (x[0] + x[1]) / 3
    q = Laplace(location, 3**-0.5)
    step = float(z[1] - z[0])
    kl = (q.log_prob(z).exp() * (q.log_prob(z) - Laplace(0.0, 2.0).log_prob(z))).sum(1) * step
    fit = (q.log_prob(z).exp() * Normal(z, 1.0).log_prob(x[0])).sum(1) * step
    assert found.terms.kl[0] == pytest.approx(kl.numpy(), rel=1e-4, abs=1e-4)  # the step of the quadrature
    errors = found.terms.log_likelihood[0, :, 0] - fit.numpy()
    assert abs(errors.mean()) < 5.5 * errors.std() / math.sqrt(N) + 1e-4


class Undecided(Plain):
    """A mixture of two normals: no quantile function, and a KL that torch does not know."""

    def posterior(self, x, subset):
        location, scale = self.location_and_scale(x, subset)
        both = Independent(Normal(torch.stack([location, -location], 1), scale), 1)
        return MixtureSameFamily(Categorical(logits=torch.zeros(len(location), 2, dtype=torch.float64)), both)


def test_a_posterior_without_quantiles_is_drawn_from_and_its_kl_sampled():
    x = readings()
    state = torch.random.get_rng_state()
    found = evaluate(Undecided(), x, full(2), generator(), kind="differential", draws=256)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert found.sampled_kl
    again = evaluate(Undecided(), x, full(2), generator(), kind="differential", draws=256)
    assert again.terms.kl.tolist() == found.terms.kl.tolist()
    z = torch.linspace(-12, 12, 24001, dtype=torch.float64)
    location = (x[0] + x[1]) / 3
    q = 0.5 * sum(Normal(sign * location, 3**-0.5).log_prob(z).exp() for sign in (1, -1))
    kl = (q * (q.log() - Normal(0.0, 1.0).log_prob(z)).nan_to_num(0, 0, 0)).sum(1) * float(z[1] - z[0])
    errors = found.terms.kl[0] - kl.numpy()
    assert abs(errors.mean()) < 5.5 * errors.std() / math.sqrt(N) + 1e-4
    with pytest.raises(InputError, match="quantile function"):
        evaluate(Undecided(), x, full(2), generator(), kind="differential", method="sobol")


def test_a_grid_that_has_not_converged_is_not_used():
    class Kinked(Plain):
        def log_likelihood(self, x, z):
            return torch.cat([Laplace(z, 0.2 * self.one).log_prob(part) for part in x], dim=-1)

    x = readings()
    with pytest.raises(InputError, match="has not converged"):
        evaluate(Kinked(), x, full(2), generator(), kind="differential", method="gauss-hermite")
    automatic, sobol = (
        evaluate(Kinked(), x, full(2), generator(), kind="differential", method=m).terms.log_likelihood
        for m in ("auto", "sobol")
    )
    assert automatic.tolist() == sobol.tolist()
    assert automatic.std(axis=1).min() > 0
    law, model, y = case(3, full(2))
    with pytest.raises(InputError, match="at most 2 latent"):
        evaluate(LinearModel(model, law), y, full(2), generator(), kind="differential", method="gauss-hermite")


def test_kls_between_gaussians_of_different_classes_are_exact():
    rng = np.random.default_rng(0)
    factor, diagonal = tensor(rng.normal(size=(3, 1))), tensor(rng.uniform(0.5, 1, 3))
    q = LowRankMultivariateNormal(tensor(rng.normal(size=3))[None], factor[None], diagonal[None])
    p = latent_law(Normal(torch.zeros(3).double(), 2.0), (), "the prior")
    cov = factor @ factor.T + torch.diag(diagonal)
    by_hand = 0.5 * (cov.trace() / 4 + q.mean.square().sum() / 4 - 3 + 3 * math.log(4) - cov.logdet())
    assert float(exact_kl(q, p)) == pytest.approx(float(by_hand), rel=1e-12)


# --- dishonest models ---------------------------------------------------------------------------------------------


class Peeking(Plain):
    def posterior(self, x, subset):
        return super().posterior(x, 0b11)


class PeekingALittle(Plain):
    def posterior(self, x, subset):
        location, scale = self.location_and_scale(x, subset)
        return Normal(location, scale * (1 + 1e-3 * torch.tanh(x[1])))


class Deterministic(Plain):
    def posterior(self, x, subset):
        return Normal(self.location_and_scale(x, subset)[0], 1e-30)


class DeterministicByHand(Plain):
    def posterior(self, x, subset):
        return Normal(self.location_and_scale(x, subset)[0], 0.0)


class SeenOnly(Plain):
    def log_likelihood(self, x, z):
        return super().log_likelihood(x, z)[..., :1]


class LeftOut(Plain):
    def log_likelihood(self, x, z):
        return super().log_likelihood(x, z) * torch.tensor([1.0, 0.0])


class Dropping(Plain):
    def posterior(self, x, subset):
        location, scale = self.location_and_scale(x, subset)
        return Normal(nn.functional.dropout(location, 0.5, training=True), scale)


class DroppingInTheDecoder(Plain):
    def log_likelihood(self, x, z):
        return super().log_likelihood(x, nn.functional.dropout(z, 0.5, training=True))


class Normalising(Plain):
    def posterior(self, x, subset):
        location, scale = self.location_and_scale(x, subset)
        return Normal((location - location.mean(0)) / location.std(0), scale)


class OfTheOther(Plain):
    def log_likelihood(self, x, z):
        return super().log_likelihood(x, z)[..., [1, 0]]


class Autoregressive(Plain):
    def log_likelihood(self, x, z):
        return torch.cat([Normal(z, 1.0).log_prob(x[0]), Normal(z + x[0], 1.0).log_prob(x[1])], dim=-1)


class Summed(Plain):
    def log_likelihood(self, x, z):
        return super().log_likelihood(x, z).sum(-1)


class MeanOverDraws(Plain):
    def log_likelihood(self, x, z):
        return super().log_likelihood(x, z.mean(0, keepdim=True).expand_as(z) if z.ndim == 3 else z)


class NotANumber(Plain):
    def log_likelihood(self, x, z):
        found = super().log_likelihood(x, z)
        return torch.where(x[0] > 1.5, torch.nan, found)


class NoLaw(Plain):
    def posterior(self, x, subset):
        return self.location_and_scale(x, subset)


class OneForAll(Plain):
    def posterior(self, x, subset):
        return Normal(torch.zeros(1), torch.ones(1))


class OtherLatents(Plain):
    def __init__(self):
        super().__init__(prior=Normal(torch.zeros(2), torch.ones(2)))


class CannotBeCopied(Plain):
    def __init__(self):
        super().__init__(cache=torch.ones(1, requires_grad=True) * 2)


DISHONEST = {
    "a posterior that sees everything": (Peeking, "the posterior of X1 changes with X2"),
    "one that sees a little": (PeekingALittle, "the posterior of X1 changes with X2"),
    "no noise in the posterior": (Deterministic, "the posterior of X1 is deterministic"),
    "a scale of zero": (DeterministicByHand, "the posterior of X1 is no law"),
    "seen modalities only": (SeenOnly, r"has shape \(4, 32, 1\): it must be \(4, 32, 2\).* X1, X2"),
    "a modality left out": (LeftOut, "no log-likelihood of X2 changes with X2"),
    "dropout that eval does not end": (Dropping, "the posterior of X1 differs from call to call"),
    "dropout in the decoder": (DroppingInTheDecoder, "log_likelihood differs from call to call"),
    "statistics of the batch": (Normalising, "depends on the other examples"),
    "columns in another order": (OfTheOther, "no log-likelihood of X1 changes with X1"),
    "one modality decoded from another": (Autoregressive, "the log-likelihood of X2 changes with X1"),
    "summed over modalities": (Summed, r"has shape \(4, 32\)"),
    "a mean over draws": (MeanOverDraws, "keep the draws apart"),
    "not a number": (NotANumber, "is nan for X1 at example"),
    "no distribution": (NoLaw, "is a tuple: return a torch.distributions.Distribution"),
    "one law for all": (OneForAll, r"batch shape \(1,\)"),
    "other latents than the prior": (OtherLatents, "is on 1 latents, the prior on 2"),
    "a cached tensor": (CannotBeCopied, "cannot be copied"),
}


@pytest.mark.parametrize(("model", "message"), DISHONEST.values(), ids=DISHONEST.keys())
def test_a_dishonest_model_is_refused(model, message):
    with pytest.raises(InputError, match=message):
        evaluate(model(), readings(), mmvae(2), generator(), kind="differential")


def test_dropout_that_eval_ends_is_no_fault():
    class Regularised(nn.Module, Plain):
        def __init__(self):
            nn.Module.__init__(self)
            Plain.__init__(self)
            self.drop = nn.Dropout(0.5)

        def posterior(self, x, subset):
            return Plain.posterior(self, [self.drop(part) for part in x], subset)

    x = readings()
    model = Regularised().train()
    found = evaluate(model, x, mmvae(2), generator(), kind="differential")
    assert model.training
    assert found.terms.kl.tolist() == evaluate(Plain(), x, mmvae(2), generator(), kind="differential").terms.kl.tolist()


def test_columns_may_be_units():
    class Units(Plain):
        def log_likelihood(self, x, z):
            return torch.cat([Normal(z, 1.0).log_prob(part) for part in x], dim=-1)

    x = readings(modalities=3)
    x = [torch.cat(x[:2], dim=1), x[2]]

    class Wide(Units):
        def posterior(self, x, subset):
            return Normal(0.1 * x[0][:, :1] if subset == 1 else 0.1 * x[1], self.one)

    names = ["X1[0]", "X1[1]", "X2"]
    found = evaluate(Wide(), x, mmvae(2), generator(), kind="differential", columns=names)
    assert found.columns == tuple(names)

    class Short(Wide):
        def log_likelihood(self, x, z):
            return super().log_likelihood(x, z) * torch.tensor([1.0, 1.0, 0.0])

    with pytest.raises(InputError, match="left out"):
        evaluate(Short(), x, mmvae(2), generator(), kind="differential", columns=names)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (torch.zeros(2, N, 1), {}, "x is a Tensor"),
        ([torch.zeros(N, 1)], {}, "x has 1 modalities, the scheme 2"),
        ([torch.zeros(N, 1), torch.zeros(N + 1, 1)], {}, "give the same ones"),
        ([torch.zeros(N, 1), torch.full((N, 1), math.nan)], {}, "modality 1 has NaN"),
        (readings(), {"method": "best"}, "method='best'"),
        (readings(), {"draws": 0}, "draws=0"),
        (readings(50), {}, "50 examples are too few"),
        (readings(), {"kind": "continuous"}, "kind 'continuous'"),
    ],
)
def test_other_inputs_that_are_refused(x, options, message):
    with pytest.raises(InputError, match=message):
        evaluate(Plain(), x, mmvae(2), generator(), **{"kind": "differential", **options})


@pytest.mark.parametrize("name", ["mvae", "mopoe", "mmvae-iwae", "mmvae-plus", "mvtcae"])
@pytest.mark.parametrize("likelihood", ["categorical", "gaussian:0.5"])
def test_the_toy_models_pass_the_checks(name, likelihood):
    """Random weights; discrete and continuous data, Laplace laws, private latents."""
    rng = np.random.default_rng(0)
    dataset = (
        common_cause(2, n_train=10, n_held_out=N, rng=rng)
        if likelihood == "categorical"
        else gaussian(np.eye(2) + 1, n_train=10, n_held_out=N, rng=rng)
    )
    private = {"private": 1} if name == "mmvae-plus" else {}
    architecture = Architecture.of(dataset, name, likelihood, 2, **private)
    model = SoloModel(MultimodalVAE(architecture, [generator(1)]))
    x = [torch.as_tensor(np.array(part)) for part in dataset.held_out]
    scheme = architecture.encoded
    kind = "discrete" if likelihood == "categorical" else "differential"
    found = evaluate(model, x, scheme, generator(), kind=kind, draws=8)
    assert found.subsets == tuple(scheme.weights)
    assert not found.sampled_kl
    reference = dataset.law
    assert audit(found, reference).verdict != "violated"


def test_examples_that_are_sorted_are_checked_all_the_same():
    """The first hundred texts are equal, so what follows them has to be looked at."""
    x = readings()
    x[1][:100] = 0.0
    with pytest.raises(InputError, match="changes with X2"):
        evaluate(Peeking(), x, mmvae(2), generator(), kind="differential")


# --- evidence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proposal", [0b01, mopoe(2), SubsetScheme({1: 0.3, 3: 0.7}, 2)], ids=["one", "mopoe", "w"])
def test_importance_sampling_finds_the_exact_evidence(proposal):
    x = readings()
    found = log_evidence(Plain(), x, proposal, generator(), draws=2000)
    law = MultivariateNormal(torch.zeros(2).double(), torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double())
    exact = law.log_prob(torch.cat(x, dim=1)).numpy()
    z = (found.value - exact - found.bias) / found.standard_error
    # 400 nearly normal values, and their mean: each fails with probability below 1e-6
    assert abs(z).max() < 7
    assert abs(z.mean()) * math.sqrt(N) < 6
    assert 0.8 < z.std() < 1.25  # the standard errors are right
    again = log_evidence(Plain(), x, proposal, generator(), draws=2000, batch_size=3000)
    assert found.draws >= 2000
    assert again.value.shape == found.value.shape


def test_the_exact_posterior_has_no_error():
    x = readings()
    found = log_evidence(Plain(), x, 0b11, generator(), draws=2)
    law = MultivariateNormal(torch.zeros(2).double(), torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double())
    assert found.value == pytest.approx(law.log_prob(torch.cat(x, dim=1)).numpy(), rel=1e-11)  # rounding
    assert found.standard_error.max() < 1e-6
    assert "400 examples, 2 draws" in str(found)


def test_few_draws_are_biased_down_by_about_what_is_said():
    x = readings(4000)
    law = MultivariateNormal(torch.zeros(2).double(), torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double())
    found = log_evidence(Plain(), x, 0b01, generator(), draws=50)
    bias = (found.value - law.log_prob(torch.cat(x, dim=1)).numpy()).mean()
    assert bias < 0
    assert 0.5 < bias / found.bias.mean() < 2


def test_a_law_holds_estimates_to_its_own_density():
    law = Gaussian([[2.0, 1.0], [1.0, 2.0]])
    x = readings(3000)
    own = MultivariateNormal(torch.zeros(2).double(), tensor(law.cov)).log_prob(torch.cat(x, dim=1)).numpy()
    right = log_evidence(Plain(), x, 0b11, generator(), draws=2).value
    assert check_log_evidence(right, law, log_density=own).verdict == "consistent"
    for wrong in (right + 0.05, right + math.log(2), right / 2, right + 2 * 0.5 * math.log(2 * math.pi)):
        found = check_log_evidence(wrong, law, log_density=own)
        assert found.verdict == "violated"
        assert found.mean_difference > 0
        assert found.to_dict()["verdict"] == "violated"
    assert "E ln p(x) <= -H(X)" in str(found)
    # without the law's density the excess of 0.05 nats hides in the noise of the examples
    excess = right - right.mean() - law.entropy_vector()["X1", "X2"] + 0.05
    assert check_log_evidence(excess, law).verdict == "undecided"
    assert check_log_evidence(right + 1, law.entropy_vector()).verdict == "violated"
    for estimates, density, message in [
        (right[:50], None, "50 examples"),
        (right, own[:200], "200 examples"),
        (right[None], None, "one finite number"),
    ]:
        with pytest.raises(InputError, match=message):
            check_log_evidence(estimates, law, log_density=density)
    with pytest.raises(InputError, match="false_alarms=0"):
        check_log_evidence(right, law, false_alarms=0)


def test_right_estimates_are_rarely_found_at_fault():
    """2000 data sets at a level of 5 %: a correct check stays below 7 % but with probability 1e-4."""
    law = Gaussian([[1.0]])
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(2000):
        x = rng.normal(size=100)
        own = -0.5 * (math.log(2 * math.pi) + x**2)
        wrong += check_log_evidence(own, law, false_alarms=0.05).verdict == "violated"
    assert wrong / 2000 < 0.07


def test_the_best_encoders_are_audited_at_their_ceiling():
    scheme = mopoe(3)
    law, model, x = case(2, scheme, seed=4)
    for make in (best_encoders, exact_encoders):
        fitted = model.with_encoders(make(model, law, scheme))
        found = evaluate(LinearModel(fitted, law), x, scheme, generator(), kind="differential")
        assert audit(found, law).verdict != "violated"


# --- the page -----------------------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "audit-your-model.md"


def test_the_examples_of_the_page_run():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 30
    assert failed == 0


def test_the_table_of_the_page_is_that_of_the_results():
    sys.path.insert(0, str(ROOT / "examples"))
    from audit_multivae import as_markdown

    found = json.loads((ROOT / "results" / "audit_multivae.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert as_markdown(found) in page
    assert f"same {found['examples']['scored']} held-out examples, and {found['draws']} draws" in page


def test_a_rare_class_with_many_values_is_no_violation() -> None:
    """Without the class, which 200 examples mostly miss, even the law's own ``ln p(x)`` has a mean above ``-H(X)``."""
    pmf = np.concatenate([[0.99], np.full(4096, 0.01 / 4096)])
    law = Discrete(pmf)
    seen = np.full(200, math.log(0.99))  # the rare class did not show: probability 0.99^200 = 0.13
    assert check_log_evidence(seen, law, false_alarms=0.1).verdict != "violated"
    assert check_log_evidence(seen + 0.5, law, false_alarms=0.1).verdict == "violated"
