"""What the operations on maps demand of their parts, and what they make of their inputs.

Each check takes an operation and the value or values that it reads, returns the value that it
makes, and raises `ProgramError` when they do not fit. The limits keep what an engine allocates in
proportion: no map, padded or not, is larger than `MAX_ELEMENTS`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bimetal.bits import n_bytes
from bimetal.ops.base import INT32_MAX, MAX_ELEMENTS, Value, require, tail_mask
from bimetal.ops.maps import (
    Add,
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
    "MAX_BIAS",
    "MAX_RATIO",
    "MAX_STEP",
    "check_add",
    "check_affine",
    "check_byte_conv",
    "check_concat",
    "check_conv",
    "check_planes",
    "check_pool",
    "check_prelu",
    "check_quantize",
    "check_row_threshold",
    "check_threshold",
    "out_size",
]

MAX_STEP = 4096  # of a kernel, a stride, a dilation; a padding stays below it
MAX_BIAS = 2**30  # with a window of at most 2**24 terms of ±1 no sum can overflow int32
MAX_RATIO = 255  # top and bottom of a threshold of rows: their squares fit 16 bits


def out_size(n: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1) -> int:
    """Return how many windows fit along one axis of `n` pixels; not positive if none does.

    Examples
    --------
    >>> out_size(224, kernel=11, stride=4, before=2, after=2)
    55
    """
    return (n + before + after - dilation * (kernel - 1) - 1) // stride + 1


def check_quantize(op: Quantize, value: Value) -> Value:
    """Return the bytes that are made of the raw row or of floats."""
    _check_channel_floats(value, scale=op.scale, offset=op.offset)
    return _made("bytes", value.n)


def check_planes(op: Planes, value: Value) -> Value:
    """Return the bits that are made of bytes."""
    n_out = len(op.channel)
    pixels = _pixels(value, op.channels)
    require(n_out > 0, "at least one bit a pixel expected, got none")
    require(len(op.mask) == n_out == len(op.level), "channel, mask and level must be of one length")
    require(bool((op.channel < op.channels).all()), f"channels must be below {op.channels}")
    require(bool((op.level >= 1).all()), "levels must be at least 1: x >= 0 always holds")
    return _made("bits", pixels * n_out)


def check_conv(op: Conv, value: Value) -> Value:
    """Return the bits or ints that are made of bits."""
    require(op.pad in ("-1", "0", "+1"), f"pad must be '-1', '0' or '+1', got {op.pad!r}")
    made, window = _check_convolution(op, value)
    n_out = len(op.bias)
    require(
        op.weights.shape == (n_out, n_bytes(window)),
        f"weights must have shape {(n_out, n_bytes(window))}, got {op.weights.shape}",
    )
    is_clean = not (op.weights[:, -1] & tail_mask(window)).any()
    require(is_clean, "bits beyond the end of a weight row must be 0")
    low, high = int(op.bias.min()), int(op.bias.max())
    require(
        low >= -MAX_BIAS and high <= MAX_BIAS,
        f"biases must lie in [-{MAX_BIAS}, {MAX_BIAS}], got [{low}, {high}]",
    )
    return made


def check_byte_conv(op: ByteConv, value: Value) -> Value:
    """Return the bits or ints that are made of bytes."""
    made, window = _check_convolution(op, value)
    n_out, channels = len(op.bias), op.shape[2]
    require(len(op.pad) == channels, f"pad needs {channels} entries, got {len(op.pad)}")
    require(
        op.weights.shape == (n_out, window),
        f"weights must have shape {(n_out, window)}, got {op.weights.shape}",
    )
    require(int(op.weights.min()) >= -127, "weights must lie in [-127, 127], got -128")
    require(_largest_sum(op) <= INT32_MAX, "the sums can overflow int32; scale the weights down")
    return made


def check_pool(op: Pool, value: Value) -> Value:
    """Return what is made of a map of any kind."""
    require(op.kind in ("max", "sum"), f"kind must be 'max' or 'sum', got {op.kind!r:.80}")
    _check_shape(op.shape, value)
    _check_steps(kernel=op.kernel, stride=op.stride)
    _check_padding(op.padding)
    for kernel, pads in zip(op.kernel, (op.padding[0::2], op.padding[1::2]), strict=True):
        require(
            max(pads) < kernel, f"padding {op.padding} must be less than the kernel {op.kernel}"
        )
    pixels = _out_pixels(op.shape, op.kernel, op.stride, (1, 1), op.padding)
    keeps_kind = op.kind == "max" or value.kind == "floats"
    return _made(value.kind if keeps_kind else "ints", pixels * op.shape[2])


def check_threshold(op: Threshold, value: Value) -> Value:
    """Return the bits that are made of ints or floats."""
    n = len(op.thresholds)
    _pixels(value, n)
    wanted = np.int32 if value.kind == "ints" else np.float32
    require(
        op.thresholds.dtype == wanted,
        f"thresholds of {value.kind} must be {np.dtype(wanted)}, got {op.thresholds.dtype}",
    )
    require(bool(np.isfinite(op.thresholds).all()), "thresholds must be finite")
    require(len(op.flips) == n, f"flips needs {n} entries, got {len(op.flips)}")
    require(bool((op.flips <= 1).all()), "flips must be 0 or 1")
    return _made("bits", value.n)


def check_row_threshold(op: RowThreshold, value: Value) -> Value:
    """Return the bits that are made of ints."""
    _pixels(value, op.channels)
    require(op.top <= MAX_RATIO, f"top must lie in [0, {MAX_RATIO}], got {op.top}")
    require(1 <= op.bottom <= MAX_RATIO, f"bottom must lie in [1, {MAX_RATIO}], got {op.bottom}")
    return _made("bits", value.n)


def check_affine(op: Affine, value: Value) -> Value:
    """Return the floats that are made of ints or floats."""
    _check_channel_floats(value, scale=op.scale, offset=op.offset)
    return _made("floats", value.n)


def check_prelu(op: PReLU, value: Value) -> Value:
    """Return the floats that are made of floats."""
    _check_channel_floats(value, slope=op.slope, before=op.before, after=op.after)
    return _made("floats", value.n)


def check_add(op: Add, values: Sequence[Value]) -> Value:
    """Return what is made of values of one kind and size."""
    _check_kin(values)
    sizes = [value.n for value in values]
    require(len(set(sizes)) == 1, f"inputs must be of one size, got {sizes!r:.80}")
    return _made(values[0].kind, sizes[0])


def check_concat(op: Concat, values: Sequence[Value]) -> Value:
    """Return what is made of maps of one kind with equally many pixels."""
    _check_kin(values)
    require(
        len(op.channels) == len(values),
        f"channels needs {len(values)} entries, one an input, got {len(op.channels)}",
    )
    pixels = [_pixels(value, n) for value, n in zip(values, op.channels, strict=True)]
    require(len(set(pixels)) == 1, f"inputs must have equally many pixels, got {pixels!r:.80}")
    return _made(values[0].kind, sum(value.n for value in values))


def _made(kind: str, n: int) -> Value:
    require(0 < n <= MAX_ELEMENTS, f"makes {n} elements; a map has at most {MAX_ELEMENTS}")
    return Value(kind, n)  # type: ignore[arg-type]


def _pixels(value: Value, channels: int) -> int:
    require(
        channels >= 1 and value.n % channels == 0,
        f"{value.n} elements do not divide into pixels of {channels} channels",
    )
    return value.n // channels


def _check_channel_floats(value: Value, **arrays: NDArray[np.float32]) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    require(len(set(lengths.values())) == 1, f"arrays must be of one length, got {lengths}")
    _pixels(value, next(iter(lengths.values())))
    for name, array in arrays.items():
        require(bool(np.isfinite(array).all()), f"{name} must be finite")


def _check_kin(values: Sequence[Value]) -> None:
    require(len(values) >= 2, f"at least two inputs expected, got {len(values)}")
    kinds = [value.kind for value in values]
    require(len(set(kinds)) == 1, f"inputs must be of one kind, got {kinds!r:.80}")


def _check_shape(shape: tuple[int, ...], value: Value) -> None:
    require(len(shape) == 3, f"shape must be height, width and channels, got {shape!r:.80}")
    height, width, channels = shape
    require(
        min(shape) >= 1 and height * width * channels == value.n,
        f"expects a map of shape {shape}, but its input has {value.n} elements",
    )


def _check_steps(**steps: tuple[int, ...]) -> None:
    for name, given in steps.items():
        require(
            len(given) == 2 and all(1 <= step <= MAX_STEP for step in given),
            f"{name} must be two whole numbers from 1 to {MAX_STEP}, got {given!r:.80}",
        )


def _check_padding(padding: tuple[int, ...]) -> None:
    require(
        len(padding) == 4 and all(pad < MAX_STEP for pad in padding),
        "padding must be four whole numbers (top, left, bottom, right) below "
        f"{MAX_STEP}, got {padding!r:.80}",
    )


def _out_pixels(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: tuple[int, ...],
) -> int:
    """Return the number of windows; refuse a map that is too small, or too large once padded."""
    height, width, channels = shape
    top, left, bottom, right = padding
    padded = (height + top + bottom) * (width + left + right) * channels
    require(
        padded <= MAX_ELEMENTS,
        f"the map has {padded} elements with its padding; at most {MAX_ELEMENTS} expected",
    )
    rows = out_size(height, kernel[0], stride[0], top, bottom, dilation[0])
    columns = out_size(width, kernel[1], stride[1], left, right, dilation[1])
    require(
        rows >= 1 and columns >= 1,
        f"a window of {kernel} (dilation {dilation}) does not fit a map of {(height, width)} "
        f"with padding {padding}",
    )
    return rows * columns


def _check_convolution(op: Conv | ByteConv, value: Value) -> tuple[Value, int]:
    """Check the geometry; return what is made and the number of weights of one output channel."""
    require(op.makes in ("bits", "ints"), f"makes must be 'bits' or 'ints', got {op.makes!r:.80}")
    _check_shape(op.shape, value)
    _check_steps(kernel=op.kernel, stride=op.stride, dilation=op.dilation)
    _check_padding(op.padding)
    channels, n_out = op.shape[2], len(op.bias)
    require(n_out > 0, "at least one output channel expected, got none")
    require(
        op.groups >= 1 and channels % op.groups == 0 == n_out % op.groups,
        f"{channels} channels and {n_out} outputs do not divide into {op.groups} groups",
    )
    pixels = _out_pixels(op.shape, op.kernel, op.stride, op.dilation, op.padding)
    made = _made(op.makes, pixels * n_out)
    return made, op.kernel[0] * op.kernel[1] * channels // op.groups


def _largest_sum(op: ByteConv) -> int:
    biases = np.abs(op.bias.astype(np.int64))
    widest = int(255 * 127 * op.weights.shape[1] + biases.max())
    if widest <= INT32_MAX:
        return widest  # so few weights that none could overflow
    sums: NDArray[np.int64] = biases + 255 * np.abs(op.weights).sum(axis=1, dtype=np.int64)
    return int(sums.max())
