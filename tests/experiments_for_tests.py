"""Experiments without training, at the top level of a module so that another process can be told to run them."""

import os
import signal
import time
from multiprocessing import parent_process

from matplotlib.figure import Figure

from toy_models.experiments import Experiment, Finding, Setting


def _in_process(setting: Setting) -> Finding:
    for _ in setting.track("ab", "spelling", 2):
        pass
    numbers = {"process": os.getpid()}
    return Finding("here", "where?", "it ran", {"it ran": True}, numbers, Figure)


def _ended(setting: Setting) -> Finding:
    setting.kept("m", "before the end", lambda folder: {"a": 1})
    os._exit(1)


def _orphaned(setting: Setting) -> Finding:
    """Kills the first process."""
    parent = parent_process()
    assert parent is not None
    os.kill(parent.pid, signal.SIGKILL)
    time.sleep(600)
    raise AssertionError("it was to end with its parent")


HERE = Experiment("here", "where?", _in_process)
THERE = Experiment("there", "where?", _in_process)
ORPHANED = Experiment("orphaned", "why?", _orphaned)
ENDED = Experiment("ended", "why?", _ended)
