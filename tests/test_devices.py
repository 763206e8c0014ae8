"""What a GPU asks of training and evaluation, tried on the CPU: steps as graphs, nothing left behind on the host.

Where there is a GPU, tests of training and evaluation run on it as well.
"""

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import graph_on_cpu
import numpy as np
import pytest
import torch
from neural_common import DEVICES, NAMES, gaussian_data, mixed_architecture, mixed_data, random_module, rows_of
from torch.distributions import Distribution
from torch.utils._python_dispatch import TorchDispatchMode

from bounds import Gaussian, mmvae, mopoe
from toy_models import held_out as held
from toy_models import train as training
from toy_models.auditable import Examples
from toy_models.datasets import Dataset, Modality
from toy_models.devices import EAGER, captured
from toy_models.evaluate import _Rule
from toy_models.held_out import held_out
from toy_models.member import SoloModel
from toy_models.models import Architecture
from toy_models.train import Member, Training, train

#: Its learning rate falls and its multipliers rise while steps are replayed, over two blocks.
LONG = Training(steps=70, batch=8, learning_rate=5e-3, warmup=0.8)


@pytest.fixture
def graphs(monkeypatch):
    """Training takes every step as it does on a GPU, with graphs that the CPU replays."""
    graph_on_cpu.put_in_place(monkeypatch)
    monkeypatch.setattr(training, "launched", captured)
    return graph_on_cpu.Graph


def same(one, other):
    assert one.failed == other.failed
    torch.testing.assert_close(torch.tensor(one.history), torch.tensor(other.history), rtol=0, atol=0, equal_nan=True)
    for a, b in zip(one.groups, other.groups, strict=True):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            assert torch.equal(p, q)


def images(rows=30):
    generator = torch.Generator().manual_seed(0)
    parts = [torch.rand(rows, 3, 8, 8, generator=generator).numpy() for _ in range(4)]
    return Dataset("images", (Modality("a", (3, 8, 8)), Modality("b", (3, 8, 8))), tuple(parts[:2]), tuple(parts[2:]))


@pytest.mark.parametrize("name", NAMES)
def test_replayed_steps_are_the_steps(name, graphs, monkeypatch):
    data = mixed_data(30)
    a, members = mixed_architecture(name, data), [Member(5), Member(6, beta=0.5)]
    replayed = train(a, members, data, LONG)
    monkeypatch.undo()
    same(replayed, train(a, members, data, LONG))


def test_replayed_convolutions_are_the_convolutions(graphs, monkeypatch):
    data = images()
    a = Architecture.of(data, "mopoe", "laplace:learned", 2, network="conv", hidden=(4,))
    replayed = train(a, [Member(1), Member(2)], data, LONG)
    monkeypatch.undo()
    same(replayed, train(a, [Member(1), Member(2)], data, LONG))


def test_members_with_schemes_of_their_own_are_replayed(graphs, monkeypatch):
    data = mixed_data(30)
    a = mixed_architecture("mopoe", data)
    members = [Member(1, scheme=mmvae(3)), Member(1, scheme=mopoe(3))]
    replayed = train(a, members, data, LONG)
    monkeypatch.undo()
    same(replayed, train(a, members, data, LONG))


def test_a_run_that_resumes_is_recorded_anew(graphs, monkeypatch, tmp_path):
    data = mixed_data(30)
    a, members = mixed_architecture("mmvae", data), [Member(5), Member(6)]

    def stop(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    with pytest.raises(KeyboardInterrupt):
        train(a, members, data, LONG, folder=tmp_path, watch=stop)
    resumed = train(a, members, data, LONG, folder=tmp_path)
    monkeypatch.undo()
    same(resumed, train(a, members, data, LONG))


def test_a_member_that_fails_is_stopped_between_replays(graphs, monkeypatch, capsys):
    data = mixed_data(30)
    a, members = mixed_architecture("mvae", data), [Member(5), Member(6)]
    draw = training._Group._draws

    def spoilt(self):
        index, noise = draw(self)
        noise[20:, 1] = float("inf")
        return index, noise

    monkeypatch.setattr(training._Group, "_draws", spoilt)
    found = train(a, members, data, LONG)
    assert list(found.failed) == [1]
    assert "member 1 (seed 6) met a NaN before step 50" in capsys.readouterr().err
    monkeypatch.undo()
    alone = train(a, members[:1], data, LONG)
    # rounding in fp32, amplified by Adam
    assert found.history[:, 0] == pytest.approx(alone.history[:, 0], rel=1e-5)


# --- the emulation refuses and freezes what a GPU does ---------------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: torch.nonzero(x),
        lambda x: x + torch.tensor([1.0, 2.0, 3.0]),
    ],
)
def test_what_needs_the_host_cannot_be_recorded(look, graphs):
    x = torch.arange(3.0)
    step = captured(lambda: look(x), torch.device("cuda"))
    for _ in range(EAGER):
        step()
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        step()


def test_numbers_are_frozen_and_tensors_are_read_where_they_are(graphs):
    frozen, read, total = [0.0], torch.zeros(()), torch.zeros(2)

    def work():
        total.copy_(torch.stack([total[0] + frozen[0], total[1] + read]))

    step = captured(work, torch.device("cuda"))
    for n in range(1, 8):
        frozen[0] = float(n)
        read.fill_(n)
        step()
    # the fourth step is recorded, run once, and its number is that of all later ones
    assert total.tolist() == [1 + 2 + 3 + 4 * 4, 28]


def test_a_step_that_looks_at_values_fails_in_training(graphs, monkeypatch):
    data = mixed_data(30)
    step = training._Group._step

    def looks(self):
        step(self)
        self.looked = self.total.sum().item()

    monkeypatch.setattr(training._Group, "_step", looks)
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        train(mixed_architecture("mmvae", data), [Member(1)], data, LONG)


# --- everything is on one device --------------------------------------------------------------------------------------


class OneDevice(TorchDispatchMode):
    """Refuses what a GPU refuses: an operation on tensors of two devices, but for single numbers.

    With ``recorded`` also copies between them, which a graph cannot record.
    """

    def __init__(self, recorded=False):
        super().__init__()
        self.recorded = recorded

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        copies = function in (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
        seen = graph_on_cpu.tensors((args, kwargs)) + (graph_on_cpu.tensors(found) if copies and self.recorded else [])
        places = {one.device.type for one in seen if one.ndim}
        if len(places) > 1 and (self.recorded or not copies):
            raise RuntimeError(f"{function} on {sorted(places)}")
        return found


def on_meta(name, data=None, **more):
    """A model of two members and eight examples on the device that has shapes and no numbers."""
    data = data or mixed_data(30)
    a = Architecture.of(data, name, "gaussian:learned", 2, **more) if more else mixed_architecture(name, data)
    module = random_module(a, 2).to("meta")
    subsets, draws, latents = a.noise_shape
    noise = torch.randn(2, subsets, draws, 8, latents, dtype=torch.float64, device="meta")
    x = [part.to("meta", torch.float64 if part.is_floating_point() else None) for part in rows_of(data, 8, 2)]
    return module, x, noise, torch.ones(2, 1, dtype=torch.float64, device="meta")


@pytest.mark.parametrize("name", NAMES)
def test_an_objective_and_its_gradients_are_on_one_device(name):
    module, x, noise, beta = on_meta(name)
    with OneDevice(recorded=True):
        value = module.objective(x, noise, beta)
        value.sum().backward()
    assert value.shape == (2, 8)
    assert {p.grad.device.type for p in module.parameters() if p.grad is not None} == {"meta"}


def test_convolutions_are_on_one_device():
    module, x, noise, beta = on_meta("mopoe", images(), network="conv", hidden=(4,))
    with OneDevice(recorded=True):
        module.objective(x, noise, beta).sum().backward()


class Asked:
    """A model without the checks that look at values."""

    def __init__(self, model, columns):
        self.model, self.columns = model, columns

    def prior(self):
        return self.model.prior

    def posterior(self, x, subset):
        return self.model.posterior(x.container, subset)

    def log_likelihood(self, x, z, subset):
        return self.model.log_likelihood(x.container, z)


@pytest.mark.parametrize(
    ("name", "method"),
    [(name, method) for name in NAMES for method in ("sobol", "draws")] + [("mvae", "gauss-hermite")],
)
def test_evaluation_is_on_one_device(name, method, monkeypatch):
    monkeypatch.setattr(Distribution, "_validate_args", False)  # it looks at values
    data = mixed_data(30)
    a = replace(mixed_architecture(name, data), latents=2)
    model = SoloModel(random_module(a, 1)).to("meta")
    x = Examples.of([torch.tensor(part) for part in data.held_out], 3).rows(0, 8).to(torch.device("meta"))
    rule = _Rule(1, method, 16, 64, torch.Generator(), False)
    with OneDevice(), torch.no_grad():
        fit, kl = rule.terms(Asked(model, data.names), x)
    assert (fit.shape, kl.shape) == ((8, 3), (8,))
    assert fit.device.type == kl.device.type == "meta"


def test_two_devices_are_seen():
    with pytest.raises(RuntimeError, match=r"on \['cpu', 'meta'\]"), OneDevice():
        torch.einsum("ab,bc->ac", torch.ones(2, 2, device="meta"), torch.ones(2, 2))
    with pytest.raises(RuntimeError, match=r"on \['cpu', 'meta'\]"), OneDevice(recorded=True):
        torch.ones(2).to("meta")
    with OneDevice():
        torch.ones(2).to("meta")


def test_what_a_graph_reads_is_on_its_device(monkeypatch):
    """The rate, and what a step reads and writes, of a group that is made for the device without numbers."""
    data = gaussian_data(Gaussian([[1.0, 0.5], [0.5, 1.0]], names=["X1", "X2"]), 40)
    a = Architecture.of(data, "mmvae-iwae", "gaussian:learned", 2, hidden=(4,))
    made, real = {}, torch.optim.Adam

    def adam(parameters, **options):
        made.update(options, parameters=list(parameters))
        return real([torch.nn.Parameter(torch.zeros(1))])

    monkeypatch.setattr(torch.optim, "Adam", adam)
    monkeypatch.setattr(torch, "Generator", lambda device: torch.default_generator)
    monkeypatch.setattr(torch, "isfinite", lambda rows: torch.ones(1))
    group = training._Group(a, [Member(0)], [data], LONG, torch.device("meta"), torch.float32, False)
    assert made["fused"] is True
    assert made["lr"].device.type == "meta"
    assert {one.device.type for one in made["parameters"]} == {"meta"}
    held = [*group.rows, group.beta, group.ramp, group.alive, group.index, group.noise, group.total]
    assert {one.device.type for one in (*held, *group.model.buffers())} == {"meta"}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["mvae", "mmvae", "mmvae-plus"])
def test_terms_are_the_same_on_every_device(name, device):
    data = mixed_data(120)
    model = SoloModel(random_module(mixed_architecture(name, data), 1))
    a = model.model.architecture
    here, there = (held_out(model, data, a.encoded, 0, draws=16, device=on) for on in ("cpu", device))
    np.testing.assert_allclose(there.each, here.each, rtol=1e-11)  # rounding of sums
    assert model.model.weights.device.type == "cpu"


def test_wide_layers_are_evaluated_in_smaller_batches(monkeypatch):
    data = mixed_data(120)
    model = SoloModel(random_module(mixed_architecture("mmvae", data), 1))
    assert model.model.widest == 16  # pixels of the binary modality, of one unit each
    sizes, evaluate = [], held.evaluate
    monkeypatch.setattr(held, "evaluate", lambda *a, **k: sizes.append(k["batch_size"]) or evaluate(*a, **k))
    scheme = model.model.architecture.encoded
    whole = held_out(model, data, scheme, 0, draws=16)
    monkeypatch.setattr(held, "LAYER", 1600)
    parts = held_out(model, data, scheme, 0, draws=16)
    assert sizes == [held.BATCH, 100]
    np.testing.assert_allclose(parts.each, whole.each, rtol=1e-12)  # rounding


# --- memory on a CPU -------------------------------------------------------------------------------------------------

FAULTS = """
import resource
import torch
from toy_models import train as training
from toy_models.datasets import equicorrelated
from toy_models.models import Architecture
import numpy as np

torch.set_num_threads(1)
data = equicorrelated(3, 0.5, n_train=1000, n_held_out=100, rng=np.random.default_rng(0))
a = Architecture.of(data, "mopoe", "gaussian:0.75", 4, hidden=(64,))
members = [training.Member(seed) for seed in range(16)]
group = training._Group(a, members, [data], training.Training(10_000, 64), torch.device("cpu"), torch.float32, False)
steps, most = group.steps(None), 0
next(steps)
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    next(steps)
    most = max(most, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / training.BLOCK)
print(most)
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="not the C library of Linux")
def test_a_step_does_not_wait_for_its_memory_again():
    """The largest activation of a step has 1,344 pages; with glibc's own rule steps of every other block met 4,000."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert float(done.stdout) < 300


# --- precision -------------------------------------------------------------------------------------------------------


PRECISION = """
import torch
from toy_models.devices import full_precision

def settings():
    found = []
    for ask in (
        torch.get_float32_matmul_precision,
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda: torch.backends.cuda.matmul.fp32_precision,
        lambda: torch.backends.cudnn.conv.fp32_precision,
        lambda: torch.backends.cudnn.deterministic,
    ):
        try:
            found.append(ask())
        except RuntimeError:  # of a mixture of older and newer settings
            found.append("mixed")
    return found

for change in {changes!r}:
    exec(change)
    before = settings()
    with full_precision(torch.device("cuda")):
        print(settings()[1:4])
    assert settings() == before, (change, before, settings())
"""


@pytest.mark.parametrize(
    "changes",
    [
        ["torch.backends.cuda.matmul.fp32_precision = 'tf32'", "torch.backends.cudnn.conv.fp32_precision = 'ieee'"],
        ["torch.backends.cudnn.fp32_precision = 'tf32'", "torch.backends.fp32_precision = 'ieee'"],
        ["torch.backends.fp32_precision = 'tf32'"],
        ["torch.set_float32_matmul_precision('high')", "torch.set_float32_matmul_precision('medium')"],
        ["torch.backends.cuda.matmul.allow_tf32 = True", "torch.backends.cudnn.deterministic = True"],
        ["torch.backends.cudnn.allow_tf32 = False"],
    ],
)
def test_tf32_is_off_inside_and_as_it_was_outside_whatever_was_set(changes):
    """In a process of its own, since some settings cannot be undone."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PRECISION.format(changes=["pass", *changes])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {"[False, 'ieee', 'ieee']"}
