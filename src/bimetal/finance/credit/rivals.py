"""What every challenger shares: frames in, probabilities out, as scikit-learn would have it.

A table is read once into raw rows (numbers, codes of categories, NaN for missing), just as our own
models read it: no challenger wins or loses by the way its table was prepared.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.columns import infer_columns, require_finite, to_rows
from bimetal.errors import DataError, MissingExtraError

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise MissingExtraError("scikit-learn", "train", "a challenger") from error

__all__ = ["SHORT", "Rival", "Split", "inner_splits"]

Floats = NDArray[np.float64]
Split = tuple[NDArray[np.intp], NDArray[np.intp]]
SHORT = 5_000
"""Rows up to which folds are needed to tune on; above, one hold-out tells enough."""


class Rival(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Base of the challengers; `_learn` and `_probability` are what differs.

    Attributes
    ----------
    classes_ : numpy.ndarray
        The two classes, sorted; ``predict_proba(X)[:, 1]`` is the probability of the second.
    columns_ : tuple of Column
        The columns of the training table, by which later tables are read.
    n_features_in_ : int
    """

    categorical: Sequence[str] | None
    special_codes: Mapping[str, Sequence[float]] | None
    random_state: int

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from a table (pandas, Polars, Arrow, or a 2-D array) and its two classes.

        Rows of weight 0 are left out, whatever is in them.

        Raises
        ------
        DataError
            When `y` does not hold exactly two classes, or lengths differ, or weights are negative.
        """
        self.columns_ = infer_columns(X, self.categorical)
        self.n_features_in_ = len(self.columns_)
        rows = self._rows(X)
        self.classes_, labels = _classes(y, len(rows))
        weight = _weights(sample_weight, len(rows))
        used = weight > 0
        if len(np.unique(labels[used])) < 2:
            raise DataError("rows of positive weight of both classes expected, got one class only")
        self._learn(rows[used], labels[used], weight[used])
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Return the probabilities of both classes, float64 (n_rows, 2)."""
        check_is_fitted(self, "columns_")
        p = self._probability(self._rows(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likelier class of each row."""
        likely: NDArray[Any] = self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(np.intp)]
        return likely

    def codes_of(self, name: str) -> tuple[float, ...]:
        """Return the special codes of a column."""
        return tuple((self.special_codes or {}).get(name, ()))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _rows(self, X: Any) -> NDArray[np.float32]:
        rows = to_rows(X, self.columns_)
        require_finite(rows, self.columns_)
        return rows

    @abstractmethod
    def _learn(self, rows: NDArray[np.float32], y: NDArray[np.int64], weight: Floats) -> None:
        """Fit raw rows; `y` is 1 for the second class."""

    @abstractmethod
    def _probability(self, rows: NDArray[np.float32]) -> Floats:
        """Return the probability of the second class, float64 (n_rows,)."""


def inner_splits(y: NDArray[Any], seed: int) -> list[Split]:
    """Return splits of training rows to tune on: three folds of a short table, else one hold-out."""
    n_least = int(np.unique(y, return_counts=True)[1].min())
    if len(y) > SHORT:
        splitter: Any = StratifiedShuffleSplit(1, test_size=0.25, random_state=seed)
    elif n_least >= 3:
        splitter = StratifiedKFold(3, shuffle=True, random_state=seed)
    else:
        raise DataError(f"at least 3 rows of each class expected to tune on, got {n_least}")
    return list(splitter.split(y, y))


def _classes(y: ArrayLike, n_rows: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    given = np.asarray(y)
    if given.shape != (n_rows,):
        raise DataError(f"y of shape ({n_rows},) expected, one class a row, got {given.shape}")
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise DataError("y has missing or infinite values; leave those rows out")
    classes, codes = np.unique(given, return_inverse=True)
    if len(classes) != 2:
        raise DataError(
            f"two classes expected (0 good, 1 bad), got {len(classes)}: {classes[:5].tolist()}"
        )
    return classes, codes.astype(np.int64)


def _weights(given: ArrayLike | None, n_rows: int) -> Floats:
    if given is None:
        return np.ones(n_rows)
    weight = np.asarray(given, np.float64)
    if weight.shape != (n_rows,) or not (np.isfinite(weight) & (weight >= 0)).all():
        raise DataError(f"{n_rows} weights expected, finite and not negative")
    return weight
