"""The oracle: what a Program means, slowly and obviously.

A Program means what `run` says it means; every other engine is correct when it agrees with it
exactly, bit for bit. Nothing here is clever, and nothing depends on the order of float additions
except where docs/program.md writes that order down.
"""

from typing import Any, assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.ops import (
    Add,
    Affine,
    ByteConv,
    Concat,
    Conv,
    Dense,
    Encode,
    Link,
    Lut,
    MapOp,
    Op,
    Planes,
    Pool,
    PReLU,
    Quantize,
    Readout,
    RowThreshold,
    Rules,
    Threshold,
)
from bimetal.program import Program
from bimetal.reference import maps, tables
from bimetal.reference.link import exp, link

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

    Bits come as booleans of shape (n_rows, n_bits), bytes as uint8, ints (points) as int32, floats
    (answers) as float32.
    """
    x = np.asarray(rows, dtype=np.float32)
    if x.ndim != 2 or x.shape[1] != program.n_columns:
        raise DataError(f"rows must have shape (n_rows, {program.n_columns}), got {x.shape}")
    values: list[NDArray[Any]] = [x]
    for op in program.ops:
        with np.errstate(all="ignore"):  # infinities and NaN are values like any other here
            values.append(_apply(op, values))
    return values


def _apply(op: Op, values: list[NDArray[Any]]) -> NDArray[Any]:
    match op:
        case Encode():
            return tables.encode(op, values[0])
        case Dense():
            return tables.dense(op, values[op.input])
        case Rules():
            return tables.rules(op, values[op.input])
        case Lut():
            return tables.lut(op, values[op.input])
        case Readout():
            return tables.readout(op, np.concatenate([values[i] for i in op.inputs], axis=1))
        case Link():
            return link(op, values[op.input])
        case _:
            return _apply_to_map(op, values)


def _apply_to_map(op: MapOp, values: list[NDArray[Any]]) -> NDArray[Any]:
    match op:
        case Quantize():
            return maps.quantize(op, values[op.input])
        case Planes():
            return maps.planes(op, values[op.input])
        case Conv():
            return maps.conv(op, values[op.input])
        case ByteConv():
            return maps.byte_conv(op, values[op.input])
        case Pool():
            return maps.pool(op, values[op.input])
        case Threshold():
            return maps.threshold(op, values[op.input])
        case RowThreshold():
            return maps.row_threshold(op, values[op.input])
        case Affine():
            return maps.affine(op, values[op.input])
        case PReLU():
            return maps.prelu(op, values[op.input])
        case Add():
            return maps.add([values[i] for i in op.inputs])
        case Concat():
            return maps.concat(op, [values[i] for i in op.inputs])
        case _:
            assert_never(op)
