"""Assembling: parts and weights become one Program, and rounding to points costs next to nothing."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.isotonic import IsotonicRegression

from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.encoders import QuantileEncoder
from bimetal.estimators.assemble import MAX_BIAS, MAX_POINTS, assemble, golden_rows, isotonic
from bimetal.estimators.parts import Part
from bimetal.estimators.tasks import Floats, Task
from bimetal.format import dumps, loads
from bimetal.program import GE, Dense, Encode, Link, Program, Readout, Rules
from bimetal.reference import run, trace
from bimetal.runtime import Engine

BINARY, MULTICLASS, REGRESSION = Task("binary", 1), Task("multiclass", 3), Task("regression", 1)
TASKS = [BINARY, MULTICLASS, REGRESSION]
LAW = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
COLUMNS = (Column("a"), Column("b"), Column("c", "category", ("x", "y")))


@cache
def table() -> tuple[Any, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=200),
            "b": np.where(rng.random(200) < 0.3, np.nan, rng.lognormal(size=200)),
            "c": rng.choice(["x", "y"], 200),
        }
    )
    encoder = QuantileEncoder(max_bits_per_column=6).fit(frame)
    return encoder, encoder.read(frame).rows


def random_part(rng: np.random.Generator, n_bits: int, n_outputs: int, size: float) -> Part:
    """Draw a part of no operation, of rules, or of two dense layers."""
    kind, n = int(rng.integers(3)), 4 * int(rng.integers(1, 5))
    ops: tuple[Dense | Rules, ...] = ()
    if kind == 1:
        literals = rng.integers(0, 2 * n_bits, 2 * n, dtype=np.uint16)
        ops = (Rules(1, literals, np.full(n, 2, np.uint8)),)
    if kind == 2:
        first = Dense(1, n_bits, pack(rng.random((n, n_bits)) < 0.5),
                      rng.integers(-1, n_bits + 1, n).astype(np.int32))  # fmt: skip
        second = Dense(2, n, pack(rng.random((n, n // 4)) < 0.5),
                       rng.integers(-1, n // 4 + 1, n).astype(np.int32), 4)  # fmt: skip
        ops = (first, second)
    draw = lambda *shape: rng.normal(0, size, shape) * (rng.random(shape) < 0.8)  # noqa: E731
    hidden = draw(n_outputs, n if ops else 0)
    return Part(f"part of kind {kind}", ops, draw(n_outputs, n_bits), hidden, draw(n_outputs))


def part_scores(part: Part) -> tuple[Floats, NDArray[np.int64]]:
    """Return the part's own float scores of the table, and how many bits of it are set, row by row."""
    encoder, rows = table()
    bits = encoder.transform_rows(rows)
    if not part.ops:
        return bits @ part.direct.T + part.bias, np.zeros(len(rows), np.int64)
    n_hidden, last = part.hidden.shape[1], len(part.ops) + 1
    points = Readout((last,), np.zeros((1, n_hidden), np.int8), np.zeros(1, np.int32))
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    link = Link(last + 1, "identity", np.ones(1), np.zeros(1), *none)
    fired = trace(Program(COLUMNS, (encoder.op_, *part.ops, points, link)), rows)[last]
    return bits @ part.direct.T + fired @ part.hidden.T + part.bias, fired.sum(axis=1)


def program_scores(program: Program) -> Floats:
    link = program.ops[-1]
    assert isinstance(link, Link)
    return link.offset + link.scale * trace(program, table()[1])[-2]


def random_case(seed: int, task: Task, size: float = 1.0) -> tuple[list[Part], Floats, Floats]:
    rng = np.random.default_rng(seed)
    encoder, _ = table()
    parts = [random_part(rng, encoder.n_bits_, task.n_outputs, size) for _ in range(3)]
    weights = np.where(rng.random(3) < 0.3, 0.0, rng.gamma(2.0, 0.5, 3))
    return parts, weights, rng.normal(0, size, task.n_outputs)


def assembled(
    parts: list[Part], weights: Floats, intercept: Floats, task: Task, **more: Any
) -> Program:
    encoder, _ = table()
    return assemble(encoder.columns_, encoder.op_, parts, weights, intercept, task, **more)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e9])
@LAW
@given(seed=SEEDS)
def test_a_score_in_points_is_off_by_half_a_point_a_set_bit_at_most(
    task: Task, size: float, seed: int
) -> None:
    """Each weight is rounded to a multiple of the scale, so a set bit errs by half of it at most."""
    parts, weights, intercept = random_case(seed, task, size)
    program = assembled(parts, weights, intercept, task)
    used = [(p, w) for p, w in zip(parts, weights, strict=True) if w > 0]
    exact = np.tile(intercept, (len(table()[1]), 1))
    n_set = table()[0].transform_rows(table()[1]).sum(axis=1)
    largest = np.abs(sum(w * p.direct for p, w in used)).max(initial=0.0)
    for part, w in used:
        scores, fired = part_scores(part)
        exact, n_set = exact + w * scores, n_set + fired
        largest = max(largest, np.abs(w * part.hidden).max(initial=0.0))
    half_a_point = largest / MAX_POINTS / 2
    error = np.abs(program_scores(program) - exact).max(axis=1)
    assert (error <= n_set * half_a_point * (1 + 1e-9) + 1e-12 * np.abs(exact).max()).all()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@LAW
@given(seed=SEEDS)
def test_points_fit_their_type_and_the_largest_uses_all_of_it(task: Task, seed: int) -> None:
    readout = assembled(*random_case(seed, task), task).ops[-2]
    assert isinstance(readout, Readout)
    assert readout.weights.dtype == np.int16
    assert np.abs(readout.weights).max() in (0, MAX_POINTS)


@LAW
@given(seed=SEEDS)
def test_the_answer_is_the_link_of_the_score(seed: int) -> None:
    rows = table()[1]
    two = assembled(*random_case(seed, BINARY), BINARY)
    p = expit(program_scores(two)[:, 0])
    np.testing.assert_allclose(run(two, rows), np.c_[1 - p, p], atol=1e-7)
    three = assembled(*random_case(seed, MULTICLASS), MULTICLASS)
    np.testing.assert_allclose(run(three, rows), softmax(program_scores(three), axis=1), atol=1e-7)
    case = random_case(seed, REGRESSION)
    plain, moved = (
        assembled(*case, REGRESSION, center=c, spread=s) for c, s in ((0.0, 1.0), (5.0, 3.0))
    )
    np.testing.assert_allclose(
        run(moved, rows), 5 + 3 * program_scores(plain), rtol=1e-6, atol=1e-5
    )


def test_a_part_of_weight_zero_leaves_nothing_behind() -> None:
    for seed in range(10):
        parts, _, intercept = random_case(seed, BINARY)
        alone = assembled(parts[:1], np.array([0.7]), intercept, BINARY)
        together = assembled(parts, np.array([0.7, 0.0, 0.0]), intercept, BINARY)
        assert together.id == alone.id


def test_without_any_part_the_answer_is_the_intercept() -> None:
    program = assembled(random_case(0, BINARY)[0], np.zeros(3), np.array([0.4]), BINARY)
    answers = run(program, table()[1])
    np.testing.assert_allclose(answers[:, 1], expit(0.4), rtol=1e-6)


@pytest.mark.parametrize("huge", [1e30, -1e200, 1e12])
def test_an_intercept_far_beyond_the_weights_is_held_by_the_offset(huge: float) -> None:
    parts, weights, _ = random_case(1, REGRESSION, size=1e-9)
    program = assembled(parts, weights + 1, np.array([huge]), REGRESSION)
    readout = program.ops[-2]
    assert isinstance(readout, Readout)
    assert np.abs(readout.bias).max() <= MAX_BIAS
    np.testing.assert_allclose(program_scores(program), huge, rtol=1e-12)


def test_classes_and_provenance_travel_with_the_program() -> None:
    more = {"classes": ("bad", "good"), "provenance": {"who": "me"}}
    program = assembled(*random_case(2, BINARY), BINARY, **more)
    assert program.classes == ("bad", "good")
    assert program.provenance == {"who": "me"}
    assert loads(dumps(program)).id == program.id


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_golden_rows_carry_their_answers(task: Task) -> None:
    for seed in range(5):
        program = assembled(*random_case(seed, task), task)
        assert len(program.golden_x) == 8
        np.testing.assert_array_equal(run(program, program.golden_x), program.golden_y)
        Engine(program).self_test()


def test_golden_rows_are_invented() -> None:
    rows = table()[1]
    golden = assembled(*random_case(3, BINARY), BINARY).golden_x
    assert not (golden[:, None, :2] == rows[None, :, :2]).any(), "no number is a training row's"
    assert np.isin(golden[:, 2], [-1, 0, 1]).all(), "a category is one of the codes, or unseen"
    bits = table()[0].transform_rows(golden)
    assert len(np.unique(bits, axis=0)) > 4, "they try different bits"


def bits_of_numbers(*values: float) -> Program:
    n = len(values)
    encode = Encode(
        np.zeros(n, np.uint16), np.full(n, GE, np.uint8), np.array(values, np.float32),
        np.zeros(0, np.uint16), np.zeros(0, np.float32),
    )  # fmt: skip
    part = Part("linear", (), np.ones((1, n)), np.zeros((1, 0)), np.zeros(1))
    return assemble((Column("a"),), encode, [part], np.ones(1), np.zeros(1), BINARY)


@pytest.mark.parametrize("cuts", [(0.0,), (-3.4e38, 3.4e38), (1e-45,), (3.4e38,)])
def test_golden_rows_of_extreme_cut_points_are_finite_and_differ(cuts: tuple[float, ...]) -> None:
    golden = bits_of_numbers(*cuts).golden_x
    assert np.isfinite(golden).all()
    assert len(np.unique(golden)) > 1


def test_golden_rows_depend_on_nothing_but_the_program() -> None:
    program = bits_of_numbers(1.0, 2.0)
    np.testing.assert_array_equal(golden_rows(program, 5), golden_rows(program, 5))
    assert not np.array_equal(golden_rows(program, 5), golden_rows(program, 5, seed=1))


def calibration_case(seed: int) -> tuple[Program, Floats, Floats, Floats]:
    """Draw a Program, scores that it can give (whole points), labels and weights."""
    rng = np.random.default_rng(seed)
    program = assembled(*random_case(seed, BINARY), BINARY)
    link = program.ops[-1]
    assert isinstance(link, Link)
    points = rng.integers(-3000, 3000, 150).astype(float)
    scores = link.offset[0] + link.scale[0] * points
    labels = (rng.random(150) < expit(points / 1500)).astype(float)
    return program, scores[:, None], labels, rng.gamma(2.0, 1.0, 150)


def staircase(program: Program, points: Floats) -> Floats:
    link = program.ops[-1]
    assert isinstance(link, Link)
    return np.asarray(link.values[np.searchsorted(link.knots, points, side="right")])


@LAW
@given(seed=SEEDS)
def test_the_staircase_is_isotonic_regression_at_every_training_point(seed: int) -> None:
    program, scores, labels, weight = calibration_case(seed)
    table_program = isotonic(program, scores, labels, weight)
    link = program.ops[-1]
    assert isinstance(link, Link)
    points = np.rint((scores[:, 0] - link.offset[0]) / link.scale[0])
    least = 0.5 / (len(points) + 1)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least).fit(points, labels, weight)
    expected = fitted.predict(points)
    np.testing.assert_array_equal(staircase(table_program, points), expected.astype(np.float32))


@LAW
@given(seed=SEEDS)
def test_the_staircase_only_rises_and_between_two_points_keeps_the_lower_step(seed: int) -> None:
    program, scores, labels, weight = calibration_case(seed)
    link = isotonic(program, scores, labels, weight).ops[-1]
    assert isinstance(link, Link)
    assert link.kind == "table"
    assert (np.diff(link.values) > 0).all()
    assert (np.diff(link.knots) > 0).all()
    old = program.ops[-1]
    assert isinstance(old, Link)
    points = np.rint((scores[:, 0] - old.offset[0]) / old.scale[0])
    assert np.isin(link.knots, points).all(), "a step begins at a point that was seen"


def test_calibrating_changes_the_link_and_the_golden_answers_only() -> None:
    program, scores, labels, weight = calibration_case(0)
    done = isotonic(program, scores, labels, weight)
    assert done.ops[:-1] == program.ops[:-1]
    np.testing.assert_array_equal(done.golden_x, program.golden_x)
    np.testing.assert_array_equal(run(done, done.golden_x), done.golden_y)
    Engine(done).self_test()


def test_rows_without_a_score_do_not_count() -> None:
    program, scores, labels, weight = calibration_case(1)
    some = scores.copy()
    some[::2] = np.nan
    ids = [
        isotonic(program, s, y, w).id
        for s, y, w in ((some, labels, weight), (scores[1::2], labels[1::2], weight[1::2]))
    ]
    assert ids[0] == ids[1]


def test_labels_of_one_class_make_a_flat_staircase() -> None:
    program, scores, labels, weight = calibration_case(2)
    link = isotonic(program, scores, labels * 0 + 1, weight).ops[-1]
    assert isinstance(link, Link)
    assert len(link.knots) == 0
    assert len(link.values) == 1
    assert 0.5 < link.values[0] < 1, "no score is certain"


def test_without_scores_the_sigmoid_stays() -> None:
    program, _, labels, weight = calibration_case(3)
    assert isotonic(program, None, labels, weight) is program
