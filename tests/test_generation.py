"""What models generate and how it is scored: planted generators, closed forms, independent oracles."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.stats import binom, kstest, laplace, norm
from torch.distributions import Independent, Normal

from bounds import Discrete
from bounds.errors import InputError
from bounds.plots import COLOURS
from bounds.schemes import SubsetScheme
from toy_models import figures
from toy_models.datasets import Dataset, Modality, common_cause, polydigits
from toy_models.generation.classifiers import Classifier, joint_features, train_classifier, train_classifiers
from toy_models.generation.coherence import Coherence, Score, coherence
from toy_models.generation.coherence_limit import coherence_band, coherence_limit, product_of_conditionals
from toy_models.generation.draws import between, from_prior, from_subset
from toy_models.generation.frechet import frechet_comparison, frechet_distance
from toy_models.generation.share import Share
from toy_models.member import SoloModel
from toy_models.models import Architecture, MultimodalVAE

#: Probability with which a right implementation is refused by a test of random hits.
CHANCE = 1e-6
ROUNDING = 1e-12


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return polydigits(3, n_train=2000, n_held_out=1000, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def classifiers(digits):
    return train_classifiers(digits, np.random.default_rng(1))


@dataclass(eq=False)
class Planted:
    """A generator of real held-out images.

    The latent has a sign for the class and noise: one coordinate names the class, and the others are uniform numbers
    that choose a class and an image. ``truth`` is the probability that a modality shows the class of the example;
    ``together`` whether all modalities err together.
    """

    data: Dataset
    truth: float
    together: bool = False
    pools: list[list[np.ndarray]] = field(init=False)

    def __post_init__(self) -> None:
        labels = self.data.held_out_labels
        self.pools = [[part[labels == c] for c in range(10)] for part in self.data.held_out]

    @property
    def prior(self):
        return Independent(Normal(torch.zeros(7), 1.0), 1)

    def posterior(self, x, subset):
        """It cannot know the label but by the image: the test's data say which one it is of."""
        first = next(m for m in range(3) if subset >> m & 1)
        known = {
            image.tobytes(): label
            for image, label in zip(self.data.held_out[first], self.data.held_out_labels, strict=True)
        }
        labels = torch.tensor([float(known[image.numpy().tobytes()]) for image in x[first]])
        location = torch.zeros(len(labels), 7, dtype=torch.float64)
        location[:, 0] = 100.0 * (labels + 1)  # far from the draws of the prior, and from each other
        return Independent(Normal(location, 1.0), 1)

    def reconstruction(self, z):
        named = np.rint(z[:, 0].numpy() / 100).astype(int)
        u = norm.cdf(z[:, 1:].numpy())
        shared = np.where(named > 0, named - 1, (10 * u[:, 0]).astype(int))
        images = []
        for m in range(3):
            error = u[:, 0] if self.together else u[:, 1 + m]
            other = np.floor(10 * (error - self.truth) / (1 - self.truth)) if self.truth < 1 else np.zeros(len(u))
            shown = np.where(error < self.truth, shared, other).astype(int)
            picks = u[:, 3 + m] if m else u[:, 3]
            images.append(torch.tensor(np.stack([self._image(m, c, v) for c, v in zip(shown, picks, strict=True)])))
        return images

    def _image(self, m: int, label: int, u: float) -> np.ndarray:
        pool = self.pools[m][label]
        return pool[int(u * len(pool))]


def assert_share(found: Share, expected: float) -> None:
    """The binomial tail on either side is not below ``CHANCE``."""
    assert binom.cdf(found.hits, found.total, expected) > CHANCE
    assert binom.sf(found.hits - 1, found.total, expected) > CHANCE


# shares


@given(hits=st.integers(0, 60), missed=st.integers(0, 60), confidence=st.floats(0.5, 0.999))
def test_the_interval_of_a_share_inverts_the_binomial_test(hits, missed, confidence):
    n = hits + missed
    if not n:
        return
    low, high = Share(hits, n).interval(confidence)
    tail = (1 - confidence) / 2
    assert low <= hits / n <= high
    assert low == 0 if hits == 0 else math.isclose(binom.sf(hits - 1, n, low), tail, rel_tol=1e-6)  # root finding
    assert high == 1 if missed == 0 else math.isclose(binom.cdf(hits, n, high), tail, rel_tol=1e-6)


def test_the_error_of_a_share_is_binomial():
    assert math.isclose(Share(30, 120).standard_error, binom.std(120, 0.25) / 120, rel_tol=ROUNDING)


@pytest.mark.parametrize(("hits", "total"), [(0, 0), (3, 2), (-1, 2)])
def test_a_share_of_nothing_is_refused(hits, total):
    with pytest.raises(InputError, match="hits among"):
        Share(hits, total)


def test_a_confidence_is_a_probability():
    with pytest.raises(InputError, match="confidence=95"):
        Share(1, 2).interval(95)


# classifiers


def test_a_classifier_is_the_network_that_was_trained(digits, classifiers):
    """Scikit-learn's own prediction, from the same seed."""
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(1).spawn(3)[0]
    found = classifiers[0]
    seed = int(rng.integers(2**31))
    rows = digits.train[0].reshape(2000, -1).astype(float)
    network = MLPClassifier((64, 32), batch_size=128, max_iter=96, n_iter_no_change=96, random_state=seed)
    with pytest.warns(match="Maximum iterations"):
        network.fit((rows - rows.mean(0)) / rows.std(), digits.train_labels)
    held_out = (digits.held_out[0].reshape(1000, -1).astype(float) - rows.mean(0)) / rows.std()
    assert (network.predict(held_out) == found(digits.held_out[0])).all()
    assert math.isclose(network.score(held_out, digits.held_out_labels), found.accuracy.value, rel_tol=ROUNDING)
    assert found.features(digits.held_out[0]).shape == (1000, 32)
    assert all(classifier.accuracy.value > 0.85 for classifier in classifiers)


def test_two_classes_and_symbols():
    data = common_cause(
        2, shared_symbols=2, units=1, noise=0.2, n_train=500, n_held_out=400, rng=np.random.default_rng(0)
    )
    found = train_classifier(data, 0, np.random.default_rng(0))
    assert (found(data.held_out[0]) == data.held_out[0][:, 0]).all()  # the best that can be said
    assert_share(found.accuracy, 0.9)  # a fresh symbol is right half of the time


def test_the_seed_decides(digits):
    small = replace(digits, train=tuple(p[:300] for p in digits.train), train_labels=digits.train_labels[:300])
    one, same, other = (train_classifier(small, 0, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (one.layers[0][0] == same.layers[0][0]).all()
    assert not (one.layers[0][0] == other.layers[0][0]).any()


def test_a_classifier_near_chance_is_refused(digits):
    labels = np.random.default_rng(0).permutation(digits.train_labels)
    with pytest.raises(InputError, match=r"'checks' is right on .* cannot judge"):
        train_classifier(replace(digits, train_labels=labels), 1, np.random.default_rng(0))


def test_classifiers_need_labels_and_classes(digits):
    with pytest.raises(InputError, match="has no labels"):
        train_classifiers(
            replace(digits, train_labels=None, held_out_labels=None, n_classes=None), np.random.default_rng(0)
        )
    ones = replace(digits, train_labels=np.ones_like(digits.train_labels))
    with pytest.raises(InputError, match="two classes"):
        train_classifier(ones, 0, np.random.default_rng(0))
    flat = replace(digits, train=tuple(np.ones_like(p) for p in digits.train))
    with pytest.raises(InputError, match="constant"):
        train_classifier(flat, 0, np.random.default_rng(0))


def test_a_classifier_takes_its_own_modality(classifiers):
    with pytest.raises(InputError, match=r"shape \(2, 3, 8, 8\)"):
        classifiers[0](np.zeros((2, 3, 8, 8)))
    with pytest.raises(InputError, match="NaN"):
        classifiers[0](np.full((2, 3, 16, 16), np.nan))


# generation


def solo(model: str, likelihood: str, modality: Modality, seed: int = 0, hidden=(5,), **more) -> SoloModel:
    architecture = Architecture.of(
        Dataset("d", (modality, replace(modality, name="other")), *[(zeros(modality),) * 2] * 2),
        model,
        likelihood,
        2,
        hidden=hidden,
        **more,
    )
    return SoloModel(MultimodalVAE(architecture, [generator(seed)]).double())


def zeros(modality: Modality) -> np.ndarray:
    return np.zeros((3, *modality.shape), dtype=np.int64 if modality.symbols else np.float64)


@pytest.mark.parametrize("likelihood", ["gaussian:0.3", "gaussian:learned", "laplace:0.3", "bernoulli", "categorical"])
def test_samples_are_of_the_density(likelihood):
    """The probabilities that :meth:`SoloModel.log_likelihood` gives, against draws with nearly constant latents."""
    modality = Modality("x", (1, 1), 3 if likelihood == "categorical" else None)
    model = solo("mmvae", likelihood, modality)
    with torch.no_grad():
        (stack,) = model.model.stacks
        stack.encoder.layers[-1].bias[..., 2:] = -40.0
        if stack.density.log_scale is not None:
            stack.density.log_scale.fill_(-1.0)
    x = [np.zeros((4000, 1, 1), dtype=zeros(modality).dtype)] * 2
    law = model.posterior([torch.tensor(part[:1]) for part in x], 1)
    z = law.mean
    assert float(law.variance.detach().max()) < 1e-30  # so that all examples have one latent
    found = from_subset(model, x, 1, generator(1), "sample")[0].ravel()
    mean = float(model.reconstruction(z)[0].detach())
    match likelihood.partition(":")[0]:
        case "gaussian" | "laplace" as family:
            scale = math.exp(-1) if likelihood.endswith("learned") else 0.3
            of = norm if family == "gaussian" else laplace
            assert kstest(found, of(mean, scale).cdf).pvalue > CHANCE
            assert kstest(found, of(mean, 1.5 * scale).cdf).pvalue < CHANCE  # it would be noticed
        case _:
            for value in (0, 1, 2)[: modality.symbols or 2]:
                one = [torch.full((1, 1, 1), value, dtype=torch.int64 if modality.symbols else torch.float64)] * 2
                probability = float(model.log_likelihood(one, z)[0, 0].exp().detach())
                assert_share(Share(int((found == value).sum()), 4000), probability)


def test_means_are_those_of_the_model_and_seeds_decide():
    modality = Modality("x", (2,))
    model = solo("mmvae-plus", "gaussian:0.3", modality, hidden=(), private=1)
    x = [np.random.default_rng(0).normal(size=(1030, 2))] * 2  # more than two chunks
    first, same = (from_subset(model, x, 1, generator(5)) for _ in range(2))
    other = from_subset(model, x, 1, generator(6))
    assert [part.shape for part in first] == [(1030, 2)] * 2
    assert (first[0] == same[0]).all()
    assert (first[0] != other[0]).any(axis=1).all()
    prior = from_prior(model, 700, generator(5))
    assert len(np.unique(prior[0], axis=0)) == 700
    # noise of the decoder is what samples have besides: its variance is 0.09, that of the means small in comparison
    noisy = from_prior(model, 700, generator(5), "sample")
    assert noisy[0].var() > prior[0].var() + 0.05


def test_a_decoder_of_one_mean_needs_no_samples(digits):
    with pytest.raises(InputError, match="no samples of its decoders"):
        from_prior(Planted(digits, 1.0), 2, generator(), "sample")


def test_generation_says_what_is_wrong(digits):
    model = Planted(digits, 1.0)
    with pytest.raises(InputError, match="at least one example"):
        from_prior(model, 0, generator())
    with pytest.raises(InputError, match="no examples to encode"):
        from_subset(model, [part[:0] for part in digits.held_out], 1, generator())
    with pytest.raises(InputError, match="decode='median'"):
        from_prior(model, 2, generator(), "median")
    with pytest.raises(InputError, match="two examples"):
        between(model, [part[:3] for part in digits.held_out], 1, 4)


def test_the_line_between_two_examples():
    """An affine model decodes a line to a line, from one reconstruction to the other."""
    model = solo("mopoe", "gaussian:0.3", Modality("x", (4,)))
    x = [np.random.default_rng(m).normal(size=(2, 4)) for m in range(2)]
    found = between(model, x, 0b11, 5)
    z = model.posterior([torch.tensor(part) for part in x], 0b11).mean
    ends = model.reconstruction(z)
    middle = model.reconstruction(z.mean(dim=0, keepdim=True))
    for m in range(2):
        assert found[m].shape == (5, 4)
        assert np.allclose(found[m][[0, -1]], ends[m].detach(), rtol=0, atol=ROUNDING)
        assert np.allclose(found[m][2], middle[m][0].detach(), rtol=0, atol=ROUNDING)


# coherence


def test_a_perfect_generator_has_the_coherence_of_the_classifier(digits, classifiers):
    """Images are drawn anew from the held-out ones, so a hit has the classifier's accuracy of the class."""
    found = coherence(Planted(digits, 1.0), digits, classifiers, [0b001, 0b011], generator())
    accuracy = accuracies(digits, classifiers)
    for target in (1, 2):
        score = found.of(0b001, 1 << target)
        assert_share(score.share, float(accuracy[target].mean()))
        assert score.attainable == classifiers[target].accuracy
        assert score.independent is None
    both = found.of(0b001, 0b110)
    product = float((accuracy[1] * accuracy[2]).mean())
    assert_share(both.share, product)
    assert_share(both.independent, product)
    assert found.of(0b011, 0b100).share.total == 1000
    # a prior draw of one class, shown by all
    assert found.of(0, 0b111).share.value > 0.8


def accuracies(digits, classifiers) -> np.ndarray:
    """``(M, N)``: the share of the images of an example's class that a classifier gets right."""
    labels = digits.held_out_labels
    right = [classifier(part) == labels for classifier, part in zip(classifiers, digits.held_out, strict=True)]
    return np.array([[hits[labels == c].mean() for c in labels] for hits in right])


def test_a_generator_of_random_classes_has_the_coherence_of_chance(digits, classifiers):
    found = coherence(Planted(digits, 0.0), digits, classifiers, [0b001], generator())
    # the planted generator has uniform classes, ``chance`` those of the data: they are the same but for sampling
    per_class = 1 / (10 * np.bincount(digits.held_out_labels)[digits.held_out_labels])
    uniform = [
        np.bincount(classifier(part), weights=per_class, minlength=10)
        for classifier, part in zip(classifiers, digits.held_out, strict=True)
    ]
    shares = np.bincount(digits.held_out_labels, minlength=10) / 1000
    for targets, expected in ((0b010, shares @ uniform[1]), (0b110, shares @ (uniform[1] * uniform[2]))):
        score = found.of(0b001, targets)
        assert_share(score.share, float(expected))
        assert abs(score.chance - expected) < 0.01
    joint = found.of(0, 0b111)
    assert_share(joint.share, float(np.sum(uniform[0] * uniform[1] * uniform[2])))
    assert math.isclose(joint.chance, 0.01, rel_tol=0.1)


def test_chance_is_that_of_shuffled_data(digits, classifiers):
    """The mean over permutations of each modality, exactly the product of frequencies; here from 400 of them."""
    found = coherence(Planted(digits, 1.0), digits, classifiers, [0b001], generator())
    labels = digits.held_out_labels
    seen = [classifier(part) for classifier, part in zip(classifiers, digits.held_out, strict=True)]
    rng = np.random.default_rng(0)
    both, alike = [], []
    for _ in range(400):
        a, b, c = (rng.permutation(part) for part in seen)
        both.append(((b == labels) & (c == labels)).mean())
        alike.append(((a == b) & (b == c)).mean())
    for shuffled, chance in ((both, found.of(1, 0b110).chance), (alike, found.of(0, 0b111).chance)):
        assert abs(np.mean(shuffled) - chance) < 5 * np.std(shuffled) / 20  # 5 standard errors


def test_errors_that_all_modalities_share(digits, classifiers):
    """Right with probability 1/2, all or none: jointly right as often as one is, each by itself in a quarter."""
    found = coherence(Planted(digits, 0.5, together=True), digits, classifiers, [0b001], generator())
    accuracy = accuracies(digits, classifiers)
    both, chance = found.of(0b001, 0b110), 0.05  # a wrong class is uniform, and so right once in ten times
    assert abs(both.share.value - (0.5 + chance) * (accuracy[1] * accuracy[2]).mean()) < 0.08
    assert abs(both.independent.value - (0.5 + chance) ** 2 * (accuracy[1] * accuracy[2]).mean()) < 0.08
    assert both.share.value - both.independent.value > 0.15


def test_coherence_says_what_is_wrong(digits, classifiers):
    model = Planted(digits, 1.0)
    for subset in (0, 0b111, 0b1000):
        with pytest.raises(InputError, match="leave one out"):
            coherence(model, digits, classifiers, [subset], generator())
    with pytest.raises(InputError, match="not those of polydigits"):
        coherence(model, digits, classifiers[::-1], [1], generator())
    unlabelled = replace(digits, train_labels=None, held_out_labels=None, n_classes=None)
    with pytest.raises(InputError, match="has no labels"):
        coherence(model, unlabelled, classifiers, [1], generator())
    with pytest.raises(InputError, match="'checks' from 'noise'"):
        coherence(model, digits, classifiers, [1], generator()).of(0b100, 0b010)


# the limit of coherence


def xor(n: int = 4000) -> Dataset:
    """The label is X1 xor X2 and shown by X3; X1 and X2 are fair."""
    table = np.zeros((2, 2, 2))
    for a in (0, 1):
        for b in (0, 1):
            table[a, b, a ^ b] = 0.25
    law = Discrete(table)
    rows = law.sample(n, np.random.default_rng(3))
    parts = tuple(rows[name].reshape(n, 1).astype(np.int64) for name in law.names)
    modalities = tuple(Modality(name, (1,), 2) for name in law.names)
    return Dataset("xor", modalities, parts, parts, parts[2][:, 0], parts[2][:, 0], law)


def reads(modality: Modality) -> Classifier:
    """Says the symbol that it is shown, of any number of coordinates the first."""
    k = modality.symbols
    weights = np.zeros((modality.n_units * k, k))
    weights[:k] = np.eye(k)
    return Classifier(modality, np.zeros(len(weights)), 1.0, ((weights, np.zeros(k)),), np.arange(k), Share(1, 1))


def test_product_of_conditionals_of_xor():
    """From X1 the label and X2 are fair: both targets show it with probability 1/4. From X1 and X2, X3 shows it."""
    data = xor()
    readers = [reads(modality) for modality in data.modalities]
    assert np.allclose(product_of_conditionals(data, readers, 0b001, 0b110), 0.25, rtol=ROUNDING)
    assert np.allclose(product_of_conditionals(data, readers, 0b011, 0b100), 1.0, rtol=ROUNDING)
    assert np.allclose(
        product_of_conditionals(data, readers, 0b110, 0b001), (data.held_out[0] == data.held_out[2])[:, 0]
    )


def test_product_of_conditionals_by_enumeration():
    data = common_cause(3, 3, 2, units=1, noise=0.4, n_train=50, n_held_out=40, rng=np.random.default_rng(0))
    readers = [reads(modality) for modality in data.modalities]
    table = data.law.pmf
    found = product_of_conditionals(data, readers, 0b010, 0b101)
    for i, label in enumerate(data.held_out_labels):
        y, u = data.held_out[1][i]
        given_seen = table[:, :, y, u] / table[:, :, y, u].sum()
        expected = given_seen[label].sum() * given_seen[:, :, label].sum()
        assert math.isclose(found[i], expected, rel_tol=ROUNDING)


@dataclass(eq=False)
class Copier:
    """Encodes X1 of the xor law exactly, or with the label as well, and decodes fair or right X2 and X3.

    It is no VAE of that law in the second case: its coherence is that of the joint, which T10.5 forbids at slack 0.
    """

    knows: bool

    def scores(self, data: Dataset, rng: np.random.Generator) -> Coherence:
        n, labels = data.n_held_out, data.held_out_labels
        fair = rng.integers(2, size=(2, n))
        hits = np.ones(n, dtype=bool) if self.knows else ((fair == labels).all(axis=0))
        return Coherence(data.names, "sample", (Score(1, 0b110, hits, Share(1, 2), 0.25),))


def test_a_model_at_its_ceiling_generates_the_product():
    data = xor()
    readers = [reads(modality) for modality in data.modalities]
    at, beyond = (
        coherence_limit(data, readers, Copier(knows).scores(data, np.random.default_rng(0)), 1, slack)
        for knows, slack in ((False, 0.0), (True, 0.02))
    )
    assert at.band == 0
    assert math.isclose(at.product, 0.25, rel_tol=ROUNDING)
    assert math.isclose(at.standard_error, math.sqrt(0.25 * 0.75 / 4000), rel_tol=0.05)  # 4000 draws
    assert at.excess < 5 * at.standard_error
    assert beyond.band == 0.1
    assert math.isclose(beyond.difference, 0.75, rel_tol=ROUNDING)
    assert math.isclose(beyond.excess, 0.65, rel_tol=ROUNDING)


def test_a_trained_model_keeps_within_its_limit():
    """T10.5 of a network: its slack from its exact ELBO on the law, by Gauss-Hermite points."""
    from bounds import elbo_ceiling
    from toy_models.train import Member, Training, train

    rng = np.random.default_rng(0)
    data = common_cause(3, 3, units=0, noise=0.15, n_train=4000, n_held_out=4000, rng=rng)
    architecture = Architecture.of(data, "mmvae", "categorical", 1, hidden=(16,))
    model = train(architecture, [Member(0)], data, Training(400, 64, 1e-2)).solo(0)
    readers = [reads(modality) for modality in data.modalities]
    measured = coherence(model, data, readers, [1, 2, 4], generator(), "sample")
    for subset in (1, 2, 4):
        ceiling = elbo_ceiling(data.law.entropy_vector(), SubsetScheme({subset: 1}, 3))
        slack = float(ceiling) - exact_elbo(model, data.law.pmf, subset)
        limit = coherence_limit(data, readers, measured, subset, slack)
        assert 0 < limit.band < 0.5  # it says something
        assert limit.excess < 5 * limit.standard_error


@torch.no_grad()
def exact_elbo(model: SoloModel, pmf: np.ndarray, subset: int) -> float:
    """Of one latent, by 60 Gauss-Hermite points and a sum over all cells."""
    cells = torch.tensor(np.indices(pmf.shape).reshape(3, -1))
    x = [row[:, None] for row in cells]
    law = model.posterior(x, subset)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = law.mean + law.variance.sqrt() * torch.tensor(nodes)[:, None, None]
    fits = torch.tensordot(torch.tensor(weights / weights.sum()), model.log_likelihood(x, z).sum(-1), dims=1)
    kl = torch.distributions.kl_divergence(law, model.prior)
    return float(torch.tensor(pmf.ravel()) @ (fits - kl))


def test_the_limit_says_what_is_wrong(digits, classifiers):
    data = xor()
    readers = [reads(modality) for modality in data.modalities]
    found = Copier(False).scores(data, np.random.default_rng(0))
    for slack in (-0.1, math.nan, math.inf):
        with pytest.raises(InputError, match="slack="):
            coherence_band(slack)
    with pytest.raises(InputError, match="about samples"):
        coherence_limit(data, readers, replace(found, decode="mean"), 1, 0.1)
    short = replace(found, scores=(replace(found.scores[0], hits=np.ones(5, dtype=bool)),))
    with pytest.raises(InputError, match="4000 are held out"):
        coherence_limit(data, readers, short, 1, 0.1)
    with pytest.raises(InputError, match="no law with a table"):
        product_of_conditionals(digits, classifiers, 1, 2)
    for subset, targets in ((0, 1), (1, 0), (1, 3), (1, 8)):
        with pytest.raises(InputError, match="bitmasks of some encoded"):
            product_of_conditionals(data, readers, subset, targets)


# the Frechet distance


def with_moments(mean: np.ndarray, cov: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Rows whose mean and covariance (``n - 1``) are exactly these."""
    x = np.random.default_rng(seed).normal(size=(rows, len(mean)))
    x -= x.mean(axis=0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return white @ np.linalg.cholesky(cov).T + mean


def random_moments(rng: np.random.Generator, d: int) -> tuple[np.ndarray, np.ndarray]:
    root = rng.normal(size=(d, d + 2))
    return rng.normal(size=d), root @ root.T


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(2, 6))
def test_the_distance_is_that_of_scipy(seed, d):
    rng = np.random.default_rng(seed)
    (a, A), (b, B) = random_moments(rng, d), random_moments(rng, d)
    expected = np.sum((a - b) ** 2) + np.trace(A + B - 2 * np.real(scipy.linalg.sqrtm(A @ B)))
    found = frechet_distance(with_moments(a, A, 3 * d, seed), with_moments(b, B, 5 * d, seed + 1))
    # the square root of a product loses half of the digits of small eigenvalues
    assert math.isclose(found, expected, rel_tol=1e-7, abs_tol=1e-7 * np.trace(A + B))


def test_covariances_that_commute_have_a_closed_form():
    A, B = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 4.0, 1.0])
    x, y = with_moments(np.zeros(3), A, 20, 0), with_moments(np.array([1.0, 0.0, 2.0]), B, 30, 1)
    assert math.isclose(frechet_distance(x, y), 5 + 1 + 0 + 4, rel_tol=1e-10)  # |mean|^2 + sum (sqrt a - sqrt b)^2


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 6))
def test_the_distance_is_a_distance(seed, d):
    """Zero of itself to rounding, symmetric, unmoved by rotations and shifts; its root has the triangle inequality."""
    rng = np.random.default_rng(seed)
    x, y, z = (rng.normal(size=(12, d)) * rng.lognormal(size=d) for _ in range(3))
    scale = float(np.sum(x**2) + np.sum(y**2))
    turn, _ = np.linalg.qr(rng.normal(size=(d, d)))
    one = frechet_distance(x, y)
    assert 0 <= frechet_distance(x, x[::-1]) < ROUNDING * scale
    assert one >= 0
    assert math.isclose(one, frechet_distance(y, x), rel_tol=ROUNDING, abs_tol=ROUNDING * scale)
    assert math.isclose(one, frechet_distance(x @ turn + 1, y @ turn + 1), rel_tol=1e-9, abs_tol=ROUNDING * scale)
    assert math.sqrt(one) <= math.sqrt(frechet_distance(x, z)) + math.sqrt(frechet_distance(z, y)) + 1e-9


def test_a_feature_that_is_never_seen_is_no_obstacle():
    """A covariance without full rank, though there are rows enough."""
    x = np.hstack([with_moments(np.zeros(2), np.eye(2), 20, 0), np.zeros((20, 1))])
    y = np.hstack([with_moments(np.zeros(2), 4 * np.eye(2), 20, 1), np.zeros((20, 1))])
    assert math.isclose(frechet_distance(x, y), 2.0, rel_tol=1e-10)


def test_the_reference_shows_the_bias():
    """Between halves of one law the value is about the reference; both fall as 1/n; a shift is seen over them."""
    rng = np.random.default_rng(0)
    real, same = rng.normal(size=(4000, 8)), rng.normal(size=(4000, 8))
    at = {n: frechet_comparison(real[: 2 * n], same[:n], np.random.default_rng(1)) for n in (100, 1000)}
    for n, found in at.items():
        assert (found.n, found.dimension) == (n, 8)
        assert abs(found.excess) < 0.5 * found.reference
    assert math.isclose(at[100].reference / at[1000].reference, 10, rel_tol=0.5)
    shifted = frechet_comparison(real, same + 0.5, np.random.default_rng(1))
    assert math.isclose(shifted.excess, 8 * 0.25, rel_tol=0.1)


def test_generated_images_are_compared_at_one_n(digits, classifiers):
    real = joint_features(classifiers, digits.held_out)
    assert real.shape == (1000, 96)
    blurred = joint_features(classifiers, [p - p.mean(axis=0, keepdims=True) * 0.3 for p in digits.held_out])
    worse = frechet_comparison(real, blurred[:300], np.random.default_rng(0))
    copies = frechet_comparison(real, real[:300], np.random.default_rng(0))
    assert worse.n == copies.n == 300
    assert worse.reference == copies.reference
    assert copies.excess < worse.excess


def test_too_few_rows_are_refused():
    x = np.random.default_rng(0).normal(size=(8, 8))
    with pytest.raises(InputError, match=r"8 rows of 8 features: .* rank 7 at most"):
        frechet_distance(x, x)
    with pytest.raises(InputError, match="6 rows of 8 features"):
        frechet_comparison(np.tile(x, (2, 1))[:12], np.tile(x, (4, 1)), np.random.default_rng(0))
    with pytest.raises(InputError, match="features of one classifier"):
        frechet_distance(x[:, :2], x[:, :3])
    with pytest.raises(InputError, match="NaN"):
        frechet_distance(x[:, :2] * np.nan, x[:, :2])
    with pytest.raises(InputError, match=r"\(N, d\)"):
        frechet_distance(x[0], x)
    with pytest.raises(InputError, match="splits=1"):
        frechet_comparison(x[:, :2], x[:, :2], np.random.default_rng(0), splits=1)


# figures


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


def pixels(ax) -> np.ndarray:
    (image,) = ax.images
    return np.asarray(image.get_array())


def picture(x: np.ndarray) -> np.ndarray:
    """Channels last."""
    return x.transpose(1, 2, 0)


def test_prior_draws_have_a_row_for_each_modality(digits, ax):
    model = Planted(digits, 1.0)
    figures.sample_grid(model, digits.modalities, ax, generator(4), 5)
    found, expected = pixels(ax), from_prior(model, 5, generator(4))
    assert found.shape == (3 * 16 + 2, 5 * 16 + 4, 3)
    for m in range(3):
        for i in range(5):
            there = found[17 * m : 17 * m + 16, 17 * i : 17 * i + 16]
            assert (there == picture(expected[m][i])).all()
    assert (found[16] == 1).all()  # what is between them is white
    assert [label.get_text() for label in ax.get_yticklabels()] == list(digits.names)
    assert list(ax.get_yticks()) == [7.5, 24.5, 41.5]


def test_cross_generation_has_data_above_and_frames_what_is_seen(digits, ax):
    model, x = Planted(digits, 1.0), [part[:4] for part in digits.held_out]
    figures.cross_generation(model, digits.modalities, x, [0b001, 0b110], ax, generator(4))
    found = pixels(ax)
    width = 4 * 16 + 3
    lefts = [0, width + 4, 2 * (width + 4)]
    same = generator(4)
    rows = [x, *(from_subset(model, x, subset, same) for subset in (0b001, 0b110))]
    for r, row in enumerate(rows):
        for m in range(3):
            for i in range(4):
                left = lefts[m] + 17 * i
                assert (found[17 * r : 17 * r + 16, left : left + 16] == picture(row[m][i])).all()
    frames = {(patch.get_x(), patch.get_y()) for patch in ax.patches}
    assert frames == {(lefts[0] - 1, 16), (lefts[1] - 1, 33), (lefts[2] - 1, 33)}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["data", "stripes", "checks + noise"]
    assert [label.get_text() for label in ax.get_xticklabels()] == list(digits.names)


def test_an_interpolation_stands_between_its_examples(ax):
    modality = Modality("x", (1, 4, 4))
    model = solo("mopoe", "gaussian:0.3", modality)
    x = [np.random.default_rng(m).random(size=(2, 1, 4, 4)) for m in range(2)]
    modalities = model.model.architecture.modalities
    figures.interpolation(model, modalities, x, 0b01, ax, 3, span=(-1.0, 2.0))
    found, line = pixels(ax), between(model, x, 0b01, 3)
    lefts = [0, 8, 13, 18, 26]
    for m in range(2):
        for left, shown in zip(lefts, [x[m][0], *line[m], x[m][1]], strict=True):
            there = found[5 * m : 5 * m + 4, left : left + 4]
            assert np.allclose(there, (picture(shown) + 1) / 3, rtol=0, atol=ROUNDING)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["data", "between the posterior means of x", "data"]


def test_values_beyond_the_span_are_black_and_white(ax):
    model = solo("mopoe", "gaussian:0.3", Modality("x", (2, 2)))
    x = [np.array([[[-5.0, 0.25], [0.5, 5.0]]] * 2)] * 2
    figures.cross_generation(model, model.model.architecture.modalities, x, [1], ax, generator())
    assert (pixels(ax)[:2, :2, 0] == [[0, 0.25], [0.5, 1]]).all()


def test_only_images_are_drawn(ax):
    with pytest.raises(InputError, match=r"no modality of images to draw among x \(4,\)"):
        figures.sample_grid(Planted, [Modality("x", (4,))], ax, generator())
    model = solo("mopoe", "gaussian:0.3", Modality("x", (2, 2)))
    with pytest.raises(InputError, match="span="):
        figures.sample_grid(model, model.model.architecture.modalities, ax, generator(), span=(1.0, 1.0))


@pytest.mark.parametrize(("unit", "factor"), [("nats", 1.0), ("bits", 1 / math.log(2))])
def test_a_training_curve_has_its_ceilings(ax, unit, factor):
    curve = np.concatenate([[-1000.0, -50.0], -10 - 1 / np.arange(1, 29)])
    figures.training_curve(
        {"mmvae": curve, "mopoe": curve - 1}, ax, steps=50, ceilings={"high": -3.0, "near": -3.01}, unit=unit
    )
    first, second, *others = ax.lines
    ceilings = [line for line in others if max(line.get_xdata()) <= 1]  # to the right of these, lines lead to names
    assert list(first.get_xdata()) == [50 * k for k in range(1, 31)]
    assert np.allclose(first.get_ydata(), factor * curve, rtol=ROUNDING)
    assert to_rgba(first.get_color()) == to_rgba(COLOURS[0])
    assert to_rgba(second.get_color()) == to_rgba(COLOURS[1])
    assert np.allclose([line.get_ydata()[0] for line in ceilings], factor * np.array([-3.01, -3.0]), rtol=ROUNDING)
    assert unit in ax.get_ylabel()
    low, high = ax.get_ylim()
    assert -1000 * factor < low < min(curve[3:] - 1) * factor
    assert high > -3 * factor
    near, far = (text for text in ax.texts)
    assert (near.get_text(), far.get_text()) == ("near", "high")
    ax.figure.canvas.draw()
    apart = np.diff(ax.transData.transform([(0, text.get_position()[1]) for text in (near, far)])[:, 1])
    assert apart > max(Text.get_window_extent(text).height for text in (near, far))  # centred, so they do not touch
    legend = ax.get_legend().get_window_extent()
    assert legend.y0 >= ax.get_window_extent().y1 - 1


def test_a_training_curve_of_a_failed_member_is_empty(ax):
    figures.training_curve({"failed": [math.nan] * 4}, ax, steps=50)
    assert np.isnan(ax.lines[0].get_ydata()).all()
    with pytest.raises(InputError, match="leave out what is not finite"):
        figures.training_curve({"a": [1.0]}, ax, steps=50, ceilings={"H": math.inf})
    with pytest.raises(InputError, match="at least one curve"):
        figures.training_curve({}, ax, steps=50)


def test_figures_are_saved_as_png(tmp_path, digits):
    model = Planted(digits, 1.0)
    path = tmp_path / "new" / "grid.png"
    figures.save_png(lambda ax: figures.sample_grid(model, digits.modalities, ax, generator(), 3), path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    with pytest.raises(InputError, match=r"end its name in \.png"):
        figures.save_png(lambda ax: ax, tmp_path / "grid.pdf")
    with pytest.raises(InputError, match="cannot write"):
        figures.save_png(lambda ax: ax, path / "inside.png")
