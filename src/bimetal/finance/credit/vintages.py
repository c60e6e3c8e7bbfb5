"""Vintages: how many of each month's loans went bad, and how fast; and folds that keep them whole.

A vintage is the loans of one period. Its maturity curve is the share that has gone bad by each month
on book; it is drawn only as far as *all* of its loans have come, so that a young vintage does not
look like a good one. Where curves level off is where a performance window may end.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.dates import elapsed
from bimetal.finance.credit.splits import Days, Moment, Rows, known_dates

__all__ = ["Vintages", "periods_of", "vintage_folds", "vintages"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Period = Literal["month", "quarter", "year"]


@dataclass(frozen=True, eq=False)
class Vintages:
    """One row a vintage, in time order.

    Attributes
    ----------
    start : numpy.ndarray
        First day of each, datetime64[D] (n_vintages,).
    n, n_bad : numpy.ndarray
        Loans, and bads among them so far.
    months_seen : numpy.ndarray
        Complete months that every loan of the vintage has been on book.
    curves : numpy.ndarray or None
        Share bad by month on book 0, 1, ..., float64 (n_vintages, n_months + 1), NaN from where not
        all loans have come; None where months of default were not given.
    """

    start: Days
    n: Ints
    n_bad: Ints
    months_seen: Ints
    curves: Floats | None

    @property
    def bad_rate(self) -> Floats:
        """Share bad so far: comparable only between vintages seen for equally long."""
        rate: Floats = self.n_bad / self.n
        return rate

    def bad_rate_at(self, month: int) -> Floats:
        """Return the share bad by a month on book, NaN for vintages that are younger.

        Raises
        ------
        DataError
            When there are no curves, or none that reaches so far.
        """
        if self.curves is None or not 0 <= month < self.curves.shape[1]:
            raise DataError(f"curves that reach month {month} expected; give months_to_bad")
        return self.curves[:, month]


def vintages(
    dates: Any,
    y: ArrayLike,
    *,
    as_of: Moment,
    period: Period = "month",
    months_to_bad: ArrayLike | None = None,
) -> Vintages:
    """Tabulate vintages.

    Parameters
    ----------
    dates : array-like
        When each loan was granted; none missing.
    y : array-like
        1 for a loan that has gone bad by `as_of`, else 0.
    as_of : date
        When that was looked at.
    period : {"month", "quarter", "year"}
    months_to_bad : array-like, optional
        Complete months from grant to bad of each bad loan (ignored for the others, NaN say): gives
        the curves.

    Raises
    ------
    DataError
        When dates are missing or after `as_of`, `y` is not 0 and 1, or a loan went bad before it
        was granted or after `as_of`.

    Examples
    --------
    >>> table = vintages(["2024-01-10", "2024-01-20", "2024-02-10"], [1, 0, 0], as_of="2024-06-30",
    ...                  months_to_bad=[2, np.nan, np.nan])
    >>> table.n.tolist(), table.months_seen.tolist()
    ([2, 1], [5, 4])
    >>> table.curves
    array([[0. , 0. , 0.5, 0.5, 0.5, 0.5], [0. , 0. , 0. , 0. , 0. , nan]])
    """
    days, bad = known_dates(dates, as_of), np.asarray(y)
    if bad.shape != days.shape or not np.isin(bad, (0, 1)).all():
        raise DataError(f"outcomes 0 and 1 of {len(days)} rows expected, got shape {bad.shape}")
    start, vintage, n = np.unique(periods_of(days, period), return_inverse=True, return_counts=True)
    on_book = elapsed(days, known_dates([as_of])[0], "months").astype(np.int64)
    seen = np.full(len(start), np.iinfo(np.int64).max)
    np.minimum.at(seen, vintage, on_book)
    n_bad = np.bincount(vintage, bad, len(start)).astype(np.int64)
    curves = None
    if months_to_bad is not None:
        month = _months(months_to_bad, bad == 1, on_book)
        curves = _curves(vintage[bad == 1], month, n, seen)
    return Vintages(start, n.astype(np.int64), n_bad, seen, curves)


def _months(given: ArrayLike, bad: NDArray[np.bool_], on_book: Ints) -> Ints:
    months = np.asarray(given, np.float64)
    if months.shape != bad.shape:
        raise DataError(f"months_to_bad of {len(bad)} rows expected, got shape {months.shape}")
    months = months[bad]
    if not ((months >= 0) & (months <= on_book[bad]) & (months == np.floor(months))).all():
        raise DataError(
            "months_to_bad must be whole, from 0 to the months that the loan has been on book; "
            "leave out what happened after as_of"
        )
    return months.astype(np.int64)


def _curves(vintage: Rows, month: Ints, n: Rows, seen: Ints) -> Floats:
    longest = int(seen.max())
    counts = np.zeros((len(n), longest + 1))
    known = month <= longest
    np.add.at(counts, (vintage[known], month[known]), 1)
    curves: Floats = np.cumsum(counts, axis=1) / n[:, None]
    curves[np.arange(longest + 1) > seen[:, None]] = np.nan
    return curves


def periods_of(days: Days, period: str) -> Days:
    """Return the first day of the vintage of each date, datetime64[D] (n_rows,)."""
    lengths = {"month": 1, "quarter": 3, "year": 12}
    if period not in lengths:
        raise DataError(f"period must be one of {', '.join(lengths)}, got {period!r:.80}")
    months = days.astype("M8[M]").astype(np.int64)
    first: Days = (months // lengths[period] * lengths[period]).astype("M8[M]").astype("M8[D]")
    return first


def vintage_folds(
    dates: Any,
    n_folds: int = 5,
    *,
    period: Period = "month",
    gap_periods: int = 0,
) -> list[tuple[Rows, Rows]]:
    """Return folds in which all that trains is older than all that is judged.

    Vintages stay whole. They are dealt in time order into ``n_folds + 1`` blocks of about equal
    rows; fold k trains on blocks 0 to k and is judged on block k + 1. scikit-learn takes the list as
    `cv`.

    Parameters
    ----------
    dates : array-like
        When each application was decided; none missing.
    n_folds : int
    period : {"month", "quarter", "year"}
        What a vintage is.
    gap_periods : int
        Vintages left out of training just before those judged, whose outcomes were not known then.

    Raises
    ------
    DataError
        When a date is missing or there are too few vintages.

    Examples
    --------
    >>> months = np.arange("2020-01", "2020-07", dtype="M8[M]")
    >>> [(a.tolist(), b.tolist()) for a, b in vintage_folds(months, 2)]
    [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    """
    days = known_dates(dates)
    _, vintage, counts = np.unique(
        periods_of(days, period), return_inverse=True, return_counts=True
    )
    n_blocks = n_folds + 1
    if n_folds < 1 or gap_periods < 0 or len(counts) < n_blocks + gap_periods:
        raise DataError(
            f"at least {max(1, n_folds) + 1 + max(0, gap_periods)} vintages expected for {n_folds} "
            f"folds with a gap of {gap_periods}, got {len(counts)}; take fewer folds or shorter periods"
        )
    starts = _blocks(counts, n_blocks, gap_periods)
    ends = [*starts[1:], len(counts)]
    return [
        (
            np.flatnonzero(vintage < start - gap_periods),
            np.flatnonzero((vintage >= start) & (vintage < end)),
        )
        for start, end in zip(starts, ends, strict=True)
    ]


def _blocks(counts: Rows, n_blocks: int, gap: int) -> list[int]:
    """Return the first vintage of blocks 1, 2, ...: near equal rows, each with a vintage of its own."""
    before = np.r_[0, np.cumsum(counts)]
    starts: list[int] = []
    for k in range(1, n_blocks):
        least = (starts[-1] + 1) if starts else 1 + gap
        most = len(counts) - (n_blocks - k)
        wanted = int(np.abs(before - before[-1] * k / n_blocks).argmin())
        starts.append(min(max(wanted, least), most))
    return starts
