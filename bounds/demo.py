"""Three real data sets that come with scikit-learn and statsmodels, as samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from bounds.errors import InputError
from bounds.samples import Samples


def breast_cancer() -> Samples:
    """569 tumours: ten measurements each as mean, standard error and worst value (scikit-learn)."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer().data
    parts = {"mean": data[:, :10], "error": data[:, 10:20], "worst": data[:, 20:]}
    return Samples.from_arrays(parts, dict.fromkeys(parts, "continuous"), source="breast_cancer")


def digits_halves() -> Samples:
    """1797 handwritten digits of 8x8 grey pixels: upper and lower half (scikit-learn).

    Pixels that never change have no density and are left out.
    """
    from sklearn.datasets import load_digits

    images = load_digits().images
    halves = {"upper": images[:, :4], "lower": images[:, 4:]}
    parts = {}
    for name, half in halves.items():
        pixels = half.reshape(len(half), -1)
        parts[name] = pixels[:, pixels.std(axis=0) > 0]
    return Samples.from_arrays(parts, dict.fromkeys(parts, "continuous"), source="digits_halves")


def survey() -> Samples:
    """6366 answers of Fair's survey of marriages (statsmodels): family, schooling and work, religion and rating.

    Raises:
        InputError: statsmodels is not installed.
    """
    try:
        from statsmodels.datasets import fair
    except ImportError:
        raise InputError(
            "the survey comes with statsmodels, which is not installed: pip install 'multimodal-bounds[demo]'"
        ) from None
    table = fair.load_pandas().data
    parts = {
        "marriage": ["rate_marriage"],
        "years": ["yrs_married", "children"],
        "faith": ["religious"],
        "work": ["occupation"],
    }
    arrays = {name: np.asarray(table[columns]) for name, columns in parts.items()}
    return Samples.from_arrays(arrays, dict.fromkeys(parts, "discrete"), source="survey")


DATASETS: Mapping[str, Callable[[], Samples]] = {
    "breast_cancer": breast_cancer,
    "digits_halves": digits_halves,
    "survey": survey,
}
