"""Laws, schemes and finite models decoded from a string of bytes.

One string of bytes is one case. Zero bytes give the simplest case: one modality, uniform laws, a constant latent.
Probabilities are ratios of small integers, so ties and zeros are common. One table in :data:`RARE` is sparse, one in
:data:`RARE` consists of laws of one point, and one discrete law in :data:`RARE` has a variable that is constant. One
Gaussian of two modalities in five is nearly singular: its correlation matrix has an eigenvalue below 1e-3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TypeVar

import numpy as np

from bounds.common_cause import CommonCause
from bounds.finite import TabularVAE
from bounds.joints import Discrete, Gaussian
from bounds.schemes import SubsetScheme, full, mmvae, mopoe
from bounds.subsets import members, union

#: Largest integer weight of a cell, before normalising.
MAX_WEIGHT = 9
#: Cells of a decoded law at most, so that examples stay small and fast; more than six modalities are all binary.
MAX_CELLS = 64
#: One case in so many has a corner that equally likely weights hardly ever have.
RARE = 8

_Item = TypeVar("_Item")


@dataclass
class Choices:
    """Reads choices from bytes, one after the other; past the end every byte is zero.

    >>> choices = Choices(bytes([5, 1]))
    >>> choices.integer(1, 3), choices.pick("abc"), choices.integer(1, 3)
    (3, 'b', 1)
    """

    data: bytes
    position: int = 0

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        chunk = self.data[self.position : self.position + count]
        self.position += count
        return chunk.ljust(count, b"\0")

    def take(self, count: int) -> np.ndarray:
        """The next ``count`` bytes as floats."""
        return np.frombuffer(self.read(count), dtype=np.uint8).astype(np.float64)

    def integer(self, low: int, high: int) -> int:
        """A number from ``low``, which zero bytes give, to ``high``."""
        return low + self.read(1)[0] % (high - low + 1)

    def pick(self, items: Sequence[_Item]) -> _Item:
        """One of a few items, the first for zero bytes."""
        return items[self.integer(0, len(items) - 1)]

    def rarely(self) -> bool:
        """Whether to make a corner of the case: once in :data:`RARE`, and not for zero bytes."""
        return self.integer(1, RARE) == RARE

    def laws(self, shape: Sequence[int]) -> np.ndarray:
        """A table whose last axis holds laws of small rationals, rarely sparse or of one point each.

        Zero bytes give uniform ones.
        """
        kind = self.integer(1, RARE)
        drawn = self.take(math.prod(shape)).reshape(shape)
        if kind == RARE:
            return np.asarray(np.eye(shape[-1])[drawn.argmax(axis=-1)])
        table = drawn % (MAX_WEIGHT + 1)
        if kind == RARE - 1:
            table[table <= MAX_WEIGHT // 2] = 0
        return normalised(table)


def normalised(mass: np.ndarray) -> np.ndarray:
    """Laws along the last axis; those without any mass, which must be laws too, are uniform."""
    totals = mass.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(totals > 0, mass, 1.0) / np.where(totals > 0, totals, mass.shape[-1]))


def discrete_law(choices: Choices, modalities: Sequence[int], max_alphabet: int = 3, units: int = 1) -> Discrete:
    """A table of small rationals over as many modalities as ``modalities`` allows, of up to ``units`` units each.

    Rarely sparse, all on one cell, or with one variable that always has the same value.
    """
    count = choices.pick(modalities)
    sizes = [choices.integer(1, units) for _ in range(count)]
    shape = [choices.integer(2, max_alphabet) for _ in range(sum(sizes))]
    for i in reversed(range(len(shape))):
        if math.prod(shape) > MAX_CELLS:
            shape[i] = 2
    pmf = choices.laws([math.prod(shape)]).reshape(shape)
    if choices.rarely():
        constant = choices.integer(0, len(shape) - 1)
        value = np.arange(shape[constant]) == choices.integer(0, shape[constant] - 1)
        pmf = np.moveaxis(pmf.sum(axis=constant)[..., None] * value, -1, constant)
    return Discrete(pmf, sizes=sizes, units="scalar")


def linear_code(choices: Choices, modalities: Sequence[int], bits: int = 2, units: int = 1) -> Discrete:
    """Modalities that are linear functions of ``bits`` fair bits: copies, parities, summaries.

    Their entropies are ranks, so dependence of every order is common, which random tables hardly ever have. With
    ``units > 1`` a modality may be that many equal pixels. Every other code is of single bits only.
    """
    count = choices.pick(modalities)
    single = choices.integer(0, 1) == 0
    words = np.arange(1 << bits)
    values: list[np.ndarray] = []
    sizes = []
    cells = 1
    for left in reversed(range(count)):
        # The bits of one number say which linear forms of the word the modality shows.
        last = (1 << bits) - 1
        forms = (choices.integer(0, last - 1),) if single else members(choices.integer(1, (1 << last) - 1))
        repeated = choices.integer(1, units)
        # Room is left for two symbols of each modality to come.
        room = MAX_CELLS // (cells << left)
        unit = _shown(words, forms)
        if unit.max() >= room:
            unit = _shown(words, forms[:1])
        symbols = int(unit.max()) + 1
        while repeated > 1 and symbols**repeated > room:
            repeated -= 1
        cells *= symbols**repeated
        values += [unit] * repeated
        sizes.append(repeated)
    pmf = np.zeros([int(v.max()) + 1 for v in values])
    np.add.at(pmf, tuple(values), 1 / len(words))
    return Discrete(pmf, sizes=sizes, units="scalar")


def _shown(words: np.ndarray, forms: Sequence[int]) -> np.ndarray:
    """For each word the number of the symbol that some linear forms of it make up."""
    shown = sum((np.bitwise_count(words & form + 1).astype(int) % 2) << i for i, form in enumerate(forms))
    return np.asarray(np.unique(shown, return_inverse=True)[1])


def gaussian_law(
    choices: Choices, modalities: Sequence[int], max_size: int = 2, scalar_units: bool = False
) -> Gaussian:
    """``L L'`` with ``L`` of small rationals: uncorrelated for zero bytes, strongly correlated and odd scales else."""
    sizes = [choices.integer(1, max_size) for _ in range(choices.pick(modalities))]
    d = sum(sizes)
    lower = np.zeros((d, d))
    lower[np.tril_indices(d, -1)] = (choices.take(d * (d - 1) // 2) % 9 + 4) % 9 / 2 - 2
    lower[np.diag_indices(d)] = [choices.pick((1.0, 0.5, 2.0, 0.1)) for _ in range(d)]
    scale = choices.pick((1.0, 0.01, 100.0))
    return Gaussian(scale**2 * lower @ lower.T, sizes, units="scalar" if scalar_units else None)


def common_cause_law(choices: Choices, modalities: Sequence[int], max_units: int = 2) -> CommonCause:
    """A shared label and discrete private parts of up to ``max_units`` units, which may depend on the label."""
    count = choices.pick(modalities)
    label = choices.laws([choices.integer(1, 3)])
    parts: list[np.ndarray | None] = []
    for _ in range(count):
        shape = [choices.integer(1, 2) for _ in range(choices.integer(0, max_units))]
        tables = choices.laws([len(label), math.prod(shape)])
        parts.append(tables.reshape([len(label), *shape]) if shape else None)
    return CommonCause(label, parts)


def subset_scheme(choices: Choices, n_modalities: int, allow_empty: bool = False) -> SubsetScheme:
    """MMVAE, MoPoE, the full set, or arbitrary rational weights."""
    family = choices.pick((mmvae, mopoe, full, None, None))
    if family is not None:
        return _of_family(family, n_modalities)
    first = 0 if allow_empty else 1
    weights = (choices.take((1 << n_modalities) - first) % 5).astype(int)
    if not weights.any():
        weights[-1] = 1
    total = int(weights.sum())
    chosen = {first + i: Fraction(int(weight), total) for i, weight in enumerate(weights) if weight}
    return SubsetScheme(chosen, n_modalities, allow_empty=allow_empty)


@cache
def _of_family(family: Callable[[int], SubsetScheme], n_modalities: int) -> SubsetScheme:
    return family(n_modalities)


def tabular_model(choices: Choices, law: Discrete, scheme: SubsetScheme, max_latents: int = 3) -> TabularVAE:
    """Any prior, decoders and encoders; a constant latent for zero bytes."""
    latents = choices.integer(1, max_latents)
    alphabets = law.unit_alphabets
    prior = choices.laws([latents])
    decoders = [choices.laws([latents, k]) for k in alphabets]
    encoders = {
        subset: choices.laws([*(alphabets[u] for u in members(union(law.layout.modality_units, subset))), latents])
        for subset, _ in scheme
    }
    return TabularVAE(prior, decoders, encoders)


def code_model(choices: Choices, law: Discrete, scheme: SubsetScheme, max_codes: int = 4) -> TabularVAE:
    """Encoders ``q_A(z|x_A) = P(f(X) = z | x_A)`` of a code ``f`` of the whole data, which each subset guesses.

    The prior is that of the code, the decoders ``P(x_u|f = z)``, blurred by a few per cent so that a wrong guess has a
    finite cost.
    """
    alphabets = law.unit_alphabets
    table = law.pmf.reshape(alphabets)
    cells = np.argwhere(table > 0)
    counted = choices.integer(0, 1) == 0
    labels = np.arange(len(cells)) if counted else choices.take(len(cells)).astype(int)
    labels %= max_codes
    joint = np.zeros([*alphabets, int(labels.max()) + 1])
    joint[(*cells.T, labels)] = table[tuple(cells.T)]

    def given(units: Sequence[int]) -> np.ndarray:
        """``(*k_u for some units, Z)``: their joint law with the code."""
        return np.asarray(joint.sum(axis=tuple(u for u in range(len(alphabets)) if u not in units)))

    blur = choices.pick((0.1, 0.3, 0.02, 0.2))
    decoders = [(1 - blur) * normalised(given([u]).T) + blur / k for u, k in enumerate(alphabets)]
    encoders = {subset: normalised(given(members(union(law.layout.modality_units, subset)))) for subset, _ in scheme}
    return TabularVAE(normalised(given([])), decoders, encoders)
