"""How soon a notebook shows something, and how soon it follows a slider, in a real Chromium.

    python benchmarks/notebooks.py [--quick]

The first paint is from asking for the page to its title, and to its first result; each in a fresh page of a server that
is warm. A slider's answer is from the press of a key to the frame that shows the first new number of a table or a list,
the first new picture, and the last one; the slider moves on, so that no position is seen twice. The first notebook
draws one of three pictures: each is measured, with up to six modalities. Needs Chromium and the ``browser`` extra, for
which ``make test-browser`` also asks.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import harness
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
#: Notes when after a key press numbers and pictures change, in milliseconds, once a frame. A picture's ids tell it.
WATCH = """() => {
    const all = (where, what) => Array.from(document.querySelectorAll(where), what).join();
    const numbers = () => all("table, ol", one => one.textContent);
    const pictures = () => all("svg[role=img]", one => one.querySelector("[id]")?.id);
    document.addEventListener("keydown", event => {
        const mine = window.answer = {numbers: [], pictures: [], last: performance.now()};
        let shown = [numbers(), pictures()];
        const look = () => {
            const now = [numbers(), pictures()];
            mine.last = now.join() == shown.join() ? mine.last : performance.now();
            if (now[0] != shown[0]) mine.numbers.push(mine.last - event.timeStamp);
            if (now[1] != shown[1]) mine.pictures.push(mine.last - event.timeStamp);
            shown = now;
            if (mine === window.answer) requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, true);
}"""
ANSWERED = "window.answer.pictures.length && performance.now() - window.answer.last > 700"
#: Pictures of the first notebook.
LADDER, GROWTH, SHARES = "floor, ceilings, optimum", "growth with modalities", "who shares what"
#: Modalities, scheme and picture. Who shares what is drawn for up to four; for them the optimum is searched for, which
#: takes MoPoE's the longest.
DIALS = [
    *product(range(2, 7), ["mmvae"], [LADDER, GROWTH]),
    *product(range(2, 5), ["mmvae"], [SHARES]),
    *product(range(2, 5), ["mopoe"], [LADDER]),
]
#: By name of a notebook, the slider that is moved and how often.
SLIDERS = {"02_quoted_inequality": (1, 20), "04_training": (1, 15), "06_audit": (2, 10)}


@contextmanager
def served() -> Iterator[str]:
    """The notebooks, as ``make explore`` serves them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "marimo", "run", "--headless", "--no-token", "--port", str(port), "notebooks"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def paint(page: Page, url: str) -> dict[str, float]:
    """Seconds to the title, and to the first picture or, where there is none, the last heading."""
    start = time.perf_counter()
    page.goto(url)
    page.locator("h1").first.wait_for()
    title = time.perf_counter() - start
    page.locator("svg[role=img]:visible, iframe:visible, table:visible").first.wait_for()
    return {"title": title, "first result": time.perf_counter() - start}


def answers(page: Page, slider: int, times: int) -> dict[str, float]:
    """Median seconds from a key on a slider to the first number, the first picture and the last picture that is new."""
    runs = []
    page.wait_for_timeout(1500)  # for what went before
    page.get_by_role("slider").nth(slider).focus()
    for _ in range(times):
        page.keyboard.press("ArrowRight")
        page.wait_for_function(ANSWERED)
        seen = page.evaluate("window.answer")
        found = {"number": seen["numbers"], "first picture": seen["pictures"], "last picture": seen["pictures"][-1:]}
        runs.append({name: times[0] / 1000 for name, times in found.items() if times})
    return medians(runs)


def opened(browser: Browser, url: str) -> Page:
    """A page that shows a picture and watches for key presses."""
    page = browser.new_page(viewport={"width": 1100, "height": 2400})
    page.goto(url)
    page.locator("svg[role=img]").first.wait_for()
    page.evaluate(WATCH)
    return page


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs if name in run), 3) for name in runs[0]}


def main() -> None:
    arguments = harness.arguments(__doc__, "notebooks").parse_args()
    rounds = 1 if arguments.quick else 3
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        sys.exit("no Chromium: install it (Debian: apt install chromium)")
    found: dict[str, Any] = {"unit": "seconds, medians", "paint": {}, "slider": {}, "machine": harness.machine()}
    found["versions"] = harness.versions("marimo", "matplotlib", "playwright", "numpy")
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        for path in sorted((ROOT / "notebooks").glob("*.py")):
            runs = []
            for _ in range(rounds + 1):
                page = browser.new_page()
                runs.append(paint(page, f"{address}/?file={path.name}"))
                page.close()
            found["paint"][path.stem] = medians(runs[1:])  # the first one starts the server's process
            print(path.stem, found["paint"][path.stem])
        page = opened(browser, f"{address}/?file=01_irreducible_error.py")
        for count, scheme, view in DIALS:
            page.locator("select").first.select_option(label=scheme)
            page.get_by_role("radio", name=view).click()
            page.get_by_role("slider").nth(1).focus()
            page.keyboard.press("Home")
            page.get_by_role("slider").first.focus()
            page.keyboard.press("Home")
            for _ in range(count - 2):
                page.keyboard.press("ArrowRight")
            name = f"01_irreducible_error, {count} modalities, {scheme}, {view}"
            found["slider"][name] = answers(page, 1, 2 * rounds)
        page.close()
        for name, (slider, times) in SLIDERS.items():
            page = opened(browser, f"{address}/?file={name}.py")
            found["slider"][name] = answers(page, slider, min(times, 4 * rounds))
            page.close()
        for name, times in found["slider"].items():
            print(name, times)
        browser.close()
    harness.save(found, arguments.out, "notebooks", arguments.quick)


if __name__ == "__main__":
    main()
