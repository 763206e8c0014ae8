"""A dataset of several modalities, split into training and held-out examples."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from bounds.errors import InputError
from bounds.joints import Discrete, Gaussian
from bounds.layout import Layout
from bounds.memory import check_fits
from bounds.samples import Samples
from bounds.subsets import check_names

#: A law whose entropies are known exactly, from which the rows of a dataset were drawn.
ExactLaw = Discrete | Gaussian
Part = Literal["train", "held_out"]


@dataclass(frozen=True)
class Modality:
    """What one modality of an example looks like.

    Args:
        name: of the modality.
        shape: of one example, such as ``(4,)`` or ``(3, 16, 16)``.
        symbols: ``k`` for coordinates coded ``0 .. k - 1``, ``None`` for real numbers.

    Raises:
        InputError: a name that cannot be used, or a shape or number of symbols that is not positive.

    >>> Modality("image", (3, 16, 16)).n_units
    768
    """

    name: str
    shape: tuple[int, ...]
    symbols: int | None = None

    def __post_init__(self) -> None:
        check_names([self.name], 1)
        shape = tuple(int(size) for size in self.shape)
        if not shape or min(shape) < 1:
            raise InputError(f"modality {self.name!r} has shape {shape}: give at least one size, all positive")
        if self.symbols is not None and self.symbols < 1:
            raise InputError(f"modality {self.name!r} has {self.symbols} symbols: give at least 1, or None if real")
        object.__setattr__(self, "shape", shape)

    @property
    def n_units(self) -> int:
        """The number of coordinates: pixels times colours, or tokens."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training and held-out examples of several modalities; every coordinate is a decoder unit.

    Args:
        name: of the dataset.
        modalities: what each modality looks like.
        train, held_out: for each modality ``(N, *shape)``: int64 codes where it has symbols, else float64 or float32.
            Row ``i`` of every modality is the same example. Kept read-only; an array that could be written is copied.
        train_labels, held_out_labels: ``(N,)`` integers, the class of each example, if known.
        law: the law from which the rows were drawn, if its entropies are known exactly.
        n_classes: labels are below this; by default one more than the largest.
        held_out_shows: ``(N, modalities)`` integers: what each modality of an example shows, such as a scan. Examples
            that have one in common depend on each other, which one-sided bounds count; by default none do.

    Raises:
        InputError: arrays, labels or a law that do not fit the modalities or each other; NaN or infinite values,
            codes outside the symbols.
    """

    name: str
    modalities: tuple[Modality, ...]
    train: tuple[np.ndarray, ...]
    held_out: tuple[np.ndarray, ...]
    train_labels: np.ndarray | None = None
    held_out_labels: np.ndarray | None = None
    law: ExactLaw | None = None
    n_classes: int | None = None
    held_out_shows: np.ndarray | None = None

    def __post_init__(self) -> None:
        modalities = tuple(self.modalities)
        if not modalities:
            raise InputError(f"dataset {self.name!r} has no modalities: give at least one")
        check_names([m.name for m in modalities], len(modalities))
        object.__setattr__(self, "modalities", modalities)
        for part in ("train", "held_out"):
            object.__setattr__(self, part, _checked_part(part, modalities, getattr(self, part)))
        self._check_labels()
        if self.held_out_shows is not None:
            shows = np.asarray(self.held_out_shows)
            if shows.shape != (self.n_held_out, len(modalities)) or shows.dtype.kind not in "iu":
                raise InputError(
                    f"held_out_shows is {shows.dtype} {shows.shape}: give integers of shape "
                    f"{(self.n_held_out, len(modalities))}"
                )
            object.__setattr__(self, "held_out_shows", frozen(shows.astype(np.int64)))
        if self.law is not None:
            _check_law(self.law, modalities)

    def _check_labels(self) -> None:
        if (self.train_labels is None) != (self.held_out_labels is None):
            raise InputError("labels are given for one of train and held_out: give both or neither")
        if self.train_labels is None or self.held_out_labels is None:
            if self.n_classes is not None:
                raise InputError(f"n_classes={self.n_classes} without labels: give the labels, or leave it out")
            return
        train = _checked_labels("train", self.train_labels, len(self.train[0]))
        held_out = _checked_labels("held_out", self.held_out_labels, len(self.held_out[0]))
        largest = int(max(train.max(), held_out.max()))
        n_classes = largest + 1 if self.n_classes is None else int(self.n_classes)
        if largest >= n_classes:
            raise InputError(f"label {largest} with n_classes={n_classes}: labels are 0 .. n_classes - 1")
        object.__setattr__(self, "train_labels", train)
        object.__setattr__(self, "held_out_labels", held_out)
        object.__setattr__(self, "n_classes", n_classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities by name."""
        return tuple(m.name for m in self.modalities)

    @property
    def n_modalities(self) -> int:
        """The number of modalities."""
        return len(self.modalities)

    @property
    def n_train(self) -> int:
        """The number of training examples."""
        return len(self.train[0])

    @property
    def n_held_out(self) -> int:
        """The number of held-out examples."""
        return len(self.held_out[0])

    def __repr__(self) -> str:
        shapes = ["x".join(map(str, m.shape)) + (f" of {m.symbols}" if m.symbols else "") for m in self.modalities]
        shown = shapes[0] if len(set(shapes)) == 1 else " + ".join(shapes)
        count = f"{self.n_modalities} {'modality' if self.n_modalities == 1 else 'modalities'}"
        return f"Dataset({self.name}: {count} of {shown}; {self.n_train} train + {self.n_held_out} held out)"

    def first(self, count: int) -> Dataset:
        """The dataset with the first ``count`` modalities only, its law marginalised too.

        Raises:
            InputError: a count that is not between 1 and the number of modalities.
        """
        if not 1 <= count <= self.n_modalities:
            raise InputError(f"the first {count} of {self.n_modalities} modalities: give 1 .. {self.n_modalities}")
        return replace(
            self,
            modalities=self.modalities[:count],
            train=self.train[:count],
            held_out=self.held_out[:count],
            law=None if self.law is None else self.law.marginal(range(count)),
            held_out_shows=None if self.held_out_shows is None else self.held_out_shows[:, :count],
        )

    def samples(self, part: Part = "train") -> Samples:
        """The rows as :class:`bounds.Samples`, one column and one decoder unit per coordinate.

        Alphabets are those of the law where there is one, else the symbols of the modalities.

        Raises:
            InputError: an unknown part, one row only, or columns too large for memory.
        """
        if part not in ("train", "held_out"):
            raise InputError(f"part={part!r}: give 'train' or 'held_out'")
        arrays: tuple[np.ndarray, ...] = getattr(self, part)
        sizes = [m.n_units for m in self.modalities]
        check_fits("the columns of all coordinates", (len(arrays[0]), sum(sizes)), "take fewer rows or modalities")
        if isinstance(self.law, Discrete):
            alphabets = list(self.law.pmf.shape)
        else:
            alphabets = list(chain.from_iterable([m.symbols or 0] * m.n_units for m in self.modalities))
        columns = []
        for modality, array in zip(self.modalities, arrays, strict=True):
            flat = array.reshape(len(array), -1).T.astype(np.int64 if modality.symbols else np.float64, order="C")
            flat.setflags(write=False)
            columns += list(flat)
        layout = Layout.of(sum(sizes), sizes, "scalar", self.names)
        return Samples(layout, tuple(columns), tuple(alphabets), f"{self.name}, {part}")


def of_rows(
    name: str,
    modalities: Sequence[Modality],
    train: Mapping[str, np.ndarray],
    held_out: Mapping[str, np.ndarray],
    labels: tuple[np.ndarray, np.ndarray] | None = None,
    law: ExactLaw | None = None,
    n_classes: int | None = None,
) -> Dataset:
    """A dataset of draws ``(N, units)`` by modality, as a law's ``sample`` returns them; labels are a pair."""
    train_labels, held_out_labels = labels or (None, None)
    shown, unseen = (
        tuple(frozen(rows[m.name].reshape(-1, *m.shape)) for m in modalities) for rows in (train, held_out)
    )
    return Dataset(name, tuple(modalities), shown, unseen, train_labels, held_out_labels, law, n_classes)


def digest(*arrays: np.ndarray) -> str:
    """What tells arrays apart: a hash of their shapes, types and bytes.

    >>> digest(np.zeros(2)) == digest(np.zeros(2)), digest(np.zeros(2)) == digest(np.zeros((2, 1)))
    (True, False)
    """
    found = hashlib.sha256()
    for array in arrays:
        found.update(repr((array.shape, array.dtype.str)).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def frozen(array: np.ndarray) -> np.ndarray:
    """The array made contiguous and read-only; the caller gives it away, so nothing is copied without need."""
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array


def _checked_part(part: str, modalities: tuple[Modality, ...], arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    arrays = tuple(np.asarray(array) for array in arrays)
    if len(arrays) != len(modalities):
        raise InputError(f"{part} has {len(arrays)} arrays for {len(modalities)} modalities: give one for each")
    for modality, array in zip(modalities, arrays, strict=True):
        _check_array(f"{part} of modality {modality.name!r}", modality, array)
        if len(array) != len(arrays[0]):
            raise InputError(
                f"{part} has {len(arrays[0])} rows of modality {modalities[0].name!r} and {len(array)} of "
                f"{modality.name!r}: row i of every modality must be the same example"
            )
    return tuple(frozen(array.copy() if array.flags.writeable else array) for array in arrays)


def _check_array(what: str, modality: Modality, array: np.ndarray) -> None:
    if array.shape[1:] != modality.shape or array.ndim != len(modality.shape) + 1:
        raise InputError(f"{what} has shape {array.shape}: give (N, {', '.join(map(str, modality.shape))})")
    if not len(array):
        raise InputError(f"{what} has no rows: give at least one")
    if modality.symbols is None:
        if array.dtype not in (np.float64, np.float32):
            raise InputError(f"{what} is {array.dtype}: give float64 or float32, or say how many symbols it has")
        if not np.isfinite(array).all():
            raise InputError(f"{what} has NaN or infinite values: give complete examples")
    else:
        if array.dtype != np.int64:
            raise InputError(f"{what} is {array.dtype}: give int64 codes, or symbols=None for real numbers")
        if array.min() < 0 or array.max() >= modality.symbols:
            raise InputError(
                f"{what} has codes {array.min()} .. {array.max()}: its {modality.symbols} symbols are "
                f"0 .. {modality.symbols - 1}"
            )


def _checked_labels(part: str, labels: np.ndarray, rows: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (rows,):
        raise InputError(f"{part} labels have shape {labels.shape} for {rows} rows: give one label per row")
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise InputError(f"{part} labels must be whole numbers from 0, not {labels.dtype} from {labels.min()}")
    return frozen(labels.astype(np.int64))


def _check_law(law: ExactLaw, modalities: tuple[Modality, ...]) -> None:
    names, sizes = tuple(m.name for m in modalities), tuple(m.n_units for m in modalities)
    if law.names != names or law.layout.sizes != sizes:
        raise InputError(
            f"the law has modalities {', '.join(law.names)} of {law.layout.sizes} variables and the dataset "
            f"{', '.join(names)} of {sizes} units: they must agree"
        )
    for m, modality in enumerate(modalities):
        if (modality.symbols is None) != isinstance(law, Gaussian):
            raise InputError(f"modality {modality.name!r} and its law must both be discrete or both real")
        if isinstance(law, Discrete):
            largest = max(law.pmf.shape[v] for v in law.layout.variables_of_modalities(1 << m))
            if modality.symbols is not None and largest > modality.symbols:
                raise InputError(
                    f"the law gives modality {modality.name!r} {largest} symbols and the dataset "
                    f"{modality.symbols}: they must agree"
                )
