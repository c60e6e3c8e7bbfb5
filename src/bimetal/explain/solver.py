"""The solver: each step as a question to OR-tools' CP-SAT, over all cells of the grid at once.

For each column one bin is chosen. A box holds where all its sides do, a neuron where few enough of
its bits differ from its weights, and the question is whether the points of a step can fall below 0.
"No" is a proof, as the solver works in whole numbers; a "yes" comes with the cell and is asked again
of the reference.
"""

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from bimetal.bits import unpack
from bimetal.errors import MissingExtraError
from bimetal.explain.boxes import Box, Grid
from bimetal.explain.case import Question
from bimetal.explain.grid import ColumnBins
from bimetal.program import Dense, Encode, Program, Readout, Rules

__all__ = ["require_ortools", "solve_least", "solver"]


def require_ortools() -> Any:
    """Return OR-tools' CP-SAT.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise MissingExtraError("ortools", "binning", "proofs by a solver") from error
    return cp_model


class UnknownOpError(Exception):
    """The solver has no words for an operation."""


class _Cells:
    """A CP-SAT model whose solutions are cells of a grid.

    Parameters
    ----------
    grid : Grid
        Columns appear when they are asked for.
    """

    def __init__(self, grid: Grid) -> None:
        self.cp = require_ortools()
        self.model = self.cp.CpModel()
        self.grid = grid
        self._bins: dict[int, list[Any]] = {}
        self._sides: dict[tuple[int, int], Any] = {}
        self.one = self.model.new_constant(1)
        self.zero = self.model.new_constant(0)

    def bins(self, column: int) -> list[Any]:
        """Return one bool for each bin of a column; exactly one of them is true."""
        if column not in self._bins:
            n_bins = len(self.grid.columns[column].bins)
            chosen = [self.model.new_bool_var("") for _ in range(n_bins)]
            self.model.add_exactly_one(chosen)
            self._bins[column] = chosen
        return self._bins[column]

    def side(self, column: int, held: int) -> Any:
        """Return a bool that says whether the bin of a column is in a set."""
        if held in (0, self.grid.everything[column]):
            return self.one if held else self.zero
        if (column, held) not in self._sides:
            inside = self.model.new_bool_var("")
            members = [x for b, x in enumerate(self.bins(column)) if held >> b & 1]
            self.model.add(sum(members) == inside)
            self._sides[column, held] = inside
        return self._sides[column, held]

    def all_of(self, literals: Iterable[Any]) -> Any:
        """Return a bool that says whether all of some bools hold."""
        each = list(literals)
        if len(each) == 1:
            return each[0]
        holds = self.model.new_bool_var("")
        self.model.add_bool_or([holds, *(x.Not() for x in each)])
        for x in each:
            self.model.add_implication(holds, x)
        return holds

    def box(self, box: Box) -> Any:
        """Return a bool that says whether the cell is in a box."""
        return self.all_of(self.side(*side) for side in box)

    def points(self, program: Program, fixed: ColumnBins, bin_: int) -> Any:
        """Return the points of a Program of dense layers and rules, one column being in a given bin.

        Raises
        ------
        UnknownOpError
            When it has other operations.
        """
        values: list[list[Any]] = [[]]
        for op in program.ops[:-1]:
            if isinstance(op, Readout):
                bits = [x for source in op.inputs for x in values[source]]
                weights = op.weights[0].tolist()
                return sum(w * x for w, x in zip(weights, bits, strict=True) if w) + int(op.bias[0])
            values.append(self._bits(op, values, fixed, bin_))
        raise UnknownOpError

    def _bits(self, op: Any, values: list[list[Any]], fixed: ColumnBins, bin_: int) -> list[Any]:
        if isinstance(op, Encode):
            sides = self.grid.literals[::2]
            known = [self.one if held >> bin_ & 1 else self.zero for _, held in sides]
            return [
                known[bit] if j == fixed.index else self.side(j, held)
                for bit, (j, held) in enumerate(sides)
            ]
        if isinstance(op, Rules):
            literals = [values[op.input][n >> 1] for n in op.literals.tolist()]
            signed = [
                x.Not() if n & 1 else x for x, n in zip(literals, op.literals.tolist(), strict=True)
            ]
            ends = np.cumsum(op.fan_in, dtype=np.int64).tolist()
            return [self.all_of(signed[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
        if isinstance(op, Dense):
            return self._neurons(op, values[op.input])
        raise UnknownOpError

    def _neurons(self, op: Dense, bits: list[Any]) -> list[Any]:
        k, n_out = op.n_in // op.groups, len(op.thresholds)
        weights, fired = unpack(op.weights, k), []
        for o in range(n_out):
            mine = bits[(g := o // (n_out // op.groups)) * k : (g + 1) * k]
            differing = sum(
                1 - x if w else x for x, w in zip(mine, weights[o].tolist(), strict=True)
            )
            fires, most = self.model.new_bool_var(""), int(op.thresholds[o])
            self.model.add(differing <= most).only_enforce_if(fires)
            self.model.add(differing >= most + 1).only_enforce_if(fires.Not())
            fired.append(fires)
        return fired

    def solve(self, seconds: float) -> tuple[str, Any]:
        """Return OPTIMAL, FEASIBLE, INFEASIBLE or UNKNOWN, and the solver."""
        engine = self.cp.CpSolver()
        engine.parameters.max_time_in_seconds = max(seconds, 0.01)
        engine.parameters.num_workers = 1
        engine.parameters.random_seed = 0
        return engine.status_name(engine.solve(self.model)), engine

    def cell(self, engine: Any) -> dict[int, int]:
        """Return the cell of a solution: column → bin, of the columns that were asked for."""
        return {
            j: next(b for b, x in enumerate(chosen) if engine.value(x))
            for j, chosen in self._bins.items()
        }


def solve_least(grid: Grid, terms: Iterable[tuple[Box, int]], seconds: float) -> int | None:
    """Return the least sum of boxes; None when there was no time to find it.

    Raises
    ------
    MissingExtraError
        When OR-tools is not installed.
    """
    cells = _Cells(grid)
    cells.model.minimize(sum(n * cells.box(box) for box, n in terms))
    status, engine = cells.solve(seconds)
    return round(engine.objective_value) if status == "OPTIMAL" else None


def solver(question: Question) -> None:
    """Settle open steps one by one, as long as there is time."""
    start = time.perf_counter()
    try:
        require_ortools()
    except MissingExtraError as error:
        question.why = str(error)
        return
    steps = question.open
    for n_left, step in zip(range(len(steps), 0, -1), steps, strict=True):
        left = question.seconds - (time.perf_counter() - start)
        _settle(question, step, left / n_left)
        if question.counterexample is not None:
            break
    question.spent = time.perf_counter() - start


def _settle(question: Question, step: int, seconds: float) -> None:
    """Ask for a cell in which a step takes a point away: there is none, or there it is."""
    case, cells = question.case, _Cells(question.case.grid)
    sure, terms = question.terms(step)
    points = sure + sum(n * cells.box(box) for box, n in terms)
    if case.form.rest is not None:
        try:
            low, high = (cells.points(case.form.rest, question.column, b) for b in (step, step + 1))
        except UnknownOpError:
            question.why = "the solver knows dense layers and rules only"
            return
        points = points + question.direction * (high - low)
    cells.model.add(points <= -1)
    status, engine = cells.solve(seconds)
    if status == "INFEASIBLE":
        question.least[step] = max(0, question.least[step])
    elif status in ("OPTIMAL", "FEASIBLE"):
        question.refute(step, cells.cell(engine))
    else:
        question.why = "the solver ran out of time"
