"""scikit-learn's own checks of an estimator: every one of them, and a handful with the defaults."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from bimetal.continual.stream.classifier import ContinualClassifier
from bimetal.encoders import TreeEncoder
from bimetal.estimators import BinaryClassifier, BinaryRegressor, recipe
from bimetal.estimators.trees import GROWTHS
from bimetal.finance.credit.scorecard import BinaryScorecard

CHEAP: dict[str, Any] = {
    "n_members": 1,
    "hidden": (4,),
    "max_rules": 30,
    "max_epochs": 1,
    "n_folds": 2,
    "random_state": 0,
    "encoder": TreeEncoder(n_trees=8),
}

FOLDS = (
    "Rows are dealt to folds: a row given twice may lie in two of them, a row of weight 2 only in "
    "one. scikit-learn says the same of its own cross-validated estimators. (Weight 0 is exactly "
    "a row removed: tests/test_estimators.py.)"
)
MINI_BATCHES = (
    "Rows are learned in mini-batches of so many rows: a row given twice fills two places of one, a "
    "row of weight 2 one. (Weight 0 is exactly a row removed: tests/test_continual_classifier.py.)"
)
CARD: dict[str, Any] = {
    "max_rules": 30, "max_forests": 1, "n_folds": 2, "trends": None, "random_state": 0,
    "encoder": TreeEncoder(n_trees=8),
}  # fmt: skip
STREAM: dict[str, Any] = {"hidden": (64, 64), "warm_up": 20, "batch_size": 16, "random_state": 0}


def expected_to_fail(estimator: Any) -> dict[str, str]:
    why = MINI_BATCHES if isinstance(estimator, ContinualClassifier) else FOLDS
    return {"check_sample_weight_equivalence_on_dense_data": why}


@parametrize_with_checks(
    [
        BinaryClassifier(**CHEAP),
        BinaryRegressor(**CHEAP),
        BinaryScorecard(**CARD),
        ContinualClassifier(**STREAM),
    ],
    expected_failed_checks=expected_to_fail,
)
def test_scikit_learn_finds_nothing_wrong(
    estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "GROWTHS", GROWTHS[:1])  # cheap, as the parameters above
    check(estimator)


WITH_DEFAULTS = {
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_param",
    "check_estimator_repr",
    "check_estimator_cloneable",
    "check_valid_tag_types",
    "check_fit2d_1sample",
    "check_classifiers_one_label",
    "check_estimators_fit_returns_self",
}


def checks_with_defaults() -> list[Any]:
    from sklearn.utils.estimator_checks import estimator_checks_generator

    found = []
    for estimator in (BinaryClassifier(), BinaryRegressor(), ContinualClassifier()):
        for each, check in estimator_checks_generator(estimator):
            name = check.func.__name__
            if name in WITH_DEFAULTS:
                found.append(pytest.param(each, check, id=f"{type(estimator).__name__}-{name}"))
    return found


@pytest.mark.parametrize(("estimator", "check"), checks_with_defaults())
def test_the_defaults_pass_too(estimator: Any, check: Any) -> None:
    check(estimator)
