"""The notebooks, headless: every dial at its ends, numbers against what is known, and no mathematics in them."""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bounds
from bounds.evaluation_files import write_evaluation
from bounds.uploads import read_uploaded
from toy_models.playground import alike_bits, collapse_threshold, sample_csv, sampled_audit

pytest.importorskip("marimo", reason="marimo is not installed: pip install -c constraints.txt -e '.[notebooks]'")

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.py"))
ERROR, QUOTED, PROVE, TRAINING, DATA, AUDIT = NAMES
LN2 = math.log(2)
#: Rounding of sums of a few entropies of a few nats.
ROUNDING = 1e-11


@cache
def load(name: str) -> Any:
    """The app of a notebook."""
    spec = importlib.util.spec_from_file_location(f"notebook_{name}", NOTEBOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def run(name: str, **replaced: Any) -> Mapping[str, Any]:
    """What the cells of a notebook define, with some of it replaced."""
    return load(name).run(defs=replaced)[1]


@cache
def defaults(name: str) -> Mapping[str, Any]:
    """What they define before anybody touches a dial."""
    return run(name)


def dials(name: str) -> dict[str, Any]:
    """The element of each choice, by its name."""
    found = defaults(name)
    return {key: found[key] for key in found["chosen"]}


def positions(element: Any) -> list[Any]:
    """The ends of a slider, all choices of a list, both states of a box; text stays as it is."""
    kind = type(element).__name__
    if kind == "slider":
        return [element.start, element.stop] if element.steps is None else [element.steps[0], element.steps[-1]]
    if kind in ("dropdown", "radio"):
        return list(element.options.values())
    if kind == "multiselect":
        return [[one] for one in element.options.values()]
    return [False, True] if kind == "checkbox" else []


def turned(name: str, **changed: Any) -> Mapping[str, Any]:
    """A run with some dials turned."""
    chosen = defaults(name)["chosen"]
    assert set(changed) <= set(chosen)
    return run(name, chosen={**chosen, **changed})


def test_there_are_six_of_them() -> None:
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("name", NAMES)
def test_every_dial_can_be_turned_to_its_ends(name: str) -> None:
    turns = [(key, place) for key, element in dials(name).items() for place in positions(element)]
    assert turns or name == PROVE  # whose slider chooses what is typed
    for key, place in turns:
        found = turned(name, **{key: place})
        assert not found.get("problem"), (key, place)
        assert not found.get("trouble"), (key, place)


# 1. The irreducible error


def loss_and_delta(**changed: Any) -> tuple[float, float]:
    result = turned(ERROR, **changed)["result"]
    (scheme,) = result.schemes
    loss = scheme.finest.total_correlation_term
    assert loss is not None
    assert scheme.generative_discrepancy is not None
    return float(loss), float(scheme.generative_discrepancy)


@pytest.mark.parametrize("modalities", [2, 4, 6])
@pytest.mark.parametrize(("private", "pixels"), [(0, 2), (1, 1), (1, 3), (3, 2)])
def test_irreducible_error_of_a_perfect_label(modalities: int, private: int, pixels: int) -> None:
    # T8 by hand: each of the M - 1 unseen modalities hides its private bits, and every further copy of a bit is loss.
    loss, delta = loss_and_delta(modalities=modalities, shared=LN2, private=private, pixels=pixels, scheme="mmvae")
    assert delta == pytest.approx((modalities - 1) * private * LN2, abs=ROUNDING)
    assert loss == pytest.approx((modalities - 1) * private * (pixels - 1) * LN2, abs=ROUNDING)


def test_a_decoder_of_whole_modalities_pays_nothing_for_pixels() -> None:
    loss, _ = loss_and_delta(modalities=3, shared=LN2, private=2, pixels=3, decoder=False)
    assert loss == pytest.approx(0, abs=ROUNDING)


def test_the_loss_grows_with_modalities_and_shrinks_with_larger_subsets() -> None:
    losses = [loss_and_delta(modalities=count, private=0)[0] for count in range(2, 7)]
    assert all(after >= before - ROUNDING for before, after in pairwise(losses))
    assert losses[-1] > losses[0] + 0.1
    for count, loss in zip(range(2, 7), losses, strict=True):
        assert loss_and_delta(modalities=count, private=0, scheme="mopoe")[0] <= loss + ROUNDING


def test_the_optimum_is_between_what_a_constant_latent_reaches_and_the_ceiling() -> None:
    ladder = turned(ERROR, modalities=3, private=0, shared=0.3)["ladder"]
    optimum = ladder["optimum"].quantity
    assert -3 * LN2 - 1e-6 <= optimum.low <= optimum.high <= float(ladder["ELBO ceiling"].quantity) + ROUNDING


# 2. The quoted inequality


def start(name: str) -> dict[str, Any]:
    """What the dials say when a notebook starts from one of its presets."""
    correlation, private, tables = defaults(QUOTED)["presets"][name]
    keys = ("p10", "p11", "p20", "p21", "q10", "q11", "q20", "q21")
    return {"correlation": correlation, "private": private, **dict(zip(keys, tables, strict=True))}


def test_private_noise_costs_nothing_and_breaks_the_quoted_inequality() -> None:
    terms = turned(QUOTED, **start("private noise: the latent is the common bit"))["terms"]
    assert terms.gap == pytest.approx(0, abs=ROUNDING)
    assert terms.elbo == pytest.approx(-3 * LN2, abs=ROUNDING)
    assert terms.quoted.margin == pytest.approx(-LN2, abs=ROUNDING)
    assert terms.repaired.margin == pytest.approx(0, abs=ROUNDING)


def test_a_constant_latent_breaks_it_too() -> None:
    terms = turned(QUOTED, **start("a constant latent: nothing is encoded"))["terms"]
    assert (terms.elbo, terms.quoted.margin) == pytest.approx((-2 * LN2, -LN2), abs=ROUNDING)


def test_blurred_decoders_of_the_truth_have_the_gap_of_the_theory() -> None:
    preset = start("the true law with blurred decoders")
    terms = turned(QUOTED, **preset, scheme="X1:1")["terms"]
    assert terms.gap == pytest.approx(0.170090, abs=5e-7)  # THEORY T0's pin, to its digits
    assert terms.discrepancy == pytest.approx(0.471393, abs=5e-7)
    assert not terms.quoted.holds


def test_a_sharp_second_decoder_makes_it_hold_from_the_first_and_fail_from_the_second() -> None:
    preset = start("a sharp second decoder")
    assert turned(QUOTED, **preset, scheme="X1:1")["terms"].quoted.holds
    assert not turned(QUOTED, **preset, scheme="X2:1")["terms"].quoted.holds


def test_no_dial_breaks_the_repair_or_the_ceiling() -> None:
    rng = np.random.default_rng(5)
    for _ in range(15):
        chosen = dict(defaults(QUOTED)["chosen"])
        chosen.update({key: float(rng.random()) for key in chosen if key not in ("private", "scheme")})
        found = run(QUOTED, chosen=chosen | {"private": bool(rng.integers(2))})
        assert found["terms"].repaired.holds
        ceiling = float(found["sides"]["ELBO ceiling"].quantity)
        assert found["terms"].elbo <= ceiling + ROUNDING


# 3. Proving


@pytest.mark.parametrize(
    ("statement", "given", "proved"),
    [
        ("I(X;Z) <= I(X;Y)", "X - Y - Z", True),
        ("I(X;Z) <= I(X;Y)", "", False),
        ("H(X) <= H(X,Y)", "\n  \n", True),
        ("H(X) + H(Y) <= H(X,Y)", "I(X;Y) = 0", True),
    ],
)
def test_a_typed_inequality_is_decided(statement: str, given: str, proved: bool) -> None:
    assert turned(PROVE, statement=statement, given=given)["proof"].proved is proved


def test_what_cannot_be_read_is_said() -> None:
    found = turned(PROVE, statement="H(X <= 1")
    assert found["proof"] is None
    assert "H(X" in found["problem"]


def test_every_preset_can_be_asked() -> None:
    presets = defaults(PROVE)["presets"]
    verdicts = {}
    for name, preset in presets.items():
        if preset is not None:
            verdicts[name] = turned(PROVE, statement=preset[0], given=preset[1])["proof"].proved
    assert {name for name, proved in verdicts.items() if not proved} == {name for name in verdicts if "(no" in name}


# 4. Training


@pytest.mark.parametrize(("correlation", "lost"), [(0.5, 0.111251995), (0.8, 0.066475406), (0.96, 0.013839857)])
def test_training_reaches_the_optimum_of_two_bits(correlation: float, lost: float) -> None:
    found = turned(TRAINING, toy="tabular", modalities=2, correlation=correlation, steps=500)["found"]
    entropy = float(alike_bits(2, correlation).entropy_vector()["X1", "X2"])
    assert found.elbo == pytest.approx(-entropy - lost, abs=1e-6)  # THEORY T4's pins; training stops within 1e-6
    assert found.elbo <= found.ceilings["optimum (T4)"] + ROUNDING


@pytest.mark.parametrize("toy", ["tabular", "linear-Gaussian"])
def test_the_latent_collapses_below_the_threshold_and_not_above(toy: str) -> None:
    below = turned(TRAINING, toy=toy, modalities=2, correlation=0.3, steps=500)["found"]
    above = turned(TRAINING, toy=toy, modalities=2, correlation=0.6, steps=500)["found"]
    assert (below.above, below.collapsed) == (False, True)
    assert (above.above, above.collapsed) == (True, False)
    assert below.kl < 1e-3 < 0.1 < above.kl
    assert below.elbo <= below.ceilings["constant latent"] + ROUNDING < above.elbo
    assert collapse_threshold(2) == pytest.approx(math.sqrt(2) - 1)


@pytest.mark.parametrize("toy", ["tabular", "linear-Gaussian"])
def test_more_steps_never_lower_the_elbo(toy: str) -> None:
    reached = [turned(TRAINING, toy=toy, steps=steps)["found"].elbo for steps in (2, 10, 100)]
    assert reached == sorted(reached)
    assert reached[-1] > reached[0]


# 5. Your data


def test_the_sample_is_read_as_the_command_would_read_it() -> None:
    found = turned(DATA, schemes=["mopoe"], confidence=0.9)["result"]
    mapping = ["image=px_*", "text=w0:w1", "price=price"]
    expected = bounds.irreducible_error(read_uploaded("s.csv", sample_csv(), mapping), ["mopoe"], confidence=0.9)
    assert found.source == "sample.csv"
    assert found["mopoe"].finest == expected["mopoe"].finest


def test_an_uploaded_table_takes_the_place_of_the_sample() -> None:
    table = "a,b\n" + "0,0\n1,1\n" * 500
    found = run(DATA, file=("mine.csv", table.encode()))
    assert found["result"].names == ("a", "b")
    assert found["result"].n == 1000


@pytest.mark.parametrize(
    ("file", "mapping", "said"),
    [
        (("mine.csv", b"a,b\n0,0\n1,1\n"), "image=c", "no column 'c'"),
        (("mine.csv", b""), "", "mine.csv: the file is empty"),
        (("mine.txt", b"a"), "", "unknown suffix"),
        (("../../mine.npz", b"no archive"), "", "mine.npz"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_its_name(file: tuple[str, bytes], mapping: str, said: str) -> None:
    chosen = {**defaults(DATA)["chosen"], "modalities": mapping}
    found = run(DATA, file=file, chosen=chosen)
    assert found["result"] is None
    assert said in found["problem"]
    assert "tmp" not in found["problem"]


# 6. Audit


def test_an_audit_finds_the_planted_fault_and_no_other() -> None:
    # False alarms: 1e-4 for the right model, by the audit's own promise; seeds are fixed.
    verdicts = {
        fault: turned(AUDIT, fault=fault, share=1.0, examples=50_000)["found"]
        for fault in ("none", "sees everything", "means for sums", "no KL")
    }
    assert verdicts.pop("none").verdict == "consistent"
    assert {found.verdict for found in verdicts.values()} == {"violated"}
    assert verdicts["sees everything"].causes[0].name == "subset evaluated with the full set's encoder"
    assert verdicts["no KL"].causes[0].name == "KL left out"


def test_few_examples_leave_it_undecided() -> None:
    assert turned(AUDIT, fault="none", examples=200)["found"].verdict == "undecided"


def test_uploaded_files_are_audited(tmp_path: Path) -> None:
    evaluation, law = sampled_audit(0.8, 5000, "no KL", 1.0)
    write_evaluation(tmp_path / "mine.npz", evaluation)
    np.savez(tmp_path / "law.npz", pmf=law.pmf)
    files = tuple((one, (tmp_path / one).read_bytes()) for one in ("mine.npz", "law.npz"))
    found = run(AUDIT, files=files)
    assert not found["trouble"]
    assert found["found"].verdict == bounds.audit(evaluation, law).verdict == "violated"


def test_an_evaluation_of_other_modalities_is_refused(tmp_path: Path) -> None:
    evaluation, _ = sampled_audit(0.8, 500, "none", 0.0)
    write_evaluation(tmp_path / "mine.npz", evaluation)
    files = (("mine.npz", (tmp_path / "mine.npz").read_bytes()), ("law.csv", b"a,b\n0,1\n1,0\n" * 1))
    found = run(AUDIT, files=files)
    assert found["found"] is None
    assert "modalities" in found["trouble"]


# They import, they define no mathematics.

ALLOWED = {"bounds", "marimo", "toy_models"}
COMPUTING = {"abs", "divmod", "max", "min", "pow", "round", "sum"}


def mathematics(source: str) -> list[str]:
    """What a notebook does itself instead of importing it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
        if isinstance(node, ast.BinOp | ast.AugAssign) or (negative and not isinstance(node.operand, ast.Constant)):
            found.append(f"line {node.lineno} computes {ast.unparse(node)}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in COMPUTING:
            found.append(f"line {node.lineno} calls {node.func.id}")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [f"line {node.lineno} imports {name}" for name in names if name.partition(".")[0] not in ALLOWED]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_defines_no_mathematics(name: str) -> None:
    assert mathematics((NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    [
        "import numpy as np",
        "from math import log",
        "def f(h):\n    return h[3] - h[1]",
        "x = 0\nx += y",
        "total = sum(values)",
        "loss = -ceiling",
    ],
)
def test_planted_mathematics_is_caught(planted: str) -> None:
    assert len(mathematics(planted)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_a_title_what_to_try_and_its_theorems(name: str) -> None:
    source = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    assert f"# {int(name[:2])}. " in source
    assert "## What to try" in source
    assert "*This notebook shows" in source


# The same for Jupyter.


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_becomes_one_of_jupyter_that_runs(name: str, tmp_path: Path) -> None:
    target = tmp_path / "exported.ipynb"
    command = [sys.executable, "-m", "marimo", "export", "ipynb", f"{NOTEBOOKS / name}.py", "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = [cell for cell in json.loads(target.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    scope: dict[str, Any] = {}
    for cell in cells:
        exec("".join(cell["source"]), scope)
    assert "chosen" in scope
