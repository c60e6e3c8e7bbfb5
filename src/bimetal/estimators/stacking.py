"""Stacking: how much of each part, by non-negative regression on out-of-fold scores."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from bimetal.estimators.tasks import Floats, Task, mean_loss, residual

__all__ = ["stack"]

_PULL = 1e-3  # ridge towards equal weights: decides only where the data does not
_LEAST = 0.03  # a part below this weight is not worth its bytes


def stack(
    scores: Sequence[Floats], targets: Floats, weight: Floats, task: Task
) -> tuple[Floats, Floats]:
    """Find weights >= 0 and an intercept that make the weighted sum of scores fit the targets.

    Parameters
    ----------
    scores : sequence of numpy.ndarray
        For each part float64 (n_rows, n_outputs), of rows it was not fitted on.
    targets : numpy.ndarray
        float64 (n_rows, n_outputs).
    weight : numpy.ndarray
        float64 (n_rows,), weight of each row.
    task : Task
        Says which loss.

    Returns
    -------
    weights, intercept : numpy.ndarray
        float64 (n_parts,) and (n_outputs,). Weights too small to matter are exactly 0.
    """
    share = weight / weight.sum()
    kept = list(range(len(scores)))
    while True:
        x = _solve([scores[k] for k in kept], targets, share, task)
        weak = [k for k, w in zip(kept, x, strict=False) if w < _LEAST]
        if not weak or len(kept) == 1:
            break
        kept = [k for k in kept if k not in weak] or kept[:1]
    weights = np.zeros(len(scores))
    weights[kept] = np.maximum(x[: len(kept)], 1e-6)
    return weights, x[len(kept) :]


def _solve(scores: list[Floats], targets: Floats, share: Floats, task: Task) -> Floats:
    n = len(scores)
    stacked = np.stack(scores)

    def objective(x: Floats) -> tuple[float, Floats]:
        z = np.tensordot(x[:n], stacked, axes=1) + x[n:]
        r = residual(task, z, targets) * share[:, None]
        pull = x[:n] - 1 / n
        gradient = np.r_[(stacked * r).sum(axis=(1, 2)) + 2 * _PULL * pull, r.sum(axis=0)]
        return mean_loss(task, z, targets, share) + _PULL * float(pull @ pull), gradient

    start = np.r_[np.full(n, 1 / n), np.zeros(targets.shape[1])]
    bounds = [(0, None)] * n + [(None, None)] * targets.shape[1]
    return np.asarray(minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B").x)
