"""Pictures: the layout that is kept from one to the next changes none of them, and no text leaves its picture."""

from __future__ import annotations

import gc
import re
from typing import Any

import pytest

from bounds import irreducible_error, mmvae, plots
from bounds.information_atoms import information_atoms
from bounds.pictures import _LAYOUTS, picture, settle
from toy_models.playground import alike_bits

#: Ends of the axis: labels of one digit, of many, with a sign, and as at first.
TOPS = (1.0, 123456.0, -0.001, 1.0)


def line(top: float, ax: Any) -> None:
    ax.plot([0, 1], [0, top], label="a line")
    ax.set_ylabel("height")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1))


def bars(correlation: float, ax: Any) -> None:
    plots.information_diagram(information_atoms(alike_bits(3, correlation).entropy_vector(), [mmvae(3)]), ax)


def growth(correlation: float, ax: Any) -> None:
    plots.growth(irreducible_error(alike_bits(4, correlation), "mmvae"), ax)


@pytest.mark.parametrize(
    ("draw", "values"), [(line, TOPS), (bars, (0.1, 0.5, 0.9, 1.0)), (growth, (0.0, 0.01, 0.5, 1.0))]
)
def test_a_picture_does_not_depend_on_what_was_drawn_before(draw: Any, values: tuple[float, ...]) -> None:
    def drawn(value: float) -> str:
        return picture(draw, value, alt="numbers").svg

    after_others = [drawn(value) for value in values]
    for value, svg in zip(values, after_others, strict=True):
        _LAYOUTS.clear()
        assert drawn(value) == svg
    assert len(set(after_others)) == len(set(values))


@pytest.mark.parametrize("top", TOPS)
def test_text_and_axes_fill_the_picture_and_do_not_leave_it(top: float) -> None:
    width, height = (72 * inches for inches in (3.3, 2.6))
    picture(line, top, alt="numbers", size=(3.3, 2.6))
    left, upper, right, lower = _LAYOUTS["line", (3.3, 2.6)].reach
    assert 0 <= left < 6
    assert width - 6 < right <= width
    assert 0 <= upper < 12  # the legend has a frame
    assert height - 12 < lower <= height


def test_a_kept_layout_that_is_too_narrow_would_cut_text() -> None:
    """What the comparison of reaches is for: the same axes with longer labels."""
    reaches = {}
    for top in TOPS[:2]:
        picture(line, top, alt="numbers")
        reaches[top] = _LAYOUTS["line", (plots.COLUMN, 2.6)].place.x0
    assert reaches[123456.0] > reaches[1.0] + 0.05


def test_a_picture_names_itself_and_shares_no_ids() -> None:
    one, other = (picture(line, top, alt=f"up to {top} <nats>").svg for top in TOPS[:2])
    assert 'aria-label="up to 1.0 &lt;nats&gt;"' in one
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((one, other), ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)) <= own


def test_what_is_settled_is_searched_for_cycles_no_more_and_only_once() -> None:
    settle.cache_clear()
    try:
        settle()
        settled = gc.get_freeze_count()
        later = [[] for _ in range(1000)]
        settle()
        assert gc.get_freeze_count() < settled + len(later)
        assert settled > len(later)
    finally:
        gc.unfreeze()
