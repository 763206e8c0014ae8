"""Datasets in ``.pt`` files: a dictionary of tensors, as ``torch.save`` writes it. Only here does ``bounds`` use torch.

``torch.load(weights_only=True)`` executes nothing, but it believes what a file says about sizes. So the archive is
checked first: its members as they are, their checksums, and that its pickle builds tensors and nothing else. Then the
storages are mapped from the file, so that no tensor reaches beyond it.
"""

from __future__ import annotations

import math
import pickletools
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bounds.column_mapping import assign
from bounds.damage import damage
from bounds.errors import InputError
from bounds.memory import check_fits
from bounds.npz import ZIP_ERRORS
from bounds.samples import columns_of

#: The longest description of the tensors in a file, in bytes.
MAX_DESCRIPTION = 1 << 24

#: What a dictionary of tensors is built from.
_BUILDERS = {
    "collections OrderedDict",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
    "torch.serialization _get_layout",
}
_STORAGES = {
    f"torch {kind}Storage"
    for kind in ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}
#: Pickle's ways to name code other than in the open.
_HIDDEN = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID"}
_REMEDY = "save a dictionary of plain tensors, torch.save({'image': images, 'text': codes}, path)"


def read_pt(path: str, modalities: Sequence[str], types: Mapping[str, str] | None) -> dict[str, dict[str, np.ndarray]]:
    """The columns of a ``.pt`` dataset by modality, see :func:`bounds.readers.read`."""
    try:
        import torch
    except ImportError:
        raise InputError(
            "needs PyTorch to be read: install multimodal-bounds[toy], or save the arrays as .npz"
        ) from None
    _check_archive(path)
    # torch raises nearly everything for a damaged file, AssertionError and TypeError among them.
    with damage("is not a complete .pt file", Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    if not isinstance(found, dict):
        raise InputError(f"holds no dictionary but a {type(found).__name__}: {_REMEDY}")
    for name, tensor in found.items():
        if not isinstance(name, str):
            raise InputError(f"has the key {name!r}, which is no text: {_REMEDY}")
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{name!r} is a {type(tensor).__name__}, not a tensor: {_REMEDY}")
    names = list(found)
    groups = {m: [names[i] for i in chosen] for m, chosen in assign(modalities, names, "tensor").items()}
    cells = sum(math.prod(found[name].shape) for chosen in groups.values() for name in chosen)
    check_fits("all tensors together", (cells,), "choose fewer with --modalities, or fewer rows", 16)
    return {m: columns_of(m, [(name, _array(name, found[name])) for name in chosen]) for m, chosen in groups.items()}


def _check_archive(path: str) -> None:
    """Refuses what ``torch.save`` would not write for a dictionary of tensors."""
    with damage("is not a complete .pt file", *ZIP_ERRORS):
        archive = zipfile.ZipFile(path)
    with archive, damage("is not a complete .pt file", *ZIP_ERRORS):
        members = archive.infolist()
        if any(one.compress_type != zipfile.ZIP_STORED or one.file_size != one.compress_size for one in members):
            raise InputError(f"has compressed members, which torch.save does not write: {_REMEDY}")
        described = [one for one in members if one.filename.rpartition("/")[2] == "data.pkl"]
        if len(described) != 1:
            raise InputError(f"does not hold what torch.save writes: {_REMEDY}")
        if described[0].file_size > MAX_DESCRIPTION:
            raise InputError(f"describes its tensors in more than {MAX_DESCRIPTION >> 20} MiB: {_REMEDY}")
        broken = archive.testzip()
        if broken is not None:
            raise InputError(f"is damaged: {broken!r} does not match its checksum")
        _check_pickle(archive.read(described[0]))


def _check_pickle(description: bytes) -> None:
    """Reads the instructions of a pickle, without following them, and refuses all that tensors do not need."""
    with damage("is not a complete .pt file", ValueError, IndexError, OverflowError, MemoryError):
        for opcode, argument, _ in pickletools.genops(description):
            if opcode.name in _HIDDEN or (opcode.name == "GLOBAL" and argument not in _BUILDERS | _STORAGES):
                what = f"names {argument}" if opcode.name == "GLOBAL" else f"uses {opcode.name}"
                raise InputError(f"holds more than tensors (its pickle {what}), and nothing is unpickled: {_REMEDY}")


def _array(name: str, tensor: Any) -> np.ndarray:
    """A tensor as an array; numpy has no bfloat16, whose numbers are all float32 too."""
    import torch

    if tensor.layout is not torch.strided or tensor.device.type != "cpu":
        raise InputError(f"tensor {name!r} has no numbers of its own ({tensor.layout}, {tensor.device}): {_REMEDY}")
    check_fits(f"tensor {name!r}", tensor.shape, "give fewer rows or modalities")
    with damage(f"tensor {name!r} cannot be read", RuntimeError, TypeError, ValueError):
        plain = tensor.detach()
        array: np.ndarray = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy().copy()
    return array
