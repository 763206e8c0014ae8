"""The registry of theorems: each claim with its check, witness, proof and a status that is computed.

>>> verdict = verify("T0", examples=20)[0]
>>> verdict.status, round(verdict.counterexample.margin, 6)
('refuted', -0.693147)
"""

from __future__ import annotations

from bounds.theorems.base import Case, Evidence, Status, Theorem
from bounds.theorems.checking import DEFAULT_EXAMPLES, Counterexample, Verdict, check
from bounds.theorems.registry import REGISTRY, find, verify, verify_all

__all__ = [
    "DEFAULT_EXAMPLES",
    "REGISTRY",
    "Case",
    "Counterexample",
    "Evidence",
    "Status",
    "Theorem",
    "Verdict",
    "check",
    "find",
    "verify",
    "verify_all",
]
