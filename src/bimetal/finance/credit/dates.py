"""Dates into numbers: days, months or years before the moment that a decision is made.

A Program reads numbers, and a date is one only from somewhere: here, backwards from the day of the
application. The rule is a small piece of JSON, so that training, the batch and the service turn the
same date into the same number. A date after that day is a fault of the data and is refused.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Lists
from bimetal.columns.column import listed
from bimetal.columns.reading import read
from bimetal.errors import ColumnError, DataError

__all__ = ["DateSpec", "apply_dates", "elapsed", "to_days"]

Days = NDArray[np.datetime64]
Unit = Literal["days", "months", "years"]
UNITS = ("days", "months", "years")


@dataclass(frozen=True)
class DateSpec:
    """How one column of dates becomes a number.

    Parameters
    ----------
    column : str
        The dates.
    name : str
        The column of numbers that takes its place.
    unit : {"days", "months", "years"}
        Months and years are counted when complete: from 31 January it is 0 months to 28 February,
        and 1 to 1 March.
    as_of_column : str, optional
        Dates to count back from, row by row; None: from the day given to `apply_dates`.

    Raises
    ------
    DataError
        When a name is empty or the unit is unknown.

    Examples
    --------
    >>> spec = DateSpec("birth_date", "age", "years")
    >>> DateSpec.from_spec(spec.spec()) == spec
    True
    >>> apply_dates({"birth_date": ["1990-06-01", None]}, [spec], "2026-05-31").values["age"]
    [35.0, None]
    """

    column: str
    name: str
    unit: Unit = "months"
    as_of_column: str | None = None

    def __post_init__(self) -> None:
        names = (
            self.column,
            self.name,
            self.column if self.as_of_column is None else self.as_of_column,
        )
        if not all(isinstance(name, str) and name for name in names):
            raise DataError(f"a DateSpec needs names of columns, got {names!r:.120}")
        if self.unit not in UNITS:
            raise DataError(f"unit must be one of {', '.join(UNITS)}, got {self.unit!r:.80}")

    def spec(self) -> dict[str, Any]:
        """Return the rule as JSON values."""
        return asdict(self)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "DateSpec":
        """Build the rule from JSON values: the inverse of `spec`.

        Raises
        ------
        DataError
            When keys are missing or unknown.
        """
        keys = {"column", "name", "unit", "as_of_column"}
        if not isinstance(spec, Mapping) or set(spec) != keys:
            raise DataError(f"a DateSpec has the keys {sorted(keys)}, got {spec!r:.120}")
        return cls(**spec)


def apply_dates(
    table: Any, specs: Sequence[DateSpec], as_of: str | datetime.date | None = None
) -> Any:
    """Replace columns of dates by numbers.

    Parameters
    ----------
    table : frame, Lists or mapping of str to sequence
        pandas, Polars, Arrow; or names with lists of values, as a request holds them. Dates are
        dates, datetimes (their day counts), or text such as "2026-01-31"; missing stays missing.
    specs : sequence of DateSpec
    as_of : str or date, optional
        The day to count back from, where a spec names no column.

    Returns
    -------
    frame of the same kind, or Lists
        Without the columns of dates, with the numbers (float64) at the end.

    Raises
    ------
    ColumnError
        When a column is not there, a name is taken, or values are no dates.
    DataError
        When a date lies after its day, or no day is known; row numbers count from 0.
    """
    frame = Lists(table) if isinstance(table, Mapping) else read(table)
    if isinstance(frame, np.ndarray):
        raise ColumnError("a table with named columns expected, got an array; dates go by name")
    names = [str(name) for name in frame.columns]
    numbers = {spec.name: _numbers(frame, names, spec, as_of) for spec in specs}
    dates = {spec.column for spec in specs} | {s.as_of_column for s in specs if s.as_of_column}
    kept = [name for name in names if name not in dates]
    if taken := sorted(set(numbers) & set(kept)):
        raise ColumnError(f"columns {listed(taken)} are there already; choose other names")
    return _joined(frame, kept, numbers)


def elapsed(dates: Days, as_of: Days, unit: Unit) -> NDArray[np.float64]:
    """Return complete units from dates to days, float64 (n_rows,), NaN where a date is missing.

    Examples
    --------
    >>> born, today = np.array(["1990-06-01", "NaT"], "M8[D]"), np.datetime64("2026-05-31", "D")
    >>> elapsed(born, today, "years")
    array([35., nan])
    """
    as_of = np.broadcast_to(as_of, dates.shape)
    missing = np.isnat(dates) | np.isnat(as_of)
    if unit == "days":
        counted = (as_of - dates).astype(np.float64)
    else:
        months = as_of.astype("M8[M]").astype(np.int64) - dates.astype("M8[M]").astype(np.int64)
        counted = (months - (_day(as_of) < _day(dates))).astype(np.float64)
        counted = np.floor(counted / 12) if unit == "years" else counted
    counted[missing] = np.nan
    return counted


def to_days(name: str, values: Iterable[Any]) -> Days:
    """Return dates as datetime64[D], missing as NaT.

    Parameters
    ----------
    name : str
        Of the column, for the message.
    values : iterable or datetime64 array
        Dates, datetimes, ISO text, None or NaN.

    Raises
    ------
    ColumnError
        When a value is none of these, naming it and its row.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return values.astype("M8[D]")
    known: dict[Any, np.datetime64] = {}
    days = []
    for row, value in enumerate(values):
        if isinstance(value, list | dict | set | np.ndarray):  # cannot be looked up
            raise _no_date(name, row, value)
        if value not in known:
            known[value] = _day_of(name, row, value)
        days.append(known[value])
    return np.array(days, "M8[D]")


def _day_of(name: str, row: int, value: Any) -> np.datetime64:
    if value is None or value != value or type(value).__name__ in ("NaTType", "NAType"):
        return np.datetime64("NaT", "D")
    if isinstance(value, np.datetime64):
        whole: np.datetime64 = value.astype("M8[D]")
        return whole
    try:
        day = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        day = None
    if isinstance(day, datetime.datetime):
        day = day.date()
    if not isinstance(day, datetime.date):
        raise _no_date(name, row, value)
    return np.datetime64(day, "D")


def _no_date(name: str, row: int, value: Any) -> ColumnError:
    return ColumnError(
        f"column '{name}', row {row}: a date such as 2026-01-31 expected, got {value!r:.80}"
    )


def _day(dates: Days) -> NDArray[np.int64]:
    """Return the day of the month, from 0."""
    day: NDArray[np.int64] = (dates - dates.astype("M8[M]").astype("M8[D]")).astype(np.int64)
    return day


def _numbers(
    frame: Any, names: Sequence[str], spec: DateSpec, as_of: str | datetime.date | None
) -> NDArray[np.float64]:
    dates = _column(frame, names, spec.column)
    if spec.as_of_column is not None:
        days = _column(frame, names, spec.as_of_column)
        if (unknown := np.flatnonzero(np.isnat(days))).size:
            raise DataError(
                f"column '{spec.as_of_column}' is missing in rows {listed(unknown.tolist())}"
            )
    elif as_of is not None:
        days = np.broadcast_to(to_days("as_of", [as_of]), dates.shape)
    else:
        raise DataError(
            f"'{spec.column}' is counted back from a day: give as_of, or name as_of_column"
        )
    future = np.flatnonzero(dates > days)
    if future.size:
        first = future[0]
        raise DataError(
            f"column '{spec.column}' lies in the future in {future.size} of {len(dates)} rows "
            f"{listed(future.tolist())}: {dates[first]} is after {days[first]}; correct these dates, or "
            "mark them as missing"
        )
    return elapsed(dates, days, spec.unit)


def _column(frame: Any, names: Sequence[str], name: str) -> Days:
    if name not in names:
        raise ColumnError(f"there is no column '{name}' of dates among {listed(names)}")
    series = frame.get_column(name)
    if isinstance(series, list):
        return to_days(name, series)
    import narwhals as nw

    is_plain = series.dtype == nw.Date or (
        isinstance(series.dtype, nw.Datetime) and series.dtype.time_zone is None
    )
    plain = np.asarray(series.to_numpy()) if is_plain else None
    return to_days(name, plain if plain is not None else series.to_list())


def _joined(frame: Any, kept: Sequence[str], numbers: Mapping[str, NDArray[np.float64]]) -> Any:
    if isinstance(frame, Lists):
        plain = {
            name: [None if np.isnan(v) else v for v in values.tolist()]
            for name, values in numbers.items()
        }
        return Lists({**{name: frame.values[name] for name in kept}, **plain})
    import narwhals as nw

    new = [
        nw.new_series(name, values, nw.Float64, backend=frame.implementation)
        for name, values in numbers.items()
    ]
    native = {str(name): name for name in frame.columns}
    return frame.select([native[name] for name in kept]).with_columns(*new).to_native()
