"""Named states of a learner on disk: take one, go on, and go back to it exactly.

A snapshot is one file, written whole or not at all: a line of JSON that says what it is, then the state,
compressed. Going back checks that the state is the one that was saved and makes the Program that it
made; if anything is wrong, the learner stays where it was. With a `FlipLog` each rollback leaves a line.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bimetal.continual.oversight.audit import FlipLog
from bimetal.continual.oversight.state import Restorable
from bimetal.errors import CheckpointError, DataError, FormatError
from bimetal.files import atomic_write
from bimetal.strict_json import parse_object

__all__ = ["Snapshot", "Snapshots"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SUFFIX = ".snapshot"


@dataclass(frozen=True)
class Snapshot:
    """What is known of a snapshot without opening its state.

    Attributes
    ----------
    name, note : str
        As given.
    time : str
        When it was taken, ISO 8601, UTC.
    program : str
        Id of the Program that the learner deployed.
    state_bytes : int
        Of the state.
    sha256 : str
        Of the state.
    """

    name: str
    note: str
    time: str
    program: str
    state_bytes: int
    sha256: str


class Snapshots:
    """Snapshots of one learner in one folder.

    Parameters
    ----------
    folder : path-like
        It must exist.
    learner : Restorable
        `BinaryClassifier`, `ContinualClassifier`, or a learner of the comparison in `state.Whole`.
    log : FlipLog, optional
        Where rollbacks are recorded.
    clock : callable, optional
        Returns an aware datetime.

    Examples
    --------
    >>> import tempfile
    >>> from bimetal.continual.learners.learner import Setting
    >>> from bimetal.continual.learners.metaplastic import make_metaplastic
    >>> from bimetal.continual.oversight.state import Whole
    >>> learner = Whole(make_metaplastic(Setting(n_in=8, n_classes=2, hidden=(16,)), 2.0))
    >>> snapshots = Snapshots(tempfile.mkdtemp(), learner)
    >>> taken = snapshots.snapshot("approved", note="model committee, March")
    >>> snapshots.rollback("approved") == taken
    True
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        learner: Restorable,
        *,
        log: FlipLog | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.folder, self.learner, self.log, self._clock = Path(folder), learner, log, clock
        if not self.folder.is_dir():
            raise DataError(f"there is no folder '{folder}'; make it first")

    def snapshot(self, name: str, note: str = "") -> Snapshot:
        """Save where the learner is now.

        Raises
        ------
        DataError
            When the name is taken, or could not be one of a file everywhere.
        OSError
            When the disk is full; no part of it is left behind.
        """
        path = self._path(name)
        if path.exists():
            raise DataError(
                f"there is a snapshot '{name}' already; choose another name, or prune it"
            )
        state = self.learner.get_state()
        taken = Snapshot(
            name, str(note), self._clock().astimezone(UTC).isoformat(), self.learner.program_.id,
            len(state), hashlib.sha256(state).hexdigest(),
        )  # fmt: skip
        with atomic_write(path) as file:
            file.write(json.dumps(vars(taken)).encode() + b"\n" + zlib.compress(state))
        return taken

    def rollback(self, name: str, *, who: str = "", why: str = "") -> Snapshot:
        """Put the learner back: from here it learns on as if it had never left.

        Raises
        ------
        DataError
            When there is no such snapshot.
        CheckpointError
            When it is damaged, or of another learner; the learner then stays where it was.
        """
        found, state = self._read(name)
        here, before = self.learner.get_state(), self.learner.program_
        try:
            self.learner.set_state(state)
            if self.learner.program_.id != found.program:
                raise CheckpointError(
                    f"snapshot '{name}' should make the Program {found.program[:12]}…, got "
                    f"{self.learner.program_.id[:12]}…; it was taken of another learner, or by another version"
                )
        except BaseException:
            self.learner.set_state(here)
            raise
        if self.log is not None:
            why = why or f"rollback to snapshot '{name}' of {found.time}"
            self.log.record(before, self.learner.program_, who=who, why=why, event="rollback")
        return found

    def all(self) -> list[Snapshot]:
        """Return all snapshots of the folder, from the oldest to the newest.

        Raises
        ------
        CheckpointError
            When one of them cannot be read.
        """
        found = [
            self._read(path.name.removesuffix(SUFFIX))[0] for path in self.folder.glob(f"*{SUFFIX}")
        ]
        return sorted(found, key=lambda each: (each.time, each.name))

    def prune(self, keep: int, *, protect: tuple[str, ...] = ()) -> list[str]:
        """Delete all but the newest `keep`; those to `protect` are neither counted nor deleted.

        Returns
        -------
        list of str
            Names that are gone.
        """
        if keep < 0:
            raise DataError(f"keep must be 0 or more, got {keep}")
        names = [each.name for each in self.all() if each.name not in protect]
        gone = names[: len(names) - keep] if keep < len(names) else []
        for name in gone:
            self._path(name).unlink()
        return gone

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise DataError(
                f"a name of letters, digits, dots, dashes and underlines expected, at most 100, got {name!r:.120}"
            )
        return self.folder / f"{name}{SUFFIX}"

    def _read(self, name: str) -> tuple[Snapshot, bytes]:
        path = self._path(name)
        if not path.exists():
            known = sorted(p.name.removesuffix(SUFFIX) for p in self.folder.glob(f"*{SUFFIX}"))
            raise DataError(f"there is no snapshot '{name}'; there are {known}")
        head, _, body = path.read_bytes().partition(b"\n")
        try:
            found = Snapshot(**parse_object(head, "a snapshot"))
            state = zlib.decompressobj().decompress(body, found.state_bytes + 1)
        except (FormatError, TypeError, ValueError, zlib.error) as error:
            raise CheckpointError(f"snapshot '{name}' is damaged: {error}") from None
        if hashlib.sha256(state).hexdigest() != found.sha256 or found.name != name:
            raise CheckpointError(
                f"snapshot '{name}' is damaged: its state is not the one that was saved"
            )
        return found, state
