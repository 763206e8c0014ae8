"""Work done in a process of its own, with limits: for libraries that a damaged file can stop, or keep busy for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from bounds.errors import InputError
from bounds.memory import available_bytes

#: Seconds of computing that any file may take, and bytes for which it may take one more.
SECONDS, BYTES_A_SECOND = 10, 1 << 20
#: Wall-clock seconds for each second of computing, for machines that are busy.
PATIENCE = 10
_PROBLEM = "problem.txt"
_REFUSED = 3


def contained(target: str, path: str, arguments: Sequence[str], folder: str, library: str) -> None:
    """Calls a function of ours with a file, in a process with limits on time and memory.

    Args:
        target: ``module:function``, which is called with ``path``, ``folder`` and ``arguments``.
        path: the file.
        arguments: text.
        folder: where the function leaves what it found.
        library: what may stop on a damaged file, in words.

    Raises:
        InputError: what the function raises, or that the file stopped the library or kept it busy.
    """
    seconds = SECONDS + os.path.getsize(path) // BYTES_A_SECOND
    given = [target, str(seconds), str(available_bytes() // 2), path, folder, *arguments]
    code = start(given, PATIENCE * seconds)
    if code == 0:
        return
    problem = Path(folder) / _PROBLEM
    if code == _REFUSED and problem.exists():
        raise InputError(problem.read_text(encoding="utf-8"))
    raise InputError(f"is damaged: {library} stopped on it, or did not come to an end within {seconds} s")


def start(given: Sequence[str], wall_seconds: float) -> int:
    """The exit code of :func:`work` in a new interpreter."""
    code = "import sys; from bounds.contained import work; sys.exit(work(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *given],
            env=environment,
            timeout=wall_seconds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1
    return done.returncode


def work(given: Sequence[str]) -> int:
    """What the process does: its limits, then the function, whose refusal is left in the folder."""
    target, seconds, memory, path, folder, *arguments = given
    module, _, function = target.partition(":")
    called = getattr(import_module(module), function)
    _limit(int(seconds), int(memory))
    try:
        called(path, folder, arguments)
    except InputError as error:
        problem = str(error)
    except MemoryError:
        problem = "needs more memory than is free, or is damaged"
    else:
        return 0
    Path(folder, _PROBLEM).write_text(problem, encoding="utf-8", errors="replace")
    return _REFUSED


def _limit(seconds: int, memory: int) -> None:
    """Limits this process where the system can: computing time, and memory beyond what it has now."""
    try:
        import resource

        has = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    for limit, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, has + memory),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        if hard == resource.RLIM_INFINITY or value < hard:
            resource.setrlimit(limit, (value, hard))
