"""docs/theorems.md is what the registry says."""

from pathlib import Path

from bounds.theorem_report import verdicts_to_markdown
from bounds.theorems import find, verify

#: The page holds no counts and no margins, so fewer examples than the default give the same page as long as every
#: counterexample is found among them; it is written by `bounds theorems --markdown docs/theorems.md`.
EXAMPLES = 60
PAGE = Path(__file__).parents[1] / "docs" / "theorems.md"


def test_the_page_of_theorems_is_not_stale():
    page = verdicts_to_markdown(find(), verify(examples=EXAMPLES))
    assert PAGE.read_text(encoding="utf-8") == page, "run: bounds theorems --markdown docs/theorems.md"
