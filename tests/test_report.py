"""What a reader sees: sentences that are exactly true, figures in the unit asked for, a page for any screen."""

import html
import io
import json
import math
import re
import warnings
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from contrast_common import contrast
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from rich.console import Console

from bounds import CommonCause, Discrete, Evaluation, Gaussian, Samples, audit, irreducible_error, mmvae, plots
from bounds.audit_report import VERDICTS, audit_to_html
from bounds.conditional_report import one_sided_to_html
from bounds.estimators.conditional import conditional_bounds
from bounds.ladder import Ladder, Rung, ladders
from bounds.quantity import Quantity
from bounds.report import (
    Cell,
    all_warnings,
    headline,
    ladder_rows,
    table_rows,
    to_html,
    to_json,
    to_terminal,
)
from bounds.report_words import GLOSSARY, GUARANTEES, LEVELS
from bounds.theorem_report import verdicts_to_html
from bounds.theorems import check, find

LN2 = math.log(2)
XOR = Discrete(np.array([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]]), ["left", "right", "parity"])
EQUICORRELATED = Gaussian(np.full((3, 3), 0.5) + 0.5 * np.eye(3))  # TCw = ln(9/8)/2 = 0.0589, Delta = 2.4913
FIGURES = (plots.losses, plots.ceilings, plots.growth, plots.entropy_profile)
MIXTURES = ("mvae", "mmvae", "mopoe")


def counted(rows=3000, seed=0):
    """An image of two columns and a text, discrete, with a label in common."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, rows)
    return {
        "image": np.column_stack([label, rng.integers(0, 2, rows)]),
        "text": (label + (rng.random(rows) < 0.2)) % 3,
    }


def measured(rows=400, dimension=2, seed=0):
    """Continuous columns with a factor in common."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(rows, 1))
    return {name: factor + rng.normal(size=(rows, dimension)) for name in ("one", "two")}


def few_rows():
    """So many values that no joint entropy can be estimated."""
    rng = np.random.default_rng(1)
    return {name: rng.integers(0, 40, 500) for name in "abc"}


def drawn(draw, result, unit="nats"):
    """The axes as a page shows them, laid out."""
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    ax = draw(result, figure.subplots(), unit)
    figure.canvas.draw()
    return ax


def heights(ax):
    """Every height that a figure shows, in the order drawn, less lines across the whole axes."""
    found = [y for line in ax.lines for y in np.asarray(line.get_ydata(), dtype=float)]
    for patch in ax.patches:
        found += patch.get_path().vertices[:, 1].tolist() if not hasattr(patch, "get_height") else [patch.get_height()]
    for collection in ax.collections:
        found += [y for segment in getattr(collection, "get_segments", list)() for y in segment[:, 1]]
        found += collection.get_offsets()[:, 1].tolist()
    return np.array(found)


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def whiskers(ax):
    """Ends of the vertical lines of a figure."""
    segments = [s for c in ax.collections if hasattr(c, "get_segments") for s in c.get_segments()]
    return [(s[0, 1], s[1, 1]) for s in segments if s[0, 0] == s[1, 0]]


def cells(result, title, unit="nats"):
    return next(row.cells for row in table_rows(result, unit) if row.title == title)


# -- the figure of the ceilings


def share_of_ceilings(ax, result, unit="nats"):
    """How much of the axis the ceilings that hold, and -H(X), take up."""
    scale = LN2 if unit == "bits" else 1
    values = [-result.entropy.value, *(b.finest.elbo_ceiling.value for b in result.schemes if b.finest.elbo_ceiling)]
    low, high = ax.get_ylim()
    assert all(low < value / scale < high for value in values)
    return (max(values) - min(values)) / scale / (high - low)


@pytest.mark.parametrize("unit", ["nats", "bits"])
def test_a_far_quoted_bound_is_an_arrow_and_the_ceilings_stay_apart(unit):
    result = irreducible_error(EQUICORRELATED, MIXTURES)
    ax = drawn(plots.ceilings, result, unit)
    assert share_of_ceilings(ax, result, unit) > 0.5  # 0.02 where the quoted bound is on the axis
    scale = LN2 if unit == "bits" else 1
    quoted = [result[name].quoted_bound.value / scale for name in ("mmvae", "mopoe")]
    assert [float(text.replace("\N{MINUS SIGN}", "-")) for text in texts(ax)] == pytest.approx(quoted, rel=1e-3)
    assert all(y < ax.get_ylim()[0] for y in quoted)


def test_a_quoted_bound_far_above_points_up():
    """In small units of measurement Delta is negative, and the quoted bound is above -H(X)."""
    result = irreducible_error(Gaussian(1e-6 * (np.full((3, 3), 0.5) + 0.5 * np.eye(3))), "mmvae")
    assert result["mmvae"].generative_discrepancy.value < 0
    ax = drawn(plots.ceilings, result)
    assert share_of_ceilings(ax, result) > 0.5
    (arrow,) = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert arrow.xy == (0, 1)
    assert arrow.get_position()[1] < 1


def test_a_quoted_bound_within_reach_is_dashed_at_its_number():
    result = irreducible_error(XOR, MIXTURES)
    ax = drawn(plots.ceilings, result)
    assert texts(ax) == []
    dashes = [s[0, 1] for c in ax.collections if hasattr(c, "get_segments") for s in c.get_segments()]
    assert sorted(dashes) == pytest.approx(sorted(b.quoted_bound.value for b in result.schemes), rel=1e-12)


def test_ceilings_that_coincide_leave_the_axis_to_the_quoted_bound():
    copy = Discrete([[0.4, 0.1], [0.1, 0.4]])
    ax = drawn(plots.ceilings, irreducible_error(copy, MIXTURES))
    low, high = ax.get_ylim()
    for bounds in irreducible_error(copy, MIXTURES).schemes:
        assert low < bounds.quoted_bound.value < high


@settings(max_examples=40)  # drawing is slow
@given(st.integers(0, 10**6))
def test_the_axis_always_holds_every_number_that_holds(seed):
    rng = np.random.default_rng(seed)
    pmf = rng.dirichlet(np.full(8, 0.5)).reshape(2, 2, 2)
    result = irreducible_error(Discrete(pmf), MIXTURES)
    figure = Figure()
    ax = plots.ceilings(result, figure.subplots())
    low, high = ax.get_ylim()
    for bounds in result.schemes:
        for quantity in (bounds.finest.elbo_ceiling, bounds.finest.published_ceiling):
            assert low < quantity.value < high
    inside = [low <= bounds.quoted_bound.value <= high for bounds in result.schemes]
    assert len(texts(ax)) == inside.count(False)


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("data", [XOR, EQUICORRELATED, counted(), measured()], ids=["xor", "gauss", "counts", "reals"])
def test_no_legend_covers_the_axes(draw, data):
    ax = drawn(draw, irreducible_error(data, MIXTURES))
    legend, axes = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.y0 >= axes.y1 - 1  # one pixel: the frame
    assert legend.x1 <= ax.figure.bbox.x1


# -- unit, interval and guarantee of every number


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("data", [XOR, EQUICORRELATED, counted()], ids=["xor", "gauss", "counts"])
def test_figures_follow_the_unit(draw, data):
    result = irreducible_error(data, MIXTURES)
    nats, bits = drawn(draw, result), drawn(draw, result, "bits")
    assert "nats per example" in nats.get_ylabel()
    assert "bits per example" in bits.get_ylabel()
    assert bits.get_xticklabels()
    assert np.abs(heights(nats)).max() > 0
    # rounding: one division
    np.testing.assert_allclose(heights(bits), heights(nats) / LN2, rtol=1e-12, atol=1e-15)


def pictures(page):
    return re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)


@pytest.mark.parametrize(("unit", "other"), [("nats", "bits"), ("bits", "nats")])
def test_the_page_names_one_unit_everywhere(unit, other):
    page = to_html(irreducible_error(counted(), [*MIXTURES, "mvae-subsampled"]), unit)
    svgs = pictures(page)
    assert len(svgs) == 5
    for svg in svgs:
        assert f"{unit} per example" in svg
        assert other not in svg
    text = re.sub(r"<svg .*?</svg>", "", page, flags=re.DOTALL)
    assert len(re.findall(f"{unit} per example", text)) >= 10  # lead, caption, table, each figure and sentence
    assert f"{other} per example" not in text
    alts = [re.search(r'aria-label="([^"]*)"', svg)[1] for svg in svgs]
    assert len(set(alts)) == 5
    assert all(unit in alt for alt in alts)


@pytest.mark.parametrize("draw", [plots.losses, plots.ceilings, plots.growth])
def test_intervals_of_estimates_are_drawn(draw):
    result = irreducible_error(counted(), "mmvae")
    found = result["mmvae"]
    wanted = {
        plots.losses: found.units.total_correlation_term,
        plots.ceilings: found.units.elbo_ceiling,
        plots.growth: found.units.total_correlation_term,
    }[draw]
    ends = whiskers(drawn(draw, result))
    assert any(pair == pytest.approx((wanted.low, wanted.high), rel=1e-12) for pair in ends)


def test_sentences_carry_interval_and_guarantee():
    (sentence,) = headline(irreducible_error(measured(), "mmvae", confidence=0.9))
    assert "assuming a Gaussian copula" in sentence
    assert re.search(r"estimated at \d\.\d{4} nats per example \(90% interval \[\d\.\d{4}, \d\.\d{4}\]", sentence)
    (sentence,) = headline(irreducible_error(measured(), "mmvae", estimator="gaussian"))
    assert "assuming a Gaussian law" in sentence
    for interval, promise in (("auto", "asymptotic"), ("guaranteed", "guaranteed")):
        (sentence,) = headline(irreducible_error(counted(), "mvae-subsampled", interval=interval), "bits")
        assert re.search(rf"cannot exceed -\d\.\d{{4}} bits per example \(95% interval \[.*\], {promise}\)", sentence)


def test_a_table_without_estimates_says_whether_the_data_support_none():
    many = Samples.from_arrays({"a": np.arange(300), "b": np.arange(300)}, {"a": "discrete", "b": "discrete"})
    page = to_html(irreducible_error(many, "mmvae"))
    assert "is exact, and the same for every law; of the others the data support none." in page


def test_the_caption_says_what_the_model_is():
    page = to_html(irreducible_error(measured(), "mmvae"))
    caption = re.search(r'id="caption">(.*?)</p>', page)[1]
    assert "assuming a Gaussian copula" in caption
    assert "95% intervals" in caption
    assert "In nats per example" in caption
    assert "law is known" not in re.search(r'id="caption">(.*?)</p>', to_html(irreducible_error(counted())))[1]


def test_an_estimate_without_an_interval_says_so():
    result = irreducible_error(counted(), "mmvae")
    found = result.schemes[0]
    bare = replace(found.units.total_correlation_term, low=None, high=None)
    changed = replace(result, schemes=(replace(found, units=replace(found.units, total_correlation_term=bare)),))
    title = f"irreducible ELBO loss, {LEVELS[1][0]}"
    assert cells(changed, title)[0].interval == "no interval"
    assert "(no interval, guaranteed)" in headline(changed)[0]


# -- sentences that are exactly true


def test_the_loss_is_that_of_every_model_of_the_scheme_on_held_out_data():
    mvae, mmvae = headline(irreducible_error(XOR, ["mvae", "mmvae"]))
    assert "every model of this scheme" in mmvae
    assert "expected" in mmvae
    assert "on held-out data" in mmvae
    assert "at least 0.693147 nats per example" in mmvae
    assert "zero for this law" in mvae


def test_zero_for_every_law_reads_as_that():
    rng = np.random.default_rng(3)
    result = irreducible_error({"a": rng.integers(0, 2, 400), "b": rng.integers(0, 3, 400)}, ["mvae", "mmvae"])
    for sentence in headline(result):
        assert "zero for every law, as at most one modality is unseen at a time" in sentence
    assert cells(result, "irreducible ELBO loss") == [Cell("0", "", "for every law")] * 2
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(to_terminal(result))
    assert "for every law" in console.export_text()
    assert "<small>for every law</small>" in to_html(result)
    assert "or the number is the same for every law" in dict(GUARANTEES)["exact"]


def test_a_zero_that_rounding_hides_is_zero_and_a_small_loss_is_not():
    third = np.full((3, 3, 3), 1 / 27)
    result = irreducible_error(Discrete(third), ["mmvae", "mopoe"])
    assert any(b.finest.total_correlation_term.value != 0 for b in result.schemes)  # or this tests nothing
    assert all("zero for this law" in sentence for sentence in headline(result))
    assert cells(result, "irreducible ELBO loss") == [Cell("0.000000")] * 2
    nearly = irreducible_error(Gaussian(np.eye(3) + 1e-4 * (np.ones((3, 3)) - np.eye(3))), "mmvae")
    assert 1e-9 < nearly["mmvae"].finest.total_correlation_term.value < 5e-7
    (sentence,) = headline(nearly)
    assert re.search(r"at least \d\.\de-09 nats", sentence)


def test_a_singular_law_has_no_ceiling():
    result = irreducible_error(Gaussian([[1.0, 1.0], [1.0, 1.0]]), [*MIXTURES, "mvae-subsampled"])
    for sentence in headline(result):
        assert "no ceiling is defined" in sentence
        assert "T2" in sentence
    for title in ("irreducible ELBO loss", "ELBO ceiling", "ceiling of the published objective"):
        assert {cell.value for cell in cells(result, title)} <= {"none", "-"}
    assert not any("read the irreducible" in warning for warning in all_warnings(result))
    assert texts(drawn(plots.losses, result)).count("no value") == len(MIXTURES)
    for line in drawn(plots.growth, result).lines:
        assert "loss" not in line.get_label() or len(line.get_ydata()) == 1  # of one modality, which is not singular
    page = to_html(result)
    assert "zero for" not in page
    assert not re.search(r">inf<", page)


@pytest.mark.parametrize("data", [XOR, EQUICORRELATED, counted(), measured(), few_rows()])
def test_no_headline_is_broken(data):
    for unit in ("nats", "bits"):
        for sentence in headline(irreducible_error(data, [*MIXTURES, "mvae-subsampled"]), unit):
            assert sentence.endswith(".")
            assert not re.search(r"\binf\b|\bnan\b|none (nats|bits)|\bNone\b|, H\(", sentence)


def test_the_glossary_says_what_is_proved():
    meaning = dict(GLOSSARY)
    delta = meaning["Delta, the generative discrepancy"]
    assert "For discrete data it is a floor of the expected reconstruction error" in delta
    assert "For continuous data it is a floor of that of the unseen modalities only" in delta
    assert "units of measurement" in delta
    assert "No model of this scheme can exceed it" in meaning["ELBO ceiling"]
    assert "can reach" not in "".join(meaning.values())
    assert "if H(X) is finite" in meaning["irreducible ELBO loss"]
    assert "held-out" in meaning["irreducible ELBO loss"]


def test_one_modality_is_not_several():
    page = to_html(irreducible_error(Discrete([0.5, 0.25, 0.25]), MIXTURES))
    assert "1 modality (X1)" in page
    assert "1 modalities" not in page


# -- the page


class _Outline(HTMLParser):
    """Classes of the elements around each id, and the tags seen."""

    def __init__(self):
        super().__init__()
        self.around, self.ids, self.tags, self.described = [], {}, [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in ("meta", "img", "br", "link"):
            self.around.append(attributes.get("class", ""))
        self.tags.append(tag)
        if "id" in attributes:
            self.ids[attributes["id"]] = list(self.around)
        if "aria-describedby" in attributes:
            self.described.append((tag, attributes["aria-describedby"]))

    def handle_endtag(self, tag):
        self.around.pop()


def test_the_caption_of_the_table_does_not_scroll_with_it():
    """Inside the table a caption is as wide as the table, and cut at the edge of a narrow screen."""
    outline = _Outline()
    outline.feed(to_html(irreducible_error(counted(), MIXTURES)))
    assert "caption" not in outline.tags
    assert "scroll" not in outline.ids["caption"]
    assert outline.described == [("table", "caption")]


def test_levels_are_defined_before_the_table_and_head_their_rows():
    page = to_html(irreducible_error(counted(), MIXTURES))
    for level, meaning in LEVELS:
        defined = page.index(f"<dt>{level}</dt>")
        assert defined < page.index(meaning[-40:]) < page.index("<table") < page.rindex(level)
        assert re.search(rf'scope="rowgroup" colspan="4"><span>{level}<', page)
    coarse = to_html(irreducible_error(XOR, MIXTURES))
    assert 'rowgroup" colspan' not in coarse
    assert coarse.index("decode the modalities independently of each other") < coarse.index("<table")


def test_rows_have_the_level_in_their_title():
    titles = [row.title for row in table_rows(irreducible_error(counted(), "mmvae"))]
    assert len(titles) == len(set(titles))
    assert "ELBO ceiling, decoder factorised over units" in titles


def test_a_reason_stands_once_below_the_table():
    page = to_html(irreducible_error(few_rows(), MIXTURES))
    reasons = re.findall(r"<li>(.*?)</li>", page[page.index("<ol") : page.index("</ol>")])
    assert len(reasons) == 2
    body = page[page.index("<tbody>") : page.index("</table>")]
    assert "too few" not in body
    assert set(re.findall(r"none<sup>(\d)</sup>", body)) == {"1", "2"}
    after = page[page.index("</table>") :]
    assert all(after.count(reason) == 1 for reason in reasons)
    assert 'class="warning"' not in page  # they would say the same again


def test_captions_are_written_for_the_kind_of_data():
    @cache
    def page_of(data):
        return to_html(irreducible_error(data, MIXTURES))

    sample = Samples.from_arrays(measured())

    def caption(data):
        captions = re.findall(r"<figcaption>(.*?)</figcaption>", page_of(data))
        return next(one for one in captions if one.startswith("The") and "entropies of all subsets" in one)

    assert "units of measurement" not in caption(XOR)
    assert "flatter" not in caption(EQUICORRELATED)
    assert "differential entropies" in caption(EQUICORRELATED)
    assert "slope change with the units of measurement and mean nothing by themselves" in caption(EQUICORRELATED)
    assert "without their intervals" in caption(sample)
    assert "without their intervals" not in caption(EQUICORRELATED)
    assert "total correlation" not in caption(Gaussian([[1.0, 1.0], [1.0, 1.0]]))


def test_figures_stand_around_the_place_of_a_later_section():
    page = to_html(irreducible_error(XOR, MIXTURES))
    places = [
        page.index(alt) for alt in ("Delta and irreducible ELBO loss of each", "ELBO ceilings of each", "against")
    ]
    assert places == sorted(places)
    between = page[places[1] : places[2]]
    assert "<h2 " in between


def test_the_schemes_are_listed_with_their_weights():
    page = to_html(irreducible_error(XOR, ["mmvae", "mopoe"]))
    assert "left (1/3); right (1/3); parity (1/3)." in page
    four = Discrete(np.full((2, 2, 2, 2), 1 / 16))
    assert "and 8 more." in to_html(irreducible_error(four, "mopoe"))


# -- what the figure of the entropies shows


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_the_gap_at_the_right_is_the_total_correlation_in_any_units(scale):
    cov = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    mean, straight = drawn(plots.entropy_profile, irreducible_error(Gaussian(scale**2 * cov), "mmvae")).lines
    gap = straight.get_ydata()[-1] - mean.get_ydata()[-1]
    # rounding: entropies of size 20 that cancel
    assert gap == pytest.approx(-0.5 * np.linalg.slogdet(cov)[1], rel=1e-12)


def test_the_mean_is_drawn_only_where_all_subsets_are_known():
    mean = drawn(plots.entropy_profile, irreducible_error(few_rows(), "mmvae")).lines[0]
    assert np.isfinite(mean.get_ydata()).tolist() == [True, True, False, False]
    result = irreducible_error({**few_rows(), "c": np.arange(500) % 2}, "mmvae")
    refused = result.entropies.refusals
    assert 0b011 in refused
    assert 0b101 not in refused  # so the mean of pairs would be one of some pairs
    mean = drawn(plots.entropy_profile, result).lines[0]
    assert np.isfinite(mean.get_ydata()).tolist() == [True, True, False, False]


def test_independent_modalities_give_a_straight_line():
    law = Discrete(np.einsum("i,j,k->ijk", [0.5, 0.5], [0.2, 0.8], [0.1, 0.9]))
    mean, straight = drawn(plots.entropy_profile, irreducible_error(law, "mmvae")).lines
    line = np.interp(range(4), straight.get_xdata(), straight.get_ydata())
    np.testing.assert_allclose(mean.get_ydata(), line, rtol=1e-12)  # rounding


# -- ladders


@pytest.fixture(scope="module")
def climbed():
    """Results with their ladders; the optimum is certified within seconds."""
    found = {"xor": XOR, "gauss": EQUICORRELATED, "counts": Samples.from_arrays(three())}
    results = {name: irreducible_error(data, ["mmvae", "mopoe"]) for name, data in found.items()}
    return {name: (result, ladders(found[name], result)) for name, result in results.items()}


def three(rows=2000):
    """Three noisy copies of a fair symbol."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, rows)
    return {name: (label + (rng.random(rows) < 0.2)) % 3 for name in "abc"}


def bracket(low, high, **changes):
    quantity = Quantity("optimum", (low + high) / 2, low, high, method="bracket", guarantee="guaranteed", theorem="T4")
    return replace(Rung("optimum", quantity, "ceiling", "the best"), **changes)


def exact(name, value, kind="ceiling"):
    return Rung(name, Quantity(name, value), kind, f"what {name} is")


def shown_numbers(ax):
    """Row by row what the figure says."""
    numbers = (text for text in ax.texts if text.get_text())
    return [text.get_text().replace("\N{MINUS SIGN}", "-") for text in numbers]


def places(ax):
    """Where marks and intervals are along the axis: ends of lines, positions of points."""
    found = [x for line in ax.lines for x in np.asarray(line.get_xdata(), dtype=float)]
    for collection in ax.collections:
        found += [x for segment in collection.get_segments() for x in segment[:, 0]]
    return np.array(found)


def assert_ladder_follows_the_unit(ladder):
    nats, bits = drawn(plots.ladder, ladder), drawn(plots.ladder, ladder, "bits")
    assert "bits per example" in bits.get_xlabel()
    assert len(places(nats)) >= 3
    # rounding: one division
    np.testing.assert_allclose(places(bits), places(nats) / LN2, rtol=1e-12, atol=1e-15)
    # rounding of the text to four decimals
    np.testing.assert_allclose(
        [float(text) for text in shown_numbers(bits)],
        [float(text) / LN2 for text in shown_numbers(nats)],
        atol=2e-4,
    )
    pairs = zip(ladder_rows(ladder, "bits"), ladder_rows(ladder), strict=True)
    np.testing.assert_allclose(
        *zip(*((float(b.value), float(n.value) / LN2) for b, n in pairs), strict=True), atol=2e-4
    )


@pytest.mark.parametrize("name", ["xor", "gauss", "counts"])
def test_ladders_follow_the_unit(climbed, name, monkeypatch):
    for ladder in climbed[name][1]:
        assert_ladder_follows_the_unit(ladder)
    monkeypatch.setattr("bounds.plots.style.in_unit", lambda nats, unit: nats)  # the planted fault: no factor
    with pytest.raises(AssertionError):
        assert_ladder_follows_the_unit(climbed[name][1][0])


def test_rungs_stand_from_the_highest_to_the_lowest_and_the_refuted_one_last(climbed):
    ladder = climbed["xor"][1][1]  # mopoe, whose quoted bound is above the optimum
    labels = [label.get_text() for label in drawn(plots.ladder, ladder).get_yticklabels()]
    minus = "\N{MINUS SIGN}"
    wanted = [f"{minus}distortion floor", f"{minus}H(X)", "ELBO ceiling", "optimum", "quoted bound\n(refuted)"]
    assert labels == wanted
    numbers = [float(text) for text in shown_numbers(drawn(plots.ladder, ladder))]
    assert numbers[:-1] == sorted(numbers[:-1], reverse=True)
    assert numbers[-1] > numbers[-2]


def test_the_optimum_is_a_bracket_and_the_quoted_bound_is_dashed():
    rungs = (exact("-H(X)", -1.0), bracket(-2.0, -1.5), exact("quoted bound", -1.75, "refuted"))
    ax = drawn(plots.ladder, Ladder("mmvae", rungs, ()))
    thick = [c for c in ax.collections if c.get_linewidth()[0] > 4]
    (segment,) = thick[0].get_segments()
    assert segment[:, 0].tolist() == [-2.0, -1.5]
    assert [line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "|"] == [[-2.0, -1.5]]
    assert shown_numbers(ax) == ["-1.0000", "-2.0000 to -1.5000", "-1.7500"]
    dashed = [c for c in ax.collections if c.get_linestyle()[0][1] is not None]
    assert [c.get_segments()[0][0, 0] for c in dashed] == [-1.75]
    row = ladder_rows(Ladder("mmvae", rungs, ()))[1]
    assert (row.value, row.interval, row.guarantee) == ("-1.750000", "[-2.000000, -1.500000]", "certified")


@pytest.mark.parametrize(("far", "edge"), [(-900.0, 0.0), (700.0, 1.0)])
def test_a_far_rung_is_an_arrow_with_its_number(far, edge):
    rungs = (exact("-H(X)", -1.0), exact("ELBO ceiling", -1.5), exact("-distortion floor", far))
    ax = drawn(plots.ladder, Ladder("mmvae", rungs, ()))
    assert np.diff(ax.get_xlim())[0] < 1
    (arrow,) = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert arrow.xy[0] == edge
    assert f"{far:.4f}" in shown_numbers(ax)


@settings(max_examples=40)  # drawing is slow
@given(st.lists(st.floats(-1e4, 1e4), min_size=5, max_size=5))
def test_what_matters_most_is_always_on_the_axis(values):
    names = ("-H(X)", "ELBO ceiling", "likelihood ceiling", "-distortion floor", "quoted bound")
    rungs = tuple(exact(name, value) for name, value in zip(names, values, strict=True))
    ax = plots.ladder(Ladder("mmvae", (*rungs, bracket(values[1] - 2, values[1] - 1)), ()), Figure().subplots())
    low, high = ax.get_xlim()
    for value in (*values[:2], values[1] - 2, values[1] - 1):
        assert low < value < high
    arrows = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == sum(not low <= value <= high for value in values)
    assert len(shown_numbers(ax)) == 6


@pytest.mark.parametrize("name", ["xor", "gauss", "counts"])
def test_numbers_of_a_ladder_stay_inside_the_axes(climbed, name):
    for ladder in climbed[name][1]:
        ax = drawn(plots.ladder, ladder)
        box = ax.get_window_extent()
        for text in (text for text in ax.texts if text.get_text()):
            extent = text.get_window_extent()
            assert box.x0 <= extent.x0 < extent.x1 <= box.x1
            assert box.y0 <= extent.y0 < extent.y1 <= box.y1


def test_the_page_has_a_section_with_a_figure_for_each_scheme(climbed):
    result, found = climbed["gauss"]
    page = to_html(result, "bits", found)
    assert page.index("ELBO ceilings of each") < page.index('id="ladders"') < page.index("against")
    assert len(pictures(page)) == 5 + len(found)
    section = page[page.index('id="ladders"') : page.index('id="sources"')]
    for ladder in found:
        assert f"ELBO of {ladder.scheme}, in bits per example" in section
        assert ladder.notes
        for note in ladder.notes:
            assert note[1:60] in section.replace("&#39;", "'")
    assert section.count("quoted bound (refuted)") == len(found)
    assert "-9.235478" in section  # 6.401545 nats
    assert "nats" not in section
    outline = _Outline()
    outline.feed(page)
    assert outline.described == [("table", "caption"), ("table", "rungs")]
    assert "<dt>certified</dt>" not in page
    assert "<dt>certified</dt>" in to_html(*climbed["xor"][:1], "nats", climbed["xor"][1])


def test_json_and_terminal_have_the_ladders_when_given(climbed):
    result, found = climbed["counts"]
    document = json.loads(to_json(result, found))
    assert list(document["ladders"]) == ["mmvae", "mopoe"]
    rungs = {rung["name"]: rung for rung in document["ladders"]["mmvae"]["rungs"]}
    assert rungs["quoted bound"]["kind"] == "refuted"
    assert not rungs["quoted bound"]["holds"]
    assert rungs["-H(X)"]["low"] == -result.entropy.high
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(to_terminal(result, "bits", found))
    text = " ".join(console.export_text().split())
    assert f"[{-result.entropy.high / LN2:.4f}, {-result.entropy.low / LN2:.4f}]" in text
    assert text.count("mmvae, mopoe: the optimum is that of the law of these 2000 rows") == 1


def test_without_ladders_nothing_is_said_of_them():
    result = irreducible_error(XOR, "mmvae")
    assert "ladders" not in json.loads(to_json(result))
    assert "How low" not in to_html(result)
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(to_terminal(result))
    assert "How low" not in console.export_text()


def test_numbers_that_are_none_or_infinite_or_one_sided_are_said_so():
    refused = Rung("-H(X)", Quantity("-H(X)", None, guarantee="none", notes=("too few rows",)), "ceiling", "entropy")
    unbounded = Rung("likelihood ceiling", Quantity("c", math.inf, notes=("atoms",)), "ceiling", "for noise")
    loose = Quantity("c", -3.0, -3.5, None, 0.95, "predictions", "asymptotic")
    ladder = Ladder("mmvae", (refused, unbounded, Rung("likelihood ceiling", loose, "one-sided", "noise")), ("why",))
    rows = ladder_rows(ladder)
    assert [row.value for row in rows] == ["none", "none", "-3.0000"]
    assert rows[0].meaning == "entropy; no number: too few rows"
    assert rows[1].meaning == "for noise; no number: atoms"
    assert (rows[2].name, rows[2].interval) == ("likelihood ceiling (at least)", "at least -3.5000")
    assert [label.get_text() for label in drawn(plots.ladder, ladder).get_yticklabels()] == [
        "likelihood ceiling\n(at least)"
    ]
    empty = Ladder("mmvae", (refused,), ())
    assert texts(drawn(plots.ladder, empty)) == ["no number to draw"]
    assert "no number: too few rows" in to_html(irreducible_error(XOR, "mmvae"), "nats", [empty])
    assert 'aria-describedby="rungs"' not in to_html(irreducible_error(XOR, "mmvae"), "nats", [Ladder("a", (), ("b",))])


def test_zero_has_no_sign():
    ax = drawn(plots.ladder, Ladder("mvae", (exact("-H(X)", -1.0), exact("-distortion floor", -1e-9)), ()))
    assert shown_numbers(ax) == ["0.0000", "-1.0000"]


# -- odd requests


@pytest.mark.parametrize(
    ("data", "schemes"),
    [
        (XOR, "mvae-subsampled"),
        (XOR, "left:1/2,left+right+parity:1/2"),
        (few_rows(), "mmvae"),
        (Gaussian([[1.0, 1.0], [1.0, 1.0]]), "mopoe"),
        (Discrete([0.5, 0.5]), "mmvae"),
        (CommonCause([0.5, 0.5], [np.array([[[0.5, 0], [0, 0.5]]] * 2)] * 2), [*MIXTURES, "mvae-subsampled"]),
    ],
)
def test_every_result_can_be_drawn_and_printed(data, schemes):
    result = irreducible_error(data, schemes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert to_html(result, "bits").startswith("<!doctype html>")
        for draw in FIGURES:
            drawn(draw, result)
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(to_terminal(result))
    assert console.export_text()


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    to_html(irreducible_error(XOR, "mmvae"))
    assert dict(matplotlib.rcParams) == before


# -- a page that anybody can read, anywhere


def an_audit(excess=0.3):
    """Of a model of two coins with awkward names, which claims too much by so many nats."""
    fits = {1: np.tile([-LN2, -LN2 + excess], (500, 1)), 2: np.tile([-LN2 + excess, -LN2], (500, 1))}
    names, kl = ["<b>&", "text"], np.full(500, LN2)
    evaluation = Evaluation.from_examples(mmvae(2), fits, {1: kl, 2: kl}, kind="discrete", modalities=names)
    return audit(evaluation, Discrete(np.full((2, 2), 0.25), names))


def pages():
    """Each kind of page, with awkward names."""
    law = Discrete(np.full((2, 2), 0.25), ["<b>&", "text"])
    result = irreducible_error(law, MIXTURES, source='"a" <& b>')
    theorems = find("T1")
    return {
        "irreducible": to_html(result, "nats", ladders(law, result, seconds=1)),
        "theorems": verdicts_to_html(theorems, [check(one, 5) for one in theorems]),
        "audit": audit_to_html(an_audit()),
        "one-sided": one_sided_to_html(
            conditional_bounds(Samples.from_arrays(counted(300)), "mmvae", rng=np.random.default_rng(0)),
            refused="<why>",
        ),
    }


@pytest.fixture(scope="module")
def made():
    return pages()


class _Tags(HTMLParser):
    """Every tag with its attributes, and whether tags close as they opened."""

    EMPTY = ("meta", "link", "br", "img", "input")

    def __init__(self, page):
        super().__init__()
        self.found, self.open = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def assert_loads_nothing(page):
    """No address of another place in what a browser would fetch, and a policy that forbids it to."""
    tags = _Tags(page)
    for tag, attributes in tags.found:
        assert tag not in ("script", "link", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action"):
            assert tag == "a" or not attributes.get(name) or attributes[name].startswith(("#", "data:"))
            assert not (tag == "a" and name == "href") or attributes["href"].startswith("#")
        assert "url(http" not in attributes.get("style", "")
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", "".join(re.findall(r"<style>.*?</style>", page, re.DOTALL)))
    (policy,) = [one["content"] for one in tags.of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@pytest.mark.parametrize("kind", ["irreducible", "theorems", "one-sided", "audit"])
def test_pages_load_nothing(made, kind):
    assert_loads_nothing(made[kind])


@pytest.mark.parametrize(
    "fault", ['<img src="https://a.b/c.png">', "<script></script>", "<style>p { background: url(//a.b) }</style>"]
)
def test_a_page_that_would_load_something_is_caught(made, fault):
    with pytest.raises(AssertionError):
        assert_loads_nothing(made["theorems"].replace("<main", f"{fault}<main"))


@pytest.mark.parametrize("kind", ["irreducible", "theorems", "one-sided", "audit"])
def test_pages_can_be_read_by_keyboard_and_by_ear(made, kind):
    page = made[kind]
    tags = _Tags(page)
    assert tags.of("html") == [{"lang": "en"}]
    assert [len(tags.of(tag)) for tag in ("title", "h1", "main", "nav", "header", "footer")] == [1] * 6
    ids = [attributes["id"] for _, attributes in tags.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [one["href"][1:] for one in tags.of("a")]
    assert links[0] == "main"  # the first thing that a keyboard reaches
    assert len(links) >= 3
    assert set(links) <= set(ids)
    references = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)
    assert {a or b for a, b in references} <= set(ids)
    assert all(
        one["tabindex"] == "0" and one["role"] == "region" and one["aria-label"]
        for one in tags.of("div")
        if one.get("class") == "scroll"
    )
    assert page.count("<table") == page.count('class="scroll"') >= 1
    levels = [int(tag[1]) for tag, _ in tags.found if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(one.get("scope") for one in tags.of("th"))
    assert all(one["role"] == "img" and one["aria-label"] for one in tags.of("svg"))


def test_the_page_of_an_audit_has_every_number_and_every_cause(made):
    found, page = an_audit(), made["audit"]
    assert found.verdict == "violated"
    assert found.causes
    text = html.unescape(page)
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    rows = body.split("</tr>")[:-1]
    assert len(rows) == len(found.checks)
    for row, one in zip(rows, found.checks, strict=True):
        for number in (one.value, one.ceiling):
            assert f"<td>{number:.4f}".replace("-", "\N{MINUS SIGN}") in row
        assert f"{one.margin:+.4f}".replace("-", "\N{MINUS SIGN}") in row
        assert (">violated<" in row) == (one.verdict == "violated")
    for cause in found.causes:
        assert f"<b>{cause.name}</b> (fit {cause.fit:.2f})" in text
    assert len(pictures(page)) == 1
    other = an_audit(excess=0.0)
    assert other.verdict != "violated"
    fine = audit_to_html(other)
    assert 'id="causes"' not in fine
    assert f'<p class="lead">{VERDICTS[other.verdict].capitalize()}' in fine


def test_names_in_a_page_are_no_markup(made):
    assert "&lt;b&gt;&amp;" in made["irreducible"]
    assert "<b>" not in made["irreducible"]
    assert "&lt;why&gt;" in made["one-sided"]


def schemes_of_colours():
    """The colours of the stylesheet by medium."""
    css = files("bounds").joinpath("templates/page.css").read_text()
    found = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css)]
    assert len(found) == 3
    return dict(zip(("light", "dark", "print"), found, strict=True))


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # its well-known example that fails AA


@pytest.mark.parametrize("medium", ["light", "dark", "print"])
def test_text_and_marks_are_seen_on_the_page(medium):
    colours = schemes_of_colours()[medium]
    for name in ("ink", "soft", "link", "warn"):
        assert contrast(colours[name], colours["paper"]) >= 4.5  # AA for text
    for colour in plots.COLOURS[:4]:
        assert contrast(colour, colours["paper"]) >= 3  # AA for graphics


def test_figures_take_the_colour_of_the_page(made):
    for svg in pictures(made["irreducible"]):
        assert "currentColor" in svg
        assert "#010203" not in svg
        assert not re.search(r"fill: #(ffffff|000000)", svg)  # neither a background nor black text
        words = re.findall(r"<text [^>]*>", svg)
        assert words
        assert all("currentColor" in word for word in words)


def test_no_sentence_says_that_models_of_this_law_exceed_the_quoted_bound():
    """For parity and MoPoE the optimum is certified to be below it."""
    page = to_html(irreducible_error(XOR, "mopoe"))
    assert "models may exceed it" not in page
    assert "models of some laws exceed it, though not of every law" in page


def test_the_diagram_is_drawn_for_up_to_four_modalities():
    def count(m):
        return len(pictures(to_html(irreducible_error(Gaussian(np.eye(m) + 1), "mmvae"))))

    assert [count(m) for m in (1, 2, 4, 5)] == [4, 5, 5, 4]
