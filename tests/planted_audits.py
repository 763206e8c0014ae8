"""Right finite models with sampled terms, and models with one fault planted: for the tests and for the power table."""

import math
from dataclasses import dataclass

import numpy as np

from bounds import Discrete, Gaussian, full, mmvae, mvae_subsampled
from bounds.diagnosis import HALF_LOG_2PI
from bounds.evaluation import Evaluation
from bounds.finite import TabularVAE, optimal_decoders
from bounds.schemes import SubsetScheme
from bounds.subsets import members, union


def draw(table, rng):
    """One index for each row of laws ``(..., K)``."""
    return (rng.random(table.shape[:-1])[..., None] > table.cumsum(axis=-1)[..., :-1]).sum(axis=-1)


def cells(law, n, rng):
    """``(N, units)``: indices of drawn examples."""
    flat = rng.choice(law.pmf.size, size=n, p=law.pmf.ravel())
    return np.stack(np.unravel_index(flat, law.unit_alphabets), axis=1)


@dataclass
class Terms:
    """What a tabular model says of drawn examples: dictionaries by subset."""

    x: np.ndarray
    fits: dict
    kls: dict


def terms(model, law, scheme, x, rng, *, z_of=None, kl_of=None):
    """Exact KLs and log-likelihoods with one draw of ``z``; ``z_of`` and ``kl_of`` replace how they are got."""
    fits, kls = {}, {}
    for subset, _ in scheme:
        seen = members(union(law.layout.modality_units, subset))
        q = model.encoders[subset][tuple(x[:, u] for u in seen)]
        q = np.broadcast_to(q, (len(x), model.n_latents))
        z = draw(q, rng) if z_of is None else z_of(q, x, subset)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(q > 0, q * (np.log(q) - np.log(model.prior)), 0.0)
            fits[subset] = np.stack([np.log(d[z, x[:, u]]) for u, d in enumerate(model.decoders)], axis=1)
        kls[subset] = ratio.sum(axis=1) if kl_of is None else kl_of(q, x, subset)
    return Terms(x, fits, kls)


def evaluation_of(law, scheme, found, kind="discrete", **about):
    return Evaluation.from_examples(
        scheme, found.fits, found.kls, kind=kind, modalities=law.names, columns=law.layout.unit_names, **about
    )


def common_cause():
    """Each modality shows a label and a private bit; the latent is the label, and the model attains its ceiling."""
    label = np.array([0.5, 0.3, 0.2])
    private = np.array([[0.8, 0.2], [0.5, 0.5], [0.3, 0.7]])
    pmf = np.zeros((3, 2, 3, 2))
    for y in range(3):
        pmf[y, :, y, :] = label[y] * np.outer(private[y], private[y])
    law = Discrete(pmf, sizes=[2, 2], units="scalar")
    q = np.broadcast_to(np.eye(3)[:, None], (3, 2, 3))
    return TabularVAE(label, [np.eye(3), private, np.eye(3), private], {1: q, 2: q}), law, mmvae(2)


def code():
    """XOR of two bits, encoded one at a time into the codewords that match."""
    pmf = np.zeros((2, 2, 2))
    words = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    for word in words:
        pmf[word] = 0.25
    law, scheme = Discrete(pmf), mmvae(3)
    encoders = {1 << m: np.array([[0.5 * (w[m] == b) for w in words] for b in range(2)]) for m in range(3)}
    return optimal_decoders(law, scheme, encoders), law, scheme


def noisy_copy():
    """A symbol and a latent that is a noisy copy of it: the exact posterior, so the ELBO is ``-H(X)``."""
    law = Discrete(np.full(4, 0.25))
    q = np.full((4, 4), 0.2) + 0.2 * np.eye(4)
    return TabularVAE(np.full(4, 0.25), [q], {1: q}), law, full(1)


def spread(found, kl=lambda kl, subset: kl, fit=lambda fit, subset: fit):
    return Terms(
        found.x,
        {s: fit(f.copy(), s) for s, f in found.fits.items()},
        {s: kl(k, s) for s, k in found.kls.items()},
    )


def by_modality(found, how=np.sum):
    return {s: np.stack([how(f[:, :2], axis=1), how(f[:, 2:], axis=1)], axis=1) for s, f in found.fits.items()}


def right(n, rng):
    model, law, scheme = common_cause()
    return evaluation_of(law, scheme, terms(model, law, scheme, cells(law, n, rng), rng)), law


def _changed(change_kl=None, change_fit=None, **about):
    def plant(n, rng):
        model, law, scheme = common_cause()
        found = terms(model, law, scheme, cells(law, n, rng), rng)
        keep = lambda value, subset: value  # noqa: E731
        return evaluation_of(law, scheme, spread(found, change_kl or keep, change_fit or keep), **about), law

    return plant


def _left_out(fit, subset):
    fit[:, 2:] = 0 if subset == 1 else fit[:, 2:]
    fit[:, :2] = 0 if subset == 2 else fit[:, :2]
    return fit


def mean_over_units(n, rng):
    model, law, scheme = common_cause()
    found = terms(model, law, scheme, cells(law, n, rng), rng)
    made = Evaluation.from_examples(
        scheme, by_modality(found, np.mean), found.kls, kind="discrete", modalities=law.names
    )
    return made, law


def mixture_density(n, rng):
    model, law, scheme = code()
    x = cells(law, n, rng)
    posteriors = [model.encoders[1 << m][x[:, m]] for m in range(3)]
    mixture = np.mean(posteriors, axis=0)

    def kl(q, x, subset):
        return np.where(q > 0, q * (np.log(mixture) - np.log(model.prior)), 0.0).sum(axis=1)

    return evaluation_of(law, scheme, terms(model, law, scheme, x, rng, kl_of=kl), sampled_kl=True), law


def iwae(n, rng, k=8, flip=0.05):
    """A bit and its copy unseen, decoded from a latent that is drawn from the prior: K of them guess the bit."""
    pmf = np.zeros((2, 2, 2))
    pmf[:, [0, 1], [0, 1]] = 0.25
    law, scheme = Discrete(pmf), SubsetScheme({1: 1}, 3)
    x = cells(law, n, rng)
    z = rng.integers(0, 2, (n, k))
    fits = np.where(z[..., None] == x[:, None, 1:], math.log(1 - flip), math.log(flip)).sum(axis=2)
    value = np.logaddexp.reduce(fits, axis=1) - math.log(k) - math.log(2)
    return Evaluation.from_examples(scheme, value={1: value}, kind="discrete"), law


def training_data(n, rng, symbols=64):
    """The encoded symbol is the latent, and the other is looked up among the training examples themselves."""
    law, scheme = Discrete(np.full((symbols, symbols), symbols**-2.0)), SubsetScheme({1: 1}, 2)
    x = cells(law, n, rng)
    counts = np.zeros((symbols, symbols))
    np.add.at(counts, tuple(x.T), 1)
    first = counts.sum(axis=1)[x[:, 0]]
    kl = -np.log(first / n)
    fits = np.stack([np.zeros(n), np.log(counts[tuple(x.T)] / first)], axis=1)
    return Evaluation.from_examples(scheme, {1: fits}, {1: kl}, kind="discrete"), law


def full_encoder(n, rng):
    """The latent is a noisy copy of everything, and every subset is encoded with it."""
    _, law, scheme = common_cause()
    table = law.pmf.reshape(-1)
    kept = np.flatnonzero(table)
    units = np.stack(np.unravel_index(kept, law.unit_alphabets), axis=1)
    x = cells(law, n, rng)
    z = (x[:, None] == units).all(axis=2).argmax(axis=1)
    noisy = [0.96 * np.eye(k) + 0.04 / k for k in law.unit_alphabets]
    fit = np.stack([np.log(noisy[u][units[z, u], x[:, u]]) for u in range(4)], axis=1)
    kl = -np.log(table[kept])[z]
    return evaluation_of(law, scheme, Terms(x, {1: fit, 2: fit}, {1: kl, 2: kl})), law


def not_sampled(n, rng):
    model, law, scheme = noisy_copy()
    found = terms(model, law, scheme, cells(law, n, rng), rng, z_of=lambda q, x, subset: q.argmax(axis=1))
    return evaluation_of(law, scheme, found), law


def sampled(n, rng, sign=1):
    """KLs from the draws of the noisy copy."""
    model, law, scheme = noisy_copy()
    x = cells(law, n, rng)
    q = model.encoders[1][x[:, 0]]
    z = draw(q, rng)
    fit = np.log(model.decoders[0][z, x[:, 0]])[:, None]
    kl = np.log(q[np.arange(n), z]) - np.log(model.prior[z])
    return evaluation_of(law, scheme, Terms(x, {1: fit}, {1: sign * kl}), sampled_kl=True), law


def gaussian(n, rng, constant=HALF_LOG_2PI, a=0.5):
    """A factor model of two modalities of two units each, evaluated with exact posteriors of one modality."""
    loadings = np.full(4, a)
    law = Gaussian(np.outer(loadings, loadings) + np.eye(4) * (1 - a * a), sizes=[2, 2], units="scalar")
    z = rng.normal(size=n)
    x = a * z[:, None] + math.sqrt(1 - a * a) * rng.normal(size=(n, 4))
    noise = 1 - a * a
    variance = 1 / (1 + 2 * a * a / noise)
    fits, kls = {}, {}
    for subset, seen in ((1, [0, 1]), (2, [2, 3])):
        mean = variance * a / noise * x[:, seen].sum(axis=1)
        latent = mean + math.sqrt(variance) * rng.normal(size=n)
        fits[subset] = -constant - 0.5 * math.log(noise) - (x - a * latent[:, None]) ** 2 / (2 * noise)
        kls[subset] = 0.5 * (variance + mean**2 - 1 - math.log(variance))
    return evaluation_of(law, mmvae(2), Terms(x, fits, kls), kind="differential"), law


RIGHT = {
    "common cause": right,
    "sampled KL": sampled,
    "Gaussian factor": gaussian,
}

#: Fault to the model that has it, and nothing else wrong with it.
FAULTS = {
    "missing normalising constant": lambda n, rng: gaussian(n, rng, constant=0.0),
    "mean instead of sum over units": mean_over_units,
    "mixture density in the KL": mixture_density,
    "beta left in the KL": _changed(lambda kl, subset: 0.5 * kl),
    "KL averaged over latent dimensions": _changed(lambda kl, subset: kl / 8),
    "KL left out": _changed(lambda kl, subset: 0 * kl),
    "likelihood rescaling left in": _changed(None, lambda fit, subset: 0.5 * fit),
    "IWAE reported as ELBO": iwae,
    "training data": training_data,
    "KL sign": lambda n, rng: sampled(n, rng, sign=-1),
    "subset evaluated with the full set's encoder": full_encoder,
    "unseen modalities left out": _changed(None, _left_out),
    "latent not sampled": not_sampled,
    "density reported as a probability": _changed(None, lambda fit, subset: fit + math.log(4)),
}
#: What a diagnosis calls it, where that is a wider name.
DIAGNOSED = {"KL averaged over latent dimensions": "beta left in the KL"}


# Other objectives, each with a model that attains its ceiling, so that nothing hides a fault.


def label(n, rng, objective, parameters=None, scheme=None, kl=1.0, fit=1.0):
    """The common cause, with the label as the latent of every subset, as another objective; both terms multiplied."""
    model, law, own = common_cause()
    scheme = scheme or own
    x = cells(law, n, rng)
    y = x[:, 0]
    fits = np.stack([np.log(table[y, x[:, u]]) for u, table in enumerate(model.decoders)], axis=1)
    found = Terms(
        x, dict.fromkeys(scheme.weights, fit * fits), dict.fromkeys(scheme.weights, -kl * np.log(model.prior[y]))
    )
    return evaluation_of(law, scheme, found, objective=objective, parameters=parameters or {}), law


def evidence(n, rng, objective, k, excess=0.0):
    """Importance-weighted bounds of the common cause: its posteriors are exact, so that each is ``ln p(x)``."""
    _, law, scheme = common_cause()
    x = cells(law, n, rng)
    value = np.log(law.pmf[tuple(x.T)]) + excess
    made = Evaluation.from_examples(
        scheme, value=dict.fromkeys(scheme.weights, value), kind="discrete", objective=objective, parameters={"k": k}
    )
    return made, law


def copies(n, rng, k, said, symbols=8):
    """A symbol and its copy, both unseen: ``k`` draws from a uniform prior guess it, ``said`` are reported."""
    pmf = np.zeros((2, symbols, symbols))
    pmf[:, range(symbols), range(symbols)] = 0.5 / symbols
    law, scheme = Discrete(pmf), SubsetScheme({1: 1}, 3)
    x = cells(law, n, rng)
    right = 0.95 * np.eye(symbols) + 0.05 / symbols
    fits = 2 * np.log(right[rng.integers(0, symbols, (n, k)), x[:, 1:2]])
    value = np.logaddexp.reduce(fits, axis=1) - math.log(k) - math.log(2)
    made = Evaluation.from_examples(scheme, value={1: value}, kind="discrete", objective="iwae", parameters={"k": said})
    return made, law


def total_correlation(n, rng, alpha, said=None, regularised=1.0):
    """MVTCAE with the data as the latent, at ``alpha``; ``said`` is reported, and its KL to the prior multiplied."""
    p = np.array([[0.3, 0.1, 0.1], [0.05, 0.15, 0.3]])
    law, scheme = Discrete(p), full(2)
    a, b = cells(law, n, rng).T
    log = np.log(p[a, b])
    parts = [log - np.log(p.sum(axis=1))[a], log - np.log(p.sum(axis=0))[b]]
    value = regularised * (1 - alpha) * log + alpha / 2 * sum(parts)
    parameters = {"alpha": alpha if said is None else said}
    return Evaluation.from_examples(
        scheme, value={3: value}, kind="discrete", objective="mvtcae", parameters=parameters
    ), law


def cheap(n, rng, beta, kl=1.0):
    """``z = x_A`` of two dependent bits with ``beta < 1``, where carrying all of them is best."""
    p = np.array([[0.4, 0.1], [0.2, 0.3]])
    law, scheme = Discrete(p), mmvae(2)
    x = cells(law, n, rng)
    first, second = p.sum(axis=1)[x[:, 0]], p.sum(axis=0)[x[:, 1]]
    both, zero = p[tuple(x.T)], np.zeros(n)
    fits = {1: np.stack([zero, np.log(both / first)], axis=1), 2: np.stack([np.log(both / second), zero], axis=1)}
    found = Terms(x, fits, {1: -kl * np.log(first), 2: -kl * np.log(second)})
    return evaluation_of(law, scheme, found, objective="beta", parameters={"beta": beta}), law


TWICE = {"beta": 2.0, "scales": {"X1": 2.0, "X2": 2.0}}
RIGHT_OTHERS = {
    "sub-sampled": lambda n, rng: label(n, rng, "sub-sampled", scheme=mvae_subsampled(2)),
    "rescaled": lambda n, rng: label(n, rng, "rescaled", TWICE),
    "mixture-density": lambda n, rng: label(n, rng, "mixture-density"),
    "beta 1": lambda n, rng: label(n, rng, "beta", {"beta": 1.0}),
    "beta below 1": lambda n, rng: cheap(n, rng, 0.5),
    "iwae": lambda n, rng: evidence(n, rng, "iwae", 8),
    "iwae-mixture": lambda n, rng: evidence(n, rng, "iwae-mixture", 30),
    "mvtcae": lambda n, rng: total_correlation(n, rng, 0.5),
    "mvtcae, all views": lambda n, rng: total_correlation(n, rng, 0.9),
}
FAULTS_OTHERS = {
    "sub-sampled: KL averaged over latents": lambda n, rng: label(
        n, rng, "sub-sampled", scheme=mvae_subsampled(2), kl=0.5
    ),
    "rescaled: log-likelihoods already divided": lambda n, rng: label(n, rng, "rescaled", TWICE, fit=0.5),
    "rescaled: KL without beta": lambda n, rng: label(n, rng, "rescaled", TWICE, kl=0.5),
    "mixture-density: KL left out": lambda n, rng: label(n, rng, "mixture-density", kl=0.0),
    "beta: multiplied twice": lambda n, rng: cheap(n, rng, 0.5, kl=0.5),
    "iwae: sum instead of mean over samples": lambda n, rng: evidence(n, rng, "iwae", 8, math.log(8)),
    "iwae-mixture: sum instead of mean over samples": lambda n, rng: evidence(n, rng, "iwae-mixture", 30, math.log(30)),
    "iwae: more samples than said": lambda n, rng: copies(n, rng, 64, said=2),
    "mvtcae: another alpha": lambda n, rng: total_correlation(n, rng, 0.9, said=0.3),
    "mvtcae: KL to the prior left out": lambda n, rng: total_correlation(n, rng, 0.5, regularised=0.0),
}
