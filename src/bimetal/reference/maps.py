"""What the operations on maps mean.

A map is (n_rows, height * width * channels), as values are; inside it is taken apart into rows,
height, width and channels. A window is walked tap by tap: tap (v, u) of every window at once is a
strided slice of the padded map.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import unpack
from bimetal.ops import (
    Affine,
    ByteConv,
    Concat,
    Conv,
    Planes,
    Pool,
    PReLU,
    Quantize,
    RowThreshold,
    Threshold,
)

__all__ = [
    "add",
    "affine",
    "byte_conv",
    "concat",
    "conv",
    "planes",
    "pool",
    "prelu",
    "quantize",
    "row_threshold",
    "threshold",
]

Map = NDArray[Any]


def quantize(op: Quantize, x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return bytes, uint8 (n_rows, n)."""
    y = np.rint(_pixels(x, len(op.scale)) * op.scale + op.offset)
    return _flat(np.where(np.isnan(y), 0, np.clip(y, 0, 255)).astype(np.uint8))


def planes(op: Planes, x: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return bits, bool (n_rows, pixels * n_out)."""
    return _flat((_pixels(x, op.channels)[:, :, op.channel] & op.mask) >= op.level)


def conv(op: Conv, bits: NDArray[np.bool_]) -> Map:
    """Return bits, bool, or sums, int32, of shape (n_rows, out_height * out_width * n_out).

    The products are ±1 or 0 and a window has at most 2**24 of them, so every partial sum is a
    whole number that float32 holds exactly, whatever the order of additions.
    """
    x = np.where(bits, np.float32(1), np.float32(-1))
    window = op.kernel[0] * op.kernel[1] * op.shape[2] // op.groups
    weights = np.where(unpack(op.weights, window), np.float32(1), np.float32(-1))
    pad = np.full(op.shape[2], int(op.pad), np.float32)
    return _convolution(op, x, weights, pad)


def byte_conv(op: ByteConv, x: NDArray[np.uint8]) -> Map:
    """Return bits, bool, or sums, int32, of shape (n_rows, out_height * out_width * n_out).

    Every partial sum is a whole number below 2**31, which float64 holds exactly.
    """
    return _convolution(op, x.astype(np.float64), op.weights.astype(np.float64), op.pad)


def pool(op: Pool, x: Map) -> Map:
    """Return the largest or the sum of each window, (n_rows, out_height * out_width * channels)."""
    if op.kind == "sum" and x.dtype != np.float32:
        x = np.where(x, 1, -1).astype(np.int32) if x.dtype == bool else x.astype(np.int32)
    outside = np.zeros(op.shape[2], x.dtype)
    taps = _taps(_padded(x, op.shape, op.padding, outside), op.kernel, op.stride, (1, 1))
    if op.kind == "sum":
        return _flat(_sum(taps))
    inside = _padded(np.ones_like(x, bool), op.shape, op.padding, np.zeros(op.shape[2], bool))
    return _flat(_largest(taps, _taps(inside, op.kernel, op.stride, (1, 1))))


def threshold(op: Threshold, x: Map) -> NDArray[np.bool_]:
    """Return bits, bool (n_rows, n)."""
    is_high = _pixels(x, len(op.thresholds)) >= op.thresholds
    return _flat(is_high != op.flips.astype(bool))


def row_threshold(op: RowThreshold, x: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return bits, bool (n_rows, n): in Python's own whole numbers, which have no end."""
    n, most = op.channels, (2**31 - 1) // op.channels
    pixels = np.clip(_pixels(x, n).astype(np.int64), -most, most).astype(object)
    total = pixels.sum(axis=2, keepdims=True)
    d, q = n * pixels - total, n * (pixels**2).sum(axis=2, keepdims=True) - total**2
    fires = d >= 0
    if op.top:
        fires &= (op.bottom**2 * d**2 >= op.top**2 * q) & (q > 0)
    return _flat(fires.astype(bool))


def affine(op: Affine, x: Map) -> NDArray[np.float32]:
    """Return floats, float32 (n_rows, n): one product, one sum, each rounded."""
    return _flat(_pixels(x.astype(np.float32), len(op.scale)) * op.scale + op.offset)


def prelu(op: PReLU, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return floats, float32 (n_rows, n)."""
    t = _pixels(x, len(op.slope)) - op.before
    return _flat(np.where(t >= 0, t, op.slope * t) + op.after)


def add(inputs: list[Map]) -> Map:
    """Return the sum of values of one kind and size, from left to right; int32 wraps around."""
    total = inputs[0]
    for x in inputs[1:]:
        total = total + x
    return total


def concat(op: Concat, inputs: list[Map]) -> Map:
    """Return the channels of each pixel side by side."""
    pixels = [_pixels(x, n) for x, n in zip(inputs, op.channels, strict=True)]
    return _flat(np.concatenate(pixels, axis=2))


def _pixels(x: Map, channels: int) -> Map:
    return x.reshape(len(x), x.shape[1] // channels, channels)


def _flat(x: Map) -> Map:
    return x.reshape(len(x), int(np.prod(x.shape[1:])))


def _padded(x: Map, shape: tuple[int, ...], padding: tuple[int, ...], outside: Map) -> Map:
    """Return rows of maps with a border: `outside[c]` in channel c."""
    height, width, channels = shape
    top, left, bottom, right = padding
    framed = np.empty(
        (len(x), top + height + bottom, left + width + right, channels), dtype=x.dtype
    )
    framed[:] = outside
    framed[:, top : top + height, left : left + width] = x.reshape(len(x), *shape)
    return framed


def _taps(
    framed: Map, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Iterator[Map]:
    """Yield for each tap, by rows, what it sees in all windows: (n_rows, height, width, channels)."""
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    bottom, right = framed.shape[1] - reach[0], framed.shape[2] - reach[1]
    for v in range(0, reach[0] + 1, dilation[0]):
        for u in range(0, reach[1] + 1, dilation[1]):
            yield framed[:, v : v + bottom : stride[0], u : u + right : stride[1]]


def _convolution(op: Conv | ByteConv, x: Map, weights: Map, pad: Map) -> Map:
    framed = _padded(x, op.shape, op.padding, pad)
    n_out, c_in, c_out = len(op.bias), op.shape[2] // op.groups, len(op.bias) // op.groups
    by_tap = weights.reshape(n_out, op.kernel[0] * op.kernel[1], c_in)
    total: Any = 0
    for i, tap in enumerate(_taps(framed, op.kernel, op.stride, op.dilation)):
        parts = [
            tap[..., g * c_in : (g + 1) * c_in] @ by_tap[g * c_out : (g + 1) * c_out, i].T
            for g in range(op.groups)
        ]
        total = total + np.concatenate(parts, axis=-1)
    sums = _flat(total.astype(np.int32) + op.bias)
    return sums >= 0 if op.makes == "bits" else sums


def _sum(taps: Iterator[Map]) -> Map:
    first = next(taps)
    total = np.zeros_like(first) + first  # 0.0 first: a sum of zeros is never −0.0
    for x in taps:
        total = total + x
    return total


def _largest(taps: Iterator[Map], inside: Iterator[Map]) -> Map:
    """Return the first element on the map, replaced by each later one that is larger."""
    first = next(taps)
    best, is_filled = first.copy(), next(inside).copy()
    for x, is_inside in zip(taps, inside, strict=True):
        is_better = is_inside & (~is_filled | (x > best))
        best[is_better] = x[is_better]
        is_filled |= is_inside
    return best
