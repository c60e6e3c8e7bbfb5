"""The operations of a Program: what each is made of, and what it demands of its parts.

Each operation is a frozen dataclass: its arrays are checked and frozen when it is built, its wiring
when a Program takes it in (`value_of`). `reference.run` says what each one means, and
docs/program.md says it in words. To add an operation, write one dataclass and name it in `OPS`;
mypy's `assert_never` then points at every `match` that needs a new case.
"""

from collections.abc import Sequence
from typing import assert_never

from bimetal.ops import checks_maps, tables
from bimetal.ops.base import MAX_BITS, MAX_ELEMENTS, Value, frozen, input_value, require
from bimetal.ops.maps import (
    Add,
    Affine,
    ByteConv,
    Concat,
    Conv,
    Planes,
    Pool,
    PReLU,
    Quantize,
    RowThreshold,
    Threshold,
)
from bimetal.ops.tables import EQ, GE, MISSING, Dense, Encode, Link, Lut, Readout, Rules

__all__ = [
    "EQ",
    "GE",
    "MAX_BITS",
    "MAX_ELEMENTS",
    "MISSING",
    "OPS",
    "Add",
    "Affine",
    "ByteConv",
    "Concat",
    "Conv",
    "Dense",
    "Encode",
    "Link",
    "Lut",
    "MapOp",
    "Op",
    "PReLU",
    "Planes",
    "Pool",
    "Quantize",
    "Readout",
    "RowThreshold",
    "Rules",
    "TableOp",
    "Threshold",
    "Value",
    "frozen",
    "require",
    "value_of",
]

TableOp = Encode | Dense | Rules | Lut | Readout | Link
MapOp = (
    Quantize | Planes | Conv | ByteConv | Pool | Threshold | RowThreshold | Affine | PReLU | Add | Concat
)  # fmt: skip
Op = TableOp | MapOp
OPS: tuple[type[Op], ...] = (
    Encode,
    Dense,
    Rules,
    Lut,
    Readout,
    Link,
    Quantize,
    Planes,
    Conv,
    ByteConv,
    Pool,
    Threshold,
    RowThreshold,
    Affine,
    PReLU,
    Add,
    Concat,
)


def value_of(op: Op, values: Sequence[Value]) -> Value:
    """Return what `op` makes of earlier `values`, or raise `ProgramError` if they do not fit."""
    match op:
        case Encode():
            return tables.check_encode(op, values[0].n)
        case Dense():
            return tables.check_dense(op, input_value(values, op.input, "bits").n)
        case Rules():
            return tables.check_rules(op, input_value(values, op.input, "bits").n)
        case Lut():
            return tables.check_lut(op, input_value(values, op.input, "bits").n)
        case Readout():
            return tables.check_readout(
                op, sum(input_value(values, i, "bits").n for i in op.inputs)
            )
        case Link():
            return tables.check_link(op, input_value(values, op.input, "ints").n)
        case _:
            return _map_value_of(op, values)


def _map_value_of(op: MapOp, values: Sequence[Value]) -> Value:
    match op:
        case Quantize():
            return checks_maps.check_quantize(op, input_value(values, op.input, "row", "floats"))
        case Planes():
            return checks_maps.check_planes(op, input_value(values, op.input, "bytes"))
        case Conv():
            return checks_maps.check_conv(op, input_value(values, op.input, "bits"))
        case ByteConv():
            return checks_maps.check_byte_conv(op, input_value(values, op.input, "bytes"))
        case Pool():
            kinds = ("bits", "bytes", "ints", "floats")
            return checks_maps.check_pool(op, input_value(values, op.input, *kinds))
        case Threshold():
            return checks_maps.check_threshold(op, input_value(values, op.input, "ints", "floats"))
        case RowThreshold():
            return checks_maps.check_row_threshold(op, input_value(values, op.input, "ints"))
        case Affine():
            return checks_maps.check_affine(op, input_value(values, op.input, "ints", "floats"))
        case PReLU():
            return checks_maps.check_prelu(op, input_value(values, op.input, "floats"))
        case Add():
            read = [input_value(values, i, "ints", "floats") for i in op.inputs]
            return checks_maps.check_add(op, read)
        case Concat():
            read = [input_value(values, i, "bits", "ints", "floats") for i in op.inputs]
            return checks_maps.check_concat(op, read)
        case _:
            assert_never(op)
