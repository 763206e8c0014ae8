"""A CUDA graph on the CPU: the operations of a step are recorded, and replayed on the same memory.

As on a GPU, recording leaves every tensor as it was; a replay knows tensors by their place and Python's numbers by the
value that they had; and reading a value on the host, or making a tensor from the host's numbers, cannot be recorded.
"""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
#: What needs a value on the host, or a copy from it.
HOST = {
    aten._local_scalar_dense.default,
    aten.is_nonzero.default,
    aten.equal.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique2.default,
    aten.lift_fresh.default,
}


class Recorder(TorchDispatchMode):
    """Writes the operations on a tape, and remembers what was in the memory that they write to."""

    def __init__(self):
        super().__init__()
        self.tape, self.before = [], {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in HOST or (function is aten.index.Tensor and any(i.dtype == torch.bool for i in tensors(args[1]))):
            raise RuntimeError(f"operation not permitted when stream is capturing: {function}")
        given = {argument.name: value for argument, value in zip(function._schema.arguments, args, strict=False)}
        given |= kwargs or {}
        for argument in function._schema.arguments:
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tensors(given.get(argument.name)):
                    storage = tensor.untyped_storage()
                    self.before.setdefault(storage.data_ptr(), (storage, storage.clone()))
        found = function(*args, **(kwargs or {}))
        self.tape.append((function, args, kwargs or {}, found))
        return found

    def restore(self):
        for storage, before in self.before.values():
            storage.copy_(before)


class Graph:
    """In place of torch.cuda.CUDAGraph."""

    tape = None

    def replay(self):
        with torch.no_grad():
            for function, args, kwargs, recorded in self.tape:
                for old, new in zip(tensors(recorded), tensors(function(*args, **kwargs)), strict=True):
                    if old.data_ptr() != new.data_ptr():  # neither a view nor in place
                        old.copy_(new)


@contextmanager
def record(graph, stream):
    """In place of torch.cuda.graph."""
    with Recorder() as recorder:
        yield
    recorder.restore()
    graph.tape = recorder.tape


class Stream:
    """In place of torch.cuda.Stream."""

    def __init__(self, device=None):
        self.device = device

    def wait_stream(self, other):
        assert isinstance(other, Stream)


@contextmanager
def stream(one):
    """In place of torch.cuda.stream."""
    assert isinstance(one, Stream)
    yield


def tensors(value):
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def put_in_place(monkeypatch):
    """Makes torch.cuda's graphs these."""
    for name, stand_in in {
        "CUDAGraph": Graph,
        "graph": record,
        "Stream": Stream,
        "stream": stream,
        "current_stream": Stream,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
