"""Is the chain whole? Every hash is computed again, entry by entry, and the first break is named.

What this finds: any change of an entry, a row, a salt, an index column or an archived model; entries removed,
added or moved; a personal part that is gone without an erasure. What no chain can find by itself: entries cut
off at its end, and a log that was written anew from some entry on, by somebody who computed every hash again.
For those an anchor is needed: sequence and hash, written down where those who can write the log cannot.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bimetal.errors import DataError
from bimetal.service.log.chain import chained, committed
from bimetal.service.log.chained import ChainedLog
from bimetal.service.log.record import GENESIS, LogUnavailable
from bimetal.service.log.store import CHUNK, Row

__all__ = ["MOST_PROBLEMS", "Anchor", "Problem", "Verdict", "verify"]

MOST_PROBLEMS = 20
"""After so many, the search ends: the first one is where to look."""


@dataclass(frozen=True)
class Anchor:
    """A head that was written down elsewhere.

    Attributes
    ----------
    sequence : int
    hash : str
    """

    sequence: int
    hash: str


@dataclass(frozen=True)
class Problem:
    """Something wrong.

    Attributes
    ----------
    sequence : int
        At which entry; 0 when it is about none.
    kind : str
        "changed", "missing", "order", "index", "personal", "clock", "model", "anchor"; "database" and
        "unreadable" are about what holds the log.
    message : str
        In words.
    """

    sequence: int
    kind: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What `verify` found.

    Attributes
    ----------
    n_entries : int
        Entries read.
    sequence, hash : int, str
        Of the last one.
    n_erased : int
        Decisions whose personal part was lawfully removed.
    n_late_clocks : int
        Entries written while the clock was behind the entry before.
    n_anchors : int
        Anchors that were found in the chain.
    problems : tuple of Problem
        The first one is where to look.
    """

    n_entries: int
    sequence: int
    hash: str
    n_erased: int
    n_late_clocks: int
    n_anchors: int
    problems: tuple[Problem, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    log: ChainedLog,
    anchors: Sequence[Anchor] = (),
    progress: Callable[[int], None] = lambda n_entries: None,
) -> Verdict:
    """Check a log from its first entry to its last.

    Parameters
    ----------
    log : ChainedLog
        May be in use: entries that are written meanwhile are checked too.
    anchors : sequence of Anchor
        Heads written down earlier: each must still be in the chain.
    progress : callable, optional
        Told how many entries are done.

    Examples
    --------
    >>> import tempfile
    >>> from bimetal.service.log import open_log
    >>> log = open_log(f"{tempfile.mkdtemp()}/decisions.db")
    >>> verify(log).is_sound, verify(log, [Anchor(3, "ab" * 32)]).problems[0].kind
    (True, 'anchor')
    >>> log.close()
    """
    walk = _Walk(list(anchors))
    try:
        for message in log.check():
            walk.say(0, "database", message)
        for row in log.rows():
            walk.step(row)
            if walk.n_entries % CHUNK == 0:
                progress(walk.n_entries)
            if len(walk.problems) >= MOST_PROBLEMS:
                return walk.verdict()
    except LogUnavailable as error:
        walk.say(walk.sequence + 1, "unreadable", f"cannot be read: {error}")
        return walk.verdict()
    progress(walk.n_entries)
    walk.finish()
    for sequence in sorted(walk.erased - set(walk.without)):
        _check_erased(log, walk, sequence)
    for file_hash, sequence in walk.models.items():
        _check_model(log, walk, file_hash, sequence)
    return walk.verdict()


def _check_model(log: ChainedLog, walk: "_Walk", file_hash: str, sequence: int) -> None:
    try:
        log.model(file_hash)
    except (DataError, LogUnavailable) as error:
        walk.say(sequence, "model", str(error))


def _check_erased(log: ChainedLog, walk: "_Walk", sequence: int) -> None:
    # Read again: the erasure may have come while we walked.
    if any(row[8] is not None for row in log.rows(sequence, sequence + 1)):
        walk.say(
            sequence, "personal", f"the personal part of entry {sequence} was erased and is back"
        )


@dataclass
class _Walk:
    """A walk along the chain, which goes on behind a break from what is stored there."""

    anchors: list[Anchor]
    sequence: int = 0
    hash: str = GENESIS
    time: str = ""
    n_entries: int = 0
    n_late_clocks: int = 0
    n_anchors: int = 0
    problems: list[Problem] = field(default_factory=list)
    models: dict[str, int] = field(default_factory=dict)
    without: dict[int, str] = field(default_factory=dict)  # decisions without a personal part
    erased: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.at: dict[int, list[str]] = {}
        for anchor in self.anchors:
            self.at.setdefault(anchor.sequence, []).append(anchor.hash)

    def say(self, sequence: int, kind: str, message: str) -> None:
        self.problems.append(Problem(sequence, kind, message))

    def step(self, row: Row) -> None:
        self.n_entries += 1
        if not _is_typed(row):
            self.say(
                self.sequence + 1, "changed", f"what should be entry {self.sequence + 1} is none"
            )
            return
        sequence, _, _, _, time, content, previous, hash, _, _ = row
        if sequence != self.sequence + 1:
            self._missing(sequence)
        elif previous != self.hash:
            self.say(sequence, "order", f"entry {sequence} does not follow entry {self.sequence}")
        values = _parsed(content)
        for message in _changes(row, values):
            self.say(sequence, *message)
        if time < self.time:
            self.say(
                sequence,
                "clock",
                f"entry {sequence} is of {time}, before {self.time} of the entry before",
            )
        self._note(row, values)
        self.sequence, self.hash, self.time = sequence, hash, max(time, self.time)
        self._anchor(sequence, hash)

    def _missing(self, sequence: int) -> None:
        first, last = self.sequence + 1, sequence - 1
        gone = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        self.say(first, "missing", f"{gone} missing")

    def _note(self, row: Row, values: dict[str, Any]) -> None:
        """Remember what is judged at the end: models, erasures, personal parts that are not there."""
        sequence, salt = row[0], row[8]
        self.n_late_clocks += values.get("clock") is not None
        if values.get("kind") == "erasure":
            self.erased.update(n for n in values.get("erased", ()) if isinstance(n, int))
        elif values.get("kind") == "decision":
            self.models.setdefault(str(values.get("file_hash")), sequence)
            if salt is None:
                self.without[sequence] = str(values.get("request_id"))

    def _anchor(self, sequence: int, hash: str) -> None:
        for wanted in self.at.pop(sequence, ()):
            if wanted == hash:
                self.n_anchors += 1
                continue
            self.say(
                sequence,
                "anchor",
                f"entry {sequence} has hash {hash[:12]}…, but {wanted[:12]}… was written down: the log was "
                "written anew from there or before",
            )

    def finish(self) -> None:
        for sequence in sorted(set(self.without) - self.erased):
            self.say(
                sequence,
                "personal",
                f"the personal part of entry {sequence} (request '{self.without[sequence]}') is gone, and no "
                "erasure says why",
            )
        for sequence, hashes in sorted(self.at.items()):
            self.say(
                sequence,
                "anchor",
                f"there is no entry {sequence} (the log ends at {self.sequence}), but its hash {hashes[0][:12]}… "
                "was written down: entries were removed",
            )

    def verdict(self) -> Verdict:
        n_erased = len(set(self.without) & self.erased)
        return Verdict(
            self.n_entries, self.sequence, self.hash, n_erased, self.n_late_clocks, self.n_anchors,
            tuple(self.problems),
        )  # fmt: skip


def _changes(row: Row, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with an entry taken alone."""
    sequence, kind, request_id, slot, time, content, previous, hash, salt, data = row
    if not _holds(lambda: chained(previous, content) == hash):
        yield "changed", f"entry {sequence} was changed after it was written: its hash is another"
        return
    stored = {"sequence": sequence, "kind": kind, "request_id": request_id, "time": time}
    wrong = [name for name, value in stored.items() if values.get(name) != value]
    if slot != _slot(values):
        wrong.append("slot")
    if wrong:
        yield (
            "index",
            f"entry {sequence}: {', '.join(wrong)} beside the entry says other than itself",
        )
    if salt is not None and not _holds(lambda: committed(salt, data) == values["commitment"]):
        yield "personal", f"entry {sequence}: row, reasons, warnings or salt were changed"


def _is_typed(row: Row) -> bool:
    """Tell whether a row has the types of its columns, which a file that was edited may not have."""
    has_text = all(isinstance(text, str) for text in row[1:8])
    return isinstance(row[0], int) and has_text


def _holds(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except (ValueError, TypeError, KeyError, AttributeError):
        return False


def _slot(values: dict[str, Any]) -> str:
    if values.get("kind") == "erasure":
        return "erasure"
    is_champion = values.get("role") == "champion"
    return "champion" if is_champion else f"shadow {values.get('model_name')}"


def _parsed(content: Any) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, TypeError):
        return {}
    return values if isinstance(values, dict) else {}
