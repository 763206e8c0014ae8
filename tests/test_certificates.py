"""Verification: what is right passes, and anything that was changed does not."""

import re
from dataclasses import replace
from fractions import Fraction

import pytest

from bounds import Functional, prove
from bounds.certificates import Certificate, Derivation, Elemental, Polymatroid, refutes, verify
from bounds.farkas import Combination, Separation
from bounds.statements import Statement, read_statements

DATA_PROCESSING = ("I(X;W) <= I(Y;Z)", ("I(X;Z,W|Y) = 0", "I(X,Y;W|Z) = 0"))
PROVED = {
    "data processing": DATA_PROCESSING,
    "halves": ("H(X,Y) + H(Y,Z) + H(X,Z) >= 2 H(X,Y,Z)", ()),
    "thirds": ("1/3 H(X,Y) <= 1/3 H(X) + 0.5 H(Y|X)", ()),
    "inequality": ("H(X) <= 1/7 H(Z)", ("3 H(X) <= H(Y)", "7/3 H(Y) <= H(Z)")),
    "equation": ("I(X;Y) = I(X;Y,Z)", ("X - Y - Z",)),
    "dependence": ("H(W|X) <= 0", ("H(Y,Z|X) = 0", "H(W|Y) = 0")),
}
CLAIMS = pytest.mark.parametrize(("claim", "given"), PROVED.values(), ids=PROVED)


def certificate_of(claim, given):
    found = prove(claim, given).certificate
    assert found is not None
    assert verify(found)
    return found


def with_derivation(certificate, index, **changes):
    derivations = list(certificate.derivations)
    derivations[index] = replace(derivations[index], **changes)
    return replace(certificate, derivations=tuple(derivations))


def changed(rows, index, row):
    return (*rows[:index], row, *rows[index + 1 :])


@CLAIMS
@pytest.mark.parametrize("amount", [Fraction(1), Fraction(-1), Fraction(1, 10**30)])
def test_a_changed_weight_is_noticed(claim, given, amount):
    certificate = certificate_of(claim, given)
    tried = 0
    for index, derivation in enumerate(certificate.derivations):
        for field in ("elementals", "assumptions"):
            rows = getattr(derivation, field)
            for i, (weight, what) in enumerate(rows):
                rows_now = changed(rows, i, (weight + amount, what))
                assert not verify(with_derivation(certificate, index, **{field: rows_now}))
                tried += 1
    assert tried


@CLAIMS
def test_a_lost_or_repeated_row_is_noticed(claim, given):
    certificate = certificate_of(claim, given)
    for index, derivation in enumerate(certificate.derivations):
        for field in ("elementals", "assumptions"):
            rows = getattr(derivation, field)
            for i in range(len(rows)):
                assert not verify(with_derivation(certificate, index, **{field: rows[:i] + rows[i + 1 :]}))
                assert not verify(with_derivation(certificate, index, **{field: (*rows, rows[i])}))


@CLAIMS
def test_another_elemental_is_noticed(claim, given):
    certificate = certificate_of(claim, given)
    count = len(certificate.statement.functional.names)
    every = [Elemental(i, j, k) for i in range(count) for j in range(i, count) for k in range(1 << count)]
    for index, derivation in enumerate(certificate.derivations):
        for i, (weight, old) in enumerate(derivation.elementals):
            for new in every:
                if not same_function(new, old):
                    rows = changed(derivation.elementals, i, (weight, new))
                    assert not verify(with_derivation(certificate, index, elementals=rows))


def same_function(a, b):
    def terms(one):
        i, j, k = 1 << one.first, 1 << one.second, one.given
        total = {}
        for mask, sign in ((i | k, 1), (j | k, 1), (i | j | k, -1), (k, -1)):
            total[mask] = total.get(mask, 0) + sign
        return {mask: c for mask, c in total.items() if mask and c}

    return terms(a) == terms(b)


@CLAIMS
def test_it_proves_its_statement_and_no_other(claim, given):
    certificate = certificate_of(claim, given)
    statement = certificate.statement
    little = Functional(statement.functional.names, {1: Fraction(1, 10**9)})
    for functional in (statement.functional * 2, -statement.functional, statement.functional - little):
        assert not verify(replace(certificate, statement=replace(statement, functional=functional)))
    other = "=" if statement.relation == ">=" else ">="
    assert not verify(replace(certificate, statement=replace(statement, relation=other)))
    assert not verify(replace(certificate, derivations=certificate.derivations[1:]))
    assert not verify(replace(certificate, derivations=(*certificate.derivations, *certificate.derivations)))
    if any(derivation.assumptions for derivation in certificate.derivations):
        assert not verify(replace(certificate, given=()))


def test_weights_must_have_the_right_sign():
    false, wrong = read_statements(["H(X|Y) <= 0", "H(X) <= H(Y)"])
    minus = Derivation(false.functional, ((Fraction(-1), Elemental(0, 0, 0b10)),), ())
    assert not verify(Certificate(false, (), (minus,)))
    reverse = Statement(-wrong.functional, ">=", "H(X) >= H(Y)")
    backwards = Derivation(reverse.functional, (), ((Fraction(-1), wrong),))
    assert not verify(Certificate(reverse, (wrong,), (backwards,)))
    forwards = Derivation(wrong.functional, (), ((Fraction(1), wrong),))
    assert verify(Certificate(wrong, (wrong,), (forwards,)))
    equal = Statement(wrong.functional, "=", "H(X) = H(Y)")
    assert verify(Certificate(reverse, (equal,), (Derivation(reverse.functional, (), ((Fraction(-1), equal),)),)))


def test_elementals_must_be_of_these_variables():
    claim = Statement.parse("H(X) >= 0")
    for elemental in (Elemental(0, 0, 2), Elemental(1, 1, 0), Elemental(-1, 0, 0), Elemental(0, 0, -1)):
        assert not verify(Certificate(claim, (), (Derivation(claim.functional, ((Fraction(1), elemental),), ()),)))


# --- counterexamples ----------------------------------------------------------------------------------------------


REFUTED = {
    "Ingleton": ("I(A;B) <= I(A;B|C) + I(A;B|D) + I(C;D)", ()),
    "independence": ("I(X;Y|Z) <= I(X;Y)", ("I(X;Y) = 0",)),
    "inequality": ("H(X) <= H(Z)", ("3 H(X) <= H(Y)", "H(Y) <= 4 H(Z)")),
    "equation": ("H(X|Y) = H(Y|X)", ()),
    "dependence": ("H(X|Y) = 0", ("H(Y|X) = 0",)),
}


@pytest.mark.parametrize(("claim", "given"), REFUTED.values(), ids=REFUTED)
def test_a_changed_polymatroid_is_noticed_unless_it_refutes_too(claim, given):
    proof = prove(claim, given)
    h = proof.counterexample
    assert h is not None
    assert refutes(h, proof.statement, proof.given)
    noticed = 0
    for mask in range(len(h.values)):
        for amount in (-1, 1, -100, 100):
            values = changed(h.values, mask, h.values[mask] + amount)
            found = refutes(replace(h, values=values), proof.statement, proof.given)
            assert found == slowly_refutes(h.names, values, proof.statement, proof.given)
            noticed += not found
    assert noticed >= 2 * len(h.values)


def slowly_refutes(names, values, statement, given):
    """From the definition: monotone and submodular for all pairs of subsets, not only the elemental ones."""
    every = range(len(values))
    rank = values[0] == 0 and all(values[a] <= values[a | b] for a in every for b in every)
    rank = rank and all(values[a] + values[b] >= values[a | b] + values[a & b] for a in every for b in every)

    def holds(one):
        total = sum(c * values[mask] for mask, c in one.functional.coefficients.items())
        return total == 0 if one.relation == "=" else total >= 0

    return rank and all(map(holds, given)) and not holds(statement)


def test_a_polymatroid_of_other_variables_refutes_nothing():
    statement = Statement.parse("H(X) <= H(Y)")
    values = tuple(map(Fraction, (0, 1, 0, 1)))
    assert refutes(Polymatroid(("X", "Y"), values), statement)
    assert not refutes(Polymatroid(("Y", "X"), values), statement)
    assert not refutes(Polymatroid(("X", "Y"), (*values, *values)), statement)
    assert not refutes(Polymatroid(("X", "Y"), values), statement, [Statement.parse("H(Z) = 0")])


# --- a search that errs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "found",
    [
        Combination({}),
        Combination({0: Fraction(1)}),
        Combination({0: Fraction(1), 1: Fraction(-1)}),
        Separation({}),
        Separation({1: Fraction(1)}),
    ],
)
@pytest.mark.parametrize("claim", ["I(X;Y) <= H(X)", "I(X;Y) >= H(X)"])
def test_nothing_that_fails_verification_is_returned(claim, found, monkeypatch):
    monkeypatch.setattr("bounds.shannon.decide", lambda *question: found)
    with pytest.raises(AssertionError, match="failed its verification"):
        prove(claim)


# --- printing -----------------------------------------------------------------------------------------------------


@CLAIMS
def test_the_printed_rows_add_up(claim, given):
    """The proof as a reader sees it, read by the parser and added up."""
    certificate = certificate_of(claim, given)
    for derivation in certificate.derivations:
        names = derivation.functional.names
        total = Functional(names, {})
        for weight, row in derivation.rows():
            left = re.fullmatch(r"(.*?) (>=|=) 0(  \(given.*\))?", row)
            assert left is not None
            total += Fraction(weight) * Functional.parse(left[1], names)
        assert total == derivation.functional


def test_json():
    certificate = certificate_of(*DATA_PROCESSING)
    (derivation,) = certificate.to_dict()["derivations"]
    assert {"weight": "1", "row": "I(X;Z|W) >= 0"} in derivation["sum_of"]
    assert {"weight": "-1", "row": "I(X;Z,W|Y) = 0  (given)"} in derivation["sum_of"]
    assert certificate.to_dict()["discrete_only"] is False
    h = prove("H(X) <= H(Y)").counterexample
    assert h is not None
    assert h.to_dict() == {
        "values": {"X": "1", "Y": "0", "X,Y": "1"},
        "note": "not Shannon-provable; this polymatroid may not be entropic",
    }


def test_an_identity_needs_no_rows():
    proof = prove("H(X,Y) = H(X) + H(Y|X)")
    assert "both sides are the same combination of entropies" in str(proof)
    assert str(proof).count("both sides") == 1
