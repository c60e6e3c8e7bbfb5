"""Whether probabilities of default hold: scores of them, tests over all rows, and tests by grade.

Each function names its source. All tests take defaults for independent given the probability; where a
downturn makes many default at once, they reject too often, which the binomial test can allow for by an
asset correlation (Basel Committee 2005, Working Paper 14).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal import metrics
from bimetal.errors import DataError
from bimetal.finance.credit.validation.estimate import Estimate, scipy_part

__all__ = [
    "BrierParts",
    "Chi2Test",
    "Expected",
    "ZTest",
    "binomial_p_value",
    "brier_parts",
    "cox",
    "expected_and_actual",
    "hosmer_lemeshow",
    "jeffreys_interval",
    "jeffreys_p_value",
    "mean_loss",
    "spiegelhalter",
]

Floats = NDArray[np.float64]
Z95 = 1.959963984540054


@dataclass(frozen=True)
class BrierParts:
    """Murphy's parts of the Brier score: ``brier = reliability − resolution + uncertainty + within``.

    Attributes
    ----------
    brier, reliability, resolution, uncertainty : float
    within : float
        What the parts miss because probabilities differ inside a group (Stephenson, Coelho and Jolliffe
        2008); 0 when each group holds one probability.
    n_groups, n : int
        Groups and rows.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    n_groups: int
    n: int


@dataclass(frozen=True)
class Chi2Test:
    """A sum of squares, its degrees of freedom, and how often chance alone gives more."""

    statistic: float
    df: int
    p_value: float
    n: int


@dataclass(frozen=True)
class ZTest:
    """A statistic that is standard normal when the hypothesis holds, and its p-value of both sides."""

    z: float
    p_value: float
    n: int


@dataclass(frozen=True)
class Expected:
    """Defaults expected and seen.

    Attributes
    ----------
    expected : float
        Mean probability.
    actual : Estimate
        Default rate, with Jeffreys' interval of 95 %.
    ratio : float
        Actual over expected; above 1 the model is too hopeful.
    test : ZTest
        Of equal means, with the variance of the probabilities.
    """

    expected: float
    actual: Estimate
    ratio: float
    test: ZTest


def brier_parts(y: ArrayLike, p: ArrayLike, groups: ArrayLike) -> BrierParts:
    """Take the Brier score apart by groups (Murphy 1973, Journal of Applied Meteorology 12).

    Parameters
    ----------
    y, p : array_like of shape (n_rows,)
        Outcomes 0 and 1, and probabilities.
    groups : array_like of int, shape (n_rows,)
        Bins or grades.

    Examples
    --------
    >>> parts = brier_parts([0, 0, 1, 1], [0.2, 0.2, 0.8, 0.8], [0, 0, 1, 1])
    >>> round(parts.reliability, 3), round(parts.resolution, 3), round(parts.within, 9) + 0.0
    (0.04, 0.25, 0.0)
    """
    labels, given = _checked(y, p)
    _, place, n = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    predicted, seen = np.bincount(place, given) / n, np.bincount(place, labels) / n
    share, base = n / n.sum(), labels.mean()
    brier = metrics.brier(labels, given)
    reliability = float(share @ (predicted - seen) ** 2)
    resolution = float(share @ (seen - base) ** 2)
    uncertainty = float(base * (1 - base))
    within = brier - (reliability - resolution + uncertainty)
    return BrierParts(brier, reliability, resolution, uncertainty, within, len(n), len(labels))


def mean_loss(y: ArrayLike, p: ArrayLike, kind: Literal["brier", "log_loss"]) -> Estimate:
    """Return the Brier score or the log loss with the normal interval of a mean over rows."""
    labels, given = _checked(y, p)
    q = np.clip(given, 1e-7, 1 - 1e-7)
    losses = (
        (given - labels) ** 2
        if kind == "brier"
        else -(labels * np.log(q) + (1 - labels) * np.log1p(-q))
    )
    half = Z95 * losses.std(ddof=1) / np.sqrt(len(losses))
    value = float(losses.mean())
    return Estimate(
        value, max(0.0, value - half), value + half, len(losses), "normal 95 % of the mean"
    )


def hosmer_lemeshow(y: ArrayLike, p: ArrayLike, n_groups: int = 10) -> Chi2Test:
    """Compare expected and actual defaults in groups of equal counts (Hosmer and Lemeshow 1980).

    The rows are taken for ones that the model was not fitted on: df is the number of groups, not that
    number less 2, which holds on the rows of the fit. Rows of equal probability stay together, so that
    there may be fewer groups. With many rows it rejects any model: read it beside the picture.

    Raises
    ------
    DataError
        When labels and probabilities do not fit, or a group's probabilities are all 0 or 1.
    """
    labels, given = _checked(y, p)
    bins = metrics.reliability(labels, given, n_groups)
    variance = bins.predicted * (1 - bins.predicted) * bins.n
    if (variance <= 0).any():
        raise DataError(
            "probabilities between 0 and 1 expected, got a group of zeros or ones only; "
            "no outcome against them could come by chance"
        )
    statistic = float(((bins.n * (bins.observed - bins.predicted)) ** 2 / variance).sum())
    df = len(bins.n)
    return Chi2Test(statistic, df, float(scipy_part("stats").chi2.sf(statistic, df)), len(labels))


def spiegelhalter(y: ArrayLike, p: ArrayLike) -> ZTest:
    """Test whether the Brier score is what these probabilities let expect (Spiegelhalter 1986).

    ``Z = Σ (y − p)(1 − 2p) / √(Σ (1 − 2p)² p (1 − p))``; Statistics in Medicine 5.

    Raises
    ------
    DataError
        When labels and probabilities do not fit, or the variance is 0 (all at 0, 0.5 or 1).
    """
    labels, q = _checked(y, p)
    variance = float(((1 - 2 * q) ** 2 * q * (1 - q)).sum())
    if variance <= 0:
        raise DataError("probabilities other than 0, 0.5 and 1 expected; the test has no variance")
    return _z_test(float(((labels - q) * (1 - 2 * q)).sum() / np.sqrt(variance)), len(labels))


def cox(y: ArrayLike, p: ArrayLike) -> tuple[Estimate, Estimate]:
    """Regress outcomes on the log-odds of the probabilities (Cox 1958, Biometrika 45).

    Returns
    -------
    tuple of Estimate
        Intercept (0 is right; above 0 the model is too hopeful) with the slope held at 1, and slope (1
        is right; below 1 probabilities are too extreme), with Wald intervals of 95 %.

    Raises
    ------
    DataError
        When labels and probabilities do not fit, or the two classes do not overlap along them.
    """
    labels, given = _checked(y, p)
    q = np.clip(given, 1e-7, 1 - 1e-7)
    log_odds = np.log(q) - np.log1p(-q)
    level = _newton(labels, np.ones((len(q), 1)), log_odds)
    both = _newton(labels, np.stack([np.ones(len(q)), log_odds], axis=1), np.zeros(len(q)))
    return _wald(*level, 0, len(q)), _wald(*both, 1, len(q))


def expected_and_actual(y: ArrayLike, p: ArrayLike) -> Expected:
    """Compare the mean probability with the default rate: calibration in the large.

    The point-in-time expectation: of defaults independent given p, the count has mean Σp and variance
    Σp(1 − p).
    """
    labels, given = _checked(y, p, both=False)
    n, n_bad = len(labels), int(labels.sum())
    variance = float((given * (1 - given)).sum())
    z = float((labels - given).sum() / np.sqrt(variance)) if variance > 0 else 0.0
    low, high = jeffreys_interval(n_bad, n)
    mean = float(given.mean())
    actual = Estimate(n_bad / n, low, high, n, "Jeffreys 95 %")
    return Expected(mean, actual, n_bad / n / mean if mean > 0 else float("nan"), _z_test(z, n))


def binomial_p_value(
    n_bad: int, n: int, probability: float, *, asset_correlation: float = 0.0
) -> float:
    """Return how likely at least so many defaults are when the probability is right.

    Exact for independent defaults. With an asset correlation, defaults are independent only given the
    state of the economy (one normal factor, as in the Basel formula; Tasche 2003, arXiv cond-mat/0305038):
    the tail is averaged over it, by Gauss–Hermite quadrature of 64 points.

    Raises
    ------
    DataError
        When counts, probability or correlation are out of range.

    Examples
    --------
    >>> round(binomial_p_value(8, 100, 0.04), 4), binomial_p_value(8, 100, 0.04, asset_correlation=0.1) > 0.1
    (0.0475, True)
    """
    _check_grade(n_bad, n, probability)
    if not 0 <= asset_correlation < 1:
        raise DataError(f"an asset correlation from 0 to below 1 expected, got {asset_correlation}")
    stats = scipy_part("stats")
    if not asset_correlation or probability in (0.0, 1.0):
        return float(stats.binom.sf(n_bad - 1, n, probability))
    x, w = np.polynomial.hermite_e.hermegauss(64)
    rho = asset_correlation
    given = stats.norm.cdf((stats.norm.ppf(probability) + np.sqrt(rho) * x) / np.sqrt(1 - rho))
    return float(w @ stats.binom.sf(n_bad - 1, n, given) / w.sum())


def jeffreys_p_value(n_bad: int, n: int, probability: float) -> float:
    """Return the posterior chance that the true default rate is at most the given probability.

    The one-sided test of the European Central Bank's instructions for reporting the validation results
    of internal models (February 2019, section 2.5.3): with the prior Beta(½, ½) and `n_bad` of `n` in
    default, the posterior is Beta(n_bad + ½, n − n_bad + ½), and a small value says that the
    probability is too low.

    Raises
    ------
    DataError
        When counts or probability are out of range.

    Examples
    --------
    >>> round(jeffreys_p_value(8, 100, 0.04), 4)
    0.0304
    """
    _check_grade(n_bad, n, probability)
    return float(scipy_part("stats").beta.cdf(probability, n_bad + 0.5, n - n_bad + 0.5))


def jeffreys_interval(n_bad: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the equal-tailed interval of a rate under Jeffreys' prior.

    The lower end is 0 when nothing, the upper end 1 when everything is in default, as Brown, Cai and
    DasGupta (2001, Statistical Science 16) advise.
    """
    _check_grade(n_bad, n, 0.5)
    beta, tail = scipy_part("stats").beta(n_bad + 0.5, n - n_bad + 0.5), (1 - level) / 2
    low = 0.0 if n_bad == 0 else float(beta.ppf(tail))
    return low, 1.0 if n_bad == n else float(beta.ppf(1 - tail))


def _newton(labels: Floats, X: Floats, offset: Floats) -> tuple[Floats, Floats]:
    """Maximise the likelihood of a logistic regression; returns coefficients and covariance."""
    beta = np.zeros(X.shape[1])
    if X.shape[1] == 2:
        beta[1] = 1.0
    for _ in range(100):
        q = 1 / (1 + np.exp(-np.clip(X @ beta + offset, -500, 500)))
        information = X.T @ (X * (q * (1 - q))[:, None])
        if not np.isfinite(information).all() or np.linalg.cond(information) > 1e14:
            break
        step = np.linalg.solve(information, X.T @ (labels - q))
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            inverse: Floats = np.asarray(np.linalg.inv(information), np.float64)
            return beta, inverse
    raise DataError(
        "classes that overlap along the probabilities expected; these are told apart without a fault "
        "or all alike, so that no slope can be had"
    )


def _wald(beta: Floats, covariance: Floats, place: int, n: int) -> Estimate:
    half = Z95 * float(np.sqrt(covariance[place, place]))
    value = float(beta[place])
    return Estimate(value, value - half, value + half, n, "Wald 95 %")


def _z_test(z: float, n: int) -> ZTest:
    return ZTest(z, float(2 * scipy_part("stats").norm.sf(abs(z))), n)


def _checked(y: ArrayLike, p: ArrayLike, both: bool = True) -> tuple[Floats, Floats]:
    labels, given = np.asarray(y, np.float64), np.asarray(p, np.float64)
    if labels.ndim != 1 or labels.shape != given.shape or not len(labels):
        raise DataError(
            f"one label and one probability a row expected, got shapes {labels.shape} and {given.shape}"
        )
    if not np.isin(labels, (0, 1)).all() or (both and len(np.unique(labels)) < 2):
        raise DataError(f"labels of 0 and 1 expected, got {np.unique(labels)[:5]}")
    if not ((given >= 0) & (given <= 1)).all():
        raise DataError("probabilities from 0 to 1 expected, got NaN or others")
    return labels, given


def _check_grade(n_bad: int, n: int, probability: float) -> None:
    if not (0 <= n_bad <= n and n > 0 and 0 <= probability <= 1):
        raise DataError(
            "defaults of at most all rows and a probability from 0 to 1 expected, "
            f"got {n_bad} of {n} and {probability}"
        )
