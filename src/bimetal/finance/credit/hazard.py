"""Discrete-time hazards: the probability of default in the next month, from a monthly panel.

Each month that an account is there is a row, default in it the label, and any classifier of such rows
estimates the hazard (Singer and Willett 1993; for credit, Bellotti and Crook, "Credit scoring with
macroeconomic variables using survival analysis", Journal of the Operational Research Society 60, 2009).
Prepayment, where given, is a second hazard: of repayment in a month without default.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError, MissingExtraError
from bimetal.finance.credit.hazard_logistic import spline_logistic
from bimetal.finance.credit.panel import Panel, ages_of, rows_of
from bimetal.finance.credit.scenarios import Scenario
from bimetal.finance.credit.term_structure import TermStructure, mixture, term_structure

__all__ = ["HazardModel"]

Floats = NDArray[np.float64]
CHUNK = 200_000
"""Account-months that are asked at once."""


class HazardModel:
    """Hazards of default, and of prepayment, by age and covariates.

    Parameters
    ----------
    estimator : classifier, optional
        With ``fit(rows, y)`` and ``predict_proba(rows)``; rows are float32 (n_rows, 1 + n_columns): age
        in months first, then the covariates as raw rows (numbers, codes of categories, NaN). By
        default a logistic regression on a quadratic spline of age, scaled numbers with a flag where
        missing, and one-hot categories. A `BinaryScorecard` or LightGBM will do.
    n_knots : int
        Of the spline, at the ends and at quantiles of the ages of the event, where there is something
        to learn from; beyond the oldest age seen it is level.
    strength : float
        C of the logistic regression: the greater, the less is shrunk.

    Attributes
    ----------
    columns_ : tuple of Column
        Covariates.
    oldest_ : int
        The oldest age of the panel: hazards beyond it are extrapolated.
    default_, prepay_ : classifier, classifier or None
        None where nobody repays early.

    Examples
    --------
    >>> from bimetal.columns import Lists
    >>> from bimetal.finance.credit.panel import read_panel
    >>> rng = np.random.default_rng(0)
    >>> n = 3_000
    >>> table = {"loan": np.arange(n), "age": rng.integers(0, 24, n), "bad": rng.random(n) < 0.02}
    >>> panel = read_panel(Lists(table), id="loan", age="age", default="bad")
    >>> model = HazardModel(n_knots=3).fit(panel)
    >>> curve = model.term_structure(np.zeros((1, 0)), age=[0], n_months=12)
    >>> bool(0.1 < curve.lifetime[0] < 0.4)
    True
    """

    def __init__(self, *, estimator: Any = None, n_knots: int = 6, strength: float = 10.0) -> None:
        self.estimator = estimator
        self.n_knots = n_knots
        self.strength = strength

    def fit(self, panel: Panel) -> Self:
        """Learn from a panel.

        Raises
        ------
        DataError
            When every month has a default, or every other one a repayment.
        MissingExtraError
            When scikit-learn is not installed.
        """
        self.columns_ = panel.columns
        self.oldest_ = int(panel.age.max())
        x = _with_age(panel.age, panel.rows)
        self.default_ = self._fresh(panel.age, panel.default).fit(x, _labels(panel.default))
        stays = ~panel.default
        repays = panel.prepay[stays]
        self.prepay_ = None
        if repays.any():
            self.prepay_ = self._fresh(panel.age, panel.prepay).fit(x[stays], _labels(repays))
        return self

    def hazards(
        self,
        table: Any,
        age: ArrayLike,
        n_months: int,
        *,
        shift: Sequence[float] = (0.0,),
        covariates: Mapping[str, Sequence[float]] | None = None,
    ) -> tuple[Floats, Floats | None]:
        """Return the hazards of default and of prepayment in the months to come.

        Parameters
        ----------
        table : frame or array
            Covariates as they are today; they stay so unless `covariates` says more.
        age : array-like of int
            Months on book of the last month that is known, (n_rows,): the first to come is one more.
        n_months : int
        shift : sequence of float
            Added to the log-odds of default in month 1, 2, ...; the last goes on.
        covariates : mapping of str to sequence of float, optional
            Values of numbers in month 1, 2, ..., the same for all accounts; the last goes on.

        Returns
        -------
        (numpy.ndarray, numpy.ndarray or None)
            float64 (n_rows, n_months) each.

        Raises
        ------
        DataError
            When ages or months do not fit, or a covariate is unknown or no number.
        """
        rows = rows_of(table, self.columns_) if self.columns_ else np.zeros((np.size(age), 0), "f4")
        ages = ages_of("age", np.asarray(age, np.float64))
        if ages.shape != (len(rows),) or n_months < 1:
            raise DataError(
                f"an age for each of {len(rows)} rows and at least one month expected, got "
                f"{ages.shape} and {n_months}"
            )
        paths = self._paths(covariates or {}, n_months)
        moved = _path(shift, n_months)
        size = max(1, CHUNK // n_months)
        parts = [
            self._asked(ages[k : k + size], rows[k : k + size], n_months, paths)
            for k in range(0, len(rows), size)
        ]
        bad = _shifted(np.vstack([part[0] for part in parts]), moved)
        return bad, None if self.prepay_ is None else np.vstack([part[1] for part in parts])

    def term_structure(
        self,
        table: Any,
        age: ArrayLike,
        n_months: int,
        *,
        scenarios: Sequence[Scenario] = (),
        months_left: ArrayLike | None = None,
    ) -> TermStructure:
        """Return the term structure of default of accounts that are there today.

        Parameters
        ----------
        table, age, n_months
            As for `hazards`.
        scenarios : sequence of Scenario
            Weighted by their probabilities; none: as `hazards` says.
        months_left : array-like, optional
            Months to maturity.

        Raises
        ------
        DataError
            As `hazards`; or when probabilities do not sum to 1.
        """
        curves = [
            self.in_scenario(table, age, n_months, scenario, months_left)
            for scenario in scenarios or (Scenario("base", 1.0),)
        ]
        return mixture(curves, [s.probability for s in scenarios] or [1.0])

    def in_scenario(
        self,
        table: Any,
        age: ArrayLike,
        n_months: int,
        scenario: Scenario,
        months_left: ArrayLike | None = None,
    ) -> TermStructure:
        """Return the term structure in one scenario, its probability aside."""
        bad, repaid = self.hazards(
            table, age, n_months, shift=scenario.shift, covariates=scenario.covariates
        )
        return term_structure(bad, prepay=repaid, months_left=months_left)

    def _fresh(self, age: NDArray[np.int64], event: NDArray[np.bool_]) -> Any:
        try:
            from sklearn.base import clone
        except ImportError as error:
            raise MissingExtraError("scikit-learn", "train", "a hazard model") from error
        if self.estimator is not None:
            return clone(self.estimator)
        return spline_logistic(self.columns_, age, event, self.n_knots, self.strength)

    def _asked(
        self, age: NDArray[np.int64], rows: NDArray[np.float32], n_months: int, paths: Floats
    ) -> tuple[Floats, Floats]:
        n = len(age)
        ages = age[:, None] + np.arange(1, n_months + 1)
        x = _with_age(ages.ravel(), np.repeat(rows, n_months, axis=0))
        given = np.tile(paths, (n, 1))
        x[:, 1:] = np.where(np.isnan(given), x[:, 1:], given)
        bad = self.default_.predict_proba(x)[:, 1].reshape(n, n_months)
        repaid = np.zeros(0) if self.prepay_ is None else self.prepay_.predict_proba(x)[:, 1]
        return np.asarray(bad, np.float64), repaid.reshape(n, -1)

    def _paths(self, covariates: Mapping[str, Sequence[float]], n_months: int) -> Floats:
        """Return what each covariate is in each month, NaN where it stays as it is."""
        paths = np.full((n_months, len(self.columns_)), np.nan)
        for name, values in covariates.items():
            found = [
                j for j, c in enumerate(self.columns_) if c.name == name and c.kind == "number"
            ]
            if not found:
                raise DataError(
                    f"a scenario speaks of '{name}', which is no number among the covariates "
                    f"{[c.name for c in self.columns_]}"
                )
            paths[:, found[0]] = _path(values, n_months)
        return paths


def _with_age(age: NDArray[np.int64], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.column_stack([age.astype(np.float32), rows]).astype(np.float32)


def _labels(event: NDArray[np.bool_]) -> NDArray[np.int64]:
    if event.all():
        raise DataError("months without an event expected in the panel, got none")
    return event.astype(np.int64)


def _path(values: Sequence[float], n_months: int) -> Floats:
    """Return one number a month; the last goes on."""
    given = np.asarray(values, np.float64)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise DataError(f"a path of finite numbers expected, got {values!r:.80}")
    return given[np.minimum(np.arange(n_months), len(given) - 1)]


def _shifted(p: Floats, shift: Floats) -> Floats:
    """Add to the log-odds; 0 and 1 stay."""
    odds = p * np.exp(shift)
    shifted: Floats = odds / (1 - p + odds)
    return np.where(shift == 0, p, shifted)
