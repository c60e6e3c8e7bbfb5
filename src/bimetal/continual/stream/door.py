"""The door of `ContinualClassifier`: what scikit-learn wants checked, in our words."""

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_n_features,
    _check_y,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from bimetal.columns.reading import read
from bimetal.continual.stream.incoming import Source
from bimetal.continual.stream.labels import Label, plain_label
from bimetal.continual.stream.streaming import StreamModel
from bimetal.errors import DataError

__all__ = ["labelled", "source_of"]

MAX_WEIGHT = 1e9


def source_of(estimator: Any, stream: StreamModel, X: Any, *, is_first: bool = False) -> Source:
    """Read a table: a frame is matched by name, an array by position.

    Raises
    ------
    DataError
        When it is no table, or an array of another width than before.
    """
    if type(X).__name__ == "LazyFrame":  # of polars or narwhals
        X = X.collect()
    table = read(X)
    if not isinstance(table, np.ndarray):
        stream.columns.are_named |= not stream.columns.names
        return Source.of(table)
    try:
        _check_n_features(estimator, table, reset=is_first)
        array = validate_data(
            estimator, table, reset=is_first, dtype=None, ensure_all_finite=False,
            ensure_min_samples=int(is_first),
        )  # fmt: skip
    except DataError:
        raise
    except ValueError as error:  # scikit-learn's
        raise DataError(str(error)) from error
    return Source.of(array, stream.columns.names)


def labelled(
    estimator: Any,
    stream: StreamModel,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    is_first: bool = False,
) -> tuple[Source, list[Label], list[float]]:
    """Read rows of weight above 0, their labels and their weights.

    Raises
    ------
    DataError
        When table, labels or weights cannot be used, or do not fit each other.
    """
    source = source_of(estimator, stream, X, is_first=is_first)
    if y is None:
        name = type(estimator).__name__
        raise DataError(f"{name} requires y to be passed, but the target y is None")
    try:
        y = column_or_1d(_check_y(y, multi_output=False, y_numeric=False), warn=True)
        check_consistent_length(source, y)
        check_classification_targets(y)
    except ValueError as error:
        raise DataError(str(error)) from error
    labels = [plain_label(label) for label in y.tolist()]
    if sample_weight is None:
        return source, labels, [1.0] * len(labels)
    weights = np.asarray(sample_weight, np.float64)
    if weights.shape != (len(labels),) or not ((weights >= 0) & (weights <= MAX_WEIGHT)).all():
        raise DataError(
            f"sample_weight must be {len(labels)} numbers of 0 to {MAX_WEIGHT:g}, got "
            f"{sample_weight!r:.200}; what matters is their ratio"
        )
    kept = np.flatnonzero(weights)
    if len(kept) < len(labels):
        source, labels = source.take(kept), [labels[i] for i in kept]
    return source, labels, weights[kept].tolist()
