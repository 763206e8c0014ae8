"""docs/experiments.md says what the committed results say."""

import json
from pathlib import Path

import pytest

from bounds import full, mmvae, mopoe, optimal_elbo
from toy_models.datasets.noisy_label import NoisyLabel
from toy_models.gaussian_encoder_fit import fit_gaussian_encoders

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


@pytest.mark.parametrize("count", [2, 3])
def test_the_page_says_what_gaussian_encoders_cost(count):
    """The table's rows of few bits, to the digits printed."""
    page = (ROOT / "docs" / "experiments.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| {count} |"))
    law = NoisyLabel(count, 2, 2, 0, 1, 0.3).to_discrete()
    columns = [(full, {"prior": True}), (mmvae, {}), (mopoe, {"shared": False, "starts": 4}), (mopoe, {"starts": 8})]
    for printed, (scheme, options) in zip(row.split("|")[2:-1], columns, strict=True):
        best = optimal_elbo(law, scheme(count), tol=1e-5).low
        cost = best - fit_gaussian_encoders(law, scheme(count), **options).elbo
        assert abs(cost - float(printed)) < 0.0005 + 2e-5
