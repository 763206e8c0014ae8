"""Two-sided bounds of the irreducible loss: pins, models that lose exactly the upper bounds, planted faults."""

import importlib
import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pins_common import LN2, assert_closed, assert_printed, dsbs, from_functions, h2, pixel_copies, xor_triple
from scipy.optimize import minimize

from bounds import (
    CommonCause,
    Discrete,
    Gaussian,
    InputError,
    ObjectiveError,
    SubsetScheme,
    full,
    mmvae,
    mopoe,
    mvae_subsampled,
)
from bounds.finite import elbo_terms, optimal_decoders
from bounds.sandwich import LATTICE_GAP, loss_bounds
from bounds.strategies import discrete_laws, linear_codes, schemes
from bounds.subsets import members, submasks, union

#: The function of this name hides the module in the package.
module = importlib.import_module("bounds.sandwich")

#: Sums of at most some thousand terms of size 1, each rounded by 1e-16; the terms of a model are a few such sums.
ROUNDING = 1e-10


@st.composite
def cases(draw, **limits):
    """Random tables and linear codes of up to three modalities, with units, and any scheme for them."""
    law = draw(st.one_of(discrete_laws(units=2, **limits), linear_codes(units=2)))
    return law, draw(schemes(len(law.names), allow_empty=True))


# --- the models of T4, built from the bounds ------------------------------------------------------------------------


def seen_units(law, subset):
    return members(union(law.layout.modality_units, subset))


def codebook_encoders(law, scheme, say):
    """Encoders for which ``say(A, x)`` is a law ``{codeword: probability}`` that depends on ``x_A`` alone."""
    table = law.pmf.reshape(law.unit_alphabets)
    codebook, rows = {}, {}
    for subset, _ in scheme:
        seen = seen_units(law, subset)
        for cell in np.argwhere(table > 0):
            said = say(subset, tuple(cell))
            rows[subset, tuple(int(cell[u]) for u in seen)] = said
            for word in said:
                codebook.setdefault(word, len(codebook))
    encoders = {}
    for subset, _ in scheme:
        shape = [law.unit_alphabets[u] for u in seen_units(law, subset)]
        encoder = np.zeros([*shape, len(codebook)])
        encoder[..., 0] = 1.0  # what does not occur may say anything
        for (of, values), said in rows.items():
            if of == subset:
                encoder[values] = 0.0
                for word, probability in said.items():
                    encoder[(*values, codebook[word])] = probability
        encoders[subset] = encoder
    return encoders


def loss_of(law, scheme, say):
    """``-H(X) - L_S`` of the best decoders for a codebook, by the enumeration of :mod:`bounds.finite`."""
    terms = elbo_terms(optimal_decoders(law, scheme, codebook_encoders(law, scheme, say)), law, scheme)
    return -terms.entropy - terms.elbo


def values_of(law, subset, cell):
    return tuple(int(cell[u]) for u in seen_units(law, subset))


def naive_tc(law, subset):
    """``TC(X_R|X_A)`` by loops over the cells."""
    table, seen = law.pmf.reshape(law.unit_alphabets), seen_units(law, subset)
    rest = [u for u in range(table.ndim) if u not in seen]

    def marginal(units):
        found = {}
        for cell, p in np.ndenumerate(table):
            key = tuple(cell[u] for u in units)
            found[key] = found.get(key, 0.0) + p
        return found

    known, alone = marginal(seen), [marginal([*seen, u]) for u in rest]
    total = 0.0
    for cell, p in np.ndenumerate(table):
        if p > 0:
            below = known[values_of(law, subset, cell)]
            total += p * math.log(p / below)
            for u, law_of_unit in zip(rest, alone, strict=True):
                total -= p * math.log(law_of_unit[(*values_of(law, subset, cell), cell[u])] / below)
    return total


def lattice_code(law, found):
    """Encoder ``A`` says ``(B, x_B)`` for each ``B`` within ``A`` with probability proportional to ``nu_B e^-TC_B``."""
    score = {subset: nu * math.exp(-naive_tc(law, subset)) for subset, nu in found.lattice_weights.items()}

    def say(subset, cell):
        total = sum(score[b] for b in submasks(subset))
        return {(b, values_of(law, b, cell)): score[b] / total for b in submasks(subset) if score[b] > 0}

    return say


def common_values(law, group):
    """For each cell its value of the common part of a group: flood fill over cells that share some ``x_A``."""
    cells = [tuple(int(i) for i in cell) for cell in np.argwhere(law.pmf.reshape(law.unit_alphabets) > 0)]
    colour = {}
    for number, start in enumerate(cells):
        waiting = [start] if start not in colour else []
        while waiting:
            cell = waiting.pop()
            if cell not in colour:
                colour[cell] = number
                waiting += [
                    other
                    for other in cells
                    if other not in colour and any(values_of(law, a, other) == values_of(law, a, cell) for a in group)
                ]
    return colour


def shared_code(law, partition):
    colours = {group: common_values(law, group) for group in partition}
    group_of = {subset: group for group in partition for subset in group}
    return lambda subset, cell: {(group_of[subset], colours[group_of[subset]][tuple(map(int, cell))]): 1.0}


def check_attained(law, found):
    """Every upper bound is what an explicit model loses, and the least possible for its kind where that is claimed."""
    scheme = found.scheme
    losses = {
        "total_correlation": loss_of(law, scheme, lambda subset, cell: {0: 1.0}),
        "labelled": loss_of(law, scheme, lambda subset, cell: {(subset, values_of(law, subset, cell)): 1.0}),
        "shared_codes": loss_of(law, scheme, shared_code(law, found.partition)),
    }
    for name, loss in losses.items():
        assert abs(loss - getattr(found, name)) <= ROUNDING, name
    # the encoders are one step of the iteration ahead of nu, and no encoders of this kind are below the least bound
    loss = loss_of(law, scheme, lattice_code(law, found))
    assert found.lattice - found.lattice_gap - ROUNDING <= loss <= found.lattice + ROUNDING, "lattice"


@given(cases())
@settings(max_examples=120)
def test_every_upper_bound_is_the_loss_of_a_model(case):
    check_attained(case[0], loss_bounds(*case))


@given(cases())
def test_the_bounds_are_in_order(case):
    law, scheme = case
    found = loss_bounds(law, scheme)
    assert all(found.lower <= upper + ROUNDING for upper in found.upper_bounds.values())
    assert found.lattice <= min(found.total_correlation, found.labelled) + found.lattice_gap + ROUNDING
    assert found.shared_codes <= found.labelled + ROUNDING
    assert found.upper == min(found.upper_bounds.values())
    assert found.upper_bounds[found.upper_name] <= found.upper + ROUNDING
    assert found.lattice_gap >= -1e-14  # nu is a law, so some g_B is at least 1, up to rounding
    assert sum(found.lattice_weights.values()) == pytest.approx(1, abs=1e-9)  # LATTICE_STEPS roundings
    assert sorted(itertools.chain(*found.partition)) == sorted(scheme.weights)


@given(cases())
def test_the_lower_bound_is_that_of_every_encoded_subset(case):
    law, scheme = case
    direct = math.fsum(float(w) * naive_tc(law, subset) for subset, w in scheme)
    assert loss_bounds(law, scheme).lower == pytest.approx(direct, abs=ROUNDING)


# --- pins -----------------------------------------------------------------------------------------------------------


def mod_4_sum():
    pmf = np.zeros((4, 4, 4))
    for a, b in itertools.product(range(4), repeat=2):
        pmf[a, b, (a + b) % 4] = 1 / 16
    return Discrete(pmf)


MOD_4_SCHEME = SubsetScheme({subset: Fraction(1, 4) for subset in (0b001, 0b011, 0b110, 0b111)}, 3)


def test_pins_of_the_sum_modulo_4():
    found = loss_bounds(mod_4_sum(), MOD_4_SCHEME)
    assert_printed(found.lower, "0.346574")
    assert_printed(found.lattice, "1.122461")
    assert_printed(found.total_correlation, "1.386294")
    assert_printed(found.labelled, "1.732868")
    assert found.lattice_gap <= LATTICE_GAP
    # Any two modalities give all of X, so the three subsets that have two need one label between them.
    assert found.partition == ((0b001,), (0b011, 0b110, 0b111))
    assert_closed(found.shared_codes, found.lower + h2(0.25))
    assert (found.upper, found.upper_name) == (found.shared_codes, "shared codes")
    check_attained(mod_4_sum(), found)


def test_common_cause_needs_no_label():
    law = CommonCause([0.3, 0.7], [np.full((2, 2), 0.5), np.full((2, 3), 1 / 3)]).to_discrete()
    found = loss_bounds(law, mmvae(2))
    assert (found.lower, found.shared_codes) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    assert_closed(found.total_correlation, h2(0.3))
    assert found.partition == ((0b01, 0b10),)
    assert found.upper_name == "shared codes"


@pytest.mark.parametrize(
    ("crossover", "optimum"), [(0.02, 0.013839857), (0.1, 0.066475406), (0.25, 0.111251995), (0.4, 0.020135514)]
)
def test_the_certified_optimum_of_the_symmetric_pair_is_between(crossover, optimum):
    found = loss_bounds(dsbs(crossover), mmvae(2))
    assert found.lower == pytest.approx(0, abs=1e-12)
    assert_closed(found.total_correlation, LN2 - h2(crossover))
    assert_closed(found.labelled, LN2)
    # every pair of values occurs, so nothing is common and one code is a constant
    assert_closed(found.shared_codes, min(found.total_correlation, found.labelled))
    assert found.lower <= optimum <= found.upper + 1e-9  # the digits of the optimum
    assert found.upper_name == "total correlation"


def test_exclusive_or():
    single, subsets = loss_bounds(xor_triple(), mmvae(3)), loss_bounds(xor_triple(), mopoe(3))
    assert_closed(single.lower, LN2)
    assert_closed(single.upper, LN2)
    assert_closed(subsets.lower, 3 / 7 * LN2)
    assert_closed(subsets.total_correlation, LN2)
    # The certified optimum has a latent that no bound here builds: uniform decoders and codewords at once.
    optimum = LN2 - 3 / 7 * math.log(6 / 7) - 4 / 7 * math.log(8 / 7)
    assert subsets.lower < optimum < subsets.upper <= LN2 + 1e-12


def test_pixels_are_units():
    pixels = loss_bounds(pixel_copies(), mmvae(2))
    assert_closed(pixels.lower, LN2)
    # One code for both says Y and leaves the equal pixels of V_1 and of V_2; two codes say Y, V_m and which m it is.
    assert_closed(pixels.shared_codes, 2 * LN2)
    assert_closed(pixels.labelled, 2 * LN2)
    assert_closed(pixels.total_correlation, 3 * LN2)
    whole = loss_bounds(Discrete(pixel_copies().pmf, sizes=[3, 3]), mmvae(2))
    assert (whole.lower, whole.upper) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))


def test_the_empty_and_the_full_subset():
    law = from_functions(2, [lambda a, b: a, lambda a, b: b, lambda a, b: a & b])
    nothing = loss_bounds(law, SubsetScheme({0: 1}, 3, allow_empty=True))
    for value in (nothing.lower, *nothing.upper_bounds.values()):
        assert_closed(value, nothing.total_correlation)
    everything = loss_bounds(law, full(3))
    assert_closed(everything.lower, 0.0)
    assert_closed(everything.upper, 0.0)
    assert everything.total_correlation > 0.1
    both = loss_bounds(law, SubsetScheme({0: Fraction(1, 2), 0b111: Fraction(1, 2)}, 3, allow_empty=True))
    check_attained(law, both)


# --- the certificate of the lattice bound ---------------------------------------------------------------------------


def kernel_of(law, scheme, found):
    """``(A, B)``: ``e^-TC_B`` where ``B`` is within ``A``, and the weights, by loops."""
    subsets = sorted(found.lattice_weights)
    rows = [[math.exp(-naive_tc(law, b)) if b & ~a == 0 else 0.0 for b in subsets] for a in scheme.weights]
    return np.array(rows), np.array([float(w) for w in scheme.weights.values()]), subsets


def check_certificate(law, scheme, found, rng):
    """The bound is that of its weights, its gap is that of duality, and no other weights are below both."""
    kernel, w, subsets = kernel_of(law, scheme, found)
    nu = np.array([found.lattice_weights[b] for b in subsets])
    mixed = kernel @ nu
    assert found.lattice == pytest.approx(-(w @ np.log(mixed)), abs=ROUNDING)
    assert found.lattice_gap == pytest.approx(math.log(max((w / mixed) @ kernel)), abs=ROUNDING)
    others = [*rng.dirichlet(np.full(len(subsets), 0.3), 50), *np.eye(len(subsets))]
    start = np.full(len(subsets), 1 / len(subsets))
    solved = minimize(
        lambda x: -float(w @ np.log(np.maximum(kernel @ x, 1e-12))),
        start,
        bounds=[(0, 1)] * len(subsets),
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        method="SLSQP",
    ).x
    solved = np.maximum(solved, 0) / np.maximum(solved, 0).sum()
    with np.errstate(divide="ignore"):
        values = [-float(w @ np.log(kernel @ other)) for other in (*others, solved)]
    assert found.lattice - found.lattice_gap <= min(values) + ROUNDING


@given(cases(max_alphabet=2), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_the_lattice_bound_is_certified(case, seed):
    law, scheme = case
    found = loss_bounds(law, scheme)
    check_certificate(law, scheme, found, np.random.default_rng(seed))


@given(cases(max_alphabet=2), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_a_bound_that_is_stopped_early_says_by_how_much_it_may_be_off(case, steps, seed):
    law, scheme = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LATTICE_STEPS", steps)
        early = loss_bounds(law, scheme)
    late = loss_bounds(law, scheme)
    assert late.lattice - late.lattice_gap <= early.lattice + ROUNDING
    assert early.lattice - early.lattice_gap <= late.lattice + ROUNDING
    check_certificate(law, scheme, early, np.random.default_rng(seed))


def test_stopping_early_shows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LATTICE_STEPS", 3)
        early = loss_bounds(mod_4_sum(), MOD_4_SCHEME)
    assert early.lattice_gap > 0.01
    assert f"lattice: within {early.lattice_gap:.1g} of its minimum" in str(early)


def test_a_degenerate_minimum_is_reported_with_its_gap():
    """To say that only the odd one out was seen costs as much as to say nothing; the gap falls with squared steps."""
    law, gaps = from_functions(2, [lambda a, b: a, lambda a, b: a, lambda a, b: a, lambda a, b: b]), []
    for steps in (500, 2000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "LATTICE_STEPS", steps)
            patch.setattr(module, "LATTICE_GAP", 0.0)
            found = loss_bounds(law, mmvae(4))
        check_certificate(law, mmvae(4), found, np.random.default_rng(0))
        gaps.append(found.lattice_gap)
    assert 8 < gaps[0] / gaps[1] < 32
    assert loss_bounds(law, mmvae(4)).lattice_gap <= LATTICE_GAP


# --- partitions -----------------------------------------------------------------------------------------------------


def partitions(items):
    """All set partitions of a tuple."""
    if not items:
        yield ()
        return
    for rest in partitions(items[1:]):
        yield ((items[0],), *rest)
        for k, group in enumerate(rest):
            yield (*rest[:k], (items[0], *group), *rest[k + 1 :])


def naive_shared(law, scheme, partition):
    """``H(w_pi) + sum_G w_G TC(X|V_G)`` with the common parts of the flood fill, by loops."""
    table, total = law.pmf.reshape(law.unit_alphabets), 0.0
    for group in partition:
        weight = sum(float(scheme.weights[subset]) for subset in group)
        colour = common_values(law, group)
        total -= weight * math.log(weight)
        for value in set(colour.values()):
            part = np.zeros(table.shape)
            for cell, of in colour.items():
                part[cell] = table[cell] if of == value else 0.0
            mass = part.sum()
            total += weight * mass * naive_tc(Discrete(part / mass, units="scalar"), 0)
    return total


@given(st.one_of(linear_codes(units=2), discrete_laws(max_alphabet=3)), st.data())
@settings(max_examples=60)
def test_the_best_partition_is_found(law, data):
    count = len(law.names)
    masks = data.draw(st.lists(st.integers(0, (1 << count) - 1), min_size=1, max_size=4, unique=True))
    scheme = SubsetScheme({mask: Fraction(1, len(masks)) for mask in masks}, count, allow_empty=True)
    found = loss_bounds(law, scheme)
    values = {one: naive_shared(law, scheme, one) for one in partitions(tuple(scheme.weights))}
    assert found.shared_codes == pytest.approx(min(values.values()), abs=ROUNDING)
    same = {tuple(sorted(tuple(sorted(group)) for group in one)): value for one, value in values.items()}
    assert same[found.partition] == pytest.approx(found.shared_codes, abs=ROUNDING)


@given(cases(), st.sampled_from([(0, 64), (0, 0)]))
@settings(max_examples=80)
def test_with_many_subsets_a_natural_partition_is_taken(case, limits):
    """The two ways for more subsets, tried on few: valid, between the best partition and the natural ones."""
    law, scheme = case
    best = loss_bounds(law, scheme)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_PARTITIONED", limits[0])
        patch.setattr(module, "MAX_MERGED", limits[1])
        found = loss_bounds(law, scheme)
    check_attained(law, found)
    together = naive_shared(law, scheme, (tuple(scheme.weights),))
    assert best.shared_codes - ROUNDING <= found.shared_codes <= min(found.labelled, together) + ROUNDING


def test_greedy_merging_finds_groups():
    """Two bits, each shown by three modalities: neither all together nor all apart is best."""
    law = from_functions(2, [lambda a, b: a] * 3 + [lambda a, b: b] * 3)
    scheme = SubsetScheme({1 << m: Fraction(1, 6) for m in range(6)}, 6)
    exact = loss_bounds(law, scheme)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_PARTITIONED", 0)
        merged = loss_bounds(law, scheme)
    for found in (exact, merged):
        assert found.partition == ((1, 2, 4), (8, 16, 32))
        # The group says one bit; the three copies of the other are left, and which bit it is is a label.
        assert_closed(found.shared_codes, 2 * LN2 + LN2)
    assert exact.labelled > exact.shared_codes + 0.1


def test_more_subsets_than_can_be_partitioned():
    law = Discrete(np.random.default_rng(3).dirichlet(np.full(2**7, 0.3)).reshape([2] * 7))
    found = loss_bounds(law, mopoe(7))
    assert found.lower < found.upper <= found.total_correlation
    assert len(found.partition) in (1, 127)


def test_a_cell_of_tiny_probability_joins_everything():
    """A common part is a property of the zeros of the table: the bound jumps, and stays valid."""
    copy = np.array([[0.5, 0.0], [0.0, 0.5]])
    assert_closed(loss_bounds(Discrete(copy), mmvae(2)).shared_codes, 0.0)
    copy[0, 1] = 1e-12
    found = loss_bounds(Discrete(copy), mmvae(2))
    assert found.shared_codes == pytest.approx(LN2, abs=1e-9)  # h(1e-12) is 3e-11
    check_attained(Discrete(copy), found)


# --- planted faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["total_correlation", "labelled", "lattice", "shared_codes"])
@pytest.mark.parametrize("shift", [-1e-6, 1e-6])
def test_a_bound_that_is_off_is_caught(name, shift):
    found = loss_bounds(mod_4_sum(), MOD_4_SCHEME)
    with pytest.raises(AssertionError, match=name):
        check_attained(mod_4_sum(), replace(found, **{name: getattr(found, name) + shift}))


def test_a_wrong_gap_is_caught():
    found = loss_bounds(mod_4_sum(), MOD_4_SCHEME)
    wrong = replace(found, lattice=found.lattice + 0.01, lattice_gap=0.0)
    with pytest.raises(AssertionError):
        check_certificate(mod_4_sum(), MOD_4_SCHEME, wrong, np.random.default_rng(0))


def test_a_code_that_is_not_common_is_caught(monkeypatch):
    """Codes of single subsets instead of common parts: the group would lose less than any model."""
    monkeypatch.setattr(module, "_common_part", lambda first, second: first)
    law = dsbs(0.1)
    found = loss_bounds(law, mmvae(2))
    assert found.shared_codes < 0.01 < 0.066475406  # below the certified optimum
    with pytest.raises(AssertionError, match="shared_codes"):
        check_attained(law, found)


def test_no_lattice_is_caught(monkeypatch):
    """Sums over all subsets instead of those within: encoders that say what they do not see."""
    monkeypatch.setattr(module, "_over_subsets", lambda values: np.full(len(values), values.sum()))
    found = loss_bounds(mod_4_sum(), MOD_4_SCHEME)
    with pytest.raises(AssertionError, match="lattice"):
        check_attained(mod_4_sum(), found)


# --- use ------------------------------------------------------------------------------------------------------------


def test_it_prints_and_is_json():
    found = loss_bounds(mod_4_sum(), MOD_4_SCHEME)
    lines = str(found).splitlines()
    assert lines[0] == "custom: 0.346574 <= irreducible ELBO loss <= 0.908909 nats (shared codes)"
    assert lines[1].endswith("total correlation 1.386294, labelled 1.732868, lattice 1.122461, shared codes 0.908909")
    assert lines[2].endswith("shared codes: 4 encoded subsets in 2 groups")
    data = json.loads(json.dumps(found.to_dict()))
    assert data["upper"] == found.upper
    assert data["upper_name"] == "shared codes"
    assert data["partition"] == [["X1"], ["X1,X2", "X2,X3", "X1,X2,X3"]]
    assert sum(data["lattice_weights"].values()) == pytest.approx(1)
    assert "(empty)" in data["lattice_weights"]
    assert "<td>0.346574</td>" in found._repr_html_()


@pytest.mark.parametrize(
    ("law", "scheme", "error", "message"),
    [
        (Gaussian(np.eye(2)), mmvae(2), InputError, "Gaussian is no probability table"),
        (CommonCause([0.5, 0.5], [None, None]), mmvae(2), InputError, "to_discrete"),
        (dsbs(0.1), mmvae(3), InputError, "over 3 modalities, the entropies over 2"),
        (dsbs(0.1), mvae_subsampled(2), ObjectiveError, "sum of ELBOs"),
    ],
)
def test_what_has_no_bounds_is_refused(law, scheme, error, message):
    with pytest.raises(error, match=message):
        loss_bounds(law, scheme)


def test_the_weights_cannot_be_changed():
    found = loss_bounds(dsbs(0.1), mmvae(2))
    with pytest.raises(TypeError):
        found.lattice_weights[0] = 2.0
