"""Optimizers against their papers' formulas, step by step, and what all of them have in common."""

import math

import pytest
import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn import BinaryConv2d, BinaryLinear, Bop, ShiftAdaMax, Split, latent_weights
from bimetal.nn.optim import (
    OPTIMIZERS,
    SCHEDULES,
    adam_glorot,
    bop,
    optimizer,
    real_parameters,
    schedule,
)

each_optimizer = pytest.mark.parametrize("name", sorted(OPTIMIZERS))
each_schedule = pytest.mark.parametrize("name", sorted(SCHEDULES))


def net() -> nn.Module:
    return nn.Sequential(BinaryLinear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def with_gradients(model: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)
    return model


def ap2(x: Tensor) -> Tensor:
    return x.sign() * 2 ** x.abs().log2().round()


@each_optimizer
def test_every_parameter_is_stepped_and_none_twice(name: str) -> None:
    model = net()
    made = optimizer(name, model, 0.1)
    stepped = [id(p) for group in made.param_groups for p in group["params"]]
    assert sorted(stepped) == sorted(id(p) for p in model.parameters())


@each_optimizer
def test_no_optimizer_decays_a_latent_weight(name: str) -> None:
    plain, decayed = net(), net()
    decayed.load_state_dict(plain.state_dict())
    for model, decay in ((plain, 0.0), (decayed, 0.5)):
        optimizer(name, with_gradients(model), 0.1, decay).step()
    for a, b in zip(latent_weights(plain), latent_weights(decayed), strict=True):
        assert torch.equal(a, b)
    if name != "bop":
        pairs = zip(real_parameters(plain), real_parameters(decayed), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs)


@each_optimizer
def test_an_optimizer_goes_on_from_its_state(name: str) -> None:
    whole, first = net(), net()
    first.load_state_dict(whole.state_dict())
    straight, halves = optimizer(name, whole, 0.1), optimizer(name, first, 0.1)
    for seed in (1, 2):
        with_gradients(whole, seed)
        straight.step()
    with_gradients(first, 1)
    halves.step()
    later = optimizer(name, first, 0.1)
    later.load_state_dict(halves.state_dict())
    with_gradients(first, 2)
    later.step()
    for a, b in zip(whole.parameters(), first.parameters(), strict=True):
        assert torch.equal(a, b)


def test_shift_adamax_follows_algorithm_4() -> None:
    p = nn.Parameter(torch.tensor([0.5, -0.25, 0.0], dtype=torch.float64))
    ours = ShiftAdaMax([p])
    w, m, v = p.detach().clone(), torch.zeros(3), torch.zeros(3)
    for t in range(1, 6):
        g = torch.tensor([0.3 * t, -0.01, 2.0], dtype=torch.float64)
        p.grad = g.clone()
        ours.step()
        m = (1 - 2**-3) * m + 2**-3 * g
        v = torch.maximum((1 - 2**-10) * v, g.abs())
        rate = ap2(torch.tensor(2**-10 / (1 - (1 - 2**-3) ** t), dtype=torch.float64))
        w = w - rate * m * ap2(1 / v)
        torch.testing.assert_close(p.detach(), w, rtol=1e-9, atol=1e-12)


def test_every_factor_of_shift_adamax_is_a_power_of_two() -> None:
    p = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    ours = ShiftAdaMax([p], betas=(0.0, 0.0))
    p.grad = torch.tensor([3.0], dtype=torch.float64)
    ours.step()
    factor = -p.item() / 3
    assert math.log2(factor) == round(math.log2(factor))


def test_a_gradient_of_zero_moves_nothing() -> None:
    p = nn.Parameter(torch.ones(3))
    ours = ShiftAdaMax([p])
    p.grad = torch.zeros(3)
    ours.step()
    assert torch.equal(p, torch.ones(3))


def test_bop_flips_where_the_mean_gradient_asks_for_it_and_nowhere_else() -> None:
    w = nn.Parameter(torch.tensor([0.5, -0.5, 0.0, -0.2]))
    ours = Bop([w], gamma=0.5, threshold=0.2)
    w.grad = torch.tensor([1.0, 1.0, 0.3, -1.0])  # means 0.5, 0.5, 0.15, −0.5
    ours.step()
    # +1·0.5 > 0.2 flips; −1·0.5 does not; 0.0 counts as +1 and 0.15 is too little; −1·−0.5 flips
    assert w.tolist() == [-1.0, -1.0, 1.0, 1.0]


def test_bop_flips_a_weight_of_zero() -> None:
    w = nn.Parameter(torch.zeros(1))
    ours = Bop([w], gamma=1.0)
    w.grad = torch.ones(1)
    ours.step()
    assert (w.detach() >= 0).tolist() == [False], (
        "the negative of 0.0 is still +1: it must not stay 0"
    )


def test_bop_trains_latent_weights_and_adam_the_rest() -> None:
    model = with_gradients(net())
    made = bop(model, 0.1)
    made.step()
    assert isinstance(made, Split)
    assert set(latent_weights(model)[0].flatten().tolist()) <= {-1.0, 1.0}


def test_glorot_rates_are_those_of_the_published_code() -> None:
    model = nn.Sequential(BinaryLinear(784, 1024), BinaryConv2d(3, 128, 3))
    rates = [group["lr"] for group in adam_glorot(model, 1.0).param_groups]
    assert rates[0] == pytest.approx(math.sqrt((784 + 1024) / 1.5))
    assert rates[1] == pytest.approx(math.sqrt((9 * 3 + 9 * 128) / 1.5))


@each_schedule
def test_a_schedule_begins_at_or_below_one_and_never_leaves_zero_to_one(name: str) -> None:
    factors = [schedule(name)(i / 200) for i in range(201)]
    assert all(0 <= f <= 1 for f in factors)
    assert factors[-1] <= max(factors)


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"constant", "warm_cosine"}))
def test_all_but_two_schedules_only_fall(name: str) -> None:
    factors = [schedule(name)(i / 200) for i in range(201)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimizer("adm", net(), 0.1), r"optimizer must be one of \['adam', .*got 'adm'"),
        (lambda: optimizer("adam", nn.ReLU(), 0.1), "ReLU has no parameters"),
        (lambda: schedule("cosin"), r"schedule must be one of .*got 'cosin'"),
    ],
)
def test_what_is_unknown_or_cannot_be_trained_is_refused(call, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()
