"""The log in a file: durable or refused, whatever happens to disk, file and process."""

import asyncio
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from decision_logs import MODEL, MODEL_HASH, Clock, filled, record

from bimetal.errors import DataError, MissingExtraError, MissingToolError
from bimetal.service.log import ChainedLog, LogUnavailable, open_log, sqlite
from bimetal.service.log.verifying import verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.db"


@pytest.fixture
def log(path: Path) -> Iterator[ChainedLog]:
    log = filled(str(path), 3)
    yield log
    log.close()


# --- how a file is opened


def test_each_spelling_of_an_address_names_the_same_file(
    path: Path, log: ChainedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    for url in (f"sqlite:///{path}", f"sqlite:////{path}", str(path), "sqlite:///decisions.db"):
        with closing(open_log(url, creates=False)) as again:
            assert again.head()[0] == 3


@pytest.mark.parametrize("url", ["mysql://host/base", "sqlite://", "sqlite:///:memory:", ""])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(DataError, match="a decision log"):
        open_log(url)


def test_what_is_no_decision_log_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(DataError, match="no decision log"):
        open_log(str(path))
    assert path.read_bytes() == before
    path.write_bytes(b"something else entirely, and long enough" * 100)
    with pytest.raises(LogUnavailable, match="not a database"):
        open_log(str(path))


def test_a_log_of_a_later_version_is_refused(path: Path, log: ChainedLog) -> None:
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA user_version = 2")
    with pytest.raises(DataError, match="version 2"):
        open_log(str(path))


def test_a_log_that_must_be_there_is_not_made(path: Path) -> None:
    for options in ({"creates": False}, {"is_read_only": True}):
        with pytest.raises(LogUnavailable, match="no decision log"):
            open_log(str(path), **options)
    assert not path.exists()
    with pytest.raises(LogUnavailable):
        open_log(str(path / "nowhere" / "decisions.db"))


def test_a_log_on_a_medium_that_takes_no_lock_file_can_be_verified(
    path: Path, log: ChainedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.close()
    real = sqlite3.connect

    class Refusing:  # root writes everywhere, so that the refusal of the medium is played
        def execute(self, query: str) -> Any:
            raise sqlite3.OperationalError("unable to open database file")

        def close(self) -> None:
            pass

    monkeypatch.setattr(
        sqlite3, "connect", lambda name, **o: real(name, **o) if "immutable" in name else Refusing()
    )
    with closing(open_log(str(path), is_read_only=True)) as again:
        assert verify(again).is_sound
    path.with_name("decisions.db-wal").write_bytes(b"entries")
    with pytest.raises(LogUnavailable, match="copy both files"):
        open_log(str(path), is_read_only=True)


def test_postgresql_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"psycopg.*bimetal\[postgres\]"):
        open_log("postgresql://host/base")


def test_an_sqlite_that_is_too_old_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(MissingToolError, match=r"SQLite 3\.37"):
        open_log(str(path))


# --- durability


def test_each_commit_is_synced_before_it_is_acknowledged(path: Path, log: ChainedLog) -> None:
    store = sqlite.SqliteStore(path)
    assert store.ask("PRAGMA journal_mode")[0][0] == "wal"
    assert store.ask("PRAGMA synchronous")[0][0] == 2  # FULL
    assert store.ask("PRAGMA secure_delete")[0][0] == 1
    store.close()


def test_the_disk_is_asked_to_sync_for_each_answer(tmp_path: Path) -> None:
    if not Path("/usr/bin/strace").exists():
        pytest.skip("strace is not on this machine")
    script = (
        "import sys\nfrom decision_logs import filled, record\n"
        f"log = filled({str(tmp_path / 'd.db')!r}, 0)\n"
        "sys.stderr.write('BEGIN\\n'); sys.stderr.flush()\n"
        "[log.write([record(i)]) for i in range(5)]\nsys.stderr.write('END\\n')\n"
    )
    traced = subprocess.run(
        ["strace", "-f", "-e", "trace=fsync,fdatasync,write", sys.executable, "-c", script],
        capture_output=True, text=True, check=True, env=_environment(), timeout=60,
    )  # fmt: skip
    within = traced.stderr.partition("BEGIN")[2].partition("END")[0]
    assert within.count("fdatasync(") + within.count("fsync(") >= 5


@contextmanager
def file_size_limit(n_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def until_refused(log: ChainedLog, start: int) -> int:
    """Append until the log refuses; return the number that was refused."""
    for i in range(start, start + 5_000):
        try:
            log.write([record(i)])
        except LogUnavailable:
            return i
    raise AssertionError("the disk never became full")


def assert_recovers(log: ChainedLog, path: Path, refused: int) -> None:
    """All that was acknowledged is there, what was refused is not, and the log takes it now."""
    assert [e.record.request_id for e in log.entries()] == [f"request-{i}" for i in range(refused)]
    assert log.write([record(refused)])[0].sequence == refused + 1
    log.close()
    with closing(open_log(str(path))) as again:
        found = verify(again)
        assert found.is_sound and found.n_entries == refused + 1


def test_a_file_that_may_not_grow_refuses_and_recovers(path: Path, log: ChainedLog) -> None:
    with file_size_limit(200_000):
        refused = until_refused(log, 3)
        for _ in range(3):
            with pytest.raises(LogUnavailable, match="disk"):
                log.write([record(refused)])
        assert verify(log).is_sound and log.head()[0] == refused  # reading goes on
    assert_recovers(log, path, refused)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=768k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here (root is needed)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_loses_nothing_and_recovers(small_disk: Path) -> None:
    path = small_disk / "decisions.db"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    log = filled(str(path), 0)
    refused = until_refused(log, 0)

    async def crowd() -> list[Any]:
        waiting = (log.append([record(refused + i)]) for i in range(20))
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert refused > 10 and all(isinstance(o, LogUnavailable) for o in asyncio.run(crowd()))
    ballast.unlink()
    assert_recovers(log, path, refused)


def test_a_log_that_may_only_be_read_refuses(path: Path, log: ChainedLog) -> None:
    store = log._writer._committer._store
    assert store is not None
    store.ask("PRAGMA query_only = ON")
    with pytest.raises(LogUnavailable, match="readonly"):
        log.write([record(3)])
    assert log.write([record(3)])[0].sequence == 4  # with a connection of its own again


def test_a_log_held_by_another_for_too_long_refuses_and_recovers(
    path: Path, log: ChainedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.05)
    log._writer._committer._drop()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match="locked"):
            log.write([record(3)])
        other.execute("ROLLBACK")
    assert log.write([record(3)])[0].sequence == 4


# --- a log that changes under the service


def test_a_log_whose_file_was_removed_takes_nothing_and_is_not_made_anew(
    path: Path, log: ChainedLog
) -> None:
    aside = path.with_name("aside.db")
    path.rename(aside)
    for _ in range(2):
        with pytest.raises(LogUnavailable, match=r"removed or replaced|no decision log"):
            log.write([record(3)])
    assert not path.exists()
    aside.rename(path)
    assert log.write([record(3)])[0].sequence == 4


def test_a_backup_in_the_place_of_the_log_is_noticed(path: Path, log: ChainedLog) -> None:
    backup = path.with_name("backup.db")
    with closing(sqlite3.connect(path)) as base, closing(sqlite3.connect(backup)) as copy:
        base.backup(copy)
    log.write([record(3)])
    backup.replace(path)
    for left in path.parent.glob("decisions.db-*"):
        left.unlink()
    for _ in range(2):
        with pytest.raises(LogUnavailable, match=r"replaced"):
            log.write([record(4)])


def test_an_entry_that_others_cut_off_is_missed_before_the_next_is_written(
    path: Path, log: ChainedLog
) -> None:
    for statement, other in (("DELETE FROM decision_entry WHERE sequence = 3", 0), ("", 1)):
        with closing(sqlite3.connect(path, isolation_level=None)) as base:
            base.execute("DROP TRIGGER IF EXISTS decision_entry_remains")
            base.execute("DELETE FROM decision_personal WHERE sequence = 9")
            if statement:
                base.execute(statement)
        with pytest.raises(LogUnavailable, match="cut or replaced"):
            log.write([record(10 + other)])


def test_others_who_write_between_are_no_reason_to_stop(path: Path, log: ChainedLog) -> None:
    with closing(open_log(str(path), clock=Clock())) as other:
        other.write([record(3)])
        assert log.write([record(4)])[0].sequence == 5
        assert other.write([record(5)])[0].sequence == 6
    assert verify(log).is_sound


# --- erasure in the file


def test_erased_bytes_leave_the_files(path: Path, log: ChainedLog) -> None:
    secret = "Erika Mustermann owes 4711 thalers"
    log.write([record(3, warnings=(secret,))])
    salt = log.find("request-3")[0].salt
    assert salt is not None

    def holders() -> list[str]:
        found = [p for p in path.parent.iterdir() if p.is_file()]
        return [
            p.name for p in found if secret.encode() in p.read_bytes() or salt in p.read_bytes()
        ]

    assert holders()
    log.erase("request-3", "GDPR art. 17")
    assert holders() == [] and verify(log).is_sound


def test_a_reader_who_keeps_old_bytes_is_named(
    path: Path, log: ChainedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.05)
    log._reader.close()  # type: ignore[union-attr]
    log._reader = None
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM decision_personal").fetchone()
        with pytest.raises(LogUnavailable, match="the erasure stands"):
            log.erase("request-0", "GDPR art. 17")
    assert log.find("request-0")[0].is_erased and verify(log).is_sound


# --- several processes, and the end of one


CHILD = """
import sys
from decision_logs import record
from bimetal.service.log import open_log
log = open_log(sys.argv[1])
for i in range(int(sys.argv[2]), int(sys.argv[3])):
    log.write([record(i)])
    print(i, flush=True)
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}


def child(path: Path, start: int, stop: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", CHILD, str(path), str(start), str(stop)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=_environment())


def test_processes_that_make_and_fill_one_log_write_one_chain(path: Path) -> None:
    with closing(open_log(str(path))) as log:
        log.archive_model(MODEL_HASH, MODEL)
    children = [child(path, start, start + 20) for start in (0, 100)]
    assert all(c.wait(30) == 0 for c in children)
    for c in children:
        assert c.stdout is not None
        c.stdout.close()
    with closing(open_log(str(path))) as log:
        found = verify(log)
        assert found.is_sound and found.n_entries == 40


def test_processes_that_open_a_new_log_at_once_make_one(path: Path) -> None:
    words = [sys.executable, "-c", "import sys\nfrom bimetal.service.log import open_log\n"
             "log = open_log(sys.argv[1]); log.close()", str(path)]  # fmt: skip
    children = [subprocess.Popen(words) for _ in range(3)]
    assert [c.wait(30) for c in children] == [0, 0, 0]
    with closing(open_log(str(path), creates=False)) as log:
        assert verify(log).is_sound


def test_a_process_killed_at_any_moment_loses_no_acknowledged_decision(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    from kill_nine import rounds  # there with a hundred kills

    found = rounds(str(path), n_kills=4, seed=0)
    assert found.n_acknowledged > 20 and found.n_missing == 0 and found.n_broken == 0


def test_the_file_of_a_log_is_for_its_owner_and_group_as_the_umask_says(path: Path) -> None:
    before = os.umask(0o077)
    try:
        filled(str(path), 1).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
