"""The linear part: points for bits, which is an additive scorecard.

Ridge-penalised and fitted to the end (Newton's method for log loss, one solve for squared loss), for a
path of penalties from strong to weak, each start warm.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit

from bimetal.estimators.parts import Part
from bimetal.estimators.tasks import Floats, Task

__all__ = ["PENALTIES", "linear_part", "linear_path", "linear_scores"]

PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
_INTERCEPT_PENALTY = 1e-6


def linear_path(
    bits: NDArray[np.bool_],
    targets: Floats,
    weight: Floats,
    task: Task,
    penalties: Sequence[float] = PENALTIES,
    signs: NDArray[np.int8] | None = None,
) -> list[Floats]:
    """Fit a linear model for each penalty.

    `signs`, for two classes: int8 (n_bits,), 1 where a weight must not be below 0, −1 where not
    above, 0 where it is free.

    Returns
    -------
    list of numpy.ndarray
        For each penalty float64 (n_outputs, n_bits + 1), the intercept last. Several classes are
        fitted one against the rest.
    """
    x = np.hstack([bits.astype(np.float32), np.ones((len(bits), 1), np.float32)])
    if signs is not None and signs.any():
        assert task.kind == "binary"
        held = np.r_[signs, 0].astype(np.int8)
        return [w[None] for w in _projected(x, targets[:, 0], weight, penalties, held)]
    solve = _ridge if task.kind == "regression" else _newton
    outputs = [solve(x, targets[:, c], weight, penalties) for c in range(task.n_outputs)]
    return [np.stack(coefficients) for coefficients in zip(*outputs, strict=True)]


def linear_scores(coefficients: Floats, bits: NDArray[np.bool_]) -> Floats:
    """Scores of rows, float64 (n_rows, n_outputs)."""
    return bits.astype(np.float64) @ coefficients[:, :-1].T + coefficients[:, -1]


def linear_part(coefficients: Floats) -> Part:
    """Wrap coefficients as a part of a model."""
    direct, bias = coefficients[:, :-1], coefficients[:, -1]
    return Part("linear", (), direct, np.zeros((len(bias), 0)), bias)


def _penalty(n: int, strength: float) -> Floats:
    penalty = np.full(n, strength)
    penalty[-1] = _INTERCEPT_PENALTY
    return penalty


def _gram(x: Floats, h: Floats) -> Floats:
    gram: Floats = ((x * h[:, None].astype(np.float32)).T @ x).astype(np.float64)
    return gram


def _step(gram: Floats, penalty: Floats, gradient: Floats) -> Floats:
    """Solve (gram + penalty) step = gradient.

    Sums in float32 leave the matrix a little indefinite where bits repeat each other, hence the
    floor on its diagonal; as the gradient is exact, it makes a step shorter, never wrong.
    """
    floor = 1e-6 * gram.diagonal().max()
    while True:
        try:
            factor = cho_factor(gram + np.diag(penalty + floor))
        except LinAlgError:
            floor *= 10
        else:
            step: Floats = cho_solve(factor, gradient)
            return step


def _ridge(x: Floats, y: Floats, weight: Floats, penalties: Sequence[float]) -> list[Floats]:
    w: Floats = np.zeros(x.shape[1])
    path: list[Floats] = []
    gram = _gram(x, weight)
    for strength in penalties:
        penalty = _penalty(x.shape[1], strength)
        for _ in range(10):
            gradient = x.T.astype(np.float64) @ (weight * (x @ w - y)) + penalty * w
            step = _step(gram, penalty, gradient)
            w = w - step
            if np.abs(step).max() < 1e-6:
                break
        path.append(w.copy())
    return path


def _newton(x: Floats, y: Floats, weight: Floats, penalties: Sequence[float]) -> list[Floats]:
    w: Floats = np.zeros(x.shape[1])
    path: list[Floats] = []
    for strength in penalties:
        penalty = _penalty(x.shape[1], strength)
        for _ in range(30):
            p = expit(x @ w)
            gradient = x.T.astype(np.float64) @ (weight * (p - y)) + penalty * w
            # a floor under the curvature keeps the step finite where the classes separate
            curvature = weight * np.maximum(p * (1 - p), 1e-4)
            step = _step(_gram(x, curvature), penalty, gradient)
            w = w - step
            if np.abs(step).max() < 1e-3:
                break
        path.append(w.copy())
    return path


def _projected(
    x: Floats, y: Floats, weight: Floats, penalties: Sequence[float], signs: NDArray[np.int8]
) -> list[Floats]:
    """Newton's method under signs: what a bound holds back stands still, the rest takes the step.

    Bertsekas, "Projected Newton methods for optimization problems with simple constraints" (1982).
    """
    w: Floats = np.zeros(x.shape[1])
    path: list[Floats] = []
    for strength in penalties:
        penalty = _penalty(x.shape[1], strength)
        for _ in range(50):
            z = x @ w
            p = expit(z)
            gradient = x.T.astype(np.float64) @ (weight * (p - y)) + penalty * w
            free = ~((w == 0) & (signs * gradient > 0))
            curvature = weight * np.maximum(p * (1 - p), 1e-4)
            gram = _gram(x[:, free], curvature)
            step = np.zeros_like(w)
            step[free] = _step(gram, penalty[free], gradient[free])
            w, moved = _backtracked(x, y, weight, penalty, signs, w, step, gradient)
            if moved < 1e-3:
                break
        path.append(w.copy())
    return path


def _backtracked(
    x: Floats,
    y: Floats,
    weight: Floats,
    penalty: Floats,
    signs: NDArray[np.int8],
    w: Floats,
    step: Floats,
    gradient: Floats,
) -> tuple[Floats, float]:
    """Shorten a step until the penalised loss falls; return where it led and how far."""

    def loss(v: Floats) -> float:
        z = x @ v
        return float(weight @ (np.logaddexp(0, z) - y * z) + penalty @ (v * v) / 2)

    before, share = loss(w), 1.0
    while share > 1e-6:
        there = w - share * step
        there = np.where(signs * there < 0, 0.0, there)
        if loss(there) <= before + 1e-4 * float(gradient @ (there - w)):
            return there, float(np.abs(there - w).max())
        share /= 2
    return w, 0.0
