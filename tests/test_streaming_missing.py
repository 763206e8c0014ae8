"""Streams of tables with gaps: complete rows and the note about them are those in memory."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bounds.errors import InputError
from bounds.missing import note_of_complete
from bounds.readers import read
from bounds.samples import Samples
from bounds.streaming import Streamed, stream
from bounds.streaming.parts import OpenPart
from bounds.streaming.plan import Plan, PlannedColumn
from bounds.streaming.stream import UNSEEN_OF_COUNTS, UNSEEN_OF_NUMBERS, _Stream
from bounds.streaming.tasks import Task

pytest.importorskip("pyarrow", reason="streams of numbers need pyarrow (extra: distributed)")
import pyarrow as pa
from streaming_common import assert_same, cluster, notes_of, outcome, random, run, split, truncate, write_part

__all__ = ["cluster"]  # a fixture

SUFFIXES = (".parquet", ".csv")
TYPES = {"whole": pa.int64(), "half": pa.float64(), "text": pa.string(), "truth": pa.bool_(), "spare": pa.int64()}


def gap_or(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(values, values, values, st.none())


rows_with_gaps = st.fixed_dictionaries(
    {
        "whole": gap_or(st.integers(-2, 2)),
        "half": gap_or(st.sampled_from([-0.5, 0.0, 1.5, math.nan])),
        "text": gap_or(st.sampled_from(["b", "a", "é"])),
        "truth": gap_or(st.booleans()),
        "spare": st.none() | st.integers(0, 1),
    }
)


def result(work: Callable[[], Any]) -> Any:
    """What comes of it, or why nothing does: without the file, an example and the remedy for few complete rows."""
    try:
        return work()
    except InputError as error:
        found = re.search(r"\d+ of \d+ rows are complete", str(error))
        return found[0] if found else re.sub(r"^/.*?: |, such as '.*?'", "", str(error))


def assert_same_complete(found: Streamed | str, expected: Samples | str) -> None:
    """The same statistics and note, or the same refusal."""
    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
    else:
        assert_same(found.statistics, expected)
        assert notes_of(found) == expected.notes


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=12, deadline=None)
@given(rows=st.lists(rows_with_gaps, min_size=2, max_size=40), at=st.lists(st.integers(0, 40), max_size=3))
def test_counts_of_complete_rows_are_those_in_memory(tmp_path_factory, suffix, rows, at) -> None:
    folder = tmp_path_factory.mktemp("parts")
    columns = {name: [row[name] for row in rows] for name in TYPES}
    whole, parts = split(folder, columns, [min(i, len(rows)) for i in at], suffix, TYPES)
    types = dict.fromkeys(["left", "right"], "discrete")
    modalities = ["left=whole,text", "right=half,truth"]  # what the spare column lacks does not count
    assert_same_complete(
        result(lambda: stream(parts, modalities, types, missing="complete")),
        result(lambda: read(whole, modalities, types, missing="complete")),
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(20, 200),
    share=st.sampled_from([0.0, 0.02, 0.3, 0.9]),
    at=st.lists(st.integers(0, 200), max_size=3),
)
def test_moments_of_complete_rows_are_those_in_memory(tmp_path_factory, suffix, seed, rows, share, at) -> None:
    folder = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(seed)
    data, gone, nan = rng.standard_normal((rows, 4)) + 3, rng.random((rows, 4)) < share, rng.random((rows, 4)) < 0.5
    columns = {
        name: [
            (math.nan if isnan else None) if gap else value
            for value, gap, isnan in zip(data[:, i].tolist(), gone[:, i], nan[:, i], strict=True)
        ]
        for i, name in enumerate("abcd")
    }
    whole, parts = split(folder, columns, [min(i, rows) for i in at], suffix, dict.fromkeys("abcd", pa.float64()))
    modalities, types = ["y=c", "x=a,b"], {"x": "continuous", "y": "continuous"}
    assert_same_complete(
        result(lambda: stream(parts, modalities, types, missing="complete")),
        result(lambda: read(whole, modalities, types, missing="complete")),
    )


MANY = np.arange(2000)
GAPS = MANY % 4 == 1  # where the other column has a gap
#: A column without gaps, whether the other holds numbers that are continuous, and the columns in this format.
MISLEADING = {
    "few symbols in complete rows": (np.where(GAPS, MANY, MANY % 3), False),
    "many values in complete rows": (np.where(GAPS, 7.5, random(2000)), True),
    "constant in complete rows": (np.where(GAPS, MANY, 1), False),
    "fractions in the others": (np.where(GAPS, random(2000), MANY % 3), False),
    "an atom in the others": (np.where(GAPS, 0.0, random(2000)), True),
    "an atom in complete rows": (np.where(GAPS | (MANY % 10 != 0), random(2000), 0.0), True),
    "infinite in the others": (np.where(GAPS, math.inf, random(2000)), True),
    "infinite in complete rows": (np.where(GAPS, 0.0, np.where(MANY == 2, math.inf, random(2000))), True),
    "beyond 2^53 in the others": (np.where(GAPS, 2**60 + MANY, MANY), True),
    "first rows": (np.where(GAPS, random(2000), np.where(MANY < 1000, MANY % 3, random(2000, 1))), True),
    "first complete rows are few": (np.where(GAPS | (MANY > 1000), MANY % 5, MANY % 3), False),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("values", "continuous"), MISLEADING.values(), ids=MISLEADING.keys())
def test_types_are_detected_from_complete_rows(tmp_path, monkeypatch, suffix, values, continuous) -> None:
    monkeypatch.setattr("bounds.streaming.plan._FIRST_ROWS", 500)
    other = random(2000, 2).tolist() if continuous else (MANY % 2).tolist()
    columns = {"c": values.tolist(), "other": [None if gap else value for value, gap in zip(other, GAPS, strict=True)]}
    whole, parts = split(tmp_path, columns, [400, 700, 1500], suffix)
    found = outcome(lambda: stream(parts, missing="complete").statistics)
    expected = outcome(lambda: read(whole, missing="complete"))
    # Where infinite values are, a stream of numbers does not say how many.
    assert found.partition(" NaN or infinite")[2] or found == expected.replace(f"{whole}: ", "")
    assert ("infinite" in found) == ("infinite" in expected)


@pytest.mark.parametrize("odd", ["x", "0.5", "", "2020-01-01", "01", "99999999999999999999"])
@pytest.mark.parametrize("times", [1, 70])
def test_what_a_csv_column_holds_is_decided_by_all_rows_as_in_memory(tmp_path, odd, times) -> None:
    # So numbers are symbols, as they are written, where incomplete rows have text.
    columns = {"c": [odd or None] * times + ["1", "2"] * 30, "d": [None] * times + [0, 1, 1] * 20}
    whole, parts = split(tmp_path, columns, [times, times + 30], ".csv")
    types = {"d": "discrete"}
    assert_same_complete(
        result(lambda: stream(parts, (), types, missing="complete")),
        result(lambda: read(whole, (), types, missing="complete")),
    )


def test_a_row_counts_once_for_its_modality_and_not_at_all_for_columns_that_were_not_chosen(tmp_path) -> None:
    columns = {
        "a": [0, None, None, 1, 1, 0],
        "b": [0, None, 1, 1, 0, 1],
        "c": [0, None, 1, 0, None, 1],
        "spare": [None] * 6,
    }
    _, parts = split(tmp_path, columns, [2], types=dict.fromkeys(columns, pa.int64()))
    found = stream(parts, ["x=a,b", "y=c"], dict.fromkeys("xy", "discrete"), missing="complete")
    assert found.statistics.n == 3
    assert notes_of(found) == (note_of_complete(3, 6, {"x": 2, "y": 2}),)
    all_there = stream(parts, ["x=b"], missing="complete", types={"x": "discrete"})
    assert notes_of(all_there) == (note_of_complete(5, 6, {"x": 1}),)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_where_nothing_is_missing_there_is_no_note(tmp_path, suffix) -> None:
    whole, parts = split(tmp_path, {"a": [0, 1] * 20, "b": ["x", "y"] * 20}, [7], suffix)
    found = stream(parts, missing="complete")
    assert_same(found.statistics, read(whole))
    assert notes_of(found) == ()


@pytest.mark.parametrize("types", [None, {"b": pa.null()}], ids=["gaps", "no type"])
@pytest.mark.parametrize("bad", [0, 1])
def test_parts_in_which_no_row_is_complete(tmp_path, types, bad) -> None:
    gone = {"a": [0, 1, 1], "b": [None] * 3}
    there = {"a": [0, 1] * 20, "b": [1, 1, 0, 0] * 10}
    parts = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    write_part(parts[bad], gone, types or {"b": pa.int64()})
    write_part(parts[1 - bad], there)
    found = stream(parts, missing="complete")
    assert found.statistics.n == 40
    assert notes_of(found) == (note_of_complete(40, 43, {"a": 0, "b": 3}),)
    assert notes_of(stream(parts, ["a=a"], missing="complete")) == ()
    with pytest.raises(InputError, match=rf"{bad}\.parquet: column 'b' is missing in "):
        stream(parts)
    with pytest.raises(InputError, match=r"0 of 3 rows are complete: leave out b, which is missing in 3|no row is"):
        stream(parts[bad : bad + 1], missing="complete")


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("gap", [math.nan, None])
@pytest.mark.parametrize("values", [["x", "y", "y", "x"], [True, False, False, True]], ids=["text", "truth"])
def test_a_column_of_gaps_alone_contradicts_no_type(tmp_path, at, gap, values) -> None:
    """As pandas writes a part in which the column is missing: as doubles."""
    there, gone = {"a": [0, 1] * 20, "b": values * 10}, {"a": [0, 1, 1], "b": [gap] * 3}
    parts = [write_part(tmp_path / "there.parquet", there)]
    parts.insert(at, write_part(tmp_path / "gone.parquet", gone, {"b": pa.float64()}))
    found = stream(parts, missing="complete")
    assert_same(found.statistics, read(parts[1 - at]))
    assert notes_of(found) == (note_of_complete(40, 43, {"a": 0, "b": 3}),)
    write_part(tmp_path / "gone.parquet", {"a": [0, 1, 1], "b": [gap, 1.0, gap]}, {"b": pa.float64()})
    with pytest.raises(InputError, match=r"column 'b' holds .* here and .* in other parts: write all parts with the"):
        stream(parts, missing="complete")


def test_no_row_is_complete_where_each_part_lacks_another_column(tmp_path) -> None:
    rows = ["x", "y"] * 5
    write_part(tmp_path / "1.parquet", {"a": rows, "b": [None] * 10}, {"b": pa.null()})
    write_part(tmp_path / "2.parquet", {"a": [None] * 8, "b": rows[:8]}, {"a": pa.null()})
    with pytest.raises(InputError, match="0 of 18 rows are complete: leave out b, which is missing in 10"):
        stream(tmp_path, missing="complete")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
@pytest.mark.parametrize("complete", [0, 1])
def test_too_few_complete_rows(tmp_path, suffix, kind, complete) -> None:
    a, b = [None] * 15 + [0] * complete + [1] * 5, [1] * 15 + [0] * complete + [None] * 5
    types = dict.fromkeys("ab", pa.int64() if kind == "discrete" else pa.float64())
    _, parts = split(tmp_path, {"a": a, "b": b}, [4, 17], suffix, types)
    message = f"{complete} of {20 + complete} rows are complete: leave out a, which is missing in 15, with --modalities"
    with pytest.raises(InputError, match=message):
        stream(parts, types=dict.fromkeys("ab", kind), missing="complete")


# Refusal


@pytest.mark.parametrize("values", [[None, 0.5], [math.nan, 0.5], [math.inf, 0.5]], ids=["gap", "NaN", "infinite"])
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_a_refusal_names_the_rule_where_it_helps(tmp_path, values, kind) -> None:
    part = write_part(tmp_path / "p.parquet", {"a": [*values, 1.5, 2.5], "b": [1.0, 2.0, 3.0, 4.5]})
    with pytest.raises(InputError, match=r"^p\.parquet: column 'a'.*fill them") as refused:
        stream(part, types=dict.fromkeys("ab", kind))
    assert ("--missing complete" in str(refused.value)) == (values[0] != math.inf)
    assert "per-subset" not in str(refused.value)


@pytest.mark.parametrize("rule", ["per-subset", "impute"])
def test_other_rules_need_rows(tmp_path, rule) -> None:
    with pytest.raises(InputError, match=f"--missing {rule} needs rows, .* use --missing complete, or --engine memory"):
        stream(tmp_path, missing=rule)


# Parts that are damaged, kept, on workers


def table_with_gaps(kind: str, n: int = 300) -> dict[str, list]:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 3, (n, 3)) if kind == "discrete" else rng.standard_normal((n, 3))
    gone = rng.random((n, 3)) < 0.1
    return {
        name: [None if gap else value for value, gap in zip(values[:, i].tolist(), gone[:, i], strict=True)]
        for i, name in enumerate("abc")
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_the_note_counts_the_parts_that_are_in(tmp_path, suffix, kind) -> None:
    columns = table_with_gaps(kind)
    rest = {name: values[:100] + values[200:] for name, values in columns.items()}
    _, parts = split(tmp_path, columns, [100, 200], suffix)
    expected = read(write_part(tmp_path / f"rest{suffix}", rest), missing="complete")
    truncate(parts[1]) if suffix == ".parquet" else parts[1].write_bytes(parts[1].read_bytes() + b"1,2,3,4\n")
    found = stream(parts, skip_damaged=True, missing="complete")
    assert_same(found.statistics, expected)
    left_out, note = notes_of(found)
    assert left_out.startswith(f"left out, as it cannot be read: part1{suffix}: ")
    assert (note,) == expected.notes


def test_a_part_of_another_type_that_is_damaged_inside_is_left_out(tmp_path) -> None:
    write_part(tmp_path / "0.parquet", {"a": [0, 1, 1], "b": [None] * 3}, {"b": pa.int64()})
    damaged = write_part(tmp_path / "1.parquet", {"a": random(5000).tolist(), "b": random(5000, 1).tolist()})
    content = bytearray(damaged.read_bytes())
    content[4:60] = b"\xff" * 56  # the header of the first page
    damaged.write_bytes(content)
    write_part(tmp_path / "2.parquet", {"a": [0, 1] * 20, "b": [1, 1, 0, 0] * 10})
    found = stream(tmp_path, missing="complete", skip_damaged=True)
    assert found.statistics.n == 40
    assert found.warnings[0].startswith("left out, as it cannot be read: 1.parquet: ")


def test_rows_of_a_part_that_is_damaged_inside_are_not_counted(tmp_path) -> None:
    parts = [
        write_part(tmp_path / f"{i}.parquet", {"a": random(5000, i).tolist(), "b": random(5000, 9 + i).tolist()})
        for i in range(3)
    ]
    write_part(parts[2], {"a": [None, *random(99).tolist()], "b": random(100, 1).tolist()})
    content = bytearray(parts[1].read_bytes())
    content[4:60] = b"\xff" * 56  # the header of the first page
    parts[1].write_bytes(content)
    found = stream(parts, skip_damaged=True, missing="complete")
    assert found.statistics.n == 5099
    assert notes_of(found)[1:] == (note_of_complete(5099, 5100, {"a": 1, "b": 0}),)


def test_kept_statistics_are_of_the_rule_they_were_got_by(tmp_path, monkeypatch) -> None:
    whole, parts = split(tmp_path, table_with_gaps("continuous"), [100, 200])
    keep = tmp_path / "kept"
    with pytest.raises(InputError, match="--missing complete"):
        stream(parts, keep=keep)
    expected = read(whole, missing="complete")
    read_again: list[str] = []
    work = Task._of
    monkeypatch.setattr(Task, "_of", lambda task, part: read_again.append(part) or work(task, part))
    for passes in (2, 0):  # averages and counts of rows, then nothing
        read_again.clear()
        found = stream(parts, keep=keep, missing="complete")
        assert_same(found.statistics, expected)
        assert notes_of(found) == expected.notes
        assert len(read_again) == passes * len(parts)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_dask_workers_give_the_same(tmp_path, cluster, suffix, kind) -> None:
    whole, parts = split(tmp_path, table_with_gaps(kind), [60, 120, 240], suffix)
    found = stream(parts, engine="dask", scheduler=cluster.scheduler.address, missing="complete")
    expected = read(whole, missing="complete")
    assert_same(found.statistics, expected)
    assert notes_of(found) == expected.notes


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_the_command_gives_the_numbers_and_the_note_of_memory(tmp_path, capsys, kind) -> None:
    whole, _ = split(tmp_path, table_with_gaps(kind, 2000), [500, 1500])
    estimator = ("--estimator", "chao-wang-jost" if kind == "discrete" else "gaussian", "--missing", "complete")
    code, streamed, _ = run(capsys, str(tmp_path / "part*.parquet"), *estimator)
    assert code == 0
    _, expected, _ = run(capsys, str(whole), *estimator)
    assert streamed["n"] == expected["n"] < 2000
    note, unseen, *rest = streamed["warnings"]
    assert unseen == (UNSEEN_OF_COUNTS if kind == "discrete" else UNSEEN_OF_NUMBERS)
    assert [note, *rest] == expected["warnings"]
    assert re.match(rf"{expected['n']} of 2000 rows are complete", note)
    losses = [one["schemes"]["mmvae"]["total_correlation_term"] for one in (streamed, expected)]
    # rounding of moments that were merged; counts are the same
    assert losses[0]["value"] == pytest.approx(losses[1]["value"], rel=1e-10)
    assert losses[0]["low"] == pytest.approx(losses[1]["low"], rel=1e-8)
    code, _, err = run(capsys, str(tmp_path / "part*.parquet"), "--missing", "per-subset")
    assert code == 2
    assert "--missing per-subset needs rows" in err


# Planted faults


def per_column(plan: Plan, part: OpenPart, columns: Sequence[PlannedColumn]) -> str:
    """Gaps dropped from each column by itself, so that values of different rows stand beside each other."""
    values = [plan._expressions(part)[column] for column in columns]
    dropped = (f"unnest(list({sql}) FILTER ({sql} IS NOT NULL)) AS v{i}" for i, sql in enumerate(values))
    return f"SELECT {', '.join(dropped)} FROM {part.table}"


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_gaps_dropped_by_column_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    # As many gaps in either column, but in other rows: each column by itself looks right.
    n = 400
    a = np.arange(n) % 3 if kind == "discrete" else random(n)
    b = a + (np.arange(n) // 7) % 2 if kind == "discrete" else a + random(n, 1)
    columns = {"a": a.tolist(), "b": b.tolist()}
    for start, column in enumerate(columns.values()):
        column[5 * start + 3 :: 40] = [None] * 10
    whole, parts = split(tmp_path, columns, [160, 320])
    expected = read(whole, missing="complete")
    assert_same(stream(parts, missing="complete").statistics, expected)

    monkeypatch.setattr(Plan, "select", per_column)
    with pytest.raises(InputError, match="the parts changed"):  # the counts of rows say otherwise
        stream(parts, missing="complete")
    monkeypatch.setattr(_Stream, "_notes", lambda *_: ())
    wrong = stream(parts, missing="complete").statistics
    with pytest.raises(AssertionError):
        assert_same(wrong, expected)


def test_gaps_of_one_modality_alone_are_not_enough(tmp_path, monkeypatch) -> None:
    whole, parts = split(tmp_path, {"a": [None, *range(40)], "b": [*range(40), None]}, [20])
    types = dict.fromkeys("ab", "continuous")
    assert_same(stream(parts, (), types, missing="complete").statistics, read(whole, (), types, missing="complete"))

    def last_alone(sql: dict[PlannedColumn, str]) -> dict[str, str]:
        column, value = list(sql.items())[-1]
        return {column.modality: f"{value} IS NOT NULL"}

    monkeypatch.setattr("bounds.streaming.plan._observed", last_alone)
    with pytest.raises(InputError, match="column 'a' is missing"):
        stream(parts, (), types, missing="complete")
