"""Cells: products of simplices of decoders, and what a certificate keeps for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations, pairwise

import numpy as np


@dataclass(frozen=True, eq=False)
class Cells:
    """``N`` products of simplices, one simplex for each divided unit.

    Attributes:
        vertices: for each divided unit ``(N, k, k)``, a vertex in each row.
        slopes: ``(N, sum k)``, the linear functions that stand above the negative entropies on the cell.
        levels: ``(N, j)``, the logarithm of the decoder of the free unit at which its bound is taken.
        bound: ``(N,)``, no point of the cell has a larger ``ln G``.
        means: ``(N, sum k)``, where the relaxed maximum lies.
        free: ``(N, j)``, the law of the free unit there.
        heights: ``(N, units)``, how far the chord of the negative entropy is above it at the barycentre.
    """

    vertices: tuple[np.ndarray, ...]
    slopes: np.ndarray
    levels: np.ndarray
    bound: np.ndarray
    means: np.ndarray
    free: np.ndarray
    heights: np.ndarray

    @classmethod
    def whole(cls, sizes: Sequence[int], free: int) -> Cells:
        """The one cell that holds every decoder."""
        vertices = tuple(np.eye(k)[None] for k in sizes)
        means = np.concatenate([np.zeros((1, 0)), *(np.full((1, k), 1 / k) for k in sizes)], axis=1)
        return cls(
            vertices,
            np.zeros((1, sum(sizes))),
            np.zeros((1, free)),
            np.array([np.inf]),
            means,
            np.full((1, free), 1 / max(free, 1)),
            _heights(vertices, 1),
        )

    def __len__(self) -> int:
        return len(self.bound)

    @property
    def ends(self) -> list[int]:
        """Where each divided unit's columns begin and end."""
        return [0, *np.cumsum([v.shape[1] for v in self.vertices], dtype=int).tolist()]

    def take(self, which: np.ndarray) -> Cells:
        """Some of them."""
        vertices = tuple(v[which] for v in self.vertices)
        rest = {f.name: getattr(self, f.name)[which] for f in fields(self) if f.name != "vertices"}
        return Cells(vertices, **rest)

    def join(self, other: Cells) -> Cells:
        """These and others."""
        vertices = tuple(np.concatenate(pair) for pair in zip(self.vertices, other.vertices, strict=True))
        rest = {
            f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)])
            for f in fields(self)
            if f.name != "vertices"
        }
        return Cells(vertices, **rest)

    def split(self) -> Cells:
        """Two halves of each, cut through the edge that lowers the bound at the relaxed maximum most.

        A half keeps its parent's slopes, which are still above on it, and its parent's bound.
        """
        count = len(self)
        best, unit, first, second, part = (np.full(count, -1.0), *np.zeros((3, count), dtype=int), np.zeros(count))
        for m, (vertices, (a, b)) in enumerate(zip(self.vertices, pairwise(self.ends), strict=True)):
            weights = np.clip((self.means[:, None, a:b] @ inverse(vertices))[:, 0], 0.02, None)
            weights /= weights.sum(axis=1, keepdims=True)
            for j, k in combinations(range(vertices.shape[1]), 2):
                both = weights[:, j] + weights[:, k]
                share = np.clip(weights[:, k] / both, 0.35, 0.65)
                middle = _between(vertices[:, j], vertices[:, k], share)
                chord = (1 - share) * negative_entropy(vertices[:, j]) + share * negative_entropy(vertices[:, k])
                score = both * (chord - negative_entropy(middle))
                found = (score, m, j, k, share)
                wins = score > best
                best, unit, first, second, part = (
                    np.where(wins, new, old) for new, old in zip(found, (best, unit, first, second, part), strict=True)
                )
        lower = [v.copy() for v in self.vertices]
        upper = [v.copy() for v in self.vertices]
        for m, vertices in enumerate(self.vertices):
            at = np.flatnonzero(unit == m)
            middle = _between(vertices[at, first[at]], vertices[at, second[at]], part[at])
            lower[m][at, second[at]] = middle
            upper[m][at, first[at]] = middle
        halves = [replace(self, vertices=half, heights=_heights(half, count)) for half in (tuple(lower), tuple(upper))]
        return halves[0].join(halves[1])


def negative_entropy(v: np.ndarray) -> np.ndarray:
    """``sum v ln v`` along the last axis, convex; 0 at 0."""
    return np.asarray((v * np.log(np.where(v > 0, v, 1.0))).sum(axis=-1))


def _heights(vertices: Sequence[np.ndarray], count: int) -> np.ndarray:
    found = [negative_entropy(v).mean(axis=1) - negative_entropy(v.mean(axis=1)) for v in vertices]
    return np.array(found).reshape(-1, count).T


def _between(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.asarray(a * (1 - share)[:, None] + b * share[:, None])


def inverse(matrices: np.ndarray) -> np.ndarray:
    """``(N, n, n)`` inverses; pseudo-inverses where a simplex has become flat, which no bound relies on."""
    try:
        return np.asarray(np.linalg.inv(matrices))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(matrices))
