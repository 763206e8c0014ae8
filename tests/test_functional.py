"""Functionals: read and printed without loss, computed exactly, refused with a pointer to the right token."""

import gc
import weakref
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounds import TC, Discrete, Functional, H, I, InputError, ParseError, SubsetScheme, formulas, mmvae, mopoe
from bounds.formulas import Ground
from bounds.subsets import format_subset

XYZ = ("X", "Y", "Z")
NAMES = ("image", "t", "X_3", "X1[0]")
fractions = st.builds(Fraction, st.integers(-50, 50), st.integers(1, 12))
functionals = st.dictionaries(st.integers(1, 15), fractions, max_size=8).map(lambda found: Functional(NAMES, found))


# --- reading and printing -----------------------------------------------------------------------------------------


@given(functionals)
def test_print_and_parse_round_trip(f):
    assert Functional.parse(str(f), NAMES) == f


@given(st.text(min_size=1, max_size=6), st.text(min_size=1, max_size=6))
def test_a_name_that_is_accepted_can_be_parsed_back(first, second):
    try:
        f = Functional([first, second], {1: 1, 2: -1, 3: Fraction(1, 2)})
    except InputError:
        return
    assert Functional.parse(str(f), [first, second]) == f


@given(functionals)
def test_a_lost_term_would_be_noticed(f):
    for mask in f.masks:
        others = {m: c for m, c in f.coefficients.items() if m != mask}
        assert Functional.parse(str(Functional(NAMES, others)), NAMES) != f


EQUAL = [
    ("H(X)", {0b001: 1}),
    ("h(X)", {0b001: 1}),
    ("H(X|Y)", {0b011: 1, 0b010: -1}),
    ("H(X,X)", {0b001: 1}),
    ("H(X|X)", {}),
    ("I(X;Y)", {0b001: 1, 0b010: 1, 0b011: -1}),
    ("I(X;Y|Z)", {0b101: 1, 0b110: 1, 0b111: -1, 0b100: -1}),
    ("I(X;X)", {0b001: 1}),
    ("I(X,Y;Z)", {0b011: 1, 0b100: 1, 0b111: -1}),
    ("TC(X,Y,Z)", {0b001: 1, 0b010: 1, 0b100: 1, 0b111: -1}),
    ("TC(X;Y;Z)", {0b001: 1, 0b010: 1, 0b100: 1, 0b111: -1}),
    ("TC(X,Y;Z)", {0b011: 1, 0b100: 1, 0b111: -1}),
    ("TC(X;Y|Z)", {0b101: 1, 0b110: 1, 0b111: -1, 0b100: -1}),
    ("TC(X)", {}),
    ("0", {}),
    ("0 + H(X)", {0b001: 1}),
    ("-H(X)", {0b001: -1}),
    ("+H(X)", {0b001: 1}),
    ("2 H(X)", {0b001: 2}),
    ("2*H(X)", {0b001: 2}),
    ("1/2 H(X)", {0b001: Fraction(1, 2)}),
    ("H(X)/2", {0b001: Fraction(1, 2)}),
    ("2/3*H(X)/4", {0b001: Fraction(1, 6)}),
    ("0.1 H(X)", {0b001: Fraction(1, 10)}),
    ("0.1 H(X) + 0.2 H(X) - 0.3 H(X)", {}),
    ("-(H(X) - (H(Y) - H(Z)))", {0b001: -1, 0b010: 1, 0b100: -1}),
    ("2(H(X) + 3 H(Y))", {0b001: 2, 0b010: 6}),
    ("  H( X , Y |Z )\n", {0b111: 1, 0b100: -1}),
    ("H(X,Y|Z) - H(X|Z) - H(Y|X,Z)", {}),
]


@pytest.mark.parametrize(("text", "coefficients"), EQUAL)
def test_what_is_read(text, coefficients):
    assert dict(Functional.parse(text, XYZ).coefficients) == coefficients


#: The caret stands before the token that the error must point at.
WRONG = [
    ("^", "expected H"),
    ("H^", "expected '\\('"),
    ("H(^)", "expected a variable"),
    ("H(X^", "expected '\\)'"),
    ("H(X,^)", "expected a variable"),
    ("H(X)^)", "unexpected '\\)'"),
    ("H(X) ^H(Y)", "unexpected 'H'"),
    ("H(X) +^", "expected H"),
    ("H(X) + ^* H(Y)", "expected H"),
    ("H(X) - ^K(Y)", "unknown quantity 'K'"),
    ("H(X) + H(^W)", "unknown variable 'W': known are X, Y, Z"),
    ("^H(X;Y)", "H takes one group"),
    ("H(Z) - ^I(X)", "I takes two groups"),
    ("^I(X;Y;Z)", "use TC"),
    ("H(Z) + ^TC(X,Y;Y)", "must be disjoint"),
    ("^TC(X;X)", "must be disjoint"),
    ("H(X) + ^1", "only 0 stands alone"),
    ("^2", "only 0 stands alone"),
    ("^0*", "must multiply"),
    ("1/^0 H(X)", "division by zero"),
    ("H(X)/^0", "division by zero"),
    ("H(X)/^H(Y)", "expected a number"),
    ("1/^H(X)", "expected a number"),
    ("H(X|Y^|Z)", "expected '\\)'"),
    ("H(X|Y^;Z)", "expected '\\)'"),
    ("(H(X)^", "expected '\\)'"),
    ("H(X) ^<= H(Y)", "unexpected '<='"),
    ("H(X) ^& H(Y)", "unexpected character '&'"),
    ("H(^1)", "expected a variable"),
]


@pytest.mark.parametrize(("marked", "problem"), WRONG)
def test_errors_point_at_the_token(marked, problem):
    position = marked.index("^")
    with pytest.raises(ParseError, match=problem) as caught:
        Functional.parse(marked.replace("^", "", 1), XYZ)
    assert caught.value.position == position
    lines = str(caught.value).splitlines()
    assert lines[-1] == " " * (position + 2) + "^"


def test_variables_without_a_list_are_those_of_the_text():
    f = Functional.parse("H(b|a) + H(c)")
    assert f.names == ("b", "a", "c")
    assert dict(f.coefficients) == {0b011: 1, 0b010: -1, 0b100: 1}


def test_latex():
    f = Functional(("X1", "Y_2", "z", "my_name"), {0b0001: 1, 0b0110: Fraction(-3, 2), 0b1000: 2, 0b1111: -1})
    assert f.to_latex() == (
        r"H(X_{1}) + 2 H(\mathrm{my\_name}) - \tfrac{3}{2} H(Y_{2},z) - H(X_{1},Y_{2},z,\mathrm{my\_name})"
    )
    assert Functional(("X",), {}).to_latex() == "0"
    assert (-Functional(("X",), {1: Fraction(1, 3)})).to_latex() == r"-\tfrac{1}{3} H(X)"


# --- meaning: expressions evaluated twice, exactly ----------------------------------------------------------------


def entropy(h, mask):
    return h[mask - 1] if mask else Fraction(0)


@st.composite
def atoms(draw):
    """The text of one information quantity, and its value on a vector of entropies."""
    subset = st.integers(1, 7)
    given_mask = draw(st.integers(0, 7))
    bar = f"|{format_subset(given_mask, XYZ)}" if given_mask else ""

    def cond(h, mask):
        return entropy(h, mask | given_mask) - entropy(h, given_mask)

    kind = draw(st.sampled_from(["H", "I", "TC"]))
    if kind == "H":
        a = draw(subset)
        return f"H({format_subset(a, XYZ)}{bar})", lambda h: cond(h, a)
    if kind == "I":
        a, b = draw(subset), draw(subset)
        text = f"I({format_subset(a, XYZ)};{format_subset(b, XYZ)}{bar})"
        return text, lambda h: cond(h, a) + cond(h, b) - cond(h, a | b)
    blocks = draw(st.sampled_from([[1, 2], [1, 2, 4], [3, 4], [5, 2]]))
    text = f"TC({';'.join(format_subset(b, XYZ) for b in blocks)}{bar})"
    return text, lambda h: sum(cond(h, b) for b in blocks) - cond(h, sum(blocks))


def sums(inner):
    @st.composite
    def build(draw):
        text, parts = "", []
        for i in range(draw(st.integers(1, 3))):
            sign = draw(st.sampled_from("+-"))
            factor = draw(st.fractions(0, 5, max_denominator=6))
            piece, value = draw(inner)
            text += f" {sign} {factor} {piece}" if i else f"{'-' if sign == '-' else ''}{factor}*{piece}"
            parts.append((factor if sign == "+" else -factor, value))
        return f"({text})", lambda h: sum(c * value(h) for c, value in parts)

    return build()


@given(st.recursive(atoms(), sums, max_leaves=6), st.lists(st.fractions(-3, 3), min_size=7, max_size=7))
def test_expressions_mean_what_they_say(expression, h):
    text, value = expression
    found = Functional.parse(text, XYZ)
    assert sum((c * entropy(h, mask) for mask, c in found.coefficients.items()), Fraction(0)) == value(h)


# --- arithmetic ---------------------------------------------------------------------------------------------------


@given(functionals, functionals, fractions)
def test_it_is_a_vector_space(f, g, c):
    zero = Functional(NAMES, {})
    assert f + g == g + f
    assert f - g == f + (-g)
    assert f - f == zero
    assert c * (f + g) == f * c + g * c
    assert f + zero == f
    if c:
        assert (f * c) / c == f
        assert hash((f * c) / c) == hash(f)
    for mask in range(1, 16):
        expected = f.coefficients.get(mask, 0) + c * g.coefficients.get(mask, 0)
        assert (f + c * g).coefficients.get(mask, 0) == expected


def test_thirds_are_exact():
    third = Functional.parse("1/3 H(X)", XYZ)
    assert third + third + third == Functional.parse("H(X)", XYZ)
    assert str(third / 7) == "1/21 H(X)"


def test_constructors_agree_with_the_parser():
    assert H(XYZ, 0b001, 0b110) == Functional.parse("H(X|Y,Z)", XYZ)
    assert I(XYZ, 0b001, 0b010, 0b100) == Functional.parse("I(X;Y|Z)", XYZ)
    assert TC(XYZ, [0b001, 0b110]) == Functional.parse("TC(X;Y,Z)", XYZ)
    assert TC(XYZ, []) == Functional(XYZ, {})


def test_information_is_symmetric_and_chains():
    for a, b in combinations(range(1, 8), 2):
        assert I(XYZ, a, b) == I(XYZ, b, a)
        assert H(XYZ, a | b) == H(XYZ, a) + H(XYZ, b, a)
    assert I(XYZ, 0b001, 0b110) == I(XYZ, 0b001, 0b010) + I(XYZ, 0b001, 0b100, 0b010)
    assert I(XYZ, 0b001, 0b110) != I(XYZ, 0b001, 0b010) + I(XYZ, 0b001, 0b100)


def test_the_empty_set_and_zeros_are_dropped():
    f = Functional(XYZ, {0: 5, 1: 0, 2: Fraction(2, 4)})
    assert f.masks == (2,)
    assert f.coefficients[2] == Fraction(1, 2)


def test_coefficients_cannot_be_changed():
    f = Functional(XYZ, {1: 1})
    with pytest.raises(TypeError):
        f.coefficients[1] = Fraction(2)
    with pytest.raises(AttributeError):
        f.names = ("a",)


def test_what_cannot_be_combined():
    f = Functional(XYZ, {1: 1})
    with pytest.raises(InputError, match="different variables"):
        f + Functional(("X", "Y"), {1: 1})
    for wrong in (lambda: f + 1, lambda: f * 0.5, lambda: 0.5 * f, lambda: f * f):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ZeroDivisionError):
        f / 0
    with pytest.raises(InputError, match="mask 8 is out of range for 3"):
        Functional(XYZ, {8: 1})


def test_numpy_integers_do_not_overflow():
    for wide in (np.int64(2**62), Fraction(np.int64(2**62), 3) * 3, Fraction(2**62, np.int64(1))):
        f = Functional(XYZ, {1: wide})
        assert (f * 4).coefficients[1] == 2**64
        assert (Functional(XYZ, {1: 4}) * wide).coefficients[1] == 2**64


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["X", "X"], "'X' is used twice"),
        (["X", ""], "nonempty"),
        (["X", "a,b"], "without"),
        (["X", "a|b"], "without"),
        (["X", "a+b"], "without"),
        (["X", 3], "nonempty string"),
    ],
)
def test_names_are_checked(names, problem):
    with pytest.raises(InputError, match=problem):
        Functional(names, {1: 1})


# --- formulas: whole numbers over a common denominator, against fractions added one by one ------------------------


def by_hand(kind, modality_units, scheme):
    """The coefficients of a formula, straight from its definition."""
    total = {}

    def add(units, coefficient):
        total[units] = total.get(units, Fraction(0)) + coefficient

    top = sum(modality_units)
    for subset, weight in scheme:
        known = sum(units for m, units in enumerate(modality_units) if subset >> m & 1)
        if kind in ("discrepancy", "total_correlation"):
            sign = 1 if kind == "discrepancy" else -1
            add(top, sign * weight)
            add(known, -sign * weight)
        if kind in ("unseen_entropies", "total_correlation"):
            for unit in range(top.bit_length()):
                if not known >> unit & 1:
                    add(known | 1 << unit, weight)
                    add(known, -weight)
        if kind == "seen_entropies":
            add(known, weight)
    return {units: c for units, c in total.items() if units and c}


@st.composite
def schemes_over_units(draw):
    """Up to four modalities of one or two units, and any weights."""
    sizes = draw(st.lists(st.integers(1, 2), min_size=1, max_size=4))
    starts = [sum(sizes[:m]) for m in range(len(sizes))]
    units = tuple(((1 << size) - 1) << start for size, start in zip(sizes, starts, strict=True))
    positive = st.builds(Fraction, st.integers(1, 10**6), st.integers(1, 10**6))
    weights = draw(st.dictionaries(st.integers(1, 2 ** len(sizes) - 1), positive, min_size=1))
    total = sum(weights.values())
    scheme = SubsetScheme({mask: weight / total for mask, weight in weights.items()}, len(sizes))
    return Ground.of([f"u{i}" for i in range(sum(sizes))], units), scheme


KINDS = ["discrepancy", "unseen_entropies", "total_correlation", "seen_entropies"]


@pytest.mark.parametrize("kind", KINDS)
@given(schemes_over_units())
def test_formulas_are_exactly_their_definitions(kind, drawn):
    ground, scheme = drawn
    found = getattr(formulas, kind)(ground, scheme)
    assert dict(found.coefficients) == by_hand(kind, ground.modality_units, scheme)
    assert all(type(c) is Fraction for c in found.coefficients.values())


@given(st.lists(st.tuples(st.integers(0, 3), fractions), max_size=12))
def test_a_coefficient_of_another_denominator_changes_no_other(added):
    terms = formulas.Terms(Ground.of(["X", "Y"]), mmvae(2))
    expected = {}
    for units, coefficient in added:
        terms.add(units, coefficient)
        expected[units] = expected.get(units, Fraction(0)) + coefficient
    assert terms.functional() == Functional(["X", "Y"], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_formula_is_remembered_for_its_scheme_and_its_entropies_alone(kind):
    """Alternating asks must not get the answer to the question before."""
    formula = getattr(formulas, kind)
    grounds = [
        Ground.of(["X", "Y", "Z"]),
        Ground.of(["X", "Y", "Z"], [1, 4, 2]),
        Ground.of(["a", "b", "c"]),
        Discrete(np.full((2, 2, 2), 1 / 8)).entropy_vector(),
    ]
    schemes = [mmvae(3), mopoe(3), SubsetScheme({(0,): 1}, 3)]
    for _ in range(2):
        for ground in grounds:
            for scheme in schemes:
                found = formula(ground, scheme)
                assert found.names == ground.names
                assert dict(found.coefficients) == by_hand(kind, ground.modality_units, scheme)


@pytest.mark.parametrize("kind", ["discrepancy", "unseen_entropies"])
def test_several_bounds_of_one_scheme_share_the_work(kind):
    h, scheme = Discrete(np.full((2, 2, 2), 1 / 8)).entropy_vector(), mopoe(3)
    formula = getattr(formulas, kind)
    assert formula(h, scheme) is formula(h, scheme)
    assert formula(h, scheme) is not formula(h, mopoe(3))


def test_what_is_remembered_goes_with_the_entropies():
    h = Discrete(np.full((2, 2, 2), 1 / 8)).entropy_vector()
    kept = weakref.ref(formulas.discrepancy(h, mopoe(3)))
    gc.collect()
    assert kept() is not None
    del h
    gc.collect()
    assert kept() is None
