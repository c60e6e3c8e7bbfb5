"""What a target is: two classes, several, or a number."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.values import Values
from bimetal.encoders.training import Training
from bimetal.errors import DataError, NotFiniteError

__all__ = ["Task", "read_target"]

Task = Literal["binary", "multiclass", "regression"]
MOST_CLASSES_OF_NUMBERS = 20


def read_target(training: Training, task: str, encoder: str) -> tuple[NDArray[np.float64], Task]:
    """Return the target as float64 (classes as 0, 1, ...) and what it is.

    Raises
    ------
    DataError
        When there is no target, it has missing values, or `task` is unknown.
    NotFiniteError
        When a number to predict is infinite.
    """
    if training.y is None:
        raise DataError(f"{encoder} learns its cut-points from the target: call fit(X, y)")
    if task not in ("auto", "classification", "regression"):
        raise DataError(f"task must be auto, classification or regression, got {task!r}")
    y = training.y
    if y.dtype.kind == "O" and None in set(Values.of_list("y", y.tolist()).data):
        raise DataError("y has missing values; drop those rows")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise NotFiniteError("y must be finite, got NaN or an infinity; drop those rows")
    if task == "regression" or (task == "auto" and not _is_classes(y)):
        return y.astype(np.float64), "regression"
    classes, codes = np.unique(y, return_inverse=True)
    return codes.astype(np.float64), "binary" if len(classes) <= 2 else "multiclass"


def _is_classes(y: NDArray[np.generic]) -> bool:
    if y.dtype.kind not in "iuf":
        return True
    distinct = np.unique(y)
    is_whole = bool((distinct == np.floor(distinct)).all())
    return is_whole and len(distinct) <= MOST_CLASSES_OF_NUMBERS
