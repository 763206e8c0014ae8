"""Mutated files for every reader: each must give data or one line that says what is wrong, in bounded time and memory.

    python benchmarks/fuzz.py                      # 10,000 files of each format; results/fuzz.json
    python benchmarks/fuzz.py --count 300 --only npz

A file is fixed by the seed, the format and its number. Files are read in child processes, thousands in each, whose
address space is limited; a child that stops, or reads one file for too long, is a finding about that file. Files that
carry code would leave a marker.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import platform
import resource
import selectors
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import harness
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "fuzz.json"
LIBRARIES = ("numpy", "duckdb", "torch", "h5py", "pillow", "pyarrow")

#: Seconds for one file, and bytes of address space beyond what the libraries take.
SECONDS, BYTES = 60.0, 1 << 30
#: Characters of a refusal, without the name of the file.
LONGEST = 1000
SEED = 20


# Files that are right


def npz_file() -> bytes:
    rng, buffer = np.random.default_rng(0), io.BytesIO()
    np.savez_compressed(buffer, a=rng.normal(size=(60, 2)), b=rng.integers(0, 4, 60), c=np.array(["x", "ä"] * 30))
    return buffer.getvalue()


def law_file() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, pmf=np.full((2, 2, 2), 0.125), sizes=[1, 2], names=["image", "text"])
    return buffer.getvalue()


def csv_file() -> bytes:
    rng = np.random.default_rng(0)
    rows = [f'{x!r},{k},"t{k}",{k % 2}' for x, k in zip(rng.normal(size=60).tolist(), [*range(4)] * 15, strict=True)]
    return "\n".join(["a,b,c,d", *rows, ""]).encode()


def parquet_file() -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    rng, buffer = np.random.default_rng(0), io.BytesIO()
    columns = {
        "a": rng.normal(size=60),
        "b": rng.integers(0, 4, 60),
        "c": ["x", "y", "z"] * 20,
        "d": [True, False] * 30,
    }
    parquet.write_table(pa.table(columns), buffer, compression="snappy")
    return buffer.getvalue()


def pt_file() -> bytes:
    import torch

    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    torch.save(
        {
            "a": torch.from_numpy(rng.normal(size=(60, 2))),
            "b": torch.arange(60) % 4,
            "c": torch.arange(60.0).bfloat16(),
        },
        buffer,
    )
    return buffer.getvalue()


def h5mu_file() -> bytes:
    import h5py

    rng, buffer, cells = np.random.default_rng(0), io.BytesIO(), [f"c{i}" for i in range(30)]

    def index(group: Any, table: str, names: list[str]) -> None:
        found = group.create_group(table)
        found.attrs["_index"] = "_index"
        found["_index"] = np.array(names, dtype=object)

    with h5py.File(buffer, "w") as file:
        index(file, "obs", cells)
        for name in ("rna", "prot"):
            group = file.create_group(f"mod/{name}")
            index(group, "obs", cells)
            index(group, "var", [f"{name}{i}" for i in range(3)])
            file[f"obsmap/{name}"] = np.arange(1, 31, dtype=np.uint32)
            file[f"obsm/{name}"] = np.ones(30, dtype=bool)
        file["mod/rna"].create_dataset("X", data=rng.normal(size=(30, 3)), chunks=(10, 3), compression="gzip")
        stored = file.create_group("mod/prot/X")
        stored.attrs["encoding-type"], stored.attrs["shape"] = "csr_matrix", np.array([30, 3])
        stored["data"], stored["indices"] = rng.integers(1, 3, 60), np.tile([0, 1, 1, 2], 15)
        stored["indptr"] = np.arange(0, 61, 2)
    return buffer.getvalue()


def image_file(kind: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def evaluation_fields() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "kind": "discrete",
        "modalities": ["x", "y"],
        "subsets": ["x", "y"],
        "weights": [0.5, 0.5],
        "log_likelihood": (-2 + 0.1 * rng.normal(size=(2, 100, 2))).round(3).tolist(),
        "kl": (0.1 + 0.01 * rng.random(size=(2, 100))).round(3).tolist(),
        "objective": "own-density",
        "draws": 1,
    }


def evaluation_json() -> bytes:
    return json.dumps(evaluation_fields()).encode()


def evaluation_npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.array(value) for name, value in evaluation_fields().items()})
    return buffer.getvalue()


# Mutations: of any bytes, and of those in which a format keeps sizes, nests or carries code


class Leaves:
    """Leaves a marker when it is unpickled."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.marker,)


def flips(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def noise(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
    return bytes(changed)


def truncated(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def a_chunk(content: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = int(rng.integers(len(content)))
    return start, min(len(content), start + 1 + int(rng.integers(1 << int(rng.integers(1, 10)))))


def duplicated(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = a_chunk(content, rng)
    return content[:stop] + content[start:stop] * int(rng.integers(1, 50)) + content[stop:]


def deleted(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = a_chunk(content, rng)
    return content[:start] + content[stop:]


def spliced(content: bytes, rng: np.random.Generator) -> bytes:
    """A chunk of the file, written over another place."""
    start, stop = a_chunk(content, rng)
    place = int(rng.integers(len(content)))
    return content[:place] + content[start:stop] + content[place + stop - start :]


def huge_size(content: bytes, rng: np.random.Generator) -> bytes:
    """A number of 2, 4 or 8 bytes set to what a size hardly is."""
    width = int(rng.choice([2, 4, 8]))
    number = [1 << 8 * width - 1, (1 << 8 * width) - 1, (1 << 8 * width - 1) - 1, 1 << 4 * width, 0][rng.integers(5)]
    place = int(rng.integers(max(1, len(content) - width)))
    return content[:place] + number.to_bytes(width, str(rng.choice(["little", "big"]))) + content[place + width :]  # type: ignore[arg-type]


def huge_digits(content: bytes, rng: np.random.Generator) -> bytes:
    """A number in text made long."""
    places = [i for i, byte in enumerate(content) if 48 <= byte <= 57]
    if not places:
        return flips(content, rng)
    place = places[int(rng.integers(len(places)))]
    return content[:place] + b"9" * int(rng.integers(1, 400)) + content[place:]


Mutation = Callable[[bytes, np.random.Generator], bytes]
BYTEWISE: tuple[Mutation, ...] = (flips, noise, truncated, duplicated, deleted, spliced, huge_size, huge_digits)


def some_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """One to three mutations of bytes."""
    for _ in range(int(rng.integers(1, 4))):
        if content:
            content = BYTEWISE[int(rng.integers(len(BYTEWISE)))](content, rng)
    return content


def inside_zip(mutation: Mutation) -> Mutation:
    """A member of an archive mutated, with a checksum that fits."""

    def mutated(content: bytes, rng: np.random.Generator) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            members = [(info.filename, file.read(info)) for info in file.infolist()]
        chosen, buffer = int(rng.integers(len(members))), io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as file:
            warnings.simplefilter("ignore")  # of names that are there twice
            for i, (name, member) in enumerate(members):
                file.writestr(zipfile.ZipInfo(name), mutation(member, rng) if i == chosen and member else member)
        return buffer.getvalue()

    return mutated


def inside_start(mutation: Mutation) -> Mutation:
    """Only the first bytes mutated, where headers are."""
    return lambda content, rng: mutation(content[:200], rng) + content[200:]


def zip_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    """An archive whose members grow by a factor of a thousand."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        names = file.namelist()
    buffer = io.BytesIO()
    size = 1 << (27 if rng.random() < 0.02 else int(rng.integers(18, 23)))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (size,)})
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name in names:
            body = (header.getvalue() if rng.random() < 0.8 else b"") + bytes(size)
            file.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def gzip_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    return gzip.compress(content * int(rng.integers(1, 2000)), 1, mtime=0)


def pickled_array(content: bytes, rng: np.random.Generator) -> bytes:
    """An archive of arrays with code in them."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {info.filename: file.read(info) for info in file.infolist()}
    payload, buffer = io.BytesIO(), io.BytesIO()
    np.save(payload, np.array([Leaves("marker")] * 60, dtype=object), allow_pickle=True)
    chosen = str(rng.choice(list(members)))
    body = payload.getvalue() if rng.random() < 0.5 else flips(payload.getvalue(), rng)
    with zipfile.ZipFile(buffer, "w") as file:
        for name, member in members.items():
            file.writestr(zipfile.ZipInfo(name), body if name == chosen else member)
    return buffer.getvalue()


def pickled_tensors(content: bytes, rng: np.random.Generator) -> bytes:
    """What torch saves of an object that runs code, in its archive or in the old format."""
    import torch

    buffer = io.BytesIO()
    zipped = bool(rng.random() < 0.7)
    torch.save({"a": torch.arange(60), "b": Leaves("marker")}, buffer, _use_new_zipfile_serialization=zipped)
    made = buffer.getvalue()
    if rng.random() < 0.5:
        return made
    return inside_zip(flips)(made, rng) if zipped else flips(made, rng)


def nested_json(content: bytes, rng: np.random.Generator) -> bytes:
    depth = int(rng.integers(10, 200000))
    inner = str(rng.choice(["[", '{"a":', '{"kind":[']))
    place = int(rng.integers(len(content)))
    return content[:place] + inner.encode() * depth + content[place:]


def odd_json(content: bytes, rng: np.random.Generator) -> bytes:
    """A value of another kind for one of the fields."""
    fields = json.loads(content)
    odd = [
        None,
        [],
        {},
        "",
        -1,
        1e400,
        float("nan"),
        10**400,
        True,
        [[]],
        "x" * 5000,
        [None],
        {"a": 1},
        "\ud800",
        [1, "a"],
    ]
    for _ in range(int(rng.integers(1, 4))):
        fields[str(rng.choice(list(fields)))] = odd[int(rng.integers(len(odd)))]
    return json.dumps(fields).encode()


def picture_bomb(content: bytes, rng: np.random.Generator) -> bytes:
    """A PNG that declares a size which it cannot have, with a checksum that fits."""
    if not content.startswith(b"\x89PNG"):
        return huge_size(content, rng)
    import zlib

    side = 1 << int(rng.integers(8, 31))
    header = b"IHDR" + struct.pack(">II", side, 1 << int(rng.integers(3, 31))) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


# Formats


@dataclass(frozen=True)
class Format:
    """A format with files that are right, and mutations beside those of bytes."""

    suffix: str
    seeds: tuple[Callable[[], bytes], ...]
    special: tuple[Mutation, ...] = ()
    evaluation: bool = False


ZIPPED: tuple[Mutation, ...] = (inside_zip(some_bytes), inside_zip(inside_start(some_bytes)), zip_bomb)
FORMATS: dict[str, Format] = {
    "npz": Format(".npz", (npz_file, law_file), (*ZIPPED, pickled_array)),
    "csv": Format(".csv", (csv_file,), (gzip_bomb,)),
    "parquet": Format(".parquet", (parquet_file,), (gzip_bomb,)),
    "pt": Format(".pt", (pt_file,), (*ZIPPED, pickled_tensors)),
    "h5mu": Format(".h5mu", (h5mu_file,), (inside_start(some_bytes),)),
    "images": Format("", (lambda: image_file("PNG"), lambda: image_file("JPEG")), (picture_bomb,)),
    "evaluation npz": Format(".npz", (evaluation_npz,), (*ZIPPED, pickled_array), evaluation=True),
    "evaluation json": Format(".json", (evaluation_json,), (nested_json, odd_json, gzip_bomb), evaluation=True),
}


def mutated(name: str, number: int, seeds: Sequence[bytes], seed: int = SEED) -> bytes:
    """The file of that number."""
    rng = np.random.default_rng([seed, list(FORMATS).index(name), number])
    content = seeds[int(rng.integers(len(seeds)))]
    special = FORMATS[name].special
    if special and rng.random() < 0.4:
        return special[int(rng.integers(len(special)))](content, rng)
    return some_bytes(content, rng)


# Reading them, in a child


def read_file(name: str, content: bytes, folder: Path) -> str:
    """``data``, ``refused``, or what went wrong."""
    from bounds.errors import InputError
    from bounds.evaluation_files import read_evaluation
    from bounds.readers import read

    kind = FORMATS[name]
    path = folder / f"file{kind.suffix}"
    if name == "images":
        picture = "1.png" if content.startswith(b"\x89PNG") or not content.startswith(b"\xff\xd8") else "1.jpg"
        for old in (path / "left").glob("1.*"):
            old.unlink()
        (path / "left").mkdir(parents=True, exist_ok=True)
        (path / "left" / picture).write_bytes(content)
        if not (path / "left" / "0.png").exists():
            (path / "left" / "0.png").write_bytes(image_file("PNG"))
    else:
        path.write_bytes(content)
    try:
        if kind.evaluation:
            read_evaluation(path)
        else:
            read(path)
    except InputError as error:
        said = str(error).removeprefix(f"{path}: ")
        if len(said.splitlines()) != 1:
            return f"many lines: {said[:200]!r}"
        return "refused" if len(said) <= LONGEST else f"{len(said)} characters: {said[:100]}"
    except MemoryError:
        return "MemoryError"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]!r}"
    return "data"


def forked(given: Sequence[str], wall_seconds: float) -> int:
    """The process of :mod:`bounds.contained`, by a fork: nothing is loaded anew for each file."""
    import bounds.contained

    process = os.fork()
    if not process:
        code = 1
        try:
            code = bounds.contained.work(given)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def child(name: str, start: int, stop: int, seed: int, folder: Path) -> None:
    """Reads the files of some numbers and says of each how it went, before and after."""
    import bounds.contained
    import bounds.memory

    sys.path.insert(0, str(ROOT))
    seeds = [make() for make in FORMATS[name].seeds]
    os.chdir(folder)  # where payloads would leave their marker
    for content in seeds:  # loads the libraries
        if (how := read_file(name, content, folder)) != "data":
            raise SystemExit(f"the file that is right: {how}")
    bounds.contained.start = forked
    bounds.contained.SECONDS = 2  # for files of a few KiB
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What is free is what the limit leaves: readers refuse what would not fit in half of it.
    bounds.memory.available_bytes = lambda: BYTES // 2
    for number in range(start, stop):
        content = mutated(name, number, seeds, seed)
        print(f"{number}", flush=True)
        print(f"{number} {json.dumps(read_file(name, content, folder))}", flush=True)


@dataclass
class Outcome:
    """How the files of a format were read."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, number: int, how: str, seconds: float) -> None:
        self.counts[how if how in ("data", "refused") else "findings"] += 1
        self.slowest = max(self.slowest, seconds)
        if how not in ("data", "refused"):
            self.findings.append((number, how))


def run(name: str, count: int, seed: int = SEED) -> Outcome:
    """Reads that many files of a format, in children that are started again where one stops."""
    found, number = Outcome(), 0
    while number < count:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            before = number
            for read, how, seconds in outcomes(name, before, count, seed, folder):
                found.add(read, how, seconds)
                number = read + 1
            if number == before:
                raise RuntimeError(f"the child for {name} stopped before its first file")
            if (folder / "marker").exists():
                found.add(number, "something was executed", 0.0)
        finally:
            shutil.rmtree(folder)
    return found


def outcomes(name: str, start: int, stop: int, seed: int, folder: Path) -> Iterator[tuple[int, str, float]]:
    """Number, outcome and seconds of each file until a child stops, the file that stopped it among them."""
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        "--child",
        name,
        str(start),
        str(stop),
        str(seed),
        str(folder),
    ]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    waiting = selectors.DefaultSelector()
    waiting.register(process.stdout, selectors.EVENT_READ)
    current: int | None = None
    began, rest = time.monotonic(), b""
    try:
        while True:
            # The libraries take a while to load before the first file.
            if not waiting.select(SECONDS if current is not None else 10 * SECONDS):
                if current is not None:
                    yield current, f"not read within {SECONDS:g} s", time.monotonic() - began
                return
            part = process.stdout.read()
            if not part:
                process.wait()
                if current is not None:
                    yield current, f"the process stopped with {process.returncode}", time.monotonic() - began
                return
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                number, _, how = line.decode().partition(" ")
                if how:
                    yield int(number), json.loads(how), time.monotonic() - began
                    current = None
                else:
                    current, began = int(number), time.monotonic()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="files of each format")
    parser.add_argument("--only", action="append", choices=FORMATS, help="a format; repeat for several")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where results go; formats not run keep theirs")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(options.json.read_text()) if options.json.exists() else {"formats": {}}
    results["machine"] = harness.machine()
    results["limits"] = {"seconds_per_file": SECONDS, "bytes_beyond_the_libraries": BYTES}
    results["versions"] = {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}}
    failed = False
    for name in options.only or FORMATS:
        began = time.monotonic()
        found = run(name, options.count, options.seed)
        failed |= bool(found.findings)
        results["formats"][name] = {
            "files": found.counts.total(),
            "data": found.counts["data"],
            "refused": found.counts["refused"],
            "findings": [{"file": number, "what": what} for number, what in found.findings],
            "slowest_seconds": round(found.slowest, 3),
            "seconds": round(time.monotonic() - began, 1),
            "seed": options.seed,
        }
        print(name, {**results["formats"][name], "findings": found.findings[:10]}, flush=True)
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
    else:
        raise SystemExit(main())
