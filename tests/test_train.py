"""Training in company against training alone, killed runs, checkpoints, members that fail, and the errors."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from neural_common import DEVICES, NAMES, gaussian_data, generators, mixed_architecture, mixed_data

from bounds import Gaussian, InputError, SubsetScheme, mmvae, mopoe, mvae_subsampled
from toy_models import train as training
from toy_models.datasets import Dataset, Modality
from toy_models.fusion import Fusion
from toy_models.models import Architecture, MultimodalVAE
from toy_models.objectives import OBJECTIVES
from toy_models.train import Member, Training, extract, train

SHORT = Training(steps=50, batch=16, learning_rate=2e-3)
LAW = Gaussian([[1.0, 0.5], [0.5, 1.0]], names=["X1", "X2"])


def small(**more):
    data = gaussian_data(LAW, 40)
    return Architecture.of(data, "mmvae", "gaussian:learned", 2, hidden=(4,), **more), data


def parameters(trained, index):
    return torch.cat([value.flatten() for value in trained.solo(index).parameters()])


def apart(one, other):
    return ((one - other).norm() / other.norm()).item()


# --- members in company and alone ------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_a_member_in_company_is_the_member_alone(name, device):
    short, long = mixed_data(30, seed=1), mixed_data(60, seed=2)  # data of different lengths and precisions
    a = mixed_architecture(name, short)
    members = [Member(5), Member(6, beta=0.5), Member(5, data=1), Member(7, beta=2.0, data=1)]
    together = train(a, members, [short, long], SHORT, device=device)
    assert together.failed == {}
    assert together.history.shape == (1, 4)
    for index, member in enumerate(members):
        alone = train(a, [member], [short, long], SHORT, device=device)
        # rounding in fp32 (6e-8), which 50 steps of Adam amplify
        assert apart(parameters(together, index), parameters(alone, 0)) < 1e-5
        np.testing.assert_allclose(together.history[:, index], alone.history[:, 0], rtol=1e-5)
    # planted: members that differ in seed, multiplier or data alone are far apart
    for one, other in ((0, 1), (0, 2), (2, 3)):
        assert apart(parameters(together, one), parameters(together, other)) > 1e-2


@pytest.mark.parametrize("device", DEVICES)
def test_members_have_schemes_of_their_own(device):
    data = mixed_data(40)
    a = mixed_architecture("mopoe", data)
    own = SubsetScheme({(0,): 0.25, (1, 2): 0.75}, 3)
    members = [Member(5), Member(5, scheme=mmvae(3)), Member(5, scheme=own)]
    together = train(a, members, data, SHORT, device=device)
    for index, member in enumerate(members):
        alone = train(a, [member], data, SHORT, device=device)
        assert apart(parameters(together, index), parameters(alone, 0)) < 1e-5  # rounding in fp32, amplified by Adam
        found = together.solo(index).model
        weights = {subset: float(weight) for subset, weight in member.scheme or a.encoded}
        assert found.weights.flatten().tolist() == [weights.get(subset, 0.0) for subset, _ in a.encoded]
        # the objective is that of the scheme by itself, at the draws of its own subsets
        plain = extract(together.groups[0], index)
        plain.architecture = replace(a, scheme=member.scheme)
        x = [torch.tensor(part)[None].flatten(2) for part in data.held_out]
        x = [part.double() if part.is_floating_point() else part for part in x]
        noise = torch.randn(1, *a.noise_shape[:2], len(data.held_out[0]), a.noise_shape[2], dtype=torch.float64)
        beta = torch.ones(1, 1, dtype=torch.float64)
        kept = [place for place, (subset, _) in enumerate(a.encoded) if subset in weights]
        plain.fusion, plain.weights = Fusion(weights, 3, "normal", False), found.weights.flatten()[kept]
        expected = plain.objective(x, noise[:, kept], beta)
        torch.testing.assert_close(found.objective(x, noise, beta), expected, rtol=1e-12, atol=1e-12)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert apart(parameters(together, one), parameters(together, other)) > 1e-2


def test_the_mixtures_density_has_a_members_own_weights():
    data = mixed_data(40)
    a = replace(mixed_architecture("mmvae-iwae", data), draws=2)
    one = SubsetScheme({(1,): 1.0}, 3)
    module = MultimodalVAE(a, generators(2))
    module.weigh([mmvae(3), one])
    x = [torch.tensor(part)[None].flatten(2).expand(2, -1, -1) for part in data.held_out]
    x = [part.double() if part.is_floating_point() else part for part in x]
    noise = torch.rand(2, *a.noise_shape[:2], len(data.held_out[0]), a.noise_shape[2], dtype=torch.float64)
    terms = module(x, noise)
    found = OBJECTIVES["iwae-mixture"](terms, torch.ones(2, 1, dtype=torch.float64))
    # one subset's mixture is its own density
    own = OBJECTIVES["iwae"](terms, torch.ones(2, 1, dtype=torch.float64))
    torch.testing.assert_close(found[1], own[1])
    assert not torch.allclose(found[0], own[0])
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("scheme", [mmvae(2), mopoe(3), mvae_subsampled(3)])
def test_schemes_of_members_that_the_architecture_cannot_have(scheme):
    data = mixed_data(40)
    with pytest.raises(InputError, match="of a member"):
        train(mixed_architecture("mmvae", data), [Member(0, scheme=scheme)], data, SHORT)


@pytest.mark.parametrize("device", DEVICES)
def test_groups_and_other_members_make_no_difference(device):
    a, data = small()
    members = [Member(seed) for seed in range(5)]
    whole, split = (train(a, members, data, SHORT, device=device, group=group) for group in (5, 2))
    assert [group.n_members for group in split.groups] == [2, 2, 1]
    for index in range(5):
        assert apart(parameters(split, index), parameters(whole, index)) < 1e-5
    assert train(a, members[:2], data, SHORT, device=device).history[0, 1] == pytest.approx(
        whole.history[0, 1], rel=1e-5
    )


def test_convolutions_train_in_company_as_alone():
    rng = np.random.default_rng(0)
    parts = [(rng.normal(size=(20, 1, 4, 4)), rng.normal(size=(20, 2, 4, 8)).astype(np.float32)) for _ in range(2)]
    data = Dataset("images", (Modality("a", (1, 4, 4)), Modality("b", (2, 4, 8))), *parts)
    a = Architecture.of(data, "mopoe", "gaussian:0.5", 2, hidden=(3,), network="conv")
    together = train(a, [Member(1), Member(2)], data, SHORT)
    for index, member in enumerate(together.members):
        assert apart(parameters(together, index), parameters(train(a, [member], data, SHORT), 0)) < 1e-5


def test_float64_takes_nearly_the_same_course_from_the_same_start():
    a, data = small()
    twice = [train(a, [Member(3)], data, SHORT, dtype=torch.float64) for _ in range(2)]
    assert torch.equal(parameters(twice[0], 0), parameters(twice[1], 0))
    assert {value.dtype for value in twice[0].solo(0).parameters()} == {torch.float64}


def test_torchs_default_precision_makes_no_difference():
    a, data = small()
    right = train(a, [Member(3)], data, SHORT)
    try:
        torch.set_default_dtype(torch.float64)
        assert torch.equal(parameters(train(a, [Member(3)], data, SHORT), 0), parameters(right, 0))
    finally:
        torch.set_default_dtype(torch.float32)


def test_training_improves_the_objective_and_reports_its_progress():
    _, data = small()
    a = Architecture.of(data, "mvae", "gaussian:0.5", 2, hidden=(8,))
    seen = []
    trained = train(a, [Member(0), Member(1), Member(2)], data, Training(200, 32, 1e-2), group=2,
                    watch=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert trained.history.shape == (4, 3)
    assert (trained.history[-1] > trained.history[0] + 0.1).all()
    assert [total for _, total in seen] == [600] * len(seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (600, 600)


def test_the_learning_rate_falls_over_the_second_half():
    one = Training(steps=10, learning_rate=0.5)
    assert [round(one.rate(step), 12) for step in range(10)] == [0.5] * 6 + [0.4, 0.3, 0.2, 0.1]


def test_the_multiplier_rises_to_that_of_the_member():
    assert [Training(steps=8, warmup=0.5).ramp(step) for step in range(8)] == [0.25, 0.5, 0.75] + [1.0] * 5
    assert Training(steps=8, warmup=0).ramp(0) == 1.0


@pytest.mark.parametrize("fault", [None, "multiplier", "rate"])
@pytest.mark.parametrize("warmup", [0.0, 0.6])
def test_a_step_is_adams(warmup, fault):
    """Against torch's plain Adam on the objective of one member, with the same rows and noise."""
    a, data = small()
    settings = Training(5, 8, 1e-2, warmup)
    found = train(a, [Member(9, beta=2.0)], data, settings, dtype=torch.float64)
    run = training._Group(a, [Member(9)], [data], settings, torch.device("cpu"), torch.float64, False)
    model, (index, noise) = run.model, run._draws()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], foreach=False, fused=False)
    for step in range(5):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * min(1, 2 * (1 - step / 5)) * (1.1 if fault == "rate" else 1.0)
        optimizer.zero_grad()
        beta = 2.0 * (min(1, (step + 1) / 3) if warmup else 1) * (1.1 if fault == "multiplier" else 1.0)
        x = [torch.tensor(part)[index[step]] for part in data.train]
        (-model.objective(x, noise[step], torch.full((1, 1), beta, dtype=torch.float64)).mean()).backward()
        optimizer.step()
    slow = torch.cat([value.detach().flatten() for value in model.parameters()])
    # the learning rate is a float32 tensor: 6e-8 of it in each step, and what that changes later
    assert (apart(parameters(found, 0), slow) < 1e-6) == (fault is None)


# --- members that fail ------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["mmvae", "mopoe", "mmvae-iwae", "mmvae-plus"])
def test_a_member_with_a_nan_stops_and_says_so_and_others_are_untouched(name, device, monkeypatch, capsys):
    data = mixed_data()
    a = mixed_architecture(name, data)
    members, settings = [Member(1), Member(2), Member(3)], Training(150, 8)
    clean = train(a, members, data, settings, device=device)
    assert capsys.readouterr().err == ""
    original = training._Group._watch
    poisoned = []

    def poison(self, count):
        original(self, count)
        if self.done == 50:
            with torch.no_grad():
                next(self.model.parameters())[1].flatten()[0] = torch.nan
            poisoned.append(True)

    monkeypatch.setattr(training._Group, "_watch", poison)
    found = train(a, members, data, settings, device=device)
    assert poisoned
    assert found.failed == {1: 100}
    assert capsys.readouterr().err == "member 1 (seed 2) met a NaN before step 100 and was stopped\n"
    assert np.isnan(found.history[1:, 1]).all()
    for index in (0, 2):
        assert torch.equal(parameters(found, index), parameters(clean, index))
        assert np.array_equal(found.history[:, index], clean.history[:, index])
    assert np.isfinite(found.history[0]).all()
    for value in found.groups[0].parameters():
        assert not value[1].any()  # at rest
    with pytest.raises(InputError, match="member 1 failed at step 100: train it with a lower learning rate"):
        found.solo(1)


def test_an_absurd_multiplier_fails_its_member_alone(capsys):
    a, data = small()
    found = train(a, [Member(1), Member(1, beta=3e38)], data, SHORT)
    assert list(found.failed) == [1]
    assert torch.equal(parameters(found, 0), parameters(train(a, [Member(1), Member(2)], data, SHORT), 0))
    assert "member 1 (seed 1)" in capsys.readouterr().err


# --- checkpoints ------------------------------------------


@pytest.fixture(autouse=True)
def every_block_is_saved(monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY", 0)


def test_checkpoints_are_seconds_apart_and_the_end_is_kept(tmp_path, monkeypatch):
    a, data = small()
    monkeypatch.setattr(training, "SAVE_EVERY", 5.0)
    clock = iter([0.0, 1.0, 6.0, 6.0, 7.0, 7.0])  # at the start, after each block, and after each save
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))
    saves, save = [], torch.save
    monkeypatch.setattr(torch, "save", lambda state, stream: saves.append(state["done"]) or save(state, stream))
    train(a, [Member(1)], data, Training(200, 8), folder=tmp_path)
    assert saves == [100, 200]


SCRIPT = """
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_train import run_of, training
training.SAVE_EVERY = 0
for done in run_of(Path({folder!r}), lambda done, total: print(done, flush=True)): pass
"""
LONG = Training(steps=150, batch=16)


def run_of(folder, watch=None):
    data = mixed_data()
    members = [Member(1), Member(2, beta=0.5), Member(3)]
    found = train(mixed_architecture("mopoe", data), members, data, LONG, group=2, folder=folder, watch=watch)
    return [found]


@cache
def uninterrupted():
    return run_of(None)[0]


def same(one, other):
    for mine, theirs in zip(one.groups, other.groups, strict=True):
        for name, value in mine.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name
    assert np.array_equal(one.history, other.history)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_resumes_to_the_same_numbers(tmp_path):
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, text=True) as run:
        for line in run.stdout:
            if int(line) >= 100:  # member steps: in the middle of the first group
                run.send_signal(signal.SIGKILL)
                break
    assert run.returncode == -signal.SIGKILL
    left = {path: path.read_bytes() for path in tmp_path.glob("*.pt")}
    assert left
    seen = []
    same(run_of(tmp_path, lambda done, total: seen.append(done))[0], uninterrupted())
    assert seen[0] > 100  # it went on, and did not begin again


def test_an_interrupted_run_resumes_to_the_same_numbers(tmp_path):
    def interrupt(done, total):
        if done >= 350:  # the second group has begun
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_of(tmp_path, interrupt)
    assert len(list(tmp_path.glob("*.pt"))) == 2
    assert not list(tmp_path.glob("*.part"))
    same(run_of(tmp_path)[0], uninterrupted())
    seen = []
    same(run_of(tmp_path, lambda done, total: seen.append(done))[0], uninterrupted())  # nothing is left to do
    assert seen == [300, 450]


def test_a_stopped_member_stays_stopped_when_the_run_resumes(tmp_path, capsys):
    a, data = small()
    members = [Member(1), Member(1, beta=3e38)]

    def interrupt(done, total):
        if done >= 200:
            raise KeyboardInterrupt

    whole = train(a, members, data, LONG)
    with pytest.raises(KeyboardInterrupt):
        train(a, members, data, LONG, folder=tmp_path, watch=interrupt)
    again = train(a, members, data, LONG, folder=tmp_path)
    assert again.failed == whole.failed == {1: 50}
    assert torch.equal(parameters(again, 0), parameters(whole, 0))
    np.testing.assert_array_equal(again.history, whole.history)
    # each of the three runs says so when it happens, or when it resumes
    assert capsys.readouterr().err.count("member 1 (seed 1) met a NaN") == 3


def test_a_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    a, data = small()
    train(a, [Member(1)], data, SHORT, folder=tmp_path)
    monkeypatch.setattr(training, "FORMAT", training.FORMAT + 1)
    with pytest.raises(InputError, match="of another run, device or version"):
        train(a, [Member(1)], data, SHORT, folder=tmp_path)


def test_what_was_trained_has_no_gradients_left():
    a, data = small()
    assert all(p.grad is None for p in train(a, [Member(1)], data, SHORT).groups[0].parameters())


def test_a_run_that_resumes_keeps_its_groups_whatever_fits_now(tmp_path, monkeypatch):
    a, data = small()
    members = [Member(seed) for seed in range(3)]
    first = train(a, members, data, SHORT, folder=tmp_path, group=2)
    monkeypatch.setattr(training, "CPU_GROUP", 1)
    same(train(a, members, data, SHORT, folder=tmp_path), first)
    assert len(list(tmp_path.glob("*.pt"))) == 2


@pytest.mark.parametrize(
    "change",
    ["seed", "beta", "steps", "rate", "hidden", "draws", "data", "order", "modality", "dtype", "count", "scheme"],
)
def test_a_checkpoint_of_another_run_is_refused(change, tmp_path):
    a, data = small()
    train(a, [Member(1), Member(2)], data, SHORT, folder=tmp_path)
    members, settings, dtype = [Member(1), Member(2)], SHORT, torch.float32
    match change:
        case "seed":
            members = [Member(1), Member(3)]
        case "beta":
            members = [Member(1), Member(2, beta=2.0)]
        case "count":
            members = [Member(1)]
        case "steps":
            settings = Training(100, 16)
        case "rate":
            settings = Training(50, 16, 1e-3)
        case "hidden":
            a = Architecture.of(data, "mmvae", "gaussian:learned", 2, hidden=(5,))
        case "draws":
            a, _ = small(draws=2)
        case "data":
            data = gaussian_data(LAW, 40, seed=1)
        case "order":  # the same rows in another order: the same sums
            turned = [tuple(rows[::-1].copy() for rows in part) for part in (data.train, data.held_out)]
            data = Dataset(data.name, data.modalities, *turned)
        case "modality":  # other rows of the last one
            train_rows = (data.train[0], data.train[1][::-1].copy())
            data = Dataset(data.name, data.modalities, train_rows, data.held_out)
        case "scheme":
            members = [Member(1), Member(2, scheme=SubsetScheme({(0,): 1.0}, 2))]
        case "dtype":
            dtype = torch.float64
    with pytest.raises(InputError, match="is of another run, device or version: use another folder"):
        train(a, members, data, settings, dtype=dtype, folder=tmp_path)


class Malicious:
    def __reduce__(self):
        return os.mkdir, (os.environ["PLANTED"],)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "a pickle", "a tensor", "a part missing", "wrong shapes"])
def test_a_damaged_checkpoint_is_an_error_of_one_line(damage, tmp_path, monkeypatch):
    a, data = small()
    folder = tmp_path / "run"
    train(a, [Member(1)], data, SHORT, folder=folder)
    (path,) = folder.glob("*.pt")
    planted = tmp_path / "planted"
    monkeypatch.setenv("PLANTED", str(planted))
    state = torch.load(path, weights_only=True)
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("step,loss\n1,2\n")
        case "cut":
            path.write_bytes(path.read_bytes()[:-200])
        case "a pickle":
            path.write_bytes(pickle.dumps(Malicious()))
        case "a tensor":
            torch.save(torch.zeros(3), path)
        case "a part missing":
            del state["generators"]
            torch.save(state, path)
        case "wrong shapes":
            state["model"] = {name: value[..., :0] for name, value in state["model"].items()}
            torch.save(state, path)
    with pytest.raises(InputError, match=r"no checkpoint of this program \(\w+\): remove it") as caught:
        train(a, [Member(1)], data, SHORT, folder=folder)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert not planted.exists()


def test_the_malicious_pickle_would_do_harm(tmp_path, monkeypatch):
    # planted: so the test above can fail
    monkeypatch.setenv("PLANTED", str(tmp_path / "planted"))
    pickle.loads(pickle.dumps(Malicious()))
    assert (tmp_path / "planted").exists()


def test_folders_that_cannot_be_made_or_written(tmp_path, monkeypatch):
    a, data = small()
    new = tmp_path / "not" / "yet" / "there"
    train(a, [Member(1)], data, SHORT, folder=new)
    assert len(list(new.iterdir())) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        train(a, [Member(1)], data, SHORT, folder=tmp_path / "file")

    def full(part, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"cannot write .*No space left on device"):
        train(a, [Member(2)], data, SHORT, folder=tmp_path / "full")
    assert not list((tmp_path / "full").iterdir())


def test_a_checkpoint_that_does_not_fit_is_not_called_damaged(tmp_path, monkeypatch):
    a, data = small()
    train(a, [Member(1)], data, SHORT, folder=tmp_path)

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(InputError, match="out of memory with 1 models at once"):
        train(a, [Member(1)], data, SHORT, folder=tmp_path)


# --- what does not fit ------------------------------------------


def test_a_model_too_large_for_memory_is_refused_before_it_is_made():
    _, data = small()
    a = Architecture.of(data, "mmvae", "gaussian:1", 2, hidden=(10**6, 10**6))
    with pytest.raises(InputError, match=r"one model needs about .* GiB .* are free: use a smaller"):
        train(a, [Member(1)], data, SHORT)
    small_a, _ = small()
    with pytest.raises(InputError, match="use a smaller batch, fewer draws"):
        train(small_a, [Member(1)], data, Training(50, 10**9))


def test_groups_shrink_to_the_memory(monkeypatch):
    a, data = small()
    one = 4 * training._numbers(a, SHORT.batch)
    monkeypatch.setattr(training, "available_bytes", lambda: int(2.5 * one / training.MEMORY_SHARE))
    assert [g.n_members for g in train(a, [Member(s) for s in range(5)], data, SHORT).groups] == [2, 2, 1]


def at_the_end_of_a_recording():
    """What is left of it where the end of a recording fails too."""
    error = RuntimeError("capture_end failed")
    error.__context__ = torch.OutOfMemoryError("CUDA out of memory.")
    return error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        MemoryError(),
        at_the_end_of_a_recording(),
    ],
)
def test_running_out_of_memory_names_the_cure(error, monkeypatch):
    def objective(*_):
        raise error

    monkeypatch.setattr(MultimodalVAE, "objective", objective)
    a, data = small()
    with pytest.raises(
        InputError, match="out of memory with 1 models at once and batch 16: use a smaller group"
    ) as caught:
        train(a, [Member(1)], data, SHORT)
    assert "\n" not in str(caught.value)


def test_other_errors_of_torch_are_not_hidden(monkeypatch):
    def objective(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(MultimodalVAE, "objective", objective)
    a, data = small()
    with pytest.raises(RuntimeError, match="a bug"):
        train(a, [Member(1)], data, SHORT)


def test_what_cannot_be_trained():
    a, data = small()
    other = mixed_data()
    with pytest.raises(InputError, match="no members to train"):
        train(a, [], data, SHORT)
    with pytest.raises(InputError, match="member 1 is to be trained on dataset 2: there are 1"):
        train(a, [Member(1), Member(2, data=2)], data, SHORT)
    with pytest.raises(InputError, match="has other modalities than the architecture"):
        train(a, [Member(1)], other, SHORT)
    with pytest.raises(InputError, match="group=0: give at least 1"):
        train(a, [Member(1)], data, SHORT, group=0)
    for device in ("tpu", "mps", "cuda:x"):
        with pytest.raises(InputError, match="use 'cpu' or 'cuda'"):
            train(a, [Member(1)], data, SHORT, device=device)
    with pytest.raises(InputError, match=r"member 3: there are 1, counted from 0"):
        train(a, [Member(1)], data, SHORT).solo(3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there():
    a, data = small()
    with pytest.raises(InputError, match="no CUDA device here: use device='cpu'"):
        train(a, [Member(1)], data, SHORT, device="cuda")


def test_data_that_a_likelihood_does_not_take_in_either_part():
    rows = np.array([[0.0], [1.0]])
    for train_rows, held_out in ((rows / 2, rows), (rows, rows / 2)):
        data = Dataset("grey", (Modality("X1", (1,)),), (train_rows,), (held_out,))
        with pytest.raises(InputError, match="grey: X1 has values other than 0 and 1"):
            train(Architecture.of(data, "mvae", "bernoulli", 1), [Member(1)], data, SHORT)


def test_values_too_large_for_the_precision():
    rows = np.array([[1e300], [1.0]])
    data = Dataset("large", (Modality("X1", (1,)),), (rows,), (rows,))
    with pytest.raises(InputError, match=r"X1 has values too large for torch\.float32"):
        train(Architecture.of(data, "mvae", "gaussian:1", 1), [Member(1)], data, SHORT)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Member(-1),
        lambda: Member(1 << 63),
        lambda: Member(1, beta=float("nan")),
        lambda: Member(1, beta=-1.0),
        lambda: Training(steps=0),
        lambda: Training(batch=0),
        lambda: Training(learning_rate=0.0),
        lambda: Training(learning_rate=float("nan")),
        lambda: Training(learning_rate=float("inf")),
        lambda: Training(warmup=-0.1),
        lambda: Training(warmup=1.5),
        lambda: Training(warmup=float("nan")),
    ],
)
def test_bad_settings(make):
    with pytest.raises(InputError):
        make()


@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="no C++ compiler here")
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")  # torch's own
def test_compiled_steps_are_the_steps():
    a, data = small()
    plain, compiled = (train(a, [Member(1), Member(2)], data, SHORT, compiled=how) for how in (False, True))
    for index in range(2):
        # rounding in fp32 (6e-8), which 50 steps of Adam amplify
        assert apart(parameters(compiled, index), parameters(plain, index)) < 1e-5


def test_every_group_is_compiled(monkeypatch):
    """Torch compiles eight modules of a class and runs those after them as they are, unless it forgets the first."""
    a, data = small()
    known, most = set(), 0

    def compiled(objective):
        nonlocal most
        known.add(objective)
        most = max(most, len(known))
        return objective

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(torch.compiler, "reset", known.clear)
    train(a, [Member(seed) for seed in range(3)], data, Training(1, 8), group=1, compiled=True)
    assert most == 1
