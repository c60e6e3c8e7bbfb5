"""Splits in time: train on the past, judge on what came later, and only on outcomes that are known.

An application is good or bad only once its performance window (twelve months, say) has passed. A loan
granted last month that has not defaulted is not good, it is young: such rows are *immature* and are
neither trained nor judged on. Siddiqi, "Intelligent Credit Scoring" (2nd ed. 2017), chapter 4.
"""

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.columns.column import listed
from bimetal.errors import DataError
from bimetal.finance.credit.dates import to_days

__all__ = ["Days", "Moment", "Rows", "TimeSplit", "known_dates", "mature_at", "split_in_time"]

Rows = NDArray[np.intp]
Days = NDArray[np.datetime64]
Moment = str | datetime.date | np.datetime64


@dataclass(frozen=True, eq=False)
class TimeSplit:
    """Row numbers of each part, rising; no row is in two.

    Attributes
    ----------
    train : numpy.ndarray
        Before the cut, to learn from.
    in_time : numpy.ndarray
        Before the cut, drawn at random and held out: what a model of the same months would meet.
    out_of_time : numpy.ndarray
        From the cut on (plus the gap), with known outcomes.
    gap : numpy.ndarray
        Between the two, left out.
    immature : numpy.ndarray
        Outcome not known yet, left out.
    cut, as_of : numpy.datetime64
        First day that is out of time, before the gap; day on which outcomes were looked at.
    """

    train: Rows
    in_time: Rows
    out_of_time: Rows
    gap: Rows
    immature: Rows
    cut: np.datetime64
    as_of: np.datetime64


def split_in_time(
    dates: Any,
    *,
    cut: Moment | None = None,
    share: float = 0.2,
    as_of: Moment | None = None,
    window_months: int = 0,
    gap_months: int = 0,
    in_time_share: float = 0.0,
    y: ArrayLike | None = None,
    seed: int = 0,
) -> TimeSplit:
    """Split rows into development, in-time hold-out and out-of-time rows.

    Parameters
    ----------
    dates : array-like
        When each application was decided; none missing.
    cut : date, optional
        First day out of time; by default the day from which about `share` of the mature rows come.
        Rows of one day stay together.
    share : float
        See `cut`.
    as_of : date, optional
        When outcomes were looked at; by default the last of the dates, which with a window is too
        early (nothing after it is lost, but rows may be called immature that are not): state it.
    window_months : int
        Months until an outcome counts: rows younger than that on `as_of` are immature.
    gap_months : int
        Months left out after the cut. With ``gap_months=window_months`` every training outcome was
        known when the first out-of-time application came: the strict reading, at the cost of rows.
    in_time_share : float
        Of the rows before the cut, drawn at random and held out (stratified where `y` is given).
    y : array-like, optional
        Classes, to stratify by.
    seed : int
        Of the draw.

    Raises
    ------
    DataError
        When a date is missing or after `as_of`, a share or number of months does not fit, or a part
        comes out empty.

    Examples
    --------
    >>> months = np.arange("2020-01", "2022-01", dtype="M8[M]")
    >>> found = split_in_time(months, cut="2020-10-01", as_of="2021-12-31", window_months=12)
    >>> len(found.train), len(found.out_of_time), len(found.immature)
    (9, 3, 12)
    """
    days = known_dates(dates, as_of)
    if not (0 < share < 1 and 0 <= in_time_share < 1 and window_months >= 0 and gap_months >= 0):
        raise DataError(
            "shares between 0 and 1 and months of 0 or more expected, got "
            f"{share}, {in_time_share}, {window_months}, {gap_months}"
        )
    seen = _moment(as_of, "as_of") if as_of is not None else days.max()
    is_mature = mature_at(days, seen, window_months)
    start = _moment(cut, "cut") if cut is not None else _cut(days[is_mature], share)
    is_late = is_mature & (days >= start)
    out_of_time = is_late & (days >= _later(np.asarray(start), gap_months))
    early = np.flatnonzero(is_mature & (days < start))
    held = _drawn(early, in_time_share, y, len(days), seed)
    found = TimeSplit(
        np.setdiff1d(early, held),
        held,
        np.flatnonzero(out_of_time),
        np.flatnonzero(is_late & ~out_of_time),
        np.flatnonzero(~is_mature),
        start,
        seen,
    )
    if not len(found.train) or not len(found.out_of_time):
        raise DataError(
            f"rows before and after the cut expected, got {len(found.train)} to train and "
            f"{len(found.out_of_time)} out of time (cut {start}, as of {seen}, "
            f"{len(found.immature)} immature); move the cut, or shorten window and gap"
        )
    return found


def known_dates(dates: Any, as_of: Moment | None = None) -> Days:
    """Return dates as datetime64[D] (n_rows,).

    Raises
    ------
    DataError
        When one is missing, or lies after `as_of`; row numbers count from 0.
    """
    days = to_days("dates", dates if hasattr(dates, "dtype") else list(dates))
    if not len(days):
        raise DataError("dates of some rows expected, got none")
    if (absent := np.flatnonzero(np.isnat(days))).size:
        raise DataError(
            f"dates are missing in rows {listed(absent.tolist())}; leave those rows out"
        )
    if as_of is None:
        return days
    seen = _moment(as_of, "as_of")
    if (future := np.flatnonzero(days > seen)).size:
        raise DataError(
            f"{future.size} of {len(days)} dates lie after {seen}, the day that outcomes were "
            f"looked at, in rows {listed(future.tolist())}; correct them, or leave those rows out"
        )
    return days


def mature_at(days: Days, as_of: np.datetime64, window_months: int) -> NDArray[np.bool_]:
    """Tell which rows have had their whole performance window by a day, bool (n_rows,)."""
    mature: NDArray[np.bool_] = _later(days, window_months) <= as_of
    return mature


def _later(days: Days, n_months: int) -> Days:
    """Return days some months later; a day that the month lacks becomes the first of the next."""
    months = days.astype("M8[M]")
    first = (months + np.timedelta64(n_months, "M")).astype("M8[D]")
    following = (months + np.timedelta64(n_months + 1, "M")).astype("M8[D]")
    later: Days = np.minimum(first + (days - months.astype("M8[D]")), following)
    return later


def _moment(given: Moment, name: str) -> np.datetime64:
    day: np.datetime64 = to_days(name, [given])[0]
    if np.isnat(day):
        raise DataError(f"{name} must be a date, got {given!r:.80}")
    return day


def _cut(days: Days, share: float) -> np.datetime64:
    if not len(days):
        raise DataError("no row has had its whole performance window; state a later as_of")
    ordered = np.sort(days)
    day: np.datetime64 = ordered[len(days) - max(1, round(share * len(days)))]
    return day


def _drawn(early: Rows, share: float, y: ArrayLike | None, n_rows: int, seed: int) -> Rows:
    """Draw the in-time hold-out: its share of each class."""
    labels = np.zeros(n_rows) if y is None else np.asarray(y)
    if labels.shape != (n_rows,):
        raise DataError(f"y of shape ({n_rows},) expected, got {labels.shape}")
    rng = np.random.default_rng(seed)
    drawn = [
        rng.permutation(rows)[: round(share * len(rows))]
        for rows in (early[labels[early] == value] for value in np.unique(labels[early]))
    ]
    return np.sort(np.concatenate([np.zeros(0, np.intp), *drawn]))
