"""What training asks of a CPU or a GPU: that it is there, full precision, memory that stays, steps launched at once."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from bounds.errors import InputError

#: Steps that run as they are before one is recorded: they allocate what the optimizer and the libraries keep.
EAGER = 3
#: Freed memory that a process keeps, and the largest block that it is kept of, in bytes: glibc allows no larger one.
KEPT, LARGEST = 512 << 20, 32 << 20


def usable_device(device: str | torch.device) -> torch.device:
    """A device that is there.

    Raises:
        InputError: another kind than a CPU or a CUDA GPU, or a GPU that is not there.
    """
    try:
        found = torch.device(device)
    except RuntimeError:
        raise InputError(f"device {device!r}: use 'cpu' or 'cuda'") from None
    if found.type not in ("cpu", "cuda"):
        raise InputError(f"device {device!r}: use 'cpu' or 'cuda'")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device here: use device='cpu'")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    return found


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No TF32 inside: it shifts an ELBO by up to 0.2 nats."""
    if device.type != "cuda":
        yield
        return
    matmul, before = torch.backends.cuda.matmul, torch.backends.cuda.matmul.allow_tf32
    matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
            yield
    finally:
        matmul.allow_tf32 = before


def keep_freed_memory() -> None:
    """Freed memory stays with the process, in steps on a CPU of the C library of Linux; elsewhere nothing happens.

    A step frees what the next one allocates. By default glibc returns it to the system in between, or does not,
    depending on what was allocated before; then every step waits for its pages again, almost as long as it computes.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have none
        m_trim_threshold, m_mmap_threshold = -1, -3
        mallopt(m_trim_threshold, KEPT)
        mallopt(m_mmap_threshold, LARGEST)


def launched(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """A step of training as it is best run on a device: as it is on a CPU, as one graph on a GPU."""
    return captured(step, device) if device.type == "cuda" else step


def captured(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The step as one CUDA graph, whose kernels are launched at once.

    The graph knows tensors by their place and Python's numbers by their value, so a step reads what changes from
    tensors that stay where they are, and looks at none of their values.

    Args:
        step: takes and returns nothing.
        device: a CUDA GPU.

    Returns:
        One step at each call: the first :data:`EAGER` run as they are, the next is recorded.
    """
    stream, graph = torch.cuda.Stream(device), torch.cuda.CUDAGraph()
    done = 0

    def advance() -> None:
        nonlocal done
        if done < EAGER:
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                step()
            torch.cuda.current_stream(device).wait_stream(stream)
        elif done == EAGER:
            with torch.cuda.graph(graph, stream=stream):
                step()  # recorded, and not run
        done += 1
        if done > EAGER:
            graph.replay()

    return advance
