"""Evil files, built by code: each a good .bimetal file with exactly one thing wrong.

The good files are the golden ones: `GOOD` has rows of a table, `GOOD_MAP` has maps, `GOOD_ROW`
thresholds of rows, `GOOD_LUT` tables of bits. `EVIL` maps a name to the bytes of the file and to what the reader must say about it.
"""

import copy
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden"
GOOD, GOOD_MAP, GOOD_ROW, GOOD_LUT = (
    (GOLDEN / f"{name}.bimetal").read_bytes() for name in ("tiny", "map", "row", "lut")
)
NAN32, INF32 = struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))
Header = dict[str, Any]


def split(data: bytes) -> tuple[Header, bytes]:
    """Return the header, parsed, and the buffer of a good file."""
    n = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + n]), data[8 + n :]


def join(header: Header | bytes | str, body: bytes) -> bytes:
    """Return a file of this header (parsed or as text) and this buffer."""
    if isinstance(header, dict):
        header = json.dumps(header)
    text = header.encode() if isinstance(header, str) else header
    return len(text).to_bytes(8, "little") + text + body


def with_header(change: Callable[[Header], Any], good: bytes = GOOD) -> bytes:
    """Return the good file with its header changed in place."""
    header, body = copy.deepcopy(split(good))
    change(header)
    return join(header, body)


def with_text(old: str, new: str) -> bytes:
    """Return the good file with a piece of its header's text replaced."""
    header, body = split(GOOD)
    text = json.dumps(header)
    assert old in text, old
    return join(text.replace(old, new, 1), body)


def with_spec(change: Callable[[dict[str, Any]], Any], good: bytes = GOOD) -> bytes:
    """Return the good file with its description changed in place (and canonical again)."""

    def edit(header: Header) -> None:
        spec = json.loads(header["__metadata__"]["bimetal"])
        change(spec)
        header["__metadata__"]["bimetal"] = json.dumps(spec, sort_keys=True)

    return with_header(edit, good)


def with_spec_text(old: str, new: str) -> bytes:
    """Return the good file with a piece of its description's text replaced."""

    def edit(header: Header) -> None:
        text = header["__metadata__"]["bimetal"]
        assert old in text, old
        header["__metadata__"]["bimetal"] = text.replace(old, new, 1)

    return with_header(edit)


def with_meta(key: str, value: Any) -> bytes:
    """Return the good file with one metadata entry replaced."""
    return with_header(lambda header: header["__metadata__"].update({key: value}))


def with_entry(name: str, **entry: Any) -> bytes:
    """Return the good file with parts of one array's entry replaced."""
    return with_header(lambda header: header[name].update(entry))


def with_data(name: str, raw: bytes, good: bytes = GOOD) -> bytes:
    """Return the good file with the first bytes of one array replaced."""
    header, body = split(good)
    begin = header[name]["data_offsets"][0]
    return join(header, body[:begin] + raw + body[begin + len(raw) :])


def _swap(header: Header) -> None:
    a, b = header["ops.4.offset"], header["ops.4.scale"]
    a["data_offsets"], b["data_offsets"] = [0, 8], [0, 8]


def _gap(header: Header) -> None:
    for name, entry in header.items():
        if name != "__metadata__" and entry["data_offsets"][0] >= 8:
            entry["data_offsets"] = [n + 8 for n in entry["data_offsets"]]


def _deep(n: int) -> str:
    return "[" * n + "]" * n


def _text(key: str, old: str, new: str) -> Callable[[Header], None]:
    def edit(header: Header) -> None:
        header["__metadata__"][key] = header["__metadata__"][key].replace(old, new)

    return edit


SPEC = split(GOOD)[0]["__metadata__"]["bimetal"]
GOLDEN_Y = "golden.y"

EVIL: dict[str, tuple[bytes, str]] = {
    # the frame
    "an_empty_file": (b"", "at least 8 bytes, got 0"),
    "seven_bytes": (GOOD[:7], "at least 8 bytes, got 7"),
    "a_header_length_of_zero": (bytes(8), "a header of 2 to .* got 0"),
    "a_header_length_of_2_to_the_64_less_1": (b"\xff" * 8 + GOOD[8:], "a header of 2 to"),
    "a_header_over_the_cap": ((2**23 + 1).to_bytes(8, "little") + GOOD[8:], "a header of 2 to"),
    "a_header_longer_than_the_file": (
        (len(GOOD)).to_bytes(8, "little") + GOOD[8:],
        "bytes in all",
    ),
    "a_file_cut_in_the_header": (GOOD[:100], "bytes in all"),
    "a_file_cut_in_the_data": (GOOD[:-1], "bytes of data"),
    "trailing_bytes": (GOOD + b"\0", "bytes of data"),
    "two_files_in_one": (GOOD + GOOD, "bytes of data"),
    "a_zip_file": (b"PK\x03\x04" + bytes(60), "a header of 2 to"),
    "a_pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00" + bytes(60), "a header of 2 to"),
    # the JSON
    "a_header_that_is_a_list": (join("[]", b""), "begin with a brace"),
    "a_header_that_begins_with_space": (join(" {}", b""), "begin with a brace"),
    "a_header_with_a_byte_order_mark": (join(b"\xef\xbb\xbf{}", b""), "begin with a brace"),
    "a_header_that_is_no_json": (join("{oops}", b""), "JSON in the header"),
    "a_header_followed_by_another": (join("{}{}", b""), "JSON in the header"),
    "a_header_in_utf_16": (join("{}".encode("utf-16-le"), b""), "JSON in the header"),
    "a_header_that_is_no_utf_8": (join(b'{"\xff": 1}', b""), "JSON in the header"),
    "a_header_with_a_control_character": (join('{"a\x01": 1}', b""), "JSON in the header"),
    "a_header_of_a_hundred_thousand_brackets": (
        join('{"a":' + _deep(100_000) + "}", b""),
        "JSON in the header|deep",
    ),
    "a_header_a_little_too_deep": (join('{"a":' + _deep(40) + "}", b""), "at most 32 deep"),
    "a_description_too_deep": (with_meta("bimetal", '{"a":' + _deep(900) + "}"), "deep|JSON in"),
    "a_provenance_too_deep": (
        with_meta("provenance", '{"a":' + _deep(33) + "}"),
        "at most 32 deep",
    ),
    "a_key_twice": (join('{"a": 1, "a": 1}', b""), r"each key once, got \['a'\]"),
    "an_array_twice": (with_text('{"__metadata__"', '{"golden.x": {}, "__metadata__"'), "key once"),
    "a_description_with_a_key_twice": (
        with_spec_text('"version": 1', '"version": 1, "version": 1'),
        "each key once",
    ),
    "a_nan_literal": (join('{"a": NaN}', b""), "finite numbers, got 'NaN'"),
    "an_infinity_literal": (join('{"a": -Infinity}', b""), "finite numbers, got '-Infinity'"),
    "a_number_beyond_float64": (join('{"a": 1e999}', b""), "finite numbers, got '1e999'"),
    "a_nan_in_the_provenance": (with_meta("provenance", '{"auc": NaN}'), "finite numbers"),
    "a_number_of_ten_thousand_digits": (join('{"a": ' + "9" * 10_000 + "}", b""), "of 64 bits"),
    "a_number_just_beyond_64_bits": (join('{"a": 9223372036854775808}', b""), "of 64 bits"),
    "a_lone_surrogate_in_a_key": (join('{"\\ud800": 1}', b""), "surrogate"),
    "a_lone_surrogate_in_a_column_name": (
        with_spec_text('"age"', '"\\ud800"'),
        "whole characters in the description",
    ),
    "a_lone_surrogate_in_the_provenance": (
        with_meta("provenance", '{"\\udfff": 1}'),
        "whole characters in the provenance",
    ),
    # the metadata
    "no_metadata": (with_header(lambda h: h.pop("__metadata__")), "'__metadata__' in the header"),
    "metadata_that_is_a_list": (with_header(lambda h: h.update(__metadata__=[])), "__metadata__"),
    "metadata_without_an_id": (
        with_header(lambda h: h["__metadata__"].pop("id")),
        "metadata named",
    ),
    "metadata_with_an_unknown_key": (with_meta("hello", "world"), "metadata named .* 'hello'"),
    "metadata_that_is_a_number": (with_meta("id", 7), "a string as metadata 'id', got 7"),
    "metadata_that_is_an_object": (with_meta("provenance", {}), "a string as metadata"),
    "a_description_that_is_no_object": (with_meta("bimetal", "[]"), "description to begin"),
    "a_provenance_that_is_no_object": (with_meta("provenance", "3"), "provenance to begin"),
    "a_provenance_that_is_no_json": (with_meta("provenance", "{"), "JSON in the provenance"),
    "an_id_of_something_else": (with_meta("id", "0" * 64), "the id [0-9a-f]{64} of its content"),
    "an_id_in_capitals": (
        with_header(lambda h: h["__metadata__"].update(id=h["__metadata__"]["id"].upper())),
        "of its content",
    ),
    "a_description_with_extra_spaces": (with_meta("bimetal", SPEC + " "), "canonical JSON"),
    "a_version_that_is_true": (with_spec_text('"version": 1', '"version": true'), "canonical JSON"),
    "a_category_that_is_1_0": (with_spec_text('["own"', '[1.0, "own"'), "whole numbers"),
    # the arrays' entries
    "an_entry_that_is_a_list": (with_header(lambda h: h.update({GOLDEN_Y: []})), "an object for"),
    "an_entry_without_a_shape": (with_header(lambda h: h[GOLDEN_Y].pop("shape")), "'shape'"),
    "an_entry_with_an_unknown_key": (with_entry(GOLDEN_Y, color="red"), "'color'"),
    "an_unknown_dtype": (with_entry(GOLDEN_Y, dtype="BF16"), "a dtype of .* got 'BF16'"),
    "a_dtype_that_is_a_list": (with_entry(GOLDEN_Y, dtype=["F32"]), "a dtype of"),
    "a_dtype_of_another_width": (with_entry(GOLDEN_Y, dtype="F64"), "48 bytes for 'golden.y'"),
    "a_dtype_of_the_same_width": (with_entry(GOLDEN_Y, dtype="I32"), "golden_y must be float32"),
    "a_shape_that_is_a_number": (with_entry(GOLDEN_Y, shape=6), "at most two sizes"),
    "a_shape_of_three_axes": (with_entry(GOLDEN_Y, shape=[3, 2, 1]), "at most two sizes"),
    "a_shape_of_negative_sizes": (with_entry(GOLDEN_Y, shape=[-3, -2]), "at most two sizes"),
    "a_shape_of_floats": (with_entry(GOLDEN_Y, shape=[3.0, 2.0]), "at most two sizes"),
    "a_shape_of_bools": (with_entry(GOLDEN_Y, shape=[True, 6]), "at most two sizes"),
    "a_shape_that_overflows_64_bits": (
        with_entry(GOLDEN_Y, shape=[2**32, 2**32]),
        r"bytes for 'golden.y'",
    ),
    "a_shape_of_a_petabyte": (with_entry(GOLDEN_Y, shape=[2**39, 2**39]), "bytes for 'golden.y'"),
    "a_shape_of_2_to_the_62": (with_entry(GOLDEN_Y, shape=[2**62, 0]), "at most two sizes"),
    "a_shape_of_nothing_times_everything": (
        with_header(
            lambda h: h.update(
                extra={"dtype": "F64", "shape": [0, 2**39], "data_offsets": [182, 182]}
            )
        ),
        "arrays and operations do not match",
    ),
    "offsets_that_are_negative": (with_entry(GOLDEN_Y, data_offsets=[-24, 0]), "two offsets"),
    "offsets_that_run_backwards": (with_entry(GOLDEN_Y, data_offsets=[76, 52]), "got -24"),
    "offsets_that_are_three": (with_entry(GOLDEN_Y, data_offsets=[52, 76, 80]), "two offsets"),
    "offsets_that_are_strings": (with_entry(GOLDEN_Y, data_offsets=["52", "76"]), "two offsets"),
    "offsets_beyond_2_to_the_40": (
        with_entry(GOLDEN_Y, data_offsets=[2**60, 2**60 + 24]),
        "two offsets",
    ),
    "offsets_beyond_the_file": (
        with_entry(GOLDEN_Y, data_offsets=[2**39, 2**39 + 24]),
        "to begin at byte",
    ),
    "offsets_that_overlap": (with_header(_swap), "to begin at byte 8, got 0"),
    "offsets_with_a_gap": (with_header(_gap), "to begin at byte 8, got 16"),
    "offsets_one_byte_off": (with_entry("ops.4.offset", data_offsets=[1, 9]), "begin at byte 0"),
    "an_array_too_many": (
        with_header(
            lambda h: h.update(extra={"dtype": "U8", "shape": [0], "data_offsets": [182, 182]})
        ),
        "arrays and operations do not match",
    ),
    "an_array_too_few": (
        with_header(lambda h: h.pop("ops.4.knots")),
        "operation 4 lacks its array 'knots'",
    ),
    # the description
    "a_version_of_the_future": (
        with_spec(lambda s: s.update(version=5)),
        "1 or 2 or 3 or 4 .* got 5",
    ),
    "a_version_above_its_parts": (
        with_spec(lambda s: s.update(version=2)),
        "parts are of Program version 1, but the description says 2",
    ),
    "no_version": (with_spec(lambda s: s.pop("version")), "1 or 2 or 3 or 4 .* got None"),
    "an_unknown_key_in_the_description": (with_spec(lambda s: s.update(x=1)), "unexpected keys"),
    "no_classes": (with_spec(lambda s: s.pop("classes")), "unexpected keys"),
    "columns_that_are_an_object": (with_spec(lambda s: s.update(columns={})), "must be a list"),
    "no_columns": (with_spec(lambda s: s.update(columns=[])), "columns expected"),
    "a_column_that_is_a_string": (with_spec(lambda s: s["columns"].append("age")), "column needs"),
    "a_column_twice": (with_spec(lambda s: s["columns"].append(s["columns"][0])), "must differ"),
    "a_column_without_a_name": (
        with_spec(lambda s: s["columns"][0].update(name="")),
        "column name",
    ),
    "a_column_of_an_unknown_kind": (
        with_spec(lambda s: s["columns"][0].update(kind=["number"])),
        "number, category or array",
    ),
    "categories_that_are_a_string": (
        with_spec(lambda s: s["columns"][2].update(categories="own")),
        "must be a list",
    ),
    "categories_that_are_lists": (
        with_spec(lambda s: s["columns"][2].update(categories=[["own"], [], []])),
        "strings or whole numbers",
    ),
    "operations_that_are_a_number": (with_spec(lambda s: s.update(ops=3)), "must be a list"),
    "an_operation_that_is_a_list": (with_spec(lambda s: s.update(ops=[[]])), "must be an object"),
    "an_operation_nobody_knows": (
        with_spec(lambda s: s["ops"][1].update(op="sandwich")),
        "this bimetal knows",
    ),
    "an_operation_named_by_a_list": (
        with_spec(lambda s: s["ops"][1].update(op=["dense"])),
        "this bimetal knows",
    ),
    "an_operation_with_a_key_too_many": (
        with_spec(lambda s: s["ops"][1].update(x=1)),
        "operation 1 needs",
    ),
    "an_operation_that_smuggles_an_array": (
        with_spec(lambda s: s["ops"][1].update(weights=1)),
        "operation 1 needs",
    ),
    "an_operation_that_reads_itself": (
        with_spec(lambda s: s["ops"][1].update(input=2)),
        "reads value 2, but only 2 exist",
    ),
    "an_operation_that_reads_a_negative": (
        with_spec(lambda s: s["ops"][1].update(input=-1)),
        "whole number",
    ),
    "an_operation_that_reads_true": (
        with_spec(lambda s: s["ops"][1].update(input=True)),
        "whole number",
    ),
    "an_operation_that_reads_the_wrong_kind": (
        with_spec(lambda s: s["ops"][1].update(input=0)),
        "reads bits, but value 0 is row",
    ),
    "inputs_that_are_strings": (
        with_spec(lambda s: s["ops"][3].update(inputs=["1"])),
        "tuple of whole numbers",
    ),
    "groups_of_nothing": (with_spec(lambda s: s["ops"][1].update(groups=0)), "0 groups"),
    "two_billion_inputs": (with_spec(lambda s: s["ops"][1].update(n_in=2**31 - 1)), "has 6"),
    "a_link_of_an_unknown_kind": (
        with_spec(lambda s: s["ops"][4].update(kind="eval")),
        "kind must be one of",
    ),
    "a_class_that_is_null": (with_spec(lambda s: s["classes"].__setitem__(0, None)), "class label"),
    "a_class_too_many": (with_spec(lambda s: s["classes"].append("ugly")), "need 2 classes"),
    "a_renamed_column": (with_spec(lambda s: s["columns"][0].update(name="Age")), "of its content"),
    # the data
    "one_flipped_weight": (with_data("ops.1.weights", b"\x04"), "of its content"),
    "a_set_tail_bit": (with_data("ops.1.weights", b"\x0d"), "beyond the end of a weight row"),
    "a_threshold_too_high": (with_data("ops.1.thresholds", b"\x04\0\0\0"), r"lie in \[-1, 3\]"),
    "a_column_that_is_not_there": (with_data("ops.0.column", b"\x03\x00"), "must be below 3"),
    "a_test_of_an_unknown_kind": (with_data("ops.0.kind", b"\x03"), "kinds must be"),
    "a_nan_cut_point": (with_data("ops.0.value", NAN32), "values must be finite"),
    "an_infinite_special_code": (with_data("ops.0.special_value", INF32), "must be finite"),
    "a_signalling_nan_cut_point": (
        with_data("ops.0.value", b"\x01\x00\xa0\x7f"),
        "values must be finite",
    ),
    "a_literal_too_high": (with_data("ops.2.literals", b"\x0c\x00"), "literals must be below 12"),
    "a_rule_without_literals": (with_data("ops.2.fan_in", b"\x00\x04"), "at least one literal"),
    "rules_that_own_too_much": (with_data("ops.2.fan_in", b"\xff\xff"), "fan_in adds to 510"),
    "a_place_too_high": (
        with_data("ops.1.places", b"\x0a\x00", GOOD_LUT),
        "places must be below 10",
    ),
    "a_table_too_long": (with_data("ops.3.tables", b"\x04", GOOD_LUT), "end of a table must be 0"),
    "tables_in_version_3": (
        with_spec(lambda s: s.update(version=3), GOOD_LUT),
        "of Program version 4, but the description says 3",
    ),
    "points_that_overflow": (with_data("ops.3.bias", b"\xff\xff\xff\x7f"), "overflow int32"),
    "a_nan_scale": (with_data("ops.4.scale", struct.pack("<d", float("nan"))), "scale must stay"),
    "an_infinite_offset": (with_data("ops.4.offset", struct.pack("<d", float("inf"))), "must stay"),
    "a_golden_answer_that_is_nan": (with_data(GOLDEN_Y, NAN32), "golden_y must not hold NaN"),
}
