"""The operations on maps: pixels in rows, channels within a pixel.

A map is a value like any other, read as (height, width, channels): element (y, x, c) stands at
``(y * width + x) * channels + c``. Each operation states the shape in which it sees its input, so
a row of 1,200 bits may be a picture to one operation and a row to the next. All of it is exact:
integers are integers, and a float is what IEEE 754 says after each single step.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.ops.base import BaseOp, array_of

__all__ = [
    "Add",
    "Affine",
    "ByteConv",
    "Concat",
    "Conv",
    "PReLU",
    "Planes",
    "Pool",
    "Quantize",
    "RowThreshold",
    "Threshold",
]


@dataclass(frozen=True, eq=False)
class Quantize(BaseOp):
    """Raw row or floats → bytes: ``min(max(rint(x * scale[c] + offset[c]), 0), 255)``; NaN gives 0.

    Element *i* belongs to channel ``c = i % channels``. One float32 multiplication and one float32
    addition, each rounded; rint rounds halves to even.
    """

    input: int
    scale: NDArray[np.float32] = array_of(np.float32)  # (channels,)
    offset: NDArray[np.float32] = array_of(np.float32)  # (channels,)


@dataclass(frozen=True, eq=False)
class Planes(BaseOp):
    """Bytes → bits, pixel by pixel: bit *o* is ``(x[channel[o]] & mask[o]) >= level[o]``.

    Mask 255 gives thermometer codes; mask and level ``2**b`` give bit plane *b*.
    """

    input: int
    channels: int  # of the input
    channel: NDArray[np.uint16] = array_of(np.uint16)  # (n_out,)
    mask: NDArray[np.uint8] = array_of(np.uint8)
    level: NDArray[np.uint8] = array_of(np.uint8)  # at least 1


@dataclass(frozen=True, eq=False)
class Conv(BaseOp):
    """Bits → bits or ints: a binary convolution of ±1 with ±1.

    ``s = bias[o] + sum of input * weight`` over the window; `makes` "ints" gives s (int32), "bits"
    gives ``s >= 0``. Outside the map the input counts as `pad`: −1, +1, or 0 (which adds nothing).
    Weight *o* lists its bits by kernel row, kernel column, channel within the group.
    """

    input: int
    makes: Literal["bits", "ints"]
    shape: tuple[int, ...]  # height, width, channels of the input
    kernel: tuple[int, ...]  # height, width
    stride: tuple[int, ...]  # down, right
    dilation: tuple[int, ...]  # down, right
    padding: tuple[int, ...]  # top, left, bottom, right
    pad: Literal["-1", "0", "+1"]
    groups: int
    weights: NDArray[np.uint8] = array_of(np.uint8, ndim=2)  # (n_out, ceil(kh * kw * c / g / 8))
    bias: NDArray[np.int32] = array_of(np.int32)  # (n_out,)


@dataclass(frozen=True, eq=False)
class ByteConv(BaseOp):
    """Bytes → bits or ints: a convolution of uint8 with int8; otherwise as `Conv`.

    Outside the map the input counts as ``pad[c]``. No sum can overflow int32.
    """

    input: int
    makes: Literal["bits", "ints"]
    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int
    pad: NDArray[np.uint8] = array_of(np.uint8)  # (channels,)
    weights: NDArray[np.int8] = array_of(np.int8, ndim=2)  # (n_out, kh * kw * channels / groups)
    bias: NDArray[np.int32] = array_of(np.int32)  # (n_out,)


@dataclass(frozen=True, eq=False)
class Pool(BaseOp):
    """The largest, or the sum, of a window, channel by channel.

    "max" keeps the kind of its input (of bits it is OR) and ignores what lies outside the map.
    "sum" makes ints of bits (as ±1), bytes and ints (modulo 2**32), and floats of floats, added to
    0.0 one by one, by rows; outside the map everything is 0.
    """

    input: int
    kind: Literal["max", "sum"]
    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]  # top, left, bottom, right; each less than the kernel


@dataclass(frozen=True, eq=False)
class Threshold(BaseOp):
    """Ints or floats → bits: ``(x >= thresholds[c]) != flips[c]``, element *i* of channel i % n.

    The thresholds are of the type of the input: int32 for ints, float32 for floats.
    """

    input: int
    thresholds: NDArray[Any] = array_of(np.int32, np.float32)  # (channels,)
    flips: NDArray[np.uint8] = array_of(np.uint8)  # (channels,), 0 or 1


@dataclass(frozen=True, eq=False)
class RowThreshold(BaseOp):
    """Ints → bits: what stands out of its pixel by ``top / bottom`` standard deviations or more.

    The input is read as pixels of n = `channels` elements, each first brought into ±m with
    ``m = (2**31 − 1) // n``. With S the sum of a pixel, Q the sum of its squares, ``d = n * x − S``
    and ``q = n * Q − S * S``, a bit is ``d >= 0 and bottom**2 * d**2 >= top**2 * q and q > 0``; with
    `top` 0 it is ``d >= 0``. It is a layer norm (Ba, Kiros, Hinton 2016, arXiv:1607.06450) without
    affine and a comparison, as (x − mean) / std is d / √q; all of it in whole numbers, of which none
    leaves 80 bits. Scaling a pixel, or adding one number to all of it, changes nothing.
    """

    input: int
    channels: int  # of a pixel
    top: int  # 0 to 255
    bottom: int  # 1 to 255


@dataclass(frozen=True, eq=False)
class Affine(BaseOp):
    """Ints or floats → floats: ``x * scale[c] + offset[c]``, each step rounded to float32.

    An int32 is first rounded to float32.
    """

    input: int
    scale: NDArray[np.float32] = array_of(np.float32)  # (channels,)
    offset: NDArray[np.float32] = array_of(np.float32)


@dataclass(frozen=True, eq=False)
class PReLU(BaseOp):
    """Floats → floats: ``t = x − before[c]``, then ``(t if t >= 0 else slope[c] * t) + after[c]``.

    With both shifts it is ReActNet's RPReLU (Liu et al. 2020, arXiv:2003.03488); with none and
    slope 0 a ReLU.
    """

    input: int
    before: NDArray[np.float32] = array_of(np.float32)  # (channels,)
    slope: NDArray[np.float32] = array_of(np.float32)
    after: NDArray[np.float32] = array_of(np.float32)


@dataclass(frozen=True, eq=False)
class Add(BaseOp):
    """Two values or more of ints (modulo 2**32) or of floats → their sum, from left to right."""

    inputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Concat(BaseOp):
    """Maps of bits, ints or floats side by side: the channels of each pixel in the order named."""

    inputs: tuple[int, ...]
    channels: tuple[int, ...]  # of each input; all have equally many pixels
