"""Scores become probabilities, and go on doing so while a stream drifts.

The scores of a net that is still learning are neither on the scale of log-odds nor at the level of the
classes as they come today. So each mini-batch is scored *before* it is learned from, and a slope and one
offset a class are moved towards what would have been right: Platt's regression (1999), followed online
by Newton's steps whose past fades. Only what the net said of rows it had not seen goes in.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RunningCalibration"]

Floats = NDArray[np.float64]

SLOPE = 0.5
"""Of a net that has learned nothing yet: it may be wrong, so it is believed by half."""
DAMPING = 4.0
"""Added to the curvature: about what sixteen undecided rows weigh, so that no few rows move it far."""
STEEPEST, FLATTEST = 20.0, 0.02


class RunningCalibration:
    """Probabilities of C classes, ``softmax(slope * scores + offsets)``, kept right on a stream.

    Parameters
    ----------
    n_classes : int, default 0
        Classes at first; see `add_class`.
    half_life : float, default 1000
        Rows after which a row counts by half.

    Attributes
    ----------
    slope : float
        Of the scores; between `FLATTEST` and `STEEPEST`.
    offsets : numpy.ndarray
        float64 (n_classes,).
    curvature : numpy.ndarray
        float64 (1 + n_classes, 1 + n_classes): what is known about slope and offsets.

    Examples
    --------
    >>> calibration = RunningCalibration(2)
    >>> calibration.probabilities(np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]])
    """

    def __init__(self, n_classes: int = 0, half_life: float = 1000.0) -> None:
        self.half_life = half_life
        self.slope, self.offsets = SLOPE, np.zeros(n_classes)
        self.curvature = np.zeros((1 + n_classes, 1 + n_classes))

    def probabilities(self, scores: NDArray[Any]) -> Floats:
        """Return probabilities, float64 (n_rows, n_classes), of scores of this shape."""
        z = self.slope * scores + self.offsets
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def update(self, scores: NDArray[Any], codes: NDArray[np.intp], weight: Floats) -> None:
        """Look at what the net said of a few rows, and at what they were.

        Parameters
        ----------
        scores : numpy.ndarray
            (n_rows, n_classes), of a net that has not learned from these rows.
        codes : numpy.ndarray
            Class of each row, (n_rows,).
        weight : numpy.ndarray
            float64 (n_rows,).
        """
        s = scores.astype(np.float64)
        p = self.probabilities(s)
        error = -p
        error[np.arange(len(codes)), codes] += 1
        error *= weight[:, None]
        gradient = np.concatenate([[float((error * s).sum())], error.sum(axis=0)])
        fading = 0.5 ** (len(codes) / self.half_life)
        self.curvature = fading * self.curvature + _curvature(s, p, weight)
        damped = self.curvature + DAMPING * np.eye(len(gradient))
        step = np.linalg.solve(damped, gradient)
        self.slope = float(np.clip(self.slope + step[0], FLATTEST, STEEPEST))
        self.offsets = self.offsets + step[1:]
        self.offsets -= self.offsets.mean()  # a number added to all changes nothing

    def add_class(self, share: float) -> None:
        """Make room for one more class, of which `share` of the rows are at first."""
        others = np.log(np.exp(self.offsets).sum()) if len(self.offsets) else 0.0
        first = others + np.log(share / (1 - share)) if len(self.offsets) else 0.0
        self.offsets = np.append(self.offsets, first)
        self.curvature = np.pad(self.curvature, (0, 1))


def _curvature(s: Floats, p: Floats, weight: Floats) -> Floats:
    """Return Σ weight · Jᵀ (diag p − p pᵀ) J with J = [scores, 1] of each row: the Fisher information."""
    q = weight[:, None] * p
    middle = np.diag(q.sum(axis=0)) - q.T @ p  # of the offsets among themselves
    mean = (p * s).sum(axis=1, keepdims=True)
    across = (q * (s - mean)).sum(axis=0)
    top = float((q * s * (s - mean)).sum())
    n = len(middle)
    whole = np.empty((1 + n, 1 + n))
    whole[0, 0], whole[0, 1:], whole[1:, 0], whole[1:, 1:] = top, across, across, middle
    return whole
