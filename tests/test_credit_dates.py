"""Dates become numbers the same way from every kind of table; the future is refused."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bimetal.columns import Lists
from bimetal.errors import ColumnError, DataError
from bimetal.finance.credit.dates import DateSpec, apply_dates, elapsed, to_days

BORN = [datetime.date(1990, 2, 28), None, datetime.date(2000, 12, 31), datetime.date(1955, 7, 1)]
ASKED = [datetime.date(2026, 2, 27), *[datetime.date(2026, 1, 31)] * 2, datetime.date(2026, 7, 1)]
SPECS = [
    DateSpec("born", "age", "years", "asked"),
    DateSpec("born", "days_old", "days", "asked"),
]
PLAIN = {"income": [1.0, 2.0, 3.0, 4.0], "born": BORN, "asked": ASKED, "job": list("abcd")}
TEXT = PLAIN | {
    name: [d and d.isoformat() for d in dates] for name, dates in (("born", BORN), ("asked", ASKED))
}
FRAMES: dict[str, Any] = {
    "mapping": PLAIN,
    "lists": Lists(PLAIN),
    "text": TEXT,
    "polars": polars.DataFrame(PLAIN),
    "polars text": polars.DataFrame(TEXT),
    "polars datetimes": polars.DataFrame(PLAIN).with_columns(polars.col("born").cast(polars.Datetime)),
    "pandas objects": pd.DataFrame(PLAIN),
    "pandas datetimes": pd.DataFrame(PLAIN).assign(
        born=pd.to_datetime(pd.Series(BORN)), asked=pd.to_datetime(pd.Series(ASKED))
    ),
    "pandas text": pd.DataFrame(TEXT),
    "arrow": pyarrow.table(PLAIN),
    "arrow text": pyarrow.table(TEXT),
}  # fmt: skip


def column(table: Any, name: str) -> list[Any]:
    values = table.values[name] if isinstance(table, Lists) else table[name]
    plain = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    return [None if v is None or v != v else v for v in plain]


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_table_gives_the_same_numbers(kind: str) -> None:
    made = apply_dates(FRAMES[kind], SPECS)
    names = list(made.columns) if not hasattr(made, "column_names") else made.column_names
    assert names == ["income", "job", "age", "days_old"]
    assert column(made, "age") == [35, None, 25, 71]
    assert column(made, "days_old") == [13_148, None, 9_162, 25_933]
    assert column(made, "job") == list("abcd")


def test_a_day_can_be_given_for_all_rows() -> None:
    made = apply_dates({"born": ["1990-02-28"]}, [DateSpec("born", "age", "years")], "2026-02-28")
    assert made.values == {"age": [36.0]}
    day = datetime.datetime(2026, 2, 27, 23, 59)
    assert apply_dates(
        {"born": ["1990-02-28"]}, [DateSpec("born", "age", "years")], day
    ).values == {"age": [35.0]}


DAYS = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))


@given(a=DAYS, b=DAYS)
def test_months_are_complete_and_years_are_twelve_of_them(
    a: datetime.date, b: datetime.date
) -> None:
    early, late = min(a, b), max(a, b)
    first, last = np.array([early], "M8[D]"), np.array([late], "M8[D]")
    (months,), (years,) = elapsed(first, last, "months"), elapsed(first, last, "years")
    assert years == months // 12
    had_birthday = (late.month, late.day) >= (early.month, early.day)
    assert years == late.year - early.year - (not had_birthday)


@given(a=DAYS, days=st.integers(0, 5_000))
def test_later_days_never_lie_less_back(a: datetime.date, days: int) -> None:
    dates = np.array([a], "M8[D]")
    for unit in ("days", "months", "years"):
        now, then = elapsed(dates, dates + days, unit), elapsed(dates, dates + days + 1, unit)
        assert now[0] <= then[0] <= now[0] + 1


def test_the_future_is_refused_with_its_rows() -> None:
    table = {"born": ["2020-01-01", "2030-01-01", None, "2031-01-01"]}
    with pytest.raises(DataError, match=r"future in 2 of 4 rows \[1, 3\]: 2030-01-01 is after"):
        apply_dates(table, [DateSpec("born", "age")], "2026-01-31")


def test_a_rule_is_json_and_back() -> None:
    for spec in SPECS:
        assert DateSpec.from_spec(spec.spec()) == spec


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("31.01.2026", "got '31.01.2026'"),
        (20260131, "got 20260131"),
        ("soon", "got 'soon'"),
        ([], r"got \[\]"),
        ({}, r"got \{\}"),
    ],
)
def test_what_is_no_date_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ColumnError, match=f"column 'born', row 1: .*{message}"):
        to_days("born", ["2026-01-31", value])


def test_rules_and_tables_that_do_not_fit_are_refused() -> None:
    age = DateSpec("born", "age")
    with pytest.raises(ColumnError, match="no column 'born'"):
        apply_dates({"birth": ["2020-01-01"]}, [age], "2026-01-31")
    with pytest.raises(ColumnError, match="there already"):
        apply_dates({"born": ["2020-01-01"], "age": [1]}, [age], "2026-01-31")
    with pytest.raises(ColumnError, match="dates go by name"):
        apply_dates(np.zeros((2, 2)), [age], "2026-01-31")
    with pytest.raises(DataError, match="give as_of"):
        apply_dates({"born": ["2020-01-01"]}, [age])
    with pytest.raises(DataError, match=r"'asked' is missing in rows \[1\]"):
        apply_dates(
            {"born": ["2020-01-01"] * 2, "asked": ["2026-01-01", None]},
            [DateSpec("born", "age", "days", "asked")],
        )
    with pytest.raises(DataError, match="unit must be"):
        DateSpec("born", "age", "weeks")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="names of columns"):
        DateSpec("born", "")
    with pytest.raises(DataError, match="has the keys"):
        DateSpec.from_spec({"column": "born"})
