"""Layers that read or make bytes, as operations of a Program.

Bytes come from the picture or from a `Bytes` layer. What reads them makes sums of whole numbers, a
`ByteConv` not yet written, with its scale waiting behind.
"""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bimetal.errors import ProgramError
from bimetal.lower.asking import Span
from bimetal.lower.channelwise import by_element, n_channels_of, real, spread
from bimetal.lower.state import (
    At,
    Over,
    Waiting,
    Writer,
    require_channels,
    require_kind,
    require_row,
)
from bimetal.lower.windows import Window, window_of
from bimetal.nn import BitPlanes, ByteConv2d, ByteLinear, Scale, Thermometer
from bimetal.nn.activations import LARGEST, Bytes, Pixels
from bimetal.ops import ByteConv, Op, Planes, Quantize, Readout

__all__ = [
    "byte_conv",
    "byte_linear",
    "byte_signs",
    "is_pixels",
    "ordinary_conv",
    "planes",
    "quantize",
    "quantized_row",
]

INT8 = 127


def is_pixels(at: At) -> bool:
    """Whether here are bytes, or `Pixels` of bytes."""
    kinds = [type(layer) for layer in at.layers]
    return at.kind == "bytes" and kinds in ([], [Pixels])


def planes(writer: Writer, at: At, layer: BitPlanes | Thermometer) -> At:
    """Bytes → bits: bit planes or thermometer codes."""
    require_kind(at, "bytes", "it is the first layer of a net, or follows a Bytes")
    height, width, n = at.shape
    per_channel = len(layer.levels)
    op = Planes(
        at.value,
        n,
        np.repeat(np.arange(n, dtype=np.uint16), per_channel),
        np.tile(layer.masks.numpy(), n),
        np.tile(layer.levels.numpy(), n),
    )
    return At("bits", (height, width, n * per_channel), writer.write(op), is_flat=at.is_flat)


def quantized_row(writer: Writer, channels: int, layer: Bytes | None) -> int:
    """Make bytes of the raw row, by the range of a layer or, without one, as they are."""
    if layer is None:
        one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        return writer.write(Quantize(0, one, zero))
    _require_range(layer, channels)
    return writer.write(Quantize(0, spread(layer.scale, channels), spread(layer.offset, channels)))


def quantize(writer: Writer, at: At, layer: Bytes) -> At:
    """Anything → bytes."""
    at = real(writer, _without_clips(at, layer))
    given: Any = layer
    if layer.n is not None and at.is_flat:
        at, given = by_element(at, layer)
    _require_range(layer, at.n_channels)
    n = at.n_channels
    value = writer.write(Quantize(at.value, spread(given.scale, n), spread(given.offset, n)))
    return At("bytes", at.shape, value, is_flat=at.is_flat)


def _require_range(layer: Bytes, channels: int) -> None:
    if n_channels_of(layer) not in (None, channels):
        raise ProgramError(f"expects {layer.n} channels, but its input has {channels}")


def _without_clips(at: At, layer: Bytes) -> At:
    """Leave out last layers that only clip, where the bytes clip as well.

    `Quantize` never falls. If it makes 0 of the lower bound of a clip, it makes 0 of everything
    below, clipped or not; likewise with 255 above.
    """
    waiting = list(at.waiting)
    while waiting and (bounds := _bounds(waiting[-1].layer)) is not None:
        low, high = layer(torch.tensor(bounds).view(2, 1).expand(2, layer.n or 1))
        if bool((low > 0).any()) or bool((high < LARGEST).any()):
            break
        waiting.pop()
    return replace(at, waiting=tuple(waiting))


def _bounds(layer: nn.Module) -> tuple[float, float] | None:
    match layer:
        case nn.ReLU():
            return 0.0, float("inf")
        case nn.Hardtanh():
            return layer.min_val, layer.max_val
    return None


def byte_signs(at: At, signs: NDArray[np.bool_], groups: int, window: Window, pad_value: int) -> At:
    """Bytes, or pixels, times ±1 → sums not yet written.

    A pixel is (b − m) · step of its channel. With steps that are powers of two times the least one,
    w = ± step / least is a whole number, and a sum is least · (Σ w·b − Σ w·m): bytes, a bias, and one
    scale that waits, none of which rounds.
    """
    n_out, n = len(signs), at.n_channels
    centre, step = np.zeros(n), np.ones(n)
    if at.waiting:
        pixels: Any = at.layers[0]
        centre, step = (spread(x, n).astype(np.float64) for x in (pixels.centre, pixels.scale))
    factor, least = step / step.min(), float(step.min())
    if factor.max() > INT8:
        raise ProgramError("the deviations of its pixels are too far apart for weights of 8 bits")
    weights = np.where(signs, 1, -1) * _by_row(factor, groups, *signs.shape)
    base = -(weights * _by_row(centre, groups, *signs.shape)).sum(1)
    pad = centre + pad_value / step if any(window.padding) else np.zeros(n)
    if ((pad < 0) | (pad > LARGEST) | (pad % 1 != 0)).any():
        raise ProgramError(
            f"counts the edge as {pad_value}, for which there is no byte; build it with pad_value=0"
        )
    sums = _byte_sums(at, weights.astype(np.int8), groups, window, pad, base.astype(np.int64))
    if not at.waiting:
        return sums
    return sums.then(Scale.of(torch.full((n_out,), least), torch.zeros(n_out)))


def _by_row(numbers: NDArray[Any], groups: int, n_out: int, n_weights: int) -> NDArray[Any]:
    """Spread one number a channel over rows of weights (n_out, taps × channels of a group)."""
    per_group = numbers.reshape(groups, 1, 1, -1)
    n_taps = n_weights // per_group.shape[3]
    shape = (groups, n_out // groups, n_taps, per_group.shape[3])
    return np.broadcast_to(per_group, shape).reshape(n_out, n_weights)


def _byte_sums(
    at: At,
    weights: NDArray[np.int8],
    groups: int,
    window: Window,
    pad: NDArray[Any],
    base: NDArray[np.int64],
) -> At:
    """Return the sums of weights times bytes plus `base`, not yet written."""
    positive = np.maximum(weights, 0).sum(axis=1, dtype=np.int64)
    negative = np.minimum(weights, 0).sum(axis=1, dtype=np.int64)
    lows, highs = base + LARGEST * negative, base + LARGEST * positive
    span = Span(int(lows.min()), int(highs.max()))

    def make(makes: Literal["bits", "ints"], bias: Any, falls: NDArray[np.bool_]) -> Op:
        turned = np.where(falls[:, None], -weights, weights)
        own = (bias + np.where(falls, -base, base)).astype(np.int32)
        return ByteConv(
            at.value, makes, at.shape, window.kernel, window.stride, window.dilation,
            window.padding, groups, pad.astype(np.uint8), turned, own,
        )  # fmt: skip

    shape = (*window.fit(at.shape), len(weights))
    return At("ints", shape, sums=make, span=span, is_flat=at.is_flat)


def byte_conv(at: At, layer: ByteConv2d) -> At:
    """Bytes → sums not yet written, and the scale of the layer that waits."""
    require_kind(at, "bytes", "it reads the picture itself, or what a Bytes makes")
    require_channels(at, layer.n_in)
    whole, scale = layer.rounded()
    weights = whole.numpy().transpose(0, 2, 3, 1).reshape(layer.n_out, -1).astype(np.int8)
    none = np.zeros(layer.n_out, np.int64)
    sums = _byte_sums(at, weights, layer.groups, window_of(layer), layer.pad.numpy(), none)
    return sums.then(scale)


def ordinary_conv(at: At, layer: nn.Conv2d) -> At:
    """Bytes, or pixels → the sums of an ordinary convolution, rounded to 8 bits."""
    n = layer.in_channels
    mean, std = [0.0] * n, [1 / LARGEST] * n
    if is_pixels(at) and at.waiting:
        require_channels(at, n)
        pixels: Any = at.layers[0]
        mean = (spread(pixels.centre, n) / LARGEST).tolist()
        std = (1 / (LARGEST * spread(pixels.scale, n))).tolist()
        at = At("bytes", at.shape, at.value)
    return byte_conv(at, ByteConv2d.from_conv(layer, mean, std))


def byte_linear(writer: Writer, at: At, layer: ByteLinear) -> At:
    """Bits or bytes → points, and the scale of the layer that waits."""
    if layer.reads == "bits":
        require_kind(at, "bits", "put a Sign before it, or build it with reads='bytes'")
    else:
        require_kind(at, "bytes", "put a Bytes before it, or build it with reads='bits'")
    require_row(at, layer.n_in)
    height, width, n = at.shape
    whole, scale = layer.rounded()
    turned = whole.numpy().reshape(layer.n_out, n, height, width).transpose(0, 2, 3, 1)
    weights = turned.reshape(layer.n_out, -1).astype(np.int8)
    if layer.reads == "bytes":
        none = np.zeros(layer.n_out, np.int64)
        return _byte_sums(at, weights, 1, Window((height, width)), np.zeros(n), none).then(scale)
    # The layer sums w · (x + 1) / 2. Where x is a bit b itself, twice that is the sum of w · b and of w.
    is_step = at.lowest == 0
    bias = weights.sum(axis=1, dtype=np.int32) * np.int32(is_step)
    value = writer.write(Readout((at.value,), weights, bias))
    largest = int(np.abs(weights).sum(axis=1, dtype=np.int64).max()) * (1 + is_step)
    shape = (1, 1, layer.n_out)
    waiting = (Waiting(Over(2)), Waiting(scale)) if is_step else (Waiting(scale),)
    return At("ints", shape, value, span=Span(-largest, largest), waiting=waiting, is_flat=True)
