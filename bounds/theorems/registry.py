"""Every claim by id, and the checking of many."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from types import MappingProxyType

from bounds.errors import InputError
from bounds.theorems import corollaries, gaussian, t0, t1, t2, t3, t4, t5, t6, t8, t9, t10
from bounds.theorems.base import Theorem
from bounds.theorems.checking import DEFAULT_EXAMPLES, Verdict, check

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


def verify_all(theorems: Sequence[Theorem], examples: int, seed: int, processes: int = 1) -> Iterator[Verdict]:
    """Verdicts in the order of the theorems, each as soon as it and those before are there."""
    if processes == 1:
        yield from (check(theorem, examples, seed) for theorem in theorems)
        return
    # Claims are functions, which do not travel between processes; their ids do.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(_check_by_id, theorem.id, examples, seed) for theorem in theorems]
        for one in waiting:
            yield one.result()


def _check_by_id(id: str, examples: int, seed: int) -> Verdict:
    return check(REGISTRY[id], examples, seed)
