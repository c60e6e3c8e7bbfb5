"""A Program handed to the native engine, operation by operation.

Programs of rows alone go to `Core`, which works row by row or in bit planes over rows; Programs with
maps to `NetCore`, which works operation by operation over images (csrc/net/).
"""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import numpy as np

from bimetal import _engine
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
    Op,
    Planes,
    Pool,
    PReLU,
    Quantize,
    Readout,
    RowThreshold,
    Rules,
    TableOp,
    Threshold,
)
from bimetal.program import Program

__all__ = ["ExplainCore", "build", "isas"]

NativeCore = _engine.Core | _engine.NetCore
ExplainCore = _engine.ExplainCore
isas = _engine.isas


def build(
    program: Program,
    isa: str,
    *,
    threads: int,
    cpus: Sequence[int],
    batch_size: int,
    kernels: Mapping[int, str],
) -> NativeCore:
    """Return the native engine for a Program; the options are those of `runtime.Engine`."""
    n = program.n_columns
    tables = [op for op in program.ops if isinstance(op, TableOp)]
    if len(tables) == len(program.ops):
        core = _engine.Core(isa, n, threads, list(cpus))
        for table_op in tables:
            _add(core, table_op)
        return core
    wanted = [kernels.get(i, "") for i in range(len(program.ops))]
    net = _engine.NetCore(isa, n, threads, list(cpus), batch_size, wanted)
    kept: list[Any] = []  # arrays made on the way must live until finish() has read them
    for op in program.ops:
        _add_to_net(net, op, kept)
    net.finish()
    return net


def _add(core: NativeCore, op: TableOp) -> None:
    match op:
        case Encode():
            core.encode(op.column, op.kind, op.value, op.special_column, op.special_value)
        case Dense():
            core.dense(op.input, op.groups, op.weights, op.thresholds)
        case Rules():
            core.rules(op.input, op.literals, op.fan_in)
        case Lut():
            core.lut(op.input, op.places, op.tables)
        case Readout():
            core.readout(op.inputs, op.weights.astype(np.int32), op.bias)
        case Link():
            core.link(op.input, op.kind, op.scale, op.offset, op.knots, op.values)
        case _:
            assert_never(op)


def _add_to_net(net: _engine.NetCore, op: Op, kept: list[Any]) -> None:
    match op:
        case Encode() | Dense() | Rules() | Lut() | Link():
            _add(net, op)
        case Readout():
            kept.append(op.weights.astype(np.int32))
            net.readout(op.inputs, kept[-1], op.bias)
        case Quantize():
            net.quantize(op.input, op.scale, op.offset)
        case Planes():
            net.planes(op.input, op.channels, op.channel, op.mask, op.level)
        case Conv():
            net.conv(
                op.input,
                op.makes == "bits",
                op.shape,
                op.kernel,
                op.stride,
                op.dilation,
                op.padding,
                int(op.pad),
                op.groups,
                op.weights,
                op.bias,
            )
        case ByteConv():
            net.byte_conv(
                op.input,
                op.makes == "bits",
                op.shape,
                op.kernel,
                op.stride,
                op.dilation,
                op.padding,
                op.groups,
                op.pad,
                op.weights,
                op.bias,
            )
        case Pool():
            net.pool(op.input, op.kind == "max", op.shape, op.kernel, op.stride, op.padding)
        case Threshold():
            ints, floats = np.array([], np.int32), np.array([], np.float32)
            kept.append(op.thresholds)
            if op.thresholds.dtype == np.int32:
                net.threshold(op.input, op.thresholds, floats, op.flips)
            else:
                net.threshold(op.input, ints, op.thresholds, op.flips)
        case RowThreshold():
            net.row_threshold(op.input, op.channels, op.top, op.bottom)
        case Affine():
            net.affine(op.input, op.scale, op.offset)
        case PReLU():
            net.prelu(op.input, op.before, op.slope, op.after)
        case Add():
            net.add(op.inputs)
        case Concat():
            net.concat(op.inputs, op.channels)
        case _:
            assert_never(op)
