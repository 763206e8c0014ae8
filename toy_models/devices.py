"""What training asks of a CPU or a GPU: that it is there, full precision, memory that stays, steps launched at once."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from bounds.errors import InputError

#: Steps that run as they are before one is recorded: they allocate what the optimizer and the libraries keep.
EAGER = 3
#: Freed bytes that a process keeps at the end of its heap, and the largest blocks that are put there; some versions of
#: glibc take no more than the second.
KEPT, LARGEST = 512 << 20, (256 << 20, 32 << 20)


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
    """No TF32 inside, which would shift an ELBO by up to 0.2 nats; outside it is as it was."""
    if device.type != "cuda":
        yield
        return
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = matmul.fp32_precision, conv.fp32_precision
    matmul.fp32_precision = conv.fp32_precision = "ieee"
    # torch's older setting is another one, and it refuses to multiply where the two say different things
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:  # other backends disagree with it, so it was not used
        older = "highest"
    if older != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        if older != "highest":
            torch.set_float32_matmul_precision(older)
        matmul.fp32_precision, conv.fp32_precision = before


def keep_freed_memory() -> None:
    """Freed memory stays with the process, in steps on a CPU of the C library of Linux; elsewhere nothing happens.

    A step frees what the next one allocates. By default glibc returns it to the system in between, or does not,
    depending on what was allocated before; then every step waits for its pages again, almost as long as it computes.
    This is for the whole process, and lasts; who has set one of glibc's thresholds in the environment keeps it.
    """
    thresholds = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"}
    if sys.platform != "linux" or thresholds & os.environ.keys():
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have none
        m_trim_threshold, m_mmap_threshold = -1, -3
        mallopt(m_trim_threshold, KEPT)
        any(mallopt(m_mmap_threshold, size) for size in LARGEST)  # the first that it takes


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
        What takes one step at each call; the first :data:`EAGER` run as they are, and the next is recorded.
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
            with torch.cuda.device(device), torch.cuda.graph(graph, stream=stream):
                step()  # recorded, and not run
        done += 1
        if done > EAGER:
            graph.replay()

    return advance
