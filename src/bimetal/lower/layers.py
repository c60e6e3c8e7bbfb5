"""Layers with weights, pools and rearrangements, as operations of a Program.

torch has channels first and a Program has them last, so weights are turned over here, once.
"""

from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from bimetal.bits import pack
from bimetal.errors import ProgramError
from bimetal.lower.asking import Span
from bimetal.lower.channelwise import to_floats
from bimetal.lower.state import At, Shape, Writer, write_sums
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteConv2d,
    ByteLinear,
    Repeat,
    Thermometer,
)
from bimetal.ops import Affine, ByteConv, Concat, Conv, Op, Planes, Pool, Readout

__all__ = [
    "average",
    "binary_conv",
    "binary_linear",
    "byte_conv",
    "byte_linear",
    "flatten",
    "largest",
    "planes",
    "repeat",
]

Pair = tuple[int, int]


def require_kind(at: At, kind: str, advice: str) -> None:
    """Raise `ProgramError` unless a layer gets what it reads."""
    if at.kind != kind or at.layers:
        came = "values before a sign" if at.layers else f"{at.kind}"
        raise ProgramError(f"reads {kind}, but here are {came}; {advice}")


def _pair(given: Any) -> Pair:
    return (given, given) if isinstance(given, int) else (int(given[0]), int(given[1]))


def _fit(shape: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Pair:
    """Return height and width of what a window makes of a map."""
    sizes = zip(shape, kernel, stride, padding, dilation, strict=False)
    down, right = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
    if min(down, right) < 1:
        raise ProgramError(f"a window of {kernel} does not fit a map of {shape[:2]}")
    return down, right


def _require_channels(at: At, expected: int) -> None:
    if at.n_channels != expected:
        raise ProgramError(f"expects {expected} channels, but its input has {at.n_channels}")


def planes(writer: Writer, at: At, layer: BitPlanes | Thermometer) -> At:
    """Bytes → bits: bit planes or thermometer codes."""
    require_kind(at, "bytes", "it is the first layer of a net")
    height, width, n = at.shape
    per_channel = len(layer.levels)
    op = Planes(
        at.value,
        n,
        np.repeat(np.arange(n, dtype=np.uint16), per_channel),
        np.tile(layer.masks.numpy(), n),
        np.tile(layer.levels.numpy(), n),
    )
    return At("bits", (height, width, n * per_channel), writer.write(op))


def binary_conv(at: At, layer: BinaryConv2d) -> At:
    """Bits → sums not yet written."""
    require_kind(at, "bits", "put a Sign before it")
    _require_channels(at, layer.n_in)
    pad = cast(Literal["-1", "0", "+1"], {-1: "-1", 0: "0", 1: "+1"}[layer.pad_value])
    geometry = (layer.kernel_size, layer.stride, layer.dilation, layer.padding)
    return _bit_sums(at, _rows(layer.binary_weight), layer.groups, geometry, pad)


def binary_linear(at: At, layer: BinaryLinear) -> At:
    """Bits → sums not yet written: a convolution with one window, as large as the map."""
    require_kind(at, "bits", "put a Sign before it")
    height, width, n = at.shape
    if not at.is_flat or layer.n_in != height * width * n:
        raise ProgramError(
            f"BinaryLinear expects a row of {layer.n_in}, but its input is a map of shape "
            f"{at.shape}{'' if at.is_flat else '; put a Flatten before it'}"
        )
    if n % layer.groups:
        raise ProgramError(
            f"{n} channels do not divide into the {layer.groups} groups of the layer"
        )
    signs = layer.binary_weight.reshape(layer.n_out, n // layer.groups, height, width)
    geometry = ((height, width), (1, 1), (1, 1), (0, 0))
    return _bit_sums(at, _rows(signs), layer.groups, geometry, "-1")


def _rows(weight: Tensor) -> NDArray[np.bool_]:
    """Return where weights (n_out, channels, height, width) are +1, channels last, a row an output."""
    signs = weight.detach().numpy() >= 0
    return signs.transpose(0, 2, 3, 1).reshape(len(signs), -1)


def _bit_sums(
    at: At,
    weights: NDArray[np.bool_],
    groups: int,
    geometry: tuple[Pair, Pair, Pair, Pair],
    pad: Literal["-1", "0", "+1"],
) -> At:
    kernel, stride, dilation, padding = geometry
    shape = (*_fit(at.shape, kernel, stride, padding, dilation), len(weights))
    n = weights.shape[1]
    # a zero at the edge takes a term away, so that sums of the other parity occur too
    span = Span(-n, n, step=1 if pad == "0" and any(padding) else 2)

    def make(makes: Literal["bits", "ints"], bias: Any, falls: NDArray[np.bool_]) -> Op:
        packed = pack(weights ^ falls[:, None] if falls.any() else weights)
        return Conv(
            at.value,
            makes,
            at.shape,
            kernel,
            stride,
            dilation,
            padding * 2,
            pad,
            groups,
            packed,
            bias,
        )

    return At("ints", shape, sums=make, span=span, is_flat=at.is_flat)


def byte_conv(at: At, layer: ByteConv2d) -> At:
    """Bytes → sums not yet written, and the scale of the layer that waits."""
    require_kind(at, "bytes", "it is the first layer of a net")
    _require_channels(at, layer.n_in)
    whole, scale = layer.rounded()
    weights = whole.numpy().transpose(0, 2, 3, 1).reshape(layer.n_out, -1).astype(np.int8)
    size = _fit(at.shape, layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    positive = np.maximum(weights, 0).sum(axis=1, dtype=np.int64)
    negative = np.minimum(weights, 0).sum(axis=1, dtype=np.int64)
    span = Span(255 * int(negative.min()), 255 * int(positive.max()))

    def make(makes: Literal["bits", "ints"], bias: Any, falls: NDArray[np.bool_]) -> Op:
        turned = np.where(falls[:, None], -weights, weights)
        pad = layer.pad.numpy().astype(np.uint8)
        return ByteConv(
            at.value, makes, at.shape, layer.kernel_size, layer.stride, layer.dilation,
            layer.padding * 2, layer.groups, pad, turned, bias,
        )  # fmt: skip

    return At("ints", (*size, layer.n_out), sums=make, span=span, layers=(scale,))


def byte_linear(writer: Writer, at: At, layer: ByteLinear) -> At:
    """Bits → points, and the scale of the layer that waits."""
    require_kind(at, "bits", "put a Sign before it")
    height, width, n = at.shape
    if not at.is_flat or layer.n_in != height * width * n:
        raise ProgramError(
            f"ByteLinear expects a row of {layer.n_in}, its input has shape {at.shape}"
        )
    whole, scale = layer.rounded()
    turned = whole.numpy().reshape(layer.n_out, n, height, width).transpose(0, 2, 3, 1)
    weights = turned.reshape(layer.n_out, -1).astype(np.int8)
    value = writer.write(Readout((at.value,), weights, np.zeros(layer.n_out, np.int32)))
    largest = int(np.abs(weights).sum(axis=1, dtype=np.int64).max())
    span = Span(-largest, largest)
    return At("ints", (1, 1, layer.n_out), value, span=span, layers=(scale,), is_flat=True)


def flatten(writer: Writer, at: At) -> At:
    """Map → row. Nothing moves; the weights that read it are turned over instead."""
    return replace(to_floats(writer, at), is_flat=True)


def largest(writer: Writer, at: At, layer: nn.MaxPool2d) -> At:
    """Max pooling; of bits it is OR."""
    if layer.ceil_mode or _pair(layer.dilation) != (1, 1) or layer.return_indices:
        raise ProgramError("MaxPool2d is supported without ceil_mode, dilation and return_indices")
    at = write_sums(writer, at) if not at.layers else to_floats(writer, at)
    return _pool(writer, at, "max", layer)


def average(writer: Writer, at: At, layer: nn.AvgPool2d | nn.AdaptiveAvgPool2d) -> At:
    """Average pooling: a sum, then one multiplication."""
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        if _pair(layer.output_size) == at.shape[:2]:
            return at
        if _pair(layer.output_size) != (1, 1):
            raise ProgramError(
                f"AdaptiveAvgPool2d to {layer.output_size} from {at.shape[:2]} is not supported; "
                "to (1, 1) or to the size of the map it is"
            )
        layer = nn.AvgPool2d(at.shape[:2])
    padded = any(_pair(layer.padding))
    if layer.ceil_mode or layer.divisor_override or (padded and not layer.count_include_pad):
        raise ProgramError(
            "AvgPool2d is supported without ceil_mode and divisor_override, and where it is padded "
            "with count_include_pad only"
        )
    down, right = _pair(layer.kernel_size)
    summed = _pool(writer, to_floats(writer, at), "sum", layer)
    n, share = at.n_channels, np.float32(1 / (down * right))
    op = Affine(summed.value, np.full(n, share), np.zeros(n, np.float32))
    return At("floats", summed.shape, writer.write(op))


def _pool(writer: Writer, at: At, kind: Literal["max", "sum"], layer: Any) -> At:
    kernel, stride, padding = map(_pair, (layer.kernel_size, layer.stride, layer.padding))
    size = _fit(at.shape, kernel, stride, padding)
    value = writer.write(Pool(at.value, kind, at.shape, kernel, stride, padding * 2))
    keeps_kind = kind == "max" or at.kind == "floats"
    return replace(
        at, kind=at.kind if keeps_kind else "ints", shape=(*size, at.n_channels), value=value
    )


def repeat(writer: Writer, at: At, layer: Repeat) -> At:
    """Repeat the channels of a map."""
    at = to_floats(writer, at)
    if layer.n == 1:
        return at
    height, width, n = at.shape
    value = writer.write(Concat((at.value,) * layer.n, (n,) * layer.n))
    return replace(at, shape=(height, width, n * layer.n), value=value)
