"""What a database must offer to hold a decision log, and the few statements that all of them understand.

Three tables: `decision_entry` (the chain), `decision_personal` (salt and personal part of each decision) and
`decision_model` (model files by their hash). Each database forbids UPDATE and DELETE by triggers, except that a
personal part goes once an erasure entry stands for it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from bimetal.service.log.chain import opened
from bimetal.service.log.record import GENESIS, Entry, Erasure, LogUnavailable

__all__ = ["CHUNK", "Row", "Store", "entry_of", "missing_triggers", "read", "stored"]

CHUNK = 1_000
"""Entries read at once: a long reader holds no snapshot open, so that a checkpoint is never kept waiting."""

Row = tuple[Any, ...]

HEAD = "SELECT sequence, time, hash FROM decision_entry ORDER BY sequence DESC LIMIT 1"
ALL = """
    SELECT e.sequence, e.kind, e.request_id, e.slot, e.time, e.content, e.previous, e.hash, p.salt, p.data
    FROM decision_entry e LEFT JOIN decision_personal p ON p.sequence = e.sequence
"""
RANGE = f"{ALL} WHERE e.sequence >= :start AND e.sequence < :stop ORDER BY e.sequence LIMIT :n"
OF_REQUEST = f"{ALL} WHERE e.request_id = :request_id ORDER BY e.sequence"
TIME_AT = "SELECT time FROM decision_entry WHERE sequence = :sequence"
HASH_AT = "SELECT hash FROM decision_entry WHERE sequence = :sequence"
ADD_ENTRY = """
    INSERT INTO decision_entry (sequence, kind, request_id, slot, time, content, previous, hash)
    VALUES (:sequence, :kind, :request_id, :slot, :time, :content, :previous, :hash)
"""
ADD_PERSONAL = (
    "INSERT INTO decision_personal (sequence, salt, data) VALUES (:sequence, :salt, :data)"
)
ERASE = "DELETE FROM decision_personal WHERE sequence = :sequence"
MODEL = "SELECT data FROM decision_model WHERE file_hash = :file_hash"
HAS_MODEL = "SELECT 1 FROM decision_model WHERE file_hash = :file_hash"
ADD_MODEL = "INSERT INTO decision_model (file_hash, data) VALUES (:file_hash, :data)"


class Store(ABC):
    """One connection. Each method raises `LogUnavailable` when the database does not do as it is asked."""

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction as the only writer of all processes; wait a few seconds for it, no more."""

    @abstractmethod
    def commit(self) -> None:
        """End the transaction: when this returns, it is on the disk."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo the transaction, if there is one."""

    @abstractmethod
    def ask(self, query: str, **values: Any) -> list[Row]:
        """Return all rows of a query with ``:name`` for values."""

    @abstractmethod
    def put(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each of `rows`."""

    @abstractmethod
    def seen(self, request_ids: Sequence[str]) -> list[str]:
        """Return which of the request ids have entries."""

    @abstractmethod
    def check(self) -> list[str]:
        """Return what is wrong with the database itself, in words."""

    @abstractmethod
    def wipe(self) -> None:
        """Let bytes that were deleted go from the database's own files, as far as it can."""

    @abstractmethod
    def close(self) -> None:
        """Let go; an open transaction is undone. Never raises."""


def missing_triggers(present: Sequence[str], schema: str) -> list[str]:
    """Say which triggers of a schema are not present."""
    wanted = re.findall(r"CREATE (?:OR REPLACE )?TRIGGER (\w+)", schema)
    gone = [name for name in wanted if name not in present]
    return [f"the triggers {gone} that keep the log append-only are gone"] if gone else []


def stored(entry: Entry) -> dict[str, Any]:
    """Return an entry as the columns of `decision_entry`."""
    record = entry.record
    return {
        "sequence": entry.sequence,
        "kind": "erasure" if isinstance(record, Erasure) else "decision",
        "request_id": record.request_id,
        "slot": record.slot,
        "time": entry.time,
        "content": entry.content,
        "previous": entry.previous,
        "hash": entry.hash,
    }


def entry_of(row: Row) -> Entry:
    """Return the entry in a row of `ALL`.

    Raises
    ------
    LogUnavailable
        When its content is not that of an entry.
    """
    *_, content, previous, hash, salt, data = row
    try:
        return opened(content, previous, hash, salt, data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LogUnavailable(
            f"entry {row[0]} cannot be read ({type(error).__name__}): it was changed after it was written; "
            "see `bimetal audit verify`"
        ) from error


def read(store: Store, start: int, stop: int | None) -> list[Row]:
    """Return the next rows of `ALL`, at most `CHUNK`."""
    return store.ask(RANGE, start=start, stop=2**62 if stop is None else stop, n=CHUNK)


def head(store: Store) -> tuple[int, str, str]:
    """Return sequence, time and hash of the last entry."""
    found = store.ask(HEAD)
    return (found[0][0], found[0][1], found[0][2]) if found else (0, "", GENESIS)
