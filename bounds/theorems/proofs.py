"""Proofs that are replayed: certificates of Shannon-type inequalities, and identities reduced to zero.

A certificate covers every law of the stated numbers of modalities; each proof says which these are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache

from bounds.formulas import Ground, discrepancy, joint_entropy, total_correlation
from bounds.functional import TC, Functional, I
from bounds.schemes import SubsetScheme, mmvae, mopoe
from bounds.shannon import prove, t2_core
from bounds.subsets import default_names
from bounds.theorems.base import Evidence

#: A functional that is nonnegative, or a statement, and the assumptions.
Claim = tuple[Functional | str, Sequence[str]]


def by_certificate(statement: str, claims: Callable[[], Iterable[Claim]]) -> Callable[[], Evidence]:
    """Every claim proved from Shannon's inequalities, its certificate verified."""

    @cache
    def replay() -> Evidence:
        proofs = [prove(claim, given) for claim, given in claims()]
        holds = all(proof.proved for proof in proofs)
        return Evidence("certificate", f"{statement} ({len(proofs)} certificates)", holds, tuple(map(str, proofs)))

    return replay


def by_identities(statement: str, *prefixes: str) -> Callable[[], Evidence]:
    """Identities that sympy reduces to zero."""

    @cache
    def replay() -> Evidence:
        from bounds.symbolic import identities

        found = [one for prefix in prefixes for one in identities(prefix)]
        holds = all(one.holds for one in found)
        return Evidence("identity", f"{statement} ({len(found)} identities)", holds, tuple(map(str, found)))

    return replay


def _core() -> Iterable[Claim]:
    return (t2_core(count, subset) for count in range(2, 6) for subset in range(1 << count))


def _grounds(counts: Iterable[int]) -> Iterable[tuple[int, Ground]]:
    return ((count, Ground.of(default_names(count))) for count in counts)


def _ordering() -> Iterable[Claim]:
    for count, ground in _grounds(range(2, 6)):
        yield discrepancy(ground, mmvae(count)) - discrepancy(ground, mopoe(count)), ()


def _caps() -> Iterable[Claim]:
    for count, ground in _grounds(range(2, 6)):
        whole = joint_entropy(ground)
        yield whole * Fraction(count - 1, count) - discrepancy(ground, mmvae(count)), ()
        share = Fraction((1 << count - 1) - 1, (1 << count) - 1)
        yield whole * share - discrepancy(ground, mopoe(count)), ()


def _monotone() -> Iterable[Claim]:
    """One more encoded modality, of one or two units, beside up to three unseen units."""
    for own in (1, 2):
        for unseen in (1, 2, 3):
            # units: the encoded part, the modality that is added, the unseen ones
            units = [1, (1 << own) - 1 << 1, *(1 << 1 + own + i for i in range(unseen))]
            ground = Ground.of(default_names(1 + own + unseen), units)
            count = len(units)
            less, more = (SubsetScheme({mask: 1}, count) for mask in (0b1, 0b11))
            yield total_correlation(ground, less) - total_correlation(ground, more), ()


def _schemes() -> Iterable[Claim]:
    for count, ground in _grounds(range(2, 6)):
        single, subsets = (total_correlation(ground, family(count)) for family in (mmvae, mopoe))
        yield single - subsets, ()
        yield TC(ground.names, ground.modality_units) - single, ()


def _mmvae_grows() -> Iterable[Claim]:
    for count, ground in _grounds(range(2, 5)):
        before = total_correlation(Ground.of(ground.names, ground.modality_units[:-1]), mmvae(count - 1))
        yield total_correlation(ground, mmvae(count)) - before, ()


def _chow_liu() -> Iterable[Claim]:
    """Every spanning tree of two to four unseen variables, given one more."""
    names = default_names(5)
    for count in (2, 3, 4):
        for parents in _trees(count):
            forest = sum((I(names, 1 << i, 1 << j, 1 << 4) for i, j in parents), Functional(names, {}))
            yield TC(names, [1 << i for i in range(count)], 1 << 4) - forest, ()


def _trees(count: int) -> Iterable[list[tuple[int, int]]]:
    """Trees in which every variable but the first hangs on an earlier one: each shape occurs, up to names."""
    if count == 1:
        yield []
        return
    for tree in _trees(count - 1):
        for parent in range(count - 1):
            yield [*tree, (parent, count - 1)]


information_theoretic_core = by_certificate(
    "sum_m H(X_m|Z) + I(X_A;Z) >= H(X_A) + sum_{m not in A} H(X_m|X_A) if Z - X_A - X_rest, for M = 2 to 5 and every A",
    _core,
)
ordering = by_certificate("Delta(MoPoE) <= Delta(MMVAE) for M = 2 to 5", _ordering)
caps = by_certificate("both caps for M = 2 to 5", _caps)
monotone = by_certificate("one more modality of one or two units, beside one to three unseen units", _monotone)
schemes = by_certificate("both inequalities for M = 2 to 5", _schemes)
mmvae_grows = by_certificate("M = 1 to 3 growing by one", _mmvae_grows)
chow_liu = by_certificate("every spanning tree of two to four unseen variables", _chow_liu)
pairs = by_certificate(
    "both terms of the minimum",
    lambda: [("I(X;Y|A) >= I(X;Y) - I(X;A)", ()), ("I(X;Y|A) >= I(X;Y) - I(Y;A)", ())],
)
increments = by_identities("increments of MMVAE and MoPoE for any entropies, M = 1 to 4", "T8.increment")
constant = by_identities("a constant modality, M = 1 to 4", "T8.constant")
scaling = by_identities("an equicorrelated Gaussian, any M", "T9.gaussian.tcw.scale")
discrepancy_scaling = by_identities("an equicorrelated Gaussian, any M", "T9.gaussian.delta.scale")
gaussian_gap = by_identities("one and two latents", "T6.gap", "T6.excess", "T6.information", "T6.information-gain")
gaussian_forms = by_identities(
    "equicorrelated Gaussians, any M and rho",
    "T8.gaussian.entropy",
    "T8.gaussian.tc",
    "T8.gaussian.delta.mmvae",
    "T8.gaussian.tcw",
)
gaussian_limits = by_identities("MMVAE's slope and MoPoE's limit", "T8.gaussian.tcw-increment", "T8.mopoe-limit")
imputation = by_identities("Gaussian and Bernoulli units, and a whole linear VAE", "T7.imputation")
