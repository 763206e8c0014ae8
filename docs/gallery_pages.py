"""The gallery: a page for each notebook that is in ``notebooks/`` when the documentation is built.

marimo runs a notebook as it is when it is opened, and what it shows is kept. What only works in a browser with a kernel
behind it becomes text: a formula, a remark, and the controls with the values that they start with.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = Path(__file__).parents[1]
PAGES = Path(__file__).parent / "gallery"

_CONTROL = re.compile(
    r"<marimo-(?:slider|dropdown|number|checkbox|switch|radio|text|text-area)\s(?P<attributes>[^>]*)>"
)
_ATTRIBUTE = re.compile(r"data-([a-z-]+)='([^']*)'")


def as_page(notebook: dict, source: str) -> str:
    """The Markdown of a page, from what marimo exported as a Jupyter notebook."""
    parts = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            parts.append("".join(cell["source"]))
        parts += [_shown(output) for output in cell.get("outputs", ())]
    title, *rest = filter(None, parts)
    return "\n\n".join([title, f"`marimo run {source}`", *rest, _source(source)]) + "\n"


def _listed(source: Path) -> str:
    """The picture of a notebook in a browser, if there is one: of ``02_a_name.py`` it is ``notebook-2-a-name.png``."""
    number, _, name = source.stem.partition("_")
    picture = f"images/notebook-{number.lstrip('0')}-{name.replace('_', '-')}.png"
    title = name.replace("_", " ")
    return f"[![{title}](../{picture}){{width=640px}}]({source.stem}.md)" if (PAGES.parent / picture).exists() else ""


def _shown(output: dict) -> str:
    data = output.get("data", {})
    text = "".join(data.get("text/html") or data.get("text/markdown") or "")
    if "&lt;marimo-" in text:  # what marimo exports of a control alone
        text = html.unescape(text)
    controls = [_control(dict(_ATTRIBUTE.findall(found["attributes"]))) for found in _CONTROL.finditer(text)]
    said = "*Controls, as they start:* " + "; ".join(controls) + "." if controls else ""
    if "<marimo-file" in text:
        said = "*Controls:* files to be read in place of the example."
    if said and not re.search("<(svg|table)", text):  # nothing but controls and their labels
        return said
    shown = f'```{{raw}} html\n<div class="notebook">{static(text)}</div>\n```' if text else ""
    return "\n\n".join(filter(None, [said, shown]))


def _control(attributes: dict[str, str]) -> str:
    """Its label and the value that it starts with, of the attributes of its element."""
    label = _plain(json.loads(html.unescape(attributes["label"])) or "")
    value = json.loads(html.unescape(attributes["initial-value"]))
    steps = json.loads(html.unescape(attributes.get("steps", "[]")))
    if steps:  # a slider counts them
        value = steps[int(value)]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, bool):
        value = "on" if value else "off"
    return f"{label} **{value}**" if label else f"**{value}**"


def _plain(text: str) -> str:
    """Words without elements; formulas as Markdown has them."""
    text = re.sub(r"<marimo-tex[^>]*>\|\|\((.*?)\|\|\)</marimo-tex>", r"$\1$", text, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", text)).strip()


def static(text: str) -> str:
    """HTML that needs no marimo: formulas for MathJax, and what a remark says."""

    def formula(found: re.Match[str]) -> str:
        return f'<span class="math notranslate nohighlight">\\({found[1]}\\)</span>'

    def remark(found: re.Match[str]) -> str:
        inside = json.loads(html.unescape(dict(_ATTRIBUTE.findall(found[1]))["html"]))
        return f"<blockquote>{static(inside)}</blockquote>"

    text = re.sub(r"<marimo-tex[^>]*>\|\|\((.*?)\|\|\)</marimo-tex>", formula, text, flags=re.DOTALL)
    text = re.sub(r"<marimo-callout-output ([^>]*)></marimo-callout-output>", remark, text)
    text = re.sub(r""" class=["'][^"']*prose[^"']*["']""", "", text)  # of marimo's own style sheet
    return re.sub(r"</?marimo-[^>]*>", "", text)


def _source(path: str) -> str:
    return (
        "```{raw} html\n<details><summary>The notebook's source</summary>\n```\n\n"
        f"```{{literalinclude}} ../../{path}\n:language: python\n```\n\n```{{raw}} html\n</details>\n```"
    )


def write_pages(app: Sphinx) -> None:
    """A page for each notebook, and the list of them; pages of notebooks that are gone are removed."""
    PAGES.mkdir(exist_ok=True)
    kept = Path(app.config.nb_execution_cache_path) / "gallery"
    kept.mkdir(parents=True, exist_ok=True)
    wanted = {PAGES / "index.md": _INDEX}
    for notebook in sorted((ROOT / "notebooks").glob("*.py")):
        exported = kept / f"{notebook.stem}.ipynb"
        if not exported.exists():
            command = [sys.executable, "-m", "marimo", "export", "ipynb", str(notebook), "-f", "-o", str(exported)]
            run = subprocess.run([*command, "--include-outputs"], capture_output=True, text=True, cwd=kept, check=False)
            if run.returncode:
                logging.getLogger(__name__).warning("%s: %s", notebook.name, (run.stderr or run.stdout).strip())
                if not exported.exists():
                    continue
                exported.rename(exported := exported.with_suffix(".failed"))
        found = json.loads(exported.read_text(encoding="utf-8"))
        wanted[PAGES / "index.md"] += f"\n{_listed(notebook)}\n"
        wanted[PAGES / f"{notebook.stem}.md"] = as_page(found, f"notebooks/{notebook.name}")
    for page in set(PAGES.glob("*")) - set(wanted):
        page.unlink()
    for page, text in wanted.items():
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


_INDEX = """\
# Gallery

Notebooks in which everything can be moved, as they look when they are opened. `marimo run` starts one of them,
`marimo edit` shows its cells; both come with the extra `notebooks`.

```{toctree}
:maxdepth: 1
:glob:

[0-9]*
```
"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
