"""The ELBO ceiling of models with a given likelihood (THEORY T7).

A fixed scale, or a variance that does not depend on the latent, costs more than T2 says: then this is the ceiling to
audit with. It is not linear in the entropies, so it has modules of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from bounds.common_cause import CommonCause
from bounds.errors import InputError, ObjectiveError
from bounds.joints import Discrete, Gaussian
from bounds.likelihood.decoders import Likelihood, as_decoders, by_modality, describe
from bounds.likelihood.of_law import ceiling_of_gaussian, ceiling_of_table
from bounds.likelihood.of_samples import ceiling_of_samples
from bounds.likelihood.predictive import Fitting
from bounds.likelihood.result import LikelihoodCeiling, Question
from bounds.quantity import check_confidence
from bounds.samples import Samples
from bounds.schemes import SubsetScheme, parse_scheme

__all__ = ["Likelihood", "LikelihoodCeiling", "likelihood_ceiling"]


def likelihood_ceiling(
    data: Discrete | Gaussian | CommonCause | Samples | Mapping[str, np.ndarray],
    scheme: SubsetScheme | str,
    likelihood: str | Likelihood | Mapping[str, str | Likelihood],
    *,
    form: Literal["best", "split"] = "best",
    predictor: str = "linear",
    folds: int = 5,
    rng: np.random.Generator | None = None,
    confidence: float = 0.95,
) -> LikelihoodCeiling:
    """The highest K=1 own-density ``L_S`` of models whose decoders have a given likelihood (THEORY T7).

    Args:
        data: a law, or samples.
        scheme: the encoded subsets, or the name of a scheme.
        likelihood: one for all modalities, such as ``"gaussian:0.75"`` or ``"gaussian:learned"``, or one for each, such
            as ``"image=laplace:0.75;text=categorical"``; see :class:`Likelihood`. Numeric families
            factorise over the variables inside a unit, categorical ones are any law of a unit.
        form: ``"split"`` insists on T7(i), for comparison; for known laws and fixed scales.
        predictor: for samples, ``linear`` or ``boosting``: what predicts the unseen part from the seen one.
        folds: for samples, of the cross-fitting.
        rng: for samples, draws the folds; by default a generator with seed 0.
        confidence: of the interval, for samples.

    =======================  =========================  ===========================================
    likelihood               Gaussian law               probability table
    =======================  =========================  ===========================================
    Gaussian, fixed          ``attained``, T7(iv)       ``split``
    Gaussian, learned        ``attained``, T7(v)        ``distortion``
    Gaussian, conditional    ``T2``                     no ceiling: ``inf``
    Laplace                  ``split``                  ``split``
    Bernoulli                InputError                 ``T2`` on binary data, else ``split``
    categorical              InputError                 ``T2``
    one for each modality    ``split``                  ``split``, or ``T2`` if all of them are
    =======================  =========================  ===========================================

    From samples, conditional and categorical likelihoods are T2 of estimated entropies. All others rest on held-out
    predictions, which bound this ceiling from below only, whatever the data (``low``): a model above ``low`` may be
    right. For Gaussian noise and the linear predictor there is a ``high`` too, which assumes Gaussian data.

    Raises:
        InputError: a likelihood that is unknown or does not fit the data, an unknown modality, a scale that is not
            positive, discrete samples whose values are needed and not given.
        ObjectiveError: a scheme that is a sum of ELBOs.

    >>> law = Gaussian(0.5 * np.eye(3) + 0.5)
    >>> round(float(likelihood_ceiling(law, "mmvae", "gaussian:learned")), 6)
    -4.171866
    """
    if isinstance(data, Mapping):
        data = Samples.from_arrays(data)
    if isinstance(data, CommonCause):
        data = data.to_discrete()
    if not isinstance(data, Discrete | Gaussian | Samples):
        raise InputError(f"{type(data).__name__} is neither a law, samples nor a mapping of arrays")
    if form not in ("best", "split"):
        raise InputError(f"form {form!r}: use 'best' or 'split'")
    check_confidence(confidence)
    parsed = parse_scheme(scheme, data.names) if isinstance(scheme, str) else scheme
    _check_scheme(parsed, data.names)
    decoders = as_decoders(likelihood)
    asked = Question(parsed, describe(decoders), by_modality(decoders, data.layout), data.layout)
    if form == "split" and (isinstance(data, Samples) or asked.free):
        raise InputError("the split form is for known laws and fixed scales: use form='best'")
    if isinstance(data, Gaussian):
        return ceiling_of_gaussian(data, asked, form == "split")
    if isinstance(data, Discrete):
        return ceiling_of_table(data, asked)
    return ceiling_of_samples(
        data, asked, Fitting(predictor, folds, np.random.default_rng(0) if rng is None else rng), confidence
    )


def _check_scheme(scheme: SubsetScheme, names: Sequence[str]) -> None:
    if scheme.n_modalities != len(names):
        raise InputError(f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the data over {len(names)}")
    if scheme.objective == "sub-sampled":
        raise ObjectiveError(
            f"scheme {scheme.label} is a sum of ELBOs on the subsets' own modalities, T7 is for mixtures over subsets: "
            "use bounds.elbo_ceiling(h, scheme, 'sub-sampled')"
        )
