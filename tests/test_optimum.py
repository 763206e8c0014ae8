"""The best ELBO of any model, between certified bounds: both ends against definitions, reductions, limits, faults."""

import itertools
import json
import math
from decimal import Decimal
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optimum_common import (
    ROUNDING,
    alternating_minimisation,
    climb,
    decoders,
    dual_bound,
    loss_of_encoders,
    pair,
    small_case,
    sum_modulo,
)
from pins_common import LN2, Enumerated, dsbs, from_functions, h2, xor_triple

from bounds import (
    Discrete,
    Gaussian,
    InputError,
    ObjectiveError,
    SubsetScheme,
    full,
    loss_bounds,
    mmvae,
    mopoe,
    mvae_subsampled,
    optimal_elbo,
)
from bounds import optimum as module
from bounds.dual import inner, mixing
from bounds.dual.mixing import Mixture
from bounds.dual.private_noise import without_private_noise
from bounds.dual.program import SAME, DecoderProgram
from bounds.finite import elbo_terms, objective, optimal_decoders
from bounds.strategies import discrete_laws, linear_codes, schemes

CASES = range(12)
BETAS = (0.5, 1.0, 2.0)


def checked(law, scheme, tol=1e-6, **options):
    """The bracket, after what every bracket must satisfy."""
    found = optimal_elbo(law, scheme, tol, **options)
    assert found.low <= found.high
    attained = objective(found.model, law, scheme, "beta", beta=found.beta)
    assert abs(attained - found.low) <= 1e-12 * max(1.0, abs(attained))
    assert found.certified == (found.high - found.low <= tol)
    assert found.loss == (-found.entropy - found.high, -found.entropy - found.low)
    return found


def overlap(one, other):
    """Two brackets of one number."""
    return one[0] <= other[1] + ROUNDING and other[0] <= one[1] + ROUNDING


# --- the lower end is what the model attains ------------------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("seed", CASES)
def test_low_is_the_exact_value_of_the_model(seed, beta):
    """By the enumeration of :mod:`bounds.finite`, and by loops over all cells that share no code with it."""
    law, scheme = small_case(seed)
    found = checked(law, scheme, 1e-4, beta=beta)
    if beta == 1:
        terms = elbo_terms(found.model, law, scheme)
        assert abs(terms.elbo - found.low) < 1e-12
        loops = sum(float(w) * Enumerated.of(found.model, law, subset).elbo for subset, w in scheme)
        assert abs(loops - found.low) < ROUNDING


@pytest.mark.parametrize("seed", CASES)
def test_encoders_against_the_loss_formula(seed):
    """T3: the encoders lose ``TC(X|Z) + I(A;Z|X)`` with their best decoders, which the model's nearly are."""
    law, scheme = small_case(seed)
    found = checked(law, scheme)
    loss = loss_of_encoders(law, scheme, found)
    assert found.loss[0] - ROUNDING <= loss <= found.loss[1] + ROUNDING
    best = elbo_terms(optimal_decoders(law, scheme, found.model.encoders), law, scheme)
    assert abs(-best.entropy - best.elbo - loss) < 1e-10
    assert found.loss[1] - loss < 1e-6  # a step of alternating minimisation gains nothing worth mentioning


@pytest.mark.parametrize("seed", CASES)
def test_encoders_are_the_best_of_the_model(seed):
    """``q_A(z|x_A)`` proportional to ``p(z) e^(-d_A(x_A, z))``: other encoders are no better."""
    law, scheme = small_case(seed)
    found = checked(law, scheme, 1e-4)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        other = {
            subset: 0.9 * q + 0.1 * rng.dirichlet(np.ones(q.shape[-1]), q.shape[:-1])
            for subset, q in found.model.encoders.items()
        }
        model = type(found.model)(found.model.prior, found.model.decoders, other)
        assert elbo_terms(model, law, scheme).elbo <= found.low + ROUNDING


# --- the upper end is what the dual point proves --------------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("seed", CASES)
def test_high_is_implied_by_the_dual_point(seed, beta):
    """``sum w E ln c + ln G_c(v) <= high`` at vertices, random decoders and where climbing from these leads."""
    law, scheme = small_case(seed)
    found = checked(law, scheme, 1e-4, beta=beta)
    rng = np.random.default_rng(seed)
    starts = decoders(law, rng, 40)
    worst = max(dual_bound(law, scheme, found, v) for v in starts)
    picked = rng.permutation(len(starts))[:6]
    worst = max([worst, *(dual_bound(law, scheme, found, climb(law, scheme, found, starts[i])) for i in picked)])
    assert found.certified
    # where the ceiling from entropies is the lower of the two, the dual point proves the width that was asked for
    proved = found.high if found.high < found.ceiling else found.low + found.tol
    assert worst <= proved + ROUNDING
    # the model's own decoders attain it, up to the width
    atoms = [[table[z] for table in found.model.decoders] for z in np.flatnonzero(found.model.prior > 1e-3)]
    for atom in atoms:
        assert found.low - found.tol <= dual_bound(law, scheme, found, atom) <= proved + ROUNDING


def test_the_dual_point_has_a_number_for_what_occurs():
    """Positive where ``p(x_A)`` is, zero elsewhere, one axis for each unit of ``A``."""
    law = Discrete([[0.5, 0.2, 0.0], [0.0, 0.3, 0.0]], sizes=[1, 1])
    found = checked(law, mopoe(2))
    assert found.dual[0b10].shape == (3,)
    assert found.dual[0b11].shape == (2, 3)
    assert ((found.dual[0b11] > 0) == (law.pmf > 0)).all()
    assert found.dual[0b10][2] == 0


@pytest.mark.parametrize("crossover", [0.05, 0.25])
def test_an_upper_end_that_is_too_low_is_caught(crossover):
    """The check of the dual point can fail: climbing from random decoders comes within 1e-4 of the supremum."""
    law, scheme = dsbs(crossover), mmvae(2)
    found = checked(law, scheme)
    starts = decoders(law, np.random.default_rng(0), 40)
    assert max(dual_bound(law, scheme, found, climb(law, scheme, found, v)) for v in starts) > found.high - 1e-4


def test_a_dual_point_that_is_not_the_proof_is_caught():
    """Halving ``c`` of one value proves less: some decoder then exceeds ``high``."""
    law, scheme = dsbs(0.1), mmvae(2)
    found = checked(law, scheme)
    shrunk = {subset: c * np.array([0.5, 1.0]) for subset, c in found.dual.items()}
    wrong = type("Wrong", (), {"dual": shrunk, "beta": 1.0})
    worst = max(dual_bound(law, scheme, wrong, v) for v in decoders(law, np.random.default_rng(0), 50))
    assert worst > found.high + 1e-3


# --- reductions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
def test_private_noise_is_one_symbol(beta):
    """With and without the grouping of symbols that nothing else tells apart."""
    core = np.array([[0.3, 0.1], [0.15, 0.45]])
    noisy = Discrete(np.stack([core[0] * 0.3, core[0] * 0.7, core[1]]))
    whole = checked(Discrete(core), mopoe(2), beta=beta)
    split = checked(noisy, mopoe(2), beta=beta)
    assert whole.certified
    assert split.certified
    if beta >= 1:  # below, a code says the noise for less than a decoder pays
        assert without_private_noise(noisy, beta).law.pmf.shape == (2, 2)
        assert overlap(whole.loss, split.loss)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "without_private_noise", lambda law, _: without_private_noise(law, 0.5))
            assert overlap(checked(noisy, mopoe(2), beta=beta).loss, split.loss)
    else:
        assert split.loss[1] < whole.loss[0] - 1e-3


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_noise_is_worth_saying_where_the_kl_is_cheap(beta):
    """One modality: ``Z = X`` attains ``-beta H(X)``, the ceiling of T10.1; a constant latent has ``-H(X)``."""
    law = Discrete([0.5, 0.3, 0.2])
    found = checked(law, full(1), beta=beta)
    assert abs(found.low + beta * found.entropy) < 1e-9
    assert found.certified


def test_grouping_noise_below_one_is_caught(monkeypatch):
    """The reduction for every beta, which is wrong, fails the comparison with plain alternating minimisation."""
    law, beta = Discrete([0.5, 0.3, 0.2]), 0.5
    reached = alternating_minimisation(law, full(1), 3, np.random.default_rng(0), beta)
    assert reached <= checked(law, full(1), beta=beta).high + ROUNDING
    monkeypatch.setattr(module, "without_private_noise", lambda law, _: without_private_noise(law, 1.0))
    assert reached > optimal_elbo(law, full(1), beta=beta).high + 0.1


@pytest.mark.parametrize("seed", range(6))
def test_merging_rows_and_splitting_by_known_units_change_nothing(seed):
    """Each reduction alone is switched off: equal rows, symbols of deterministic units, private noise."""
    rng = np.random.default_rng(seed)
    core = rng.dirichlet(np.ones(4)).reshape(2, 2)
    law = [
        Discrete(np.einsum("ab,ac->cab", core, np.eye(2))),  # the first modality is shown twice
        Discrete(np.einsum("ab,bc->abc", core, [[0.2, 0.8], [0.2, 0.8]])),  # the third is noise
        Discrete(np.pad(core, ((0, 1), (0, 1)))),  # symbols that never occur
    ][seed % 3]
    scheme = (mmvae if seed < 3 else mopoe)(len(law.names))
    reference = checked(law, scheme).loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DecoderProgram, "merged", lambda self: self)
        assert overlap(checked(law, scheme).loss, reference)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inner, "_parts", lambda part, power: [part])
        assert overlap(checked(law, scheme).loss, reference)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "without_private_noise", lambda law, _: without_private_noise(law, 0.5))
        assert overlap(checked(law, scheme).loss, reference)


def test_deterministic_units_split_into_symbols():
    """A common label and what differs given it: the worst symbol's part decides, and each part is solved alone."""
    law = from_functions(
        2, [lambda y, a: 2 * y + a, lambda y, a: 2 * y + a * y]
    )  # given y = 1 equal, else X_2 is fixed
    found = checked(law, mmvae(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inner, "_parts", lambda part, power: [part])
        assert overlap(checked(law, mmvae(2)).loss, found.loss)


@pytest.mark.parametrize("seed", range(6))
def test_names_of_symbols_and_modalities_do_not_matter(seed):
    """Permuted symbols, permuted modalities."""
    rng = np.random.default_rng(seed)
    law = Discrete(rng.dirichlet(np.ones(8)).reshape(2, 2, 2))
    scheme = SubsetScheme({(0,): 0.5, (1, 2): 0.3, (2,): 0.2}, 3)
    reference = checked(law, scheme, 1e-4)
    symbols = Discrete(law.pmf[np.ix_([1, 0], [1, 0], [0, 1])])
    assert overlap(checked(symbols, scheme, 1e-4).loss, reference.loss)
    order = [int(m) for m in rng.permutation(3)]
    modalities = Discrete(law.pmf.transpose(order))
    assert overlap(checked(modalities, scheme.relabelled(order), 1e-4).loss, reference.loss)


@pytest.mark.parametrize("scheme", [mmvae(3), mopoe(3), full(3)])
def test_independent_modalities_lose_nothing(scheme):
    """``TC = 0``: a constant latent is optimal."""
    law = Discrete(np.einsum("a,b,c->abc", [0.2, 0.8], [0.5, 0.3, 0.2], [0.6, 0.4]))
    found = checked(law, scheme)
    assert found.certified
    assert abs(found.loss[1]) < 1e-9
    assert found.model.n_latents == 1


@pytest.mark.parametrize("scheme", [mmvae(3), mopoe(3), full(3)])
def test_equal_modalities_lose_nothing(scheme):
    """Every subset says all."""
    law = from_functions(1, [lambda a: a] * 3)
    found = checked(law, scheme)
    assert found.certified
    assert abs(found.loss[1]) < 1e-9
    assert found.model.n_latents == 2


@pytest.mark.parametrize("law", [Discrete([1.0]), Discrete([0.7, 0.3]), Discrete([[1.0]]), Discrete([[0.5], [0.5]])])
def test_alphabets_of_one_symbol_and_one_modality(law):
    """Nothing to lose."""
    found = checked(law, mmvae(len(law.names)))
    assert found.certified
    assert abs(found.loss[1]) < 1e-12


def test_units_finer_than_modalities():
    """Pixels that copy each other cost at the level of pixels; as one unit they do not."""
    table = np.einsum("a,ab,ac->abc", [0.5, 0.5], np.eye(2), np.eye(2)) * 0.5 + 0.25 * np.einsum(
        "a,bc->abc", [0.5, 0.5], np.eye(2)
    )
    table /= table.sum()
    fine = checked(Discrete(table, sizes=[1, 2], units="scalar"), mmvae(2))
    coarse = checked(Discrete(table, sizes=[1, 2]), mmvae(2))
    assert fine.certified
    assert coarse.certified
    assert fine.loss[0] > coarse.loss[1] + 1e-2
    assert fine.loss[0] >= loss_bounds(Discrete(table, sizes=[1, 2], units="scalar"), mmvae(2)).lower - 1e-6


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_the_empty_subset(weight):
    """An encoder that sees nothing: alone, a constant latent; beside the full one a bracket between the bounds."""
    law = dsbs(0.1)
    scheme = SubsetScheme({0: weight, 3: 1 - weight}, 2, allow_empty=True)
    found = checked(law, scheme)
    bounds = loss_bounds(law, scheme)
    assert found.certified
    assert bounds.lower - 1e-6 <= found.loss[0]
    assert found.loss[1] <= bounds.upper + ROUNDING
    if weight == 1:
        assert abs(found.loss[1] - bounds.total_correlation) < ROUNDING


# --- random laws ----------------------------------------------------------------------------------------------------


@st.composite
def cases(draw):
    """A table or a linear code with units, and any scheme for it."""
    law = draw(st.one_of(discrete_laws((1, 2, 3), max_alphabet=2, units=2), linear_codes((1, 2, 3))))
    return law, draw(schemes(len(law.names), allow_empty=True))


@settings(max_examples=25)
@given(cases())
def test_consistent_with_the_sandwich(case):
    """``TCw <= delta* <= upper``, where the bracket has both numbers on the right sides."""
    law, scheme = case
    found = checked(law, scheme, 1e-4, seconds=0.5)
    bounds = loss_bounds(law, scheme)
    assert bounds.lower <= found.loss[1] + ROUNDING
    assert found.loss[0] <= bounds.upper + ROUNDING
    assert found.loss[0] >= bounds.lower - 2 * ROUNDING  # T2 is a bound that is always taken
    assert found.bounds.lower == bounds.lower


@settings(max_examples=20)
@given(cases(), st.sampled_from([0.5, 1.0, 3.0]), st.integers(0, 99))
def test_plain_alternating_minimisation_lies_below(case, beta, seed):
    """No run exceeds ``high``, and ``low`` is no worse than the best of them."""
    law, scheme = case
    found = checked(law, scheme, 1e-4, beta=beta, seconds=0.5)
    rng = np.random.default_rng(seed)
    best = max(alternating_minimisation(law, scheme, k, rng, beta, 60) for k in (1, 3, 6))
    assert best <= found.high + ROUNDING
    assert best <= found.low + 1e-6


@settings(max_examples=15)
@given(cases())
def test_beta_of_at_least_the_number_of_units_collapses(case):
    """T10.1: the constant latent's ``-H(X) - TC(X)``."""
    law, scheme = case
    units = len(law.unit_alphabets)
    found = checked(law, scheme, 1e-4, beta=float(units), seconds=0.5)
    constant = -found.entropy - loss_bounds(law, scheme).total_correlation
    assert abs(found.low - constant) < 1e-8
    assert found.high >= constant - ROUNDING


@pytest.mark.parametrize("seed", range(8))
def test_beta_below_one(seed):
    """Certified, above plain alternating minimisation, and above the ELBO's optimum: the KL is nonnegative."""
    law, scheme = small_case(seed)
    beta = 0.5
    found = checked(law, scheme, 1e-4, beta=beta, seconds=20)
    best = max(alternating_minimisation(law, scheme, k, np.random.default_rng(seed), beta) for k in (2, 4, 8))
    assert best <= found.high + ROUNDING
    assert best <= found.low + 1e-6
    assert found.low >= checked(law, scheme, 1e-4).low - 1e-6


@pytest.mark.parametrize("betas", [(0.3, 0.6, 1.0, 1.7, 4.0)])
def test_the_optimum_falls_and_is_convex_in_beta(betas):
    """A supremum of functions that are linear in beta with a slope ``-KL``."""
    law, scheme = dsbs(0.1), mmvae(2)
    found = [checked(law, scheme, beta=beta) for beta in betas]
    for a, b in itertools.pairwise(found):
        assert b.low <= a.high + ROUNDING
    for a, b, c in zip(found, found[1:], found[2:], strict=False):
        share = (b.beta - a.beta) / (c.beta - a.beta)
        assert b.low <= (1 - share) * a.high + share * c.high + ROUNDING


# --- probabilities of all sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tiny", [1e-9, 1e-12, 1e-30, 1e-150, 1e-193, 1e-280])
@pytest.mark.parametrize("scheme", [mmvae(2), mopoe(2), full(2)])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_rare_cells(tiny, scheme, beta):
    """Cells of tiny probability: a model that gives them nothing would have a value of minus infinity."""
    law = Discrete([[0.6, tiny], [2 * tiny, 0.4]])
    found = checked(law, scheme, beta=beta, seconds=2)
    limit = checked(Discrete([[0.6, 0.0], [0.0, 0.4]]), scheme, beta=beta)
    assert abs(found.low - limit.low) < 1e-6
    assert found.high >= limit.low - 1e-6


def test_rare_rows_for_cheap_kl():
    """``beta < 1`` and rows of probability 1e-10: their ``c`` is tiny, and the certificate must not break on it."""
    law = Discrete([[0.3, 1e-10, 1e-10], [0.1, 0.4, 0.1], [0.1, 1e-10, 2e-10]] / np.float64(1 + 4e-10))
    found = checked(law, mopoe(2), 1e-4, beta=0.1, seconds=5)
    best = max(alternating_minimisation(law, mopoe(2), 8, np.random.default_rng(s), 0.1) for s in range(3))
    assert best <= found.high + ROUNDING
    assert best <= found.low + 1e-4


def test_nearly_equal_rows():
    """Targets that differ by rounding are one row; those that differ by more are not."""
    for gap in (1e-15, 1e-13, 1e-8):
        law = Discrete([[0.25, 0.25 + gap], [0.25, 0.25 - gap]])
        found = checked(law, mopoe(2))
        assert found.certified
        assert abs(found.loss[1]) < 1e-9


def test_weights_of_all_sizes():
    """A subset of weight 1e-9 moves the value by at most its share of the loss."""
    law = dsbs(0.1)
    rare = SubsetScheme({(0,): 1 - 1e-9, (1,): 1e-9}, 2)
    found = checked(law, rare)
    assert found.certified
    assert found.loss[1] + 1e-9 >= 0
    assert found.loss[1] < 1e-6


@pytest.mark.parametrize("tol", [1.0, 1e-3, 1e-8, 1e-10])
def test_widths(tol):
    """What was asked for, or a bracket that says that it is wider."""
    found = checked(dsbs(0.1), mmvae(2), tol, seconds=3)
    assert found.loss[0] <= 0.0664754062 + 1e-9
    assert found.loss[1] >= 0.0664754062 - 1e-9
    assert found.certified
    too_fine = checked(dsbs(0.1), mmvae(2), 1e-14, seconds=1)
    assert not too_fine.certified
    assert too_fine.notes


# --- limits and errors ----------------------------------------------------------------------------------------------


def test_what_no_deadline_ends_is_computed_when_it_is_asked_for(monkeypatch):
    """The sandwich of 63 subsets takes seconds, whatever ``seconds`` says."""
    monkeypatch.setattr("bounds.optimum.loss_bounds", lambda *_: pytest.fail("the sandwich was not asked for"))
    law = Discrete(np.random.default_rng(6).dirichlet(np.full(64, 0.5)).reshape((2,) * 6))
    found = optimal_elbo(law, mopoe(6), seconds=0.0)
    assert found.low <= found.high
    monkeypatch.undo()
    pair = optimal_elbo(dsbs(0.1), mmvae(2))
    assert pair.bounds is pair.bounds
    assert pair.to_dict()["loss_bounds"] == pair.bounds.to_dict()


@pytest.mark.parametrize("seconds", [0.0, 1e-9])
def test_no_time(seconds):
    """A valid bracket that says what it is."""
    law = sum_modulo(3)
    scheme = SubsetScheme({(0,): 0.25, (0, 1): 0.25, (1, 2): 0.25, (0, 1, 2): 0.25}, 3)
    found = checked(law, scheme, seconds=seconds)
    assert not found.certified
    assert found.open_cells > 0
    assert any("certified to" in note for note in found.notes)
    assert "not closed" in str(found)
    assert found.loss[0] >= loss_bounds(law, scheme).lower - ROUNDING
    enough = checked(law, scheme, 1e-4, seconds=60)
    assert enough.certified
    assert overlap(found.loss, enough.loss)
    assert not enough.notes


def test_large_alphabets_stop_in_time():
    """Ten by ten: far from closed, and valid."""
    rng = np.random.default_rng(0)
    law = Discrete(rng.dirichlet(np.full(100, 0.3)).reshape(10, 10))
    found = checked(law, mmvae(2), seconds=0.5)
    bounds = loss_bounds(law, mmvae(2))
    assert found.low <= found.high
    assert found.loss[1] <= bounds.upper + ROUNDING


def test_progress_is_told():
    """Cells, open cells and the bracket's width, the last of which never grows on one certificate."""
    seen = []
    checked(xor_triple(), mopoe(3), progress=lambda cells, left, gap: seen.append((cells, left, gap)))
    assert seen
    assert all(cells > 0 and left >= 0 and gap >= 0 for cells, left, gap in seen)


def test_what_is_refused():
    """Each error names the thing and what would fix it."""
    with pytest.raises(InputError, match="discrete laws; this one is a Gaussian"):
        optimal_elbo(Gaussian([[1.0, 0.5], [0.5, 1.0]]), mmvae(2))
    for tol in (0.0, -1e-6, math.nan, math.inf):
        with pytest.raises(InputError, match="tol is"):
            optimal_elbo(dsbs(0.1), mmvae(2), tol)
    for beta in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="beta is"):
            optimal_elbo(dsbs(0.1), mmvae(2), beta=beta)
    for seconds in (-1.0, math.nan):
        with pytest.raises(InputError, match="seconds is"):
            optimal_elbo(dsbs(0.1), mmvae(2), seconds=seconds)
    with pytest.raises(InputError, match="over 3 modalities, the law over 2"):
        optimal_elbo(dsbs(0.1), mmvae(3))
    with pytest.raises(ObjectiveError, match="sub-sampled"):
        optimal_elbo(xor_triple(), mvae_subsampled(3))


def test_how_it_is_shown():
    """As text, HTML and JSON."""
    found = checked(dsbs(0.1), mmvae(2))
    assert "certified" in str(found)
    assert "0.0664754" in str(found)
    assert found._repr_html_().startswith("<pre>")
    shown = json.loads(json.dumps(found.to_dict()))
    assert shown["certified"] is True
    assert shown["loss"]["high"] == found.loss[1]
    assert set(shown["dual"]) == set(shown["model"]["encoders"]) == {"X1", "X2"}
    beta = checked(dsbs(0.1), SubsetScheme({0: 0.5, 3: 0.5}, 2, allow_empty=True), beta=2.0)
    assert "beta=2" in str(beta)
    assert "(empty)" in beta.to_dict()["dual"]


# --- planted faults -------------------------------------------------------------------------------------------------


def test_a_search_that_stalls_is_not_certified(monkeypatch):
    """With a constant latent for the best mixture a better decoder is found, and the bracket stays wide."""
    scores = []

    def stalled(program, start=None, **_):
        constant = (program.mass @ program.stacked)[None]
        scores.append(start)
        return Mixture(np.ones(1), constant)

    monkeypatch.setattr(module, "best_mixture", stalled)
    found = optimal_elbo(dsbs(0.1), mmvae(2))
    assert any(start is not None for start in scores)  # a violation was sent back
    assert found.loss[0] <= 0.0664754062 <= found.loss[1]
    assert not found.certified
    assert abs(found.loss[1] - (LN2 - h2(0.1))) < 1e-9  # TC, which a constant latent loses


def test_a_bound_that_is_no_number_proves_nothing(monkeypatch):
    """NaN from the relaxation must not become a certificate."""
    tighten = inner.Relaxation.tighten

    def broken(self, cells, target):
        found = tighten(self, cells, target)
        found.bound[:] = np.nan
        return found

    monkeypatch.setattr(inner.Relaxation, "tighten", broken)
    found = optimal_elbo(pair(0.6), mmvae(2), seconds=0.2)
    assert not found.certified
    assert found.open_cells > 0
    assert found.high == pytest.approx(found.ceiling, abs=1e-9)


# --- limits ---------------------------------------------------------------------------------------------------------


def test_the_search_stops_when_its_time_is_up(monkeypatch):
    """On a clock of its own, which advances by a second at each look: no real time is involved."""
    ticks = count()
    monkeypatch.setattr(mixing, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    law = Discrete(np.random.default_rng(3).dirichlet(np.full(27, 0.3)).reshape(3, 3, 3))
    program = DecoderProgram.of(law, mopoe(3))
    constant = program.value(np.ones(1), (program.mass @ program.stacked)[None])
    mixing.best_mixture(program)
    unhurried = next(ticks)
    hurried = mixing.best_mixture(program, seconds=5.0)
    assert next(ticks) - unhurried < 15 < unhurried
    assert program.value(hurried.weights, hurried.v) >= constant - ROUNDING


def test_what_is_too_large_for_branch_and_bound_says_so(monkeypatch):
    monkeypatch.setattr(inner, "LARGEST", 10)
    found = optimal_elbo(pair(0.6), mmvae(2))
    assert found.high == pytest.approx(found.ceiling, abs=1e-9)
    assert not found.certified
    assert "too large" in found.notes[0]


@pytest.mark.parametrize("seed", [51, 53, 57])
def test_rows_that_the_best_mixture_gives_up_are_certified(seed, monkeypatch):
    """Rare rows at a small beta close, because the dual point is wider than the mixture; without that they do not."""
    law = Discrete(np.random.default_rng(seed).dirichlet(np.full(8, 0.03)).reshape(2, 2, 2))
    assert checked(law, mopoe(3), beta=0.1).certified
    monkeypatch.setattr(module, "WIDER", 0.0)
    assert not optimal_elbo(law, mopoe(3), beta=0.1, seconds=1).certified


def test_likelihoods_below_the_range_of_floats_are_refused():
    with pytest.raises(InputError, match="larger beta"):
        optimal_elbo(dsbs(0.1), mmvae(2), beta=1e-4)


@pytest.mark.parametrize(("size", "units"), [(2, 1), (4, 3), (100, 2)])
def test_the_allowance_covers_what_merged_rows_may_differ_by(size, units):
    """Mass moved by as much as a merge allows, to a symbol that had none: the entropy changes by less."""
    moved = Decimal(size) * Decimal(SAME) / 2  # total variation of an entrywise difference
    change = units * (-moved * moved.ln() - (1 - moved) * (1 - moved).ln())
    target = np.full((1, size), 1 / size)
    allowed = inner.rounding(DecoderProgram(np.ones(1), (target,) * units))
    assert float(change) <= allowed <= 40 * float(change) + inner.ARITHMETIC
