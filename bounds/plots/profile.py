"""The entropies of all subsets against their size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bounds.irreducible import IrreducibleError
from bounds.plots.style import BEST, HOLDS, Unit, axes, finish, in_unit, ink, per_example, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def entropy_profile(result: IrreducibleError, ax: Axes | None = None, unit: Unit = "nats") -> Axes:
    """Entropy of every subset against its size, their mean, and the line it would follow without dependence.

    The line has slope ``mean_m H(X_m)``, so its distance from ``H(X)`` at the right is the total correlation.

    Args:
        result: of :func:`bounds.irreducible_error`.
        ax: what is drawn on; by default a new figure.
        unit: nats or bits.
    """
    ax = axes(ax)
    h, count = result.entropies, len(result.names)
    known: dict[int, list[float]] = {0: [0.0]}
    for mask in range(1, 1 << count):
        if mask not in h.refusals and math.isfinite(h[mask]):
            known.setdefault(mask.bit_count(), []).append(in_unit(h[mask], unit))
    for size, values in known.items():
        if size:
            ax.scatter([size] * len(values), values, s=18, color=HOLDS, alpha=0.6, zorder=3)
    # a mean over some subsets only would bend the line
    means = [
        sum(values) / len(values) if len(values := known.get(size, [])) == math.comb(count, size) else math.nan
        for size in range(count + 1)
    ]
    ax.plot(range(count + 1), means, color=BEST, label="mean over subsets of a size")
    if math.isfinite(means[1]):
        straight = [0, count * means[1]]
        ax.plot([0, count], straight, ":", color=ink(ax), label="the same if modalities were independent")
    ax.set_xticks(range(count + 1))
    ax.set_xlabel("modalities in the subset")
    ax.set_ylabel(per_example("entropy" if result.kind == "discrete" else "differential entropy", unit))
    if len(known) == 1:
        return say(ax, "no entropy to draw")
    return finish(ax)
