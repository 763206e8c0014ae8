"""Several experiments at once, each in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.queues import Queue
from threading import Thread
from typing import TypeVar

import torch

from bounds.errors import InputError
from bounds.progress import no_progress
from toy_models.experiments.study import Experiment, Finding, Setting

#: Called with what is under way, how many of its items are done, and of how many.
Watch = Callable[[str, int, int], None]

_Item = TypeVar("_Item")
_News = tuple[str, int, int] | None
_news: Queue[_News]


def side_by_side(
    experiments: Sequence[Experiment], setting: Setting, processes: int, watch: Watch
) -> Iterator[Finding]:
    """The findings in the order in which they come; one thread of linear algebra for each process.

    Small models gain nothing from a second thread, so on ``n`` cores ``n`` processes end almost ``n`` times as early.
    When interrupted the processes are stopped; what they measured is kept.

    Raises:
        InputError: what an experiment refuses, or a process that ended, as for want of memory.
    """
    context = get_context("spawn")  # a fork would inherit torch's locks
    news: Queue[_News] = context.Queue()
    listener = Thread(target=_listen, args=(news, watch), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(processes, context, initializer=_start, initargs=(news,))
    try:
        alone = replace(setting, track=no_progress)  # a tracker of this process is of no use in another
        for done in as_completed([pool.submit(_run, experiment, alone) for experiment in experiments]):
            yield done.result()
    except BrokenProcessPool:
        raise InputError(
            "a process of an experiment ended, perhaps for want of memory: use fewer with --processes 1; what was "
            "measured is kept"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            process.terminate()
        news.put(None)
        listener.join()


def _listen(news: Queue[_News], watch: Watch) -> None:
    while (one := news.get()) is not None:
        watch(*one)


def _start(news: Queue[_News]) -> None:
    """Prepares a process."""
    global _news
    _news = news
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process stops this one
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """A first process that was killed stops nobody."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(experiment: Experiment, setting: Setting) -> Finding:
    return experiment(replace(setting, track=_report))


def _report(items: Iterable[_Item], description: str, total: int) -> Iterable[_Item]:
    for done, item in enumerate(items):
        _news.put((description, done, total))
        yield item
    _news.put((description, total, total))
