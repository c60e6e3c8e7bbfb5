"""Reading a table: frames of any library through narwhals, everything else as a 2-D array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.column import listed
from bimetal.columns.lists import Lists
from bimetal.columns.values import DATES
from bimetal.errors import ColumnError, DataError, MissingExtraError

__all__ = ["as_array", "feature_names", "read"]


def feature_names(data: Any) -> tuple[str, ...]:
    """Return the names of a table's columns; those of an array are x0, x1, ...

    Examples
    --------
    >>> feature_names(np.zeros((5, 2)))
    ('x0', 'x1')
    """
    table = read(data)
    if isinstance(table, np.ndarray):
        return tuple(f"x{j}" for j in range(table.shape[1]))
    return tuple(str(name) for name in table.columns)


def read(data: Any) -> Any:
    """Return a narwhals DataFrame with distinct names, `Lists` as they are, or a 2-D array."""
    if isinstance(data, Lists):
        return data
    if not isinstance(data, np.ndarray | list | tuple):
        frame = _frame(data)
        if frame is not None:
            return frame
    return _array(data)


def _frame(data: Any) -> Any:
    try:
        import narwhals as nw
    except ImportError as error:
        raise MissingExtraError("narwhals", "frames", "reading a frame") from error
    if isinstance(data, nw.DataFrame):
        return data
    try:
        frame = nw.from_native(data, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        raise ColumnError(f"each column must have a name of its own: {error}") from error
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, nw.DataFrame):
        return None
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise ColumnError(f"each column must have a name of its own, got {listed(names)}")
    if not names:
        raise DataError("a table with at least one column expected, got one without columns")
    return frame


def _array(data: Any) -> NDArray[Any]:
    if hasattr(data, "toarray"):
        raise DataError("sparse tables are not read; pass a dense one: data.toarray()")
    array = as_array(data)
    if array.ndim != 2:
        raise DataError(
            f"a table of shape (n_rows, n_columns) expected, got {type(data).__name__} of shape "
            f"{array.shape}. Reshape your data: X.reshape(1, -1) makes one row of a 1-D array"
        )
    if array.shape[1] == 0:
        raise DataError(f"0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    if array.dtype.kind == "c":
        raise ColumnError("Complex data not supported: pass real and imaginary part as two columns")
    if array.dtype.kind in "mM":
        raise ColumnError(f"numbers or text expected, got {array.dtype}; {DATES}")
    return array


def as_array(data: Any) -> NDArray[Any]:
    """Return what is no frame as an array: masked values as NaN, lists of text as objects."""
    if isinstance(data, np.ma.MaskedArray):
        filled: NDArray[Any] = np.ma.filled(data.astype(np.float64), np.nan)
        return filled
    if hasattr(data, "dtype"):
        return np.asarray(data)
    try:
        plain = np.asarray(data)
    except ValueError as error:
        raise DataError(f"rows of one length expected, got rows that differ: {error}") from error
    # A list that mixes numbers and text became text all over; objects keep what was given.
    return plain if plain.dtype.kind in "biufc" else np.asarray(data, dtype=object)
