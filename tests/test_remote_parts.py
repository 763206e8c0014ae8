"""Parts that a filesystem of fsspec has: in memory, and in a bucket of an S3 server on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bounds.errors import InputError
from bounds.readers import read
from bounds.streaming import find_parts, stream
from bounds.streaming.parts import fingerprint

pytest.importorskip("fsspec", reason="remote parts need fsspec (extra: distributed)")
pytest.importorskip("pyarrow", reason="streams of numbers need pyarrow (extra: distributed)")
import fsspec
from streaming_common import assert_same, random, run, split, truncate, two_workers, write_part

ABSENT = [name for name in ("s3fs", "moto", "flask_cors") if importlib.util.find_spec(name) is None]
needs_s3 = pytest.mark.skipif(
    bool(ABSENT), reason=f"{', '.join(ABSENT)} not installed: pip install s3fs 'moto[s3]' flask flask-cors"
)


# In memory


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


def test_parts_by_pattern_name_and_list(tmp_path: Path, memory: Any) -> None:
    whole, parts = split(tmp_path, {"a": [0, 1, 1, 0] * 10, "b": [1, 1, 0, 0] * 10}, [10, 20])
    for part in parts:
        memory.pipe(f"/bucket/{part.name}", part.read_bytes())
    memory.pipe("/bucket/odd[1].parquet", parts[0].read_bytes())
    assert_same(stream("memory://bucket/part*.parquet").statistics, read(whole))
    names = [f"memory://bucket/{part.name}" for part in parts]
    assert_same(stream(names).statistics, read(whole))
    assert stream(names[2]).statistics.n == 20
    assert find_parts(names[2]) == ("memory:///bucket/part2.parquet",)
    assert stream(["memory://bucket/odd[1].parquet"]).statistics.n == 10


WRONG = {
    "short": "is not a complete .parquet file",
    "empty": "the file is empty",
    "gone": "there is no such file",
    "denied": r"cannot be read \(LookupError: Access Denied\)",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_part_is_said(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    content = write_part(tmp_path / "0.parquet", {"a": [0, 1, 1, 0] * 10, "b": [1, 1, 0, 0] * 10}).read_bytes()
    for one, written in (("0", content), ("short", content[:300]), ("empty", b""), ("denied", content)):
        memory.pipe(f"/bucket/{one}.parquet", written)
    opened = type(memory)._open

    def denying(files: Any, path: str, *rest: Any, **more: Any) -> Any:
        if path.endswith("denied.parquet"):
            raise LookupError("Access Denied")  # that of a library, not an OSError
        return opened(files, path, *rest, **more)

    monkeypatch.setattr(type(memory), "_open", denying)
    with pytest.raises(InputError, match=rf"1 of 2 parts cannot be used: {name}\.parquet: {WRONG[name]}"):
        stream(["memory://bucket/0.parquet", f"memory://bucket/{name}.parquet"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("memory://bucket/nothing*.parquet", r"no \.parquet or \.csv file is there"),
        ("memory://bucket/0.csv", r"remote parts are read as \.parquet only"),
        ("nowhere://x/*.parquet", "Protocol not known: nowhere"),
    ],
)
def test_what_there_is_not(memory: Any, data: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stream(data)


def test_a_filesystem_that_does_not_answer(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*_: object, **__: object) -> None:
        raise LookupError("Unable to locate credentials")

    monkeypatch.setattr(type(memory), "glob", unable)
    monkeypatch.setattr(type(memory), "info", unable)
    with pytest.raises(InputError, match=r"^memory://bucket/\*\.parquet: cannot be looked up \(Unable to locate cred"):
        stream("memory://bucket/*.parquet")
    with pytest.raises(InputError, match=r"^0\.parquet: there is no such file, or .*Unable to locate credentials"):
        stream("memory://bucket/0.parquet")
    assert fingerprint("memory://bucket/0.parquet") is None


# S3, served by moto on the loopback interface


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The filesystem of an S3 server that has an empty bucket; the environment says where it is and who may use it."""
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], stdout=output, stderr=output
        )
    try:
        while not (said := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
                patch.delenv(name)
            for name, value in {
                "AWS_ENDPOINT_URL": said[0],
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            }.items():
                patch.setenv(name, value)
            files = fsspec.filesystem("s3", skip_instance_cache=True)
            files.mkdir("bucket")
            yield files
    finally:
        server.kill()
        server.wait()


@needs_s3
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_a_bucket_gives_what_the_same_parts_give_here(tmp_path: Path, bucket: Any, capsys: Any, kind: str) -> None:
    a = ([0, 1, 2] * 200) if kind == "discrete" else random(600).tolist()
    b = ([0, 1] * 300) if kind == "discrete" else random(600, 1).tolist()
    whole, parts = split(tmp_path, {"a": a, "b": [None, *b[1:]]}, [100, 350])
    for part in parts:
        bucket.pipe(f"bucket/{kind}/{part.name}", part.read_bytes())
    url = f"s3://bucket/{kind}/*.parquet"
    assert_same(stream(url, missing="complete").statistics, read(whole, missing="complete"))
    for one in (f"s3://bucket/{kind}/part1.parquet", f"s3a://bucket/{kind}/part1.parquet"):
        assert_same(stream(one).statistics, read(parts[1]))

    keep = ("--missing", "complete", "--keep", str(tmp_path / "kept"))
    code, found, _ = run(capsys, url, *keep)
    assert code == 0
    _, here, _ = run(capsys, str(tmp_path / "part*.parquet"), "--missing", "complete")
    assert found == {**here, "source": "*.parquet"}
    assert len(list((tmp_path / "kept").iterdir())) == 2 * len(parts)


@needs_s3
def test_a_part_that_was_replaced_is_read_anew(tmp_path: Path, bucket: Any) -> None:
    first = write_part(tmp_path / "0.parquet", {"a": [0, 1] * 20, "b": [0, 1, 1, 0] * 10})
    second = write_part(tmp_path / "1.parquet", {"a": [0, 1] * 50, "b": [0, 1, 1, 0] * 25})
    for part in (first, second):
        bucket.pipe("bucket/replaced/0.parquet", part.read_bytes())
        for data in ("s3://bucket/replaced/*.parquet", "s3://bucket/replaced/0.parquet"):
            assert stream(data, keep=tmp_path / "kept").statistics.n == len(read(part).columns[0])


@needs_s3
def test_damaged_and_forbidden_parts_of_a_bucket_are_named(tmp_path: Path, bucket: Any) -> None:
    _, parts = split(tmp_path, {"a": random(90).tolist(), "b": random(90, 1).tolist()}, [30, 60])
    truncate(parts[1])
    for part in parts:
        bucket.pipe(f"bucket/damaged/{part.name}", part.read_bytes())
    url = "s3://bucket/damaged/*.parquet"
    with pytest.raises(InputError, match=r"1 of 3 parts cannot be used: part1\.parquet: is not a complete .*No magic"):
        stream(url)
    found = stream(url, skip_damaged=True)
    assert found.statistics.n == 60
    assert found.warnings[0].startswith("left out, as it cannot be read: part1.parquet: is not a complete")
    with pytest.raises(InputError, match=r"gone\.parquet: there is no such file"):
        stream("s3://bucket/damaged/gone.parquet")
    with pytest.raises(InputError, match=r"no \.parquet or \.csv file is there|does not exist"):
        stream("s3://no-bucket/*.parquet")


#: Run as a process of its own, because credentials are looked up once.
WITHOUT = "import sys; from bounds.cli import main; sys.exit(main(['irreducible', sys.argv[1]]))"


@needs_s3
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "credentials"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
    ids=["no credentials", "no server"],
)
@pytest.mark.parametrize("data", ["s3://bucket/*.parquet", "s3://bucket/0.parquet"])
def test_a_bucket_that_cannot_be_reached_is_one_line(bucket: Any, change: dict, message: str, data: str) -> None:
    environment = {name: value for name, value in {**os.environ, **change}.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, data], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert message in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("bounds: ")


@needs_s3
def test_dask_workers_read_a_bucket(tmp_path: Path, bucket: Any, capsys: Any) -> None:
    _, parts = split(tmp_path, {"a": [None, *random(299).tolist()], "b": random(300, 1).tolist()}, [100, 200])
    for part in parts:
        bucket.pipe(f"bucket/dask/{part.name}", part.read_bytes())
    bucket.pipe("bucket/dask/short.parquet", parts[0].read_bytes()[:500])
    with two_workers() as workers:
        command = ["--engine", "dask", "--scheduler", workers.scheduler.address, "--missing", "complete"]
        code, _, err = run(capsys, "s3://bucket/dask/*.parquet", *command)
        assert code == 2
        assert "1 of 4 parts cannot be used: short.parquet: is not a complete .parquet file" in err
        code, found, _ = run(capsys, "s3://bucket/dask/*.parquet", *command, "--skip-damaged")
        assert code == 0
        _, here, _ = run(capsys, str(tmp_path / "part*.parquet"), *command)
    left_out, *warnings = found["warnings"]
    assert left_out.startswith("left out, as it cannot be read: short.parquet")
    assert json.dumps({**found, "warnings": warnings}) == json.dumps({**here, "source": "*.parquet"})
