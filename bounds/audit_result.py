"""What an audit found: verdicts and causes as text, HTML and JSON."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from bounds.checks import Check, Verdict
from bounds.diagnosis import Cause
from bounds.quantity import Quantity
from bounds.schemes import SubsetScheme


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Attributes:
        verdict: ``violated`` if any check is, else ``undecided`` if any is, else ``consistent``.
        checks: each bound, the objective's first.
        causes: of a violation, the likeliest first.
        false_alarms: probability that the audit of a right model finds any violation.
        size: the excess in nats that had to be detectable.
        n: examples.
        objective: as in the evaluation.
        certificate: for a density model, the loss that is certified.
        notes: what the reader must know.
    """

    verdict: Verdict
    checks: tuple[Check, ...]
    causes: tuple[Cause, ...]
    false_alarms: float
    size: float
    n: int
    objective: str
    scheme: SubsetScheme
    certificate: Quantity | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = (
            f"{self.verdict}: {self.objective} of {self.scheme.label}, {len(self.checks)} "
            f"check{'' if len(self.checks) == 1 else 's'} on {self.n} examples, false alarms at most "
            f"{self.false_alarms:g}"
        )
        lines = [head, *(f"  {check}" for check in self.checks)]
        if self.certificate is not None:
            lines.append(f"  {self.certificate}")
        if self.causes:
            lines += ["  likeliest causes:", *(f"    {i}. {cause}" for i, cause in enumerate(self.causes, 1))]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        cells = [
            (c.verdict, c.name, c.theorem, f"{c.value:.4f}", f"{c.standard_error:.4f}", _shown(c.ceiling), c.reason)
            for c in self.checks
        ]
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
        titles = ("verdict", "check", "theorem", "value", "standard error", "ceiling", "reason")
        head = "".join(f"<th>{title}</th>" for title in titles)
        causes = "".join(f"<li>{html.escape(str(cause))}</li>" for cause in self.causes)
        return (
            f"<table><caption>{self.verdict}: {html.escape(self.objective)} of {html.escape(self.scheme.label)}, "
            f"{self.n} examples</caption><tr>{head}</tr>{rows}</table>" + (f"<ol>{causes}</ol>" if causes else "")
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, in nats."""
        return {
            "verdict": self.verdict,
            "unit": "nats",
            "objective": self.objective,
            "scheme": self.scheme.label,
            "n": self.n,
            "false_alarms": self.false_alarms,
            "size": self.size,
            "checks": [check.to_dict() for check in self.checks],
            "causes": [cause.to_dict() for cause in self.causes],
            "certificate": None if self.certificate is None else self.certificate.to_dict(),
            "notes": list(self.notes),
        }


def _shown(ceiling: float | None) -> str:
    return "none" if ceiling is None else f"{ceiling:.4f}"
