"""Blocks: the trees that a Program's points were made of, kept as a witness for proofs.

A tree grown under monotone constraints is monotone, but single leaves are not, and in a Program equal
leaves of several trees are one rule. The blocks undo that: leaf by leaf, with whole points. Nobody
has to trust them: that a block cuts the grid into parts, that all blocks together are the Program,
and that each is monotone, is checked here and in `bimetal.explain.monotone`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ProgramError
from bimetal.explain.boxes import Box, Boxes, Grid

__all__ = ["Block", "Tree", "remainder"]

Ints = NDArray[np.int64]
MAX_LEAVES = 1_024
"""Leaves of one block at most: each is compared with each, and certificates come from strangers."""


@dataclass(frozen=True)
class Block:
    """The leaves of one tree, all of them.

    Parameters
    ----------
    leaves : tuple of (tuple of int, int)
        Of each leaf the literals on its path, ``2 * bit + negated`` over the bits of the encoder,
        and its points. Every row reaches exactly one leaf.

    Examples
    --------
    >>> older = Block((((0,), 12), ((1,), -5)))
    >>> Block.from_spec(older.spec()) == older
    True
    """

    leaves: tuple[tuple[tuple[int, ...], int], ...]

    def spec(self) -> list[Any]:
        """Return what JSON holds: ``[[literals, points], …]``."""
        return [[list(literals), points] for literals, points in self.leaves]

    @classmethod
    def from_spec(cls, spec: Any) -> "Block":
        """Read what `spec` gives.

        Raises
        ------
        ProgramError
            When it is something else.
        """
        try:
            leaves = tuple((tuple(literals), points) for literals, points in spec)
            is_whole = all(type(n) is int for path, points in leaves for n in (*path, points))
        except (TypeError, ValueError):
            is_whole = False
        if not is_whole:
            raise ProgramError(
                f"a block is a list of [literals, points] in whole numbers, got {spec!r:.100}"
            )
        return cls(leaves)


@dataclass(frozen=True, eq=False)
class Tree:
    """A block on the grid: boxes that share no cell and leave none out.

    Attributes
    ----------
    grid : Grid
        The grid it cuts into parts.
    boxes : tuple of Box
        Where each leaf is reached.
    points : tuple of int
        What it gives there.
    """

    grid: Grid
    boxes: tuple[Box, ...]
    points: tuple[int, ...]

    @classmethod
    def of(cls, grid: Grid, block: Block, number: int) -> "Tree":
        """Put a block on the grid; `number` names it in errors.

        Raises
        ------
        ProgramError
            When it is too large, a literal is unknown, two leaves share a cell, or a cell is in none.
        """
        if len(block.leaves) > MAX_LEAVES:
            raise ProgramError(
                f"block {number}: at most {MAX_LEAVES} leaves expected, got {len(block.leaves)}; "
                "list each tree as a block of its own"
            )
        known = range(len(grid.literals))
        wrong = [n for path, _ in block.leaves for n in path if n not in known]
        if wrong:
            raise ProgramError(
                f"block {number}: literals of this Program are below {len(known)}, got {wrong[0]}; "
                "it belongs to another Program"
            )
        leaves = [(grid.box(path), points) for path, points in block.leaves]
        tree = cls(
            grid,
            tuple(box for box, _ in leaves if box is not None),
            tuple(points for box, points in leaves if box is not None),
        )
        if sum(map(grid.n_cells, tree.boxes)) != prod(e.bit_count() for e in grid.everything):
            raise ProgramError(
                f"block {number}: every row must reach exactly one leaf; some reach none or several"
            )
        if any(not columns for _, _, columns in tree._pairs):
            raise ProgramError(f"block {number}: two leaves can be reached by one row; list a tree")
        return tree

    @cached_property
    def _pairs(self) -> list[tuple[int, int, list[int]]]:
        """Each pair of leaves with the columns in which they share no bin."""
        sides = [dict(box) for box in self.boxes]
        return [
            (i, j, [c for c, held in sides[i].items() if not held & sides[j].get(c, held)])
            for i, j in combinations(range(len(sides)), 2)
        ]

    @cached_property
    def _beside(self) -> dict[int, list[tuple[int, int, int]]]:
        """For each column (set of bins of a leaf, of another, change of points) that it alone decides.

        Two leaves that are apart in this column only meet in all others: some row goes from one to
        the other when nothing but this column changes. When they are apart in another column too,
        no such row exists. So these pairs are all changes that one column can make, and no others.
        """
        found: dict[int, list[tuple[int, int, int]]] = {}
        for i, j, columns in self._pairs:
            if len(columns) == 1:
                c, change = columns[0], self.points[j] - self.points[i]
                a, b = (dict(self.boxes[k])[c] for k in (i, j))
                found.setdefault(c, []).extend([(a, b, change), (b, a, -change)])
        return found

    def least_steps(self, column: int, direction: int, n_steps: int) -> Ints:
        """Return the least that each step to the next ordered bin can add, or 0 if that is less.

        Times `direction`, int64 (n_steps,): no negative number in it means monotone.
        """
        least = np.zeros(n_steps, np.int64)
        for a, b, change in self._beside.get(column, ()):
            if direction * change < 0:
                for k in _members(a & b >> 1 & (1 << n_steps) - 1):
                    least[k] = min(least[k], direction * change)
        return least

    def largest_changes(self, column: int, n_bins: int) -> Ints:
        """Return the most that a change from bin a to bin b can add, or 0: int64 (n_bins, n_bins)."""
        most = np.zeros((n_bins, n_bins), np.int64)
        for a, b, change in self._beside.get(column, ()):
            if change > 0:
                here = np.ix_(list(_members(a)), list(_members(b)))
                most[here] = np.maximum(most[here], change)
        return most


def _members(bins: int) -> Iterator[int]:
    while bins:
        yield (bins & -bins).bit_length() - 1
        bins &= bins - 1


def remainder(boxes: Boxes, trees: Sequence[Tree]) -> Boxes:
    """Return the points of a Program that its blocks do not give; in canonical form, {} is none."""
    left = dict(boxes)
    for tree in trees:
        for box, points in zip(tree.boxes, tree.points, strict=True):
            left[box] = left.get(box, 0) - points
    return {box: points for box, points in left.items() if points}
