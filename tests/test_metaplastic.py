"""The metaplastic rule against its formula, step by step, and the laws of what was added to it."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn import BinaryLinear
from bimetal.nn.metaplastic import ATTENUATIONS, Metaplastic, attenuation
from bimetal.nn.optim import OPTIMIZERS, metaplastic

Array = NDArray[Any]
PUBLISHED: dict[str, Any] = {"lr": 0.005, "m": 1.35, "adaptivity": 1.0}
FALL_OFF = {"tanh": lambda r: 1 - np.tanh(r) ** 2, "power": lambda r: 1 / (1 + r**2)}


def gradients(shape: tuple[int, ...], n: int = 25, seed: int = 0) -> Iterator[Tensor]:
    """Gradients with a direction of their own for each weight, so that weights grow and shrink."""
    rng = np.random.default_rng(seed)
    drift = rng.normal(size=shape)
    for i in range(n):
        yield torch.tensor(rng.normal(size=shape) + drift * np.sin(i / 4))


def start(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float64, seed: int = 1
) -> nn.Parameter:
    return nn.Parameter(
        torch.tensor(np.random.default_rng(seed).normal(size=shape) / 10, dtype=dtype)
    )


def walked(
    shape: tuple[int, ...] = (4, 6), dtype: torch.dtype = torch.float64, n: int = 25, **options: Any
) -> Tensor:
    """Return the weights after some steps."""
    w = start(shape, dtype)
    optimizer = Metaplastic([w], **{**PUBLISHED, **options})
    for g in gradients(shape, n):
        w.grad = g.to(dtype)
        optimizer.step()
    return w.detach()


def formula(
    shape: tuple[int, ...] = (4, 6),
    n: int = 25,
    *,
    lr: float = 0.005,
    m: float = 1.35,
    wd: float = 0.0,
    relative: bool = False,
    kind: str = "tanh",
    floor: float = 0.0,
    adaptivity: float = 1.0,
    half_life: float | None = None,
) -> Array:
    """Walk the same way, in NumPy, one line of the formula after another."""
    w = start(shape).detach().numpy().copy()
    mean, square = np.zeros(shape), np.zeros(shape)
    is_matrix = len(shape) > 1
    for t, given in enumerate(gradients(shape, n), start=1):
        g = given.numpy() + wd * w
        mean = 0.9 * mean + 0.1 * g
        square = 0.999 * square + 0.001 * g**2
        rate = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        spread = np.sqrt(square)
        if is_matrix:
            spread = spread**adaptivity * spread.mean() ** (1 - adaptivity)
        unit = np.abs(w).mean() if relative else 1.0
        f = np.maximum(FALL_OFF[kind](m * np.abs(w) / unit), floor)
        shrinks = np.sign(w) * mean > 0
        f = np.where(shrinks & is_matrix & (m > 0), f, 1.0)
        w = w - rate * f * mean / (spread + 1e-8)
        if half_life and is_matrix:
            w = w * 0.5 ** (1 / half_life)
    return w


# ---- the published rule -----------------------------------------------------------------------------


@pytest.mark.parametrize("m", [0.0, 1.35, 15.0])
@pytest.mark.parametrize("wd", [0.0, 1e-7, 0.3])
def test_the_published_rule_is_the_formula_at_every_step(m: float, wd: float) -> None:
    for n in (1, 2, 10, 40):
        ours = walked(n=n, m=m, weight_decay=wd, lr=0.05)
        np.testing.assert_allclose(ours.numpy(), formula(n=n, m=m, wd=wd, lr=0.05), rtol=1e-12)


def test_in_single_precision_it_is_the_formula_up_to_rounding() -> None:
    ours = walked(dtype=torch.float32, lr=0.05, m=5.0, weight_decay=1e-7).numpy()
    np.testing.assert_allclose(ours, formula(lr=0.05, m=5.0, wd=1e-7), rtol=2e-3, atol=2e-6)


def test_each_group_has_an_m_of_its_own() -> None:
    one, other = start((4, 6)), start((4, 6))
    groups = [{"params": [one], "m": 3.0}, {"params": [other]}]
    optimizer = Metaplastic(groups, lr=0.05, m=9.0)
    for g in gradients((4, 6)):
        one.grad, other.grad = g.clone(), g.clone()
        optimizer.step()
    for w, m in ((one, 3.0), (other, 9.0)):
        np.testing.assert_allclose(w.detach().numpy(), formula(lr=0.05, m=m), rtol=1e-12)


def test_parameters_of_one_axis_are_stepped_as_by_adam_whatever_the_rest() -> None:
    options: dict[str, Any] = {"relative": True, "floor": 0.2, "adaptivity": 0.3, "half_life": 3.0}
    plain = walked((9,), m=0.0, lr=0.05)
    assert torch.equal(walked((9,), lr=0.05, **{**options, "m": 20.0}), plain)
    np.testing.assert_allclose(plain.numpy(), formula((9,), m=0.0, lr=0.05), rtol=1e-12)


def test_without_m_it_is_adam() -> None:
    w = start((4, 6))
    # torch adds eps to √(v / (1 − β₂ᵗ)), the published code to √v: with none both are the same
    optimizer = torch.optim.Adam([w], lr=0.05, eps=0.0, weight_decay=0.1)
    for g in gradients((4, 6)):
        w.grad = g.clone()
        optimizer.step()
    ours = walked(m=0.0, lr=0.05, eps=0.0, weight_decay=0.1)
    torch.testing.assert_close(ours, w.detach(), rtol=1e-10, atol=1e-12)


def one_step(w: float, gradient: float, **options: Any) -> float:
    p = nn.Parameter(torch.tensor([[w]], dtype=torch.float64))
    p.grad = torch.tensor([[gradient]], dtype=torch.float64)
    Metaplastic([p], **{**PUBLISHED, **options}).step()
    return float(p.detach()) - w


@pytest.mark.parametrize("kind", list(ATTENUATIONS))
@pytest.mark.parametrize("w", [-2.0, -0.3, 0.3, 2.0])
def test_growing_steps_are_whole_and_shrinking_ones_attenuated(kind: str, w: float) -> None:
    whole = abs(one_step(w, 1.0, m=0.0))
    grows, shrinks = one_step(w, -np.sign(w), kind=kind), one_step(w, np.sign(w), kind=kind)
    assert abs(grows) == pytest.approx(whole)
    assert abs(shrinks) == pytest.approx(whole * FALL_OFF[kind](1.35 * abs(w)))


def test_weights_are_not_clipped_and_a_weight_of_zero_is_free() -> None:
    assert one_step(50.0, -1.0) == pytest.approx(0.005)
    assert abs(one_step(0.0, 1.0, m=100.0)) == pytest.approx(0.005)


def test_moments_hold_the_whole_gradient_and_not_the_attenuated_one() -> None:
    w = start((4, 6))
    optimizer = Metaplastic([w], **{**PUBLISHED, "m": 1e3})
    w.grad = torch.ones_like(w)
    optimizer.step()
    state = optimizer.state[w]
    torch.testing.assert_close(state["mean"], torch.full_like(w, 0.1))
    torch.testing.assert_close(state["square"], torch.full_like(w, 0.001))


# ---- what was added ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(ATTENUATIONS))
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("adaptivity", [0.0, 0.3, 0.5, 1.0])
def test_every_form_of_the_rule_is_its_formula(
    kind: str, relative: bool, adaptivity: float
) -> None:
    options: dict[str, Any] = {"kind": kind, "relative": relative, "adaptivity": adaptivity}
    ours = walked(lr=0.03, m=2.0, floor=0.1, half_life=30.0, **options)
    theirs = formula(lr=0.03, m=2.0, floor=0.1, half_life=30.0, **options)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-10)


def scaled(by: float, relative: bool) -> Tensor:
    w = start((4, 6))
    w.data *= by
    optimizer = Metaplastic([w], lr=0.05 * by, m=3.0, relative=relative)
    for g in gradients((4, 6)):
        w.grad = g.clone()
        optimizer.step()
    return w.detach() / by


@pytest.mark.parametrize("by", [1e-3, 16.0, 1e4])
def test_the_relative_rule_knows_no_scale_and_the_published_one_does(by: float) -> None:
    torch.testing.assert_close(scaled(by, True), scaled(1.0, True), rtol=1e-8, atol=1e-10)
    assert float((scaled(by, False) - scaled(1.0, False)).abs().max()) > 1e-3


def test_the_relative_rule_leaves_half_of_a_layer_free_however_large_its_weights_are() -> None:
    w = torch.randn(100, 100) * 1e3
    assert float((attenuation(w, 2.0, relative=True) > 0.1).float().mean()) > 0.5
    assert float((attenuation(w, 2.0) > 0.1).float().mean()) < 0.01


def test_a_layer_of_zeros_is_stepped_and_stays_finite() -> None:
    w = nn.Parameter(torch.zeros(3, 3))
    w.grad = torch.ones(3, 3)
    Metaplastic([w], lr=0.1, m=2.0, relative=True).step()
    torch.testing.assert_close(w.detach(), torch.full((3, 3), -0.1))


def test_a_floor_bounds_the_attenuation_so_that_nothing_freezes() -> None:
    whole = one_step(30.0, 1.0, m=0.0)
    assert one_step(30.0, 1.0) == pytest.approx(0.0, abs=1e-12)
    assert one_step(30.0, 1.0, floor=0.25) == pytest.approx(0.25 * whole)
    assert one_step(0.01, 1.0, floor=0.25) == pytest.approx(one_step(0.01, 1.0))


def test_a_power_law_freezes_nothing_that_the_published_fall_off_does() -> None:
    assert one_step(12.0, 1.0, kind="tanh") > -1e-12 > -1e-6 > one_step(12.0, 1.0, kind="power")


@pytest.mark.parametrize("half_life", [0.5, 7.0, 40.0])
def test_after_a_half_life_without_gradients_a_weight_has_half_its_magnitude(
    half_life: float,
) -> None:
    w = start((4, 6))
    before = w.detach().clone()
    optimizer = Metaplastic([w], **PUBLISHED, half_life=half_life)
    n = round(half_life * 2)
    for _ in range(n):
        w.grad = torch.zeros_like(w)
        optimizer.step()
    torch.testing.assert_close(w.detach(), before * 0.25)
    assert torch.equal(w.detach() > 0, before > 0)  # a memory fades, and the sign stays


def test_an_equal_pull_on_all_weights_makes_adaptivity_no_matter() -> None:
    w = {a: start((3, 5)) for a in (0.0, 0.5, 1.0)}
    for adaptivity, p in w.items():
        p.grad = torch.full_like(p, 3.0)
        Metaplastic([p], lr=0.05, m=1.0, adaptivity=adaptivity).step()
    torch.testing.assert_close(w[0.0], w[1.0])
    torch.testing.assert_close(w[0.5], w[1.0])


def test_the_less_adaptive_the_rule_the_less_moves_what_hardly_matters() -> None:
    def share(adaptivity: float) -> float:
        w = nn.Parameter(torch.zeros(1, 2, dtype=torch.float64))
        w.grad = torch.tensor([[1.0, 0.01]], dtype=torch.float64)
        Metaplastic([w], lr=0.1, m=0.0, adaptivity=adaptivity).step()
        return float(w.detach()[0, 1] / w.detach()[0, 0])

    assert share(1.0) == pytest.approx(1.0, rel=1e-4)
    assert share(0.5) == pytest.approx(0.1, rel=1e-4)
    assert share(0.0) == pytest.approx(0.01, rel=1e-4)


# ---- as an optimizer --------------------------------------------------------------------------------


def test_a_training_that_goes_on_from_its_state_is_the_same_to_the_last_bit() -> None:
    options: dict[str, Any] = {"m": 2.0, "relative": True, "adaptivity": 0.5, "half_life": 90.0}
    given = [g.float() for g in gradients((4, 6), 20)]
    w = start((4, 6), torch.float32)
    optimizer = Metaplastic([w], **options)
    for g in given[:11]:
        w.grad = g
        optimizer.step()
    resumed = nn.Parameter(w.detach().clone())
    other = Metaplastic([resumed], lr=0.7, m=0.0)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    for g in given[11:]:
        w.grad, resumed.grad = g.clone(), g.clone()
        optimizer.step()
        other.step()
    assert torch.equal(w, resumed)


def test_a_closure_is_asked_once_and_its_loss_returned() -> None:
    w, n_calls = start((2, 2)), []

    def closure() -> float:
        n_calls.append(1)
        loss = (w**2).sum()
        w.grad = None
        loss.backward()
        return loss.item()

    expected = float((w.detach() ** 2).sum())
    assert Metaplastic([w], **PUBLISHED).step(closure) == pytest.approx(expected)
    assert len(n_calls) == 1


def test_parameters_without_gradient_stay_and_gradients_are_left_as_they_were() -> None:
    w, still = start((2, 2)), start((2, 2))
    w.grad = torch.ones_like(w)
    before = still.detach().clone()
    Metaplastic([w, still], **PUBLISHED, weight_decay=0.1).step()
    assert torch.equal(still.detach(), before) and torch.equal(w.grad, torch.ones_like(w))


def test_the_named_optimizer_is_scale_free_for_latent_weights_and_adam_for_the_rest() -> None:
    net = nn.Sequential(BinaryLinear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    latent, real = metaplastic(net, 0.01, 0.5).param_groups
    assert latent["params"] == [net[0].latent_weight] and latent["relative"] and latent["m"] > 0
    assert latent["weight_decay"] == 0 and real["weight_decay"] == 0.5 and real["m"] == 0
    assert len(real["params"]) == 4
    assert len(metaplastic(nn.Linear(2, 2), 0.01).param_groups) == 1
    assert OPTIMIZERS["metaplastic"] is metaplastic


@pytest.mark.parametrize("kind", list(ATTENUATIONS))
def test_attenuation_is_even_one_at_zero_and_falls(kind: str) -> None:
    w = torch.linspace(-6, 6, 101, dtype=torch.float64)
    f = attenuation(w, 1.35, kind=kind)
    torch.testing.assert_close(f, attenuation(-w, 1.35, kind=kind))
    assert float(f[50]) == 1.0 and bool((f > 0).all())
    assert bool((f[50:].diff() < 0).all())
    expected = FALL_OFF[kind](1.35 * np.abs(w.numpy()))
    np.testing.assert_allclose(f.numpy(), expected, atol=1e-12)


def test_attenuation_changes_nothing_in_the_weights() -> None:
    w = torch.randn(3, 4)
    before = w.clone()
    for relative in (False, True):
        attenuation(w, 2.0, relative=relative)
    assert torch.equal(w, before)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"lr": -1.0}, "lr"),
        ({"m": -0.1}, "m"),
        ({"m": float("inf")}, "m"),
        ({"eps": -1e-8}, "eps"),
        ({"weight_decay": float("nan")}, "weight_decay"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"betas": (-0.1, 0.9)}, "betas"),
        ({"floor": 1.5}, "floor"),
        ({"adaptivity": -0.5}, "adaptivity"),
        ({"kind": "cosine"}, "kind"),
        ({"half_life": 0.0}, "half_life"),
    ],
)
def test_numbers_out_of_range_and_unknown_names_are_refused(
    wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(DataError, match=f"^{named} must"):
        Metaplastic([start((2, 2))], **wrong)
    with pytest.raises(DataError, match=f"^{named} must"):
        Metaplastic([{"params": [start((2, 2))], **wrong}])
