"""A Program is valid once built: every contradiction is refused by name, and the id is stable."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.tiny import ROWS, tiny_program

from bimetal import program as program_module
from bimetal.columns import Column
from bimetal.errors import ProgramError
from bimetal.program import (
    MAX_BITS,
    OPS,
    Lut,
    Program,
    from_parts,
)
from bimetal.reference import trace
from bimetal.reference.link import LN2_HIGH, LN2_LOW, LOG2_E

TINY = tiny_program()
ENCODE, DENSE, RULES, READOUT, LINK = TINY.ops
change = dataclasses.replace
EXP_CONSTANTS = (LOG2_E, LN2_HIGH, LN2_LOW)


def with_op(i: int, **parts: Any) -> Program:
    """Return the tiny Program with parts of operation i replaced."""
    ops = list(TINY.ops)
    ops[i] = change(ops[i], **parts)
    return change(TINY, ops=tuple(ops))


def with_lut(**parts: Any) -> Program:
    """Return the tiny Program with two tables in place of its two rules."""
    given = {"places": u2(0, 5).reshape(2, 1), "tables": u1(1, 2).reshape(2, 1)}
    ops = list(TINY.ops)
    ops[2] = Lut(1, **(given | parts))
    return change(TINY, ops=tuple(ops))


def table(**parts: Any) -> Program:
    given = {"kind": "table", "knots": np.array([0], "i4"), "values": np.array([0.2, 0.4], "f4")}
    return with_op(4, **(given | parts))


def softmax_of_one() -> Program:
    return with_op(4, kind="softmax")


def u1(*x: int) -> np.ndarray:
    return np.array(x, "u1")


def u2(*x: int) -> np.ndarray:
    return np.array(x, "u2")


def i4(*x: int) -> np.ndarray:
    return np.array(x, "i4")


def f4(*x: float) -> np.ndarray:
    return np.array(x, "f4")


def f8(*x: float) -> np.ndarray:
    return np.array(x, "f8")


NAN, INF = np.nan, np.inf
no_places = np.zeros((0, 1), "u2")

WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    # arrays and scalars of an operation
    "an array of another dtype": (
        lambda: change(ENCODE, value=f8(1)),
        "Encode.value must be an array of float32 with 1 axes, got 'float64 with 1 axes'",
    ),
    "an array of the other byte order": (
        lambda: change(DENSE, thresholds=np.zeros(4, ">i4")),
        "Dense.thresholds must be an array of int32",
    ),
    "an array of other axes": (lambda: change(DENSE, weights=u1(1)), "with 2 axes, got"),
    "a list for an array": (lambda: change(RULES, fan_in=[2, 2]), "Rules.fan_in must be an array"),
    "a readout of uint8": (
        lambda: change(READOUT, weights=np.zeros((1, 12), "u1")),
        "int8 or int16 or int32 with 2 axes",
    ),
    "a NumPy integer for an int": (
        lambda: change(DENSE, n_in=np.int64(6)),
        "Dense.n_in must be a whole number (Python's int) from 0, got np.int64(6)",
    ),
    "a bool for an int": (lambda: change(DENSE, input=True), "must be a whole number"),
    "a negative input": (lambda: change(DENSE, input=-1), "must be a whole number"),
    "a list for a tuple": (lambda: change(READOUT, inputs=[1]), "must be a tuple of whole numbers"),
    "a kind that is no string": (lambda: change(LINK, kind=3), "Link.kind must be a string, got 3"),
    # encode
    "an encoder without bits": (
        lambda: with_op(0, column=u2(), kind=u1(), value=f4()),
        f"operation 0 (Encode): 1 to {MAX_BITS} bits expected, got 0",
    ),
    "an encoder of too many bits": (
        lambda: with_op(0, column=np.zeros(MAX_BITS + 1, "u2")),
        f"got {MAX_BITS + 1}",
    ),
    "encoder arrays of two lengths": (lambda: with_op(0, kind=u1(0)), "must be of one length"),
    "specials of two lengths": (lambda: with_op(0, special_value=f4()), "specials must be of one"),
    "a column out of range": (lambda: with_op(0, column=u2(0, 0, 1, 1, 2, 3)), "must be below 3"),
    "a special column out of range": (lambda: with_op(0, special_column=u2(3)), "must be below 3"),
    "an unknown test": (lambda: with_op(0, kind=u1(0, 2, 0, 1, 1, 3)), "kinds must be 0 (>=)"),
    "an infinite cut-point": (lambda: with_op(0, value=f4(INF, 0, 0, 0, 0, 0)), "must be finite"),
    "a NaN special code": (lambda: with_op(0, special_value=f4(NAN)), "values must be finite"),
    # dense
    "a value that is not there yet": (
        lambda: with_op(1, input=2),
        "operation 1 (Dense): reads value 2, but only 2 exist so far",
    ),
    "a value of another kind": (lambda: with_op(1, input=0), "reads bits, but value 0 is row"),
    "another width": (lambda: with_op(1, n_in=7), "expects 7 bits, but its input has 6"),
    "no neurons": (
        lambda: with_op(1, thresholds=i4(), weights=np.zeros((0, 1), "u1")),
        "neurons expected, got 0",
    ),
    "no groups": (lambda: with_op(1, groups=0), "do not divide into 0 groups"),
    "groups that do not divide": (lambda: with_op(1, groups=4), "do not divide into 4 groups"),
    "weights of another shape": (
        lambda: with_op(1, weights=np.zeros((4, 2), "u1")),
        "weights must have shape (4, 1), got (4, 2)",
    ),
    "a set tail bit": (
        lambda: with_op(1, weights=np.full((4, 1), 8, "u1")),
        "bits beyond the end of a weight row must be 0",
    ),
    "a threshold too high": (
        lambda: with_op(1, thresholds=i4(0, 0, 0, 4)),
        "thresholds must lie in [-1, 3], got [0, 4]",
    ),
    "a threshold too low": (lambda: with_op(1, thresholds=i4(0, 0, 0, -2)), "got [-2, 0]"),
    # rules
    "no rules": (lambda: with_op(2, fan_in=u1(), literals=u2()), "rules expected, got 0"),
    "a rule without literals": (lambda: with_op(2, fan_in=u1(4, 0)), "at least one literal"),
    "rules that own too much": (
        lambda: with_op(2, fan_in=u1(2, 3)),
        "fan_in adds to 5, got 4 literals",
    ),
    "a literal too high": (
        lambda: with_op(2, literals=u2(0, 1, 2, 12)),
        "literals must be below 12",
    ),
    # tables
    "no tables": (lambda: with_lut(places=no_places, tables=u1().reshape(0, 1)), "got 0"),
    "a table of nothing": (lambda: with_lut(places=no_places.reshape(2, 0)), "1 to 8 places"),
    "a table of nine": (lambda: with_lut(places=np.zeros((2, 9), "u2")), "1 to 8 places"),
    "a place too high": (lambda: with_lut(places=u2(0, 6).reshape(2, 1)), "must be below 6"),
    "tables of another size": (
        lambda: with_lut(tables=np.zeros((2, 2), "u1")),
        "tables must have shape (2, 1), got (2, 2)",
    ),
    "a bit beyond a table": (
        lambda: with_lut(tables=u1(4, 0).reshape(2, 1)),
        "of a table must be 0",
    ),
    # readout
    "no outputs": (
        lambda: with_op(3, bias=i4(), weights=np.zeros((0, 12), "i2")),
        "at least one output expected",
    ),
    "no inputs": (lambda: with_op(3, inputs=()), "at least one input expected"),
    "a readout of another shape": (
        lambda: with_op(3, inputs=(1,)),
        "weights must have shape (1, 6)",
    ),
    "points that can overflow": (lambda: with_op(3, bias=i4(2**31 - 1)), "can overflow int32"),
    "a weight of -2**31": (
        lambda: with_op(3, weights=np.full((1, 12), -(2**31), "i4")),
        "can overflow int32",
    ),
    # link
    "an unknown link": (lambda: with_op(4, kind="probit"), "kind must be one of"),
    "a scale too short": (lambda: with_op(4, scale=f8()), "scale and offset need 1 entries"),
    "a NaN scale": (lambda: with_op(4, scale=f8(NAN)), "scale must stay below 1e280"),
    "an infinite offset": (lambda: with_op(4, offset=f8(-INF)), "offset below 1e290"),
    "knots without values": (lambda: table(values=f4()), "values do not fit the knots"),
    "knots on a sigmoid": (lambda: with_op(4, knots=i4(1)), "only a table has knots"),
    "values on a sigmoid": (lambda: with_op(4, values=f4(1)), "values do not fit the knots"),
    "knots that do not increase": (
        lambda: table(knots=i4(3, 3), values=f4(0, 0, 1)),
        "knots must increase",
    ),
    "a table value above one": (lambda: table(values=f4(0, 1.1)), "must lie in [0, 1]"),
    "a NaN table value": (lambda: table(values=f4(0, NAN)), "must lie in [0, 1]"),
    "table values that fall": (lambda: table(values=f4(0.5, 0.4)), "must not decrease"),
    "a softmax of one": (softmax_of_one, "a softmax reads two outputs or more"),
    "a sigmoid of two": (
        lambda: change(
            TINY,
            ops=(
                *TINY.ops[:3],
                change(READOUT, weights=np.zeros((2, 12), "i2"), bias=i4(0, 0)),
                change(LINK, scale=f8(1, 1), offset=f8(0, 0)),
            ),
        ),
        "a sigmoid reads one output, got 2",
    ),
    # the whole
    "no columns": (lambda: change(TINY, columns=()), "1 to 65535 columns expected, got 0"),
    "a column twice": (
        lambda: change(TINY, columns=(Column("a"), Column("a"), Column("b"))),
        "column names must differ",
    ),
    "no operations": (lambda: change(TINY, ops=()), "at least one operation expected"),
    "an end that is no link": (
        lambda: change(TINY, ops=TINY.ops[:-1]),
        "the last operation must be a Link, got Readout",
    ),
    "a class too few": (lambda: change(TINY, classes=("a",)), "2 outputs need 2 classes, got 1"),
    "classes that are the same": (lambda: change(TINY, classes=(1, 1)), "labels must differ"),
    "a class of NumPy": (lambda: change(TINY, classes=(0, np.int64(1))), "NumPy's have .item()"),
    "a class that is NaN": (lambda: change(TINY, classes=(0, NAN)), "a finite number"),
    "a class with half a character": (lambda: change(TINY, classes=("a", "\ud800")), "class label"),
    "golden rows of float64": (
        lambda: change(TINY, golden_x=ROWS.astype("f8")),
        "golden_x must be float32, 2-D",
    ),
    "golden rows of another width": (
        lambda: change(TINY, golden_x=ROWS[:, :2]),
        "golden_x must have shape (3, 3), got (3, 2)",
    ),
    "golden answers too few": (
        lambda: change(TINY, golden_y=TINY.golden_y[:1]),
        "golden_y must have shape (3, 2), got (1, 2)",
    ),
    "golden answers without rows": (
        lambda: change(TINY, golden_x=ROWS[:0], golden_y=np.zeros((5, 0), "f4")),
        "golden_y must have shape (0, 2), got (5, 0)",
    ),
    "a golden answer that is NaN": (
        lambda: change(TINY, golden_y=np.full((3, 2), NAN, "f4")),
        "golden_y must not hold NaN",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_contradiction_is_refused_by_name(name: str) -> None:
    build, complaint = WRONG[name]
    with pytest.raises(ProgramError, match=re.escape(complaint)):
        build()


def parts() -> tuple[dict[str, Any], dict[str, Any]]:
    return json.loads(TINY.spec_text()), dict(TINY.tensors())


WRONG_PARTS: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], Any], str]] = {
    "another version": (
        lambda s, t: s.update(version=5),
        "reads Program versions (1, 2, 3, 4), got 5",
    ),
    "a newer version than its parts": (
        lambda s, t: s.update(version=2),
        "the parts are of Program version 1, but the description says 2",
    ),
    "an unknown key": (lambda s, t: s.update(x=2), "unexpected keys"),
    "classes that are no list": (lambda s, t: s.update(classes=3), "'classes' must be a list"),
    "an operation that is no object": (
        lambda s, t: s.update(ops=[1]),
        "operation 0 must be an obj",
    ),
    "an unknown operation": (lambda s, t: s["ops"][0].update(op="x"), "operation 0 is 'x'"),
    "a missing scalar": (lambda s, t: s["ops"][1].pop("groups"), "operation 1 needs"),
    "a wrong scalar": (
        lambda s, t: s["ops"][1].update(n_in="6"),
        "operation 1: Dense.n_in must be a whole number",
    ),
    "a missing array": (lambda s, t: t.pop("ops.1.weights"), "operation 1 lacks its array"),
    "an array too many": (lambda s, t: t.update(x=u1(1)), "arrays and operations do not match"),
    "no golden array": (lambda s, t: t.pop("golden.x"), "arrays and operations do not match"),
    "a column that is no object": (lambda s, t: s["columns"].append(1), "a column needs name"),
    "categories that are no list": (
        lambda s, t: s["columns"][0].update(categories="x"),
        "column 'age': categories must be a list",
    ),
}


@pytest.mark.parametrize("name", WRONG_PARTS)
def test_parts_that_do_not_fit_are_refused_by_name(name: str) -> None:
    spec, tensors = parts()
    spoil, complaint = WRONG_PARTS[name]
    spoil(spec, tensors)
    with pytest.raises(ProgramError, match=re.escape(complaint)):
        from_parts(spec, tensors, {})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("",), "a column name is a string of 1 to 1000"),
        ((7,), "a column name is a string"),
        (("x" * 1001,), "a column name is a string"),
        (("\udc80",), "half a character"),
        (("a", "date"), "kind must be number, category or array, got 'date'"),
        (("a", "number", ("x",)), "is a number and has no categories"),
        (("a", "category", (1.5,)), "strings or whole numbers"),
        (("a", "category", (True,)), "strings or whole numbers"),
        (("a", "category", (2**63,)), "of 64 bits"),
        (("a", "category", ("\ud800",)), "strings or whole numbers"),
        (("a", "category", ("x", "x")), "categories must differ"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(arguments: Any, complaint: str) -> None:
    with pytest.raises(ProgramError, match=complaint):
        Column(*arguments)


# -- what holds of a good one


def test_spec_and_tensors_make_the_program_again() -> None:
    spec, tensors = parts()
    again = from_parts(spec, tensors, TINY.provenance)
    assert again.id == TINY.id
    assert again.spec() == TINY.spec()


def test_the_id_changes_with_columns_classes_wiring_and_arrays() -> None:
    changed = [
        change(TINY, classes=("bad", "good")),
        change(TINY, columns=(Column("Age"), *TINY.columns[1:])),
        with_op(1, thresholds=i4(1, 0, 1, 1)),
        with_op(1, groups=1, weights=np.zeros((4, 1), "u1")),
        with_op(3, weights=READOUT.weights.astype("i4")),
    ]
    ids = {TINY.id, *(p.id for p in changed)}
    assert len(ids) == 1 + len(changed)


def test_the_id_does_not_change_with_provenance_or_golden_vectors() -> None:
    bare = Program(TINY.columns, TINY.ops, TINY.classes)
    assert bare.id == TINY.id


def test_arrays_cannot_be_changed_and_do_not_follow_their_source() -> None:
    source = np.array([1, 0, 1, 0], "i4")
    op = change(DENSE, thresholds=source)
    source[:] = 3
    assert op.thresholds.tolist() == [1, 0, 1, 0]
    for array in TINY.tensors().values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_values_tell_kind_and_width() -> None:
    kinds = [(v.kind, v.n) for v in TINY.values]
    assert kinds == [("row", 3), ("bits", 6), ("bits", 4), ("bits", 2), ("ints", 1), ("floats", 2)]
    assert (TINY.n_columns, TINY.n_outputs) == (3, 2)


def test_cost_counts_synapses_literals_additions_and_every_byte() -> None:
    cost = TINY.cost()
    assert cost.bits == 4 * 3 + 4
    assert cost.bit_ops == 4 * 3 + 4
    assert cost.int_ops == 4 + 12
    assert cost.float_ops == 6 + 1
    assert cost.bytes == sum(a.nbytes for a in TINY.tensors().values())
    assert [row.op for row in cost.rows] == [
        "encode",
        "dense",
        "rules",
        "readout",
        "link",
        "golden",
    ]


def test_every_public_name_is_to_be_had_from_program() -> None:
    assert set(program_module.__all__) >= {op.__name__ for op in OPS}
    assert all(hasattr(program_module, name) for name in program_module.__all__)


def test_the_largest_literal_fits_its_array() -> None:
    assert np.iinfo("u2").max == 2 * (MAX_BITS - 1) + 1


# -- the written specification

DOCUMENT = (Path(__file__).parents[1] / "docs" / "program.md").read_text(encoding="utf-8")


def test_the_worked_example_of_the_document_is_recomputed() -> None:
    example = json.loads(re.search(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)[1])  # type: ignore[index]
    rows = np.array(example["rows"], "f4")
    np.testing.assert_array_equal(rows, ROWS)
    _, *hidden, answers = trace(TINY, rows)
    for name, value in zip(["bits", "neurons", "rules", "points"], hidden, strict=True):
        assert value.astype(int).tolist() == example[name]
    assert example["z"] == [-0.5 + points / 64 for (points,) in example["points"]]
    assert answers.tolist() == example["answers"]
    assert TINY.id == example["id"]


def test_the_coefficients_of_the_document_are_the_ones_we_use() -> None:
    written = [float.fromhex(x) for x in re.findall(r"`(0x1\.[0-9a-f]+p[-+]\d+)`", DOCUMENT)]
    assert written == [*(1 / factorial(i) for i in range(13, -1, -1)), *EXP_CONSTANTS]


def test_the_document_names_every_operation_array_and_scalar() -> None:
    for op in OPS:
        assert f"### `{op.__name__.lower()}`" in DOCUMENT
        for part in dataclasses.fields(op):
            assert f"`{part.name}`" in DOCUMENT


@pytest.mark.parametrize("name", ["tiny", "map", "row", "lut"])
def test_the_id_is_computable_from_the_document_alone(name: str) -> None:
    stored = (Path(__file__).parent / "golden" / f"{name}.bimetal").read_bytes()
    n = int.from_bytes(stored[:8], "little")
    header, body = json.loads(stored[8 : 8 + n]), stored[8 + n :]
    metadata = header.pop("__metadata__")
    digest = hashlib.sha256(metadata["bimetal"].encode())
    spelling = dict(U8="|u1", U16="<u2", I8="|i1", I16="<i2", I32="<i4", F32="<f4", F64="<f8")
    orders = {
        "encode": "column kind value special_column special_value",
        "dense": "weights thresholds",
        "rules": "literals fan_in",
        "lut": "places tables",
        "readout": "weights bias",
        "link": "scale offset knots values",
        "quantize": "scale offset",
        "planes": "channel mask level",
        "conv": "weights bias",
        "byteconv": "pad weights bias",
        "pool": "",
        "threshold": "thresholds flips",
        "rowthreshold": "",
        "affine": "scale offset",
        "prelu": "before slope after",
        "add": "",
        "concat": "",
    }
    for i, op in enumerate(json.loads(metadata["bimetal"])["ops"]):
        for array in orders[op["op"]].split():
            entry = header[f"ops.{i}.{array}"]
            sizes = ", ".join(map(str, entry["shape"])) + ("," if len(entry["shape"]) == 1 else "")
            digest.update(f"ops.{i}.{array}{spelling[entry['dtype']]}({sizes})".encode())
            digest.update(body[slice(*entry["data_offsets"])])
    assert digest.hexdigest() == metadata["id"]
