"""Applications: JSON by stricter rules, fields by the model's columns, the same rows as a table gives."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from credit_models import toy_model, toy_rows, toy_table
from hypothesis import given
from hypothesis import strategies as st
from service_home import applications

from bimetal.columns import Column
from bimetal.errors import BimetalError
from bimetal.program import EQ, Encode, Link, Program, Readout
from bimetal.service.applications import Form
from bimetal.service.envelope import as_of, new_id, query_of, request_id, require_known
from bimetal.service.problem import Problem
from bimetal.service.reading import read_json

MODEL = toy_model(0, n_columns=9)
FORM = Form(MODEL.program, MODEL.policy.limits)
GOOD = applications(MODEL, 1)[0]
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def errors_of(**changes: Any) -> dict[str, str]:
    application = {k: v for k, v in (GOOD | changes).items() if v is not ...}
    return {e["pointer"]: e["detail"] for e in FORM.row(application)[2]}


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b'{"a":1,"a":2}', "each key once"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "NaN"),
        (b'{"a":' + b"9" * 5_000 + b"}", "no JSON"),
        (b'{"a":"\\ud800"}', "whole characters"),
        (b'{"\\udfff":1}', "whole characters"),
        (b"\xff{}", "UTF-8"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        ("{}".encode("utf-16"), "UTF-8"),
        (b"[1]", "a JSON object"),
        (b"1", "a JSON object"),
        (b"", "no JSON"),
        (b'{"a":1}x', "no JSON"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "objects and lists"),
        (b"[" * 60_000, "objects and lists"),
    ],
)
def test_json_that_breaks_a_rule_is_refused(body: bytes, rule: str) -> None:
    with pytest.raises(Problem, match=rule) as caught:
        read_json(body)
    assert caught.value.status == 400


def test_json_deeper_than_python_goes_is_refused() -> None:
    with pytest.raises(Problem, match="nesting"):
        read_json(b'{"a":' * 9_000 + b"1" + b"}" * 9_000, most_objects=10**6)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1)
                       | st.floats(allow_nan=False, allow_infinity=False) | st.text()))  # fmt: skip
def test_all_other_json_is_read_as_python_reads_it(value: dict[str, Any]) -> None:
    body = json.dumps(value)
    if body.count("{") + body.count("[") <= 8:
        assert read_json(body.encode()) == value


def test_a_good_application_makes_the_row_that_a_table_makes() -> None:
    table = toy_table(MODEL.program, 200, 3)
    table["age"] = [40.0] * 200
    table["income"] = [abs(v) for v in table["income"]]
    expected = MODEL.rows(pl.DataFrame(table))
    rows = []
    for i in range(200):
        row, warnings, errors = FORM.row({name: values[i] for name, values in table.items()})
        assert not errors
        assert len(warnings) == (table["housing"][i] == "houseboat")
        rows.append(row)
    np.testing.assert_array_equal(np.array(rows, np.float32), expected)


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"agee": 3}, "/agee", "did you mean 'age'"),
        ({"zzzzzzz": 3}, "/zzzzzzz", "no such field"),
        ({"a/b~": 3}, "/a~1b~0", "no such field"),
        ({"age": ...}, "/age", "missing; a number from 18 to 110"),
        ({"age": None}, "/age", "a number from 18 to 110 expected"),
        ({"age": 17}, "/age", "a number from 18 to 110 expected"),
        ({"age": 300}, "/age", "a number from 18 to 110 expected"),
        ({"age": "41"}, "/age", "a number"),
        ({"age": [41]}, "/age", "a number"),
        ({"income": -1}, "/income", "at least 0"),
        ({"amount": 1e39}, "/amount", "a number expected"),
        ({"amount": 10**400}, "/amount", "a number expected"),
        ({"amount": math.inf}, "/amount", "a number expected"),
        ({"housing": 3}, "/housing", "categories"),
        ({"housing": True}, "/housing", "a text expected"),
        ({"housing": {}}, "/housing", "a text expected"),
        ({"housing": None}, "/housing", "a text expected"),
        ({"housing": 41, "age": "own"}, "/age", "a number"),  # columns swapped
    ],
)
def test_a_field_that_does_not_fit_is_named(
    changes: dict[str, Any], pointer: str, words: str
) -> None:
    assert words in errors_of(**changes)[pointer]


ANY = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(
    ["own", "rent", "houseboat", -9, -9.0, 18, 110, 17.999999999, 10**30, "", [], {}])  # fmt: skip


@given(st.dictionaries(st.sampled_from([*FORM.names, "agee"]), ANY))
def test_the_quick_way_gives_what_the_careful_way_gives_or_gives_way(
    changes: dict[str, Any],
) -> None:
    application = GOOD | changes
    quick, careful = FORM._quick_row(application), FORM._careful_row(application, "")
    if quick is not None:
        np.testing.assert_array_equal(quick, careful[0])
        assert careful[1:] == ([], [])
        assert {type(value) for value in quick} == {float}
    np.array([FORM.row(application)[0]], np.float32)


def test_what_is_no_object_is_no_application() -> None:
    for wrong in (None, 3, "x", [], [GOOD]):
        assert FORM.row(wrong, "/application")[2][0]["pointer"] == "/application"


def test_special_codes_pass_the_limits() -> None:
    form = Form(MODEL.program, {"arrears": (0, 100)})
    assert form.row(GOOD | {"arrears": -9.0})[2] == []
    assert form.row(GOOD | {"arrears": -8.0})[2] != []
    assert form.row(GOOD | {"arrears": None})[2] == []


def test_an_unknown_category_is_an_error_or_a_warning_as_the_policy_says() -> None:
    boat = GOOD | {"housing": "houseboat"}
    row, warnings, errors = FORM.row(boat)
    assert (row[-1], len(warnings), errors) == (-1.0, 1, [])
    strict = Form(MODEL.program, MODEL.policy.limits, refuses_unknown=True)
    assert strict.row(boat)[2][0]["pointer"] == "/housing"


@pytest.mark.parametrize("limit", [18.0, 0.1, 1 / 3, -7.3, 0.0, 1e-30, 16_777_217.0])
def test_a_limit_means_the_same_for_a_number_and_for_its_row(limit: float) -> None:
    form = Form(MODEL.program, {"amount": (limit, None)})
    at = np.float64(np.float32(limit))
    near = np.nextafter(np.float32(limit), np.float32(-np.inf)).astype(np.float64)
    values = [at, near, (at + near) / 2, math.nextafter((at + near) / 2, math.inf), limit,
              math.nextafter((at + near) / 2, -math.inf)]  # fmt: skip
    rows = np.repeat(np.array([FORM.row(GOOD)[0]], np.float32), len(values), axis=0)
    rows[:, FORM.names.index("amount")] = values
    wrong = {int(e["pointer"].split("/")[1]) for e in form.check(rows)[1]}
    for k, value in enumerate(values):
        assert (form.row(GOOD | {"amount": float(value)})[2] != []) == (k in wrong)


def test_rows_are_checked_as_applications_are() -> None:
    rows = toy_rows(MODEL.program, 300, 5)
    rows[0, 0], rows[1, 1] = np.inf, np.nan
    names = [c.name for c in MODEL.program.columns]
    warned, errors = FORM.check(rows)
    bad = {int(e["pointer"].split("/")[1]) for e in errors}
    for i, row in enumerate(rows.tolist()):
        values = [None if math.isnan(v) else v for v in row]
        values[-1] = (
            "houseboat" if row[-1] == -1 else MODEL.program.columns[-1].categories[int(row[-1])]
        )
        _, warnings, wrong = FORM.row(dict(zip(names, values, strict=True)))
        assert (wrong != []) == (i in bad)
        assert (warnings != []) == any(k == i for k, _ in warned)


def one_column(column: Column) -> Program:
    no = np.array([], "f4")
    encode = Encode(
        np.array([0], "u2"), np.array([EQ], "u1"), np.array([0], "f4"), no.astype("u2"), no
    )
    points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    link = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    return Program((column,), (encode, points, link))


def test_whole_number_categories_take_whole_numbers() -> None:
    form = Form(one_column(Column("branch", "category", (7, 9))))
    assert [form.row({"branch": v})[0] for v in (7, 9.0, 8)] == [[0.0], [1.0], [-1.0]]
    for wrong in ("7", 7.5, True, None):
        assert form.row({"branch": wrong})[2] != []


def test_array_columns_are_not_served() -> None:
    program = one_column(Column("image", "array", size=4))
    with pytest.raises(BimetalError, match=r"array|one Encode"):
        Form(program)


@pytest.mark.parametrize(
    "given_as_of",
    ["2026-11-28", "2026-11-29", "2026-11-28T12:04:59Z", "2026-11-28T14:00:00+02:00", "1999-01-01"],
)
def test_a_day_that_is_not_in_the_future_is_kept_as_given(given_as_of: str) -> None:
    assert as_of(given_as_of, NOW, 300) == given_as_of


@pytest.mark.parametrize(
    "wrong",
    ["2026-11-30", "2026-11-28T12:06:00Z", "2027-01-01", "9999-12-31", "2026-13-01", "yesterday",
     "2026-11-28T12:00:00", "20261128", 20261128, True, [], "0001-01-01T00:00:00+23:59", "2026-W01-1-1"],
)  # fmt: skip
def test_the_future_and_what_is_no_day_are_refused(wrong: Any) -> None:
    with pytest.raises(Problem, match="expected"):
        as_of(wrong, NOW, 300)


@pytest.mark.parametrize("wrong", ["", "a b", "é", "x" * 101, 3, True, {}, "-a", "a/b", "a\n"])
def test_a_request_id_is_plain(wrong: Any) -> None:
    with pytest.raises(Problem, match="letters"):
        request_id(wrong, "own")


def test_request_ids_of_our_own_differ_and_give_way_to_the_callers() -> None:
    assert len({new_id() for _ in range(100)}) == 100
    assert request_id("app-2026:1", "own") == "app-2026:1"
    assert request_id(None, "own") == "own"


@pytest.mark.parametrize(
    "query", [b"a=1", b"as_of=1&as_of=2", b"as_of=%ff", b"&" * 99 + b"a", b"\xff"]
)
def test_a_query_that_is_not_understood_is_refused(query: bytes) -> None:
    with pytest.raises(Problem) as caught:
        query_of({"query_string": query}, ("as_of",))
    assert caught.value.status == 422


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(Problem) as caught:
        require_known({"aplication": {}}, ("application", "as_of"))
    assert "did you mean 'application'" in caught.value.errors[0]["detail"]
