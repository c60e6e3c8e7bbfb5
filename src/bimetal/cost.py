"""What a Program costs: bits, bytes and operations, operation by operation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

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
    Value,
)

__all__ = ["Cost", "CostRow", "cost_of"]


@dataclass(frozen=True)
class CostRow:
    """What one operation costs for one row: its sizes, its bytes, its work (see `Cost`)."""

    op: str
    n_in: int
    n_out: int
    binary_weights: int
    bytes: int
    bit_ops: int
    int_ops: int
    float_ops: int


@dataclass(frozen=True)
class Cost:
    """Size and work of a Program.

    Attributes
    ----------
    rows : tuple of CostRow
        One row an operation, then one for the golden vectors.
    bits : int
        Binary weights, one bit each.
    bytes : int
        Bytes of all arrays: the file on disk but for its header.
    bit_ops : int
        XOR-popcount-accumulates (one a synapse, at every place of a convolution) and literal tests
        for one row.
    int_ops, float_ops : int
        Integer additions and multiplications (of a convolution of bytes), and float comparisons
        and formula steps, for one row.
    """

    rows: tuple[CostRow, ...]

    @property
    def bits(self) -> int:
        """Binary weights, one bit each."""
        return sum(row.binary_weights for row in self.rows)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(row.bytes for row in self.rows)

    @property
    def bit_ops(self) -> int:
        """Bit operations for one row."""
        return sum(row.bit_ops for row in self.rows)

    @property
    def int_ops(self) -> int:
        """Integer additions for one row."""
        return sum(row.int_ops for row in self.rows)

    @property
    def float_ops(self) -> int:
        """Float comparisons and formula steps for one row."""
        return sum(row.float_ops for row in self.rows)


def cost_of(op: Op, values: Sequence[Value], made: Value) -> CostRow:
    """Return what `op` costs when it reads from `values` and makes `made`."""
    size = sum(array.nbytes for array in op.arrays().values())
    name = type(op).__name__.lower()
    match op:
        case Encode():
            return CostRow(name, values[0].n, made.n, 0, size, 0, 0, made.n)
        case Dense():
            synapses = made.n * (op.n_in // op.groups)
            return CostRow(name, op.n_in, made.n, synapses, size, synapses, made.n, 0)
        case Rules():
            n_literals = len(op.literals)
            n_in = values[op.input].n
            return CostRow(name, n_in, made.n, n_literals, size, n_literals, 0, 0)
        case Lut():  # a table is no weight: its bytes count, its look-up is an operation
            return CostRow(name, values[op.input].n, made.n, 0, size, made.n, 0, 0)
        case Readout():
            n_in = op.weights.shape[1]
            return CostRow(name, n_in, made.n, 0, size, 0, n_in * made.n, 0)
        case Link():
            n_in = len(op.scale)
            return CostRow(name, n_in, made.n, 0, size, 0, 0, n_in)
        case _:
            return _map_cost(op, values, made)


def _map_cost(op: MapOp, values: Sequence[Value], made: Value) -> CostRow:
    size = sum(array.nbytes for array in op.arrays().values())
    name = type(op).__name__.lower()
    reads = op.inputs if isinstance(op, Add | Concat) else (op.input,)
    n_in = sum(values[i].n for i in reads)
    n_ints, n_floats = (0, made.n) if values[reads[0]].kind == "floats" else (made.n, 0)
    match op:
        case Conv():
            window = op.kernel[0] * op.kernel[1] * op.shape[2] // op.groups
            weights, synapses = len(op.bias) * window, made.n * window
            return CostRow(name, n_in, made.n, weights, size, synapses, made.n, 0)
        case ByteConv():
            return CostRow(name, n_in, made.n, 0, size, 0, made.n * op.weights.shape[1], 0)
        case Quantize() | Affine() | PReLU():
            return CostRow(name, n_in, made.n, 0, size, 0, 0, made.n)
        case Planes() | Threshold():
            return CostRow(name, n_in, made.n, 0, size, 0, n_ints, n_floats)
        case RowThreshold():  # a sum, a product and its sum, and a comparison
            return CostRow(name, n_in, made.n, 0, size, 0, 4 * made.n, 0)
        case Pool():
            n = op.kernel[0] * op.kernel[1]
            return CostRow(name, n_in, made.n, 0, size, 0, n * n_ints, n * n_floats)
        case Add():
            n = len(op.inputs) - 1
            return CostRow(name, n_in, made.n, 0, size, 0, n * n_ints, n * n_floats)
        case Concat():
            return CostRow(name, n_in, made.n, 0, size, 0, 0, 0)
        case _:
            assert_never(op)
