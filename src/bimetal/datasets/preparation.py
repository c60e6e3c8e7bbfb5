"""From a published table to features, time and split: what one row of the catalogue cannot say."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Prepared", "as_it_is", "bank_marketing", "lendingclub", "openintro", "sba"]

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


class Prepared(NamedTuple):
    """A pandas table, the time of each row, and the part each row belongs to."""

    table: Any
    time: NDArray[np.datetime64] | None = None
    split: NDArray[np.str_] | None = None


def as_it_is(table: Any) -> Prepared:
    """Change nothing."""
    return Prepared(table)


def lendingclub(table: Any) -> Prepared:
    """Turn years of employment and the term into numbers; split at the end of June."""
    issued = table["issue_d"].to_numpy().astype("datetime64[D]")
    years = table["emp_length"].str.replace("< 1", "0").str.extract(r"(\d+)")[0].astype(float)
    months = table["term"].str.extract(r"(\d+)")[0].astype(float)
    features = table.assign(emp_length=years, term=months).drop(columns="issue_d")
    return Prepared(features, issued, _halves(issued < np.datetime64("2018-07-01")))


def openintro(table: Any) -> Prepared:
    """Turn the year of the first credit line into years of history, the month into time."""
    month = table["issue_month"].str[:3].str.lower().map(MONTHS.index).to_numpy()
    issued = np.datetime64("2018-01") + month.astype("timedelta64[M]")
    features = table.assign(credit_history_years=2018 - table["earliest_credit_line"])
    features = features.drop(columns=["issue_month", "earliest_credit_line"])
    return Prepared(features, issued.astype("datetime64[D]"))


def sba(table: Any) -> Prepared:
    """Read the approval date (days since 1960, as SAS counts) and the article's split."""
    days = table["ApprovalDate"].to_numpy().astype("timedelta64[D]")
    return Prepared(table, np.datetime64("1960-01-01") + days, _halves(table["Selected"] == 1))


def bank_marketing(table: Any) -> Prepared:
    """Reckon the year of each call: from May 2008 on, in order, a lower month is a new year."""
    month = table["month"].map(MONTHS.index).to_numpy()
    year = np.cumsum(np.diff(month, prepend=month[:1]) < 0)
    called = np.datetime64("2008-01") + (12 * year + month).astype("timedelta64[M]")
    return Prepared(table, called.astype("datetime64[D]"))


def _halves(is_train: Any) -> NDArray[np.str_]:
    return np.where(np.asarray(is_train), "train", "test")
