"""Streams of parts give what the same rows give in memory, and say which part is at fault."""

from __future__ import annotations

import datetime
import json
import math
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bounds.streaming.tasks
from bounds.cli import main
from bounds.errors import InputError
from bounds.readers import read
from bounds.statistics import JointCounts
from bounds.streaming import find_parts, stream, suits_memory
from bounds.streaming.dask_engine import OnDask
from bounds.streaming.numbers import Accumulator
from bounds.streaming.plan import draft, guess
from bounds.streaming.symbols import SymbolCounts
from bounds.streaming.tasks import Outcome, Task

pytest.importorskip("pyarrow", reason="streams of numbers need pyarrow (extra: distributed)")
import pyarrow as pa
import pyarrow.parquet as pq
from streaming_common import Columns, assert_same, cluster, notes_of, outcome, random, run, split, truncate, write_part

__all__ = ["cluster"]  # a fixture

symbols = st.fixed_dictionaries(
    {
        "whole": st.integers(-3, 3),
        "half": st.sampled_from([-0.5, 0.0, 0.25, 1.5]),
        "text": st.sampled_from(["b", "a", "é", "Z", "zz", "a b"]),
        "truth": st.booleans(),
    }
)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@settings(max_examples=8, deadline=None)
@given(rows=st.lists(symbols, min_size=2, max_size=60), at=st.lists(st.integers(0, 60), max_size=3))
def test_counts_of_parts_are_those_in_memory(tmp_path_factory, suffix, rows, at) -> None:
    folder = tmp_path_factory.mktemp("parts")
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    whole, parts = split(folder, columns, [min(i, len(rows)) for i in at], suffix)
    types = dict.fromkeys(columns, "discrete")
    modalities = ["left=whole,text", "right=half,truth"]
    assert_same(stream(parts, modalities, types).statistics, read(whole, modalities, types))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(20, 200),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    shift=st.sampled_from([0.0, 5.0, -1e3]),
    at=st.lists(st.integers(0, 200), max_size=3),
)
def test_moments_of_parts_are_those_in_memory(tmp_path_factory, suffix, seed, rows, scale, shift, at) -> None:
    folder = tmp_path_factory.mktemp("parts")
    data = scale * (np.random.default_rng(seed).standard_normal((rows, 3)) + shift)
    columns = {name: data[:, i].tolist() for i, name in enumerate("abc")}
    whole, parts = split(folder, columns, [min(i, rows) for i in at], suffix)
    types = dict.fromkeys("ab", "continuous")
    assert_same(stream(parts, ["x=a,b"], types).statistics, read(whole, ["x=a,b"], types))


def with_atom(value: float, share: float, n: int = 2000) -> np.ndarray:
    values = random(n)
    values[:: round(1 / share)] = value
    return values


KINDS = ("discrete", "continuous")
MANY = np.arange(2000)
DETECTED = {
    "few whole numbers": MANY % 7,
    "few whole numbers, as floats": (MANY % 7).astype(float),
    "few numbers": (MANY % 7) / 2,
    "64 symbols": MANY % 64,
    "65 symbols": MANY % 65,
    "more than N / 10": MANY[:100] % 11,
    "N / 10": MANY[:100] % 10,
    "two": MANY[:4] % 2,
    "constant": 0 * MANY,
    "constant float": 0 * MANY + 0.1,
    "continuous": random(2000),
    "an atom": with_atom(0.0, 0.1),
    "an atom with both signs of zero": np.where(MANY % 20 == 0, -0.0, with_atom(0.0, 0.05)),
    "no atom": with_atom(0.5, 0.04),
    "an atom among repeated values": np.where(MANY % 3 == 0, 0.0, np.round(random(2000), 1)),
    "many whole numbers": MANY,
    "beyond 2^53": MANY + 2**53,
    "up to 2^53": 2**53 - MANY,
    "first rows mislead": np.where(MANY < 1000, MANY % 3, MANY),
    "first rows mislead about fractions": np.where(MANY < 1000, MANY % 3, random(2000)),
    "unsigned": (MANY % 5).astype(np.uint64) * np.uint64(2**20) + np.uint64(2**63),
    "small": (MANY % 5).astype(np.int8),
    "float32": random(2000).astype(np.float32),
    "text": np.array(["x", "y"])[MANY % 2],
    "numbers as text": np.array(["1", "2", "x"])[MANY % 3],
    "truth": MANY % 2 == 0,
}


#: Columns for which a declared type makes a difference.
DECLARED = (
    "few numbers",
    "constant",
    "constant float",
    "an atom",
    "beyond 2^53",
    "text",
    "truth",
    "first rows mislead",
)


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        *(pytest.param(values, None, id=name) for name, values in DETECTED.items()),
        *(pytest.param(DETECTED[name], kind, id=f"{name}, {kind}") for name in DECLARED for kind in KINDS),
    ],
)
def test_types_are_detected_as_in_memory(tmp_path, monkeypatch, values, declared) -> None:
    monkeypatch.setattr("bounds.streaming.plan._FIRST_ROWS", 500)  # so that the first rows can mislead
    types = {"c": declared} if declared else None
    whole, parts = split(tmp_path, {"c": values}, [len(values) // 3])
    expected = outcome(lambda: read(whole, (), types))
    assert outcome(lambda: stream(parts, (), types).statistics) == expected


CSV_COLUMNS = {
    "whole": ["1", "2", "3"],
    "a fraction in the last part": ["1", "2", "2.5"],
    "as they are written": ["01", "2", "10"],
    "text in the last part": ["a", "b", "1"],
    "mostly numbers": ["1", "2", "n/a"],
    "thousands": ["1", "2,000", "3,000"],
    "dates": ["2020-01-01", "2020-01-02", "2020-01-03"],
    "long": ["1", "2", "99999999999999999999"],
    "exponents": ["1e3", "2", "3"],
}


@pytest.mark.parametrize("values", CSV_COLUMNS.values(), ids=CSV_COLUMNS.keys())
@pytest.mark.parametrize("declared", [None, "discrete"])
def test_columns_of_csv_parts_hold_what_they_hold_in_memory(tmp_path, values, declared) -> None:
    values = values * 10 if values[0] != "1" or declared else values * 2
    values = sorted(values, key=values[:3].index)
    whole, parts = split(tmp_path, {"c": values}, [len(values) // 2, 2 * len(values) // 3], ".csv")
    types = {"c": declared} if declared else None

    def short(work) -> str:  # in memory an example is given
        return outcome(work).replace(f"{whole}: ", "").partition(" values that are no plain numbers")[0]

    assert short(lambda: stream(parts, (), types).statistics) == short(lambda: read(whole, (), types))


def test_symbols_that_differ_between_parts_are_sorted_together(tmp_path) -> None:
    write_part(tmp_path / "1.parquet", {"c": ["b", "d"], "n": [7, 7]})
    write_part(tmp_path / "2.parquet", {"c": ["a", "d"], "n": [-1, 7]})
    found = stream(tmp_path, types={"n": "discrete"}).statistics
    assert isinstance(found, JointCounts)
    assert found.alphabets == (3, 2)
    assert [c.tolist() for c in found.columns] == [[0, 1, 2], [0, 1, 1]]
    assert found.counts.tolist() == [1, 1, 2]


def test_symbol_counts_merge_in_any_order() -> None:
    rng = np.random.default_rng(0)
    parts = [
        SymbolCounts.of_rows(
            [rng.choice(words, 20).astype(object), rng.integers(0, 3, 20)], np.ones(20, dtype=np.int64)
        )
        for words in (["a", "b"], ["b", "c"], ["x"])
    ]
    first = parts[0].merge(parts[1]).merge(parts[2])
    second = parts[2].merge(parts[1].merge(parts[0]))
    assert [c.tolist() for c in (*first.symbols, *first.columns, first.counts)] == [
        c.tolist() for c in (*second.symbols, *second.columns, second.counts)
    ]
    assert first.n == 60


def test_equal_zeros_fall_into_one_bucket() -> None:
    # Or an atom at zero, half of it negative, would be overlooked.
    total = Accumulator(("c",), (True,))
    total.add([np.array([0.0, -0.0, 1.0])])
    assert sorted(total.total().profile.buckets[0].tolist())[-2:] == [1, 2]


def test_empty_parts_and_few_rows(tmp_path) -> None:
    columns = {"a": random(100).tolist(), "b": random(100, 1).tolist()}
    whole, parts = split(tmp_path, columns, [0, 0, 50, 100])
    assert_same(stream(parts).statistics, read(whole))
    with pytest.raises(InputError, match="no rows: entropies"):
        stream(parts[:2])
    one = write_part(tmp_path / "one.parquet", {"a": [0.5], "b": [1.5]})
    with pytest.raises(InputError, match="one row: entropies"):
        stream([parts[0], one])


FIRST_MIDDLE_LAST = pytest.mark.parametrize("at", [0, 1, 2])


@FIRST_MIDDLE_LAST
@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.float64()], ids=str)
@pytest.mark.parametrize("missing", ["refuse", "complete"])
def test_a_part_without_rows_neither_decides_nor_contradicts_what_columns_hold(tmp_path, at, kind, missing) -> None:
    columns = {"a": [0, 1, 1, 0] * 20, "b": [True, False] * 40, "c": ["x", "y", "z", "x"] * 20}
    whole, parts = split(tmp_path, columns, [30])
    parts.insert(at, write_part(tmp_path / "empty.parquet", {name: [] for name in columns}, dict.fromkeys("abc", kind)))
    found = stream(parts, missing=missing)
    assert_same(found.statistics, read(whole))
    with pytest.raises(InputError, match="no rows: entropies"):
        stream([parts[at]], missing=missing)


def pair(folder: Path, second: Columns, suffix: str = ".parquet") -> list[Path]:
    first = write_part(folder / f"first{suffix}", {"a": [0, 1] * 20, "b": ["x", "y"] * 20})
    return [first, write_part(folder / f"second{suffix}", second)]


WRONG = {
    "missing column": ({"a": [0, 1]}, "second.parquet: there is no column 'b'"),
    "extra column": (
        {"a": [0, 1], "b": ["x", "y"], "z": [1, 2]},
        "second.parquet: column 'z' is not in the other parts",
    ),
    "another type": (
        {"a": ["0", "1"], "b": ["x", "y"]},
        "second.parquet: column 'a' holds text here and whole numbers in other parts",
    ),
    "missing values": (
        {"a": [0, None], "b": ["x", "y"]},
        "second.parquet: column 'a' is missing in 1 of 2 rows",
    ),
    "missing text": ({"a": [0, 1], "b": [None, None]}, "second.parquet: column 'b'"),
    "dates": ({"a": [datetime.date(2020, 1, 1)] * 2, "b": ["x", "y"]}, "second.parquet: column 'a' holds dates"),
}


@pytest.mark.parametrize(("second", "message"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("skip", [False, True])
def test_a_part_with_the_wrong_data_is_named_and_never_left_out(tmp_path, second, message, skip) -> None:
    parts = pair(tmp_path, second)
    with pytest.raises(InputError, match=message):
        stream(parts, skip_damaged=skip)


@FIRST_MIDDLE_LAST
def test_all_wrong_parts_are_named_wherever_they_are(tmp_path, at) -> None:
    names = [f"{i}.parquet" for i in range(4)]
    for name in names:
        write_part(tmp_path / name, {"a": [0, 1] * 20, "b": ["x", "y"] * 20})
    write_part(tmp_path / names[at], {"a": [datetime.date(2020, 1, 1)] * 2, "b": ["x", "y"]})
    truncate(tmp_path / names[at + 1])
    with pytest.raises(InputError, match="2 of 4 parts cannot be used: ") as refused:
        stream(tmp_path)
    assert f"{names[at]}: column 'a' holds dates or times" in str(refused.value)
    assert f"{names[at + 1]}: is not a complete .parquet file" in str(refused.value)


def test_a_wrong_option_is_no_fault_of_the_parts(tmp_path) -> None:
    parts = pair(tmp_path, {"a": [0, 1], "b": ["x", "y"]})
    with pytest.raises(InputError, match=r"^first\.parquet: there is no column 'z': known are a, b$"):
        stream(parts, ["m=z"])


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
@pytest.mark.parametrize("engine", ["stream", "dask"])
def test_whole_numbers_here_and_fractions_there_are_numbers(tmp_path, order, engine) -> None:
    """As pandas writes whole numbers: as int64 where there is no gap, as doubles where there is one."""
    if engine == "dask":
        pytest.importorskip("distributed", reason="Dask is not installed (extra: distributed)")
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 60))
    gap = a[40:].astype(float)
    gap[3] = math.nan
    whole = write_part(tmp_path / "whole.parquet", {"a": [*a[:40].tolist(), *gap.tolist()], "b": b.tolist()})
    first = write_part(tmp_path / "1.parquet", {"a": a[:40].tolist(), "b": b[:40].tolist()})
    second = write_part(tmp_path / "2.parquet", {"a": gap.tolist(), "b": b[40:].tolist()})
    parts = [first, second][order]
    found = stream(parts, missing="complete", engine=engine, keep=tmp_path / "kept")
    assert found.statistics.n == 59
    assert_same(found.statistics, read(whole, missing="complete"))
    assert found.warnings[0].startswith("59 of 60 rows")
    with pytest.raises(InputError, match=r"2\.parquet: column 'a' (is NaN|has values that are NaN)"):
        stream(parts, engine=engine)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_whole_numbers_that_fractions_elsewhere_would_spoil_are_refused(tmp_path, order) -> None:
    first = write_part(tmp_path / "1.parquet", {"a": [2**53 + 1, 1] * 20, "b": [0, 1] * 20})
    second = write_part(tmp_path / "2.parquet", {"a": [0.5, 1.5], "b": [0, 1]})
    with pytest.raises(InputError, match=r"1\.parquet: column 'a' holds whole numbers beyond 2\^53"):
        stream([first, second][order])
    last = write_part(tmp_path / "1.parquet", {"a": [2**53, -(2**53)] * 20, "b": [0, 1] * 20})
    stream([last, second][order], types={"a": "discrete"})


LONG = {"discrete": [0, 1] * 20, "continuous": (10**6 * random(40)).astype(int).tolist()}


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
@pytest.mark.parametrize("small", [pa.decimal128(38, 0), pa.int64()], ids=["decimals", "int64"])
@pytest.mark.parametrize("kind", LONG)
def test_whole_numbers_beyond_64_bits_are_what_they_are_in_memory(tmp_path, order, small, kind) -> None:
    a = LONG[kind]
    b = [value + (2**70 if i >= 30 else 0) for i, value in enumerate(a)]
    long = {"b": pa.decimal128(38, 0)}
    whole = write_part(tmp_path / "whole.parquet", {"a": a, "b": [Decimal(value) for value in b]}, long)
    first = write_part(tmp_path / "1.parquet", {"a": a[:30], "b": [Decimal(v) for v in b[:30]]}, long)
    if small == pa.int64():
        write_part(first, {"a": a[:30], "b": b[:30]})
    second = write_part(tmp_path / "2.parquet", {"a": a[30:], "b": [Decimal(v) for v in b[30:]]}, long)
    parts = [first, second][order]
    with pytest.raises(InputError, match=r"2\.parquet: column 'b' holds whole numbers beyond 64 bits, which lose"):
        stream(parts, skip_damaged=True)
    types = dict.fromkeys("ab", kind)
    found = stream(parts, types=types, skip_damaged=True)
    assert notes_of(found) == ()
    assert_same(found.statistics, read(whole, types=types))


def test_whole_numbers_beyond_64_bits_beside_fractions_or_text_are_refused(tmp_path) -> None:
    long = write_part(tmp_path / "1.parquet", {"a": [Decimal(2**70)] * 2}, {"a": pa.decimal128(38, 0)})
    for values, meaning in (([0.5, 1.5], "numbers"), (["x", "y"], "text")):
        other = write_part(tmp_path / "2.parquet", {"a": values})
        with pytest.raises(InputError, match=rf"holds {meaning} here and whole numbers beyond 64 bits in other parts"):
            stream([long, other], types={"a": "discrete"})


def test_values_that_cannot_be_converted_are_no_damage(tmp_path, monkeypatch) -> None:
    parts = pair(tmp_path, {"a": [0, 1], "b": ["x", "y"]})
    monkeypatch.setattr("bounds.streaming.plan._cast", lambda sql, column: f"CAST({sql} AS DATE)")
    with pytest.raises(InputError, match=r"^first\.parquet: has values that cannot be converted \("):
        stream(parts, skip_damaged=True)


def test_columns_in_another_order_and_widths_of_numbers_are_the_same(tmp_path) -> None:
    parts = pair(tmp_path, {"b": ["x", "y"], "a": [0, 1]})
    types = {"a": pa.int8()}
    write_part(parts[1], {"b": ["x", "y"], "a": [0, 1]}, types)
    assert stream(parts).statistics.n == 42


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
def test_missing_numbers_are_named(tmp_path, bad) -> None:
    first = write_part(tmp_path / "1.parquet", {"a": random(50).tolist(), "b": random(50, 1).tolist()})
    second = write_part(tmp_path / "2.parquet", {"a": [0.5, bad], "b": [1.5, 2.5]})
    with pytest.raises(InputError, match=r"2\.parquet: column 'a' (is missing|has values that are NaN)"):
        stream([first, second])


def test_both_kinds_are_refused_with_what_to_do(tmp_path) -> None:
    part = write_part(tmp_path / "p.parquet", {"a": random(100).tolist(), "b": ["x", "y"] * 50, "c": [1, 2] * 50})
    with pytest.raises(InputError, match="b is discrete, a is continuous, c is discrete: choose columns"):
        stream(part)
    assert stream(part, ["a", "b"][1:] and ["m=b", "n=c"]).statistics.kind == "discrete"


def test_a_table_of_distinct_rows_that_does_not_fit_is_refused(tmp_path, monkeypatch) -> None:
    part = write_part(tmp_path / "p.parquet", {"a": list(range(1000)), "b": list(range(1000))})
    monkeypatch.setattr("bounds.memory.available_bytes", lambda: 100_000)
    with pytest.raises(InputError, match=r"distinct rows \(1000 x 2\) needs .* support no joint entropy"):
        stream(part, types={"a": "discrete", "b": "discrete"})


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_damaged_part_is_named_and_loses_nothing_else(tmp_path, monkeypatch, suffix) -> None:
    columns = {"a": random(90).tolist(), "b": random(90, 1).tolist()}
    whole, parts = split(tmp_path, columns, [30, 60], suffix)
    if suffix == ".parquet":
        content = truncate(parts[1])
    else:
        content = parts[1].read_bytes()
        parts[1].write_bytes(content + b"1,2,3\n")
    keep = tmp_path / "kept"
    with pytest.raises(InputError, match=rf"1 of 3 parts cannot be used: part1{suffix}: .*--skip-damaged") as refusal:
        stream(parts, keep=keep)
    assert "\n" not in str(refusal.value)

    without = stream(parts, skip_damaged=True)
    assert without.statistics.n == 60
    (warning,) = notes_of(without)
    assert warning.startswith(f"left out, as it cannot be read: part1{suffix}: ")

    parts[1].write_bytes(content)
    read_again: list[str] = []
    work = Task._of
    monkeypatch.setattr(Task, "_of", lambda task, part: read_again.append(part) or work(task, part))
    assert_same(stream(parts, keep=keep).statistics, read(whole))
    # A .csv is read twice, and in the first run the second pass was not reached.
    assert read_again[0] == str(parts[1])
    assert len(read_again) == (1 if suffix == ".parquet" else 4)
    assert_same(stream(parts, keep=keep).statistics, read(whole))
    assert len(read_again) == (1 if suffix == ".parquet" else 4)


def test_a_part_that_changed_is_read_again_and_kept_files_that_are_damaged_are_ignored(tmp_path) -> None:
    parts = pair(tmp_path, {"a": [0, 1], "b": ["x", "y"]})
    keep = tmp_path / "kept"
    assert stream(parts, keep=keep).statistics.n == 42
    write_part(parts[1], {"a": [0, 1, 1], "b": ["x", "y", "y"]})
    assert stream(parts, keep=keep).statistics.n == 43
    for file in keep.iterdir():
        truncate(file)
    assert stream(parts, keep=keep).statistics.n == 43
    assert not list(keep.glob("*.part"))


def test_corruption_in_the_middle_of_numbers_is_found(tmp_path) -> None:
    parts = [
        write_part(tmp_path / f"{i}.parquet", {"a": random(5000, i).tolist(), "b": random(5000, 9 + i).tolist()})
        for i in range(2)
    ]
    pq.write_table(pq.read_table(parts[1]), parts[1], compression="zstd")
    content = bytearray(parts[1].read_bytes())
    content[1000:3000] = bytes(2000)
    parts[1].write_bytes(content)
    with pytest.raises(InputError, match=r"1 of 2 parts cannot be used: 1\.parquet"):
        stream(parts)


@pytest.mark.parametrize("where", ["query", "batches"])
def test_ctrl_c_is_no_damage(tmp_path, monkeypatch, where) -> None:
    # DuckDB answers Ctrl-C with errors of its own; taken for damage, they would leave a part out.
    part = write_part(tmp_path / "p.parquet", {"a": random(50).tolist()})

    def stop(*_: object) -> Iterator:
        raise (RuntimeError("Query interrupted") if where == "query" else pa.ArrowInvalid("INTERRUPT Error"))

    if where == "query":
        monkeypatch.setattr("bounds.streaming.tasks._numbers", stop)
    else:
        reader = type("Reader", (), {"__iter__": stop})
        work = bounds.streaming.tasks._batches
        monkeypatch.setattr("bounds.streaming.tasks._batches", lambda _: work(reader()))
    with pytest.raises(KeyboardInterrupt):
        stream(part, skip_damaged=True)


def test_no_part_left(tmp_path) -> None:
    part = write_part(tmp_path / "p.parquet", {"a": [1, 2]})
    truncate(part)
    with pytest.raises(InputError, match=r"^p\.parquet: is not a complete"):
        stream(part)
    with pytest.raises(InputError, match=r"no part is left: p\.parquet"):
        stream(part, skip_damaged=True)


def test_parts_by_pattern_folder_and_list(tmp_path) -> None:
    for name in ("b.parquet", "a.PARQUET", ".a.parquet", "x.txt", "odd[1].parquet"):
        (tmp_path / name).write_text("")
    names = [os.path.basename(part) for part in find_parts(tmp_path)]
    assert names == ["a.PARQUET", "b.parquet", "odd[1].parquet"]
    (tmp_path / "x.csv").write_text("")
    assert find_parts(tmp_path / "?.csv") == (str(tmp_path / "x.csv"),)
    assert find_parts(tmp_path / "odd[1].parquet") == (str(tmp_path / "odd[1].parquet"),)
    assert find_parts(["b.csv", "a.csv"]) == ("b.csv", "a.csv")
    for data, message in (
        (str(tmp_path / "*.csx"), "no .parquet or .csv file is there"),
        (str(tmp_path / "nowhere"), "nowhere: there is no such file or folder"),
        (tmp_path, "suffixes .csv, .parquet: give .parquet files or .csv files alone, by a pattern"),
        ([], "no parts"),
        (["a.csv", "a.parquet"], "suffixes .csv, .parquet"),
        (["a.npz"], "suffixes .npz"),
    ):
        with pytest.raises(InputError, match=message):
            find_parts(data)


def test_what_suits_memory(tmp_path, monkeypatch) -> None:
    part = write_part(tmp_path / "p.parquet", {"a": list(range(1000))})
    assert suits_memory(str(part))
    assert suits_memory(str(tmp_path / "absent.parquet"))
    assert suits_memory("law.npz")
    assert not suits_memory(str(tmp_path))
    assert not suits_memory(str(tmp_path / "*.parquet"))
    assert not suits_memory("s3://bucket/part.parquet")
    monkeypatch.setattr("bounds.streaming.parts.available_bytes", lambda: 63_999)
    assert not suits_memory(str(part))
    monkeypatch.setattr("bounds.streaming.parts.available_bytes", lambda: 64_000)
    assert suits_memory(str(part))


@dataclass(frozen=True)
class Deadly(Task):
    """Kills the worker that reads a part of this name: once if ``marker`` is given, otherwise each time."""

    victim: str = ""
    marker: str = ""

    def __call__(self, part: str) -> Outcome:
        if os.path.basename(part) == self.victim and not (self.marker and os.path.exists(self.marker)):
            if self.marker:
                Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(part)


def test_dask_workers_give_the_same_and_survive_each_other(tmp_path, cluster) -> None:
    # One test, because each new worker takes seconds.
    data = random(3000).reshape(-1, 3)
    columns = {name: data[:, i].tolist() for i, name in enumerate("abc")}
    whole, parts = split(tmp_path, columns, range(100, 1000, 100))
    found = stream(parts, engine="dask", scheduler=cluster.scheduler.address)
    assert_same(found.statistics, read(whole))
    again = stream(parts, engine="dask", scheduler=cluster.scheduler.address, keep=tmp_path / "kept")
    assert again.statistics.scatter.tolist() == found.statistics.scatter.tolist()  # to the last digit
    assert len(list((tmp_path / "kept").iterdir())) == len(parts)

    truncate(parts[4])
    plan, _ = guess(str(parts[0]), draft(str(parts[0]), (), None))
    engine = OnDask(cluster, lambda items, description, total: items)
    once = Deadly("numbers", plan, plan.columns, victim="part2.parquet", marker=str(tmp_path / "marker"))
    total = engine.total(once, [str(part) for part in parts], "killing")
    assert (tmp_path / "marker").exists()
    assert total.statistic.n == 900
    assert [os.path.basename(part) for part in total.failures] == ["part4.parquet"]

    always = Deadly("numbers", plan, plan.columns, victim="part2.parquet")
    total = engine.total(always, [str(part) for part in parts], "killing")
    assert total.statistic.n == 800
    assert sorted(os.path.basename(part) for part in total.failures) == ["part2.parquet", "part4.parquet"]
    assert "every worker that read it died" in total.failures[str(parts[2])]


def test_a_scheduler_that_does_not_answer(tmp_path) -> None:
    dask = pytest.importorskip("dask", reason="Dask is not installed (extra: distributed)")
    pytest.importorskip("distributed", reason="Dask is not installed (extra: distributed)")
    part = write_part(tmp_path / "p.parquet", {"a": [1, 2]})
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        stream(part, engine="dask", scheduler="tcp://127.0.0.1:9")


@pytest.mark.parametrize("library", ["distributed", "pyarrow", "fsspec"])
def test_what_is_not_installed_is_said(tmp_path, monkeypatch, library) -> None:
    part = write_part(tmp_path / "p.parquet", {"a": random(20).tolist()})
    for name in [name for name in __import__("sys").modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(__import__("sys").modules, name, None)
    monkeypatch.setitem(__import__("sys").modules, library, None)
    data = "s3://bucket/p.parquet" if library == "fsspec" else part
    with pytest.raises(InputError, match=r"pip install 'multimodal-bounds\[distributed\]'"):
        stream(data, engine="dask" if library == "distributed" else "stream")


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_the_command_gives_the_numbers_of_memory(tmp_path, capsys, kind) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 600)
    noise = rng.integers(0, 2, (2, 600)) if kind == "discrete" else rng.standard_normal((2, 600))
    whole, _ = split(tmp_path, {"x": (label + noise[0]).tolist(), "y": (label + noise[1]).tolist()}, [100, 300])
    estimator = "chao-wang-jost" if kind == "discrete" else "gaussian"
    code, streamed, _ = run(capsys, str(tmp_path / "part*.parquet"), "--estimator", estimator)
    assert code == 0
    assert streamed["source"] == "part*.parquet"
    code, expected, _ = run(capsys, str(whole), "--estimator", estimator)
    assert streamed["n"] == expected["n"] == 600
    for subset, value in expected["entropies"]["values"].items() if "values" in expected["entropies"] else ():
        assert streamed["entropies"]["values"][subset] == pytest.approx(value, abs=1e-10)
    loss = [one["schemes"]["mmvae"]["total_correlation_term"]["value"] for one in (streamed, expected)]
    assert loss[0] == pytest.approx(loss[1], rel=1e-10)
    code, forced, _ = run(capsys, str(whole), "--engine", "stream", "--estimator", estimator)
    assert forced["schemes"]["mmvae"]["total_correlation_term"]["value"] == pytest.approx(loss[1], rel=1e-10)


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_what_a_stream_does_not_look_at_is_said_in_every_form(tmp_path, capsys, kind) -> None:
    """Of a time series, rows in memory have a warning; of a curve, neighbours instead of a Gaussian."""
    walk = np.cumsum(random(600))
    x, y = (walk > 0, np.arange(600) % 100 < 50) if kind == "discrete" else (walk, walk**2)
    split(tmp_path, {"x": x.astype(float).tolist(), "y": y.astype(float).tolist()}, [100])
    page = tmp_path / "page.html"
    command = ["irreducible", str(tmp_path / "part*.parquet"), "--html", str(page)]
    assert main(command) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert main([*command, "--json"]) == 0
    (said,) = (one for one in json.loads(capsys.readouterr().out)["warnings"] if "a stream does not look" in one)
    assert ("the order of the rows, at ties, or at whether a Gaussian law fits" in said) == (kind == "continuous")
    assert said in text
    assert said[1:] in page.read_text()  # there it begins with a capital


def test_the_command_warns_of_what_it_left_out(tmp_path, capsys) -> None:
    _, parts = split(tmp_path, {"x": [0, 1, 1, 0] * 100, "y": [0, 0, 1, 1] * 100}, [100, 200])
    truncate(parts[1])
    data = str(tmp_path / "part*.parquet")
    code, _, err = run(capsys, data)
    assert code == 2
    assert "part1.parquet: is not a complete .parquet file" in err
    code, found, _ = run(capsys, data, "--skip-damaged", "--keep", str(tmp_path / "kept"))
    assert code == 0
    assert found["n"] == 300
    assert found["warnings"][0].startswith("left out, as it cannot be read: part1.parquet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{parts}", "--likelihood", "bernoulli"], "--likelihood needs rows"),
        (["{parts}", "--conditional", "linear"], "--conditional needs rows"),
        (["{parts}", "--scheduler", "here:1"], "--scheduler is for --engine dask"),
        (["{whole}", "--keep", "folder"], "--keep is for data in parts"),
        (["{whole}", "--skip-damaged"], "--skip-damaged is for data in parts"),
        (["{parts}", "--engine", "memory"], "there is no such file"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, capsys, arguments, message) -> None:
    split(tmp_path, {"x": [0, 1] * 10, "y": [0, 1] * 10}, [4])
    names = {"parts": str(tmp_path / "part*.parquet"), "whole": str(tmp_path / "whole.parquet")}
    code, _, err = run(capsys, *(argument.format(**names) for argument in arguments))
    assert code == 2
    assert message in err


@pytest.mark.parametrize("estimator", ["gaussian-copula", "gaussian-shrinkage"])
def test_estimators_that_need_rows_name_those_that_do_not(tmp_path, capsys, estimator) -> None:
    split(tmp_path, {"x": random(100).tolist(), "y": random(100, 1).tolist()}, [40])
    code, _, err = run(capsys, str(tmp_path / "part*.parquet"), "--estimator", estimator)
    assert code == 2
    assert f"{estimator} needs rows" in err
    assert err.endswith(", gaussian\n")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scheme", "foo"], "unknown scheme 'foo'"),
        (["--scheme", "x:1/2,z:1/2"], "'z'"),
        (["--scheme", "mvae", "--scheme", "mvae"], "scheme 'mvae' is given twice"),
        (["--confidence", "2"], "confidence 2.0: give a number between 0 and 1"),
        (["--estimator", "neighbours"], "neighbours needs rows"),
        (["--block", "0"], "block=0: give the rows"),
        (["--block", "5"], "block needs rows in their order"),
        (["--alphabet", "x=y"], "--alphabet 'x=y': write NAME=K"),
        (["--alphabet", "zz=3"], "an alphabet is declared for 'zz', which is no column"),
        (["--type", "zz=discrete"], "a type is declared for 'zz', which is no modality or column"),
        (["--type", "x=discret"], "use 'discrete' or 'continuous'"),
        (["--modalities", "m=zz"], "there is no column 'zz'"),
    ],
)
def test_wrong_options_are_refused_before_a_part_is_read(
    tmp_path, capsys, monkeypatch, suffix, options, message
) -> None:
    split(tmp_path, {"x": [0, 1] * 50, "y": [0, 1] * 50}, [40], suffix)
    monkeypatch.setattr(Task, "__call__", lambda *_: pytest.fail("a part was read"))
    code, _, err = run(capsys, str(tmp_path / f"part*{suffix}"), *options)
    assert code == 2
    assert message in err


def test_planted_faults_of_a_stream_are_caught(tmp_path, monkeypatch) -> None:
    whole, parts = split(tmp_path, {"a": [0, 1, 1, 2] * 5, "b": [1, 1, 0, 0] * 5}, [7])
    types = {"a": "discrete", "b": "discrete"}
    expected = read(whole, (), types)
    right = SymbolCounts.merge

    def counts_lost(one: SymbolCounts, other: SymbolCounts) -> SymbolCounts:
        merged = right(one, other)
        return SymbolCounts(merged.symbols, merged.columns, np.ones_like(merged.counts))

    def symbols_mixed_up(one: SymbolCounts, other: SymbolCounts) -> SymbolCounts:
        return right(one, SymbolCounts(one.symbols, other.columns, other.counts))

    second = write_part(tmp_path / "shifted.parquet", {"a": [2, 1, 5] * 4, "b": [0, 1, 1] * 4})
    for fault, pieces in ((counts_lost, parts), (symbols_mixed_up, [second, parts[0]])):
        assert_same_as = expected if pieces is parts else None
        good = stream(pieces, types=types).statistics
        if assert_same_as is not None:
            assert_same(good, assert_same_as)
        monkeypatch.setattr(SymbolCounts, "merge", fault)
        bad = stream(pieces, types=types).statistics
        monkeypatch.setattr(SymbolCounts, "merge", right)
        assert (good.counts.tolist(), [c.tolist() for c in good.columns]) != (
            bad.counts.tolist(),
            [c.tolist() for c in bad.columns],
        )


def test_batches_do_not_change_moments(tmp_path, monkeypatch) -> None:
    part = write_part(tmp_path / "p.parquet", {"a": (random(5000) + 3).tolist(), "b": range(5000)})
    monkeypatch.setattr(bounds.streaming.tasks, "BATCH_BYTES", 1)
    assert_same(stream(part).statistics, read(part))
