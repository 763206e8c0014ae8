"""A dataset in memory: named modalities of discrete and continuous columns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

import numpy as np

from bounds.columns import Column, ColumnType, code, is_categorical
from bounds.errors import InputError
from bounds.layout import Layout
from bounds.subsets import SubsetLike, check_names, parse_subset


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Rows of several modalities, each one column or more.

    Args:
        layout: the modalities and their columns; every column is a decoder unit. The only unit of a one-column
            modality has the modality's name.
        columns: ``(N,)`` each, in the order of the layout: codes ``0 .. k - 1`` as int64 for a discrete column,
            float64 for a continuous one.
        alphabets: for each column the number of its symbols, as observed or declared; 0 for a continuous one.
        source: where the data came from, in words.
        bin_widths: for each column the smallest step between its numbers, if it is discrete and they are not all whole;
            otherwise 0. By default all 0. Entropies of quantised data are those of the bins.
        notes: what a reader of any number from these rows must know, such as which rows were left out.

    Most callers want :meth:`from_arrays`, which detects the types.

    Raises:
        InputError: columns that do not fit the layout, each other, or their alphabets; fewer than two rows.
    """

    layout: Layout
    columns: tuple[np.ndarray, ...]
    alphabets: tuple[int, ...]
    source: str = "arrays"
    bin_widths: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = self.layout.unit_names
        widths = tuple(self.bin_widths) or (0.0,) * len(names)
        if len(names) != self.layout.n_variables:
            raise InputError("every column of a dataset is a unit of its own: use Layout.of(..., units='scalar')")
        if not len(names) == len(self.columns) == len(self.alphabets):
            raise InputError(f"{len(self.columns)} columns and {len(self.alphabets)} alphabets for {len(names)} units")
        if len(widths) != len(names):
            raise InputError(f"{len(widths)} bin widths for {len(names)} units: give one each, 0 for none")
        checked = []
        for name, column, alphabet in zip(names, self.columns, self.alphabets, strict=True):
            _check_column(name, column, alphabet, len(self.columns[0]))
            if column.flags.writeable:
                column = column.copy()
                column.setflags(write=False)
            checked.append(column)
        _check_rows(len(checked[0]))
        object.__setattr__(self, "columns", tuple(checked))
        object.__setattr__(self, "alphabets", tuple(int(alphabet) for alphabet in self.alphabets))
        object.__setattr__(self, "bin_widths", widths)

    def __repr__(self) -> str:
        parts = [
            f"{name}: {kind}" + (f" ({size} columns)" if size > 1 else "")
            for name, kind, size in zip(self.names, self.types, self.layout.sizes, strict=True)
        ]
        return f"Samples({self.n} rows of {', '.join(parts)}; from {self.source})"

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.columns[0])

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities."""
        return self.layout.names

    @property
    def types(self) -> tuple[str, ...]:
        """For each modality ``"discrete"``, ``"continuous"``, or ``"mixed"`` where it has columns of both."""
        per_modality = (self.layout.variables_of_modalities(1 << m) for m in range(len(self.names)))
        return tuple(_type_of(self.alphabets[v] for v in variables) for variables in per_modality)

    @property
    def kind(self) -> str:
        """``"discrete"``, ``"continuous"`` or ``"mixed"``: the type of all columns together."""
        return _type_of(self.alphabets)

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], types: Mapping[str, str] | None = None, source: str = "arrays"
    ) -> Samples:
        """A dataset from one array per modality.

        Args:
            arrays: modality to ``(N,)``, or ``(N, ...)``, which is flattened to the columns ``name[0], name[1], ...``.
            types: modality or column to ``"discrete"`` or ``"continuous"``, for what should not be detected.
            source: where the data came from, in words.

        Without a declared type, text, booleans and pandas categoricals are discrete. A column of numbers with
        ``k`` distinct values in ``N`` rows is discrete if all are whole and ``k <= max(2, min(64, N / 10))``.
        Otherwise it is continuous, unless it is neither: a value that fills more than 5 % of the rows (and more than
        10) while of the other rows at least 90 % are distinct mixes an atom with a density, and
        ``k <= min(64, N / 10)`` values that are not whole are a grid. Both must be declared.

        Symbols are coded in sorted order, those of a categorical in its own.

        Raises:
            InputError: NaN, infinite or missing values, modalities of different length, fewer than two rows, a
                constant column that is not declared discrete, values that are neither numbers nor text, an atom or a
                grid as above, an unknown or wrong entry of ``types``, names that collide, no modality.

        >>> data = Samples.from_arrays({"label": np.array(["b", "a", "b"]), "pixels": np.arange(48.0).reshape(3, 4, 4)})
        >>> data
        Samples(3 rows of label: discrete, pixels: continuous (16 columns); from arrays)
        >>> data.columns[0].tolist()
        [1, 0, 1]
        """
        return cls.from_columns({name: flatten(name, values) for name, values in arrays.items()}, types, source)

    @classmethod
    def from_columns(
        cls,
        modalities: Mapping[str, Mapping[str, np.ndarray]],
        types: Mapping[str, str] | None = None,
        source: str = "arrays",
    ) -> Samples:
        """A dataset from named columns ``(N,)`` grouped into modalities; otherwise as :meth:`from_arrays`.

        The units of a modality with several columns take the columns' names, or ``modality[i]`` where these could
        not be told from a modality or parsed back.
        """
        layout, coded = code_columns(modalities, types)
        columns, alphabets, widths = zip(*coded, strict=True)
        return cls(layout, columns, alphabets, source, widths)

    def select(self, modalities: SubsetLike) -> Samples:
        """The dataset with a nonempty subset of the modalities, given by names, indices or a mask.

        Raises:
            InputError: an unknown modality, or none.
        """
        mask = parse_subset(modalities, self.names)
        if not mask:
            raise InputError(f"select at least one modality: known are {', '.join(self.names)}")
        kept = self.layout.variables_of_modalities(mask)
        columns, alphabets = tuple(self.columns[v] for v in kept), tuple(self.alphabets[v] for v in kept)
        widths = tuple(self.bin_widths[v] for v in kept)
        return Samples(self.layout.marginal(mask), columns, alphabets, self.source, widths, self.notes)


def code_columns(
    modalities: Mapping[str, Mapping[str, np.ndarray]],
    types: Mapping[str, str] | None = None,
    rows: Mapping[str, np.ndarray] | None = None,
) -> tuple[Layout, list[Column]]:
    """The layout of named columns grouped into modalities, and each column as codes or numbers.

    Args:
        modalities: as for :meth:`Samples.from_columns`.
        types: as there.
        rows: for each modality the positions of the rows that count; all by default.

    Raises:
        InputError: as there.
    """
    if not modalities:
        raise InputError("a dataset needs at least one modality: give an array for each")
    names = check_names(tuple(modalities), len(modalities))
    _check_lengths(modalities)
    declared = DeclaredTypes(types or {}, {name: tuple(columns) for name, columns in modalities.items()})
    coded = [
        code(
            _label(modality, column), values if rows is None else values[rows[modality]], declared.of(modality, column)
        )
        for modality, columns in modalities.items()
        for column, values in columns.items()
    ]
    units = list(chain.from_iterable(_unit_names(m, tuple(columns), names) for m, columns in modalities.items()))
    layout = Layout(
        names,
        tuple(len(columns) for columns in modalities.values()),
        (1,) * len(units),
        check_names(units, len(units), "column"),
    )
    return layout, coded


class DeclaredTypes:
    """Types as declared by the user, for a modality or for one of its columns; a column's own comes first.

    Args:
        types: modality or column to type. A name that is both a modality and a column means the modality.
        modalities: the columns of each modality.

    Raises:
        InputError: an unknown name or type.
    """

    def __init__(self, types: Mapping[str, str], modalities: Mapping[str, tuple[str, ...]]) -> None:
        known = list(dict.fromkeys([*modalities, *chain.from_iterable(modalities.values())]))
        for name, declared in types.items():
            if name not in known:
                raise InputError(
                    f"a type is declared for {name!r}, which is no modality or column: {did_you_mean(name, known)}"
                )
            if declared not in get_args(ColumnType):
                raise InputError(
                    f"the type of {name!r} is declared as {declared!r}: use 'discrete' or 'continuous' "
                    "(for a mixed modality declare its columns)"
                )
        self._types: dict[str, Any] = dict(types)
        self._modalities = frozenset(modalities)

    def of(self, modality: str, column: str) -> ColumnType | None:
        """The declared type of a column, or ``None``."""
        own: ColumnType | None = None if column in self._modalities else self._types.get(column)
        of_modality: ColumnType | None = self._types.get(modality)
        return own or of_modality


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known names, close matches first and at most ten.

    >>> did_you_mean("imgae", ["text", "image"])
    "did you mean 'image'? Known are image, text"
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3)
    shown = [*close, *(other for other in names if other not in close)]
    listed = ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")
    guess = f"did you mean {' or '.join(repr(c) for c in close)}? Known" if close else "known"
    return f"{guess} are {listed}" if shown else "there are none"


def _type_of(alphabets: Iterable[int]) -> str:
    discrete = {alphabet > 0 for alphabet in alphabets}
    return "mixed" if len(discrete) == 2 else "discrete" if discrete.pop() else "continuous"


def _check_column(name: str, column: np.ndarray, alphabet: int, rows: int) -> None:
    if column.ndim != 1 or len(column) != rows:
        raise InputError(f"column {name!r} has shape {column.shape} beside columns of {rows} rows")
    if column.dtype != (np.int64 if alphabet else np.float64):
        raise InputError(f"column {name!r} is {column.dtype}: use int64 codes, or float64 with alphabet 0")
    if alphabet and rows and not (column.min() >= 0 and column.max() < alphabet):
        raise InputError(f"column {name!r} has codes outside 0 .. {alphabet - 1}")
    if not alphabet and not np.isfinite(column).all():
        raise InputError(f"column {name!r} has NaN or infinite values")


def _check_rows(rows: int, where: str = "the data") -> None:
    if rows < 2:
        raise InputError(f"{where} has {'one row' if rows else 'no rows'}: entropies are estimated from many")


def _check_lengths(modalities: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    first: tuple[str, int] | None = None
    for name, columns in modalities.items():
        if not columns:
            raise InputError(f"modality {name!r} has no columns: give it at least one, or leave it out")
        for values in columns.values():
            first = first or (name, len(values))
            if len(values) != first[1]:
                raise InputError(
                    f"modality {first[0]!r} has {first[1]} rows and {name!r} has {len(values)}: "
                    "row i of every modality must be the same sample"
                )
    if first:
        _check_rows(first[1], f"modality {first[0]!r}")


def _label(modality: str, column: str) -> str:
    return f"column {column!r}" + (f" of modality {modality!r}" if modality != column else "")


def _unit_names(modality: str, columns: tuple[str, ...], modalities: tuple[str, ...]) -> tuple[str, ...]:
    if len(columns) == 1:
        return (modality,)
    try:
        clean = not set(check_names(columns, len(columns), "column")) & set(modalities)
    except InputError:
        clean = False
    return columns if clean else tuple(f"{modality}[{i}]" for i in range(len(columns)))


def flatten(name: str, values: Any) -> dict[str, np.ndarray]:
    """The columns of one modality: its name for ``(N,)``, ``name[i]`` for the rest of a larger shape."""
    if is_categorical(values):
        return {name: values}
    try:
        array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    except ValueError:
        raise InputError(f"modality {name!r} is ragged: give an array with one row per sample") from None
    if array.ndim == 0:
        raise InputError(f"modality {name!r} is a single value: give an array with one row per sample")
    if array.ndim == 1:
        return {name: array}
    flat = array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0)
    return {name if flat.shape[1] == 1 else f"{name}[{i}]": flat[:, i] for i in range(flat.shape[1])}


def columns_of(modality: str, arrays: Sequence[tuple[str, Any]]) -> dict[str, np.ndarray]:
    """The columns of a modality: of its only array under its own name, or of several under theirs."""
    named = [(modality, arrays[0][1])] if len(arrays) == 1 else arrays
    return {column: values for name, array in named for column, values in flatten(name, array).items()}
