"""Which function writes which operation of a Program as nodes of ONNX."""

from typing import assert_never

import numpy as np

from bimetal.export.onnx import link, maps, pools, tables
from bimetal.export.onnx.graph import Graph
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

__all__ = ["nodes_of"]

Pixelwise = (
    Quantize | Planes | Conv | ByteConv | Pool | Threshold | RowThreshold | Affine | PReLU
)  # fmt: skip


def nodes_of(g: Graph, program: Program, i: int, names: dict[int, str]) -> str:
    """Add the nodes of operation `i` and return the name of what it makes.

    Parameters
    ----------
    g : Graph
        Where the nodes go.
    program : Program
        Whose operation it is.
    i : int
        Its place in `program.ops`.
    names : dict
        The values that exist already, by their number.
    """
    op = program.ops[i]
    match op:
        case Encode():
            return tables.encode(g, op)
        case Dense():
            return tables.dense(g, op, names[op.input])
        case Rules():
            return tables.rules(g, op, names[op.input], program.values[op.input].n)
        case Lut():
            return tables.lut(g, op, names[op.input])
        case Readout():
            return tables.readout(g, op, [names[v] for v in op.inputs])
        case Link():
            return link.link(g, op, names[op.input])
        case Add():
            return _added(g, [names[v] for v in op.inputs], program.values[i + 1].kind)
        case Concat():
            pixels = program.values[i + 1].n // sum(op.channels)
            return maps.concat(g, op, [names[v] for v in op.inputs], pixels)
        case _:
            return _of_one_map(g, op, names[op.input], program, i)


def _of_one_map(g: Graph, op: Pixelwise, x: str, program: Program, i: int) -> str:
    read, n = program.values[op.input], program.values[i + 1].n
    match op:
        case Quantize():
            return maps.quantize(g, op, x, n)
        case Planes():
            return maps.planes(g, op, x, read.n)
        case Conv():
            return maps.conv(g, op, x, n)
        case ByteConv():
            return maps.byte_conv(g, op, x, n)
        case Pool():
            return pools.pool(g, op, x, read.kind, n)
        case Threshold():
            return maps.threshold(g, op, x, n)
        case RowThreshold():
            return pools.row_threshold(g, op, x, n)
        case Affine():
            return maps.affine(g, op, x, n, read.kind == "floats")
        case PReLU():
            return maps.prelu(g, op, x, n)
        case _:
            assert_never(op)


def _added(g: Graph, inputs: list[str], kind: str) -> str:
    """Return a sum from left to right: of floats, or of ints modulo 2**32."""
    if kind == "floats":
        return g.sum(*inputs)
    return g.wrapped(g.sum(*(g.cast(x, np.int64) for x in inputs)))
