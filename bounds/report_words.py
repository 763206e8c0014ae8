"""What each number, level and guarantee of a report means, in words."""

from __future__ import annotations

import math

from bounds.irreducible import IrreducibleError
from bounds.quantity import Quantity

#: The levels of the table, and what each asks of a decoder.
LEVELS: tuple[tuple[str, str], ...] = (
    (
        "any decoder inside a modality",
        "given the latent, the modalities are decoded independently of each other, and nothing is assumed about the "
        "parts of one modality: its decoder may be autoregressive, for example.",
    ),
    (
        "decoder factorised over units",
        "given the latent, every unit is decoded independently of all others, as with one likelihood for each pixel; a "
        "unit is a column or coordinate of a modality. Fewer decoders are of this kind, so the loss is at least as "
        "large.",
    ),
)

#: What each number means, in a few sentences.
GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "Delta, the generative discrepancy",
        "The weighted mean of H(unseen modalities | encoded modalities): what the encoded subset leaves unknown about "
        "the rest. For discrete data it is a floor of the expected reconstruction error, which is minus the "
        "log-likelihood given the latent. For continuous data it is a floor of that of the unseen modalities only, it "
        "changes with the units of measurement, and it may be negative. -H(X) minus it is no ceiling: see "
        "quoted bound.",
    ),
    (
        "distortion floor",
        "No encoder and decoder of this scheme have a lower expected reconstruction error: of all modalities for "
        "discrete data, of the unseen ones for continuous data, where it changes with the units of measurement (T1). "
        "It is Delta plus the irreducible ELBO loss, because a decoder that factorises pays for the dependence between "
        "unseen parts too.",
    ),
    (
        "irreducible ELBO loss",
        "The weighted total correlation of the unseen parts given the encoded ones. On held-out data the expected K=1 "
        "own-density ELBO of every model of this scheme is at least this far below -H(X), if H(X) is finite (T2). It "
        "does not depend on units of measurement, so for continuous data it is the number to read. Zero means that T2 "
        "says no more than -H(X), not that nothing is lost.",
    ),
    (
        "ELBO ceiling",
        "-H(X) minus the loss above. No model of this scheme can exceed it, on held-out data and in expectation, with "
        "its K=1 own-density ELBO: one sample of the latent, each encoder's own density in the KL (T2). It holds for "
        "every latent space, prior and encoder, and every decoder that factorises as stated. It does not say that a "
        "model comes near.",
    ),
    (
        "ceiling of the published objective",
        "The same for the objective that the model's released code trains, if likelihoods are not rescaled: no model "
        "can exceed it, on held-out data and in expectation. It may be another objective than the ELBO above. Never "
        "hold one objective's value against another's ceiling.",
    ),
    (
        "quoted bound",
        "-H(X) minus Delta is what Theorem 1 of the paper, as usually quoted, would imply for the ELBO (T0). It is not "
        "a ceiling: private information modelled as decoder noise costs nothing, and simple models exceed it.",
    ),
)

#: What an interval promises.
GUARANTEES: tuple[tuple[str, str], ...] = (
    (
        "exact",
        "The law is known, or the number is the same for every law. It is right up to rounding and has no interval.",
    ),
    (
        "guaranteed",
        "The interval holds for every law with at least the stated probability and any number of rows, if rows are "
        "independent and no column has symbols that were not observed. It is wide where rows are few.",
    ),
    (
        "certified",
        "The number is in the bracket for certain: a model attains the lower end, and a point of the dual program "
        "proves that none exceeds the upper one.",
    ),
    (
        "asymptotic",
        "The interval holds with about the stated probability where rows are many and independent.",
    ),
    (
        "model-based",
        "Right if the data follow the named model, for example a Gaussian copula; the interval covers sampling only. "
        "The true number of data that do not follow the model may lie elsewhere.",
    ),
    (
        "none",
        "The data cannot support the number, so none is printed and the reason stands in its place; or they support no "
        "interval, and the number is an estimate that shows nothing by itself.",
    ),
)

#: What one-sided bounds show, and what they do not.
ONE_SIDED: tuple[str, ...] = (
    "An upper bound of H(X), Delta or the distortion floor says how much may be lost at most by these quantities, not "
    "that anything is: the true number may be anywhere below it",
    "Minus the upper bound of H(X) is a log-likelihood that a density reaches on held-out rows, not a ceiling: for a "
    "ceiling H(X) would have to be bounded from below, and losses do not do that",
)


def promise(quantity: Quantity) -> str:
    """What a number is by its guarantee, with the model that a model-based number assumes."""
    for word, model in (("copula", "a Gaussian copula"), ("aussian", "a Gaussian law")):
        if quantity.guarantee == "model-based" and word in quantity.method:
            return f"assuming {model}"
    return quantity.guarantee


def estimate_of(result: IrreducibleError) -> Quantity | None:
    """The first of the numbers that is an estimate: its method, confidence and guarantee are those of all."""
    quantities = [result.entropy]
    for bounds in result.schemes:
        quantities += [q for q in (bounds.generative_discrepancy, bounds.finest.published_ceiling) if q is not None]
    return next((q for q in quantities if q.guarantee not in ("exact", "none")), None)


def estimates_of(result: IrreducibleError) -> list[Quantity]:
    """All numbers of the table that are estimates; each may have another kind of interval, or none."""
    return [one for one in _of_the_table(result) if one.value is not None and one.guarantee != "exact"]


def some_refused(result: IrreducibleError) -> bool:
    """Whether the table lacks a number that the data do not support."""
    return any(one.value is None for one in _of_the_table(result))


def _of_the_table(result: IrreducibleError) -> list[Quantity]:
    quantities: list[Quantity | None] = [result.entropy]
    for bounds in result.schemes:
        quantities += [bounds.generative_discrepancy, bounds.quoted_bound]
        for level in filter(None, (bounds.modalities, bounds.units)):
            quantities += [level.distortion_floor, level.total_correlation_term]
            quantities += [level.elbo_ceiling, level.published_ceiling]
    return [one for one in quantities if one is not None]


def why_no_interval(quantity: Quantity) -> str:
    """Why an estimate has no interval, in a few words."""
    return quantity.method.partition("no interval: ")[2].partition("; ")[0] or quantity.method


def is_singular(result: IrreducibleError) -> bool:
    """Whether the law has an infinite entropy, so that there is nothing to be below."""
    return result.entropy.value is not None and math.isinf(result.entropy.value)
