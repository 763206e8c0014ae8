"""Errors of libraries about damaged files, as one line of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bounds.errors import InputError


def first_line(error: BaseException) -> str:
    """The first line of an error, printable characters only."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "".join(c for c in line if c.isprintable()).strip(" :")


@contextmanager
def damage(what: str, *errors: type[BaseException]) -> Iterator[None]:
    """Turns the errors a library raises for a damaged file into one line that starts with ``what``."""
    try:
        yield
    except InputError:
        raise
    except errors as error:
        raise InputError(f"{what} ({first_line(error)})") from None
