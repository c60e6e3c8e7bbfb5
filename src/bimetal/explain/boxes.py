"""Functions on the grid of bins as sums of boxes: points wherever each of a few columns lies in a set of bins.

A literal holds in some bins of one column, so that a rule is a box and the whole score of a Program
without dense layers a sum of boxes. Sets of bins are whole numbers (bit b is bin b): to intersect is
one AND. On boxes all proofs of this package are done.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.form import PointsForm
from bimetal.explain.grid import ColumnBins

__all__ = ["MAX_TERMS", "Box", "Boxes", "Grid", "boxes_of", "canonical", "profiles"]

Box = tuple[tuple[int, int], ...]
"""(column, set of bins) for each column that matters, by column: no set is empty or everything."""
Boxes = dict[Box, int]
"""Points of each box; the box () is everywhere."""
MAX_TERMS = 5_000_000
"""Terms of a canonical form at most: beyond, it would not fit in a laptop's memory."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The sets of bins in which the literals of a Program hold.

    Attributes
    ----------
    columns : tuple of ColumnBins
        All columns.
    everything : tuple of int
        The set of all bins, for each column.
    ordered : tuple of int
        The set of the bins that are in an order (they are the first ones), for each column.
    literals : tuple of tuple of int
        (column, set of bins) of literal ``2 * bit + negated``.
    """

    columns: tuple[ColumnBins, ...]
    everything: tuple[int, ...]
    ordered: tuple[int, ...]
    literals: tuple[tuple[int, int], ...]
    _expansions: dict[tuple[int, int], list[tuple[Box, int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Sequence[ColumnBins], n_bits: int) -> "Grid":
        """Build it from the bins of all columns."""
        everything = tuple((1 << len(c.bins)) - 1 for c in columns)
        literals = [(0, 0)] * (2 * n_bits)
        for c in columns:
            for at, bit in enumerate(c.positions.tolist()):
                held = _set_of(c.bits[:, at])
                literals[2 * bit] = (c.index, held)
                literals[2 * bit + 1] = (c.index, everything[c.index] & ~held)
        ordered = tuple((1 << c.n_ordered) - 1 for c in columns)
        return cls(tuple(columns), everything, ordered, tuple(literals))

    def box(self, literals: Iterable[int]) -> Box | None:
        """Return where all literals hold; None when that is nowhere."""
        sets: dict[int, int] = {}
        for literal in literals:
            column, held = self.literals[literal]
            sets[column] = sets.get(column, self.everything[column]) & held
        if not all(sets.values()):
            return None
        return tuple((j, held) for j, held in sorted(sets.items()) if held != self.everything[j])

    def n_cells(self, box: Box) -> int:
        """Count the cells of the whole grid that lie in a box."""
        sides = dict(box)
        return prod(sides.get(j, all_).bit_count() for j, all_ in enumerate(self.everything))

    def expansion(self, column: int, held: int) -> list[tuple[Box, int]]:
        """Write a set of bins as a sum of the basis functions of its column (see `canonical`)."""
        known = self._expansions.get((column, held))
        if known is None:
            known = self._expansions[column, held] = self._expand(column, held)
        return known

    def _expand(self, column: int, held: int) -> list[tuple[Box, int]]:
        at_first = held & 1
        terms: list[tuple[Box, int]] = [((), 1)] if at_first else []
        n_ordered, n_bins = self.columns[column].n_ordered, len(self.columns[column].bins)
        for b in range(1, n_bins):
            is_step = b < n_ordered
            change = (held >> b & 1) - (held >> (b - 1) & 1 if is_step else at_first)
            if change:
                where = self.ordered[column] >> b << b if is_step else 1 << b
                terms.append((((column, where),), change))
        return terms


def _set_of(inside: NDArray[np.bool_]) -> int:
    return sum(1 << b for b in np.flatnonzero(inside).tolist())


def boxes_of(form: PointsForm, grid: Grid) -> Boxes:
    """Return the points of a Program as boxes, without what its dense layers add."""
    boxes: Boxes = {(): form.bias}
    direct = ((2 * bit,) for bit in np.flatnonzero(form.direct).tolist())
    weights = form.direct[form.direct != 0].tolist()
    _add(boxes, grid, direct, weights)
    literals, starts = form.literals.tolist(), form.starts.tolist()
    rules = (literals[a:b] for a, b in pairwise(starts))
    _add(boxes, grid, rules, form.weights.tolist())
    return {box: points for box, points in boxes.items() if points}


def _add(boxes: Boxes, grid: Grid, rules: Iterable[Sequence[int]], weights: Sequence[int]) -> None:
    for literals, weight in zip(rules, weights, strict=True):
        box = grid.box(literals)
        if box is not None:
            boxes[box] = boxes.get(box, 0) + weight


def canonical(grid: Grid, boxes: Boxes) -> Boxes | None:
    """Write a sum of boxes in the one form that only equal functions share; None beyond `MAX_TERMS`.

    Each column has these functions of its n bins: 1; for each ordered bin but the first "at least
    this bin"; for each other bin (but the first of all, when none is ordered) "this bin". They are n
    functions, and any function v of the bins is a sum of them in exactly one way: the value at the
    first bin is the factor of 1, a step v(b) - v(b - 1) that of "at least b", and v(b) - v(first)
    that of "bin b". So they are a basis, and the products over the columns of one basis function
    each are a basis of all functions on the grid (a tensor product of bases is a basis of the
    tensor product). Hence two sums of boxes are the same function if and only if this form is equal.

    Terms are boxes again: each basis function is 0 or 1, and 1 on a set of bins.
    """
    sides = {side for box in boxes for side in box}
    sizes = {side: len(grid.expansion(*side)) for side in sides}
    if sum(prod(sizes[side] for side in box) for box in boxes) > MAX_TERMS:
        return None
    total: Boxes = {}
    for box, points in boxes.items():
        terms: list[tuple[Box, int]] = [((), points)]
        for side in box:
            parts = grid.expansion(*side)
            terms = [(key + part, w * c) for key, w in terms for part, c in parts]
        for key, weight in terms:
            total[key] = total.get(key, 0) + weight
    return {key: weight for key, weight in total.items() if weight}


def profiles(boxes: Boxes, column: ColumnBins) -> tuple[list[Box], NDArray[np.int64]]:
    """Gather the boxes that read one column by where they hold in all the others.

    Returns
    -------
    list of Box
        What remains of the boxes without the column, each once.
    numpy.ndarray
        int64 (n_boxes, n_bins): the points that the column gives there, in each of its bins.
    """
    n_bins, gathered = len(column.bins), dict[Box, dict[int, int]]()
    for box, points in boxes.items():
        own = next((held for j, held in box if j == column.index), None)
        if own is not None:
            rest = tuple(side for side in box if side[0] != column.index)
            sets = gathered.setdefault(rest, {})
            sets[own] = sets.get(own, 0) + points
    rows = [
        [sum(w for held, w in sets.items() if held >> b & 1) for b in range(n_bins)]
        for sets in gathered.values()
    ]
    return list(gathered), np.array(rows, np.int64).reshape(len(rows), n_bins)
