"""Subsets of named variables as bitmasks: bit m set means variable m is in the subset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from bounds.errors import InputError

#: How a caller may write a subset: a bitmask, a name, or several names or indices.
SubsetLike = int | str | Iterable[int | str]


def mask_of(indices: Iterable[int]) -> int:
    """The bitmask of a collection of indices.

    >>> mask_of([0, 2])
    5
    """
    mask = 0
    for index in indices:
        mask |= 1 << index
    return mask


def members(mask: int) -> tuple[int, ...]:
    """The indices in a bitmask, ascending.

    >>> members(0b101)
    (0, 2)
    """
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return tuple(found)


def submasks(mask: int) -> Iterator[int]:
    """All subsets of a bitmask, from itself down to the empty set.

    >>> list(submasks(0b101))
    [5, 4, 1, 0]
    """
    subset = mask
    while True:
        yield subset
        if not subset:
            return
        subset = (subset - 1) & mask


def union(masks: Sequence[int], subset: int) -> int:
    """The union of ``masks[m]`` over the members ``m`` of ``subset``.

    >>> union([0b0011, 0b0100, 0b1000], 0b101)
    11
    """
    together = 0
    for index in members(subset):
        together |= masks[index]
    return together


def default_names(count: int) -> tuple[str, ...]:
    """``('X1', ..., 'X<count>')``."""
    return tuple(f"X{i + 1}" for i in range(count))


def check_names(names: Sequence[str] | None, count: int, what: str = "modality") -> tuple[str, ...]:
    """Validated names, or the default ones for ``None``.

    Raises:
        InputError: wrong number, an empty name, a duplicate, or a name that could not be parsed back.
    """
    if names is None:
        return default_names(count)
    if isinstance(names, str):
        raise InputError(f"{what} names must be a list of strings, not the one string {names!r}")
    checked = tuple(names)
    if len(checked) != count:
        raise InputError(f"{len(checked)} {what} names for {count}: give one name each")
    for name in checked:
        if not isinstance(name, str) or not name or any(c in name for c in ",;|()+="):
            raise InputError(f"{what} name {name!r}: use a nonempty string without , ; | ( ) + =")
    if len(set(checked)) < len(checked):
        twice = next(name for name in checked if checked.count(name) > 1)
        raise InputError(f"{what} name {twice!r} is used twice: names must differ")
    return checked


def parse_subset(subset: SubsetLike, names: Sequence[str]) -> int:
    """The bitmask of a subset written as a mask, a name, or names and indices.

    >>> parse_subset(("image", 2), ["image", "text", "sound"])
    5

    Raises:
        InputError: an unknown name, or an index or mask out of range.
    """
    if isinstance(subset, int | np.integer):
        if not 0 <= subset < 1 << len(names):
            raise InputError(f"subset mask {subset} is out of range for {len(names)} variables")
        return int(subset)
    mask = 0
    for item in [subset] if isinstance(subset, str) else subset:
        if isinstance(item, str):
            if item not in names:
                raise InputError(f"unknown name {item!r}: known are {', '.join(names)}")
            mask |= 1 << list(names).index(item)
        else:
            if not isinstance(item, int | np.integer) or not 0 <= item < len(names):
                raise InputError(f"index {item} is out of range for {len(names)} variables")
            mask |= 1 << int(item)
    return mask


def format_subset(mask: int, names: Sequence[str], separator: str = ",") -> str:
    """The names in a bitmask, joined.

    >>> format_subset(0b101, ["X1", "X2", "X3"])
    'X1,X3'
    """
    return separator.join(names[index] for index in members(mask))
