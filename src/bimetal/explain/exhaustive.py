"""Look at every cell that a step depends on, or, to refute quickly, at some cells drawn at random."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.boxes import Box, Grid
from bimetal.explain.case import Case, Question

__all__ = ["MAX_CELLS", "exhaustive", "least_of", "parts", "search"]

MAX_CELLS = 10_000_000
"""Cells of a part that are looked at one by one, at most."""
MAX_DENSE_CELLS = 200_000
"""Cells of the whole grid, at most, where dense layers make every column matter."""
N_DRAWN = 4_000

Terms = Sequence[tuple[Box, int]]


def exhaustive(question: Question) -> None:
    """Settle each open step whose grid is small enough.

    A step depends on the other columns through a few boxes. Columns that share no box, not even by
    way of others, add to it independently: the least of the sum is the sum of the least of the parts.
    """
    if question.case.form.rest is not None:
        _all_cells(question)
        return
    for step in question.open:
        sure, terms = question.terms(step)
        tables = [least_of(question.case.grid, part) for part in parts(terms)]
        known = [table for table in tables if table is not None]
        if len(known) < len(tables):
            continue
        question.n_cells += sum(size for _, _, size in known)
        question.least[step] = sure + sum(points for points, _, _ in known)
        if question.least[step] < 0:
            question.refute(step, {j: b for _, cell, _ in known for j, b in cell.items()})
            return


def parts(terms: Terms) -> list[list[tuple[Box, int]]]:
    """Split boxes into parts that have no column in common."""
    found: list[tuple[set[int], list[tuple[Box, int]]]] = []
    for box, points in terms:
        columns, mine = {j for j, _ in box}, [(box, points)]
        touching = [f for f in found if f[0] & columns]
        for f in touching:
            columns |= f[0]
            mine = f[1] + mine
            found.remove(f)
        found.append((columns, mine))
    return [mine for _, mine in found]


def _classes(grid: Grid, terms: Terms) -> dict[int, list[int]]:
    """Return for each column the sets of bins between which no box makes a difference."""
    cuts: dict[int, set[int]] = {}
    for box, _ in terms:
        for j, held in box:
            cuts.setdefault(j, set()).add(held)
    classes: dict[int, list[int]] = {}
    for j, sets in sorted(cuts.items()):
        classes[j] = [grid.everything[j]]
        for held in sorted(sets):
            halves = [(c & held, c & ~held) for c in classes[j]]
            classes[j] = [half for pair in halves for half in pair if half]
    return classes


def least_of(grid: Grid, terms: Terms) -> tuple[int, dict[int, int], int] | None:
    """Return the least sum of boxes, a cell (column: bin) where it is, and how many cells there are.

    None when there are more than `MAX_CELLS`.
    """
    classes = _classes(grid, terms)
    shape = [len(c) for c in classes.values()]
    if prod(shape) > MAX_CELLS:
        return None
    total = np.zeros(shape, np.int64)
    for box, points in terms:
        sides = dict(box)
        inside = [[k for k, c in enumerate(cs) if c & sides.get(j, c)] for j, cs in classes.items()]
        total[np.ix_(*inside)] += points
    at = np.unravel_index(int(total.argmin()), shape)
    cell = {
        j: (c[int(k)] & -c[int(k)]).bit_length() - 1
        for (j, c), k in zip(classes.items(), at, strict=True)
    }
    return int(total.min()), cell, total.size


def _all_cells(question: Question) -> None:
    """Let the engine answer every cell of the grid, with the column at each of its ordered bins."""
    case, column = question.case, question.column
    sizes = [1 if c is column else len(c.bins) for c in case.grid.columns]
    if prod(sizes) * column.n_ordered > MAX_DENSE_CELLS:
        return
    cells = np.stack(np.unravel_index(np.arange(prod(sizes)), sizes), axis=1)
    _compare(question, cells, is_all=True)


def search(question: Question) -> None:
    """Draw cells at random and look for a step that goes the wrong way; nothing is proved by it."""
    rng = np.random.default_rng(0)
    bins = [len(c.bins) for c in question.case.grid.columns]
    _compare(question, rng.integers(0, bins, (N_DRAWN, len(bins))), is_all=False)


def _compare(question: Question, cells: NDArray[np.int64], is_all: bool) -> None:
    case, column = question.case, question.column
    points = np.stack(
        [_points(case, cells, {column.index: b}) for b in range(column.n_ordered)], axis=1
    )
    steps = question.direction * np.diff(points, axis=1)
    question.n_cells += points.size
    if is_all:
        question.least = steps.min(axis=0)
    if steps.size and steps.min() < 0:
        row, step = np.unravel_index(int(steps.argmin()), steps.shape)
        question.refute(int(step), dict(enumerate(cells[row].tolist())))


def _points(case: Case, cells: NDArray[np.int64], fixed: dict[int, int]) -> NDArray[np.int64]:
    rows = np.empty(cells.shape, np.float32)
    for c in case.grid.columns:
        values = np.array([b.value for b in c.bins], np.float32)
        rows[:, c.index] = values[fixed[c.index] if c.index in fixed else cells[:, c.index]]
    return case.ask(rows)
