"""Lowering thresholds of rows: torch, reference and engine answer alike, whatever a bit at rest stands for."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lowering import answers_of, assert_same, images, one_thread, op_names, packed_answers, settle
from torch import nn

from bimetal.errors import ProgramError
from bimetal.lower import lower_cnn
from bimetal.nn import (
    BinaryConv1d,
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteLinear,
    Logits,
    Pixels,
    Repeat,
    Residual,
    RPReLU,
    Scale,
    Shift,
    Sign,
    Thermometer,
)
from bimetal.nn.activations import Bytes
from bimetal.nn.row_threshold import RowThreshold
from bimetal.nn.take import Last

__all__ = ["one_thread"]

LEVELS = st.sampled_from(["0/1", "-1/+1"])
THRESHOLDS = st.sampled_from([0, 0.5, 1, 1.5, 2])


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([1, 7, 20, 33, 64]), min_size=1, max_size=3),
    levels=LEVELS,
    threshold=THRESHOLDS,
    first=st.sampled_from(["pixels", "bytes", "planes"]),
    last=st.sampled_from(["logits", "scale", "bytes", "nothing"]),
    seed=st.integers(0, 2**31),
)
def test_a_dense_net_and_its_program_answer_alike(
    sizes: list[int], levels: Any, threshold: float, first: str, last: str, seed: int
) -> None:
    stem: dict[str, list[nn.Module]] = {
        "pixels": [Pixels(0.13, 0.31)], "bytes": [], "planes": [BitPlanes()]
    }  # fmt: skip
    layers, n = [*stem[first], nn.Flatten()], 60 * (8 if first == "planes" else 1)
    for size in sizes:
        layers += [BinaryLinear(n, size), nn.Dropout(), RowThreshold(threshold, levels)]
        n = size
    ends: dict[str, list[nn.Module]] = {
        "logits": [BinaryLinear(n, 9), Logits(9, 0.3)],
        "scale": [BinaryLinear(n, 9), Scale(9, 0.123)],
        "bytes": [ByteLinear(n, 9)],
        "nothing": [BinaryLinear(n, 9)],
    }
    net, x = nn.Sequential(*layers, *ends[last]), images(12, 1, 6, 10, seed=seed)
    settle(net, x, seed)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, Logits | ByteLinear):
                nn.init.normal_(layer.offset if isinstance(layer, Logits) else layer.bias)
    program = lower_cnn(net, (1, 6, 10))
    np.testing.assert_array_equal(packed_answers(program, x), answers_of(net, x))
    assert program.version == 3
    assert op_names(program).count("RowThreshold") == len(sizes)
    assert "Affine" not in op_names(program)


@settings(max_examples=30, deadline=None)
@given(
    levels=LEVELS,
    threshold=THRESHOLDS,
    padding=st.sampled_from([0, 1, (2, 1)]),
    pad_value=st.sampled_from([0, 1]),
    stride=st.sampled_from([1, 2]),
    groups=st.sampled_from([1, 2]),
    pool=st.sampled_from(["none", "max before", "max behind", "average before", "average behind"]),
    seed=st.integers(0, 2**31),
)
def test_a_convolutional_net_and_its_program_answer_alike(
    levels: Any, threshold: float, padding: Any, pad_value: Any, stride: int, groups: int, pool: str, seed: int
) -> None:  # fmt: skip
    def fire() -> nn.Module:
        return RowThreshold(threshold, levels)

    def conv(n_in: int, n_out: int) -> nn.Module:
        return BinaryConv2d(n_in, n_out, 3, stride, padding, pad_value, groups=groups)

    pools: dict[str, list[nn.Module]] = {
        "none": [fire()],
        "max before": [nn.MaxPool2d(2, 1, 1), fire()],
        "max behind": [fire(), nn.MaxPool2d(2, 1, 1)],
        "average before": [nn.AvgPool2d(2, 1), fire()],
        "average behind": [fire(), nn.AvgPool2d(3, 1, 1), nn.BatchNorm2d(10), Sign()],
    }
    features = nn.Sequential(
        BitPlanes(), BinaryConv2d(24, 12, 3, padding=1), fire(), conv(12, 10), *pools[pool],
        nn.Flatten(),
    )  # fmt: skip
    x = images(6, 3, 9, 8, seed=seed)
    n = features(x).shape[1]
    net = nn.Sequential(features, BinaryLinear(n, 20), fire(), BinaryLinear(20, 5), Logits(5))
    settle(net, x, seed)
    program = lower_cnn(net, (3, 9, 8))
    np.testing.assert_array_equal(packed_answers(program, x), answers_of(net, x))


def test_the_usual_net_is_three_convolutions_and_two_thresholds() -> None:
    net = nn.Sequential(
        Pixels(), nn.Flatten(), BinaryLinear(64, 40), RowThreshold(1.5, "0/1"),
        BinaryLinear(40, 30), RowThreshold(1.5, "0/1"), BinaryLinear(30, 10), Logits(10, 0.2),
    )  # fmt: skip
    x = images(30, 1, 8, 8)
    program = assert_same(settle(net, x), x)
    names = ["Quantize", "ByteConv", "RowThreshold", "Conv", "RowThreshold", "Conv", "Link"]
    assert op_names(program) == names
    first: Any = program.ops[2]
    assert (first.channels, first.top, first.bottom) == (40, 3, 2)


STEPS: list[nn.Module] = [BitPlanes(), BinaryConv2d(24, 8, 3), RowThreshold(0.5, "0/1")]
PIECES: dict[str, Callable[[], list[nn.Module]]] = {
    "signs": lambda: [Sign()],
    "shifted signs": lambda: [Shift(8), nn.BatchNorm2d(8), Sign()],
    "scaled": lambda: [Scale(8, -0.5), nn.AvgPool2d(2), Sign()],
    "bent": lambda: [RPReLU(8), Sign()],
    "largest": lambda: [nn.MaxPool2d(2)],
    "largest of what falls": lambda: [Scale(8, -1.0), nn.MaxPool2d(2), Shift(8), Sign()],
    "average": lambda: [nn.AvgPool2d(3, padding=1), nn.BatchNorm2d(8), Sign()],
    "global average": lambda: [nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(8), Sign()],
    "average to the same size": lambda: [nn.AdaptiveAvgPool2d(6)],
    "average of averages": lambda: [nn.AvgPool2d(2), nn.AvgPool2d(3), nn.BatchNorm2d(8), Sign()],
    "average of sums": lambda: [BinaryConv2d(8, 6, 1), nn.AvgPool2d(2), RowThreshold(0, "0/1")],
    "rows of an average": lambda: [nn.AvgPool2d(2), RowThreshold(0.5)],
    "rows of rows": lambda: [RowThreshold(1, "0/1")],
    "rows of a flattened map": lambda: [BinaryConv2d(8, 6, 3), nn.Flatten(), RowThreshold(0.5, "0/1")],
    "rows of a flattened average": lambda: [nn.AvgPool2d(2), nn.Flatten(), RowThreshold(0.5, "0/1")],
    "repeated": lambda: [Repeat(3)],
    "shortcut": lambda: [Residual(BinaryConv2d(8, 8, 1)), Shift(8), Sign()],
    "bytes": lambda: [Bytes(-1.0, 2.0), BinaryConv2d(8, 5, 2), RowThreshold(0.5)],
    "flattened, normed": lambda: [nn.Flatten(), nn.BatchNorm1d(288), Sign()],
    "flattened, scaled": lambda: [nn.Flatten(), Scale(288), nn.ReLU(), Shift(288), Sign()],
    "normed sums": lambda: [BinaryConv2d(8, 6, 3), nn.BatchNorm2d(6), nn.MaxPool2d(2), Sign()],
    "normed flattened sums": lambda: [BinaryConv2d(8, 6, 3), nn.Flatten(), nn.BatchNorm1d(96), Sign()],
    "scaled sums": lambda: [BinaryConv2d(8, 6, 3, binarizer="xnor"), nn.BatchNorm2d(6), Sign()],
    "bent sums": lambda: [BinaryConv2d(8, 6, 3), nn.PReLU(6), nn.AvgPool2d(2), Sign()],
    "clipped sums": lambda: [BinaryConv2d(8, 6, 3), nn.Hardtanh(), Sign()],
    "common scale": lambda: [BinaryConv2d(8, 6, 3, binarizer="xnor_learned"), RowThreshold(0.5, "0/1")],
    "a scale that rounds nothing": lambda: [BinaryConv2d(8, 6, 3), Scale(6, 0.375), RowThreshold(0.5)],
    "levels of a thermometer": lambda: [BinaryConv2d(8, 6, 3), RowThreshold(0), BinaryConv2d(6, 6, 3), Sign()],
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
def test_everything_that_reads_zeros_and_ones_answers_alike(name: str) -> None:
    torch.manual_seed(0)
    x = images(8, 3, 8, 8)
    body = nn.Sequential(*STEPS, *PIECES[name]())
    shape = body(x).shape[1:]
    flatten = [nn.Flatten()] if len(shape) > 1 else []
    net = nn.Sequential(body, *flatten, BinaryLinear(shape.numel(), 6), Logits(6))
    settle(net, x)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, Shift):
                layer.shift.copy_(-(torch.arange(len(layer.shift)) / 5 % 1))
            if isinstance(layer, RPReLU):
                layer.before.uniform_(0, 1)
    if name == "signs":  # neither 0 nor 1 is negative
        program = lower_cnn(net, (3, 8, 8))
        np.testing.assert_array_equal(packed_answers(program, x), answers_of(net, x))
        assert len(np.unique(answers_of(net, x), axis=0)) == 1
    else:
        assert_same(net, x)


@pytest.mark.parametrize("n_steps", [5, 1100])
def test_the_last_step_of_a_sequence_keeps_its_levels(n_steps: int) -> None:
    # of more than 32,768 bits the last ones are not named by rules
    net = nn.Sequential(
        Thermometer(1), BinaryConv1d(2, 32, 2), RowThreshold(0.5, "0/1"), Last(), BinaryLinear(32, 5),
        RowThreshold(0, "0/1"), BinaryLinear(5, 4), Logits(4),
    )  # fmt: skip
    x = images(12, 2, n_steps)
    program = assert_same(settle(net, x), x)
    assert ("Rules" in op_names(program)) == (n_steps == 5)


def test_a_last_layer_of_eight_bits_reads_zeros_and_ones() -> None:
    net = nn.Sequential(*STEPS, nn.MaxPool2d(3), nn.Flatten(), ByteLinear(32, 5))
    nn.init.normal_(net[-1].bias)
    x = images(8, 3, 8, 8)
    program = assert_same(settle(net, x), x)
    assert op_names(program)[-2:] == ["Readout", "Link"]


def test_learned_scales_that_differ_are_refused_and_equal_ones_are_dropped() -> None:
    layer = BinaryLinear(192, 8, binarizer="xnor_learned")
    net = nn.Sequential(nn.Flatten(), layer, RowThreshold(1), BinaryLinear(8, 3), Logits(3))
    x = images(9, 3, 8, 8)
    settle(net, x)
    nn.init.constant_(layer.scale, 0.25)
    assert op_names(assert_same(net, x))[1:3] == ["ByteConv", "RowThreshold"]
    with torch.no_grad():
        layer.scale[3] = 0.5
    with pytest.raises(ProgramError, match=r"'2' \(RowThreshold\): only a scale common to all"):
        lower_cnn(net, (3, 8, 8))


def uneven(layer: nn.Module) -> nn.Module:
    """Give a layer numbers that differ."""
    for tensor in layer.parameters():
        nn.init.normal_(tensor)
    return layer


SUMS = [BitPlanes(), BinaryConv2d(24, 8, 3)]
REFUSED: dict[str, tuple[list[nn.Module], str]] = {
    "floats": ([*SUMS, RPReLU(8), nn.AvgPool2d(2), RowThreshold(1)], "reads whole sums, but here are floats"),
    "a shortcut": ([*SUMS, Sign(), Residual(BinaryConv2d(8, 8, 1)), RowThreshold(1)], "but here are floats"),
    "a norm": ([*SUMS, uneven(nn.BatchNorm2d(8)), RowThreshold(1)], "only a scale common to all channels"),
    "an offset": ([*SUMS, uneven(Shift(8)), RowThreshold(1)], "but here waits a Shift"),
    "a bend": ([*SUMS, nn.ReLU(), RowThreshold(1)], "but here waits a ReLU"),
    "another scale for each": ([*SUMS[:1], BinaryConv2d(24, 8, 3, binarizer="xnor"), RowThreshold(1)],
        "a binarizer with a scale for each output is such a one"),
    "a negative scale": ([*SUMS, Scale(8, -0.5), RowThreshold(1)], "a scale of -0.5 waits before it"),
    "no scale": ([*SUMS, Scale(8, 0.0), RowThreshold(1)], "a scale of 0 waits before it; it has to be pos"),
    "an endless scale": ([*SUMS, Scale(8, float("inf")), RowThreshold(1)], "a scale of inf waits"),
    "a scale that rounds": ([*SUMS, Scale(8, 0.1), RowThreshold(1)], "a scale of 0.1 rounds the sums"),
    "an average that rounds": ([*SUMS, nn.AvgPool2d(3), RowThreshold(1)], "rounds the sums that it reads"),
    "an edge below zero": ([*STEPS, BinaryConv2d(8, 4, 3, padding=1), Sign()],
        r"'3' \(BinaryConv2d\): counts the edge as -1, but reads 0 and 1; take pad_value 0 or 1"),
    "a layer norm": ([*SUMS, nn.Flatten(), nn.LayerNorm(288)], r"is a bimetal.nn.RowThreshold\(0\)"),
    "no end": ([*SUMS, RowThreshold(1)], "must end with one row of whole sums"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_be_exact_is_refused_by_name(name: str) -> None:
    layers, message = REFUSED[name]
    with pytest.raises(ProgramError, match=message):
        lower_cnn(nn.Sequential(*layers), (3, 8, 8))


@pytest.mark.parametrize(("n_in", "n_out", "most"), [(66_000, 1, 2**24), (256, 33_000, 65_075)])
def test_sums_that_can_grow_too_large_are_refused(n_in: int, n_out: int, most: int) -> None:
    layer = BinaryLinear(n_in, n_out)
    nn.init.ones_(layer.latent_weight)
    net = nn.Sequential(nn.Flatten(), layer, RowThreshold(1))
    message = f"its sums can reach {255 * n_in}, but those of a row of {n_out} are exact up to {most} only"
    with pytest.raises(ProgramError, match=message):
        lower_cnn(net, (1, n_in))


def test_an_edge_does_not_matter_without_one() -> None:
    net = nn.Sequential(*STEPS, BinaryConv2d(8, 4, 6, pad_value=-1), nn.Flatten(), Logits(4))
    x = images(8, 3, 8, 8)
    assert_same(settle(net, x), x)


def test_fractions_reach_the_operation_in_lowest_terms() -> None:
    net = nn.Sequential(*SUMS, RowThreshold(Fraction(6, 4)), nn.Flatten(), BinaryLinear(288, 2))
    row: Any = lower_cnn(net, (3, 8, 8)).ops[3]
    assert (row.channels, row.top, row.bottom) == (8, 3, 2)
