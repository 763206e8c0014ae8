"""Figures: the numbers drawn are the result's, in the unit asked for, and every word can be read at column width."""

import math
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import combinations

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import bounds
from bounds import Discrete, Gaussian, irreducible_error, plots
from bounds.elbo import ElboTerms, SubsetTerms
from bounds.entropies import EntropyVector
from bounds.errors import InputError
from bounds.information_atoms import atom, delta_share, information_atoms
from bounds.ladder import Ladder, Rung
from bounds.plots import Measured
from bounds.quantity import Quantity
from bounds.schemes import mmvae, mopoe, mvae_subsampled

matplotlib.use("Agg")

LN2 = math.log(2)
PARITY = Discrete(np.array([[[0.25, 0], [0, 0.25]], [[0, 0.25], [0.25, 0]]]), ["left", "right", "parity"])
#: Names as long as people make them.
DELTA = "\N{GREEK CAPITAL LETTER DELTA}"
LONG = ("left camera", "caption_translated_to_english", "sound of the street", "a", "lidar", "depth_map")
ROUNDING = 1e-12


def law(count, names=None):
    """Bits of which any two agree more often than not."""
    rng = np.random.default_rng(count)
    return Discrete(rng.dirichlet(np.full(2**count, 0.5)).reshape((2,) * count), names and list(names[:count]))


@cache
def found(count, names=LONG, schemes=("mvae", "mmvae", "mopoe")):
    return irreducible_error(law(count, names), list(schemes))


def terms(distortion, rate):
    """A model with these terms."""
    one = SubsetTerms(1, 1.0, (0,), (distortion,), rate, 0.0, 0.0)
    return ElboTerms((one,), 0.0, 0.0, 0.0, 0.0)


@cache
def an_audit(names=LONG):
    """Of a model of coins that claims to know too much."""
    coins = Discrete(np.full((2, 2), 0.25), list(names[:2]))
    fits = {1: np.tile([-LN2, -0.2], (500, 1)), 2: np.tile([-0.2, -LN2], (500, 1))}
    evaluation = bounds.Evaluation.from_examples(
        mmvae(2), fits, {1: np.zeros(500), 2: np.zeros(500)}, kind="discrete", modalities=coins.names
    )
    return bounds.audit(evaluation, coins)


def a_ladder():
    def rung(name, value, kind="ceiling"):
        return Rung(name, Quantity(name, value), kind, "")

    bracket = Quantity("optimum", -2.75, -3.0, -2.5, method="bracket", guarantee="guaranteed")
    return Ladder(
        "mmvae",
        (
            rung("-H(X)", -1.0),
            rung("ELBO ceiling", -2.0),
            Rung("optimum on these rows", bracket, "on these rows", ""),
            rung("likelihood ceiling", -2.1, "one-sided"),
            rung("a number with a name as long as a sentence is", -900.0),
            rung("quoted bound", -2.4, "refuted"),
        ),
        (),
    )


INTERVAL = Quantity("floor", 1.0, 0.9, 1.2, 0.95, "counts", "asymptotic")
CURVES = {"seed 0": [-9.0, -4.0, -3.0, -2.5], "seed 1 of an experiment": [-8.0, -3.5, math.nan, math.nan]}
CEILINGS = {
    "-H(X)": -2.0,
    "ELBO ceiling of this scheme": replace(INTERVAL, value=-2.1, low=-2.2, high=-2.0),
    "optimum": -2.11,
}
GAPS = {
    "mmvae, one factor in two units": [Measured(0.1, 0.2, 0.05), Measured(1.0, 0.9, 0.1)],
    "mvae": [Measured(0.5, 0.0, 0.01)],
}
WEIGHTS = ("mmvae", "mopoe", "X1:1/2,X1+X2+X3:1/2", "X1:1/3,X1+X2:2/3")
MODELS = {"models": [terms(1.5, 0.4), terms(1.2, 0.9)], "another one": (2.0, 0.1)}
LEVELS = {"-H(X)": -1.5, "ELBO ceiling": -1.8}


@cache
def atoms_of(count):
    return information_atoms(law(count, LONG).entropy_vector(), [mmvae(count)])


@cache
def weighted(count):
    return found(count, None, WEIGHTS)


def same(thing):
    return lambda _: thing


BY_MODALITIES = (plots.entropy_profile, plots.losses, plots.ceilings, plots.growth)
#: Every figure with what it is drawn of, how many modalities that has, and options.
FIGURES = {
    **{f"{draw.__name__}-{m}": (draw, (found, m), {}) for draw in BY_MODALITIES for m in range(2, 7)},
    **{f"diagram-{m}": (plots.information_diagram, (atoms_of, m), {}) for m in range(2, 5)},
    "losses-weights": (plots.losses, (weighted, 3), {}),
    "ceilings-weights": (plots.ceilings, (weighted, 3), {}),
    "ceilings-gauss": (plots.ceilings, (same(irreducible_error(Gaussian(np.eye(5) + 1))), 5), {}),
    "ladder": (plots.ladder, (same(a_ladder()), 0), {}),
    "training": (plots.training_curve, (same(CURVES), 0), {"ceilings": CEILINGS, "steps": 50}),
    "plane": (plots.rate_distortion, (same(MODELS), 0), {"floor": INTERVAL, "levels": LEVELS}),
    "private": (plots.private_gap, (same(GAPS), 0), {"theory": {"mvae": [(1.0, 0.0), (0.1, 0.0)]}}),
    "verdicts": (plots.verdict_table, (lambda _: an_audit(), 0), {}),
}


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def drawn(name, unit="nats", ax=None):
    """A figure by name, laid out."""
    draw, (make, argument), options = FIGURES[name]
    ax = draw(make(argument), ax, unit, **options)
    ax.figure.canvas.draw()
    return ax


def words(ax):
    """Every text that a reader sees, with its box in pixels; a legend's are its own."""
    figure = ax.figure
    shown = [
        text
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_visible() and text.get_text().strip() and not text.get_text().startswith("_")
    ]
    hidden = set()
    for axes in [*figure.axes, *ax.child_axes]:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            room = 1e-9 * (high - low)
            for tick in axis.get_major_ticks():
                if not axes.axison or not low - room <= tick.get_loc() <= high + room:
                    hidden |= {tick.label1, tick.label2}
            if not axes.axison:
                hidden |= {axis.label, axis.offsetText}
    boxes = [(text, matplotlib.text.Text.get_window_extent(text)) for text in shown if text not in hidden]
    return [(text, box) for text, box in boxes if box.width > 0]


def assert_readable(ax):
    """No word leaves the figure, none covers another, and none is smaller than 7 points."""
    found, page = words(ax), ax.figure.bbox
    assert found
    for text, box in found:
        said = text.get_text()
        assert text.get_size() >= 7 - 1e-9, said
        assert page.x0 - 0.5 <= box.x0 < box.x1 <= page.x1 + 0.5, said
        assert page.y0 - 0.5 <= box.y0 < box.y1 <= page.y1 + 0.5, said
    for (one, a), (other, b) in combinations(found, 2):
        # the boxes of two lines of text may share a pixel of the room for descenders
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= 1 or high <= 1, (one.get_text(), other.get_text())


@pytest.mark.parametrize("unit", ["nats", "bits"])
@pytest.mark.parametrize("name", FIGURES)
def test_every_word_can_be_read_at_column_width(name, unit):
    ax = drawn(name, unit)
    assert ax.figure.get_figwidth() == 3.3
    assert_readable(ax)
    said = " ".join(text.get_text() for text, _ in words(ax))
    assert f"{unit} per example" in said
    assert {"nats": "bits", "bits": "nats"}[unit] not in said


@pytest.mark.parametrize("fault", ["outside", "over", "small"])
def test_words_that_cannot_be_read_are_caught(fault):
    ax = drawn("growth-3")
    if fault == "outside":
        ax.text(1, 0.5, "a long name", transform=ax.transAxes, fontsize=8)
    elif fault == "over":
        ax.text(0, 0, "covers", transform=ax.xaxis.label.get_transform(), fontsize=8).set_position(
            ax.xaxis.label.get_position()
        )
    else:
        ax.text(0.5, 0.5, "tiny", transform=ax.transAxes, fontsize=5)
    with pytest.raises(AssertionError):
        assert_readable(ax)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_on_the_axes_given_and_leave_settings_alone(name):
    before = dict(matplotlib.rcParams)
    ax = Figure().subplots()
    assert drawn(name, "nats", ax) is ax
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def numbers(ax):
    """Every coordinate of data that a figure shows."""
    values = []
    for line in ax.lines:
        if line.get_transform() == ax.transData:
            values += [*np.asarray(line.get_xdata(), float), *np.asarray(line.get_ydata(), float)]
        else:
            values += list(np.asarray(line.get_ydata() if line.get_xdata()[0] == 0 else line.get_xdata(), float))
    values += [patch.get_height() for patch in ax.patches if hasattr(patch, "get_height")]
    for collection in ax.collections:
        values += [y for segment in getattr(collection, "get_segments", list)() for y in segment.ravel()]
        values += list(np.asarray(collection.get_offsets(), float).ravel())
    return np.array(values)


def assert_shows(ax, wanted):
    """Each number is drawn somewhere."""
    shown = numbers(ax)
    for number in wanted:
        assert np.nanmin(abs(shown - number)) <= ROUNDING * max(1, abs(number)), number


def true_numbers(name, unit):
    """What a figure must show, from the result itself."""
    draw, (make, argument), _ = FIGURES[name]
    result = make(argument)
    scale = LN2 if unit == "bits" else 1.0
    match draw.__name__:
        case "entropy_profile":
            wanted = list(result.entropies.values[1:])
        case "losses":
            wanted = [float(b.generative_discrepancy) for b in result.schemes]
            wanted += [float(b.finest.total_correlation_term) for b in result.schemes]
        case "ceilings":
            wanted = [-float(result.entropy), *(float(b.finest.elbo_ceiling) for b in result.schemes)]
            wanted += [float(b.finest.published_ceiling) for b in result.schemes]
        case "growth":
            wanted = [
                float(q) for step in result.growth for q in (step.generative_discrepancy, step.total_correlation_term)
            ]
        case "information_diagram":
            wanted = [float(q) for q in result.values.values()]
            wanted += [float(share) * float(result.values[m]) for m, share in result.shares["mmvae"].items()]
        case "ladder":
            wanted = [-1.0, -2.0, -3.0, -2.5, -2.1, -2.4]
        case "training_curve":
            wanted = [-9.0, -4.0, -3.0, -2.5, -8.0, -3.5, -2.0, -2.1, -2.11]
        case "rate_distortion":
            wanted = [1.5, 0.4, 1.2, 0.9, 2.0, 0.1, 1.0]
        case "private_gap":
            wanted = [0.1, 0.2, 1.0, 0.9, 0.5, 0.0, 0.2 - 0.1, 0.2 + 0.1, 0.9 - 0.2, 0.02, -0.02]
        case _:
            return []
    return [number / scale for number in wanted]


@pytest.mark.parametrize("unit", ["nats", "bits"])
@pytest.mark.parametrize("name", [name for name in FIGURES if name != "verdicts"])
def test_the_numbers_drawn_are_those_of_the_result(name, unit):
    ax = drawn(name, unit)
    wanted = true_numbers(name, unit)
    assert wanted
    assert_shows(ax, wanted)
    with pytest.raises(AssertionError):  # the planted fault: one number a little off
        assert_shows(ax, [wanted[0] + 1e-6])


def test_a_table_of_verdicts_has_every_check():
    audit = an_audit()
    assert {check.verdict for check in audit.checks} >= {"violated"}
    said = [text.get_text().replace("\N{MINUS SIGN}", "-") for text in plots.verdict_table(audit).texts]
    cells = (
        [said[i : i + 4] for i in range(4 - 1, len(said), 4)]
        if len(said) % 4
        else [said[i : i + 4] for i in range(4, len(said), 4)]
    )
    assert len(cells) == len(audit.checks)
    for (verdict, _, value, ceiling), check in zip(cells, audit.checks, strict=True):
        assert verdict == check.verdict
        assert float(value.split()[0]) == pytest.approx(check.value, rel=1e-3)  # four digits are shown
        assert ceiling == "none" if check.ceiling is None else float(ceiling) == pytest.approx(check.ceiling, rel=1e-3)


def test_colours_are_kinds_of_numbers_in_every_figure():
    """T2's numbers are of one colour and refuted ones of another, wherever they stand."""
    holds, refuted = (to_rgba(colour) for colour in plots.COLOURS[:2])
    result = found(3)
    lines = {line.get_label(): line for line in plots.growth(result).lines}
    assert {to_rgba(line.get_color()) for label, line in lines.items() if "loss" in label} == {holds}
    assert {to_rgba(line.get_color()) for label, line in lines.items() if DELTA in label} == {refuted}
    assert len({line.get_marker() for line in lines.values()}) == 3  # schemes are told apart without colour
    bars = plots.losses(result).containers
    assert [to_rgba(bar[0].get_edgecolor()) for bar in bars if "ELBO" in bar.get_label()] == [holds]
    assert [to_rgba(bar[0].get_edgecolor()) for bar in bars if DELTA in bar.get_label()] == [refuted]
    assert all(bar[0].get_hatch() for bar in bars if DELTA in bar.get_label())
    (ceiling,) = [line for line in plots.ceilings(result).lines if line.get_label() == "ELBO ceiling"]
    assert to_rgba(ceiling.get_color()) == holds


def test_the_colour_of_text_is_that_of_the_axes_given():
    with matplotlib.rc_context({"axes.labelcolor": "#eeeeee", "xtick.color": "#eeeeee", "ytick.color": "#eeeeee"}):
        for name in FIGURES:
            ax = drawn(name, "nats", Figure(figsize=(5, 5)).subplots())
            colours = {to_rgba(text.get_color()) for text, _ in words(ax)}
            assert colours == {to_rgba("#eeeeee")}, name


# -- the information diagram


def atoms_from_the_definition(h, count):
    """Of the linear equations ``H(A) = sum of the atoms that meet A``, which determine them."""
    masks = range(1, 1 << count)
    meets = np.array([[bool(a & b) for b in masks] for a in masks], dtype=float)
    return np.linalg.solve(meets, [h[a] for a in masks])


@given(st.integers(1, 5), st.integers(0, 10**6))
def test_atoms_solve_their_equations(count, seed):
    table = np.random.default_rng(seed).dirichlet(np.full(2**count, 0.3)).reshape((2,) * count)
    h = Discrete(table).entropy_vector()
    atoms = information_atoms(h)
    # rounding: 2^5 equations between numbers of order one
    np.testing.assert_allclose(list(map(float, atoms.values.values())), atoms_from_the_definition(h, count), atol=1e-11)


@given(st.integers(1, 5), st.sampled_from([mmvae, mopoe]), st.integers(0, 10**6))
def test_delta_is_the_sum_of_its_shares(count, family, seed):
    table = np.random.default_rng(seed).dirichlet(np.full(2**count, 0.3)).reshape((2,) * count)
    scheme, h = family(count), Discrete(table).entropy_vector()
    atoms = information_atoms(h, [scheme])
    total = sum(float(share) * float(atoms.values[m]) for m, share in atoms.shares[scheme.label].items())
    delta = float(bounds.generative_discrepancy(h, scheme))
    assert total == pytest.approx(delta, abs=1e-11)  # rounding of 2^5 terms


def test_atoms_of_known_laws():
    names = ("X", "Y", "Z")
    assert str(atom(names[:2], 0b01)) == "-H(Y) + H(X,Y)"
    parity = information_atoms(PARITY.entropy_vector(), [mmvae(3)])
    assert {m: float(q) for m, q in parity.values.items()} == pytest.approx(
        {1: 0, 2: 0, 4: 0, 3: LN2, 5: LN2, 6: LN2, 7: -LN2}, abs=ROUNDING
    )
    assert delta_share(mmvae(3), 0b011) == Fraction(1, 3)
    assert information_atoms(PARITY.entropy_vector(), [mvae_subsampled(3)]).shares == {}
    with pytest.raises(InputError, match="nonempty subset"):
        atom(names, 0)
    with pytest.raises(InputError, match="over 2 modalities"):
        information_atoms(PARITY.entropy_vector(), [mmvae(2)])


def test_negative_atoms_are_drawn_below_zero():
    ax = plots.information_diagram(information_atoms(PARITY.entropy_vector(), [mmvae(3)]))
    lowest = min(ax.patches, key=lambda patch: patch.get_height())
    assert lowest.get_height() == pytest.approx(-LN2, rel=ROUNDING)
    assert ax.get_ylim()[0] < -LN2
    (filled,) = [one for one in ax.lines if one.get_marker() == "o" and one.get_markerfacecolor() != "none"]
    full = list(zip(filled.get_xdata(), filled.get_ydata(), strict=True))
    assert full == [(0, 0), (1, 1), (2, 2), (3, 0), (3, 1), (4, 0), (4, 2), (5, 1), (5, 2), (6, 0), (6, 1), (6, 2)]


def test_a_diagram_says_what_it_cannot_show():
    atoms = information_atoms(law(5).entropy_vector())
    with pytest.raises(InputError, match="draw at most 4"):
        plots.information_diagram(atoms)
    with pytest.raises(InputError, match="no scheme 'mvae' among the atoms"):
        plots.information_diagram(information_atoms(PARITY.entropy_vector(), [mmvae(3)]), scheme="mvae")
    none = EntropyVector(["a", "b"], [0, 1, 1, 1], refusals=dict.fromkeys((1, 2, 3), "too few rows"))
    said = [text.get_text() for text in plots.information_diagram(information_atoms(none)).texts]
    assert "no atom has a value" in said


# -- the plane, gaps and training


def test_levels_are_lines_of_one_elbo():
    ax = drawn("plane")
    (line,) = [line for line in ax.lines if "ceiling" in line.get_label()]
    np.testing.assert_allclose(line.get_xdata() + line.get_ydata(), 1.8, rtol=ROUNDING)
    (band,) = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.9, 1.2), rel=ROUNDING)
    for bad in ({}, {"a": (math.inf, 0.0)}, {"a": []}):
        with pytest.raises(InputError, match="finite distortion and rate"):
            plots.rate_distortion(bad)


def test_a_plane_shows_a_model_above_a_ceiling_below_its_line():
    """A planted violation is seen as one."""
    ax = plots.rate_distortion({"too good": (1.0, 0.2)}, levels={"ELBO ceiling": -1.8})
    line, model = ax.lines
    d, r = model.get_xdata()[0], model.get_ydata()[0]
    assert r < np.interp(d, line.get_xdata(), line.get_ydata())


def test_theory_has_the_colour_of_its_points():
    ax = plots.private_gap({"a": [Measured(1.0, 2.0, 0.5)]}, theory={"a": [(2.0, 1.0), (0.0, 3.0)]}, errors=1.0)
    line, point = ax.lines[0], ax.containers[0].lines[0]
    assert line.get_color() == point.get_color()
    assert list(line.get_xdata()) == [0.0, 2.0]
    (bar,) = ax.containers[0].lines[2]
    assert bar.get_segments()[0][:, 1].tolist() == [1.5, 2.5]
    with pytest.raises(InputError, match="nothing to draw"):
        plots.private_gap({})


def test_a_ceiling_with_an_interval_is_a_band():
    ax = drawn("training")
    (band,) = ax.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((-2.2, -2.0), rel=ROUNDING)
    assert list(ax.lines[0].get_xdata()) == [50, 100, 150, 200]
    with pytest.raises(InputError, match="leave out what is not finite"):
        plots.training_curve({"a": [1.0]}, ceilings={"H": math.inf})
    with pytest.raises(InputError, match="at least one curve"):
        plots.training_curve({})
    with pytest.raises(InputError, match="first is 2"):
        plots.training_curve({"a": [1.0]}, first=2)


def test_a_history_with_the_value_before_training_starts_at_step_zero():
    ax = plots.training_curve({"a": [-9.0, -4.0, -3.0]}, steps=50, first=0)
    assert list(ax.lines[0].get_xdata()) == [0, 50, 100]
