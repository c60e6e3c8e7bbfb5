"""Is a score monotone in a column? Proved over the whole grid of bins, in whole points, or refuted by two rows.

A step is a change from one ordered bin of the column to the next, while all other columns stay
anywhere. Monotone means that no step, in no cell of the grid, goes the wrong way. Methods are tried
from cheap to dear, each only on the steps that are still open, and each is sound: what none of them
proves is called undecided. Whoever trained the Program is not trusted.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from bimetal.columns.column import listed
from bimetal.errors import DataError
from bimetal.explain.blocks import Block
from bimetal.explain.case import Case, Question
from bimetal.explain.exhaustive import exhaustive, search
from bimetal.explain.solver import solver
from bimetal.program import Program

__all__ = ["METHODS", "Proof", "prove_monotone"]

Verdict = Literal["proved", "refuted", "undecided"]


@dataclass(frozen=True)
class Proof:
    """What is known about one column.

    Attributes
    ----------
    column : str
        Its name.
    direction : int
        +1: the score never falls when the column rises. −1: it never rises.
    verdict : {"proved", "refuted", "undecided"}
        Proved for every cell of the grid; refuted by `counterexample`; or neither.
    method : str
        Which methods it took, joined by "+".
    n_steps : int
        Steps between ordered bins.
    n_cells : int
        Cells that were looked at one by one (by "exhaustive" and "search").
    least_step : int or None
        Points. Proved: no step adds less, times `direction`. Refuted: what the counterexample adds.
    counterexample : tuple of tuple, or None
        Two raw rows (None is missing) that differ in this column only, the lower bin first.
    seconds : float
        How long it took.
    why : str
        Why it is undecided.
    """

    column: str
    direction: int
    verdict: Verdict
    method: str
    n_steps: int
    n_cells: int
    least_step: int | None
    counterexample: tuple[tuple[float | None, ...], ...] | None
    seconds: float
    why: str = ""

    def spec(self) -> dict[str, Any]:
        """Return what JSON holds."""
        rows = self.counterexample
        return {**asdict(self), "counterexample": None if rows is None else [*map(list, rows)]}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Proof":
        """Read what `spec` gives."""
        rows = spec["counterexample"]
        return cls(**{**spec, "counterexample": None if rows is None else tuple(map(tuple, rows))})


def _signs(question: Question) -> None:
    """Add up what each step gives by itself and the least that every rule can add to it."""
    question.learn(question.case.signs(question.column, question.direction))


def _blocks(question: Question) -> None:
    """Add up the least that every tree can add, and what the trees leave over."""
    case, n_steps = question.case, question.n_steps
    if not case.trees:
        return
    if case.left is None:
        question.why = "the blocks are too large to be compared with the Program"
        return
    least = sum(
        (t.least_steps(question.column.index, question.direction, n_steps) for t in case.trees),
        start=np.zeros(n_steps, np.int64),
    )
    question.learn(least + case.signs(question.column, question.direction, case.left))


METHODS: dict[str, Callable[[Question], None]] = {
    "signs": _signs,
    "blocks": _blocks,
    "exhaustive": exhaustive,
    "search": search,
    "solver": solver,
}
"""From cheap to dear. "search" can only refute; "blocks" needs them; "solver" needs ortools."""


def prove_monotone(
    program: Program,
    trends: Mapping[str, int],
    blocks: Sequence[Block] | None = None,
    seconds: float = 60,
    methods: Sequence[str] = tuple(METHODS),
) -> tuple[Proof, ...]:
    """Prove that points rise, or fall, with columns; or find two rows that show the contrary.

    Parameters
    ----------
    program : Program
        Two classes or a regressor, over table rows.
    trends : mapping of str to int
        +1 where the points never fall when the column rises over its ordered bins, −1 where they
        never rise. Missing values, special codes and unordered categories are not steps of that
        column; of the others they are all among the cells.
    blocks : sequence of Block, optional
        The trees of which the Program was made, as a witness. What they do not give may be a
        scorecard of single bits.
    seconds : float, default 60
        For the solver, all columns together.
    methods : sequence of str
        Of `METHODS`, in the order in which they are tried.

    Returns
    -------
    tuple of Proof
        In the order of `trends`.

    Raises
    ------
    DataError
        When a column is unknown or has no order, a direction is neither +1 nor −1, or a method is
        unknown.
    ProgramError
        When the Program has no single integer score, or a block is no tree over its bits.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> from bimetal.program import Encode, Link, Readout
    >>> no = np.array([], "f4")
    >>> encode = Encode(np.array([0, 0], "u2"), np.array([0, 0], "u1"), np.array([18, 65], "f4"),
    ...                 no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[20, -5]], "i2"), np.array([600], "i4"))
    >>> link = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> (proof,) = prove_monotone(Program((Column("age"),), (encode, points, link)), {"age": 1})
    >>> proof.verdict, proof.least_step, proof.counterexample
    ('refuted', -5, ((18.0,), (65.0,)))
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise DataError(f"methods are {listed(list(METHODS))}, got {unknown[0]!r}")
    case = Case.of(program, blocks or ())
    questions = [_question(case, name, direction) for name, direction in trends.items()]
    proofs, budget = [], seconds
    for n_left, question in zip(range(len(questions), 0, -1), questions, strict=True):
        question.seconds = budget / n_left
        proofs.append(_answer(question, methods))
        budget -= question.spent
    return tuple(proofs)


def _question(case: Case, name: str, direction: int) -> Question:
    columns = {c.name: c for c in case.grid.columns}
    if name not in columns:
        raise DataError(
            f"a trend for a column expected, got '{name}'; columns are {listed(list(columns))}"
        )
    if not columns[name].n_ordered:
        raise DataError(f"column '{name}' has categories without an order; it can have no trend")
    if direction not in (1, -1):
        raise DataError(f"the trend of '{name}' is +1 or -1, got {direction!r}")
    return Question(case, columns[name], direction)


def _answer(question: Question, methods: Sequence[str]) -> Proof:
    start, used = time.perf_counter(), []
    for name in methods:
        n_open = len(question.open)
        if n_open and question.counterexample is None:
            METHODS[name](question)
            if len(question.open) < n_open or question.counterexample is not None:
                used.append(name)
    undecided = Proof(
        question.column.name,
        question.direction,
        "undecided",
        "+".join(used),
        question.n_steps,
        question.n_cells,
        None,
        None,
        time.perf_counter() - start,
        question.why or "no method given could prove or refute it",
    )
    if question.counterexample is not None:
        rows = tuple(_json_row(row) for row in question.counterexample.tolist())
        return replace(
            undecided, verdict="refuted", counterexample=rows, least_step=question.found, why=""
        )
    if question.open:
        return undecided
    least = int(question.least.min()) if question.n_steps else 0
    return replace(undecided, verdict="proved", least_step=least, why="")


def _json_row(row: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(None if value != value else value for value in row)
