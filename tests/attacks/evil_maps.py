"""Evil files with maps: each the golden file of version 2 or 3 with exactly one thing wrong.

Many would make a careless engine allocate without end, read beyond a map, or never come back.
"""

import struct
from collections.abc import Callable
from typing import Any

from attacks.evil import GOOD_MAP, GOOD_ROW, INF32, NAN32, with_data, with_spec

MOST = 2**31 - 1


def with_op(i: int, **parts: Any) -> bytes:
    """Return the good file with scalars of one operation replaced."""
    return with_spec(lambda spec: spec["ops"][i].update(parts), GOOD_MAP)


def with_row_op(i: int, **parts: Any) -> bytes:
    """Return the good file with thresholds of rows, scalars of one operation replaced."""
    return with_spec(lambda spec: spec["ops"][i].update(parts), GOOD_ROW)


def with_column(**parts: Any) -> bytes:
    return with_spec(lambda spec: spec["columns"][0].update(parts), GOOD_MAP)


def with_raw(name: str, raw: bytes) -> bytes:
    return with_data(name, raw, GOOD_MAP)


def _spec(change: Callable[[dict[str, Any]], Any]) -> bytes:
    return with_spec(change, GOOD_MAP)


EVIL_MAPS: dict[str, tuple[bytes, str]] = {
    # versions
    "maps_that_claim_version_1": (
        _spec(lambda s: s.update(version=1)),
        "parts are of Program version 2, but the description says 1",
    ),
    "maps_that_claim_version_3": (
        _spec(lambda s: s.update(version=3)),
        "parts are of Program version 2, but the description says 3",
    ),
    "maps_that_claim_version_5": (
        _spec(lambda s: s.update(version=5)),
        "1 or 2 or 3 or 4 .* got 5",
    ),
    "thresholds_of_rows_that_claim_version_2": (
        with_spec(lambda s: s.update(version=2), GOOD_ROW),
        "parts are of Program version 3, but the description says 2",
    ),
    "a_version_that_is_2_0": (_spec(lambda s: s.update(version=2.0)), "canonical JSON"),
    # columns
    "an_array_without_a_size": (_spec(lambda s: s["columns"][0].pop("size")), "a column needs"),
    "a_number_with_a_size": (with_column(kind="number"), "a column needs"),
    "an_array_with_categories": (with_column(categories=["a"]), "has no categories"),
    "an_array_of_nothing": (with_column(size=0), "size must be .* got 0"),
    "an_array_of_minus_one": (with_column(size=-1), "size must be .* got -1"),
    "an_array_of_2_to_the_62": (with_column(size=2**62), "size must be"),
    "an_array_of_true": (with_column(size=True), "size must be .* got True"),
    "an_array_of_72_0": (with_column(size=72.0), "size must be .* got 72.0"),
    "an_array_of_another_size": (with_column(size=74), "expects a map of shape"),
    "an_array_that_does_not_divide": (with_column(size=73), "do not divide into pixels"),
    "a_raw_row_without_end": (
        _spec(
            lambda s: s["columns"].extend(
                {"name": f"c{i}", "kind": "array", "categories": [], "size": 2**24}
                for i in range(1000)
            )
        ),
        "a raw row has at most 16777216 numbers",
    ),
    # shapes
    "a_shape_that_is_a_number": (with_op(4, shape=144), "a tuple of whole numbers"),
    "a_shape_of_strings": (with_op(4, shape=["6", "6", "4"]), "a tuple of whole numbers"),
    "a_shape_of_floats": (with_op(4, shape=[6.0, 6.0, 4.0]), "a tuple of whole numbers"),
    "a_shape_of_lists": (with_op(4, shape=[[6], 6, 4]), "a tuple of whole numbers"),
    "a_shape_of_four": (with_op(4, shape=[6, 6, 2, 2]), "height, width and channels"),
    "a_shape_of_none": (with_op(4, shape=[]), "height, width and channels"),
    "a_shape_of_zeros": (with_op(4, shape=[0, 0, 0]), "expects a map"),
    "a_shape_of_two_negatives": (with_op(4, shape=[-6, -6, 4]), "a tuple of whole numbers"),
    "a_shape_that_wraps_around": (with_op(4, shape=[2**16, 2**16, 2**16]), "expects a map"),
    "a_shape_of_the_most": (with_op(4, shape=[MOST, MOST, MOST]), "expects a map"),
    "a_shape_of_a_larger_map": (with_op(9, shape=[6, 6, 5]), "expects a map"),
    # steps
    "a_kernel_of_zero": (with_op(4, kernel=[0, 0]), "kernel must be"),
    "a_kernel_of_the_most": (with_op(4, kernel=[MOST, MOST]), "kernel must be"),
    "a_kernel_of_4096": (with_op(4, kernel=[4096, 4096]), "does not fit a map"),
    "a_kernel_of_one_size": (with_op(1, kernel=[3]), "kernel must be two"),
    "a_stride_of_zero": (with_op(9, stride=[0, 2]), "stride must be"),
    "a_stride_of_the_most": (with_op(9, stride=[MOST, 2]), "stride must be"),
    "a_dilation_of_zero": (with_op(4, dilation=[0, 1]), "dilation must be"),
    "a_dilation_of_4096": (with_op(4, dilation=[4096, 4096]), "does not fit a map"),
    "a_negative_padding": (with_op(4, padding=[-1, 1, 1, 1]), "a tuple of whole numbers"),
    "a_padding_of_the_most": (with_op(4, padding=[MOST] * 4), "padding must be"),
    "a_padding_bomb": (with_op(4, padding=[4095] * 4), "elements with its padding; at most"),
    "a_padding_bomb_of_bytes": (with_op(1, padding=[4095] * 4), "elements with its padding"),
    "a_padding_of_a_pool": (with_op(9, padding=[2, 0, 0, 0]), "must be less than the kernel"),
    "a_padding_of_five": (with_op(9, padding=[0] * 5), "padding must be four"),
    "a_padding_of_true": (with_op(9, padding=[True, 0, 0, 0]), "a tuple of whole numbers"),
    # wiring and names
    "a_map_that_reads_itself": (with_op(4, input=5), "reads value 5, but only 5 exist"),
    "a_map_that_reads_the_future": (with_op(6, inputs=[3, 12]), "reads value 12"),
    "a_map_of_the_wrong_kind": (with_op(4, input=1), "reads bits, but value 1 is bytes"),
    "an_add_of_nothing": (with_op(6, inputs=[]), "at least two inputs"),
    "an_add_of_two_sizes": (with_op(13, shape=[3, 3, 4]), "expects a map"),
    "a_concat_of_zero_channels": (with_op(11, channels=[0, 3]), "pixels of 0 channels"),
    "a_concat_of_many_channels": (with_op(11, channels=[MOST, 3]), "do not divide into pixels"),
    "a_concat_without_channels": (with_op(11, channels=[]), "channels needs 2 entries"),
    "planes_of_no_channels": (with_op(3, channels=0), "pixels of 0 channels"),
    "groups_of_nothing": (with_op(4, groups=0), "0 groups"),
    "groups_of_the_most": (with_op(4, groups=MOST), "do not divide into 2147483647 groups"),
    "groups_of_one": (with_op(4, groups=1), r"weights must have shape \(4, 5\)"),
    "an_unknown_pad": (with_op(4, pad="reflect"), "pad must be"),
    "a_pad_that_is_a_number": (with_op(4, pad=0), "pad must be a string"),
    "an_unknown_pool": (with_op(9, kind="eval"), "kind must be"),
    "what_nobody_can_make": (with_op(4, makes="floats"), "makes must be"),
    "an_operation_with_a_key_too_many": (with_op(4, x=1), "operation 4 needs"),
    "a_table_of_a_map": (with_op(4, op="dense"), "operation 4 needs"),
    # thresholds of rows
    "a_row_of_no_channels": (with_row_op(2, channels=0), "pixels of 0 channels"),
    "a_row_that_does_not_divide": (with_row_op(2, channels=4), "do not divide into pixels of 4"),
    "a_row_of_the_most": (with_row_op(2, channels=MOST), "do not divide into pixels"),
    "a_row_of_true": (with_row_op(2, channels=True), "a whole number .* got True"),
    "a_row_of_bits": (with_row_op(2, input=1), "reads ints, but value 1 is bits"),
    "a_row_that_reads_itself": (with_row_op(2, input=3), "reads value 3, but only 3 exist"),
    "a_top_of_256": (with_row_op(2, top=256), r"top must lie in \[0, 255\], got 256"),
    "a_top_of_minus_one": (with_row_op(2, top=-1), "a whole number .* got -1"),
    "a_top_of_the_most": (with_row_op(2, top=MOST), "top must lie in"),
    "a_top_of_a_half": (with_row_op(2, top=0.5), "a whole number .* got 0.5"),
    "a_bottom_of_zero": (with_row_op(2, bottom=0), r"bottom must lie in \[1, 255\], got 0"),
    "a_bottom_of_256": (with_row_op(4, bottom=256), "bottom must lie in .* got 256"),
    "another_top": (with_row_op(2, top=2), "of its content"),
    "a_row_without_a_bottom": (
        with_spec(lambda s: s["ops"][2].pop("bottom"), GOOD_ROW),
        "operation 2 needs .*bottom",
    ),
    "a_row_with_flips": (with_row_op(2, flips=[1]), "operation 2 needs"),
    # data
    "a_set_tail_bit": (with_raw("ops.4.weights", b"\xff\xff\xff"), "beyond the end of a weight"),
    "one_flipped_weight": (with_raw("ops.4.weights", b"\x55"), "of its content"),
    "a_bias_of_the_most": (with_raw("ops.4.bias", b"\xff\xff\xff\x7f"), "biases must lie in"),
    "a_bias_of_the_least": (with_raw("ops.4.bias", b"\0\0\0\x80"), "biases must lie in"),
    "a_weight_of_minus_128": (with_raw("ops.1.weights", b"\x80"), "got -128"),
    "sums_of_bytes_that_overflow": (with_raw("ops.1.bias", b"\xff\xff\xff\x7f"), "overflow int32"),
    "a_channel_that_is_not_there": (with_raw("ops.3.channel", b"\2\0"), "must be below 2"),
    "a_level_of_zero": (with_raw("ops.3.level", b"\0"), "levels must be at least 1"),
    "a_flip_of_two": (with_raw("ops.8.flips", b"\2"), "flips must be 0 or 1"),
    "a_nan_threshold": (with_raw("ops.8.thresholds", NAN32), "thresholds must be finite"),
    "a_signalling_nan_scale": (with_raw("ops.2.scale", b"\x01\x00\xa0\x7f"), "scale must be"),
    "an_infinite_slope": (with_raw("ops.7.slope", INF32), "slope must be finite"),
    "an_infinite_offset": (with_raw("ops.0.offset", struct.pack("<f", -float("inf"))), "finite"),
}
