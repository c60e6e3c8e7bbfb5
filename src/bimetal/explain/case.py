"""What proofs share: a Program as boxes and trees, and what is known of each step of a column so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ProgramError
from bimetal.explain.blocks import Block, Tree, remainder
from bimetal.explain.boxes import Box, Boxes, Grid, boxes_of, canonical, profiles
from bimetal.explain.form import PointsForm, form_of, points_program
from bimetal.explain.grid import ColumnBins
from bimetal.program import Program, Readout
from bimetal.runtime import Engine

__all__ = ["Case", "Question"]

Ints = NDArray[np.int64]
UNKNOWN = np.iinfo(np.int64).min
"""The lower bound of a step of which nothing is known yet."""


@dataclass(frozen=True, eq=False)
class Case:
    """A Program on its grid.

    Attributes
    ----------
    form : PointsForm
        Its points.
    grid : Grid
        Its bins.
    boxes : dict of Box to int
        Its points without those of dense layers.
    trees : tuple of Tree
        The blocks given.
    """

    form: PointsForm
    grid: Grid
    boxes: Boxes
    trees: tuple[Tree, ...]

    @classmethod
    def of(cls, program: Program, blocks: Sequence[Block] = ()) -> "Case":
        """Take a Program and the blocks it was made of, if they are known.

        Raises
        ------
        ProgramError
            When the Program has no single integer score, or a block is no tree over its bits.
        """
        form = form_of(program)
        grid = Grid.of(form.columns, len(form.direct))
        trees = tuple(Tree.of(grid, block, number) for number, block in enumerate(blocks))
        return cls(form, grid, boxes_of(form, grid), trees)

    @cached_property
    def left(self) -> Boxes | None:
        """What the trees do not give, canonical; None when that is too large to be worked out."""
        return canonical(self.grid, remainder(self.boxes, self.trees))

    @cached_property
    def slack(self) -> int:
        """How many points dense layers can take away or add at most, whatever changes."""
        if self.form.rest is None:
            return 0
        readout = self.form.rest.ops[self.form.rest.ops[-1].input - 1]  # type: ignore[union-attr]
        assert isinstance(readout, Readout)
        return int(np.abs(readout.weights.astype(np.int64)).sum())

    @cached_property
    def _engine(self) -> Engine | None:
        try:
            return Engine(points_program(self.form.program))
        except ProgramError:  # points too large for float32: the slow way
            return None

    def ask(self, rows: NDArray[np.float32]) -> Ints:
        """Return the exact points of raw rows, int64 (n_rows,), by the engine where it can."""
        if self._engine is None:
            return self.form.points(rows)
        return self._engine.run(rows)[:, 0].astype(np.int64)

    def signs(self, column: ColumnBins, direction: int, boxes: Boxes | None = None) -> Ints:
        """Return a lower bound of each step, times `direction`: int64 (n_steps,).

        Boxes that agree in all other columns are taken together. What depends on this column alone
        counts as it is; anything else may hold or not, and counts when that makes it worse.
        """
        rests, points = profiles(self.boxes if boxes is None else boxes, column)
        steps = direction * np.diff(points[:, : column.n_ordered], axis=1)
        is_sure = np.array([not rest for rest in rests], bool)
        least: Ints = (
            np.where(is_sure[:, None], steps, np.minimum(steps, 0)).sum(axis=0) - self.slack
        )
        return least

    def row(self, cell: Mapping[int, int]) -> NDArray[np.float32]:
        """Return a raw row in the bins given (column: bin), float32 (n_columns,); else in the first."""
        return np.array([c.bins[cell.get(c.index, 0)].value for c in self.grid.columns], np.float32)


@dataclass(eq=False)
class Question:
    """Whether any step of a column goes the wrong way, and what is known about it so far.

    Attributes
    ----------
    least : numpy.ndarray
        int64 (n_steps,): lower bounds of the steps, times `direction`.
    counterexample : numpy.ndarray or None
        float32 (2, n_columns).
    """

    case: Case
    column: ColumnBins
    direction: int
    seconds: float = 0.0
    spent: float = 0.0
    n_cells: int = 0
    why: str = ""
    found: int | None = None
    counterexample: NDArray[np.float32] | None = None
    least: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.least = np.full(self.n_steps, UNKNOWN)

    @property
    def n_steps(self) -> int:
        """Steps between ordered bins."""
        return max(0, self.column.n_ordered - 1)

    @property
    def open(self) -> list[int]:
        """The steps that are not proved."""
        return np.flatnonzero(self.least < 0).tolist()

    def learn(self, least: Ints) -> None:
        """Take note of lower bounds."""
        self.least = np.maximum(self.least, least)

    def terms(self, step: int) -> tuple[int, list[tuple[Box, int]]]:
        """Return what a step adds for sure, and what it adds where the other columns lie in boxes.

        Times `direction`; without dense layers.
        """
        rests, points = self._profiles
        adds = (self.direction * (points[:, step + 1] - points[:, step])).tolist()
        sure = sum(n for rest, n in zip(rests, adds, strict=True) if not rest)
        return sure, [(rest, n) for rest, n in zip(rests, adds, strict=True) if rest and n]

    @cached_property
    def _profiles(self) -> tuple[list[Box], Ints]:
        return profiles(self.case.boxes, self.column)

    def refute(self, step: int, cell: Mapping[int, int]) -> None:
        """Take note of a cell where a step goes the wrong way, if the reference says so too."""
        at = self.column.index
        rows = np.stack([self.case.row({**cell, at: b}) for b in (step, step + 1)])
        low, high = self.case.form.points(rows).tolist()
        if self.direction * (high - low) < 0:
            self.found, self.counterexample = self.direction * (high - low), rows
