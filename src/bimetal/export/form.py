"""What several writers ask of a Program: its weights as bits, its parts that matter, its numbers as text."""

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import unpack
from bimetal.ops import Add, Concat, Dense, Encode, Link, Lut, Op, Readout
from bimetal.program import Program

__all__ = ["link_of", "live", "reads", "table_bits", "weight_bits"]


def reads(op: Op) -> tuple[int, ...]:
    """Return the values that an operation reads, each as often as it is named."""
    if isinstance(op, Encode):
        return (0,)
    if isinstance(op, Readout | Add | Concat):
        return op.inputs
    return (op.input,)


def live(program: Program) -> list[int]:
    """Return the operations that the answer depends on, in order; the rest need not be written."""
    needed = {len(program.ops)}
    for i in range(len(program.ops) - 1, -1, -1):
        if i + 1 in needed:
            needed.update(reads(program.ops[i]))
    return [i for i in range(len(program.ops)) if i + 1 in needed]


def link_of(program: Program) -> Link:
    """Return the last operation, which is always a `Link`."""
    last = program.ops[-1]
    assert isinstance(last, Link)
    return last


def weight_bits(op: Dense) -> NDArray[np.bool_]:
    """Return the weights of a dense layer, bool (n_out, n_in / groups)."""
    return unpack(op.weights, op.n_in // op.groups)


def table_bits(op: Lut) -> NDArray[np.bool_]:
    """Return the tables of a `Lut`, bool (n_out, 2**fan_in)."""
    return unpack(op.tables, 2 ** op.places.shape[1])
