"""Training of many models of one architecture as one: seeds, multipliers and data side by side.

Every step is elementwise in the member: one batched forward and backward pass, and Adam, which does not mix
parameters. Each member draws its parameters, minibatches and noise from its own generator, in blocks of
:data:`BLOCK` steps, so it takes the same course alone and in company, up to rounding of the batched products.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bounds.damage import damage, first_line
from bounds.errors import InputError
from bounds.memory import available_bytes
from bounds.output import say, write
from bounds.schemes import SubsetScheme
from toy_models.datasets import Dataset, digest
from toy_models.devices import full_precision, keep_freed_memory, launched, usable_device
from toy_models.fusion import standard_noise
from toy_models.member import SoloModel
from toy_models.models import Architecture, MultimodalVAE

#: Which model a seed trains, as a number: another one where the same seed draws other parameters, so that what is kept
#: of the old ones is not taken for the new ones.
FORMAT = 2
#: Steps whose random numbers are drawn at once; training is watched and saved between blocks.
BLOCK = 50
#: Seconds between two checkpoints, which take as long as a block of small models.
SAVE_EVERY = 5.0
#: Members trained at once on a CPU, whose caches larger groups leave.
CPU_GROUP = 16
#: On a GPU, whose libraries take no more than 65,535 products at once: members times modalities that are alike.
CUDA_GROUP = 1024
#: Share of the device's free memory that one group may take.
MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Member:
    """One model of an ensemble: its seed, the multiplier of its KL, its data and its scheme.

    Args:
        seed: of its generator.
        beta: multiplier of the KL.
        data: which of the datasets it is trained on.
        scheme: weights of its own over the subsets that the architecture encodes; by default the architecture's.

    Raises:
        InputError: a seed that no generator takes, a multiplier that is negative or not finite.
    """

    seed: int
    beta: float = 1.0
    data: int = 0
    scheme: SubsetScheme | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 63:
            raise InputError(f"seed {self.seed}: give a whole number from 0 to 2^63 - 1")
        if not (math.isfinite(self.beta) and self.beta >= 0):
            raise InputError(f"beta={self.beta}: give a finite number of at least 0")


@dataclass(frozen=True)
class Training:
    """How members are trained, all alike.

    Args:
        steps: of Adam.
        batch: rows of a minibatch, drawn with replacement.
        learning_rate: at the start; it falls to zero over the second half of the steps, linearly.
        warmup: share of the steps over which the multiplier of the KL rises to that of the member, linearly. A latent
            that is not yet of use is not worth its KL, so without it models of symbols may stay where they use none.
            Not for learned scales: with a multiplier below 1 their objective has no maximum (THEORY T10.1).
    """

    steps: int = 2000
    batch: int = 128
    learning_rate: float = 2e-3
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not 0 < self.learning_rate < math.inf or not 0 <= self.warmup <= 1:
            raise InputError(f"{self}: steps and batch are at least 1, the learning rate is positive, warmup 0 to 1")

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.learning_rate * min(1.0, 2 * (1 - step / self.steps))

    def ramp(self, step: int) -> float:
        """What the multipliers of the KL are multiplied with at a step."""
        return min(1.0, (step + 1) / (self.warmup * self.steps)) if self.warmup else 1.0


@dataclass(frozen=True, eq=False)
class Trained:
    """Trained members.

    Attributes:
        architecture: of all of them.
        members: what they were asked to be.
        groups: their modules, on the CPU; members in their order.
        history: ``(blocks, E)``, the mean objective of each block of steps on training minibatches, in nats; with the
            smaller multiplier while that still rises, so not to be held against a ceiling there.
        failed: member to the step before which it met a NaN or an infinity.
    """

    architecture: Architecture
    members: tuple[Member, ...]
    groups: tuple[MultimodalVAE, ...]
    history: np.ndarray
    failed: dict[int, int]

    def solo(self, index: int) -> SoloModel:
        """One member by itself, in float64.

        Raises:
            InputError: a member that there is not, or one that failed.
        """
        if not 0 <= index < len(self.members):
            raise InputError(f"member {index}: there are {len(self.members)}, counted from 0")
        if index in self.failed:
            raise InputError(f"member {index} failed at step {self.failed[index]}: train it with a lower learning rate")
        before = 0
        for group in self.groups:
            if index < before + group.n_members:
                found, scheme = extract(group, index - before), self.members[index].scheme
                if scheme is not None:
                    found.weigh([scheme])
                return SoloModel(found)
            before += group.n_members
        raise AssertionError("groups hold all members")


def extract(model: MultimodalVAE, index: int) -> MultimodalVAE:
    """A float64 copy of one member of a module."""
    copy = MultimodalVAE(model.architecture, [torch.Generator()]).double()
    with torch.no_grad():
        for mine, theirs in zip(copy.parameters(), model.parameters(), strict=True):
            mine.copy_(theirs[index : index + 1])
    return copy.eval()


def train(
    architecture: Architecture,
    members: Sequence[Member],
    data: Sequence[Dataset] | Dataset,
    training: Training | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    group: int | None = None,
    compiled: bool = False,
    folder: Path | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Trained:
    """Trains an ensemble, in groups that fit the device.

    On a CPU the process keeps freed memory from then on, see :func:`toy_models.devices.keep_freed_memory`.

    Args:
        architecture: of all members.
        members: their seeds, multipliers, data and schemes.
        data: one dataset, or those that members refer to by number.
        training: steps, batch, learning rate.
        device: ``cpu`` or ``cuda``. On CUDA a step is one captured graph, so its launches cost nothing.
        dtype: of parameters and activations. Evaluate in float64, whatever it is: see :meth:`Trained.solo`.
        group: members trained at once; by default what fits the memory, at most :data:`CPU_GROUP` on a CPU and
            :data:`CUDA_GROUP` on a GPU. A run that resumes keeps the groups that it had.
        compiled: whether torch.compile makes the step; it needs a C++ compiler and pays for long runs only.
        folder: where groups save themselves every :data:`SAVE_EVERY` seconds, and resume from. Without one an
            interrupted run is lost.
        watch: called with the member steps done and those in all.

    Raises:
        InputError: data that do not fit the architecture or each other, no members, a checkpoint of another run or a
            damaged one, a folder that cannot be written, a device that is not there or has too little memory.
    """
    datasets = [data] if isinstance(data, Dataset) else list(data)
    settings = training or Training()
    if not members:
        raise InputError("there are no members to train: give at least one")
    on = usable_device(device)
    for dataset in datasets:
        check_data(architecture, dataset)
    for number, member in enumerate(members):
        if not 0 <= member.data < len(datasets):
            raise InputError(f"member {number} is to be trained on dataset {member.data}: there are {len(datasets)}")
    if group is not None and group < 1:
        raise InputError(f"group={group}: give at least 1")
    if folder is not None:
        with damage(f"cannot make the folder {folder}", OSError):
            folder.mkdir(parents=True, exist_ok=True)
    size = group or _saved_group(folder) or _group_that_fits(architecture, settings, on, dtype)
    parts, history, failed, total = [], [], {}, settings.steps * len(members)
    for start in range(0, len(members), size):
        chosen = members[start : start + size]
        path = None if folder is None else folder / f"groups-of-{size}-from-{start:04d}.pt"
        with _clear_errors(len(chosen), settings):
            run = _Group(architecture, chosen, datasets, settings, on, dtype, compiled)
            told: set[int] = set()
            for done in run.steps(path):
                for index in sorted(run.failed.keys() - told):
                    number, step = start + index, run.failed[index]
                    say(f"member {number} (seed {members[number].seed}) met a NaN before step {step} and was stopped")
                told.update(run.failed)
                if watch is not None:
                    watch(start * settings.steps + done * len(chosen), total)
        run.optimizer.zero_grad(set_to_none=True)
        parts.append(run.model.cpu().eval())
        history.append(np.array(run.history))
        failed.update({start + index: step for index, step in run.failed.items()})
        del run  # or its rows and moments stay while the next group is made
    return Trained(architecture, tuple(members), tuple(parts), np.concatenate(history, axis=1), failed)


def check_data(architecture: Architecture, dataset: Dataset) -> None:
    """Whether a dataset is of the architecture's modalities and likelihoods.

    Raises:
        InputError: which modality is not, and why.
    """
    if tuple(dataset.modalities) != architecture.modalities:
        raise InputError(f"{dataset.name} has other modalities than the architecture: make it with Architecture.of")
    for part in (dataset.train, dataset.held_out):
        for modality, likelihood, rows in zip(architecture.modalities, architecture.likelihoods, part, strict=True):
            likelihood.check(torch.tensor(rows), modality.symbols, f"{dataset.name}: {modality.name}")


class _Group:
    """Members trained at once, from their seeds or from a checkpoint."""

    def __init__(
        self,
        architecture: Architecture,
        members: Sequence[Member],
        datasets: Sequence[Dataset],
        training: Training,
        device: torch.device,
        dtype: torch.dtype,
        compiled: bool,
    ) -> None:
        self.members, self.training, self.device, self.dtype = members, training, device, dtype
        self.generators = [torch.Generator(device).manual_seed(member.seed) for member in members]
        self.model = MultimodalVAE(architecture, self.generators)
        if any(member.scheme for member in members):
            self.model.weigh([member.scheme or architecture.encoded for member in members])
        self.model.to(device, dtype)
        # a captured graph reads the learning rate from a tensor
        rate = torch.tensor(training.learning_rate, device=device, dtype=torch.float32)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=rate, fused=True, capturable=device.type == "cuda"
        )
        self.rows = [
            torch.cat([torch.tensor(d.train[m]).flatten(1).to(device) for d in datasets])
            for m in range(len(architecture.modalities))
        ]
        self.rows = [rows.to(dtype) if rows.is_floating_point() else rows for rows in self.rows]
        for modality, rows in zip(architecture.modalities, self.rows, strict=True):
            if not torch.isfinite(rows).all():
                raise InputError(f"{modality.name} has values too large for {dtype}: rescale it, or train in float64")
        self.fingerprint = [digest(*d.train) for d in datasets]
        self.lengths = [len(d.train[0]) for d in datasets]
        self.offsets = [sum(self.lengths[:i]) for i in range(len(datasets))]
        self.beta = torch.tensor([[member.beta] for member in members], device=device, dtype=dtype)
        self.ramp = torch.ones((), device=device, dtype=dtype)
        self.alive = torch.ones(len(members), device=device, dtype=dtype)
        self.history: list[list[float]] = []
        self.failed: dict[int, int] = {}
        self.done = 0
        self.objective = self.model.objective
        if compiled:
            torch.compiler.reset()  # each group is a module of its own, and after eight torch runs them as they are
            self.objective = torch.compile(self.model.objective)
        # what a step reads and writes; a captured graph knows them by their place
        self.index = torch.zeros(len(members), training.batch, dtype=torch.long, device=device)
        self.noise = torch.zeros(self._noise_shape(), device=device, dtype=dtype)
        self.total = torch.zeros(len(members), device=device, dtype=torch.float64)

    def steps(self, checkpoint: Path | None) -> Iterator[int]:
        """Trains block by block, and says how many steps are done."""
        if checkpoint is not None and checkpoint.exists():
            self._restore(checkpoint)
        advance = launched(self._step, self.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        saved = time.monotonic()
        drawn = self._draws()
        while self.done < self.training.steps:
            index, noise = drawn
            with full_precision(self.device):
                for step, (rows, normals) in enumerate(zip(index, noise, strict=True), self.done):
                    self.index.copy_(rows)
                    self.noise.copy_(normals)
                    self._rate().fill_(self.training.rate(step))
                    self.ramp.fill_(self.training.ramp(step))
                    advance()
            self.done += len(index)
            drawn = self._draws()  # before the device is waited for
            self._watch(len(index))
            if checkpoint is not None and (self.done == self.training.steps or time.monotonic() - saved >= SAVE_EVERY):
                self._save(checkpoint)
                saved = time.monotonic()
            yield self.done
        yield self.done

    def _step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        x = [rows[self.index] for rows in self.rows]
        values = self.objective(x, self.noise, self.beta * self.ramp).mean(dim=1)
        (-(values * self.alive).sum()).backward()
        self.optimizer.step()
        self.total += values.detach()

    def _draws(self) -> tuple[Tensor, Tensor]:
        """Rows ``(count, E, batch)`` and noise ``(count, E, S, K, batch, k)`` of the block that is next.

        Each member's are from its generator, whose state before them is what a checkpoint keeps.
        """
        count = min(BLOCK, self.training.steps - self.done)
        self.states = [generator.get_state() for generator in self.generators]
        index, noise = [], []
        family = self.model.architecture.model_class.family
        shape = (count, *self._noise_shape()[1:])
        for member, generator in zip(self.members, self.generators, strict=True):
            rows = torch.randint(
                self.lengths[member.data], (count, self.training.batch), generator=generator, device=self.device
            )
            index.append(rows + self.offsets[member.data])
            noise.append(standard_noise(family, shape, generator, self.dtype))
        return torch.stack(index, dim=1), torch.stack(noise, dim=1)

    def _noise_shape(self) -> tuple[int, ...]:
        subsets, draws, latents = self.model.architecture.noise_shape
        return len(self.members), subsets, draws, self.training.batch, latents

    def _rate(self) -> Tensor:
        rate = self.optimizer.param_groups[0]["lr"]
        assert isinstance(rate, Tensor)
        return rate

    def _watch(self, count: int) -> None:
        """Notes the mean objective of so many steps, and stops members that met a NaN or an infinity."""
        finite = torch.isfinite(self.total)
        for parameter in self.model.parameters():
            finite &= torch.isfinite(parameter).flatten(1).all(dim=1)
        self.history.append((self.total / count).tolist())
        self.total.zero_()
        for index in torch.nonzero(~finite & (self.alive > 0)).flatten().tolist():
            self.failed[index] = self.done
            self.alive[index] = 0.0
            self._silence(index)
        for index in self.failed:
            self.history[-1][index] = float("nan")

    def _silence(self, index: int) -> None:
        """Zeros, on which every later step of the member is finite and does nothing."""
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter[index] = 0.0
                for moment in ("exp_avg", "exp_avg_sq"):
                    if moment in self.optimizer.state[parameter]:
                        self.optimizer.state[parameter][moment][index] = 0.0

    def _identity(self) -> str:
        """What a checkpoint must agree with."""
        a = self.model.architecture
        weights = {subset: str(weight) for subset, weight in a.encoded}
        return repr(
            (
                FORMAT, a.model, a.modalities, [str(one) for one in a.likelihoods], a.latents, a.private, a.hidden,
                a.network, weights, list(self.members), asdict(self.training), str(self.dtype), self.device.type,
                a.noise_shape, self.lengths, self.fingerprint,
            )
        )  # fmt: skip

    def _save(self, path: Path) -> None:
        """The whole state, in place of the last one only when it is whole."""
        state = {
            "identity": self._identity(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": self.states,
            "alive": self.alive,
            "history": self.history,
            "failed": self.failed,
            "done": self.done,
        }
        content = io.BytesIO()
        torch.save(state, content)
        write(path, content.getvalue(), announced=False)

    def _restore(self, path: Path) -> None:
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            identity = state["identity"]
            if identity == self._identity():
                self.model.load_state_dict(state["model"])
                self.optimizer.load_state_dict(state["optimizer"])
                for generator, saved in zip(self.generators, state["generators"], strict=True):
                    generator.set_state(saved)
                self.alive.copy_(state["alive"])
                self.history, self.failed, self.done = state["history"], state["failed"], state["done"]
                return
        except Exception as error:
            if _out_of_memory(error):
                raise
            raise InputError(f"{path} is no checkpoint of this program ({type(error).__name__}): remove it") from None
        raise InputError(f"{path} is of another run, device or version: use another folder, or remove it to train anew")


@contextmanager
def _clear_errors(size: int, training: Training) -> Iterator[None]:
    """What torch raises for a device without memory or a machine without a compiler, as a line that says the cure."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if _out_of_memory(error):
            raise InputError(
                f"out of memory with {size} models at once and batch {training.batch}: use a smaller group, a smaller "
                "batch, fewer draws or smaller networks"
            ) from None
        if "compiler" in str(error).lower():
            raise InputError(
                f"torch.compile failed ({first_line(error)}): install a C++ compiler, or use compiled=False"
            ) from None
        raise


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether memory is what was missing, here or in what an error came from, such as the end of a recording."""
    while error is not None:
        texts = "allocate memory", "out of memory", "ALLOC_FAILED"
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in texts):
            return True
        error = error.__context__
    return False


def _saved_group(folder: Path | None) -> int | None:
    """The members of each group of the run that a folder holds: memory that is free now decides for new runs only."""
    if folder is None:
        return None
    found = sorted(folder.glob("groups-of-*-from-0000.pt"))
    return int(found[0].name.split("-")[2]) if found else None


def _group_that_fits(architecture: Architecture, training: Training, device: torch.device, dtype: torch.dtype) -> int:
    """Members that fit the free memory.

    Raises:
        InputError: not even one fits.
    """
    on_cpu = device.type == "cpu"
    if not on_cpu:
        torch.cuda.empty_cache()  # what torch keeps for itself is free
    free = available_bytes() if on_cpu else torch.cuda.mem_get_info(device)[0]
    needed = dtype.itemsize * _numbers(architecture, training.batch)
    fits = int(MEMORY_SHARE * free / needed)
    if fits < 1:
        raise InputError(
            f"one model needs about {needed / 2**30:.1f} GiB of memory and {free / 2**30:.1f} are free: use a smaller "
            "batch, fewer draws or smaller networks"
        )
    return min(fits, CPU_GROUP if on_cpu else CUDA_GROUP)


def _numbers(architecture: Architecture, batch: int) -> int:
    """About how many numbers one member keeps in training: parameters, their gradients and Adam's two moments;
    activations, their gradients and what comes between; a block of noise.
    """
    subsets, draws, latents = architecture.noise_shape
    coded = architecture.latents + architecture.private
    parameters = activations = 0
    for modality in architecture.modalities:
        values = modality.n_units * (modality.symbols or 1)
        if architecture.network == "conv":
            channels, pixels, width = modality.shape[0], modality.shape[1] * modality.shape[2], architecture.hidden[0]
            layers = [width * pixels // 4, width * pixels // 8]
            parameters += 2 * 16 * width * (channels + 2 * width) + 3 * layers[-1] * coded
        else:
            layers = list(architecture.hidden)
            parameters += sum(a * b for a, b in pairwise([values, *layers, 2 * coded]))
            parameters += sum(a * b for a, b in pairwise([coded, *reversed(layers), values]))
        activations += 4 * values + 2 * sum(layers)
    return 4 * parameters + 3 * subsets * draws * batch * (activations + latents * (BLOCK + 8))
