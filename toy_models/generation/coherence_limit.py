"""What coherence of several modalities at once a model near its ceiling can have, for data of a known law (T10.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bounds.errors import InputError
from bounds.joints import Discrete
from bounds.subsets import members
from toy_models.datasets import Dataset
from toy_models.generation.classifiers import Classifier
from toy_models.generation.coherence import Coherence


@dataclass(frozen=True)
class CoherenceLimit:
    """A measured coherence beside that of the product of conditionals ``prod_m p(x_m|x_A)``.

    Attributes:
        measured: share of held-out examples in which all unseen modalities are right.
        product: mean over the same examples of the probability of that under the product of conditionals, exact.
        difference: measured less product; a mean over examples.
        standard_error: of the difference.
        band: ``sqrt(slack / 2)``: expectations differ by no more. At least 1, it says nothing.
    """

    measured: float
    product: float
    difference: float
    standard_error: float
    band: float

    @property
    def excess(self) -> float:
        """How far the difference is outside the band, to be read beside the standard error; below zero inside."""
        return abs(self.difference) - self.band

    def __str__(self) -> str:
        return (
            f"coherence {self.measured:.3f}, product of conditionals {self.product:.3f}: difference "
            f"{self.difference:+.3f} +- {self.standard_error:.3f}, within {self.band:.3f} (T10.5)"
        )


def coherence_band(slack: float) -> float:
    """``sqrt(slack / 2)``, by which the expected probability of an event can differ (T10.5 and Pinsker).

    Args:
        slack: nats by which a subset's ELBO is below its ceiling ``-H(X) - TC(X_R|X_A)``, both over modalities.

    Raises:
        InputError: a slack that is not a number of nats from 0.

    >>> coherence_band(0.02)
    0.1
    """
    if not 0 <= slack < math.inf:
        raise InputError(
            f"slack={slack}: give the nats of the ceiling above the ELBO; an ELBO above its ceiling is for an audit"
        )
    return math.sqrt(slack / 2)


def coherence_limit(
    dataset: Dataset, classifiers: Sequence[Classifier], found: Coherence, subset: int, slack: float
) -> CoherenceLimit:
    """The coherence of all unseen modalities at once, held against T10.5.

    Near its ceiling a model generates the unseen modalities as if they were independent given the seen ones, whatever
    they share in the data. For every event, and so for "all are classified as the label", the probabilities of model
    and product of conditionals differ by at most ``sqrt(slack / 2)``, averaged over ``x_A``.

    Args:
        dataset: whose law is a :class:`bounds.Discrete`.
        classifiers: those that the coherence was measured with.
        found: with ``decode="sample"``: T10.5 is not about means of decoders.
        subset: the encoded one.
        slack: of that subset, as in :func:`coherence_band`.

    Raises:
        InputError: no known law or no labels, coherence of means, of other subsets or examples, a slack that is none.
    """
    if found.decode != "sample":
        raise InputError(f"coherence with decode={found.decode!r}: T10.5 is about samples, measure it with 'sample'")
    band = coherence_band(slack)
    score = found.of(subset, ((1 << dataset.n_modalities) - 1) & ~subset)
    product = product_of_conditionals(dataset, classifiers, score.subset, score.targets)
    if len(score.hits) != len(product):
        raise InputError(f"a score of {len(score.hits)} examples, {len(product)} are held out: measure it on these")
    differences = score.hits - product
    return CoherenceLimit(
        float(score.hits.mean()),
        float(product.mean()),
        float(differences.mean()),
        float(differences.std(ddof=1) / math.sqrt(len(differences))),
        band,
    )


def product_of_conditionals(
    dataset: Dataset, classifiers: Sequence[Classifier], subset: int, targets: int
) -> np.ndarray:
    """``(N,)``: ``prod_m p(x_m is classified as y | x_A)`` over the targets, for each held-out ``x_A`` and label ``y``.

    Raises:
        InputError: a dataset whose law is not a table, or without labels; targets that are encoded, or none.
    """
    law, labels = dataset.law, dataset.held_out_labels
    if not isinstance(law, Discrete) or labels is None:
        raise InputError(
            f"{dataset.name} has no labels, or no law with a table: the product of conditionals needs both"
        )
    if not subset or not targets or subset & targets or (subset | targets) >> dataset.n_modalities:
        raise InputError(
            f"targets {targets} from subset {subset}: give bitmasks of some encoded modalities and some others, of "
            f"{dataset.n_modalities}"
        )
    table, seen = law.modality_pmf, members(subset)
    where = tuple(_cells(dataset.held_out[m], _alphabet(law, m)) for m in seen)
    found = np.ones(len(labels))
    for m in members(targets):
        others = tuple(v for v in range(table.ndim) if v != m and v not in seen)
        # the axis of the target last
        pair = np.moveaxis(table.sum(axis=others, keepdims=True), m, -1)
        pair = pair.reshape(*(table.shape[v] for v in seen), table.shape[m])[where]
        shown = classifiers[m](_values(_alphabet(law, m)).reshape(-1, *dataset.modalities[m].shape))
        found *= (pair * (shown == labels[:, None])).sum(axis=1) / pair.sum(axis=1)
    return found


def _alphabet(law: Discrete, m: int) -> tuple[int, ...]:
    """Symbols of each coordinate of a modality."""
    return tuple(law.pmf.shape[v] for v in law.layout.variables_of_modalities(1 << m))


def _values(alphabet: tuple[int, ...]) -> np.ndarray:
    """``(cells, coordinates)``: every value of a modality, the last coordinate running fastest."""
    return np.indices(alphabet).reshape(len(alphabet), -1).T


def _cells(rows: np.ndarray, alphabet: tuple[int, ...]) -> np.ndarray:
    return np.ravel_multi_index(tuple(rows.reshape(len(rows), -1).T), alphabet)
