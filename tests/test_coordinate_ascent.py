"""Coordinate ascent of finite VAEs: against a loop, the exact terms, every ceiling and the certified optimum.

What exact terms of *random* models satisfy (T0's repair, T1, the ceiling and slack of T2, T3) is in ``test_pins_t0`` to
``test_pins_t3`` and in the registry. Fitted models lie near the ceilings, where the same claims have least room.
"""

import json
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_laws import LN2, XOR, copies, independent
from optimum_common import all_seen, likelihood, small_case
from pins_common import dsbs, random_case, random_law

from bounds import (
    Discrete,
    Gaussian,
    InputError,
    ObjectiveError,
    SubsetScheme,
    elbo_ceiling,
    full,
    loss_bounds,
    mmvae,
    mopoe,
    mvae_subsampled,
    optimal_elbo,
)
from bounds.strategies import discrete_laws, schemes, tabular_models
from bounds.theorems import REGISTRY, Case
from toy_models import (
    TabularFit,
    TabularVAE,
    coordinate_ascent,
    elbo_terms,
    fit_tabular,
    objective,
    optimal_decoders,
    optimal_encoders,
    random_model,
)

#: Relative rounding of sums of a few hundred terms; of their sizes, and beta times a KL has size beta at least.
ROUNDING = 1e-12
BETAS = (0.05, 0.5, 1.0, 2.5, 30.0)
#: Proved claims about one model that need nothing but law, scheme and model.
CLAIMS = (
    *("T0.condition", "T0.repair", "T1", "T2", "T2.slack", "T3", "T3.attained", "T5.mixture", "T5.identity"),
    *("T6", "T10.5"),
)

laws_and_schemes = discrete_laws((1, 2, 3), units=2).flatmap(
    lambda law: st.tuples(st.just(law), schemes(len(law.names), allow_empty=True))
)


def fit(law, scheme, n_latents=3, seed=0, **options):
    return fit_tabular(law, scheme, n_latents, np.random.default_rng(seed), **options)


def fails(check, *arguments):
    try:
        check(*arguments)
    except AssertionError:
        return True
    return False


# --- what every fit satisfies -------------------------------------------------------------------------------------


def room(found):
    return ROUNDING * max(1.0, found.beta, abs(found.history[0]))


def check_monotone(found):
    assert np.diff(found.history).min(initial=0.0) >= -room(found)


def check_value(found, law, scheme):
    assert found.value == found.history[-1] == max(found.values)
    assert abs(found.value - objective(found.model, law, scheme, "beta", beta=found.beta)) <= room(found)
    if found.beta == 1:
        assert abs(found.value - elbo_terms(found.model, law, scheme).elbo) <= room(found)


def check_below_every_ceiling(found, law, scheme):
    h = law.unit_entropies()
    assert found.value <= float(elbo_ceiling(h, scheme, "beta", beta=found.beta)) + room(found)
    if found.beta >= 1:  # T10.1.T2: a dearer KL only lowers the objective
        assert found.value <= float(elbo_ceiling(h, scheme)) + room(found)
        assert found.value <= -h[(1 << h.n_units) - 1] - loss_bounds(law, scheme).lower + room(found)


def check(found, law, scheme):
    check_monotone(found)
    check_value(found, law, scheme)
    check_below_every_ceiling(found, law, scheme)


@given(laws_and_schemes, st.sampled_from(BETAS), st.integers(1, 4), st.integers(0, 9))
def test_every_fit_rises_to_its_exact_value_below_every_ceiling(case, beta, n_latents, seed):
    law, scheme = case
    check(fit(law, scheme, n_latents, seed, restarts=3, iterations=60, beta=beta), law, scheme)


@given(laws_and_schemes.flatmap(lambda case: st.tuples(st.just(case), tabular_models(*case))), st.sampled_from(BETAS))
def test_any_start_rises_or_is_refused(case, beta):
    """Starts with zeros: what a decoder rules out stays ruled out, and what no latent allows is refused."""
    (law, scheme), start = case
    options = {"starts": [start], "restarts": 0, "iterations": 60, "beta": beta}
    best = objective(optimal_encoders(law, scheme, start.prior, start.decoders, beta), law, scheme, "beta", beta=beta)
    if best == -math.inf:
        with pytest.raises(InputError, match="start 0 gives some data no probability"):
            fit(law, scheme, start.n_latents, **options)
        return
    found = fit(law, scheme, start.n_latents, **options)
    check(found, law, scheme)
    assert abs(found.history[0] - best) <= room(found)
    assert best >= objective(start, law, scheme, "beta", beta=beta) - room(found)  # T6: no encoders are better
    for before, after in zip([start.prior, *start.decoders], [found.model.prior, *found.model.decoders], strict=True):
        alive = (start.prior > 0) & (found.model.prior > 0)
        assert (after[alive][before[alive] == 0] == 0).all()


def loop(law, scheme, start, steps, beta=1.0):
    """The same ascent cell by cell: encoders from the definition, decoders from THEORY T3, values from the model."""
    model, values = start, []
    for _ in range(steps + 1):
        decoders = [[table[z] for table in model.decoders] for z in range(model.n_latents)]
        encoders = {}
        for subset, _ in scheme:
            shape = start.encoders[subset].shape
            encoders[subset] = np.full(shape, 1 / shape[-1])
        for seen in all_seen(law, scheme):
            weights = [p * likelihood(seen, v, 1 / beta) for p, v in zip(model.prior, decoders, strict=True)]
            encoders[seen.subset][seen.values] = np.array(weights) / sum(weights)
        values.append(objective(TabularVAE(model.prior, model.decoders, encoders), law, scheme, "beta", beta=beta))
        model = optimal_decoders(law, scheme, encoders)
    return values


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_steps_agree_with_a_loop(seed, beta):
    law, scheme, start = random_case(seed)
    found = fit(law, scheme, start.n_latents, starts=[start], restarts=0, iterations=4, tol=0.0, beta=beta)
    expected = loop(law, scheme, start, 4, beta)[: len(found.history)]
    # the first value of a start may be some hundred nats; six digits more than enough to tell any other step
    assert np.allclose(found.history, expected, rtol=1e-10, atol=1e-10)
    assert found.steps == 4 or found.history[-1] - found.history[-2] <= 0


@pytest.mark.parametrize("id", CLAIMS)
def test_proved_claims_hold_for_fitted_models(id):
    theorem = REGISTRY[id]
    assert theorem.holds
    for seed in range(30):
        law, scheme, _ = random_case(seed)
        model = fit(law, scheme, 4, seed, restarts=4, iterations=300).model
        assert not theorem.violated_by(Case(law, scheme, model)), seed


def test_fitted_models_refute_the_quoted_theorem():
    """The same check catches a claim that fails, T0 as usually quoted."""
    cases = [random_case(seed)[:2] for seed in range(30)]
    models = [fit(law, scheme, 4, restarts=4, iterations=300).model for law, scheme in cases]
    assert any(REGISTRY["T0"].violated_by(Case(*case, model)) for case, model in zip(cases, models, strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_a_converged_fit_has_the_best_decoders_and_encoders(seed):
    """A stationary point: neither T3's decoders for its encoders nor T6's encoders for its decoders gain anything."""
    law, scheme, _ = random_case(seed)
    found = fit(law, scheme, 3, seed)
    assert found.converged
    terms = elbo_terms(found.model, law, scheme)
    assert -ROUNDING <= terms.best_elbo - terms.elbo <= 1e-10  # a step that gained 1e-12 is followed by smaller ones
    again = optimal_encoders(law, scheme, found.model.prior, found.model.decoders)
    assert elbo_terms(again, law, scheme).elbo == pytest.approx(terms.elbo, rel=ROUNDING)


# --- the optimum --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "scheme", "n_latents"),
    [
        *((dsbs(crossover), mmvae(2), 2) for crossover in (0.02, 0.1, 0.25, 0.4)),
        (XOR, mmvae(3), 4),
        (XOR, mopoe(3), 12),
        (copies(3), mmvae(3), 4),
        (independent(2, 3, 5), mopoe(3), 2),
    ],
)
def test_the_certified_optimum_is_reached(law, scheme, n_latents):
    best = optimal_elbo(law, scheme)
    found = fit(law, scheme, n_latents, restarts=32)
    assert found.converged
    assert best.low - 1e-6 <= found.value <= best.high + ROUNDING


def test_one_start_does_not_reach_the_optimum_of_xor():
    """Why there are restarts: THEORY T4's local maxima."""
    low = optimal_elbo(XOR, mopoe(3)).low
    values = np.array(fit(XOR, mopoe(3), 12, restarts=32).values)
    assert (values < low - 1e-3).any()
    assert (values > low - 1e-6).any()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_no_fit_is_above_the_certificate(seed, beta):
    law, scheme = small_case(seed)
    best = optimal_elbo(law, scheme, 1e-5, beta=beta, seconds=10)
    found = fit(law, scheme, 6, seed, beta=beta)
    check(found, law, scheme)
    assert found.value <= best.high + ROUNDING


def test_the_optimum_cannot_be_improved():
    """From the optimal model itself: the first value is its own, and no step gains more than the certificate allows."""
    best = optimal_elbo(XOR, mopoe(3))
    found = fit(XOR, mopoe(3), best.model.n_latents, starts=[best.model], restarts=0)
    assert found.history[0] == pytest.approx(best.low, abs=1e-12)
    assert best.low - ROUNDING <= found.value <= best.high + ROUNDING


# --- corners ------------------------------------------------------------------------------------------------------


def test_one_modality_is_explained_by_one_latent_value():
    law = random_law(np.random.default_rng(0), (5,))
    for beta in BETAS:
        found = fit(law, full(1), 1, beta=beta)
        assert found.value == pytest.approx(-float(law.entropy_vector()[1]), rel=ROUNDING)
        assert np.allclose(found.model.decoders[0], law.pmf, rtol=ROUNDING)


@pytest.mark.parametrize("n_latents", [1, 3])
def test_an_encoder_that_sees_nothing_leaves_the_marginals(n_latents):
    law = random_law(np.random.default_rng(1), (2, 3, 2))
    nothing = SubsetScheme({0: 1}, 3, allow_empty=True)
    found = fit(law, nothing, n_latents)
    h = law.entropy_vector()
    assert found.model.encoders[0].shape == (n_latents,)
    assert found.value == pytest.approx(-math.fsum(h[1 << m] for m in range(3)), rel=1e-9)  # ascent ends a bit before
    assert found.value <= -math.fsum(h[1 << m] for m in range(3)) + ROUNDING


def test_deterministic_modalities_end_in_a_code_without_loss():
    """Zeros appear on the way: the decoders become points, the value ``-H(X)``."""
    found = fit(copies(3), mmvae(3), 3)
    assert found.value == pytest.approx(-LN2, abs=1e-11)
    used = found.model.prior > 1e-6
    assert all(
        np.isin(table[used], (0, 1)).all() or np.abs(table[used] - table[used].round()).max() < 1e-9
        for table in found.model.decoders
    )


def test_cells_without_probability_have_encoders():
    """Two symbols that never occur, and a pair that does not: the prior, which costs nothing."""
    law = Discrete([[0.5, 0.0, 0.0], [0.2, 0.3, 0.0], [0.0, 0.0, 0.0]])
    found = fit(law, mopoe(2), 2)
    for subset, cell in [(1, 2), (2, 2), (3, (0, 1)), (3, (2, 2))]:
        assert np.allclose(found.model.encoders[subset][cell], found.model.prior, rtol=ROUNDING)
    assert [table[:, 2].tolist() for table in found.model.decoders] == [[0, 0], [0, 0]]
    check(found, law, mopoe(2))


@pytest.mark.parametrize("rare", [1e-16, 1e-100, 1e-300])
@pytest.mark.parametrize("beta", [0.01, 1.0, 100.0])
def test_rare_cells_are_not_neglected(rare, beta):
    """A decoder that took ``rare`` for zero would have the objective ``-inf``."""
    law = Discrete([[0.5, rare], [0.0, 0.5]])
    found = fit(law, mopoe(2), 3, beta=beta)
    check(found, law, mopoe(2))
    assert all((table.max(axis=0) > 0).all() for table in found.model.decoders)


def test_likelihoods_far_below_the_range_of_floats():
    """Six units of probability 1e-150 or so, to the power 1 / beta = 100."""
    rng = np.random.default_rng(0)
    law = random_law(rng, (3,) * 6)
    laws = [10 ** rng.uniform(-300, 0, (4, k)) for k in (4, *law.pmf.shape)]
    prior, *decoders = [table / table.sum(axis=1, keepdims=True) for table in laws]
    start = TabularVAE(prior[0], decoders, random_model(law, mmvae(6), 4, rng).encoders)
    found = fit(law, mmvae(6), 4, starts=[start], restarts=0, iterations=20, beta=0.01)
    assert found.history[0] / found.beta < -10 * math.log(1e300)
    check(found, law, mmvae(6))


def test_a_unit_of_several_variables_is_one_alphabet():
    pmf = random_law(np.random.default_rng(2), (2, 3, 2)).pmf
    joint, split = Discrete(pmf, sizes=[2, 1]), Discrete(pmf.reshape(6, 2))
    one, other = fit(joint, mmvae(2)), fit(split, mmvae(2))
    assert np.allclose(one.values, other.values, rtol=ROUNDING)
    assert one.model.encoders[1].shape == (6, 3)


def test_a_modality_of_several_units_has_an_encoder_axis_for_each():
    law = random_law(np.random.default_rng(2), (2, 3, 2), [2, 1], "scalar")
    found = fit(law, mopoe(2), 4)
    assert {subset: table.shape for subset, table in found.model.encoders.items()} == {
        1: (2, 3, 4),
        2: (2, 4),
        3: (2, 3, 2, 4),
    }
    assert [table.shape for table in found.model.decoders] == [(4, 2), (4, 3), (4, 2)]
    check(found, law, mopoe(2))


def test_a_latent_that_is_never_emitted_keeps_its_decoders():
    start = TabularVAE([1.0, 0.0], [[[0.5, 0.5], [0.1, 0.9]]] * 2, {1: [[1.0, 0.0]] * 2, 2: [[1.0, 0.0]] * 2})
    found = fit(dsbs(0.1), mmvae(2), 2, starts=[start], restarts=0)
    assert found.model.prior.tolist() == [1.0, 0.0]
    assert found.model.decoders[0][1].tolist() == [0.1, 0.9]
    assert found.value == pytest.approx(-2 * LN2, rel=ROUNDING)


def test_data_that_no_latent_allows_leaves_the_encoders_at_the_prior():
    sharp = np.array([[1.0, 0.0], [1.0, 0.0]])
    model = optimal_encoders(dsbs(0.1), mmvae(2), np.array([0.3, 0.7]), [sharp, sharp])
    assert np.allclose(model.encoders[1], [0.3, 0.7], rtol=ROUNDING)
    assert elbo_terms(model, dsbs(0.1), mmvae(2)).elbo == -math.inf


# --- runs side by side, going on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_runs_side_by_side_are_the_runs_alone(seed):
    """To the rounding that sums in another order bring in, times what thirty steps make of it."""
    law, scheme, _ = random_case(seed)
    together = fit(law, scheme, 3, seed, restarts=5, iterations=30)
    rng = np.random.default_rng(seed)
    starts = [random_model(law, scheme, 3, rng, coordinate_ascent.CONCENTRATION) for _ in range(5)]
    alone = [fit(law, scheme, 3, starts=[start], restarts=0, iterations=30) for start in starts]
    assert np.allclose(together.values, [run.value for run in alone], rtol=1e-9)
    best = alone[int(np.argmax(together.values))]
    shared = min(len(best.history), len(together.history))
    assert np.allclose(together.history[:shared], best.history[:shared], rtol=1e-9)
    assert abs(best.steps - together.steps) <= 1  # rounding may move the last gain across tol


def test_more_restarts_include_the_fewer():
    fewer, more = (fit(XOR, mopoe(3), 6, restarts=count, iterations=30) for count in (3, 7))
    assert np.allclose(fewer.values, more.values[:3], rtol=1e-9)
    assert more.value >= fewer.value - ROUNDING


def test_a_fit_goes_on_where_another_stopped():
    start = fit(XOR, mopoe(3), 12, iterations=0, restarts=1)
    assert (start.steps, start.converged) == (0, False)
    whole = fit(XOR, mopoe(3), 12, starts=[start.model], restarts=0, iterations=20, tol=0.0)
    first = fit(XOR, mopoe(3), 12, starts=[start.model], restarts=0, iterations=12, tol=0.0)
    rest = fit(XOR, mopoe(3), 12, starts=[first.model], restarts=0, iterations=8, tol=0.0)
    assert np.allclose(first.history + rest.history[1:], whole.history, rtol=1e-10)  # normalised again in between


def test_given_starts_come_first():
    start = random_model(XOR, mmvae(3), 3, np.random.default_rng(5))
    found = fit(XOR, mmvae(3), 3, starts=[start], restarts=2, iterations=0)
    alone = fit(XOR, mmvae(3), 3, starts=[start], restarts=0, iterations=0)
    assert len(found.values) == 3
    assert found.values[0] == pytest.approx(alone.value, rel=ROUNDING)


def test_progress_sees_every_step():
    seen = []

    def track(items, description, total):
        for item in items:
            seen.append((item, description, total))
            yield item

    found = fit(dsbs(0.1), mmvae(2), 2, restarts=1, iterations=5, tol=0.0, track=track)
    assert found.steps == 5
    assert seen == [(i, "coordinate ascent", 5) for i in range(5)]


# --- planted faults -----------------------------------------------------------------------------------------------


LOPSIDED = SubsetScheme({(0,): 0.7, (0, 1): 0.2, (1, 2): 0.1}, 3)
UNEVEN = random_law(np.random.default_rng(11), (2, 3, 2))


def check_all(law, scheme, beta):
    start = random_model(law, scheme, 4, np.random.default_rng(1))
    found = fit(law, scheme, 4, starts=[start], restarts=2, iterations=50, beta=beta)
    check(found, law, scheme)
    again = fit(law, scheme, 4, starts=[start], restarts=0, iterations=4, tol=0.0, beta=beta)
    assert np.allclose(again.history, loop(law, scheme, start, len(again.history) - 1, beta), rtol=1e-10)


@pytest.mark.parametrize(
    "fault", ["even weights", "no mass", "unseen units only", "beta forgotten", "prior forgotten", "zeros clamped"]
)
def test_a_planted_fault_is_caught(fault, monkeypatch):
    rows = coordinate_ascent._Rows
    right = {name: getattr(rows, name) for name in ("of", "encode", "decode")}
    law, beta = (XOR, 0.5) if fault == "zeros clamped" else (UNEVEN, 2.0)
    check_all(law, LOPSIDED, beta)
    if fault == "even weights":
        even = SubsetScheme({subset: 1 / 3 for subset, _ in LOPSIDED}, 3)
        monkeypatch.setattr(rows, "of", lambda law, scheme, beta: right["of"](law, even, beta))
    elif fault == "no mass":
        monkeypatch.setattr(rows, "decode", lambda self, joint, last: right["decode"](self, joint / self.mass, last))
    elif fault == "unseen units only":

        def unseen(law, scheme, beta):
            made = right["of"](law, scheme, beta)
            made.targets = np.where(made.targets == 1, 0.0, made.targets)
            return made

        monkeypatch.setattr(rows, "of", unseen)
    elif fault == "beta forgotten":
        monkeypatch.setattr(rows, "of", lambda law, scheme, beta: right["of"](law, scheme, 1.0))
    elif fault == "prior forgotten":

        def keeps_prior(self, joint, last):
            return coordinate_ascent._Theta(last.prior, right["decode"](self, joint, last).decoders)

        monkeypatch.setattr(rows, "decode", keeps_prior)
    else:

        def clamped(self, joint, last):
            better = right["decode"](self, joint, last)
            return coordinate_ascent._Theta(better.prior, 0.98 * better.decoders + 0.01)  # of two symbols each

        monkeypatch.setattr(rows, "decode", clamped)
    assert fails(check_all, law, LOPSIDED, beta)


# --- what it returns and refuses ----------------------------------------------------------------------------------


def test_the_result_is_plain():
    found = fit(dsbs(0.1), mopoe(2), 2, restarts=3)
    assert isinstance(found, TabularFit)
    assert "mopoe: ELBO -1." in str(found)
    assert f"converged after {found.steps} steps" in str(found)
    assert f"from {sum(v >= found.value - 1e-6 for v in found.values)} of 3 starts" in str(found)
    assert str(found) in found._repr_html_()
    numbers = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert numbers["value"] == found.value
    assert list(numbers["model"]["encoders"]) == ["X1", "X2", "X1,X2"]
    assert (numbers["steps"], len(numbers["values"])) == (len(numbers["history"]) - 1, 3)
    with pytest.raises(FrozenInstanceError):
        found.value = 0.0
    unfinished = fit(dsbs(0.1), SubsetScheme({0: 0.5, 1: 0.5}, 2, allow_empty=True), 2, iterations=1, beta=0.5)
    assert "beta=0.5 objective" in str(unfinished)
    assert "still rising after 1 steps" in str(unfinished)
    assert "(empty)" in unfinished.to_dict()["model"]["encoders"]


COPY = np.eye(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_latents": 0}, "n_latents is 0"),
        ({"restarts": 0}, "0 restarts and 0 starts"),
        ({"restarts": -1}, "-1 restarts"),
        ({"iterations": -1}, "iterations is -1"),
        ({"tol": -1e-3}, r"tol is -0\.001"),
        ({"tol": math.nan}, "tol is nan"),
        ({"beta": 0.0}, "beta is 0"),
        ({"beta": -1.0}, "beta is -1"),
        ({"beta": math.inf}, "beta is inf"),
        ({"beta": math.nan}, "beta is nan"),
        ({"scheme": mmvae(3)}, "over 3 modalities, the law over 2"),
        ({"law": Gaussian(np.eye(2))}, "this one is a Gaussian"),
        ({"law": Discrete([[0.5, 1e-308], [0.0, 0.5]])}, "cell of probability 1e-308"),
        ({"starts": [TabularVAE([1.0], [[[0.5, 0.5]]] * 2, {1: [[1.0]] * 2})]}, r"start 0 has .* \(1, 2\)"),
        ({"starts": [TabularVAE([0.5, 0.5], [COPY], {1: COPY})]}, "start 0 has a prior and decoders of shapes"),
        ({"starts": [TabularVAE([0.5, 0.5], [COPY, COPY], {1: COPY})]}, "start 0 gives some data no probability"),
    ],
)
def test_bad_input_is_refused(options, message):
    given = {"law": dsbs(0.1), "scheme": mmvae(2), "n_latents": 2} | options
    with pytest.raises(InputError, match=message):
        fit(**given)


def test_a_sub_sampled_scheme_is_refused():
    with pytest.raises(ObjectiveError, match=r"a sum of ELBOs.*T10\.2"):
        fit(dsbs(0.1), mvae_subsampled(2))
    with pytest.raises(ObjectiveError, match="a sum of ELBOs"):
        optimal_encoders(dsbs(0.1), mvae_subsampled(2), np.ones(1), [np.full((1, 2), 0.5)] * 2)


def test_bad_tables_are_refused():
    with pytest.raises(InputError, match=r"decoders have the alphabets \(2,\), the units \(2, 2\)"):
        optimal_encoders(dsbs(0.1), mmvae(2), np.full(2, 0.5), [COPY])
    with pytest.raises(InputError, match="decoder 1 has cells that are NaN, infinite or negative"):
        optimal_encoders(dsbs(0.1), mmvae(2), np.full(2, 0.5), [COPY, -COPY])


def test_too_many_restarts_for_memory_are_refused(monkeypatch):
    monkeypatch.setattr("bounds.memory.available_bytes", lambda: 10_000)
    with pytest.raises(InputError, match=r"the encoders of all starts .* use fewer restarts"):
        fit(dsbs(0.1), mmvae(2), 2, restarts=1000)
