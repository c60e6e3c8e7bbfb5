"""No change of one column moves the score beyond its bound, and where it is called exact some change gets there."""

from importlib import import_module
from itertools import product

import numpy as np
import pytest
from credit_models import toy_program
from monotone_models import from_rules, program_of
from numpy.typing import NDArray
from test_monotone import COLUMNS, ENCODE, cells, dense_program, forest, random_program

from bimetal.explain.bounds import Bound, bounds
from bimetal.explain.form import points_of
from bimetal.explain.grid import bins_of
from bimetal.program import Program


def true_changes(program: Program, bound: Bound) -> NDArray[np.int64]:
    """What each change of bins adds at most, over the whole grid, the slow way."""
    rows, column = cells(program), next(c for c in bins_of(program) if c.name == bound.column)
    points = []
    for b in column.bins:
        rows[:, column.index] = b.value
        points.append(points_of(program, rows))
    here = np.array(points)
    largest: NDArray[np.int64] = (here[None] - here[:, None]).max(axis=2)
    return largest


@pytest.mark.parametrize("seed", range(6))
def test_no_cell_exceeds_a_bound_and_exact_ones_are_reached(seed: int) -> None:
    program = random_program(seed)
    for loose, exact in zip(bounds(program), bounds(program, exact=True), strict=True):
        truth = true_changes(program, loose)
        assert (truth <= loose.changes).all() and (truth <= exact.changes).all()
        assert exact.is_exact and exact.high == truth.max() == -exact.low
        assert loose.high == loose.changes.max() >= exact.high


def test_a_scorecard_of_single_bits_is_bounded_tightly() -> None:
    direct = np.random.default_rng(0).integers(-20, 20, len(ENCODE.column))
    program = from_rules(COLUMNS, ENCODE, {}, direct, 100)
    for bound in bounds(program):
        assert bound.is_exact and (bound.changes == true_changes(program, bound)).all()


def test_trees_tighten_bounds_and_keep_them_true() -> None:
    program, blocks = forest()
    for by_rules, by_trees in zip(bounds(program), bounds(program, blocks), strict=True):
        assert (true_changes(program, by_trees) <= by_trees.changes).all()
        assert (by_trees.changes <= by_rules.changes).all()
    assert sum(b.high for b in bounds(program, blocks)) < sum(b.high for b in bounds(program))


def test_one_tree_is_bounded_exactly() -> None:
    block = forest()[1][3]
    program = program_of(COLUMNS, ENCODE, [block])
    for bound in bounds(program, [block]):
        truth = true_changes(program, bound)
        assert (np.maximum(bound.changes, 0) == np.maximum(truth, 0)).all()


def test_dense_layers_are_bounded_by_all_they_can_give() -> None:
    program = dense_program(1)
    for bound in bounds(program, exact=True):
        assert not bound.is_exact
        assert (true_changes(program, bound) <= bound.changes).all()


def test_the_solver_takes_over_where_there_are_too_many_cells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bimetal.explain import exhaustive

    program = random_program(2)
    expected = [b.high for b in bounds(program, exact=True)]
    monkeypatch.setattr(exhaustive, "MAX_CELLS", 2)
    assert [b.high for b in bounds(program, exact=True)] == expected


def test_out_of_time_a_bound_is_a_bound_and_not_called_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bimetal.explain import exhaustive

    module = import_module("bimetal.explain.bounds")  # the package has a function of that name

    program = random_program(2)
    loose = bounds(program)
    monkeypatch.setattr(exhaustive, "MAX_CELLS", 0)
    monkeypatch.setattr(module, "solve_least", lambda *_: None)
    for bound, given in zip(bounds(program, exact=True), loose, strict=True):
        assert bound.high == given.high and bound.is_exact == given.is_exact


@pytest.mark.parametrize("seed", range(3))
def test_random_pairs_of_rows_of_a_larger_card_stay_within(seed: int) -> None:
    program = toy_program(seed, n_columns=8, n_rules=60)
    found, rng = bounds(program), np.random.default_rng(seed)
    grid = bins_of(program)
    rows = np.stack([rng.choice([b.value for b in c.bins], 500) for c in grid], axis=1)
    before = points_of(program, rows.astype(np.float32))
    for column, bound in zip(grid, found, strict=True):
        changed = rows.copy()
        changed[:, column.index] = rng.choice([b.value for b in column.bins], 500)
        change = points_of(program, changed.astype(np.float32)) - before
        assert bound.low <= change.min() and change.max() <= bound.high


def test_what_a_change_adds_its_undoing_takes() -> None:
    for bound in bounds(random_program(4), exact=True):
        assert bound.low == -bound.high
        assert all(bound.changes[a, a] == 0 for a in range(len(bound.changes)))
        assert all(
            bound.changes[a, b] >= -bound.changes[b, a]
            for a, b in product(range(len(bound.changes)), repeat=2)
        )
