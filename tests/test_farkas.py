"""Combinations and separations: exact, never both, never neither, however far apart in size the numbers are."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounds import farkas
from bounds.farkas import Combination, Separation, decide, dot, solve

#: The inequalities of a cone that contains no line: three coordinates that are not negative.
AXES = [{i: Fraction(1)} for i in range(3)]
entries = st.one_of(st.integers(-4, 4).map(Fraction), st.fractions(-3, 3, max_denominator=50))
vectors = st.dictionaries(st.integers(0, 2), entries, max_size=3).map(lambda v: {k: x for k, x in v.items() if x})


def check(columns, signed, target, found):
    """Whether an answer is right, computed anew."""
    if isinstance(found, Combination):
        assert all(weight >= 0 for j, weight in found.weights.items() if j < signed)
        for key in {key for vector in [*columns, target] for key in vector}:
            assert sum(w * columns[j].get(key, 0) for j, w in found.weights.items()) == target.get(key, 0)
    else:
        values = [dot(vector, found.point) for vector in columns]
        assert min(values) >= 0
        assert not any(values[signed:])
        assert dot(target, found.point) < 0


@given(st.lists(vectors.filter(bool), max_size=4), st.lists(vectors.filter(bool), max_size=2), vectors)
def test_every_question_has_an_answer(signed, free, target):
    columns = [*AXES, *signed, *free]
    count = len(AXES) + len(signed)
    check(columns, count, target, decide(columns, [1.0] * count, target))


@given(st.lists(vectors.filter(bool), max_size=4), st.lists(vectors.filter(bool), max_size=2), vectors.filter(bool))
def test_the_simplex_needs_no_hint(signed, free, target):
    columns = [*AXES, *signed, *free]
    count = len(AXES) + len(signed)
    alone = farkas._Problem(columns, [1.0] * count, target).simplex([])
    check(columns, count, target, alone)
    assert type(alone) is type(decide(columns, [1.0] * count, target))


@pytest.mark.parametrize("digits", [3, 7, 9, 12, 15, 20, 40])
def test_the_smallest_difference_decides(digits):
    little = Fraction(1, 10**digits)
    columns = [*AXES, {0: Fraction(1), 1: Fraction(-1)}]
    for difference, expected in ((little, Combination), (Fraction(0), Combination), (-little, Separation)):
        target = {0: 1 + difference, 1: Fraction(-1)}
        found = decide(columns, [1.0] * 4, target)
        assert isinstance(found, expected)
        check(columns, 4, target, found)
    target = {0: little, 1: Fraction(1), 2: -(little**2)}
    check(columns, 4, target, decide(columns, [1.0] * 4, target))


def test_points_are_in_the_smallest_integers():
    equal = {0: Fraction(3), 1: Fraction(-2)}
    found = decide([*AXES, equal], [1.0] * 3, {2: Fraction(5), 0: Fraction(-1, 7)})
    assert found == Separation({0: Fraction(2), 1: Fraction(3), 2: Fraction(0)})


def test_a_point_with_large_denominators_is_solved_for():
    odd = {0: Fraction(1), 1: -Fraction("0.333333333"), 2: Fraction("0.2345678")}
    columns = [*AXES, odd]
    for target in ({0: Fraction(-1)}, {1: Fraction(-1), 2: Fraction(1)}, {2: Fraction(-1), 1: Fraction(1, 999983)}):
        check(columns, 3, target, decide(columns, [1.0] * 3, target))


def test_when_floating_point_says_nothing(monkeypatch):
    class Failed:
        status = 4

    monkeypatch.setattr(farkas, "linprog", lambda *args, **options: Failed)
    for target in ({0: Fraction(2), 2: Fraction(1)}, {0: Fraction(2), 2: Fraction(-1)}):
        check(AXES, 3, target, decide(AXES, [1.0] * 3, target))


def test_when_floating_point_misleads(monkeypatch):
    class Wrong:
        status = 0

        def __init__(self, size):
            self.x = [0.3, -2.0, 5.0, 1.0][:size]

    monkeypatch.setattr(farkas, "linprog", lambda costs, **options: Wrong(len(costs)))
    columns = [*AXES, {0: Fraction(1), 1: Fraction(-1)}]
    for target in ({0: Fraction(2), 2: Fraction(1)}, {0: Fraction(2), 2: Fraction(-1)}, {1: Fraction(-1)}):
        check(columns, 4, target, decide(columns, [1.0] * 4, target))


def test_solve():
    assert solve([], {}) == []
    assert solve([], {0: Fraction(1)}) is None
    assert solve([{0: Fraction(1)}, {0: Fraction(2)}], {0: Fraction(4)}) in ([4, 0], [0, 2])
    assert solve([{0: Fraction(1), 1: Fraction(1)}], {0: Fraction(1)}) is None
    hilbert = [{i: Fraction(1, i + j + 1) for i in range(8)} for j in range(8)]
    found = solve(hilbert, {i: Fraction(1) for i in range(8)})
    assert found is not None
    assert all(sum(found[j] * hilbert[j][i] for j in range(8)) == 1 for i in range(8))
