"""Tasks that come one after another: what a learner sees, and what it is asked about later.

A `Sequence` makes its tasks when they are asked for, from a seed and nothing else, so that every
worker of every run sees the same stream, and fifty tasks need no more memory than one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import DataError

__all__ = ["Scenario", "Sequence", "Task"]

Scenario = Literal["domain", "class", "stream"]
"""What changes: the inputs of the same classes, the classes, or nothing but the rows."""


@dataclass(frozen=True, eq=False)
class Task:
    """One piece of a sequence.

    Attributes
    ----------
    name : str
        What a reader calls it ("vintage 2018-03").
    x_train, x_test : numpy.ndarray
        uint8 (n_rows, n_in): pixels of 0 to 255, or bits of 0 and 1.
    y_train, y_test : numpy.ndarray
        int64 (n_rows,) of 0 to n_classes − 1.

    Raises
    ------
    DataError
        When the parts do not fit each other.
    """

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]

    def __post_init__(self) -> None:
        for x, y, what in (
            (self.x_train, self.y_train, "training"),
            (self.x_test, self.y_test, "test"),
        ):
            if x.ndim != 2 or x.dtype != np.uint8 or y.shape != (len(x),) or not len(x):
                raise DataError(
                    f"task {self.name!r}: {what} rows must be uint8 (n_rows, n_in) with one class each, "
                    f"got {x.dtype} {x.shape} and classes {y.shape}"
                )


@dataclass(frozen=True, eq=False)
class Sequence:
    """Tasks in their order.

    Attributes
    ----------
    name, title : str
        Of the command line, and of tables.
    n_tasks, n_in, n_classes : int
        How many tasks, inputs of a row, and classes of all tasks together.
    scenario : {"domain", "class", "stream"}
        What changes from task to task.
    make : callable
        Number of a task (from 0) → `Task`; the same for the same number, always.
    note : str
        What a reader must know (where the rows are from, what was done to them).
    metric : {"accuracy", "auc"}
        What R[i, j] holds: the share of right answers, or the area under the ROC curve where one class
        is rare.
    """

    name: str
    title: str
    n_tasks: int
    n_in: int
    n_classes: int
    scenario: Scenario
    make: Callable[[int], Task]
    note: str = ""
    metric: Literal["accuracy", "auc"] = "accuracy"

    def __post_init__(self) -> None:
        if min(self.n_tasks, self.n_in) < 1 or self.n_classes < 2:
            raise DataError(
                f"a sequence needs a task, an input and two classes at least, got {self.n_tasks}, "
                f"{self.n_in} and {self.n_classes}"
            )

    def task(self, number: int) -> Task:
        """Return a task by its number, from 0.

        Raises
        ------
        DataError
            When there is no such task.
        """
        if not 0 <= number < self.n_tasks:
            raise DataError(f"{self.name} has tasks 0 to {self.n_tasks - 1}, not {number}")
        return self.make(number)

    def __iter__(self) -> Iterator[Task]:
        return map(self.task, range(self.n_tasks))

    def values(self) -> dict[str, Any]:
        """Return what describes it, as plain data."""
        return {
            "name": self.name, "title": self.title, "n_tasks": self.n_tasks, "n_in": self.n_in,
            "n_classes": self.n_classes, "scenario": self.scenario, "note": self.note, "metric": self.metric,
        }  # fmt: skip
