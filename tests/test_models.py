"""Networks against torch's layer by layer, members kept apart, one member as an audit asks for it, and the errors."""

import numpy as np
import pytest
import torch
from neural_common import NAMES, gaussian_data, generators, mixed_architecture, mixed_data, random_module, rows_of
from torch import nn

from bounds import Gaussian, InputError, full, mmvae, mopoe, mvae_subsampled
from toy_models.datasets import Modality
from toy_models.fusion import standard_noise
from toy_models.likelihoods import Likelihood
from toy_models.member import SoloModel
from toy_models.models import MODELS, Architecture, MultimodalVAE
from toy_models.networks import MLP, Convolution, ConvolutionalDecoder, ConvolutionalEncoder, Linear
from toy_models.train import extract

CLOSE = {"rtol": 1e-12, "atol": 1e-12}  # rounding
BATCH = 5


def given(generator_seed, *shape):
    return torch.randn(*shape, generator=generators(1, generator_seed)[0], dtype=torch.float64)


def noise_for(a, members, rows, seed=5):
    shape = (members, *a.noise_shape[:2], rows, a.noise_shape[2])
    return standard_noise(a.model_class.family, shape, generators(1, seed)[0], torch.float64)


def as_float64(rows):
    return [part.double() if part.is_floating_point() else part for part in rows]


# --- networks: three members with two copies each, in the order of the rows ------------------------------------------


def copies(layer):
    """The parameters of each copy of a layer."""
    return zip(layer.weight.flatten(0, 1), layer.bias.flatten(0, 1), strict=True)


def test_a_linear_layer_is_torchs_for_each_copy():
    layer, x = Linear(generators(3), 2, 4, 6), given(1, 6, 7, 4)
    assert layer.weight.shape == (3, 2, 4, 6)
    for found, rows, (weight, bias) in zip(layer(x), x, copies(layer), strict=True):
        one = nn.Linear(4, 6, dtype=torch.float64)
        one.weight.data, one.bias.data = weight.T, bias[0]
        torch.testing.assert_close(found, one(rows), **CLOSE)


@pytest.mark.parametrize("upward", [False, True])
def test_a_convolution_is_torchs_for_each_copy(upward):
    layer, x = Convolution(generators(3), 2, 2, 5, upward=upward), given(1, 6, 4, 2, 8, 12)
    assert layer(x).shape == (6, 4, 5, *((16, 24) if upward else (4, 6)))
    for found, rows, (weight, bias) in zip(layer(x), x, copies(layer), strict=True):
        kind = nn.ConvTranspose2d if upward else nn.Conv2d
        one = kind(2, 5, 4, stride=2, padding=1, dtype=torch.float64)
        one.weight.data, one.bias.data = weight, bias
        torch.testing.assert_close(found, one(rows), **CLOSE)


def test_an_mlp_is_a_sequence_of_layers():
    mlp, x = MLP(generators(3), 2, [3, 5, 4, 2]), given(1, 6, 6, 3)
    rows = list(x)
    for number, layer in enumerate(mlp.layers):
        rows = [part @ weight + bias for part, (weight, bias) in zip(rows, copies(layer), strict=True)]
        rows = [part.clamp(min=0) if number < 2 else part for part in rows]
    torch.testing.assert_close(mlp(x), torch.stack(rows), **CLOSE)
    assert len(MLP(generators(1), 1, [3, 2]).layers) == 1  # affine


def test_the_convolutional_pair():
    shape = (3, 8, 12)
    encoder = ConvolutionalEncoder(generators(3), 2, shape, 4, 7)
    decoder = ConvolutionalDecoder(generators(3), 2, 5, 4, shape, 2)
    x, z = given(1, 6, 9, 3 * 8 * 12), given(2, 6, 9, 5)
    coded, decoded = encoder(x), decoder(z)
    assert coded.shape == (6, 9, 7)
    assert decoded.shape == (6, 9, 3 * 8 * 12 * 2)
    conv, back = nn.functional.conv2d, nn.functional.conv_transpose2d
    first, second, last = (list(copies(layer)) for layer in (encoder.first, encoder.second, encoder.last))
    for one in range(6):
        image = torch.relu(conv(x[one].reshape(9, *shape), *first[one], 2, 1))
        image = torch.relu(conv(image, *second[one], 2, 1))
        torch.testing.assert_close(coded[one], image.flatten(1) @ last[one][0] + last[one][1], **CLOSE)
    first, second, last = (list(copies(layer)) for layer in (decoder.first, decoder.second, decoder.last))
    for one in range(6):
        image = torch.relu(z[one] @ first[one][0] + first[one][1]).reshape(9, 8, 2, 3)
        image = back(torch.relu(back(image, *second[one], 2, 1)), *last[one], 2, 1)
        pixels = image.reshape(9, 3, 2, 8, 12).permute(0, 1, 3, 4, 2).flatten(1)  # outputs inside the pixel
        torch.testing.assert_close(decoded[one], pixels, **CLOSE)


def test_initial_parameters_have_torchs_spread_and_are_those_of_a_solo_model():
    both, second = Linear(generators(2), 3, 100, 50), Linear(generators(1, seed=1), 3, 100, 50)
    assert torch.equal(both.weight[1], second.weight[0])
    assert not torch.equal(both.weight[0], both.weight[1])
    assert not torch.equal(both.weight[0, 0], both.weight[0, 1])
    assert both.weight.abs().max() <= 0.1
    # uniform on [-b, b]: variance b^2/3, whose estimate from n draws has deviation b^2 sqrt(4/45/n); 5 of them
    assert abs(both.weight.var().item() - 0.01 / 3) < 5 * 0.01 * np.sqrt(4 / 45 / both.weight.numel())


def test_nothing_depends_on_torchs_default_precision():
    data = mixed_data()
    a = mixed_architecture("mmvae-plus", data)
    before = MultimodalVAE(a, generators(2))
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float16)
        after = MultimodalVAE(a, generators(2))
    finally:
        torch.set_default_dtype(default)
    for name, value in before.state_dict().items():
        assert value.dtype == torch.float64, name
        assert torch.equal(value, after.state_dict()[name]), name
    assert before.weights.sum().item() == 1  # a third in float64, not in float32


# --- models ------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_member_is_the_same_alone_and_no_gradient_crosses(name):
    data = mixed_data()
    a = mixed_architecture(name, data)
    module, noise = random_module(a, 3), noise_for(a, 3, BATCH)
    x, beta = as_float64(rows_of(data, BATCH, 3)), torch.tensor([[1.0], [0.5], [2.0]], dtype=torch.float64)
    values = module.objective(x, noise, beta)
    assert values.shape == (3, BATCH)
    for e in range(3):
        alone = extract(module, e)
        part = alone.objective([rows[e : e + 1] for rows in x], noise[e : e + 1], beta[e : e + 1])
        torch.testing.assert_close(values[e : e + 1], part, rtol=1e-11, atol=1e-11)
    values[1].sum().backward()
    touched = 0
    for parameter in module.parameters():
        if parameter.grad is not None and parameter.numel():
            assert not parameter.grad[[0, 2]].any()
            touched += bool(parameter.grad[1].any())
    assert touched > 5


@pytest.mark.parametrize("name", NAMES)
def test_what_one_member_meets_does_not_reach_another(name):
    data = mixed_data()
    a = mixed_architecture(name, data)
    module, noise = random_module(a, 2), noise_for(a, 2, BATCH)
    x, beta = as_float64(rows_of(data, BATCH, 2)), torch.ones(2, 1, dtype=torch.float64)
    right = module.objective(x, noise, beta).detach()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter[0] = torch.nan
    poisoned = module.objective(x, noise, beta)
    assert poisoned[0].isnan().all()
    assert torch.equal(poisoned[1], right[1])
    poisoned.sum().backward()
    for parameter in module.parameters():
        if parameter.grad is not None:
            assert parameter.grad[1].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_solo_model_has_the_terms_of_the_pass(name):
    data = mixed_data()
    a = mixed_architecture(name, data)
    module, noise = random_module(a, 2), noise_for(a, 2, BATCH)
    with torch.no_grad():
        terms = module(as_float64(rows_of(data, BATCH, 2)), noise)
    x = [torch.tensor(part[:BATCH]) for part in data.train]
    n = len(data.modalities)
    for e in range(2):
        solo = SoloModel(extract(module, e))
        assert solo.prior.event_shape == (a.latents + n * a.private,)
        for s, (subset, _) in enumerate(a.encoded):
            law = solo.posterior(x, subset)
            assert law.batch_shape == (BATCH,)
            shared, z = law.base_dist, terms.z[e, s]
            torch.testing.assert_close(shared.loc[:, : a.latents], terms.posterior.location[e, s], **CLOSE)
            torch.testing.assert_close(shared.scale[:, : a.latents], terms.posterior.scale[e, s], **CLOSE)
            # the same draws of shared and private latents, in the order of the pass
            drawn = shared.loc + shared.scale * noise[e, s]
            torch.testing.assert_close(drawn[..., : a.latents], z, **CLOSE)
            with torch.no_grad():
                fits = solo.log_likelihood(x, drawn)
            torch.testing.assert_close(fits, terms.log_likelihood[e, s], rtol=1e-11, atol=1e-11)
            kl = torch.distributions.kl_divergence(law.base_dist, solo.prior.base_dist)
            unseen = [a.latents + m * a.private + i for m in range(n) if not subset >> m & 1 for i in range(a.private)]
            counted = kl.sum(-1) - kl[:, unseen].sum(-1)  # auxiliary priors: not in the objective
            torch.testing.assert_close(counted, terms.kl()[e, s], **CLOSE)


@pytest.mark.parametrize("name", NAMES)
def test_a_posterior_does_not_look_outside_its_subset(name):
    data = mixed_data()
    solo = SoloModel(extract(random_module(mixed_architecture(name, data), 1), 0))
    x = [torch.tensor(part[:BATCH]) for part in data.train]
    other = [x[0] * torch.nan, x[1] * torch.nan, x[2] * 0 - 1]
    for subset in range(1, 8):
        if MODELS[name].family == "laplace" and subset.bit_count() > 1:
            with pytest.raises(InputError, match="product of Laplace experts"):
                solo.posterior(x, subset)
            continue
        hidden = [part if subset >> m & 1 else other[m] for m, part in enumerate(x)]
        right, found = solo.posterior(x, subset), solo.posterior(hidden, subset)
        assert torch.equal(right.base_dist.loc, found.base_dist.loc)
        assert torch.equal(right.base_dist.scale, found.base_dist.scale)
    with pytest.raises(InputError, match="subset 8: a bitmask of 3"):
        solo.posterior(x, 8)


def test_modalities_that_are_alike_have_networks_of_their_own_in_their_order():
    """Against every modality by itself: two kinds of real ones, one of symbols, none next to its like."""
    rows, kinds = 6, [(2, None), (1, 3), (3, None), (2, None), (1, 3)]
    modalities = tuple(Modality(f"X{m}", (units,), symbols) for m, (units, symbols) in enumerate(kinds))
    likelihoods = tuple(Likelihood.parse("categorical" if s else "gaussian:learned") for _, s in kinds)
    a = Architecture("mmvae-plus", modalities, likelihoods, 2, private=1, hidden=(4,))
    module = random_module(a, 2)
    assert [stack.which for stack in module.stacks] == [(0, 3), (1, 4), (2,)]
    x = [
        torch.arange(2 * rows).reshape(2, rows, 1) % symbols if symbols else given(m, 2, rows, units)
        for m, (units, symbols) in enumerate(kinds)
    ]
    noise = noise_for(a, 2, rows)
    with torch.no_grad():
        terms = module(x, noise)
    parts = [
        stack.density.mean(outputs)
        for stack, (_, outputs) in zip(
            module.stacks, module.decode(terms.z[:, :, 0], noise[:, :, 0, :, 2:].unflatten(-1, (5, 1))), strict=True
        )
    ]
    assert [part.shape[-1] for part in module.by_modality(parts)] == [2, 1, 3, 2, 1]
    assert module.widest == 8  # two modalities with hidden layers of four
    for m, (_, symbols) in enumerate(kinds):
        stack = next(one for one in module.stacks if m in one.which)
        g = stack.which.index(m)

        def network(mlp, e, rows, g=g):
            first, last = mlp.layers
            hidden = torch.relu(rows @ first.weight[e, g] + first.bias[e, g])
            return hidden @ last.weight[e, g] + last.bias[e, g]

        for e in range(2):
            seen = torch.eye(3, dtype=torch.float64)[x[m][e, :, 0]] if symbols else x[m][e]
            location, log_scale = network(stack.encoder, e, seen).chunk(2, dim=-1)
            torch.testing.assert_close(terms.experts.location[e, m], location[:, :2], **CLOSE)
            torch.testing.assert_close(terms.experts.scale[e, m], log_scale[:, :2].exp(), **CLOSE)
            kl = 0.5 * (torch.exp(2 * log_scale[:, 2]) + location[:, 2] ** 2 - 1) - log_scale[:, 2]
            torch.testing.assert_close(terms.private_kl[e, m], kl, **CLOSE)
            for s in range(5):
                u = noise[e, s, 0, :, 2 + m : 3 + m]
                u = location[:, 2:] + log_scale[:, 2:].exp() * u if s == m else module.auxiliary[e, m].exp() * u
                outputs = network(stack.decoder, e, torch.cat([terms.z[e, s, 0], u], dim=-1))
                if symbols:
                    fit = torch.log_softmax(outputs, dim=-1).gather(1, x[m][e])[:, 0]
                else:
                    scale = stack.density.log_scale[e, g, 0].exp()
                    fit = torch.distributions.Normal(outputs, scale).log_prob(x[m][e]).sum(-1)
                torch.testing.assert_close(terms.log_likelihood[e, s, 0, :, m], fit.detach(), **CLOSE)


def test_the_laplace_prior_has_scales_of_mean_one():
    module = random_module(mixed_architecture("mmvae-iwae", mixed_data()), 2)
    torch.testing.assert_close(module.prior().scale.mean(-1), torch.ones(2, 1, 1, dtype=torch.float64), **CLOSE)
    assert module.prior().scale.std() > 0
    assert module.prior_logits.requires_grad
    assert not random_module(mixed_architecture("mmvae", mixed_data()), 1).prior_logits.requires_grad


def test_reconstructions_are_means_in_the_shape_of_the_data():
    solo = SoloModel(extract(random_module(mixed_architecture("mmvae-plus", mixed_data()), 1), 0))
    z = given(3, 4, 3 + 3 * 2)
    found = solo.reconstruction(z)
    assert [tuple(part.shape) for part in found] == [(4, 2), (4, 1, 4, 4), (4, 2)]
    assert ((found[1] > 0) & (found[1] < 1)).all()
    assert found[2].dtype == torch.int64
    # a binary mean is the probability of a one
    ones = [torch.zeros(4, 2), torch.ones(4, 1, 4, 4), torch.zeros(4, 2, dtype=torch.long)]
    torch.testing.assert_close(torch.log(found[1]).flatten(1).sum(1), solo.log_likelihood(ones, z)[..., 1], **CLOSE)


def test_convolutions_for_images_of_every_likelihood():
    modalities = (Modality("a", (1, 4, 8)), Modality("b", (3, 8, 4)))
    likelihoods = (Likelihood.parse("laplace:0.5"), Likelihood.parse("gaussian:learned"))
    a = Architecture("mopoe", modalities, likelihoods, 3, hidden=(4,), network="conv")
    module = random_module(a, 2)
    x = [given(1, 2, BATCH, 32), given(2, 2, BATCH, 96)]
    assert module.objective(x, noise_for(a, 2, BATCH), torch.ones(2, 1, dtype=torch.float64)).shape == (2, BATCH)


def test_members_by_themselves_only():
    with pytest.raises(InputError, match=r"2 members: take one with Trained\.solo"):
        SoloModel(random_module(mixed_architecture("mmvae", mixed_data()), 2))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "vae"}, "unknown model 'vae': use one of unimodal"),
        ({"likelihood": ["gaussian:1"]}, "1 likelihoods for 3 modalities"),
        ({"latents": 0}, "latents and hidden widths are at least 1"),
        ({"hidden": (0,)}, "latents and hidden widths are at least 1"),
        ({"private": 1}, "it has none, use mmvae-plus"),
        ({"model": "mmvae-plus"}, "give it private latents"),
        ({"scheme": mmvae(2)}, "over 2 modalities, the data over 3"),
        ({"scheme": mvae_subsampled(3)}, "its objective needs weights that sum to one"),
        ({"model": "unimodal", "scheme": mmvae(3)}, "its objective needs a sub-sampled scheme"),
        ({"model": "mvtcae", "scheme": mmvae(3)}, "it encodes all modalities"),
        ({"draws": 0}, "draws=0: give at least 1"),
        ({"network": "resnet"}, "network 'resnet': use 'mlp' or 'conv'"),
        ({"network": "conv"}, r"X1 has shape \(1,\): conv needs real images"),
    ],
)
def test_architectures_that_do_not_fit(change, words):
    data = gaussian_data(Gaussian(np.eye(3), names=["X1", "X2", "X3"]), 5)
    arguments = {"model": "mmvae", "likelihood": "gaussian:1", "latents": 2, **change}
    with pytest.raises(InputError, match=words):
        Architecture.of(data, **arguments)


@pytest.mark.parametrize("shape", [(3, 6, 8), (3, 8, 10), (8, 8), (1, 1, 3, 4)])
def test_image_sizes_that_convolutions_cannot_halve_twice(shape):
    with pytest.raises(InputError, match="sides are multiples of 4; use network='mlp'"):
        Architecture("mmvae", (Modality("a", shape),), (Likelihood("gaussian", 1.0),), 2, hidden=(4,), network="conv")


def test_one_number_of_channels():
    modality = (Modality("a", (1, 4, 4)),)
    with pytest.raises(InputError, match="give one number of channels"):
        Architecture("mmvae", modality, (Likelihood("gaussian", 1.0),), 2, hidden=(4, 4), network="conv")


def test_laplace_experts_of_more_than_one_modality():
    with pytest.raises(InputError, match="product of Laplace experts"):
        MultimodalVAE(mixed_architecture("mmvae-iwae", mixed_data(), scheme=mopoe(3)), generators(1))


def test_custom_schemes_replace_the_models_own():
    a = mixed_architecture("mmvae", mixed_data(), scheme=full(3), draws=4)
    assert a.noise_shape == (1, 4, 3)
    assert random_module(a, 1).weights.tolist() == [1.0]
