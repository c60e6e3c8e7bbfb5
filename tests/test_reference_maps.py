"""What the operations on maps mean: against loops in plain Python, and by the laws they must obey."""

import operator
from collections.abc import Iterator
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from strategies_maps import map_programs, random_map_rows

from bimetal import reference
from bimetal.bits import pack, unpack
from bimetal.columns import Column
from bimetal.errors import DataError
from bimetal.ops import MapOp, value_of
from bimetal.program import (
    Add,
    Affine,
    ByteConv,
    Concat,
    Conv,
    Dense,
    Link,
    Op,
    Planes,
    Pool,
    PReLU,
    Program,
    Quantize,
    RowThreshold,
    Threshold,
    Value,
)

KINDS = {"row": "f4", "bits": "?", "bytes": "u1", "ints": "i4", "floats": "f4"}
ONE, NONE = (1, 1), (0, 0, 0, 0)
Pixel = tuple[int, int]


def apply(op: Op, *inputs: np.ndarray) -> np.ndarray:
    """Return what one operation makes of values, which it reads as value 0, 1, ..."""
    kinds = {np.dtype(v): k for k, v in KINDS.items()}  # float32 is called floats
    value_of(op, [Value(kinds[x.dtype], x.shape[1]) for x in inputs])  # type: ignore[arg-type]
    with np.errstate(all="ignore"):
        return reference._apply(op, list(inputs))


def f4(*x: float) -> np.ndarray:
    return np.array(x, "f4")


def conv(shape: tuple[int, ...], weights: np.ndarray, **more: Any) -> Conv:
    """Return a Conv of float-free parts: `weights` bool of shape (n_out, kh, kw, c / groups)."""
    given = dict(makes="ints", stride=ONE, dilation=ONE, padding=NONE, pad="0", groups=1)
    bias = more.pop("bias", np.zeros(len(weights), "i4"))
    return Conv(
        0, shape=shape, kernel=weights.shape[1:3],
        weights=pack(weights.reshape(len(weights), -1)), bias=bias, **(given | more),
    )  # type: ignore[arg-type]  # fmt: skip


def byte_conv(shape: tuple[int, ...], weights: np.ndarray, **more: Any) -> ByteConv:
    given = dict(makes="ints", stride=ONE, dilation=ONE, padding=NONE, groups=1)
    pad = more.pop("pad", np.zeros(shape[2], "u1"))
    bias = more.pop("bias", np.zeros(len(weights), "i4"))
    return ByteConv(
        0, shape=shape, kernel=weights.shape[1:3], pad=pad,
        weights=weights.reshape(len(weights), -1), bias=bias, **(given | more),
    )  # type: ignore[arg-type]  # fmt: skip


# -- plainer Python: one row, one element, one addition at a time


def naive(op: MapOp, values: list[list[Any]]) -> list[Any]:
    """Return what an operation makes of one row; bits are Python bools, floats np.float32."""
    if isinstance(op, Add):
        plus = operator.add if isinstance(values[op.inputs[0]][0], np.float32) else wrapped_sum
        columns = zip(*(values[i] for i in op.inputs), strict=True)
        return [reduce(plus, column) for column in columns]
    if isinstance(op, Concat):
        n_pixels = len(values[op.inputs[0]]) // op.channels[0]
        parts = list(zip(op.inputs, op.channels, strict=True))
        return [x for p in range(n_pixels) for i, c in parts for x in values[i][p * c : p * c + c]]
    x = values[op.input]
    if isinstance(op, Planes):
        n_pixels, tests = (
            len(x) // op.channels,
            list(zip(op.channel, op.mask, op.level, strict=True)),
        )
        return [
            (x[p * op.channels + int(c)] & int(m)) >= int(t) for p in range(n_pixels) for c, m, t in tests
        ]  # fmt: skip
    if isinstance(op, Conv | ByteConv):
        return naive_convolution(op, x)
    if isinstance(op, Pool):
        return naive_pool(op, x)
    if isinstance(op, RowThreshold):
        n = op.channels
        return [bit for p in range(0, len(x), n) for bit in naive_row(op, x[p : p + n])]
    n = len(next(iter(op.arrays().values())))
    return [naive_element(op, i % n, value) for i, value in enumerate(x)]


def naive_row(op: RowThreshold, row: list[int]) -> list[bool]:
    """Mean and variance as fractions: (x − mean) / std >= top / bottom, squared."""
    most = (2**31 - 1) // op.channels
    row = [min(max(x, -most), most) for x in row]
    mean = Fraction(sum(row), len(row))
    variance = sum(((x - mean) ** 2 for x in row), Fraction(0)) / len(row)
    if op.top and not variance:
        return [False] * len(row)
    least = Fraction(op.top, op.bottom) ** 2 * variance
    return [x >= mean and (x - mean) ** 2 >= least for x in row]


def wrapped_sum(a: int, b: int) -> int:
    return (a + b + 2**31) % 2**32 - 2**31


def naive_element(op: MapOp, c: int, x: Any) -> Any:
    match op:
        case Quantize():
            y = np.float32(x * op.scale[c]) + op.offset[c]
            if np.isnan(y):
                return 0
            return min(max(round(float(y)), 0), 255) if np.isfinite(y) else 255 * int(y > 0)
        case Threshold():
            limit = op.thresholds[c] if isinstance(x, np.float32) else int(op.thresholds[c])
            return bool(x >= limit) != bool(op.flips[c])
        case Affine():
            return np.float32(np.float32(x) * op.scale[c]) + op.offset[c]
        case PReLU():
            t = x - op.before[c]
            return (t if t >= 0 else op.slope[c] * t) + op.after[c]
        case _:
            raise AssertionError(op)


def windows(op: Conv | ByteConv | Pool) -> Iterator[list[tuple[Pixel, Pixel]]]:
    """Yield the windows by rows, each as the places it sees and their places in the kernel."""
    (height, width, _), (top, left, bottom, right) = op.shape, op.padding
    down, across = getattr(op, "dilation", ONE)
    reach = [(op.kernel[0] - 1) * down, (op.kernel[1] - 1) * across]
    for y in range(-top, height + bottom - reach[0], op.stride[0]):
        for x in range(-left, width + right - reach[1], op.stride[1]):
            yield [
                ((y + v * down, x + u * across), (v, u))
                for v in range(op.kernel[0])
                for u in range(op.kernel[1])
            ]


def element(op: Conv | ByteConv | Pool, x: list[Any], place: Pixel, c: int, outside: Any) -> Any:
    height, width, channels = op.shape
    if not (0 <= place[0] < height and 0 <= place[1] < width):
        return outside
    return x[(place[0] * width + place[1]) * channels + c]


def naive_convolution(op: Conv | ByteConv, x: list[Any]) -> list[Any]:
    n_out, c_in = len(op.bias), op.shape[2] // op.groups
    if isinstance(op, Conv):
        x = [1 if bit else -1 for bit in x]
        weights = np.where(unpack(op.weights, op.kernel[0] * op.kernel[1] * c_in), 1, -1)
        pad = [int(op.pad)] * op.shape[2]
    else:
        weights, pad = op.weights, op.pad.tolist()
    table = weights.reshape(n_out, *op.kernel, c_in).tolist()
    made = []
    for window in windows(op):
        for o in range(n_out):
            first, total = o // (n_out // op.groups) * c_in, int(op.bias[o])
            for place, (v, u) in window:
                for c in range(c_in):
                    total += element(op, x, place, first + c, pad[first + c]) * table[o][v][u][c]
            made.append(total >= 0 if op.makes == "bits" else total)
    return made


def naive_pool(op: Pool, x: list[Any]) -> list[Any]:
    made: list[Any] = []
    for window in windows(op):
        for c in range(op.shape[2]):
            seen = [element(op, x, place, c, None) for place, _ in window]
            seen = [value for value in seen if value is not None]
            if op.kind == "max":
                made.append(reduce(lambda best, new: new if new > best else best, seen))
            elif isinstance(x[0], np.float32):
                made.append(reduce(operator.add, seen, np.float32(0)))
            else:
                ints = [2 * v - 1 if isinstance(v, bool) else v for v in seen]
                made.append(reduce(wrapped_sum, ints, 0))
    return made


@settings(max_examples=150, deadline=None)
@given(map_programs(max_steps=5, largest=130), seeds())
def test_every_operation_equals_loops_in_plain_python(program: Program, seed: int) -> None:
    rows = random_map_rows(np.random.default_rng(seed), 1, program.n_columns)
    trace = reference.trace(program, rows)
    plain = [list(x[0]) if x.dtype == np.float32 else x[0].tolist() for x in trace]
    for i, op in enumerate(program.ops):
        assert trace[i + 1].dtype == KINDS[program.values[i + 1].kind]
        assert trace[i + 1].shape == (1, program.values[i + 1].n)
        if isinstance(op, MapOp):
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(plain[i + 1], naive(op, plain))


@settings(max_examples=30, deadline=None)
@given(map_programs(largest=600), seeds())
def test_rows_do_not_know_each_other(program: Program, seed: int) -> None:
    rows = random_map_rows(np.random.default_rng(seed), 4, program.n_columns)
    together = reference.run(program, rows)
    for i in range(4):
        np.testing.assert_array_equal(reference.run(program, rows[i : i + 1]), together[i : i + 1])
    assert reference.run(program, rows[:0]).shape == (0, program.n_outputs)


# -- convolutions


@given(seeds(), st.integers(1, 70), st.integers(1, 5), st.sampled_from([1, 2, 3]))
@settings(max_examples=40)
def test_a_convolution_of_one_pixel_is_a_dense_layer(
    seed: int, k: int, m: int, groups: int
) -> None:
    rng = np.random.default_rng(seed)
    n = k * groups
    bits, weights = rng.random((5, n)) < 0.5, rng.random((m * groups, k)) < 0.5
    thresholds = rng.integers(-1, k + 1, m * groups).astype("i4")
    dense = Dense(0, n, pack(weights), thresholds, groups)
    # popcount <= t, when the sum k − 2 * popcount of ±1 is at least k − 2 * t
    one = conv(
        (1, 1, n), weights[:, None, None], groups=groups, makes="bits", bias=2 * thresholds - k
    )
    np.testing.assert_array_equal(apply(one, bits), apply(dense, bits))


@given(seeds(), st.sampled_from([(2, 3, 5), (4, 1, 33), (3, 3, 8)]))
@settings(max_examples=20)
def test_a_kernel_as_large_as_the_map_is_a_dense_layer(seed: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    bits, weights = rng.random((5, n)) < 0.5, rng.random((4, *shape)) < 0.5
    dense = Dense(0, n, pack(weights.reshape(4, n)), np.full(4, n // 2, "i4"))
    made = apply(conv(shape, weights, makes="bits", bias=np.full(4, n // 2 * 2 - n, "i4")), bits)
    np.testing.assert_array_equal(made, apply(dense, bits))


@given(seeds())
@settings(max_examples=20)
def test_a_stride_takes_every_other_window(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits, weights = rng.random((2, 9 * 7 * 3)) < 0.5, rng.random((4, 3, 2, 3)) < 0.5
    same = {"padding": (2, 1, 1, 0), "pad": "+1"}
    dense = apply(conv((9, 7, 3), weights, **same), bits).reshape(2, 10, 7, 4)
    sparse = apply(conv((9, 7, 3), weights, stride=(3, 2), **same), bits).reshape(2, 4, 4, 4)
    np.testing.assert_array_equal(sparse, dense[:, ::3, ::2])


@given(seeds())
@settings(max_examples=20)
def test_a_dilated_kernel_is_a_kernel_with_holes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (2, 8 * 9 * 2)).astype("u1")
    weights = rng.integers(-127, 128, (3, 2, 3, 2)).astype("i1")
    holes = np.zeros((3, 3, 7, 2), "i1")
    holes[:, ::2, ::3] = weights
    same = {"padding": (1, 0, 2, 3), "pad": np.array([7, 200], "u1")}
    a = apply(byte_conv((8, 9, 2), weights, dilation=(2, 3), **same), x)
    np.testing.assert_array_equal(a, apply(byte_conv((8, 9, 2), holes, **same), x))


@given(seeds(), st.sampled_from(["-1", "0", "+1"]))
@settings(max_examples=20)
def test_groups_are_convolutions_side_by_side(seed: int, pad: str) -> None:
    rng = np.random.default_rng(seed)
    bits, weights = rng.random((2, 4 * 5 * 6)) < 0.5, rng.random((9, 2, 2, 2)) < 0.5
    same = {"padding": (1, 1, 1, 1), "pad": pad}
    grouped = apply(conv((4, 5, 6), weights, groups=3, **same), bits)
    pixels, parts = bits.reshape(2, 20, 3, 2), []
    for g in range(3):
        part = np.ascontiguousarray(pixels[:, :, g]).reshape(2, 40)
        parts.append(apply(conv((4, 5, 2), weights[3 * g : 3 * g + 3], **same), part))
    np.testing.assert_array_equal(grouped, apply(Concat((0, 1, 2), (3, 3, 3)), *parts))


@given(seeds(), st.sampled_from(["-1", "+1"]))
@settings(max_examples=20)
def test_padding_with_a_bit_is_a_map_with_a_border_of_that_bit(seed: int, pad: str) -> None:
    rng = np.random.default_rng(seed)
    bits, weights = rng.random((2, 4, 3, 5)) < 0.5, rng.random((3, 3, 3, 5)) < 0.5
    framed = np.pad(bits, ((0, 0), (1, 2), (0, 3), (0, 0)), constant_values=pad == "+1")
    a = apply(conv((4, 3, 5), weights, padding=(1, 0, 2, 3), pad=pad), bits.reshape(2, -1))
    np.testing.assert_array_equal(a, apply(conv((7, 6, 5), weights), framed.reshape(2, -1)))


def test_zeros_lie_halfway_between_the_two_other_paddings() -> None:
    rng = np.random.default_rng(0)
    bits, weights = rng.random((2, 4 * 3 * 5)) < 0.5, rng.random((3, 3, 3, 5)) < 0.5
    low, zero, high = (
        apply(conv((4, 3, 5), weights, padding=(1, 1, 1, 1), pad=pad), bits)
        for pad in ("-1", "0", "+1")
    )
    np.testing.assert_array_equal(low + high, 2 * zero)


def test_bits_are_sums_of_at_least_zero() -> None:
    rng = np.random.default_rng(0)
    bits, weights = rng.random((3, 5 * 5 * 4)) < 0.5, rng.random((6, 3, 3, 4)) < 0.5
    sums = apply(conv((5, 5, 4), weights), bits)
    assert (sums == 0).any()
    np.testing.assert_array_equal(apply(conv((5, 5, 4), weights, makes="bits"), bits), sums >= 0)


def test_a_convolution_of_bytes_is_a_sum_of_convolutions_of_bit_planes() -> None:
    rng = np.random.default_rng(0)
    shape, x = (5, 4, 3), rng.integers(0, 256, (2, 60)).astype("u1")
    signs = rng.random((4, 2, 2, 3)) < 0.5
    weights = np.where(signs, 1, -1).astype("i1")
    total = np.zeros((2, 4 * 3 * 4), "i4")
    for b in range(8):  # a bit is (±1 + 1) / 2
        mask = np.full(3, 1 << b, "u1")
        plane = apply(Planes(0, 3, np.arange(3, dtype="u2"), mask, mask), x)
        twice = apply(conv(shape, signs), plane).reshape(2, -1, 4) + weights.reshape(4, -1).sum(
            axis=1
        )
        total += ((1 << b) * twice // 2).reshape(2, -1).astype("i4")
    np.testing.assert_array_equal(apply(byte_conv(shape, weights), x), total)


def test_sums_of_bytes_are_exact_up_to_the_last_int32() -> None:
    n = 66_000  # 255 * 127 * 66,000 = 2,137,410,000
    weights, x = np.full((2, 1, 1, n), 127, "i1"), np.full((1, n), 255, "u1")
    weights[1] = -127
    room = 2**31 - 1 - 255 * 127 * n
    op = byte_conv((1, 1, n), weights, bias=np.array([room, -room], "i4"))
    assert apply(op, x).tolist() == [[2**31 - 1, -(2**31) + 1]]


def test_a_window_of_sixteen_million_bits_is_counted_exactly() -> None:
    n = 2**24
    bits = np.ones((1, n), bool)
    bits[0, :3] = False
    op = conv((1, 1, n), np.ones((1, 1, 1, n), bool), bias=np.array([2**30], "i4"))
    assert apply(op, bits).tolist() == [[n - 6 + 2**30]]


# -- pooling


@given(seeds(), st.sampled_from([(2, 2), (3, 1), (3, 3)]), st.sampled_from([ONE, (2, 2), (1, 3)]))
@settings(max_examples=40)
def test_the_largest_bit_is_the_largest_int(seed: int, kernel: Pixel, stride: Pixel) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.random((3, 6 * 5 * 4)) < 0.3
    geometry = ((6, 5, 4), kernel, stride, (kernel[0] - 1, kernel[1] - 1, 0, kernel[1] - 1))
    ints = apply(Pool(0, "sum", (6, 5, 4), ONE, ONE, NONE), bits)
    np.testing.assert_array_equal(ints, np.where(bits, 1, -1))
    largest = apply(Pool(0, "max", *geometry), ints)
    np.testing.assert_array_equal(apply(Pool(0, "max", *geometry), bits), largest == 1)
    floats = apply(Pool(0, "max", *geometry), ints.astype("f4"))
    np.testing.assert_array_equal(floats, largest)


def test_what_lies_outside_is_never_the_largest_and_adds_nothing() -> None:
    x = np.array([[-5, -7]], "i4")
    geometry = ((1, 2, 1), (2, 2), ONE, (1, 1, 1, 1))
    assert apply(Pool(0, "max", *geometry), x).tolist() == [[-5, -5, -7, -5, -5, -7]]
    assert apply(Pool(0, "sum", *geometry), x).tolist() == [[-5, -12, -7, -5, -12, -7]]
    ones = np.array([[True, True]])
    assert apply(Pool(0, "sum", *geometry), ones).tolist() == [[1, 2, 1, 1, 2, 1]]


def test_the_largest_is_the_first_unless_a_later_one_is_larger() -> None:
    pool = Pool(0, "max", (1, 3, 1), (1, 3), ONE, NONE)
    nan = np.nan
    made = [float(apply(pool, f4(*x)[None])[0, 0]) for x in [(nan, 1, 2), (1, nan, 2), (3, nan, 2)]]
    np.testing.assert_array_equal(made, [nan, 2, 3])


def test_floats_are_added_by_rows_one_by_one() -> None:
    x = f4(1e8, 1, -1e8, 1)[None]
    assert apply(Pool(0, "sum", (2, 2, 1), (2, 2), ONE, NONE), x).tolist() == [[1.0]]
    assert apply(Pool(0, "sum", (4, 1, 1), (3, 1), ONE, NONE), x).tolist() == [[0.0, -1e8]]


def test_a_sum_of_ints_wraps_around() -> None:
    x = np.array([[2**31 - 1, 1]], "i4")
    assert apply(Pool(0, "sum", (1, 2, 1), (1, 2), ONE, NONE), x).tolist() == [[-(2**31)]]
    assert apply(Add((0, 1, 1)), x, x)[0].tolist() == [2**31 - 3, 3]


# -- elements


def test_bytes_round_halves_to_even_and_stay_within_their_range() -> None:
    x = f4(0.5, 1.5, 2.5, 254.5, 255.5, -0.5, 300, -3, np.nan, np.inf, -np.inf, -0.0, 1e-45)[None]
    made = apply(Quantize(0, f4(1), f4(0)), x)
    assert made.tolist() == [[0, 2, 2, 254, 255, 0, 255, 0, 0, 255, 0, 0, 0]]
    assert apply(Quantize(0, f4(0), f4(7)), f4(np.inf)[None]).tolist() == [[0]]  # inf * 0 is NaN


def test_a_product_is_rounded_before_the_sum() -> None:
    a = float(np.float32(1 + 2**-12))  # a * a = 1 + 2**-11 + 2**-24, which float32 cannot hold
    op = Affine(0, f4(a), f4(-(1 + 2**-11)))
    assert apply(op, f4(a)[None]).tolist() == [[0.0]]
    bent = apply(PReLU(0, f4(0), f4(a), f4(1 + 2**-11)), f4(-a)[None])
    assert bent.tolist() == [[0.0]]
    sharp = Quantize(0, f4(2**23 * a), f4(2.0**-24 - 2**23 * (1 + 2**-11)))
    assert apply(sharp, f4(a)[None]).tolist() == [[0]]


def test_an_int_is_rounded_to_float32_before_it_is_scaled() -> None:
    x = np.array([[2**24 + 1, 2**24 + 3, -(2**31), 2**31 - 1]], "i4")
    made = apply(Affine(0, f4(1), f4(0)), x)
    assert made.tolist() == [[2**24, 2**24 + 4, -(2.0**31), 2.0**31]]


def test_thermometer_and_bit_planes() -> None:
    x = np.array([[0, 37, 255]], "u1")
    levels = np.array([1, 37, 38, 255], "u1")
    op = Planes(0, 1, np.zeros(4, "u2"), np.full(4, 255, "u1"), levels)
    assert apply(op, x).tolist() == [[v >= t for v in (0, 37, 255) for t in levels]]
    powers = (1 << np.arange(8)).astype("u1")
    bits = apply(Planes(0, 1, np.zeros(8, "u2"), powers, powers), x)
    assert pack(bits.reshape(3, 8)).ravel().tolist() == [0, 37, 255]


def test_a_flip_is_a_complement_and_nan_reaches_no_threshold() -> None:
    x = f4(-1, 0, -0.0, 2, np.nan, np.inf)[None]
    plain = apply(Threshold(0, f4(0), np.array([0], "u1")), x)
    flipped = apply(Threshold(0, f4(0), np.array([1], "u1")), x)
    assert plain.tolist() == [[False, True, True, True, False, True]]
    np.testing.assert_array_equal(flipped, ~plain)


@given(seeds())
@settings(max_examples=20)
def test_thresholds_side_by_side_are_the_threshold_of_maps_side_by_side(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-9, 9, (2, 12)).astype("i4"), rng.integers(-9, 9, (2, 8)).astype("i4")
    limits = rng.integers(-9, 9, 5).astype("i4")
    flips = rng.integers(0, 2, 5).astype("u1")
    side_by_side = apply(Threshold(0, limits, flips), apply(Concat((0, 1), (3, 2)), a, b))
    each = [
        apply(Threshold(0, limits[s], flips[s]), x) for x, s in ((a, slice(3)), (b, slice(3, 5)))
    ]
    np.testing.assert_array_equal(side_by_side, apply(Concat((0, 1), (3, 2)), *each))


def test_a_prelu_without_slope_and_shifts_is_a_relu() -> None:
    x = f4(-2, -0.0, 0, 3, np.inf)[None]
    assert apply(PReLU(0, f4(0), f4(0), f4(0)), x).tolist() == [[0, 0, 0, 3, np.inf]]


def test_floats_are_added_from_left_to_right() -> None:
    values = [f4(x)[None] for x in (1e8, 1, -1e8)]
    assert apply(Add((0, 1, 2)), *values).tolist() == [[0.0]]
    assert apply(Add((0, 2, 1)), *values).tolist() == [[1.0]]


# -- the raw row


def test_rows_of_another_shape_are_refused() -> None:
    link = Link(3, "identity", np.ones(1), np.zeros(1), np.zeros(0, "i4"), f4())
    ops = (
        Quantize(0, f4(1), f4(0)),
        Pool(1, "sum", (2, 2, 1), (2, 2), ONE, NONE),
        Pool(2, "max", (1, 1, 1), ONE, ONE, NONE),
        link,
    )
    program = Program((Column("image", "array", size=4),), ops)
    assert reference.run(program, [[1, 2, 3, 250]]).tolist() == [[256.0]]
    with pytest.raises(DataError, match=r"rows must have shape \(n_rows, 4\), got \(1, 2, 2\)"):
        reference.run(program, np.zeros((1, 2, 2), "f4"))
