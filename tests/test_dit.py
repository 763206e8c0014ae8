"""Agreement with dit, an independent library, in nats."""

import math
import warnings

import numpy as np
import pytest
from strategies_for_tests import random_pmf

from bounds import Discrete, Functional
from bounds.subsets import members

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of dit's own imports
    dit = pytest.importorskip("dit", reason="dit is not installed: no independent discrete entropies to compare with")

SHAPES = [(3,), (2, 2), (2, 3, 4), (2, 1, 3), (2, 2, 2, 2), (3, 2, 2, 3)]


def dit_of(pmf):
    outcomes = [tuple(map(int, cell)) for cell in np.argwhere(pmf > 0)]
    return dit.Distribution(outcomes, [float(pmf[cell]) for cell in outcomes])


@pytest.mark.parametrize("zeros", [0.0, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_subset_entropies(shape, zeros):
    rng = np.random.default_rng(len(shape) * 10 + round(10 * zeros))
    pmf = random_pmf(rng, shape, zeros)
    h = Discrete(pmf).entropy_vector()
    theirs = dit_of(pmf)
    for mask in range(1, 1 << pmf.ndim):
        nats = dit.shannon.entropy(theirs, list(members(mask))) * math.log(2)
        assert h[mask] == pytest.approx(nats, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) > 1])
def test_total_correlation(shape):
    pmf = random_pmf(np.random.default_rng(sum(shape)), shape, 0.3)
    count = len(shape)
    h = Discrete(pmf).entropy_vector()
    theirs = dit_of(pmf)
    joined = ",".join(h.names)
    ours = h.value(Functional.parse(f"TC({joined})", h.names))
    nats = dit.multivariate.total_correlation(theirs, [[i] for i in range(count)]) * math.log(2)
    assert ours == pytest.approx(nats, rel=1e-12, abs=1e-12)


def test_conditional_total_correlation():
    pmf = random_pmf(np.random.default_rng(5), (2, 3, 2, 3), 0.3)
    h = Discrete(pmf).entropy_vector()
    ours = h.value(Functional.parse("TC(X1;X2;X3|X4)", h.names))
    nats = dit.multivariate.total_correlation(dit_of(pmf), [[0], [1], [2]], [3]) * math.log(2)
    assert ours == pytest.approx(nats, rel=1e-12, abs=1e-12)
    assert ours > 0.01  # not an agreement of zeros
