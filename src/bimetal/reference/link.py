"""From points to answers, and the exponential that every engine computes alike."""

from math import factorial
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from bimetal.ops import Link

__all__ = ["exp", "link"]


def link(op: Link, points: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the answers, float32 (n_rows, n_answers)."""
    z = op.offset + op.scale * points.astype(np.float64)
    match op.kind:
        case "identity":
            return z.astype(np.float32)  # beyond float32 an answer is infinite, by definition
        case "sigmoid":
            return _sigmoid(z[:, 0])
        case "softmax":
            return _softmax(z)
        case "table":
            p = op.values[np.searchsorted(op.knots, points[:, 0], side="right")]
            return np.stack([np.float32(1) - p, p], axis=1)
        case _:
            assert_never(op.kind)


def _sigmoid(z: NDArray[np.float64]) -> NDArray[np.float32]:
    e = exp(-np.abs(z))
    larger, smaller = 1.0 / (1.0 + e), e / (1.0 + e)
    p = np.where(z >= 0, larger, smaller)
    q = np.where(z >= 0, smaller, larger)
    return np.stack([q, p], axis=1).astype(np.float32)


def _softmax(z: NDArray[np.float64]) -> NDArray[np.float32]:
    e = exp(z - z.max(axis=1, keepdims=True))
    total = np.zeros(len(z))
    for c in range(z.shape[1]):  # the order of these additions is part of the meaning
        total = total + e[:, c]
    return (e / total[:, None]).astype(np.float32)


LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
EXP_TERMS = tuple(1.0 / factorial(i) for i in range(13, -1, -1))


def exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return e**x for x <= 0 by additions, multiplications and divisions alone, so that all agree.

    x below −700 counts as −700. With k = floor(x·log2 e + 1/2) and r = x − k·ln 2 (ln 2 in two
    parts), the Taylor polynomial of degree 13 is taken by Horner's rule, each step one
    multiplication and one addition (never fused), and scaled by 2**k. |r| <= 0.347, so the error
    stays below 3e-16 of the value.

    Examples
    --------
    >>> float(exp(np.array([-1.0]))[0]) == float(np.exp(-1.0))
    True
    """
    x = np.maximum(x, -700.0)
    k = np.floor(x * LOG2_E + 0.5)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = np.full_like(x, EXP_TERMS[0])
    for term in EXP_TERMS[1:]:
        p = p * r + term
    return np.ldexp(p, k.astype(np.int64))
