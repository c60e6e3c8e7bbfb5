"""How much one column can move the score at most: proved for every cell of the grid, in whole points.

From any bin of the column to any other, while all else stays anywhere. Rules are bounded one by one
(each may hold or not), trees leaf by leaf when the blocks are known, whichever is tighter; on request the
true extremes are worked out cell by cell or by a solver.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.blocks import Block
from bimetal.explain.boxes import Boxes, profiles
from bimetal.explain.case import Case
from bimetal.explain.exhaustive import least_of, parts
from bimetal.explain.grid import ColumnBins
from bimetal.explain.solver import solve_least
from bimetal.program import Program

__all__ = ["Bound", "bounds"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bound:
    """How one column can change the points.

    Attributes
    ----------
    column : str
        Its name.
    low, high : int
        No change of this column alone changes the points by less or more. As each change can be
        undone, ``low == -high``.
    is_exact : bool
        Whether some row really changes by that much.
    changes : numpy.ndarray
        int64 (n_bins, n_bins): what a change from bin a to bin b adds at most, missing and special
        bins among them (see `bins_of`); at least it adds ``-changes[b, a]``.
    """

    column: str
    low: int
    high: int
    is_exact: bool
    changes: Ints


def bounds(
    program: Program,
    blocks: Sequence[Block] | None = None,
    *,
    exact: bool = False,
    seconds: float = 60,
) -> tuple[Bound, ...]:
    """Bound the change of points that each column can make alone.

    Parameters
    ----------
    program : Program
        Two classes or a regressor, over table rows.
    blocks : sequence of Block, optional
        The trees of which it was made: they make the bounds tighter.
    exact : bool
        Whether to work out the largest change itself. Dense layers stay bounded.
    seconds : float
        For that, all columns together; what is not done by then stays a bound.

    Returns
    -------
    tuple of Bound
        Column by column.

    Raises
    ------
    ProgramError
        When the Program has no single integer score, or a block is no tree over its bits.
    MissingExtraError
        When `exact` needs the solver and it is not installed.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> from bimetal.program import Encode, Link, Readout
    >>> no = np.array([], "f4")
    >>> encode = Encode(np.array([0, 0], "u2"), np.array([0, 0], "u1"), np.array([18, 65], "f4"),
    ...                 no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[20, -5]], "i2"), np.array([600], "i4"))
    >>> link = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> (age,) = bounds(Program((Column("age"),), (encode, points, link)))
    >>> age.low, age.high, age.changes[0].tolist()
    (-20, 20, [0, 20, 15, 0])
    """
    case, found, left = Case.of(program, blocks or ()), [], seconds
    for n_left, column in zip(range(len(case.grid.columns), 0, -1), case.grid.columns, strict=True):
        changes = _changes(case, column)
        high, is_exact, start = int(changes.max()), _is_sure(case, column), time.perf_counter()
        if exact and not is_exact:
            high, is_exact = _largest(case, column, changes, left / n_left)
            changes = np.minimum(changes, high)
        left -= time.perf_counter() - start
        found.append(Bound(column.name, -high, high, is_exact, changes))
    return tuple(found)


def _changes(case: Case, column: ColumnBins) -> Ints:
    changes = _by_signs(case.boxes, column)
    if case.trees and case.left is not None:
        n_bins = len(column.bins)
        by_trees = sum(
            (tree.largest_changes(column.index, n_bins) for tree in case.trees),
            start=_by_signs(case.left, column),
        )
        changes = np.minimum(changes, by_trees)
    changes += case.slack
    np.fill_diagonal(changes, 0)
    return changes


def _by_signs(boxes: Boxes, column: ColumnBins) -> Ints:
    """Add up what the column gives by itself and the most that each box can add to it."""
    rests, points = profiles(boxes, column)
    total = np.zeros((len(column.bins), len(column.bins)), np.int64)
    for rest, adds in zip(rests, points, strict=True):
        change = adds[None, :] - adds[:, None]
        total += np.maximum(change, 0) if rest else change
    return total


def _is_sure(case: Case, column: ColumnBins) -> bool:
    """Tell whether the column stands in no rule with others, so that its bounds are reached."""
    return case.slack == 0 and not any(profiles(case.boxes, column)[0])


def _largest(case: Case, column: ColumnBins, changes: Ints, seconds: float) -> tuple[int, bool]:
    """Work out the largest change: pairs of bins by their bounds, until no bound exceeds what is found."""
    if case.slack:
        return int(changes.max()), False
    best, end = 0, time.perf_counter() + seconds
    rests, points = profiles(case.boxes, column)
    for pair in np.argsort(changes, axis=None, kind="stable")[::-1].tolist():
        a, b = divmod(pair, len(column.bins))
        if changes[a, b] <= best:
            return best, True
        adds = (points[:, b] - points[:, a]).tolist()
        sure = sum(n for rest, n in zip(rests, adds, strict=True) if not rest)
        terms = [(rest, -n) for rest, n in zip(rests, adds, strict=True) if rest and n]
        most = sure
        for part in parts(terms):
            table = least_of(case.grid, part)
            left = end - time.perf_counter()
            least = table[0] if table is not None else solve_least(case.grid, part, left)
            if least is None:
                return int(changes[a, b]), False
            most -= least
        best = max(best, most)
    return best, True
