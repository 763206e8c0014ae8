"""Procedural textures, many at once: grey patterns between 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

#: ``count`` patterns ``(count, size, size)`` between 0 and 1.
Texture = Callable[[int, int, np.random.Generator], np.ndarray]


def stripes(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Waves in any direction, 2 to 5 across the image."""
    y, x = _grid(size)
    angle, waves, phase = _uniform(rng, count, 0, np.pi), _uniform(rng, count, 2, 5), _uniform(rng, count, 0, 2 * np.pi)
    return 0.5 + 0.5 * np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + phase)


def checks(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """A chequerboard of 3 to 6 fields a side, shifted anywhere."""
    y, x = _grid(size)
    fields, right, down = _uniform(rng, count, 3, 6), _uniform(rng, count, 0, 1), _uniform(rng, count, 0, 1)
    return (np.floor(fields * x + 2 * right) + np.floor(fields * y + 2 * down)) % 2


def noise(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Every pixel on its own."""
    return rng.random((count, size, size), dtype=np.float32)


def rings(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Waves around a centre in the image, 3 to 6 from side to side."""
    y, x = _grid(size)
    right, down, waves = _uniform(rng, count, 0, 1), _uniform(rng, count, 0, 1), _uniform(rng, count, 3, 6)
    return 0.5 + 0.5 * np.sin(2 * np.pi * waves * np.hypot(x - right, y - down) + _uniform(rng, count, 0, 2 * np.pi))


def cells(count: int, size: int, rng: np.random.Generator, seeds: int = 6) -> np.ndarray:
    """Each pixel has the grey of the nearest of a few random points (a Voronoi diagram)."""
    y, x = _grid(size)
    nearest = np.full((count, size, size), np.inf, dtype=np.float32)
    pattern = np.zeros((count, size, size), dtype=np.float32)
    for _ in range(seeds):
        right, down, grey = _uniform(rng, count, 0, 1), _uniform(rng, count, 0, 1), _uniform(rng, count, 0, 1)
        distance = (x - right) ** 2 + (y - down) ** 2
        closer = distance < nearest
        np.copyto(nearest, distance, where=closer)
        np.copyto(pattern, np.broadcast_to(grey, pattern.shape), where=closer)
    return pattern


TEXTURES: Mapping[str, Texture] = {
    "stripes": stripes,
    "checks": checks,
    "noise": noise,
    "rings": rings,
    "cells": cells,
}


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of pixel centres from 0 to 1: down ``(size, 1)`` and right ``(1, size)``."""
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return centres[:, None], centres[None, :]


def _uniform(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """One number for each pattern, as ``(count, 1, 1)``."""
    return np.asarray(low + (high - low) * rng.random((count, 1, 1), dtype=np.float32))
