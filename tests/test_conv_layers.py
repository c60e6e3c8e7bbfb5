"""Layers on pictures: what they compute in torch's own terms, and what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from bimetal.errors import DataError
from bimetal.nn import (
    SURROGATES,
    BinaryConv1d,
    BinaryConv2d,
    BitPlanes,
    ByteConv2d,
    ByteLinear,
    Logits,
    Repeat,
    Residual,
    RPReLU,
    Scale,
    Shift,
    Thermometer,
    bi_real_block,
    binarize,
    clip_latent,
    fold_norm,
    fold_norms,
    latent_weights,
    react_block,
    surrogate,
)
from bimetal.nn.scales import norm_after

NAMES = [f.__name__ for f in SURROGATES]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def signs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, shape, generator=seeded(seed)).float() * 2 - 1


def pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=seeded(seed)).float()


def as_signs(latent: Tensor) -> Tensor:
    return torch.where(latent >= 0, 1.0, -1.0)


@given(
    groups=st.integers(1, 3),
    k_in=st.integers(1, 4),
    k_out=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pad_value=st.sampled_from([-1, 0, 1]),
)
def test_a_binary_convolution_is_a_convolution_with_the_signs_of_its_weights(
    groups: int, k_in: int, k_out: int, kernel: Any, stride: Any, padding: Any, dilation: Any,
    pad_value: Any,
) -> None:  # fmt: skip
    layer = BinaryConv2d(
        groups * k_in, groups * k_out, kernel, stride, padding, pad_value, dilation, groups
    )
    x = signs(2, groups * k_in, 7, 8)
    around = (padding[1], padding[1], padding[0], padding[0])
    expected = conv2d(
        pad(x, around, value=pad_value), as_signs(layer.latent_weight), None, stride, 0, dilation,
        groups,
    )  # fmt: skip
    assert torch.equal(layer(x), expected)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (BinaryConv2d(2, 5, 3, padding=1, binarizer="bi_real"), (2, 5, 5)),
        (BinaryConv1d(2, 5, 3, padding=1, binarizer="bi_real"), (2, 5)),
    ],
)
def test_a_picture_or_sequence_alone_is_answered_as_in_a_batch(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    x = torch.randn(shape)  # as many places as channels: a scale on the wrong axis would fit
    torch.testing.assert_close(layer(x), layer(x[None])[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("make", [BitPlanes, Thermometer, lambda: ByteConv2d(3, 24, 1)])
def test_a_net_of_another_type_reads_pictures_too(
    make: Callable[[], nn.Module], dtype: torch.dtype
) -> None:
    net = nn.Sequential(make(), BinaryConv2d(24, 2, 3), nn.BatchNorm2d(2)).to(dtype)
    assert net(pixels(4, 3, 5, 5).to(dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("layer", "shape"), [(BinaryConv2d(2, 4, 1), (1, 3, 5, 5)), (BinaryConv1d(2, 4, 1), (1, 3, 5))]
)
def test_an_input_of_other_channels_is_refused(layer: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"reads 2 channels, got an input of shape \(1, 3, 5"):
        layer(torch.ones(shape))


def test_the_edge_is_minus_one_unless_said_otherwise() -> None:
    layer = BinaryConv2d(1, 1, 3, padding=1)
    layer.latent_weight.data.fill_(1.0)
    assert layer(torch.ones(1, 1, 1, 1)).item() == 1 - 8


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_latent_weight_through_its_surrogate(name: str) -> None:
    layer = BinaryConv2d(2, 3, 3, padding=1, binarizer=name, generator=seeded(1))
    x, arriving = signs(4, 2, 5, 5), torch.randn(4, 3, 5, 5, generator=seeded(2))
    layer(x).backward(arriving)
    plain = as_signs(layer.latent_weight.detach()).requires_grad_()
    conv2d(pad(x, (1, 1, 1, 1), value=-1.0), plain).backward(arriving)
    latent = layer.latent_weight.detach().clone().requires_grad_()
    slope = torch.autograd.grad(binarize(latent, surrogate(name)).sum(), latent)[0]
    torch.testing.assert_close(layer.latent_weight.grad, plain.grad * slope)


def test_latent_weights_of_convolutions_are_found_and_clipped() -> None:
    net = nn.Sequential(BinaryConv2d(1, 2, 3), nn.Sequential(bi_real_block(2, 2)))
    for weight in latent_weights(net):
        weight.data.fill_(-3.0)
    clip_latent(net, 0.5)
    assert [w.shape for w in latent_weights(net)] == [(2, 1, 3, 3), (2, 2, 3, 3)]
    assert all((w == -0.5).all() for w in latent_weights(net))


def test_the_same_generator_makes_the_same_weights() -> None:
    for make in (
        lambda g: BinaryConv2d(2, 3, 3, generator=g).latent_weight,
        lambda g: ByteConv2d(2, 3, 3, generator=g).weight,
        lambda g: ByteLinear(4, 3, generator=g).weight,
    ):
        assert torch.equal(make(seeded(5)), make(seeded(5)))
        assert not torch.equal(make(seeded(5)), make(seeded(6)))


def test_bit_planes_are_the_binary_digits_of_a_byte() -> None:
    x = torch.arange(256.0).view(1, 2, 8, 16)
    planes = BitPlanes()(x).view(1, 2, 8, 8, 16)
    powers = torch.tensor([2.0**b for b in range(8)])[:, None, None]
    assert set(planes.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(((planes + 1) / 2 * powers).sum(2), x)


@given(n_levels=st.integers(1, 254))
def test_a_thermometer_rises_through_levels_that_differ(n_levels: int) -> None:
    thermometer = Thermometer(n_levels)
    codes = thermometer(torch.arange(256.0).view(1, 1, 1, 256))[0, :, 0]
    assert codes.shape == (n_levels, 256)
    assert (codes[:, 0] == -1).all()
    assert (codes[:, 255] == 1).all()
    assert len(codes.T.unique(dim=0)) == n_levels + 1
    assert (codes.diff(dim=1) >= 0).all()


@pytest.mark.parametrize("layer", [BitPlanes(), Thermometer(3), ByteConv2d(1, 2, 1)])
def test_what_is_no_byte_is_rounded_to_one(layer: nn.Module) -> None:
    x = torch.tensor([-7.0, 0.5, 1.5, 99.4, 254.6, 300.0]).view(1, 1, 1, 6)
    exact = torch.tensor([0.0, 0.0, 2.0, 99.0, 255.0, 255.0]).view(1, 1, 1, 6)
    assert torch.equal(layer(x), layer(exact))


MEAN, STD = (0.485, 0.456, 0.406, 0.5), (0.229, 0.224, 0.225, 1.0)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_byte_convolution_is_nearly_that_of_the_normalized_picture(groups: int) -> None:
    layer = ByteConv2d(4, 6, 3, 2, 1, 1, groups, MEAN, STD, seeded())
    x = pixels(2, 4, 9, 9)
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    # the edge is the byte nearest to the mean
    padded = torch.cat(
        [pad(x[:, i : i + 1], (1,) * 4, value=round(255 * MEAN[i])) for i in range(4)], 1
    )
    expected = conv2d((padded / 255 - mean) / std, layer.weight, None, 2, 0, 1, groups)
    error = (layer(x) - expected).abs().max() / expected.abs().max()
    assert error < 0.02
    assert error > 0


def test_a_byte_convolution_sums_whole_numbers_and_scales_them() -> None:
    layer = ByteConv2d(3, 5, 3, padding=1, mean=MEAN[:3], std=STD[:3], generator=seeded())
    whole, scale = layer.rounded()
    assert torch.equal(whole, whole.round())
    assert whole.abs().flatten(1).amax(1).tolist() == [127] * 5
    x = pixels(2, 3, 6, 6)
    padded = torch.cat(
        [pad(x[:, i : i + 1], (1,) * 4, value=layer.pad[i].item()) for i in range(3)], 1
    )
    sums = conv2d(padded.double(), whole.double())
    assert torch.equal(layer(x), scale(sums.float()))


def test_sums_beyond_float32_are_still_exact() -> None:
    layer = ByteConv2d(64, 1, 5, generator=seeded())
    layer.weight.data.fill_(1.0)
    layer.weight.data[0, 0, 0, 0] = 1 / 127
    x = torch.full((1, 64, 5, 5), 255.0)
    x[0, 0, 0, 0] = 1.0
    exact = 127 * 255 * (64 * 25 - 1) + 1
    assert exact >= 2**24
    scale = layer.rounded()[1]
    assert layer(x).item() == scale(torch.tensor([[float(exact)]])).item()


def test_the_gradient_passes_the_rounding_of_eight_bits() -> None:
    layer = ByteConv2d(2, 3, 3, mean=(0.5, 0.4), std=(0.2, 0.3), generator=seeded())
    x, arriving = pixels(2, 2, 5, 5), torch.randn(2, 3, 3, 3, generator=seeded(1))
    layer(x).backward(arriving)
    plain = layer.weight.detach().clone().requires_grad_()
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.5, 0.4), (0.2, 0.3)))
    conv2d((x / 255 - mean) / std, plain).backward(arriving)
    torch.testing.assert_close(layer.weight.grad, plain.grad, rtol=1e-4, atol=1e-4)


def test_an_ordinary_convolution_becomes_one_of_bytes() -> None:
    conv = nn.Conv2d(2, 4, (3, 1), (2, 1), (1, 0), bias=False)
    layer = ByteConv2d.from_conv(conv, (0.0, 0.0), (1 / 255,) * 2)
    x = pixels(1, 2, 7, 7)
    torch.testing.assert_close(layer(x), conv(x), rtol=0.05, atol=3.0)


def test_a_byte_linear_is_nearly_linear_and_learns() -> None:
    layer, x = ByteLinear(40, 3, seeded()), signs(5, 40)
    layer.bias.data = torch.tensor([1.0, -2.0, 0.5])
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=0.05, atol=0.05)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, x.sum(0).expand(3, 40))
    assert layer.bias.grad.tolist() == [5.0] * 3


def test_weights_that_are_all_zero_stay_zero() -> None:
    layer = ByteLinear(4, 2)
    layer.weight.data.zero_()
    assert layer(signs(3, 4)).abs().max() == 0


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 5)])
def test_scales_and_slopes_act_channel_by_channel(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=seeded())
    for layer in (Scale(4), Shift(4), RPReLU(4), *([Logits(4)] if len(shape) == 2 else [])):
        for parameter in layer.parameters():
            parameter.data = torch.randn(4, generator=seeded(1))
        alone = torch.stack([layer(x)[:, c] for c in range(4)], 1)
        for c in range(4):
            changed = x.clone()
            changed[:, (c + 1) % 4] += 1
            assert torch.equal(layer(changed)[:, c], alone[:, c])


def test_rprelu_bends_where_it_says() -> None:
    layer = RPReLU(1, slope=0.5)
    layer.before.data.fill_(1.0)
    layer.after.data.fill_(10.0)
    assert layer(torch.tensor([[0.0], [1.0], [3.0]])).flatten().tolist() == [9.5, 10.0, 12.0]


@pytest.mark.parametrize("affine", [True, False])
def test_a_folded_norm_is_the_norm_but_for_rounding(affine: bool) -> None:
    norm = nn.BatchNorm2d(5, affine=affine)
    norm(torch.randn(8, 5, 3, 3, generator=seeded()) * 4 + 2)
    norm.eval()
    x = torch.randn(2, 5, 3, 3, generator=seeded(1))
    torch.testing.assert_close(fold_norm(norm)(x), norm(x))


def test_folding_norms_leaves_the_model_alone_and_finds_all_of_them() -> None:
    net = nn.Sequential(react_block(2, 4), nn.Sequential(nn.BatchNorm2d(4)))
    folded = fold_norms(net)
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    assert sum(isinstance(m, kinds) for m in net.modules()) == 3
    assert not any(isinstance(m, kinds) for m in folded.modules())
    assert net.training
    assert not folded.training


@pytest.mark.parametrize("n_pooled", [1, 4, 9])
def test_half_of_the_pooled_bits_of_an_untrained_norm_fire(n_pooled: int) -> None:
    norm = norm_after(1, variance=9.0, n_pooled=n_pooled).eval()
    x = 3 * torch.randn(4000, 1, n_pooled, 1, generator=seeded())
    assert abs((norm(x) >= 0).any(dim=2).float().mean().item() - 0.5) < 0.03


@pytest.mark.parametrize("block", [bi_real_block, react_block])
@pytest.mark.parametrize(("n_out", "stride"), [(4, 1), (8, 1), (4, 2), (12, 2)])
def test_blocks_have_their_shapes_and_learn_everywhere(
    block: Callable[..., nn.Module], n_out: int, stride: int
) -> None:
    net = block(4, n_out, stride, generator=seeded())
    made = net(torch.randn(3, 4, 6, 6, generator=seeded(1)))
    assert made.shape == (3, n_out, 6 // stride, 6 // stride)
    made.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_a_block_whose_branch_is_silent_is_its_shortcut() -> None:
    net = bi_real_block(2, 4, stride=2).eval()
    nn.init.zeros_(net.branch[2].weight)
    x = torch.randn(1, 2, 4, 4, generator=seeded())
    assert torch.equal(net(x), nn.functional.avg_pool2d(x, 2).repeat(1, 2, 1, 1))
    assert torch.equal(Residual(nn.Identity(), Repeat(1))(x), 2 * x)


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: BinaryConv2d(3, 4, 3, groups=2), "do not divide into 2 groups"),
    (lambda: BinaryConv2d(0, 4, 3), "must be positive"),
    (lambda: BinaryConv2d(3, 4, 0), "kernel_size must be at least 1"),
    (lambda: BinaryConv2d(3, 4, 3, stride=(1, 0)), "stride must be at least 1"),
    (lambda: BinaryConv2d(3, 4, 3, dilation=0), "dilation must be at least 1"),
    (lambda: BinaryConv2d(3, 4, 3, padding=-1), "padding must be at least 0"),
    (lambda: BinaryConv2d(3, 4, 3, padding="same"), "one down and one right, got 'same'"),  # type: ignore[arg-type]
    (lambda: BinaryConv2d(3, 4, (3, 3, 3)), "one down and one right"),  # type: ignore[arg-type]
    (lambda: BinaryConv2d(3, 4, 3, pad_value=2), "pad_value must be -1, 0 or 1, got 2"),
    (lambda: BinaryConv2d(3, 4, 3, binarizer="none"), "binarizer must be"),
    (lambda: Thermometer(0), "1 to 254 levels, got 0"),
    (lambda: Thermometer(255), "1 to 254 levels, got 255"),
    (lambda: ByteConv2d(3, 4, 3, groups=2), "do not divide into 2 groups"),
    (lambda: ByteConv2d(3, 4, 3, mean=(0.5, 0.5)), "one number for each of 3 input channels"),
    (lambda: ByteConv2d(1, 4, 3, mean=(1.5,)), "mean within 0 and 1"),
    (lambda: ByteConv2d(1, 4, 3, std=(0.0,)), "std above 0"),
    (lambda: ByteConv2d.from_conv(nn.Conv2d(1, 2, 3)), "no bias"),
    (
        lambda: ByteConv2d.from_conv(nn.Conv2d(1, 2, 3, bias=False, padding_mode="reflect")),
        "padding with zeros",
    ),
    (lambda: ByteLinear(0, 2), "sizes must be at least 1"),
    (lambda: Repeat(0), "1 time or more"),
    (lambda: bi_real_block(4, 6), "6 output channels are no multiple of 4"),
    (lambda: fold_norm(nn.BatchNorm1d(2, track_running_stats=False)), "no running statistics"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_what_cannot_be_built_says_why(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
