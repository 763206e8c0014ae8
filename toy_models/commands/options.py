"""Options that several commands share, and what they say."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from bounds.errors import InputError
from toy_models.datasets.named import DATASETS, DataChoice, NamedDataset

_Item = TypeVar("_Item")


def add_data(command: Any) -> None:
    """Adds DATA, the number of its modalities and its dials."""
    command.add_argument("--data", required=True, metavar="DATA", help="see below")
    command.add_argument("--modalities", type=int, metavar="M", help="how many (2 to 5 by default, of the data)")
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="dials", help="a dial of the data; repeat"
    )


def data_of(options: argparse.Namespace) -> DataChoice:
    """The data asked for."""
    return DataChoice.parse(options.data, options.modalities, options.dials)


def wrapped(text: str) -> str:
    """A description as wide as a terminal, where the epilog keeps its lines."""
    return textwrap.fill(text, 80)


def data_help() -> str:
    """Every dataset, and its dials with their defaults."""
    return "\n".join(["DATA is one of the following; --set turns its dials.", *map(_described, DATASETS.values())])


def _described(data: NamedDataset) -> str:
    """A dataset, and its dials with their defaults."""
    name = f"{data.name}=FOLDER" if data.from_folder else data.name
    dials = (f"{dial}={'all' if value is None else value}" for dial, value in data.dials.items())
    listed = textwrap.wrap(", ".join(dials), 76)
    return "\n".join([f"  {name:23}{data.meaning}", *(f"  {'':23}{line}" for line in listed)])


def add_device(command: argparse.ArgumentParser) -> None:
    """Adds the device of training and evaluation."""
    command.add_argument(
        "--device", default="cpu", metavar="DEVICE", help="where to train and evaluate: cpu (default) or cuda"
    )


def wholes(text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas."""
    return _listed(text, int, "whole numbers")


def numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    return _listed(text, float, "numbers")


def widths(text: str) -> tuple[int, ...]:
    """Widths of hidden layers; ``none`` is an affine network."""
    return () if text == "none" else wholes(text)


def _listed(text: str, kind: Callable[[str], _Item], what: str) -> tuple[_Item, ...]:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give {what} separated by commas") from None


@contextmanager
def torch_needed() -> Iterator[None]:
    """Says how to get torch where an import inside lacks it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError("training needs torch: pip install 'multimodal-bounds[toy]'") from None
