"""Batch norm by shifts: the published algorithm step by step, powers of two, and equal when lowered."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.lower import lower_cnn
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    Logits,
    ShiftBatchNorm1d,
    ShiftBatchNorm2d,
    Sign,
    ap2,
    fold_norms,
)
from bimetal.reference import run

Floats = NDArray[np.float64]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def power(x: Floats) -> Floats:
    """AP2 as the paper writes it."""
    with np.errstate(divide="ignore"):
        return np.sign(x) * 2 ** np.round(np.log2(np.abs(x)))


@given(x=st.floats(2.0**-120, 2.0**120, width=32), is_negative=st.booleans())
def test_the_rounded_number_is_a_power_of_two_within_a_factor_of_root_two(
    x: float, is_negative: bool
) -> None:
    made = ap2(torch.tensor([-x if is_negative else x])).item()
    assert (made < 0) == is_negative
    assert np.frexp(made)[0] in (0.5, -0.5), "exactly a power of two"
    assert 0.7071 < abs(made) / x < 1.4143


def test_powers_of_two_are_themselves_and_zero_is_zero() -> None:
    powers = torch.tensor([2.0**k for k in range(-120, 121)])
    assert torch.equal(ap2(powers), powers)
    assert torch.equal(ap2(-powers), -powers)
    assert ap2(torch.tensor([0.0, -0.0])).tolist() == [0.0, 0.0]


def test_the_gradient_passes_the_rounding() -> None:
    x, arriving = drawn(9).requires_grad_(), drawn(9, seed=1)
    ap2(x).backward(arriving)
    assert x.grad is not None
    assert torch.equal(x.grad, arriving)


def as_published(x: Floats, gamma: Floats, beta: Floats, eps: float = 1e-5) -> Floats:
    """Algorithm 3 of arXiv:1602.02830 on rows (n_rows, n), with β added as in the authors' code."""
    centred = x - x.mean(0)
    variance = (centred * power(centred)).mean(0)
    return centred * power(1 / np.sqrt(variance + eps)) * power(gamma) + beta


def odd(norm: Any, seed: int = 0) -> Any:
    """Give a norm scales and offsets of both signs."""
    n = len(norm.weight)
    norm.weight.data, norm.bias.data = 3 * drawn(n, seed=seed), drawn(n, seed=seed + 1)
    return norm


@given(n_rows=st.integers(2, 20), n=st.integers(1, 6), seed=st.integers(0, 1000))
def test_training_is_the_published_algorithm(n_rows: int, n: int, seed: int) -> None:
    norm, x = odd(ShiftBatchNorm1d(n), seed).double(), 5 * drawn(n_rows, n, seed=seed).double() + 3
    expected = as_published(
        x.numpy(), norm.weight.detach().numpy(), norm.bias.detach().numpy(), norm.eps
    )
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [(ShiftBatchNorm1d(3), (4, 3, 7)), (ShiftBatchNorm2d(3), (4, 3, 5, 2))],
)
def test_places_of_a_map_count_as_rows(norm: Any, shape: tuple[int, ...]) -> None:
    x, rows = drawn(*shape), ShiftBatchNorm1d(3)
    rows.load_state_dict(odd(norm).state_dict())
    flat = x.transpose(0, 1).flatten(1).T
    expected = rows(flat).T.reshape(3, shape[0], *shape[2:]).transpose(0, 1)
    torch.testing.assert_close(norm(x), expected)
    torch.testing.assert_close(norm.running_scale, rows.running_scale)


def test_it_is_near_an_ordinary_batch_norm() -> None:
    x = 3 * drawn(2000, 20) + drawn(20, seed=1)
    ratio = ShiftBatchNorm1d(20)(x).std(0) / nn.BatchNorm1d(20)(x).std(0)
    assert ((ratio > 0.6) & (ratio < 1.7)).all()


def test_running_averages_are_of_the_mean_and_of_one_over_the_deviation() -> None:
    norm = ShiftBatchNorm1d(4)
    mean, scale = np.zeros(4), np.ones(4)
    for seed in range(5):
        x = drawn(16, 4, seed=seed) * 3 + 1
        norm(x)
        rows = x.double().numpy()
        centred = rows - rows.mean(0)
        inverse = 1 / np.sqrt((centred * power(centred)).mean(0) + norm.eps)
        mean, scale = mean * 0.875 + rows.mean(0) / 8, scale * 0.875 + inverse / 8
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.running_scale.numpy(), scale, rtol=1e-5)


def trained(norm: Any, *shape: int) -> Any:
    """Return a norm in eval mode that has seen some batches."""
    for seed in range(3):
        norm(4 * drawn(*shape, seed=seed) + 1)
    return odd(norm).eval()


def test_evaluation_is_a_shift_and_an_offset() -> None:
    norm, x = trained(ShiftBatchNorm2d(6), 4, 6, 3, 3), drawn(2, 6, 4, 4)
    folded = norm.folded()
    assert (torch.frexp(folded.scale).mantissa.abs() == 0.5).all()
    assert torch.equal(norm(x), folded(x))
    expected = (x - norm.running_mean.view(6, 1, 1)) * ap2(norm.running_scale).view(6, 1, 1)
    expected = expected * ap2(norm.weight).view(6, 1, 1) + norm.bias.view(6, 1, 1)
    torch.testing.assert_close(norm(x), expected)


def test_evaluation_changes_no_statistics_and_answers_one_row() -> None:
    norm = trained(ShiftBatchNorm1d(3), 8, 3)
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    x = drawn(5, 3)
    assert torch.equal(norm(x)[:1], norm(x[:1]))
    assert all(torch.equal(before[k], v) for k, v in norm.state_dict().items())


def numerical(f: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-6) -> Tensor:
    made = torch.zeros_like(x)
    for i in range(x.numel()):
        moved = torch.zeros_like(x)
        moved.view(-1)[i] = step
        made.view(-1)[i] = (f(x + moved) - f(x - moved)) / (2 * step)
    return made


def test_the_gradient_is_that_of_the_formula_with_the_identity_for_each_rounding() -> None:
    """d AP2(x) = dx, so each rounding is replaced by x plus what it adds here, a constant."""
    norm = odd(ShiftBatchNorm1d(2)).double()
    x, arriving = (drawn(5, 2) * 2).double(), drawn(5, 2, seed=1).double()
    centred = x - x.mean(0)
    added = ap2(centred) - centred
    inverse = torch.rsqrt((centred * ap2(centred)).mean(0) + norm.eps)
    shift, gamma = ap2(inverse) - inverse, norm.weight.detach()
    scale = gamma + (ap2(gamma) - gamma)

    def smooth(x: Tensor) -> Tensor:
        c = x - x.mean(0)
        r = torch.rsqrt((c * (c + added)).mean(0) + norm.eps) + shift
        return (c * r * scale * arriving).sum()

    leaf = x.clone().requires_grad_()
    norm(leaf).backward(arriving)
    torch.testing.assert_close(leaf.grad, numerical(smooth, x), rtol=1e-5, atol=1e-7)
    by_scale = (arriving * centred * ap2(inverse)).sum(0)
    torch.testing.assert_close(norm.weight.grad, by_scale)
    torch.testing.assert_close(norm.bias.grad, arriving.sum(0))


def test_folding_batch_norms_leaves_it_alone_since_it_needs_none() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), ShiftBatchNorm2d(3))
    folded = fold_norms(net)
    assert [type(layer).__name__ for layer in folded] == ["Scale", "ShiftBatchNorm2d"]


def shifted_net() -> nn.Sequential:
    g = torch.Generator().manual_seed(0)
    return nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 12, 3, padding=1, generator=g), ShiftBatchNorm2d(12), Sign(),
        BinaryConv2d(12, 12, 3, generator=g), nn.MaxPool2d(2), ShiftBatchNorm2d(12), nn.Hardtanh(), Sign(),
        nn.AvgPool2d(2), ShiftBatchNorm2d(12), Sign(),
        nn.Flatten(), BinaryLinear(12, 20, generator=g), ShiftBatchNorm1d(20), Sign(),
        BinaryLinear(20, 5, generator=g), Logits(5),
    )  # fmt: skip


def pictures(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 1, 7, 7), generator=generator).float()


@pytest.mark.parametrize("seed", range(4))
def test_a_lowered_net_answers_as_torch_does(seed: int) -> None:
    net = shifted_net()
    for batch in range(3):
        net(pictures(16, batch))
    for i, layer in enumerate(net):
        if isinstance(layer, ShiftBatchNorm1d | ShiftBatchNorm2d):
            odd(layer, seed + i)
            layer.running_mean.round_()  # a sum that can occur: the norm is nearly its offset there
    net.eval()
    x = pictures(20, seed + 50)
    answers = run(lower_cnn(net, (1, 7, 7)), x.permute(0, 2, 3, 1).reshape(20, -1).numpy())
    np.testing.assert_array_equal(answers, net(x).detach().numpy())


def test_a_net_that_ends_with_it_is_lowered_but_for_a_rounding() -> None:
    net = nn.Sequential(*list(shifted_net())[:-1], ShiftBatchNorm1d(5))
    for batch in range(3):
        net(pictures(16, batch))
    net.eval()
    x = pictures(20, 50)
    answers = run(lower_cnn(net, (1, 7, 7)), x.permute(0, 2, 3, 1).reshape(20, -1).numpy())
    np.testing.assert_allclose(answers, net(x).detach().numpy(), rtol=1e-6)


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: ShiftBatchNorm1d(0), "channels must be at least 1, got 0"),
    (lambda: ShiftBatchNorm1d(3)(torch.zeros(1, 3)), "has one value a channel and so no variance"),
    (lambda: ShiftBatchNorm2d(3)(torch.zeros(1, 3, 1, 1)), "no variance; train on two rows"),
    (lambda: ShiftBatchNorm1d(3)(torch.zeros(2, 4)), r"\(n_rows, n\) or .* n = 3, got \(2, 4\)"),
    (lambda: ShiftBatchNorm2d(3)(torch.zeros(2, 3)), r"\(n_rows, n, height, width\) with n = 3"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_what_does_not_fit_is_said(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
