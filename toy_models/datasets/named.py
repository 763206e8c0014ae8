"""Datasets by name, as a command takes them, each with what trains well on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bounds.errors import InputError
from bounds.progress import Track, no_progress
from bounds.samples import did_you_mean
from toy_models.datasets.dataset import Dataset
from toy_models.datasets.folders import read_cub, read_polymnist
from toy_models.datasets.laws import common_cause, equicorrelated, shared_private_gaussian
from toy_models.datasets.polydigits import polydigits

#: A number by name that a dataset may be given; ``None`` stands for as many as there are.
Dials = Mapping[str, int | float | None]


@dataclass(frozen=True)
class Recipe:
    """What trains well on a dataset, in minutes on one core; each may be chosen otherwise.

    Attributes:
        likelihood: one for all modalities, or one for each, separated by commas.
        latents: of the number of modalities and the dials.
        hidden: widths of the hidden layers; ``()`` makes networks affine.
        steps, batch, learning_rate, warmup: see :class:`toy_models.train.Training`.
        draws: points of the latent for each held-out example and subset.
    """

    likelihood: str
    latents: Callable[[int, Dials], int]
    hidden: tuple[int, ...]
    steps: int
    batch: int
    learning_rate: float
    warmup: float
    draws: int


@dataclass(frozen=True)
class NamedDataset:
    """A dataset that a command knows.

    Attributes:
        name: as the command takes it; ``NAME=FOLDER`` if it is read from a folder.
        meaning: in one line.
        modalities: how many there are by default.
        dials: with their defaults.
        recipe: what trains well on it.
        make: from the number of modalities, the dials, the folder, and a tracker.
        from_folder: whether it is read from a folder.
    """

    name: str
    meaning: str
    modalities: int
    dials: Dials
    recipe: Recipe
    make: Callable[[int, dict[str, Any], str, Track], Dataset]
    from_folder: bool = False


@dataclass(frozen=True)
class DataChoice:
    """One dataset with everything chosen that it depends on; equal choices are equal data.

    Args:
        name: of :data:`DATASETS`.
        modalities: how many.
        dials: all of the dataset's.
        folder: where it is read from, ``""`` if it is drawn.

    Raises:
        InputError: an unknown name or dial, no modalities, a folder where there is none to read from, none where
            there is one.
    """

    name: str
    modalities: int
    dials: Dials
    folder: str = ""

    def __post_init__(self) -> None:
        known = self.known
        for dial in self.dials:
            _check_dial(known, dial)
        if self.modalities < 1:
            raise InputError(f"modalities={self.modalities}: give at least 1")
        if bool(self.folder) != known.from_folder:
            how = f"{self.name}=FOLDER" if known.from_folder else f"{self.name}, without a folder"
            raise InputError(f"data {self.name!r}: write {how}")
        object.__setattr__(self, "dials", {**known.dials, **self.dials})

    @classmethod
    def parse(cls, text: str, modalities: int | None = None, dials: Sequence[str] = ()) -> DataChoice:
        """From ``NAME`` or ``NAME=FOLDER``, and dials such as ``rho=0.5``.

        Raises:
            InputError: as the class, and dials that are no numbers.

        >>> DataChoice.parse("gaussian", 3, ["rho=0.25"]).dials["rho"]
        0.25
        """
        name, _, folder = text.partition("=")
        known = _known(name)
        return cls(name, known.modalities if modalities is None else modalities, _parsed(known, dials), folder)

    @property
    def known(self) -> NamedDataset:
        """The dataset of this name."""
        return _known(self.name)

    @property
    def latents(self) -> int:
        """How many latents do well."""
        return self.known.recipe.latents(self.modalities, self.dials)

    def make(self, track: Track = no_progress) -> Dataset:
        """The dataset: drawn, the same every time, or read.

        Raises:
            InputError: numbers out of their range, a folder that is missing or damaged, too much for memory.
        """
        return self.known.make(self.modalities, dict(self.dials), self.folder, track)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "modalities": self.modalities, "dials": dict(self.dials), "folder": self.folder}


def _known(name: str) -> NamedDataset:
    if name not in DATASETS:
        raise InputError(f"unknown data {name!r}: use one of {', '.join(DATASETS)}")
    return DATASETS[name]


def _check_dial(known: NamedDataset, dial: str) -> None:
    if dial not in known.dials:
        raise InputError(f"{known.name} has no {dial!r}: {did_you_mean(dial, known.dials)}")


def _parsed(known: NamedDataset, given: Sequence[str]) -> dict[str, int | float | None]:
    found: dict[str, int | float | None] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{text!r}: write NAME=VALUE, with a name of {', '.join(known.dials)}")
        _check_dial(known, name)
        if name in found:
            raise InputError(f"{name} is given twice: give it once")
        whole = not isinstance(known.dials[name], float)
        try:
            number: int | float = int(value) if whole else float(value)
        except ValueError:
            raise InputError(f"{name}={value}: give a {'whole ' if whole else ''}number") from None
        if not math.isfinite(number):
            raise InputError(f"{name}={value}: give a finite number")
        found[name] = number
    return found


def _drawn(of: Callable[..., Dataset], **fixed: object) -> Callable[[int, dict[str, Any], str, Track], Dataset]:
    """Draws a dataset from the generator of its seed."""

    def make(modalities: int, dials: dict[str, Any], folder: str, track: Track) -> Dataset:
        seed = dials.pop("seed")
        if seed < 0:
            raise InputError(f"seed={seed}: give a whole number of at least 0")
        return of(modalities, **fixed, **dials, rng=np.random.default_rng(seed))

    return make


def _polymnist(modalities: int, dials: dict[str, Any], folder: str, track: Track) -> Dataset:
    return read_polymnist(Path(folder), n_modalities=modalities, **dials, track=track)


def _cub(modalities: int, dials: dict[str, Any], folder: str, track: Track) -> Dataset:
    if not 1 <= modalities <= 2:
        raise InputError(f"{modalities} modalities: CUB has 1 .. 2, the image and the caption")
    return read_cub(Path(folder), **dials, track=track).first(modalities)


_ROWS: Dials = {"n_train": 20_000, "n_held_out": 10_000, "seed": 0}
_PICTURES: Dials = {"size": 16, "n_train": 10_000, "n_held_out": 2_000, "seed": 0}
_IMAGES = Recipe("gaussian:0.2", lambda m, dials: 8 * m, (128,), 3000, 64, 2e-3, 0.25, 8)

#: By name.
DATASETS: Mapping[str, NamedDataset] = MappingProxyType(
    {
        one.name: one
        for one in (
            NamedDataset(
                "gaussian",
                "scalars of unit variance, all pairs with correlation rho",
                2,
                {"rho": 0.5, **_ROWS},
                Recipe("gaussian:learned", lambda m, dials: m, (), 3000, 256, 1e-2, 0.0, 32),
                _drawn(equicorrelated),
            ),
            NamedDataset(
                "factors",
                "shared and private Gaussian factors in several coordinates",
                2,
                {
                    "shared_variance": 1.0,
                    "private_variance": 1.0,
                    "size": 4,
                    "shared_dims": 1,
                    "private_dims": 1,
                    "noise_variance": 0.1,
                    **_ROWS,
                },
                Recipe("gaussian:learned", lambda m, dials: _factors(m, dials), (), 3000, 256, 1e-2, 0.0, 32),
                _drawn(shared_private_gaussian),
            ),
            NamedDataset(
                "labels",
                "a label that every modality shows through noise, and private symbols",
                2,
                {"shared_symbols": 2, "private_symbols": 2, "units": 0, "copies": 1, "noise": 0.3, **_ROWS},
                Recipe("categorical", lambda m, dials: 2, (32,), 3000, 256, 5e-3, 0.25, 32),
                _drawn(common_cause),
            ),
            NamedDataset(
                "polydigits",
                "digits of one class on up to five textures",
                3,
                _PICTURES,
                _IMAGES,
                _drawn(polydigits),
            ),
            NamedDataset(
                "polydigits-translated",
                "the same, smaller and anywhere in the picture",
                3,
                _PICTURES,
                _IMAGES,
                _drawn(polydigits, translated=True),
            ),
            NamedDataset(
                "polymnist",
                "PolyMNIST, from the folder that holds train/m0 and so on",
                5,
                {"size": 28, "n_train": None, "n_held_out": None},
                Recipe("laplace:0.75", lambda m, dials: 64, (256,), 20_000, 128, 1e-3, 0.25, 4),
                _polymnist,
                from_folder=True,
            ),
            NamedDataset(
                "cub",
                "birds with captions, from the folder that holds train, test and the captions",
                2,
                {"size": 64, "length": 32, "at_least": 4, "captions": 1, "n_train": None, "n_held_out": None},
                Recipe("laplace:0.1,categorical", lambda m, dials: 64, (256,), 20_000, 64, 1e-3, 0.25, 4),
                _cub,
                from_folder=True,
            ),
        )
    }
)


def _factors(modalities: int, dials: Dials) -> int:
    """As many latents as there are factors, or one where there is none."""
    count = int(dials["shared_dims"] or 0) + modalities * int(dials["private_dims"] or 0)
    return count or 1
