"""The layers of docs/architecture.md, read from the imports, and a planted fault of each kind that must be caught."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import bounds

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bounds", "toy_models")

#: What a package may import when it is itself imported, besides the standard library ...
EAGER = {"bounds": {"numpy", "scipy", "sympy"}, "toy_models": {"numpy", "scipy", "sympy", "torch"}}
#: ... and what only a function that needs it may import.
LAZY = {
    "PIL",
    "distributed",
    "duckdb",
    "fsspec",
    "h5py",
    "hypothesis",
    "jinja2",
    "matplotlib",
    "pyarrow",
    "rich",
    "sklearn",
    "statsmodels",
}
#: A module that is of no use without an optional library may import it at once; nothing imports it eagerly.
OPTIONAL = {"bounds.strategies": {"hypothesis"}}
WITHOUT_TORCH = (
    "bounds",
    "toy_models.coordinate_ascent",
    "toy_models.datasets",
    "toy_models.gaussian_",
    "toy_models.linear_gaussian",
    "toy_models.live",
    "toy_models.playground",
    "toy_models.tabular",
)
#: Reads the files that torch writes, and only the functions that do so load it.
TORCH_IN_A_FUNCTION = {"bounds.tensors"}
PICKLERS = {"_pickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}


def listed_modules(text: str) -> list[str]:
    """The modules of the ``modules`` block of docs/architecture.md, top first."""
    _, _, rest = text.partition("```modules\n")
    block, _, _ = rest.partition("```")
    return [line.split()[0] for line in block.splitlines() if line.strip()]


def source_files() -> dict[str, Path]:
    """Every module of the packages by its dotted name; a package goes by the name of its folder."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@dataclass(frozen=True)
class Import:
    target: str
    line: int
    eager: bool  # runs when the module is imported


def is_package(module: str, order: Sequence[str]) -> bool:
    return any(other.startswith(f"{module}.") for other in order)


def find_imports(tree: ast.Module, module: str, order: Sequence[str]) -> Iterator[Import]:
    """All imports, wherever they stand; ``from package import name`` is resolved to a module if there is one."""

    def visit(node: ast.AST, eager: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, eager) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node)
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield Import(submodule if submodule in order else base, node.lineno, eager)
        elif isinstance(node, ast.Call) and called_name(node) in ("__import__", "import_module") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(name.value, node.lineno, eager)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, eager and not deferred(node, child))

    def absolute(node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = module.split(".") if is_package(module, order) else module.split(".")[:-1]
        package = package[: len(package) - node.level + 1]
        return ".".join([*package, node.module] if node.module else package)

    def deferred(node: ast.AST, child: ast.AST) -> bool:
        if isinstance(node, ast.If):
            return "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body
        return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)

    return visit(tree, True)


def called_name(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    return ast.unparse(call.func).rpartition(".")[2]


def violations(module: str, source: str, order: Sequence[str]) -> list[str]:
    """Everything that a module does against the rules of docs/architecture.md, in words."""
    if module not in order:
        return [f"{module} is not in the list of docs/architecture.md"]
    tree = ast.parse(source)
    found = []
    for one in find_imports(tree, module, order):
        problem = import_problem(module, one, order)
        if problem:
            found.append(f"{module}:{one.line} imports {one.target}, {problem}")
    found += [f"{module}:{line} {problem}" for line, problem in unpickling(tree)]
    if is_package(module, order):
        found += [
            f"{module}:{node.lineno} does more than re-export" for node in tree.body if not belongs_in_package(node)
        ]
    return found


def import_problem(module: str, one: Import, order: Sequence[str]) -> str | None:
    package, root = module.partition(".")[0], one.target.partition(".")[0]
    if root == "torch" and module in TORCH_IN_A_FUNCTION and not one.eager:
        return None
    if root == "torch" and module.startswith(WITHOUT_TORCH):
        return "and has to do without torch"
    if root in PICKLERS:
        return "and nothing is ever unpickled"
    if root == "toy_models" != package:
        return "which only toy_models may"
    if root in PACKAGES:
        if one.target not in order:
            return "which is not in the list"
        return None if order.index(one.target) < order.index(module) else "which does not stand above it"
    if root in sys.stdlib_module_names or root in EAGER[package] | OPTIONAL.get(module, set()):
        return None
    if root in LAZY and not one.eager:
        return None
    return "which only a function may" if root in LAZY else "which is no dependency"


def unpickling(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "torch" and any(a.name == "load" for a in node.names):
            yield node.lineno, "takes load out of torch, so that its calls cannot be checked"
        if not isinstance(node, ast.Call):
            continue
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if options.get("allow_pickle", "False") != "False":
            yield node.lineno, "sets allow_pickle"
        if ast.unparse(node.func) == "torch.load" and options.get("weights_only") != "True":
            yield node.lineno, "calls torch.load without weights_only=True"


def list_faults(order: Sequence[str], files: Sequence[str]) -> list[str]:
    """Where the list and the files differ."""
    twice = {f"{module} is listed twice" for module in order if order.count(module) > 1}
    missing = {f"{module} is not in the list of docs/architecture.md" for module in set(files) - set(order)}
    extra = {f"{module} is listed, but there is no such file" for module in set(order) - set(files)}
    return sorted(twice | missing | extra)


def belongs_in_package(node: ast.stmt) -> bool:
    """Whether ``__init__.py`` may hold this: a docstring, an import, ``__all__`` or ``__version__``."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    if isinstance(node, ast.Assign):
        return {ast.unparse(target) for target in node.targets} <= {"__all__", "__version__"}
    return isinstance(node, ast.Import | ast.ImportFrom)


ORDER = listed_modules((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
FILES = source_files()


def test_the_list_names_every_module_once_and_no_other() -> None:
    assert list_faults(ORDER, list(FILES)) == []


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("bounds.a one", "bounds.b is not in the list"),
        ("bounds.a one\nbounds.b two\nbounds.c three", "bounds.c is listed, but"),
        ("bounds.a one\nbounds.b two\nbounds.a three", "bounds.a is listed twice"),
    ],
)
def test_a_planted_fault_of_the_list_is_caught(listed: str, message: str) -> None:
    (fault,) = list_faults(listed_modules(f"# Text\n\n```modules\n{listed}\n```\nMore\n"), ["bounds.a", "bounds.b"])
    assert fault.startswith(message)


@pytest.mark.parametrize("module", FILES)
def test_module_keeps_to_its_layer(module: str) -> None:
    assert violations(module, FILES[module].read_text(encoding="utf-8"), ORDER) == []


EXAMPLE_ORDER = (
    "bounds.errors",
    "bounds.lattice",
    "bounds.joints",
    "bounds.tensors",
    "bounds",
    "bounds.cli",
    "toy_models.tabular",
    "toy_models.models",
    "toy_models",
)

PLANTED = {
    "lower layer": ("bounds.lattice", "from bounds.joints import Discrete", "not stand above"),
    "itself": ("bounds.lattice", "from bounds.lattice import h", "not stand above"),
    "in a function": ("bounds.lattice", "def f():\n    from bounds.joints import Discrete", "not stand above"),
    "in a method": ("bounds.lattice", "class C:\n    def f(self):\n        import bounds.joints", "not stand above"),
    "for types only": (
        "bounds.lattice",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bounds.joints import Discrete",
        "not stand above",
    ),
    "guarded": ("bounds.lattice", "try:\n    import bounds.cli\nexcept ImportError:\n    pass", "not stand above"),
    "relative": ("bounds.lattice", "from .joints import Discrete", "not stand above"),
    "relative, a module": ("bounds.lattice", "from . import joints", "not stand above"),
    "dotted": ("bounds.lattice", "import bounds.cli", "not stand above"),
    "dotted, under another name": ("bounds.lattice", "import bounds.cli as c", "not stand above"),
    "second of two": ("bounds.lattice", "import bounds.errors, bounds.cli", "not stand above"),
    "module out of the package": ("bounds.lattice", "from bounds import cli", "not stand above"),
    "the package itself": ("bounds.lattice", "import bounds", "not stand above"),
    "name out of the package": ("bounds.lattice", "from bounds import Discrete", "not stand above"),
    "package imports what uses it": ("bounds", "from bounds.cli import main", "not stand above"),
    "package, relative": ("bounds", "from .cli import main", "not stand above"),
    "by name at run time": ("bounds.lattice", "import importlib\nimportlib.import_module('bounds.cli')", "not stand"),
    "unlisted module": ("bounds.new", "import math", "not in the list"),
    "unlisted target": ("bounds.cli", "import bounds.new", "not in the list"),
    "bounds and toy_models": ("bounds.cli", "def f():\n    import toy_models.tabular", "only toy_models may"),
    "bounds and torch": ("bounds.cli", "def f():\n    import torch.nn", "without torch"),
    "bounds and torch, at run time": ("bounds.cli", "def f():\n    return __import__('torch')", "without torch"),
    "tensors and torch, at once": ("bounds.tensors", "import torch", "without torch"),
    "tabular and torch": ("toy_models.tabular", "from torch import nn", "without torch"),
    "slow to import": ("bounds.cli", "import sklearn.covariance", "only a function may"),
    "slow to import, in a class": ("bounds.cli", "class C:\n    from rich import print", "only a function may"),
    "slow to import, in an else": (
        "bounds.cli",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import duckdb",
        "only a function may",
    ),
    "undeclared": ("bounds.cli", "def f():\n    import requests", "no dependency"),
    "pickle": ("bounds.cli", "import pickle", "unpickled"),
    "pickle in a function": ("toy_models.models", "def f():\n    from pickle import loads", "unpickled"),
    "joblib": ("bounds.cli", "def f():\n    import joblib", "unpickled"),
    "allow_pickle": ("bounds.cli", "import numpy as np\nnp.load('f', allow_pickle=True)", "allow_pickle"),
    "allow_pickle, some day": ("bounds.cli", "def f(g, p):\n    g('f', allow_pickle=p)", "allow_pickle"),
    "torch.load": ("toy_models.models", "import torch\ntorch.load('f')", "weights_only"),
    "torch.load, switched off": ("toy_models.models", "import torch\ntorch.load('f', weights_only=False)", "weights_o"),
    "torch.load, by name": ("toy_models.models", "from torch import load", "takes load"),
    "code in the package": ("bounds", "def f(): ...", "more than re-export"),
    "constant in the package": ("bounds", "X = 1", "more than re-export"),
}


@pytest.mark.parametrize(("module", "source", "message"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_fault_is_caught(module: str, source: str, message: str) -> None:
    found = violations(module, source, EXAMPLE_ORDER)
    assert len(found) == 1, found
    assert message in found[0]


CLEAN = {
    "layers": ("bounds.joints", "import math\nimport numpy as np\nfrom bounds import lattice\nfrom .errors import E"),
    "slow to import": ("bounds.cli", "def f():\n    import sklearn\n    from matplotlib.figure import Figure"),
    "types only": (
        "bounds.cli",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from matplotlib.axes import Axes",
    ),
    "version": ("bounds.cli", "from bounds import __version__"),
    "package": ("bounds", '"""Doc."""\nfrom bounds.joints import Discrete\n__all__ = ["Discrete"]\n__version__ = "1"'),
    "toy models": ("toy_models.models", "import torch\nimport bounds\nfrom toy_models import tabular"),
    "reading": ("toy_models.models", "import torch\ntorch.load('f', weights_only=True)"),
    "tensors": ("bounds.tensors", "def f(p):\n    import torch\n    torch.load(p, weights_only=True)"),
    "no pickle": ("bounds.cli", "import numpy as np\nnp.load('f', allow_pickle=False)"),
}


@pytest.mark.parametrize(("module", "source"), CLEAN.values(), ids=CLEAN.keys())
def test_a_clean_module_passes(module: str, source: str) -> None:
    assert violations(module, source, EXAMPLE_ORDER) == []


def run_python(code: str, folder: Path) -> str:
    """What a fresh interpreter prints, with ``folder`` first on its path."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def slow_imports_after(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    return (LAZY | {"pandas", "torch"}) & set(json.loads(run_python(code, ROOT)))


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_slow(package: str) -> None:
    assert slow_imports_after(f"import {package}") == set()


def test_something_slow_would_be_noticed() -> None:
    assert slow_imports_after("import bounds, jinja2") == {"jinja2"}


def test_bounds_can_be_imported_without_being_installed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bounds", tmp_path / "bounds", ignore=shutil.ignore_patterns("__pycache__"))
    # The tests' own environment has the distribution installed; hiding its metadata is what "not installed" means.
    code = """
import importlib.metadata as metadata
def hidden(name):
    raise metadata.PackageNotFoundError(name)
metadata.distribution = hidden
import bounds
print(bounds.__file__)
"""
    assert Path(run_python(code, tmp_path).strip()).is_relative_to(tmp_path)


def test_there_is_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert bounds.__version__ == project["version"]
