"""Rows as they come: frames, arrays, or one mapping of names to values, read by the columns known so far.

A stream is not a table. Columns come and go, so what a row has is matched by name, what it lacks is
missing, and what is new is handed on by name for whoever waits for it. A single row is read without
building a frame: that is most of what a single prediction costs.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column, Lists, require_finite
from bimetal.columns.column import listed
from bimetal.columns.reading import read
from bimetal.columns.values import Values
from bimetal.errors import ColumnError, NotFiniteError

__all__ = ["Plain", "RowReader", "Source", "known_rows", "plain_value"]

Plain = float | str
NAN = float("nan")


def plain_value(name: str, value: Any) -> Plain | None:
    """Return a value as text or a float, None where it is missing.

    Raises
    ------
    ColumnError
        When it is of a type that no column can hold.
    NotFiniteError
        When it is infinite.
    """
    if not isinstance(value, str):
        data = Values.of_list(name, [value]).data[0]
        value = data if data is None or isinstance(data, str) else float(data)
    if isinstance(value, float) and math.isinf(value):
        raise NotFiniteError(f"column '{name}': finite numbers expected, got {value}")
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Source:
    """A table and the names of its columns.

    Attributes
    ----------
    table : narwhals.DataFrame, Lists or numpy.ndarray
        As `bimetal.columns.reading.read` returns it.
    names : tuple of str
        Of its columns, in their order.
    """

    table: Any
    names: tuple[str, ...]

    @classmethod
    def of(cls, data: Any, names: Sequence[str] = ()) -> "Source":
        """Read a table; the columns of an array get these names, or x0, x1, ...

        Raises
        ------
        ColumnError
            When an array has another number of columns than there are names.
        DataError
            When `data` is no table.
        """
        table = read(data)
        if not isinstance(table, np.ndarray):
            return cls(table, tuple(str(name) for name in table.columns))
        if names and len(names) != table.shape[1]:
            raise ColumnError(
                f"expected {len(names)} columns {listed(names)}, got an array with {table.shape[1]}; an "
                "array is read by position, a frame by name"
            )
        return cls(table, tuple(names) or tuple(f"x{j}" for j in range(table.shape[1])))

    def __len__(self) -> int:
        return len(self.table)

    def part(self, start: int, stop: int) -> "Source":
        """Return some of the rows."""
        if isinstance(self.table, Lists):
            return self.take(range(len(self))[start:stop])
        return Source(self.table[start:stop], self.names)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> "Source":
        """Return these rows."""
        if isinstance(self.table, Lists):
            values = self.table.values
            table: Any = Lists({name: [values[name][i] for i in rows] for name in self.names})
        else:
            table = self.table[list(rows)]
        return Source(table, self.names)

    def column(self, name: str) -> Values:
        """Return the values of a column."""
        if not isinstance(self.table, np.ndarray):
            key = self.table.columns[self.names.index(name)]
            return Values.of_series(name, self.table.get_column(key))
        column = self.table[:, self.names.index(name)]
        if column.dtype.kind in "biuf":
            return Values(name, str(column.dtype), column.astype(np.float64))
        return Values.of_list(name, column.tolist())

    def has_values(self, name: str) -> bool:
        """Tell whether a column holds anything but missing values."""
        data = self.column(name).data
        if isinstance(data, np.ndarray):
            return not bool(np.isnan(data).all())
        return any(value is not None for value in data)

    def plain(self, name: str) -> list[Plain | None]:
        """Return the values of a column as `plain_value` does."""
        return [plain_value(name, value) for value in self.column(name).data]


def known_rows(source: Source, columns: Sequence[Column]) -> NDArray[np.float32]:
    """Return raw rows, float32 (n_rows, n_columns): NaN throughout a column that the table lacks.

    Raises
    ------
    ColumnError
        When a column holds what it cannot, or the table has none of the columns.
    NotFiniteError
        When a number is infinite, or too large for float32.
    """
    rows = np.full((len(source), len(columns)), np.nan, np.float32)
    present = set(source.names)
    if columns and not any(column.name in present for column in columns):
        raise ColumnError(
            f"none of the columns {listed([c.name for c in columns])} is among those of the table, "
            f"{listed(source.names)}; look at their names"
        )
    with np.errstate(over="ignore"):  # what is too large is infinite now, and refused below
        for j, column in enumerate(columns):
            if column.name in present:
                values = source.column(column.name)
                is_number = column.kind == "number"
                rows[:, j] = values.numbers() if is_number else values.codes(column)
    require_finite(rows, columns)
    return rows


class RowReader:
    """Reads one row at a time.

    Parameters
    ----------
    columns : sequence of Column
        Known so far.

    Examples
    --------
    >>> reader = RowReader([Column("age"), Column("housing", "category", ("own", "rent"))])
    >>> reader.read({"housing": "rent", "income": 3.0})
    (array([nan,  1.], dtype=float32), {'income': 3.0})
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._places: dict[Hashable, int] = {c.name: j for j, c in enumerate(columns)}
        self._codes: list[dict[Any, float] | None] = [
            {label: float(i) for i, label in enumerate(c.categories)} if c.kind == "category" else None
            for c in columns
        ]  # fmt: skip

    def read(self, x: Mapping[Any, Any]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return the raw row, float32 (n_columns,), and what belongs to no column, by name.

        Raises
        ------
        ColumnError
            When a value is not of the kind of its column.
        NotFiniteError
            When a number is infinite, or too large for float32.
        """
        values, further = [NAN] * len(self.columns), {}
        for key, value in x.items():
            place = self._place(key)
            if place < 0:
                further[str(key)] = value
            elif (codes := self._codes[place]) is None:
                is_plain = type(value) is float or type(value) is int or type(value) is bool
                values[place] = value if is_plain else self._slow(place, value)
            else:
                code = codes.get(value) if isinstance(value, str) else None
                values[place] = self._slow(place, value) if code is None else code
        try:
            with np.errstate(over="ignore"):
                row = np.array(values, np.float32)
        except OverflowError as error:
            raise NotFiniteError(f"a whole number is too large for float32: {error}") from None
        if np.isinf(row).any():
            require_finite(row[None], self.columns)
        return row, further

    def _place(self, key: Hashable) -> int:
        """Return where a name belongs, −1 if nowhere; names that are no text count as their text."""
        place = self._places.get(key, -1)
        if place < 0 and not isinstance(key, str):
            place = self._places.get(str(key), -1)
            if place >= 0:
                self._places[key] = place
        return place

    def _slow(self, place: int, value: Any) -> float:
        column = self.columns[place]
        values = Values.of_list(column.name, [value])
        found = values.numbers() if column.kind == "number" else values.codes(column)
        return float(found[0])
