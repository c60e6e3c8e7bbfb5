"""The training loop: same seed same weights, the best state is kept whatever ends the run."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bimetal.errors import DataError, TrainingError
from bimetal.nn import BinaryLinear, BinaryMLP, Epoch, TrainConfig, latent_weights, train
from bimetal.nn.optim import _cosine

N_ROWS, N_BITS = 40, 6
QUICK = TrainConfig(max_epochs=4, batch_size=16, learning_rate=0.05, patience=None)
State = dict[str, Tensor]


def state_of(model: nn.Module) -> State:
    return copy.deepcopy(model.state_dict())


def same(a: State, b: State) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


class Problem:
    """A small net, a loss with a hook before each step, and a record of every finished epoch."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.model = BinaryMLP(N_BITS, 1, hidden=(8, 8), n_members=2, generator=generator)
        self.x = torch.randint(0, 2, (N_ROWS, N_BITS), generator=generator).float() * 2 - 1
        self.y = self.x[:, 0] * self.x[:, 1]
        self.first = state_of(self.model)
        self.batches: list[list[int]] = []
        self.states: list[State] = []
        self.epochs: list[Epoch] = []
        self.before_step: Callable[[], None] = lambda: None

    def loss(self, rows: Tensor) -> Tensor:
        assert self.model.training
        self.batches.append(rows.tolist())
        self.before_step()
        return ((self.model(self.x[rows])[:, :, 0] - self.y[rows, None]) ** 2).mean()

    def progress(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        self.states.append(state_of(self.model))

    def train(self, config: TrainConfig = QUICK, validate: Any = None, n_rows: int = N_ROWS) -> Any:
        return train(self.model, self.loss, n_rows, config, validate, self.progress)

    @property
    def state(self) -> State:
        return state_of(self.model)


def scripted(losses: list[float]) -> Callable[[], float]:
    rest: Iterator[float] = iter(losses)
    return lambda: next(rest)


def raise_at(step: int, error: type[BaseException]) -> Callable[[], None]:
    steps = iter(range(1, 10_000))

    def hook() -> None:
        if next(steps) == step:
            raise error

    return hook


def test_training_learns_what_no_linear_model_can() -> None:
    problem = Problem()
    problem.model = BinaryMLP(
        N_BITS, 1, (32,), 4, dropout=0.0, generator=torch.Generator().manual_seed(0)
    )
    history = problem.train(replace(QUICK, max_epochs=40, learning_rate=0.02))
    assert history.epochs[-1].train_loss < 0.75 * history.epochs[0].train_loss
    with torch.no_grad():
        answers = problem.model(problem.x).mean(dim=1)[:, 0]
    assert ((answers > 0) == (problem.y > 0)).float().mean() > 0.9, "y is a product of two bits"


@pytest.mark.parametrize("seed", [0, 7])
def test_same_seed_same_weights(seed: int) -> None:
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)  # what the user did with torch before is no input
        problem = Problem()
        problem.train(replace(QUICK, seed=seed))
        runs.append(problem.state)
    assert same(*runs)


def test_another_seed_gives_other_batches_and_weights() -> None:
    first, second = Problem(), Problem()
    first.train(replace(QUICK, seed=0))
    second.train(replace(QUICK, seed=1))
    assert first.batches != second.batches
    assert not same(first.state, second.state)


def test_the_global_random_state_is_not_disturbed() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    Problem().train()
    assert torch.equal(torch.get_rng_state(), before)


@given(n_rows=st.integers(2, N_ROWS), batch_size=st.integers(2, 50))
@settings(max_examples=20, deadline=None)
def test_each_epoch_sees_each_row_once_but_for_a_batch_of_one(n_rows: int, batch_size: int) -> None:
    problem = Problem()
    problem.train(replace(QUICK, max_epochs=2, batch_size=batch_size), n_rows=n_rows)
    n_left_out = int(n_rows % batch_size == 1)
    sizes = [len(batch) for batch in problem.batches]
    assert min(sizes) >= 2
    assert sum(sizes) == 2 * (n_rows - n_left_out)
    first_epoch = [row for batch in problem.batches[: len(sizes) // 2] for row in batch]
    assert len(set(first_epoch)) == n_rows - n_left_out
    assert set(first_epoch) <= set(range(n_rows))


def test_two_epochs_shuffle_differently() -> None:
    problem = Problem()
    problem.train(replace(QUICK, max_epochs=2, batch_size=N_ROWS))
    assert problem.batches[0] != problem.batches[1]


def test_the_loss_of_an_epoch_is_the_mean_over_its_rows() -> None:
    model = nn.Linear(1, 1)
    seen: list[Tensor] = []

    def loss(rows: Tensor) -> Tensor:
        seen.append(rows)
        return rows.double().mean() + 0 * model.weight.sum()

    history = train(model, loss, 7, TrainConfig(max_epochs=1, batch_size=3, patience=None))
    expected = torch.cat(seen).double().mean().item()  # batches of 3 and 3; one row is left out
    assert history.epochs[0].train_loss == pytest.approx(expected)


def test_latent_weights_stay_within_one() -> None:
    problem = Problem()
    problem.train(replace(QUICK, max_epochs=10, learning_rate=1.0))
    assert max(w.abs().max() for w in latent_weights(problem.model)) == 1.0


def test_without_validation_the_last_state_is_kept() -> None:
    problem = Problem()
    history = problem.train()
    assert same(problem.state, problem.states[-1])
    assert history.best_epoch == len(history.epochs) == QUICK.max_epochs
    assert [e.valid_loss for e in history.epochs] == [None] * 4


@pytest.mark.parametrize("losses", [[3, 1, 2, 4], [1, 2, 3, 4], [4, 3, 2, 1], [2, 1, 1, 1]])
def test_the_best_state_is_kept_and_not_the_last(losses: list[float]) -> None:
    problem = Problem()
    history = problem.train(validate=scripted(losses))
    best = losses.index(min(losses))
    assert history.best_epoch == best + 1, "of equals the first"
    assert same(problem.state, problem.states[best])
    assert not all(same(problem.states[best], s) for s in problem.states)
    assert [e.valid_loss for e in history.epochs] == losses


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_training_stops_after_so_many_epochs_without_a_better_loss(patience: int) -> None:
    problem = Problem()
    losses = [5.0, 4.0, *[4.0] * 20]
    config = replace(QUICK, max_epochs=20, patience=patience)
    history = problem.train(config, scripted(losses))
    assert len(history.epochs) == 2 + patience
    assert not history.was_interrupted
    assert same(problem.state, problem.states[1])


def test_a_validation_loss_that_is_no_number_is_never_the_best() -> None:
    problem = Problem()
    history = problem.train(validate=scripted([math.nan, 2.0, math.nan, 3.0]))
    assert history.best_epoch == 2
    assert same(problem.state, problem.states[1])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_validation_losses_of_which_none_is_a_number_are_an_error(bad: float) -> None:
    problem = Problem()
    with pytest.raises(TrainingError, match=r"not finite in any of \d+ epochs .* put back"):
        problem.train(validate=lambda: bad)
    assert same(problem.state, problem.first)


def test_validation_is_asked_in_eval_mode_without_gradients() -> None:
    problem = Problem()

    def validate() -> float:
        assert not problem.model.training
        assert not torch.is_grad_enabled()
        return 1.0

    problem.train(validate=validate)
    assert not problem.model.training
    assert torch.is_grad_enabled()


def test_progress_sees_each_epoch() -> None:
    problem = Problem()
    history = problem.train()
    assert problem.epochs == history.epochs
    assert [e.number for e in history.epochs] == [1, 2, 3, 4]


def test_the_flip_ratio_is_the_share_of_binary_weights_that_changed_sign() -> None:
    problem = Problem()
    history = problem.train(replace(QUICK, learning_rate=0.2))
    states = [problem.first, *problem.states]
    names = [n for n in problem.first if n.endswith("latent_weight")]
    n_weights = sum(problem.first[n].numel() for n in names)
    for epoch, before, after in zip(history.epochs, states, states[1:], strict=False):
        n_flips = sum(int(((before[n] >= 0) != (after[n] >= 0)).sum()) for n in names)
        assert epoch.flip_ratio == n_flips / n_weights
    assert history.epochs[0].flip_ratio > 0


def test_nothing_flips_without_a_learning_rate_or_without_binary_weights() -> None:
    still = Problem().train(replace(QUICK, learning_rate=0.0))
    assert [e.flip_ratio for e in still.epochs] == [0] * 4
    model = nn.Linear(2, 1)
    history = train(model, lambda rows: (model(torch.ones(len(rows), 2)) ** 2).mean(), 4, QUICK)
    assert [e.flip_ratio for e in history.epochs] == [0] * 4


@given(step=st.integers(1, 13))
@settings(max_examples=13, deadline=None)
def test_ctrl_c_at_any_step_keeps_the_best_so_far(step: int) -> None:
    problem = Problem()
    problem.before_step = raise_at(step, KeyboardInterrupt)
    history = problem.train(validate=scripted([2.0, 1.0, 3.0, 4.0]))
    n_done = (step - 1) // 3  # three batches an epoch
    assert history.was_interrupted == (step <= 12)
    assert len(history.epochs) == min(4, n_done)
    assert history.best_epoch == min(2, n_done)
    best = problem.states[history.best_epoch - 1] if history.best_epoch else problem.first
    assert same(problem.state, best)
    assert not problem.model.training


@pytest.mark.parametrize("where", ["validate", "progress"])
def test_ctrl_c_in_a_callback_keeps_the_best_so_far(where: str) -> None:
    problem = Problem()
    stop = raise_at(2, KeyboardInterrupt)

    def callback(*_: Any) -> float:
        problem.states.append(state_of(problem.model))
        stop()
        return 1.0

    history = train(problem.model, problem.loss, N_ROWS, QUICK, **{where: callback})
    assert history.was_interrupted
    best = problem.states[history.best_epoch - 1]
    assert same(problem.state, best)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_an_error_and_the_best_state_is_put_back(bad: float) -> None:
    problem = Problem()

    def loss(rows: Tensor) -> Tensor:
        value = problem.loss(rows)
        return value * bad if len(problem.batches) > 8 else value

    with pytest.raises(TrainingError, match=r"loss became .* after 32 rows .* Lower learning_rate"):
        train(problem.model, loss, N_ROWS, QUICK, scripted([1.0, 2.0]), problem.progress)
    assert same(problem.state, problem.states[0])
    assert not problem.model.training


def test_any_other_error_comes_through_and_the_best_state_is_put_back() -> None:
    problem = Problem()
    problem.before_step = raise_at(5, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        problem.train()
    assert same(problem.state, problem.states[0])


def test_the_learning_rate_falls_from_its_peak_to_two_percent() -> None:
    rates = [_cosine(done / 10) for done in range(12)]
    assert rates[0] == pytest.approx(1)
    assert rates[10] == rates[11] == pytest.approx(0.02)
    assert rates[:11] == sorted(rates[:11], reverse=True)


def test_a_net_without_any_binary_layer_trains_too() -> None:
    model = nn.Sequential(nn.Linear(2, 1))
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    history = train(model, lambda rows: ((model(x[rows]) - 3) ** 2).mean(), 4, QUICK)
    assert history.epochs[-1].train_loss < history.epochs[0].train_loss


@pytest.mark.parametrize(
    ("option", "least"),
    [
        ({"max_epochs": 0}, "max_epochs must be at least 1, got 0"),
        ({"batch_size": 1}, "batch_size must be at least 2, got 1"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"learning_rate": math.nan}, "learning_rate must be 0 or more, got nan"),
        ({"learning_rate": -1.0}, "learning_rate must be 0 or more, got -1.0"),
        ({"weight_decay": math.inf}, "weight_decay must be 0 or more, got inf"),
    ],
)
def test_a_configuration_out_of_range_is_refused(option: dict[str, Any], least: str) -> None:
    with pytest.raises(DataError, match=least):
        TrainConfig(**option)


@pytest.mark.parametrize("n_rows", [0, 1])
def test_one_row_is_too_few(n_rows: int) -> None:
    model = BinaryLinear(2, 2)
    with pytest.raises(DataError, match=f"at least 2 rows, got {n_rows}"):
        train(model, lambda rows: torch.zeros(()), n_rows, QUICK)


def test_a_watched_training_tells_how_every_layer_fares_and_what_looks_wrong() -> None:
    problem = Problem()
    history = problem.train(replace(QUICK, watches_layers=True, learning_rate=0.0))
    layers = history.epochs[-1].layers
    assert set(layers) == {"hidden.0", "hidden.4"}
    assert all(0 <= insight.flip_ratio <= 1 for insight in layers.values())
    weights = {name: problem.model.get_submodule(name).latent_weight.numel() for name in layers}
    mean = sum(layers[n].flip_ratio * weights[n] for n in layers) / sum(weights.values())
    assert mean == pytest.approx(history.epochs[-1].flip_ratio)
    assert any("no weight has flipped" in remark for remark in history.remarks), history.remarks
    assert not Problem().train().remarks
