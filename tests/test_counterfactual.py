"""Counterfactuals: true by the reference, nearest by brute force over the whole grid, and in words that hold."""

import re
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from credit_models import toy_model, toy_program, toy_rows
from numpy.typing import NDArray
from test_monotone import dense_program

from bimetal.errors import DataError
from bimetal.explain.case import Case
from bimetal.explain.counterfactual import Answer, counterfactuals
from bimetal.explain.form import form_of, points_of
from bimetal.explain.grid import ColumnBins, bins_of
from bimetal.explain.interactions import Interactions
from bimetal.program import Program, Readout

Row = NDArray[np.float32]


def bin_at(column: ColumnBins, value: float) -> int:
    """Where a raw value lies, by the words of its bin."""
    for k, b in enumerate(column.bins):
        if b.kind == "missing" and np.isnan(value):
            return k
        if b.kind not in ("missing", "range") and b.value == value:
            return k
    for k, b in enumerate(column.bins):
        if b.kind == "range" and b.low <= value < b.high:
            return k
    return next(k for k, b in enumerate(column.bins) if b.kind == "other")


def moves(column: ColumnBins, at: int, options: dict[str, Any]) -> list[tuple[float, int]]:
    """Cost and bin of all that one column may become."""
    if column.name in options.get("immutable", ()):
        return []
    found = []
    for k, b in enumerate(column.bins):
        is_step = k < column.n_ordered and at < column.n_ordered
        way = options.get("one_way", {}).get(column.name)
        if k == at or (
            b.kind in ("missing", "special", "other") and not options.get("allow_missing")
        ):
            continue
        if way and not (is_step and (k - at) * (1 if way == "up" else -1) > 0):
            continue
        weight = options.get("weights", {}).get(column.name, 1.0)
        found.append((weight * (abs(k - at) / (column.n_ordered - 1) if is_step else 1.0), k))
    return found


def brute_force(program: Program, row: Row, target: int, **options: Any) -> list[tuple[Any, ...]]:
    """(columns, bins, cost, points) of the nearest, by looking at all that can be changed."""
    grid = bins_of(program)
    at = [bin_at(c, float(v)) for c, v in zip(grid, row, strict=True)]
    can = [moves(c, at[c.index], options) for c in grid]
    found: list[tuple[Any, ...]] = []
    for size in range(1, options.get("max_changes", 3) + 1):
        here = []
        for columns in combinations(range(len(grid)), size):
            if any(set(f[0]) <= set(columns) for f in found):
                continue
            picks = list(product(*(can[j] for j in columns)))
            if not picks:
                continue
            rows = np.repeat(row[None], len(picks), axis=0)
            for k, j in enumerate(columns):
                rows[:, j] = [grid[j].bins[pick[k][1]].value for pick in picks]
            points = points_of(program, rows)
            reached = [
                (round(sum(cost for cost, _ in pick), 9), tuple(b for _, b in pick), int(n))
                for pick, n in zip(picks, points, strict=True)
                if n >= target
            ]
            if reached:
                cost, bins, n_points = min(reached)
                here.append((columns, bins, cost, n_points))
        found += sorted(here, key=lambda f: (f[2], f[0]))
    return found[: options.get("n", 3)]


def found_by(program: Program, answer: Answer) -> list[tuple[Any, ...]]:
    names = [c.name for c in program.columns]
    shown = []
    for one in answer.counterfactuals:
        columns = tuple(names.index(change.column) for change in one.changes)
        labels = [[b.label for b in bins_of(program)[j].bins] for j in columns]
        bins = tuple(
            each.index(change.after) for each, change in zip(labels, one.changes, strict=True)
        )
        shown.append((columns, bins, round(one.cost, 9), one.points))
    return shown


def changed(program: Program, row: Row, answer: Answer, k: int) -> Row:
    """The row as answer k says it would have to be."""
    names, new = [c.name for c in program.columns], row.copy()
    for change in answer.counterfactuals[k].changes:
        new[names.index(change.column)] = np.nan if change.value is None else change.value
    return new


def nearly(program: Program, seed: int, n: int) -> tuple[NDArray[np.float32], list[int]]:
    """Rows, and for each a target above its points: some within reach, some far away."""
    rows = toy_rows(program, n, seed)
    points = points_of(program, rows)
    steps = np.random.default_rng(seed).choice([1, 400, 1500, 3000, 6000], n)
    return rows, (points + steps).tolist()


OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"n": 1},
    {"n": 30},
    {"max_changes": 1},
    {"max_changes": 2, "n": 20},
    {"immutable": ("age", "housing"), "n": 10},
    {"one_way": {"age": "up", "income": "down"}, "n": 10},
    {"allow_missing": True, "n": 10},
    {"weights": {"income": 0.1, "amount": 7.0}, "n": 10},
)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_nearest_are_those_of_brute_force(options: dict[str, Any]) -> None:
    for seed in range(3):
        program = toy_program(seed, n_columns=5, n_rules=40)
        form, (rows, targets) = form_of(program), nearly(program, seed, 6)
        for row, target in zip(rows, targets, strict=True):
            answer = counterfactuals(form, row, target, **options)
            assert answer.is_proved_nearest
            assert found_by(program, answer) == brute_force(program, row, target, **options)


@pytest.mark.parametrize("seed", range(4))
def test_each_is_true_by_the_reference_and_changes_nothing_else(seed: int) -> None:
    program = toy_program(seed, n_columns=8, n_rules=80)
    form, (rows, targets) = form_of(program), nearly(program, seed, 60)
    n_found = 0
    for row, target in zip(rows, targets, strict=True):
        answer = counterfactuals(form, row, target)
        n_found += len(answer.counterfactuals)
        for k, one in enumerate(answer.counterfactuals):
            new = changed(program, row, answer, k)
            assert points_of(program, new[None]).tolist() == [one.points]
            assert answer.points < answer.target == target <= one.points
            assert (new != row).sum() - np.isnan(row).sum() <= len(one.changes) <= 3
    assert n_found > 60


def test_the_value_is_the_nearest_in_its_bin() -> None:
    program = toy_program(1, n_columns=6)
    form, (rows, targets) = form_of(program), nearly(program, 1, 40)
    for row, target in zip(rows, targets, strict=True):
        for one in counterfactuals(form, row, target).counterfactuals:
            for change in one.changes:
                if change.value is None or change.own is None or change.column == "housing":
                    continue
                column = next(c for c in form.columns if c.name == change.column)
                assert column.bins[bin_at(column, change.value)].label == change.after
                toward = np.nextafter(np.float32(change.value), np.float32(change.own))
                if column.bins[bin_at(column, change.own)].kind == "range":
                    assert column.bins[bin_at(column, float(toward))].label != change.after


GOAL = re.compile(
    r"^(?P<name>\w+): from (?P<own>.+) to (?:(?P<more>[-\d,.]+) or more|below (?P<less>[-\d,.]+)|.+)$"
)


@pytest.mark.parametrize("seed", range(3))
def test_or_more_and_below_hold_however_far_one_goes(seed: int) -> None:
    program, rng = toy_program(seed, n_columns=6), np.random.default_rng(seed)
    names = [c.name for c in program.columns]
    form, (rows, targets) = form_of(program), nearly(program, seed, 30)
    n_open = 0
    for row, target in zip(rows, targets, strict=True):
        answer = counterfactuals(form, row, target)
        for k, one in enumerate(answer.counterfactuals):
            further = np.repeat(changed(program, row, answer, k)[None], 40, axis=0)
            for change in one.changes:
                said = GOAL.match(change.text)
                assert said is not None and said["name"] == change.column
                away = np.abs(rng.normal(0, 60, 40)).round(2) + 0.03
                if said["more"]:
                    further[:, names.index(change.column)] = (
                        float(said["more"].replace(",", "")) + away
                    )
                elif said["less"]:
                    further[:, names.index(change.column)] = (
                        float(said["less"].replace(",", "")) - away
                    )
                n_open += bool(said["more"] or said["less"])
            assert (points_of(program, further) >= target).all(), one
    assert n_open > 20


def test_who_is_approved_already_needs_no_change() -> None:
    model = toy_model(0)
    rows = toy_rows(model.program, 50)
    points = model.points(rows)
    best = int(points.argmax())
    answer = counterfactuals(model.form, rows[best], int(points[best]))
    assert answer == Answer((), True, 0, int(points[best]), int(points[best]))


def test_what_cannot_be_reached_is_proved_to_be_out_of_reach() -> None:
    program = toy_program(0)
    answer = counterfactuals(form_of(program), toy_rows(program, 1)[0], 10**6)
    assert answer.counterfactuals == () and answer.is_proved_nearest


def test_with_nothing_that_may_change_nothing_is_found() -> None:
    program = toy_program(0)
    names = [c.name for c in program.columns]
    answer = counterfactuals(form_of(program), toy_rows(program, 1)[0], 10**6, immutable=names)
    assert answer.counterfactuals == () and answer.is_proved_nearest


def test_a_budget_that_does_not_reach_is_admitted() -> None:
    program = toy_program(0, n_columns=8, n_rules=100)
    form, (rows, targets) = form_of(program), nearly(program, 2, 30)
    answers = [
        counterfactuals(form, r, t, n=50, budget=100) for r, t in zip(rows, targets, strict=True)
    ]
    assert not all(a.is_proved_nearest for a in answers)
    for row, target, answer in zip(rows, targets, answers, strict=True):
        if answer.is_proved_nearest:
            full = counterfactuals(form, row, target, n=50)
            assert full.counterfactuals == answer.counterfactuals


@pytest.mark.parametrize("seed", range(6))
def test_columns_never_add_more_together_than_their_rules_allow(seed: int) -> None:
    program, rng = toy_program(seed, n_columns=5, n_rules=40), np.random.default_rng(seed)
    case = Case.of(program)
    grid, n = case.grid.columns, len(case.grid.columns)
    bounds = Interactions(case.boxes, n, max(len(c.bins) for c in grid), 0)
    here = np.array([rng.integers(len(c.bins)) for c in grid])
    most = {size: bounds.at(here, size) for size in (2, 3)}
    for size, _ in product((2, 3), range(60)):
        columns = sorted(rng.choice(n, size, replace=False).tolist())
        there = {j: int(rng.integers(len(grid[j].bins))) for j in columns}
        part = 0  # of the anchored decomposition: an alternating sum over the subsets
        for k in range(size + 1):
            for some in combinations(columns, k):
                cell = {**dict(enumerate(here.tolist())), **{j: there[j] for j in some}}
                part += (-1) ** (size - k) * int(points_of(program, case.row(cell)[None])[0])
        assert part <= most[size][tuple(columns)]


def test_bounds_rule_out_most_of_what_could_be_asked() -> None:
    program = toy_program(3, n_columns=8, n_rules=30)
    sizes = [len(c.bins) for c in bins_of(program)]
    everything = sum(int(np.prod(t)) for t in combinations(sizes, 3))
    form, rows = form_of(program), toy_rows(program, 20, 3)
    tried = [counterfactuals(form, r, 80_000, n=50).n_tried for r in rows]
    assert np.median(tried) < everything / 4


def test_the_same_question_has_the_same_answer() -> None:
    program = toy_program(2)
    row = toy_rows(program, 1, 2)[0]
    target = int(points_of(program, row[None])[0]) + 900
    answers = [counterfactuals(form_of(program), row, target, n=9) for _ in range(2)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("seed", range(3))
def test_dense_layers_are_searched_exactly_too(seed: int) -> None:
    program = dense_program(seed)
    form, rng = form_of(program), np.random.default_rng(seed)
    assert form.rest is not None
    rows = np.stack([rng.choice([b.value for b in c.bins], 4) for c in form.columns], axis=1)
    for row in rows.astype(np.float32):
        target = int(points_of(program, row[None])[0]) + 5
        answer = counterfactuals(form, row, target, n=9)
        assert answer.is_proved_nearest
        assert found_by(program, answer) == brute_force(program, row, target, n=9)


def test_points_too_large_for_float32_are_exact_all_the_same() -> None:
    program = toy_program(4, n_columns=4, n_rules=10)
    readout = program.ops[2]
    assert isinstance(readout, Readout)
    large = replace(readout, weights=readout.weights * 10_001, bias=readout.bias * 0 + 3)
    program = replace(program, ops=(*program.ops[:2], large, program.ops[3]))
    row = toy_rows(program, 1)[0]
    target = int(points_of(program, row[None])[0]) + 9_000_000
    answer = counterfactuals(form_of(program), row, target)
    assert answer.counterfactuals
    assert found_by(program, answer) == brute_force(program, row, target)


def test_a_category_without_a_bit_is_called_by_its_name() -> None:
    program = toy_program(1)
    row = toy_rows(program, 1)[0]
    row[-1] = 2  # "other's", which no bit asks for
    owned = row.copy()
    owned[-1] = 0
    before, target = points_of(program, np.stack([row, owned])).tolist()
    assert before < target
    fixed = [c.name for c in program.columns[:-1]]
    (only,) = counterfactuals(form_of(program), row, target, immutable=fixed).counterfactuals
    assert only.changes[0].text.startswith("housing: from other's to ")
    assert (only.changes[0].before, only.cost) == ("other's", 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"immutable": ["ages"]}, "immutable names 'ages', but columns are"),
        ({"one_way": {"ages": "up"}}, "one_way names 'ages'"),
        ({"weights": {"ages": 1.0}}, "weights names 'ages'"),
        ({"one_way": {"age": "sideways"}}, "one_way of 'age': 'up' or 'down'"),
        ({"one_way": {"housing": "up"}}, "of an ordered column expected"),
        ({"weights": {"age": 0.0}}, "the weight of 'age' is a number above 0"),
        ({"n": 0}, "n of at least 1"),
        ({"max_changes": 4}, "max_changes of 1 to 3"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    program = toy_program(0)
    with pytest.raises(DataError, match=message):
        counterfactuals(form_of(program), toy_rows(program, 1)[0], 0, **options)


def test_one_row_of_the_right_width_is_expected() -> None:
    program = toy_program(0)
    with pytest.raises(DataError, match=r"one row of 6 numbers expected, got shape \(2, 6\)"):
        counterfactuals(form_of(program), toy_rows(program, 2), 0)
