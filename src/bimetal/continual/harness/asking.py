"""Asking a learner about test rows: how many it has right, and whether its Programs say the same.

Nothing here changes a learner. Test rows are kept as uint8 tensors while they fit into some memory, and
made again where they do not, so that a stream of hundreds of tasks can be asked about.
"""

import hashlib
from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bimetal import metrics
from bimetal.continual.learners.learner import Learner
from bimetal.continual.sequence import Sequence, Task
from bimetal.errors import DataError
from bimetal.program import Program
from bimetal.runtime import Engine

__all__ = ["Lowered", "TestRows", "TestSet", "agreement", "mark"]

KEPT_BYTES = 2**29
"""Test rows of a run are kept in memory up to this; further ones are made anew when they are asked about."""

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Lowered:
    """A Program of a learner, and how it answers test rows beside the net it was lowered from.

    Attributes
    ----------
    id : str
        Of the Program.
    n_bytes : int
        Of all its arrays.
    n_rows : int
        Test rows that both answered.
    n_differ : int
        Those that the Program puts into another class: none is expected.
    """

    id: str
    n_bytes: int
    n_rows: int
    n_differ: int


class TestSet(NamedTuple):
    """Rows uint8 (n_rows, n_in), their classes (n_rows,), and a key that equal ones share."""

    x: Tensor
    y: Classes
    key: str


class TestRows:
    """The test rows of a sequence, by task.

    Tasks with the same test rows (the pieces of a stream) share one copy and one key, so that nobody need
    be asked the same twice.

    Parameters
    ----------
    sequence : Sequence
        Makes them.

    Examples
    --------
    >>> from bimetal.continual.sequence import Sequence, Task
    >>> rows = np.zeros((3, 2), np.uint8), np.array([0, 1, 1])
    >>> tests = TestRows(Sequence("s", "S", 2, 2, 2, "stream", lambda number: Task("t", *rows, *rows)))
    >>> tests[0].x.shape, tests[0] is tests[1]
    (torch.Size([3, 2]), True)
    """

    def __init__(self, sequence: Sequence) -> None:
        self._sequence = sequence
        self._keys: dict[int, str] = {}
        self._kept: dict[str, TestSet] = {}
        self._n_bytes = 0

    def __getitem__(self, number: int) -> TestSet:
        """Return rows and classes of a task."""
        kept = self._kept.get(self._keys.get(number, ""))
        return self.of(number, self._sequence.task(number)) if kept is None else kept

    def of(self, number: int, task: Task) -> TestSet:
        """Return rows and classes of a task that is at hand, and keep them if there is room."""
        key = self._keys[number] = _digest(task)
        if key in self._kept:
            return self._kept[key]
        rows = TestSet(torch.tensor(task.x_test), task.y_test, key)
        size = task.x_test.nbytes + task.y_test.nbytes
        if self._n_bytes + size <= KEPT_BYTES:
            self._kept[key] = rows
            self._n_bytes += size
        return rows


# Names that begin so are taken for tests where they are imported; these are none.
TestSet.__test__ = TestRows.__test__ = False  # type: ignore[attr-defined]


def _digest(task: Task) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(task.x_test).data)
    digest.update(np.ascontiguousarray(task.y_test).data)
    return f"{task.x_test.shape} {digest.hexdigest()}"


def mark(scores: Tensor, y: Classes, metric: str = "accuracy") -> float:
    """Return how good scores are.

    Parameters
    ----------
    scores : torch.Tensor
        Floats (n_rows, n_classes).
    y : numpy.ndarray
        Classes (n_rows,).
    metric : {"accuracy", "auc"}
        The share of right answers, ties to the lower class; or, for two classes, the area under the
        ROC curve of the second score minus the first.

    Raises
    ------
    DataError
        When an AUC is asked of more classes than two, or of rows of one class only.

    Examples
    --------
    >>> mark(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), np.array([1, 1]))
    0.5
    """
    if metric == "accuracy":
        return float((classes_of(scores) == y).mean())
    if scores.shape[1] != 2:
        raise DataError(f"an AUC is between two classes; there are {scores.shape[1]}")
    first, second = scores.double().numpy().T
    return metrics.auc(y, second - first)


def classes_of(scores: Tensor) -> NDArray[np.intp]:
    """Return the class of the largest score of each row, the lowest of equals."""
    places: NDArray[np.intp] = scores.numpy().argmax(1)
    return places


def agreement(
    learner: Learner, programs: Items[Program], tests: TestRows, tasks: range, *, told: bool
) -> tuple[Lowered, ...]:
    """Hold every Program of a learner against it on all test rows that it is for.

    Parameters
    ----------
    learner : Learner
        The learner.
    programs : sequence of Program
        One for all tasks, or one for each.
    tests : TestRows
        The rows.
    tasks : range
        The tasks whose rows are answered.
    told : bool
        Whether the learner is told which task a row is from.

    Returns
    -------
    tuple of Lowered
        One for each Program.
    """
    counted = {number: [0, 0] for number in range(len(programs))}
    engines = [Engine(program, batch_size=1000) for program in programs]
    answered = set()
    for task in tasks:
        x, _, key = tests[task]
        number = min(task, len(programs) - 1)
        if (key, number) in answered:
            continue
        answered.add((key, number))
        ours = classes_of(learner.scores(x, task if told else None))
        theirs = _classes(engines[number], x)
        counted[number][0] += len(x)
        counted[number][1] += int((ours != theirs).sum())
    return tuple(
        Lowered(program.id, program.cost().bytes, *counted[number])
        for number, program in enumerate(programs)
    )


def _classes(engine: Engine, x: Tensor) -> NDArray[np.intp]:
    parts = [engine.run(part.float().numpy()).argmax(1) for part in torch.split(x, 1000)]
    return np.concatenate(parts)
