"""All identities by name."""

from __future__ import annotations

from functools import cache
from itertools import chain

from bounds.errors import InputError
from bounds.symbolic import closed_forms, likelihoods, linear_gaussian, structure
from bounds.symbolic.identity import Identity


@cache
def _by_name() -> dict[str, Identity]:
    sources = (structure, closed_forms, linear_gaussian, likelihoods)
    found: dict[str, Identity] = {}
    for one in chain.from_iterable(source.identities() for source in sources):
        if one.name in found:
            raise AssertionError(f"two identities are named {one.name}")
        found[one.name] = one
    return found


def identities(name: str = "") -> tuple[Identity, ...]:
    """All identities, or those of one name: the name itself, and all that continue it after a dot.

    >>> [one.name for one in identities("T8.mopoe-limit.value")]
    ['T8.mopoe-limit.value.above', 'T8.mopoe-limit.value.below']
    >>> all(one.holds for one in identities("T8.increment"))
    True

    Raises:
        InputError: no identity has that name.
    """
    found = tuple(one for key, one in _by_name().items() if not name or key == name or key.startswith(f"{name}."))
    if not found:
        raise InputError(f"no identity is named {name!r}: known are {', '.join(sorted(_by_name()))}")
    return found


def identity(name: str) -> Identity:
    """One identity by its full name.

    >>> print(identity("T8.gaussian.delta.mmvae"))
    T8.gaussian.delta.mmvae: Delta of mmvae: reduces to zero

    Raises:
        InputError: no identity has that name.
    """
    if name not in _by_name():
        raise InputError(f"no identity is named {name!r}: see identities({name.rpartition('.')[0]!r})")
    return _by_name()[name]
