"""Stages of IFRS 9: whether credit risk has risen significantly since origination, and whether it is impaired.

Paragraphs 5.5.3, 5.5.9 to 5.5.11 and B5.5.37. The rule is data: what counts as significant is for the
institution to set, to test and to document.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError

__all__ = ["Sicr", "stages", "within"]

Floats = NDArray[np.float64]
Stages = NDArray[np.int8]


@dataclass(frozen=True)
class Sicr:
    """When credit risk has risen significantly (IFRS 9 5.5.9 to 5.5.11), and when it is impaired.

    Attributes
    ----------
    ratio : float
        Stage 2 when the PD over the remaining life is at least this many times what was expected at
        origination for the same months ...
    increase : float
        ... and has risen by at least this much, so that a rise from very little to little is none.
    backstop_days : int
        Stage 2 when more days past due, whatever the PD: 30 is the rebuttable presumption of 5.5.11.
    default_days : int
        Stage 3 from so many days past due: 90 is the rebuttable presumption of B5.5.37.
    low_risk : float or None
        Accounts whose PD is below this stay in stage 1 unless past due (5.5.10); None for no
        such exemption, which supervisors expect lenders not to use for retail loans.
    """

    ratio: float = 2.0
    increase: float = 0.005
    backstop_days: int = 30
    default_days: int = 90
    low_risk: float | None = None

    def __post_init__(self) -> None:
        if not (self.ratio >= 1 and self.increase >= 0):
            raise DataError(
                f"ratio of 1 or more and increase of 0 or more expected, got {self.ratio}, "
                f"{self.increase}"
            )
        if not 0 <= self.backstop_days < self.default_days:
            raise DataError(
                "days with 0 <= backstop_days < default_days expected, got "
                f"{self.backstop_days}, {self.default_days}"
            )


def stages(
    pd_now: ArrayLike,
    pd_origination: ArrayLike,
    *,
    days_past_due: ArrayLike = 0,
    is_impaired: ArrayLike = False,
    rule: Sicr | None = None,
) -> Stages:
    """Return the stage of each row, int8 (n_rows,).

    Parameters
    ----------
    pd_now, pd_origination : array-like
        PD over the remaining life, as seen today and as expected at origination for these months.
    days_past_due : int or array-like
    is_impaired : bool or array-like
        Credit-impaired or in default for other reasons than days past due.
    rule : Sicr, optional

    Raises
    ------
    DataError
        When a PD is outside 0 to 1, days are negative, or shapes do not fit.

    Examples
    --------
    >>> stages([0.02, 0.05, 0.02, 0.02], [0.02] * 4, days_past_due=[0, 0, 45, 95])
    array([1, 2, 2, 3], dtype=int8)
    """
    rule = rule or Sicr()
    n = max(np.size(pd_now), np.size(pd_origination), np.size(days_past_due))
    now, then = (
        within(name, given, (n,), 0, 1)
        for name, given in (("pd_now", pd_now), ("pd_origination", pd_origination))
    )
    late = within("days_past_due", days_past_due, (n,), 0, np.inf)
    # A hair of slack, so that twice 0.01 is twice 0.01 whatever the last bit of a sum.
    risen = (now >= rule.ratio * then * (1 - 1e-12)) & (now - then >= rule.increase - 1e-15)
    if rule.low_risk is not None:
        risen &= now >= rule.low_risk
    impaired = np.broadcast_to(np.asarray(is_impaired, bool), (n,)) | (late >= rule.default_days)
    stage = np.where(impaired, 3, np.where(risen | (late > rule.backstop_days), 2, 1))
    return stage.astype(np.int8)


def within(name: str, given: ArrayLike, shape: tuple[int, ...], low: float, high: float) -> Floats:
    """Return numbers of a shape: from one, from one a row, or from one a row and month."""
    values = np.asarray(given, np.float64)
    if len(shape) == 2 and values.ndim == 1:
        values = values[:, None]
    try:
        full = np.broadcast_to(values, shape)
    except ValueError as error:
        raise DataError(
            f"{name}: one number, or an array that fits {shape}, expected, got {values.shape}"
        ) from error
    if not (np.isfinite(full) & (full >= low) & (full <= high)).all():
        raise DataError(f"{name} must be finite and from {low:g} to {high:g}")
    return full
