"""One transaction of the log: what becomes of the appends and erasures that wait, given the head.

This decides; it writes nothing. A record that is known already gives its first entry, one that contradicts what
is known is refused, the others are chained in the order in which they came.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bimetal.errors import DataError
from bimetal.service.log.chain import SALT_BYTES, sealed
from bimetal.service.log.record import DuplicateRequest, Entry, Erasure, Record

__all__ = ["ErasureOrder", "Group", "stamp"]


@dataclass(frozen=True)
class ErasureOrder:
    """The wish that the personal part of a request be removed: see `Erasure`."""

    request_id: str
    reason: str
    who: str | None


@dataclass
class Group:
    """What one transaction adds to the log.

    Attributes
    ----------
    sequence, time, hash : int, str, str
        Of the last entry, in the log or here.
    now : datetime
        What the clock says.
    known : dict
        Entries in the log of the requests in question, by request id and slot.
    added : list of Entry
        To be written.
    erased : list of int
        Sequence numbers whose personal parts are to be removed.
    """

    sequence: int
    time: str
    hash: str
    now: datetime
    known: dict[tuple[str, str], Entry]
    added: list[Entry] = field(default_factory=list)
    erased: list[int] = field(default_factory=list)

    def append(self, records: Sequence[Record]) -> list[Entry]:
        """Chain records, all of them or none.

        Raises
        ------
        DuplicateRequest
            When one contradicts what is known of its request.
        """
        fresh: dict[tuple[str, str], Record] = {}
        for record in records:
            self._check(record, fresh)
        for key, record in fresh.items():
            self.known[key] = self._chain(record)
        return [self.known[record.request_id, record.slot] for record in records]

    def _check(self, record: Record, fresh: dict[tuple[str, str], Record]) -> None:
        key = (record.request_id, record.slot)
        erasure, first = self.known.get((record.request_id, "erasure")), self.known.get(key)
        if erasure is not None:
            raise DuplicateRequest(
                f"request '{record.request_id}' was erased (entry {erasure.sequence}): its id is not used again",
                erasure,
            )
        before = first.record if first else fresh.setdefault(key, record)
        if before is not record and not (isinstance(before, Record) and before.is_same(record)):
            where = f"entry {first.sequence}" if first else "the same call"
            raise DuplicateRequest(
                f"request '{record.request_id}' ({record.slot}) is known with other content ({where}): a new "
                "application needs a new request id",
                first or Entry(0, "", before, "", "", ""),
            )

    def erase(self, order: ErasureOrder) -> Entry:
        """Chain an erasure.

        Raises
        ------
        DataError
            When the log knows no such request, or it was erased already.
        """
        mine = [entry for (name, _), entry in self.known.items() if name == order.request_id]
        if not mine:
            raise DataError(
                f"the log has no request '{order.request_id}'; look at `bimetal audit show`"
            )
        if any(isinstance(entry.record, Erasure) for entry in mine):
            raise DataError(f"request '{order.request_id}' was erased already")
        numbers = tuple(sorted(entry.sequence for entry in mine))
        entry = self._chain(Erasure(order.request_id, numbers, order.reason, order.who))
        self.known[order.request_id, "erasure"] = entry
        self.erased += numbers
        return entry

    def _chain(self, record: Record | Erasure) -> Entry:
        reading = stamp(self.now)
        # The order is the sequence; a clock that was set back is noted and never believed.
        clock = reading if reading < self.time else None
        time, salt = max(reading, self.time), os.urandom(SALT_BYTES)
        entry = sealed(record, self.sequence + 1, time, self.hash, salt, clock)
        self.sequence, self.time, self.hash = entry.sequence, entry.time, entry.hash
        self.added.append(entry)
        return entry


def stamp(moment: datetime) -> str:
    """Return a moment as entries have it: UTC, microseconds; as texts they are in order.

    Examples
    --------
    >>> stamp(datetime(2026, 11, 28, 12, tzinfo=UTC))
    '2026-11-28T12:00:00.000000+00:00'
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
