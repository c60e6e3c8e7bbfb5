"""The operations on maps in ONNX: convolutions, pooling, and floats step by step.

A value stays a row (batch, n) with channels innermost, as the Program has it; convolutions and the
pooling of bytes see it as (batch, channels, height, width) and give it back as a row. Float operators
stand one by one, so that a runtime rounds after each.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import unpack
from bimetal.export.onnx.graph import Graph
from bimetal.ops import (
    Affine,
    ByteConv,
    Concat,
    Conv,
    Planes,
    PReLU,
    Quantize,
    Threshold,
)

__all__ = [
    "affine",
    "byte_conv",
    "concat",
    "conv",
    "images",
    "planes",
    "prelu",
    "quantize",
    "threshold",
]


def quantize(g: Graph, op: Quantize, x: str, n: int) -> str:
    """Return bytes, uint8: NaN gives 0, halves go to the even number."""
    t = g.op("Add", g.op("Mul", _pixels(g, x, n, len(op.scale)), op.scale), op.offset)
    clipped = g.op("Clip", g.op("Round", t), np.float32(0), np.float32(255))
    whole = g.op("Where", g.op("IsNaN", t), np.float32(0), clipped)
    return g.shaped(g.cast(whole, np.uint8), n)


def planes(g: Graph, op: Planes, x: str, n: int) -> str:
    """Return bits of bytes."""
    read = g.gathered(_pixels(g, x, n, op.channels), op.channel, axis=-1)
    masked = g.cast(g.op("BitwiseAnd", read, op.mask), np.int32)
    bits = g.bits(g.op("GreaterOrEqual", masked, g.whole(op.level)))
    return g.shaped(bits, n // op.channels * len(op.channel))


def threshold(g: Graph, op: Threshold, x: str, n: int) -> str:
    """Return bits of ints or floats."""
    is_high = g.op("GreaterOrEqual", _pixels(g, x, n, len(op.thresholds)), op.thresholds)
    if op.flips.any():
        is_high = g.op("Xor", is_high, op.flips.astype(bool))
    return g.shaped(g.bits(is_high), n)


def affine(g: Graph, op: Affine, x: str, n: int, is_float: bool) -> str:
    """Return floats: one product, one sum; an int is rounded to float32 first."""
    x = x if is_float else g.cast(x, np.float32)
    return g.shaped(
        g.op("Add", g.op("Mul", _pixels(g, x, n, len(op.scale)), op.scale), op.offset), n
    )


def prelu(g: Graph, op: PReLU, x: str, n: int) -> str:
    """Return floats bent where they are negative."""
    t = g.op("Sub", _pixels(g, x, n, len(op.slope)), op.before)
    is_right = g.op("GreaterOrEqual", t, np.float32(0))
    bent = g.op("Where", is_right, t, g.op("Mul", t, op.slope))
    return g.shaped(g.op("Add", bent, op.after), n)


def concat(g: Graph, op: Concat, inputs: list[str], pixels: int) -> str:
    """Return the channels of each pixel side by side."""
    parts = [g.shaped(x, pixels, c) for x, c in zip(inputs, op.channels, strict=True)]
    return g.shaped(g.op("Concat", *parts, axis=2), pixels * sum(op.channels))


def conv(g: Graph, op: Conv, bits: str, n: int) -> str:
    """Return bits or sums of a binary convolution.

    A bit x becomes 2x with zero point 1, that is ±1, and what a runtime pads, the zero point, is 0.
    """
    x = images(g, bits, op.shape)
    window = op.kernel[0] * op.kernel[1] * op.shape[2] // op.groups
    weights = _channels_first(op, unpack(op.weights, window)).astype(bool)
    outside = op.padding if op.pad == "0" else (0, 0, 0, 0)
    if g.weights == "float":
        x = g.op("Sub", g.op("Mul", g.cast(x, np.float32), np.float32(2)), np.float32(1))
        x = x if op.pad == "0" else framed(g, x, op.padding, np.float32(int(op.pad)))
        sums = g.cast(_windows(g, op, "Conv", x, g.signs(weights), outside), np.int32)
    else:
        x = _twice(g, x)
        x = x if op.pad == "0" else framed(g, x, op.padding, np.uint8(int(op.pad) + 1))
        w = (
            _twice(g, g.unpacked(weights))
            if g.weights == "packed"
            else (2 * weights).astype(np.uint8)
        )
        sums = _windows(g, op, "ConvInteger", x, w, outside, np.uint8(1), np.uint8(1))
    return _biased(g, op, sums, n)


def _twice(g: Graph, bits: str) -> str:
    return g.op("BitShift", bits, np.uint8(1), direction="LEFT")


def byte_conv(g: Graph, op: ByteConv, x: str, n: int) -> str:
    """Return bits or sums of a convolution of bytes.

    The weights lie as w + 128 with zero point 128: kernels of uint8 · uint8 never add pairs of products
    in int16, as those of uint8 · int8 do on x86 without VNNI, where 2 · 255 · 127 saturates.
    """
    x = _framed_by_channel(g, op, images(g, x, op.shape))
    w = _channels_first(op, op.weights)
    if g.weights == "float":
        floats = g.cast(x, np.float32), w.astype(np.float32)
        sums = g.cast(_windows(g, op, "Conv", *floats), np.int32)
    else:
        shifted = (w.astype(np.int16) + 128).astype(np.uint8)
        zero_points = np.uint8(0), np.uint8(128)
        sums = _windows(g, op, "ConvInteger", x, shifted, (0, 0, 0, 0), *zero_points)
    return _biased(g, op, sums, n)


def images(g: Graph, x: str, shape: tuple[int, ...]) -> str:
    """Return a row as (batch, channels, height, width)."""
    return g.op("Transpose", g.shaped(x, *shape), perm=[0, 3, 1, 2])


def rows(g: Graph, x: str, n: int) -> str:
    """Return (batch, channels, height, width) as a row."""
    return g.shaped(g.op("Transpose", x, perm=[0, 2, 3, 1]), n)


def framed(g: Graph, x: str, padding: tuple[int, ...], value: np.generic) -> str:
    """Return images with a border of one value."""
    if not any(padding):
        return x
    top, left, bottom, right = padding
    return g.op("Pad", x, np.array([0, 0, top, left, 0, 0, bottom, right], np.int64), value)


def _framed_by_channel(g: Graph, op: ByteConv, x: str) -> str:
    """Return images with the border of each channel: its byte, put where a mask of 255 allows it."""
    if len(set(op.pad.tolist())) == 1 or not any(op.padding):
        return framed(g, x, op.padding, op.pad[0])
    inside = g.op("Expand", np.uint8(0), np.array([1, 1, *op.shape[:2]], np.int64))
    mask = framed(g, inside, op.padding, np.uint8(255))
    border = g.op("BitwiseAnd", mask, op.pad.reshape(1, -1, 1, 1))
    return g.op("BitwiseOr", framed(g, x, op.padding, np.uint8(0)), border)


def _channels_first(op: Conv | ByteConv, weights: NDArray[Any]) -> NDArray[Any]:
    """Return weights (n_out, window) as (n_out, channels of a group, height, width)."""
    by_place = weights.reshape(len(op.bias), *op.kernel, op.shape[2] // op.groups)
    return np.ascontiguousarray(by_place.transpose(0, 3, 1, 2))


def _windows(
    g: Graph,
    op: Conv | ByteConv,
    kind: str,
    x: str,
    weights: str | NDArray[Any],
    padding: tuple[int, ...] = (0, 0, 0, 0),
    *zero_points: np.uint8,
) -> str:
    return g.op(
        kind, x, weights, *zero_points, group=op.groups, kernel_shape=list(op.kernel),
        strides=list(op.stride), dilations=list(op.dilation), pads=list(padding),
    )  # fmt: skip


def _biased(g: Graph, op: Conv | ByteConv, sums: str, n: int) -> str:
    total = g.op("Add", sums, g.whole(op.bias.reshape(-1, 1, 1)))
    if op.makes == "bits":
        total = g.bits(g.op("GreaterOrEqual", total, np.int32(0)))
    return rows(g, total, n)


def _pixels(g: Graph, x: str, n: int, channels: int) -> str:
    return x if n == channels else g.shaped(x, n // channels, channels)
