"""Notebooks and the report page in a real Chromium: a slider moves, a number and a picture follow, nothing is fetched.

Run by ``make test-browser``; with ``SCREENSHOTS=folder`` pictures of all pages are written there.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from contrast_common import contrast

import bounds
from bounds.ladder import ladders
from bounds.report import to_html

pytest.importorskip("marimo", reason="marimo is not installed: make test-browser installs it")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test-browser does it")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCREENSHOTS = os.environ.get("SCREENSHOTS")
#: Seconds until a page must show something, and until it must have followed a slider: to end, not to measure.
PATIENCE = 60
WIDTH = 1100

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install it (Debian: apt install chromium)")


def is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("blob", "data", "file") or parts.hostname in ("127.0.0.1", "localhost")


class Watched:
    """A page that may ask this computer only; whatever else it asks for is refused and kept."""

    def __init__(self, browser: Any, scheme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme=scheme)
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.route(lambda url: not is_local(url), self._refuse)
        self.page.on("websocket", lambda socket: self.foreign.append(socket.url) if not is_local(socket.url) else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _refuse(self, route: Any) -> None:
        self.foreign.append(route.request.url)
        route.abort()

    def open(self, url: str, until: str) -> Any:
        self.page.goto(url)
        self.page.get_by_text(until).first.wait_for()
        return self.page

    def keep(self, name: str) -> None:
        """A picture of the whole page, if pictures are asked for."""
        if SCREENSHOTS is None:
            return
        self.page.locator(
            "img[alt]:visible, svg[role=img]:visible, figure:visible, table:visible, iframe:visible, h1"
        ).first.wait_for()
        tallest = "Math.max(...Array.from(document.querySelectorAll('*'), one => one.scrollHeight))"
        heights = [0]
        while len(heights) < 20 or len(set(heights[-20:])) > 1:  # nothing has grown for two seconds
            heights.append(self.page.evaluate(tallest))
            self.page.wait_for_timeout(100)
        self.page.set_viewport_size({"width": WIDTH, "height": min(heights[-1], 2600)})
        self.page.wait_for_timeout(500)  # for what moves when the window grows
        folder = ROOT / SCREENSHOTS
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / f"{name}.png")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def watched(browser: Any) -> Iterator[Watched]:
    watched = Watched(browser)
    yield watched
    watched.page.close()
    assert watched.foreign == [], "the page asked for something that is not on this computer"
    assert watched.errors == []


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The notebooks, served as ``make explore`` does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "marimo", "run", "--headless", "--no-token", "--port", str(port), "notebooks"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + PATIENCE
        while not answers(address):
            assert process.poll() is None, "marimo ended"
            assert time.monotonic() < until, "marimo does not answer"
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def changed(page: Any, look: Callable[[], Any], before: Any) -> Any:
    """What is seen once it differs from before."""
    until = time.monotonic() + PATIENCE
    while (now := look()) == before:
        assert time.monotonic() < until, f"still {str(before)[:80]}"
        page.wait_for_timeout(20)
    return now


def settled(page: Any, look: Callable[[], Any]) -> Any:
    """What is seen once it has been the same for half a second; an answer may be drawn in more than one step."""
    until = time.monotonic() + PATIENCE
    now, since = look(), time.monotonic()
    while time.monotonic() - since < 0.5:
        page.wait_for_timeout(20)
        if (seen := look()) != now:
            assert time.monotonic() < until, "it does not come to rest"
            now, since = seen, time.monotonic()
    return now


def press(page: Any, slider: int, key: str, times: int = 1) -> None:
    handle = page.get_by_role("slider").nth(slider)
    handle.focus()
    for _ in range(times):
        handle.press(key)


def test_a_slider_of_the_irreducible_error_moves_numbers_and_pictures(server: str, watched: Watched) -> None:
    page = watched.open(f"{server}/?file=01_irreducible_error.py", "What to try")

    def loss() -> str:
        return str(page.locator("tr", has_text="irreducible ELBO loss").locator("td").nth(1).inner_text())

    def picture() -> str:
        all_at_once = "svgs => svgs.map(svg => svg.getAttribute('aria-label') + svg.innerHTML).join()"
        return str(page.locator("svg[role=img]").evaluate_all(all_at_once))

    page.locator("svg[role=img]").wait_for()
    assert loss() == "0.065228"  # three modalities that share 0.3 nats
    before = picture()
    assert before.startswith("numbers above and below the ELBO")
    watched.keep("notebook-1-irreducible-error")
    moves: list[str] = []
    page.on("request", lambda request: moves.append(request.url) if "set_ui_element_value" in request.url else None)
    press(page, 0, "ArrowRight")  # one modality more
    assert float(changed(page, loss, "0.065228")) > 0.1
    changed(page, picture, before)
    before = settled(page, picture)
    assert len(moves) == 1  # of a batch of elements marimo sends each move twice, and every cell may run twice
    for view, words in (("growth with modalities", "Delta and the irreducible"), ("who shares what", "a bar for what")):
        page.get_by_role("radio", name=view).click()
        changed(page, picture, before)
        before = settled(page, picture)
        assert before.startswith(words)
        press(page, 1, "ArrowRight")
        changed(page, picture, before)
        before = settled(page, picture)


def test_a_slider_of_the_playground_moves_the_verdict_and_the_picture(server: str, watched: Watched) -> None:
    page = watched.open(f"{server}/?file=02_quoted_inequality.py", "What to try")
    row = page.locator("tr", has_text="as quoted").locator("td")

    def verdict() -> str:
        return str(row.nth(1).inner_text())

    def picture() -> str:
        return str(page.locator("svg[aria-label^='both sides']").inner_html())

    before = picture()
    assert verdict() == "fails"
    watched.keep("notebook-2-quoted-inequality")
    press(page, 6, "ArrowRight")  # q(z=1|x1=0): now the encoder is wrong at times, which sharp decoders never forgive
    assert changed(page, verdict, "fails") == "holds"
    assert changed(page, picture, before) != before


#: The colours of each text of a picture and of what is behind it, as the browser computed them, as ``#rrggbb``.
COLOURS = """() => {
    const pen = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const hex = colour => {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
        return alpha ? "#" + [red, green, blue].map(one => one.toString(16).padStart(2, "0")).join("") : null;
    };
    const behind = one => one && (hex(getComputedStyle(one).backgroundColor) ?? behind(one.parentElement));
    const texts = document.querySelectorAll("svg[role=img] text");
    return Array.from(texts, one => [hex(getComputedStyle(one).fill), behind(one)]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_pictures_is_read_in_light_and_in_dark(server: str, browser: Any, scheme: str) -> None:
    watched = Watched(browser, scheme)
    page = watched.open(f"{server}/?file=01_irreducible_error.py", "What to try")
    page.locator("svg[role=img]").wait_for()
    page.get_by_role("radio", name="who shares what").click()
    page.get_by_text("counted by").wait_for()
    colours = page.evaluate(COLOURS)
    assert len(colours) > 10
    assert {contrast(paper, "#000000") < contrast(paper, "#ffffff") for _, paper in colours} == {scheme == "dark"}
    assert min(contrast(text, paper) for text, paper in colours) >= 4.5  # WCAG AA
    page.locator("svg[role=img] text").first.evaluate("(one, paper) => one.style.fill = paper", colours[0][1])
    assert min(contrast(text, paper) for text, paper in page.evaluate(COLOURS)) == 1  # what cannot be read is caught
    page.close()


def test_the_report_page_is_whole_without_a_network(tmp_path: Path, watched: Watched) -> None:
    law = bounds.Discrete([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]], names=["left", "right", "parity"])
    result = bounds.irreducible_error(law, ["mmvae", "mopoe"], source="three bits")
    target = tmp_path / "report.html"
    target.write_text(to_html(result, ladders=ladders(law, result, seconds=1)), encoding="utf-8")
    page = watched.open(target.as_uri(), "Irreducible error of three bits")
    figures = page.locator("figure").all()
    assert len(figures) >= 5
    for figure in figures:
        drawn = figure.locator("svg, img").first.bounding_box()
        assert drawn is not None
        assert min(drawn["width"], drawn["height"]) > 100
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    watched.keep("report-page")


def test_a_foreign_request_would_be_caught(browser: Any) -> None:
    watched = Watched(browser)
    watched.page.set_content("<img src='http://example.invalid/pixel.png'>")
    changed(watched.page, lambda: len(watched.foreign), 0)
    watched.page.close()
    assert watched.foreign == ["http://example.invalid/pixel.png"]


@pytest.mark.skipif(SCREENSHOTS is None, reason="no pictures asked for: make screenshots")
def test_the_list_of_notebooks_is_kept(server: str, watched: Watched) -> None:
    watched.open(server, "06 Audit")
    watched.keep("notebooks")


@pytest.mark.skipif(SCREENSHOTS is None, reason="no pictures asked for: make screenshots")
@pytest.mark.parametrize("notebook", NOTEBOOKS[2:], ids=lambda path: path.stem)
def test_the_other_notebooks_are_kept(server: str, watched: Watched, notebook: Path) -> None:
    watched.open(f"{server}/?file={notebook.name}", "What to try")
    watched.keep(f"notebook-{notebook.stem[1:].replace('_', '-')}")
