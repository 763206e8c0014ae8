"""What a command writes, and where: standard output, standard error, a progress bar, files.

Whatever cannot be written is an error of one line, like bad input, and never a traceback.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from bounds.errors import InputError
from bounds.progress import Track

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress

_Item = TypeVar("_Item")


def run(program: str, work: Callable[[], int]) -> int:
    """The exit code of some work: its own, 2 after an ``InputError``, 130 when interrupted.

    A reader of the output who has gone, as in ``bounds demo | head``, is no fault of anyone: 0.
    """
    if sys.stderr is None:  # closed, as by `2>&-`; print would take standard output instead
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    try:
        if sys.stdout is None:
            raise InputError("cannot write to standard output: it is closed")
        return work()
    except InputError as error:
        say(f"{program}: error: {error}")
        return 2
    except BrokenPipeError:
        _discard(sys.stdout)
        return 0
    except KeyboardInterrupt:
        say(f"{program}: interrupted")
        return 130
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            _discard(sys.stderr)


@contextmanager
def standard_output() -> Iterator[None]:
    """What is printed inside has arrived at the end.

    Raises:
        InputError: a full disk, a closed file, an encoding that lacks a character.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard(sys.stdout)
        raise InputError(f"cannot write to standard output: {error.strerror}") from None
    except UnicodeEncodeError as error:
        raise InputError(
            f"cannot write to standard output: its encoding {error.encoding} has no {error.object[error.start]!r}; set "
            "PYTHONIOENCODING=utf-8"
        ) from None


def _discard(stream: TextIO) -> None:
    """Sends to nowhere what is still to be written, which Python would try again, and report, when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(line: str) -> None:
    """A line on standard error, if there is anywhere for it to go."""
    with suppress(OSError):
        print(line, file=sys.stderr)


def print_rich(*renderables: RenderableType) -> None:
    """Tables and text of rich on standard output."""
    console = _console(sys.stdout)
    with console.capture() as text:  # by itself a console ends the program where output has no reader
        console.print(*renderables, sep="\n")
    sys.stdout.write(text.get())


def progress() -> Progress:
    """A bar on standard error while something runs, if somebody can see it."""
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    # Steps may take minutes: the spinner shows that they are still being worked on.
    columns = (SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn())
    return Progress(*columns, console=_console(sys.stderr), transient=True, disable=not sys.stderr.isatty())


def tracker(bar: Progress) -> Track:
    """Passes items on and shows on a bar how far they have come."""

    def track(items: Iterable[_Item], description: str, total: int) -> Iterable[_Item]:
        return bar.track(items, total=total, description=description)

    return track


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    # Piped output is not wrapped to an imagined terminal.
    return Console(file=stream, width=None if stream.isatty() else 160, highlight=False)


def check_writable(path: Path, new_folder: bool = False) -> None:
    """Refuses what :func:`write` could not write, before the work that it is to hold.

    The folder must exist; a new one will also be made, with those that it is in.

    Raises:
        InputError: a directory, link or device, no such folder, or one in which no file can be made.
    """
    with _writing(path):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise InputError(f"cannot write {path}: it exists and is not a regular file; choose another name")
        folder = path.parent
        while new_folder and not os.path.lexists(folder):
            folder = folder.parent
        if not os.path.lexists(folder):
            raise InputError(f"cannot write {path}: the folder {folder} does not exist")
        with tempfile.TemporaryFile(dir=folder):
            pass


def write(path: Path, content: str | bytes, *, announced: bool = True) -> None:
    """Writes all or nothing: to a neighbour first, then renamed. Only regular files are replaced.

    A line on standard error says what was written, unless it is not to be ``announced``.

    Raises:
        InputError: as :func:`check_writable`, or no space is left.
    """
    check_writable(path, new_folder=True)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    if announced:
        say(f"wrote {path}")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
