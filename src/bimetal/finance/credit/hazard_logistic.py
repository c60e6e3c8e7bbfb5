"""The usual hazard: a logistic regression on a smooth curve of age and on the covariates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column

__all__ = ["spline_logistic"]


def spline_logistic(
    columns: Sequence[Column],
    age: NDArray[np.int64],
    event: NDArray[np.bool_],
    n_knots: int,
    strength: float,
) -> Any:
    """Return an unfitted pipeline for rows of age and covariates.

    Age becomes a quadratic B-spline, its knots at the ends and at quantiles of the ages of the event;
    numbers are scaled, median and a flag where missing; categories are one-hot.

    Parameters
    ----------
    columns : sequence of Column
        Covariates, after the age.
    age, event : numpy.ndarray
        Ages of the panel, and which rows have the event, (n_rows,).
    n_knots : int
    strength : float
        C of the logistic regression.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

    inner = np.quantile(age[event], np.linspace(0, 1, n_knots)[1:-1])
    knots = np.unique(np.r_[age.min(), inner, age.max()])
    numbers = [j + 1 for j, c in enumerate(columns) if c.kind == "number"]
    codes = [j + 1 for j, c in enumerate(columns) if c.kind == "category"]
    curve: Any = "drop"  # of one age nothing can be learned
    if len(knots) > 1:
        curve = SplineTransformer(
            knots=knots[:, None], degree=2, extrapolation="constant", include_bias=False
        )
    scaled = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    parts = make_column_transformer((curve, [0]), (scaled, numbers), (one_hot, codes))
    logistic = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-7, max_iter=200)
    return make_pipeline(parts, logistic)
