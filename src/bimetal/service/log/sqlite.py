"""The decision log in one SQLite file beside the service: nothing to install, durable at each commit.

Write-ahead log, ``synchronous=FULL``: a commit returns when its bytes were synced. Several processes may write
to one file; a local disk is needed (WAL does not work over network file systems).
"""

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from bimetal.errors import DataError, MissingToolError
from bimetal.service.log.record import LogUnavailable
from bimetal.service.log.store import Row, Store, missing_triggers

__all__ = ["SqliteStore"]

APPLICATION_ID = 0x626D6C67  # "bmlg"
VERSION = 1
LEAST = (3, 37)
"""The first SQLite with STRICT tables."""
PATIENCE_S = 5.0
MOST_AT_ONCE = 64
"""Rows of one INSERT; one statement for each number of rows is kept prepared."""
SEEN = """
    SELECT DISTINCT request_id FROM decision_entry
    WHERE request_id IN (SELECT value FROM json_each(:ids))
"""
FEW = "SELECT DISTINCT request_id FROM decision_entry WHERE request_id IN"
TRIGGERS = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"


class SqliteStore(Store):
    """A connection to a log in a file.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    creates : bool, default True
        Whether to make the log if there is none.
    is_read_only : bool, default False
        Whether nothing is ever to be written; works on a medium that cannot be written to.

    Raises
    ------
    LogUnavailable
        When there is no such log, or it cannot be opened now.
    DataError
        When the file is something else.
    MissingToolError
        When Python was built with an SQLite older than `LEAST`.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, creates: bool = True, is_read_only: bool = False
    ) -> None:
        self.path = Path(path)
        if sqlite3.sqlite_version_info < LEAST:
            raise MissingToolError(
                f"SQLite {'.'.join(map(str, LEAST))}", "a decision log in a file", "a newer Python"
            )
        if is_read_only or not creates:
            self._require_file()
        with self._translated():
            self._base = self._opened("ro" if is_read_only else "rwc" if creates else "rw")
            try:
                self._prepare(is_read_only)
            except BaseException:
                self._base.close()
                raise
        self._file, self._is_writer = self._identity(), False

    def _opened(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.path.resolve().as_uri()}?mode={mode}"
        base = sqlite3.connect(
            uri,
            uri=True,
            timeout=PATIENCE_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=4 * MOST_AT_ONCE,
        )
        if mode == "ro":
            with suppress(sqlite3.OperationalError):
                base.execute("PRAGMA schema_version")
                return base
            base.close()
            self._require_no_wal()
            # A medium that takes no lock file: then nobody can write to it either.
            return sqlite3.connect(f"{uri}&immutable=1", uri=True, check_same_thread=False)
        return base

    def _prepare(self, is_read_only: bool) -> None:
        base = self._base
        if not is_read_only:
            base.execute("PRAGMA synchronous = FULL")
            base.execute("PRAGMA fullfsync = ON")  # on macOS a plain fsync does not reach the disk
            base.execute("PRAGMA secure_delete = ON")
            if self._is_new():
                self._create()
        found = base.execute("PRAGMA application_id").fetchone()[0]
        version = base.execute("PRAGMA user_version").fetchone()[0]
        if found != APPLICATION_ID or version != VERSION:
            raise DataError(
                f"'{self.path}' is no decision log of version {VERSION} (application id {found:#x}, version "
                f"{version}); name another file"
            )

    def _is_new(self) -> bool:
        return bool(self._base.execute("PRAGMA schema_version").fetchone()[0] == 0)

    def _create(self) -> None:
        mode = _patient(self._base, "PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise LogUnavailable(
                f"'{self.path}': a write-ahead log cannot be had there ({mode}); use a local disk"
            )
        self._base.execute("BEGIN IMMEDIATE")
        if self._is_new():  # no other process was faster
            for statement in _statements(_schema()):
                self._base.execute(statement)
            self._base.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._base.execute(f"PRAGMA user_version = {VERSION}")
        self._base.execute("COMMIT")

    def begin(self) -> None:
        """Take the write lock of the file, which must still be the one that was opened."""
        if self._identity() != self._file:
            raise LogUnavailable(
                f"'{self.path}' was removed or replaced while it was in use: nothing more is written to what "
                "has no name; put the log back"
            )
        with self._translated():
            if not self._is_writer:
                # SQLite's own waiting sleeps up to 100 ms between tries: too long for those who take
                # turns. Once the lock is had, nothing else of a write-ahead log is waited for.
                self._base.execute("PRAGMA busy_timeout = 0")
                self._is_writer = True
            _patient(self._base, "BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit; with ``synchronous=FULL`` that syncs the write-ahead log."""
        with self._translated():
            self._base.execute("COMMIT")

    def rollback(self) -> None:
        """Undo what was not committed; a full disk may have done so already."""
        if self._base.in_transaction:
            with self._translated():
                self._base.execute("ROLLBACK")

    def ask(self, query: str, **values: Any) -> list[Row]:
        """Return all rows of a query."""
        with self._translated():
            return self._base.execute(query, values).fetchall()

    def put(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement for each row; those with VALUES take many rows at once.

        A statement lets go of Python's lock and waits for it again: one of many rows does so once.
        """
        with self._translated():
            if "VALUES" not in statement:
                self._base.executemany(statement, rows)
                return
            for start in range(0, len(rows), MOST_AT_ONCE):
                part = rows[start : start + MOST_AT_ONCE]
                many, names = _for_many(statement, len(part))
                self._base.execute(many, [row[name] for row in part for name in names])

    def seen(self, request_ids: Sequence[str]) -> list[str]:
        """Return which of the ids have entries."""
        if len(request_ids) > MOST_AT_ONCE:
            found = self.ask(SEEN, ids=json.dumps(list(request_ids)))
        else:  # each is looked up at once: a quarter of the time, where they are few
            places = ", ".join("?" * len(request_ids))
            with self._translated():
                found = self._base.execute(f"{FEW} ({places})", request_ids).fetchall()
        return [request_id for (request_id,) in found]

    def check(self) -> list[str]:
        """Return what SQLite's integrity check finds, and triggers that are gone."""
        found = [text for (text,) in self.ask("PRAGMA integrity_check(5)") if text != "ok"]
        present = [name for (name,) in self.ask(TRIGGERS)]
        return [*found, *missing_triggers(present, _schema())]

    def wipe(self) -> None:
        """Bring the write-ahead log into the file, where deleted bytes are zeros, and empty it.

        Raises
        ------
        LogUnavailable
            When a reader holds it back: the erasure stands, but old bytes are still in the file ``-wal``.
        """
        if self.ask("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise LogUnavailable(
                f"the erasure stands, but a reader keeps old bytes in '{self.path}-wal'; they go with "
                "the next erasure, or when the last process closes the log"
            )

    def close(self) -> None:
        """Close the connection."""
        with suppress(sqlite3.Error):
            self._base.close()

    def _require_file(self) -> None:
        if not self.path.is_file():
            raise LogUnavailable(f"there is no decision log '{self.path}'")

    def _require_no_wal(self) -> None:
        wal = self.path.with_name(f"{self.path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise LogUnavailable(
                f"'{self.path}' has entries in '{wal.name}' that cannot be read where nothing may be written; "
                "copy both files to a folder of your own"
            )

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 (before each commit: the fast one)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError) as error:  # a damaged file may hold anything as text
            raise LogUnavailable(
                f"the decision log '{self.path}' cannot be used now: {error}; look for a full or read-only "
                "disk, or a process that holds it"
            ) from error


def _schema() -> str:
    return (files("bimetal.service.log") / "sqlite.sql").read_text()


@lru_cache(maxsize=4 * MOST_AT_ONCE)
def _for_many(statement: str, n: int) -> tuple[str, list[str]]:
    """Return an INSERT of `n` rows in place of one, and the names of a row's values in order."""
    head, values = statement.split("VALUES")
    names = re.findall(r":(\w+)", values)
    row = f"({', '.join('?' * len(names))})"
    return f"{head}VALUES {', '.join([row] * n)}", names


def _patient(base: sqlite3.Connection, statement: str) -> sqlite3.Cursor:
    """Run a statement as soon as nobody else holds its lock."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return base.execute(statement)
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def _statements(script: str) -> Iterator[str]:
    """Cut a script into statements, as `sqlite3.complete_statement` understands them."""
    gathered = ""
    for line in script.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered
            gathered = ""
