"""The chain: how a record becomes an entry, and an entry's stored parts become an entry again.

``hash = sha256(previous || content)``: `previous` are the 32 bytes of the hash before (zeros before the first),
`content` the canonical JSON of the record's chained fields with ``kind``, ``sequence``, ``time``, ``clock`` and, of a
decision, ``commitment = sha256(salt || personal)``: what describes a person (row, reasons, warnings) is committed to
under 16 random bytes and stored beside the chain. With salt and personal part erased nothing can be told of them,
and every hash still holds.
"""

import hashlib
import json
from typing import Any

from bimetal.service.log.canonical import encode, restored
from bimetal.service.log.record import PERSONAL, Entry, Erasure, Record

__all__ = ["SALT_BYTES", "chained", "committed", "opened", "personal_of", "sealed"]

SALT_BYTES = 16


def chained(previous: str, content: str) -> str:
    """Return the hash of an entry: sha256 of the 32 bytes before and the content."""
    return hashlib.sha256(bytes.fromhex(previous) + content.encode("ascii")).hexdigest()


def committed(salt: bytes, personal: str) -> str:
    """Return what stands for a personal part in the chain: sha256 of the salt and it."""
    return hashlib.sha256(salt + personal.encode("ascii")).hexdigest()


def sealed(
    record: Record | Erasure,
    sequence: int,
    time: str,
    previous: str,
    salt: bytes,
    clock: str | None = None,
) -> Entry:
    """Return the entry of a record.

    Parameters
    ----------
    salt : bytes
        16 random bytes; an erasure needs none.
    """
    values = {**record.values, "clock": clock, "sequence": sequence, "time": time}
    kept = salt if isinstance(record, Record) else None
    if isinstance(record, Record):
        values["commitment"] = committed(salt, record.personal)
    content = encode(values)
    return Entry(sequence, time, record, chained(previous, content), previous, content, kept, clock)


def opened(
    content: str, previous: str, hash: str, salt: bytes | None, personal: str | None
) -> Entry:
    """Return the entry that was stored; whether its hashes hold is another question.

    Raises
    ------
    ValueError, KeyError, TypeError
        When the parts are not of an entry.
    """
    values = json.loads(content)
    kind, sequence, time = values.pop("kind"), values.pop("sequence"), values.pop("time")
    clock = values.pop("clock")
    record: Record | Erasure
    if kind == "erasure":
        record = Erasure(**{**values, "erased": tuple(values["erased"])})
    else:
        del values["commitment"]
        values["probability"] = float.fromhex(values["probability"])
        record = Record(**values, **personal_of(personal))
    return Entry(sequence, time, record, hash, previous, content, salt, clock)


def personal_of(stored: str | None) -> dict[str, Any]:
    """Return row, reasons and warnings of the written form; empty ones when they were erased."""
    if stored is None:
        return {**dict.fromkeys(PERSONAL, ()), "row": b""}
    inner = restored(json.loads(stored))
    return {**inner, "row": bytes.fromhex(inner["row"])}
