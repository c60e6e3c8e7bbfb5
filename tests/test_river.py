"""`RiverClassifier` in river's manners: river's own checks, pipelines, delayed answers."""

import subprocess
import sys
from typing import Any

import pandas as pd
import pytest
from river import checks, datasets, evaluate, metrics, preprocessing

from bimetal import reference
from bimetal.continual.stream.river import RiverClassifier
from bimetal.errors import ColumnError, DataError

SMALL: dict[str, Any] = {"hidden": (16,), "warm_up": 20, "batch_size": 8, "seed": 0}


def each_check() -> list[Any]:
    model = RiverClassifier(**SMALL | {"seed": None})
    return [pytest.param(check, id=check.__name__) for check in checks.yield_checks(model)]


@pytest.mark.parametrize("check", each_check())
def test_river_finds_nothing_wrong(check: Any) -> None:
    check(RiverClassifier(**SMALL | {"seed": None}))


def test_no_check_of_river_is_skipped() -> None:
    assert RiverClassifier()._unit_test_skips() == set()
    assert len(each_check()) > 40


@pytest.mark.parametrize("delay", [None, 20])
def test_a_progressive_evaluation_with_and_without_delay(delay: int | None) -> None:
    model = RiverClassifier((32,), warm_up=100, batch_size=16, seed=0)
    found = evaluate.progressive_val_score(
        datasets.Phishing(), model, metrics.Accuracy(), delay=delay
    )
    assert found.get() > 0.75


def test_in_a_pipeline() -> None:
    pipeline = preprocessing.StandardScaler() | RiverClassifier(**SMALL)
    for x, y in datasets.Phishing().take(100):
        pipeline.predict_one(x)
        pipeline.learn_one(x, y)
    assert set(pipeline.predict_proba_one(x)) == {False, True}


def test_answers_are_those_of_the_program() -> None:
    model = RiverClassifier(**SMALL)
    assert model.predict_proba_one({"a": 1.0}) == {} and model.predict_one({}) is None
    rows = list(datasets.ImageSegments().take(120))
    for x, y in rows:
        model.learn_one(x, y)
    program = model.model.program_
    raw = pd.DataFrame([x for x, _ in rows])[[c.name for c in program.columns]]
    answers = reference.run(program, raw.to_numpy("f4")).astype(float)
    for (x, _), row in zip(rows, answers, strict=True):
        one = model.predict_proba_one(x)
        assert list(one) == list(program.classes)
        assert list(one.values()) == (row / sum(row.tolist())).tolist()


def test_features_that_are_no_text_and_features_of_text() -> None:
    model = RiverClassifier(**SMALL)
    for i in range(60):
        model.learn_one({0: i % 7, "colour": "red" if i % 2 else "blue", "gone": None}, i % 2)
    assert [c.name for c in model.model.program_.columns] == ["0", "colour"]
    assert model.predict_one({0: 3, "colour": "red"}) == 1
    assert model.predict_one({"colour": "green", "new": 1.0}) in (0, 1)
    with pytest.raises(ColumnError):
        model.learn_one({0: "text"}, 1)
    with pytest.raises(DataError, match="class"):
        model.learn_one({0: 1.0}, None)


def test_a_row_of_weight_zero_is_not_there() -> None:
    one, other = RiverClassifier(**SMALL), RiverClassifier(**SMALL)
    for i in range(50):
        one.learn_one({"x": float(i)}, i % 2)
        other.learn_one({"x": float(i)}, i % 2)
        other.learn_one({"x": -1.0}, 1, w=0.0)
    assert one.model.get_state() == other.model.get_state()


def test_without_river_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['river'] = None\n"
        "from bimetal.errors import MissingExtraError\n"
        "try: import bimetal.continual.stream.river\n"
        "except MissingExtraError as error: sys.exit(str(error))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'bimetal[stream]'" in done.stderr
