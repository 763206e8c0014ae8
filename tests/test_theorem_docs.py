"""docs/theorems.md is what the registry says."""

from pathlib import Path

from bounds.theorem_report import verdicts_to_markdown
from bounds.theorems import check, find

PAGE = Path(__file__).parents[1] / "docs" / "theorems.md"


def examples(theorem):
    """The page has no counts and no margins, so fewer examples than the default give the same page.

    Enough for the counterexamples of claims that fail, few for the others, which other tests check at length.
    """
    return 30 if theorem.holds and theorem.without is None else 200


def test_the_page_of_theorems_is_not_stale():
    page = verdicts_to_markdown(find(), [check(theorem, examples(theorem)) for theorem in find()])
    assert PAGE.read_text(encoding="utf-8") == page, "run: bounds theorems --markdown docs/theorems.md"
