"""One network for the conditional densities that bounds ask for, such as those of images (THEORY T10.7).

The linear prediction of each column from what is seen, and from the columns before it in its block, is taken off in
closed form. What is left, the innovations, is white; a masked autoregressive network (Germain et al. 2015) gives each a
mixture of normal densities, given what is seen and the innovations before it. Every density is normalised: the linear
map is triangular, and its determinant is counted.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bounds.errors import InputError
from bounds.estimators.conditional import bounds_of_densities, wanted
from bounds.estimators.conditional_losses import Block, Losses
from bounds.estimators.one_sided import ConditionalBounds
from bounds.progress import Track, no_progress
from bounds.schemes import SubsetScheme
from toy_models.datasets.dataset import Dataset
from toy_models.innovations import Linear, Task, tasks_of

#: Smallest standard deviation of a component, as a share of that of its innovation.
RESOLUTION = 1e-3
#: Share of the averaged weights that a step keeps.
_MEMORY = 0.995


@dataclass(frozen=True)
class Fitting:
    """How the network is fitted.

    Args:
        hidden: width of each of its layers.
        components: normal densities in the mixture of each column.
        epochs: passes over the training rows, at most.
        patience: passes without a better loss of the validation rows, after which it stops.
        validation: share of the training rows that validate.
        batch, learning_rate: of Adam, whose weights are averaged over its steps.

    Raises:
        InputError: a number out of its range.
    """

    hidden: int = 256
    components: int = 3
    epochs: int = 60
    patience: int = 5
    validation: float = 0.1
    batch: int = 128
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        for field in ("hidden", "components", "epochs", "patience", "batch"):
            if getattr(self, field) < 1:
                raise InputError(f"{field}={getattr(self, field)}: give at least 1")
        if not 0 < self.validation < 1:
            raise InputError(f"validation={self.validation}: give a share between 0 and 1, such as 0.1")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate={self.learning_rate}: give a positive number")


def neural_bounds(
    dataset: Dataset,
    schemes: Sequence[SubsetScheme],
    fitting: Fitting | None = None,
    confidence: float = 0.95,
    *,
    rng: np.random.Generator,
    track: Track = no_progress,
) -> ConditionalBounds:
    """One-sided bounds of a dataset of real numbers: fitted on its training examples, judged on its held-out ones.

    Args:
        dataset: such as PolyDigits.
        schemes: the encoded subsets; one network serves all of them.
        fitting: by default :class:`Fitting`.
        confidence: of each limit, in (0, 1).
        rng: draws the validation rows, the initial weights and the batches.
        track: shows progress.

    Raises:
        InputError: a modality of symbols, fewer than 20 training examples, a column that is constant.
    """
    for modality in dataset.modalities:
        if modality.symbols:
            raise InputError(f"modality {modality.name!r} has symbols, not numbers: use bounds.conditional_bounds")
    held_out = dataset.samples("held_out")
    tasks = list(
        dict.fromkeys(t for given, blocks in wanted(held_out.layout, schemes) for t in tasks_of(given, blocks))
    )
    training = np.column_stack(dataset.samples("train").columns)
    judged = np.column_stack(held_out.columns)
    modalities = np.repeat(np.arange(dataset.n_modalities), held_out.layout.sizes)
    densities = NeuralDensities.fit(training, judged, modalities, tasks, fitting or Fitting(), rng, track)
    densities = replace(densities, shows=dataset.held_out_shows)
    return bounds_of_densities(
        densities,
        held_out.layout,
        schemes,
        confidence,
        alphabets=held_out.alphabets,
        source=held_out.source,
        track=track,
    )


def _where(columns: Block) -> slice | list[int]:
    """An index of columns; of consecutive ones a slice, which copies nothing."""
    if columns and columns == tuple(range(columns[0], columns[-1] + 1)):
        return slice(columns[0], columns[-1] + 1)
    return list(columns)


class MaskedNetwork(nn.Module):
    """Mixture parameters of each innovation from what is seen and from the innovations before it, for all tasks.

    Args:
        columns: of the data.
        fitting: its size.
        generator: draws the initial weights. The last layer starts at zero, so every density starts nearly normal.
    """

    before: Tensor
    between: Tensor
    after: Tensor

    def __init__(self, columns: int, fitting: Fitting, generator: torch.Generator) -> None:
        super().__init__()
        hidden, self.components = fitting.hidden, fitting.components

        def drawn(rows: int, inputs: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, inputs, generator=generator) / math.sqrt(inputs))

        order = torch.arange(hidden) % max(columns - 1, 1)  # a unit of this order sees columns up to it
        self.register_buffer("before", (order[:, None] >= torch.arange(columns)).float())
        self.register_buffer("between", (order[:, None] >= order).float())
        self.register_buffer("after", (torch.arange(columns)[:, None] > order).float())
        # What is seen, which columns that is, which are asked for, and whether they are kept apart.
        self.context = nn.ParameterList([drawn(hidden, 3 * columns + 1), drawn(hidden, hidden)])
        self.first, self.second = drawn(hidden, columns), drawn(hidden, hidden)
        self.shift = nn.ParameterList([drawn(hidden, hidden), drawn(hidden, hidden)])
        self.out = nn.Parameter(torch.zeros(columns, 3 * self.components, 2 * hidden))
        start = torch.zeros(columns, 3, self.components)
        start[:, 1] = torch.linspace(-0.3, 0.3, self.components)
        self.bias = nn.Parameter(start.flatten(1))

    def forward(self, seen: Tensor, innovations: Tensor, task: Task) -> Tensor:
        """``(n, q)`` log-densities of the innovations of a block; ``seen`` is ``(n, columns)``, zero where unseen."""
        block = _where(task.block)
        said = seen.new_zeros(2, seen.shape[1])
        said[0, _where(task.given)] = 1
        said[1, block] = 1
        told = torch.cat([said.flatten(), said.new_tensor([float(task.apart)])]).expand(len(seen), -1)
        context = torch.relu(torch.cat([seen, told], dim=1) @ self.context[0].T)
        context = torch.relu(context @ self.context[1].T)
        shown = torch.zeros_like(seen)
        if not task.apart:
            shown[:, block] = innovations
        inner = torch.relu(shown @ (self.first * self.before).T + context @ self.shift[0].T)
        inner = torch.relu(inner @ (self.second * self.between).T + context @ self.shift[1].T)
        mask = torch.cat([self.after[block], torch.ones_like(self.after[block])], dim=1)
        weights = self.out[block] * mask[:, None]
        found = torch.cat([inner, context], dim=1) @ weights.flatten(0, 1).T + self.bias[block].flatten()
        logits, means, log_scales = found.unflatten(1, (-1, 3, self.components)).unbind(2)
        scales = RESOLUTION + torch.exp(log_scales)
        normal = -0.5 * ((innovations[..., None] - means) / scales) ** 2 - torch.log(scales)
        return torch.logsumexp(torch.log_softmax(logits, 2) + normal, 2) - 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class _Examples:
    """Rows as the network takes them for one task: what is seen ``(n, d)``, and innovations ``(n, q)``."""

    task: Task
    seen: Tensor
    innovations: Tensor
    log_scale: float

    @classmethod
    def of(cls, linear: Linear, task: Task, rows: np.ndarray, dtype: torch.dtype = torch.float32) -> _Examples:
        white, log_scale = linear.innovations(task, rows)
        seen = np.zeros_like(rows)
        given = list(task.given)
        seen[:, given] = ((rows - linear.mean) / linear.scale)[:, given]
        return cls(task, torch.from_numpy(seen).to(dtype), torch.from_numpy(white).to(dtype), log_scale)

    def batch(self, index: Tensor) -> _Examples:
        return _Examples(self.task, self.seen[index], self.innovations[index], self.log_scale)

    def loss(self, network: nn.Module) -> Tensor:
        """``(n,)``: minus the log-density of the innovations, for each column."""
        log_density: Tensor = network(self.seen, self.innovations, self.task)
        return -log_density.mean(dim=1)


def _validated(network: nn.Module, tasks: Sequence[_Examples]) -> float:
    with torch.no_grad():
        return math.fsum(float(examples.loss(network).double().mean()) for examples in tasks)


@dataclass(frozen=True, eq=False)
class NeuralDensities:
    """A fitted network, and the rows that it is judged by.

    Args:
        linear: what is taken off first.
        network: in float64.
        rows: ``(n, d)``, none of which fitted or validated.
        method: how it was fitted, in words.
        shows: see :class:`bounds.estimators.conditional_losses.Losses`.
    """

    linear: Linear
    network: MaskedNetwork
    rows: np.ndarray
    method: str
    shows: np.ndarray | None = None

    @classmethod
    def fit(
        cls,
        training: np.ndarray,
        rows: np.ndarray,
        modalities: np.ndarray,
        tasks: Sequence[Task],
        fitting: Fitting,
        rng: np.random.Generator,
        track: Track = no_progress,
    ) -> NeuralDensities:
        """From ``(n, d)`` training rows of columns of some modalities, in float32; stops by a share of them.

        Raises:
            InputError: fewer than 20 rows, or a column that is constant.
        """
        if len(training) < 20:
            raise InputError(f"{len(training)} training examples: give at least 20")
        order = rng.permutation(len(training))
        count = max(1, round(fitting.validation * len(training)))
        validation, fit = training[order[:count]], training[order[count:]]
        linear = Linear.fit(fit, validation, modalities)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        network = MaskedNetwork(training.shape[1], fitting, generator)
        to_fit = [_Examples.of(linear, task, fit) for task in tasks]
        to_stop = [_Examples.of(linear, task, validation) for task in tasks]
        optimiser = torch.optim.Adam(network.parameters(), fitting.learning_rate, fused=True)
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(_MEMORY))
        best, kept, waited, passes = _validated(network, to_stop), copy.deepcopy(network.state_dict()), 0, 0
        for _ in track(range(fitting.epochs), "fitting the network", fitting.epochs):
            if waited == fitting.patience:
                continue
            passes += 1
            batches = torch.randperm(len(fit), generator=generator).split(fitting.batch)
            for index in batches:
                for examples in to_fit:
                    optimiser.zero_grad()
                    examples.batch(index).loss(network).mean().backward()
                    optimiser.step()
                    averaged.update_parameters(network)
            now = _validated(averaged.module, to_stop)
            waited += 1
            if now < best:
                best, kept, waited = now, copy.deepcopy(averaged.module.state_dict()), 0
        network.load_state_dict(kept)
        method = (
            f"masked autoregressive network of {fitting.hidden} units on linear innovations, {passes} passes over "
            f"{len(fit)} rows, stopped by {count} others, judged by N={len(rows)}"
        )
        return cls(linear, network.double(), np.asarray(rows, dtype=np.float64), method)

    def __call__(self, given: Block, blocks: Sequence[Block]) -> Losses:
        """``-sum_b ln q(x_b|x_given)`` of the rows, in float64 nats."""
        rows = np.zeros(len(self.rows))
        for task in tasks_of(given, blocks):
            rows += self.loss(task, self.rows)
        return Losses(rows, (np.arange(len(rows)),), math.inf, self.shows)

    def loss(self, task: Task, rows: np.ndarray) -> np.ndarray:
        """``(n,)``: minus the log-density of a block of any rows given what is seen of them."""
        found = []
        with torch.no_grad():
            for part in np.array_split(rows, max(1, len(rows) // 500)):
                examples = _Examples.of(self.linear, task, part, torch.float64)
                found.append(examples.loss(self.network).numpy() * len(task.block) + examples.log_scale)
        return np.concatenate(found)
