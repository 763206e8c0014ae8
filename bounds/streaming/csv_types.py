"""What the columns of .csv parts hold: a column is numbers if every value in every part reads as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bounds.columns import ColumnType
from bounds.errors import InputError
from bounds.streaming.parts import OpenPart
from bounds.tables import CHUNK, DIGITS, NUMBER, WHOLE

#: For each column: values that are there, that read as numbers, also with commas in them, as whole numbers of 64 bits,
#: as digits however long, as dates and as times.
_COUNTED = (
    "c{i}",
    NUMBER,
    "TRY_CAST(replace(c{i}, ',', '') AS DOUBLE)",
    WHOLE,
    DIGITS,
    "TRY_CAST(c{i} AS TIMESTAMP)",
    "TRY_CAST(c{i} AS TIME)",
)


@dataclass(frozen=True, eq=False)
class CsvCounts:
    """In how many rows each column reads as what.

    Args:
        names: of the columns, in the order of the first part.
        rows: of all parts.
        counts: ``(columns, 7)`` int64: present, numbers, numbers but for commas, whole, digits, dates, times.
    """

    names: tuple[str, ...]
    rows: int
    counts: np.ndarray

    @classmethod
    def of_part(cls, part: OpenPart) -> CsvCounts:
        """Those of an open part."""
        rows = int(part.row("count(*)")[0])
        counts = np.zeros((len(part.names), len(_COUNTED)), dtype=np.int64)
        for start in range(0, len(part.names), CHUNK):
            chunk = range(start, min(start + CHUNK, len(part.names)))
            counted = part.row(", ".join(f"count({sql.format(i=i)})" for i in chunk for sql in _COUNTED))
            counts[start : start + CHUNK] = np.reshape(counted, (len(chunk), len(_COUNTED)))
        return cls(part.names, rows, counts)

    def merge(self, other: CsvCounts) -> CsvCounts:
        """Those of both parts; columns are matched by name, and one that is in a single part keeps its counts."""
        names = tuple(dict.fromkeys([*self.names, *other.names]))
        counts = np.zeros((len(names), len(_COUNTED)), dtype=np.int64)
        for part in (self, other):
            counts[[names.index(name) for name in part.names]] += part.counts
        return CsvCounts(names, self.rows + other.rows, counts)

    def storage(self, name: str, declared: ColumnType | None) -> Literal["BIGINT", "DOUBLE", "VARCHAR"]:
        """How a column is to be read, by the rules of :func:`bounds.readers.read`.

        Raises:
            InputError: as there: numbers that are damaged or too long, dates.
        """
        present, numbers, with_commas, whole, digits, dates, times = self.counts[self.names.index(name)].tolist()
        if numbers < present:
            if declared == "discrete":
                return "VARCHAR"
            if declared or 2 * numbers >= present or with_commas == present:
                raise InputError(
                    f"column {name!r} has {present - numbers} of {present} values that are no plain numbers: correct "
                    "or drop these rows, or declare it discrete if the values are symbols"
                )
            if present in (dates, times):
                raise InputError(
                    f"column {name!r} holds dates or times: convert it to numbers, such as days since a start, or "
                    "declare it discrete to take each as a symbol"
                )
            return "VARCHAR"
        if whole == present:
            return "BIGINT"
        if digits == present:
            if declared == "discrete":
                return "VARCHAR"
            if not declared:
                raise InputError(
                    f"column {name!r} holds whole numbers beyond 64 bits, which lose digits as continuous values: "
                    "declare it discrete (codes, identifiers; each is then a symbol as it is written), or continuous "
                    "if digits may be lost"
                )
        return "DOUBLE"

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays that an .npz archive can hold without pickling."""
        return {"names": np.array(self.names, dtype=str), "rows": np.array(self.rows), "counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> CsvCounts:
        """What :meth:`to_arrays` wrote."""
        return cls(tuple(arrays["names"].tolist()), int(arrays["rows"]), arrays["counts"])
