"""Binary convolutions over time: torch's own on ±1, and no step sees the future."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad

from bimetal.errors import DataError
from bimetal.nn import BinaryConv1d, BinaryConv2d, binary_layers, causal, latent_weights, tcn_block

LAW = settings(max_examples=25, deadline=None)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def signs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, shape, generator=seeded(seed)).float() * 2 - 1


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed))


SIZES: dict[str, Any] = {
    "groups": st.integers(1, 3),
    "kernel": st.integers(1, 4),
    "stride": st.integers(1, 3),
    "dilation": st.integers(1, 3),
    "pad_value": st.sampled_from([-1, 0, 1]),
}


@LAW
@given(left=st.integers(0, 5), right=st.integers(0, 5), **SIZES)
def test_a_binary_convolution_is_torchs_with_the_signs_of_its_weights(
    groups: int, kernel: int, stride: int, dilation: int, pad_value: Any, left: int, right: int
) -> None:
    layer = BinaryConv1d(
        2 * groups, 3 * groups, kernel, stride, (left, right), pad_value, dilation, groups
    )
    x = signs(2, 2 * groups, 12)
    weight = torch.where(layer.latent_weight >= 0, 1.0, -1.0)
    padded = pad(x, (left, right), value=pad_value)
    expected = conv1d(padded, weight, None, stride, 0, dilation, groups)
    assert torch.equal(layer(x), expected)


@LAW
@given(padding=st.integers(0, 3), **SIZES)
def test_it_is_a_convolution_of_maps_of_height_one(
    groups: int, kernel: int, stride: int, dilation: int, pad_value: Any, padding: int
) -> None:
    line = BinaryConv1d(
        2 * groups, 3 * groups, kernel, stride, padding, pad_value, dilation, groups
    )
    flat = BinaryConv2d(
        2 * groups, 3 * groups, (1, kernel), (1, stride), (0, padding), pad_value, (1, dilation),
        groups,
    )  # fmt: skip
    flat.latent_weight.data = line.latent_weight.data[:, :, None]
    x = signs(2, 2 * groups, 12)
    assert torch.equal(line(x), flat(x[:, :, None])[:, :, 0])


def changed_outputs(layer: Callable[[Tensor], Tensor], x: Tensor, step: int) -> list[int]:
    """Return the steps whose answer changes when the input of one step does."""
    other = x.clone()
    other[:, :, step] = -other[:, :, step]
    return (layer(x) != layer(other)).any(dim=0).any(dim=0).nonzero().flatten().tolist()


@LAW
@given(kernel=st.integers(1, 4), dilation=st.integers(1, 3), step=st.integers(0, 19))
def test_a_causal_convolution_keeps_the_length_and_never_sees_the_future(
    kernel: int, dilation: int, step: int
) -> None:
    layer = BinaryConv1d(3, 5, kernel, padding="causal", dilation=dilation)
    x = signs(2, 3, 20)
    assert layer(x).shape == (2, 5, 20)
    assert layer.padding == causal(kernel, dilation)
    reach = [step + i * dilation for i in range(kernel) if step + i * dilation < 20]
    assert changed_outputs(layer, x, step) == reach, "an odd number of flips always shows"


@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_a_block_answers_from_its_past_alone_and_reaches_as_far_as_it_says(dilation: int) -> None:
    net, x = tcn_block(4, 8, 3, dilation, generator=seeded()).eval(), drawn(64, 4, 30)
    changed = changed_outputs(net, x, 7)
    assert changed[0] == 7
    assert changed[-1] == 7 + 4 * dilation


def test_what_comes_later_changes_nothing_before_it() -> None:
    net = nn.Sequential(tcn_block(3, 6, 2, 1), tcn_block(6, 6, 2, 2), tcn_block(6, 6, 2, 4)).eval()
    x = drawn(2, 3, 25)
    for t in (1, 10, 24):
        torch.testing.assert_close(net(x[:, :, :t]), net(x)[:, :, :t])


def test_a_block_whose_branches_are_silent_is_its_shortcuts() -> None:
    net, x = tcn_block(2, 6).eval(), drawn(1, 2, 9)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d):
            nn.init.zeros_(norm.weight)
    assert torch.equal(net(x), x.repeat(1, 3, 1))


def test_a_block_learns_everywhere() -> None:
    net = tcn_block(4, 8, generator=seeded())
    net(drawn(3, 4, 11)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())
    assert [tuple(w.shape) for w in latent_weights(net)] == [(8, 4, 3), (8, 8, 3)]


def test_scales_of_a_binarizer_multiply_the_sums() -> None:
    layer = BinaryConv1d(3, 4, 3, binarizer="bi_real")
    plain = BinaryConv1d(3, 4, 3)
    plain.latent_weight.data = layer.latent_weight.data
    scale = layer.latent_weight.abs().mean((1, 2)).view(4, 1)
    x = signs(2, 3, 8)
    torch.testing.assert_close(layer(x), plain(x) * scale)


def test_the_same_generator_makes_the_same_weights() -> None:
    first, second = (BinaryConv1d(2, 3, 3, generator=seeded(5)).latent_weight for _ in range(2))
    assert torch.equal(first, second)
    assert list(binary_layers(nn.Sequential(BinaryConv1d(2, 3, 3)))) == ["0"]


def test_a_convolution_names_its_sizes() -> None:
    assert repr(BinaryConv1d(2, 3, 3, padding="causal", dilation=2)) == (
        "BinaryConv1d(2, 3, kernel_size=3, stride=1, padding=(4, 0), pad_value=-1, dilation=2, "
        "groups=1)"
    )


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: BinaryConv1d(3, 4, 3, groups=2), "do not divide into 2 groups"),
    (lambda: BinaryConv1d(3, 4, 0), "kernel_size must be at least 1, got 0"),
    (lambda: BinaryConv1d(3, 4, 3, stride=0), "stride must be at least 1, got 0"),
    (lambda: BinaryConv1d(3, 4, 3, dilation=0), "dilation must be at least 1, got 0"),
    (lambda: BinaryConv1d(3, 4, 3, padding=(1, -1)), "padding must be at least 0"),
    (lambda: BinaryConv1d(3, 4, 3, padding="same"), "or 'causal', got 'same'"),  # type: ignore[arg-type]
    (lambda: BinaryConv1d(3, 4, 3, padding=(1, 2, 3)), r"got \(1, 2, 3\)"),  # type: ignore[arg-type]
    (lambda: BinaryConv1d(3, 4, 3, pad_value=2), "pad_value must be -1, 0 or 1, got 2"),  # type: ignore[arg-type]
    (lambda: BinaryConv1d(3, 4, 3, binarizer="none"), "binarizer must be"),
    (lambda: tcn_block(4, 6), "6 output channels are no multiple of 4"),
    (lambda: tcn_block(0, 6), "n_in must be at least 1, got 0"),
    (lambda: tcn_block(4, 4, 0), "kernel_size must be at least 1, got 0"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_what_cannot_be_built_says_why(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
