"""The log in PostgreSQL: the server itself refuses changes, and a lost connection loses nothing."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from decision_logs import MODEL, MODEL_HASH, database, filled, record, server

from bimetal.errors import DataError
from bimetal.export.sql.places import psql
from bimetal.service.log import ChainedLog, LogUnavailable, open_log
from bimetal.service.log.postgresql import PostgresqlStore
from bimetal.service.log.verifying import Verdict, verify

NUMBERS = count()
OFF = "SET session_replication_role = replica;"  # triggers off, as a superuser can


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with server() as found:
        yield found


@pytest.fixture
def url(home: Path) -> str:
    return database(home, f"base{next(NUMBERS)}")


@pytest.fixture
def log(url: str) -> Iterator[ChainedLog]:
    log = filled(url, 5)
    yield log
    log.close()


def run(url: str, script: str) -> None:
    store = PostgresqlStore(url)
    try:
        with store._translated():
            store._base.exec_driver_sql(script)
        store.commit()
    finally:
        store.close()


def verdict(url: str) -> Verdict:
    with closing(open_log(url, creates=False, is_read_only=True)) as log:
        return verify(log)


WRITES = [
    "UPDATE decision_entry SET time = 'x'",
    "DELETE FROM decision_entry WHERE sequence = 5",
    "TRUNCATE decision_entry CASCADE",
    "INSERT INTO decision_entry SELECT sequence + 2, kind, 'new', slot, time, content, hash, hash "
    "FROM decision_entry WHERE sequence = 5",
    "INSERT INTO decision_entry SELECT sequence + 1, kind, 'new', slot, time, content, previous, hash "
    "FROM decision_entry WHERE sequence = 5",
    "INSERT INTO decision_entry SELECT sequence, kind, 'new', slot, time, content, previous, 'x' "
    "FROM decision_entry WHERE sequence = 5 ON CONFLICT (sequence) DO UPDATE SET hash = 'x'",
    "UPDATE decision_personal SET data = 'x'",
    "DELETE FROM decision_personal WHERE sequence = 5",
    "TRUNCATE decision_personal",
    "UPDATE decision_model SET data = ''",
    "DELETE FROM decision_model",
    "TRUNCATE decision_model",
]


def test_the_server_refuses_to_change_what_is_written(url: str, log: ChainedLog) -> None:
    for statement in WRITES:
        with pytest.raises(LogUnavailable, match=r"append-only|follows|erasure|foreign key|unique"):
            run(url, statement)
    assert verdict(url).is_sound


ATTACKS: list[tuple[str, str, int]] = [
    ("UPDATE decision_personal SET data = replace(data, 'R01', 'R02') WHERE sequence = 3", "personal", 3),
    ("DELETE FROM decision_personal WHERE sequence = 3", "personal", 3),
    ("UPDATE decision_entry SET content = replace(content, 'decline', 'approve') WHERE sequence = 3",
     "changed", 3),
    ("DELETE FROM decision_personal WHERE sequence = 3; DELETE FROM decision_entry WHERE sequence = 3",
     "missing", 3),
    ("UPDATE decision_entry SET request_id = 'x' WHERE sequence = 3", "index", 3),
    ("UPDATE decision_model SET data = 'x'", "model", 1),
    ("ALTER TABLE decision_entry DISABLE TRIGGER decision_entry_stays", "database", 0),
]  # fmt: skip


@pytest.mark.parametrize(("attack", "kind", "sequence"), ATTACKS)
def test_an_edit_by_a_superuser_is_found(
    url: str, log: ChainedLog, attack: str, kind: str, sequence: int
) -> None:
    run(url, f"{OFF} {attack};")
    first = verdict(url).problems[0]
    assert (first.kind, first.sequence) == (kind, sequence)


def test_a_connection_that_the_server_ends_is_made_anew_and_nothing_is_lost(
    home: Path, log: ChainedLog
) -> None:
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
    psql(home, f"{end} AND application_name = 'bimetal decision log';".encode())
    with pytest.raises(LogUnavailable, match="cannot be used now"):
        log.write([record(5)])
    with pytest.raises(LogUnavailable):
        log.head()
    assert log.write([record(5)])[0].sequence == 6 and log.head()[0] == 6
    assert verify(log).is_sound


def test_a_writer_who_holds_the_turn_too_long_makes_others_refuse(
    url: str, log: ChainedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bimetal.service.log import postgresql

    quick = postgresql.SETTINGS.replace("lock_timeout=5000", "lock_timeout=50")
    monkeypatch.setattr(postgresql, "SETTINGS", quick)
    holder = PostgresqlStore(url)
    holder.begin()
    with closing(open_log(url)) as other:
        with pytest.raises(LogUnavailable, match="lock timeout"):
            other.write([record(5)])
        holder.rollback()
        assert other.write([record(5)])[0].sequence == 6
    holder.close()


def test_a_database_without_a_log_and_a_server_that_is_not_there_are_named(url: str) -> None:
    with pytest.raises(LogUnavailable, match="there is no decision log"):
        open_log(url, creates=False)
    with pytest.raises(LogUnavailable, match="cannot be used now"):
        open_log("postgresql+psycopg://nobody:secret@/base?host=/nowhere")
    with pytest.raises(DataError, match="is a URL"):
        open_log("postgresql://host:port/base")


def test_a_password_is_never_shown() -> None:
    with pytest.raises(LogUnavailable) as caught:
        open_log("postgresql+psycopg://nobody:hunter2@/base?host=/nowhere")
    assert "hunter2" not in str(caught.value) and "nobody" in str(caught.value)


def test_a_commit_waits_for_the_disk_whatever_the_server_says(home: Path, url: str) -> None:
    psql(home, b"ALTER ROLE postgres SET synchronous_commit = off;")
    store = PostgresqlStore(url)
    assert store.ask("SHOW synchronous_commit") == [("on",)]
    store.close()
    psql(home, b"ALTER ROLE postgres RESET synchronous_commit;")


def test_a_writer_killed_at_any_moment_loses_no_acknowledged_decision(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    from kill_nine import rounds

    found = rounds(url, n_kills=2, seed=0)
    assert found.n_acknowledged > 5 and found.n_missing == 0 and found.n_broken == 0


def test_a_role_that_may_only_read_and_append_is_enough(
    home: Path, url: str, log: ChainedLog
) -> None:
    base = url.rpartition("/")[2] if "?" not in url else url.split("@/")[1].partition("?")[0]
    psql(home, b"DROP ROLE IF EXISTS scorer; CREATE ROLE scorer LOGIN;")
    run(url, "GRANT SELECT, INSERT ON decision_entry, decision_personal, decision_model TO scorer")
    address = f"postgresql+psycopg://scorer@/{base}?host={home}"
    with closing(open_log(address)) as scorer:
        scorer.archive_model(MODEL_HASH, MODEL)
        assert scorer.write([record(5)])[0].sequence == 6
        with pytest.raises(LogUnavailable, match="permission denied"):
            scorer.erase("request-0", "why")
    assert verdict(url).is_sound and not log.find("request-0")[0].is_erased
