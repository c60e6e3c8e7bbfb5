"""What is being learned: two classes, several classes, or a number; the loss and its scale.

Every part of a model answers with *scores*, float64 of shape (n_rows, n_outputs): the log-odds of the
second class, one score a class, or the standardised target.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

__all__ = ["Floats", "Task", "mean_loss", "probabilities", "residual", "row_losses"]

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Task:
    """What is learned; targets are (n_rows, n_outputs): probabilities or standardised numbers."""

    kind: Literal["binary", "multiclass", "regression"]
    n_outputs: int


def probabilities(task: Task, scores: Floats) -> Floats:
    """Turn scores into targets' space: probabilities, or the numbers themselves."""
    match task.kind:
        case "binary":
            return np.asarray(expit(scores))
        case "multiclass":
            return np.asarray(softmax(scores, axis=1))
        case "regression":
            return scores


def residual(task: Task, scores: Floats, targets: Floats) -> Floats:
    """Gradient of the row loss with respect to the scores."""
    return np.asarray(probabilities(task, scores) - targets)


def row_losses(task: Task, scores: Floats, targets: Floats) -> Floats:
    """Log loss of each row, or half its squared error."""
    match task.kind:
        case "binary":
            rows = (np.logaddexp(0, scores) - targets * scores)[:, 0]
        case "multiclass":
            rows = -(targets * log_softmax(scores, axis=1)).sum(axis=1)
        case "regression":
            rows = 0.5 * ((scores - targets) ** 2).sum(axis=1)
    return np.asarray(rows)


def mean_loss(task: Task, scores: Floats, targets: Floats, weight: Floats) -> float:
    """Weighted mean of `row_losses`."""
    return float(np.average(row_losses(task, scores, targets), weights=weight))
