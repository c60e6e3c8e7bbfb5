"""Grades: a master scale of probabilities of default, its tests grade by grade, and migration.

A scale is given by the bank, or made from development rows: steps equal in log-odds, neighbours joined
until each grade has enough rows. Tests by grade are the exact binomial and Jeffreys' (see
`calibration`); over several grades their p-values are Holm-adjusted (Holm 1979, Scandinavian Journal
of Statistics 6), for among twenty grades one is red by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.validation.calibration import (
    binomial_p_value,
    jeffreys_interval,
    jeffreys_p_value,
)
from bimetal.finance.credit.validation.estimate import Estimate

__all__ = ["Concentration", "Grade", "MasterScale", "Migration", "grade_tests", "holm", "migration"]

Light = Literal["green", "amber", "red"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MasterScale:
    """Bounds of grades in probability of default; grade 1 is the best.

    Parameters
    ----------
    bounds : tuple of float
        Rising, between 0 and 1: grade k + 1 begins at the k-th bound.

    Raises
    ------
    DataError
        When the bounds do not rise inside (0, 1).

    Examples
    --------
    >>> MasterScale((0.01, 0.05)).grade([0.002, 0.01, 0.2])
    array([1, 2, 3])
    """

    bounds: tuple[float, ...]

    def __post_init__(self) -> None:
        inside = all(0 < b < 1 for b in self.bounds)
        if not inside or any(a >= b for a, b in pairwise(self.bounds)):
            raise DataError(f"rising bounds between 0 and 1 expected, got {self.bounds!r:.200}")

    @classmethod
    def made(cls, p: ArrayLike, n_grades: int = 10, smallest: int = 100) -> "MasterScale":
        """Make a scale whose steps are equal in log-odds, and whose grades have `smallest` rows.

        Steps span the middle 98 % of the rows; a grade with fewer rows takes its riskier neighbour in.

        Raises
        ------
        DataError
            When there are no probabilities, or the counts are below 1.
        """
        given = np.asarray(p, np.float64)
        if given.ndim != 1 or not len(given) or n_grades < 1 or smallest < 1:
            raise DataError(
                "probabilities, and at least one grade of at least one row, expected, got "
                f"{given.shape}, {n_grades} and {smallest}"
            )
        q = np.clip(given, 1e-7, 1 - 1e-7)
        log_odds = np.log(q) - np.log1p(-q)
        low, high = np.quantile(log_odds, [0.01, 0.99])
        edges = np.unique(1 / (1 + np.exp(-np.linspace(low, high, n_grades + 1)[1:-1])))
        below, kept, at = np.searchsorted(np.sort(q), edges), [], 0
        for edge, n in zip(edges, below, strict=True):
            if n - at >= smallest and len(q) - n >= smallest:
                kept.append(float(edge))
                at = int(n)
        return cls(tuple(kept))

    @property
    def n_grades(self) -> int:
        """How many grades there are."""
        return len(self.bounds) + 1

    def grade(self, p: ArrayLike) -> NDArray[np.intp]:
        """Return the grade of each probability, from 1."""
        return np.searchsorted(np.asarray(self.bounds), np.asarray(p, np.float64), "right") + 1

    def label(self, grade: int) -> str:
        """Return how a grade reads: "1.2 % to 3 %"."""
        edges = [0.0, *self.bounds, 1.0]
        return f"{100 * edges[grade - 1]:.3g} % to {100 * edges[grade]:.3g} %"


@dataclass(frozen=True)
class Grade:
    """One grade and its tests.

    Attributes
    ----------
    grade : int
    label : str
        Its range of probabilities.
    n, n_bad : int
    expected : float
        Mean probability.
    actual : Estimate
        Default rate with Jeffreys' interval.
    binomial, jeffreys : float
        One-sided p-values: small when there are more defaults than the probability lets expect.
    too_high : float
        Jeffreys' p-value of the other side: small when the probability is higher than the defaults ask.
    light : {"green", "amber", "red"}
        By Jeffreys' p-value.
    """

    grade: int
    label: str
    n: int
    n_bad: int
    expected: float
    actual: Estimate
    binomial: float
    jeffreys: float
    too_high: float
    light: Light


@dataclass(frozen=True)
class Concentration:
    """How unevenly rows are spread over grades.

    Attributes
    ----------
    herfindahl : float
        Sum of squared shares: from 1 / grades to 1.
    normalised : float
        The same from 0 (even) to 1 (all in one).
    largest : float
        Share of the fullest grade.
    n : int
    """

    herfindahl: float
    normalised: float
    largest: float
    n: int

    @classmethod
    def of(cls, counts: ArrayLike) -> "Concentration":
        """Measure counts by grade, empty grades among them."""
        given = np.asarray(counts, np.float64)
        share, k = given / given.sum(), len(given)
        h = float((share**2).sum())
        even = (h - 1 / k) / (1 - 1 / k) if k > 1 else 1.0
        return cls(h, even, float(share.max()), int(given.sum()))


def grade_tests(
    scale: MasterScale,
    y: ArrayLike,
    p: ArrayLike,
    *,
    asset_correlation: float = 0.0,
    amber: float = 0.05,
    red: float = 0.01,
) -> tuple[Grade, ...]:
    """Test every grade that has rows.

    Parameters
    ----------
    scale : MasterScale
    y, p : array_like of shape (n_rows,)
        Outcomes and probabilities.
    asset_correlation : float
        Of the binomial test.
    amber, red : float
        Jeffreys' p-values below which a grade is amber, and red.
    """
    labels, given = np.asarray(y, np.float64), np.asarray(p, np.float64)
    grades = scale.grade(given)
    found = []
    for g in range(1, scale.n_grades + 1):
        here = grades == g
        n, n_bad = int(here.sum()), int(labels[here].sum())
        if not n:
            continue
        mean = float(given[here].mean())
        actual = Estimate(n_bad / n, *jeffreys_interval(n_bad, n), n, "Jeffreys 95 %")
        jeffreys = jeffreys_p_value(n_bad, n, mean)
        light: Light = "red" if jeffreys < red else "amber" if jeffreys < amber else "green"
        exact = binomial_p_value(n_bad, n, mean, asset_correlation=asset_correlation)
        found.append(
            Grade(g, scale.label(g), n, n_bad, mean, actual, exact, jeffreys, 1 - jeffreys, light)
        )
    return tuple(found)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given.

    Examples
    --------
    >>> holm([0.01, 0.5, 0.03])
    [0.03, 0.5, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    ranked = np.asarray(p_values, np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(ranked))
    return [float(v) for v in adjusted]


@dataclass(frozen=True)
class Migration:
    """Where the same applicants stood at two dates.

    Attributes
    ----------
    counts : tuple of tuple of int
        Rows are grades before, columns grades after.
    stayed, better, worse : float
        Shares of all.
    mean_steps : float
        Mean distance in grades.
    n : int
    """

    counts: tuple[tuple[int, ...], ...]
    stayed: float
    better: float
    worse: float
    mean_steps: float
    n: int


def migration(before: ArrayLike, after: ArrayLike, n_grades: int) -> Migration:
    """Count moves between grades (from 1) of the same applicants at two dates.

    Raises
    ------
    DataError
        When the two differ in length, are empty, or hold other grades.

    Examples
    --------
    >>> migration([1, 1, 2], [1, 2, 2], 2).counts
    ((1, 1), (0, 1))
    """
    a, b = np.asarray(before, np.int64), np.asarray(after, np.int64)
    inside = a.shape == b.shape and len(a) and (np.minimum(a, b) >= 1).all()
    if not inside or (np.maximum(a, b) > n_grades).any():
        raise DataError(
            f"as many grades before as after, from 1 to {n_grades}, expected, got shapes {a.shape} "
            f"and {b.shape}"
        )
    matrix = np.bincount((a - 1) * n_grades + b - 1, minlength=n_grades**2).reshape(n_grades, -1)
    steps, n = b - a, len(a)
    shares = (float((steps == 0).mean()), float((steps < 0).mean()), float((steps > 0).mean()))
    counts = tuple(tuple(int(v) for v in row) for row in matrix)
    return Migration(counts, *shares, float(np.abs(steps).mean()), n)
