"""Symbols that differ by private noise only are one symbol for every optimum of the theory (T4).

If ``p(rest | x_m)`` is the same for two symbols of a unit, then which of the two it is, is noise that nothing else
knows. A decoder draws it from ``p(x_m | group)`` for free, whatever the latent, so the irreducible loss is that of the
law with the groups in place of the symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bounds.dual.program import SAME
from bounds.joints import Discrete


@dataclass(frozen=True, eq=False)
class Reduced:
    """A law over groups of symbols.

    Attributes:
        law: over groups, one variable for each unit.
        groups: for each unit ``(k,)``, the group of each symbol.
        shares: for each unit ``(k,)``, the probability of the symbol in its group.
    """

    law: Discrete
    groups: tuple[np.ndarray, ...]
    shares: tuple[np.ndarray, ...]

    def lift(self, blocks: list[np.ndarray]) -> list[np.ndarray]:
        """Decoders of symbols ``(K, k)`` from decoders of groups."""
        return [block[:, g] * s for block, g, s in zip(blocks, self.groups, self.shares, strict=True)]


def without_private_noise(law: Discrete, beta: float = 1.0) -> Reduced:
    """Groups symbols of a unit that have the same conditional law of everything else, up to rounding.

    For ``beta < 1`` nothing is grouped: the latent may carry private noise for less than drawing it costs.

    >>> noisy = Discrete([[0.1, 0.1], [0.2, 0.2], [0.3, 0.1]])  # rows 0 and 1 say the same about the column
    >>> without_private_noise(noisy).law.pmf.shape
    (2, 2)
    """
    p = law.pmf.reshape(law.unit_alphabets)
    groups: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    for unit in range(p.ndim):
        table = np.moveaxis(p, unit, 0).reshape(p.shape[unit], -1)
        mass = table.sum(axis=1)
        group = np.full(len(mass), -1)
        kinds: list[np.ndarray] = []
        for x in range(len(mass)):
            rest = table[x] / mass[x] if mass[x] > 0 else np.full(table.shape[1], np.nan)
            same = [i for i, kind in enumerate(kinds) if beta >= 1 and np.abs(kind - rest).max() <= SAME]
            group[x] = same[0] if same else len(kinds)
            if not same:
                kinds.append(rest)
        total = np.bincount(group, mass)
        shares.append(np.divide(mass, total[group], out=np.ones(len(mass)), where=total[group] > 0))
        groups.append(group)
        merged = np.zeros((len(kinds), table.shape[1]))
        np.add.at(merged, group, table)
        rest_shape = [k for u, k in enumerate(p.shape) if u != unit]
        p = np.moveaxis(merged.reshape(len(kinds), *rest_shape), 0, unit)
    layout = law.layout
    sizes = [units.bit_count() for units in layout.modality_units]
    return Reduced(Discrete(p, layout.names, sizes, "scalar"), tuple(groups), tuple(shares))
