"""Binary weights that read bytes or pixels, and answers from bytes: torch and the Program agree."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lowering import (  # noqa: F401  (the fixture works by being here)
    answers_of,
    assert_same,
    images,
    one_thread,
    op_names,
    packed_answers,
    settle,
)
from torch import nn

from bimetal.errors import ProgramError
from bimetal.lower import lower_cnn
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteConv2d,
    ByteLinear,
    Logits,
    Repeat,
    Residual,
    Scale,
    Sign,
    Thermometer,
    fold_norms,
)
from bimetal.nn.activations import Bytes, Pixels
from bimetal.ops import ByteConv

LAW = settings(max_examples=25, deadline=None)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def calibrated(net: nn.Module, x: Any) -> nn.Module:
    """Let all ranges be those of the data."""
    for layer in net.modules():
        if isinstance(layer, Bytes):
            layer.momentum = 1.0
    settle(net, x)
    return net


@LAW
@given(
    reads=st.sampled_from(["bytes", "pixels", "pixels by colour"]),
    pad_value=st.sampled_from([0, 1]),
    binarizer=st.sampled_from(["binarynet", "xnor", "ir_net"]),
    kernel=st.sampled_from([1, 3, (2, 3)]),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from([0, 1, (0, 1)]),
    groups=st.sampled_from([1, 2]),
    after=st.sampled_from(["sign", "floats", "bytes"]),
    seed=st.integers(0, 2**31),
)
def test_a_binary_convolution_reads_bytes(
    reads: str, pad_value: Literal[0, 1], binarizer: str, kernel: Any, stride: int, padding: Any,
    groups: int, after: str, seed: int,
) -> None:  # fmt: skip
    start: dict[str, list[nn.Module]] = {
        "bytes": [],
        "pixels": [Pixels(0.5, 0.1)],  # 1 is 32 pixels, so an edge of 1 is a pixel too
        "pixels by colour": [Pixels((0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.4, 0.6))],
    }
    conv = BinaryConv2d(
        4, 6, kernel, stride, padding, pad_value, groups=groups, binarizer=binarizer,
        generator=seeded(seed),
    )  # fmt: skip
    tails: dict[str, list[nn.Module]] = {
        "sign": [nn.BatchNorm2d(6), Sign(), nn.Flatten()],
        "floats": [Residual(nn.PReLU(6)), nn.MaxPool2d(2, 1), Sign(), nn.Flatten()],
        "bytes": [nn.BatchNorm2d(6), nn.ReLU(), Bytes(), nn.MaxPool2d(2, 1), nn.Flatten()],
    }
    net = nn.Sequential(*start[reads], conv, *tails[after])
    x = images(6, 4, 7, 8, seed=seed)
    n = net(x).shape[1]
    net.extend([BinaryLinear(n, 5, binarizer=binarizer, generator=seeded(seed)), Scale(5), Sign()])
    net.extend([BinaryLinear(5, 3, generator=seeded(seed)), Logits(3)])
    net = fold_norms(calibrated(net, x))
    program = lower_cnn(net, (4, 7, 8))
    np.testing.assert_array_equal(packed_answers(program, x), answers_of(net, x))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    "pixels", [Pixels(), Pixels(0.1307, 0.3081), Pixels((0.2, 0.9), (0.4, 0.05))]
)
def test_a_net_on_real_pixels_equals_its_program(pixels: Pixels, groups: int) -> None:
    net = nn.Sequential(
        pixels, nn.Flatten(), BinaryLinear(2 * 64, 32, groups), nn.BatchNorm1d(32), Sign(),
        BinaryLinear(32, 32), nn.BatchNorm1d(32), Sign(), BinaryLinear(32, 4), Logits(4),
    )  # fmt: skip
    x = images(40, 2, 8, 8)
    program = assert_same(settle(net, x), x)
    assert op_names(program) == ["Quantize", "ByteConv", "Conv", "Conv", "Link"]


def test_pixels_of_one_deviation_need_no_weights_but_signs() -> None:
    net = nn.Sequential(Pixels(0.5, 0.5), nn.Flatten(), BinaryLinear(64, 4), Logits(4))
    conv = assert_same(net, images(9, 1, 8, 8)).ops[1]
    assert isinstance(conv, ByteConv)
    assert np.unique(conv.weights).tolist() == [-1, 1]
    sums = conv.weights.astype(int).sum(1)
    np.testing.assert_array_equal(conv.bias, -128 * sums)


def test_the_edge_of_pixels_is_a_pixel() -> None:
    conv = BinaryConv2d(1, 8, 3, padding=1, pad_value=-1)
    net = nn.Sequential(Pixels(0.5, 0.5), conv, nn.BatchNorm2d(8), Sign(), nn.Flatten(),
                        BinaryLinear(8 * 36, 4), Logits(4))  # fmt: skip
    x = images(9, 1, 6, 6)
    byte_conv = assert_same(settle(net, x), x).ops[1]
    assert isinstance(byte_conv, ByteConv)
    assert byte_conv.pad.tolist() == [0], "−1 is black: (0 − 128) / 128"


PIECES: dict[str, tuple[list[nn.Module], list[str]]] = {
    "signs of pixels": ([Pixels(0.5, 0.5), Sign()], ["Planes"]),
    "signs of normed pixels": ([Pixels(), nn.BatchNorm2d(2), Sign()], ["Threshold"]),
    "pooled pixels": ([nn.MaxPool2d(2), Pixels(), BinaryConv2d(2, 3, 2), nn.BatchNorm2d(3), Sign()], ["Pool", "ByteConv"]),
    "pixels pooled": ([Pixels(0.8), nn.MaxPool2d(2), BinaryConv2d(2, 3, 2), nn.BatchNorm2d(3), Sign()], ["Pool", "ByteConv"]),
    "average pixels": ([Pixels(0.3), nn.AvgPool2d(2), Sign()], ["Affine", "Pool", "Threshold"]),
    "pixels around a block": ([Pixels(0.4), Residual(nn.PReLU(2)), Sign()], ["Affine"]),
    "repeated pixels": ([Repeat(2), nn.BatchNorm2d(4), Sign()], ["Concat", "Threshold"]),
    "bytes of bytes": ([Bytes(0, 300), BinaryConv2d(2, 3, 2), nn.BatchNorm2d(3), Sign()], ["Quantize", "ByteConv"]),
    "bytes of bits": ([Thermometer(2), Bytes(-3, 2), BinaryConv2d(4, 3, 2), nn.BatchNorm2d(3), Sign()], ["ByteConv"]),
    "planes of bytes": ([Pixels(), Scale(2), Bytes(0, 1), BitPlanes()], ["Affine", "Planes"]),
    "an 8-bit layer within": (
        [Pixels(), BinaryConv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), Bytes(0, 4),
         ByteConv2d(4, 3, 3, padding=1, mean=(0.2,) * 4), nn.BatchNorm2d(3), Sign()],
        ["ByteConv", "ByteConv"]),
    "an 8-bit shortcut": (
        [Pixels(), BinaryConv2d(2, 4, 3), nn.BatchNorm2d(4),
         Residual(nn.Sequential(Sign(), BinaryConv2d(4, 8, 3, 2, 1), nn.BatchNorm2d(8)),
                  nn.Sequential(nn.AvgPool2d(2), Bytes(-4, 4), ByteConv2d(4, 8, 1), nn.BatchNorm2d(8))),
         Sign()],
        ["Conv", "Quantize", "ByteConv", "Add"]),
    "a range for each of a row": (
        [Pixels(), BinaryConv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), Bytes(-2, 2, n=147),
         BinaryLinear(147, 9), nn.BatchNorm1d(9), Sign()],
        ["Affine", "Quantize", "ByteConv"]),
    "a range for each channel": ([Bytes(3, 200, n=2), BinaryConv2d(2, 3, 2), nn.BatchNorm2d(3), Sign()], ["Quantize"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
def test_every_piece_answers_alike(name: str) -> None:
    layers, expected = PIECES[name]
    torch.manual_seed(0)
    x = images(24, 2, 8, 8)
    body = nn.Sequential(*layers)
    net = nn.Sequential(body, nn.Flatten(), BinaryLinear(body(x).flatten(1).shape[1], 8), Logits(8))
    settle(net, x)
    for layer in net.modules():
        if isinstance(layer, Bytes) and layer.n:
            layer.high.add_(torch.rand(layer.n, generator=seeded(1)))
    net = fold_norms(net)
    names = op_names(assert_same(net, x))
    places = iter(names)
    assert all(op in places for op in expected), names


def test_the_sign_of_pixels_above_black_is_always_plus() -> None:
    net = nn.Sequential(Sign(), nn.Flatten(), BinaryLinear(128, 4), Logits(4))
    x = images(3, 2, 8, 8)
    program = lower_cnn(net, (2, 8, 8))
    np.testing.assert_array_equal(packed_answers(program, x), answers_of(net, x))
    assert op_names(program) == ["Quantize", "Pool", "Threshold", "Conv", "Link"]


@pytest.mark.parametrize(
    ("clip", "low", "high", "is_left_out"),
    [
        (nn.ReLU(), 0.0, 6.0, True),
        (nn.ReLU(), -1.0, 6.0, False),
        (nn.ReLU6(), 0.0, 6.0, True),
        (nn.Hardtanh(), -1.0, 1.0, True),
    ],
)
def test_a_clip_that_bytes_repeat_is_left_out(
    clip: nn.Module, low: float, high: float, is_left_out: bool
) -> None:
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(16, 6, 3), nn.BatchNorm2d(6), clip, Bytes(low, high), nn.MaxPool2d(2),
        nn.Flatten(), ByteLinear(54, 4, reads="bytes"),
    )  # fmt: skip
    x = images(12, 2, 8, 8)
    names = op_names(assert_same(fold_norms(settle(net, x)), x))
    bend = [] if is_left_out else ["PReLU"]
    assert names[2:] == ["Conv", "Affine", *bend, "Quantize", "Pool", "ByteConv", "Link"]


def test_a_clip_inside_the_range_of_bytes_needs_an_operation_of_its_own() -> None:
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(16, 6, 3), nn.Hardtanh(), Bytes(-2, 2), nn.Flatten()
    )
    with pytest.raises(ProgramError, match=r"layer '3' \(Bytes\): Hardtanh has no float operation"):
        lower_cnn(net, (2, 8, 8))


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("n_classes", [3, 10])
def test_a_head_of_real_values_reads_them_in_eight_bits(size: int, n_classes: int) -> None:
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), Residual(nn.PReLU(32)),
        nn.AvgPool2d(8 // size), Bytes(-2.0, 3.0), nn.Flatten(),
        ByteLinear(32 * size * size, n_classes, reads="bytes"),
    )  # fmt: skip
    x = images(20, 2, 8, 8)
    assert_same(fold_norms(settle(net, x)), x)


def test_a_net_that_begins_with_bytes_reads_any_numbers() -> None:
    net = nn.Sequential(
        Bytes(-3.0, 2.5, n=3), Thermometer(15), BinaryConv2d(45, 8, 3), nn.BatchNorm2d(8), Sign(),
        nn.Flatten(), BinaryLinear(128, 5), Logits(5),
    )  # fmt: skip
    x = torch.randn(24, 3, 6, 6, generator=seeded(0)) * 1.5
    net[0].low, net[0].high = torch.tensor([-3.0, -1.0, 0.0]), torch.tensor([2.5, 1.0, 4.0])
    program = assert_same(settle(net, x), x)
    assert op_names(program).count("Quantize") == 1, "the raw row is read through the range at once"


def test_bytes_are_made_before_a_max_pooling() -> None:
    net = nn.Sequential(
        Pixels(), BinaryConv2d(2, 6, 3), nn.BatchNorm2d(6), nn.PReLU(6), nn.MaxPool2d(2),
        Bytes(-3, 3, n=6), nn.Flatten(), ByteLinear(54, 4, reads="bytes"),
    )  # fmt: skip
    x = images(12, 2, 8, 8)
    names = op_names(assert_same(fold_norms(settle(net, x)), x))
    assert names[-4:] == ["Quantize", "Pool", "ByteConv", "Link"]


def test_an_ordinary_first_convolution_of_pixels_is_rounded_to_eight_bits() -> None:
    conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
    rest = [nn.BatchNorm2d(4), Sign(), nn.Flatten(), BinaryLinear(256, 4), Logits(4)]
    x = images(12, 2, 8, 8)
    net = settle(nn.Sequential(Pixels(0.4, 0.25), conv, *rest), x)
    pixels = net[0]
    mean, std = (pixels.centre / 255).item(), (1 / (255 * pixels.scale)).item()
    twin = nn.Sequential(ByteConv2d.from_conv(conv, (mean,) * 2, (std,) * 2), *rest)
    program = lower_cnn(net, (2, 8, 8))
    np.testing.assert_array_equal(packed_answers(program, x), answers_of(twin, x))


def test_very_many_bytes_are_summed_alike() -> None:
    n = 70_000  # 255 * n is more than float32 can hold
    net = nn.Sequential(nn.Flatten(), BinaryLinear(n, 8), nn.BatchNorm1d(8), Sign(), BinaryLinear(8, 3),
                        Logits(3))  # fmt: skip
    x = images(6, 1, 100, 700)
    x[3:] = 255 - x[3:] // 8
    assert_same(settle(net, x), x)


ERRORS: dict[str, tuple[list[nn.Module], str]] = {
    "an edge below the bytes": (
        [BinaryConv2d(2, 4, 3, padding=1)],
        "counts the edge as -1, for which there is no byte; build it with pad_value=0"),
    "an edge above the pixels": (
        [Pixels(0.5, 0.5), BinaryConv2d(2, 4, 3, padding=1, pad_value=1)], "the edge as 1, for which"),
    "pixels of anything": ([BitPlanes(), BinaryConv2d(16, 4, 3), Pixels()], "reads the picture; it is"),
    "pixels twice": ([Pixels(), Pixels()], "reads the picture; it is the first layer"),
    "pixels in 8 bits": ([Pixels(), ByteConv2d(2, 4, 3)], "it reads the picture itself"),
    "normed pixels": ([Pixels(), nn.BatchNorm2d(2), BinaryConv2d(2, 4, 3)], "values before a sign"),
    "colours far apart": (
        [Pixels(0.5, (1.0, 0.004)), BinaryConv2d(2, 4, 3)], "too far apart for weights of 8 bits"),
    "other channels": ([Bytes(n=3), BinaryConv2d(2, 4, 3)], "expects 3 channels, but its input has 2"),
    "other pixels": ([Pixels((0.5,) * 3)], "expects 3 channels, but its input has 2"),
    "other channels within": (
        [Thermometer(1), BinaryConv2d(2, 4, 3), Bytes(n=3)], "expects 3 channels, but its input has 4"),
    "bits of bytes": (
        [Thermometer(1), nn.Flatten(), ByteLinear(128, 4, reads="bytes")], "put a Bytes before it"),
    "bytes of bits": ([nn.Flatten(), ByteLinear(128, 4)], "build it with reads='bytes'"),
    "another length": ([nn.Flatten(), ByteLinear(12, 4, reads="bytes")], "expects a row of 12"),
    "floats at the end": (
        [Pixels(), BinaryConv2d(2, 4, 8), Residual(nn.ReLU()), nn.Flatten()],
        "or a ByteLinear, which reads bits, or bytes after a Bytes; it ends with floats"),
    "a real-valued layer": (
        [Pixels(), BinaryConv2d(2, 4, 8), nn.ReLU(), BinaryConv2d(4, 4, 1)],
        "put a Sign before it, or a Bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_lowered_is_named(name: str) -> None:
    layers, message = ERRORS[name]
    with pytest.raises(ProgramError, match=message):
        lower_cnn(nn.Sequential(*layers), (2, 8, 8))


def test_an_edge_that_is_a_byte_is_none_for_bits() -> None:
    conv = BinaryConv2d(2, 4, 3, padding=1)
    conv.pad_value = 7
    with pytest.raises(ProgramError, match="counts the edge as 7, but reads bits; take −1, 0 or 1"):
        lower_cnn(nn.Sequential(Thermometer(1), conv), (2, 8, 8))
