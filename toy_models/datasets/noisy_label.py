"""A law with dials: every modality shows one label, perhaps through noise, and private symbols of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq

from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.joints import Discrete, check_countable
from bounds.layout import Layout
from bounds.memory import check_fits
from bounds.subsets import union

#: Cells of the largest table that is written out unasked: 8 MiB.
TABLE_CELLS = 1 << 20


@dataclass(frozen=True)
class NoisyLabel:
    """``X_m = (Y_m, U_m)``: a noisy copy ``Y_m`` of one uniform label ``Y``, and private units.

    With probability ``noise`` the copy is a fresh uniform symbol instead (a symmetric channel). Each private symbol is
    uniform and shown by ``copies`` units: a total correlation inside the modality that no other modality explains, and
    so irreducible loss at the granularity of units. The closed forms are those of THEORY T8 with ``H(Y_A)`` in the
    place of ``H(Y)``.

    Args:
        n_modalities: how many modalities.
        shared_symbols: of the label.
        private_symbols: values of each private symbol.
        units: private units of each modality, besides the one that shows the label; 0 for nothing private.
        copies: units that show the same private symbol.
        noise: probability that a modality shows a fresh symbol instead of the label.

    Raises:
        InputError: a number out of its range.

    >>> law = NoisyLabel(3, shared_symbols=4, private_symbols=2, units=2, copies=2)
    >>> round(law.shared_information / math.log(2), 6), round(law.private_information / math.log(2), 6)
    (2.0, 1.0)
    """

    n_modalities: int
    shared_symbols: int = 2
    private_symbols: int = 2
    units: int = 1
    copies: int = 1
    noise: float = 0.0

    def __post_init__(self) -> None:
        least = {"n_modalities": 1, "shared_symbols": 1, "private_symbols": 2, "units": 0, "copies": 1}
        for field, lowest in least.items():
            if getattr(self, field) < lowest:
                raise InputError(f"{field}={getattr(self, field)}: give at least {lowest} (units=0: nothing private)")
        if self.units % self.copies:
            raise InputError(f"{self.units} private units in groups of {self.copies} copies: copies must divide units")
        if not 0 <= self.noise <= 1:
            raise InputError(f"noise={self.noise}: give a probability from 0 to 1")

    @property
    def symbols(self) -> int:
        """Symbols that a unit of a modality may have: the larger of the label's and a private unit's."""
        return max(self.shared_symbols, self.private_symbols if self.units else 1)

    @property
    def parts(self) -> int:
        """Independent private symbols of each modality."""
        return self.units // self.copies

    @cached_property
    def layout(self) -> Layout:
        """Every modality has its copy of the label first, then its private units."""
        size = 1 + self.units
        return Layout.of(size * self.n_modalities, [size] * self.n_modalities, "scalar")

    @property
    def shared_information(self) -> float:
        """``I(X_m; X_l)`` of two modalities, in nats: ``ln shared_symbols`` without noise."""
        # From one copy to the other is again a symmetric channel: fresh unless both show the label.
        return channel_information(self.shared_symbols, self.noise * (2 - self.noise))

    @property
    def private_information(self) -> float:
        """``H(U_m)`` of each modality, in nats. (The noise of the label is private too, and not counted.)"""
        return self.parts * math.log(self.private_symbols)

    @property
    def pixel_total_correlation(self) -> float:
        """``TC`` of the units of a modality given the label, in nats: what copies of private symbols share."""
        return (self.units - self.parts) * math.log(self.private_symbols)

    def label_table(self) -> np.ndarray:
        """The law of ``(Y_1, .., Y_M)``: one axis per modality.

        Raises:
            InputError: a table too large for memory.
        """
        k = self.shared_symbols
        check_fits("the table of all labels", (k,) * self.n_modalities, "take fewer modalities or symbols")
        channel = (1 - self.noise) * np.eye(k) + self.noise / k
        table = np.zeros((k,) * self.n_modalities)
        for row in channel:
            shown = np.array(1 / k)
            for _ in range(self.n_modalities):
                shown = np.multiply.outer(shown, row)
            table += shown
        return table

    def entropy_vector(self) -> EntropyVector:
        """Exact entropies of all subsets of the modalities, in nats; no table of the private units is made."""
        check_countable(self.layout.names)
        labels = Discrete(self.label_table()).entropy_vector().values
        counts = np.array([mask.bit_count() for mask in range(len(labels))])
        return EntropyVector(self.layout.names, labels + counts * self.private_information)

    def unit_entropies(self) -> EntropyVector:
        """Exact entropies of each ``X_A`` alone and with one more decoder unit, in nats."""
        layout, whole = self.layout, self.entropy_vector().values
        values: dict[int, float] = {}
        for subset, entropy in enumerate(whole.tolist()):
            known = union(layout.modality_units, subset)
            values[known] = entropy
            for m in range(self.n_modalities):
                if not subset >> m & 1:
                    first = m * (1 + self.units)
                    with_label = float(whole[subset | 1 << m]) - self.private_information
                    values[known | 1 << first] = with_label
                    for unit in range(first + 1, first + 1 + self.units):
                        values[known | 1 << unit] = entropy + math.log(self.private_symbols)
        return EntropyVector.over_units(layout, values, "discrete")

    @property
    def table_shape(self) -> tuple[int, ...]:
        """The shape of the probability table, one axis per unit."""
        return (self.shared_symbols, *[self.private_symbols] * self.units) * self.n_modalities

    def to_discrete(self) -> Discrete:
        """The same law as a table with one axis per unit.

        Raises:
            InputError: a table too large for memory (said before it is allocated).
        """
        check_fits("the table of this law", self.table_shape, "use its entropies directly, they need no table")
        private = np.zeros((self.private_symbols,) * self.units)
        for shown in np.ndindex((self.private_symbols,) * self.parts):
            private[tuple(symbol for symbol in shown for _ in range(self.copies))] = self.private_symbols**-self.parts
        table = self.label_table()
        for _ in range(self.n_modalities):
            # The first axis is the next modality's label: it goes to the end, and its private units follow.
            table = np.multiply.outer(np.moveaxis(table, 0, -1), private)
        return Discrete(table, self.layout.names, self.layout.sizes, "scalar")

    def sample(self, size: int, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """``size`` draws, without any table: for each modality ``(size, 1 + units)``, and the labels ``(size,)``."""
        labels = rng.integers(self.shared_symbols, size=size)
        draws = {}
        for name in self.layout.names:
            fresh = rng.integers(self.shared_symbols, size=size)
            copy = np.where(rng.random(size) < self.noise, fresh, labels)
            private = rng.integers(self.private_symbols, size=(size, self.parts))
            draws[name] = np.column_stack([copy, np.repeat(private, self.copies, axis=1)])
        return draws, labels


def channel_information(symbols: int, noise: float) -> float:
    """What a symmetric channel tells of a uniform symbol that it replaces with probability ``noise``, in nats.

    >>> round(channel_information(2, 0.0), 6), channel_information(2, 1.0)
    (0.693147, 0.0)
    """
    same, other = 1 - noise + noise / symbols, noise / symbols
    # The Kullback-Leibler divergence of the channel's row from the uniform law.
    terms = [same * math.log(same * symbols)] if same else []
    if other:
        terms += [other * math.log(other * symbols)] * (symbols - 1)
    return math.fsum(terms)


def noise_for(shared_information: float, shared_symbols: int) -> float:
    """The noise at which two modalities share so many nats: the inverse of ``NoisyLabel.shared_information``.

    Raises:
        InputError: more than ``ln shared_symbols``, or less than nothing.

    >>> noise_for(math.log(4), 4)
    0.0
    """
    most = channel_information(shared_symbols, 0.0)
    if not 0 <= shared_information <= most:
        raise InputError(
            f"{shared_information:.6g} nats shared by labels of {shared_symbols} symbols: give 0 .. {most:.6g}, "
            "or more symbols"
        )
    if shared_information in (0.0, most):
        return 1.0 if shared_information == 0.0 else 0.0
    both = brentq(lambda noise: channel_information(shared_symbols, noise) - shared_information, 0.0, 1.0, xtol=1e-15)
    return 1 - math.sqrt(1 - both)
