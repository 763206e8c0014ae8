"""Every claim by id, and the checking of many."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

from bounds.errors import InputError
from bounds.theorems import corollaries, gaussian, t0, t1, t2, t3, t4, t5, t6, t8, t9, t10
from bounds.theorems.base import Theorem
from bounds.theorems.verify import DEFAULT_EXAMPLES, Verdict, verify_all

_FILES = (t0, corollaries, t1, t2, t3, t4, t5, t6, t8, gaussian, t9, t10)

#: Every claim by id, in the order of the theory.
REGISTRY: Mapping[str, Theorem] = MappingProxyType(
    {theorem.id: theorem for theorem in chain.from_iterable(file.THEOREMS for file in _FILES)}
)


def find(*ids: str) -> tuple[Theorem, ...]:
    """The claims of some ids, and of all that continue them after a dot; all of them for none.

    >>> [theorem.id for theorem in find("T0")]
    ['T0', 'T0.condition', 'T0.repair']

    Raises:
        InputError: an unknown id.
    """
    found: dict[str, Theorem] = {}
    for one in ids:
        matching = {key: theorem for key, theorem in REGISTRY.items() if key == one or key.startswith(f"{one}.")}
        if not matching:
            raise InputError(f"unknown theorem {one!r}: known are {', '.join(REGISTRY)}")
        found.update(matching)
    return tuple((found if ids else REGISTRY).values())


def verify(
    id: str | None = None, examples: int = DEFAULT_EXAMPLES, seed: int = 0, processes: int = 1
) -> tuple[Verdict, ...]:
    """Checks one claim with its continuations, or all of them.

    Args:
        id: of a claim; ``None`` for all.
        examples: random cases for each.
        seed: of the search.
        processes: how many claims are checked at a time.

    Raises:
        InputError: an unknown id, or fewer than one example.
    """
    theorems = find() if id is None else find(id)
    return tuple(verify_all(theorems, examples, seed, processes))
