"""Checks straight from the definitions, of models whose probabilities multiply to less than the range of float64."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from pins_common import dsbs, random_case

from bounds import mmvae
from bounds.theorems import REGISTRY, Case
from bounds.theorems.base import TOLERANCE
from bounds.theorems.tables import Tables, log, log_sum, mean_difference
from toy_models import TabularVAE

#: An entry that coordinate ascent leaves behind on its way to zero; half of it times a thousandth is zero in float64.
TINY = 6e-322
IDENTITIES = ("T0.condition", "T6")


def faint_case() -> Case:
    """Finite terms of a few hundred nats, though ``p_theta(z=0, x=(0,0))`` is below the smallest float64."""
    decoders = [[[TINY, 1.0], [0.5, 0.5]], [[0.001, 0.999], [0.5, 0.5]]]
    encoder = np.array([[0.5, 0.5], [0.9, 0.1]])
    return Case(dsbs(0.1), mmvae(2), TabularVAE(np.full(2, 0.5), decoders, {0b01: encoder, 0b10: encoder}))


def log_of_product(self, units=None):
    """The model as a product of probabilities: the fault that these tests are about."""
    table = self.case.model.prior
    for u in range(self.n_units) if units is None else units:
        table = table * np.exp(self.log_decoder((u,)))
    return log(table)


def test_the_faint_case_is_one():
    case = faint_case()
    assert case.model.decoders[0][0, 0] == TINY
    assert log_of_product(Tables(case))[0, 0, 0] == -math.inf
    exact = math.log(Fraction(TINY).numerator) - math.log(Fraction(TINY).denominator) + math.log(0.5 * 0.001)
    # twice 7e2 is rounded, to 1e-13 each time
    assert Tables(case).log_model()[0, 0, 0] == pytest.approx(exact, rel=1e-14)
    assert all(math.isfinite(one.elbo) for one in case.terms.subsets)
    assert case.terms.elbo < -100


@pytest.mark.parametrize("id", IDENTITIES)
def test_identities_hold_for_faint_decoders(id):
    assert -TOLERANCE <= REGISTRY[id].margin(faint_case()) <= 0


@pytest.mark.parametrize("id", IDENTITIES)
def test_a_product_of_probabilities_is_caught(id, monkeypatch):
    monkeypatch.setattr(Tables, "log_model", log_of_product)
    assert REGISTRY[id].violated_by(faint_case())


@pytest.mark.parametrize("id", IDENTITIES)
def test_a_wrong_elbo_is_caught_where_decoders_are_faint(id):
    case = faint_case()
    subsets = tuple(replace(one, kl=one.kl + 1e-6) for one in case.terms.subsets)
    vars(case)["terms"] = replace(case.terms, subsets=subsets)
    assert REGISTRY[id].violated_by(case)


def test_a_side_that_is_no_number_is_a_violation():
    case = faint_case()
    vars(case)["terms"] = replace(case.terms, evidence=math.nan)
    assert REGISTRY["T6"].violated_by(case)


@pytest.mark.parametrize("seed", range(20))
def test_the_model_in_logs_is_the_product_where_that_is_in_range(seed):
    law, scheme, model = random_case(seed)
    tables = Tables(Case(law, scheme, model))
    for units in (None, (), (0,), tuple(range(tables.n_units))[1:]):
        product = np.exp(log_of_product(tables, units))
        assert np.allclose(tables.model(units), product, rtol=1e-12)
        assert np.allclose(np.exp(log_sum(tables.log_model(units))), product.sum(axis=-1, keepdims=True), rtol=1e-12)


def test_cells_without_mass_do_not_count():
    infinite = np.array([-math.inf, 0.0])
    assert mean_difference(np.array([0.0, 1.0]), infinite, infinite) == 0
    assert mean_difference(np.ones(2), np.zeros(1), infinite) == math.inf
    assert log_sum(np.full((1, 2), -math.inf)).tolist() == [[-math.inf]]
