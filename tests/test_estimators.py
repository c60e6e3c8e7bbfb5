"""The estimators: any table in, one Program out, and the same answers wherever it runs."""

import pickle
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bimetal.columns import to_rows
from bimetal.encoders import QuantileEncoder, TreeEncoder
from bimetal.errors import (
    BimetalError,
    ColumnError,
    DataError,
    MissingValueError,
    NotFiniteError,
    TrainingError,
)
from bimetal.estimators import BinaryClassifier, BinaryRegressor, FitReport, recipe
from bimetal.estimators.trees import GROWTHS
from bimetal.format import load, save
from bimetal.program import Dense, Link, Program, Rules
from bimetal.reference import run
from bimetal.runtime import Engine

CHEAP: dict[str, Any] = {
    "n_members": 1,
    "hidden": (6, 4),
    "max_rules": 40,
    "max_epochs": 1,
    "n_folds": 2,
    "encoder": TreeEncoder(n_trees=8),
    "random_state": 0,
}
PLAIN: dict[str, Any] = {"n_members": 0, "teacher": None}  # where the parts do not matter
BOTH = pytest.mark.parametrize("kind", [BinaryClassifier, BinaryRegressor])


@pytest.fixture(autouse=True)
def two_growths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let validation choose between two ways to grow trees: as good a choice as among many."""
    monkeypatch.setattr(recipe, "GROWTHS", GROWTHS[::3][:2])


def classifier(**more: Any) -> BinaryClassifier:
    return BinaryClassifier(**{**CHEAP, **more})


def regressor(**more: Any) -> BinaryRegressor:
    return BinaryRegressor(**{**CHEAP, **more})


@cache
def numbers(n_rows: int = 160, seed: int = 0) -> tuple[Any, Any, Any]:
    """Draw three columns of numbers, labels and a real-valued target."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 3)).astype(np.float32)
    score = 2 * X[:, 0] - X[:, 1] * (X[:, 2] > 0)
    return X, (score + rng.logistic(size=n_rows) > 0).astype(int), score + rng.normal(size=n_rows)


@cache
def table(n_rows: int = 160) -> tuple[pd.DataFrame, Any, Any]:
    """Draw a credit table with gaps and text, labels, and a real-valued target."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n_rows),
            "income": np.where(rng.random(n_rows) < 0.15, np.nan, rng.lognormal(3, 0.5, n_rows)),
            "home": rng.choice(["own", "rent", "free"], n_rows),
        }
    )
    score = 0.05 * frame["age"] + (frame["home"] == "own") - frame["income"].fillna(60) / 30
    score = (score - score.mean()).to_numpy()
    return frame, (score + rng.logistic(size=n_rows) > 0).astype(int), 10 * score


@cache
def fitted(kind: type[Any]) -> Any:
    frame, labels, target = table()
    return kind(**CHEAP).fit(frame, labels if kind is BinaryClassifier else target)


def answers(model: Any, X: Any) -> Any:
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)[:, None]


def y_of(kind: type[Any]) -> Any:
    return table()[1 if kind is BinaryClassifier else 2]


# --- one model, many tables


@BOTH
def test_every_kind_of_frame_gives_the_same_program(kind: type[Any]) -> None:
    frame, y = table()[0], y_of(kind)
    polars = pl.from_pandas(frame)
    for other in (polars, polars.lazy(), polars.to_arrow(), frame.astype({"home": "category"})):
        model = kind(**CHEAP).fit(other, y)
        assert model.program_.id == fitted(kind).program_.id
        np.testing.assert_array_equal(model.predict(frame), model.predict(other))


@BOTH
def test_an_array_and_frames_with_its_column_names_give_the_same_program(kind: type[Any]) -> None:
    X, labels, target = numbers()
    y = labels if kind is BinaryClassifier else target
    frame = pd.DataFrame(X, columns=["x0", "x1", "x2"])
    tables = [X, X.astype(np.float64), X.tolist(), X.astype(object), np.asfortranarray(X), frame]
    tables += [pl.from_pandas(frame), pl.from_pandas(frame).to_arrow()]
    models = [kind(**CHEAP | PLAIN).fit(X_, y) for X_ in tables]
    assert len({model.program_.id for model in models}) == 1
    for model, X_ in zip(models, tables, strict=True):
        np.testing.assert_array_equal(answers(model, X_), answers(models[0], X))


def test_an_array_of_objects_may_hold_text() -> None:
    frame, labels, _ = table()
    model = classifier().fit(frame.to_numpy(dtype=object), labels)
    named = classifier().fit(frame.set_axis(["x0", "x1", "x2"], axis=1), labels)
    assert model.program_.id == named.program_.id
    proba = model.predict_proba(frame.to_numpy(dtype=object).tolist())
    np.testing.assert_array_equal(
        proba, named.predict_proba(frame.set_axis(["x0", "x1", "x2"], axis=1))
    )


def test_the_columns_of_a_frame_may_be_numbered() -> None:
    X, labels, _ = numbers()
    model = classifier().fit(pd.DataFrame(X), labels)
    assert [c.name for c in model.program_.columns] == ["0", "1", "2"]
    np.testing.assert_array_equal(model.predict_proba(pd.DataFrame(X)), model.predict_proba(X))


@pytest.mark.parametrize("make", [list, pd.Series, pl.Series, lambda y: pl.Series(y).to_arrow()])
def test_labels_and_weights_come_in_any_container(make: Callable[[Any], Any]) -> None:
    X, labels, _ = numbers()
    weight = 1.0 + labels
    model = classifier(**PLAIN).fit(X, make(labels.tolist()), make(weight.tolist()))
    assert model.program_.id == classifier(**PLAIN).fit(X, labels, weight).program_.id


@BOTH
def test_answers_are_those_of_the_reference_exactly(kind: type[Any]) -> None:
    model, frame = fitted(kind), table()[0]
    rows = to_rows(frame, model.program_.columns)
    np.testing.assert_array_equal(answers(model, frame), run(model.program_, rows))


@BOTH
def test_a_saved_model_gives_the_same_answers_through_the_engine(
    kind: type[Any], tmp_path: Path
) -> None:
    model, frame = fitted(kind), table()[0]
    save(model.program_, tmp_path / "model.bimetal")
    engine = Engine(load(tmp_path / "model.bimetal"))
    engine.self_test()
    np.testing.assert_array_equal(engine.predict_proba(frame), answers(model, frame))
    np.testing.assert_array_equal(engine.predict(frame), model.predict(frame))


@BOTH
def test_a_table_without_rows_gets_no_answers(kind: type[Any]) -> None:
    model, frame = fitted(kind), table()[0]
    assert model.predict(frame.iloc[:0]).shape == (0,)
    array = kind(**CHEAP).fit(numbers()[0], numbers()[1])
    assert array.predict(np.zeros((0, 3))).shape == (0,)


def test_a_row_may_be_scored_alone() -> None:
    model, frame = fitted(BinaryClassifier), table()[0]
    one_by_one = np.vstack([model.predict_proba(frame.iloc[[i]]) for i in range(9)])
    np.testing.assert_array_equal(one_by_one, model.predict_proba(frame.iloc[:9]))


# --- what is learned


def test_it_learns_what_is_there_to_be_learned() -> None:
    X, labels, target = numbers(600)
    new, new_labels, new_target = numbers(600, seed=1)
    model = classifier(n_members=2, max_epochs=8).fit(X, labels)
    assert roc_auc_score(new_labels, model.predict_proba(new)[:, 1]) > 0.8
    assert model.score(new, new_labels) > 0.7
    assert regressor(n_members=2, max_epochs=8).fit(X, target).score(new, new_target) > 0.6


@BOTH
def test_the_same_seed_gives_the_same_program(kind: type[Any]) -> None:
    torch.manual_seed(123)  # what happened to the global generators does not matter
    np.random.seed(123)  # noqa: NPY002
    again = kind(**CHEAP).fit(table()[0], y_of(kind))
    assert again.program_.id == fitted(kind).program_.id
    assert again.report_.losses == fitted(kind).report_.losses


@BOTH
def test_another_seed_gives_another_program(kind: type[Any]) -> None:
    other = kind(**{**CHEAP, "random_state": 1}).fit(table()[0], y_of(kind))
    assert other.program_.id != fitted(kind).program_.id


def test_a_random_state_object_is_a_seed_too() -> None:
    X, labels, _ = numbers()
    ids = [
        classifier(**PLAIN, random_state=np.random.RandomState(s)).fit(X, labels).program_.id
        for s in (5, 5, 6)
    ]
    assert ids[0] == ids[1] != ids[2]


def test_fitting_leaves_torch_and_its_generator_as_they_were() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state(), torch.get_num_threads()
    classifier().fit(*numbers()[:2])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


@BOTH
def test_weight_zero_is_a_row_removed(kind: type[Any]) -> None:
    frame, y = table()[0], y_of(kind)
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    weighted = kind(**CHEAP).fit(frame, y, weight)
    removed = kind(**CHEAP).fit(frame[weight > 0], y[weight > 0], weight[weight > 0])
    assert weighted.program_.id == removed.program_.id


@BOTH
def test_weights_of_one_are_no_weights(kind: type[Any]) -> None:
    model = kind(**CHEAP).fit(table()[0], y_of(kind), np.ones(160))
    assert model.program_.id == fitted(kind).program_.id


def test_a_class_weight_is_a_weight_of_the_rows_of_that_class() -> None:
    X, labels, _ = numbers()
    by_class = classifier(class_weight={0: 1.0, 1: 4.0}).fit(X, labels)
    by_row = classifier().fit(X, labels, np.where(labels == 1, 4.0, 1.0))
    assert by_class.program_.id == by_row.program_.id
    plain = classifier().fit(X, labels)
    assert by_class.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()
    both = classifier(class_weight={0: 1.0, 1: 2.0}).fit(X, labels, 1.0 + labels)
    assert both.program_.id == by_row.program_.id, "the two are multiplied"


def test_balanced_classes_are_believed_to_be_equally_many() -> None:
    X, labels, _ = numbers(400)
    rare = np.flatnonzero((labels == 0) | (np.arange(400) % 5 == 0))
    model = classifier(class_weight="balanced").fit(X[rare], labels[rare])
    by_class = [model.predict_proba(X[rare])[labels[rare] == c, 1].mean() for c in (0, 1)]
    assert np.mean(by_class) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    "classes",
    [["bad", "good"], [False, True], [-1, 1], [0.0, 1.0], ["1", "2"], [7, 3]],
    ids=str,
)
def test_labels_of_any_type_come_back_as_they_were(classes: list[Any], tmp_path: Path) -> None:
    X, labels, _ = numbers()
    y = np.array(classes)[labels]
    model = classifier(**PLAIN).fit(X, y)
    assert model.classes_.tolist() == sorted(classes)
    assert model.classes_.dtype == y.dtype
    assert set(model.predict(X).tolist()) <= set(classes)
    assert model.score(X, y) > 0.6
    save(model.program_, tmp_path / "m.bimetal")
    assert Engine(load(tmp_path / "m.bimetal")).predict(X).tolist() == model.predict(X).tolist()


def test_text_labels_of_frames_work() -> None:
    X, labels, _ = numbers()
    y = np.array(["bad", "good"])[labels]
    plain = classifier(**PLAIN).fit(X, y).program_.id
    category = pd.Series(y, dtype="category")
    for other in (y.tolist(), y.astype(object), pd.Series(y), category, pl.Series(y)):
        assert classifier(**PLAIN).fit(X, other).program_.id == plain


def test_several_classes_get_a_probability_each() -> None:
    X, _, target = numbers()
    y = np.array(["low", "mid", "high"])[np.digitize(target, [-1, 1])]
    model = classifier().fit(X, y)
    proba = model.predict_proba(X)
    assert proba.shape == (160, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    assert model.classes_.tolist() == ["high", "low", "mid"]
    assert (model.predict(X) == y).mean() > 0.5
    link = model.program_.ops[-1]
    assert isinstance(link, Link)
    assert link.kind == "softmax"


def test_log_probabilities_are_logarithms_of_probabilities() -> None:
    model, frame = fitted(BinaryClassifier), table()[0]
    np.testing.assert_array_equal(
        model.predict_log_proba(frame), np.log(model.predict_proba(frame))
    )


def test_a_regressor_moves_and_stretches_with_its_target() -> None:
    X, _, target = numbers()
    plain, moved = (regressor().fit(X, t).predict(X) for t in (target, 1000 + 50 * target))
    assert np.corrcoef(plain, moved)[0, 1] > 0.999
    np.testing.assert_allclose(1000 + 50 * plain, moved, atol=15)


def test_a_constant_target_is_answered_with_that_constant() -> None:
    X = numbers()[0]
    np.testing.assert_allclose(regressor().fit(X, np.full(160, 7.5)).predict(X), 7.5, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1e-6, 1e6, 1e35])
def test_numbers_and_targets_of_any_size_are_learned(size: float) -> None:
    X, _, target = numbers()
    model = regressor().fit(X * np.float32(size), target * size)
    assert np.corrcoef(model.predict(X * np.float32(size)) / size, target)[0, 1] > 0.6


# --- parts, teachers, calibration


@BOTH
@pytest.mark.parametrize(
    "parts",
    [
        {"linear": False},
        {"max_rules": 0},
        {"n_members": 0},
        {"n_members": 0, "hidden": ()},
        {"linear": False, "max_rules": 0},
        {"linear": False, "n_members": 0},
        {"max_rules": 0, "n_members": 0},
    ],
    ids=str,
)
def test_any_part_may_be_left_out(kind: type[Any], parts: dict[str, Any]) -> None:
    model = kind(**{**CHEAP, **parts}).fit(table()[0], y_of(kind))
    names = {"linear": "linear", "max_rules": "rules", "n_members": "members"}
    left_out = {names[p] for p, value in parts.items() if not value and p in names}
    assert set(model.report_.weights) == {"linear", "rules", "members"} - left_out
    kinds = {type(op) for op in model.program_.ops}
    assert not ("rules" in left_out and Rules in kinds)
    assert not ("members" in left_out and Dense in kinds)
    assert np.isfinite(answers(model, table()[0])).all()


@BOTH
def test_a_part_of_weight_zero_is_not_in_the_program(kind: type[Any]) -> None:
    model = fitted(kind)
    kinds = {type(op) for op in model.program_.ops}
    assert (Dense in kinds) == (model.report_.weights["members"] > 0)
    assert model.report_.weights["rules"] > 0 or Rules not in kinds


@BOTH
@pytest.mark.parametrize("teacher", [None, "auto"])
def test_fidelity_is_reported_where_there_is_a_teacher(kind: type[Any], teacher: Any) -> None:
    model = kind(**{**CHEAP, "teacher": teacher}).fit(table()[0], y_of(kind))
    assert (model.report_.fidelity is None) == (teacher is None)
    assert teacher is None or model.report_.fidelity <= 1


def test_a_fitted_model_may_teach() -> None:
    X, labels, target = numbers(300)
    logistic = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[:100], labels[:100])
    model = classifier(teacher=logistic, distil=1.0).fit(X[100:], labels[100:])
    assert model.report_.fidelity > 0.5
    line = LinearRegression().fit(X[:100], target[:100])
    pupil = regressor(teacher=line, distil=1.0).fit(X[100:], target[100:])
    assert pupil.report_.fidelity > 0.5
    by_itself = regressor(teacher=None).fit(X[100:], target[100:])
    assert pupil.program_.id != by_itself.program_.id


def test_a_teacher_of_several_classes_teaches_all_of_them() -> None:
    X, _, target = numbers(300)
    y = np.digitize(target, [-1, 1])
    teacher = LogisticRegression().fit(X[:100], y[:100])
    assert classifier(teacher=teacher).fit(X[100:], y[100:]).report_.fidelity > 0


def test_a_teacher_is_asked_about_the_rows_that_count_only() -> None:
    X, labels, _ = numbers()
    teacher = LogisticRegression().fit(X, labels)
    weight = (np.arange(160) % 3 > 0).astype(float)
    weighted = classifier(teacher=teacher).fit(X, labels, weight)
    removed = classifier(teacher=teacher).fit(X[weight > 0], labels[weight > 0])
    assert weighted.program_.id == removed.program_.id
    three = np.where(np.arange(160) % 4 == 0, 2, labels)
    by_class = classifier(teacher=teacher, class_weight={0: 1, 1: 1, 2: 0}).fit(X, three)
    keep = three < 2
    assert by_class.program_.id == classifier(teacher=teacher).fit(X[keep], three[keep]).program_.id


@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic"])
def test_probabilities_are_calibrated_on_the_whole(calibration: str) -> None:
    X, labels, _ = numbers(500)
    proba = classifier(calibration=calibration).fit(X, labels).predict_proba(X)
    assert proba.min() >= 0
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    assert proba[:, 1].mean() == pytest.approx(labels.mean(), abs=0.05)


def test_isotonic_calibration_keeps_the_order_of_scores() -> None:
    X, labels, _ = numbers(500)
    sigmoid, isotonic = (
        classifier(calibration=c).fit(X, labels).predict_proba(X)[:, 1]
        for c in ("sigmoid", "isotonic")
    )
    order = np.argsort(sigmoid, kind="stable")
    assert (np.diff(isotonic[order]) >= 0).all()
    assert len(np.unique(isotonic)) < len(np.unique(sigmoid))


@BOTH
def test_the_report_says_what_was_done(kind: type[Any]) -> None:
    report = fitted(kind).report_
    assert isinstance(report, FitReport)
    assert set(report.losses) == {"linear", "rules", "members", "stacked"}
    assert report.losses["stacked"] <= min(report.losses.values()) + 0.01
    assert set(report.weights) == {"linear", "rules", "members"}
    assert {"penalty", "growth", "n_trees", "n_epochs"} <= set(report.choices)
    assert not report.was_interrupted
    assert report.seconds > 0
    assert len(fitted(kind).history_) >= CHEAP["n_folds"]
    provenance = fitted(kind).program_.provenance
    assert provenance["n_rows"] == 160
    assert provenance["parameters"]["max_rules"] == 40


def test_no_golden_row_is_a_row_of_the_training_table() -> None:
    X, labels, _ = numbers()
    golden = classifier().fit(X, labels).program_.golden_x
    assert len(golden) > 0
    assert not (golden[:, None] == X[None]).all(axis=2).any()


def test_progress_is_shown_where_the_user_asks(capsys: pytest.CaptureFixture[str]) -> None:
    classifier(verbose=True).fit(*numbers()[:2])
    shown = capsys.readouterr()
    assert "done" in shown.err
    assert shown.out == ""
    classifier().fit(*numbers()[:2])
    assert capsys.readouterr() == ("", "")


# --- few rows, odd columns


@BOTH
@pytest.mark.parametrize("n_rows", [2, 3, 5, 19, 20, 21, 30])
def test_a_handful_of_rows_still_makes_a_model(kind: type[Any], n_rows: int) -> None:
    X = numbers()[0][:n_rows]
    y = np.arange(n_rows) % 2 if kind is BinaryClassifier else numbers()[2][:n_rows]
    model = kind(**{**CHEAP, "n_folds": 3}).fit(X, y)
    assert np.isfinite(answers(model, X)).all()
    Engine(model.program_).self_test()


def test_more_folds_than_rows_are_fewer_folds() -> None:
    X, labels, target = numbers()
    assert np.isfinite(regressor(**PLAIN, n_folds=30).fit(X[:22], target[:22]).predict(X)).all()
    assert np.isfinite(
        classifier(**PLAIN, n_folds=30).fit(X[:22], labels[:22]).predict_proba(X)
    ).all()


@pytest.mark.parametrize("n_rare", [1, 2, 3])
def test_a_class_of_hardly_any_rows_is_still_a_class(n_rare: int) -> None:
    X, labels, _ = numbers()
    for y in (labels.copy(), labels * 0):
        y[:n_rare] = 2
        model = classifier(**PLAIN, n_folds=3).fit(X, y)
        assert model.classes_.tolist() == sorted({*y.tolist()})
        assert np.isfinite(model.predict_proba(X)).all()


@BOTH
def test_a_column_that_hardly_ever_varies_does_no_harm(kind: type[Any]) -> None:
    X, y = np.zeros((40, 1)), np.arange(40) % 2
    X[7] = 1  # the folds that leave this row out see nothing vary
    model = kind(**{**CHEAP, "n_folds": 5}).fit(X, y)
    assert np.isfinite(answers(model, X)).all()


def test_a_column_that_is_missing_or_not_is_enough() -> None:
    X = np.where(np.arange(60)[:, None] % 3 == 0, np.nan, 1.0)
    y = (np.arange(60) % 3 == 0).astype(int)
    assert classifier().fit(X, y).score(X, y) == 1


def test_a_column_of_one_value_and_gaps_may_stand_beside_others() -> None:
    X = np.c_[numbers()[0], np.where(np.arange(160) % 3 == 0, np.nan, 1.0)]
    y = (np.arange(160) % 3 == 0).astype(int)
    assert classifier().fit(X, y).score(X, y) == 1


def test_the_rules_keep_within_the_bytes_allowed() -> None:
    frame, labels, _ = table()
    small = classifier(max_bytes=9_000, n_members=0, max_rules=500, linear=False).fit(frame, labels)
    large = classifier(n_members=0, max_rules=500, linear=False).fit(frame, labels)
    assert small.program_.cost().bytes <= min(9_000, large.program_.cost().bytes)
    constant = regressor(max_bytes=1, linear=False, n_members=0).fit(frame, np.ones(160))
    assert (constant.predict(frame) == 1).all()


# --- scikit-learn's manners


@BOTH
def test_a_clone_has_the_parameters_and_not_the_fit(kind: type[Any]) -> None:
    copy = clone(fitted(kind))
    pairs = (model.get_params() | {"encoder": None} for model in (copy, fitted(kind)))
    assert next(pairs) == next(pairs)
    with pytest.raises(NotFittedError):
        copy.predict(table()[0])
    assert copy.fit(table()[0], y_of(kind)).program_.id == fitted(kind).program_.id


def test_parameters_reach_down_to_the_encoder() -> None:
    model = classifier(encoder=QuantileEncoder(max_bits_per_column=3))
    model.set_params(encoder__max_bits_per_column=2, n_members=0)
    assert model.get_params()["encoder__max_bits_per_column"] == 2
    X, labels, _ = numbers()
    assert model.fit(X, labels).encoder_.n_bits_ == 6


def test_fitting_leaves_the_users_encoder_as_it_was() -> None:
    encoder = TreeEncoder(task="regression")
    model = classifier(encoder=encoder).fit(*numbers()[:2])
    assert model.encoder is encoder
    assert encoder.task == "regression"
    assert not hasattr(encoder, "op_")
    assert hasattr(model.encoder_, "op_")


@BOTH
def test_pickling_keeps_the_answers(kind: type[Any]) -> None:
    model = fitted(kind)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.program_.id == model.program_.id
    assert copy.report_ == model.report_
    np.testing.assert_array_equal(answers(copy, table()[0]), answers(model, table()[0]))


def test_it_works_inside_pipelines_searches_and_cross_validation() -> None:
    X, labels, target = numbers()
    pipeline = make_pipeline(StandardScaler(), classifier(**PLAIN))
    assert (cross_val_score(pipeline, X, labels, cv=2, scoring="roc_auc") > 0.5).all()
    assert np.isfinite(cross_val_score(regressor(**PLAIN), X, target, cv=2)).all()
    search = GridSearchCV(classifier(), {"n_members": [0, 1]}, cv=2).fit(X, labels)
    assert search.best_params_["n_members"] in (0, 1)
    assert isinstance(search.best_estimator_.program_, Program)


def test_the_names_of_columns_are_remembered() -> None:
    model = fitted(BinaryClassifier)
    assert model.feature_names_in_.tolist() == ["age", "income", "home"]
    assert model.n_features_in_ == 3
    assert [c.name for c in model.program_.columns] == ["age", "income", "home"]
    assert any(name.startswith("home == ") for name in model.encoder_.bit_names_)


# --- what does not fit


@BOTH
@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((0, 3)), DataError, "0 sample"),
        (np.zeros((160, 0)), DataError, r"0 feature\(s\)"),
        (np.zeros(160), DataError, "Reshape your data"),
        (np.ones((160, 3)), DataError, "no column varies"),
        (pd.DataFrame({"a": np.arange(160.0), "b": np.inf}), NotFiniteError, r"column \[b\]"),
        (np.full((160, 2), -np.inf), NotFiniteError, r"columns \[x0, x1\]"),
        (pd.DataFrame({"a": np.arange(160.0), "gap": np.nan}), DataError, r"missing in \[gap\]"),
        (pd.DataFrame({"a": pd.date_range("2020", periods=160)}), ColumnError, "dates"),
        (pd.DataFrame({"a": ["x", 1] * 80}), ColumnError, "mixes text such as 'x' with numbers"),
        (pd.DataFrame({"a": []}), DataError, "at least one row|0 sample"),
        (pd.DataFrame(index=range(160)), DataError, "without columns|0 feature"),
        (np.full((160, 1), 1e300), NotFiniteError, "too large for float32"),
        (np.ones((7, 2)), DataError, "inconsistent numbers of samples"),
        (np.ones((160, 2)) * 1j, ColumnError, "Complex data"),
        (None, DataError, "table"),
        ("customers.csv", DataError, "table"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_named(
    kind: type[Any], X: Any, error: type[Exception], message: str
) -> None:
    y = np.arange(160 if X is None or len(X) else 0) % 2
    with pytest.raises(error, match=message) as caught:
        kind(**CHEAP).fit(X, y)
    assert isinstance(caught.value, BimetalError)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(160), r"two classes or more, got one class: \[1.0\]"),
        (["good"] * 160, r"got one class: \['good'\]"),
        (None, "requires y to be passed"),
        (np.where(np.arange(160) == 3, np.nan, 1.0), "NaN"),
        (np.linspace(0.1, 0.9, 160), "Unknown label type"),
        (np.ones((160, 2)), "1d array"),
        (np.ones(159), "inconsistent numbers of samples"),
    ],
)
def test_labels_that_cannot_be_learned_are_named(y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        classifier().fit(numbers()[0], y)


def test_one_class_left_by_the_weights_is_one_class() -> None:
    X, labels, _ = numbers()
    with pytest.raises(DataError, match=r"one class: \[1\]"):
        classifier().fit(X, labels, labels.astype(float))


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, DataError, "requires y to be passed"),
        (np.where(np.arange(160) == 3, np.inf, 1.0), DataError, "infinity"),
        (np.where(np.arange(160) == 3, 1e39, 1.0), NotFiniteError, "float32, which ends at 3.4e38"),
        (["a"] * 160, DataError, "string to float"),
        (np.ones((160, 2)), DataError, "1d array"),
    ],
)
def test_targets_that_cannot_be_learned_are_named(
    y: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        regressor().fit(numbers()[0], y)


@BOTH
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(160), "every row has weight zero"),
        (np.full(160, -1.0), "sample_weight must be finite, 0 or more"),
        (np.full(160, np.nan), "sample_weight must be finite"),
        (np.ones(3), "sample_weight needs 160 numbers"),
        (np.ones((160, 2)), "sample_weight needs 160 numbers"),
    ],
)
def test_weights_that_make_no_sense_are_named(kind: type[Any], weight: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        kind(**CHEAP).fit(numbers()[0], numbers()[1], weight)


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"linear": False, "max_rules": 0, "n_members": 0}, "a model needs a part"),
        ({"teacher": "oracle"}, "teacher must be 'auto', None or a fitted .*, got 'oracle'"),
        ({"teacher": 7}, "teacher must be 'auto', None or a fitted estimator with .*, got 7"),
        ({"n_folds": 1}, "n_folds must be at least 2, got 1"),
        ({"distil": 1.5}, r"distil must lie in \[0, 1\], got 1.5"),
        ({"n_members": -1}, "n_members must be at least 0, got -1"),
        ({"max_rules": -1}, "max_rules must be at least 0, got -1"),
        ({"hidden": ()}, r"hidden must name a positive size .*, got \(\); n_members=0"),
        ({"hidden": (8, 0)}, "hidden must name a positive size"),
        ({"surrogate": "no"}, "surrogate must be one of"),
        ({"max_epochs": 0}, "max_epochs must be at least 1"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"learning_rate": -1.0}, "learning_rate must be 0 or more"),
        ({"encoder": TreeEncoder(categorical=["nope"])}, r"categorical names \[nope\]"),
        ({"encoder": QuantileEncoder(special_codes={"pay": [1]})}, r"special_codes names \[pay\]"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_named(
    kind: type[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        kind(**{**CHEAP, **options}).fit(numbers()[0], numbers()[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration": "platt"}, "calibration must be 'sigmoid' or 'isotonic', got 'platt'"),
        ({"calibration": "isotonic"}, "isotonic calibration is for two classes, got 3"),
    ],
)
def test_a_calibration_that_does_not_fit_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        classifier(**options).fit(numbers()[0], np.arange(160) % 3)


def test_a_teacher_of_other_classes_is_refused() -> None:
    X, labels, _ = numbers()
    teacher = DummyClassifier().fit(X, np.array(["a", "b"])[labels])
    with pytest.raises(DataError, match=r"teacher knows classes \[.*a.*b.*\], y has \[.*0.*1.*\]"):
        classifier(teacher=teacher).fit(X, labels)


def test_a_teacher_whose_answers_are_no_numbers_is_refused() -> None:
    class Silent(DummyClassifier):  # type: ignore[misc]
        def predict_proba(self, X: Any) -> Any:
            return np.full((len(X), 2), np.nan)

    X, labels, _ = numbers()
    with pytest.raises(DataError, match="teacher's predict_proba must give finite numbers"):
        classifier(teacher=Silent().fit(X, labels)).fit(X, labels)


@BOTH
def test_a_table_that_does_not_fit_the_model_is_named(kind: type[Any]) -> None:
    model, frame = fitted(kind), table()[0]
    for wrong, error, message in (
        (frame.drop(columns="age"), DataError, "age"),
        (frame.rename(columns={"age": "ages"}), DataError, "age"),
        (frame.assign(age=np.inf), NotFiniteError, "age"),
        (
            frame.assign(age=np.nan),
            MissingValueError,
            r"no missing value in training in column \[age\]",
        ),
        (frame.assign(age="old"), ColumnError, "age"),
        (frame.assign(home=3.5), ColumnError, "home"),
    ):
        with pytest.raises(error, match=message):
            model.predict(wrong)
    assert np.isfinite(answers(model, frame.assign(income=np.nan, home="castle"))).all()


def test_an_array_of_another_width_is_refused() -> None:
    model = classifier().fit(*numbers()[:2])
    with pytest.raises(DataError, match="2 features, but BinaryClassifier is expecting 3"):
        model.predict(numbers()[0][:, :2])


def test_missing_numbers_in_an_array_need_a_missing_bit() -> None:
    X, labels, _ = numbers()
    gap = np.where(np.arange(160)[:, None] == 5, np.nan, X)
    with pytest.raises(MissingValueError, match="x0, x1, x2"):
        classifier().fit(X, labels).predict(gap)
    always = classifier(encoder=TreeEncoder(missing="always")).fit(X, labels)
    assert np.isfinite(always.predict_proba(gap)).all()


@BOTH
def test_an_unfitted_model_says_so(kind: type[Any]) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        kind().predict(table()[0])


# --- Ctrl-C and other accidents


@pytest.fixture
def at_step(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[int, type[BaseException]], None]]:
    """Raise an error at a step of the members' training."""
    module = sys.modules["bimetal.nn.train"]
    clip = module.clip_latent

    def arm(step: int, error: type[BaseException]) -> None:
        steps = iter(range(1, 1_000_000))

        def hook(model: Any) -> None:
            clip(model)
            if next(steps) == step:
                raise error("stop")

        monkeypatch.setattr(module, "clip_latent", hook)

    yield arm


def steps_of_a_fit(arm: Any) -> int:
    """Count the steps of the members in a fit that nothing interrupts."""
    module, count = sys.modules["bimetal.nn.train"], [0]
    arm(-1, KeyboardInterrupt)
    inner = module.clip_latent  # type: ignore[attr-defined]

    def counting(model: Any) -> None:
        count[0] += 1
        inner(model)

    module.clip_latent = counting  # type: ignore[attr-defined]
    classifier(max_rules=0).fit(*numbers()[:2])
    return count[0]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.99])
def test_ctrl_c_at_any_time_leaves_a_usable_model(at_step: Any, share: float) -> None:
    n_steps = steps_of_a_fit(at_step)
    at_step(max(1, int(share * n_steps)), KeyboardInterrupt)
    X, labels, _ = numbers()
    model = classifier().fit(X, labels)
    assert model.report_.was_interrupted
    Engine(model.program_).self_test()
    assert roc_auc_score(labels, model.predict_proba(X)[:, 1]) > 0.6


@pytest.mark.parametrize(
    "options", [{"max_rules": 0, "linear": False}, {"calibration": "isotonic"}], ids=str
)
def test_ctrl_c_at_the_first_step_is_survived_by_every_recipe(
    at_step: Any, options: dict[str, Any]
) -> None:
    at_step(1, KeyboardInterrupt)
    X, labels, _ = numbers()
    model = classifier(**options).fit(X, labels)
    assert model.report_.was_interrupted
    assert np.isfinite(model.predict_proba(X)).all()


def test_ctrl_c_of_a_regressor_leaves_a_usable_model(at_step: Any) -> None:
    at_step(1, KeyboardInterrupt)
    X, _, target = numbers()
    model = regressor().fit(X, target)
    assert model.report_.was_interrupted
    assert model.score(X, target) > 0.3


def test_an_error_while_training_leaves_no_half_fitted_model(at_step: Any) -> None:
    at_step(3, TrainingError)
    model = classifier()
    with pytest.raises(TrainingError):
        model.fit(*numbers()[:2])
    assert not hasattr(model, "program_")
