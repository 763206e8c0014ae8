"""Statements: read over shared variables, brought to one form, refused with a pointer to the right token."""

import pytest

from bounds import Functional, InputError, ParseError
from bounds.statements import Statement, read_statements

XYZ = ("X", "Y", "Z")


READ = [
    ("H(X) <= H(X,Y)", "-H(X) + H(X,Y)", ">="),
    ("H(X) ≤ H(X,Y)", "-H(X) + H(X,Y)", ">="),
    ("H(X,Y) >= H(X)", "-H(X) + H(X,Y)", ">="),
    ("H(X,Y) ≥ H(X)", "-H(X) + H(X,Y)", ">="),
    ("H(X,Y) = H(X)", "-H(X) + H(X,Y)", "="),
    ("H(X,Y) == H(X)", "-H(X) + H(X,Y)", "="),
    ("0 <= 1/2 I(X;Y)", "1/2 H(X) + 1/2 H(Y) - 1/2 H(X,Y)", ">="),
    ("I(X;Y) = 0", "H(X) + H(Y) - H(X,Y)", "="),
    ("X - Y - Z", "-H(Y) + H(X,Y) + H(Y,Z) - H(X,Y,Z)", "="),
    ("X,Y - Z - X", "-H(Z) + H(X,Z)", "="),
    ("X -> Y -> Z", "-H(Y) + H(X,Y) + H(Y,Z) - H(X,Y,Z)", "="),
    ("X->Y→Z", "-H(Y) + H(X,Y) + H(Y,Z) - H(X,Y,Z)", "="),
    ("X - Y -> Z", "-H(Y) + H(X,Y) + H(Y,Z) - H(X,Y,Z)", "="),
    ("X,Y -> Z -> X", "-H(Z) + H(X,Z)", "="),
]


@pytest.mark.parametrize(("text", "functional", "relation"), READ)
def test_what_is_read(text, functional, relation):
    found = Statement.parse(text, XYZ)
    assert found.functional == Functional.parse(functional, found.functional.names)
    assert (found.relation, str(found)) == (relation, text)


@pytest.mark.parametrize("link", [" - ", " -> ", "->", "-", " → "])
def test_every_link_gives_the_same_chain(link):
    for groups in (["A", "B", "C"], ["A,D", "B", "C"], ["A", "B,D", "C,E", "F"]):
        chain, plain = read_statements([link.join(groups), " - ".join(groups)])
        assert (chain.functional, chain.relation) == (plain.functional, plain.relation)


def test_a_group_in_a_chain_is_forgotten_as_a_whole():
    found = Statement.parse("X,W -> Y -> Z")
    assert found.functional == Functional.parse("I(X,W;Z|Y)", ["X", "W", "Y", "Z"])


def test_a_long_chain_says_that_each_variable_forgets():
    found = Statement.parse("A - B - C - D")
    assert found.functional == Functional.parse("I(A;C|B) + I(A,B;D|C)", list("ABCD"))


#: The caret stands before the token that the error must point at.
WRONG = [
    ("H(X)^", "expected <=, >= or = between"),
    ("H(X) ^H(Y)", "expected <=, >= or = between"),
    ("H(X) >= H(Y) ^>= H(Z)", "one relation"),
    ("H(X) >= H(Y) ^H(Z)", "unexpected 'H'"),
    ("H(X) ^< H(Y)", "unexpected character '<'"),
    ("H(X) >=^", "expected H"),
    ("^>= H(X)", "expected H"),
    ("H(X) >= H(^W)", "unknown variable 'W': known are X, Y, Z"),
    ("H(X) >= ^1", "only 0 stands alone"),
    ("H(X) >= 0 + ^2/3", "only 0 stands alone"),
    ("H(X) <= ^K(Y)", "unknown quantity 'K'"),
    ("I(X;Y) <= ^I(X)", "I takes two groups"),
    ("^X <= Y", "unknown quantity 'X'"),
    ("X - Y^", "a Markov chain is written"),
    ("X,Y^", "a Markov chain is written"),
    ("X - Y -^", "expected a variable"),
    ("X - Y - Z ^= 0", "a Markov chain is written"),
    ("X - Y - ^W", "unknown variable 'W'"),
    ("X -> Y^", "a Markov chain is written"),
    ("X -> Y ->^", "expected a variable"),
    ("X -> ^-> Z", "expected a variable"),
    ("X -> Y, ^-> Z", "expected a variable"),
    ("X -> ^H(Y) -> Z", "unknown variable 'H'"),
    ("X -> Y -> Z ^>= 0", "a Markov chain is written"),
    ("X -> Y ^<- Z", "unexpected character '<'"),
    ("X -^- Y", "expected a variable"),
    ("X - ^> Y", "unexpected character '>'"),
    ("H(X) ^-> H(Y)", "expected <=, >= or = between"),
    ("H(X) ^-> Y -> Z", "expected <=, >= or = between"),
    ("H(X) - H(Y) >= 0 ^-> Z", "unexpected '->'"),
    ("I(X;Y|Z ^-> X) = 0", "expected '\\)'"),
    ("^-> Y -> Z", "expected H"),
]


@pytest.mark.parametrize(("marked", "problem"), WRONG)
def test_errors_point_at_the_token(marked, problem):
    with pytest.raises(ParseError, match=problem) as caught:
        Statement.parse(marked.replace("^", "", 1), XYZ)
    assert caught.value.position == marked.index("^")


def test_an_error_shows_the_text_that_it_is_about():
    with pytest.raises(ParseError) as caught:
        read_statements(["H(X) >= 0", "I(X;Y) = = 0"])
    assert str(caught.value).splitlines()[1:] == ["  I(X;Y) = = 0", "           ^"]


def test_several_share_the_variables_that_they_depend_on():
    first, second = read_statements(["H(A) <= H(A,B) + 0 H(Q)", "I(C;A|B) = 0"])
    assert first.functional.names == second.functional.names == ("A", "B", "C")
    (only,) = read_statements(["H(Y) >= 0"], names=["X", "Y", "Z"])
    assert only.functional == Functional(("Y",), {1: 1})


def test_functionals_are_at_least_zero_and_keep_their_names():
    f = Functional.parse("H(X) - H(Y)", ["X", "Y", "unused"])
    first, second, third = read_statements([f, "H(Y) = H(W)", first_again := Statement.parse("H(Q) >= 0")])
    assert (str(first), first.relation) == ("H(X) - H(Y) >= 0", ">=")
    assert second.functional == Functional.parse("H(Y) - H(W)", ["X", "Y", "W", "Q"])
    assert (third.text, third.functional.names) == (first_again.text, ("X", "Y", "W", "Q"))


def test_normal_form_is_the_text_where_that_has_it():
    assert Statement.parse("I(X;Y|Z) = 0").normal == "I(X;Y|Z) = 0"
    assert Statement.parse("TC(X,Y) >= 0").normal == "TC(X,Y) >= 0"
    assert Statement.parse("-H(X) <= 0").normal == "H(X) >= 0"
    assert Statement.parse("H(X) = H(Y)").normal == "H(X) - H(Y) = 0"
    assert Statement.parse("0 = H(X)").normal == "-H(X) = 0"
    assert Statement.parse("X - Y - Z").normal == "-H(Y) + H(X,Y) + H(Y,Z) - H(X,Y,Z) = 0"


def test_what_is_no_statement():
    with pytest.raises(InputError, match="3 is no statement"):
        read_statements([3])
    with pytest.raises(InputError, match="unknown variable 'Q' in H\\(Q\\) >= 0: known are X, Y"):
        read_statements([Functional(("Q",), {1: 1})], names=["X", "Y"])
    with pytest.raises(InputError, match="list of strings"):
        read_statements(["H(X) >= 0"], names="X")
