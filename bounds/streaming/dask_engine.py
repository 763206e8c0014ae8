"""A task on all parts, on the workers of a Dask cluster."""

from __future__ import annotations

import logging
import os
import signal
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import reduce
from typing import Any

from bounds.damage import first_line
from bounds.errors import InputError
from bounds.progress import Track
from bounds.streaming.keep import Kept
from bounds.streaming.tasks import Outcome, Task


class OnDask:
    """Parts on workers. Their statistics come to this machine as they are done, and are merged in the order of parts.

    So the result does not depend on which worker was first, and a worker that dies loses nothing but the part that it
    is reading, which Dask repeats. A part whose workers died again and again is tried once more on its own, because it
    may have been another part that they died of, and is named if that fails too.

    Args:
        client: of the cluster.
        track: shows progress.
        kept: where statistics are kept.
    """

    def __init__(self, client: Any, track: Track, kept: Kept | None = None) -> None:
        self._client, self._track, self._kept = client, track, kept

    def total(self, task: Task, parts: Sequence[str], description: str) -> Outcome:
        """What comes of all parts together."""
        done = {part: found for part in parts if self._kept and (found := self._kept.find(task, part))}
        missing = [part for part in parts if part not in done]
        doubtful, total, merged = [], Outcome(None), 0
        for part, outcome, _ in self._track(self._sweep(task, missing), description, len(missing)):
            done[part] = outcome or Outcome(None)
            if not outcome:
                doubtful.append(part)
            while merged < len(parts) and parts[merged] in done:
                total = total.merge(done.pop(parts[merged]))
                merged += 1
        for part in doubtful:
            ((_, outcome, cause),) = self._sweep(task, [part])
            total = total.merge(outcome or _no_worker(part, cause))
        return reduce(Outcome.merge, done.values(), total)  # what is left was kept, with no part that was missing

    def _sweep(self, task: Task, parts: Sequence[str]) -> Iterator[tuple[str, Outcome | None, BaseException | None]]:
        """Each part with what came of it, or with the reason why no worker returned."""
        from distributed import as_completed

        light = task.on_one_thread()
        futures = {self._client.submit(light, part, key=_key(part), pure=False): part for part in parts}
        for future in as_completed(list(futures)):
            part = futures.pop(future)
            error = future.exception()
            if error:
                yield part, None, error
                continue
            outcome = future.result()
            if self._kept:
                self._kept.put(task, part, outcome)
            yield part, outcome, None


def _key(part: str) -> str:
    """What Dask calls the work on a part; never the same twice, or it would return what it remembers."""
    return f"{os.path.basename(part)}-{uuid.uuid4().hex}"


def _no_worker(part: str, cause: BaseException | None) -> Outcome:
    from distributed import KilledWorker

    name = os.path.basename(part)
    if isinstance(cause, KilledWorker):
        return Outcome(
            None, {part: f"{name}: every worker that read it died, of too little memory perhaps"}, frozenset([part])
        )
    return Outcome(None, {part: f"{name}: the workers cannot do this ({type(cause).__name__}: {cause})"})


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C: this one hears it and stops them, and they print no tracebacks."""
    if threading.current_thread() is not threading.main_thread():  # elsewhere Python lets nobody set this
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def client(scheduler: str | None) -> Iterator[Any]:
    """A client of the cluster with this scheduler, or of one on this machine with a worker for each core.

    Raises:
        InputError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError(
            f"--engine dask needs Dask ({first_line(error)}): pip install 'multimodal-bounds[distributed]'"
        ) from None
    with ExitStack() as stack:
        try:
            cluster: Any = scheduler
            if not scheduler:
                with _deaf_to_ctrl_c():
                    local = LocalCluster(threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL)
                cluster = stack.enter_context(local)
            found = stack.enter_context(Client(cluster))
        except (OSError, TimeoutError, ValueError) as error:
            where = f"no Dask scheduler answers at {scheduler}" if scheduler else "no Dask cluster starts here"
            raise InputError(f"{where} ({first_line(error)})") from None
        yield found
