"""Long work passes its items through a tracker, which may show how far it has come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

_Item = TypeVar("_Item")


class Track(Protocol):
    """Passes items on and shows progress, as ``rich.progress.track`` does."""

    def __call__(self, items: Iterable[_Item], description: str, total: int) -> Iterable[_Item]:
        """The items, unchanged."""
        ...


def no_progress(items: Iterable[_Item], description: str, total: int) -> Iterable[_Item]:
    """Shows nothing.

    >>> list(no_progress("ab", "spelling", 2))
    ['a', 'b']
    """
    return items
