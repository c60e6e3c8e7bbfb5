"""A Program over maps is valid once built: geometry, limits, versions, columns of arrays, cost."""

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from golden.lut import lut_program
from golden.map import ROWS, map_program
from golden.row import row_program
from golden.tiny import tiny_program
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_maps import map_programs

from bimetal import reference
from bimetal.columns import Column, require_finite, require_known_missing, to_rows
from bimetal.errors import ColumnError, MissingValueError, NotFiniteError, ProgramError
from bimetal.ops import MAX_BITS, MAX_ELEMENTS, OPS, value_of
from bimetal.ops.checks_maps import MAX_BIAS, MAX_STEP, out_size
from bimetal.program import (
    Add,
    Affine,
    Concat,
    Conv,
    Dense,
    Lut,
    Op,
    Planes,
    Pool,
    Program,
    Quantize,
    RowThreshold,
    Rules,
    Threshold,
    Value,
    from_parts,
)

MAP = map_program()
QUANTIZE, BYTES, AFFINE, PLANES, CONV, _, ADD, PRELU, THRESHOLD, POOL, _, CONCAT, *_ = MAP.ops
change = dataclasses.replace
BIG = MAX_ELEMENTS


def with_op(i: int, **parts: Any) -> Program:
    """Return the golden Program over maps with parts of operation i replaced."""
    ops = list(MAP.ops)
    ops[i] = change(ops[i], **parts)
    return change(MAP, ops=tuple(ops))


def made(op: Op, *inputs: tuple[str, int]) -> Value:
    """Return what an operation makes of values of these kinds and sizes."""
    return value_of(op, [Value(kind, n) for kind, n in inputs])  # type: ignore[arg-type]


def window(kernel: int, size: int, **more: Any) -> Pool:
    """Return a Pool over a square map of one channel."""
    given = dict(stride=(1, 1), padding=(0, 0, 0, 0))
    return Pool(0, "max", (size, size, 1), (kernel, kernel), **(given | more))  # type: ignore[arg-type]


def u1(*x: int) -> np.ndarray:
    return np.array(x, "u1")


def i4(*x: int) -> np.ndarray:
    return np.array(x, "i4")


def f4(*x: float) -> np.ndarray:
    return np.array(x, "f4")


def zeros(*shape: int, dtype: str = "u1") -> np.ndarray:
    return np.zeros(shape, dtype)


NAN, INF = np.nan, np.inf

WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    # wiring
    "a quantize of bits": (lambda: with_op(0, input=1), "reads value 1, but only 1 exist so far"),
    "a convolution of bytes": (lambda: with_op(4, input=1), "reads bits, but value 1 is bytes"),
    "a convolution of bytes that reads bits": (
        lambda: made(change(BYTES, input=0), ("bits", 72)),
        "reads bytes, but value 0 is bits",
    ),
    "planes of the raw row": (lambda: with_op(3, input=0), "reads bytes, but value 0 is row"),
    "a threshold of bits": (
        lambda: with_op(8, input=4),
        "operation 8 (Threshold): reads ints or floats, but value 4 is bits",
    ),
    "an affine of bits": (lambda: with_op(5, input=4), "reads ints or floats, but value 4 is bits"),
    "a prelu of ints": (lambda: with_op(7, input=5), "reads floats, but value 5 is ints"),
    "a pool of the raw row": (lambda: with_op(9, input=0), "but value 0 is row"),
    "a concat of bytes": (lambda: with_op(11, inputs=(1, 1)), "but value 1 is bytes"),
    "an add of bits": (lambda: with_op(6, inputs=(4, 4)), "reads ints or floats, but value 4 is"),
    # shapes
    "a shape of two sizes": (
        lambda: with_op(4, shape=(6, 24)),
        "shape must be height, width and channels, got (6, 24)",
    ),
    "a shape of another size": (
        lambda: with_op(4, shape=(6, 6, 5)),
        "expects a map of shape (6, 6, 5), but its input has 144 elements",
    ),
    "a shape of nothing": (lambda: with_op(4, shape=(0, 6, 4)), "expects a map of shape (0, 6, 4)"),
    "a negative size": (lambda: with_op(4, shape=(-6, -6, 4)), "a tuple of whole numbers"),
    "a shape of strings": (lambda: with_op(4, shape=("6", 6, 4)), "a tuple of whole numbers"),
    "a shape beyond int32": (lambda: with_op(4, shape=(2**31, 6, 4)), "a tuple of whole numbers"),
    "a pool of another shape": (lambda: with_op(9, shape=(6, 6, 3)), "its input has 144 elements"),
    # steps
    "a kernel of one size": (
        lambda: with_op(4, kernel=(3,)),
        f"kernel must be two whole numbers from 1 to {MAX_STEP}, got (3,)",
    ),
    "a kernel of nothing": (lambda: with_op(4, kernel=(0, 3)), "kernel must be two whole numbers"),
    "a kernel too large": (lambda: with_op(4, kernel=(4097, 1)), "got (4097, 1)"),
    "no stride": (lambda: with_op(4, stride=(0, 1)), "stride must be two whole numbers from 1"),
    "a stride too large": (lambda: with_op(9, stride=(4097, 1)), "stride must be two whole"),
    "no dilation": (lambda: with_op(4, dilation=(1, 0)), "dilation must be two whole numbers"),
    "a dilation too large": (lambda: with_op(1, dilation=(1, 4097)), "dilation must be two"),
    "a padding of two sides": (
        lambda: with_op(4, padding=(1, 1)),
        "padding must be four whole numbers (top, left, bottom, right) below 4096, got (1, 1)",
    ),
    "a padding too large": (lambda: with_op(4, padding=(4096, 0, 0, 0)), "below 4096, got (4096"),
    "a padding of a pool as large as its kernel": (
        lambda: with_op(9, padding=(0, 2, 0, 0)),
        "padding (0, 2, 0, 0) must be less than the kernel (2, 2)",
    ),
    "a window larger than the map": (
        lambda: with_op(4, dilation=(4, 1)),
        "a window of (3, 3) (dilation (4, 1)) does not fit a map of (6, 6)",
    ),
    "a pool larger than the map": (lambda: made(window(3, 2), ("ints", 4)), "does not fit a map"),
    # sizes of maps
    "a padding that makes a map too large": (
        lambda: made(change(window(4096, 1), padding=(4095,) * 4), ("bits", 1)),
        f"the map has {8191**2} elements with its padding; at most {MAX_ELEMENTS} expected",
    ),
    "a map that is too large": (
        lambda: made(
            Conv(0, "bits", (4096, 2048, 1), (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), "0", 1,
                 zeros(3, 1), zeros(3, dtype="i4")),
            ("bits", 4096 * 2048),
        ),
        f"makes {3 * 4096 * 2048} elements; a map has at most {MAX_ELEMENTS}",
    ),
    "planes that are too large": (
        lambda: made(Planes(0, 1, zeros(2, dtype="u2"), u1(1, 1), u1(1, 1)), ("bytes", BIG)),
        f"makes {2 * BIG} elements",
    ),
    "a concat that is too large": (
        lambda: made(Concat((0, 0), (1, 1)), ("bits", BIG)),
        f"makes {2 * BIG} elements",
    ),
    "a dense layer that reads too much": (
        lambda: made(
            Dense(0, MAX_BITS + 1, zeros(1, MAX_BITS // 8 + 1), i4(0)), ("bits", MAX_BITS + 1)
        ),
        f"a neuron reads at most {MAX_BITS} bits, got {MAX_BITS + 1}",
    ),
    "rules that read too much": (
        lambda: made(Rules(0, np.array([0], "u2"), u1(1)), ("bits", MAX_BITS + 1)),
        f"rules read at most {MAX_BITS} bits, got {MAX_BITS + 1}",
    ),
    # convolutions
    "a convolution that makes floats": (
        lambda: with_op(4, makes="floats"),
        "makes must be 'bits' or 'ints', got 'floats'",
    ),
    "an unknown pad": (lambda: with_op(4, pad="2"), "pad must be '-1', '0' or '+1', got '2'"),
    "a pad that is a number": (lambda: with_op(4, pad=0), "Conv.pad must be a string, got 0"),
    "no groups": (lambda: with_op(4, groups=0), "do not divide into 0 groups"),
    "groups that do not divide": (
        lambda: with_op(4, groups=3),
        "4 channels and 4 outputs do not divide into 3 groups",
    ),
    "no outputs": (
        lambda: with_op(4, bias=i4(), weights=zeros(0, 3)),
        "at least one output channel expected, got none",
    ),
    "weights of another shape": (
        lambda: with_op(4, weights=zeros(4, 4)),
        "weights must have shape (4, 3), got (4, 4)",
    ),
    "a set tail bit": (
        lambda: with_op(4, weights=np.full((4, 3), 4, "u1")),
        "bits beyond the end of a weight row must be 0",
    ),
    "a bias too large": (
        lambda: with_op(4, bias=i4(0, MAX_BIAS + 1, 0, 0)),
        f"biases must lie in [-{MAX_BIAS}, {MAX_BIAS}], got [0, {MAX_BIAS + 1}]",
    ),
    "a bias of -2**31": (lambda: with_op(4, bias=i4(0, -(2**31), 0, 0)), "biases must lie in"),
    "weights of bytes of another shape": (
        lambda: with_op(1, weights=zeros(4, 9, dtype="i1")),
        "weights must have shape (4, 18), got (4, 9)",
    ),
    "a weight of -128": (
        lambda: with_op(1, weights=np.full((4, 18), -128, "i1")),
        "weights must lie in [-127, 127], got -128",
    ),
    "sums of bytes that overflow": (
        lambda: with_op(1, weights=np.full((4, 18), 1, "i1"), bias=i4(0, 0, 0, 2**31 - 255 * 18)),
        "the sums can overflow int32",
    ),
    "a bias of bytes of -2**31": (lambda: with_op(1, bias=i4(0, 0, 0, -(2**31))), "can overflow"),
    "a pad too short": (lambda: with_op(1, pad=u1(0)), "pad needs 2 entries, got 1"),
    # pools
    "an unknown pool": (lambda: with_op(9, kind="mean"), "kind must be 'max' or 'sum', got 'mean'"),
    # planes
    "no planes": (
        lambda: with_op(3, channel=np.array([], "u2"), mask=u1(), level=u1()),
        "at least one bit a pixel expected, got none",
    ),
    "planes of two lengths": (lambda: with_op(3, mask=u1(1)), "must be of one length"),
    "a channel out of range": (
        lambda: with_op(3, channel=np.array([0, 1, 2, 0], "u2")),
        "channels must be below 2",
    ),
    "a level of zero": (lambda: with_op(3, level=u1(1, 1, 0, 1)), "levels must be at least 1"),
    "channels that do not divide": (
        lambda: with_op(3, channels=7),
        "72 elements do not divide into pixels of 7 channels",
    ),
    "planes of no channels": (lambda: with_op(3, channels=0), "pixels of 0 channels"),
    # constants of channels
    "a quantize of no channels": (
        lambda: with_op(0, scale=f4(), offset=f4()),
        "72 elements do not divide into pixels of 0 channels",
    ),
    "scale and offset of two lengths": (
        lambda: with_op(0, offset=f4(0)),
        "arrays must be of one length, got {'scale': 2, 'offset': 1}",
    ),
    "a NaN scale": (lambda: with_op(2, scale=f4(0, 0, NAN, 0)), "scale must be finite"),
    "an infinite offset": (lambda: with_op(0, offset=f4(0, INF)), "offset must be finite"),
    "an infinite slope": (lambda: with_op(7, slope=f4(0, 0, 0, -INF)), "slope must be finite"),
    "a NaN shift": (lambda: with_op(7, after=f4(0, 0, NAN, 0)), "after must be finite"),
    "shifts of two lengths": (lambda: with_op(7, before=f4(0)), "arrays must be of one length"),
    # thresholds
    "thresholds of another type": (
        lambda: with_op(8, thresholds=i4(0, 0, 0, 0)),
        "thresholds of floats must be float32, got int32",
    ),
    "float thresholds of ints": (
        lambda: made(change(THRESHOLD, input=0), ("ints", 4)),
        "thresholds of ints must be int32, got float32",
    ),
    "a NaN threshold": (lambda: with_op(8, thresholds=f4(0, NAN, 0, 0)), "must be finite"),
    "a flip of two": (lambda: with_op(8, flips=u1(0, 1, 2, 0)), "flips must be 0 or 1"),
    "flips too few": (lambda: with_op(8, flips=u1(0)), "flips needs 4 entries, got 1"),
    "thresholds of no channels": (
        lambda: with_op(8, thresholds=f4(), flips=u1()),
        "pixels of 0 channels",
    ),
    # thresholds of rows
    "a threshold of rows of floats": (
        lambda: made(RowThreshold(0, 4, 1, 1), ("floats", 4)),
        "reads ints, but value 0 is floats",
    ),
    "rows of no channels": (
        lambda: made(RowThreshold(0, 0, 1, 1), ("ints", 4)),
        "4 elements do not divide into pixels of 0 channels",
    ),
    "rows that do not divide": (
        lambda: made(RowThreshold(0, 3, 1, 1), ("ints", 4)),
        "4 elements do not divide into pixels of 3 channels",
    ),
    "a top too large": (
        lambda: made(RowThreshold(0, 4, 256, 1), ("ints", 4)),
        "top must lie in [0, 255], got 256",
    ),
    "a bottom of zero": (
        lambda: made(RowThreshold(0, 4, 1, 0), ("ints", 4)),
        "bottom must lie in [1, 255], got 0",
    ),
    "a bottom too large": (
        lambda: made(RowThreshold(0, 4, 1, 256), ("ints", 4)),
        "bottom must lie in [1, 255], got 256",
    ),
    "a top that is a fraction": (
        lambda: RowThreshold(0, 4, 0.5, 1),  # type: ignore[arg-type]
        "RowThreshold.top must be a whole number (Python's int) from 0, got 0.5",
    ),
    # several inputs
    "an add of one": (lambda: with_op(6, inputs=(3,)), "at least two inputs expected, got 1"),
    "an add of two kinds": (
        lambda: with_op(6, inputs=(3, 5)),
        "inputs must be of one kind, got ['floats', 'ints']",
    ),
    "an add of two sizes": (
        lambda: made(Add((0, 1)), ("ints", 4), ("ints", 5)),
        "inputs must be of one size, got [4, 5]",
    ),
    "a concat of nothing": (lambda: with_op(11, inputs=(), channels=()), "at least two inputs"),
    "a concat of two kinds": (
        lambda: with_op(11, inputs=(4, 5)),
        "inputs must be of one kind, got ['bits', 'ints']",
    ),
    "channels of a concat too few": (
        lambda: with_op(11, channels=(4,)),
        "channels needs 2 entries, one an input, got 1",
    ),
    "a concat of other pixels": (
        lambda: with_op(11, channels=(4, 9)),
        "inputs must have equally many pixels, got [9, 3]",
    ),
    "a concat of channels that do not divide": (lambda: with_op(11, channels=(5, 3)), "36 elements"),
    # the whole
    "an end that is no link": (
        lambda: change(MAP, ops=MAP.ops[:3], classes=()),
        "the last operation must be a Link, got Affine",
    ),
    "columns of too many numbers": (
        lambda: change(MAP, columns=(Column("a", "array", size=BIG), Column("b"))),
        f"a raw row has at most {MAX_ELEMENTS} numbers, got {BIG + 1}",
    ),
    "golden rows of another width": (
        lambda: change(MAP, golden_x=ROWS[:, :1]),
        "golden_x must have shape (3, 72), got (3, 1)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_contradiction_is_refused_by_name(name: str) -> None:
    build, complaint = WRONG[name]
    with pytest.raises(ProgramError, match=re.escape(complaint)):
        build()


# -- what holds of a good one


def test_values_tell_kind_and_size() -> None:
    kinds = [(v.kind, v.n) for v in MAP.values]
    assert kinds == [
        ("row", 72), ("bytes", 72), ("ints", 144), ("floats", 144), ("bits", 144), ("ints", 144),
        ("floats", 144), ("floats", 144), ("floats", 144), ("bits", 144), ("bits", 36),
        ("bits", 27), ("bits", 63), ("ints", 45), ("ints", 5), ("floats", 5),
    ]  # fmt: skip
    assert (MAP.n_columns, MAP.n_outputs) == (72, 5)


@given(
    st.integers(1, 30), st.integers(1, 7), st.integers(1, 5), st.integers(1, 4),
    st.integers(0, 6), st.integers(0, 6),
)  # fmt: skip
def test_the_number_of_windows_is_counted(
    n: int, kernel: int, stride: int, dilation: int, before: int, after: int
) -> None:
    starts = range(-before, n + after - dilation * (kernel - 1), stride)
    assert max(0, out_size(n, kernel, stride, before, after, dilation)) == len(starts)


def test_pooling_keeps_the_kind_or_counts() -> None:
    for kind in ("bits", "bytes", "ints", "floats"):
        assert made(window(2, 2), (kind, 4)).kind == kind
        sums = made(change(window(2, 2), kind="sum"), (kind, 4)).kind
        assert sums == ("floats" if kind == "floats" else "ints")


def test_floats_can_be_quantized_and_maps_read_flat() -> None:
    one = f4(1)
    assert made(Quantize(0, one, one), ("floats", 6)) == Value("bytes", 6)
    assert made(Affine(0, one, one), ("ints", 6)) == Value("floats", 6)
    assert made(Threshold(0, i4(3), u1(0)), ("ints", 6)) == Value("bits", 6)
    halves = Dense(0, 2 * MAX_BITS, zeros(2, MAX_BITS // 8), i4(0, 0), groups=2)
    assert made(halves, ("bits", 2 * MAX_BITS)) == Value("bits", 2)


def test_the_largest_map_is_allowed() -> None:
    assert made(window(1, 4096), ("bits", MAX_ELEMENTS)) == Value("bits", MAX_ELEMENTS)
    assert made(window(4096, 4096), ("bits", MAX_ELEMENTS)) == Value("bits", 1)


@settings(max_examples=60, deadline=None)
@given(map_programs(largest=600))
def test_spec_and_tensors_make_the_program_again(program: Program) -> None:
    spec = json.loads(program.spec_text())
    again = from_parts(spec, program.tensors(), {})
    assert (again.id, again.spec()) == (program.id, program.spec())


# -- versions


def test_the_version_rises_only_with_maps_and_arrays() -> None:
    tiny = tiny_program()
    assert (tiny.version, MAP.version) == (1, 2)
    columns = (Column("age"), Column("rest", "array", size=2))
    arrays = change(tiny, columns=columns)
    assert arrays.version == arrays.spec()["version"] == 2
    assert "size" not in tiny.spec_text()


def test_the_version_is_3_only_with_thresholds_of_rows() -> None:
    row = row_program()
    assert row.version == row.spec()["version"] == 3
    ops = list(row.ops)
    ops[2] = Threshold(2, i4(0, 0, 0, 0, 0, 0), u1(0, 0, 0, 0, 0, 0))
    assert change(row, ops=tuple(ops)).version == 3
    ops[4] = Threshold(4, i4(0, 0, 0), u1(0, 0, 0))
    assert change(row, ops=tuple(ops)).version == 2


@pytest.mark.parametrize("version", [1, True, 0, 3, "2", None])
def test_parts_of_version_2_are_refused_under_another_name(version: object) -> None:
    spec = MAP.spec() | {"version": version}
    with pytest.raises(ProgramError, match="version"):
        from_parts(spec, MAP.tensors(), {})


def test_the_golden_programs_have_every_operation() -> None:
    known = (*tiny_program().ops, *MAP.ops)
    assert {type(op) for op in known} == set(OPS) - {RowThreshold, Lut}
    assert {type(op) for op in (*known, *row_program().ops, *lut_program().ops)} == set(OPS)


# -- cost


def test_cost_counts_a_weight_at_every_place() -> None:
    cost = MAP.cost()
    assert cost.bits == 4 * 18 + 3 * 16 + 5 * 7
    assert cost.bit_ops == 36 * 4 * 18 + 9 * 3 * 16 + 9 * 5 * 7
    rows = {row.op: row for row in cost.rows}
    assert rows["byteconv"].int_ops == 36 * 4 * 18
    assert rows["planes"].int_ops == 144
    assert rows["pool"].int_ops == 9 * 5  # the last one: a sum
    assert rows["add"].float_ops == rows["prelu"].float_ops == rows["threshold"].float_ops == 144
    assert (rows["add"].n_in, rows["concat"].n_in, rows["golden"].n_in) == (288, 63, 72)
    assert rows["concat"].int_ops + rows["concat"].float_ops + rows["concat"].bit_ops == 0
    assert cost.bytes == sum(a.nbytes for a in MAP.tensors().values())


def test_a_threshold_of_rows_costs_no_byte_and_four_operations_an_element() -> None:
    rows = [row for row in row_program().cost().rows if row.op == "rowthreshold"]
    assert [(row.n_in, row.n_out, row.bytes, row.int_ops) for row in rows] == [
        (6, 6, 0, 24), (12, 12, 0, 48),
    ]  # fmt: skip


# -- columns that are arrays


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("a", "array", (), 0), "size must be a whole number (Python's int) from 1 to 16777216"),
        (("a", "array", (), 2**24 + 1), "got 16777217"),
        (("a", "array", (), -1), "got -1"),
        (("a", "array", (), 2.0), "got 2.0"),
        (("a", "array", (), True), "got True"),
        (("a", "array", (), np.int64(3)), "got np.int64(3)"),
        (("a", "array", ("x",), 3), "column 'a' is an array and has no categories"),
        (("a", "number", (), 2), "column 'a' (number): size must be 1, got 2"),
        (("a", "category", ("x",), 2), "column 'a' (category): size must be 1, got 2"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(arguments: Any, complaint: str) -> None:
    with pytest.raises(ProgramError, match=re.escape(complaint)):
        Column(*arguments)


def test_the_size_of_an_array_stands_in_its_description() -> None:
    column = Column("image", "array", size=12)
    assert Column.from_spec(column.spec()) == column
    for evil in (
        {"name": "a", "kind": "array", "categories": []},
        {"name": "a", "kind": "number", "categories": [], "size": 1},
    ):
        with pytest.raises(
            ProgramError, match="a column needs name, kind and categories, and size"
        ):
            Column.from_spec(evil)


IMAGE = (Column("image", "array", size=12),)
MIXED = (Column("age"), Column("image", "array", size=11))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "f2", "f4", "f8", "i8", "?"])
@pytest.mark.parametrize("shape", [(5, 12), (5, 2, 2, 3), (5, 12, 1), (0, 3, 4)])
def test_arrays_of_any_axes_become_rows(dtype: str, shape: tuple[int, ...]) -> None:
    images = (np.arange(np.prod(shape)) % 2).reshape(shape).astype(dtype)
    for columns in (IMAGE, MIXED):
        rows = to_rows(images, columns)
        assert rows.dtype == np.float32
        assert rows.shape == (shape[0], 12)
        np.testing.assert_array_equal(rows, images.reshape(shape[0], 12))


def test_rows_that_are_rows_already_are_not_copied() -> None:
    images = np.zeros((3, 2, 2, 3), "f4")
    assert np.shares_memory(to_rows(images, IMAGE), images)


def test_lists_and_masked_arrays_of_numbers_are_read() -> None:
    assert to_rows([[list(range(6)), list(range(6))]], IMAGE).tolist() == [[*range(6), *range(6)]]
    masked = np.ma.MaskedArray(np.ones((1, 12)), mask=[[True] + [False] * 11])
    assert np.isnan(to_rows(masked, IMAGE)).sum() == 1


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (np.zeros((2, 11)), "expected an array of numbers of shape (n_rows, 12)"),
        (np.zeros(12), "or with further axes (columns [image]), got (12,)"),
        (np.zeros((2, 3, 5)), "got (2, 3, 5)"),
        (np.zeros((2, 12), object), "which no frame holds: expected an array of numbers"),
        (np.full((2, 12), "x"), "got an array of <U1"),
        (pd.DataFrame(np.zeros((2, 12))), "got DataFrame; stack the images into one NumPy array"),
        (pd.DataFrame({"image": [np.zeros(12)]}), "column 'image' is an array, which no frame"),
        ([["a"] * 12], "got an array of object"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_array_of_that_size_is_refused(data: Any, complaint: str) -> None:
    with pytest.raises(ColumnError, match=re.escape(complaint)):
        to_rows(data, IMAGE)


def test_a_refusal_names_the_column_of_the_pixel() -> None:
    rows = np.zeros((3, 12), "f4")
    rows[1, 7] = NAN
    with pytest.raises(MissingValueError, match=r"in column \[image\] \(first in row 1"):
        require_known_missing(rows, MIXED, np.zeros(12, bool))
    rows[2, 0] = rows[2, 5] = INF
    with pytest.raises(NotFiniteError, match=r"in columns \[age, image\] \(first in row 2"):
        require_finite(rows, MIXED)
    with pytest.raises(NotFiniteError, match=r"column 'image', row 0: 1e\+39 is too large"):
        to_rows(np.full((1, 12), 1e39), IMAGE)


def test_the_golden_images_give_the_golden_answers() -> None:
    rows = to_rows(ROWS.reshape(3, 6, 6, 2), MAP.columns)
    np.testing.assert_array_equal(reference.run(MAP, rows), MAP.golden_y)
