"""Files that arrive as bytes, as from a browser, read as the files on disk are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bounds.density_audit import DensityModel
from bounds.errors import InputError
from bounds.evaluation import Evaluation
from bounds.evaluation_files import read_evaluation
from bounds.joints import Discrete, Gaussian
from bounds.readers import read
from bounds.samples import Samples

_Read = TypeVar("_Read")


def read_uploaded(name: str, contents: bytes, modalities: Sequence[str] = ()) -> Samples | Discrete | Gaussian:
    """A dataset or a law from the bytes of a file.

    Args:
        name: of the file; its suffix says how to read it.
        contents: of the file.
        modalities: as for :func:`bounds.readers.read`.

    Raises:
        InputError: what the reader refuses; the message names the file as it was called.

    >>> print(read_uploaded("two.csv", b"a,b\\n1,0\\n0,1\\n1,1\\n").names)
    ('a', 'b')
    """
    return _on_disk(name, contents, lambda path: read(path, modalities))


def read_uploaded_evaluation(name: str, contents: bytes) -> tuple[Evaluation, DensityModel | None]:
    """An evaluation, and the density model in it if there is one, from the bytes of a file.

    Args:
        name: of the file; its suffix says how to read it.
        contents: of the file.

    Raises:
        InputError: what :func:`bounds.evaluation_files.read_evaluation` refuses, in the name of the file.
    """
    return _on_disk(name, contents, read_evaluation)


def _on_disk(name: str, contents: bytes, reader: Callable[[str], _Read]) -> _Read:
    """Reads from a temporary file of the same suffix, whose name no message shows."""
    with tempfile.TemporaryDirectory(prefix="bounds-") as folder:
        path = os.path.join(folder, f"upload{Path(name).suffix}")
        Path(path).write_bytes(contents)
        try:
            return reader(path)
        except InputError as error:
            raise InputError(str(error).replace(path, name)) from None
