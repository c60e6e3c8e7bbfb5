"""One line of the audit log: what is said of an update, and how it is written so that every byte counts."""

import hashlib
import json
from dataclasses import dataclass, fields
from typing import Any, Literal

from bimetal.diff import ProgramDiff
from bimetal.errors import FormatError
from bimetal.strict_json import parse_object

__all__ = ["GENESIS", "Entry", "Event", "counted", "parsed", "sha"]

GENESIS = "0" * 64
"""What stands for the line before the first."""
Event = Literal["update", "rollback", "note"]


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Attributes
    ----------
    number : int
        From 1.
    event : {"update", "rollback", "note"}
        What happened.
    time : str
        ISO 8601, UTC.
    before, after : str
        Ids of the Programs.
    n_rows : int
        Rows learned from.
    rows : str
        Their sha256, see `rows_digest`; "" if there were none.
    layers : list
        For each binary layer "op", "kind", "n" flips, "n_weights" and their "share".
    moved : list
        For each array of numbers of which some moved "op", "kind", "array", "n" and "n_numbers".
    structure : list of str
        In words, what else changed: columns, operations.
    who, why : str
        As given.
    patch : str
        What turns the one Program into the other, base64; "" if patches are not kept.
    previous : str
        sha256 of the line before.
    """

    number: int
    event: Event
    time: str
    before: str
    after: str
    n_rows: int
    rows: str
    layers: list[dict[str, Any]]
    moved: list[dict[str, Any]]
    structure: list[str]
    who: str
    why: str
    patch: str
    previous: str

    @property
    def n_flips(self) -> int:
        """Binary weights that flipped."""
        return sum(layer["n"] for layer in self.layers)

    def line(self) -> bytes:
        """Return the line, canonical and with its own sha256 at the end, without a line feed."""
        text = json.dumps(vars(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return f'{text[:-1]},"sha256":"{sha(text.encode())}"}}'.encode()


def counted(change: ProgramDiff) -> dict[str, Any]:
    """Return what an entry says of a difference."""
    layers = [
        {"op": f.op, "kind": f.kind, "n": f.n, "n_weights": f.n_weights, "share": f.share}
        for f in change.flips
    ]
    moved = [
        {"op": m.op, "kind": m.kind, "array": m.array, "n": m.n, "n_numbers": m.n_numbers}
        for m in change.moves
    ]
    return {
        "before": change.a.id, "after": change.b.id, "layers": layers, "moved": moved,
        "structure": change.structure_lines(),
    }  # fmt: skip


def parsed(line: bytes) -> Entry:
    """Return the entry of a line, whether or not its sha256 is right.

    Raises
    ------
    FormatError
        When it is none.
    """
    given = parse_object(line, "a line of the log")
    given.pop("sha256", None)  # `Entry.line` makes it anew, and verify compares
    names = {field.name for field in fields(Entry)}
    if set(given) != names:
        raise FormatError(f"a line of the log has {sorted(names)}, got {sorted(given)!r:.200}")
    return Entry(**given)


def sha(data: bytes) -> str:
    """Return the sha256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
