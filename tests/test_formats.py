"""The formats of deep learning and of single cells: .pt, .h5mu and folders of images, each read and refused."""

from __future__ import annotations

import builtins
import faulthandler
import os
import re
import signal
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

from bounds.cli import main
from bounds.contained import contained, work
from bounds.errors import InputError
from bounds.missing import PartlyObserved
from bounds.readers import read
from bounds.samples import Samples

N = 40
RNG = np.random.default_rng(0)
FLOATS = RNG.normal(size=(N, 2, 3))
CODES = RNG.integers(0, 3, N)


def dataset(path: Path, *modalities: str, **types: str) -> Samples:
    data = read(path, modalities, types)
    assert isinstance(data, Samples)
    return data


# .pt


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed: .pt files are not read")


def test_tensors_of_every_type(tmp_path: Path, torch: Any) -> None:
    tensors = {
        "double": torch.from_numpy(FLOATS),
        "half": torch.from_numpy(FLOATS[:, 0, 0]).half(),
        "brain": torch.from_numpy(FLOATS[:, 0, 1]).bfloat16(),
        "byte": torch.from_numpy(CODES).to(torch.uint8),
        "flag": torch.from_numpy(CODES > 0),
        "column": torch.from_numpy(CODES[:, None]),
        "view": torch.from_numpy(FLOATS).permute(0, 2, 1)[:, :, 1],
        "learned": torch.nn.Parameter(torch.from_numpy(FLOATS[:, 1, 1])),
    }
    torch.save(tensors, tmp_path / "data.pt")
    data = dataset(tmp_path / "data.pt")
    assert data.names == tuple(tensors)
    assert data.layout.sizes == (6, 1, 1, 1, 1, 1, 3, 1)
    np.testing.assert_array_equal(np.column_stack(data.columns[:6]), FLOATS.reshape(N, 6))
    np.testing.assert_array_equal(data.columns[6], FLOATS[:, 0, 0].astype(np.float16))
    # bfloat16 keeps 8 binary digits.
    np.testing.assert_allclose(data.columns[7], FLOATS[:, 0, 1], rtol=2**-8)
    np.testing.assert_array_equal(data.columns[8], CODES)
    np.testing.assert_array_equal(data.columns[9], CODES > 0)
    np.testing.assert_array_equal(data.columns[10], CODES)
    np.testing.assert_array_equal(np.column_stack(data.columns[11:14]), FLOATS[:, 1, :])
    np.testing.assert_array_equal(data.columns[14], FLOATS[:, 1, 1])


def test_tensors_are_chosen_and_renamed(tmp_path: Path, torch: Any) -> None:
    torch.save({"a": torch.from_numpy(FLOATS), "b": torch.from_numpy(CODES), "c": torch.zeros(3)}, tmp_path / "x.pt")
    data = dataset(tmp_path / "x.pt", "image=a", "label=b")
    assert data.layout.unit_names[0] == "image[0]"
    assert data.names == ("image", "label")


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def compressed(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(7.25).tobytes())] ^= 1
    path.write_bytes(bytes(content))


def rewritten(old: bytes, new: bytes) -> Callable[[Path], None]:
    """Other instructions in the pickle, with checksums that fit."""

    def rewrite(path: Path) -> None:
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members.items():
                found = content.replace(old, new) if name.endswith("data.pkl") else content
                assert not name.endswith("data.pkl") or found != content
                file.writestr(name, found)

    return rewrite


PT: dict[str, tuple[Callable[[Any, Path], Any], Callable[[Path], None] | None, str]] = {
    "a list": (lambda t, _: [t.ones(3)], None, r"holds no dictionary but a list: save a dictionary of plain tensors"),
    "a tensor": (lambda t, _: t.arange(3), None, r"holds no dictionary but a Tensor"),
    "a model's state within": (lambda t, _: {"state": {"w": t.ones(3)}}, None, r"'state' is a dict, not a tensor"),
    "a number": (lambda t, _: {"x": 3}, None, r"'x' is a int, not a tensor"),
    "no text": (lambda t, _: {3: t.ones(3)}, None, r"has the key 3, which is no text"),
    "nothing": (lambda t, _: {}, None, r"there are no tensors"),
    "code": (lambda t, path: {"x": Payload(path / "marker")}, None, r"holds more than tensors .*nothing is unpickled"),
    "a module": (lambda t, _: {"x": t.nn.Linear(1, 1)}, None, r"holds more than tensors"),
    "sparse": (lambda t, _: {"x": t.eye(3).to_sparse()}, None, r"holds more than tensors .*_rebuild_sparse_tensor"),
    "complex": (lambda t, _: {"x": t.ones(3, dtype=t.complex64)}, None, r"holds more than tensors .*Complex"),
    "constant": (lambda t, _: {"x": t.ones(3)}, None, r"column 'x' is constant"),
    "a view of one number": (
        lambda t, _: {"x": t.ones(1).expand(2**40)},
        None,
        r"all tensors together \(1099511627776\) needs",
    ),
    "compressed": (lambda t, _: {"x": t.arange(3)}, compressed, r"has compressed members"),
    "flipped": (lambda t, _: {"x": t.tensor([7.25, 1, 2])}, flipped, r"is damaged: '.*/data/0' does not match its"),
    # 6 numbers are stored, and the pickle says 255: reading them would leave the storage.
    "beyond its storage": (
        lambda t, _: {"x": t.arange(6)},
        rewritten(b"K\x06", b"K\xff"),
        r"is not a complete \.pt file \(",
    ),
}


@pytest.mark.parametrize("name", PT)
def test_what_is_no_dictionary_of_tensors(tmp_path: Path, torch: Any, name: str) -> None:
    make, change, message = PT[name]
    path = tmp_path / "data.pt"
    torch.save(make(torch, tmp_path), path)
    if change:
        change(path)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {message}") as refused:
        read(path)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "marker").exists()


def test_the_payload_would_be_noticed(tmp_path: Path, torch: Any) -> None:
    torch.save({"x": Payload(tmp_path / "marker")}, tmp_path / "data.pt")
    torch.load(tmp_path / "data.pt", weights_only=False)
    assert (tmp_path / "marker").exists()


def test_the_old_format_is_refused(tmp_path: Path, torch: Any) -> None:
    torch.save({"x": torch.arange(3)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"is not a complete \.pt file \(File is not a zip file\)"):
        read(tmp_path / "old.pt")


@pytest.mark.parametrize(("library", "suffix", "extra"), [("torch", ".pt", "toy"), ("h5py", ".h5mu", "omics")])
def test_without_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, suffix: str, extra: str
) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == library:
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("bounds.multi_omics.find_spec", lambda name: None)
    (tmp_path / f"data{suffix}").write_bytes(b"x")
    with pytest.raises(InputError, match=rf"needs .* to be read: install multimodal-bounds\[{extra}\]"):
        read(tmp_path / f"data{suffix}")


# .h5mu


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads HDF5 in this process: a new one takes a second or two to start."""
    from bounds import multi_omics

    def contained(target: str, path: str, arguments: Any, folder: str, library: str) -> None:
        multi_omics.extract(path, folder, arguments)

    monkeypatch.setattr(multi_omics, "contained", contained)


CELLS = [f"cell{i}" for i in range(N)]
GENES = FLOATS[:, 0, :]
COUNTS = RNG.poisson(0.7, size=(N, 2))
#: The second modality lacks every fourth cell, and has the others in reverse order.
SEEN = np.arange(N) % 4 > 0
PROTEIN_ROWS = np.flatnonzero(SEEN)[::-1]


def write_matrix(group: Any, matrix: Any) -> None:
    if sparse.issparse(matrix):
        stored = group.create_group("X")
        stored.attrs["encoding-type"] = f"{matrix.format}_matrix"
        stored.attrs["shape"] = np.array(matrix.shape)
        for part in ("data", "indices", "indptr"):
            stored[part] = getattr(matrix, part)
    else:
        group["X"] = matrix


def write_index(group: Any, table: str, names: list[str]) -> None:
    found = group.create_group(table)
    found.attrs["_index"] = "_index"
    found["_index"] = np.array(names, dtype=object)


def write_h5mu(path: Path, proteins: Any = None, maps: bool = True, masks: bool = True) -> None:
    """Two modalities of cells in the layout of MuData: genes for all, proteins for some."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: .h5mu files are not read")
    with h5py.File(path, "w") as file:
        write_index(file, "obs", CELLS)
        for name, matrix, rows in (
            ("rna", GENES, np.arange(N)),
            ("prot", COUNTS if proteins is None else proteins, PROTEIN_ROWS),
        ):
            group = file.create_group(f"mod/{name}")
            write_matrix(group, matrix[rows])
            write_index(group, "obs", [CELLS[i] for i in rows])
            write_index(group, "var", [f"{name[0].upper()}{i}" for i in range(matrix.shape[1])])
            own = np.zeros(N, dtype=np.uint32)
            own[rows] = 1 + np.arange(len(rows))
            if maps:
                file[f"obsmap/{name}"] = own
            if masks:
                file[f"obsm/{name}"] = own > 0
        file["mod"].attrs["mod-order"] = np.array(["rna", "prot"], dtype=object)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("maps", [True, False])
@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_cells_that_lack_a_modality(tmp_path: Path, form: Callable[[np.ndarray], Any], maps: bool, masks: bool) -> None:
    path = tmp_path / "cells.h5mu"
    write_h5mu(path, form(COUNTS), maps, masks)
    with pytest.raises(
        InputError, match=r"column 'prot/P0' of modality 'prot' is missing in 10 of 40 rows: .*--missing"
    ):
        read(path)
    complete = read(path, missing="complete", types={"prot": "discrete"})
    assert isinstance(complete, Samples)
    assert complete.names == ("rna", "prot")
    np.testing.assert_array_equal(np.column_stack(complete.columns[:3]), GENES[SEEN])
    for column, values in zip(complete.columns[3:], COUNTS[SEEN].T, strict=True):
        np.testing.assert_array_equal(column, np.unique(values, return_inverse=True)[1])
    partly = read(path, missing="per-subset", types={"prot": "discrete"})
    assert isinstance(partly, PartlyObserved)
    assert partly.counts() == {"rna": 40, "prot": 30, "rna,prot": 30}


@pytest.mark.usefixtures("here")
def test_variables_are_chosen_by_name(tmp_path: Path) -> None:
    write_h5mu(tmp_path / "cells.h5mu")
    data = dataset(tmp_path / "cells.h5mu", "genes=rna/R0,rna/R2", "other=rna/R1")
    np.testing.assert_array_equal(np.column_stack(data.columns), GENES[:, [0, 2, 1]])


def h5(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import h5py

        write_h5mu(path)
        with h5py.File(path, "r+") as file:
            change(file)

    return write


def replaced(name: str, value: Any) -> Callable[[Path], None]:
    def change(file: Any) -> None:
        del file[name]
        if value is not None:
            file[name] = value

    return h5(change)


def linked(file: Any) -> None:
    import h5py

    del file["mod/rna/X"]
    file["mod/rna/X"] = h5py.ExternalLink("/etc/hostname", "/X")


def kept_elsewhere(file: Any) -> None:
    del file["mod/rna/X"]
    file["mod/rna"].create_dataset("X", (N, 3), "f8", external=[("/etc/hostname", 0, N * 24)])


def huge(file: Any) -> None:
    del file["mod/rna/X"]
    file["mod/rna"].create_dataset("X", (2**40, 3), "f8", chunks=(1024, 3))


H5MU: dict[str, tuple[Callable[[Path], None], str]] = {
    "no hdf5": (lambda path: path.write_text("hello") and None, r"is not a complete \.h5mu file"),
    "shared variables": (h5(lambda file: file.attrs.__setitem__("axis", 1)), r"shares axis 1: modalities must share"),
    "no modalities": (replaced("mod", None), r"has no /mod: write the file with mudata"),
    "no names": (replaced("mod/rna/var/_index", None), r"has no /mod/rna/var/_index"),
    "names are numbers": (replaced("obs/_index", np.arange(N)), r"the index of obs is no list of text"),
    "linked": (h5(linked), r"/mod/rna/X links to elsewhere, which is not followed"),
    "kept elsewhere": (h5(kept_elsewhere), r"/mod/rna/X keeps its data in other files"),
    "huge": (h5(huge), r"/mod/rna/X \(1099511627776 x 3\) needs .* GiB"),
    "text": (replaced("mod/rna/X", np.array([[b"a"] * 3] * N)), r"/mod/rna/X is \|S1 \(40, 3\): expected numbers"),
    "columns": (replaced("mod/rna/X", GENES[:, :2]), r"X of 'rna' has 2 columns for 3 variables"),
    "row that is not there": (replaced("obsmap/rna", np.arange(1, N + 1) + 1), r"obsmap of 'rna' names row 40"),
    "map too short": (replaced("obsmap/rna", np.arange(1, N)), r"obsmap of 'rna' does not fit the 40 observations"),
    "mask says otherwise": (replaced("obsm/rna", np.arange(N) > 0), r"obsm of 'rna' says otherwise than its rows"),
    "none": (
        h5(lambda file: (file["obsmap/rna"].write_direct(np.zeros(N, np.uint32)), file.__delitem__("obsm/rna"))[0]),
        r"modality 'rna' has none of the observations",
    ),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", H5MU)
def test_damaged_cells(tmp_path: Path, name: str) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed: .h5mu files are not read")
    write, message = H5MU[name]
    path = tmp_path / "cells.h5mu"
    write(path)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {message}") as refused:
        read(path, ["genes=rna/*"] if name not in ("no hdf5", "shared variables", "no modalities") else ())
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("here")
def test_sparse_indices_beyond_the_matrix(tmp_path: Path) -> None:
    matrix = sparse.csr_matrix(COUNTS)
    write_h5mu(tmp_path / "cells.h5mu", matrix)
    import h5py

    with h5py.File(tmp_path / "cells.h5mu", "r+") as file:
        file["mod/prot/X/indices"][0] = 1000
    with pytest.raises(InputError, match=r"X of 'prot' is damaged \("):
        read(tmp_path / "cells.h5mu", ["p=prot/*"])


@pytest.mark.filterwarnings("ignore")  # of the library about itself
@pytest.mark.usefixtures("here")
def test_what_mudata_writes(tmp_path: Path) -> None:
    mudata = pytest.importorskip("mudata", reason="mudata is not installed: the layout is held against h5py alone")
    import anndata
    import pandas as pd

    # anndata writes the text of older pandas alone, unless it is told otherwise.
    with pd.option_context("future.infer_string", False):
        parts = {}
        for name, matrix, rows in (("rna", GENES, np.arange(N)), ("prot", sparse.csr_matrix(COUNTS), PROTEIN_ROWS)):
            variables = pd.DataFrame(index=[f"{name[0].upper()}{i}" for i in range(matrix.shape[1])])
            parts[name] = anndata.AnnData(matrix[rows], pd.DataFrame(index=[CELLS[i] for i in rows]), variables)
        mudata.MuData(parts).write(tmp_path / "theirs.h5mu")
    write_h5mu(tmp_path / "ours.h5mu")
    found, expected = (read(tmp_path / f"{who}.h5mu", missing="complete") for who in ("theirs", "ours"))
    assert isinstance(found, Samples)
    assert isinstance(expected, Samples)
    assert found.layout == expected.layout
    rows = [sorted(zip(*(column.tolist() for column in data.columns), strict=True)) for data in (found, expected)]
    assert rows[0] == rows[1]


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    write_h5mu(tmp_path / "cells.h5mu")
    data = dataset(tmp_path / "cells.h5mu", "genes=rna/*")
    np.testing.assert_array_equal(np.column_stack(data.columns), GENES)
    with pytest.raises(InputError, match=r"there is no variable 'rna/Q'"):
        read(tmp_path / "cells.h5mu", ["genes=rna/Q"])


def stop(path: str, folder: str, arguments: Any) -> None:
    """What a library may do to its process."""
    faulthandler.disable()
    if arguments == ["crash"]:
        os.kill(os.getpid(), signal.SIGSEGV)
    if arguments == ["memory"]:
        bytearray(1 << 50)
    while arguments == ["loop"]:
        pass


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("crash", "is damaged: the library stopped on it, or did not come to an end within 1 s"),
        ("loop", "is damaged: the library stopped on it, or did not come to an end within 1 s"),
        ("memory", "needs more memory than is free, or is damaged"),
    ],
)
def test_a_process_that_stops_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, message: str
) -> None:
    monkeypatch.setattr("bounds.contained.SECONDS", 1)
    monkeypatch.setattr("bounds.contained.start", forked)
    (tmp_path / "data").write_bytes(b"x")
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        contained(f"{__name__}:stop", str(tmp_path / "data"), [what], str(tmp_path), "the library")


def forked(given: Any, wall_seconds: float) -> int:
    """The same process by a fork, which need not load anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that a fork leaves behind
        process = os.fork()
    if not process:
        code = 1
        try:
            code = work(given)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


# Folders of images


def write_images(folder: Path, pictures: Mapping[str, Mapping[str, np.ndarray]]) -> Path:
    for modality, files in pictures.items():
        (folder / modality).mkdir(parents=True)
        for name, pixels in files.items():
            Image.fromarray(pixels).save(folder / modality / name)
    return folder


GREY = RNG.integers(0, 256, (N, 2, 3), dtype=np.uint8)
RGB = RNG.integers(0, 256, (N, 2, 2, 3), dtype=np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    left = {f"{i}.png": GREY[i] for i in range(N)}
    return write_images(tmp_path / "pictures", {"left": left, "right": {f"{i}.png": RGB[i] for i in range(N)}})


def test_images_are_symbols_unless_declared(images: Path) -> None:
    order = sorted(range(N), key=str)
    data = dataset(images)
    assert data.types == ("discrete", "discrete")
    assert data.source == "pictures"
    declared = dataset(images, left="continuous")
    assert declared.types == ("continuous", "discrete")
    np.testing.assert_array_equal(np.column_stack(declared.columns[:6]), GREY[order].reshape(N, 6))
    for column, values in zip(data.columns[6:], RGB[order].reshape(N, 12).T, strict=True):
        np.testing.assert_array_equal(column, np.unique(values, return_inverse=True)[1])


def test_a_missing_file_is_a_missing_modality(images: Path) -> None:
    for i in range(10):
        (images / "left" / f"{i}.png").unlink()
    with pytest.raises(InputError, match=r"column 'left\[0\]' of modality 'left' is missing in 10 of 40 rows"):
        read(images)
    partly = read(images, missing="per-subset")
    assert isinstance(partly, PartlyObserved)
    assert partly.counts() == {"left": 30, "right": 40, "left,right": 30}
    assert dataset(images, "only=right").n == N


def test_too_many_columns_point_to_one_sided_bounds(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["irreducible", str(images), "--type", "left=continuous", "--scheme", "mmvae"])
    assert code == 2
    assert "--conditional linear" in capsys.readouterr().err
    code = main(["irreducible", str(images), "--scheme", "mmvae"])
    assert code == 0
    assert "--conditional linear" in capsys.readouterr().err


def test_a_folder_of_tables_is_not_one_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = tmp_path / "parts"
    (parts / "old").mkdir(parents=True)
    (parts / "0.csv").write_text("a,b\n" + "".join(f"{i % 2},{i // 2 % 2}\n" for i in range(400)))
    assert main(["irreducible", str(parts), "--scheme", "mmvae"]) == 0
    assert "400 rows" in capsys.readouterr().out


IMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a file beside": (lambda folder: (folder / "notes.txt").write_text("x"), r"notes\.txt is a file beside folders"),
    "no image": (lambda folder: (folder / "left" / "a.txt").write_text("x"), r"left/a\.txt is no image"),
    "damaged": (lambda folder: (folder / "left" / "0.png").write_bytes(b"x"), r".*0\.png cannot be read as an image"),
    "twice": (
        lambda folder: Image.fromarray(GREY[0]).save(folder / "left" / "0.jpg"),
        r"left has 0\.jpg and 0\.png: an example has one",
    ),
    "another size": (
        lambda folder: Image.fromarray(GREY[0].T).save(folder / "left" / "5.png"),
        r".*5\.png has the shape \(3, 2\) and 0\.png \(2, 3\)",
    ),
    "another mode": (
        lambda folder: Image.fromarray(RGB[0]).convert("CMYK").save(folder / "right" / "z.jpg"),
        r".*z\.jpg has mode CMYK",
    ),
    "empty": (lambda folder: (folder / "third").mkdir(), r"a modality has no images: leave it out"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_damaged_folders(images: Path, name: str) -> None:
    change, message = IMAGES[name]
    change(images)
    with pytest.raises(InputError, match=f"^{re.escape(str(images))}: {message}"):
        read(images)


def test_the_unknown_suffix_lists_all(tmp_path: Path) -> None:
    formats = r"\.npz, \.csv, \.parquet, \.pt, \.h5mu, and folders of images"
    (tmp_path / "data.xlsx").touch()
    with pytest.raises(InputError, match=rf"data\.xlsx: unknown suffix '\.xlsx': supported are {formats}"):
        read(tmp_path / "data.xlsx")
    with pytest.raises(InputError, match="is a directory: give a file, or a folder with a subfolder of images"):
        read(tmp_path)
