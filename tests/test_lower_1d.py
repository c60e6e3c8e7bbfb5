"""Nets on sequences: (n_rows, channels, length) in torch, a map of one row in a Program."""

from typing import Any

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
from torch import Tensor, nn

from bimetal.errors import ProgramError
from bimetal.lower import lower_cnn
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteLinear,
    Logits,
    Repeat,
    Residual,
    RPReLU,
    Scale,
    Shift,
    Sign,
    Thermometer,
    fold_norms,
)
from bimetal.nn.activations import Bytes, Pixels
from bimetal.nn.sequence import BinaryConv1d, tcn_block
from bimetal.nn.take import Last

LAW = settings(max_examples=30, deadline=None)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def walks(n: int, channels: int, length: int, seed: int = 0) -> Tensor:
    """Return random walks: series that are real-valued."""
    return torch.randn(n, channels, length, generator=seeded(seed)).cumsum(2)


@LAW
@given(
    stem=st.sampled_from(["planes", "thermometer", "bytes", "pixels"]),
    kernel=st.sampled_from([1, 2, 3]),
    stride=st.sampled_from([1, 2]),
    dilation=st.sampled_from([1, 2, 3]),
    padding=st.sampled_from([0, 1, (2, 0), (0, 3), "causal"]),
    pad_value=st.sampled_from([-1, 0, 1]),
    groups=st.sampled_from([1, 3]),
    order=st.sampled_from(["norm sign pool", "norm pool sign", "pool norm sign", "average"]),
    end=st.sampled_from(["flatten", "last", "mean"]),
    seed=st.integers(0, 2**31),
)
def test_a_net_on_sequences_and_its_program_answer_alike(
    stem: str, kernel: int, stride: int, dilation: int, padding: Any, pad_value: Any, groups: int,
    order: str, end: str, seed: int,
) -> None:  # fmt: skip
    g = seeded(seed)
    stems: dict[str, list[nn.Module]] = {
        "planes": [BitPlanes(), BinaryConv1d(16, 6, 3, generator=g)],
        "thermometer": [Thermometer(3), BinaryConv1d(6, 6, 3, padding="causal", generator=g)],
        "bytes": [BinaryConv1d(2, 6, 3, padding=(0, 1), pad_value=0, generator=g)],
        "pixels": [Pixels(0.5, 0.5), BinaryConv1d(2, 6, 3, padding=2, generator=g)],
    }
    norm, pool = nn.BatchNorm1d(12), nn.MaxPool1d(2, 1, padding=seed % 2)
    tails: dict[str, list[nn.Module]] = {
        "norm sign pool": [norm, Sign(), pool],
        "norm pool sign": [norm, pool, nn.Dropout1d(), Sign()],
        "pool norm sign": [pool, norm, Sign()],
        "average": [nn.AvgPool1d(3, 1, 1), norm, Sign()],
    }
    ends = {"flatten": nn.Flatten(), "last": Last(), "mean": nn.AdaptiveAvgPool1d(1)}
    conv = BinaryConv1d(6, 12, kernel, stride, padding, pad_value, dilation, groups, generator=g)
    features = nn.Sequential(
        *stems[stem], nn.BatchNorm1d(6), Sign(), conv, *tails[order], ends[end],
        *([Sign(), nn.Flatten()] if end == "mean" else []),
    )  # fmt: skip
    x = images(8, 2, 14, seed=seed)
    n = features(x).shape[1]
    net = nn.Sequential(
        features, BinaryLinear(n, 8, generator=g), nn.BatchNorm1d(8), Sign(),
        BinaryLinear(8, 3, generator=g), Logits(3),
    )  # fmt: skip
    settle(net, x, seed)
    program = lower_cnn(net, (2, 14))
    np.testing.assert_array_equal(packed_answers(program, x), answers_of(net, x))


PIECES: dict[str, list[nn.Module]] = {
    "channel by channel": [nn.BatchNorm1d(6), RPReLU(6), Scale(6), Shift(6), nn.PReLU(6)],
    "a shortcut": [nn.BatchNorm1d(6), Residual(nn.Sequential(Sign(), BinaryConv1d(6, 6, 3, 1, 1)))],
    "repeated": [nn.BatchNorm1d(6), Repeat(2), nn.LeakyReLU(0.2)],
    "largest floats": [nn.BatchNorm1d(6), nn.PReLU(6), nn.MaxPool1d(3, 2, 1)],
    "an average of floats": [nn.BatchNorm1d(6), nn.AvgPool1d(4, padding=1)],
    "the last sums": [Last(), nn.BatchNorm1d(6)],
    "the last floats": [nn.BatchNorm1d(6), nn.PReLU(6), Last()],
    "the last bits": [nn.BatchNorm1d(6), Sign(), Last()],
    "the last of one": [nn.BatchNorm1d(6), nn.AvgPool1d(16), Last()],
    "the last sign": [nn.BatchNorm1d(6), Last(), Sign()],
    "the last bytes": [nn.BatchNorm1d(6), Bytes(-1, 1), Last(), Bytes(0, 200), BinaryLinear(6, 7)],
}


@pytest.mark.parametrize("name", PIECES)
def test_every_piece_answers_alike(name: str) -> None:
    x = images(24, 2, 16)
    body = nn.Sequential(BitPlanes(), BinaryConv1d(16, 6, 3, padding="causal"), *PIECES[name])
    n = body(x).flatten(1).shape[1]
    middle = [] if name.endswith("bits") else [Sign()]
    net = nn.Sequential(body, *middle, nn.Flatten(), BinaryLinear(n, 8), Logits(8))
    settle(net, x)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.bias.data.zero_()
    assert_same(fold_norms(net), x)


def test_a_causal_net_on_a_real_series_answers_at_its_last_step() -> None:
    net = nn.Sequential(
        Bytes(n=3), Thermometer(8), BinaryConv1d(24, 16, 2, padding="causal"), nn.BatchNorm1d(16),
        tcn_block(16, 16, 2, dilation=2), tcn_block(16, 32, 2, dilation=4), Last(),
        Bytes(-4, 4), ByteLinear(32, 3, reads="bytes"),
    )  # fmt: skip
    x = walks(40, 3, 20)
    net[0].calibrate(x)
    settle(net, x)
    net = fold_norms(net)
    program = assert_same(net, x)
    later = x.clone()
    later[:, :, 0] += 100  # beyond what the last step sees: 1 + 1 + 2 * 2 + 2 * 4 steps
    assert torch.equal(net(later), net(x))
    np.testing.assert_array_equal(packed_answers(program, later), packed_answers(program, x))


def test_bits_of_the_last_step_are_picked() -> None:
    net = nn.Sequential(
        Thermometer(4), BinaryConv1d(8, 6, 3), nn.BatchNorm1d(6), Last(), Sign(), BinaryLinear(6, 3),
        Logits(3),
    )  # fmt: skip
    x = images(24, 2, 9)
    net[3], net[4] = net[4], net[3]
    names = ["Quantize", "Planes", "Conv", "Rules", "Conv", "Link"]
    assert op_names(assert_same(settle(net, x), x)) == names


def test_more_bits_than_rules_can_name_are_multiplied_by_zero() -> None:
    net = nn.Sequential(BitPlanes(), Last(), BinaryLinear(8, 3), Logits(3))
    x = images(24, 1, 4097)
    with pytest.raises(ProgramError):
        lower_cnn(net, (1, 4097))  # no window is as wide
    x = images(24, 2, 2100)
    net[2] = BinaryLinear(16, 3)
    assert "Threshold" in op_names(assert_same(net, x))


def test_a_norm_of_sequences_is_asked_in_their_layout() -> None:
    conv = BinaryConv1d(8, 64, 5, padding=2)
    net = nn.Sequential(
        BitPlanes(),
        conv,
        nn.BatchNorm1d(64),
        Sign(),
        nn.Flatten(),
        BinaryLinear(64 * 33, 8),
        Logits(8),
    )
    x = images(30, 1, 33)
    settle(net, x)
    norm: Any = net[2]
    with torch.no_grad():  # ties: a mean that is a sum, and no bias
        norm.running_mean.copy_((norm.running_mean / 2).round() * 2)
        norm.bias.copy_(torch.where(torch.arange(64) % 2 == 0, 0.0, 1e-8))
    assert_same(net, x)


def test_a_sequence_is_its_picture_of_one_row() -> None:
    one = BinaryConv1d(8, 6, 3, 2, (1, 1), 0, 2)
    two = BinaryConv2d(8, 6, (1, 3), (1, 2), (0, 1), 0, (1, 2))
    two.latent_weight.data = one.latent_weight.data[:, :, None]
    tail = [nn.Flatten(), BinaryLinear(30, 3), Logits(3)]
    sequence = nn.Sequential(BitPlanes(), one, Shift(6), Sign(), *tail)
    picture = nn.Sequential(BitPlanes(), two, Shift(6), Sign(), *tail)
    assert lower_cnn(sequence, (1, 11)).id == lower_cnn(picture, (1, 1, 11)).id


def test_the_shape_may_be_the_models_own() -> None:
    net = nn.Sequential(BitPlanes(), nn.Flatten(), BinaryLinear(80, 3), Logits(3))
    net.image_shape = (2, 5)  # type: ignore[assignment]
    assert lower_cnn(net).columns[0].spec()["size"] == 10


ERRORS: dict[str, tuple[list[nn.Module], Any, str]] = {
    "a picture's layer on a sequence": (
        [BitPlanes(), BinaryConv2d(16, 4, 1)], (2, 9), "reads pictures, but this net reads sequences"),
    "a sequence's layer on a picture": (
        [BitPlanes(), BinaryConv1d(16, 4, 1)], (2, 3, 3), "reads sequences, but this net reads pictures"),
    "the last of a picture": ([Last()], (2, 3, 3), "reads sequences"),
    "a window too long": ([BitPlanes(), BinaryConv1d(16, 4, 9)], (2, 8), "does not fit a map"),
    "another size": ([nn.AdaptiveAvgPool1d(3)], (2, 8), "AdaptiveAvgPool1d to 3 from"),
    "ceil mode": ([nn.MaxPool1d(2, ceil_mode=True)], (2, 8), "MaxPool1d is supported without ceil_mode"),
    "an average": ([nn.AvgPool1d(2, ceil_mode=True)], (2, 8), "AvgPool1d is supported without"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_lowered_is_named(name: str) -> None:
    layers, shape, message = ERRORS[name]
    with pytest.raises(ProgramError, match=message):
        lower_cnn(nn.Sequential(*layers), shape)
