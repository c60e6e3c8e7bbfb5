"""The analytic head: the same to the last bit in any order, and without what it was asked to forget."""

from typing import Any

import numpy as np
import pytest
import torch
from continual_state import same, state

from bimetal import reference
from bimetal.continual.learners.analytic import RIDGES, AnalyticHead
from bimetal.continual.learners.row_sums import RowSums
from bimetal.errors import DataError

N_FEATURES = 300  # more than one block, and no whole number of them


def table(n: int = 90, n_classes: int = 4, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    centres = rng.integers(0, 256, (n_classes, 20))
    x = np.clip(centres[y] + rng.normal(0, 70, (n, 20)), 0, 255).astype(np.uint8)
    return x, y


def head(**changes: Any) -> AnalyticHead:
    return AnalyticHead(20, **{"n_features": N_FEATURES, **changes})


def is_same_head(one: AnalyticHead, other: AnalyticHead) -> bool:
    sums = same(state(one._sums), state(other._sums)) and one._sums.n_rows == other._sums.n_rows
    return sums and one.program().id == other.program().id


def test_any_order_and_any_cutting_gives_the_same_head_to_the_last_bit() -> None:
    x, y = table()
    whole = head().partial_fit(x, y)
    for seed, piece in enumerate((1, 13, 90)):
        order, other = np.random.default_rng(seed).permutation(len(x)), head()
        for part in np.array_split(order, -(-len(x) // piece)):
            other.partial_fit(x[part], y[part])
        other._sums.by_class = dict(sorted(other._sums.by_class.items()))
        whole._sums.by_class = dict(sorted(whole._sums.by_class.items()))
        assert is_same_head(whole, other)


def test_forgotten_rows_leave_a_head_that_never_saw_them_to_the_last_bit() -> None:
    x, y = table()
    for gone in (np.arange(7), y == 2, np.arange(89)):  # some; a whole class; all but one row
        stays = np.setdiff1d(np.arange(90), np.arange(90)[gone])
        order = np.concatenate([stays, np.arange(90)[gone]])
        trained = head().partial_fit(x[order], y[order])
        trained.scores(x)  # what was solved before must not be answered after
        trained.forget(x[gone], y[gone])
        never = head().partial_fit(x[stays], y[stays])
        assert is_same_head(trained, never)
        assert torch.equal(trained.scores(x), never.scores(x)) and trained.n_rows == len(stays)


def test_rows_that_were_never_learned_are_refused_and_nothing_is_changed() -> None:
    x, y = table(30)
    trained = head().partial_fit(x, y)
    before = state(trained._sums), dict(trained._sums.n_rows)
    many = np.repeat(x[:1], 40, 0)
    for wrong_x, wrong_y in (
        (x[:1], [9]),  # a class that is not known
        (many, np.repeat(y[:1], 40)),  # more rows than are known
        (255 - x[y == 1], y[y == 1]),  # as many rows of the class, but others
    ):
        with pytest.raises(DataError, match="cannot all be among"):
            trained.forget(wrong_x, wrong_y)
    assert same(before[0], state(trained._sums)) and before[1] == trained._sums.n_rows


def test_sums_are_those_of_the_features() -> None:
    x, y = table(50)
    trained = head()
    phi = trained.features(torch.tensor(x)).double()
    trained.partial_fit(x, y)
    assert set(phi.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(trained._sums.whole_gram(), phi.T @ phi)
    for c in trained.classes:
        assert torch.equal(trained._sums.by_class[c].double(), phi[torch.tensor(y) == c].sum(0))


def test_features_say_which_sums_lie_above_the_mean_of_their_row() -> None:
    x, _ = table(50)
    made = head(seed=3)
    sums = x.astype(np.int64) @ made.projection.numpy().T.astype(np.int64)
    above = N_FEATURES * sums >= sums.sum(1, keepdims=True)
    assert np.array_equal(made.features(torch.tensor(x)).numpy() > 0, above)


def test_the_solution_is_a_ridge_regression_of_classes_with_a_free_intercept() -> None:
    x, y = table()
    trained = head(ridge=0.02).partial_fit(x, y)
    phi = trained.features(torch.tensor(x)).double().numpy()
    centred, onehot = phi - phi.mean(0), np.eye(4)[y]
    gram = centred.T @ centred
    ridge = 0.02 * np.trace(gram) / N_FEATURES
    right = centred.T @ (onehot - onehot.mean(0))
    weight = np.linalg.solve(gram + ridge * np.eye(N_FEATURES), right)
    found, bias = trained._solution()
    np.testing.assert_allclose(found.T.numpy(), weight, atol=1e-10)
    np.testing.assert_allclose(bias.numpy(), onehot.mean(0) - phi.mean(0) @ weight, atol=1e-9)


def test_gcv_takes_the_ridge_of_least_error_as_rows_would_give_it() -> None:
    x, y = table(200)
    trained = head(n_features=40, ridge="gcv").partial_fit(x, y)
    phi = trained.features(torch.tensor(x)).double().numpy()
    centred, onehot, n = phi - phi.mean(0), np.eye(4)[y], 200
    gram, errors = centred.T @ centred, []
    for ridge in RIDGES:
        inverse = np.linalg.inv(gram + ridge * np.trace(gram) / 40 * np.eye(40))
        hat = centred @ inverse @ centred.T + 1 / n
        residuals = onehot - hat @ onehot
        errors.append((residuals**2).sum() / (1 - np.trace(hat) / n) ** 2)
    best = RIDGES[int(np.argmin(errors))]
    assert 0 < int(np.argmin(errors)) < len(RIDGES) - 1
    fixed = head(n_features=40, ridge=best).partial_fit(x, y)
    torch.testing.assert_close(trained._solution()[0], fixed._solution()[0])


def test_the_ridge_means_the_same_however_often_the_rows_are_shown() -> None:
    x, y = table()
    once, thrice = head().partial_fit(x, y), head()
    for _ in range(3):
        thrice.partial_fit(x, y)
    torch.testing.assert_close(once._solution()[0], thrice._solution()[0])


def test_classes_emerge_and_answers_to_the_others_remain_possible() -> None:
    x, y = table()
    made = head()
    for c in (3, 0, 2):
        made.partial_fit(x[y == c], y[y == c])
    assert made.classes == (0, 2, 3) and made.program().classes == (0, 2, 3)
    assert float((made.predict(x[y != 1]) == y[y != 1]).mean()) > 0.95
    wide = made.scores(x, range(5))
    assert torch.equal(wide[:, [0, 2, 3]], made.scores(x))
    assert not set(wide.argmax(1).tolist()) & {1, 4}


def test_the_program_of_a_head_answers_bit_for_bit_alike() -> None:
    x, y = table()
    trained = head().partial_fit(x, y)
    answers = reference.run(trained.program(), x.astype(np.float32))
    assert np.array_equal(answers, trained.scores(x).numpy())


def test_the_state_is_about_half_of_a_square_and_does_not_grow_with_rows() -> None:
    x, y = table()
    made = head(n_features=2048)
    empty = made.state_bytes()
    sizes = [made.partial_fit(x, y).state_bytes() for _ in range(2)]
    assert sizes[0] == sizes[1] == empty + 4 * (4 * 2048 + 8)
    assert 2048**2 / 2 * 4 < empty < 2048**2 / 2 * 4 * 1.2


def test_a_head_of_one_row_or_one_class_answers_with_it() -> None:
    x, _ = table()
    assert set(head().partial_fit(x[:1], [7]).predict(x).tolist()) == {7}
    assert set(head(ridge="gcv").partial_fit(x[:9], [5] * 9).predict(x).tolist()) == {5}


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((3, 20)), [0, 1, 2]),
        (np.zeros((3, 19), np.uint8), [0, 1, 2]),
        (np.zeros(20, np.uint8), [0]),
        (np.zeros((3, 20), np.uint8), [0, 1]),
        (np.zeros((3, 20), np.uint8), [0.0, 1.0, 2.0]),
        (np.zeros((3, 20), np.uint8), [0, 1, -2]),
        (np.zeros((3, 20), np.uint8), [True, False, True]),
    ],
)
def test_rows_and_classes_that_do_not_fit_are_refused(x: Any, y: Any) -> None:
    for act in (head().partial_fit, head().forget):
        with pytest.raises(DataError, match=r"expected|must be"):
            act(x, np.array(y))


def test_sizes_and_ridges_that_make_no_sense_are_refused() -> None:
    for wrong in ({"n_features": 0}, {"ridge": 0.0}, {"ridge": "loo"}):
        with pytest.raises(DataError, match="must be"):
            head(**wrong)
    with pytest.raises(DataError, match="no rows were learned"):
        head().predict(table()[0])


def test_a_head_is_full_before_its_sums_overflow() -> None:
    x, y = table(5)
    made = head()
    made._sums.n_rows = {0: 2**31 - 3}
    with pytest.raises(DataError, match="2,147,483,647 rows"):
        made.partial_fit(x, y)


def test_no_rows_change_nothing() -> None:
    x, y = table()
    trained = head().partial_fit(x, y)
    before = state(trained._sums)
    trained.partial_fit(x[:0], y[:0]).forget(x[:0], y[:0])
    assert same(before, state(trained._sums))


def test_sums_add_and_take_away() -> None:
    phi = torch.randint(2, (9, 5)).float() * 2 - 1
    y = torch.arange(9) % 3
    one, other, both = RowSums.none(5), RowSums.none(5), RowSums.none(5)
    one.add(phi[:4], y[:4])
    other.add(phi[4:], y[4:])
    both.add(phi, y)
    before = state(one)
    one.merge(other)
    assert same(state(one), state(both)) and both.could_hold(other) and not other.could_hold(both)
    one.merge(other, -1)
    assert same(state(one), before)
