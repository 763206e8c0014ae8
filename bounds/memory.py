"""How much memory an array may take: said before it is allocated."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from bounds.errors import InputError


def available_bytes() -> int:
    """Physical memory that is free now, or 4 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 4 << 30


def check_fits(what: str, shape: Sequence[int], remedy: str, itemsize: int = 8) -> None:
    """Refuses an array that would take more than half of the free memory.

    Raises:
        InputError: naming the array, its size and the remedy.
    """
    needed = math.prod(int(k) for k in shape) * itemsize
    free = available_bytes()
    if needed > free // 2:
        dims = " x ".join(str(k) for k in shape) if len(shape) <= 8 else f"{len(shape)} axes"
        raise InputError(
            f"{what} ({dims}) needs {needed / 2**30:.3g} GiB and {free / 2**30:.3g} GiB are free: {remedy}"
        )
