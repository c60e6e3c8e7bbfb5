"""A monthly panel read and checked: one row an account and month, until it defaults, is repaid, or is lost sight of.

Rows after an event, or two rows of one month, are faults that would bend every hazard quietly; they
are refused here, by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column, Lists, infer_columns, require_finite, to_rows
from bimetal.columns.column import listed
from bimetal.columns.reading import read
from bimetal.columns.values import Values
from bimetal.errors import ColumnError, DataError

__all__ = ["Panel", "ages_of", "numbers_of", "read_panel", "rows_of"]

OLDEST = 1_200
"""Months on book that are believed: a hundred years."""


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel, row by row as it was given.

    Attributes
    ----------
    ids : list
        What the accounts are called, by number.
    account : numpy.ndarray
        intp (n_rows,): number of the account, 0 to n_accounts − 1, in the order of appearance.
    age : numpy.ndarray
        Months on book, int64 (n_rows,).
    default, prepay : numpy.ndarray
        Whether that happened in this month, bool (n_rows,).
    columns : tuple of Column
        The covariates.
    rows : numpy.ndarray
        Their raw rows, float32 (n_rows, n_columns).
    """

    ids: list[Any]
    account: NDArray[np.intp]
    age: NDArray[np.int64]
    default: NDArray[np.bool_]
    prepay: NDArray[np.bool_]
    columns: tuple[Column, ...]
    rows: NDArray[np.float32]

    def first(self) -> NDArray[np.intp]:
        """Return the first row of each account, intp (n_accounts,)."""
        return self._edge(reverse=False)

    def last(self) -> NDArray[np.intp]:
        """Return the last row of each account, intp (n_accounts,)."""
        return self._edge(reverse=True)

    def _edge(self, *, reverse: bool) -> NDArray[np.intp]:
        order = np.lexsort((-self.age if reverse else self.age, self.account))
        return order[np.flatnonzero(np.diff(self.account[order], prepend=-1))]


def read_panel(
    panel: Any,
    *,
    id: str,
    age: str,
    default: str,
    prepay: str | None = None,
    columns: Sequence[str] = (),
    categorical: Sequence[str] = (),
) -> Panel:
    """Read a panel.

    Parameters
    ----------
    panel : frame or Lists
        One row an account and month.
    id, age, default : str
        Columns: which account, months on book in this month (whole numbers from 0), and whether it
        defaulted in this month (0, 1 or booleans).
    prepay : str, optional
        Column: whether it was repaid in this month. Where it says both, default counts.
    columns : sequence of str
        Covariates, as known at the *beginning* of the month.
    categorical : sequence of str
        Those of them that are whole numbers but codes.

    Raises
    ------
    ColumnError
        When a column is not there, or of the wrong kind.
    DataError
        When an age or flag does not fit, an account has a month twice or rows after its event, or
        nobody defaults.

    Examples
    --------
    >>> table = Lists({"loan": ["a", "a", "b"], "month": [1, 2, 1], "bad": [0, 1, 0], "rate": [4, 4, 5]})
    >>> found = read_panel(table, id="loan", age="month", default="bad", columns=["rate"])
    >>> found.account.tolist(), found.default.tolist(), found.last().tolist()
    ([0, 0, 1], [False, True, False], [1, 2])
    """
    table = read(panel)
    if isinstance(table, np.ndarray):
        raise ColumnError("a panel with named columns expected, got an array")
    if not len(table):
        raise DataError("a panel with rows expected, got none")
    ids, account = _accounts(id, _series(table, id))
    ages = ages_of(age, numbers_of(table, age))
    bad = _flags(default, numbers_of(table, default))
    repaid = _flags(prepay, numbers_of(table, prepay)) & ~bad if prepay else np.zeros_like(bad)
    _check(ids, account, ages, bad | repaid)
    if not bad.any():
        raise DataError(f"nobody defaults: column '{default}' is 0 in all {len(bad)} rows")
    known = infer_columns(_select(table, columns), list(categorical)) if columns else ()
    return Panel(ids, account, ages, bad, repaid, known, rows_of(table, known))


def rows_of(table: Any, columns: Sequence[Column]) -> NDArray[np.float32]:
    """Return the raw rows of covariates, float32 (n_rows, n_columns); none is allowed."""
    if not columns:
        return np.zeros((len(read(table)), 0), np.float32)
    rows = to_rows(table, columns)
    require_finite(rows, columns)
    return rows


def numbers_of(table: Any, name: str) -> NDArray[np.float64]:
    """Return a column as float64, missing as NaN: money is not rounded to float32.

    Raises
    ------
    ColumnError
        When it is not there or holds no numbers.
    """
    return Values.of_series(name, _series(table, name)).numbers()


def ages_of(name: str, given: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return months on book as int64 (n_rows,), or raise `DataError`."""
    fits = (given >= 0) & (given <= OLDEST) & (given == np.floor(given))
    if not fits.all():
        row = int(np.argmin(fits))
        raise DataError(
            f"'{name}': whole months from 0 to {OLDEST} expected, got {given[row]} in row {row}"
        )
    return given.astype(np.int64)


def _series(table: Any, name: str) -> Any:
    frame = read(table)
    names = {str(column): column for column in frame.columns}
    if name not in names:
        raise ColumnError(f"there is no column '{name}' among {listed(list(names))}")
    return frame.get_column(names[name])


def _accounts(name: str, series: Any) -> tuple[list[Any], NDArray[np.intp]]:
    """Give each account a number, in the order in which they appear."""
    known: dict[Any, int] = {}
    values = series if isinstance(series, list) else series.to_list()
    numbers = [known.setdefault(value, len(known)) for value in values]
    if any(key is None or key != key for key in known):
        raise DataError(f"the account '{name}' is missing in some row; leave those rows out")
    return list(known), np.array(numbers, np.intp)


def _flags(name: str, given: NDArray[np.float64]) -> NDArray[np.bool_]:
    if not np.isin(given, (0, 1)).all():
        raise DataError(
            f"'{name}': 0 or 1 in each row expected, got {np.unique(given)[:5].tolist()}"
        )
    flags: NDArray[np.bool_] = given == 1
    return flags


def _select(table: Any, columns: Sequence[str]) -> Any:
    """Return some columns of a table as a table."""
    if isinstance(table, Lists):
        return Lists({name: _series(table, name) for name in columns})
    names = {str(column): column for column in table.columns}
    if absent := [name for name in columns if name not in names]:
        raise ColumnError(f"there are no columns {listed(absent)} among {listed(list(names))}")
    return table.select([names[name] for name in columns])


def _check(
    ids: Sequence[Any],
    account: NDArray[np.intp],
    age: NDArray[np.int64],
    event: NDArray[np.bool_],
) -> None:
    order = np.lexsort((age, account))
    same = account[order][1:] == account[order][:-1]
    for wrong, what in (
        (same & (age[order][1:] == age[order][:-1]), "have a month twice"),
        (same & event[order][:-1], "have rows after their default or repayment"),
    ):
        if wrong.any():
            named = [ids[k] for k in np.unique(account[order][1:][wrong])]
            raise DataError(
                f"one row an account and month, until its event, expected; {len(named)} accounts "
                f"{what}: {listed(named)}"
            )
