"""Replay: decisions of the log made again, from the archived model and the recorded row, bit for bit.

Each is computed twice, by the oracle (`reference.run`, slow and obvious) and by the engine that served it. Points,
probability (as float32 bits), decision and reasons must be what was written down: not close, the same.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal import reference
from bimetal.errors import BimetalError, DataError
from bimetal.finance.credit.model import CreditModel
from bimetal.format import loads
from bimetal.program import Program
from bimetal.runtime import Engine
from bimetal.service.log import ChainedLog, Entry, Record
from bimetal.service.log.canonical import plain, restored

__all__ = ["Difference", "Replayed", "Witness", "models_in", "replay"]

CHUNK = 512
MODELS = 8
"""Models held at once."""
UNEXPLAINED = "no reasons were recorded"

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """Something that did not come out as it was written down.

    Attributes
    ----------
    sequence : int
        Of the entry.
    request_id : str
    what : str
        "points", "probability", "decision", "reasons", "model_id", "policy_id", "row", or "model" when it
        could not be asked.
    by : {"oracle", "engine", "model"}
        Who says otherwise.
    recorded, computed : object
        JSON values.
    """

    sequence: int
    request_id: str
    what: str
    by: str
    recorded: Any
    computed: Any


@dataclass(frozen=True)
class Replayed:
    """What `replay` found.

    Attributes
    ----------
    n_decisions : int
        Decisions looked at, erased ones included.
    n_same : int
        Made again to the last bit.
    n_erased : int
        Whose row was lawfully removed: nothing can be made again.
    n_unexplained : int
        Recorded without reasons, though the model gives some: nothing is compared there.
    differences : tuple of Difference
        None when all is well.
    """

    n_decisions: int
    n_same: int
    n_erased: int
    n_unexplained: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Answers:
    """What one way of computing says of some rows; None for what a plain classifier does not have."""

    by: str
    probability: Rows
    points: NDArray[np.int64] | None
    decision: Sequence[str | None]


class Witness:
    """A model that is asked again: by the oracle, by the engine, and for its reasons.

    Parameters
    ----------
    data : bytes
        Of the model file.

    Raises
    ------
    FormatError, DataError
        When it is no model that could have been served.
    """

    def __init__(self, data: bytes) -> None:
        self.program: Program = loads(data)
        has_policy = "credit" in self.program.provenance
        self.model = CreditModel.loads(data) if has_policy else None
        self.policy_id = self.model.policy_id if self.model else None
        self._engine = Engine(self.program)

    def oracle(self, rows: Rows) -> Answers:
        """Answer by `bimetal.reference`."""
        values = reference.trace(self.program, rows)
        probability = _chosen(values[-1])
        if self.model is None:
            return Answers("oracle", probability, None, [None] * len(rows))
        points = values[self.program.ops[-1].input][:, -1].astype(np.int64)  # type: ignore[union-attr]
        decide = self.model.policy.decide
        return Answers("oracle", probability, points, [decide(int(p)) for p in points])

    def engine(self, rows: Rows) -> Answers:
        """Answer by the engine."""
        if self.model is None:
            answers = self._engine.run(rows)
            return Answers("engine", _chosen(answers), None, [None] * len(rows))
        found = self.model.assess(rows)
        return Answers("engine", found.probability, found.points, found.decision.tolist())

    def reasons(self, rows: Rows) -> list[Any]:
        """Return the reasons of each row, as the log would hold them."""
        if self.model is None or not self.model.policy.references:
            return [()] * len(rows)
        return [restored(plain(tuple(found))) for found in self.model.reasons(rows)]


def _chosen(answers: Rows) -> Rows:
    """Return the probability that is recorded: of the second of two classes, else of the likeliest."""
    return answers[:, 1] if answers.shape[1] == 2 else answers.max(axis=1)


def replay(
    log: ChainedLog,
    entries: Iterable[Entry],
    models: Mapping[str, bytes] | None = None,
    progress: Callable[[int], None] = lambda n_decisions: None,
) -> Replayed:
    """Make decisions again and compare.

    Parameters
    ----------
    log : ChainedLog
        Whose archive has the models.
    entries : iterable of Entry
        Which; erasures among them are passed over.
    models : mapping of str to bytes, optional
        More model files by their sha256, see `models_in`.
    progress : callable, optional
        Told how many are done.

    Raises
    ------
    LogUnavailable
        When the log cannot be read.
    """

    @lru_cache(MODELS)
    def witness(file_hash: str) -> Witness | str:
        try:
            return Witness((models or {}).get(file_hash) or log.model(file_hash))
        except BimetalError as error:
            return str(error)

    n_decisions = n_same = n_erased = n_unexplained = 0
    found: list[Difference] = []
    decisions = (entry for entry in entries if isinstance(entry.record, Record))
    while chunk := list(islice(decisions, CHUNK)):
        whole = [entry for entry in chunk if not entry.is_erased]
        compared = [d for group in _by_model(whole) for d in _compared(witness, group)]
        differences = [d for d in compared if d.what != UNEXPLAINED]
        n_decisions += len(chunk)
        n_erased += len(chunk) - len(whole)
        n_same += len(whole) - len({d.sequence for d in differences})
        n_unexplained += len(compared) - len(differences)
        found += differences
        progress(n_decisions)
    return Replayed(n_decisions, n_same, n_erased, n_unexplained, tuple(found))


def _by_model(entries: Sequence[Entry]) -> Iterator[list[tuple[Entry, Record]]]:
    groups: dict[tuple[str, int], list[tuple[Entry, Record]]] = {}
    for entry in entries:
        assert isinstance(entry.record, Record)
        key = (entry.record.file_hash, len(entry.record.row))
        groups.setdefault(key, []).append((entry, entry.record))
    yield from groups.values()


def _compared(
    witness: Callable[[str], Witness | str], group: Sequence[tuple[Entry, Record]]
) -> Iterator[Difference]:
    """Compare decisions of one model whose rows are equally long."""
    first = group[0][1]
    model = witness(first.file_hash)
    width = len(first.row) // 4
    if isinstance(model, str):
        for entry, record in group:
            yield _difference(entry, record, "model", "model", record.file_hash, model)
        return
    if width != model.program.n_columns:
        for entry, record in group:
            yield _difference(entry, record, "row", "model", width, model.program.n_columns)
        return
    rows = np.frombuffer(b"".join(r.row for _, r in group), "<f4").reshape(len(group), width)
    rows = np.ascontiguousarray(rows, np.float32)
    both, reasons = (model.oracle(rows), model.engine(rows)), model.reasons(rows)
    for i, (entry, record) in enumerate(group):
        yield from _identity(entry, record, model)
        for answers in both:
            yield from _answers(entry, record, answers, i)
        told = restored(plain(record.reasons))
        if told != reasons[i]:
            what = "reasons" if told else UNEXPLAINED
            yield _difference(entry, record, what, "model", plain(told), plain(reasons[i]))


def _identity(entry: Entry, record: Record, model: Witness) -> Iterator[Difference]:
    if record.model_id != model.program.id:
        yield _difference(entry, record, "model_id", "model", record.model_id, model.program.id)
    if record.policy_id != model.policy_id:
        yield _difference(entry, record, "policy_id", "model", record.policy_id, model.policy_id)


def _answers(entry: Entry, record: Record, answers: Answers, i: int) -> Iterator[Difference]:
    points = None if answers.points is None else int(answers.points[i])
    if record.points != points:
        yield _difference(entry, record, "points", answers.by, record.points, points)
    recorded, computed = np.float32(record.probability), np.float32(answers.probability[i])
    if recorded.tobytes() != computed.tobytes():
        yield _difference(
            entry, record, "probability", answers.by,
            float(recorded).hex(), float(computed).hex(),
        )  # fmt: skip
    if record.decision != answers.decision[i]:
        yield _difference(
            entry, record, "decision", answers.by, record.decision, answers.decision[i]
        )


def _difference(
    entry: Entry, record: Record, what: str, by: str, recorded: Any, computed: Any
) -> Difference:
    return Difference(entry.sequence, record.request_id, what, by, recorded, computed)


def models_in(folder: Path) -> dict[str, bytes]:
    """Return the .bimetal files of a folder by their sha256.

    Raises
    ------
    DataError
        When there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder '{folder}' with models")
    found = (path.read_bytes() for path in sorted(folder.glob("*.bimetal")))
    return {hashlib.sha256(data).hexdigest(): data for data in found}
