"""Reject inference: what to assume about applicants whose outcome nobody saw.

A score learned on accepted loans is used on everyone who applies. Four classical remedies are here:
augmentation, parcelling, fuzzy augmentation, extrapolation (Crook and Banasik, "Does reject inference
really improve the performance of application scoring models?", Journal of Banking & Finance 28, 2004;
Banasik and Crook, "Reject inference, augmentation, and sample selection", European Journal of
Operational Research 183, 2007; Anderson, "Credit Intelligence and Modelling", 2022).

None of them recovers what was never observed. The outcomes of accepts say nothing of how much worse
rejects are *at the same score* (Hand and Henley, "Can reject inference ever work?", IMA Journal of
Mathematics Applied in Business & Industry 5, 1993): that is assumed, here by `prudence`, and it comes
from a bureau, a test that accepts some below the cut-off, or experience. So each answer carries its
assumptions as a table. Where lenders declined by the very columns that the model has, and by nothing
else, rejects are no worse at the same score, and ignoring them is right but for their small numbers.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.finance.credit.reject_bands import (
    Applicants,
    Band,
    Inferred,
    band_numbers,
    bands_of,
    merged,
)

__all__ = ["METHODS", "Band", "Inferred", "augment", "extrapolate", "fuzzy", "parcel"]

Floats = NDArray[np.float64]
MIN_ACCEPTS = 30
"""Accepts in a band from which its bad rate is taken; below, the model's own probabilities are."""


def augment(
    X: Any,
    y: ArrayLike,
    accepted: ArrayLike,
    *,
    model: Any = None,
    n_bands: int = 10,
    min_accepts: int = MIN_ACCEPTS,
    seed: int = 0,
) -> Inferred:
    """Weight accepts so that they stand for the rejects most like them.

    A model of *acceptance* sorts all applicants into bands; in each, accepts weigh (accepts +
    rejects) / accepts, one over the share accepted. Only accepts are returned.

    Assumes that within a band, rejects would have been as bad as accepts. Where next to nobody was
    accepted there is nobody to speak for the rejects: such bands are joined with the next more
    acceptable one, and a few weights become large. Banasik and Crook (2007) find little gain, or loss.

    Parameters
    ----------
    X : frame or array
        All who applied, (n_rows, n_columns).
    y : array-like
        1 bad, 0 good; of rejects it is not looked at (NaN will do).
    accepted : array-like of bool
        Whether each was accepted.
    model : classifier, optional
        With fit(X, y) and predict_proba(X); by default the logistic WoE scorecard, of one penalty.
        Probabilities of rows that it learns from are always taken out of fold.
    n_bands : int
        Bands of about equal numbers of applicants.
    min_accepts : int
        Accepts that a band must have.
    seed : int
        Of the folds.

    Returns
    -------
    Inferred
        With `X`, `y` and `weight` for ``fit(X, y, sample_weight=weight)``.

    Raises
    ------
    DataError
        When lengths differ, nobody was accepted or rejected, or accepts are all good or all bad. All
        functions here do.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(2_000, 1))
    >>> accepted, bad = x[:, 0] + rng.normal(size=2_000) > 0, rng.random(2_000) < 0.2
    >>> found = augment(x, bad, accepted, model=LogisticRegression())
    >>> len(found.y) == accepted.sum(), round(found.weight.sum())
    (np.True_, 2000)
    """
    who = Applicants.of(X, y, accepted)
    likely = who.acceptance(model, seed)
    bands = merged(band_numbers(-likely, n_bands), who.accepted, max(1, min_accepts))
    n = np.bincount(bands)
    n_accepts = np.bincount(bands, who.accepted)
    weight = (n / n_accepts)[bands]
    rows = np.flatnonzero(who.accepted)
    rate = np.bincount(bands, who.accepted * who.y) / n_accepts
    return who.inferred(
        "augment",
        rows,
        who.y[rows],
        weight[rows],
        bands_of(who, bands, likely, rate[bands], np.zeros(len(n), bool)),
    )


def parcel(
    X: Any,
    y: ArrayLike,
    accepted: ArrayLike,
    *,
    prudence: float = 1.0,
    model: Any = None,
    n_bands: int = 20,
    min_accepts: int = MIN_ACCEPTS,
    seed: int = 0,
) -> Inferred:
    """Give rejects outcomes at random, at `prudence` times the bad rate of accepts of their band.

    A model of *default*, learned on accepts, sorts all applicants into bands. In each, as many
    rejects as the rate says are drawn to be bad; the others are good.

    Assumes the factor. 1 says that rejects are as bad as accepts of their score; factors up to 4 are
    in use, and these rows cannot tell which is right. A wrong one can make the mean probability
    worse than ignoring rejects would.

    Parameters
    ----------
    prudence : float
        At least 1; rates stop at 1.
    n_bands : int
        Of about equal numbers of applicants. Few and broad ones understate the risk of rejects,
        who are at the worse end of each.
    min_accepts : int
        In bands with fewer accepts the mean probability of the rejects by the model stands in for
        the bad rate of accepts.
    seed : int
        Of the folds and of the draw.
    X, y, accepted, model
        As for `augment`.
    """
    who = Applicants.of(X, y, accepted, prudence)
    p = who.default(model, seed)
    bands = band_numbers(p, n_bands)
    rate, is_thin = who.band_rates(bands, p, min_accepts)
    assumed = np.minimum(prudence * rate, 1.0)
    rng = np.random.default_rng(seed)
    labels = np.where(who.accepted, who.y, 0)
    for band, share in enumerate(assumed):
        rejects = rng.permutation(np.flatnonzero((bands == band) & ~who.accepted))
        n_bad = int(np.floor(share * len(rejects) + rng.random()))  # right on average
        labels[rejects[:n_bad]] = 1
    rows = np.arange(len(p))
    tables = bands_of(who, bands, p, labels, is_thin)
    return who.inferred("parcel", rows, labels, np.ones(len(p)), tables)


def fuzzy(
    X: Any,
    y: ArrayLike,
    accepted: ArrayLike,
    *,
    prudence: float = 1.0,
    model: Any = None,
    n_bands: int = 10,
    seed: int = 0,
) -> Inferred:
    """Count each reject twice: as bad with weight `prudence` · p and as good with the rest.

    p is the probability of default by a model learned on accepts. Nothing is drawn, so that no
    luck is in it. With a prudence of 1 it tells a model of the same kind what it already believes.

    Assumes the factor, as `parcel` does, and that the model's probabilities hold where nobody was
    accepted.

    Parameters
    ----------
    n_bands : int
        Of the table of assumptions.
    X, y, accepted, prudence, model, seed
        As for `parcel`.
    """
    who = Applicants.of(X, y, accepted, prudence)
    p = who.default(model, seed)
    assumed = np.where(who.accepted, who.y, np.minimum(prudence * p, 1.0))
    rejects = np.flatnonzero(~who.accepted)
    accepts = np.flatnonzero(who.accepted)
    rows = np.r_[accepts, rejects, rejects]
    labels = np.r_[who.y[accepts], np.ones(len(rejects)), np.zeros(len(rejects))]
    weight = np.r_[np.ones(len(accepts)), assumed[rejects], 1 - assumed[rejects]]
    some = weight > 0
    bands = band_numbers(p, n_bands)
    tables = bands_of(who, bands, p, assumed, np.zeros(int(bands.max()) + 1, bool))
    return who.inferred("fuzzy", rows[some], labels[some], weight[some], tables)


def extrapolate(
    X: Any,
    y: ArrayLike,
    accepted: ArrayLike,
    *,
    prudence: float = 1.0,
    model: Any = None,
    n_bands: int = 10,
    seed: int = 0,
) -> Inferred:
    """Call the riskiest rejects bad and the others good.

    By a model of default learned on accepts; as many are called bad as `prudence` times the sum of
    their probabilities. It sharpens whatever the model believes: ranking looks better on such
    rows than it is, so never judge on them.

    Assumes the factor, and that risk among rejects is ordered as the model says.

    Parameters
    ----------
    n_bands : int
        Of the table of assumptions.
    X, y, accepted, prudence, model, seed
        As for `parcel`.
    """
    who = Applicants.of(X, y, accepted, prudence)
    p = who.default(model, seed)
    rejects = np.flatnonzero(~who.accepted)
    n_bad = min(len(rejects), round(prudence * float(p[rejects].sum())))
    labels = np.where(who.accepted, who.y, 0)
    labels[rejects[np.argsort(-p[rejects], kind="stable")[:n_bad]]] = 1
    bands = band_numbers(p, n_bands)
    tables = bands_of(who, bands, p, labels, np.zeros(int(bands.max()) + 1, bool))
    return who.inferred("extrapolate", np.arange(len(p)), labels, np.ones(len(p)), tables)


METHODS = (augment, parcel, fuzzy, extrapolate)
"""To add one, write a function and name it here."""
