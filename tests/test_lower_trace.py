"""Each operation of a Program is told the layer that it comes from."""

from typing import Any

import pytest
from lowering import images, one_thread, settle  # noqa: F401  (the fixture works by being here)
from torch import nn

from bimetal import zoo
from bimetal.lower import Lowered, lower_cnn, trace
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteConv2d,
    ByteLinear,
    Logits,
    Residual,
    RPReLU,
    Sign,
    bi_real_block,
)
from bimetal.nn.activations import Bytes


def told(lowered: Lowered) -> list[tuple[str, str]]:
    names = [type(op).__name__ for op in lowered.program.ops]
    return list(zip(names, lowered.layers, strict=True))


def settled(net: nn.Sequential, *shape: int) -> nn.Sequential:
    settle(net, images(8, *shape))
    return net


def test_an_operation_of_several_layers_is_that_of_the_first() -> None:
    net = nn.Sequential(
        nn.Sequential(BitPlanes(), BinaryConv2d(8, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(
            nn.MaxPool2d(2), Sign(), nn.Flatten(), BinaryLinear(36, 3), nn.BatchNorm1d(3)
        ),
    )
    net[0][1].binarizer = BinaryConv2d(8, 4, 3, binarizer="xnor").binarizer
    expected = [
        ("Quantize", ""), ("Planes", "0.0"), ("Conv", "0.1"), ("Pool", "1.0"), ("Conv", "1.3"),
        ("Link", "1.4"),
    ]  # fmt: skip
    assert told(trace(settled(net, 1, 8, 8), (1, 8, 8))) == expected


def test_float_operations_are_those_of_the_layers_that_they_were() -> None:
    net = nn.Sequential(
        ByteConv2d(2, 4, 3), nn.BatchNorm2d(4), RPReLU(4),
        Residual(nn.Sequential(Sign(), BinaryConv2d(4, 4, 3, 1, 1), nn.BatchNorm2d(4))),
        nn.AvgPool2d(2), Bytes(), nn.Flatten(), ByteLinear(36, 3, reads="bytes"),
    )  # fmt: skip
    expected = [
        ("Quantize", ""), ("ByteConv", "0"), ("Affine", "0"), ("Affine", "1"), ("PReLU", "2"),
        ("Threshold", "3.branch.0"), ("Conv", "3.branch.1"), ("Affine", "3.branch.2"), ("Add", "3"),
        ("Pool", "4"), ("Affine", "4"), ("Quantize", "5"), ("ByteConv", "7"), ("Link", "7"),
    ]  # fmt: skip
    assert told(trace(settled(net, 2, 8, 8), (2, 8, 8))) == expected


def test_the_range_of_the_raw_row_is_that_of_the_first_layer() -> None:
    net = nn.Sequential(Bytes(-1, 1), BitPlanes(), nn.Flatten(), BinaryLinear(128, 3), Logits(3))
    lowered = trace(net, (1, 4, 4))
    assert lowered.layers == ("0", "1", "3", "4")


@pytest.mark.parametrize("build", [zoo.alexnet, zoo.finn_mlp, lambda **_: bi_real_net()])
def test_names_are_modules_and_their_costs_are_all_costs(build: Any) -> None:
    net = build(binary=True, width=0.0625) if build is zoo.alexnet else build(seed=0)
    lowered = trace(net)
    modules = {name for name, _ in net.named_modules()}
    assert set(lowered.layers) - {""} <= modules
    costs, whole = lowered.costs(), lowered.program.cost()
    assert sum(row.bytes for rows in costs.values() for row in rows) == whole.bytes
    binary = {
        name: m for name, m in net.named_modules() if isinstance(m, BinaryConv2d | BinaryLinear)
    }
    for name, layer in binary.items():
        assert sum(row.binary_weights for row in costs[name]) == layer.latent_weight.numel()
    assert sum(layer.latent_weight.numel() for layer in binary.values()) == whole.bits


def bi_real_net() -> nn.Sequential:
    net = nn.Sequential(
        ByteConv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), bi_real_block(8, 8), bi_real_block(8, 16, 2),
        Sign(), nn.Flatten(), BinaryLinear(16 * 16, 5), Logits(5),
    )  # fmt: skip
    net.image_shape = (3, 8, 8)  # type: ignore[assignment]
    return net


def test_tracing_is_lowering() -> None:
    net = bi_real_net()
    arguments = {
        "answer": "softmax",
        "classes": tuple("abcde"),
        "column": "x",
        "provenance": {"a": 1},
    }
    lowered = trace(net, None, **arguments)  # type: ignore[arg-type]
    program = lower_cnn(net, None, **arguments)  # type: ignore[arg-type]
    assert lowered.program.id == program.id
    assert len(lowered.layers) == len(program.ops)
