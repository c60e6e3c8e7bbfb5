"""Splits in time: the past trains, the future judges, the young wait; vintages stay whole."""

from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from bimetal.errors import ColumnError, DataError
from bimetal.finance.credit.splits import known_dates, mature_at, split_in_time
from bimetal.finance.credit.vintages import periods_of, vintage_folds, vintages

SEEDS = st.integers(0, 2**32 - 1)
START = np.datetime64("2019-01-01")


def dates(seed: int, n: int = 300, days: int = 1_400) -> NDArray[Any]:
    return START + np.random.default_rng(seed).integers(0, days, n)


@settings(deadline=None)
@given(
    seed=SEEDS,
    share=st.floats(0.1, 0.5),
    window=st.integers(0, 12),
    gap=st.integers(0, 6),
    in_time=st.floats(0, 0.4),
)
def test_every_row_is_in_one_part_and_the_parts_are_in_order(
    seed: int, share: float, window: int, gap: int, in_time: float
) -> None:
    when = dates(seed)
    options: Any = {"window_months": window, "gap_months": gap, "in_time_share": in_time}
    try:
        found = split_in_time(when, share=share, as_of="2022-12-31", seed=seed, **options)
    except DataError:
        assert gap  # a long gap may leave nothing out of time
        return
    parts = (found.train, found.in_time, found.out_of_time, found.gap, found.immature)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(when)))
    early = np.r_[found.train, found.in_time]
    assert when[early].max() < found.cut <= when[found.out_of_time].min()
    due = pd.to_datetime(when) + pd.DateOffset(months=window)
    assert (due[np.r_[early, found.out_of_time]] <= "2022-12-31").all()
    assert (due[found.immature] > "2022-12-28").all()
    if gap:
        assert when[found.out_of_time].min() >= found.cut + np.timedelta64(28 * gap, "D")
    else:
        assert not len(found.gap)


def test_a_share_is_about_that_share_and_days_stay_whole() -> None:
    when = dates(1, n=2_000)
    found = split_in_time(when, share=0.25)
    assert len(found.out_of_time) / 2_000 == pytest.approx(0.25, abs=0.01)
    assert not set(when[found.train]) & set(when[found.out_of_time])


def test_the_strict_gap_trains_only_on_what_was_known_at_the_first_application() -> None:
    when = dates(2)
    found = split_in_time(
        when, cut="2020-06-01", as_of="2023-12-31", window_months=12, gap_months=12
    )
    assert mature_at(when[found.train], when[found.out_of_time].min(), 12).all()


def test_the_in_time_holdout_keeps_the_share_of_each_class() -> None:
    when, y = dates(3, n=1_000), np.arange(1_000) % 5 == 0
    found = split_in_time(when, in_time_share=0.2, y=y)
    before = np.r_[found.train, found.in_time]
    for value in (False, True):
        assert np.sum(y[found.in_time] == value) == round(0.2 * np.sum(y[before] == value))
    again = split_in_time(when, in_time_share=0.2, y=y)
    np.testing.assert_array_equal(again.in_time, found.in_time)
    other = split_in_time(when, in_time_share=0.2, y=y, seed=1)
    assert set(other.in_time) != set(found.in_time)


def test_dates_come_from_any_library_or_as_text() -> None:
    when = dates(4, n=50)
    expected = split_in_time(when).out_of_time
    for given_dates in (
        [str(d) for d in when],
        pd.Series(when),
        pd.Series(when).dt.date,
        polars.Series(when),
        when.astype("M8[s]"),
    ):
        np.testing.assert_array_equal(split_in_time(given_dates).out_of_time, expected)


def test_an_end_of_month_is_due_no_earlier_than_a_month_later() -> None:
    leap = np.array(["2024-01-31", "2023-02-28"], "M8[D]")
    assert mature_at(leap, np.datetime64("2024-02-29"), 1).tolist() == [False, True]
    assert mature_at(leap, np.datetime64("2024-03-01"), 1).tolist() == [True, True]


@settings(deadline=None)
@given(seed=SEEDS, n_folds=st.integers(1, 6), gap=st.integers(0, 3))
@pytest.mark.parametrize("period", ["month", "quarter"])
def test_what_trains_is_older_than_what_is_judged(
    period: Any, seed: int, n_folds: int, gap: int
) -> None:
    when = dates(seed, n=400)
    vintage = periods_of(when, period)
    folds = vintage_folds(when, n_folds, period=period, gap_periods=gap)
    assert len(folds) == n_folds
    seen: set[int] = set()
    for train, test in folds:
        assert len(train)
        assert len(test)
        assert vintage[train].max() < vintage[test].min()
        between = (vintage > vintage[train].max()) & (vintage < vintage[test].min())
        assert len(np.unique(vintage[between])) == gap
        assert set(vintage[test]).isdisjoint(vintage[np.setdiff1d(np.arange(len(when)), test)])
        assert seen.isdisjoint(test)
        seen |= set(test.tolist())


def test_blocks_are_of_about_equal_rows() -> None:
    sizes = [len(test) for _, test in vintage_folds(dates(5, n=5_000), 5)]
    assert max(sizes) < 1.4 * min(sizes)


def test_scikit_learn_takes_the_folds() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = (rng.random(400) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)
    folds = vintage_folds(dates(6, n=400), 3)
    assert len(cross_val_score(LogisticRegression(), X, y, cv=folds)) == 3


def panel(seed: int, n: int = 600) -> tuple[Any, Any, Any]:
    """Loans with an exponential time to bad, as far as it is seen by the end of 2022."""
    rng = np.random.default_rng(seed)
    when = dates(seed, n, days=1_300)
    months = np.floor(rng.exponential(40, n))
    ends = (np.datetime64("2022-12") - when.astype("M8[M]")).astype(int) - 1
    bad = (months <= ends).astype(int)
    return when, bad, np.where(bad, months, np.nan)


@pytest.mark.parametrize("period", ["month", "quarter", "year"])
def test_a_table_of_vintages_counts_as_pandas_does(period: Any) -> None:
    when, bad, months = panel(7)
    found = vintages(when, bad, as_of="2022-12-31", period=period, months_to_bad=months)
    letter = {"month": "M", "quarter": "Q", "year": "Y"}[period]
    groups = pd.Series(bad).groupby(pd.PeriodIndex(when, freq=letter))
    np.testing.assert_array_equal(found.n, groups.count())
    np.testing.assert_array_equal(found.n_bad, groups.sum())
    np.testing.assert_allclose(found.bad_rate, groups.mean())


def test_curves_rise_end_where_the_youngest_loan_is_and_say_what_counting_says() -> None:
    when, bad, months = panel(8)
    found = vintages(when, bad, as_of="2022-12-31", period="quarter", months_to_bad=months)
    assert found.curves is not None
    start = periods_of(when, "quarter")
    for k, curve in enumerate(found.curves):
        known = ~np.isnan(curve)
        assert known.sum() == found.months_seen[k] + 1
        assert known[: known.sum()].all()
        assert (np.diff(curve[known]) >= 0).all()
        mine = start == found.start[k]
        for month in (0, 6, 12):
            expected = np.mean(months[mine] <= month) if month <= found.months_seen[k] else np.nan
            np.testing.assert_allclose(found.bad_rate_at(month)[k], expected)


def test_a_young_vintage_does_not_look_good() -> None:
    when, bad, months = panel(9, n=20_000)
    found = vintages(when, bad, as_of="2022-12-31", period="year", months_to_bad=months)
    assert (np.diff(found.bad_rate) < 0).all()  # the younger, the better they seem
    at_six = found.bad_rate_at(6)[:3]
    assert np.ptp(at_six) < 0.03  # but at equal age they are alike


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_in_time([]), "got none"),
        (lambda: split_in_time(["2024-01-01", None]), r"missing in rows \[1\]"),
        (lambda: split_in_time(["2024-01-01", "2025-01-01"], as_of="2024-06-30"), r"rows \[1\]"),
        (lambda: split_in_time(["2024-01-01", "2025-01-01"], share=1.5), "shares between"),
        (lambda: split_in_time(["2024-01-01", "2024-01-01"]), "before and after the cut"),
        (lambda: split_in_time(["2024-01-01"], window_months=12), "whole performance window"),
        (lambda: split_in_time(["2024-01-01"], cut=None, as_of=None, y=[1, 2]), "y of shape"),
        (lambda: vintage_folds(["2024-01-01"], 2), "at least 3 vintages"),
        (lambda: vintage_folds(["2024-01-01"] * 3, 0), "take fewer folds"),
        (lambda: periods_of(np.array([], "M8[D]"), "week"), "period must be"),
        (lambda: vintages(["2024-01-01"], [2], as_of="2024-06-30"), "outcomes 0 and 1"),
        (
            lambda: vintages(["2024-01-01"], [1], as_of="2024-06-30", months_to_bad=[9]),
            "must be whole",
        ),
        (
            lambda: vintages(["2024-01-01"], [1], as_of="2024-06-30", months_to_bad=[1, 2]),
            "of 1 rows",
        ),
        (lambda: vintages(["2024-01-01"], [1], as_of="2024-06-30").bad_rate_at(3), "curves"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(ColumnError, match="row 0: a date"):
        known_dates(["yesterday"])
    with pytest.raises(DataError, match="as_of must be a date"):
        split_in_time(["2024-01-01"], as_of=np.datetime64("NaT"))
