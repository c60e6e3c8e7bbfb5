"""Binary layers as expressions: neurons, rules, tables, points, and rows that norm themselves.

Each function takes the names of the columns that hold the input and returns expressions; the writer
puts them into steps.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bimetal.export.form import table_bits, weight_bits
from bimetal.export.sql.dialect import Dialect, total
from bimetal.ops import Dense, Lut, Readout, RowThreshold, Rules

__all__ = ["care_of", "neurons", "points", "points_bound", "row_fires", "rules", "tables"]

Bits = NDArray[np.bool_]


def care_of(op: Dense) -> list[Bits]:
    """Return the bits of the input that each group of neurons sees."""
    k = op.n_in // op.groups
    at = np.arange(op.n_in)
    return [(at >= g * k) & (at < (g + 1) * k) for g in range(op.groups)]


def neurons(dialect: Dialect, op: Dense, columns: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the condition of each neuron.

    Parameters
    ----------
    known : sequence of str
        For each group, the column that holds `Dialect.prepared`.
    """
    k, per_group = op.n_in // op.groups, len(op.thresholds) // op.groups
    care, weights = care_of(op), weight_bits(op)
    conditions = []
    for o, threshold in enumerate(op.thresholds):
        g = o // per_group
        placed = np.zeros(op.n_in, bool)
        placed[g * k : (g + 1) * k] = weights[o]
        differ = dialect.differ(columns, care[g], placed, known[g])
        conditions.append(f"{differ} <= {threshold}")
    return conditions


def rules(dialect: Dialect, op: Rules, columns: Sequence[str], n_in: int) -> list[str]:
    """Return the condition of each rule: some bits of some columns are as it wants them."""
    conditions = []
    for literals in np.split(op.literals, np.cumsum(op.fan_in, dtype=np.int64)[:-1]):
        plain, negated = np.zeros(n_in, bool), np.zeros(n_in, bool)
        plain[literals[literals % 2 == 0] // 2] = True
        negated[literals[literals % 2 == 1] // 2] = True
        conditions.append(_holds(dialect, columns, plain, negated))
    return conditions


def _holds(dialect: Dialect, columns: Sequence[str], plain: Bits, negated: Bits) -> str:
    if (plain & negated).any():  # a bit that should be 1 and 0: never
        return "1 = 0"
    parts = zip(columns, dialect.words(plain), dialect.words(negated), strict=True)
    return " AND ".join(dialect.holds(c, p | n, p) for c, p, n in parts if (p | n).any())


def tables(dialect: Dialect, op: Lut, columns: Sequence[str]) -> list[str]:
    """Return the condition of each table."""
    width = dialect.width
    conditions = []
    for places, table in zip(op.places.tolist(), table_bits(op), strict=True):
        bits = [dialect.bit(columns[p // width], p % width) for p in places]
        address = " + ".join(f"{2**j} * {bit}" if j else bit for j, bit in enumerate(bits))
        conditions.append(dialect.looked_up(table, f"({address})"))
    return conditions


def points(
    dialect: Dialect, op: Readout, columns: Sequence[Sequence[str]], sizes: Sequence[int]
) -> list[str]:
    """Return the points of each output.

    Weights are taken plane by plane: of the weights in two's complement, plane b holds bit b, and
    counts 2**b for every bit of the input that is set and lies in it; the highest plane counts minus.

    Parameters
    ----------
    columns : sequence of sequence of str
        Of each input.
    sizes : sequence of int
        Bits of each input.
    """
    ends = np.cumsum(sizes)
    by_output = []
    for weights, bias in zip(op.weights.astype(np.int64), op.bias, strict=True):
        terms = []
        for names, end, size in zip(columns, ends, sizes, strict=True):
            terms += _planes(dialect, names, weights[end - size : end])
        by_output.append(
            total([str(bias), *terms], "\n      + ") if terms else f"CAST({bias} AS bigint)"
        )
    return by_output


def _planes(dialect: Dialect, columns: Sequence[str], weights: NDArray[np.int64]) -> list[str]:
    top = int(np.maximum(weights, ~weights).max()).bit_length()  # the plane of the sign
    terms = []
    for b in range(top + 1):
        plane = (weights >> b) & 1 == 1
        if plane.any():
            factor = -(2**b) if b == top else 2**b
            terms.append(
                f"{factor if factor > 0 else f'({factor})'} * ({dialect.count(columns, plane)})"
            )
    return terms


def points_bound(op: Readout) -> int:
    """Return a magnitude that no points of a readout exceed."""
    sums = np.abs(op.weights.astype(np.int64)).sum(axis=1) + np.abs(op.bias.astype(np.int64))
    return int(sums.max())


def row_fires(dialect: Dialect, op: RowThreshold, q: str, d: str, bound: int) -> str:
    """Return the condition that an element stands out of its row; docs/program.md has the law.

    Parameters
    ----------
    q, d : str
        Columns of the law's *q*, of the row, and *d*, of the element.
    bound : int
        No element exceeds it in magnitude.
    """
    if op.top == 0:
        return f"{d} >= 0"
    if not fits_in_64_bits(op, bound):
        q, d = f"CAST({q} AS {dialect.big})", f"CAST({d} AS {dialect.big})"
    return f"{d} >= 0 AND {op.bottom**2} * {d} * {d} >= {op.top**2} * {q} AND {q} > 0"


def fits_in_64_bits(op: RowThreshold, bound: int) -> bool:
    """Tell whether both sides of the law's comparison stay below 2**63."""
    n = op.channels
    return max(op.bottom**2 * (2 * n * bound) ** 2, op.top**2 * (n * bound) ** 2) < 2**63
