"""What an experiment is, what it finds, and how its measurements are kept so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bounds.errors import InputError
from bounds.output import check_writable, write
from bounds.progress import Track, no_progress
from toy_models.devices import usable_device

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Setting:
    """How much is run and where.

    Args:
        folder: of the results; measurements are kept in ``folder/measured`` and checkpoints in ``folder/training``.
        quick: fewer seeds, steps and points, so that all experiments end in 20 minutes on two cores.
        device: of training and evaluation, which is in float64.
        track: shows progress.
        seeds: of the trained members; by default five, or three if quick.

    Raises:
        InputError: a device that is not there, a seed that is given twice.
    """

    folder: Path
    quick: bool = False
    device: str = "cpu"
    track: Track = no_progress
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        usable_device(self.device)
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds {self.seeds}: give each one once, or error bars are too small")
        object.__setattr__(self, "seeds", tuple(self.seeds) or tuple(range(3 if self.quick else 5)))

    def choose(self, quick: Any, full: Any) -> Any:
        """One value for a quick run, another for a full one."""
        return quick if self.quick else full

    def kept(self, what: str, identity: object, work: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        """A measurement: read if it was made before of the very same things, else made and kept.

        Args:
            what: the first part of its file's name.
            identity: everything that the measurement depends on; its ``repr`` tells.
            work: measures, and may keep checkpoints in the folder that it is given.

        Raises:
            InputError: a file that is there and cannot be read.
        """
        digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
        path = self.folder / "measured" / f"{what}-{digest}.json"
        if path.exists():
            try:
                return _read(path.read_text())
            except (OSError, ValueError) as error:
                raise InputError(f"{path} is damaged ({error}): remove it, and it will be measured again") from None
        made = work(self.folder / "training" / f"{what}-{digest}")
        page = json.dumps(jsonable(made), indent=1, allow_nan=False) + "\n"
        write(path, page, announced=False)
        return _read(page)  # the same, whether made or read


@dataclass(frozen=True, eq=False)
class Finding:
    """What an experiment found.

    Attributes:
        experiment: its name.
        question: what was asked.
        sentence: the answer, with numbers.
        agrees: whether theory and training agree, by the criteria that ``checks`` lists.
        checks: each criterion and whether it was met.
        numbers: everything measured, JSON-ready; nats.
        figure: draws it.
    """

    experiment: str
    question: str
    sentence: str
    checks: Mapping[str, bool]
    numbers: Mapping[str, Any]
    figure: Callable[[], Figure] = field(repr=False)

    @property
    def agrees(self) -> bool:
        """Whether every check was met."""
        return all(self.checks.values())

    def __str__(self) -> str:
        verdict = "theory and training agree" if self.agrees else "theory and training do NOT agree"
        failed = "; ".join(name for name, met in self.checks.items() if not met)
        return f"{self.experiment}: {self.sentence} ({verdict}{': not ' + failed if failed else ''})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "experiment": self.experiment,
            "question": self.question,
            "sentence": self.sentence,
            "agrees": self.agrees,
            "checks": dict(self.checks),
            "unit": "nats",
            **jsonable(dict(self.numbers)),
        }


@dataclass(frozen=True)
class Experiment:
    """A named study."""

    name: str
    question: str
    run: Callable[[Setting], Finding]

    def __call__(self, setting: Setting) -> Finding:
        """Runs it, and writes ``NAME.json`` and ``NAME.png`` into the folder.

        Raises:
            InputError: a folder that cannot be written, and what training and evaluation refuse.
        """
        for suffix in ("json", "png"):
            check_writable(setting.folder / f"{self.name}.{suffix}", new_folder=True)
        start = time.perf_counter()
        finding = self.run(setting)
        about = {
            "quick": setting.quick,
            "seeds": list(setting.seeds),
            "device": torch.cuda.get_device_name(setting.device) if setting.device.startswith("cuda") else "cpu",
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "seconds_without_what_was_kept": round(time.perf_counter() - start, 1),
        }
        page = json.dumps(finding.to_dict() | {"run": about}, indent=1, allow_nan=False)
        write(setting.folder / f"{self.name}.json", page + "\n")
        picture = io.BytesIO()
        finding.figure().savefig(picture, format="png", dpi=120)
        write(setting.folder / f"{self.name}.png", picture.getvalue())
        return finding


def _read(page: str) -> dict[str, Any]:
    """A measurement from its JSON.

    Raises:
        ValueError: it is none.
    """
    found = json.loads(page)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean over seeds and its standard error; NaN for a single seed.

    >>> mean_and_error([1.0, 3.0])
    (2.0, 1.0)
    """
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))


def jsonable(value: Any) -> Any:
    """The same with tuples as lists, keys as text, and numbers that JSON does not have as text."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    if isinstance(value, bool) or value is None or isinstance(value, int | str):
        return value
    number = float(value)
    return number if math.isfinite(number) else str(number)
