"""Proofs that are replayed: certificates of Shannon-type inequalities and identities reduced to zero."""

from __future__ import annotations

from collections.abc import Callable

from bounds.theorems.base import Evidence

information_theoretic_core: Callable[[], Evidence] | None = None
ordering = caps = monotone = schemes = mmvae_grows = None
