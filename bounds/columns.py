"""One column of a dataset: its type, declared or detected, and its symbols as codes."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from bounds.errors import InputError

ColumnType = Literal["discrete", "continuous"]

#: A column of numbers can be discrete if it has at most this many distinct values ...
MAX_SYMBOLS = 64
#: ... and on average at least this many rows for each.
MIN_ROWS_PER_SYMBOL = 10
#: A value is an atom of a continuous column if it fills more than this share of the rows, and
ATOM_SHARE = 0.05
#: more than this many rows, while
ATOM_ROWS = 10
#: at least this share of the other rows are distinct.
DISTINCT_SHARE = 0.9

#: What an error about missing values offers.
RULES_OFFERED = (
    "or declare a rule (--missing complete: whole rows only; of bounds irreducible also per-subset: each entropy from "
    "the rows it has)"
)

#: The same where rows are not kept.
COMPLETE_OFFERED = "or use the rows that have everything (--missing complete)"

#: Whole numbers up to this are exact as floats.
EXACT_INTEGERS = 2**53


class Column(NamedTuple):
    """A column as codes or as numbers.

    Args:
        values: ``(N,)``, codes ``0 .. alphabet - 1`` as int64, or float64.
        alphabet: the number of symbols, 0 for a continuous column.
        bin_width: for a discrete column of numbers that are not all whole, the smallest step between two; otherwise 0.
    """

    values: np.ndarray
    alphabet: int
    bin_width: float = 0.0


def smallest_step(values: np.ndarray) -> float:
    """The smallest difference between two different numbers, which for quantised data is the width of their bins.

    It is 0 if all are the same.

    >>> smallest_step(np.array([0.5, 2.0, 0.5, 1.0]))
    0.5
    """
    steps = np.diff(np.unique(values))
    return float(steps.min()) if steps.size else 0.0


def is_categorical(values: Any) -> bool:
    """Whether an array is a pandas categorical."""
    return getattr(getattr(values, "dtype", None), "name", "") == "category"


def code(label: str, values: Any, declared: ColumnType | None) -> Column:
    """A column by the rules of :meth:`bounds.samples.Samples.from_arrays`.

    Args:
        label: what error messages call it.
        values: ``(N,)`` numbers, booleans or text, masked where missing, or a pandas categorical.
        declared: its type, ``None`` to detect it.

    Raises:
        InputError: as there.

    >>> code("column 'x'", np.array(["b", "a", "b"]), None)
    Column(values=array([1, 0, 1]), alphabet=2, bin_width=0.0)
    """
    if is_categorical(values):
        column = getattr(values, "cat", values)
        codes, alphabet = np.array(column.codes, dtype=np.int64), len(column.categories)
        _check_missing(label, codes < 0)
        distinct: int = len(np.unique(codes))
    else:
        _check_missing(label, np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None)
        array = np.asarray(values)
        if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.ravel()):  # as pandas has text
            array = array.astype(np.dtypes.StringDType())
        if array.dtype.kind in "iuf":
            return _code_numbers(label, array, declared)
        if array.dtype.kind not in "bUST":
            raise InputError(f"{label} holds {_describe(array.dtype)}")
        codes, distinct = _code_bools(array) if array.dtype.kind == "b" else _code_text(label, array)
        alphabet = distinct
    if declared == "continuous":
        raise InputError(f"{label} is declared continuous but holds text or categories: convert it to numbers")
    if distinct == 1 and not declared:
        raise constant_column(label)
    return Column(codes, alphabet)


def _code_numbers(label: str, array: np.ndarray, declared: ColumnType | None) -> Column:
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(np.float64, copy=False)
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            rules = f", {RULES_OFFERED}" if np.isnan(array).any() else ""
            raise InputError(
                f"{label} is NaN or infinite in {bad} of {len(array)} rows: "
                f"drop these rows in all modalities or fill them{rules}"
            )
    distinct, codes, counts = _distinct(array)
    if len(distinct) == 1 and declared != "discrete":
        raise constant_column(label, declared)
    if (declared or detect(label, distinct, counts)) == "discrete":
        return Column(codes, len(distinct), 0.0 if is_whole(distinct) else smallest_step(distinct))
    return Column(array.astype(np.float64), 0)


def is_whole(distinct: np.ndarray) -> bool:
    """Whether all numbers are whole.

    >>> is_whole(np.array([1.0, 2.0])), is_whole(np.array([0.5]))
    (True, False)
    """
    return distinct.dtype.kind in "iu" or bool((distinct == np.round(distinct)).all())


def detect(label: str, distinct: np.ndarray, counts: np.ndarray) -> ColumnType:
    """The type of a column of numbers by the rule of :meth:`Samples.from_arrays`, from its values and their counts."""
    rows, limit = int(counts.sum()), min(MAX_SYMBOLS, int(counts.sum()) / MIN_ROWS_PER_SYMBOL)
    whole = is_whole(distinct)
    if whole and len(distinct) <= max(2, limit):
        return "discrete"
    if not whole and len(distinct) <= limit:
        raise InputError(
            f"{label} has only {len(distinct)} distinct values in {rows} rows, but they are not whole numbers: "
            "declare it discrete or continuous (as discrete, results are those of bins as wide as its smallest step, "
            f"{smallest_step(distinct):.6g})"
        )
    atoms = counts > max(ATOM_ROWS, ATOM_SHARE * rows)
    others = counts[~atoms]
    if atoms.any() and len(others) and len(others) >= DISTINCT_SHARE * others.sum():
        top = int(counts.argmax())
        raise InputError(
            f"{label} mixes atoms with a density: the value {distinct[top]} fills {counts[top]} of {rows} rows, "
            "the others are nearly all distinct; split it into an indicator and the remaining part, or declare its type"
        )
    if distinct.dtype.kind in "iu" and max(abs(int(distinct[0])), abs(int(distinct[-1]))) > EXACT_INTEGERS:
        raise InputError(
            f"{label} holds whole numbers beyond 2^53, which lose digits as continuous values: "
            "declare it discrete (codes, identifiers), or subtract an offset"
        )
    return "continuous"


def _distinct(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted distinct values, the code of each row, and the count of each value."""
    low, high = array.min(), array.max()
    if array.dtype.kind in "iu" and int(high) - int(low) < 4 * len(array):
        shifted = array - low if array.dtype.kind == "u" else array.astype(np.int64) - int(low)
        counts = np.bincount(shifted.astype(np.int64, copy=False))
        present = np.flatnonzero(counts)
        code = np.empty(len(counts), dtype=np.int64)
        code[present] = np.arange(len(present))
        wide = np.uint64 if array.dtype.kind == "u" else np.int64
        return present.astype(wide) + wide(low), code[shifted], counts[present]
    distinct, codes, counts = np.unique(array, return_inverse=True, return_counts=True)
    return distinct, codes.astype(np.int64, copy=False), counts


def _code_bools(array: np.ndarray) -> tuple[np.ndarray, int]:
    distinct, codes = np.unique(array, return_inverse=True)
    return codes.astype(np.int64, copy=False), len(distinct)


def _code_text(label: str, array: np.ndarray) -> tuple[np.ndarray, int]:
    try:
        values = array.tolist()
        position = {symbol: i for i, symbol in enumerate(sorted(set(values)))}
    except (ValueError, TypeError) as error:
        raise InputError(f"{label} holds text that cannot be read ({error})") from None
    return np.fromiter((position[value] for value in values), dtype=np.int64, count=len(values)), len(position)


def _check_missing(label: str, missing: np.ndarray | None) -> None:
    if missing is not None and missing.any():
        raise InputError(
            f"{label} is missing in {int(missing.sum())} of {len(missing)} rows: "
            f"drop these rows in all modalities or fill them, {RULES_OFFERED}"
        )


def constant_column(label: str, declared: ColumnType | None = None) -> InputError:
    """What is wrong with a column that has one value."""
    if declared:
        return InputError(f"{label} is constant, so it has no density: leave it out, or declare it discrete")
    return InputError(f"{label} is constant: leave it out, or declare it discrete if that is meant")


def _describe(dtype: np.dtype) -> str:
    return {
        "O": "Python objects: convert them to text or numbers, as by np.array(values, dtype=str)",
        "c": "complex numbers: give real and imaginary part as two columns",
        "M": "dates: convert them to numbers, such as days since a start",
        "m": "durations: convert them to numbers, such as seconds",
        "V": "records: give each field as an array of its own",
    }.get(dtype.kind, f"values of type {dtype}: convert it to numbers or text")
