"""Decision logs for the tests: toy records, logs on each database, and a PostgreSQL of their own."""

import hashlib
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bimetal.errors import MissingToolError
from bimetal.export.sql.places import cluster, psql
from bimetal.export.tools import command, require
from bimetal.service.log import ChainedLog, Record, open_log

MODEL = b"the bytes of a model"
MODEL_HASH = hashlib.sha256(MODEL).hexdigest()
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
REASON = {
    "group": "income", "code": "R01", "text": "Income too low for the amount", "points": -12.5,
    "columns": ("income", "amount"),
}  # fmt: skip


def record(number: int = 0, **given: Any) -> Record:
    """A record whose content depends on its number."""
    row = struct.pack("<3f", number, 0.5, float("nan"))
    made = Record(
        f"request-{number}", "cards", "ab" * 32, "cd" * 32, MODEL_HASH, "champion", row,
        60_000 + number, 0.03125, "decline", (REASON,), "key-1", "2026-11-28", ("housing: unknown",),
    )  # fmt: skip
    return replace(made, **given)


class Clock:
    """A clock that moves when it is told to, and a second when it is read."""

    def __init__(self) -> None:
        self.now, self._lock = NOON, threading.Lock()

    def __call__(self) -> datetime:
        with self._lock:
            self.now += timedelta(seconds=1)
            return self.now


def filled(url: str, n: int, **options: Any) -> ChainedLog:
    """A log with `n` decisions, one a transaction."""
    log = open_log(url, clock=Clock(), **options)
    log.archive_model(MODEL_HASH, MODEL)
    for i in range(n):
        log.write([record(i)])
    return log


def keeper_of(parent: int) -> int:
    """The process id of the keeper that a process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            has_parent = (path / "stat").read_text().rpartition(")")[2].split()[1] == str(parent)
            if has_parent and "log.keeper" in (path / "cmdline").read_text():
                found.append(int(path.name))
        except OSError:  # it has ended
            continue
    (one,) = found
    return one


@contextmanager
def server() -> Iterator[Path]:
    """A PostgreSQL of its own, or a skip that names what is missing."""
    pytest.importorskip("psycopg")
    pytest.importorskip("sqlalchemy")
    tools = [command(name, "apt-get install postgresql", "usr/lib/postgresql/*/bin")
             for name in ("initdb", "pg_ctl", "psql")]  # fmt: skip
    try:
        require(tools, "a decision log in PostgreSQL")
    except MissingToolError as error:
        pytest.skip(str(error))
    with cluster() as home:
        yield home


def database(home: Path, name: str) -> str:
    """The address of a new database in a cluster."""
    psql(home, f'CREATE DATABASE "{name}";'.encode())
    return f"postgresql+psycopg://postgres@/{name}?host={home}"
