"""A log of updates that an auditor can trust: which weights flipped, when, from which rows, and why.

One line of JSON for each update, appended and forced to the disk before the next. Each line carries the
sha256 of the one before it, so an edit, a removal or another order shows; only who can rewrite all lines
could hide one, hence `head`, which is to be written down elsewhere. With the patches kept, every Program
that was ever in use can be made again from the first one, bit for bit. Rows are never stored: a log holds
their number and their sha256, by which those who have the rows can prove that these were the ones.
"""

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bimetal.continual.oversight.entry import GENESIS, Entry, Event, counted, parsed, sha
from bimetal.continual.oversight.rows import RowsDigest, rows_digest
from bimetal.diff import Patch, diff
from bimetal.errors import CheckpointError, DataError, FormatError
from bimetal.program import Program

__all__ = ["Entry", "FlipLog", "Verdict", "replay"]


@dataclass(frozen=True)
class Verdict:
    """What `FlipLog.verify` found.

    Attributes
    ----------
    is_sound : bool
        Whether nothing is wrong: the chain holds, no line is torn, and no Program changed between lines.
    n_entries : int
        Whole lines.
    problems : tuple of str
        What is wrong, in words; the first one is where to look.
    torn : int
        Bytes of a last line that was not written to its end (a crash, a full disk).
    """

    is_sound: bool
    n_entries: int
    problems: tuple[str, ...]
    torn: int


class FlipLog:
    """An append-only log on disk. One process at a time may write; any number may read.

    Parameters
    ----------
    path : path-like
        Of the log; its folder must exist. An existing log is continued.
    keeps_patches : bool, default True
        Whether each line holds what turns the Program before into the one after.
    salt : bytes, default b""
        A secret that enters the sha256 of rows: without it someone who guesses a row could prove the guess.
    clock : callable, optional
        Returns an aware datetime.

    Examples
    --------
    >>> import tempfile
    >>> from bimetal.continual.oversight import audit
    >>> log = audit.FlipLog(Path(tempfile.mkdtemp()) / "model.log")
    >>> log.verify()
    Verdict(is_sound=True, n_entries=0, problems=(), torn=0)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keeps_patches: bool = True,
        salt: bytes = b"",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path, self.keeps_patches = Path(path), keeps_patches
        self._salt, self._clock = salt, clock

    def record(
        self,
        before: Program,
        after: Program,
        X: Any = None,
        y: Any = None,
        *,
        rows: RowsDigest | None = None,
        time: datetime | None = None,
        who: str = "",
        why: str = "",
        event: Event = "update",
    ) -> Entry:
        """Append an update.

        Parameters
        ----------
        before, after : Program
            What was deployed and what is.
        X, y : frame or array, and labels; optional
            What was learned from. Only their number and sha256 are kept.
        rows : RowsDigest, optional
            The same, if rows are hashed elsewhere.
        time : datetime, optional
            Of the update, with a zone; by default now.
        who, why : str
            A person or a process, and a reason.
        event : {"update", "rollback", "note"}

        Raises
        ------
        CheckpointError
            When the last line is torn (see `repair`).
        DataError
            When the time has no zone, or rows are given twice.
        OSError
            When the disk is full; the log is then as it was.
        """
        if rows is not None and X is not None:
            raise DataError("give the rows (X and y) or their digest (rows=...), not both")
        digest = rows or (RowsDigest(0, "") if X is None else rows_digest(X, y, self._salt))
        change = diff(before, after)
        last = self._last()
        entry = Entry(
            number=1 + (last.number if last else 0),
            event=event,
            time=_utc(time or self._clock()),
            n_rows=digest.n,
            rows=digest.sha256,
            who=str(who),
            why=str(why),
            patch=base64.b64encode(change.patch.to_bytes()).decode() if self.keeps_patches else "",
            previous=sha(last.line()) if last else GENESIS,
            **counted(change),
        )
        self._append(entry.line() + b"\n")
        return entry

    def note(
        self, program: Program, why: str, *, who: str = "", time: datetime | None = None
    ) -> Entry:
        """Append a remark: an approval, a review, an alarm. Raises what `record` does."""
        return self.record(program, program, who=who, why=why, time=time, event="note")

    def entries(self) -> list[Entry]:
        """Return all whole lines.

        Raises
        ------
        FormatError
            When a line is no entry.
        """
        return [parsed(line) for line in self._lines()[0]]

    @property
    def head(self) -> str:
        """sha256 of the last whole line: write it down where those who can write the log cannot."""
        lines = self._lines()[0]
        return sha(lines[-1]) if lines else GENESIS

    def verify(self, head: str | None = None) -> Verdict:
        """Check every line.

        Parameters
        ----------
        head : str, optional
            A `head` written down earlier: it must be that of some line, or lines at the end are gone.
        """
        lines, torn = self._lines()
        problems = list(_problems(lines))
        if head is not None and head not in {GENESIS, *map(sha, lines)}:
            problems.append(
                f"no line has the sha256 {head[:12]}… that was written down: lines were removed from the end, "
                "or all of them rewritten"
            )
        if torn:
            problems.append(
                f"the last line was not written to its end ({torn} bytes): see FlipLog.repair"
            )
        return Verdict(not problems, len(lines), tuple(problems), torn)

    def repair(self, program: Program, *, who: str = "") -> Entry | None:
        """Cut off a torn last line, which was never reported as written, and note that it was there.

        Returns
        -------
        Entry or None
            The note; None if nothing was torn.
        """
        torn = self._lines()[1]
        if not torn:
            return None
        data = self.path.read_bytes()
        whole = len(data) - torn
        with self.path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
        why = f"{torn} bytes of a line that was not written to its end were cut off, sha256 {sha(data[whole:])}"
        return self.note(program, why, who=who)

    def _lines(self) -> tuple[list[bytes], int]:
        """Return whole lines, and the bytes of a torn one behind them."""
        data = self.path.read_bytes() if self.path.exists() else b""
        *lines, rest = data.split(b"\n")
        return lines, len(rest)

    def _last(self) -> Entry | None:
        line, torn = self._end()
        if torn:
            raise CheckpointError(
                f"the last line of '{self.path}' was not written to its end ({torn} bytes); "
                "look at it, then call repair, which cuts it off and notes that it was there"
            )
        return parsed(line) if line else None

    def _end(self) -> tuple[bytes, int]:
        """Return the last whole line and the bytes of a torn one, without reading all of a long log."""
        size = self.path.stat().st_size if self.path.exists() else 0
        span = 2**16
        while size:
            with self.path.open("rb") as file:
                file.seek(max(0, size - span))
                pieces = file.read().split(b"\n")
            if len(pieces) > 2 or span >= size:
                return (pieces[-2] if len(pieces) > 1 else b""), len(pieces[-1])
            span *= 4
        return b"", 0

    def _append(self, line: bytes) -> None:
        with self.path.open("ab") as file:
            size = file.tell()
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise


def replay(entries: Sequence[Entry], first: Program, number: int | None = None) -> Program:
    """Make the Program that was in use after update `number` from the one before the first, bit for bit.

    Parameters
    ----------
    entries : sequence of Entry
        Of `FlipLog.entries`, from the first on, with patches.
    first : Program
        What was deployed when the log began.
    number : int, optional
        Of an entry; 0 is `first` itself, and the default the last one.

    Raises
    ------
    DataError
        When there is no such update, patches were not kept, or `first` is another Program.
    FormatError
        When a patch is damaged.
    """
    last = len(entries) if number is None else number
    if not 0 <= last <= len(entries):
        raise DataError(f"the log has updates 1 to {len(entries)}, not {last}")
    program = first
    for entry in entries[:last]:
        if not entry.patch:
            raise DataError(
                f"update {entry.number} was logged without a patch; a log that is to be replayed needs "
                "keeps_patches=True from its beginning"
            )
        program = Patch.from_bytes(base64.b64decode(entry.patch)).apply(program)
        if program.id != entry.after:
            raise FormatError(
                f"update {entry.number} makes {program.id[:12]}…, not {entry.after[:12]}…"
            )
    return program


def _problems(lines: Sequence[bytes]) -> Iterator[str]:
    """Yield what is wrong with whole lines."""
    previous, after = GENESIS, None
    for number, line in enumerate(lines, 1):
        try:
            entry = parsed(line)
        except FormatError as error:
            yield f"line {number}: {error}"
            previous, after = sha(line), None
            continue
        if entry.line() != line:
            yield f"line {number} was changed after it was written"
        if entry.previous != previous or entry.number != number:
            yield (
                f"line {number} says that it is update {entry.number} and follows {entry.previous[:12]}…, but "
                f"it follows {previous[:12]}…: lines were changed, removed, added or moved"
            )
        if after is not None and entry.before != after:
            yield (
                f"line {number}: the Program changed from {after[:12]}… to {entry.before[:12]}… without an entry"
            )
        previous, after = sha(line), entry.after


def _utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise DataError(f"a time with a zone expected (datetime.now(UTC), say), got {moment!r}")
    return moment.astimezone(UTC).isoformat()
