"""Bits that keep their meaning: an encoding fitted once, which only ever grows by whole columns.

A weight remembers something about a bit, so a bit must go on asking what it asked when the weight was
learned. Cut-points are found on the first rows of a stream (or on history) and stay; what may come later
is provided for: cut-points beyond the range seen so far, and a bit for missing values in every column,
which is what a column says that has disappeared. A column that emerges gets bits of its own behind
those that are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.encoders import Encoder, QuantileEncoder
from bimetal.encoders.training import Training
from bimetal.program import EQ, GE, MISSING, Encode

__all__ = ["Encoding", "ReachingEncoder"]

BEYOND = (0.0, 0.15, 0.5, 1.5)
"""Where cut-points beyond the range lie, in ranges from its ends."""


@dataclass(kw_only=True, eq=False)
class ReachingEncoder(QuantileEncoder):
    """Cut numbers at quantiles of the rows seen, and beyond them, for what may come.

    Quantiles tell all numbers beyond the range apart from none: after a rise in prices every row would
    look like the largest seen. So a number of three values or more gets four further cut-points on
    each side, at the end of the range and 0.15, 0.5 and 1.5 ranges beyond it. A column without negative
    numbers gets none below 0.

    Parameters are those of `bimetal.QuantileEncoder`; every column has a bit for missing values unless
    `missing` says otherwise.

    Examples
    --------
    >>> encoder = ReachingEncoder(max_bits_per_column=1).fit(np.array([[0.0], [50.0], [100.0]]))
    >>> encoder.bit_names_
    ('x0 >= 75', 'x0 >= 100', 'x0 >= 115', 'x0 >= 150', 'x0 >= 250', 'x0 is missing')
    """

    missing: str = "always"  # type: ignore[assignment]

    def _cut_points(self, training: Training) -> dict[int, NDArray[np.float32]]:
        numbers = {j for j, column in enumerate(training.columns) if column.kind == "number"}
        return {
            j: np.union1d(cuts, beyond(training.values(j)[0])) if j in numbers else cuts
            for j, cuts in super()._cut_points(training).items()
        }


def beyond(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return cut-points at and beyond both ends of ascending distinct values.

    Examples
    --------
    >>> beyond(np.array([-1, 0, 1], "f4")).tolist()
    [-4.0, -2.0, -1.2999999523162842, 1.0, 1.2999999523162842, 2.0, 4.0]
    """
    if len(values) < 3:
        return values[:0]
    low, high = float(values[0]), float(values[-1])
    steps = (high - low) * np.array(BEYOND)
    cuts = np.concatenate([low - steps[1:], high + steps])  # all values are at least the lowest
    if low >= 0:
        cuts = cuts[cuts > 0]
    return np.unique(cuts[np.abs(cuts) < 3e38]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Encoding:
    """The columns of the raw row and the bits that are made of them.

    Attributes
    ----------
    columns : tuple of Column
        In the order in which they came.
    op : Encode
        The first operation of the Program.
    """

    columns: tuple[Column, ...]
    op: Encode

    @classmethod
    def of(cls, encoder: Encoder) -> "Encoding":
        """Return the encoding of a fitted encoder, a bit for missing values added where there is none."""
        op, n = encoder.op_, len(encoder.columns_)
        has_bit = np.isin(np.arange(n), op.column[op.kind == MISSING])
        lacking = np.flatnonzero(~has_bit).astype(np.uint16)
        kinds, values = np.full(len(lacking), MISSING, np.uint8), np.zeros(len(lacking), np.float32)
        return cls(encoder.columns_, _joined(op, lacking, kinds, values))

    @property
    def n_bits(self) -> int:
        """How many bits a row becomes."""
        return len(self.op.column)

    def bits(self, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return bits, bool (n_rows, n_bits), of raw rows: all tests of all rows at once.

        What `bimetal.encoders.evaluate` finds column by column, in fewer and larger steps: a mini-batch
        is a few rows.
        """
        op, given = self.op, rows[:, self.op.column]
        regular = given
        if len(op.special_column):
            regular = given.copy()
            for column, special in zip(op.special_column, op.special_value, strict=True):
                regular[(given == special) & (op.column == column)] = np.nan
        bits: NDArray[np.bool_] = regular >= op.value
        codes, missing = np.flatnonzero(op.kind == EQ), np.flatnonzero(op.kind == MISSING)
        bits[:, codes] = given[:, codes] == op.value[codes]
        bits[:, missing] = np.isnan(given[:, missing])
        return bits

    def with_columns(self, encoder: Encoder) -> "Encoding":
        """Return this encoding with the columns of another, fitted encoder behind its own."""
        more = Encoding.of(encoder)
        op, n = more.op, len(self.columns)
        joined = _joined(
            self.op, (op.column + n).astype(np.uint16), op.kind, op.value,
            (op.special_column + n).astype(np.uint16), op.special_value,
        )  # fmt: skip
        return Encoding((*self.columns, *more.columns), joined)

    def thermometer_first(self, start: int) -> Sequence[int]:
        """Return the bits from `start` on, those of a thermometer in the order in which they turn on."""
        op = self.op
        ids = np.arange(start, self.n_bits)
        order = np.lexsort((op.value[ids], op.kind[ids] != GE, op.column[ids]))
        return [int(i) for i in ids[order]]


def _joined(
    op: Encode,
    column: NDArray[np.uint16],
    kind: NDArray[np.uint8],
    value: NDArray[np.float32],
    special_column: NDArray[np.uint16] | None = None,
    special_value: NDArray[np.float32] | None = None,
) -> Encode:
    if special_column is None or special_value is None:
        special_column, special_value = op.special_column[:0], op.special_value[:0]
    return Encode(
        np.concatenate([op.column, column]),
        np.concatenate([op.kind, kind]),
        np.concatenate([op.value, value]),
        np.concatenate([op.special_column, special_column]),
        np.concatenate([op.special_value, special_value]),
    )
