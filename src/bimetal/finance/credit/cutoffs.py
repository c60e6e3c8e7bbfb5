"""Cut-offs: where to approve, from what a mistake costs or what a loan earns.

All work on integer points, higher is better, and approve when ``points >= cutoff``; `strategy` tabulates
all cut-offs, `emp` has the expected maximum profit. A cut-off chosen on one sample is a random number:
`cutoff_interval` says how much of one.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.strategy import (
    Cutoff,
    Floats,
    column_of,
    points_of,
    strategy_curve,
)

__all__ = [
    "cutoff_by_cost",
    "cutoff_by_profit",
    "cutoff_for_approval_rate",
    "cutoff_for_bad_rate",
    "cutoff_interval",
    "profit_when_approved",
]


def cutoff_by_cost(
    points: ArrayLike,
    bad: ArrayLike,
    cost_false_approve: ArrayLike,
    cost_false_decline: ArrayLike,
    *,
    weight: ArrayLike | None = None,
) -> Cutoff:
    """Return the cut-off of least total cost.

    Parameters
    ----------
    points, bad, weight
        As for `strategy_curve`.
    cost_false_approve, cost_false_decline : float or array-like
        Of approving a bad and of declining a good, for all or for each row; not negative.

    Returns
    -------
    Cutoff
        The highest of those that cost the same: it approves no row for nothing.

    Examples
    --------
    >>> cutoff_by_cost([500, 520, 530, 540], [1, 1, 0, 0], 5.0, 1.0).cutoff
    530
    """
    p = np.asarray(bad, np.float64)
    n = len(points_of(points))
    approve = column_of("cost_false_approve", cost_false_approve, n, 0, np.inf)
    decline = column_of("cost_false_decline", cost_false_decline, n, 0, np.inf)
    return _best(points, bad, (1 - p) * decline - p * approve, weight)


def cutoff_by_profit(
    points: ArrayLike,
    bad: ArrayLike,
    amount: ArrayLike,
    margin: ArrayLike,
    lgd: ArrayLike,
    *,
    cost: ArrayLike = 0.0,
    weight: ArrayLike | None = None,
) -> Cutoff:
    """Return the cut-off of greatest profit, each applicant with his own amount.

    Parameters
    ----------
    points, bad, weight
        As for `strategy_curve`; a calibrated probability of bad gives a steadier cut-off than 0 and 1.
    amount, margin, lgd, cost : float or array-like
        See `profit_when_approved`.

    Returns
    -------
    Cutoff
        The highest of those that earn the same.

    Examples
    --------
    >>> cutoff_by_profit([500, 520, 540], [0.5, 0.2, 0.02], 1_000, margin=0.1, lgd=0.6).cutoff
    540
    """
    return _best(points, bad, profit_when_approved(bad, amount, margin, lgd, cost), weight)


def profit_when_approved(
    bad: ArrayLike, amount: ArrayLike, margin: ArrayLike, lgd: ArrayLike, cost: ArrayLike = 0.0
) -> Floats:
    """Return the expected profit of each loan: ``(1 − p)·amount·margin − p·amount·lgd − cost``.

    Parameters
    ----------
    bad : array-like
        Probability of bad, or 0 and 1.
    amount : float or array-like
        Lent, and at risk on default.
    margin : float or array-like
        Earned over the life of a good loan, as a share of the amount, after funding.
    lgd : float or array-like
        Share of the amount lost on default.
    cost : float or array-like
        Of booking and serving a loan, in money.

    Examples
    --------
    >>> profit_when_approved([0.0, 1.0], 1_000, margin=0.1, lgd=0.6).tolist()
    [100.0, -600.0]
    """
    p = np.asarray(bad, np.float64)
    n = len(np.atleast_1d(p))
    money = column_of("amount", amount, n, 0, np.inf)
    earns = column_of("margin", margin, n, -np.inf, np.inf)
    loses = column_of("lgd", lgd, n, 0, np.inf)
    profit: Floats = money * ((1 - p) * earns - p * loses)
    return profit - column_of("cost", cost, n, -np.inf, np.inf)


def cutoff_for_approval_rate(
    points: ArrayLike, bad: ArrayLike, approval_rate: float, *, weight: ArrayLike | None = None
) -> Cutoff:
    """Return the highest cut-off that approves at least this share.

    Examples
    --------
    >>> cutoff_for_approval_rate([500, 520, 530, 540], [1, 1, 0, 0], 0.6).cutoff
    520
    """
    if not 0 < approval_rate <= 1:
        raise DataError(f"an approval rate is above 0 and at most 1, got {approval_rate}")
    curve = strategy_curve(points, bad, weight=weight)
    return curve.at(int(np.flatnonzero(curve.approval_rate >= approval_rate - 1e-12)[-1]))


def cutoff_for_bad_rate(
    points: ArrayLike, bad: ArrayLike, bad_rate: float, *, weight: ArrayLike | None = None
) -> Cutoff:
    """Return the lowest cut-off whose approved are bad at no more than this rate.

    Where the bad rate does not fall all the way with the score, lower cut-offs may be out and in
    again; the lowest that holds is returned.

    Raises
    ------
    DataError
        Also when no cut-off that approves anyone holds.

    Examples
    --------
    >>> cutoff_for_bad_rate([500, 520, 530, 540], [1, 1, 0, 0], 0.4).cutoff
    520
    """
    if not 0 <= bad_rate <= 1:
        raise DataError(f"a bad rate is from 0 to 1, got {bad_rate}")
    curve = strategy_curve(points, bad, weight=weight)
    holds = np.flatnonzero(curve.bad_rate <= bad_rate + 1e-12)
    if not len(holds):
        raise DataError(
            f"no cut-off keeps the bad rate at {bad_rate:.2%}: the best is "
            f"{np.nanmin(curve.bad_rate):.2%}; allow more, or rank better"
        )
    return curve.at(int(holds[0]))


def cutoff_interval(
    choose: Callable[[NDArray[np.intp]], int],
    n_rows: int,
    *,
    n_resamples: int = 200,
    share: float = 0.95,
    seed: int = 0,
) -> tuple[int, int]:
    """Return an interval of the chosen cut-off by the bootstrap: rows drawn anew, chosen anew.

    Parameters
    ----------
    choose : callable
        From row numbers (intp, with repeats) to a cut-off.
    n_rows : int
    n_resamples : int
    share : float
        Of the resamples that the interval holds, in the middle.
    seed : int

    Returns
    -------
    (int, int)

    Raises
    ------
    DataError
        When there are no rows or resamples, or `share` is not between 0 and 1.

    Examples
    --------
    >>> points, bad = np.arange(400), np.arange(400) < 100
    >>> cutoff_interval(lambda i: cutoff_by_cost(points[i], bad[i], 1, 1).cutoff, 400)
    (100, 104)
    """
    if n_rows < 1 or n_resamples < 1 or not 0 < share < 1:
        raise DataError(
            "rows, resamples and a share between 0 and 1 expected, "
            f"got {n_rows}, {n_resamples}, {share}"
        )
    rng = np.random.default_rng(seed)
    chosen = [choose(rng.integers(0, n_rows, n_rows)) for _ in range(n_resamples)]
    low, high = np.quantile(chosen, [(1 - share) / 2, (1 + share) / 2], method="inverted_cdf")
    return int(low), int(high)


def _best(points: ArrayLike, bad: ArrayLike, gain: Floats, weight: ArrayLike | None) -> Cutoff:
    curve = strategy_curve(points, bad, profit=gain, weight=weight)
    slack = 1e-9 * max(1.0, float(np.abs(curve.profit).max()))  # sums in another order are the same
    return curve.at(int(np.flatnonzero(curve.profit >= curve.profit.max() - slack)[-1]))
