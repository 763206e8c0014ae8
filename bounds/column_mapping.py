"""Which columns of a file make up which modality: ``name=columns``."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence

from bounds.errors import InputError
from bounds.samples import did_you_mean
from bounds.subsets import check_names


def assign(specs: Sequence[str], known: Sequence[str], what: str = "column") -> dict[str, list[int]]:
    """Which columns each modality takes, as positions in ``known``.

    >>> assign(["image=px_*", "text=w0:w1"], ["id", "px_0", "px_1", "w0", "w1"])
    {'image': [1, 2], 'text': [3, 4]}

    Raises:
        InputError: no ``name=columns``, a modality twice, an unknown column, a pattern without match, a reversed range,
            a column twice, or without ``specs`` a column whose name cannot be a modality's.
    """
    if not known:
        raise InputError(f"there are no {what}s")
    if not specs:
        return {_own_modality(name, i, what): [i] for i, name in enumerate(known)}
    taken: dict[int, str] = {}
    chosen: dict[str, list[int]] = {}
    for spec in specs:
        modality, equals, columns = (part.strip() for part in spec.partition("="))
        if not equals or not modality or not columns:
            raise InputError(f"modality {spec!r}: write name={what}s, such as 'image=px_*' or 'text=w0:w9'")
        check_names([modality], 1)
        if modality in chosen:
            raise InputError(f"modality {modality!r} is given twice: list its {what}s in one, separated by commas")
        chosen[modality] = []
        for position in _positions(columns, known, what):
            if position in taken:
                where = "twice in" if taken[position] == modality else f"in {taken[position]!r} and in"
                raise InputError(f"{what} {known[position]!r} is {where} modality {modality!r}: name it once")
            taken[position] = modality
            chosen[modality].append(position)
    return chosen


def _own_modality(name: str, position: int, what: str) -> str:
    if not name:
        raise InputError(
            f"{what} {position + 1} has no name (a saved index?): remove it, or choose others with --modalities"
        )
    try:
        return check_names([name], 1)[0]
    except InputError:
        raise InputError(
            f"{what} {name!r} cannot give its name to a modality, as it has one of the characters , ; | ( ) + = : "
            f"rename it with --modalities 'name={name}'"
        ) from None


def _positions(text: str, known: Sequence[str], what: str) -> Iterator[int]:
    """The columns named on the right side of a specification. A name as it is comes before any other reading."""
    if text in known:
        yield known.index(text)
        return
    for item in (part.strip() for part in text.split(",")):
        if item in known:
            yield known.index(item)
        elif ":" in item:
            yield from _range(item, known, what)
        elif any(c in item for c in "*?["):
            matches = [i for i, name in enumerate(known) if fnmatch.fnmatchcase(name, item)]
            if not matches:
                raise InputError(f"no {what} matches {item!r}: {did_you_mean(item, known)}")
            yield from matches
        else:
            raise InputError(f"there is no {what} {item!r}: {did_you_mean(item, known)}")


def _range(item: str, known: Sequence[str], what: str) -> range:
    """``first:last``, in the order of the file, at whichever colon both sides are known."""
    cuts = [(item[:i].strip(), item[i + 1 :].strip()) for i, c in enumerate(item) if c == ":"]
    first, last = next((cut for cut in cuts if cut[0] in known and cut[1] in known), cuts[0])
    for end in (first, last):
        if end not in known:
            raise InputError(f"there is no {what} {end!r} for the range {item!r}: {did_you_mean(end, known)}")
    start, stop = known.index(first), known.index(last)
    if start > stop:
        raise InputError(f"the range {item!r} is reversed: in the file {last!r} comes first, write {last}:{first}")
    return range(start, stop + 1)


def check_unique(names: Sequence[str], what: str) -> None:
    """Raises InputError if a file has two columns or arrays of one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{what} {name!r} is in the file twice: {what} names must differ")
        seen.add(name)
