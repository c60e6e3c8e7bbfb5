"""From a table to raw rows, and what a raw row may hold."""

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.column import Column, listed, n_values
from bimetal.columns.reading import as_array, read
from bimetal.columns.values import Values
from bimetal.errors import ColumnError, MissingValueError, NotFiniteError

__all__ = ["require_finite", "require_known_missing", "to_rows"]


def to_rows(data: Any, columns: Sequence[Column]) -> NDArray[np.float32]:
    """Turn a table into raw rows.

    Parameters
    ----------
    data : frame or array
        A pandas, Polars (eager or lazy), PyArrow or any other frame that narwhals reads: matched
        by name, in any order, further columns ignored. Or a 2-D array, taken by position: an array
        of numbers holds raw rows already (categories as their codes); an array of objects or of
        text holds values, as a frame would. Where a column is an array (an image), numbers of any
        further axes: (n_rows, height, width, channels), say; no frame holds these.
    columns : sequence of Column
        The columns of the raw row, in order.

    Returns
    -------
    numpy.ndarray
        float32 array of shape (n_rows, n_columns), C-contiguous; infinities are kept. An array of
        this kind is returned as it is, without a copy. An array column takes as many columns of
        the result as its size says.

    Raises
    ------
    ColumnError
        When a column is missing, doubled, or holds what it cannot: text or dates among numbers,
        numbers in a column of text categories.
    NotFiniteError
        When a finite number is too large for float32.
    DataError
        When `data` is no table.

    Examples
    --------
    >>> columns = (Column("age"), Column("housing", "category", ("own", "rent")))
    >>> to_rows(np.array([[31, "rent"], [None, "boat"]], dtype=object), columns)
    array([[31.,  1.],
           [nan, -1.]], dtype=float32)
    """
    if any(column.kind == "array" for column in columns):
        return _raw_rows(_flat(data, columns), columns)
    table = read(data)
    if isinstance(table, np.ndarray):
        _require_width(table.shape[1], columns)
        if table.dtype.kind in "biuf":
            return _raw_rows(table, columns)
        values = [Values.of_list(c.name, table[:, j].tolist()) for j, c in enumerate(columns)]
        return _stack(values, columns, len(table))
    names = _require_names(table, columns)
    series = (Values.of_series(c.name, table.get_column(names[c.name])) for c in columns)
    return _stack(series, columns, len(table))


def require_finite(rows: NDArray[np.float32], columns: Sequence[Column]) -> None:
    """Refuse infinities in raw rows of shape (n_rows, n_columns); NaN is allowed.

    Raises
    ------
    NotFiniteError
        Naming the columns and the first row.
    """
    infinite = np.isinf(rows)
    if infinite.any():
        raise NotFiniteError(
            f"finite numbers expected, got an infinity in {_where(infinite, columns)}; "
            "replace it by a number or mark it as missing"
        )


def require_known_missing(
    rows: NDArray[np.float32],
    columns: Sequence[Column],
    has_missing_bit: Sequence[bool] | NDArray[np.bool_],
) -> None:
    """Refuse missing values in columns without a missing bit.

    Parameters
    ----------
    rows : numpy.ndarray
        Raw rows of shape (n_rows, n_columns).
    columns : sequence of Column
        Their columns.
    has_missing_bit : sequence or array of bool
        For each column, whether the model was trained with missing values there.

    Raises
    ------
    MissingValueError
        Naming the columns and the first row.
    """
    unknown = np.isnan(rows) & ~np.asarray(has_missing_bit, dtype=bool)
    if unknown.any():
        raise MissingValueError(
            f"the model saw no missing value in training in {_where(unknown, columns)}; "
            "fill these values, or train with missing='always'"
        )


def _where(mask: NDArray[np.bool_], columns: Sequence[Column]) -> str:
    hit = np.unique(_owners(columns)[mask.any(axis=0)])
    row = int(mask.any(axis=1).argmax())
    what = "column" if len(hit) == 1 else "columns"
    names = listed([columns[int(j)].name for j in hit])
    return f"{what} {names} (first in row {row}, counted from 0)"


def _owners(columns: Sequence[Column]) -> NDArray[np.intp]:
    """Return for each number of the raw row the position of its column."""
    return np.repeat(np.arange(len(columns)), [column.size for column in columns])


def _raw_rows(array: NDArray[Any], columns: Sequence[Column]) -> NDArray[np.float32]:
    is_small = array.dtype.itemsize <= 2  # every number of 16 bits is a float32
    if array.dtype == np.float32 or is_small:
        return np.ascontiguousarray(array, dtype=np.float32)
    wide = array.astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(wide, dtype=np.float32)
    if (np.isinf(rows) & np.isfinite(wide)).any():
        for j, owner in enumerate(_owners(columns)):
            _to_float32(columns[owner].name, wide[:, j])
    return rows


def _flat(data: Any, columns: Sequence[Column]) -> NDArray[Any]:
    """Return rows of numbers for columns among which there are arrays, all axes in one."""
    wanted = f"an array of numbers of shape (n_rows, {n_values(columns)}), or with further axes"
    name = next(column.name for column in columns if column.kind == "array")
    is_frame = hasattr(data, "columns") or not hasattr(data, "__len__")
    array = None if is_frame else as_array(data)
    if array is None or array.dtype.kind not in "biuf":
        came = type(data).__name__ if array is None else f"an array of {array.dtype}"
        raise ColumnError(
            f"column '{name}' is an array, which no frame holds: expected {wanted}, got {came}; "
            "stack the images into one NumPy array"
        )
    if array.ndim < 2 or math.prod(array.shape[1:]) != n_values(columns):
        raise ColumnError(
            f"expected {wanted} (columns {listed([c.name for c in columns])}), got {array.shape}"
        )
    return array.reshape(len(array), n_values(columns))


def _stack(values: Iterable[Values], columns: Sequence[Column], n_rows: int) -> NDArray[np.float32]:
    by_column = np.empty((len(columns), n_rows), dtype=np.float32)
    for to, column, given in zip(by_column, columns, values, strict=True):
        if column.kind == "number":
            to[:] = _to_float32(column.name, given.numbers())
        else:
            to[:] = given.codes(column)
    return np.ascontiguousarray(
        by_column.T
    )  # in one go: numbers that go to each row touch them all


def _to_float32(name: str, wide: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    lost = np.isinf(narrow)
    if lost.any() and (lost := lost & np.isfinite(wide)).any():
        row = int(lost.argmax())
        raise NotFiniteError(
            f"column '{name}', row {row}: {wide[row]:g} is too large for float32, which ends at "
            "3.4e38; use another unit"
        )
    return narrow


def _require_width(width: int, columns: Sequence[Column]) -> None:
    if width != len(columns):
        raise ColumnError(
            f"expected {len(columns)} columns {listed([c.name for c in columns])}, got an array "
            f"with {width}; an array is read by position, a frame by name"
        )


def _require_names(table: Any, columns: Sequence[Column]) -> dict[str, Any]:
    names = {str(name): name for name in table.columns}
    missing = [c.name for c in columns if c.name not in names]
    if not missing:
        return names
    further = sorted(set(names) - {c.name for c in columns})
    raise ColumnError(
        f"expected {len(columns)} columns {listed([c.name for c in columns])}, got {len(names)}; "
        f"missing {', '.join(_with_hint(name, further) for name in missing[:10])}"
        f"{' and more' if len(missing) > 10 else ''}"
    )


def _with_hint(name: str, others: Sequence[str]) -> str:
    near = get_close_matches(name, others, n=1)
    return f"'{name}' (did you mean '{near[0]}'?)" if near else f"'{name}'"
