"""Statistics of parts in a folder, so that a repeated run does only what is missing."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from bounds.errors import InputError
from bounds.streaming.parts import fingerprint
from bounds.streaming.tasks import Outcome, Task

#: Part of every name: changes when what is kept changes its meaning.
_FORMAT = "1"


class Kept:
    """The folder.

    A file belongs to one part as it was, by its size and time of change, and to one task.

    Args:
        folder: made if it is not there.

    Raises:
        InputError: no folder can be made there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--keep {folder}: no folder can be made there ({error.strerror})") from None

    def find(self, task: Task, part: str) -> Outcome | None:
        """What was kept, or ``None``. A file that is damaged counts as not there."""
        path = self._path(task, part)
        if path is None or not path.exists():
            return None
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                return Outcome(task.restore(dict(arrays)))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None

    def put(self, task: Task, part: str, outcome: Outcome) -> None:
        """Keeps the statistic of a part, whole or not at all.

        Raises:
            InputError: a full disk.
        """
        path = self._path(task, part)
        if outcome.statistic is None or path is None:
            return
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as file:
                np.savez(file, allow_pickle=False, **outcome.statistic.to_arrays())
            os.replace(file.name, path)
        except OSError as error:
            raise InputError(f"--keep {self._folder}: cannot write there ({error.strerror})") from None

    def _path(self, task: Task, part: str) -> Path | None:
        marks = fingerprint(part)
        if marks is None:
            return None
        digest = hashlib.sha256("\n".join([_FORMAT, *marks, repr(task)]).encode()).hexdigest()
        return self._folder / f"{os.path.basename(part)}-{digest[:16]}.npz"
