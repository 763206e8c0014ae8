"""The prover: classical inequalities, those of the theory, and what must not be provable."""

from fractions import Fraction
from itertools import combinations, pairwise, permutations
from math import comb

import numpy as np
import pytest
from shannon_common import assert_proved, assert_refuted

from bounds import TC, Discrete, Functional, Gaussian, I, InputError, ParseError, SubsetScheme, mmvae, mopoe, prove
from bounds.formulas import Ground, discrepancy, total_correlation
from bounds.shannon import t2_core
from bounds.subsets import default_names, mask_of, members

# --- known answers ------------------------------------------------------------------------------------------------

PROVED = [
    ("H(X,Y,Z) = H(X) + H(Y|X) + H(Z|X,Y)", ()),
    ("I(X,Y;Z) = I(X;Z) + I(Y;Z|X)", ()),
    ("TC(X,Y,Z) = I(X;Y) + I(X,Y;Z)", ()),
    ("H(X) <= H(X,Y,Z,W)", ()),
    ("H(X|Y,Z) <= H(X|Y)", ()),
    ("H(X,Y,Z) + H(Y) <= H(X,Y) + H(Y,Z)", ()),
    ("H(A,B,C,D,E) + H(B,C) <= H(A,B,C) + H(B,C,D,E)", ()),
    ("H(X,Y,Z) <= 1/2 H(X,Y) + 1/2 H(Y,Z) + 1/2 H(X,Z)", ()),
    ("I(X;W) <= I(Y;Z)", ("I(X;Z,W|Y) = 0", "I(X,Y;W|Z) = 0")),
    ("I(X;W) <= I(Y;Z)", ("X - Y - Z - W",)),
    ("I(X;W) <= I(Y;Z)", ("X -> Y -> Z -> W",)),
    ("I(X,W;Z) <= I(X,W;Y)", ("X,W -> Y -> Z",)),
    ("I(A;F) <= I(C;D)", ("A - B - C - D - E - F",)),
    ("I(X;Z) <= I(X;Y)", ("H(Z|Y) = 0",)),
    ("H(Z) <= H(X) + H(Y)", ("H(Z|X,Y) = 0",)),
    ("I(X;Y|Z) >= I(X;Y)", ("I(X;Z) = 0",)),
    ("H(X|Y,Z) = 0", ("H(X|Y) = 0",)),
    ("H(X) = H(Y)", ("H(X|Y) = 0", "H(Y|X) <= 0")),
    ("H(X) <= 1/6 H(Z)", ("2 H(X) <= H(Y)", "3 H(Y) <= H(Z)")),
    ("H(X) = 0", ("H(X,Y) = 0",)),
    ("I(X;Y) = 0", ("H(X) = 0",)),
    ("H(X|Y,Z) + H(Y) = 0", ("H(X|Z) = 0", "H(Y) = 0")),
    # The secrecy of a one-time pad: the key is as long as the message.
    ("H(M) <= H(K)", ("I(M;C) = 0", "H(M|C,K) = 0")),
]

REFUTED = [
    ("H(X) <= I(X;Y)", ()),
    ("I(X;Y|Z) <= I(X;Y)", ()),
    ("I(X;Y) <= I(X;Y|Z)", ()),
    ("H(X) = H(Y)", ()),
    ("I(X;W) <= I(Y;Z)", ("I(X;Z,W|Y) = 0",)),
    ("I(X;Z) >= I(X;Y)", ("X - Y - Z",)),
    ("I(X;Z) >= I(X;Y)", ("X -> Y -> Z",)),
    ("I(X;Z) <= I(X;Y)", ("X -> Z -> Y",)),
    ("I(X;Z) <= I(X;W)", ("X,W -> Y -> Z",)),
    ("H(M) <= H(K)", ("I(M;C) = 0",)),
    ("H(M) >= H(K)", ("I(M;C) = 0", "H(M|C,K) = 0")),
    ("I(A;B) <= I(A;B|C) + I(A;B|D) + I(C;D)", ()),  # Ingleton
    ("2 I(C;D) <= I(A;B) + I(A;C,D) + 3 I(C;D|A) + I(C;D|B)", ()),  # Zhang and Yeung
]


@pytest.mark.parametrize(("statement", "given"), PROVED)
def test_proved(statement, given):
    assert_proved(statement, given)


@pytest.mark.parametrize(("statement", "given"), REFUTED)
def test_not_provable(statement, given):
    assert_refuted(statement, given)


@pytest.mark.parametrize(("statement", "given"), [case for case in PROVED if case[1]])
def test_assumptions_are_needed(statement, given):
    for i in range(len(given)):
        assert_refuted(statement, [*given[:i], *given[i + 1 :]])


def test_zhang_yeung_follows_from_itself_and_is_stronger_than_shannon():
    zhang_yeung = REFUTED[-1][0]
    assert_proved(zhang_yeung.replace("2 I(C;D)", "4/2 I(C;D)"), [zhang_yeung])
    assert_refuted(REFUTED[-2][0], [zhang_yeung])  # it does not give Ingleton, which is false
    assert assert_refuted(zhang_yeung).notes == ()  # unlike with three variables, the statement is true


def average_entropy(count, size):
    share = Fraction(1, comb(count, size))
    subsets = combinations(range(count), size)
    return Functional(default_names(count), {mask_of(subset): share for subset in subsets})


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_han(count):
    for size in range(1, count):
        per_variable = average_entropy(count, size) / size - average_entropy(count, size + 1) / (size + 1)
        assert assert_proved(per_variable).certificate.discrete_only is False
        assert_refuted(-per_variable)


@pytest.mark.parametrize("count", [8, 9])
def test_proofs_are_short_where_they_can_be(count):
    certificate = assert_proved(TC(default_names(count), [1 << i for i in range(count)])).certificate
    assert len(certificate.derivations[0].elementals) == comb(count, 2)


# --- the theory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_mopoe_has_the_smaller_discrepancy_for_discrete_data_only(count):
    ground = Ground.of(default_names(count))
    difference = discrepancy(ground, mmvae(count)) - discrepancy(ground, mopoe(count))
    assert assert_proved(difference).certificate.discrete_only
    narrow = Gaussian(1e-4 * np.eye(count), names=ground.names).entropy_vector()
    assert narrow.value(difference) < -1


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_han_caps_the_discrepancy(count):
    ground = Ground.of(default_names(count))
    for scheme, cap in (
        (mmvae(count), Fraction(count - 1, count)),
        (mopoe(count), Fraction(2 ** (count - 1) - 1, 2**count - 1)),
    ):
        whole = Functional(ground.names, {(1 << count) - 1: 1})
        assert_proved(whole * cap - discrepancy(ground, scheme))
        assert_refuted(whole * (cap - Fraction(1, 10**6)) - discrepancy(ground, scheme))


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_losses_are_ordered_for_densities_too(count):
    ground = Ground.of(default_names(count))
    whole = TC(ground.names, [1 << m for m in range(count)])
    mixture, products = (total_correlation(ground, scheme(count)) for scheme in (mmvae, mopoe))
    assert not assert_proved(mixture - products).certificate.discrete_only
    assert not assert_proved(whole - mixture).certificate.discrete_only


@pytest.mark.parametrize("count", [2, 3, 4])
def test_one_more_modality_never_lowers_the_loss_of_mmvae(count):
    names = default_names(count + 1)
    before = total_correlation(Ground.of(names[:count]), mmvae(count))
    after = total_correlation(Ground.of(names), mmvae(count + 1))
    assert_proved(after - Functional(names, before.coefficients))


def test_one_more_modality_can_lower_the_loss_of_mopoe():
    grows = {}
    for count in (2, 3, 4):
        names = default_names(count + 1)
        before = total_correlation(Ground.of(names[:count]), mopoe(count))
        grows[count] = total_correlation(Ground.of(names), mopoe(count + 1)) - Functional(names, before.coefficients)
    assert_proved(grows[2])
    assert_refuted(grows[3])
    assert_refuted(grows[4])
    bits = np.zeros((2, 2, 2, 4))
    for a, b in np.ndindex(2, 2):
        bits[a, b, a ^ b, 2 * a + b] = 0.25
    change = Discrete(bits, names=default_names(4)).entropy_vector().value(grows[3])
    assert change == pytest.approx((6 / 15 - 3 / 7) * np.log(2), rel=1e-12)


def losses(units, subset):
    """``TC_A`` for modalities of so many units."""
    ends = np.cumsum([0, *units])
    names = [f"U{u}" for u in range(ends[-1])]
    ground = Ground.of(names, [mask_of(range(a, b)) for a, b in pairwise(ends)])
    return ground, total_correlation(ground, SubsetScheme({subset: 1}, len(units), allow_empty=True))


@pytest.mark.parametrize("units", [(1, 1), (1, 1, 1), (1, 1, 1, 1), (2, 1, 1), (2, 2, 1), (1, 3, 2), (1, 1, 2, 1)])
def test_the_loss_of_a_subset_falls_as_it_grows(units):
    for subset in range(1 << len(units)):
        for j in range(len(units)):
            if subset >> j & 1:
                continue
            ground, smaller = losses(units, subset)
            _, larger = losses(units, subset | 1 << j)
            seen = mask_of(u for m in members(subset) for u in members(ground.modality_units[m]))
            new = ground.modality_units[j]
            assert not assert_proved(smaller - larger).certificate.discrete_only
            exact = TC(ground.names, [1 << u for u in members(new)], seen)
            for m in range(len(ground.names)):
                if not (seen | new) >> m & 1:
                    exact += I(ground.names, 1 << m, new, seen)
            assert smaller - larger == exact


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_core_of_t1_and_t2(count):
    top = (1 << count) - 1
    for subset in range(top + 1):
        statement, given = t2_core(count, subset)
        assert_proved(statement, given)
        assert (given == ()) == (subset == top)
        if given:
            assert_refuted(statement)
            assert_refuted(f"{statement} + {Fraction(1, 1000)} H(Z)", given)


def test_the_core_is_about_the_subset_that_was_asked_for():
    assert t2_core(3, 0b101) == (
        "H(X1|Z) + H(X2|Z) + H(X3|Z) + I(X1,X3;Z) >= H(X1,X3) + H(X2|X1,X3)",
        ("I(Z;X2|X1,X3) = 0",),
    )
    assert t2_core(2, 0) == ("H(X1|Z) + H(X2|Z) >= H(X1) + H(X2)", ("I(Z;X1,X2) = 0",))
    with pytest.raises(InputError, match="mask 8 is out of range for 3"):
        t2_core(3, 8)


# --- the number of variables ---------------------------------------------------------------------------------------


def test_many_variables_of_which_some_are_functions_of_others():
    sources = "A,B,C,D"
    gates = {"E": "A,B", "F": "B,C", "G": "C,D", "H": "D,A", "I": "E", "J": "F", "K": "G", "L": "H"}
    given = [f"H({out}|{into}) = 0" for out, into in gates.items()] + ["H(A,B|E) = 0", "H(C|G) = 0"]
    proof = assert_proved(f"H({','.join(gates)}) <= H(A) + H(B) + H(C) + H(D)", given)
    assert len(proof.names) == 12
    refuted = assert_refuted(f"H({','.join(gates)}) >= H({sources}) + H(A|J)", given)
    assert len(refuted.counterexample.values) == 4096


def test_too_many_variables():
    names = [f"V{i}" for i in range(12)]
    with pytest.raises(InputError, match="12 variables have 4096 subsets, and 2048 can be handled: 11 variables"):
        prove(TC(names, [1 << i for i in range(12)]))
    with pytest.raises(InputError, match=r"12 variables have 3072 subsets that the functional dependences leave apart"):
        prove(TC(names, [1 << i for i in range(12)]), "H(V1|V0) = 0")
    with pytest.raises(InputError, match="20 variables: at most 16"):
        prove(" + ".join(f"H(V{i})" for i in range(20)) + " >= 0")
    prove("H(V0) >= 0", names=names)  # variables that nothing mentions do not count


# --- assumptions that leave nothing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assumption", "constant"),
    [
        ("H(X) <= 0", "X"),
        ("H(X) <= -H(X)", "X"),
        ("I(X;Y) <= -H(X)", "X"),
        ("H(X) >= 2 H(X,Y)", "X,Y"),
        ("TC(X,Y) + H(Z) <= 0", "Z"),
        ("I(X;Y) >= 2 H(X)", "X"),
        ("I(X;Y) >= H(X) + H(Y)", "X,Y"),
        ("H(X) >= 2 H(Y)", None),
        ("H(Y|X) <= 0", None),
        ("I(X;Y) <= 0", None),
        ("I(X;Y) <= -I(Y;Z)", None),
        ("H(X,Y) = -H(X)", None),  # equations may say that something is constant
    ],
)
def test_an_inequality_that_only_constants_satisfy(assumption, constant):
    if constant is None:
        prove("H(X) <= H(X,Y)", assumption)
        return
    with pytest.raises(InputError, match=f"leaves only constants for {constant}: write H\\({constant}\\) = 0") as error:
        prove("H(X) <= H(X,Y)", assumption)
    assert assumption in str(error.value)


def test_notes_say_when_assumptions_make_variables_constant():
    assert assert_proved("H(X) <= H(Y)", "H(X) = 0").notes == ("the assumptions leave only constants for X",)
    assert assert_proved("H(X) <= H(Y)", ["H(X|Y) = 0", "I(X;Y) = 0"]).notes == (
        "the assumptions leave only constants for X",
    )
    assert assert_proved("H(X) <= H(Y)", ["H(X) >= 2 H(Y)", "H(Y) >= 2 H(X)"]).notes == (
        "the assumptions leave only constants for X, Y",
    )
    assert assert_proved("H(X) <= H(Y)", ["H(X|Y) = 0", "I(Z;X) = H(Z)"]).notes == ()
    assert assert_proved("H(X) >= 0", ["H(Z) = 0"]).notes == ()  # Z is not in the claim


def test_up_to_three_variables_what_is_not_provable_is_false():
    assert "the statement is false" in assert_refuted("I(X;Y|Z) <= I(X;Y)").notes[0]
    assert "the statement is false" in assert_refuted("H(X) <= H(Y)", "H(Y|X,Z) = 0").notes[0]
    assert assert_refuted("I(X;Y|Z) <= I(X;Y) + 0.1 H(W)").notes == ()


# --- the face of it -----------------------------------------------------------------------------------------------


def test_errors_point_at_the_token_of_claim_or_assumption():
    with pytest.raises(ParseError, match="unknown variable 'W'") as caught:
        prove("H(X) <= H(W)", names=["X", "Y"])
    assert caught.value.position == 10
    with pytest.raises(ParseError, match="expected <=, >= or =") as caught:
        prove("H(X) >= 0", ["I(X;Y) = 0", "I(X;Z)"])
    assert caught.value.position == 6
    with pytest.raises(InputError, match="7 is no statement"):
        prove("H(X) >= 0", [7])


def test_an_arrow_is_a_link_of_a_chain_and_keeps_its_form():
    arrows, dashes = (prove("I(X,W;Z) <= I(X,W;Y)", f"X,W {link} Y {link} Z") for link in ("->", "-"))
    assert arrows.certificate.derivations[0].elementals == dashes.certificate.derivations[0].elementals
    assert "given: X,W -> Y -> Z\n" in str(arrows)
    with pytest.raises(ParseError, match="a Markov chain is written") as caught:
        prove("I(X;Z) <= I(X;Y)", ["X -> Y"])
    assert caught.value.position == 6


def test_a_claim_may_be_a_functional_or_a_statement():
    f = Functional.parse("H(X|Y)", ["X", "Y"])
    assert str(prove(f).statement) == "-H(Y) + H(X,Y) >= 0"
    proof = prove("I(X;Z) <= I(X;Y)", "X - Y - Z")
    assert prove(proof.statement, proof.given) == proof
    assert prove(Functional((), {})).proved
    assert prove("0 = 0").names == ()
    assert not prove(-f).proved


@pytest.mark.parametrize("names", list(permutations(["X", "Y", "Z"])))
def test_the_order_of_the_variables_does_not_matter(names):
    assert prove("I(X;Y|Z) + I(X;Z) >= I(X;Y)", names=names).proved
    assert not prove("I(X;Y|Z) >= I(X;Y)", names=names).proved


def test_what_is_shown():
    proof = prove("I(X;W) <= I(Y;Z)", given=["I(X;Z,W|Y) = 0", "I(X,Y;W|Z) = 0"])
    assert str(proof).splitlines()[:3] == [
        "proved: I(X;W) <= I(Y;Z)",
        "given: I(X;Z,W|Y) = 0",
        "given: I(X,Y;W|Z) = 0",
    ]
    assert "   1  I(X;Z|W) >= 0" in str(proof)
    html = proof._repr_html_()
    assert html.startswith("<table><caption>proved: I(X;W) &lt;= I(Y;Z), given ")
    assert '<td>1</td><td style="text-align: left">I(X;Z|W) &gt;= 0</td>' in html
    found = proof.to_dict()
    assert (found["proved"], found["names"], found["counterexample"]) == (True, ["X", "W", "Y", "Z"], None)
    refuted = prove("H(X) <= H(Y)")
    assert '<td>H(X,Y)</td><td style="text-align: left">1</td>' in refuted._repr_html_()
    assert refuted.to_dict()["counterexample"]["values"] == {"X": "1", "Y": "0", "X,Y": "1"}
    assert "may not be entropic" in str(refuted)
    assert "there -H(X) + H(Y) = -1" in str(refuted)
