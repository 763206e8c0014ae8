"""docs/experiments.md says what the committed results say."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "results" / "quick").glob("*.json"))


def test_there_are_results():
    assert len(RESULTS) == 7


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_page_quotes_the_finding_and_shows_the_figure(path):
    page = (ROOT / "docs" / "experiments.md").read_text()
    found = json.loads(path.read_text())
    words = " ".join(line.removeprefix("> ") for line in page.splitlines())
    assert found["sentence"] in words
    assert found["question"] in words
    assert f"../results/quick/{path.stem}.png" in page
    assert path.with_suffix(".png").exists()
    assert found["agrees"] == all(found["checks"].values())
    assert found["agrees"] or "do not agree" in page
