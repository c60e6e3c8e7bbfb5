"""How many points each encoder bit of a Program gives by itself: the scorecard inside it."""

from dataclasses import dataclass

import numpy as np

from bimetal.columns import places
from bimetal.program import Encode, Program, Readout
from bimetal.wording import bit_names

__all__ = ["BitPoints", "bit_points"]


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
        columns = places(program.columns, encode.column.tolist())
        for name, (j, _), n in zip(
            bit_names(program.columns, encode), columns, points, strict=True
        ):
            found.append(BitPoints(name, program.columns[j].name, int(n)))
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
