"""The rules part: boosted trees and the sparse binary neurons made of them are the same function."""

from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bimetal.encoders import QuantileEncoder
from bimetal.estimators.parts import Bits, Part, levels_of
from bimetal.estimators.tasks import Floats, Task, probabilities
from bimetal.estimators.trees import (
    GROWTHS,
    _paths,
    _tidy,
    grow,
    n_rules,
    rules_part,
    tree_scores,
)
from bimetal.program import EQ, GE, MISSING, Encode, Link, Program, Readout, Rules
from bimetal.reference import trace

TASKS = [Task("binary", 1), Task("multiclass", 3), Task("regression", 1)]
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
GROWTH = {"num_leaves": 8, "learning_rate": 0.2, "min_data_in_leaf": 5, "lambda_l2": 1.0}


@cache
def encoded(n_rows: int = 300) -> tuple[Any, NDArray[np.float32], Bits]:
    """Encode a table with thermometers, one-hot categories and missing bits."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n_rows),
            "b": np.where(rng.random(n_rows) < 0.2, np.nan, rng.normal(size=n_rows)),
            "c": rng.choice(["x", "y", "z"], n_rows),
            "d": rng.integers(0, 3, n_rows),
        }
    )
    encoder = QuantileEncoder(max_bits_per_column=12).fit(frame)
    rows = encoder.read(frame).rows
    return encoder, rows, levels_of(encoder.transform(frame), encoder.op_)


def targets_of(task: Task, data: Bits, seed: int = 0) -> Floats:
    """Draw targets that depend on pairs of bits: soft for two classes, whole for several."""
    rng = np.random.default_rng(seed)
    x = data.bits.astype(float)
    pairs = x[:, ::3][:, :4] * x[:, 1::3][:, :4]
    scores = pairs @ rng.normal(0, 2, (4, task.n_outputs)) + rng.normal(size=(len(x), 1))
    if task.kind == "multiclass":
        return np.eye(task.n_outputs)[np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)]
    return np.asarray(probabilities(task, scores))


def trained(task: Task, n_trees: int, growth: dict[str, float] = GROWTH, seed: int = 0) -> Any:
    data = encoded()[2]
    weight = np.random.default_rng(1).gamma(1.0, 1.0, len(data.bits)) + 0.1
    return grow(data, targets_of(task, data, seed), weight, task, growth, n_trees, seed)


def bits_of_ops(part: Part) -> NDArray[np.bool_]:
    """Run the part's operations on the table through the reference."""
    encoder, rows, _ = encoded()
    if not part.ops:
        return np.zeros((len(rows), 0), dtype=bool)
    points = Readout((2,), np.zeros((1, part.hidden.shape[1]), np.int8), np.zeros(1, np.int32))
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    link = Link(3, "identity", np.ones(1), np.zeros(1), *none)
    return trace(Program(encoder.columns_, (encoder.op_, *part.ops, points, link)), rows)[2]


def scores_of(part: Part) -> Floats:
    bits = encoded()[2].bits
    return bits @ part.direct.T + bits_of_ops(part) @ part.hidden.T + part.bias


@each_task
@pytest.mark.parametrize("n_trees", [1, 2, 25])
@pytest.mark.parametrize("n_leaves", [2, 3, 31])
def test_rules_score_as_the_trees_do(task: Task, n_trees: int, n_leaves: int) -> None:
    booster = trained(task, n_trees, {**GROWTH, "num_leaves": n_leaves})
    data = encoded()[2]
    want = booster.predict(data.levels, raw_score=True).reshape(len(data.levels), -1)
    np.testing.assert_allclose(scores_of(rules_part(booster, data, task)), want, atol=1e-9)
    np.testing.assert_array_equal(tree_scores(booster, data, task), want)


@each_task
@pytest.mark.parametrize("growth", GROWTHS, ids=lambda growth: f"{growth['num_leaves']} leaves")
def test_every_growth_can_be_turned_into_rules(task: Task, growth: dict[str, float]) -> None:
    booster, data = trained(task, 12, growth), encoded()[2]
    part = rules_part(booster, data, task)
    np.testing.assert_allclose(scores_of(part), tree_scores(booster, data, task), atol=1e-9)
    n_found = part.hidden.shape[1] + int((part.direct != 0).any(axis=0).sum())
    assert n_found <= 12 * n_rules(task, growth)


@each_task
def test_the_first_rounds_alone_score_as_the_first_rounds_do(task: Task) -> None:
    booster, data = trained(task, 10), encoded()[2]
    for n_trees in (1, 4, 10):
        part = rules_part(booster, data, task, n_trees)
        want = tree_scores(booster, data, task, n_trees)
        np.testing.assert_allclose(scores_of(part), want, atol=1e-9)


@each_task
def test_early_stopping_keeps_the_best_round(task: Task) -> None:
    data = encoded()[2]
    targets = np.random.default_rng(2).permutation(targets_of(task, data))  # nothing to be learned
    weight, odd = np.ones(200), np.arange(200, 300)
    some = data.take(np.arange(200))
    growth = {**GROWTH, "learning_rate": 0.5}
    booster = grow(
        some,
        targets[:200],
        weight,
        task,
        growth,
        200,
        0,
        (data.take(odd), targets[odd], np.ones(100)),
    )
    assert 1 <= booster.best_iteration < 200
    part = rules_part(booster, data, task)
    np.testing.assert_allclose(scores_of(part), tree_scores(booster, data, task), atol=1e-9)


@each_task
def test_targets_that_do_not_vary_make_no_rule(task: Task) -> None:
    data = encoded()[2]
    targets = np.tile(np.eye(task.n_outputs)[0] * 0.5, (len(data.bits), 1))
    booster = grow(data, targets, np.ones(len(targets)), task, GROWTH, 5, 0)
    part = rules_part(booster, data, task)
    assert part.ops == ()
    assert not part.direct.any()
    np.testing.assert_allclose(scores_of(part), tree_scores(booster, data, task), atol=1e-9)


@each_task
def test_exactly_one_path_of_a_tree_fires_for_a_row(task: Task) -> None:
    booster, data = trained(task, 6), encoded()[2]
    place = {bit: (f, at) for f, bits in enumerate(data.features) for at, bit in enumerate(bits)}
    for tree in booster.dump_model()["tree_info"]:
        paths = [_tidy(path, place) for path, _ in _paths(tree["tree_structure"], data)]
        fired = np.stack([holds(path, data.bits) for path in paths], axis=1)
        assert (fired.sum(axis=1) == 1).all()


@each_task
def test_fired_rules_never_outnumber_the_trees(task: Task) -> None:
    for n_trees in (1, 7):
        part = rules_part(trained(task, n_trees), encoded()[2], task)
        assert bits_of_ops(part).sum(axis=1).max() <= n_trees * task.n_outputs


@each_task
def test_no_two_rules_are_equal_and_none_has_a_single_literal(task: Task) -> None:
    (op,) = rules_part(trained(task, 20), encoded()[2], task).ops
    assert isinstance(op, Rules)
    rules = np.split(op.literals, np.cumsum(op.fan_in)[:-1])
    assert len({tuple(rule.tolist()) for rule in rules}) == len(rules)
    assert op.fan_in.min() >= 2
    assert (np.diff(op.fan_in.astype(int)) >= 0).all(), "short rules first"


def test_a_stump_is_a_weight_of_the_encoders_own_bit() -> None:
    part = rules_part(trained(TASKS[0], 3, {**GROWTH, "num_leaves": 2}), encoded()[2], TASKS[0])
    assert part.ops == ()
    assert 1 <= (part.direct != 0).sum() <= 3


def test_the_same_seed_grows_the_same_trees_and_weights_count() -> None:
    data, task = encoded()[2], TASKS[0]
    growth = {**GROWTH, "bagging_fraction": 0.5, "bagging_freq": 1}
    first, second = (trained(task, 5, growth).model_to_string() for _ in range(2))
    assert first == second
    assert trained(task, 5, growth, seed=1).model_to_string() != first
    targets = targets_of(task, data)
    weight = np.where(np.arange(len(targets)) < 150, 1.0, 1e-12)
    heavy = tree_scores(grow(data, targets, weight, task, GROWTH, 5, 0), data, task)
    even = tree_scores(grow(data, targets, weight * 0 + 1, task, GROWTH, 5, 0), data, task)
    assert not np.allclose(heavy, even)


def test_few_rows_still_grow_a_tree() -> None:
    data = encoded()[2].take(np.arange(12))
    varies = int(np.ptp(data.bits.astype(int), axis=0).argmax())
    targets = data.bits[:, [varies]].astype(float)
    booster = grow(data, targets, np.ones(12), TASKS[0], GROWTHS[0], 10, 0)
    assert isinstance(booster, lightgbm.Booster)
    assert np.ptp(tree_scores(booster, data, TASKS[0])) > 0


def test_levels_count_the_set_bits_of_each_thermometer() -> None:
    encoder, _, data = encoded()
    op: Encode = encoder.op_
    assert sorted(bit for bits in data.features for bit in bits) == list(range(encoder.n_bits_))
    for f, bits in enumerate(data.features):
        index = list(bits)
        np.testing.assert_array_equal(data.levels[:, f], data.bits[:, index].sum(axis=1))
        assert len(set(op.column[index].tolist())) == 1
        if len(bits) > 1:
            assert (op.kind[index] == GE).all()
            assert (np.diff(op.value[index]) > 0).all()
            assert (np.diff(data.bits[:, index].astype(int), axis=1) <= 0).all()
        else:
            assert op.kind[bits[0]] in (GE, EQ, MISSING)


def holds(path: tuple[int, ...], bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    fired = np.ones(len(bits), dtype=bool)
    for literal in path:
        fired &= bits[:, literal >> 1] != bool(literal & 1)
    return fired


def truth_table(sizes: list[int]) -> tuple[NDArray[np.bool_], dict[int, tuple[int, int]]]:
    """Return every row of bits that thermometers of these sizes can show, and each bit's place."""
    levels = np.stack(np.meshgrid(*[np.arange(n + 1) for n in sizes], indexing="ij"), -1)
    levels = levels.reshape(-1, len(sizes))
    place = [(f, at) for f, n in enumerate(sizes) for at in range(n)]
    bits = np.stack([levels[:, f] > at for f, at in place], axis=1)
    return bits, dict(enumerate(place))


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_tidying_drops_only_what_the_rest_implies(sizes: list[int], data: Any) -> None:
    bits, place = truth_table(sizes)
    path = tuple(data.draw(st.lists(st.integers(0, 2 * len(place) - 1), max_size=8)))
    tidy = _tidy(path, place)
    assert set(tidy) <= set(path)
    assert list(tidy) == sorted(set(tidy))
    np.testing.assert_array_equal(holds(tidy, bits), holds(path, bits))


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_tidying_keeps_nothing_that_could_be_dropped(sizes: list[int], data: Any) -> None:
    bits, place = truth_table(sizes)
    path = tuple(data.draw(st.lists(st.integers(0, 2 * len(place) - 1), max_size=8)))
    assume(holds(path, bits).any())
    tidy = _tidy(path, place)
    for literal in tidy:
        without = tuple(other for other in tidy if other != literal)
        assert (holds(without, bits) != holds(path, bits)).any()
