"""The oracle: what a Program means, slowly and obviously.

A Program means what `run` says it means; every other engine is correct when it agrees with it
exactly, bit for bit. Nothing here is clever, and nothing depends on the order of float additions
except where docs/program.md writes that order down.
"""

from math import factorial
from typing import Any, assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.bits import pack, xor_popcount
from bimetal.errors import DataError
from bimetal.program import EQ, GE, Dense, Encode, Link, Op, Program, Readout, Rules

__all__ = ["exp", "run", "trace"]


def run(program: Program, rows: ArrayLike) -> NDArray[np.float32]:
    """Run a Program over raw rows.

    Parameters
    ----------
    program : Program
        What to run.
    rows : array_like
        float32 array of shape (n_rows, n_columns): numbers as they are, categories as their
        codes (unseen: −1), missing as NaN.

    Returns
    -------
    numpy.ndarray
        float32 array of shape (n_rows, n_outputs).

    Raises
    ------
    DataError
        When `rows` has another shape.
    """
    return trace(program, rows)[-1]


def trace(program: Program, rows: ArrayLike) -> list[NDArray[Any]]:
    """Run a Program and return every value: the rows, then one array for each operation.

    Bits come as booleans of shape (n_rows, n_bits), points as int32, answers as float32.
    """
    x = np.asarray(rows, dtype=np.float32)
    if x.ndim != 2 or x.shape[1] != program.n_columns:
        raise DataError(f"rows must have shape (n_rows, {program.n_columns}), got {x.shape}")
    values: list[NDArray[Any]] = [x]
    for op in program.ops:
        values.append(_apply(op, values))
    return values


def _apply(op: Op, values: list[NDArray[Any]]) -> NDArray[Any]:
    match op:
        case Encode():
            return _encode(op, values[0])
        case Dense():
            return _dense(op, values[op.input])
        case Rules():
            return _rules(op, values[op.input])
        case Readout():
            return _readout(op, np.concatenate([values[i] for i in op.inputs], axis=1))
        case Link():
            return _link(op, values[op.input])
        case _:
            assert_never(op)


def _encode(op: Encode, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    regular = rows.copy()
    for column, special in zip(op.special_column, op.special_value, strict=True):
        regular[rows[:, column] == special, column] = np.nan
    bits = np.empty((len(rows), len(op.column)), dtype=bool)
    for i, (column, kind, value) in enumerate(zip(op.column, op.kind, op.value, strict=True)):
        if kind == GE:
            bits[:, i] = regular[:, column] >= value
        elif kind == EQ:
            bits[:, i] = rows[:, column] == value
        else:
            bits[:, i] = np.isnan(rows[:, column])
    return bits


def _dense(op: Dense, bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    n_out = len(op.thresholds)
    fired = np.empty((len(bits), n_out), dtype=bool)
    k_in, k_out = op.n_in // op.groups, n_out // op.groups
    for g in range(op.groups):
        out = slice(g * k_out, (g + 1) * k_out)
        counts = xor_popcount(pack(bits[:, g * k_in : (g + 1) * k_in]), op.weights[out])
        fired[:, out] = counts <= op.thresholds[out]
    return fired


def _rules(op: Rules, bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    fired = np.empty((len(bits), len(op.fan_in)), dtype=bool)
    ends = np.cumsum(op.fan_in, dtype=np.int64)
    for o, (end, n) in enumerate(zip(ends, op.fan_in, strict=True)):
        literals = op.literals[end - n : end]
        fired[:, o] = (bits[:, literals >> 1] != (literals & 1).astype(bool)).all(axis=1)
    return fired


def _readout(op: Readout, bits: NDArray[np.bool_]) -> NDArray[np.int32]:
    return bits.astype(np.int32) @ op.weights.astype(np.int32).T + op.bias


def _link(op: Link, points: NDArray[np.int32]) -> NDArray[np.float32]:
    z = op.offset + op.scale * points.astype(np.float64)
    match op.kind:
        case "identity":
            with np.errstate(over="ignore"):  # beyond float32 an answer is infinite, by definition
                return z.astype(np.float32)
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


_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
_EXP_TERMS = tuple(1.0 / factorial(i) for i in range(13, -1, -1))


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
    k = np.floor(x * _LOG2_E + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = np.full_like(x, _EXP_TERMS[0])
    for term in _EXP_TERMS[1:]:
        p = p * r + term
    return np.ldexp(p, k.astype(np.int64))
