"""What a decision log holds, and what it promises to those who write to it.

A `Record` is one decision as it was answered. Its entry in the log chains it to the one before (see
`bimetal.service.log.chain`), so that no later change goes unseen. `DecisionLog` is what a service holds;
`open_log` gives one.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, Protocol

from bimetal.errors import BimetalError, DataError
from bimetal.service.log.canonical import of_list

__all__ = [
    "CHAINED",
    "GENESIS",
    "DecisionLog",
    "DuplicateRequest",
    "Entry",
    "Erasure",
    "LogUnavailable",
    "Record",
    "Role",
]

GENESIS = "0" * 64
"""What stands for the hash before the first entry."""
Role = Literal["champion", "shadow"]
PERSONAL = ("reasons", "row", "warnings")
"""The fields that describe a person: committed to by the chain, stored beside it, and erasable."""


class LogUnavailable(BimetalError, RuntimeError):  # noqa: N818
    """The log cannot take a decision now (a full disk, a lost server, too many waiting): answer none."""


class DuplicateRequest(BimetalError, ValueError):  # noqa: N818
    """A request id that the log knows came again with other content, or after its erasure.

    Attributes
    ----------
    first : Entry
        What the log has under that id; with sequence 0 when the other content came in the same call, of
        which nothing is written.
    """

    def __init__(self, message: str, first: "Entry") -> None:
        super().__init__(message)
        self.first = first


@dataclass(frozen=True)
class Record:
    """One decision of one model, as it was answered.

    Parameters
    ----------
    request_id : str
        Of the caller or made for him, 1 to 200 printable characters; it stays after an erasure, so that it may not
        itself name a person.
    model_name, model_id : str
        The name it was served under, and the id of the Program.
    policy_id : str or None
        Of the policy (cut-off, texts) that decided.
    file_hash : str
        sha256 of the model file, 64 hexadecimal digits: by it the log finds the bytes again.
    role : {"champion", "shadow"}
        A champion's decision was answered; a shadow's was only written down.
    row : bytes
        The raw row, float32, little-endian.
    points : int or None
        The score in whole points.
    probability : float
        Of default; a float32 value.
    decision : str or None
        "approve", "refer", "decline".
    reasons : tuple
        The principal reasons: dataclasses, mappings or texts. Empty when none were asked for.
    key_id : str or None
        Which API key asked.
    as_of : str or None
        The day for which the caller asked.
    warnings : tuple
        What was odd about the row.

    Raises
    ------
    DataError
        When a field cannot be written down exactly.

    Examples
    --------
    >>> row = struct.pack("<2f", 41.0, 2500.0)
    >>> record = Record("r-1", "cards", "ab12", None, "0" * 64, "champion", row, 61250, 0.03125, "approve")
    >>> record.personal
    '{"reasons":[],"row":"0000244200401c45","warnings":[]}'
    """

    request_id: str
    model_name: str
    model_id: str
    policy_id: str | None
    file_hash: str
    role: Role
    row: bytes
    points: int | None
    probability: float
    decision: str | None
    reasons: tuple[Any, ...] = ()
    key_id: str | None = None
    as_of: str | None = None
    warnings: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        for what, name in (("request id", self.request_id), ("model name", self.model_name)):
            if not (isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable()):
                raise DataError(f"a {what} has 1 to 200 printable characters, got {name!r:.80}")
        if self.role not in ("champion", "shadow"):
            raise DataError(f"a role is champion or shadow, got {self.role!r:.80}")
        if len(self.row) % 4:
            raise DataError(f"a row is float32, 4 bytes a number; got {len(self.row)} bytes")
        if not _is_float32(self.probability):
            raise DataError(f"a probability is a finite float32, got {self.probability!r}")

    @property
    def slot(self) -> str:
        """What a request id may have one of: "champion", or "shadow" and the name of its model."""
        return "champion" if self.role == "champion" else f"shadow {self.model_name}"

    @cached_property
    def personal(self) -> str:
        """Canonical JSON of row, reasons and warnings."""
        reasons, warnings = of_list(self.reasons), of_list(self.warnings)
        return f'{{"reasons":{reasons},"row":"{self.row.hex()}","warnings":{warnings}}}'

    @cached_property
    def values(self) -> dict[str, Any]:
        """The other fields, as an entry's content has them."""
        named = {name: getattr(self, name) for name in CHAINED}
        return {**named, "kind": "decision", "probability": float(self.probability).hex()}

    @classmethod
    def draft(cls, chained: Sequence[Any], personal: str) -> "Record":
        """Return a record of its `CHAINED` fields and the written form of the others.

        It can be written down and compared; its own row, reasons and warnings stay empty.
        """
        made = cls(**dict(zip(CHAINED, chained, strict=True)), row=b"")
        made.__dict__["personal"] = personal
        return made

    def is_same(self, other: "Record") -> bool:
        """Tell whether two records would be written down alike."""
        return self.values == other.values and self.personal == other.personal


CHAINED = tuple(f.name for f in fields(Record) if f.name not in PERSONAL)
"""The fields of a record that the chain holds as they are."""


@dataclass(frozen=True)
class Erasure:
    """What says that the personal part of a request's entries was removed, and why.

    Attributes
    ----------
    request_id : str
        Whose.
    erased : tuple of int
        Sequence numbers of the entries.
    reason : str
        The legal ground; no personal data.
    who : str or None
        Who ordered it.
    """

    request_id: str
    erased: tuple[int, ...]
    reason: str
    who: str | None = None

    @property
    def slot(self) -> str:
        """A request is erased once."""
        return "erasure"

    @property
    def values(self) -> dict[str, Any]:
        """The fields, as an entry's content has them."""
        return {**vars(self), "kind": "erasure"}


@dataclass(frozen=True)
class Entry:
    """One link of the chain.

    Attributes
    ----------
    sequence : int
        From 1, without a gap: the order.
    time : str
        UTC, ISO 8601 with microseconds; never before that of the entry before.
    record : Record or Erasure
        What was written. Of an erased decision `row` is empty, as are `reasons` and `warnings`.
    hash, previous : str
        64 hexadecimal digits: of this entry, and of the one before.
    content : str
        Canonical JSON, as hashed.
    salt : bytes or None
        What hides the personal part in its commitment; None when it was erased, or there is none.
    clock : str or None
        What the clock said, when it was behind the entry before.
    """

    sequence: int
    time: str
    record: Record | Erasure
    hash: str
    previous: str
    content: str
    salt: bytes | None = None
    clock: str | None = None

    @property
    def is_erased(self) -> bool:
        """Whether the personal part of a decision is gone."""
        return isinstance(self.record, Record) and self.salt is None


class DecisionLog(Protocol):
    """An append-only, hash-chained log. Any thread may call it; several processes may share one."""

    async def append(self, records: Sequence[Record]) -> list[Entry]:
        """Write records, all or none, and return their entries once they are on the disk.

        A record that the log has already (same request id, role and content) gives its first entry.

        Raises
        ------
        LogUnavailable
            When they are not written; a later call may succeed.
        DuplicateRequest
            When a request id came with other content before (`.first` is that), or was erased.
        DataError
            When the model of a record was not archived first.
        """
        ...

    def find(self, request_id: str) -> list[Entry]:
        """Return the entries of a request: its decision, those of shadows, an erasure."""
        ...

    def entries(self, start: int = 1, stop: int | None = None) -> Iterator[Entry]:
        """Yield entries with ``start <= sequence < stop``."""
        ...

    def archive_model(self, file_hash: str, data: bytes) -> None:
        """Keep the bytes of a model file, once for each hash."""
        ...

    def model(self, file_hash: str) -> bytes:
        """Return the bytes of an archived model, checked against their hash."""
        ...

    def head(self) -> tuple[int, str]:
        """Return sequence and hash of the last entry; (0, `GENESIS`) of an empty log."""
        ...

    def close(self) -> None:
        """Write what waits, and let go."""
        ...


def _is_float32(value: float) -> bool:
    if not math.isfinite(value):
        return False
    try:
        return bool(struct.unpack("<f", struct.pack("<f", value))[0] == value)
    except OverflowError:
        return False
