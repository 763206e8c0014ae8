"""How soon a notebook shows something, and how soon it follows a slider, in a real Chromium.

    python benchmarks/notebooks.py [--quick]

The first paint is from asking for the page to its title, the first picture from there to the last picture of the
page; each in a fresh page of a server that is warm. A slider's answer is from the press of a key to the number in the
table, and to the last picture that follows, of notebook 1 with two to six modalities. Needs Chromium and the
``browser`` extra, for which ``make test-browser`` also asks.
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
from pathlib import Path
from typing import Any

import harness
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NUMBER = "Array.from(document.querySelectorAll('tr')).find(r => r.innerText.startsWith('entropy'))?.innerText"
PICTURES = "Array.from(document.querySelectorAll('svg[role=img]'), one => one.querySelector('[id]').id).join()"


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


def settled(page: Page) -> None:
    """Waits until pictures have not changed for half a second."""
    last, since = "", time.perf_counter()
    while time.perf_counter() - since < 0.5:
        now = page.evaluate(PICTURES)
        if now != last or not now:
            last, since = now, time.perf_counter()
        page.wait_for_timeout(20)


def paint(page: Page, url: str) -> dict[str, float]:
    """Seconds to the title, and to the first picture or, where there is none, the last heading."""
    start = time.perf_counter()
    page.goto(url)
    page.locator("h1").first.wait_for()
    title = time.perf_counter() - start
    page.locator("svg[role=img]:visible, iframe:visible, table:visible").first.wait_for()
    return {"title": title, "first result": time.perf_counter() - start}


def answer(page: Page, key: str) -> dict[str, float]:
    """Seconds from a key on the slider of shared information to the number, to the curve, to all pictures."""
    settled(page)
    number, pictures = page.evaluate(NUMBER), page.evaluate(PICTURES)
    page.get_by_role("slider").nth(1).focus()
    start = time.perf_counter()
    page.keyboard.press(key)
    page.wait_for_function(f"before => ({NUMBER}) !== before", arg=number, polling=5)
    found = {"number": time.perf_counter() - start}
    page.wait_for_function(f"before => ({PICTURES}) !== before", arg=pictures, polling=5)
    found["first picture"] = time.perf_counter() - start
    last, since = page.evaluate(PICTURES), time.perf_counter()
    while time.perf_counter() - since < 1.0:
        page.wait_for_timeout(5)
        if (now := page.evaluate(PICTURES)) != last:
            last, since = now, time.perf_counter()
    found["last picture"] = since - start
    return found


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


def main() -> None:
    arguments = harness.arguments(__doc__, "notebooks").parse_args()
    rounds = 2 if arguments.quick else 5
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
        page = browser.new_page(viewport={"width": 1100, "height": 2400})
        page.goto(f"{address}/?file=01_irreducible_error.py")
        page.locator("svg[role=img]").first.wait_for()
        for count in range(2, 7):
            page.get_by_role("slider").first.focus()
            page.keyboard.press("Home")
            for _ in range(count - 2):
                page.keyboard.press("ArrowRight")
            page.wait_for_timeout(1500)
            runs = [answer(page, key) for key in ["ArrowRight", "ArrowLeft"] * rounds]
            found["slider"][f"{count} modalities"] = medians(runs)
            print(count, found["slider"][f"{count} modalities"])
        browser.close()
    harness.save(found, arguments.out, "notebooks", arguments.quick)


if __name__ == "__main__":
    main()
