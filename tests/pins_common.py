"""What the tests of pinned values share: random laws and models, printed digits, and slow obvious oracles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from bounds import CommonCause, Discrete, Gaussian, SubsetScheme, full, mmvae, mopoe
from bounds.subsets import members, union
from toy_models import TabularVAE, random_model

LN2 = math.log(2)

#: Entropies of these small laws are sums of at most a few thousand terms of size 1 in float64, each rounded by
#: 1e-16; identities between a handful of them agree to this, absolutely.
IDENTITY = 1e-10


def assert_printed(value: float, digits: str) -> None:
    """``value`` rounds to the printed digits: it is within half a unit of the last one."""
    decimals = len(digits.partition(".")[2])
    assert abs(value - float(digits)) <= 0.5 * 10**-decimals * (1 + 1e-9), f"{value} is not {digits}"


def assert_closed(value: float, closed_form: float) -> None:
    """Equal up to rounding, relative 1e-12 (absolute below 1)."""
    assert abs(value - closed_form) <= 1e-12 * max(1.0, abs(closed_form)), f"{value} is not {closed_form}"


def h2(p: float) -> float:
    """Entropy of a Bernoulli variable in nats."""
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


def dsbs(crossover: float) -> Discrete:
    """A fair bit and its copy through a binary symmetric channel."""
    return Discrete([[(1 - crossover) / 2, crossover / 2], [crossover / 2, (1 - crossover) / 2]])


def xor_triple() -> Discrete:
    """Two independent fair bits and their sum modulo 2."""
    pmf = np.zeros((2, 2, 2))
    for a in (0, 1):
        for b in (0, 1):
            pmf[a, b, a ^ b] = 0.25
    return Discrete(pmf)


def from_functions(
    n_bits: int, columns: Sequence, sizes: Sequence[int] | None = None, units: Sequence[int] | str | None = None
) -> Discrete:
    """The law of functions of independent fair bits, one axis for each function."""
    rows = [[int(column(*bits)) for column in columns] for bits in np.ndindex(*[2] * n_bits)]
    shape = np.max(rows, axis=0) + 1
    pmf = np.zeros(shape)
    for row in rows:
        pmf[tuple(row)] += 0.5**n_bits
    return Discrete(pmf, sizes=sizes, units=units)


def pixel_copies() -> Discrete:
    """``X_m = (Y, V_m, V_m)`` in pixels: six fair-bit units of three bits."""
    columns = [lambda y, a, b: y, *[lambda y, a, b: a] * 2, lambda y, a, b: y, *[lambda y, a, b: b] * 2]
    return from_functions(3, columns, sizes=[3, 3], units="scalar")


def independent_and_copies(copies: int) -> Discrete:
    """``X_1`` a fair bit; ``X_2`` one modality of several pixel copies of another, independent one."""
    return from_functions(2, [lambda a, b: a, *[lambda a, b: b] * copies], sizes=[1, copies], units="scalar")


def equicorrelated(n: int, rho: float, sd: float = 1.0) -> Gaussian:
    """``n`` Gaussians of standard deviation ``sd``, each pair with correlation ``rho``."""
    return Gaussian(sd**2 * ((1 - rho) * np.eye(n) + rho))


def random_law(
    rng: np.random.Generator, alphabet: Sequence[int], sizes: Sequence[int] | None = None, units: str | None = None
) -> Discrete:
    """A Dirichlet table; in half of the cases a third of its cells are zero."""
    pmf = rng.dirichlet(np.full(math.prod(alphabet), rng.choice([0.2, 1.0, 5.0])))
    if rng.random() < 0.5:
        pmf[rng.random(pmf.size) < 1 / 3] = 0.0
        pmf[rng.integers(pmf.size)] += 0.1
    return Discrete(pmf.reshape(alphabet) / pmf.sum(), sizes=sizes, units=units)


def random_scheme(rng: np.random.Generator, n_modalities: int) -> SubsetScheme:
    """MMVAE, MoPoE, MVAE or random weights on random subsets, the empty one sometimes among them."""
    kind = rng.integers(5)
    if kind < 3:
        return (mmvae, mopoe, full)[kind](n_modalities)
    subsets = rng.permutation(1 << n_modalities)[: rng.integers(1, 1 << n_modalities)]
    weights = rng.integers(1, 9, len(subsets))
    total = int(weights.sum())
    return SubsetScheme(
        {int(a): Fraction(int(w), total) for a, w in zip(subsets, weights, strict=True)}, n_modalities, allow_empty=True
    )


def random_case(seed: int) -> tuple[Discrete, SubsetScheme, TabularVAE]:
    """A law of two or three modalities with one or two variables each, a scheme and a model."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 3, rng.integers(2, 4)).tolist()
    alphabet = rng.integers(1 if seed % 5 == 0 else 2, 4, sum(sizes)).tolist()
    law = random_law(rng, alphabet, sizes, "scalar" if seed % 2 else None)
    scheme = random_scheme(rng, len(sizes))
    return law, scheme, random_model(law, scheme, int(rng.integers(1, 6)), rng, float(rng.choice([0.3, 1.0, 4.0])))


def random_covariance(rng: np.random.Generator, n: int) -> np.ndarray:
    """A Wishart draw with some of its variables rescaled."""
    root = rng.normal(size=(n, n + int(rng.integers(1, 4)))) * np.exp(rng.normal(size=(n, 1)))
    return root @ root.T / n


@dataclass(frozen=True)
class Enumerated:
    """One subset of a tabular model as plain matrices, seen cells by unseen cells: an oracle that shares no code.

    ``p`` is ``(a, r)``, ``q`` is ``(a, z)``, ``seen`` and ``unseen`` are ``p_theta(x_A|z)``, ``p_theta(x_R|z)``.
    """

    p: np.ndarray
    q: np.ndarray
    prior: np.ndarray
    seen: np.ndarray
    unseen: np.ndarray

    @classmethod
    def of(cls, model: TabularVAE, law: Discrete, subset: int) -> Enumerated:
        layout = law.layout
        units = range(len(layout.unit_sizes))
        known = members(union(layout.modality_units, subset))
        rest = [u for u in units if u not in known]
        alphabet = [table.shape[1] for table in model.decoders]
        table = law.pmf.reshape(alphabet).transpose([*known, *rest])
        cells = math.prod(alphabet[u] for u in known)

        def likelihood(chosen: Sequence[int]) -> np.ndarray:
            rows = []
            for z in range(model.n_latents):
                row = np.ones(1)
                for u in chosen:
                    row = np.kron(row, model.decoders[u][z])
                rows.append(row)
            return np.array(rows)

        q = model.encoders[subset].reshape(cells, -1)
        return cls(table.reshape(cells, -1), q, model.prior, likelihood(known), likelihood(rest))

    @property
    def p_seen(self) -> np.ndarray:
        """``p(x_A)``."""
        return self.p.sum(axis=1)

    @property
    def elbo(self) -> float:
        """``L_A``, by loops."""
        total = 0.0
        for a, r, z in np.ndindex(*self.p.shape, len(self.prior)):
            mass = self.p[a, r] * self.q[a, z]
            if mass > 0:
                model = self.prior[z] * self.seen[z, a] * self.unseen[z, r]
                total += mass * (math.log(model) - math.log(self.q[a, z])) if model > 0 else -math.inf
        return total

    @property
    def evidence(self) -> float:
        """``E ln p_theta(x)``, by loops."""
        table = np.einsum("z,za,zr->ar", self.prior, self.seen, self.unseen)
        return -cross(self.p, table)

    def iwae(self, k: int, denominator: np.ndarray | None = None) -> float:
        """``L_{A,K}``: ``E ln (1/K) sum_k p_theta(x,z_k) / denominator(z_k)`` over all ``K``-tuples of latents.

        ``denominator`` is ``(a, r, z)``; by default the encoder's own density.
        """
        own = np.broadcast_to(self.q[:, None, :], (*self.p.shape, len(self.prior)))
        below = own if denominator is None else denominator
        total = 0.0
        for a, r in np.ndindex(*self.p.shape):
            if self.p[a, r] == 0:
                continue
            ratio = self.prior * self.seen[:, a] * self.unseen[:, r] / below[a, r]
            for latents in np.ndindex(*[len(self.prior)] * k):
                chosen = list(latents)
                total += self.p[a, r] * math.prod(self.q[a, chosen]) * math.log(np.mean(ratio[chosen]))
        return total


def joint_tables(model: TabularVAE, law: Discrete, scheme: SubsetScheme) -> tuple[np.ndarray, np.ndarray]:
    """``p(x) qbar(z|x)`` and ``Q(x, z)`` as ``(cells, z)``, built cell by cell: an oracle that shares no code."""
    alphabet = [table.shape[1] for table in model.decoders]
    truth, found = [], []
    for cell, p in zip(np.ndindex(*alphabet), law.pmf.reshape(-1), strict=True):
        mixture = np.zeros(model.n_latents)
        for subset, weight in scheme:
            seen = [u for m in members(subset) for u in members(law.layout.modality_units[m])]
            mixture += float(weight) * model.encoders[subset][tuple(cell[u] for u in seen)]
        truth.append(p * mixture)
        found.append(model.prior * np.prod([table[:, cell[u]] for u, table in enumerate(model.decoders)], axis=0))
    return np.array(truth), np.array(found)


def cross(p: np.ndarray, q: np.ndarray) -> float:
    """``-sum p ln q``, infinite where ``q = 0 < p``."""
    live = p > 0
    if (q[live] == 0).any():
        return math.inf
    return float(-(p[live] * np.log(q[live])).sum())


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """``KL(p || q)`` of two tables."""
    return cross(p, q) - cross(p, p)


@dataclass(frozen=True)
class LinearGaussianVAE:
    """Closed-form terms of a linear-Gaussian VAE on centred Gaussian data, one unit for each variable.

    ``z ~ N(0, I)``, ``x = W z + N(0, diag(psi))``, ``q_A = N(B x_A, S)``.
    """

    loadings: np.ndarray
    noise: np.ndarray

    def distortion(self, cov: np.ndarray, seen: Sequence[int], B: np.ndarray, S: np.ndarray) -> float:
        """``D_A``."""
        W, block = self.loadings, cov[np.ix_(seen, seen)]
        second = np.diag(cov) - 2 * np.diag(W @ B @ cov[seen]) + np.diag(W @ (B @ block @ B.T + S) @ W.T)
        return float(0.5 * np.sum(np.log(2 * math.pi * self.noise) + second / self.noise))

    def elbo(self, cov: np.ndarray, seen: Sequence[int], B: np.ndarray, S: np.ndarray) -> float:
        """``L_A``."""
        block = cov[np.ix_(seen, seen)]
        rate = 0.5 * (np.trace(S + B @ block @ B.T) - len(S) - np.linalg.slogdet(S)[1])
        return -self.distortion(cov, seen, B, S) - float(rate)

    def evidence(self, cov: np.ndarray, seen: Sequence[int]) -> float:
        """``E ln p_theta(x_A)``."""
        C = (self.loadings @ self.loadings.T + np.diag(self.noise))[np.ix_(seen, seen)]
        inside = np.trace(np.linalg.solve(C, cov[np.ix_(seen, seen)]))
        return -0.5 * float(len(seen) * math.log(2 * math.pi) + np.linalg.slogdet(C)[1] + inside)

    def posterior(self, seen: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """``B, S`` of the model's own posterior ``p_theta(z|x_A)``."""
        W = self.loadings[list(seen)]
        S = np.linalg.inv(np.eye(W.shape[1]) + W.T @ (W / self.noise[list(seen)][:, None]))
        return S @ (W / self.noise[list(seen)][:, None]).T, S


def random_linear_gaussian(rng: np.random.Generator, n: int, latents: int) -> LinearGaussianVAE:
    """Random loadings and noise."""
    return LinearGaussianVAE(rng.normal(size=(n, latents)), np.exp(rng.normal(size=n)))


def common_cause(rng: np.random.Generator, n_modalities: int, pixels: int, depends_on_label: bool) -> CommonCause:
    """``X_m = (Y, U_m)`` with random private parts of binary pixels, which depend on ``Y`` or do not."""
    parts = []
    for _ in range(n_modalities):
        tables = rng.dirichlet(np.ones(2**pixels), 3 if depends_on_label else 1).reshape(-1, *[2] * pixels)
        parts.append(np.broadcast_to(tables, (3, *[2] * pixels)))
    return CommonCause(rng.dirichlet(np.ones(3)), parts)
