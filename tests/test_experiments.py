"""The experiments on settings that take seconds: what they find and keep, and that each of their checks can fail."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: nothing is trained")
import torch

from bounds import InputError
from bounds.likelihoods import likelihood_ceiling
from bounds.optimum import optimal_elbo
from toy_models.experiments import (
    EXPERIMENTS,
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
from toy_models.models import MultimodalVAE
from toy_models.train import Training

NAMES = tuple(EXPERIMENTS)
SEEDS = (0, 1)


def few(setting, quick, full):
    """A quick run made tiny: few rows and steps, at most two modalities. A classifier of digits needs more rows."""
    if isinstance(quick, int) and quick >= 400:
        return {1500: 40, 5000: 1000}.get(quick, 200)  # steps, digits, other rows
    return (1, 2) if quick in ((1, 3), (1, 3, 5)) else quick


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
        patch.setattr(Setting, "seeds", SEEDS)
        patch.setattr(cell, "train", trainings)
        patch.setattr(modalities, "LATENTS", dict.fromkeys(modalities.LATENTS, 1))
        patch.setattr(collapse, "optimal_elbo", lambda law, scheme, tol, seconds: optimal_elbo(law, scheme, tol=1e-3))
        patch.setattr(coherence_quality, "MODALITIES", 2)
        patch.setattr(coherence_quality, "MODELS", ("mvae", "mmvae", "mopoe"))
        yield trainings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("experiments")


@pytest.fixture(scope="module")
def findings(tiny, folder):
    return {name: experiment(Setting(folder, quick=True)) for name, experiment in EXPERIMENTS.items()}


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
    assert findings[name].figure().axes


@pytest.mark.parametrize("name", NAMES)
def test_what_was_measured_is_not_measured_again(name, findings, folder, tiny, monkeypatch):
    before = tiny.count
    monkeypatch.setattr(imputation, "_trained", lambda *_: pytest.fail("trained again"))
    again = EXPERIMENTS[name].run(Setting(folder, quick=True))
    assert tiny.count == before > 0
    assert again.to_dict() == findings[name].to_dict()


def test_a_damaged_measurement_is_an_error_that_names_it_and_only_it_is_measured_again(findings, folder, tiny):
    path = sorted((folder / "measured").glob("equicorrelated-mvtcae-*.json"))[0]  # of this experiment alone
    whole = path.read_text()
    path.write_text(whole[:-20])
    with pytest.raises(InputError) as caught:
        EXPERIMENTS["ceilings"].run(Setting(folder, quick=True))
    assert str(caught.value).startswith(f"{path} is damaged (")
    assert str(caught.value).endswith("): remove it, and it will be measured again")
    path.unlink()
    before, written = tiny.count, {p: p.stat().st_mtime_ns for p in (folder / "measured").iterdir()}
    assert EXPERIMENTS["ceilings"].run(Setting(folder, quick=True)).to_dict() == findings["ceilings"].to_dict()
    assert tiny.count == before + 1
    assert path.read_text() == whole  # to the last digit: from the checkpoint of the training
    assert all(p.stat().st_mtime_ns == time for p, time in written.items())


def test_only_findings_announce_themselves(findings, folder, capsys):
    setting = Setting(folder, quick=True)
    made = setting.kept("probe", 1, lambda where: {"answer": (1, 2)})
    assert made == {"answer": (1, 2)}
    assert capsys.readouterr() == ("", "")
    EXPERIMENTS["latent-size"](setting)
    written = [f"wrote {folder / 'latent-size'}{suffix}" for suffix in (".json", ".png")]
    assert capsys.readouterr().err.splitlines() == written


def test_another_thing_is_measured_by_itself(tmp_path):
    setting, calls = Setting(tmp_path), []

    def work(where):
        calls.append(where)
        return {"calls": len(calls)}

    assert [setting.kept("x", identity, work)["calls"] for identity in (1, 1, 2, 1)] == [1, 1, 2, 1]
    assert len(set(calls)) == 2


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
    mixture = name in ("mmvae", "mopoe")
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
        return EXPERIMENTS[name].run(Setting(tmp_path, quick=True))


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
    assert not EXPERIMENTS[name].run(Setting(folder, quick=True)).checks[check]


def test_the_identity_of_imputation_needs_the_right_imputation():
    """For any parameters, trained or not; planted: means left out, and a constant of another scheme."""
    from toy_models.datasets import equicorrelated
    from toy_models.models import Architecture

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
