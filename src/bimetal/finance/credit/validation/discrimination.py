"""How well a score tells goods from bads: AUC, Gini, KS and H, with intervals and paired tests.

Intervals of the AUC and the test between two models on the same rows are DeLong's (DeLong, DeLong and
Clarke-Pearson 1988, Biometrics 44), by midranks as in Sun and Xu (2014, IEEE Signal Processing
Letters 21), in n log n. KS and H have no closed form: their intervals come from a bootstrap that draws
goods and bads apart. Both are maxima, which resampling drives up, so that percentiles miss the truth
far too often (in trials of 200 samples they held it in 56 to 84 of 100); with the bias taken off
(Efron and Tibshirani 1993, chapter 10) it is 91 to 98. A higher score means more likely bad.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal import metrics
from bimetal.errors import DataError
from bimetal.finance.credit.validation.estimate import Estimate, scipy_part

__all__ = [
    "AucTest",
    "Delong",
    "auc_alone",
    "auc_difference",
    "delong",
    "discrimination",
    "h_measure",
    "unpaired_auc_test",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Delong:
    """AUCs of models on the same rows, and how they vary together.

    Attributes
    ----------
    auc : numpy.ndarray
        float64 (n_models,).
    covariance : numpy.ndarray
        float64 (n_models, n_models).
    n : int
        Rows.
    method : str
        Whose estimate of the variance.
    """

    auc: Floats
    covariance: Floats
    n: int
    method: str = "DeLong"

    def interval(self, model: int = 0, level: float = 0.95) -> Estimate:
        """Return one AUC with its normal interval, cut at 0 and 1.

        Where the classes are told apart without a fault the variance is 0 and the interval a point:
        it then says nothing about other rows.
        """
        half = _z(level) * float(np.sqrt(self.covariance[model, model]))
        value = float(self.auc[model])
        how = f"{self.method} {level:.0%}"
        return Estimate(value, max(0.0, value - half), min(1.0, value + half), self.n, how)


@dataclass(frozen=True)
class AucTest:
    """A difference of two AUCs: first less second.

    Attributes
    ----------
    difference : Estimate
    z : float
        The difference in standard errors; 0 where both rank alike, infinite where nothing varies.
    p_value : float
        Of both sides.
    """

    difference: Estimate
    z: float
    p_value: float


def delong(y: ArrayLike, scores: Sequence[ArrayLike]) -> Delong:
    """Return the AUCs of several models on the same rows and DeLong's estimate of their covariance.

    Parameters
    ----------
    y : array_like of shape (n_rows,)
        0 and 1, at least two of each.
    scores : sequence of array_like of shape (n_rows,)
        Of each model; higher means more likely 1.

    Raises
    ------
    DataError
        When labels and scores do not fit each other, or a class has fewer than two rows.

    Examples
    --------
    >>> found = delong([0, 0, 0, 1, 1], [[1, 2, 4, 3, 5]])
    >>> print(found.auc.round(4), found.covariance.round(4))
    [0.8333] [[0.0556]]
    """
    if not len(scores):
        raise DataError("scores of at least one model expected, got none")
    labels, given = np.asarray(y), [np.asarray(s, np.float64) for s in scores]
    for s in given:
        metrics.roc(labels, s)  # checks shapes, labels and finite scores
    is_one = labels == 1
    m, n = int(is_one.sum()), int((~is_one).sum())
    if min(m, n) < 2:
        raise DataError(f"a variance needs at least two ones and two zeros, got {m} and {n}")
    # V10 of a one is the share of zeros below it, V01 of a zero the share of ones above it (ties half):
    # its midrank among all rows less its midrank within its class counts the other class below it.
    midranks = scipy_part("stats").rankdata
    of_all = np.stack([midranks(s) for s in given])
    v10 = np.stack([r[is_one] - midranks(s[is_one]) for r, s in zip(of_all, given, strict=True)])
    v01 = np.stack([r[~is_one] - midranks(s[~is_one]) for r, s in zip(of_all, given, strict=True)])
    v10, v01 = v10 / n, 1 - v01 / m
    covariance = np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n
    return Delong(v10.mean(axis=1), covariance, m + n)


def auc_alone(auc: float, y: ArrayLike) -> Delong:
    """Return an AUC whose scores are no longer there, with the variance that counts alone give.

    Hanley and McNeil (1982, Radiology 143): exact for exponentially distributed scores, close for others.

    Parameters
    ----------
    auc : float
        In [0, 1].
    y : array_like of shape (n_rows,)
        The outcomes it was measured on, 0 and 1.

    Examples
    --------
    >>> found = auc_alone(0.8, [0] * 50 + [1] * 50)
    >>> round(float(found.covariance[0, 0]), 6)
    0.00198
    """
    labels = np.asarray(y)
    m, n = int((labels == 1).sum()), int((labels == 0).sum())
    if min(m, n) < 2 or not 0 <= auc <= 1:
        raise DataError(
            f"an AUC in [0, 1] with at least two ones and two zeros expected, got {auc}, {m}, {n}"
        )
    two_ones, two_zeros = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = (m - 1) * (two_ones - auc**2) + (n - 1) * (two_zeros - auc**2)
    variance = (auc * (1 - auc) + spread) / (m * n)
    return Delong(np.array([auc]), np.array([[variance]]), m + n, "Hanley–McNeil")


def auc_difference(found: Delong, first: int, second: int, level: float = 0.95) -> AucTest:
    """Test whether two models on the same rows have different AUCs: `first` less `second`.

    DeLong's paired test; the two AUCs may be tied by any correlation.
    """
    c = found.covariance
    variance = float(c[first, first] + c[second, second] - 2 * c[first, second])
    gap = float(found.auc[first] - found.auc[second])
    return _test(gap, variance, found.n, level, "DeLong paired")


def unpaired_auc_test(first: Delong, second: Delong, level: float = 0.95) -> AucTest:
    """Test the first AUCs of two samples that share no row: then and now, say."""
    variance = float(first.covariance[0, 0] + second.covariance[0, 0])
    gap = float(first.auc[0] - second.auc[0])
    methods = " and ".join(dict.fromkeys((first.method, second.method)))
    return _test(gap, variance, first.n + second.n, level, f"{methods} unpaired")


def discrimination(
    y: ArrayLike, p: ArrayLike, *, n_resamples: int = 500, seed: int = 0, level: float = 0.95
) -> dict[str, Estimate]:
    """Return AUC, Gini, KS and H (both severities), each with rows and interval.

    Keys: "auc" and "gini" (DeLong), "auc_bootstrap" (the same AUC by bootstrap, as a check of the
    first), "ks", "h" (severity 1 + share, Hand and Anagnostopoulos 2014) and "h_beta_2_2" (Hand 2009)
    by bootstrap.

    Raises
    ------
    DataError
        As `delong`.
    """
    found = delong(y, [p])
    auc = found.interval(0, level)
    half = _z(level) * float(np.sqrt(found.covariance[0, 0]))
    two = Estimate(
        2 * auc.value - 1, max(-1.0, 2 * (auc.value - half) - 1),
        min(1.0, 2 * (auc.value + half) - 1), auc.n, auc.method,
    )  # fmt: skip
    curves: dict[str, Callable[[Floats, Floats], float]] = {
        "auc_bootstrap": _auc_of_counts,
        "ks": _ks_of_counts,
        "h": lambda zeros, ones: _h_of_counts(zeros, ones, None),
        "h_beta_2_2": lambda zeros, ones: _h_of_counts(zeros, ones, (2.0, 2.0)),
    }
    return {"auc": auc, "gini": two, **_resampled(y, p, curves, n_resamples, seed, level)}


def h_measure(y: ArrayLike, p: ArrayLike, severity: tuple[float, float] | None = None) -> float:
    """Return Hand's H measure: the share of avoidable loss that the score avoids, costs being uncertain.

    Hand (2009, Machine Learning 77) lets the relative cost c of turning down a good be
    Beta-distributed instead of what the AUC implies (which differs from model to model). Hand and
    Anagnostopoulos (2014, Pattern Recognition Letters 40) propose Beta(1 + share of ones,
    1 + share of zeros), whose mode is the share of ones: the default.

    Parameters
    ----------
    y : array_like of shape (n_rows,)
        0 and 1.
    p : array_like of shape (n_rows,)
        Higher means more likely 1. Only the order counts.
    severity : tuple of float, optional
        The two shapes of the Beta distribution; (2, 2) is that of 2009.

    Returns
    -------
    float
        0 (no better than the best constant decision) to 1 (faultless).

    Raises
    ------
    DataError
        When labels and scores do not fit, or a shape is not above 0.

    Examples
    --------
    >>> h_measure([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9]), h_measure([0, 1, 0, 1], [3, 3, 3, 3])
    (1.0, 0.0)
    """
    if severity is not None and min(severity) <= 0:
        raise DataError(f"shapes of a Beta distribution above 0 expected, got {severity}")
    zeros, ones = _counts_by_score(y, p)
    return _h_of_counts(zeros, ones, severity)


def _h_of_counts(zeros: Floats, ones: Floats, severity: tuple[float, float] | None) -> float:
    """H of zeros and ones at each distinct score, rising.

    The concave hull of the ROC curve is isotonic regression: its segments are the pools, the slope
    of one is the pool's share of ones s, and a threshold below a pool pays while c < s. So between
    two neighbouring shares one vertex of the hull is best for all c, and the loss of that vertex,
    ``c·zeros above + (1 − c)·ones below`` (over n), integrates to partial moments of the Beta.
    """
    n = float(zeros.sum() + ones.sum())
    share = float(ones.sum()) / n
    a, b = (1 + share, 2 - share) if severity is None else severity
    used = zeros + ones > 0
    weights = (zeros + ones)[used]
    fit = scipy_part("optimize").isotonic_regression(ones[used] / weights, weights=weights)
    starts = fit.blocks[:-1]
    shares = fit.x[starts]
    z, o = np.add.reduceat(zeros[used], starts), np.add.reduceat(ones[used], starts)
    # vertex k rejects pools k and above; it is best for c from the share of pool k − 1 to that of pool k
    above = np.r_[z[::-1].cumsum()[::-1], 0.0] / n
    below = np.r_[0.0, o.cumsum()] / n
    low, high = _moments(np.r_[0.0, shares, 1.0], a, b)
    loss = float(above @ np.diff(low) + below @ np.diff(high))
    ends, at = _moments(np.array([0.0, share, 1.0]), a, b)
    most = (1 - share) * (ends[1] - ends[0]) + share * (at[2] - at[1])
    return float(np.clip(1 - loss / most, 0, 1))


def _moments(c: Floats, a: float, b: float) -> tuple[Floats, Floats]:
    """Integrals of t·u(t) and (1 − t)·u(t) from 0 to each c, u the density of Beta(a, b)."""
    betainc = scipy_part("special").betainc
    return a / (a + b) * betainc(a + 1, b, c), b / (a + b) * betainc(a, b + 1, c)


def _auc_of_counts(zeros: Floats, ones: Floats) -> float:
    below = np.cumsum(zeros) - zeros / 2
    return float(ones @ below / (ones.sum() * zeros.sum()))


def _ks_of_counts(zeros: Floats, ones: Floats) -> float:
    gap = np.cumsum(zeros) / zeros.sum() - np.cumsum(ones) / ones.sum()
    return float(max(gap.max(), 0.0))


def _counts_by_score(y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    """Return zeros and ones at each distinct score, rising."""
    metrics.roc(y, p)  # checks shapes, labels and finite scores
    _, place = np.unique(np.asarray(p, np.float64), return_inverse=True)
    ones: Floats = np.bincount(place, np.asarray(y, np.float64)).astype(np.float64)
    zeros: Floats = np.bincount(place).astype(np.float64) - ones
    return zeros, ones


def _resampled(
    y: ArrayLike,
    p: ArrayLike,
    curves: dict[str, Callable[[Floats, Floats], float]],
    n_resamples: int,
    seed: int,
    level: float,
) -> dict[str, Estimate]:
    """Measure on the rows, and on resamples of the counts at each score, goods and bads drawn apart.

    A multinomial draw of the counts is the same as drawing rows, for whatever sees the counts only.
    """
    zeros, ones = _counts_by_score(y, p)
    n_zeros, n_ones = int(zeros.sum()), int(ones.sum())
    rng = np.random.default_rng(seed)
    draws = {name: np.empty(n_resamples) for name in curves}
    for b in range(n_resamples):
        z = rng.multinomial(n_zeros, zeros / n_zeros).astype(np.float64)
        o = rng.multinomial(n_ones, ones / n_ones).astype(np.float64)
        for name, curve in curves.items():
            draws[name][b] = curve(z, o)
    how = f"bootstrap {level:.0%}, bias taken off, {n_resamples:,} resamples"
    values = {name: curve(zeros, ones) for name, curve in curves.items()}
    return {
        name: Estimate(value, *_without_bias(value, draws[name], level), n_zeros + n_ones, how)
        for name, value in values.items()
    }


def _without_bias(value: float, draws: Floats, level: float) -> tuple[float, float]:
    """Return the normal interval around the value less what resampling adds to it, inside [0, 1]."""
    centre, half = 2 * value - float(draws.mean()), _z(level) * float(draws.std(ddof=1))
    return max(0.0, centre - half), min(1.0, centre + half)


def _test(gap: float, variance: float, n: int, level: float, how: str) -> AucTest:
    # Two models that rank alike differ by 0 with a variance of 0, both but for rounding.
    error = float(np.sqrt(max(variance, 0.0)))
    is_same = abs(gap) < 1e-12
    z = 0.0 if is_same else gap / error if error > 1e-12 else float(np.copysign(np.inf, gap))
    p_value = float(2 * scipy_part("stats").norm.sf(abs(z)))
    half = _z(level) * error
    return AucTest(Estimate(gap, gap - half, gap + half, n, f"{how} {level:.0%}"), z, p_value)


def _z(level: float) -> float:
    return float(scipy_part("stats").norm.ppf(0.5 + level / 2))
