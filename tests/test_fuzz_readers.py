"""Mutated files of every format give data or one line; benchmarks/fuzz.py runs 10,000 of each."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import fuzz

from bounds.damage import shortened

COUNT = 100
LIBRARIES = {"parquet": ("pyarrow",), "pt": ("torch",), "h5mu": ("h5py",)}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of memory need Linux")
@pytest.mark.parametrize("name", fuzz.FORMATS)
def test_mutated_files_give_data_or_one_line(name: str) -> None:
    for library in LIBRARIES.get(name, ()):
        pytest.importorskip(library, reason=f"{library} is not installed: {name} files are not fuzzed")
    # Other files than those of the benchmark's default seed.
    found = fuzz.run(name, COUNT, seed=1)
    assert found.findings == []
    assert found.counts.total() == COUNT
    # Mutations are neither without effect nor always fatal in the same place.
    assert found.counts["refused"] > COUNT // 2


@pytest.mark.parametrize("name", ["npz", "csv", "images", "evaluation json"])
def test_files_are_the_same_every_time(name: str) -> None:
    files = [[fuzz.mutated(name, n, [make() for make in fuzz.FORMATS[name].seeds]) for n in range(30)] for _ in "ab"]
    assert files[0] == files[1]
    assert len(set(files[0])) > 20


#: What a reader might do, and what the fuzzer says of it.
FAULTS = {
    "raises": ("raise KeyError('x')", "KeyError"),
    "many lines": ("from bounds.errors import InputError\n    raise InputError('a\\nb')", "many lines"),
    "endless message": ("from bounds.errors import InputError\n    raise InputError('x' * 5000)", "5000 characters"),
    "memory": ("bytearray(1 << 40)", "MemoryError"),
    "stops": ("import os\n    os._exit(3)", "the process stopped with 3"),
    "hangs": ("import time\n    time.sleep(60)", "not read within"),
    "executes": ("import os\n    os.makedirs('marker', exist_ok=True)", "something was executed"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_reader_with_a_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A reader that is right for the first file of a child, and has a fault from then on."""
    body, expected = FAULTS[name]
    (tmp_path / "sitecustomize.py").write_text(
        "import bounds.readers as readers\n"
        "right, calls = readers.read, []\n"
        "def read(path):\n"
        "    calls.append(path)\n"
        "    if len(calls) == 1:\n"
        "        return right(path)\n"
        f"    {body}\n"
        "readers.read = read\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(fuzz, "SECONDS", 1.0)
    found = fuzz.run("csv", 1)
    assert [what.partition(":")[0][: len(expected)] for _, what in found.findings] == [expected]


def test_the_payloads_would_leave_their_marker(tmp_path: Path) -> None:
    """Loaded without care, the files that carry code do what they should not."""
    import io

    import numpy as np

    with pytest.raises(FileNotFoundError):
        os.rmdir(tmp_path / "marker")
    body = io.BytesIO()
    np.save(body, np.array([fuzz.Leaves(str(tmp_path / "marker"))], dtype=object), allow_pickle=True)
    body.seek(0)
    np.load(body, allow_pickle=True)  # the one place where this is meant
    os.rmdir(tmp_path / "marker")


@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\x0b", "\x1c", "\u2028"])
def test_whatever_breaks_lines_breaks_no_message(breaks):
    assert len(shortened(f"a name{breaks}of a file").splitlines()) == 1
