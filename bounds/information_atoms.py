"""The atoms of the information diagram: what exactly some modalities share, and which of it Delta counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.functional import Functional
from bounds.quantity import Quantity
from bounds.schemes import SubsetScheme
from bounds.subsets import format_subset, submasks


@dataclass(frozen=True)
class InformationAtoms:
    """The atoms of some modalities, in nats.

    Attributes:
        names: the modalities.
        values: nonempty subset to its atom; an atom of three or more modalities may be negative.
        shares: scheme to the share of each atom that its Delta counts, ``Delta = sum_A shares[A] values[A]``.
    """

    names: tuple[str, ...]
    values: Mapping[int, Quantity]
    shares: Mapping[str, Mapping[int, Fraction]]


def atom(names: Iterable[str], subset: int) -> Functional:
    """What the modalities of a nonempty subset share and the others do not tell (Yeung's I-measure).

    By inclusion and exclusion, with ``R`` the others: ``sum_{B in subset} (-1)^(|B|+1) H(X_B, X_R)``. Of one modality
    it is ``H(X_m|X_R)``, of two ``I(X_m;X_n|X_R)``.

    Args:
        names: of all modalities.
        subset: bitmask of those that share.

    Raises:
        InputError: the empty subset, or one that is out of range.

    >>> print(atom(["X", "Y"], 0b11))
    H(X) + H(Y) - H(X,Y)
    """
    names = tuple(names)
    if not 0 < subset < 1 << len(names):
        raise InputError(f"atom {subset}: give a nonempty subset of {len(names)} modalities as a bitmask")
    rest = ~subset & ((1 << len(names)) - 1)
    return Functional(names, {part | rest: -1 if part.bit_count() % 2 == 0 else 1 for part in submasks(subset)})


def delta_share(scheme: SubsetScheme, subset: int) -> Fraction:
    """The share of an atom that Delta counts: the weight of the encoded subsets that have none of its modalities.

    >>> from bounds.schemes import mmvae
    >>> delta_share(mmvae(3), 0b001), delta_share(mmvae(3), 0b111)
    (Fraction(2, 3), Fraction(0, 1))
    """
    return sum((weight for encoded, weight in scheme if not encoded & subset), Fraction(0))


def information_atoms(
    h: EntropyVector, schemes: Iterable[SubsetScheme] = (), *, confidence: float = 0.95
) -> InformationAtoms:
    """All atoms of the modalities, each with one interval for its whole combination of entropies.

    Args:
        h: entropies; units finer than modalities are taken together.
        schemes: mixtures over subsets whose Delta is to be found in the atoms. Others have none and are left out.
        confidence: of each interval.

    Raises:
        InputError: a scheme over another number of modalities.

    >>> parity = EntropyVector(["X", "Y", "Z"], [0, 1, 1, 2, 1, 2, 2, 2])
    >>> {mask: float(q) for mask, q in information_atoms(parity).values.items()}
    {1: 0.0, 2: 0.0, 3: 1.0, 4: 0.0, 5: 1.0, 6: 1.0, 7: -1.0}
    """
    coarse = h.at_modality_level()
    count = coarse.n_modalities
    known = [scheme for scheme in schemes if scheme.objective != "sub-sampled"]
    for scheme in known:
        if scheme.n_modalities != count:
            raise InputError(
                f"scheme {scheme.label} is over {scheme.n_modalities} modalities, the entropies over {count}"
            )
    values = {
        mask: coarse.evaluate(
            atom(coarse.names, mask), name=f"atom {format_subset(mask, coarse.names)}", confidence=confidence
        )
        for mask in range(1, 1 << count)
    }
    return InformationAtoms(
        coarse.names, values, {scheme.label: {mask: delta_share(scheme, mask) for mask in values} for scheme in known}
    )
