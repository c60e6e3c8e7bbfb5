"""How good a credit score is: ranking (AUC, Gini, KS), probabilities (Brier, log loss), stability (PSI).

All for two classes: `y` holds 0 and 1, `p` the probability of 1 (for the ranking measures any
score). NumPy only, so that a service can watch a model with the same code that judged it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError

__all__ = [
    "Reliability",
    "Roc",
    "auc",
    "bootstrap_auc",
    "brier",
    "gini",
    "interval",
    "ks",
    "log_loss",
    "reliability",
    "roc",
    "stability_index",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Roc:
    """The ROC curve: one point a distinct score, from the highest score down.

    Attributes
    ----------
    false_positive, true_positive : numpy.ndarray
        Shares of the zeros and of the ones that score at least `threshold`; float64 (n_points,).
    threshold : numpy.ndarray
        The first is infinite: nobody is above it.
    """

    false_positive: Floats
    true_positive: Floats
    threshold: Floats


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predicted against observed, in bins of equal counts.

    Attributes
    ----------
    predicted, observed : numpy.ndarray
        Mean probability and share of ones in each bin; float64 (n_bins,).
    low, high : numpy.ndarray
        The 95 % Wilson interval of `observed`.
    n : numpy.ndarray
        Rows in each bin.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    n: NDArray[np.intp]


def roc(y: ArrayLike, p: ArrayLike) -> Roc:
    """Return the ROC curve.

    Raises
    ------
    DataError
        When `y` and `p` differ in length, `y` holds something else than both 0 and 1, or `p` is
        not finite. All functions of this module do.

    Examples
    --------
    >>> roc([0, 1, 1], [0.1, 0.8, 0.7]).true_positive
    array([0. , 0.5, 1. , 1. ])
    """
    labels, scores = _checked(y, p)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    ones = np.cumsum(labels[order])[last]
    zeros = last + 1 - ones
    return Roc(
        np.r_[0.0, zeros / zeros[-1]],
        np.r_[0.0, ones / ones[-1]],
        np.r_[np.inf, scores[order][last]],
    )


def auc(y: ArrayLike, p: ArrayLike) -> float:
    """Return the area under the ROC curve: how often a one scores above a zero, ties half.

    Examples
    --------
    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    curve = roc(y, p)
    return float(np.trapezoid(curve.true_positive, curve.false_positive))


def gini(y: ArrayLike, p: ArrayLike) -> float:
    """Return 2·AUC − 1, as scorecards are usually quoted."""
    return 2 * auc(y, p) - 1


def ks(y: ArrayLike, p: ArrayLike) -> float:
    """Return the Kolmogorov–Smirnov distance between the scores of ones and of zeros."""
    curve = roc(y, p)
    return float(np.max(curve.true_positive - curve.false_positive).clip(0))


def brier(y: ArrayLike, p: ArrayLike) -> float:
    """Return the mean squared difference of probability and outcome."""
    labels, scores = _checked(y, p)
    return float(np.mean((scores - labels) ** 2))


def log_loss(y: ArrayLike, p: ArrayLike) -> float:
    """Return the mean negative log likelihood, in nats; probabilities are held off 0 and 1 by 1e-7."""
    labels, scores = _checked(y, p)
    q = np.clip(scores, 1e-7, 1 - 1e-7)
    return float(-np.mean(labels * np.log(q) + (1 - labels) * np.log1p(-q)))


def reliability(y: ArrayLike, p: ArrayLike, n_bins: int = 10) -> Reliability:
    """Return predicted against observed in `n_bins` bins of (nearly) equal counts.

    Rows of equal probability stay in one bin, so that there may be fewer bins.
    """
    labels, scores = _checked(y, p)
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, n_bins + 1)[1:-1]))
    which = np.searchsorted(edges, scores, side="right")
    n = np.bincount(which)
    used = n > 0
    predicted = np.bincount(which, scores)[used] / n[used]
    observed = np.bincount(which, labels)[used] / n[used]
    low, high = _wilson(observed, n[used])
    return Reliability(predicted, observed, low, high, n[used])


def bootstrap_auc(
    y: ArrayLike, scores: Sequence[ArrayLike], n_resamples: int = 1000, seed: int = 0
) -> Floats:
    """Return the AUC of several models on the same resamples of the rows.

    Rows are drawn anew, ones and zeros apart, so that every resample has both. All models see the
    same draws: differences between rows of the result are paired.

    Returns
    -------
    numpy.ndarray
        float64 (n_models, n_resamples).
    """
    checked = [_checked(y, p) for p in scores]
    labels = checked[0][0]
    rng = np.random.default_rng(seed)
    sorted_ones = [_Sorted.of(labels, p) for _, p in checked]
    out = np.empty((len(scores), n_resamples))
    for b in range(n_resamples):
        counts = _resampled(labels, rng)
        out[:, b] = [s.auc(counts) for s in sorted_ones]
    return out


def interval(samples: ArrayLike, share: float = 0.95) -> tuple[float, float]:
    """Return the central interval that holds this share of the samples."""
    tail = (1 - share) / 2
    low, high = np.quantile(np.asarray(samples), [tail, 1 - tail])
    return float(low), float(high)


def stability_index(expected: ArrayLike, actual: ArrayLike) -> float:
    """Return the population stability index of counts in the same bins, then and now.

    ``PSI = Σ (a − e) · ln(a / e)`` with e and a the shares of the bins, half a row added to each bin of
    either side so that none is empty. The same population gives about (bins − 1) · (1/n + 1/m) by chance.

    Raises
    ------
    DataError
        When the two do not count the same bins, or one has no rows.

    Examples
    --------
    >>> stability_index([50, 50], [50, 50]), round(stability_index([60, 40], [40, 60]), 3)
    (0.0, 0.159)
    """
    then, now = np.asarray(expected, np.float64), np.asarray(actual, np.float64)
    if then.ndim != 1 or then.shape != now.shape or not (then.sum() > 0 and now.sum() > 0):
        raise DataError(
            f"counts of the same bins and some rows in each expected, got shapes {then.shape} and "
            f"{now.shape}"
        )
    e, a = ((c + 0.5) / (c.sum() + 0.5 * len(c)) for c in (then, now))
    return float(((a - e) * np.log(a / e)).sum())


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Scores sorted once: AUC under any row counts is then one pass."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]  # where each run of equal scores begins
    labels: Floats

    @classmethod
    def of(cls, labels: Floats, scores: Floats) -> "_Sorted":
        order = np.argsort(scores, kind="stable")
        changes = np.diff(scores[order], prepend=-np.inf) > 0
        return cls(order, np.flatnonzero(changes), labels[order])

    def auc(self, counts: NDArray[Any]) -> float:
        drawn = counts[self.order]
        ones = np.add.reduceat(drawn * self.labels, self.starts)
        zeros = np.add.reduceat(drawn * (1 - self.labels), self.starts)
        below = np.cumsum(zeros) - zeros / 2
        return float(ones @ below / (ones.sum() * zeros.sum()))


def _resampled(labels: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    counts = np.zeros(len(labels), np.int64)
    for value in (0, 1):
        rows = np.flatnonzero(labels == value)
        counts[rows] = np.bincount(rng.integers(0, len(rows), len(rows)), minlength=len(rows))
    return counts


def _wilson(share: Floats, n: NDArray[np.intp], z: float = 1.96) -> tuple[Floats, Floats]:
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    labels, scores = np.asarray(y, np.float64), np.asarray(p, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise DataError(
            f"one label and one score a row expected, got shapes {labels.shape} and {scores.shape}"
        )
    if not np.array_equal(np.unique(labels), [0.0, 1.0]):
        raise DataError(
            f"labels must be 0 and 1, with at least one of each, got {np.unique(labels)[:5]}; "
            "a ranking is between two classes"
        )
    if not np.isfinite(scores).all():
        raise DataError("scores must be finite, got NaN or an infinity")
    return labels, scores
