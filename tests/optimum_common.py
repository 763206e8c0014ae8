"""Oracles for the best ELBO that share no code with it: everything from the table, subset by subset, cell by cell."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bounds import Discrete, OptimalElbo, SubsetScheme, mmvae
from bounds.subsets import members

#: Sums of at most some thousand terms of size one, each rounded by 1e-16, with logarithms of at most 40 between them.
ROUNDING = 1e-11


@dataclass(frozen=True)
class Seen:
    """One encoded subset with what it sees: ``(A, x_A)``.

    Attributes:
        subset: bitmask of the modalities.
        values: the symbols of its units.
        mass: ``w_A p(x_A)``.
        law: ``(*k_u)``, ``p(x|x_A)``.
    """

    subset: int
    values: tuple[int, ...]
    mass: float
    law: np.ndarray


def units_of(law: Discrete, subset: int) -> list[int]:
    """The units of some modalities."""
    return [unit for m in members(subset) for unit in members(law.layout.modality_units[m])]


def all_seen(law: Discrete, scheme: SubsetScheme) -> list[Seen]:
    """Every ``(A, x_A)`` of positive probability."""
    p = law.pmf.reshape(law.unit_alphabets)
    found = []
    for subset, weight in scheme:
        units = units_of(law, subset)
        for values in np.ndindex(*[p.shape[u] for u in units]):
            part = np.zeros_like(p)
            where = tuple(values[units.index(u)] if u in units else slice(None) for u in range(p.ndim))
            part[where] = p[where]
            mass = part.sum()
            if mass > 0:
                found.append(Seen(subset, values, float(weight) * mass, part / mass))
    return found


def likelihood(seen: Seen, decoder: Sequence[np.ndarray], power: float = 1.0) -> float:
    """``exp(-s d_A(x_A, v))``: the expectation of ``ln v(X)`` over all cells of the table."""
    total = 0.0
    for cell in zip(*np.nonzero(seen.law), strict=True):
        v = math.prod(float(table[x]) for table, x in zip(decoder, cell, strict=True))
        if v == 0:
            return 0.0
        total += seen.law[cell] * math.log(v)
    return math.exp(power * total)


def dual_bound(law: Discrete, scheme: SubsetScheme, found: OptimalElbo, decoder: Sequence[np.ndarray]) -> float:
    """``sum_A w_A E ln c_A + ln G_c(v)`` at one decoder: no more than what the dual point proves (T4)."""
    constant, g = 0.0, 0.0
    for seen in all_seen(law, scheme):
        c = float(found.dual[seen.subset][seen.values])
        constant += seen.mass * math.log(c)
        g += seen.mass * likelihood(seen, decoder, 1 / found.beta) / c
    return found.beta * (constant + math.log(g)) if g > 0 else -math.inf


def decoders(law: Discrete, rng: np.random.Generator, count: int) -> list[list[np.ndarray]]:
    """Decoders of all kinds: up to 64 of the vertices, and random ones near vertices, near edges and in the middle."""
    alphabets = law.unit_alphabets
    vertices = list(itertools.islice(itertools.product(*[np.eye(k) for k in alphabets]), 64))
    spread = [float(s) for s in rng.choice([0.1, 0.5, 1.0, 5.0], count)]
    random = [[rng.dirichlet(np.full(k, s)) for k in alphabets] for s in spread]
    return [*map(list, vertices), *random]


def climb(law: Discrete, scheme: SubsetScheme, found: OptimalElbo, decoder: list[np.ndarray]) -> list[np.ndarray]:
    """A better decoder: each unit's law becomes the mean of what is seen, weighted by its term of ``G_c``."""
    rows = all_seen(law, scheme)
    for _ in range(5):
        share = [s.mass * likelihood(s, decoder, 1 / found.beta) / float(found.dual[s.subset][s.values]) for s in rows]
        if sum(share) == 0:
            return decoder
        mean = sum(a * s.law for a, s in zip(share, rows, strict=True)) / sum(share)
        decoder = [mean.sum(axis=tuple(v for v in range(mean.ndim) if v != u)) for u in range(mean.ndim)]
    return decoder


def alternating_minimisation(
    law: Discrete, scheme: SubsetScheme, latents: int, rng: np.random.Generator, beta: float = 1.0, steps: int = 200
) -> float:
    """What plain alternating minimisation (T4) from a random start reaches: encoders, then prior and decoders."""
    rows = all_seen(law, scheme)
    mass = np.array([s.mass for s in rows])
    targets = []
    for u in range(rows[0].law.ndim):
        others = tuple(v for v in range(rows[0].law.ndim) if v != u)
        targets.append(np.array([s.law.sum(axis=others) for s in rows]))
    prior = np.full(latents, 1 / latents)
    tables = [rng.dirichlet(np.ones(c.shape[1]), latents) for c in targets]
    value = -math.inf
    for _ in range(steps):
        with np.errstate(divide="ignore"):
            logs = np.log(prior) + sum(_expected(c, np.log(v)) for c, v in zip(targets, tables, strict=True)) / beta
        top = logs.max(axis=1, keepdims=True)
        posterior = np.exp(logs - top)
        total = posterior.sum(axis=1, keepdims=True)
        value = beta * float(mass @ (np.log(total) + top)[:, 0])
        joint = posterior / total * mass[:, None]
        prior = joint.sum(axis=0)
        kept = prior > 1e-100
        prior, joint = prior[kept], joint[:, kept]
        tables = [(joint.T @ c) / prior[:, None] for c in targets]
    return value


def _expected(law: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """``(R, K)``: expectations where ``0 ln 0`` is 0."""
    possible = np.where(np.isfinite(logs), logs, 0.0)
    missing = (law > 0).astype(float) @ np.isinf(logs).T.astype(float)
    return np.where(missing > 0, -np.inf, law @ possible.T)


def loss_of_encoders(law: Discrete, scheme: SubsetScheme, found: OptimalElbo) -> float:
    """``TC(X|Z) + I(A;Z|X)`` of the encoders found (T3), from the entropies of one table over ``A, X, Z``."""
    p = law.pmf.reshape(law.unit_alphabets)
    layers = []
    for subset, weight in scheme:
        units = units_of(law, subset)
        q = found.model.encoders[subset]
        shape = [p.shape[u] if u in units else 1 for u in range(p.ndim)]
        layers.append(float(weight) * p[..., None] * q.reshape(*shape, q.shape[-1]))
    table = np.array(layers)  # A, X_1, ..., X_n, Z
    a, z, x = 0, table.ndim - 1, tuple(range(1, table.ndim - 1))
    conditional = [_entropy(table, (u, z)) - _entropy(table, (z,)) for u in x]
    tc = math.fsum(conditional) - (_entropy(table, (*x, z)) - _entropy(table, (z,)))
    label = _entropy(table, (a, *x)) + _entropy(table, (*x, z)) - _entropy(table, x) - _entropy(table, (a, *x, z))
    return tc + label


def _entropy(table: np.ndarray, axes: Sequence[int]) -> float:
    marginal = table.sum(axis=tuple(i for i in range(table.ndim) if i not in axes)).reshape(-1)
    marginal = marginal[marginal > 0]
    return -math.fsum(marginal * np.log(marginal))


def pair(correlation: float, rate: float = 0.5) -> Discrete:
    """Two bits of one rate with this correlation."""
    both = rate**2 + correlation * rate * (1 - rate)
    return Discrete([[1 - 2 * rate + both, rate - both], [rate - both, both]])


def exchangeable_bits(count: int, correlation: float) -> Discrete:
    """Copies of a hidden fair bit through one binary symmetric channel; each two have this correlation."""
    flip = (1 - math.sqrt(correlation)) / 2
    table = np.zeros((2,) * count)
    for side in ([1 - flip, flip], [flip, 1 - flip]):
        product = np.ones(())
        for _ in range(count):
            product = np.multiply.outer(product, np.array(side))
        table += product / 2
    return Discrete(table)


def sum_modulo(base: int) -> Discrete:
    """Two independent uniform numbers and their sum modulo ``base``."""
    table = np.zeros((base,) * 3)
    for a, b in itertools.product(range(base), repeat=2):
        table[a, b, (a + b) % base] = 1 / base**2
    return Discrete(table)


def small_case(seed: int) -> tuple[Discrete, SubsetScheme]:
    """A table of two units or three bits, empty cells among them, and a scheme; the certificate closes in no time."""
    rng = np.random.default_rng([4, seed])
    alphabet = [(2, 2), (2, 3), (3, 3), (2, 2, 2), (3, 2, 2)][seed % 5]
    table = rng.dirichlet(np.full(math.prod(alphabet), rng.choice([0.3, 1.0])))
    if seed % 3 == 0:
        table[rng.random(table.size) < 0.3] = 0.0
        table[0] += 0.05
    sizes = [1, 2] if len(alphabet) == 3 and seed % 2 else None
    law = Discrete((table / table.sum()).reshape(alphabet), sizes=sizes, units="scalar")
    count = len(law.names)
    if seed % 4 == 0:
        return law, mmvae(count)
    subsets = rng.permutation(1 << count)[: rng.integers(1, 1 << count)].tolist()
    weights = rng.integers(1, 6, len(subsets))
    shares = {int(s): float(w) / float(weights.sum()) for s, w in zip(subsets, weights, strict=True)}
    return law, SubsetScheme(shares, count, allow_empty=True)
