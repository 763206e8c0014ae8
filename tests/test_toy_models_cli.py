"""The program ``toy-models``: what it prints where, and its exit codes."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bounds import elbo_ceiling, generative_discrepancy
from toy_models import claims, elbo_terms, reference_models
from toy_models.cli import main

NAMES = list(reference_models())


def strict_json(text):
    """Parsed JSON; NaN and Infinity, which are not JSON, are errors."""

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_list_shows_every_model_with_its_story(capsys):
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    words = " ".join(out.split())
    for reference in reference_models().values():
        assert reference.name in words
        assert reference.story.split()[0] in words


@pytest.mark.parametrize("name", NAMES)
def test_evaluate_prints_terms_ceilings_and_inequalities(name, capsys):
    assert main(["evaluate", name]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    reference = reference_models()[name]
    terms = elbo_terms(reference.model, reference.law, reference.scheme)
    h = reference.law.unit_entropies()
    for number in (
        terms.elbo,
        terms.evidence,
        terms.entropy,
        float(generative_discrepancy(h, reference.scheme)),
        float(elbo_ceiling(h, reference.scheme)),
        terms.repaired.left,
        terms.repaired.right,
    ):
        assert f"{number:.6f}" in out


@pytest.mark.parametrize("name", NAMES)
def test_json_is_all_of_standard_output_and_has_the_exact_numbers(name, capsys):
    assert main(["evaluate", name, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = strict_json(out)
    reference = reference_models()[name]
    terms = elbo_terms(reference.model, reference.law, reference.scheme)
    h = reference.law.unit_entropies()
    assert found["name"] == name
    assert found["terms"]["elbo"] == terms.elbo
    assert found["terms"]["evidence"] == terms.evidence
    assert found["ceilings"]["H(X)"]["value"] == pytest.approx(terms.entropy, rel=1e-12)
    assert found["ceilings"]["Delta"]["value"] == float(generative_discrepancy(h, reference.scheme))
    assert found["ceilings"]["ELBO ceiling (own-density)"]["value"] == float(elbo_ceiling(h, reference.scheme))
    quoted, repaired = found["inequalities"]["quoted"], found["inequalities"]["repaired"]
    assert (quoted["left"], quoted["right"]) == (terms.quoted.left, terms.quoted.right)
    assert quoted["holds"] is terms.quoted.holds
    assert quoted["proved"] is False
    assert (repaired["left"], repaired["right"]) == (terms.repaired.left, terms.repaired.right)
    assert repaired["holds"] is repaired["proved"] is True


def test_the_quoted_inequality_fails_for_the_counterexamples_and_holds_for_one(capsys):
    holds = {}
    for name in NAMES:
        main(["evaluate", name, "--json"])
        holds[name] = strict_json(capsys.readouterr().out)["inequalities"]["quoted"]["holds"]
    assert not any(holds[name] for name in ("constant-latent", "private-noise", "noisy-pair-0.1"))
    assert holds["noisy-pair-0.01"]


def test_a_violated_bound_is_exit_code_1_and_one_line(monkeypatch, capsys):
    """A planted fault: a ceiling half a nat too low."""

    def too_low(h, scheme, objective="own-density"):
        true = elbo_ceiling(h, scheme, objective)
        return type(true)(true.name, true.value - 0.5)

    monkeypatch.setattr(claims, "elbo_ceiling", too_low)
    assert main(["evaluate", "twin-bit", "--json"]) == 1
    out, err = capsys.readouterr()
    assert strict_json(out)["inequalities"]["own-density"]["holds"] is False
    lines = err.splitlines()
    assert lines
    assert all(line.startswith("toy-models: violated although proved:") for line in lines)
    assert "-1.88629436112 < -1.38629436112" in err


def test_infinite_terms_are_strings_in_json():
    reference = reference_models()["private-noise"]
    terms = elbo_terms(reference.model, reference.law, reference.scheme)
    broken = type(terms)(**{**vars(terms), "evidence": -math.inf, "mixture_kl": math.inf})
    evaluation = claims.Evaluation(reference, broken, (), ())
    found = strict_json(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert found["terms"]["evidence"] == "-inf"
    assert found["terms"]["mixture_elbo"] == "-inf"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["evaluate"], "the following arguments are required: NAME"),
        (["evaluate", "nobody"], "unknown model 'nobody': use one of constant-latent"),
        (["evaluate", "twin-bit", "--xml"], "unrecognized arguments: --xml"),
        (["train-me"], "invalid choice: 'train-me'"),
    ],
)
def test_bad_usage_is_exit_code_2_and_one_line(arguments, message, capsys):
    try:
        code = main(arguments)
    except SystemExit as exit_:  # argparse ends the program itself
        code = exit_.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("toy-models")
    assert err.count("\n") == 1


def run(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)


def test_python_dash_m():
    done = run("-m", "toy_models", "evaluate", "constant-latent", "--json")
    assert done.returncode == 0, done.stderr
    assert strict_json(done.stdout)["terms"]["elbo"] == -2 * math.log(2)
    assert run("-m", "toy_models", "evaluate", "nobody").returncode == 2


def in_shell(words, redirected):
    """The command from a shell, which redirects. The outputs of users' Pythons are buffered, and fail late."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "toy_models", *words.split()]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


COMMANDS = ["list", "evaluate twin-bit", "evaluate twin-bit --json", "--help"]


@pytest.mark.parametrize(
    ("words", "redirected"), [*((words, ">/dev/full") for words in COMMANDS), ("list", ">&-"), ("list", "1</dev/null")]
)
def test_standard_output_that_takes_nothing_is_an_error_of_one_line(words, redirected):
    if "full" in redirected and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    done = in_shell(words, redirected)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"toy-models: error: cannot write to standard output: .+\n", done.stderr)


def test_without_standard_error_only_messages_are_lost():
    assert strict_json(in_shell("evaluate twin-bit --json", "2>&-").stdout)["name"] == "twin-bit"
    for words in ("evaluate nobody", "--magic"):
        done = in_shell(words, "2>&-")
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_a_reader_that_goes_away_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "toy_models", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_importing_toy_models_loads_neither_torch_nor_rich():
    done = run("-c", "import toy_models, toy_models.cli, sys; print(sorted({'torch', 'rich'} & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stderr
