"""Decoder densities against torch.distributions, against their own normalisation, and the errors."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch.distributions import Bernoulli, Categorical, Laplace, Normal

from bounds import InputError
from toy_models.likelihoods import Density, Likelihood

FAMILIES = ["gaussian:0.75", "gaussian:learned", "laplace:0.3", "laplace:learned", "bernoulli", "categorical"]


def density(text: str, units: int = 3, members: int = 2) -> Density:
    found = Density(Likelihood.parse(text), units, 4 if text == "categorical" else None, members, 1)
    if found.log_scale is not None:
        with torch.no_grad():
            found.log_scale.copy_(torch.linspace(-1, 1, members * units).reshape(members, 1, 1, units))
    return found


def outputs_and_data(
    one: Density, members: int = 2, subsets: int = 5, rows: int = 4
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(3)
    outputs = torch.tensor(rng.normal(size=(members, 1, subsets, rows, one.outputs)))
    shape = (members, 1, 1, rows, one.units)
    match one.likelihood.family:
        case "categorical":
            return outputs, torch.tensor(rng.integers(4, size=shape))
        case "bernoulli":
            return outputs, torch.tensor(rng.integers(2, size=shape).astype(float))
        case _:
            return outputs, torch.tensor(rng.normal(size=shape))


def reference(one: Density, outputs: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    scale = None if one.log_scale is None else one.log_scale[:, :, None].exp()
    scale = one.likelihood.scale if scale is None else scale
    match one.likelihood.family:
        case "categorical":
            logits = outputs.reshape(*outputs.shape[:-1], one.units, 4)
            return Categorical(logits=logits).log_prob(x.expand(logits.shape[:-1]))
        case "bernoulli":
            return Bernoulli(logits=outputs).log_prob(x.expand(outputs.shape))
        case "gaussian":
            return Normal(outputs, scale).log_prob(x)
        case _:
            return Laplace(outputs, scale).log_prob(x)


@pytest.mark.parametrize("text", FAMILIES)
def test_log_densities_are_those_of_torch(text):
    one = density(text)
    outputs, x = outputs_and_data(one)
    found = one.log_prob(outputs, x)
    assert found.shape == (2, 1, 5, 4, 3)
    torch.testing.assert_close(found, reference(one, outputs, x), rtol=1e-12, atol=1e-12)  # rounding


@pytest.mark.parametrize("text", FAMILIES)
def test_densities_integrate_to_one(text):
    one = density(text, units=1, members=1)
    outputs = torch.full((1, 1, 1, 1, one.outputs), 0.4, dtype=torch.float64) * torch.arange(one.outputs)
    values = {"categorical": range(4), "bernoulli": range(2)}.get(one.likelihood.family)

    def at(x: float) -> float:
        return math.exp(one.log_prob(outputs, torch.tensor([[[[[x]]]]], dtype=torch.float64)).item())

    # quadrature to 1e-9, split at the cusp of the Laplace density
    total = sum(map(at, values)) if values else quad(at, -30, 0)[0] + quad(at, 0, 30)[0]
    assert abs(total - 1) < 1e-8


@pytest.mark.parametrize("text", FAMILIES)
def test_a_missing_constant_is_seen_by_the_integral(text):
    # planted: without its constant, a density of real values does not integrate to one
    one = density(text, units=1, members=1)
    constant = {"gaussian": 0.5 * math.log(2 * math.pi), "laplace": math.log(2)}.get(one.likelihood.family)
    if constant is None:
        return
    outputs = torch.zeros(1, 1, 1, 1, 1, dtype=torch.float64)

    def wrong(x: float) -> float:
        return math.exp(one.log_prob(outputs, torch.tensor([[[[[x]]]]], dtype=torch.float64)).item() + constant)

    assert abs(quad(wrong, -30, 0)[0] + quad(wrong, 0, 30)[0] - 1) > 0.5


def test_means():
    bernoulli, categorical, gaussian = density("bernoulli"), density("categorical"), density("gaussian:1")
    outputs, _ = outputs_and_data(bernoulli)
    torch.testing.assert_close(bernoulli.mean(outputs), Bernoulli(logits=outputs).mean, rtol=1e-12, atol=0)
    assert gaussian.mean(outputs) is outputs
    outputs, _ = outputs_and_data(categorical)
    assert torch.equal(categorical.mean(outputs), outputs.reshape(2, 1, 5, 4, 3, 4).argmax(-1))


def test_extreme_logits_stay_finite():
    outputs = torch.tensor([[[[[800.0, -800.0]]]]])
    found = density("bernoulli", units=2, members=1).log_prob(outputs, torch.tensor([[[[[0.0, 0.0]]]]]))
    assert found.flatten().tolist() == [-800.0, 0.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("poisson", "unknown likelihood 'poisson': use one of gaussian"),
        ("gaussian", "give a positive number"),
        ("gaussian:0", "give a positive number"),
        ("gaussian:-1", "give a positive number"),
        ("laplace:nan", "give a positive number"),
        ("laplace:inf", "give a positive number"),
        ("gaussian:wide", "give a number or 'learned'"),
        ("bernoulli:1", "has no scale"),
        ("categorical:learned", "has no scale"),
    ],
)
def test_bad_likelihoods(text, words):
    with pytest.raises(InputError, match=words):
        Likelihood.parse(text)


@pytest.mark.parametrize("text", FAMILIES)
def test_likelihoods_print_as_they_are_written(text):
    assert str(Likelihood.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "values", "symbols", "words"),
    [
        ("bernoulli", [0.0, 0.5], None, "X1 has values other than 0 and 1"),
        ("bernoulli", [0, 1], 2, "X1 has symbols: use 'categorical'"),
        ("gaussian:1", [0, 1], 2, "X1 has symbols"),
        ("categorical", [0.0, 1.0], None, "a categorical likelihood needs symbols"),
    ],
)
def test_data_of_another_kind(text, values, symbols, words):
    with pytest.raises(InputError, match=words):
        Likelihood.parse(text).check(torch.tensor(values), symbols, "X1")
