"""The logistic scorecard on weights of evidence: the dull baseline that a credit team would defend.

Siddiqi, "Intelligent Credit Scoring" (2nd ed. 2017), is the practice followed: optimal bins, missing
values and special codes in bins of their own, one coefficient a column, and a penalty. Kind of trend
and penalty are chosen together by cross-validation in which the bins, too, are learned anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from bimetal.errors import DataError
from bimetal.finance.credit.rivals import SHORT, Floats, Rival
from bimetal.finance.credit.woe import WoeColumn, learn_woe

__all__ = ["WoeLogistic"]

TRENDS = ("auto", "auto_asc_desc")
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class WoeLogistic(Rival):
    """A logistic regression on weights of evidence.

    Missing values have a bin of their own in each column, with the WoE that the training rows give
    it; where training had none, WoE 0, the average risk. So have special codes. Categories are
    grouped by their bad rates, those under one per cent of the rows together; one never seen counts
    as average risk.

    Parameters
    ----------
    trends : sequence of str or None, optional
        Trends of the bad rate over the bins to choose from, in optbinning's words. By default
        "auto" (rising, falling, peak or valley); above 5,000 rows "auto_asc_desc" is tried as
        well, where folds are long enough to tell which is better.
    strengths : sequence of float
        Values of `C`, the inverse of the ridge penalty, to choose from.
    n_folds : int
        Of the cross-validation that chooses trend and strength by log loss.
    smoothing : float
        Rows of average risk added to each bin.
    drop_wrong_signs : bool
        Leave out, one by one, columns whose coefficient says that a safer bin is a riskier one, as
        scorecard teams do for the sake of reasons. It costs a little accuracy, hence not the default.
    categorical : sequence of str, optional
        Whole numbers that are codes of categories.
    special_codes : mapping of str to sequence of float, optional
        Numbers that mean something else, by column.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    woe_ : tuple of WoeColumn
        Bins and WoE of each column.
    coef_ : numpy.ndarray
        float64 (n_columns,), in log-odds of bad per unit of WoE: −1 is a column that stands alone,
        0 one left out.
    intercept_ : float
    trend_, strength_ : str or None, float
        What was chosen.
    """

    def __init__(
        self,
        *,
        trends: Sequence[str | None] | None = None,
        strengths: Sequence[float] = STRENGTHS,
        n_folds: int = 5,
        smoothing: float = 1.0,
        drop_wrong_signs: bool = False,
        categorical: Sequence[str] | None = None,
        special_codes: Mapping[str, Sequence[float]] | None = None,
        random_state: int = 0,
    ) -> None:
        self.trends = trends
        self.strengths = strengths
        self.n_folds = n_folds
        self.smoothing = smoothing
        self.drop_wrong_signs = drop_wrong_signs
        self.categorical = categorical
        self.special_codes = special_codes
        self.random_state = random_state

    def decision_function(self, X: Any) -> Floats:
        """Return the log-odds of the second class (bad), float64 (n_rows,)."""
        return self._log_odds(self._rows(X))

    def _learn(self, rows: NDArray[np.float32], y: NDArray[np.int64], weight: Floats) -> None:
        self.trend_, self.strength_ = self._choose(rows, y, weight)
        self.woe_ = self._bins(rows, y, weight, self.trend_)
        x = _transform(self.woe_, rows)
        kept = np.arange(x.shape[1])
        while True:
            model = _logistic(self.strength_).fit(x[:, kept], y, weight)
            wrong = model.coef_[0].argmax()
            if not self.drop_wrong_signs or model.coef_[0, wrong] <= 0 or len(kept) == 1:
                break
            kept = np.delete(kept, wrong)
        self.coef_ = np.zeros(x.shape[1])
        self.coef_[kept] = model.coef_[0]
        self.intercept_ = float(model.intercept_[0])

    def _choose(
        self, rows: NDArray[np.float32], y: NDArray[np.int64], weight: Floats
    ) -> tuple[str | None, float]:
        """Choose trend and strength by the log loss over folds, each binned from its own rows."""
        trends = self.trends or (TRENDS if len(y) > SHORT else TRENDS[:1])
        choices = [(trend, c) for trend in trends for c in self.strengths]
        n_folds = min(self.n_folds, int(np.bincount(y).min()))
        if len(choices) == 1:
            return choices[0]
        if n_folds < 2:
            raise DataError(
                "at least 2 rows of each class expected to choose a penalty; give one strength "
                "and one trend, or more rows"
            )
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=self.random_state)
        losses = np.zeros((len(trends), len(self.strengths)))
        for fitting, watched in folds.split(y, y):
            for t, trend in enumerate(trends):
                bins = self._bins(rows[fitting], y[fitting], weight[fitting], trend)
                x, held = _transform(bins, rows[fitting]), _transform(bins, rows[watched])
                for s, strength in enumerate(self.strengths):
                    model = _logistic(strength).fit(x, y[fitting], weight[fitting])
                    losses[t, s] += _loss(model, held, y[watched], weight[watched])
        return choices[int(losses.argmin())]

    def _bins(
        self, rows: NDArray[np.float32], y: NDArray[np.int64], weight: Floats, trend: str | None
    ) -> tuple[WoeColumn, ...]:
        return learn_woe(
            rows,
            y,
            self.columns_,
            weight=weight,
            special_codes=self.special_codes,
            trend=trend,
            smoothing=self.smoothing,
        )

    def _log_odds(self, rows: NDArray[np.float32]) -> Floats:
        odds: Floats = _transform(self.woe_, rows) @ self.coef_ + self.intercept_
        return odds

    def _probability(self, rows: NDArray[np.float32]) -> Floats:
        p: Floats = 1 / (1 + np.exp(-self._log_odds(rows)))
        return p


def _transform(bins: Sequence[WoeColumn], rows: NDArray[np.float32]) -> Floats:
    """Return the WoE of each value, float64 (n_rows, n_columns)."""
    return np.column_stack([c.woe[c.bin_of(rows[:, j])] for j, c in enumerate(bins)])


def _loss(model: Any, x: Floats, y: NDArray[np.int64], weight: Floats) -> float:
    """Return the log loss, each row as often as it weighs."""
    chosen = np.where(y == 1, 1, -1) * model.decision_function(x)
    return float(np.logaddexp(0, -chosen) @ weight)


def _logistic(strength: float) -> Any:
    return LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-7, max_iter=200)
