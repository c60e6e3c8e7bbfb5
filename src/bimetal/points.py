"""What the bits of a Program ask, in words, and how many points each gives by itself."""

from dataclasses import dataclass
from math import ceil

import numpy as np

from bimetal.program import EQ, GE, Encode, Program, Readout

__all__ = ["BitPoints", "bit_names", "bit_points"]


@dataclass(frozen=True)
class BitPoints:
    """An encoder bit and the points it adds to the score directly when set.

    Attributes
    ----------
    name : str
        What the bit asks: "age >= 30.5".
    column : str
        The column it reads.
    points : int
        Points for the last output; for two classes positive points raise the second one's
        probability.
    """

    name: str
    column: str
    points: int


def bit_names(program: Program, op: Encode) -> tuple[str, ...]:
    """Return what each bit of an `Encode` asks: "age >= 30.5", "housing == own", "x is missing"."""
    return tuple(
        _name(program, int(j), int(kind), float(value))
        for j, kind, value in zip(op.column, op.kind, op.value, strict=True)
    )


def bit_points(program: Program) -> tuple[BitPoints, ...]:
    """Return the direct points of each encoder bit: those of the scorecard inside the Program.

    Points of hidden neurons are not among them. Empty when no readout reads the encoder's bits.
    """
    found = []
    for i, encode in enumerate(program.ops):
        if not isinstance(encode, Encode):
            continue
        points = sum(
            (_direct(program, readout, i + 1) for readout in _readouts(program, i + 1)),
            start=np.zeros(len(encode.column), np.int64),
        )
        for name, j, n in zip(bit_names(program, encode), encode.column, points, strict=True):
            found.append(BitPoints(name, program.columns[int(j)].name, int(n)))
    return tuple(found)


def _readouts(program: Program, value: int) -> list[Readout]:
    return [op for op in program.ops if isinstance(op, Readout) and value in op.inputs]


def _direct(
    program: Program, readout: Readout, value: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    start = 0
    for source in readout.inputs:
        if source == value:
            break
        start += program.values[source].n
    width = program.values[value].n
    weights: np.ndarray[tuple[int], np.dtype[np.int64]] = readout.weights[
        -1, start : start + width
    ].astype(np.int64)
    return weights


def _name(program: Program, j: int, kind: int, value: float) -> str:
    column = program.columns[j]
    if kind == GE:
        is_ordinal = column.kind == "category" and 0 <= ceil(value) < len(column.categories)
        return f"{column.name} >= {column.categories[ceil(value)] if is_ordinal else _shown(value)}"
    if kind == EQ and column.kind == "category":
        is_known = 0 <= value < len(column.categories)
        return (
            f"{column.name} == {column.categories[int(value)]}"
            if is_known
            else f"{column.name} is other"
        )
    return f"{column.name} == {_shown(value)}" if kind == EQ else f"{column.name} is missing"


def _shown(number: float) -> str:
    return str(np.float32(number)).removesuffix(".0")
