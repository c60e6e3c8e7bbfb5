"""What kind each column of a training table is: a number or a category, and of which categories."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.column import MAX_CATEGORIES, Column, listed
from bimetal.columns.reading import feature_names, read
from bimetal.columns.values import NUMBER, Values
from bimetal.errors import ColumnError

__all__ = ["infer_columns"]


def infer_columns(data: Any, categorical: Sequence[str] | None = None) -> tuple[Column, ...]:
    """Read off the columns of a training table.

    Numbers and booleans become numbers, text and categorical types become categories. The
    categories are sorted by value, unless their type has an order of its own, which is then kept.

    Parameters
    ----------
    data : frame or array
        As for `to_rows`. The columns of an array are called x0, x1, ...
    categorical : sequence of str, optional
        Columns of whole numbers that are categories all the same (codes). In an array of numbers
        such a column holds codes already: its categories are 0, 1, ... up to the largest.

    Raises
    ------
    ColumnError
        When a column is doubled, has a type that cannot be used, mixes numbers with text, or when
        `categorical` names a column that is not there or that holds fractions.
    DataError
        When `data` is no table, or has no column.

    Examples
    --------
    >>> infer_columns(np.array([[31, "rent"], [25, "own"]], dtype=object))[1]
    Column(name='x1', kind='category', categories=('own', 'rent'))
    """
    table = read(data)
    names = feature_names(table)
    forced = set(categorical or ())
    if unknown := sorted(forced - set(names)):
        raise ColumnError(
            f"categorical names {listed(unknown)}, but the columns are {listed(names)}"
        )
    if not isinstance(table, np.ndarray):
        series = (
            (name, table.get_column(key)) for name, key in zip(names, table.columns, strict=True)
        )
        return tuple(
            _infer(Values.of_series(name, s), name in forced or _is_categorical(s), _order(s))
            for name, s in series
        )
    if table.dtype.kind in "biuf":
        return tuple(
            Column(name, "category", _array_codes(name, table[:, j]))
            if name in forced
            else Column(name)
            for j, name in enumerate(names)
        )
    lists = (Values.of_list(name, table[:, j].tolist()) for j, name in enumerate(names))
    return tuple(_infer(values, values.name in forced, None) for values in lists)


def _infer(values: Values, is_forced: bool, order: list[Any] | None) -> Column:
    if isinstance(values.data, np.ndarray):
        if not is_forced:
            return Column(values.name)
        distinct = np.unique(values.data[~np.isnan(values.data)]).tolist()
        return Column(values.name, "category", _whole(values.name, distinct))
    text = values.first(str)
    if not is_forced and text is None:
        return Column(values.name)
    number = values.first(NUMBER)
    if text is not None and number is not None and not is_forced:
        raise ColumnError(
            f"column '{values.name}' mixes text such as {text!r} with numbers such as {number!r}; "
            "make it one of the two (mark what is missing as missing), or name it in categorical"
        )
    known = _whole(values.name, order if order is not None else list(set(values.data) - {None}))
    by_value = sorted(known, key=lambda c: (isinstance(c, str), c))
    return Column(values.name, "category", known if order is not None else tuple(by_value))


def _is_categorical(series: Any) -> bool:
    if isinstance(series, list):
        return False
    import narwhals as nw

    return isinstance(series.dtype, nw.Enum | nw.Categorical)


def _order(series: Any) -> list[Any] | None:
    """Return the categories of a type that has an order of its own, or None."""
    if isinstance(series, list):
        return None
    import narwhals as nw

    return list(series.dtype.categories) if isinstance(series.dtype, nw.Enum) else None


def _whole(name: str, distinct: Sequence[Any]) -> tuple[str | int, ...]:
    odd = next((v for v in distinct if not isinstance(v, str) and not _is_whole(v)), None)
    if odd is not None:
        raise ColumnError(
            f"column '{name}': categories must be text or whole numbers, got {odd!r}; "
            "cut it into ranges first, or leave it a number"
        )
    return tuple(str(v) if isinstance(v, str) else int(v) for v in distinct)


def _is_whole(value: Any) -> bool:
    return float(value) % 1 == 0  # not so for infinities: the remainder is NaN


def _array_codes(name: str, codes: NDArray[Any]) -> tuple[int, ...]:
    known = codes[~np.isnan(codes)] if codes.dtype.kind == "f" else codes
    top = float(known.max(initial=-1))
    if (known != np.floor(known)).any() or known.min(initial=0) < -1 or top >= MAX_CATEGORIES:
        raise ColumnError(
            f"column '{name}' of an array must hold the codes 0, 1, ... of its categories; "
            "pass a frame to have codes of any kind looked up"
        )
    return tuple(range(int(top) + 1))
