"""What tests of lowering share: pictures, spoiled norms, and the law that all answer alike."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bimetal.lower import lower_cnn
from bimetal.nn import binary_layers
from bimetal.program import Program
from bimetal.reference import run
from bimetal.runtime import Engine

__all__ = [
    "answers_of",
    "assert_same",
    "images",
    "one_thread",
    "op_names",
    "packed_answers",
    "rows",
    "settle",
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread: nets as small as these only wait for each other's threads."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def images(n: int, *shape: int, seed: int = 0) -> Tensor:
    """Return pictures (or sequences) of whole numbers from 0 to 255."""
    return torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed)).float()


def rows(x: Tensor) -> Any:
    """Return inputs as a Program reads them: channels innermost."""
    return x.movedim(1, -1).reshape(len(x), -1).numpy()


@torch.no_grad()
def settle(net: nn.Module, x: Tensor, seed: int = 0) -> nn.Module:
    """Draw weights, give norms the statistics of the data and scales of both signs; return the net."""
    generator = torch.Generator().manual_seed(seed)
    for layer in binary_layers(net).values():
        layer.latent_weight.copy_(torch.randn(layer.latent_weight.shape, generator=generator) / 2)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    net.train()(x)
    for norm in norms:
        norm.weight.copy_(torch.randn(norm.weight.shape, generator=generator))
        norm.bias.copy_(torch.randn(norm.bias.shape, generator=generator) / 2)
    return net.eval()


@torch.no_grad()
def answers_of(net: nn.Module, x: Tensor) -> Any:
    """Return what torch answers."""
    return net.eval()(x).numpy()


def packed_answers(program: Program, x: Tensor) -> Any:
    """Return what the reference answers, after holding the engine to it."""
    expected = run(program, rows(x))
    np.testing.assert_array_equal(Engine(program).run(rows(x)), expected)
    return expected


def assert_same(net: nn.Module, x: Tensor) -> Program:
    """Lower the net; require equal answers of torch, reference and engine, and different ones."""
    shape: Any = tuple(x.shape[1:])
    program = lower_cnn(net, shape)
    expected = answers_of(net, x)
    np.testing.assert_array_equal(packed_answers(program, x), expected)
    assert len(np.unique(expected, axis=0)) > 1, "all inputs are answered alike: nothing is tested"
    return program


def op_names(program: Program) -> list[str]:
    """Return the names of the operations."""
    return [type(op).__name__ for op in program.ops]
