"""What is wrong with a page of the documentation: links that lead nowhere, code that does not run or says otherwise."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Block(NamedTuple):
    """A fenced block of a page: what stands behind the fence, its text and its line."""

    kind: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page; of nested ones, as in a list, the inner ones."""
    fence = re.compile(r"^(?P<fence>```+)(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
    for found in fence.finditer(page):
        yield Block(found["kind"].strip(), found["text"], page.count("\n", 0, found.start()) + 1)


def prose(page: str) -> str:
    """A page without code and formulas, in which brackets are no links."""
    page = re.sub(r"^(```+)(?!\{(?:list-table|toctree)).*?^\1[ ]*$", "", page, flags=re.MULTILINE | re.DOTALL)
    page = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", page)
    return re.sub(r"\$\$.+?\$\$|\$[^$\n]+(?:\n[^$\n]+)?\$", "", page, flags=re.DOTALL)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip()).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def anchors(page: str) -> set[str]:
    """The headings of a page outside code, and the labels that it sets."""
    text = re.sub(r"^(```+).*?^\1[ ]*$", "", page, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6} +(.+?)\s*$", text, re.MULTILINE)
    return {slug(heading) for heading in headings} | set(re.findall(r"^\(([\w.-]+)\)=$", text, re.MULTILINE))


def broken_links(path: Path) -> list[str]:
    """The links and images of a page that lead to no file, or to no heading in it."""
    text = prose(path.read_text(encoding="utf-8"))
    defined = dict(re.findall(r"^\[([^\]^]+)\]: +(\S+)$", text, re.MULTILINE))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + list(defined.values())
    wrong = [target for target in targets if not _leads_somewhere(path, target)]
    used = set(re.findall(r"\[((?:T|COR)\d[\w.-]*)\](?![(:])", text))
    return wrong + [f"[{name}] is not defined" for name in sorted(used - set(defined))]


def _leads_somewhere(path: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return True
    name, _, anchor = target.partition("#")
    file = path if not name else (path.parent / name).resolve()
    if name.startswith("gallery/"):  # made when the documentation is built
        return (ROOT / "docs" / "gallery_pages.py").exists()
    if not file.exists():
        return False
    return not anchor or anchor in anchors(file.read_text(encoding="utf-8"))


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block, in words; what they print is left out where they have a prompt."""
    joined = text.replace("\\\n", " ")
    lines = joined.splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    for line in lines:
        for part in re.split(r"&&|\|\|?", line):
            words = shlex.split(part, comments=True)
            if words:
                yield words


def unknown_command(words: list[str]) -> str | None:
    """What is wrong with a command of this project; ``None`` if nothing is, or if it is another's."""
    program = Path(words[0]).name
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return next((f"make has no {word}" for word in words[1:] if "=" not in word and word not in targets), None)
    if program not in ("bounds", "toy-models"):
        return None
    if program == "bounds":
        from bounds.cli import _parser
    else:
        from toy_models.cli import _parser
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            _parser().parse_args(words[1:])
    except SystemExit as error:
        if error.code:
            return f"{shlex.join(words)}: {said.getvalue().strip().splitlines()[-1]}"
    return None


def wrong_examples(page: str, name: str) -> list[str]:
    """The examples with prompts of a page that do not say what stands there."""
    test = doctest.DocTestParser().get_doctest(page, {}, name, name, 0)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    return said


def failing_cell(page: str) -> str | None:
    """Runs the code cells of a page one after the other, and says which fails, if one does."""
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in blocks(page):
        if not block.kind.startswith("{code-cell}"):
            continue
        code = re.sub(r"\A(?::[\w-]+:.*\n)+", "", block.text)
        try:
            if code.startswith("%%bash"):
                _run(code.removeprefix("%%bash"))
            else:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(code, f"cell in line {block.line}", "exec"), namespace)
        except Exception as error:
            return f"cell in line {block.line}: {type(error).__name__}: {error}"
    return None


def _run(script: str) -> None:
    """The commands of a cell; one may fail only if the cell says so, by ``|| true``."""
    from bounds.cli import main as bounds_main
    from toy_models.cli import main as toy_models_main

    for line in filter(str.strip, script.replace("\\\n", " ").splitlines()):
        line, allowed, _ = line.partition("|| true")
        program, *arguments = shlex.split(line)
        command = {"bounds": bounds_main, "toy-models": toy_models_main}[program]
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = command(arguments)
        except SystemExit as stop:  # --help
            code = stop.code
        if code and not allowed:
            raise RuntimeError(f"{line.strip()} ends with {code}: {said.getvalue().strip()[-200:]}")
