"""Whether what a model generates shows the right class, and the same class in all modalities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from bounds.errors import InputError
from bounds.subsets import format_subset
from toy_models.datasets import Dataset
from toy_models.generation.classifiers import Classifier
from toy_models.generation.draws import Decode, Generative, from_prior, from_subset
from toy_models.generation.share import Share


@dataclass(frozen=True, eq=False)
class Score:
    """A coherence and the levels that it is read beside.

    Attributes:
        subset: bitmask of the encoded modalities, 0 for draws of the prior.
        targets: bitmask of the generated modalities that are looked at.
        hits: ``(N,)`` booleans: the examples in which **all** targets show the class of the example; for draws of the
            prior, in which all of them show one class.
        attainable: the same of the real modalities, as the classifiers see them: what a generator of real images of
            the right class is credited with.
        chance: the same of real images that are drawn for each target and example independently of everything.
        independent: hits where each target has a draw of the latent of its own, so that targets have nothing in common
            but ``x_A``. ``None`` for one target, for which it is the same, and for draws of the prior.
    """

    subset: int
    targets: int
    hits: np.ndarray
    attainable: Share
    chance: float
    independent: Share | None = None

    @cached_property
    def share(self) -> Share:
        """The share of hits, with its binomial error."""
        return _share(self.hits)


@dataclass(frozen=True, eq=False)
class Coherence:
    """Scores of every subset and unseen modality; where several are unseen, of all of them at once; and of the prior.

    >>> Score(0b01, 0b10, np.array([True, True, False, True]), Share(19, 20), 0.1).share.value
    0.75
    """

    names: tuple[str, ...]
    decode: Decode
    scores: tuple[Score, ...]

    def of(self, subset: int, targets: int) -> Score:
        """One score.

        Raises:
            InputError: one that there is not.
        """
        for score in self.scores:
            if (score.subset, score.targets) == (subset, targets):
                return score
        raise InputError(
            f"no coherence of {format_subset(targets, self.names)!r} from {format_subset(subset, self.names)!r} was "
            "measured: encode that subset"
        )

    def __str__(self) -> str:
        lines = []
        for score in self.scores:
            seen = format_subset(score.subset, self.names) or "prior"
            apart = f", each by itself {score.independent}" if score.independent else ""
            lines.append(
                f"{seen} -> {format_subset(score.targets, self.names)}: {score.share} (attainable {score.attainable}, "
                f"chance {score.chance:.3f}{apart})"
            )
        return "\n".join(lines)


def coherence(
    model: Generative,
    dataset: Dataset,
    classifiers: Sequence[Classifier],
    subsets: Sequence[int],
    generator: torch.Generator,
    decode: Decode = "mean",
) -> Coherence:
    """Conditional coherence of encoded subsets on the held-out examples, and joint coherence of as many prior draws.

    Each example has one draw of ``q_A(z|x_A)`` and one of the prior, so hits are independent given the classifiers.
    A classifier's own errors are in every number, and differ between real and generated images: a clean prototype can
    score above ``attainable``.

    Args:
        model: as trained; latents of unseen modalities come from its auxiliary priors where it has them.
        dataset: with labels.
        classifiers: of :func:`toy_models.generation.classifiers.train_classifiers`, one for each modality.
        subsets: bitmasks of modalities to encode, each of them leaving some out.
        generator: of all randomness.
        decode: means or samples of the decoder. Samples of a wide pixel noise say little of what is under it.

    Raises:
        InputError: no labels, classifiers of other modalities, a subset that is empty or leaves nothing unseen.
    """
    if dataset.held_out_labels is None:
        raise InputError(f"{dataset.name} has no labels: coherence needs those of the held-out examples")
    if [classifier.modality for classifier in classifiers] != list(dataset.modalities):
        raise InputError(
            f"the classifiers are not those of {dataset.name}: train one for each of its modalities, in order"
        )
    everything = (1 << dataset.n_modalities) - 1
    for subset in subsets:
        if not 0 < subset < everything:
            raise InputError(f"subset {subset}: encode at least one modality and leave one out, 1 .. {everything - 1}")
    judge = _Judge(model, dataset, tuple(classifiers), generator, decode)
    scores = [score for subset in subsets for score in judge.conditional(subset)]
    return Coherence(dataset.names, decode, (*scores, judge.joint()))


@dataclass(frozen=True, eq=False)
class _Judge:
    """What the scores of all subsets share."""

    model: Generative
    dataset: Dataset
    classifiers: tuple[Classifier, ...]
    generator: torch.Generator
    decode: Decode

    def conditional(self, subset: int) -> list[Score]:
        """Of each unseen modality; and of all of them at once where there are several."""
        unseen = [m for m in range(len(self.classifiers)) if not subset >> m & 1]
        labels = self._generated_labels(subset)
        right = [labels[m] == self._labels for m in unseen]
        scores = [self._score(subset, [m], hits) for m, hits in zip(unseen, right, strict=True)]
        if len(unseen) > 1:
            apart = [self._generated_labels(subset)[m] == self._labels for m in unseen]
            together, independent = np.logical_and.reduce(right), np.logical_and.reduce(apart)
            scores.append(self._score(subset, unseen, together, _share(independent)))
        return scores

    def joint(self) -> Score:
        """Whether all modalities decoded from a draw of the prior agree."""
        images = from_prior(self.model, self.dataset.n_held_out, self.generator, self.decode)
        agree = _alike(self._predicted(images))
        chance = float(np.sum(np.prod([_frequencies(seen, self._n_classes) for seen in self._real], axis=0)))
        return Score(0, (1 << len(self.classifiers)) - 1, agree, _share(_alike(self._real)), chance)

    def _score(self, subset: int, targets: list[int], hits: np.ndarray, independent: Share | None = None) -> Score:
        real = np.logical_and.reduce([self._real[m] == self._labels for m in targets])
        laws = [_frequencies(self._labels, self._n_classes)]
        laws += [_frequencies(self._real[m], self._n_classes) for m in targets]
        chance = float(np.sum(np.prod(laws, axis=0)))
        return Score(subset, sum(1 << m for m in targets), hits, _share(real), chance, independent)

    def _generated_labels(self, subset: int) -> list[np.ndarray]:
        return self._predicted(from_subset(self.model, self.dataset.held_out, subset, self.generator, self.decode))

    def _predicted(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [classifier(part) for classifier, part in zip(self.classifiers, images, strict=True)]

    @cached_property
    def _real(self) -> list[np.ndarray]:
        return self._predicted(self.dataset.held_out)

    @property
    def _labels(self) -> np.ndarray:
        assert self.dataset.held_out_labels is not None
        return self.dataset.held_out_labels

    @property
    def _n_classes(self) -> int:
        assert self.dataset.n_classes is not None
        return self.dataset.n_classes


def _share(hits: np.ndarray) -> Share:
    return Share(int(hits.sum()), len(hits))


def _alike(labels: Sequence[np.ndarray]) -> np.ndarray:
    return np.logical_and.reduce([part == labels[0] for part in labels])


def _frequencies(labels: np.ndarray, n_classes: int) -> np.ndarray:
    return np.bincount(labels, minlength=n_classes) / len(labels)
