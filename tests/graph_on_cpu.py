"""A CUDA graph on the CPU: the operations of a step are recorded, and replayed on the same memory.

As on a GPU, recording leaves every tensor as it was; a replay knows tensors by their place and Python's numbers by the
value that they had; and reading a value on the host, making a tensor from the host's numbers, or drawing from a
generator that the graph does not know, cannot be recorded. What happens without an operation is not seen, such as
``x.tolist()``, nor are streams, pools of memory, and threads.
"""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
#: What needs a value on the host, or a copy from it.
HOST = {
    aten._local_scalar_dense,
    aten.is_nonzero,
    aten.equal,
    aten.nonzero,
    aten.masked_select,
    aten.masked_scatter,
    aten._unique2,
    aten.bincount,
    aten.repeat_interleave,
    aten.linalg_inv_ex,
    aten.lift_fresh,
}
MASKS = (torch.bool, torch.uint8)


class Recorder(TorchDispatchMode):
    """Writes the operations on a tape, and remembers what was in the memory that they write to."""

    def __init__(self):
        super().__init__()
        self.tape, self.before = [], {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        indexed = function.overloadpacket in (aten.index, aten.index_put, aten.index_put_)
        masked = indexed and any(index.dtype in MASKS for index in tensors(args[1]))
        random = torch.Tag.nondeterministic_seeded in function.tags
        if function.overloadpacket in HOST or masked or random:
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
def device(one):
    """In place of torch.cuda.device."""
    assert isinstance(one, torch.device)
    yield


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
        "device": device,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
