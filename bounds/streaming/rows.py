"""How many rows are complete, mergeable between parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bounds.streaming.parts import OpenPart
from bounds.streaming.plan import Plan


@dataclass(frozen=True, eq=False)
class RowCounts:
    """In how many rows every chosen column is observed, and in how many each modality is not.

    Args:
        rows: of all parts.
        complete: those in which every column of every modality is observed.
        missing: ``(M,)`` int64, for each modality the rows in which it lacks a column or more.
    """

    rows: int
    complete: int
    missing: np.ndarray

    @classmethod
    def of_part(cls, part: OpenPart, plan: Plan) -> RowCounts:
        """Those of an open part."""
        observed = plan.observed(part).values()
        conditions = [" AND ".join(observed), *(f"NOT ({one})" for one in observed)]
        rows, complete, *missing = part.row(
            ", ".join(["count(*)", *(f"count(*) FILTER (WHERE {one})" for one in conditions)])
        )
        return cls(int(rows), int(complete), np.array(missing, dtype=np.int64))

    def merge(self, other: RowCounts) -> RowCounts:
        """Those of both parts."""
        return RowCounts(self.rows + other.rows, self.complete + other.complete, self.missing + other.missing)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays that an .npz archive can hold without pickling."""
        return {"rows": np.array(self.rows), "complete": np.array(self.complete), "missing": self.missing}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> RowCounts:
        """What :meth:`to_arrays` wrote."""
        return cls(int(arrays["rows"]), int(arrays["complete"]), arrays["missing"])
