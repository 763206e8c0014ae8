"""A task on all parts, one after the other: the engine for one machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Protocol

from bounds.progress import Track
from bounds.streaming.keep import Kept
from bounds.streaming.tasks import Outcome, Task


class Engine(Protocol):
    """Runs tasks."""

    def total(self, task: Task, parts: Sequence[str], description: str) -> Outcome:
        """What comes of all parts together."""
        ...


class OneByOne:
    """Parts one after the other, each on all cores; at any time two statistics are in memory."""

    def __init__(self, track: Track, kept: Kept | None = None) -> None:
        self._track, self._kept = track, kept

    def total(self, task: Task, parts: Sequence[str], description: str) -> Outcome:
        """What comes of all parts together."""
        done = self._track((self._one(task, part) for part in parts), description, len(parts))
        return reduce(Outcome.merge, done, Outcome(None))

    def _one(self, task: Task, part: str) -> Outcome:
        known = self._kept.find(task, part) if self._kept else None
        if known:
            return known
        outcome = task(part)
        if self._kept:
            self._kept.put(task, part, outcome)
        return outcome
