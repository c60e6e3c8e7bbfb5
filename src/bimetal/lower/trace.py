"""A trained net on pictures or sequences → a Program, and which layer each operation comes from.

A binary convolution waits until what follows it is known. If that is a sign, the layers in between
become one threshold a channel (see `asking`), and weights are negated where it falls; for anything
else its sums are written, and the layers in between become float operations. A sign also moves
before a max pooling that precedes it: it rises, so the sign of the largest is the largest sign, and
pooling bits is OR.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn

from bimetal.columns import Column
from bimetal.cost import CostRow
from bimetal.errors import DataError, ProgramError
from bimetal.lower.channelwise import folded
from bimetal.lower.eight_bits import quantized_row
from bimetal.lower.state import At, Writer, write_sums
from bimetal.lower.walk import steps_of, walk
from bimetal.nn import Logits, Scale
from bimetal.nn.activations import Bytes
from bimetal.nn.modes import in_eval_mode
from bimetal.nn.straighten import Straight, straightened
from bimetal.ops import Link
from bimetal.program import Program

__all__ = ["Answer", "Image", "Lowered", "trace", "write_answer"]

Answer = Literal["logits", "softmax"]
Image = tuple[int, int, int] | tuple[int, int]
"""Channels, height and width of a picture, or channels and length of a sequence."""


@dataclass(frozen=True)
class Lowered:
    """A Program, and where its operations come from.

    Attributes
    ----------
    program : Program
        What the net became.
    layers : tuple of str
        For each operation, the name of the layer (as in ``model.named_modules()``) that it comes
        from; empty for reading the picture. An operation that several layers became is that of the
        first: a binary convolution with its norm and its sign is that of the convolution. Functions
        in a forward of the net's own, sums among them, are called after the module that calls them:
        "layer1.0.add", "layer1.0.add_2".
    """

    program: Program
    layers: tuple[str, ...]

    def costs(self) -> dict[str, tuple[CostRow, ...]]:
        """Return the rows of ``program.cost()`` that each layer has, in the order of the operations.

        The golden vectors are no layer's; their row is left out.
        """
        found: dict[str, tuple[CostRow, ...]] = {}
        for name, row in zip(self.layers, self.program.cost().rows, strict=False):
            found[name] = (*found.get(name, ()), row)
        return found


@torch.no_grad()
def trace(
    model: nn.Module,
    image: Image | None = None,
    answer: Answer = "logits",
    classes: Sequence[str | int | float | bool] = (),
    column: str = "image",
    provenance: Mapping[str, Any] | None = None,
) -> Lowered:
    """Lower a net as `lower_cnn` does, and tell which layer each operation comes from.

    Parameters and errors are those of `lower_cnn`.

    Examples
    --------
    >>> from bimetal.nn import BinaryLinear, Logits, Sign, Thermometer
    >>> model = nn.Sequential(
    ...     Thermometer(1), nn.Flatten(), BinaryLinear(64, 8), nn.BatchNorm1d(8), Sign(),
    ...     BinaryLinear(8, 3), Logits(3))
    >>> lowered = trace(model, image=(1, 8, 8))
    >>> [(type(op).__name__, layer) for op, layer in zip(lowered.program.ops, lowered.layers)]
    [('Quantize', ''), ('Planes', '0'), ('Conv', '2'), ('Conv', '5'), ('Link', '6')]
    >>> {name: sum(row.bytes for row in rows) for name, rows in lowered.costs().items()}["2"]
    96
    """
    _check_tensors(model)
    channels, height, width, n_axes = _image_shape(model, image)
    straight = _straight(model)
    writer = Writer(n_axes, names=straight.names)
    with in_eval_mode(straight.row):
        steps = steps_of(straight.row)
        first = steps[0][1] if steps else None
        if isinstance(first, Bytes):
            writer.here, steps = writer.called(steps[0][0]), steps[1:]
        start = quantized_row(writer, channels, first if isinstance(first, Bytes) else None)
        at = walk(writer, At("bytes", (height, width, channels), start), steps)
        write_answer(writer, at, answer)
    columns = (Column(column, "array", size=height * width * channels),)
    program = Program(columns, tuple(writer.ops), tuple(classes), dict(provenance or {}))
    return Lowered(program, tuple(writer.layers))


def _straight(model: nn.Module) -> Straight:
    try:
        return straightened(model)
    except DataError as error:
        raise ProgramError(f"the net cannot be written as a sequence of layers: {error}") from error


def _image_shape(model: nn.Module, image: Image | None) -> tuple[int, int, int, int]:
    """Return channels, height, width, and the number of axes in torch."""
    found = image if image is not None else getattr(model, "image_shape", None)
    if not isinstance(found, tuple) or len(found) not in (2, 3) or min(found) < 1:
        raise ProgramError(
            "image must be (channels, height, width) of the picture, or (channels, length) of the "
            f"sequence, got {found!r}"
        )
    if len(found) == 2:
        return found[0], 1, found[1], 1
    return (*found, 2)


def _check_tensors(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        others = {torch.float16, torch.bfloat16, torch.float64}
        if isinstance(model.get_submodule(name.rpartition(".")[0]), Logits):
            others.remove(torch.float64)  # answers are scaled in float64
        if tensor.device.type != "cpu" or tensor.dtype in others:
            raise ProgramError(
                f"'{name}' is {tensor.dtype} on {tensor.device}; lowering needs float32 on the CPU: "
                "model.cpu().float()"
            )


def write_answer(writer: Writer, at: At, answer: Answer) -> None:
    """End the Program with the sums of the last layer, scaled in float64."""
    kinds = {"logits": "identity", "softmax": "softmax"}
    if answer not in kinds:
        raise ProgramError(f"answer must be 'logits' or 'softmax', got {answer!r}")
    at = write_sums(writer, at)
    scales = [layer if isinstance(layer, Logits) else folded(layer) for layer in at.layers]
    if at.shape[:2] != (1, 1) or at.kind != "ints" or None in scales:
        raise ProgramError(
            "a net must end with one row of whole sums, scaled at most: a BinaryLinear with Logits "
            "(or Scale, or BatchNorm1d), or a ByteLinear, which reads bits, or bytes after a Bytes; "
            f"it ends with {at.kind} of shape {at.shape}"
            f"{''.join(f' → {type(layer).__name__}' for layer in at.layers)}"
        )
    scale, offset = np.ones(at.n_channels), np.zeros(at.n_channels)
    for layer in cast(list[Logits | Scale], scales):
        by, plus = (layer.get_parameter(x).detach().double().numpy() for x in ("scale", "offset"))
        scale, offset = scale * by, offset * by + plus
    no_knots, no_values = np.zeros(0, np.int32), np.zeros(0, np.float32)
    kind = cast(Literal["identity", "softmax"], kinds[answer])
    name = at.waiting[-1].name if at.waiting else writer.here
    writer.write(Link(at.value, kind, scale, offset, no_knots, no_values), name)
