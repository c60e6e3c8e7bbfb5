"""Calibration to a long-run default rate: one shift of all scores, in whole points.

A score learned in good years, or on a sample with bads added, ranks well and states the wrong level.
Moving every log-odds by one constant keeps the ranking and sets the mean: to the rate that a bank must
hold capital for (the long-run average of one-year default rates, CRR Article 180 and EBA/GL/2017/16,
section 5.3), or to the prior of the population (Elkan, "The foundations of cost-sensitive learning",
IJCAI 2001).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.scaling import Scaling

__all__ = ["LongRun", "calibrate", "long_run_average", "mean_shift", "points_shift", "prior_shift"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LongRun:
    """A calibration.

    Attributes
    ----------
    target : float
        The rate aimed at, margin included.
    margin : float
        What of it is conservatism.
    shift : float
        Added to each log-odds of bad.
    points : int
        The same as whole points, to be added to the score (the bias of the Program).
    mean_before, mean_after : float
        Mean probability of bad before, and with the whole points added.
    """

    target: float
    margin: float
    shift: float
    points: int
    mean_before: float
    mean_after: float


def calibrate(
    points: ArrayLike,
    rate: float,
    scaling: Scaling,
    *,
    weight: ArrayLike | None = None,
    margin: float = 0.0,
) -> LongRun:
    """Shift points so that the mean probability of bad is the long-run rate.

    Parameters
    ----------
    points : array-like
        Of the portfolio that the rate is of, (n_rows,).
    rate : float
        The long-run average default rate.
    scaling : Scaling
        How points become probabilities.
    weight : array-like, optional
        Of the rows, such as one over the months that an obligor is in the sample.
    margin : float
        Margin of conservatism, added to the rate.

    Raises
    ------
    DataError
        When the rate with its margin is not between 0 and 1, the margin is negative, or points or
        weights do not fit.

    Notes
    -----
    Whole points are at most half a unit from the exact shift: with the usual scaling (20 points to
    double the odds, hundredths) odds are off by a factor of at most ``2 ** (0.005 / 20)``, 0.02 %.

    Examples
    --------
    >>> found = calibrate([54_000, 56_000, 58_000], rate=0.05, scaling=Scaling())
    >>> found.points, round(found.mean_after, 4)
    (1611, 0.05)
    """
    if not margin >= 0:
        raise DataError(f"a margin of conservatism is not negative, got {margin}")
    target = rate + margin
    given = np.asarray(points, np.float64)
    scale, offset = scaling.link()
    log_odds = offset + scale * given
    shift = mean_shift(log_odds, target, weight)
    whole = points_shift(shift, scaling)
    weights = _weights(weight, len(given))
    before, after = (
        float(_sigmoid(offset + scale * moved) @ weights) for moved in (given, given + whole)
    )
    return LongRun(target, margin, shift, whole, before, after)


def mean_shift(log_odds: ArrayLike, rate: float, weight: ArrayLike | None = None) -> float:
    """Return what to add to all log-odds so that the mean probability is `rate`.

    The mean rises strictly with the shift, so that there is exactly one; bisection finds it to the
    last bit.

    Raises
    ------
    DataError
        When the rate is not between 0 and 1, or log-odds or weights do not fit.

    Examples
    --------
    >>> round(mean_shift([0.0, 0.0], 0.2), 6)
    -1.386294
    """
    given = np.asarray(log_odds, np.float64)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise DataError(f"finite log-odds of some rows expected, got shape {given.shape}")
    wanted, weights = _logit(rate), _weights(weight, len(given))
    # At these ends every probability is at most, or at least, the rate.
    low, high = wanted - float(given.max()), wanted - float(given.min())
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return middle
        is_low = _sigmoid(given + middle) @ weights < rate
        low, high = (middle, high) if is_low else (low, middle)


def prior_shift(sample_rate: float, population_rate: float) -> float:
    """Return what to add to log-odds learned on a sample with another share of bads.

    Exact where the sample was drawn within goods and within bads at random (Elkan 2001, theorem 2).

    Raises
    ------
    DataError
        When a rate is not between 0 and 1.

    Examples
    --------
    >>> round(prior_shift(0.5, 0.02), 4)
    -3.8918
    """
    return _logit(population_rate) - _logit(sample_rate)


def points_shift(shift: float, scaling: Scaling) -> int:
    """Return a shift of log-odds of bad as whole points: rounded, at most half a unit off.

    Examples
    --------
    >>> points_shift(-np.log(2), Scaling(pdo=20, unit=100))
    2000
    """
    return round(-shift * scaling.points_per_log_odds)


def long_run_average(yearly_rates: ArrayLike) -> tuple[float, float]:
    """Return the plain mean of one-year default rates and its standard error.

    Years count alike however many obligors they had (CRR Article 180(1)(a)). The standard error,
    from the spread of the years, is a floor for a margin of conservatism: few years, and years that
    follow one another, say less than it claims.

    Raises
    ------
    DataError
        When there are fewer than two years, or a rate is outside 0 to 1.

    Examples
    --------
    >>> mean, error = long_run_average([0.02, 0.03, 0.04])
    >>> round(mean, 4), round(error, 4)
    (0.03, 0.0058)
    """
    rates = np.asarray(yearly_rates, np.float64)
    if rates.ndim != 1 or len(rates) < 2 or not ((rates >= 0) & (rates <= 1)).all():
        raise DataError(f"default rates of two years or more expected, each 0 to 1, got {rates}")
    return float(rates.mean()), float(rates.std(ddof=1) / math.sqrt(len(rates)))


def _logit(rate: float) -> float:
    if not 0 < rate < 1:
        raise DataError(f"a default rate is between 0 and 1, got {rate}")
    return math.log(rate / (1 - rate))


def _sigmoid(x: Floats) -> Floats:
    small = np.exp(-np.abs(x))
    p: Floats = np.where(x < 0, small, 1.0) / (1 + small)
    return p


def _weights(given: ArrayLike | None, n_rows: int) -> Floats:
    """Return weights that sum to 1."""
    weight = np.ones(n_rows) if given is None else np.asarray(given, np.float64)
    if weight.shape != (n_rows,) or not (weight >= 0).all() or not 0 < weight.sum() < np.inf:
        raise DataError(f"{n_rows} weights expected, not negative and not all 0")
    shares: Floats = weight / weight.sum()
    return shares
