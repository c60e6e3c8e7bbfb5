"""Letters between a service's processes and the keeper of its log: records there, entries back.

Each is a length (4 bytes, big-endian) and msgpack. What describes a person travels as it is written down, so that
the keeper has less to do than who answers: it writes for all of them.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bimetal.errors import BimetalError, DataError
from bimetal.service.log.chain import personal_of
from bimetal.service.log.record import (
    CHAINED,
    DuplicateRequest,
    Entry,
    Erasure,
    LogUnavailable,
    Record,
)

__all__ = ["Mailbag", "read_outcome", "read_records", "written_outcome", "written_records"]

_LENGTH = struct.Struct(">I")
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


class Mailbag:
    """Puts letters together from what came in pieces.

    Examples
    --------
    >>> bag = Mailbag()
    >>> letter = written_outcome(LogUnavailable("no room"), [])
    >>> list(bag.take(letter[:9])), [str(read_outcome(body, [])) for body in bag.take(letter[9:])]
    ([], ['no room'])
    """

    def __init__(self) -> None:
        self._bytes = bytearray()

    def take(self, data: bytes) -> Iterator[bytes]:
        """Yield the bodies of the letters that are whole."""
        have = self._bytes
        have += data
        start = 0
        while len(have) - start >= _LENGTH.size:
            begin = start + _LENGTH.size
            end = begin + _LENGTH.unpack_from(have, start)[0]
            if len(have) < end:
                break
            yield bytes(have[begin:end])
            start = end
        del have[:start]


def written_records(records: Sequence[Record]) -> bytes:
    """Return a letter of records.

    Raises
    ------
    DataError
        When a record holds what cannot be written down.
    """
    try:
        return _letter([_fields(record) for record in records])
    except (ValueError, OverflowError) as error:
        raise DataError(f"the log takes JSON values, got one that is none: {error}") from None


def read_records(body: bytes) -> list[Record]:
    """Return the records of a letter, as drafts."""
    return [Record.draft(chained, personal) for *chained, personal in _decode(body)]


def written_outcome(outcome: Sequence[Entry] | Exception, records: Sequence[Record]) -> bytes:
    """Return a letter of what became of records: their entries, or the error.

    A record that was written just now is not sent back.
    """
    if isinstance(outcome, DuplicateRequest):
        return _letter(["duplicate", str(outcome), _of_entry(outcome.first, None)])
    if isinstance(outcome, Exception):
        return _letter(_told(outcome))
    entries = [_of_entry(*pair) for pair in zip(outcome, records, strict=True)]
    return _letter(["entries", entries])


def read_outcome(body: bytes, records: Sequence[Record]) -> list[Entry] | BimetalError:
    """Return the entries of the records that were sent, or the error, which is not raised."""
    kind, told, *more = _decode(body)
    if kind == "entries":
        return [_entry(*pair) for pair in zip(told, records, strict=True)]
    if kind == "duplicate":
        return DuplicateRequest(told, _entry(more[0], None))
    return DataError(told) if kind == "data" else LogUnavailable(told)


def _told(error: Exception) -> list[str]:
    """Return kind and words of an error; of one that nobody foresaw the type only: its words may be data."""
    if isinstance(error, DataError):
        return ["data", str(error)]
    is_known = isinstance(error, LogUnavailable)
    return ["unavailable", str(error) if is_known else f"it failed ({type(error).__name__})"]


def _letter(value: Any) -> bytes:
    body = _encode(value)
    return _LENGTH.pack(len(body)) + body


def _fields(record: Record) -> list[Any]:
    return [*(getattr(record, name) for name in CHAINED), record.personal]


def _of_entry(entry: Entry, sent: Record | None) -> list[Any]:
    record = entry.record
    told: Any = None
    if isinstance(record, Erasure):
        told = record.values
    elif record is not sent:
        told = _fields(record)
    return [entry.sequence, entry.time, told, entry.hash, entry.previous, entry.content, entry.salt,
            entry.clock]  # fmt: skip


def _entry(values: list[Any], sent: Any) -> Entry:
    sequence, time, told, *rest = values
    record = sent
    if isinstance(told, dict):
        del told["kind"]
        record = Erasure(**{**told, "erased": tuple(told["erased"])})
    elif told is not None:
        *chained, personal = told
        record = Record(**dict(zip(CHAINED, chained, strict=True)), **personal_of(personal))
    return Entry(sequence, time, record, *rest)
