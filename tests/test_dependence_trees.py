"""Floors from pairs of units: against all trees, tight on trees, coverage from samples, planted faults."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pins_common import LN2, assert_closed, dsbs, from_functions, h2, xor_triple
from scipy.stats import binom

from bounds import (
    CommonCause,
    Discrete,
    EntropyVector,
    Gaussian,
    I,
    InputError,
    ObjectiveError,
    Samples,
    SubsetScheme,
    mmvae,
    mvae_subsampled,
    total_correlation_term,
)
from bounds import dependence_trees as module
from bounds.dependence_trees import chow_liu_floor, heaviest_forest, pairwise_floor
from bounds.estimators import estimate
from bounds.strategies import discrete_laws, gaussian_laws, linear_codes, schemes
from bounds.subsets import members

#: Sums of at most some hundred entropies of size 10, each rounded by 1e-16 of the sum of its terms.
ROUNDING = 1e-10


#: A scheme that encodes nothing: the loss is TC(X).
def nothing(count):
    return SubsetScheme({0: 1}, count, allow_empty=True)


@st.composite
def cases(draw, laws):
    law = draw(laws)
    return law, draw(schemes(len(law.names), allow_empty=True))


DISCRETE = st.one_of(discrete_laws((1, 2, 3, 4), max_alphabet=2, units=2), linear_codes((1, 2, 3, 4), units=2))
GAUSSIAN = gaussian_laws((1, 2, 3, 4), scalar_units=True)


# --- the floor of a known law ---------------------------------------------------------------------------------------


def loss(law, scheme):
    return float(total_correlation_term(law.unit_entropies(), scheme))


def scale_of(law):
    """The size of the terms that cancel: the largest entropy, or 1."""
    return max(1.0, float(np.abs(law.unit_entropies().values).max()))


@given(cases(st.one_of(DISCRETE, GAUSSIAN)))
def test_the_floor_is_below_the_loss_and_not_negative(case):
    law, scheme = case
    found = chow_liu_floor(law, scheme)
    slack = ROUNDING * scale_of(law)
    assert -slack <= found.value <= loss(law, scheme) + slack
    assert (found.guarantee, found.theorem) == ("exact", "T10.6")


def trees(items):
    """All spanning trees of a list, as sets of pairs, from their Pruefer codes."""
    if len(items) <= 2:
        yield tuple(itertools.combinations(items, 2))
        return
    for code in itertools.product(items, repeat=len(items) - 2):
        degree = {item: 1 + code.count(item) for item in items}
        edges = []
        for parent in code:
            leaf = min(item for item in items if degree[item] == 1)
            edges.append((min(leaf, parent), max(leaf, parent)))
            degree[leaf] = 0
            degree[parent] -= 1
        edges.append(tuple(item for item in items if degree[item] == 1))
        yield tuple(edges)


def direct_information(table, i, j, seen):
    """``I(X_i;X_j|X_A)`` from the definition, by loops over the cells of the marginal."""
    order = [*seen, i, j]
    kept = table.sum(axis=tuple(a for a in range(table.ndim) if a not in order))
    kept = kept.transpose([sorted(order).index(a) for a in order]).reshape(-1, table.shape[i], table.shape[j])
    total = 0.0
    for block in kept:
        for a, b in np.ndindex(*block.shape):
            if block[a, b] > 0:
                total += block[a, b] * math.log(block[a, b] * block.sum() / (block[a].sum() * block[:, b].sum()))
    return total


@given(cases(discrete_laws((2, 3, 4), max_alphabet=2, units=1)))
@settings(max_examples=80)
def test_the_forest_is_the_best_of_all_trees(case):
    law, scheme = case
    expected = 0.0
    for subset, weight in scheme:
        seen = members(subset)
        rest = [u for u in range(law.pmf.ndim) if u not in seen]
        best = [sum(direct_information(law.pmf, i, j, seen) for i, j in tree) for tree in trees(rest)]
        expected += float(weight) * max(best, default=0.0)
    assert chow_liu_floor(law, scheme).value == pytest.approx(expected, abs=ROUNDING)


@given(st.dictionaries(st.sampled_from(list(itertools.combinations(range(5), 2))), st.integers(-3, 9)))
def test_the_heaviest_forest_is_that_of_all_trees(weights):
    found = heaviest_forest(weights)
    best = max(sum(max(weights.get(edge, 0), 0) for edge in tree) for tree in trees(list(range(5))))
    assert sum(weights[edge] for edge in found) == best
    assert all(weights[edge] > 0 for edge in found)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_trees_of_the_oracle_are_all_trees(count):
    found = list(trees(list(range(count))))
    assert len({frozenset(tree) for tree in found}) == count ** (count - 2)  # Cayley


def chain(length, correlation):
    """An autoregressive Gaussian: a tree, whose total correlation is that of its neighbours."""
    steps = np.arange(length)
    return Gaussian(correlation ** np.abs(steps[:, None] - steps))


def test_the_floor_is_tight_for_a_tree():
    neighbours = -0.5 * math.log(1 - 0.8**2)
    assert_closed(chow_liu_floor(chain(6, 0.8), nothing(6)).value, 5 * neighbours)
    assert_closed(loss(chain(6, 0.8), nothing(6)), 5 * neighbours)
    # The second of five is seen: it separates the first from the others, which are a chain given it.
    seen = SubsetScheme({0b00010: 1}, 5)
    assert_closed(chow_liu_floor(chain(5, 0.8), seen).value, loss(chain(5, 0.8), seen))
    noisy = np.einsum("a,ab,ac,bd->abcd", [0.3, 0.7], *[[[0.9, 0.1], [0.2, 0.8]]] * 3)
    assert_closed(chow_liu_floor(Discrete(noisy), nothing(4)).value, loss(Discrete(noisy), nothing(4)))


def test_it_is_loose_where_pairs_say_nothing():
    assert chow_liu_floor(xor_triple(), nothing(3)).value == pytest.approx(0, abs=1e-12)
    assert_closed(loss(xor_triple(), nothing(3)), LN2)
    assert_closed(chow_liu_floor(xor_triple(), mmvae(3)).value, LN2)


def test_units_are_finer_than_modalities():
    """A bit in each of three pixels of an unseen modality: two edges."""
    law = from_functions(2, [lambda a, b: a, *[lambda a, b: b] * 3], sizes=[1, 3], units="scalar")
    found = chow_liu_floor(law, SubsetScheme({0b01: 1}, 2))
    assert_closed(found.value, 2 * LN2)
    # one unit for each modality leaves no pair
    assert chow_liu_floor(law.entropy_vector(), SubsetScheme({0b01: 1}, 2)).value == 0
    pixels = CommonCause([0.5, 0.5], [np.full((2, 2), 0.5)] * 2).to_discrete()
    assert chow_liu_floor(pixels, mmvae(2)).value == pytest.approx(0, abs=1e-12)


@given(cases(discrete_laws((1, 2, 3, 4), max_alphabet=2)))
@settings(max_examples=50)
def test_a_law_and_its_entropies_give_one_floor(case):
    law, scheme = case
    assert chow_liu_floor(law, scheme).value == pytest.approx(
        chow_liu_floor(law.entropy_vector(), scheme).value, abs=ROUNDING
    )


def test_a_law_that_is_only_known_by_its_entropies():
    label = CommonCause([0.3, 0.7], [None, None, None])
    assert_closed(chow_liu_floor(label, nothing(3)).value, 2 * h2(0.3))


def test_a_given_forest():
    law = chain(4, 0.8)
    neighbours = -0.5 * math.log(1 - 0.8**2)
    all_three = [("X1", "X2"), ("X2", "X3"), (2, 3)]
    assert_closed(chow_liu_floor(law, nothing(4), forest=all_three).value, 3 * neighbours)
    assert_closed(chow_liu_floor(law, nothing(4), forest=[(0, 1)]).value, neighbours)
    assert chow_liu_floor(law, nothing(4), forest=[]).value == 0
    # pairs count where both units are unseen
    two = SubsetScheme({0b0001: Fraction(1, 2), 0b1100: Fraction(1, 2)}, 4)
    given_first = float(law.entropy_vector().value(I(law.names, 2, 4, 1) + I(law.names, 4, 8, 1)))
    given_last = float(law.entropy_vector().value(I(law.names, 1, 2, 0b1100)))
    assert_closed(chow_liu_floor(law, two, forest=all_three).value, (given_first + given_last) / 2)


# --- pairs without conditioning -------------------------------------------------------------------------------------


@given(st.one_of(discrete_laws(3), linear_codes(3)), st.permutations((0, 1, 2)))
def test_the_floor_from_pairs_is_below_the_conditional_information(law, order):
    i, j, a = order
    h = law.entropy_vector()
    conditional = h.value(I(h.names, 1 << i, 1 << j, 1 << a))
    found = pairwise_floor(h, [i], [j], [a])
    assert found.value <= conditional + ROUNDING
    sides = [h.value(I(h.names, 1 << side, 1 << a)) for side in (i, j)]
    assert found.value == pytest.approx(h.value(I(h.names, 1 << i, 1 << j)) - min(sides), abs=ROUNDING)


def test_the_floor_from_pairs_is_tight_and_may_say_nothing():
    h = from_functions(2, [lambda a, b: a, lambda a, b: a, lambda a, b: b]).entropy_vector()
    assert_closed(pairwise_floor(h, "X1", "X2", "X3").value, LN2)
    assert_closed(pairwise_floor(h, "X1", "X3", "X2").value, 0.0)
    # of the two differences one is below zero, and where both are nothing is clamped
    three = from_functions(1, [lambda a: a] * 3)
    assert_closed(pairwise_floor(three.entropy_vector(), "X1", "X2", "X3").value, 0.0)
    summary = from_functions(2, [lambda a, b: a, lambda a, b: b, lambda a, b: 2 * a + b])
    assert_closed(pairwise_floor(summary.entropy_vector(), "X1", "X2", "X3").value, -LN2)


def test_the_floor_from_pairs_needs_no_triple():
    h = xor_triple().entropy_vector()
    masks = [m for m in range(8) if m.bit_count() < 3]
    pairs = EntropyVector(h.names, [h[m] for m in masks], masks=tuple(masks))
    assert pairwise_floor(pairs, "X1", "X2", "X3").value == pairwise_floor(h, "X1", "X2", "X3").value
    with pytest.raises(InputError, match="not among the entropies"):
        chow_liu_floor(pairs, mmvae(3))


def test_pairs_with_nothing_subtracted_are_no_floor():
    """The planted fault: of three copies two have a bit in common, and nothing given the third."""
    h = from_functions(1, [lambda a: a] * 3).entropy_vector()
    assert_closed(float(h.value(I(h.names, 1, 2, 4))), 0.0)
    assert_closed(pairwise_floor(h, [0], [1], [2]).value, 0.0)
    assert_closed(float(h.value(I(h.names, 1, 2))), LN2)


@pytest.mark.parametrize("sets", [(["X1"], ["X1"], ["X2"]), (["X1"], ["X2"], []), (["X1", "X2"], ["X3"], ["X2"])])
def test_three_disjoint_sets_are_needed(sets):
    with pytest.raises(InputError, match="three sets"):
        pairwise_floor(xor_triple().entropy_vector(), *sets)


def test_the_interval_of_a_floor_from_pairs_covers():
    """A nominal 90 % interval of the larger floor, 200 repetitions of discrete data.

    It is guaranteed, so a rate of 10 % is the worst: more than 43 misses have probability below 1e-6.
    """
    assert binom.sf(43, 200, 0.1) < 1e-6
    law = Discrete(np.random.default_rng(1).dirichlet(np.full(8, 0.7)).reshape(2, 2, 2))
    truth, rng, misses = pairwise_floor(law.entropy_vector(), "X1", "X2", "X3").value, np.random.default_rng(2), 0
    for _ in range(200):
        h = estimate(samples_of(law, 300, rng), "plug-in").entropies
        found = pairwise_floor(h, "X1", "X2", "X3", confidence=0.9)
        assert found.low <= found.value <= found.high
        misses += not found.low <= truth <= found.high
    assert misses <= 43
    assert "the larger of two floors, their intervals at 0.95 each" in found.method
    assert found.confidence == 0.9


# --- planted faults of the floor ------------------------------------------------------------------------------------


def test_a_cycle_is_no_floor(monkeypatch):
    """Three copies of a bit: two edges are the total correlation, and a third would exceed it."""
    copies = from_functions(1, [lambda a: a] * 3)
    assert_closed(chow_liu_floor(copies, nothing(3)).value, loss(copies, nothing(3)))
    with pytest.raises(InputError, match="the pair X1, X3 closes a cycle"):
        chow_liu_floor(copies, nothing(3), forest=[(0, 1), (1, 2), (0, 2)])
    monkeypatch.setattr(module, "_joins", lambda edges: itertools.repeat(True))
    assert chow_liu_floor(copies, nothing(3)).value > loss(copies, nothing(3)) + 0.5


def test_pairs_without_the_condition_are_no_floor():
    """Forgetting ``X_A``: copies of what is seen would count, although nothing of them is left."""
    copies = from_functions(1, [lambda a: a] * 3)
    assert chow_liu_floor(copies, mmvae(3)).value == pytest.approx(0, abs=1e-12)
    h = copies.entropy_vector()
    assert float(h.value(I(h.names, 2, 4))) > loss(copies, mmvae(3)) + 0.5


# --- samples --------------------------------------------------------------------------------------------------------


def samples_of(law, n, rng):
    kind = "discrete" if law.kind == "discrete" else "continuous"
    return Samples.from_arrays(law.sample(n, rng), dict.fromkeys(law.names, kind))


@pytest.mark.parametrize("estimator", ["plug-in", "chao-wang-jost", "gaussian", "gaussian-copula"])
def test_a_given_forest_of_samples_is_that_of_the_full_estimate(estimator):
    """Two ways to the same number: only the entropies of pairs, or those of the whole lattice."""
    law = chain(4, 0.6) if "gaussian" in estimator else Discrete(np.full((2, 2, 2, 2), 1 / 16))
    samples = samples_of(law, 500, np.random.default_rng(0))
    forest = [(0, 1), (1, 2), (1, 3)]
    scheme = SubsetScheme({0: Fraction(1, 3), 0b0001: Fraction(2, 3)}, 4, allow_empty=True)
    found = chow_liu_floor(samples, scheme, forest=forest, estimator=estimator)
    interval = "auto" if "gaussian" in estimator else "guaranteed"
    whole = chow_liu_floor(estimate(samples, estimator, interval=interval).entropies, scheme, forest=forest)
    # entropies of size 6, and the accuracy of the linear program of a guaranteed interval
    assert found.value == pytest.approx(whole.value, abs=1e-9)
    assert found.guarantee == whole.guarantee
    # the sample covariance over N or N - 1
    assert [found.low, found.high] == pytest.approx([whole.low, whole.high], rel=5 / 500, abs=1e-6)
    assert "nominal" not in found.method


def test_the_gaussian_floor_of_a_fixed_forest_has_no_bias():
    """The mean over 2000 samples of 12 rows, within six of its standard errors, which are about 0.005."""
    law, rng = chain(4, 0.7), np.random.default_rng(3)
    scheme, forest = SubsetScheme({0: Fraction(1, 2), 0b0010: Fraction(1, 2)}, 4, allow_empty=True), [(0, 2), (2, 3)]
    truth = chow_liu_floor(law, scheme, forest=forest).value
    values = [
        chow_liu_floor(samples_of(law, 12, rng), scheme, forest=forest, estimator="gaussian").value for _ in range(2000)
    ]
    error = float(np.std(values)) / math.sqrt(len(values))
    assert error < 0.01
    assert abs(np.mean(values) - truth) < 6 * error


@pytest.mark.parametrize("estimator", ["gaussian", "gaussian-copula"])
def test_intervals_of_gaussian_floors_cover(estimator):
    """A chain, whose tree is found in any 200 rows: nominal 95 % over 400 repetitions.

    A true rate of misses of 8 % or less gives more than 63 with probability below 1e-6.
    """
    assert binom.sf(63, 400, 0.08) < 1e-6
    law, rng, misses = chain(5, 0.7), np.random.default_rng(4), 0
    scheme = SubsetScheme({0: Fraction(1, 2), 0b00100: Fraction(1, 2)}, 5, allow_empty=True)
    truth = loss(law, scheme)
    for _ in range(400):
        found = chow_liu_floor(samples_of(law, 400, rng), scheme, estimator=estimator)
        misses += not found.low <= truth <= found.high
    assert misses <= 63
    assert found.method.startswith(f"{estimator}, N=200; forest chosen on the other 200 rows; delta-method")
    assert found.guarantee == "model-based"


def test_guaranteed_floors_of_discrete_data_are_below_the_loss():
    """Nominal 90 %, guaranteed: of 150 repetitions more than 36 above the loss have probability below 1e-6."""
    assert binom.sf(36, 150, 0.1) < 1e-6
    noisy = np.einsum("a,ab,ac,bd->abcd", [0.3, 0.7], *[[[0.95, 0.05], [0.1, 0.9]]] * 3)
    law, rng, above, positive = Discrete(noisy), np.random.default_rng(5), 0, 0
    truth = loss(law, nothing(4))
    for _ in range(150):
        found = chow_liu_floor(samples_of(law, 8000, rng), nothing(4), confidence=0.9)
        above += found.low > truth
        positive += found.low > 0
    assert above <= 36
    assert positive > 75  # not vacuous
    assert found.guarantee == "guaranteed"
    assert found.method.startswith(
        "chao-wang-jost, N=4000; forest chosen on the other 4000 rows; interval by McDiarmid"
    )


def test_a_forest_chosen_and_judged_on_the_same_rows_is_selected(monkeypatch):
    """Twenty independent columns, whose loss is 0. The planted fault is not to split the rows.

    Split, the lower end is above 0 at a nominal rate of 2.5 %; more than 16 of 100 have probability below 1e-6 at 4 %.
    """
    assert binom.sf(16, 100, 0.04) < 1e-6
    law = Gaussian(np.eye(20))

    def above(rows, repetitions):
        rng = np.random.default_rng(6)
        drawn = (samples_of(law, rows, rng) for _ in range(repetitions))
        return sum(chow_liu_floor(samples, nothing(20), estimator="gaussian").low > 0 for samples in drawn)

    assert above(200, 100) <= 16
    monkeypatch.setattr(module, "_every_other", lambda samples, start: samples)
    assert above(100, 20) == 20


def test_the_confidence_of_a_selected_forest_is_called_nominal():
    h = estimate(samples_of(chain(3, 0.5), 100, np.random.default_rng(7)), "gaussian").entropies
    assert "forest chosen on the same data, so the confidence is nominal" in chow_liu_floor(h, nothing(3)).method


def test_a_guaranteed_interval_of_a_selected_forest_is_not_guaranteed():
    h = estimate(samples_of(dsbs(0.1), 500, np.random.default_rng(7)), "plug-in", interval="guaranteed").entropies
    assert chow_liu_floor(h, nothing(2)).guarantee == "asymptotic"
    assert chow_liu_floor(h, nothing(2), forest=[(0, 1)]).guarantee == "guaranteed"


def test_pairs_are_supported_where_the_whole_is_not():
    """Twelve columns of eight symbols: 400 rows say nothing about all of them together, and something about pairs."""
    rng = np.random.default_rng(8)
    label = rng.integers(0, 4, 4000)
    columns = {f"c{i}": np.where(rng.random(4000) < 0.1, rng.integers(0, 4, 4000), label) for i in range(12)}
    samples = Samples.from_arrays(columns, dict.fromkeys(columns, "discrete"))
    found = chow_liu_floor(samples, nothing(12))
    assert found.low > 1
    assert found.notes == ("the loss is at least the lower end; the upper end bounds the floor, not the loss",)


def test_what_the_data_cannot_support_is_left_out_or_refused():
    rng = np.random.default_rng(9)
    # every row of the first column has a symbol of its own
    columns = {"id": rng.permutation(200), "a": rng.integers(0, 2, 200)}
    columns |= {"b": columns["a"] ^ (rng.random(200) < 0.1), "c": rng.integers(0, 2, 200)}
    samples = Samples.from_arrays(columns, dict.fromkeys(columns, "discrete"))
    found = chow_liu_floor(samples, nothing(4))
    assert found.value > 0.1
    assert "3 of 6 pairs have no number and are left out, such as H(id)" in " ".join(found.notes)
    refused = chow_liu_floor(samples, SubsetScheme({("id",): 1}, names=list(columns)))
    assert (refused.value, refused.guarantee) == (None, "none")
    assert "3 of 3 pairs have no number" in str(refused)
    asked = chow_liu_floor(samples, nothing(4), forest=[("id", "a")])
    assert asked.value is None
    assert "many symbols that occur once" in str(asked)
    few = Samples.from_arrays({k: rng.integers(0, 12, 100) for k in "ab"}, dict.fromkeys("ab", "discrete"))
    assert "rows are too few" in str(chow_liu_floor(few, nothing(2)))


def test_linearly_dependent_and_too_few_rows_are_left_out():
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(2, 300))
    samples = Samples.from_arrays({"x": x, "twice": 2 * x, "y": y, "noisy": y + rng.normal(size=300)})
    found = chow_liu_floor(samples, nothing(4), estimator="gaussian")
    assert found.low > 0.1
    assert "1 of 6 pairs have no number" in " ".join(found.notes)
    wide = Samples.from_arrays({"a": rng.normal(size=(20, 15)), "b": rng.normal(size=20), "c": rng.normal(size=20)})
    none = chow_liu_floor(wide, SubsetScheme({("a",): 1}, names=["a", "b", "c"]))
    assert none.value is None
    assert "1 of 1 pairs" in str(none)
    with pytest.raises(InputError, match="column 'flat' is constant in 10 rows"):
        chow_liu_floor(
            Samples.from_arrays({"flat": np.tile([0.5, 1.7], 10), "b": rng.normal(size=20)}, {"flat": "continuous"}),
            nothing(2),
        )


def test_tied_columns_have_no_ranks():
    rng = np.random.default_rng(11)
    data = {"a": np.round(rng.normal(size=200), 1), "b": rng.normal(size=200)}
    tied = Samples.from_arrays(data, dict.fromkeys(data, "continuous"))
    assert chow_liu_floor(tied, nothing(2), forest=[(0, 1)]).method.startswith("gaussian, N=200")
    free = Samples.from_arrays({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    assert chow_liu_floor(free, nothing(2), forest=[(0, 1)]).method.startswith("gaussian-copula, N=200")


def test_quantised_columns_say_so():
    rng = np.random.default_rng(12)
    data = {k: rng.integers(0, 4, 400) / 4 for k in "ab"}
    samples = Samples.from_arrays(data, dict.fromkeys(data, "discrete"))
    assert "quantised" in " ".join(chow_liu_floor(samples, nothing(2), forest=[(0, 1)]).notes)


# --- refusals -------------------------------------------------------------------------------------------------------

MIXED = Samples.from_arrays({"a": np.arange(40) % 2, "b": np.linspace(0, 1, 40) ** 2})
BITS = Samples.from_arrays({"a": np.arange(40) % 2, "b": np.arange(40) // 2 % 2})


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (MIXED, {}, "mix discrete and continuous"),
        (BITS, {"estimator": "gaussian"}, "pairs of discrete columns with estimator 'gaussian': use plug-in or chao"),
        (BITS, {"estimator": "nonsense"}, "use plug-in or chao-wang-jost"),
        (BITS, {"forest": [("a", "a")]}, "no pair of two units"),
        (BITS, {"forest": [("a", "z")]}, "unknown name 'z'"),
        (BITS, {"forest": [("a", "b"), ("b", "a")]}, "closes a cycle"),
        (BITS, {"confidence": 1.5}, "confidence 1.5"),
        (CommonCause([0.5, 0.5], [np.full((2, 2), 0.5)] * 2), {}, "to_discrete"),
    ],
)
def test_what_has_no_floor_is_an_error(data, options, message):
    with pytest.raises(InputError, match=message):
        chow_liu_floor(data, nothing(2), **options)


def test_schemes_that_do_not_fit():
    with pytest.raises(ObjectiveError, match="sum of ELBOs"):
        chow_liu_floor(dsbs(0.1), mvae_subsampled(2))
    with pytest.raises(InputError, match="over 3 modalities, the entropies over 2"):
        chow_liu_floor(dsbs(0.1), mmvae(3))


def test_a_singular_gaussian():
    """A copy has infinitely much in common, which the floor says; where infinities meet it says that."""
    copy = Gaussian(np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.5, 0.5, 1.0]]))
    assert chow_liu_floor(copy, nothing(3)).value == math.inf
    left = chow_liu_floor(copy, SubsetScheme({0b001: 1}, 3))
    assert left.value is None
    assert "undefined" in str(left)


def test_it_needs_few_entropies():
    """Thirty units, whose lattice has a billion subsets; given either half the other is a chain."""
    law = Gaussian(chain(30, 0.5).cov, [15, 15], units="scalar")
    assert_closed(chow_liu_floor(law, mmvae(2)).value, loss(law, mmvae(2)))
