"""One mean and one variance for all outputs: the norm at the end of a fully binary net."""

import pytest
import torch
from torch import nn

from bimetal.nn import TensorNorm, fold_norm


@pytest.mark.parametrize("momentum", [0.1, None])
def test_it_is_a_batch_norm_of_all_numbers_as_one_channel(momentum: float | None) -> None:
    ours, theirs = TensorNorm(5, momentum=momentum), nn.BatchNorm1d(1, 1e-4, momentum)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        x = torch.randn(8, 5, generator=generator) * 3 + torch.arange(5.0)
        torch.testing.assert_close(ours(x), theirs(x.reshape(-1, 1)).view(8, 5))
    x = torch.randn(4, 5, generator=generator)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(x.reshape(-1, 1)).view(4, 5))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean.expand(5))
    torch.testing.assert_close(ours.running_var, theirs.running_var.expand(5))


def test_it_learns_one_weight_and_one_bias_and_the_gradient_reaches_them() -> None:
    norm = TensorNorm(3)
    assert sorted((name, p.shape) for name, p in norm.named_parameters()) == [
        ("bias", (1,)),
        ("weight", (1,)),
    ]
    x = torch.randn(6, 3, requires_grad=True)
    norm(x).square().sum().backward()
    assert norm.weight.grad is not None and x.grad is not None
    assert norm.weight.grad.abs() > 0


def test_the_largest_sum_stays_the_largest() -> None:
    norm = TensorNorm(10)
    sums = torch.randint(-64, 65, (200, 10)).float()
    for _ in range(4):
        norm(sums)
    assert torch.equal(norm.eval()(sums).argmax(1), sums.argmax(1))


def test_it_folds_like_any_batch_norm() -> None:
    norm = TensorNorm(4)
    norm(torch.randn(50, 4) * 7 + 3)
    x = torch.randn(9, 4)
    torch.testing.assert_close(fold_norm(norm.eval())(x), norm(x))
