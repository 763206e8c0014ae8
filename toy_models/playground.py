"""Small laws and models with dials: what the notebooks turn, and nothing that is not exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from bounds.ceilings import elbo_ceiling
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.evaluation import Evaluation
from bounds.finite import TabularVAE, elbo_terms, optimal_encoders
from bounds.joints import Discrete, Gaussian
from bounds.ladder import Kind, Ladder, Rung
from bounds.lattice import marginal_entropy
from bounds.quantity import Quantity
from bounds.schemes import SubsetScheme, mmvae
from bounds.subsets import members, union
from toy_models.coordinate_ascent import fit_tabular
from toy_models.datasets.noisy_label import NoisyLabel, noise_for

#: Cells of a table, and modalities, whose exact optimum is searched for while a reader waits.
SMALL, FEW = 256, 4
#: What may be wrong with the terms that :func:`reported` gives: nothing; every subset evaluated with the encoder of all
#: modalities; the mean over modalities in place of their sum; the KL left out.
Fault = Literal["none", "sees everything", "means for sums", "no KL"]


def dialled_label(n_modalities: int, shared: float, private_bits: int, pixels: int) -> NoisyLabel:
    """A fair bit shown by every modality, each beside private bits of its own.

    Args:
        n_modalities: how many.
        shared: ``I(X_m; X_l)`` of two modalities, in nats, from 0 to ``ln 2``.
        private_bits: fair bits that a modality has for itself.
        pixels: decoder units that show the same private bit.

    Raises:
        InputError: a number out of its range.

    >>> dialled_label(2, 0.0, 1, 3).pixel_total_correlation / math.log(2)
    2.0
    """
    noise = noise_for(shared, 2)
    return NoisyLabel(n_modalities, units=private_bits * pixels, copies=pixels, noise=noise)


def known_law(law: NoisyLabel, by_units: bool) -> Discrete | EntropyVector:
    """What bounds are computed from: the table itself where it is small, else its entropies.

    Args:
        law: of any size.
        by_units: whether decoders factorise over units; else they are arbitrary inside a modality.
    """
    if law.n_modalities > FEW or math.prod(law.table_shape) > SMALL:
        return law.unit_entropies() if by_units else law.entropy_vector()
    table = law.to_discrete()
    return table if by_units else Discrete(table.modality_pmf, table.names)


def alike_bits(n_modalities: int, correlation: float, private: bool = False) -> Discrete:
    """Noisy copies of one fair bit, every two of them with the same correlation.

    Args:
        n_modalities: how many.
        correlation: of two bits, from 0 to 1: a copy is wrong with probability ``(1 - sqrt(correlation)) / 2``.
        private: whether each modality also shows a fair bit of its own, as a second decoder unit.

    Raises:
        InputError: no modality, or a correlation out of its range.

    >>> alike_bits(2, 0.8).pmf  # they differ one time in ten
    array([[0.45, 0.05],
           [0.05, 0.45]])
    """
    _check_dials(n_modalities, correlation)
    wrong = (1 - math.sqrt(correlation)) / 2
    table = np.zeros((2,) * n_modalities)
    for cell in np.ndindex(table.shape):
        ones = sum(cell)
        for flipped in (ones, n_modalities - ones):
            table[cell] += 0.5 * wrong**flipped * (1 - wrong) ** (n_modalities - flipped)
    table /= table.sum()
    if not private:
        return Discrete(table)
    for m in range(n_modalities):
        table = np.stack([table, table], axis=2 * m + 1) / 2
    return Discrete(table, sizes=[2] * n_modalities, units="scalar")


def alike_gaussians(n_modalities: int, correlation: float) -> Gaussian:
    """One standard normal number for each modality, every two with the same correlation.

    Raises:
        InputError: no modality, or a correlation that is not from 0 to below 1.

    >>> alike_gaussians(2, 0.5).cov
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    _check_dials(n_modalities, correlation)
    return Gaussian((1 - correlation) * np.eye(n_modalities) + correlation)


def collapse_threshold(n_modalities: int) -> float:
    """The correlation above which the best MMVAE of ``alike`` modalities uses its latent (THEORY T4).

    Above it a constant latent is surely not the best; below, that it is the best is no theorem.

    >>> round(collapse_threshold(2), 4)
    0.4142
    """
    _check_dials(n_modalities, 0.0)
    return 1 / (1 + math.sqrt(n_modalities))


def bit_model(
    prior: float, decoders: Sequence[Sequence[float]], encoders: Sequence[Sequence[float]], private: bool = False
) -> TabularVAE:
    """A model of bits with a latent bit, from the numbers that a reader may choose.

    Args:
        prior: ``p(z=1)``.
        decoders: for each modality ``p(x_m=1|z=0)`` and ``p(x_m=1|z=1)``.
        encoders: for each modality ``q_m(z=1|x_m=0)`` and ``q_m(z=1|x_m=1)``.
        private: as in :func:`alike_bits`; the private bit is decoded as a fair coin and not encoded.

    Raises:
        InputError: numbers that are no probabilities.

    >>> bit_model(0.5, [(0, 1)] * 2, [(0.1, 0.9)] * 2).decoders[0]
    array([[1., 0.],
           [0., 1.]])
    """
    coin = np.full((2, 2), 0.5)
    tables: list[np.ndarray] = []
    for one in decoders:
        tables += [_rows(one), coin] if private else [_rows(one)]
    read = [_rows(one) for one in encoders]
    if private:
        read = [np.repeat(table[:, None], 2, axis=1) for table in read]  # (x, u, z)
    return TabularVAE(_rows([prior])[0], tables, {1 << m: table for m, table in enumerate(read)})


def both_sides(model: TabularVAE, law: Discrete, scheme: SubsetScheme) -> Ladder:
    """Both sides of Theorem 1 as usually quoted and of its repair, and the ceiling, on one axis (THEORY T0, T2).

    The quoted inequality holds for this model where its rung ``L + Delta`` is not above ``E ln p(x)``; the repaired
    one says that ``L + floor`` is never above ``E ln p(x_A)``.

    Args:
        model, law, scheme: as for :func:`bounds.finite.elbo_terms`.
    """
    terms = elbo_terms(model, law, scheme)
    h = law.unit_entropies()

    def rung(name: str, value: float, meaning: str, kind: Kind = "ceiling") -> Rung:
        return Rung(name, Quantity(name, value, guarantee="exact"), kind, meaning)

    return Ladder(
        scheme.label,
        (
            rung("ELBO of this model", terms.elbo, "L, the K=1 ELBO with each encoder's own density"),
            rung("ELBO ceiling", float(elbo_ceiling(h, scheme)), "no model has a higher ELBO (T2)"),
            rung("-H(X)", -terms.entropy, "no ELBO and no mean log-likelihood is higher"),
            rung("E ln p(x)", terms.evidence, "the model's evidence: left side as quoted"),
            rung("E ln p(x_A)", terms.subset_evidence, "evidence of what was encoded: left side of the repair"),
            rung("L + floor", terms.repaired.right, "right side of the repair"),
            rung("L + Delta", terms.quoted.right, "right side as quoted", "refuted"),
        ),
        (),
    )


def reported(
    model: TabularVAE,
    law: Discrete,
    scheme: SubsetScheme,
    n: int,
    rng: np.random.Generator,
    *,
    fault: Fault = "none",
    share: float = 1.0,
) -> Evaluation:
    """The terms that a model reports on ``n`` held-out examples, with one draw of the latent for each.

    Args:
        model, law, scheme: as for :func:`bounds.finite.elbo_terms`.
        n: examples.
        rng: draws them, and the latents.
        fault: what is wrong with the terms.
        share: of the examples for which it is.

    Raises:
        InputError: a fault that is none of :data:`Fault`, a share that is not from 0 to 1, too few examples.
    """
    if fault not in get_args(Fault):
        raise InputError(f"fault {fault!r}: use one of {', '.join(get_args(Fault))}")
    if not 0 <= share <= 1:
        raise InputError(f"share {share}: give a number from 0 to 1")
    cells = rng.choice(law.pmf.size, size=n, p=law.pmf.reshape(-1))
    x = np.stack(np.unravel_index(cells, law.unit_alphabets), axis=1)
    wrong = rng.random(n) < share
    all_modalities = (1 << len(law.names)) - 1
    whole = SubsetScheme({all_modalities: 1}, len(law.names))
    everything = optimal_encoders(law, whole, model.prior, model.decoders).encoders[all_modalities][tuple(x.T)]
    fits, kls = {}, {}
    for subset, _ in scheme:
        seen = members(union(law.layout.modality_units, subset))
        q = np.broadcast_to(model.encoders[subset][tuple(x[:, u] for u in seen)], everything.shape)
        if fault == "sees everything":
            q = np.where(wrong[:, None], everything, q)
        z = (rng.random(n)[:, None] > q.cumsum(axis=1)[:, :-1]).sum(axis=1)
        fit = np.stack([np.log(table[z, x[:, u]]) for u, table in enumerate(model.decoders)], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            kl = np.where(q > 0, q * (np.log(q) - np.log(model.prior)), 0.0).sum(axis=1)
        if fault == "means for sums":
            fit = np.where(wrong[:, None], fit / fit.shape[1], fit)
        fits[subset], kls[subset] = fit, np.where(wrong, 0.0, kl) if fault == "no KL" else kl
    return Evaluation.from_examples(
        scheme, fits, kls, kind="discrete", modalities=law.names, columns=law.layout.unit_names
    )


def sampled_audit(
    correlation: float, examples: int, fault: Fault, share: float, seed: int = 0
) -> tuple[Evaluation, Discrete]:
    """The best small MMVAE of three alike bits, evaluated with a planted fault, and the law of its examples.

    Args:
        correlation: of the bits.
        examples, fault, share: as in :func:`reported`.
        seed: of the fit and of the examples.
    """
    law, scheme = alike_bits(3, correlation), mmvae(3)
    rng = np.random.default_rng(seed)
    model = fit_tabular(law, scheme, 4, rng, restarts=4).model
    return reported(model, law, scheme, examples, rng, fault=fault, share=share), law


def sample_csv(rows: int = 4000, seed: int = 0) -> bytes:
    """A table of made-up examples: an image of five pixels, a caption of two words, and a price.

    A colour is behind all three. Four of the pixels show a texture, which the others know nothing of.

    >>> sample_csv(1).decode().splitlines()[0]
    'px_0,px_1,px_2,px_3,px_4,w0,w1,price'
    """
    rng = np.random.default_rng(seed)
    colour, texture, size = (rng.integers(k, size=rows) for k in (3, 2, 2))
    first, word, price = (np.where(rng.random(rows) < 0.2, rng.integers(3, size=rows), colour) for _ in range(3))
    others = (np.where(rng.random(rows) < 0.02, 1 - texture, texture) for _ in range(4))
    columns = [
        first,
        *others,
        np.array(["red", "green", "blue"])[word],
        np.array(["small", "large"])[size],
        np.array(["low", "middle", "high"])[price],
    ]
    lines = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join(["px_0,px_1,px_2,px_3,px_4,w0,w1,price", *lines, ""]).encode()


def constant_latent_elbo(law: Discrete | Gaussian) -> float:
    """``-sum_u H(X_u)`` over the decoder units: the best ELBO of a model that encodes nothing (THEORY T4).

    >>> round(constant_latent_elbo(alike_bits(2, 0.3)), 6)
    -1.386294
    """
    if isinstance(law, Gaussian):
        h = law.entropy_vector().values
        return -math.fsum(float(h[1 << m]) for m in range(len(law.names)))
    table = law.pmf.reshape(law.unit_alphabets)
    return -math.fsum(marginal_entropy(table, members(1 << u)) for u in range(table.ndim))


def _rows(ones: Sequence[float]) -> np.ndarray:
    """``(n, 2)``: the laws of bits that are one with these probabilities."""
    p = np.asarray(ones, dtype=np.float64)
    return np.stack([1 - p, p], axis=-1)


def _check_dials(n_modalities: int, correlation: float) -> None:
    if n_modalities < 1:
        raise InputError(f"{n_modalities} modalities: give at least 1")
    if not 0 <= correlation <= 1:
        raise InputError(f"correlation {correlation}: give a number from 0 to 1")
