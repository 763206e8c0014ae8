"""The law of the rows of a dataset themselves."""

from __future__ import annotations

import math

import numpy as np

from bounds.errors import InputError
from bounds.joints import Discrete
from bounds.samples import Samples

#: Cells of the joint table at most; the exact optimum is out of reach far below.
MAX_CELLS = 200_000


def empirical_law(samples: Samples) -> Discrete:
    """The law that draws one of the rows.

    It is not the law that the rows were drawn from. What is bounded for it is the mean over these rows: for a model
    trained on them, its training objective (THEORY T2, trap i).

    Raises:
        InputError: continuous columns, or a joint table of more than :data:`MAX_CELLS` cells.

    >>> data = Samples.from_arrays({"image": np.array([0, 0, 1, 1]), "text": np.array([0, 0, 1, 0])})
    >>> empirical_law(data).pmf.tolist()
    [[0.5, 0.0], [0.25, 0.25]]
    """
    if samples.kind != "discrete":
        raise InputError(f"the rows have {samples.kind} columns: an empirical law is for discrete data")
    coded = [np.unique(column, return_inverse=True) for column in samples.columns]
    shape = [len(symbols) for symbols, _ in coded]
    if math.prod(shape) > MAX_CELLS:
        raise InputError(
            f"the joint table of these {len(shape)} columns has {math.prod(shape):.2g} cells, more than {MAX_CELLS}: "
            "choose fewer columns or modalities"
        )
    cells = np.ravel_multi_index([codes.reshape(-1) for _, codes in coded], shape)
    counts = np.bincount(cells, minlength=math.prod(shape)).reshape(shape)
    layout = samples.layout
    return Discrete(counts / samples.n, layout.names, layout.sizes, "scalar")
