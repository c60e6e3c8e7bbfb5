"""Volatility of the US market in calm and in stress: a sequence where a net that learns on forgets little.

What makes tomorrow's move large (that today's was, and what options cost) is much the same in all
periods; only the level differs. It stands beside `regimes_aba` as the case where continual learning is
not needed.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.sequence import Sequence
from bimetal.continual.sequences.maker import SequenceMaker, Split
from bimetal.continual.sequences.tabular import Piece, in_time, read_table, table_sequence

__all__ = ["VOLATILITY", "regime_periods", "volatility_regimes"]

Floats = NDArray[np.float64]
FRENCH = "https://mba.tuck.dartmouth.edu/pages/faculty/ken.french/data_library.html"
CALM_BELOW, STRESS_ABOVE = 17.0, 21.0
VIX_DAYS, MEDIAN_DAYS = 120, 250
LAGS = 10


def volatility_regimes(
    seed: int = 0, split: Split = "test", n_tasks: int | None = None, n_rows: int | None = None
) -> Sequence:
    """Return whether the US market moves more tomorrow than its median of a year, in calm and in stress.

    Parameters
    ----------
    seed, split, n_tasks, n_rows
        As in `SequenceMaker.make`; nothing is drawn.

    Raises
    ------
    DataError
        When one of the two tables is not at hand.
    """
    del seed
    factors = read_table("fama_french_5f_daily", ("date", "Mkt-RF", "RF"), FRENCH)
    vix = read_table("vix_daily", ("DATE", "CLOSE"), "https://github.com/datasets/finance-vix")
    days = factors.merge(vix.rename(columns={"DATE": "date"}), on="date").sort_values("date")
    market = (days["Mkt-RF"] + days["RF"]).to_numpy(np.float64)
    level = days["CLOSE"].to_numpy(np.float64)
    x, y, is_usable = _days(market, level)
    dates = days["date"].to_numpy().astype("datetime64[M]")
    pieces = []
    for name, start, stop in regime_periods(level):
        rows = np.arange(start, stop)[is_usable[start:stop]]
        if len(rows):
            pieces.append(Piece(f"{name} from {dates[rows[0]]}", x[rows], y[rows]))
    return table_sequence(
        "volatility_regimes", VOLATILITY.title, pieces, lambda _: in_time(gap=1), split=split,
        n_tasks=n_tasks, n_rows=n_rows, metric="accuracy",
        note=f"Days of the US market and the VIX. Stress begins when the VIX of the last {VIX_DAYS} days is "
        f"above {STRESS_ABOVE:g} on average and ends below {CALM_BELOW:g}: known on the day. Class: the "
        f"absolute return of the next day above its median of the last {MEDIAN_DAYS}.",
    )  # fmt: skip


def regime_periods(vix: Floats) -> list[tuple[str, int, int]]:
    """Return periods of calm and stress as (name, first day, day after the last), from a year's data on.

    The first period begins with the first calm after the days that the mean and the median need.

    Examples
    --------
    >>> vix = np.repeat([12.0, 40.0, 12.0], 500)
    >>> regime_periods(vix)
    [('calm', 250, 538), ('stress', 538, 1098), ('calm', 1098, 1500)]
    """
    total = np.r_[0.0, np.cumsum(vix)]
    periods: list[tuple[str, int]] = []
    for day in range(MEDIAN_DAYS, len(vix)):
        mean = (total[day + 1] - total[day + 1 - VIX_DAYS]) / VIX_DAYS
        current = periods[-1][0] if periods else ""
        if mean < CALM_BELOW and current != "calm":
            periods.append(("calm", day))
        elif mean > STRESS_ABOVE and current == "calm":
            periods.append(("stress", day))
    ends = [start for _, start in periods[1:]] + [len(vix)]
    return [(name, start, end) for (name, start), end in zip(periods, ends, strict=True)]


def _days(market: Floats, vix: Floats) -> tuple[Floats, NDArray[np.int64], NDArray[np.bool_]]:
    """Return inputs known at the close of each day, the class of the next day, and where both exist."""
    size = np.abs(market)
    windows = np.lib.stride_tricks.sliding_window_view
    n = len(market)
    columns = [_lag(v, k) for v in (market, size) for k in range(LAGS)]
    columns += [_trailing(size, k) for k in (5, 20, 60)]
    columns += [vix, *(vix - _lag(vix, k) for k in (1, 5)), vix - _trailing(vix, 60)]
    columns += [vix / np.maximum(_trailing(size, 20), 1e-9)]
    usual = np.full(n, np.nan)
    usual[MEDIAN_DAYS - 1 :] = np.median(windows(size, MEDIAN_DAYS), axis=1)
    columns += [size / np.maximum(usual, 1e-9), _trailing(size, 20) / np.maximum(usual, 1e-9)]
    x = np.column_stack(columns)
    tomorrow = np.r_[size[1:], np.nan]
    is_usable = np.isfinite(x).all(axis=1) & np.isfinite(tomorrow)
    return x, (tomorrow > usual).astype(np.int64), is_usable


def _lag(values: Floats, k: int) -> Floats:
    lagged: Floats = np.r_[np.full(k, np.nan), values[: len(values) - k]]
    return lagged


def _trailing(values: Floats, k: int) -> Floats:
    """Return the mean of the last k days, today among them."""
    total = np.r_[0.0, np.cumsum(values)]
    means: Floats = np.r_[np.full(k - 1, np.nan), (total[k:] - total[:-k]) / k]
    return means


VOLATILITY = SequenceMaker(
    "volatility_regimes",
    "moves of the US market in calm and stress",
    ("fama_french_5f_daily", "vix_daily"),
    volatility_regimes,
    n_tasks=5,
    most_tasks=5,
)
