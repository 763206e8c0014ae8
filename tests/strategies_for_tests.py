"""Random laws and schemes for the tests of the core, and the slow direct path they are compared with."""

import itertools
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from bounds import SubsetScheme
from bounds.subsets import members


@st.composite
def shapes(draw, min_axes=1, max_axes=4, max_side=4, max_cells=300):
    """Shapes of small tables, axes of one symbol among them."""
    axes = draw(st.integers(min_axes, max_axes))
    shape = []
    for _ in range(axes):
        room = max_cells // int(np.prod(shape, initial=1))
        shape.append(draw(st.integers(1, max(1, min(max_side, room)))))
    return tuple(shape)


@st.composite
def pmfs(draw, shape=None, **limits):
    """Tables of integer weights over their sum: zeros, ties, copies and point masses all occur."""
    shape = draw(shapes(**limits)) if shape is None else shape
    cells = int(np.prod(shape))
    weights = np.array(draw(st.lists(st.integers(0, 6), min_size=cells, max_size=cells)))
    if not weights.any():
        weights[draw(st.integers(0, cells - 1))] = 1
    return (weights / weights.sum()).reshape(shape)


@st.composite
def covariances(draw, min_size=1, max_size=6):
    """Regular covariances: integer loadings plus noise whose variance is at least 1."""
    size = draw(st.integers(min_size, max_size))
    latents = draw(st.integers(1, size))
    loadings = np.array(draw(st.lists(st.integers(-3, 3), min_size=size * latents, max_size=size * latents)))
    noise = draw(st.lists(st.integers(1, 5), min_size=size, max_size=size))
    loadings = loadings.reshape(size, latents).astype(float)
    return loadings @ loadings.T + np.diag(noise)


@st.composite
def block_sizes(draw, total):
    """``total`` split into consecutive positive blocks."""
    cuts = [draw(st.booleans()) for _ in range(total - 1)]
    ends = [i + 1 for i, cut in enumerate(cuts) if cut] + [total]
    return [b - a for a, b in itertools.pairwise([0, *ends])]


@st.composite
def schemes(draw, count, allow_empty=True):
    """Rational weights over some subsets of ``count`` modalities."""
    masks = draw(st.lists(st.integers(0 if allow_empty else 1, (1 << count) - 1), min_size=1, max_size=6, unique=True))
    weights = draw(st.lists(st.integers(1, 9), min_size=len(masks), max_size=len(masks)))
    total = sum(weights)
    exact = {mask: Fraction(w, total) for mask, w in zip(masks, weights, strict=True)}
    return SubsetScheme(exact, count, allow_empty=True)


def random_pmf(rng, shape, zeros=0.0):
    """A table with about a share ``zeros`` of empty cells."""
    table = rng.exponential(size=shape)
    table[rng.random(shape) < zeros] = 0.0
    table.reshape(-1)[0] += 1e-3
    return table / table.sum()


def direct_entropy(pmf, mask):
    """The entropy of one marginal, term by term."""
    rest = tuple(axis for axis in range(pmf.ndim) if not mask >> axis & 1)
    marginal = pmf.sum(axis=rest).reshape(-1)
    marginal = marginal[marginal > 0]
    return -float(np.sum(marginal * np.log(marginal))) if mask else 0.0


def variables_of(mask, sizes):
    """The indices of the variables in a bitmask of consecutive blocks."""
    ends = list(itertools.accumulate(sizes))
    return [v for block in members(mask) for v in range(ends[block] - sizes[block], ends[block])]


def direct_gaussian_entropy(cov, mask, sizes):
    """The differential entropy of one subset of blocks, by ``slogdet``."""
    inside = variables_of(mask, sizes)
    if not inside:
        return 0.0
    sign, logdet = np.linalg.slogdet(cov[np.ix_(inside, inside)])
    assert sign > 0
    return 0.5 * (len(inside) * np.log(2 * np.pi * np.e) + float(logdet))
