"""The experiments on settings that take seconds: what they find and keep, and that each of their checks can fail."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("torch", reason="torch is not installed: nothing is trained")
import torch

from bounds import Gaussian, InputError, mopoe
from bounds.likelihoods import likelihood_ceiling
from bounds.optimum import optimal_elbo
from toy_models import cli, experiments
from toy_models import train as training
from toy_models.datasets import common_cause, equicorrelated, gaussian
from toy_models.experiments import (
    EXPERIMENTS,
    Experiment,
    Finding,
    Setting,
    ceilings,
    cell,
    coherence_quality,
    collapse,
    imputation,
    latent_size,
    modalities,
    private_information,
    study,
)
from toy_models.held_out import log_density
from toy_models.member import SoloModel
from toy_models.models import Architecture, MultimodalVAE
from toy_models.train import Training, train

NAMES = tuple(EXPERIMENTS)
SEEDS = (0, 1)


def few(setting, quick, full):
    """A quick run made tiny: few rows, steps and points, at most two modalities. Classifiers need more rows."""
    if isinstance(quick, int) and quick >= 400:
        return {1500: 40, 5000: 1000}.get(quick, 200)  # steps, digits, other rows
    variances, correlations = {(0.1, 0.5, 2.0): (0.1, 2.0)}, {(0.2, 0.3, 0.5, 0.6, 0.8): (0.2, 0.5, 0.8)}
    fewer = {(1, 3): (1, 2), (1, 3, 5): (1, 2)} | variances | correlations
    return fewer.get(quick, quick)


class Trainings:
    """Counts ensembles, and trains them for 30 steps."""

    def __init__(self):
        self.count, self.train = 0, cell.train

    def __call__(self, architecture, members, dataset, training, **options):
        self.count += 1
        return self.train(architecture, members, dataset, Training(30, 16), **options)


@pytest.fixture(scope="module")
def tiny():
    """Tiny settings, and the count of trainings."""
    with pytest.MonkeyPatch.context() as patch:
        trainings = Trainings()
        patch.setattr(Setting, "choose", few)
        patch.setattr(cell, "train", trainings)
        patch.setattr(modalities, "LATENTS", dict.fromkeys(modalities.LATENTS, 1))
        patch.setattr(collapse, "optimal_elbo", lambda law, scheme, tol, seconds: optimal_elbo(law, scheme, tol=1e-2))
        patch.setattr(coherence_quality, "MODALITIES", 2)
        few_models = {
            name: how for name, how in coherence_quality.TRAINED.items() if name not in ("mmvae-plus", "mvtcae")
        }
        patch.setattr(coherence_quality, "TRAINED", few_models)
        yield trainings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("experiments")


@pytest.fixture(scope="module")
def findings(tiny, folder):
    return {name: experiment(Setting(folder, quick=True, seeds=SEEDS)) for name, experiment in EXPERIMENTS.items()}


def strict_json(text):
    """Parsed JSON; NaN and Infinity, which are not JSON, are errors."""

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


# --- what they find ----------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_finding_has_what_it_promises(name, findings, folder):
    finding = findings[name]
    assert (finding.experiment, finding.question) == (name, EXPERIMENTS[name].question)
    assert finding.question.endswith("?")
    assert "\n" not in finding.sentence
    assert any(character.isdigit() for character in finding.sentence)
    assert finding.checks
    assert {type(met) for met in finding.checks.values()} == {bool}
    assert finding.agrees is all(finding.checks.values())
    page = strict_json((folder / f"{name}.json").read_text())
    for key, value in finding.to_dict().items():
        assert page[key] == value
    assert page["unit"] == "nats"
    assert page["run"]["quick"] is True
    assert {"device", "cores", "python", "torch", "numpy", "seconds_without_what_was_kept"} <= set(page["run"])
    assert page["rows"]
    for row in page["rows"]:
        by_seed = [value for value in row.values() if isinstance(value, list)]
        assert by_seed
        assert all(len(values) == len(SEEDS) for values in by_seed)


@pytest.mark.parametrize("name", NAMES)
def test_the_figure_is_a_png(name, findings, folder):
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    figure = findings[name].figure()
    first = figure.axes[0]
    assert first.get_ylabel()
    for axes in figure.axes:
        assert axes.has_data()
        assert axes.get_xlabel()
        assert axes.get_ylabel() or axes.get_shared_y_axes().joined(axes, first)
    assert any("nats" in label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel()))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_measured_is_not_measured_again(name, findings, folder, tiny, monkeypatch):
    before = tiny.count
    monkeypatch.setattr(imputation, "_trained", lambda *_: pytest.fail("trained again"))
    again = EXPERIMENTS[name].run(Setting(folder, quick=True, seeds=SEEDS))
    assert tiny.count == before > 0
    assert again.to_dict() == findings[name].to_dict()


def test_a_damaged_measurement_is_an_error_that_names_it_and_only_it_is_measured_again(findings, folder, tiny):
    path = sorted((folder / "measured").glob("equicorrelated-mvtcae-*.json"))[0]  # of this experiment alone
    whole = path.read_text()
    path.write_text(whole[:-20])
    with pytest.raises(InputError) as caught:
        EXPERIMENTS["ceilings"].run(Setting(folder, quick=True, seeds=SEEDS))
    assert str(caught.value).startswith(f"{path} is damaged (")
    assert str(caught.value).endswith("): remove it, and it will be measured again")
    path.unlink()
    before, written = tiny.count, {p: p.stat().st_mtime_ns for p in (folder / "measured").iterdir()}
    assert (
        EXPERIMENTS["ceilings"].run(Setting(folder, quick=True, seeds=SEEDS)).to_dict()
        == findings["ceilings"].to_dict()
    )
    assert tiny.count == before + 1
    assert path.read_text() == whole  # to the last digit: from the checkpoint of the training
    assert all(p.stat().st_mtime_ns == time for p, time in written.items())


def test_only_findings_announce_themselves(findings, folder, capsys):
    setting = Setting(folder, quick=True, seeds=SEEDS)
    made = setting.kept("probe", 1, lambda where: {"answer": [1, 2]})
    assert made == {"answer": [1, 2]}
    assert capsys.readouterr() == ("", "")
    EXPERIMENTS["latent-size"](setting)
    written = [f"wrote {folder / 'latent-size'}{suffix}" for suffix in (".json", ".png")]
    assert capsys.readouterr().err.splitlines() == written


def test_another_thing_is_measured_by_itself(tmp_path):
    setting, calls = Setting(tmp_path, seeds=SEEDS), []

    def work(where):
        calls.append(where)
        return {"calls": len(calls)}

    assert [setting.kept("x", identity, work)["calls"] for identity in (1, 1, 2, 1)] == [1, 1, 2, 1]
    assert len(set(calls)) == 2


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1} {', b"\xff"], ids=["empty", "cut", "twice", "no text"])
def test_a_damaged_file_is_one_line_that_names_it(content, tmp_path):
    setting = Setting(tmp_path, seeds=SEEDS)
    setting.kept("x", 1, lambda where: {"a": 1})
    (path,) = (tmp_path / "measured").iterdir()
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        setting.kept("x", 1, lambda where: pytest.fail("measured again"))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_work_that_fails_leaves_nothing(tmp_path):
    def fails(where):
        raise InputError("no")

    setting = Setting(tmp_path, seeds=SEEDS)
    with pytest.raises(InputError, match="no"):
        setting.kept("x", 1, fails)
    assert not (tmp_path / "measured").exists()
    assert setting.kept("x", 1, lambda where: {"a": 1}) == {"a": 1}


def test_a_device_that_is_not_there_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match="device 'tpu': use 'cpu' or 'cuda'"):
        Setting(tmp_path, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="there is no CUDA device here"):
            Setting(tmp_path, device="cuda")


# --- each check can fail -----------------------------------------------------
#
# In a perfect world, made of rows as theory wants them, every experiment agrees. Planted faults in these rows are each
# noticed, and together they fail every check that there is.


def perfect_ceilings(family, name, dataset, setting):
    row = {"verdict": ["consistent", "consistent"], "above_ceiling": -1.0}
    if family == "affine" or (family == "categorical" and name in ceilings.OWN_DENSITY):
        row["short_of_optimum"] = 0.001
    if family == "categorical" and name in ceilings.OWN_DENSITY:
        row["short_of_gaussian"] = 0.001
    return row


def perfect_gaps(title, dataset, setting):
    count = dataset.n_modalities
    wide = count > 1
    gaps = {"mvae": [0.01 * wide, -0.01 * wide], "mmvae": [1.0 * count, 1.01 * count], "mopoe": [0.5 * count] * 2}
    common = {"data": title, "modalities": count}
    return [{**common, "model": name, "gap": gap, "best_linear": sum(gap) / 2} for name, gap in gaps.items()]


def perfect_private(case, variance, name, setting):
    about = {"model": name, "case": case, "variance": variance, "delta": variance, "below_floor": -1.0}
    return {**about, "best_linear": 0.3 * variance, "loss": [0.3 * variance + 0.01, 0.3 * variance - 0.01]}


def perfect_coherence(judge, title, name, setting):
    mixture = name in ("mmvae", "mopoe", "mmvae (conv)")
    share = (0.8 if title == "original" else 0.5) if mixture else 0.4
    return {"conditional": [share, share], "elbo": [50.0, 50.0] if mixture else [100.0, 101.0]}


def perfect_latent_size(cell, setting):
    law, scheme = cell.dataset.law, cell.architecture.encoded
    floor = -float(law.entropy_vector().values[-1]) - float(likelihood_ceiling(law, scheme, "gaussian:learned"))
    enough = cell.architecture.latents >= latent_size.FACTORS
    return {"loss": [floor + (0.05 if enough else 3.0)] * 2}


def perfect_collapse(count, rho, setting):
    on = rho > 1 / (1 + math.sqrt(count))
    return {"modalities": count, "rho": rho, "kl": [0.5 * on, 0.4 * on], "loss": [0.1, 0.1], "below_optimum": -1.0}


def perfect_imputation(dataset, architecture, setting):
    sides = {"on_data": [-4.0, -4.1], "on_imputed": [-4.001, -4.099]}
    return sides | {"identity_gap": [0.001, -0.001], "identity_error": [0.001, 0.001]}


#: Experiment to its module, the function that measures, and that of the perfect world.
PERFECT = {
    "ceilings": (ceilings, "_measure", perfect_ceilings),
    "modalities": (modalities, "_gaps", perfect_gaps),
    "private-information": (private_information, "_measure", perfect_private),
    "coherence": (coherence_quality, "_measure", perfect_coherence),
    "latent-size": (latent_size, "measured", perfect_latent_size),
    "collapse": (collapse, "_measure", perfect_collapse),
    "imputation": (imputation, "_measure", perfect_imputation),
}


def raised(key, by, where=lambda row, *arguments: True):
    """A fault: the numbers of ``key`` are higher in some rows."""

    def plant(row, *arguments):
        if key not in row or not where(row, *arguments):
            return row
        value = row[key]
        return row | {key: [one + by for one in value] if isinstance(value, list) else value + by}

    return plant


def of_model(name):
    return lambda row, *_: row["model"] == name


def wide(name, title):
    """Rows of several modalities of one model on one dataset."""
    return lambda row, *_: row["modalities"] > 1 and row["model"] == name and row["data"] == title


#: Experiment to faults.
PLANTED = {
    "ceilings": [
        lambda row, *_: row | {"verdict": ["consistent", "violated"]},
        raised("above_ceiling", 6.0, lambda row, family, name, *_: (family, name) == ("gaussian", "mvtcae")),
        raised("short_of_optimum", 0.02, lambda row, family, name, *_: (family, name) == ("affine", "mopoe")),
        raised("short_of_optimum", 0.06, lambda row, family, name, *_: (family, name) == ("categorical", "mmvae")),
        raised("short_of_gaussian", 0.03, lambda row, family, name, *_: name == "mopoe"),
        raised("short_of_gaussian", -0.03, lambda row, family, name, *_: name == "mopoe"),  # then it is not the best
    ],
    "modalities": [
        *(
            raised("best_linear", 0.2, lambda row, *_, t=t: row["data"] == t)
            for t in ("mostly private", "mostly shared")
        ),
        *(raised("gap", 0.5, wide("mvae", title)) for title in ("mostly private", "mostly shared", "PolyDigits")),
        *(
            raised("gap", -3.0, wide(name, title))
            for name in ("mmvae", "mopoe")
            for title in ("mostly private", "PolyDigits")
        ),
    ],
    "private-information": [
        raised("below_floor", 6.0),
        *(
            raised(
                "loss", -0.5, lambda row, *_, m=m, c=c: (row["model"], row["case"]) == (m, c) and row["variance"] > 1
            )
            for m in private_information.MODELS
            for c in private_information.CASES
        ),
    ],
    "coherence": [
        raised("conditional", 0.5, lambda row, judge, title, name, _: (title, name) == ("original", "mvae")),
        raised("elbo", 60.0, lambda row, judge, title, name, _: (title, name) == ("original", "mopoe")),
        raised("conditional", 0.4, lambda row, judge, title, name, _: (title, name) == ("translated", "mopoe")),
        raised("elbo", 60.0, lambda row, judge, title, name, _: (title, name) == ("translated", "mmvae (conv)")),
    ],
    "latent-size": [
        raised("loss", 2.0, lambda row, cell, _: cell.architecture.model == "mvae"),
        raised("loss", 2.4, lambda row, cell, _: cell.architecture.model == "mvae" and cell.architecture.latents == 7),
        *(
            raised(
                "loss", -0.2, lambda row, cell, _, n=n: (cell.architecture.model, cell.architecture.latents) == (n, 7)
            )
            for n in latent_size.MODELS
        ),
    ],
    "collapse": [
        raised("kl", 0.1, lambda row, *_: row["rho"] == 0.2),
        raised("kl", -0.5, lambda row, *_: row["rho"] == 0.8),
        raised("below_optimum", 6.0, lambda row, *_: row["rho"] == 0.5),
    ],
    "imputation": [
        *(
            raised(key, by, lambda row, dataset, architecture, _, n=n: architecture.model == n)
            for n in ("mmvae", "mopoe")
            for key, by in (("identity_gap", 0.01), ("on_imputed", 0.02))
        ),
    ],
}


def in_world(name, tmp_path, monkeypatch, plant=lambda row, *arguments: row):
    """What an experiment finds where its measurements are perfect but for a fault."""
    module, attribute, perfect = PERFECT[name]

    def measure(*arguments):
        found = perfect(*arguments)
        return [plant(row, *arguments) for row in found] if isinstance(found, list) else plant(found, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, attribute, measure)
        if name == "coherence":
            patch.setattr(module, "polydigits", lambda *_, **__: None)
        patch.setattr(Setting, "kept", lambda self, what, identity, work: work(tmp_path))
        return EXPERIMENTS[name].run(Setting(tmp_path, quick=True, seeds=SEEDS))


@pytest.mark.parametrize("name", NAMES)
def test_every_check_can_fail_and_holds_in_a_perfect_world(name, tiny, tmp_path, monkeypatch):
    perfect = in_world(name, tmp_path, monkeypatch)
    assert perfect.agrees, perfect.checks
    assert "theory and training agree" in str(perfect)
    failed = set()
    for number, plant in enumerate(PLANTED[name]):
        found = in_world(name, tmp_path, monkeypatch, plant)
        mine = {check for check, met in found.checks.items() if not met}
        assert mine, f"fault {number} was not noticed"
        assert not found.agrees
        assert found.to_dict()["agrees"] is False
        assert "do NOT agree: not " in str(found)
        assert all(check in str(found) for check in mine)
        failed |= mine
    assert failed == set(perfect.checks)


#: What a model that is better than possible would give, and the check that must notice it in the measurements.
IMPOSSIBLE = {
    "ceilings": "no model is above its ceiling",
    "private-information": "no loss below the least possible",
    "latent-size": "mopoe never loses less than is possible",
    "collapse": "no loss below the certified optimum",
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_measurements_better_than_possible_are_noticed(name, findings, folder, monkeypatch):
    module, original = PERFECT[name][0], cell.measured

    def better(one, setting):
        found = original(one, setting)
        return {
            key: [value + {"loss": -20.0, "elbo": 20.0}[key] for value in values] if key in ("loss", "elbo") else values
            for key, values in found.items()
        }

    (check,) = [check for check in findings[name].checks if IMPOSSIBLE[name] in check]
    assert findings[name].checks[check]
    monkeypatch.setattr(module, "measured", better)
    assert not EXPERIMENTS[name].run(Setting(folder, quick=True, seeds=SEEDS)).checks[check]


def test_the_identity_of_imputation_needs_the_right_imputation():
    """For any parameters, trained or not; planted: means left out, and a constant of another scheme."""
    dataset = equicorrelated(3, imputation.RHO, n_train=100, n_held_out=4000, rng=np.random.default_rng(0))
    a = Architecture.of(dataset, "mmvae", f"gaussian:{imputation.SIGMA}", latents=2, hidden=(8,))
    model = MultimodalVAE(a, [torch.Generator().manual_seed(0)])
    right = imputation.Imputation.of(dataset.law, a.encoded)

    def score(one):
        gap, _ = imputation._both_sides(model, dataset, one, 0)
        return abs(gap.mean()) / (gap.std() / math.sqrt(len(gap)))

    assert score(right) < 4  # sampling: 6e-5
    assert score(replace(right, projections=torch.eye(3).expand(3, 3, 3).double())) > 10
    assert score(replace(right, unexplained=right.unexplained * 0.8)) > 10


def test_the_mean_and_its_error():
    assert study.mean_and_error([1.0, 3.0]) == (2.0, 1.0)
    assert math.isnan(study.mean_and_error([1.0])[1])


def test_numbers_that_json_lacks_are_text():
    finding = Finding("x", "?", "1", {"a": True}, {"v": (math.nan, -math.inf, np.float64(2))}, SimpleNamespace)
    assert finding.to_dict()["v"] == ["nan", "-inf", 2.0]


@pytest.mark.parametrize("content", ["[]", "null", "7"])
def test_a_file_of_another_kind_of_json_is_damaged(content, tmp_path):
    setting = Setting(tmp_path, seeds=SEEDS)
    setting.kept("x", 1, lambda where: {"a": 1})
    (path,) = (tmp_path / "measured").iterdir()
    path.write_text(content)
    with pytest.raises(InputError):
        setting.kept("x", 1, lambda where: {"a": 1})


def test_a_measurement_that_cannot_be_read_is_one_line(tmp_path):
    setting = Setting(tmp_path, seeds=SEEDS)
    setting.kept("x", 1, lambda where: {"a": 1})
    (path,) = (tmp_path / "measured").iterdir()
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError):
        setting.kept("x", 1, lambda where: {"a": 1})


def test_what_is_made_is_what_is_read(tmp_path):
    setting = Setting(tmp_path, seeds=SEEDS)
    made, read = (setting.kept("x", 1, lambda where: {"a": (1, 2), "v": math.inf}) for _ in range(2))
    assert made == read


def test_a_training_that_met_nan_does_not_agree(tiny, tmp_path, monkeypatch):
    found = in_world("imputation", tmp_path, monkeypatch, lambda row, *_: row | {"identity_gap": [0.001, math.nan]})
    assert not found.agrees


# --- cells -------------------------------------------------------------------

STEPS = 150  # three blocks, each ending with a checkpoint


@pytest.fixture
def untouched(monkeypatch):
    """Trainings as long as they are asked to be, though the tiny settings of other tests still stand."""
    monkeypatch.setattr(cell, "train", train)


def small_cell(**changes):
    dataset = equicorrelated(2, 0.5, n_train=100, n_held_out=400, rng=np.random.default_rng(0))
    architecture = Architecture.of(dataset, "mmvae", "gaussian:0.5", 1, hidden=(4,))
    return replace(cell.Cell(dataset, architecture, Training(STEPS, 16), draws=8), **changes)


def test_seeds_are_as_many_as_the_setting_says(tmp_path):
    assert (Setting(tmp_path).seeds, Setting(tmp_path, quick=True).seeds) == ((0, 1, 2, 3, 4), (0, 1, 2))
    assert Setting(tmp_path, seeds=[7, 5]).seeds == (7, 5)
    with pytest.raises(InputError, match="error bars are too small"):
        Setting(tmp_path, seeds=(1, 1))


def test_a_measured_cell_is_not_trained_again(untouched, tmp_path, monkeypatch):
    first = cell.measured(small_cell(), Setting(tmp_path, seeds=SEEDS))
    assert all(len(values) == len(SEEDS) for values in first.values())
    assert {"elbo", "standard_error", "kl", "distortion", "loss", "loss_error", "verdict"} <= set(first)
    monkeypatch.setattr(cell, "train", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(cell, "terms_of", lambda *_: pytest.fail("measured again"))
    assert cell.measured(small_cell(), Setting(tmp_path, seeds=SEEDS)) == first


def test_each_part_of_a_cell_has_a_measurement_of_its_own(untouched, tmp_path, monkeypatch):
    """A cell that differs in anything is measured; each of them once."""
    base = small_cell()
    other = equicorrelated(2, 0.5, n_train=100, n_held_out=400, rng=np.random.default_rng(1))
    wider = Architecture.of(base.dataset, "mmvae", "gaussian:0.5", 1, hidden=(5,))
    larger = Architecture.of(base.dataset, "mmvae", "gaussian:0.5", 2, hidden=(4,))
    sharper = Architecture.of(base.dataset, "mmvae", "gaussian:0.4", 1, hidden=(4,))
    product = Architecture.of(base.dataset, "mvae", "gaussian:0.5", 1, hidden=(4,))
    cells = [
        base,
        *(replace(base, **change) for change in ({"beta": 2.0}, {"draws": 9}, {"dataset": other})),
        *(replace(base, architecture=one) for one in (wider, larger, sharper, product)),
        *(replace(base, training=one) for one in (Training(STEPS + 1, 16), Training(STEPS, 17))),
        *(replace(base, training=Training(STEPS, 16, **one)) for one in ({"learning_rate": 1e-3}, {"warmup": 0.5})),
    ]
    calls = []
    monkeypatch.setattr(cell, "trained", lambda *arguments: arguments)
    monkeypatch.setattr(cell, "_measure", lambda *arguments: calls.append(arguments) or {"number": len(calls)})
    numbers = [cell.measured(one, Setting(tmp_path, seeds=SEEDS))["number"] for one in cells * 2]
    assert numbers == [*range(1, len(cells) + 1)] * 2
    assert cell.measured(base, Setting(tmp_path, quick=True))["number"] == len(cells) + 1  # other seeds


@pytest.mark.parametrize("change", ["sign", "order"])
def test_other_data_of_the_same_sums_are_other_data(change, tmp_path):
    """Correlation turned round, or broken by other rows of one modality."""
    if change == "sign":
        dataset = equicorrelated(2, 0.5, n_train=50, n_held_out=50, rng=np.random.default_rng(0))
    else:
        dataset = common_cause(2, units=0, n_train=50, n_held_out=50, rng=np.random.default_rng(0))
    train, held_out = (
        (first, -second if change == "sign" else np.roll(second, 1, axis=0))
        for first, second in (dataset.train, dataset.held_out)
    )
    architecture = Architecture.of(dataset, "mmvae", "gaussian:1" if change == "sign" else "categorical", 1, hidden=())
    one = cell.Cell(dataset, architecture, Training())
    other = replace(one, dataset=replace(dataset, train=train, held_out=held_out))
    assert one.identity(Setting(tmp_path, seeds=SEEDS)) != other.identity(Setting(tmp_path, seeds=SEEDS))


def test_another_audit_is_another_measurement(tmp_path, monkeypatch):
    before = small_cell().identity(Setting(tmp_path, seeds=SEEDS))
    monkeypatch.setattr(cell, "AUDIT_SIZE", 2 * cell.AUDIT_SIZE)
    assert small_cell().identity(Setting(tmp_path, seeds=SEEDS)) != before


def test_another_device_is_another_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="there are 1 CUDA devices"):
        Setting(tmp_path, device="cuda:1")
    one, other = (small_cell().identity(Setting(tmp_path, seeds=SEEDS, device=device)) for device in ("cpu", "cuda"))
    assert one != other


def test_a_member_that_fails_is_an_error_and_no_measurement(untouched, tmp_path):
    with pytest.raises(InputError, match=r"mmvae on equicorrelated met a NaN at a learning rate of 1e\+30: lower"):
        cell.measured(small_cell(training=Training(STEPS, 16, learning_rate=1e30)), Setting(tmp_path, seeds=SEEDS))
    assert not (tmp_path / "measured").exists()


#: Ends itself before its second checkpoint takes the place of the first.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_experiments import SEEDS, Setting, cell, small_cell
from toy_models import train
written, replace = [], os.replace
def replace_or_end(part, path):
    written.append(path)
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(part, path)
os.replace = replace_or_end
train.SAVE_EVERY = 0
cell.measured(small_cell(), Setting(Path({folder!r}), seeds=SEEDS))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_measurement_goes_on_to_the_same_numbers(untouched, tmp_path, monkeypatch):
    whole = cell.measured(small_cell(), Setting(tmp_path / "whole", seeds=SEEDS))
    folder = tmp_path / "killed"
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(folder))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not (folder / "measured").exists()
    assert len(list((folder / "training").glob("*/*.pt"))) == 1
    saves, save = [], torch.save
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    monkeypatch.setattr(torch, "save", lambda *arguments: saves.append(1) or save(*arguments))
    assert cell.measured(small_cell(), Setting(folder, seeds=SEEDS)) == whole
    assert len(saves) == 2  # blocks two and three: it went on, and did not begin again
    (mine,), (theirs,) = ((tmp_path / name / "measured").iterdir() for name in ("killed", "whole"))
    assert (mine.name, mine.read_bytes()) == (theirs.name, theirs.read_bytes())


# --- the numbers are right ---------------------------------------------------


@pytest.mark.parametrize("name", ["mvae", "mmvae", "mopoe", "unimodal"])
def test_the_terms_of_an_affine_model_are_those_in_closed_form(name, tmp_path):
    """``E_q`` of a Gaussian log-likelihood of affine mean, by hand; the grid is exact for it, up to rounding."""
    sigma, cov = 0.5, [[1.0, 0.6, 0.2], [0.6, 2.0, 0.3], [0.2, 0.3, 0.5]]
    dataset = gaussian(cov, [1, 2], n_train=10, n_held_out=400, rng=np.random.default_rng(3))
    a = Architecture.of(dataset, name, f"gaussian:{sigma}", 2, hidden=())
    model = SoloModel(MultimodalVAE(a, [torch.Generator().manual_seed(5)]).double().eval())
    one = cell.Cell(dataset, a, Training(), draws=32)
    with torch.no_grad():
        found = cell.terms_of(model, one, 0, Setting(tmp_path))
        x = [torch.tensor(part) for part in dataset.held_out]
        corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
        at = np.concatenate(model.reconstruction(corners), axis=1)
        laws = {subset: model.posterior(x, subset).base_dist for subset, _ in a.encoded}
    centre, loading, rows = at[0], (at[1:] - at[0]).T, np.concatenate(dataset.held_out, axis=1)
    owner = np.array([0, 1, 1])
    each, kl, distortion = np.zeros(400), 0.0, np.zeros(2)
    for subset, weight in a.encoded:
        mean, scale = (part.numpy() for part in (laws[subset].loc, laws[subset].scale))
        squares = (rows - centre - mean @ loading.T) ** 2 + scale**2 @ (loading**2).T
        logs = -squares / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))
        if name == "unimodal":
            logs = logs * [subset >> m & 1 for m in owner]
        cost = (0.5 * (mean**2 + scale**2 - 1) - np.log(scale)).sum(axis=1)
        each += float(weight) * (logs.sum(axis=1) - cost)
        kl += float(weight) * cost.mean()
        distortion -= float(weight) * np.array([logs[:, owner == m].sum(axis=1).mean() for m in (0, 1)])
    rounding = {"rel": 1e-9, "abs": 1e-9}  # means over 400 examples of terms up to 100 nats
    assert found["elbo"] == pytest.approx(each.mean(), **rounding)
    assert found["standard_error"] == pytest.approx(stats.sem(each), **rounding)
    assert found["kl"] == pytest.approx(kl, **rounding)
    assert found["distortion"] == pytest.approx(distortion, **rounding)
    if name == "unimodal":
        assert "loss" not in found  # a sum over subsets is no bound on ln p(x)
    else:
        paired = stats.multivariate_normal(np.zeros(3), cov).logpdf(rows) - each
        assert found["loss"] == pytest.approx(paired.mean(), **rounding)
        assert found["loss_error"] == pytest.approx(stats.sem(paired), **rounding)


def test_the_log_density_of_a_known_law():
    cov = np.array([[1.0, 0.9, -0.2], [0.9, 2.0, 0.3], [-0.2, 0.3, 0.5]])
    data = gaussian(cov, [2, 1], n_train=5, n_held_out=200, rng=np.random.default_rng(0))
    rows = np.concatenate(data.held_out, axis=1)
    right = stats.multivariate_normal(np.zeros(3), cov).logpdf(rows)
    assert log_density(data.law, data.held_out) == pytest.approx(right, rel=1e-12, abs=1e-11)  # rounding
    noise = 0.3
    data = common_cause(3, units=0, noise=noise, n_train=5, n_held_out=200, rng=np.random.default_rng(0))
    rows = np.concatenate(data.held_out, axis=1)
    shown = [np.where(rows == label, 1 - noise / 2, noise / 2).prod(axis=1) for label in (0, 1)]
    assert log_density(data.law, data.held_out) == pytest.approx(np.log(sum(shown) / 2), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_imputation_is_the_conditional_mean(seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 4))
    law, scheme = Gaussian(root @ root.T + 0.1 * np.eye(4), [1] * 4), mopoe(4)
    found, x = imputation.Imputation.of(law, scheme), rng.normal(size=(6, 4))
    targets, unexplained = found(torch.tensor(x)).numpy(), 0.0
    for row, (subset, weight) in zip(targets, scheme, strict=True):
        seen = [m for m in range(4) if subset >> m & 1]
        gain = np.linalg.solve(law.cov[np.ix_(seen, seen)], law.cov[seen]).T
        assert row == pytest.approx(x[:, seen] @ gain.T, rel=1e-9, abs=1e-9)  # rounding, condition below 1e3
        unexplained += float(weight) * np.trace(law.cov - gain @ law.cov[seen])
    assert found.unexplained == pytest.approx(unexplained, rel=1e-9)


@pytest.mark.parametrize("name", ["mmvae", "mopoe"])
def test_both_sides_of_the_identity_by_brute_force(name):
    """THEORY T7(iii) by plain Monte Carlo: rows and latents of each side are drawn independently of the other's."""
    count, sigma, n = imputation.MODALITIES, imputation.SIGMA, 20_000
    data = equicorrelated(count, imputation.RHO, n_train=10, n_held_out=n, rng=np.random.default_rng(0))
    a = Architecture.of(data, name, f"gaussian:{sigma}", latents=2, hidden=(8,))
    module = MultimodalVAE(a, [torch.Generator().manual_seed(1)]).double().eval()
    model, rng, cov = SoloModel(module), np.random.default_rng(9), data.law.cov

    def side(imputed):
        total, variance, left_out = 0.0, 0.0, 0.0
        for subset, weight in a.encoded:
            seen = [m for m in range(count) if subset >> m & 1]
            x = rng.multivariate_normal(np.zeros(count), cov, size=n)
            q = model.posterior([torch.tensor(x[:, m : m + 1]) for m in range(count)], subset).base_dist
            mean, scale = q.loc.numpy(), q.scale.numpy()
            z = torch.tensor(mean + scale * rng.normal(size=mean.shape))
            shown = np.concatenate([part.numpy() for part in model.reconstruction(z)], axis=1)
            gain = np.linalg.solve(cov[np.ix_(seen, seen)], cov[seen]).T
            target = x[:, seen] @ gain.T if imputed else x
            kl = (0.5 * (mean**2 + scale**2 - 1) - np.log(scale)).sum(axis=1)
            values = stats.norm(shown, sigma).logpdf(target).sum(axis=1) - kl
            total += float(weight) * values.mean()
            variance += float(weight) ** 2 * values.var() / n
            left_out += float(weight) * np.trace(cov - gain @ cov[seen])
        return total - imputed * left_out / (2 * sigma**2), variance

    with torch.no_grad():
        (on_data, v), (on_imputed, w) = side(False), side(True)
        gap, left = imputation._both_sides(module, data, imputation.Imputation.of(data.law, a.encoded), 0)
    sampling = 5  # standard errors of independent draws: 6e-7
    assert abs(on_data - on_imputed) < sampling * math.sqrt(v + w)
    assert abs(left.mean() - on_data) < sampling * math.sqrt(v + left.var() / n)
    right = left - gap
    assert abs(right.mean() - on_imputed) < sampling * math.sqrt(w + right.var() / n)
    assert math.sqrt(v + w) < 0.05  # nats: smaller than the constant, which is above one


def test_slopes_and_growth_by_hand():
    rows = [
        {"model": "mvae", "case": "a", "delta": delta, "loss": [loss - 1, loss + 1], "best_linear": 2 * delta}
        for delta, loss in ((0.0, 1.0), (1.0, 1.0), (2.0, 4.0))
    ]
    planted = [row | {"case": "b", "loss": [99.0, 99.0]} for row in rows]
    assert private_information._slopes(rows + planted, "mvae", "a") == pytest.approx((1.5, 2.0), rel=1e-12)
    gaps = [
        {"model": name, "gap": gap}
        for name, gap in (("x", [1.0, 2.0]), ("y", [9.0, 9.0]), ("x", [0.0, 0.0]), ("x", [5.0, 8.0]))
    ]
    assert modalities._growth(gaps, "x") == (5.0, 1.0)  # 4 and 6


def test_excess_over_a_ceiling_by_hand():
    found = {"elbo": [-3.0, -1.0], "standard_error": [0.5, 0.25], "loss": [0.5, 0.2], "loss_error": [0.1, 0.05]}
    assert ceilings._score(found, -2.0) == 4.0
    assert ceilings._loss_score(found, 1.0, -1.4) == pytest.approx(4.0, rel=1e-12)  # least 0.4: (0.4 - 0.2) / 0.05
    assert ceilings._short(found, 1.0, -1.1) == pytest.approx(0.1, rel=1e-12)


def test_a_bracket_of_the_loss_has_the_known_optimum():
    """Independent bits: the best latent is off and nothing is lost. One bit twice: MMVAE shows both."""
    for noise in (1.0, 0.0):
        dataset = common_cause(2, units=0, noise=noise, n_train=5, n_held_out=5, rng=np.random.default_rng(0))
        found = collapse._bracket(dataset, Architecture.of(dataset, "mmvae", "categorical", 1, hidden=()), 20.0)
        assert found["loss_low"] - 1e-9 <= 0 <= found["loss_high"] + 1e-9
        assert found["loss_high"] - found["loss_low"] < 1e-5


# --- the command -------------------------------------------------------------


def stub(name, agrees, calls):
    """An experiment that returns at once."""
    from matplotlib.figure import Figure

    def run(setting):
        calls.append((name, setting.folder, setting.quick))
        row = setting.kept("m", name, lambda where: {"elbo": [-1.0, -2.0]})
        return Finding(name, "Is it?", "it is 1", {"it is": agrees}, {"rows": [row], "v": math.nan}, Figure)

    return Experiment(name, "Is it?", run)


@pytest.mark.parametrize(("names", "code"), [(["good"], 0), (["bad"], 1), (["bad", "good", "bad"], 1), (["all"], 1)])
def test_the_command_prints_what_it_writes(names, code, tmp_path, monkeypatch, capsys):
    calls = []
    known = {name: stub(name, agrees, calls) for name, agrees in (("good", True), ("bad", False))}
    monkeypatch.setattr(experiments, "EXPERIMENTS", known)
    assert cli.main(["experiment", *names, "--quick", "--json", "--processes", "1", "--folder", str(tmp_path)]) == code
    out, err = capsys.readouterr()
    expected = [name for name in known if name in names or "all" in names]  # in their order, each once
    assert calls == [(name, tmp_path / "quick", True) for name in expected]
    printed = strict_json(out)
    assert [one["experiment"] for one in printed] == expected
    for one in printed:
        page = strict_json((tmp_path / "quick" / f"{one['experiment']}.json").read_text())
        assert page.pop("run")["quick"] is True
        assert page == one
        assert one["v"] == "nan"
    assert len(err.splitlines()) == 3 * len(expected)  # two files and the sentence, each a line


def test_a_damaged_measurement_is_one_line_of_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"good": stub("good", True, [])})
    assert cli.main(["experiment", "good", "--folder", str(tmp_path)]) == 0
    (path,) = (tmp_path / "measured").iterdir()
    path.write_text("{")
    capsys.readouterr()
    assert cli.main(["experiment", "good", "--json", "--folder", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"toy-models: error: {path} is damaged (")
    assert err.count("\n") == 1


# --- what is asked of evaluation ---------------------------------------------


def test_another_version_of_training_is_another_measurement(tmp_path, monkeypatch):
    setting = Setting(tmp_path, seeds=SEEDS)
    before = small_cell().identity(setting)
    monkeypatch.setattr(cell, "FORMAT", training.FORMAT + 1)
    assert small_cell().identity(setting) != before


def test_terms_are_asked_of_the_device_of_the_setting(tmp_path, monkeypatch):
    asked = []

    def held_out(*_, device, **__):
        asked.append(device)
        raise InputError("asked")

    monkeypatch.setattr(cell, "held_out", held_out)
    setting = Setting(tmp_path)
    object.__setattr__(setting, "device", "cuda:7")
    with pytest.raises(InputError, match="asked"):
        cell.terms_of(None, small_cell(), 0, setting)
    assert asked == ["cuda:7"]


def test_convolutional_rows_have_convolutions(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(Setting, "kept", lambda self, what, identity, work: made.append((what, identity)) or {})
    data = coherence_quality.polydigits(2, n_train=20, n_held_out=20, rng=np.random.default_rng(0))
    for name in coherence_quality.TRAINED:
        coherence_quality._measure(coherence_quality._Judge(data), "original", name, Setting(tmp_path, quick=True))
    assert [("conv" in identity) for _, identity in made] == ["(conv)" in name for name in coherence_quality.TRAINED]
    assert len({what for what, _ in made}) == len(made)
