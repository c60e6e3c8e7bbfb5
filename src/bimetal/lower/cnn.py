"""A trained net on pictures → a Program, layer by layer.

A binary convolution waits until what follows it is known. If that is a sign, the layers in between
become one threshold a channel (see `asking`), and weights are negated where it falls; for anything
else its sums are written, and the layers in between become float operations. A sign also moves
before a max pooling that precedes it: it rises, so the sign of the largest is the largest sign, and
pooling bits is OR.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn

from bimetal.columns import Column
from bimetal.errors import DataError, ProgramError
from bimetal.lower import layers as rules
from bimetal.lower.channelwise import (
    ANSWERS,
    BEFORE_A_SIGN,
    CHANNELWISE,
    IDENTITIES,
    n_channels_of,
    to_floats,
)
from bimetal.lower.state import At, Shape, Writer, sign, write_sums
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteConv2d,
    ByteLinear,
    Logits,
    Repeat,
    Residual,
    Rows,
    Scale,
    Sign,
    Thermometer,
    fold_norm,
)
from bimetal.ops import Add, Affine, Link, Pool, Quantize
from bimetal.program import Program

__all__ = ["SUPPORTED", "lower_cnn"]

Answer = Literal["logits", "softmax"]
Named = tuple[str, nn.Module]

SUPPORTED: tuple[type[nn.Module], ...] = (
    BitPlanes, Thermometer, ByteConv2d, nn.Conv2d, BinaryConv2d, BinaryLinear, ByteLinear, Sign,
    nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, Residual, Repeat, nn.Sequential,
    *CHANNELWISE, *BEFORE_A_SIGN, *ANSWERS, *IDENTITIES,
)  # fmt: skip
"""The layers that can be lowered."""


@torch.no_grad()
def lower_cnn(
    model: nn.Module,
    image: Shape | None = None,
    answer: Answer = "logits",
    classes: Sequence[str | int | float | bool] = (),
    column: str = "image",
    provenance: Mapping[str, Any] | None = None,
) -> Program:
    """Lower a trained net on pictures.

    The raw row of the Program is the picture, height × width × channels of numbers from 0 to 255
    (rows, then pixels, then colours), while the model reads (n_rows, channels, height, width).

    Exact, to the last bit: everything up to a sign (it is asked of the model's own layers), scales,
    shifts, slopes and shortcuts, 8-bit layers, and average pooling over a power of two pixels. A
    batch norm that no sign follows becomes a float32 scale and offset, which rounds differently
    from torch by a few units in the last place: the Program equals ``fold_norms(model)``. The
    answers of a last layer of `Logits`, or of a `ByteLinear`, are exact; after a `Scale` or a norm
    they differ by a rounding, since a Program scales its answers in float64. A
    `torch.nn.Conv2d` at the beginning is rounded to 8 bits: the Program equals the model with
    ``ByteConv2d.from_conv(conv, (0, 0, 0), (1 / 255,) * 3)`` in its place.

    No golden rows are stored: one picture of 224 × 224 would take 600 KB of the file. To add some,
    ``dataclasses.replace(program, golden_x=rows, golden_y=reference.run(program, rows))``.

    Parameters
    ----------
    model : torch.nn.Module
        Layers named in `SUPPORTED`, in any nesting of `torch.nn.Sequential`; on the CPU, in
        float32. In any mode; it is asked in eval mode and left as it was.
    image : tuple of int, optional
        Channels, height and width of the picture; by default ``model.image_shape``.
    answer : {"logits", "softmax"}, default "logits"
        What the Program answers.
    classes : sequence, optional
        Labels of the outputs.
    column : str, default "image"
        Name of the one column.
    provenance : mapping, optional
        What the Program shall tell of its origin.

    Raises
    ------
    ProgramError
        When a layer is not supported, reads what the one before does not make, or has no single
        threshold a channel; the layer is named.

    Examples
    --------
    >>> from bimetal.nn import BinaryConv2d, Logits
    >>> model = nn.Sequential(
    ...     BitPlanes(), BinaryConv2d(8, 4, 3), nn.BatchNorm2d(4), Sign(), nn.Flatten(),
    ...     BinaryLinear(4 * 6 * 6, 10), Logits(10))
    >>> program = lower_cnn(model, image=(1, 8, 8))
    >>> [type(op).__name__ for op in program.ops]
    ['Quantize', 'Planes', 'Conv', 'Conv', 'Link']
    """
    _check_tensors(model)
    channels, height, width = _image_shape(model, image)
    writer = Writer()
    start = writer.write(Quantize(0, np.ones(channels, np.float32), np.zeros(channels, np.float32)))
    with _in_eval_mode(model):
        at = _walk(writer, At("bytes", (height, width, channels), start), _steps(model))
        _answer(writer, at, answer)
    columns = (Column(column, "array", size=height * width * channels),)
    return Program(columns, tuple(writer.ops), tuple(classes), dict(provenance or {}))


def _image_shape(model: nn.Module, image: Shape | None) -> Shape:
    found = image if image is not None else getattr(model, "image_shape", None)
    if not isinstance(found, tuple) or len(found) != 3 or min(found) < 1:
        raise ProgramError(f"image must be (channels, height, width) of the picture, got {found!r}")
    return found


def _check_tensors(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.device.type != "cpu" or tensor.dtype in (torch.float16, torch.bfloat16):
            raise ProgramError(
                f"'{name}' is {tensor.dtype} on {tensor.device}; lowering needs float32 on the CPU: "
                "model.cpu().float()"
            )


@contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _steps(model: nn.Module, prefix: str = "") -> list[Named]:
    """Return the layers in the order of their work, signs moved before max pools and flattenings."""
    steps = list(_leaves(model, prefix))
    for i in range(1, len(steps)):
        j = i
        while (
            j > 0
            and isinstance(steps[j][1], Sign)
            and isinstance(steps[j - 1][1], nn.MaxPool2d | nn.Flatten)
        ):
            steps[j - 1], steps[j] = steps[j], steps[j - 1]
            j -= 1
    return steps


def _leaves(model: nn.Module, prefix: str) -> Iterator[Named]:
    if not _is_sequence(model):
        if not isinstance(model, IDENTITIES):
            yield prefix or "model", model
        return
    for name, child in model.named_children():
        yield from _leaves(child, f"{prefix}.{name}" if prefix else name)


def _is_sequence(model: nn.Module) -> bool:
    plain = (nn.Sequential.forward, Rows.forward)  # a Program has rows already
    return isinstance(model, nn.Sequential) and type(model).forward in plain


def _walk(writer: Writer, at: At, steps: Sequence[Named]) -> At:
    for name, layer in steps:
        if isinstance(layer, Residual):
            at = _residual(writer, at, name, layer)
            continue
        try:
            at = _step(writer, at, layer)
        except (ProgramError, DataError) as error:
            raise ProgramError(f"layer '{name}' ({type(layer).__name__}): {error}") from None
    return at


def _step(writer: Writer, at: At, layer: nn.Module) -> At:
    match layer:
        case BitPlanes() | Thermometer():
            return rules.planes(writer, at, layer)
        case ByteConv2d():
            return rules.byte_conv(at, layer)
        case nn.Conv2d():
            n = layer.in_channels
            return rules.byte_conv(at, ByteConv2d.from_conv(layer, [0.0] * n, [1 / 255] * n))
        case BinaryConv2d():
            return rules.binary_conv(at, layer)
        case BinaryLinear():
            return rules.binary_linear(at, layer)
        case ByteLinear():
            return rules.byte_linear(writer, at, layer)
        case Sign():
            return sign(writer, at)
        case nn.MaxPool2d():
            return rules.largest(writer, at, layer)
        case nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
            return rules.average(writer, at, layer)
        case nn.Flatten() if (layer.start_dim, layer.end_dim) == (1, -1):
            return rules.flatten(writer, at)
        case Repeat():
            return rules.repeat(writer, at, layer)
        case _ if isinstance(layer, (*CHANNELWISE, *BEFORE_A_SIGN, *ANSWERS)):
            return _wait(writer, at, layer)
    names = ", ".join(sorted({kind.__name__ for kind in SUPPORTED}))
    raise ProgramError(f"cannot be lowered; supported are {names}")


def _wait(writer: Writer, at: At, layer: nn.Module) -> At:
    """Let a layer wait that acts channel by channel."""
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.running_mean is None:
        raise ProgramError("has no running statistics: build it with track_running_stats")
    n = n_channels_of(layer)
    if n is not None and at.is_flat and at.shape[:2] != (1, 1):
        raise ProgramError("stands between a Flatten and a dense layer; put it before the Flatten")
    if n not in (None, at.n_channels):
        raise ProgramError(f"expects {n} channels, but its input has {at.n_channels}")
    if at.kind in ("bits", "bytes"):
        at = _real(writer, at)
    return at.then(layer)


def _residual(writer: Writer, at: At, name: str, block: Residual) -> At:
    start = at if at.kind == "bits" else _real(writer, at)
    ways = [
        _real(writer, _walk(writer, start, _steps(way, f"{name}.{part}")))
        for part, way in (("branch", block.branch), ("shortcut", block.shortcut))
    ]
    if ways[0].shape != ways[1].shape:
        raise ProgramError(
            f"layer '{name}' (Residual): its branch makes a map of shape {ways[0].shape}, its "
            f"shortcut one of {ways[1].shape}"
        )
    return At("floats", ways[0].shape, writer.write(Add((ways[0].value, ways[1].value))))


def _real(writer: Writer, at: At) -> At:
    """Return the map as floats, all that waits written."""
    at = to_floats(writer, at)
    if at.kind == "floats":
        return at
    value = at.value
    if at.kind != "ints":  # a sum over one pixel: bits as ±1, bytes as they are
        value = writer.write(Pool(value, "sum", at.shape, (1, 1), (1, 1), (0, 0, 0, 0)))
    n = at.n_channels
    value = writer.write(Affine(value, np.ones(n, np.float32), np.zeros(n, np.float32)))
    return At("floats", at.shape, value, is_flat=at.is_flat)


def _answer(writer: Writer, at: At, answer: Answer) -> None:
    """End the Program with the sums of the last layer, scaled in float64."""
    kinds = {"logits": "identity", "softmax": "softmax"}
    if answer not in kinds:
        raise ProgramError(f"answer must be 'logits' or 'softmax', got {answer!r}")
    at = write_sums(writer, at)
    affine = [fold_norm(x) if isinstance(x, nn.BatchNorm1d) else x for x in at.layers]
    is_sums = at.shape[:2] == (1, 1) and at.kind == "ints"
    if not is_sums or not all(isinstance(layer, Logits | Scale) for layer in affine):
        raise ProgramError(
            "a net must end with one row of whole sums, scaled at most: a BinaryLinear with Logits "
            f"(or Scale, or BatchNorm1d), or a ByteLinear; it ends with {at.kind} of shape {at.shape}"
            f"{''.join(f' → {type(layer).__name__}' for layer in at.layers)}"
        )
    scale, offset = np.ones(at.n_channels), np.zeros(at.n_channels)
    for layer in affine:
        by, plus = (layer.get_parameter(x).detach().double().numpy() for x in ("scale", "offset"))
        scale, offset = scale * by, offset * by + plus
    no_knots, no_values = np.zeros(0, np.int32), np.zeros(0, np.float32)
    kind = cast(Literal["identity", "softmax"], kinds[answer])
    writer.write(Link(at.value, kind, scale, offset, no_knots, no_values))
