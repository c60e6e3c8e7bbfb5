"""Order books by the half hour, and two stocks in turns: whether the mid-price moves up or down next.

LOBSTER's free sample files of 2012-06-21 (Huang & Polak 2011) hold every event of one day. Inputs are
what the book and the last events say when an event has happened; they are free of any stock's scale. The
class is where the mid-price is ten events on; samples are ten events apart, so that no outcome overlaps
the next sample's, and one sample is left out between training and test rows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.sequence import Sequence
from bimetal.continual.sequences.maker import SequenceMaker, Split
from bimetal.continual.sequences.tabular import Piece, in_time, read_table, table_sequence

__all__ = ["ORDER_BOOK_SEQUENCES", "order_book_hours", "order_books"]

Floats = NDArray[np.float64]
PAGE = "https://lobsterdata.com/info/DataSamples.php"
N_EVENTS = 10
"""Events that an outcome looks ahead, and that samples are apart."""
WARM_UP = 200
WINDOWS = (10, 50, 200)
OPEN_NS, HALF_HOUR_NS, N_HALF_HOURS = 34_200_000_000_000, 1_800_000_000_000, 13
NEW, CANCELLED, DELETED, EXECUTED, HIDDEN, HALT = 1, 2, 3, 4, 5, 7
NOTE = (
    f"LOBSTER sample of 2012-06-21, one day. Class: the mid-price up or down {N_EVENTS} events on; samples "
    f"{N_EVENTS} events apart, those without a move left out."
)


def order_book_hours(
    seed: int = 0, split: Split = "test", n_tasks: int | None = None, n_rows: int | None = None
) -> Sequence:
    """Return the ten levels of GOOG's book over one day, a task for each half hour.

    Parameters
    ----------
    seed, split, n_tasks, n_rows
        As in `SequenceMaker.make`; nothing is drawn.

    Raises
    ------
    DataError
        When the table is not at hand.
    """
    del seed
    x, y, when = _samples("lobster_goog_l10", n_levels=10)
    pieces = [
        Piece(_clock(i), x[when == i], y[when == i])
        for i in range(N_HALF_HOURS)
        if (when == i).any()
    ]
    return table_sequence(
        "order_book_hours", HOURS.title, pieces, lambda _: in_time(gap=1), split=split, n_tasks=n_tasks,
        n_rows=n_rows, note=NOTE, metric="accuracy",
    )  # fmt: skip


def order_books(
    seed: int = 0, split: Split = "test", n_tasks: int | None = None, n_rows: int | None = None
) -> Sequence:
    """Return the best quotes of GOOG and AAPL in turns: the morning of each, then the afternoon of each.

    Parameters
    ----------
    seed, split, n_tasks, n_rows
        As in `SequenceMaker.make`; nothing is drawn.

    Raises
    ------
    DataError
        When a table is not at hand.
    """
    del seed
    stocks = {
        "GOOG": _samples("lobster_goog_l10", n_levels=1),
        "AAPL": _samples("lobster_aapl_l1", n_levels=1),
    }
    halves: dict[str, Callable[[Any], Any]] = {
        "morning": lambda when: when < N_HALF_HOURS // 2,
        "afternoon": lambda when: when >= N_HALF_HOURS // 2,
    }
    pieces = [
        Piece(f"{stock} {name}", x[is_in(when)], y[is_in(when)])
        for name, is_in in halves.items()
        for stock, (x, y, when) in stocks.items()
    ]
    return table_sequence(
        "order_books", BOOKS.title, pieces, lambda _: in_time(gap=1), split=split, n_tasks=n_tasks,
        n_rows=n_rows, metric="accuracy",
        note=f"{NOTE} Both stocks on the same day: the two mornings happen at once and are shown one after "
        "the other, as are the afternoons (from 12:30).",
    )  # fmt: skip


def _clock(half_hour: int) -> str:
    minutes = 570 + 30 * half_hour
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _samples(name: str, n_levels: int) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return inputs, classes (1 = up) and half hours of the samples of a book whose price moves."""
    columns = ("time_ns", "type", "size", "direction", "ask_price_1", "bid_price_1")
    book = read_table(name, columns, PAGE)
    book = book[book["type"] != HALT]
    column = {c: book[c].to_numpy(np.float64) for c in book.columns}
    mid = (column["ask_price_1"] + column["bid_price_1"]) / 2
    at = np.arange(WARM_UP, len(mid) - N_EVENTS, N_EVENTS)
    move = mid[at + N_EVENTS] - mid[at]
    at, up = at[move != 0], (move[move != 0] > 0).astype(np.int64)
    when = (book["time_ns"].to_numpy(np.int64)[at] - OPEN_NS) // HALF_HOUR_NS
    x = np.column_stack(_state(column, n_levels) + _recent(column, mid))
    return x[at], up, np.clip(when, 0, N_HALF_HOURS - 1)


def _state(column: dict[str, Floats], n_levels: int) -> list[Floats]:
    """Return what the book says: spread, imbalance of sizes over levels, how far the levels reach."""
    ask, bid = column["ask_price_1"], column["bid_price_1"]
    mid = (ask + bid) / 2
    inputs = [1e4 * (ask - bid) / mid]
    asks, bids = np.zeros(len(mid)), np.zeros(len(mid))
    for level in range(1, n_levels + 1):
        asks = asks + column[f"ask_size_{level}"]
        bids = bids + column[f"bid_size_{level}"]
        inputs.append((bids - asks) / np.maximum(bids + asks, 1))
        if level > 1:
            above = column[f"ask_price_{level}"] - mid
            below = mid - column[f"bid_price_{level}"]
            inputs.append((below - above) / np.maximum(below + above, 1))
    return inputs


def _recent(column: dict[str, Floats], mid: Floats) -> list[Floats]:
    """Return what the last events say: flow of orders and trades, moves, their size, and their pace."""
    kind, size, seconds = column["type"], column["size"], column["time_ns"] / 1e9
    is_trade = np.isin(kind, [EXECUTED, HIDDEN])
    # `direction` is of the resting order: a buy order is hit by a seller.
    trades = np.where(is_trade, -column["direction"] * size, 0.0)
    orders = np.where(kind == NEW, 1.0, np.where(np.isin(kind, [CANCELLED, DELETED]), -1.0, 0.0))
    orders = orders * column["direction"] * size
    steps = 1e4 * np.diff(np.log(mid), prepend=np.log(mid[0]))
    inputs = [_last(steps, 1)]
    for n in WINDOWS:
        traded, ordered = _last(np.abs(trades), n), _last(np.abs(orders), n)
        inputs += [
            _last(trades, n) / np.maximum(traded, 1),
            _last(orders, n) / np.maximum(ordered, 1),
        ]
        inputs += [_last(steps, n), _last(np.abs(steps), n), _last(is_trade.astype(float), n)]
        inputs.append(_last(np.diff(seconds, prepend=seconds[0]), n))
    return inputs


def _last(values: Floats, n: int) -> Floats:
    """Return the sum of the last n values, this one among them; of fewer at the start."""
    total = np.r_[0.0, np.cumsum(values)]
    end = np.arange(1, len(values) + 1)
    sums: Floats = total[end] - total[np.maximum(end - n, 0)]
    return sums


HOURS = SequenceMaker(
    "order_book_hours",
    "GOOG's order book by the half hour",
    ("lobster_goog_l10",),
    order_book_hours,
    n_tasks=N_HALF_HOURS,
    most_tasks=N_HALF_HOURS,
)
BOOKS = SequenceMaker(
    "order_books",
    "best quotes of GOOG and AAPL in turns",
    ("lobster_goog_l10", "lobster_aapl_l1"),
    order_books,
    n_tasks=4,
    most_tasks=4,
)
ORDER_BOOK_SEQUENCES: tuple[SequenceMaker, ...] = (HOURS, BOOKS)
