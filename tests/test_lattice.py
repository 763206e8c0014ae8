"""All subsets at once against one subset at a time, where it is easy and where it is not."""

import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from progress_common import recorded
from strategies_for_tests import (
    block_sizes,
    covariances,
    direct_entropy,
    direct_gaussian_entropy,
    pmfs,
    random_pmf,
    variables_of,
)

from bounds import Gaussian, lattice
from bounds.lattice import correlation, gaussian_entropies, pmf_entropies

#: Sums of up to 1e5 terms p ln p, each within an ulp, added pairwise.
ROUNDING = 1e-12

SHAPES = [
    (1,),
    (7,),
    (100_000,),
    (1, 1),
    (1, 5),
    (5, 1, 1),
    (300, 200),
    (2, 500, 3),
    (1, 2, 1, 3, 1),
    (3, 4, 5, 2),
    (2,) * 10,
    (4, 1, 2, 3, 1, 2),
    (6, 2, 2, 2, 2, 2, 2, 9),
    (3,) * 7,
]


def check_against_direct(pmf, values):
    expected = [direct_entropy(pmf, mask) for mask in range(1 << pmf.ndim)]
    assert values.shape == (1 << pmf.ndim,)
    assert values[0] == 0
    np.testing.assert_allclose(values, expected, rtol=ROUNDING, atol=ROUNDING)


# --- discrete -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaf", [1, 30, 400, lattice.LEAF_CELLS])
@pytest.mark.parametrize("zeros", [0.0, 0.7])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape(shape, zeros, leaf, monkeypatch):
    monkeypatch.setattr(lattice, "LEAF_CELLS", leaf)
    pmf = random_pmf(np.random.default_rng(len(shape)), shape, zeros)
    check_against_direct(pmf, pmf_entropies(pmf))


@given(pmfs(max_axes=5), st.integers(1, 300))
def test_any_pmf_and_any_leaf(pmf, leaf):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lattice, "LEAF_CELLS", leaf)
        check_against_direct(pmf, pmf_entropies(pmf))


def test_a_swapped_pair_of_subsets_is_caught():
    pmf = random_pmf(np.random.default_rng(0), (2, 3, 2))
    values = pmf_entropies(pmf)
    values[[0b001, 0b100]] = values[[0b100, 0b001]]
    with pytest.raises(AssertionError):
        check_against_direct(pmf, values)


def test_bit_m_is_axis_m():
    pmf = np.einsum("i,j,k->ijk", np.full(2, 1 / 2), np.full(3, 1 / 3), np.full(5, 1 / 5))
    sides = np.log([2, 3, 5])
    for mask, value in enumerate(pmf_entropies(pmf)):
        assert value == pytest.approx(sum(sides[m] for m in range(3) if mask >> m & 1), abs=1e-15)


def test_strided_and_read_only_tables():
    whole = random_pmf(np.random.default_rng(1), (4, 6, 3))
    view = whole.transpose(2, 0, 1)[:, ::2]
    view.setflags(write=False)
    before = whole.copy()
    check_against_direct(view, pmf_entropies(view))
    assert np.array_equal(whole, before)


def test_subnormal_and_tiny_cells():
    pmf = np.zeros((2, 3))
    pmf[0] = [0.5, 1e-320, 1e-300]
    pmf[1] = [0.5, 0.0, 5e-324]
    values = pmf_entropies(pmf)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values, [0, math.log(2), 0, math.log(2)], atol=1e-290, rtol=1e-15)


def test_the_recursion_gives_what_one_leaf_gives(monkeypatch):
    pmf = random_pmf(np.random.default_rng(2), (3, 2, 4, 2, 3), 0.3)
    monkeypatch.setattr(lattice, "LEAF_CELLS", 10**9)
    whole = pmf_entropies(pmf)
    monkeypatch.setattr(lattice, "LEAF_CELLS", 1)
    np.testing.assert_allclose(pmf_entropies(pmf), whole, rtol=1e-14)


def test_progress_has_as_many_steps_as_it_says_and_changes_nothing(monkeypatch):
    monkeypatch.setattr(lattice, "LEAF_CELLS", 30)
    pmf = random_pmf(np.random.default_rng(3), (3, 2, 4, 2, 3), 0.3)
    log = []
    assert np.array_equal(pmf_entropies(pmf, recorded(log)), pmf_entropies(pmf))
    assert log == [("entropies", 8, 8)]  # (2 + 1)(3 + 1) <= 30 < (4 + 1)(2 + 1)(3 + 1): three axes are split
    log.clear()
    cov = np.eye(5) + 0.5
    assert np.array_equal(gaussian_entropies(cov, [2, 1, 2], recorded(log)), gaussian_entropies(cov, [2, 1, 2]))
    assert log == [("entropies", 3, 3)]


MEMORY_PROBE = """
import resource, sys
import numpy as np
from bounds.lattice import marginal_entropy, pmf_entropies
pmf = np.random.default_rng(0).exponential(size=(2,) * 18)
pmf /= pmf.sum()
values = pmf_entropies(pmf)
for mask in (1, 0b101, (1 << 18) - 1, 0b110011001100110011):
    kept = [m for m in range(18) if mask >> m & 1]
    assert abs(values[mask] - marginal_entropy(pmf, kept)) < 1e-11
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(len(values), peak)
"""


def test_eighteen_binary_modalities_fit_in_four_gigabytes():
    root = Path(__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    run = subprocess.run([sys.executable, "-c", MEMORY_PROBE], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    count, peak = map(int, run.stdout.split())
    assert count == 1 << 18
    assert peak < 4e9


# --- Gaussian -----------------------------------------------------------------------------------------------------


def check_gaussian(cov, sizes):
    """Against ``slogdet``, within what rounding of the covariance does to it: its condition number in ulps."""
    values = gaussian_entropies(cov, sizes)
    expected = [direct_gaussian_entropy(cov, mask, sizes) for mask in range(1 << len(sizes))]
    slack = 4 * len(cov) * np.finfo(float).eps * np.linalg.cond(correlation(cov))
    np.testing.assert_allclose(values, expected, rtol=ROUNDING, atol=ROUNDING + slack)


@pytest.mark.parametrize(
    "sizes", [[1], [5], [1, 1], [3, 1], [1] * 8, [2] * 5, [4, 1, 2, 3], [1, 7, 1], [8] * 3], ids=str
)
def test_gaussian_blocks(sizes):
    rng = np.random.default_rng(sum(sizes))
    half = rng.standard_normal((sum(sizes), sum(sizes) + 3))
    check_gaussian(half @ half.T, sizes)


@given(st.data())
def test_any_gaussian(data):
    cov = data.draw(covariances())
    check_gaussian(cov, data.draw(block_sizes(len(cov))))


def test_unit_entropies_agree_with_the_lattice():
    rng = np.random.default_rng(4)
    half = rng.standard_normal((7, 9))
    cov = half @ half.T
    law = Gaussian(cov, sizes=[2, 3, 2], units=[1, 1, 2, 1, 2])
    h, by_unit = law.unit_entropies(), gaussian_entropies(cov, [1, 1, 2, 1, 2])
    for mask in h.masks:
        assert h[mask] == pytest.approx(by_unit[mask], rel=ROUNDING)


def rank(rows):
    """The rank of integer rows, exactly."""
    rows = [[Fraction(int(x)) for x in row] for row in rows]
    found = 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((row for row in rows[found:] if row[column]), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        rows.insert(found, pivot)
        for row in rows[found + 1 :]:
            ratio = row[column] / pivot[column]
            row[:] = [a - ratio * b for a, b in zip(row, pivot, strict=True)]
        found += 1
    return found


def singular_masks(loadings, sizes):
    """The subsets of blocks whose covariance ``loadings loadings^T`` is singular."""
    inside = [variables_of(mask, sizes) for mask in range(1 << len(sizes))]
    return [bool(vs) and rank([loadings[v] for v in vs]) < len(vs) for vs in inside]


def check_singular(loadings, sizes):
    """``-inf`` in the singular subsets and only there; a number in the others."""
    loadings = np.asarray(loadings, dtype=float)
    values = gaussian_entropies(loadings @ loadings.T, sizes)
    assert not np.isnan(values).any()
    singular = np.array(singular_masks(loadings, sizes))
    wrong = [f"{mask:b}" for mask in np.flatnonzero(np.isneginf(values) != singular)]
    assert not wrong, f"{singular.sum()} subsets are singular, wrong in {wrong}"
    for mask in map(int, np.flatnonzero(~singular)):
        direct = direct_gaussian_entropy(loadings @ loadings.T, mask, sizes)
        assert values[mask] == pytest.approx(direct, rel=1e-9, abs=1e-9)


EYE = np.eye(3, dtype=int).tolist()
SINGULAR = {
    "a copy": ([*EYE, [1, 0, 0]], [1] * 4),
    "a copy in other units": ([*EYE, [5, 0, 0]], [1] * 4),
    "a negative copy": ([[2, 1], [-2, -1]], [1, 1]),
    "a sum": ([*EYE, [1, 1, 0]], [1] * 4),
    "a constant": ([*EYE, [0, 0, 0]], [1] * 4),
    "a constant first": ([[0, 0, 0], *EYE], [1] * 4),
    "only constants": ([[0], [0]], [1, 1]),
    "a block with a copy inside": ([*EYE, [1, 0, 0]], [1, 1, 2]),
    "a block of rank one": ([[1, 0, 0], [0, 1, 1], [0, 2, 2], [0, 3, 3]], [1, 3]),
    "a singular block before others": ([[1, 1, 0], [2, 2, 0], *EYE], [2, 1, 1, 1]),
    "two of everything": ([*EYE, *EYE], [1] * 6),
    "copied blocks": ([[1, 2, 0], [0, 1, 1], [1, 2, 0], [0, 1, 1]], [2, 2]),
    "blocks that overlap": ([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], [2, 2]),
    "rank three in six": ([*EYE, [1, 2, 3], [3, -1, 1], [2, 1, -1]], [1] * 6),
}


@pytest.mark.parametrize("case", SINGULAR)
def test_singular_subsets(case):
    check_singular(*SINGULAR[case])


@pytest.mark.parametrize(("variables", "latents"), [(6, 3), (8, 4), (10, 5), (10, 8)])
@pytest.mark.parametrize("seed", range(5))
def test_rank_deficient_laws(variables, latents, seed):
    """More variables than latents: every subset larger than the rank is singular, whatever the order."""
    loadings = np.random.default_rng(seed).integers(-3, 4, (variables, latents))
    loadings[:, 0] += 7  # no constant, and no easy orthogonality
    check_singular(loadings, [1] * variables)


@pytest.mark.parametrize("seed", range(5))
def test_rank_deficient_laws_with_rounded_entries(seed):
    """Loadings that no float holds exactly; generic, so exactly the subsets above the rank are singular."""
    variables, latents = 9, 5
    loadings = np.random.default_rng(seed).standard_normal((variables, latents))
    values = gaussian_entropies(loadings @ loadings.T, [1] * variables)
    sizes = np.array([mask.bit_count() for mask in range(1 << variables)])
    assert np.array_equal(np.isneginf(values), sizes > latents)


@pytest.mark.parametrize("case", SINGULAR)
def test_unit_entropies_are_singular_where_the_lattice_is(case):
    loadings, sizes = SINGULAR[case]
    cov = np.array(loadings, dtype=float) @ np.array(loadings, dtype=float).T
    h = Gaussian(cov, sizes).unit_entropies()
    np.testing.assert_allclose(h.values, gaussian_entropies(cov, sizes)[list(h.masks)], rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_unit_entropies_of_rank_deficient_laws(seed):
    loadings = np.random.default_rng(seed).standard_normal((9, 5))
    h = Gaussian(loadings @ loadings.T, [1, 2, 1, 3, 2], units="scalar").unit_entropies()
    expected = np.array([mask.bit_count() > 5 for mask in h.masks])
    assert np.array_equal(np.isneginf(h.values), expected)


@pytest.mark.parametrize("distance", [1e-4, 1e-7, 1e-10, 1e-12])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_nearly_singular_equicorrelation(count, distance):
    """``ln det = (n-1) ln(1-r) + ln(1+(n-1) r)`` in closed form, with the ``r`` that the float holds."""
    corr = np.full((count, count), 1 - distance)
    np.fill_diagonal(corr, 1.0)
    exact = float(1 - Fraction(1 - distance))
    for mask, value in enumerate(gaussian_entropies(corr, [1] * count)):
        n = mask.bit_count()
        logdet = (n - 1) * math.log(exact) + math.log(n - (n - 1) * exact) if n else 0.0
        expected = 0.5 * (n * math.log(2 * math.pi * math.e) + logdet)
        # The condition number is n / distance, and each of n pivots loses that many ulps.
        assert value == pytest.approx(expected, rel=0, abs=1e-13 + 4 * n * n / distance * np.finfo(float).eps)


def test_scales_from_1e_minus_150_to_1e150():
    rng = np.random.default_rng(6)
    half = rng.standard_normal((6, 8))
    cov = half @ half.T
    decades = np.array([-150.0, 150.0, 0.0, -75.0, 149.0, -1.0])
    scale = 10.0**decades
    sizes = [1, 2, 1, 2]
    plain = gaussian_entropies(cov, sizes)
    scaled = gaussian_entropies(cov * scale[:, None] * scale[None, :], sizes)
    for mask in range(1 << len(sizes)):
        shift = math.log(10) * decades[variables_of(mask, sizes)].sum()
        assert scaled[mask] == pytest.approx(plain[mask] + shift, rel=ROUNDING, abs=ROUNDING * 6 * 350)


def test_singular_at_every_scale():
    for scale in (1e-150, 1.0, 1e150):
        cov = np.array([[1.0, 2.0], [2.0, 4.0]]) * scale**2
        assert np.isneginf(gaussian_entropies(cov, [1, 1])).tolist() == [False, False, False, True]


def test_variables_of_very_different_size_are_not_singular():
    cov = np.diag([1e-200, 1.0, 1e200])
    assert np.isfinite(gaussian_entropies(cov, [1, 1, 1])).all()


def test_one_modality():
    assert pmf_entropies(np.array([0.25, 0.75])).shape == (2,)
    np.testing.assert_allclose(gaussian_entropies(np.array([[2.0]]), [1]), [0, 0.5 * math.log(4 * math.pi * math.e)])
