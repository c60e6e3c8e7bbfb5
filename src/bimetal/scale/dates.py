"""Dates into numbers, batch after batch, where a model counts back from the day of each application.

The rule is that of `bimetal.finance.credit.dates`; only, what is wrong with one date is a problem of its row here,
and stops no job of ten million.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.columns.column import listed
from bimetal.errors import ColumnError, DataError
from bimetal.finance.credit.dates import DateSpec, Days, elapsed, to_days
from bimetal.finance.credit.model import CreditModel, Problem

__all__ = ["dated", "inputs_of"]


def inputs_of(
    model: CreditModel, names: Collection[str], as_of: str | None
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Return the columns of the Program to be read from a file, and those of dates.

    Parameters
    ----------
    model : CreditModel
    names : collection of str
        Columns of the file.
    as_of : str or None
        A day for all rows, or the column that holds the day of each.

    Raises
    ------
    ColumnError
        When a column of dates is missing, or its number is there beside it.
    DataError
        When the day is missing, or is no day.
    """
    dates = model.policy.dates_among(names)
    if not dates:
        return model.program.columns, ()
    columns = [date.column for date in dates]
    if absent := [name for name in columns if name not in names]:
        raise ColumnError(
            f"there is no column of dates {listed(absent)} among {listed(list(names))}"
        )
    if taken := [date.name for date in dates if date.name in names]:
        raise ColumnError(f"columns {listed(taken)} are there beside their dates; leave one out")
    if as_of is None:
        raise DataError(
            f"the model counts back from the day of each application ({listed(columns)}): give as_of, "
            "one day for all or the column that holds it"
        )
    if as_of in names:
        columns.append(as_of)
    else:
        _day(as_of)
    made = {date.name for date in dates}
    plain = tuple(column for column in model.program.columns if column.name not in made)
    return plain, tuple(dict.fromkeys(columns))


def dated(table: Any, dates: Sequence[DateSpec], as_of: str) -> tuple[Any, list[Problem]]:
    """Return a table with the numbers of its dates, float64, and the rows that must be refused.

    Parameters
    ----------
    table : pyarrow.Table
    dates : sequence of DateSpec
        Which of its columns are dates.
    as_of : str
        See `inputs_of`.

    Raises
    ------
    ColumnError
        When a column holds neither dates nor text.
    """
    import pyarrow as pa

    problems: list[Problem] = []

    def read(name: str) -> Days:
        days, wrong = _days_of(table.column(name), name)
        problems.extend(Problem(row, name, "date", text, True) for row, text in wrong)
        return days

    if as_of in table.column_names:
        days = read(as_of)
        unknown = set(np.flatnonzero(np.isnat(days)).tolist()) - {p.row for p in problems}
        told = "the day of the application expected, to count back from"
        problems += [Problem(row, as_of, "date", told, True) for row in sorted(unknown)]
    else:
        days = np.broadcast_to(_day(as_of), table.num_rows)
    for date in dates:
        then = read(date.column)
        for row in np.flatnonzero(then > days).tolist():
            told = f"a date not after {days[row]} expected, got {then[row]}"
            problems.append(Problem(row, date.column, "date", told, True))
        table = table.append_column(date.name, pa.array(elapsed(then, days, date.unit)))
    return table, problems


def _day(as_of: str) -> Any:
    try:
        return to_days("as_of", [as_of])[0]
    except ColumnError:
        raise DataError(
            f"as_of: a day such as 2026-11-28, or a column of the table, expected, got {as_of!r:.80}"
        ) from None


def _days_of(column: Any, name: str) -> tuple[Days, Iterator[tuple[int, str]]]:
    """Return dates, NaT where there is none, and what is wrong with which rows."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None):
        return column.to_numpy().astype("M8[D]"), iter(())
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner)
    if not (is_text or pa.types.is_timestamp(inner) or pa.types.is_null(inner)):
        raise ColumnError(
            f"column '{name}' must hold dates, or text such as 2026-01-31; got {kind}"
        )
    return _looked_up(column, name)


def _looked_up(column: Any, name: str) -> tuple[Days, Iterator[tuple[int, str]]]:
    """Read each value once: of a million dates few are different."""
    encoded = column.combine_chunks().dictionary_encode()
    days, wrong = [np.datetime64("NaT", "D")], {}
    for place, value in enumerate(encoded.dictionary.to_pylist()):
        try:
            days.append(to_days(name, [value])[0])
        except ColumnError:
            days.append(days[0])
            wrong[place] = f"a date such as 2026-01-31 expected, got {value!r:.80}"
    places: NDArray[np.int64] = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    rows = np.flatnonzero(np.isin(places, list(wrong)))
    return np.array(days, "M8[D]")[places + 1], ((int(i), wrong[int(places[i])]) for i in rows)
