"""When a challenger has earned the champion's place: paired differences, and a rule that only advises.

Months are not independent (a bad one is followed by a bad one), so the uncertainty of a mean over chunks
of time comes from resampling runs of neighbouring chunks: the circular block bootstrap (Politis & Romano
1992). Both models are asked about the same rows, so what is resampled is their difference.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError

__all__ = [
    "Advice",
    "Difference",
    "Promotion",
    "advise",
    "block_bootstrap",
    "difference",
    "gini_stability",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Promotion:
    """When a challenger may take over: a rule to advise people by, written down before the comparison.

    Attributes
    ----------
    by : float, default 0.0
        The mean gain over the champion must be above this, in units of the metric,
    confidence : float, default 0.95
        with this (one-sided) confidence,
    n_chunks : int, default 3
        at the end of so many chunks in a row,
    least_chunks : int, default 6
        none of which is among the first so many less one: a few months prove nothing.

    Raises
    ------
    DataError
        When a number is out of its range.
    """

    by: float = 0.0
    confidence: float = 0.95
    n_chunks: int = 3
    least_chunks: int = 6

    def __post_init__(self) -> None:
        if not (math.isfinite(self.by) and 0.5 <= self.confidence < 1):
            raise DataError(
                "a gain that is finite and a confidence from 0.5 to below 1 expected, got "
                f"by={self.by} and confidence={self.confidence}"
            )
        if self.n_chunks < 1 or self.least_chunks < 2:
            raise DataError(
                "n_chunks must be at least 1 and least_chunks at least 2, got "
                f"{self.n_chunks} and {self.least_chunks}"
            )

    def words(self) -> str:
        """Return the rule as a sentence."""
        return (
            f"better by more than {self.by:g} on average, with {self.confidence:.0%} confidence, "
            f"at the end of {self.n_chunks} chunks in a row, from the {self.least_chunks}th on"
        )


@dataclass(frozen=True)
class Difference:
    """The mean gain over the champion and its interval; positive is better, whatever the metric.

    Attributes
    ----------
    mean, low, high : float
        Mean over chunks, each counting alike, and the two-sided interval.
    n_chunks : int
        Chunks in which the metric is defined.
    """

    mean: float
    low: float
    high: float
    n_chunks: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]".replace("-", "−")


@dataclass(frozen=True)
class Advice:
    """What the rule says of one challenger.

    Attributes
    ----------
    promotes : bool
        Whether the rule is met at the end of the last chunk.
    at : int or None
        Number of the first chunk at the end of which it was met. Evidence can fade: met once and not met
        now is no advice to promote.
    lower : tuple of float
        Lower bound of the gain at the end of each chunk; NaN where there were too few.
    """

    promotes: bool
    at: int | None
    lower: tuple[float, ...]


def block_bootstrap(
    values: ArrayLike, length: int | None = None, n_resamples: int = 1000, seed: int = 0
) -> Floats:
    """Return means of resampled series: runs of neighbours, the last one followed by the first.

    Parameters
    ----------
    values : array_like of shape (n,)
        In the order of time.
    length : int, optional
        Of a run; by default the cube root of n, rounded up.
    n_resamples, seed : int
        How many, and of the draws.

    Returns
    -------
    numpy.ndarray
        float64 (n_resamples,).

    Raises
    ------
    DataError
        When there are no values, or the length is not from 1 to n.

    Examples
    --------
    >>> block_bootstrap([0.5, 0.5, 0.5], n_resamples=3)
    array([0.5, 0.5, 0.5])
    """
    x = np.asarray(values, np.float64)
    n = len(x)
    wanted = math.ceil(round(n ** (1 / 3), 9)) if length is None else length
    if x.ndim != 1 or not 1 <= wanted <= n:
        raise DataError(f"a block of 1 to {n} values expected, got {wanted}; lengthen the series")
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, n, (n_resamples, -(-n // wanted), 1))
    runs = (starts + np.arange(wanted)) % n
    return np.asarray(x[runs.reshape(n_resamples, -1)[:, :n]].mean(axis=1))


def difference(
    gains: ArrayLike,
    confidence: float = 0.95,
    length: int | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Return the mean of gains by chunk with its block-bootstrap interval; NaN chunks are left out.

    Raises
    ------
    DataError
        When no gain is a number.
    """
    all_gains = np.asarray(gains, np.float64)
    known = all_gains[~np.isnan(all_gains)]
    means = block_bootstrap(known, length, n_resamples, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(float(known.mean()), float(low), float(high), len(known))


def advise(
    gains: ArrayLike,
    rule: Promotion,
    length: int | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Advice:
    """Return what a rule says of gains by chunk, looking at the end of each chunk at those so far.

    To look again and again finds chance gains more often than the confidence says; that several chunks
    in a row must agree makes up for much of that, not for all of it.
    """
    each = np.asarray(gains, np.float64)
    lower = np.full(len(each), np.nan)
    for i in range(len(each)):
        known = each[: i + 1][~np.isnan(each[: i + 1])]
        if len(known) >= rule.least_chunks:
            means = block_bootstrap(known, length, n_resamples, seed)
            lower[i] = np.quantile(means, 1 - rule.confidence)
    n_met, at = 0, None
    for i, is_met in enumerate(lower > rule.by):
        n_met = n_met + 1 if is_met else 0
        if n_met >= rule.n_chunks and at is None:
            at = i
    return Advice(n_met >= rule.n_chunks, at, tuple(lower.tolist()))


def gini_stability(ginis: ArrayLike) -> float:
    """Return mean Gini, less a falling trend, less the spread around it: a convention, not a law.

    ``mean + 88 · min(0, slope) − 0.5 · std of the residuals`` of a straight line through the Ginis of
    consecutive weeks, as the Home Credit competition of 2024 ranked models. The 88 was made for some
    ninety weeks; with other periods compare models, and not the number with other people's.

    Parameters
    ----------
    ginis : array_like of shape (n_chunks,)
        In the order of time; NaN chunks are left out.

    Raises
    ------
    DataError
        When fewer than two of them are numbers.

    Examples
    --------
    >>> round(gini_stability([0.5, 0.5, 0.5]), 6), round(gini_stability([0.51, 0.50, 0.49]), 6)
    (0.5, -0.38)
    """
    all_ginis: Any = np.asarray(ginis, np.float64)
    known = ~np.isnan(all_ginis)
    t, g = np.flatnonzero(known).astype(np.float64), all_ginis[known]
    if len(g) < 2:
        raise DataError(f"a trend needs the Ginis of two chunks at least, got {len(g)}")
    slope, level = np.polyfit(t, g, 1)
    return float(g.mean() + 88 * min(0.0, slope) - 0.5 * (g - slope * t - level).std())
