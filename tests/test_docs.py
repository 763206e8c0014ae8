"""The pages of the documentation: links, code, completeness; and faults of each kind that must be found."""

import re
import subprocess
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from pages_common import (
    ROOT,
    anchors,
    blocks,
    broken_links,
    commands,
    failing_cell,
    slug,
    unknown_command,
    wrong_examples,
)

from bounds.theorems import REGISTRY

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "gallery" not in path.relative_to(DOCS).parts)
OUTSIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
CELLS = [page for page in PAGES if "{code-cell}" in page.read_text(encoding="utf-8")]
#: Pages of examples with prompts, and the test that runs them.
PROMPTS = {"audit-your-model.md": "test_evaluate_torch.py", "property-testing.md": "test_strategies.py"}


def name(path):
    return str(path.relative_to(ROOT))


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES + OUTSIDE, ids=name)
def test_links_lead_somewhere(page):
    assert not broken_links(page)


@pytest.mark.parametrize(
    "link",
    [
        "[a](nowhere.md)",
        "![a](nowhere.png)",
        "[a](there.md#no-such-heading)",
        "[a](#no-heading)",
        "[T2] says",
        "[b]: no.md",
    ],
)
def test_a_broken_link_is_found(tmp_path, link):
    (tmp_path / "there.md").write_text("# A heading\n")
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n[fine](there.md#a-heading), [fine](#page), [fine](https://example.org)\n\n{link}\n")
    assert len(broken_links(page)) == 1
    page.write_text(page.read_text().replace(link, f"`{link}` and\n\n```\n{link}\n```\n"))
    assert not broken_links(page), "what stands in code is no link"


def test_anchors_are_those_of_github():
    assert slug("T2.slack: The exact slack of `x`, *proved*") == "t2slack-the-exact-slack-of-x-proved"
    assert anchors("# One\n\n(two)=\n## Three, four\n\n```\n# no heading\n```\n") == {"one", "two", "three-four"}


def test_every_page_is_in_a_table_of_contents():
    listed = set()
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.kind == "{toctree}":
                entries = [line for line in block.text.splitlines() if line and not line.startswith(":")]
                listed |= {(page.parent / f"{entry}.md").resolve() for entry in entries}
    assert set(PAGES) - listed == {DOCS / "index.md"}


# --- code -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", CELLS, ids=name)
def test_cells_run(page, tmp_path, monkeypatch):
    """Where Sphinx is installed ``make docs`` runs them as well, and shows what they print."""
    text = page.read_text(encoding="utf-8")
    if "IPython" in text:
        pytest.importorskip("IPython", reason="cells that show Markdown need IPython (extra: docs)")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    assert failing_cell(text) is None


def test_a_cell_that_fails_is_found():
    page = "```{code-cell} ipython3\n:tags: [hide-input]\nx = 1\n```\n\n```{code-cell} ipython3\nassert x == {}\n```\n"
    assert failing_cell(page.replace("{}", "1")) is None
    assert failing_cell(page.replace("{}", "2")) == "cell in line 6: AssertionError: "
    assert "ends with 1" in failing_cell('```{code-cell} ipython3\n%%bash\nbounds prove "H(X) <= 0"\n```\n')
    assert "ends with 2" in failing_cell("```{code-cell} ipython3\n%%bash\nbounds irreducible nothing.csv\n```\n")


def test_examples_with_prompts_are_run():
    found = {page.name for page in PAGES if re.search(r"^ *>>> ", page.read_text(encoding="utf-8"), re.MULTILINE)}
    assert found == set(PROMPTS)
    for page, test in PROMPTS.items():
        assert page in (ROOT / "tests" / test).read_text(encoding="utf-8")


def test_python_outside_cells_has_prompts():
    """Or nothing would run it."""
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.kind in ("python", "pycon"):
                assert block.text.lstrip().startswith(">>>"), f"{name(page)}, line {block.line}"


def test_a_wrong_output_is_found():
    page = "Text.\n\n```python\n>>> from bounds import mmvae\n>>> mmvae(2).label\n'mmvae'\n\n```\n"
    assert not wrong_examples(page, "page")
    assert "Expected:\n    'mopoe'" in "".join(wrong_examples(page.replace("'mmvae'", "'mopoe'"), "page"))


@pytest.mark.parametrize("page", PAGES + OUTSIDE, ids=name)
def test_commands_exist(page):
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.kind in ("sh", "bash", "console", "{code-block} console"):
            for words in commands(block.text):
                assert unknown_command(words) is None


@pytest.mark.parametrize(
    "command",
    ["bounds irreducible x.csv --shceme mmvae", "bounds guess x.csv", "make tset", ".venv/bin/bounds demo --htm"],
)
def test_an_unknown_command_is_found(command):
    (words,) = commands(f"{command}  # a remark\n")
    assert unknown_command(words)
    assert unknown_command(["git", "clone"]) is None


# --- completeness ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["bounds", "toy_models", "bounds.theorems"])
def test_every_public_name_is_documented_once(module):
    """``bounds.strategies`` and ``bounds.plots`` are documented whole."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    directive = rf"^\.\. auto(?:class|data|exception|function):: {re.escape(module)}\.(\w+)$"
    listed = re.findall(directive, text, re.MULTILINE)
    assert sorted(listed) == sorted(import_module(module).__all__)


def test_every_theorem_is_explained():
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "theory").glob("*.md"))
    used = set(re.findall(r"\[((?:T|COR)\d[\w.-]*)\](?![(:])", text))
    assert set(REGISTRY) - used == set()


def test_every_benchmark_result_has_its_machine():
    import json

    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert {"cpu", "cores", "system", "python"} <= set(found["machine"])
        assert found["versions"]


# --- the build ------------------------------------------------------------------------------------------------------


def extension(module):
    """A module of docs/, which is no package."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed (extra: docs)")
    spec = spec_from_file_location(module, DOCS / f"{module}.py")
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_what_a_page_loads_from_elsewhere_is_found():
    external = extension("offline").external_resources
    fine = '<a href="https://example.org">x</a><img src="data:image/png;base64,AA"><link rel="canonical" href="https://e.org">'
    assert external(fine + '<script src="_static/a.js"></script><img src="_images/b.png">') == []
    for planted in (
        '<script src="https://e.org/a.js"></script>',
        "<script src='//e.org/a.js'></script>",
        '<link rel="stylesheet" href="http://e.org/a.css">',
        '<link href="https://fonts.e.org/f" rel="preconnect">',
        '<img src="https://e.org/a.png">',
        '<div style="background: url(https://e.org/a.png)"></div>',
        '<style>@import "https://e.org/a.css";</style>',
        '<iframe src="https://e.org"></iframe>',
    ):
        assert len(external(fine + planted)) == 1


def test_the_gallery_shows_what_a_notebook_shows():
    gallery = extension("gallery_pages")
    slider = (
        "<marimo-ui-element><marimo-slider data-initial-value='2' data-steps='[10, 20, 30]' "
        "data-label='&quot;&lt;span&gt;examples&lt;/span&gt;&quot;'></marimo-slider></marimo-ui-element>"
    )
    formula = '<p class="markdown prose contents"><marimo-tex class="x">||(a \\le b||)</marimo-tex></p>'
    remark = "<marimo-callout-output data-html='&quot;no&quot;' data-kind='&quot;danger&quot;'></marimo-callout-output>"
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["# Title"]},
            {"cell_type": "code", "source": ["x"], "outputs": [{"data": {"text/html": slider}}]},
            {"cell_type": "code", "source": ["y"], "outputs": [{"data": {"text/html": [formula, remark]}}]},
        ]
    }
    page = gallery.as_page(notebook, "notebooks/n.py")
    assert page.startswith("# Title\n")
    assert "examples **30**" in page
    assert '<span class="math notranslate nohighlight">\\(a \\le b\\)</span>' in page
    assert "<blockquote>no</blockquote>" in page
    assert "marimo-" not in page
    assert "prose" not in page


def test_the_gallery_keeps_a_picture_that_stands_beside_a_control():
    gallery = extension("gallery_pages")
    radio = (
        "<marimo-ui-element><marimo-radio data-initial-value='&quot;growth&quot;' data-label='null'></marimo-radio>"
        "</marimo-ui-element>"
    )
    output = {"data": {"text/html": f"<div>{radio}<svg role='img'></svg></div>"}}
    page = gallery.as_page({"cells": [{"cell_type": "code", "source": [], "outputs": [output]}] * 2}, "n.py")
    assert "**growth**" in page
    assert "<svg role='img'></svg>" in page
    assert "marimo-" not in page


def test_the_documentation_is_built_without_warnings():
    """In a minute or two, so not here: ``.ci/run`` makes it, with warnings as errors."""
    assert "make docs" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    planned = subprocess.run(["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"sphinx .*-W --keep-going -n docs build/docs", planned)
