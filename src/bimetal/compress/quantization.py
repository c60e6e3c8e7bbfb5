"""Quantization: weights, and in 8 bits activations too, on few levels.

8 bits by calibration alone, static in ONNX Runtime and dynamic in torchao; 4 and 2 bits of weights in
training that knows of them (`grid`); 1 bit of weights as BinaryConnect (Courbariaux et al. 2015,
arXiv:1511.00363), with a learned scale of each output since the user's model may have no norms.
Weights of 4, 2 and 1 bit save room only: no runtime here multiplies real activations by them. With its
activations rounded to bytes, though, the net of 1-bit weights runs in our Engine.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from bimetal.compress.data import CompressData
from bimetal.compress.deploy import as_codes, as_int8, as_program, as_torch
from bimetal.compress.graph import straight
from bimetal.compress.grid import on_grid
from bimetal.compress.lesson import Lesson
from bimetal.compress.result import Candidate, Skipped, skipping
from bimetal.compress.runtimes import quiet
from bimetal.errors import DataError, MissingExtraError, ProgramError
from bimetal.lower import lower_cnn
from bimetal.nn import BinaryLayer, with_byte_activations
from bimetal.nn.activations import Pixels
from bimetal.nn.binarizers import binarizer
from bimetal.nn.convert import binarize_
from bimetal.nn.policy import Policy

__all__ = ["few_bits", "in_bytes", "int8_dynamic", "int8_static", "one_bit", "with_binary_weights"]

FAMILY = "quantization"
BITS = (4, 2)
N_ROWS = 512  # to find the ranges of activations from
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


def one_bit(lesson: Lesson) -> Iterator[Candidate | Skipped]:
    """Weights of 1 bit, real activations: BinaryConnect; then the same with activations of 8 bits."""
    name = "1 bit weights"
    model = with_binary_weights(_in_a_row(lesson))
    seconds = lesson.fit(model, name, learning_rate=2 * lesson.config.learning_rate)
    note = "all weights ±1 and a learned scale an output, real activations (BinaryConnect)"
    yield Candidate(name, FAMILY, note, model, as_codes, seconds)
    name = "1 bit weights, 8 bit activations"
    try:
        net = in_bytes(model, lesson.data)
        lower = partial(lower_cnn, image=lesson.data.picture_shape)
        lower(net)
    except (DataError, ProgramError) as error:
        yield skipping(name, FAMILY, error)
        return
    note = "the same net with activations rounded to bytes, weights stored as bytes; not trained further"
    deploy = partial(as_program, lower, stored="weights as bytes, .bimetal")
    yield Candidate(name, FAMILY, note, net, deploy, seconds, reads="bytes")


def in_bytes(model: nn.Module, data: CompressData) -> nn.Module:
    """Return a net of binary weights that reads pictures of bytes and has bytes between its layers.

    Raises
    ------
    DataError
        When rows are no pictures, or the model is no row of layers.

    Examples
    --------
    >>> pictures = torch.randint(0, 256, (99, 1, 4, 4), dtype=torch.uint8)
    >>> data = CompressData.split(pictures, torch.arange(99) % 3)
    >>> net = in_bytes(with_binary_weights(nn.Sequential(nn.Flatten(), nn.Linear(16, 3))), data)
    >>> [type(layer).__name__ for layer in net]
    ['Pixels', 'Flatten', 'BinaryLinear', 'Logits']
    """
    if data.picture_shape is None or data.picture_shape != data.sample_shape:
        raise DataError("our engine reads bytes of pictures here, and these rows are none")
    if not isinstance(model, nn.Sequential):
        raise DataError("the model is no straight row of layers")
    low, high = data.span
    pixels = Pixels(min(1.0, max(0.0, -low / (high - low))), 1 / (high - low))
    row = copy.deepcopy(model)
    # Pixels rounds its scale to a power of two; the first layer's own scale makes up for it
    first = next(m for m in row.modules() if isinstance(m, BinaryLayer))
    with torch.no_grad():
        first.get_parameter("scale").mul_((high - low) / 255 / pixels.scale)
    return with_byte_activations(nn.Sequential(pixels, row), data.bytes(data.train.x[:N_ROWS]))


def _in_a_row(lesson: Lesson) -> nn.Module:
    """Return a copy of the baseline, written anew as a row of layers if it is one."""
    try:
        return copy.deepcopy(nn.Sequential(*(layer for _, layer in straight(lesson.model))))
    except DataError:
        return lesson.copy()


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
