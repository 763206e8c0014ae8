"""Checks a theorem: replays its proof, searches for counterexamples, and computes its status."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bounds.choices import Choices
from bounds.errors import InputError
from bounds.theorems.base import TOLERANCE, Case, Evidence, Status, Theorem, violates

#: Examples for each claim by default: enough for every refuted and conditional one to be refuted by search.
DEFAULT_EXAMPLES = 300
#: Bytes of a random case, more than one reads.
LENGTH = 2048


@dataclass(frozen=True, eq=False)
class Counterexample:
    """The exact numbers of a case in which a claim fails, and by how much, in nats."""

    numbers: Mapping[str, Any]
    margin: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"margin": _number(self.margin), **self.numbers}

    def __str__(self) -> str:
        lines = []
        for name, value in self.numbers.items():
            if isinstance(value, dict):
                lines += [f"{name}:", *(f"  {key}: {item}" for key, item in value.items())]
            else:
                lines.append(f"{name}: {value}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What checking a theorem found.

    Attributes:
        id, title: of the theorem.
        status: computed, see :data:`bounds.theorems.base.Status`.
        as_claimed: whether it is what this project says: that the claim holds, or that it does not.
        examples: cases checked under the assumptions.
        smallest_margin: over them, in nats; ``None`` without any.
        tight: the margin of the witness, which is 0 up to rounding where the claim cannot be improved.
        counterexample: the smallest case found in which the claim fails, found by search.
        dropped: the assumption that the counterexample of a conditional claim lacks.
        proof: what was replayed.
        notes: known cases that were checked.
    """

    id: str
    title: str
    status: Status
    as_claimed: bool
    examples: int
    smallest_margin: float | None
    tight: float | None
    counterexample: Counterexample | None
    dropped: str | None
    proof: Evidence | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "id": self.id,
            "title": self.title,
            "status": self.status,
            "as_claimed": self.as_claimed,
            "examples": self.examples,
            "smallest_margin": _number(self.smallest_margin),
            "tight": _number(self.tight),
            "counterexample": self.counterexample.to_dict() if self.counterexample else None,
            "dropped_assumption": self.dropped,
            "proof": None
            if self.proof is None
            else {"kind": self.proof.kind, "statement": self.proof.statement, "holds": self.proof.holds},
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        margin = "" if self.smallest_margin is None else f", smallest margin {self.smallest_margin:.3g}"
        failed = f", fails by {-self.counterexample.margin:.6g} nats" if self.counterexample else ""
        alarm = "" if self.as_claimed else "  <-- NOT AS CLAIMED"
        return f"{self.id}: {self.status} ({self.examples} examples{margin}{failed}){alarm}"


def check(theorem: Theorem, examples: int = DEFAULT_EXAMPLES, seed: int = 0) -> Verdict:
    """Checks one theorem on ``examples`` random cases, its witness, its known cases and its proof.

    Raises:
        InputError: fewer than one example, or Hypothesis is not installed.
    """
    if examples < 1:
        raise InputError(f"{examples} examples: give at least 1")
    search = _search(theorem, theorem.cases, examples, seed)
    found, dropped = search.counterexample, None
    if found is None and theorem.without is not None:
        dropped, cases = theorem.without
        found = _search(theorem, cases, examples, seed).counterexample
    proof = theorem.proof() if theorem.proof is not None else None
    status = _status(search.counterexample, found, proof)
    notes, surprises = _known(theorem)
    tight = None if theorem.witness is None else theorem.margin(theorem.witness())
    as_claimed = (
        (search.counterexample is None) == theorem.holds
        and (proof is None or proof.holds)
        and (tight is None or abs(tight) <= TOLERANCE)
        and not (theorem.without is not None and found is None)
        and not surprises
    )
    return Verdict(
        theorem.id,
        theorem.title,
        status,
        as_claimed,
        search.examples,
        search.smallest,
        tight,
        found,
        dropped if found is not None else None,
        proof,
        notes,
    )


def _status(inside: Counterexample | None, any_found: Counterexample | None, proof: Evidence | None) -> Status:
    if inside is not None:
        return "refuted"
    if any_found is not None:
        return "conditional"
    return "proved" if proof is not None and proof.holds else "tested"


def _known(theorem: Theorem) -> tuple[tuple[str, ...], bool]:
    """The named cases: counterexamples of a claim that fails, supporting ones of a claim that holds."""
    notes, surprises = [], False
    for name, make in theorem.known.items():
        margin = theorem.margin(make())
        fails = violates(margin)
        notes.append(f"{name}: {'fails' if fails else 'holds'}, margin {margin:.6f}")
        surprises |= fails == theorem.holds and theorem.without is None
    return tuple(notes), surprises


@dataclass
class _Search:
    examples: int = 0
    smallest: float | None = None
    counterexample: Counterexample | None = None


def _search(theorem: Theorem, cases: Callable[[Choices], Case], examples: int, seed: int) -> _Search:
    """The margins of random cases, the simplest one first, until one is a violation, which is then shrunk."""
    found = _Search()
    rng = np.random.default_rng(seed)
    for number in range(examples):
        data = rng.bytes(LENGTH) if number else bytes(LENGTH)
        case = cases(Choices(data))
        margin = theorem.margin(case)
        found.examples += 1
        if violates(margin):
            found.counterexample = _shrunk(theorem, cases, data) or Counterexample(case.to_dict(), margin)
            break
        found.smallest = margin if found.smallest is None else min(found.smallest, margin)
    return found


class _ViolatedError(AssertionError):
    """Tells Hypothesis that a case is a counterexample."""


def _shrunk(theorem: Theorem, cases: Callable[[Choices], Case], data: bytes) -> Counterexample | None:
    """The smallest counterexample that Hypothesis makes of one, or ``None`` if it does not see the violation."""
    try:
        import hypothesis
        from hypothesis.database import InMemoryExampleDatabase

        from bounds.strategies import decoded
    except ImportError:
        raise InputError("checking theorems needs Hypothesis: pip install 'multimodal-bounds[property]'") from None
    smallest: list[Counterexample] = []

    @hypothesis.settings(
        deadline=None,
        derandomize=False,
        database=InMemoryExampleDatabase(),
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.reuse, hypothesis.Phase.shrink],
        verbosity=hypothesis.Verbosity.quiet,
        report_multiple_bugs=False,
        print_blob=False,
    )
    @hypothesis.seed(0)
    @hypothesis.given(decoded(cases))
    def test(case: Case) -> None:
        margin = theorem.margin(case)
        if violates(margin):
            # The last one that Hypothesis replays is the smallest.
            smallest[:] = [Counterexample(case.to_dict(), margin)]
            raise _ViolatedError

    try:
        # Puts the case into the database; but how Hypothesis reads bytes is its own affair, and it may see another case.
        test.hypothesis.fuzz_one_input(data)  # type: ignore[attr-defined]
    except _ViolatedError:
        with contextlib.suppress(_ViolatedError):
            test()  # takes it from there and shrinks it
    return smallest[0] if smallest else None


def _number(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)
