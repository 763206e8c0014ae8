"""PolyDigits: a PolyMNIST that needs no download, made of scikit-learn's digits on procedural textures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from bounds.errors import InputError
from bounds.memory import check_fits
from toy_models.datasets.backgrounds import TEXTURES, Texture
from toy_models.datasets.dataset import Dataset, Modality, frozen

SIZES = (16, 28)
#: Share of the digits of each class that only held-out examples show.
HELD_OUT_SHARE = 0.25
#: Side of a translated digit, relative to the image.
SHRUNK = 0.6
#: Images drawn at once: bounds the memory of intermediate arrays.
CHUNK = 2048


@dataclass(frozen=True)
class Style:
    """How a modality is coloured: two ends of its texture, and its ink, as (red, green, blue).

    Each image shifts every channel of every colour by less than :data:`JITTER`. Light ink stands on dark textures and
    dark ink on light ones, whatever the shift: that is what keeps digits legible.
    """

    texture: Texture
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    ink: tuple[float, float, float]


#: Keeps all channels strictly between 0 and 1.
JITTER = 0.09
STYLES = {
    "stripes": Style(TEXTURES["stripes"], (0.55, 0.75, 0.90), (0.85, 0.90, 0.60), (0.10, 0.10, 0.35)),
    "checks": Style(TEXTURES["checks"], (0.10, 0.30, 0.15), (0.30, 0.45, 0.10), (0.90, 0.90, 0.65)),
    "noise": Style(TEXTURES["noise"], (0.60, 0.50, 0.60), (0.90, 0.90, 0.90), (0.30, 0.10, 0.10)),
    "rings": Style(TEXTURES["rings"], (0.40, 0.10, 0.15), (0.15, 0.10, 0.45), (0.65, 0.90, 0.90)),
    "cells": Style(TEXTURES["cells"], (0.90, 0.60, 0.50), (0.75, 0.85, 0.85), (0.10, 0.25, 0.10)),
}


def polydigits(
    n_modalities: int = 5,
    *,
    size: int = 16,
    translated: bool = False,
    n_train: int = 10_000,
    n_held_out: int = 2_000,
    rng: np.random.Generator,
) -> Dataset:
    """Pictures of the same digit in different handwriting on different textures.

    Modality ``m`` shows, in colours of its own, a digit on stripes, checks, noise, rings or cells. The modalities of an
    example show different scans of one class; class and scans are uniform. A quarter of the scans of each class is set
    aside first, and only held-out examples show it. The scans are few (1797, of 13 writers who are not told apart), so
    held-out examples have new scans, textures and colours, but not new writers. They share scans with each other, which
    ``held_out_shows`` tells.

    Args:
        n_modalities: the first so many of the five textures.
        size: side of the image in pixels, 16 or 28.
        translated: digits are shrunk and moved anywhere, in each modality on its own, as in Translated-PolyMNIST: where
            a digit stands is private, so what is shared is a smaller part of the picture and harder to predict.
        n_train, n_held_out: examples.
        rng: what is drawn from.

    Returns:
        float32 images ``(3, size, size)`` between 0 and 1, with labels 0 .. 9; the law is not known.

    Raises:
        InputError: a number out of its range, or images too large for memory (said before they are drawn).
    """
    if not 1 <= n_modalities <= len(STYLES):
        raise InputError(f"n_modalities={n_modalities}: PolyDigits has 1 .. {len(STYLES)} ({', '.join(STYLES)})")
    if size not in SIZES:
        raise InputError(f"size={size}: PolyDigits has sides of {' or '.join(map(str, SIZES))} pixels")
    for part, rows in (("n_train", n_train), ("n_held_out", n_held_out)):
        if rows < 1:
            raise InputError(f"{part}={rows}: give at least one example")
    shape = (3, size, size)
    everything = (n_train + n_held_out, n_modalities, *shape)
    check_fits("these images", everything, "take fewer examples or modalities", itemsize=4)

    _, targets = scans()
    split_rng, *part_rngs = rng.spawn(3)
    instances = split_scans(targets, split_rng)
    parts, labels = [], []
    for rows, allowed, part_rng in zip((n_train, n_held_out), instances, part_rngs, strict=True):
        tuples = draw_tuples(targets, allowed, rows, n_modalities, part_rng)
        styles = list(STYLES.values())[:n_modalities]
        parts.append(tuple(draw(tuples[:, m], style, size, translated, part_rng) for m, style in enumerate(styles)))
        labels.append(targets[tuples[:, 0]])
    modalities = tuple(Modality(texture, shape) for texture in list(STYLES)[:n_modalities])
    name = "translated-polydigits" if translated else "polydigits"
    return Dataset(name, modalities, parts[0], parts[1], labels[0], labels[1], n_classes=10, held_out_shows=tuples)


@cache
def scans() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1797 digits: ``(1797, 8, 8)`` from 0 (paper) to 1 (ink), and their classes."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return frozen(data.images / 16), frozen(data.target.astype(np.int64))


def split_scans(targets: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the scans for training and for held-out examples, disjoint, with the same share of every class."""
    train, held_out = [], []
    for label in np.unique(targets):
        order = rng.permutation(np.flatnonzero(targets == label))
        count = round(HELD_OUT_SHARE * len(order))
        held_out.append(order[:count])
        train.append(order[count:])
    return np.concatenate(train), np.concatenate(held_out)


def draw_tuples(
    targets: np.ndarray, allowed: np.ndarray, rows: int, n_modalities: int, rng: np.random.Generator
) -> np.ndarray:
    """``(rows, n_modalities)`` scans: in each row different ones of the same class, all from ``allowed``."""
    labels = rng.integers(10, size=rows)
    tuples = np.empty((rows, n_modalities), dtype=np.int64)
    for label in range(10):
        pool = allowed[targets[allowed] == label]
        (where,) = np.nonzero(labels == label)
        # The first places of a random order, without putting all of it in order.
        keys = rng.random((len(where), len(pool)))
        tuples[where] = pool[np.argpartition(keys, np.arange(n_modalities), axis=1)[:, :n_modalities]]
    return tuples


@cache
def masks(side: int) -> np.ndarray:
    """``(1797, side, side)`` opacity of the ink: the scans enlarged smoothly, then sharpened to nearly 0 or 1."""
    from scipy.ndimage import zoom

    images, _ = scans()
    grey = zoom(images, (1, side / 8, side / 8), order=1, grid_mode=True, mode="nearest")
    return frozen(np.clip((grey - 0.35) / 0.2, 0, 1).astype(np.float32))


def draw(chosen: np.ndarray, style: Style, size: int, translated: bool, rng: np.random.Generator) -> np.ndarray:
    """``(N, 3, size, size)`` pictures of the chosen scans in one style."""
    images = np.empty((len(chosen), 3, size, size), dtype=np.float32)
    for start in range(0, len(chosen), CHUNK):
        part = chosen[start : start + CHUNK]
        pattern = style.texture(len(part), size, rng)[:, None]
        low, high, ink = (_jittered(colour, len(part), rng) for colour in (style.low, style.high, style.ink))
        opacity = (_moved(part, size, rng) if translated else masks(size)[part])[:, None]
        images[start : start + CHUNK] = (1 - opacity) * (low + (high - low) * pattern) + opacity * ink
    return frozen(images)


def _moved(chosen: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Opacity of shrunk digits, each somewhere in the image."""
    side = round(SHRUNK * size)
    corner = rng.integers(size - side + 1, size=(2, len(chosen), 1))
    down, right = corner + np.arange(side)
    opacity = np.zeros((len(chosen), size, size), dtype=np.float32)
    opacity[np.arange(len(chosen))[:, None, None], down[:, :, None], right[:, None, :]] = masks(side)[chosen]
    return opacity


def _jittered(colour: tuple[float, float, float], count: int, rng: np.random.Generator) -> np.ndarray:
    shift = JITTER * (2 * rng.random((count, 3, 1, 1), dtype=np.float32) - 1)
    return np.asarray(np.array(colour, dtype=np.float32)[:, None, None] + shift, dtype=np.float32)
