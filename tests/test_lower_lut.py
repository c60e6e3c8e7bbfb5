"""LUT layers become the operation Lut: the same answers from torch, the reference and the engine."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lowering import answers_of, images, one_thread, op_names, packed_answers, rows
from torch import Tensor, nn

from bimetal.bits import unpack
from bimetal.columns import Column
from bimetal.errors import ProgramError
from bimetal.format import dumps, loads
from bimetal.lower import lower_cnn, lower_encoded
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    GroupSum,
    Logits,
    LutLinear,
    RowThreshold,
    Sign,
    Thermometer,
    fold_norms,
)
from bimetal.program import Encode, Program
from bimetal.reference import run, trace
from bimetal.runtime import Engine

__all__ = ["one_thread"]


def patterns(n: int) -> Tensor:
    return (torch.arange(2**n)[:, None] >> torch.arange(n) & 1) * 2.0 - 1


def one_bit_a_column(n: int) -> tuple[list[Column], Encode]:
    """Return columns and an encoding whose bit *i* is set where column *i* is at least 0."""
    nothing = np.zeros(0)
    zeros = (np.zeros(n, np.uint8), np.zeros(n, np.float32))
    columns = [Column(f"x{i}") for i in range(n)]
    return columns, Encode(
        np.arange(n, dtype=np.uint16), *zeros, nothing.astype(np.uint16), nothing.astype("f4")
    )


@torch.no_grad()
def spoil(net: nn.Module, seed: int, ties: bool = False) -> nn.Module:
    """Draw coefficients and norms of either sign; whole numbers where ties are wanted."""
    generator = torch.Generator().manual_seed(seed)
    for layer in net.modules():
        if isinstance(layer, LutLinear):
            drawn = torch.randn(layer.coefficient.shape, generator=generator)
            layer.coefficient.copy_(drawn.round() if ties else drawn)
        if isinstance(layer, nn.BatchNorm1d):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator))
            layer.running_mean.copy_(torch.randn(layer.bias.shape, generator=generator))
            layer.running_var.copy_(torch.rand(layer.bias.shape, generator=generator) + 0.1)
    return net.eval()


def assert_same_on_all(net: nn.Module, n: int) -> Program:
    """Lower a net on n bits, and require equal answers to every row there is."""
    program = lower_encoded(net, *one_bit_a_column(n), answer="logits", lowest=-1.0)
    x = patterns(n)
    expected = answers_of(net, x)
    answers = run(program, x.numpy())
    np.testing.assert_array_equal(answers, expected)
    np.testing.assert_array_equal(answers.view(np.int32), expected.view(np.int32))
    np.testing.assert_array_equal(Engine(program).run(x.numpy()), expected)
    return program


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 11),
    sizes=st.lists(st.integers(1, 40), min_size=0, max_size=3),
    fan_in=st.integers(1, 8),
    degree=st.integers(1, 8),
    norm=st.sampled_from(["batch", "threshold"]),
    connections=st.sampled_from(["learned", "random"]),
    ties=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_a_net_of_tables_and_its_program_answer_alike_to_every_row(
    n: int, sizes: list[int], fan_in: int, degree: int, norm: Any, connections: Any, ties: bool, seed: int
) -> None:  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    n_before = n
    for size in (*sizes, 12):
        k = min(fan_in, n_before)
        layers.append(
            LutLinear(n_before, size, k, min(degree, k), connections, norm, generator=generator)
        )
        n_before = size
    net = spoil(nn.Sequential(*layers, GroupSum(12, 3)), seed, ties)
    program = assert_same_on_all(net, n)
    assert op_names(program) == ["Encode", *["Lut"] * len(layers), "Readout", "Link"]
    assert program.version == 4


def test_places_and_tables_are_those_of_the_layer() -> None:
    layer = spoil(LutLinear(10, 7, 5), 3)
    assert isinstance(layer, LutLinear)
    net = nn.Sequential(layer, GroupSum(7, 1), Logits(1))
    op: Any = lower_encoded(net, *one_bit_a_column(10), answer="logits", lowest=-1.0).ops[1]
    np.testing.assert_array_equal(op.places, layer.places)
    np.testing.assert_array_equal(unpack(op.tables, 32), layer.tables())


def test_a_tie_of_the_norm_is_a_set_bit() -> None:
    layer = LutLinear(3, 2, 2, 1, connections=[[0, 1], [1, 2]])
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([[0.0, 1.0, -1.0], [2.0, 1.0, 1.0]]))
        layer.norm.running_mean.copy_(torch.tensor([0.0, 2.0]))
    program = assert_same_on_all(nn.Sequential(layer, GroupSum(2, 2)), 3)
    x = patterns(3)
    first, second = trace(program, x.numpy())[2].T
    np.testing.assert_array_equal(first, (x[:, 0] >= x[:, 1]).numpy())
    np.testing.assert_array_equal(second, (x[:, 1] + x[:, 2] >= 0).numpy())


@pytest.mark.parametrize("last", ["sums", "scaled sums", "binary"])
def test_the_end_of_a_net_may_be_sums_scaled_sums_or_a_binary_layer(last: str) -> None:
    ends: dict[str, list[nn.Module]] = {
        "sums": [GroupSum(12, 4)],
        "scaled sums": [GroupSum(12, 4), Logits(4, 0.3)],
        "binary": [BinaryLinear(12, 4, groups=4), Logits(4, 0.3)],
    }
    net = nn.Sequential(LutLinear(9, 30), LutLinear(30, 12), *ends[last])
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, Logits):
                nn.init.normal_(layer.offset)
            elif isinstance(layer, GroupSum):
                layer.scale.fill_(-0.37)
    assert_same_on_all(spoil(net, 0), 9)


def test_the_largest_sum_is_the_answer() -> None:
    net = spoil(nn.Sequential(LutLinear(9, 30), GroupSum(30, 3)), 1)
    program = lower_encoded(net, *one_bit_a_column(9), lowest=-1.0, classes=("a", "b", "c"))
    points, answers = trace(program, patterns(9).numpy())[-2:]
    np.testing.assert_array_equal(points.argmax(1), answers.argmax(1))
    assert len(np.unique(answers.argmax(1))) == 3
    link: Any = program.ops[-1]
    assert not link.offset.any()
    assert len(set(link.scale)) == 1


@pytest.mark.parametrize("folded", [False, True])
def test_tables_read_bits_of_other_layers_and_of_flattened_maps(folded: bool) -> None:
    torch.manual_seed(0)
    net: nn.Module = nn.Sequential(
        Thermometer(2), BinaryConv2d(4, 6, 3), nn.BatchNorm2d(6), Sign(), nn.MaxPool2d(2),
        nn.Flatten(), LutLinear(54, 40, 4), BinaryLinear(40, 33), nn.BatchNorm1d(33), Sign(),
        LutLinear(33, 20, 7), BinaryLinear(20, 20), RowThreshold(0.5), LutLinear(20, 12, 3, 3),
        GroupSum(12, 3),
    )  # fmt: skip
    x = images(40, 2, 8, 8)
    net.train()(x)
    spoil(net, 0)
    net = fold_norms(net) if folded else net
    program = lower_cnn(net, (2, 8, 8))
    expected = answers_of(net, x)
    np.testing.assert_array_equal(packed_answers(program, x), expected)
    assert len(np.unique(expected, axis=0)) > 9
    assert op_names(program).count("Lut") == 3


def test_sums_of_a_flattened_map_are_those_of_torch() -> None:
    net = nn.Sequential(Thermometer(2), nn.Flatten(), GroupSum(2 * 2 * 3 * 4, 3))
    x = images(20, 2, 3, 4)
    np.testing.assert_array_equal(packed_answers(lower_cnn(net, (2, 3, 4)), x), answers_of(net, x))


def test_a_saved_program_of_tables_answers_as_before() -> None:
    net = spoil(nn.Sequential(LutLinear(8, 20, 5), LutLinear(20, 6, 2), GroupSum(6, 2)), 0)
    program = lower_encoded(net, *one_bit_a_column(8), lowest=-1.0)
    x = patterns(8).numpy()
    again = loads(dumps(program))
    np.testing.assert_array_equal(run(again, x), run(program, x))
    assert again.id == program.id


def test_a_net_is_left_in_its_mode() -> None:
    net = nn.Sequential(LutLinear(8, 6), GroupSum(6, 2)).train()
    lower_encoded(net, *one_bit_a_column(8), lowest=-1.0)
    assert all(module.training for module in net.modules())


REFUSED: dict[str, tuple[list[nn.Module], float, str]] = {
    "zeros and ones": ([LutLinear(8, 6), GroupSum(6, 2)], 0.0,
        r"'0' \(LutLinear\): reads −1 and \+1, but here are bits of 0 and 1: give lower_encoded lowest"),
    "steps": ([BinaryLinear(8, 8), RowThreshold(1, "0/1"), LutLinear(8, 6)], -1.0, "levels='-1/\\+1'"),
    "sums": ([BinaryLinear(8, 8), LutLinear(8, 6)], -1.0, "reads bits, but here are ints; put a Sign"),
    "a norm": ([nn.BatchNorm1d(8), LutLinear(8, 6)], -1.0, "but here are values before a sign"),
    "another length": ([LutLinear(9, 6)], -1.0, "expects a row of 9"),
    "sums of sums": ([BinaryLinear(8, 8), GroupSum(8, 2)], -1.0, r"\(GroupSum\): reads bits"),
    "sums of zeros and ones": ([GroupSum(8, 2)], 0.0, r"\(GroupSum\): reads −1 and \+1"),
    "no end": ([LutLinear(8, 6)], -1.0, "must end with one row of whole sums"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_tables_cannot_read_is_refused_by_name(name: str) -> None:
    layers, lowest, message = REFUSED[name]
    with pytest.raises(ProgramError, match=message):
        lower_encoded(nn.Sequential(*layers), *one_bit_a_column(8), lowest=lowest)


def test_more_bits_than_a_program_counts_are_refused() -> None:
    net = nn.Sequential(Thermometer(9), nn.Flatten(), LutLinear(36_864, 2, 2, connections="random"))
    with pytest.raises(ProgramError, match="at most 32768 bits, got 36864 inputs and 2 neurons"):
        lower_cnn(net, (1, 64, 64))


def test_a_map_that_is_not_a_row_is_refused() -> None:
    with pytest.raises(ProgramError, match="put a Flatten before it"):
        lower_cnn(nn.Sequential(Thermometer(1), LutLinear(12, 2)), (1, 3, 4))
    assert rows(images(1, 1, 3, 4)).shape == (1, 12)
