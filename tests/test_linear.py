"""The linear part against scikit-learn's: the same penalty, the same coefficients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge

from bimetal.estimators.linear import PENALTIES, linear_part, linear_path, linear_scores
from bimetal.estimators.tasks import Floats, Task

BINARY, REGRESSION = Task("binary", 1), Task("regression", 1)
SEEDS = given(seed=st.integers(0, 2**32 - 1))
LAW = settings(max_examples=15, deadline=None)

Case = tuple[NDArray[np.bool_], Floats, Floats, Floats]


def case(seed: int, n_rows: int = 120, n_bits: int = 7) -> Case:
    """Draw bits, labels, numbers and whole weights from 1 to 3."""
    rng = np.random.default_rng(seed)
    bits = rng.random((n_rows, n_bits)) < rng.uniform(0.2, 0.8, n_bits)
    scores = bits @ rng.normal(0, 1.5, n_bits) - 0.5
    labels = (rng.random(n_rows) < expit(scores)).astype(float)
    labels[:2] = 0, 1
    numbers = scores + rng.normal(size=n_rows)
    return bits, labels[:, None], numbers[:, None], rng.integers(1, 4, n_rows).astype(float)


@LAW
@SEEDS
@pytest.mark.parametrize("penalty", [30.0, 1.0, 0.3])
def test_two_classes_give_the_coefficients_of_logistic_regression(
    penalty: float, seed: int
) -> None:
    bits, labels, _, weight = case(seed)
    (found,) = linear_path(bits, labels, weight, BINARY, [penalty])
    other = LogisticRegression(C=1 / penalty, tol=1e-9, max_iter=2000)
    other.fit(bits.astype(float), labels[:, 0], weight)
    np.testing.assert_allclose(found, np.c_[other.coef_, other.intercept_], atol=3e-3)


@LAW
@SEEDS
@pytest.mark.parametrize("penalty", [30.0, 1.0, 0.3])
def test_a_number_gives_the_coefficients_of_ridge(penalty: float, seed: int) -> None:
    bits, _, numbers, weight = case(seed)
    (found,) = linear_path(bits, numbers, weight, REGRESSION, [penalty])
    other = Ridge(alpha=penalty).fit(bits.astype(float), numbers[:, 0], weight)
    np.testing.assert_allclose(found, [np.r_[other.coef_, other.intercept_]], atol=1e-4)


@LAW
@SEEDS
@pytest.mark.parametrize("task", [BINARY, REGRESSION], ids=lambda task: task.kind)
def test_a_weight_of_two_is_the_row_twice(task: Task, seed: int) -> None:
    bits, labels, numbers, weight = case(seed)
    targets = labels if task is BINARY else numbers
    twice = np.repeat(np.arange(len(bits)), weight.astype(int))
    weighted = linear_path(bits, targets, weight, task)
    repeated = linear_path(bits[twice], targets[twice], np.ones(len(twice)), task)
    for a, b in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


@LAW
@SEEDS
def test_soft_targets_end_where_the_gradient_is_zero(seed: int) -> None:
    bits, labels, _, weight = case(seed)
    soft = 0.3 * labels + 0.35
    for penalty, w in zip(PENALTIES, linear_path(bits, soft, weight, BINARY), strict=True):
        x = np.c_[bits.astype(float), np.ones(len(bits))]
        pull = penalty * np.r_[w[0, :-1], 0.0]
        gradient = x.T @ (weight * (expit(x @ w[0]) - soft[:, 0])) + pull
        assert np.abs(gradient).max() < 1e-3 * weight.sum()


def test_a_path_has_one_fit_a_penalty_and_each_equals_a_fit_alone() -> None:
    bits, labels, _, weight = case(3)
    path = linear_path(bits, labels, weight, BINARY)
    assert len(path) == len(PENALTIES)
    assert list(PENALTIES) == sorted(PENALTIES, reverse=True), (
        "from strong to weak, each start warm"
    )
    for penalty, found in zip(PENALTIES, path, strict=True):
        (alone,) = linear_path(bits, labels, weight, BINARY, [penalty])
        np.testing.assert_allclose(found, alone, atol=3e-3)


def test_a_stronger_penalty_never_gives_larger_coefficients() -> None:
    bits, labels, numbers, weight = case(4)
    for task, targets in ((BINARY, labels), (REGRESSION, numbers)):
        sizes = [float((w[:, :-1] ** 2).sum()) for w in linear_path(bits, targets, weight, task)]
        assert sizes == sorted(sizes)


def test_several_classes_are_fitted_one_against_the_rest() -> None:
    bits, _, numbers, weight = case(5)
    classes = np.eye(3)[np.digitize(numbers[:, 0], np.quantile(numbers, [0.3, 0.7]))]
    together = linear_path(bits, classes, weight, Task("multiclass", 3))[2]
    for c in range(3):
        alone = linear_path(bits, classes[:, [c]], weight, BINARY)[2]
        np.testing.assert_allclose(together[[c]], alone)


def test_classes_that_separate_give_finite_coefficients() -> None:
    bits = np.arange(40)[:, None] >= np.array([[10, 20, 30]])
    path = linear_path(bits, bits[:, 1:2].astype(float), np.ones(40), BINARY)
    assert all(np.isfinite(w).all() for w in path)
    assert ((linear_scores(path[-1], bits) > 0) == bits[:, 1:2]).all()


def test_one_class_alone_gives_a_finite_intercept() -> None:
    bits, labels, _, weight = case(6)
    path = linear_path(bits, labels * 0, weight, BINARY)
    assert all(np.isfinite(w).all() and (linear_scores(w, bits) < -3).all() for w in path)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e8])
@pytest.mark.parametrize("task", [BINARY, REGRESSION], ids=lambda task: task.kind)
def test_bits_that_repeat_each_other_and_weights_of_any_size_are_solved(
    task: Task, size: float
) -> None:
    bits, labels, numbers, weight = case(7, n_rows=2000)
    bits = np.c_[bits, bits, ~bits, np.ones((2000, 2), bool), np.zeros((2000, 2), bool)]
    targets = labels if task is BINARY else numbers
    for w in linear_path(bits, targets, weight * size, task):
        assert np.isfinite(w).all()
        spread = linear_scores(w, bits)
        assert size < 1 or np.corrcoef(spread[:, 0], targets[:, 0])[0, 1] > 0.3


def test_the_part_carries_the_scores() -> None:
    bits, labels, _, weight = case(8)
    w = linear_path(bits, labels, weight, BINARY)[0]
    part = linear_part(w)
    assert (part.name, part.ops, part.hidden.shape) == ("linear", (), (1, 0))
    np.testing.assert_array_equal(bits @ part.direct.T + part.bias, linear_scores(w, bits))
