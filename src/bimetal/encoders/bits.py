"""The bits of an encoding: what each asks, as the rows of an `Encode`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimetal.encoders.training import Training
from bimetal.errors import DataError
from bimetal.ops import MAX_BITS
from bimetal.program import EQ, GE, MISSING, Encode

__all__ = ["Bit", "bits_of", "to_op"]

UNSEEN = -1.0


@dataclass(frozen=True)
class Bit:
    """One test of one column."""

    column: int
    kind: int
    value: float


def bits_of(
    training: Training,
    cut_points: Mapping[int, NDArray[np.float32]],
    has_missing_bit: NDArray[np.bool_],
) -> list[Bit]:
    """Return the bits of all columns, column by column.

    Raises
    ------
    DataError
        When there is none, or more than a Program can hold.
    """
    bits = []
    for j in range(len(training.columns)):
        bits += [Bit(j, GE, float(cut)) for cut in cut_points.get(j, ())]
        bits += list(_one_hot(training, j))
        bits += list(_specials(training, j))
        if has_missing_bit[j]:
            bits.append(Bit(j, MISSING, 0.0))
    if not 0 < len(bits) <= MAX_BITS:
        raise DataError(
            f"1 to {MAX_BITS} bits expected, got {len(bits)}; "
            + ("no column varies" if not bits else "lower max_bits_per_column or max_categories")
        )
    return bits


def to_op(bits: Sequence[Bit], specials: Sequence[tuple[int, float]]) -> Encode:
    """Return the bits as one operation."""
    return Encode(
        np.array([bit.column for bit in bits], dtype=np.uint16),
        np.array([bit.kind for bit in bits], dtype=np.uint8),
        np.array([bit.value for bit in bits], dtype=np.float32),
        np.array([j for j, _ in specials], dtype=np.uint16),
        np.array([code for _, code in specials], dtype=np.float32),
    )


def _one_hot(training: Training, j: int) -> Iterator[Bit]:
    codes = training.rows[:, j]
    if training.columns[j].kind == "number":
        return
    kept = (training.kept or {}).get(j, ())
    if len(kept) > 1 or (kept and (codes != kept[0])[~np.isnan(codes)].any()):
        for code in kept:
            yield Bit(j, EQ, float(code))
    if (codes == UNSEEN).any():
        yield Bit(j, EQ, UNSEEN)


def _specials(training: Training, j: int) -> Iterator[Bit]:
    for column, code in training.specials:
        if column == j and (training.rows[:, j] == np.float32(code)).any():
            yield Bit(j, EQ, code)
