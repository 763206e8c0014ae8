"""The command as its users meet it: output streams, exit codes, files, errors of one line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bounds import demo
from bounds.cli import main
from bounds.evaluation_files import FIELDS
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
    assert main(["irreducible", path, "--estimator", "gaussian"]) == 2
    assert "is for continuous data, these are mixed" in capsys.readouterr().err
    assert main(["irreducible", path, "--type", "b=continuous", "--estimator", "gaussian", "--bits"]) == 0
    assert "bits per example" in capsys.readouterr().out


def test_intervals_and_blocks_can_be_chosen(table, capsys):
    def delta(*options):
        columns = ["--modalities", "x=px_1", "--modalities", "y=w0"]
        assert main(["irreducible", str(table), *columns, "--json", *options]) == 0
        document = json.loads(capsys.readouterr().out)
        return document["schemes"]["mmvae"]["generative_discrepancy"]

    narrow, wide = delta(), delta("--interval", "guaranteed")
    assert (narrow["guarantee"], wide["guarantee"]) == ("asymptotic", "guaranteed")
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]
    assert "jackknife over 50 groups" in delta("--block", "5")["method"]
    none = delta("--block", "26")  # 19 blocks of 500 rows
    assert (none["low"], none["high"], none["guarantee"]) == (None, None, "none")
    assert none["value"] == narrow["value"]
    assert "no interval: 500 rows are fewer than 20 blocks of 26" in none["method"]


def test_help_names_interval_and_block(capsys):
    with pytest.raises(SystemExit):
        main(["irreducible", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--interval {auto,guaranteed}" in text
    assert "--block ROWS of a time series" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--block", "0"], "block=0: give the rows that depend on each other, 1 if none do"),
        (["--block", "251"], "block=251: give the rows that depend on each other, at most half of the 500 rows"),
        (["--block", "5", "--interval", "guaranteed"], "guaranteed intervals are for independent rows"),
    ],
)
def test_blocks_that_do_not_fit_are_one_line(table, capsys, options, message):
    assert main(["irreducible", str(table), *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bounds: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_the_demo_writes_its_pages(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(2)
    small = {
        "one": lambda: Samples.from_arrays({"a": rng.integers(0, 2, 99), "b": rng.integers(0, 2, 99)}, source="one")
    }
    monkeypatch.setattr("bounds.commands.demo.DATASETS", small)
    assert main(["demo", "--html", str(tmp_path / "pages")]) == 0
    assert "How low the best ELBO really is" in (tmp_path / "pages" / "one.html").read_text()
    assert "one.html" in capsys.readouterr().err
    assert main(["demo", "two"]) == 2


def test_the_demo_names_what_it_leaves_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.datasets", None)
    monkeypatch.setattr("bounds.commands.demo.DATASETS", {"survey": demo.survey})
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


def test_an_interrupted_write_leaves_the_old_page(law, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("old")

    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    assert main(["irreducible", str(law), "--html", str(page)]) == 130
    assert page.read_text() == "old"
    assert not list(tmp_path.glob("*.part"))


# --- pages that cannot be written ---------------------------------------------------------------------------------


@pytest.fixture
def no_work(monkeypatch):
    """Makes all work an error: what is refused must be refused before it."""

    def worked(*arguments, **options):
        pytest.fail("worked before it looked where the page goes")

    for name in ("work.read", "work.irreducible_error", "theorems.verify_all"):
        monkeypatch.setattr(f"bounds.commands.{name}", worked)


def unwritable(place):
    """Where no page can be written, and what is said about it."""
    (place / "taken").mkdir()
    (place / "file").write_text("kept")
    (place / "link").symlink_to(place / "elsewhere")
    found = [
        (place / "taken", "not a regular file"),
        (place / "link", "not a regular file"),
        (Path(os.devnull), "not a regular file"),
        (place / "missing" / "page.html", f"the folder {place / 'missing'} does not exist"),
        (place / "file" / "page.html", "Not a directory"),
        (place / ("x" * 999), "File name too long"),
    ]
    if os.geteuid():  # root may write anywhere
        (place / "locked").mkdir(mode=0o500)
        found.append((place / "locked" / "page.html", "Permission denied"))
    return found


def refused(arguments, capsys):
    """The one line of a command that is refused."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"bounds: error: cannot write .*\n", captured.err)
    return captured.err


@pytest.mark.parametrize("command", ["irreducible law.npz --html", "theorems T2 --html", "theorems T2 --markdown"])
def test_pages_that_cannot_be_written_are_refused_before_any_work(command, law, tmp_path, capsys, no_work):
    words = [str(law) if word == "law.npz" else word for word in command.split()]
    cases = unwritable(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for path, message in cases:
        line = refused([*words, path], capsys)
        assert str(path) in line
        assert message in line
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "kept"


def test_folders_of_pages_that_cannot_be_written_are_refused_before_any_work(tmp_path, capsys, no_work):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pages" / "survey.html").mkdir(parents=True)
    for folder in ("file", "file/pages", "link", "link/pages", "pages"):
        assert str(tmp_path / folder) in refused(["demo", "--html", tmp_path / folder], capsys)
    assert not (tmp_path / "elsewhere").exists()


def test_a_refused_demo_makes_no_folder(tmp_path, capsys):
    assert main(["demo", "--html", str(tmp_path / "new" / "pages"), "--scheme", "magic"]) == 2
    assert "unknown scheme" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


# --- standard output and standard error ---------------------------------------------------------------------------


def run(*arguments, redirected="", env=None):
    """The command from a shell, which redirects."""
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "bounds.cli", *map(str, arguments)]
    # The outputs of users' Pythons are buffered, and fail late.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"} | (env or {})
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_usage_errors_and_help_from_the_shell(law):
    assert run().returncode == 2
    assert run("irreducible").returncode == 2
    assert run("irreducible", law, "--estimator", "magic").returncode == 2
    helped = run("irreducible", "--help")
    assert helped.returncode == 0
    assert "--modalities" in helped.stdout
    assert run("--version").stdout.startswith("multimodal-bounds ")


TABLE, JSON = "irreducible LAW --scheme mmvae", "irreducible LAW --scheme mmvae --json"
COMMANDS = [
    TABLE,
    JSON,
    "demo survey --html PAGES --scheme mmvae",
    "theorems T2 --examples 1 --processes 1",
    "theorems show T2 --examples 1 --processes 1",
    "prove I(X;Y)>=0",
    "prove I(X;Y)>=0 --json",
    "optimum LAW --scheme mmvae",
    "optimum LAW --scheme mmvae --json",
    "audit TERMS LAW",
    "audit TERMS LAW --json",
    "--help",
    "--version",
]
#: Ways to have no standard output; they share one way out, so one of them is enough for most commands.
NOWHERE = [(command, ">/dev/full") for command in COMMANDS]
NOWHERE += [(command, way) for command in (TABLE, "--version") for way in (">&-", "1</dev/null")]


def words_of(command, law):
    places = {"LAW": str(law), "PAGES": str(law.parent / "pages"), "TERMS": str(law.parent / "terms.npz")}
    if "TERMS" in command:
        np.savez(places["TERMS"], **terms_of(law))
    return [places.get(word, word) for word in command.split()]


@pytest.mark.parametrize(("command", "redirected"), NOWHERE)
def test_standard_output_that_takes_nothing_is_an_error_of_one_line(command, redirected, law):
    if "full" in redirected and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    if "survey" in command:
        pytest.importorskip("statsmodels", reason="the survey comes with statsmodels")
    done = run(*words_of(command, law), redirected=redirected)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"bounds: error: cannot write to standard output: .+\n", done.stderr)


def test_without_standard_error_only_messages_are_lost(law):
    fine = run("irreducible", law, "--json", "--html", law.parent / "page.html", redirected="2>&-")
    assert fine.returncode == 0
    assert json.loads(fine.stdout)["source"] == "law.npz"
    for arguments in (["irreducible", "no.npz"], ["irreducible"], ["--magic"]):
        wrong = run(*arguments, redirected="2>&-")
        assert (wrong.returncode, wrong.stdout) == (2, "")
    assert run("irreducible", law, redirected=">&- 2>&-").returncode == 2


def test_a_full_standard_error_changes_nothing(law):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    fine = run("irreducible", law, "--json", "--html", law.parent / "page.html", redirected="2>/dev/full")
    assert fine.returncode == 0
    assert json.loads(fine.stdout)["source"] == "law.npz"
    for arguments in (["irreducible", "no.npz"], ["--magic"]):
        assert run(*arguments, redirected="2>/dev/full").returncode == 2


@pytest.mark.parametrize("command", [TABLE, JSON, "--help"])
def test_a_reader_who_has_gone_is_no_error(command, law):
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "bounds.cli", *words_of(command, law)],
        stdout=write_end, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_encoding_that_lacks_a_name_is_an_error_of_one_line(tmp_path):
    np.savez(tmp_path / "law.npz", pmf=np.full((2, 2), 0.25), names=["é", "b"])
    done = run("irreducible", tmp_path / "law.npz", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "its encoding ascii has no" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_terminal_shows_how_far_a_law_has_come(law):
    """Standard error is a terminal, standard output is not: the bar is on the first, nothing of it on the second."""
    pty = pytest.importorskip("pty", reason="no terminals here")
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "bounds.cli", *words_of(JSON, law)],
        stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}, check=False,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert done.returncode == 0
    json.loads(done.stdout)
    for word in (b"entropies", b"bounding", b"growing", b"100%"):
        assert word in shown
    assert run(*words_of(JSON, law)).stderr == ""


def test_the_page_never_replaces_the_data_or_a_link(law, tmp_path, capsys):
    before = law.read_bytes()
    assert main(["irreducible", str(law), "--html", str(law)]) == 2
    assert "is the data file" in capsys.readouterr().err
    assert law.read_bytes() == before
    link = tmp_path / "link.html"
    link.symlink_to(tmp_path / "elsewhere.html")
    assert main(["irreducible", str(law), "--html", str(link)]) == 2
    assert link.is_symlink()


def test_a_singular_covariance_is_said_to_bound_nothing(tmp_path, capsys):
    half = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0]])
    np.savez(tmp_path / "law.npz", cov=half @ half.T, names=["a", "b", "c", "d"])
    assert main(["irreducible", str(tmp_path / "law.npz"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (warning,) = [one for one in document["warnings"] if "-inf" in one]
    assert "a and d are linearly dependent" in warning
    assert document["entropy"]["value"] == "-inf"


def test_one_is_singular(tmp_path, capsys):
    np.savez(tmp_path / "one.npz", pmf=np.array([0.25, 0.75]))
    (tmp_path / "one.csv").write_text("a\n1\n")
    assert main(["irreducible", str(tmp_path / "one.npz"), "--scheme", "mvae"]) == 0
    assert "1 modality (X1)" in capsys.readouterr().out


# --- audits and optima --------------------------------------------------------------------------------------------


def terms_of(law, n=5000, excess=0.0, **changed):
    """Two independent bits, each encoded by itself and the other one guessed: the ceiling, or that much above it."""
    half = np.log(0.5)
    fit = np.zeros((2, n, 2))
    fit[0, :, 1] = fit[1, :, 0] = half + excess
    found = {"subsets": ["X1", "X2"], "weights": [0.5, 0.5], "modalities": ["X1", "X2"], "kind": "discrete"}
    found |= {"log_likelihood": fit, "kl": np.full((2, n), -half), **changed}
    return {key: value for key, value in found.items() if value is not None}


@pytest.fixture(params=["npz", "json"])
def evaluation(request, law):
    """Writes an evaluation beside the law, in either form of file."""

    def write(**changed):
        path = law.parent / f"evaluation.{request.param}"
        fields = terms_of(law, **changed)
        if request.param == "npz":
            np.savez(path, **{key: json.dumps(x) if key == "parameters" else x for key, x in fields.items()})
        else:
            path.write_text(json.dumps({k: x.tolist() if isinstance(x, np.ndarray) else x for k, x in fields.items()}))
        return str(path)

    return write


def test_an_audit_writes_a_page_whatever_its_verdict(evaluation, law, tmp_path, capsys):
    page, terms = tmp_path / "audit.html", evaluation(excess=0.2)
    assert main(["audit", terms, str(law), "--html", str(page)]) == 1
    assert ": violated</h1>" in page.read_text()
    assert "violated" in capsys.readouterr().out
    assert main(["audit", terms, str(law), "--html", terms]) == 2
    assert main(["audit", terms, str(law), "--html", str(law)]) == 2
    assert capsys.readouterr().err.count("is the data file") == 2


def test_an_audit_says_its_verdict_and_its_exit_code(evaluation, law, capsys):
    assert main(["audit", evaluation(), str(law)]) == 0
    fine = capsys.readouterr()
    assert fine.out.startswith("consistent: own-density of evaluated, 8 checks on 5000 examples, false alarms at most")
    assert fine.err == ""
    assert main(["audit", evaluation(excess=0.2), str(law)]) == 1
    wrong = capsys.readouterr()
    assert wrong.out.startswith("violated: ")
    assert "likeliest causes:" in wrong.out
    assert wrong.err == ""
    assert main(["audit", evaluation(n=150), str(law)]) == 0
    few = capsys.readouterr().out
    assert few.startswith("undecided: ")
    assert "could not be told from chance" in few
    assert main(["audit", evaluation(n=150), str(law), "--size", "1"]) == 0
    assert capsys.readouterr().out.startswith("consistent: ")


CHECK = {
    "name", "theorem", "kind", "subset", "column", "value", "ceiling", "margin", "standard_error", "allowance",
    "detectable", "false_alarms", "verdict", "reason",
}  # fmt: skip


def test_the_json_of_an_audit_is_alone_and_complete(evaluation, law, capsys):
    code = main(["audit", evaluation(excess=0.2), str(law), "--json", "--false-alarms", "1e-3", "--size", "0.2"])
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert (code, captured.err) == (1, "")
    assert set(document) == {
        "verdict", "unit", "objective", "scheme", "n", "false_alarms", "size", "checks", "causes", "certificate",
        "notes",
    }  # fmt: skip
    assert (document["verdict"], document["unit"], document["n"]) == ("violated", "nats", 5000)
    assert (document["false_alarms"], document["size"]) == (1e-3, 0.2)
    assert sum(check["false_alarms"] for check in document["checks"]) == pytest.approx(1e-3)
    for check in document["checks"]:
        assert set(check) == CHECK
        assert check["verdict"] in ("consistent", "violated", "undecided")
    (whole,) = [check for check in document["checks"] if check["kind"] == "objective"]
    assert whole["ceiling"] == pytest.approx(-2 * np.log(2))  # of a law in nats
    assert whole["margin"] == pytest.approx(0.2)
    fits = [cause["fit"] for cause in document["causes"]]
    assert fits == sorted(fits, reverse=True)
    assert set(document["causes"][0]) == {"name", "fit", "why", "remedy"}


def test_an_audit_against_a_dataset(evaluation, law, capsys):
    rng = np.random.default_rng(0)
    data = law.parent / "data.csv"
    data.write_text("p,q\n" + "".join(f"{a},{b}\n" for a, b in rng.integers(0, 2, (4000, 2))))
    columns = ["--modalities", "X1=p", "--modalities", "X2=q"]
    assert main(["audit", evaluation(excess=0.4), str(data), *columns, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert any("estimated ceilings" in note for note in document["notes"])
    assert main(["audit", evaluation(), str(data), *columns]) == 0
    assert "consistent" in capsys.readouterr().out
    data.write_text("p,q\n" + "".join(f"{a},{b}\n" for a, b in rng.integers(0, 2, (30, 2))))
    assert main(["audit", evaluation(), str(data), *columns]) == 0
    assert "undecided" in capsys.readouterr().out
    assert main(["audit", evaluation(), str(data)]) == 2
    assert "of the modalities X1, X2, the reference of p, q" in capsys.readouterr().err


def test_an_audit_of_another_objective(evaluation, law, capsys):
    value = {"log_likelihood": None, "kl": None, "value": np.full((2, 5000), -1.5)}
    iwae = evaluation(**value, objective="iwae", parameters={"k": 8})
    assert main(["audit", iwae, str(law), "--objective", "iwae"]) == 0
    assert "(T5)" in capsys.readouterr().out
    assert main(["audit", iwae, str(law), "--objective", "own-density"]) == 2
    assert "audit with objective='iwae'" in capsys.readouterr().err


def test_an_audit_against_a_density_model(evaluation, law, capsys):
    density = {"log_density": np.full(5000, -2 * np.log(2))}
    lossy = np.full((2, 5000, 2), -1.0)
    path = evaluation(log_likelihood=lossy, kl=np.zeros((2, 5000)), **density, claimed_loss=0.3)
    assert main(["audit", path]) == 1
    assert "claimed loss too small" in capsys.readouterr().out
    assert main(["audit", path, str(law)]) == 0
    assert "is used without DATA only" in capsys.readouterr().err
    assert main(["audit", path, "--level", "units"]) == 2
    assert "--level are about DATA" in capsys.readouterr().err
    plain = evaluation(log_likelihood=lossy, kl=np.zeros((2, 5000)), **density)
    assert main(["audit", plain, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["certificate"]["low"] == pytest.approx(2 - 2 * np.log(2))


BAD_AUDITS = {
    "no reference": ({}, [], "give DATA, a law or a dataset"),
    "another kind": ({"kind": "differential"}, ["LAW"], "are densities, the reference is of probabilities"),
    "negative KL": ({"kl": np.full((2, 5000), -1.0)}, ["LAW"], "a KL is not negative"),
    "NaN": ({"kl": np.full((2, 5000), np.nan)}, ["LAW"], "kl of X1 is nan"),
    "shape": ({"kl": np.zeros((2, 4999))}, ["LAW"], "has 5000 examples, kl 4999"),
    "weights": ({"weights": [0.4, 0.6], "scheme": "mmvae"}, ["LAW"], "scheme mmvae has 0.5"),
    "too few": ({"n": 99}, ["LAW"], "99 examples are too few"),
    "unknown field": ({"elbo": [1.0]}, ["LAW"], "unknown field 'elbo'"),
    "objective list": ({"objective": ["iwae"]}, ["LAW"], "unknown objective ['iwae']"),
    "parameters": ({"objective": "beta", "parameters": {"beta": "x"}}, ["LAW"], "beta='x': give a finite number"),
    "other parameters": ({"parameters": {"k": 3}}, ["LAW"], "k is no parameter of the own-density objective"),
    "false alarms": ({}, ["LAW", "--false-alarms", "1e-300"], "give a probability from 1e-09"),
    "size": ({}, ["LAW", "--size", "nan"], "size=nan"),
    "objective": ({}, ["LAW", "--objective", "elbo"], "unknown objective 'elbo'"),
    "no data": ({}, ["none.npz"], "none.npz: there is no such file"),
    "types of a law": ({}, ["LAW", "--type", "X1=discrete"], "are chosen for arrays of samples only"),
}


@pytest.mark.parametrize(("changed", "arguments", "message"), BAD_AUDITS.values(), ids=BAD_AUDITS)
def test_a_bad_audit_is_one_line_and_exit_2(evaluation, law, capsys, changed, arguments, message):
    words = [str(law) if word == "LAW" else word for word in arguments]
    assert main(["audit", evaluation(**changed), *words, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bounds: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize("form", ["npz", "json"])
def test_a_damaged_evaluation_is_one_line_and_exit_2(law, capsys, form):
    """Cut off anywhere, or with bytes that are others; never a traceback."""
    path = law.parent / f"evaluation.{form}"
    fields = terms_of(law, n=120)
    if form == "npz":
        np.savez(path, **fields)
    else:
        path.write_text(json.dumps({k: x.tolist() if isinstance(x, np.ndarray) else x for k, x in fields.items()}))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    spoiled = [whole[:cut] for cut in range(0, len(whole), len(whole) // 40)]
    for _ in range(60):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            changed[place] = rng.integers(256)
        spoiled.append(bytes(changed))
    refused = 0
    for content in spoiled:
        path.write_bytes(content)
        code = main(["audit", str(path), str(law)])
        captured = capsys.readouterr()
        refused += code == 2
        assert (captured.err.count("\n"), captured.out == "") == ((1, True) if code == 2 else (0, False))
        assert code in (0, 1, 2)
    assert refused > 40


def test_the_help_of_an_audit_names_every_field():
    helped = run("audit", "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    for field in FIELDS:
        assert f"\n  {field} " in helped.stdout
    for word in ("Exit code 1", "log_density", "--false-alarms", "law.npz"):
        assert word in helped.stdout


NOISY = [[0.45, 0.05], [0.05, 0.45]]
WIDE = ["--tol", "1e-3", "--json"]


@pytest.fixture
def noisy(tmp_path):
    path = tmp_path / "noisy.npz"
    np.savez(path, pmf=np.array(NOISY))
    return path


def test_an_optimum_is_certified_between_two_numbers(noisy, capsys):
    assert main(["optimum", str(noisy), "--scheme", "mmvae", *WIDE]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert captured.err == ""
    assert list(document) == ["mmvae"]
    found = document["mmvae"]
    assert {"scheme", "unit", "beta", "low", "high", "tol", "certified", "entropy", "loss"} <= set(found)
    assert (found["unit"], found["beta"], found["tol"], found["certified"]) == ("nats", 1.0, 1e-3, True)
    # in nats
    entropy = -sum(p * np.log(p) for row in NOISY for p in row)
    assert found["entropy"] == pytest.approx(entropy, rel=1e-12)
    assert found["low"] <= found["high"] <= found["low"] + 1e-3
    assert found["loss"]["low"] == pytest.approx(-entropy - found["high"], abs=1e-12)


def test_several_schemes_and_the_default_ones(noisy, capsys):
    assert main(["optimum", str(noisy), *WIDE]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["mvae", "mmvae", "mopoe"]
    chosen = ["--scheme", "X1:1/4,X2:3/4", "--scheme", "mvae"]
    assert main(["optimum", str(noisy), *chosen, "--tol", "1e-2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines if "<=" in line] == ["X1:1/4,X2:3/4", "mvae"]
    assert "nats (certified)" in lines[0]


def test_a_narrower_tolerance_narrows_and_beta_lowers(noisy, capsys):
    def optimum(*options):
        assert main(["optimum", str(noisy), "--scheme", "mmvae", "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)["mmvae"]

    wide, narrow, heavy = optimum("--tol", "1e-2"), optimum("--tol", "1e-6"), optimum("--tol", "1e-4", "--beta", "2")
    assert narrow["high"] - narrow["low"] <= 1e-6
    assert wide["low"] <= narrow["high"]
    assert narrow["low"] <= wide["high"]
    assert heavy["high"] < narrow["low"]
    assert heavy["beta"] == 2


def test_without_time_the_bracket_is_wide_and_says_so(noisy, capsys):
    assert main(["optimum", str(noisy), "--scheme", "mmvae", "--seconds", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["mmvae"]
    assert found["low"] <= found["high"]
    if not found["certified"]:
        assert any("certified to" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tol", "0"], "tol is 0.0: give a positive number"),
        (["--tol", "nan"], "tol is nan"),
        (["--beta", "-1"], "beta is -1.0"),
        (["--seconds", "-1"], "seconds is -1.0"),
        (["--scheme", "vae"], "unknown scheme 'vae'"),
        (["--scheme", "mvae-subsampled"], "is a sum of ELBOs"),
        (["--modalities", "a=X1"], "holds a law"),
    ],
)
def test_a_bad_optimum_is_one_line_and_exit_2(noisy, capsys, arguments, message):
    assert main(["optimum", str(noisy), "--json", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bounds: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_an_optimum_of_densities_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "law.npz", cov=np.eye(2))
    assert main(["optimum", str(tmp_path / "law.npz")]) == 2
    assert "known for discrete laws; this one is a Gaussian" in capsys.readouterr().err


def test_an_optimum_of_rows_is_that_of_their_empirical_law(tmp_path, capsys):
    rows = [(a, b) for a in range(2) for b in range(2) for _ in range(round(20 * NOISY[a][b]))]
    table = tmp_path / "rows.csv"
    table.write_text("X1,X2\n" + "".join(f"{a},{b}\n" for a, b in rows))
    np.savez(tmp_path / "law.npz", pmf=np.array(NOISY))
    found = []
    for name in ("rows.csv", "law.npz"):
        assert main(["optimum", str(tmp_path / name), "--scheme", "mmvae", *WIDE]) == 0
        found.append(json.loads(capsys.readouterr().out)["mmvae"])
    assert found[0]["low"] == pytest.approx(found[1]["low"], abs=1e-3)
    assert found[0]["entropy"] == pytest.approx(found[1]["entropy"], rel=1e-12)
