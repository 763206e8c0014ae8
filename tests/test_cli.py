"""The command as its users meet it: output streams, exit codes, files, errors of one line."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bounds import demo
from bounds.cli import main
from bounds.samples import Samples


@pytest.fixture
def law(tmp_path):
    path = tmp_path / "law.npz"
    np.savez(path, pmf=np.array([[0.25, 0.25], [0.25, 0.25]]))
    return path


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 500)
    rows = ["px_0,px_1,w0,w1,other"]
    rows += [f"{y},{rng.integers(0, 2)},{(y + 1) % 3},{rng.integers(0, 2)},{y}" for y in label]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_law_as_a_table(law, capsys):
    assert main(["irreducible", str(law)]) == 0
    out = capsys.readouterr().out
    for word in ("mvae", "mmvae", "mopoe", "0.693147", "quoted bound (refuted)", "law.npz"):
        assert word in out


def test_json_is_alone_on_standard_output(law, tmp_path, capsys):
    assert main(["irreducible", str(law), "--scheme", "mmvae", "--json", "--html", str(tmp_path / "page.html")]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["schemes"]["mmvae"]["generative_discrepancy"]["value"] == pytest.approx(np.log(2))
    assert "wrote" in captured.err
    assert "<!doctype html>" in (tmp_path / "page.html").read_text()


def test_columns_are_mapped_to_modalities(table, capsys):
    arguments = ["--modalities", "image=px_*", "--modalities", "text=w0:w1", "--scheme", "mopoe", "--json"]
    assert main(["irreducible", str(table), *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["modalities"] == ["image", "text"]
    assert document["units"] == ["px_0", "px_1", "w0", "w1"]


def test_types_and_bits_and_estimators_can_be_chosen(tmp_path, capsys):
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "s.npz", a=rng.normal(size=(100, 2)), b=rng.integers(0, 9, 100))
    path = str(tmp_path / "s.npz")
    assert main(["irreducible", path]) == 2
    assert "mix discrete and continuous" in capsys.readouterr().err
    assert main(["irreducible", path, "--type", "b=continuous", "--estimator", "gaussian", "--bits"]) == 0
    assert "bits per example" in capsys.readouterr().out


def test_the_demo_writes_its_pages(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(2)
    small = {
        "one": lambda: Samples.from_arrays({"a": rng.integers(0, 2, 99), "b": rng.integers(0, 2, 99)}, source="one")
    }
    monkeypatch.setattr("bounds.cli.DATASETS", small)
    assert main(["demo", "--html", str(tmp_path / "pages")]) == 0
    assert (tmp_path / "pages" / "one.html").exists()
    assert "one.html" in capsys.readouterr().err
    assert main(["demo", "two"]) == 2


def test_the_demo_names_what_it_leaves_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.datasets", None)
    monkeypatch.setattr("bounds.cli.DATASETS", {"survey": demo.survey})
    assert main(["demo", "--html", str(tmp_path)]) == 0
    assert "left out survey" in capsys.readouterr().err
    assert main(["demo", "survey", "--html", str(tmp_path)]) == 2


@pytest.mark.parametrize("name", ["breast_cancer", "digits_halves", "survey"])
def test_the_demo_data_are_what_they_say(name):
    if name == "survey":
        pytest.importorskip("statsmodels", reason="the survey comes with statsmodels")
    samples = demo.DATASETS[name]()
    assert (samples.source, samples.n) == (name, {"breast_cancer": 569, "digits_halves": 1797, "survey": 6366}[name])
    assert samples.kind == ("discrete" if name == "survey" else "continuous")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheme", "vae"], "unknown scheme 'vae': use mvae, mmvae, mopoe"),
        (["--scheme", "X1:0.5,X2:0.6"], "weights sum to 1.1, not to 1"),
        (["--scheme", "X1:-1,X2:2"], "weights must be finite and not negative"),
        (["--scheme", ":1"], "the empty subset has weight 1"),
        (["--confidence", "95"], "give a number between 0 and 1"),
        (["--type", "X1"], "write NAME=discrete or NAME=continuous"),
        (["--html", "no/such/folder/page.html"], "the folder no/such/folder does not exist"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(law, capsys, arguments, message):
    assert main(["irreducible", str(law), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bounds: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"a,b\n1,2\n", b"a,b\n1,0.5\n1,0.25\n2,nan\n"])
def test_bad_tables_leave_no_page(tmp_path, capsys, content):
    (tmp_path / "bad.csv").write_bytes(content)
    page = tmp_path / "page.html"
    code = main(["irreducible", str(tmp_path / "bad.csv"), "--html", str(page)])
    captured = capsys.readouterr()
    if code == 0:
        pytest.fail(f"{content!r} was accepted")
    assert code == 2
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.glob("page.html*"))


def test_a_page_that_cannot_be_written_leaves_nothing_behind(law, tmp_path, capsys):
    target = tmp_path / "taken.html"
    target.mkdir()
    assert main(["irreducible", str(law), "--html", str(target)]) == 2
    assert "not a regular file" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["law.npz", "taken.html"]


def test_an_interrupted_write_leaves_the_old_page(law, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("old")

    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    assert main(["irreducible", str(law), "--html", str(page)]) == 130
    assert page.read_text() == "old"
    assert not list(tmp_path.glob("*.part"))


def test_usage_errors_and_help_from_the_shell(law):
    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "bounds.cli", *arguments], capture_output=True, text=True)

    assert run().returncode == 2
    assert run("irreducible").returncode == 2
    assert run("irreducible", str(law), "--estimator", "magic").returncode == 2
    helped = run("irreducible", "--help")
    assert helped.returncode == 0
    assert "--modalities" in helped.stdout
    assert run("--version").stdout.startswith("multimodal-bounds ")


def test_the_page_never_replaces_the_data_or_a_link(law, tmp_path, capsys):
    before = law.read_bytes()
    assert main(["irreducible", str(law), "--html", str(law)]) == 2
    assert "is the data file" in capsys.readouterr().err
    assert law.read_bytes() == before
    link = tmp_path / "link.html"
    link.symlink_to(tmp_path / "elsewhere.html")
    assert main(["irreducible", str(law), "--html", str(link)]) == 2
    assert link.is_symlink()
