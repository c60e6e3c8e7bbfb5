"""Stacking: parts are weighed by what they add on rows they have not seen, and never below zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimetal.estimators.stacking import stack
from bimetal.estimators.tasks import Floats, Task, mean_loss, probabilities

TASKS = [Task("binary", 1), Task("multiclass", 3), Task("regression", 1)]
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
LAW = settings(max_examples=20, deadline=None)
SEEDS = given(seed=st.integers(0, 2**32 - 1))

N_ROWS = 400


def draw(seed: int, task: Task, n_parts: int) -> tuple[list[Floats], Floats]:
    rng = np.random.default_rng(seed)
    scores = [rng.normal(0, 1.5, (N_ROWS, task.n_outputs)) for _ in range(n_parts)]
    return scores, rng.gamma(1.0, 1.0, N_ROWS) + 0.01


def mix(weights: Floats, scores: list[Floats], intercept: Floats | float = 0.0) -> Floats:
    return np.tensordot(weights, np.stack(scores), axes=1) + intercept


@each_task
@LAW
@SEEDS
def test_a_known_mixture_is_found_again(task: Task, seed: int) -> None:
    scores, weight = draw(seed, task, 3)
    true, shift = np.array([0.7, 0.0, 0.4]), np.linspace(-0.3, 0.3, task.n_outputs)
    targets = probabilities(task, mix(true, scores, shift))
    weights, intercept = stack(scores, targets, weight, task)
    np.testing.assert_allclose(weights, true, atol=0.03)
    assert weights[1] == 0
    assert intercept.shape == (task.n_outputs,)
    np.testing.assert_allclose(intercept - intercept.mean(), shift - shift.mean(), atol=0.05)


@each_task
@LAW
@SEEDS
def test_weights_are_never_negative_and_a_part_that_misleads_gets_none(
    task: Task, seed: int
) -> None:
    scores, weight = draw(seed, task, 2)
    targets = probabilities(task, 1.3 * scores[0])
    weights, _ = stack([scores[0], -scores[0] + 0.3 * scores[1]], targets, weight, task)
    assert weights[0] > 0
    assert weights[1] == 0


@each_task
def test_a_part_of_noise_gets_exactly_nothing(task: Task) -> None:
    scores, weight = draw(1, task, 2)
    rng = np.random.default_rng(2)
    targets = probabilities(task, scores[0])
    weights, _ = stack([scores[0], 5 * rng.normal(size=scores[1].shape)], targets, weight, task)
    assert weights[1] == 0
    assert weights[0] == pytest.approx(1, abs=0.02)


@each_task
@LAW
@SEEDS
def test_the_whole_is_no_worse_than_any_part(task: Task, seed: int) -> None:
    scores, weight = draw(seed, task, 3)
    rng = np.random.default_rng(seed)
    noisy = scores[0] + rng.normal(0, 1, scores[0].shape)
    targets = probabilities(task, noisy)
    weights, intercept = stack(scores, targets, weight, task)
    whole = mean_loss(task, mix(weights, scores, intercept), targets, weight)
    assert all(whole <= mean_loss(task, s, targets, weight) + 0.01 for s in scores)


@each_task
def test_the_order_of_parts_does_not_matter(task: Task) -> None:
    scores, weight = draw(3, task, 3)
    targets = probabilities(task, mix(np.array([0.5, 0.3, 0.2]), scores))
    forward, shift = stack(scores, targets, weight, task)
    backward, same_shift = stack(scores[::-1], targets, weight, task)
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-3)
    np.testing.assert_allclose(shift, same_shift, atol=1e-3)


@each_task
def test_rows_of_weight_zero_do_not_count_and_the_size_of_weights_does_not_matter(
    task: Task,
) -> None:
    scores, weight = draw(4, task, 2)
    targets = probabilities(task, mix(np.array([0.8, 0.3]), scores))
    odd = np.arange(N_ROWS) % 2 == 1
    targets[odd] = targets[odd][::-1]  # nonsense, but of no weight
    whole = stack(scores, targets, np.where(odd, 0.0, 1e6 * weight), task)
    half = stack([s[~odd] for s in scores], targets[~odd], weight[~odd], task)
    for a, b in zip(whole, half, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_equal_parts_share_the_weight() -> None:
    (scores,), weight = draw(5, TASKS[0], 1)
    weights, _ = stack([scores] * 4, probabilities(TASKS[0], scores), weight, TASKS[0])
    np.testing.assert_allclose(weights, 0.25, atol=1e-2)


@each_task
def test_one_part_alone_is_kept_even_if_useless(task: Task) -> None:
    scores, weight = draw(6, task, 2)
    targets = probabilities(task, scores[1])
    weights, intercept = stack([-scores[1]], targets, weight, task)
    assert 0 < weights[0] < 1e-3
    assert np.isfinite(intercept).all()


@each_task
def test_of_useless_parts_the_first_is_kept_and_the_answer_is_the_mean(task: Task) -> None:
    scores, weight = draw(7, task, 2)
    targets = probabilities(task, scores[0])
    weights, intercept = stack([-scores[0], -2 * scores[0]], targets, weight, task)
    assert weights[0] < 1e-3
    assert weights[1] == 0
    mean = probabilities(task, intercept[None])[0]
    np.testing.assert_allclose(mean, np.average(targets, axis=0, weights=weight), atol=1e-3)


def test_huge_scores_stay_finite() -> None:
    scores, weight = draw(8, TASKS[0], 2)
    labels = (scores[0] > 0).astype(float)
    weights, intercept = stack([scores[0] * 1e4, scores[1]], labels, weight, TASKS[0])
    assert np.isfinite(weights).all()
    assert np.isfinite(intercept).all()
