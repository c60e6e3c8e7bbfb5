"""ChainedLog: a decision log on any store. One `Writer` appends; reading has a connection of its own."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from bimetal.errors import DataError
from bimetal.service.log import store as stores
from bimetal.service.log.group import ErasureOrder
from bimetal.service.log.record import Entry, LogUnavailable, Record
from bimetal.service.log.store import CHUNK, Row, Store, entry_of, read
from bimetal.service.log.writer import MAX_WAITING, Writer

__all__ = ["ChainedLog"]


class ChainedLog:
    """A `DecisionLog`; `bimetal.service.log.open_log` makes one.

    Parameters
    ----------
    connect : callable
        Given whether it may create the log, returns a new `Store`.
    clock : callable, optional
        Returns an aware datetime.
    max_waiting : int
        How many records may wait to be written.

    Raises
    ------
    LogUnavailable, DataError
        What `connect` raises.
    """

    def __init__(
        self,
        connect: Callable[[bool], Store],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._connect = connect
        self._reader: Store | None = connect(True)
        self._reading, self._is_closed = threading.Lock(), False
        self._writer = Writer(lambda: connect(False), clock, max_waiting)

    async def append(self, records: Sequence[Record]) -> list[Entry]:
        """Write records, all or none: see `DecisionLog.append`."""
        done: list[Entry] = await self._writer.take(list(records))
        return done

    def write(self, records: Sequence[Record]) -> list[Entry]:
        """Do what `append` does, for callers without an event loop."""
        done: list[Entry] = self._writer.take_now(list(records))
        return done

    def erase(self, request_id: str, reason: str, who: str | None = None) -> Entry:
        """Remove the personal part of a request's entries, and chain an entry that says so.

        Raises
        ------
        DataError
            When the log knows no such request, or it was erased already, or no reason is given.
        LogUnavailable
            When nothing was erased; or when all was, but the database's own files still hold old bytes.
        """
        if not reason.strip():
            raise DataError("an erasure needs a reason: the legal ground, without personal data")
        entry: Entry = self._writer.take_now(ErasureOrder(request_id, reason, who))
        self._read(lambda store: store.wipe())
        return entry

    def find(self, request_id: str) -> list[Entry]:
        """Return the entries of a request, in order."""
        rows = self._read(lambda store: store.ask(stores.OF_REQUEST, request_id=request_id))
        return [entry_of(row) for row in rows]

    def entries(self, start: int = 1, stop: int | None = None) -> Iterator[Entry]:
        """Yield entries with ``start <= sequence < stop``."""
        return (entry_of(row) for row in self.rows(start, stop))

    def rows(self, start: int = 1, stop: int | None = None) -> Iterator[Row]:
        """Yield entries as they are stored, whatever is in them."""
        at = start
        while rows := self._read(lambda store, at=at: read(store, at, stop)):
            yield from rows
            if len(rows) < CHUNK:
                return
            at = rows[-1][0] + 1

    def since(self, moment: str) -> int:
        """Return the sequence of the first entry whose time is not before `moment` (see `stamp`)."""
        low, high = 1, self.head()[0] + 1
        while low < high:
            middle = (low + high) // 2
            found = self._read(lambda store, at=middle: store.ask(stores.TIME_AT, sequence=at))
            if found and found[0][0] >= moment:
                high = middle
            else:
                low = middle + 1
        return low

    def archive_model(self, file_hash: str, data: bytes) -> None:
        """Keep the bytes of a model file, once for each hash.

        Raises
        ------
        DataError
            When they have another sha256.
        LogUnavailable
            When they cannot be written now.
        """
        came = hashlib.sha256(data).hexdigest()
        if came != file_hash:
            raise DataError(f"a model with sha256 {file_hash} expected, got bytes with {came}")
        store = self._connect(False)
        try:
            store.begin()
            if not store.ask(stores.HAS_MODEL, file_hash=file_hash):
                store.put(stores.ADD_MODEL, [{"file_hash": file_hash, "data": data}])
            store.commit()
        finally:
            store.close()

    def model(self, file_hash: str) -> bytes:
        """Return the bytes of an archived model.

        Raises
        ------
        DataError
            When there is none of that hash, or its bytes were changed.
        """
        found = self._read(lambda store: store.ask(stores.MODEL, file_hash=file_hash))
        if not found:
            raise DataError(f"the log has no model with sha256 {file_hash}")
        data = bytes(found[0][0])
        if hashlib.sha256(data).hexdigest() != file_hash:
            raise DataError(f"the archived model {file_hash} was changed: its sha256 is another")
        return data

    def head(self) -> tuple[int, str]:
        """Return sequence and hash of the last entry."""
        sequence, _, hash = self._read(stores.head)
        return sequence, hash

    def check(self) -> list[str]:
        """Return what is wrong with the database itself: pages, indexes, triggers that are gone."""
        found: list[str] = self._read(lambda store: store.check())
        return found

    def close(self) -> None:
        """Write what waits, and let go."""
        self._writer.close()
        with self._reading:
            self._is_closed = True
            if self._reader is not None:
                self._reader.close()

    def _read(self, question: Callable[..., Any]) -> Any:
        with self._reading:
            if self._is_closed:
                raise LogUnavailable("the decision log is closed")
            if self._reader is None:
                self._reader = self._connect(False)
            try:
                return question(self._reader)
            except LogUnavailable:
                self._reader.close()
                self._reader = None
                raise
