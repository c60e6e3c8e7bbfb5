"""EMP, the expected maximum profit of a credit score, and the share that it would decline.

Verbraken, Bravo, Weber and Baesens, "Development and application of consumer credit scoring models
using profit-based classification measures" (European Journal of Operational Research 238, 2014). The
profit of one currency unit lent: declining a bad saves λ, its loss given default; declining a good
forgoes the return on investment. λ is not one number: it is 0 with probability `p_full` (paid back in
full after all), 1 with probability `p_lost`, and uniform in between. For each λ the best cut-off is
taken, and the profits are averaged. Their constants, from two Western European lenders, are defaults
here: p0 = 0.55, p1 = 0.10, ROI = 0.2644. Replace them by your own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.metrics import roc

__all__ = ["P_FULL", "P_LOST", "ROI", "Emp", "emp_credit"]

Floats = NDArray[np.float64]
P_FULL = 0.55
P_LOST = 0.10
ROI = 0.2644


@dataclass(frozen=True)
class Emp:
    """The answer of `emp_credit`.

    Attributes
    ----------
    profit : float
        Expected maximum profit over approving all, per currency unit applied for.
    decline_rate : float
        Expected share of applicants declined at the best cut-off.
    cutoff : int
        Points whose decline rate is nearest to that: approve from here.
    """

    profit: float
    decline_rate: float
    cutoff: int


def emp_credit(
    points: ArrayLike,
    bad: ArrayLike,
    *,
    p_full: float = P_FULL,
    p_lost: float = P_LOST,
    roi: float = ROI,
) -> Emp:
    """Return the expected maximum profit of a score.

    Parameters
    ----------
    points : array-like of int
        Higher is better, (n_rows,).
    bad : array-like
        1 for bad and 0 for good.
    p_full, p_lost : float
        Probability that nothing, and that all, is lost on default; the rest is uniform in between.
    roi : float
        Return on a good loan, as a share of the amount.

    Raises
    ------
    DataError
        When the probabilities are negative or sum to more than 1, `roi` is not positive, or the
        rows do not fit.

    Notes
    -----
    With π₀, π₁ the shares of bads and goods and F₀(t), F₁(t) the shares of each that score below t,
    the profit is ``λ π₀ F₀(t) − ROI π₁ F₁(t)``. Its maximum over t lies on the convex hull of the ROC
    curve and changes vertex at ``λ = (π₁ ROI / π₀) ΔF₁/ΔF₀``, so that the integral over λ is a finite sum.

    Examples
    --------
    >>> found = emp_credit([500, 510, 520, 530], [1, 1, 0, 0])
    >>> round(found.profit, 4), round(found.decline_rate, 3), found.cutoff
    (0.1375, 0.225, 510)
    """
    if min(p_full, p_lost) < 0 or p_full + p_lost > 1 or not roi > 0:
        raise DataError(
            "probabilities that sum to at most 1 and a positive roi expected, "
            f"got p_full={p_full}, p_lost={p_lost}, roi={roi}"
        )
    given = np.asarray(points)
    bads, goods = _hull(bad, given)
    share_bad = float(np.mean(np.asarray(bad, np.float64)))
    share_good = 1 - share_bad
    # Where the best vertex changes: between vertex k−1 and k.
    turns = share_good * roi / share_bad * np.diff(goods) / np.diff(bads)
    n_used = int(np.searchsorted(turns, 1.0)) + 1
    edges = np.r_[0.0, turns[: n_used - 1], 1.0]
    bads, goods = bads[:n_used], goods[:n_used]
    low, high = edges[:-1], edges[1:]
    uniform = (1 - p_full - p_lost) * (high - low)
    saved = share_bad * bads * (low + high) / 2 - roi * share_good * goods
    lost = share_bad * bads[-1] - roi * share_good * goods[-1]
    declined = share_bad * bads + share_good * goods
    rate = float(uniform @ declined + p_lost * declined[-1])
    return Emp(float(uniform @ saved + p_lost * lost), rate, _cutoff(given, rate))


def _hull(bad: ArrayLike, points: NDArray[np.generic]) -> tuple[Floats, Floats]:
    """Return the upper convex hull of (goods declined, bads declined), from (0, 0) to (1, 1)."""
    curve = roc(bad, -np.asarray(points, np.float64))
    hull: list[tuple[float, float]] = []
    for x, y in zip(curve.false_positive.tolist(), curve.true_positive.tolist(), strict=True):
        while len(hull) > 1 and _is_inside(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    goods, bads = np.array(hull).T
    # A level end (no more bads to gain) has no finite turn; no λ ever goes there.
    rising = np.r_[True, np.diff(bads) > 0]
    return bads[rising], goods[rising]


def _is_inside(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def _cutoff(points: NDArray[np.generic], decline_rate: float) -> int:
    values, counts = np.unique(points, return_counts=True)
    cutoffs = np.r_[values, values[-1] + 1]
    declined = np.r_[0, np.cumsum(counts)] / len(points)
    return int(cutoffs[np.abs(declined - decline_rate).argmin()])
