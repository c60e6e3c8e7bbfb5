"""What the operations on rows of a table mean."""

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import pack, unpack, xor_popcount
from bimetal.ops import EQ, GE, Dense, Encode, Lut, Readout, Rules

__all__ = ["dense", "encode", "lut", "readout", "rules"]


def encode(op: Encode, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the bits of raw rows, bool (n_rows, n_bits)."""
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


def dense(op: Dense, bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what each neuron says, bool (n_rows, n_out)."""
    n_out = len(op.thresholds)
    fired = np.empty((len(bits), n_out), dtype=bool)
    k_in, k_out = op.n_in // op.groups, n_out // op.groups
    for g in range(op.groups):
        out = slice(g * k_out, (g + 1) * k_out)
        counts = xor_popcount(pack(bits[:, g * k_in : (g + 1) * k_in]), op.weights[out])
        fired[:, out] = counts <= op.thresholds[out]
    return fired


def rules(op: Rules, bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what each rule says, bool (n_rows, n_out)."""
    fired = np.empty((len(bits), len(op.fan_in)), dtype=bool)
    ends = np.cumsum(op.fan_in, dtype=np.int64)
    for o, (end, n) in enumerate(zip(ends, op.fan_in, strict=True)):
        literals = op.literals[end - n : end]
        fired[:, o] = (bits[:, literals >> 1] != (literals & 1).astype(bool)).all(axis=1)
    return fired


def lut(op: Lut, bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what each table says, bool (n_rows, n_out)."""
    n_out, fan_in = op.places.shape
    address = (bits[:, op.places] << np.arange(fan_in)).sum(axis=2)  # (n_rows, n_out)
    fired: NDArray[np.bool_] = unpack(op.tables, 2**fan_in)[np.arange(n_out), address]
    return fired


def readout(op: Readout, bits: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the points, int32 (n_rows, n_outputs)."""
    return bits.astype(np.int32) @ op.weights.astype(np.int32).T + op.bias
