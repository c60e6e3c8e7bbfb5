"""The values of one column, as they came: numbers with NaN, or Python values with None."""

import datetime
import numbers
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.column import Column
from bimetal.errors import ColumnError, NotFiniteError

__all__ = ["DATES", "NUMBER", "Values"]

DATES = "turn dates and times into numbers first (days since a date, months of history)"
NUMBER = (numbers.Real, Decimal, np.bool_)
_USABLE = (str, *NUMBER, type(None))
_TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)


@dataclass(frozen=True)
class Values:
    """One column as it came: float64 with NaN, or a list of Python values with None.

    Where `places` is given the list holds each distinct value once, and `places` says which of them
    stands in each row.
    """

    name: str
    dtype: str
    data: NDArray[np.float64] | list[Any]
    places: NDArray[np.intp] | None = None

    @classmethod
    def of_series(cls, name: str, series: Any) -> "Values":
        """Read a narwhals Series, or a list of Python values."""
        if isinstance(series, list):
            return cls.of_list(name, series)
        import narwhals as nw

        dtype = str(series.dtype)
        if series.dtype.is_temporal():
            raise ColumnError(f"column '{name}' must hold numbers or text, got {dtype}; {DATES}")
        if series.dtype.is_numeric() or series.dtype == nw.Boolean:
            return cls(name, dtype, _to_floats(series.cast(nw.Float64)))
        distinct, places = _to_distinct(series)
        if places is not None:
            return replace(cls.of_list(name, distinct, dtype), places=places)
        return cls.of_list(name, _to_list(series), dtype)

    @classmethod
    def of_list(cls, name: str, values: list[Any], dtype: str = "") -> "Values":
        """Read Python values; None, NaN and the missing marks of frames all become None."""
        plain = {str, int, bool}
        known = [v if type(v) in plain or not _is_missing(v) else None for v in values]
        kinds = tuple(kind for kind in set(map(type, known)) if not issubclass(kind, _USABLE))
        if kinds:
            odd = next(v for v in known if isinstance(v, kinds))
            advice = DATES if isinstance(odd, _TIMES) else "convert it first"
            came = dtype or type(odd).__name__
            raise ColumnError(
                f"column '{name}' must hold numbers or text, got {came} such as {odd!r}; {advice}"
            )
        return cls(name, dtype or "object", known)

    def first(self, kind: Any) -> Any:
        """Return the first value of this kind, or None."""
        kinds = tuple(k for k in set(map(type, self.data)) if issubclass(k, kind))
        return next(v for v in self.data if isinstance(v, kinds)) if kinds else None

    def numbers(self) -> NDArray[np.float64]:
        """Return the values as float64, missing as NaN."""
        if isinstance(self.data, np.ndarray):
            return self.data
        text = self.first(str)
        if text is not None:
            raise ColumnError(
                f"column '{self.name}' must hold numbers, got {self.dtype} such as {text!r}; "
                "text is never guessed to be a number: convert it first"
            )
        try:
            return self._in_rows(np.array(self.data, dtype=np.float64))
        except OverflowError as error:
            raise NotFiniteError(f"column '{self.name}' has a number beyond float64") from error

    def codes(self, column: Column) -> NDArray[np.float32]:
        """Return the position of each value among the categories, −1 if unseen, NaN if missing."""
        self._require_kin(column)
        if isinstance(self.data, np.ndarray):
            return _number_codes(self.data, column.categories)
        lookup: dict[Any, float] = {c: float(i) for i, c in enumerate(column.categories)}
        lookup[None] = np.nan
        found = (lookup.get(value, -1.0) for value in self.data)
        return self._in_rows(np.fromiter(found, dtype=np.float32, count=len(self.data)))

    def _in_rows(self, of_data: NDArray[Any]) -> NDArray[Any]:
        return of_data if self.places is None else of_data[self.places]

    def _require_kin(self, column: Column) -> None:
        kinds = {type(c) for c in column.categories}
        if not kinds or kinds == {str, int}:
            return
        want, wrong = ("text", NUMBER) if kinds == {str} else ("numbers", str)
        stranger = self.first(wrong) if isinstance(self.data, list) else None
        if isinstance(self.data, np.ndarray) and want == "text":
            stranger = next((float(v) for v in self.data if not np.isnan(v)), None)
        if stranger is not None:
            raise ColumnError(
                f"column '{self.name}' has categories that are {want}, such as "
                f"{column.categories[0]!r}; got {self.dtype} such as {stranger!r}; convert it first"
            )


def _to_floats(series: Any) -> NDArray[np.float64]:
    if series.implementation.is_pyarrow() and series.null_count():
        series = series.fill_null(np.nan)  # ten times faster than what to_numpy does about nulls
    return np.asarray(series.to_numpy(), dtype=np.float64)


def _to_distinct(series: Any) -> tuple[list[Any], NDArray[np.intp] | None]:
    """Return the distinct values of Arrow text and their places: far fewer to look up than rows."""
    if not series.implementation.is_pyarrow():
        return [], None
    import pyarrow as pa

    native = series.to_native()
    kind = getattr(native.type, "value_type", native.type)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return [], None
    coded = native.cast(kind).combine_chunks().dictionary_encode(null_encoding="encode")
    return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.intp)


def _to_list(series: Any) -> list[Any]:
    native = series.to_native()
    if series.implementation.is_pyarrow() and hasattr(native.type, "index_type"):
        # Decoding a dictionary first is five times faster than listing it value by value.
        values: list[Any] = native.cast(native.type.value_type).to_pylist()
        return values
    listed: list[Any] = series.to_list()
    return listed


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, NUMBER) and bool(value != value)  # NaN differs from itself


def _number_codes(
    values: NDArray[np.float64], categories: tuple[str | int, ...]
) -> NDArray[np.float32]:
    whole = [(float(c), i) for i, c in enumerate(categories) if isinstance(c, int)]
    codes = np.where(np.isnan(values), np.nan, -1.0).astype(np.float32)
    if whole:
        known, positions = (np.array(part) for part in zip(*sorted(whole), strict=True))
        near = np.searchsorted(known, values).clip(max=len(known) - 1)
        is_known = known[near] == values
        codes[is_known] = positions[near[is_known]]
    return codes
