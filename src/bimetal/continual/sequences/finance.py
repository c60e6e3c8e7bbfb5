"""Finance sequences from tables: loans by month, bankruptcy by horizon, electricity prices by period.

Each reads the folder that ``BIMETAL_DATA`` names and nothing else. Where rows have a time, tasks follow
it, and the later 30 % of a task's rows test; no input is later than the moment of the decision. For
markets see `order_books` and `volatility` beside this file.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.sequence import Sequence
from bimetal.continual.sequences.maker import SequenceMaker, Split
from bimetal.continual.sequences.tabular import (
    Piece,
    at_random,
    in_folder,
    in_time,
    require_columns,
    table_sequence,
)
from bimetal.datasets import load
from bimetal.datasets.catalog import Download
from bimetal.datasets.files import FOLDER_VARIABLE, find, how_to_get, parse, read_folder
from bimetal.errors import DataError

__all__ = ["TABLE_SEQUENCES", "bankruptcy_horizons", "elec2", "loan_vintages"]

Floats = NDArray[np.float64]

# --- loans by the month they were made in -------------------------------------------------------


def loan_vintages(
    seed: int = 0, split: Split = "test", n_tasks: int | None = None, n_rows: int | None = None
) -> Sequence:
    """Return LendingClub's loans of 2018, a task for each month of issue.

    Parameters
    ----------
    seed, split, n_tasks, n_rows
        As in `SequenceMaker.make`.

    Raises
    ------
    DataError
        When the table is not at hand.
    """
    data = load("lendingclub_2018", offline=True)
    assert data.time is not None
    months = data.time.astype("datetime64[M]")
    pieces = [
        Piece(f"vintage {month}", data.X[months == month], data.y[months == month])
        for month in np.unique(months)
    ]
    return table_sequence(
        "loan_vintages", VINTAGES.title, pieces, lambda i: at_random("loan_vintages", seed, i),
        split=split, n_tasks=n_tasks, n_rows=n_rows, special_codes=data.special_codes,
        note="Inputs are what was known when the loan was made, the lender's own grade among them. Rows "
        "have no time but their month: 30 % of each month, drawn, test. Only finished loans were sampled, "
        "so that bad loans of the late months are cut off: their rate falls for that reason.",
    )  # fmt: skip


# --- bankruptcy, so many years ahead ------------------------------------------------------------

HORIZONS = (1, 2, 3, 4, 5)
RATIOS = tuple(f"Attr{i}" for i in range(1, 65))
ARFF = Download("", reader="arff", options={"names": [*RATIOS, "class"], "na_values": ["?"]})


def bankruptcy_horizons(
    seed: int = 0, split: Split = "test", n_tasks: int | None = None, n_rows: int | None = None
) -> Sequence:
    """Return bankruptcy of Polish companies by 64 ratios, a task for each horizon that is at hand.

    Parameters
    ----------
    seed, split, n_tasks, n_rows
        As in `SequenceMaker.make`.

    Raises
    ------
    DataError
        When fewer than two of the five files are at hand; the message names those that are missing.
    """
    tables = {k: table for k in HORIZONS if (table := _horizon(k)) is not None}
    if len(tables) < 2:
        raise DataError(_missing_horizons(set(HORIZONS) - set(tables)))
    pieces = [
        Piece(f"file {k}year", table[list(RATIOS)].astype(np.float64), table["class"].to_numpy(np.int64))
        for k, table in tables.items()
    ]  # fmt: skip
    return table_sequence(
        "bankruptcy_horizons", BANKRUPTCY.title, pieces, lambda i: at_random("bankruptcy", seed, i),
        split=split, n_tasks=n_tasks, n_rows=n_rows,
        note=f"Files {', '.join(f'{k}year' for k in tables)} of UCI 365, in this order: ratios of the k-th "
        "year of a period of five, at whose end a company is bankrupt or not. Rows have no time: 30 % of "
        "each file, drawn, test.",
    )  # fmt: skip


def _horizon(k: int) -> Any:
    """Return the table of a horizon, or None."""
    path = find(f"polish_bankruptcy_{k}year")
    if path is not None:
        table = read_folder(path)
    else:
        path = in_folder("polish_bankruptcy", f"{k}year.arff")
        if path is None:
            return None
        table = parse(path.read_bytes(), ARFF)
    require_columns(table, (*RATIOS, "class"), path)
    return table


def _missing_horizons(missing: set[int]) -> str:
    there = ", ".join(f"{k}year" for k in HORIZONS if k not in missing) or "none"
    names = ", ".join(f"{k}year" for k in sorted(missing))
    return how_to_get(
        "bankruptcy_horizons",
        f"it needs two of the five files at least; there: {there}, missing: {names}",
        "https://archive.ics.uci.edu/dataset/365 (UCI id 365, 1year.arff to 5year.arff)",
        "polish_bankruptcy/<k>year.arff (or polish_bankruptcy_<k>year/polish_bankruptcy_<k>year.parquet)",
    )


# --- electricity prices -------------------------------------------------------------------------

MARKET = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
DAY = 48
ELEC2_TASKS = 10


def elec2(
    seed: int = 0, split: Split = "test", n_tasks: int | None = None, n_rows: int | None = None
) -> Sequence:
    """Return Elec2, whether electricity of New South Wales grows dear, in ten consecutive periods.

    Parameters
    ----------
    seed, split, n_tasks, n_rows
        As in `SequenceMaker.make`; nothing is drawn.

    Raises
    ------
    DataError
        When the file is not at hand.
    """
    del seed
    path = in_folder("electricity", "electricity.csv")
    if path is None:
        raise DataError(
            how_to_get(
                "elec2", f"there is no electricity/electricity.csv in the folder {FOLDER_VARIABLE}",
                "https://www.openml.org/d/151 (or the data folder of CapyMOA)", "electricity/electricity.csv",
            )
        )  # fmt: skip
    table = read_folder(path)
    require_columns(table, ("period", *MARKET, "class"), path)
    x, y = _known_before(table), _is_up(table["class"])
    pieces = [
        Piece(f"period {i + 1}", x[rows], y[rows])
        for i, rows in enumerate(np.array_split(np.arange(DAY, len(y)), ELEC2_TASKS))
    ]
    return table_sequence(
        "elec2", ELEC2.title, pieces, lambda _: in_time(), split=split, n_tasks=n_tasks, n_rows=n_rows,
        metric="accuracy",
        note="Class: the price of a half hour above its mean of a day. Prices and demands are those of the "
        "half hour before it, not of the same one as in the published file, of which the class is made, so "
        "accuracies are below those published. Victoria's columns stand still in the first periods and get "
        "no bits. Classes follow one another: the class before is a strong rival (Žliobaitė 2013).",
    )  # fmt: skip


def _is_up(classes: Any) -> NDArray[np.int64]:
    return np.isin(classes.astype(str).to_numpy(), ["UP", "1"]).astype(np.int64)


def _known_before(table: Any) -> Floats:
    """Return the time of day, the market of the half hour before, and its price less the day's mean."""
    market = table[list(MARKET)].to_numpy(np.float64)
    before = np.vstack([market[:1], market[:-1]])
    total = np.r_[np.zeros(1), np.cumsum(before[:, 0])]
    n = np.minimum(np.arange(1, len(before) + 1), DAY)
    mean = (total[1:] - total[np.arange(1, len(total)) - n]) / n
    return np.column_stack([table["period"].to_numpy(np.float64), before, before[:, 0] - mean])


VINTAGES = SequenceMaker(
    "loan_vintages",
    "loans by month of issue, LendingClub 2018",
    ("lendingclub_2018",),
    loan_vintages,
    n_tasks=12,
    most_tasks=12,
)
BANKRUPTCY = SequenceMaker(
    "bankruptcy_horizons",
    "Polish bankruptcy by horizon",
    ("polish_bankruptcy",),
    bankruptcy_horizons,
    n_tasks=5,
    most_tasks=5,
)
ELEC2 = SequenceMaker(
    "elec2", "Elec2 in ten periods", ("electricity",), elec2, ELEC2_TASKS, ELEC2_TASKS
)
TABLE_SEQUENCES: tuple[SequenceMaker, ...] = (VINTAGES, BANKRUPTCY, ELEC2)
