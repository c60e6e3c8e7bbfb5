"""Quantization: weights, and in 8 bits activations too, on few levels.

8 bits by calibration alone, static in ONNX Runtime and dynamic in torchao; 4 and 2 bits of weights in
training that knows of them (`grid`); 1 bit of weights as BinaryConnect (Courbariaux et al. 2015,
arXiv:1511.00363), with a learned scale of each output since the user's model may have no norms.
Weights of 4, 2 and 1 bit save room only: no runtime here multiplies real activations by them.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from bimetal.compress.deploy import as_codes, as_int8, as_torch
from bimetal.compress.grid import on_grid
from bimetal.compress.lesson import Lesson
from bimetal.compress.result import Candidate
from bimetal.compress.runtimes import quiet
from bimetal.errors import DataError, MissingExtraError
from bimetal.nn.binarizers import binarizer
from bimetal.nn.convert import binarize_
from bimetal.nn.policy import Policy

__all__ = ["few_bits", "int8_dynamic", "int8_static", "one_bit", "with_binary_weights"]

FAMILY = "quantization"
BITS = (4, 2)
ONE_BIT = Policy(replace(binarizer("binaryconnect"), scale="learned"), None, keep=(), norm="none")


def int8_static(lesson: Lesson) -> Iterator[Candidate]:
    """Weights and activations of 8 bits, ranges of activations from training rows."""
    note = "weights and activations of 8 bits, ranges from training rows; not trained further"
    yield Candidate("8 bit, static", FAMILY, note, lesson.copy(), as_int8)


def int8_dynamic(lesson: Lesson) -> Iterator[Candidate]:
    """Weights of linear layers in 8 bits, their inputs rounded as they come, by torchao."""
    model = lesson.copy()
    if not any(type(m) is nn.Linear for m in model.modules()):
        raise DataError("the model has no linear layer, and torchao quantizes no other here")
    _quantize_by_torchao(model)
    note = "linear layers only: weights of 8 bits, inputs rounded as they come (torchao)"
    deploy = partial(as_torch, stored="int8 linear layers, torch")
    yield Candidate("8 bit, dynamic", FAMILY, note, model, deploy)


def few_bits(lesson: Lesson) -> Iterator[Candidate]:
    """Weights of 4 and of 2 bits, fine-tuned on their grid."""
    for n_bits in lesson.levels(BITS):
        name = f"{n_bits} bit weights"
        model = on_grid(lesson.copy(), n_bits)
        seconds = lesson.tune(model, name)
        note = f"all weights on {2**n_bits} levels (DoReFa) and a scale an output; fine-tuned so"
        yield Candidate(name, FAMILY, note, model, as_codes, seconds)


def one_bit(lesson: Lesson) -> Iterator[Candidate]:
    """Weights of 1 bit, real activations: BinaryConnect."""
    name = "1 bit weights"
    model = with_binary_weights(lesson.copy())
    seconds = lesson.fit(model, name, learning_rate=2 * lesson.config.learning_rate)
    note = "all weights ±1 and a learned scale an output, real activations (BinaryConnect)"
    yield Candidate(name, FAMILY, note, model, as_codes, seconds)


def with_binary_weights(model: nn.Module) -> nn.Module:
    """Make all weights binary, in place; activations stay real. Return the model.

    Examples
    --------
    >>> with_binary_weights(nn.Sequential(nn.Linear(4, 2)))[0][0].binary_weight.abs().unique().item()
    1.0
    """
    binarize_(model, ONE_BIT)
    return model


def _quantize_by_torchao(model: nn.Module) -> None:
    with quiet():  # on import it says which of its GPU kernels are not there
        quantization: Any = _torchao()
        quantization.quantize_(model, quantization.Int8DynamicActivationInt8WeightConfig())


def _torchao() -> Any:
    try:
        import torchao.quantization
    except ModuleNotFoundError as error:
        raise MissingExtraError("torchao", "compress", "8 bit, dynamic") from error
    return torchao.quantization
