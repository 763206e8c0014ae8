"""Files to datasets and laws: what is read, and every file that is refused."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from bounds.column_mapping import assign
from bounds.errors import InputError
from bounds.joints import Discrete, Gaussian
from bounds.readers import read
from bounds.samples import Samples
from bounds.tables import _connect

SUFFIXES = (".npz", ".csv", ".parquet")
N = 60
RNG = np.random.default_rng(0)
FLOATS, OTHERS = RNG.normal(size=(2, N))
CODES = RNG.integers(0, 4, N)
TEXT = np.array(["b c", "ä", "日本", 'q"']).astype(np.str_)[CODES]


def write(path: Path, columns: Mapping[str, Any]) -> Path:
    """The same columns in the format of the suffix, each by a writer that is not ours."""
    if path.suffix == ".npz":
        np.savez(path, **columns)
    elif path.suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True))
    else:
        parquet.write_table(pa.table(dict(columns)), path)
    return path


def dataset(path: Path, modalities: Sequence[str] = (), **types: str) -> Samples:
    data = read(path, modalities, types)
    assert isinstance(data, Samples)
    return data


def same(a: Samples, b: Samples) -> bool:
    return (
        a.layout == b.layout
        and a.alphabets == b.alphabets
        and all(np.array_equal(x, y) for x, y in zip(a.columns, b.columns, strict=True))
    )


# What is read


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_modality_per_column(tmp_path: Path, suffix: str) -> None:
    columns = {
        "floats": FLOATS,
        "ganze Zahl": CODES,
        'größe\'s "x"': TEXT,
        "flag": CODES > 1,
        "big": 2**62 + np.arange(N),
    }
    path = write(tmp_path / f"data{suffix}", columns)
    data = dataset(path, big="discrete")
    assert same(data, Samples.from_arrays(columns, {"big": "discrete"}))
    assert data.names == tuple(columns)
    assert data.types == ("continuous", "discrete", "discrete", "discrete", "discrete")
    assert data.alphabets[-1] == N
    assert data.source == path.name


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_to_modalities(tmp_path: Path, suffix: str) -> None:
    names = ["id", "px_0", "px_1", "x,y", "w0", "w1", "w2", "Label"]
    columns = {name: FLOATS + i for i, name in enumerate(names)}
    columns["Label"] = CODES
    path = write(tmp_path / f"data{suffix}", columns)
    specs = ["text=w0:w2", "image = px_* , x?y", "label=Label"]
    data = dataset(path, specs, w1="discrete")
    assert data.names == ("text", "image", "label")
    assert data.types == ("mixed", "continuous", "discrete")
    assert data.layout.unit_names == ("w0", "w1", "w2", "image[0]", "image[1]", "image[2]", "label")
    for column, name in zip(data.columns, ["w0", "w1", "w2", "px_0", "px_1", "x,y", "Label"], strict=True):
        expected = columns[name] if name != "w1" else np.argsort(np.argsort(columns[name]))
        if name != "Label":
            np.testing.assert_array_equal(column, expected)


texts = st.text('abcλ,;" \n|é#\\', min_size=1, max_size=5)
columns_strategy = st.integers(2, 12).flatmap(
    lambda rows: st.dictionaries(
        st.text("abcXλ _.[]-'\"*?", min_size=1, max_size=6).map(str.strip).filter(bool),
        st.one_of(
            st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=rows, max_size=rows),
            st.lists(st.integers(-(2**63), 2**63 - 1), min_size=rows, max_size=rows),
            st.lists(st.integers(0, 3), min_size=rows, max_size=rows),
            st.lists(st.booleans(), min_size=rows, max_size=rows),
            st.lists(texts, min_size=rows, max_size=rows),
        ).map(np.array),
        min_size=1,
        max_size=4,
    )
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(columns=columns_strategy, declare=st.booleans())
@settings(max_examples=60)
def test_round_trip(suffix: str, columns: dict[str, np.ndarray], declare: bool) -> None:
    """A file gives what its arrays give: the same dataset or the same complaint."""
    types = dict.fromkeys(columns, "discrete") if declare else {}
    if suffix == ".csv" and not declare:  # text columns that look like damaged numbers are tested below
        types = {name: "discrete" for name, values in columns.items() if values.dtype.kind == "U"}
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"data{suffix}", columns)
        try:
            expected = Samples.from_arrays(columns, types)
        except InputError as error:
            with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {error}')}$"):
                read(path, types=types)
        else:
            assert same(dataset(path, **types), expected)


def test_npz_arrays_of_any_shape_are_chosen_and_renamed(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    image = RNG.normal(size=(N, 2, 2))
    np.savez_compressed(path, im=np.asfortranarray(image), w_a=FLOATS.astype(">f4"), w_b=CODES, rest=np.zeros(3))
    data = dataset(path, ["image=im", "words=w_*"])
    assert data.layout.unit_names == ("image[0]", "image[1]", "image[2]", "image[3]", "w_a", "w_b")
    np.testing.assert_array_equal(np.column_stack(data.columns[:4]), image.reshape(N, 4))
    np.testing.assert_array_equal(data.columns[4], FLOATS.astype(np.float32))


def test_pmf(tmp_path: Path) -> None:
    table = np.array([[0.5, 0.0], [0.25, 0.25]])
    np.savez(tmp_path / "law.npz", pmf=table)
    law = read(tmp_path / "law.npz")
    assert isinstance(law, Discrete)
    np.testing.assert_array_equal(law.pmf, table)
    np.savez(tmp_path / "law.npz", pmf=np.full((2, 2, 2), 0.125), sizes=[1, 2], units="scalar", names=["image", "täxt"])
    law = read(tmp_path / "law.npz")
    assert isinstance(law, Discrete)
    assert law.names == ("image", "täxt")
    assert law.layout.unit_names == ("image", "täxt[0]", "täxt[1]")


def test_cov(tmp_path: Path) -> None:
    np.savez(tmp_path / "LAW.NPZ.npz", cov=np.eye(3), sizes=np.array([1, 2]), units=np.array([1, 1, 1]))
    os.rename(tmp_path / "LAW.NPZ.npz", tmp_path / "LAW.NPZ")
    law = read(tmp_path / "LAW.NPZ")
    assert isinstance(law, Gaussian)
    assert law.layout.sizes == (1, 2)
    assert law.layout.unit_sizes == (1, 1, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x\n2,y\n4,x\n",
        b"\xef\xbb\xbfa,b\n1,x\n2,y\n4,x\n",
        b"a,b\r\n1,x\r\n2,y\r\n4,x\r\n",
        b"a,b\r1,x\r2,y\r4,x\r",
        b"a;b\n1;x\n2;y\n4;x\n",
        b"a\tb\n1\tx\n2\ty\n4\tx",
        b"a|b\n1|x\n2|y\n4|x",
        b'"a", b\n"1","x"\n2,y\n 4,x\n',
        b"a,b\n1.0,x\n2e0,y\n+4,x\n\n",
        b"c,a,b\n#,1,x\n?,2,y\nNA,4,x\n",
    ],
)
def test_csv_dialects(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    data = dataset(tmp_path / "data.csv", ["a=a", "b=b"])
    assert [column.tolist() for column in data.columns] == [[1.0, 2.0, 4.0], [0, 1, 0]]


def test_csv_columns_that_are_not_chosen_may_be_anything(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b",when,gaps,a\n0,2020-01-01,,1.5\n1,2020-01-02,NA,2.5\n2,2020-01-03,3,9.5\n")
    assert dataset(tmp_path / "data.csv", ["a=a"]).columns[0].tolist() == [1.5, 2.5, 9.5]


def test_csv_more_columns_than_one_query_counts(tmp_path: Path) -> None:
    columns = {f"c{i}": FLOATS + i for i in range(600)}
    data = dataset(write(tmp_path / "data.csv", columns), ["a=c*"])
    np.testing.assert_array_equal(np.column_stack(data.columns), np.column_stack(list(columns.values())))


def test_csv_symbols_that_look_like_numbers_or_dates_can_be_declared(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"a,b,c\n1,2020-01-01,1.5\n1A,2021-01-01,2.5\n2,2020-01-01,1.5\n")
    data = dataset(tmp_path / "data.csv", a="discrete", b="discrete", c="discrete")
    assert [column.tolist() for column in data.columns] == [[0, 1, 2], [0, 1, 0], [0, 1, 0]]


def test_csv_whole_numbers_with_an_exponent_are_floats(tmp_path: Path) -> None:
    values = np.array([2e17, 3e17, 4e18])
    assert dataset(write(tmp_path / "data.csv", {"a": values})).columns[0].tolist() == values.tolist()


#: More digits than an int64, and two numbers that are one as a double.
HUGE = [10**30 + int(c) for c in CODES]


def huge_csv(path: Path) -> Path:
    path.write_text("a,b\n" + "".join(f"{value},{x}\n" for value, x in zip(HUGE, FLOATS, strict=True)))
    return path


def huge_parquet(path: Path) -> Path:
    parquet.write_table(pa.table({"a": pa.array([Decimal(v) for v in HUGE], pa.decimal128(38, 0)), "b": FLOATS}), path)
    return path


@pytest.mark.parametrize(("write_huge", "suffix"), [(huge_csv, ".csv"), (huge_parquet, ".parquet")])
def test_whole_numbers_beyond_64_bits(tmp_path: Path, write_huge: Callable[[Path], Path], suffix: str) -> None:
    path = write_huge(tmp_path / f"data{suffix}")
    with pytest.raises(
        InputError, match=r"data\.\w+: column 'a' holds whole numbers beyond 64 bits, which lose digits"
    ):
        read(path)
    exact = dataset(path, a="discrete")
    np.testing.assert_array_equal(exact.columns[0], CODES)
    rounded = np.array(HUGE, dtype=float)
    assert len(np.unique(rounded)) == 1  # what would have been read without a word
    with pytest.raises(InputError, match="'a' is constant, so it has no density"):
        read(path, types={"a": "continuous"})


@pytest.mark.parametrize("last", [2**63, -(2**63) - 1, 2**64])
def test_one_value_beyond_64_bits_is_enough(tmp_path: Path, last: int) -> None:
    values = [*range(1, N), last]
    (tmp_path / "data.csv").write_text("a\n" + "".join(f"{v:+d} \n" for v in values))
    with pytest.raises(InputError, match="whole numbers beyond 64 bits"):
        read(tmp_path / "data.csv")
    found = dataset(tmp_path / "data.csv", a="continuous").columns[0]
    np.testing.assert_array_equal(found, np.array([float(v) for v in values]))


def test_decimals_without_a_fraction_are_whole(tmp_path: Path) -> None:
    values = [Decimal(2**53 + int(i)) for i in range(N)]
    parquet.write_table(pa.table({"a": pa.array(values, pa.decimal128(30, 0))}), tmp_path / "data.parquet")
    with pytest.raises(InputError, match=r"column 'a' holds whole numbers beyond 2\^53"):
        read(tmp_path / "data.parquet")
    assert dataset(tmp_path / "data.parquet", a="discrete").alphabets == (N,)


def test_parquet_types(tmp_path: Path) -> None:
    rows = range(N)
    table = {
        "f16": pa.array(FLOATS.astype(np.float16)),
        "f32": pa.array(FLOATS.astype(np.float32)),
        "i8": pa.array(CODES.astype(np.int8)),
        "u64": pa.array([2**64 - 1 - int(c) for c in CODES], pa.uint64()),
        "money": pa.array([Decimal(i) / 4 + i * i for i in rows]),
        "count": pa.array([Decimal(int(c)) for c in CODES], pa.decimal128(30, 0)),
        "category": pa.array(TEXT).dictionary_encode(),
        "day": pa.array([date(2020, 1, 1) + timedelta(int(c)) for c in CODES]),
    }
    parquet.write_table(pa.table(table), tmp_path / "data.parquet")
    data = dataset(tmp_path / "data.parquet", day="discrete")
    assert data.alphabets == (0, 0, 4, 4, 0, 4, 4, 4)
    np.testing.assert_array_equal(data.columns[1], FLOATS.astype(np.float32))
    np.testing.assert_array_equal(data.columns[3], 3 - CODES)
    np.testing.assert_array_equal(data.columns[4], [i / 4 + i * i for i in rows])
    np.testing.assert_array_equal(data.columns[6], np.unique(TEXT, return_inverse=True)[1])
    np.testing.assert_array_equal(data.columns[7], CODES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_differ_in_case_alone(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"data{suffix}", {"a": FLOATS, "A": OTHERS, "a_1": CODES})
    data = dataset(path)
    assert data.names == ("a", "A", "a_1")
    np.testing.assert_array_equal(data.columns[1], OTHERS)


def test_parquet_names_among_nested_columns(tmp_path: Path) -> None:
    nested = [{"p": [1], "q": {"r": 2}}] * N
    columns = {"A": FLOATS, "s": nested, "a": OTHERS, "m": [[1]] * N, "S": CODES}
    parquet.write_table(pa.table(columns), tmp_path / "data.parquet")
    data = dataset(tmp_path / "data.parquet", ["x=a", "y=S"])
    np.testing.assert_array_equal(data.columns[0], OTHERS)
    assert data.types == ("continuous", "discrete")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "name", ["a b's", "star*", "q?", "set[1]", "year=2020/part", "back\\slash", "~home", "grün", "semi;colon", '"']
)
def test_odd_paths_are_taken_as_they_are(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"{name}{suffix}"
    path.parent.mkdir(exist_ok=True)
    write(tmp_path / f"plain{suffix}", {"a": CODES}).rename(path)
    for decoy in ("star1", "qq", "set1"):
        (tmp_path / f"{decoy}{suffix}").write_text("not what is meant")
    assert dataset(path).names == ("a",)


def test_relative_paths_and_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "data.csv", {"a": CODES})
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "data.csv")
    monkeypatch.chdir(tmp_path / "folder")
    assert same(dataset(Path("../data.csv")), dataset(Path("../link.csv")))


# What is refused


def npy(array: np.ndarray, shape: tuple[int, ...] | None = None, version: tuple[int, int] = (1, 0)) -> bytes:
    """The bytes of an array, with another shape in the header if given."""
    header = np.lib.format.header_data_from_array_1_0(array)
    header["shape"] = array.shape if shape is None else shape
    file = io.BytesIO()
    write_header = np.lib.format.write_array_header_1_0 if version == (1, 0) else np.lib.format.write_array_header_2_0
    write_header(file, header)
    return file.getvalue() + array.tobytes()


def archive(**members: bytes) -> Callable[[Path], None]:
    """A writer of a .zip whose members are arrays by name."""

    def write_archive(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(f"{name}.npy", content)

    return write_archive


def npz(**arrays: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **arrays)


def table(**columns: Any) -> Callable[[Path], None]:
    return lambda path: parquet.write_table(pa.table(columns), path)


def truncated(of: Callable[[Path], None]) -> Callable[[Path], None]:
    def write_half(path: Path) -> None:
        of(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return write_half


def twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", npy(CODES))
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.npy", npy(CODES))


def encrypted(path: Path) -> None:
    archive(a=npy(CODES))(path)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))


def lying_about_size(path: Path) -> None:
    """The directory says that a member is a gigabyte, its header agrees, and nothing is there."""
    archive(a=npy(CODES[:0], shape=(2**27,)))(path)
    content = bytearray(path.read_bytes())
    size = (128 + 2**30).to_bytes(4, "little")
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.index(signature) + offset
        content[start : start + 4] = size
    path.write_bytes(bytes(content))


def foreign_member(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("notes.txt", "hello")


NPZ: dict[str, tuple[Callable[[Path], None], str]] = {
    "no zip": (lambda path: path.write_bytes(b"hello world") and None, r"is not a complete \.npz archive \(File is"),
    "an npy": (lambda path: path.write_bytes(npy(CODES)) and None, r"is not a complete \.npz archive"),
    "truncated": (truncated(npz(a=FLOATS, b=CODES)), r"is not a complete \.npz archive"),
    "no arrays": (npz(), r"there are no arrays"),
    "foreign member": (foreign_member, r"'notes\.txt' in the archive is no \.npy array: write the file with"),
    "twice": (twice, r"array 'a' is in the file twice"),
    "encrypted": (encrypted, r"array 'a' is damaged \(.*encrypted"),
    "no header": (archive(a=b"hello"), r"array 'a' has a damaged header: write the file again"),
    "empty member": (archive(a=b""), r"array 'a' has a damaged header"),
    "header is code": (archive(a=npy(CODES).replace(b"(60,)", b"f(0) ")), r"array 'a' has a damaged header"),
    "header nests": (archive(a=npy(CODES).replace(b"(60,),", b"(" * 60)), r"array 'a' has a damaged header"),
    "unknown version": (archive(a=npy(CODES).replace(b"NUMPY\x01", b"NUMPY\x09")), r"array 'a' has a damaged header"),
    "huge header": (archive(a=npy(CODES, version=(2, 0))[:8] + b"\xff\xff\xff\x7f" + b" " * 2**20), r"damaged header"),
    "negative shape": (archive(a=npy(CODES, shape=(-60,))), r"array 'a' has a damaged header \(shape \(-60,\)"),
    "shape too large": (
        archive(a=npy(CODES, shape=(61,))),
        r"array 'a' is damaged: its header declares the shape \(61",
    ),
    "shape too small": (archive(a=npy(CODES, shape=(59,))), r"array 'a' is damaged: its header declares the shape"),
    "65 axes": (archive(a=npy(CODES, shape=(1,) * 64 + (60,))), r"array 'a' has a damaged header"),
    "empty text": (archive(a=npy(CODES[:0], shape=(9,)).replace(b"<i8", b"<U0")), r"array 'a' has a damaged header"),
    "beyond memory": (
        archive(a=npy(CODES, shape=(2**60,))),
        r"array 'a' \(1152921504606846976\) needs .* GiB .* are free",
    ),
    "pmf beyond memory": (
        archive(pmf=npy(FLOATS, shape=(2,) * 50)),
        r"array 'pmf' \(50 axes\) needs 8.39e\+06 GiB and",
    ),
    "lying about size": (lying_about_size, r"array 'a' is damaged"),
    "objects": (npz(a=np.array([1, "a"], dtype=object)), r"array 'a' holds pickled Python objects, which are never"),
    "objects in a record": (npz(a=np.zeros(2, dtype=[("x", "O")])), r"array 'a' holds pickled Python objects"),
    "record": (npz(a=np.zeros(2, dtype=[("x", "f8")])), r"column 'a' holds records"),
    "impossible text": (
        archive(a=npy(np.frombuffer(b"\xff" * 8, "<i4")).replace(b"<i4", b"<U1")),
        r"'a' .* do not exist",
    ),
    "complex": (npz(a=FLOATS + 1j), r"column 'a' holds complex numbers"),
    "nan": (npz(a=np.where(CODES == 0, np.nan, FLOATS)), rf"column 'a' is NaN or infinite in {sum(CODES == 0)} of 60"),
    "lengths": (npz(a=CODES, b=CODES[1:]), r"modality 'a' has 60 rows and 'b' has 59"),
    "single value": (npz(a=3.0), r"modality 'a' is a single value"),
    "one row": (npz(a=FLOATS[None]), r"modality 'a' has one row"),
    "no rows": (npz(a=FLOATS[:0]), r"modality 'a' has no rows"),
    "constant": (npz(a=np.ones(9)), r"column 'a' is constant"),
    "both laws": (npz(pmf=[0.5, 0.5], cov=np.eye(2)), r"array 'cov' beside 'pmf': a law has pmf, sizes, units, names"),
    "law and more": (npz(cov=np.eye(2), mean=np.zeros(2)), r"array 'mean' beside 'cov': a law has cov, sizes"),
    "pmf is text": (npz(pmf=["a", "b"]), r"array 'pmf' has shape \(2,\) of type <U1: give numbers"),
    "pmf is pickled": (npz(pmf=np.array([0.5, 0.5], dtype=object)), r"array 'pmf' holds pickled Python objects"),
    "names are numbers": (npz(pmf=np.eye(2) / 2, names=[1, 2]), r"array 'names' .*: give a list of text"),
    "sizes are floats": (npz(cov=np.eye(2), sizes=[1.0, 1.0]), r"array 'sizes' .*: give a list of whole numbers"),
    "units are a table": (npz(cov=np.eye(2), units=[[1], [1]]), r"array 'units' .*: give a list of whole numbers"),
    "units are a word": (npz(cov=np.eye(2), units="each"), r"units='each'"),
    "sizes": (npz(cov=np.eye(3), sizes=[1, 1]), r"sizes=\[1, 1\] add up to 2, but there are 3 variables"),
    "negative pmf": (npz(pmf=[1.5, -0.5]), r"the pmf is negative at \(1,\)"),
    "pmf sums to two": (npz(pmf=[1.0, 1.0]), r"the pmf sums to 2, not to 1"),
    "indefinite": (npz(cov=[[1.0, 2.0], [2.0, 1.0]]), r"the covariance is indefinite"),
}


def text(content: str | bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode()) and None


CSV: dict[str, tuple[Callable[[Path], None], str]] = {
    "long row": (
        text("a,b\n1,2\n3,4,5\n"),
        r"not a well-formed \.csv .*\(line 3: Expected Number of Columns: 2 Found: 3\)",
    ),
    "short row": (text("a,b\n1,2\n3\n"), r"\(line 3: Expected Number of Columns: 2 Found: 1\)"),
    "open quote": (text('a,b\n1,"x\n3,4\n'), r"line 2: .*unterminated quote"),
    "open quote in header": (text('a,"b\n1,2\n'), r"a quote in the first line is not closed"),
    "latin-1 header": (text("a,größe\n1,2\n".encode("latin-1")), r"is not UTF-8 text: save it with that encoding"),
    "latin-1 rows": (text(b"a,b\n" + b"1,2\n" * 9000 + b"1,\xe4\n"), r"line 9002: Invalid unicode"),
    "utf-16": (text("a,b\n1,2\n".encode("utf-16")), r"is not UTF-8 text"),
    "binary": (text(bytes(range(256)) * 9), r"is not UTF-8 text"),
    "empty": (text(""), r"the file is empty"),
    "only a mark": (text(b"\xef\xbb\xbf"), r"the first line is blank"),
    "blank": (text("\n1,2\n"), r"the first line is blank: it must hold the column names"),
    "header only": (text("a,b\n"), r"has column names but no rows"),
    "header only, no newline": (text("a,b"), r"has column names but no rows"),
    "one row": (text("a,b\n1,2\n"), r"modality 'a' has one row"),
    "no header": (text("1.5,2\n2.5,3\n"), r"the first line \(1\.5, \.\.\.\) looks like data: it must hold the column"),
    "no header, whole": (text("3,1\n2,3\n"), r"looks like data"),
    "endless line": (text("a" * 3_000_000), r"the first line is longer than"),
    "column twice": (text("a,b,a\n1,2,3\n4,5,6\n"), r"column 'a' is in the file twice: column names must differ"),
    "no name": (text(",a\n0,1\n1,2\n"), r"column 1 has no name \(a saved index\?\): remove it, or choose others"),
    "odd name": (text("a,x=y\n0,1\n1,2\n"), r"column 'x=y' cannot give its name to a modality.* 'name=x=y'"),
    "constant": (text("a,b\n1,2\n1,3\n"), r"column 'a' is constant"),
    "missing": (text("a,b\n1,2\n,3\n3,\n"), r"column 'a' is missing in 1 of 3 rows: drop these rows"),
    "missing text": (text('a,b\nx,2\n"",3\ny,5\n,6\n'), r"column 'a' is missing in 2 of 4 rows"),
    "missing as blank line": (text("a\n1\n\n3\n"), r"column 'a' is missing in 1 of 3 rows"),
    "nan": (text("a,b\n1.5,2\nnan,3\n"), r"column 'a' is NaN or infinite in 1 of 2 rows"),
    "inf": (text("a,b\n1.5,2\n-inf,3\n1e999,3\n"), r"column 'a' is NaN or infinite in 2 of 3 rows"),
    "NA": (
        text("a,b\n1.5,2\nNA,3\n2.5,4\n"),
        r"column 'a' has 1 of 3 values that are no plain numbers, such as 'NA': correct",
    ),
    "decimal comma": (
        text("a;b\n1,5;2\n2,5;3\n"),
        r"column 'a' has 2 of 2 values that are no plain numbers, such as '1,5'",
    ),
    "date": (text("a,b\n2020-01-01,2\n2020-01-02,3\n"), r"column 'a' holds dates or times: convert it to numbers"),
    "time": (text("a,b\n12:30:00,2\n12:31:00,3\n"), r"column 'a' holds dates or times"),
    "timestamp": (text("a,b\n2020-01-01T12:00:00,2\n2020-01-01T13:00:00,3\n"), r"column 'a' holds dates or times"),
    "mixed line ends": (text("a,b\r\n1,2\n3,4\r\n"), r"is not a well-formed \.csv"),
}

DAYS = [date(2020, 1, 1), date(2020, 1, 2)]

PARQUET: dict[str, tuple[Callable[[Path], None], str]] = {
    "no parquet": (text("hello world, this is text"), r"is not a complete \.parquet file"),
    "truncated": (truncated(table(a=FLOATS, b=CODES)), r"is not a complete \.parquet file"),
    "empty": (text(""), r"the file is empty"),
    "no rows": (table(a=FLOATS[:0]), r"has column names but no rows"),
    "one row": (table(a=[1.5]), r"modality 'a' has one row"),
    "missing": (table(a=[1.5, None, 2.5]), r"column 'a' is missing in 1 of 3 rows"),
    "missing text": (table(a=["x", None, None]), r"column 'a' is missing in 2 of 3 rows"),
    "all missing": (table(a=pa.nulls(3)), r"column 'a' is missing in (all|3 of 3) rows"),
    "nan": (table(a=[1.5, float("nan"), 2.5]), r"column 'a' is NaN or infinite in 1 of 3 rows"),
    "constant": (table(a=[1, 1]), r"column 'a' is constant"),
    "date": (table(a=DAYS), r"column 'a' holds dates or times: convert it to numbers"),
    "time": (table(a=[time(1), time(2)]), r"column 'a' holds dates or times"),
    "timestamp": (table(a=pa.array(DAYS).cast(pa.timestamp("us", "UTC"))), r"column 'a' holds dates or times"),
    "list": (table(a=[[1, 2], [3, 4]]), r"column 'a' has the type BIGINT\[\]: give a column of numbers or text for"),
    "struct": (table(a=[{"x": 1}, {"x": 2}]), r"column 'a' has the type STRUCT"),
    "bytes": (table(a=[b"x", b"y"]), r"column 'a' has the type BLOB"),
    "odd name": (table(**{"x|y": CODES}), r"column 'x\|y' cannot give its name to a modality"),
    "column twice": (
        lambda path: parquet.write_table(pa.Table.from_arrays([pa.array(CODES)] * 2, ["a", "a"]), path),
        r"column 'a' is in the file twice",
    ),
}

FILES = [
    pytest.param(suffix, make, message, id=f"{suffix[1:]}-{case}")
    for suffix, cases in ((".npz", NPZ), (".csv", CSV), (".parquet", PARQUET))
    for case, (make, message) in cases.items()
]


@pytest.mark.parametrize(("suffix", "make", "message"), FILES)
def test_a_bad_file_is_refused_in_one_line(
    tmp_path: Path, suffix: str, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / f"bad{suffix}"
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.csv: there is no such file"):
        read(tmp_path / "data.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: is a directory: give a file"):
        read(tmp_path / "folder.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match=r"pipe\.csv: is not a regular file"):
        read(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="is not valid text: rename it"):
        read(str(tmp_path / "\udcff.csv"))
    for name, suffix in (("data.pkl", ".pkl"), ("data", ""), ("data.csv.gz", ".gz")):
        with pytest.raises(InputError, match=rf"{name}: there is no such file or folder"):
            read(tmp_path / name)
        (tmp_path / name).touch()
        with pytest.raises(InputError, match=rf"unknown suffix '{suffix}': supported are \.npz, \.csv, \.parquet"):
            read(tmp_path / name)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "data.csv", {"a": CODES})

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    with pytest.raises(InputError, match=r"data\.csv: cannot be read \(Permission denied\)"):
        read(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_too_large_for_memory_is_said_before_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = write(tmp_path / f"data{suffix}", {"a": FLOATS, "b": OTHERS})
    monkeypatch.setattr("bounds.memory.available_bytes", lambda: 1500)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("bounds.npz.read_array", fail)
    monkeypatch.setattr("bounds.tables._fetch", fail)
    with pytest.raises(InputError, match=r"needs .* GiB are free: choose fewer"):
        read(path)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["image"], r"modality 'image': write name=columns, such as 'image=px_\*' or"),
        (["=px_0"], r"modality '=px_0': write name=columns"),
        (["image="], r"modality 'image=': write name=columns"),
        (["a|b=px_0"], r"modality name 'a\|b': use a nonempty string"),
        (["a=w0", "a=w1"], r"modality 'a' is given twice: list its columns in one, separated by commas"),
        (["a=px0"], r"there is no column 'px0': did you mean 'px_0'.*\? Known are px_0, .*w0"),
        (["a=w0,,w1"], r"there is no column ''"),
        (["a=im_*"], r"no column matches 'im_\*': known are id, "),
        (["a=w0:w9"], r"there is no column 'w9' for the range 'w0:w9': known are"),
        (["a=:w1"], r"there is no column '' for the range ':w1'"),
        (["a=w2:w0"], r"the range 'w2:w0' is reversed: in the file 'w0' comes first, write w0:w2"),
        (["a=w0,w0"], r"column 'w0' is twice in modality 'a': name it once"),
        (["a=w*,w1"], r"column 'w1' is twice in modality 'a'"),
        (["a=w0:w1", "b=w1:w2"], r"column 'w1' is in 'a' and in modality 'b': name it once"),
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bad_modalities(tmp_path: Path, suffix: str, specs: list[str], message: str) -> None:
    names = ["id", "px_0", "px_1", "w0", "w1", "w2"]
    path = write(tmp_path / f"data{suffix}", dict.fromkeys(names, FLOATS))
    with pytest.raises(InputError, match=message.replace("column", "array") if suffix == ".npz" else message):
        read(path, specs)


def test_names_are_taken_as_they_are_before_they_are_read_as_patterns() -> None:
    known = ["a:b", "a", "b", "x*", "xy", "p,q", "c:d", "e"]
    assert assign(["m=a:b", "n=x*", "o=p,q", "p=c:d:e"], known) == {"m": [0], "n": [3], "o": [5], "p": [6, 7]}
    assert assign(["m=a:b , e"], known) == {"m": [0, 7]}
    assert assign(["m=a=b"], ["a=b"]) == {"m": [0]}


def test_modalities_must_be_a_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"modalities='a=b': give a list of 'name=columns'"):
        read(tmp_path / "data.csv", "a=b")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bad_types(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"data{suffix}", {"a": FLOATS, "b": FLOATS})
    with pytest.raises(InputError, match="declared for 'c', which is no modality or column: known are a, b"):
        read(path, types={"c": "discrete"})
    with pytest.raises(InputError, match="the type of 'a' is declared as 'float'"):
        read(path, types={"a": "float"})


def test_a_law_has_no_modalities_to_choose(tmp_path: Path) -> None:
    np.savez(tmp_path / "law.npz", cov=np.eye(2))
    for options in ({"modalities": ["a=cov"]}, {"types": {"cov": "continuous"}}):
        with pytest.raises(InputError, match=r"holds a law \('cov'\)"):
            read(tmp_path / "law.npz", **options)  # type: ignore[arg-type]


# Safety


class Planted:
    """Creates a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("key", ["a", "pmf", "names"])
def test_nothing_is_unpickled(tmp_path: Path, key: str) -> None:
    mark = tmp_path / "unpickled"
    payload = np.array([Planted(mark), 0], dtype=object)
    arrays = {"pmf": np.eye(2) / 2, key: payload} if key == "names" else {key: payload}
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(InputError, match=f"array '{key}' holds pickled Python objects"):
        read(tmp_path / "data.npz")
    assert not mark.exists()
    with np.load(tmp_path / "data.npz", allow_pickle=True) as loaded:
        assert loaded[key][0] is None
    assert mark.exists()  # the trap works


def test_the_connection_reads_one_file_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "data.csv", {"a": CODES})
    write(tmp_path / "other.csv", {"a": CODES})
    connection = _connect(str(path))
    assert len(connection.execute("FROM read_csv($1)", [str(path)]).fetchall()) == N
    for forbidden in (
        f"FROM read_csv('{tmp_path}/other.csv')",
        f"FROM read_csv('{tmp_path}/*.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/new.csv'",
        f"ATTACH '{tmp_path}/new.db'",
        "FROM read_csv('https://localhost/data.csv')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(forbidden)
    connection.close()
    assert sorted(os.listdir(tmp_path)) == ["data.csv", "other.csv"]


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def mutations(content: bytes, count: int) -> Iterator[bytes]:
    """Truncations, and flips of one to five bytes."""
    rng = np.random.default_rng(0)
    for i in range(count):
        if i % 3 == 0:
            yield content[: rng.integers(len(content))]
            continue
        changed = bytearray(content)
        for position in rng.integers(len(content), size=rng.integers(1, 6)):
            changed[position] = rng.integers(256)
        yield bytes(changed)


def header_mutations(count: int) -> Iterator[bytes]:
    """Archives that are whole, so that a changed array header is seen and not only a wrong checksum."""
    rng = np.random.default_rng(0)
    characters = b"()[]{}',:0123456789-<>|=OUSVfiucMm\n \\eTFL#\x00"
    for _ in range(count):
        member = bytearray(npy(FLOATS))
        for position in rng.integers(90, size=rng.integers(1, 4)):
            member[position] = rng.choice(list(characters))
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as whole:
            whole.writestr("a.npy", bytes(member))
        yield file.getvalue()


@pytest.mark.parametrize("suffix", [*SUFFIXES, "header"])
def test_no_damage_escapes(tmp_path: Path, suffix: str) -> None:
    if suffix == "header":
        path, contents = tmp_path / "data.npz", header_mutations(300)
    else:
        path = write(tmp_path / f"data{suffix}", {"x": FLOATS, "k": CODES, "s": TEXT})
        contents = mutations(path.read_bytes(), 300)
    refusals = []
    for content in contents:
        path.write_bytes(content)
        with time_limit(20):
            try:
                assert isinstance(read(path), Samples)
            except InputError as error:
                refusals.append(str(error))
    assert len(refusals) > 150
    assert not any("\n" in refusal for refusal in refusals)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_interrupted_query_is_an_interrupt(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB says it in an error of its own."""

    def interrupted(*_: object) -> NoReturn:
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr("bounds.tables._fetch", interrupted)
    path = tmp_path / f"table.{suffix}"
    table = duckdb.sql("SELECT range AS a, range % 2 AS b FROM range(10)")
    getattr(table, f"write_{suffix}")(str(path))
    with pytest.raises(KeyboardInterrupt):
        read(path)
