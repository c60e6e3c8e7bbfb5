"""What every decision log promises, on SQLite and on PostgreSQL: order, once only, all or none, lawful erasure."""

import asyncio
import hashlib
import json
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decision_logs import MODEL, MODEL_HASH, Clock, database, filled, record, server
from hypothesis import given, settings
from hypothesis import strategies as st

from bimetal.errors import DataError
from bimetal.service.log import (
    GENESIS,
    ChainedLog,
    DuplicateRequest,
    Erasure,
    LogUnavailable,
    Record,
    open_log,
)
from bimetal.service.log.canonical import canonical, encode, of_list, plain, restored
from bimetal.service.log.chain import opened, sealed
from bimetal.service.log.verifying import verify

NUMBERS = count()


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with server() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/decisions.db"
    return database(request.getfixturevalue("home"), f"log{next(NUMBERS)}")


@pytest.fixture
def log(url: str) -> Iterator[ChainedLog]:
    log = filled(url, 0)
    yield log
    log.close()


# --- what an entry is


def test_the_canonical_content_of_an_entry_is_what_it_was_when_the_format_was_frozen() -> None:
    entry = sealed(record(7), 1, "2026-11-28T12:00:00.000000+00:00", GENESIS, bytes(range(16)))
    assert record(7).personal == (
        '{"reasons":[{"code":"R01","columns":["income","amount"],"group":"income","points":{"float":'
        '"-0x1.9000000000000p+3"},"text":"Income too low for the amount"}],"row":"0000e0400000003f0000c07f",'
        '"warnings":["housing: unknown"]}'
    )
    assert entry.content == (
        '{"as_of":"2026-11-28","clock":null,"commitment":'
        '"02735efc23d924a2f04074b6fb0822dcf7669f19c3b1e62c0d31b44d0c6866da","decision":"decline",'
        f'"file_hash":"{MODEL_HASH}","key_id":"key-1","kind":"decision","model_id":"{"ab" * 32}",'
        f'"model_name":"cards","points":60007,"policy_id":"{"cd" * 32}",'
        '"probability":"0x1.0000000000000p-5","request_id":"request-7","role":"champion","sequence":1,'
        '"time":"2026-11-28T12:00:00.000000+00:00"}'
    )
    assert entry.hash == "d42a268d10a2ea1c0e87602d9edb4df185f7cffcf3d50d7e46e9bddc37aea952"


def test_anybody_can_check_the_chain_in_ten_lines(log: ChainedLog) -> None:
    log.write([record(i) for i in range(3)])
    before = bytes(32)
    for row in log.rows():
        content, hash, salt, personal = row[5], row[7], row[8], row[9]
        before = hashlib.sha256(before + content.encode()).digest()
        assert before.hex() == hash
        commitment = hashlib.sha256(salt + personal.encode()).hexdigest()
        assert json.loads(content)["commitment"] == commitment


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.tuples(inner, inner) | st.dictionaries(st.text(min_size=6), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_what_is_written_down_canonically_comes_back_the_same(value: Any) -> None:
    assert restored(json.loads(canonical(value))) == value
    assert canonical(value).isascii() and canonical(value) == canonical(restored(plain(value)))


@dataclass(frozen=True)
class Why:
    group: str
    points: float


@dataclass(frozen=True)
class Told:
    text: Any
    points: float
    columns: Any


_PARTS = (
    st.text() | st.sampled_from([1, True, 0, False, None, 1.0]) | st.lists(st.text()).map(tuple)
)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Told,
            _PARTS | st.just('{"float":"0x0.0p+0"}'),
            st.floats(allow_nan=False) | st.integers(0, 9) | st.just(np.float64(0.5)),
            _PARTS | st.sampled_from([(1,), (True,), ("a",), ["a"], ((1,),), ((True,),)]),
        )
        | VALUES
    )
)
def test_a_list_is_written_down_as_its_parts_are(values: list[Any]) -> None:
    assert of_list(values) == canonical(values)


def test_dataclasses_and_numpy_scalars_are_written_down_as_their_values() -> None:
    given = (Why("income", -0.5), np.float32(0.1), np.int64(3))
    expected = ({"group": "income", "points": -0.5}, float(np.float32(0.1)), 3)
    assert restored(plain(given)) == expected


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    value=_JSON_VALUES | st.sampled_from(["\x7f", "\ud800", "a\\b", "\x00\n", 2**64, -(2**63) - 1])
)
def test_the_quick_encoder_writes_what_the_standard_library_writes(value: Any) -> None:
    expected = json.dumps(value, sort_keys=True, separators=(",", ":"))
    assert encode(value) == expected


@pytest.mark.parametrize("value", [{"float": 1}, object(), {1, 2}])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match="JSON values"):
        plain(value)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1, width=32), st.lists(st.floats(width=32), min_size=1, max_size=30), st.text())
def test_an_entry_opens_to_the_record_it_was_made_of(
    probability: float, values: list[float], text: str
) -> None:
    row = struct.pack(f"<{len(values)}f", *values)
    made = record(0, probability=probability, row=row, reasons=(text,))
    entry = sealed(made, 3, "2026-11-28T12:00:00.000000+00:00", GENESIS, bytes(16))
    again = opened(entry.content, entry.previous, entry.hash, entry.salt, made.personal)
    assert again.record == made and again == entry


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"request_id": ""}, "1 to 200 printable"),
        ({"request_id": "a\nb"}, "printable"),
        ({"request_id": "\ud800"}, "printable"),
        ({"model_name": "x" * 201}, "model name has 1 to 200"),
        ({"role": "understudy"}, "champion or shadow"),
        ({"row": b"abc"}, "4 bytes a number"),
        ({"probability": 0.1}, "float32"),
        ({"probability": float("nan")}, "float32"),
        ({"probability": 1e300}, "float32"),
    ],
)
def test_a_record_that_cannot_be_written_down_exactly_is_refused(
    wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        record(0, **wrong)


# --- what a log promises


def test_entries_are_numbered_chained_and_in_order(log: ChainedLog) -> None:
    entries = [*log.write([record(0), record(1)]), *log.write([record(2)])]
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    assert all(a.hash == b.previous and a.time <= b.time for a, b in pairwise(entries))
    assert list(log.entries()) == entries and list(log.entries(2, 3)) == entries[1:2]
    assert log.head() == (3, entries[-1].hash)
    assert log.find("request-1") == [entries[1]] and log.find("nobody") == []
    assert verify(log).is_sound


def test_an_empty_log_is_sound_and_its_head_is_the_genesis(log: ChainedLog) -> None:
    assert log.head() == (0, GENESIS) and verify(log).is_sound and list(log.entries()) == []


def test_the_same_record_again_gives_its_first_entry(log: ChainedLog) -> None:
    first = log.write([record(0), record(1)])
    assert log.write([record(1), record(0)]) == first[::-1]
    assert log.write([record(2), record(2)])[0].sequence == 3 and log.head()[0] == 3


CHANGES: list[dict[str, Any]] = [
    {"row": struct.pack("<3f", 1, 2, 3)}, {"points": 1}, {"probability": 0.5}, {"decision": "approve"},
    {"reasons": ()}, {"warnings": ()}, {"as_of": None}, {"key_id": None}, {"model_name": "other"},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=[next(iter(c)) for c in CHANGES])
def test_a_request_id_with_other_content_is_refused_and_shows_the_first(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    log = filled(f"{tmp_path}/decisions.db", 1)
    with pytest.raises(DuplicateRequest, match=r"request-0.*entry 1") as caught:
        log.write([record(0, **change)])
    assert caught.value.first.record == record(0) and log.head()[0] == 1
    log.close()


def test_a_call_is_written_whole_or_not_at_all(log: ChainedLog) -> None:
    log.write([record(0)])
    with pytest.raises(DuplicateRequest):
        log.write([record(1), record(0, points=1), record(2)])
    with pytest.raises(DuplicateRequest, match="the same call") as caught:
        log.write([record(1), record(1, points=1)])
    assert caught.value.first.sequence == 0
    assert log.head()[0] == 1
    assert [entry.sequence for entry in log.write([record(1), record(2)])] == [2, 3]


def test_a_champion_and_each_shadow_have_a_place_of_their_own(log: ChainedLog) -> None:
    shadows = [record(0, role="shadow", model_name=name, points=1) for name in ("next", "other")]
    log.write([record(0), *shadows])
    assert [entry.record.slot for entry in log.find("request-0")] == [
        "champion", "shadow next", "shadow other",
    ]  # fmt: skip
    with pytest.raises(DuplicateRequest, match="shadow next"):
        log.write([record(0, role="shadow", model_name="next", points=2)])


def test_a_decision_without_an_archived_model_is_refused(log: ChainedLog) -> None:
    with pytest.raises(DataError, match="archive_model"):
        log.write([record(0, file_hash="0" * 64)])
    other = b"another model"
    hash = hashlib.sha256(other).hexdigest()
    log.archive_model(hash, other)
    log.archive_model(hash, other)
    log.write([record(0, file_hash=hash)])
    assert log.model(hash) == other and log.model(MODEL_HASH) == MODEL
    with pytest.raises(DataError, match="got bytes with"):
        log.archive_model(hash, MODEL)
    with pytest.raises(DataError, match="no model with sha256"):
        log.model("0" * 64)


def test_a_clock_that_goes_back_is_noted_and_never_believed(url: str) -> None:
    clock = Clock()
    log = open_log(url, clock=clock)
    log.archive_model(MODEL_HASH, MODEL)
    (first,) = log.write([record(0)])
    clock.now -= timedelta(hours=1)
    (late,) = log.write([record(1)])
    clock.now += timedelta(hours=2)
    (after,) = log.write([record(2)])
    assert late.time == first.time and late.clock is not None and late.clock < late.time
    assert first.clock is None and after.clock is None and after.time > late.time
    verdict = verify(log)
    assert verdict.is_sound and verdict.n_late_clocks == 1
    log.close()


def test_a_moment_finds_the_first_entry_that_is_not_before_it(log: ChainedLog) -> None:
    entries = [log.write([record(i)])[0] for i in range(5)]
    assert [log.since(entry.time) for entry in entries] == [1, 2, 3, 4, 5]
    assert log.since("2027") == 6 and log.since("") == 1


def test_many_who_wait_are_written_together_and_in_one_chain(log: ChainedLog) -> None:
    async def clients() -> list[list[Any]]:
        return await asyncio.gather(*(log.append([record(i)]) for i in range(200)))

    entries = [entry for (entry,) in asyncio.run(clients())]
    assert sorted(entry.sequence for entry in entries) == list(range(1, 201))
    assert {entry.record.request_id for entry in entries} == {f"request-{i}" for i in range(200)}
    assert len({entry.time for entry in entries}) < 100  # one clock reading a transaction
    assert verify(log).is_sound


def test_two_logs_at_one_place_continue_one_chain(url: str, log: ChainedLog) -> None:
    others = [open_log(url, clock=Clock()) for _ in range(2)]

    def fill(mine: ChainedLog, start: int) -> None:
        for i in range(start, start + 15):
            mine.write([record(i)])

    threads = [
        threading.Thread(target=fill, args=(mine, 100 * k)) for k, mine in enumerate([log, *others])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = verify(log)
    assert verdict.is_sound and verdict.n_entries == 45
    first = log.find("request-100")
    assert others[1].write([record(100)]) == first
    for other in others:
        other.close()


def test_more_than_may_wait_is_refused_at_once(url: str) -> None:
    log = filled(url, 0, max_waiting=10)
    held = open_log(url, clock=Clock())
    holder = held._connect(False)  # a foreign process in the middle of a transaction
    holder.begin()

    async def clients() -> list[Any]:
        waiting = [asyncio.create_task(log.append([record(i)])) for i in range(13)]
        done, _ = await asyncio.wait(waiting, timeout=0.3)
        assert (
            len(done) >= 3
        )  # those beyond ten (and what the writer has taken) were not kept waiting
        holder.rollback()
        return await asyncio.gather(*waiting, return_exceptions=True)

    outcomes = asyncio.run(clients())
    refused = [o for o in outcomes if isinstance(o, LogUnavailable)]
    assert len(refused) >= 1 and "wait for the decision log" in str(refused[0])
    assert log.head()[0] == 13 - len(refused) and verify(log).is_sound
    holder.close()
    held.close()
    log.write([record(i) for i in range(50)])  # one call alone may bring any number
    log.close()


def test_a_caller_who_gives_up_finds_his_decision_when_he_asks_again(log: ChainedLog) -> None:
    async def impatient() -> None:
        task = asyncio.create_task(log.append([record(0)]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(impatient())
    assert log.write([record(0)])[0].sequence == 1


def test_a_closed_log_takes_and_tells_nothing_and_what_waited_is_written(url: str) -> None:
    log = filled(url, 0)
    threads = [threading.Thread(target=log.write, args=([record(i)],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    log.close()
    for use in (lambda: log.write([record(9)]), log.head):
        with pytest.raises(LogUnavailable, match="closed"):
            use()
    again = open_log(url, creates=False)
    assert again.head()[0] == 8
    again.close()


def test_a_reader_changes_nothing(url: str, log: ChainedLog) -> None:
    log.write([record(0)])
    reader = open_log(url, creates=False, is_read_only=True)
    assert reader.find("request-0") == log.find("request-0")
    with pytest.raises(LogUnavailable, match=r"read-?only"):
        reader.write([record(1)])
    assert log.head()[0] == 1
    reader.close()


# --- erasure


def test_an_erasure_removes_row_and_reasons_and_the_chain_still_holds(log: ChainedLog) -> None:
    shadow = record(0, role="shadow", model_name="next")
    log.write([record(0), shadow, record(1)])
    entry = log.erase("request-0", "GDPR art. 17 (1) (a)", who="privacy office")
    assert entry.record == Erasure("request-0", (1, 2), "GDPR art. 17 (1) (a)", "privacy office")
    erased = log.find("request-0")[0]
    assert erased.is_erased and isinstance(erased.record, Record)
    assert (erased.record.row, erased.record.reasons, erased.record.warnings) == (b"", (), ())
    assert erased.record.points == 60_000 and not log.find("request-1")[0].is_erased
    verdict = verify(log)
    assert verdict.is_sound and verdict.n_erased == 2 and verdict.n_entries == 4


def test_an_erased_request_id_is_not_used_again(log: ChainedLog) -> None:
    log.write([record(0)])
    log.erase("request-0", "retention ended")
    with pytest.raises(DuplicateRequest, match="was erased"):
        log.write([record(0)])
    with pytest.raises(DataError, match="erased already"):
        log.erase("request-0", "again")
    with pytest.raises(DataError, match="no request 'nobody'"):
        log.erase("nobody", "why")
    with pytest.raises(DataError, match="needs a reason"):
        log.erase("request-0", " ")


def test_salts_hide_rows_that_are_alike(log: ChainedLog) -> None:
    row = record(0).row
    entries = log.write([record(i, row=row) for i in range(3)])
    assert len({json.loads(entry.content)["commitment"] for entry in entries}) == 3
    assert len({entry.salt for entry in entries}) == 3
