"""The strategy curve: for every cut-off who would be approved, how many go bad, what they earn.

The table that a credit committee looks at before it chooses. Points are whole numbers, higher is better;
approve when ``points >= cutoff``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError

__all__ = ["Cutoff", "StrategyCurve", "column_of", "points_of", "strategy_curve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StrategyCurve:
    """What each cut-off would have done: one entry a distinct value of points, and one above all.

    Attributes
    ----------
    cutoff : numpy.ndarray
        Rising, int64 (n_cutoffs,).
    approval_rate : numpy.ndarray
        Share approved, from 1 down to 0.
    bad_rate : numpy.ndarray
        Share of bads among those approved; NaN where nobody is.
    profit : numpy.ndarray
        Sum of what the approved earn; 0 where nobody is approved.
    """

    cutoff: Ints
    approval_rate: Floats
    bad_rate: Floats
    profit: Floats

    def at(self, index: int) -> "Cutoff":
        """Return the cut-off of one entry."""
        bad_rate = float(self.bad_rate[index])
        return Cutoff(
            int(self.cutoff[index]),
            float(self.approval_rate[index]),
            None if np.isnan(bad_rate) else bad_rate,
            float(self.profit[index]),
        )


@dataclass(frozen=True)
class Cutoff:
    """A cut-off and what it does on the rows it was chosen on.

    Attributes
    ----------
    cutoff : int
        Approve when ``points >= cutoff``.
    approval_rate : float
    bad_rate : float or None
        Among those approved; None when nobody is.
    profit : float
        Sum of what the approved earn (by cost: what is saved against declining all).
    """

    cutoff: int
    approval_rate: float
    bad_rate: float | None
    profit: float


def strategy_curve(
    points: ArrayLike,
    bad: ArrayLike,
    *,
    profit: ArrayLike = 0.0,
    weight: ArrayLike | None = None,
) -> StrategyCurve:
    """Tabulate all cut-offs.

    Parameters
    ----------
    points : array-like of int
        (n_rows,).
    bad : array-like
        1 for bad and 0 for good, or the probability of bad.
    profit : float or array-like
        What each row earns when approved (negative: loses); a declined row earns 0.
    weight : array-like, optional
        Of the rows.

    Raises
    ------
    DataError
        When points are no whole numbers, or lengths or ranges do not fit. All functions here do.

    Examples
    --------
    >>> curve = strategy_curve([500, 520, 520, 540], [1, 0, 1, 0], profit=[-5, 1, -5, 1])
    >>> curve.cutoff.tolist(), curve.profit.tolist()
    ([500, 520, 540, 541], [-8.0, -3.0, 1.0, 0.0])
    """
    given = points_of(points)
    p = column_of("bad", bad, len(given), 0, 1)
    w = column_of("weight", 1.0 if weight is None else weight, len(given), 0, np.inf)
    if not w.sum() > 0:
        raise DataError("weights that are not all 0 expected")
    gain = column_of("profit", profit, len(given), -np.inf, np.inf)
    cutoff, group = np.unique(given, return_inverse=True)
    n, bads, earned = (_at_least(group, value) for value in (w, w * p, w * gain))
    with np.errstate(invalid="ignore"):
        rate = bads / n
    return StrategyCurve(np.r_[cutoff, cutoff[-1] + 1], n / n[0], rate, earned)


def _at_least(group: NDArray[np.intp], values: Floats) -> Floats:
    """Return for each group the sum over rows in it or above, and 0 above all."""
    sums: Floats = np.r_[np.cumsum(np.bincount(group, values)[::-1])[::-1], 0.0]
    return sums


def points_of(given: ArrayLike) -> Ints:
    """Return points as int64 (n_rows,), or raise `DataError`."""
    points = np.asarray(given)
    if points.ndim != 1 or not len(points) or points.dtype.kind not in "iu":
        raise DataError(
            f"whole points of some rows expected, got {points.dtype} of shape {points.shape}"
        )
    return points.astype(np.int64)


def column_of(name: str, given: ArrayLike, n_rows: int, low: float, high: float) -> Floats:
    """Return one number a row, float64 (n_rows,), or raise `DataError` when it does not fit."""
    values = np.asarray(given, np.float64)
    if values.shape not in ((), (n_rows,)):
        raise DataError(f"{name}: one number, or one a row ({n_rows}) expected, got {values.shape}")
    if not (np.isfinite(values) & (values >= low) & (values <= high)).all():
        raise DataError(f"{name} must be finite and from {low:g} to {high:g}")
    full: Floats = np.broadcast_to(values, (n_rows,))
    return full
