"""Score scaling in whole numbers: points to double the odds, a base score, base odds.

A scorecard's score is a straight line in log-odds (Siddiqi, "Credit Risk Scorecards", 2006). Here the
Program's own integer *is* the score, in units of a fraction of a point, so that every copy of the
model adds the same whole numbers, and a decision is a comparison of two integers.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError

__all__ = ["Scaling"]


@dataclass(frozen=True)
class Scaling:
    """How log-odds become points.

    Parameters
    ----------
    pdo : float
        Points to double the odds of good to bad.
    base_score : float
        The score at the base odds.
    base_odds : float
        Good to bad: 50 means one bad among 51.
    unit : int
        Whole numbers in one point of the score: 100 counts hundredths; 1 makes the traditional card
        of whole points, at some cost in ranking.

    Raises
    ------
    DataError
        When a number is not finite and above 0 (`base_score`: not finite).

    Examples
    --------
    >>> scaling = Scaling(pdo=20, base_score=600, base_odds=50)
    >>> float(scaling.score(60_000)), round(float(scaling.probability(62_000)), 6)
    (600.0, 0.009901)
    """

    pdo: float = 20.0
    base_score: float = 600.0
    base_odds: float = 50.0
    unit: int = 100

    def __post_init__(self) -> None:
        for name in ("pdo", "base_odds", "unit"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise DataError(f"{name} must be a number above 0, got {value!r:.80}")
            if not (math.isfinite(value) and value > 0):
                raise DataError(f"{name} must be finite and above 0, got {value!r:.80}")
        if not isinstance(self.unit, int):
            raise DataError(f"unit must be a whole number, got {self.unit!r:.80}")
        if not isinstance(self.base_score, int | float) or not math.isfinite(self.base_score):
            raise DataError(f"base_score must be a finite number, got {self.base_score!r:.80}")

    @property
    def points_per_log_odds(self) -> float:
        """Units of points for one unit of natural log-odds."""
        return self.unit * self.pdo / math.log(2)

    def link(self) -> tuple[float, float]:
        """Return scale and offset of the link: log-odds of bad = offset + scale * points."""
        base = self.base_score * self.unit
        return -1 / self.points_per_log_odds, base / self.points_per_log_odds - math.log(
            self.base_odds
        )

    def points(self, log_odds_of_bad: ArrayLike) -> NDArray[np.float64]:
        """Return points, not yet rounded to whole numbers, of log-odds of bad."""
        scale, offset = self.link()
        return np.asarray((np.asarray(log_odds_of_bad, np.float64) - offset) / scale)

    def score(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return the score as people write it: points over `unit`."""
        return np.asarray(points, np.float64) / self.unit

    def probability(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of bad that the scaling states for points.

        The Program's own answer is the same up to float32, unless it was recalibrated by a table.
        """
        scale, offset = self.link()
        return np.asarray(1 / (1 + np.exp(-(offset + scale * np.asarray(points, np.float64)))))

    def spec(self) -> dict[str, Any]:
        """Return the scaling as JSON values."""
        return asdict(self)
