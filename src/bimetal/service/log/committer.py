"""Committer: writes what came together as one transaction, and says what became of each.

What fails is undone as a whole and refused with `LogUnavailable`; the next group tries again, with a new
connection, so that a log recovers by itself when there is room again.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from bimetal.errors import DataError
from bimetal.service.log import store as stores
from bimetal.service.log.group import ErasureOrder, Group
from bimetal.service.log.record import GENESIS, DuplicateRequest, LogUnavailable, Record
from bimetal.service.log.store import Store, entry_of, stored

__all__ = ["Committer", "Work"]

Work = Sequence[Record] | ErasureOrder


class Committer:
    """The one who writes; to be called by one thread at a time.

    Parameters
    ----------
    connect : callable
        Returns a new `Store`.
    clock : callable
        Returns an aware datetime.
    """

    def __init__(self, connect: Callable[[], Store], clock: Callable[[], datetime]) -> None:
        self._connect, self._clock = connect, clock
        self._store: Store | None = None
        self._archived: set[str] = set()
        self._last = (0, GENESIS)  # of what was acknowledged

    def write(self, works: Sequence[Work]) -> list[Any]:
        """Return what each work gets: entries (of an erasure, an entry), or an error that is not raised."""
        try:
            store = self._store = self._store or self._connect()
            store.begin()
            group = self._group(store, works)
            outcomes = [self._outcome(store, group, work) for work in works]
            _put(store, group)
            store.commit()
        except Exception as error:
            self._drop()
            return [error] * len(works)
        self._last = (group.sequence, group.hash)
        return outcomes

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()

    def _group(self, store: Store, works: Sequence[Work]) -> Group:
        sequence, time, hash = stores.head(store)
        self._require_growth(store, sequence, hash)
        known = {}
        for request_id in store.seen(sorted(set().union(*map(_request_ids, works)))):
            for row in store.ask(stores.OF_REQUEST, request_id=request_id):
                entry = entry_of(row)
                known[request_id, entry.record.slot] = entry
        return Group(sequence, time, hash, self._clock(), known)

    def _require_growth(self, store: Store, sequence: int, head: str) -> None:
        """Refuse to go on from a log that lacks what was acknowledged: a backup put in its place, say."""
        last, hash = self._last
        if sequence > last > 0:  # others wrote: is ours still among them?
            ((head,),) = store.ask(stores.HASH_AT, sequence=last) or (("",),)
        if last and (sequence < last or head != hash):
            raise LogUnavailable(
                f"the decision log ends at entry {sequence}, but entry {last} with hash {hash[:12]}… was "
                "acknowledged: it was cut or replaced; put it back, then start the service again"
            )

    def _outcome(self, store: Store, group: Group, work: Work) -> Any:
        try:
            if isinstance(work, ErasureOrder):
                return group.erase(work)
            for file_hash in {record.file_hash for record in work} - self._archived:
                self._require_model(store, file_hash)
            return group.append(work)
        except (DataError, DuplicateRequest) as error:
            return error

    def _require_model(self, store: Store, file_hash: str) -> None:
        if not store.ask(stores.HAS_MODEL, file_hash=file_hash):
            raise DataError(
                f"a decision can be replayed only with its model: archive_model('{file_hash:.12}…', bytes) first"
            )
        self._archived.add(file_hash)

    def _drop(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            with suppress(LogUnavailable):
                store.rollback()
            store.close()


def _request_ids(work: Work) -> set[str]:
    if isinstance(work, ErasureOrder):
        return {work.request_id}
    return {record.request_id for record in work}


def _put(store: Store, group: Group) -> None:
    if group.added:
        store.put(stores.ADD_ENTRY, [stored(entry) for entry in group.added])
    personal = [
        {"sequence": entry.sequence, "salt": entry.salt, "data": entry.record.personal}
        for entry in group.added
        if isinstance(entry.record, Record)
    ]
    if personal:
        store.put(stores.ADD_PERSONAL, personal)
    if group.erased:
        store.put(stores.ERASE, [{"sequence": sequence} for sequence in group.erased])
