"""Conformal abstention: the band of points in which a human decides, with stated coverage.

Split conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005)
with the LAC score, 1 minus the probability of the class (Sadinle, Lei and Wasserman, JASA 114, 2019),
gives each applicant a set of outcomes, {good}, {bad}, both or none, that holds the true one with
probability at least 1 − alpha. A set of one outcome decides; both or none is referred. Because points
order the applicants, the referred ones are a band of points, and the service compares integers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.strategy import points_of

__all__ = ["BandReport", "ConformalBand", "conformal_band"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Probability = Callable[[Any], Any]
FURTHEST = 2**24
"""Points lie within ± this: up to here a float32 holds each whole number."""


@dataclass(frozen=True)
class BandReport:
    """What a band does on rows with known outcomes (rows it was not learned from, if it is to mean much).

    Attributes
    ----------
    coverage, coverage_good, coverage_bad : float
        Share of rows whose set holds the outcome: all, goods, bads.
    approved, referred, declined : float
        Shares of the rows.
    bad_among_approved, good_among_declined : float or None
        Error of the decisions made without a human; None where there are none.
    """

    coverage: float
    coverage_good: float
    coverage_bad: float
    approved: float
    referred: float
    declined: float
    bad_among_approved: float | None
    good_among_declined: float | None


@dataclass(frozen=True)
class ConformalBand:
    """A band of points to refer.

    Attributes
    ----------
    low, high : int
        Below `low` the set is {bad}, from `high` on it is {good}; ``low <= points < high`` is referred.
    alpha : float
        The outcome is outside the set with probability at most `alpha`.
    method : {"class", "marginal"}
        "class": for goods and for bads alike; "marginal": on the mean over all applicants.
    good_from, bad_to : int
        The sets: good is in from `good_from` points up, bad is in up to `bad_to` points.
    n_good, n_bad : int
        Rows that it was learned from.
    """

    low: int
    high: int
    alpha: float
    method: Literal["class", "marginal"]
    good_from: int
    bad_to: int
    n_good: int
    n_bad: int

    @property
    def coverage(self) -> float:
        """The stated coverage, 1 − alpha."""
        return 1 - self.alpha

    @property
    def refers_as(self) -> Literal["both", "none"]:
        """Whether sets in the band hold both outcomes, or (the classes being far apart) none."""
        return "both" if self.good_from <= self.bad_to else "none"

    def sets(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Return whether good and bad are in the set of each row, bool (n_rows, 2)."""
        given = points_of(points)
        return np.column_stack([given >= self.good_from, given <= self.bad_to])

    def with_cutoff(self, cutoff: int) -> tuple[int, int]:
        """Return the band to refer beside a cut-off: sets that do not decide, or contradict it.

        Where the cut-off is in the band, it is the band. Above the band (usual where a bad costs
        much more than a good earns), those from `high` up to the cut-off are {good} and would be
        declined: they are referred too; likewise below. So ``low <= cutoff <= high`` holds, all
        approved without a human are {good}, and all declined without one are {bad}.
        """
        return min(self.low, cutoff), max(self.high, cutoff)

    def report(self, points: ArrayLike, bad: ArrayLike, *, cutoff: int | None = None) -> BandReport:
        """Return coverage and shares on rows with outcomes, with the band that goes with a cut-off.

        Raises
        ------
        DataError
            When points and outcomes do not fit, or one outcome is absent.
        """
        given, y = _checked(points, bad)
        low, high = (self.low, self.high) if cutoff is None else self.with_cutoff(cutoff)
        covered = self.sets(given)[np.arange(len(y)), y]
        approved, declined = given >= high, given < low
        return BandReport(
            float(covered.mean()),
            float(covered[y == 0].mean()),
            float(covered[y == 1].mean()),
            float(approved.mean()),
            float((~approved & ~declined).mean()),
            float(declined.mean()),
            float(y[approved].mean()) if approved.any() else None,
            float(1 - y[declined].mean()) if declined.any() else None,
        )


def conformal_band(
    points: ArrayLike,
    bad: ArrayLike,
    *,
    alpha: float = 0.1,
    method: Literal["class", "marginal"] = "class",
    probability: Probability | None = None,
) -> ConformalBand:
    """Learn the band from rows that the model was not trained on.

    Parameters
    ----------
    points : array-like of int
        Higher is better, (n_rows,).
    bad : array-like
        1 for bad and 0 for good.
    alpha : float
        The largest acceptable probability that the outcome is outside the set.
    method : {"class", "marginal"}
        "class" holds the coverage for goods and for bads apart (Mondrian; Vovk 2012). "marginal"
        holds it on average only: where bads are few it may cover hardly any of them.
    probability : callable, optional
        From points to the probability of bad, falling; needed for "marginal", where the two classes
        are compared on that scale. `Scaling.probability`, say.

    Raises
    ------
    DataError
        When there are too few rows for `alpha` (``1/alpha − 1`` of each class, or in all), the
        probability rises with points, or an argument does not fit.

    Notes
    -----
    **What is promised.** If calibration rows and the next applicant are exchangeable (drawn alike, in
    any order), the set holds his outcome with probability at least 1 − alpha, over the draw of
    both; no property of the model is needed, and the +1 in ``ceil((n + 1)(1 − alpha))`` makes it exact
    for few rows. Ties make it hold with room.

    **What is not.** Drift, a changed policy, or rejects that are no longer like the accepted
    break exchangeability and the promise with it: learn the band anew, and watch coverage. It is no
    promise for one applicant or one group. And among rows decided without a human the share of errors
    may exceed alpha: it is at most alpha over their share.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bad = (rng.random(2_000) < 0.2).astype(int)
    >>> points = np.round(rng.normal(56_000 - 3_000 * bad, 2_000)).astype(int)
    >>> band = conformal_band(points[:1_000], bad[:1_000], alpha=0.1)
    >>> found = band.report(points[1_000:], bad[1_000:])
    >>> round(found.coverage_good, 2), round(found.coverage_bad, 2), round(found.referred, 2)
    (0.93, 0.91, 0.32)
    """
    if not 0 < alpha < 1:
        raise DataError(f"alpha is between 0 and 1, got {alpha}")
    given, y = _checked(points, bad)
    if method == "class":
        good_from = -_quantile(-given[y == 0], alpha, "goods")
        bad_to = _quantile(given[y == 1], alpha, "bads")
    elif method == "marginal":
        good_from, bad_to = _marginal(given, y, alpha, probability)
    else:
        raise DataError(f"method is 'class' or 'marginal', got {method!r:.80}")
    low, high = sorted((good_from, bad_to + 1))
    n_bad = int(y.sum())
    return ConformalBand(low, high, alpha, method, good_from, bad_to, len(y) - n_bad, n_bad)


def _marginal(
    points: Ints, y: Ints, alpha: float, probability: Probability | None
) -> tuple[int, int]:
    if probability is None:
        raise DataError(
            "'marginal' compares goods and bads by probability: give probability=scaling.probability"
        )
    p = _probabilities(probability, points)
    if (np.diff(p[np.argsort(points, kind="stable")]) > 0).any():
        raise DataError(
            "a probability of bad that falls as points rise expected, got one that rises"
        )
    limit = _quantile(np.where(y == 1, 1 - p, p), alpha, "rows")
    good_from = _first(lambda at: _probabilities(probability, at) <= limit)
    bad_to = _first(lambda at: 1 - _probabilities(probability, at) > limit) - 1
    return good_from, bad_to


def _probabilities(probability: Probability, points: Ints) -> Floats:
    with np.errstate(over="ignore"):  # far points have probability 0 or 1
        return np.asarray(probability(points), np.float64)


def _first(holds: Callable[[Ints], NDArray[np.bool_]]) -> int:
    """Return the lowest points at which a condition, false below and true above, holds."""
    low, high = -FURTHEST, FURTHEST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(np.array([middle]))[0] else (middle + 1, high)
    return low


def _quantile(scores: NDArray[Any], alpha: float, of: str) -> Any:
    """Return the score of rank ``ceil((n + 1)(1 − alpha))``: at least so many lie at or below it."""
    n = len(scores)
    # Whole ranks are meant where rounding would put (n + 1)(1 − alpha) a hair above one.
    rank = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    if rank > n:
        raise DataError(
            f"at least {math.ceil(1 / alpha - 1 - 1e-9)} {of} expected for alpha={alpha}, got {n}; "
            "give more rows, or a greater alpha"
        )
    return np.partition(scores, rank - 1)[rank - 1].item()


def _checked(points: ArrayLike, bad: ArrayLike) -> tuple[Ints, Ints]:
    given, y = points_of(points), np.asarray(bad)
    if y.shape != given.shape or not np.array_equal(np.unique(y), [0, 1]):
        raise DataError(
            f"outcomes 0 and 1, both of them, one for each of {len(given)} rows expected, got shape "
            f"{y.shape} with {np.unique(y)[:5].tolist()}"
        )
    return given, y.astype(np.int64)
