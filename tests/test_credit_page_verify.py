"""A signed result is believed only as far as it can be recomputed; each way of being wrong has its name."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from credit_models import toy_model, toy_rows
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from bimetal.columns import Column
from bimetal.errors import DataError
from bimetal.explain.grid import Bin
from bimetal.export.js.places import NODE
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.page.facts import rows_of_bins
from bimetal.finance.credit.page.payload import (
    RESULT_SCHEMA,
    ResultError,
    read_payload,
    signed_text,
)
from bimetal.finance.credit.page.verify import verify_result
from bimetal.finance.credit.policy import Policy
from bimetal.finance.credit.scaling import Scaling
from bimetal.program import EQ, Encode, Link, Program, Readout

MODEL = toy_model(0)
KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")


def jwk(key: Any) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": base64url(numbers.x), "y": base64url(numbers.y)}


def signed(parts: dict[str, Any], key: Any = KEY) -> dict[str, Any]:
    """Sign a result as a device does."""
    r, s = utils.decode_dss_signature(key.sign(signed_text(parts), ec.ECDSA(hashes.SHA256())))
    both = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return parts | {"key": jwk(key), "signature": base64.b64encode(both).decode()}


def parts_of(model: Any, row: Any, **changes: Any) -> dict[str, Any]:
    """What a device says of a row, not yet signed."""
    bits = model.form.bits(row[None])[0]
    said = model.assess(row[None])
    parts = {
        "version": RESULT_SCHEMA["properties"]["version"]["const"],
        "program": model.id,
        "file": model.file_hash,
        "policy": model.policy_id,
        "bits": packed(bits),
        "points": int(said.points[0]),
        "decision": str(said.decision[0]),
        "time": "2026-11-28T11:59:00.000Z",
        "nonce": "0123456789abcdef" * 2,
        "values": "",
    }
    return parts | changes


def packed(bits: Any) -> str:
    return base64.b64encode(np.packbits(bits, bitorder="little").tobytes()).decode()


def some_row(model: Any = MODEL, seed: int = 0) -> Any:
    """A row that the page would have taken."""
    rows = rows_of_bins(model, 200, seed)
    is_within = (rows[:, 1] >= 18) & (rows[:, 1] <= 110) & ~(rows[:, 0] < 0)
    return rows[is_within][0]


def cause_of(payload: Any, model: Any = MODEL, **options: Any) -> str:
    with pytest.raises(ResultError) as caught:
        verify_result(model, payload, **({"now": NOW} | options))
    assert isinstance(caught.value, DataError) and len(str(caught.value)) > 20
    return caught.value.cause


def test_a_result_is_recomputed_from_its_bits() -> None:
    for seed in range(20):
        row = some_row(seed=seed)
        payload = signed(parts_of(MODEL, row))
        found = verify_result(MODEL, payload, now=NOW)
        ours = MODEL.assess(row[None])
        assert (found.points, found.score) == (ours.points[0], ours.score[0])
        assert np.float32(found.probability) == ours.probability[0]
        assert found.decision == ours.decision[0] and found.values is None
        np.testing.assert_array_equal(MODEL.form.bits(found.row[None]), MODEL.form.bits(row[None]))
        again = verify_result(MODEL, json.dumps(payload), now=NOW)
        assert again.points == found.points and again.nonce == payload["nonce"]


def test_what_verifies_is_what_the_models_own_reasons_say() -> None:
    row = some_row(seed=3)
    found = verify_result(MODEL, signed(parts_of(MODEL, row)), now=NOW)
    assert MODEL.reasons(found.row[None]) == MODEL.reasons(row[None])


def test_a_device_is_known_by_the_thumbprint_of_its_key() -> None:
    payload = signed(parts_of(MODEL, some_row()))
    found = verify_result(MODEL, payload, now=NOW)
    assert not found.is_known_device
    known = {found.device_key_thumbprint}
    assert verify_result(MODEL, payload, now=NOW, known_keys=known).is_known_device
    other = signed(parts_of(MODEL, some_row()), ec.generate_private_key(ec.SECP256R1()))
    assert not verify_result(MODEL, other, now=NOW, known_keys=known).is_known_device


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    key = {"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
           "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}  # fmt: skip
    from bimetal.finance.credit.page.payload import thumbprint

    # The key of RFC 7517, appendix A.1; the thumbprint is the one that JOSE libraries give for it.
    assert thumbprint(key) == "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"


@pytest.mark.parametrize("name", ["program", "file", "policy"])
def test_a_result_of_another_model_is_refused(name: str) -> None:
    other = toy_model(1)
    whose = {"program": other.id, "file": other.file_hash, "policy": other.policy_id}[name]
    assert cause_of(signed(parts_of(MODEL, some_row(), **{name: whose}))) == "model"


def test_points_and_decisions_that_are_not_those_of_the_bits_are_refused() -> None:
    row = some_row()
    points = int(MODEL.points(row[None])[0])
    assert cause_of(signed(parts_of(MODEL, row, points=points + 1))) == "points"
    wrong = "refer" if parts_of(MODEL, row)["decision"] != "refer" else "approve"
    assert cause_of(signed(parts_of(MODEL, row, decision=wrong))) == "decision"


def test_any_part_changed_after_signing_breaks_the_signature() -> None:
    payload = signed(parts_of(MODEL, some_row()))
    changes = {
        "bits": packed(~MODEL.form.bits(some_row()[None])[0]),
        "points": payload["points"] + 100,
        "decision": "refer",
        "time": "2026-11-28T11:59:00.001Z",
        "nonce": "f" * 32,
        "values": "{}",
        "key": jwk(ec.generate_private_key(ec.SECP256R1())),
        "signature": base64.b64encode(bytes(64)).decode(),
    }
    for name, value in changes.items():
        assert cause_of(payload | {name: value}) == "signature", name


def test_a_key_that_is_no_point_of_the_curve_is_refused() -> None:
    key = jwk(KEY) | {"y": base64url(12345)}
    assert cause_of(signed(parts_of(MODEL, some_row())) | {"key": key}) == "signature"


def test_bits_of_another_length_are_refused() -> None:
    bits = MODEL.form.bits(some_row()[None])[0]
    for wrong in (bits[:-8], np.r_[bits, np.zeros(8, bool)]):
        assert cause_of(signed(parts_of(MODEL, some_row(), bits=packed(wrong)))) == "bits"
    if len(bits) % 8:
        tail = np.r_[bits, np.ones(-len(bits) % 8, bool)]
        assert cause_of(signed(parts_of(MODEL, some_row(), bits=packed(tail)))) == "bits"


def test_bits_that_no_row_gives_are_refused_and_all_others_taken() -> None:
    """By the definition: bits are possible if and only if some bin of each column has them."""
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(300):
        bits = MODEL.form.bits(some_row(seed=int(rng.integers(100)))[None])[0]
        flipped = bits ^ (rng.random(len(bits)) < 0.08)
        is_possible = all(
            any((c.bits[k] == flipped[c.positions]).all() for k in range(len(c.bins)))
            for c in MODEL.form.columns
        )
        points = int(MODEL.form.points_of_bits(flipped[None])[0])
        claim = {"bits": packed(flipped), "points": points, "decision": MODEL.policy.decide(points)}
        payload = signed(parts_of(MODEL, some_row(), **claim))
        if is_possible:
            try:
                assert verify_result(MODEL, payload, now=NOW).points == points
            except ResultError as error:
                assert error.cause == "limits"
        else:
            assert cause_of(payload) == "bits"
            n_refused += 1
    assert 30 < n_refused < 300


def test_a_bin_wholly_outside_the_limits_is_refused() -> None:
    model = toy_model(0, limits={"age": (200.0, 300.0)})
    assert cause_of(signed(parts_of(model, some_row())), model) == "limits"


def category_model(codes: list[int], unknown_category: Any) -> Any:
    """A model of one category of three values, with a bit for some codes."""
    none = np.zeros(0, np.float32)
    n = len(codes)
    encode = Encode(
        np.zeros(n, "u2"), np.full(n, EQ, "u1"), np.array(codes, "f4"), none.astype("u2"), none
    )
    points = Readout((1,), np.array([range(100, 100 + n)], "i4"), np.array([50_000], "i4"))
    scale, offset = Scaling().link()
    link = Link(2, "sigmoid", np.array([scale]), np.array([offset]), none.astype("i4"), none)
    housing = Column("housing", "category", ("own", "rent", "free"))
    program = Program((housing,), (encode, points, link), ("good", "bad"))
    return CreditModel(program, Policy(cutoff=50_050, unknown_category=unknown_category))


@pytest.mark.parametrize(
    ("codes", "is_refused"),
    [
        ([0, 1, 2, -1], True),  # a bit of its own
        ([0, 1, 2], True),  # no bits at all, which no known category has
        ([0, 1], False),  # the bits of "free", which is known
        ([0, 1, -1], True),
    ],
)
def test_a_category_never_seen_is_refused_where_the_policy_refuses_it_and_bits_tell_it(
    codes: list[int], is_refused: bool
) -> None:
    row = np.array([-1], np.float32)
    kind = category_model(codes, "other")
    assert verify_result(kind, signed(parts_of(kind, row)), now=NOW).row[0] == -1
    strict = category_model(codes, "refuse")
    if is_refused:
        assert cause_of(signed(parts_of(strict, row)), strict) == "bits"
    else:
        assert verify_result(strict, signed(parts_of(strict, row)), now=NOW).points == 50_000


def test_old_results_future_ones_and_those_taken_before_are_refused() -> None:
    payload = signed(parts_of(MODEL, some_row()))
    assert cause_of(payload, now=NOW + timedelta(days=2)) == "stale"
    assert cause_of(payload, max_age_s=30) == "stale"
    assert cause_of(payload, now=NOW - timedelta(minutes=10)) == "future"
    assert verify_result(MODEL, payload, now=NOW - timedelta(minutes=2))  # clocks differ a little
    assert cause_of(payload, seen_nonces={payload["nonce"]}) == "replayed"
    with pytest.raises(DataError, match="zone"):
        verify_result(MODEL, payload, now=datetime(2026, 11, 28))


def test_answers_that_come_along_must_make_the_bits() -> None:
    row = some_row(seed=2)
    names = [c.name for c in MODEL.program.columns]
    values: dict[str, Any] = {
        n: None if np.isnan(v) else float(v) for n, v in zip(names, row, strict=True)
    }
    code = int(row[-1])
    values["housing"] = MODEL.program.columns[-1].categories[code] if code >= 0 else "houseboat"
    payload = signed(parts_of(MODEL, row, values=json.dumps(values)))
    assert verify_result(MODEL, payload, now=NOW).values == values
    wrong = [
        json.dumps(values | {"income": 1e6 if values["income"] < 50 else -1e6}),
        json.dumps(values | {"further": 1}),
        json.dumps({k: v for k, v in values.items() if k != "age"}),
        json.dumps(values | {"age": "old"}),
        json.dumps(values | {"age": [1]}),
        json.dumps(values | {"age": {"a": 1}}),
        json.dumps(values | {"income": None}),
        '{"age": 1, "age": 2}', "[]", "null", "{", "NaN",
    ]  # fmt: skip
    for text in wrong:
        assert cause_of(signed(parts_of(MODEL, row, values=text))) == "values", text


WRONG: list[Any] = [
    "", "null", "[]", "7", "{", "{}", b"\xff\xfe", '{"version": 1}', "[" * 5000, "x" * 300_000,
    {"version": "bimetal-credit-result/1"},
]  # fmt: skip


@pytest.mark.parametrize("payload", WRONG, ids=lambda p: repr(p)[:20])
def test_what_is_no_result_is_malformed(payload: Any) -> None:
    assert cause_of(payload) == "malformed"


SPOILT: dict[str, list[Any]] = {
    "version": ["bimetal-credit-result/2", 1, None],
    "program": ["a" * 63, "A" * 64, 5, None, "a" * 64 + "\n", "a" * 10_000],
    "bits": ["", "====", "AB=C", "AAAA AAAA", 5, "AB==\n", "AAA", "AB=="],
    "points": [1.0, True, "1", 2**31, None, float("nan")],
    "decision": ["yes", None, [], "approve\n", {}],
    "time": ["2026-11-28", "2026-13-28T11:59:00.000Z", "2026-11-28T11:59:00Z", 0, "x" * 24],
    "nonce": ["", "0" * 31, "G" * 32, 7],
    "values": [None, {}, "x" * 200_000, "\ud800"],
    "key": [None, {}, [], "key", jwk(KEY) | {"kty": "RSA"}, jwk(KEY) | {"x": "AAAA"}, jwk(KEY) | {"d": "secret"},
            jwk(KEY) | {"x": "_" * 43}, jwk(KEY) | {"x": 5}],
    "signature": ["", "A" * 88, "A" * 86 + "==" + "\n", 5, "A" * 85 + "B=="],
}  # fmt: skip


@pytest.mark.parametrize("name", list(SPOILT))
def test_each_part_of_another_form_is_malformed(name: str) -> None:
    payload = signed(parts_of(MODEL, some_row()))
    for value in SPOILT[name]:
        assert cause_of(payload | {name: value}) in ("malformed",), value
    assert cause_of({k: v for k, v in payload.items() if k != name}) == "malformed"
    assert cause_of(payload | {"more": 1}) == "malformed"


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_is_changed_nothing_but_a_result_error_comes(data: Any) -> None:
    payload = signed(parts_of(MODEL, some_row()))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
    name = data.draw(st.sampled_from(sorted(payload)))
    changed = payload | {name: data.draw(anything)}
    if changed != payload:
        with pytest.raises(ResultError):
            verify_result(MODEL, changed, now=NOW)


def test_the_schema_takes_what_the_reader_takes() -> None:
    payload = signed(parts_of(MODEL, some_row()))
    assert set(RESULT_SCHEMA["required"]) == set(payload) == set(RESULT_SCHEMA["properties"])
    assert read_payload(payload).points == payload["points"]
    json.dumps(RESULT_SCHEMA)


def test_the_file_hash_is_that_of_the_file_it_was_loaded_from(tmp_path: Path) -> None:
    MODEL.save(tmp_path / "toy.bimetal")
    loaded = CreditModel.load(tmp_path / "toy.bimetal")
    assert verify_result(loaded, signed(parts_of(loaded, some_row())), now=NOW)


@pytest.mark.skipif(NODE.find() is None, reason="node is not here")
def test_what_webcrypto_signs_verifies_here(tmp_path: Path) -> None:
    from test_credit_page_explains import said_by_the_page

    rows = np.concatenate([toy_rows(MODEL.program, 30, 2)])
    said = said_by_the_page(MODEL, rows, tmp_path)
    n_verified = 0
    for row, told in zip(rows, said["rows"], strict=True):
        if cause_or_none_of_now(told["signed"]) is None:
            found = verify_result(MODEL, told["signed"], known_keys={said["key"]})
            assert found.is_known_device and found.points == MODEL.points(row[None])[0]
            n_verified += 1
    assert n_verified >= 20
    assert len({told["signed"]["nonce"] for told in said["rows"]}) == len(rows)


def cause_or_none_of_now(payload: Any) -> str | None:
    try:
        verify_result(MODEL, payload)
    except ResultError as error:
        assert error.cause == "limits"  # toy rows go beyond them
        return error.cause
    return None


def test_a_bin_of_the_grid_is_what_a_row_of_the_result_stands_for() -> None:
    found = verify_result(MODEL, signed(parts_of(MODEL, some_row())), now=NOW)
    for column in MODEL.form.columns:
        values = [b.value for b in column.bins if isinstance(b, Bin)]
        assert any(
            np.array_equal(found.row[column.index], np.float32(v), equal_nan=True) for v in values
        )
