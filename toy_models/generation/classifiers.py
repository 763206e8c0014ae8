"""A classifier of each modality, trained on held-in examples: what it sees in an image, and how well.

The networks are small and applied in NumPy. They judge generated images, so a bad one is refused.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bounds.errors import InputError
from toy_models.datasets import Dataset, Modality
from toy_models.generation.share import Share

#: Hidden layers. The last are the features of a Frechet distance, so there are few: their covariance needs more rows.
HIDDEN = (64, 32)
#: Steps of Adam and rows of each, whatever the number of examples.
STEPS, BATCH = 1500, 128
#: Share of the way from chance to no errors that a classifier must surely have come, to judge anything.
LEAST_SKILL = 0.1
#: How sure that must be.
CONFIDENCE = 0.999


@dataclass(frozen=True, eq=False)
class Classifier:
    """Labels of one modality by a network with rectified hidden layers, see :func:`train_classifier`.

    Attributes:
        modality: of the examples.
        mean, scale: what is taken from the coordinates, and what they are then divided by.
        layers: weights ``(inputs, outputs)`` and offsets of each layer.
        classes: the label of each output.
        accuracy: on all held-out examples.
    """

    modality: Modality
    mean: np.ndarray
    scale: float
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    classes: np.ndarray
    accuracy: Share

    def features(self, x: np.ndarray) -> np.ndarray:
        """``(N, d)`` activations of the last hidden layer, for ``x`` ``(N, *shape)``.

        Raises:
            InputError: examples of another shape, NaN or infinite values.
        """
        return self._features(_rows(self.modality, x))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``(N,)`` labels of ``x`` ``(N, *shape)``; raises as :meth:`features`."""
        return self._labels(_rows(self.modality, x))

    def _features(self, rows: np.ndarray) -> np.ndarray:
        found = (rows - self.mean) / self.scale
        for weights, offsets in self.layers[:-1]:
            found = np.maximum(found @ weights + offsets, 0.0)  # a rectified unit
        return found

    def _labels(self, rows: np.ndarray) -> np.ndarray:
        weights, offsets = self.layers[-1]
        return self.classes[(self._features(rows) @ weights + offsets).argmax(axis=1)]


def train_classifiers(dataset: Dataset, rng: np.random.Generator) -> tuple[Classifier, ...]:
    """One for each modality; raises as :func:`train_classifier`."""
    return tuple(train_classifier(dataset, m, own) for m, own in enumerate(rng.spawn(dataset.n_modalities)))


def train_classifier(dataset: Dataset, m: int, rng: np.random.Generator) -> Classifier:
    """A classifier of modality ``m``, trained on the training rows and their labels.

    Its accuracy is that on the held-out rows. It is what a perfect generator of this modality is credited with, so
    coherences are to be read beside it.

    Args:
        dataset: with labels.
        m: the modality.
        rng: of the initial weights and the batches.

    Raises:
        InputError: a dataset without labels or with one class only, a constant modality, a classifier that is not
            surely better than chance, the share of the commonest class.
    """
    if dataset.train_labels is None or dataset.held_out_labels is None:
        raise InputError(f"{dataset.name} has no labels: a classifier needs those of train and held-out examples")
    if len(np.unique(dataset.train_labels)) < 2:
        raise InputError(
            f"all training labels of {dataset.name} are {dataset.train_labels[0]}: give two classes or more"
        )
    modality = dataset.modalities[m]
    rows = _rows(modality, dataset.train[m])
    mean, scale = rows.mean(axis=0), float(rows.std())
    if scale == 0:
        raise InputError(f"modality {modality.name!r} of {dataset.name} is constant: nothing tells its classes apart")
    layers, classes = _fitted((rows - mean) / scale, dataset.train_labels, rng)
    judged = Classifier(modality, mean, scale, layers, classes, Share(0, 1))
    right = judged(dataset.held_out[m]) == dataset.held_out_labels
    found = Classifier(modality, mean, scale, layers, classes, Share(int(right.sum()), len(right)))
    _refuse_near_chance(found, dataset)
    return found


def joint_features(classifiers: Sequence[Classifier], x: Sequence[np.ndarray]) -> np.ndarray:
    """``(N, sum of d)``: the features of all modalities side by side, so that their covariance tells what agrees."""
    return np.hstack([classifier.features(part) for classifier, part in zip(classifiers, x, strict=True)])


def _fitted(
    rows: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[tuple[np.ndarray, np.ndarray], ...], np.ndarray]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    batch = min(BATCH, len(rows))
    epochs = math.ceil(STEPS * batch / len(rows))
    network = MLPClassifier(
        HIDDEN, batch_size=batch, max_iter=epochs, n_iter_no_change=epochs, random_state=int(rng.integers(2**31))
    )
    with warnings.catch_warnings():
        # the number of steps is given, and held-out accuracy says whether they were enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(rows, labels)
    layers = list(zip(network.coefs_, network.intercepts_, strict=True))
    if len(network.classes_) == 2:  # one output, the log-odds of the second class
        weights, offsets = layers[-1]
        layers[-1] = np.hstack([np.zeros_like(weights), weights]), np.hstack([np.zeros_like(offsets), offsets])
    return tuple(layers), network.classes_


def _refuse_near_chance(found: Classifier, dataset: Dataset) -> None:
    assert dataset.held_out_labels is not None
    chance = float(np.bincount(dataset.held_out_labels).max()) / dataset.n_held_out
    surely, _ = found.accuracy.interval(CONFIDENCE)
    if surely <= chance + LEAST_SKILL * (1 - chance):
        raise InputError(
            f"the classifier of {found.modality.name!r} is right on {found.accuracy} of the held-out examples, and "
            f"always saying the commonest class on {chance:.3f}: it cannot judge what is generated; use a modality "
            "that shows the label, or more examples"
        )


def _rows(modality: Modality, x: np.ndarray) -> np.ndarray:
    """``(N, inputs)`` float64: real values as they are, symbols one-hot."""
    x = np.asarray(x)
    if x.shape[1:] != modality.shape or x.ndim != len(modality.shape) + 1:
        raise InputError(f"examples of {modality.name!r} have shape {x.shape}: give (N, *{modality.shape})")
    flat = x.reshape(len(x), -1)
    if modality.symbols is None:
        if not np.isfinite(flat).all():
            raise InputError(f"examples of {modality.name!r} have NaN or infinite values: leave none in")
        return flat.astype(np.float64)
    return (flat[..., None] == np.arange(modality.symbols)).reshape(len(x), -1).astype(np.float64)
