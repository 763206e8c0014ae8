"""The prover on random statements: whatever it answers is verified, and real variables never contradict it."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shannon_common import assert_proved, assert_refuted

from bounds import Discrete, Functional, H, I, prove
from bounds.certificates import refutes, verify
from bounds.shannon_cone import Dependence, ShannonCone
from bounds.statements import Statement
from bounds.subsets import default_names, members

WXYZ = ("W", "X", "Y", "Z")
small = st.builds(Fraction, st.integers(1, 9), st.integers(1, 9))


def elementals(names):
    top = (1 << len(names)) - 1
    found = [H(names, 1 << i, top ^ 1 << i) for i in range(len(names))]
    for i, j in combinations(range(len(names)), 2):
        found += [I(names, 1 << i, 1 << j, k) for k in range(top + 1) if not k & (1 << i | 1 << j)]
    return found


@st.composite
def shannon_type(draw, size=None):
    """A combination of elemental inequalities with weights above zero, over several orders of magnitude."""
    every = elementals(default_names(size or draw(st.integers(1, 5))))
    chosen = draw(st.lists(st.sampled_from(every), min_size=1, max_size=12, unique_by=str))
    scale = st.sampled_from([Fraction(1), Fraction(1, 10**5), Fraction(1, 10**9)])
    return sum((draw(small) * draw(scale) * one for one in chosen[1:]), draw(small) * chosen[0])


@given(shannon_type())
def test_what_follows_is_proved(f):
    assert_proved(f)


@given(shannon_type(4), shannon_type(4))
def test_a_proof_is_for_one_direction(f, g):
    assert_refuted(-f)
    assert prove(f"{f} = {g}", names=f.names).proved == (f == g)
    assert_proved(f"2 ({f}) = 3 ({f}) - ({f})")


@given(st.dictionaries(st.integers(1, 15), st.integers(-4, 4).map(Fraction), max_size=8), shannon_type(4))
def test_every_statement_has_a_verified_answer(coefficients, f):
    for one in (Functional(f.names, coefficients), f + Functional(f.names, coefficients)):
        proof = prove(one)
        if proof.proved:
            assert verify(proof.certificate)
        else:
            assert refutes(proof.counterexample, proof.statement)


@st.composite
def ranks(draw, count=4):
    """The entropies, in bits, of random linear functions of five fair bits: a rank function."""
    rows = [draw(st.lists(st.integers(0, 31), max_size=2)) for _ in range(count)]

    def rank(mask):
        basis = []
        for vector in (v for i in members(mask) for v in rows[i]):
            for pivot in basis:
                vector = min(vector, vector ^ pivot)
            if vector:
                basis.append(vector)
        return len(basis)

    return [Fraction(rank(mask)) for mask in range(1 << count)]


@given(
    ranks(), st.dictionaries(st.integers(1, 15), st.integers(-3, 3).map(Fraction), min_size=1, max_size=6), st.data()
)
def test_what_some_variables_violate_is_never_proved(h, coefficients, data):
    claim = Functional(WXYZ, coefficients)
    value = sum(c * h[mask] for mask, c in claim.coefficients.items())
    claim = claim if value < 0 else -claim
    assume(value)
    true = [one for one in elementals(WXYZ) if not sum(c * h[mask] for mask, c in one.coefficients.items())]
    chosen = data.draw(st.lists(st.sampled_from(true), max_size=3)) if true else []
    assert_refuted(claim, [Statement(one, "=", f"{one} = 0") for one in chosen])


@pytest.mark.parametrize("seed", range(20))
def test_entropies_of_random_laws_satisfy_what_is_proved(seed):
    rng = np.random.default_rng(seed)
    names = default_names(4)
    every = elementals(names)
    law = rng.dirichlet(np.full(36, rng.choice([0.05, 1.0]))).reshape(2, 3, 2, 3)
    h = Discrete(law, names=names).entropy_vector()
    for _ in range(10):
        chosen = rng.choice(len(every), size=5, replace=False)
        f = sum((Fraction(int(rng.integers(1, 9))) * every[i] for i in chosen[1:]), every[chosen[0]])
        proof = assert_proved(f)
        # Rounding: at most some hundred terms of size 10 in float64.
        assert h.value(proof.statement.functional) >= -1e-12
        # Planted: one sign is wrong, and a law shows it as the prover does.
        wrong = f - 10 * every[chosen[-1]]
        if h.value(wrong) < -1e-12:
            assert_refuted(wrong)


@pytest.mark.parametrize("seed", range(10))
def test_markov_chains_satisfy_what_is_proved_of_them(seed):
    rng = np.random.default_rng(seed)
    chain = np.einsum("x,xy,yz,zw->xyzw", *(rng.dirichlet(np.ones(3), size)[...] for size in ((), 3, 3, 3)))
    h = Discrete(chain, names=["X", "Y", "Z", "W"]).entropy_vector()
    proof = assert_proved("I(X;W) <= I(Y;Z)", ["X - Y - Z - W"])
    claim = Functional(h.names, Functional.parse("I(Y;Z) - I(X;W)", h.names).coefficients)
    assert h.value(claim) >= -1e-12
    assert Functional.parse(str(proof.statement.functional), h.names) == claim
    backwards = Functional.parse("I(X;W) - I(Y;Z)", h.names)
    assert h.value(backwards) < 0
    assert_refuted(backwards, ["X - Y - Z - W"])


# --- functional dependence ----------------------------------------------------------------------------------------

DEPENDENCES = [
    ("H(Y|X) = 0", (0b01, 0b11, 1)),
    ("H(Y|X) <= 0", (0b01, 0b11, -1)),
    ("3 H(X,Y) = 3 H(X)", (0b01, 0b11, 3)),
    ("I(X;Y) >= H(Y)", (0b01, 0b11, -1)),
    ("H(X) = 0", (0, 0b01, 1)),
    ("H(X) <= 0", (0, 0b01, -1)),
    ("H(X,Y) >= H(X)", None),
    ("H(X) = H(Y)", None),
    ("H(X,Y) = 2 H(X)", None),
    ("I(X;Y) = 0", None),
    ("H(X) >= 0", None),
]


@pytest.mark.parametrize(("text", "expected"), DEPENDENCES)
def test_which_assumptions_are_dependences(text, expected):
    found = Dependence.of(Statement.parse(text, ["X", "Y"]))
    assert (found and found[:3]) == expected


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(1, 15)), min_size=1, max_size=4),
    st.dictionaries(st.integers(1, 15), st.integers(-3, 3).map(Fraction), min_size=1, max_size=6),
    shannon_type(4),
)
def test_dependences_are_used_without_being_recognised(pairs, coefficients, f):
    """Reduced to closed subsets, and as one equation that hides them: the same verdict, each verified."""
    names = f.names
    dependences = [H(names, target, source) for source, target in pairs]
    dependences = [one for one in dependences if one.coefficients]
    assume(dependences)
    plain = [Statement(one, "=", f"{one} = 0") for one in dependences]
    together = sum(dependences[1:], dependences[0]) + H(names, 1, 15)
    hidden = Statement(together, "=", f"{together} = 0")
    for claim in (f, Functional(names, coefficients), -together, f - together):
        proof, other = prove(claim, plain), prove(claim, hidden)
        assert proof.proved == other.proved
        assert proof.notes[:1] == other.notes[:1]
    assert len(ShannonCone(names, plain).closed) < 16
