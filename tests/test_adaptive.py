"""Signs and scales that adapt: AdaBin's, ReActNet's and XNOR-Net's, against their papers' formulas."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import conv2d

from bimetal.errors import DataError
from bimetal.nn import (
    SURROGATES,
    AdaSign,
    BinaryConv2d,
    InputScale,
    Sign,
    XnorConv2d,
    rsign,
    set_progress,
    surrogate,
)

NAMES = [f.__name__ for f in SURROGATES]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ada_sign(alpha: list[float], beta: list[float], name: str = "approx_sign") -> AdaSign:
    layer = AdaSign(len(alpha), name).double()
    layer.alpha.data = torch.tensor(alpha, dtype=torch.float64)
    layer.beta.data = torch.tensor(beta, dtype=torch.float64)
    return layer


@given(
    alpha=st.floats(0.01, 10) | st.floats(-10, -0.01),
    beta=st.floats(-5, 5),
    x=st.floats(-20, 20),
)
def test_the_two_values_lie_evenly_about_the_cut(alpha: float, beta: float, x: float) -> None:
    made = ada_sign([alpha], [beta])(torch.tensor([[x]], dtype=torch.float64)).item()
    assert made == (beta + abs(alpha) if x - beta >= 0 else -abs(alpha) + beta)


def test_the_offset_is_beta_and_not_alpha_times_beta() -> None:
    layer = ada_sign([0.5], [2.0])
    made = layer(torch.tensor([[1.9, 2.0, 2.1]], dtype=torch.float64))
    assert made.tolist() == [[1.5, 2.5, 2.5]]  # the published code gives 0.5 and 1.5


@pytest.mark.parametrize("name", NAMES)
def test_the_gradients_of_the_adaptive_sign_are_those_of_its_formula(name: str) -> None:
    layer = ada_sign([0.7, -1.3, 2.0], [0.2, -0.5, 1.0], name)
    x = drawn(50, 3).double().requires_grad_()
    arriving = drawn(50, 3, seed=1).double()
    layer(x).backward(arriving)
    alpha, beta = layer.alpha.detach().abs(), layer.beta.detach()
    u = (x.detach() - beta) / alpha
    slope, sign = surrogate(name)(u), torch.where(u >= 0, 1.0, -1.0)
    torch.testing.assert_close(x.grad, arriving * slope)
    by_size = (arriving * (sign - u * slope)).sum(0)
    torch.testing.assert_close(layer.alpha.grad, by_size * layer.alpha.detach().sign())
    torch.testing.assert_close(layer.beta.grad, (arriving * (1 - slope)).sum(0))


def test_an_adaptive_sign_begins_as_a_plain_one() -> None:
    x = drawn(4, 3, 5, 5)
    x[0, 0, 0, 0] = 0.0
    assert torch.equal(AdaSign()(x), Sign()(x))
    assert torch.equal(AdaSign(3)(x), Sign()(x))


def test_channels_of_an_adaptive_sign_are_separate() -> None:
    layer = ada_sign([1.0, 2.0], [0.0, 3.0])
    x = drawn(3, 2, 4).double()
    both = layer(x)
    for c in range(2):
        alone = ada_sign([layer.alpha[c].item()], [layer.beta[c].item()])
        assert torch.equal(both[:, c : c + 1], alone(x[:, c : c + 1]))


def test_a_size_of_zero_is_survived() -> None:
    layer = ada_sign([0.0], [1.0])
    x = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(layer(x), torch.ones_like(x))
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert layer.beta.grad.isfinite().all()


def test_an_adaptive_sign_hears_how_far_the_training_is() -> None:
    layer = AdaSign(surrogate_name="ede")
    set_progress(layer, 0.5)
    assert layer.sign.progress == 0.5


def test_rsign_is_the_sign_of_the_shifted_channel() -> None:
    layer, x = rsign(3, "clipped"), drawn(4, 3, 5, 5)
    layer[0].shift.data = torch.tensor([0.5, -0.5, 0.0])
    expected = torch.where(x + layer[0].shift.view(1, 3, 1, 1) >= 0, 1.0, -1.0)
    assert torch.equal(layer(x), expected)


SIZES: dict[str, Any] = {
    "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "stride": st.tuples(st.integers(1, 2), st.integers(1, 2)),
    "padding": st.tuples(st.integers(0, 3), st.integers(0, 3)),
    "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
    "groups": st.integers(1, 2),
}


def scale_by_hand(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Return K of one row (channels, height, width) as the paper words it, pixel by pixel."""
    size = np.pad(np.abs(x).mean(0), [(p, p) for p in padding])
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    shape = [(n - r) // s + 1 for n, r, s in zip(size.shape, reach, stride, strict=True)]
    made = np.zeros(shape)
    for i, j in np.ndindex(*shape):
        down = i * stride[0] + dilation[0] * np.arange(kernel[0])
        right = j * stride[1] + dilation[1] * np.arange(kernel[1])
        made[i, j] = size[np.ix_(down, right)].sum() / (kernel[0] * kernel[1])
    return made


@settings(max_examples=20, deadline=None)
@given(**SIZES)
def test_the_input_scale_is_a_box_filter_on_the_mean_size_of_the_channels(
    kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> None:
    x = drawn(2, 4, 7, 6)
    made = InputScale(kernel, stride, padding, dilation, groups)(x)
    parts = x.numpy().reshape(2, groups, 4 // groups, 7, 6)
    for row, g in np.ndindex(2, groups):
        expected = scale_by_hand(parts[row, g], kernel, stride, padding, dilation)
        np.testing.assert_allclose(made[row, g].numpy(), expected, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(pad_value=st.sampled_from([-1, 0, 1]), **SIZES)
def test_an_xnor_convolution_is_the_binary_one_of_the_signs_times_both_scales(
    kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, pad_value: Any
) -> None:
    sizes = (4, 6, kernel, stride, padding, pad_value, dilation, groups)
    layer, x = XnorConv2d(*sizes), drawn(2, 4, 7, 6)
    plain = BinaryConv2d(*sizes, binarizer="xnor")
    plain.latent_weight.data = layer.conv.latent_weight.data
    scale = InputScale(kernel, stride, padding, dilation, groups)(x)
    expected = plain(torch.where(x >= 0, 1.0, -1.0)) * scale.repeat_interleave(6 // groups, 1)
    torch.testing.assert_close(layer(x), expected)


def test_nothing_is_lost_where_all_sizes_are_equal() -> None:
    layer = XnorConv2d(3, 5, 3, stride=2, binarizer="bi_real")
    layer.conv.latent_weight.data = 0.3 * layer.conv.latent_weight.data.sign()
    x = 1.7 * drawn(2, 3, 9, 9).sign()
    torch.testing.assert_close(layer(x), conv2d(x, layer.conv.latent_weight, None, 2))


def test_an_xnor_convolution_learns_through_sign_and_scale() -> None:
    layer, x = XnorConv2d(2, 3, 3, padding=1), drawn(2, 2, 5, 5).requires_grad_()
    layer(x).square().sum().backward()
    assert layer.conv.latent_weight.grad is not None
    assert (layer.conv.latent_weight.grad != 0).all()
    assert x.grad is not None
    assert (x.grad[x.detach().abs() > 1] != 0).any(), "K passes where the clipped sign does not"


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: AdaSign(0), "channels must be at least 1, got 0"),
    (lambda: AdaSign(2, "no"), "surrogate must be one of"),
    (lambda: InputScale(0), "kernel_size must be at least 1"),
    (lambda: InputScale(3, padding=-1), "padding must be at least 0"),
    (lambda: InputScale(3, groups=0), "do not divide into 0 groups"),
    (lambda: XnorConv2d(3, 4, 3, groups=2), "do not divide into 2 groups"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_what_cannot_be_built_says_why(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
