"""Errors of libraries about damaged files, as one line of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bounds.errors import InputError

#: Characters of a message about a file.
LONGEST = 800


def first_line(error: BaseException) -> str:
    """The first line of an error, or the last if it is a traceback; printable characters only.

    >>> first_line(ValueError("Traceback (most recent call last):\\n  here\\nPermissionError: no"))
    'PermissionError: no'
    """
    lines = (str(error).strip() or type(error).__name__).splitlines()
    line = lines[-1 if lines[0].startswith("Traceback") else 0]
    return "".join(c for c in line if c.isprintable()).strip(" :")


def shortened(message: str) -> str:
    """A message as one line, which what stands in a file cannot make endless.

    >>> shortened("no such column: " + "x" * 1000)[-40:]
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx ... xxxxxx'
    """
    line = " ".join(message.split()) if len(message.splitlines()) > 1 else message
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 11]} ... {line[-6:]}"


@contextmanager
def damage(what: str, *errors: type[BaseException]) -> Iterator[None]:
    """Turns the errors a library raises for a damaged file into one line that starts with ``what``."""
    try:
        yield
    except InputError:
        raise
    except errors as error:
        raise InputError(f"{what} ({first_line(error)})") from None


def interrupted(error: BaseException) -> bool:
    """Whether an error is what DuckDB makes of Ctrl-C."""
    return "interrupt" in str(error).lower()


@contextmanager
def interruptible() -> Iterator[None]:
    """What DuckDB makes of Ctrl-C, as Python's interrupt."""
    try:
        yield
    except RuntimeError as error:
        if interrupted(error):
            raise KeyboardInterrupt from None
        raise
