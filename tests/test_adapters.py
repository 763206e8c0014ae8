"""Adapters of MultiVae held against the library's own posteriors, reconstructions and estimates, and brute force."""

import copy
import importlib.util
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Laplace, MixtureSameFamily, Normal, kl_divergence

from bounds import InputError, SubsetScheme, full, mmvae, mopoe
from toy_models.adapters.multivae import MultiVaeModel
from toy_models.evaluate import evaluate
from toy_models.evidence import log_evidence

if importlib.util.find_spec("multivae") is None:
    pytest.skip("MultiVae is not installed: pip install 'multimodal-bounds[adapters]'", allow_module_level=True)

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from multivae_models import import_multivae, small_networks

library = import_multivae()
from multivae.data.datasets.base import MultimodalBaseDataset  # noqa: E402 (after what lets it be imported)
from pythae.models.base.base_utils import ModelOutput  # noqa: E402

SIZES = {"a": 2, "b": 3}
N = 200
#: Rounding of float32, in which the library computes.
SINGLE = 1e-4


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def data(sizes=SIZES, n=N, seed=0):
    z = torch.randn(n, 1, generator=generator(seed))
    noise = generator(seed + 1)
    return {m: z + torch.randn(n, size, generator=noise) for m, size in sizes.items()}


def built(name, sizes=SIZES, latents=2, private=0, seed=0, **config):
    """A model of the library with random weights."""
    torch.manual_seed(seed)
    given = {"n_modalities": len(sizes), "latent_dim": latents, "input_dims": {m: (s,) for m, s in sizes.items()}}
    if private:
        given["modalities_specific_dim"] = private if name == "MMVAEPlus" else dict.fromkeys(sizes, private)
    networks = small_networks(sizes, latents, private, hidden=16)
    model = getattr(library, name)(getattr(library, f"{name}Config")(**given, **config), **networks)
    with torch.no_grad():
        for parameter in model.parameters():  # priors that are learned are away from where they start
            parameter += 0.1 * torch.randn(parameter.shape)
    return model.eval()


def dataset(x):
    return MultimodalBaseDataset(data=dict(x))


def same(left, right):
    left, right = left.detach(), right.detach()
    scale = max(1.0, float(right.abs().max()))
    assert left.shape == right.shape
    assert float((left - right).abs().max()) < SINGLE * scale


def base(law):
    assert isinstance(law, Independent)
    return law.base_dist


@pytest.mark.parametrize("name", ["MVAE", "MoPoE", "MVTCAE"])
@pytest.mark.parametrize("subset", [0b001, 0b100, 0b011, 0b101, 0b111])
def test_products_of_experts_are_the_librarys(name, subset):
    sizes = {"a": 2, "b": 3, "c": 1}
    model, x = built(name, sizes), data(sizes)
    names = [m for i, m in enumerate(sizes) if subset >> i & 1]
    found = base(MultiVaeModel(model).posterior(x, subset))
    with torch.no_grad():
        if name == "MVAE":
            location, log_variance = model.compute_mu_log_var_subset(dataset(x), names)
        elif name == "MoPoE":
            location, log_variance = model.inference(dataset(x))["subsets"]["_".join(names)]
        else:
            location, log_variance = model._inference(dataset({m: x[m] for m in names}))["joint"]
    same(found.loc, location)
    same(found.scale, torch.exp(0.5 * log_variance))


@pytest.mark.parametrize("family", ["laplace_with_softmax", "normal"])
def test_the_experts_and_the_prior_of_mmvae_are_the_librarys(family):
    model, x = built("MMVAE", prior_and_posterior_dist=family), data()
    adapted = MultiVaeModel(model)
    kind = Laplace if family.startswith("laplace") else Normal
    with torch.no_grad():
        theirs = model(dataset(x), compute_loss=False, detailed_output=True, K=1).qz_xs
        prior = model.prior_dist(*model.pz_params)
    for m, name in enumerate(SIZES):
        found = base(adapted.posterior(x, 1 << m))
        assert type(found) is kind
        same(found.loc, theirs[name].loc)
        same(found.scale, theirs[name].scale)
    same(base(adapted.prior).loc[None], prior.loc)
    same(base(adapted.prior).scale[None], prior.scale)
    assert float(prior.scale.var()) > 0  # a learned prior, not N(0, I)
    both = adapted.posterior(x, 0b11)
    assert isinstance(both, MixtureSameFamily)
    z = torch.randn(N, 2, generator=generator())
    each = torch.stack([theirs[name].log_prob(z).sum(-1) for name in SIZES])
    same(both.log_prob(z), torch.logsumexp(each, 0) - math.log(2))


@pytest.mark.parametrize("family", ["laplace_with_softmax", "normal_with_softplus", "normal"])
def test_the_private_latents_of_mmvae_plus_are_the_librarys(family):
    model, x = built("MMVAEPlus", private=1, prior_and_posterior_dist=family, learn_shared_prior=True), data()
    adapted = MultiVaeModel(model)
    with torch.no_grad():
        _, theirs, _ = model._compute_posteriors_and_embeddings(dataset(x), detach=False, K=1)
        mean, std = model.pz_params
    assert adapted.private == (1, 1)
    own = base(adapted.posterior(x, 0b01))
    same(own.loc[:, :3], torch.cat([theirs["a"]["u"].loc, theirs["a"]["w"].loc], -1))
    same(own.scale[:, :3], torch.cat([theirs["a"]["u"].scale, theirs["a"]["w"].scale], -1))
    auxiliary = model._log_var_to_std(model.logvars_priors["b"])
    same(own.scale[:, 3:], auxiliary.expand(N, 1))
    same(own.loc[:, 3:], model.mean_priors["b"].expand(N, 1))
    same(base(adapted.prior).loc, torch.cat([mean[0], mean[0, 2:]]))
    same(base(adapted.prior).scale, torch.cat([std[0], std[0, 2:]]))
    assert adapted.posterior(x, 0b11).event_shape == (4,)


def test_the_private_latents_of_mopoe_are_the_librarys():
    model, x = built("MoPoE", private=1), data()
    adapted = MultiVaeModel(model)
    own = base(adapted.posterior(x, 0b10))
    theirs = model.encoders["b"](x["b"])
    same(own.loc[:, 3:], theirs.style_embedding)
    same(own.scale[:, 3:], torch.exp(0.5 * theirs.style_log_covariance))
    assert own.loc[:, 2].abs().max() == 0  # modality a is not seen: its private latent has the prior
    assert (own.scale[:, 2] == 1).all()


FAMILIES = {
    "normal": {"scale": 0.7},
    "laplace": {"scale": 1.7},
    "bernoulli": {},
    "categorical": {},
}


def valid(family, x):
    if family == "bernoulli":
        return (x > 0).float()
    return torch.nn.functional.one_hot(x.argmax(-1), x.shape[-1]).float() if family == "categorical" else x


@pytest.mark.parametrize(("family", "parameters"), FAMILIES.items())
@pytest.mark.parametrize("private", [0, 1])
def test_likelihoods_are_the_librarys_and_densities(family, parameters, private):
    """Reconstructions and log-likelihoods of the library; the constants by summing or integrating a density."""
    model = built(
        "MoPoE",
        private=private,
        decoders_dist={"a": family, "b": "normal"},
        decoder_dist_params={"a": parameters} if parameters else {},
        uses_likelihood_rescaling=True,  # which must not be in the terms
    )
    adapted, x = MultiVaeModel(model), data()
    x["a"] = valid(family, x["a"])
    z = torch.randn(5, N, 2 + 2 * private, generator=generator(3))
    found = adapted.log_likelihood(x, z)
    assert found.shape == (5, N, 2)
    for s in range(5):
        shared, own = z[s, :, :2], z[s, :, 2:]
        latent = ModelOutput(z=shared, one_latent_space=not private)
        if private:
            latent["modalities_z"] = {"a": own[:, :1], "b": own[:, 1:]}
        recon = model.decode(latent)
        for m, name in enumerate(SIZES):
            theirs = model.recon_log_probs[name](recon[name], x[name]).reshape(N, -1).sum(-1)
            same(found[s, :, m], theirs)
    one = z[0, :1].double()
    adapted = adapted.double().requires_grad_(False)
    if family in ("bernoulli", "categorical"):
        rows = [[0, 0], [0, 1], [1, 0], [1, 1]] if family == "bernoulli" else [[0, 1], [1, 0]]
        values, cell = torch.tensor(rows).double(), 1.0
    else:
        axis = torch.linspace(-30, 30, 601).double()
        values, cell = torch.cartesian_prod(axis, axis), 0.01
    rest = torch.zeros(len(values), 3).double()
    total = adapted.log_likelihood({"a": values, "b": rest}, one.expand(len(values), -1))[:, 0].exp().sum() * cell
    assert float(total) == pytest.approx(1, abs=5e-3)  # the step of the sum, at the kink of the Laplace density


@pytest.mark.parametrize("family", ["bernoulli", "categorical"])
def test_data_of_which_a_likelihood_is_no_density_are_refused(family):
    adapted = MultiVaeModel(built("MVAE", decoders_dist={"a": family, "b": "normal"}))
    with pytest.raises(InputError, match=r"a has a (Bernoulli|categorical) decoder"):
        adapted.log_likelihood(data(), torch.zeros(N, 2))


SCHEMES = {
    "MVAE": (full(2), {}),
    "MVTCAE": (full(2), {}),
    "MoPoE": (mopoe(2), {}),
    "MMVAE": (mmvae(2), {"prior_and_posterior_dist": "normal"}),
    "MMVAEPlus": (mmvae(2), {"prior_and_posterior_dist": "laplace_with_softmax"}),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_every_model_passes_the_checks_of_an_evaluation(name):
    scheme, config = SCHEMES[name]
    model = built(name, private=1 if name == "MMVAEPlus" else 0, **config).train()
    x = data()
    found = evaluate(MultiVaeModel(model), x, scheme, generator(), kind="differential", draws=16)
    assert found.modalities == ("a", "b")
    assert not found.sampled_kl
    assert model.training
    in_order = evaluate(MultiVaeModel(model), list(x.values()), scheme, generator(), kind="differential", draws=16)
    assert in_order.terms.kl.tolist() == found.terms.kl.tolist()


def test_the_elbo_is_what_the_library_estimates_where_its_loss_is_one():
    """MVAE without sub-sampling and beta: its loss is minus the K=1 ELBO, of one draw of z in float32."""
    model, x = built("MVAE", use_subsampling=False, warmup=0), data()
    found = evaluate(MultiVaeModel(model), x, full(2), generator(), kind="differential")
    mine = (found.terms.log_likelihood[0].sum(-1) - found.terms.kl[0]).mean()
    torch.manual_seed(0)
    with torch.no_grad():
        theirs = np.array([-float(model(dataset(x), epoch=2).loss) for _ in range(300)])
    # 300 independent draws: 5.5 standard errors, a failure of one in 10^7
    assert abs(theirs.mean() - mine) < 5.5 * theirs.std() / math.sqrt(300)
    plain = built("MVAE", use_subsampling=False, warmup=0, uses_likelihood_rescaling=True)
    same = evaluate(MultiVaeModel(plain), x, full(2), generator(), kind="differential")
    assert same.terms.log_likelihood.tolist() == found.terms.log_likelihood.tolist()


def brute_force(model, x, reach=8.0, points=321):
    """``ln p(x)`` by a sum over a grid of the two latents."""
    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    adapted = MultiVaeModel(copy.deepcopy(model)).double()
    prior = adapted.prior.log_prob(z)
    found = []
    with torch.no_grad():
        for i in range(len(x["a"])):
            row = {m: part[i : i + 1].double().expand(len(z), -1) for m, part in x.items()}
            found.append(torch.logsumexp(adapted.log_likelihood(row, z).sum(-1) + prior, 0))
    return torch.stack(found).numpy() + 2 * math.log(2 * reach / (points - 1))


@pytest.mark.parametrize("name", ["MVAE", "MVTCAE", "MoPoE", "MMVAE"])
def test_the_evidence_is_that_of_brute_force(name):
    scheme, config = SCHEMES[name]
    model, x = built(name, **config), data(n=100)
    exact = brute_force(model, x)
    if name == "MVAE":  # its product of experts has thin tails; with the prior in the mixture the weights are bounded
        scheme = SubsetScheme({0: 0.5, 3: 0.5}, 2, allow_empty=True)
    found = log_evidence(MultiVaeModel(model), x, scheme, generator(), draws=4000)
    z = (found.value - exact - found.bias) / found.standard_error
    assert abs(z).max() < 8  # 100 values, nearly normal
    assert abs(z.mean()) < 0.6  # six standard errors


@pytest.mark.parametrize("name", ["MVAE", "MVTCAE"])
def test_the_librarys_joint_log_likelihood_is_that_of_brute_force_where_one_encoder_proposes(name):
    model, x = built(name), data(n=100)
    torch.manual_seed(0)
    theirs = -float(model.compute_joint_nll(dataset(x), K=4000, batch_size_K=4000)) / 100
    found = log_evidence(MultiVaeModel(model), x, full(2), generator(), draws=4000)
    error = math.sqrt(2 * (found.standard_error**2).sum()) / 100
    assert abs(theirs - brute_force(model, x).mean()) < 6 * error + SINGLE


def one_by_one(model, x, **options):
    """The library's ``ln p(x)`` of each example."""
    rows = [dataset({m: part[i : i + 1] for m, part in x.items()}) for i in range(len(x["a"]))]
    return np.array([-float(model.compute_joint_nll(row, **options)) for row in rows])


def test_the_librarys_mmvae_weighs_draws_of_one_encoder_by_the_mixture():
    """Each call draws from one encoder, chosen at random, so its estimate is off by up to ln M, whatever K."""
    model, x = built("MMVAE", prior_and_posterior_dist="normal", learn_prior=False), data(n=100)
    with torch.no_grad():  # modality a is precise, b vague
        model.encoders["a"].net[-1].bias[2:] -= 2.0
        model.encoders["b"].net[-1].bias[2:] += 1.0
    exact = brute_force(model, x).mean()
    torch.manual_seed(0)
    estimates = []
    for seed in range(6):
        np.random.seed(seed)  # noqa: NPY002 (the library draws from it)
        estimates.append(-float(model.compute_joint_nll(dataset(x), K=2000, batch_size_K=2000)) / 100)
    assert max(estimates) - min(estimates) > 0.3
    assert max(estimates) > exact + 0.1  # above what it estimates
    assert max(estimates) < exact + math.log(2) + 0.05


def test_the_librarys_mopoe_weighs_draws_of_one_encoder_by_the_mixture():
    """A single example is always drawn from the last subset's: its estimate tends to ln E_q[p(x, z) / mixture(z)]."""
    model, x = built("MoPoE"), data(n=100)
    with torch.no_grad():
        model.encoders["a"].net[-1].bias[2:] -= 1.0
    adapted = MultiVaeModel(copy.deepcopy(model)).double().requires_grad_(False)
    axis = torch.linspace(-8, 8, 321, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    cell = 2 * math.log(16 / 320)
    limits, exact = [], brute_force(model, {m: part[:20] for m, part in x.items()})
    for i in range(20):
        row = {m: part[i : i + 1].double() for m, part in x.items()}
        wide = {m: part.expand(len(z), -1) for m, part in row.items()}
        laws = {subset: adapted.posterior(row, subset) for subset in (1, 2, 3)}
        density = {subset: law.log_prob(z[:, None])[:, 0] for subset, law in laws.items()}
        mixture = torch.logsumexp(torch.stack(list(density.values())), 0) - math.log(3)
        joint = adapted.log_likelihood(wide, z).sum(-1) + adapted.prior.log_prob(z)
        limits.append(float(torch.logsumexp(joint + density[3] - mixture, 0)) + cell)
    torch.manual_seed(0)
    theirs = one_by_one(model, {m: part[:20] for m, part in x.items()}, K=4000, batch_size_K=4000)
    error = abs(theirs - np.array(limits)).max()
    assert error < 0.13  # six standard errors of 4000 draws, measured as 0.021
    assert abs(np.array(limits) - exact).min() > 2 * error


def test_the_librarys_mmvae_plus_leaves_out_the_last_modality():
    """It pops a modality off the caller's data to count the examples, and scores the others."""
    model, x = built("MMVAEPlus", private=1, prior_and_posterior_dist="normal"), data(n=100)
    rows = dataset(x)
    torch.manual_seed(0)
    theirs = -float(model.compute_joint_nll(rows, K=4000))
    assert list(rows.data) == ["a"]
    shifted = dict(x, b=x["b"] + 100.0)  # about which no model trained on x has a good opinion
    torch.manual_seed(0)
    assert -float(model.compute_joint_nll(dataset(shifted), K=4000)) == theirs


def test_models_and_subsets_without_an_adapter_are_refused():
    jmvae = library.JMVAE(
        library.JMVAEConfig(n_modalities=2, latent_dim=2, input_dims={"a": (2,), "b": (3,)}),
    )
    with pytest.raises(InputError, match="JMVAE has no adapter: give one of MVAE, MoPoE, MVTCAE, MMVAE, MMVAEPlus"):
        MultiVaeModel(jmvae)
    x = data()
    with pytest.raises(InputError, match="not set up to encode a, b"):
        MultiVaeModel(built("MoPoE", subsets=[["a"], ["b"]])).posterior(x, 0b11)
    with pytest.raises(InputError, match="no encoder of the empty subset"):
        MultiVaeModel(built("MMVAE")).posterior(x, 0)
    assert base(MultiVaeModel(built("MVAE")).posterior(x, 0)).scale.unique().tolist() == [1.0]
    with pytest.raises(InputError, match="the modalities are b, a, the model's a, b"):
        MultiVaeModel(built("MVAE")).posterior({"b": x["b"], "a": x["a"]}, 0b11)


def test_a_peeking_variant_is_caught():
    """MoPoE's expert of a subset replaced by that of everything: what the library's 'joint' would be."""

    class Joint(MultiVaeModel):
        def posterior(self, x, subset):
            return super().posterior(x, 0b11)

    with pytest.raises(InputError, match="the posterior of a changes with b"):
        evaluate(Joint(built("MoPoE")), data(), mopoe(2), generator(), kind="differential")


def test_kls_are_those_of_the_library():
    model, x = built("MVAE"), data()
    found = evaluate(MultiVaeModel(model), x, full(2), generator(), kind="differential")
    location, log_variance = model.compute_mu_log_var_subset(dataset(x), ["a", "b"])
    theirs = kl_divergence(Normal(location, torch.exp(0.5 * log_variance)), Normal(0.0, 1.0)).sum(-1)
    same(torch.as_tensor(found.terms.kl[0]), theirs.double())


def test_importing_the_library_leaves_no_stand_ins():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import_multivae()
    for name in ("torchvision", "nltk"):
        assert name not in sys.modules or sys.modules[name].__spec__.loader is not None
