"""An audit as one self-contained page."""

from __future__ import annotations

from bounds import plots
from bounds.audit_result import Audit
from bounds.page import render
from bounds.pictures import picture

#: What each verdict says of the model.
VERDICTS = {
    "violated": "no model has these numbers: at least one mean is surely above its ceiling",
    "undecided": "nothing is above its ceiling, but with so few examples an excess could hide",
    "consistent": "nothing is above its ceiling, which does not prove the numbers right",
}


def audit_to_html(audit: Audit) -> str:
    """The audit as one HTML page that needs no network, in nats: every check, the causes, and the figure of a paper."""
    alt = "a row for each check: its verdict, the mean with its standard error, and the ceiling, in nats per example"
    checks = [
        (
            check,
            _number(check.value),
            f"{check.standard_error:.2g}",
            "none" if check.ceiling is None else _number(check.ceiling),
            "" if check.margin is None else _number(check.margin, "+"),
            f"{check.detectable:.2g}",
        )
        for check in audit.checks
    ]
    return render(
        "audit.html.j2",
        audit=audit,
        checks=checks,
        false_alarms=f"{audit.false_alarms:g}",
        meanings=VERDICTS,
        picture=picture(plots.verdict_table, audit, alt=alt, size=(plots.COLUMN, plots.verdict_height(audit))),
    )


def _number(nats: float, sign: str = "") -> str:
    return f"{nats:{sign}.4f}".replace("-", "\N{MINUS SIGN}")
