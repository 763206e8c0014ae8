"""What samples say about the ceiling of a likelihood (THEORY T7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from bounds.errors import InputError
from bounds.estimators import estimate
from bounds.likelihood.decoders import CONDITIONAL, modality_of, symbol_values
from bounds.likelihood.held_out import Noises, held_out_gaussian, plug_in_gaussian
from bounds.likelihood.noise import BernoulliNoise
from bounds.likelihood.of_law import ceiling_of_entropies
from bounds.likelihood.predictive import Column, Fitting, HeldOut, held_out_split, mean_and_error
from bounds.likelihood.result import ATOMS, GREY, LOOSE, TOGETHER, UNITS, LikelihoodCeiling, Question
from bounds.quantity import Quantity
from bounds.samples import Samples

_PREDICTED = (
    "one-sided: predictions bound the least loss of the unseen part from above, so this bounds the split form from "
    "below and refutes nothing; a better predictor raises it"
)
_PEAK = "the seen part counts with the least loss of any decoder on each value, without the rate"
_LOW = (
    "low holds for any data: it is the held-out ELBO of an actual VAE for each subset, with {} predictions of the "
    "unseen part and linear codes of the imputed data"
)
_HIGH = (
    "high assumes Gaussian data: otherwise E Var(X_m|X_A) may be below that of linear predictions, and nonlinear "
    "models may exceed it"
)
_NO_HIGH = "one-sided: predictions and codes are those of one model, so this bounds the ceiling from below"


def ceiling_of_samples(samples: Samples, asked: Question, fitting: Fitting, confidence: float) -> LikelihoodCeiling:
    """From entropies where the family has every law (T2), else from held-out predictions.

    Raises:
        InputError: columns that the likelihood does not fit, or too few rows.
    """
    if asked.free == CONDITIONAL:
        if samples.kind != "continuous":
            return asked.unbounded("T2", ATOMS)
        return ceiling_of_entropies(estimate(samples).entropies, asked, confidence)
    columns = _columns(samples, asked)
    if all(column.alphabet for column in columns):
        return ceiling_of_entropies(estimate(samples).entropies, asked, confidence)
    fitting.check(samples.n)
    variances = asked.variances
    if asked.free or variances is not None:
        return _gaussian(columns, asked, Noises(variances, asked.groups), fitting, confidence)
    found = held_out_split(columns, asked.scheme, fitting)
    grey = any(isinstance(c.noise, BernoulliNoise) and not np.isin(c.data, (0, 1)).all() for c in columns)
    notes = [LOOSE, *([GREY] if grey else []), _PREDICTED, _PEAK]
    return asked.answer("split", _one_sided(found, asked, fitting, confidence, notes), found.floors)


def _columns(samples: Samples, asked: Question) -> list[Column]:
    """The columns as numbers, or as codes where their likelihood is categorical."""
    found = []
    for v, (name, data, alphabet) in enumerate(
        zip(samples.layout.unit_names, samples.columns, samples.alphabets, strict=True)
    ):
        modality = modality_of(samples.layout, v)
        likelihood = asked.likelihoods[modality]
        if likelihood.family == "categorical":
            if not alphabet:
                raise InputError(f"{name!r} is continuous, a categorical likelihood needs symbols: use a density")
            found.append(Column(modality, data, alphabet=alphabet))
            continue
        numbers = np.asarray(data, dtype=np.float64)
        if alphabet:
            values = symbol_values(likelihood, samples.layout, v, alphabet)
            if values is None and not (likelihood.family == "bernoulli" and alphabet <= 2):
                raise InputError(
                    f"{name!r} is discrete, its symbols are labels and a {likelihood.family} likelihood needs numbers: "
                    "declare it continuous, give Likelihood(values=...), or use 'categorical'"
                )
            numbers = numbers if values is None else values[data]
        noise = likelihood.at(samples.layout, v) if likelihood.is_fixed else None
        if noise is not None:
            noise.check(name, numbers)
        found.append(Column(modality, numbers, noise))
    return found


def _gaussian(
    columns: Sequence[Column], asked: Question, noises: Noises, fitting: Fitting, confidence: float
) -> LikelihoodCeiling:
    """Held-out losses of VAEs bound the ceiling from below, plug-in losses bound that of linear ones from above."""
    found = held_out_gaussian(columns, asked.scheme, noises, fitting)
    notes = [_LOW.format(fitting.predictor), UNITS, *([TOGETHER] if len(found.floors) > 1 else [])]
    if fitting.predictor != "linear":
        ceiling = _one_sided(found, asked, fitting, confidence, [_NO_HIGH, *notes])
        return asked.answer("attained", ceiling, found.floors, noises.variances)
    rows, variances = plug_in_gaussian(columns, asked.scheme, noises)
    (loss, error), (optimistic, its_error) = mean_and_error(found.rows), mean_and_error(rows)
    z = float(ndtri(0.5 + confidence / 2))
    ceiling = Quantity(
        asked.name,
        -loss,
        -loss - z * error,
        -optimistic + z * its_error,
        confidence,
        f"linear VAEs, from the loss held out on {fitting.folds} folds to that of a fit on all N={len(rows)} rows, and "
        f"{z:.2f} standard errors beyond; assumes independent rows and Gaussian data",
        "model-based",
        "T7",
        (_HIGH, *notes),
    )
    return asked.answer("attained", ceiling, found.floors, variances)


def _one_sided(found: HeldOut, asked: Question, fitting: Fitting, confidence: float, notes: Sequence[str]) -> Quantity:
    loss, error = mean_and_error(found.rows)
    return Quantity(
        asked.name,
        -loss,
        -loss - float(ndtri(confidence)) * error,
        None,
        confidence,
        f"{fitting.predictor} predictions, held out on {fitting.folds} folds, N={len(found.rows)}, standard error "
        f"{error:.2g}; assumes independent rows",
        "asymptotic",
        "T7",
        tuple(notes),
    )
