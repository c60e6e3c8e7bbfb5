"""The keeper of a decision log: the same promises as the log of one process, whoever dies meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decision_logs import MODEL, MODEL_HASH, database, filled, keeper_of, record, server
from hypothesis import given
from hypothesis import strategies as st

from bimetal.errors import DataError
from bimetal.finance.credit.model import Reason
from bimetal.service.log import (
    ChainedLog,
    DuplicateRequest,
    Entry,
    Erasure,
    LogUnavailable,
    Record,
    open_log,
)
from bimetal.service.log import keeping as keeping_module
from bimetal.service.log.keeping import HAS_KEEPERS, keeping
from bimetal.service.log.letters import (
    Mailbag,
    read_outcome,
    read_records,
    written_outcome,
    written_records,
)
from bimetal.service.log.verifying import verify

pytestmark = pytest.mark.skipif(not HAS_KEEPERS, reason="keepers need Unix sockets")


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/decisions.db"
    filled(url, 0).close()
    return url


@pytest.fixture
def keeper(url: str) -> Iterator[str]:
    with keeping(url) as address:
        yield address


def with_log(url: str, keeper: str, act: Callable[[ChainedLog], Awaitable[Any]]) -> Any:
    """Run something with a kept log, on an event loop of its own."""

    async def run() -> Any:
        with closing(open_log(url, keeper=keeper)) as log:
            return await act(log)

    return asyncio.run(run())


def appended(url: str, keeper: str, records: list[Record]) -> list[Entry]:
    found: list[Entry] = with_log(url, keeper, lambda log: log.append(records))
    return found


def process_of(url: str) -> int:
    """Return the id of the keeper that this process started."""
    found = keeper_of(os.getpid())
    assert url not in Path(f"/proc/{found}/cmdline").read_text()  # it may hold a password
    return found


# --- letters

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=3).filter(lambda key: key != "float"), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
RECORDS = st.builds(
    lambda n, row, points, reasons, warnings: replace(
        record(n), row=row, points=points, reasons=tuple(reasons), warnings=tuple(warnings)
    ),
    st.integers(0, 99),
    st.binary(max_size=5).map(lambda part: part * 4),
    st.none() | st.integers(-(2**40), 2**40),
    st.lists(VALUES, max_size=3),
    st.lists(st.text(max_size=5), max_size=2),
)


@given(st.lists(RECORDS, max_size=3), st.integers(1, 9))
def test_a_record_is_written_down_by_the_keeper_as_it_would_have_been_here(
    records: list[Record], piece: int
) -> None:
    letter, bag = written_records(records), Mailbag()
    pieces = [letter[k : k + piece] for k in range(0, len(letter), piece)]
    (body,) = [body for part in pieces for body in bag.take(part)]
    for sent, came in zip(records, read_records(body), strict=True):
        assert came.personal == sent.personal
        assert came.values == sent.values


def test_dataclasses_and_numpy_scalars_travel_as_their_values() -> None:
    why = Reason("income", "R01", "too low", -12.5, ("income",))
    one = replace(record(1), reasons=(why, {"points": np.float64(-3.25), "n": np.int64(4)}))
    (came,) = read_records(written_records([one])[4:])
    assert came.personal == one.personal


@pytest.mark.parametrize("value", [object(), {1, 2}, {"float": 1}])
def test_what_cannot_be_written_down_is_refused_before_it_is_sent(value: Any) -> None:
    with pytest.raises(DataError):
        written_records([replace(record(1), reasons=(value,))])


def test_what_became_of_records_comes_back() -> None:
    sent, known = record(1), record(2)
    entries = [Entry(7, "t", sent, "h", "p", "c", b"s"), Entry(3, "t", known, "h", "p", "c", None, "late")]  # fmt: skip
    letter = written_outcome(entries, [sent, record(2)])
    found = read_outcome(letter[4:], [sent, record(2)])
    assert isinstance(found, list)
    assert found == entries
    assert found[0].record is sent
    erasure = Entry(9, "t", Erasure("r", (1, 2), "asked", None), "h", "p", "c")
    for error in (DuplicateRequest("twice", erasure), DataError("no"), LogUnavailable("full")):
        came = read_outcome(written_outcome(error, [])[4:], [])
        assert type(came) is type(error)
        assert str(came) == str(error)
        assert getattr(came, "first", None) == getattr(error, "first", None)
    unforeseen = read_outcome(written_outcome(ValueError("Ms Jones"), [])[4:], [])
    assert type(unforeseen) is LogUnavailable
    assert str(unforeseen) == "it failed (ValueError)"


# --- a log that is kept


def test_many_who_ask_at_once_are_written_in_one_chain(url: str, keeper: str) -> None:
    async def act(log: ChainedLog) -> list[list[Entry]]:
        return await asyncio.gather(*(log.append([record(k)]) for k in range(200)))

    entries = [entry for (entry,) in with_log(url, keeper, act)]
    assert sorted(entry.sequence for entry in entries) == list(range(1, 201))
    with closing(open_log(url, is_read_only=True)) as log:
        assert verify(log).is_sound
        stored = {entry.sequence: entry for entry in log.entries()}
    for entry in entries:
        assert (entry.hash, entry.content) == (
            stored[entry.sequence].hash,
            stored[entry.sequence].content,
        )


def test_it_answers_as_the_log_of_one_process_does(url: str, keeper: str) -> None:
    (first,) = appended(url, keeper, [record(1)])
    (again,) = appended(url, keeper, [record(1)])
    assert (again.sequence, again.hash) == (first.sequence, first.hash)
    assert again.record is not record(1)
    with pytest.raises(DuplicateRequest) as caught:
        appended(url, keeper, [record(2), replace(record(1), points=5)])
    assert caught.value.first.record == again.record
    with pytest.raises(DataError, match="archive_model"):
        appended(url, keeper, [replace(record(3), file_hash="1" * 64)])
    with closing(open_log(url)) as log:
        assert log.head()[0] == 1
        log.erase(record(1).request_id, "asked for it")
    with pytest.raises(DuplicateRequest, match="erased") as caught:
        appended(url, keeper, [record(1)])
    assert isinstance(caught.value.first.record, Erasure)


def test_a_model_is_archived_and_read_without_the_keeper(url: str) -> None:
    with closing(open_log(url, keeper="/nowhere")) as log:
        log.archive_model(MODEL_HASH, MODEL)
        assert log.model(MODEL_HASH) == MODEL
        assert list(log.entries()) == []


def test_more_than_may_wait_is_refused_at_once(url: str, keeper: str) -> None:
    async def run() -> list[Any]:
        with closing(open_log(url, keeper=keeper, max_waiting=10)) as log:
            jobs = (log.append([record(k)]) for k in range(30))
            return await asyncio.gather(*jobs, return_exceptions=True)

    found = asyncio.run(run())
    refused = [one for one in found if isinstance(one, LogUnavailable)]
    assert len(refused) == 20
    assert "wait" in str(refused[0])


def test_a_caller_who_gives_up_finds_his_decision_when_he_asks_again(url: str, keeper: str) -> None:
    async def act(log: ChainedLog) -> Entry:
        await log.append([record(0)])
        task = asyncio.ensure_future(log.append([record(1)]))
        await asyncio.sleep(0)
        task.cancel()
        (entry,) = await log.append([record(1)])
        (other,) = await log.append([record(2)])  # answers are not mixed up afterwards
        assert other.record == record(2)
        return entry

    assert with_log(url, keeper, act).sequence == 2


def test_where_no_keeper_is_the_log_takes_nothing(url: str, tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="is not there"):
        appended(url, str(tmp_path / "nobody"), [record(1)])


def test_a_log_that_cannot_be_written_to_refuses_and_recovers(
    url: str, keeper: str, tmp_path: Path
) -> None:
    path, away = tmp_path / "decisions.db", tmp_path / "away.db"

    async def act(log: ChainedLog) -> None:
        await log.append([record(0)])
        path.rename(away)
        with pytest.raises(LogUnavailable, match="removed"):
            await log.append([record(1)])
        away.rename(path)
        (entry,) = await log.append([record(1)])
        assert entry.sequence == 2

    with_log(url, keeper, act)


# --- lives and deaths


def test_a_keeper_that_is_killed_is_followed_by_another(url: str, keeper: str) -> None:
    acknowledged: list[Entry] = []

    async def tried(log: ChainedLog, n: int) -> bool:
        try:
            acknowledged.extend(await log.append([record(n)]))
        except LogUnavailable:
            return False
        return True

    async def act(log: ChainedLog) -> None:
        for n in range(0, 15, 3):
            assert await tried(log, n)
            process = process_of(url)
            os.kill(process, signal.SIGSTOP)  # lest it is faster than we are
            pending = asyncio.ensure_future(tried(log, n + 1))
            await asyncio.sleep(0.01)
            os.kill(process, signal.SIGKILL)
            assert not await pending
            while not await tried(log, n + 2):
                await asyncio.sleep(0.02)

    with_log(url, keeper, act)
    with closing(open_log(url, is_read_only=True)) as log:
        assert verify(log).is_sound
        stored = {entry.sequence: entry.hash for entry in log.entries()}
    assert len(acknowledged) == 10
    assert all(stored[entry.sequence] == entry.hash for entry in acknowledged)


def test_signals_are_for_the_service(url: str, keeper: str) -> None:
    process = process_of(url)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(process, number)
    assert [entry.sequence for entry in appended(url, keeper, [record(1)])] == [1]
    assert process_of(url) == process


def test_nothing_is_left_of_a_keeper(url: str) -> None:
    with keeping(url) as address:
        process = process_of(url)
        appended(url, address, [record(1)])
    assert not Path(address).parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_keeper_ends_with_who_started_it(url: str) -> None:
    script = """
import os, sys
from bimetal.service.log.keeping import keeping
with keeping(sys.argv[1]) as address:
    print(address, flush=True)
    sys.stdin.readline()
    os._exit(9)
"""
    command = [sys.executable, "-c", script, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdin is not None and one.stdout is not None
        address = one.stdout.readline().strip()
        assert appended(url, address, [record(1)])[0].sequence == 1
        one.stdin.write("\n")
        one.stdin.flush()
        assert one.wait(20) == 9
    while Path(address).parent.exists():  # its last act
        time.sleep(0.01)


def test_a_keeper_that_hangs_does_not_keep_the_service_from_ending(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_module, "_END_SECONDS", 0.2)
    with keeping(url):
        os.kill(process_of(url), signal.SIGSTOP)


def test_a_keeper_that_cannot_begin_is_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LogUnavailable, match="could not begin"), keeping(url):
        pass


def test_a_long_temporary_folder_is_no_obstacle(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setattr(keeping_module.tempfile, "tempdir", str(deep))
    with keeping(url) as address:
        assert appended(url, address, [record(1)])[0].sequence == 1
    assert list(deep.iterdir()) == []


def test_a_keeper_that_fails_ends_rather_than_to_answer_out_of_turn(
    url: str, keeper: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(log: ChainedLog) -> None:
        await log.append([record(0)])
        _, link = await asyncio.open_unix_connection(keeper)
        link.write(b"\0\0\0\1\xc1")  # no msgpack
        pending = asyncio.ensure_future(log.append([record(1)]))
        with pytest.raises(LogUnavailable):
            while True:
                await pending
                pending = asyncio.ensure_future(log.append([record(1)]))
        link.close()

    with_log(url, keeper, act)
    while "ended (1)" not in caplog.text:  # a thread says it
        time.sleep(0.01)


def test_a_keeper_writes_to_a_server_too_and_its_death_lets_go_of_the_turn() -> None:
    with server() as home:
        url = database(home, "kept")
        filled(url, 0).close()
        with keeping(url) as address:
            for n in range(0, 9, 3):
                entries = appended(url, address, [record(n), record(n + 1)])
                assert [entry.record for entry in entries] == [record(n), record(n + 1)]
                process = process_of(url)
                os.kill(process, signal.SIGKILL)
                while True:
                    try:
                        appended(url, address, [record(n + 2)])
                        break
                    except LogUnavailable:
                        time.sleep(0.02)
        with closing(open_log(url, is_read_only=True)) as log:
            assert verify(log).is_sound
            assert log.head()[0] == 9
