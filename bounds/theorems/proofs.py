"""Proofs that are replayed: certificates of Shannon-type inequalities, and identities reduced to zero.

A certificate covers every law of the stated number of modalities, but only those numbers; each proof says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from bounds.shannon import prove

from bounds.ceilings import Terms
from bounds.functional import Functional
from bounds.schemes import SubsetScheme
from bounds.theorems.base import Evidence

Claim = Functional | str


def by_certificate(
    statement: str, claims: Callable[[], Iterable[tuple[Claim, Sequence[str]]]]
) -> Callable[[], Evidence]:
    """Every claim (a functional that is nonnegative, or a statement) under its constraints, proved and replayed."""

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


def _discrepancy(names: Sequence[str], scheme: SubsetScheme) -> Functional:
    terms = Terms(names, scheme)
    terms.add_discrepancy()
    return terms.functional()


def _total_correlation(names: Sequence[str], scheme: SubsetScheme) -> Functional:
    terms = Terms(names, scheme)
    terms.add_all_total_correlations()
    return terms.functional()
