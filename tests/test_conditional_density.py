"""The neural conditional density: normalised, causal, near the truth of known laws, and never surely below it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

torch = pytest.importorskip("torch", reason="the neural density needs torch: pip install 'multimodal-bounds[toy]'")

from bounds import InputError, distortion_floor, generative_discrepancy, mmvae, mopoe  # noqa: E402
from bounds.relative import relative_certificate  # noqa: E402
from toy_models.conditional_density import Fitting, NeuralDensities, neural_bounds  # noqa: E402
from toy_models.datasets import Dataset, Modality, common_cause, gaussian, polydigits  # noqa: E402
from toy_models.innovations import Task  # noqa: E402

COV = np.array([[1, 0.8, 0.5, 0.2], [0.8, 1, 0.3, 0.1], [0.5, 0.3, 1, 0.6], [0.2, 0.1, 0.6, 1.0]])
SMALL = Fitting(hidden=48, epochs=10, learning_rate=3e-3)

#: Two modalities of two coordinates show a fair sign through noise of this standard deviation.
NOISE = 0.5


def signs(rows, rng):
    sign = rng.choice([-1.0, 1.0], size=(rows, 1))
    return sign + NOISE * rng.normal(size=(rows, 4))


def log_density_of_signs(data):
    each = norm.logpdf(data[:, :, None], np.array([-1.0, 1.0]), NOISE).sum(axis=1)
    return logsumexp(each, axis=1) - math.log(2)


def fitted(draw, rows, tasks, fitting=SMALL, seed=0):
    rng = np.random.default_rng(seed)
    training, judged = draw(rows, rng), draw(rows, rng)
    return NeuralDensities.fit(
        training, judged, np.array([0, 0, 1, 1]), tasks, fitting, np.random.default_rng(1)
    ), judged


TASKS = [
    Task((), (0, 1, 2, 3), False),
    Task((0, 1), (2, 3), False),
    Task((2, 3), (0, 1), False),
    Task((0, 1), (2, 3), True),
]


@pytest.fixture(scope="module")
def of_signs():
    return fitted(signs, 6000, TASKS)


def test_the_loss_of_a_gaussian_law_is_its_entropy_and_a_little_more():
    def draw(rows, rng):
        return rng.multivariate_normal(np.zeros(4), COV, size=rows)

    densities, judged = fitted(draw, 3000, TASKS, Fitting(hidden=32, epochs=5))

    def truth(columns):
        return multivariate_normal(np.zeros(len(columns)), COV[np.ix_(columns, columns)]).logpdf(judged[:, columns])

    exact = [truth([0, 1, 2, 3]), truth([0, 1, 2, 3]) - truth([0, 1]), truth([0, 1, 2, 3]) - truth([2, 3])]
    exact.append(truth([0, 1, 2]) + truth([0, 1, 3]) - 2 * truth([0, 1]))
    for task, log_density in zip(TASKS, exact, strict=True):
        excess = densities.loss(task, judged) + log_density
        # a divergence on average: six standard errors below zero has probability 1e-9; the size is measured
        assert -6 * excess.std() / math.sqrt(3000) < excess.mean() < 0.03


def test_a_common_cause_is_found_where_a_linear_model_misses_it(of_signs):
    densities, judged = of_signs
    known = log_density_of_signs(judged)
    for task, log_density in [
        (TASKS[0], known),
        (TASKS[1], known - log_density_of_signs(judged[:, :2])),
        (TASKS[2], known - log_density_of_signs(judged[:, 2:])),
    ]:
        excess = densities.loss(task, judged) + log_density
        # as above; what 6,000 rows leave to learn is measured
        assert -6 * excess.std() / math.sqrt(len(judged)) < excess.mean() < 0.05
        white, log_scale = densities.linear.innovations(task, judged)
        of_linear = (0.5 * white**2 + 0.5 * math.log(2 * math.pi)).sum(axis=1) + log_scale + log_density
        assert of_linear.mean() > 0.05 + excess.mean()


def integral(densities, task, seen):
    """Over two coordinates of the density given what is seen."""
    grid = np.linspace(-6, 6, 241)
    rows = np.zeros((len(grid) ** 2, 4))
    rows[:, list(task.given)] = seen
    rows[:, list(task.block)] = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    return float(np.exp(-densities.loss(task, rows)).sum() * (grid[1] - grid[0]) ** 2)


@pytest.mark.parametrize("task", TASKS[1:])
def test_densities_are_normalised(of_signs, task):
    # the trapezoid rule on a smooth density; the narrowest component found is wider than three steps
    assert integral(of_signs[0], task, [0.4, -0.9]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("mask", ["before", "between", "after"])
def test_a_network_that_sees_what_it_predicts_is_caught(mask):
    """Without a mask an innovation is predicted from itself, and the integral is no longer one."""
    densities, _ = fitted(signs, 300, TASKS[:2], Fitting(hidden=16, epochs=1))
    network = densities.network
    with torch.no_grad():
        network.out.normal_(0, 0.6, generator=torch.Generator().manual_seed(0))
    assert integral(densities, TASKS[1], [0.4, -0.9]) == pytest.approx(1, abs=1e-3)
    getattr(network, mask).fill_(1.0)
    assert abs(integral(densities, TASKS[1], [0.4, -0.9]) - 1) > 0.01


def test_no_innovation_depends_on_itself_or_later_ones_and_apart_on_none():
    densities, _ = fitted(signs, 100, TASKS, Fitting(hidden=32, epochs=1))
    with torch.no_grad():
        densities.network.out.normal_(generator=torch.Generator().manual_seed(0))
    seen = torch.zeros(1, 4, dtype=torch.float64)
    innovations = torch.randn(1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for apart in (False, True):
        task = Task((), (0, 1, 2, 3), apart)
        jacobian = torch.autograd.functional.jacobian(lambda e, t=task: densities.network(seen, e, t), innovations)
        found = jacobian[0, :, 0]
        assert found.triu(1).abs().max() == 0
        assert (found.tril(-1).abs().max() > 0) != apart


def test_bounds_of_a_dataset_bracket_the_truth_and_repeat_by_their_seed():
    data = gaussian(COV, [2, 2], n_train=2000, n_held_out=3000, rng=np.random.default_rng(0))
    schemes = [mmvae(2), mopoe(2)]
    found = neural_bounds(data, schemes, Fitting(hidden=32, epochs=6), 0.999, rng=np.random.default_rng(1))
    h = data.law.unit_entropies()
    for scheme in schemes:
        one = found[scheme.label]
        delta = generative_discrepancy(h.at_modality_level(), scheme)
        # a limit at 0.999; its distance from the truth is three standard errors and the excess
        assert delta.value <= one.generative_discrepancy.high < delta.value + 0.12
        floor = distortion_floor(h, scheme)
        assert floor.value <= one.units.distortion_floor.high < floor.value + 0.15
        assert one.units.total_correlation_term.value is None
    assert found.n == 3000  # the held-out examples alone
    again = neural_bounds(data, schemes, Fitting(hidden=32, epochs=6), 0.999, rng=np.random.default_rng(1))
    assert again.to_dict() == found.to_dict()


def test_images_come_nearer_than_independent_pixels_and_certify_what_a_model_loses():
    data = polydigits(2, n_train=300, n_held_out=120, rng=np.random.default_rng(0))
    training, judged = (np.column_stack(data.samples(part).columns) for part in ("train", "held_out"))
    every = Task((), tuple(range(1536)), False)
    modalities = np.repeat([0, 1], 768)
    small = Fitting(hidden=16, epochs=1)
    densities = NeuralDensities.fit(training, judged, modalities, [every], small, np.random.default_rng(1))
    log_density = -densities.loss(every, judged)
    pixels = norm.logpdf(judged, training.mean(axis=0), training.std(axis=0)).sum(axis=1)
    assert log_density.mean() > pixels.mean() + 500  # nats, of 1536 pixels; measured, more than 800
    told = replace(densities, shows=data.held_out_shows)((), (every.block,))
    assert told.standard_error()[0] > densities((), (every.block,)).standard_error()[0]  # scans are shared
    # No decoder of scale 0.2 exceeds this on any image, so its loss is certified.
    highest = np.full(120, -1536 * 0.5 * math.log(2 * math.pi * 0.2**2))
    assert relative_certificate(log_density, highest).low > 0


def test_what_it_is_not_for_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="has symbols"):
        neural_bounds(common_cause(2, n_train=50, n_held_out=50, rng=rng), [mmvae(2)], rng=rng)
    with pytest.raises(InputError, match="at least 20"):
        neural_bounds(gaussian(COV, [2, 2], n_train=10, n_held_out=50, rng=rng), [mmvae(2)], rng=rng)
    flat = np.zeros((50, 1))
    flat_data = Dataset("flat", (Modality("a", (1,)), Modality("b", (1,))), (flat, flat + 1), (flat, flat))
    with pytest.raises(InputError, match="constant"):
        neural_bounds(flat_data, [mmvae(2)], rng=rng)
    with pytest.raises(InputError, match="hidden=0"):
        Fitting(hidden=0)
    with pytest.raises(InputError, match="validation"):
        Fitting(validation=1)
