"""`partial_fit`: nothing but points moves, rows count one by one, and a mistake changes nothing."""

import copy
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError

from bimetal import reference
from bimetal.columns import to_rows
from bimetal.diff import diff
from bimetal.encoders import TreeEncoder
from bimetal.errors import CheckpointError, DataError, NotFiniteError
from bimetal.estimators import BinaryClassifier, recipe
from bimetal.estimators.online import RATE, WIDEST, Points
from bimetal.estimators.trees import GROWTHS
from bimetal.format import dumps
from bimetal.metrics import auc, log_loss
from bimetal.program import Readout

X, Y = make_classification(900, n_features=6, n_informative=4, random_state=0)
X3, Y3 = make_classification(
    900, n_features=6, n_informative=4, n_classes=3, n_clusters_per_class=1, random_state=0
)
FIRST = 300


def cheap(**options: Any) -> BinaryClassifier:
    given = {
        "n_members": 1, "hidden": (8,), "max_rules": 40, "max_epochs": 2, "n_folds": 2, "random_state": 0,
        "encoder": TreeEncoder(n_trees=8), **options,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "GROWTHS", GROWTHS[:1])
        return BinaryClassifier(**given)


def fitted(x: Any, y: Any, **options: Any) -> BinaryClassifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "GROWTHS", GROWTHS[:1])
        return cheap(**options).partial_fit(x, y)


TWO, THREE = fitted(X[:FIRST], Y[:FIRST]), fitted(X3[:FIRST], Y3[:FIRST])


@pytest.fixture(params=["two classes", "three classes"])
def case(request: pytest.FixtureRequest) -> tuple[BinaryClassifier, Any, Any]:
    is_two = request.param == "two classes"
    return copy.deepcopy(TWO if is_two else THREE), X if is_two else X3, Y if is_two else Y3


def test_the_first_call_is_a_fit() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "GROWTHS", GROWTHS[:1])
        assert dumps(cheap().fit(X[:FIRST], Y[:FIRST]).program_) == dumps(TWO.program_)


def test_no_bit_flips_and_nothing_but_points_moves(case: Any) -> None:
    model, x, y = case
    before = model.program_
    found = diff(before, model.partial_fit(x[FIRST:], y[FIRST:]).program_)
    assert found.is_same_structure and found.n_flips == 0 and found.flips
    assert {(moves.kind, moves.array) for moves in found.moves} == {
        ("Readout", "weights"),
        ("Readout", "bias"),
    }


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 120), max_size=6), st.sampled_from(["two", "three"]))
def test_how_rows_are_cut_into_calls_does_not_matter_to_the_last_bit(
    cuts: list[int], which: str
) -> None:
    model, x, y = (TWO, X, Y) if which == "two" else (THREE, X3, Y3)
    x, y = x[FIRST : FIRST + 120], y[FIRST : FIRST + 120]
    whole, cut = copy.deepcopy(model), copy.deepcopy(model)
    whole.partial_fit(x, y)
    edges = [0, *sorted(set(cuts) - {0, 120}), 120]
    for start, end in pairwise(edges):
        cut.partial_fit(x[start:end], y[start:end])
    assert dumps(cut.program_) == dumps(whole.program_) and cut.get_state() == whole.get_state()


def test_the_steps_are_those_of_the_formula(case: Any) -> None:
    model, x, y = case
    program, n = model.program_, 40
    readout: Any = program.ops[-2]
    start = Points.of(program)
    w, g = start.weights.copy(), np.ones_like(start.weights)
    values = reference.trace(program, to_rows(x[FIRST : FIRST + n], program.columns))
    bits = np.hstack([np.hstack([values[i] for i in readout.inputs]), np.ones((n, 1), bool)])
    for row, label in zip(bits, y[FIRST : FIRST + n], strict=True):
        z = w @ row
        target = np.eye(3)[label] if len(z) == 3 else np.array([label])
        error = (softmax(z) if len(z) == 3 else expit(z)) - target
        g[:, row] += error[:, None] ** 2
        w[:, row] -= RATE / row.sum() * error[:, None] / np.sqrt(g[:, row])
    model.partial_fit(x[FIRST : FIRST + n], y[FIRST : FIRST + n])
    np.testing.assert_allclose(model._points().weights, w, rtol=1e-9, atol=1e-12)


def test_no_row_moves_its_own_score_by_more_than_the_rate() -> None:
    model = copy.deepcopy(TWO)
    rows = X[FIRST : FIRST + 40, None]
    for row, label in zip(rows, 1 - model.predict(rows[:, 0]), strict=True):
        before, p = model._points(), model.predict_proba(row)[0, 1]
        model.partial_fit(row, [label], sample_weight=[1e6])
        on = (model._points().squares != before.squares)[0]
        moved = (model._points().weights - before.weights)[0, on].sum()
        assert 0 < abs(moved) <= RATE and (moved > 0) == (label == 1)
        assert (model.predict_proba(row)[0, 1] > p) == (label == 1)
        model.set_state(TWO.get_state())


def test_predictions_are_those_of_the_program(case: Any) -> None:
    model, x, y = case
    model.partial_fit(x[FIRST:600], y[FIRST:600])
    expected = reference.run(model.program_, to_rows(x[600:], model.program_.columns))
    np.testing.assert_array_equal(model.predict_proba(x[600:]), expected)
    model.engine_.self_test()
    fitted_id = (TWO if len(model.classes_) == 2 else THREE).program_.id
    story = {"fitted": fitted_id, "n_rows": 600 - FIRST}
    assert model.program_.provenance["partial_fit"] == story


def test_the_program_follows_the_numbers_behind_it_to_half_a_point(case: Any) -> None:
    model, x, y = case
    points = model.partial_fit(x[FIRST:], y[FIRST:])._points()
    readout, link = model.program_.ops[-2:]
    error = readout.weights * link.scale[:, None] - points.weights[:, :-1]
    assert (np.abs(error) <= link.scale[:, None] / 2 * (1 + 1e-9)).all()


def test_what_has_not_moved_is_not_rounded_anew() -> None:
    points = Points.of(TWO.program_)
    assert points.made().program.id == TWO.program_.id
    wide = points.weights.copy()
    wide[0, 0] = 5 * WIDEST * points.unit[0]
    made = Points(points.program, points.fitted, wide, points.squares, points.unit, 0).made()
    readout, link = made.program.ops[-2:]
    assert isinstance(readout, Readout) and np.abs(readout.weights).max() <= WIDEST
    assert link.scale[0] == 8 * points.unit[0]  # type: ignore[union-attr]


def test_it_learns_what_has_changed() -> None:
    model, frozen = copy.deepcopy(TWO), copy.deepcopy(TWO)
    turned = 1 - Y  # everything is the other way round from now on
    for _ in range(4):
        model.partial_fit(X[FIRST:600], turned[FIRST:600])
    old, new = (each.predict_proba(X[600:])[:, 1] for each in (frozen, model))
    assert auc(turned[600:], new) > auc(turned[600:], old) + 0.1
    assert log_loss(turned[600:], new) < 0.8 * log_loss(turned[600:], old)


def test_a_row_of_weight_zero_is_as_if_it_were_not_there() -> None:
    weight = np.random.default_rng(0).integers(0, 3, 100).astype(float)
    x, y, counts = X[FIRST:400], Y[FIRST:400], weight > 0
    one, other = copy.deepcopy(TWO), copy.deepcopy(TWO)
    one.partial_fit(x, y, sample_weight=weight)
    other.partial_fit(x[counts], y[counts], sample_weight=weight[counts])
    assert dumps(one.program_) == dumps(other.program_)
    unmoved = copy.deepcopy(TWO).partial_fit(x, y, sample_weight=np.zeros(100))
    assert unmoved.program_.id == TWO.program_.id


def test_class_weights_are_row_weights() -> None:
    weighted = copy.deepcopy(TWO).set_params(class_weight={1: 3.0})
    weighted.partial_fit(X[FIRST:400], Y[FIRST:400])
    by_row = copy.deepcopy(TWO).partial_fit(
        X[FIRST:400], Y[FIRST:400], sample_weight=1 + 2 * Y[FIRST:400]
    )
    assert weighted.program_.id == by_row.program_.id


def test_a_chunk_may_have_one_class_only() -> None:
    ones = np.flatnonzero(Y[FIRST:] == 1)[:50] + FIRST
    before = TWO.predict_proba(X[ones])[:, 1].mean()
    assert (
        copy.deepcopy(TWO).partial_fit(X[ones], Y[ones]).predict_proba(X[ones])[:, 1].mean()
        > before
    )


def test_learning_after_a_rollback_equals_learning_that_never_left() -> None:
    straight, roundabout = copy.deepcopy(TWO), copy.deepcopy(TWO)
    straight.partial_fit(X[FIRST:400], Y[FIRST:400])
    state = roundabout.partial_fit(X[FIRST:400], Y[FIRST:400]).get_state()
    roundabout.partial_fit(X[400:500], 1 - Y[400:500])
    roundabout.set_state(state)
    assert roundabout.program_.id == straight.program_.id
    for model in (straight, roundabout):
        model.partial_fit(X[500:600], Y[500:600])
    assert straight.get_state() == roundabout.get_state()
    np.testing.assert_array_equal(straight.predict_proba(X), roundabout.predict_proba(X))


def test_a_copy_through_pickle_learns_on_as_the_original_does() -> None:
    model = copy.deepcopy(TWO).partial_fit(X[FIRST:400], Y[FIRST:400])
    twin = pickle.loads(pickle.dumps(model))
    for each in (model, twin):
        each.partial_fit(X[400:450], Y[400:450])
    assert model.get_state() == twin.get_state()


def test_a_new_fit_forgets_what_was_learned_since() -> None:
    model = copy.deepcopy(TWO)
    model.program_ = TWO.program_  # as fit sets it
    model.partial_fit(X[FIRST:302], Y[FIRST:302])
    model.program_ = copy.copy(TWO.program_)
    assert model._points().n_rows == 0


def test_frames_are_read_by_name_and_unknown_categories_are_other() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(40, 9, 400), "home": rng.choice(["own", "rent"], 400)})
    y = np.where((frame["age"] > 40) ^ (frame["home"] == "rent"), "bad", "good")
    model = fitted(frame[:300], y[:300])
    later = frame[300:].assign(home="boat")[["home", "age"]]
    with pytest.raises(DataError, match="feature names"):
        model.partial_fit(later, y[300:])
    model.partial_fit(later[["age", "home"]], y[300:])
    assert model.program_.id != fitted(frame[:300], y[:300]).program_.id


MISTAKES: list[tuple[str, Any, Any, dict[str, Any], type[Exception], str]] = [
    ("a new class", X[:3], [0, 1, 2], {}, DataError, "ContinualClassifier"),
    ("other classes", X[:2], [0, 1], {"classes": [0, 1, 2]}, DataError, "same in every call"),
    ("fewer columns", X[:2, :3], [0, 1], {}, DataError, "expecting 6 features"),
    ("an infinity", np.full((1, 6), np.inf), [0], {}, NotFiniteError, "infin"),
    ("a short y", X[:3], [0, 1], {}, DataError, "inconsistent"),
    ("a weight too few", X[:2], [0, 1], {"sample_weight": [1.0]}, DataError, "one for each row"),
    ("a weight below 0", X[:2], [0, 1], {"sample_weight": [1, -1]}, DataError, "0 or more"),
]


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "match"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
def test_a_mistake_is_named_and_changes_nothing(
    x: Any, y: Any, options: Any, error: Any, match: str
) -> None:
    model = copy.deepcopy(TWO).partial_fit(X[FIRST:310], Y[FIRST:310])
    before = model.get_state()
    with pytest.raises(error, match=match):
        model.partial_fit(x, y, **options)
    assert model.get_state() == before


def test_the_first_call_needs_rows_of_every_class_and_says_what_to_do() -> None:
    with pytest.raises(DataError, match="gather rows until each class"):
        cheap().partial_fit(X[:50], Y[:50], classes=[0, 1, 2])
    with pytest.raises(DataError, match="does not name"):
        cheap().partial_fit(X[:50], Y[:50], classes=[0])


def test_a_staircase_and_balanced_classes_are_refused_at_once() -> None:
    with pytest.raises(DataError, match="calibration='sigmoid'"):
        cheap(calibration="isotonic").partial_fit(X, Y)
    with pytest.raises(DataError, match="give the weights themselves"):
        cheap(class_weight="balanced").partial_fit(X, Y)


def test_a_state_of_another_model_or_of_nothing_is_refused() -> None:
    with pytest.raises(NotFittedError):
        cheap().get_state()
    with pytest.raises(CheckpointError, match="other columns, rules or members"):
        copy.deepcopy(TWO).set_state(THREE.get_state())
    for damaged in (b"", b"PK\x03\x04 no", TWO.get_state()[:-30]):
        with pytest.raises(CheckpointError, match="state of get_state"):
            copy.deepcopy(TWO).set_state(damaged)
