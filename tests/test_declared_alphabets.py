"""Alphabets that are known from elsewhere."""

import json
import math

import numpy as np
import pytest

from bounds import InputError, Samples, irreducible_error, mmvae, with_alphabets
from bounds.cli import main
from bounds.discrete_entropy import nsb
from bounds.estimators import estimate
from bounds.statistics import JointCounts

ROWS = {"a": np.array([0, 1, 2, 3, 4, 0, 0, 0, 0, 0] * 4 + [5, 6, 7]), "b": np.arange(43) % 2}
DISCRETE = {"a": "discrete", "b": "discrete"}


def rows():
    return Samples.from_arrays(ROWS, DISCRETE)


@pytest.mark.parametrize("data", [rows(), JointCounts.of(rows())], ids=["rows", "counts"])
def test_nsb_takes_the_alphabet_that_is_declared(data):
    known = with_alphabets(data, {"a": 40})
    assert known.alphabets == (40, 2)
    assert data.alphabets == (8, 2)
    counts = np.bincount(ROWS["a"])
    assert estimate(known, "nsb").entropies["a"] == pytest.approx(nsb(counts, 40), rel=1e-12)
    assert nsb(counts, 40) > nsb(counts, 8) + 0.05  # so it matters


def test_a_declared_alphabet_answers_the_refusal_of_symbols_that_occur_once():
    """The interval allows for all symbols that there are: ``ln(1 + (K - 1) / N)`` of bias."""
    h = estimate(rows()).entropies
    assert "occur once" in h.evaluate(h_of(h, "a")).notes[0]
    known = estimate(with_alphabets(rows(), {"a": 40})).entropies
    found, wide = (
        estimate(with_alphabets(rows(), {"a": k}), interval="guaranteed").entropies.evaluate(h_of(known, "a"))
        for k in (40, 4000)
    )
    assert found.guarantee == "guaranteed"
    more = math.log1p(3999 / 43) - math.log1p(39 / 43)
    assert wide.high - found.high == pytest.approx(more, rel=1e-6)


def h_of(h, name):
    from bounds.functional import Functional

    return Functional(h.names, {1 << h.names.index(name): 1})


def test_symbols_that_were_not_seen_forbid_a_narrow_interval():
    """Copies of one of two symbols: an interval of width zero, unless a third symbol can occur."""
    bits = np.tile([0, 1], 100)
    data = Samples.from_arrays({"a": bits, "b": bits[::-1].copy()}, DISCRETE)
    known = irreducible_error(with_alphabets(data, {"a": 3}), mmvae(2))["mmvae"].generative_discrepancy
    assert known.guarantee == "guaranteed"
    assert known.high > 0.01


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"A": 40}, "an alphabet is declared for 'A', which is no column: known are a, b, x"),
        ({"a": 7}, "column 'a' shows 8 symbols: an alphabet of 7 is too small"),
        ({"x": 7}, "column 'x' holds numbers, which have no alphabet"),
    ],
)
def test_what_cannot_be_is_refused(sizes, message):
    data = Samples.from_arrays({**ROWS, "x": np.linspace(0, 1, 43)}, {**DISCRETE, "x": "continuous"})
    with pytest.raises(InputError, match=message):
        with_alphabets(data, sizes)


def test_a_column_of_a_modality_may_have_its_own():
    pairs = Samples.from_arrays({"p": np.stack([ROWS["b"], ROWS["a"]], axis=1), "b": ROWS["b"]}, {"p": "discrete"})
    assert with_alphabets(pairs, {"p": 9}).alphabets == (9, 9, 2)
    assert with_alphabets(pairs, {"p": 9, "p[1]": 50}).alphabets == (9, 50, 2)


def test_the_command_takes_alphabets(tmp_path, capsys):
    path = tmp_path / "rows.npz"
    np.savez(path, **ROWS)
    command = ["irreducible", str(path), "--type", "a=discrete", "--type", "b=discrete", "--estimator", "nsb", "--json"]
    assert main([*command, "--alphabet", "a=40"]) == 0
    found = json.loads(capsys.readouterr().out)["entropies"]["a"]
    assert found == pytest.approx(nsb(np.bincount(ROWS["a"]), 40), rel=1e-12)
    for wrong, message in (("a", "write NAME=K"), ("a=many", "write NAME=K"), ("a=3", "is too small")):
        assert main([*command, "--alphabet", wrong]) == 2
        assert message in capsys.readouterr().err
