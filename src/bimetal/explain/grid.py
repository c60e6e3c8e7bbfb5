"""The finite grid that a Program sees: for each column the bins that it can tell apart.

A Program of rows begins with comparisons, so that of a number it knows no more than between which
cut-points it lies. The product of the bins of all columns is the whole space of inputs: what holds
for every cell of that grid holds for every row that can ever come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.errors import ProgramError
from bimetal.program import EQ, GE, MISSING, Encode, Program
from bimetal.reference import tables

__all__ = ["Bin", "ColumnBins", "bins_of", "encode_of", "has_missing_bit"]

Kind = Literal["range", "category", "special", "missing", "other"]


@dataclass(frozen=True)
class Bin:
    """Values of one column between which a Program makes no difference.

    Attributes
    ----------
    kind : str
        "range" of a number, "category", "special" (a code that means something else), "missing",
        "other" (categories never seen, or without a bit of their own).
    label : str
        How it reads: "30.5 to 41", "below 18", "own", "missing".
    value : float
        A raw value in it, float32: what stands for the bin in a row. NaN for missing.
    low, high : float
        Of a range: its values v have ``low <= v < high``; infinite at the ends. Else NaN.
    """

    kind: Kind
    label: str
    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True, eq=False)
class ColumnBins:
    """The bins of one column.

    Attributes
    ----------
    column : Column
        Name, kind, categories.
    index : int
        Its place in the raw row.
    bins : tuple of Bin
        Ordered bins first (ranges of a number, or categories in order), rising.
    n_ordered : int
        How many of them are in an order: the grid on which "monotone" has a meaning.
    positions : numpy.ndarray
        intp (n_column_bits,): which bits of the encoder read this column.
    bits : numpy.ndarray
        bool (n_bins, n_column_bits): what these bits are in each bin.
    """

    column: Column
    index: int
    bins: tuple[Bin, ...]
    n_ordered: int
    positions: NDArray[np.intp]
    bits: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """The name of the column."""
        return self.column.name

    def bin_of(self, bits: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the number of the bin of each row, intp (n_rows,), from all bits of the encoder.

        Bits that no value of the column could give (a forged row) give −1.
        """
        if not len(self.positions):
            return np.zeros(len(bits), np.intp)
        same = (bits[:, None, self.positions] == self.bits[None]).all(axis=2)
        found: NDArray[np.intp] = np.where(same.any(axis=1), same.argmax(axis=1), -1)
        return found


def encode_of(program: Program) -> Encode:
    """Return the one encoder of a Program of rows.

    Raises
    ------
    ProgramError
        When there is none, or more than one, or a column is an array.
    """
    found = [op for op in program.ops if isinstance(op, Encode)]
    if len(found) != 1 or any(c.kind == "array" for c in program.columns):
        raise ProgramError(
            "a Program of table rows with exactly one Encode expected, got "
            f"{[type(op).__name__ for op in program.ops]}; explanations are for those"
        )
    return found[0]


def bins_of(program: Program) -> tuple[ColumnBins, ...]:
    """Return the bins of every column.

    Raises
    ------
    ProgramError
        When this is no Program of table rows with one encoder.

    Examples
    --------
    >>> from bimetal.program import Link, Readout
    >>> no = np.array([], "f4")
    >>> encode = Encode(np.array([0, 0], "u2"), np.array([0, 0], "u1"), np.array([18, 65], "f4"),
    ...                 no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[20, -5]], "i2"), np.array([600], "i4"))
    >>> link = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> (age,) = bins_of(Program((Column("age"),), (encode, points, link)))
    >>> [b.label for b in age.bins]
    ['below 18', '18 to 65', '65 or more', 'missing']
    """
    op = encode_of(program)
    return tuple(_column_bins(column, j, op) for j, column in enumerate(program.columns))


def _column_bins(column: Column, j: int, op: Encode) -> ColumnBins:
    positions = np.flatnonzero(op.column == j)
    ordered = _ranges(op, j) if column.kind == "number" else _in_order(column, op, j)
    bins = [*ordered, *_unordered(column, op, j, {b.value for b in ordered})]
    rows = np.zeros((len(bins), max(j, int(op.column.max())) + 1), np.float32)
    rows[:, j] = [b.value for b in bins]
    bits = tables.encode(op, rows)[:, positions]
    kept = _distinct(bins, bits, len(ordered))
    n_ordered = sum(k < len(ordered) for k in kept)
    return ColumnBins(column, j, tuple(bins[k] for k in kept), n_ordered, positions, bits[kept])


def _distinct(bins: Sequence[Bin], bits: NDArray[np.bool_], n_ordered: int) -> list[int]:
    """Keep the first of the unordered bins that no bit tells apart; "other" speaks for the rest."""
    kept = list(range(n_ordered))
    seen: dict[bytes, int] = {}
    for k in range(n_ordered, len(bins)):
        key = bits[k].tobytes()
        if key not in seen or bins[k].kind in ("missing", "special"):
            kept.append(k)
            seen.setdefault(key, k)
    return kept


def _ranges(op: Encode, j: int) -> list[Bin]:
    """Cut the line at the thermometer's cut-points."""
    mine = op.column == j
    cuts = np.unique(op.value[mine & (op.kind == GE)])
    edges = np.r_[np.float32(-np.inf), cuts, np.float32(np.inf)].astype(np.float32)
    taken = {*op.special_value[op.special_column == j].tolist()}
    taken |= set(op.value[mine & (op.kind == EQ)].tolist())
    bins = []
    for low, high in pairwise(edges):
        value = _within(low, high, taken)
        bins.append(Bin("range", _label(low, high), value, float(low), float(high)))
    return bins


def _within(low: np.float32, high: np.float32, taken: set[float]) -> float:
    """Return a plain value of [low, high) that is no special code."""
    if np.isinf(low) and np.isinf(high):
        start = np.float32(0)
    else:
        start = np.nextafter(high, np.float32(-np.inf)) if np.isinf(low) else low
    away = np.float32(-np.inf if np.isinf(low) else np.inf)
    while float(start) in taken:
        start = np.nextafter(start, away)
    return float(start)


def _label(low: np.float32, high: np.float32) -> str:
    if np.isinf(low) and np.isinf(high):
        return "any number"
    if np.isinf(low):
        return f"below {_shown(high)}"
    return f"{_shown(low)} or more" if np.isinf(high) else f"{_shown(low)} to {_shown(high)}"


def _shown(number: np.float32) -> str:
    return str(number).removesuffix(".0")


def _in_order(column: Column, op: Encode, j: int) -> list[Bin]:
    """Return the categories of an ordinal column, one that has a thermometer; else none."""
    if not ((op.column == j) & (op.kind == GE)).any():
        return []
    return [Bin("category", str(name), float(c)) for c, name in enumerate(column.categories)]


def _unordered(column: Column, op: Encode, j: int, in_order: set[float]) -> list[Bin]:
    mine = op.column == j
    bins: list[Bin] = []
    if column.kind == "category":
        coded = [int(v) for v in op.value[mine & (op.kind == EQ)] if v >= 0]
        bins += [
            Bin("category", str(column.categories[c]) if c < len(column.categories) else str(c), c)
            for c in sorted(coded)
            if float(c) not in in_order
        ]
        bins.append(Bin("other", "other", -1.0))
        bins += _without_a_bit(column, {*coded, *map(int, in_order)})
    else:
        codes = {*op.special_value[op.special_column == j].tolist()}
        codes |= set(op.value[mine & (op.kind == EQ)].tolist())
        bins += [Bin("special", f"code {_shown(np.float32(v))}", v) for v in sorted(codes)]
    bins.append(Bin("missing", "missing", float("nan")))
    return bins


def _without_a_bit(column: Column, known: set[int]) -> list[Bin]:
    """Return the known categories that no bit asks for, as one: "other" may have a bit of its own."""
    rest = [c for c in range(len(column.categories)) if c not in known]
    names = ", ".join(str(column.categories[c]) for c in rest[:3]) + (", …" if rest[3:] else "")
    return [Bin("category", names, float(rest[0]))] if rest else []


def has_missing_bit(op: Encode, j: int) -> bool:
    """Tell whether a column has a bit for missing values."""
    return bool(((op.column == j) & (op.kind == MISSING)).any())
