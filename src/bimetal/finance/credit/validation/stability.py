"""Whether today's applicants are those of the development: PSI of the score, CSI of each column, vintages.

The index is ``Σ (a − e) ln(a / e)`` over bins; of the score it is called population stability index, of
a column characteristic stability index (Siddiqi 2006). 0.10 and 0.25 are conventions, not tests: what
the same population gives by chance is chi-squared with bins − 1 degrees, times (1/n + 1/m) (Yurdakul and
Naranjo 2020, Journal of Risk Model Validation 14), and stands beside each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal import metrics
from bimetal.errors import DataError
from bimetal.finance.credit.validation.binning import Binning
from bimetal.finance.credit.validation.calibration import expected_and_actual
from bimetal.finance.credit.validation.discrimination import delong
from bimetal.finance.credit.validation.estimate import Estimate, scipy_part

__all__ = ["SMOOTHING", "Shift", "Vintage", "periods_of", "shift", "shift_of_counts", "vintages"]

SMOOTHING = "half a row is added to each bin of either side, so that none is empty"
MOST_PERIODS = 24
FEWEST_OF_A_CLASS = 10
"""Goods and bads that a period needs for an AUC."""


@dataclass(frozen=True)
class Shift:
    """One column (or the score) then and now.

    Attributes
    ----------
    name : str
    index : float
        PSI or CSI.
    by_chance : float
        What the index stays below in 95 of 100 samples of these sizes from one population.
    labels : tuple of str
    expected, actual : tuple of int
        Rows in each bin, then and now.
    n_expected, n_actual : int
    """

    name: str
    index: float
    by_chance: float
    labels: tuple[str, ...]
    expected: tuple[int, ...]
    actual: tuple[int, ...]
    n_expected: int
    n_actual: int


@dataclass(frozen=True)
class Vintage:
    """What one period shows.

    Attributes
    ----------
    period : str
    n, n_bad : int
    expected : float
        Mean probability.
    actual : Estimate
        Default rate, Jeffreys' interval.
    p_value : float
        Of equal means.
    auc : Estimate or None
        With DeLong's interval; None with fewer than 10 goods or bads.
    psi : float
        Of the score, against the reference bins.
    approved : float
        Share approved.
    """

    period: str
    n: int
    n_bad: int
    expected: float
    actual: Estimate
    p_value: float
    auc: Estimate | None
    psi: float
    approved: float


def shift(binning: Binning, then: ArrayLike, now: ArrayLike) -> Shift:
    """Compare values of a column then and now.

    Examples
    --------
    >>> ages = np.arange(1000) % 60 + 20.0
    >>> bins = Binning("age", "number", (30.0, 50.0), (), ("a", "b", "c", "missing"))
    >>> found = shift(bins, ages, ages + 15)
    >>> found.expected, found.actual, found.index > 0.25
    ((170, 340, 490), (0, 255, 745), True)
    """
    return shift_of_counts(binning, binning.counts(then), binning.counts(now))


def shift_of_counts(binning: Binning, then: NDArray[np.int64], now: NDArray[np.int64]) -> Shift:
    """Compare counts of the same bins; bins without a row on either side are left out."""
    used = np.flatnonzero(then + now)
    e, a = then[used], now[used]
    index = metrics.stability_index(e, a)
    n, m = int(e.sum()), int(a.sum())
    chance = 0.0
    if len(used) > 1:
        chance = float(scipy_part("stats").chi2.ppf(0.95, len(used) - 1)) * (1 / n + 1 / m)
    labels = tuple(binning.labels[k] for k in used)
    return Shift(binning.name, index, chance, labels, tuple(e.tolist()), tuple(a.tolist()), n, m)


def vintages(
    periods: Sequence[str],
    y: NDArray[Any],
    p: NDArray[Any],
    score: NDArray[np.float64],
    is_approved: NDArray[np.bool_],
    binning: Binning,
    reference: NDArray[np.int64],
) -> tuple[Vintage, ...]:
    """Return what each period shows, in order.

    Parameters
    ----------
    periods : sequence of str
        Of each row; see `periods_of`.
    y, p, score, is_approved : numpy.ndarray
        Of each row.
    binning : Binning
        Of the score.
    reference : numpy.ndarray
        Rows of the reference in its bins.
    """
    names = np.asarray(periods, str)
    found = []
    for name in np.unique(names):
        here = names == name
        parts = expected_and_actual(y[here], p[here])
        psi = shift_of_counts(binning, reference, binning.counts(score[here])).index
        n, n_bad = int(here.sum()), int(y[here].sum())
        has_both = min(n_bad, n - n_bad) >= FEWEST_OF_A_CLASS
        auc = delong(y[here], [-score[here]]).interval() if has_both else None
        found.append(
            Vintage(
                str(name), n, n_bad, parts.expected, parts.actual, parts.test.p_value, auc, psi,
                float(is_approved[here].mean()),
            )
        )  # fmt: skip
    return tuple(found)


def periods_of(dates: ArrayLike) -> list[str]:
    """Name the period of each date: months, quarters or years, the finest of at most 24.

    Dates, date-times, and text such as "2024-03-31" are cut so; whole numbers and other text are
    periods as they stand.

    Raises
    ------
    DataError
        When a date is missing, or there are more than 24 periods of other kinds.

    Examples
    --------
    >>> periods_of(["2024-01-15", "2024-02-01"]), periods_of([2023, 2024])
    (['2024-01', '2024-02'], ['2023', '2024'])
    """
    given = np.asarray(dates)
    days = _days(given)
    if days is None:
        names = [str(v) for v in given.tolist()]
        if len(set(names)) <= MOST_PERIODS:
            return names
        raise DataError(
            f"dates, or at most {MOST_PERIODS} periods, expected, got {len(set(names))} values such as "
            f"{names[0]!r}; turn them into dates or periods first"
        )
    if np.isnat(days).any():
        raise DataError(
            f"a date for each row expected, got {int(np.isnat(days).sum())} missing; "
            "leave these rows out or date them"
        )
    months = days.astype("datetime64[M]")
    if len(np.unique(months)) <= MOST_PERIODS:
        return [str(m) for m in months]
    years = [str(m)[:4] for m in months]
    quarters = [f"{v}-Q{(int(str(m)[5:7]) + 2) // 3}" for v, m in zip(years, months, strict=True)]
    return quarters if len(set(quarters)) <= MOST_PERIODS else years


def _days(given: NDArray[Any]) -> NDArray[np.datetime64] | None:
    """Return dates as days; None when these are no dates."""
    if given.dtype.kind == "M":
        return given.astype("datetime64[D]")
    if given.dtype.kind not in "OUT":
        return None
    known = [None if v is None or v != v else v for v in given.tolist()]
    try:
        return np.array(known, "datetime64[us]").astype("datetime64[D]")
    except (ValueError, TypeError):
        return None
