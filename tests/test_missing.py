"""Missing values and modalities: refused unless a rule is declared, and what each rule computes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from bounds.cli import main
from bounds.errors import InputError, NoEstimateError
from bounds.estimators import estimate, estimate_per_subset
from bounds.irreducible import irreducible_error
from bounds.joints import Gaussian
from bounds.missing import ASSUMED, RULES, PartlyObserved, by_rule
from bounds.readers import read
from bounds.samples import Samples

N = 400
RNG = np.random.default_rng(0)
LAW = Gaussian([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])
ROWS = np.linalg.cholesky([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])
FULL = RNG.normal(size=(N, 3)) @ ROWS.T
GONE = RNG.random((N, 3)) < 0.15
NAMES = ("a", "b", "c")


def table(values: np.ndarray = FULL, gone: np.ndarray = GONE) -> dict[str, dict[str, Any]]:
    return {m: {m: np.where(g, np.nan, v)} for m, v, g in zip(NAMES, values.T, gone.T, strict=True)}


def partly(found: object) -> PartlyObserved:
    assert isinstance(found, PartlyObserved)
    return found


# Refusal, which is the default


def test_refusal_names_the_column_the_count_and_the_rules() -> None:
    first = int(GONE[:, 0].sum())
    message = f"column 'a' is NaN or infinite in {first} of {N} rows: drop .*--missing complete.*per-subset"
    with pytest.raises(InputError, match=message):
        by_rule(table())
    masked = {m: {m: np.ma.array(FULL[:, i], mask=GONE[:, i])} for i, m in enumerate(NAMES)}
    with pytest.raises(InputError, match=f"column 'a' is missing in {first} of {N} rows: .*--missing complete"):
        by_rule(masked)


@pytest.mark.parametrize("rule", RULES)
def test_infinite_values_are_never_missing(rule: str) -> None:
    values = FULL.copy()
    values[0, 0] = np.inf
    with pytest.raises(InputError, match=r"column 'a' is NaN or infinite in \d+ of") as refused:
        by_rule(table(values, np.zeros_like(GONE)), rule=rule)
    assert "--missing" not in str(refused.value)


def test_an_unknown_rule() -> None:
    with pytest.raises(InputError, match="unknown rule 'impute' for missing values: use one of refuse, complete, per-"):
        by_rule(table(), rule="impute")


@pytest.mark.parametrize("rule", RULES)
def test_where_nothing_is_missing_a_rule_changes_nothing(rule: str) -> None:
    found = by_rule(table(gone=np.zeros_like(GONE)), rule=rule)
    assert isinstance(found, Samples)
    assert found.notes == ()
    np.testing.assert_array_equal(np.column_stack(found.columns), FULL)


# Complete rows


def test_complete_rows_are_those_with_everything() -> None:
    kept = ~GONE.any(axis=1)
    found = by_rule(table(), rule="complete")
    assert isinstance(found, Samples)
    np.testing.assert_array_equal(np.column_stack(found.columns), FULL[kept])
    (note,) = found.notes
    assert note.startswith(f"{kept.sum()} of {N} rows are complete")
    assert ASSUMED in note
    assert found.select(["a", "b"]).notes == found.notes
    assert irreducible_error(found, "mmvae").warnings[0] == note


def test_too_few_complete_rows() -> None:
    gone = np.zeros((N, 3), dtype=bool)
    gone[: N // 2, 0], gone[N // 2 :, 1] = True, True
    with pytest.raises(InputError, match=f"0 of {N} rows are complete: leave out .*--missing per-subset"):
        by_rule(table(gone=gone), rule="complete")
    gone[1:, 0] = True
    gone[0, 0] = False
    with pytest.raises(InputError, match="modality 'a' is observed in 1 of 400 rows: leave it out"):
        by_rule(table(gone=gone), rule="per-subset")


# Rows per subset


@st.composite
def gaps(draw: st.DrawFn) -> np.ndarray:
    return np.random.default_rng(draw(st.integers(0, 2**32))).random((N, 3)) < draw(st.floats(0.01, 0.5))


@given(gaps(), st.sampled_from(["discrete", "continuous"]))
@settings(max_examples=20, deadline=None)
def test_each_entropy_is_that_of_the_rows_that_have_all_of_it(gone: np.ndarray, kind: str) -> None:
    """Against the estimator on rows picked here, subset by subset."""
    values = FULL if kind == "continuous" else np.floor(FULL).clip(-2, 1)
    types = dict.fromkeys(NAMES, kind)
    data = partly(by_rule(table(values, gone), types, rule="per-subset"))
    estimator = "gaussian-copula" if kind == "continuous" else "plug-in"
    h = estimate_per_subset(data, estimator).entropies
    for mask in range(1, 8):
        chosen = [i for i in range(3) if mask >> i & 1]
        rows = ~gone[:, chosen].any(axis=1)
        names = [NAMES[i] for i in chosen]
        picked = Samples.from_arrays({NAMES[i]: values[rows, i] for i in chosen}, dict.fromkeys(names, kind))
        assert data.counts()[",".join(names)] == rows.sum()
        # The same computation on the same rows; only an alphabet may be larger, which these estimators do not use.
        assert h[names] == pytest.approx(estimate(picked, estimator).entropies[names], abs=1e-12)


def test_units_of_a_modality_are_from_the_rows_of_that_modality() -> None:
    columns = {"p": {"p0": FULL[:, 0], "p1": FULL[:, 1]}, "q": {"q": np.where(GONE[:, 2], np.nan, FULL[:, 2])}}
    h = estimate_per_subset(partly(by_rule(columns, rule="per-subset")), "gaussian").entropies
    assert h.names == ("p0", "p1", "q")
    rows = ~GONE[:, 2]
    alone = estimate(Samples.from_arrays({"p": FULL[:, :2]}), "gaussian").entropies
    both = estimate(Samples.from_arrays({"p": FULL[rows, :2], "q": FULL[rows, 2]}), "gaussian").entropies
    assert h["p0"] == pytest.approx(alone[0b01], abs=1e-12)
    assert h["p1", "q"] == pytest.approx(both[0b110], abs=1e-12)


def test_no_interval_and_a_plain_statement() -> None:
    found = irreducible_error(partly(by_rule(table(), rule="per-subset")), "mmvae")
    loss = found["mmvae"].finest.total_correlation_term
    assert loss is not None
    assert loss.value is not None
    assert (loss.low, loss.high, loss.guarantee) == (None, None, "none")
    assert "no interval" in loss.method
    assert any(ASSUMED in note for note in loss.notes)
    assert ASSUMED in found.warnings[0]
    assert found.to_dict()["rows_of_subsets"]["a,b,c"] == int((~GONE.any(axis=1)).sum())
    assert f"H(a,b,c) {(~GONE.any(axis=1)).sum()}" in found.warnings[0]


def test_a_negative_estimate_is_shown() -> None:
    """Rows of one subset that are unlike those of another: an impossible sign, and no clamping."""
    rng = np.random.default_rng(1)
    wide = np.concatenate([rng.normal(size=200), 20 * rng.normal(size=200)])
    other = np.where(np.arange(N) < 200, rng.normal(size=N), np.nan)
    law = partly(by_rule({"a": {"a": wide}, "b": {"b": other}}, rule="per-subset"))
    h = estimate_per_subset(law, "gaussian").entropies
    # H(b|a) of independent standard normals is 1.42; here H(a) is of rows that are twenty times as wide.
    assert h["a", "b"] - h["a"] < 0


def test_modalities_that_are_never_seen_together() -> None:
    gone = np.zeros((N, 3), dtype=bool)
    gone[: N // 2, 0], gone[N // 2 :, 1] = True, True
    found = irreducible_error(partly(by_rule(table(gone=gone), rule="per-subset")), "a:1/2,b:1/2")
    assert found.entropy.value is None
    assert any("0 rows have all of it" in note for note in found.entropy.notes)
    assert found.rows_of_subsets["a,b"] == 0


def test_bias_is_that_of_a_law_with_known_entropies() -> None:
    """Missing completely at random, the estimates are near the truth.

    The standard deviation of a Gaussian's entropy of d columns is sqrt(d / (2 n)); six of them at n >= 200 and d = 3
    are exceeded with probability below 1e-6 (the law of the estimate is near normal), and the bias is below d^2 / n.
    """
    h = estimate_per_subset(partly(by_rule(table(), rule="per-subset")), "gaussian").entropies
    exact = LAW.entropy_vector()
    for mask in range(1, 8):
        assert abs(h[mask] - exact[mask]) < 6 * np.sqrt(3 / (2 * 200)) + 9 / 200


def test_what_no_estimator_supports() -> None:
    mixed = partly(
        by_rule(table(np.floor(FULL)), {"a": "discrete", "b": "discrete", "c": "continuous"}, rule="per-subset")
    )
    with pytest.raises(NoEstimateError, match="the data mix discrete and continuous columns"):
        irreducible_error(mixed, "mmvae")
    few = partly(by_rule(table(), rule="per-subset"))
    with pytest.raises(InputError, match="estimator 'plug-in' is for discrete data"):
        irreducible_error(few, "mmvae", estimator="plug-in")


def test_what_has_no_interval_has_no_guaranteed_one() -> None:
    data = partly(by_rule(table(), rule="per-subset"))
    with pytest.raises(InputError, match="are for rows that have everything"):
        irreducible_error(data, "mmvae", interval="guaranteed")


# Files and the command


def write(path: Path) -> Path:
    """Two columns of numbers and one of text, each with gaps."""
    numbers = [None if gone else float(v) for v, gone in zip(FULL[:, 0], GONE[:, 0], strict=True)]
    whole = [None if gone else int(v > 0) for v, gone in zip(FULL[:, 1], GONE[:, 1], strict=True)]
    text = [None if gone else "yes" if v > 0 else "no" for v, gone in zip(FULL[:, 2], GONE[:, 2], strict=True)]
    if path.suffix == ".csv":
        cells = zip(
            *([("" if v is None else str(v)) for v in column] for column in (numbers, whole, text)), strict=True
        )
        path.write_text("a,b,c\n" + "".join(",".join(row) + "\n" for row in cells))
    else:
        parquet.write_table(pa.table({"a": numbers, "b": whole, "c": text}), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_with_gaps(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"data{suffix}")
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: column 'a' is missing in .*--missing complete"):
        read(path)
    complete = read(path, missing="complete")
    assert isinstance(complete, Samples)
    kept = ~GONE.any(axis=1)
    assert complete.types == ("continuous", "discrete", "discrete")
    np.testing.assert_array_equal(complete.columns[0], FULL[kept, 0])
    np.testing.assert_array_equal(complete.columns[1], FULL[kept, 1] > 0)
    np.testing.assert_array_equal(complete.columns[2], FULL[kept, 2] > 0)
    cases = partly(read(path, missing="per-subset")).cases(["c"])
    np.testing.assert_array_equal(cases.columns[0], FULL[~GONE[:, 2], 2] > 0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, page = tmp_path / "data.npz", tmp_path / "page.html"
    np.savez(path, **{m: columns[m] for m, columns in table().items()})
    assert main(["irreducible", str(path), "--scheme", "mmvae"]) == 2
    assert "--missing complete" in capsys.readouterr().err
    assert main(["irreducible", str(path), "--scheme", "mmvae", "--missing", "complete"]) == 0
    assert f"{(~GONE.any(axis=1)).sum()} of {N} rows are complete" in " ".join(capsys.readouterr().out.split())
    command = ["irreducible", str(path), "--scheme", "mmvae", "--missing", "per-subset"]
    assert main([*command, "--html", str(page)]) == 0
    assert "completely at random" in " ".join(capsys.readouterr().out.split())
    assert "completely at random" in " ".join(page.read_text().split())
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows_of_subsets"]["a"] == int((~GONE[:, 0]).sum())
    assert main([*command, "--conditional", "linear"]) == 2
    assert "use --missing complete" in capsys.readouterr().err
    assert main([*command, "--engine", "stream"]) == 2
    assert "--missing per-subset needs rows" in capsys.readouterr().err
