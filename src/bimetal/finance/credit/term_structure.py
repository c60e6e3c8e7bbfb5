"""Term structures of default: how likely an account defaults in each month to come.

From discrete hazards: h(t) is the probability of default in month t of an account that is there at its
beginning, S(t) = Π (1 − h) the probability that it still is at its end, S(t − 1)·h(t) the marginal
probability of default in month t (Singer and Willett, "It's about time", Journal of Educational
Statistics 18, 1993). Prepayment, where there is any, competes: an account that is repaid cannot default.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError

__all__ = ["TermStructure", "mixture", "term_structure"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TermStructure:
    """Default over the months to come, one row an account (or segment).

    Attributes
    ----------
    marginal : numpy.ndarray
        Probability of default in month 1, 2, ..., float64 (n_rows, n_months).
    survival : numpy.ndarray
        Probability of being there, neither defaulted nor repaid, at the end of month 0, 1, 2, ...,
        float64 (n_rows, n_months + 1); begins with 1 and never rises.
    """

    marginal: Floats
    survival: Floats

    @property
    def n_months(self) -> int:
        """Months that it reaches."""
        return int(self.marginal.shape[1])

    @property
    def cumulative(self) -> Floats:
        """Probability of default within 1, 2, ... months, float64 (n_rows, n_months)."""
        cumulative: Floats = np.cumsum(self.marginal, axis=1)
        return cumulative

    @property
    def lifetime(self) -> Floats:
        """Probability of default within all months, float64 (n_rows,)."""
        lifetime: Floats = self.marginal.sum(axis=1)
        return lifetime

    def within(self, n_months: int) -> Floats:
        """Return the probability of default within some months (or all, if fewer), float64 (n_rows,)."""
        within: Floats = self.marginal[:, :n_months].sum(axis=1)
        return within


def term_structure(
    hazard: ArrayLike, *, prepay: ArrayLike | None = None, months_left: ArrayLike | None = None
) -> TermStructure:
    """Turn monthly hazards into a term structure.

    Parameters
    ----------
    hazard : array-like
        Probability of default in each month, given that the account is there: (n_rows, n_months).
    prepay : array-like, optional
        Probability of repayment in each month, given that the account is there and does not
        default in it: (n_rows, n_months).
    months_left : int or array-like, optional
        Months to maturity of each row; later there is neither default nor repayment.

    Raises
    ------
    DataError
        When a hazard is outside 0 to 1, or shapes do not fit.

    Examples
    --------
    >>> curve = term_structure([[0.1, 0.1, 0.1]])
    >>> curve.marginal.round(3), curve.survival.round(3)
    (array([[0.1  , 0.09 , 0.081]]), array([[1.   , 0.9  , 0.81 , 0.729]]))
    """
    h = _hazards("hazard", hazard)
    r = np.zeros_like(h) if prepay is None else _hazards("prepay", prepay)
    if r.shape != h.shape:
        raise DataError(f"prepay of shape {h.shape} expected, got {r.shape}")
    if months_left is not None:
        left = np.asarray(months_left)
        if left.shape not in ((), (len(h),)) or not (left >= 0).all():
            raise DataError(
                f"months_left of 0 or more for {len(h)} rows expected, got {left.shape}"
            )
        alive = np.arange(h.shape[1]) < np.broadcast_to(left, len(h))[:, None]
        h, r = h * alive, r * alive
    stays = np.cumprod((1 - h) * (1 - r), axis=1)
    survival = np.hstack([np.ones((len(h), 1)), stays])
    return TermStructure(survival[:, :-1] * h, survival)


def mixture(curves: Sequence[TermStructure], weights: Sequence[float]) -> TermStructure:
    """Return the probability-weighted term structure of several scenarios.

    IFRS 9 5.5.17(a) asks for an amount weighted by probability: the mean over scenarios, not the
    answer of the mean scenario. Loss being linear in default probabilities, the mean curve has the
    mean loss.

    Raises
    ------
    DataError
        When weights are negative or do not sum to 1, or shapes differ.

    Examples
    --------
    >>> good, bad = term_structure([[0.01, 0.01]]), term_structure([[0.05, 0.05]])
    >>> mixture([good, bad], [0.75, 0.25]).marginal.round(4)
    array([[0.02 , 0.0193]])
    """
    w = np.asarray(weights, np.float64)
    if not len(curves) == len(w) > 0 or not (w >= 0).all() or abs(w.sum() - 1) > 1e-9:
        raise DataError(
            f"probabilities of {len(curves)} scenarios that sum to 1 expected, got {w.tolist()}"
        )
    if len({curve.marginal.shape for curve in curves}) > 1:
        raise DataError("scenarios of the same accounts and months expected")
    marginal = sum(wk * curve.marginal for wk, curve in zip(w, curves, strict=True))
    survival = sum(wk * curve.survival for wk, curve in zip(w, curves, strict=True))
    return TermStructure(np.asarray(marginal), np.asarray(survival))


def _hazards(name: str, given: ArrayLike) -> Floats:
    hazards = np.asarray(given, np.float64)
    if hazards.ndim != 2 or not ((hazards >= 0) & (hazards <= 1)).all():
        raise DataError(
            f"{name}: probabilities of shape (n_rows, n_months) expected, got shape {hazards.shape}"
        )
    return hazards
