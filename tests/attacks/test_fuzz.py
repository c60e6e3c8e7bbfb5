"""Whatever the bytes, `loads` gives a Program or a FormatError, and takes memory in proportion."""

import json
import tracemalloc
import warnings

from attacks.evil import GOOD, GOOD_LUT, GOOD_MAP, GOOD_ROW, join, split
from hypothesis import given, settings
from hypothesis import strategies as st

from bimetal.errors import FormatError
from bimetal.format import dumps, loads
from bimetal.program import Program

GOODS = st.sampled_from([GOOD, GOOD_MAP, GOOD_ROW, GOOD_LUT])
MANY = settings(max_examples=300, deadline=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def outcome(data: bytes) -> Program | None:
    """Return the Program in `data`, or None when it is refused; anything else fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return loads(data)
        except FormatError:
            return None


@MANY
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    assert outcome(data) is None


@MANY
@given(st.binary(max_size=200), st.binary(max_size=50))
def test_random_headers_are_refused(header: bytes, body: bytes) -> None:
    assert outcome(join(b"{" + header, body)) is None


@MANY
@given(st.data(), GOODS)
def test_a_flipped_byte_is_refused_or_leaves_the_function_the_same(
    data: st.DataObject, good: bytes
) -> None:
    evil = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        evil[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    program = outcome(bytes(evil))
    assert program is None or program.id == loads(good).id


@MANY
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.binary(max_size=40))
def test_a_splice_is_refused_or_leaves_the_function_the_same(a: int, b: int, new: bytes) -> None:
    program = outcome(GOOD[: min(a, b)] + new + GOOD[max(a, b) :])
    assert program is None or program.id == loads(GOOD).id


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1))
def test_every_truncation_is_refused(n: int) -> None:
    assert outcome(GOOD[:n]) is None


@MANY
@given(st.data(), GOODS)
def test_edited_headers_are_refused_or_mean_the_same(data: st.DataObject, good: bytes) -> None:
    header, body = split(good)
    name = data.draw(st.sampled_from(sorted(header)))
    part = data.draw(st.sampled_from(sorted(header[name])))
    header[name][part] = data.draw(JSON | st.lists(st.integers(-9, 99), max_size=3))
    program = outcome(join(json.dumps(header), body))
    assert program is None or program.id == loads(good).id


@MANY
@given(st.data(), GOODS)
def test_edited_descriptions_are_refused(data: st.DataObject, good: bytes) -> None:
    header, body = split(good)
    spec = json.loads(header["__metadata__"]["bimetal"])
    place = data.draw(st.sampled_from([spec, *spec["ops"], *spec["columns"]]))
    key = data.draw(st.sampled_from(sorted(place)))
    sizes = st.integers(0, 9) | st.sampled_from([4095, 4096, 2**16, 2**24, 2**31 - 1])
    old, place[key] = place[key], data.draw(JSON | sizes | st.lists(sizes, max_size=5))
    header["__metadata__"]["bimetal"] = json.dumps(spec, sort_keys=True)
    program = outcome(join(json.dumps(header), body))
    assert program is None or (old == place[key] and dumps(program) == good)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_edited_geometry_is_refused(data: st.DataObject) -> None:
    header, body = split(GOOD_MAP)
    spec = json.loads(header["__metadata__"]["bimetal"])
    op = spec["ops"][data.draw(st.sampled_from([1, 4, 9, 10, 12, 13]))]
    for key in ("kernel", "stride", "padding", "dilation"):
        if key in op and data.draw(st.booleans()):
            n = st.integers(0, 4) | st.integers(4095, 4097)
            op[key] = data.draw(st.lists(n, min_size=len(op[key]), max_size=len(op[key])))
    header["__metadata__"]["bimetal"] = json.dumps(spec, sort_keys=True)
    program = outcome(join(json.dumps(header), body))  # refused at the latest by its id
    assert program is None or dumps(program) == GOOD_MAP


def test_a_megabyte_of_brackets_takes_memory_in_proportion() -> None:
    lists = b'{"a":[' + b"[]," * 300_000 + b"[]]}"
    claims = join('{"a":{"dtype":"F64","shape":[1000000000],"data_offsets":[0,8000000000]}}', b"")
    tracemalloc.start()
    try:
        assert outcome(join(lists, b"")) is None
        assert outcome(claims) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(lists)
