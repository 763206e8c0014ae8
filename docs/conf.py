"""How Sphinx builds the documentation: ``make docs``, or ``sphinx-build -W --keep-going -n docs build/docs``.

Nothing is fetched, neither by the build nor by a reader's browser: the theme and MathJax come from Python packages,
and there is no link to another project's inventory.
"""

import contextlib
import hashlib
import importlib.util
import logging
import os
import re
import sys
from pathlib import Path

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
# For the kernels that run the pages: the code of this tree, whatever is installed, and one thread each.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # for `bounds`
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ |= {"COLUMNS": "96", "TTY_COMPATIBLE": "0"}  # tables of commands: that wide, and without colours
_KERNEL = """\
c.IPKernelApp.log_level = "ERROR"
c.HistoryManager.enabled = False
c.IPKernelApp.exec_lines = ['''
def _bash(line, cell):
    import subprocess
    run = subprocess.run(["bash", "-c", cell], capture_output=True, text=True)
    print(run.stdout if run.returncode == 0 else run.stdout + run.stderr, end="")
    run.check_returncode()
get_ipython().register_magic_function(_bash, "cell", "bash")  # IPython's own prints in pieces of 100 letters
''']
"""
# Nobody's own settings of IPython, and no warning that a kernel's port on this machine is not encrypted.
_ipython = ROOT / "build" / "ipython"
_settings = _ipython / "profile_default" / "ipython_kernel_config.py"
_settings.parent.mkdir(parents=True, exist_ok=True)
_settings.write_text(_KERNEL)
os.environ["IPYTHONDIR"] = str(_ipython)
logging.getLogger("traitlets").setLevel(logging.WARNING)

from bounds import __version__  # noqa: E402

project = "multimodal-bounds"
author = "the multimodal-bounds authors"
copyright = author
release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax itself, copied into the pages
    "gallery_pages",
    "offline",
]
exclude_patterns = ["_build"]
# Of a page that is also read on its own, such as CHANGELOG.md.
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence", "attrs_inline"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

html_theme = "furo"
html_title = "multimodal-bounds"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False


def _fingerprint() -> str:
    """Of everything that the output of a page may depend on: a change there runs the pages again."""
    found = hashlib.sha256(sys.version.encode())
    for folder, pattern in (
        ("bounds", "*"),
        ("toy_models", "*.py"),
        ("docs", "*.py"),
        ("notebooks", "*.py"),
        ("benchmarks/results", "*.json"),
        ("results/quick", "*.json"),
    ):
        for path in sorted((ROOT / folder).rglob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(str(path.relative_to(ROOT)).encode())
                found.update(path.read_bytes())
    return found.hexdigest()[:16]


# Code cells run when a page or anything that it shows has changed. A cell that fails fails the build.
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build" / "pages-cache" / _fingerprint())
nb_execution_timeout = 120
nb_execution_in_temp = True  # pages write files
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_markdown_format = "myst"  # tables too
nb_ipywidgets_js = {}  # no page has widgets, and these would come from elsewhere
nb_render_image_options = {"align": "center"}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

#: Modules of the public names, which are documented under the name that a user imports.
PUBLIC = (
    "bounds",
    "toy_models",
    "bounds.strategies",
    "bounds.theorems",
    "bounds.plots",
    "bounds.ladder",
    "bounds.information_atoms",
    "toy_models.datasets",
)
# Signatures and docstrings are there without it.
autodoc_mock_imports = [] if importlib.util.find_spec("torch") else ["torch"]
#: Names of other projects, whose inventories are on the network.
nitpick_ignore_regex = [
    (r"py:.*", r"(numpy|np|scipy|sympy|matplotlib|hypothesis|st|pathlib|fractions|numbers|typing|types)\..*"),
    (r"py:.*", r".*~?collections\.abc\..*|Axes|Figure"),
]


def _known_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """A reference to where an object is defined becomes one to the name under which it is documented.

    What is not documented but is there stays text. So a reference fails if it names nothing.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].lstrip("~.")
    domain = env.domains["py"]
    head, _, last = target.rpartition(".")
    for module in PUBLIC:
        owner = head.rpartition(".")[2]
        for name in (f"{module}.{owner}.{last}", f"{module}.{last}"):
            if name in domain.data["objects"]:
                return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)
    return content if _exists(target) else None


def _exists(target: str) -> bool:
    """Whether some module of the project has that name, which may be written with or without its module."""
    module, _, name = target.rpartition(".")
    if target in sys.modules:
        return True
    if module and module not in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    modules = [module] if module else [one for one in sys.modules if one.partition(".")[0] in ("bounds", "toy_models")]
    return any(hasattr(sys.modules.get(one), name) for one in modules)


def _before_napoleon(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Two habits of our docstrings that Napoleon takes for something else."""
    if what in ("property", "attribute", "data"):  # what stands before a colon is no type but a sentence
        lines[:0] = ["..", ""]
    if what in (
        "class",
        "exception",
    ):  # `low, high: text` under Attributes is two attributes, of which both have the text
        found: list[str] = []
        for line in lines:
            several = re.fullmatch(r"( {4,})(\w+(?:, \w+)+)(: .*)", line)
            found += [f"{several[1]}{one}{several[3]}" for one in several[2].split(", ")] if several else [line]
        lines[:] = found


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _before_napoleon, priority=400)
    app.add_lexer("modules", TextLexer)  # the list in architecture.md
    app.connect("missing-reference", _known_name)
